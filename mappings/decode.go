package mappings

import (
	"strings"
)

// later are the keys of the language that this engine doesn't run yet; a file that uses one must hear so.
var later = map[string]bool{
	"per": true, "nulls": true, "chunk": true, "groups": true, "key": true, "also_anchor": true,
}

// decoder turns YAML values into the model, reporting every unknown key and wrong form.
type decoder struct {
	*reporter
	side string // what the dialect's side is called: v2, or dialect where that is FHIR
}

// sideOf says what a file calls its dialect's side.
func sideOf(root *value) string {
	if root.member("dialect") != nil {
		return "dialect"
	}
	return "v2"
}

// object reports the keys of v that aren't among the allowed ones.
func (d decoder) object(v *value, what string, allowed ...string) bool {
	if v == nil {
		return false
	}
	if v.kind != mapValue {
		d.add(CodeType, v.at, "%s is written as a mapping {…}, not as %s.", what, kindWords[v.kind])
		return false
	}
	for _, k := range v.keys {
		switch {
		case has(allowed, k.name) && d.foreign(k.name):
			d.add(CodeDialect, k.at, "%q has no part in a map whose dialect is %s.", k.name, dialectWords[d.side])
		case has(allowed, k.name):
		case later[k.name]:
			d.add(CodeLater, k.at, "%q is part of the language that this version doesn't run yet.", k.name)
		default:
			d.add(CodeUnknownKey, k.at, "%s has no key %q%s.", what, k.name, meant(k.name, allowed))
		}
	}
	return true
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (d decoder) text(v *value) text {
	switch {
	case v == nil:
		return text{}
	case v.kind != scalarValue:
		d.add(CodeType, v.at, "Here belongs a text, not %s.", kindWords[v.kind])
		return text{}
	}
	return text{v.text, v.at}
}

func (d decoder) flag(v *value) bool {
	t := d.text(v)
	if t.set() && t.s != "true" && t.s != "false" {
		d.add(CodeType, t.at, "Here belongs true or false.")
	}
	return t.s == "true"
}

// texts reads a text or a list of texts.
func (d decoder) texts(v *value) []text {
	if v == nil {
		return nil
	}
	if v.kind != listValue {
		return []text{d.text(v)}
	}
	var list []text
	for _, item := range v.items {
		list = append(list, d.text(item))
	}
	return list
}

func (d decoder) list(v *value, what string) []*value {
	if v == nil {
		return nil
	}
	if v.kind != listValue {
		d.add(CodeType, v.at, "%s is written as a list […], not as %s.", what, kindWords[v.kind])
		return nil
	}
	return v.items
}

func (d decoder) members(v *value, what string) []member {
	if v == nil {
		return nil
	}
	if v.kind != mapValue {
		d.add(CodeType, v.at, "%s is written as a mapping {…}, not as %s.", what, kindWords[v.kind])
		return nil
	}
	return v.keys
}

var headKeys = []string{"silta", "id", "version", "title", "v2", "dialect", "fhir", "names", "slices", "resources", "links", "const",
	"tables", "use", "rules", "ignore", "drop", "loss", "codes", "preserve", "extends", "override", "remove"}

// The keys of the language's objects.
var (
	v2Keys       = []string{"structure", "events", "versions", "anchor", "zsegments", "numbering", "zone"}
	zoneKeys     = []string{"read", "write"}
	zsegmentKeys = []string{"after", "fields"}
	fhirKeys     = []string{"release", "bundle", "event", "type"}
	dialectKeys  = []string{"kind", "release", "root", "types", "contained", "events"}
	bothKeys     = []string{"v2", "dialect", "fhir"}
	sideKeys     = []string{"match", "set"}
	frameKeys    = []string{"type", "from", "each", "in", "by", "orphans", "always", "since", "until"}
	linkKeys     = []string{"fhir", "to", "or", "stub", "find", "dir"}
	constKeys    = []string{"v2", "dialect", "fhir", "value", "since", "until"}
	tableKeys    = []string{"id", "context", "v2", "dialect", "fhir", "unmapped", "rows"}
	rowKeys      = []string{"v2", "dialect", "fhir", "dir"}
	useKeys      = []string{"block", "for"}
	codesKeys    = []string{"use", "unmapped", "map", "reverseOnly", "forwardOnly", "prefer", "display", "table", "system", "extends"}
)

// decode reads a whole file.
func decode(r *reporter, root *value) *document {
	d := decoder{r, sideOf(root)}
	if root == nil || !d.object(root, "A map", headKeys...) {
		return &document{}
	}
	doc := d.head(root)
	doc.preserve = d.text(root.get("preserve"))
	d.choice(doc.preserve, preserveRest, preserveNone)
	for _, name := range overlayKeys {
		if m := root.member(name); m != nil {
			d.add(CodeOverlay, m.at, "%q belongs to a map that says `extends`.", name)
		}
	}
	doc.v2, doc.dialect, doc.fhir = d.v2Head(root.get("v2")), d.dialectHead(root.get("dialect")), d.fhirHead(root.get("fhir"))
	d.names(doc, root)
	d.slices(doc, root)
	d.frames(doc, root)
	d.links(doc, root)
	d.consts(doc, root)
	d.tables(doc, root)
	d.uses(doc, root)
	doc.rules = d.rules(root.get("rules"))
	doc.ignored = d.reasons(root, "ignore", bothKeys...)
	doc.dropped = d.reasons(root, "drop", "v2")
	if loss := root.get("loss"); d.object(loss, "loss", "fhir") {
		doc.loss = d.text(loss.get("fhir"))
		d.choice(doc.loss, lossWithheld)
	}
	d.codeMaps(doc, root)
	return doc
}

// decodeHead reads who the file says it is.
func decodeHead(r *reporter, root *value) *document { return decoder{r, "v2"}.head(root) }

func (d decoder) head(root *value) *document {
	doc := &document{}
	form := d.text(root.get("silta"))
	switch form.s {
	case "map/v1":
	case "block/v1":
		doc.block = true
	default:
		d.add(CodeType, at(form.at, root.at), "A map file starts with `silta: map/v1`, a block with `silta: block/v1`.")
	}
	doc.id, doc.version = d.text(root.get("id")), d.text(root.get("version"))
	if !doc.id.set() {
		d.add(CodeType, root.at, "The file has no id.")
	}
	if _, ok := parseSemver(doc.version.s); !ok {
		d.add(CodeType, at(doc.version.at, root.at), "A version is written as major.minor.patch, such as 1.0.0.")
	}
	doc.title = map[string]string{}
	for _, m := range d.members(root.get("title"), "title") {
		doc.title[m.name] = d.text(m.value).s
	}
	return doc
}

func at(p, otherwise pos) pos {
	if p.line > 0 {
		return p
	}
	return otherwise
}

func (d decoder) v2Head(v *value) v2Head {
	h := v2Head{}
	if !d.object(v, "v2", v2Keys...) {
		return h
	}
	h.at = v.at
	h.structures, h.events, h.versions = d.texts(v.get("structure")), d.texts(v.get("events")), d.texts(v.get("versions"))
	h.anchor = d.text(v.get("anchor"))
	if n := d.text(v.get("numbering")); n.set() && n.s != "group" {
		d.add(CodeLater, n.at, "Counters are numbered within their group in this version.")
	}
	if z := v.get("zone"); d.object(z, "zone", zoneKeys...) {
		h.zone = d.text(z.get("read"))
		h.write = d.text(z.get("write"))
		d.choice(h.write, writeOffset, writeLocal, writeUTC)
	}
	for _, m := range d.members(v.get("zsegments"), "zsegments") {
		z := zsegment{id: text{m.name, m.at}}
		if d.object(m.value, "A Z-segment", zsegmentKeys...) {
			z.after, z.fields = d.text(m.value.get("after")), d.texts(m.value.get("fields"))
		}
		h.zsegments = append(h.zsegments, z)
	}
	return h
}

func (d decoder) fhirHead(v *value) fhirHead {
	h := fhirHead{}
	if !d.object(v, "fhir", fhirKeys...) {
		return h
	}
	h.at = v.at
	h.release, h.bundle, h.event, h.typ = d.text(v.get("release")), d.text(v.get("bundle")), d.text(v.get("event")), d.text(v.get("type"))
	if h.release.set() && h.release.s != "4.0.1" {
		d.add(CodeType, h.release.at, "The canonical side is FHIR 4.0.1.")
	}
	if h.bundle.set() && h.bundle.s != "message" {
		d.add(CodeType, h.bundle.at, "The canonical Bundle is of type message.")
	}
	return h
}

func (d decoder) names(doc *document, root *value) {
	for _, m := range d.members(root.get("names"), "names") {
		doc.names = append(doc.names, nameDef{text{m.name, m.at}, d.text(m.value)})
	}
}

func (d decoder) slices(doc *document, root *value) {
	for _, m := range d.members(root.get("slices"), "slices") {
		s := sliceDef{name: text{m.name, m.at}}
		if d.object(m.value, "A slice", bothKeys...) {
			if side := m.value.get(d.side); d.object(side, "A slice's "+d.side+" side", sideKeys...) {
				s.v2Match, s.v2Set = d.text(side.get("match")), d.text(side.get("set"))
			}
			if side := m.value.get("fhir"); d.object(side, "A slice's fhir side", sideKeys...) {
				s.fhirMatch, s.fhirSet = d.text(side.get("match")), d.text(side.get("set"))
			}
		}
		doc.slices = append(doc.slices, s)
	}
}

func (d decoder) frames(doc *document, root *value) {
	for _, m := range d.members(root.get("resources"), "resources") {
		f := frameDef{name: text{m.name, m.at}, at: m.at}
		v := m.value
		if !d.object(v, "A frame", frameKeys...) {
			continue
		}
		f.typ, f.from, f.in, f.by = d.text(v.get("type")), d.text(v.get("from")), d.text(v.get("in")), d.text(v.get("by"))
		f.orphans, f.since, f.until = d.text(v.get("orphans")), d.text(v.get("since")), d.text(v.get("until"))
		f.each, f.always = d.flag(v.get("each")), d.flag(v.get("always"))
		doc.frames = append(doc.frames, f)
	}
}

func (d decoder) links(doc *document, root *value) {
	for _, v := range d.list(root.get("links"), "links") {
		if !d.object(v, "A link", linkKeys...) {
			continue
		}
		l := linkDef{paths: d.texts(v.get("fhir")), to: d.texts(v.get("to")), or: d.texts(v.get("or")), at: v.at}
		l.stub, l.find, l.dir = d.flag(v.get("stub")), d.text(v.get("find")), d.text(v.get("dir"))
		d.choice(l.find, "backward")
		d.choice(l.dir, "->", "<-")
		doc.links = append(doc.links, l)
	}
}

func (d decoder) choice(t text, allowed ...string) {
	if t.set() && !has(allowed, t.s) {
		d.add(CodeType, t.at, "Here belongs %s.", strings.Join(allowed, " or "))
	}
}

func (d decoder) consts(doc *document, root *value) {
	for _, v := range d.list(root.get("const"), "const") {
		if !d.object(v, "A constant", constKeys...) {
			continue
		}
		c := constDef{v2: d.text(v.get(d.side)), fhir: d.text(v.get("fhir")), value: d.text(v.get("value")), at: v.at}
		c.since, c.until = d.text(v.get("since")), d.text(v.get("until"))
		if c.v2.set() == c.fhir.set() || !c.value.set() {
			d.add(CodeType, v.at, "A constant has a value and either %s or fhir.", d.side)
			continue
		}
		doc.consts = append(doc.consts, c)
	}
}

func (d decoder) tables(doc *document, root *value) {
	for _, v := range d.list(root.get("tables"), "tables") {
		if !d.object(v, "A table", tableKeys...) {
			continue
		}
		t := tableDef{id: d.text(v.get("id")), context: d.texts(v.get("context")), v2: d.texts(v.get(d.side)), fhir: d.texts(v.get("fhir")), at: v.at}
		d.choice(d.text(v.get("unmapped")), "error")
		for _, rv := range d.list(v.get("rows"), "rows") {
			if !d.object(rv, "A row", rowKeys...) {
				continue
			}
			r := rowDef{v2: d.texts(rv.get(d.side)), fhir: d.texts(rv.get("fhir")), dir: d.text(rv.get("dir")), at: rv.at}
			d.choice(r.dir, "->", "<-")
			if len(r.v2) != len(t.v2) || len(r.fhir) != len(t.fhir) {
				d.add(CodeType, rv.at, "This row has %d and %d cells, its table %d and %d.", len(r.v2), len(r.fhir), len(t.v2), len(t.fhir))
				continue
			}
			t.rows = append(t.rows, r)
		}
		doc.tables = append(doc.tables, t)
	}
}

func (d decoder) uses(doc *document, root *value) {
	for _, v := range d.list(root.get("use"), "use") {
		if d.object(v, "use", useKeys...) {
			use := useDef{block: d.text(v.get("block")), frame: d.text(v.get("for"))}
			if v.block != nil {
				use.rules = d.ruleList(v.block)
				use.changed = true
			}
			doc.uses = append(doc.uses, use)
		}
	}
}

// reasons reads paths with the reason of each, by side.
func (d decoder) reasons(root *value, key string, sides ...string) (list []ignoreDef) {
	v := root.get(key)
	if v == nil || !d.object(v, key, sides...) {
		return nil
	}
	for _, side := range sides {
		for _, m := range d.members(v.get(side), key) {
			list = append(list, ignoreDef{side == "fhir", text{m.name, m.at}, d.text(m.value)})
		}
	}
	return list
}

func (d decoder) codeMaps(doc *document, root *value) {
	for _, m := range d.members(root.get("codes"), "codes") {
		c := codesDef{name: text{m.name, m.at}}
		v := d.wholeCodes(root.get("codes"), m.value, m.name)
		if !d.object(v, "A code map", codesKeys...) {
			continue
		}
		c.use, c.unmapped, c.table, c.system = d.text(v.get("use")), d.text(v.get("unmapped")), d.text(v.get("table")), d.text(v.get("system"))
		d.choice(c.unmapped, string(unmappedError), string(unmappedKeep), string(unmappedTask))
		if !c.use.set() && !c.unmapped.set() {
			d.add(CodeType, v.at, "A code map says what happens to a code that it doesn't have: unmapped: error, keep or task.")
		}
		c.pairs, c.reverseOnly, c.forwardOnly = d.pairs(v.get("map")), d.pairs(v.get("reverseOnly")), d.pairs(v.get("forwardOnly"))
		c.prefer, c.display = d.pairs(v.get("prefer")), d.pairs(v.get("display"))
		doc.codes = append(doc.codes, c)
	}
}

// wholeCodes is a code map with what it extends: another of the file.
func (d decoder) wholeCodes(all, v *value, above ...string) *value {
	ref := d.text(v.get("extends"))
	if !ref.set() {
		return v
	}
	v = v.withoutKey("extends")
	from := all.get(ref.s)
	switch {
	case has(above, ref.s):
		d.add(CodeOverlay, ref.at, "The code map extends itself.")
	case from == nil:
		d.add(CodeNoCodeMap, ref.at, "There is no code map %q%s.", ref.s, meant(ref.s, namesOf(all.members())))
	case from.kind == mapValue:
		return merged(d.wholeCodes(all, from, append(above, ref.s)...), v)
	}
	return v
}

func (d decoder) pairs(v *value) []pair {
	var list []pair
	for _, m := range d.members(v, "A list of codes") {
		if m.yaml11 {
			d.warn(CodeQuote, m.at, "Quote this code: other YAML readers take it for a boolean or null.")
		}
		list = append(list, pair{text{m.name, m.at}, d.text(m.value)})
	}
	return list
}

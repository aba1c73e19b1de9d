package mappings

import (
	"maps"
	"slices"
	"strings"
)

// overlayKeys are the words that only a map with `extends` has; overlays are files, so they end here and the compiler
// sees one whole map.
var overlayKeys = []string{"extends", "override", "remove"}

// The keys of `override`: a rule's, or a table's, whose rows may be added to.
var (
	overrideKeys = append(slices.Clone(ruleKeys), "context", "unmapped", "rows")
	rowsKeys     = []string{"add", "before"}
)

// extend puts an overlay onto its base, once. Without `extends` there is nothing to do.
func (src *source) extend(bases, blocks map[string]*source, above ...*source) {
	if !src.wanted {
		return
	}
	src.wanted = false
	ref := decoder{src.r, "v2"}.text(src.root.get("extends"))
	if src.base = src.findBase(ref, bases, above); src.base == nil {
		src.broken = true
		return
	}
	src.base.extend(bases, blocks, append(above, src)...)
	if src.base.broken {
		src.broken = true
		return
	}
	o := overlay{decoder{src.r, sideOf(src.base.root)}, src.root, blocks, src.base.root.inFile(src.base.r.file)}
	src.root = o.merge()
	src.doc = decode(src.r, src.root)
}

func (src *source) findBase(ref text, bases map[string]*source, above []*source) *source {
	base := bases[ref.s]
	switch {
	case !ref.set():
		return nil // it was no text, and was told
	case src.doc.block:
		src.r.add(CodeOverlay, ref.at, "A block doesn't extend another; use both.")
	case !strings.Contains(ref.s, "@"):
		such := ref.s + "@1.0.0"
		for _, name := range slices.Sorted(maps.Keys(bases)) {
			if strings.HasPrefix(name, ref.s+"@") {
				such = name
			}
		}
		src.r.add(CodePin, ref.at, "The map that is extended is named with its version, such as %s.", such)
	case base == src || slices.Contains(above, base) && base != nil:
		src.r.add(CodeOverlay, ref.at, "The map extends itself.")
	case base == nil:
		src.r.add(CodeName, ref.at, "There is no map %q%s.", ref.s, meant(ref.s, keys(bases)))
	default:
		return base
	}
	return nil
}

// rootID is the id of the map at the bottom of the overlays.
func (src *source) rootID() string {
	for src.base != nil {
		src = src.base
	}
	return src.doc.id.s
}

// inFile is a copy whose places name the file that they are in.
func (v *value) inFile(file string) *value {
	if v == nil {
		return nil
	}
	c := *v
	if c.at.file == "" {
		c.at.file = file
	}
	c.keys, c.items, c.block = nil, nil, nil
	for _, m := range v.keys {
		if m.at.file == "" {
			m.at.file = file
		}
		m.value = m.value.inFile(file)
		c.keys = append(c.keys, m)
	}
	for _, item := range v.items {
		c.items = append(c.items, item.inFile(file))
	}
	for _, rule := range v.block {
		c.block = append(c.block, rule.inFile(file))
	}
	return &c
}

// overlay is a map that stands on another one.
type overlay struct {
	decoder
	over   *value
	blocks map[string]*source
	base   *value // a copy of its own
}

// merge gives the map that both make together, as if it had been written in one file.
func (o overlay) merge() *value {
	o.object(o.over, "A map", headKeys...)
	for _, m := range o.members(o.over.get("resources"), "resources") {
		if m.value.kind == nullValue {
			o.dropFrame(m)
		}
	}
	o.drop()
	o.change()
	whole := &value{at: o.over.at, kind: mapValue}
	for _, name := range headKeys {
		base, over := o.base.member(name), o.over.member(name)
		m := over
		if over != nil && slices.Contains(mergedKeys, name) {
			o.taken(o.base.get(name), over.value, name)
		}
		switch name {
		case "extends", "override", "remove":
			continue
		case "title", "v2", "dialect", "fhir", "names", "slices", "resources", "ignore", "drop", "loss":
			m = mergedMember(base, over)
		case "codes":
			m = o.codes(base, over)
		case "links", "tables":
			m = joinedMember(base, over)
		case "const":
			m = joinedMember(base.without(func(v *value) bool { return o.samePlace(v) }), over)
		case "use":
			m = joinedMember(base.without(func(v *value) bool { return o.sameUse(v) }), over)
		case "rules":
			m = o.rules(base, over)
		case "preserve":
			if m == nil {
				m = base
			}
		}
		if m != nil {
			whole.keys = append(whole.keys, *m)
		}
	}
	return whole
}

// members are the keys of a mapping; of anything else, none.
func (v *value) members() []member {
	if v == nil {
		return nil
	}
	return v.keys
}

func (v *value) list() []*value {
	if v == nil {
		return nil
	}
	return v.items
}

func (v *value) member(name string) *member {
	for i := range v.members() {
		if v.keys[i].name == name {
			return &v.keys[i]
		}
	}
	return nil
}

// string is a scalar's text; of anything else, nothing.
func (v *value) string() string {
	if v == nil {
		return ""
	}
	return v.text
}

// mergedKeys are those of a map of which an overlay may take keys out with ~. Frames have a check of their own.
var mergedKeys = []string{"title", "v2", "dialect", "fhir", "names", "slices", "ignore", "drop", "codes"}

// taken checks that the base has what an overlay takes out.
func (o overlay) taken(base, over *value, under string) {
	for _, m := range over.members() {
		if m.value.kind != nullValue {
			if under != "codes" { // which are replaced whole
				o.taken(base.get(m.name), m.value, m.name)
			}
		} else if base.get(m.name) == nil {
			o.add(CodeOverlay, m.at, "The map that is extended has no %q under %s to take out%s.", m.name, under, meant(m.name, namesOf(base.members())))
		}
	}
}

// mergedMember merges mappings key by key; what is no mapping is replaced, and nothing (~) takes a key out.
func mergedMember(base, over *member) *member {
	switch {
	case base == nil || over == nil:
		if over == nil {
			return base
		}
		return over
	case base.value.kind != mapValue || over.value.kind != mapValue:
		return over
	}
	m := *over
	m.value = merged(base.value, over.value)
	return &m
}

func merged(base, over *value) *value {
	whole := &value{at: over.at, kind: mapValue}
	for i := range base.keys {
		b := base.keys[i]
		m := mergedMember(&b, over.member(b.name))
		if m.value.kind != nullValue {
			whole.keys = append(whole.keys, *m)
		}
	}
	for i := range over.keys {
		if m := over.keys[i]; base.member(m.name) == nil && m.value.kind != nullValue {
			whole.keys = append(whole.keys, m)
		}
	}
	return whole
}

// joinedMember puts the overlay's list behind the base's.
func joinedMember(base, over *member) *member {
	if base == nil || over == nil || over.value.kind != listValue {
		return mergedMember(base, over)
	}
	m := *over
	m.value = &value{at: over.value.at, kind: listValue, items: slices.Concat(base.value.list(), over.value.items)}
	return &m
}

// without is a list's member without some of its items.
func (m *member) without(some func(*value) bool) *member {
	if m == nil {
		return nil
	}
	c := *m
	v := *m.value
	v.items = slices.DeleteFunc(slices.Clone(v.items), some)
	c.value = &v
	return &c
}

// samePlace says whether the overlay has a constant for the same place.
func (o overlay) samePlace(base *value) bool {
	return slices.ContainsFunc(o.over.get("const").list(), func(v *value) bool {
		return v.get(o.side).string() == base.get(o.side).string() && v.get("fhir").string() == base.get("fhir").string()
	})
}

// sameUse says whether the overlay uses another version of the same block for the same frame.
func (o overlay) sameUse(base *value) bool {
	id, _, _ := strings.Cut(base.get("block").string(), "@")
	return slices.ContainsFunc(o.over.get("use").list(), func(v *value) bool {
		other, _, _ := strings.Cut(v.get("block").string(), "@")
		return other == id && v.get("for").string() == base.get("for").string()
	})
}

// codes replaces code maps whole, unless one says which of the base's it extends.
func (o overlay) codes(base, over *member) *member {
	if over == nil || base == nil || over.value.kind != mapValue {
		return mergedMember(base, over)
	}
	own := &value{at: over.value.at, kind: mapValue}
	for _, m := range over.value.keys {
		if ref := m.value.get("extends"); ref != nil {
			if from := base.value.get(ref.string()); from != nil {
				m.value = merged(from, m.value.withoutKey("extends"))
			}
		}
		own.keys = append(own.keys, m)
	}
	whole := &value{at: own.at, kind: mapValue}
	for _, b := range base.value.keys {
		if own.member(b.name) == nil {
			whole.keys = append(whole.keys, b)
		}
	}
	for _, m := range own.keys {
		if m.value.kind != nullValue {
			whole.keys = append(whole.keys, m)
		}
	}
	m := *over
	m.value = whole
	return &m
}

func (v *value) withoutKey(name string) *value {
	c := *v
	c.keys = slices.DeleteFunc(slices.Clone(v.keys), func(m member) bool { return m.name == name })
	return &c
}

// rules adds the overlay's rules, each behind the one that it names with `after`.
func (o overlay) rules(base, over *member) *member {
	if over == nil || over.value.kind != listValue {
		return mergedMember(base, over)
	}
	whole := &value{at: over.value.at, kind: listValue}
	if base != nil {
		whole.items = slices.Clone(base.value.list())
	}
	for _, rule := range over.value.items {
		id, after := rule.get("id"), rule.get("after")
		if rule.kind == mapValue && o.has(id.string()) {
			o.add(CodeOverlay, id.at, "The map that is extended has %q already; change it under override.", id.text)
			continue
		}
		if after == nil {
			whole.items = append(whole.items, rule)
			continue
		}
		rule = rule.withoutKey("after")
		i := slices.IndexFunc(whole.items, func(v *value) bool { return v.get("id").string() == after.text })
		if i < 0 {
			o.add(CodeOverlay, after.at, "There is no rule %q to stand behind%s.", after.text, meant(after.text, o.ids()))
			i = len(whole.items) - 1
		}
		whole.items = slices.Insert(whole.items, i+1, rule)
	}
	m := *over
	m.value = whole
	return &m
}

// change does what `override` says: the keys that it gives replace those of the rule or table.
func (o overlay) change() {
	var seen []string
	for _, v := range o.list(o.over.get("override"), "override") {
		if !o.object(v, "What is overridden", overrideKeys...) {
			continue
		}
		id := o.text(v.get("id"))
		if !id.set() {
			o.add(CodeType, v.at, "Say by its id which rule or table is overridden.")
			continue
		}
		if slices.Contains(seen, id.s) {
			o.add(CodeDuplicate, id.at, "%q is overridden above too; let one entry say all.", id.s)
			continue
		}
		seen = append(seen, id.s)
		if gone := o.removed(id.s); gone != "" {
			o.add(CodeOverlay, id.at, "%q is taken out under `remove`, so nothing is left to override; say one of the two.", gone)
			continue
		}
		if !o.replace(id.s, func(old *value) *value { return o.overridden(old, v) }) {
			o.add(CodeOverlay, id.at, "The map that is extended has no rule or table %q%s.", id.s, meant(id.s, o.ids()))
		}
	}
}

// removed is what `remove` names of a rule: its id, or that of one around it. It is empty where nothing does.
func (o overlay) removed(id string) string {
	for _, m := range o.over.get("remove").members() {
		if id == m.name || strings.HasPrefix(id, m.name+".") {
			return m.name
		}
	}
	return ""
}

// waysToPair exclude one another in a rule: one that an overlay gives takes the place of the base's.
var waysToPair = []string{"as", "code", "rules", "first", "link", "value"}

// overridden is a rule or table with the keys that the overlay gives.
func (o overlay) overridden(old, v *value) *value {
	given := v.withoutKey("id") // which stays as the base has it: a nested rule's is short
	if was, rows := old.get("rows"), v.get("rows"); was != nil && rows != nil && rows.kind == mapValue {
		given = given.withoutKey("rows")
		given.keys = append(given.keys, member{name: "rows", at: rows.at, value: o.moreRows(was, rows)})
	}
	for _, m := range given.keys { // `if`, `or` and the like are replaced whole
		old = old.withoutKey(m.name)
		if slices.Contains(waysToPair, m.name) {
			for _, other := range waysToPair {
				old = old.withoutKey(other)
			}
		}
	}
	return merged(old, given)
}

// moreRows adds rows to a table's, before the one of that number or behind all.
func (o overlay) moreRows(old, more *value) *value {
	o.object(more, "rows", rowsKeys...)
	add := o.list(more.get("add"), "add")
	at := len(old.items)
	if before := o.text(more.get("before")); before.set() {
		n, err := (&scan{s: before.s}).number()
		if err != nil || n > len(old.items) {
			o.add(CodeType, before.at, "`before` is the number of a row, 1 to %d.", len(old.items))
		} else {
			at = n - 1
		}
	}
	return &value{at: more.at, kind: listValue, items: slices.Insert(slices.Clone(old.items), at, add...)}
}

// drop does what `remove` says.
func (o overlay) drop() {
	for _, m := range o.members(o.over.get("remove"), "remove") {
		if m.value.kind != scalarValue || strings.TrimSpace(m.value.text) == "" {
			o.add(CodeType, m.at, "Say why it is removed.")
		}
		if !o.replace(m.name, func(*value) *value { return nil }) {
			o.add(CodeOverlay, m.at, "The map that is extended has no rule or table %q%s.", m.name, meant(m.name, o.ids()))
		}
	}
}

// replace changes the rule or table of an id, also a block's (pat.names) and one inside another (reasons.code); nil takes
// it out. It says whether there is one.
func (o overlay) replace(id string, with func(*value) *value) bool {
	for _, name := range []string{"tables", "rules"} {
		list := o.base.get(name)
		if list == nil {
			continue
		}
		if items, ok := replaced(list.items, id, with); ok {
			list.items = items
			return true
		}
	}
	for _, use := range o.base.get("use").list() {
		rest, ok := strings.CutPrefix(id, use.get("for").string()+".")
		if !ok {
			continue
		}
		if rules, ok := replaced(o.blockRules(use), rest, with); ok {
			use.block = append([]*value{}, rules...) // not nil, even if no rule is left
			return true
		}
	}
	return false
}

// blockRules are the rules of a block as this map has them.
func (o overlay) blockRules(use *value) []*value {
	if use.block != nil {
		return use.block
	}
	src := o.blocks[use.get("block").string()]
	if src == nil {
		return nil
	}
	return src.root.inFile(src.r.file).get("rules").list()
}

func replaced(list []*value, id string, with func(*value) *value) ([]*value, bool) {
	for i, v := range list {
		own := v.get("id").string()
		if own == id {
			list = slices.Clone(list)
			if v = with(v); v == nil {
				return slices.Delete(list, i, i+1), true
			}
			list[i] = v
			return list, true
		}
		rest, inside := strings.CutPrefix(id, own+".")
		if !inside {
			continue
		}
		for _, name := range []string{"rules", "first"} {
			if kids, ok := replaced(v.get(name).list(), rest, with); ok {
				v.get(name).items = kids
				return list, true
			}
		}
	}
	return list, false
}

// has says whether the base has a rule or table of that id.
func (o overlay) has(id string) bool { return slices.Contains(o.ids(), id) }

// ids are those that may be overridden.
func (o overlay) ids() []string {
	list := append(ruleIDs(o.base.get("tables").list(), ""), ruleIDs(o.base.get("rules").list(), "")...)
	for _, use := range o.base.get("use").list() {
		list = append(list, ruleIDs(o.blockRules(use), use.get("for").string()+".")...)
	}
	return list
}

func ruleIDs(rules []*value, prefix string) []string {
	var list []string
	for _, v := range rules {
		id := prefix + v.get("id").string()
		list = append(list, id)
		for _, name := range []string{"rules", "first"} {
			list = append(list, ruleIDs(v.get(name).list(), id+".")...)
		}
	}
	return list
}

// dropFrame takes a frame out of the base, with what stands inside it and all that leads from it or to it.
func (o overlay) dropFrame(frame member) {
	frames := o.base.get("resources")
	if frames.get(frame.name) == nil {
		o.add(CodeOverlay, frame.at, "The map that is extended has no frame %q%s.", frame.name, meant(frame.name, namesOf(frames.members())))
		return
	}
	gone := []string{frame.name}
	for i := 0; i < len(gone); i++ {
		for _, m := range frames.keys {
			if m.value.get("in").string() == gone[i] {
				gone = append(gone, m.name)
			}
		}
	}
	frames.keys = slices.DeleteFunc(frames.keys, func(m member) bool { return slices.Contains(gone, m.name) })
	g := goneFrames(gone)
	for _, name := range []string{"links", "const", "use", "rules"} {
		if list := o.base.get(name); list != nil {
			list.items = g.prune(list.items)
		}
	}
	if ignored := o.base.get("ignore").get("fhir"); ignored != nil {
		ignored.keys = slices.DeleteFunc(ignored.keys, func(m member) bool { return g.on(m.name) })
	}
}

func namesOf(list []member) []string {
	var all []string
	for _, m := range list {
		all = append(all, m.name)
	}
	return all
}

// goneFrames are frames that a map doesn't have any more.
type goneFrames []string

// on says whether a path or name is one of theirs.
func (g goneFrames) on(path string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "origin."), ".")
	return slices.Contains(g, name)
}

// prune takes out rules, links, constants and uses that are about them.
func (g goneFrames) prune(items []*value) []*value {
	return slices.DeleteFunc(items, func(v *value) bool {
		g.thin(v.get("also").get("fhir"))
		g.thin(v.get("or").get("fhir"))
		g.thin(v.get("or"))
		for _, name := range []string{"rules", "first"} {
			if kids := v.get(name); kids.list() != nil {
				if kids.items = g.prune(kids.items); len(kids.items) == 0 {
					return true
				}
			}
		}
		return g.thin(v.get("fhir")) || g.thin(v.get("to")) || g.on(v.get("for").string()) || g.on(v.get("link").string())
	})
}

// thin takes their paths out of a list, and says whether none is left.
func (g goneFrames) thin(v *value) bool {
	if v == nil || v.kind == mapValue {
		return false
	}
	if v.kind == scalarValue {
		return g.on(v.text)
	}
	before := len(v.items)
	v.items = slices.DeleteFunc(v.items, func(item *value) bool { return g.on(item.text) })
	return before > 0 && len(v.items) == 0
}

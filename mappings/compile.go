package mappings

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// unit is a file that takes part in a map: the map itself, or a block used for a frame. Each has its own names, slices
// and code maps, and its faults are reported against its own file.
type unit struct {
	doc    *document
	r      *reporter
	names  map[string]string
	slices map[string]sliceDef
	codes  map[string]*codeMap
	it     *frame // of a block
	prefix string // of rule ids: pat.
}

// shelf is what maps stand on, by ID@VERSION.
type shelf struct {
	bases    map[string]*source // every map: what overlays extend
	blocks   map[string]*source
	concepts map[string]*codeMap
	guards   *expressions
}

// edition is a map compiled for one version.
type edition struct {
	program *program // nil where the version has none of the map's structures
	told    told
	faulty  bool // one of the faults is an error
}

// compiler makes the program of one version.
type compiler struct {
	shelf
	told     told
	main     *unit
	versions []string // all that the map is for
	dict     *hl7v2.Dict
	defs     *fhir.Defs
	p        *program
	frames   map[string]*frame
	ranks    map[string]int64
	refs     []*fhirRef // with lists, for their claims
	v2refs   []*v2Ref
	claims   map[string][]*fhirPlace
	v2claims map[string][]*v2Ref
	written  map[string]pos // FHIR places that two-way rules write
	filled   map[string]bool
	alone    bool // inside `first`, whose alternatives may write one place
	asking   bool // inside a guard, which takes nothing from a (rest)

	anchors func(u *unit, f *frame, def frameDef) // reads a frame's `from` where the dialect is FHIR
}

// compileVersion makes the program of one version.
func compileVersion(src *source, from shelf, versions []string, version string) *edition {
	e := &edition{told: told{}}
	e.program = compileProgram(src, from, versions, version, e.told)
	e.faulty = e.told.faulty()
	return e
}

// compileProgram makes the program of one version; what is wrong goes to told.
func compileProgram(src *source, from shelf, versions []string, version string, told told) *program {
	dict, err := hl7v2.Dictionary(version)
	if err != nil {
		told.of(src.r).add(CodeType, src.doc.v2.at, "There is no dictionary for version %s.", version)
		return nil
	}
	c := &compiler{shelf: from, told: told, versions: versions, dict: dict, defs: fhir.Definitions(),
		p: &program{version: version, dict: dict, owned: map[*groupDef]bool{}}, frames: map[string]*frame{},
		ranks: map[string]int64{}, claims: map[string][]*fhirPlace{}, v2claims: map[string][]*v2Ref{},
		written: map[string]pos{}, filled: map[string]bool{}}
	c.main = c.unit(src, nil, "")
	c.structure()
	if c.p.root == nil {
		return nil
	}
	c.declareFrames()
	c.scopes()
	c.rules()
	c.ignores()
	c.drops()
	c.p.withholds = c.main.doc.loss.s == lossWithheld
	c.settleClaims()
	c.plan()
	c.required()
	c.findNeeds()
	return c.p
}

// unit resolves a file's names, slices and code maps.
func (c *compiler) unit(src *source, it *frame, prefix string) *unit {
	u := &unit{doc: src.doc, r: c.told.of(src.r), names: map[string]string{"silta": profiles.Base}, slices: map[string]sliceDef{},
		codes: map[string]*codeMap{}, it: it, prefix: prefix}
	for _, n := range src.doc.names {
		if _, twice := u.names[n.name.s]; twice {
			u.r.add(CodeDuplicate, n.name.at, "The name %q is taken.", n.name.s)
		}
		u.names[n.name.s] = u.constant(n.value)
	}
	for _, s := range src.doc.slices {
		u.slices[s.name.s] = s
	}
	for _, def := range src.doc.codes {
		if !def.use.set() {
			u.codes[def.name.s] = inlineCodes(u.r, def, u.constant)
			u.codes[def.name.s].displays(u.r, def)
			continue
		}
		m := c.concepts[def.use.s]
		if !strings.Contains(def.use.s, "@") {
			u.r.add(CodePin, def.use.at, "A code map is named with its version, such as %s@1.0.0.", def.use.s)
			continue
		}
		if m == nil {
			u.r.add(CodeNoCodeMap, def.use.at, "There is no code map %q under codes/%s.", def.use.s, meant(def.use.s, keys(c.concepts)))
			continue
		}
		u.codes[def.name.s] = m.with(u.r, def, u.constant)
		u.codes[def.name.s].displays(u.r, def)
	}
	return u
}

// within lets the rules of a block that an overlay changed use what the map declares too; their faults are the map's.
func (u *unit) within(main *unit) {
	u.r = main.r
	addMissing(u.names, main.names)
	addMissing(u.slices, main.slices)
	addMissing(u.codes, main.codes)
}

func addMissing[V any](to, from map[string]V) {
	for k, v := range from {
		if _, known := to[k]; !known {
			to[k] = v
		}
	}
}

func keys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return list
}

// constant puts names in for $name, at the start or as a prefix: $fi/municipality-code.
func (u *unit) constant(t text) string {
	s, err := u.expand(t.s)
	if err != nil {
		u.r.add(CodeName, t.at, "There is no name %q%s.", t.s, meant(strings.TrimPrefix(t.s, "$"), keys(u.names)))
	}
	return s
}

func (u *unit) expand(s string) (string, error) {
	if !strings.HasPrefix(s, "$") {
		return s, nil
	}
	name, rest := s[1:], ""
	if i := strings.IndexAny(name, "/|"); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	value, ok := u.names[name]
	if !ok {
		return s, errPath
	}
	return value + rest, nil
}

// structure finds the structure that this version reads and writes, and puts declared Z-segments into it.
func (c *compiler) structure() {
	h := c.main.doc.v2
	for _, s := range h.structures {
		if c.p.structure = c.dict.Structure(s.s); c.p.structure != nil {
			break
		}
	}
	if c.p.structure == nil {
		at := h.at
		if len(h.structures) > 0 {
			at = h.structures[0].at
		}
		if len(h.structures) == 0 || c.firstVersion() {
			c.main.r.add(CodeNotInMessage, at, "HL7 v%s has none of the map's structures.", c.dict.Version())
		}
		return
	}
	for _, z := range h.zsegments {
		if !strings.HasPrefix(z.id.s, "Z") {
			c.main.r.add(CodeZSegment, z.id.at, "A Z-segment's name starts with Z.")
			continue
		}
		with, ok := c.p.structure.With(z.id.s, z.after.s)
		if !ok {
			c.main.r.add(CodeNotInMessage, at(z.after.at, z.id.at), "The structure has no segment %s that %s could follow%s.", z.after.s, z.id.s, meant(z.after.s, c.dict.Segments()))
			continue
		}
		c.p.structure = with
	}
	c.zfieldTypes()
	c.p.root = newGroupDef(c.p.structure.Root, nil)
}

// zfieldTypes checks the data types of declared Z-segments' fields. One of any HL7 version will do: partners put newer
// ones into their own segments.
func (c *compiler) zfieldTypes() {
	if len(c.main.doc.v2.zsegments) == 0 {
		return // reading every dictionary takes time
	}
	known := map[string]bool{}
	for _, v := range hl7v2.Versions() {
		if d, err := hl7v2.Dictionary(v); err == nil {
			for _, typ := range d.Types() {
				known[typ] = true
			}
		}
	}
	for _, z := range c.main.doc.v2.zsegments {
		for i, t := range z.fields {
			if !known[t.s] {
				c.main.r.add(CodeZSegment, at(t.at, z.id.at), "%s-%d: HL7 has no data type %q%s.", z.id.s, i+1, t.s, meant(t.s, keys(known)))
			}
		}
	}
}

func (c *compiler) firstVersion() bool {
	return len(c.versions) > 0 && c.versions[0] == c.dict.Version()
}

// active says whether a rule, frame or constant counts in this version.
func (c *compiler) active(u *unit, since, until text) bool {
	if c.dict == nil {
		return true // FHIR has one version here
	}
	for _, t := range []text{since, until} {
		if t.set() && !has(hl7v2.Versions(), t.s) {
			u.r.add(CodeVersion, t.at, "There is no HL7 version %s%s.", t.s, meant(t.s, hl7v2.Versions()))
			return true
		}
	}
	v := c.dict.Version()
	return (!since.set() || hl7v2.VersionAtLeast(v, since.s)) && (!until.set() || hl7v2.VersionAtLeast(until.s, v))
}

func (c *compiler) declareFrames() {
	c.p.bundle = &frame{name: "bundle", typ: "Bundle", index: -1, defs: c.defs.Type("Bundle"), message: true, always: true, from: "message"}
	c.frames["bundle"] = c.p.bundle
	u := c.main
	for _, def := range u.doc.frames {
		if _, twice := c.frames[def.name.s]; twice {
			u.r.add(CodeDuplicate, def.at, "The frame %q stands here twice.", def.name.s)
			continue
		}
		if !c.active(u, def.since, def.until) {
			continue
		}
		f := &frame{name: def.name.s, typ: def.typ.s, index: len(c.p.frames), each: def.each, always: def.always, from: def.from.s, at: def.at}
		if f.defs = c.defs.Type(f.typ); f.defs == nil || f.defs.Kind != fhir.Resource || f.defs.Abstract {
			u.r.add(CodeElement, at(def.typ.at, def.at), "FHIR R4 has no resource type %q%s.", f.typ, meant(f.typ, c.defs.Resources()))
			continue
		}
		if c.anchors != nil {
			c.anchors(u, f, def)
		} else {
			c.frameSource(u, f, def)
		}
		c.frames[f.name] = f
		c.p.frames = append(c.p.frames, f)
	}
	for _, def := range u.doc.frames {
		c.nest(u, def)
	}
}

// frameSource reads `from`.
func (c *compiler) frameSource(u *unit, f *frame, def frameDef) {
	if def.from.s == "message" {
		f.message = true
		return
	}
	p, err := parseV2Path(def.from.s)
	if err != nil || p.it || p.comp > 0 || p.segPick.kind == pickIndex || p.segPick.kind == pickAll {
		u.r.add(CodePath, at(def.from.at, def.at), "A frame comes from message, from a segment such as PID or PRD[1.1=RT], or from a field such as TXA-9.")
		f.message = true
		return
	}
	f.anchor, f.rest, f.field, f.fieldPick = p.segment, p.segPick.kind == pickRest, p.field, p.pick
	if p.segPick.selecting() {
		f.selector = c.v2Selector(u, p.segPick, true, def.from)
	}
}

// nest settles `in` and `by`.
func (c *compiler) nest(u *unit, def frameDef) {
	f := c.frames[def.name.s]
	if f == nil || !def.in.set() {
		return
	}
	if f.parent = c.frames[def.in.s]; f.parent == nil {
		u.r.add(CodeFrame, def.in.at, "There is no frame %q%s.", def.in.s, meant(def.in.s, keys(c.frames)))
		return
	}
	for p := f.parent; p != nil; p = p.parent {
		if p == f {
			u.r.add(CodeNesting, def.in.at, "The frame %q stands inside itself.", f.name)
			f.parent = nil
			return
		}
	}
	if !def.by.set() {
		u.r.add(CodeNesting, def.at, "A nested frame needs `by`: the reference between %s and %s.", f.parent.name, f.name)
		return
	}
	f.by = c.fhirPath(u, def.by, nil)
	if f.by == nil {
		return
	}
	f.byChild = f.by.frame == f
	target := f
	if f.byChild {
		target = f.parent
	}
	if f.by.typ != "Reference" || f.by.frame != f && f.by.frame != f.parent {
		u.r.add(CodeNesting, def.by.at, "`by` must be a reference from %s to %s or back.", f.parent.name, f.name)
	}
	c.mayPoint(u, f.by, target)
	if def.orphans.set() {
		if f.orphans = c.fhirPath(u, def.orphans, nil); f.orphans != nil {
			c.mayPoint(u, f.orphans, f)
		}
	}
}

// mayPoint checks that a reference element may lead to a frame's type.
func (c *compiler) mayPoint(u *unit, ref *fhirRef, to *frame) {
	if ref.typ != "Reference" {
		u.r.add(CodeTypeClash, ref.at, "%s is no reference.", ref.path.source)
		return
	}
	if e := ref.elem; len(e.Targets) > 0 && !has(e.Targets, to.typ) && !has(e.Targets, "Resource") {
		u.r.add(CodeTarget, ref.at, "%s may not point to a %s; it may to %s.", ref.path.source, to.typ, strings.Join(e.Targets, ", "))
	}
}

// scopes finds the group that each anchor stands for.
func (c *compiler) scopes() {
	c.p.bundle.scope, c.p.bundle.holder = c.p.root, c.p.root
	for _, f := range c.p.frames {
		if f.message {
			f.scope, f.holder = c.p.root, c.p.root
			continue
		}
		f.holder = c.p.root
		if c.p.root.direct(f.anchor) < 0 {
			f.holder = c.p.root.holder(f.anchor, nil)
		}
		if f.parent != nil && f.parent.holder != nil && f.parent.anchor == f.anchor {
			f.holder = f.parent.holder // 2.7 and later have other OBX before those of the results
		} else if f.parent != nil && f.parent.scope != nil {
			if f.parent.scope.direct(f.anchor) >= 0 {
				f.holder = f.parent.scope
			} else if inside := f.parent.scope.holder(f.anchor, nil); inside != nil {
				f.holder = inside
			}
		}
		if f.holder == nil {
			c.absentSegment(f.anchor, f.at)
			f.holder = c.p.root
			continue
		}
		// OBX is optional in the OBSERVATION of older versions, and the group is about it all the same.
		at := f.holder.direct(f.anchor)
		if m := f.holder.members[at]; !m.repeats && (m.required || at == 0) {
			f.scope = f.holder
		}
		if f.field > 0 && c.field(c.main, f.anchor, f.field, f.at) == nil {
			f.field = 0
		}
	}
	for _, f := range c.p.frames {
		if f.parent != nil && f.scope != nil && f.scope != f.parent.scope {
			c.p.owned[f.scope] = true
		}
		if f.rest {
			for _, other := range c.p.frames {
				if other != f && other.anchor == f.anchor && other.selector != nil {
					f.rivals = append(f.rivals, other.selector)
				}
			}
		}
	}
}

// absentSegment reports a segment that isn't in the structure, or in HL7 at all, or not in this version.
func (c *compiler) absentSegment(id string, at pos) {
	r := c.main.r
	switch {
	case c.zsegment(id) >= 0: // it has no place in the structure, which was told where it is declared
	case strings.HasPrefix(id, "Z"):
		r.add(CodeZSegment, at, "The map doesn't declare %s under v2.zsegments.", id)
	case c.dict.Segment(id) != nil:
		r.add(CodeNotInMessage, at, "%s isn't in %s of HL7 v%s.", id, c.p.structure.Name, c.dict.Version())
	case c.elsewhere(func(d *hl7v2.Dict) bool { return d.Segment(id) != nil }):
		r.add(CodeVersion, at, "There is no segment %s in HL7 v%s; say since or until.", id, c.dict.Version())
	default:
		r.add(CodeSegment, at, "HL7 v%s has no segment %s%s.", c.dict.Version(), id, meant(id, c.dict.Segments()))
	}
}

// elsewhere says whether another version of the map fits.
func (c *compiler) elsewhere(fits func(*hl7v2.Dict) bool) bool {
	for _, v := range c.versions {
		if d, err := hl7v2.Dictionary(v); err == nil && fits(d) {
			return true
		}
	}
	return false
}

// rank numbers keys in the order in which they come first.
func (c *compiler) rank(key string) int64 {
	n, ok := c.ranks[key]
	if !ok {
		n = int64(len(c.ranks) + 1)
		c.ranks[key] = n
	}
	return n
}

// source is a file of the catalog.
type source struct {
	doc    *document
	root   *value // the file as it stands; of an overlay, after extend, with its base
	base   *source
	r      *reporter
	data   []byte
	digest string
	dir    string // its folder in the layer, for the cases
	wanted bool   // an overlay that extend hasn't put onto its base yet
	broken bool   // no YAML, or an overlay whose base isn't there: nothing can be said about the rest
}

// reporterSet keeps a reporter for each file.
type reporterSet struct {
	list    []*reporter
	builtIn int // so many of them, the first, are of files that are built in
}

func (s *reporterSet) file(name string) *reporter {
	r := &reporter{file: name}
	s.list = append(s.list, r)
	return r
}

// faults are all faults of all files, each once: a map is compiled for several versions, and a block for several maps.
// Of what is built in there are no warnings: who runs Silta can't mend it.
func (s *reporterSet) faults(compiled []*Map) contracts.Faults {
	var all contracts.Faults
	seen := map[faultKey]bool{}
	for i, r := range s.list {
		for _, f := range r.with(compiled).once() { // an overlay tells its base's faults too
			if k := keyOf(f); !seen[k] && (i >= s.builtIn || f.Grade == contracts.GradeError) {
				seen[k] = true
				all = append(all, f)
			}
		}
	}
	return all
}

// told is what one compile says of files: of the map's, and of those of the blocks that it uses. The file's own reporter
// has what was wrong when it was read.
type told map[*reporter]*reporter

func (t told) of(file *reporter) *reporter {
	r := t[file]
	if r == nil {
		r = &reporter{file: file.file}
		t[file] = r
	}
	return r
}

func (t told) faulty() bool {
	for _, r := range t {
		if r.faults.Err() != nil {
			return true
		}
	}
	return false
}

// with is a reporter with what compiled maps say of its file too.
func (r *reporter) with(compiled []*Map) *reporter {
	all := &reporter{file: r.file, faults: slices.Clone(r.faults)}
	add := func(t told) {
		if more := t[r]; more != nil {
			all.faults = append(all.faults, more.faults...)
		}
	}
	for _, m := range compiled {
		add(m.told)
		for _, v := range m.versions {
			add(m.editions[v]().told)
		}
	}
	return all
}

type faultKey struct {
	file, code string
	line, col  int
}

func keyOf(f *contracts.Fault) faultKey { return faultKey{f.File, f.Code, f.Line, f.Col} }

// once gives the faults without repeats of one code at one place, in the order of the file.
func (r *reporter) once() contracts.Faults {
	seen := map[faultKey]bool{}
	var list contracts.Faults
	for _, f := range r.faults {
		if k := keyOf(f); !seen[k] {
			seen[k] = true
			list = append(list, f)
		}
	}
	sortFaults(list)
	return list
}

package mappings

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// dialectHead is what a map says of a dialect that is FHIR.
type dialectHead struct {
	at        pos
	kind      text
	release   text
	root      text // the type of the resource that a message is: Bundle, Task
	types     []text
	events    []text // the codes of MessageHeader.event[x] that the map takes; none: all
	contained bool   // the other resources stand inside the root
}

// dialectWords names the dialects in faults.
var dialectWords = map[string]string{"v2": "HL7 v2", "dialect": "FHIR"}

// foreign says whether a key belongs to maps of the other kind of dialect. Versions, joined repetitions and groups are
// HL7 v2's alone.
func (d decoder) foreign(key string) bool {
	if d.side == "v2" {
		return key == "dialect" || key == "except"
	}
	return slices.Contains([]string{"v2", "since", "until", "orphans", "rep", "sep", "use", "anchor", "drop", "invalid"}, key)
}

func (d decoder) dialectHead(v *value) dialectHead {
	h := dialectHead{}
	if !d.object(v, "dialect", dialectKeys...) {
		return h
	}
	h.at = v.at
	h.kind, h.release, h.root = d.text(v.get("kind")), d.text(v.get("release")), d.text(v.get("root"))
	h.types, h.events, h.contained = d.texts(v.get("types")), d.texts(v.get("events")), d.flag(v.get("contained"))
	d.choice(h.kind, "fhir")
	d.choice(h.release, "4.0.1")
	if !h.kind.set() || !h.root.set() {
		d.add(CodeType, v.at, "A dialect says its kind and what a message of it is: {kind: fhir, root: Bundle}.")
	}
	return h
}

// fhirProgram is a map whose dialect is FHIR, compiled. It is immutable. The program inside is of the canonical side.
type fhirProgram struct {
	*program
	root      *anchor
	anchors   []*anchor // a base stands before what stands on it
	of        []*anchor // of the canonical frames, by their index
	copies    []*fhirRule
	rules     []*fhirRule
	tables    []*fhirTable
	consts    []*constant // of the dialect; their place is in fhir
	ignored   []*fhirRef  // of the dialect
	events    []string
	contained bool
}

type anchorKind uint8

const (
	anchorRoot      anchorKind = iota // the message itself
	anchorType                        // a resource of a type
	anchorReference                   // a resource that a reference leads to
	anchorElement                     // an element of a resource
)

// anchor is where the dialect has what frames stand for. Frames whose `from` is the same text share one.
type anchor struct {
	kind  anchorKind
	from  string
	frame *frame // what its paths are bound to; its index is the anchor's number
	base  *anchor
	path  *fhirRef // from the base to the element or reference
	sel   *fhirSelector
}

func (a *anchor) typ() string { return a.frame.typ }

func (a *anchor) isResource() bool { return a.kind != anchorElement }

// The sides of a rule whose dialect is FHIR.
const (
	ofDialect = iota
	ofCanonical
)

// fhirRule is a rule with FHIR on both sides.
type fhirRule struct {
	*op     // who wrote it, and what both ways share
	sides   [2]fhirSide
	convert *fhirLens // nil: the element as it stands
	except  []string
	kids    []*fhirRule
}

// fhirSide is what a rule says of one side.
type fhirSide struct {
	paths, or, also []*fhirRef
	ifs             [][]fhirRefCond
	set             []fhirRefCond
	when            *guard
}

// fhirTable is a table with FHIR on both sides. The cells of its rows' v2 are the dialect's.
type fhirTable struct {
	*table
	dialect []*fhirRef
}

func (t *fhirTable) paths(side int) []*fhirRef {
	if side == ofDialect {
		return t.dialect
	}
	return t.fhir
}

// cells are a row's of one side.
func (r *tableRow) cells(side int) []string {
	if side == ofDialect {
		return r.v2
	}
	return r.fhir
}

// context says which cells of a side are only read.
func (t *fhirTable) context(side int) []bool {
	if side == ofDialect {
		return t.v2Ctx
	}
	return t.fhirCtx
}

// dialectCompiler binds what a map says of a dialect that is FHIR.
type dialectCompiler struct {
	*compiler
	head dialectHead
	p    *fhirProgram
}

// compileDialect makes the program of a map whose dialect is FHIR; faults go to told.
func compileDialect(src *source, from shelf, told told) *fhirProgram {
	c := &compiler{shelf: from, told: told, defs: fhir.Definitions(), p: &program{owned: map[*groupDef]bool{}}, frames: map[string]*frame{},
		ranks: map[string]int64{}, claims: map[string][]*fhirPlace{}, v2claims: map[string][]*v2Ref{},
		written: map[string]pos{}, filled: map[string]bool{}}
	d := &dialectCompiler{compiler: c, head: src.doc.dialect, p: &fhirProgram{program: c.p, contained: src.doc.dialect.contained}}
	c.main = c.unit(src, nil, "")
	if !d.message() {
		return nil
	}
	c.p.withholds = src.doc.loss.s == lossWithheld
	c.anchors = d.anchor
	c.declareFrames()
	d.compileRules()
	c.settleClaims()
	c.plan()
	c.required()
	d.required()
	c.findNeeds()
	return d.p
}

// message checks what the dialect's messages are.
func (d *dialectCompiler) message() bool {
	u := d.main
	for _, t := range append([]text{d.head.root}, d.head.types...) {
		if def := d.defs.Type(t.s); t.set() && (def == nil || def.Kind != fhir.Resource || def.Abstract) {
			u.r.add(CodeElement, t.at, "FHIR R4 has no resource type %q%s.", t.s, meant(t.s, d.defs.Resources()))
			return false
		}
	}
	if d.defs.Type(d.head.root.s) == nil {
		return false // it was told
	}
	d.p.events = texts(d.head.events)
	d.p.root = d.add(&anchor{kind: anchorRoot, from: "message"}, d.head.root.s)
	return true
}

// add gives an anchor its number and what its paths are bound to.
func (d *dialectCompiler) add(a *anchor, typ string) *anchor {
	name := "dialect " + a.from
	a.frame = &frame{name: name, typ: typ, index: len(d.p.anchors), defs: d.defs.Type(typ), message: a.kind == anchorRoot, from: a.from}
	d.p.anchors = append(d.p.anchors, a)
	return a
}

// anchor reads a frame's `from`.
func (d *dialectCompiler) anchor(u *unit, f *frame, def frameDef) {
	f.anchor, f.message = def.from.s, def.from.s == "message"
	var parent *anchor
	if in := d.frames[def.in.s]; in != nil && in.index >= 0 && in.index < len(d.p.of) {
		parent = d.p.of[in.index]
	}
	a := d.from(u, def.from, parent)
	if a == nil {
		a = d.p.root // its fault has been told
	}
	d.p.of = append(d.p.of, a)
}

func (d *dialectCompiler) from(u *unit, t text, parent *anchor) *anchor {
	for _, known := range d.p.anchors {
		if known.from == t.s {
			return known
		}
	}
	whole, target, refers := strings.Cut(t.s, " -> ")
	whole, target = strings.TrimSpace(whole), strings.TrimSpace(target)
	c := &scan{s: whole}
	name := c.name()
	selector, err := c.pick()
	if name == "" || err != nil || selector.kind != pickFirst || !c.done() && c.s[c.i] != '.' {
		u.r.add(CodePath, t.at, "A frame comes from message, a resource such as Patient or Organization[active=true], an element of one, or what a reference leads to: \"Task.for -> Patient\".")
		return nil
	}
	base := d.base(u, text{name, t.at}, parent)
	if base == nil {
		return nil
	}
	if selector.selecting() {
		if base = d.selected(u, text{whole[:c.i], t.at}, base, selector); base == nil {
			return nil
		}
	}
	if c.done() && !refers {
		return base
	}
	ref := d.bind(u, text{name + whole[c.i:], t.at}, name, base, nil)
	if ref == nil {
		return nil
	}
	if !refers {
		if defs := d.defs.Type(ref.typ); defs == nil || defs.Kind == fhir.Primitive {
			u.r.add(CodeTypeClash, t.at, "A frame stands for a resource or an element that has elements; %s is %s.", whole, ref.typ)
			return nil
		}
		return d.add(&anchor{kind: anchorElement, from: t.s, base: base, path: ref}, ref.typ)
	}
	if !d.carries(u, text{target, t.at}) {
		return nil
	}
	a := d.add(&anchor{kind: anchorReference, from: t.s, base: base, path: ref}, target)
	d.mayPoint(u, ref, a.frame)
	d.fill(ref)
	return a
}

// carries says whether the dialect has resources of a type.
func (d *dialectCompiler) carries(u *unit, t text) bool {
	known := append(texts(d.head.types), d.head.root.s)
	if !has(known, t.s) {
		u.r.add(CodeFrame, t.at, "The dialect has no resources of type %q%s; `dialect` lists its types.", t.s, meant(t.s, known))
		return false
	}
	return true
}

// selected is the anchor of the resources of a type that a selector takes.
func (d *dialectCompiler) selected(u *unit, t text, of *anchor, p pick) *anchor {
	for _, known := range d.p.anchors {
		if known.from == t.s {
			return known
		}
	}
	if of.kind != anchorType {
		u.r.add(CodePath, t.at, "Only a resource that stands by itself is selected; this one is found by %s.", of.from)
		return nil
	}
	saved := d.side(u)
	sel := d.fhirSelector(u, p, of.frame.defs, t)
	saved()
	if sel == nil {
		return nil
	}
	return d.add(&anchor{kind: anchorType, from: t.s, sel: sel}, of.typ())
}

// base is the resource that a path begins with: by its type, `it` or `bundle`.
func (d *dialectCompiler) base(u *unit, t text, own *anchor) *anchor {
	if t.s == "it" && own != nil {
		return own
	}
	if t.s == "bundle" && d.p.root.typ() == "Bundle" || t.s == d.p.root.typ() {
		return d.p.root
	}
	for a := own; a != nil; a = a.base {
		if a.isResource() && a.typ() == t.s {
			return a
		}
	}
	var found *anchor
	for _, a := range d.p.anchors {
		switch {
		case !a.isResource() || a.typ() != t.s:
		case found == nil || a.from == t.s:
			found = a
		case found.from != t.s:
			u.r.add(CodeFrame, t.at, "Several frames come from a %s, by %s and by %s; this path doesn't say which is meant.", t.s, found.from, a.from)
			return nil
		}
	}
	if found != nil {
		return found
	}
	if !d.carries(u, t) {
		return nil
	}
	return d.add(&anchor{kind: anchorType, from: t.s}, t.s)
}

// side lets slices mean their dialect side until the function that it gives is called.
func (d *dialectCompiler) side(u *unit) func() {
	canonical := u.slices
	u.slices = map[string]sliceDef{}
	for name, s := range canonical {
		s.fhirMatch, s.fhirSet = s.v2Match, s.v2Set
		u.slices[name] = s
	}
	return func() { u.slices = canonical }
}

// path binds a path of the dialect for a rule of a frame.
func (d *dialectCompiler) path(u *unit, t text, f *frame, in *nest) *fhirRef {
	p, err := parseFHIRPath(t.s)
	if err != nil || p.origin {
		u.r.add(CodePath, t.at, "This isn't a path of the dialect; one looks like Patient.birthDate, Patient.identifier[HETU].value or it.answer(1).valueCoding.")
		return nil
	}
	if p.frame == "it" && in != nil {
		return d.bind(u, t, "", nil, in)
	}
	own := d.anchorOf(f)
	if p.frame == "it" && own == nil {
		u.r.add(CodePath, t.at, "`it` stands only where a frame or a nested rule says what it is.")
		return nil
	}
	base := d.base(u, text{p.frame, t.at}, own)
	if base == nil {
		return nil
	}
	return d.bind(u, t, p.frame, base, nil)
}

// anchorOf is the anchor of a canonical frame.
func (d *dialectCompiler) anchorOf(f *frame) *anchor {
	switch {
	case f == nil:
		return nil
	case f.index < 0:
		return d.p.root
	}
	return d.p.of[f.index]
}

// bind checks a path against the schema, with head for the base that it begins with.
func (d *dialectCompiler) bind(u *unit, t text, head string, base *anchor, in *nest) *fhirRef {
	frames, it, slices := d.frames, u.it, d.side(u)
	d.frames = map[string]*frame{}
	if base != nil {
		d.frames[head] = base.frame
		if head == "it" {
			u.it = base.frame
		}
	}
	ref := d.fhirPath(u, t, in)
	d.frames, u.it = frames, it
	slices()
	return ref
}

// required reports required elements of the dialect's resources that nothing writes.
func (d *dialectCompiler) required() {
	for _, a := range d.p.anchors {
		at, writes := d.head.at, false
		for i, f := range d.frames {
			if f.index >= 0 && d.p.of[f.index] == a && i != "" {
				at = f.at
			}
		}
		for _, r := range append(slices.Clone(d.p.copies), d.p.rules...) {
			writes = writes || r.writesTo(a)
		}
		if !a.isResource() || !writes {
			continue
		}
		for i := range a.frame.defs.Elements {
			e := &a.frame.defs.Elements[i]
			if e.Min > 0 && !slices.ContainsFunc(e.Types, func(typ string) bool { return d.filled[a.frame.name+"."+e.JSON(typ)] }) {
				d.main.r.add(CodeRequired, at, "The dialect's %s needs %s, and nothing writes it.", a.typ(), e.Name)
			}
		}
	}
}

// writesTo says whether the way back writes into an anchor's resources by the rule.
func (r *fhirRule) writesTo(a *anchor) bool {
	for _, ref := range r.sides[ofDialect].paths {
		if r.backward && ref.frame == a.frame {
			return true
		}
	}
	return slices.ContainsFunc(r.kids, func(kid *fhirRule) bool { return kid.writesTo(a) })
}

package mappings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func sortFaults(list contracts.Faults) {
	slices.SortStableFunc(list, func(a, b *contracts.Fault) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
}

// nest is what `it` means inside nested rules.
type nest struct {
	segment string // the current segment
	field   int    // the current repetition's field; 0 where the whole segment is current
	typ     string // of the repetition
	element *fhirRef
	defs    *fhir.Type
}

// v2Path parses and binds a v2 path for a frame. foreign allows segments that the structure doesn't have, outer those
// outside the frame's scope: both can only be read. nil means that a fault was reported.
func (c *compiler) v2Path(u *unit, t text, f *frame, in *nest, foreign, outer bool) *v2Ref {
	p, err := parseV2Path(t.s)
	if err != nil {
		u.r.add(CodePath, t.at, "This isn't a v2 path; one looks like PID-5, PID-3(2).4.2, OBX(*)-5, PID-3[5=NNFIN].1 or it-5.")
		return nil
	}
	ref := &v2Ref{path: p, segment: p.segment, field: int16(p.field), comp: int16(p.comp), sub: int16(p.sub), at: t.at}
	switch {
	case p.it && in != nil:
		ref.mode, ref.segment = inCurrent, in.segment
		if p.field == 0 && in.field > 0 {
			ref.field = int16(in.field)
		}
	case p.it && u.it != nil:
		ref.mode, ref.segment = inAnchor, u.it.anchor
		if p.field == 0 {
			ref.field = int16(u.it.field)
		}
	case p.it:
		u.r.add(CodePath, t.at, "`it` stands only in blocks and nested rules.")
		return nil
	case in != nil && in.segment == p.segment:
		ref.mode = inCurrent
	default:
		if !c.place(u, ref, f, t.at, foreign, outer) {
			return nil
		}
	}
	if !c.bindField(u, ref, t.at) {
		return nil
	}
	if p.segPick.selecting() {
		ref.segSel = c.v2Selector(u, p.segPick, true, t)
	}
	if p.pick.selecting() {
		ref.repSel = c.v2Selector(u, p.pick, false, t)
	}
	if ref.field > 0 && !c.asking {
		key := c.fieldKey(ref, f)
		c.v2claims[key] = append(c.v2claims[key], ref)
	}
	c.v2refs = append(c.v2refs, ref)
	return ref
}

func (c *compiler) fieldKey(ref *v2Ref, f *frame) string {
	from := ""
	if f != nil {
		from = f.from
	}
	return from + "|" + ref.segment + "-" + strconv.Itoa(int(ref.field))
}

// place finds where the frame's scope has the segment.
func (c *compiler) place(u *unit, ref *v2Ref, f *frame, at pos, foreign, outer bool) bool {
	id := ref.segment
	if f.anchor == id && f.field == 0 {
		ref.mode, ref.holder = inAnchor, f.holder
		return true
	}
	if scope := f.scope; scope != nil {
		if scope.direct(id) >= 0 {
			ref.mode, ref.holder = inGroup, scope
			return true
		}
		if holder := scope.holder(id, c.p.owned); holder != nil {
			ref.mode, ref.holder = inNested, holder
			return true
		}
	}
	if f.scope == nil && f.holder.single(f.anchor) && f.holder.single(id) {
		ref.mode, ref.holder = inGroup, f.holder // PV2 beside PV1, where the two have no group of their own
		return true
	}
	start := f.holder
	if f.scope != nil {
		start = f.scope.parent
	}
	for g, up := start, 0; g != nil; g, up = g.parent, up+1 {
		if g.direct(id) >= 0 {
			ref.mode, ref.holder, ref.rising = inOuter, g, up
			if f.scope != nil {
				ref.rising++
			}
			if !outer && !foreign {
				u.r.add(CodeScope, at, "%s stands outside the scope of the frame %s; such a rule needs dir: \"->\".", id, f.name)
				return false
			}
			return true
		}
	}
	if foreign && c.elsewhere(func(d *hl7v2.Dict) bool { return d.Segment(id) != nil }) {
		ref.mode = inForeign
		return true
	}
	if c.dict.Segment(id) != nil && c.p.root.holder(id, nil) != nil {
		u.r.add(CodeScope, at, "%s stands outside the scope of the frame %s.", id, f.name)
		return false
	}
	saved := c.main.r
	c.main.r = u.r
	c.absentSegment(id, at)
	c.main.r = saved
	return false
}

// field gives a field's definition in this version, or reports why there is none.
func (c *compiler) field(u *unit, segment string, n int, at pos) *hl7v2.FieldDef {
	if z := c.zfield(segment, n); z != nil {
		return z
	}
	find := func(d *hl7v2.Dict) *hl7v2.FieldDef {
		if s := d.Segment(segment); s != nil {
			return s.Field(n)
		}
		return nil
	}
	if def := find(c.dict); def != nil {
		return def
	}
	if c.elsewhere(func(d *hl7v2.Dict) bool { return find(d) != nil }) {
		u.r.add(CodeVersion, at, "HL7 v%s has no %s-%d; say since or until.", c.dict.Version(), segment, n)
	} else if s := c.dict.Segment(segment); s != nil {
		u.r.add(CodeFieldRange, at, "%s has %d fields in HL7 v%s, no %s-%d.", segment, len(s.Fields), c.dict.Version(), segment, n)
	} else if i := c.zsegment(segment); i >= 0 {
		u.r.add(CodeFieldRange, at, "The map declares %d fields of %s under v2.zsegments, no %s-%d.", len(c.main.doc.v2.zsegments[i].fields), segment, segment, n)
	} else {
		u.r.add(CodeSegment, at, "HL7 v%s has no segment %s%s.", c.dict.Version(), segment, meant(segment, c.dict.Segments()))
	}
	return nil
}

// zsegment is where the map declares a Z-segment, or -1.
func (c *compiler) zsegment(id string) int {
	return slices.IndexFunc(c.main.doc.v2.zsegments, func(z zsegment) bool { return z.id.s == id })
}

func (c *compiler) zfield(segment string, n int) *hl7v2.FieldDef {
	i := c.zsegment(segment)
	if i < 0 || n < 1 || n > len(c.main.doc.v2.zsegments[i].fields) {
		return nil
	}
	return &hl7v2.FieldDef{Type: c.main.doc.v2.zsegments[i].fields[n-1].s, Usage: hl7v2.Optional, Max: 0}
}

// bindField checks field, component and subcomponent and finds the data type.
func (c *compiler) bindField(u *unit, ref *v2Ref, at pos) bool {
	if ref.field == 0 {
		if ref.comp > 0 {
			u.r.add(CodePath, at, "A component needs its field.")
			return false
		}
		return true
	}
	if ref.mode == inForeign && c.dict.Segment(ref.segment) == nil {
		return true
	}
	def := c.field(u, ref.segment, int(ref.field), at)
	if def == nil {
		return false
	}
	ref.typ = v2Type(ref.segment, ref.field, def.Type)
	whole := fmt.Sprintf("%s-%d", ref.segment, ref.field)
	for i, n := range []int16{ref.comp, ref.sub} {
		if n == 0 {
			break
		}
		typ := c.part(ref.typ, n)
		if typ == "" && n == 1 {
			continue // the first part of what has no parts is itself
		}
		if typ == "" && i == 0 && n < 4 && (ref.typ == "IS" || ref.typ == "ID") {
			typ = "ST" // senders put name and system behind the code
		}
		if typ == "" {
			if c.elsewhere(func(d *hl7v2.Dict) bool { return partExists(d, ref, i) }) {
				u.r.add(CodeVersion, at, "%s of %s has no part %d in HL7 v%s; say since or until.", ref.typ, whole, n, c.dict.Version())
			} else {
				u.r.add(CodeFieldRange, at, "%s is %s, which has no part %d.", whole, ref.typ, n)
			}
			return false
		}
		ref.typ = typ
		whole += "." + strconv.Itoa(int(n))
	}
	return true
}

// v2Type is the type of a field; OBX-5's is what OBX-2 names, whatever a version's tables say.
func v2Type(segment string, field int16, typ string) string {
	if segment == "OBX" && field == 5 || strings.EqualFold(typ, "varies") {
		return "varies"
	}
	return typ
}

func (c *compiler) part(typ string, n int16) string {
	if typ == "varies" {
		return "varies"
	}
	t := c.dict.Type(typ)
	if t == nil || t.Component(int(n)) == nil {
		return ""
	}
	return t.Component(int(n)).Type
}

func partExists(d *hl7v2.Dict, ref *v2Ref, depth int) bool {
	s := d.Segment(ref.segment)
	if s == nil || s.Field(int(ref.field)) == nil {
		return false
	}
	typ := s.Field(int(ref.field)).Type
	for i, n := range []int16{ref.comp, ref.sub} {
		t := d.Type(typ)
		if t == nil || t.Component(int(n)) == nil {
			return false
		}
		typ = t.Component(int(n)).Type
		if i == depth {
			break
		}
	}
	return true
}

// v2Selector compiles [5=MR], [1.1=RT] or a slice.
func (c *compiler) v2Selector(u *unit, p pick, ofSegment bool, t text) *v2Selector {
	source, set, at := p.text, text{}, t.at
	if p.slice != "" {
		s := u.slices[p.slice]
		if !s.v2Match.set() {
			u.r.add(CodeName, t.at, "There is no slice %q with a v2 side%s.", p.slice, meant(p.slice, keys(u.slices)))
			return nil
		}
		source, set, at = s.v2Match.s, s.v2Set, s.v2Match.at
	}
	sel := &v2Selector{source: source}
	alts, err := parseSelector(source, u.expand)
	if err != nil {
		u.r.add(CodePath, at, "A selector is made of equalities: [5=MR], [1.1=RT, 2=X] or [5=A | 5=B].")
		return nil
	}
	for _, alt := range alts {
		sel.alts = append(sel.alts, c.v2Conds(u, alt, ofSegment, at))
	}
	if set.set() {
		conds, err := parseConditions(set.s, u.expand)
		if err != nil {
			u.r.add(CodePath, set.at, "`set` is made of equalities: 4.2=1.2.246.21, 4.3=ISO.")
		}
		sel.set = c.v2Conds(u, conds, ofSegment, set.at)
	}
	return sel
}

func (c *compiler) v2Conds(u *unit, conds []condition, ofSegment bool, at pos) []v2Cond {
	var list []v2Cond
	for _, cond := range conds {
		n, count, err := parseNumbers(cond.place)
		if err != nil {
			u.r.add(CodePath, at, "A place in a v2 selector is a number: 5, 4.2, or for segments 1.1.")
			continue
		}
		v := v2Cond{value: cond.value}
		if ofSegment {
			v.field, v.comp, v.sub = int16(n[0]), int16(max(n[1], 1)), int16(max(n[2], 1))
		} else {
			v.comp, v.sub = int16(n[0]), int16(max(n[1], 1))
			if count > 2 {
				u.r.add(CodePath, at, "A place in a repetition is a component and a subcomponent.")
			}
		}
		list = append(list, v)
	}
	return list
}

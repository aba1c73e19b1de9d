package mappings

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// fhirPath parses a FHIR path and checks it against the schema.
func (c *compiler) fhirPath(u *unit, t text, in *nest) *fhirRef {
	p, err := parseFHIRPath(t.s)
	if err != nil {
		u.r.add(CodePath, t.at, "This isn't a FHIR path; one looks like pat.birthDate, pat.identifier[HETU].value or sr.note(*).text.")
		return nil
	}
	ref := &fhirRef{path: p, at: t.at, origin: p.origin}
	var defs *fhir.Type
	switch {
	case p.frame == "it" && in != nil:
		defs, ref.elem, ref.typ = in.defs, in.element.elem, in.element.typ
		ref.owner, ref.modifier = in.element.owner, in.element.modifier
	case p.frame == "it" && u.it != nil:
		ref.frame, defs = u.it, u.it.defs
	case c.frames[p.frame] != nil:
		ref.frame = c.frames[p.frame]
		defs = ref.frame.defs
	case c.inactive(p.frame):
		return nil
	default:
		if names := c.framesOf(p.frame); len(names) > 0 {
			u.r.add(CodeFrame, t.at, "A path begins with the name of a frame: that of %s is %s.", p.frame, strings.Join(names, " or "))
		} else {
			u.r.add(CodeFrame, t.at, "There is no frame %q%s.", p.frame, meant(p.frame, keys(c.frames)))
		}
		return nil
	}
	if p.origin {
		c.p.usesOrigin = true
	}
	if ref.typ == "" {
		ref.typ = defs.Name
	}
	key := p.frame
	if ref.frame != nil {
		key = ref.frame.name
	}
	if in != nil && p.frame == "it" {
		key = in.element.path.source + ">it"
	}
	ref.steps = make([]fhirPlace, 0, len(p.steps)) // claims point into it
	for i := range p.steps {
		step := &p.steps[i]
		if step.choice {
			u.r.add(CodeLater, t.at, "A path with [x] is part of the language that this version doesn't run yet; name the type: %s….", step.name)
			return nil
		}
		elem, next := defs.Member(step.name)
		if elem == nil {
			u.r.add(CodeElement, t.at, "%s has no element %q%s.", ref.typ, step.name, meant(step.name, defs.Names()))
			return nil
		}
		if next == nil {
			u.r.add(CodeElement, t.at, "%q leaves the type open; name it, such as %s.", step.name, elem.JSON(elem.Types[0]))
			return nil
		}
		place := fhirPlace{name: step.name, list: elem.List(), pick: step.pick, at: t.at, unit: u}
		if !place.list && (step.pick.kind == pickIndex && step.pick.index > 1 || step.pick.many()) {
			u.r.add(CodeElement, t.at, "%s doesn't repeat.", step.name)
			return nil
		}
		key += "." + step.name
		if n := step.pick.slice; allDigits(n) {
			u.r.add(CodeName, t.at, "Brackets choose by what stands there. By number the first is %s(1).", step.name)
			return nil
		}
		if step.pick.selecting() {
			place.sel = c.fhirSelector(u, step.pick, next, t)
		}
		ref.steps = append(ref.steps, place)
		ref.owner, ref.modifier = defs.Name, ref.modifier || elem.Modifier
		ref.elem, ref.typ, defs = elem, next.Name, next
		if place.list {
			ref.steps[i].order = c.rank(key)
		}
		if place.list && !c.asking {
			c.claims[key] = append(c.claims[key], &ref.steps[i])
		}
	}
	c.refs = append(c.refs, ref)
	return ref
}

// framesOf are the names of the map's frames of a type.
func (c *compiler) framesOf(typ string) (names []string) {
	for _, f := range c.p.frames {
		if f.typ == typ {
			names = append(names, f.name)
		}
	}
	return names
}

// inactive says whether a frame of that name is declared but not in this version.
func (c *compiler) inactive(name string) bool {
	for _, def := range c.main.doc.frames {
		if def.name.s == name {
			return true
		}
	}
	return false
}

func (c *compiler) fhirSelector(u *unit, p pick, elem *fhir.Type, t text) *fhirSelector {
	if p.isType != "" {
		if e, typ := elem.Member(p.isPath); e == nil || typ == nil || typ.Name != "Reference" {
			u.r.add(CodeElement, t.at, "%s has no reference %q.", elem.Name, p.isPath)
			return nil
		}
		if c.defs.Type(p.isType) == nil {
			u.r.add(CodeElement, t.at, "FHIR R4 has no resource type %q%s.", p.isType, meant(p.isType, c.defs.Resources()))
		}
		return &fhirSelector{source: p.isPath + " is " + p.isType, isPath: p.isPath, isType: p.isType}
	}
	source, set, at := p.text, text{}, t.at
	if p.slice != "" {
		s := u.slices[p.slice]
		if !s.fhirMatch.set() {
			u.r.add(CodeName, t.at, "There is no slice %q with a fhir side%s.", p.slice, meant(p.slice, keys(u.slices)))
			return nil
		}
		source, set, at = s.fhirMatch.s, s.fhirSet, s.fhirMatch.at
	}
	sel := &fhirSelector{source: source}
	alts, err := parseSelector(source, u.expand)
	if err != nil {
		u.r.add(CodePath, at, "A selector is made of equalities: [system=$hetu], [use=official, type=x] or [a=1 | a=2]; names must be declared.")
		return nil
	}
	for _, alt := range alts {
		sel.alts = append(sel.alts, c.fhirConds(u, alt, elem, at))
	}
	if set.set() {
		conds, err := parseConditions(set.s, u.expand)
		if err != nil {
			u.r.add(CodePath, set.at, "`set` is made of equalities, and names must be declared.")
		}
		sel.set = c.fhirConds(u, conds, elem, set.at)
	}
	return sel
}

func (c *compiler) fhirConds(u *unit, conds []condition, elem *fhir.Type, at pos) []fhirCond {
	var list []fhirCond
	for _, cond := range conds {
		f := fhirCond{value: cond.value, kind: fhir.KindString}
		t := elem
		for name := range strings.SplitSeq(cond.place, ".") {
			e, next := t.Member(name)
			if e == nil || next == nil {
				u.r.add(CodeElement, at, "%s has no element %q%s.", t.Name, name, meant(name, t.Names()))
				return list
			}
			f.path, f.lists, t = append(f.path, name), append(f.lists, e.List()), next
		}
		f.kind = jsonKind(t.Name)
		list = append(list, f)
	}
	return list
}

// jsonKind is how JSON writes a primitive type.
func jsonKind(typ string) fhir.Kind {
	switch typ {
	case "boolean":
		return fhir.KindBool
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return fhir.KindNumber
	}
	return fhir.KindString
}

// overlaps reports selectors of one list of which one takes everything that the other does.
func (c *compiler) overlaps(places []*fhirPlace) {
	for i, p := range places {
		for _, earlier := range places[:i] {
			if p.sel == nil || earlier.sel == nil || p.sel.source == earlier.sel.source || p.sel.isType != "" || earlier.sel.isType != "" {
				continue
			}
			if implies(p.sel, earlier.sel) || implies(earlier.sel, p.sel) {
				p.unit.r.add(CodeOverlap, p.at, "The selectors [%s] and [%s] can both take one element.", earlier.sel.source, p.sel.source)
			}
		}
	}
}

// implies says whether an alternative of a holds wherever some alternative of b does.
func implies(a, b *fhirSelector) bool {
	for _, x := range a.alts {
		for _, y := range b.alts {
			all := true
			for _, cond := range y {
				all = all && slices.ContainsFunc(x, func(k fhirCond) bool { return k.value == cond.value && slices.Equal(k.path, cond.path) })
			}
			if all {
				return true
			}
		}
	}
	return false
}

// settleClaims tells each (rest) what the other rules take.
func (c *compiler) settleClaims() {
	for _, places := range c.claims {
		for _, p := range places {
			if p.pick.kind != pickRest {
				continue
			}
			for _, other := range places {
				if other.sel != nil && other.sel != p.sel {
					took := claim{sel: other.sel}
					if other.pick.kind == pickIndex {
						took.index = other.pick.index
					}
					p.claims = append(p.claims, took)
				} else if other.pick.kind == pickIndex {
					p.claimed = append(p.claimed, other.pick.index)
				}
			}
		}
	}
	for _, places := range c.claims {
		c.overlaps(places)
	}
	for _, refs := range c.v2claims {
		for _, r := range refs {
			if r.path.pick.kind != pickRest {
				continue
			}
			for _, other := range refs {
				if other.repSel != nil && other.repSel != r.repSel {
					r.claims = append(r.claims, other.repSel)
				} else if other.path.pick.kind == pickIndex {
					r.claimed = append(r.claimed, other.path.pick.index)
				}
			}
		}
	}
}

package mappings

import (
	"strings"
)

// lens finds the lens or code map of a rule and checks its types.
func (c *compiler) lens(u *unit, def ruleDef, o *op) bool {
	if def.system.set() {
		o.system = u.constant(def.system)
		o.alone = len(o.fhir) > 0 && strings.Contains(o.fhir[0].path.source, "[coding.system=")
	}
	if def.prefix.set() {
		o.prefix = u.constant(def.prefix)
	}
	if def.code.set() {
		if def.invalid.set() {
			u.r.add(CodeTaskPlace, def.invalid.at, "`invalid` is about what a lens refuses; a code map says what it does with other codes itself (unmapped).")
		}
		return c.codeRule(u, def, o)
	}
	if def.invalid.s == invalidTask {
		o.leaves = true
		c.leaves(u, def, o)
	}
	o.absent = def.absent.s
	if def.absent.set() {
		c.code(u, o.fhir[0], def.absent.s, def.absent.at)
	}
	if !def.as.set() {
		if o.lens = c.choose(o); o.lens == nil {
			u.r.add(CodeTypeClash, def.at, "%s", c.unchosen(o))
			return false
		}
	} else if o.lens = lensNamed(def.as.s); o.lens == nil {
		u.r.add(CodeLens, def.as.at, "There is no lens %q%s.", def.as.s, meant(def.as.s, lensNames()))
		return false
	}
	o.lensName = o.lens.name
	at := at(def.as.at, def.at)
	if len(o.v2) != o.lens.cells || len(o.fhir) != o.lens.elements {
		u.r.add(CodeLens, at, "The lens %s takes %d v2 paths and %d fhir paths, not %d and %d.", o.lens.name, o.lens.cells, o.lens.elements, len(o.v2), len(o.fhir))
		return false
	}
	if o.lens.system && !def.system.set() {
		u.r.add(CodeLens, at, "The lens %s needs system: the code system of what it writes.", o.lens.name)
		return false
	}
	if !c.fits(o.lens, o.v2[0]) || !has(o.lens.fhir, o.fhir[0].typ) {
		u.r.add(CodeTypeClash, at, "The lens %s doesn't pair %s (%s) with %s (%s).", o.lens.name, def.v2[0].s, typeWord(o.v2[0].typ), def.fhir[0].s, o.fhir[0].typ)
		return false
	}
	if o.lens == startOpenLens && !strings.HasSuffix(o.fhir[1].path.source, ".end") {
		u.r.add(CodeLens, at, "The lens start-open writes the start of something, and beside it its end: the second path is that of the end.")
		return false
	}
	return true
}

func typeWord(typ string) string {
	if typ == "" {
		return "a whole segment"
	}
	return typ
}

// fits says whether a lens reads the type; one for leaves also reads the first component of a type with parts.
func (c *compiler) fits(l *lens, ref *v2Ref) bool {
	if ref.field == 0 {
		return false
	}
	if l.v2 == nil || ref.typ == "varies" || ref.mode == inForeign || has(l.v2, ref.typ) {
		return true
	}
	if l.leaves {
		return has(l.v2, c.part(ref.typ, 1))
	}
	// A type that a version keeps under a name of its own, such as CM_PI for what later is PLN.
	return strings.HasPrefix(ref.typ, "CM") || ref.typ == "PI"
}

// choose gives the only lens of a pair of types; texts pair by themselves.
func (c *compiler) choose(o *op) *lens {
	if len(o.v2) == 1 && len(o.fhir) == 1 && has(primitiveTexts, o.fhir[0].typ) {
		if t := c.dict.Type(o.v2[0].typ); o.v2[0].typ == "varies" || t == nil || t.IsPrimitive() || o.v2[0].comp > 0 {
			return stringLens
		}
		return nil
	}
	var only *lens
	for _, l := range library {
		if l.v2 != nil && l.cells == len(o.v2) && l.elements == len(o.fhir) && !l.system && has(l.fhir, o.fhir[0].typ) && c.fits(l, o.v2[0]) {
			if only != nil {
				return nil
			}
			only = l
		}
	}
	return only
}

// unchosen says why no lens pairs two types by itself, and which may be named.
func (c *compiler) unchosen(o *op) string {
	var fit []string
	for _, l := range library {
		if l.cells == len(o.v2) && l.elements == len(o.fhir) && has(l.fhir, o.fhir[0].typ) && c.fits(l, o.v2[0]) {
			fit = append(fit, l.name)
		}
	}
	pair := typeWord(o.v2[0].typ) + " with " + o.fhir[0].typ
	if len(fit) == 0 {
		return "No lens pairs " + pair + "."
	}
	return "Say with `as` which lens pairs " + pair + ": " + strings.Join(fit, ", ") + "."
}

// codeRule checks a rule that translates codes.
func (c *compiler) codeRule(u *unit, def ruleDef, o *op) bool {
	m := u.codes[def.code.s]
	if m == nil {
		if !c.declaresCodes(u, def.code.s) {
			u.r.add(CodeNoCodeMap, def.code.at, "There is no code map %q%s.", def.code.s, meant(def.code.s, keys(u.codes)))
		}
		return false
	}
	o.code, o.lensName, o.absent = m, "code:"+m.name, def.absent.s
	target := o.fhir[0]
	switch target.typ {
	case "code", "string", "uri", "id":
		for _, p := range m.forward {
			c.code(u, target, p.to, at(m.places[p.to], def.code.at))
		}
		if m.unmapped == unmappedKeep && target.elem.Codes() != nil {
			u.r.add(CodeBinding, def.code.at, "%s has a required value set, so unknown codes can't be kept.", target.path.source)
		}
		for _, code := range target.elem.Codes() {
			if _, ok := lookup(m.back, code.Code); !ok && o.backward && code.Code != o.absent {
				u.r.add(CodeCoverage, def.code.at, "The code map %s has no way back for %s.", def.code.s, code.Code)
				break
			}
		}
	case "CodeableConcept", "Coding":
		if m.system == "" {
			u.r.add(CodeLens, def.code.at, "A code map for a %s needs the system of its target codes.", target.typ)
		}
	default:
		u.r.add(CodeTypeClash, def.code.at, "A code map can't write %s, which is a %s.", target.path.source, target.typ)
		return false
	}
	if m.unmapped == unmappedTask {
		c.task(u, def, o)
	}
	if def.absent.set() {
		c.code(u, target, o.absent, def.absent.at)
		if m.hasTarget(o.absent) {
			u.r.add(CodeAbsent, def.absent.at, "%q is a code of the map too, so the way back can't tell it from an absent one.", o.absent)
		}
	}
	return true
}

// task checks that a code which the map doesn't know can go on, as it is or left out, without saying anything untrue.
func (c *compiler) task(u *unit, def ruleDef, o *op) {
	for _, ref := range append(o.fhir[:len(o.fhir):len(o.fhir)], o.alsoFHIR...) {
		why := ""
		switch {
		case ref.modifier:
			why = "it changes what the rest means"
		case ref.owner == "Coding":
			why = "the code would stand beside the system of another; let the code map write the whole " + ref.owner
		case ref.takesAny():
		case ref.elem.Min > 0:
			why = "it is required, and its value set doesn't have the code"
		case def.absent.set():
			why = "`absent` would say that nothing stood there"
		}
		if why != "" {
			u.r.add(CodeTaskPlace, def.code.at, "%s can't go on with a code that the map doesn't know (unmapped: task): %s.", ref.path.source, why)
		}
	}
}

// leaves checks that an element may be left out where its value is refused.
func (c *compiler) leaves(u *unit, def ruleDef, o *op) {
	for _, ref := range append(o.fhir[:len(o.fhir):len(o.fhir)], o.alsoFHIR...) {
		why := ""
		switch {
		case ref.modifier:
			why = "it changes what the rest means"
		case ref.elem != nil && ref.elem.Min > 0:
			why = "it is required"
		case def.absent.set():
			why = "`absent` would say that nothing stood there"
		}
		if why != "" {
			u.r.add(CodeTaskPlace, def.invalid.at, "%s can't be left out where its value is refused (invalid: task): %s.", ref.path.source, why)
		}
	}
}

// takesAny says whether an element takes codes that nobody has listed.
func (r *fhirRef) takesAny() bool { return r.elem == nil || r.elem.Codes() == nil }

func (c *compiler) declaresCodes(u *unit, name string) bool {
	for _, def := range u.doc.codes {
		if def.name.s == name {
			return true // and its fault has been reported
		}
	}
	return false
}

// code checks a literal against a required binding.
func (c *compiler) code(u *unit, ref *fhirRef, value string, at pos) {
	if ref != nil && ref.elem != nil && ref.typ == "code" && !ref.elem.HasCode("", value) {
		var codes []string
		for _, k := range ref.elem.Codes() {
			codes = append(codes, k.Code)
		}
		u.r.add(CodeBinding, at, "%q isn't in the value set of %s%s.", value, ref.path.source, meant(value, codes))
	}
}

// stars checks that both sides repeat alike.
func (c *compiler) stars(u *unit, def ruleDef, o *op) {
	many := o.v2[0].many()
	for _, ref := range o.fhir {
		if ref.many() != many && def.rep.s == "" {
			u.r.add(CodeStars, def.at, "One side of %s repeats and the other doesn't: pair (*) with (*), or say rep.", o.id)
			return
		}
	}
	if def.rep.s == "join" && !def.hasSep {
		u.r.add(CodeStars, def.rep.at, "rep: join needs sep, what stands between the parts.")
	}
	if def.rep.s == "join" && o.kind == opLens && o.code == nil && o.lens != textLens && o.lens != stringLens && o.lens != lineLens && o.lens != textBase64Lens {
		u.r.add(CodeStars, def.rep.at, "Only texts can be joined.")
	}
}

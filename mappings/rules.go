package mappings

import (
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// rules compiles everything that reads and writes: tables, blocks and rules, constants and links.
func (c *compiler) rules() {
	u := c.main
	ids := map[string]pos{}
	for _, def := range u.doc.tables {
		c.unique(u, ids, def.id)
		c.table(u, def)
	}
	for _, use := range u.doc.uses {
		c.block(u, use)
	}
	for _, def := range u.doc.rules {
		c.unique(u, ids, def.id)
		if o := c.rule(u, def, nil, nil); o != nil {
			c.p.ops = append(c.p.ops, o)
		}
	}
	for _, def := range u.doc.consts {
		c.constant(u, def)
	}
	for _, def := range u.doc.links {
		c.linkDef(u, def)
	}
}

func (c *compiler) unique(u *unit, ids map[string]pos, id text) {
	if _, twice := ids[id.s]; twice && id.set() {
		u.r.add(CodeDuplicate, id.at, "The id %q stands here twice.", id.s)
	}
	ids[id.s] = id.at
}

// block compiles a block's rules for a frame.
func (c *compiler) block(u *unit, use useDef) {
	src := c.blocks[use.block.s]
	if !strings.Contains(use.block.s, "@") {
		u.r.add(CodePin, use.block.at, "A block is named with its version, such as %s@1.0.0.", use.block.s)
		return
	}
	if src == nil {
		u.r.add(CodeName, use.block.at, "There is no block %q%s.", use.block.s, meant(use.block.s, keys(c.blocks)))
		return
	}
	f := c.frames[use.frame.s]
	if f == nil {
		if !c.inactive(use.frame.s) {
			u.r.add(CodeFrame, use.frame.at, "There is no frame %q%s.", use.frame.s, meant(use.frame.s, keys(c.frames)))
		}
		return
	}
	if want := src.doc.fhir.typ.s; want != "" && want != f.typ {
		u.r.add(CodeTypeClash, use.frame.at, "The block %s is for %s, the frame %s is %s.", use.block.s, want, f.name, f.typ)
		return
	}
	b := c.unit(src, f, f.name+".")
	for _, def := range src.doc.rules {
		if o := c.rule(b, def, nil, nil); o != nil {
			c.p.ops = append(c.p.ops, o)
		}
	}
	c.ignore(b)
}

// rule compiles one rule; nil means that it isn't active in this version or has a fault.
func (c *compiler) rule(u *unit, def ruleDef, outer *op, in *nest) *op {
	if !c.active(u, def.since, def.until) {
		return nil
	}
	o := &op{id: u.prefix + def.id.s, forward: def.dir.s != "<-", backward: def.dir.s != "->", rep: def.rep.s, sep: def.sep.s, at: def.at}
	if outer != nil {
		o.id = outer.id + "." + def.id.s
		o.frame = outer.frame
		o.forward, o.backward = o.forward && outer.forward, o.backward && outer.backward
	}
	if def.first != nil {
		return c.first(u, def, o, in)
	}
	if !c.paths(u, def, o, in) {
		return nil
	}
	c.conditions(u, def, o, in)
	switch {
	case def.rules != nil:
		return c.nested(u, def, o, in)
	case def.link.set():
		return c.linkRule(u, def, o)
	case def.value.set():
		o.kind, o.value = opValue, u.constant(def.value)
		c.code(u, o.fhir[0], o.value, def.value.at)
		return o
	}
	if len(o.v2) == 0 {
		u.r.add(CodeType, def.at, "The rule %s has no v2 side.", o.id)
		return nil
	}
	if !c.lens(u, def, o) {
		return nil
	}
	c.stars(u, def, o)
	c.writer(u, o)
	return o
}

// paths binds both sides of a rule. The FHIR side decides the frame.
func (c *compiler) paths(u *unit, def ruleDef, o *op, in *nest) bool {
	ok := true
	if len(def.fhir) == 0 {
		u.r.add(CodeType, def.at, "The rule %s has no fhir side.", o.id)
		return false
	}
	for _, t := range def.fhir {
		if ref := c.fhirPath(u, t, in); ref != nil {
			o.fhir = append(o.fhir, ref)
		} else {
			ok = false
		}
	}
	if !ok {
		f := c.frames[strings.SplitN(def.fhir[0].s, ".", 2)[0]]
		if f == nil {
			f = c.constFrame(text{})
		}
		for _, t := range def.v2 { // its mistakes are worth telling all the same
			c.v2Path(u, t, f, in, false, true)
		}
		return false
	}
	if o.frame == nil || in == nil {
		o.frame = o.fhir[0].frame
	}
	for _, t := range def.v2 {
		ref := c.v2Path(u, t, o.frame, in, false, !o.backward)
		ok = ok && ref != nil
		o.v2 = append(o.v2, ref)
	}
	for _, t := range def.orV2 {
		if ref := c.v2Path(u, t, o.frame, in, true, true); ref != nil {
			o.orV2 = append(o.orV2, ref)
		}
	}
	for _, t := range def.alsoV2 {
		if ref := c.v2Path(u, t, o.frame, in, false, false); ref != nil {
			o.alsoV2 = append(o.alsoV2, ref)
		}
	}
	for _, t := range def.orFHIR {
		if ref := c.fhirPath(u, t, in); ref != nil {
			o.orFHIR = append(o.orFHIR, ref)
		}
	}
	for _, t := range def.alsoFHIR {
		if ref := c.fhirPath(u, t, in); ref != nil {
			o.alsoFHIR = append(o.alsoFHIR, ref)
		}
	}
	if ok {
		c.order(o)
	}
	return ok
}

// order tells lists how their elements of this rule stand among those of other rules: first by the field that they
// come from, in the order of the rules, then by repetition. The other way round likewise.
func (c *compiler) order(o *op) {
	if len(o.v2) == 0 {
		return
	}
	field := c.fieldKey(o.v2[0], o.frame)
	for _, ref := range append(append([]*fhirRef(nil), o.fhir...), o.alsoFHIR...) {
		list := ref.path.frame
		for i := range ref.steps {
			list += "." + ref.steps[i].name
			if ref.steps[i].list {
				ref.steps[i].order = c.rank(list + "<" + field)
				for _, v := range o.v2 {
					v.order = c.rank(field + ">" + list)
				}
			}
		}
	}
}

func (c *compiler) conditions(u *unit, def ruleDef, o *op, in *nest) {
	if def.ifV2.set() {
		alts, err := parseSelector(def.ifV2.s, u.expand)
		if err != nil {
			u.r.add(CodePath, def.ifV2.at, "A condition is made of equalities: \"OBX-2=NM\" or \"OBX-2=CE | OBX-2=CWE\".")
		}
		for _, alt := range alts {
			var conds []refCond
			for _, cond := range alt {
				if ref := c.v2Path(u, text{cond.place, def.ifV2.at}, o.frame, in, false, !o.backward); ref != nil {
					conds = append(conds, refCond{ref, cond.value})
				}
			}
			o.ifV2 = append(o.ifV2, conds)
		}
	}
	if def.ifFHIR.set() {
		alts, err := parseSelector(def.ifFHIR.s, u.expand)
		if err != nil {
			u.r.add(CodePath, def.ifFHIR.at, "A condition is made of equalities: {fhir: \"appt.status=cancelled\"}.")
		}
		for _, alt := range alts {
			var conds []fhirRefCond
			for _, cond := range alt {
				if ref := c.fhirPath(u, text{cond.place, def.ifFHIR.at}, in); ref != nil {
					conds = append(conds, fhirRefCond{ref, cond.value})
				}
			}
			o.ifFHIR = append(o.ifFHIR, conds)
		}
	}
	for _, t := range def.set {
		place, val, ok := strings.Cut(t.s, "=")
		value, err := u.expand(strings.TrimSpace(val))
		if !ok || err != nil {
			u.r.add(CodePath, t.at, "`set` is made of equalities: \"it-30=Y\" or \"visit.class.system=$act\"; names must be declared.")
			continue
		}
		c.setPlace(u, o, in, text{strings.TrimSpace(place), t.at}, value)
	}
}

// setPlace tells a v2 place from a FHIR place by its form.
func (c *compiler) setPlace(u *unit, o *op, in *nest, place text, value string) {
	if p, err := parseV2Path(place.s); err == nil && (p.field > 0 || p.it && p.comp > 0) {
		if ref := c.v2Path(u, place, o.frame, in, false, false); ref != nil {
			o.setV2 = append(o.setV2, refCond{ref, value})
		}
		return
	}
	if ref := c.fhirPath(u, place, in); ref != nil {
		o.setFHIR = append(o.setFHIR, fhirRefCond{ref, value})
		c.fill(ref)
		c.code(u, ref, value, place.at)
	}
}

// first compiles alternatives. Each has its own paths, or takes those of the rule.
func (c *compiler) first(u *unit, def ruleDef, o *op, in *nest) *op {
	o.kind = opFirst
	alone := c.alone
	c.alone = true
	for _, alt := range def.first {
		if alt.v2 == nil {
			alt.v2 = def.v2
		}
		if alt.fhir == nil {
			alt.fhir = def.fhir
		}
		if kid := c.rule(u, alt, o, in); kid != nil {
			if kid.frame != nil && o.frame == nil {
				o.frame = kid.frame
			}
			o.kids = append(o.kids, kid)
			o.frame = kid.frame
		}
	}
	c.alone = alone
	if len(o.kids) == 0 {
		return nil
	}
	o.frame = o.kids[0].frame
	for i, kid := range o.kids {
		for _, earlier := range o.kids[:i] {
			if kid.backward && earlier.backward && earlier.lens == kid.lens && earlier.code == kid.code && sameFHIR(earlier, kid) &&
				earlier.kind == opLens && kid.kind == opLens && len(earlier.ifFHIR) == 0 {
				u.r.add(CodeFirst, kid.at, "The way back always takes %s before %s; say dir: \"->\".", earlier.id, kid.id)
			}
		}
	}
	return o
}

func sameFHIR(a, b *op) bool {
	if len(a.fhir) != len(b.fhir) {
		return false
	}
	for i := range a.fhir {
		if a.fhir[i].path.source != b.fhir[i].path.source {
			return false
		}
	}
	return true
}

// nested compiles rules over one repetition or segment and one element.
func (c *compiler) nested(u *unit, def ruleDef, o *op, in *nest) *op {
	o.kind = opNested
	if len(o.v2) != 1 || len(o.fhir) != 1 {
		u.r.add(CodeLens, def.at, "A rule with nested rules has one v2 path and one fhir path.")
		return nil
	}
	defs := c.defs.Type(o.fhir[0].typ)
	if o.v2[0].comp > 0 || defs == nil || defs.Kind == fhir.Primitive {
		u.r.add(CodeTypeClash, def.at, "Nested rules pair a segment or repetition with an element that has elements.")
		return nil
	}
	c.stars(u, def, o)
	inner := &nest{segment: o.v2[0].segment, field: int(o.v2[0].field), typ: o.v2[0].typ, element: o.fhir[0], defs: defs}
	for _, kidDef := range def.rules {
		if kid := c.rule(u, kidDef, o, inner); kid != nil {
			o.kids = append(o.kids, kid)
			if kid.kind == opLink && kid.backward && o.fhir[0].frame != nil {
				kid.link.ways = append(kid.link.ways, way{from: o.fhir[0].frame, ref: joined(o.fhir[0], kid.fhir[0])})
			}
		}
	}
	if len(o.kids) == 0 {
		return nil
	}
	c.fill(o.fhir[0])
	return o
}

// joined is a nested path behind its outer one.
func joined(outer, inner *fhirRef) *fhirRef {
	ref := *outer
	ref.path.source += strings.TrimPrefix(inner.path.source, "it")
	ref.steps = append(append([]fhirPlace(nil), outer.steps...), inner.steps...)
	ref.elem, ref.typ = inner.elem, inner.typ
	return &ref
}

func (c *compiler) linkRule(u *unit, def ruleDef, o *op) *op {
	o.kind = opLink
	if o.link = c.frames[def.link.s]; o.link == nil {
		if !c.inactive(def.link.s) {
			u.r.add(CodeLink, def.link.at, "There is no frame %q%s.", def.link.s, meant(def.link.s, keys(c.frames)))
		}
		return nil
	}
	c.mayPoint(u, o.fhir[0], o.link)
	return o
}

// lens finds the lens or code map of a rule and checks its types.
func (c *compiler) lens(u *unit, def ruleDef, o *op) bool {
	if def.system.set() {
		o.system = u.constant(def.system)
	}
	if def.prefix.set() {
		o.prefix = u.constant(def.prefix)
	}
	if def.code.set() {
		return c.codeRule(u, def, o)
	}
	o.absent = def.absent.s
	if def.absent.set() {
		c.code(u, o.fhir[0], def.absent.s, def.absent.at)
	}
	if !def.as.set() {
		if o.lens = c.choose(o); o.lens == nil {
			u.r.add(CodeTypeClash, def.at, "No lens, or more than one, pairs %s with %s; name it with as.", o.v2[0].typ, o.fhir[0].typ)
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
			c.code(u, target, p.to, def.code.at)
		}
		if m.keep && target.elem.Codes() != nil {
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
	if def.absent.set() {
		c.code(u, target, o.absent, def.absent.at)
		if m.hasTarget(o.absent) {
			u.r.add(CodeAbsent, def.absent.at, "%q is a code of the map too, so the way back can't tell it from an absent one.", o.absent)
		}
	}
	return true
}

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

// writer notes what a rule writes, and reports a second two-way rule for the same place.
func (c *compiler) writer(u *unit, o *op) {
	for _, ref := range append(append([]*fhirRef(nil), o.fhir...), o.alsoFHIR...) {
		c.fill(ref)
	}
	if c.alone || !o.backward || !o.forward || o.fhir[0].frame == nil {
		return
	}
	for _, ref := range o.fhir {
		key := ref.frame.name + strings.TrimPrefix(ref.path.source, ref.path.frame)
		if _, twice := c.written[key]; twice && !ref.many() {
			u.r.add(CodeTwoWriters, o.at, "Another two-way rule writes %s too.", ref.path.source)
		}
		c.written[key] = o.at
	}
	for _, ref := range o.v2 {
		if ref.mode == inAnchor || ref.mode == inGroup {
			key := c.fieldKey(ref, o.frame) + "|" + strings.TrimPrefix(ref.path.source, "it") + "|" + o.fhir[0].frame.name
			if _, twice := c.written[key]; twice && !ref.many() && ref.repSel == nil {
				u.r.add(CodeTwoWriters, o.at, "Another two-way rule writes %s too.", ref.path.source)
			}
			c.written[key] = o.at
		}
	}
}

// fill notes that something writes the elements along a path.
func (c *compiler) fill(ref *fhirRef) {
	if ref == nil || ref.frame == nil {
		return
	}
	if len(ref.steps) > 0 {
		c.filled[ref.frame.name+"."+ref.steps[0].name] = true
	}
}

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
	c.event(u)
}

// event makes constants of a literal fhir.event, system|code; with |* a rule or table writes the code.
func (c *compiler) event(u *unit) {
	t := u.doc.fhir.event
	if !t.set() {
		return
	}
	whole := u.constant(t)
	at := strings.LastIndexByte(whole, '|')
	if at < 1 {
		u.r.add(CodePath, t.at, "An event is written system|code, or system|* where a rule decides.")
		return
	}
	for _, f := range c.p.frames {
		if f.typ != "MessageHeader" {
			continue
		}
		values := map[string]string{"system": whole[:at], "code": whole[at+1:]}
		for _, name := range []string{"system", "code"} {
			path := f.name + ".eventCoding." + name
			if values[name] == "*" || c.hasConstant(path) {
				continue
			}
			if ref := c.fhirPath(u, text{path, t.at}, nil); ref != nil {
				c.p.consts = append(c.p.consts, &constant{fhir: ref, value: values[name], rule: &op{id: "const", at: t.at}})
				c.fill(ref)
			}
		}
	}
}

func (c *compiler) hasConstant(path string) bool {
	for _, k := range c.p.consts {
		if k.fhir != nil && k.fhir.path.source == path {
			return true
		}
	}
	return false
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
	rules := src.doc.rules
	if use.changed {
		rules = use.rules
		b.within(u)
	}
	for _, def := range rules {
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
		if def.whenV2.set() || def.whenFHIR.set() {
			u.r.add(CodeWhen, def.at, "`when` belongs into the alternatives of `first`.")
		}
		return c.first(u, def, o, in)
	}
	if !c.paths(u, def, o, in) {
		return nil
	}
	c.conditions(u, def, o, in)
	c.when(u, def, o, in)
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
	for _, ref := range o.fhir {
		c.fill(ref) // also where the lens is at fault: one mistake, one fault
	}
	if !c.lens(u, def, o) {
		return nil
	}
	c.stars(u, def, o)
	c.writer(u, o)
	c.firstOfMany(u, def, o)
	return o
}

// firstOfMany warns of a path without an index into a field that repeats: what follows the first isn't carried.
func (c *compiler) firstOfMany(u *unit, def ruleDef, o *op) {
	for i, ref := range o.v2 {
		p := ref.path
		if ref.field == 0 || p.field == 0 || p.pick.kind != pickFirst || ref.repSel != nil || takesAll(o.lens) || !o.forward {
			continue
		}
		if s := c.dict.Segment(ref.segment); s != nil && s.Field(int(ref.field)) != nil && s.Field(int(ref.field)).Repeats() {
			u.r.add(CodeFirstOfMany, at(textAt(def.v2, i), def.at), "%s-%d repeats in HL7 v%s, and only the first is carried: say (1) if that is meant, or (*).", ref.segment, ref.field, c.dict.Version())
		}
	}
}

// takesAll says whether a lens takes further repetitions as lines, or refuses them.
func takesAll(l *lens) bool { return l == textLens || l == lineLens || l == textBase64Lens }

func textAt(list []text, i int) pos {
	if i < len(list) {
		return list[i].at
	}
	return pos{}
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

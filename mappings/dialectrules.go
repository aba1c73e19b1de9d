package mappings

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// compileRules compiles everything that reads and writes. It is rules of a dialect that is FHIR.
func (d *dialectCompiler) compileRules() {
	u, ids := d.main, map[string]pos{}
	for _, def := range u.doc.tables {
		d.unique(u, ids, def.id)
		d.table(u, def)
	}
	for _, def := range u.doc.rules {
		d.unique(u, ids, def.id)
		r := d.rule(u, def, nil, nil, nil)
		if r == nil {
			continue
		}
		d.compiler.p.ops = append(d.compiler.p.ops, r.op)
		if r.whole() {
			d.p.copies = append(d.p.copies, r)
		} else {
			d.p.rules = append(d.p.rules, r)
		}
	}
	d.overCopies(u)
	for _, def := range u.doc.consts {
		d.constant(u, def)
	}
	for _, def := range u.doc.links {
		d.linkDef(u, def)
	}
	d.event(u)
	for _, def := range u.doc.ignored {
		if def.fhir {
			continue // by ignore
		}
		if ref := d.path(u, def.path, nil, nil); ref != nil {
			d.p.ignored = append(d.p.ignored, ref)
		}
	}
	d.ignore(u)
}

// whole says whether the rule copies a whole resource: other rules write over what it has copied.
func (r *fhirRule) whole() bool {
	return r.kind == opLens && r.code == nil && len(r.fhir) == 1 && len(r.fhir[0].steps) == 0 && r.fhir[0].frame != nil
}

// nests are what `it` means on both sides.
type nests [2]*nest

// rule compiles one rule; nil means that it has a fault.
func (d *dialectCompiler) rule(u *unit, def ruleDef, outer *fhirRule, f *frame, in *nests) *fhirRule {
	r := &fhirRule{op: &op{id: def.id.s, forward: def.dir.s != "<-", backward: def.dir.s != "->", frame: f, at: def.at}}
	if outer != nil {
		r.id = outer.id + "." + def.id.s
		r.forward, r.backward = r.forward && outer.forward, r.backward && outer.backward
	}
	if def.first != nil {
		return d.first(u, def, r, f, in)
	}
	if !d.sides(u, def, r, in) {
		return nil
	}
	d.conditions(u, def, r, in)
	d.when(u, def, r, in)
	switch {
	case def.rules != nil:
		return d.nested(u, def, r)
	case def.link.set():
		u.r.add(CodeDialect, def.link.at, "A nested link is of HL7 v2, where one segment is two resources; here say `links`.")
		return nil
	case def.value.set():
		r.kind, r.value = opValue, u.constant(def.value)
		d.code(u, r.fhir[0], r.value, def.value.at)
		d.fill(r.fhir[0])
		return r
	}
	if len(r.sides[ofDialect].paths) != 1 || len(r.fhir) != 1 {
		u.r.add(CodeLens, def.at, "The rule %s pairs one path of the dialect with one fhir path.", r.id)
		return nil
	}
	for _, side := range r.sides {
		for _, ref := range append(slices.Clone(side.paths), side.also...) {
			d.fill(ref)
		}
	}
	if !d.conversion(u, def, r) {
		return nil
	}
	if r.fhir[0].many() != r.sides[ofDialect].paths[0].many() {
		u.r.add(CodeStars, def.at, "One side of %s repeats and the other doesn't: pair (*) with (*).", r.id)
	}
	d.writers(u, r)
	d.firstOfMany(u, def, r)
	return r
}

// sides binds the paths of a rule. The canonical side decides the frame.
func (d *dialectCompiler) sides(u *unit, def ruleDef, r *fhirRule, in *nests) bool {
	var nest [2]*nest
	if in != nil {
		nest = *in
	}
	canonical, dialect := &r.sides[ofCanonical], &r.sides[ofDialect]
	ok := len(def.fhir) > 0
	if !ok {
		u.r.add(CodeType, def.at, "The rule %s has no fhir side.", r.id)
	}
	bound := func(list []text) (refs []*fhirRef) {
		for _, t := range list {
			ref := d.fhirPath(u, t, nest[ofCanonical])
			if ok = ok && ref != nil; ref != nil {
				refs = append(refs, ref)
			}
		}
		return refs
	}
	canonical.paths, canonical.or, canonical.also = bound(def.fhir), bound(def.orFHIR), bound(def.alsoFHIR)
	if r.frame == nil && len(canonical.paths) > 0 {
		r.frame = canonical.paths[0].frame
	}
	bound = func(list []text) (refs []*fhirRef) {
		for _, t := range list {
			ref := d.path(u, t, r.frame, nest[ofDialect])
			if ok = ok && ref != nil; ref != nil {
				refs = append(refs, ref)
			}
		}
		return refs
	}
	dialect.paths, dialect.or, dialect.also = bound(def.v2), bound(def.orV2), bound(def.alsoV2)
	if ok && len(dialect.paths) == 0 && !def.value.set() {
		u.r.add(CodeType, def.at, "The rule %s has no dialect side.", r.id)
		return false
	}
	r.fhir, r.orFHIR, r.alsoFHIR = canonical.paths, canonical.or, canonical.also
	return ok
}

func (d *dialectCompiler) conditions(u *unit, def ruleDef, r *fhirRule, in *nests) {
	for side, t := range [2]text{def.ifV2, def.ifFHIR} {
		if !t.set() {
			continue
		}
		alts, err := parseSelector(t.s, u.expand)
		if err != nil {
			u.r.add(CodePath, t.at, "A condition is made of equalities: {dialect: \"Task.status=draft\"}.")
		}
		for _, alt := range alts {
			r.sides[side].ifs = append(r.sides[side].ifs, d.conds(u, r, side, alt, t.at, in))
		}
	}
	for side, list := range [2][]text{def.set, def.setFHIR} {
		for _, t := range list {
			conds, err := parseConditions(t.s, u.expand)
			if err != nil {
				u.r.add(CodePath, t.at, "`set` is made of equalities: {dialect: \"it.use=official\"}; names must be declared.")
			}
			r.sides[side].set = append(r.sides[side].set, d.conds(u, r, side, conds, t.at, in)...)
		}
	}
	for _, cond := range append(r.sides[ofDialect].set, r.sides[ofCanonical].set...) {
		d.fill(cond.ref)
		d.code(u, cond.ref, cond.value, cond.ref.at)
	}
}

func (d *dialectCompiler) conds(u *unit, r *fhirRule, side int, conds []condition, at pos, in *nests) []fhirRefCond {
	var list []fhirRefCond
	for _, cond := range conds {
		if ref := d.onSide(u, text{cond.place, at}, r, side, in); ref != nil {
			list = append(list, fhirRefCond{ref, cond.value})
		}
	}
	return list
}

// onSide binds a path of one side of a rule.
func (d *dialectCompiler) onSide(u *unit, t text, r *fhirRule, side int, in *nests) *fhirRef {
	var inner *nest
	if in != nil {
		inner = in[side]
	}
	if side == ofCanonical {
		return d.fhirPath(u, t, inner)
	}
	return d.path(u, t, r.frame, inner)
}

// when compiles a rule's guards.
func (d *dialectCompiler) when(u *unit, def ruleDef, r *fhirRule, in *nests) {
	for side, expr := range [2]text{def.whenV2, def.whenFHIR} {
		read := side == ofDialect && r.forward || side == ofCanonical && r.backward
		other := [2]text{def.whenV2, def.whenFHIR}[1-side]
		name := [2]string{"dialect", "fhir"}[side]
		switch {
		case expr.set() && !read:
			u.r.add(CodeWhen, expr.at, "The rule never reads its %s side, so it can't be guarded there.", name)
		case !expr.set() && other.set() && read:
			u.r.add(CodeWhen, def.at, "The rule runs both ways, so `when` needs its %s side too; or say dir.", name)
		case expr.set():
			r.sides[side].when = d.guard(u, expr, func(call string, path text) (ask, bool) {
				return d.asks(u, call, path, func(path text) *fhirRef { return d.onSide(u, path, r, side, in) })
			})
		}
	}
	if def.absent.set() && (def.whenV2.set() || def.whenFHIR.set()) {
		u.r.add(CodeWhen, def.absent.at, "`absent` and `when` exclude one another: is the source missing, or the guard against it?")
	}
}

// first compiles alternatives. Each has its own paths, or takes those of the rule.
func (d *dialectCompiler) first(u *unit, def ruleDef, r *fhirRule, f *frame, in *nests) *fhirRule {
	r.kind = opFirst
	alone := d.alone
	d.alone = true
	for _, alt := range def.first {
		if alt.v2 == nil {
			alt.v2 = def.v2
		}
		if alt.fhir == nil {
			alt.fhir = def.fhir
		}
		if kid := d.rule(u, alt, r, f, in); kid != nil {
			r.adopt(kid)
		}
	}
	d.alone = alone
	if len(r.kids) == 0 {
		return nil
	}
	r.frame = r.kids[0].frame
	for i, kid := range r.kids {
		for _, earlier := range r.kids[:i] {
			if kid.backward && earlier.backward && kid.kind == opLens && earlier.kind == opLens && earlier.convert == kid.convert &&
				earlier.code == kid.code && sameFHIR(earlier.op, kid.op) && len(earlier.sides[ofCanonical].ifs) == 0 && earlier.sides[ofCanonical].when == nil {
				u.r.add(CodeFirst, kid.at, "The way back always takes %s before %s; say dir: \"->\".", earlier.id, kid.id)
			}
		}
	}
	return r
}

// adopt takes a rule in as one that runs inside.
func (r *fhirRule) adopt(kid *fhirRule) {
	r.kids, r.op.kids = append(r.kids, kid), append(r.op.kids, kid.op)
}

// nested compiles rules over one element of each side.
func (d *dialectCompiler) nested(u *unit, def ruleDef, r *fhirRule) *fhirRule {
	r.kind = opNested
	dialect := r.sides[ofDialect].paths
	if len(dialect) != 1 || len(r.fhir) != 1 {
		u.r.add(CodeLens, def.at, "A rule with nested rules has one path of the dialect and one fhir path.")
		return nil
	}
	inner := &nests{}
	for side, ref := range [2]*fhirRef{dialect[0], r.fhir[0]} {
		defs := d.defs.Type(ref.typ)
		if defs == nil || defs.Kind == fhir.Primitive || len(ref.steps) == 0 {
			u.r.add(CodeTypeClash, def.at, "Nested rules pair two elements that have elements.")
			return nil
		}
		inner[side] = &nest{element: ref, defs: defs}
		d.fill(ref)
	}
	if r.fhir[0].many() != dialect[0].many() {
		u.r.add(CodeStars, def.at, "One side of %s repeats and the other doesn't: pair (*) with (*).", r.id)
	}
	for _, kidDef := range def.rules {
		if kid := d.rule(u, kidDef, r, r.frame, inner); kid != nil {
			r.adopt(kid)
		}
	}
	if len(r.kids) == 0 {
		return nil
	}
	return r
}

// conversion finds what turns one element into the other: a code map, a lens, a prefix, or a copy.
func (d *dialectCompiler) conversion(u *unit, def ruleDef, r *fhirRule) bool {
	dialect, canonical := r.sides[ofDialect].paths[0], r.fhir[0]
	r.absent = def.absent.s
	if def.absent.set() {
		d.code(u, canonical, def.absent.s, def.absent.at)
	}
	if def.prefix.set() {
		r.prefix = u.constant(def.prefix)
	}
	if len(def.except) > 0 && def.as.s != "copy" {
		u.r.add(CodeLens, def.except[0].at, "`except` leaves elements out of a copy: say as: copy.")
	}
	if def.code.set() {
		if !has(primitiveTexts, dialect.typ) {
			u.r.add(CodeTypeClash, def.at, "A code map reads a code; %s is %s.", dialect.path.source, dialect.typ)
			return false
		}
		if !d.codeRule(u, def, r.op) {
			return false
		}
		for _, pair := range r.code.back {
			if r.backward {
				d.code(u, dialect, pair.to, def.code.at)
			}
		}
		return true
	}
	if def.as.set() && def.as.s != "copy" {
		if r.convert = fhirLensNamed(def.as.s); r.convert == nil {
			u.r.add(CodeLens, def.as.at, "Between FHIR and FHIR there is no lens %q%s.", def.as.s, meant(def.as.s, fhirLensNames()))
			return false
		}
		r.lensName = r.convert.name
		return d.converts(u, def, r)
	}
	r.lensName = "copy"
	texts := has(primitiveTexts, dialect.typ) && has(primitiveTexts, canonical.typ)
	if dialect.typ != canonical.typ && !texts {
		u.r.add(CodeTypeClash, at(def.as.at, def.at), "%s is %s and %s is %s: only like types are copied.", dialect.path.source, dialect.typ, canonical.path.source, canonical.typ)
		return false
	}
	if r.prefix != "" && !texts {
		u.r.add(CodeTypeClash, def.prefix.at, "A prefix is of a text; this is %s.", dialect.typ)
		return false
	}
	if r.whole() {
		if def.as.s != "copy" {
			u.r.add(CodeLens, def.at, "A whole resource is copied only where the rule says so: as: copy.")
		}
		if len(dialect.steps) > 0 {
			u.r.add(CodeTypeClash, def.at, "A whole resource pairs with a whole resource.")
			return false
		}
	}
	defs := d.defs.Type(canonical.typ)
	for _, t := range def.except {
		if e, _ := defs.Member(t.s); e == nil {
			u.r.add(CodeElement, t.at, "%s has no element %q%s.", canonical.typ, t.s, meant(t.s, defs.Names()))
		}
		r.except = append(r.except, t.s)
	}
	if r.whole() {
		for _, name := range defs.Names() {
			if !has(r.except, name) {
				d.filled[canonical.frame.name+"."+name], d.filled[dialect.frame.name+"."+name] = true, true
			}
		}
	}
	return true
}

// converts checks the types and ways of a lens.
func (d *dialectCompiler) converts(u *unit, def ruleDef, r *fhirRule) bool {
	dialect, canonical, l := r.sides[ofDialect].paths[0], r.fhir[0], r.convert
	if !has(l.dialect, dialect.typ) || !has(l.canonical, canonical.typ) {
		u.r.add(CodeTypeClash, def.as.at, "The lens %s doesn't pair %s (%s) with %s (%s).", l.name, dialect.path.source, dialect.typ, canonical.path.source, canonical.typ)
		return false
	}
	if r.forward && l.forth == nil {
		u.r.add(CodeLens, def.as.at, "The lens %s only runs back; say dir: \"<-\".", l.name)
		return false
	}
	return true
}

// writers reports a second two-way rule for the same place, of either side.
func (d *dialectCompiler) writers(u *unit, r *fhirRule) {
	if d.alone || !r.forward || !r.backward {
		return
	}
	for _, side := range r.sides {
		for _, ref := range side.paths {
			if ref.frame == nil || ref.many() {
				continue
			}
			key := ref.frame.name + strings.TrimPrefix(ref.path.source, ref.path.frame)
			if ref.frame.index >= 0 && r.sides[ofDialect].paths[0] == ref {
				key += "|" + r.frame.name // frames of one anchor may share an element
			}
			if _, twice := d.written[key]; twice {
				u.r.add(CodeTwoWriters, r.at, "Another two-way rule writes %s too.", ref.path.source)
			}
			d.written[key] = r.at
		}
	}
}

// overCopies reports rules that write all elements of a list that a copy of the whole resource brings too.
func (d *dialectCompiler) overCopies(u *unit) {
	for _, whole := range d.p.copies {
		for _, r := range d.p.rules {
			for side := range r.sides {
				for _, ref := range r.sides[side].paths {
					if ref.frame != whole.sides[side].paths[0].frame || !ref.many() || has(whole.except, ref.steps[0].name) || r.kind == opFirst {
						continue
					}
					u.r.add(CodeTwoWriters, r.at, "%s copies all of %s already; put %s into its `except`.", whole.id, ref.path.source, ref.steps[0].name)
				}
			}
		}
	}
}

// firstOfMany warns of a path without an index into a list.
func (d *dialectCompiler) firstOfMany(u *unit, def ruleDef, r *fhirRule) {
	if !r.forward {
		return
	}
	for _, ref := range r.sides[ofDialect].paths {
		for i := range ref.steps {
			if s := &ref.steps[i]; s.list && s.pick.kind == pickFirst && s.sel == nil {
				u.r.add(CodeFirstOfMany, at(textAt(def.v2, 0), def.at), "%s is a list, and only its first is carried: say (1) if that is meant, or (*).", s.name)
				break
			}
		}
	}
}

// constant compiles a constant of either side.
func (d *dialectCompiler) constant(u *unit, def constDef) {
	if def.fhir.set() {
		d.compiler.constant(u, def)
		return
	}
	k := &constant{value: u.constant(def.value), rule: &op{id: "const", at: def.at}}
	if k.fhir = d.path(u, def.v2, nil, nil); k.fhir == nil {
		return
	}
	d.code(u, k.fhir, k.value, def.value.at)
	d.contradicts(u, k, def)
	d.fill(k.fhir)
	d.p.consts = append(d.p.consts, k)
}

// table compiles a table and checks its rows.
func (d *dialectCompiler) table(u *unit, def tableDef) {
	t := &fhirTable{table: &table{id: def.id.s, at: def.at}}
	context := map[string]bool{}
	for _, x := range def.context {
		context[x.s] = true
	}
	f := d.compiler.p.bundle
	for _, x := range def.fhir {
		ref := d.fhirPath(u, x, nil)
		if ref == nil || ref.frame == nil {
			return
		}
		if t.fhir, t.fhirCtx = append(t.fhir, ref), append(t.fhirCtx, context[x.s]); !context[x.s] {
			d.fill(ref)
		}
		if !ref.frame.message {
			f = ref.frame
		}
	}
	for _, x := range def.v2 {
		ref := d.path(u, x, f, nil)
		if ref == nil {
			return
		}
		if t.dialect, t.v2Ctx = append(t.dialect, ref), append(t.v2Ctx, context[x.s]); !context[x.s] {
			d.fill(ref)
		}
	}
	for _, row := range def.rows {
		t.rows = append(t.rows, d.row(u, t.table, row))
		for i, x := range row.v2 {
			if x.s != "*" && x.s != "-" {
				d.code(u, t.dialect[i], u.constant(x), x.at)
			}
		}
	}
	d.checkRows(u, t.table, def)
	d.compiler.p.tables = append(d.compiler.p.tables, t.table)
	d.p.tables = append(d.p.tables, t)
}

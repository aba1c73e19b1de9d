package mappings

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// site is where an instance stands in the dialect: a resource, or an element of one.
type site struct {
	of   *anchor
	base *site
	node *node
	url  string // by which references lead to the resource
	made bool   // of the way back: it is written
}

// resource is the site of the resource that s stands in.
func (s *site) resource() *site {
	for !s.of.isResource() {
		s = s.base
	}
	return s
}

// chain gives the site of an anchor among those that s stands on.
func (s *site) chain(of *anchor) *site {
	for ; s != nil; s = s.base {
		if s.of == of {
			return s
		}
	}
	return nil
}

// meeting is where a rule runs: an instance, and inside nested rules an element of each side.
type meeting struct {
	inst *instance
	elem [2]*node
}

// carrier runs the rules of a map whose dialect is FHIR, in one direction.
type carrier struct {
	p       *fhirProgram
	to      int // the side that is written
	w       *forward
	r       *reverse // of the way back: it knows the canonical instances, and tells what is lost
	read    *finder  // of the side that is read
	sites   [][]*site
	rule    int64 // the number of the rule that runs, for the order of what it writes
	pending []repointed
	copied  []repointed // the leaves of copies
	refused contracts.Faults
}

// repointed is a leaf that was copied. A reference must lead to where its resource stands now.
type repointed struct {
	leaf *node
	from *node // that was read
}

func (x *carrier) from() int { return 1 - x.to }

// instances are a frame's on the canonical side.
func (x *carrier) instances(fr *frame) []*instance {
	if x.r != nil {
		return x.r.f.of(fr)
	}
	return x.w.of(fr)
}

// run runs the rules: copies of whole resources first, since the others write over what they copy.
func (x *carrier) run(rules []*fhirRule) {
	for _, r := range rules {
		x.rule++
		if !x.runs(r) {
			continue
		}
		for _, in := range x.instances(r.frame) {
			_, no := x.try(r, meeting{inst: in})
			x.tell(no)
		}
	}
}

// runs says whether a rule runs in this direction.
func (x *carrier) runs(r *fhirRule) bool {
	if x.to == ofCanonical {
		return r.forward
	}
	return r.backward
}

// tell reports what a rule refused: on the way to the canonical form it parks, on the way back it is a loss.
func (x *carrier) tell(no *refusal) {
	switch {
	case no == nil:
	case x.r != nil:
		x.r.report(false, no)
	case no.code == CodeTask:
		x.w.findings = append(x.w.findings, warning(contracts.Unmapped, no.code, no.node.source.Place(), no.why))
	case no.code == CodeUnmappedBack:
		x.refused = append(x.refused, contracts.Faultf(contracts.Unmapped, CodeUnmapped, no.node.source.Place(), "%s", no.why))
	default:
		x.refused = append(x.refused, contracts.Faultf(contracts.Invalid, CodeValue, no.node.source.Place(), "%s", no.why))
	}
}

// try runs a rule at one spot. It says whether it wrote; a refusal means that what it reads is there and isn't taken.
func (x *carrier) try(r *fhirRule, at meeting) (bool, *refusal) {
	if !x.runs(r) || !x.allows(r, at) {
		return false, nil
	}
	switch r.kind {
	case opFirst:
		return x.first(r, at)
	case opNested:
		return x.nested(r, at), nil
	case opValue:
		x.value(r, at)
		return false, nil
	}
	wrote := false
	var refused *refusal
	for i, n := range x.elements(r, at) {
		if x.to == ofDialect && r.absent != "" && n.text == r.absent {
			n.seen, wrote = true, true // it stands for nothing
			continue
		}
		ok, no := x.carry(r, at, n, int64(i))
		if wrote = wrote || ok; refused == nil {
			refused = no
		}
	}
	return wrote, refused
}

// allows says whether the rule's `if` and `when` hold of the side that is read.
func (x *carrier) allows(r *fhirRule, at meeting) bool {
	side := &r.sides[x.from()]
	if side.when != nil && !side.when.holds(func(a ask) any { return x.answer(a, at) }) {
		return false
	}
	return len(side.ifs) == 0 || slices.ContainsFunc(side.ifs, func(alt []fhirRefCond) bool {
		return !slices.ContainsFunc(alt, func(cond fhirRefCond) bool {
			nodes := x.nodes(cond.ref, at)
			return len(nodes) == 0 || nodes[0].text != cond.value
		})
	})
}

// answer looks into the side that is read.
func (x *carrier) answer(a ask, at meeting) any {
	if a.call == "labelled" {
		labels := x.resource(at)
		found := 0
		for n := labels.get("meta").get("security"); n != nil; n = n.follow() {
			if n.peek("code") == a.label {
				found++
			}
		}
		return a.answer(found, "")
	}
	nodes := x.nodes(a.fhir, at)
	if a.other != nil {
		return alike(nodes, x.nodes(a.other, at))
	}
	value := ""
	if len(nodes) > 0 {
		value = nodes[0].text
	}
	return a.answer(len(nodes), value)
}

// resource is the one that is read at a spot.
func (x *carrier) resource(at meeting) *node {
	if x.to == ofDialect {
		return at.inst.res
	}
	if s := at.inst.site; s != nil {
		return s.resource().node
	}
	return orNone(nil)
}

// first takes the first alternative that writes. Where all that were there refused, the first refusal counts.
func (x *carrier) first(r *fhirRule, at meeting) (bool, *refusal) {
	var refused *refusal
	for _, kid := range r.kids {
		spot := at
		if kid.frame != nil && at.inst.frame != kid.frame {
			if spot.inst = x.instanceFor(kid.frame, at.inst); spot.inst == nil {
				continue
			}
		}
		wrote, no := x.try(kid, spot)
		if wrote {
			return true, nil
		}
		if refused == nil {
			refused = no
		}
	}
	return false, refused
}

// nested pairs each element of the side that is read with one of the other, and runs the rules inside.
func (x *carrier) nested(r *fhirRule, at meeting) bool {
	any := false
	source, target := r.sides[x.from()].paths[0], r.sides[x.to].paths[0]
	for i, n := range x.nodes(source, at) {
		inner := at
		inner.elem[x.from()], inner.elem[x.to] = n, x.target(target, at, int64(i))
		if inner.elem[x.to] == nil {
			continue
		}
		wrote := false
		for _, kid := range r.kids {
			if kid.kind != opValue {
				ok, no := x.try(kid, inner)
				x.tell(no)
				wrote = wrote || ok
			}
		}
		if !wrote {
			continue
		}
		any = true
		for _, kid := range r.kids {
			switch {
			case kid.kind == opValue:
				x.try(kid, inner)
			case kid.absent != "" && x.to == ofCanonical:
				if leaf := x.target(kid.fhir[0], inner, 0); leaf != nil && !leaf.holds() {
					x.w.fix(leaf, jsonKind(kid.fhir[0].typ), kid.absent, kid.op)
				}
			}
		}
		x.finish(r, at, n, inner.elem[x.to])
	}
	return any
}

// value writes or checks a value that stands on the canonical side of each element that is made.
func (x *carrier) value(r *fhirRule, at meeting) {
	ref := r.fhir[0]
	if x.to == ofCanonical {
		if n := x.target(ref, at, 0); n != nil {
			x.w.fix(n, jsonKind(ref.typ), r.value, r.op)
		}
		return
	}
	for _, n := range x.nodes(ref, at) {
		n.seen = n.seen || n.text == r.value
	}
}

// elements gives what a rule reads: its own path, else `also`, else `or`.
func (x *carrier) elements(r *fhirRule, at meeting) []*node {
	side := &r.sides[x.from()]
	nodes := x.nodes(side.paths[0], at)
	for _, ref := range side.also {
		nodes = also(nodes, x.nodes(ref, at), ref)
	}
	for _, ref := range side.or {
		if len(nodes) > 0 {
			break
		}
		nodes = x.nodes(ref, at)
	}
	return nodes
}

// nodes gives the elements that a path of the side that is read leads to; a path without a star means the first.
func (x *carrier) nodes(ref *fhirRef, at meeting) []*node {
	base := x.base(ref, at, x.from())
	if base == nil {
		return nil
	}
	nodes := nodesAt(base, ref.steps, nil, x.read)
	if !ref.many() && len(nodes) > 1 {
		nodes = nodes[:1]
	}
	return x.few(nodes, 0)
}

// few gives no more elements than mostNumbered, beside those that there are already, and parks a message that has more: in
// lists of lists are many even where none is long.
func (x *carrier) few(nodes []*node, already int) []*node {
	if already+len(nodes) <= mostNumbered {
		return nodes
	}
	if n := nodes[mostNumbered-already]; len(x.refused) == 0 || x.refused[len(x.refused)-1].Code != CodeTooMany {
		x.refused = append(x.refused, tooMany(n.source.Parent().Place()))
	}
	return nodes[:mostNumbered-already]
}

// base is the node from which a path starts.
func (x *carrier) base(ref *fhirRef, at meeting, side int) *node {
	switch {
	case ref.frame == nil:
		return at.elem[side]
	case side == ofCanonical:
		if in := x.instanceFor(ref.frame, at.inst); in != nil {
			return in.res
		}
	default:
		if s := x.siteFor(x.p.anchors[ref.frame.index], at.inst); s != nil {
			return s.node
		}
	}
	return nil
}

// instanceFor gives the instance of another frame that belongs to this one: of the same place in the dialect, or the one
// that it stands on or that stands on it, else the only one.
func (x *carrier) instanceFor(fr *frame, in *instance) *instance {
	if in.frame == fr {
		return in
	}
	list := x.instances(fr)
	for _, other := range list {
		if other == in.parent || other.parent == in && in != nil {
			return other
		}
	}
	for _, other := range list {
		if related(other.site, in.site) {
			return other
		}
	}
	if len(list) == 0 || fr.each && in.frame.each {
		return nil
	}
	return list[0]
}

// related says whether one of two places stands on the other, beneath the root.
func related(a, b *site) bool {
	if a == nil || b == nil || a.of.kind == anchorRoot || b.of.kind == anchorRoot {
		return a == b
	}
	return a.chain(b.of) == b || b.chain(a.of) == a
}

// siteFor gives the place of an anchor that belongs to an instance.
func (x *carrier) siteFor(of *anchor, in *instance) *site {
	if in != nil && in.site != nil {
		if s := in.site.chain(of); s != nil {
			return s
		}
		for _, s := range x.sites[of.frame.index] {
			if related(s, in.site) {
				return s
			}
		}
	}
	if list := x.sites[of.frame.index]; len(list) > 0 {
		return list[0]
	}
	if x.to == ofDialect {
		return x.place(of, in, 0)
	}
	return nil
}

// target walks a path of the side that is written and makes what is missing.
func (x *carrier) target(ref *fhirRef, at meeting, source int64) *node {
	n := x.base(ref, at, x.to)
	for i := range ref.steps {
		if n == nil {
			return nil
		}
		if step := &ref.steps[i]; step.list {
			n = x.item(n, step, x.rule<<40|source)
		} else {
			n = x.w.child(n, step.name)
		}
	}
	return n
}

// item gives the element of a list that a step names: one that is there, maybe by a copy, else a new one.
func (x *carrier) item(n *node, step *fhirPlace, order int64) *node {
	if step.pick.many() {
		return x.w.element(n, step, order, true)
	}
	nth, wanted := 0, max(step.pick.index, 1)
	for k := n.get(step.name); k != nil; k = k.follow() {
		if step.sel == nil || step.sel.isType == "" && matchesNode(k, step.sel) {
			if nth++; nth == wanted {
				return k
			}
		}
	}
	return x.w.element(n, step, order, false)
}

// carry turns one element into its counterpart. Nothing is made where the element isn't taken.
func (x *carrier) carry(r *fhirRule, at meeting, n *node, nth int64) (bool, *refusal) {
	text := ""
	var no *refusal
	switch {
	case r.code != nil && x.to == ofCanonical:
		text, no = x.coded(r, n)
	case r.code != nil:
		text, no = x.decoded(r, n)
	case r.prefix != "" && x.to == ofCanonical:
		text = r.prefix + n.value()
	case r.prefix != "":
		bare, ok := strings.CutPrefix(n.text, r.prefix)
		if !ok {
			return false, nil
		}
		text, n.seen = bare, true
	case r.convert != nil && x.to == ofCanonical:
		text, no = converted(n, r.convert.forth)
	case r.convert != nil:
		text, no = converted(n, r.convert.back)
	}
	if no != nil {
		return false, no
	}
	side := &r.sides[x.to]
	for i, ref := range append(side.paths[:1:1], side.also...) {
		target := x.target(ref, at, nth)
		if target == nil {
			return false, nil
		}
		switch {
		case text == "":
			x.copy(r, n, target)
		case r.code != nil && ref.typ != "code" && !has(primitiveTexts, ref.typ):
			x.writeCode(r, n, target, ref.typ, text)
		default:
			x.write(r, n, target, jsonKind(ref.typ), text)
		}
		if i == 0 && !target.holds() {
			return false, nil
		}
		x.w.constantsOf(ref, target, r.op)
	}
	x.finish(r, at, n, nil)
	return true, nil
}

func converted(n *node, convert func(*node) (text, why string)) (string, *refusal) {
	text, why := convert(n)
	if why != "" {
		return "", &refusal{n, CodeValueBack, why}
	}
	return text, nil
}

// coded looks a code of the dialect up.
func (x *carrier) coded(r *fhirRule, n *node) (string, *refusal) {
	code, known := lookup(r.code.forward, n.text)
	if !known {
		switch target := r.fhir[0]; {
		case r.code.unmapped == unmappedError:
			return "", &refusal{n, CodeUnmappedBack, "The code map " + r.code.name + " doesn't know this code."}
		case r.code.unmapped == unmappedTask && (!has(primitiveTexts, target.typ) || !target.takesAny()):
			return "", untranslated(n, r.code) // it has no system that could say whose it is
		case r.code.unmapped == unmappedTask:
			x.w.findings = append(x.w.findings, openTask(n.source.Place(), r.code, true))
		}
		code = n.text
	}
	n.seen = true
	return code, nil
}

// decoded looks a canonical code up on its way back.
func (x *carrier) decoded(r *fhirRule, n *node) (string, *refusal) {
	coding, leaf := n, n
	switch r.fhir[0].typ {
	case "CodeableConcept":
		coding = orNone(coded(n.get("coding"), r.code.system))
		leaf = coding.get("code")
	case "Coding":
		leaf = n.get("code")
	}
	if leaf == nil || leaf != n && coding.peek("system") != r.code.system {
		return "", &refusal{n, CodeUnmappedBack, "Here is no code of the system that the code map knows."}
	}
	code, known := lookup(r.code.back, leaf.text)
	if !known {
		switch {
		case r.code.unmapped == unmappedError:
			return "", &refusal{leaf, CodeUnmappedBack, "The code map " + r.code.name + " has no way back for this code."}
		case r.code.unmapped == unmappedTask && !r.sides[ofDialect].paths[0].takesAny():
			return "", untranslated(leaf, r.code)
		case r.code.unmapped == unmappedTask:
			x.r.findings = append(x.r.findings, openTask(leaf.source.Place(), r.code, true))
		}
		code = leaf.text
	}
	leaf.seen = true
	if leaf != n {
		coding.read("system")
		coding.read("display")
	}
	return code, nil
}

// writeCode writes a code into a Coding or a concept.
func (x *carrier) writeCode(r *fhirRule, from, n *node, typ, code string) {
	if typ == "CodeableConcept" {
		n = x.w.item(n, "coding")
	}
	x.write(r, from, x.w.child(n, "system"), fhir.KindString, r.code.system)
	x.write(r, from, x.w.child(n, "code"), fhir.KindString, code)
}

// write sets a leaf and remembers who wrote it and from where.
func (x *carrier) write(r *fhirRule, from, n *node, kind fhir.Kind, text string) {
	n.kind, n.text, n.rule, n.source, n.fixed = kind, text, r.op, from.source, false
}

// derivedNames are what a copy of a whole resource leaves behind.
var derivedNames = []string{"resourceType", "id"}

// copy copies an element as it stands. References in it lead to where their resources stand on the other side.
func (x *carrier) copy(r *fhirRule, from, to *node) {
	if from.kind != fhir.KindObject {
		if from.kind == fhir.KindNull || from.kind == fhir.KindAbsent {
			return
		}
		from.seen = true
		x.write(r, from, to, from.kind, from.text)
		return
	}
	whole := r.whole()
	fresh := map[string]bool{}
	for k := from.first; k != nil; k = k.next {
		switch {
		case has(r.except, k.name), whole && has(derivedNames, k.name), whole && k.name == "contained" && x.p.contained:
			continue
		case whole && k.name == "meta":
			x.copyMeta(r, k, to)
			continue
		case whole && k.name == "extension" && k.peek("url") == residueURL:
			continue
		}
		if !k.many {
			x.copyInto(r, k, x.w.child(to, k.name))
			continue
		}
		if !fresh[k.name] {
			fresh[k.name] = true
			to.dropAll(k.name)
		}
		item := x.w.item(to, k.name)
		item.order = x.rule << 40
		x.copyInto(r, k, item)
	}
}

// copyMeta copies what a resource's meta says of the matter.
func (x *carrier) copyMeta(r *fhirRule, from, to *node) {
	for k := from.first; k != nil; k = k.next {
		if has(derivedMeta, k.name) {
			continue
		}
		meta := x.w.child(to, "meta")
		if k.many {
			x.copyInto(r, k, x.w.item(meta, k.name))
		} else {
			x.copyInto(r, k, x.w.child(meta, k.name))
		}
	}
}

// copyInto copies an element inside a copied one.
func (x *carrier) copyInto(r *fhirRule, from, to *node) {
	if from.kind != fhir.KindObject {
		if from.name == "reference" && x.repoint(r, from, to) {
			return
		}
		from.seen = true
		x.write(r, from, to, from.kind, from.text)
		x.copied = append(x.copied, repointed{to, from})
		return
	}
	for k := from.first; k != nil; k = k.next {
		if k.many {
			x.copyInto(r, k, x.w.item(to, k.name))
		} else {
			x.copyInto(r, k, x.w.child(to, k.name))
		}
	}
}

// overwritten finds what was copied and then replaced by a constant: nothing carries it.
func (x *carrier) overwritten() {
	for _, p := range x.copied {
		if p.leaf.fixed && p.leaf.text != p.from.text {
			p.from.seen = false
		}
	}
}

// repoint says whether a reference leads to a resource of the message: it is written once all have their place.
func (x *carrier) repoint(r *fhirRule, from, to *node) bool {
	e := x.read.resolve(from.parent)
	if e == nil || strings.HasPrefix(from.text, "#") && !x.p.contained {
		return false
	}
	to.rule, to.source = r.op, from.source
	x.pending = append(x.pending, repointed{to, from})
	return true
}

// finish marks what the rule's selectors and conditions would write again, and writes those of the other side.
func (x *carrier) finish(r *fhirRule, at meeting, from, to *node) {
	read, written := &r.sides[x.from()], &r.sides[x.to]
	for _, ref := range append(append(read.paths[:1:1], read.also...), read.or...) {
		if len(ref.steps) > 0 && ref.steps[len(ref.steps)-1].name == from.name {
			seeSelectors(ref, from)
		}
	}
	for _, alt := range append([][]fhirRefCond{read.set}, read.ifs...) {
		for _, cond := range alt {
			for _, n := range x.nodes(cond.ref, at) {
				if n.text == cond.value {
					n.seen = true
					seeSelectors(cond.ref, n)
				}
			}
		}
	}
	if to != nil {
		x.w.constantsOf(written.paths[0], to, r.op)
	}
	conds := written.set
	if len(written.ifs) > 0 {
		conds = append(written.ifs[0][:len(written.ifs[0]):len(written.ifs[0])], conds...)
	}
	for _, cond := range conds {
		if n := x.target(cond.ref, at, 0); n != nil {
			x.w.fix(n, jsonKind(cond.ref.typ), cond.value, r.op)
			x.w.constantsOf(cond.ref, n, r.op)
		}
	}
}

// tables decides the cells of one side from those of the other.
func (x *carrier) tables() {
	for _, t := range x.p.tables {
		x.rule++
		fr := x.p.bundle
		for _, ref := range t.fhir {
			if !ref.frame.message {
				fr = ref.frame
			}
		}
		runs := slices.ContainsFunc(t.rows, func(r tableRow) bool { return r.runs(x.to) })
		for _, in := range x.instances(fr) {
			if runs {
				x.table(t, meeting{inst: in})
			}
		}
	}
}

func (r *tableRow) runs(to int) bool {
	if to == ofCanonical {
		return r.forward
	}
	return r.backward
}

func (x *carrier) table(t *fhirTable, at meeting) {
	read := t.paths(x.from())
	nodes := make([]*node, len(read))
	for i, ref := range read {
		if list := x.nodes(ref, at); len(list) > 0 {
			nodes[i] = list[0]
		}
	}
	for i := range t.rows {
		row := &t.rows[i]
		if !row.runs(x.to) || !fitsNodes(row.cells(x.from()), nodes) {
			continue
		}
		for j, n := range nodes {
			if n != nil && row.cells(x.from())[j] != "*" {
				n.seen = true
				seeSelectors(read[j], n)
			}
		}
		for j, ref := range t.paths(x.to) {
			value := row.cells(x.to)[j]
			if value == "*" || value == "-" || t.context(x.to)[j] {
				continue
			}
			if n := x.target(ref, at, 0); n != nil {
				x.write(&fhirRule{op: row.rule}, orNone(firstNode(nodes)), n, jsonKind(ref.typ), value)
				x.w.constantsOf(ref, n, row.rule)
			}
		}
		return
	}
	where, code := read[0].path.source, CodeNoRow
	if n := firstNode(nodes); n != nil {
		where = n.source.Place()
	}
	if x.to == ofDialect {
		code = CodeNoRowBack
	}
	x.refused = append(x.refused, contracts.Faultf(contracts.Unmapped, code, where, "No row of the table %s fits the values here.", t.id))
}

// dropAll takes out every element of that name.
func (n *node) dropAll(name string) {
	var before *node
	for k := n.first; k != nil; k = k.next {
		if k.name != name {
			before = k
			continue
		}
		if before == nil {
			n.first = k.next
		} else {
			before.next = k.next
		}
	}
	n.last = before
}

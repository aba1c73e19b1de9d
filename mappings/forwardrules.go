package mappings

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// run runs a rule for every instance of its frame and keeps its faults.
func (f *forward) run(o *op) {
	if !o.forward {
		return
	}
	list := f.instances
	if o.frame == f.p.bundle {
		f.keep(f.try(o, spot{inst: f.bundle}))
		return
	}
	for _, in := range list[o.frame.index] {
		f.keep(f.try(o, spot{inst: in, seg: in.seg, rep: in.rep}))
	}
}

func (f *forward) keep(_ bool, fault *contracts.Fault) {
	switch {
	case fault == nil:
	case fault.Grade == contracts.GradeError:
		f.faults = append(f.faults, fault)
	default:
		f.findings = append(f.findings, fault)
	}
}

// try runs a rule at one spot. It says whether the rule wrote; a fault means that its source is there and was refused, or,
// where it is a warning, left out.
func (f *forward) try(o *op, at spot) (bool, *contracts.Fault) {
	if !o.forward || !f.allow(o, at) {
		return false, nil
	}
	f.op = o
	switch o.kind {
	case opFirst:
		return f.first(o, at)
	case opNested:
		return f.nested(o, at)
	case opLink:
		n := f.target(o.fhir[0], at, 0)
		f.pending = append(f.pending, pendingLink{n, at.elem, o.link, at.seg, o})
		return true, nil
	case opValue:
		f.fix(f.target(o.fhir[0], at, 0), jsonKind(o.fhir[0].typ), o.value, o)
		return false, nil
	}
	return f.lens(o, at)
}

// allow says whether the rule's `if` and `when` hold.
func (f *forward) allow(o *op, at spot) bool {
	if o.whenV2 != nil && !o.whenV2.holds(func(a ask) any { return f.answer(a, at) }) {
		return false
	}
	if len(o.ifV2) == 0 {
		return true
	}
	for _, alt := range o.ifV2 {
		all := true
		for _, cond := range alt {
			c, ok := f.one(cond.ref, at)
			if !ok || c.text() != cond.value {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// first takes the first alternative that writes. Where all that were there refused, the first refusal counts.
func (f *forward) first(o *op, at spot) (bool, *contracts.Fault) {
	var refused *contracts.Fault
	for _, kid := range o.kids {
		spot := at
		if kid.frame != o.frame && kid.frame != nil {
			in := f.instanceFor(kid.frame, at.inst)
			if in == nil {
				continue
			}
			spot.inst = in
		}
		wrote, fault := f.try(kid, spot)
		if wrote {
			if refused != nil && !kid.reads(refused.At) {
				f.findings = append(f.findings, passedOver(refused))
			}
			return true, fault // of another repetition, which no further alternative gets
		}
		if refused == nil {
			refused = fault
		}
	}
	return false, refused
}

// reads says whether a rule reads the field of a place.
func (o *op) reads(at string) bool {
	segment, field, _ := strings.Cut(at, "-")
	segment, _, _ = strings.Cut(segment, "(")
	field = field[:len(field)-len(strings.TrimLeft(field, "0123456789"))]
	of := func(ref *v2Ref) bool { return ref.segment == segment && strconv.Itoa(int(ref.field)) == field }
	return slices.ContainsFunc(o.v2, of) || slices.ContainsFunc(o.orV2, of) || slices.ContainsFunc(o.kids, func(kid *op) bool { return kid.reads(at) })
}

// passedOver tells of what one alternative refused when another one, which doesn't read it, wrote in its place.
func passedOver(refused *contracts.Fault) *contracts.Fault {
	loss := contracts.Faultf(contracts.Loss, CodeUnread, refused.At, "This can't be used, and what stands elsewhere is taken instead. %s", refused.Public)
	loss.Grade = contracts.GradeWarning
	return loss
}

// nested pairs each segment or repetition with an element and runs the rules inside. Links make an element too, values
// don't.
func (f *forward) nested(o *op, at spot) (bool, *contracts.Fault) {
	any := false
	var buf [8]cell
	for _, c := range f.sources(o.v2[0], at, buf[:0]) {
		elem := f.target(o.fhir[0], at, sourceOrder(c))
		inner := spot{inst: at.inst, seg: c.seg, rep: c.rep, elem: elem}
		wrote := false
		for _, kid := range o.kids {
			if kid.kind == opValue {
				continue
			}
			ok, fault := f.try(kid, inner)
			f.keep(ok, fault)
			wrote = wrote || ok
		}
		if !wrote {
			continue
		}
		any = true
		for _, kid := range o.kids {
			if kid.kind == opValue {
				f.try(kid, inner)
			}
		}
		f.constantsOf(o.fhir[0], elem, o)
		f.absents(o, inner)
	}
	return any, nil
}

// absents writes what stands for an absent source, once an element is made.
func (f *forward) absents(o *op, at spot) {
	for _, kid := range o.kids {
		if kid.absent != "" {
			f.absent(kid, at)
		}
	}
}

func (f *forward) absent(o *op, at spot) {
	n := f.target(o.fhir[0], at, 0)
	if n != nil && !n.holds() {
		f.fix(n, jsonKind(o.fhir[0].typ), o.absent, o)
	}
}

// lens reads a rule's cells and writes its elements.
func (f *forward) lens(o *op, at spot) (bool, *contracts.Fault) {
	ref := o.v2[0]
	if !ref.many() {
		return f.single(o, at)
	}
	var buf [8]cell
	cells := f.sources(ref, at, buf[:0])
	switch {
	case len(cells) == 0:
		return f.alternative(o, at)
	case o.rep == "join":
		return f.join(o, at, cells)
	case o.rep == "first":
		cells = cells[:1]
	case o.rep == "last":
		cells = cells[len(cells)-1:]
	case o.rep == "same":
		return f.same(o, at, cells)
	case o.rep == "error" && len(cells) > 1:
		return false, contracts.Faultf(contracts.Invalid, CodeValue, cells[1].place().String(), "Only one repetition may stand here.")
	}
	wrote := false
	var refused *contracts.Fault
	for _, c := range cells {
		list := []cell{c}
		for _, beside := range o.v2[1:] {
			other, _ := f.one(beside, at)
			other.d = f.d
			list = append(list, other)
		}
		ok, fault := f.translate(o, at, list)
		wrote = wrote || ok
		switch {
		case fault == nil || fault.Grade != contracts.GradeError:
			f.keep(ok, fault)
		case refused == nil:
			refused = fault
		case wrote:
			f.keep(ok, fault)
		}
	}
	return wrote, refused
}

// single is a rule whose cells don't repeat: the first of each.
func (f *forward) single(o *op, at spot) (bool, *contracts.Fault) {
	var buf [6]cell
	cells, any := buf[:0], false
	for _, ref := range o.v2 {
		c, ok := f.one(ref, at)
		c.d = f.d
		any = any || ok
		cells = append(cells, c)
	}
	if !any {
		return f.alternative(o, at)
	}
	wrote, fault := f.translate(o, at, cells)
	if wrote {
		f.seeRepeats(o, at, cells[0])
	}
	return wrote, fault
}

// seeRepeats counts the other places of a rule as read where they say just what its own place says.
func (f *forward) seeRepeats(o *op, at spot, main cell) {
	if main.seg == nil {
		return
	}
	for _, refs := range [][]*v2Ref{o.orV2, o.alsoV2} {
		for _, ref := range refs {
			if c, ok := f.one(ref, at); ok && c.repeats(main) {
				c.markAll()
			}
		}
	}
}

// alternative reads what `or` names.
func (f *forward) alternative(o *op, at spot) (bool, *contracts.Fault) {
	for _, ref := range o.orV2 {
		if c, ok := f.one(ref, at); ok {
			return f.translate(o, at, []cell{c})
		}
	}
	return false, nil
}

// same takes the first of several that must agree.
func (f *forward) same(o *op, at spot, cells []cell) (bool, *contracts.Fault) {
	for _, c := range cells[1:] {
		if c.text() != cells[0].text() {
			return false, contracts.Faultf(contracts.Invalid, CodeValue, c.place().String(), "This must be the same as in %s.", cells[0].place())
		}
		c.markAll()
	}
	return f.translate(o, at, cells[:1])
}

// join makes one text of several.
func (f *forward) join(o *op, at spot, cells []cell) (bool, *contracts.Fault) {
	parts := make([]string, len(cells))
	for i := len(cells) - 1; i >= 0; i-- { // backwards, so that the lineage names the first
		parts[i] = unbreak(cells[i].paragraphs())
	}
	text := strings.Join(parts, o.sep)
	if strings.TrimSpace(text) == "" {
		return false, nil
	}
	n := f.target(o.fhir[0], at, sourceOrder(cells[0]))
	if n == nil {
		return false, nil
	}
	if o.lens == textBase64Lens {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	} else {
		text = strings.TrimRight(text, " \n")
	}
	f.op = o
	f.set(n, fhir.KindString, text)
	f.finish(o, o.fhir, []*node{n}, at)
	return true, nil
}

// translate runs the lens or code map once, into the rule's elements and those of `also`.
func (f *forward) translate(o *op, at spot, cells []cell) (bool, *contracts.Fault) {
	if o.code != nil {
		return f.translateCode(o, at, cells[0])
	}
	if ok, fault := f.apply(o, o.fhir, at, cells); !ok || fault != nil {
		return ok, fault
	}
	for i := range o.alsoFHIR {
		f.apply(o, o.alsoFHIR[i:i+1], at, cells)
	}
	return true, nil
}

// apply runs the lens into one set of elements.
func (f *forward) apply(o *op, refs []*fhirRef, at spot, cells []cell) (bool, *contracts.Fault) {
	g := &f.getter
	g.in, g.out, g.system, g.faulty = append(g.in[:0], cells...), g.out[:0], o.system, place{}
	cells = g.in
	order := sourceOrder(cells[0])
	for _, ref := range refs {
		n := f.target(ref, at, order)
		if n == nil {
			return false, nil
		}
		g.out = append(g.out, n)
	}
	if !o.backward && f.taken(g.out[0], o, cells[0]) {
		return false, nil
	}
	f.op = o
	f.d.last = firstPlace(cells)
	if o.prefix != "" {
		f.set(g.out[0], fhir.KindString, o.prefix+cells[0].text())
	} else if why := o.lens.get(g); why == nothing {
		return false, nil
	} else if why != "" && o.leaves {
		return false, warning(contracts.Invalid, CodeLeftOut, g.refusedPlace().String(), why+" The message goes on without it.")
	} else if why != "" {
		return false, contracts.Faultf(contracts.Invalid, CodeValue, g.refusedPlace().String(), "%s", why)
	}
	f.finish(o, refs, g.out, at)
	return true, nil
}

// refusedPlace is the cell that the lens refused.
func (g *getter) refusedPlace() place {
	if g.faulty.seg != nil {
		return g.faulty
	}
	return firstPlace(g.in)
}

// taken says whether another rule has written something else there. A rule that has no way back doesn't replace it: its
// source stays unread, and so is told.
func (f *forward) taken(n *node, o *op, c cell) bool {
	return n.rule != nil && n.rule != o && n.kind != fhir.KindObject && n.kind != fhir.KindAbsent && n.text != peek(c)
}

// finish writes the constants of the selectors and of `set`.
func (f *forward) finish(o *op, refs []*fhirRef, nodes []*node, at spot) {
	for i, ref := range refs {
		f.constantsOf(ref, nodes[i], o)
	}
	sets := o.setFHIR
	if len(o.ifFHIR) > 0 {
		sets = append(append([]fhirRefCond(nil), o.ifFHIR[0]...), sets...)
	}
	for _, s := range sets {
		if n := f.target(s.ref, at, 0); n != nil {
			f.fix(n, jsonKind(s.ref.typ), s.value, o)
			f.constantsOf(s.ref, n, o)
		}
	}
}

// translateCode looks a code up. Components 2 and 3 count as read where they say what the way back would write.
func (f *forward) translateCode(o *op, at spot, c cell) (bool, *contracts.Fault) {
	code := peek(c)
	if code == "" {
		return false, nil
	}
	from := place{c.seg, c.field, c.rep, max(c.comp, 1), max(c.sub, 1)}
	foreign := c.foreign(o.code)
	to, known := lookup(o.code.forward, code)
	if known = known && !foreign; !known {
		if o.code.unmapped == unmappedError && foreign {
			return false, contracts.Faultf(contracts.Unmapped, CodeUnmapped, from.String(), "This code is of another system than those of the code map %s: the third component names it.", o.code.name)
		}
		if o.code.unmapped == unmappedError {
			return false, contracts.Faultf(contracts.Unmapped, CodeUnmapped, from.String(), "The code map %s doesn't know this code.", o.code.name)
		}
		to = code
	}
	task := !known && o.code.unmapped == unmappedTask
	own := task || foreign
	wrote := false
	for _, ref := range append(o.fhir[:len(o.fhir):len(o.fhir)], o.alsoFHIR...) {
		if own && !ref.takesAny() {
			continue
		}
		n := f.target(ref, at, sourceOrder(c))
		if n == nil {
			return false, nil
		}
		c.text()
		f.op, wrote = o, true
		if own {
			f.writeOwn(n, ref.typ, o.code, c)
		} else {
			f.writeCode(n, ref.typ, o.code, to)
		}
		f.constantsOf(ref, n, o)
	}
	if task {
		open := openTask(from.String(), o.code, wrote)
		if !wrote {
			return false, open
		}
		f.findings = append(f.findings, open)
	} else if c.comp == 0 && !foreign {
		f.seeGloss(c, o.code, code)
	}
	f.d.last = from
	f.finish(o, nil, nil, at)
	return true, nil
}

// foreign says whether component 3 says that the code is of another system than the table of a code map. Senders write
// HL7's tables with wrong numbers, too: what is called HL7's is of the field's own table.
func (c cell) foreign(m *codeMap) bool {
	ours := systemURL(m.table)
	if ours == "" || c.comp > 1 || c.sub > 0 {
		return false
	}
	c.comp = 0
	named := strings.TrimSpace(peek(c.down(3)))
	if strings.HasPrefix(ours, v2Tables) && strings.HasPrefix(named, "HL7") {
		return false
	}
	return named != "" && systemURL(named) != ours
}

// seeGloss counts components 2 and 3 as read where they are what the way back writes for the code.
func (f *forward) seeGloss(c cell, m *codeMap, code string) {
	if display, ok := lookup(m.display, code); ok && peek(c.down(2)) == display {
		c.part(2)
	}
	if m.table != "" && peek(c.down(3)) == m.table {
		c.part(3)
	}
}

// openTask is the finding about a code that goes on though its code map doesn't know it. Its kind opens an issue.
func openTask(at string, m *codeMap, written bool) *contracts.Fault {
	how := "goes on without it"
	if written {
		how = "goes on with the code as it came"
	}
	return warning(contracts.Unmapped, CodeTask, at, "The code map "+m.name+" doesn't know this code; the message "+how+".")
}

func (f *forward) writeCode(n *node, typ string, m *codeMap, code string) {
	switch typ {
	case "CodeableConcept":
		n = f.item(n, "coding")
		fallthrough
	case "Coding":
		f.set(f.child(n, "system"), fhir.KindString, m.system)
		n = f.child(n, "code")
	}
	f.set(n, fhir.KindString, code)
}

// writeOwn writes a code that the map doesn't know as the sender's own, never as one of the map's system.
func (f *forward) writeOwn(n *node, typ string, m *codeMap, c cell) {
	if typ == "CodeableConcept" {
		n = f.item(n, "coding")
	} else if typ != "Coding" {
		f.set(n, fhir.KindString, c.text())
		return
	}
	table, named := m.table, c.comp == 0
	if named && peek(c.down(3)) != "" {
		table = c.part(3)
	}
	f.getter.put(n, "system", systemURL(table))
	f.getter.put(n, "code", c.text())
	if named {
		f.getter.put(n, "display", strings.TrimSpace(c.part(2)))
	}
}

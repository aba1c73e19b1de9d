package mappings

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// lens reads a rule's elements and writes its cells.
func (r *reverse) lens(o *op, at back) (bool, *refusal) {
	nodes := r.elements(o, at)
	if nodes == nil {
		return false, nil
	}
	if len(o.fhir) > 1 {
		return r.put(o, at, nodes, 0)
	}
	switch o.rep {
	case "join":
		return r.split(o, at, nodes[0])
	case "same":
		return r.spread(o, at, nodes[:1])
	case "first":
		nodes = nodes[:1]
	case "last":
		nodes = nodes[len(nodes)-1:]
	}
	wrote := false
	var refused *refusal
	for i, n := range nodes {
		if o.absent != "" && n.text == o.absent {
			n.seen, wrote = true, true // nothing to write, and nothing for another alternative
			continue
		}
		ok, no := r.put(o, at, nodes[i:i+1], i)
		if no != nil && refused == nil {
			refused = no
		} else if no != nil {
			r.report(false, no)
		}
		wrote = wrote || ok
	}
	return wrote, refused
}

// spread writes one element into every segment that other rules have made for the path, or into the one repetition.
// Where there is none, it makes one for what it also reads forward, so that it comes back; what stands in for that, or is
// only written back, is nothing without the segments.
func (r *reverse) spread(o *op, at back, one []*node) (bool, *refusal) {
	count := 1
	if ref := o.v2[0]; ref.path.segPick.many() {
		count = 0
		r.group(at.inst).each(ref.segment, func(s *outSegment) {
			if ref.segSel == nil || len(s.wants) > 0 && s.wants[0].source == ref.segSel.source {
				count++
			}
		})
		if count == 0 && o.forward && len(r.at(o.fhir[0], at)) > 0 {
			count = 1
		}
	}
	for i := range count {
		if _, no := r.put(o, at, one, i); no != nil {
			return false, no
		}
	}
	return true, nil
}

// elements gives what the rule reads: its own path, else `also`, else `or`. Several paths give one node each, or nil.
func (r *reverse) elements(o *op, at back) []*node {
	if len(o.fhir) > 1 {
		from, any := len(r.stack), false
		for _, ref := range o.fhir {
			var buf [4]*node
			var first *node
			if list := nodesAt(r.base(ref, at), ref.steps, buf[:0], r.f); len(list) > 0 {
				first, any = list[0], true
			}
			r.stack = append(r.stack, first)
		}
		if !any {
			return nil
		}
		return r.stack[from:]
	}
	nodes := r.at(o.fhir[0], at)
	for _, ref := range o.alsoFHIR {
		nodes = also(nodes, r.at(ref, at), ref)
	}
	for _, ref := range o.orFHIR {
		if len(nodes) > 0 {
			break
		}
		if ref.origin && r.f.origin == nil {
			r.parkOrigin(ref)
			break
		}
		nodes = r.at(ref, at)
	}
	return nodes
}

// also gives what a rule reads where its value stands in another place, too: that is read where it says the same, and
// stands in where the rule's own path has nothing.
func also(nodes, others []*node, ref *fhirRef) []*node {
	if len(nodes) == 0 {
		return others
	}
	for i, other := range others {
		if i < len(nodes) && equal(nodes[i], other) {
			other.seeAll()
			seeSelectors(ref, other)
		}
	}
	return nodes
}

// at gives the elements of one path; a path without a star means the first. They are good until the rule ends.
func (r *reverse) at(ref *fhirRef, at back) []*node {
	f := r.f
	if ref.origin && f.origin != nil {
		f = f.origin
	}
	from := len(r.stack)
	r.stack = nodesAt(r.base(ref, at), ref.steps, r.stack, f)
	nodes := r.stack[from:len(r.stack):len(r.stack)]
	if len(nodes) == 0 {
		return nil
	}
	if !ref.many() && len(nodes) > 1 {
		nodes = nodes[:1]
	}
	return nodes
}

// equal compares two elements by value; the order of members says nothing in JSON.
func equal(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || a.size() != b.size() {
		return false
	}
	for x := a.first; x != nil; x = x.next {
		if a.get(x.name) != x {
			continue // compared with the first of its array
		}
		y, z := x, b.get(x.name)
		for ; y != nil && z != nil; y, z = y.follow(), z.follow() {
			if !equal(y, z) {
				return false
			}
		}
		if y != nil || z != nil {
			return false
		}
	}
	return true
}

// size counts the members of an element, each item of an array as one.
func (n *node) size() (count int) {
	for k := n.first; k != nil; k = k.next {
		count++
	}
	return count
}

// alike says whether there is something to compare and all others are equal to the first.
func alike(first, others []*node) bool {
	if len(first) == 0 || len(others) == 0 {
		return false
	}
	for _, n := range others {
		if !equal(first[0], n) {
			return false
		}
	}
	return true
}

// put runs the lens or code map on one element and writes what it says.
func (r *reverse) put(o *op, at back, nodes []*node, index int) (bool, *refusal) {
	p := &r.putter
	p.in, p.version, p.system, p.types, p.fields, p.writes = nodes, r.p.version, o.system, p.types[:0], p.fields[:0], p.writes[:0]
	for _, ref := range o.v2 {
		p.types, p.fields = append(p.types, r.writtenType(o, ref)), append(p.fields, ref.comp == 0)
	}
	first := firstNode(nodes)
	switch {
	case o.code != nil:
		if no := r.putCode(o, p, first); no != nil {
			return false, no
		}
	case o.prefix != "":
		text, ok := strings.CutPrefix(first.text, o.prefix)
		if !ok {
			return false, nil
		}
		first.seen = true
		p.set(0, 1, text)
	default:
		if r.mislabels(o, first) {
			return false, &refusal{first, CodeValueBack, "The rule names another code system than the code has."}
		}
		if why := o.lens.put(p); why != "" {
			return false, &refusal{first, CodeValueBack, why}
		}
	}
	if len(p.writes) == 0 {
		return false, nil
	}
	for i, n := range nodes {
		if n != nil {
			seeSelectors(o.fhir[min(i, len(o.fhir)-1)], n)
		}
	}
	for _, ref := range o.alsoFHIR {
		for _, other := range r.at(ref, at) {
			seeSelectors(ref, other)
		}
	}
	r.seeSet(o, at)
	r.write(o, at, p, first, index)
	return true, nil
}

// seeSet marks what the rule's `set` and `if` would write again.
func (r *reverse) seeSet(o *op, at back) {
	r.seeConds(o.setFHIR, at)
	for _, alt := range o.ifFHIR {
		r.seeConds(alt, at)
	}
}

func (r *reverse) seeConds(conds []fhirRefCond, at back) {
	for _, cond := range conds {
		var buf [4]*node
		for _, n := range nodesAt(r.base(cond.ref, at), cond.ref.steps, buf[:0], r.f) {
			if n.text == cond.value {
				n.seen = true
				seeSelectors(cond.ref, n)
			}
		}
	}
}

// writtenType is the data type that a cell has when it is written; for OBX-5 the one that the rule's `if` names.
func (r *reverse) writtenType(o *op, ref *v2Ref) string {
	if ref.typ == "varies" {
		if conds := r.chosen(o); len(conds) > 0 {
			return conds[0].value
		}
	}
	return ref.typ
}

// chosen is the alternative of an `if` that is written: the first whose data types this version has.
func (r *reverse) chosen(o *op) []refCond {
	for _, alt := range o.ifV2 {
		fits := true
		for _, c := range alt {
			if c.ref.segment == "OBX" && c.ref.field == 2 && r.p.dict.Type(c.value) == nil {
				fits = false
			}
		}
		if fits {
			return alt
		}
	}
	if len(o.ifV2) > 0 {
		return o.ifV2[0]
	}
	return nil
}

// write puts a lens's components where the rule's v2 paths lead, and beside them what `if` and `set` say.
func (r *reverse) write(o *op, at back, p *putter, from *node, index int) {
	for i, ref := range o.v2 {
		if wrotePart(p.writes, i) {
			r.writeCell(o, at, ref, p.writes, i, from, index)
		}
	}
	for _, ref := range o.alsoV2 {
		r.writeCell(o, at, ref, p.writes, 0, from, index)
	}
	for _, conds := range [...][]refCond{r.chosen(o), o.setV2} {
		for _, cond := range conds {
			s, slot := r.dest(cond.ref, at, 0, nil)
			s.write(cond.ref.field, slot, max(cond.ref.comp, 1), max(cond.ref.sub, 1), cond.value, o, nil)
		}
	}
}

func (r *reverse) writeCell(o *op, at back, ref *v2Ref, writes []written, cell int, from *node, index int) {
	s, slot := r.dest(ref, at, int64(index), from)
	for _, w := range writes {
		if int(w.cell) == cell {
			comp, sub := partPlace(ref, w)
			s.write(ref.field, slot, comp, sub, w.text, o, from)
		}
	}
}

func wrotePart(writes []written, cell int) bool {
	for _, w := range writes {
		if int(w.cell) == cell {
			return true
		}
	}
	return false
}

// partPlace turns a lens's component into the field's: of a repetition it is the component, of a component the
// subcomponent.
func partPlace(ref *v2Ref, w written) (comp, sub int16) {
	switch {
	case ref.comp == 0:
		return w.comp, w.sub
	case ref.sub == 0:
		return ref.comp, w.comp
	}
	return ref.comp, ref.sub
}

// putCode looks a code up on its way back.
func (r *reverse) putCode(o *op, p *putter, n *node) *refusal {
	leaf, task, own := n, o.code.unmapped == unmappedTask, o.code.unmapped != unmappedError
	switch o.fhir[0].typ {
	case "CodeableConcept":
		coding := coded(n.get("coding"), o.code.system)
		switch {
		case coding == nil && own && n.get("coding") != nil:
			return r.putOwn(o, p, n.get("coding"))
		case coding == nil:
			return &refusal{n, CodeUnmappedBack, "The concept has no code of the system that the map knows."}
		}
		n = coding
		leaf = orNone(n.get("code"))
	case "Coding":
		switch {
		case n.peek("system") == o.code.system:
		case own:
			return r.putOwn(o, p, n)
		default:
			return &refusal{n, CodeUnmappedBack, anotherSystem}
		}
		leaf = orNone(n.get("code"))
	}
	code, ok := lookup(o.code.back, leaf.text)
	if !ok {
		switch {
		case task && leaf != n:
			return r.putOwn(o, p, n)
		case task && o.fhir[0].takesAny():
			r.findings = append(r.findings, openTask(leaf.source.Place(), o.code, true))
		case task:
			return untranslated(leaf, o.code)
		case o.code.unmapped == unmappedError:
			return &refusal{leaf, CodeUnmappedBack, "The code map " + o.code.name + " has no way back for this code."}
		}
		code = leaf.text
	}
	leaf.seen = true
	if leaf != n {
		n.read("system")
		n.read("display")
	}
	p.set(0, 1, code)
	if (ok || !task && leaf != n) && o.v2[0].comp == 0 && p.wide(0) && o.code.table != "" {
		if display, ok := lookup(o.code.display, code); ok {
			p.set(0, 2, display)
		}
		p.set(0, 3, o.code.table)
	}
	return nil
}

const anotherSystem = "The code isn't of the system that the map knows."

// foreign says whether no code that a rule finds is of the system of its code map, which lets them go on all the same:
// another alternative of a `first` goes before.
func (r *reverse) foreign(o *op, at back) bool {
	if o.code == nil || o.code.unmapped == unmappedError {
		return false
	}
	found := false
	for _, n := range r.at(o.fhir[0], at) {
		coding := codingOf(o, n)
		if coding == nil || coded(coding, o.code.system) != nil {
			return false
		}
		found = true
	}
	return found
}

// codingOf is the coding that a rule writes as code, name and system, nil where there is none.
func codingOf(o *op, n *node) *node {
	switch o.fhir[0].typ {
	case "Coding":
		return n
	case "CodeableConcept":
		return orNone(n).get("coding")
	}
	return nil
}

// renames says whether the rule's `if` or `set` would write another system beside a code than it has.
func (r *reverse) renames(o *op, system string) bool {
	field := o.v2[0]
	for _, conds := range [...][]refCond{r.chosen(o), o.setV2} {
		for _, c := range conds {
			if c.ref.segment == field.segment && c.ref.field == field.field && c.ref.comp == 3 && field.comp == 0 && systemURL(tableName(c.value)) != system {
				return true
			}
		}
	}
	return false
}

// mislabels is renames for a lens, which reads the system itself; a code of the rule's own `system` may stand bare.
func (r *reverse) mislabels(o *op, n *node) bool {
	coding := codingOf(o, n)
	if coding == nil || coding.peek("code") == "" {
		return false
	}
	system := coding.peek("system")
	return (o.system == "" || system != "" && system != o.system) && r.renames(o, system)
}

// untranslated is a code that has to be left out though its map lets it go on.
func untranslated(n *node, m *codeMap) *refusal {
	return &refusal{n, CodeTask, openTask("", m, false).Public}
}

// putOwn writes a coding that the map doesn't know as what it is, where the field has room for its system or says that
// system by itself, and the rule names no other. Else it is left out.
func (r *reverse) putOwn(o *op, p *putter, n *node) *refusal {
	wide, task := o.v2[0].comp == 0, o.code.unmapped == unmappedTask
	system, ours := n.peek("system"), systemURL(o.code.table)
	switch leaf := n.get("code"); {
	case leaf != nil && (system == ours || wide && system != "") && !r.renames(o, system):
	case task:
		return untranslated(n, o.code)
	default:
		return &refusal{n, CodeUnmappedBack, anotherSystem}
	}
	if task {
		r.findings = append(r.findings, openTask(n.source.Place()+".code", o.code, true))
	}
	n.read("system")
	p.set(0, 1, n.read("code"))
	if wide {
		p.set(0, 2, n.read("display"))
		p.set(0, 3, systemName(system))
	}
	return nil
}

func coded(c *node, system string) *node {
	for ; c != nil; c = c.follow() {
		if c.peek("system") == system {
			return c
		}
	}
	return nil
}

// split cuts a joined text at its separator, a segment or repetition for each part.
func (r *reverse) split(o *op, at back, n *node) (bool, *refusal) {
	text := n.value()
	if o.lens == textBase64Lens {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return false, &refusal{n, CodeValueBack, "The data isn't base64."}
		}
		if !utf8.Valid(b) {
			return false, &refusal{n, CodeValueBack, "The data isn't text in UTF-8."}
		}
		text = string(b)
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	parts := []string{text}
	if o.sep != "" {
		parts = strings.Split(text, o.sep)
	}
	for i, part := range parts {
		if part == "" {
			part = " " // an empty repetition would be lost, and the line with it
		}
		p := &putter{version: r.p.version}
		p.set(0, 1, rebreak(part))
		r.write(o, at, p, n, i)
	}
	seeSelectors(o.fhir[0], n)
	return true, nil
}

// isStatus says whether an element is a modifier of its resource or stands in one, such as status or the code of
// verificationStatus: to lose it would change what the rest means.
func isStatus(n *node) bool {
	for n.parent != nil && n.parent.get("resourceType") == nil {
		n = n.parent
	}
	if n.parent == nil {
		return false
	}
	t := fhir.Definitions().Type(n.parent.peek("resourceType"))
	if t == nil {
		return false
	}
	e := t.Element(n.name)
	return e != nil && e.Modifier
}

// isGloss says whether an element only words what is carried beside it: the display of a code, the text of a concept.
func isGloss(n *node) bool {
	switch n.name {
	case "display":
		return orNone(n.parent.get("code")).seen || orNone(n.parent.get("reference")).seen
	case "text":
		for c := n.parent.get("coding"); c != nil; c = c.follow() {
			if orNone(c.get("code")).seen {
				return true
			}
		}
	}
	return false
}

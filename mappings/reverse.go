package mappings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// reverse is one translation from the canonical message to v2.
type reverse struct {
	p        *program
	f        *finder // near, where there is one
	near     *finder // of the Bundle
	far      *finder // of the request
	arena    *arena
	memory   outMemory
	stack    []*node // what the rule that runs has found; its memory serves the next
	putter   putter
	builder  *hl7v2.Builder
	quiet    bool // no finding is told: only what is written counts
	out      *outGroup
	orphans  map[*groupDef]*outGroup
	rule     int64    // the number of the rule that runs, for the order of what it writes
	kept     *residue // what the rules don't bring back, nil where there is none
	version  string   // MSH-12.1
	withheld int      // elements and resources that the map leaves behind on purpose
	findings contracts.Faults
	faults   contracts.Faults
}

// back is where a rule runs: an instance, and inside nested rules the current element and the segment it becomes.
type back struct {
	inst *instance
	elem *node
	seg  *pendingSegment
}

// pendingSegment is a segment or repetition that nested rules will write, made at the first write.
type pendingSegment struct {
	ref   *v2Ref
	at    back
	index int64
	from  *node     // the element of the pair
	link  *instance // the frame that stands for the same segment
	made  *outSegment
	slot  int16
}

// Reverse translates a canonical Bundle to the map's dialect. bundle isn't changed, but must not be written to meanwhile. Where it holds
// the residue of this map, what the rules don't carry comes back by it, as far as nobody has changed in FHIR what it
// belongs to; the version is then the one that came in, unless c says one.
// The error is contracts.Faults: all that would park the message; then there is no Result. What v2 can't carry is in
// Findings, of kind loss.
func (m *Map) Reverse(bundle *fhir.Tree, c Context) (*Result, error) {
	if m.FHIR() {
		return m.reverseFHIR(bundle, c, m.fhirResidueIn(bundle))
	}
	kept := m.residueIn(bundle)
	if kept != nil && c.Version == "" {
		c.Version = kept.Version
	}
	return m.reverse(bundle, c, kept)
}

// usualVersion is the one that is written where nobody says another.
const usualVersion = "2.5.1"

// defaultVersion is what MSH-12 says where nobody says another version.
func (m *Map) defaultVersion() string { return m.program(usualVersion).version }

// reverse is Reverse with a residue, or without any.
func (m *Map) reverse(bundle *fhir.Tree, c Context, kept *residue) (*Result, error) {
	r := reverses.Get().(*reverse)
	defer r.release()
	r.kept = kept
	if faults := r.carry(m, bundle, c); len(faults) > 0 {
		return nil, faults
	}
	return r.result(c)
}

var reverses = sync.Pool{New: func() any {
	return &reverse{near: &finder{}, far: &finder{}, arena: &arena{}, orphans: map[*groupDef]*outGroup{}, builder: hl7v2.NewBuilder(hl7v2.Standard, hl7v2.UTF8)}
}}

// release forgets the message and gives the memory back.
func (r *reverse) release() {
	r.near.release()
	r.far.release()
	r.arena.release()
	r.memory.release()
	clear(r.stack[:cap(r.stack)])
	clear(r.orphans)
	r.putter.release()
	r.builder.Reset(hl7v2.Standard, hl7v2.UTF8)
	r.p, r.f, r.out, r.kept, r.quiet, r.findings, r.faults = nil, nil, nil, nil, false, nil, nil
	r.stack, r.rule, r.withheld = r.stack[:0], 0, 0
	reverses.Put(r)
}

// carry runs the rules over a Bundle and writes the segments. The faults park it.
func (r *reverse) carry(m *Map, bundle *fhir.Tree, c Context) contracts.Faults {
	r.p = m.program(cmp.Or(c.Version, usualVersion))
	r.version = cmp.Or(c.Version, r.p.version)
	r.putter.clock, r.putter.zone = m.doc.v2.write.s, m.zone(c)
	var origin *finder
	if c.Origin != nil && c.Origin.Bundle != nil && r.p.usesOrigin {
		var fault *contracts.Fault
		origin = r.far
		if fault = origin.read(r.p, r.arena, c.Origin.Bundle, nil); fault != nil {
			fault.At = "origin " + fault.At
			return contracts.Faults{fault}
		}
	}
	r.f = r.near
	if fault := r.f.read(r.p, r.arena, bundle, origin); fault != nil {
		return contracts.Faults{fault}
	}
	if r.f.missing != nil {
		r.parkOrigin(r.f.missing.ref)
	}
	r.out = r.memory.group(r.p.root, nil, 0)
	r.out.segment("MSH", 0)
	for _, t := range r.p.tables {
		r.table(t)
	}
	for i, o := range r.p.ops {
		r.rule = int64(i + 1)
		r.run(o)
	}
	r.constants()
	r.childless()
	r.faults = append(r.faults, r.loss()...)
	r.takenCells()
	r.out.visit(func(_ *outGroup, s *outSegment) {
		if s.full > 0 {
			r.faults = append(r.faults, tooMany(s.id+"-"+itoa(int(s.full))))
		}
	})
	if len(r.faults) > 0 {
		return r.faults
	}
	head := r.out.segments("MSH", nil)[0]
	head.set(12, head.slotFor(12, pick{}, nil, 0), 1, 1, r.version)
	r.out.visit(func(_ *outGroup, s *outSegment) { s.settle() })
	r.out.complete(r.p.dict)
	r.out.sorted()
	return nil
}

// takenCells tells, once each, of the elements whose cell another one took, but for what they say in another cell too.
func (r *reverse) takenCells() {
	var told []*node
	r.out.visit(func(_ *outGroup, s *outSegment) {
		for _, t := range s.lost {
			if !slices.Contains(told, t.node) && !r.says(t) {
				told = append(told, t.node)
				r.lose(CodeLeafLost, t.node.source.Place(), "Another element is written where this one would stand.")
			}
		}
	})
}

// says finds the text in a cell that the element, or one that it stands in, has.
func (r *reverse) says(t taken) (found bool) {
	r.out.visit(func(_ *outGroup, s *outSegment) {
		for i := range s.leaves {
			found = found || s.leaves[i].text == t.text && t.node.within(s.by[i].node)
		}
	})
	return found
}

// within says whether n is the element or stands in it.
func (n *node) within(element *node) bool {
	for ; n != nil && element != nil; n = n.parent {
		if n == element {
			return true
		}
	}
	return false
}

// lines gives the segments that the rules wrote, as text.
func (r *reverse) lines(to *er7Lines) error {
	r.builder.Reset(hl7v2.Standard, hl7v2.UTF8)
	r.out.write(r.builder, r.p.dict)
	data, err := r.builder.Bytes()
	if err != nil {
		return err
	}
	to.in(string(data))
	return nil
}

func (r *reverse) parkOrigin(ref *fhirRef) {
	r.faults = append(r.faults, contracts.Faultf(contracts.Invalid, CodeNoOrigin, "Bundle",
		"The answer doesn't hold what the map takes from the request (%s), and the request isn't known.", ref.path.source))
}

func (r *reverse) lose(code, at, format string, args ...any) {
	if !r.quiet {
		r.findings = append(r.findings, warning(contracts.Loss, code, at, fmt.Sprintf(format, args...)))
	}
}

// warning is a finding that stops nothing.
func warning(kind contracts.Kind, code, at, text string) *contracts.Fault {
	return &contracts.Fault{Kind: kind, Code: code, At: at, Public: text, Grade: contracts.GradeWarning}
}

// run runs a rule for every instance of its frame.
func (r *reverse) run(o *op) {
	if !o.backward {
		return
	}
	for _, in := range r.f.of(o.frame) {
		r.report(r.try(o, back{inst: in}))
		r.stack = r.stack[:0]
	}
}

// refusal is a value that a rule has but can't write.
type refusal struct {
	node *node
	code string
	why  string
}

func (r *reverse) report(_ bool, no *refusal) {
	if no == nil {
		return
	}
	no.node.seeAll() // it is reported here, once
	at := no.node.source.Place()
	switch {
	case no.code == CodeTask:
		r.findings = append(r.findings, warning(contracts.Unmapped, no.code, at, no.why))
	case no.code == CodeUnmappedBack && isStatus(no.node):
		r.faults = append(r.faults, contracts.Faultf(contracts.Unmapped, no.code, at, "%s", no.why))
	default:
		r.lose(no.code, at, "%s", no.why)
	}
}

// try runs a rule at one spot and says whether it wrote.
func (r *reverse) try(o *op, at back) (bool, *refusal) {
	if !o.backward || !r.allow(o, at) {
		return false, nil
	}
	switch o.kind {
	case opFirst:
		return r.first(o, at)
	case opNested:
		return r.nested(o, at), nil
	case opLink:
		var buf [4]*node
		for _, n := range nodesAt(r.base(o.fhir[0], at), o.fhir[0].steps, buf[:0], r.f) {
			r.f.seeReference(o.fhir[0], n, []*frame{o.link})
		}
		return false, nil
	case opValue:
		var buf [4]*node
		for _, n := range nodesAt(r.base(o.fhir[0], at), o.fhir[0].steps, buf[:0], r.f) {
			if n.text == o.value {
				n.seen = true
			}
		}
		return false, nil
	}
	return r.lens(o, at)
}

// allow says whether a condition on the FHIR side holds.
func (r *reverse) allow(o *op, at back) bool {
	if o.whenFHIR != nil && !o.whenFHIR.holds(func(a ask) any { return r.answer(a, at) }) {
		return false
	}
	for _, alt := range o.ifFHIR {
		all := true
		for _, cond := range alt {
			var buf [4]*node
			nodes := nodesAt(r.base(cond.ref, at), cond.ref.steps, buf[:0], r.f)
			all = all && len(nodes) > 0 && nodes[0].text == cond.value
		}
		if all {
			return true
		}
	}
	return len(o.ifFHIR) == 0
}

func (r *reverse) first(o *op, at back) (bool, *refusal) {
	var refused *refusal
	for _, foreign := range [...]bool{false, true} {
		for _, kid := range o.kids {
			spot := at
			if kid.frame != o.frame {
				in := r.instanceFor(kid.frame, at.inst)
				if in == nil {
					continue
				}
				spot.inst = in
			}
			if r.foreign(kid, spot) != foreign {
				continue
			}
			wrote, no := r.try(kid, spot)
			if wrote {
				return true, nil
			}
			if refused == nil {
				refused = no
			}
		}
	}
	return false, refused
}

// instanceFor gives the instance of another frame that belongs to this one: itself, its parent, a sibling or child,
// else the only one.
func (r *reverse) instanceFor(fr *frame, in *instance) *instance {
	if in.frame == fr {
		return in
	}
	list := r.f.of(fr)
	for _, other := range list {
		if other == in.parent || other.parent == in || other.parent != nil && other.parent == in.parent {
			return other
		}
	}
	if len(list) == 0 || fr.each && in.frame.each {
		return nil
	}
	return list[0]
}

// base is the node that a path starts from.
func (r *reverse) base(ref *fhirRef, at back) *node {
	if ref.origin {
		if r.f.origin != nil {
			for _, in := range r.f.origin.of(ref.frame) {
				return in.res
			}
		}
		return orNone(nil)
	}
	if ref.frame == nil {
		return at.elem
	}
	if in := r.instanceFor(ref.frame, at.inst); in != nil {
		return in.res
	}
	return orNone(nil)
}

// nested pairs each element with a segment or repetition.
func (r *reverse) nested(o *op, at back) bool {
	any := false
	ref := o.fhir[0]
	for i, n := range r.at(ref, at) {
		p := &pendingSegment{ref: o.v2[0], at: at, index: int64(i), from: n}
		inner := back{inst: at.inst, elem: n, seg: p}
		for _, kid := range o.kids {
			if kid.kind == opLink {
				p.link = r.linked(kid, inner)
			}
		}
		for _, kid := range o.kids {
			wrote, no := r.try(kid, inner)
			r.report(wrote, no)
			any = any || wrote
		}
		seeSelectors(ref, n)
	}
	return any
}

// linked gives the instance that a nested link leads to.
func (r *reverse) linked(o *op, at back) *instance {
	var buf [4]*node
	for _, n := range nodesAt(at.elem, o.fhir[0].steps, buf[:0], r.f) {
		e := r.f.resolve(n)
		if e == nil {
			continue
		}
		for _, in := range r.f.of(o.link) {
			if in.res == e.node {
				return in
			}
		}
	}
	return nil
}

// seeSelectors marks what a path's selectors would write again.
func seeSelectors(ref *fhirRef, n *node) {
	for i := len(ref.steps) - 1; i >= 0 && n != nil; i-- {
		if sel := ref.steps[i].sel; sel != nil {
			for _, alt := range sel.alts {
				for j := range alt {
					seeCond(n, &alt[j], 0)
				}
			}
			for j := range sel.set {
				seeCond(n, &sel.set[j], 0)
			}
		}
		n = n.parent
	}
}

func seeCond(n *node, c *fhirCond, depth int) {
	if depth == len(c.path) {
		if n.text == c.value {
			n.seen = true
		}
		return
	}
	for k := n.get(c.path[depth]); k != nil; k = k.follow() {
		seeCond(k, c, depth+1)
	}
}

// constants writes the dialect's constants into the segments that are made, and checks those of FHIR.
func (r *reverse) constants() {
	for _, k := range r.p.consts {
		if k.fhir != nil {
			for _, in := range r.f.of(k.fhir.frame) {
				var buf [4]*node
				for _, n := range nodesAt(in.res, k.fhir.steps, buf[:0], r.f) {
					if n.text == k.value {
						n.seen = true
						seeSelectors(k.fhir, n)
					}
				}
			}
			continue
		}
		field, comp, sub := k.v2.field, max(k.v2.comp, 1), max(k.v2.sub, 1)
		r.out.each(k.v2.segment, func(s *outSegment) {
			if s.get(field, 0, comp, sub) == "" {
				s.write(field, s.slotFor(field, pick{}, nil, 0), comp, sub, k.value, k.rule, nil)
			}
		})
	}
}

// each calls visit for every segment of that name.
func (g *outGroup) each(id string, visit func(*outSegment)) {
	g.visit(func(_ *outGroup, s *outSegment) {
		if s.id == id {
			visit(s)
		}
	})
}

// visit calls f for every segment in order.
func (g *outGroup) visit(f func(*outGroup, *outSegment)) {
	for _, it := range g.items {
		if it.group != nil {
			it.group.visit(f)
		} else {
			f(g, it.segment)
		}
	}
}

// result encodes the message and reads it back.
func (r *reverse) result(c Context) (*Result, error) {
	charset := hl7v2.UTF8
	if c.Charset != "" {
		known, ok := hl7v2.LookupCharset(c.Charset)
		if !ok {
			return nil, contracts.Faults{contracts.Faultf(contracts.Invalid, hl7v2.CodeCharset, "MSH-18", "The character set to write is unknown.")}
		}
		charset = known
	}
	var now er7Lines
	if r.kept != nil {
		if err := r.lines(&now); err != nil {
			return nil, contracts.FaultsOf(err)
		}
	}
	delims, opts := hl7v2.Standard, []hl7v2.Option(nil)
	if c.Mark && hl7v2.VersionAtLeast(r.version, "2.7") {
		delims.Truncation = '#'
	}
	b := r.builder
	b.Reset(delims, charset)
	if c.Escape {
		b.EscapeUnknown()
		opts = append(opts, hl7v2.WithEscapeUnknown())
	}
	var where []int // of each segment that the rules wrote: its number in the message, -1 where the residue says that it isn't in it
	if r.kept == nil {
		r.out.write(b, r.p.dict)
	} else {
		where = r.merge(now.list, b, charset, delims.Truncation != 0)
	}
	data, err := b.Bytes()
	if err != nil {
		return nil, contracts.FaultsOf(err)
	}
	for _, at := range b.Escaped() {
		r.lose(hl7v2.CodeNotInCharset, at.Place(), "A character here doesn't exist in %s; it was written as an escape of its bytes in UTF-8, which its reader must expect.", charset.Name())
	}
	msg, err := hl7v2.Parse(data, opts...)
	if err != nil {
		return nil, contracts.FaultsOf(err)
	}
	r.regrouped(msg, where)
	res := &Result{Message: msg, Findings: r.findings}
	r.coverage(res)
	if !c.Untraced {
		r.lineage(res, where)
	}
	return res, nil
}

// regrouped reports a segment that a reader would put into another group than it was written for.
func (r *reverse) regrouped(msg *hl7v2.Message, where []int) {
	d := dialects.Get().(*dialect)
	defer func() {
		d.release()
		dialects.Put(d)
	}()
	d.name(msg)
	assemble(d, msg, r.p)
	next, same, taken := 0, map[*outGroup]*group{r.out: d.root}, map[*group]bool{d.root: true}
	r.out.visit(func(g *outGroup, s *outSegment) {
		i := next
		if next++; where != nil {
			i = where[i]
		}
		if i < 0 {
			return
		}
		read := &d.segments[i]
		known, ok := same[g]
		if !ok {
			if same[g] = read.group; !taken[read.group] {
				known, taken[read.group] = read.group, true
			}
		}
		if known != read.group || read.group.def != g.def {
			r.lose(CodeRegrouped, place{seg: read}.String(), "A reader takes this segment for part of %s.", groupName(read.group))
		}
	})
}

func groupName(g *group) string {
	if g.def.name == "" {
		return "the message"
	}
	return strings.ToLower(strings.ReplaceAll(g.def.name, "_", " "))
}

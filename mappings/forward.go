package mappings

import (
	"crypto/sha1" // what a version 5 UUID is made of; it protects nothing
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// forward is one translation from v2 to the canonical message. Its memory serves many, one after another, so nothing
// that outlives a translation may point into it.
type forward struct {
	p         *program
	d         *dialect
	zone      *time.Location
	untraced  bool
	arena     *arena
	instances [][]*instance // by frame
	memory    instances
	bundle    *instance
	chosen    []int // by frame, where a message has several segments for one; see choose
	trial     bool
	pending   []pendingLink
	findings  contracts.Faults
	faults    contracts.Faults
	op        *op
	getter    getter
}

// instance is one occurrence of a frame, in either direction.
type instance struct {
	frame  *frame
	index  int
	parent *instance
	res    *node
	url    string
	made   bool
	// forward
	group *group
	seg   *segment
	rep   int16
	// reverse
	out    *outGroup
	outSeg *outSegment
	home   *finder // whose Bundle it stands in: the answer's, or the request's
	site   *site   // where the dialect is FHIR
}

type pendingLink struct {
	node *node
	elem *node // of the nested rules; without the link it may say nothing
	to   *frame
	at   *segment
	rule *op
}

// spot is where a rule runs: a frame's instance, and inside nested rules the current segment, repetition and element.
type spot struct {
	inst *instance
	seg  *segment
	rep  int16
	elem *node
}

// namespace is the UUID under which fullUrls are derived.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/hoitosilta/silta/mappings"))

// Forward translates a v2 message to its canonical Bundle. m isn't changed; the Result doesn't share its bytes.
// The error is contracts.Faults: all that would park the message, each with its place; then there is no Result.
func (m *Map) Forward(msg *hl7v2.Message, c Context) (*Result, error) {
	way := plainly
	if !m.keeps(c) {
		way = nil
	}
	return m.forward(msg, c, way)
}

// forward is Forward. What no rule carries is kept by that way back; by none it isn't.
func (m *Map) forward(msg *hl7v2.Message, c Context, way wayBack) (*Result, error) {
	p, fault := m.programFor(msg)
	if fault != nil {
		return nil, contracts.Faults{fault}
	}
	f := forwards.Get().(*forward)
	defer f.release()
	f.p, f.zone, f.untraced = p, m.zone(c), c.Untraced
	if fault := f.d.layout(msg); fault != nil {
		return nil, contracts.Faults{fault}
	}
	assemble(f.d, msg, p)
	if f.several() {
		f.choose(msg)
	}
	f.fill()
	if len(f.faults) > 0 {
		return nil, f.faults
	}
	f.decide()
	f.stamp(m, c)
	f.urls(m, msg, c)
	f.constants()
	f.links()
	f.check()
	if len(f.faults) > 0 {
		return nil, f.faults
	}
	room := 0
	if way != nil {
		room = len(msg.Bytes()) // about what a residue takes
	}
	r := f.result(room)
	if way != nil {
		m.keep(f, r, msg, c, way)
	}
	if faults := f.invalid(r); len(faults) > 0 {
		return nil, faults
	}
	return r, nil
}

// fill runs what fills the frames' instances.
func (f *forward) fill() {
	f.makeInstances()
	for _, t := range f.p.tables {
		f.table(t)
	}
	for _, o := range f.p.ops {
		f.run(o)
	}
}

var forwards = sync.Pool{New: func() any {
	f := &forward{d: &dialect{}, arena: &arena{}}
	f.getter.run = f
	return f
}}

// release forgets the message and gives the memory back.
func (f *forward) release() {
	f.forget()
	f.p, f.zone, f.chosen = nil, nil, f.chosen[:0]
	forwards.Put(f)
}

// forget forgets the message and what came of it.
func (f *forward) forget() {
	f.d.release()
	f.arena.release()
	f.memory.release()
	for i := range f.instances {
		f.instances[i] = f.instances[i][:0]
	}
	clear(f.pending)
	f.getter.release()
	f.bundle, f.op = nil, nil
	f.pending, f.findings, f.faults = f.pending[:0], nil, nil
}

// instances hands out instances, and takes them back all at once.
type instances struct {
	slab []*instance
	used int
}

// new gives an empty one.
func (m *instances) new() *instance {
	if m.used == len(m.slab) {
		m.slab = append(m.slab, &instance{})
	}
	m.used++
	return m.slab[m.used-1]
}

// release forgets the message.
func (m *instances) release() {
	for _, in := range m.slab[:m.used] {
		*in = instance{}
	}
	m.used = 0
}

// invalid parks what wouldn't be valid FHIR: such a Bundle must not leave. Each fault names the v2 place behind it where one
// is. The specification's rules that one element breaks are one fault: they tend to have one cause.
func (f *forward) invalid(r *Result) contracts.Faults {
	type breach struct{ at, code, rules, texts string }
	var broken []breach
	for _, v := range fhir.Validate(r.Bundle) {
		if v.Grade != contracts.GradeError {
			continue
		}
		rule := ""
		if v.Rule != "" {
			rule = ", " + v.Rule
		}
		i := slices.IndexFunc(broken, func(b breach) bool { return rule != "" && b.at == v.At && b.code == v.Code })
		if i < 0 {
			broken = append(broken, breach{v.At, v.Code, rule, v.Public})
		} else {
			broken[i].rules += rule
			broken[i].texts += " " + v.Public
		}
	}
	var parks contracts.Faults
	for _, b := range broken {
		parks = append(parks, contracts.Faultf(contracts.Invalid, CodeInvalidResult, f.sourceOf(r, b.at), "This makes %s, which isn't valid FHIR (%s%s): %s", b.at, b.code, b.rules, b.texts))
	}
	return parks
}

// sourceOf is the place in v2 that an element comes from; of a whole resource the segment that it stands for, since none of
// its fields need be at fault. Where there is none it is the element's own.
func (f *forward) sourceOf(r *Result, element string) string {
	for _, e := range itemsOf(r.Bundle.Root().Get("entry")) {
		if e.Get("resource").Place() != element {
			continue
		}
		for _, list := range f.instances {
			for _, in := range list {
				if in.made && in.seg != nil && in.url == e.Get("fullUrl").Text() {
					return place{seg: in.seg, field: int16(in.frame.field), rep: in.rep}.String()
				}
			}
		}
		return element
	}
	for i := range r.lineage {
		o := &r.lineage[i]
		if rest, in := strings.CutPrefix(r.node(o).Place(), element); o.segment > 0 && in && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return r.place(o).String()
		}
	}
	return element
}

var received, translatedBy = &op{id: "received"}, &op{id: "map"}

// stamp names the map that made the message (meta.source of its MessageHeader). It gives a message that doesn't say when
// it was made the time at which it came, and one that doesn't say who made it the sender that is known.
func (f *forward) stamp(m *Map, c Context) {
	if n := f.child(f.bundle.res, "timestamp"); !n.holds() && !c.Now.IsZero() {
		f.fix(n, fhir.KindString, c.Now.In(f.zone).Format(time.RFC3339), received)
	}
	for _, fr := range f.p.frames {
		if fr.typ != "MessageHeader" {
			continue
		}
		for _, in := range f.of(fr) {
			if in.made {
				f.fix(f.child(f.child(in.res, "meta"), "source"), fhir.KindString, m.stamp, translatedBy)
				f.stampSource(f.child(in.res, "source"), c.Application)
			}
		}
	}
}

// stampSource names the application that sends. Where nobody knows it FHIR's own word for that stands in for the
// address, which can't be left out.
func (f *forward) stampSource(n *node, application string) {
	switch {
	case n.holds():
	case application != "":
		f.fix(f.child(n, "name"), fhir.KindString, application, received)
		f.fix(f.child(n, "endpoint"), fhir.KindString, endpoint(application, "", ""), received)
	default:
		f.unknown(n, "endpoint", received)
	}
}

// makeInstances finds the anchors of every frame.
func (f *forward) makeInstances() {
	f.instances = append(f.instances, make([][]*instance, max(0, len(f.p.frames)-len(f.instances)))...)
	f.bundle = f.memory.new()
	*f.bundle = instance{frame: f.p.bundle, index: 1, group: f.d.root, res: f.arena.new("", nil), made: true}
	for _, fr := range f.p.frames {
		switch {
		case fr.message:
			f.add(fr, f.d.root, nil, 0)
		default:
			f.anchors(fr)
			f.orphansFirst(fr)
		}
	}
}

// orphansFirst puts children without a parent before the others: so they stand in what the way back writes, where
// behind another's parent they would be taken for its children.
func (f *forward) orphansFirst(fr *frame) {
	if fr.parent == nil {
		return
	}
	list := f.instances[fr.index]
	slices.SortStableFunc(list, func(a, b *instance) int {
		switch {
		case a.parent == nil && b.parent != nil:
			return -1
		case a.parent != nil && b.parent == nil:
			return 1
		}
		return 0
	})
	for i, in := range list {
		in.index = i + 1
	}
}

func (f *forward) add(fr *frame, g *group, seg *segment, rep int16) bool {
	if !fr.each && len(f.instances[fr.index]) > 0 && !f.tries(fr) {
		return false
	}
	in := f.memory.new()
	*in = instance{frame: fr, index: len(f.instances[fr.index]) + 1, group: g, seg: seg, rep: rep, res: f.arena.new("", nil)}
	in.res.resource = in
	if fr.parent != nil {
		in.parent = f.parentOf(in)
	}
	f.instances[fr.index] = append(f.instances[fr.index], in)
	return true
}

func (f *forward) anchors(fr *frame) {
	for i := range f.d.segments {
		s := &f.d.segments[i]
		if s.id != fr.anchor || fr.selector != nil && !s.matches(fr.selector, 0) || fr.rest && s.matchesAny(fr.rivals, 0) && f.claimed(fr, s) {
			continue
		}
		if fr.selects() && !f.trial && f.firstOf(fr) != s {
			continue
		}
		if fr.field == 0 {
			f.add(fr, s.group, s, 0)
			continue
		}
		if fr.scope == f.p.root && len(f.instances[fr.index]) > 0 && f.instances[fr.index][0].seg != s {
			break // a second segment where the message has one place for it
		}
		var buf [8]int16
		for _, r := range s.reps(int16(fr.field), buf[:0]) {
			if fr.fieldPick.kind == pickIndex && int(r) != fr.fieldPick.index {
				continue
			}
			f.add(fr, s.group, s, r)
		}
	}
}

// parentOf finds the parent's instance that the anchor belongs to: the one of the same segment, else the one whose
// group holds it.
func (f *forward) parentOf(in *instance) *instance {
	var holding *instance
	for _, p := range f.instances[in.frame.parent.index] {
		if p.seg == in.seg && p.seg != nil {
			return p
		}
		if p.frame.scope != nil && in.group.within(p.group) {
			holding = p
		}
	}
	return holding
}

// matches says whether any alternative of the selector holds for the segment (rep 0) or its repetition.
func (s *segment) matches(sel *v2Selector, field int16, rep ...int16) bool {
	for _, alt := range sel.alts {
		all := true
		for i := range alt {
			if !s.holds(&alt[i], field, rep...) {
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

// see counts as read what the selector of a repetition would write on the way back.
func (s *segment) see(sel *v2Selector, field, rep int16) {
	for _, conds := range append([][]v2Cond{sel.set}, sel.alts...) {
		for i := range conds {
			s.holds(&conds[i], field, rep)
		}
	}
}

// holds compares one condition and counts what it read.
func (s *segment) holds(c *v2Cond, field int16, rep ...int16) bool {
	if len(rep) == 0 {
		for i := range s.leaves {
			l := &s.leaves[i]
			if l.field == c.field && l.comp == c.comp && l.sub == c.sub && l.text == c.value && !l.null {
				l.read = true
				return true
			}
		}
		return false
	}
	l := s.find(field, rep[0], c.comp, c.sub)
	if l == nil || l.null || l.text != c.value {
		return false
	}
	l.read = true
	return true
}

func (s *segment) matchesAny(list []*v2Selector, field int16, rep ...int16) bool {
	for _, sel := range list {
		if s.matches(sel, field, rep...) {
			return true
		}
	}
	return false
}

// reps appends the numbers of a field's populated repetitions.
func (s *segment) reps(field int16, list []int16) []int16 {
	for i := range s.leaves {
		if l := &s.leaves[i]; l.field == field && (len(list) == 0 || list[len(list)-1] != l.rep) {
			list = append(list, l.rep)
		}
	}
	return list
}

// instanceFor gives the instance of another frame that belongs to this one: the same, of the same segment, its parent
// or child, else the first.
func (f *forward) instanceFor(fr *frame, in *instance) *instance {
	if in != nil && in.frame == fr {
		return in
	}
	if fr == f.p.bundle {
		return f.bundle
	}
	list := f.instances[fr.index]
	if in != nil && in.seg != nil {
		for _, other := range list {
			if other.seg == in.seg && (other.rep == in.rep || other.rep == 0) {
				return other
			}
		}
	}
	if len(list) == 0 || fr.each && in != nil && in.frame.each {
		return nil
	}
	return list[0]
}

func (f *forward) warn(code string, at place, text string) {
	w := contracts.Faultf(contracts.Invalid, code, at.String(), "%s", text)
	w.Grade = contracts.GradeWarning
	f.findings = append(f.findings, w)
}

// urls derives the fullUrls: from the map, the sender, the control id, the frame and the place, never from a person.
func (f *forward) urls(m *Map, msg *hl7v2.Message, c Context) {
	sender := c.Sender
	if sender == "" {
		head := msg.Segment(0)
		sender = head.Field(3).ER7() + "|" + head.Field(4).ER7()
	}
	var buf [256]byte
	name := append(buf[:0], namespace[:]...)
	for _, part := range [...]string{m.root, sender, msg.ControlID()} {
		name = append(append(name, part...), 0)
	}
	base := len(name)
	for _, list := range f.instances {
		for _, in := range list {
			if in.made {
				name = in.appendPath(name[:base])
				in.url = urn(sha1.Sum(name))
			}
		}
	}
}

// urn is the URN of the name-based UUID (RFC 9562, version 5) whose hash that is.
func urn(hash [sha1.Size]byte) string {
	var id uuid.UUID
	copy(id[:], hash[:])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	return id.URN()
}

func (in *instance) appendPath(to []byte) []byte {
	if in.parent != nil {
		to = append(in.parent.appendPath(to), '/')
	}
	return strconv.AppendInt(append(append(to, in.frame.name...), '/'), int64(in.index), 10)
}

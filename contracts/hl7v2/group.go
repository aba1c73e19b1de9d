package hl7v2

import (
	"iter"
	"slices"
	"strconv"

	"github.com/hoitosilta/silta/contracts"
)

// Group is one occurrence of a segment group in a message, or the whole message: its segments and the groups in it.
type Group struct {
	Node    *Node    // what the structure says of it
	Parent  *Group   // nil for the message
	Members []Member // in the order of the message

	stands []standing // of each child of Node
	last   int        // the index of the furthest child that stands here
}

// standing is how often a child stands in a group, and its last occurrence where it is a group.
type standing struct {
	count  int
	latest *Group
}

// Member is a segment or a group in a Group.
type Member struct {
	Segment Segment // the zero Segment for a group
	Group   *Group  // nil for a segment
	Node    *Node   // its place in the structure; nil where the structure has none, as for Z-segments
	child   int     // the index in the parent's Children; -1 without a place
}

// Group puts each segment of the message into its group of the structure.
//
// It is tolerant: a segment joins the innermost open group that has room for it, wherever in the group it stands, else
// begins a group, else belongs to no place and stays where it came, as Z-segments do. Real messages are so: RF1 behind
// PV1, PRD before RF1, an ORC inside a referral. No segment is left out; Faults tells what isn't as it should be.
//
// Source: HL7 version 2.5.1, chapter 2, sections 2.5.2 and 2.12 (message structures and groups).
func (m *Message) Group(s *Structure) *Group {
	root := newGroup(s.Root, nil)
	open := root // the innermost group that the last segment went to
	for _, seg := range m.Segments() {
		open = open.add(seg)
	}
	return root
}

// Faults reports what is wrong with the groups of a message, as faults of kind invalid, HL7-100, error code 100, in the
// order of the segments: the fewest segments that would have to move for the order to be right, each segment that stands
// more often than it may, each that has no place and isn't a Z-segment, and what is missing. g is the whole message.
func (g *Group) Faults() contracts.Faults {
	return g.report(func(id string) bool { return id[0] == 'Z' })
}

// report is Faults; segments for which foreign is true are no fault where the structure has no place for them.
func (g *Group) report(foreign func(id string) bool) contracts.Faults {
	m := g.first().m
	r := groupReport{m: m, numbers: m.numbers(), foreign: foreign}
	r.check(g)
	slices.SortStableFunc(r.found, func(a, b placed) int { return a.segment - b.segment })
	var faults contracts.Faults
	for _, f := range r.found {
		faults = append(faults, f.fault)
	}
	return faults
}

// numbers counts each segment among those of its name, from 1.
func (m *Message) numbers() []int32 {
	counts := map[[3]byte]int32{}
	numbers := make([]int32, len(m.segs))
	for i := range m.segs {
		var id [3]byte
		copy(id[:], Segment{m, i}.rawID())
		counts[id]++
		numbers[i] = counts[id]
	}
	return numbers
}

// Name is the group's name in the structure: PROVIDER_CONTACT; empty for the message.
func (g *Group) Name() string { return g.Node.Name }

// Segment gives the first segment of that name in the group itself.
func (g *Group) Segment(id string) (Segment, bool) {
	for s := range g.Segments(id) {
		return s, true
	}
	return Segment{}, false
}

// Segments gives the segments of that name in the group itself; all with an empty name.
func (g *Group) Segments(id string) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for i := range g.Members {
			m := &g.Members[i]
			if m.Group == nil && (id == "" || m.Segment.Is(id)) && !yield(m.Segment) {
				return
			}
		}
	}
}

// Groups gives the groups of that name in the group itself; all with an empty name.
func (g *Group) Groups(name string) iter.Seq[*Group] {
	return func(yield func(*Group) bool) {
		for i := range g.Members {
			m := &g.Members[i]
			if m.Group != nil && (name == "" || m.Group.Name() == name) && !yield(m.Group) {
				return
			}
		}
	}
}

// first is the group's first segment, in whatever group below it.
func (g *Group) first() Segment {
	for g.Members[0].Group != nil {
		g = g.Members[0].Group
	}
	return g.Members[0].Segment
}

func newGroup(n *Node, parent *Group) *Group {
	return &Group{Node: n, Parent: parent, stands: make([]standing, len(n.Children))}
}

// reach is how far a search for a segment's place goes.
type reach uint8

const (
	ahead  reach = iota // what the structure has next: what is right comes first
	behind              // also what it has further back, and groups that aren't open any more
	anyhow              // also a group that this segment can't rightly begin
)

// add puts the next segment into its group, where g is the innermost open one, and gives the group that is open now.
func (g *Group) add(s Segment) *Group {
	to, child := g.find(s)
	if to == nil {
		to, child = g.crowded(s)
	}
	if to == nil {
		g.Members = append(g.Members, Member{Segment: s, child: -1})
		return g
	}
	to.put(s, child)
	return to
}

// find gives the place of a segment: in the innermost open group, or in another occurrence of one that it begins.
func (g *Group) find(s Segment) (*Group, int) {
	id := s.ID()
	for far := ahead; far <= anyhow; far++ {
		for at := g; at != nil; at = at.Parent {
			if to, child := at.seek(id, far); to != nil {
				return to, child
			}
			if far == ahead && at.Parent != nil && canStart(at.Node, id) && at.Parent.room(at.index()) {
				return at.Parent.begin(at.index()).seek(id, ahead)
			}
		}
	}
	return nil, 0
}

// put adds a segment at a child of the group's Node.
func (g *Group) put(s Segment, child int) {
	n := g.Node.Children[child]
	if n.Kind == ChoiceNode {
		n = n.Children[slices.IndexFunc(n.Children, func(c *Node) bool { return s.Is(c.Name) })]
	}
	g.note(Member{Segment: s, Node: n, child: child})
}

func (g *Group) note(m Member) {
	g.Members = append(g.Members, m)
	g.stands[m.child].count++
	g.stands[m.child].latest = m.Group
	g.last = max(g.last, m.child)
}

// begin opens an occurrence of a child group.
func (g *Group) begin(child int) *Group {
	sub := newGroup(g.Node.Children[child], g)
	g.note(Member{Group: sub, Node: sub.Node, child: child})
	return sub
}

// index is the place of g's Node among its parent's children.
func (g *Group) index() int { return slices.Index(g.Parent.Node.Children, g.Node) }

// room says whether the child may stand once more.
func (g *Group) room(child int) bool {
	most := g.Node.Children[child].Max
	return most == 0 || g.stands[child].count < most
}

// seek finds where a segment goes in g or the groups below it, which it begins where needed; nil if nowhere.
func (g *Group) seek(id string, far reach) (*Group, int) {
	first := 0
	if far == ahead {
		first = g.last
	}
	for child := first; child < len(g.Node.Children); child++ {
		if to, at := g.enter(child, id, far); to != nil {
			return to, at
		}
	}
	return nil, 0
}

// enter tries one child: the segment itself, or a group that holds it somewhere.
func (g *Group) enter(child int, id string, far reach) (*Group, int) {
	n := g.Node.Children[child]
	switch {
	case !has(n, id):
		return nil, 0
	case n.Kind != GroupNode:
		if g.room(child) {
			return g, child
		}
		return nil, 0
	case g.room(child) && canStart(n, id):
		return g.begin(child).seek(id, ahead)
	case far == ahead:
		return nil, 0
	}
	if latest := g.stands[child].latest; latest != nil {
		if to, at := latest.seek(id, far); to != nil {
			return to, at
		}
	}
	if far == anyhow && g.room(child) {
		return g.begin(child).seek(id, anyhow)
	}
	return nil, 0
}

// crowded finds the place of a segment for which there is no room: in the innermost group that has it.
func (g *Group) crowded(s Segment) (*Group, int) {
	id := s.ID()
	for at := g; at != nil; at = at.Parent {
		if to, child := at.full(id); to != nil {
			return to, child
		}
	}
	return nil, 0
}

func (g *Group) full(id string) (*Group, int) {
	for child, n := range g.Node.Children {
		switch {
		case isSegment(n, id):
			return g, child
		case n.Kind == GroupNode && has(n, id):
			if latest := g.stands[child].latest; latest != nil {
				return latest.full(id)
			}
		}
	}
	return nil, 0
}

// isSegment says whether n is that segment, or a choice that has it.
func isSegment(n *Node, id string) bool {
	switch n.Kind {
	case SegmentNode:
		return n.Name == id
	case ChoiceNode:
		return slices.ContainsFunc(n.Children, func(c *Node) bool { return c.Name == id })
	}
	return false
}

// has says whether n is that segment or has it somewhere.
func has(n *Node, id string) bool {
	return isSegment(n, id) || n.Kind == GroupNode && slices.ContainsFunc(n.Children, func(c *Node) bool { return has(c, id) })
}

// canStart says whether a segment may begin n: a group begins with its first required child or one before it.
func canStart(n *Node, id string) bool {
	if n.Kind != GroupNode {
		return isSegment(n, id)
	}
	for _, c := range n.Children {
		if canStart(c, id) {
			return true
		}
		if c.Min > 0 {
			return false
		}
	}
	return false
}

// groupReport gathers what is wrong with groups, as far as it is listed.
type groupReport struct {
	m       *Message
	numbers []int32
	foreign func(id string) bool
	found   []placed
}

// placed is a fault and the segment by which it is told.
type placed struct {
	segment int
	fault   *contracts.Fault
}

// full says whether enough was found.
func (r *groupReport) full() bool { return len(r.found) > maxFaults }

// at reports a fault at a segment.
func (r *groupReport) at(s Segment, format string, args ...any) {
	r.fault(s.Index(), segmentPath(s.ID(), int(r.numbers[s.Index()])).String(), format, args...)
}

func (r *groupReport) fault(segment int, at, format string, args ...any) {
	switch {
	case r.full():
		return
	case len(r.found) == maxFaults:
		r.found = append(r.found, placed{len(r.numbers) + 1, moreFaults(contracts.Invalid, at)})
		return
	}
	f := contracts.Faultf(contracts.Invalid, CodeStructure, at, format, args...)
	f.ErrorCode = "100"
	r.found = append(r.found, placed{segment, f})
}

// check reports what is out of order, too often there, without a place or missing, in a group and below it.
func (r *groupReport) check(g *Group) {
	for _, m := range g.misplaced() {
		s := m.Segment
		if m.Group != nil {
			s = m.Group.first()
		}
		if r.full() {
			return
		}
		r.at(s, "This stands out of order: the structure has %s %s.", m.Node.Path(), g.neighbour(m))
	}
	counts := make([]int, len(g.stands))
	for i := range g.Members {
		m := &g.Members[i]
		switch {
		case m.child < 0 && !r.foreign(m.Segment.ID()):
			r.at(m.Segment, "The structure has no place for this segment.")
		case m.child >= 0:
			counts[m.child]++
			if most := g.Node.Children[m.child].Max; most > 0 && counts[m.child] > most {
				r.at(m.Segment, "The structure has this segment %s here, and it stands once more.", times(most))
			}
		}
		if r.full() {
			return
		}
	}
	for i, n := range g.Node.Children {
		if g.stands[i].count < n.Min {
			r.missing(g, n)
		}
	}
	for sub := range g.Groups("") {
		if r.check(sub); r.full() {
			return
		}
	}
}

// neighbour tells where a child belongs: behind the one before it that stands in the group, or at the beginning.
func (g *Group) neighbour(m Member) string {
	for child := m.child - 1; child >= 0; child-- {
		if g.stands[child].count > 0 {
			return "right behind " + g.Node.Children[child].Path()
		}
	}
	return "first"
}

// misplaced gives the fewest members that would have to move for the others to be in order: those outside the longest
// run of members whose places don't go back.
func (g *Group) misplaced() (out []Member) {
	if g.inOrder() {
		return nil
	}
	ends := []int{}                       // ends[n]: the member that ends the best run of n+1 members so far
	before := make([]int, len(g.Members)) // the member before each in its best run
	at := func(i int) int { return g.Members[i].child }
	for i := range g.Members {
		if at(i) < 0 {
			continue
		}
		n, _ := slices.BinarySearchFunc(ends, at(i), func(end, child int) int {
			if at(end) <= child {
				return -1
			}
			return 1
		})
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	right := make([]bool, len(g.Members))
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		right[i] = true
	}
	for i, m := range g.Members {
		if m.child >= 0 && !right[i] {
			out = append(out, m)
		}
	}
	return out
}

func (g *Group) inOrder() bool {
	last := 0
	for i := range g.Members {
		if c := g.Members[i].child; c >= 0 {
			if c < last {
				return false
			}
			last = c
		}
	}
	return true
}

// missing reports a required child that isn't there, at its own name; in a group other than the message at the
// segment that begins the group.
func (r *groupReport) missing(group *Group, n *Node) {
	what := "segment"
	if n.Kind == GroupNode {
		what = "group"
	}
	if group.Parent == nil || len(group.Members) == 0 {
		first := n
		for len(first.Children) > 0 {
			first = first.Children[max(0, slices.IndexFunc(first.Children, (*Node).IsRequired))]
		}
		r.fault(len(r.numbers), first.Name, "The required %s %s is missing.", what, n.Path())
		return
	}
	r.at(group.first(), "The group %s that begins here lacks the required %s %s.", group.Node.Path(), what, n.Path())
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

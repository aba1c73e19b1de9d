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

	counts []int // how often each child of Node stands here
	last   int   // the index of the furthest child that stands here
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
// PV1, PRD before RF1, an ORC inside a referral.
//
// And it is exact in what it reports, as faults of kind invalid, HL7-100, error code 100: the fewest segments that
// would have to move for the order to be right, each segment that stands more often than it may or has no place, and
// what is missing. The Group is complete all the same. Segments that s doesn't name and that aren't Z-segments are
// faults here too.
//
// Source: HL7 version 2.5.1, chapter 2, sections 2.5.2 and 2.12 (message structures and groups).
func (m *Message) Group(s *Structure) (*Group, contracts.Faults) {
	return m.group(s, func(id string) bool { return id[0] == 'Z' })
}

// group is Group; segments for which foreign is true are no fault where the structure has no place for them.
func (m *Message) group(s *Structure, foreign func(id string) bool) (*Group, contracts.Faults) {
	g := grouper{places: m.places(), foreign: foreign}
	g.open = newGroup(s.Root, nil)
	root := g.open
	for _, seg := range m.Segments() {
		g.add(seg)
	}
	g.check(root)
	slices.SortStableFunc(g.faults, func(a, b placed) int { return a.segment - b.segment })
	faults := make(contracts.Faults, len(g.faults))
	for i, f := range g.faults {
		faults[i] = f.fault
	}
	if len(faults) == 0 {
		faults = nil
	}
	return root, faults
}

// places gives each segment's place: PID, OBX(2).
func (m *Message) places() []Path {
	counts := map[string]int{}
	places := make([]Path, len(m.segs))
	for i, s := range m.Segments() {
		id := s.ID()
		counts[id]++
		places[i] = segmentPath(id, counts[id])
	}
	return places
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
	return &Group{Node: n, Parent: parent, counts: make([]int, len(n.Children))}
}

// grouper puts segments into groups.
type grouper struct {
	open    *Group // the innermost group that the last segment went to
	places  []Path
	foreign func(id string) bool
	faults  []placed
}

// placed is a fault and the segment by which it is told.
type placed struct {
	segment int
	fault   *contracts.Fault
}

func (g *grouper) fault(segment int, at Path, format string, args ...any) {
	f := contracts.Faultf(contracts.Invalid, CodeStructure, at.String(), format, args...)
	f.ErrorCode = "100"
	g.faults = append(g.faults, placed{segment, f})
}

// reach is how far a search for a segment's place goes.
type reach uint8

const (
	ahead  reach = iota // what the structure has next: what is right comes first
	behind              // also what it has further back, and groups that aren't open any more
	anyhow              // also a group that this segment can't rightly begin
)

// add puts the next segment into its group.
func (g *grouper) add(s Segment) {
	to, child := g.find(s.ID())
	if to == nil {
		if to, child = g.crowded(s.ID()); to != nil {
			g.fault(s.Index(), g.places[s.Index()], "The structure has this segment %s here, and it stands once more.", times(to.Node.Children[child].Max))
		}
	}
	if to == nil {
		if !g.foreign(s.ID()) {
			g.fault(s.Index(), g.places[s.Index()], "The structure has no place for this segment.")
		}
		g.open.Members = append(g.open.Members, Member{Segment: s, child: -1})
		return
	}
	g.open = to
	to.put(s, child)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// find gives the place of a segment: in the innermost open group, or in another occurrence of one that it begins.
func (g *grouper) find(id string) (*Group, int) {
	for far := ahead; far <= anyhow; far++ {
		for at := g.open; at != nil; at = at.Parent {
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
	g.counts[m.child]++
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
	return most == 0 || g.counts[child] < most
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
	if latest := g.latest(child); latest != nil {
		if to, at := latest.seek(id, far); to != nil {
			return to, at
		}
	}
	if far == anyhow && g.room(child) {
		return g.begin(child).seek(id, anyhow)
	}
	return nil, 0
}

// latest is the last occurrence of a child group.
func (g *Group) latest(child int) *Group {
	if g.counts[child] == 0 {
		return nil
	}
	for _, m := range slices.Backward(g.Members) {
		if m.child == child {
			return m.Group
		}
	}
	return nil
}

// crowded finds the place of a segment for which there is no room: in the innermost group that has it.
func (g *grouper) crowded(id string) (*Group, int) {
	for at := g.open; at != nil; at = at.Parent {
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
			if latest := g.latest(child); latest != nil {
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

// check reports what is out of order and what is missing in a group and below it.
func (g *grouper) check(group *Group) {
	for _, m := range group.misplaced() {
		s := m.Segment
		if m.Group != nil {
			s = m.Group.first()
		}
		g.fault(s.Index(), g.places[s.Index()], "This stands out of order: the structure has %s %s.", m.Node.Path(), group.neighbour(m))
	}
	for i, n := range group.Node.Children {
		if group.counts[i] < n.Min {
			g.missing(group, n)
		}
	}
	for sub := range group.Groups("") {
		g.check(sub)
	}
}

// neighbour tells where a child belongs: behind the one before it that stands in the group, or at the beginning.
func (g *Group) neighbour(m Member) string {
	for child := m.child - 1; child >= 0; child-- {
		if g.counts[child] > 0 {
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
func (g *grouper) missing(group *Group, n *Node) {
	what := "segment"
	if n.Kind == GroupNode {
		what = "group"
	}
	if group.Parent == nil || len(group.Members) == 0 {
		first := n
		for len(first.Children) > 0 {
			first = first.Children[max(0, slices.IndexFunc(first.Children, (*Node).IsRequired))]
		}
		g.fault(len(g.places), Path{Segment: first.Name}, "The required %s %s is missing.", what, n.Path())
		return
	}
	s := group.first().Index()
	g.fault(s, g.places[s], "The group %s that begins here lacks the required %s %s.", group.Node.Path(), what, n.Path())
}

package mappings

import (
	"slices"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// groupDef is a segment group of a message structure. The root is the message.
type groupDef struct {
	node    *hl7v2.Node
	name    string
	parent  *groupDef
	index   int // among the parent's members
	repeats bool
	members []memberDef
}

// memberDef is a segment or a group in a group, in the order of the structure.
type memberDef struct {
	segment  string
	group    *groupDef
	required bool
	repeats  bool
}

// newGroupDef copies a structure into the form that grouping and writing use. A choice counts as its members.
func newGroupDef(n *hl7v2.Node, parent *groupDef) *groupDef {
	g := &groupDef{node: n, name: n.Name, parent: parent, repeats: n.Repeats()}
	var add func(children []*hl7v2.Node, optional bool)
	add = func(children []*hl7v2.Node, optional bool) {
		for _, c := range children {
			switch c.Kind {
			case hl7v2.SegmentNode:
				g.members = append(g.members, memberDef{segment: c.Name, required: c.IsRequired() && !optional, repeats: c.Repeats()})
			case hl7v2.ChoiceNode:
				add(c.Children, true)
			case hl7v2.GroupNode:
				child := newGroupDef(c, g)
				child.index = len(g.members)
				g.members = append(g.members, memberDef{group: child, required: c.IsRequired(), repeats: c.Repeats()})
			}
		}
	}
	add(n.Children, false)
	return g
}

// direct is the place of a segment among the group's own members, -1 where it has none.
func (g *groupDef) direct(id string) int {
	for i := range g.members {
		if g.members[i].segment == id {
			return i
		}
	}
	return -1
}

// holder is the nearest group below g that has the segment itself, of equally near ones the first; nil where none has.
// Groups in skip and what is below them don't count.
func (g *groupDef) holder(id string, skip map[*groupDef]bool) *groupDef {
	for depth := 1; ; depth++ {
		holder, deeper := g.holderAt(id, skip, depth)
		if holder != nil || !deeper {
			return holder
		}
	}
}

// holderAt is holder for the groups that stand so deep, and says whether there are deeper ones.
func (g *groupDef) holderAt(id string, skip map[*groupDef]bool, depth int) (_ *groupDef, deeper bool) {
	if depth == 0 {
		if g.direct(id) >= 0 {
			return g, false
		}
		return nil, slices.ContainsFunc(g.members, func(m memberDef) bool { return m.group != nil })
	}
	for i := range g.members {
		if child := g.members[i].group; child != nil && !skip[child] {
			holder, more := child.holderAt(id, skip, depth-1)
			if holder != nil {
				return holder, false
			}
			deeper = deeper || more
		}
	}
	return nil, deeper
}

// single says whether a segment stands in the group itself, at most once.
func (g *groupDef) single(id string) bool {
	at := g.direct(id)
	return at >= 0 && !g.members[at].repeats
}

// within says whether g is other or stands somewhere in it.
func (g *groupDef) within(other *groupDef) bool {
	for ; g != nil; g = g.parent {
		if g == other {
			return true
		}
	}
	return false
}

// group is one occurrence of a group in the message that is read.
type group struct {
	def      *groupDef
	parent   *group
	segments []*segment
	groups   []*group
}

func (g *group) within(other *group) bool {
	for ; g != nil; g = g.parent {
		if g == other {
			return true
		}
	}
	return false
}

// assemble puts each segment of the message into its group, as the codec does.
func assemble(d *dialect, msg *hl7v2.Message, p *program) {
	d.adopt(msg.Group(p.structure), p.root, nil)
}

// group gives an empty group.
func (d *dialect) group(def *groupDef, parent *group) *group {
	if d.usedGroups == len(d.groups) {
		d.groups = append(d.groups, &group{})
	}
	g := d.groups[d.usedGroups]
	d.usedGroups++
	g.def, g.parent = def, parent
	return g
}

// adopt takes over a group and what is in it. A segment without a place in the structure belongs to the message.
func (d *dialect) adopt(read *hl7v2.Group, def *groupDef, parent *group) *group {
	g := d.group(def, parent)
	if parent == nil {
		d.root = g
	}
	for _, m := range read.Members {
		if m.Group != nil {
			g.groups = append(g.groups, d.adopt(m.Group, def.of(m.Node), g))
			continue
		}
		s := &d.segments[m.Segment.Index()]
		if s.group, s.known = g, m.Node != nil; !s.known {
			s.group = d.root
		}
		s.group.segments = append(s.group.segments, s)
	}
	return g
}

// of gives the group of g that a node of the structure is.
func (g *groupDef) of(n *hl7v2.Node) *groupDef {
	for i := range g.members {
		if child := g.members[i].group; child != nil && child.node == n {
			return child
		}
	}
	return nil
}

// collect appends the segments of that name in g and the groups below it, without those in skip.
func (g *group) collect(list []*segment, id string, skip map[*groupDef]bool) []*segment {
	for _, s := range g.segments {
		if s.id == id {
			list = append(list, s)
		}
	}
	for _, child := range g.groups {
		if !skip[child.def] {
			list = child.collect(list, id, skip)
		}
	}
	return list
}

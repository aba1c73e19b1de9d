package mappings

import "github.com/hoitosilta/silta/contracts/hl7v2"

// groupDef is a segment group of a message structure. The root is the message.
type groupDef struct {
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
	g := &groupDef{name: n.Name, parent: parent, repeats: n.Repeats()}
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

// holder is the first group below g, in the order of the structure, that has the segment itself; nil where none has.
// Groups in skip and what is below them don't count.
func (g *groupDef) holder(id string, skip map[*groupDef]bool) *groupDef {
	for i := range g.members {
		child := g.members[i].group
		if child == nil || skip[child] {
			continue
		}
		if child.direct(id) >= 0 {
			return child
		}
		if deep := child.holder(id, skip); deep != nil {
			return deep
		}
	}
	return nil
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
	last     int // the highest member that it holds
}

func (g *group) within(other *group) bool {
	for ; g != nil; g = g.parent {
		if g == other {
			return true
		}
	}
	return false
}

// assemble puts each segment into its group, in one pass over the segment names. It is lenient: order inside a group is
// free, a segment joins the innermost open group that may hold it, else opens one, else belongs to the message.
func assemble(d *dialect, def *groupDef) {
	d.root = &group{def: def}
	open := d.root
	for i := range d.segments {
		s := &d.segments[i]
		s.known = true
		g := join(open, s.id)
		if g == nil {
			g, s.known = d.root, false // foreign: it closes nothing
		} else {
			open = g
		}
		g.segments = append(g.segments, s)
		s.group = g
	}
}

// join gives the group that takes the next segment of that name, opening it where needed.
func join(open *group, id string) *group {
	for g := open; g != nil; g = g.parent {
		if i := g.def.direct(id); i >= 0 {
			if g.startsAnew(i) && g.parent != nil && g.def.repeats {
				g = g.parent.open(g.def)
			}
			g.last = max(g.last, i)
			return g
		}
		if holder := g.def.holder(id, nil); holder != nil {
			g = g.reach(holder)
			g.last = max(g.last, holder.direct(id))
			return g
		}
	}
	return nil
}

// startsAnew says whether member i begins another occurrence of its group: it is there already and doesn't repeat, or
// it is the anchor or first segment and the group holds something that stands behind it.
func (g *group) startsAnew(i int) bool {
	m := &g.def.members[i]
	if m.repeats {
		return false
	}
	for _, s := range g.segments {
		if s.id == m.segment {
			return true
		}
	}
	return (m.required || i == 0) && g.last > i
}

func (g *group) open(def *groupDef) *group {
	child := &group{def: def, parent: g, last: -1}
	g.groups = append(g.groups, child)
	g.last = max(g.last, def.index)
	return child
}

// reach opens the groups from g down to the holder, taking an occurrence that is there where the group doesn't repeat.
func (g *group) reach(holder *groupDef) *group {
	if holder.parent != g.def {
		g = g.reach(holder.parent)
	}
	if !holder.repeats {
		for _, child := range g.groups {
			if child.def == holder {
				return child
			}
		}
	}
	return g.open(holder)
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

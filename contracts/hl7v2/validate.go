package hl7v2

import (
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// Validate compares a message with the standard's definitions: which segments stand where and how often, required
// fields and components, repetitions, the form of dates, times, numbers and sequence numbers, and values of the tables
// that the standard itself fixes. Lengths aren't enforced: real images and texts are longer. d may be nil; then it is
// the dictionary that NearestVersion finds for MSH-12, and another version than asked for is a fault of its own.
//
// The faults are of kind invalid, with a place and a code of table 0357 each, in the order of the segments. Z-segments
// may stand anywhere. Fields and components that the version doesn't have, and values after the standard's last
// component, are warnings.
func Validate(m *Message, d *Dict) contracts.Faults {
	v := &validator{m: m, d: d}
	if d == nil {
		var err error
		if v.d, err = Dictionary(m.Version()); err != nil {
			v.faults = append(v.faults, contracts.FaultsOf(err)...)
			if v.d, err = Dictionary(NearestVersion(m.Version())); err != nil {
				return contracts.FaultsOf(err)
			}
		}
	}
	v.structure()
	counts := map[string]int{}
	for _, s := range m.Segments() {
		counts[s.ID()]++
		v.segment(s, counts[s.ID()])
	}
	return v.faults
}

type validator struct {
	m      *Message
	d      *Dict
	faults contracts.Faults

	// While the structure is matched: the segments' names and numbers among their like, and the next one.
	names   []string
	numbers []int
	next    int
	open    []openGroup
}

// openGroup is a group being matched, and the child that comes next.
type openGroup struct {
	node  *Node
	child int
}

func (v *validator) fault(code, errorCode, at, format string, args ...any) *contracts.Fault {
	f := contracts.Faultf(contracts.Invalid, code, at, format, args...)
	f.ErrorCode = errorCode
	v.faults = append(v.faults, f)
	return f
}

// structure matches the segments with the message's structure.
func (v *validator) structure() {
	s := v.d.Structure(v.d.StructureOfMessage(v.m))
	if s == nil {
		v.fault(CodeStructure, "200", "MSH-9", "Version %s has no structure for this message type.", v.d.version)
		return
	}
	counts := map[string]int{}
	for _, seg := range v.m.Segments() {
		id := seg.ID()
		counts[id]++
		if id[0] != 'Z' && v.d.Segment(id) != nil {
			v.names, v.numbers = append(v.names, id), append(v.numbers, counts[id])
		}
	}
	v.group(s.Root)
	for ; v.next < len(v.names); v.next++ {
		v.misplaced()
	}
}

// group matches one occurrence of a group: its children in order, each as often as it may.
func (v *validator) group(g *Node) {
	v.open = append(v.open, openGroup{node: g})
	for i, child := range g.Children {
		v.open[len(v.open)-1].child = i
		n := 0
		for v.skipMisplaced(); v.starts(child) && (child.Max == 0 || n < child.Max); v.skipMisplaced() {
			v.take(child)
			n++
		}
		if n < child.Min {
			v.missing(child)
		}
	}
	v.open = v.open[:len(v.open)-1]
}

func (v *validator) take(n *Node) {
	if n.Kind == GroupNode {
		v.group(n)
		return
	}
	v.next++
}

// starts says whether the next segment may begin n.
func (v *validator) starts(n *Node) bool {
	return v.next < len(v.names) && canStart(n, v.names[v.next])
}

// canStart says whether a segment may begin n: a group begins with its first required child or one before it.
func canStart(n *Node, id string) bool {
	switch n.Kind {
	case SegmentNode:
		return n.Name == id
	case ChoiceNode:
		return slices.ContainsFunc(n.Children, func(c *Node) bool { return c.Name == id })
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

// skipMisplaced reports and passes segments that no open group can still take.
func (v *validator) skipMisplaced() {
	for v.next < len(v.names) && !v.fitsLater() {
		v.misplaced()
		v.next++
	}
}

// fitsLater says whether an open group can still take the next segment: by a child that is still to come, or by
// standing once more.
func (v *validator) fitsLater() bool {
	id := v.names[v.next]
	for i, o := range v.open {
		children := o.node.Children[o.child:]
		if i < len(v.open)-1 && !children[0].Repeats() {
			children = children[1:] // the open child itself doesn't stand again
		}
		if slices.ContainsFunc(children, func(c *Node) bool { return canStart(c, id) }) {
			return true
		}
	}
	return false
}

func (v *validator) misplaced() {
	id := v.names[v.next]
	v.fault(CodeStructure, "100", segmentPath(id, v.numbers[v.next]).String(), "The structure has no place for this segment here.")
}

func (v *validator) missing(n *Node) {
	first := n
	for len(first.Children) > 0 {
		first = first.Children[max(0, slices.IndexFunc(first.Children, (*Node).IsRequired))]
	}
	what := "segment"
	if n.Kind == GroupNode {
		what = "group"
	}
	v.fault(CodeStructure, "100", first.Name, "The required %s %s is missing.", what, n.Path())
}

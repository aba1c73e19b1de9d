package hl7v2

import (
	"slices"
	"strings"
	"sync"

	"github.com/hoitosilta/silta/contracts"
)

//go:generate go run ./gen

// Dict holds the definitions of one version of HL7 v2: segments, data types, message structures, and the tables whose
// values the standard itself fixes. It is shared, doesn't change, and may be used by several goroutines.
//
// It is merged from several sources, since each is wrong somewhere; gen/corrections.go says where and why. What a version
// withdrew isn't in it: PID-9 of 2.7 is no field, as PID-41 isn't.
type Dict struct {
	version    string
	segments   map[string]*SegmentDef
	types      map[string]*TypeDef
	structures map[string]*lazyStructure
	tables     map[string][]string
	events     map[string]string
}

// SegmentDef is a segment's definition.
type SegmentDef struct {
	ID     string
	Fields []FieldDef // Fields[0] is field 1
}

// FieldDef is the definition of a field, or of a data type's component.
type FieldDef struct {
	Type   string // data type: CX; empty if the standard leaves the number out or withdrew it
	Usage  Usage
	Max    int    // repetitions; 0 is unbounded
	Length int    // characters; 0 if the version gives none. It isn't enforced.
	Table  string // four digits: 0203; empty if none
}

// Usage says whether a field must be filled.
type Usage byte

// The usages: required, optional, conditional (on what the standard says in words), and kept from older versions.
const (
	Required    Usage = 'R'
	Optional    Usage = 'O'
	Conditional Usage = 'C'
	Backward    Usage = 'B'
)

// TypeDef is a data type's definition.
type TypeDef struct {
	Name       string
	Components []FieldDef // Components[0] is component 1; none for a primitive type
}

// Structure is a message structure, such as REF_I12.
type Structure struct {
	Name string
	Root *Node // a group without a name that holds the message's segments and groups
}

// NodeKind tells a Node's kinds apart.
type NodeKind uint8

// The kinds of nodes: a segment, a group of nodes in order, and segments of which one is there.
const (
	SegmentNode NodeKind = iota
	GroupNode
	ChoiceNode
)

// Node is a segment or group in a structure.
type Node struct {
	Kind     NodeKind
	Name     string // segment id, or group name; empty for a choice
	Min, Max int    // Max 0 is unbounded
	Children []*Node
	Parent   *Node // nil for the root
}

// Versions are those that Dictionary knows, oldest first.
func Versions() []string { return slices.Clone(dictionaryVersions) }

var dictionaryVersions = []string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8"}

// dictionarySet has a place for each of dictionaryVersions, filled when it is first asked for.
type dictionarySet [9]struct {
	once sync.Once
	dict *Dict
	err  error
}

var dictionaries dictionarySet

func (s *dictionarySet) get(version int) (*Dict, error) {
	d := &s[version]
	d.once.Do(func() { d.dict, d.err = loadDictionary(version) })
	return d.dict, d.err
}

// Dictionary gives the definitions of a version such as 2.5.1. Each is read once, when it is first asked for. A version
// that it doesn't have is a fault of kind invalid, HL7-070, with error code 203; NearestVersion finds one that may do.
func Dictionary(version string) (*Dict, error) {
	i := slices.Index(dictionaryVersions, version)
	if i < 0 {
		f := contracts.Faultf(contracts.Invalid, CodeUnknownVersion, "MSH-12",
			"There is no dictionary for this version; there are 2.3 to 2.8.")
		f.ErrorCode = "203"
		return nil, f
	}
	return dictionaries.get(i)
}

// NearestVersion gives the version of a dictionary that fits best: the same, else the newest older one, else the
// oldest. So 2.5.2 is read as 2.5.1, 2.2 as 2.3, and 2.9 as 2.8.
func NearestVersion(version string) string {
	best := dictionaryVersions[0]
	for _, v := range dictionaryVersions {
		if VersionAtLeast(version, v) {
			best = v
		}
	}
	return best
}

// Version is the version that the definitions are of.
func (d *Dict) Version() string { return d.version }

// Segment gives a segment's definition; nil if this version has none.
func (d *Dict) Segment(id string) *SegmentDef { return d.segments[id] }

// Segments gives the names of all segments, sorted.
func (d *Dict) Segments() []string { return sortedKeys(d.segments) }

// Type gives a data type's definition; nil if this version has none.
func (d *Dict) Type(name string) *TypeDef { return d.types[name] }

// Types gives the names of all data types, sorted.
func (d *Dict) Types() []string { return sortedKeys(d.types) }

// Structure gives a message structure; nil if this version has none.
func (d *Dict) Structure(name string) *Structure {
	s, ok := d.structures[name]
	if !ok {
		return nil
	}
	return s.get(name)
}

// Structures gives the names of all message structures, sorted.
func (d *Dict) Structures() []string { return sortedKeys(d.structures) }

// StructureOf gives the structure of a message code and event (table 0354): ADT and A04 give ADT_A01. It is empty if
// the version has none. 2.3 is older than that table and has a structure for each event.
func (d *Dict) StructureOf(code, event string) string {
	own := code + "_" + event
	name, ok := d.events[own]
	switch {
	case event == "" && d.structures[code] != nil, code == "ACK":
		return code
	case d.structures[own] != nil && (!ok || d.version == "2.3"):
		return own
	case ok && d.structures[name] != nil:
		return name
	}
	return ""
}

// StructureOfMessage gives the name of a message's structure: MSH-9.3, or where that is missing or isn't one (partners
// write the event there, REF_I14), what StructureOf says; empty if the version has none.
func (d *Dict) StructureOfMessage(m *Message) string {
	own, derived := m.Structure(), d.StructureOf(m.Code(), m.Event())
	if d.structures[own] != nil && (derived == "" || own != m.Code()+"_"+m.Event()) {
		return own
	}
	return derived
}

// Table gives the codes of a table that the standard fixes, those of all versions, sorted; nil if it fixes none or lets
// the list grow. The number has four digits.
func (d *Dict) Table(number string) []string { return d.tables[number] }

// Field gives the definition of field n, from 1; nil if the segment has none.
func (s *SegmentDef) Field(n int) *FieldDef { return nthDef(s.Fields, n) }

// Component gives the definition of component n, from 1; nil if the type has none. A primitive type has one, itself.
func (t *TypeDef) Component(n int) *FieldDef { return nthDef(t.Components, n) }

// IsPrimitive says whether the type has no components.
func (t *TypeDef) IsPrimitive() bool { return len(t.Components) == 0 }

func nthDef(defs []FieldDef, n int) *FieldDef {
	if n < 1 || n > len(defs) || defs[n-1].Type == "" {
		return nil
	}
	return &defs[n-1]
}

// IsRequired says whether the field must be filled.
func (f *FieldDef) IsRequired() bool { return f.Usage == Required }

// Repeats says whether the field may have more than one repetition.
func (f *FieldDef) Repeats() bool { return f.Max != 1 }

// IsRequired says whether the node must be there when its parent is.
func (n *Node) IsRequired() bool { return n.Min > 0 }

// Repeats says whether the node may stand more than once in its parent.
func (n *Node) Repeats() bool { return n.Max != 1 }

// Walk calls visit for n and all nodes below it, in order, until it returns false; it says whether it got to the end.
func (n *Node) Walk(visit func(*Node) bool) bool {
	if !visit(n) {
		return false
	}
	for _, c := range n.Children {
		if !c.Walk(visit) {
			return false
		}
	}
	return true
}

// With gives a copy of the structure in which a segment of one's own may stand any number of times behind the first place
// of another; false if the structure doesn't have that one.
func (s *Structure) With(id, after string) (*Structure, bool) {
	root := s.Root.clone(nil)
	for _, n := range (&Structure{Root: root}).Find(after) {
		if n.Parent.Kind == ChoiceNode {
			n = n.Parent
		}
		own := &Node{Kind: SegmentNode, Name: id, Parent: n.Parent}
		n.Parent.Children = slices.Insert(n.Parent.Children, slices.Index(n.Parent.Children, n)+1, own)
		return &Structure{Name: s.Name, Root: root}, true
	}
	return nil, false
}

func (n *Node) clone(parent *Node) *Node {
	c := *n
	c.Parent, c.Children = parent, make([]*Node, len(n.Children))
	for i, child := range n.Children {
		c.Children[i] = child.clone(&c)
	}
	return &c
}

// Find gives the places where a segment may stand, in order.
func (s *Structure) Find(segment string) (nodes []*Node) {
	s.Root.Walk(func(n *Node) bool {
		if n.Kind == SegmentNode && n.Name == segment {
			nodes = append(nodes, n)
		}
		return true
	})
	return nodes
}

// Path names the groups around a node and the node: PROVIDER_CONTACT/PRD.
func (n *Node) Path() string {
	name := n.Name
	if n.Kind == ChoiceNode {
		names := make([]string, len(n.Children))
		for i, c := range n.Children {
			names[i] = c.Name
		}
		name = strings.Join(names, "|")
	}
	if n.Parent == nil || n.Parent.Path() == "" {
		return name
	}
	return n.Parent.Path() + "/" + name
}

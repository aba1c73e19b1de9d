package fhir

import (
	"iter"
	"slices"
	"unsafe"
)

// Kind is what a JSON value is. The zero Kind is that of a node that isn't there.
type Kind uint8

// The kinds of value.
const (
	KindAbsent Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

var kindNames = [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}

// String gives the kind in words, with its article, for texts: "a number".
func (k Kind) String() string { return kindNames[k] }

const (
	nameOwn     = 1 << iota // the member name stands in own, else in src
	textOwn                 // the literal stands in own, else in src
	nameEscaped             // the member name holds JSON escapes
	textEscaped             // the string literal holds JSON escapes
)

// node is one value. a and b are offset and length of the literal for leaves (a string's without its quotes, as JSON
// writes it), and first and last child for arrays and objects. Number 0 is the absent node, 1 the root.
type node struct {
	kind    Kind
	flags   uint8
	nameLen uint16
	nameOff uint32
	a, b    uint32
	next    uint32
	parent  uint32
}

// Tree is one JSON value, normally a FHIR resource. The zero Tree is empty; use Parse, New or Reset.
type Tree struct {
	src   []byte
	own   []byte
	nodes []node
}

// Node is a handle to a value in a tree. The zero Node is absent; every read of an absent node gives absent, zero or
// empty, so that paths can be followed without a check at each step.
type Node struct {
	t *Tree
	i uint32
}

// New gives a tree that holds an empty resource of that type.
func New(resourceType string) *Tree {
	t := &Tree{}
	t.Reset(resourceType)
	return t
}

// Reset empties the tree and keeps its memory: afterwards it holds an empty resource of that type, or an empty object
// where resourceType is empty. All earlier nodes of the tree, and texts read from it, are void.
func (t *Tree) Reset(resourceType string) Node {
	t.src, t.own = nil, t.own[:0]
	t.nodes = append(t.nodes[:0], node{}, node{kind: KindObject})
	root := Node{t, 1}
	if resourceType != "" {
		root.Add("resourceType", String(resourceType))
	}
	return root
}

// Clone gives a tree that can be written to without changing this one. They share the bytes that were parsed.
func (t *Tree) Clone() *Tree {
	return &Tree{src: t.src, own: slices.Clone(t.own), nodes: slices.Clone(t.nodes)}
}

// Grow makes room for so many more nodes, and bytes of names and texts, so that writing them takes no more memory.
func (t *Tree) Grow(nodes, bytes int) {
	t.nodes = slices.Grow(t.nodes, nodes)
	t.own = slices.Grow(t.own, bytes)
}

// Root is the whole value.
func (t *Tree) Root() Node {
	if t == nil || len(t.nodes) < 2 {
		return Node{}
	}
	return Node{t, 1}
}

func (n Node) rec() *node {
	if n.t == nil {
		return &absent
	}
	return &n.t.nodes[n.i]
}

var absent node // never written: every writer checks Exists first

// Exists says whether the node is there; a JSON null is.
func (n Node) Exists() bool { return n.i != 0 }

// Kind says what the value is.
func (n Node) Kind() Kind { return n.rec().kind }

// Tree is the tree that the node stands in, nil for an absent one.
func (n Node) Tree() *Tree { return n.t }

// Name is the member name under which an object holds the node; empty for array items and the root.
func (n Node) Name() string {
	r := n.rec()
	s := n.t.name(r)
	if r.flags&nameEscaped != 0 {
		return string(unescape(nil, s))
	}
	return s
}

func (t *Tree) name(r *node) string {
	if r.nameLen == 0 {
		return ""
	}
	if r.flags&nameOwn != 0 {
		return view(t.own[r.nameOff : r.nameOff+uint32(r.nameLen)])
	}
	return view(t.src[r.nameOff : r.nameOff+uint32(r.nameLen)])
}

// literal is a leaf as JSON writes it, a string without its quotes.
func (t *Tree) literal(r *node) string {
	if r.kind < KindBool || r.kind > KindString {
		return ""
	}
	if r.flags&textOwn != 0 {
		return view(t.own[r.a : r.a+r.b])
	}
	return view(t.src[r.a : r.a+r.b])
}

// view shares b's bytes; they don't change while the tree isn't Reset.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Get is the member of that name of an object. An object with two members of one name can't be parsed.
func (n Node) Get(name string) Node {
	r := n.rec()
	if r.kind != KindObject {
		return Node{}
	}
	for i := r.a; i != 0; {
		c := &n.t.nodes[i]
		if int(c.nameLen) == len(name) && n.t.name(c) == name || c.flags&nameEscaped != 0 && means(n.t.name(c), name) {
			return Node{n.t, i}
		}
		i = c.next
	}
	return Node{}
}

// At is the item of that index, from 0, of an array; it walks there, so loops use Each or First and Next. At(0) of anything else is the value itself, because partners
// write single values where the other side reads lists.
func (n Node) At(index int) Node {
	r := n.rec()
	if r.kind != KindArray {
		if index == 0 {
			return n
		}
		return Node{}
	}
	for i := r.a; i != 0; i = n.t.nodes[i].next {
		if index == 0 {
			return Node{n.t, i}
		}
		index--
	}
	return Node{}
}

// First is the first member or item, Next the one after this.
func (n Node) First() Node {
	if r := n.rec(); r.kind >= KindArray && r.a != 0 {
		return Node{n.t, r.a}
	}
	return Node{}
}

// Next is the sibling after this node.
func (n Node) Next() Node {
	if i := n.rec().next; i != 0 {
		return Node{n.t, i}
	}
	return Node{}
}

// Parent is the object or array that holds the node.
func (n Node) Parent() Node {
	if i := n.rec().parent; i != 0 {
		return Node{n.t, i}
	}
	return Node{}
}

// Len counts the members or items.
func (n Node) Len() int {
	count := 0
	for c := n.First(); c.Exists(); c = c.Next() {
		count++
	}
	return count
}

// Index is the node's place among its siblings, from 0.
func (n Node) Index() int {
	index := 0
	for c := n.Parent().First(); c.Exists() && c.i != n.i; c = c.Next() {
		index++
	}
	return index
}

// Children gives the members of an object or items of an array, in order.
func (n Node) Children() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for c := n.First(); c.Exists(); c = c.Next() {
			if !yield(c) {
				return
			}
		}
	}
}

// Each gives the items of an array; of a single value that value; of an absent node nothing.
func (n Node) Each() iter.Seq[Node] {
	if n.Kind() == KindArray {
		return n.Children()
	}
	return func(yield func(Node) bool) {
		if n.Exists() {
			yield(n)
		}
	}
}

// Text is the value of a leaf: a string decoded, a number or boolean as it is written; empty for all else. It shares
// the tree's memory and allocates only where the string holds JSON escapes.
func (n Node) Text() string {
	r := n.rec()
	s := n.t.literal(r)
	if r.flags&textEscaped != 0 {
		return view(unescape(make([]byte, 0, len(s)), s))
	}
	return s
}

// AppendText appends Text to dst, without allocating where dst has the room.
func (n Node) AppendText(dst []byte) []byte {
	r := n.rec()
	if r.flags&textEscaped != 0 {
		return unescape(dst, n.t.literal(r))
	}
	return append(dst, n.t.literal(r)...)
}

// Literal is a leaf as the JSON has it: `"å"` with quotes and escapes, `1.10`, `true`, `null`. It allocates for strings.
func (n Node) Literal() string {
	r := n.rec()
	switch r.kind {
	case KindNull:
		return "null"
	case KindString:
		return `"` + n.t.literal(r) + `"`
	}
	return n.t.literal(r)
}

// ID numbers the node within its tree, from 1; 0 is the absent node. It is small and stays with the node, so bitmaps
// over Slots can mark what was visited.
func (n Node) ID() uint32 { return n.i }

// Node is the node with that ID.
func (t *Tree) Node(id uint32) Node {
	if t == nil || id == 0 || int(id) >= len(t.nodes) {
		return Node{}
	}
	return Node{t, id}
}

// Slots is one more than the highest ID in the tree, removed nodes counted.
func (t *Tree) Slots() int { return len(t.nodes) }

// Leaves gives the nodes below n, or n itself, that hold a value: all but arrays and objects, in order.
func (n Node) Leaves() iter.Seq[Node] {
	return func(yield func(Node) bool) { n.leaves(yield) }
}

func (n Node) leaves(yield func(Node) bool) bool {
	switch n.Kind() {
	case KindAbsent:
		return true
	case KindArray, KindObject:
		for c := n.First(); c.Exists(); c = c.Next() {
			if !c.leaves(yield) {
				return false
			}
		}
		return true
	}
	return yield(n)
}

// Is says whether the node is a string of exactly this text.
func (n Node) Is(text string) bool {
	r := n.rec()
	if r.kind != KindString {
		return false
	}
	if r.flags&textEscaped != 0 {
		return means(n.t.literal(r), text)
	}
	return n.t.literal(r) == text
}

// Bool is the value of a boolean; ok is false for anything else.
func (n Node) Bool() (value, ok bool) {
	r := n.rec()
	if r.kind != KindBool {
		return false, false
	}
	return n.t.literal(r) == "true", true
}

// Type is the resourceType of a resource, empty for other objects.
func (n Node) Type() string { return n.Get("resourceType").Text() }

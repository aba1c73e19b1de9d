package fhir

import "unsafe"

// Value is something to write: a leaf, an empty object or array. Texts are copied when they are written.
type Value struct {
	kind Kind
	text string
}

// String is a JSON string of that text, valid UTF-8.
func String(text string) Value { return Value{KindString, text} }

// Bytes is String over bytes, without a copy of its own.
func Bytes(text []byte) Value {
	return Value{KindString, unsafe.String(unsafe.SliceData(text), len(text))}
}

// Number is a JSON number, written as its literal stands: 1.10 stays 1.10. The caller has checked it (see NumberText).
func Number(literal string) Value { return Value{KindNumber, literal} }

// Bool is a JSON boolean.
func Bool(v bool) Value {
	if v {
		return Value{KindBool, "true"}
	}
	return Value{KindBool, "false"}
}

// Null is a JSON null, as FHIR uses it in arrays of primitives.
func Null() Value { return Value{kind: KindNull} }

// Object is an object without members yet.
func Object() Value { return Value{kind: KindObject} }

// Array is an array without items yet.
func Array() Value { return Value{kind: KindArray} }

// Add appends a member to an object and gives it. It doesn't look whether the object has that name already: that is
// for callers who know, such as a map's program; others use Set. A name has at most 10,000 bytes.
func (n Node) Add(name string, v Value) Node {
	if n.Kind() != KindObject || len(name) > 10_000 {
		return Node{}
	}
	t := n.t
	r := node{flags: nameOwn, nameOff: uint32(len(t.own)), nameLen: uint16(len(name))}
	t.own = appendEscaped(t.own, name)
	if len(t.own)-int(r.nameOff) != len(name) {
		r.flags |= nameEscaped
		r.nameLen = uint16(len(t.own) - int(r.nameOff))
	}
	t.fill(&r, v)
	return n.link(r)
}

// addElement is Add for an object and a name that is an element's, in which there is nothing to escape.
func (n Node) addElement(name string, v Value) Node {
	t := n.t
	r := node{flags: nameOwn, nameOff: uint32(len(t.own)), nameLen: uint16(len(name))}
	t.own = append(t.own, name...)
	t.fill(&r, v)
	return n.link(r)
}

// Set gives an object's member that value: in its place where the name is there, else as the last. It gives the member.
func (n Node) Set(name string, v Value) Node {
	c := n.Get(name)
	if !c.Exists() {
		return n.Add(name, v)
	}
	c.Put(v)
	return c
}

// Put replaces the node's value and keeps its name and place.
func (n Node) Put(v Value) {
	if !n.Exists() {
		return
	}
	r := *n.rec()
	r.flags &^= textOwn | textEscaped
	n.t.fill(&r, v)
	n.t.nodes[n.i] = r
}

// Push appends an item to an array and gives it.
func (n Node) Push(v Value) Node {
	if n.Kind() != KindArray {
		return Node{}
	}
	r := node{}
	n.t.fill(&r, v)
	return n.link(r)
}

// Object is the object under that name, made empty where there is none.
func (n Node) Object(name string) Node {
	if c := n.Get(name); c.Kind() == KindObject {
		return c
	}
	return n.Set(name, Object())
}

// Array is the array under that name, made empty where there is none.
func (n Node) Array(name string) Node {
	if c := n.Get(name); c.Kind() == KindArray {
		return c
	}
	return n.Set(name, Array())
}

// Remove takes the node out of its object or array. The root can't be removed.
func (n Node) Remove() {
	p := n.rec().parent
	if p == 0 {
		return
	}
	nodes := n.t.nodes
	parent, prev := &nodes[p], uint32(0)
	for i := parent.a; i != 0; i = nodes[i].next {
		if i == n.i {
			if prev == 0 {
				parent.a = nodes[i].next
			} else {
				nodes[prev].next = nodes[i].next
			}
			if parent.b == i {
				parent.b = prev
			}
			nodes[i].parent, nodes[i].next = 0, 0
			return
		}
		prev = i
	}
}

// Copy replaces the node's value by a copy of src, which may stand in another tree. src must not hold the node.
func (n Node) Copy(src Node) {
	switch k := src.Kind(); k {
	case KindAbsent:
	case KindObject:
		n.Put(Object())
		for c := src.First(); c.Exists(); c = c.Next() {
			n.Add(c.Name(), Null()).Copy(c)
		}
	case KindArray:
		n.Put(Array())
		for c := src.First(); c.Exists(); c = c.Next() {
			n.Push(Null()).Copy(c)
		}
	default:
		if !n.Exists() {
			return
		}
		r, from := *n.rec(), src.rec()
		literal := src.t.literal(from)
		r.kind, r.a, r.b = k, uint32(len(n.t.own)), uint32(len(literal))
		r.flags = r.flags&^textEscaped | textOwn | from.flags&textEscaped
		n.t.own = append(n.t.own, literal...)
		n.t.nodes[n.i] = r
	}
}

// fill writes v into r, whose text flags are clear.
func (t *Tree) fill(r *node, v Value) {
	r.kind, r.a, r.b = v.kind, 0, 0
	if v.kind >= KindArray || v.kind == KindNull {
		return
	}
	start := len(t.own)
	if v.kind == KindString {
		t.own = appendEscaped(t.own, v.text)
		if len(t.own)-start != len(v.text) {
			r.flags |= textEscaped
		}
	} else {
		t.own = append(t.own, v.text...)
	}
	r.flags |= textOwn
	r.a, r.b = uint32(start), uint32(len(t.own)-start)
}

// link makes r the last child of n.
func (n Node) link(r node) Node {
	t := n.t
	i := uint32(len(t.nodes))
	r.parent = n.i
	t.nodes = append(t.nodes, r)
	p := &t.nodes[n.i]
	if p.b != 0 {
		t.nodes[p.b].next = i
	} else {
		p.a = i
	}
	p.b = i
	return Node{t, i}
}

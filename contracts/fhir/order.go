package fhir

// Order puts the members of an object, and of all objects inside it, into the order in which R4 defines them, with
// resourceType first and a `_name` right behind its name. Members that R4 doesn't know stay behind, in their order.
// The node must be a resource or, with typ, an object of that type.
func (n Node) Order(typ *Type) {
	switch n.Kind() {
	case KindArray:
		for c := n.First(); c.Exists(); c = c.Next() {
			c.Order(typ)
		}
	case KindObject:
		if rt := n.Type(); rt != "" {
			typ = Definitions().Type(rt)
		}
		if typ == nil {
			return
		}
		n.sortMembers(typ)
		for c := n.First(); c.Exists(); c = c.Next() {
			if c.Kind() >= KindArray {
				_, t := typ.Member(elementName(c.Name()))
				c.Order(t)
			}
		}
	}
}

// ObjectWriter adds the members of one object, in whatever order they come, and puts them into that of R4. It does for
// what is being written what Order does for what is there.
type ObjectWriter struct {
	n     Node
	typ   *Type
	last  int
	mixed bool
}

// Writer writes into an object of that type; without a type the members stay in their order.
func (n Node) Writer(typ *Type) ObjectWriter { return ObjectWriter{n: n, typ: typ, last: -2} }

// Add is Node.Add. It gives the type of the member too, nil where R4 has no such member.
func (w *ObjectWriter) Add(name string, v Value) (Node, *Type) {
	rank, typ := w.typ.place(name)
	if rank < w.last {
		w.mixed = true
	}
	w.last = rank
	if typ != nil && w.n.Kind() == KindObject {
		return w.n.addElement(name, v), typ
	}
	return w.n.Add(name, v), typ
}

// Close ends the writing of the object.
func (w *ObjectWriter) Close() {
	if w.mixed {
		w.n.sortMembers(w.typ)
	}
}

// elementName is the element that a member belongs to: birthDate for _birthDate.
func elementName(name string) string {
	if name != "" && name[0] == '_' {
		return name[1:]
	}
	return name
}

// place is where a member stands among those of its object, and the member's type. Without a type all stand alike.
func (typ *Type) place(name string) (rank int, of *Type) {
	if typ == nil {
		return 0, nil
	}
	if name == "resourceType" {
		return -1, nil
	}
	plain := elementName(name)
	m := typ.members.find(plain)
	if m == nil {
		return 2 * len(typ.Elements), nil
	}
	rank = 2 * m.element.Order
	if len(plain) != len(name) {
		rank++
	}
	return rank, m.typ
}

// OrderMembers is Order for the members of the object alone.
func (n Node) OrderMembers(typ *Type) {
	if n.Kind() == KindObject && typ != nil {
		n.sortMembers(typ)
	}
}

// sortMembers is an insertion sort, since a map's program writes nearly in order.
func (n Node) sortMembers(typ *Type) {
	var buf [64]uint32
	members := buf[:0]
	var rankBuf [64]int
	ranks := rankBuf[:0]
	for c := n.First(); c.Exists(); c = c.Next() {
		members = append(members, c.i)
		rank, _ := typ.place(c.Name())
		ranks = append(ranks, rank)
	}
	for i := 1; i < len(members); i++ {
		m, r := members[i], ranks[i]
		j := i
		for ; j > 0 && ranks[j-1] > r; j-- {
			members[j], ranks[j] = members[j-1], ranks[j-1]
		}
		members[j], ranks[j] = m, r
	}
	if len(members) == 0 {
		return
	}
	nodes := n.t.nodes
	for i, m := range members {
		if i+1 < len(members) {
			nodes[m].next = members[i+1]
		} else {
			nodes[m].next = 0
		}
	}
	nodes[n.i].a, nodes[n.i].b = members[0], members[len(members)-1]
}

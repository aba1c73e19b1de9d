package mappings

import (
	"github.com/hoitosilta/silta/contracts/fhir"
)

// node is one FHIR element while a message is translated: made by Forward, read by Reverse. A list is several nodes of
// one name with many set, in order.
type node struct {
	name              string
	kind              fhir.Kind // absent until something is written
	many, seen, fixed bool      // seen: Reverse read it; fixed: a constant, which makes nothing
	text              string
	parent            *node
	first, last, next *node
	order             int64  // of list items: field and repetition, for the order of writing
	key               string // of list items: the selector they were made for
	rule              *op    // who wrote it
	from              place  // where it came from
	source            fhir.Node
	resource          *instance // of a resource's root
}

// arena hands out nodes in blocks. The blocks are used again for the next message, so nothing that outlives a
// translation may point to a node.
type arena struct {
	blocks [][]node
	used   int // blocks that are full
	next   int // in the block after those
}

const blockSize = 128

func (a *arena) new(name string, parent *node) *node {
	if a.used == len(a.blocks) {
		a.blocks = append(a.blocks, make([]node, blockSize))
	}
	n := &a.blocks[a.used][a.next]
	if a.next++; a.next == blockSize {
		a.used, a.next = a.used+1, 0
	}
	n.name, n.parent = name, parent
	return n
}

// release clears what was used, so that no text of a message is kept.
func (a *arena) release() {
	for i := range a.used {
		clear(a.blocks[i])
	}
	if a.next > 0 {
		clear(a.blocks[a.used][:a.next])
	}
	a.used, a.next = 0, 0
	if len(a.blocks) > 64 {
		clear(a.blocks[64:])
		a.blocks = a.blocks[:64]
	}
}

// count is how many nodes are in use.
func (a *arena) count() int { return blockSize*a.used + a.next }

func (n *node) append(kid *node) {
	if n.first == nil {
		n.first = kid
	} else {
		n.last.next = kid
	}
	n.last = kid
	n.kind = fhir.KindObject
}

// get is the first child of that name, nil where there is none.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for k := n.first; k != nil; k = k.next {
		if k.name == name {
			return k
		}
	}
	return nil
}

// follow is the next list item after n.
func (n *node) follow() *node {
	for k := n.next; k != nil; k = k.next {
		if k.name == n.name {
			return k
		}
	}
	return nil
}

// read is the text of a child leaf and marks it as read.
func (n *node) read(name string) string {
	k := n.get(name)
	if k == nil {
		return ""
	}
	return k.value()
}

// peek is read without marking.
func (n *node) peek(name string) string {
	if k := n.get(name); k != nil {
		return k.text
	}
	return ""
}

// value is a leaf's text and marks it as read.
func (n *node) value() string {
	if n == nil {
		return ""
	}
	n.seen = true
	return n.text
}

// anySeen says whether something below is read.
func (n *node) anySeen() bool {
	if n.seen {
		return true
	}
	for k := n.first; k != nil; k = k.next {
		if k.anySeen() {
			return true
		}
	}
	return false
}

// seeAll marks everything below as read.
func (n *node) seeAll() {
	n.seen = true
	for k := n.first; k != nil; k = k.next {
		k.seeAll()
	}
}

// filled says whether n or anything below it was written by a rule and not as a constant.
func (n *node) filled() bool {
	switch n.kind {
	case fhir.KindAbsent:
		return false
	case fhir.KindObject:
		for k := n.first; k != nil; k = k.next {
			if k.filled() {
				return true
			}
		}
		return false
	}
	return !n.fixed
}

// holds says whether n or anything below it has a value.
func (n *node) holds() bool {
	if n.kind == fhir.KindObject {
		for k := n.first; k != nil; k = k.next {
			if k.holds() {
				return true
			}
		}
		return false
	}
	return n.kind != fhir.KindAbsent
}

// root is the resource that n stands in.
func (n *node) root() *node {
	for n.parent != nil {
		n = n.parent
	}
	return n
}

// emit writes n's members into an object of the outgoing tree, which is of that type, in R4's order. A resource inside
// says its own type.
func (n *node) emit(to fhir.Node, typ *fhir.Type, trace func(*node, fhir.Node)) {
	if typ != nil && typ.Kind == fhir.Resource && typ.Abstract {
		typ = fhir.Definitions().Type(n.peek("resourceType"))
	}
	w := to.Writer(typ)
	for k := n.first; k != nil; k = k.next {
		if !k.holds() {
			continue
		}
		if !k.many {
			at, of := w.Add(k.name, k.json())
			k.write(at, of, trace)
			continue
		}
		if k.isLaterItem() {
			continue // written with its first
		}
		list, of := w.Add(k.name, fhir.Array())
		for item := k; item != nil; item = item.follow() {
			if item.holds() {
				item.write(list.Push(item.json()), of, trace)
			}
		}
	}
	w.Close()
}

// isLaterItem says whether an earlier filled item of the same list stands before n.
func (n *node) isLaterItem() bool {
	for k := n.parent.first; k != n; k = k.next {
		if k.name == n.name && k.holds() {
			return true
		}
	}
	return false
}

func (n *node) write(at fhir.Node, typ *fhir.Type, trace func(*node, fhir.Node)) {
	if n.kind == fhir.KindObject {
		n.emit(at, typ, trace)
		return
	}
	trace(n, at)
}

func (n *node) json() fhir.Value {
	switch n.kind {
	case fhir.KindObject:
		return fhir.Object()
	case fhir.KindBool:
		return fhir.Bool(n.text == "true")
	case fhir.KindNumber:
		return fhir.Number(n.text)
	case fhir.KindNull:
		return fhir.Null()
	}
	return fhir.String(n.text)
}

// absorb reads an outgoing tree's value into nodes. `_birthDate` siblings become children of their leaf's node.
func (a *arena) absorb(n *node, from fhir.Node) {
	n.source, n.kind = from, from.Kind()
	switch n.kind {
	case fhir.KindObject:
		for m := from.First(); m.Exists(); m = m.Next() {
			name := m.Name()
			if m.Kind() == fhir.KindArray {
				for item := m.First(); item.Exists(); item = item.Next() {
					kid := a.new(name, n)
					kid.many = true
					n.append(kid)
					a.absorb(kid, item)
				}
				continue
			}
			kid := a.new(name, n)
			n.append(kid)
			a.absorb(kid, m)
		}
	case fhir.KindArray, fhir.KindNull:
	default:
		n.text = from.Text()
	}
}

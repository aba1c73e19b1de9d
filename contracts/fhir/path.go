package fhir

import (
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// Place is where the node stands, as a FHIRPath from its root: Bundle.entry[2].resource.birthDate. A `_birthDate`
// sibling has the place of its element. An absent node has none.
func (n Node) Place() string {
	if !n.Exists() {
		return ""
	}
	return string(n.appendPlace(nil))
}

func (n Node) appendPlace(dst []byte) []byte {
	p := n.Parent()
	if !p.Exists() {
		if t := Definitions().Type(n.Type()); t != nil {
			return append(dst, t.Name...)
		}
		return append(dst, "$this"...)
	}
	dst = p.appendPlace(dst)
	if p.Kind() == KindArray {
		dst = append(dst, '[')
		dst = strconv.AppendInt(dst, int64(n.Index()), 10)
		return append(dst, ']')
	}
	return appendStep(dst, n.Name())
}

// appendStep appends one member name. A name that is no element name may hold anything, a patient's data too, so it
// isn't shown.
func appendStep(dst []byte, name string) []byte {
	name = strings.TrimPrefix(name, "_")
	if !isName(name) || len(name) > 64 {
		name = "?"
	}
	dst = append(dst, '.')
	return append(dst, name...)
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// Path is a compiled way from a node to one below it. It is immutable and may be shared.
type Path []PathStep

// PathStep is one member of an object, and which of its items where the element is a list.
type PathStep struct {
	Name  string
	Index int // -1: no index, which reads the first and writes a single value
}

// CompilePath reads names with indexes from 0: identifier[0].value. Names stand as in JSON, valueQuantity and
// _birthDate. It knows no types: a compiler that checks them uses the schema. The fault is of kind invalid.
func CompilePath(path string) (Path, error) {
	var p Path
	for step := range strings.SplitSeq(path, ".") {
		name, index := step, -1
		if open := strings.IndexByte(step, '['); open > 0 && strings.HasSuffix(step, "]") {
			i, err := strconv.Atoi(step[open+1 : len(step)-1])
			if err != nil || i < 0 {
				return nil, contracts.Faultf(contracts.Invalid, CodePath, path, "An index is a number from 0 in brackets.")
			}
			name, index = step[:open], i
		}
		if !isName(strings.TrimPrefix(name, "_")) {
			return nil, contracts.Faultf(contracts.Invalid, CodePath, path, "A path is element names with dots between them, such as identifier[0].value.")
		}
		p = append(p, PathStep{name, index})
	}
	return p, nil
}

// Get follows the path from n; absent where any step is. It doesn't allocate.
func (p Path) Get(n Node) Node {
	for i := range p {
		n = n.Get(p[i].Name).At(max(p[i].Index, 0))
	}
	return n
}

// All follows the path from n as FHIRPath does: a name leads to every item of every node, an index picks among all that
// was reached, value stands for valueQuantity too, and the path may begin with the type of the resource.
func (p Path) All(n Node) []Node {
	if len(p) > 0 && p[0].Name == n.Type() && p[0].Index < 1 {
		p = p[1:]
	}
	nodes := []Node{n}
	for _, step := range p {
		var next []Node
		for _, n := range nodes {
			for c := range n.element(step.Name).Each() {
				next = append(next, c)
			}
		}
		if step.Index >= 0 {
			next = next[min(step.Index, len(next)):min(step.Index+1, len(next))]
		}
		nodes = next
	}
	return nodes
}

// element is the member of that name, or of a choice that has the name.
func (n Node) element(name string) Node {
	if c := n.Get(name); c.Exists() {
		return c
	}
	if e := typeOf(n).Element(name); e != nil && e.Choice {
		for _, typ := range e.Types {
			if c := n.Get(e.JSON(typ)); c.Exists() {
				return c
			}
		}
	}
	return Node{}
}

// Set follows the path from n, makes what is missing, and puts v at its end. An index writes an array; it must be one
// that is there or the next, and a step onto a leaf replaces that. It gives the node that holds v, absent where it can't be made.
func (p Path) Set(n Node, v Value) Node {
	for i := range p {
		want := Object()
		if i == len(p)-1 {
			want = v
		}
		n = p[i].reach(n, want, i == len(p)-1)
	}
	return n
}

func (s PathStep) reach(n Node, want Value, last bool) Node {
	if s.Index < 0 {
		c := n.Get(s.Name)
		if c.Kind() == KindArray && !last {
			if !c.First().Exists() {
				return c.Push(want)
			}
			c = c.At(0)
		}
		if !c.Exists() {
			return n.Add(s.Name, want)
		}
		if last || c.Kind() != KindObject {
			c.Put(want)
		}
		return c
	}
	list := n.Array(s.Name)
	c := list.At(s.Index)
	switch {
	case c.Exists() && (last || c.Kind() != KindObject):
		c.Put(want)
	case !c.Exists() && list.Len() == s.Index:
		return list.Push(want)
	}
	return c
}

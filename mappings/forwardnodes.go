package mappings

import (
	"github.com/hoitosilta/silta/contracts/fhir"
)

// set writes a leaf and remembers who wrote it and from where.
func (f *forward) set(n *node, kind fhir.Kind, text string) {
	n.kind, n.text, n.rule, n.from, n.fixed = kind, text, f.op, f.d.last, false
}

// fix writes a constant.
func (f *forward) fix(n *node, kind fhir.Kind, text string, rule *op) {
	n.kind, n.text, n.rule, n.from, n.fixed = kind, text, rule, place{}, true
}

func (f *forward) child(n *node, name string) *node {
	if k := n.get(name); k != nil {
		return k
	}
	k := f.arena.new(name, n)
	n.append(k)
	return k
}

func (f *forward) item(n *node, name string) *node {
	k := f.arena.new(name, n)
	k.many = true
	n.append(k)
	return k
}

// element gives the element of a list that a path's step names, making it where needed. order sorts it among the
// others; fresh makes a new one.
func (f *forward) element(parent *node, step *fhirPlace, order int64, fresh bool) *node {
	key := indexKey(max(step.pick.index, 1))
	if step.sel != nil {
		key = step.sel.source
	}
	if !fresh {
		for k := parent.get(step.name); k != nil; k = k.follow() {
			if k.key == key {
				return k
			}
		}
	}
	n := f.arena.new(step.name, parent)
	n.many, n.order, n.key = true, order, key
	if fresh {
		n.key = ""
	}
	parent.insert(n)
	return n
}

// insert puts a list item behind those of its name with the same or a lower order.
func (n *node) insert(kid *node) {
	var after, before *node
	for k := n.first; k != nil; k = k.next {
		if k.name != kid.name {
			continue
		}
		if k.order > kid.order {
			before = k
			break
		}
		after = k
	}
	switch {
	case before == nil:
		n.append(kid)
	case after != nil:
		kid.next = after.next
		after.next = kid
	default:
		kid.next = before
		if n.first == before {
			n.first = kid
			return
		}
		for k := n.first; k != nil; k = k.next {
			if k.next == before {
				k.next = kid
				return
			}
		}
	}
}

// target walks a path from its frame or the current element and makes what is missing.
func (f *forward) target(ref *fhirRef, at spot, source int64) *node {
	n := at.elem
	if ref.frame != nil {
		in := f.instanceFor(ref.frame, at.inst)
		if in == nil {
			return nil
		}
		n = in.res
	}
	for i := range ref.steps {
		step := &ref.steps[i]
		if step.list {
			n = f.element(n, step, step.order<<40|source, step.pick.many())
		} else {
			n = f.child(n, step.name)
		}
	}
	return n
}

// constantsOf writes what the selectors on a path say, after a rule wrote there.
func (f *forward) constantsOf(ref *fhirRef, leaf *node, o *op) {
	n := leaf
	for i := len(ref.steps) - 1; i >= 0; i-- {
		if sel := ref.steps[i].sel; sel != nil {
			if len(sel.alts) > 0 && !matchesNode(n, sel) {
				f.writeConds(n, sel.alts[0], o)
			}
			f.writeConds(n, sel.set, o)
		}
		n = n.parent
	}
}

func (f *forward) writeConds(n *node, conds []fhirCond, o *op) {
	for i := range conds {
		to := n
		for j, name := range conds[i].path {
			if next := to.get(name); next != nil {
				to = next
			} else if conds[i].lists[j] {
				to = f.item(to, name)
			} else {
				to = f.child(to, name)
			}
		}
		f.fix(to, conds[i].kind, conds[i].value, o)
	}
}

// matchesNode says whether any alternative of a selector holds for an element.
func matchesNode(n *node, sel *fhirSelector) bool {
	for _, alt := range sel.alts {
		all := true
		for i := range alt {
			if !holdsNode(n, &alt[i], 0) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

func holdsNode(n *node, c *fhirCond, depth int) bool {
	if depth == len(c.path) {
		return n.text == c.value && n.kind != fhir.KindObject
	}
	for k := n.get(c.path[depth]); k != nil; k = k.follow() {
		if holdsNode(k, c, depth+1) {
			return true
		}
	}
	return false
}

package mappings

import (
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// reverseFHIR is Reverse for a map whose dialect is FHIR, with a residue or without any.
func (m *Map) reverseFHIR(bundle *fhir.Tree, c Context, kept *fhirResidue) (*Result, error) {
	p := m.fhir
	r := reverses.Get().(*reverse)
	defer r.release()
	f := forwards.Get().(*forward)
	defer f.release()
	r.p, f.p, f.untraced = p.program, p.program, c.Untraced
	if fault := crowded(bundle.Root()); fault != nil {
		return nil, contracts.Faults{fault}
	}
	var origin *finder
	if c.Origin != nil && c.Origin.Bundle != nil && p.usesOrigin {
		origin = r.far
		if fault := origin.read(p.program, r.arena, c.Origin.Bundle, nil); fault != nil {
			fault.At = "origin " + fault.At
			return nil, contracts.Faults{fault}
		}
	}
	found := r.near
	if fault := found.read(p.program, r.arena, bundle, origin); fault != nil {
		return nil, contracts.Faults{fault}
	}
	if r.f = found; found.missing != nil {
		r.parkOrigin(found.missing.ref)
	}
	x := &carrier{p: p, to: ofDialect, w: f, r: r, read: found, sites: make([][]*site, len(p.anchors))}
	x.place(p.root, nil, 0)
	found.bundle.site = x.sites[0][0]
	x.places(true)
	x.run(p.copies)
	x.places(false)
	x.tables()
	x.run(p.rules)
	x.decide()
	x.name()
	x.refer()
	x.settle(x.dialectURL)
	x.overwritten()
	r.constants()
	r.faults = append(append(r.faults, x.refused...), r.loss()...)
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	res := x.dialect(bundle)
	if faults := invalidFHIR(res.Dialect); len(faults) > 0 {
		return nil, faults
	}
	if kept != nil {
		kept.merge(res) // what it brings is the partner's own
	}
	return res, nil
}

// places gives the canonical instances their places in the dialect: resources first, since elements may come by a copy of
// theirs.
func (x *carrier) places(resources bool) {
	for _, fr := range x.p.frames {
		a := x.p.of[fr.index]
		if a.isResource() != resources {
			continue
		}
		for i, in := range x.instances(fr) {
			if !fr.each || a.kind == anchorRoot {
				i = 0
			}
			in.site = x.place(a, in, i)
		}
	}
}

// place gives the nth place of an anchor, and makes it where it isn't there. Elements are counted within their base.
func (x *carrier) place(a *anchor, in *instance, nth int) *site {
	list := &x.sites[a.frame.index]
	var base *site
	if a.base != nil {
		var on *instance
		if in != nil && in.parent != nil {
			on = in.parent
		}
		base = x.siteFor(a.base, on)
		if in != nil && on != nil {
			nth = among(x.instances(in.frame), in)
		}
	}
	n := 0
	for _, s := range *list {
		if s.base == base {
			if n == nth {
				return s
			}
			n++
		}
	}
	s := &site{of: a, base: base}
	switch a.kind {
	case anchorElement:
		s.node = x.element(base.node, a.path, nth)
	default:
		s.node = x.w.arena.new("resource", nil)
		x.w.fix(x.w.child(s.node, "resourceType"), fhir.KindString, a.typ(), received)
	}
	*list = append(*list, s)
	return s
}

// among is the number of an instance among those of its parent, from 0.
func among(list []*instance, in *instance) int {
	n := 0
	for _, other := range list {
		if other == in {
			break
		}
		if other.parent == in.parent {
			n++
		}
	}
	return n
}

// element gives the nth element of a path: one that a copy has brought, else a new one.
func (x *carrier) element(base *node, ref *fhirRef, nth int) *node {
	if there := nodesAt(base, ref.steps, nil, x.read); nth < len(there) {
		return there[nth]
	}
	n := base
	for i := range ref.steps {
		step := &ref.steps[i]
		switch {
		case step.list && i == len(ref.steps)-1:
			n = x.w.element(n, step, x.rule<<40|int64(nth), true)
		case step.list:
			n = x.item(n, step, x.rule<<40)
		default:
			n = x.w.child(n, step.name)
		}
	}
	return n
}

// dialect builds the message.
func (x *carrier) dialect(bundle *fhir.Tree) *Result {
	x.constants()
	root := x.sites[0][0].node
	for _, s := range x.resourceSites() {
		if x.p.contained {
			s.node.name, s.node.many = "contained", true
			x.w.fix(x.w.child(s.node, "id"), fhir.KindString, strings.TrimPrefix(s.url, "#"), received)
			s.node.parent = root
			root.append(s.node)
			continue
		}
		entry := x.w.item(root, "entry")
		x.w.fix(x.w.child(entry, "fullUrl"), fhir.KindString, s.url, received)
		s.node.parent = entry
		entry.append(s.node)
	}
	tree := &fhir.Tree{}
	res := &Result{Dialect: tree, Findings: x.r.findings, read: [2]*fhir.Tree{bundle}}
	top := tree.Reset(x.p.root.typ())
	root.get("resourceType").drop()
	root.emit(top, x.p.root.frame.defs, x.trace(res))
	x.r.coverage(res)
	return res
}

// resourceSites are the resources beside the root that are written, in the order of the message.
func (x *carrier) resourceSites() []*site {
	var list []*site
	for _, a := range x.p.anchors[1:] {
		for _, s := range x.sites[a.frame.index] {
			if a.isResource() && s.made {
				list = append(list, s)
			}
		}
	}
	return list
}

// decide says which places are written: where a rule wrote something, and what a selector says is written beside it.
func (x *carrier) decide() {
	for _, list := range x.sites {
		for _, s := range list {
			if s.made = s.of.kind == anchorRoot || s.node.filled() || len(x.pendingIn(s.node)) > 0; !s.made {
				continue
			}
			if s.of.sel != nil && len(s.of.sel.alts) > 0 && !matchesNode(s.node, s.of.sel) {
				x.w.writeConds(s.node, s.of.sel.alts[0], byRule)
			}
			if s.of.kind == anchorElement {
				x.w.constantsOf(s.of.path, s.node, byRule)
			}
		}
	}
	for i := len(x.sites) - 1; i >= 0; i-- { // a base stands before what stands on it
		for _, s := range x.sites[i] {
			if s.made && s.base != nil {
				s.base.made = true
			}
		}
	}
}

// pendingIn are the copied references that stand in a node, and aren't written yet.
func (x *carrier) pendingIn(n *node) []repointed {
	var list []repointed
	for _, p := range x.pending {
		if p.leaf.root() == n {
			list = append(list, p)
		}
	}
	return list
}

// name gives the resources what references call them: the fullUrl of the canonical resource, or a name inside the root.
func (x *carrier) name() {
	numbers := map[string]int{}
	for _, s := range x.resourceSites() {
		if x.p.contained {
			name := strings.ToLower(s.of.typ())
			if numbers[name]++; numbers[name] > 1 {
				name += strconv.Itoa(numbers[name])
			}
			s.url = "#" + name
			continue
		}
		s.url = x.canonicalOf(s)
	}
}

// canonicalOf is the fullUrl of the canonical resource that stands at a place, else one made of that of the message.
func (x *carrier) canonicalOf(s *site) string {
	for pass := range 2 {
		for _, fr := range x.p.frames {
			for _, in := range x.instances(fr) {
				if in.site != s || pass == 0 && fr.typ != s.of.typ() {
					continue
				}
				for i := range in.home.entries {
					if e := &in.home.entries[i]; e.node == in.res && e.url != "" && (pass == 0 || x.free(e.url)) {
						return e.url
					}
				}
			}
		}
	}
	return derivedURL(x.r.f.entries[0].url, s)
}

// free says whether no other resource has that URL.
func (x *carrier) free(url string) bool {
	for _, s := range x.resourceSites() {
		if s.url == url {
			return false
		}
	}
	return true
}

// refer writes the references by which resources are found.
func (x *carrier) refer() {
	for _, a := range x.p.anchors {
		if a.kind != anchorReference {
			continue
		}
		for _, s := range x.sites[a.frame.index] {
			if !s.made {
				continue
			}
			n := s.base.node
			for i := range a.path.steps {
				if step := &a.path.steps[i]; step.list {
					n = x.item(n, step, x.rule<<40)
				} else {
					n = x.w.child(n, step.name)
				}
			}
			if leaf := x.w.child(n, "reference"); leaf.kind == fhir.KindAbsent {
				x.w.fix(leaf, fhir.KindString, s.url, byRule)
				x.w.constantsOf(a.path, n, byRule)
			}
		}
	}
}

// dialectURL is what references call the resource that a canonical one has become.
func (x *carrier) dialectURL(n *node) (string, bool) {
	for _, fr := range x.p.frames {
		for _, in := range x.instances(fr) {
			if in.res == n && in.site != nil && in.site.of.isResource() && in.site.of.typ() == fr.typ {
				if in.site.of.kind == anchorRoot {
					return "#", true
				}
				return in.site.url, in.site.made
			}
		}
	}
	return "", false
}

// constants writes the dialect's constants into the resources and elements that are made.
func (x *carrier) constants() {
	for _, k := range x.p.consts {
		for _, s := range x.sites[k.fhir.frame.index] {
			if s.made {
				x.w.constant(s.node, k.fhir.steps, k)
			}
		}
	}
}

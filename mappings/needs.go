package mappings

import (
	"slices"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// need is a required element of a frame, and where it comes from.
type need struct {
	names []string // in JSON; a choice has one for each of its types
	path  string   // the v2 path or anchor that it comes from, for the fault
	field bool     // path is a field of the frame's own segment
	seg   string
	at    int16
}

// findNeeds notes the required elements of every frame, so that a message without them parks with a place in v2.
func (c *compiler) findNeeds() {
	for _, f := range c.p.frames {
		for i := range f.defs.Elements {
			e := &f.defs.Elements[i]
			if e.Min == 0 {
				continue
			}
			n := need{path: f.anchor}
			for _, typ := range e.Types {
				n.names = append(n.names, e.JSON(typ))
			}
			c.needSource(f, &n)
			f.needs = append(f.needs, n)
		}
	}
}

// needSource finds what writes the element: a link from the frame, or a rule.
func (c *compiler) needSource(f *frame, n *need) {
	for _, l := range c.p.links {
		if l.frame == f && l.forward && has(n.names, l.ref.steps[0].name) && l.to[0].anchor != "" {
			n.path = l.to[0].anchor
			return
		}
	}
	for _, fr := range c.p.frames {
		if fr.by != nil && fr.by.frame == f && has(n.names, fr.by.steps[0].name) {
			n.path = fr.anchor
			return
		}
	}
	var search func(list []*op) bool
	search = func(list []*op) bool {
		for _, o := range list {
			if o.kind == opFirst && search(o.kids) {
				return true
			}
			for _, ref := range o.fhir {
				if o.frame == f && ref.frame == f && len(o.v2) > 0 && len(ref.steps) > 0 && has(n.names, ref.steps[0].name) {
					r := o.v2[0]
					n.path, n.field, n.seg, n.at = r.path.source, r.mode == inAnchor, r.segment, r.field
					return true
				}
			}
		}
		return false
	}
	search(c.p.ops)
}

// check parks a message that lacks what the canonical message can't be without.
func (f *forward) check() {
	for _, fr := range f.p.frames {
		switch {
		case !fr.always || fr.message:
		case fr.parent != nil:
			f.childless(fr)
		case len(f.instances[fr.index]) == 0:
			f.faults = append(f.faults, contracts.Faultf(contracts.Invalid, CodeMissing, fr.anchor, "The message has no %s.", fr.anchor))
		}
		for _, in := range f.instances[fr.index] {
			if !in.made {
				continue
			}
			// A child that names its parent itself may do without, if the way back finds it otherwise.
			if fr.parent != nil && in.parent == nil && fr.orphans == nil && !(fr.byChild && len(fr.ways) > 1) {
				f.faults = append(f.faults, contracts.Faultf(contracts.Invalid, CodeOrphan, place{seg: in.seg}.String(), "This stands without the %s that it belongs to.", fr.parent.anchor))
			}
			for i := range fr.needs {
				f.need(in, &fr.needs[i])
			}
		}
	}
}

// childless parks a message in which a parent lacks the child that it must have, or has one that says nothing.
func (f *forward) childless(fr *frame) {
	for _, p := range f.of(fr.parent) {
		if p.made && !slices.ContainsFunc(f.instances[fr.index], func(in *instance) bool { return in.parent == p && in.res.filled() }) {
			f.faults = append(f.faults, contracts.Faultf(contracts.Invalid, CodeMissing, fr.anchor, "%s says nothing, or isn't there for each %s.", fr.anchor, fr.parent.anchor))
			return
		}
	}
}

// childless parks a Bundle in which a parent lacks the child that it must have, or has one of which nothing is written: a
// merge that doesn't say of whom, for one.
func (r *reverse) childless() {
	for _, fr := range r.p.frames {
		if !fr.always || fr.message || fr.parent == nil {
			continue
		}
		for _, p := range r.f.of(fr.parent) {
			if !slices.ContainsFunc(r.f.of(fr), func(in *instance) bool { return in.parent == p && (in.outSeg != nil || in.out != nil) }) {
				r.faults = append(r.faults, contracts.Faultf(contracts.Invalid, CodeMissing, p.res.source.Place(), "This %s has no %s that %s could be written from.", fr.parent.typ, fr.typ, fr.anchor))
			}
		}
	}
}

func (f *forward) need(in *instance, n *need) {
	for _, name := range n.names {
		if k := in.res.get(name); k != nil && k.holds() {
			return
		}
	}
	at := n.path
	if n.field && in.seg != nil {
		at = place{seg: in.seg, field: n.at}.String()
	} else if in.seg != nil && n.path == in.frame.anchor {
		at = place{seg: in.seg}.String()
	}
	for _, known := range f.faults {
		if known.At == at {
			return
		}
	}
	f.faults = append(f.faults, contracts.Faultf(contracts.Invalid, CodeMissing, at, "The message doesn't say what %s.%s needs.", in.frame.typ, n.names[0]))
}

// drop takes an element out again.
func (n *node) drop() {
	n.kind, n.first, n.last = fhir.KindAbsent, nil, nil
}

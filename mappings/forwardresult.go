package mappings

import (
	"slices"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// constants writes what stands on every made instance: constants, and what stands for an absent source.
func (f *forward) constants() {
	for _, k := range f.p.consts {
		if k.fhir == nil {
			f.seeConstant(k)
			continue
		}
		for _, in := range f.of(k.fhir.frame) {
			if in.made {
				f.constant(in.res, k.fhir.steps, k)
			}
		}
	}
	for _, o := range f.p.ops {
		f.absentees(o)
	}
}

func (f *forward) absentees(o *op) {
	if o.kind == opNested || !o.forward {
		return
	}
	for _, kid := range o.kids {
		f.absentees(kid)
	}
	if o.absent == "" {
		return
	}
	for _, in := range f.of(o.frame) {
		if in.made {
			f.absent(o, spot{inst: in, seg: in.seg, rep: in.rep})
		}
	}
}

// of gives a frame's instances, made or not.
func (f *forward) of(fr *frame) []*instance {
	if fr == f.p.bundle {
		return f.memory.slab[:1] // the Bundle's is the first that is handed out
	}
	return f.instances[fr.index]
}

// constant writes a constant; (*) means every element that is there.
func (f *forward) constant(n *node, steps []fhirPlace, k *constant) {
	for i := range steps {
		step := &steps[i]
		if step.pick.many() {
			for item := n.get(step.name); item != nil; item = item.follow() {
				f.constant(item, steps[i+1:], k)
			}
			return
		}
		if step.list {
			n = f.element(n, step, step.order<<40, false)
			if step.sel != nil && len(step.sel.alts) > 0 {
				f.writeConds(n, step.sel.alts[0], k.rule)
				f.writeConds(n, step.sel.set, k.rule)
			}
		} else {
			n = f.child(n, step.name)
		}
	}
	if n.kind == fhir.KindAbsent {
		f.fix(n, jsonKind(k.fhir.typ), k.value, k.rule)
		if mark := n.parent.get("_endpoint"); n.name == "endpoint" && mark != nil {
			mark.drop() // it says that nobody knows the address
		}
	}
}

// seeConstant counts a v2 constant as read where the message says just that.
func (f *forward) seeConstant(k *constant) {
	c, ok := f.one(k.v2, spot{inst: f.bundle})
	if ok && peek(c) == k.value {
		c.text()
	}
}

// decide says which instances are made: filled by a rule, or always, or the parent that leads to a made child.
func (f *forward) decide() {
	for i := len(f.instances) - 1; i >= 0; i-- {
		for _, in := range f.instances[i] {
			in.made = in.made || in.frame.always || in.res.filled()
			if in.made && in.parent != nil && !in.frame.byChild {
				in.parent.made = true
			}
		}
	}
	for _, list := range f.instances {
		for _, in := range list {
			if in.made && in.parent != nil && !in.frame.byChild {
				in.parent.made = true
			}
		}
	}
}

// links writes the references between the instances that are made.
func (f *forward) links() {
	for _, p := range f.pending {
		for _, in := range f.instances[p.to.index] {
			if in.made && in.seg == p.at {
				f.refer(p.node, in, p.rule)
				break
			}
		}
		if !p.node.holds() {
			p.elem.drop() // the way back would find no frame behind it
		}
	}
	f.connect(f.link)
}

// connect writes the references of `by` and, by link, those of the map's links.
func (f *forward) connect(link func(l *link, from *instance, to *frame)) {
	for _, fr := range f.p.frames {
		if fr.by != nil {
			f.nesting(fr)
		}
	}
	for _, l := range f.p.links {
		if !l.forward {
			continue
		}
		for _, from := range f.of(l.frame) {
			if !from.made {
				continue
			}
			for _, to := range l.to {
				link(l, from, to)
			}
		}
	}
}

// byRule is the rule of the references that `by` writes.
var byRule = &op{id: "link"}

// nesting writes the reference between parent and child, and that of children without a parent.
func (f *forward) nesting(fr *frame) {
	for _, in := range f.of(fr) {
		switch {
		case !in.made:
		case in.parent != nil && in.parent.made && fr.byChild:
			f.reference(in.res, fr.by, in.parent, byRule)
		case in.parent != nil && in.parent.made:
			f.reference(in.parent.res, fr.by, in, byRule)
		case fr.orphans != nil:
			for _, holder := range f.of(fr.orphans.frame) {
				if holder.made {
					f.reference(holder.res, fr.orphans, in, byRule)
				}
			}
		}
	}
}

// link writes references to the instances of the nearest common scope: of the same segment, else inside, else around,
// else all.
func (f *forward) link(l *link, from *instance, to *frame) {
	all := f.of(to)
	scope := nearest(from, all)
	f.linkThose(l, from, all, func(in *instance) bool { return within(scope, from, in) })
}

// linkThose writes references to those instances that are near. A list also takes what stands farther off and has only
// this instance to hang on: the way back would miss it.
func (f *forward) linkThose(l *link, from *instance, all []*instance, near func(*instance) bool) {
	list, wrote := l.ref.steps[len(l.ref.steps)-1].list || anyList(l.ref), false
	every := list && only(from, f.of(l.frame))
	for _, in := range all {
		if !in.made || !every && !near(in) {
			continue
		}
		if wrote && !list {
			break
		}
		f.reference(from.res, l.ref, in, l.rule)
		wrote = true
	}
}

func anyList(ref *fhirRef) bool {
	for i := range ref.steps {
		if ref.steps[i].list && !ref.steps[i].pick.selecting() {
			return true
		}
	}
	return false
}

// The scopes of a link, nearest first.
const (
	sameSegment = iota
	inside
	around
	anywhere
)

// only says whether an instance is the only one of its frame that is made.
func only(in *instance, all []*instance) bool {
	return !slices.ContainsFunc(all, func(other *instance) bool { return other.made && other != in })
}

// nearest is the nearest scope that has one of the instances.
func nearest(from *instance, all []*instance) int {
	for scope := sameSegment; scope < anywhere && from.seg != nil; scope++ {
		for _, in := range all {
			if in.made && within(scope, from, in) {
				return scope
			}
		}
	}
	return anywhere
}

// within says whether an instance stands in that scope of another.
func within(scope int, from, in *instance) bool {
	switch scope {
	case sameSegment:
		return in.seg == from.seg
	case inside:
		return in.parent == from || from.frame.scope != nil && in.group.within(from.group)
	case around:
		return from.parent == in || in.frame.scope != nil && from.group.within(in.group)
	}
	return true
}

// reference writes one reference at a path, unless it stands there already.
func (f *forward) reference(n *node, ref *fhirRef, to *instance, rule *op) {
	for i := range ref.steps {
		step := &ref.steps[i]
		if !step.list {
			n = f.child(n, step.name)
			continue
		}
		if step.sel != nil || i+1 < len(ref.steps) {
			n = f.element(n, step, step.order<<40, false)
			if step.sel != nil && len(step.sel.alts) > 0 && !matchesNode(n, step.sel) {
				f.writeConds(n, step.sel.alts[0], rule)
			}
			continue
		}
		for item := n.get(step.name); item != nil; item = item.follow() {
			if item.peek("reference") == to.url {
				return
			}
		}
		n = f.element(n, step, step.order<<40|1<<39, true)
	}
	f.refer(n, to, rule)
}

func (f *forward) refer(n *node, to *instance, rule *op) {
	leaf := f.child(n, "reference")
	if leaf.kind == fhir.KindAbsent {
		f.fix(leaf, fhir.KindString, to.url, rule)
	}
}

// result builds the Bundle: entries in the order of the frames, children behind their parents. room is how many bytes will
// be added to it.
func (f *forward) result(room int) *Result {
	tree, count := &fhir.Tree{}, f.arena.count()
	r := &Result{Bundle: tree, Findings: f.findings, read: [2]*fhir.Tree{tree}}
	if !f.untraced {
		r.lineage, r.segments = make([]origin, 0, count*2/3), make([]segmentLabel, len(f.d.segments))
		for i := range f.d.segments {
			r.segments[i] = segmentLabel{f.d.segments[i].id, int32(f.d.segments[i].nth)}
		}
	}
	tree.Grow(count*3/2, 24*count+room)
	trace := func(n *node, at fhir.Node) {
		if f.untraced {
			return
		}
		o := origin{rule: n.rule, node: at.ID(), field: n.from.field, rep: n.from.rep, comp: n.from.comp, sub: n.from.sub}
		if n.from.seg != nil {
			o.segment = uint32(n.from.seg.index) + 1
		}
		r.lineage = append(r.lineage, o)
	}
	root, typ := tree.Reset("Bundle"), f.p.bundle.defs
	f.bundle.res.emit(root, typ, trace)
	root.Set("type", fhir.String("message"))
	entries := root.Add("entry", fhir.Array())
	for _, fr := range f.p.frames {
		for _, in := range f.instances[fr.index] {
			if in.parent == nil {
				f.entry(in, entries, trace)
			}
		}
	}
	root.OrderMembers(typ)
	f.coverage(r)
	return r
}

// entry writes an instance's entry and those of its children.
func (f *forward) entry(in *instance, entries fhir.Node, trace func(*node, fhir.Node)) {
	if in.made {
		entry := entries.Push(fhir.Object())
		entry.Add("fullUrl", fhir.String(in.url))
		res := entry.Add("resource", fhir.Object())
		res.Add("resourceType", fhir.String(in.frame.typ))
		in.res.emit(res, in.frame.defs, trace)
	}
	for _, fr := range f.p.frames {
		if fr.parent != in.frame {
			continue
		}
		for _, child := range f.instances[fr.index] {
			if child.parent == in {
				f.entry(child, entries, trace)
			}
		}
	}
}

// coverage counts what was read, or is ignored for a reason, and names the rest: each component in Unread, each
// repetition of a field in a finding.
func (f *forward) coverage(r *Result) {
	found := 0
	for i := range f.d.segments {
		s := &f.d.segments[i]
		var last place
		var told, gone place
		for j := range s.leaves {
			l := &s.leaves[j]
			r.Leaves.All++
			if l.read {
				r.Leaves.Rules++
				continue
			}
			dropped := names(f.p.dropped, s, l)
			if !dropped && f.engines(s, l) {
				r.Leaves.Engine++
				continue
			}
			if !dropped && names(f.p.ignored, s, l) {
				r.Leaves.Ignored++
				continue
			}
			if here := (place{s, l.field, l.rep, l.comp, 0}); here != last {
				last = here
				r.Unread = append(r.Unread, unreadPlace(s, l))
			}
			before := &told
			if dropped {
				before = &gone
			}
			if here := (place{seg: s, field: l.field, rep: l.rep}); here != *before {
				*before = here
				if found++; found <= mostUnread {
					r.Findings = append(r.Findings, unread(s, l, dropped))
				}
			}
		}
	}
	if found > mostUnread {
		r.Findings[len(r.Findings)-1].Public = unreadRest
	}
	r.Coverage = 1
	if r.Leaves.All > 0 {
		r.Coverage = float64(r.Leaves.Rules+r.Leaves.Engine+r.Leaves.Ignored) / float64(r.Leaves.All)
	}
}

// mostUnread bounds the findings of one message: who sends a million repetitions must not fill the ledger.
const mostUnread = 200

// unreadRest is what the last of them says where there are more.
const unreadRest = "Nothing carries this, and what is unread behind it, into the canonical message."

// unread tells of a repetition of a field that isn't carried, or not as a whole.
func unread(s *segment, l *leaf, dropped bool) *contracts.Fault {
	p := place{seg: s, field: l.field}
	if l.rep > 1 {
		p.rep = l.rep
	}
	if dropped {
		return notKept(p.String(), "The map drops this: it isn't carried, and not kept for the way back.")
	}
	return uncarried(p.String(), slices.ContainsFunc(s.leaves, func(other leaf) bool {
		return other.field == l.field && other.rep == l.rep && other.read
	}))
}

// uncarried is the finding about what no rule reads; carried says that a part of it is read.
func uncarried(at string, carried bool) *contracts.Fault {
	text := "Nothing carries this into the canonical message."
	if carried {
		text = "Nothing carries a part of this into the canonical message."
	}
	loss := contracts.Faultf(contracts.Loss, CodeUnread, at, "%s", text)
	loss.Grade = contracts.GradeNote
	return loss
}

// unreadPlace names a leaf as briefly as it is unambiguous: PV1-7, PID-3(2).4.
func unreadPlace(s *segment, l *leaf) string {
	p := place{seg: s, field: l.field}
	if l.rep > 1 {
		p.rep = l.rep
	}
	if l.comp > 1 {
		p.rep, p.comp = l.rep, l.comp
	}
	return p.String()
}

// engines says whether a leaf is the engine's own: the version, the character set, a counter.
func (f *forward) engines(s *segment, l *leaf) bool {
	if s.id == "MSH" && (l.field == 12 || l.field == 18) {
		return true
	}
	if l.field == 1 {
		if def := f.p.dict.Segment(s.id); def != nil && def.Field(1) != nil && def.Field(1).Type == "SI" {
			return true
		}
	}
	return false
}

// names says whether one of a list of places is that of a leaf.
func names(list []ignored, s *segment, l *leaf) bool {
	for i := range list {
		if list[i].has(s.id, l.field, l.comp) {
			return true
		}
	}
	return false
}

package mappings

import "slices"

// ordinal sorts what instances write: by frame in the order of the map, then by instance.
func (in *instance) ordinal() int64 { return int64(in.frame.index+2)<<20 | int64(in.index) }

// dest gives the segment and the repetition that a v2 path means, making what is missing. index counts the elements of
// a repeating rule, from 0.
func (r *reverse) dest(ref *v2Ref, at back, index int64, from *node) (*outSegment, int16) {
	if ref.mode == inCurrent && at.seg != nil {
		s, slot := at.seg.make(r)
		if ref.path.field > 0 || slot == 0 {
			slot = s.slotFor(ref.field, ref.path.pick, ref.repSel, ref.slotOrder(from, index))
		} else if ref.repSel != nil {
			s.slots[slot-1].sel, s.slots[slot-1].key = ref.repSel, ref.repSel.source
		}
		return s, slot
	}
	s := r.segment(ref, at, index)
	if ref.field == 0 {
		return s, 0
	}
	if ref.mode == inAnchor && ref.path.it && ref.path.field == 0 {
		return s, r.ownSlot(s, at.inst, ref)
	}
	return s, s.slotFor(ref.field, ref.path.pick, ref.repSel, ref.slotOrder(from, index))
}

// slotOrder sorts the repetitions of a field: by the list that they are made of, by the element's place in it, whichever rule
// takes it, and by index where one element makes several.
func (ref *v2Ref) slotOrder(from *node, index int64) int64 {
	return ref.order<<40 | from.position()<<10 | index
}

// position is where an element stands in the lists that it is in, the outermost first; three count.
func (n *node) position() (places int64) {
	var buf [8]int64
	in := buf[:0]
	for ; n != nil && n.parent != nil && n.name != "resource" && n.name != "contained"; n = n.parent {
		if n.many {
			nth := int64(0)
			for k := n.parent.get(n.name); k != nil && k != n; k = k.follow() {
				nth++
			}
			in = append(in, min(nth, 1023))
		}
	}
	for i := range 3 {
		if places <<= 10; i < len(in) {
			places |= in[len(in)-1-i]
		}
	}
	return places
}

// ownSlot is the repetition that a frame anchored at a field stands for.
func (r *reverse) ownSlot(s *outSegment, in *instance, ref *v2Ref) int16 {
	if in.rep == 0 && in.parent != nil && in.parent.frame.from == in.frame.from {
		in.rep = r.ownSlot(s, in.parent, ref) // both are of one repetition
	}
	if in.rep == 0 {
		p := in.frame.fieldPick
		if in.frame.each && p.kind != pickIndex {
			p.kind = pickAll
		}
		in.rep = s.slotFor(ref.field, p, ref.repSel, int64(in.index))
	}
	if ref.repSel != nil {
		s.slots[in.rep-1].sel = ref.repSel
	}
	return in.rep
}

// segment gives the segment of a path.
func (r *reverse) segment(ref *v2Ref, at back, index int64) *outSegment {
	if in := at.inst; in.outSeg == nil && in.frame.scope != nil && in.frame.scope != r.p.root && (ref.mode == inNested || ref.mode == inGroup) {
		r.anchor(in) // without the segment that opens it a reader takes what stands in the group for another's
	}
	switch ref.mode {
	case inAnchor:
		return r.anchor(at.inst)
	case inNested:
		star := ref.path.segPick.many()
		g := r.group(at.inst)
		if star {
			// Each element has a group of its own; another rule of the same star finds it again by its number.
			g = g.nth(ref, at.inst.ordinal()<<28|r.rule<<12|index, int(index))
			return g.named(ref, at.inst.ordinal(), 0)
		}
		return g.reach(ref.holder, at.inst.ordinal()<<28|r.rule<<12, true).named(ref, at.inst.ordinal(), 0)
	case inGroup:
		return r.group(at.inst).named(ref, at.inst.ordinal(), index)
	}
	// What isn't in the frame's scope is written by constants only, and those stand in the message itself.
	return r.out.named(ref, 0, index)
}

// nth gives the n-th occurrence, from 0, of the group that a path's segments stand in, opening what is missing. Those
// of another selector don't count.
func (g *outGroup) nth(ref *v2Ref, ord int64, n int) *outGroup {
	if ref.holder.parent != g.def {
		g = g.reach(ref.holder.parent, ord, true)
	}
	for _, it := range g.items {
		if it.group != nil && it.group.def == ref.holder && it.group.key == ref.segSel.key() {
			if n == 0 {
				return it.group
			}
			n--
		}
	}
	child := g.child(ref.holder, ord, false)
	child.key = ref.segSel.key()
	return child
}

// key tells selectors apart; no selector has the empty one.
func (s *v2Selector) key() string {
	if s == nil {
		return ""
	}
	return s.source
}

// named gives a group's segment of that name: the first, the one with the path's selector, or for (*) the index-th.
func (g *outGroup) named(ref *v2Ref, ord, index int64) *outSegment {
	var buf [8]*outSegment
	list := g.segments(ref.segment, buf[:0])
	p := ref.path.segPick
	if p.many() && !g.def.members[max(g.def.direct(ref.segment), 0)].repeats {
		p.kind = pickFirst // the group repeats, not the segment in it
	}
	if ref.segSel != nil {
		list = slices.DeleteFunc(list, func(s *outSegment) bool { return len(s.wants) == 0 || s.wants[0].source != ref.segSel.source })
	}
	switch {
	case p.many() && int(index) < len(list):
		return list[index]
	case p.many():
	case p.kind == pickIndex:
		for len(list) < p.index {
			g.segment(ref.segment, ord)
			list = g.segments(ref.segment, buf[:0])
		}
		return list[p.index-1]
	case len(list) > 0:
		return list[0]
	}
	s := g.segment(ref.segment, ord)
	if ref.segSel != nil {
		s.wants = append(s.wants, ref.segSel)
	}
	return s
}

// anchor gives an instance's own segment.
func (r *reverse) anchor(in *instance) *outSegment {
	if in.outSeg != nil {
		return in.outSeg
	}
	fr := in.frame
	if parent := in.parent; parent != nil && (parent.frame.from == fr.from || fr.field > 0 && parent.frame.field == 0 && parent.frame.anchor == fr.anchor) {
		in.outSeg = r.anchor(parent)
		r.shared(in)
		return in.outSeg
	}
	g := r.group(in)
	var buf [8]*outSegment
	list := g.segments(fr.anchor, buf[:0])
	if m := g.def.members[g.def.direct(fr.anchor)]; (!m.repeats || fr.field > 0) && len(list) > 0 {
		in.outSeg = list[0]
		r.shared(in)
	} else {
		in.outSeg = g.segment(fr.anchor, in.ordinal())
	}
	if fr.selector != nil {
		in.outSeg.wants = append(in.outSeg.wants, fr.selector)
	}
	return in.outSeg
}

// shared tells of a resource that must share its segment with another of its frame: what stands there is read as one.
func (r *reverse) shared(in *instance) {
	if in.frame.field > 0 {
		return // each has a repetition
	}
	for _, other := range r.f.of(in.frame) {
		if other != in && other.outSeg == in.outSeg {
			r.lose(CodeLeafLost, in.res.source.Place(), "There is one %s for this %s and another; what both say there can't be told apart, or is lost.", in.frame.anchor, in.frame.typ)
			return
		}
	}
}

// outside is the group inside which an instance's own group stands: its parent's, or the message.
func (r *reverse) outside(in *instance) *outGroup {
	if in.parent != nil {
		def := in.parent.frame.holder
		if in.parent.frame.scope != nil {
			def = in.parent.frame.scope
		}
		if in.frame.holder.within(def) {
			return r.group(in.parent)
		}
	}
	return r.out
}

// group gives an instance's group. Children without a parent stand in groups of their own, before those with one, so
// that a reader doesn't take them for another's.
func (r *reverse) group(in *instance) *outGroup {
	if in.out != nil {
		return in.out
	}
	fr := in.frame
	switch {
	case fr.message || fr.scope == r.p.root:
		in.out = r.out
	case in.parent != nil && in.parent.frame.from == fr.from:
		in.out = r.group(in.parent)
	case fr.scope == nil:
		in.out = r.outside(in).reach(fr.holder, in.ordinal(), true)
	case in.parent == nil && fr.parent != nil && fr.scope.parent != r.p.root:
		outer := fr.scope.parent
		if r.orphans[outer] == nil {
			r.orphans[outer] = r.out.reach(outer, -1, false)
		}
		in.out = r.orphans[outer].child(fr.scope, in.ordinal(), false)
	default:
		in.out = r.outside(in).reach(fr.scope, in.ordinal(), false)
	}
	return in.out
}

// make gives the segment, and the repetition if the pair is one, at the first write.
func (p *pendingSegment) make(r *reverse) (*outSegment, int16) {
	if p.made == nil {
		if p.link != nil && p.link.frame.anchor == p.ref.segment {
			p.made = r.anchor(p.link)
		} else {
			p.made = r.segment(p.ref, p.at, p.index)
		}
		if p.ref.field > 0 {
			p.slot = p.made.slotFor(p.ref.field, p.ref.path.pick, p.ref.repSel, p.ref.slotOrder(p.from, p.index))
		}
	}
	return p.made, p.slot
}

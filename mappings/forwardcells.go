package mappings

func firstPlace(cells []cell) place {
	for _, c := range cells {
		if c.seg != nil {
			return c.place()
		}
	}
	return place{}
}

// sourceOrder sorts list items of one field by segment and repetition.
func sourceOrder(c cell) int64 {
	if c.seg == nil {
		return 0
	}
	return int64(c.seg.index)<<20 | int64(c.rep)
}

// one gives the first place that a path leads to; ok means that something stands there.
func (f *forward) one(ref *v2Ref, at spot) (cell, bool) {
	var buf [4]*segment
	for i, s := range f.segments(ref, at, buf[:0]) {
		if ref.path.segPick.kind == pickIndex && i+1 != ref.path.segPick.index {
			continue
		}
		c := cell{d: f.d, seg: s, field: ref.field, comp: ref.comp, sub: ref.sub, typ: actualType(ref, s)}
		if f.repetition(ref, at, &c) && c.filled() {
			c.seeSelector(ref)
			return c, true
		}
		if !ref.path.segPick.selecting() && ref.path.segPick.kind == pickFirst && ref.mode != inForeign {
			break // no selector: the first segment, not the first that has the field
		}
	}
	return cell{}, false
}

// seeSelector counts as read what chose the repetition, and what its slice writes beside that: once something stands there.
func (c cell) seeSelector(ref *v2Ref) {
	if ref.repSel != nil {
		c.seg.see(ref.repSel, c.field, c.rep)
	}
}

// repetition settles which repetition of the field a single path means.
func (f *forward) repetition(ref *v2Ref, at spot, c *cell) bool {
	if ref.mode <= inCurrent && at.rep > 0 && ref.path.field == 0 {
		c.rep = at.rep
		return ref.repSel == nil || c.seg.matches(ref.repSel, c.field, c.rep)
	}
	if ref.repSel == nil {
		c.rep = int16(max(ref.path.pick.index, 1))
		c.lines = ref.path.pick.kind == pickFirst && ref.comp == 0
		if ref.path.pick.kind == pickFirst {
			var buf [8]int16
			if reps := c.seg.reps(c.field, buf[:0]); len(reps) > 0 {
				c.rep = reps[0]
			}
		}
		return true
	}
	var buf [8]int16
	for _, r := range c.seg.reps(c.field, buf[:0]) {
		if c.seg.matches(ref.repSel, c.field, r) {
			c.rep = r
			return true
		}
	}
	return false
}

// sources gives every place that a repeating path leads to, in order.
func (f *forward) sources(ref *v2Ref, at spot, list []cell) []cell {
	var buf [8]*segment
	for i, s := range f.segments(ref, at, buf[:0]) {
		if ref.path.segPick.kind == pickIndex && i+1 != ref.path.segPick.index {
			continue
		}
		if !ref.path.segPick.many() && ref.path.segPick.kind == pickFirst && i > 0 {
			break
		}
		c := cell{d: f.d, seg: s, field: ref.field, comp: ref.comp, sub: ref.sub, typ: actualType(ref, s)}
		if ref.field == 0 {
			list = append(list, c)
			continue
		}
		if !ref.path.pick.many() {
			if f.repetition(ref, at, &c) && c.filled() {
				c.seeSelector(ref)
				list = append(list, c)
			}
			continue
		}
		var reps [16]int16
		for n, r := range s.reps(ref.field, reps[:0]) {
			c.rep = r
			switch {
			case !c.filled(), ref.repSel != nil && !s.matches(ref.repSel, ref.field, r):
			case ref.path.pick.kind == pickRest && (s.matchesAny(ref.claims, ref.field, r) || hasInt(ref.claimed, n+1)):
			default:
				list = append(list, c)
			}
		}
	}
	return list
}

func hasInt(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// segments gives the segments that a path's first part leads to.
func (f *forward) segments(ref *v2Ref, at spot, list []*segment) []*segment {
	switch ref.mode {
	case inAnchor:
		if at.inst.seg != nil {
			list = append(list, at.inst.seg)
		}
	case inCurrent:
		list = append(list, at.seg)
	case inGroup:
		for _, s := range at.inst.group.segments {
			if s.id == ref.segment {
				list = append(list, s)
			}
		}
	case inNested:
		list = at.inst.group.collect(list, ref.segment, f.p.owned)
	case inOuter:
		g := at.inst.group
		for up := 0; up < ref.rising && g.parent != nil; up++ { // a segment that stood outside its group is nearer to the message
			g = g.parent
		}
		for _, s := range g.segments {
			if s.id == ref.segment {
				list = append(list, s)
			}
		}
	case inForeign:
		for i := range f.d.segments {
			if f.d.segments[i].id == ref.segment {
				list = append(list, &f.d.segments[i])
			}
		}
	}
	if ref.segSel == nil {
		return list
	}
	kept := list[:0]
	for _, s := range list {
		if s.matches(ref.segSel, 0) {
			kept = append(kept, s)
		}
	}
	return kept
}

// actualType is the data type of what a path leads to; OBX-2 names that of OBX-5.
func actualType(ref *v2Ref, s *segment) string {
	if ref.typ == "varies" && s.id == "OBX" {
		if named := s.find(2, 1, 1, 1); named != nil {
			return named.text
		}
	}
	return ref.typ
}

package mappings

import "github.com/hoitosilta/silta/contracts/hl7v2"

// A frame without `each` stands for one segment. Of several that its selector matches it is the first that fills it or a
// frame on the same segments: the way back writes no other, so only that one would be there again. Which one it is only the
// rules can tell, so they run on all of them first.

// selects says whether the frame takes one of the segments that its selector matches.
func (fr *frame) selects() bool { return !fr.each && fr.selector != nil }

// tries says whether the frame takes all segments that its selector matches, for once.
func (f *forward) tries(fr *frame) bool { return f.trial && fr.selects() }

// several says whether a frame has to choose.
func (f *forward) several() bool {
	from := ""
	for _, fr := range f.p.frames {
		if !fr.selects() || fr.from == from {
			continue
		}
		from = fr.from
		found := 0
		for i := range f.d.segments {
			if s := &f.d.segments[i]; s.id == fr.anchor && s.matches(fr.selector, 0) {
				found++
			}
		}
		if found > 1 {
			return true
		}
	}
	return false
}

// noSegment is the choice of a frame that no segment fills.
const noSegment = -1

// choose notes the segment of every frame that selects, and leaves the message as if it were just read.
func (f *forward) choose(msg *hl7v2.Message) {
	f.trial = true
	f.fill()
	f.decide()
	f.trial = false
	for range f.p.frames {
		f.chosen = append(f.chosen, noSegment)
	}
	for _, fr := range f.p.frames {
		if !fr.selects() {
			continue
		}
		for _, twin := range f.p.frames {
			if twin.from != fr.from {
				continue
			}
			for _, in := range f.instances[twin.index] {
				if at := int(in.seg.index); in.made && (f.chosen[fr.index] == noSegment || at < f.chosen[fr.index]) {
					f.chosen[fr.index] = at
				}
			}
		}
	}
	f.forget()
	f.d.layout(msg)
	assemble(f.d, msg, f.p)
}

// firstOf is the segment that a frame without `each` stands for.
func (f *forward) firstOf(fr *frame) *segment {
	if len(f.chosen) > 0 && f.chosen[fr.index] != noSegment {
		return &f.d.segments[f.chosen[fr.index]]
	}
	for i := range f.d.segments {
		if s := &f.d.segments[i]; s.id == fr.anchor && s.matches(fr.selector, 0) {
			return s
		}
	}
	return nil
}

// claimed says whether another frame takes the segment: one with `each` all that its selector matches, any other one of
// them, so that the rest has the others. Where none of them fills it they are all its own: on the way back only one of them
// would be there, and be taken for it.
func (f *forward) claimed(rest *frame, s *segment) bool {
	for _, fr := range f.p.frames {
		if fr == rest || fr.anchor != rest.anchor || fr.selector == nil || !s.matches(fr.selector, 0) {
			continue
		}
		if fr.each || f.trial || f.firstOf(fr) == s || len(f.chosen) > 0 && f.chosen[fr.index] == noSegment {
			return true
		}
	}
	return false
}

package hl7v2

import "strings"

// Get reads the value at p. It is a field's repetition if p names no component, and absent if p leads nowhere.
// It doesn't allocate.
func (m *Message) Get(p Path) Value {
	s, ok := m.Find(p)
	if !ok {
		return Value{}
	}
	return s.Get(p)
}

// Get reads the value at p in this segment, whatever segment p names.
func (s Segment) Get(p Path) Value {
	if p.Field == 0 {
		return Value{}
	}
	v := s.Field(p.Field)
	if p.RepBy.Set {
		v = v.Where(p.RepBy)
	} else {
		v = v.At(max(p.Rep, 1))
	}
	if p.Component > 0 {
		v = v.At(p.Component)
	}
	if p.Component > 0 && p.Sub > 0 {
		v = v.At(p.Sub)
	}
	return v
}

// Find gives the segment that p leads to.
func (m *Message) Find(p Path) (Segment, bool) {
	left := max(p.Index, 1)
	for i := range m.segs {
		s := Segment{m, i}
		if !s.Is(p.Segment) {
			continue
		}
		if p.SegmentBy.Set {
			if s.Matches(p.SegmentBy) {
				return s, true
			}
			continue
		}
		if left--; left == 0 {
			return s, true
		}
	}
	return Segment{}, false
}

// Matches says whether any repetition of the selector's field has the selector's value.
func (s Segment) Matches(by Selector) bool {
	return s.Field(by.Field).Where(by).State() != Absent
}

// Where gives the first repetition of a field that the selector matches; absent if there is none.
func (v Value) Where(by Selector) Value {
	for _, rep := range v.All() {
		if rep.At(max(by.Component, 1)).At(max(by.Sub, 1)).Equals(by.Value) {
			return rep
		}
	}
	return Value{}
}

// breakLines turns the formatting escape that ends a line into a line break.
func breakLines(text string, escape byte) string {
	e := string(escape)
	return strings.ReplaceAll(text, e+".br"+e, "\n")
}

// oneLine writes each line break as \n.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	return strings.NewReplacer("\r\n", `\n`, "\r", `\n`, "\n", `\n`).Replace(text)
}

package hl7v2

import (
	"bytes"
	"strings"
)

// Get reads the value at p. It is a field's repetition if p names no component, and absent if p leads nowhere.
// It doesn't allocate.
func (m *Message) Get(p Path) Value {
	s, ok := m.find(&p)
	if !ok {
		return Value{}
	}
	return s.get(&p)
}

// Get reads the value at p in this segment, whatever segment p names.
func (s Segment) Get(p Path) Value { return s.get(&p) }

func (s Segment) get(p *Path) Value {
	if p.Field == 0 {
		return Value{}
	}
	if p.RepBy.Set || s.m == nil || s.m.literal != nil || p.Field <= 2 && s.isHeader() {
		return s.getByParts(p)
	}
	// The way of most: cut by cut, without a Value for each.
	d, level := &s.m.delims, RepetitionLevel
	raw := s.field(p.Field)
	if raw != nil {
		raw = nthPart(raw, d.Repetition, max(p.Rep, 1)-1)
	}
	if raw != nil && p.Component > 0 {
		level = ComponentLevel
		if raw = nthPart(raw, d.Component, p.Component-1); raw != nil && p.Sub > 0 {
			level = SubcomponentLevel
			raw = nthPart(raw, d.Subcomponent, p.Sub-1)
		}
	}
	if raw == nil {
		return Value{}
	}
	return Value{m: s.m, raw: raw, level: level, there: true}
}

func (s Segment) getByParts(p *Path) Value {
	v := s.Field(p.Field)
	if p.RepBy.Set {
		v = v.where(&p.RepBy)
	} else {
		v = v.At(max(p.Rep, 1))
	}
	return v.at(p.Component, p.Sub)
}

// Find gives the segment that p leads to.
func (m *Message) Find(p Path) (Segment, bool) { return m.find(&p) }

func (m *Message) find(p *Path) (Segment, bool) {
	if len(p.Segment) != 3 {
		return Segment{}, false
	}
	a, b, c := p.Segment[0], p.Segment[1], p.Segment[2]
	left := max(p.Index, 1)
	for i := range m.segs {
		at := m.segs[i].start
		if raw := m.b[at:min(at+3, m.segs[i].end)]; len(raw) < 3 || raw[2] != c || raw[1] != b || raw[0] != a {
			continue
		}
		if p.SegmentBy.Set {
			if s := (Segment{m, i}); s.Field(p.SegmentBy.Field).where(&p.SegmentBy).there {
				return s, true
			}
			continue
		}
		if left--; left == 0 {
			return Segment{m, i}, true
		}
	}
	return Segment{}, false
}

// matches says whether a repetition of the selector's field is the one that the selector chooses.
func (v Value) matches(by *Selector) bool {
	if !v.text && !v.fixed && by.Sub == 0 {
		raw := nthPart(v.raw, v.m.delims.Component, max(by.Component, 1)-1)
		return raw != nil && (Value{m: v.m, raw: raw, level: ComponentLevel, there: true}).Equals(by.Value)
	}
	return v.at(max(by.Component, 1), by.Sub).Equals(by.Value)
}

// where gives the first repetition of a field that the selector matches; absent if there is none.
func (v Value) where(by *Selector) Value {
	if !v.there || v.level != FieldLevel || v.fixed {
		return Value{}
	}
	rest, sep := v.raw, v.m.delims.Repetition
	for {
		v.raw, v.level = rest, RepetitionLevel
		i := bytes.IndexByte(rest, sep)
		if i >= 0 {
			v.raw = rest[:i:i]
		}
		if v.matches(by) {
			return v
		}
		if i < 0 {
			return Value{}
		}
		rest = rest[i+1:]
	}
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

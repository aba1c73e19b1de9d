package hl7v2

import (
	"bytes"
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// Set writes value at p as `silta hl7 set` does: plain text, "" (two quotes) for the null, and nothing to empty the
// place. All other bytes stay as they were, and so do separators that are now idle.
//
// Fields, repetitions and components that don't exist yet are added. A missing segment (HL7-021) and a selector that
// matches nothing (HL7-022) are faults of kind notfound; MSH-1 and MSH-2 (HL7-023) and a character that the message's
// set lacks (HL7-024) are invalid. After a fault the message is as before. Values and
// Segments got earlier must not be used any more.
func (m *Message) Set(p Path, value string) error {
	switch value {
	case null:
		return m.SetNull(p)
	case "":
		return m.SetRaw(p, nil)
	}
	return m.SetText(p, value)
}

// SetText writes text at p, escaped, even where text is two quotes.
func (m *Message) SetText(p Path, text string) error {
	if text == "" {
		return m.SetRaw(p, nil)
	}
	e := encoder{delims: m.delims, charset: m.charset, hex: m.hex}
	raw, ok := e.appendText(nil, text)
	if !ok {
		return notInCharset(p, m.charset)
	}
	return m.SetRaw(p, raw)
}

// SetNull writes HL7's explicit null at p.
func (m *Message) SetNull(p Path) error { return m.SetRaw(p, []byte(null)) }

// SetRaw writes ER7 bytes, in the message's delimiters and character set, at p. It doesn't check what they mean.
func (m *Message) SetRaw(p Path, raw []byte) error {
	seg, ok := m.Find(p)
	if !ok {
		return missingSegment(p)
	}
	if p.Field < 1 || p.Field <= 2 && seg.isHeader() {
		return contracts.Faultf(contracts.Invalid, CodeFixed, p.Place(), "This place can't be set.")
	}
	if seg.m.isLiteral(seg, p.Field) {
		if p.Component > 1 || p.Sub > 1 {
			return contracts.Faultf(contracts.Invalid, CodeFixed, p.Place(), "This field is a text and has no such part.")
		}
		p.Component, p.Sub = 0, 0
	}
	start, end, pad, ok := seg.locate(p)
	if !ok {
		return contracts.Faultf(contracts.NotFound, CodeNoMatch, p.Place(), "No repetition matches the selector.")
	}
	if len(raw) == 0 {
		pad = nil // to empty what isn't there changes nothing
	}
	return m.replace(start, end, slices.Concat(pad, raw))
}

func missingSegment(p Path) error {
	if p.SegmentBy.Set {
		return contracts.Faultf(contracts.NotFound, CodeNoMatch, p.Place(), "No segment matches the selector.")
	}
	return contracts.Faultf(contracts.NotFound, CodeNoSegment, p.Place(), "The message has no such segment.")
}

// locate gives the bytes of p in the message, and the separators to be written before a value that isn't there yet.
func (s Segment) locate(p Path) (start, end int, pad []byte, ok bool) {
	d, sp := s.m.delims, s.m.segs[s.i]
	field := p.Field
	if s.isHeader() {
		field--
	}
	start, end, pad = part(s.m.b, int(sp.start), int(sp.end), d.Field, field, nil)
	rep := max(p.Rep, 1) - 1
	if p.RepBy.Set {
		if rep = s.repetition(p.Field, p.RepBy); rep < 0 {
			return 0, 0, nil, false
		}
	}
	start, end, pad = part(s.m.b, start, end, d.Repetition, rep, pad)
	if p.Component > 0 {
		start, end, pad = part(s.m.b, start, end, d.Component, p.Component-1, pad)
	}
	if p.Component > 0 && p.Sub > 0 {
		start, end, pad = part(s.m.b, start, end, d.Subcomponent, p.Sub-1, pad)
	}
	return start, end, pad, true
}

// repetition gives the index, from 0, of the repetition that by matches, or -1.
func (s Segment) repetition(field int, by Selector) int {
	for n, rep := range s.Field(field).All() {
		if rep.matches(&by) {
			return n - 1
		}
	}
	return -1
}

// part narrows b[start:end] to its part n, from 0. If there are fewer parts the place is the end of the last one, and
// pad grows by the separators that are missing.
func part(b []byte, start, end int, sep byte, n int, pad []byte) (int, int, []byte) {
	if len(pad) > 0 {
		return start, end, append(pad, bytes.Repeat([]byte{sep}, n)...)
	}
	for ; n > 0; n-- {
		i := bytes.IndexByte(b[start:end], sep)
		if i < 0 {
			return end, end, bytes.Repeat([]byte{sep}, n)
		}
		start += i + 1
	}
	if i := bytes.IndexByte(b[start:end], sep); i >= 0 {
		end = start + i
	}
	return start, end, pad
}

// replace puts raw in the place of b[start:end], in new bytes, and reads them again: a new MSH-18 may mean another
// character set.
func (m *Message) replace(start, end int, raw []byte) error {
	b := slices.Concat(m.b[:start], raw, m.b[end:])
	opts := []Option{WithLiteral(m.literal...)}
	if before := m.headerField(18); before == nil || m.charsetOverridden(before) {
		opts = append(opts, WithDefaultCharset(m.charset))
		if before != nil {
			opts = append(opts, WithCharset(m.charset))
		}
	}
	next, err := Parse(b, opts...)
	if err != nil {
		return err
	}
	m.b, m.segs, m.head, m.charset = next.b, next.segs, next.head, next.charset
	m.fields.Store(next.fields.Load())
	return nil
}

// charsetOverridden says whether the message is read in another character set than its MSH-18 names.
func (m *Message) charsetOverridden(name []byte) bool {
	c, ok := LookupCharset(string(firstRepetition(name, m.delims)))
	return !ok || c != m.charset
}

package hl7v2

import (
	"bytes"
	"fmt"
)

// Option changes how Parse and Scan read a message.
type Option func(options) options

type options struct {
	charset  *Charset // for every message
	silent   *Charset // for one that names none
	fallback *Charset // for one whose bytes aren't in the set that it names
	literal  []Path   // fields of text
	hex      bool     // see WithEscapeUnknown
}

// WithCharset reads the message in c, whatever its MSH-18 says.
func WithCharset(c *Charset) Option {
	return func(o options) options { o.charset = c; return o }
}

// WithDefaultCharset reads the message in c if its MSH-18 is empty. Without it such a message is ASCII.
func WithDefaultCharset(c *Charset) Option {
	return func(o options) options { o.silent = c; return o }
}

// WithFallbackCharset reads the message in c, with a warning, if its bytes aren't in the character set that it names.
// Without it such a message is a fault.
func WithFallbackCharset(c *Charset) Option {
	return func(o options) options { o.fallback = c; return o }
}

// WithLiteral reads component and subcomponent delimiters in these fields (OBX-5, NTE-3) as text, because the partner
// writes them there without escaping them. Repetitions are still cut, and escapes decoded. An OBX-5 whose OBX-2 isn't a
// text (ST, TX, FT) is read as usual. What was found is a warning.
func WithLiteral(fields ...Path) Option {
	return func(o options) options { o.literal = fields; return o }
}

// WithEscapeUnknown lets Set write characters that the message's set lacks as \X..\ escapes of their UTF-8 bytes, as
// Builder.EscapeUnknown does, instead of giving a fault.
func WithEscapeUnknown() Option {
	return func(o options) options { o.hex = true; return o }
}

// isLiteral says whether a field is one of text: see WithLiteral.
func (m *Message) isLiteral(s Segment, field int) bool {
	for i := range m.literal {
		p := &m.literal[i]
		if p.Field != field || !s.Is(p.Segment) {
			continue
		}
		if field != 5 || p.Segment != "OBX" {
			return true
		}
		switch string(s.field(2)) {
		case "ST", "TX", "FT":
			return true
		}
	}
	return false
}

// findLiterals warns of delimiters that were read as text, once for each of the fields.
func (m *Message) findLiterals() {
	for _, p := range m.literal {
		found, first := 0, Path{}
		number := 0
		for _, s := range m.Segments() {
			if !s.Is(p.Segment) {
				continue
			}
			number++
			raw := s.field(p.Field)
			if bytes.IndexByte(raw, m.delims.Component) < 0 && bytes.IndexByte(raw, m.delims.Subcomponent) < 0 || !m.isLiteral(s, p.Field) {
				continue
			}
			if found++; found == 1 {
				first = segmentPath(p.Segment, number)
				first.Field = p.Field
			}
		}
		if found > 0 {
			where := "here"
			if found > 1 {
				where = fmt.Sprintf("here and in %d more such fields", found-1)
			}
			m.warn(CodeLiteral, first.String(), "Delimiters stand unescaped in a text, "+where+"; they were read as text, as its sender's contract says.")
		}
	}
}

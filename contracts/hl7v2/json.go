package hl7v2

import (
	"encoding/json"
	"unicode/utf8"
)

// AppendJSON appends the message as one JSON object, in the form that `silta hl7 parse` prints:
//
//	{"type":…,"version":…,"controlId":…,"charset":…,"segments":[{"id":…,"fields":[…],"raw":…}],"warnings":[fault…]}
//
// fields[i] is field i+1: a list of repetitions, each a list of components, each a list of subcomponents, which are
// texts or null. MSH-1 and MSH-2 are plain strings. Trailing empties are left out.
func (m *Message) AppendJSON(dst []byte) []byte {
	dst = appendJSONString(append(dst, `{"type":`...), m.Type())
	dst = appendJSONString(append(dst, `,"version":`...), m.Version())
	dst = appendJSONString(append(dst, `,"controlId":`...), m.ControlID())
	dst = appendJSONString(append(dst, `,"charset":`...), m.charset.name)
	dst = append(dst, `,"segments":[`...)
	for i, s := range m.Segments() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.appendJSON(dst)
	}
	dst = append(dst, `],"warnings":[`...)
	for i, f := range m.warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		text, err := json.Marshal(f)
		if err == nil {
			dst = append(dst, text...)
		}
	}
	return append(dst, "]}"...)
}

// MarshalJSON is AppendJSON.
func (m *Message) MarshalJSON() ([]byte, error) { return m.AppendJSON(nil), nil }

func (s Segment) appendJSON(dst []byte) []byte {
	dst = appendJSONString(append(dst, `{"id":`...), s.ID())
	dst = append(dst, `,"fields":[`...)
	for n := range s.lastFilled() {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = s.Field(n + 1).appendFieldJSON(dst)
	}
	dst = appendJSONString(append(dst, `],"raw":`...), s.ER7())
	return append(dst, '}')
}

// lastFilled is the number of the last field that holds something.
func (s Segment) lastFilled() int {
	n := s.NumFields()
	for n > 0 && s.Field(n).trimmedLen() == 0 {
		n--
	}
	return n
}

// trimmedLen is Len without trailing empty parts.
func (v Value) trimmedLen() int {
	n, last := 0, 0
	for i, part := range v.All() {
		n = i
		if part.level == SubcomponentLevel && len(part.raw) > 0 || part.level < SubcomponentLevel && part.trimmedLen() > 0 {
			last = n
		}
	}
	return last
}

func (v Value) appendFieldJSON(dst []byte) []byte {
	if v.fixed {
		return appendJSONString(dst, string(v.raw))
	}
	return v.appendParts(dst, 0)
}

// appendParts appends v's parts as a list, with at least this many.
func (v Value) appendParts(dst []byte, least int) []byte {
	dst = append(dst, '[')
	last := v.trimmedLen()
	for n, part := range v.All() {
		if n > last {
			break
		}
		if n > 1 {
			dst = append(dst, ',')
		}
		dst = part.appendPart(dst)
	}
	if last == 0 && least > 0 {
		dst = Value{level: v.level + 1}.appendPart(dst)
	}
	return append(dst, ']')
}

func (v Value) appendPart(dst []byte) []byte {
	switch {
	case v.level < SubcomponentLevel:
		return v.appendParts(dst, 1)
	case v.State() == Null:
		return append(dst, "null"...)
	}
	return appendJSONString(dst, v.Text())
}

// appendJSONString appends s quoted. Only what JSON demands is escaped, so that texts stay readable.
func appendJSONString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			_, n := utf8.DecodeRuneInString(s[i:])
			dst = append(dst, s[i:i+n]...)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

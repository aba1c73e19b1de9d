package hl7v2

import "unsafe"

// Leaf is one subcomponent that holds something, and where it stands, by numbers from 1.
type Leaf struct {
	Field, Repetition, Component, Subcomponent int
	Null                                       bool   // HL7's explicit null; Text is empty then
	Text                                       string // decoded
}

// EachLeaf calls visit for every populated subcomponent of the fields from the given one on, in order. A repetition that
// is the explicit null is one leaf.
//
// A text that stands in the message as it is, without escapes and in UTF-8 or ASCII, shares the message's bytes: it
// holds good until the message is changed. Who keeps it longer clones it.
func (s Segment) EachLeaf(from int, visit func(Leaf)) {
	raw, n := s.Raw(), 0
	if s.isHeader() {
		n = 1 // MSH-1 is the delimiter behind the name
	}
	w := walk{m: s.m, plain: s.m.charset.table == nil, visit: visit}
	field, raw, more := cut(raw, s.m.delims.Field) // the segment's name
	for more {
		field, raw, more = cut(raw, s.m.delims.Field)
		if n++; n < from || len(field) == 0 {
			continue
		}
		w.leaf.Field = n
		w.field(field, s.isHeader() && n == 2 || s.m.literal != nil && s.m.isLiteral(s, n))
	}
}

// walk takes a field apart.
type walk struct {
	m     *Message
	plain bool // bytes without escapes are the text
	leaf  Leaf
	visit func(Leaf)
}

// cut gives what stands before the first sep, and what behind it.
func cut(raw []byte, sep byte) (part, rest []byte, more bool) {
	for i, c := range raw {
		if c == sep {
			return raw[:i], raw[i+1:], true
		}
	}
	return raw, nil, false
}

// field visits the leaves of a field that isn't empty. In one that is text only repetitions are cut.
func (w *walk) field(raw []byte, text bool) {
	d := &w.m.delims
	w.leaf.Repetition, w.leaf.Component, w.leaf.Subcomponent = 1, 1, 1
	escaped, from := false, 0
	for i, c := range raw {
		switch {
		case c == d.Escape:
			escaped = true
		case c == d.Repetition:
			w.say(raw[from:i], escaped)
			w.leaf.Repetition, w.leaf.Component, w.leaf.Subcomponent = w.leaf.Repetition+1, 1, 1
			from, escaped = i+1, false
		case text:
		case c == d.Component:
			w.say(raw[from:i], escaped)
			w.leaf.Component, w.leaf.Subcomponent = w.leaf.Component+1, 1
			from, escaped = i+1, false
		case c == d.Subcomponent:
			w.say(raw[from:i], escaped)
			w.leaf.Subcomponent++
			from, escaped = i+1, false
		}
	}
	w.say(raw[from:], escaped)
}

func (w *walk) say(raw []byte, escaped bool) {
	if len(raw) == 0 {
		return
	}
	w.leaf.Null, w.leaf.Text = len(raw) == 2 && string(raw) == null, ""
	switch {
	case w.leaf.Null:
	case w.plain && !escaped:
		w.leaf.Text = unsafe.String(unsafe.SliceData(raw), len(raw))
	default:
		w.leaf.Text = string(w.m.appendUnescaped(make([]byte, 0, w.m.charset.decodedLen(raw)), raw))
	}
	w.visit(w.leaf)
}

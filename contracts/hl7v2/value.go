package hl7v2

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math/bits"
)

// null is HL7's explicit null: delete what you have.
const null = `""`

// State says what stands at a place.
type State uint8

// The states of a Value. Absent and Empty both say nothing about what the receiver holds; Null asks to delete it.
const (
	Absent State = iota // the place lies behind the end, or a selector matched nothing
	Empty               // the place is there and holds nothing
	Null                // ""
	Filled              // text, or parts
)

// Level is a Value's size.
type Level uint8

// The levels, each made of the next.
const (
	FieldLevel Level = iota
	RepetitionLevel
	ComponentLevel
	SubcomponentLevel
)

// Segment is one segment of a message.
type Segment struct {
	m *Message
	i int
}

// Value is what stands at a place: a field, repetition, component or subcomponent. It is a view of the message's
// bytes and holds good until the message is changed. The zero Value is absent.
type Value struct {
	m     *Message
	raw   []byte
	level Level
	there bool
	fixed bool // MSH-1 and MSH-2, which are neither split nor unescaped
	text  bool // component and subcomponent delimiters are text: see WithLiteral
}

// ID is the segment's name.
func (s Segment) ID() string { return string(s.rawID()) }

// Is says whether the segment has this name, without allocating.
func (s Segment) Is(id string) bool { return string(s.rawID()) == id }

func (s Segment) rawID() []byte {
	raw := s.Raw()
	return raw[:min(3, len(raw))]
}

// Index is the segment's number in the message, from 0.
func (s Segment) Index() int { return s.i }

// Offset is the segment's first byte, counted from the M of MSH.
func (s Segment) Offset() int { return int(s.m.segs[s.i].start) }

// Raw is the segment's bytes without its terminator.
func (s Segment) Raw() []byte {
	sp := s.m.segs[s.i]
	return s.m.b[sp.start:sp.end:sp.end]
}

// ER7 is the segment's text in Unicode, escapes untouched.
func (s Segment) ER7() string { return s.m.text(s.Raw()) }

// NumFields is the number of the last field that stands there, empty or not. For MSH it counts MSH-1.
func (s Segment) NumFields() int {
	var n int
	if raw := s.Raw(); len(raw) > short {
		n = len(s.m.index().of(s.i)) - 1
	} else {
		n = bytes.Count(raw, []byte{s.m.delims.Field})
	}
	if s.isHeader() {
		n++
	}
	return n
}

// Field gives field n, from 1.
func (s Segment) Field(n int) Value {
	if s.m == nil || n < 1 {
		return Value{}
	}
	raw := s.field(n)
	return Value{m: s.m, raw: raw, level: FieldLevel, there: raw != nil, fixed: n <= 2 && s.isHeader(),
		text: s.m.literal != nil && s.m.isLiteral(s, n)}
}

func (s Segment) isHeader() bool { return s.i == 0 }

// field gives the bytes of field n; nil if the segment ends before it.
func (s Segment) field(n int) []byte {
	if s.isHeader() {
		switch {
		case n == 1:
			return s.m.b[3:4:4]
		case n <= len(s.m.head.ends)-1:
			return s.m.head.part(s.m.b, n-1)
		}
		n--
	}
	x := s.m.fields.Load()
	if x == nil {
		raw := s.Raw()
		if n <= near && len(raw) <= short {
			return nthPart(raw, s.m.delims.Field, n)
		}
		x = s.m.index()
	}
	ends := x.of(s.i)
	if n >= len(ends) {
		return nil
	}
	from, to := ends[n-1]+1, ends[n]
	return s.m.b[from:to:to]
}

// nthPart gives part n, from 0, of raw cut at sep; nil if there are fewer. It counts separators eight bytes at a time:
// the parts are short, so a search for each would cost more.
func nthPart(raw []byte, sep byte, n int) []byte {
	pattern := uint64(sep) * ones
	for n > 1 && len(raw) >= 8 {
		x := binary.LittleEndian.Uint64(raw) ^ pattern
		hits := ^((x&low + low) | x) & high
		if count := bits.OnesCount64(hits); count < n {
			raw, n = raw[8:], n-count
			continue
		}
		for ; n > 1; n-- {
			hits &= hits - 1
		}
		raw, n = raw[bits.TrailingZeros64(hits)>>3+1:], 0
	}
	for ; n > 0; n-- {
		i := bytes.IndexByte(raw, sep)
		if i < 0 {
			return nil
		}
		raw = raw[i+1:]
	}
	if raw = upTo(raw, sep); raw == nil {
		raw = []byte{}
	}
	return raw
}

// isAtom says whether nothing cuts the value.
func (v Value) isAtom() bool {
	return v.level == SubcomponentLevel || v.fixed || v.text && v.level >= RepetitionLevel
}

// separator is the delimiter between a value's parts.
func (v Value) separator() byte {
	switch v.level {
	case FieldLevel:
		return v.m.delims.Repetition
	case RepetitionLevel:
		return v.m.delims.Component
	default:
		return v.m.delims.Subcomponent
	}
}

// Level is the size of the value.
func (v Value) Level() Level { return v.level }

// State says whether something stands here.
func (v Value) State() State {
	switch {
	case !v.there:
		return Absent
	case len(v.raw) == 0:
		return Empty
	case len(v.raw) == 2 && string(v.raw) == null && !v.fixed:
		return Null
	}
	return Filled
}

// IsNull says whether the value is HL7's explicit null.
func (v Value) IsNull() bool { return v.State() == Null }

// IsFilled says whether the value is neither absent, empty nor null.
func (v Value) IsFilled() bool { return v.State() == Filled }

// Len counts the parts: a field's repetitions, a repetition's components, a component's subcomponents. What is empty
// has none; a subcomponent that isn't has one, itself.
func (v Value) Len() int {
	switch {
	case len(v.raw) == 0:
		return 0
	case v.isAtom():
		return 1
	}
	return bytes.Count(v.raw, []byte{v.separator()}) + 1
}

// At gives part n, from 1: the n-th repetition of a field, component of a repetition, subcomponent of a component.
func (v Value) At(n int) Value {
	if !v.there || n < 1 {
		return Value{}
	}
	if v.isAtom() {
		if n > 1 {
			return Value{}
		}
		if v.level++; v.fixed || v.level > SubcomponentLevel {
			v.level = SubcomponentLevel
		}
		return v
	}
	raw := nthPart(v.raw, v.separator(), n-1)
	return Value{m: v.m, raw: raw, level: v.level + 1, there: raw != nil, text: v.text}
}

// All gives the parts in order, with their number from 1. What is empty has none.
func (v Value) All() iter.Seq2[int, Value] {
	// The work is done elsewhere so that this can be inlined, and ranging doesn't allocate.
	return func(yield func(int, Value) bool) { v.each(yield) }
}

func (v Value) each(yield func(int, Value) bool) {
	if v.isAtom() {
		if len(v.raw) > 0 {
			yield(1, v.At(1))
		}
		return
	}
	raw, sep, more := v.raw, byte(0), len(v.raw) > 0
	if more {
		sep = v.separator()
	}
	for n := 1; more; n++ {
		part := raw
		i := bytes.IndexByte(raw, sep)
		if more = i >= 0; more {
			part, raw = raw[:i:i], raw[i+1:]
		}
		if !yield(n, Value{m: v.m, raw: part, level: v.level + 1, there: true, text: v.text}) {
			return
		}
	}
}

// IsLeaf says whether the value has no parts: nothing in it is cut by a delimiter of a lower level.
func (v Value) IsLeaf() bool {
	for x := v; x.there && !x.isAtom(); x.level++ {
		if bytes.IndexByte(x.raw, x.separator()) >= 0 {
			return false
		}
	}
	return true
}

// Truncated says whether the sender cut the value's text short: MSH-2 names a truncation character (from version 2.7
// on), and it ends the text, unescaped. The text keeps it.
// Source: HL7 version 2.7, chapter 2 (message delimiters, truncation).
func (v Value) Truncated() bool {
	leaf := v.leaf()
	return leaf.IsFilled() && !leaf.fixed && v.m.delims.Truncation != 0 && leaf.raw[len(leaf.raw)-1] == v.m.delims.Truncation
}

// leaf is the first subcomponent.
func (v Value) leaf() Value {
	if !v.there || v.level == SubcomponentLevel {
		return v
	}
	v.raw = v.leafRaw()
	v.level = SubcomponentLevel
	return v
}

func (v *Value) leafRaw() []byte {
	d, raw := &v.m.delims, v.raw
	if v.fixed {
		return raw
	}
	if v.level == FieldLevel {
		raw = upTo(raw, d.Repetition)
	}
	if v.text {
		return raw
	}
	if v.level <= RepetitionLevel {
		raw = upTo(raw, d.Component)
	}
	return upTo(raw, d.Subcomponent)
}

// brief is how long a text may be for a loop over it to cost less than a search.
const brief = 24

// upTo gives what stands before the first sep.
func upTo(raw []byte, sep byte) []byte {
	if len(raw) <= brief {
		for i, c := range raw {
			if c == sep {
				return raw[:i:i]
			}
		}
		return raw
	}
	if i := bytes.IndexByte(raw, sep); i >= 0 {
		return raw[:i:i]
	}
	return raw
}

// Raw is the value's bytes as they stand, in the message's character set. They must not be changed.
func (v Value) Raw() []byte { return v.raw }

// Text is the decoded text of the value's first subcomponent; empty if it is absent, empty or null.
func (v Value) Text() string {
	leaf := v.leaf()
	switch {
	case leaf.State() != Filled:
		return ""
	case leaf.isPlain():
		return string(leaf.raw)
	}
	// A buffer that grows would cost several times the text.
	var small [64]byte
	dst := small[:0]
	if n := leaf.m.charset.decodedLen(leaf.raw); n > len(small) {
		dst = make([]byte, 0, n)
	}
	return string(leaf.AppendText(dst))
}

// isPlain says whether the raw bytes are the text: UTF-8 or ASCII without escapes.
func (v Value) isPlain() bool {
	return v.fixed || v.m.charset.table == nil && bytes.IndexByte(v.raw, v.m.delims.Escape) < 0
}

// AppendText appends Text to dst.
func (v Value) AppendText(dst []byte) []byte {
	if !v.there {
		return dst
	}
	raw := v.raw
	if v.level < SubcomponentLevel {
		raw = v.leafRaw()
	}
	switch {
	case v.fixed:
		return append(dst, raw...)
	case len(raw) == 0 || string(raw) == null:
		return dst
	}
	return v.m.appendUnescaped(dst, raw)
}

// Equals says whether the text of the first subcomponent is text. It doesn't allocate unless there are escapes.
func (v Value) Equals(text string) bool {
	leaf := v.leaf()
	if len(leaf.raw) < len(text) && leaf.there && leaf.m.charset.table == nil {
		return false // reading makes no text longer
	}
	if leaf.State() != Filled {
		return false
	}
	if leaf.isPlain() {
		return string(leaf.raw) == text
	}
	var small [64]byte
	return string(leaf.AppendText(small[:0])) == text
}

// ER7 is the whole value's text in Unicode, delimiters and escapes as they stand.
func (v Value) ER7() string {
	if !v.there {
		return ""
	}
	return v.m.text(v.raw)
}

// Line is the value as `silta hl7 get` prints it: a leaf unescaped with its line breaks as \n, anything larger as its
// ER7 text, null as "", and what is absent as nothing. It never holds a line break.
func (v Value) Line() string {
	if v.fixed || !v.IsLeaf() || v.State() == Null {
		return oneLine(v.ER7())
	}
	text := v.Text()
	if v.there {
		text = breakLines(text, v.m.delims.Escape)
	}
	return oneLine(text)
}

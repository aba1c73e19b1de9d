package hl7v2

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// Builder makes a new message. Segments are kept in the order in which they are added or inserted; the fields of each
// may be set in any order. MSH-1, MSH-2 and MSH-18 are the Builder's own.
type Builder struct {
	enc  encoder
	segs []*NewSegment
}

// NewBuilder makes an empty Builder for these delimiters and this character set. The escape for characters that the
// set lacks is off: such a character is a fault.
func NewBuilder(d Delimiters, c *Charset) *Builder {
	return &Builder{enc: encoder{delims: d, charset: c}}
}

// EscapeUnknown makes characters that the character set lacks \X..\ escapes (of their UTF-8 bytes) instead of faults.
// The receiver must expect that.
func (b *Builder) EscapeUnknown() { b.enc.hex = true }

// Append adds a segment at the end.
func (b *Builder) Append(id string) *NewSegment { return b.Insert(len(b.segs), id) }

// Insert adds a segment before the i-th, from 0.
func (b *Builder) Insert(i int, id string) *NewSegment {
	s := &NewSegment{id: id, enc: &b.enc}
	b.segs = slices.Insert(b.segs, i, s)
	return s
}

// Remove takes the i-th segment out.
func (b *Builder) Remove(i int) { b.segs = slices.Delete(b.segs, i, i+1) }

// Len counts the segments.
func (b *Builder) Len() int { return len(b.segs) }

// Segment gives the i-th segment, from 0.
func (b *Builder) Segment(i int) *NewSegment { return b.segs[i] }

// Bytes encodes the message: delimiters in texts escaped, trailing empties left out, each segment ended by CR, MSH-18
// naming the character set by its code in table 0211 (left out for ASCII, which is meant by an empty one). All
// characters that the character set lacks are reported at once, as faults of kind invalid.
func (b *Builder) Bytes() ([]byte, error) {
	var faults contracts.Faults
	out := make([]byte, 0, 1024)
	counts := map[string]int{}
	for _, s := range b.segs {
		counts[s.id]++
		if s.id == "MSH" && b.enc.charset != ASCII {
			s.SetText(18, 1, 1, 1, b.enc.charset.name)
		}
		var lacking []place
		out, lacking = s.append(out)
		for _, l := range lacking {
			faults = append(faults, notInCharset(l.in(s.id, counts[s.id]), b.enc.charset))
		}
		out = append(out, '\r')
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return out, nil
}

func notInCharset(at Path, c *Charset) *contracts.Fault {
	return contracts.Faultf(contracts.Invalid, CodeNotInCharset, at.String(),
		"A character here doesn't exist in %s.", c.name)
}

// NewSegment is a segment of a Builder. Fields, repetitions, components and subcomponents count from 1; what lies
// between is empty. A zero repetition, component or subcomponent means the first.
type NewSegment struct {
	id     string
	enc    *encoder
	fields []node // of field 1 on
}

// node is a field, repetition, component or leaf. A leaf has no parts.
type node struct {
	parts []node
	text  string
	raw   []byte // instead of text: ER7 bytes, written as they stand
	state State
}

// ID is the segment's name.
func (s *NewSegment) ID() string { return s.id }

// SetText writes a leaf; an empty text empties it.
func (s *NewSegment) SetText(field, rep, comp, sub int, text string) {
	state := Filled
	if text == "" {
		state = Empty
	}
	*s.leaf(field, rep, comp, sub) = node{text: text, state: state}
}

// SetNull writes HL7's explicit null.
func (s *NewSegment) SetNull(field, rep, comp, sub int) {
	*s.leaf(field, rep, comp, sub) = node{state: Null}
}

// SetRaw writes ER7 bytes in the Builder's character set and delimiters as they stand: with rep 0 the whole field,
// with comp 0 a repetition, with sub 0 a component. They replace what stood there.
func (s *NewSegment) SetRaw(field, rep, comp, sub int, raw []byte) {
	n := grow(&s.fields, field)
	for _, i := range [...]int{rep, comp, sub} {
		if i == 0 {
			break
		}
		n = n.part(i)
	}
	*n = node{state: Empty}
	if len(raw) > 0 {
		*n = node{raw: raw, state: Filled}
	}
}

// Get gives the text set at a leaf and its state. What SetRaw wrote is Filled and without text.
func (s *NewSegment) Get(field, rep, comp, sub int) (string, State) {
	if field < 1 || field > len(s.fields) {
		return "", Absent
	}
	n := &s.fields[field-1]
	for _, i := range [...]int{rep, comp, sub} {
		i = max(i, 1)
		switch {
		case n.raw != nil:
			return "", Filled
		case len(n.parts) == 0 && i == 1:
			continue
		case i > len(n.parts):
			return "", Absent
		}
		n = &n.parts[i-1]
	}
	return n.text, n.state
}

// Reps counts the repetitions that a field has.
func (s *NewSegment) Reps(field int) int {
	if field < 1 || field > len(s.fields) {
		return 0
	}
	n := &s.fields[field-1]
	switch {
	case len(n.parts) > 0:
		return len(n.parts)
	case n.state == Null || n.state == Filled:
		return 1
	}
	return 0
}

// IsEmpty says whether nothing was set but empties.
func (s *NewSegment) IsEmpty() bool {
	return !slices.ContainsFunc(s.fields, func(n node) bool { return !n.isEmpty() })
}

func (n *node) isEmpty() bool {
	return n.state != Null && n.state != Filled && !slices.ContainsFunc(n.parts, func(p node) bool { return !p.isEmpty() })
}

func (s *NewSegment) leaf(field, rep, comp, sub int) *node {
	return grow(&s.fields, field).part(rep).part(comp).part(sub)
}

// part gives part i of n, making it if needed. A leaf that gets parts becomes its own first part.
func (n *node) part(i int) *node {
	if len(n.parts) == 0 && n.state != Absent {
		n.parts = []node{{text: n.text, raw: n.raw, state: n.state}}
		n.text, n.raw, n.state = "", nil, Absent
	}
	return grow(&n.parts, i)
}

func grow(nodes *[]node, i int) *node {
	i = max(i, 1)
	if i > len(*nodes) {
		*nodes = append(*nodes, make([]node, i-len(*nodes))...)
	}
	return &(*nodes)[i-1]
}

// place is a leaf's position in a segment.
type place struct{ field, rep, comp, sub int }

// in is the place in the number-th segment of a name.
func (l place) in(segment string, number int) Path {
	p := segmentPath(segment, number)
	p.Field, p.Rep, p.Component, p.Sub = l.field, l.rep, l.comp, l.sub
	return p
}

// append writes the segment without its terminator, and gives the leaves that the character set can't hold.
func (s *NewSegment) append(dst []byte) (_ []byte, lacking []place) {
	d := s.enc.delims
	dst = append(dst, s.id...)
	fields, number := s.fields, 1
	if s.id == "MSH" {
		dst = append(append(dst, d.Field), d.EncodingCharacters()...)
		fields, number = fields[min(2, len(fields)):], 3
	}
	seps := [...]byte{d.Repetition, d.Component, d.Subcomponent}
	for i := range filled(fields) {
		dst = append(dst, d.Field)
		at := [4]int{number + i}
		dst = s.enc.appendNode(dst, &fields[i], seps[:], at, 1, &lacking)
	}
	return dst, lacking
}

// appendNode writes n, whose parts seps[0] cuts; at[:depth] is its place.
func (e *encoder) appendNode(dst []byte, n *node, seps []byte, at [4]int, depth int, lacking *[]place) []byte {
	switch {
	case n.raw != nil:
		return append(dst, n.raw...)
	case n.state == Null:
		return append(dst, null...)
	case n.state == Filled:
		out, ok := e.appendText(dst, n.text)
		if !ok {
			*lacking = append(*lacking, place{at[0], at[1], at[2], at[3]})
			return dst
		}
		return out
	}
	for i := range filled(n.parts) {
		if i > 0 {
			dst = append(dst, seps[0])
		}
		at[depth] = i + 1
		dst = e.appendNode(dst, &n.parts[i], seps[1:], at, depth+1, lacking)
	}
	return dst
}

// filled is nodes without trailing empties.
func filled(nodes []node) []node {
	for len(nodes) > 0 && nodes[len(nodes)-1].isEmpty() {
		nodes = nodes[:len(nodes)-1]
	}
	return nodes
}

// EncodeText gives text as ER7 for a leaf, in Unicode, with these delimiters: the inverse of Value.Text.
func (d Delimiters) EncodeText(text string) string {
	e := encoder{delims: d, charset: UTF8}
	out, ok := e.appendText(nil, text)
	if !ok {
		out, _ = e.appendText(nil, strings.ToValidUTF8(text, "?"))
	}
	return string(out)
}

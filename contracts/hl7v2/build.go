package hl7v2

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// Builder makes a new message. Segments are kept in the order in which they are added or inserted; the fields of each
// may be set in any order. MSH-1, MSH-2 and MSH-18 are the Builder's own.
type Builder struct {
	enc     encoder
	segs    []*NewSegment
	spare   []*NewSegment // of messages before
	escaped []Path
}

// NewBuilder makes an empty Builder for these delimiters and this character set. The escape for characters that the
// set lacks is off: such a character is a fault.
func NewBuilder(d Delimiters, c *Charset) *Builder {
	return &Builder{enc: encoder{delims: d, charset: c}}
}

// Reset forgets the message and begins another. Its segments are void, since their memory serves again.
func (b *Builder) Reset(d Delimiters, c *Charset) {
	for _, s := range b.segs[:min(len(b.segs), mostSpare-len(b.spare))] {
		clear(s.leaves)
		*s = NewSegment{leaves: s.leaves[:0]}
		b.spare = append(b.spare, s)
	}
	clear(b.segs)
	b.enc, b.segs, b.escaped = encoder{delims: d, charset: c}, b.segs[:0], nil
}

// mostSpare bounds the segments that a Builder keeps for messages to come.
const mostSpare = 256

// EscapeUnknown makes characters that the character set lacks \X..\ escapes (of their UTF-8 bytes) instead of faults.
// The receiver must expect that: one that keeps to the standard reads such bytes in the message's own set, as other
// letters. Escaped tells where it was done.
func (b *Builder) EscapeUnknown() { b.enc.hex = true }

// Append adds a segment at the end.
func (b *Builder) Append(id string) *NewSegment { return b.Insert(len(b.segs), id) }

// Insert adds a segment before the i-th, from 0.
func (b *Builder) Insert(i int, id string) *NewSegment {
	s := &NewSegment{}
	if last := len(b.spare) - 1; last >= 0 {
		s, b.spare = b.spare[last], b.spare[:last]
	}
	s.id, s.enc = id, &b.enc
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
	b.escaped = nil
	out := make([]byte, 0, b.size())
	for i, s := range b.segs {
		if s.id == "MSH" && b.enc.charset != ASCII {
			s.SetText(18, 1, 1, 1, b.enc.charset.name)
		}
		var lacking []place
		out, lacking = s.append(out)
		for _, l := range lacking {
			at := l.in(s.id, b.number(i))
			if b.enc.hex {
				b.escaped = append(b.escaped, at)
				continue
			}
			faults = append(faults, notInCharset(at, b.enc.charset))
		}
		out = append(out, '\r')
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return out, nil
}

// number counts a segment among those of its name, from 1.
func (b *Builder) number(i int) int {
	n := 0
	for _, s := range b.segs[:i+1] {
		if s.id == b.segs[i].id {
			n++
		}
	}
	return n
}

// size is how many bytes the message takes, about.
func (b *Builder) size() int {
	n := 0
	for _, s := range b.segs {
		n += 16
		for i := range s.leaves {
			n += len(s.leaves[i].text) + len(s.leaves[i].raw) + 2
		}
	}
	return n + n/8
}

// Escaped gives the places at which Bytes wrote characters that the character set lacks as escapes.
func (b *Builder) Escaped() []Path { return b.escaped }

func notInCharset(at Path, c *Charset) *contracts.Fault {
	return contracts.Faultf(contracts.Invalid, CodeNotInCharset, at.Place(),
		"A character here doesn't exist in %s.", c.name)
}

// NewSegment is a segment of a Builder. Fields, repetitions, components and subcomponents count from 1, up to 65535;
// what lies between is empty. A zero repetition, component or subcomponent means the first.
type NewSegment struct {
	id     string
	enc    *encoder
	leaves []newLeaf // in order
	raws   bool      // some leaf is raw
}

// newLeaf is what stands at a place: a text or the null at a subcomponent, or ER7 bytes at a place of any size.
type newLeaf struct {
	at    place
	text  string
	raw   []byte
	state State
}

// place is a field, repetition, component and subcomponent, each in 16 bits, so that places compare as numbers. Zero
// in the lower ones is the whole: field 3 alone stands before its first repetition.
type place uint64

func placeOf(field, rep, comp, sub int) place {
	return place(uint16(field))<<48 | place(uint16(rep))<<32 | place(uint16(comp))<<16 | place(uint16(sub))
}

func leafPlace(field, rep, comp, sub int) place {
	return placeOf(max(field, 1), max(rep, 1), max(comp, 1), max(sub, 1))
}

func (p place) parts() [4]int {
	return [4]int{int(p >> 48), int(p >> 32 & 0xffff), int(p >> 16 & 0xffff), int(p & 0xffff)}
}

// in is the place in the number-th segment of a name.
func (p place) in(segment string, number int) Path {
	path, n := segmentPath(segment, number), p.parts()
	path.Field, path.Rep, path.Component, path.Sub = n[0], n[1], n[2], n[3]
	return path
}

// whole gives the places that p is a part of, smallest first: its component, repetition and field.
func (p place) whole() [3]place { return [3]place{p &^ 0xffff, p &^ 0xffffffff, p &^ 0xffffffffffff} }

// end is the last place inside p, which may be a whole.
func (p place) end() place {
	n := p.parts()
	for i := 1; i < 4; i++ {
		if n[i] == 0 {
			n[i] = 0xffff
		}
	}
	return placeOf(n[0], n[1], n[2], n[3])
}

// Grow makes room for so many more leaves.
func (s *NewSegment) Grow(n int) { s.leaves = slices.Grow(s.leaves, n) }

// ID is the segment's name.
func (s *NewSegment) ID() string { return s.id }

// SetText writes a leaf; an empty text empties it.
func (s *NewSegment) SetText(field, rep, comp, sub int, text string) {
	state := Filled
	if text == "" {
		state = Empty
	}
	s.put(newLeaf{at: leafPlace(field, rep, comp, sub), text: text, state: state})
}

// SetNull writes HL7's explicit null.
func (s *NewSegment) SetNull(field, rep, comp, sub int) {
	s.put(newLeaf{at: leafPlace(field, rep, comp, sub), state: Null})
}

// SetRaw writes ER7 bytes in the Builder's character set and delimiters as they stand: with rep 0 the whole field,
// with comp 0 a repetition, with sub 0 a component. They replace what stood there, and a leaf that is set inside them
// later replaces them.
func (s *NewSegment) SetRaw(field, rep, comp, sub int, raw []byte) {
	at := placeOf(max(field, 1), rep, comp, sub)
	if rep == 0 {
		at = placeOf(max(field, 1), 0, 0, 0)
	} else if comp == 0 {
		at = placeOf(max(field, 1), rep, 0, 0)
	}
	first, _ := s.find(at)
	last, found := s.find(at.end())
	if found {
		last++
	}
	s.leaves = slices.Delete(s.leaves, first, last)
	if len(raw) > 0 {
		s.put(newLeaf{at: at, raw: raw, state: Filled})
		s.raws = true
	}
}

// find gives the index of the leaf at a place, or where it would stand.
func (s *NewSegment) find(at place) (int, bool) {
	n := len(s.leaves)
	if n == 0 || s.leaves[n-1].at < at {
		return n, false
	}
	return slices.BinarySearchFunc(s.leaves, at, func(l newLeaf, at place) int { return cmp.Compare(l.at, at) })
}

func (s *NewSegment) put(l newLeaf) {
	if s.raws {
		for _, whole := range l.at.whole() {
			if i, ok := s.find(whole); ok && whole != l.at {
				s.leaves = slices.Delete(s.leaves, i, i+1)
			}
		}
	}
	i, found := s.find(l.at)
	if found {
		s.leaves[i] = l
		return
	}
	s.leaves = slices.Insert(s.leaves, i, l)
}

// Get gives the text set at a leaf and its state. What SetRaw wrote is Filled and without text.
func (s *NewSegment) Get(field, rep, comp, sub int) (string, State) {
	at := leafPlace(field, rep, comp, sub)
	if i, ok := s.find(at); ok {
		return s.leaves[i].text, s.leaves[i].state
	}
	for _, whole := range at.whole() {
		if _, ok := s.find(whole); ok && s.raws {
			return "", Filled
		}
	}
	return "", Absent
}

// Reps counts the repetitions up to the last one that was set; a raw field counts as one.
func (s *NewSegment) Reps(field int) int {
	i, found := s.find(placeOf(field, 0, 0, 0).end())
	if !found {
		i--
	}
	if i < 0 || s.leaves[i].at.parts()[0] != field {
		return 0
	}
	return max(s.leaves[i].at.parts()[1], 1)
}

// IsEmpty says whether nothing was set but empties.
func (s *NewSegment) IsEmpty() bool {
	return !slices.ContainsFunc(s.leaves, func(l newLeaf) bool { return l.state != Empty })
}

// append writes the segment without its terminator, and gives the leaves that the character set can't hold.
func (s *NewSegment) append(dst []byte) (_ []byte, lacking []place) {
	d := &s.enc.delims
	separators := [4]byte{d.Field, d.Repetition, d.Component, d.Subcomponent}
	dst = append(dst, s.id...)
	now := [4]int{0, 1, 1, 1}
	if s.id == "MSH" {
		dst = append(append(dst, d.Field), d.EncodingCharacters()...)
		now[0] = 2
	}
	for i := range s.leaves {
		l := &s.leaves[i]
		to := l.at.parts()
		if l.state == Empty || s.id == "MSH" && to[0] < 3 {
			continue
		}
		for level, sep := range separators {
			target := max(to[level], 1)
			if target == now[level] {
				continue
			}
			for ; now[level] < target; now[level]++ {
				dst = append(dst, sep)
			}
			for below := level + 1; below < 4; below++ {
				now[below] = 1
			}
		}
		var ok bool
		s.enc.escaped = false
		if dst, ok = l.append(dst, s.enc); !ok || s.enc.escaped {
			lacking = append(lacking, l.at)
		}
	}
	return dst, lacking
}

func (l *newLeaf) append(dst []byte, e *encoder) (_ []byte, ok bool) {
	switch {
	case l.raw != nil:
		return append(dst, l.raw...), true
	case l.state == Null:
		return append(dst, null...), true
	}
	return e.appendText(dst, l.text)
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

package hl7v2

import (
	"bytes"
	"strconv"
)

// jsonSegmentWriter compares a segment's fields with those of its raw text, and writes them.
type jsonSegmentWriter struct {
	e      *jsonEncoder
	id     string
	i      int
	header bool
	known  bool // e.raw is the raw text
	number int  // index's, once it is known
}

// rawFields walks over the fields of the raw text, from the first; in MSH from MSH-2.
func (w *jsonSegmentWriter) rawFields() rawFields {
	_, rest, more := bytes.Cut(w.e.raw, []byte{w.e.enc.delims.Field})
	return rawFields{rest: rest, more: more, sep: w.e.enc.delims.Field}
}

type rawFields struct {
	rest []byte
	more bool
	sep  byte
}

func (f *rawFields) next() (field []byte) {
	if f.more {
		field, f.rest, f.more = bytes.Cut(f.rest, []byte{f.sep})
	}
	return field
}

// unchanged says whether the fields are those of the raw text, trailing empties aside.
func (w *jsonSegmentWriter) unchanged(fields []byte) bool {
	raw, same := w.rawFields(), true
	w.eachField(fields, func(n int, value []byte) {
		if !w.header || n > 2 {
			same = same && w.equal(value, raw.next())
		} else if n == 2 {
			raw.next()
		}
	})
	for same && raw.more {
		same = w.isBlank(raw.next())
	}
	return same
}

// isBlank says whether a raw field holds nothing but separators.
func (w *jsonSegmentWriter) isBlank(raw []byte) bool {
	c := leafCursor{d: &w.e.enc.delims, rest: raw, more: true}
	return !c.next()
}

// eachField gives each field's number and its JSON.
func (w *jsonSegmentWriter) eachField(fields []byte, visit func(n int, value []byte)) {
	if len(fields) == 0 || fields[0] != '[' {
		return
	}
	r := jsonReader{b: fields}
	r.items(func(i int) { visit(i+1, r.skip()) })
}

// write writes the segment: fields that are as in the raw text as they stand there, the others afresh.
func (w *jsonSegmentWriter) write(fields []byte) {
	e, d := w.e, &w.e.enc.delims
	e.out = append(e.out, w.id...)
	if w.header {
		e.out = append(append(e.out, d.Field), d.EncodingCharacters()...)
	}
	end := len(e.out) // of the last field that holds something
	raw := w.rawFields()
	w.eachField(fields, func(n int, value []byte) {
		if w.header && n < 3 {
			if n == 2 {
				raw.next()
			}
			return
		}
		was := raw.next()
		same := w.known && w.equal(value, was)
		if same {
			e.reserve(1 + len(was))
		} else {
			e.reserve(1 + 3*len(value))
		}
		e.out = append(e.out, d.Field)
		start := len(e.out)
		if same {
			e.out = append(e.out, was...)
		} else {
			w.fresh(n, value)
		}
		if len(e.out) > start {
			end = len(e.out)
		}
	})
	e.out = e.out[:end]
}

// reserve makes room for n bytes more, at most once: no text grows to more than three times its JSON.
func (e *jsonEncoder) reserve(n int) {
	if cap(e.out)-len(e.out) < n {
		e.out = append(make([]byte, 0, max(3*len(e.object)+64, len(e.out)+n)), e.out...)
	}
}

// equal says whether a field's JSON has the leaves that its raw bytes have.
func (w *jsonSegmentWriter) equal(value, raw []byte) bool {
	e := w.e
	c := leafCursor{d: &e.enc.delims, rest: raw, more: true}
	same := true
	ok := w.leaves(value, func(at leafAt, text []byte, isNull bool) {
		switch {
		case !same:
		case !c.next() || c.at != at:
			same = false
		case isNull || string(c.leaf) == null:
			same = isNull && string(c.leaf) == null
		default:
			same = e.leafIs(c.leaf, text)
		}
	})
	return ok && same && !c.next()
}

// leafIs says whether raw decodes to text.
func (e *jsonEncoder) leafIs(raw, text []byte) bool {
	if e.charset.table == nil && bytes.IndexByte(raw, e.enc.delims.Escape) < 0 {
		return bytes.Equal(raw, text)
	}
	if need := 3 * len(raw); cap(e.leaf) < need {
		e.leaf = make([]byte, 0, need)
	}
	m := Message{delims: e.enc.delims, charset: e.charset}
	e.leaf = m.appendUnescaped(e.leaf[:0], raw)
	return bytes.Equal(e.leaf, text)
}

// fresh writes a field's leaves, with the separators before each that holds something.
func (w *jsonSegmentWriter) fresh(n int, value []byte) {
	e, d := w.e, &w.e.enc.delims
	now := leafAt{1, 1, 1}
	ok := w.leaves(value, func(at leafAt, text []byte, isNull bool) {
		for ; now.rep < at.rep; now = (leafAt{now.rep + 1, 1, 1}) {
			e.out = append(e.out, d.Repetition)
		}
		for ; now.comp < at.comp; now = (leafAt{now.rep, now.comp + 1, 1}) {
			e.out = append(e.out, d.Component)
		}
		for ; now.sub < at.sub; now.sub++ {
			e.out = append(e.out, d.Subcomponent)
		}
		if isNull {
			e.out = append(e.out, null...)
			return
		}
		var fits bool
		if e.out, fits = e.enc.appendText(e.out, string(text)); !fits && len(e.faults) <= maxFaults {
			e.fault(notInCharset(Path{Segment: w.id, Index: w.index(), Field: n, Rep: at.rep, Component: at.comp, Sub: at.sub},
				e.charset))
		}
	})
	if !ok && len(e.faults) <= maxFaults {
		e.fault(shapeFault("segments["+strconv.Itoa(w.i)+"].fields["+strconv.Itoa(n-1)+"]",
			"A field is a list of repetitions, each a list of components, each a list of texts."))
	}
}

// index is the segment's number among those of its name as a path gives it.
func (w *jsonSegmentWriter) index() int {
	if w.number > 0 {
		return segmentPath(w.id, w.number).Index
	}
	r, ids := jsonReader{b: w.e.segments}, jsonReader{}
	r.items(func(i int) {
		s := readJSONSegment(&r)
		if i > w.i || len(s.id) == 0 || s.id[0] != '"' {
			return
		}
		ids.b, ids.at = s.id, 0
		if ids.readText(); string(ids.text) == w.id {
			w.number++
		}
	})
	return segmentPath(w.id, w.number).Index
}

// leafAt is a leaf's repetition, component and subcomponent.
type leafAt struct{ rep, comp, sub int }

// leaves gives each leaf of a field's JSON that holds something; ok is false if the field has another shape. A plain
// text is the first leaf.
func (w *jsonSegmentWriter) leaves(value []byte, visit func(at leafAt, text []byte, isNull bool)) (ok bool) {
	r := jsonReader{b: value, text: w.e.reader.text}
	defer func() { w.e.reader.text = r.text }()
	if value[0] == '"' {
		if r.readText(); len(r.text) > 0 {
			visit(leafAt{1, 1, 1}, r.text, false)
		}
		return true
	}
	ok = true
	list := func(visit func(i int)) {
		if r.peek() != '[' {
			ok = false
			r.skip()
			return
		}
		r.items(visit)
	}
	list(func(rep int) {
		list(func(comp int) {
			list(func(sub int) {
				at := leafAt{rep + 1, comp + 1, sub + 1}
				if r.peek() == '"' {
					if r.readText(); len(r.text) > 0 && ok {
						visit(at, r.text, false)
					}
				} else if word := r.skip(); string(word) != "null" {
					ok = false
				} else if ok {
					visit(at, nil, true)
				}
			})
		})
	})
	return ok
}

// leafCursor walks over the leaves of a raw field that hold something.
type leafCursor struct {
	d    *Delimiters
	rest []byte
	more bool
	pos  leafAt // of rest, from 0

	leaf []byte
	at   leafAt // of leaf, from 1
}

func (c *leafCursor) next() bool {
	for c.more {
		i := 0
		for i < len(c.rest) && c.rest[i] != c.d.Repetition && c.rest[i] != c.d.Component && c.rest[i] != c.d.Subcomponent {
			i++
		}
		c.leaf, c.at = c.rest[:i], leafAt{c.pos.rep + 1, c.pos.comp + 1, c.pos.sub + 1}
		if c.more = i < len(c.rest); c.more {
			switch c.rest[i] {
			case c.d.Repetition:
				c.pos = leafAt{rep: c.pos.rep + 1}
			case c.d.Component:
				c.pos = leafAt{rep: c.pos.rep, comp: c.pos.comp + 1}
			default:
				c.pos.sub++
			}
			c.rest = c.rest[i+1:]
		}
		if len(c.leaf) > 0 {
			return true
		}
	}
	return false
}

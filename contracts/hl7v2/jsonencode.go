package hl7v2

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts"
)

// EncodeJSON writes one message, in the form that AppendJSON gives, as ER7 in the character set that its `charset`
// names (ASCII if it names none). A field whose value is still what `raw` parses to is written as it stands in raw, a
// changed one afresh; segments without raw are written afresh too. Segments end in CR.
//
// The faults: malformed HL7-040 (not JSON, at its byte) and HL7-041 (another shape, at its place), HL7-004 (character
// set), and invalid HL7-024 (a character that the set lacks, at its place). Those of one message are all reported, up to
// two hundred.
func EncodeJSON(object []byte) ([]byte, error) {
	e := jsonEncoder{object: object}
	if fault := e.open(); fault != nil {
		return nil, contracts.Faults{fault}
	}
	if fault := e.readHeader(); fault != nil {
		return nil, contracts.Faults{fault}
	}
	e.out = make([]byte, 0, len(object))
	r := jsonReader{b: e.segments}
	r.items(func(i int) {
		if s := readJSONSegment(&r); len(e.faults) <= maxFaults {
			e.segment(s, i)
		}
	})
	if len(e.faults) > maxFaults {
		e.faults = append(e.faults[:maxFaults], moreFaults(contracts.Malformed, e.faults[maxFaults].At))
	}
	if len(e.faults) > 0 {
		return nil, e.faults
	}
	return e.out, nil
}

// jsonEncoder writes the segments one after the other. Its buffers are used again for each.
type jsonEncoder struct {
	object   []byte
	charset  *Charset
	segments []byte // the list
	enc      encoder
	useRaw   bool // the raw texts have the delimiters that MSH names
	out      []byte
	faults   contracts.Faults
	reader   jsonReader // of fields and texts
	raw      []byte     // a segment's raw text, in the character set
	leaf     []byte     // a leaf of it, decoded
}

// jsonSegment is where a segment's parts stand in the JSON. What isn't there is nil.
type jsonSegment struct{ id, fields, raw []byte }

// open checks that the object is JSON and finds its parts.
func (e *jsonEncoder) open() *contracts.Fault {
	r := jsonReader{b: e.object}
	var charset []byte
	if r.peek() == '{' {
		r.members(func(key string) {
			switch value := r.skip(); key {
			case "charset":
				charset = value
			case "segments":
				e.segments = value
			}
		})
	} else {
		r.skip()
	}
	start := bytes.TrimLeft(e.object, " \t\r\n")
	if r.peek(); r.bad || r.at < len(r.b) {
		return contracts.Faultf(contracts.Malformed, CodeJSON, byteAt(r.at), "The JSON can't be read here.")
	}
	if start[0] != '{' {
		return shapeFault(byteAt(len(e.object)-len(start)), "This isn't a message as `silta hl7 parse` prints it.")
	}
	name, ok := e.textOf(charset)
	if !ok {
		return shapeFault("charset", "The character set is no text.")
	}
	if e.charset, ok = LookupCharset(string(name)); !ok {
		return contracts.Faultf(contracts.Malformed, CodeCharset, "charset",
			"The character set is unknown or can't be carried in ER7.")
	}
	return nil
}

// textOf reads a text; what isn't there, or is null, is empty. The result holds good until the next one is read.
func (e *jsonEncoder) textOf(value []byte) (text []byte, ok bool) {
	if value == nil || string(value) == "null" {
		return nil, true
	}
	e.reader.b, e.reader.at = value, 0
	if value[0] != '"' {
		return nil, false
	}
	e.reader.readText()
	return e.reader.text, true
}

func shapeFault(at, text string) *contracts.Fault {
	return contracts.Faultf(contracts.Malformed, CodeJSONShape, at, "%s", text)
}

// readHeader finds the delimiters that MSH's first two fields say; the standard ones where they say nothing.
func (e *jsonEncoder) readHeader() *contracts.Fault {
	r := jsonReader{b: e.segments}
	var msh jsonSegment
	found := false
	if r.peek() == '[' {
		r.items(func(i int) {
			if s := readJSONSegment(&r); i == 0 {
				msh, found = s, true
			}
		})
	} else if e.segments != nil {
		return shapeFault("segments", "The segments are no list.")
	}
	if id, _ := e.textOf(msh.id); !found || string(id) != "MSH" {
		return shapeFault("segments[0].id", "The first segment must be MSH.")
	}
	first, chars, ok := e.delimiterTexts(msh.fields)
	if !ok {
		return shapeFault("segments[0].fields", "MSH starts with two plain strings, MSH-1 and MSH-2.")
	}
	d, _, ok := readDelimiters([]byte("MSH" + first + chars + first))
	if !ok || len(first) != 1 || strings.ContainsAny(chars, "\r\n") {
		return contracts.Faultf(contracts.Malformed, CodeDelimiters, "MSH-1",
			"MSH-1 and MSH-2 don't name usable delimiters.")
	}
	e.enc = encoder{delims: d, charset: e.charset}
	raw, _ := e.textOf(msh.raw)
	rest, ok := bytes.CutPrefix(raw, []byte("MSH"+first+chars))
	e.useRaw = ok && (len(rest) == 0 || rest[0] == d.Field)
	return nil
}

// delimiterTexts are MSH-1 and MSH-2; the latter may be left out, as other trailing empties.
func (e *jsonEncoder) delimiterTexts(fields []byte) (first, chars string, ok bool) {
	r := jsonReader{b: fields}
	if len(fields) == 0 || fields[0] != '[' {
		return "", "", false
	}
	r.items(func(i int) {
		value := r.skip()
		if i < 2 {
			text, isText := e.textOf(value)
			ok = isText && value[0] == '"' && (ok || i == 0)
			if i == 0 {
				first = string(text)
			} else {
				chars = string(text)
			}
		}
	})
	return first, chars, ok
}

// readJSONSegment reads an item of the list of segments. Another shape leaves id nil.
func readJSONSegment(r *jsonReader) (s jsonSegment) {
	if r.peek() != '{' {
		r.skip()
		return s
	}
	r.members(func(key string) {
		switch value := r.skip(); key {
		case "id":
			s.id = value
		case "fields":
			s.fields = value
		case "raw":
			s.raw = value
		}
	})
	return s
}

// segment writes the i-th segment: unchanged as a whole, with unchanged fields as they stand, or afresh.
func (e *jsonEncoder) segment(s jsonSegment, i int) {
	at := "segments[" + strconv.Itoa(i) + "]"
	id, ok := e.textOf(s.id)
	switch {
	case !ok || !IsSegmentID(id):
		e.fault(shapeFault(at+".id", "This is no segment name."))
		return
	case i > 0 && string(id) == "MSH":
		e.fault(shapeFault(at+".id", "A message has one MSH, its first."))
		return
	case s.fields != nil && s.fields[0] != '[' && string(s.fields) != "null":
		e.fault(shapeFault(at+".fields", "The fields are no list."))
		return
	}
	w := jsonSegmentWriter{e: e, id: string(id), i: i, header: i == 0}
	known := e.readRaw(s.raw, w.id)
	if known && w.unchanged(s.fields) {
		e.out = append(append(e.out, e.raw...), '\r')
		return
	}
	w.known = known
	w.write(s.fields)
	e.out = append(e.out, '\r')
}

func (e *jsonEncoder) fault(f *contracts.Fault) { e.faults = append(e.faults, f) }

// readRaw sets e.raw; known is false where raw isn't there or can't be used: it isn't the segment's, holds what can't
// be written, or was written with other delimiters.
func (e *jsonEncoder) readRaw(value []byte, id string) (known bool) {
	text, ok := e.textOf(value)
	rest, named := bytes.CutPrefix(text, []byte(id))
	if !ok || !e.useRaw || !named || len(rest) > 0 && rest[0] != e.enc.delims.Field || bytes.IndexByte(text, '\r') >= 0 {
		return false
	}
	if cap(e.raw) < len(text) {
		e.raw = make([]byte, 0, len(text))
	}
	e.raw = e.raw[:0]
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if e.raw, ok = e.charset.appendRune(e.raw, r); !ok {
			return false
		}
		text = text[n:]
	}
	return true
}

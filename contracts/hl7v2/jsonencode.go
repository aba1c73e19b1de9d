package hl7v2

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts"
)

// EncodeJSON writes one message, in the form that AppendJSON gives, as ER7 in the character set that its `charset`
// names (ASCII if it names none). A field whose value is still what `raw` parses to is written as it stands in raw, a
// changed one afresh; segments without raw are written afresh too. Segments end in CR.
//
// The faults: malformed HL7-040 (not JSON) and HL7-041 (another shape, at its place), HL7-004 (character set), and
// invalid HL7-024 (a character that the set lacks, at its place).
func EncodeJSON(object []byte) ([]byte, error) {
	var j jsonMessage
	if err := json.Unmarshal(object, &j); err != nil {
		return nil, contracts.Faults{jsonFault(err)}
	}
	charset, ok := LookupCharset(j.Charset)
	if !ok {
		return nil, contracts.Faults{contracts.Faultf(contracts.Malformed, CodeCharset, "charset",
			"The character set is unknown or can't be carried in ER7.")}
	}
	delims, fault := j.delimiters()
	if fault != nil {
		return nil, contracts.Faults{fault}
	}
	enc := encoder{delims: delims, charset: charset}
	old := j.rawMessage(&enc)
	var faults contracts.Faults
	var out []byte
	counts := map[string]int{}
	for i := range j.Segments {
		s := &j.Segments[i]
		counts[s.ID]++
		if !IsSegmentID(s.ID) {
			faults = append(faults, shapeFault("segments["+strconv.Itoa(i)+"].id", "This is no segment name."))
			continue
		}
		if i > 0 && s.ID == "MSH" {
			faults = append(faults, shapeFault("segments["+strconv.Itoa(i)+"].id", "A message has one MSH, its first."))
			continue
		}
		var lacking []place
		out, lacking = s.append(out, &enc, old, i)
		for _, l := range lacking {
			faults = append(faults, notInCharset(l.in(s.ID, counts[s.ID]), charset))
		}
		out = append(out, '\r')
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return out, nil
}

type jsonMessage struct {
	Charset  string        `json:"charset"`
	Segments []jsonSegment `json:"segments"`
}

type jsonSegment struct {
	ID     string      `json:"id"`
	Fields []jsonField `json:"fields"`
	Raw    string      `json:"raw"`
}

// jsonField is a field: for MSH-1 and MSH-2 plain, else repetitions of components of subcomponents, nil for null.
type jsonField struct {
	plain *string
	reps  [][][]*string
}

// UnmarshalJSON reads a list of lists of lists of texts, or a plain text.
func (f *jsonField) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &f.plain)
	}
	return json.Unmarshal(b, &f.reps)
}

func jsonFault(err error) *contracts.Fault {
	var f *contracts.Fault
	switch e := err.(type) {
	case *json.SyntaxError:
		f = contracts.Faultf(contracts.Malformed, CodeJSON, byteAt(int(e.Offset)), "The JSON can't be read here.")
	case *json.UnmarshalTypeError:
		f = shapeFault(e.Field, "This isn't a message as `silta hl7 parse` prints it.")
		if e.Field == "" {
			f.At = byteAt(int(e.Offset))
		}
	default:
		f = contracts.Faultf(contracts.Malformed, CodeJSON, "", "The JSON can't be read.")
	}
	return f
}

func shapeFault(at, text string) *contracts.Fault {
	return contracts.Faultf(contracts.Malformed, CodeJSONShape, at, "%s", text)
}

// delimiters are those that MSH's first two fields say; the standard ones where they say nothing.
func (j *jsonMessage) delimiters() (Delimiters, *contracts.Fault) {
	if len(j.Segments) == 0 || j.Segments[0].ID != "MSH" {
		return Delimiters{}, shapeFault("segments[0].id", "The first segment must be MSH.")
	}
	first, chars, ok := j.header()
	if !ok {
		return Delimiters{}, shapeFault("segments[0].fields", "MSH starts with two plain strings, MSH-1 and MSH-2.")
	}
	d, _, ok := readDelimiters([]byte("MSH" + first + chars + first))
	if !ok || len(first) != 1 {
		return Delimiters{}, contracts.Faultf(contracts.Malformed, CodeDelimiters, "MSH-1",
			"MSH-1 and MSH-2 don't name usable delimiters.")
	}
	return d, nil
}

// header is MSH-1 and MSH-2; the latter may be left out, as other trailing empties.
func (j *jsonMessage) header() (first, chars string, ok bool) {
	fields := j.Segments[0].Fields
	if len(fields) == 0 || fields[0].plain == nil {
		return "", "", false
	}
	if len(fields) == 1 {
		return *fields[0].plain, "", true
	}
	if fields[1].plain == nil {
		return "", "", false
	}
	return *fields[0].plain, *fields[1].plain, true
}

// rawMessage is a message of the segments' raw texts, one segment for each; empty where raw can't be used: it isn't
// there, holds what can't be written, or was written with other delimiters.
func (j *jsonMessage) rawMessage(e *encoder) *Message {
	m := &Message{delims: e.delims, charset: e.charset, segs: make([]span, len(j.Segments))}
	first, chars, _ := j.header()
	usable := strings.HasPrefix(j.Segments[0].Raw, "MSH"+first+chars)
	for i := range j.Segments {
		s := &j.Segments[i]
		start := len(m.b)
		if usable && strings.HasPrefix(s.Raw, s.ID) && !strings.Contains(s.Raw, "\r") {
			var ok bool
			if m.b, ok = e.charset.appendText(m.b, s.Raw); !ok {
				m.b = m.b[:start]
			}
		}
		m.segs[i] = span{start: int32(start), end: int32(len(m.b))}
	}
	m.indexFields()
	return m
}

// appendText appends text in c without any escape; ok is false if c lacks a character of it.
func (c *Charset) appendText(dst []byte, text string) (_ []byte, ok bool) {
	for _, r := range text {
		if r == utf8.RuneError && !strings.Contains(text, "\uFFFD") {
			return dst, false
		}
		if dst, ok = c.appendRune(dst, r); !ok {
			return dst, false
		}
	}
	return dst, true
}

// append writes the segment: unchanged as a whole, unchanged fields, or afresh.
func (s *jsonSegment) append(dst []byte, e *encoder, old *Message, i int) ([]byte, []place) {
	was := Segment{old, i}
	known := len(was.Raw()) > 0
	if known && was.lastFilled() == s.lastFilled() && s.equalFields(was, s.lastFilled()) {
		return append(dst, was.Raw()...), nil
	}
	fresh := NewSegment{id: s.ID, enc: e}
	for n, f := range s.Fields {
		if f.plain != nil && s.ID == "MSH" && n < 2 {
			continue
		}
		if known && f.equal(was.Field(n+1)) {
			fresh.SetRaw(n+1, 0, 0, 0, was.Field(n+1).Raw())
			continue
		}
		f.write(&fresh, n+1)
	}
	return fresh.append(dst)
}

func (s *jsonSegment) lastFilled() int {
	n := len(s.Fields)
	for n > 0 && s.Fields[n-1].isEmpty() {
		n--
	}
	return n
}

func (f jsonField) isEmpty() bool { return bytes.Equal(f.canonical(nil), []byte("[]")) }

func (s *jsonSegment) equalFields(was Segment, n int) bool {
	for i := range n {
		if !s.Fields[i].equal(was.Field(i + 1)) {
			return false
		}
	}
	return true
}

func (f jsonField) equal(v Value) bool {
	return bytes.Equal(f.canonical(nil), v.appendFieldJSON(nil))
}

// canonical is the field's JSON as AppendJSON would write it, trailing empties left out.
func (f jsonField) canonical(dst []byte) []byte {
	if f.plain != nil {
		return appendJSONString(dst, *f.plain)
	}
	return appendList(dst, f.reps, 0, nil, repIsEmpty, func(dst []byte, rep [][]*string) []byte {
		return appendList(dst, rep, 1, nil, compIsEmpty, func(dst []byte, comp []*string) []byte {
			return appendList(dst, comp, 1, new(string), subIsEmpty, appendSub)
		})
	})
}

// appendList appends a JSON list of items up to the last that isn't empty, filled up with blanks to least.
func appendList[T any](dst []byte, items []T, least int, blank T, empty func(T) bool, add func([]byte, T) []byte) []byte {
	for len(items) > 0 && empty(items[len(items)-1]) {
		items = items[:len(items)-1]
	}
	dst = append(dst, '[')
	for i := range max(len(items), least) {
		if i > 0 {
			dst = append(dst, ',')
		}
		item := blank
		if i < len(items) {
			item = items[i]
		}
		dst = add(dst, item)
	}
	return append(dst, ']')
}

func repIsEmpty(rep [][]*string) bool {
	return !slices.ContainsFunc(rep, func(c []*string) bool { return !compIsEmpty(c) })
}

func compIsEmpty(comp []*string) bool {
	return !slices.ContainsFunc(comp, func(s *string) bool { return !subIsEmpty(s) })
}

func subIsEmpty(sub *string) bool { return sub != nil && *sub == "" }

func appendSub(dst []byte, sub *string) []byte {
	if sub == nil {
		return append(dst, "null"...)
	}
	return appendJSONString(dst, *sub)
}

func (f jsonField) write(s *NewSegment, field int) {
	if f.plain != nil {
		s.SetText(field, 1, 1, 1, *f.plain)
		return
	}
	for r, rep := range f.reps {
		for c, comp := range rep {
			for u, text := range comp {
				switch {
				case text == nil:
					s.SetNull(field, r+1, c+1, u+1)
				case *text != "":
					s.SetText(field, r+1, c+1, u+1, *text)
				}
			}
		}
	}
}

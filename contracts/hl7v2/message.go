package hl7v2

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/hoitosilta/silta/contracts"
)

// Message is one HL7 v2 message: its bytes, and the offsets of its segments. Reading doesn't change what it is, so
// several goroutines may read one Message; Set and its like need it alone.
type Message struct {
	prefix   []byte // byte order mark and blanks before MSH
	b        []byte // from the M of MSH
	delims   Delimiters
	charset  *Charset
	segs     []span
	head     header                     // where MSH's fields end
	fields   atomic.Pointer[fieldIndex] // made when a field is asked for that is far from its segment's start
	literal  []Path                     // see WithLiteral
	hex      bool                       // see WithEscapeUnknown
	warnings contracts.Faults
}

// span is a segment: its bytes without the terminator.
type span struct{ start, end int32 }

// Parse reads one message in ER7 form.
//
// b is a whole message, such as the payload of one MLLP frame, in the character set named by MSH-18. Segments end in
// CR; a message without any CR may use LF (and CRLF is taken apart likewise), with a warning. In a message that has
// CR a bare LF is data. b is kept, not copied, and must not change.
//
// The error is contracts.Faults of kind malformed. A byte that the character set doesn't have is a fault at its
// offset, never a replacement character. What could be read but isn't as it should be is in Warnings.
//
// Source: HL7 version 2.5.1, chapter 2, sections 2.5 to 2.7 and 2.15.9.
func Parse(b []byte, opts ...Option) (*Message, error) {
	m, err := open(b, opts)
	if m == nil {
		return nil, err
	}
	if faults := append(contracts.FaultsOf(err), m.checkSegments()...); len(faults) > 0 {
		return nil, faults
	}
	m.findLiterals()
	if m.said(10) == nil {
		m.warn(CodeNoControlID, "MSH-10", "The message has no control id.")
	}
	return m, nil
}

// open reads MSH, indexes the segments, finds the character set and checks the bytes. With a fault it gives the message
// too if its MSH could be read.
func open(b []byte, opts []Option) (*Message, error) {
	var o options
	for _, opt := range opts {
		o = opt(o)
	}
	m := &Message{literal: o.literal, hex: o.hex}
	bom := m.skipPrefix(b)
	if !bytes.HasPrefix(m.b, []byte("MSH")) {
		return nil, contracts.Faults{noMessage(m.b)}
	}
	var odd, ok bool
	if m.delims, odd, ok = readDelimiters(m.b); !ok {
		at := "MSH-1"
		if len(m.b) > 3 && usable(m.b[3]) {
			at = "MSH-2"
		}
		return nil, contracts.Faults{contracts.Faultf(contracts.Malformed, CodeDelimiters, at,
			"MSH-1 and MSH-2 don't name usable delimiters.")}
	}
	if odd {
		m.warn(CodeOddDelimiters, "MSH-2", "MSH-2 has too few or too many characters, or one twice; the usual ones were taken.")
	}
	m.indexSegments()
	m.head.read(m.b[:m.segs[0].end], m.delims.Field)
	m.noteSequence()
	if fault := m.chooseCharset(o, bom); fault != nil {
		return m, contracts.Faults{fault}
	}
	if fault := m.checkBytes(o.fallback); fault != nil {
		return m, contracts.Faults{fault}
	}
	return m, nil
}

// noMessage says why b is none: the commonest reason beside a wrong file is UTF-16.
func noMessage(b []byte) *contracts.Fault {
	text := "There is no MSH at the start: this is no HL7 v2 message."
	for _, start := range [...]string{"\xff\xfe", "\xfe\xff", "M\x00S\x00H\x00", "\x00M\x00S\x00H"} {
		if bytes.HasPrefix(b, []byte(start)) {
			text = "This is UTF-16, in which no HL7 v2 message can be framed. The sender must write UNICODE UTF-8."
		}
	}
	return contracts.Faultf(contracts.Malformed, CodeNoMessage, "byte 0", "%s", text)
}

// noteSequence reports a sequence number, because a sender that counts may wait for an answer in MSA-4.
func (m *Message) noteSequence() {
	if m.said(13) != nil {
		m.note(CodeSequence, "MSH-13", "MSH-13 carries a sequence number; the protocol for it isn't followed.")
	}
}

// skipPrefix sets b and prefix and says whether a UTF-8 byte order mark stood before MSH.
func (m *Message) skipPrefix(b []byte) (bom bool) {
	rest := b
	if bytes.HasPrefix(rest, []byte("\xef\xbb\xbf")) {
		rest, bom = rest[3:], true
		m.warn(CodeByteOrderMark, "byte 0", "A byte order mark stands before MSH; it was skipped.")
	}
	if trimmed := bytes.TrimLeft(rest, " \t\r\n"); len(trimmed) < len(rest) {
		rest = trimmed
		m.warn(CodeLeadingBytes, "byte 0", "Blanks or line ends stand before MSH; they were skipped.")
	}
	m.b, m.prefix = rest, b[:len(b)-len(rest)]
	return bom
}

// indexSegments finds the segments. Empty ones are left out, with a warning. A name and a terminator are four bytes:
// where there are more segments than that allows some have no name, and what lies behind isn't indexed.
func (m *Message) indexSegments() {
	end := byte('\r')
	if bytes.IndexByte(m.b, '\r') < 0 {
		end = '\n'
		if bytes.IndexByte(m.b, '\n') >= 0 {
			m.warn(CodeLineFeeds, "", "Segments end in LF instead of CR; they were read so.")
		}
	}
	m.segs = make([]span, 0, min(bytes.Count(m.b, []byte{end}), len(m.b)/4)+1)
	crlf, empty := false, -1
	for at := 0; at < len(m.b) && len(m.segs) < cap(m.segs); {
		n := bytes.IndexByte(m.b[at:], end)
		if n < 0 {
			n = len(m.b) - at
		}
		if end == '\r' && len(m.segs) > 0 && n > 0 && m.b[at] == '\n' {
			at, n, crlf = at+1, n-1, true
		}
		if n > 0 {
			m.segs = append(m.segs, span{start: int32(at), end: int32(at + n)})
		} else if empty < 0 && at+1 < len(m.b) {
			empty = at
		}
		at += n + 1
	}
	if crlf {
		m.warn(CodeLineFeeds, "", "Segments end in CRLF instead of CR; they were read so.")
	}
	if empty >= 0 {
		m.warn(CodeEmptySegment, byteAt(empty), "There is an empty line between segments; it was skipped.")
	}
}

// chooseCharset finds the character set: the caller's, else MSH-18's, else that of the byte order mark, else the
// caller's default, else ASCII.
func (m *Message) chooseCharset(o options, bom bool) *contracts.Fault {
	field := m.said(18)
	name := firstRepetition(field, m.delims)
	m.noteMoreCharsets(field)
	switch c, known := LookupCharset(string(name)); {
	case o.charset != nil:
		m.charset = o.charset
	case len(name) == 0 && bom:
		m.charset = UTF8
	case field == nil && o.silent != nil:
		m.charset = o.silent
	case known:
		m.charset = c
	default:
		// A Finnish habit: MSH-17's country in MSH-18, and the character set one further.
		if c, ok := LookupCharset(string(firstRepetition(m.headerField(19), m.delims))); ok && len(name) == 3 &&
			m.headerField(19) != nil {
			m.charset = c
			m.noteMoreCharsets(m.headerField(19))
			m.warn(CodeCharsetShift, "MSH-19", "MSH-18 holds no character set, but MSH-19 does; it was used.")
			return nil
		}
		m.charset = ASCII
		f := contracts.Faultf(contracts.Malformed, CodeCharset, "MSH-18",
			"%s", whyNot(string(name)))
		f.ErrorCode = "103"
		return f
	}
	if m.said(20) != nil {
		m.note(CodeMoreCharsets, "MSH-20", "MSH-20 names a scheme to switch character sets; switches aren't followed.")
	}
	return nil
}

// noteMoreCharsets reports character sets behind the first one, which only escapes could switch to.
func (m *Message) noteMoreCharsets(field []byte) {
	_, others, _ := bytes.Cut(field, []byte{m.delims.Repetition})
	if len(bytes.Trim(others, " "+string(m.delims.Repetition))) > 0 {
		m.note(CodeMoreCharsets, "MSH-18", "More than one character set is named; only the first is used.")
	}
}

// checkBytes finds the first byte that is no character.
func (m *Message) checkBytes(fallback *Charset) *contracts.Fault {
	at := m.charset.invalidAt(m.b)
	if at >= 0 && fallback != nil && fallback.invalidAt(m.b) < 0 {
		m.warn(CodeFallback, byteAt(at), fmt.Sprintf("Byte %d isn't a character of %s; the message was read as %s, as its sender's contract says.",
			at, m.charset.name, fallback.name))
		m.charset = fallback
		return nil
	}
	if at >= 0 {
		f := contracts.Faultf(contracts.Malformed, CodeBadByte, byteAt(at),
			"Byte %d%s isn't a character of %s. Correct MSH-18 at the sender, or set the partner's character set.",
			at, m.nameAt(at), m.charset.name)
		f.ErrorCode = "102"
		return f
	}
	if m.charset.table != nil && firstHigh(m.b) >= 0 && invalidUTF8(m.b) < 0 {
		m.warn(CodeLooksUTF8, "MSH-18", "The character set is "+m.charset.name+", but the bytes are valid UTF-8.")
	}
	return nil
}

// nameAt gives " in OBX(2)-5" for the place that holds byte at, and "" if it lies in no segment.
func (m *Message) nameAt(at int) string {
	i := slices.IndexFunc(m.segs, func(s span) bool { return at < int(s.end) })
	if i < 0 || at < int(m.segs[i].start) {
		return ""
	}
	s := Segment{m, i}
	if !IsSegmentID(s.rawID()) {
		return ""
	}
	place := segmentPath(s.ID(), int(m.numbers()[i]))
	place.Field = bytes.Count(m.b[s.Offset():at], []byte{m.delims.Field})
	if s.isHeader() {
		place.Field++
	}
	return " in " + place.String()
}

// checkSegments finds segments without a proper name, and a second MSH.
func (m *Message) checkSegments() (faults contracts.Faults) {
	from := 0 // where what wasn't looked at begins
	for i := range m.segs {
		s := m.segs[i]
		raw := m.b[s.start:s.end]
		if len(faults) == maxFaults {
			break
		}
		from = int(s.end)
		switch {
		case len(raw) < 3 || !IsSegmentID(raw[:3]) || len(raw) > 3 && raw[3] != m.delims.Field:
			f := contracts.Faultf(contracts.Malformed, CodeSegmentName, byteAt(int(s.start)),
				"Segment %d doesn't start with a segment name; a text before it may hold a bare carriage return.", i+1)
			f.ErrorCode = "100"
			faults = append(faults, f)
		case i > 0 && string(raw[:3]) == "MSH":
			faults = append(faults, secondMessage(int(s.start)))
		}
	}
	rest := bytes.TrimLeft(m.b[from:], "\r\n")
	if len(rest) > 0 {
		faults = append(faults, moreFaults(contracts.Malformed, byteAt(len(m.b)-len(rest))))
	}
	return faults
}

func secondMessage(at int) *contracts.Fault {
	f := contracts.Faultf(contracts.Malformed, CodeSecondMessage, byteAt(at), "A second MSH stands inside one message.")
	f.ErrorCode = "100"
	return f
}

func byteAt(n int) string { return "byte " + strconv.Itoa(n) }

func (m *Message) warn(code, at, text string) { m.report(contracts.GradeWarning, code, at, text) }

func (m *Message) note(code, at, text string) { m.report(contracts.GradeNote, code, at, text) }

func (m *Message) report(grade contracts.Grade, code, at, text string) {
	f := contracts.Faultf(contracts.Malformed, code, at, "%s", text)
	f.Grade = grade
	m.warnings = append(m.warnings, f)
}

// Bytes gives the message as it came, byte for byte, but for what was set since. It must not be changed.
func (m *Message) Bytes() []byte {
	if len(m.prefix) == 0 {
		return m.b
	}
	return append(bytes.Clone(m.prefix), m.b...)
}

// Warnings are what Parse could read although it isn't as it should be.
func (m *Message) Warnings() contracts.Faults { return m.warnings }

// Delimiters are those of MSH-1 and MSH-2.
func (m *Message) Delimiters() Delimiters { return m.delims }

// Charset is the character set that the message is read in.
func (m *Message) Charset() *Charset { return m.charset }

// NumSegments counts the segments, MSH among them.
func (m *Message) NumSegments() int { return len(m.segs) }

// Segment gives the i-th segment, counted from 0 as they stand. It panics if there is none.
func (m *Message) Segment(i int) Segment {
	_ = m.segs[i]
	return Segment{m, i}
}

// Segments gives all segments in order, with their index from 0.
func (m *Message) Segments() iter.Seq2[int, Segment] {
	return func(yield func(int, Segment) bool) {
		for i := range m.segs {
			if !yield(i, Segment{m, i}) {
				break
			}
		}
	}
}

// Type is MSH-9 with ^ between its components, whatever delimiters the message uses: REF^I12^REF_I12.
func (m *Message) Type() string {
	text := m.text(m.headerField(9))
	if m.delims.Component != '^' {
		text = strings.ReplaceAll(text, string(m.delims.Component), "^")
	}
	return text
}

// MessageType is MSH-9.1 and MSH-9.2 as contracts and people write them: REF^I12, and ACK where there is no event.
func (m *Message) MessageType() string {
	if event := m.Event(); event != "" {
		return m.Code() + "^" + event
	}
	return m.Code()
}

// Code is MSH-9.1: REF.
func (m *Message) Code() string { return m.headerText(9, 1) }

// Event is MSH-9.2: I12.
func (m *Message) Event() string { return m.headerText(9, 2) }

// Structure is MSH-9.3 as the sender wrote it: REF_I12, or empty.
func (m *Message) Structure() string { return m.headerText(9, 3) }

// ControlID is MSH-10, decoded. It is one text: a delimiter in it that the sender should have escaped doesn't shorten
// it, since two ids must not become the same.
func (m *Message) ControlID() string { return m.wholeText(m.said(10)) }

// ProcessingID is MSH-11.1: P, T or D.
func (m *Message) ProcessingID() string { return m.headerText(11, 1) }

// Version is MSH-12.1: 2.5.1.
func (m *Message) Version() string { return m.headerText(12, 1) }

// headerField gives the raw bytes of an MSH field; nil if it is empty.
func (m *Message) headerField(n int) []byte {
	if n == 1 {
		return m.b[3:4:4]
	}
	if raw := m.head.part(m.b, n-1); len(raw) > 0 {
		return raw
	}
	return nil
}

// said is headerField without what says nothing: blanks, and the null.
func (m *Message) said(n int) []byte {
	raw := m.headerField(n)
	if raw == nil || len(bytes.TrimSpace(raw)) == 0 || string(raw) == null {
		return nil
	}
	return raw
}

// wholeText is raw as one leaf, whatever delimiters it holds.
func (m *Message) wholeText(raw []byte) string {
	return Value{m: m, raw: raw, level: SubcomponentLevel, there: true}.Text()
}

func (m *Message) headerText(field, component int) string {
	v := Segment{m, 0}.Field(field)
	if component > 0 {
		v = v.At(1).At(component)
	}
	return v.Text()
}

// text is raw in Unicode, escapes untouched.
func (m *Message) text(raw []byte) string {
	if m.charset.table == nil {
		return string(raw)
	}
	return string(m.charset.appendDecoded(make([]byte, 0, m.charset.decodedLen(raw)), raw))
}

func firstRepetition(field []byte, d Delimiters) []byte {
	if i := bytes.IndexByte(field, d.Repetition); i >= 0 {
		field = field[:i]
	}
	return bytes.TrimSpace(field)
}

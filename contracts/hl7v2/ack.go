package hl7v2

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Outcome is what became of a message, as far as an acknowledgement tells.
type Outcome string

// The outcomes: the second letter of MSA-1. Rejected is for what can't be processed as a message at all (its type,
// version or processing id, a repeated control id); Failed is for its content.
const (
	Accepted Outcome = "A"
	Failed   Outcome = "E"
	Rejected Outcome = "R"
)

// Enhanced says whether the sender asks for enhanced acknowledgements: MSH-15 or MSH-16 is filled.
func (h *Header) Enhanced() bool { return h.m.said(15) != nil || h.m.said(16) != nil }

// AcceptDue says whether an accept acknowledgement (CA, CE, CR) is due for this outcome.
func (h *Header) AcceptDue(o Outcome) bool { return h.Enhanced() && h.asked(15, o) }

// ApplicationDue says whether an application acknowledgement (AA, AE, AR) is due for this outcome. In original mode it
// is due always; in enhanced mode it may come later, and on another connection.
func (h *Header) ApplicationDue(o Outcome) bool { return !h.Enhanced() || h.asked(16, o) }

// asked reads table 0155 in MSH-15 or MSH-16. Empty beside a filled one asks for nothing; a value that isn't in the
// table asks always, because a sender that waits for an answer in vain is worse off than one that gets it unasked.
func (h *Header) asked(field int, o Outcome) bool {
	switch strings.TrimSpace(h.m.headerText(field, 0)) {
	case "", "NE":
		return false
	case "ER":
		return o != Accepted
	case "SU":
		return o == Accepted
	}
	return true
}

// Reply gives the code that a receiver answers at once: CA, CE or CR if MSH-15 asks for it, else AA, AE or AR if
// MSH-16 or original mode does. due is false if no answer is due, as for an acknowledgement.
func (h *Header) Reply(o Outcome) (code string, due bool) {
	switch {
	case h.IsAcknowledgement():
		return "", false
	case h.AcceptDue(o):
		return "C" + string(o), true
	case h.ApplicationDue(o):
		return "A" + string(o), true
	}
	return "", false
}

// OutcomeOf gives the outcome that answers this fault: what MSH alone shows (error codes 101 at MSH-10, 200 to 203
// and 205) is Rejected, a fault in the content Failed, nil Accepted.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Accepted
	}
	for _, f := range contracts.FaultsOf(err) {
		switch f.ErrorCode {
		case "200", "201", "202", "203", "205":
			return Rejected
		}
		if f.Code == CodeNoControlID || f.Code == CodeSecondMessage || f.Kind == contracts.Unroutable {
			return Rejected
		}
	}
	return Failed
}

// Answer is what an acknowledgement says. It holds no value of the message.
type Answer struct {
	Code      string           // MSA-1: AA, AE, AR, CA, CE or CR
	ControlID string           // the acknowledgement's own MSH-10
	Time      time.Time        // its MSH-7, written in its own zone to the second
	Text      string           // for people: MSA-3, or ERR-8 where no fault is given; may be empty
	Faults    contracts.Faults // one ERR segment each; place, error code of table 0357, and text
}

// timeStamp is how acknowledgements write a time: to the second, with its zone.
const timeStamp = "20060102150405-0700"

// ReadHeader reads MSH alone: as much of a message as its acknowledgement depends on. It is nil where there is nothing
// to answer, as with Scan, whose Header has the same MSH; Segments and Get see only MSH. b is kept and must not change.
func ReadHeader(b []byte) *Header {
	start := len(b) - len(bytes.TrimLeft(bytes.TrimPrefix(b, byteOrderMark), " \t\r\n"))
	end := bytes.IndexByte(b[start:], '\r')
	if end < 0 {
		end = bytes.IndexByte(b[start:], '\n')
	}
	if end++; end > 0 { // with its terminator, which says what ends the others
		b = b[: start+end : start+end]
	}
	m, _ := open(b, nil) // whether MSH is at fault, Scan says
	if m == nil {
		return nil
	}
	return &Header{m}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Acknowledge makes the acknowledgement of the message that h heads. Equal arguments give equal bytes.
//
// MSH-3 and 4 are swapped with 5 and 6 as raw fields, MSH-11, 12, 18 and 21 echoed, MSH-9 is ACK with the message's
// event, and MSA-2 is MSH-10 byte for byte. From version 2.5 faults stand in ERR-2, 3, 4, 7 and 8, before that in ERR-1.
// Delimiters and character set are the message's own, but for a truncation character, which some receivers can't read.
// Source: HL7 version 2.5.1, chapter 2, sections 2.9.2, 2.9.3, 2.15.5 and 2.15.8.
func Acknowledge(h *Header, a Answer) []byte { return AppendAcknowledge(make([]byte, 0, 256), h, a) }

// AppendAcknowledge appends what Acknowledge gives to dst.
func AppendAcknowledge(dst []byte, h *Header, a Answer) []byte {
	d := h.m.delims
	d.Truncation = 0
	w := ackWriter{enc: encoder{delims: d, charset: h.m.charset}, out: dst}
	w.header(h, a)
	w.segment("MSA")
	w.text(a.Code)
	w.field(h.Raw(10))
	modern := VersionAtLeast(h.Version(), "2.5")
	if a.Text != "" && !VersionAtLeast(h.Version(), "2.7") {
		w.text(clip(a.Text, 80))
	}
	w.end()
	faults := a.Faults
	if len(faults) == 0 && a.Text != "" && modern && !strings.HasSuffix(a.Code, string(Accepted)) {
		faults = contracts.Faults{{Kind: contracts.Internal, ErrorCode: "207", Public: a.Text}}
	}
	switch {
	case modern:
		for _, f := range faults {
			w.fault(f)
		}
	case len(faults) > 0:
		w.oldFaults(faults)
	}
	return w.out
}

// clip shortens text to n bytes at a character's start; MSA-3 has 80 at most.
func clip(text string, n int) string {
	for i := range text {
		if i > n-4 && len(text) > n {
			return text[:i]
		}
	}
	return text
}

// ackWriter writes fields in a row.
type ackWriter struct {
	enc encoder
	out []byte
}

func (w *ackWriter) segment(id string) { w.out = append(w.out, id...) }

func (w *ackWriter) field(raw []byte) { w.out = append(append(w.out, w.enc.delims.Field), raw...) }

func (w *ackWriter) text(s string) {
	w.field(nil)
	w.add(s)
}

// add writes a text for people. A character that the sender's set lacks becomes a question mark: as \X..\ its bytes
// would be read in that set, as other letters.
func (w *ackWriter) add(s string) {
	known := strings.Map(func(r rune) rune {
		if _, ok := w.enc.charset.appendRune(nil, r); !ok {
			return '?'
		}
		return r
	}, s)
	w.out, _ = w.enc.appendText(w.out, known)
}

func (w *ackWriter) end() {
	w.out = append(bytes.TrimRight(w.out, string(w.enc.delims.Field)), '\r')
}

func (w *ackWriter) header(h *Header, a Answer) {
	d := w.enc.delims
	w.segment("MSH")
	w.field([]byte(d.EncodingCharacters()))
	for _, n := range [...]int{5, 6, 3, 4} {
		w.field(h.Raw(n))
	}
	w.text(a.Time.Format(timeStamp))
	w.field(nil)
	w.text("ACK")
	if event := h.Get(Path{Segment: "MSH", Field: 9, Component: 2}).Raw(); len(event) > 0 {
		w.out = append(append(w.out, d.Component), event...)
		w.out = append(append(w.out, d.Component), "ACK"...)
	}
	w.text(a.ControlID)
	w.field(h.Raw(11))
	w.field(h.Raw(12))
	for range 5 {
		w.field(nil)
	}
	w.field(h.charsetEcho())
	w.field(nil)
	w.field(nil)
	w.field(h.Raw(21))
	w.end()
}

// charsetEcho is MSH-18 of the acknowledgement: as it came, but spelled properly where the sender shifted it.
func (h *Header) charsetEcho() []byte {
	for _, f := range h.m.warnings {
		if f.Code == CodeCharsetShift {
			return []byte(h.m.charset.name)
		}
	}
	return h.Raw(18)
}

// fault writes the ERR segment of version 2.5 and later.
func (w *ackWriter) fault(f *contracts.Fault) {
	w.segment("ERR")
	w.field(nil)
	w.field(w.location(f.At, w.enc.delims.Component))
	w.field(w.errorCode(f, w.enc.delims.Component, "HL70357"))
	w.text(severity(f))
	w.field(nil)
	w.field(nil)
	w.text(strings.TrimSpace(f.Code + " " + f.At))
	w.text(f.Public)
	w.end()
}

// oldFaults writes the ERR segment before version 2.5, of which there is one: ERR-1 holds place and code, and repeats.
func (w *ackWriter) oldFaults(faults contracts.Faults) {
	c, sub := w.enc.delims.Component, w.enc.delims.Subcomponent
	w.segment("ERR")
	for i, f := range faults {
		place := w.location(f.At, c)
		parts := bytes.Split(place, []byte{c})
		for len(parts) < 3 {
			parts = append(parts, nil)
		}
		sep := w.enc.delims.Field
		if i > 0 {
			sep = w.enc.delims.Repetition
		}
		w.out = append(append(w.out, sep), bytes.Join(parts[:3], []byte{c})...)
		w.out = append(append(w.out, c), w.errorCode(f, sub, "HL70357")...)
	}
	w.end()
}

// location writes a place as ERL: segment, its number, field, repetition, component, subcomponent. In ERR-1 the first
// three are ELD's. A byte offset has no form there.
func (w *ackWriter) location(at string, sep byte) []byte {
	p, err := CompilePath(at)
	if err != nil {
		// A fault of a whole segment names it without a field: OBX(3).
		if p, err = CompilePath(at + "-1"); err != nil {
			return nil
		}
		p.Field = 0
	}
	if p.RepBy.Set {
		p.Component = 0 // which repetition it is, or would be, isn't known: the field has to do
	}
	out := append([]byte(p.Segment), sep)
	if !p.SegmentBy.Set {
		out = strconv.AppendInt(out, int64(max(p.Index, 1)), 10)
	}
	for i, n := range [...]int{p.Field, max(p.Rep, min(p.Component, 1)), p.Component, p.Sub} {
		if n == 0 && i != 1 {
			break
		}
		out = append(out, sep)
		if n > 0 {
			out = strconv.AppendInt(out, int64(n), 10)
		}
	}
	return bytes.TrimRight(out, string(sep))
}

func (w *ackWriter) errorCode(f *contracts.Fault, sep byte, system string) []byte {
	code := f.ErrorCode
	if code == "" {
		code = "207"
	}
	return bytes.Join([][]byte{[]byte(code), []byte(errorTexts[code]), []byte(system)}, []byte{sep})
}

// errorTexts are the meanings of table 0357.
var errorTexts = map[string]string{
	"0":   "Message accepted",
	"100": "Segment sequence error",
	"101": "Required field missing",
	"102": "Data type error",
	"103": "Table value not found",
	"200": "Unsupported message type",
	"201": "Unsupported event code",
	"202": "Unsupported processing id",
	"203": "Unsupported version id",
	"204": "Unknown key identifier",
	"205": "Duplicate key identifier",
	"206": "Application record locked",
	"207": "Application internal error",
}

// severity is table 0516.
func severity(f *contracts.Fault) string {
	switch f.Grade {
	case contracts.GradeWarning:
		return "W"
	case contracts.GradeNote:
		return "I"
	}
	return "E"
}

package hl7v2

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// ErrTooMany says that a batch holds more messages, or more envelopes, than its reader takes.
var ErrTooMany = errors.New("hl7v2: too many messages in one batch")

// Batch is several messages in a row, or messages in envelopes (FHS, BHS, BTS, FTS), as a frame or a file holds them.
type Batch struct {
	Parts  []Part           // as Split gives them
	Faults contracts.Faults // wrong counts, and envelopes out of order; they are warnings to who takes the messages all the same
	file   []byte
}

// ReadBatch takes b apart if it holds more than one message, or an envelope; else it gives nil, and b is to be read as
// it stands. b is kept and must not change.
//
// With more than most messages the error is ErrTooMany, and Parts holds the first message alone, to which the refusal
// is addressed. No memory was spent on the others by then.
//
// Source: HL7 version 2.5.1, chapter 2, sections 2.10.3 and 2.15.2 to 2.15.7.
func ReadBatch(b []byte, most int) (*Batch, error) {
	if !maybeBatch(b) {
		return nil, nil
	}
	first, parts, envelopes := countParts(b, most)
	if parts <= 1 && envelopes == 0 {
		return nil, nil
	}
	if parts > most || envelopes > mostEnvelopes(most) {
		return &Batch{Parts: first, file: b}, ErrTooMany
	}
	batch := &Batch{file: b}
	batch.Parts, batch.Faults = Split(b)
	return batch, nil
}

// mostEnvelopes is what so many messages can need: a batch around each, and a file around all.
func mostEnvelopes(messages int) int { return 2*messages + 2 }

// maybeBatch says quickly of nearly every single message that it is one. It may be wrong only where it says yes.
func maybeBatch(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("MSH")) {
		return true
	}
	for _, end := range [...]byte{'\r', '\n'} {
		for rest := b; ; {
			i := bytes.IndexByte(rest, end)
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			if len(rest) < 3 {
				break
			}
			switch string(rest[:3]) {
			case "MSH", "FHS", "BHS", "BTS", "FTS":
				return true
			}
		}
	}
	return false
}

// countParts counts what Split would give, and the segments of envelopes, until either is more than most allows. first
// is the first message, if there is one.
func countParts(b []byte, most int) (first []Part, parts, envelopes int) {
	s := splitter{file: b, open: -1}
	start := -1 // of the first message, while it lasts
	begin := func(at int) {
		if start >= 0 && first == nil {
			first = []Part{{Bytes: b[start:at], Offset: start}}
		}
		s.open, s.cr = -1, false
	}
	for at := 0; at < len(b) && parts <= most && envelopes <= mostEnvelopes(most); at = s.nextLine(at) {
		line := s.line(at)
		switch id := envelopeID(line); {
		case id == "MSH":
			begin(at)
			s.open = at
			parts++
			if start < 0 {
				start = at + bytes.Index(b[at:], line[:3])
			}
		case id != "":
			begin(at)
			envelopes++
		case s.open < 0 && len(bytes.Trim(line, " \t\x0b\x1c\ufeff")) > 0:
			s.open = at
			parts++
		}
	}
	begin(len(b))
	return first, parts, envelopes
}

// BatchAnswer is what the envelope of acknowledgements says beside what it repeats of the one that came.
type BatchAnswer struct {
	Time      time.Time          // FHS-7 and BHS-7, in its own zone to the second
	ControlID func(n int) string // FHS-11 and BHS-11 of the n-th header, from 0
}

// Acknowledge puts the acknowledgements of the parts, nil where none is due, into an envelope that mirrors the one in
// which the parts came, so that it can go back as one frame. Where none came, they stand one after another. It gives
// nothing if there is nothing to say: no envelope, and no acknowledgement.
//
// Each header repeats the delimiters of its counterpart, swaps the sender with the receiver as raw fields, and names
// the counterpart's control id (FHS-11, BHS-11) in FHS-12 or BHS-12, byte for byte. Trailers count what stands in the
// answer, and their comment (BTS-2, FTS-2) says so where a count that came was wrong. An envelope that wasn't closed is
// closed in the answer.
func (b *Batch) Acknowledge(acks [][]byte, a BatchAnswer) []byte {
	w := batchWriter{answer: a}
	end := 0
	for i, p := range b.Parts {
		w.between(b.file[end:p.Offset])
		w.part(p, acks[i])
		end = p.Offset + len(p.Bytes)
	}
	w.between(b.file[end:])
	w.closeFile(nil)
	return w.out
}

// batchWriter follows the envelopes that came, and writes their counterparts.
type batchWriter struct {
	answer  BatchAnswer
	out     []byte
	headers int
	file    envelope
	batch   envelope
}

// envelope is one that is open: between FHS and FTS, or BHS and BTS.
type envelope struct {
	open    bool
	enc     encoder
	came    int // messages in a batch, batches in a file
	written int
	loose   int // messages in a file outside of batches
}

// between reads the envelopes' segments in what stands between two parts.
func (w *batchWriter) between(gap []byte) {
	for _, line := range bytes.FieldsFunc(gap, func(r rune) bool { return r == '\r' || r == '\n' }) {
		line = bytes.TrimLeft(line, "\x0b\ufeff")
		switch envelopeID(line) {
		case "FHS":
			w.closeFile(nil)
			w.file = w.header("FHS", line)
		case "BHS":
			w.closeBatch(nil)
			w.file.came++
			w.file.written++
			w.batch = w.header("BHS", line)
		case "BTS":
			w.closeBatch(line)
		case "FTS":
			w.closeFile(line)
		}
	}
}

func (w *batchWriter) part(p Part, ack []byte) {
	if bytes.HasPrefix(bytes.TrimLeft(p.Bytes, " \t\ufeff"), []byte("MSH")) {
		w.batch.came++
		if !w.batch.open {
			w.file.loose++
		}
	}
	if ack != nil {
		w.batch.written++
		w.out = append(w.out, ack...)
	}
}

// header writes FHS or BHS, whose fields are alike.
func (w *batchWriter) header(id string, line []byte) envelope {
	d, _, ok := readDelimiters(line)
	if !ok {
		d, line = Standard, nil // nothing of it can be read, so nothing is repeated
	}
	d.Truncation = 0 // as in every acknowledgement
	raw := func(n int) []byte { return nthPart(line, d.Field, n-1) }
	s := ackWriter{enc: encoder{delims: d, charset: ASCII, hex: true}, out: append(w.out, id...)}
	s.field([]byte(d.EncodingCharacters()))
	for _, n := range [...]int{5, 6, 3, 4} {
		s.field(raw(n))
	}
	s.text(w.answer.Time.Format(timeStamp))
	for range 3 {
		s.field(nil)
	}
	s.text(w.answer.ControlID(w.headers))
	s.field(raw(11))
	s.end()
	w.out = s.out
	w.headers++
	return envelope{open: true, enc: s.enc}
}

func (w *batchWriter) closeBatch(came []byte) {
	w.trailer("BTS", w.batch, came, "messages", w.batch.came)
	w.batch = envelope{}
}

func (w *batchWriter) closeFile(came []byte) {
	w.closeBatch(nil)
	counts := []int{w.file.came}
	if w.file.came == 0 {
		counts = append(counts, w.file.loose) // as Split allows it
	}
	w.trailer("FTS", w.file, came, "batches", counts...)
	w.file = envelope{}
}

// trailer writes BTS or FTS of an envelope that is open. came is its counterpart, nil where there was none.
func (w *batchWriter) trailer(id string, e envelope, came []byte, what string, counts ...int) {
	if !e.open {
		return
	}
	s := ackWriter{enc: e.enc, out: append(w.out, id...)}
	s.text(strconv.Itoa(e.written))
	check := splitter{}
	if check.compare(Path{Segment: id, Field: 1}, came, what, counts...); len(check.faults) > 0 {
		s.text(fmt.Sprintf("The count differs from the %d %s that came", counts[0], what))
	}
	s.end()
	w.out = s.out
}

package hl7v2

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/hoitosilta/silta/contracts"
)

// Part is one message of a file.
type Part struct {
	Bytes  []byte // of the message alone, for Parse
	Offset int    // of Bytes in the file
}

// Split takes a file apart that holds one message, several, or batches of them (FHS, BHS, BTS, FTS). The envelopes are
// not carried on; a count in BTS-1 or FTS-1 that is wrong, or an envelope out of order, is a fault beside the messages.
// Bytes before or between messages that are none become a Part, which Parse will refuse. MLLP's frame bytes around
// messages are taken off. An empty file has no parts.
func Split(file []byte) ([]Part, contracts.Faults) {
	// The parts are counted first, since a list that grows costs several times what it holds.
	count := splitter{file: file, open: -1, count: true}
	count.run()
	s := splitter{file: file, open: -1}
	if count.found > 0 {
		s.parts = make([]Part, 0, count.found)
	}
	s.run()
	return s.parts, s.faults
}

type splitter struct {
	file   []byte
	parts  []Part
	faults contracts.Faults
	count  bool // only count the parts
	found  int  // how many there are

	open     int // where the current message, or what isn't one, starts; -1 for none
	cr       bool
	inFile   bool   // between FHS and FTS
	inBatch  bool   // between BHS and BTS
	batches  int    // since FHS
	messages int    // since BHS
	trailers [2]int // BTS and FTS so far
}

func (s *splitter) run() {
	for at := 0; at < len(s.file); at = s.nextLine(at) {
		line := s.line(at)
		id := envelopeID(line)
		switch {
		case id != "":
			s.close(at)
			s.segment(id, line, at)
		case s.open < 0 && len(bytes.Trim(line, " \t\x0b\x1c\ufeff")) > 0:
			s.open = at
		}
	}
	s.close(len(s.file))
	if s.inBatch || s.inFile {
		s.misplaced(len(s.file), "The batch isn't closed: BTS or FTS is missing.")
	}
}

// nextLine gives the start of the line after the one at at. In a message that has CR a bare LF ends no line.
func (s *splitter) nextLine(at int) int {
	if s.file[at] == '\n' {
		return at + 1
	}
	for i := at; i < len(s.file); i++ {
		switch s.file[i] {
		case '\r':
			s.cr = true
			if i+1 < len(s.file) && s.file[i+1] == '\n' {
				i++
			}
			return i + 1
		case '\n':
			if !s.cr {
				return i + 1
			}
		}
	}
	return len(s.file)
}

// line gives the line that starts at at, without a byte order mark or the byte that opens an MLLP frame.
func (s *splitter) line(at int) []byte {
	line := s.file[at:]
	if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	return bytes.TrimLeft(line, "\x0b\ufeff")
}

// envelopeID gives the name of a segment that starts or ends something, else "".
func envelopeID(line []byte) string {
	if len(line) < 3 || len(line) > 3 && !usable(line[3]) {
		return ""
	}
	switch id := string(line[:3]); id {
	case "MSH", "FHS", "BHS":
		if len(line) > 3 {
			return id
		}
	case "BTS", "FTS":
		return id
	}
	return ""
}

// close ends the part that is open at byte end.
func (s *splitter) close(end int) {
	if s.open >= 0 {
		s.found++
	}
	if s.open >= 0 && !s.count {
		b := s.file[s.open:end]
		trimmed := bytes.TrimLeft(b, "\x0b")
		offset := s.open + len(b) - len(trimmed)
		if i := bytes.IndexByte(trimmed, 0x1c); i >= 0 && len(bytes.Trim(trimmed[i:], "\x1c\r\n \t")) == 0 {
			trimmed = trimmed[:i]
		}
		s.parts = append(s.parts, Part{Bytes: trimmed, Offset: offset})
	}
	s.open, s.cr = -1, false
}

func (s *splitter) segment(id string, line []byte, at int) {
	switch id {
	case "MSH":
		s.open = at
		s.messages++
	case "FHS":
		if s.inFile || s.inBatch {
			s.misplaced(at, "FHS stands inside another file or batch.")
		}
		s.inFile, s.inBatch, s.batches, s.messages = true, false, 0, 0
	case "BHS":
		if s.inBatch {
			s.misplaced(at, "BHS stands inside another batch.")
		}
		s.inBatch, s.messages = true, 0
		s.batches++
	case "BTS":
		if !s.inBatch {
			s.misplaced(at, "BTS stands without BHS.")
		}
		s.trailers[0]++
		s.compare(segmentPath("BTS", s.trailers[0]), line, "messages", s.messages)
		s.inBatch, s.messages = false, 0
	case "FTS":
		s.trailers[1]++
		if !s.inFile || s.inBatch {
			s.misplaced(at, "FTS stands without FHS, or before the BTS of its batch.")
		}
		if s.batches == 0 {
			// A file without batches has none to count; some senders count its messages.
			s.compare(segmentPath("FTS", s.trailers[1]), line, "batches", 0, s.messages)
		} else {
			s.compare(segmentPath("FTS", s.trailers[1]), line, "batches", s.batches)
		}
		s.inFile, s.inBatch, s.batches = false, false, 0
	}
}

// compare compares the number in a trailer's first field with what came, any of which is right. An empty one says nothing.
func (s *splitter) compare(at Path, line []byte, what string, came ...int) {
	if len(line) < 5 || s.full() {
		return
	}
	said := bytes.TrimSpace(nthPart(line, line[3], 1))
	if len(said) == 0 {
		return
	}
	if n, err := strconv.Atoi(string(said)); err != nil || !slices.Contains(came, n) {
		at.Field = 1
		s.fault(CodeBatchCount, at.String(), "The count differs from the %d %s that came.", came[0], what)
	}
}

func (s *splitter) misplaced(at int, text string) {
	if !s.full() {
		s.fault(CodeBatchForm, byteAt(at), "%s", text)
	}
}

// full says whether no fault is added any more.
func (s *splitter) full() bool { return s.count || len(s.faults) > maxFaults }

func (s *splitter) fault(code, at, format string, args ...any) {
	if len(s.faults) == maxFaults {
		s.faults = append(s.faults, moreFaults(contracts.Malformed, at))
		return
	}
	s.faults = append(s.faults, contracts.Faultf(contracts.Malformed, code, at, format, args...))
}

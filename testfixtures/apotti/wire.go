package apotti

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// The bytes around a message on the wire (MLLP release 1).
const (
	frameStart = 0x0b
	frameEnd   = 0x1c
	segmentEnd = '\r'
)

// maxFrame is the largest message that Apotti reads, in bytes.
const maxFrame = 64 << 20

// readFrame gives the next message on r. Bytes between frames are passed over.
func readFrame(r *bufio.Reader) ([]byte, error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if b == frameStart {
			break
		}
	}
	var frame []byte
	for {
		part, err := r.ReadSlice(frameEnd)
		frame = append(frame, part...)
		if err == bufio.ErrBufferFull {
			if len(frame) > maxFrame {
				return nil, fmt.Errorf("a frame is larger than %d bytes", maxFrame)
			}
			continue
		}
		if err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		break
	}
	if b, err := r.ReadByte(); err != nil || b != segmentEnd {
		return nil, fmt.Errorf("a frame doesn't end in 1C 0D")
	}
	return frame[:len(frame)-1], nil
}

// writeFrame sends message in one write, so that no half frame waits for a second one.
func writeFrame(w io.Writer, message []byte) error {
	frame := make([]byte, 0, len(message)+3)
	frame = append(frame, frameStart)
	frame = append(frame, message...)
	frame = append(frame, frameEnd, segmentEnd)
	_, err := w.Write(frame)
	return err
}

// Field gives field n of the message's first segment of that name, as its bytes stand; empty if there is none.
// MSH-1 is the separator itself, so MSH is counted from there.
func Field(message []byte, segment string, n int) string {
	if len(message) < 8 || !bytes.HasPrefix(message, []byte("MSH")) {
		return ""
	}
	separator := string(message[3])
	for len(message) > 0 {
		line, rest, _ := bytes.Cut(message, []byte{segmentEnd})
		message = rest
		if !bytes.HasPrefix(line, []byte(segment+separator)) {
			continue
		}
		fields := strings.Split(string(line), separator)
		if segment == "MSH" {
			n--
		}
		if n < 1 || n >= len(fields) {
			return ""
		}
		return fields[n]
	}
	return ""
}

// component gives a field's first component.
func component(message []byte, segment string, n int) string {
	separator := "^"
	if len(message) > 4 {
		separator = string(message[4])
	}
	first, _, _ := strings.Cut(Field(message, segment, n), separator)
	return first
}

// acknowledge writes what Apotti answers to message, or nil where the sender wants nothing (MSH-15 NE). control is
// the acknowledgement's own MSH-10.
//
// With MSH-15 and MSH-16 empty it is the application's AA (original mode). Where MSH-15 asks, it is the receipt, CA
// (enhanced mode); Apotti has nothing to say about answers beyond the receipt, so MSH-16 gets nothing more.
// Source: HL7 v2.5.1, 2.9.2 and 2.9.3.
func acknowledge(message []byte, code, text, control string, at time.Time) []byte {
	accept, application := Field(message, "MSH", 15), Field(message, "MSH", 16)
	if accept != "" || application != "" {
		refused := code != "AA"
		switch {
		case accept == "AL", accept == "SU" && !refused, accept == "ER" && refused:
			code = "C" + code[1:]
		case application == "AL", application == "SU" && !refused, application == "ER" && refused:
		default:
			return nil
		}
	}
	separator := "|"
	if len(message) > 3 {
		separator = string(message[3])
	}
	kind := strings.Split(Field(message, "MSH", 9), string(message[4]))
	answer := "ACK"
	if len(kind) > 1 {
		answer = strings.Join([]string{"ACK", kind[1], "ACK"}, string(message[4]))
	}
	header := []string{"MSH", Field(message, "MSH", 2), Field(message, "MSH", 5), Field(message, "MSH", 6),
		Field(message, "MSH", 3), Field(message, "MSH", 4), at.Format("20060102150405-0700"), "", answer, control,
		Field(message, "MSH", 11), Field(message, "MSH", 12), "", "", "", "", "", Field(message, "MSH", 18)}
	msa := []string{"MSA", code, Field(message, "MSH", 10)}
	lines := []string{strings.TrimRight(strings.Join(header, separator), separator), strings.Join(msa, separator)}
	if text != "" {
		lines = append(lines, strings.Join([]string{"ERR", "", "", "207", "E", "", "", "", text}, separator))
	}
	return []byte(strings.Join(lines, "\r") + "\r")
}

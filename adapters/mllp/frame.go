package mllp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Frame is one block as it was read, and what was odd about it.
type Frame struct {
	Body    []byte // the content; the caller's, and nobody else's
	Junk    int    // bytes before the start block
	Dropped int    // bytes of blocks, start block and all, that another start block began anew
	Strays  int    // start and end blocks inside the content that began and ended nothing
	NoCR    bool   // no carriage return came behind the end block
}

// commit says whether the frame is a commit acknowledgement, and which.
func (f Frame) commit() (ok, is bool) {
	if len(f.Body) != 1 {
		return false, false
	}
	return f.Body[0] == commitAck, f.Body[0] == commitAck || f.Body[0] == commitNack
}

// Limits bound what a Reader takes. A zero one doesn't limit.
type Limits struct {
	Bytes int           // content of one frame
	Junk  int           // bytes before one start block
	Idle  time.Duration // from one frame's end to the next one's start
	Read  time.Duration // from a frame's start to its end
}

// What a Reader gives up on.
var (
	ErrTooLarge = errors.New("mllp: the frame is larger than the limit")
	ErrJunk     = errors.New("mllp: too many bytes came before a frame")
)

// Reader takes frames off a connection.
//
// It is lenient where a sender's meaning is plain: bytes before a start block are skipped, a start block within a
// frame begins the frame anew, and the final carriage return may be missing. It is strict where leniency could cut a
// message short: within a message a start block counts only if another message follows (0B is what word processors write
// for a line break), and an end block counts only if a carriage return, a start block, the end of the stream or a silence of a
// quarter of a second follows; otherwise it is content.
//
// A Reader holds at most its limit of bytes for a frame, and 64 KB beside it while a frame comes.
type Reader struct {
	in     input
	limits Limits
	clock  timekeeper
	owed   bool   // the last frame's carriage return may still come
	held   []byte // a start block within a message, and up to three bytes behind it, which say what it is
}

// NewReader reads from src. Idle and Read of limits, and the grace for a missing carriage return, need a src that has
// SetReadDeadline, as every net.Conn has; the Reader then sets its read deadline.
func NewReader(src io.Reader, limits Limits) *Reader {
	if conn, ok := src.(readDeadliner); ok {
		return newReader(src, limits, &connectionTime{conn: conn, deadlines: deadlines{idle: limits.Idle, read: limits.Read}})
	}
	return newReader(src, limits, noTime{})
}

func newReader(src io.Reader, limits Limits, clock timekeeper) *Reader {
	return &Reader{in: input{src: src, await: clock.await}, limits: limits, clock: clock}
}

// Next gives the next frame.
//
// The error is io.EOF when the stream ends between frames, io.ErrUnexpectedEOF when it ends within one, ErrTooLarge
// with the first 64 KB of the content in the frame (less if the limit is less), ErrJunk, or the connection's own. After
// an error the stream is at no known place and can't be read on. The frame's counts hold with an error too.
func (r *Reader) Next() (f Frame, err error) {
	r.in.rest()
	r.held = r.held[:0]
	if err := r.clock.enter(waiting); err != nil {
		return f, err
	}
	if err := r.skip(&f); err != nil {
		return f, err
	}
	if err := r.clock.enter(reading); err != nil {
		return f, err
	}
	for {
		chunk, err := r.in.fill()
		if err == io.EOF {
			if large := r.letGo(&f); large != nil {
				return f, large
			}
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			f.Body = nil
			return f, err
		}
		end := bytes.IndexByte(chunk, endBlock)
		if end < 0 {
			end = len(chunk)
		}
		if err := r.content(&f, chunk[:end]); err != nil {
			return f, err
		}
		closed := end < len(chunk)
		r.in.take(end)
		if !closed {
			continue
		}
		if err := r.letGo(&f); err != nil {
			return f, err
		}
		r.in.take(1)
		if done, err := r.ends(&f); done {
			return f, nil
		} else if err != nil {
			if !errors.Is(err, ErrTooLarge) {
				f.Body = nil
			}
			return f, err
		}
	}
}

// skip takes everything up to and with the next start block.
func (r *Reader) skip(f *Frame) error {
	for {
		chunk, err := r.in.fill()
		if err != nil {
			return err
		}
		if r.owed && chunk[0] == carriageReturn {
			r.in.take(1)
			r.owed = false
			continue
		}
		r.owed = false
		start := bytes.IndexByte(chunk, startBlock)
		junk := chunk
		if start >= 0 {
			junk = chunk[:start]
		}
		f.Junk += len(junk)
		if r.limits.Junk > 0 && f.Junk > r.limits.Junk {
			return ErrJunk
		}
		r.in.take(len(junk))
		if start >= 0 {
			r.in.take(1)
			return nil
		}
	}
}

// content adds what came of the frame. A start block begins the frame anew, unless it stands in a message and no other
// message follows.
func (r *Reader) content(f *Frame, part []byte) error {
	for len(part) > 0 {
		if len(r.held) > 0 {
			rest, err := r.decide(f, part)
			if err != nil {
				return err
			}
			part = rest
			continue
		}
		again := bytes.IndexByte(part, startBlock)
		if again < 0 {
			return r.append(f, part)
		}
		if err := r.append(f, part[:again]); err != nil {
			return err
		}
		part = part[again+1:]
		if beginsMessage(f.Body) {
			r.held = append(r.held, startBlock)
		} else {
			f.Dropped += len(f.Body) + 1
			f.Body = f.Body[:0]
		}
	}
	return nil
}

// decide takes the next byte behind a start block that stands in a message, and gives what comes after it.
func (r *Reader) decide(f *Frame, part []byte) (rest []byte, err error) {
	if part[0] == startBlock { // the one before it began nothing
		err = r.letGo(f)
		r.held = append(r.held, startBlock)
		return part[1:], err
	}
	if r.held = append(r.held, part[0]); len(r.held) < 4 {
		return part[1:], nil
	}
	if !beginsMessage(r.held[1:]) {
		return part[1:], r.letGo(f)
	}
	f.Dropped += len(f.Body) + 1
	f.Body = append(f.Body[:0], r.held[1:]...)
	r.held = r.held[:0]
	return part[1:], nil
}

// letGo makes what is held content.
func (r *Reader) letGo(f *Frame) error {
	if len(r.held) == 0 {
		return nil
	}
	f.Strays++
	err := r.append(f, r.held)
	r.held = r.held[:0]
	return err
}

// beginsMessage says whether a message or a batch starts so.
func beginsMessage(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	switch string(b[:3]) {
	case "MSH", "FHS", "BHS":
		return true
	}
	return false
}

// append adds content. Beyond the limit it cuts the frame to what is kept of it.
func (r *Reader) append(f *Frame, part []byte) error {
	if r.limits.Bytes > 0 && len(f.Body)+len(part) > r.limits.Bytes {
		most := min(kept, r.limits.Bytes)
		lacking := max(most-len(f.Body), 0)
		f.Body = bytes.Clone(append(f.Body, part[:lacking]...)[:most])
		return ErrTooLarge
	}
	if cap(f.Body)-len(f.Body) < len(part) && len(f.Body) > kept {
		more := max(len(part), len(f.Body)) // an attachment: double, since append grows by a quarter
		if r.limits.Bytes > 0 {
			more = min(more, r.limits.Bytes-len(f.Body))
		}
		f.Body = slices.Grow(f.Body, more)
	}
	f.Body = append(f.Body, part...)
	return nil
}

// ends looks behind an end block and says whether it ends the frame. If not, it is content.
func (r *Reader) ends(f *Frame) (bool, error) {
	b, silent, err := r.behind()
	if err != nil {
		return false, err
	}
	taken := []byte{endBlock}
	switch b {
	case nothing:
		f.NoCR, r.owed = true, true
		return true, nil
	case carriageReturn:
		r.in.take(1)
		return true, nil
	case startBlock:
		f.NoCR = true
		return true, nil
	case '\n':
		r.in.take(1)
		taken = append(taken, '\n')
		next, again, err := r.behind()
		if err != nil {
			return false, err
		}
		if next == nothing || next == startBlock {
			f.NoCR = true
			return true, nil
		}
		silent = silent || again
	}
	f.Strays++
	if silent {
		if err := r.clock.enter(resumed); err != nil {
			return false, err
		}
	}
	return false, r.append(f, taken)
}

const nothing = -1 // more, or not soon

// behind gives the next byte without taking it. silent says that it had to be waited for.
func (r *Reader) behind() (b int, silent bool, err error) {
	silent = len(r.in.ready) == 0
	if silent {
		if err := r.clock.enter(trailing); err != nil {
			return 0, silent, err
		}
	}
	next, err := r.in.fill()
	switch {
	case err == io.EOF, errors.Is(err, os.ErrDeadlineExceeded):
		return nothing, silent, nil
	case err != nil:
		return 0, silent, err
	}
	return int(next[0]), silent, nil
}

// WriteFrame writes body as one frame in one Write, so that it leaves whole, or in as few packets as it needs.
//
// It is a fault of kind invalid, and nothing is written, if body holds a byte that framing uses. n counts the bytes
// that were written.
func WriteFrame(w io.Writer, body []byte) (n int, err error) {
	frame := make([]byte, 0, len(body)+3)
	frame = append(append(append(frame, startBlock), body...), endBlock, carriageReturn)
	return writeFrame(w, frame)
}

// writeFrame is WriteFrame for a body that has its frame around it already.
func writeFrame(w io.Writer, frame []byte) (n int, err error) {
	if err := checkFraming(frame[1 : len(frame)-2]); err != nil {
		return 0, err
	}
	return w.Write(frame)
}

// checkFraming finds the first byte of a body that framing uses.
func checkFraming(body []byte) error {
	at := bytes.IndexByte(body, endBlock)
	if start := bytes.IndexByte(body, startBlock); start >= 0 && (at < 0 || start < at) {
		at = start
	}
	if at >= 0 {
		return contracts.Faultf(contracts.Invalid, CodeFraming, "",
			"Byte %d is one that MLLP uses for framing; it must be escaped.", at)
	}
	return nil
}

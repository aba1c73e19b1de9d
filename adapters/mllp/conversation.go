package mllp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// conversation is one connection at a door: frames one after another, each answered before the next is read.
type conversation struct {
	door   *Door
	conn   net.Conn
	frames *Reader
	log    logrus.FieldLogger

	mu        sync.Mutex
	deadlines deadlines
	phase     phase
	due       time.Time // when the next byte must have come, were there no hurry
	hurried   bool
	until     time.Time // with hurried: when this conversation must have ended
}

func newConversation(d *Door, conn net.Conn) *conversation {
	c := &conversation{
		door: d, conn: conn, log: d.log.WithField("remote", conn.RemoteAddr().String()),
		deadlines: deadlines{idle: d.settings.Idle, read: d.settings.Read},
	}
	c.frames = NewReader(conn, Limits{Bytes: d.settings.MaxBytes, Junk: d.options.junk})
	c.frames.enter = c.enter
	return c
}

// enter sets the deadline of the next read. A door that stops waits for no new frame.
func (c *conversation) enter(p phase) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.due = p, c.deadlines.at(p)
	c.arm()
	return c.deadlines.over(p)
}

func (c *conversation) arm() {
	t := c.due
	switch {
	case c.hurried && c.phase == waiting:
		t = time.Unix(1, 0)
	case c.hurried && c.phase != trailing: // whose end would be taken for a frame's
		t = earliest(t, c.until)
	}
	_ = c.conn.SetReadDeadline(t) // a dead connection shows itself by the read
}

// hurry ends the conversation: at once if no frame is under way, else after it, at the latest at until.
func (c *conversation) hurry(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurried, c.until = true, until
	c.arm()
}

func (c *conversation) isHurried() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hurried
}

func (c *conversation) run(ctx context.Context) {
	defer func() { _ = c.conn.Close() }()
	c.log.Debug("A connection is open.")
	for c.next(ctx) {
	}
}

// next takes one frame and says whether to go on.
func (c *conversation) next(ctx context.Context) bool {
	f, err := c.frames.Next()
	c.report(f)
	if errors.Is(err, ErrTooLarge) {
		if c.take(ctx, f.Body, c.tooLarge()) {
			c.linger()
		}
		return false
	}
	if err != nil {
		c.ended(err)
		return false
	}
	if _, is := f.commit(); is && c.door.options.release == Release2 {
		return true // it answers an acknowledgement of ours, and there is nothing that we would do about it
	}
	if !c.take(ctx, f.Body, nil) {
		return false
	}
	if c.isHurried() {
		c.linger()
		return false
	}
	return true
}

func (c *conversation) tooLarge() *contracts.Fault {
	return &contracts.Fault{
		Kind: contracts.Refused, Code: CodeTooLarge, ErrorCode: "207",
		Public: fmt.Sprintf("The frame is larger than %d bytes, the limit of this door; its first %d bytes were kept. Send less at once, or agree on a higher limit.", c.door.settings.MaxBytes, kept),
	}
}

// report tells what was odd about a frame; how much, never what.
func (c *conversation) report(f Frame) {
	if f.Junk == 0 && f.Dropped == 0 && f.Strays == 0 && !f.NoCR {
		return
	}
	c.log.WithFields(logrus.Fields{"junk": f.Junk, "dropped": f.Dropped, "strays": f.Strays, "noCR": f.NoCR, "bytes": len(f.Body)}).
		Warn("The framing was odd: bytes outside of frames were skipped, or block ends were incomplete.")
}

// ended logs why there will be no further frame.
func (c *conversation) ended(err error) {
	switch {
	case errors.Is(err, io.EOF), c.isHurried(), errors.Is(err, net.ErrClosed):
		c.log.Debug("The connection is closed.")
	case errors.Is(err, os.ErrDeadlineExceeded) && c.phase == waiting:
		c.log.Info("The connection was silent for too long and is closed.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.log.Warn("A frame didn't end in time; it is dropped without an answer, and the connection is closed.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.log.Warn("The connection ended within a frame; the frame is dropped without an answer.")
	case errors.Is(err, ErrJunk):
		c.log.Warn("What comes isn't MLLP: no frame began. The connection is closed.")
	default:
		c.log.WithError(err).Info("The connection broke.")
	}
}

// take hands a frame to the receiver and answers it. It says whether the connection is still good; it isn't when
// there is trouble of our own, and then nothing was answered. A panic costs one connection and no message.
func (c *conversation) take(ctx context.Context, body []byte, fault *contracts.Fault) (good bool) {
	defer func() {
		if p := recover(); p != nil {
			c.log.WithField("stack", string(debug.Stack())).Error("Receiving a message panicked; the connection is closed, so that its sender keeps what was not answered.")
			good = false
		}
	}()
	receipt, err := c.receive(ctx, contracts.Arrival{
		Partner: c.door.partner, Format: contracts.FormatV2, Body: contracts.NewBody(body), Fault: fault,
	})
	if err != nil {
		c.log.WithError(err).WithField("bytes", len(body)).Error("A message can't be kept; it gets no answer and the connection is closed, so that its sender keeps it.")
		return false
	}
	return c.answer(body, receipt)
}

// receive asks the receiver for its word.
func (c *conversation) receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, receiveWithin)
	defer cancel()
	begun := c.door.now()
	r, err := c.door.receiver.Receive(ctx, a)
	c.log.WithFields(logrus.Fields{"message": r.ID, "bytes": a.Body.Len(), "ms": c.door.now().Sub(begun).Milliseconds()}).Debug("A message came.")
	if err != nil {
		return r, err
	}
	if r.Fault != nil && (r.Fault.Kind == contracts.Internal || r.Fault.Kind == contracts.Unavailable) {
		return r, r.Fault // trouble of our own never becomes a refusal
	}
	return r, nil
}

// answer writes what the receipt calls for. In release 2 the commit acknowledgement goes first: the bytes are kept,
// refused or not.
func (c *conversation) answer(body []byte, receipt contracts.Receipt) bool {
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.door.options.write)) // a dead connection shows itself by the write
	if c.door.options.release == Release2 {
		if _, err := WriteFrame(c.conn, []byte{commitAck}); err != nil {
			c.log.WithError(err).Warn("A commit acknowledgement couldn't be written; the message is kept.")
			return false
		}
	}
	if receipt.At.IsZero() {
		receipt.At = c.door.now()
	}
	ack := acknowledge(c.door.partner, body, receipt)
	if ack == nil {
		return true
	}
	if _, err := WriteFrame(c.conn, ack); err != nil {
		c.log.WithError(err).WithField("message", receipt.ID).Warn("An acknowledgement couldn't be written; the message is kept, and a repeat of it gets the same one.")
		return false
	}
	return true
}

// linger closes our side and reads what the sender still writes, because closing a connection with unread bytes makes
// the system reset it, and the sender may then lose the answer that it was given. A door that stops lingers only for
// what is on its way: most senders keep their side open.
func (c *conversation) linger() {
	within := c.door.settings.Read
	if c.isHurried() {
		within = min(within, lingerStopping)
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(within)) // a dead connection shows itself by the read
		_, _ = io.Copy(io.Discard, c.conn)
	}
}

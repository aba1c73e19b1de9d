package mllp

import (
	"context"
	"crypto/tls"
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
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// conversation is one connection at a door: frames one after another, each answered before the next is read.
type conversation struct {
	door   *Door
	raw    net.Conn
	conn   net.Conn // raw, or TLS over it
	frames *Reader
	out    []byte // what was written last, for its capacity
	log    *logrus.Entry

	patience patience

	mu        sync.Mutex
	deadlines deadlines
	silent    time.Time // since when no frame has begun; zero while one is under way
	hurried   bool
	until     time.Time // with hurried: when this conversation must have ended
}

func newConversation(d *Door, raw net.Conn) *conversation {
	c := &conversation{
		door: d, raw: raw, conn: raw, log: d.log.WithField("remote", raw.RemoteAddr().String()),
		deadlines: deadlines{idle: d.settings.Idle, read: d.settings.Read},
		silent:    time.Now(),
	}
	if d.tls != nil {
		c.conn = tls.Server(raw, d.tls)
	}
	c.frames = newReader(c.conn, Limits{Bytes: d.settings.MaxBytes, Junk: d.options.junk}, c)
	return c
}

// enter begins a phase of reading a frame.
func (c *conversation) enter(p phase) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = time.Time{}
	return c.deadlines.enter(p)
}

// await sets the deadline of the next read. A door that stops waits for no new frame.
func (c *conversation) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, fresh := c.deadlines.due(); !fresh {
		return
	}
	if c.deadlines.phase == waiting {
		c.silent = time.Now()
	}
	c.arm()
}

func (c *conversation) arm() {
	t := c.deadlines.next
	switch {
	case c.hurried && c.deadlines.phase == waiting:
		t = time.Unix(1, 0)
	case c.hurried && c.deadlines.phase != trailing: // whose end would be taken for a frame's
		t = earliest(t, c.until)
	}
	_ = c.conn.SetReadDeadline(t) // a dead connection shows itself by the read
}

// hurry ends the conversation: at once if no frame is under way, else after it, at the latest at until, or at the time
// that it was given before.
func (c *conversation) hurry(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurried, c.until = true, earliest(c.until, until)
	if !c.deadlines.stale { // else the next await will
		c.arm()
	}
}

func (c *conversation) isHurried() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hurried
}

// silence is how long no frame has begun.
func (c *conversation) silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent.IsZero() {
		return 0
	}
	return time.Since(c.silent)
}

func (c *conversation) run(ctx context.Context) {
	defer func() { _ = c.conn.Close() }()
	defer c.patience.end()
	if !c.handshake(ctx) {
		return
	}
	c.log.Debug("A connection is open.")
	for c.next(ctx) {
	}
}

// handshake agrees on TLS, where the door speaks it.
func (c *conversation) handshake(ctx context.Context) bool {
	secured, ok := c.conn.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	defer context.AfterFunc(c.door.stopping, cancel)() // nothing was begun that a door that stops would finish
	err := secured.HandshakeContext(ctx)
	switch {
	case err == nil:
		return true
	case c.isHurried(), c.door.stopping.Err() != nil:
		c.log.Debug("The connection is closed.")
	default:
		c.log.WithField("reason", reason(err)).Warn("TLS with a client failed; its connection is closed, and nothing was read from it.")
	}
	return false
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
	if _, is := f.commit(); is && c.door.settings.Release == release2 {
		return true // it answers an acknowledgement of ours, and there is nothing that we would do about it
	}
	c.waitForTurn()
	if !c.take(ctx, f.Body, nil) {
		return false
	}
	if c.isHurried() {
		c.linger()
		return false
	}
	return true
}

// waitForTurn holds a message that is ahead of the door's rate. When the door stops, what came has its turn at once: there
// is at most one frame a connection.
func (c *conversation) waitForTurn() {
	if c.door.pace != nil {
		_ = c.door.pace.Wait(c.door.stopping) // the one error is that the door stops
	}
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
	between := c.deadlines.phase == waiting
	switch {
	case errors.Is(err, io.EOF), c.isHurried(), errors.Is(err, net.ErrClosed):
		c.log.Debug("The connection is closed.")
	case errors.Is(err, io.ErrUnexpectedEOF) && between: // TLS without its farewell
		c.log.Debug("The connection is closed.")
	case errors.Is(err, os.ErrDeadlineExceeded) && between:
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
// there is trouble of our own, and then nothing more was answered. A panic costs one connection and no message.
func (c *conversation) take(ctx context.Context, body []byte, fault *contracts.Fault) (good bool) {
	defer func() {
		if p := recover(); p != nil {
			c.log.WithField("stack", string(debug.Stack())).Error("Receiving a message panicked; the connection is closed, so that its sender keeps what was not answered.")
			good = false
		}
	}()
	batch, err := hl7v2.ReadBatch(body, c.door.settings.MaxMessages)
	switch {
	case batch == nil:
		return c.takeWhole(ctx, body, hl7v2.ReadHeader(body), fault)
	case fault != nil:
		return c.takeWhole(ctx, body, firstHeader(batch), fault)
	}
	return c.takeBatch(ctx, body, batch, err)
}

// takeWhole takes a frame as one message. head is the header that the acknowledgement answers, nil for none.
func (c *conversation) takeWhole(ctx context.Context, body []byte, head *hl7v2.Header, fault *contracts.Fault) bool {
	frame, receipt, err := c.receive(ctx, append(c.out[:0], startBlock), body, head, fault)
	if err != nil {
		return c.trouble(err, len(body))
	}
	if cap(frame) <= kept {
		c.out = frame
	}
	said := byte(commitAck)
	if fault != nil && fault.Code == CodeTooLarge {
		said = commitNack // only its beginning was kept
	}
	return c.commit(said) && (len(frame) == 1 || c.write(append(frame, endBlock, carriageReturn), receipt.ID))
}

// receive gives a message to the receiver, and appends to dst what is to be answered, which may be nothing. An
// acknowledgement is then offered to who waits for one: who takes it may act on it, so it has to be kept before. Whether
// the receiver refuses it as a message matters to nobody then.
func (c *conversation) receive(ctx context.Context, dst, body []byte, head *hl7v2.Header, fault *contracts.Fault) ([]byte, contracts.Receipt, error) {
	if fault == nil {
		fault = unwritable(body, head)
	}
	receipt, err := c.ask(ctx, contracts.Arrival{
		Partner: c.door.partner, Format: contracts.FormatV2, Body: contracts.NewBody(body), Fault: fault,
	})
	if err != nil {
		return dst, receipt, err
	}
	if receipt.At.IsZero() {
		receipt.At = c.door.now()
	}
	if fault == nil && c.taken(body, head) {
		return acceptAcknowledgement(dst, c.door.partner, head, receipt.At), receipt, nil
	}
	return acknowledge(dst, c.door.partner, head, receipt), receipt, nil
}

// taken says whether a message is an acknowledgement that somebody waits for.
func (c *conversation) taken(body []byte, head *hl7v2.Header) bool {
	if head == nil || c.door.options.offer == nil || !head.IsAcknowledgement() {
		return false
	}
	ack, err := hl7v2.ReadAcknowledgement(body)
	return err == nil && c.door.options.offer(ack)
}

// ask gets the receiver's word.
func (c *conversation) ask(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	ctx, enough := c.patience.begin(ctx)
	defer enough()
	begun := time.Now()
	r, err := c.door.receiver.Receive(ctx, a)
	if c.log.Logger.IsLevelEnabled(logrus.DebugLevel) { // the fields cost as much as the rest
		c.log.WithFields(logrus.Fields{"message": r.ID, "trace": contracts.TraceID(r.Trace), "bytes": a.Body.Len(), "ms": time.Since(begun).Milliseconds()}).Debug("A message came.")
	}
	if err != nil {
		return r, err
	}
	if r.Fault != nil && (r.Fault.Kind == contracts.Internal || r.Fault.Kind == contracts.Unavailable) {
		return r, r.Fault // trouble of our own never becomes a refusal
	}
	return r, nil
}

// trouble is our own: the sender gets no answer, keeps what wasn't answered and sends it again.
func (c *conversation) trouble(err error, bytes int) (good bool) {
	c.log.WithError(err).WithField("bytes", bytes).Error("A message can't be kept; it gets no answer and the connection is closed, so that its sender keeps it.")
	return false
}

// commit writes release 2's commit acknowledgement, which goes first: positive when the bytes are kept, refused or not.
func (c *conversation) commit(said byte) bool {
	return c.door.settings.Release != release2 || c.write([]byte{startBlock, said, endBlock, carriageReturn}, "")
}

// write writes a frame. What it answers is kept, whether the sender hears of it or not.
func (c *conversation) write(frame []byte, id contracts.ID) bool {
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeWithin)) // a dead connection shows itself by the write
	if _, err := writeFrame(c.conn, frame); err != nil {
		c.log.WithError(err).WithField("message", id).Warn("An acknowledgement couldn't be written; the message is kept, and a repeat of it gets the same one.")
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

package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// line is one connection to a partner, and the messages in flight on it. Its reader runs all the time: it gives each
// acknowledgement to the message that it names, and notices a connection which the partner closed while nothing was in
// flight before a message is written to it, not after.
//
// Whatever comes that is due to nobody ends the line, and with it every message in flight, since it can't be known any
// more what the partner means by what it says.
type line struct {
	conn      net.Conn
	release   int
	within    time.Duration // for a write
	idle      time.Duration // a line that is silent so long ends; zero keeps it
	now       func() time.Time
	log       *logrus.Entry
	later     func(body []byte) error // see Courier.Forward
	writing   chan struct{}           // its one token is with who writes
	answering chan struct{}           // its one token is with the reader while it tells of an acknowledgement and answers it
	ended     chan struct{}           // closed when the reader has returned

	mu      sync.Mutex
	flights []*flight // in the order in which they left
	past    []due     // what may still come for messages that have landed, latest last
	most    int       // of past
	// Whose commit acknowledgement is due in release 2, in the order in which they left; nil for an answer of ours.
	uncommitted []*flight
	dead        *contracts.Fault // why the line has ended; nil while it is sound
	used        time.Time        // when it was last taken for a message, or a message landed
	silence     *time.Timer      // ends it; nil where it is kept
}

// flight is a message on its way: written or about to be, and not decided yet.
type flight struct {
	line    *line
	control string
	accepts bool // CA is due, and counts as acceptance
	replies bool // an application acknowledgement may come, if only of a refusal
	onward  bool // the accept acknowledgement doesn't decide; the application's does
	// What the line knows of it, under its mutex.
	accepted bool
	landed   bool
	news     chan news
}

// news is what a flight hears: an acknowledgement, a negative commit acknowledgement, or why the line ended.
type news struct {
	ack  hl7v2.Acknowledgement
	nack bool
	end  *contracts.Fault
}

// due is an acknowledgement that may follow the one that decided: the application's behind an accept acknowledgement,
// or the other way round where the two overtake each other.
type due struct {
	control string
	kind    byte // A or C, as MSA-1 begins
}

// remembered is how many of them a line keeps, at least. They come soon, or by another way.
const remembered = 64

func newLine(conn net.Conn, s contracts.MLLPCourier, now func() time.Time, log *logrus.Entry, later func([]byte) error) *line {
	l := &line{later: later, conn: conn, release: s.Release, within: s.Write, idle: s.Idle, used: time.Now(), now: now, log: log, writing: make(chan struct{}, 1), answering: make(chan struct{}, 1), ended: make(chan struct{}), most: max(remembered, 4*s.Pipeline)}
	if l.idle > 0 {
		l.mu.Lock()
		l.silence = time.AfterFunc(l.idle, l.rest)
		l.mu.Unlock()
	}
	go l.listen()
	return l
}

// rest ends a line that has been silent for its time.
func (l *line) rest() {
	l.mu.Lock()
	left := l.idle - time.Since(l.used)
	if len(l.flights) > 0 {
		left = l.idle
	}
	silent := l.dead == nil && left <= 0
	switch {
	case silent:
		l.dead = unavailable(CodeClosed, "The connection was silent for too long.", nil) // nothing is in flight
	case l.dead == nil:
		l.silence.Reset(left)
	}
	l.mu.Unlock()
	if silent {
		l.log.Debug("The connection was silent for too long and is closed.")
		_ = l.conn.Close() // nothing is in flight
	}
}

func (l *line) listen() {
	defer close(l.ended)
	r := NewReader(l.conn, Limits{Bytes: maxAnswer, Junk: maxAnswer})
	for {
		f, err := r.Next()
		if err != nil {
			l.fail(broken(err))
			return
		}
		if fault := l.hear(f); fault != nil {
			l.fail(fault)
			return
		}
	}
}

// broken says why no more can come.
func broken(err error) *contracts.Fault {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if alert := (*net.OpError)(nil); errors.As(err, &alert) && alert.Op == "remote error" {
		return unavailable(CodeNoTrust, "TLS failed: "+reason(err)+".", untrusted(err))
	}
	return unavailable(CodeNoAnswer, "The partner closed the connection without an acknowledgement.", err)
}

// hear takes what came, answers it where that is due, and tells whom it is for. A fault ends the line.
func (l *line) hear(f Frame) *contracts.Fault {
	if stored, is := f.commit(); is && l.release == release2 {
		return l.hearCommit(stored)
	}
	ack, err := hl7v2.ReadAcknowledgement(f.Body)
	if err != nil {
		return unavailable(CodeUnreadable, "What came back is no acknowledgement.", nil) // its own fault's kind would hide this one
	}
	to, known := l.addressee(ack)
	if !known {
		return unavailable(CodeForeign, "An acknowledgement came that names another message; it was not taken.", nil)
	}
	// What became of the message is told first: the partner may take its time to read what answers.
	l.answering <- struct{}{}
	defer func() { <-l.answering }()
	if to != nil {
		l.settle(to, ack)
	} else if fault := l.late(f.Body, ack); fault != nil {
		return fault
	}
	return l.answer(f.Body, ack)
}

// hearCommit takes a commit acknowledgement of release 2: the partner stored the block that left longest ago without one.
// A refusal is taken only for a message that is still in flight. What nobody waits for ends the line, since it can't be
// known any more which block the next one speaks of.
func (l *line) hearCommit(stored bool) *contracts.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.uncommitted) == 0 {
		return unavailable(CodeForeign, "A commit acknowledgement came that nobody waits for; it was not taken.", nil)
	}
	f := l.uncommitted[0]
	l.uncommitted = slices.Delete(l.uncommitted, 0, 1)
	switch {
	case stored:
	case f == nil:
		l.log.Debug("The partner could not store an acknowledgement of its acknowledgement.")
	case f.landed:
		return unavailable(CodeForeign, "A negative commit acknowledgement came for a message that was answered before; it was not taken.", nil)
	default:
		l.remove(f)
		f.news <- news{nack: true}
	}
	return nil
}

// awaitCommit remembers that a block leaves whose commit acknowledgement is due: a message's, or nil for an answer of
// ours. Partners that leave them out are put up with.
func (l *line) awaitCommit(f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.uncommitted = append(l.uncommitted, f); len(l.uncommitted) > remembered {
		l.uncommitted = slices.Delete(l.uncommitted, 0, 1)
	}
}

// addressee finds the flight that an acknowledgement is for. known without one means that it is due to a message that
// has landed.
func (l *line) addressee(ack hl7v2.Acknowledgement) (to *flight, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flights {
		if f.control == ack.ControlID {
			return f, true
		}
	}
	return nil, slices.Contains(l.past, due{ack.ControlID, ack.Code[0]})
}

// answer writes what an acknowledgement itself calls for: a commit acknowledgement in release 2, and an accept
// acknowledgement if it is an application's that asks for one.
func (l *line) answer(body []byte, ack hl7v2.Acknowledgement) *contracts.Fault {
	var out [][]byte
	if l.release == release2 {
		out = append(out, []byte{commitAck})
	}
	if header := hl7v2.ReadHeader(body); ack.Code[0] == 'A' && header != nil {
		if accept := acceptAcknowledgement(nil, "courier", header, l.now()); len(accept) > 0 {
			out = append(out, accept)
		}
	}
	for _, b := range out {
		if _, err := l.write(context.Background(), b, nil); err != nil {
			return unavailable(CodeNoAnswer, "The connection broke while an acknowledgement was being answered.", err)
		}
	}
	return nil
}

// settle tells a flight of its acknowledgement. It lands, unless its application's acknowledgement is to follow. False
// says that it has landed before, or that the acknowledgement decides nothing: a CA that the message didn't ask for
// is no acceptance (some servers send it for every message), and what was asked for is still to come.
func (l *line) settle(f *flight, ack hl7v2.Acknowledgement) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case f.landed, ack.Code == "CA" && f.accepted:
		return false
	case ack.Code == "CA" && !f.accepts:
		l.log.WithField("control", f.control).Debug("A CA came that the message didn't ask for; its application's acknowledgement decides.")
		return false
	case ack.Code == "CA" && f.onward:
		f.accepted = true
		l.log.WithField("control", f.control).Debug("The partner has a message (CA); the application's acknowledgement is awaited.")
	case ack.Code == "CA" && f.replies:
		l.expect(due{f.control, 'A'})
		l.remove(f)
	case ack.Code[0] == 'A' && f.accepts && !f.accepted:
		l.expect(due{f.control, 'C'})
		l.remove(f)
	default:
		l.remove(f)
	}
	f.news <- news{ack: ack}
	return true
}

// expect keeps in mind what may follow. l.mu is held.
func (l *line) expect(d due) {
	if l.past = append(l.past, d); len(l.past) > l.most {
		l.past = slices.Delete(l.past, 0, 1)
	}
}

// remove takes a flight off the line. l.mu is held.
func (l *line) remove(f *flight) {
	f.landed, l.used = true, time.Now()
	if i := slices.Index(l.flights, f); i >= 0 {
		l.flights = slices.Delete(l.flights, i, i+1)
	}
}

// late takes the other acknowledgement of a message that the first one decided. It decides nothing any more, but a
// refusal must not get lost: if it can't be kept, it isn't answered, and the line ends.
func (l *line) late(body []byte, ack hl7v2.Acknowledgement) *contracts.Fault {
	log := l.log.WithFields(logrus.Fields{"answer": ack.Code, "control": ack.ControlID})
	if ack.Accepted() {
		log.Debug("The other acknowledgement of a message came, which was delivered by the first.")
		return nil
	}
	log.Warn("The partner refused a message after all that counts as delivered by its first acknowledgement" + objections(ack) + ". Ask the partner, or let the application's acknowledgement decide.")
	if l.later == nil {
		return nil
	}
	if err := l.later(body); err != nil {
		return unavailable(CodeNoAnswer, "The connection was closed because a later refusal of another message couldn't be kept.", err)
	}
	return nil
}

// launch puts a message in flight, before its first byte is written. It gives why the line has ended, if it has.
func (l *line) launch(f *flight) *contracts.Fault {
	f.line, f.news = l, make(chan news, 4) // what a flight can hear at most, so that nobody waits to tell it
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead == nil {
		l.flights = append(l.flights, f)
	}
	return l.dead
}

// leave takes a flight off that nobody waits for any more.
func (l *line) leave(f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(f)
}

// sound says whether the line can carry a message, for which it is then kept.
func (l *line) sound() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = time.Now()
	return l.dead == nil
}

// write writes a frame: the message of f, or an answer of ours. It ends early when ctx does; the line is of no use then,
// if writing had begun.
func (l *line) write(ctx context.Context, body []byte, f *flight) (int, error) {
	if f != nil { // behind what answers the message before: release 2 is synchronous
		select {
		case l.answering <- struct{}{}:
			<-l.answering
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if l.release == release2 && !(len(body) == 1 && body[0] == commitAck) {
		l.awaitCommit(f)
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(l.within)) // a dead connection shows itself by the write
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	return WriteFrame(l.conn, body)
}

// fail ends the line and all that is in flight on it. The first reason holds.
func (l *line) fail(why *contracts.Fault) {
	l.mu.Lock()
	first := l.dead == nil
	if first {
		l.dead = why
	}
	for _, f := range l.flights {
		f.landed = !f.accepted // the application's acknowledgement may still come by another way
		f.news <- news{end: why}
	}
	l.flights = nil
	l.mu.Unlock()
	if first {
		if l.silence != nil {
			l.silence.Stop()
		}
		_ = l.conn.Close() // nothing is in flight that anybody still counts on
	}
}

// close ends the line and waits for its reader.
func (l *line) close(why *contracts.Fault) {
	l.fail(why)
	<-l.ended
}

// finish waits a moment for an acknowledgement that is being answered.
func (l *line) finish() {
	enough := time.NewTimer(lingerStopping)
	defer enough.Stop()
	select {
	case l.answering <- struct{}{}:
		<-l.answering
	case <-enough.C:
	}
}

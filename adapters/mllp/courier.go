package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Courier takes messages to one partner's listener over connections that it keeps open. Several goroutines may call
// Deliver; each connection has one message in flight, because some servers answer pipelined ones out of order.
type Courier struct {
	settings contracts.MLLPCourier
	now      func() time.Time
	log      logrus.FieldLogger
	options  options
	dial     func(ctx context.Context, address string) (net.Conn, error)

	lines chan *line // the free places for a connection; nil in one means that it has to be made
	life  context.Context
	end   context.CancelFunc // ends life: the courier is closed
	once  sync.Once
}

// NewCourier makes a courier; it connects when the first message leaves. Zero settings get the defaults of
// contracts.MLLPCourier. Answer bounds the writing of a message, and again the wait for its acknowledgement.
func NewCourier(settings contracts.MLLPCourier, now func() time.Time, log logrus.FieldLogger, opts ...Option) *Courier {
	if settings.Connect == 0 {
		settings.Connect = 10 * time.Second
	}
	if settings.Answer == 0 {
		settings.Answer = 30 * time.Second
	}
	c := &Courier{
		settings: settings, now: now, log: log.WithFields(logrus.Fields{"courier": "mllp", "to": settings.To}),
		options: newOptions(1, opts),
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.dial = func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	c.lines = make(chan *line, c.options.connections)
	for range c.options.connections {
		c.lines <- nil
	}
	return c
}

// Deliver writes the parcel as one frame and waits for its acknowledgement. It tries once.
//
// AA and CA mean delivered. AE, AR, CE and CR are a fault of kind refused; with error code 205, AR and CR mean
// delivered if the parcel is a repeat, else conflict. No connection, no answer, or an answer that isn't the parcel's
// is unavailable, and Answer.Unknown says whether a byte may have left. In enhanced mode the accept acknowledgement
// decides: the application acknowledgement is another message, which comes through the door.
func (c *Courier) Deliver(ctx context.Context, p contracts.Parcel) (answer contracts.Answer, err error) {
	if fault := check(p); fault != nil {
		return contracts.Answer{}, fault
	}
	l, err := c.take(ctx)
	if err != nil {
		return contracts.Answer{}, err
	}
	good := false
	defer func() { // whatever happened, a panic too: the place is free again
		if !good {
			l.close()
			l = nil
		}
		c.lines <- l
	}()
	begun := c.now()
	answer, good, err = c.exchange(ctx, l, p)
	c.log.WithFields(logrus.Fields{"message": p.ID, "attempt": p.Attempt, "answer": answer.Code, "kind": contracts.KindOf(err),
		"bytes": p.Body.Len(), "ms": c.now().Sub(begun).Milliseconds()}).Debug("A message was offered.")
	return answer, err
}

// check finds what makes a delivery senseless before anything leaves: a message that isn't the parcel's, or one whose
// acknowledgement will never come.
func check(p contracts.Parcel) error {
	header, err := hl7v2.Scan(p.Body.Bytes())
	if header == nil {
		return err
	}
	if header.ControlID() != p.Control {
		return contracts.Faultf(contracts.Internal, "", "MSH-10", "The message carries another control id than its parcel.")
	}
	if !header.AcceptDue(hl7v2.Accepted) && !header.ApplicationDue(hl7v2.Accepted) {
		return contracts.Faultf(contracts.Invalid, CodeNotAsked, "MSH-15", "The message asks for no acknowledgement, so its delivery can't be known. Correct MSH-15 and MSH-16 in the map.")
	}
	return nil
}

// take gives a connection that is free and sound, and makes one if there is none.
func (c *Courier) take(ctx context.Context) (*line, error) {
	var l *line
	select {
	case l = <-c.lines:
	case <-ctx.Done():
		return nil, unavailable(CodeClosed, "The message didn't leave: no connection came free in time.", ctx.Err())
	case <-c.life.Done():
		return nil, unavailable(CodeClosed, "The courier is closed.", nil)
	}
	if l != nil && l.sound() {
		return l, nil
	}
	if l != nil {
		c.log.Debug("The partner closed the connection, or sent what nobody asked for; a new one is made.")
		l.close()
	}
	l, err := c.connect(ctx)
	if err != nil {
		c.lines <- nil
		return nil, err
	}
	return l, nil
}

func (c *Courier) connect(ctx context.Context) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, c.settings.Connect)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	conn, err := c.dial(ctx, c.settings.To)
	if err != nil {
		return nil, unavailable(CodeNoConnection, "The partner's listener can't be reached; nothing was sent. Check its address, and whether it runs.", err)
	}
	return newLine(conn), nil
}

// exchange writes the parcel and reads until its acknowledgement. good says whether the connection can be used again.
func (c *Courier) exchange(ctx context.Context, l *line, p contracts.Parcel) (answer contracts.Answer, good bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	stop := context.AfterFunc(ctx, l.interrupt)
	defer func() { good = stop() && good }()                       // an interrupted line could interrupt the next message
	_ = l.conn.SetWriteDeadline(time.Now().Add(c.settings.Answer)) // a dead connection shows itself by the write
	n, err := WriteFrame(l.conn, p.Body.Bytes())
	if fault := (*contracts.Fault)(nil); errors.As(err, &fault) {
		return contracts.Answer{}, true, fault
	}
	if err != nil {
		return contracts.Answer{Unknown: n > 0}, false, unavailable(CodeNotWritten, "The connection broke while the message was being written.", err)
	}
	limit := time.NewTimer(c.settings.Answer)
	defer limit.Stop()
	for {
		select {
		case f, open := <-l.frames:
			if !open {
				return unknown(CodeNoAnswer, "The partner closed the connection without an acknowledgement."+hint(p), l.err)
			}
			if done, answer, good, err := c.read(l, f, p); done {
				return answer, good, err
			}
		case <-limit.C:
			return unknown(CodeNoAnswer, "No acknowledgement came in time."+hint(p), nil)
		case <-ctx.Done():
			return unknown(CodeClosed, "The hub stopped waiting for the acknowledgement.", ctx.Err())
		}
	}
}

// read takes one frame that came back. done is false for one that doesn't decide: a commit acknowledgement, or the
// application acknowledgement of an earlier message in enhanced mode.
func (c *Courier) read(l *line, f Frame, p contracts.Parcel) (done bool, answer contracts.Answer, good bool, err error) {
	if stored, is := f.commit(); is && c.options.release == Release2 {
		if stored {
			return false, answer, true, nil
		}
		return true, contracts.Answer{Code: "NAK"}, true, unavailable(CodeNack, "The partner could not store the message.", nil)
	}
	ack, err := hl7v2.ReadAcknowledgement(f.Body)
	if err != nil {
		answer, good, err = unknown(CodeUnreadable, "What came back is no acknowledgement.", nil) // its own fault's kind would hide this one
		return true, answer, good, err
	}
	if ack.ControlID != p.Control {
		if l.accepted(ack) {
			c.log.WithField("answer", ack.Code).Info("An application acknowledgement came for a message that was accepted before.")
			return false, answer, true, nil
		}
		answer, good, err = unknown(CodeForeign, "An acknowledgement came that names another message; it was not taken.", nil)
		return true, answer, good, err
	}
	if c.options.release == Release2 {
		_, err := WriteFrame(l.conn, []byte{commitAck})
		good = err == nil // the message's own fate is known all the same
	} else {
		good = true
	}
	l.remember(ack)
	answer, err = judge(ack, p)
	return true, answer, good, err
}

// Close closes the connections. Deliveries under way end with an unknown outcome; later ones get no connection.
func (c *Courier) Close() error {
	c.once.Do(func() {
		c.end()
		for range cap(c.lines) {
			if l := <-c.lines; l != nil {
				l.close()
			}
		}
	})
	return nil
}

func unavailable(code, text string, cause error) *contracts.Fault {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: code, Public: text, Err: cause}
}

// unknown is the end of an exchange whose message may have arrived. Its connection is not used again, so that a late
// acknowledgement meets nobody.
func unknown(code, text string, cause error) (contracts.Answer, bool, error) {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	return contracts.Answer{Unknown: true}, false, unavailable(code, text, cause)
}

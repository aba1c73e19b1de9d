package mllp

import (
	"bytes"
	"context"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Courier takes messages to one partner's listener over connections that it keeps open. Several goroutines may call
// Deliver. Each connection has one message in flight, because some servers answer pipelined ones out of order or
// confuse them; where the contract's pipeline allows more, they may be answered in any order.
type Courier struct {
	settings contracts.MLLPCourier
	now      func() time.Time
	log      *logrus.Entry
	dial     func(ctx context.Context, address string) (net.Conn, error)
	tls      *credentials // nil without TLS

	later func(body []byte) error // takes what is said of a message after its delivery; nil: it is only logged

	free   chan *place // a place stands in it once for each message that it can take
	places []*place
	life   context.Context
	end    context.CancelFunc // ends life: the courier is closed
	once   sync.Once

	mu     sync.Mutex
	pauses backoff.ExponentialBackOff
	due    time.Time          // when the next attempt to connect is; zero for at once
	onward map[string]*flight // whose application's acknowledgement decides, by control id
}

// place is where a connection can be.
type place struct {
	turn chan struct{} // its one token is with whoever looks at line or changes it
	line *line
}

// NewCourier makes a courier; it connects when the first message leaves. Zero settings get the defaults of
// contracts.MLLPCourier. Answer bounds the wait for each acknowledgement. In release 2, which is synchronous, one message is in flight on a connection, whatever pipeline says. Contracts.Faults
// say what is wrong with the files of TLS.
func NewCourier(settings contracts.MLLPCourier, now func() time.Time, log logrus.FieldLogger) (*Courier, error) {
	settings.Defaults()
	if settings.Release == release2 {
		settings.Pipeline = 1
	}
	c := &Courier{
		settings: settings, now: now, log: log.WithFields(logrus.Fields{"courier": "mllp", "to": settings.To}),
		free:   make(chan *place, settings.Connections*settings.Pipeline),
		pauses: reconnecting(),
		onward: map[string]*flight{},
	}
	var err error
	if c.tls, err = courierTLS(settings.TLS, settings.To, c.log); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.dial = func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	for range settings.Connections {
		p := &place{turn: make(chan struct{}, 1)}
		p.turn <- struct{}{}
		c.places = append(c.places, p)
	}
	for range settings.Pipeline {
		for _, p := range c.places {
			c.free <- p
		}
	}
	return c, nil
}

// Forward gives to r, as if it came in by the partner's door, each refusal by an application of what its accept
// acknowledgement let count as delivered. Without it they are only logged. It is called before the first Deliver.
func (c *Courier) Forward(partner string, r Receiver) {
	c.later = func(body []byte) error {
		ctx, cancel := context.WithTimeout(c.life, receiveWithin)
		defer cancel()
		_, err := r.Receive(ctx, contracts.Arrival{Partner: partner, Format: contracts.FormatV2, Body: contracts.NewBody(bytes.Clone(body))})
		return err
	}
}

// Deliver writes the parcel as one frame and waits for its acknowledgement. It tries once.
//
// AA means delivered, and CA if the message asks for it. AE, AR, CE and CR are a fault of kind refused; with error code 205, AR and CR mean
// delivered if the parcel is a repeat, else conflict. No connection, no answer, or an answer that isn't the parcel's
// is unavailable, and Answer.Unknown says whether a byte may have left. What goes wrong on a connection ends all that
// is in flight on it, so that a late acknowledgement meets nobody.
//
// Where a message asks for both acknowledgements of enhanced mode, CA decides, and the application's goes the way of Forward;
// or, if the contract says so, the application's decides: then CA begins a new wait for it, on the same connection or
// by Offer. Where the application is asked to tell of refusals only (MSH-16 ER), CA decides, since silence is success.
func (c *Courier) Deliver(ctx context.Context, p contracts.Parcel) (answer contracts.Answer, err error) {
	f, err := c.prepare(p)
	if err != nil {
		return contracts.Answer{}, err
	}
	at, l, err := c.take(ctx)
	if err != nil {
		return contracts.Answer{}, err
	}
	good := false
	defer func() { // whatever happened, a panic too: the place is free again
		if !good {
			l.close(unavailable(CodeNoAnswer, "The connection was closed because another message on it got no answer.", nil))
		}
		c.free <- at
	}()
	begun := c.now()
	answer, good, err = c.exchange(ctx, l, f, p)
	if c.log.Logger.IsLevelEnabled(logrus.DebugLevel) {
		c.log.WithFields(logrus.Fields{"message": p.ID, "trace": contracts.TraceID(p.Trace), "attempt": p.Attempt, "answer": answer.Code, "kind": contracts.KindOf(err),
			"bytes": p.Body.Len(), "ms": c.now().Sub(begun).Milliseconds()}).Debug("A message was offered.")
	}
	return answer, err
}

// prepare finds what makes a delivery senseless before anything leaves, a message that isn't the parcel's, or one whose
// acknowledgement will never come; and which acknowledgements are due.
func (c *Courier) prepare(p contracts.Parcel) (*flight, error) {
	header := hl7v2.ReadHeader(p.Body.Bytes())
	if header == nil {
		_, err := hl7v2.Scan(p.Body.Bytes())
		return nil, err
	}
	if header.ControlID() != p.Control {
		return nil, contracts.Faultf(contracts.Internal, "", "MSH-10", "The message carries another control id than its parcel.")
	}
	if err := checkFraming(p.Body.Bytes()); err != nil {
		return nil, err
	}
	f := &flight{control: p.Control, accepts: header.AcceptDue(hl7v2.Accepted)}
	applies := header.ApplicationDue(hl7v2.Accepted)
	f.replies = applies || header.ApplicationDue(hl7v2.Failed)
	if !f.accepts && !applies {
		return nil, contracts.Faultf(contracts.Invalid, CodeNotAsked, "MSH-15", "The message asks for no acknowledgement, so its delivery can't be known. Correct MSH-15 and MSH-16 in the map.")
	}
	f.onward = applies && header.Enhanced() && c.settings.Acknowledgement == contracts.AckApplication
	return f, nil
}

// take gives a connection that is sound, at a place that can take one more message.
func (c *Courier) take(ctx context.Context) (*place, *line, error) {
	var at *place
	select {
	case at = <-c.free:
	case <-ctx.Done():
		return nil, nil, unavailable(CodeClosed, "The message didn't leave: no connection came free in time.", ctx.Err())
	case <-c.life.Done():
		return nil, nil, unavailable(CodeClosed, "The courier is closed.", nil)
	}
	l, err := c.lineAt(ctx, at)
	if err != nil {
		c.free <- at
		return nil, nil, err
	}
	return at, l, nil
}

// lineAt gives the connection of a place, and makes one if there is none that is sound.
func (c *Courier) lineAt(ctx context.Context, at *place) (*line, error) {
	select {
	case <-at.turn:
		defer func() { at.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, unavailable(CodeClosed, "The message didn't leave: no connection came free in time.", ctx.Err())
	}
	if c.life.Err() != nil {
		return nil, unavailable(CodeClosed, "The courier is closed.", nil)
	}
	if at.line != nil && at.line.sound() {
		return at.line, nil
	}
	if at.line != nil {
		c.log.Debug("The partner closed the connection, or sent what nobody asked for, or it was silent; a new one is made.")
		at.line.close(unavailable(CodeClosed, "The connection is replaced.", nil))
		at.line = nil
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	at.line = newLine(conn, c.settings, c.now, c.log, c.later)
	return at.line, nil
}

// exchange writes the parcel and waits for what decides. good says whether the connection can be used again.
func (c *Courier) exchange(ctx context.Context, l *line, f *flight, p contracts.Parcel) (answer contracts.Answer, good bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	if why := l.launch(f); why != nil && why.Code == CodeNoTrust {
		return answer, false, why // in TLS 1.3 a partner refuses our certificate when we hold the connection for made
	} else if why != nil {
		return answer, false, unavailable(CodeNotWritten, "The partner closed the connection before the message was written.", why)
	}
	defer l.leave(f)
	defer c.await(f)()
	n, err := l.write(ctx, p.Body.Bytes(), f)
	if err != nil {
		return contracts.Answer{Unknown: n > 0}, false, unavailable(CodeNotWritten, "The connection broke while the message was being written.", err)
	}
	return c.decide(ctx, f, p)
}

// decide waits for the acknowledgement that says what became of a message.
func (c *Courier) decide(ctx context.Context, f *flight, p contracts.Parcel) (answer contracts.Answer, good bool, err error) {
	limit := time.NewTimer(c.settings.Answer)
	defer limit.Stop()
	accepted := false
	for {
		select {
		case n := <-f.news:
			switch {
			case n.nack:
				return contracts.Answer{Code: "NAK"}, true, unavailable(CodeNack, "The partner could not store the message.", nil)
			case n.end != nil && accepted: // the application's acknowledgement may still come by another way
			case n.end != nil:
				return unknown(n.end, p)
			case n.ack.Code == "CA" && f.onward:
				accepted = true
				limit.Reset(c.settings.Answer)
			default:
				answer, err = judge(n.ack, p)
				return answer, true, err
			}
		case <-limit.C:
			if accepted {
				return contracts.Answer{Code: "CA", Unknown: true}, false, unavailable(CodeNotApplied,
					"The partner has the message (CA), but its application hasn't answered in time.", nil)
			}
			return unknown(unavailable(CodeNoAnswer, "No acknowledgement came in time.", nil), p)
		case <-ctx.Done():
			return unknown(unavailable(CodeClosed, "The hub stopped waiting for the acknowledgement.", ctx.Err()), p)
		}
	}
}

// await lets Offer find a flight whose application's acknowledgement decides, until done is called.
func (c *Courier) await(f *flight) (done func()) {
	if !f.onward {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onward[f.control] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.onward[f.control] == f {
			delete(c.onward, f.control)
		}
	}
}

// Offer gives the courier an acknowledgement that came by another way, such as the partner's door. It is taken if it is
// the application's acknowledgement for which a delivery waits.
func (c *Courier) Offer(ack hl7v2.Acknowledgement) (taken bool) {
	c.mu.Lock()
	f := c.onward[ack.ControlID]
	c.mu.Unlock()
	return f != nil && ack.Code != "" && ack.Code[0] == 'A' && f.line.settle(f, ack)
}

// Close closes the connections. Deliveries under way end with an unknown outcome; later ones get no connection.
func (c *Courier) Close() error {
	c.once.Do(func() {
		c.end()
		for range cap(c.free) {
			<-c.free
		}
		for _, at := range c.places {
			if at.line != nil {
				at.line.finish()
				at.line.close(unavailable(CodeClosed, "The courier is closed.", nil))
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
func unknown(why *contracts.Fault, p contracts.Parcel) (contracts.Answer, bool, error) {
	fault := *why // a line's end is told to all that are in flight
	if fault.Code == CodeNoAnswer {
		fault.Public += hint(p)
	}
	return contracts.Answer{Unknown: true}, false, &fault
}

package mllp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/hoitosilta/silta/contracts"
)

// Receiver takes what a door read. It returns a receipt when the bytes are durable, accepted or refused; an error is
// trouble of its own, on which the door answers nothing and closes the connection. It must return when ctx ends.
type Receiver interface {
	Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error)
}

// Door listens for one partner's messages. Its port says who the sender is, and with TLS its certificate, too.
//
// A connection counts against the contract's limit from its first moment, before TLS is agreed on. When the door is
// full, a new one takes the place of the one that has been silent longest between two frames, if that is five seconds
// or more; else the new one is closed. So connections that were left behind lock nobody out, and one on which a frame
// is under way is never closed for another: idle and read bound how long such a connection can last without a message.
//
// The contract's rate bounds the messages of all connections together. One that is ahead of it waits before the Receiver
// has it, in the order in which they came, and its connection is read no further meanwhile.
type Door struct {
	listener net.Listener
	partner  string
	settings contracts.MLLPDoor
	receiver Receiver
	now      func() time.Time
	log      *logrus.Entry
	options  options
	tls      *tls.Config   // nil without TLS
	pace     *rate.Limiter // nil without a limit
	stopping context.Context
	stop     context.CancelFunc // ends stopping: nothing waits for its turn any more

	mu       sync.Mutex
	talks    map[*conversation]struct{}
	leaving  map[*conversation]struct{} // they have made room, and don't count, but haven't ended
	draining bool
	running  sync.WaitGroup
}

// Listen opens a door at addr (host:port) for partner. Zero settings get the defaults of contracts.MLLPDoor. Senders
// can connect at once; they are heard when Serve runs.
func Listen(addr, partner string, settings contracts.MLLPDoor, receiver Receiver, now func() time.Time, log logrus.FieldLogger, opts ...Option) (*Door, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", partner, addr, err)
	}
	d, err := NewDoor(listener, partner, settings, receiver, now, log, opts...)
	if err != nil {
		_ = listener.Close() // what matters is err
		return nil, err
	}
	return d, nil
}

// NewDoor makes a door of a listener that is open already, which the door closes. Where the settings name TLS the door
// speaks it itself. The paths of its files must be such that the process can open them; contracts.Faults say what is
// wrong with the files.
func NewDoor(listener net.Listener, partner string, settings contracts.MLLPDoor, receiver Receiver, now func() time.Time, log logrus.FieldLogger, opts ...Option) (*Door, error) {
	settings.Defaults()
	d := &Door{
		listener: listener, partner: partner, settings: settings, receiver: receiver, now: now,
		log:     log.WithFields(logrus.Fields{"door": "mllp", "partner": partner}),
		options: newOptions(opts),
		talks:   map[*conversation]struct{}{},
		leaving: map[*conversation]struct{}{},
	}
	var err error
	if d.tls, err = doorTLS(settings.TLS, d.log); err != nil {
		return nil, err
	}
	if settings.Rate > 0 {
		d.pace = rate.NewLimiter(rate.Limit(settings.Rate), max(settings.Rate/10, 1)) // a tenth of a second's messages may come at once
	}
	d.stopping, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// Addr is where the door listens: the port that the system chose, if the address said 0.
func (d *Door) Addr() net.Addr { return d.listener.Addr() }

// Serve takes connections until ctx ends. Then it accepts no more, closes the connections where no frame is under
// way, lets the others finish their frame and get their answer, and returns nil when the last is closed. What takes
// longer than the drain bound is cut off without an answer. Another end of the listener is an error.
func (d *Door) Serve(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, d.close)
	defer stop()
	err := d.accept(ctx, work)
	d.close()
	d.drain(cut)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// close stops accepting.
func (d *Door) close() { _ = d.listener.Close() } // a second close says so, which tells nothing

// accept takes connections until the listener closes. A shortage, such as of file descriptors, is waited out.
func (d *Door) accept(ctx, work context.Context) error {
	for pause := time.Duration(0); ; {
		conn, err := d.listener.Accept()
		switch {
		case err == nil:
			pause = 0
			d.open(work, conn)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			d.log.WithError(err).Warn("A connection can't be taken; the door tries on.")
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// open begins a conversation, unless there are too many.
func (d *Door) open(work context.Context, conn net.Conn) {
	c := newConversation(d, conn)
	d.mu.Lock()
	admitted := !d.draining && (len(d.talks) < d.settings.Connections || d.makeRoom())
	if admitted {
		d.talks[c] = struct{}{}
		d.running.Add(1)
	}
	draining := d.draining
	d.mu.Unlock()
	if !admitted {
		if !draining {
			c.log.WithField("connections", d.settings.Connections).Warn("Too many connections; this one is closed. Raise the limit or have the sender keep one connection.")
		}
		_ = conn.Close()
		return
	}
	go func() {
		defer d.running.Done()
		defer d.forget(c)
		c.run(work)
	}()
}

// makeRoom ends the conversation that has been silent longest between frames. d.mu is held.
func (d *Door) makeRoom() bool {
	var longest *conversation
	var silence time.Duration
	for c := range d.talks {
		if s := c.silence(); s >= silentEnough && s > silence {
			longest, silence = c, s
		}
	}
	if longest == nil {
		return false
	}
	longest.log.WithField("connections", d.settings.Connections).Warn("Too many connections; this one was silent longest and is closed to make room. Raise the limit or have the sender keep one connection.")
	longest.hurry(time.Now().Add(d.settings.Read)) // should a frame begin at this very moment, it is finished
	delete(d.talks, longest)
	d.leaving[longest] = struct{}{}
	return true
}

func (d *Door) forget(c *conversation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.talks, c)
	delete(d.leaving, c)
}

// each calls do with every conversation that hasn't ended. d.mu is held.
func (d *Door) each(do func(*conversation)) {
	for c := range d.talks {
		do(c)
	}
	for c := range d.leaving {
		do(c)
	}
}

// drain lets the conversations end, and cuts those off that last longer than the bound.
func (d *Door) drain(cut func()) {
	d.mu.Lock()
	d.draining = true
	until := time.Now().Add(d.options.drain)
	d.each(func(c *conversation) { c.hurry(until) })
	d.mu.Unlock()
	d.stop()
	done := make(chan struct{})
	go func() { d.running.Wait(); close(done) }()
	bound := time.NewTimer(d.options.drain)
	defer bound.Stop()
	select {
	case <-done:
		return
	case <-bound.C:
	}
	cut()
	d.mu.Lock()
	d.each(func(c *conversation) {
		c.log.Warn("A frame was cut off because the door stops; its sender keeps it.")
		_ = c.raw.Close() // without TLS's farewell, for which a dead connection would have to be waited
	})
	d.mu.Unlock()
	<-done
}

package mllp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// Receiver takes what a door read. It returns a receipt when the bytes are durable, accepted or refused; an error is
// trouble of its own, on which the door answers nothing and closes the connection. It must return when ctx ends.
type Receiver interface {
	Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error)
}

// Door listens for one partner's messages. Its port says who the sender is.
type Door struct {
	listener net.Listener
	partner  string
	settings contracts.MLLPDoor
	receiver Receiver
	now      func() time.Time
	log      logrus.FieldLogger
	options  options

	mu       sync.Mutex
	talks    map[*conversation]struct{}
	draining bool
	until    time.Time // when draining must have ended
	running  sync.WaitGroup
}

// Listen opens a door at addr (host:port) for partner. Zero settings get the defaults of contracts.MLLPDoor. Senders
// can connect at once; they are heard when Serve runs.
func Listen(addr, partner string, settings contracts.MLLPDoor, receiver Receiver, now func() time.Time, log logrus.FieldLogger, opts ...Option) (*Door, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", partner, addr, err)
	}
	return NewDoor(listener, partner, settings, receiver, now, log, opts...), nil
}

// NewDoor makes a door of a listener that is open already, such as one that speaks TLS. The door closes it.
func NewDoor(listener net.Listener, partner string, settings contracts.MLLPDoor, receiver Receiver, now func() time.Time, log logrus.FieldLogger, opts ...Option) *Door {
	if settings.MaxBytes == 0 {
		settings.MaxBytes = 32 << 20
	}
	if settings.Idle == 0 {
		settings.Idle = 10 * time.Minute
	}
	if settings.Read == 0 {
		settings.Read = time.Minute
	}
	return &Door{
		listener: listener, partner: partner, settings: settings, receiver: receiver, now: now,
		log:     log.WithFields(logrus.Fields{"door": "mllp", "partner": partner}),
		options: newOptions(200, opts),
		talks:   map[*conversation]struct{}{},
	}
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
	crowded := len(d.talks) >= d.options.connections
	if !crowded && !d.draining {
		d.talks[c] = struct{}{}
		d.running.Add(1)
		d.mu.Unlock()
		go func() {
			defer d.running.Done()
			defer d.forget(c)
			c.run(work)
		}()
		return
	}
	d.mu.Unlock()
	if crowded {
		c.log.WithField("connections", d.options.connections).Warn("Too many connections; this one is closed. Raise the limit or have the sender keep one connection.")
	}
	_ = conn.Close()
}

func (d *Door) forget(c *conversation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.talks, c)
}

// drain lets the conversations end, and cuts those off that last longer than the bound.
func (d *Door) drain(cut func()) {
	d.mu.Lock()
	d.draining, d.until = true, time.Now().Add(d.options.drain)
	for c := range d.talks {
		c.hurry(d.until)
	}
	d.mu.Unlock()
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
	for c := range d.talks {
		c.log.Warn("A frame was cut off because the door stops; its sender keeps it.")
		_ = c.conn.Close()
	}
	d.mu.Unlock()
	<-done
}

package main

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// post is one partner's place in the house: its contract, its courier and its MLLP door, where it has them. A post isn't
// changed; a partner whose contract changes gets another one, which takes over what stays the same.
type post struct {
	contract *contracts.Partner
	courier  hub.Courier   // nil: the partner gets nothing
	token    string        // what a FHIR courier shows
	sender   *mllp.Courier // the courier, if it speaks MLLP
	giveBack func() error  // closes the courier's connections
	door     *mllp.Door    // nil: none that speaks MLLP
	serving  *task         // the door at work; nil before run
}

// openPost opens what a contract names and old, the partner's present post, doesn't have: nil for a new partner. Nothing
// is heard yet.
func (h *house) openPost(s settings, p *contracts.Partner, old *post, log logrus.FieldLogger) (*post, error) {
	n := &post{contract: p, giveBack: func() error { return nil }}
	if err := h.openCourier(s, n, old, log); err != nil {
		return nil, err
	}
	if p.Door.MLLP == nil {
		return n, nil
	}
	if old != nil && old.sender == n.sender && reflect.DeepEqual(old.contract.Door.MLLP, p.Door.MLLP) {
		n.door, n.serving = old.door, old.serving
		return n, nil
	}
	if err := h.openMLLPDoor(s, n, log); err != nil {
		_ = n.letGo(old) // what matters is err
		return nil, err
	}
	return n, nil
}

// letGo closes what a post doesn't share with other, which may be nil.
func (p *post) letGo(other *post) error {
	if other != nil && other.courier == p.courier {
		return nil
	}
	return p.giveBack()
}

func (h *house) openCourier(s settings, n, old *post, log logrus.FieldLogger) (err error) {
	log = log.WithField("partner", n.contract.ID)
	c := n.contract.Courier
	if c.FHIR != nil && c.FHIR.TokenFile != "" {
		token, err := s.secret(c.FHIR.TokenFile)
		if err != nil {
			return err
		}
		n.token = string(token)
	}
	if old != nil && old.token == n.token && reflect.DeepEqual(old.contract.Courier, c) {
		n.courier, n.sender, n.giveBack = old.courier, old.sender, old.giveBack
		return nil
	}
	switch {
	case c.MLLP != nil:
		to := *c.MLLP
		to.TLS = s.courierTLS(to.TLS)
		if n.sender, err = mllp.NewCourier(to, time.Now, log); err != nil {
			return configuration{err}
		}
		n.sender.Forward(n.contract.ID, &h.reception)
		n.courier, n.giveBack = n.sender, n.sender.Close
	case c.FHIR != nil:
		courier, err := fhirrest.NewCourier(*c.FHIR, n.token, time.Now, log)
		if err != nil {
			return configuration{err}
		}
		n.courier, n.giveBack = courier, courier.Close
	}
	return nil
}

// openMLLPDoor opens a partner's door. Acknowledgements that come in there may be those for which its courier waits.
func (h *house) openMLLPDoor(s settings, n *post, log logrus.FieldLogger) error {
	d := *n.contract.Door.MLLP
	d.TLS = s.doorTLS(d.TLS)
	opts := []mllp.Option{mllp.WithDrain(s.Stop / 4)}
	if n.sender != nil {
		opts = append(opts, mllp.WithAcknowledgements(n.sender.Offer))
	}
	listener, err := h.listenMLLP(n.contract.ID, d.Listen)
	if err != nil {
		return err
	}
	n.door, err = mllp.NewDoor(listener, n.contract.ID, d, &h.reception, time.Now, log, opts...)
	if err != nil {
		return configuration{err}
	}
	return nil
}

// socket is an address on which doors listen one after the other. It stays open while a door is replaced: who connects
// then waits for a moment, and isn't turned away.
type socket struct{ *net.TCPListener }

// listenMLLP gives a listener for a new door at address. A port that the system chooses is the partner's own.
func (h *house) listenMLLP(partner, address string) (net.Listener, error) {
	name := address
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		name = partner + " " + address
	}
	if s, open := h.sockets[name]; open {
		return &turn{TCPListener: s.TCPListener}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", partner, address, err)
	}
	h.sockets[name] = socket{l.(*net.TCPListener)}
	return &turn{TCPListener: l.(*net.TCPListener)}, nil
}

// closeSockets closes those that no door uses.
func (h *house) closeSockets() {
	used := map[string]bool{}
	for _, p := range h.posts {
		if p.door != nil {
			used[p.door.Addr().String()] = true
		}
	}
	for name, s := range h.sockets {
		if !used[s.Addr().String()] {
			_ = s.Close() // nobody listens there
			delete(h.sockets, name)
		}
	}
}

// turn is a door's time on a socket: its Close ends that and leaves the socket open. One turn follows the other.
type turn struct {
	*net.TCPListener
	begin, end sync.Once
	over       atomic.Bool
}

// Accept waits for a connection; net.ErrClosed when the turn is over.
func (t *turn) Accept() (net.Conn, error) {
	t.begin.Do(func() { _ = t.SetDeadline(time.Time{}) }) // the end of the turn before left one
	for !t.over.Load() {
		conn, err := t.TCPListener.Accept()
		if err == nil || !t.over.Load() {
			return conn, err
		}
	}
	return nil, net.ErrClosed
}

// Close ends the turn.
func (t *turn) Close() error {
	t.end.Do(func() {
		t.over.Store(true)
		_ = t.SetDeadline(time.Unix(1, 0)) // who waits in Accept looks again
	})
	return nil
}

// reception is what the doors call: the present hub.
type reception struct {
	hub  atomic.Pointer[hub.Hub]
	told func(contracts.Arrival, contracts.Receipt, error, time.Duration)
}

// Receive hands an arrival to the hub.
func (r *reception) Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	begun := time.Now()
	receipt, err := r.hub.Load().Receive(ctx, a)
	r.told(a, receipt, err, time.Since(begun))
	return receipt, err
}

// task is something that runs until it is ended.
type task struct {
	stop  context.CancelFunc
	ended chan struct{}
	err   error
	fell  bool // it ended before anybody stopped it
}

// begin starts a task. One that ends by itself ends the house.
func (h *house) begin(work func(context.Context) error) *task {
	ctx, stop := context.WithCancel(context.Background())
	t := &task{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		t.err = work(ctx)
		if t.fell = ctx.Err() == nil; t.fell {
			select {
			case h.failed <- struct{}{}:
			default:
			}
		}
	}()
	return t
}

// end stops a task, waits for it and gives its error.
func (t *task) end() error {
	t.stop()
	<-t.ended
	return t.err
}

// over says whether the task has ended.
func (t *task) over() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

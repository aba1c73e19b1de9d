package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/adapters/console"
	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// house is a hub with everything around it: the bus and the ledger in one locked directory, a door and a courier for
// each contract, and the console. It is wired here, for `silta serve` and for the demo.
type house struct {
	hub     *hub.Hub
	bus     hub.Bus
	ledger  hub.Ledger
	doors   map[string]*mllp.Door    // by partner id
	senders map[string]*mllp.Courier // the couriers of partners that speak MLLP, by partner id
	fhir    net.Listener             // of all FHIR doors; nil if no contract has one
	console net.Listener
	serve   []func(context.Context) error // each takes until its context ends, and finishes what it has begun
	opened  []func() error                // gives back what was opened, to be called from the last to the first
	dir     string
	agreed  agreements
}

// fhirBase is where the FHIR doors are, under the listener's address.
const fhirBase = "/fhir"

// drain is how long requests to the console may take to end when the house closes.
const drain = 10 * time.Second

// openHouse opens everything that the settings and agreements name. Doors have their addresses then, and take
// messages when run is called. watch is told of every step; it may be nil and must not block.
func openHouse(ctx context.Context, s settings, a agreements, log logrus.FieldLogger, watch func(contracts.Step)) (h *house, err error) {
	h = &house{doors: map[string]*mllp.Door{}, senders: map[string]*mllp.Courier{}, dir: s.path(s.Dir), agreed: a}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
			h = nil
		}
	}()
	if err = h.openStores(ctx, s); err != nil {
		return h, err
	}
	metrics := console.NewMetrics()
	if err = h.openHub(ctx, s, log, func(step contracts.Step) {
		metrics.Observe(step)
		if watch != nil {
			watch(step)
		}
	}); err != nil {
		return h, err
	}
	if err = h.openDoors(s, log); err != nil {
		return h, err
	}
	return h, h.openConsole(s, metrics, log)
}

func (h *house) openHub(ctx context.Context, s settings, log logrus.FieldLogger, watch func(contracts.Step)) error {
	key, err := s.secret(s.SecretFile)
	if err != nil {
		return err
	}
	secret, err := contracts.NewSecret(key)
	if err != nil {
		return configuration{err}
	}
	couriers := map[string]hub.Courier{}
	for _, p := range h.agreed.partners {
		courier, err := h.openCourier(s, p, log)
		if err != nil {
			return err
		}
		if courier != nil {
			couriers[p.ID] = courier
		}
	}
	h.hub, err = hub.New(ctx, hub.Config{
		Partners: h.agreed.partners, Maps: h.agreed.maps, Bus: h.bus, Ledger: h.ledger, Couriers: couriers, Secret: secret,
		Now: time.Now, Log: log, Watch: watch, Lanes: s.Lanes, Development: s.Development,
	})
	if contracts.KindOf(err) == contracts.Invalid {
		return configuration{err}
	}
	return err
}

// openCourier gives the contract's courier, or nil if it has none.
func (h *house) openCourier(s settings, p *contracts.Partner, log logrus.FieldLogger) (hub.Courier, error) {
	log = log.WithField("partner", p.ID)
	if p.Courier.MLLP != nil {
		return h.openMLLPCourier(s, p, log)
	}
	c := p.Courier.FHIR
	if c == nil {
		return nil, nil
	}
	var token []byte
	var err error
	if c.TokenFile != "" {
		if token, err = s.secret(c.TokenFile); err != nil {
			return nil, err
		}
	}
	courier, err := fhirrest.NewCourier(*c, string(token), time.Now, log)
	if err != nil {
		return nil, configuration{err}
	}
	h.opened = append(h.opened, courier.Close)
	return courier, nil
}

func (h *house) openMLLPCourier(s settings, p *contracts.Partner, log logrus.FieldLogger) (hub.Courier, error) {
	c := *p.Courier.MLLP
	c.TLS = s.courierTLS(c.TLS)
	courier, err := mllp.NewCourier(c, time.Now, log)
	if err != nil {
		return nil, configuration{err}
	}
	h.senders[p.ID] = courier
	h.opened = append(h.opened, courier.Close)
	return courier, nil
}

// openMLLPDoor opens a partner's door. Acknowledgements that come in there may be those for which its courier waits.
func (h *house) openMLLPDoor(s settings, p *contracts.Partner, log logrus.FieldLogger) error {
	d := *p.Door.MLLP
	d.TLS = s.doorTLS(d.TLS)
	var opts []mllp.Option
	if courier := h.senders[p.ID]; courier != nil {
		opts = append(opts, mllp.WithAcknowledgements(courier.Offer))
	}
	door, err := mllp.Listen(d.Listen, p.ID, d, h.hub, time.Now, log, opts...)
	if contracts.KindOf(err) == contracts.Invalid {
		return configuration{err}
	}
	if err != nil {
		return err
	}
	h.doors[p.ID] = door
	h.serve = append(h.serve, door.Serve)
	h.opened = append(h.opened, func() error { return stopDoor(door) })
	return nil
}

func (h *house) openDoors(s settings, log logrus.FieldLogger) error {
	var senders []fhirrest.Sender
	for _, p := range h.agreed.partners {
		if p.Door.MLLP != nil {
			if err := h.openMLLPDoor(s, p, log); err != nil {
				return err
			}
		}
		if d := p.Door.FHIR; d != nil {
			token, err := s.secret(d.TokenFile)
			if err != nil {
				return err
			}
			senders = append(senders, fhirrest.Sender{Partner: p.ID, Token: string(token), MaxBytes: d.MaxBytes})
		}
	}
	if len(senders) == 0 {
		return nil
	}
	door, err := fhirrest.NewDoor(fhirBase, senders, h.hub, time.Now, log, fhirrest.Timeouts{})
	if err != nil {
		return configuration{err}
	}
	h.fhir, err = h.listen("FHIR doors", s.FHIR.Listen, door.Serve)
	return err
}

// stopDoor closes a door that was never served.
func stopDoor(d *mllp.Door) error {
	ended, end := context.WithCancel(context.Background())
	end()
	return d.Serve(ended)
}

func (h *house) openConsole(s settings, metrics *console.Metrics, log logrus.FieldLogger) error {
	token, err := s.secret(s.Console.TokenFile)
	if err != nil {
		return err
	}
	handler := console.Handler(console.Config{Operator: h.hub, Token: string(token), Metrics: metrics, Log: log})
	h.console, err = h.listen("console", s.Console.Listen, func(ctx context.Context, l net.Listener) error {
		return serveHTTP(ctx, l, handler)
	})
	return err
}

// listen opens a listener that serve will run on.
func (h *house) listen(what, address string, serve func(context.Context, net.Listener) error) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the %s: %w", what, err)
	}
	h.serve = append(h.serve, func(ctx context.Context) error { return serve(ctx, l) })
	h.opened = append(h.opened, func() error {
		_ = l.Close() // serve has closed it, if it ran
		return nil
	})
	return l, nil
}

// serveHTTP answers requests until ctx ends, and lets those that have begun end. Everything that is read from outside
// has a deadline.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: stdlog.New(io.Discard, "", 0), // strangers' broken handshakes
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	if err := server.Shutdown(patience); err != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}

// run takes, translates and delivers until ctx ends. Then the doors close and finish what they have begun, after
// them the lanes; close does the rest. It returns nil at an orderly end.
func (h *house) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lanes, stopLanes := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLanes()
	worked := make(chan error, 1)
	go func() {
		worked <- h.hub.Run(lanes)
		stop() // without lanes the doors must not stay open
	}()
	var doors errgroup.Group
	for _, serve := range h.serve {
		doors.Go(func() error { defer stop(); return serve(ctx) })
	}
	<-ctx.Done()
	err := doors.Wait()
	stopLanes()
	return errors.Join(err, <-worked)
}

// close gives everything back, what was opened last first. It may be called on a house that is half open.
func (h *house) close() error {
	var errs []error
	for _, giveBack := range slices.Backward(h.opened) {
		errs = append(errs, giveBack())
	}
	h.opened = nil
	return errors.Join(errs...)
}

// readiness is the line that says where everything is.
type readiness struct {
	Ready    bool              `json:"ready"`
	API      string            `json:"api"`
	Doors    map[string]string `json:"doors"`
	Partners map[string]string `json:"partners"`
	Tokens   map[string]string `json:"tokens,omitempty"` // in the demo only
	Dir      string            `json:"dir"`
}

// addresses says where the house can be reached, and where it reaches the partners.
func (h *house) addresses() readiness {
	r := readiness{Ready: true, API: "http://" + h.console.Addr().String(), Doors: map[string]string{}, Partners: map[string]string{}, Dir: h.dir}
	for _, p := range h.agreed.partners {
		switch {
		case h.doors[p.ID] != nil:
			r.Doors[p.ID] = "mllp://" + h.doors[p.ID].Addr().String()
		case p.Door.FHIR != nil:
			r.Doors[p.ID] = "http://" + h.fhir.Addr().String() + fhirBase
		}
		if c := p.Courier.MLLP; c != nil {
			r.Partners[p.ID] = "mllp://" + c.To
		} else if c := p.Courier.FHIR; c != nil {
			r.Partners[p.ID] = c.URL
		}
	}
	return r
}

// redirect gives a copy of a contract whose courier goes to address: mllp://host:port, or an http or https URL.
func redirect(p *contracts.Partner, address string) (*contracts.Partner, error) {
	moved := *p
	if to, ok := strings.CutPrefix(address, "mllp://"); ok && p.Courier.MLLP != nil {
		c := *p.Courier.MLLP
		c.To = strings.TrimSuffix(to, "/")
		moved.Courier.MLLP = &c
		return &moved, nil
	}
	if (strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")) && p.Courier.FHIR != nil {
		c := *p.Courier.FHIR
		c.URL = strings.TrimSuffix(address, "/")
		moved.Courier.FHIR = &c
		return &moved, nil
	}
	return nil, usagef("%s can't be reached at %s by its contract", p.ID, address)
}

// relocate gives a copy of a contract whose MLLP door listens at address; other doors are as they were.
func relocate(p *contracts.Partner, address string) *contracts.Partner {
	moved := *p
	if p.Door.MLLP != nil {
		d := *p.Door.MLLP
		d.Listen = address
		moved.Door.MLLP = &d
	}
	return &moved
}

func newLog(s settings, t *terminal) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(t.err)
	if level, err := logrus.ParseLevel(s.Log.Level); err == nil {
		log.SetLevel(level)
	}
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	if s.Log.Format == "json" {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	}
	return log
}

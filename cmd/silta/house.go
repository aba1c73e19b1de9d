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
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/adapters/console"
	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// house is a hub with everything around it: the bus and the ledger, a door and a courier for each contract, and the
// console. It is wired here, for `silta serve` and for the demo. What reload may put another in the place of is the hub
// and the partners' posts; all else stays as long as the house stands.
type house struct {
	hub      *hub.Hub // the present one
	bus      hub.Bus
	ledger   hub.Ledger
	secret   contracts.Secret
	settings settings
	agreed   agreements
	dir      string
	log      logrus.FieldLogger
	metrics  *console.Metrics
	watch    func(contracts.Step)
	trace    contracts.Tracing // nil: nobody traces

	reception reception
	posts     map[string]*post // by partner id
	sockets   map[string]socket
	fhir      net.Listener // of all FHIR doors; nil if no contract has one
	fhirDoor  *fhirrest.Door
	console   net.Listener
	desk      atomic.Pointer[http.Handler] // what the console answers with
	reread    func() (settings, agreements, error)

	serve  []func(context.Context) error // each takes until its context ends, and finishes what it has begun
	opened []func() error                // gives back what was opened, to be called from the last to the first

	mu     sync.Mutex // one at a time: a reload, the end; and who looks at what they change
	files  sync.Mutex // one at a time: a copy, forgetting. A copy's files must not lose what its rows name
	lanes  *task      // the hub at work; nil before run
	others []*task    // what serve names, at work
	over   bool       // the house is closing
	failed chan struct{}
}

// fhirBase is where the FHIR doors are, under the listener's address.
const fhirBase = "/fhir"

// openHouse opens everything that the settings and agreements name. Doors have their addresses then, and take
// messages when run is called. watch is told of every step; it may be nil and must not block.
func openHouse(ctx context.Context, s settings, a agreements, log logrus.FieldLogger, watch func(contracts.Step)) (h *house, err error) {
	h = &house{dir: s.path(s.Dir), settings: s, agreed: a, log: log, metrics: console.NewMetrics(version()),
		posts: map[string]*post{}, sockets: map[string]socket{}, failed: make(chan struct{}, 1)}
	h.reception.told = h.metrics.Arrived
	h.watch = func(step contracts.Step) {
		h.metrics.Observe(step)
		if watch != nil {
			watch(step)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
			h = nil
		}
	}()
	if err = h.openTelemetry(ctx, s); err != nil {
		return h, err
	}
	if err = h.openStores(ctx, s); err != nil {
		return h, err
	}
	if err = h.openPosts(s, a); err != nil {
		return h, err
	}
	if err = h.openHub(ctx, s, a); err != nil {
		return h, err
	}
	senders, err := senders(s, a)
	if err != nil {
		return h, err
	}
	if err = h.openFHIR(s, senders); err != nil {
		return h, err
	}
	h.serve = append(h.serve, h.forgetting)
	return h, h.openConsole(s)
}

func (h *house) openPosts(s settings, a agreements) error {
	h.opened = append(h.opened, h.closePosts)
	for _, p := range a.partners {
		post, err := h.openPost(s, p, nil, h.log)
		if err != nil {
			return err
		}
		h.posts[p.ID] = post
	}
	return nil
}

// closePosts gives back the couriers and the MLLP doors' addresses. The doors have stopped, or were never served.
func (h *house) closePosts() error {
	var errs []error
	for _, p := range h.posts {
		errs = append(errs, p.letGo(nil))
	}
	clear(h.posts)
	h.closeSockets()
	return errors.Join(errs...)
}

func (h *house) openHub(ctx context.Context, s settings, a agreements) error {
	key, err := s.secret(s.SecretFile)
	if err != nil {
		return err
	}
	if h.secret, err = contracts.NewSecret(key); err != nil {
		return configuration{err}
	}
	h.hub, err = h.newHub(ctx, s, a, h.posts)
	if err == nil {
		h.reception.hub.Store(h.hub)
	}
	return err
}

// newHub makes a hub of what may change. It takes over what the present one, if there is one, holds in memory.
func (h *house) newHub(ctx context.Context, s settings, a agreements, posts map[string]*post) (*hub.Hub, error) {
	couriers := map[string]hub.Courier{}
	for id, p := range posts {
		if p.courier != nil {
			couriers[id] = p.courier
		}
	}
	n, err := hub.New(ctx, hub.Config{
		Partners: a.partners, Maps: a.maps, Profiles: a.profiles, Bus: timed{h.bus, h.metrics}, Ledger: h.ledger, Couriers: couriers, Secret: h.secret, Before: h.hub,
		Now: time.Now, Log: h.log, Watch: h.watch, Trace: h.trace, Lanes: s.Lanes, Linger: s.Stop / 2, Development: s.Development,
	})
	if contracts.KindOf(err) == contracts.Invalid {
		return nil, configuration{err}
	}
	return n, err
}

// timed is a bus that says how long publishing takes.
type timed struct {
	hub.Bus
	metrics *console.Metrics
}

func (t timed) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	begun := time.Now()
	published, err := t.Bus.Publish(ctx, r, once)
	t.metrics.Published(r.Topic, err, time.Since(begun))
	return published, err
}

// senders are the partners that may come in by the FHIR doors, with their tokens.
func senders(s settings, a agreements) ([]fhirrest.Sender, error) {
	var all []fhirrest.Sender
	for _, p := range a.partners {
		if d := p.Door.FHIR; d != nil {
			token, err := s.secret(d.TokenFile)
			if err != nil {
				return nil, err
			}
			all = append(all, fhirrest.NewSender(p, a.partners, string(token)))
		}
	}
	return all, nil
}

// openFHIR opens the FHIR doors, if somebody may come in by one.
func (h *house) openFHIR(s settings, senders []fhirrest.Sender) error {
	if len(senders) == 0 {
		return nil
	}
	door, err := fhirrest.NewDoor(fhirrest.Config{
		Base: fhirBase, URL: s.FHIR.URL, Hub: version(), Senders: senders, Receiver: &h.reception, Now: time.Now, Log: h.log,
		Timeouts: fhirrest.Timeouts{Drain: s.Stop / 4},
	})
	if err != nil {
		return configuration{err}
	}
	h.fhir, err = h.listen("FHIR doors", s.FHIR.Listen, door.Serve)
	if err == nil {
		h.fhirDoor = door
	}
	return err
}

func (h *house) openConsole(s settings) error {
	token, err := s.secret(s.Console.TokenFile)
	if err != nil {
		return err
	}
	h.setDesk(token)
	h.console, err = h.listen("console", s.Console.Listen, func(ctx context.Context, l net.Listener) error {
		return serveHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*h.desk.Load()).ServeHTTP(w, r) }), s.Stop/4)
	})
	return err
}

// setDesk lets the console and the figures speak for the present hub.
func (h *house) setDesk(token []byte) {
	handler := console.Handler(console.Config{Operator: frontOffice{h.hub, h}, Keeper: h, Token: string(token), Metrics: h.metrics, Log: h.log})
	h.desk.Store(&handler)
	h.metrics.Measure(h.hub.Figures)
}

// frontOffice is the hub as the console shows it: ready only if the house around it is.
type frontOffice struct {
	*hub.Hub
	house *house
}

// Ready says what the hub and the house lack.
func (f frontOffice) Ready(ctx context.Context) contracts.Readiness { return f.house.ready(ctx, f.Hub) }

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

// serveHTTP answers requests until ctx ends, and gives those that have begun so long to end. Everything that is read
// from outside has a deadline.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, drain time.Duration) error {
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
	h.mu.Lock()
	h.lanes = h.begin(h.hub.Run)
	for _, p := range h.posts {
		h.openUp(p)
	}
	for _, serve := range h.serve {
		h.others = append(h.others, h.begin(serve))
	}
	h.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-h.failed: // without lanes the doors must not stay open
	}
	h.mu.Lock()
	h.over = true // from now on nothing changes
	h.mu.Unlock() // what ends may still ask what holds now
	var doors errgroup.Group
	for _, p := range h.posts {
		if p.serving != nil {
			doors.Go(p.serving.end)
		}
	}
	for _, t := range h.others {
		doors.Go(t.end)
	}
	err := doors.Wait()
	return errors.Join(err, h.lanes.end())
}

// present is what holds now.
func (h *house) present() (settings, *hub.Hub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.settings, h.hub
}

// openUp lets a post's door take messages, if it has one that doesn't yet.
func (h *house) openUp(p *post) {
	if p.door != nil && p.serving == nil {
		p.serving = h.begin(p.door.Serve)
	}
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
		case h.posts[p.ID].door != nil:
			r.Doors[p.ID] = "mllp://" + h.posts[p.ID].door.Addr().String()
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

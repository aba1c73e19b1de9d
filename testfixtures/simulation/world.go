// Package simulation runs hubs against a model world from one seed, in virtual time: three processes on one bus and one
// ledger, which are killed, stopped, cut off and put on a wrong clock; a bus, a ledger and partners that fail, stall, are
// full, lose answers, or give them twice, late or for something else. What the promise says is checked while a seed runs
// and at its end (judge.go), and named mutants of the hub show that the checks can fail.
package simulation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/model"
)

// The size of a world.
const (
	processes = 3
	referrals = 10
	each      = 6               // messages of one referral, of which HUS answers the first
	crashes   = 3               // at least
	rough     = 2 * time.Minute // as long do things befall it
	longest   = 3 * time.Hour   // after which what isn't delivered counts as lost
)

// mutant is a hub with one known bug, made by standing between each of its processes and the world.
type mutant struct {
	name    string
	bus     func(hub.Bus) hub.Bus
	ledger  func(hub.Ledger) hub.Ledger
	courier func(hub.Courier) hub.Courier
	late    bool // only one seed in hundreds catches it
}

// run is one seed's world.
type run struct {
	seed        uint64
	world       *model.World
	bus         *model.Bus    // an observer's
	ledger      *model.Ledger // likewise
	clinic, hus *model.Partner
	processes   []*process
	maps        *mappings.Catalog
	mutant      mutant
	began       time.Time
	lasted      time.Duration

	judge   *judge
	sending atomic.Int64 // senders that haven't ended

	tells   bool // keeps a history
	mu      sync.Mutex
	history []string
}

func (r *run) partner(name string) *model.Partner {
	if name == r.hus.Name() {
		return r.hus
	}
	return r.clinic
}

// process is one of the hub's, over all its lives.
type process struct {
	*model.Process
	r       *run
	bus     *model.Bus
	ledger  *model.Ledger
	hus     *model.Partner
	clinic  *model.Partner
	hub     atomic.Pointer[hub.Hub]
	stop    atomic.Pointer[context.CancelFunc] // lets it end in order
	stops   atomic.Int64                       // how often it was told so
	crashed atomic.Int64
}

// newRun makes the world of a seed; one that tells keeps a history.
func newRun(seed uint64, maps *mappings.Catalog, m mutant, tells bool) *run {
	w := model.NewWorld(seed)
	draw := rand.New(rand.NewPCG(seed, 7))
	store := model.Weather{Usual: 2 * time.Millisecond, Long: 3 * time.Second, Slow: 0.02, Before: 0.03, After: 0.03, Late: 0.01}
	road := model.Weather{Usual: 20 * time.Millisecond, Long: 20 * time.Second, Slow: 0.05, Before: 0.2 * draw.Float64(), After: 0.2 * draw.Float64(), Late: 0.02}
	bus, ledger := model.NewBus(w, store), model.NewLedger(w, store)
	r := &run{seed: seed, world: w, bus: bus.In(nil), ledger: ledger.In(nil), maps: maps, mutant: m, tells: tells}
	r.judge = &judge{r: r, ways: map[contracts.ID]*way{}}
	r.hus = model.NewPartner(w, "hus", model.Habits{Weather: road, Refuse: 0.04, Busy: 0.02, Fail: 0.03, Clash: 0.02, Stray: 0.03,
		Duplicate: draw.IntN(2) == 0, Terse: draw.IntN(3) == 0, Order: orderOf})
	r.clinic = model.NewPartner(w, "clinic", model.Habits{Weather: road, Duplicate: true})
	for i := range processes {
		p := &process{Process: w.Process, r: r}
		if i > 0 {
			p.Process = w.Join()
		}
		p.bus, p.ledger, p.hus, p.clinic = bus.In(p.Process), ledger.In(p.Process), r.hus.In(p.Process), r.clinic.In(p.Process)
		r.processes = append(r.processes, p)
	}
	if tells {
		w.Tell(r.tell)
	}
	return r
}

func (r *run) tell(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, fmt.Sprintf("%12.6f %s", time.Since(r.began).Seconds(), event))
}

var secret = func() contracts.Secret {
	s, err := contracts.NewSecret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		panic(err)
	}
	return s
}()

func contract(id, routes string) *contracts.Partner {
	p, err := contracts.ReadPartner(id+".yaml", []byte(`silta: partner/v1
id: `+id+`
dialect: {format: fhir, version: 4.0.1}
door: {fhir: {tokenFile: x}}
courier: {fhir: {url: "http://127.0.0.1:1/fhir"}}
routes: [`+routes+`]
retry: {first: 500ms, max: 10s, limit: 2m, spill: 5s, pause: 5, probe: 3s}
`))
	if err != nil {
		panic(err)
	}
	return p
}

// HUS gets no cancellations: the clinic's have no route, so that something parks before it is translated.
var partners = []*contracts.Partner{contract("clinic", "{events: [request, update], to: [hus]}"), contract("hus", "")}

// live keeps a process running until ctx ends: when it has crashed or was stopped, it starts again on what was durable.
func (p *process) live(ctx context.Context) {
	for ctx.Err() == nil {
		life, stop := context.WithCancel(ctx)
		p.stop.Store(&stop)
		h, err := hub.New(life, p.config())
		if err == nil {
			p.hub.Store(h)
			err = h.Run(p.untilCrash(life))
			p.hub.Store(nil)
		}
		stopped := life.Err() != nil
		stop()
		select {
		case <-p.Crashed():
			p.crashed.Add(1)
			p.again(2 * time.Second) // somebody notices and starts it again
		default:
			switch {
			case ctx.Err() != nil:
			case stopped:
				p.again(5 * time.Second)
			case err == nil || contracts.KindOf(err) != contracts.Unavailable:
				p.r.judge.wrong("the hub ended without a crash")
				return
			}
		}
	}
}

// untilCrash gives a context that also ends when the process crashes: a hub whose bus is away doesn't end by itself.
func (p *process) untilCrash(ctx context.Context) context.Context {
	ctx, end := context.WithCancel(ctx)
	crashed := p.Crashed()
	go func() {
		defer end()
		select {
		case <-crashed:
		case <-ctx.Done():
		}
	}()
	return ctx
}

func (p *process) again(after time.Duration) {
	time.Sleep(after)
	p.Thaw()
	p.Restart()
}

var quiet = func() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.PanicLevel)
	return log
}()

func (p *process) config() hub.Config {
	var bus hub.Bus = p.bus
	var ledger hub.Ledger = witness{p.ledger, p}
	hus, clinic := hub.Courier(escort{p.hus, p}), hub.Courier(escort{p.clinic, p})
	m := p.r.mutant
	if m.bus != nil {
		bus = m.bus(bus)
	}
	if m.ledger != nil {
		ledger = m.ledger(ledger)
	}
	if m.courier != nil {
		hus = m.courier(hus)
	}
	return hub.Config{Partners: partners, Maps: p.r.maps, Bus: bus, Ledger: ledger, Couriers: map[string]hub.Courier{"hus": hus, "clinic": clinic},
		Secret: secret, Now: p.Now, Log: quiet, Lanes: 16}
}

// play runs the seed to its end and gives all that was wrong.
func (r *run) play() []string {
	time.Sleep(time.Until(r.start()))
	r.began = time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, p := range r.processes {
		working.Go(func() { p.live(ctx) })
	}
	working.Go(func() { r.answers(ctx) })
	working.Go(func() { r.operator(ctx) })
	r.sending.Add(referrals)
	for k := range referrals {
		working.Go(func() {
			defer r.sending.Add(-1)
			r.referral(ctx, k)
		})
	}
	r.trouble(ctx, &working)
	for finished := false; !finished && !r.judge.guilty(); {
		time.Sleep(5 * time.Second)
		r.judge.custody()
		finished = time.Since(r.began) > rough && r.judge.open() == ""
		if time.Since(r.began) > longest {
			r.judge.wrong("in the end something isn't delivered, refused or stopped: " + r.judge.open())
		}
	}
	r.lasted = time.Since(r.began)
	cancel()
	working.Wait()
	return r.judge.end()
}

// start is when a seed's world begins. In two of four it lives through the hour in which the clocks change.
func (r *run) start() time.Time {
	switch r.seed % 4 {
	case 1:
		return time.Date(2000, 3, 26, 0, 59, 0, 0, time.UTC)
	case 3:
		return time.Date(2000, 10, 29, 0, 59, 0, 0, time.UTC)
	}
	return time.Now()
}

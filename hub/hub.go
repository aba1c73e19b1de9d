// Package hub keeps custody of messages. Its files tell a message's life in order: receive, route, translate,
// deliver, park, journey, operate, pause, reprocess (with resend, replace and compare), offline.
//
// What happens when things fail: a message is acknowledged only when the bus has it durable. Everything behind that
// is done at least once and derived from the record alone, so a crash at any point is followed by doing the same
// again with the same ids and bytes. While the ledger is down receiving goes on; translating and delivering wait.
// What a receiver doesn't take is tried again with growing waits, then parks; nothing is dropped.
package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/mappings"
)

// The consumer groups of the hub's own topics: for silta.in, the partners' silta.out, and silta.dead.
const (
	GroupTranslate = "translate"
	GroupDeliver   = "deliver"
	GroupRefuse    = "refuse"
)

// Config is what a hub works with. Everything but Before, Watch, Trace, Lanes, Linger and Development must be set.
type Config struct {
	Partners    []*contracts.Partner
	Maps        *mappings.Catalog
	Profiles    *fhir.Profiles // what contracts' profiles are found among; Silta's own
	Bus         Bus
	Ledger      Ledger
	Couriers    map[string]Courier // by partner id
	Secret      contracts.Secret
	Now         func() time.Time
	Log         logrus.FieldLogger
	Watch       func(contracts.Step) // is told of each step once the ledger has it; must not block
	Trace       contracts.Tracing    // follows messages; nil: nobody does
	Lanes       int                  // keys worked at once, a topic; 32
	Linger      time.Duration        // how long a message on its way gets to be answered when the hub stops; 10 s
	Before      *Hub                 // the hub in whose place this one comes: what it holds in memory goes over
	Development bool                 // show needs no reason
}

// Hub is a running hub. Its methods may be called from many goroutines.
type Hub struct {
	bus         Bus
	ledger      Ledger
	maps        *mappings.Catalog
	profiles    *fhir.Profiles
	secret      contracts.Secret
	now         func() time.Time
	log         logrus.FieldLogger
	watch       func(contracts.Step)
	trace       contracts.Tracing
	lanes       int
	linger      time.Duration
	development bool

	partners    map[string]*partner
	queues      map[string]*queue // what waits behind keys, by topic
	busy        map[string]*lanes // by topic
	memory      *memory
	activations activations
	pausing     chan struct{} // holds one while the ledger's pauses are looked at
}

// memory is what a hub knows that stands nowhere else. One that comes in its place takes it over.
type memory struct {
	aside   chan contracts.Change // steps that are good to have
	dropped atomic.Int64          // those of them that found no room
	flying  flying                // requests that a hub has begun go on with it when another one has come
}

// partner is a contract with what the hub made of it.
type partner struct {
	*contracts.Partner
	courier Courier
	gate    *gate
	pause   atomic.Pointer[contracts.Pause] // an operator's, as last seen
	keys    map[string][]keyPath
	zone    *time.Location
	reading []hl7v2.Option   // how its v2 messages are read
	agreed  *hl7v2.Agreement // what they must hold beyond the standard
}

// New checks the configuration as a whole (the maps that contracts name, a courier for every route, the secret
// against the ledger's) and gives a hub that Run starts. All faults come at once.
func New(ctx context.Context, c Config) (*Hub, error) {
	h, faults := translator(c)
	h.bus, h.ledger, h.log, h.watch, h.trace = c.Bus, c.Ledger, c.Log, c.Watch, c.Trace
	h.lanes, h.linger, h.development = c.Lanes, c.Linger, c.Development
	h.queues, h.busy = map[string]*queue{}, map[string]*lanes{}
	h.memory, h.pausing = &memory{aside: make(chan contracts.Change, 1024), flying: flying{keys: map[string]map[contracts.Key]bool{}}}, make(chan struct{}, 1)
	if c.Before != nil {
		h.memory = c.Before.memory
	}
	if h.linger == 0 {
		h.linger = 10 * time.Second
	}
	if h.lanes == 0 {
		h.lanes = 32
	}
	if h.watch == nil {
		h.watch = func(contracts.Step) {}
	}
	h.queues[contracts.TopicIn] = h.newQueue(contracts.TopicIn, nil)
	h.busy[contracts.TopicIn], h.busy[contracts.TopicDead] = newLanes(), newLanes()
	for _, contract := range c.Partners {
		p := h.partners[contract.ID]
		p.courier, p.gate = c.Couriers[contract.ID], newGate(contract.Retry)
		if was := c.Before.partner(contract.ID); was != nil && was.Retry == contract.Retry {
			p.gate = was.gate
		}
		if p.courier == nil {
			if contract.Courier != (contracts.Courier{}) {
				faults = append(faults, contracts.Faultf(contracts.Invalid, "CFG-030", contract.ID, "The contract has a courier, but none was given to the hub."))
			}
			continue
		}
		h.queues[contracts.OutTopic(p.ID)] = h.newQueue(contracts.OutTopic(p.ID), p)
		h.busy[contracts.OutTopic(p.ID)] = newLanes()
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if err := h.checkSecret(ctx); err != nil {
		return h, err
	}
	return h, h.checkMaps(ctx)
}

// translator gives the part of a hub that reads and translates: contracts, maps, profiles, the secret and the time. The
// faults are those of CheckContracts.
func translator(c Config) (*Hub, contracts.Faults) {
	h := &Hub{
		maps: c.Maps, profiles: c.Profiles, secret: c.Secret, partners: map[string]*partner{},
		now: func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
	}
	if h.profiles == nil {
		h.profiles = fhir.NewProfiles()
	}
	for _, contract := range c.Partners {
		p := &partner{Partner: contract, zone: contract.Location()}
		// What is wrong with these, CheckContracts tells.
		p.keys, _ = compileKeys(contract)
		p.reading, _ = hl7v2.ReadingOptions(contract)
		p.agreed, _ = hl7v2.NewAgreement(contract)
		h.partners[contract.ID] = p
	}
	return h, CheckContracts(c.Partners, c.Maps, h.profiles)
}

// partner gives a partner of the hub, or nil; also of no hub.
func (h *Hub) partner(id string) *partner {
	if h == nil {
		return nil
	}
	return h.partners[id]
}

// checkSecret refuses a secret that isn't the one this ledger was begun with: keys and digests would no longer meet.
func (h *Hub) checkSecret(ctx context.Context) error {
	held, err := h.ledger.Fix(ctx, "secret", h.secret.Fingerprint())
	if err != nil {
		return fmt.Errorf("compare the secret with the ledger's: %w", err)
	}
	if held != h.secret.Fingerprint() {
		return contracts.Faultf(contracts.Invalid, "CFG-021", "", "The secret is not the one that this ledger was begun with. Put the old secret file back.")
	}
	return nil
}

// Run translates and delivers until ctx ends and what was begun is finished: waiting ends at once, a message that is
// on its way to a partner gets Config.Linger to be answered. It returns nil at an orderly end.
func (h *Hub) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	consume := func(topic, group string, lanes int, work func(context.Context, contracts.Record) error) {
		g.Go(func() error { return h.consume(ctx, topic, group, lanes, work) })
	}
	consume(contracts.TopicIn, GroupTranslate, h.lanes, h.translate)
	consume(contracts.TopicDead, GroupRefuse, 4, h.recordRefusal)
	for _, p := range h.partners {
		if p.courier != nil {
			consume(contracts.OutTopic(p.ID), GroupDeliver, h.lanes, func(ctx context.Context, r contracts.Record) error {
				return h.deliver(ctx, p, r)
			})
		}
	}
	for _, q := range h.queues {
		g.Go(func() error { return q.run(ctx) })
	}
	g.Go(func() error { return h.watchPauses(ctx) })
	g.Go(func() error { return h.writeAside(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// askAgain is how long a bus that can't give records is left alone.
const askAgain = time.Second

// consume works a topic until ctx ends. A bus that is away for a while is asked again.
func (h *Hub) consume(ctx context.Context, topic, group string, lanes int, work func(context.Context, contracts.Record) error) error {
	for {
		err := h.bus.Consume(ctx, topic, group, lanes, h.busy[topic].counted(h.handler(ctx, topic, work)))
		if ctx.Err() != nil || contracts.KindOf(err) != contracts.Unavailable {
			return err
		}
		h.log.WithFields(logrus.Fields{"topic": topic, "code": contracts.FaultsOf(err)[0].Code}).Warn("the bus gives no records; asking again")
		if !pause(ctx, askAgain) {
			return nil
		}
	}
}

// handler makes what a bus calls for each record. Its context ends with Run's as well as with the bus's own, since a
// bus lets a handle that has begun run on, and one that only waits must not hold up the end. An error, which makes the
// record come again, is told to the log here.
func (h *Hub) handler(run context.Context, topic string, work func(context.Context, contracts.Record) error) func(context.Context, contracts.Record) error {
	return func(lane context.Context, r contracts.Record) error {
		ctx, cancel := within(run, lane)
		defer cancel()
		err := work(ctx, r)
		if err != nil && ctx.Err() == nil {
			f := contracts.FaultsOf(err)[0]
			h.about(r).WithFields(logrus.Fields{"topic": topic, "kind": f.Kind, "code": f.Code}).Warn("a message must come again")
		}
		return err
	}
}

// laneOf is the key under which a context has its lane's own.
type laneOf struct{}

// within gives a lane's context that ends with Run, too.
func within(run, lane context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithValue(lane, laneOf{}, lane))
	stop := context.AfterFunc(run, cancel)
	return ctx, func() { stop(); cancel() }
}

// longer gives a context that ends only Config.Linger after Run, but at once when the lane has lost its key, also in that
// time: another process sends what is behind it now, or this one does when the key has come back.
func (h *Hub) longer(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	lost := context.AfterFunc(ctx.Value(laneOf{}).(context.Context), cancel)
	stop := context.AfterFunc(ctx, func() {
		if pause(longer, h.linger) {
			cancel()
		}
	})
	return longer, func() { lost(); stop(); cancel() }
}

// apply writes a change to the ledger and tells the watcher of its steps.
func (h *Hub) apply(ctx context.Context, c contracts.Change) error {
	if err := h.ledger.Apply(ctx, c); err != nil {
		return err
	}
	for _, s := range c.Steps {
		h.watch(s)
	}
	return nil
}

// insist applies a change that must not get lost once the world has moved (a partner has answered): it tries until
// the ledger takes it, refuses it, or ctx ends; then a restart finds the message unfinished and goes on from there.
func (h *Hub) insist(ctx context.Context, c contracts.Change) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := h.apply(ctx, c)
		if err == nil || contracts.KindOf(err) == contracts.Conflict || contracts.KindOf(err) == contracts.Invalid {
			return err
		}
		if ctx.Err() == nil {
			h.log.WithField("kind", contracts.KindOf(err)).Warn("the ledger doesn't take a change; trying again")
		}
		if !pause(ctx, wait) {
			return err
		}
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// note leaves a change for the background: a step that is good to have and that no acknowledgement may wait for.
func (h *Hub) note(c contracts.Change) {
	select {
	case h.memory.aside <- c:
	default:
		h.memory.dropped.Add(1)
		h.log.Warn("a step was not recorded: the ledger is behind")
	}
}

func (h *Hub) writeAside(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-h.memory.aside:
			if err := h.apply(ctx, c); err != nil {
				h.log.WithField("kind", contracts.KindOf(err)).Warn("a step was not recorded")
			}
		}
	}
}

// guard runs one message's work; a panic is a bug that stops this message, not the hub.
func (h *Hub) guard(stage string, record contracts.Record, work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			h.about(record).WithFields(logrus.Fields{"stage": stage, "bug": fmt.Sprintf("%T", r)}).Error("a bug stopped a message")
			err = &contracts.Fault{Kind: contracts.Internal, Code: "HUB-001", Op: stage, Public: "A bug in the hub stopped this message. The log names the stage; the message is kept."}
		}
	}()
	return work()
}

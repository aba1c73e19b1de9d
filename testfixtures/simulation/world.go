// Package simulation runs the hub against a model world from one seed, in virtual time: a bus, a ledger and partners
// that fail, lose answers and are slow, and a process that is killed. What the promise says is checked at the end of
// every seed, and named mutants of the hub show that the checks can fail.
package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/model"
)

// The size of a world.
const (
	referrals = 10
	each      = 6 // messages of one referral, of which HUS answers the first
	crashes   = 3
	longest   = 6 * time.Hour // virtual time after which what isn't delivered counts as lost
)

// mutant is a hub with one known bug, made by standing between it and its world.
type mutant struct {
	name    string
	bus     func(hub.Bus) hub.Bus
	ledger  func(hub.Ledger) hub.Ledger
	courier func(hub.Courier) hub.Courier
}

// run is one seed's world.
type run struct {
	world       *model.World
	bus         *model.Bus
	ledger      *model.Ledger
	clinic, hus *model.Partner
	maps        *mappings.Catalog
	mutant      mutant
	current     atomic.Pointer[hub.Hub]

	mu     sync.Mutex
	done   map[contracts.ID]bool // deliveries that the ledger has as delivered
	tries  map[contracts.ID]try  // the last attempt of each
	unsure map[contracts.ID]bool // deliveries of which the ledger may know more or less than it said
	lives  int                   // how often the hub was started
	wrong  []string
	acked  map[string]int // control ids that were acknowledged, with how often
}

// try is what the attempts until now left behind: whether the partner may have the message.
type try struct{ unknown bool }

func newRun(seed uint64, maps *mappings.Catalog, m mutant) *run {
	w := model.NewWorld(seed)
	draw := rand.New(rand.NewPCG(seed, 7))
	calm := model.Weather{Usual: 2 * time.Millisecond, Long: 3 * time.Second, Slow: 0.02, Before: 0.03, After: 0.03}
	rough := model.Weather{Usual: 20 * time.Millisecond, Long: 20 * time.Second, Slow: 0.05, Before: 0.2 * draw.Float64(), After: 0.2 * draw.Float64()}
	r := &run{world: w, bus: model.NewBus(w, calm), ledger: model.NewLedger(w, calm), maps: maps, mutant: m, done: map[contracts.ID]bool{}, tries: map[contracts.ID]try{}, unsure: map[contracts.ID]bool{}, acked: map[string]int{}}
	r.hus = model.NewPartner(w, "hus", model.Habits{Weather: rough, Refuse: 0.05, Duplicate: draw.IntN(2) == 0, Order: orderOf})
	r.clinic = model.NewPartner(w, "clinic", model.Habits{Weather: rough, Duplicate: true})
	// A referral's way takes some 40 calls that can change something; crashes fall anywhere among them.
	for range crashes {
		w.CrashAt(50 + draw.IntN(1200))
	}
	return r
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
`))
	if err != nil {
		panic(err)
	}
	return p
}

// live keeps a hub running until ctx ends: after a crash another one starts on what was durable.
func (r *run) live(ctx context.Context) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	for ctx.Err() == nil {
		r.mu.Lock()
		r.lives++
		r.mu.Unlock()
		h, err := hub.New(ctx, r.config(log))
		if err == nil {
			r.current.Store(h)
			life, end := context.WithCancel(ctx)
			stop := context.AfterFunc(ctx, end)
			crashed := r.world.Crashed()
			go func() {
				select {
				case <-crashed:
				case <-life.Done():
				}
				end()
			}()
			err = h.Run(life)
			stop()
			end()
			r.current.Store(nil)
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-r.world.Crashed():
			time.Sleep(2 * time.Second) // somebody notices and starts it again
			r.world.Restart()
		default:
			if err == nil || contracts.KindOf(err) != contracts.Unavailable {
				r.report("the hub ended without a crash")
				return
			}
		}
	}
}

func (r *run) config(log logrus.FieldLogger) hub.Config {
	var bus hub.Bus = r.bus
	var ledger hub.Ledger = marking{r.ledger, r}
	hus, clinic := hub.Courier(marked{r.hus, r}), hub.Courier(marked{r.clinic, r})
	if r.mutant.bus != nil {
		bus = r.mutant.bus(bus)
	}
	if r.mutant.ledger != nil {
		ledger = r.mutant.ledger(ledger)
	}
	if r.mutant.courier != nil {
		hus = r.mutant.courier(hus)
	}
	return hub.Config{
		Partners: []*contracts.Partner{contract("clinic", "{events: [request, update], to: [hus]}"), contract("hus", "")},
		Maps:     r.maps, Bus: bus, Ledger: ledger, Couriers: map[string]hub.Courier{"hus": hus, "clinic": clinic},
		Secret: secret, Now: time.Now, Log: log, Lanes: 4,
	}
}

// send hands a message to whichever hub runs until one gives a receipt, as a sender does that keeps what isn't
// acknowledged. It reports a refusal.
func (r *run) send(ctx context.Context, from, control string, body []byte) {
	for ctx.Err() == nil {
		if h := r.current.Load(); h != nil {
			receipt, err := h.Receive(ctx, contracts.Arrival{Partner: from, Format: contracts.FormatFHIR, Body: contracts.NewBody(body)})
			if err == nil {
				if receipt.Fault != nil {
					r.report("a message was refused: " + receipt.Fault.Code)
				}
				r.mu.Lock()
				r.acked[control]++
				r.mu.Unlock()
				return
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (r *run) report(wrong string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, wrong)
}

// referral sends one referral's messages in order, now and then one of them twice.
func (r *run) referral(ctx context.Context, k int, draw *rand.Rand) {
	for n := range each {
		event, control := profiles.Update, fmt.Sprintf("C-%d-%d", k, n)
		if n == 0 {
			event = profiles.Request
		}
		body := message(control, event, fmt.Sprint("R-", k), n)
		r.send(ctx, "clinic", control, body)
		if draw.IntN(8) == 0 {
			r.send(ctx, "clinic", control, body)
		}
		time.Sleep(time.Duration(draw.IntN(4000)) * time.Millisecond)
	}
}

// answers lets HUS answer each referral's first message once it has it.
func (r *run) answers(ctx context.Context) {
	answered := map[string]bool{}
	for len(answered) < referrals && ctx.Err() == nil {
		for _, t := range r.hus.Taken() {
			if t.N == 0 && !answered[t.Referral] {
				answered[t.Referral] = true
				control := "H-" + t.Referral
				r.send(ctx, "hus", control, answer(control, t.Control))
			}
		}
		time.Sleep(time.Second)
	}
}

// operator releases what is parked, now and then.
func (r *run) operator(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(time.Minute)
		h := r.current.Load()
		if h == nil {
			continue
		}
		rows, err := h.List(ctx, contracts.Filter{State: contracts.StateParked})
		if err != nil {
			continue
		}
		for _, row := range rows {
			_ = h.Release(ctx, string(row.ID), "simulated", "operator") // it may fail in this weather; the next round tries again
		}
	}
}

// finished says that every message came where it should.
func (r *run) finished() bool {
	r.mu.Lock()
	acked := len(r.acked)
	r.mu.Unlock()
	return acked == referrals*each+referrals && len(r.hus.Taken()) >= referrals*each && len(r.clinic.Taken()) >= referrals && r.settled()
}

// settled says that the ledger knows of it as well.
func (r *run) settled() bool {
	h := r.current.Load()
	if h == nil {
		return false
	}
	rows, err := h.List(context.Background(), contracts.Filter{Limit: 1000})
	if err != nil || len(rows) < referrals*each+referrals {
		return false
	}
	for _, row := range rows {
		if row.State != contracts.StateDelivered {
			return false
		}
	}
	return true
}

// play runs the seed to its end and gives all that was wrong.
func (r *run) play(seed uint64) []string {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() { r.live(ctx) })
	working.Go(func() { r.answers(ctx) })
	working.Go(func() { r.operator(ctx) })
	for k := range referrals {
		working.Go(func() { r.referral(ctx, k, rand.New(rand.NewPCG(seed, uint64(100+k)))) })
	}
	working.Go(func() { // HUS is away for a while
		time.Sleep(5 * time.Second)
		r.hus.Down()
		time.Sleep(time.Duration(seed%5) * time.Minute)
		r.hus.Up()
	})
	finished := false
	for end := time.Now().Add(longest); !finished && time.Now().Before(end); finished = r.finished() {
		time.Sleep(5 * time.Second)
	}
	if !finished {
		r.report("in the end not everything is shown as delivered")
	}
	cancel()
	working.Wait()
	return r.judge()
}

// judge compares what the partners got with the promise.
func (r *run) judge() []string {
	wrong := append(append(r.wrong, r.hus.Wrong()...), r.clinic.Wrong()...)
	came := map[string]int{}
	for _, t := range r.hus.Taken() {
		came[fmt.Sprintf("C-%s-%d", strings.TrimPrefix(t.Referral, "R-"), t.N)]++
	}
	for control := range r.acked {
		if strings.HasPrefix(control, "C-") && came[control] == 0 {
			wrong = append(wrong, "an acknowledged message never came")
		}
	}
	for _, n := range came {
		if n > 1 {
			wrong = append(wrong, "a message came under two ids")
		}
	}
	if n := len(r.clinic.Taken()); n != referrals {
		wrong = append(wrong, fmt.Sprintf("%d answers of %d came home", n, referrals))
	}
	return wrong
}

// marking remembers which deliveries the ledger has as delivered.
type marking struct {
	hub.Ledger
	r *run
}

func (m marking) Apply(ctx context.Context, c contracts.Change) error {
	err := m.Ledger.Apply(ctx, c)
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	for _, d := range c.Deliveries {
		if err != nil {
			m.r.unsure[d.ID] = true
		} else if d.State == contracts.StateDelivered {
			m.r.done[d.ID] = true
		}
	}
	return err
}

// marked reports a parcel that is sent although the ledger has it as delivered, and one that is said to be a repeat
// without an attempt that may have arrived, or the other way round.
type marked struct {
	hub.Courier
	r *run
}

func (m marked) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	m.r.mu.Lock()
	again, last, life, unsure := m.r.done[p.ID], m.r.tries[p.ID], m.r.lives, m.r.unsure[p.ID]
	m.r.mu.Unlock()
	if again {
		m.r.report("a delivered message was sent again")
	}
	if last.unknown && !p.Repeat {
		m.r.report("an attempt that may have arrived was forgotten")
	}
	if p.Repeat && !last.unknown && !unsure && life == 1 {
		m.r.report("a message is called a repeat, and none arrived")
	}
	a, err := m.Courier.Deliver(ctx, p)
	m.r.mu.Lock()
	m.r.tries[p.ID] = try{last.unknown || a.Unknown}
	m.r.mu.Unlock()
	return a, err
}

func message(control, event, placer string, n int) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab364","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:x"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92","resource":{"resourceType":"Task","identifier":[{"type":{"coding":[{"code":"PLAC"}]},"value":%q}],"status":"requested","intent":"order","note":[{"text":"%d"}]}}]}`,
		control, profiles.URL(profiles.EventSystem), event, placer, n)
}

func answer(control, to string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab365","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:y"},"response":{"identifier":%q,"code":"ok"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df93"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df93","resource":{"resourceType":"Task","status":"accepted","intent":"order"}}]}`,
		control, profiles.URL(profiles.EventSystem), profiles.ResponseAccepted, to)
}

// orderOf reads a referral's id and a message's number from what HUS gets.
func orderOf(p contracts.Parcel) (string, int) {
	var b struct {
		Entry []struct {
			Resource struct {
				Identifier []struct{ Value string }
				Note       []struct{ Text string }
			}
		}
	}
	if err := json.Unmarshal(p.Body.Bytes(), &b); err != nil || len(b.Entry) < 2 {
		return "", 0
	}
	task := b.Entry[1].Resource
	n, err := strconv.Atoi(task.Note[0].Text)
	if err != nil {
		return "", 0
	}
	return task.Identifier[0].Value, n
}

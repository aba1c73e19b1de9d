package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// Each mutant must be caught within so many seeds.
const within = 1000

func TestMutantsAreCaught(t *testing.T) {
	maps, n := catalog(t), within
	if testing.Short() {
		n = 100
	}
	for _, m := range mutants {
		if m.late && testing.Short() {
			t.Logf("%s: only a whole run has the seeds that catch it", m.name)
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			caught := struct {
				sync.Mutex
				seed uint64
				why  string
			}{}
			inParallel(t, *first, n, func(t *testing.T, seed uint64) bool {
				_, wrong := play(t, seed, maps, m, false)
				caught.Lock()
				defer caught.Unlock()
				if len(wrong) > 0 && (caught.why == "" || seed < caught.seed) {
					caught.seed, caught.why = seed, wrong[0]
				}
				return len(wrong) > 0
			})
			if caught.why == "" {
				t.Fatalf("not caught within %d seeds", n)
			}
			t.Logf("caught at seed %d: %s", caught.seed, caught.why)
		})
	}
}

var mutants = []mutant{
	{name: "acknowledges before it publishes", bus: func(b hub.Bus) hub.Bus { return early{b} }},
	{name: "commits an offset before the work is done", bus: func(b hub.Bus) hub.Bus { return hasty{b} }},
	{name: "takes a new id for each attempt", courier: func(c hub.Courier) hub.Courier { return renaming{c} }},
	{name: "sends other bytes under an id", courier: func(c hub.Courier) hub.Courier { return rewriting{c} }},
	{name: "forgets what is delivered", ledger: func(l hub.Ledger) hub.Ledger { return forgetful{l} }},
	{name: "takes every attempt for a repeat", courier: func(c hub.Courier) hub.Courier { return doubting{c} }},
	{name: "forgets an unknown outcome", courier: func(c hub.Courier) hub.Courier { return trusting{c} }},
	{name: "takes a lost answer for an acknowledgement", courier: func(c hub.Courier) hub.Courier { return hopeful{c} }},
	{name: "skips the park", courier: func(c hub.Courier) hub.Courier { return swallowing{c} }},
	{name: "parks without keeping the place", ledger: func(l hub.Ledger) hub.Ledger { return misplacing{l} }},
	{name: "loses the bytes of what is parked", bus: func(b hub.Bus) hub.Bus { return shredding{b} }},
	{name: "lets a key go on before what waits is done", ledger: func(l hub.Ledger) hub.Ledger { return blind{l} }},
	{name: "works what waits by the latest arrival", ledger: func(l hub.Ledger) hub.Ledger { return latest{l} }},
	{name: "gives up what was waited for when it succeeds", ledger: func(l hub.Ledger) hub.Ledger { return dropping{l} }},
	{name: "works keys that others own", bus: func(b hub.Bus) hub.Bus { return greedy{b} }},
	{name: "holds nothing of what it works", bus: func(b hub.Bus) hub.Bus { return slippery{b} }},
	{name: "works on in a lane that lost its key, and ignores the fence",
		bus: func(b hub.Bus) hub.Bus { return lasting{b} }, ledger: func(l hub.Ledger) hub.Ledger { return headlong{l} }, late: true},
	{name: "asks nobody who owns a key, and ignores the fence",
		bus: func(b hub.Bus) hub.Bus { return greedy{b} }, ledger: func(l hub.Ledger) hub.Ledger { return headlong{l} }},
	{name: "tells of a failure in a lane that lost its key, although another attempt was made",
		bus: func(b hub.Bus) hub.Bus { return lasting{b} }, ledger: func(l hub.Ledger) hub.Ledger { return stubborn{l} }, late: true},
	{name: "knows only its own claims", bus: func(b hub.Bus) hub.Bus { return &alone{Bus: b, claims: map[contracts.Key]contracts.Digest{}} }},
	{name: "shows a refusal nowhere", ledger: func(l hub.Ledger) hub.Ledger { return hushing{l} }},
}

// early acknowledges what the bus hasn't said to be durable.
type early struct{ hub.Bus }

func (e early) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	p, err := e.Bus.Publish(ctx, r, once)
	if err != nil && r.Topic == contracts.TopicIn {
		return contracts.Published{Claim: contracts.ClaimNew, First: r.Time, ID: r.ID}, nil
	}
	return p, err
}

// hasty finishes a record whatever its work says.
type hasty struct{ hub.Bus }

func (h hasty) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	return h.Bus.Consume(ctx, topic, group, lanes, func(ctx context.Context, r contracts.Record) error {
		_ = handle(ctx, r)
		return nil
	})
}

// renaming gives each attempt an id of its own.
type renaming struct{ hub.Courier }

func (c renaming) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	p.ID = contracts.DerivedID("attempt", string(p.ID), fmt.Sprint(p.Attempt))
	return c.Courier.Deliver(ctx, p)
}

// rewriting writes the number of the attempt into the bytes.
type rewriting struct{ hub.Courier }

func (c rewriting) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	p.Body = contracts.NewBody(fmt.Appendf(slices.Clone(p.Body.Bytes()), "\n%d", p.Attempt))
	return c.Courier.Deliver(ctx, p)
}

// forgetful never remembers that a delivery was made.
type forgetful struct{ hub.Ledger }

func (f forgetful) Delivery(ctx context.Context, id contracts.ID) (contracts.Delivery, error) {
	d, err := f.Ledger.Delivery(ctx, id)
	if d.State == contracts.StateDelivered {
		d.State = contracts.StateTranslated
	}
	return d, err
}

func (f forgetful) Apply(ctx context.Context, c contracts.Change) error {
	return headlong(f).Apply(ctx, c)
}

// doubting calls every further attempt a repeat.
type doubting struct{ hub.Courier }

func (c doubting) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	p.Repeat = p.Attempt > 1
	return c.Courier.Deliver(ctx, p)
}

// trusting calls no attempt a repeat.
type trusting struct{ hub.Courier }

func (c trusting) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	p.Repeat = false
	return c.Courier.Deliver(ctx, p)
}

// hopeful takes an unknown outcome for a good one.
type hopeful struct{ hub.Courier }

func (c hopeful) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	a, err := c.Courier.Deliver(ctx, p)
	if a.Unknown {
		err = nil
	}
	return a, err
}

// swallowing takes a refusal for an acknowledgement.
type swallowing struct{ hub.Courier }

func (c swallowing) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	a, err := c.Courier.Deliver(ctx, p)
	if contracts.KindOf(err) == contracts.Refused {
		err = nil
	}
	return a, err
}

// misplacing shows a message as parked and doesn't let it wait.
type misplacing struct{ hub.Ledger }

func (l misplacing) Apply(ctx context.Context, c contracts.Change) error {
	if slices.ContainsFunc(c.Keys, func(k contracts.KeyState) bool { return k.Condition == contracts.KeyParked }) {
		c.Keys, c.Wait = nil, nil
	}
	return l.Ledger.Apply(ctx, c)
}

// shredding says that bytes are parked, and keeps none.
type shredding struct{ hub.Bus }

func (b shredding) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if r.Topic == contracts.ParkTopic("hus") {
		return contracts.Published{ID: r.ID, Place: contracts.Place{Topic: r.Topic, Offset: 1 << 30}}, nil
	}
	return b.Bus.Publish(ctx, r, once)
}

// blind says of every key that it is live.
type blind struct{ hub.Ledger }

func (b blind) Key(ctx context.Context, ref contracts.KeyRef) (contracts.KeyState, error) {
	return contracts.KeyState{KeyRef: ref, Condition: contracts.KeyLive}, nil
}

// latest gives the last message behind a key instead of the first.
type latest struct{ hub.Ledger }

func (l latest) Waiting(ctx context.Context, topic string, now time.Time, limit int) ([]contracts.Waiting, error) {
	due, err := l.Ledger.Waiting(ctx, topic, now, limit)
	for i, w := range due {
		if behind, err := l.Ledger.Behind(ctx, w.KeyRef); err == nil && len(behind) > 0 {
			due[i] = behind[len(behind)-1]
		}
	}
	return due, err
}

// dropping takes all that waits behind a key for done when its first message is.
type dropping struct{ hub.Ledger }

func (l dropping) Apply(ctx context.Context, c contracts.Change) error {
	if len(c.Done) > 0 {
		if behind, err := l.Ledger.Behind(ctx, c.Done[0].KeyRef); err == nil {
			c.Done = append(c.Done, behind...)
		}
	}
	return l.Ledger.Apply(ctx, c)
}

// greedy takes every key for its own.
type greedy struct{ hub.Bus }

func (greedy) Owns(string, string, contracts.Key) bool { return true }
func (greedy) Hold(_, _ string, _ contracts.Key) (context.Context, func(), bool) {
	return context.Background(), func() {}, true
}

// slippery lets go of a key as soon as it holds it.
type slippery struct{ hub.Bus }

func (b slippery) Hold(topic, group string, key contracts.Key) (context.Context, func(), bool) {
	_, release, held := b.Bus.Hold(topic, group, key)
	if held {
		release()
	}
	return context.Background(), func() {}, held
}

// lasting lets a lane go on that has lost its key.
type lasting struct{ hub.Bus }

func (b lasting) Hold(topic, group string, key contracts.Key) (context.Context, func(), bool) {
	_, release, held := b.Bus.Hold(topic, group, key)
	return context.Background(), release, held
}

func (b lasting) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	return b.Bus.Consume(ctx, topic, group, lanes, func(lane context.Context, r contracts.Record) error {
		return handle(context.WithoutCancel(lane), r)
	})
}

// headlong makes an attempt that the ledger refused.
type headlong struct{ hub.Ledger }

func (l headlong) Apply(ctx context.Context, c contracts.Change) error {
	err := l.Ledger.Apply(ctx, c)
	if f := contracts.FaultsOf(err); err != nil && f[0].Kind == contracts.Conflict && f[0].At == "attempt" {
		return nil
	}
	return err
}

// stubborn writes what became of an attempt as if it were the latest.
type stubborn struct{ hub.Ledger }

func (l stubborn) Apply(ctx context.Context, c contracts.Change) error {
	c.Deliveries = slices.Clone(c.Deliveries)
	for i, d := range c.Deliveries {
		if held, err := l.Ledger.Delivery(ctx, d.ID); err == nil && d.State == contracts.StateWaiting {
			c.Deliveries[i].Attempts = held.Attempts
		}
	}
	return l.Ledger.Apply(ctx, c)
}

// alone settles claims by what this life of its process has seen.
type alone struct {
	hub.Bus
	mu     sync.Mutex
	claims map[contracts.Key]contracts.Digest
}

func (a *alone) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if once == nil {
		return a.Bus.Publish(ctx, r, nil)
	}
	a.mu.Lock()
	held, known := a.claims[once.Key]
	if !known {
		a.claims[once.Key] = once.Digest
	}
	a.mu.Unlock()
	if known && held != once.Digest {
		return contracts.Published{Claim: contracts.ClaimOther, First: r.Time, ID: r.ID}, nil
	}
	p, err := a.Bus.Publish(ctx, r, nil)
	p.Claim = contracts.ClaimNew
	return p, err
}

// hushing keeps no row of what was refused.
type hushing struct{ hub.Ledger }

func (l hushing) Apply(ctx context.Context, c contracts.Change) error {
	if len(c.Entries) > 0 && c.Entries[0].State == contracts.StateRefused {
		return nil
	}
	return l.Ledger.Apply(ctx, c)
}

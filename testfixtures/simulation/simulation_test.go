package simulation

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

var (
	seeds = flag.Int("seeds", 30, "how many seeds the simulation runs")
	first = flag.Uint64("seed", 1, "the first seed; a failing one is named, and runs alone with -seeds=1")
)

func catalog(t *testing.T) *mappings.Catalog {
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	return maps
}

func play(t *testing.T, seed uint64, maps *mappings.Catalog, m mutant) (wrong []string) {
	synctest.Test(t, func(t *testing.T) { wrong = newRun(seed, maps, m).play(seed) })
	return wrong
}

func TestThePromiseHoldsForEverySeed(t *testing.T) {
	maps := catalog(t)
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		if wrong := play(t, seed, maps, mutant{}); len(wrong) > 0 {
			t.Fatalf("seed %d: %q", seed, wrong)
		}
	}
}

// Each mutant must be caught within so many seeds.
const within = 30

func TestMutantsAreCaught(t *testing.T) {
	maps := catalog(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= within; seed++ {
				if wrong := play(t, seed, maps, m); len(wrong) > 0 {
					t.Logf("caught at seed %d: %s", seed, wrong[0])
					return
				}
			}
			t.Errorf("not caught within %d seeds", within)
		})
	}
}

var mutants = []mutant{
	{name: "acknowledges before it publishes", bus: func(b hub.Bus) hub.Bus { return early{b} }},
	{name: "commits an offset before the work is done", bus: func(b hub.Bus) hub.Bus { return hasty{b} }},
	{name: "takes a new id for each attempt", courier: func(c hub.Courier) hub.Courier { return renaming{c} }},
	{name: "forgets what is delivered", ledger: func(l hub.Ledger) hub.Ledger { return forgetful{l} }},
	{name: "takes every attempt for a repeat", courier: func(c hub.Courier) hub.Courier { return doubting{c} }},
	{name: "forgets an unknown outcome", courier: func(c hub.Courier) hub.Courier { return trusting{c} }},
	{name: "skips the park", courier: func(c hub.Courier) hub.Courier { return swallowing{c} }},
	{name: "lets a key go on before what waits is done", ledger: func(l hub.Ledger) hub.Ledger { return blind{l} }},
}

// early answers a sender at once and publishes afterwards.
type early struct{ hub.Bus }

func (e early) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if r.Topic != contracts.TopicIn {
		return e.Bus.Publish(ctx, r, once)
	}
	go e.Bus.Publish(context.WithoutCancel(ctx), r, once)
	return contracts.Published{Claim: contracts.ClaimNew, First: r.Time, ID: r.ID}, nil
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

// forgetful never remembers that a delivery was made.
type forgetful struct{ hub.Ledger }

func (f forgetful) Delivery(ctx context.Context, id contracts.ID) (contracts.Delivery, error) {
	d, err := f.Ledger.Delivery(ctx, id)
	if d.State == contracts.StateDelivered {
		d.State = contracts.StateTranslated
	}
	return d, err
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

// swallowing takes a refusal for an acknowledgement.
type swallowing struct{ hub.Courier }

func (c swallowing) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	a, err := c.Courier.Deliver(ctx, p)
	if contracts.KindOf(err) == contracts.Refused {
		err = nil
	}
	return a, err
}

// blind says of every key that it is live.
type blind struct{ hub.Ledger }

func (b blind) Key(ctx context.Context, ref contracts.KeyRef) (contracts.KeyState, error) {
	return contracts.KeyState{KeyRef: ref, Condition: contracts.KeyLive}, nil
}

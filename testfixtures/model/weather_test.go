package model_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/model"
)

func record(n int) contracts.Record {
	return contracts.Record{Topic: contracts.TopicIn, Key: contracts.Key(fmt.Sprint("key ", n%5)), ID: contracts.DerivedID("record", fmt.Sprint(n)),
		Time: time.Now(), Body: contracts.NewBody([]byte(fmt.Sprint("body ", n)))}
}

func change(n int) contracts.Change {
	id := contracts.DerivedID("record", fmt.Sprint(n))
	return contracts.Change{Entries: []contracts.Entry{{ID: id, Received: time.Now(), State: contracts.StateReceived}}}
}

// A call that fails before has no effect, one that fails after has; and both are common enough to be met.
func TestFailedCallsTakeEffectOrNot(t *testing.T) {
	ctx, w := t.Context(), model.NewWorld(7)
	b, l := model.NewBus(w, model.Weather{Before: 0.3, After: 0.3}), model.NewLedger(w, model.Weather{Before: 0.3, After: 0.3})
	calm := model.NewLedger(w, model.Weather{})
	var failed, published, applied int
	for n := range 300 {
		_, err := b.Publish(ctx, record(n), nil)
		there := slices.ContainsFunc(b.Records(contracts.TopicIn), func(r contracts.Record) bool { return r.ID == record(n).ID })
		if err == nil && !there {
			t.Fatal("a record was published and isn't there")
		}
		if err != nil {
			if contracts.KindOf(err) != contracts.Unavailable {
				t.Fatalf("publish gives %v, want a fault of kind unavailable", err)
			}
			failed++
			if there {
				published++
			}
		}
		if err := l.Apply(ctx, change(n)); err != nil {
			if rows := eventually(t, func() ([]contracts.Row, error) { return l.Find(ctx, string(record(n).ID)) }); len(rows) == 1 {
				applied++
			}
		}
		if err := calm.Apply(ctx, change(n)); err != nil {
			t.Fatalf("in calm weather a call fails: %v", err)
		}
	}
	for what, n := range map[string]int{"failed without effect": failed - published, "failed with effect": published, "changes failed with effect": applied} {
		if n < 50 || n > 150 {
			t.Errorf("%d of 300 calls %s, want about 90", n, what)
		}
	}
}

// eventually asks until the weather lets it through.
func eventually[T any](t *testing.T, ask func() (T, error)) T {
	t.Helper()
	for range 1000 {
		v, err := ask()
		if err == nil {
			return v
		}
	}
	t.Fatal("a call failed a thousand times")
	panic("unreachable")
}

func TestACrashEndsAllCallsAndKeepsWhatWasDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := model.NewWorld(3)
		b, l := model.NewBus(w, model.Weather{Usual: time.Second}), model.NewLedger(w, model.Weather{})
		if _, err := b.Publish(t.Context(), record(1), nil); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			errs <- b.Consume(t.Context(), contracts.TopicIn, "hub", 2, func(ctx context.Context, r contracts.Record) error {
				close(begun)
				<-ctx.Done() // the process is gone, and so is what it did
				return nil
			})
		}()
		<-begun
		go func() {
			_, err := b.Publish(t.Context(), record(2), nil)
			errs <- err
		}()
		synctest.Wait()
		crashed := w.Crashed()
		w.Crash()
		<-crashed
		for range 2 {
			if err := <-errs; contracts.KindOf(err) != contracts.Unavailable {
				t.Errorf("a call over a crash gives %v, want a fault of kind unavailable", err)
			}
		}
		if err := l.Apply(t.Context(), change(1)); contracts.KindOf(err) != contracts.Unavailable {
			t.Errorf("a call after a crash gives %v, want a fault of kind unavailable", err)
		}
		if b.Health(t.Context()) == nil || l.Health(t.Context()) == nil {
			t.Error("a crashed process is healthy")
		}
		w.Restart()
		if rows, err := l.List(t.Context(), contracts.Filter{}); err != nil || len(rows) != 0 {
			t.Errorf("after the restart there are %d rows (%v), want none", len(rows), err)
		}
		lag, err := b.Lag(t.Context(), contracts.TopicIn, "hub")
		if n := len(b.Records(contracts.TopicIn)); err != nil || lag != int64(n) || n == 0 {
			t.Errorf("after the restart the lag is %d (%v) of %d records; the one that was cut off must come again", lag, err, n)
		}
	})
}

// A crash sets a group back to what was committed: finished records come again, and none is skipped.
func TestACrashBringsFinishedRecordsAgain(t *testing.T) {
	doubled := 0
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			w := model.NewWorld(seed)
			b := model.NewBus(w, model.Weather{Usual: time.Millisecond})
			for n := range 40 {
				if _, err := b.Publish(t.Context(), record(n), nil); err != nil {
					t.Fatal(err)
				}
			}
			times := map[contracts.ID]int{}
			consume := func(enough int) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var mu sync.Mutex
				finished := 0
				b.Consume(ctx, contracts.TopicIn, "hub", 3, func(_ context.Context, r contracts.Record) error {
					mu.Lock()
					defer mu.Unlock()
					times[r.ID]++
					if finished++; finished == enough {
						w.Crash()
					}
					if lag, err := b.Lag(t.Context(), contracts.TopicIn, "hub"); err == nil && lag == 1 {
						cancel()
					}
					return nil
				})
			}
			consume(25)
			w.Restart()
			consume(-1)
			for n := range 40 {
				if times[record(n).ID] == 0 {
					t.Errorf("seed %d: record %d was never handed out", seed, n)
				}
				doubled += times[record(n).ID] - 1
			}
		})
	}
	if doubled < 40 {
		t.Errorf("only %d records came again over 20 crashes", doubled)
	}
}

func TestCrashAtComesInThatCall(t *testing.T) {
	before, after := 0, 0
	for seed := range uint64(40) {
		w := model.NewWorld(seed)
		w.CrashAt(3)
		l := model.NewLedger(w, model.Weather{})
		for n := 1; n <= 3; n++ {
			if err := l.Apply(t.Context(), change(n)); (err != nil) != (n == 3) {
				t.Fatalf("seed %d: call %d gives %v", seed, n, err)
			}
		}
		w.Restart()
		rows, err := l.List(t.Context(), contracts.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		switch len(rows) {
		case 2:
			before++
		case 3:
			after++
		default:
			t.Fatalf("seed %d: there are %d rows", seed, len(rows))
		}
		if w.Calls() != 3 {
			t.Errorf("%d calls were counted, want 3", w.Calls())
		}
	}
	if before < 8 || after < 8 {
		t.Errorf("of 40 crashes %d came before the effect and %d after it, want both", before, after)
	}
}

func parcel(n int, body string) contracts.Parcel {
	id := contracts.DerivedID("parcel", fmt.Sprint(n))
	return contracts.Parcel{ID: id, Control: id.Control(), Body: contracts.NewBody([]byte(body)), Attempt: 1}
}

// order reads "referral n" from a body.
func order(p contracts.Parcel) (referral string, n int) {
	fmt.Sscanf(string(p.Body.Bytes()), "%s %d", &referral, &n)
	return referral, n
}

func TestAPartnerSeesWhatMustNotHappen(t *testing.T) {
	for what, c := range map[string]struct {
		parcels []contracts.Parcel
		want    string
	}{
		"all in order":      {[]contracts.Parcel{parcel(1, "A 1"), parcel(2, "A 2"), parcel(3, "B 1"), parcel(2, "A 2")}, ""},
		"other bytes":       {[]contracts.Parcel{parcel(1, "A 1"), parcel(1, "A 2")}, "another content"},
		"out of order":      {[]contracts.Parcel{parcel(2, "A 2"), parcel(1, "A 1")}, "behind a later one"},
		"control id reused": {[]contracts.Parcel{parcel(1, "A 1"), {ID: "other", Control: parcel(1, "").Control, Body: contracts.NewBody([]byte("A 2"))}}, "one control id"},
	} {
		p := model.NewPartner(model.NewWorld(1), "hus", model.Habits{Order: order})
		for _, parcel := range c.parcels {
			p.Deliver(t.Context(), parcel)
		}
		got := strings.Join(p.Wrong(), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the partner says %q, want %q", what, got, c.want)
		}
	}
}

func TestAPartnerAnswersByItsHabits(t *testing.T) {
	ctx, w := t.Context(), model.NewWorld(1)
	p := model.NewPartner(w, "hus", model.Habits{Duplicate: true})
	p.Down()
	if a, err := p.Deliver(ctx, parcel(1, "A 1")); contracts.KindOf(err) != contracts.Unavailable || a.Unknown {
		t.Errorf("a partner that is down answers %+v, %v", a, err)
	}
	p.Up()
	for _, want := range []string{"200", "409"} {
		if a, err := p.Deliver(ctx, parcel(1, "A 1")); err != nil || a.Code != want {
			t.Errorf("the partner answers %+v, %v, want %s", a, err, want)
		}
	}
	if taken := p.Taken(); len(taken) != 1 || taken[0].Times != 2 {
		t.Errorf("the partner took %d messages, want one, twice", len(taken))
	}
	refuses := model.NewPartner(w, "terho", model.Habits{Refuse: 1})
	if _, err := refuses.Deliver(ctx, parcel(1, "A 1")); !slices.Contains([]contracts.Kind{contracts.Refused, contracts.Invalid}, contracts.KindOf(err)) || len(refuses.Taken()) != 0 || refuses.Refusals() != 1 {
		t.Errorf("a partner that refuses answers %v", err)
	}
	loses := model.NewPartner(w, "omaolo", model.Habits{Weather: model.Weather{After: 1}})
	if a, err := loses.Deliver(ctx, parcel(1, "A 1")); contracts.KindOf(err) != contracts.Unavailable || !a.Unknown || len(loses.Taken()) != 1 {
		t.Errorf("a partner whose answer is lost gives %+v, %v", a, err)
	}
}

// run lets a process as small as can be (publish, consume, apply, deliver) live through bad weather and crashes, and
// tells what the partner took, and when.
func run(t *testing.T, seed uint64) (told string) {
	synctest.Test(t, func(t *testing.T) {
		w, began := model.NewWorld(seed), time.Now()
		weather := model.Weather{Before: 0.05, After: 0.05, Slow: 0.1, Usual: 3 * time.Millisecond, Long: 200 * time.Millisecond}
		b, l := model.NewBus(w, weather), model.NewLedger(w, weather)
		p := model.NewPartner(w, "hus", model.Habits{Weather: weather, Duplicate: true, Order: order})
		w.CrashAt(20, 70, 71, 150)
		acknowledged := map[int]bool{}
		const messages = 60
		for len(acknowledged) < messages || len(p.Taken()) < messages {
			if time.Since(began) > time.Hour {
				t.Fatalf("seed %d: nothing moves any more", seed)
			}
			live(t, w, b, l, p, acknowledged, messages)
			w.Restart()
		}
		for _, wrong := range p.Wrong() {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		for _, m := range p.Taken() {
			told += fmt.Sprintln(m.Referral, m.N, m.Times, m.At.Sub(began))
		}
	})
	return told
}

// live is one life of that process: until it crashes, or all was taken.
func live(t *testing.T, w *model.World, b *model.Bus, l *model.Ledger, p *model.Partner, acknowledged map[int]bool, messages int) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; n < messages && ctx.Err() == nil; n++ {
			r := record(n)
			r.Body = contracts.NewBody([]byte(fmt.Sprintf("R%d %d", n%5, n)))
			for !acknowledged[n] && ctx.Err() == nil {
				_, err := b.Publish(ctx, r, &contracts.Once{Key: contracts.Key(r.ID), Digest: contracts.Digest(r.ID)})
				acknowledged[n] = err == nil
			}
		}
	})
	wg.Go(func() {
		b.Consume(ctx, contracts.TopicIn, "hub", 3, func(ctx context.Context, r contracts.Record) error {
			if err := l.Apply(ctx, contracts.Change{Entries: []contracts.Entry{{ID: r.ID, State: contracts.StateSending}}}); err != nil {
				return err
			}
			if _, err := p.Deliver(ctx, contracts.Parcel{ID: r.ID, Control: r.ID.Control(), Body: r.Body, Attempt: 1}); err != nil {
				return err
			}
			return l.Apply(ctx, contracts.Change{Entries: []contracts.Entry{{ID: r.ID, State: contracts.StateDelivered}}})
		})
	})
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for len(p.Taken()) < messages {
		select {
		case <-w.Crashed():
		case <-tick.C:
			continue
		}
		break
	}
	cancel()
	wg.Wait()
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		first := run(t, seed)
		if d := cmp.Diff(first, run(t, seed)); d != "" {
			t.Errorf("seed %d gives two runs (-first +second):\n%s", seed, d)
		}
		seen[first] = true
	}
	if len(seen) != 20 {
		t.Errorf("20 seeds give only %d runs", len(seen))
	}
}

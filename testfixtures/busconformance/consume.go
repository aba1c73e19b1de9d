package busconformance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
)

var errAgain = errors.New("again")

func keysKeepOrder(s *suite) {
	topic := s.topic("ordered")
	const keys, each = 40, 25
	half := s.publishMany(topic, keys, each)
	got := expect(2 * keys * each)
	var mu sync.Mutex
	busy := map[contracts.Key]bool{}
	s.consume(topic, "hub", 8, func(_ context.Context, r contracts.Record) error {
		mu.Lock()
		if busy[r.Key] {
			s.Error("two records of one key were worked at once")
		}
		busy[r.Key] = true
		mu.Unlock()
		got.add(r)
		mu.Lock()
		busy[r.Key] = false
		mu.Unlock()
		return nil
	})
	rest := s.publishMany(topic, keys, each)
	wait(s, "all records", got.all)
	for key := range half {
		if want := append(half[key], rest[key]...); !slices.Equal(got.byKey[key], want) {
			s.Errorf("a key's records came as %v, want %v", got.byKey[key], want)
		}
	}
}

func keysInParallel(s *suite) {
	topic := s.topic("parallel")
	const lanes = 4
	s.publishMany(topic, 2*lanes, 1)
	var running, most atomic.Int32
	var once sync.Once
	full, release := make(chan struct{}), make(chan struct{})
	got := expect(2 * lanes)
	s.consume(topic, "hub", lanes, func(ctx context.Context, r contracts.Record) error {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == lanes {
			once.Do(func() { close(full) })
		}
		hold(s, release)
		running.Add(-1)
		return got.handle(ctx, r)
	})
	wait(s, "as many keys at work as there are lanes", full)
	close(release)
	wait(s, "all records", got.all)
	if m := most.Load(); m > lanes {
		s.Errorf("%d keys were worked at once, in %d lanes", m, lanes)
	}
}

func groupsByThemselves(s *suite) {
	topic := s.topic("shared")
	want := s.publishMany(topic, 3, 10)
	for _, group := range []string{"hub", "console"} {
		got := expect(30)
		stop := s.consume(topic, group, 2, got.handle)
		wait(s, "all records for each group", got.all)
		stop()
		if diff := cmp.Diff(want, got.byKey); diff != "" {
			s.Errorf("a group got others (-want +got):\n%s", diff)
		}
	}
}

func comesAtOnce(s *suite) {
	topic := s.topic("woken")
	ids := make(chan contracts.ID, 1)
	s.consume(topic, "hub", 2, func(_ context.Context, r contracts.Record) error {
		ids <- r.ID
		return nil
	})
	for range 50 {
		want := s.publish(s.record(topic, "a")).ID
		if got := wait(s, "the record", ids); got != want {
			s.Fatalf("got %s, want %s", got, want)
		}
	}
}

func comesAgain(s *suite) {
	topic := s.topic("again")
	want := s.publishMany(topic, 3, 4)
	const stuck = contracts.Key("00000000000000000000000000000002")
	const failures = 3
	got := expect(12)
	others := expect(8)
	fails := 0
	s.consume(topic, "hub", 2, func(ctx context.Context, r contracts.Record) error {
		if r.Key == stuck && r.ID == want[stuck][1] && fails < failures {
			if fails == failures-1 {
				hold(s, others.all) // its key waits while all the others flow
			}
			fails++
			return errAgain
		}
		if r.Key != stuck {
			others.add(r)
		}
		return got.handle(ctx, r)
	})
	wait(s, "all records", got.all)
	if fails != failures {
		s.Errorf("the record came %d times with an error, want %d", fails, failures)
	}
	if diff := cmp.Diff(want, got.byKey); diff != "" {
		s.Errorf("records were lost, doubled or reordered (-want +got):\n%s", diff)
	}
}

func poisonStopsItsKey(s *suite) {
	topic := s.topic("poisoned")
	const poison = contracts.Key("poison")
	first := s.publish(s.record(topic, poison))
	s.publish(s.record(topic, poison))
	want := s.publishMany(topic, 20, 50)
	got := expect(1000)
	var met atomic.Int32
	stop := s.consume(topic, "hub", 4, func(ctx context.Context, r contracts.Record) error {
		if r.Key == poison {
			if r.ID != first.ID {
				s.Error("a key's second record came before its first was finished")
			}
			met.Add(1)
			return errAgain
		}
		return got.handle(ctx, r)
	})
	wait(s, "all records of other keys", got.all)
	if diff := cmp.Diff(want, got.byKey); diff != "" {
		s.Errorf("records of other keys were lost, doubled or reordered (-want +got):\n%s", diff)
	}
	if met.Load() == 0 {
		s.Error("the poison record was never handed out")
	}
	stop()
	after := expect(1)
	s.reopen()
	s.consume(topic, "hub", 4, func(ctx context.Context, r contracts.Record) error {
		if r.ID == first.ID {
			after.add(r)
		}
		return nil
	})
	wait(s, "the poison record, again", after.all)
}

func unfinishedComeAgain(s *suite) {
	topic := s.topic("unfinished")
	a := s.publish(s.record(topic, "a"))
	b := s.publish(s.record(topic, "b"))
	c := s.publish(s.record(topic, "c"))
	d := s.publish(s.record(topic, "b"))
	got := expect(2)
	stop := s.consume(topic, "hub", 3, func(ctx context.Context, r contracts.Record) error {
		if r.Key == "b" {
			hold(s, got.all)
			return errAgain
		}
		return got.handle(ctx, r)
	})
	wait(s, "the others", got.all)
	stop()
	s.reopen()

	again := expect(2)
	var mu sync.Mutex
	ids := map[contracts.ID]int{}
	stop = s.consume(topic, "hub", 3, func(_ context.Context, r contracts.Record) error {
		mu.Lock()
		ids[r.ID]++
		mu.Unlock()
		if r.Key == "b" {
			again.add(r)
		}
		return nil
	})
	wait(s, "the unfinished records", again.all)
	stop()
	if !slices.Equal(again.byKey["b"], []contracts.ID{b.ID, d.ID}) {
		s.Errorf("unfinished records came as %v, want %v", again.byKey["b"], []contracts.ID{b.ID, d.ID})
	}
	if a.Place.Partition == b.Place.Partition && ids[a.ID] > 0 {
		s.Error("a record below the low watermark came again after an orderly end")
	}
	if ids[c.ID] > 1 {
		s.Errorf("a finished record came again %d times, want at most once", ids[c.ID])
	}
	s.reopen()
	if lag, err := s.Bus.Lag(s.ctx, topic, "hub"); lag != 0 || err != nil {
		s.Errorf("lag is %d (%v) when all is finished, want 0", lag, err)
	}
}

func pausedGetsNothing(s *suite) {
	topic := s.topic("paused")
	s.publish(s.record(topic, "a"))
	begun, release := make(chan struct{}), make(chan struct{})
	var handed atomic.Int32
	got := expect(1 + 20)
	s.consume(topic, "hub", 4, func(ctx context.Context, r contracts.Record) error {
		if handed.Add(1) == 1 {
			close(begun)
			hold(s, release)
		}
		return got.handle(ctx, r)
	})
	wait(s, "the first record", begun)
	s.Bus.Pause(topic, "hub")
	s.publishMany(topic, 5, 4)
	close(release) // what runs, runs on
	beside := expect(21)
	s.consume(topic, "beside", 1, beside.handle)
	wait(s, "all records for the group that isn't paused", beside.all)
	if n := handed.Load(); n != 1 {
		s.Errorf("%d records were handed out to a paused group", n-1)
	}
	s.Bus.Resume(topic, "hub")
	wait(s, "all records after the pause", got.all)
}

func endDrains(s *suite) {
	topic := s.topic("drained")
	want := s.publishMany(topic, 6, 2)
	begun, release := make(chan struct{}, 12), make(chan struct{})
	first := expect(-1)
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Bus.Consume(ctx, topic, "hub", 2, func(ctx context.Context, r contracts.Record) error {
			begun <- struct{}{}
			hold(s, release)
			if ctx.Err() != nil {
				s.Error("the end cut off a handle that ran")
			}
			return first.handle(ctx, r)
		})
	}()
	wait(s, "two running handles", begun)
	wait(s, "two running handles", begun)
	cancel()
	select {
	case <-ended:
		s.Fatal("consume returned before what ran")
	case release <- struct{}{}:
	}
	select {
	case <-ended:
		s.Fatal("consume returned before all that ran")
	case release <- struct{}{}:
	}
	if err := wait(s, "the end", ended); err != nil {
		s.Fatalf("consume: %v", err)
	}
	if n := first.count(); n != 2 {
		s.Errorf("%d records were finished, want the 2 that were begun", n)
	}
	rest := expect(10)
	s.consume(topic, "hub", 2, rest.handle)
	wait(s, "the records that weren't begun", rest.all)
	for key := range want {
		if all := append(first.byKey[key], rest.byKey[key]...); !slices.Equal(all, want[key]) {
			s.Errorf("a key's records came as %v, want %v", all, want[key])
		}
	}
}

func lagCounts(s *suite) {
	topic := s.topic("lagging")
	lag := func() int64 {
		s.Helper()
		n, err := s.Bus.Lag(s.ctx, topic, "hub")
		if err != nil {
			s.Fatalf("lag: %v", err)
		}
		return n
	}
	if n := lag(); n != 0 {
		s.Errorf("lag of an empty topic is %d", n)
	}
	s.publishMany(topic, 2, 5)
	if n := lag(); n != 10 {
		s.Errorf("lag is %d before anything is consumed, want 10", n)
	}
	begun, release := make(chan struct{}, 10), make(chan struct{})
	got := expect(10)
	stop := s.consume(topic, "hub", 2, func(ctx context.Context, r contracts.Record) error {
		begun <- struct{}{}
		hold(s, release)
		return got.handle(ctx, r)
	})
	wait(s, "a running handle", begun)
	wait(s, "a running handle", begun)
	if n := lag(); n != 10 {
		s.Errorf("lag is %d while nothing is finished, want 10", n)
	}
	close(release)
	wait(s, "all records", got.all)
	stop()
	if n := lag(); n != 0 {
		s.Errorf("lag is %d when all is finished, want 0", n)
	}
}

func healthy(s *suite) {
	if err := s.Bus.Health(s.ctx); err != nil {
		s.Errorf("an open bus says: %v", err)
	}
}

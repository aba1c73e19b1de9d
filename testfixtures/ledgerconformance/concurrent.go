package ledgerconformance

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var concurrentTests = []test{
	{"changes of many callers are all there, and a refused one harms no neighbour", manyCallers},
	{"a change is seen whole or not at all while it is written", seenWhole},
	{"of several contents under one id exactly one is taken", oneContentTaken},
	{"of several processes exactly one makes an attempt", oneAttempts},
	{"of several values fixed at once one holds for all", oneFixHolds},
	{"a message never waits behind a key that was revived under it", reviveRace},
}

const callers = 32

// together runs f in n goroutines that begin at once and waits for them.
func together(n int, f func(i int)) {
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

func manyCallers(t *testing.T, l hub.Ledger) {
	held := delivery(0, "hus", contracts.StateDelivered)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{held}})
	held.Digest = "d2"
	const each = 4
	together(callers, func(i int) {
		for j := range each {
			n := 1 + i*each + j
			c := everything(n)
			if n%3 == 0 {
				c.Deliveries = append(c.Deliveries, held)
			}
			err := l.Apply(t.Context(), c)
			if refused := contracts.KindOf(err) == contracts.Conflict; refused != (n%3 == 0) || !refused && err != nil {
				t.Errorf("change %d: %v", n, err)
			}
		}
	})
	for n := 1; n <= callers*each; n++ {
		if n%3 == 0 {
			nothing(t, l, n)
			continue
		}
		if _, err := l.Entry(t.Context(), incoming(n)); err != nil {
			t.Errorf("change %d was applied and isn't there: %v", n, err)
		}
		equal(t, "deliveries", len(must(l.Deliveries(t.Context(), incoming(n)))(t)), 1)
		equal(t, "behind", len(must(l.Behind(t.Context(), ref(control(n))))(t)), 1)
	}
}

// seenWhole writes ten messages a change and lists all the while: a list holds whole tens.
func seenWhole(t *testing.T, l hub.Ledger) {
	const tens = 16
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				rows, err := l.List(t.Context(), contracts.Filter{Limit: 10 * tens})
				if err != nil || len(rows)%10 != 0 {
					t.Errorf("a list while changes are written: %d rows, %v; want a multiple of 10", len(rows), err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	together(4, func(i int) {
		for ten := i; ten < tens; ten += 4 {
			c := contracts.Change{}
			for n := range 10 {
				c.Entries = append(c.Entries, entry(ten*10+n))
			}
			if err := l.Apply(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
	})
	close(done)
	wg.Wait()
	equal(t, "rows in the end", len(must(l.List(t.Context(), contracts.Filter{Limit: 1000}))(t)), 10*tens)
}

func oneContentTaken(t *testing.T, l hub.Ledger) {
	for n := range 8 {
		taken := make([]bool, callers)
		together(callers, func(i int) {
			d := delivery(n, "hus", contracts.StateTranslated)
			d.Digest = contracts.Digest(fmt.Sprint("content ", i))
			err := l.Apply(t.Context(), contracts.Change{Deliveries: []contracts.Delivery{d}})
			taken[i] = err == nil
			if err != nil && contracts.KindOf(err) != contracts.Conflict {
				t.Error(err)
			}
		})
		winner := slices.Index(taken, true)
		if winner < 0 || slices.Contains(taken[winner+1:], true) {
			t.Fatalf("not exactly one of %d contents was taken", callers)
		}
		equal(t, "content", must(l.Delivery(t.Context(), outgoing(n, "hus")))(t).Digest, contracts.Digest(fmt.Sprint("content ", winner)))
	}
}

func oneAttempts(t *testing.T, l hub.Ledger) {
	d := delivery(1, "hus", contracts.StateTranslated)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{d}})
	d.State = contracts.StateSending
	for d.Attempts = 1; d.Attempts <= 8; d.Attempts++ {
		made := make([]bool, callers)
		together(callers, func(i int) {
			err := l.Apply(t.Context(), contracts.Change{Deliveries: []contracts.Delivery{d}})
			made[i] = err == nil
			if err != nil && contracts.KindOf(err) != contracts.Conflict {
				t.Error(err)
			}
		})
		if i := slices.Index(made, true); i < 0 || slices.Contains(made[i+1:], true) {
			t.Fatalf("attempt %d wasn't made by exactly one of %d callers", d.Attempts, callers)
		}
	}
}

func oneFixHolds(t *testing.T, l hub.Ledger) {
	held := make([]string, callers)
	together(callers, func(i int) {
		var err error
		if held[i], err = l.Fix(t.Context(), "secret", fmt.Sprint("value ", i)); err != nil {
			t.Error(err)
		}
	})
	if slices.Sort(held); held[0] == "" || held[0] != held[callers-1] {
		t.Errorf("callers were told several values")
	}
}

// reviveRace lets messages join a key while it is drained and revived. A message that was let in is behind the key, or
// was taken from there; none is behind a live key.
func reviveRace(t *testing.T, l hub.Ledger) {
	for round := range 20 {
		key, first := control(round), waiting(round*10, control(round))
		apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled(key, round*10)}, Wait: []contracts.Waiting{first}})
		joined := make([]bool, 5)
		together(5, func(i int) {
			if i == 0 {
				if err := l.Apply(t.Context(), contracts.Change{Done: []contracts.Waiting{first}, Revive: []contracts.KeyRef{ref(key)}}); err != nil {
					t.Error(err)
				}
				return
			}
			err := l.Apply(t.Context(), contracts.Change{Wait: []contracts.Waiting{waiting(round*10+i, key)}})
			joined[i] = err == nil
			if err != nil && contracts.KindOf(err) != contracts.Conflict {
				t.Error(err)
			}
		})
		there, want := behind(t, l, key), 0
		for i, in := range joined {
			if in {
				want++
				if !slices.Contains(there, incoming(round*10+i)) {
					t.Error("a message that was let in isn't behind its key")
				}
			}
		}
		equal(t, "messages behind the key", len(there), want)
		live := must(l.Key(t.Context(), ref(key)))(t).Condition == contracts.KeyLive
		equal(t, "the key is live", live, want == 0)
	}
}

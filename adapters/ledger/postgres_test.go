//go:build postgres

package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

var when = time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)

// patience is how long these tests wait for what must come.
const patience = 2 * time.Minute

func openServer(t testing.TB, s *postgres.Server) *ledger.Ledger {
	t.Helper()
	l, err := ledger.OpenPostgres(context.Background(), ledger.PostgresConfig{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// load applies the lives of messages by several callers, each change again and again until it is taken, as the hub does.
// Each message is counted when its life is over.
type load struct {
	done  atomic.Int64
	fails atomic.Int64
	end   context.CancelFunc
	wait  sync.WaitGroup
	moved chan struct{} // something was done
}

func run(t *testing.T, callers int, ledgers ...*ledger.Ledger) *load {
	ctx, end := context.WithCancel(context.Background())
	w := &load{end: end, moved: make(chan struct{}, 1)}
	var next atomic.Int64
	for i := range callers {
		l := ledgers[i%len(ledgers)]
		w.wait.Go(func() {
			for ctx.Err() == nil {
				for _, c := range life(next.Add(1), when) {
					w.insist(t, l, c)
				}
				w.done.Add(1)
				select {
				case w.moved <- struct{}{}:
				default:
				}
			}
		})
	}
	t.Cleanup(w.stop)
	return w
}

func (w *load) insist(t *testing.T, l *ledger.Ledger, c contracts.Change) {
	for deadline := time.Now().Add(patience); ; {
		err := l.Apply(context.Background(), c)
		if err == nil || contracts.KindOf(err) == contracts.Conflict { // an attempt that was written though its answer got lost
			return
		}
		w.fails.Add(1)
		if contracts.KindOf(err) != contracts.Unavailable || time.Now().After(deadline) {
			t.Errorf("apply gives %v", err)
			return
		}
		<-time.After(20 * time.Millisecond) // as the hub waits before it asks again
	}
}

// until waits for n more messages.
func (w *load) until(t *testing.T, n int64) {
	t.Helper()
	timeout := time.After(patience)
	for want := w.done.Load() + n; w.done.Load() < want; {
		select {
		case <-w.moved:
		case <-timeout:
			t.Fatalf("%d more messages weren't done", n)
		}
	}
}

func (w *load) stop() {
	w.end()
	w.wait.Wait()
}

// allThere checks that each message that was begun is there, whole, and delivered.
func (w *load) allThere(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	for i := int64(1); i <= w.done.Load(); i++ {
		want := life(i, when)[0]
		e, err := l.Entry(t.Context(), want.Entries[0].ID)
		if err != nil || e.Journey != want.Entries[0].Journey {
			t.Errorf("message %d isn't there: %v", i, err)
			continue
		}
		d, err := l.Delivery(t.Context(), want.Deliveries[0].ID)
		if err != nil || d.State != contracts.StateDelivered {
			t.Errorf("the delivery of message %d is %s: %v", i, d.State, err)
		}
		steps, err := l.MessageSteps(t.Context(), e.ID)
		if err != nil || len(steps) != 5 {
			t.Errorf("message %d has %d steps (%v), want 5", i, len(steps), err)
		}
		names, err := l.Identifiers(t.Context(), e.Journey)
		if err != nil || len(names) != len(want.Identifiers) {
			t.Errorf("message %d has %d names (%v), want %d", i, len(names), err, len(want.Identifiers))
		}
	}
}

func TestAKilledServerLosesNothing(t *testing.T) {
	s := postgres.ForTest(t)
	l := openServer(t, s)
	w := run(t, 16, l)
	for range 3 {
		w.until(t, 30)
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := l.Health(t.Context()); contracts.KindOf(err) != contracts.Unavailable {
			t.Errorf("health without a server gives %v, want a fault of kind unavailable", err)
		}
		if _, err := l.List(t.Context(), contracts.Filter{}); contracts.KindOf(err) != contracts.Unavailable {
			t.Errorf("a list without a server gives %v, want a fault of kind unavailable", err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.until(t, 30)
	w.stop()
	if w.fails.Load() == 0 {
		t.Error("no change met the server's death")
	}
	w.allThere(t, l)
}

func TestAStoppedServerHoldsNobodyForLong(t *testing.T) {
	s := postgres.ForTest(t)
	l := openServer(t, s)
	w := run(t, 4, l)
	w.until(t, 10)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := l.Apply(ctx, life(1<<40, when)[0]); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("a change for a stopped server gives %v, want a fault of kind unavailable", err)
	}
	if err := l.Apply(context.Background(), life(1<<41, when)[0]); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("a change without a deadline gives %v, want a fault of kind unavailable", err)
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	w.until(t, 10)
	w.stop()
	w.allThere(t, l)
}

// The server says that its disk is full; a trigger makes it say so on any machine, in the last of a change's tables, when
// rows of the others are written already.
func TestAFullDiskLosesNothing(t *testing.T) {
	s := postgres.ForTest(t)
	l := openServer(t, s)
	if err := postgres.Run(t.Context(), s.URL(), `CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON journeys FOR EACH ROW EXECUTE FUNCTION no_room()`); err != nil {
		t.Fatal(err)
	}
	c := life(1, when)[0]
	if err := l.Apply(t.Context(), c); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("a change for a full disk gives %v, want a fault of kind unavailable", err)
	}
	if _, err := l.Entry(t.Context(), c.Entries[0].ID); contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("a part of the change that had no room is there: %v", err)
	}
	w := run(t, 4, l)
	if err := postgres.Run(t.Context(), s.URL(), `DROP TRIGGER no_room ON journeys`); err != nil {
		t.Fatal(err)
	}
	w.until(t, 10)
	w.stop()
	w.allThere(t, l)
}

// Two processes are two ledgers here: they share nothing but the database.
func TestTwoProcessesApplyTheSameChanges(t *testing.T) {
	s := postgres.ForTest(t)
	ledgers := []*ledger.Ledger{openServer(t, s), openServer(t, s)}
	const messages, callers = 60, 8
	made := make([]atomic.Int64, messages)
	var wg sync.WaitGroup
	for i := range callers {
		l := ledgers[i%len(ledgers)]
		wg.Go(func() {
			order := make([]int64, messages)
			for n := range order {
				order[n] = int64(n)
			}
			if i%3 == 1 {
				slices.Reverse(order) // so that they meet on rows from both ends
			}
			for _, n := range order {
				changes := life(n, when)
				changes[0].Journeys[0].ID, changes[0].Bodies[0].Digest = "one journey for all", contracts.Digest(fmt.Sprint("one body for many ", n%3))
				for k, c := range changes {
					err := l.Apply(t.Context(), c)
					if err == nil && k == 1 {
						made[n].Add(1)
					}
					if err != nil && (contracts.KindOf(err) != contracts.Conflict || k != 1) {
						t.Errorf("change %d of message %d gives %v", k, n, err)
					}
				}
			}
		})
	}
	wg.Wait()
	for n := range made {
		if got := made[n].Load(); got != 1 {
			t.Errorf("the attempt of message %d was made %d times", n, got)
		}
	}
	rows, err := ledgers[0].List(t.Context(), contracts.Filter{Limit: 10 * messages, State: contracts.StateDelivered})
	if err != nil || len(rows) != messages {
		t.Errorf("%d messages are delivered (%v), want %d", len(rows), err, messages)
	}
}

func BenchmarkApplyPostgres(b *testing.B) {
	applying(b, openServer(b, postgres.ForTest(b)))
}

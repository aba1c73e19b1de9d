package model_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/model"
)

// several is a world whose processes share a topic of records with many keys.
type several struct {
	*testing.T
	w   *model.World
	bus *model.Bus

	mu   sync.Mutex
	got  map[contracts.ID][]string // by whom each record was worked, in order
	lost int                       // handles whose context ended while they waited
	hold chan struct{}             // handles wait for it, if there is one
}

// Each record has a key of its own.
const records = 60

func keyOf(n int) contracts.Key { return contracts.Key(fmt.Sprintf("%032x", n)) }

func newSeveral(t *testing.T) *several {
	w := model.NewWorld(1)
	s := &several{T: t, w: w, bus: model.NewBus(w, model.Weather{}), got: map[contracts.ID][]string{}}
	for n := range records {
		r := record(n)
		r.Key = keyOf(n)
		if _, err := s.bus.Publish(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// consume begins to work in a process until stop, which waits for its end.
func (s *several) consume(p *model.Process) (stop func() error) {
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.bus.In(p).Consume(ctx, contracts.TopicIn, "hub", 100, func(ctx context.Context, r contracts.Record) error {
			defer context.AfterFunc(ctx, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.lost++
			})()
			s.mu.Lock()
			hold := s.hold
			s.got[r.ID] = append(s.got[r.ID], p.Name())
			s.mu.Unlock()
			if hold != nil {
				<-hold
			}
			return nil
		})
	}()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

// owned counts the keys that each process owns.
func (s *several) owned(processes ...*model.Process) (counts []int) {
	for _, p := range processes {
		n := 0
		for k := range records {
			if s.bus.In(p).Owns(contracts.TopicIn, "hub", keyOf(k)) {
				n++
			}
		}
		counts = append(counts, n)
	}
	return counts
}

func (s *several) workers() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, by := range s.got {
		for _, name := range by {
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func TestProcessesShareTheKeysOfATopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t)
		p1, p2, p3 := s.w.Process, s.w.Join(), s.w.Join()
		stops := []func() error{s.consume(p1), s.consume(p2), s.consume(p3)}
		counts := s.owned(p1, p2, p3)
		if counts[0]+counts[1]+counts[2] != records || slices.Min(counts) == 0 {
			t.Errorf("the processes own %v of 60 keys, want all of them shared out", counts)
		}
		if err := stops[2](); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if counts := s.owned(p1, p2, p3); counts[2] != 0 || counts[0]+counts[1] != records {
			t.Errorf("after one has ended they own %v of 60 keys", counts)
		}
		for n := range records {
			if by := s.got[record(n).ID]; len(by) != 1 {
				t.Errorf("record %d was worked by %v, want once", n, by)
			}
		}
		for _, stop := range stops[:2] {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A partition moves only when what was begun of it is finished and nothing holds it.
func TestAHandoverWaitsForWhatWasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t)
		p1, p2 := s.w.Process, s.w.Join()
		s.hold = make(chan struct{})
		stop1 := s.consume(p1)
		var releases []func()
		for k := range records {
			_, release, held := s.bus.In(p1).Hold(contracts.TopicIn, "hub", keyOf(k))
			if !held {
				t.Fatal("a process that owns a key can't hold it")
			}
			releases = append(releases, release)
		}
		stop2 := s.consume(p2)
		if counts := s.owned(p1, p2); counts[0] != records {
			t.Errorf("while its records are worked the first process owns %v", counts)
		}
		refused := 0
		for k := range records {
			_, release, held := s.bus.In(p1).Hold(contracts.TopicIn, "hub", keyOf(k))
			if held {
				release()
			} else {
				refused++
			}
		}
		if refused == 0 {
			t.Error("keys that are to be handed over can be held anew")
		}
		close(s.hold)
		synctest.Wait()
		if counts := s.owned(p1, p2); counts[0] != records {
			t.Errorf("while its keys are held the first process owns %v", counts)
		}
		for _, release := range releases {
			release()
			release() // once more does nothing
		}
		synctest.Wait()
		if counts := s.owned(p1, p2); counts[0] == 0 || counts[1] == 0 || counts[0]+counts[1] != records {
			t.Errorf("after the handover the processes own %v of 60 keys", counts)
		}
		for _, stop := range []func() error{stop1, stop2} {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		for n := range records {
			if by := s.got[record(n).ID]; len(by) != 1 {
				t.Errorf("record %d was worked by %v, want once", n, by)
			}
		}
	})
}

// A process that is stopped for longer than a session doesn't own anything when it goes on, and what it had begun is
// worked by another one; then it joins again.
func TestAStoppedProcessLosesItsKeys(t *testing.T) {
	for what, strike := range map[string]struct{ begin, end func(*model.Process) }{
		"stopped": {(*model.Process).Freeze, (*model.Process).Thaw},
		"cut off": {func(p *model.Process) { p.Cut(model.ServiceBus) }, func(p *model.Process) { p.Heal(model.ServiceBus) }},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSeveral(t)
				p1, p2 := s.w.Process, s.w.Join()
				s.hold = make(chan struct{})
				stop1 := s.consume(p1)
				s.mu.Lock()
				hold := s.hold
				s.hold = nil
				s.mu.Unlock()
				stop2 := s.consume(p2)
				strike.begin(p1)
				time.Sleep(5 * time.Second)
				if counts := s.owned(p2); counts[0] != 0 {
					t.Errorf("another process owns %d keys before the session has ended", counts[0])
				}
				time.Sleep(6 * time.Second)
				if counts := s.owned(p2); counts[0] != records {
					t.Errorf("another process owns %d of 60 keys after the session has ended", counts[0])
				}
				if what == "cut off" && s.owned(p1)[0] != 0 {
					t.Error("a process that is cut off for longer than a session owns keys")
				}
				troubles := p1.Troubles()
				if s.lost > 0 {
					t.Errorf("it knows of %d keys that it has lost them before it hears of anything", s.lost)
				}
				strike.end(p1)
				synctest.Wait()
				if s.lost != records {
					t.Errorf("when it is back it knows of %d of 60 keys that it had lost them", s.lost)
				}
				close(hold)
				synctest.Wait()
				if p1.Troubles() == troubles {
					t.Error("it isn't told as a trouble")
				}
				if counts := s.owned(p1, p2); counts[0] == 0 || counts[0]+counts[1] != records {
					t.Errorf("after it is back the processes own %v of 60 keys", counts)
				}
				if workers := s.workers(); !slices.Equal(workers, []string{"p1", "p2"}) {
					t.Errorf("the records were worked by %v", workers)
				}
				for n := range records {
					if len(s.got[record(n).ID]) == 0 {
						t.Errorf("record %d was never worked", n)
					}
				}
				for _, stop := range []func() error{stop1, stop2} {
					if err := stop(); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestServicesFailAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, w := t.Context(), model.NewWorld(1)
		b, l := model.NewBus(w, model.Weather{}), model.NewLedger(w, model.Weather{})
		w.Down(model.ServiceDisk)
		if _, err := b.Publish(ctx, record(1), nil); contracts.KindOf(err) != contracts.Unavailable || b.Health(ctx) == nil {
			t.Errorf("a full disk takes a record: %v", err)
		}
		w.Up(model.ServiceDisk)
		w.Down(model.ServiceLedger)
		if err := l.Apply(ctx, change(1)); contracts.KindOf(err) != contracts.Unavailable || l.Health(ctx) == nil {
			t.Errorf("a ledger that is down takes a change: %v", err)
		}
		w.Up(model.ServiceLedger)
		w.Stall(model.ServiceLedger, time.Minute)
		began := time.Now()
		if err := l.Apply(ctx, change(1)); err != nil || time.Since(began) != time.Minute {
			t.Errorf("a ledger that stood still took a change after %v: %v", time.Since(began), err)
		}
		w.SetClock(-time.Hour)
		if ahead := w.Now().Sub(time.Now()); ahead != -time.Hour {
			t.Errorf("a clock that was set back is %v ahead", ahead)
		}
		w.Freeze()
		time.AfterFunc(time.Minute, w.Thaw)
		began = time.Now()
		if w.Now(); time.Since(began) != time.Minute {
			t.Errorf("a stopped process read its clock after %v", time.Since(began))
		}
	})
}

func TestTrimKeepsWhatIsNeeded(t *testing.T) {
	b := model.NewBus(model.NewWorld(1), model.Weather{})
	var places []contracts.Place
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	for n := range 6 {
		r := record(n)
		r.Key, r.Time = "k", old.Add(time.Duration(n)*time.Second)
		p, err := b.Publish(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, p.Place)
	}
	for _, c := range []struct {
		what string
		keep []contracts.Place
		to   time.Time
		left int
	}{
		{"up to one to keep", places[1:2], time.Now(), 5},
		{"up to the first that is younger", nil, old.Add(3 * time.Second), 3},
		{"all", nil, time.Now(), 0},
	} {
		if err := b.Trim(t.Context(), contracts.TopicIn, c.to, c.keep); err != nil {
			t.Fatal(err)
		}
		if n := len(b.Records(contracts.TopicIn)); n != c.left {
			t.Errorf("trimming %s leaves %d records, want %d", c.what, n, c.left)
		}
	}
	if _, err := b.Read(t.Context(), places[0]); contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("a record that was trimmed is read: %v", err)
	}
}

package hub

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// holder is a ledger that can count what waits behind keys.
type holder interface {
	Held(ctx context.Context) ([]contracts.Held, error)
}

// patience is how long bus and ledger get to say how they are.
const patience = 3 * time.Second

// lanes are those of one topic that work a record now, with the record's time.
type lanes struct {
	mu   sync.Mutex
	work map[*contracts.Record]time.Time
}

func newLanes() *lanes { return &lanes{work: map[*contracts.Record]time.Time{}} }

// counted makes work show in the lanes while it runs.
func (l *lanes) counted(work func(context.Context, contracts.Record) error) func(context.Context, contracts.Record) error {
	return func(ctx context.Context, r contracts.Record) error {
		l.mu.Lock()
		l.work[&r] = r.Time
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.work, &r)
		}()
		return work(ctx, r)
	}
}

// figures counts the lanes at work, and gives the time of the oldest record in them; zero if there is none.
func (l *lanes) figures() (busy int64, oldest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.work {
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return int64(len(l.work)), oldest
}

// Figures measures the hub. It takes no longer than a bus or ledger that is down is waited for, 3 s; what isn't known is
// left out.
func (h *Hub) Figures(ctx context.Context) contracts.Figures {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	f := contracts.Figures{Paused: map[string]bool{}, Dropped: h.memory.dropped.Load()}
	for _, p := range h.partners {
		if p.courier != nil {
			f.Paused[p.ID] = p.halted()
		}
	}
	var asked sync.WaitGroup
	asked.Go(func() {
		f.Bus = h.bus.Health(ctx) == nil
		f.Topics = h.topicFigures(ctx)
	})
	asked.Go(func() {
		f.Ledger = h.ledger.Health(ctx) == nil
		if l, ok := h.ledger.(holder); ok && f.Ledger {
			f.Held, _ = l.Held(ctx) // that it doesn't say is seen by its absence
		}
	})
	asked.Wait()
	return f
}

func (h *Hub) topicFigures(ctx context.Context) []contracts.TopicFigures {
	var all []contracts.TopicFigures
	for topic, lanes := range h.busy {
		t := contracts.TopicFigures{Topic: topic, Group: GroupDeliver}
		t.Busy, t.Oldest = lanes.figures()
		switch topic {
		case contracts.TopicIn:
			t.Group = GroupTranslate
		case contracts.TopicDead:
			t.Group = GroupRefuse
		}
		var err error
		if t.Lag, err = h.bus.Lag(ctx, topic, t.Group); err != nil {
			t.Lag = -1
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b contracts.TopicFigures) int { return strings.Compare(a.Topic, b.Topic) })
	return all
}

// Ready says what the hub lacks to take messages. It takes them while only the ledger is down: then what came waits on
// the bus, untranslated.
func (h *Hub) Ready(ctx context.Context) contracts.Readiness {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	r := contracts.Readiness{Missing: []string{}, Degraded: []string{}, Paused: []string{}, Warnings: []string{}}
	var bus, ledger error
	var asked sync.WaitGroup
	asked.Go(func() { bus = h.bus.Health(ctx) })
	asked.Go(func() { ledger = h.ledger.Health(ctx) })
	asked.Wait()
	if bus != nil {
		r.Missing = append(r.Missing, "bus: "+contracts.FaultsOf(bus)[0].Public)
	}
	if ledger != nil {
		r.Degraded = append(r.Degraded, "ledger: "+contracts.FaultsOf(ledger)[0].Public+" Messages are taken and wait on the bus until it is back.")
	}
	for _, p := range h.partners {
		if p.courier != nil && p.halted() {
			r.Paused = append(r.Paused, p.ID)
		}
	}
	sort.Strings(r.Paused)
	return r
}

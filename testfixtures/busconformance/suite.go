// Package busconformance says what a hub.Bus does, as tests that every implementation passes.
//
// Run is the suite. What only one implementation can show (a second process refused, kill -9, an fsync before each
// answer) is tested beside it.
package busconformance

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// patience is how long a test waits for a sign. A Kafka group may take a minute to notice that a member is gone.
const patience = 3 * time.Minute

// Harness is a bus under test, without any record.
type Harness struct {
	Bus    hub.Bus
	Topic  func(name string) string // makes a topic and gives its full name; nil: topics need no making
	Reopen func() hub.Bus           // closes the bus and opens it again on what it kept

	// KeepsCopies: a repeat of claimed bytes may append a copy, because the bus can't claim and append in one.
	KeepsCopies bool

	Bodies string // the topic that large bodies lie in, if they lie in one
}

// Run runs the suite. open gives a fresh harness to each test, and ends it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"records come back whole", comeBackWhole},
		{"records outlive a reopening", outliveReopening},
		{"large records come back whole", largeComeBackWhole},
		{"a place without a record is notfound", noRecordAtPlace},
		{"replay chooses by key and time", replayChooses},
		{"replay ends with its callback's error", replayEnds},
		{"a claim is new once, then same or other", claimsAreKept},
		{"one of many claims at once is new", claimsAtOnce},
		{"keys keep their order in many lanes", keysKeepOrder},
		{"keys are worked in parallel", keysInParallel},
		{"groups read by themselves", groupsByThemselves},
		{"a record published while consuming comes at once", comesAtOnce},
		{"a record comes again after an error, its key waiting", comesAgain},
		{"a poison record stops only its key", poisonStopsItsKey},
		{"unfinished records come again after a reopening", unfinishedComeAgain},
		{"a paused group gets nothing until it is resumed", pausedGetsNothing},
		{"the end of the context drains", endDrains},
		{"lag counts what isn't finished", lagCounts},
		{"a key is owned while it is worked", ownsWhatItWorks},
		{"trim forgets what is old", trimForgetsTheOld},
		{"trim keeps places and what is behind them", trimKeepsPlaces},
		{"trim keeps what a group hasn't finished", trimKeepsTheUnfinished},
		{"trim keeps the bodies of what it keeps", trimKeepsLargeBodies},
		{"a healthy bus says so", healthy},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			h := open(t)
			s := &suite{T: t, Harness: h, ctx: ctx}
			c.test(s)
		})
	}
}

// suite is one test at work.
type suite struct {
	*testing.T
	Harness
	ctx context.Context
	n   int
}

// began is the hub's time of the first record.
var began = time.Date(2026, 3, 2, 8, 0, 0, 123456000, time.UTC)

func (s *suite) topic(name string) string {
	if s.Harness.Topic == nil {
		return "silta.test." + name
	}
	return s.Harness.Topic(name)
}

// record makes a new one. Each has its own id, time and body.
func (s *suite) record(topic string, key contracts.Key) contracts.Record {
	s.n++
	return contracts.Record{
		Topic:  topic,
		Key:    key,
		ID:     contracts.DerivedID("busconformance", fmt.Sprint(s.n)),
		Time:   began.Add(time.Duration(s.n) * time.Millisecond),
		Header: map[string]string{contracts.HeaderPartner: "apotti", contracts.HeaderControl: fmt.Sprint("C", s.n)},
		Body:   contracts.NewBody(fmt.Appendf(nil, "MSH|^~\\&|%d\r\x0b\x1c\x00\xff", s.n)),
	}
}

// publish publishes without a claim and gives the record with its place.
func (s *suite) publish(r contracts.Record) contracts.Record {
	s.Helper()
	p, err := s.Bus.Publish(s.ctx, r, nil)
	if err != nil {
		s.Fatalf("publish: %v", err)
	}
	if p.Claim != contracts.ClaimNone || p.ID != r.ID {
		s.Fatalf("publish without a claim answers claim %d and another id", p.Claim)
	}
	r.Place = p.Place
	return r
}

// publishMany publishes n records to each of so many keys and gives the ids of each key.
func (s *suite) publishMany(topic string, keys, n int) map[contracts.Key][]contracts.ID {
	s.Helper()
	var records []contracts.Record
	for range n {
		for k := range keys {
			records = append(records, s.record(topic, contracts.Key(fmt.Sprintf("%032x", k+1))))
		}
	}
	want := map[contracts.Key][]contracts.ID{}
	for _, r := range s.publishAll(records) {
		want[r.Key] = append(want[r.Key], r.ID)
	}
	return want
}

// publishAll publishes records, those of one key and topic in order and others at once, and gives them with their places.
func (s *suite) publishAll(records []contracts.Record) []contracts.Record {
	s.Helper()
	lanes := map[string][]int{}
	for i, r := range records {
		lane := r.Topic + " " + string(r.Key)
		lanes[lane] = append(lanes[lane], i)
	}
	var publishing errgroup.Group
	for _, lane := range lanes {
		publishing.Go(func() error {
			for _, i := range lane {
				p, err := s.Bus.Publish(s.ctx, records[i], nil)
				if err != nil {
					return err
				}
				records[i].Place = p.Place
			}
			return nil
		})
	}
	if err := publishing.Wait(); err != nil {
		s.Fatalf("publish: %v", err)
	}
	return records
}

// consume runs Consume until stop, which waits for its end. Each test also stops it at its own end.
func (s *suite) consume(topic, group string, lanes int, handle func(context.Context, contracts.Record) error) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Bus.Consume(ctx, topic, group, lanes, handle) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					s.Errorf("consume: %v", err)
				}
			case <-time.After(patience):
				s.Error("consume doesn't end")
			}
		})
	}
	s.Cleanup(stop)
	return stop
}

// wait waits for a signal.
func wait[T any](s *suite, what string, c <-chan T) T {
	s.Helper()
	select {
	case v := <-c:
		return v
	case <-s.ctx.Done():
		s.Fatalf("no sign of %s", what)
		panic("unreachable")
	}
}

// hold keeps a handle until it is released, or its test has ended, by failure say.
func hold[T any](s *suite, release <-chan T) {
	select {
	case <-release:
	case <-s.ctx.Done():
	}
}

// reopen closes the bus and opens it again. Nothing may be consuming.
func (s *suite) reopen() {
	s.Helper()
	s.Bus = s.Reopen()
}

// seen collects records by key and tells when it has so many.
type seen struct {
	mu    sync.Mutex
	byKey map[contracts.Key][]contracts.ID
	left  int
	all   chan struct{}
}

func expect(n int) *seen {
	return &seen{byKey: map[contracts.Key][]contracts.ID{}, left: n, all: make(chan struct{})}
}

func (c *seen) handle(_ context.Context, r contracts.Record) error {
	c.add(r)
	return nil
}

func (c *seen) add(r contracts.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey[r.Key] = append(c.byKey[r.Key], r.ID)
	c.left--
	if c.left == 0 {
		close(c.all)
	}
}

func (c *seen) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, ids := range c.byKey {
		n += len(ids)
	}
	return n
}

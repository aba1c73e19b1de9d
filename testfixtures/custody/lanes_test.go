package custody

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// A partner that looks into the ledger when the first byte of an attempt comes finds the attempt there, with the digest
// of the bytes that follow.
func TestTheLedgerKnowsOfAnAttemptBeforeItsFirstByte(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]transport{"MLLP": overMLLP, "FHIR": overFHIR} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, by.speaks, hangUp, hangUp)
			courier, _ := by.couriers(t, edge{}, p)
			h := wired(t, []lab{{"lab", by.contract, patient, courier}})
			looked := make(chan contracts.Delivery, 10)
			p.onFirstByte(func() {
				rows, err := h.ledger.List(t.Context(), contracts.Filter{State: contracts.StateSending, Partner: "lab"})
				if err != nil || len(rows) != 1 {
					t.Errorf("at the first byte the ledger has %d messages that are being sent (%v), want one", len(rows), err)
					looked <- contracts.Delivery{}
					return
				}
				deliveries, err := h.ledger.Deliveries(t.Context(), rows[0].ID)
				if err != nil || len(deliveries) != 1 {
					t.Errorf("%d deliveries, %v", len(deliveries), err)
				}
				looked <- deliveries[0]
			})
			h.send("to-lab", message("M-1", "request", "R-1", "one"))
			h.await(contracts.StepDelivered, "")
			secret := houseSecret(t)
			for n := 1; n <= 3; n++ {
				d, m := <-looked, <-p.came
				if d.Attempts != n || d.Digest != secret.Digest(m.body) || m.id != string(d.ID) && m.id != d.Control {
					t.Errorf("attempt %d: the ledger has attempt %d, its digest, id and the message's own don't agree", n, d.Attempts)
				}
			}
		})
	}
}

// regained is a bus that learns, just when it is asked for the first time who owns an outgoing key, that the key's
// partition was lost and has come back.
type regained struct {
	hub.Bus
	lose *atomic.Pointer[context.CancelFunc] // of the lane that works now
}

func (b regained) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	if topic != contracts.OutTopic("hus") {
		return b.Bus.Consume(ctx, topic, group, lanes, handle)
	}
	return b.Bus.Consume(ctx, topic, group, lanes, func(ctx context.Context, r contracts.Record) error {
		lane, lose := context.WithCancel(ctx)
		defer lose()
		b.lose.CompareAndSwap(nil, &lose)
		return handle(lane, r)
	})
}

func (b regained) Owns(topic, group string, key contracts.Key) bool {
	if lose := b.lose.Load(); lose != nil && topic == contracts.OutTopic("hus") {
		(*lose)()
	}
	return b.Bus.Owns(topic, group, key)
}

// A lane whose key was lost sends nothing more, though the key has come back: the lane that it has by now does.
func TestALaneThatLostItsKeySendsNothing(t *testing.T) {
	h := open(t, func(c *hub.Config) { c.Bus = regained{c.Bus, &atomic.Pointer[context.CancelFunc]{}} })
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	if got := h.hus.parcels(); len(got) != 1 || got[0].Attempt != 2 || !got[0].Repeat {
		t.Errorf("HUS got %d parcels, the first by attempt %d (a repeat: %v), want one by attempt 2, a repeat", len(got), got[0].Attempt, got[0].Repeat)
	}
}

// losing is a bus whose lanes for HUS, or what it holds of a key, can be taken away.
type losing struct {
	hub.Bus
	held bool
	lose chan context.CancelFunc
}

func (b losing) lane(ctx context.Context) context.Context {
	lane, lose := context.WithCancel(ctx)
	b.lose <- lose
	return lane
}

func (b losing) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	return b.Bus.Consume(ctx, topic, group, lanes, func(lane context.Context, r contracts.Record) error {
		if !b.held && topic == contracts.OutTopic("hus") {
			lane = b.lane(lane)
		}
		return handle(lane, r)
	})
}

func (b losing) Hold(topic, group string, key contracts.Key) (lane context.Context, release func(), held bool) {
	if lane, release, held = b.Bus.Hold(topic, group, key); held && b.held {
		lane = b.lane(lane)
	}
	return lane, release, held
}

// stuck is a partner that answers nothing until its caller gives up, once it says so.
type stuck struct {
	*receiver
	once  func() bool
	lose  chan context.CancelFunc
	ended chan bool // whether the caller gave up
}

func (s stuck) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	select {
	case lose := <-s.lose:
		if !s.once() {
			break
		}
		lose()
		select {
		case <-ctx.Done():
			s.ended <- true
		case <-time.After(3 * time.Minute):
			s.ended <- false
		}
		return contracts.Answer{Unknown: true}, unanswered()
	default: // the lane's first try, where what is held is to be lost
		return contracts.Answer{}, unanswered()
	}
	return s.receiver.Deliver(ctx, p)
}

func unanswered() error { return contracts.Faultf(contracts.Unavailable, "T-1", "", "no answer") }

// An attempt ends with the key that it is made for, without the time that a stop gives it: what comes behind it is sent
// by whoever has the key now, and that may be this process again.
func TestAnAttemptEndsWithItsKey(t *testing.T) {
	for name, held := range map[string]bool{"in its lane": false, "behind its key": true} {
		t.Run(name, func(t *testing.T) {
			lose, first := make(chan context.CancelFunc, 1000), atomic.Bool{}
			s := stuck{lose: lose, ended: make(chan bool, 1), once: func() bool { return first.CompareAndSwap(false, true) }}
			h := open(t, func(c *hub.Config) {
				c.Bus, c.Linger = losing{c.Bus, held, lose}, time.Hour
				s.receiver = c.Couriers["hus"].(*receiver)
				c.Couriers["hus"] = s
			})
			h.send("clinic", message("C-1", "request", "R-1", "one"))
			if !<-s.ended {
				t.Fatal("the attempt went on after its key was lost")
			}
			h.hus.await(t, 1)
			h.await(contracts.StepDelivered, "")
			if got := h.hus.parcels(); len(got) != 1 || !got[0].Repeat {
				t.Errorf("HUS got %d parcels, the first a repeat: %v; want one, a repeat", len(got), got[0].Repeat)
			}
		})
	}
}

// ending tells when Consume is told to end.
type ending struct {
	hub.Bus
	ends chan<- struct{}
}

func (b ending) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	if topic == contracts.OutTopic("hus") {
		defer context.AfterFunc(ctx, func() { close(b.ends) })()
	}
	return b.Bus.Consume(ctx, topic, group, lanes, handle)
}

// An attempt ends with its key also while it has the time that a stop gives it.
func TestAnAttemptEndsWithItsKeyWhileTheHubStops(t *testing.T) {
	lose, ends, began, first := make(chan context.CancelFunc, 1000), make(chan struct{}), make(chan context.CancelFunc, 1), atomic.Bool{}
	s := stuck{lose: make(chan context.CancelFunc, 1), ended: make(chan bool, 1), once: func() bool { return first.CompareAndSwap(false, true) }}
	h := open(t, func(c *hub.Config) {
		c.Bus, c.Linger = losing{ending{c.Bus, ends}, false, lose}, time.Hour
		s.receiver = c.Couriers["hus"].(*receiver)
		c.Couriers["hus"] = s
	})
	s.lose <- func() { // once the attempt is on its way
		began <- <-lose
		<-ends
		(<-began)()
	}
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	loses := <-began
	stopped := make(chan struct{})
	go func() {
		h.stop()
		close(stopped)
	}()
	began <- loses
	if !<-s.ended {
		t.Error("the attempt went on after its key was lost")
	}
	<-stopped
}

// While a partner is paused its messages are probes: however many fail, no key comes nearer to the contract's limit.
func TestAProbeDoesNotCount(t *testing.T) {
	h := open(t)
	var probes atomic.Int32
	many := make(chan struct{})
	h.hus.answers(func(p contracts.Parcel) (contracts.Answer, error) {
		n := probes.Add(1)
		switch {
		case n < 200: // the limit is 200 ms, or some fifty tries
			return contracts.Answer{}, contracts.Faultf(contracts.Unavailable, "T-1", "", "away")
		case n == 200:
			close(many)
		}
		return contracts.Answer{Code: "200"}, nil
	})
	h.send("clinic", message("C-1", "request", "R-1", "1"))
	h.send("clinic", message("C-2", "update", "R-1", "2"))
	<-many
	h.hus.await(t, 2)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("HUS got %v", got)
	}
	h.stop()
	for done := false; !done; {
		select {
		case s := <-h.steps:
			if s.Step == contracts.StepParked {
				t.Error("a key parked by probes")
			}
		default:
			done = true
		}
	}
}

// A partner that is down pauses its own queue only, is probed, and gets everything in order when it is back.
func TestAPartnerThatReturnsGetsHundredsInOrder(t *testing.T) {
	t.Parallel()
	const keys, each = 30, 10
	for name, by := range map[string]transport{"MLLP": overMLLP, "FHIR": overFHIR} {
		t.Run(name, func(t *testing.T) {
			p, other := newPeer(t, by.speaks), newPeer(t, by.speaks)
			courier, _ := by.couriers(t, edge{}, p)
			open, _ := by.couriers(t, edge{}, other)
			p.close()
			retry := "first: 2ms, max: 4ms, limit: 1s, spill: 10ms, pause: 5, probe: 5ms"
			h := wired(t, []lab{{"lab", by.contract, retry, courier}, {"other", by.contract, retry, open}})
			var senders sync.WaitGroup
			for k := range keys {
				senders.Go(func() {
					for i := range each {
						h.send("to-lab", message(fmt.Sprint("M-", k, "-", i), "request", fmt.Sprint("R-", k), fmt.Sprintf("n-%d/%d", k, i)))
					}
				})
			}
			senders.Wait()
			for len(h.hub.Ready(t.Context()).Paused) == 0 {
				h.await(contracts.StepRetried, "")
			}
			h.send("to-other", message("O-1", "request", "R-1", "other"))
			<-other.came
			if n := len(p.seen()); n != 0 {
				t.Fatalf("%d messages came to a partner that is away", n)
			}
			p.listen("")
			awaitInOrder(t, p, keys, each)
			h.send("to-lab", message("M-last", "request", "R-0", fmt.Sprintf("n-0/%d", each))) // its keys are live again
			if m := <-p.came; numberOf(t, m) != [2]int{0, each} {
				t.Error("what came last isn't what was sent last")
			}
			if paused := h.hub.Ready(t.Context()).Paused; len(paused) > 0 {
				t.Errorf("paused: %v", paused)
			}
		})
	}
}

// awaitInOrder waits until a peer has got every message, each key's in order, and none twice.
func awaitInOrder(t *testing.T, p *peer, keys, each int) {
	t.Helper()
	next := make([]int, keys)
	late := time.After(5 * time.Minute)
	for range keys * each {
		select {
		case m := <-p.came:
			n := numberOf(t, m)
			if next[n[0]] != n[1] {
				t.Fatalf("of referral %d came message %d, want %d", n[0], n[1], next[n[0]])
			}
			next[n[0]]++
		case <-late:
			t.Fatal("a message didn't come")
		}
	}
}

var numbered = regexp.MustCompile(`n-(\d+)/(\d+)`)

// numberOf reads from a message's note which of its referral's it is.
func numberOf(t *testing.T, m told) [2]int {
	found := numbered.FindSubmatch(m.body)
	if found == nil {
		t.Fatal("a message without its number")
	}
	k, _ := strconv.Atoi(string(found[1]))
	n, _ := strconv.Atoi(string(found[2]))
	return [2]int{k, n}
}

var backlog = flag.Int("backlog", 1000, "messages of 64 KB that wait for a partner that is down")

// What waits for a partner that is down lies on the disk: the hub's memory doesn't grow with it.
func TestABacklogDoesNotLieInMemory(t *testing.T) {
	const each = 20
	keys := *backlog / each
	if testing.Short() {
		keys = min(keys, 40)
	}
	room := strings.Repeat("x", 64<<10) // so that what is kept in memory shows
	p := newPeer(t, speaksFHIR)
	courier, _ := overFHIR.couriers(t, edge{}, p)
	p.close()
	translated := make(chan struct{}, keys*each)
	h := wired(t, []lab{{"lab", labFHIR, "first: 2ms, max: 4ms, limit: 1h, spill: 10ms, pause: 5, probe: 50ms", courier}}, func(c *hub.Config) {
		c.Watch = func(s contracts.Step) {
			if s.Step == contracts.StepTranslated {
				translated <- struct{}{}
			}
		}
	})
	before := heap()
	var senders sync.WaitGroup
	turn := make(chan struct{}, 50)
	for k := range keys {
		turn <- struct{}{}
		senders.Go(func() {
			defer func() { <-turn }()
			for i := range each {
				body := message(fmt.Sprint("M-", k, "-", i), "request", fmt.Sprint("R-", k), fmt.Sprintf("n-%d/%d %s", k, i, room))
				h.send("to-lab", body)
				if i%10 == 0 {
					h.send("to-lab", body) // a repeat leaves a step behind the acknowledgement
				}
			}
		})
	}
	senders.Wait()
	late := time.After(10 * time.Minute)
	for range keys * each {
		select {
		case <-translated:
		case <-late:
			t.Fatal("a message wasn't translated")
		}
	}
	grown := int(heap()) - int(before)
	t.Logf("%d messages wait; the heap grew by %d KB", keys*each, grown>>10)
	if most := 48 << 20; grown > most { // the bus may hold 16 MB of bodies ahead of each topic's lanes
		t.Errorf("the heap grew by %d bytes with %d messages waiting, want at most %d", grown, keys*each, most)
	}
	p.listen("")
	awaitInOrder(t, p, keys, each)
}

// heap is what lives on the heap now.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package custody

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// obstacle stands before a store: calls fail, or wait until it is cleared or their caller leaves.
type obstacle struct {
	mu    sync.Mutex
	fault error
	hold  chan struct{}
}

func (o *obstacle) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = err
}

func (o *obstacle) block() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = make(chan struct{})
}

func (o *obstacle) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault = nil; o.hold != nil {
		close(o.hold)
		o.hold = nil
	}
}

func (o *obstacle) pass(ctx context.Context) error {
	o.mu.Lock()
	fault, hold := o.fault, o.hold
	o.mu.Unlock()
	if hold == nil {
		return fault
	}
	select {
	case <-hold:
		return nil
	case <-ctx.Done():
		return &contracts.Fault{Kind: contracts.Unavailable, Code: "T-1", Public: "slow", Err: ctx.Err()}
	}
}

var down = contracts.Faultf(contracts.Unavailable, "T-1", "", "It is down.")

// obstructedLedger is a ledger behind an obstacle, in what the hub calls first at each stage.
type obstructedLedger struct {
	hub.Ledger
	*obstacle
}

func (l obstructedLedger) Apply(ctx context.Context, c contracts.Change) error {
	if err := l.pass(ctx); err != nil {
		return err
	}
	return l.Ledger.Apply(ctx, c)
}

func (l obstructedLedger) Key(ctx context.Context, ref contracts.KeyRef) (contracts.KeyState, error) {
	if err := l.pass(ctx); err != nil {
		return contracts.KeyState{}, err
	}
	return l.Ledger.Key(ctx, ref)
}

func (l obstructedLedger) Waiting(ctx context.Context, topic string, now time.Time, limit int) ([]contracts.Waiting, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	return l.Ledger.Waiting(ctx, topic, now, limit)
}

func (l obstructedLedger) Health(ctx context.Context) error { return l.pass(ctx) }

// obstructedBus is a bus behind an obstacle where it writes.
type obstructedBus struct {
	hub.Bus
	*obstacle
}

func (b obstructedBus) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if err := b.pass(ctx); err != nil {
		return contracts.Published{}, err
	}
	return b.Bus.Publish(ctx, r, once)
}

func (b obstructedBus) Health(ctx context.Context) error { return b.pass(ctx) }

// While the ledger is down or slow the doors take messages; when it is back they are delivered, each once, in order.
func TestReceivingGoesOnWhileTheLedgerIsAway(t *testing.T) {
	for name, begin := range map[string]func(*obstacle){"down": func(o *obstacle) { o.fail(down) }, "slow": (*obstacle).block} {
		t.Run(name, func(t *testing.T) {
			o := &obstacle{}
			h := open(t, func(c *hub.Config) { c.Ledger = obstructedLedger{c.Ledger, o} })
			h.send("clinic", message("C-0", "request", "R-0", "0"))
			h.hus.await(t, 1)
			h.await(contracts.StepDelivered, "")
			begin(o)
			const keys, each = 5, 4
			for k := range keys {
				for i := range each {
					r := h.send("clinic", message(fmt.Sprint("C-", k, "-", i), "request", fmt.Sprint("R-1", k), fmt.Sprint(i)))
					if r.Fault != nil || r.Claim != contracts.ClaimNew {
						t.Fatalf("the receipt: %+v", r)
					}
				}
			}
			if again := h.send("clinic", message("C-0-0", "request", "R-10", "0")); again.Claim != contracts.ClaimSame {
				t.Errorf("a repeat meanwhile: %+v", again)
			}
			if name == "down" {
				if degraded := h.hub.Ready(t.Context()).Degraded; len(degraded) != 1 || !strings.HasPrefix(degraded[0], "ledger") {
					t.Errorf("degraded: %v", degraded)
				}
			}
			if n := len(h.hus.parcels()); n != 1 {
				t.Errorf("HUS has %d messages, want 1: nothing leaves that the ledger doesn't know", n)
			}
			o.clear()
			h.hus.await(t, keys*each)
			for k := range keys {
				if got := h.hus.order(t, fmt.Sprint("R-1", k)); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
					t.Errorf("referral %d came as %v", k, got)
				}
			}
		})
	}
}

// A ledger that goes down just when a partner has answered: the attempt is done again only if the hub ends before the
// ledger is back, and until then it isn't.
func TestTheLedgerGoesDownInMidDelivery(t *testing.T) {
	o := &obstacle{}
	h := open(t, func(c *hub.Config) { c.Ledger = obstructedLedger{c.Ledger, o} })
	h.hus.answers(func(contracts.Parcel) (contracts.Answer, error) {
		o.fail(down)
		return contracts.Answer{Code: "200"}, nil
	})
	h.send("clinic", message("C-1", "request", "R-1", "1"))
	h.hus.await(t, 1)
	o.clear()
	h.await(contracts.StepDelivered, "")
	if n := len(h.hus.parcels()); n != 1 {
		t.Errorf("HUS got the message %d times", n)
	}
}

// A door gives no answer, or 503, when the disk is full or too slow; the sender's repeat is taken when it is well again,
// and delivered once.
func TestADoorSaysNoWhenTheBusCanNotWrite(t *testing.T) {
	for name, begin := range map[string]func(*obstacle){"full": func(o *obstacle) { o.fail(down) }, "slow": (*obstacle).block} {
		t.Run(name, func(t *testing.T) {
			o := &obstacle{}
			p := newPeer(t, speaksFHIR)
			courier, _ := overFHIR.couriers(t, edge{}, p)
			h := wired(t, []lab{{"lab", labFHIR, patient, courier}}, func(c *hub.Config) { c.Bus = obstructedBus{c.Bus, o} })
			door, err := fhirrest.NewDoor(fhirrest.Config{Base: "/fhir", Senders: []fhirrest.Sender{{Partner: "to-lab", Token: "token"}}, Receiver: h.hub,
				Now: time.Now, Log: quiet(t), Timeouts: fhirrest.Timeouts{Receive: littlePatience}})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(door)
			defer server.Close()
			post := func() (int, string) {
				r, err := http.NewRequest(http.MethodPost, server.URL+"/fhir/$process-message", strings.NewReader(string(message("M-1", "request", "R-1", "one"))))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/fhir+json")
				r.Header.Set("Authorization", "Bearer token")
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				return answer.StatusCode, answer.Header.Get("Retry-After")
			}
			begin(o)
			if code, after := post(); code != http.StatusServiceUnavailable || after == "" {
				t.Errorf("%d, Retry-After %q, want 503 and a time", code, after)
			}
			if name == "full" {
				if missing := h.hub.Ready(t.Context()).Missing; len(missing) != 1 || !strings.HasPrefix(missing[0], "bus") {
					t.Errorf("missing: %v", missing)
				}
				if answer := ask(t, openDoor(t, "lab", h.hub)); answer != "" {
					t.Error("the MLLP door answered what it couldn't keep")
				}
			}
			o.clear()
			for range 2 {
				if code, _ := post(); code != http.StatusOK {
					t.Errorf("when the disk is well: %d", code)
				}
			}
			h.await(contracts.StepDelivered, "")
			if n := len(p.seen()); n != 1 {
				t.Errorf("the message came %d times, want once", n)
			}
		})
	}
}

// ask sends a frame and gives what comes back until the door closes.
func ask(t *testing.T, address string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, framed("MSH|^~\\&|LAB|X|SILTA|HUB|20260304050607||RRI^I12|Q1|P|2.5.1\rMSA|AA|X\r")); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(bufio.NewReader(c))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// clock is the system's clock, moved.
type clock struct{ moved atomic.Int64 }

func (c *clock) now() time.Time            { return time.Now().Add(time.Duration(c.moved.Load())) }
func (c *clock) move(d time.Duration)      { c.moved.Store(int64(d)) }
func (c *clock) config(config *hub.Config) { config.Now = c.now }

// A clock that jumps loses nothing and changes no order or id. What waits when it is put back waits until it is as late
// again, or is released.
func TestTheClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back an hour": -time.Hour, "ahead a day": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			c := &clock{}
			h := open(t, c.config)
			first := message("C-1", "request", "R-1", "1")
			receipt := h.send("clinic", first)
			h.hus.await(t, 1)
			h.await(contracts.StepDelivered, "")
			h.hus.answers(unavailable)
			h.send("clinic", message("C-2", "update", "R-1", "2"))
			h.send("clinic", message("C-w", "request", "R-2", "waits"))
			for len(h.hub.Ready(t.Context()).Paused) == 0 {
				h.await(contracts.StepRetried, "")
			}
			c.move(jump)
			h.send("clinic", message("C-3", "update", "R-1", "3"))
			if again := h.send("clinic", first); again.Claim != contracts.ClaimSame || again.ID != receipt.ID || !again.At.Equal(receipt.At) {
				t.Errorf("a repeat over the jump: %+v after %+v", again, receipt)
			}
			h.hus.answers(nil)
			c.move(max(jump, 0))
			h.hus.await(t, 3)
			if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"1", "2", "3"}) {
				t.Errorf("HUS got %v", got)
			}
			ids := map[contracts.ID]bool{}
			for _, p := range h.hus.parcels() {
				if ids[p.ID] {
					t.Error("a message came twice")
				}
				ids[p.ID] = true
			}
		})
	}
}

// preceded is a ledger that asks before each change.
type preceded struct {
	hub.Ledger
	before func(contracts.Change) error
}

func (l preceded) Apply(ctx context.Context, c contracts.Change) error {
	if err := l.before(c); err != nil {
		return err
	}
	return l.Ledger.Apply(ctx, c)
}

// A hub whose clock is ahead ends just when it has delivered the first message behind a key, whose place stays until the
// next day. That message is delivered, whatever an operator says of it, and a release lets the key go on without it.
func TestADeliveredMessageDoesNotHoldItsKeyAgainstARelease(t *testing.T) {
	var c clock
	var keeps atomic.Bool
	h := open(t, c.config, func(c *hub.Config) {
		c.Ledger = preceded{c.Ledger, func(change contracts.Change) error {
			if len(change.Done) > 0 && keeps.Load() {
				return down
			}
			return nil
		}}
	})
	keeps.Store(true)
	c.move(24 * time.Hour)
	h.hus.answers(unavailable)
	h.send("clinic", message("C-1", "request", "R-1", "1"))
	h.await(contracts.StepTranslated, "C-1")
	ref := contracts.KeyRef{Topic: contracts.OutTopic("hus"), Key: h.delivery("C-1").Key}
	h.until("the message waits behind its key", func() bool {
		behind, err := h.ledger.Behind(t.Context(), ref)
		return err == nil && len(behind) == 1
	})
	h.hus.answers(nil)
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	h.stop()
	keeps.Store(false)
	c.move(0)
	h.start()
	h.send("clinic", message("C-2", "update", "R-1", "2"))
	h.await(contracts.StepWaiting, "")
	for what, act := range map[string]func() error{
		"stopped":  func() error { _, err := h.hub.Stop(t.Context(), "C-1", "too late", "op"); return err },
		"released": func() error { return h.hub.Release(t.Context(), "C-1", "too late", "op") },
	} {
		if err := act(); contracts.KindOf(err) != contracts.NotFound {
			t.Errorf("what is delivered is %s: %v", what, err)
		}
	}
	if err := h.hub.Release(t.Context(), "C-2", "the clock was wrong", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("HUS got %v", got)
	}
	if s := h.state("C-1"); s != contracts.StateDelivered {
		t.Errorf("the first is shown as %s", s)
	}
}

// When the clocks are put back, two messages of one wall-clock time keep their order, and each says its own offset.
func TestTheHourThatComesTwice(t *testing.T) {
	p := newPeer(t, speaksMLLP)
	courier, _ := overMLLP.couriers(t, edge{}, p)
	summer := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC) // 03:30 in Helsinki, and an hour later again
	var now atomic.Pointer[time.Time]
	now.Store(&summer)
	h := wired(t, []lab{{"lab", labMLLP, patient, courier}}, func(c *hub.Config) { c.Now = func() time.Time { return *now.Load() } })
	h.send("to-lab", message("M-1", "request", "R-1", "summer"))
	h.await(contracts.StepDelivered, "")
	winter := summer.Add(time.Hour)
	now.Store(&winter)
	h.send("to-lab", message("M-2", "update", "R-1", "winter"))
	h.await(contracts.StepDelivered, "")
	for i, want := range []string{"20261025033000+0300", "20261025033000+0200"} {
		if got := strings.Split(string((<-p.came).body), "|")[6]; got != want {
			t.Errorf("message %d says %s, want %s", i+1, got, want)
		}
	}
}

// What was translated by a version that is gone before it was published isn't translated by another one: it parks.
func TestAMapVersionThatIsGoneParksWhatItBegan(t *testing.T) {
	o := &obstacle{}
	p := newPeer(t, speaksMLLP)
	courier, _ := overMLLP.couriers(t, edge{}, p)
	gone := false
	h := wired(t, []lab{{"lab", labMLLP, patient, courier}}, func(c *hub.Config) {
		c.Bus = outFails{obstructedBus{c.Bus, o}}
		if gone {
			maps, err := builtIn()
			if err != nil {
				t.Fatal(err)
			}
			c.Maps = maps
			for _, p := range c.Partners {
				for i := range p.In {
					p.In[i].Map = "ref-i12"
				}
				for i := range p.Out {
					p.Out[i].Map = "ref-i12"
				}
			}
		}
	})
	o.fail(down)
	h.send("to-lab", message("M-1", "request", "R-1", "one"))
	h.await(contracts.StepTranslated, "")
	h.stop()
	o.clear()
	gone = true
	h.start()
	if s := h.await(contracts.StepParked, "M-1"); s.Fault == nil || s.Fault.Code != "HUB-034" {
		t.Errorf("it parks with %v", s.Fault)
	}
	if n := len(p.seen()); n != 0 {
		t.Errorf("%d messages left", n)
	}
}

// outFails is a bus whose obstacle stands before the partners' topics only.
type outFails struct{ obstructedBus }

func (b outFails) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if r.Topic == contracts.TopicIn {
		return b.Bus.Publish(ctx, r, once)
	}
	return b.obstructedBus.Publish(ctx, r, once)
}

// A code map that is gone is told with the map that needs it, and a map that is gone with the contract that names it,
// before anything runs.
func TestWhatTheCatalogLacksIsToldBeforeAnythingRuns(t *testing.T) {
	lacking := fstest.MapFS{}
	err := fs.WalkDir(mappings.Embedded, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, "codes/administrative-sex@") {
			return err
		}
		b, err := mappings.Embedded.ReadFile(path)
		lacking[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = mappings.Load(lacking)
	wrong := slices.DeleteFunc(contracts.FaultsOf(err), func(f *contracts.Fault) bool { return f.Grade != contracts.GradeError })
	if err == nil || len(wrong) == 0 || slices.ContainsFunc(wrong, func(f *contracts.Fault) bool { return f.Code != "MAP-040" || !strings.HasPrefix(f.Place(), "catalog/") }) {
		t.Errorf("without a code map the catalog gives %v", err)
	}
	maps, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	p := partner(t, "clinic", "")
	p.In = []contracts.InMap{{Type: "*", Map: "gone@1.0.0"}}
	if faults := hub.CheckContracts([]*contracts.Partner{p}, maps, fhir.NewProfiles()); len(faults) != 1 || faults[0].Code != "CFG-031" {
		t.Errorf("a contract whose map is gone: %v", faults)
	}
}

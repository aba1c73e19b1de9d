// Package custody tests the hub on its real stores (embedded bus, SQLite ledger) with couriers that can be told to
// fail: what is acknowledged, parked, waits, goes on, and in which order. The partners speak the canonical form, so
// nothing here depends on a map.
package custody

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// house is a hub that can be stopped and started again on the same directory.
type house struct {
	t      *testing.T
	dir    string
	clinic *receiver
	hus    *receiver
	hub    *hub.Hub
	ledger *ledger.Ledger
	steps  chan contracts.Step
	stop   func()
	change []func(*hub.Config)
}

// open starts a hub between a clinic and HUS in a new directory. Each start of it applies what change says to its
// configuration.
func open(t *testing.T, change ...func(*hub.Config)) *house {
	h := &house{t: t, dir: t.TempDir(), clinic: newReceiver(), hus: newReceiver(), change: change}
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

func partner(t *testing.T, id, routes string) *contracts.Partner {
	p, err := contracts.ReadPartner(id+".yaml", []byte(`silta: partner/v1
id: `+id+`
dialect: {format: fhir, version: 4.0.1}
door: {fhir: {tokenFile: x}}
courier: {fhir: {url: "http://127.0.0.1:1/fhir"}}
accepts: {types: [request, update, cancel, contact, response-*, appointment, feedback]}
routes: [`+routes+`]
retry: {first: 2ms, max: 4ms, limit: 200ms, spill: 10ms, pause: 5, probe: 5ms}
`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// builtIn is the catalog of the binary, which takes longer to compile than most tests to run.
var builtIn = sync.OnceValues(func() (*mappings.Catalog, error) { return mappings.Load(mappings.Embedded) })

func (h *house) start() {
	h.t.Helper()
	bus, err := embedded.Open(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.ledger, err = ledger.Open(filepath.Join(h.dir, "ledger.db")); err != nil {
		h.t.Fatal(err)
	}
	maps, err := builtIn()
	if err != nil {
		h.t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(h.t.Output())
	h.steps = make(chan contracts.Step, 10000)
	config := hub.Config{
		Partners: []*contracts.Partner{partner(h.t, "clinic", "{events: [request, update, cancel], to: [hus]}"), partner(h.t, "hus", "")},
		Maps:     maps, Bus: bus, Ledger: h.ledger, Couriers: map[string]hub.Courier{"clinic": h.clinic, "hus": h.hus},
		Secret: houseSecret(h.t), Now: time.Now, Log: log, Watch: func(s contracts.Step) { h.steps <- s },
	}
	for _, change := range h.change {
		change(&config)
	}
	h.hub, err = hub.New(h.t.Context(), config)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.hub.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("the hub ended with %v", err)
		}
		if err := bus.Close(); err != nil {
			h.t.Error(err)
		}
		if err := h.ledger.Close(); err != nil {
			h.t.Error(err)
		}
		h.stop = func() {}
	}
}

func houseSecret(t *testing.T) contracts.Secret {
	t.Helper()
	secret, err := contracts.NewSecret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// send hands a message to the hub as a door would.
func (h *house) send(from string, body []byte) contracts.Receipt {
	h.t.Helper()
	r, err := h.hub.Receive(h.t.Context(), contracts.Arrival{Partner: from, Format: contracts.FormatFHIR, Body: contracts.NewBody(body)})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// await reads steps until one of that kind comes for a control id (of the sender or the hub); it fails after three minutes.
func (h *house) await(step, control string) contracts.Step {
	h.t.Helper()
	late := time.After(3 * time.Minute)
	for {
		select {
		case s := <-h.steps:
			if s.Step == step && (control == "" || s.Control == control) {
				return s
			}
		case <-late:
			h.t.Fatalf("no step %s came for %s", step, control)
		}
	}
}

// state of the newest message that an id names.
func (h *house) state(id string) contracts.State {
	h.t.Helper()
	rows, err := h.hub.Find(h.t.Context(), id)
	if err != nil || len(rows) == 0 {
		h.t.Fatalf("nothing has the id %s: %v", id, err)
	}
	return rows[0].State
}

// receiver is a partner as its courier sees it.
type receiver struct {
	mu     sync.Mutex
	answer func(contracts.Parcel) (contracts.Answer, error)
	got    []contracts.Parcel
	came   chan struct{}
}

func newReceiver() *receiver { return &receiver{came: make(chan struct{}, 10000)} }

// Deliver keeps the parcel unless the test's answer refuses it.
func (r *receiver) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil {
		if a, err := r.answer(p); err != nil {
			return a, err
		}
	}
	r.got = append(r.got, p)
	r.came <- struct{}{}
	return contracts.Answer{Code: "200"}, nil
}

func (r *receiver) answers(f func(contracts.Parcel) (contracts.Answer, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// await waits for the next n parcels.
func (r *receiver) await(t *testing.T, n int) {
	t.Helper()
	late := time.After(3 * time.Minute)
	for range n {
		select {
		case <-r.came:
		case <-late:
			t.Fatal("a message didn't come")
		}
	}
}

func (r *receiver) parcels() []contracts.Parcel {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]contracts.Parcel(nil), r.got...)
}

// order is the placer ids and counters of what came, in order: "R1/1".
func (r *receiver) order(t *testing.T, placer string) []string {
	var list []string
	for _, p := range r.parcels() {
		var b struct {
			Entry []struct {
				Resource struct {
					Identifier []struct{ Value string }
					Note       []struct{ Text string }
				}
			}
		}
		if err := json.Unmarshal(p.Body.Bytes(), &b); err != nil {
			t.Fatal(err)
		}
		if task := b.Entry[1].Resource; task.Identifier[0].Value == placer {
			list = append(list, task.Note[0].Text)
		}
	}
	return list
}

// message is a small canonical message.
func message(control, event, placer, note string) []byte {
	return rawMessage(control, event, placer, strings.Trim(strconv.Quote(note), `"`))
}

// rawMessage is message with the note's text as JSON writes it; more of the note may follow in it.
func rawMessage(control, event, placer, note string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","timestamp":"2026-03-02T09:15:02+02:00","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab364","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:x"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92","resource":{"resourceType":"Task","identifier":[{"type":{"coding":[{"code":"PLAC"}]},"value":%q}],"status":"requested","intent":"order","note":[{"text":"%s"}]}}]}`,
		control, profiles.URL(profiles.EventSystem), event, placer, note)
}

// answer is a message that answers the one with the control id `to`, as its sender was given it.
func answer(control, event, to string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","timestamp":"2026-03-03T09:15:02+02:00","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab365","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:y"},"response":{"identifier":%q,"code":"ok"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df93"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df93","resource":{"resourceType":"Task","status":"accepted","intent":"order"}}]}`,
		control, profiles.URL(profiles.EventSystem), event, to)
}

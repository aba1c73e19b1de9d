// Package operator tests what operators do against crashes: each thing that they can ask for is done in the model world,
// which is killed in every single call of it in turn and started again; then it is asked for again, as a person does who
// got no answer.
package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/model"
)

// world is a hub between a clinic and HUS that is started again whenever it crashes.
type world struct {
	*model.World
	bus     *model.Bus
	ledger  *model.Ledger
	hus     *model.Partner
	refuses atomic.Pointer[string] // HUS refuses what holds this text
	maps    *mappings.Catalog
	current atomic.Pointer[hub.Hub]
	end     func()
}

var secret = func() contracts.Secret {
	s, err := contracts.NewSecret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		panic(err)
	}
	return s
}()

// begin starts a world in which nothing goes wrong but what the test asks for.
func begin(maps *mappings.Catalog) *world {
	w := &world{World: model.NewWorld(1), maps: maps}
	w.bus, w.ledger = model.NewBus(w.World, model.Weather{}), model.NewLedger(w.World, model.Weather{})
	w.hus = model.NewPartner(w.World, "hus", model.Habits{Duplicate: true})
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() { w.live(ctx) })
	w.end = func() { cancel(); working.Wait() }
	return w
}

func contract(id, routes string) *contracts.Partner {
	p, err := contracts.ReadPartner(id+".yaml", []byte(`silta: partner/v1
id: `+id+`
dialect: {format: fhir, version: 4.0.1}
door: {fhir: {tokenFile: x}}
courier: {fhir: {url: "http://127.0.0.1:1/fhir"}}
routes: [`+routes+`]
`))
	if err != nil {
		panic(err)
	}
	return p
}

func (w *world) live(ctx context.Context) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	for ctx.Err() == nil {
		h, err := hub.New(ctx, hub.Config{
			Partners: []*contracts.Partner{contract("clinic", "{events: [request, update], to: [hus]}"), contract("hus", "")},
			Maps:     w.maps, Bus: w.bus, Ledger: w.ledger, Couriers: map[string]hub.Courier{"hus": w, "clinic": w.hus},
			Secret: secret, Now: time.Now, Log: log, Lanes: 4,
		})
		if err == nil {
			w.current.Store(h)
			life, end := context.WithCancel(ctx)
			go func(crashed <-chan struct{}) {
				select {
				case <-crashed:
				case <-life.Done():
				}
				end()
			}(w.Crashed())
			_ = h.Run(life)
			end()
			w.current.Store(nil)
		}
		time.Sleep(time.Second)
		select {
		case <-w.Crashed():
			w.Restart()
		default:
		}
	}
}

// Deliver refuses what the test wants refused, and gives HUS the rest.
func (w *world) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	if text := w.refuses.Load(); text != nil && strings.Contains(string(p.Body.Bytes()), *text) {
		return contracts.Answer{Code: "422"}, contracts.Faultf(contracts.Refused, "T-1", "", "HUS doesn't take it.")
	}
	return w.hus.Deliver(ctx, p)
}

// do asks the hub that runs until it says that it was done.
func (w *world) do(ask func(*hub.Hub) error) error {
	for end := time.Now().Add(time.Hour); ; time.Sleep(time.Second) {
		h := w.current.Load()
		if h == nil {
			continue
		}
		err := ask(h)
		if kind := contracts.KindOf(err); kind != contracts.Unavailable && kind != contracts.Internal || time.Now().After(end) {
			return err
		}
	}
}

func (w *world) send(control, event, placer, note string) error {
	return w.do(func(h *hub.Hub) error {
		_, err := h.Receive(context.Background(), contracts.Arrival{Partner: "clinic", Format: contracts.FormatFHIR, Body: contracts.NewBody(message(control, event, placer, note))})
		return err
	})
}

// settle lets time pass until what is on its way has come to rest.
func (w *world) settle() { time.Sleep(5 * time.Minute) }

// notes are the notes of what HUS took, in the order in which they came first.
func (w *world) notes() (notes []string) {
	for _, t := range w.hus.Taken() {
		var b struct {
			Entry []struct {
				Resource struct{ Note []struct{ Text string } }
			}
		}
		if err := json.Unmarshal(t.Body.Bytes(), &b); err != nil {
			panic(err)
		}
		notes = append(notes, b.Entry[1].Resource.Note[0].Text)
	}
	return notes
}

func message(control, event, placer, note string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","entry":[
{"fullUrl":"urn:uuid:4420d79e-47f2-5af8-bae4-c416882ab364","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":%q},"source":{"endpoint":"urn:x"},"focus":[{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92"}]}},
{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-6f762c74df92","resource":{"resourceType":"Task","identifier":[{"type":{"coding":[{"code":"PLAC"}]},"value":%q}],"status":"requested","intent":"order","note":[{"text":%q}]}}]}`,
		control, profiles.URL(profiles.EventSystem), event, placer, note)
}

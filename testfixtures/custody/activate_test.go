package custody

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// wound is a clock that a test puts forward.
type wound struct{ ahead atomic.Int64 }

func (w *wound) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *wound) forward(d time.Duration) { w.ahead.Add(int64(d)) }

// TestTheActiveVersionIsThatOfTheTimeOfReceipt: what is received is translated by the version that is active then, and
// keeps it.
func TestTheActiveVersionIsThatOfTheTimeOfReceipt(t *testing.T) {
	var clock wound
	h := open(t, apotti(t, "ref-i12"), swapped(t), func(c *hub.Config) { c.Now = clock.now })
	activate := func(r contracts.ActivationRequest) contracts.Activation {
		t.Helper()
		r.Operator = "op"
		a, err := h.hub.Activate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	translated := func(control, want string) {
		t.Helper()
		h.refer(control, "R")
		if got := h.await(contracts.StepTranslated, control).Map; got != want {
			t.Errorf("%s was translated by %s, want %s", control, got, want)
		}
	}
	translated("A-0", "ref-i12@0.9.0") // none is active: the newest
	if a := activate(contracts.ActivationRequest{Map: "ref-i12", Version: "0.1.0"}); a.Before != "0.9.0" || a.At.Sub(a.Made) != contracts.ActivationLead {
		t.Errorf("the activation is %+v", a)
	}
	translated("A-1", "ref-i12@0.9.0") // it hasn't begun
	clock.forward(contracts.ActivationLead + time.Second)
	translated("A-2", "ref-i12@0.1.0")

	activate(contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Partner: "apotti", Type: "REF^I12", At: clock.now().Add(time.Hour)})
	clock.forward(time.Minute)
	translated("A-3", "ref-i12@0.1.0")
	clock.forward(time.Hour)
	translated("A-4", "ref-i12@0.9.0")

	var again []contracts.Reprocessed
	for _, id := range []string{"A-2", "A-4"} {
		h.until(id+" is delivered", func() bool { return h.state(id) == contracts.StateDelivered })
		err := h.hub.Reprocess(t.Context(), contracts.ReprocessRequest{IDs: []string{id}, DryRun: true, Operator: "op"}, func(r contracts.Reprocessed) error {
			again = append(again, r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if again[0].Map != "ref-i12@0.1.0" || again[1].Map != "ref-i12@0.9.0" {
		t.Errorf("done again they would be translated by %s and %s", again[0].Map, again[1].Map)
	}

	if a := activate(contracts.ActivationRequest{Map: "ref-i12", Partner: "apotti", Type: "REF^I12"}); a.Version != "0.1.0" {
		t.Errorf("the rollback goes to %s", a.Version)
	}
	clock.forward(contracts.ActivationLead + time.Second)
	translated("A-5", "ref-i12@0.1.0")
	h.stop()
	h.start() // the word outlives the process
	translated("A-6", "ref-i12@0.1.0")
	if all, err := h.hub.Activations(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("the activations are %v, %v", all, err)
	}
}

func TestWhatCantBeActivated(t *testing.T) {
	h := open(t, apotti(t, "ref-i12"), swapped(t))
	for _, row := range []struct {
		code string
		ask  contracts.ActivationRequest
	}{
		{"HUB-060", contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Partner: "nobody"}},
		{"HUB-065", contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", At: time.Now()}},
		{"HUB-066", contracts.ActivationRequest{Map: "ref-i12"}},
		{"HUB-068", contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Type: "ADT^A99"}},
		{"HUB-068", contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Partner: "apotti", Type: "REF^A99"}},
		{"HUB-069", contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Partner: "apotti", Type: "request"}}, // nothing goes out to it
		{"HUB-069", contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Partner: "hus"}},
		{"MAP-303", contracts.ActivationRequest{Map: "ref-i12", Version: "9.9.9"}},
	} {
		_, err := h.hub.Activate(t.Context(), row.ask)
		if faults := contracts.FaultsOf(err); len(faults) != 1 || faults[0].Code != row.code {
			t.Errorf("%+v: %v, want %s", row.ask, err, row.code)
		}
	}
	if all, err := h.hub.Activations(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("something was activated: %v, %v", all, err)
	}
}

// TestTheCatalogMustHaveWhatIsActive: without an active version, or with other bytes in a published one, a hub doesn't start.
func TestTheCatalogMustHaveWhatIsActive(t *testing.T) {
	h := open(t, apotti(t, "ref-i12"), swapped(t))
	if _, err := h.hub.Activate(t.Context(), contracts.ActivationRequest{Map: "ref-i12", Version: "0.9.0", Operator: "op"}); err != nil {
		t.Fatal(err)
	}
	refused := func(c *mappings.Catalog, want string) {
		t.Helper()
		p, err := contracts.ReadPartner("x.yaml", []byte("silta: partner/v1\nid: x\ndialect: {format: fhir, version: 4.0.1}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = hub.New(t.Context(), hub.Config{Partners: []*contracts.Partner{p}, Maps: c, Ledger: h.ledger, Secret: houseSecret(t), Now: time.Now})
		faults := contracts.FaultsOf(err)
		if want == "" && err != nil || want != "" && (len(faults) != 1 || faults[0].Code != want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	small, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	refused(small, "CFG-035")
	refused(published(t, "0.9.0", "# A comment."), "")
	refused(published(t, "0.9.0", "# Another comment."), "CFG-036")
}

// published is the catalog with one more version of ref-i12, whose text ends in a comment, and which is published.
func published(t *testing.T, version, comment string) *mappings.Catalog {
	t.Helper()
	text, err := fs.ReadFile(mappings.Embedded, "catalog/ref-i12/0.1.0/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	layer := fstest.MapFS{"catalog/ref-i12/" + version + "/map.yaml": {Data: []byte(strings.Replace(string(text), "version: 0.1.0", "version: "+version, 1) + comment + "\n")}}
	maps, err := mappings.Load(mappings.Embedded, layer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := maps.Map("ref-i12@" + version)
	if err != nil {
		t.Fatal(err)
	}
	layer[mappings.LockFile] = &fstest.MapFile{Data: m.Publish(nil)}
	if maps, err = mappings.Load(mappings.Embedded, layer); err != nil {
		t.Fatal(err)
	}
	return maps
}

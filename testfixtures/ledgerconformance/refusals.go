package ledgerconformance

import (
	"context"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var refusalTests = []test{
	{"a delivery of other bytes under a known id is a conflict", otherBytesRefused},
	{"two contents of one id in one change are a conflict", twoContentsRefused},
	{"waiting behind a live key is a conflict", liveKeyRefused},
	{"a refused change leaves nothing, whichever row was refused", refusedWhole},
	{"a row without its id is refused, and nothing is written", idlessRefused},
	{"a caller that gave up gets a fault of kind unavailable", gaveUp},
}

func otherBytesRefused(t *testing.T, l hub.Ledger) {
	d := delivery(1, "hus", contracts.StateDelivered)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{d}})
	other := d
	other.Digest, other.State = "d2", contracts.StateSending
	refuse(t, l, contracts.Change{Deliveries: []contracts.Delivery{other}}, "digest")
	equal(t, "delivery", must(l.Delivery(t.Context(), d.ID))(t), d)
	other.Digest = d.Digest
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{other}})
	equal(t, "delivery of the same bytes", must(l.Delivery(t.Context(), d.ID))(t), other)
}

func twoContentsRefused(t *testing.T, l hub.Ledger) {
	a, b := delivery(1, "hus", contracts.StateTranslated), delivery(1, "hus", contracts.StateTranslated)
	b.Digest = "d2"
	refuse(t, l, contracts.Change{Deliveries: []contracts.Delivery{a, b}}, "digest")
	d, err := l.Delivery(t.Context(), a.ID)
	missing(t, "delivery", d, err)
}

func liveKeyRefused(t *testing.T, l hub.Ledger) {
	w := waiting(1, "k1")
	refuse(t, l, contracts.Change{Wait: []contracts.Waiting{w}}, "key")
	apply(t, l, contracts.Change{Keys: []contracts.KeyState{spilled("k2", 1)}})
	refuse(t, l, contracts.Change{Wait: []contracts.Waiting{w}}, "key")
	w.Key = "k2"
	elsewhere := w
	elsewhere.Topic = contracts.OutTopic("hus")
	refuse(t, l, contracts.Change{Wait: []contracts.Waiting{w, elsewhere}}, "key")
	if ms := must(l.Behind(t.Context(), w.KeyRef))(t); len(ms) != 0 {
		t.Error("a refused change let a message wait")
	}
	apply(t, l, contracts.Change{Wait: []contracts.Waiting{w}})
}

func refusedWhole(t *testing.T, l hub.Ledger) {
	held := delivery(9, "hus", contracts.StateDelivered)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{held}})
	held.Digest = "d2"
	byDelivery := everything(1)
	byDelivery.Deliveries = append(byDelivery.Deliveries, held)
	refuse(t, l, byDelivery, "digest")
	nothing(t, l, 1)
	byKey := everything(1)
	byKey.Wait = append(byKey.Wait, waiting(2, "a live key"))
	refuse(t, l, byKey, "key")
	nothing(t, l, 1)
	apply(t, l, everything(1))
}

func idlessRefused(t *testing.T, l hub.Ledger) {
	broken := map[string]func(*contracts.Change){
		"entry":      func(c *contracts.Change) { c.Entries = append(c.Entries, contracts.Entry{Partner: "apotti"}) },
		"delivery":   func(c *contracts.Change) { c.Deliveries = append(c.Deliveries, contracts.Delivery{Partner: "hus"}) },
		"step":       func(c *contracts.Change) { c.Steps = append(c.Steps, contracts.Step{Step: contracts.StepSending}) },
		"identifier": func(c *contracts.Change) { c.Identifiers = append(c.Identifiers, contracts.Identifier{Partner: "hus"}) },
		"journey":    func(c *contracts.Change) { c.Journeys = append(c.Journeys, contracts.Journey{State: "accepted"}) },
		"body":       func(c *contracts.Change) { c.Bodies = append(c.Bodies, contracts.StoredBody{}) },
		"key": func(c *contracts.Change) {
			c.Keys = append(c.Keys, contracts.KeyState{KeyRef: contracts.KeyRef{Topic: "t", Key: "k"}, Condition: contracts.KeyLive})
		},
	}
	for what, breakIt := range broken {
		c := everything(1)
		breakIt(&c)
		if err := l.Apply(t.Context(), c); contracts.KindOf(err) != contracts.Internal {
			t.Errorf("%s without what it is known by: got %v, want a fault of kind internal", what, err)
		}
	}
	nothing(t, l, 1)
}

func gaveUp(t *testing.T, l hub.Ledger) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Apply(ctx, everything(1)); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("apply gives %v, want a fault of kind unavailable", err)
	}
	if _, err := l.Fix(ctx, "name", "value"); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("fix gives %v, want a fault of kind unavailable", err)
	}
	apply(t, l, everything(1))
}

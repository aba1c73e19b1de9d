package ledgerconformance

import (
	"context"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var refusalTests = []test{
	{"a delivery of other bytes under a known id is a conflict", otherBytesRefused},
	{"an attempt that was made, or that comes after the end, is a conflict", attemptRefused},
	{"what is told of an attempt that another one followed, or that succeeded, is a conflict", lateRefused},
	{"a stop is of the attempt that it knows of, and outlives a translation", stopIsFenced},
	{"two contents of one id in one change are a conflict", twoContentsRefused},
	{"waiting behind a live key is a conflict", liveKeyRefused},
	{"a refused change leaves nothing, whichever row was refused", refusedWhole},
	{"a row without its id is refused, and nothing is written", idlessRefused},
	{"a translation with a row without its id is refused, and one with two contents", idlessTranslationRefused},
	{"a caller that gave up gets a fault of kind unavailable", gaveUp},
}

func otherBytesRefused(t *testing.T, l hub.Ledger) {
	d := delivery(1, "hus", contracts.StateSending)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{d}})
	other := d
	other.Digest, other.State, other.Attempts = "d2", contracts.StateWaiting, 1
	refuse(t, l, contracts.Change{Deliveries: []contracts.Delivery{other}}, "digest")
	equal(t, "delivery", must(l.Delivery(t.Context(), d.ID))(t), d)
	other.Digest = d.Digest
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{other}})
	equal(t, "delivery of the same bytes", must(l.Delivery(t.Context(), d.ID))(t), other)
}

// lateRefused is the fence against a process that was cut off: what it tells of its attempt brings nothing back.
func lateRefused(t *testing.T, l hub.Ledger) {
	told := func(state contracts.State, attempt int) contracts.Change {
		d := delivery(1, "hus", state)
		d.Attempts = attempt
		w := waiting(1, "k1")
		return contracts.Change{Deliveries: []contracts.Delivery{d}, Keys: []contracts.KeyState{spilled("k1", 1)}, Wait: []contracts.Waiting{w}}
	}
	sending := func(attempt int) contracts.Change {
		return contracts.Change{Deliveries: told(contracts.StateSending, attempt).Deliveries}
	}
	apply(t, l, sending(1))
	apply(t, l, sending(2))
	for _, state := range []contracts.State{contracts.StateWaiting, contracts.StateParked, contracts.StateStopped} {
		refuse(t, l, told(state, 1), "attempt")
		refuse(t, l, told(state, 0), "attempt") // it knows of no attempt at all
	}
	if ms := must(l.Behind(t.Context(), ref("k1")))(t); len(ms) != 0 {
		t.Error("a message waits because of an attempt that another one followed")
	}
	apply(t, l, told(contracts.StateWaiting, 2))
	apply(t, l, told(contracts.StateWaiting, 2)) // told again: its answer was lost
	apply(t, l, contracts.Change{Deliveries: told(contracts.StateDelivered, 1).Deliveries})
	refuse(t, l, told(contracts.StateWaiting, 2), "attempt")
	refuse(t, l, told(contracts.StateParked, 3), "attempt")
	equal(t, "state", must(l.Delivery(t.Context(), outgoing(1, "hus")))(t).State, contracts.StateDelivered)
}

// attemptRefused is the fence between two processes: only one of them makes attempt n.
func attemptRefused(t *testing.T, l hub.Ledger) {
	sending := func(attempt int) contracts.Change {
		d := delivery(1, "hus", contracts.StateSending)
		d.Attempts = attempt
		return contracts.Change{Deliveries: []contracts.Delivery{d}, Steps: []contracts.Step{step(1, contracts.StepSending, start)}}
	}
	end := func(state contracts.State, attempt int) contracts.Change {
		return contracts.Change{Deliveries: []contracts.Delivery{{ID: outgoing(1, "hus"), Message: incoming(1), State: state, Attempts: attempt}}}
	}
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateTranslated)}})
	refuse(t, l, sending(0), "attempt")
	if ss := must(l.MessageSteps(t.Context(), incoming(1)))(t); len(ss) != 0 {
		t.Error("a refused attempt left a step")
	}
	apply(t, l, sending(1))
	refuse(t, l, sending(1), "attempt")
	apply(t, l, end(contracts.StateWaiting, 1))
	refuse(t, l, sending(1), "attempt")
	apply(t, l, sending(3))
	refuse(t, l, sending(2), "attempt")
	for _, state := range []contracts.State{contracts.StateDelivered, contracts.StateStopped} {
		apply(t, l, end(state, 3))
		refuse(t, l, sending(9), "attempt")
		equal(t, "state after a refused attempt", must(l.Delivery(t.Context(), outgoing(1, "hus")))(t).State, state)
		other := sending(9)
		other.Deliveries[0].Digest = "d2"
		refuse(t, l, other, "digest")
	}
	twice := contracts.Change{Deliveries: []contracts.Delivery{delivery(2, "hus", contracts.StateSending), delivery(2, "hus", contracts.StateSending)}}
	refuse(t, l, twice, "attempt")
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
	byReplace := everything(1)
	byReplace.Replace = []contracts.Replacement{{Old: incoming(2), By: waiting(3, control(1))}}
	refuse(t, l, byReplace, "message")
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
		"replacement": func(c *contracts.Change) {
			c.Replace = append(c.Replace, contracts.Replacement{By: waiting(1, control(1))})
		},
		"replaced message": func(c *contracts.Change) {
			c.Replace = append(c.Replace, contracts.Replacement{Old: incoming(1), By: contracts.Waiting{KeyRef: ref(control(1))}})
		},
		"pause": func(c *contracts.Change) { c.Pauses = append(c.Pauses, contracts.Pause{Operator: "anna"}) },
		"activation": func(c *contracts.Change) {
			c.Activations = append(c.Activations, contracts.Activation{Map: "ref-i12"})
		},
		"part in an issue": func(c *contracts.Change) {
			c.Raise = append(c.Raise, contracts.Raised{Issue: "AAAA"})
		},
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

// What the hub writes for each message is looked at like all else, however cheaply it is kept.
func idlessTranslationRefused(t *testing.T, l hub.Ledger) {
	translated := func() contracts.Change {
		e, d := everything(1).Entries[0], delivery(1, "hus", contracts.StateTranslated)
		e.State, e.Fault, d.Fault = contracts.StateTranslated, nil, nil
		return contracts.Change{Received: start, Entries: []contracts.Entry{e}, Deliveries: []contracts.Delivery{d}}
	}
	for what, breakIt := range map[string]func(*contracts.Change){
		"entry":            func(c *contracts.Change) { c.Entries[0].ID, c.Deliveries[0].Message = "", "" },
		"delivery":         func(c *contracts.Change) { c.Deliveries[0].ID = "" },
		"delivery of none": func(c *contracts.Change) { c.Entries, c.Deliveries[0].Message = nil, "" },
		"sending": func(c *contracts.Change) {
			c.Entries, c.Deliveries[0].ID, c.Deliveries[0].State = nil, "", contracts.StateSending
		},
		"sending of none": func(c *contracts.Change) {
			c.Entries, c.Deliveries[0].Message, c.Deliveries[0].State = nil, "", contracts.StateSending
		},
		"step": func(c *contracts.Change) { c.Steps = []contracts.Step{{Step: contracts.StepTranslated}} },
		"identifier": func(c *contracts.Change) {
			c.Identifiers = []contracts.Identifier{{Partner: "hus", Message: incoming(1)}}
		},
		"journey": func(c *contracts.Change) { c.Journeys = []contracts.Journey{{State: "accepted"}} },
		"body":    func(c *contracts.Change) { c.Bodies = []contracts.StoredBody{{}} },
	} {
		c := translated()
		breakIt(&c)
		if err := l.Apply(t.Context(), c); contracts.KindOf(err) != contracts.Internal {
			t.Errorf("%s without what it is known by: got %v, want a fault of kind internal", what, err)
		}
	}
	twice := translated()
	twice.Deliveries = append(twice.Deliveries, twice.Deliveries[0])
	twice.Deliveries[1].Digest = "other bytes"
	refuse(t, l, twice, "digest")
	nothing(t, l, 1)
	if err := l.Health(t.Context()); err != nil {
		t.Errorf("afterwards its health is %v", err)
	}
	apply(t, l, translated())
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

// A person's stop is told of the attempt that it looked at, and outlives a translation that was under way.
func stopIsFenced(t *testing.T, l hub.Ledger) {
	e := contracts.Entry{ID: "stop-1", Partner: "apotti", State: contracts.StateReceived, Received: start}
	d := contracts.Delivery{ID: "stop-1-out", Message: e.ID, Partner: "hus", Digest: "d", State: contracts.StateSending, Attempts: 2}
	apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}, Deliveries: []contracts.Delivery{d}})
	d.State, d.Attempts = contracts.StateStopped, 1
	refuse(t, l, contracts.Change{Received: start, Deliveries: []contracts.Delivery{d}}, "attempt")
	d.Attempts = 2
	apply(t, l, contracts.Change{Received: start, Deliveries: []contracts.Delivery{d}})
	e.State = contracts.StateStopped
	apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}})
	for _, late := range []contracts.State{contracts.StateTranslated, contracts.StateWaiting, contracts.StateParked} {
		e.State = late
		refuse(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}}, "stopped")
	}
	e.State = contracts.StateReceived // a person sends it again
	apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}})
	e.State = contracts.StateTranslated
	apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}})
}

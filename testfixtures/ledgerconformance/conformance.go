// Package ledgerconformance says, as tests, what a hub.Ledger does. Every ledger passes Run; one that outlives its
// process passes RunDurable too.
package ledgerconformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// Run tests the ledgers that open gives. Each is empty and used by one test; open closes it by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) hub.Ledger) {
	for _, group := range [][]test{rowTests, progressTests, refusalTests, keyTests, lookTests, listTests, keepTests, concurrentTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
		}
	}
}

type test struct {
	name string
	run  func(*testing.T, hub.Ledger)
}

// start is when the invented messages of these tests came in.
var start = time.Date(2026, 9, 15, 8, 0, 0, 123456000, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// incoming gives the ids of an invented message.
func incoming(n int) contracts.ID {
	return contracts.IncomingID("apotti", "APOTTI", "HUS", control(n), "")
}
func control(n int) string { return fmt.Sprintf("C%05d", n) }
func outgoing(n int, to string) contracts.ID {
	return contracts.OutgoingID(incoming(n), to, "", 0)
}

// entry gives a message that was received n seconds after start.
func entry(n int) contracts.Entry {
	return contracts.Entry{ID: incoming(n), Partner: "apotti", Control: control(n), Type: "REF^I12",
		Received: after(time.Duration(n) * time.Second), State: contracts.StateReceived}
}

func delivery(n int, to string, state contracts.State) contracts.Delivery {
	return contracts.Delivery{ID: outgoing(n, to), Message: incoming(n), Partner: to, Control: outgoing(n, to).Control(), Digest: "d1", State: state}
}

func step(n int, kind string, at time.Time) contracts.Step {
	return contracts.Step{ID: contracts.StepID(incoming(n), kind, "", 0), At: at, Message: incoming(n), Step: kind, Other: incoming(n + 100)}
}

func fault(kind contracts.Kind, at string) *contracts.Fault {
	return contracts.Faultf(kind, "TST-001", at, "An invented fault.")
}

func apply(t *testing.T, l hub.Ledger, c contracts.Change) {
	t.Helper()
	if err := l.Apply(t.Context(), c); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// refuse applies c and wants a fault of kind conflict at a place.
func refuse(t *testing.T, l hub.Ledger, c contracts.Change, at string) {
	t.Helper()
	err := l.Apply(t.Context(), c)
	if contracts.KindOf(err) != contracts.Conflict {
		t.Fatalf("apply gives %v, want a fault of kind conflict", err)
	}
	if got := contracts.FaultsOf(err)[0].At; got != at {
		t.Fatalf("the conflict is at %q, want %q", got, at)
	}
}

// must gives a call's value and ends the test on its error.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// missing wants a fault of kind notfound.
func missing[T any](t *testing.T, what string, _ T, err error) {
	t.Helper()
	if contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("%s: got %v, want a fault of kind notfound", what, err)
	}
}

// equal compares by value; a fault by what its JSON holds, because that is what a ledger keeps.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func ids(rows []contracts.Row) []contracts.ID {
	out := []contracts.ID{}
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return out
}

func kinds(steps []contracts.Step) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, s.Step)
	}
	return out
}

// nothing checks that a ledger knows nothing of message n: no row of any kind.
func nothing(t *testing.T, l hub.Ledger, n int) {
	t.Helper()
	ctx := context.Background()
	e, err := l.Entry(ctx, incoming(n))
	missing(t, "entry", e, err)
	d, err := l.Delivery(ctx, outgoing(n, "hus"))
	missing(t, "delivery", d, err)
	j, err := l.Journey(ctx, contracts.JourneyID(incoming(n)))
	missing(t, "journey", j, err)
	b, err := l.Body(ctx, contracts.Digest(control(n)))
	missing(t, "body", b, err)
	if ss := must(l.MessageSteps(ctx, incoming(n)))(t); len(ss) != 0 {
		t.Errorf("there are %d steps, want none", len(ss))
	}
	if is := must(l.Lookup(ctx, "", "", control(n)))(t); len(is) != 0 {
		t.Errorf("there are %d identifiers, want none", len(is))
	}
	if k := must(l.Key(ctx, contracts.KeyRef{Topic: contracts.TopicIn, Key: contracts.Key(control(n))}))(t); k.Condition != contracts.KeyLive {
		t.Errorf("the key is %s, want live", k.Condition)
	}
}

// everything is a change with a row of each kind for message n.
func everything(n int) contracts.Change {
	e := entry(n)
	e.Journey = contracts.JourneyID(e.ID)
	ref := contracts.KeyRef{Topic: contracts.TopicIn, Key: contracts.Key(control(n))}
	return contracts.Change{
		Entries:     []contracts.Entry{e},
		Deliveries:  []contracts.Delivery{delivery(n, "hus", contracts.StateTranslated)},
		Steps:       []contracts.Step{step(n, contracts.StepReceived, e.Received)},
		Identifiers: []contracts.Identifier{{Partner: "apotti", Kind: contracts.IDControl, Value: e.Control, Message: e.ID, Journey: e.Journey}},
		Journeys:    []contracts.Journey{{ID: e.Journey, State: "requested", Started: e.Received, Updated: e.Received}},
		Bodies:      []contracts.StoredBody{{Digest: contracts.Digest(e.Control), Body: contracts.NewBody([]byte("canonical"))}},
		Keys:        []contracts.KeyState{{KeyRef: ref, Condition: contracts.KeySpilled, Since: e.Received, Message: e.ID}},
		Wait:        []contracts.Waiting{{KeyRef: ref, Message: e.ID, Since: e.Received, Due: e.Received}},
	}
}

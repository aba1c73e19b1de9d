package ledgerconformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var listTests = []test{
	{"rows come newest first, 200 unless more are asked for", listNewest},
	{"rows are chosen by state, partner, type, time, and all together", listFilters},
	{"a row shows what the ledger knows", rowShows},
	{"a row without deliveries shows its own state", rowOwnState},
	{"a row shows the least advanced of its deliveries", rowLeastAdvanced},
	{"a list by state follows each delivery", listFollows},
}

func listNewest(t *testing.T, l hub.Ledger) {
	c := contracts.Change{}
	for n := range 230 {
		c.Entries = append(c.Entries, entry((n*7)%230))
	}
	apply(t, l, c)
	rows := must(l.List(t.Context(), contracts.Filter{}))(t)
	equal(t, "rows", len(rows), 200)
	for i, r := range rows {
		if r.ID != incoming(229-i) {
			t.Fatalf("row %d isn't the message received %d seconds after the first", i, 229-i)
		}
	}
	equal(t, "three rows", ids(must(l.List(t.Context(), contracts.Filter{Limit: 3}))(t)), []contracts.ID{incoming(229), incoming(228), incoming(227)})
	equal(t, "all rows", len(must(l.List(t.Context(), contracts.Filter{Limit: 1000}))(t)), 230)
}

func listFilters(t *testing.T, l hub.Ledger) {
	one, two, three := entry(1), entry(2), entry(3)
	two.Partner, two.Type, two.State = "hus", "RRI^I12", contracts.StateParked
	three.Type, three.State = "SIU^S12", contracts.StateParked
	apply(t, l, contracts.Change{Entries: []contracts.Entry{one, two, three}, Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateDelivered)}})
	for what, c := range map[string]struct {
		f    contracts.Filter
		want []contracts.ID
	}{
		"all":              {contracts.Filter{}, []contracts.ID{incoming(3), incoming(2), incoming(1)}},
		"parked":           {contracts.Filter{State: contracts.StateParked}, []contracts.ID{incoming(3), incoming(2)}},
		"received":         {contracts.Filter{State: contracts.StateReceived}, []contracts.ID{}},
		"from or to hus":   {contracts.Filter{Partner: "hus"}, []contracts.ID{incoming(2), incoming(1)}},
		"from apotti":      {contracts.Filter{Partner: "apotti"}, []contracts.ID{incoming(3), incoming(1)}},
		"of a type":        {contracts.Filter{Type: "RRI^I12"}, []contracts.ID{incoming(2)}},
		"since":            {contracts.Filter{Since: after(2 * time.Second)}, []contracts.ID{incoming(3), incoming(2)}},
		"since just after": {contracts.Filter{Since: after(2*time.Second + time.Microsecond)}, []contracts.ID{incoming(3)}},
		"together":         {contracts.Filter{State: contracts.StateParked, Partner: "apotti", Type: "SIU^S12", Since: start, Limit: 5}, []contracts.ID{incoming(3)}},
		"nothing":          {contracts.Filter{Partner: "terho"}, []contracts.ID{}},
	} {
		equal(t, what, ids(must(l.List(t.Context(), c.f))(t)), c.want)
	}
}

func rowShows(t *testing.T, l hub.Ledger) {
	e := entry(1)
	e.Journey, e.Cause, e.Map, e.State = contracts.JourneyID(incoming(1)), incoming(2), "ref-i12@0.1.0", contracts.StateTranslated
	hus, terho := delivery(1, "hus", contracts.StateDelivered), delivery(1, "terho", contracts.StateParked)
	terho.Fault = fault(contracts.Refused, "MSA-1")
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}, Deliveries: []contracts.Delivery{terho, hus}})
	want := contracts.Row{ID: e.ID, Control: e.Control, From: "apotti", To: []string{"terho", "hus"}, Type: e.Type, Journey: e.Journey,
		State: contracts.StateParked, At: e.Received, Map: e.Map, Cause: e.Cause, Fault: terho.Fault}
	equal(t, "row", must(l.List(t.Context(), contracts.Filter{}))(t), []contracts.Row{want})
	equal(t, "row that is found", must(l.Find(t.Context(), e.Control))(t), []contracts.Row{want})
}

func rowOwnState(t *testing.T, l hub.Ledger) {
	states := []contracts.State{contracts.StateReceived, contracts.StateTranslated, contracts.StateWaiting, contracts.StateParked, contracts.StateRefused, contracts.StateStopped}
	for n, state := range states {
		e := entry(n)
		e.State = state
		apply(t, l, contracts.Change{Entries: []contracts.Entry{e}})
		rows := must(l.List(t.Context(), contracts.Filter{State: state}))(t)
		equal(t, "rows that are "+string(state), ids(rows), []contracts.ID{e.ID})
		if rows[0].To == nil || len(rows[0].To) != 0 {
			t.Errorf("a row for nobody names %v, want an empty list", rows[0].To)
		}
	}
}

// leastFirst is the order of states: those that need a person, those on their way, delivered, and stopped last, because
// a message that was stopped for one receiver is as far as the others have got.
var leastFirst = []contracts.State{contracts.StateParked, contracts.StateRefused, contracts.StateWaiting, contracts.StateReceived,
	contracts.StateTranslated, contracts.StateSending, contracts.StateDelivered, contracts.StateStopped}

func rowLeastAdvanced(t *testing.T, l hub.Ledger) {
	n := 0
	for i, less := range leastFirst {
		for _, more := range leastFirst[i:] {
			n++
			apply(t, l, contracts.Change{Entries: []contracts.Entry{entry(n)},
				Deliveries: []contracts.Delivery{delivery(n, "hus", more), delivery(n, "terho", less), delivery(n, "omaolo", more)}})
			got := must(l.Find(t.Context(), string(incoming(n))))(t)[0].State
			equal(t, fmt.Sprintf("state of %s with %s", less, more), got, less)
		}
	}
}

func listFollows(t *testing.T, l hub.Ledger) {
	states := func(want contracts.State) {
		t.Helper()
		for _, state := range leastFirst {
			wantRows := []contracts.ID{}
			if state == want {
				wantRows = append(wantRows, incoming(1))
			}
			equal(t, "rows that are "+string(state), ids(must(l.List(t.Context(), contracts.Filter{State: state}))(t)), wantRows)
		}
	}
	apply(t, l, contracts.Change{Entries: []contracts.Entry{entry(1)}})
	states(contracts.StateReceived)
	apply(t, l, contracts.Change{Entries: []contracts.Entry{{ID: incoming(1), State: contracts.StateTranslated}},
		Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateTranslated), delivery(1, "terho", contracts.StateTranslated)}})
	states(contracts.StateTranslated)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateDelivered)}})
	states(contracts.StateTranslated)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(1, "terho", contracts.StateParked)}})
	states(contracts.StateParked)
	apply(t, l, contracts.Change{Entries: []contracts.Entry{{ID: incoming(1), Event: "e1"}}})
	states(contracts.StateParked)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(1, "terho", contracts.StateStopped)}})
	states(contracts.StateDelivered)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(2, "hus", contracts.StateSending)}})
	apply(t, l, contracts.Change{Entries: []contracts.Entry{entry(2)}})
	equal(t, "a message written behind its delivery", ids(must(l.List(t.Context(), contracts.Filter{State: contracts.StateSending}))(t)), []contracts.ID{incoming(2)})
}

package ledgerconformance

import (
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var progressTests = []test{
	{"of an entry's facts the first write wins", factsFirst},
	{"an entry's progress follows the latest write", progressLatest},
	{"an empty later value wipes nothing", emptyWipesNothing},
	{"what isn't known yet can be written later", unknownLater},
	{"a fault goes when its state is overcome", faultOvercome},
	{"a delivery follows its attempts and keeps its bytes", deliveryFollows},
	{"a delivery that is under way isn't set back by translating again", translatedAgain},
	{"a stopped delivery moves on only when the partner took it after all", stoppedStays},
	{"applying a change twice leaves what applying it once does", appliedTwice},
}

func factsFirst(t *testing.T, l hub.Ledger) {
	first := entry(1)
	first.Journey, first.Origin = contracts.JourneyID(incoming(1)), incoming(7)
	first.Place = contracts.Place{Topic: contracts.TopicIn, Partition: 3, Offset: 5}
	apply(t, l, contracts.Change{Entries: []contracts.Entry{first}})
	second := contracts.Entry{ID: first.ID, Partner: "hus", Control: "other", Type: "RRI^I12", Received: after(time.Hour),
		Journey: contracts.JourneyID(incoming(2)), Origin: incoming(8), Place: contracts.Place{Topic: contracts.TopicDead, Partition: 0, Offset: 9},
		State: contracts.StateReceived}
	apply(t, l, contracts.Change{Entries: []contracts.Entry{second}})
	equal(t, "entry", must(l.Entry(t.Context(), first.ID))(t), first)
}

func progressLatest(t *testing.T, l hub.Ledger) {
	e := entry(1)
	e.Map, e.Canonical, e.Event, e.State, e.Fault = "ref-i12@0.1.0", "c1", "e1", contracts.StateParked, fault(contracts.Unmapped, "RF1-1")
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}})
	e.Map, e.Canonical, e.Event, e.State, e.Fault = "ref-i12@0.2.0", "c2", "e2", contracts.StateWaiting, fault(contracts.NotFound, "MSA-2")
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}})
	equal(t, "entry", must(l.Entry(t.Context(), e.ID))(t), e)
}

func emptyWipesNothing(t *testing.T, l hub.Ledger) {
	e := everything(1).Entries[0]
	e.Map, e.Canonical, e.Event, e.State, e.Fault = "ref-i12@0.1.0", "c1", "e1", contracts.StateParked, fault(contracts.Unmapped, "RF1-1")
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}})
	apply(t, l, contracts.Change{Entries: []contracts.Entry{{ID: e.ID}}})
	equal(t, "entry", must(l.Entry(t.Context(), e.ID))(t), e)

	d := delivery(1, "hus", contracts.StateSending)
	d.Attempts, d.Unknown, d.Answer, d.Fault = 2, true, "503", fault(contracts.Unavailable, "")
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{d}})
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{{ID: d.ID, Message: d.Message}}})
	equal(t, "delivery", must(l.Delivery(t.Context(), d.ID))(t), d)
}

func unknownLater(t *testing.T, l hub.Ledger) {
	e := entry(1)
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}, Identifiers: []contracts.Identifier{
		{Partner: "apotti", Kind: contracts.IDPlacer, Value: "L1", Message: e.ID}}})
	e.Journey = contracts.JourneyID(e.ID)
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}, Identifiers: []contracts.Identifier{
		{Partner: "apotti", Kind: contracts.IDPlacer, Value: "L1", Message: e.ID, Journey: e.Journey}}})
	equal(t, "entry", must(l.Entry(t.Context(), e.ID))(t), e)
	equal(t, "identifiers", must(l.Identifiers(t.Context(), e.Journey))(t),
		[]contracts.Identifier{{Partner: "apotti", Kind: contracts.IDPlacer, Value: "L1", Message: e.ID, Journey: e.Journey}})
	equal(t, "lookup", len(must(l.Lookup(t.Context(), "", "", "L1"))(t)), 1)
}

func faultOvercome(t *testing.T, l hub.Ledger) {
	e, d := entry(1), delivery(1, "hus", contracts.StateParked)
	e.State, e.Fault, d.Fault = contracts.StateParked, fault(contracts.Unmapped, "RF1-1"), fault(contracts.Refused, "MSA-1")
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}, Deliveries: []contracts.Delivery{d}})
	for attempt, state := range []contracts.State{contracts.StateWaiting, contracts.StateSending, contracts.StateStopped} {
		of := state
		if of == contracts.StateStopped {
			of = contracts.StateReceived // a message that a person stopped goes no further
		}
		apply(t, l, contracts.Change{Entries: []contracts.Entry{{ID: e.ID, State: of}}, Deliveries: []contracts.Delivery{{ID: d.ID, Message: e.ID, State: state, Attempts: attempt}}})
		equal(t, "an entry's fault when "+string(state), must(l.Entry(t.Context(), e.ID))(t).Fault, e.Fault)
		if state == contracts.StateSending {
			d.Fault = nil // an attempt begins without the fault of the one before
		}
		equal(t, "a delivery's fault when "+string(state), must(l.Delivery(t.Context(), d.ID))(t).Fault, d.Fault)
	}
	apply(t, l, contracts.Change{Entries: []contracts.Entry{{ID: e.ID, State: contracts.StateTranslated}},
		Deliveries: []contracts.Delivery{{ID: d.ID, Message: e.ID, State: contracts.StateDelivered}}})
	if f := must(l.Entry(t.Context(), e.ID))(t).Fault; f != nil {
		t.Errorf("an entry that was translated still has its fault")
	}
	if f := must(l.Delivery(t.Context(), d.ID))(t).Fault; f != nil {
		t.Errorf("a delivery that was delivered still has its fault")
	}
}

func deliveryFollows(t *testing.T, l hub.Ledger) {
	d := delivery(1, "hus", contracts.StateTranslated)
	d.Key, d.Map, d.Type = "k1", "ref-i12@0.1.0", "referral-request"
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{d}})
	d.State, d.Attempts, d.Unknown = contracts.StateSending, 1, true
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{{ID: d.ID, Message: d.Message, State: d.State, Attempts: 1, Unknown: true}}})
	equal(t, "delivery that is sent", must(l.Delivery(t.Context(), d.ID))(t), d)
	d.State, d.Attempts, d.Unknown, d.Answer = contracts.StateDelivered, 2, false, "200"
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{{ID: d.ID, Message: d.Message, Digest: d.Digest, State: d.State, Attempts: 2, Answer: "200"}}})
	equal(t, "delivery that is delivered", must(l.Delivery(t.Context(), d.ID))(t), d)
}

func translatedAgain(t *testing.T, l hub.Ledger) {
	for n, state := range leastFirst {
		d := delivery(n, "hus", state)
		d.Attempts, d.Unknown, d.Answer, d.Fault = 3, true, "503", fault(contracts.Unavailable, "")
		apply(t, l, contracts.Change{Entries: []contracts.Entry{entry(n)}, Deliveries: []contracts.Delivery{d}})
		again := delivery(n, "hus", contracts.StateTranslated)
		again.Answer, again.Attempts, again.Fault = "200", 1, fault(contracts.Refused, "MSA-1")
		apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{again}})
		equal(t, "delivery that is "+string(state), must(l.Delivery(t.Context(), d.ID))(t), d)
		equal(t, "the state that its row shows", must(l.Find(t.Context(), string(incoming(n))))(t)[0].State, state)
		again.Digest = "d2"
		refuse(t, l, contracts.Change{Deliveries: []contracts.Delivery{again}}, "digest")
	}
}

func stoppedStays(t *testing.T, l hub.Ledger) {
	d := delivery(1, "hus", contracts.StateStopped)
	d.Attempts = 1
	apply(t, l, contracts.Change{Entries: []contracts.Entry{entry(1)}, Deliveries: []contracts.Delivery{d}})
	for _, state := range []contracts.State{contracts.StateWaiting, contracts.StateParked} {
		apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{{ID: d.ID, Message: d.Message, State: state, Attempts: 1, Unknown: true}}})
		equal(t, "a stopped delivery after an attempt that is "+string(state), must(l.Delivery(t.Context(), d.ID))(t), d)
	}
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{{ID: d.ID, Message: d.Message, State: contracts.StateDelivered, Attempts: 1, Answer: "200"}}})
	d.State, d.Answer = contracts.StateDelivered, "200"
	equal(t, "a stopped delivery that the partner took", must(l.Delivery(t.Context(), d.ID))(t), d)
	equal(t, "the state that its row shows", must(l.Find(t.Context(), string(incoming(1))))(t)[0].State, contracts.StateDelivered)
}

func appliedTwice(t *testing.T, l hub.Ledger) {
	c := everything(1)
	c.Entries = append(c.Entries, c.Entries[0])
	c.Deliveries = append(c.Deliveries, c.Deliveries[0])
	c.Identifiers = append(c.Identifiers, c.Identifiers[0])
	look := func() []any {
		journey := c.Entries[0].Journey
		return []any{must(l.Entry(t.Context(), incoming(1)))(t), must(l.Deliveries(t.Context(), incoming(1)))(t), must(l.JourneySteps(t.Context(), journey))(t),
			must(l.Identifiers(t.Context(), journey))(t), must(l.Journey(t.Context(), journey))(t), must(l.Key(t.Context(), c.Keys[0].KeyRef))(t),
			must(l.Behind(t.Context(), c.Keys[0].KeyRef))(t), must(l.List(t.Context(), contracts.Filter{}))(t)}
	}
	apply(t, l, c)
	once := look()
	apply(t, l, c)
	equal(t, "after the second time", look(), once)
	equal(t, "rows", len(must(l.List(t.Context(), contracts.Filter{}))(t)), 1)
	equal(t, "waiting", len(must(l.Behind(t.Context(), c.Keys[0].KeyRef))(t)), 1)
	equal(t, "steps", len(must(l.MessageSteps(t.Context(), incoming(1)))(t)), 1)
}

package ledgerconformance

import (
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var rowTests = []test{
	{"an entry comes back as it was written", entryComesBack},
	{"a delivery comes back as it was written", deliveryComesBack},
	{"a journey keeps its start and the state of its latest update", journeyFollows},
	{"a step comes back as it was written and is kept once", stepComesBack},
	{"bodies come back byte for byte and are kept once", bodiesComeBack},
	{"a row that isn't there is a fault of kind notfound", rowsMissing},
	{"deliveries come in the order of receivers", deliveriesInOrder},
	{"the first value fixed under a name holds", firstFixHolds},
	{"health is nil when changes are taken", healthIsNil},
	{"a fault tells no value", faultsTellNothing},
}

func entryComesBack(t *testing.T, l hub.Ledger) {
	want := contracts.Entry{ID: incoming(1), Partner: "apotti", Format: contracts.FormatV2, Control: "C 1^&ä", Type: "REF^I12", Version: "2.5.1",
		Application: "APOTTI", Facility: "HUS", Key: "k1", Received: start, Journey: contracts.JourneyID(incoming(1)), Origin: incoming(2),
		Event: "referral-request", Cause: incoming(3), State: contracts.StateParked, Map: "ref-i12@0.1.0", Canonical: "c1", Digest: "d1",
		Fault: fault(contracts.Unmapped, "PID-3(1).4"), Place: contracts.Place{Topic: contracts.TopicIn, Partition: 2, Offset: 1 << 40}}
	apply(t, l, contracts.Change{Entries: []contracts.Entry{want}})
	equal(t, "entry", must(l.Entry(t.Context(), want.ID))(t), want)
}

func deliveryComesBack(t *testing.T, l hub.Ledger) {
	want := contracts.Delivery{ID: outgoing(1, "hus"), Message: incoming(1), Journey: contracts.JourneyID(incoming(1)), Partner: "hus", Route: "hus",
		Generation: 2, Control: "OUT1", Type: "referral-request", Format: contracts.FormatFHIR, Map: "ref-i12@0.1.0", Key: "k1", Digest: "d1",
		State: contracts.StateSending, Attempts: 3, Unknown: true, Answer: "503", Fault: fault(contracts.Unavailable, ""),
		Place: contracts.Place{Topic: contracts.OutTopic("hus"), Partition: 1, Offset: 7}}
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{want}})
	equal(t, "delivery", must(l.Delivery(t.Context(), want.ID))(t), want)
}

func journeyFollows(t *testing.T, l hub.Ledger) {
	id := contracts.JourneyID(incoming(1))
	apply(t, l, contracts.Change{Journeys: []contracts.Journey{{ID: id, State: "requested", Started: start, Updated: start}}})
	apply(t, l, contracts.Change{Journeys: []contracts.Journey{{ID: id, State: "accepted", Started: after(time.Hour), Updated: after(time.Hour)}}})
	equal(t, "journey", must(l.Journey(t.Context(), id))(t), contracts.Journey{ID: id, State: "accepted", Started: start, Updated: after(time.Hour)})
	apply(t, l, contracts.Change{Journeys: []contracts.Journey{{ID: id, State: "requested", Started: start, Updated: after(time.Minute)}}})
	equal(t, "journey after an older write", must(l.Journey(t.Context(), id))(t), contracts.Journey{ID: id, State: "accepted", Started: start, Updated: after(time.Hour)})
	apply(t, l, contracts.Change{Journeys: []contracts.Journey{{ID: id, Updated: after(2 * time.Hour)}}})
	equal(t, "journey without a new state", must(l.Journey(t.Context(), id))(t),
		contracts.Journey{ID: id, State: "accepted", Started: start, Updated: after(2 * time.Hour)})
	apply(t, l, contracts.Change{Journeys: []contracts.Journey{{ID: id, State: "requested", Started: start, Updated: after(time.Hour)}}})
	equal(t, "journey after an older update", must(l.Journey(t.Context(), id))(t),
		contracts.Journey{ID: id, State: "accepted", Started: start, Updated: after(2 * time.Hour)})
	apply(t, l, contracts.Change{Journeys: []contracts.Journey{{ID: id, State: "booked", Updated: after(2 * time.Hour)}}})
	equal(t, "journey after an update of the same instant", must(l.Journey(t.Context(), id))(t).State, "booked")
}

func stepComesBack(t *testing.T, l hub.Ledger) {
	loss := fault(contracts.Loss, "PV1-7")
	loss.Grade = contracts.GradeNote
	want := contracts.Step{ID: contracts.StepID(incoming(1), contracts.StepTranslated, "hus", 0), At: start, Journey: contracts.JourneyID(incoming(1)),
		Message: incoming(1), Control: "C1", Type: "REF^I12", Step: contracts.StepTranslated, From: "apotti", To: "hus", Map: "ref-i12@0.1.0",
		Attempt: 2, Answer: "AA", Digest: "d1", Fault: fault(contracts.Refused, "MSA-1"), Losses: contracts.Faults{loss}, Reason: "asked for by the ward"}
	apply(t, l, contracts.Change{Steps: []contracts.Step{want}})
	again := want
	again.At, again.Answer = after(time.Hour), "AE"
	apply(t, l, contracts.Change{Steps: []contracts.Step{again, again}})
	equal(t, "steps", must(l.MessageSteps(t.Context(), incoming(1)))(t), []contracts.Step{want})
}

func bodiesComeBack(t *testing.T, l hub.Ledger) {
	bodies := []contracts.StoredBody{
		{Digest: "small", Body: contracts.NewBody([]byte("{}"))},
		{Digest: "binary", Body: contracts.NewBody([]byte{0, 0xff, 0, 0x0d, 0xe4})},
		{Digest: "empty", Body: contracts.NewBody(nil)},
		{Digest: "large", Body: contracts.NewBody([]byte(strings.Repeat("a canonical Bundle, again and again ", 100_000)))},
	}
	apply(t, l, contracts.Change{Bodies: bodies})
	apply(t, l, contracts.Change{Bodies: []contracts.StoredBody{{Digest: "small", Body: contracts.NewBody([]byte("{\"other\":1}"))}}})
	for _, b := range bodies {
		if got := must(l.Body(t.Context(), b.Digest))(t); !got.Equal(b.Body) {
			t.Errorf("the %s body comes back as %v, want %v of the same content", b.Digest, got, b.Body)
		}
	}
}

func rowsMissing(t *testing.T, l hub.Ledger) {
	nothing(t, l, 1)
	if ds := must(l.Deliveries(t.Context(), incoming(1)))(t); len(ds) != 0 {
		t.Errorf("there are %d deliveries of an unknown message", len(ds))
	}
	if rows := must(l.Find(t.Context(), string(incoming(1))))(t); len(rows) != 0 {
		t.Errorf("there are %d rows of an unknown id", len(rows))
	}
}

func deliveriesInOrder(t *testing.T, l hub.Ledger) {
	c := contracts.Change{}
	to := []string{"terho", "hus", "omaolo"}
	for _, partner := range to {
		c.Deliveries = append(c.Deliveries, delivery(1, partner, contracts.StateTranslated))
	}
	apply(t, l, c)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(1, "omaolo", contracts.StateDelivered)}})
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{delivery(2, "hus", contracts.StateDelivered)}})
	var got []string
	for _, d := range must(l.Deliveries(t.Context(), incoming(1)))(t) {
		got = append(got, d.Partner)
	}
	equal(t, "receivers", got, to)
}

func firstFixHolds(t *testing.T, l hub.Ledger) {
	for _, value := range []string{"first", "second", "first"} {
		equal(t, "fixed value", must(l.Fix(t.Context(), "secret", value))(t), "first")
	}
	equal(t, "another name's value", must(l.Fix(t.Context(), "map:ref-i12@0.1.0", "other"))(t), "other")
}

func healthIsNil(t *testing.T, l hub.Ledger) {
	for range 2 {
		if err := l.Health(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func faultsTellNothing(t *testing.T, l hub.Ledger) {
	const canary = "canary-of-a-patient"
	_, err := l.Entry(t.Context(), canary)
	_, err2 := l.Body(t.Context(), canary)
	d := delivery(1, "hus", contracts.StateSending)
	apply(t, l, contracts.Change{Deliveries: []contracts.Delivery{d}})
	d.Digest, d.Control = "d2", canary
	for _, err := range []error{err, err2, l.Apply(t.Context(), contracts.Change{Deliveries: []contracts.Delivery{d}})} {
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Error("a fault is missing, or holds the value that it is about")
		}
	}
}

package ledgerconformance

import (
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var lookTests = []test{
	{"an identifier is found by its value alone, by partner, by kind", lookup},
	{"a value that names several journeys gives them all", lookupSeveral},
	{"a journey's identifiers are its own", journeyIdentifiers},
	{"a message's steps include its deliveries', oldest first", messageSteps},
	{"a journey's steps include those from before it was known", journeySteps},
	{"steps of one instant come in the order in which they were written", stepsOfOneInstant},
	{"a journey's messages come oldest first", journeyEntries},
	{"a message is found by every id that names it", findByAny},
	{"a journey's id finds all its messages, newest first", findJourney},
}

func identifier(partner, kind, value string, n, journey int) contracts.Identifier {
	return contracts.Identifier{Partner: partner, Kind: kind, Value: value, Message: incoming(n), Journey: contracts.JourneyID(incoming(journey))}
}

func lookup(t *testing.T, l hub.Ledger) {
	placer := identifier("apotti", contracts.IDPlacer, "L-1 %_'ä", 1, 1)
	filler := identifier("hus", contracts.IDFiller, placer.Value, 2, 1)
	own := identifier("hus", contracts.IDControl, placer.Value, 2, 1)
	other := identifier("apotti", contracts.IDPlacer, "L-2", 3, 3)
	apply(t, l, contracts.Change{Identifiers: []contracts.Identifier{filler, other, own, placer}})
	for _, c := range []struct {
		partner, kind, value string
		want                 []contracts.Identifier
	}{
		{"", "", placer.Value, []contracts.Identifier{placer, own, filler}},
		{"hus", "", placer.Value, []contracts.Identifier{own, filler}},
		{"", contracts.IDFiller, placer.Value, []contracts.Identifier{filler}},
		{"apotti", contracts.IDPlacer, placer.Value, []contracts.Identifier{placer}},
		{"apotti", contracts.IDFiller, placer.Value, nil},
		{"", "", "l-1 %_'ä", nil},
		{"", "", "L-1%", nil},
		{"", "", "", nil},
	} {
		equal(t, "lookup by "+c.partner+" "+c.kind, must(l.Lookup(t.Context(), c.partner, c.kind, c.value))(t), c.want)
	}
}

func lookupSeveral(t *testing.T, l hub.Ledger) {
	apply(t, l, contracts.Change{Identifiers: []contracts.Identifier{
		identifier("apotti", contracts.IDPlacer, "L-1", 1, 1), identifier("apotti", contracts.IDPlacer, "L-1", 2, 2), identifier("apotti", contracts.IDPlacer, "L-1", 3, 1)}})
	seen := map[contracts.ID]int{}
	for _, i := range must(l.Lookup(t.Context(), "apotti", contracts.IDPlacer, "L-1"))(t) {
		seen[i.Journey]++
	}
	equal(t, "journeys", seen, map[contracts.ID]int{contracts.JourneyID(incoming(1)): 2, contracts.JourneyID(incoming(2)): 1})
}

func journeyIdentifiers(t *testing.T, l hub.Ledger) {
	placer, filler := identifier("apotti", contracts.IDPlacer, "L-1", 1, 1), identifier("hus", contracts.IDFiller, "F-1", 2, 1)
	alone := contracts.Identifier{Partner: "hus", Kind: contracts.IDResource, Value: "Task/1", Journey: placer.Journey}
	apply(t, l, contracts.Change{Identifiers: []contracts.Identifier{filler, identifier("hus", contracts.IDFiller, "F-2", 3, 3), placer, alone}})
	equal(t, "identifiers", must(l.Identifiers(t.Context(), placer.Journey))(t), []contracts.Identifier{placer, filler, alone})
	equal(t, "identifiers of no journey", len(must(l.Identifiers(t.Context(), ""))(t)), 0)
}

func messageSteps(t *testing.T, l hub.Ledger) {
	sent := contracts.Step{ID: contracts.StepID(outgoing(1, "hus"), contracts.StepSending, "hus", 1), At: after(2 * time.Second), Message: outgoing(1, "hus"), Step: contracts.StepSending}
	apply(t, l, contracts.Change{Steps: []contracts.Step{sent, step(1, contracts.StepTranslated, after(time.Second)), step(2, contracts.StepParked, after(time.Second))},
		Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateSending)}})
	apply(t, l, contracts.Change{Steps: []contracts.Step{step(1, contracts.StepReceived, start)}})
	equal(t, "steps", kinds(must(l.MessageSteps(t.Context(), incoming(1)))(t)), []string{contracts.StepReceived, contracts.StepTranslated, contracts.StepSending})
	equal(t, "steps of the delivery", kinds(must(l.MessageSteps(t.Context(), outgoing(1, "hus")))(t)), []string{contracts.StepSending})
}

func journeySteps(t *testing.T, l hub.Ledger) {
	journey := contracts.JourneyID(incoming(1))
	apply(t, l, contracts.Change{Entries: []contracts.Entry{entry(1), entry(2)},
		Steps: []contracts.Step{step(1, contracts.StepReceived, start), step(2, contracts.StepReceived, start)}})
	e := entry(1)
	e.Journey = journey
	translated := step(1, contracts.StepTranslated, after(time.Second))
	translated.Journey = journey
	sent := contracts.Step{ID: contracts.StepID(outgoing(1, "hus"), contracts.StepSending, "hus", 1), At: after(2 * time.Second), Message: outgoing(1, "hus"), Step: contracts.StepSending}
	other := step(2, contracts.StepTranslated, after(3*time.Second))
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e}, Steps: []contracts.Step{other, sent, translated},
		Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateSending)}})
	equal(t, "steps", kinds(must(l.JourneySteps(t.Context(), journey))(t)),
		[]string{contracts.StepReceived, contracts.StepTranslated, contracts.StepSending})
	equal(t, "steps of no journey", len(must(l.JourneySteps(t.Context(), ""))(t)), 0)
}

func stepsOfOneInstant(t *testing.T, l hub.Ledger) {
	want := []string{contracts.StepReceived, contracts.StepCorrelated, contracts.StepTranslated, contracts.StepSending, contracts.StepDelivered}
	for _, kind := range want[:2] {
		apply(t, l, contracts.Change{Steps: []contracts.Step{step(1, kind, start)}})
	}
	c := contracts.Change{}
	for _, kind := range want[2:] {
		c.Steps = append(c.Steps, step(1, kind, start))
	}
	apply(t, l, c)
	equal(t, "steps", kinds(must(l.MessageSteps(t.Context(), incoming(1)))(t)), want)
}

func journeyEntries(t *testing.T, l hub.Ledger) {
	c := contracts.Change{}
	for _, n := range []int{3, 1, 2, 4} {
		e := entry(n)
		if n != 4 {
			e.Journey = contracts.JourneyID(incoming(1))
		}
		c.Entries = append(c.Entries, e)
	}
	apply(t, l, c)
	got := []contracts.ID{}
	for _, e := range must(l.JourneyEntries(t.Context(), contracts.JourneyID(incoming(1))))(t) {
		got = append(got, e.ID)
	}
	equal(t, "messages", got, []contracts.ID{incoming(1), incoming(2), incoming(3)})
	equal(t, "messages of no journey", len(must(l.JourneyEntries(t.Context(), ""))(t)), 0)
}

func findByAny(t *testing.T, l hub.Ledger) {
	e := entry(1)
	e.Control, e.Journey = "C^1 ä%", contracts.JourneyID(incoming(1))
	apply(t, l, contracts.Change{Entries: []contracts.Entry{e, entry(2)}, Deliveries: []contracts.Delivery{delivery(1, "hus", contracts.StateDelivered), delivery(2, "hus", contracts.StateSending)},
		Identifiers: []contracts.Identifier{identifier("apotti", contracts.IDPlacer, "L-1", 1, 1), identifier("hus", contracts.IDFiller, "F-1", 1, 1),
			identifier("hus", contracts.IDControl, outgoing(1, "hus").Control(), 1, 1), identifier("hus", contracts.IDResource, "Task/1", 1, 1), {Partner: "hus", Kind: contracts.IDResource, Value: "Task/2", Journey: e.Journey}}})
	for what, id := range map[string]string{"its own id": string(e.ID), "its control id": e.Control, "its delivery's id": string(outgoing(1, "hus")),
		"its delivery's control id": outgoing(1, "hus").Control(), "a placer id": "L-1", "a filler id": "F-1", "a resource": "Task/1",
		"a name of its journey": "Task/2", "its journey": string(e.Journey)} {
		equal(t, "found by "+what, ids(must(l.Find(t.Context(), id))(t)), []contracts.ID{e.ID})
	}
	for what, id := range map[string]string{"nothing": "", "a pattern": "C%", "an unknown id": "L-2", "another case": "l-1"} {
		equal(t, "found by "+what, ids(must(l.Find(t.Context(), id))(t)), []contracts.ID{})
	}
}

func findJourney(t *testing.T, l hub.Ledger) {
	c := contracts.Change{}
	for n := 1; n <= 3; n++ {
		e := entry(n)
		e.Journey = contracts.JourneyID(incoming(1))
		c.Entries = append(c.Entries, e)
		c.Identifiers = append(c.Identifiers, identifier("apotti", contracts.IDPlacer, "L-1", n, 1))
	}
	apply(t, l, c)
	want := []contracts.ID{incoming(3), incoming(2), incoming(1)}
	equal(t, "by the journey's id", ids(must(l.Find(t.Context(), string(contracts.JourneyID(incoming(1)))))(t)), want)
	equal(t, "by the placer id", ids(must(l.Find(t.Context(), "L-1"))(t)), want)
}

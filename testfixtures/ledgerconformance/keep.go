package ledgerconformance

import (
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

var keepTests = []test{
	{"a partner's first pause holds until it is resumed", pausesHold},
	{"an activation holds as it was first written", activationsHold},
	{"a key is unsettled while an earlier message of it isn't delivered, refused or stopped", keyUnsettled},
	{"a message has one part in an issue, until that is closed", issuesOpen},
	{"an issue goes with its messages", issuesForgotten},
	{"the places of parked bytes are those of waiting messages", parkedPlaces},
	{"an old message that is settled is forgotten with all that belongs to it", settledForgotten},
	{"a message that isn't settled stays, and its journey's messages do", unsettledStay},
	{"a journey stays as long as one of its messages", journeyStays},
	{"a body stays as long as a message that stays has it", bodyStays},
	{"more old messages than one portion holds are all forgotten", manyForgotten},
}

func pausesHold(t *testing.T, l hub.Ledger) {
	hus := contracts.Pause{Partner: "hus", Since: start, Operator: "anna", Reason: "moves house"}
	apotti := contracts.Pause{Partner: "apotti", Since: after(time.Minute), Operator: "onni"}
	apply(t, l, contracts.Change{Pauses: []contracts.Pause{hus, apotti}})
	again := hus
	again.Since, again.Operator = after(time.Hour), "onni"
	apply(t, l, contracts.Change{Pauses: []contracts.Pause{again}})
	equal(t, "pauses", must(l.Pauses(t.Context()))(t), []contracts.Pause{apotti, hus})
	for range 2 {
		apply(t, l, contracts.Change{Resumes: []string{"hus"}})
		equal(t, "pauses after one was resumed", must(l.Pauses(t.Context()))(t), []contracts.Pause{apotti})
	}
	apply(t, l, contracts.Change{Pauses: []contracts.Pause{again}})
	equal(t, "pauses after it was paused again", must(l.Pauses(t.Context()))(t), []contracts.Pause{apotti, again})
}

func activationsHold(t *testing.T, l hub.Ledger) {
	later := contracts.Activation{ID: "a2", Map: "ref-i12", Version: "1.1.0", Before: "1.0.0", Partner: "hus", Type: "REF^I13", At: after(time.Hour),
		Made: after(time.Minute), Operator: "anna", Reason: "their new codes"}
	first := contracts.Activation{ID: "a1", Map: "ref-i12", Version: "1.0.0", Before: "0.9.0", At: start, Made: start, Operator: "onni"}
	apply(t, l, contracts.Change{Activations: []contracts.Activation{later}})
	apply(t, l, contracts.Change{Activations: []contracts.Activation{first}})
	again := later
	again.Version = "9.9.9"
	apply(t, l, contracts.Change{Activations: []contracts.Activation{again}})
	equal(t, "activations", must(l.Activations(t.Context()))(t), []contracts.Activation{first, later})
}

func keyUnsettled(t *testing.T, l hub.Ledger) {
	unsettled := func(before time.Time, want bool) {
		t.Helper()
		equal(t, "whether the key is unsettled", must(l.Unsettled(t.Context(), "k", before))(t), want)
	}
	keyed := func(n int, state contracts.State) contracts.Change {
		e := entry(n)
		e.Key, e.State = "k", contracts.StateTranslated
		return contracts.Change{Received: e.Received, Entries: []contracts.Entry{e}, Deliveries: []contracts.Delivery{delivery(n, "hus", state), delivery(n, "terho", contracts.StateDelivered)}}
	}
	unsettled(young, false)
	apply(t, l, keyed(1, contracts.StateTranslated))
	unsettled(after(time.Second), false) // it isn't earlier
	unsettled(after(2*time.Second), true)
	apply(t, l, keyed(1, contracts.StateDelivered))
	unsettled(young, false)
	refused := entry(2)
	refused.Key, refused.State = "k", contracts.StateRefused
	apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{refused}})
	unsettled(young, false)
	for n, state := range []contracts.State{contracts.StateReceived, contracts.StateWaiting, contracts.StateParked} {
		e := entry(n + 3)
		e.Key, e.State = "k", state
		apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}})
		unsettled(young, true)
		e.State = contracts.StateStopped
		apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{e}})
		unsettled(young, false)
	}
}

// part is message n's part in an issue.
func part(n int, issue contracts.ID, at string) contracts.Raised {
	return contracts.Raised{Issue: issue, Message: incoming(n), At: after(time.Duration(n) * time.Second), Partner: "apotti", Map: "ref-i12@0.1.0",
		Fault: &contracts.Fault{Kind: contracts.Unmapped, Code: "TST-001", At: at, Public: "An invented code.", Grade: contracts.GradeWarning}}
}

func issuesOpen(t *testing.T, l hub.Ledger) {
	for n := range 3 {
		apply(t, l, everything(n))
	}
	for range 2 {
		apply(t, l, contracts.Change{Raise: []contracts.Raised{part(0, "AAAA", "PID-8(1).1"), part(2, "BBBB", "RF1-2(1).1"), part(2, "AAAA", "PID-8(1).1")}})
	}
	apply(t, l, contracts.Change{Raise: []contracts.Raised{part(2, "AAAA", "PID-8(2).1"), part(1, "AAAA", "PID-8(1).1")}})
	first := contracts.Issue{ID: "AAAA", Partner: "apotti", Map: "ref-i12@0.1.0", Fault: part(2, "", "PID-8(1).1").Fault, Messages: 3, First: start, Last: after(2 * time.Second), Message: incoming(2)}
	second := first
	second.ID, second.Messages, second.First, second.Fault = "BBBB", 1, second.Last, part(2, "", "RF1-2(1).1").Fault
	equal(t, "issues", must(l.Issues(t.Context()))(t), []contracts.Issue{first, second})
	equal(t, "messages of an issue", ids(must(l.List(t.Context(), contracts.Filter{Issue: "AAAA"}))(t)), []contracts.ID{incoming(2), incoming(1), incoming(0)})
	apply(t, l, contracts.Change{Close: []contracts.ID{"AAAA", "CCCC"}})
	equal(t, "issues after one was closed", must(l.Issues(t.Context()))(t), []contracts.Issue{second})
	apply(t, l, contracts.Change{Raise: []contracts.Raised{part(1, "AAAA", "PID-8(1).1")}})
	equal(t, "issues after it was opened again", len(must(l.Issues(t.Context()))(t)), 2)
}

func issuesForgotten(t *testing.T, l hub.Ledger) {
	apply(t, l, aged(1, start, contracts.StateDelivered))
	apply(t, l, aged(2, young, contracts.StateDelivered))
	apply(t, l, contracts.Change{Received: start, Raise: []contracts.Raised{part(1, "AAAA", "PID-8(1).1"), part(1, "BBBB", "PID-3(1).1")}})
	apply(t, l, contracts.Change{Received: young, Raise: []contracts.Raised{part(2, "AAAA", "PID-8(1).1")}})
	expire(t, l, 1)
	issues := must(l.Issues(t.Context()))(t)
	if len(issues) != 1 || issues[0].ID != "AAAA" || issues[0].Messages != 1 || issues[0].Message != incoming(2) {
		t.Errorf("left are %v, want AAAA of the young message", issues)
	}
}

func parkedPlaces(t *testing.T, l hub.Ledger) {
	place := func(partition int32, offset int64) contracts.Place {
		return contracts.Place{Topic: contracts.ParkTopic("hus"), Partition: partition, Offset: offset}
	}
	c := contracts.Change{Keys: []contracts.KeyState{spilled("k1", 1), spilled("k2", 1)}}
	for n, p := range []contracts.Place{place(2, 5), place(0, 1<<40), place(0, 9), {Topic: contracts.ParkTopic("apotti"), Offset: 3}, place(1, 0)} {
		w := waiting(n, []string{"k1", "k2"}[n%2])
		w.Park = p
		c.Wait = append(c.Wait, w)
	}
	apply(t, l, c)
	equal(t, "places", must(l.Parked(t.Context(), contracts.ParkTopic("hus")))(t), []contracts.Place{place(0, 9), place(0, 1<<40), place(1, 0), place(2, 5)})
	apply(t, l, contracts.Change{Done: c.Wait[2:3]})
	equal(t, "places after one is done", must(l.Parked(t.Context(), contracts.ParkTopic("hus")))(t), []contracts.Place{place(0, 1<<40), place(1, 0), place(2, 5)})
	equal(t, "places of another topic", len(must(l.Parked(t.Context(), contracts.ParkTopic("terho")))(t)), 0)
}

// A ledger may forget by whole months: what is old here is months older than what is young.
var (
	young  = after(90 * 24 * time.Hour)
	cutoff = after(60 * 24 * time.Hour)
)

// aged is everything about message n, received at a time and in a state at its receiver, without a key.
func aged(n int, received time.Time, state contracts.State) contracts.Change {
	c := everything(n)
	c.Received, c.Entries[0].Received, c.Steps[0].At = received, received, received
	c.Deliveries[0].State = state
	c.Entries[0].Canonical = c.Bodies[0].Digest
	c.Steps = append(c.Steps, contracts.Step{ID: contracts.StepID(outgoing(n, "hus"), contracts.StepSending, "hus", 1), At: received,
		Message: outgoing(n, "hus"), Step: contracts.StepSending})
	c.Identifiers = append(c.Identifiers, contracts.Identifier{Partner: "hus", Kind: contracts.IDResource, Value: "Task/" + control(n), Journey: c.Entries[0].Journey},
		contracts.Identifier{Partner: "hus", Kind: contracts.IDFiller, Value: control(n), Message: incoming(n)})
	c.Keys, c.Wait = nil, nil
	return c
}

func expire(t *testing.T, l hub.Ledger, want int64) {
	t.Helper()
	equal(t, "messages forgotten", must(l.Expire(t.Context(), cutoff))(t), want)
}

// there checks that message n is there as aged wrote it.
func there(t *testing.T, l hub.Ledger, n int) {
	t.Helper()
	equal(t, "rows of a message that stays", ids(must(l.Find(t.Context(), string(incoming(n))))(t)), []contracts.ID{incoming(n)})
	equal(t, "steps", len(must(l.MessageSteps(t.Context(), incoming(n)))(t)), 2)
	equal(t, "identifiers", len(must(l.Lookup(t.Context(), "", "", control(n)))(t)), 2)
	_, err := l.Body(t.Context(), contracts.Digest(control(n)))
	if err != nil {
		t.Errorf("the body of a message that stays: %v", err)
	}
}

func settledForgotten(t *testing.T, l hub.Ledger) {
	settled := []contracts.State{contracts.StateDelivered, contracts.StateRefused, contracts.StateStopped}
	for n, state := range settled {
		apply(t, l, aged(n, start, state))
		apply(t, l, aged(n+10, young, state))
	}
	alone := entry(5)
	alone.State = contracts.StateRefused
	apply(t, l, contracts.Change{Received: start, Entries: []contracts.Entry{alone}})
	expire(t, l, int64(len(settled))+1)
	for n := range settled {
		nothing(t, l, n)
		equal(t, "names of its journey", len(must(l.Lookup(t.Context(), "", "", "Task/"+control(n)))(t)), 0)
		equal(t, "steps of its delivery", len(must(l.MessageSteps(t.Context(), outgoing(n, "hus")))(t)), 0)
		there(t, l, n+10)
	}
	equal(t, "rows", len(must(l.List(t.Context(), contracts.Filter{}))(t)), len(settled))
	expire(t, l, 0)
}

func unsettledStay(t *testing.T, l hub.Ledger) {
	unsettled := []contracts.State{contracts.StateParked, contracts.StateWaiting, contracts.StateReceived, contracts.StateTranslated, contracts.StateSending}
	for n, state := range unsettled {
		apply(t, l, aged(n, start, state))
		half := aged(n+10, start, contracts.StateRefused)
		half.Deliveries = append(half.Deliveries, delivery(n+10, "terho", state))
		apply(t, l, half)
	}
	answered := aged(20, start, contracts.StateDelivered)
	answer := aged(21, young, contracts.StateWaiting)
	answer.Entries[0].Journey = answered.Entries[0].Journey
	apply(t, l, answered)
	apply(t, l, answer)
	expire(t, l, 0)
	for n := range unsettled {
		there(t, l, n)
		there(t, l, n+10)
	}
	there(t, l, 20)
	apply(t, l, contracts.Change{Received: young, Deliveries: []contracts.Delivery{delivery(21, "hus", contracts.StateDelivered)}})
	expire(t, l, 1)
	nothing20 := must(l.Find(t.Context(), string(incoming(20))))(t)
	equal(t, "rows of a message that was settled later", ids(nothing20), []contracts.ID{})
}

func journeyStays(t *testing.T, l hub.Ledger) {
	old, recent := aged(1, start, contracts.StateDelivered), aged(2, young, contracts.StateDelivered)
	journey := old.Entries[0].Journey
	recent.Entries[0].Journey = journey
	apply(t, l, old)
	apply(t, l, recent)
	expire(t, l, 1)
	if _, err := l.Journey(t.Context(), journey); err != nil {
		t.Errorf("the journey of a message that stays: %v", err)
	}
	equal(t, "names of the journey", len(must(l.Lookup(t.Context(), "", "", "Task/"+control(1)))(t)), 1)
	entries := must(l.JourneyEntries(t.Context(), journey))(t)
	equal(t, "messages of the journey", len(entries), 1)
}

func bodyStays(t *testing.T, l hub.Ledger) {
	shared := contracts.Digest("shared")
	for n, c := range []contracts.Change{aged(1, start, contracts.StateDelivered), aged(2, young, contracts.StateDelivered), aged(3, start, contracts.StateDelivered), aged(4, start, contracts.StateParked)} {
		if n == 2 {
			shared = "shared too"
		}
		c.Entries[0].Canonical, c.Bodies[0].Digest = shared, shared
		apply(t, l, c)
	}
	expire(t, l, 2)
	for _, digest := range []contracts.Digest{"shared", "shared too"} {
		if _, err := l.Body(t.Context(), digest); err != nil {
			t.Errorf("the body %s: %v", digest, err)
		}
	}
}

func manyForgotten(t *testing.T, l hub.Ledger) {
	const each, changes = 50, 13
	for i := range changes {
		c := contracts.Change{Received: start}
		for n := range each {
			e := entry(i*each + n)
			if e.State = contracts.StateRefused; n%10 == 0 {
				e.State = contracts.StateParked
			}
			c.Entries = append(c.Entries, e)
		}
		apply(t, l, c)
	}
	expire(t, l, each*changes*9/10)
	equal(t, "rows that stay", len(must(l.List(t.Context(), contracts.Filter{Limit: 1000}))(t)), each*changes/10)
}

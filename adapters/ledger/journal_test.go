package ledger_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
)

var lifeTime = time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)

func lives(t *testing.T, l *ledger.Ledger, from, to int64) {
	t.Helper()
	for i := from; i < to; i++ {
		for _, c := range life(i, lifeTime.Add(time.Duration(i)*time.Millisecond)) {
			if err := l.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// told is all that a ledger tells of a message.
type told struct {
	Entry       contracts.Entry
	Delivery    contracts.Delivery
	Deliveries  []contracts.Delivery
	Journey     contracts.Journey
	Identifiers []contracts.Identifier
	Named       []contracts.Identifier
	Steps       []contracts.Step
	Rows        []contracts.Row
	Body        int
}

// tells asks the journal's questions before those that have it written to the tables.
func tells(t *testing.T, l *ledger.Ledger, i int64) told {
	t.Helper()
	e := life(i, lifeTime.Add(time.Duration(i)*time.Millisecond))[0].Entries[0]
	ctx, all := context.Background(), told{}
	body, err := l.Body(ctx, e.Canonical)
	all.Body = body.Len()
	errs := []error{err}
	ask := func(err error) { errs = append(errs, err) }
	all.Entry, err = l.Entry(ctx, e.ID)
	ask(err)
	all.Delivery, err = l.Delivery(ctx, contracts.OutgoingID(e.ID, "hus", "message", 0))
	ask(err)
	all.Named, err = l.Lookup(ctx, "hus", "", "L"+e.Control)
	ask(err)
	all.Deliveries, err = l.Deliveries(ctx, e.ID)
	ask(err)
	all.Journey, err = l.Journey(ctx, e.Journey)
	ask(err)
	all.Identifiers, err = l.Identifiers(ctx, e.Journey)
	ask(err)
	all.Steps, err = l.MessageSteps(ctx, e.ID)
	ask(err)
	all.Rows, err = l.Find(ctx, e.Control)
	ask(err)
	for _, err := range errs {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	return all
}

// What stands in the journal alone is told like what stands in the tables.
func TestTheJournalTellsWhatTheTablesTell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	lives(t, l, 0, 1)
	before := tells(t, l, 0)
	if len(before.Steps) != 5 || before.Delivery.State != contracts.StateDelivered || len(before.Named) != 1 {
		t.Fatalf("it tells %+v", before)
	}
	if d := cmp.Diff(before, tells(t, l, 0)); d != "" {
		t.Errorf("from the tables (-journal +tables):\n%s", d)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, tells(t, open(t, path), 0)); d != "" {
		t.Errorf("after closing and opening (-journal +opened):\n%s", d)
	}
}

// A copy of the files is what a killed process leaves behind; a backup holds the journal, too.
func TestWhatTheJournalHoldsOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	l := open(t, path)
	lives(t, l, 0, 3)
	for _, c := range life(3, lifeTime.Add(3*time.Millisecond))[:2] { // its delivery is under way
		if err := l.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	killed, copied := crashed(t, path), filepath.Join(dir, "copied.db")
	if err := l.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{killed, copied} {
		again := open(t, from)
		for i := range int64(4) {
			if d := cmp.Diff(tells(t, l, i), tells(t, again, i)); d != "" {
				t.Errorf("%s, message %d (-was +is):\n%s", filepath.Base(from), i, d)
			}
		}
		last := life(3, lifeTime.Add(3*time.Millisecond))
		if err := again.Apply(t.Context(), last[1]); contracts.KindOf(err) != contracts.Conflict {
			t.Errorf("%s: the same attempt once more gives %v, want a fault of kind conflict", filepath.Base(from), err)
		}
		if err := again.Apply(t.Context(), last[2]); err != nil {
			t.Errorf("%s: %v", filepath.Base(from), err)
		}
	}
}

// A caller may do with a change what it likes once Apply has returned.
func TestTheJournalKeepsNothingOfTheCallers(t *testing.T) {
	tell := func(spoil func(contracts.Change)) told {
		l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
		c := life(0, lifeTime)[0]
		c.Steps[0].Fault = contracts.Faultf(contracts.Refused, "TST-001", "MSA-1", "An invented fault.")
		c.Steps[1].Losses = contracts.Faults{contracts.Faultf(contracts.Refused, "TST-002", "PID-3", "An invented finding.")}
		if err := l.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		spoil(c)
		return tells(t, l, 0)
	}
	want := tell(func(contracts.Change) {})
	got := tell(func(c contracts.Change) {
		c.Entries[0].Control, c.Deliveries[0].Control, c.Journeys[0].State = "spoilt", "spoilt", "spoilt"
		c.Steps[0].Fault.Code, c.Steps[1].Losses[0].Code, c.Steps[2].Type = "TST-009", "TST-009", "spoilt"
		for i := range c.Identifiers {
			c.Identifiers[i].Value = "spoilt"
		}
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-kept +spoilt):\n%s", d)
	}
}

// Bytes that are no UTF-8 stay what they are, whether a process is killed or not.
func TestTheJournalChangesNoBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	c := life(0, lifeTime)[0]
	value := "L\xe4\x00x"
	c.Entries[0].Control, c.Identifiers[1].Value = "M\xe4", value
	if err := l.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*ledger.Ledger{"at once": l, "after a crash": open(t, crashed(t, path))} {
		if is, err := l.Lookup(t.Context(), "apotti", "", value); err != nil || len(is) != 1 {
			t.Errorf("%s: %d names (%v), want 1", name, len(is), err)
		}
		if e, err := l.Entry(t.Context(), c.Entries[0].ID); err != nil || e.Control != "M\xe4" {
			t.Errorf("%s: the control id is %q (%v)", name, e.Control, err)
		}
	}
}

// crashed copies a ledger's files as a killed process leaves them.
func crashed(t *testing.T, path string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "crashed.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// A change of another kind meets what the journal holds of its message, in the same transaction or before.
func TestOtherChangesMeetTheJournal(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	cs := life(0, lifeTime)
	for _, c := range cs[:2] {
		if err := l.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	parked := cs[1]
	parked.Deliveries = []contracts.Delivery{cs[1].Deliveries[0]}
	parked.Deliveries[0].State, parked.Steps = contracts.StateParked, nil
	parked.Deliveries[0].Fault = contracts.Faultf(contracts.Refused, "TST-001", "MSA-1", "An invented fault.")
	if err := l.Apply(t.Context(), parked); err != nil {
		t.Fatal(err)
	}
	rows, err := l.List(t.Context(), contracts.Filter{State: contracts.StateParked})
	if err != nil || len(rows) != 1 || rows[0].Fault == nil {
		t.Fatalf("the list gives %+v (%v), want the parked message with its fault", rows, err)
	}
	second := cs[1]
	second.Deliveries = []contracts.Delivery{cs[1].Deliveries[0]}
	second.Deliveries[0].Attempts = 2
	if err := l.Apply(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	d, err := l.Delivery(t.Context(), second.Deliveries[0].ID)
	if err != nil || d.State != contracts.StateSending || d.Attempts != 2 || d.Fault != nil {
		t.Errorf("the delivery is %s, attempt %d, fault %v (%v), want the second attempt under way", d.State, d.Attempts, d.Fault, err)
	}
}

// Whatever is applied in whatever order: a ledger refuses and tells the same with its journal and without it, also when its
// process is killed now and then.
func TestTheJournalMakesNoDifference(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 18))
		path := filepath.Join(t.TempDir(), "with.db")
		with, without := open(t, path), open(t, filepath.Join(t.TempDir(), "without.db"))
		for n := range 40 {
			c := anyChange(r, n)
			got := with.Apply(t.Context(), c)
			c.Resumes = []string{"nobody"} // so it isn't for the journal
			if want := without.Apply(t.Context(), c); refusedAt(got) != refusedAt(want) {
				t.Fatalf("seed %d, change %d: with a journal %v, without %v", seed, n, got, want)
			}
			switch r.IntN(15) {
			case 0:
				path = crashed(t, path)
				with = open(t, path)
			case 1:
				if err := with.Health(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if d := cmp.Diff(whole(t, without), whole(t, with)); d != "" {
			t.Fatalf("seed %d (-without +with a journal):\n%s", seed, d)
		}
	}
}

// refusedAt tells refusals apart; empty for none.
func refusedAt(err error) string {
	var f *contracts.Fault
	if !errors.As(err, &f) {
		return ""
	}
	return f.Code + " " + f.At
}

// messages are those of which anyChange tells.
const messages = 5

// anyChange tells of one of a few messages, with two receivers each: that it is translated, what became of it otherwise,
// or how an attempt went.
func anyChange(r *rand.Rand, n int) contracts.Change {
	m := r.Int64N(messages)
	at := lifeTime.Add(time.Duration(m) * time.Millisecond)
	l := life(m, at)
	toOther := func(d contracts.Delivery) contracts.Delivery {
		d.ID, d.Partner, d.Control, d.Route = d.ID+"2", "kys", d.Control+"2", "apotti>kys"
		return d
	}
	of := func(states ...contracts.State) contracts.State { return states[r.IntN(len(states))] }
	kind := r.IntN(10)
	if n < 2*messages { // first most are translated
		kind = r.IntN(3)
	}
	switch kind {
	case 0, 1:
		c := l[0]
		c.Deliveries = append(c.Deliveries, toOther(c.Deliveries[0]))
		if r.IntN(6) == 0 {
			c.Deliveries[0].Digest = "other bytes"
		}
		if r.IntN(6) == 0 {
			c.Deliveries = append(c.Deliveries, c.Deliveries[1])
		}
		if r.IntN(3) == 0 {
			c.Deliveries[1].ID = life((m+1)%messages, at)[0].Deliveries[0].ID // another message's
		}
		if r.IntN(4) == 0 {
			c.Journeys[0] = contracts.Journey{ID: "shared", State: strconv.Itoa(n), Started: at, Updated: at.Add(time.Duration(r.IntN(5)) * time.Second)}
		}
		return c
	case 2:
		e := l[0].Entries[0]
		e.State = of(contracts.StateStopped, contracts.StateParked, contracts.StateReceived, contracts.StateWaiting)
		return contracts.Change{Received: at, Entries: []contracts.Entry{e}}
	}
	d := l[1].Deliveries[0]
	if r.IntN(2) == 0 {
		d = toOther(d)
	}
	d.State = of(contracts.StateSending, contracts.StateSending, contracts.StateDelivered, contracts.StateDelivered, contracts.StateParked,
		contracts.StateWaiting, contracts.StateStopped, contracts.StateRefused)
	d.Attempts, d.Unknown, d.Answer = r.IntN(4), r.IntN(2) == 0, []string{"", "AA", "200"}[r.IntN(3)]
	if r.IntN(3) == 0 {
		d.Place = contracts.Place{}
	}
	if r.IntN(4) == 0 {
		d.Map = ""
	}
	if r.IntN(10) == 0 {
		d.Digest = "other bytes"
	}
	if r.IntN(4) == 0 {
		d.Fault = contracts.Faultf(contracts.Refused, "TST-001", "MSA-1", "An invented fault.")
	}
	step := contracts.Step{ID: contracts.StepID(d.ID, string(d.State), "hus", d.Attempts), At: at.Add(time.Duration(n) * time.Second), Message: d.ID,
		Journey: d.Journey, Step: string(d.State)}
	return contracts.Change{Received: at, Deliveries: []contracts.Delivery{d}, Steps: []contracts.Step{step}}
}

// whole is all that a ledger tells of anyChange's messages, and which of it isn't there. The journal is asked before all
// is written to the tables, and the tables are asked afterwards.
func whole(t *testing.T, l *ledger.Ledger) (all []any) {
	t.Helper()
	ctx := t.Context()
	tell := func(value any, err error) {
		if kind := contracts.KindOf(err); err != nil && kind != contracts.NotFound {
			t.Fatal(err)
		}
		all = append(all, value, contracts.KindOf(err))
	}
	short := func() {
		for m := range int64(messages) {
			c := life(m, lifeTime.Add(time.Duration(m)*time.Millisecond))[0]
			tell(l.Entry(ctx, c.Entries[0].ID))
			tell(l.Delivery(ctx, c.Deliveries[0].ID))
			tell(l.Delivery(ctx, c.Deliveries[0].ID+"2"))
			tell(l.Lookup(ctx, "", "", "L"+c.Entries[0].Control))
			body, err := l.Body(ctx, c.Entries[0].Canonical)
			tell(body.Len(), err)
		}
	}
	short()
	for m := range int64(messages) {
		c := life(m, lifeTime.Add(time.Duration(m)*time.Millisecond))[0]
		tell(l.MessageSteps(ctx, c.Entries[0].ID))
		tell(l.Deliveries(ctx, c.Entries[0].ID))
		tell(l.Identifiers(ctx, c.Journeys[0].ID))
		tell(l.Journey(ctx, c.Journeys[0].ID))
	}
	tell(l.Journey(ctx, "shared"))
	tell(l.List(ctx, contracts.Filter{}))
	short()
	return all
}

func open(t *testing.T, path string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Keys that aren't live are held in memory, also those that another process left.
func TestOpeningKnowsWhichKeysAreHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	ref := contracts.KeyRef{Topic: contracts.OutTopic("hus"), Key: "key"}
	l := open(t, path)
	if err := l.Apply(t.Context(), contracts.Change{Keys: []contracts.KeyState{{KeyRef: ref, Condition: contracts.KeySpilled, Since: lifeTime}}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	for _, want := range []contracts.Condition{contracts.KeySpilled, contracts.KeyLive} {
		if k, err := again.Key(t.Context(), ref); err != nil || k.Condition != want {
			t.Errorf("the key is %s (%v), want %s", k.Condition, err, want)
		}
		if err := again.Apply(t.Context(), contracts.Change{Revive: []contracts.KeyRef{ref}}); err != nil {
			t.Fatal(err)
		}
	}
}

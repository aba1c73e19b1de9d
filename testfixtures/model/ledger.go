package model

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Ledger is one process's handle on a hub.Ledger in memory. A change is durable when it took effect. Everything is found
// by looking at all rows or nearly so: it is for thousands of messages.
type Ledger struct {
	p *Process
	*store
}

// store is what all handles share.
type store struct {
	weather Weather

	mu         sync.Mutex
	entries    map[contracts.ID]*contracts.Entry
	deliveries map[contracts.ID]*contracts.Delivery
	of         map[contracts.ID][]*contracts.Delivery // by message, in the order of receivers
	steps      []contracts.Step
	stepped    map[contracts.ID]bool
	names      map[string][]*contracts.Identifier // by value
	journeys   map[contracts.ID]*contracts.Journey
	bodies     map[contracts.Digest]contracts.Body
	born       map[contracts.Digest]time.Time // when the youngest message that has the body was received
	keys       map[contracts.KeyRef]contracts.KeyState
	behind     map[contracts.KeyRef][]contracts.Waiting
	pauses     map[string]contracts.Pause
	active     []contracts.Activation
	raised     []contracts.Raised
	seq        int64
	fixed      map[string]string
}

// NewLedger gives an empty ledger, for the world's first process.
func NewLedger(w *World, weather Weather) *Ledger {
	return &Ledger{w.Process, &store{weather: weather, entries: map[contracts.ID]*contracts.Entry{}, deliveries: map[contracts.ID]*contracts.Delivery{},
		of: map[contracts.ID][]*contracts.Delivery{}, stepped: map[contracts.ID]bool{}, names: map[string][]*contracts.Identifier{},
		journeys: map[contracts.ID]*contracts.Journey{}, bodies: map[contracts.Digest]contracts.Body{}, born: map[contracts.Digest]time.Time{},
		pauses: map[string]contracts.Pause{},
		keys:   map[contracts.KeyRef]contracts.KeyState{}, behind: map[contracts.KeyRef][]contracts.Waiting{}, fixed: map[string]string{}}}
}

// In gives another process's handle; nil's sees the ledger without any weather.
func (l *Ledger) In(p *Process) *Ledger { return &Ledger{p, l.store} }

func (l *Ledger) call(op, id string) call {
	return call{service: ServiceLedger, weather: l.weather, op: op, id: id, lock: &l.mu}
}

// Apply writes c whole or not at all; see contracts.Change.
func (l *Ledger) Apply(ctx context.Context, c contracts.Change) error {
	return l.p.change(ctx, l.call("apply", nameOf(c)), func(*rand.Rand) error {
		if err := l.check(c); err != nil {
			return err
		}
		l.write(c)
		return nil
	})
}

// nameOf tells changes apart, so that each draws its own luck.
func nameOf(c contracts.Change) string {
	name := ""
	for _, e := range c.Entries {
		name += " " + string(e.ID) + " " + string(e.State)
	}
	for _, d := range c.Deliveries {
		name += " " + string(d.ID) + " " + string(d.State)
	}
	for _, w := range c.Wait {
		name += " waits " + string(w.Message)
	}
	for _, w := range c.Done {
		name += " done " + string(w.Message)
	}
	for _, s := range c.Steps {
		name += " " + s.Step + " " + string(s.ID)
	}
	for _, r := range c.Replace {
		name += " " + string(r.Old) + string(r.By.Message)
	}
	for _, p := range c.Pauses {
		name += " pause " + p.Partner
	}
	for _, partner := range c.Resumes {
		name += " resume " + partner
	}
	return name
}

// Fix keeps value under name for good, unless one is kept already, and gives the one that holds.
func (l *Ledger) Fix(ctx context.Context, name, value string) (held string, err error) {
	err = l.p.change(ctx, l.call("fix", name), func(*rand.Rand) error {
		if _, known := l.fixed[name]; !known {
			l.fixed[name] = value
		}
		held = l.fixed[name]
		return nil
	})
	if err != nil {
		return "", err
	}
	return held, nil
}

// Health is nil while the process lives.
func (l *Ledger) Health(ctx context.Context) error {
	c := l.call("health", "ledger")
	c.weather = Weather{}
	return l.p.look(ctx, c)
}

// check refuses what contracts.Change refuses, and rows without what they are known by.
func (l *Ledger) check(c contracts.Change) error {
	if !complete(c) {
		return contracts.Faultf(contracts.Internal, "SIM-006", "change", "A change holds a row without what it is known by.")
	}
	if err := l.checkDeliveries(c.Deliveries); err != nil {
		return err
	}
	for _, w := range c.Wait {
		_, held := l.keys[w.KeyRef]
		if !held && !slices.ContainsFunc(c.Keys, func(k contracts.KeyState) bool { return k.KeyRef == w.KeyRef }) {
			return contracts.Faultf(contracts.Conflict, "SIM-008", "key", "Nothing may wait behind a key that is live.")
		}
	}
	for _, e := range c.Entries {
		held := l.entries[e.ID]
		if held != nil && held.State == contracts.StateStopped && slices.Contains([]contracts.State{contracts.StateTranslated, contracts.StateWaiting, contracts.StateParked}, e.State) {
			return contracts.Faultf(contracts.Conflict, "SIM-012", "stopped", "A person stopped this message.")
		}
	}
	return l.checkReplacements(c)
}

// checkDeliveries compares each delivery with the row that it finds, which may be of the same change.
func (l *Ledger) checkDeliveries(deliveries []contracts.Delivery) error {
	written := map[contracts.ID]contracts.Delivery{}
	for _, d := range deliveries {
		held, known := written[d.ID]
		if row := l.deliveries[d.ID]; !known && row != nil {
			held, known = *row, true
		}
		if held.Digest != "" && d.Digest != "" && held.Digest != d.Digest {
			return contracts.Faultf(contracts.Conflict, "SIM-007", "digest", "A delivery of this id has other bytes.")
		}
		over := held.State == contracts.StateDelivered || held.State == contracts.StateStopped
		if known && d.State == contracts.StateSending && (over || held.Attempts >= d.Attempts) {
			return contracts.Faultf(contracts.Conflict, "SIM-010", "attempt", "This attempt was made already, or the delivery is finished.")
		}
		if known && d.State == contracts.StateStopped && held.Attempts > d.Attempts {
			return contracts.Faultf(contracts.Conflict, "SIM-010", "attempt", "A later attempt was made.")
		}
		failed := d.State == contracts.StateWaiting || d.State == contracts.StateParked
		if known && failed && (held.State == contracts.StateDelivered || held.Attempts > d.Attempts) {
			return contracts.Faultf(contracts.Conflict, "SIM-010", "attempt", "A later attempt was made, or the delivery is finished.")
		}
		if known {
			d = moved(held, d)
		}
		written[d.ID] = d
	}
	return nil
}

// checkReplacements follows what waits behind each key through the change's own Wait, Done and Replace.
func (l *Ledger) checkReplacements(c contracts.Change) error {
	for i, r := range c.Replace {
		var behind []contracts.ID
		for _, w := range slices.Concat(l.behind[r.By.KeyRef], c.Wait) {
			if w.KeyRef == r.By.KeyRef {
				behind = append(behind, w.Message)
			}
		}
		behind = slices.DeleteFunc(behind, func(id contracts.ID) bool {
			return slices.ContainsFunc(c.Done, func(w contracts.Waiting) bool { return w.KeyRef == r.By.KeyRef && w.Message == id })
		})
		for _, earlier := range c.Replace[:i] {
			if at := slices.Index(behind, earlier.Old); at >= 0 && earlier.By.KeyRef == r.By.KeyRef {
				behind[at] = earlier.By.Message
			}
		}
		if !slices.Contains(behind, r.Old) || r.Old != r.By.Message && slices.Contains(behind, r.By.Message) {
			return contracts.Faultf(contracts.Conflict, "SIM-011", "message", "The message whose place is to be taken doesn't wait behind this key.")
		}
	}
	return nil
}

func complete(c contracts.Change) bool {
	return !(slices.ContainsFunc(c.Entries, func(e contracts.Entry) bool { return e.ID == "" }) ||
		slices.ContainsFunc(c.Deliveries, func(d contracts.Delivery) bool { return d.ID == "" || d.Message == "" }) ||
		slices.ContainsFunc(c.Steps, func(s contracts.Step) bool { return s.ID == "" }) ||
		slices.ContainsFunc(c.Identifiers, func(i contracts.Identifier) bool { return i.Value == "" || i.Message == "" && i.Journey == "" }) ||
		slices.ContainsFunc(c.Journeys, func(j contracts.Journey) bool { return j.ID == "" }) ||
		slices.ContainsFunc(c.Bodies, func(b contracts.StoredBody) bool { return b.Digest == "" }) ||
		slices.ContainsFunc(c.Keys, func(k contracts.KeyState) bool {
			return k.Topic == "" || k.Key == "" || k.Condition != contracts.KeySpilled && k.Condition != contracts.KeyParked
		}) ||
		slices.ContainsFunc(c.Wait, unnamed) ||
		slices.ContainsFunc(c.Replace, func(r contracts.Replacement) bool { return r.Old == "" || unnamed(r.By) }) ||
		slices.ContainsFunc(c.Pauses, func(p contracts.Pause) bool { return p.Partner == "" }) ||
		slices.ContainsFunc(c.Activations, func(a contracts.Activation) bool { return a.ID == "" }) ||
		slices.ContainsFunc(c.Raise, func(r contracts.Raised) bool { return r.Issue == "" || r.Message == "" }))
}

func unnamed(w contracts.Waiting) bool { return w.Topic == "" || w.Key == "" || w.Message == "" }

func (l *Ledger) write(c contracts.Change) {
	for _, b := range c.Bodies {
		if _, known := l.bodies[b.Digest]; !known {
			l.bodies[b.Digest] = contracts.NewBody(slices.Clone(b.Body.Bytes()))
		}
		if received := receivedAt(c); received.After(l.born[b.Digest]) {
			l.born[b.Digest] = received
		}
	}
	for _, d := range c.Deliveries {
		l.writeDelivery(d)
	}
	for _, e := range c.Entries {
		l.writeEntry(e)
	}
	for _, s := range c.Steps {
		if !l.stepped[s.ID] {
			l.stepped[s.ID] = true
			s.At, s.Fault, s.Losses = instant(s.At), kept(s.Fault), kept(s.Losses)
			l.steps = append(l.steps, s)
		}
	}
	for _, i := range c.Identifiers {
		l.writeName(i)
	}
	for _, j := range c.Journeys {
		if held := l.journeys[j.ID]; held != nil {
			if j.Updated.Before(held.Updated) {
				j.State, j.Updated = held.State, held.Updated
			}
			j.State, j.Started = first(j.State, held.State), firstTime(held.Started, j.Started)
		}
		j.Started, j.Updated = instant(j.Started), instant(j.Updated)
		l.journeys[j.ID] = &j
	}
	l.writeKeys(c)
	for _, p := range c.Pauses {
		if _, known := l.pauses[p.Partner]; !known {
			p.Since = instant(p.Since)
			l.pauses[p.Partner] = p
		}
	}
	for _, partner := range c.Resumes {
		delete(l.pauses, partner)
	}
	for _, a := range c.Activations {
		if !slices.ContainsFunc(l.active, func(b contracts.Activation) bool { return b.ID == a.ID }) {
			a.At, a.Made = instant(a.At), instant(a.Made)
			l.active = append(l.active, a)
		}
	}
	l.writeRaised(c)
}

// writeRaised keeps the first part that a message has in an issue.
func (l *Ledger) writeRaised(c contracts.Change) {
	for _, r := range c.Raise {
		if !slices.ContainsFunc(l.raised, func(o contracts.Raised) bool { return o.Issue == r.Issue && o.Message == r.Message }) {
			r.At, r.Fault = instant(r.At), kept(r.Fault)
			l.raised = append(l.raised, r)
		}
	}
	for _, issue := range c.Close {
		l.raised = slices.DeleteFunc(l.raised, func(r contracts.Raised) bool { return r.Issue == issue })
	}
}

// receivedAt is when the message of a change was received, as far as the change tells; else it is now.
func receivedAt(c contracts.Change) time.Time {
	if !c.Received.IsZero() {
		return c.Received
	}
	for _, e := range c.Entries {
		if !e.Received.IsZero() {
			return e.Received
		}
	}
	return time.Now()
}

func (l *Ledger) writeKeys(c contracts.Change) {
	for _, k := range c.Keys {
		k.Since, k.Fault = instant(k.Since), kept(k.Fault)
		l.keys[k.KeyRef] = k
	}
	for _, w := range c.Wait {
		row := l.behind[w.KeyRef]
		if i := slices.IndexFunc(row, func(v contracts.Waiting) bool { return v.Message == w.Message }); i >= 0 {
			row[i].Due, row[i].Attempts = instant(w.Due), w.Attempts
			continue
		}
		l.seq++
		w.Seq, w.Since, w.Due = l.seq, instant(w.Since), instant(w.Due)
		l.behind[w.KeyRef] = append(row, w)
	}
	for _, w := range c.Done {
		l.behind[w.KeyRef] = slices.DeleteFunc(l.behind[w.KeyRef], func(v contracts.Waiting) bool { return v.Message == w.Message })
	}
	for _, r := range c.Replace {
		row := l.behind[r.By.KeyRef]
		i := slices.IndexFunc(row, func(v contracts.Waiting) bool { return v.Message == r.Old })
		r.By.Seq, r.By.Since, r.By.Due = row[i].Seq, instant(r.By.Since), instant(r.By.Due)
		row[i] = r.By
	}
	for _, ref := range c.Revive {
		if len(l.behind[ref]) == 0 {
			delete(l.keys, ref)
		}
	}
}

// writeEntry lets the first value of each fact win and the latest of what is progress.
func (l *Ledger) writeEntry(e contracts.Entry) {
	e.Received, e.Fault = instant(e.Received), kept(e.Fault)
	if held := l.entries[e.ID]; held != nil {
		e.Partner, e.Format, e.Control, e.Type = first(held.Partner, e.Partner), first(held.Format, e.Format), first(held.Control, e.Control), first(held.Type, e.Type)
		e.Version, e.Application, e.Facility = first(held.Version, e.Version), first(held.Application, e.Application), first(held.Facility, e.Facility)
		e.Key, e.Received, e.Journey, e.Origin = first(held.Key, e.Key), firstTime(held.Received, e.Received), first(held.Journey, e.Journey), first(held.Origin, e.Origin)
		e.Cause, e.Digest, e.Place = first(held.Cause, e.Cause), first(held.Digest, e.Digest), firstPlace(held.Place, e.Place)
		e.Event, e.Map, e.Canonical = first(e.Event, held.Event), first(e.Map, held.Map), first(e.Canonical, held.Canonical)
		e.Fault = latestFault(held.Fault, e.Fault, e.State)
		e.State = first(e.State, held.State)
	}
	l.entries[e.ID] = &e
}

func (l *Ledger) writeDelivery(d contracts.Delivery) {
	d.Fault = kept(d.Fault)
	held := l.deliveries[d.ID]
	if held == nil {
		l.deliveries[d.ID] = &d
		l.of[d.Message] = append(l.of[d.Message], &d)
		return
	}
	*held = moved(*held, d)
}

// moved is the row that d makes of the one that is held.
func moved(held, d contracts.Delivery) contracts.Delivery {
	d.Message, d.Journey, d.Partner, d.Route = held.Message, first(held.Journey, d.Journey), first(held.Partner, d.Partner), first(held.Route, d.Route)
	d.Generation, d.Control, d.Type = first(held.Generation, d.Generation), first(held.Control, d.Control), first(held.Type, d.Type)
	d.Format, d.Map, d.Key = first(held.Format, d.Format), first(held.Map, d.Map), first(held.Key, d.Key)
	d.Digest, d.Place = first(held.Digest, d.Digest), firstPlace(held.Place, d.Place)
	if d.State == contracts.StateTranslated { // translated again, while its delivery is under way: moves nothing on
		d.State, d.Attempts, d.Answer, d.Fault = "", 0, "", nil
	}
	d.Attempts, d.Answer = first(d.Attempts, held.Attempts), first(d.Answer, held.Answer)
	if d.State != contracts.StateSending { // an attempt begins without the fault of the one before
		d.Fault = latestFault(held.Fault, d.Fault, d.State)
	}
	if d.State == "" || held.State == contracts.StateStopped && d.State != contracts.StateDelivered {
		d.State, d.Unknown = held.State, held.Unknown
	}
	return d
}

// writeName keeps one row for each thing that a value names, and learns its journey later.
func (l *Ledger) writeName(i contracts.Identifier) {
	for _, held := range l.names[i.Value] {
		same := held.Partner == i.Partner && held.Kind == i.Kind && held.Message == i.Message
		if same && (i.Message != "" || held.Journey == i.Journey) {
			held.Journey = first(held.Journey, i.Journey)
			return
		}
	}
	l.names[i.Value] = append(l.names[i.Value], &i)
}

// first gives a, unless it is empty.
func first[T comparable](a, b T) T {
	var empty T
	if a == empty {
		return b
	}
	return a
}

func firstTime(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

func firstPlace(a, b contracts.Place) contracts.Place {
	if a.Topic == "" {
		return b
	}
	return a
}

// latestFault gives the newer fault; without one the older stays, until a state says that it was overcome. (A delivery's
// write of state translated comes here without its state.)
func latestFault(older, newer *contracts.Fault, state contracts.State) *contracts.Fault {
	if newer != nil || state == contracts.StateTranslated || state == contracts.StateDelivered {
		return newer
	}
	return older
}

// kept gives what a ledger keeps of a fault or of findings: what their JSON holds.
func kept[T any](v T) T {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a fault's JSON is texts
	}
	var out T
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err) // likewise
	}
	return out
}

// instant is t as a ledger and a bus keep it: UTC, in microseconds.
func instant(t time.Time) time.Time { return t.Truncate(time.Microsecond).UTC() }

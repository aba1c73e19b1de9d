package hub

import (
	"context"

	"github.com/hoitosilta/silta/contracts"
)

// reread makes a record of bytes as a door would today; what a door would refuse is a fault.
func (a *again) reread(body contracts.Body) (contracts.Record, contracts.Once, error) {
	p := a.h.partners[a.e.Partner]
	if p == nil {
		return contracts.Record{}, contracts.Once{}, contracts.Faultf(contracts.Unroutable, "HUB-010", "", "The sender has no contract.")
	}
	m := contracts.Message{Partner: p.ID, Format: a.e.Format, Body: body, Received: a.e.Received}
	if fault := a.h.read(p, &m); fault != nil {
		return contracts.Record{}, contracts.Once{}, fault
	}
	if refusals := Refusals(p.Partner, m); len(refusals) > 0 {
		return contracts.Record{}, contracts.Once{}, refusals
	}
	r := inRecord(m, a.stored.Header[contracts.HeaderTrace])
	a.choose(r)
	return r, contracts.Once{Key: a.h.secret.OnceKey(p.ID, m.Application, m.Facility, m.Control), Digest: m.Digest}, nil
}

// edited is the edited copy's record. It is of the original's time, so that it stands where that one stood in its
// referral, and so that making it twice gives the same bytes. It claims no control id: the original's may be the same.
func (a *again) edited() (contracts.Record, error) {
	r, _, err := a.reread(*a.ask.Edit)
	if err != nil {
		return r, err
	}
	r.ID = contracts.EditedID(a.e.ID, contracts.Digest(r.Header[contracts.HeaderDigest]))
	r.Header[contracts.HeaderCause] = string(a.e.ID)
	return r, nil
}

// workCopy lets an edited copy go in the original's stead where that is held, and to whoever else gets it.
func (a *again) workCopy(ctx context.Context, r contracts.Record) error {
	a.result.Copy = r.ID
	a.result.Edited = a.h.differences(a.e.Format, a.h.partners[a.e.Partner], a.stored.Body, r.Body)
	known, err := a.h.ledger.Entry(ctx, r.ID)
	if err == nil {
		return a.finishCopy(ctx, r, known)
	} else if contracts.KindOf(err) != contracts.NotFound {
		return err
	}
	switch {
	case a.heldInTranslation():
		return a.replaceUntranslated(ctx, r)
	case len(a.held) > 0:
		return a.replaceDeliveries(ctx, r)
	}
	return a.send(ctx, r, nil)
}

// finishCopy publishes a copy that was noted before, and perhaps not published: the process may have ended in between.
func (a *again) finishCopy(ctx context.Context, r contracts.Record, known contracts.Entry) error {
	a.result.Outcome = contracts.OutcomeKnown
	before, err := a.h.before(ctx, r)
	if err != nil || before.done || a.ask.DryRun || known.State != contracts.StateReceived && known.State != contracts.StateTranslated {
		return err
	}
	_, err = a.h.bus.Publish(ctx, r, nil)
	return err
}

// translate translates in memory and shows in the result what each receiver would get.
func (a *again) translate(ctx context.Context, r contracts.Record, before past) (contracts.Entry, translation, error) {
	e := entry(r)
	w, err := a.h.translation(ctx, r, &e, before)
	if err != nil {
		return e, w, err
	}
	for _, o := range w.out {
		d := o.delivery
		sent := contracts.Resent{Partner: d.Partner, Type: d.Type, Map: d.Map, Control: d.Control, Generation: d.Generation}
		for _, s := range o.steps {
			sent.Findings = append(sent.Findings, s.Losses...)
		}
		if last, ok := a.last[d.Partner]; ok && last.ID != d.ID {
			sent.Before = last.ID
		}
		a.result.To = append(a.result.To, sent)
	}
	a.result.Map = e.Map
	for _, s := range w.change.Steps {
		if s.Step == contracts.StepTranslated {
			a.result.Findings = append(a.result.Findings, s.Losses...)
		}
	}
	return e, w, nil
}

// compare shows in the result where the content differs from what was made for each receiver before. The new message
// is written under the earlier one's id for that, or the ids would differ as well.
func (a *again) compare(ctx context.Context, r contracts.Record, before past) error {
	before.ids = map[string]contracts.ID{}
	for partner, d := range a.last {
		before.ids[partner] = d.ID
	}
	e := entry(r)
	w, err := a.h.translation(ctx, r, &e, before)
	if err != nil {
		return err
	}
	lines := a.result.To[len(a.result.To)-len(w.out):] // those of this translation
	for i, o := range w.out {
		last, ok := a.last[o.delivery.Partner]
		if !ok || last.Place.Topic == "" || last.Digest == o.delivery.Digest {
			continue
		}
		was, err := a.h.bus.Read(ctx, last.Place)
		if err != nil {
			return err
		}
		lines[i].Changed = a.h.differences(last.Format, a.h.partners[last.Partner], was.Body, o.record.Body)
	}
	return nil
}

// step records what the operator did to the message e; other is the one that it was made from, or that was made of it.
func (a *again) step(kind string, e contracts.Entry, control, to string, other contracts.ID) contracts.Step {
	at := a.h.now()
	return contracts.Step{ID: contracts.StepID(e.ID, kind, to+string(other), int(at.UnixMicro())), At: at, Journey: e.Journey, Message: e.ID, Control: control,
		Type: e.Type, Step: kind, From: a.ask.Operator, To: to, Map: a.ask.Map, Other: other, Reason: a.ask.Reason}
}

// copied are the steps of an edited copy: on the copy and on the original, each naming the other.
func (a *again) copied(e contracts.Entry) []contracts.Step {
	return []contracts.Step{a.step(contracts.StepReprocessed, a.e, e.Control, "", e.ID), a.step(contracts.StepReprocessed, e, e.Control, "", a.e.ID)}
}

// send publishes a record to silta.in: the same message as its next generation, or a copy. The ledger knows of it first,
// so that a message that was stopped isn't taken for stopped when its record comes; asking again publishes it again,
// under the same ids.
func (a *again) send(ctx context.Context, r contracts.Record, once *contracts.Once) error {
	before, err := a.h.before(ctx, r)
	if err != nil {
		return err
	}
	e, w, err := a.translate(ctx, r, before)
	if err != nil {
		return err
	}
	if a.result.Outcome = contracts.OutcomeSent; a.ask.DryRun {
		return a.compare(ctx, r, before)
	}
	c := contracts.Change{Received: e.Received}
	if e.ID != a.e.ID {
		a.result.Copy = e.ID
		noted := entry(r)
		noted.Key = a.h.orderKey(r)
		if noted.Place, err = a.park(ctx, r, a.e.Partner, r.Key); err != nil { // what the ledger notes has its bytes
			return err
		}
		c.Entries, c.Steps = []contracts.Entry{noted}, a.copied(e)
	} else {
		c.Steps = a.resent(w)
		if a.e.State == contracts.StateStopped {
			c.Entries = []contracts.Entry{{ID: e.ID, Received: e.Received, State: contracts.StateReceived}}
		}
		if len(c.Entries) > 0 && a.made < 0 { // an older record of it may come first: let it use the same map
			c.Entries[0].Map = before.reading(r)
		}
	}
	if err := a.h.apply(ctx, c); err != nil {
		return err
	}
	published, err := a.h.bus.Publish(ctx, r, once)
	if err != nil || published.Claim != contracts.ClaimOther {
		return err
	}
	fault := contracts.Faultf(contracts.Conflict, "HUB-012", controlPlace(a.e.Format), "Another message came under this control id. An edited copy can be sent all the same.")
	return a.refusedAgain(ctx, fault)
}

// resent are the steps of a message that goes again: one for each receiver that has had it, naming both ids.
func (a *again) resent(w translation) []contracts.Step {
	var steps []contracts.Step
	for _, o := range w.out {
		if last, ok := a.last[o.delivery.Partner]; ok {
			steps = append(steps, a.step(contracts.StepReprocessed, a.e, o.delivery.Control, o.delivery.Partner, last.ID))
		}
	}
	if len(steps) == 0 {
		steps = append(steps, a.step(contracts.StepReprocessed, a.e, a.e.Control, "", ""))
	}
	return steps
}

// receiveAgain lets refused bytes in if a door would take them today.
func (a *again) receiveAgain(ctx context.Context) error {
	r, once, err := a.reread(a.stored.Body)
	if err != nil {
		return err
	}
	if r.ID != a.e.ID { // it can be read now, and so has another id
		r.Header[contracts.HeaderCause] = string(a.e.ID)
	}
	return a.send(ctx, r, &once)
}

// refusedAgain records that a message was refused once more.
func (a *again) refusedAgain(ctx context.Context, fault *contracts.Fault) error {
	s := a.step(contracts.StepRefused, a.e, a.e.Control, "", "")
	s.Fault = fault
	if err := a.h.apply(ctx, contracts.Change{Received: a.e.Received, Steps: []contracts.Step{s}}); err != nil {
		return err
	}
	return fault
}

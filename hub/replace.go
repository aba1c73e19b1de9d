package hub

import (
	"context"
	"fmt"
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// goOn releases a message that is held in translation. The map that the operator chose is kept with its bytes.
func (a *again) goOn(ctx context.Context) error {
	x := a.held[0]
	r := a.record(a.stored)
	before, err := a.h.before(ctx, r)
	if err != nil {
		return err
	}
	if _, _, err := a.translate(ctx, r, before); err != nil {
		return err
	}
	first, err := a.isFirst(ctx, x)
	if err != nil {
		return err
	}
	if a.result.Outcome = contracts.OutcomeQueued; first {
		a.result.Outcome = contracts.OutcomeReleased
	}
	if a.ask.DryRun {
		return nil
	}
	c := contracts.Change{Received: a.e.Received, Steps: []contracts.Step{a.step(contracts.StepReprocessed, a.e, a.e.Control, "", "")}}
	if first {
		c.Keys, c.Wait = releasing(x.w, a.h.now())
		c.Entries = []contracts.Entry{{ID: a.e.ID, Received: a.e.Received, State: contracts.StateWaiting}}
		x.w = c.Wait[0]
	}
	if a.ask.Map != "" {
		if x.w.Park, err = a.park(ctx, r, a.e.Partner, x.w.Key); err != nil {
			return err
		}
		c.Replace = []contracts.Replacement{{Old: a.e.ID, By: x.w}}
	}
	return a.h.apply(ctx, c)
}

// isFirst says whether nothing stands between a held message and its turn.
func (a *again) isFirst(ctx context.Context, x holding) (bool, error) {
	behind, err := a.h.ledger.Behind(ctx, x.ref())
	return len(behind) > 0 && behind[0].Message == x.id(), err
}

// park writes a record's bytes to a partner's park topic, before the ledger's row points at them.
func (a *again) park(ctx context.Context, r contracts.Record, partner string, key contracts.Key) (contracts.Place, error) {
	r.Topic, r.Key = contracts.ParkTopic(partner), key
	published, err := a.h.bus.Publish(ctx, r, nil)
	if err != nil {
		return contracts.Place{}, fmt.Errorf("keep a message in another's place: %w", err)
	}
	return published.Place, nil
}

// inPlace is the row of a message that takes another's place behind a key.
func inPlace(of contracts.Waiting, id contracts.ID, park contracts.Place) contracts.Replacement {
	by := of
	by.Message, by.Park, by.Attempts = id, park, 0
	return contracts.Replacement{Old: of.Message, By: by}
}

// replaceUntranslated puts an edited copy in the place of a message that is held in translation. The original becomes
// stopped; the key goes on if that one held it up.
func (a *again) replaceUntranslated(ctx context.Context, r contracts.Record) error {
	x := a.held[0]
	e, _, err := a.translate(ctx, r, past{})
	if err != nil {
		return err
	}
	if a.result.Outcome = contracts.OutcomeReplaced; a.ask.DryRun {
		return nil
	}
	park, err := a.park(ctx, r, a.e.Partner, x.w.Key)
	if err != nil {
		return err
	}
	c := contracts.Change{Received: e.Received, Replace: []contracts.Replacement{inPlace(x.w, r.ID, park)}, Steps: a.copied(e)}
	e = entry(r) // what it will be found to belong to, the translator writes
	e.State, e.Key, e.Place = contracts.StateWaiting, x.w.Key, park
	c.Entries = []contracts.Entry{{ID: a.e.ID, Received: a.e.Received, State: contracts.StateStopped}, e}
	if err := a.freeKey(ctx, &c, x, r.ID); err != nil {
		return err
	}
	return a.h.apply(ctx, c)
}

// freeKey lets the key behind which x is held go on with the message by in its place, if x is the first behind it.
func (a *again) freeKey(ctx context.Context, c *contracts.Change, x holding, by contracts.ID) error {
	first, err := a.isFirst(ctx, x)
	if err != nil || !first {
		return err
	}
	at := a.h.now()
	c.Keys = append(c.Keys, contracts.KeyState{KeyRef: x.ref(), Condition: contracts.KeySpilled, Since: at, Message: by})
	for i := range c.Replace {
		if c.Replace[i].Old == x.id() {
			c.Replace[i].By.Due = at
		}
	}
	return nil
}

// deliverAnew translates again for each receiver at which the message is held. Bytes that are still the same are
// released under their id; others take the place of those that are held, as the next generation.
func (a *again) deliverAnew(ctx context.Context) error {
	a.result.Outcome = contracts.OutcomeQueued
	for _, x := range a.held {
		if err := a.deliverAnewTo(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

func (a *again) deliverAnewTo(ctx context.Context, x holding) error {
	only := past{entry: a.e, maps: map[string]string{x.d.Partner: x.d.Map}, generation: x.d.Generation}
	r := a.record(a.stored)
	e := entry(r)
	w, err := a.h.translation(ctx, r, &e, only)
	if err != nil {
		return err
	}
	mine := func(o outgoing) bool { return o.delivery.Partner == x.d.Partner }
	i := slices.IndexFunc(w.out, mine)
	if i < 0 {
		return contracts.Faultf(contracts.Unmapped, "HUB-031", "", "The message doesn't go to this partner any more, by the contracts as they are.")
	}
	same := w.out[i].delivery.Digest == x.d.Digest
	if !same {
		only.generation = a.made + 1
	}
	if _, w, err = a.translate(ctx, r, only); err != nil {
		return err
	}
	if same {
		return a.releaseDelivery(ctx, x)
	}
	if a.result.Outcome = contracts.OutcomeReplaced; a.ask.DryRun {
		return a.compare(ctx, r, only)
	}
	c := w.change
	o := w.out[slices.IndexFunc(w.out, mine)] // the same receivers as before
	c.Steps = append(c.Steps, a.step(contracts.StepReprocessed, a.e, o.delivery.Control, x.d.Partner, x.d.ID))
	if err := a.replace(ctx, &c, x, o); err != nil {
		return err
	}
	return a.h.apply(ctx, c)
}

func (a *again) releaseDelivery(ctx context.Context, x holding) error {
	first, err := a.isFirst(ctx, x)
	if err != nil {
		return err
	}
	if first && a.result.Outcome == contracts.OutcomeQueued {
		a.result.Outcome = contracts.OutcomeReleased
	}
	if a.ask.DryRun {
		return nil
	}
	c := contracts.Change{Received: a.e.Received, Steps: []contracts.Step{a.step(contracts.StepReprocessed, a.e, x.d.Control, x.d.Partner, "")}}
	if first {
		c.Keys, c.Wait = releasing(x.w, a.h.now())
		x.d.State = contracts.StateWaiting
		c.Deliveries = []contracts.Delivery{x.d}
	}
	return a.h.apply(ctx, c)
}

// replace lets a change put an outgoing message in the place of a held delivery, which becomes stopped.
func (a *again) replace(ctx context.Context, c *contracts.Change, x holding, o outgoing) error {
	park, err := a.park(ctx, o.record, x.d.Partner, x.w.Key)
	if err != nil {
		return err
	}
	for i := range c.Deliveries {
		if c.Deliveries[i].ID == o.delivery.ID {
			c.Deliveries[i].State, c.Deliveries[i].Place = contracts.StateWaiting, park
		}
	}
	x.d.State = contracts.StateStopped
	c.Deliveries = append(c.Deliveries, x.d)
	c.Replace = append(c.Replace, inPlace(x.w, o.delivery.ID, park))
	return a.freeKey(ctx, c, x, o.delivery.ID)
}

// replaceDeliveries puts an edited copy's messages in the places where the original's are held. A receiver that has the
// original gets the copy by the ordinary way; where the copy isn't for a receiver (any more), the held one is stopped.
func (a *again) replaceDeliveries(ctx context.Context, r contracts.Record) error {
	e, w, err := a.translate(ctx, r, past{})
	if err != nil {
		return err
	}
	if a.result.Outcome = contracts.OutcomeReplaced; a.ask.DryRun {
		return a.compare(ctx, r, past{})
	}
	c := w.change
	c.Steps = append(c.Steps, a.copied(e)...)
	c.Entries[0].Key = a.h.orderKey(r)
	if c.Entries[0].Place, err = a.park(ctx, r, a.e.Partner, r.Key); err != nil {
		return err
	}
	rest := len(w.out)
	for _, x := range a.held {
		i := slices.IndexFunc(w.out, func(o outgoing) bool { return o.delivery.Partner == x.d.Partner && o.delivery.Key == x.w.Key })
		if i < 0 {
			err = a.drop(ctx, &c, x)
		} else {
			rest--
			err = a.replace(ctx, &c, x, w.out[i])
		}
		if err != nil {
			return err
		}
	}
	if err := a.h.apply(ctx, c); err != nil || rest == 0 {
		return err
	}
	_, err = a.h.bus.Publish(ctx, r, nil) // the translator finds the rest in the ledger, not sent yet
	return err
}

// drop lets a change take a held delivery from behind its key, stopped.
func (a *again) drop(ctx context.Context, c *contracts.Change, x holding) error {
	x.d.State = contracts.StateStopped
	c.Deliveries = append(c.Deliveries, x.d)
	c.Done = append(c.Done, x.w)
	c.Revive = append(c.Revive, x.ref())
	return a.freeKey(ctx, c, x, "")
}

package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// mostAtOnce is how many messages one request reprocesses at most: their ids must fit in memory, since a ledger gives
// the newest first and they are worked from the oldest on.
const mostAtOnce = 100_000

// Reprocess lets stored messages go their way again, one after another in the order of their reception, and tells each
// of what became of every one. One that fails stays as it is and doesn't keep the others. It ends early when each gives
// an error or ctx ends; asking again goes on from there.
//
// A message is translated in memory first: what no map takes, or today's contract refuses, isn't sent. Then
//   - a message that is held in translation is released, or its edited copy takes its place behind the key;
//   - a delivery that is held is released if its bytes are still the same, else the new ones take its place;
//   - any other goes the whole way again, as its next generation; its edited copy as a message of its own.
func (h *Hub) Reprocess(ctx context.Context, r contracts.ReprocessRequest, each func(contracts.Reprocessed) error) error {
	if err := h.checkRequest(&r); err != nil {
		return err
	}
	ids, err := h.chosen(ctx, r)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(h.reprocess(ctx, id, r)); err != nil {
			return err
		}
	}
	return nil
}

// checkRequest refuses what makes no sense, and names the map's version, so that a newer one changes nothing halfway.
func (h *Hub) checkRequest(r *contracts.ReprocessRequest) error {
	r.Filter.Limit = 0
	switch chosen := r.Filter != (contracts.Filter{}); {
	case len(r.IDs) == 0 && !chosen:
		return contracts.Faultf(contracts.Invalid, "HUB-062", "", "Say which messages: ids, or a state, partner, type or time.")
	case len(r.IDs) > 0 && chosen:
		return contracts.Faultf(contracts.Invalid, "HUB-062", "", "Name messages by ids or choose them by state, partner, type and time, not both.")
	case r.Edit != nil && len(r.IDs) != 1:
		return contracts.Faultf(contracts.Invalid, "HUB-062", "", "An edited copy is of one message, named by its id.")
	}
	if r.Map == "" {
		return nil
	}
	m, err := h.maps.Map(r.Map)
	if err != nil {
		return err
	}
	r.Map = m.Name()
	return nil
}

// chosen gives what the request names: ids as they are, or the chosen messages', oldest first.
func (h *Hub) chosen(ctx context.Context, r contracts.ReprocessRequest) ([]string, error) {
	if len(r.IDs) > 0 {
		return r.IDs, nil
	}
	r.Filter.Limit = mostAtOnce + 1
	rows, err := h.ledger.List(ctx, r.Filter)
	if err != nil {
		return nil, err
	}
	if len(rows) > mostAtOnce {
		return nil, contracts.Faultf(contracts.Invalid, "HUB-062", "", "More than %d messages are chosen. Choose fewer: by partner, type or time.", mostAtOnce)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[len(rows)-1-i] = string(row.ID)
	}
	return ids, nil
}

// named finds the one message that an id means. Of several under one control id (an edited copy bears its original's)
// it is the one that isn't finished, else the newest.
func (h *Hub) named(ctx context.Context, id string) (contracts.ID, error) {
	rows, err := h.found(ctx, id)
	if err != nil {
		return "", err
	}
	if len(rows) == 1 {
		return rows[0].ID, nil
	}
	var exact, open []contracts.Row
	for _, row := range rows {
		if string(row.ID) != id && row.Control != id {
			continue
		}
		exact = append(exact, row)
		if left, err := h.unfinished(ctx, row.ID); err != nil {
			return "", err
		} else if len(left) > 0 {
			open = append(open, row)
		}
	}
	if len(open) == 1 {
		return open[0].ID, nil
	}
	last := slices.DeleteFunc(slices.Clone(exact), func(row contracts.Row) bool {
		return slices.ContainsFunc(exact, func(copied contracts.Row) bool { return copied.Cause == row.ID })
	})
	if len(open) > 1 || len(last) == 0 {
		return "", contracts.Faultf(contracts.Conflict, "HUB-063", "", "This id names %d messages. Name one by its own id.", len(rows))
	}
	return last[0].ID, nil
}

// reprocess does it for one message.
func (h *Hub) reprocess(ctx context.Context, id string, r contracts.ReprocessRequest) contracts.Reprocessed {
	result := contracts.Reprocessed{ID: contracts.ID(id), DryRun: r.DryRun, To: []contracts.Resent{}}
	err := h.guard("reprocess", contracts.Record{ID: result.ID}, func() error {
		message, err := h.named(ctx, id)
		if err != nil {
			return err
		}
		result.ID = message
		a := again{h: h, ask: r, result: &result}
		defer a.letGo()
		if err := a.look(ctx, message); err != nil {
			return err
		}
		return a.work(ctx)
	})
	if err != nil {
		result.Outcome, result.Faults = contracts.OutcomeFailed, contracts.FaultsOf(err)
	}
	return result
}

// again is one message that is reprocessed.
type again struct {
	h      *Hub
	ask    contracts.ReprocessRequest
	result *contracts.Reprocessed
	taken  []holding // whose keys this process works meanwhile

	e      contracts.Entry
	stored contracts.Record              // its bytes, with the headers under which they are worked
	last   map[string]contracts.Delivery // what was made of it last, by receiver
	made   int                           // the highest generation; -1 if nothing was made of it
	held   []holding                     // where it is held: itself or its deliveries
}

// look finds out where the message stands. Nobody else in this process works the keys behind which it is held until
// letGo; against other processes the ledger's refusals guard.
func (a *again) look(ctx context.Context, id contracts.ID) error {
	left, err := a.h.unfinished(ctx, id)
	if err != nil {
		return err
	}
	slices.SortFunc(left, func(x, y holding) int { return strings.Compare(x.q.topic, y.q.topic) }) // one order for all, or two would wait for each other
	for _, x := range left {
		if x.waits() && !a.ask.DryRun {
			if err := x.q.hold(ctx, x.ref().Key); err != nil {
				return err
			}
			a.taken = append(a.taken, x)
		}
	}
	if a.e, err = a.h.ledger.Entry(ctx, id); err != nil {
		return err
	}
	a.result.Control = a.e.Control
	deliveries, err := a.h.ledger.Deliveries(ctx, id)
	if err != nil {
		return err
	}
	a.made, a.last = -1, map[string]contracts.Delivery{}
	for _, d := range deliveries {
		a.last[d.Partner], a.made = d, max(a.made, d.Generation)
	}
	if left, err = a.h.unfinished(ctx, id); err != nil {
		return err
	}
	for _, x := range left {
		if x.waits() {
			a.held = append(a.held, x)
		}
	}
	underWay := slices.ContainsFunc(left, func(x holding) bool {
		return !x.waits() && len(a.held) == 0 || x.d.State == contracts.StateSending && x.waits()
	})
	if underWay {
		return contracts.Faultf(contracts.Conflict, "HUB-064", "", "The message is on its way right now. Wait until it is delivered or held, or stop it first.")
	}
	place := a.e.Place
	if a.heldInTranslation() {
		place = a.held[0].w.Park
	}
	a.stored, err = a.h.bus.Read(ctx, place)
	return err
}

func (a *again) letGo() {
	for _, x := range a.taken {
		x.q.end(x.ref().Key)
		x.q.nudge()
	}
}

func (a *again) heldInTranslation() bool { return len(a.held) > 0 && a.held[0].d.ID == "" }

// work chooses the way.
func (a *again) work(ctx context.Context) error {
	if a.ask.Edit != nil {
		r, err := a.edited()
		if err != nil {
			return err
		}
		if r.Header[contracts.HeaderDigest] != string(a.e.Digest) {
			return a.workCopy(ctx, r)
		}
		if a.e.Cause != "" && len(a.held) == 0 { // the copy itself, named by the control id that it shares
			return a.finishCopy(ctx, a.record(a.stored), a.e)
		}
	}
	switch {
	case a.heldInTranslation():
		return a.goOn(ctx)
	case len(a.held) > 0:
		return a.deliverAnew(ctx)
	case a.made < 0 && a.e.State == contracts.StateRefused:
		return a.receiveAgain(ctx)
	}
	r := a.record(a.stored)
	r.Header[contracts.HeaderGeneration] = strconv.Itoa(a.made + 1)
	return a.send(ctx, r, nil)
}

// record is a stored one as it will be worked again, with what the operator chose.
func (a *again) record(stored contracts.Record) contracts.Record {
	r := stored
	r.Topic, r.ID, r.Place = contracts.TopicIn, a.e.ID, contracts.Place{}
	r.Header = maps.Clone(stored.Header)
	delete(r.Header, contracts.HeaderFault)
	a.choose(r)
	return r
}

// choose writes the operator's choice into a record.
func (a *again) choose(r contracts.Record) {
	r.Header[contracts.HeaderOperator] = a.ask.Operator
	if a.ask.Map != "" {
		r.Header[contracts.HeaderMap] = a.ask.Map
	}
}

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
	for i, o := range w.out {
		last, ok := a.last[o.delivery.Partner]
		if !ok || last.Place.Topic == "" || last.Digest == o.delivery.Digest {
			continue
		}
		was, err := a.h.bus.Read(ctx, last.Place)
		if err != nil {
			return err
		}
		a.result.To[i].Changed = a.h.differences(last.Format, a.h.partners[last.Partner], was.Body, o.record.Body)
	}
	return nil
}

// step records what the operator did. id is the step's message, other the one that it was made from or that was made
// of it.
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
	return refusedAgain(ctx, a, fault)
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
func refusedAgain(ctx context.Context, a *again, fault *contracts.Fault) error {
	s := a.step(contracts.StepRefused, a.e, a.e.Control, "", "")
	s.Fault = fault
	if err := a.h.apply(ctx, contracts.Change{Received: a.e.Received, Steps: []contracts.Step{s}}); err != nil {
		return err
	}
	return fault
}

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
	same := len(w.out) == 1 && w.out[0].delivery.Digest == x.d.Digest
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
		return a.compareOne(ctx, r, only, x)
	}
	c := w.change
	c.Steps = append(c.Steps, a.step(contracts.StepReprocessed, a.e, w.out[0].delivery.Control, x.d.Partner, x.d.ID))
	if err := a.replace(ctx, &c, x, w.out[0]); err != nil {
		return err
	}
	return a.h.apply(ctx, c)
}

// compareOne shows what changed for one receiver, whose line of the result is the last.
func (a *again) compareOne(ctx context.Context, r contracts.Record, only past, x holding) error {
	only.ids = map[string]contracts.ID{x.d.Partner: x.d.ID}
	e := entry(r)
	w, err := a.h.translation(ctx, r, &e, only)
	if err != nil {
		return err
	}
	was, err := a.h.bus.Read(ctx, x.w.Park)
	if err != nil {
		return err
	}
	a.result.To[len(a.result.To)-1].Changed = a.h.differences(x.d.Format, x.q.p, was.Body, w.out[0].record.Body)
	return nil
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

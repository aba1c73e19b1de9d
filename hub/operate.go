package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Find gives the messages that any id names: ours, a control id, a referral's placer or filler id, a journey's, a patient's.
func (h *Hub) Find(ctx context.Context, id string) ([]contracts.Row, error) {
	rows, err := h.FindImpersonal(ctx, id)
	if err != nil || len(rows) > 0 || id == "" {
		return rows, err
	}
	return h.ledger.Find(ctx, h.secret.Person(id))
}

// FindImpersonal is Find for an id that stood in an address, which lands in logs: a patient's finds nothing there, so
// nobody makes it a habit.
func (h *Hub) FindImpersonal(ctx context.Context, id string) ([]contracts.Row, error) {
	return h.ledger.Find(ctx, id)
}

// List gives the chosen messages, newest first. Those of an issue are such as have a part in it, or are parked for it.
func (h *Hub) List(ctx context.Context, f contracts.Filter) ([]contracts.Row, error) {
	rows, err := h.ledger.List(ctx, f)
	if f.Issue == "" || err != nil || len(rows) > 0 || f.State != "" && f.State != contracts.StateParked {
		return rows, err
	}
	issue := f.Issue
	f.Issue = ""
	rows, err = h.parked(ctx, f)
	rows = slices.DeleteFunc(rows, func(row contracts.Row) bool { return string(issueOf(row)) != issue })
	return rows[:min(len(rows), cmp.Or(f.Limit, len(rows)))], err
}

// Trace gives all that happened to the journey that any id names, or to the message if it belongs to none; a fault
// of kind notfound if nothing has that id.
func (h *Hub) Trace(ctx context.Context, id string) (contracts.Trace, error) {
	rows, err := h.Find(ctx, id)
	if err != nil {
		return contracts.Trace{}, err
	}
	return h.traceOf(ctx, rows)
}

// TraceImpersonal is Trace as FindImpersonal is Find.
func (h *Hub) TraceImpersonal(ctx context.Context, id string) (contracts.Trace, error) {
	rows, err := h.FindImpersonal(ctx, id)
	if err != nil {
		return contracts.Trace{}, err
	}
	return h.traceOf(ctx, rows)
}

// traceOf gives what happened to the newest of the rows; none is a fault.
func (h *Hub) traceOf(ctx context.Context, rows []contracts.Row) (contracts.Trace, error) {
	if len(rows) == 0 {
		return contracts.Trace{}, noSuchID()
	}
	t := contracts.Trace{IDs: []contracts.TraceIdentifier{}, Steps: []contracts.Step{}}
	if t.Journey = rows[0].Journey; t.Journey == "" {
		t.State = string(rows[0].State)
		steps, err := h.ledger.MessageSteps(ctx, rows[0].ID)
		t.Steps = steps
		return t, err
	}
	journey, err := h.ledger.Journey(ctx, t.Journey)
	if err != nil {
		return contracts.Trace{}, err
	}
	t.State = journey.State
	ids, err := h.ledger.Identifiers(ctx, t.Journey)
	if err != nil {
		return contracts.Trace{}, err
	}
	for _, id := range ids {
		name := contracts.TraceIdentifier{Partner: id.Partner, Kind: id.Kind, Value: id.Value}
		if id.Kind != contracts.IDResource && id.Kind != contracts.IDPatient && !slices.Contains(t.IDs, name) {
			t.IDs = append(t.IDs, name)
		}
	}
	t.Steps, err = h.ledger.JourneySteps(ctx, t.Journey)
	return t, err
}

// found gives the rows that an id names, newest first; none is a fault. A patient's names none: what is to be shown,
// stopped or sent again is named by an id of its own, and that stands in an address.
func (h *Hub) found(ctx context.Context, id string) ([]contracts.Row, error) {
	rows, err := h.FindImpersonal(ctx, id)
	if err == nil && len(rows) == 0 {
		err = noSuchID()
	}
	return rows, err
}

func noSuchID() error {
	return contracts.Faultf(contracts.NotFound, "HUB-050", "", "Nothing has this id.")
}

// Show gives a body; by a control id, that of the newest message. It is audited as a step before it is shown. A
// reason is needed unless the hub runs in development.
func (h *Hub) Show(ctx context.Context, r contracts.ShowRequest) (contracts.Shown, error) {
	if r.Reason == "" && !h.development {
		return contracts.Shown{}, contracts.Faultf(contracts.Denied, "HUB-051", "", "Say why you look at it (--reason): whose data it is has a right to know.")
	}
	rows, err := h.found(ctx, r.Message)
	if err != nil {
		return contracts.Shown{}, err
	}
	e, err := h.ledger.Entry(ctx, rows[0].ID)
	if err != nil {
		return contracts.Shown{}, err
	}
	shown, err := h.body(ctx, e, r)
	if err != nil {
		return contracts.Shown{}, err
	}
	at := h.now()
	audit := contracts.Step{ID: contracts.StepID(e.ID, contracts.StepShown, string(r.View), int(at.UnixMicro())), At: at, Journey: e.Journey, Message: e.ID,
		Control: e.Control, Type: e.Type, Step: contracts.StepShown, From: r.Operator, To: r.Partner, Reason: r.Reason}
	return shown, h.apply(ctx, contracts.Change{Received: e.Received, Steps: []contracts.Step{audit}})
}

func (h *Hub) body(ctx context.Context, e contracts.Entry, r contracts.ShowRequest) (contracts.Shown, error) {
	switch r.View {
	case contracts.ViewCanonical:
		if e.Canonical == "" {
			return contracts.Shown{}, contracts.Faultf(contracts.NotFound, "HUB-052", "", "The message has no canonical form: it isn't translated.")
		}
		body, err := h.ledger.Body(ctx, e.Canonical)
		return contracts.Shown{Format: contracts.FormatFHIR, Body: body}, err
	case contracts.ViewSent:
		deliveries, err := h.ledger.Deliveries(ctx, e.ID)
		if err != nil {
			return contracts.Shown{}, err
		}
		slices.Reverse(deliveries) // what was sent last
		i := slices.IndexFunc(deliveries, func(d contracts.Delivery) bool {
			return (r.Partner == "" || d.Partner == r.Partner) && d.Place.Topic != ""
		})
		if i < 0 {
			return contracts.Shown{}, contracts.Faultf(contracts.NotFound, "HUB-053", "", "Nothing was sent to this partner yet.")
		}
		record, err := h.bus.Read(ctx, deliveries[i].Place)
		return contracts.Shown{Format: deliveries[i].Format, Body: record.Body}, err
	}
	record, err := h.bus.Read(ctx, e.Place)
	return contracts.Shown{Format: e.Format, Body: record.Body}, err
}

// holding is a message, or one of its deliveries, that an operator may stop or release: w says where it waits or is
// parked; it is zero for a delivery that is on its way in a lane.
type holding struct {
	e contracts.Entry
	d contracts.Delivery // zero for a message that isn't translated
	q *queue
	w contracts.Waiting
}

// id is that of the waiting row: the delivery's, or the message's.
func (x holding) id() contracts.ID {
	if x.d.ID != "" {
		return x.d.ID
	}
	return x.e.ID
}

func (x holding) ref() contracts.KeyRef {
	if x.d.ID != "" {
		return contracts.KeyRef{Topic: x.q.topic, Key: x.d.Key}
	}
	return contracts.KeyRef{Topic: x.q.topic, Key: x.e.Key}
}

func (x holding) control() string {
	if x.d.ID != "" {
		return x.d.Control
	}
	return x.e.Control
}

func (x holding) waits() bool { return x.w.Message != "" }

// over says that it was delivered or stopped. It can have a place behind its key all the same, if its process ended
// before it could give that up.
func (x holding) over() bool {
	if x.d.ID == "" {
		return x.e.State == contracts.StateStopped
	}
	return x.d.State == contracts.StateDelivered || x.d.State == contracts.StateStopped
}

// unfinished gives what of a message waits, is parked, or is on its way.
func (h *Hub) unfinished(ctx context.Context, id contracts.ID) ([]holding, error) {
	e, err := h.ledger.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	deliveries, err := h.ledger.Deliveries(ctx, id)
	if err != nil {
		return nil, err
	}
	all := []holding{{e: e, q: h.queues[contracts.TopicIn]}}
	for _, d := range deliveries {
		if q := h.queues[contracts.OutTopic(d.Partner)]; q != nil {
			all = append(all, holding{e: e, d: d, q: q})
		}
	}
	var found []holding
	for _, x := range all {
		if x.d.State == contracts.StateDelivered {
			continue // also if it has a place behind its key still
		}
		behind, err := h.ledger.Behind(ctx, x.ref())
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(behind, func(w contracts.Waiting) bool { return w.Message == x.id() }); i >= 0 {
			x.w = behind[i]
		}
		if x.waits() || x.d.State == contracts.StateTranslated || x.d.State == contracts.StateSending || x.d.State == contracts.StateWaiting {
			found = append(found, x)
		}
	}
	return found, nil
}

// one finds the message or delivery that an id names among those that aren't finished. An id that names several, such
// as a referral's, is a fault: what an operator does can't be taken back.
func (h *Hub) one(ctx context.Context, id string) (holding, error) {
	rows, err := h.found(ctx, id)
	if err != nil {
		return holding{}, err
	}
	var all []holding
	for _, row := range rows {
		some, err := h.unfinished(ctx, row.ID)
		if err != nil {
			return holding{}, err
		}
		all = append(all, some...)
	}
	if len(all) > 1 {
		exact := slices.DeleteFunc(slices.Clone(all), func(x holding) bool { return string(x.id()) != id && x.control() != id })
		if len(exact) != 1 {
			return holding{}, contracts.Faultf(contracts.Conflict, "HUB-055", "", "This id names %d messages that aren't finished. Name one: by its own id, or by the control id under which it leaves.", len(all))
		}
		all = exact
	}
	if len(all) == 0 {
		return holding{}, contracts.Faultf(contracts.NotFound, "HUB-054", "", "This message neither waits nor is parked nor is on its way.")
	}
	return all[0], nil
}

// Stop ends a message that waits, is parked or is on its way: no further attempt is made, and its key flows on without
// it. A key that another message holds up stays as it is. An attempt that is under way isn't broken off; the answer
// tells when the partner may have the message.
func (h *Hub) Stop(ctx context.Context, id, reason, operator string) (contracts.Stopped, error) {
	for {
		stopped, err := h.stop(ctx, id, reason, operator)
		if !overtaken(err) || ctx.Err() != nil {
			return stopped, err
		}
	}
}

// overtaken says that a delivery went on between a look at it and the change that followed from that.
func overtaken(err error) bool {
	return contracts.KindOf(err) == contracts.Conflict && contracts.FaultsOf(err)[0].At == "attempt"
}

func (h *Hub) stop(ctx context.Context, id, reason, operator string) (contracts.Stopped, error) {
	x, err := h.one(ctx, id)
	if err != nil {
		return contracts.Stopped{}, err
	}
	if x.d.State != contracts.StateSending { // an attempt may last; nothing else that works a key does
		if err := x.q.hold(ctx, x.ref().Key); err != nil {
			return contracts.Stopped{}, err
		}
		defer x.q.end(x.ref().Key)
		if x, err = h.one(ctx, id); err != nil { // it may have gone on while we waited
			return contracts.Stopped{}, err
		}
	}
	defer x.q.nudge()
	if err := h.apply(ctx, h.operatorChange(x, contracts.StepStopped, contracts.StateStopped, reason, operator)); err != nil {
		return contracts.Stopped{}, err
	}
	return contracts.Stopped{ID: x.e.ID, Control: x.control(), Partner: x.d.Partner, Unknown: x.d.Unknown || x.d.State == contracts.StateSending},
		x.q.clear(ctx, x.ref(), x.id())
}

// Release lets keys try again at once, each from its first message; id is a key, or any id of messages behind keys.
func (h *Hub) Release(ctx context.Context, id, reason, operator string) error {
	refs, err := h.keysBy(ctx, id)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := h.releaseKey(ctx, ref, reason, operator); err != nil {
			return err
		}
	}
	return nil
}

// keysBy gives the keys that id is, or behind which what it names waits.
func (h *Hub) keysBy(ctx context.Context, id string) ([]contracts.KeyRef, error) {
	var refs []contracts.KeyRef
	for _, topic := range slices.Sorted(maps.Keys(h.queues)) {
		ref := contracts.KeyRef{Topic: topic, Key: contracts.Key(id)}
		behind, err := h.ledger.Behind(ctx, ref)
		if err != nil {
			return nil, err
		}
		if len(behind) > 0 {
			refs = append(refs, ref)
		}
	}
	if len(refs) > 0 {
		return refs, nil
	}
	rows, err := h.found(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		some, err := h.unfinished(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		for _, x := range some {
			if x.waits() && !slices.Contains(refs, x.ref()) {
				refs = append(refs, x.ref())
			}
		}
	}
	if len(refs) == 0 {
		return nil, contracts.Faultf(contracts.NotFound, "HUB-056", "", "Nothing of this id waits or is parked, so there is nothing to release.")
	}
	return refs, nil
}

// releaseKey makes the first message behind a key due now. What is over by then leaves its place there to the next.
func (h *Hub) releaseKey(ctx context.Context, ref contracts.KeyRef, reason, operator string) error {
	q := h.queues[ref.Topic]
	if err := q.hold(ctx, ref.Key); err != nil {
		return err
	}
	defer q.nudge()
	defer q.end(ref.Key)
	for {
		behind, err := h.ledger.Behind(ctx, ref)
		if err != nil || len(behind) == 0 {
			return err
		}
		x, err := h.waiting(ctx, q, behind[0])
		if err != nil {
			return err
		}
		if !x.over() {
			c := h.operatorChange(x, contracts.StepReleased, contracts.StateWaiting, reason, operator)
			c.Keys, c.Wait = releasing(x.w, h.now())
			if err := h.apply(ctx, c); !overtaken(err) || ctx.Err() != nil {
				return err
			}
		} else if err := q.clear(ctx, ref, x.id()); err != nil {
			return err
		}
	}
}

// releasing lets a key try again at once, beginning with its first message.
func releasing(first contracts.Waiting, now time.Time) ([]contracts.KeyState, []contracts.Waiting) {
	first.Due, first.Attempts = now, 0
	return []contracts.KeyState{{KeyRef: first.KeyRef, Condition: contracts.KeySpilled, Since: now, Message: first.Message}}, []contracts.Waiting{first}
}

// waiting reads what a row behind a key is about.
func (h *Hub) waiting(ctx context.Context, q *queue, w contracts.Waiting) (holding, error) {
	x := holding{q: q, w: w}
	message := w.Message
	var err error
	if q.p != nil {
		if x.d, err = h.ledger.Delivery(ctx, w.Message); err != nil {
			return x, err
		}
		message = x.d.Message
	}
	x.e, err = h.ledger.Entry(ctx, message)
	return x, err
}

// operatorChange records what an operator did to a message, with its new state.
func (h *Hub) operatorChange(x holding, step string, state contracts.State, reason, operator string) contracts.Change {
	at := h.now()
	c := contracts.Change{Received: x.e.Received, Steps: []contracts.Step{{ID: contracts.StepID(x.id(), step, x.q.topic, int(at.UnixMicro())), At: at,
		Journey: x.e.Journey, Message: x.e.ID, Control: x.control(), Type: x.e.Type, Step: step, From: operator, To: x.d.Partner, Reason: reason}}}
	if x.d.ID == "" {
		x.e.State, x.e.Fault = state, nil
		c.Entries = []contracts.Entry{x.e}
	} else {
		x.d.Unknown = x.d.Unknown || x.d.State == contracts.StateSending // an attempt was cut off, and nobody knows what became of it
		x.d.State = state
		c.Deliveries = []contracts.Delivery{x.d}
	}
	return c
}

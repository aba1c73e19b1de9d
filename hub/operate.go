package hub

import (
	"context"
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// Find gives the messages that any id names: ours, a control id, a referral's placer or filler id, a journey's.
func (h *Hub) Find(ctx context.Context, id string) ([]contracts.Row, error) {
	return h.ledger.Find(ctx, id)
}

// List gives the chosen messages, newest first.
func (h *Hub) List(ctx context.Context, f contracts.Filter) ([]contracts.Row, error) {
	return h.ledger.List(ctx, f)
}

// Trace gives all that happened to the journey that any id names, or to the message if it belongs to none; a fault
// of kind notfound if nothing has that id.
func (h *Hub) Trace(ctx context.Context, id string) (contracts.Trace, error) {
	rows, err := h.found(ctx, id)
	if err != nil {
		return contracts.Trace{}, err
	}
	t := contracts.Trace{IDs: []contracts.TraceIdentifier{}, Steps: []contracts.Step{}}
	if t.Journey = rows[0].Journey; t.Journey == "" {
		t.State = string(rows[0].State)
		t.Steps, err = h.ledger.MessageSteps(ctx, rows[0].ID)
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
		if id.Kind != contracts.IDResource && !slices.Contains(t.IDs, name) {
			t.IDs = append(t.IDs, name)
		}
	}
	t.Steps, err = h.ledger.JourneySteps(ctx, t.Journey)
	return t, err
}

// found gives the rows that an id names, newest first; none is a fault.
func (h *Hub) found(ctx context.Context, id string) ([]contracts.Row, error) {
	rows, err := h.ledger.Find(ctx, id)
	if err == nil && len(rows) == 0 {
		err = contracts.Faultf(contracts.NotFound, "HUB-050", "", "Nothing has this id.")
	}
	return rows, err
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

// holding is a message that waits or is parked, and the queue in which it does.
type holding struct {
	row contracts.Row
	q   *queue
	w   contracts.Waiting
}

// held finds the message that an id names among those that wait or are parked. An id that names several, such as a
// referral's, is a fault: what an operator does can't be taken back.
func (h *Hub) held(ctx context.Context, id string) (holding, error) {
	rows, err := h.found(ctx, id)
	if err != nil {
		return holding{}, err
	}
	var all []holding
	for _, row := range rows {
		places, err := h.keysOf(ctx, row.ID)
		if err != nil {
			return holding{}, err
		}
		for message, ref := range places {
			q := h.queues[ref.Topic]
			if q == nil {
				continue
			}
			behind, err := h.ledger.Behind(ctx, ref)
			if err != nil {
				return holding{}, err
			}
			if i := slices.IndexFunc(behind, func(w contracts.Waiting) bool { return w.Message == message }); i >= 0 {
				all = append(all, holding{row, q, behind[i]})
			}
		}
	}
	if len(all) > 1 {
		if i := slices.IndexFunc(all, func(x holding) bool { return string(x.w.Message) == id || x.w.Message.Control() == id }); i >= 0 {
			return all[i], nil
		}
		return holding{}, contracts.Faultf(contracts.Conflict, "HUB-055", "", "This id names %d messages that are held. Name one: by its own id, or by the control id under which it leaves.", len(all))
	}
	if len(all) == 0 {
		return holding{}, contracts.Faultf(contracts.NotFound, "HUB-054", "", "This message neither waits nor is parked. One that is being sent right now can be stopped when it waits.")
	}
	return all[0], nil
}

// keysOf gives the keys behind which a message or one of its deliveries may wait.
func (h *Hub) keysOf(ctx context.Context, id contracts.ID) (map[contracts.ID]contracts.KeyRef, error) {
	e, err := h.ledger.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	deliveries, err := h.ledger.Deliveries(ctx, id)
	if err != nil {
		return nil, err
	}
	places := map[contracts.ID]contracts.KeyRef{e.ID: {Topic: contracts.TopicIn, Key: e.Key}}
	for _, d := range deliveries {
		places[d.ID] = contracts.KeyRef{Topic: contracts.OutTopic(d.Partner), Key: d.Key}
	}
	return places, nil
}

// Stop ends a waiting or parked message for good: it is not sent, and its key flows on without it. A key that another
// message holds up stays as it is.
func (h *Hub) Stop(ctx context.Context, id, reason, operator string) error {
	return h.onHeld(ctx, id, func(x holding, behind []contracts.Waiting) (contracts.Change, error) {
		c, err := h.operatorChange(ctx, x, contracts.StepStopped, contracts.StateStopped, reason, operator)
		c.Done = []contracts.Waiting{x.w}
		if behind[0].Message == x.w.Message {
			c.Keys = []contracts.KeyState{{KeyRef: x.w.KeyRef, Condition: contracts.KeySpilled, Since: h.now()}}
			c.Revive = []contracts.KeyRef{x.w.KeyRef}
		}
		return c, err
	})
}

// Release lets a parked or waiting key try again at once, from its first message; id is any id of a message behind it.
func (h *Hub) Release(ctx context.Context, id, reason, operator string) error {
	return h.onHeld(ctx, id, func(x holding, behind []contracts.Waiting) (contracts.Change, error) {
		c, err := h.operatorChange(ctx, x, contracts.StepReleased, contracts.StateWaiting, reason, operator)
		first := behind[0]
		first.Due, first.Attempts = h.now(), 0
		c.Keys = []contracts.KeyState{{KeyRef: x.w.KeyRef, Condition: contracts.KeySpilled, Since: h.now(), Message: first.Message}}
		c.Wait = []contracts.Waiting{first}
		return c, err
	})
}

// onHeld finds a held message and applies a change to it while nobody works its key.
func (h *Hub) onHeld(ctx context.Context, id string, change func(holding, []contracts.Waiting) (contracts.Change, error)) error {
	x, err := h.held(ctx, id)
	if err != nil {
		return err
	}
	if err := x.q.hold(ctx, x.w.Key); err != nil {
		return err
	}
	defer x.q.nudge()
	defer x.q.end(x.w.Key)
	if x, err = h.held(ctx, id); err != nil { // it may have gone on while we waited
		return err
	}
	behind, err := h.ledger.Behind(ctx, x.w.KeyRef)
	if err != nil {
		return err
	}
	c, err := change(x, behind)
	if err != nil {
		return err
	}
	return h.apply(ctx, c)
}

// operatorChange records what an operator did to a message that is held.
func (h *Hub) operatorChange(ctx context.Context, x holding, step string, state contracts.State, reason, operator string) (contracts.Change, error) {
	at := h.now()
	c := contracts.Change{Received: x.row.At, Steps: []contracts.Step{{ID: contracts.StepID(x.w.Message, step, x.q.topic, int(at.UnixMicro())), At: at, Journey: x.row.Journey,
		Message: x.row.ID, Control: x.row.Control, Type: x.row.Type, Step: step, From: operator, Reason: reason}}}
	if x.q.p == nil {
		e, err := h.ledger.Entry(ctx, x.w.Message)
		e.State, e.Fault = state, nil
		c.Entries = []contracts.Entry{e}
		return c, err
	}
	d, err := h.ledger.Delivery(ctx, x.w.Message)
	d.State = state
	c.Deliveries = []contracts.Delivery{d}
	return c, err
}

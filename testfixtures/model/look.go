package model

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// asked makes a reading call and gives what ask finds under the lock.
func asked[T any](ctx context.Context, l *Ledger, op, id string, ask func() (T, error)) (T, error) {
	var empty T
	if err := l.p.look(ctx, l.call(op, id)); err != nil {
		return empty, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return ask()
}

// row gives a copy of what a map holds, or the fault that it holds nothing.
func row[K comparable, V any](rows map[K]*V, key K) (V, error) {
	held := rows[key]
	if held == nil {
		var empty V
		return empty, contracts.Faultf(contracts.NotFound, "SIM-009", "row", "The ledger knows no such row.")
	}
	return *held, nil
}

// Entry gives a message's row.
func (l *Ledger) Entry(ctx context.Context, id contracts.ID) (contracts.Entry, error) {
	return asked(ctx, l, "entry", string(id), func() (contracts.Entry, error) { return row(l.entries, id) })
}

// Delivery gives an outgoing message's row.
func (l *Ledger) Delivery(ctx context.Context, id contracts.ID) (contracts.Delivery, error) {
	return asked(ctx, l, "delivery", string(id), func() (contracts.Delivery, error) { return row(l.deliveries, id) })
}

// Journey gives a journey's row.
func (l *Ledger) Journey(ctx context.Context, id contracts.ID) (contracts.Journey, error) {
	return asked(ctx, l, "journey", string(id), func() (contracts.Journey, error) { return row(l.journeys, id) })
}

// Body gives the bytes that a digest names.
func (l *Ledger) Body(ctx context.Context, d contracts.Digest) (contracts.Body, error) {
	return asked(ctx, l, "body", string(d), func() (contracts.Body, error) {
		b, known := l.bodies[d]
		if !known {
			return b, contracts.Faultf(contracts.NotFound, "SIM-009", "body", "The ledger knows no such body.")
		}
		return b, nil
	})
}

// Deliveries gives what left because of a message, in the order of receivers.
func (l *Ledger) Deliveries(ctx context.Context, message contracts.ID) ([]contracts.Delivery, error) {
	return asked(ctx, l, "deliveries", string(message), func() ([]contracts.Delivery, error) { return l.deliveriesOf(message), nil })
}

func (l *Ledger) deliveriesOf(message contracts.ID) []contracts.Delivery {
	var out []contracts.Delivery
	for _, d := range l.of[message] {
		out = append(out, *d)
	}
	return out
}

// Lookup gives the identifiers of a value.
func (l *Ledger) Lookup(ctx context.Context, partner, kind, value string) ([]contracts.Identifier, error) {
	return asked(ctx, l, "lookup", value, func() ([]contracts.Identifier, error) {
		var out []contracts.Identifier
		for _, i := range l.names[value] {
			if (partner == "" || i.Partner == partner) && (kind == "" || i.Kind == kind) {
				out = append(out, *i)
			}
		}
		return byName(out), nil
	})
}

// Identifiers gives a journey's names.
func (l *Ledger) Identifiers(ctx context.Context, journey contracts.ID) ([]contracts.Identifier, error) {
	return asked(ctx, l, "identifiers", string(journey), func() ([]contracts.Identifier, error) {
		var out []contracts.Identifier
		for _, named := range l.names {
			for _, i := range named {
				if journey != "" && i.Journey == journey {
					out = append(out, *i)
				}
			}
		}
		return byName(out), nil
	})
}

func byName(out []contracts.Identifier) []contracts.Identifier {
	slices.SortFunc(out, func(a, b contracts.Identifier) int {
		return cmp.Or(cmp.Compare(a.Partner, b.Partner), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value),
			cmp.Compare(first(a.Message, a.Journey), first(b.Message, b.Journey)))
	})
	return out
}

// Key gives a key's state: KeyLive for one that the ledger doesn't know.
func (l *Ledger) Key(ctx context.Context, ref contracts.KeyRef) (contracts.KeyState, error) {
	return asked(ctx, l, "key", ref.Topic+" "+string(ref.Key), func() (contracts.KeyState, error) {
		if k, held := l.keys[ref]; held {
			return k, nil
		}
		return contracts.KeyState{KeyRef: ref, Condition: contracts.KeyLive}, nil
	})
}

// Waiting gives the first message behind each spilled key of topic, if its time has come, the longest due first.
func (l *Ledger) Waiting(ctx context.Context, topic string, now time.Time, limit int) ([]contracts.Waiting, error) {
	return asked(ctx, l, "waiting", topic, func() ([]contracts.Waiting, error) {
		var out []contracts.Waiting
		for ref, k := range l.keys {
			if behind := l.behind[ref]; ref.Topic == topic && k.Condition == contracts.KeySpilled && len(behind) > 0 && !behind[0].Due.After(now) {
				out = append(out, behind[0])
			}
		}
		slices.SortFunc(out, func(a, b contracts.Waiting) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Key, b.Key)) })
		return out[:min(limit, len(out))], nil
	})
}

// Behind gives all that waits behind a key, in order.
func (l *Ledger) Behind(ctx context.Context, ref contracts.KeyRef) ([]contracts.Waiting, error) {
	return asked(ctx, l, "behind", ref.Topic+" "+string(ref.Key), func() ([]contracts.Waiting, error) { return slices.Clone(l.behind[ref]), nil })
}

// JourneySteps gives the steps of a journey and of its messages and their deliveries, oldest first.
func (l *Ledger) JourneySteps(ctx context.Context, journey contracts.ID) ([]contracts.Step, error) {
	return asked(ctx, l, "steps", string(journey), func() ([]contracts.Step, error) {
		return l.chosenSteps(func(s contracts.Step) bool {
			message := s.Message
			if d := l.deliveries[message]; d != nil {
				message = d.Message
			}
			e := l.entries[message]
			return e != nil && journey != "" && e.Journey == journey
		}), nil
	})
}

// MessageSteps gives the steps of a message and of its deliveries, oldest first.
func (l *Ledger) MessageSteps(ctx context.Context, message contracts.ID) ([]contracts.Step, error) {
	return asked(ctx, l, "steps", string(message), func() ([]contracts.Step, error) {
		return l.chosenSteps(func(s contracts.Step) bool {
			d := l.deliveries[s.Message]
			return s.Message == message || d != nil && d.Message == message
		}), nil
	})
}

func (l *Ledger) chosenSteps(chosen func(contracts.Step) bool) []contracts.Step {
	var out []contracts.Step
	for _, s := range l.steps {
		if chosen(s) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b contracts.Step) int { return a.At.Compare(b.At) })
	return out
}

// JourneyEntries gives a journey's messages, oldest first.
func (l *Ledger) JourneyEntries(ctx context.Context, journey contracts.ID) ([]contracts.Entry, error) {
	return asked(ctx, l, "entries", string(journey), func() ([]contracts.Entry, error) {
		out := l.chosen(func(e *contracts.Entry) bool { return journey != "" && e.Journey == journey })
		slices.Reverse(out)
		return out, nil
	})
}

// chosen gives entries, newest first.
func (l *Ledger) chosen(choose func(*contracts.Entry) bool) []contracts.Entry {
	var out []contracts.Entry
	for _, e := range l.entries {
		if choose(e) {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b contracts.Entry) int { return cmp.Or(b.Received.Compare(a.Received), cmp.Compare(b.ID, a.ID)) })
	return out
}

// List gives the rows that f chooses, newest first.
func (l *Ledger) List(ctx context.Context, f contracts.Filter) ([]contracts.Row, error) {
	return asked(ctx, l, "list", "", func() ([]contracts.Row, error) {
		var out []contracts.Row
		for _, e := range l.chosen(func(e *contracts.Entry) bool {
			return (f.Type == "" || e.Type == f.Type) && !e.Received.Before(f.Since) && (f.Issue == "" ||
				slices.ContainsFunc(l.raised, func(r contracts.Raised) bool { return string(r.Issue) == f.Issue && r.Message == e.ID }))
		}) {
			r := l.rowOf(e)
			if len(out) < first(f.Limit, 200) && (f.State == "" || r.State == f.State) &&
				(f.Partner == "" || r.From == f.Partner || slices.Contains(r.To, f.Partner)) {
				out = append(out, r)
			}
		}
		return out, nil
	})
}

// Find gives the rows that any id names, newest first.
func (l *Ledger) Find(ctx context.Context, id string) ([]contracts.Row, error) {
	return asked(ctx, l, "find", id, func() ([]contracts.Row, error) {
		if id == "" {
			return nil, nil
		}
		messages, journeys := map[contracts.ID]bool{contracts.ID(id): true}, map[contracts.ID]bool{contracts.ID(id): true}
		for _, d := range l.deliveries {
			if string(d.ID) == id {
				messages[d.Message] = true
			}
		}
		for _, i := range l.names[id] {
			if i.Message != "" {
				messages[i.Message] = true
			} else {
				journeys[i.Journey] = true
			}
		}
		var out []contracts.Row
		for _, e := range l.chosen(func(e *contracts.Entry) bool {
			return messages[e.ID] || e.Control == id || e.Journey != "" && journeys[e.Journey]
		}) {
			out = append(out, l.rowOf(e))
		}
		return out, nil
	})
}

// leastFirst orders states from the least to the most advanced, as a row of several deliveries shows them.
var leastFirst = []contracts.State{contracts.StateParked, contracts.StateRefused, contracts.StateWaiting, contracts.StateReceived,
	contracts.StateTranslated, contracts.StateSending, contracts.StateDelivered, contracts.StateStopped}

func (l *Ledger) rowOf(e contracts.Entry) contracts.Row {
	r := contracts.Row{ID: e.ID, Control: e.Control, From: e.Partner, To: []string{}, Type: e.Type, Journey: e.Journey, State: e.State,
		At: e.Received, Map: e.Map, Cause: e.Cause, Fault: e.Fault}
	var least *contracts.Delivery
	for _, d := range l.of[e.ID] {
		if !slices.Contains(r.To, d.Partner) {
			r.To = append(r.To, d.Partner)
		}
		r.Map = first(r.Map, d.Map)
		if d.State != "" && (least == nil || slices.Index(leastFirst, d.State) < slices.Index(leastFirst, least.State)) {
			least = d
		}
	}
	if least != nil {
		r.State, r.Fault = least.State, first(least.Fault, r.Fault)
	}
	return r
}

package model

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Parked gives the places in a park topic at which the bytes of waiting messages lie, oldest first by partition.
func (l *Ledger) Parked(ctx context.Context, topic string) ([]contracts.Place, error) {
	return asked(ctx, l, "parked", topic, func() ([]contracts.Place, error) {
		var out []contracts.Place
		for _, behind := range l.behind {
			for _, w := range behind {
				if w.Park.Topic == topic {
					out = append(out, w.Park)
				}
			}
		}
		slices.SortFunc(out, func(a, b contracts.Place) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		return out, nil
	})
}

// Unsettled says whether a message of a key that was received before a time isn't settled yet.
func (l *Ledger) Unsettled(ctx context.Context, key contracts.Key, before time.Time) (bool, error) {
	return asked(ctx, l, "unsettled", string(key), func() (bool, error) {
		for _, e := range l.entries {
			if e.Key == key && e.Received.Before(before) && !l.settled(e) {
				return true, nil
			}
		}
		return false, nil
	})
}

// Pauses gives the partners that an operator paused, by name.
func (l *Ledger) Pauses(ctx context.Context) ([]contracts.Pause, error) {
	return asked(ctx, l, "pauses", "", func() ([]contracts.Pause, error) {
		return slices.SortedFunc(maps.Values(l.pauses), func(a, b contracts.Pause) int { return cmp.Compare(a.Partner, b.Partner) }), nil
	})
}

// Activations gives all activations of maps, in the order in which they were made.
func (l *Ledger) Activations(ctx context.Context) ([]contracts.Activation, error) {
	return asked(ctx, l, "activations", "", func() ([]contracts.Activation, error) {
		return slices.SortedStableFunc(slices.Values(l.active), func(a, b contracts.Activation) int {
			return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.ID, b.ID))
		}), nil
	})
}

// Issues gives the issues that are open, the one with the newest message first.
func (l *Ledger) Issues(ctx context.Context) ([]contracts.Issue, error) {
	return asked(ctx, l, "issues", "", func() ([]contracts.Issue, error) {
		by := map[contracts.ID]*contracts.Issue{}
		for _, r := range l.raised {
			i := by[r.Issue]
			if i == nil {
				i = &contracts.Issue{ID: r.Issue, First: r.At}
				by[r.Issue] = i
			}
			i.Messages++
			if r.At.Before(i.First) {
				i.First = r.At
			}
			if cmp.Or(r.At.Compare(i.Last), cmp.Compare(r.Message, i.Message)) > 0 {
				i.Last, i.Message, i.Partner, i.Map, i.Fault = r.At, r.Message, r.Partner, r.Map, r.Fault
			}
		}
		var out []contracts.Issue
		for _, i := range by {
			out = append(out, *i)
		}
		slices.SortFunc(out, func(a, b contracts.Issue) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
		return out, nil
	})
}

// Expire forgets messages that were received before a time and whose journeys have nothing unsettled.
func (l *Ledger) Expire(ctx context.Context, before time.Time) (forgotten int64, err error) {
	err = l.p.change(ctx, l.call("expire", before.String()), func(*rand.Rand) error {
		held := map[contracts.ID]bool{} // journeys
		for _, e := range l.entries {
			if !l.settled(e) {
				held[e.Journey] = true
			}
		}
		touched := map[contracts.ID]bool{}
		for id, e := range l.entries {
			if e.Received.Before(before) && l.settled(e) && (e.Journey == "" || !held[e.Journey]) {
				l.forget(id)
				touched[e.Journey] = true
				forgotten++
			}
		}
		l.forgetOrphans(touched, before)
		return nil
	})
	return forgotten, err
}

// settled says that nothing is left to do for a message.
func (l *Ledger) settled(e *contracts.Entry) bool {
	over := func(s contracts.State) bool {
		return s == contracts.StateDelivered || s == contracts.StateRefused || s == contracts.StateStopped
	}
	return over(l.rowOf(*e).State) && !slices.ContainsFunc(l.of[e.ID], func(d *contracts.Delivery) bool { return !over(d.State) })
}

func (l *Ledger) forget(id contracts.ID) {
	gone := map[contracts.ID]bool{id: true}
	for _, d := range l.of[id] {
		gone[d.ID] = true
		delete(l.deliveries, d.ID)
	}
	l.steps = slices.DeleteFunc(l.steps, func(s contracts.Step) bool {
		if gone[s.Message] {
			delete(l.stepped, s.ID)
		}
		return gone[s.Message]
	})
	l.forgetNames(func(i *contracts.Identifier) bool { return i.Message == id })
	l.raised = slices.DeleteFunc(l.raised, func(r contracts.Raised) bool { return r.Message == id })
	delete(l.of, id)
	delete(l.entries, id)
}

func (l *Ledger) forgetNames(gone func(*contracts.Identifier) bool) {
	for value, named := range l.names {
		if l.names[value] = slices.DeleteFunc(named, gone); len(l.names[value]) == 0 {
			delete(l.names, value)
		}
	}
}

// forgetOrphans drops those of the touched journeys that have no message left, with their names, and old bodies that no
// message has.
func (l *Ledger) forgetOrphans(touched map[contracts.ID]bool, before time.Time) {
	bodies := map[contracts.Digest]bool{}
	delete(touched, "")
	for _, e := range l.entries {
		bodies[e.Canonical] = true
		delete(touched, e.Journey)
	}
	for journey := range touched {
		delete(l.journeys, journey)
	}
	l.forgetNames(func(i *contracts.Identifier) bool { return touched[i.Journey] })
	for digest, born := range l.born {
		if born.Before(before) && !bodies[digest] {
			delete(l.bodies, digest)
			delete(l.born, digest)
		}
	}
}

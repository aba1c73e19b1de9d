package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// answersOfHUS is how many messages the synthetic HUS sends about a referral.
const answersOfHUS = 3

// arrive waits until everything is delivered. The rows are those of the journey, oldest first, whatever the outcome.
func (d *demo) arrive(ctx context.Context, m referral, before []contracts.ID, known bool) ([]contracts.Row, error) {
	for _, id := range before {
		d.touched[id] = true
	}
	var rows []contracts.Row
	for {
		now, done, err := d.standing(ctx, m, known)
		if contracts.KindOf(err) == contracts.Unavailable && ctx.Err() != nil {
			return rows, d.timeIsUp(ctx, rows) // in the middle of a look; the one before counts
		}
		if rows = now; done || err != nil {
			return rows, err
		}
		select {
		case <-d.moved:
		case refused := <-d.unwelcome:
			return rows, contracts.Faultf(contracts.Refused, "DEMO-004", "", "The hub's door refused what HUS posted (%s): HTTP %d, %s.", refused.Event, refused.Status, refused.Issue)
		case <-ctx.Done():
			return rows, d.timeIsUp(ctx, rows)
		}
	}
}

// timeIsUp says why arrive waits no longer: the journey took too long, or somebody ends the demo.
func (d *demo) timeIsUp(ctx context.Context, rows []contracts.Row) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return d.tooLate(rows)
	}
	return ctx.Err()
}

// standing looks at all messages that belong to this run. A message that will not arrive by itself is an error.
func (d *demo) standing(ctx context.Context, m referral, known bool) (rows []contracts.Row, done bool, err error) {
	for len(d.seen) > 0 {
		if id := <-d.seen; !d.serve { // while serving, what others send is their own affair
			d.touched[id] = true
		}
	}
	mine, err := d.row(ctx, m)
	if mine == nil || err != nil {
		return nil, false, err
	}
	rows = []contracts.Row{*mine}
	if mine.Journey != "" {
		if rows, err = d.house.hub.Find(ctx, string(mine.Journey)); err != nil {
			return nil, false, err
		}
		slices.SortStableFunc(rows, func(a, b contracts.Row) int { return a.At.Compare(b.At) })
	}
	all := slices.Clone(rows)
	for id := range d.touched {
		if slices.ContainsFunc(rows, func(r contracts.Row) bool { return r.ID == id }) {
			continue
		}
		others, err := d.house.hub.Find(ctx, string(id))
		if err != nil && contracts.KindOf(err) != contracts.NotFound {
			return rows, false, err
		}
		all = append(all, others...)
	}
	done = true
	for _, r := range all {
		switch r.State {
		case contracts.StateDelivered:
		case contracts.StateParked, contracts.StateRefused, contracts.StateStopped:
			if !slices.ContainsFunc(rows, func(known contracts.Row) bool { return known.ID == r.ID }) {
				rows = append(rows, r)
			}
			return rows, false, stuck(r)
		default:
			done = false
		}
	}
	if !done || !d.answered(rows, known) {
		return rows, false, nil
	}
	done, err = d.allTold(ctx, m)
	return rows, done, err
}

// allTold says whether the hub has told of every delivery: the ledger knows of each a moment earlier.
func (d *demo) allTold(ctx context.Context, m referral) (bool, error) {
	trace, err := d.house.hub.Trace(ctx, m.control)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.ContainsFunc(trace.Steps, func(s contracts.Step) bool {
		return s.Step == contracts.StepDelivered && s.At.After(d.teller.begun) && !d.told[s.ID]
	}), nil
}

// answered says whether HUS has said all that it will. A HUS of the user's own isn't waited for; of a known message
// it may have been the one that was asked.
func (d *demo) answered(rows []contracts.Row, known bool) bool {
	if d.hus == nil || rows[0].Type != "REF^I12" {
		return true
	}
	answers := 0
	for _, r := range rows {
		if r.From == "hus" {
			answers++
		}
	}
	return d.hus.Idle() && (answers >= answersOfHUS || known)
}

// stuck words a message that needs a person.
func stuck(r contracts.Row) error {
	f := &contracts.Fault{Kind: contracts.Refused, Code: "DEMO-005", Public: fmt.Sprintf("The message %s from %s is %s.", r.Control, r.From, r.State)}
	if r.Fault != nil {
		f.Kind, f.At = r.Fault.Kind, r.Fault.Place()
		f.Public += " " + r.Fault.Code + ": " + r.Fault.Public
	}
	if f.Kind == contracts.Unavailable {
		f.Kind = contracts.Refused // it was given up, which is another thing than out of reach
	}
	return f
}

// tooLate words what is missing when the time is up.
func (d *demo) tooLate(rows []contracts.Row) error {
	for _, r := range rows {
		if r.State != contracts.StateDelivered {
			f := contracts.Faultf(contracts.Refused, "DEMO-006", "", "After %s the message %s from %s to %s is still %s.", d.patience, r.Control, r.From, strings.Join(r.To, ", "), r.State)
			if r.Fault != nil && r.Fault.Kind == contracts.Unavailable {
				f.Kind = contracts.Unavailable
				f.Public += " " + r.Fault.Public
			}
			return f
		}
	}
	return contracts.Faultf(contracts.Refused, "DEMO-007", "", "After %s not all answers of HUS have come.", d.patience)
}

package hub

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Pause lets a partner get nothing, not even a probe, until Resume: what is for it waits, and nothing is counted as a
// failure. What is on its way goes on, and so does receiving from it. The ledger keeps the word, so it holds after a
// restart and, within a second or so, in every process on that ledger. A second pause changes nothing.
func (h *Hub) Pause(ctx context.Context, partner, reason, operator string) error {
	return h.setPause(ctx, partner, func(at time.Time) contracts.Change {
		return contracts.Change{Pauses: []contracts.Pause{{Partner: partner, Since: at, Operator: operator, Reason: reason}},
			Steps: []contracts.Step{pauseStep(contracts.StepPaused, partner, reason, operator, at)}}
	}, false)
}

// Resume ends a pause: what waited goes out in order. One that isn't paused stays as it is.
func (h *Hub) Resume(ctx context.Context, partner, reason, operator string) error {
	return h.setPause(ctx, partner, func(at time.Time) contracts.Change {
		return contracts.Change{Resumes: []string{partner}, Steps: []contracts.Step{pauseStep(contracts.StepResumed, partner, reason, operator, at)}}
	}, true)
}

func pauseStep(kind, partner, reason, operator string, at time.Time) contracts.Step {
	return contracts.Step{ID: contracts.StepID(contracts.DerivedID("pause", partner), kind, partner, int(at.UnixMicro())), At: at,
		Step: kind, From: operator, To: partner, Reason: reason}
}

// setPause applies a change to a partner's pause where it is as from says, and lets it hold here at once.
func (h *Hub) setPause(ctx context.Context, partner string, change func(time.Time) contracts.Change, from bool) error {
	p := h.partners[partner]
	if p == nil {
		return contracts.Faultf(contracts.NotFound, "HUB-060", "", "There is no partner of this id.")
	}
	if p.courier == nil {
		return contracts.Faultf(contracts.Invalid, "HUB-061", "", "Nothing is sent to this partner: its contract has no courier.")
	}
	if err := h.lookAtPauses(ctx); err != nil {
		return err
	}
	if paused := p.pause.Load() != nil; paused != from {
		return nil
	}
	at := h.now()
	c := change(at)
	c.Received = at
	if err := h.apply(ctx, c); err != nil {
		return err
	}
	return h.lookAtPauses(ctx)
}

// pauseLook is how often the ledger is asked which partners are paused.
const pauseLook = time.Second

// watchPauses follows the ledger's pauses until ctx ends. Gates are halted until it has looked once.
func (h *Hub) watchPauses(ctx context.Context) error {
	for {
		if err := h.lookAtPauses(ctx); err != nil && ctx.Err() == nil {
			h.log.WithField("kind", contracts.KindOf(err)).Warn("the ledger doesn't say which partners are paused; what was known holds")
		}
		if !pause(ctx, pauseLook) {
			return nil
		}
	}
}

// lookAtPauses halts the gates of partners that the ledger has as paused, and no others.
func (h *Hub) lookAtPauses(ctx context.Context) error {
	select {
	case h.pausing <- struct{}{}: // one at a time, or an older look would undo a newer one
		defer func() { <-h.pausing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	held, err := h.ledger.Pauses(ctx)
	if err != nil {
		return err
	}
	for _, p := range h.partners {
		i := slices.IndexFunc(held, func(x contracts.Pause) bool { return x.Partner == p.ID })
		if i < 0 {
			p.pause.Store(nil)
		} else {
			p.pause.Store(&held[i])
		}
		p.gate.halt(i >= 0)
	}
	return nil
}

// Partners gives every partner with the state of the way there.
func (h *Hub) Partners(ctx context.Context) ([]contracts.PartnerRow, error) {
	rows := make([]contracts.PartnerRow, 0, len(h.partners))
	for _, p := range h.partners {
		row := contracts.PartnerRow{ID: p.ID, Title: p.Title, State: p.way(), Pause: p.pause.Load()}
		for state, count := range map[contracts.State]*int{contracts.StateWaiting: &row.Waiting, contracts.StateParked: &row.Parked} {
			messages, err := h.ledger.List(ctx, contracts.Filter{State: state, Partner: p.ID, Limit: contracts.PartnerRowMost})
			if err != nil {
				return nil, err
			}
			*count = len(messages)
		}
		if p.courier != nil {
			var err error
			if row.Lag, err = h.bus.Lag(ctx, contracts.OutTopic(p.ID), GroupDeliver); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b contracts.PartnerRow) int { return strings.Compare(a.ID, b.ID) })
	return rows, nil
}

// way is the state of the way to a partner.
func (p *partner) way() contracts.CourierState {
	switch {
	case p.courier == nil:
		return contracts.CourierNone
	case p.pause.Load() != nil:
		return contracts.CourierPaused
	case p.gate.down():
		return contracts.CourierDown
	}
	return contracts.CourierLive
}

// halted says that nothing is sent to a partner now, because it doesn't answer or an operator said so.
func (p *partner) halted() bool {
	way := p.way()
	return way == contracts.CourierPaused || way == contracts.CourierDown
}

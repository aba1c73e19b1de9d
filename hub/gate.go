package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// gate pauses a partner that is down. After so many failures in a row, over several keys or without any answer, it
// closes: deliveries wait at it, and one of them at a time is let through as a probe every few seconds. The first that
// is answered well opens it. A partner that answers one referral with errors isn't down, so that doesn't close it.
//
// An operator can halt it as well: then nothing passes, not even a probe. It begins halted, until it is known whether an
// operator's word of an earlier day still holds.
type gate struct {
	after int
	every time.Duration

	mu      sync.Mutex
	fails   int
	mute    bool // the last failures came without an answer
	keys    map[contracts.Key]bool
	closed  bool
	halted  bool
	probing bool
	opened  chan struct{} // closed, and made anew, when the gate opens
}

func newGate(r contracts.Retry) *gate {
	return &gate{after: r.Pause, every: r.Probe, keys: map[contracts.Key]bool{}, halted: true, opened: make(chan struct{})}
}

// enter waits until a delivery may begin; probe tells that the partner is paused and this one tries it.
func (g *gate) enter(ctx context.Context) (probe bool, err error) {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if open, probe := g.tryEnter(); open {
			return false, ctx.Err()
		} else if probe {
			if entered, probe, err := g.awaitProbe(ctx); entered || err != nil {
				return probe, err
			}
			continue
		}
		t := time.NewTimer(g.every)
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-opened:
		case <-t.C:
		}
		if t.Stop(); err != nil {
			return false, err
		}
	}
}

// tryEnter says whether the gate is open and, if it isn't, whether the caller is the next to probe.
func (g *gate) tryEnter() (open, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.halted {
		return false, false
	}
	if !g.closed {
		return true, false
	}
	probe = !g.probing
	g.probing = g.probing || probe
	return false, probe
}

// awaitProbe lets a probe wait for its time. It goes at once when the gate opens meanwhile, and not at all when an
// operator halts it.
func (g *gate) awaitProbe(ctx context.Context) (entered, probe bool, err error) {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	t := time.NewTimer(g.every)
	defer t.Stop()
	select {
	case <-t.C:
	case <-opened:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	probe = g.closed && !g.halted && err == nil
	g.probing = probe
	return !g.halted && err == nil, probe, err
}

// halt closes the gate for an operator, or ends that; what is on its way goes on.
func (g *gate) halt(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.halted && !yes {
		g.open()
	}
	g.halted = yes
}

// open wakes who waits; the caller holds mu.
func (g *gate) open() {
	close(g.opened)
	g.opened = make(chan struct{})
}

// isHalted says whether nothing may pass.
func (g *gate) isHalted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.halted
}

// leave tells how a delivery ended: result is nil when it never came to the partner; answered says that the partner
// answered, if only with an error.
func (g *gate) leave(key contracts.Key, result *error, answered, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if probe {
		g.probing = false
	}
	if result == nil {
		return
	}
	if contracts.KindOf(*result) == contracts.Unavailable {
		g.fails++
		g.keys[key] = true
		g.mute = !answered && (g.mute || g.fails == 1)
		if g.fails >= g.after && (g.mute || len(g.keys) > 1) && !g.closed {
			g.closed = true
		}
		return
	}
	g.fails, g.mute = 0, false
	clear(g.keys)
	if g.closed {
		g.closed = false
		g.open()
	}
}

// down says whether the partner is paused because it doesn't answer.
func (g *gate) down() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

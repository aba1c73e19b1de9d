package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// gate pauses a partner that is down. After so many failures in a row, over all keys, it closes: deliveries wait at
// it, and one of them at a time is let through as a probe every few seconds. The first that is answered opens it.
type gate struct {
	after int
	every time.Duration

	mu      sync.Mutex
	fails   int
	closed  bool
	probing bool
	opened  chan struct{} // closed when the gate opens
}

func newGate(r contracts.Retry) *gate {
	return &gate{after: r.Pause, every: r.Probe, opened: make(chan struct{})}
}

// enter waits until a delivery may begin; probe tells that the partner is paused and this one tries it.
func (g *gate) enter(ctx context.Context) (probe bool, err error) {
	for {
		g.mu.Lock()
		if !g.closed {
			g.mu.Unlock()
			return false, ctx.Err()
		}
		opened, mine := g.opened, !g.probing
		g.probing = true
		g.mu.Unlock()
		t := time.NewTimer(g.every)
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-opened:
		case <-t.C:
			if mine {
				return true, nil
			}
		}
		t.Stop()
		if mine {
			g.mu.Lock()
			g.probing = false
			g.mu.Unlock()
		}
		if err != nil {
			return false, err
		}
	}
}

// leave tells how a delivery ended: result is nil when it never came to the partner.
func (g *gate) leave(result *error, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if probe {
		g.probing = false
	}
	if result == nil {
		return
	}
	if contracts.KindOf(*result) == contracts.Unavailable {
		if g.fails++; g.fails >= g.after && !g.closed {
			g.closed, g.opened = true, make(chan struct{})
		}
		return
	}
	g.fails = 0
	if g.closed {
		g.closed = false
		close(g.opened)
	}
}

// paused says whether the partner is paused.
func (g *gate) paused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

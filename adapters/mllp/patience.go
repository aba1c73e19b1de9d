package mllp

import (
	"context"
	"time"
)

// patience bounds the receiver's word on one message after another. A context with a deadline of its own for each would
// be a good part of what a small message costs.
type patience struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// begin gives a context that ends in receiveWithin, unless enough is called before.
func (p *patience) begin(parent context.Context) (ctx context.Context, enough func()) {
	if p.ctx == nil {
		p.ctx, p.cancel = context.WithCancelCause(parent)
		cancel := p.cancel
		p.timer = time.AfterFunc(receiveWithin, func() { cancel(context.DeadlineExceeded) })
	} else {
		p.timer.Reset(receiveWithin)
	}
	return p.ctx, p.enough
}

func (p *patience) enough() {
	if !p.timer.Stop() { // it has run out, so the next message needs another
		p.end()
	}
}

func (p *patience) end() {
	if p.ctx != nil {
		p.timer.Stop()
		p.cancel(nil)
		p.ctx = nil
	}
}

package main

import (
	"context"
	"time"
)

// forgetEvery is how often what has grown too old is looked for.
const forgetEvery = 24 * time.Hour

// forgetting forgets, from an hour after the start on, what the settings say need not be kept.
func (h *house) forgetting(ctx context.Context) error {
	for wait := time.Hour; ; wait = forgetEvery {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		h.forget(ctx)
	}
}

// forget does it once.
func (h *house) forget(ctx context.Context) {
	h.files.Lock()
	defer h.files.Unlock()
	s, hub := h.present()
	if err := hub.Expire(ctx, s.Keep.Messages, s.Keep.Ledger); err != nil && ctx.Err() == nil {
		h.log.WithError(err).Warn("Not all that is old could be forgotten; it is tried again tomorrow.")
	}
}

package model

import (
	"context"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Owns is always true: one process consumes.
func (b *Bus) Owns(_, _ string, _ contracts.Key) bool { return true }

// Hold always holds.
func (b *Bus) Hold(_, _ string, _ contracts.Key) (release func(), held bool) {
	return func() {}, true
}

// Trim keeps everything.
func (b *Bus) Trim(context.Context, string, time.Time, []contracts.Place) error { return nil }

// Parked isn't modelled yet.
func (l *Ledger) Parked(context.Context, string) ([]contracts.Place, error) { return nil, nil }

// Pauses isn't modelled yet.
func (l *Ledger) Pauses(context.Context) ([]contracts.Pause, error) { return nil, nil }

// Expire keeps everything.
func (l *Ledger) Expire(context.Context, time.Time) (int64, error) { return 0, nil }

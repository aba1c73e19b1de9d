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

package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Expire forgets what is older than it must be kept: messages on the bus that everybody is done with, and what the ledger
// knows of messages that are settled. Zero keeps for ever. What waits or is parked stays, whatever its age. A part that
// fails doesn't keep the others from being done.
func (h *Hub) Expire(ctx context.Context, messages, ledger time.Duration) error {
	var errs []error
	if ledger > 0 {
		forgotten, err := h.ledger.Expire(ctx, h.now().Add(-ledger))
		h.log.WithField("messages", forgotten).Info("The ledger forgot what was settled long ago.")
		errs = append(errs, wrap(err, "the ledger's rows"))
	}
	if messages > 0 {
		before := h.now().Add(-messages)
		var all []contracts.Place
		known := true
		for _, topic := range h.topics() {
			keep, err := h.ledger.Parked(ctx, topic)
			if err == nil { // else what is parked isn't known, and nothing may go
				err = h.bus.Trim(ctx, topic, before, keep)
			}
			all, known = append(all, keep...), known && err == nil
			errs = append(errs, wrap(err, topic))
		}
		if known { // bodies go after the records that name them
			errs = append(errs, wrap(h.bus.Trim(ctx, contracts.TopicBody, before, all), contracts.TopicBody))
		}
	}
	return errors.Join(errs...)
}

func wrap(err error, what string) error {
	if err != nil {
		return fmt.Errorf("expire %s: %w", what, err)
	}
	return nil
}

// topics are those that hold messages, in order.
func (h *Hub) topics() []string {
	topics := []string{contracts.TopicIn, contracts.TopicDead}
	for _, p := range h.partners {
		topics = append(topics, contracts.ParkTopic(p.ID))
		if p.courier != nil {
			topics = append(topics, contracts.OutTopic(p.ID))
		}
	}
	slices.Sort(topics)
	return topics
}

// Unfinished says for which of these partners messages are on the way, wait or are parked: what a hub without the
// partner couldn't deliver. The lanes must stand still, or it may be out of date at once.
func (h *Hub) Unfinished(ctx context.Context, partners []string) ([]string, error) {
	var some []string
	for _, id := range partners {
		lag := int64(0)
		var err error
		if p := h.partners[id]; p != nil && p.courier != nil {
			if lag, err = h.bus.Lag(ctx, contracts.OutTopic(id), GroupDeliver); err != nil {
				return nil, err
			}
		}
		held, err := h.ledger.Parked(ctx, contracts.ParkTopic(id))
		if err != nil {
			return nil, err
		}
		if lag > 0 || len(held) > 0 {
			some = append(some, id)
		}
	}
	return some, nil
}

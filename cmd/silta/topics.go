package main

import (
	"context"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// hubTopics begin the names of the hub's topics.
const hubTopics = "silta."

// renamed is a bus whose topics have other names on the cluster than the hub knows, so that several installations, or a
// bench, can share it.
type renamed struct {
	hub.Bus
	names string // in place of hubTopics
}

func (b renamed) there(topic string) string {
	if rest, ok := strings.CutPrefix(topic, hubTopics); ok {
		return b.names + rest
	}
	return topic
}

func (b renamed) here(topic string) string {
	if rest, ok := strings.CutPrefix(topic, b.names); ok {
		return hubTopics + rest
	}
	return topic
}

func (b renamed) hereRecord(r contracts.Record) contracts.Record {
	r.Topic, r.Place.Topic = b.here(r.Topic), b.here(r.Place.Topic)
	return r
}

func (b renamed) therePlace(p contracts.Place) contracts.Place {
	p.Topic = b.there(p.Topic)
	return p
}

func (b renamed) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	r.Topic = b.there(r.Topic)
	p, err := b.Bus.Publish(ctx, r, once)
	p.Place.Topic = b.here(p.Place.Topic)
	return p, err
}

func (b renamed) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	return b.Bus.Consume(ctx, b.there(topic), group, lanes, func(ctx context.Context, r contracts.Record) error { return handle(ctx, b.hereRecord(r)) })
}

func (b renamed) Read(ctx context.Context, place contracts.Place) (contracts.Record, error) {
	r, err := b.Bus.Read(ctx, b.therePlace(place))
	return b.hereRecord(r), err
}

func (b renamed) Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error {
	choice.Topic = b.there(choice.Topic)
	return b.Bus.Replay(ctx, choice, func(r contracts.Record) error { return each(b.hereRecord(r)) })
}

func (b renamed) Pause(topic, group string)  { b.Bus.Pause(b.there(topic), group) }
func (b renamed) Resume(topic, group string) { b.Bus.Resume(b.there(topic), group) }

func (b renamed) Owns(topic, group string, key contracts.Key) bool {
	return b.Bus.Owns(b.there(topic), group, key)
}

func (b renamed) Hold(topic, group string, key contracts.Key) (lane context.Context, release func(), held bool) {
	return b.Bus.Hold(b.there(topic), group, key)
}

func (b renamed) Trim(ctx context.Context, topic string, before time.Time, keep []contracts.Place) error {
	kept := make([]contracts.Place, len(keep))
	for i, p := range keep {
		kept[i] = b.therePlace(p)
	}
	return b.Bus.Trim(ctx, b.there(topic), before, kept)
}

func (b renamed) Lag(ctx context.Context, topic, group string) (int64, error) {
	return b.Bus.Lag(ctx, b.there(topic), group)
}

package model

import (
	"context"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Bus is a hub.Bus in memory. A record is durable when it is in its topic, and can be seen from then on. What a group
// has finished is committed now and then; a crash sets the group back to what was committed.
type Bus struct {
	w       *World
	weather Weather

	mu     sync.Mutex
	topics map[string]*topic
	claims map[contracts.Key]claim
	groups map[groupOf]*group
}

type topic struct{ records []contracts.Record }

type claim struct {
	digest contracts.Digest
	id     contracts.ID
	first  time.Time
	place  contracts.Place
}

type groupOf struct{ topic, group string }

// group is what a group has finished of a topic, all below offset low and the offsets in beyond; committed is how much
// of it outlives a crash. Change is signalled when there may be something to hand out.
type group struct {
	committed, low int64
	beyond         map[int64]bool
	paused         *life // the life in which it was paused; a pause ends with the process
	change         chan struct{}
	consumer       *consumer // who consumes now
}

// NewBus gives an empty bus.
func NewBus(w *World, weather Weather) *Bus {
	return &Bus{w: w, weather: weather, topics: map[string]*topic{}, claims: map[contracts.Key]claim{}, groups: map[groupOf]*group{}}
}

func (b *Bus) topic(name string) *topic {
	if b.topics[name] == nil {
		b.topics[name] = &topic{}
	}
	return b.topics[name]
}

func (b *Bus) group(topic, name string) *group {
	of := groupOf{topic, name}
	if b.groups[of] == nil {
		b.groups[of] = &group{beyond: map[int64]bool{}, change: make(chan struct{}, 1)}
	}
	return b.groups[of]
}

func (g *group) signal() {
	select {
	case g.change <- struct{}{}:
	default:
	}
}

// Publish appends r and settles its claim; see hub.Bus. A claim that is the same doesn't append a second copy.
func (b *Bus) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	var p contracts.Published
	err := b.w.change(ctx, b.weather, &b.mu, "publish", r.Topic+" "+string(r.ID), func(*rand.Rand) error {
		p = b.publish(r, once)
		return nil
	})
	if err != nil {
		return contracts.Published{}, err
	}
	return p, nil
}

func (b *Bus) publish(r contracts.Record, once *contracts.Once) contracts.Published {
	r.Time = instant(r.Time)
	if once == nil {
		return contracts.Published{Claim: contracts.ClaimNone, First: r.Time, ID: r.ID, Place: b.append(r)}
	}
	held, known := b.claims[once.Key]
	if !known {
		held = claim{once.Digest, r.ID, r.Time, b.append(r)}
		b.claims[once.Key] = held
		return contracts.Published{Claim: contracts.ClaimNew, First: held.first, ID: held.id, Place: held.place}
	}
	if held.digest != once.Digest {
		return contracts.Published{Claim: contracts.ClaimOther, First: held.first, ID: held.id}
	}
	return contracts.Published{Claim: contracts.ClaimSame, First: held.first, ID: held.id, Place: held.place}
}

func (b *Bus) append(r contracts.Record) contracts.Place {
	t := b.topic(r.Topic)
	r.Header = maps.Clone(r.Header)
	r.Body = contracts.NewBody(append([]byte(nil), r.Body.Bytes()...))
	r.Place = contracts.Place{Topic: r.Topic, Offset: int64(len(t.records))}
	t.records = append(t.records, r)
	for of, g := range b.groups {
		if of.topic == r.Topic {
			g.signal()
		}
	}
	return r.Place
}

// Read gives the record at a place.
func (b *Bus) Read(ctx context.Context, place contracts.Place) (contracts.Record, error) {
	if err := b.w.look(ctx, b.weather, "read", place.Topic+" "+strconv.FormatInt(place.Offset, 10)); err != nil {
		return contracts.Record{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	records := b.topic(place.Topic).records
	if place.Partition != 0 || place.Offset < 0 || place.Offset >= int64(len(records)) {
		return contracts.Record{}, contracts.Faultf(contracts.NotFound, "SIM-002", "offset", "There is no record at this place.")
	}
	return copyOf(records[place.Offset]), nil
}

// copyOf gives a record whose header can be changed without changing what the bus keeps.
func copyOf(r contracts.Record) contracts.Record {
	r.Header = maps.Clone(r.Header)
	return r
}

// Replay gives the chosen records as they were when it was called, oldest first.
func (b *Bus) Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error {
	if err := b.w.look(ctx, b.weather, "replay", choice.Topic); err != nil {
		return err
	}
	for _, r := range b.Records(choice.Topic) {
		if choice.Key != "" && r.Key != choice.Key || r.Time.Before(choice.Since) {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// Records gives all that a topic holds, oldest first, without any weather: for whoever checks what happened.
func (b *Bus) Records(topic string) []contracts.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []contracts.Record
	for _, r := range b.topic(topic).records {
		out = append(out, copyOf(r))
	}
	return out
}

// Pause stops handing out a topic's records to a group.
func (b *Bus) Pause(topic, name string) {
	life := b.w.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.group(topic, name).paused = life
}

// Resume hands them out again.
func (b *Bus) Resume(topic, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.group(topic, name)
	g.paused = nil
	g.signal()
}

// Lag counts the records that a group hasn't finished.
func (b *Bus) Lag(ctx context.Context, topic, name string) (int64, error) {
	if err := b.w.look(ctx, Weather{}, "lag", topic); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.group(topic, name)
	return int64(len(b.topic(topic).records)) - g.low - int64(len(g.beyond)), nil
}

// Health is nil while the process lives.
func (b *Bus) Health(ctx context.Context) error { return b.w.look(ctx, Weather{}, "health", "bus") }

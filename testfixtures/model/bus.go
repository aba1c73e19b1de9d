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

// Bus is one process's handle on a hub.Bus in memory, whose topics have several partitions. A record is durable when it
// is in its topic, and can be seen from then on. What a group has finished is committed now and then; a process that
// is lost leaves it at what was committed. Several processes share the work of a group: see group.go.
type Bus struct {
	p *Process
	*broker
}

// broker is what all handles share.
type broker struct {
	w       *World
	weather Weather

	mu     sync.Mutex
	topics map[string]*topic
	claims map[contracts.Key]claim
	groups map[groupOf]*group
}

// partitions of each topic: as many as can be shared evenly by two processes and by three.
const partitions = 6

// partitionOf takes the high bits of a product, since those of keys that differ in their last letters alone lie close.
func partitionOf(key contracts.Key) int32 {
	return int32(sum(string(key)) * 0x9e3779b97f4a7c15 >> 33 % partitions)
}

// topic is what was published, in that order, and where each partition's records stand in it.
type topic struct {
	records []contracts.Record
	parts   [partitions][]int
	first   [partitions]int64 // the oldest that isn't trimmed
}

type claim struct {
	digest contracts.Digest
	id     contracts.ID
	first  time.Time
	place  contracts.Place
}

// NewBus gives an empty bus, for the world's first process. A world has one.
func NewBus(w *World, weather Weather) *Bus {
	w.broker = &broker{w: w, weather: weather, topics: map[string]*topic{}, claims: map[contracts.Key]claim{}, groups: map[groupOf]*group{}}
	return &Bus{w.Process, w.broker}
}

// In gives another process's handle.
func (b *Bus) In(p *Process) *Bus { return &Bus{p, b.broker} }

func (b *Bus) call(op, id string) call {
	return call{service: ServiceBus, weather: b.weather, op: op, id: id, lock: &b.mu}
}

func (b *broker) topic(name string) *topic {
	if b.topics[name] == nil {
		b.topics[name] = &topic{}
	}
	return b.topics[name]
}

// Publish appends r and settles its claim; see hub.Bus. A claim that is the same sometimes appends a second copy, as a
// bus does that can't claim and append in one; in calm weather it doesn't.
func (b *Bus) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	var p contracts.Published
	err := b.p.change(ctx, b.call("publish", r.Topic+" "+string(r.ID)), func(draw *rand.Rand) error {
		if b.w.isDown(ServiceDisk) {
			return unavailable("publish", errDown)
		}
		if draw.Float64() < b.weather.Late {
			time.AfterFunc(time.Duration(draw.Int64N(int64(5*time.Second))), func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.publish(r, once, false)
			})
			return unavailable("publish", errWeather)
		}
		p = b.publish(r, once, b.weather != Weather{} && draw.IntN(4) == 0)
		return nil
	})
	if err != nil {
		return contracts.Published{}, err
	}
	return p, nil
}

func (b *broker) publish(r contracts.Record, once *contracts.Once, copies bool) contracts.Published {
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
	if copies {
		b.append(r)
	}
	return contracts.Published{Claim: contracts.ClaimSame, First: held.first, ID: held.id, Place: held.place}
}

func (b *broker) append(r contracts.Record) contracts.Place {
	t := b.topic(r.Topic)
	r.Header = maps.Clone(r.Header)
	r.Body = contracts.NewBody(append([]byte(nil), r.Body.Bytes()...))
	i := partitionOf(r.Key)
	r.Place = contracts.Place{Topic: r.Topic, Partition: i, Offset: int64(len(t.parts[i]))}
	t.parts[i] = append(t.parts[i], len(t.records))
	t.records = append(t.records, r)
	for of, g := range b.groups {
		if owner := g.shares[i].owner; of.topic == r.Topic && owner != nil {
			owner.signal()
		}
	}
	return r.Place
}

// Read gives the record at a place.
func (b *Bus) Read(ctx context.Context, place contracts.Place) (contracts.Record, error) {
	id := place.Topic + " " + strconv.Itoa(int(place.Partition)) + " " + strconv.FormatInt(place.Offset, 10)
	if err := b.p.look(ctx, b.call("read", id)); err != nil {
		return contracts.Record{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topic(place.Topic)
	if i := place.Partition; i < 0 || i >= partitions || place.Offset < t.first[i] || place.Offset >= int64(len(t.parts[i])) {
		return contracts.Record{}, contracts.Faultf(contracts.NotFound, "SIM-002", "offset", "There is no record at this place.")
	}
	return copyOf(t.at(place.Partition, place.Offset)), nil
}

func (t *topic) at(partition int32, offset int64) contracts.Record {
	return t.records[t.parts[partition][offset]]
}

// copyOf gives a record whose header can be changed without changing what the bus keeps.
func copyOf(r contracts.Record) contracts.Record {
	r.Header = maps.Clone(r.Header)
	return r
}

// Replay gives the chosen records as they were when it was called, oldest first.
func (b *Bus) Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error {
	if err := b.p.look(ctx, b.call("replay", choice.Topic)); err != nil {
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
	t := b.topic(topic)
	for _, r := range t.records {
		if r.Place.Offset >= t.first[r.Place.Partition] {
			out = append(out, copyOf(r))
		}
	}
	return out
}

// Trim forgets the oldest records of each partition that every group has committed; see hub.Bus.
func (b *Bus) Trim(ctx context.Context, name string, before time.Time, keep []contracts.Place) error {
	return b.p.change(ctx, b.call("trim", name), func(*rand.Rand) error {
		kept := map[contracts.Place]bool{}
		for _, place := range keep {
			kept[place] = true
		}
		t := b.topic(name)
		for i := range t.parts {
			end := int64(len(t.parts[i]))
			for of, g := range b.groups {
				if of.topic == name {
					end = min(end, g.shares[i].committed)
				}
			}
			for t.first[i] < end {
				r := t.at(int32(i), t.first[i])
				if !r.Time.Before(before) || kept[r.Place] {
					break
				}
				t.first[i]++
			}
		}
		return nil
	})
}

// Health is nil while publishing would work.
func (b *Bus) Health(ctx context.Context) error {
	c := b.call("health", "bus")
	c.weather = Weather{}
	if err := b.p.look(ctx, c); err != nil {
		return err
	}
	if b.w.isDown(ServiceDisk) {
		return unavailable("health", errDown)
	}
	return nil
}

package model

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

const (
	// session is how long the bus waits for a process that it doesn't hear of before it gives its partitions to others.
	session = 10 * time.Second
	// handover is how long a member may take to finish what it has begun of a partition that another one shall have.
	handover = time.Minute
)

type groupOf struct{ topic, group string }

// group is those who share the records of a topic.
type group struct {
	here    []*consumer // those whose Consume runs, or whose end the bus hasn't heard of
	members []*consumer // those of them that share the partitions, in the order in which they joined
	shares  [partitions]share
	paused  map[*life]bool // the lives in which it was paused; a pause ends with the process
}

// share is one partition in a group: its owner has finished all below low and the offsets in beyond; committed is how much
// of it outlives the owner. While heir is somebody else, the owner begins nothing more, and lets go of it when nothing
// runs or is held. Each owner has a term of its own.
type share struct {
	committed, low int64
	beyond         map[int64]bool
	owner, heir    *consumer
	term           int
	holds          int
}

func (b *broker) group(topic, name string) *group {
	of := groupOf{topic, name}
	if b.groups[of] == nil {
		b.groups[of] = &group{paused: map[*life]bool{}}
	}
	return b.groups[of]
}

// assign shares the partitions out evenly, and moves no more of them than it must.
func (b *broker) assign(g *group) {
	held, most := map[*consumer]int{}, 0
	if n := len(g.members); n > 0 {
		most = (partitions + n - 1) / n
	}
	for i := range g.shares {
		s := &g.shares[i]
		s.heir = nil
		if slices.Contains(g.members, s.owner) && held[s.owner] < most {
			s.heir = s.owner
			held[s.heir]++
		}
	}
	for i := range g.shares {
		s := &g.shares[i]
		for _, c := range g.members {
			if s.heir == nil && held[c] < most {
				s.heir = c
				held[c]++
			}
		}
		switch {
		case s.owner == nil:
			s.grant()
		case s.owner != s.heir:
			s.owner.signal()
			term := s.term
			time.AfterFunc(handover, func() { b.force(g, i, term) })
		}
	}
}

// grant gives a partition to its heir, who begins behind what was committed.
func (s *share) grant() {
	s.owner, s.low, s.beyond, s.holds = s.heir, s.committed, map[int64]bool{}, 0
	s.term++
	if s.owner != nil {
		s.owner.signal()
	}
}

// force ends a handover that takes too long.
func (b *broker) force(g *group, i, term int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := &g.shares[i]; s.term == term && s.owner != s.heir {
		s.owner.b.p.bereave()
		s.grant()
	}
}

// expel takes a member out of its group.
func (b *broker) expel(c *consumer) {
	c.group.members = slices.DeleteFunc(c.group.members, func(m *consumer) bool { return m == c })
	for i := range c.group.shares {
		if s := &c.group.shares[i]; s.owner == c {
			s.owner = nil
		}
	}
	b.assign(c.group)
}

// remove forgets a consumer.
func (b *broker) remove(c *consumer) {
	c.group.here = slices.DeleteFunc(c.group.here, func(m *consumer) bool { return m == c })
	b.expel(c)
}

// of gives all consumers of a process.
func (b *broker) of(p *Process) []*consumer {
	var out []*consumer
	for _, g := range b.groups {
		for _, c := range g.here {
			if c.b.p == p {
				out = append(out, c)
			}
		}
	}
	return out
}

// expire ends the sessions of a process that wasn't heard of since a time, and of its earlier lives.
func (b *broker) expire(p *Process, since time.Time) {
	p.w.mu.Lock()
	silent := p.silent.Equal(since)
	p.w.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.of(p) {
		switch {
		case c.left || ended(c.life) != nil:
			b.remove(c)
		case silent:
			p.bereave()
			b.expel(c)
		}
	}
}

// hear lets a process that the bus hears of again learn what it missed.
func (b *broker) hear(p *Process) {
	if b == nil || !p.heard() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.of(p) {
		if c.left {
			b.remove(c)
		}
		c.signal()
	}
}

// Pause stops handing out a topic's records to a group in this process.
func (b *Bus) Pause(topic, name string) {
	life := b.p.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.group(topic, name).paused[life] = true
}

// Resume hands them out again.
func (b *Bus) Resume(topic, name string) {
	life := b.p.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.group(topic, name)
	delete(g.paused, life)
	for _, c := range g.here {
		c.signal()
	}
}

// Owns says whether this process has the key's partition, as far as it can know: one that didn't hear of the bus for as
// long as a session doesn't, until it has learned what became of its partitions meanwhile. A process that is alone in its
// world owns everything.
func (b *Bus) Owns(topic, name string, key contracts.Key) bool {
	b.p.awake(context.Background(), b.p.now())
	b.mu.Lock()
	defer b.mu.Unlock()
	_, owned := b.owned(topic, name, key)
	return owned
}

// owned gives the share of a key that this process owns; nil for one that is alone.
func (b *Bus) owned(topic, name string, key contracts.Key) (s *share, owned bool) {
	if b.w.alone() {
		return nil, true
	}
	partition := partitionOf(key)
	s = &b.group(topic, name).shares[partition]
	c := s.owner
	return s, c != nil && c.b.p == b.p && c.life == b.p.now() && c.terms[partition] == s.term && b.p.silence() < session
}

// Hold keeps the key's partition until release; see hub.Bus. One that is to be handed over isn't held anew.
func (b *Bus) Hold(topic, name string, key contracts.Key) (lane context.Context, release func(), held bool) {
	b.p.awake(context.Background(), b.p.now())
	b.mu.Lock()
	defer b.mu.Unlock()
	s, owned := b.owned(topic, name, key)
	if s == nil {
		return context.Background(), func() {}, owned
	}
	if !owned || s.heir != s.owner {
		return nil, nil, false
	}
	term := s.term
	s.holds++
	return s.owner.lanes[partitionOf(key)].ctx, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if s.term == term {
			s.holds--
			s.owner.signal()
		}
	}), true
}

// Lag counts the records that a group hasn't finished.
func (b *Bus) Lag(ctx context.Context, topic, name string) (int64, error) {
	c := b.call("lag", topic)
	c.weather = Weather{}
	if err := b.p.look(ctx, c); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var lag int64
	t := b.topic(topic)
	for i := range t.parts {
		s := &b.group(topic, name).shares[i]
		lag += int64(len(t.parts[i])-len(s.beyond)) - s.low
	}
	return lag, nil
}

// Unfinished gives the records that a group has yet to finish, without any weather: for whoever checks what happened.
func (b *Bus) Unfinished(topic, name string) map[contracts.ID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[contracts.ID]bool{}
	t := b.topic(topic)
	for i := range t.parts {
		s := &b.group(topic, name).shares[i]
		from := s.low
		if s.owner == nil {
			from = s.committed
		}
		for offset := from; offset < int64(len(t.parts[i])); offset++ {
			if s.owner == nil || !s.beyond[offset] {
				out[t.at(int32(i), offset).ID] = true
			}
		}
	}
	return out
}

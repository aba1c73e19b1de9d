package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hoitosilta/silta/contracts"
)

// lease is how long a member may take its partitions for its own: a session from when it sent the last request of the
// group's that was answered. The coordinator counts from when that request arrived, so it gives nobody else the
// partitions before. Time is monotonic and runs on while the process is stopped.
//
// A member that was silent for longer may have lost them. The answer to its next heartbeat says so, but only when the
// client has looked at it are they taken from us; so it takes a second answer, which the client asks for after that,
// until it is sure again.
type lease struct {
	session  time.Duration
	last     time.Time // when the last request that was answered was sent
	doubtful bool
}

func (l *lease) renew(sent time.Time, owning bool) {
	l.doubtful = owning && time.Since(l.last) >= l.session
	l.last = sent
}

func (l *lease) sure() bool { return !l.doubtful && time.Since(l.last) < l.session }

// OnBrokerE2E is called by the client for each request that was answered or failed.
func (c *consumer) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if e.Err() != nil || key != kmsg.Heartbeat.Int16() && key != kmsg.SyncGroup.Int16() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease.renew(time.Now().Add(-e.DurationE2E()), len(c.partitions) > 0)
	c.changed.Broadcast()
}

// owned gives the partition of a key if it is surely this process's now. c.mu is held.
func (c *consumer) owned(key contracts.Key) *partition {
	if !c.lease.sure() {
		return nil
	}
	return c.partitions[c.bus.c.partition(key)]
}

// Owns says whether this process works a key now, on behalf of a group that it consumes for. It is so also while the
// key's partition is handed over in order, until what runs there has ended.
func (b *Bus) Owns(topic, group string, key contracts.Key) bool {
	c := b.consumer(topic, group)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owned(key) != nil
}

// Hold keeps a key's partition from being handed over until release is called, as a running handle does, but no longer
// than Config.Handover: then lane ends. held is false also while the partition is being handed over.
func (b *Bus) Hold(topic, group string, key contracts.Key) (lane context.Context, release func(), held bool) {
	c := b.consumer(topic, group)
	if c == nil {
		return nil, nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.owned(key)
	if p == nil || p.leaving {
		return nil, nil, false
	}
	p.busy++
	return p.lane, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		p.busy--
		c.changed.Broadcast()
	}, true
}

package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// window is how many records of one partition may be read and not yet below its low watermark. Then reading that
// partition stops until its oldest unfinished record is finished.
const window = 4096

// commitEvery is how late the low watermarks are committed.
const commitEvery = time.Second

// A member that says nothing for session is taken for dead, and its partitions move; one that is asked to hand over has
// handover to finish what runs.
const (
	session  = 10 * time.Second
	handover = 30 * time.Second
)

// groupName is the Kafka group. Each topic has one of its own, so that a change of one leaves the others alone.
func groupName(topic, group string) string { return group + "/" + topic }

// consumer is one running Consume call: a member of a Kafka group. Records of its partitions wait in queues by key,
// and lanes take one key at a time.
type consumer struct {
	bus    *Bus
	topic  string
	client *kgo.Client
	handle func(context.Context, contracts.Record) error

	mu         sync.Mutex
	changed    sync.Cond // with mu: a key is ready, a lane is free, paused or ending changed
	partitions map[int32]*partition
	ready      []*queue
	paused     bool
	ending     bool
}

// partition is one that this member has now.
type partition struct {
	n       int32
	waiting []*entry // from the oldest unfinished record on, in order
	low     int64    // its offset; before any record came, 0
	queues  map[string]*queue
	running int
	leaving bool // being handed over: nothing is begun any more
	stopped bool // the window is full
}

type entry struct {
	record *kgo.Record // nil once finished
	offset int64
	epoch  int32
}

// queue holds the unfinished records of one key, in order.
type queue struct {
	partition *partition
	key       string
	waiting   []*entry
	fails     int
}

// Consume hands every record of topic to handle on behalf of group, as hub.Bus says. Several processes share the
// work; when a partition moves to another one, what runs is finished and committed first. The context that handle gets
// doesn't end with ctx. Consume returns a fault of kind unavailable when the cluster refuses; call it again.
func (b *Bus) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	sub := subscription{topic, group}
	c := &consumer{bus: b, topic: topic, handle: handle, partitions: map[int32]*partition{}}
	c.changed.L = &c.mu
	if err := b.join(sub, c); err != nil {
		return err
	}
	defer b.leave(sub)
	client, err := kgo.NewClient(kgo.SeedBrokers(b.c.Brokers...), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(groupName(topic, group)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(commitEvery), kgo.FetchMaxBytes(8<<20), kgo.SessionTimeout(session), kgo.RebalanceTimeout(handover), kgo.HeartbeatInterval(session/10),
		kgo.OnPartitionsRevoked(c.revoked), kgo.OnPartitionsLost(c.lost))
	if err != nil {
		return unreachable(err)
	}
	c.client = client
	defer client.CloseAllowingRebalance()

	var working sync.WaitGroup
	for range max(lanes, 1) {
		working.Go(func() { c.lane(ctx) })
	}
	err = c.poll(ctx)
	c.end()
	working.Wait()
	return errors.Join(err, c.commit())
}

func (b *Bus) join(sub subscription, c *consumer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fault(contracts.Unavailable, codeClosed, "The bus is closed.", nil)
	}
	if b.consumers[sub] != nil {
		return fault(contracts.Internal, codeTwice, "The group "+sub.group+" reads topic "+sub.topic+" in this process already.", nil)
	}
	c.paused = b.paused[sub]
	b.consumers[sub] = c
	b.uses.Add(1)
	return nil
}

func (b *Bus) leave(sub subscription) {
	b.mu.Lock()
	delete(b.consumers, sub)
	b.mu.Unlock()
	b.uses.Done()
}

// poll queues what comes until ctx ends. Partitions don't move between a poll and the queueing of what it gave.
func (c *consumer) poll(ctx context.Context) error {
	for {
		fetches := c.client.PollFetches(ctx)
		if ctx.Err() != nil {
			c.client.AllowRebalance()
			return nil
		}
		c.take(fetches.Records())
		err := fetches.Err()
		c.client.AllowRebalance()
		if err != nil {
			return fetchFault(err)
		}
	}
}

func (c *consumer) take(records []*kgo.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		p := c.partitions[r.Partition]
		if p == nil {
			p = &partition{n: r.Partition, low: r.Offset, queues: map[string]*queue{}}
			c.partitions[r.Partition] = p
		}
		e := &entry{r, r.Offset, r.LeaderEpoch}
		p.waiting = append(p.waiting, e)
		q := p.queues[string(r.Key)]
		if q == nil {
			q = &queue{partition: p, key: string(r.Key)}
			p.queues[q.key] = q
			c.ready = append(c.ready, q)
		}
		q.waiting = append(q.waiting, e)
		if len(p.waiting) >= window && !p.stopped {
			p.stopped = true
			c.client.PauseFetchPartitions(map[string][]int32{c.topic: {p.n}})
		}
	}
	c.changed.Broadcast()
}

// lane works one key after another until ctx ends.
func (c *consumer) lane(ctx context.Context) {
	lane := context.WithoutCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for !c.ending && (c.paused || len(c.ready) == 0) {
			c.changed.Wait()
		}
		if c.ending || ctx.Err() != nil {
			return
		}
		q := c.ready[0]
		c.ready = c.ready[1:]
		p := q.partition
		if p.leaving {
			continue
		}
		e := q.waiting[0]
		p.running++
		c.mu.Unlock()
		r, err := c.bus.read(lane, e.record)
		if err == nil {
			err = c.handle(lane, r)
		}
		c.mu.Lock()
		p.running--
		c.finish(q, err)
		c.changed.Broadcast()
	}
}

// finish takes a lane's result for the first record of a key: it is finished, or the key pauses and it comes again.
func (c *consumer) finish(q *queue, err error) {
	p := q.partition
	if err != nil {
		q.fails++
		time.AfterFunc(c.bus.pauseAfter(q.fails), func() { c.again(q) })
		return
	}
	q.waiting[0].record, q.fails = nil, 0
	q.waiting = q.waiting[1:]
	if len(q.waiting) > 0 {
		c.ready = append(c.ready, q)
	} else {
		delete(p.queues, q.key)
	}
	var last *entry
	for len(p.waiting) > 0 && p.waiting[0].record == nil {
		last, p.waiting = p.waiting[0], p.waiting[1:]
	}
	if last == nil || c.partitions[p.n] != p {
		return // nothing below is finished, or the partition is another member's
	}
	p.low = last.offset + 1
	c.client.MarkCommitOffsets(map[string]map[int32]kgo.EpochOffset{c.topic: {p.n: {Epoch: last.epoch, Offset: p.low}}})
	if p.stopped && len(p.waiting) < window/2 {
		p.stopped = false
		c.client.ResumeFetchPartitions(map[string][]int32{c.topic: {p.n}})
	}
}

// again makes a key ready whose pause is over.
func (c *consumer) again(q *queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, q)
	c.changed.Broadcast()
}

// revoked hands partitions over: what runs in them is finished, the rest is left to the next member.
func (c *consumer) revoked(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	c.drop(gone[c.topic], true)
	// What can't be committed comes again, to whoever has the partition then.
	_ = client.CommitMarkedOffsets(ctx)
}

// lost forgets partitions that another member has already.
func (c *consumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.drop(gone[c.topic], false)
}

func (c *consumer) drop(gone []int32, drain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range gone {
		p := c.partitions[n]
		if p == nil {
			continue
		}
		p.leaving = true
		for drain && p.running > 0 {
			c.changed.Wait()
		}
		if p.stopped {
			c.client.ResumeFetchPartitions(map[string][]int32{c.topic: {n}})
		}
		delete(c.partitions, n)
	}
}

func (c *consumer) pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	c.changed.Broadcast()
}

func (c *consumer) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	c.changed.Broadcast()
}

// commit commits what is finished when all lanes have ended.
func (c *consumer) commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.client.CommitMarkedOffsets(ctx); err != nil {
		return unreachable(err)
	}
	return nil
}

// finished counts the offsets of a partition that are finished, in a row or not, given what is committed. A nil
// consumer knows no more.
func (c *consumer) finished(n int32, committed int64) int64 {
	if c == nil {
		return committed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.partitions[n]
	if p == nil {
		return committed
	}
	done := max(committed, p.low)
	for _, e := range p.waiting {
		if e.record == nil {
			done++
		}
	}
	return done
}

// pauseAfter is how long a record waits after its n-th error in a row.
func (b *Bus) pauseAfter(n int) time.Duration {
	pause := b.c.Backoff
	for ; n > 1 && pause < b.c.BackoffMax; n-- {
		pause *= 2
	}
	return min(pause, b.c.BackoffMax)
}

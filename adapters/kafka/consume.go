package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// A partition's records that are read and not yet below its low watermark are at most so many, and about so many bytes.
// Then reading it stops until its oldest unfinished record is finished.
const (
	window      = 4096
	windowBytes = 2 << 20
)

// commitEvery is how late the low watermarks are committed. Kafka's client allows no less.
const commitEvery = 100 * time.Millisecond

// fetchWait is how long a broker holds an answer back while it has nothing to give. A partition that comes to us, or is
// read again after its window was full, may have to wait for that answer; the client's own 5 s would show in deliveries.
const fetchWait = 250 * time.Millisecond

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
	changed    sync.Cond // with mu: a key is ready, a lane is free, the lease was renewed, paused or ending changed
	partitions map[int32]*partition
	lease      lease
	ready      []*queue
	paused     bool
	ending     bool
}

// partition is one that this member has now.
type partition struct {
	n       int32
	waiting []*entry // from the oldest unfinished record on, in order
	bytes   int      // of their values
	low     int64    // the oldest one's offset; before any record came, 0
	queues  map[string]*queue
	busy    int  // handles that run, and holds
	leaving bool // being handed over: nothing is begun any more
	stopped bool // the window is full

	lane context.Context // what its handles get; ends when the partition is lost
	lose context.CancelFunc
}

type entry struct {
	record *kgo.Record // nil once finished
	offset int64
	epoch  int32
	bytes  int
}

// queue holds the unfinished records of one key, in order.
type queue struct {
	partition *partition
	key       string
	waiting   []*entry
	fails     int
}

// Consume hands every record of topic to handle on behalf of group, as hub.Bus says. Several processes share the
// work; when a partition moves to another one, what runs is finished and committed first, up to the low watermark: what is
// finished behind a record that wasn't begun comes again there. The context that handle gets
// doesn't end with ctx, but when its partition is lost: another process has it then, or is about to, because handing
// it over took too long.
//
// A record that no Silta wrote is moved aside to the topic of what was refused (silta.dead), with a fault in its header; one that is there
// already is handed out so. While the cluster is away Consume waits for it. It returns a fault only when the cluster
// doesn't let it in.
func (b *Bus) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	sub := subscription{topic, group}
	c := &consumer{bus: b, topic: topic, handle: handle, partitions: map[int32]*partition{}, lease: lease{session: b.c.Session}}
	c.changed.L = &c.mu
	if err := b.join(sub, c); err != nil {
		return err
	}
	defer b.leave(sub)
	var err error
	// A rebalance waits longer for a member than the member takes to hand over.
	c.client, err = kgo.NewClient(b.c.options(kgo.ConsumeTopics(topic), kgo.ConsumerGroup(groupName(topic, group)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(commitEvery), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxWait(fetchWait),
		kgo.SessionTimeout(b.c.Session), kgo.RebalanceTimeout(b.c.Handover+b.c.Session), kgo.HeartbeatInterval(b.c.Session/10),
		kgo.OnPartitionsAssigned(c.assigned), kgo.OnPartitionsRevoked(c.revoked), kgo.OnPartitionsLost(c.lost), kgo.WithHooks(c))...)
	if err != nil {
		return unreachable(err)
	}
	defer c.client.CloseAllowingRebalance()

	var working sync.WaitGroup
	for range max(lanes, 1) {
		working.Go(func() { c.work(ctx) })
	}
	err = c.poll(ctx)
	c.end()
	working.Wait()
	c.drain(c.all()) // while the client still says that it is alive
	return errors.Join(err, c.commit())
}

func (b *Bus) join(sub subscription, c *consumer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return closedFault()
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

// consumer gives the running Consume call of a group, or nil.
func (b *Bus) consumer(topic, group string) *consumer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.consumers[subscription{topic, group}]
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
		c.client.AllowRebalance()
		for _, e := range fetches.Errors() {
			// What else there is, the client tries again by itself.
			if denied(e.Err) {
				return fetchFault(e.Err)
			}
		}
	}
}

func (c *consumer) take(records []*kgo.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		p := c.partitions[r.Partition]
		if p == nil {
			continue // not ours (any more): whoever has it reads it
		}
		if len(p.waiting) == 0 {
			p.low = r.Offset
		}
		e := &entry{r, r.Offset, r.LeaderEpoch, len(r.Value)}
		p.waiting, p.bytes = append(p.waiting, e), p.bytes+e.bytes
		q := p.queues[string(r.Key)]
		if q == nil {
			q = &queue{partition: p, key: string(r.Key)}
			p.queues[q.key] = q
			c.ready = append(c.ready, q)
		}
		q.waiting = append(q.waiting, e)
		if (len(p.waiting) >= window || p.bytes >= windowBytes) && !p.stopped {
			p.stopped = true
			c.client.PauseFetchPartitions(map[string][]int32{c.topic: {p.n}})
		}
	}
	c.changed.Broadcast()
}

// work is one lane: it works one key after another until ctx ends. Nothing is begun while it isn't known
// whether the partitions are still ours.
func (c *consumer) work(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for !c.ending && (c.paused || len(c.ready) == 0 || !c.lease.sure()) {
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
		p.busy++
		c.mu.Unlock()
		err := c.one(p.lane, e.record)
		c.mu.Lock()
		p.busy--
		c.finish(q, err)
		c.changed.Broadcast()
	}
}

// one hands out a record, unless the claim that it came under was won by another, or it is none of ours.
func (c *consumer) one(ctx context.Context, w *kgo.Record) error {
	e, err := c.bus.read(ctx, w)
	if err != nil {
		return err
	}
	if e.foreign && c.topic != c.bus.c.deadTopic() {
		e.Topic = c.bus.c.deadTopic()
		_, err := c.bus.append(ctx, e.Record, nil)
		return err
	}
	if e.claim != nil {
		since, won, err := c.bus.holds(ctx, e.claim)
		if err != nil || !won {
			return err
		}
		e.Time = since
	}
	return c.handle(ctx, e.Record)
}

// finish takes a lane's result for the first record of a key: it is finished, or the key pauses and it comes again.
func (c *consumer) finish(q *queue, err error) {
	p := q.partition
	if err != nil {
		q.fails++
		time.AfterFunc(c.bus.pauseAfter(q.fails), func() { c.again(q) })
		return
	}
	p.bytes -= q.waiting[0].bytes
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
	if p.stopped && len(p.waiting) < window/2 && p.bytes < windowBytes/2 {
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

func (c *consumer) assigned(_ context.Context, _ *kgo.Client, got map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range got[c.topic] {
		p := &partition{n: n, queues: map[string]*queue{}}
		p.lane, p.lose = context.WithCancel(context.Background())
		c.partitions[n] = p
	}
}

// revoked hands partitions over: what runs in them is finished, the rest is left to the next member.
func (c *consumer) revoked(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	c.drain(gone[c.topic])
	// What can't be committed comes again, to whoever has the partition then.
	_ = client.CommitMarkedOffsets(ctx)
	c.drop(gone[c.topic])
}

// lost forgets partitions that another member has already.
func (c *consumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.drop(gone[c.topic])
}

// drain begins nothing more in partitions, and waits for what runs in them and for those who hold them, but no longer
// than a handover may take.
func (c *consumer) drain(leaving []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := false
	defer time.AfterFunc(c.bus.c.Handover, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.changed.Broadcast()
	}).Stop()
	for _, n := range leaving {
		if p := c.partitions[n]; p != nil {
			p.leaving = true
		}
	}
	for _, n := range leaving {
		for p := c.partitions[n]; p != nil && p.busy > 0 && !late; {
			c.changed.Wait()
		}
	}
}

func (c *consumer) drop(gone []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range gone {
		p := c.partitions[n]
		if p == nil {
			continue
		}
		p.leaving = true
		p.lose()
		if p.stopped {
			c.client.ResumeFetchPartitions(map[string][]int32{c.topic: {n}})
		}
		delete(c.partitions, n)
	}
	c.changed.Broadcast()
}

func (c *consumer) pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	c.changed.Broadcast()
}

// all gives the partitions that this member has.
func (c *consumer) all() []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.partitions))
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

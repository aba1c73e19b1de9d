package embedded

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// bodyBudget is how many bytes of bodies a Consume call holds for records that wait. Beyond it a record waits as its
// offset alone and is read again when its turn comes.
const bodyBudget = 16 << 20

// keyHolds is how many records of one key are held with their bodies, so that a stuck key doesn't use up the budget.
const keyHolds = 64

// consumer is one running Consume call. Only the goroutine of that call touches it, but for poke and finished.
type consumer struct {
	bus    *Bus
	sub    subscription
	lanes  int
	handle func(context.Context, contracts.Record) error
	wake   chan struct{} // holds one: records came, or a pause began or ended
	done   chan result   // holds as many as lanes

	finished atomic.Int64 // offsets from the topic's beginning on that are finished, whether or not in a row

	next    int64 // the next offset to read
	low     *watermark
	marked  int64 // the low watermark as noted last
	queues  queues
	running int
	held    int // bytes of bodies held for waiting records
	readAt  time.Time
	fails   int // of reading, in a row
}

// result is what became of the first record of a key.
type result struct {
	queue *queue
	err   error
}

// Consume hands every record of topic to handle on behalf of group, as hub.Bus says. The context that handle gets
// doesn't end with ctx, so that what was begun can be finished; a caller that wants a bound on the drain sets it
// there. A record that can't be read from disk is treated like one whose handle failed: it comes again.
//
// Memory is bounded, see Window. Consume returns nil when ctx ended, or the bus was closed, and all
// was drained; a fault if the group reads the topic already or what it finished can't be written.
func (b *Bus) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	c, err := b.consume(subscription{topic, group}, max(lanes, 1), handle)
	if err != nil {
		return err
	}
	defer b.leave(c)
	c.run(ctx)
	// What was finished is written now, so that it doesn't come again after an orderly end.
	return b.writer.do(context.WithoutCancel(ctx), &request{}).err
}

func (b *Bus) consume(sub subscription, lanes int, handle func(context.Context, contracts.Record) error) (*consumer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, closedFault()
	}
	if b.consumers[sub] != nil {
		return nil, contracts.Faultf(contracts.Internal, codeTwice, "", "The group %s reads topic %s already.", sub.group, sub.topic)
	}
	begin := max(b.marks[sub], b.topics[sub.topic].floor)
	c := &consumer{bus: b, sub: sub, lanes: lanes, handle: handle, wake: make(chan struct{}, 1), done: make(chan result, lanes),
		next: begin, marked: begin, low: newWatermark(begin, b.set.window), queues: newQueues()}
	c.finished.Store(begin)
	b.consumers[sub] = c
	b.inside.Add(1)
	return c, nil
}

func (b *Bus) leave(c *consumer) {
	b.mu.Lock()
	delete(b.consumers, c.sub)
	b.mu.Unlock()
	b.inside.Done()
}

// poke makes the consumer look again.
func (c *consumer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *consumer) run(ctx context.Context) {
	lane := context.WithoutCancel(ctx)
	ending, closing := ctx.Done(), c.bus.closing
	for open := ctx.Err() == nil; open || c.running > 0; {
		var due <-chan time.Time
		if open = open && ctx.Err() == nil; open {
			due = c.step(lane)
		}
		select {
		case r := <-c.done:
			c.finish(r)
		case <-c.wake:
		case <-due:
		case <-ending:
			open, ending = false, nil
		case <-closing:
			open, closing = false, nil
		}
	}
}

// step reads ahead and hands out what it can, unless the group is paused, and tells when to look again at the latest.
func (c *consumer) step(ctx context.Context) (due <-chan time.Time) {
	c.bus.mu.Lock()
	t, paused := c.bus.topics[c.sub.topic], c.bus.paused[c.sub]
	c.bus.mu.Unlock()
	if paused {
		return nil
	}
	c.fill(ctx, t)
	c.hand(ctx)
	return c.due()
}

// fill reads ahead until twice as many keys are ready as there are lanes, or the window is full.
func (c *consumer) fill(ctx context.Context, t topic) {
	for c.queues.ready() < 2*c.lanes && c.next < t.next && !time.Now().Before(c.readAt) {
		end := min(t.next, c.low.end())
		if c.next >= end {
			return
		}
		page, next, err := c.bus.page(ctx, contracts.Replay{Topic: c.sub.topic}, topic{id: t.id, next: end}, c.next)
		if err != nil {
			c.fails++
			c.readAt = time.Now().Add(c.bus.pauseAfter(c.fails))
			return
		}
		c.fails = 0
		c.take(page, next)
	}
}

// take queues the records of a page, which reaches to next. Offsets without a record (any more) count as finished.
func (c *consumer) take(page []*row, next int64) {
	for _, r := range page {
		for ; c.next < r.record.Place.Offset; c.next++ {
			c.passed(c.next)
		}
		c.next++
		e := entry{offset: r.record.Place.Offset, row: r}
		if c.held+len(r.stored) > bodyBudget || r.large != "" || c.queues.behind(r.record.Key) >= keyHolds {
			e.row = nil
		} else {
			c.held += len(r.stored)
		}
		c.queues.add(r.record.Key, e)
	}
	for ; c.next < next; c.next++ {
		c.passed(c.next)
	}
}

// hand gives free lanes the first records of keys that are ready.
func (c *consumer) hand(ctx context.Context) {
	for c.running < c.lanes {
		q := c.queues.take(time.Now())
		if q == nil {
			return
		}
		c.running++
		go c.work(ctx, q, q.waiting[0])
	}
}

// work is one lane at work on one record.
func (c *consumer) work(ctx context.Context, q *queue, e entry) {
	var r contracts.Record
	var err error
	if e.row != nil {
		r, err = c.bus.whole(e.row)
	} else {
		r, err = c.bus.Read(ctx, contracts.Place{Topic: c.sub.topic, Offset: e.offset})
	}
	if err == nil {
		err = c.handle(ctx, r)
	}
	c.done <- result{q, err}
}

// finish takes a lane's result: the record is finished, or its key pauses and the record comes again.
func (c *consumer) finish(r result) {
	c.running--
	e := &r.queue.waiting[0]
	if e.row != nil {
		c.held -= len(e.row.stored)
		e.row = nil
	}
	if r.err != nil {
		c.queues.pause(r.queue, time.Now(), c.bus.pauseAfter(r.queue.fails+1))
		return
	}
	c.passed(e.offset)
	c.queues.next(r.queue)
}

// passed counts an offset as finished and notes the low watermark if it rose.
func (c *consumer) passed(offset int64) {
	c.finished.Add(1)
	if low := c.low.finish(offset); low > c.marked {
		c.marked = low
		c.bus.mark(c.sub, low)
	}
}

// due fires when the next key's pause ends, or reading may be tried again.
func (c *consumer) due() <-chan time.Time {
	at, ok := c.queues.due()
	if c.fails > 0 && (!ok || c.readAt.Before(at)) {
		at, ok = c.readAt, true
	}
	if !ok || c.running == c.lanes {
		return nil
	}
	return time.After(time.Until(at))
}

// pauseAfter is how long a record waits after its n-th error in a row.
func (b *Bus) pauseAfter(n int) time.Duration {
	pause := b.set.backoff
	for ; n > 1 && pause < b.set.backoffMax; n-- {
		pause *= 2
	}
	return min(pause, b.set.backoffMax)
}

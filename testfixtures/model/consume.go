package model

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// again is how long a record rests after its handle gave an error.
const again = 100 * time.Millisecond

// consumer hands out one topic to one group. All but the handles runs in the goroutine of Consume; queues and ready are
// its own, and lanes tell it by finished.
type consumer struct {
	b       *Bus
	life    *life
	topic   string
	name    string
	group   *group
	handle  func(context.Context, contracts.Record) error
	ctx     context.Context // the handles', which ends only with the process
	next    int64           // the first record that isn't in a queue yet
	queues  map[contracts.Key][]contracts.Record
	ready   []contracts.Key // keys with a queue whose first record isn't being worked
	running int
	done    chan outcome
	rested  chan contracts.Key
}

type outcome struct {
	record contracts.Record
	err    error
}

// Consume hands out records as hub.Bus says. It ends with an error when the process crashes.
func (b *Bus) Consume(ctx context.Context, topic, name string, lanes int, handle func(context.Context, contracts.Record) error) error {
	handles, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c := &consumer{b: b, life: b.w.now(), topic: topic, name: name, handle: handle, ctx: handles,
		queues: map[contracts.Key][]contracts.Record{}, done: make(chan outcome), rested: make(chan contracts.Key)}
	if err := c.begin(); err != nil {
		return unavailable("consume", err)
	}
	var lanesAndRests sync.WaitGroup
	stop := make(chan struct{})
	for {
		c.fill()
		for c.running < lanes && len(c.ready) > 0 && !c.isPaused() && ctx.Err() == nil && ended(c.life) == nil {
			c.work(&lanesAndRests)
		}
		if c.running == 0 && (ctx.Err() != nil || ended(c.life) != nil) {
			break
		}
		stopping := ctx.Done()
		if ctx.Err() != nil {
			stopping = nil // known; what runs is waited for
		}
		crash := c.life.ended
		if ended(c.life) != nil {
			crash = nil
			cancel()
		}
		select {
		case o := <-c.done:
			c.running--
			c.settle(o, &lanesAndRests, stop)
		case key := <-c.rested:
			c.ready = append(c.ready, key)
		case <-c.group.change:
		case <-stopping:
		case <-crash:
		}
	}
	close(stop)
	lanesAndRests.Wait()
	return c.end()
}

// begin takes the group's place behind what was committed.
func (c *consumer) begin() error {
	if err := ended(c.life); err != nil {
		return err
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.group = c.b.group(c.topic, c.name)
	if c.group.consumer != nil && c.group.consumer.life == c.life {
		return contracts.Faultf(contracts.Internal, "SIM-003", "group", "This group consumes this topic already.")
	}
	if c.group.consumer != nil { // it crashed
		c.group.low, c.group.beyond = c.group.committed, map[int64]bool{}
	}
	c.group.consumer = c
	c.next = c.group.low
	return nil
}

// fill moves new records into their keys' queues.
func (c *consumer) fill() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	records := c.b.topic(c.topic).records
	for ; c.next < int64(len(records)); c.next++ {
		if c.group.beyond[c.next] {
			continue
		}
		r := records[c.next]
		if len(c.queues[r.Key]) == 0 {
			c.ready = append(c.ready, r.Key)
		}
		c.queues[r.Key] = append(c.queues[r.Key], r)
	}
}

func (c *consumer) isPaused() bool {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return c.group.paused == c.life
}

// work begins the first record of the first ready key, after the moment that the weather takes to hand it over.
func (c *consumer) work(wg *sync.WaitGroup) {
	key := c.ready[0]
	c.ready = c.ready[1:]
	r := copyOf(c.queues[key][0])
	c.running++
	wg.Go(func() {
		o := outcome{record: r}
		draw := c.b.w.chance("hand over", c.topic+" "+strconv.FormatInt(r.Place.Offset, 10)+" "+c.name)
		if o.err = pass(c.ctx, c.life, c.b.weather.duration(draw)); o.err == nil {
			o.err = c.handle(c.ctx, r)
		}
		c.done <- o
	})
}

// settle finishes a record, or lets it rest and come again.
func (c *consumer) settle(o outcome, wg *sync.WaitGroup, stop <-chan struct{}) {
	key := o.record.Key
	if o.err != nil {
		wg.Go(func() {
			timer := time.NewTimer(again)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-stop:
				return
			}
			select {
			case c.rested <- key:
			case <-stop:
			}
		})
		return
	}
	c.finish(o.record)
	if c.queues[key] = c.queues[key][1:]; len(c.queues[key]) == 0 {
		delete(c.queues, key)
		return
	}
	c.ready = append(c.ready, key)
}

// finish moves the low watermark. In calm weather it is committed at once, else half of the time, so that a crash
// brings finished records again.
func (c *consumer) finish(r contracts.Record) {
	if ended(c.life) != nil {
		return
	}
	draw := c.b.w.chance("commit", c.topic+" "+strconv.FormatInt(r.Place.Offset, 10)+" "+c.name)
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	g := c.group
	g.beyond[r.Place.Offset] = true
	for g.beyond[g.low] {
		delete(g.beyond, g.low)
		g.low++
	}
	if c.b.weather == (Weather{}) || draw.IntN(2) == 0 {
		g.committed = g.low
	}
}

// end commits, in an orderly end, and leaves the group.
func (c *consumer) end() error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if err := ended(c.life); err != nil {
		return unavailable("consume", err)
	}
	c.group.committed = c.group.low
	c.group.consumer = nil
	return nil
}

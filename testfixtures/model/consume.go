package model

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// again is how long a record rests after its handle gave an error.
const again = 100 * time.Millisecond

// consumer hands out one topic to one group in one process. All but the handles runs in the goroutine of Consume; what it
// has of the partitions is its own, and lanes tell it by done and rested.
type consumer struct {
	b      *Bus
	life   *life
	topic  string
	name   string
	handle func(context.Context, contracts.Record) error
	ctx    context.Context // ends only with the process
	change chan struct{}   // there may be something to do

	// Guarded by the broker's lock.
	group *group
	left  bool // it has ended, and the bus couldn't be told

	terms   [partitions]int   // of which it has the records, and of which it knows; written under the broker's lock
	lanes   [partitions]lane  // of those terms
	next    [partitions]int64 // the first that isn't in a queue yet
	queues  map[contracts.Key][]contracts.Record
	ready   []contracts.Key        // keys with a queue that aren't busy
	busy    map[contracts.Key]bool // keys whose first record is worked, or rests
	running int
	runs    [partitions]int // of the running
	done    chan outcome
	rested  chan contracts.Key
}

// lane is what the handles of one partition get, until the process learns that it has lost it.
type lane struct {
	ctx  context.Context
	lose context.CancelFunc
}

type outcome struct {
	record contracts.Record
	term   int
	err    error
}

func (c *consumer) signal() {
	select {
	case c.change <- struct{}{}:
	default:
	}
}

// Consume hands out records as hub.Bus says. It ends with an error when the process crashes.
func (b *Bus) Consume(ctx context.Context, topic, name string, lanes int, handle func(context.Context, contracts.Record) error) error {
	handles, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c := &consumer{b: b, life: b.p.now(), topic: topic, name: name, handle: handle, ctx: handles, change: make(chan struct{}, 1),
		queues: map[contracts.Key][]contracts.Record{}, busy: map[contracts.Key]bool{}, done: make(chan outcome), rested: make(chan contracts.Key)}
	if err := c.begin(); err != nil {
		return unavailable("consume", err)
	}
	var lanesAndRests sync.WaitGroup
	stop := make(chan struct{})
	for {
		held := c.share()
		for c.running < lanes && ctx.Err() == nil && ended(c.life) == nil && c.work(&lanesAndRests) {
		}
		if c.running == 0 && (ctx.Err() != nil && held == 0 || ended(c.life) != nil) {
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
			c.runs[o.record.Place.Partition]--
			c.settle(o, &lanesAndRests, stop)
		case key := <-c.rested:
			c.free(key)
		case <-c.change:
		case <-stopping:
		case <-crash:
		}
	}
	close(stop)
	lanesAndRests.Wait()
	return c.end()
}

// begin comes to the group. A process that comes again takes the place of its earlier life.
func (c *consumer) begin() error {
	if err := ended(c.life); err != nil {
		return err
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.group = c.b.group(c.topic, c.name)
	for _, held := range slices.Clone(c.group.here) {
		if held.b.p != c.b.p {
			continue
		}
		if held.life == c.life && !held.left {
			return contracts.Faultf(contracts.Internal, "SIM-003", "group", "This group consumes this topic already.")
		}
		c.b.remove(held)
	}
	c.group.here = append(c.group.here, c)
	return nil
}

// share takes the process's part in the group: it joins, lets go of what others shall have, and moves new records of its
// own partitions into their keys' queues. It tells how many keys are held in its partitions.
func (c *consumer) share() (held int) {
	heard := c.b.p.heard()
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if heard && ended(c.life) == nil && !slices.Contains(c.group.members, c) {
		c.group.members = append(c.group.members, c)
		c.b.assign(c.group)
	}
	for i := range c.group.shares {
		s := &c.group.shares[i]
		if s.owner == c && s.heir != c && c.runs[i] == 0 && s.holds == 0 && heard {
			s.committed = s.low
			s.grant()
		}
		if s.term != c.terms[i] && heard {
			c.drop(int32(i))
			c.terms[i], c.next[i] = s.term, s.low
			c.lanes[i].ctx, c.lanes[i].lose = context.WithCancel(c.ctx)
		}
		if s.owner == c {
			held += s.holds
			if heard {
				c.fill(i, s)
			}
		}
	}
	return held
}

// drop ends the lanes of a partition, and forgets its queues.
func (c *consumer) drop(partition int32) {
	if lose := c.lanes[partition].lose; lose != nil {
		lose()
	}
	for key := range c.queues {
		if partitionOf(key) == partition {
			delete(c.queues, key)
		}
	}
	c.ready = slices.DeleteFunc(c.ready, func(key contracts.Key) bool { return partitionOf(key) == partition })
}

func (c *consumer) fill(i int, s *share) {
	t := c.b.topic(c.topic)
	for ; c.next[i] < int64(len(t.parts[i])); c.next[i]++ {
		if s.beyond[c.next[i]] {
			continue
		}
		r := t.at(int32(i), c.next[i])
		c.queues[r.Key] = append(c.queues[r.Key], r)
		if len(c.queues[r.Key]) == 1 && !c.busy[r.Key] {
			c.ready = append(c.ready, r.Key)
		}
	}
}

// take gives the first record of the first key that may be begun, and takes the key.
func (c *consumer) take() (r contracts.Record, ok bool) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.group.paused[c.life] {
		return r, false
	}
	i := slices.IndexFunc(c.ready, func(key contracts.Key) bool {
		s := &c.group.shares[partitionOf(key)]
		return s.owner == c && s.heir == c && s.term == c.terms[partitionOf(key)]
	})
	if i < 0 {
		return r, false
	}
	key := c.ready[i]
	c.ready = slices.Delete(c.ready, i, i+1)
	c.busy[key] = true
	return copyOf(c.queues[key][0]), true
}

// work begins a record, after the moment that the weather takes to hand it over.
func (c *consumer) work(wg *sync.WaitGroup) bool {
	r, ok := c.take()
	if !ok {
		return false
	}
	c.running++
	c.runs[r.Place.Partition]++
	o, ctx := outcome{record: r, term: c.terms[r.Place.Partition]}, c.lanes[r.Place.Partition].ctx
	wg.Go(func() {
		draw := c.b.w.chance(c.b.p.name, "hand over", c.topic+" "+strconv.Itoa(int(r.Place.Partition))+" "+strconv.FormatInt(r.Place.Offset, 10)+" "+c.name)
		if o.err = pass(ctx, c.life, c.b.weather.duration(draw)); o.err == nil {
			o.err = c.b.p.awake(ctx, c.life)
		}
		if o.err == nil {
			o.err = c.handle(ctx, r)
		}
		c.done <- o
	})
	return true
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
	if o.term == c.terms[o.record.Place.Partition] {
		c.finish(o)
		if c.queues[key] = c.queues[key][1:]; len(c.queues[key]) == 0 {
			delete(c.queues, key)
		}
	}
	c.free(key)
}

// free lets a key's next record begin.
func (c *consumer) free(key contracts.Key) {
	delete(c.busy, key)
	if len(c.queues[key]) > 0 {
		c.ready = append(c.ready, key)
	}
}

// finish moves the low watermark. In calm weather it is committed at once, else half of the time, so that a crash
// brings finished records again.
func (c *consumer) finish(o outcome) {
	if ended(c.life) != nil {
		return
	}
	draw := c.b.w.chance(c.b.p.name, "commit", c.topic+" "+strconv.Itoa(int(o.record.Place.Partition))+" "+strconv.FormatInt(o.record.Place.Offset, 10)+" "+c.name)
	heard := c.b.p.heard()
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	s := &c.group.shares[o.record.Place.Partition]
	if s.term != o.term {
		return // it was lost meanwhile: whoever has it now works the record again
	}
	s.beyond[o.record.Place.Offset] = true
	for s.beyond[s.low] {
		delete(s.beyond, s.low)
		s.low++
	}
	if heard && (c.b.weather == (Weather{}) || draw.IntN(2) == 0) {
		s.committed = s.low
	}
}

// end commits, in an orderly end, and leaves the group; a bus that doesn't hear of it finds out when the session ends.
func (c *consumer) end() error {
	heard := c.b.p.heard()
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if err := ended(c.life); err != nil {
		return unavailable("consume", err)
	}
	if c.left = !heard; c.left {
		return nil
	}
	for i := range c.group.shares {
		if s := &c.group.shares[i]; s.owner == c {
			s.committed = s.low
		}
	}
	c.b.remove(c)
	return nil
}

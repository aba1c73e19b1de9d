package hub

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// queue is what waits behind the keys of one topic. A key is live until its first message can't go on; then it is
// spilled (its messages are rows in the ledger with their bytes in the park topic, tried again in order) or parked
// (the same rows, waiting for a person). The ledger's row decides; the park topic only keeps bytes.
//
// A key's lane and the queue never work the same key at once: while a key isn't live the lane only appends behind
// it, and it is live again only by a ledger transaction that finds nothing behind it.
type queue struct {
	h     *Hub
	topic string
	bytes string   // the topic that keeps the bytes
	p     *partner // the receiver; nil for silta.in
	wake  chan struct{}

	mu     sync.Mutex
	flying map[contracts.Key]bool // keys that a goroutine works now
}

func (h *Hub) newQueue(topic string, p *partner) *queue {
	name := "in"
	if p != nil {
		name = "out." + p.ID
	}
	return &queue{h: h, topic: topic, bytes: contracts.ParkTopic(name), p: p, wake: make(chan struct{}, 1), flying: map[contracts.Key]bool{}}
}

// join puts a record behind its key if the key isn't live. True: it waits there (or is done already), and the lane
// is finished with it.
func (q *queue) join(ctx context.Context, r contracts.Record) (bool, error) {
	for {
		state, err := q.h.ledger.Key(ctx, contracts.KeyRef{Topic: q.topic, Key: r.Key})
		if err != nil || state.Condition == contracts.KeyLive {
			return false, err
		}
		behind, err := q.h.ledger.Behind(ctx, state.KeyRef)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(behind, func(w contracts.Waiting) bool { return w.Message == r.ID }) {
			return true, nil // it came again: its offset wasn't committed before a crash
		}
		change, done, err := q.waitingChange(ctx, r)
		if done || err != nil {
			return done, err
		}
		place, err := q.keep(ctx, r)
		if err != nil {
			return false, err
		}
		now := q.h.now()
		change.Wait = []contracts.Waiting{{KeyRef: state.KeyRef, Message: r.ID, Park: place, Since: now, Due: now}}
		err = q.h.apply(ctx, change)
		if contracts.KindOf(err) == contracts.Conflict {
			continue // the key went live meanwhile
		}
		q.nudge()
		return err == nil, err
	}
}

// waitingChange shows a message as waiting; done says that it needs no place in the queue.
func (q *queue) waitingChange(ctx context.Context, r contracts.Record) (c contracts.Change, done bool, err error) {
	if q.p == nil {
		done, err = q.h.sentOn(ctx, r.ID)
		return q.h.stepChange(entry(r), contracts.StateWaiting, contracts.StepWaiting, nil), done, err
	}
	d, err := q.h.ledger.Delivery(ctx, r.ID)
	if err != nil || d.State == contracts.StateDelivered || d.State == contracts.StateStopped {
		return c, err == nil, err
	}
	d.State, d.Place = contracts.StateWaiting, r.Place
	return q.h.attemptChange(d, contracts.StepWaiting, nil, false), false, nil
}

// keep writes a record's bytes to the park topic.
func (q *queue) keep(ctx context.Context, r contracts.Record) (contracts.Place, error) {
	r.Topic = q.bytes
	published, err := q.h.bus.Publish(ctx, r, nil)
	return published.Place, err
}

// settle ends one try of a record: done, to be tried again later (its key spills), or parked. fromQueue says that
// the record came from behind its key already.
func (q *queue) settle(ctx context.Context, r contracts.Record, o outcome, tries int, fromQueue bool) error {
	ref := contracts.KeyRef{Topic: q.topic, Key: r.Key}
	if o.fault == nil {
		if !fromQueue {
			return nil
		}
		return q.h.insist(ctx, contracts.Change{Done: []contracts.Waiting{{KeyRef: ref, Message: r.ID}}, Revive: []contracts.KeyRef{ref}})
	}
	if !holdsOrder(r) {
		return q.h.insist(ctx, o.change)
	}
	now := q.h.now()
	condition, due := contracts.KeyParked, now
	if o.again() && !q.spent(tries) {
		condition, due = contracts.KeySpilled, now.Add(max(waitFor(q.patience(), tries, r.ID), o.answer.RetryAfter))
	} else if o.again() {
		o = q.givenUp(o)
	}
	place := r.Place
	if !fromQueue {
		var err error
		if place, err = q.keep(ctx, r); err != nil {
			return err
		}
	}
	c := o.change
	c.Keys = []contracts.KeyState{{KeyRef: ref, Condition: condition, Since: now, Message: r.ID, Fault: o.fault}}
	c.Wait = []contracts.Waiting{{KeyRef: ref, Message: r.ID, Park: place, Since: now, Due: due, Attempts: tries}}
	if err := q.h.insist(ctx, c); err != nil {
		return err
	}
	q.nudge()
	return nil
}

// givenUp turns a try that would wait on into one that parks.
func (q *queue) givenUp(o outcome) outcome {
	for i := range o.change.Deliveries {
		o.change.Deliveries[i].State = contracts.StateParked
	}
	for i := range o.change.Entries {
		o.change.Entries[i].State = contracts.StateParked
	}
	for i := range o.change.Steps {
		if s := &o.change.Steps[i]; s.Step == contracts.StepRetried || s.Step == contracts.StepWaiting {
			s.Step, s.ID = contracts.StepParked, contracts.StepID(s.ID, contracts.StepParked, s.To, s.Attempt)
		}
	}
	return o
}

// patience is how this queue waits between tries; for answers to something unknown it is the same for everybody.
func (q *queue) patience() contracts.Retry {
	if q.p != nil {
		return q.p.Retry
	}
	return contracts.Retry{First: time.Second, Max: time.Minute, Limit: 10 * time.Minute}
}

// spent says that the waits before so many tries reach the contract's limit.
func (q *queue) spent(tries int) bool {
	r := q.patience()
	var sum time.Duration
	for i := 1; i <= tries && sum <= r.Limit; i++ {
		sum += waitFor(r, i, "")
	}
	return sum > r.Limit
}

// spread is a number from 0 to 255 that differs from message to message and try to try.
func spread(id contracts.ID, tries int) int {
	f := fnv.New32a()
	f.Write([]byte(id))
	f.Write([]byte{byte(tries)})
	return int(f.Sum32() & 255)
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// idle is how often the ledger is asked for what became due by the clock alone.
const idle = time.Second

// run works what is due behind spilled keys, one message a key at a time, until ctx ends and what it began is done.
func (q *queue) run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	free := make(chan struct{}, q.h.lanes)
	for {
		due, err := q.h.ledger.Waiting(ctx, q.topic, q.h.now(), 2*q.h.lanes)
		if err != nil && ctx.Err() == nil {
			q.h.log.WithField("topic", q.topic).WithField("kind", contracts.KindOf(err)).Warn("what waits can't be read; trying again")
		}
		for _, w := range due {
			if !q.begin(w.Key) {
				continue
			}
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			working.Go(func() {
				defer func() { q.end(w.Key); <-free; q.nudge() }()
				if err := q.work(ctx, w); err != nil && ctx.Err() == nil {
					q.h.log.WithField("topic", q.topic).WithField("kind", contracts.KindOf(err)).Warn("a waiting message must wait on")
					pause(ctx, idle)
				}
			})
		}
		timer := time.NewTimer(idle)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (q *queue) begin(key contracts.Key) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.flying[key] {
		return false
	}
	q.flying[key] = true
	return true
}

// hold waits until nobody works a key, and takes it; end gives it back. So an operator's word and an attempt never
// write over each other.
func (q *queue) hold(ctx context.Context, key contracts.Key) error {
	for !q.begin(key) {
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

func (q *queue) end(key contracts.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.flying, key)
}

// work tries the first message behind a key once.
func (q *queue) work(ctx context.Context, w contracts.Waiting) error {
	r, err := q.h.bus.Read(ctx, w.Park)
	if err != nil {
		return err
	}
	r.Topic = q.topic
	var o outcome
	if q.p == nil {
		o, err = q.h.translateOnce(ctx, r)
	} else {
		o, err = q.h.attempt(ctx, q.p, r)
	}
	if err != nil {
		return err
	}
	tries := w.Attempts
	if o.counts {
		tries++
	}
	return q.settle(ctx, r, o, tries, true)
}

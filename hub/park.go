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
	p     *partner // the receiver; nil for silta.in
	wake  chan struct{}

	mu   sync.Mutex
	kept map[contracts.Place]contracts.Place // records whose bytes are in the park topic, and whose row isn't written yet
}

func (h *Hub) newQueue(topic string, p *partner) *queue {
	return &queue{h: h, topic: topic, p: p, wake: make(chan struct{}, 1), kept: map[contracts.Place]contracts.Place{}}
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
		change, done, err := q.waitingChange(ctx, r, heldUp(state, behind))
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
		q.forget(r, err)
		return err == nil, err
	}
}

// heldUp says behind which message another one of its key comes to wait, so that whoever looks at it finds what to mend.
func heldUp(state contracts.KeyState, behind []contracts.Waiting) *contracts.Fault {
	first := state.Message
	if len(behind) > 0 {
		first = behind[0].Message
	}
	public := "It waits behind earlier messages of its referral or patient. When it came, the first of them was one that is tried again by itself."
	if state.Condition == contracts.KeyParked {
		public = "It waits behind earlier messages of its referral or patient. When it came, the first of them was parked: mend, release or stop it, or whichever is the first by now."
	}
	return &contracts.Fault{Kind: contracts.Unavailable, Code: "HUB-043", Grade: contracts.GradeNote, At: "message " + string(first), Public: public}
}

// waitingChange shows a message as waiting, and why; done says that it needs no place in the queue.
func (q *queue) waitingChange(ctx context.Context, r contracts.Record, why *contracts.Fault) (c contracts.Change, done bool, err error) {
	if q.p == nil {
		before, err := q.h.before(ctx, r)
		return q.h.stepChange(entry(r), contracts.StateWaiting, contracts.StepWaiting, why), before.done, err
	}
	d, err := q.h.deliveryOf(ctx, q.p, r)
	if err != nil || d.State == contracts.StateDelivered || d.State == contracts.StateStopped {
		return c, err == nil, err
	}
	d.State, d.Place, d.Fault = contracts.StateWaiting, r.Place, why
	return q.h.attemptChange(r.Time, d, contracts.StepWaiting, why, false), false, nil
}

// keep writes a record's bytes to the park topic, once: while the ledger refuses the row, the record comes again and
// again, and each copy would fill the disk that the ledger waits for.
func (q *queue) keep(ctx context.Context, r contracts.Record) (contracts.Place, error) {
	q.mu.Lock()
	place, kept := q.kept[r.Place]
	q.mu.Unlock()
	if kept {
		return place, nil
	}
	r.Topic = contracts.ParkTopic(r.Header[contracts.HeaderPartner])
	published, err := q.h.bus.Publish(ctx, r, nil)
	if err != nil {
		return published.Place, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.kept[r.Place] = published.Place
	return published.Place, nil
}

// forget drops what keep remembers of a record once the ledger has its row.
func (q *queue) forget(r contracts.Record, err error) {
	if err == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.kept, r.Place)
	}
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
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) { // what came of the try must not be forgotten
			if place, err = q.keep(ctx, r); err == nil {
				break
			}
			if !pause(ctx, wait) {
				return err
			}
		}
	}
	c := o.change
	c.Keys = []contracts.KeyState{{KeyRef: ref, Condition: condition, Since: now, Message: r.ID, Fault: o.fault}}
	c.Wait = []contracts.Waiting{{KeyRef: ref, Message: r.ID, Park: place, Since: now, Due: due, Attempts: tries}}
	err := q.h.insist(ctx, c)
	q.forget(r, err)
	time.AfterFunc(due.Sub(now), q.nudge)
	if err != nil || q.p == nil {
		return err
	}
	if d, err := q.h.ledger.Delivery(ctx, r.ID); err != nil || d.State != contracts.StateStopped {
		return err
	}
	return q.clear(ctx, ref, r.ID)
}

// clear takes a message that a person stopped from behind its key, if it is there; a key that it held up goes on. Who
// stops a message and who has just tried it both do so after their own write, so that one of them sees the other's.
func (q *queue) clear(ctx context.Context, ref contracts.KeyRef, id contracts.ID) error {
	behind, err := q.h.ledger.Behind(ctx, ref)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(behind, func(w contracts.Waiting) bool { return w.Message == id })
	if i < 0 {
		return nil
	}
	state, err := q.h.ledger.Key(ctx, ref)
	if err != nil {
		return err
	}
	c := contracts.Change{Done: []contracts.Waiting{behind[i]}}
	if i == 0 || state.Message == id {
		c.Keys = []contracts.KeyState{{KeyRef: ref, Condition: contracts.KeySpilled, Since: q.h.now()}}
		c.Revive = []contracts.KeyRef{ref}
	}
	defer q.nudge()
	return q.h.insist(ctx, c)
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

// group is the consumer group whose lanes feed this queue.
func (q *queue) group() string {
	if q.p == nil {
		return GroupTranslate
	}
	return GroupDeliver
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
	limit := 2 * q.h.lanes
	for {
		due, err := q.h.ledger.Waiting(ctx, q.topic, q.h.now(), limit)
		if err != nil && ctx.Err() == nil {
			q.h.log.WithField("topic", q.topic).WithField("kind", contracts.KindOf(err)).Warn("what waits can't be read; trying again")
		}
		owned := 0
		for _, w := range due {
			if !q.h.bus.Owns(q.topic, q.group(), w.Key) {
				continue
			}
			owned++
			if q.crowded() || !q.begin(w.Key) {
				continue
			}
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				q.end(w.Key)
				return nil
			}
			lane, release, held := q.h.bus.Hold(q.topic, q.group(), w.Key)
			if !held {
				q.end(w.Key)
				<-free
				continue
			}
			working.Go(func() {
				defer func() { release(); q.end(w.Key); <-free; q.nudge() }()
				lane, cancel := within(ctx, lane)
				defer cancel()
				if err := q.work(lane, w); err != nil && lane.Err() == nil {
					q.h.log.WithField("topic", q.topic).WithField("kind", contracts.KindOf(err)).Warn("a waiting message must wait on")
					pause(ctx, idle)
				}
			})
		}
		// What other processes own must not hide what is ours behind it.
		if len(due) == limit && owned == 0 {
			limit *= 4
			continue
		}
		limit = 2 * q.h.lanes
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

// crowded says that no further key should be taken now: while the partner is down one probe is enough, and all other
// keys stay free for an operator; while an operator halts it none is.
func (q *queue) crowded() bool {
	if q.p == nil {
		return false
	}
	if q.p.gate.isHalted() {
		return true
	}
	if !q.p.gate.down() {
		return false
	}
	return q.h.memory.flying.any(q.topic)
}

func (q *queue) begin(key contracts.Key) bool {
	return q.h.memory.flying.begin(contracts.KeyRef{Topic: q.topic, Key: key})
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
	q.h.memory.flying.end(contracts.KeyRef{Topic: q.topic, Key: key})
}

// work tries the first message behind a key once. While the partner is paused it doesn't wait at the gate: it probes,
// if nobody else does, or leaves the key alone.
func (q *queue) work(ctx context.Context, w contracts.Waiting) error {
	r, err := q.h.bus.Read(ctx, w.Park)
	if kind := contracts.KindOf(err); kind == contracts.NotFound || kind == contracts.Internal {
		return q.unreadable(ctx, w, contracts.FaultsOf(err)[0])
	}
	if err != nil {
		return err
	}
	r.Topic = q.topic
	var o outcome
	if q.p == nil {
		o, err = q.h.translateOnce(ctx, r)
	} else {
		open, probe := q.p.gate.tryEnter()
		if !open && !probe {
			return nil
		}
		if probe {
			if open, probe, err = q.p.gate.awaitProbe(ctx); !open {
				return err
			}
		}
		o, err = q.h.attemptNow(ctx, q.p, r, probe)
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

// unreadable parks a key whose first message has lost its bytes: a person must know.
func (q *queue) unreadable(ctx context.Context, w contracts.Waiting, fault *contracts.Fault) error {
	at := q.h.now()
	c := contracts.Change{Keys: []contracts.KeyState{{KeyRef: w.KeyRef, Condition: contracts.KeyParked, Since: at, Message: w.Message, Fault: fault}}}
	if q.p == nil {
		e, err := q.h.ledger.Entry(ctx, w.Message)
		if err != nil {
			return err
		}
		c2 := q.h.stepChange(e, contracts.StateParked, contracts.StepParked, fault)
		c.Received, c.Entries, c.Steps = c2.Received, c2.Entries, c2.Steps
		return q.h.insist(ctx, c)
	}
	d, err := q.h.ledger.Delivery(ctx, w.Message)
	if err != nil {
		return err
	}
	e, err := q.h.ledger.Entry(ctx, d.Message)
	if err != nil {
		return err
	}
	d.State, d.Fault = contracts.StateParked, fault
	c2 := q.h.attemptChange(e.Received, d, contracts.StepParked, fault, false)
	c.Received, c.Deliveries, c.Steps = c2.Received, c2.Deliveries, c2.Steps
	return q.h.insist(ctx, c)
}

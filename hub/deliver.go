package hub

import (
	"context"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// deliver works one record of a partner's topic. Nil finishes it: delivered, parked, stopped, or waiting behind its
// key. An error is trouble of our own: the record comes again.
//
// A partner that can't be reached is tried again here, the key's later messages waiting behind in the lane; after
// the contract's spill time the key leaves the lane and waits as rows, so that the topic's offsets move on.
func (h *Hub) deliver(ctx context.Context, p *partner, r contracts.Record) error {
	q := h.queues[r.Topic]
	if waits, err := q.join(ctx, r); waits || err != nil {
		return err
	}
	begun := time.Now() // by the clock that nobody sets
	for tries := 0; ; {
		o, err := h.attempt(ctx, p, r)
		if err != nil {
			return err
		}
		if o.counts {
			tries++
		} else {
			begun = time.Now() // the partner was paused: its key isn't what is stuck
		}
		wait := max(waitFor(p.Retry, tries, r.ID), o.answer.RetryAfter)
		if !o.again() || o.counts && time.Since(begun)+wait > p.Retry.Spill {
			return q.settle(ctx, r, o, tries, false)
		}
		if err := h.insist(ctx, o.change); err != nil { // also while the hub stops: what is known isn't a repeat later
			return err
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// outcome is what became of one attempt.
type outcome struct {
	fault  *contracts.Fault // nil: there is nothing left to do
	answer contracts.Answer
	change contracts.Change // tells the ledger of the failed attempt
	counts bool             // toward the contract's limit: not while the partner is paused
}

// again says that waiting may mend it.
func (o outcome) again() bool {
	return o.fault != nil && (o.fault.Kind == contracts.Unavailable || o.fault.Kind == contracts.NotFound)
}

// attempt sends a message once, or waits at the gate of a paused partner first.
func (h *Hub) attempt(ctx context.Context, p *partner, r contracts.Record) (outcome, error) {
	probing, err := p.gate.enter(ctx)
	if err != nil {
		return outcome{}, err
	}
	return h.attemptNow(ctx, p, r, probing)
}

// attemptNow sends a message once. The ledger knows of the attempt before the first byte leaves: whoever finds the
// state sending afterwards knows that the partner may have the message, and repeats the same bytes under the same id.
func (h *Hub) attemptNow(ctx context.Context, p *partner, r contracts.Record, probing bool) (outcome, error) {
	left := false
	leave := func(result *error, answered bool) { left = true; p.gate.leave(r.Key, result, answered, probing) }
	defer func() {
		if !left {
			leave(nil, false) // trouble of our own says nothing about the partner
		}
	}()
	d, err := h.deliveryOf(ctx, p, r)
	if err != nil || d.State == contracts.StateDelivered || d.State == contracts.StateStopped {
		return outcome{}, err
	}
	repeat := d.Unknown || d.State == contracts.StateSending
	d.State, d.Attempts, d.Place, d.Fault, d.Answer = contracts.StateSending, d.Attempts+1, r.Place, nil, ""
	if h.secret.Digest(r.Body.Bytes()) != d.Digest || d.Partner != p.ID {
		d.State, d.Fault = contracts.StateParked, contracts.Faultf(contracts.Internal, "HUB-041", "", "The bytes on the bus aren't those that were translated; nothing was sent.")
		return outcome{fault: d.Fault, change: h.attemptChange(r.Time, d, contracts.StepParked, d.Fault, false)}, nil
	}
	if err := h.apply(ctx, h.attemptChange(r.Time, d, contracts.StepSending, nil, probing)); err != nil {
		return outcome{}, err // of kind conflict when another process is at it: the record comes again, and is found done
	}
	// A lane's context ends with its partition. Where that has come back since, it has ended by the time that the bus says so.
	if !h.bus.Owns(contracts.OutTopic(p.ID), GroupDeliver, r.Key) || ctx.Err() != nil {
		return outcome{}, contracts.Faultf(contracts.Unavailable, "HUB-042", "", "The key moved to another process, which sends the message.")
	}
	ctx, cancel := h.longer(ctx)
	defer cancel()
	trace, end := h.span(r.Header[contracts.HeaderTrace], contracts.Span{Name: "deliver", Partner: p.ID, Type: d.Type, Attempt: d.Attempts})
	var answer contracts.Answer
	err = h.guard("deliver", r, func() (err error) {
		answer, err = p.courier.Deliver(ctx, contracts.Parcel{ID: d.ID, Control: d.Control, Type: d.Type, Format: d.Format, Body: r.Body,
			Attempt: d.Attempts, Repeat: repeat, Trace: trace})
		return err
	})
	end(delivered(answer, err))
	if err != nil && ctx.Err() != nil {
		return outcome{}, ctx.Err() // the hub is stopping: the row says sending, so the next one repeats it
	}
	leave(&err, answer.Code != "")
	d.Answer = answer.Code
	if err == nil {
		d.State, d.Unknown = contracts.StateDelivered, false
		return outcome{}, h.insist(ctx, h.attemptChange(r.Time, d, contracts.StepDelivered, nil, false))
	}
	fault := gravest(contracts.FaultsOf(err))
	step := contracts.StepRetried
	d.State, d.Fault, d.Unknown = contracts.StateWaiting, fault, repeat || answer.Unknown
	if fault.Kind != contracts.Unavailable {
		d.State, step = contracts.StateParked, contracts.StepParked
	}
	return outcome{fault, answer, h.attemptChange(r.Time, d, step, fault, probing && step == contracts.StepRetried), !probing}, nil
}

// deliveryOf gives the ledger's row of a record. A ledger that was put back from an older copy lacks it: it is made
// again from the record, as one whose outcome is unknown.
func (h *Hub) deliveryOf(ctx context.Context, p *partner, r contracts.Record) (contracts.Delivery, error) {
	d, err := h.ledger.Delivery(ctx, r.ID)
	if contracts.KindOf(err) == contracts.NotFound {
		return contracts.Delivery{
			ID: r.ID, Message: contracts.ID(r.Header[contracts.HeaderCause]), Journey: contracts.ID(r.Header[contracts.HeaderJourney]), Partner: p.ID,
			Route: r.Header[contracts.HeaderRoute], Control: r.Header[contracts.HeaderControl], Type: r.Header[contracts.HeaderType], Format: r.Header[contracts.HeaderFormat],
			Generation: generation(r), Map: r.Header[contracts.HeaderMap], Key: r.Key, Digest: contracts.Digest(r.Header[contracts.HeaderDigest]), State: contracts.StateWaiting, Unknown: true,
		}, nil
	}
	return d, err
}

// attemptChange tells the ledger of an attempt. A probe of a paused partner leaves no step until it succeeds: an
// outage of hours would else write thousands.
func (h *Hub) attemptChange(received time.Time, d contracts.Delivery, step string, fault *contracts.Fault, probe bool) contracts.Change {
	c := contracts.Change{Received: received, Deliveries: []contracts.Delivery{d}}
	if !probe {
		c.Steps = []contracts.Step{h.deliveryStep(d, step, fault)}
	}
	return c
}

func (h *Hub) deliveryStep(d contracts.Delivery, step string, fault *contracts.Fault) contracts.Step {
	return contracts.Step{ID: contracts.StepID(d.ID, step, d.Partner, d.Attempts), At: h.now(), Journey: d.Journey, Message: d.Message, Control: d.Control,
		Type: d.Type, Step: step, To: d.Partner, Map: d.Map, Attempt: d.Attempts, Answer: d.Answer, Digest: d.Digest, Fault: fault}
}

// waitFor is the time before the next try: doubling, and spread by up to a quarter from the message's own id, so that
// many messages don't come back at the same instant and a rerun waits just as long.
func waitFor(r contracts.Retry, tries int, id contracts.ID) time.Duration {
	d := r.First
	for i := 1; i < tries && d < r.Max; i++ {
		d *= 2
	}
	d = min(d, r.Max)
	return d + time.Duration(spread(id, tries))*d/1024
}

package mllp

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// takeBatch takes a frame that holds several messages, as the contract says. Each message is received by itself, in
// order; one that is broken is refused by itself, and the others go on. What is refused as a whole is kept as a whole,
// and the refusal answers its first message. Each message takes its turn in the door's rate.
func (c *conversation) takeBatch(ctx context.Context, body []byte, batch *hl7v2.Batch, tooMany error) bool {
	var fault *contracts.Fault
	switch {
	case c.door.settings.Several == contracts.SeveralRefuse:
		fault = &contracts.Fault{Kind: contracts.Refused, Code: CodeSeveral, ErrorCode: "100",
			Public: "The frame holds several messages or a batch, which the contract refuses. Send one message a frame."}
	case tooMany != nil:
		fault = &contracts.Fault{Kind: contracts.Refused, Code: CodeTooMany, ErrorCode: "207",
			Public: fmt.Sprintf("The frame holds more than %d messages, the limit of this door; none was received. Send smaller batches, or agree on a higher limit.", c.door.settings.MaxMessages)}
	}
	if fault != nil || len(batch.Parts) == 0 { // envelopes alone are kept, too
		return c.takeWhole(ctx, body, firstHeader(batch), fault)
	}
	if len(batch.Faults) > 0 {
		c.log.WithFields(logrus.Fields{"messages": len(batch.Parts), "faults": len(batch.Faults), "first": batch.Faults[0].Error()}).
			Warn("A batch's envelope isn't as it should be; its messages count all the same.")
	}
	if c.door.settings.Several == contracts.SeveralBatch {
		return c.takeTogether(ctx, batch)
	}
	return c.takeEach(ctx, batch)
}

// firstHeader is that of the first part which is a message.
func firstHeader(batch *hl7v2.Batch) *hl7v2.Header {
	for _, p := range batch.Parts {
		if head := hl7v2.ReadHeader(p.Bytes); head != nil {
			return head
		}
	}
	return nil
}

// takeEach answers each message before the next is received. In release 2 the commit acknowledgement stands for the
// frame, so all of it is received before.
func (c *conversation) takeEach(ctx context.Context, batch *hl7v2.Batch) bool {
	var frames [][]byte
	var ids []contracts.ID
	for i, p := range batch.Parts {
		if i > 0 {
			c.waitForTurn() // for the first, the frame has waited
		}
		frame, receipt, err := c.receive(ctx, []byte{startBlock}, p.Bytes, hl7v2.ReadHeader(p.Bytes), nil)
		if err != nil {
			return c.trouble(err, len(p.Bytes))
		}
		if len(frame) == 1 {
			continue
		}
		frame = append(frame, endBlock, carriageReturn)
		if c.door.settings.Release == release2 {
			frames, ids = append(frames, frame), append(ids, receipt.ID)
		} else if !c.write(frame, receipt.ID) {
			return false
		}
	}
	if !c.commit(commitAck) {
		return false
	}
	for i, frame := range frames {
		if !c.write(frame, ids[i]) {
			return false
		}
	}
	return true
}

// takeTogether answers in one frame, when all messages are received: a batch of acknowledgements.
func (c *conversation) takeTogether(ctx context.Context, batch *hl7v2.Batch) bool {
	acks := make([][]byte, len(batch.Parts))
	controls := make([]string, len(batch.Parts))
	var at time.Time
	for i, p := range batch.Parts {
		if i > 0 {
			c.waitForTurn() // for the first, the frame has waited
		}
		ack, receipt, err := c.receive(ctx, nil, p.Bytes, hl7v2.ReadHeader(p.Bytes), nil)
		if err != nil {
			return c.trouble(err, len(p.Bytes))
		}
		acks[i], controls[i] = ack, ownControl(c.door.partner, receipt)
		at = earliest(at, receipt.At)
	}
	if at.IsZero() {
		at = c.door.now()
	}
	answer := batch.Acknowledge(acks, hl7v2.BatchAnswer{Time: at.UTC(), ControlID: func(n int) string {
		return contracts.DerivedID("acknowledgement/batch", append(controls, strconv.Itoa(n))...).Control() // a repeat gets the same
	}})
	if !c.commit(commitAck) {
		return false
	}
	if len(answer) == 0 {
		return true
	}
	frame := append(writable(append([]byte{startBlock}, answer...), 1), endBlock, carriageReturn)
	return c.write(frame, "")
}

package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// isAcknowledgement says whether a partner that gets v2 messages says by this one what became of one of them. No
// contract lists such a type.
func isAcknowledgement(p *contracts.Partner, typ string) bool {
	code, _, _ := strings.Cut(typ, "^")
	return p.Courier.MLLP != nil && (code == "ACK" || code == "MCF")
}

// acknowledge works an acknowledgement that came as a message of its own: what a partner's application says of a
// delivery after the accept acknowledgement (HL7 v2.5.1, 2.9.3). It becomes a row of that delivery's journey, and a
// refusal parks, so that a person sees it; the delivery stays as it is, and nothing waits behind the refusal. Where the
// delivery itself has taken the refusal and parked, the acknowledgement only leaves a trace.
func (h *Hub) acknowledge(ctx context.Context, p *partner, r contracts.Record, e *contracts.Entry) error {
	ack, err := hl7v2.ReadAcknowledgement(r.Body.Bytes(), p.reading...)
	if err != nil {
		return err
	}
	d, err := h.deliveryTo(ctx, p, ack.ControlID)
	if err != nil {
		return err
	}
	e.Journey, e.Origin = d.Journey, d.Message
	switch {
	case !ack.Accepted() && d.State == contracts.StateSending: // the courier may be about to take it
		return contracts.Faultf(contracts.NotFound, "HUB-023", "MSA-2", "The delivery that this acknowledgement speaks of isn't decided yet.")
	case !ack.Accepted() && d.State != contracts.StateParked:
		f := contracts.Faultf(contracts.Refused, "HUB-022", "MSA-1", "The partner's application refused (%s) a message that it had taken before. Ask the partner; stop this acknowledgement when it is settled.", ack.Code)
		if len(ack.Errors) > 0 {
			f.At, f.ErrorCode = ack.Errors[0].At, ack.Errors[0].Code
		}
		return f
	}
	return h.apply(ctx, h.stepChange(*e, contracts.StateDelivered, contracts.StepCorrelated, nil))
}

// deliveryTo finds what a partner was sent under a control id. It is a fault of kind notfound if nothing was.
func (h *Hub) deliveryTo(ctx context.Context, p *partner, control string) (contracts.Delivery, error) {
	hits, err := h.ledger.Lookup(ctx, p.ID, contracts.IDControl, control)
	if err != nil {
		return contracts.Delivery{}, err
	}
	for _, hit := range hits {
		deliveries, err := h.ledger.Deliveries(ctx, hit.Message)
		if err != nil {
			return contracts.Delivery{}, err
		}
		if i := slices.IndexFunc(deliveries, func(d contracts.Delivery) bool { return d.Partner == p.ID && d.Control == control }); i >= 0 {
			return deliveries[i], nil
		}
	}
	return contracts.Delivery{}, contracts.Faultf(contracts.NotFound, "HUB-020", "MSA-2", "The acknowledgement names no message that its sender was given. It waits for a while, in case that one is still on its way.")
}

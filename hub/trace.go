package hub

import (
	"context"
	"maps"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// span opens a span where somebody traces; else what came with the message goes on as it is.
func (h *Hub) span(parent string, s contracts.Span) (traceparent string, end func(contracts.SpanEnd)) {
	if h.trace == nil {
		return parent, func(contracts.SpanEnd) {}
	}
	return h.trace(parent, s)
}

// publish publishes a record in a span of its own, which the record's header then names for what follows.
func (h *Hub) publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	trace, end := h.span(r.Header[contracts.HeaderTrace], contracts.Span{Name: "publish", Partner: r.Header[contracts.HeaderPartner],
		Type: r.Header[contracts.HeaderType], Topic: r.Topic})
	if trace != "" {
		r.Header[contracts.HeaderTrace] = trace
	}
	published, err := h.bus.Publish(ctx, r, once)
	end(contracts.SpanEnd{Err: err})
	return published, err
}

// translating opens the span of a translation, and gives the record as one that belongs to it: so does what leaves.
func (h *Hub) translating(r contracts.Record, e contracts.Entry) (contracts.Record, func(contracts.SpanEnd)) {
	trace, end := h.span(r.Header[contracts.HeaderTrace], contracts.Span{Name: "translate", Partner: e.Partner, Type: e.Type})
	if trace != r.Header[contracts.HeaderTrace] {
		r.Header = maps.Clone(r.Header)
		r.Header[contracts.HeaderTrace] = trace
	}
	return r, end
}

// delivered is how an attempt ended, for its span.
func delivered(answer contracts.Answer, err error) contracts.SpanEnd {
	o := contracts.SpanEnd{State: contracts.StateDelivered, Answer: answer.Code, Err: err}
	switch contracts.KindOf(err) {
	case "":
	case contracts.Unavailable:
		o.State = contracts.StateWaiting
	default:
		o.State = contracts.StateParked
	}
	return o
}

// about is a log that names a record, and its trace if it has one.
func (h *Hub) about(r contracts.Record) logrus.FieldLogger {
	log := h.log.WithField("id", r.ID)
	if id := contracts.TraceID(r.Header[contracts.HeaderTrace]); id != "" {
		log = log.WithField("trace", id)
	}
	return log
}

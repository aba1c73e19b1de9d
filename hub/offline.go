package hub

import (
	"context"
	"slices"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
)

// Offline translates as a hub with the same contracts, maps, profiles, secret and time does, by the same code, and takes
// nothing into custody: it has neither a bus nor a ledger. What a ledger would know of the past (the journey, the map of
// an earlier run) it doesn't; the message that is answered is given instead.
type Offline struct{ h *Hub }

// NewOffline checks contracts and maps as New does. Of c only Partners, Maps, Profiles, Secret and Now are read.
func NewOffline(c Config) (*Offline, error) {
	h, faults := translator(c)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return &Offline{h}, nil
}

// Canonical gives the canonical form that a hub would store of a message, with its findings. The error is contracts.Faults or a Fault:
// all for which a door would refuse the message, or that would park it.
func (o *Offline) Canonical(a contracts.Arrival) (contracts.Body, contracts.Faults, error) {
	sender, r, err := o.take(a)
	if err != nil {
		return contracts.Body{}, nil, err
	}
	c, err := o.h.toCanonical(context.Background(), sender, entry(r), r, "")
	return c.body, c.findings, err
}

// Outgoing gives the bytes that a hub would deliver to a partner because of a message, with the findings of both ways.
// request is what an answer answers: a message of that partner in its own format, or its canonical form; nil for none. An answer
// without it is a fault of kind notfound. Where no route leads to the partner a warning HUB-030 is among the findings.
func (o *Offline) Outgoing(a contracts.Arrival, to string, request *contracts.Arrival) (contracts.Body, contracts.Faults, error) {
	sender, r, err := o.take(a)
	if err != nil {
		return contracts.Body{}, nil, err
	}
	receiver := o.h.partners[to]
	if receiver == nil {
		return contracts.Body{}, nil, contracts.Faultf(contracts.Unmapped, "HUB-031", "", "The receiver has no contract.")
	}
	e := entry(r)
	passes := o.h.passTo(sender, e, past{})
	if slices.Contains(passes, to) {
		return o.passed(sender, receiver, e, r, request)
	}
	c, err := o.h.toCanonical(context.Background(), sender, e, r, "")
	if err != nil {
		return contracts.Body{}, nil, err
	}
	e.Event = c.head.Event
	t := thread{journey: contracts.JourneyID(e.ID)}
	var origin *mappings.Origin
	if profiles.Answers(e.Event) {
		if t.origin, origin, err = o.origin(request); err != nil {
			return contracts.Body{}, c.findings, err
		}
		t.journey = t.origin.Journey
	}
	findings := c.findings
	routed := slices.Contains(sender.Receivers(e.Event), to) || t.origin != nil
	if !routed || len(passes) > 0 || to == sender.ID {
		findings = append(findings, &contracts.Fault{Kind: contracts.Unmapped, Grade: contracts.GradeWarning, Code: "HUB-030",
			Public: "No route of the sender's contract takes this message to that partner: a hub would not deliver it."})
	}
	e.Journey = t.journey
	out, err := o.h.toDialect(context.Background(), receiver, e, r, c, t, origin, past{}.leaving(r, receiver, e.Event))
	if err != nil {
		return contracts.Body{}, findings, err
	}
	return out.record.Body, append(findings, out.steps[0].Losses...), nil
}

// take reads a message as a door does. The canonical form of what a v2 partner sent came by no door; it isn't judged.
func (o *Offline) take(a contracts.Arrival) (*partner, contracts.Record, error) {
	p := o.h.partners[a.Partner]
	if p == nil {
		return nil, contracts.Record{}, contracts.Faultf(contracts.Unroutable, "HUB-010", "", "The sender has no contract.")
	}
	m := contracts.Message{Partner: a.Partner, Format: a.Format, Body: a.Body, Received: o.h.now()}
	if fault := o.h.read(p, &m); fault != nil {
		return nil, contracts.Record{}, fault
	}
	if m.Format == p.Dialect.Format {
		if err := Refusals(p.Partner, m).Err(); err != nil {
			return nil, contracts.Record{}, err
		}
	}
	return p, inRecord(m, a.Trace), nil
}

// request reads the message that is answered.
func (o *Offline) request(request *contracts.Arrival) (*partner, contracts.Record, contracts.Entry, error) {
	if request == nil {
		return nil, contracts.Record{}, contracts.Entry{}, contracts.Faultf(contracts.NotFound, "HUB-020", "MessageHeader.response.identifier",
			"This is an answer, and the request that it answers isn't given. A hub would let it wait for that.")
	}
	p, r, err := o.take(*request)
	if err != nil {
		return nil, contracts.Record{}, contracts.Entry{}, err
	}
	e := entry(r)
	e.Journey = contracts.JourneyID(e.ID)
	return p, r, e, nil
}

// origin gives the message that is answered, and what a map may read of it.
func (o *Offline) origin(request *contracts.Arrival) (*contracts.Entry, *mappings.Origin, error) {
	p, r, e, err := o.request(request)
	if err != nil {
		return nil, nil, err
	}
	c, err := o.h.toCanonical(context.Background(), p, e, r, "")
	if err != nil {
		return nil, nil, err
	}
	e.Event = c.head.Event
	return &e, &mappings.Origin{Bundle: c.bundle, Application: e.Application, Facility: e.Facility, ControlID: e.Control}, nil
}

// passed gives a message that goes through as it came.
func (o *Offline) passed(sender, receiver *partner, e contracts.Entry, r contracts.Record, request *contracts.Arrival) (contracts.Body, contracts.Faults, error) {
	m, err := hl7v2.Parse(r.Body.Bytes(), sender.reading...)
	if err != nil {
		return contracts.Body{}, nil, err
	}
	findings := sender.agreed.Check(m)
	if err := findings.Err(); err != nil {
		return contracts.Body{}, nil, err
	}
	t := thread{journey: contracts.JourneyID(e.ID)}
	if m.Get(msa2).Text() != "" {
		_, _, origin, err := o.request(request)
		if err != nil {
			return contracts.Body{}, findings, err
		}
		t = thread{origin.Journey, &origin}
	}
	e.Event, e.Journey = e.Type, t.journey
	out, err := o.h.passOne(receiver, e, r, t, sender, past{}.leaving(r, receiver, e.Event))
	return out.record.Body, findings, err
}

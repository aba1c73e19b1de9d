package hub

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// passed is the state of a journey whose messages go through without being understood.
const passed = "passed"

// passTo gives the partners that get a message as it came; none where it is translated. What was done with it once
// decides, whatever the contract says by now: it was translated if it has a canonical form, and passed on to those that
// have a delivery of it.
func (h *Hub) passTo(sender *partner, e contracts.Entry, b past) []string {
	switch {
	case e.Format != contracts.FormatV2 || b.entry.Canonical != "":
		return nil
	case len(b.maps) > 0:
		return slices.Sorted(maps.Keys(b.maps))
	}
	return sender.Passes(e.Type)
}

// passOn gives a message to its receivers as it came: nothing but its addresses and its ids (MSH-3 to MSH-7, MSH-10,
// MSA-2) is written anew. Like translating it depends on the record and the ledger's first writes alone.
func (h *Hub) passOn(ctx context.Context, sender *partner, names []string, r contracts.Record, e *contracts.Entry, before past) (translation, error) {
	m, err := hl7v2.Parse(r.Body.Bytes(), sender.reading...)
	if err != nil {
		return translation{}, err
	}
	w := translation{findings: sender.agreed.Check(m)}
	if err := w.findings.Err(); err != nil {
		return w, err
	}
	referral, by := readKey(sender.keys[m.Code()], m.Header())
	if by != contracts.KeyedByReferral {
		referral = ""
	}
	t, err := h.correlatePassed(ctx, *e, before, referral, m.Get(msa2).Text())
	if err != nil {
		return w, err
	}
	if e.Journey = t.journey; t.origin != nil {
		e.Origin = t.origin.ID
	}
	e.Event, e.State = e.Type, contracts.StateTranslated
	w.change = contracts.Change{
		Received: e.Received,
		Entries:  []contracts.Entry{*e},
		Steps: append(arrival(*e), contracts.Step{ID: contracts.StepID(e.ID, contracts.StepTranslated, "", before.generation), At: h.now(), Journey: e.Journey,
			Message: e.ID, Control: e.Control, Type: e.Type, Step: contracts.StepTranslated, From: e.Partner, To: strings.Join(names, " "), Losses: w.findings}),
		Journeys:    []contracts.Journey{{ID: e.Journey, State: passed, Started: e.Received, Updated: e.Received}},
		Identifiers: passedIdentifiers(e.Partner, *e, e.Control, referral),
	}
	for _, name := range names {
		p := h.partners[name]
		if p == nil || p.courier == nil {
			return w, contracts.Faultf(contracts.Unmapped, "HUB-031", "", "The message goes to a partner that has no courier. Complete that partner's contract.")
		}
		o, err := h.passOne(p, *e, r, t, sender, before.leaving(r, p, e.Event))
		if err != nil {
			return w, err
		}
		o.identifiers = passedIdentifiers(p.ID, *e, o.delivery.Control, referral)
		w.add(o)
	}
	return w, nil
}

// passOne readdresses a message for one receiver.
func (h *Hub) passOne(p *partner, e contracts.Entry, r contracts.Record, t thread, sender *partner, l leaving) (outgoing, error) {
	d := contracts.Delivery{ID: l.id, Message: e.ID, Journey: e.Journey, Partner: p.ID, Route: e.Partner + ">" + p.ID, Control: l.id.Control(),
		Generation: l.generation, Format: e.Format, State: contracts.StateTranslated, Key: h.outKey(e, r), Type: e.Type}
	m, err := hl7v2.Parse(r.Body.Bytes(), sender.reading...)
	if err != nil {
		return outgoing{}, err
	}
	if err := h.readdressV2(m, p, hl7Time(e.Received.In(p.zone)), d.Control); err != nil {
		return outgoing{}, err
	}
	if t.origin != nil {
		if err := m.SetText(msa2, t.origin.Control); err != nil {
			return outgoing{}, err
		}
	}
	return h.outgoing(d, e, m.Bytes(), r.Header[contracts.HeaderTrace]), nil
}

// correlatePassed finds the journey of a message that is passed on: by what it answers, else by its referral's id, else
// it is one of its own. An answer to something unknown waits, like any other.
func (h *Hub) correlatePassed(ctx context.Context, e contracts.Entry, b past, referral, answers string) (thread, error) {
	if b.entry.Journey != "" {
		return h.thread(ctx, b.entry.Journey, b.entry.Origin)
	}
	if answers != "" {
		hits, err := h.lookup(ctx, e.Partner, contracts.IDControl, []string{answers})
		if err != nil {
			return thread{}, err
		}
		if len(hits) == 0 {
			return thread{}, contracts.Faultf(contracts.NotFound, "HUB-020", "MSA-2",
				"The answer names no message that its sender was given. It waits for a while, in case that one is still on its way.")
		}
		return h.thread(ctx, hits[0].Journey, hits[0].Message)
	}
	hits, err := h.lookup(ctx, e.Partner, contracts.IDPlacer, nonEmpty(referral))
	if err != nil {
		return thread{}, err
	}
	switch journeys := journeysOf(hits); len(journeys) {
	case 0:
		return thread{journey: contracts.JourneyID(e.ID)}, nil
	case 1:
		return thread{journey: journeys[0]}, nil
	}
	return thread{}, contracts.Faultf(contracts.Conflict, "HUB-021", "key", "The referral's id belongs to several journeys of this sender.")
}

// passedIdentifiers are the names under which a partner knows a message that is passed on.
func passedIdentifiers(partner string, e contracts.Entry, control, referral string) []contracts.Identifier {
	ids := []contracts.Identifier{identifier(partner, contracts.IDControl, control, e.ID, e.Journey)}
	if referral != "" {
		ids = append(ids, identifier(partner, contracts.IDPlacer, referral, e.ID, e.Journey))
	}
	return ids
}

package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// thread is where a message belongs: its journey and, for an answer, the message that it answers.
type thread struct {
	journey contracts.ID
	origin  *contracts.Entry
}

// journeyState is the state that a journey has after an event; empty where the event says nothing of a referral's state.
func journeyState(event string) string {
	switch event {
	case profiles.Request:
		return "requested"
	case profiles.Update:
		return "updated"
	case profiles.Cancel:
		return "cancelled"
	case profiles.Appointment:
		return "booked"
	case profiles.Feedback:
		return "completed"
	case profiles.PatientChange, profiles.Merge, profiles.Result:
		return ""
	}
	return strings.TrimPrefix(event, "response-")
}

// correlate finds a message's journey. The answer is looked for only among journeys that its sender takes part in,
// by what it answers, then the placer's id, then the filler's, then the resources that it points at.
//
// For an answer without any hit the fault is of kind notfound, for one with several journeys conflict. A message
// that was correlated before keeps its thread: the ledger's first write wins.
func (h *Hub) correlate(ctx context.Context, e contracts.Entry, b past, head *fhir.Header) (thread, error) {
	if b.entry.Journey != "" {
		return h.thread(ctx, b.entry.Journey, b.entry.Origin)
	}
	if !profiles.Answers(head.Event) {
		hits, err := h.lookup(ctx, e.Partner, contracts.IDPlacer, identifierValues(head.Placers))
		if err != nil {
			return thread{}, err
		}
		switch journeys := journeysOf(hits); len(journeys) {
		case 0:
			return thread{journey: contracts.JourneyID(e.ID)}, nil
		case 1:
			return thread{journey: journeys[0]}, nil
		default:
			return thread{}, contracts.Faultf(contracts.Conflict, "HUB-021", "Task.identifier", "The referral's id belongs to several journeys of this sender.")
		}
	}
	referrals := identifierValues(head.Referrals)
	for _, try := range []struct {
		kind   string
		values []string
		at     string
	}{
		{contracts.IDControl, nonEmpty(answered(head), head.ResponseTo), "MessageHeader.response.identifier"},
		{contracts.IDPlacer, append(identifierValues(head.Placers), referrals...), "identifier PLAC"},
		{contracts.IDFiller, append(identifierValues(head.Fillers), referrals...), "identifier FILL"},
		{contracts.IDResource, head.Resources, "focus and basedOn"},
	} {
		hits, err := h.lookup(ctx, e.Partner, try.kind, try.values)
		if err != nil {
			return thread{}, err
		}
		journeys := journeysOf(hits)
		if len(journeys) > 1 {
			return thread{}, contracts.Faultf(contracts.Conflict, "HUB-021", try.at, "The answer fits several journeys; an operator must say which.")
		}
		if len(journeys) == 1 {
			return h.answered(ctx, journeys[0], e.Partner, hits, try.kind == contracts.IDControl)
		}
	}
	return thread{}, contracts.Faultf(contracts.NotFound, "HUB-020", "MessageHeader.response.identifier",
		"The answer names no message or referral that its sender was given. It waits for a while, in case that one is still on its way.")
}

// answered gives the thread of an answer: the message that it names, or else the newest that somebody else sent.
func (h *Hub) answered(ctx context.Context, journey contracts.ID, answering string, hits []contracts.Identifier, exact bool) (thread, error) {
	if exact {
		return h.thread(ctx, journey, hits[0].Message)
	}
	entries, err := h.ledger.JourneyEntries(ctx, journey)
	if err != nil {
		return thread{}, err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.Partner != answering && e.Canonical != "" && !profiles.Answers(e.Event) {
			return thread{journey, &e}, nil
		}
	}
	return thread{}, contracts.Faultf(contracts.NotFound, "HUB-020", "identifier", "The journey holds no message that could be answered.")
}

func (h *Hub) thread(ctx context.Context, journey, origin contracts.ID) (thread, error) {
	if origin == "" {
		return thread{journey: journey}, nil
	}
	e, err := h.ledger.Entry(ctx, origin)
	if err != nil {
		return thread{}, err
	}
	return thread{journey, &e}, nil
}

// lookup gives what the first of the values names that names anything. A message that parked before it had a journey
// has identifiers too, so that people find it; they say nothing here.
func (h *Hub) lookup(ctx context.Context, partner, kind string, values []string) ([]contracts.Identifier, error) {
	for _, v := range values {
		hits, err := h.ledger.Lookup(ctx, partner, kind, v)
		if err != nil {
			return nil, err
		}
		hits = slices.DeleteFunc(hits, func(hit contracts.Identifier) bool { return hit.Journey == "" })
		if len(hits) > 0 {
			return hits, nil
		}
	}
	return nil, nil
}

func journeysOf(hits []contracts.Identifier) []contracts.ID {
	var journeys []contracts.ID
	seen := map[contracts.ID]bool{}
	for _, hit := range hits {
		if !seen[hit.Journey] {
			seen[hit.Journey] = true
			journeys = append(journeys, hit.Journey)
		}
	}
	return journeys
}

// answered is the control id of the message that a message answers, or empty.
func answered(head *fhir.Header) string {
	if head.ResponseControl != "" {
		return head.ResponseControl
	}
	return head.ResponseTo
}

// identifierValues spells identifiers as the ids table has them: with their system first, since a bare number may be
// given by two units, then without, since not everybody repeats the system.
func identifierValues(ids []fhir.Identifier) []string {
	var values []string
	for _, id := range ids {
		if id.System != "" && id.Value != "" {
			values = append(values, id.System+"|"+id.Value)
		}
	}
	for _, id := range ids {
		if id.Value != "" {
			values = append(values, id.Value)
		}
	}
	return values
}

func nonEmpty(values ...string) []string {
	var filled []string
	for _, v := range values {
		if v != "" {
			filled = append(filled, v)
		}
	}
	return filled
}

// identifiers are the names under which a partner knows a message and its journey: written before anything leaves, so
// that no answer can come before its row. A control id names its message; the others name the journey, once, however
// many messages carry them.
func identifiers(partner string, message, journey contracts.ID, head *fhir.Header, controls, resources []string) []contracts.Identifier {
	var ids []contracts.Identifier
	add := func(kind string, values ...string) {
		for _, v := range values {
			if v != "" {
				ids = append(ids, identifier(partner, kind, v, message, journey))
			}
		}
	}
	add(contracts.IDControl, controls...)
	add(contracts.IDPlacer, identifierValues(head.Placers)...)
	add(contracts.IDFiller, identifierValues(head.Fillers)...)
	add(contracts.IDResource, resources...)
	return ids
}

// identifier is one name of a message or, where it is no control id and the journey is known, of the journey.
func identifier(partner, kind, value string, message, journey contracts.ID) contracts.Identifier {
	if kind != contracts.IDControl && journey != "" {
		message = ""
	}
	return contracts.Identifier{Partner: partner, Kind: kind, Value: value, Message: message, Journey: journey}
}

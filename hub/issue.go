package hub

import (
	"context"
	"slices"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/mappings"
)

// raised are a translated message's parts in issues: findings about an unknown code or a value that was left out,
// which stop nothing and which somebody has to look at. Those of what leaves belong to its receiver, whose map told them.
func raised(e contracts.Entry, steps []contracts.Step) []contracts.Raised {
	var list []contracts.Raised
	for _, s := range steps {
		partner := e.Partner
		if s.Step == contracts.StepReaddress {
			partner = s.To
		}
		for _, f := range s.Losses {
			if f.Grade == contracts.GradeWarning && (f.Kind == contracts.Unmapped || f.Code == mappings.CodeLeftOut) {
				list = append(list, contracts.Raised{Issue: contracts.IssueID(partner, s.Map, f), Message: e.ID, At: e.Received, Partner: partner, Map: s.Map, Fault: f})
			}
		}
	}
	return list
}

// Issues gives what somebody has to look at, like faults in one, the issue with the newest message first: what goes on all
// the same, until it is closed, and what is parked, as long as it is. Of parked messages the newest 10,000 are looked at.
func (h *Hub) Issues(ctx context.Context) ([]contracts.Issue, error) {
	all, err := h.ledger.Issues(ctx)
	if err != nil {
		return nil, err
	}
	parked, err := h.parked(ctx, contracts.Filter{})
	if err != nil {
		return nil, err
	}
	at := map[contracts.ID]int{}
	for _, row := range parked { // newest first
		id := issueOf(row)
		i, known := at[id]
		if !known {
			i = len(all)
			at[id] = i
			all = append(all, contracts.Issue{ID: id, Parked: true, Partner: row.From, Map: row.Map, Fault: row.Fault, Last: row.At, Message: row.ID})
		}
		all[i].Messages++
		all[i].First = row.At
	}
	slices.SortStableFunc(all, func(a, b contracts.Issue) int { return b.Last.Compare(a.Last) })
	return all, nil
}

// parked gives the parked messages that have a fault, newest first.
func (h *Hub) parked(ctx context.Context, f contracts.Filter) ([]contracts.Row, error) {
	f.State, f.Limit = contracts.StateParked, contracts.PartnerRowMost
	rows, err := h.ledger.List(ctx, f)
	return slices.DeleteFunc(rows, func(row contracts.Row) bool { return row.Fault == nil }), err
}

func issueOf(row contracts.Row) contracts.ID { return contracts.IssueID(row.From, "", row.Fault) }

// CloseIssue says that somebody has looked at an issue. The next message with such a fault opens it again.
func (h *Hub) CloseIssue(ctx context.Context, id, reason, operator string) error {
	all, err := h.Issues(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(i contracts.Issue) bool { return string(i.ID) == id })
	if i < 0 {
		return contracts.Faultf(contracts.NotFound, "HUB-070", "issue", "There is no open issue of this id.")
	}
	if all[i].Parked {
		return contracts.Faultf(contracts.Conflict, "HUB-071", "issue", "The messages of this issue are parked. It ends when they are mended, released or stopped.")
	}
	at := h.now()
	return h.apply(ctx, contracts.Change{Received: at, Close: []contracts.ID{all[i].ID}, Steps: []contracts.Step{{
		ID: contracts.StepID(all[i].ID, contracts.StepClosed, "", int(at.UnixMicro())), At: at, Step: contracts.StepClosed, From: operator, To: all[i].Partner,
		Map: all[i].Map, Fault: all[i].Fault, Reason: reason}}})
}

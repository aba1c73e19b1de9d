package hub

import (
	"maps"
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// route says who gets a message: who got it before, if it comes again; else the receivers of its event in the sender's contract and, for an answer, whoever
// sent what it answers. Each receiver once, never the sender itself. No receiver is a fault of kind unmapped.
func (h *Hub) route(sender *partner, event string, t thread, b past) ([]*partner, error) {
	names := slices.Sorted(maps.Keys(b.maps))
	if len(names) == 0 {
		names = sender.Receivers(event)
		if t.origin != nil {
			names = append(names, t.origin.Partner)
		}
	}
	var to []*partner
	seen := map[string]bool{sender.ID: true}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		p := h.partners[name]
		if p == nil || p.courier == nil {
			return nil, contracts.Faultf(contracts.Unmapped, "HUB-031", "", "The message goes to a partner that has no courier. Complete that partner's contract.")
		}
		to = append(to, p)
	}
	if len(to) == 0 {
		return nil, contracts.Faultf(contracts.Unmapped, "HUB-030", "", "No route of the sender's contract takes this event. Add one to the contract.")
	}
	return to, nil
}

package contracts

import (
	"slices"
	"time"
)

// ActivationLead is how far ahead of its making an activation lies at least: by then every process on the ledger knows of
// it, so one message is never translated by two versions.
const ActivationLead = 10 * time.Second

// Activation is an operator's word that messages received from a time on are translated by a version of a map. It is never
// changed or taken back; a later one comes in its place.
type Activation struct {
	ID       ID        `json:"id"`
	Map      string    `json:"map"`               // the map's id
	Version  string    `json:"version"`           // that is active from At on
	Before   string    `json:"before"`            // that was active until then: a rollback goes there
	Partner  string    `json:"partner,omitempty"` // only for this one's messages; empty: all partners'
	Type     string    `json:"type,omitempty"`    // only for this type (REF^I12, REF*) or, outgoing, event; empty: all
	At       time.Time `json:"at"`
	Made     time.Time `json:"made"`
	Operator string    `json:"operator"`
	Reason   string    `json:"reason,omitempty"`
}

// ActivationRequest asks for an activation. Without Version it goes back to the version before.
type ActivationRequest struct {
	Map, Version, Partner, Type string
	At                          time.Time // zero: as soon as it may be
	Reason, Operator            string
}

// ActiveVersion is the version of a map that is active for a message, or "" where none is: of the activations that had
// begun when it was received, one for its partner counts before one for all, then one for its type, then the latest.
func ActiveVersion(all []Activation, id, partner, typ string, received time.Time) string {
	var best *Activation
	for i := range all {
		a := &all[i]
		if a.Map != id || a.Partner != "" && a.Partner != partner || a.Type != "" && !matches(a.Type, typ) || a.At.After(received) {
			continue
		}
		if best == nil || a.outranks(best) {
			best = a
		}
	}
	if best == nil {
		return ""
	}
	return best.Version
}

func (a *Activation) outranks(b *Activation) bool {
	switch {
	case (a.Partner != "") != (b.Partner != ""):
		return a.Partner != ""
	case (a.Type != "") != (b.Type != ""):
		return a.Type != ""
	}
	return slices.Compare([]int64{b.At.UnixMicro(), b.Made.UnixMicro()}, []int64{a.At.UnixMicro(), a.Made.UnixMicro()}) < 0
}

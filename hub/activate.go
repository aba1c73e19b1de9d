package hub

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/mappings"
)

// activations are those of the ledger as last seen. What was made since begins ActivationLead after that look at the
// earliest; half of it is left to clocks that differ.
type activations struct {
	mu     sync.Mutex
	looked time.Time
	all    []contracts.Activation
}

// active gives the activations that decide about a message received at a time.
func (h *Hub) active(ctx context.Context, received time.Time) ([]contracts.Activation, error) {
	if h.ledger == nil {
		return nil, nil // offline: the newest versions
	}
	h.activations.mu.Lock()
	defer h.activations.mu.Unlock()
	if received.Before(h.activations.looked.Add(contracts.ActivationLead / 2)) {
		return h.activations.all, nil
	}
	now := h.now()
	all, err := h.ledger.Activations(ctx)
	if err != nil {
		return nil, err
	}
	h.activations.looked, h.activations.all = now, all
	return all, nil
}

// version names a map with the version that works for a message of a partner: the one that the contract names, the active
// one, or the newest.
func (h *Hub) version(ctx context.Context, name, partner, typ string, received time.Time) (string, error) {
	if name == "" || strings.Contains(name, "@") {
		return name, nil
	}
	all, err := h.active(ctx, received)
	if err != nil {
		return "", err
	}
	if version := contracts.ActiveVersion(all, name, partner, typ, received); version != "" {
		return name + "@" + version, nil
	}
	return name, nil
}

// Activate lets a version of a map translate what is received from a time on; without a version the one that was active
// before the present one. It begins ActivationLead from now at the earliest, and is never taken back: a later one comes
// in its place.
func (h *Hub) Activate(ctx context.Context, r contracts.ActivationRequest) (contracts.Activation, error) {
	made := h.now()
	ctx, cancel := context.WithTimeout(ctx, contracts.ActivationLead/2) // one that is written later would be known too late
	defer cancel()
	all, err := h.ledger.Activations(ctx)
	if err != nil {
		return contracts.Activation{}, err
	}
	a := contracts.Activation{Map: r.Map, Version: r.Version, Partner: r.Partner, Type: r.Type, At: r.At, Made: made, Operator: r.Operator, Reason: r.Reason}
	if a.At.IsZero() {
		a.At = made.Add(contracts.ActivationLead)
	}
	if a.At.Before(made.Add(contracts.ActivationLead)) {
		return a, contracts.Faultf(contracts.Invalid, "HUB-065", "at", "An activation begins %d seconds from now at the earliest, so that every process knows of it by then.", int(contracts.ActivationLead.Seconds()))
	}
	if a.Partner != "" && h.partners[a.Partner] == nil {
		return a, contracts.Faultf(contracts.NotFound, "HUB-060", "partner", "There is no partner of this id.")
	}
	if a.Version == "" {
		if slices.ContainsFunc(only(all, a), func(b contracts.Activation) bool { return b.At.After(a.At) }) {
			return a, contracts.Faultf(contracts.Conflict, "HUB-067", "map", "Another version becomes active later, so going back would not last. Activate the version that you want from after that time.")
		}
		if a.Version = before(all, a); a.Version == "" {
			return a, contracts.Faultf(contracts.NotFound, "HUB-066", "map", "No version of this map was activated here, so there is none to go back from. Activate one by its version.")
		}
	}
	m, err := h.maps.Map(a.Map + "@" + a.Version)
	if err != nil {
		return a, err
	}
	if r.Version != "" { // a rollback goes back to what was taken once
		if err := h.decides(a, m); err != nil {
			return a, err
		}
	}
	if a.Before = contracts.ActiveVersion(all, a.Map, a.Partner, a.Type, a.At); a.Before == "" {
		newest, err := h.maps.Map(a.Map)
		if err != nil {
			return a, err
		}
		a.Before = newest.Version()
	}
	a.At = a.At.UTC().Truncate(time.Microsecond)
	a.ID = contracts.DerivedID("activation", m.Name(), a.Partner, a.Type, a.At.Format(time.RFC3339Nano), made.Format(time.RFC3339Nano))
	at := contracts.Change{Received: made, Activations: []contracts.Activation{a}, Steps: []contracts.Step{{
		ID: contracts.StepID(a.ID, contracts.StepActivated, a.Partner, 0), At: made, Step: contracts.StepActivated, From: a.Operator, To: a.Partner, Map: m.Name(), Reason: a.Reason}}}
	return a, h.apply(ctx, at)
}

// decides refuses an activation that would never decide about a message: the map takes nothing of its type, or the
// partner's contract doesn't leave the map's version open for it.
func (h *Hub) decides(a contracts.Activation, m *mappings.Map) error {
	ofType := func(word string) bool { return a.Type == "" || contracts.Takes([]string{a.Type}, word) }
	in, out := kept(m.Types(), ofType), kept(m.CanonicalEvents(), ofType)
	if len(in)+len(out) == 0 {
		return contracts.Faultf(contracts.Invalid, "HUB-068", "type", "The map takes nothing of this type; it takes %s.", strings.Join(m.Types(), ", "))
	}
	p := h.partners[a.Partner]
	if p == nil || slices.ContainsFunc(in, func(typ string) bool { return p.MapIn(typ) == a.Map }) || slices.ContainsFunc(out, func(event string) bool { return p.MapOut(event) == a.Map }) {
		return nil
	}
	return contracts.Faultf(contracts.Invalid, "HUB-069", "partner", "The partner's contract doesn't name this map without a version for such messages, so an activation changes nothing for it.")
}

func kept(words []string, keep func(string) bool) []string {
	return slices.DeleteFunc(words, func(word string) bool { return !keep(word) })
}

// before is the version to which an activation of the same map, partner and type goes back: that before the latest one.
func before(all []contracts.Activation, like contracts.Activation) string {
	version := ""
	for _, a := range all { // in the order in which they were made
		if a.Map == like.Map && a.Partner == like.Partner && a.Type == like.Type {
			version = a.Before
		}
	}
	return version
}

// Activations gives all activations, in the order in which they were made.
func (h *Hub) Activations(ctx context.Context) ([]contracts.Activation, error) {
	return h.ledger.Activations(ctx)
}

// checkMaps refuses a catalog that lacks a version that is active, now or later, or in which a published version isn't
// what this ledger has seen of it.
func (h *Hub) checkMaps(ctx context.Context) error {
	if h.maps == nil {
		return nil
	}
	var faults contracts.Faults
	for _, m := range h.maps.Maps() {
		if !m.Published() {
			continue
		}
		held, err := h.ledger.Fix(ctx, "map "+m.Name(), m.Digest())
		if err != nil {
			return err
		}
		if held != m.Digest() {
			faults = append(faults, contracts.Faultf(contracts.Invalid, "CFG-036", m.Name(), "This published version isn't the one that this ledger has seen. Put its files back, and give the change a new version."))
		}
	}
	all, err := h.active(ctx, h.now())
	if err != nil {
		return err
	}
	for _, a := range inForce(all, h.now()) {
		if a.Partner != "" && h.partners[a.Partner] == nil {
			continue // whose contract is gone
		}
		if _, err := h.maps.Map(a.Map + "@" + a.Version); err != nil {
			faults = append(faults, contracts.Faultf(contracts.Invalid, "CFG-035", a.Map+"@"+a.Version, "This version is active, or will be, and isn't in the catalog. Put it back."))
		}
	}
	return faults.Err()
}

// inForce are the activations that decide about messages received from now on.
func inForce(all []contracts.Activation, now time.Time) []contracts.Activation {
	var list []contracts.Activation
	for _, a := range all {
		if a.At.After(now) || contracts.ActiveVersion(only(all, a), a.Map, a.Partner, a.Type, now) == a.Version {
			list = append(list, a)
		}
	}
	return list
}

// only are the activations of the same map, partner and type.
func only(all []contracts.Activation, like contracts.Activation) []contracts.Activation {
	var list []contracts.Activation
	for _, a := range all {
		if a.Map == like.Map && a.Partner == like.Partner && a.Type == like.Type {
			list = append(list, a)
		}
	}
	return list
}

package hub

import (
	"context"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// past is what was done with a message before: a crash, or a record that came twice, brings it here again. It is then
// translated by the same maps to the same receivers, whatever the contracts say by now, so that the bytes are the same.
type past struct {
	done       bool // each delivery is past this stage, or a person stopped the message
	entry      contracts.Entry
	maps       map[string]string       // by receiver: the map that wrote its message last; empty for the canonical form
	generation int                     // the one that the record asks for
	ids        map[string]contracts.ID // by receiver: the id under which its message leaves, if not the generation's own
	reads      string                  // the id of the map by which the sender's contract has this FHIR message read; empty for the canonical form
}

// asItIs stands for no map where there is none because the message was in the canonical form before: a map that the
// contract names by now would give it other bytes.
const asItIs = "-"

// before looks up a message's past, as far as a record's generation. One whose deliveries still say translated is done
// again, since it may not have been published.
func (h *Hub) before(ctx context.Context, r contracts.Record) (past, error) {
	b := past{generation: generation(r), maps: map[string]string{}}
	if p := h.partners[r.Header[contracts.HeaderPartner]]; p != nil && r.Header[contracts.HeaderFormat] == contracts.FormatFHIR {
		b.reads = mapID(p.MapIn(r.Header[contracts.HeaderType]))
	}
	var err error
	b.entry, err = h.ledger.Entry(ctx, r.ID)
	if contracts.KindOf(err) == contracts.NotFound {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	b.done = b.entry.State == contracts.StateStopped
	deliveries, err := h.ledger.Deliveries(ctx, r.ID)
	if err != nil {
		return b, err
	}
	made, unsent := 0, 0
	for _, d := range deliveries {
		if d.Generation > b.generation {
			continue
		}
		b.maps[d.Partner] = d.Map
		if d.Generation == b.generation {
			made++
		}
		if d.Generation == b.generation && d.State == contracts.StateTranslated {
			unsent++
		}
	}
	b.done = b.done || made > 0 && unsent == 0
	return b, nil
}

// generation is how often an operator sent a message anew before a record was written.
func generation(r contracts.Record) int {
	n, _ := strconv.Atoi(r.Header[contracts.HeaderGeneration])
	return n
}

// reading names the map that reads a message: the one that an operator chose, or else the one that read it before.
func (b past) reading(r contracts.Record) string {
	if b.chosenReads(r) {
		return r.Header[contracts.HeaderMap]
	}
	if b.entry.Map == "" && b.entry.Canonical != "" {
		return asItIs
	}
	return b.entry.Map
}

// chosenReads says whether the map that an operator chose is for reading: what comes in the canonical form needs none.
func (b past) chosenReads(r contracts.Record) bool {
	chosen := r.Header[contracts.HeaderMap]
	return chosen != "" && (r.Header[contracts.HeaderFormat] == contracts.FormatV2 || mapID(chosen) == b.reads)
}

// leaving is under which generation and by which map a receiver's message leaves.
type leaving struct {
	generation int
	by         string // empty: by the contract's; or asItIs
	id         contracts.ID
}

// leaving says how a message leaves for a receiver. The map that an operator chose writes what a sender of the canonical
// form sent; else it reads, and writes only where another version of the same map would.
func (b past) leaving(r contracts.Record, to *partner, event string) leaving {
	by, before := b.maps[to.ID]
	writes := by
	if before && by == "" {
		by = asItIs
	}
	if writes == "" {
		writes = to.MapOut(event)
	}
	if chosen := r.Header[contracts.HeaderMap]; chosen != "" && (to.Dialect.Format == contracts.FormatV2 || writes != "") && (!b.chosenReads(r) || mapID(chosen) == mapID(writes)) {
		by = chosen
	}
	id := b.ids[to.ID]
	if id == "" {
		id = contracts.OutgoingID(r.ID, to.ID, "message", b.generation)
	}
	return leaving{b.generation, by, id}
}

func mapID(name string) string {
	id, _, _ := strings.Cut(name, "@")
	return id
}

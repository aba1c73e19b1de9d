package custody

import (
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// row is the newest row that an id names.
func (h *house) row(id string) contracts.Row {
	h.t.Helper()
	rows, err := h.hub.Find(h.t.Context(), id)
	if err != nil || len(rows) == 0 {
		h.t.Fatalf("nothing has the id %s: %v", id, err)
	}
	return rows[0]
}

// delivery is what was made last of the message that an id names.
func (h *house) delivery(id string) contracts.Delivery {
	h.t.Helper()
	made, err := h.ledger.Deliveries(h.t.Context(), h.row(id).ID)
	if err != nil || len(made) == 0 {
		h.t.Fatalf("nothing was made of %s: %v", id, err)
	}
	return made[len(made)-1]
}

// until asks again and again for what no step tells of; it fails after 20 s.
func (h *house) until(what string, done func() bool) {
	h.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(20 * time.Second)
	for !done() {
		select {
		case <-look.C:
		case <-late:
			h.t.Fatalf("it didn't come so far that %s", what)
		}
	}
}

package custody

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// asked counts what is asked about patients, and the names that are written of them.
type asked struct {
	hub.Ledger
	lookups, names atomic.Int64
}

func (l *asked) Lookup(ctx context.Context, partner, kind, value string) ([]contracts.Identifier, error) {
	if kind == contracts.IDPatient {
		l.lookups.Add(1)
	}
	return l.Ledger.Lookup(ctx, partner, kind, value)
}

func (l *asked) Apply(ctx context.Context, c contracts.Change) error {
	for _, id := range c.Identifiers {
		if id.Kind == contracts.IDPatient {
			l.names.Add(1)
		}
	}
	return l.Ledger.Apply(ctx, c)
}

// replacing is a request with n patients who all replace one who has ids of its own.
func replacing(control, placer string, n, ids int) []byte {
	var prior, rest strings.Builder
	for i := range ids {
		fmt.Fprintf(&prior, `,{"value":"P%d"}`, i)
	}
	for i := range n {
		fmt.Fprintf(&rest, `,{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-1%011d","resource":{"resourceType":"Patient","link":[{"type":"replaces","other":{"reference":"urn:uuid:9d462dab-1f46-5c1d-9f8b-000000000000"}}]}}`, i)
	}
	body := strings.TrimSuffix(string(message(control, "request", placer, "1")), "]}")
	return []byte(body + `,{"fullUrl":"urn:uuid:9d462dab-1f46-5c1d-9f8b-000000000000","resource":{"resourceType":"Patient","identifier":[` + strings.TrimPrefix(prior.String(), ",") + `]}}` + rest.String() + `]}`)
}

// TestAMergeOfManyPatientsAsksOncePerId: neither questions nor names grow with patients times ids.
func TestAMergeOfManyPatientsAsksOncePerId(t *testing.T) {
	count := &asked{}
	h := open(t, func(c *hub.Config) { count.Ledger = c.Ledger; c.Ledger = count })
	const ids = 400
	for n, written := range []int64{2 * ids, 0} { // the second of the same journey tells nothing new
		control := fmt.Sprintf("Q-%d", n)
		if r := h.send("clinic", replacing(control, "R-1", 400, ids)); r.Fault != nil {
			t.Fatal(r.Fault)
		}
		h.until(control+" is delivered", func() bool {
			rows, err := h.hub.Find(t.Context(), control)
			return err == nil && len(rows) == 1 && rows[0].State == contracts.StateDelivered
		})
		if lookups := count.lookups.Swap(0); lookups != ids {
			t.Errorf("message %d asks %d times about %d ids", n, lookups, ids)
		}
		if names := count.names.Swap(0); names != written {
			t.Errorf("message %d writes %d names, not %d", n, names, written)
		}
	}
}

// TestTooManyIdsParkAMerge: more than the hub looks up is told, not dropped.
func TestTooManyIdsParkAMerge(t *testing.T) {
	h := open(t)
	if r := h.send("clinic", replacing("Q-9", "R-9", 1, 1001)); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	if f := h.await(contracts.StepParked, "Q-9").Fault; f == nil || f.Code != "HUB-025" {
		t.Errorf("it is parked for %v", f)
	}
}

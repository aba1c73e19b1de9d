package custody

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// A bug met by one message stops that message alone: it parks, and the others flow on.
func TestABugStopsOneMessageOnly(t *testing.T) {
	h := open(t)
	h.hus.answers(func(p contracts.Parcel) (contracts.Answer, error) {
		if strings.Contains(string(p.Body.Bytes()), "R-bug") {
			var nothing map[string]int
			nothing["x"]++
		}
		return contracts.Answer{}, nil
	})
	h.send("clinic", message("B-1", "request", "R-bug", "1"))
	if s := h.await(contracts.StepParked, ""); s.Fault == nil || s.Fault.Code != "HUB-001" {
		t.Errorf("parked with %v", s.Fault)
	}
	h.send("clinic", message("G-1", "request", "R-good", "1"))
	h.hus.await(t, 1)
}

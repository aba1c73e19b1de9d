package custody

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// Whatever residue a message brings, however often, what leaves has none; other extensions stay.
func TestTheResidueStaysInTheHub(t *testing.T) {
	residue := `{"url":"` + profiles.URL(profiles.Residue) + `","valueString":"{}"}`
	other := `{"url":"http://example.org/other","valueString":"stays"}`
	for _, row := range []struct{ name, extensions, left string }{
		{"R-1", residue, ""},
		{"R-2", residue + "," + other + "," + residue, `"extension":[` + other + `]`},
	} {
		h := open(t)
		body := strings.Replace(string(message("C-1", "request", row.name, "one")), `"eventCoding"`, `"extension":[`+row.extensions+`],"eventCoding"`, 1)
		if r := h.send("clinic", []byte(body)); r.Fault != nil {
			t.Fatal(r.Fault)
		}
		h.hus.await(t, 1)
		sent := h.hus.parcels()[0]
		left := string(sent.Body.Bytes())
		if strings.Contains(left, profiles.Residue) {
			t.Errorf("%s left with its residue", row.name)
		}
		if !strings.Contains(left, row.left) || row.left == "" && strings.Contains(left, `"extension"`) {
			t.Errorf("%s left with other extensions than it came with", row.name)
		}
		h.await(contracts.StepDelivered, sent.Control)
	}
}

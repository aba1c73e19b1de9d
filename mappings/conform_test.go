package mappings

import (
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// TestCatalogSpeaksTheCanonicalMessage: what the maps make of the cases' v2 messages conforms to the profile of its event,
// and so do the canonical messages that the cases begin with.
func TestCatalogSpeaksTheCanonicalMessage(t *testing.T) {
	p := fhir.NewProfiles()
	conforms := func(t *testing.T, b *fhir.Tree) {
		head, err := fhir.ScanTree(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Validate(b, profiles.ForEvent(head.Event)).Err(); err != nil {
			t.Error(err)
		}
	}
	made := 0
	for _, m := range catalog(t).Maps() {
		for _, c := range parsedCases(t, m) {
			t.Run(c.file, func(t *testing.T) {
				canonical := []string{"in.json", "origin.json"}
				if m.FHIR() {
					canonical = []string{"canonical.json", "origin.json"}
				}
				for _, part := range canonical {
					if c.parts[part] == nil {
						continue
					}
					b, err := fhir.Parse(c.parts[part])
					if err != nil {
						t.Fatal(err)
					}
					conforms(t, b)
				}
				if m.FHIR() && c.parts["in.json"] != nil {
					in, err := fhir.Parse(c.parts["in.json"])
					if err != nil {
						t.Fatal(err)
					}
					if res, err := m.ForwardFHIR(in, c.ctx); err == nil {
						made++
						conforms(t, res.Bundle)
					}
				}
				if c.parts["in.hl7"] == nil {
					return
				}
				msg, err := hl7v2.Parse(c.message("in.hl7"), hl7v2.WithDefaultCharset(hl7v2.UTF8))
				if err != nil {
					t.Fatal(err)
				}
				res, err := m.Forward(msg, c.ctx)
				if err != nil {
					return // it parks, as its case says
				}
				made++
				conforms(t, res.Bundle)
			})
		}
	}
	if made < 10 {
		t.Errorf("only %d messages were made", made)
	}
}

package generate_test

import (
	"bytes"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// What is made up must be worth measuring and demonstrating with: the shipped map takes it whole.
func TestTheShippedMapTakesWhatIsMade(t *testing.T) {
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	referral, err := maps.Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"} {
		for _, charset := range []string{"UNICODE UTF-8", "8859/1", "8859/15"} {
			for _, event := range []string{"I12", "I13", "I14"} {
				for _, m := range maker(t, generate.Options{Version: version, Charset: charset, Event: event}).Take(5) {
					checkTaken(t, referral, m, version+" "+charset+" "+event)
				}
			}
		}
	}
}

func checkTaken(t *testing.T, referral *mappings.Map, m generate.Message, kind string) {
	t.Helper()
	message, err := hl7v2.Parse(m.Bytes)
	if err != nil {
		t.Errorf("%s: %v", kind, err)
		return
	}
	result, err := referral.Forward(message, mappings.Context{})
	if err != nil {
		t.Errorf("%s: %v", kind, err)
		return
	}
	for _, f := range result.Findings {
		if f.Kind == contracts.Loss {
			t.Errorf("%s: %v", kind, f)
		}
	}
	if !bytes.Contains(result.Bundle.Append(nil), []byte(m.Mark+`"`)) {
		t.Errorf("%s: the note doesn't stand in the Bundle", kind)
	}
	head, err := fhir.ScanTree(result.Bundle)
	if err != nil {
		t.Errorf("%s: %v", kind, err)
		return
	}
	if err := fhir.NewProfiles().Validate(result.Bundle, profiles.ForEvent(head.Event)).Err(); err != nil {
		t.Errorf("%s: the Bundle doesn't conform to its event's profile: %v", kind, err)
	}
}

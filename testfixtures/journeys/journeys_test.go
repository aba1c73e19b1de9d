package journeys_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
	"github.com/hoitosilta/silta/testfixtures/journeys"
)

func TestTheDemosReferralIsWhole(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 15, 0, 0, time.FixedZone("", 7200))
	message := journeys.Referral(12, at)
	if bytes.ContainsAny(message, "{}\n") {
		t.Error("a placeholder or a line feed is left")
	}
	for place, want := range map[string]string{"MSH-3": "APOTTI", "MSH-4": "HELSINKI", "MSH-5": "SILTA", "MSH-6": "HUS", "MSH-7": "20260302091500+0200",
		"MSH-9": "REF^I12^REF_I12", "MSH-10": "DEMO-12-REF", "RF1-6": "LAH-DEMO-000012^^1.2.246.10.99999991.17^ISO", "OBR-25": "F", "OBX-11": "F"} {
		segment, field, _ := strings.Cut(place, "-")
		n := 0
		for _, digit := range field {
			n = 10*n + int(digit-'0')
		}
		if got := apotti.Field(message, segment, n); got != want {
			t.Errorf("%s is %q, want %q", place, got, want)
		}
	}
	born := time.Date(1962, 2, 14, 0, 0, 0, 0, time.UTC)
	if got := apotti.Field(message, "PID", 3); !strings.HasPrefix(got, generate.Hetu(born, 41)+"^") {
		t.Error("PID-3 is no code of the 900 series with a valid check character")
	}
	pdf, err := base64.StdEncoding.DecodeString(strings.Split(apotti.Field(message, "OBX", 5), "^")[4])
	if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Errorf("the attachment is no PDF (%v)", err)
	}
	if bytes.Equal(message, journeys.Referral(13, at)) {
		t.Error("two runs send the same message")
	}
}

func TestTheDemosReferralConforms(t *testing.T) {
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	referral, err := maps.Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	message, err := hl7v2.Parse(journeys.Referral(12, time.Date(2026, 3, 2, 9, 15, 0, 0, time.FixedZone("", 7200))))
	if err != nil {
		t.Fatal(err)
	}
	result, err := referral.Forward(message, mappings.Context{})
	if err != nil {
		t.Fatal(err)
	}
	if err := fhir.NewProfiles().Validate(result.Bundle, profiles.ForEvent(profiles.Request)).Err(); err != nil {
		t.Error(err)
	}
}

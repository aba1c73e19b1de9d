package mappings

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// writing is ref-i12 for a receiver that takes times in one form.
func writing(t *testing.T, form string) *Map {
	t.Helper()
	c, err := Load(Embedded, fstest.MapFS{"catalog/clock/0.1.0/map.yaml": {Data: []byte(fmt.Sprintf(
		"silta: map/v1\nid: clock\nversion: 0.1.0\nextends: ref-i12@0.1.0\nv2: {zone: {write: %s}}\n", form))}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Map("clock")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTimesAreWrittenAsTheMapSays sends times through a map both ways and reads the field that comes back.
func TestTimesAreWrittenAsTheMapSays(t *testing.T) {
	_, msg := referral(t)
	for _, row := range []struct{ sent, offset, local, utc string }{
		{"20260701153000+0300", "20260701153000+0300", "20260701153000", "20260701123000+0000"},
		{"202607011530", "20260701153000+0300", "20260701153000", "20260701123000+0000"},
		{"20260101003000.25+0200", "20260101003000.25+0200", "20260101003000.25", "20251231223000.25+0000"},
		{"20260701083000-0500", "20260701083000-0500", "20260701163000", "20260701133000+0000"},
		{"20261025033000+0300", "20261025033000+0300", "20261025033000", "20261025003000+0000"},
		{"20261025033000+0200", "20261025033000+0200", "20261025033000+0200", "20261025013000+0000"}, // local, it would read as the hour before
		{"20260701", "20260701", "20260701", "20260701"},
	} {
		for form, want := range map[string]string{writeOffset: row.offset, writeLocal: row.local, writeUTC: row.utc} {
			m, path := writing(t, form), hl7v2.MustPath("RF1-9")
			sent, err := hl7v2.Parse(msg.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if err := sent.SetText(path, row.sent); err != nil {
				t.Fatal(err)
			}
			there, err := m.Forward(sent, Context{})
			if err != nil {
				t.Fatal(err)
			}
			back, err := m.Reverse(there.Bundle, Context{Version: "2.5.1"})
			if err != nil {
				t.Fatal(err)
			}
			if got := back.Message.Get(path).Text(); got != want {
				t.Errorf("%s, %s: %s comes back as %s, want %s", form, "RF1-9", row.sent, got, want)
			}
			for _, text := range m.breaches(sent, Context{}, 0) {
				t.Errorf("%s, %s: %s", form, row.sent, text)
			}
		}
	}
	helsinki, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC)
	for form, want := range map[string]string{writeOffset: "20260701153000+0300", writeLocal: "20260701153000", writeUTC: "20260701123000+0000"} {
		if got := writing(t, form).Time(at, helsinki); got != want {
			t.Errorf("%s: the hub's own time is %s, want %s", form, got, want)
		}
	}
}

package contracts

import (
	"testing"
	"time"
)

// TestActiveVersion: of what had begun when a message was received, the narrowest counts, then the latest.
func TestActiveVersion(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	all := []Activation{
		{Map: "ref", Version: "1.0.0", At: at(0), Made: at(-5)},
		{Map: "ref", Version: "1.1.0", At: at(10), Made: at(-4)},
		{Map: "ref", Version: "1.2.0", At: at(10), Made: at(-3)}, // the same time, said later
		{Map: "ref", Version: "2.0.0", Partner: "hus", At: at(5), Made: at(-2)},
		{Map: "ref", Version: "2.1.0", Partner: "hus", Type: "REF^I13", At: at(1), Made: at(-2)},
		{Map: "ref", Version: "3.0.0", Type: "REF*", Partner: "kys", At: at(0), Made: at(-2)},
		{Map: "rri", Version: "9.0.0", At: at(0), Made: at(-2)},
	}
	for _, row := range []struct {
		partner, typ string
		at           int
		want         string
	}{
		{"apotti", "REF^I12", -1, ""},
		{"apotti", "REF^I12", 0, "1.0.0"},
		{"apotti", "REF^I12", 9, "1.0.0"},
		{"apotti", "REF^I12", 10, "1.2.0"},
		{"hus", "REF^I12", 4, "1.0.0"},
		{"hus", "REF^I12", 60, "2.0.0"},
		{"hus", "REF^I13", 60, "2.1.0"},
		{"kys", "REF^I14", 1, "3.0.0"},
		{"kys", "SIU^S12", 1, "1.0.0"},
	} {
		if got := ActiveVersion(all, "ref", row.partner, row.typ, at(row.at)); got != row.want {
			t.Errorf("%s %s at minute %d: %q, want %q", row.partner, row.typ, row.at, got, row.want)
		}
	}
}

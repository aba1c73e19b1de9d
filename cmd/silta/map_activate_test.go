package main

import (
	"slices"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// TestWhichActivationsDecide: of those for one map, partner and type the latest that has begun is active; the others are
// over, or come later.
func TestWhichActivationsDecide(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	made := func(version, partner string, from time.Duration) contracts.Activation {
		return contracts.Activation{Map: "ref-i12", Version: version, Partner: partner, At: now.Add(from), Made: now.Add(from - time.Minute)}
	}
	all := []contracts.Activation{made("3.0.0", "", time.Hour), made("1.0.0", "", -2*time.Hour), made("2.0.0", "", -time.Hour), made("1.1.0", "hus", -3*time.Hour), made("1.2.0", "apotti", 0)}
	var got []string
	for _, l := range activeLines(all, now) {
		got = append(got, l.Version+" "+l.State)
	}
	if want := []string{"1.0.0 over", "2.0.0 active", "3.0.0 later", "1.2.0 active", "1.1.0 active"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

//go:build !race

package simulation

import (
	"slices"
	"testing"
)

// A failing seed is worth something only if it fails again: two runs of one seed give the same history. Where goroutines
// meet at one nanosecond they have no order, so that one seed in some twenty goes two ways. (Under the race
// detector, which shuffles them, it is more of them; make test runs this without.)
func TestASeedGivesTheSameHistory(t *testing.T) {
	const tried, atLeast = 8, 6
	maps, same := catalog(t), 0
	for seed := *first; seed < *first+tried; seed++ {
		one, _ := play(t, seed, maps, mutant{}, true)
		two, _ := play(t, seed, maps, mutant{}, true)
		if len(one.history) < 500 {
			t.Errorf("seed %d has a history of %d events only", seed, len(one.history))
		}
		slices.Sort(one.history) // what happens at one instant is told in any order
		slices.Sort(two.history)
		if slices.Equal(one.history, two.history) {
			same++
		}
	}
	if same < atLeast {
		t.Errorf("%d of %d seeds give the same history twice, want at least %d", same, tried, atLeast)
	}
}

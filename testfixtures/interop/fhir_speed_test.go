//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// How fast we read and validate a message Bundle of 20 KB with the Finnish profiles where they are there, and how fast
// HAPI does, taking turns; and how long HAPI takes from nothing to its first verdict. What counts in the rounds is
// processor time, on one core. Figures are printed, never judged: they depend on the
// machine.
func TestFHIRSpeedBesideHAPI(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	message := largeMessage(t)
	file := filepath.Join(t.TempDir(), "message.json")
	if err := os.WriteFile(file, message, 0o600); err != nil {
		t.Fatal(err)
	}

	profiles := loadProfiles(t)
	from := time.Now()
	j := startFHIRJudge(t, 1, profileFolders()...)
	var first answer
	j.ask(t, []string{file}, func(a answer) { first = a })
	waking := time.Since(from)
	if found := first.findings(ourPlace); len(found) > 0 {
		t.Logf("HAPI refuses the message: %v", found)
	}

	theirRound := func(times int) time.Duration {
		var sum time.Duration
		j.ask(t, slices.Repeat([]string{file}, times), func(a answer) { sum += a.Nanos })
		return sum / time.Duration(times)
	}
	for warm := time.Duration(0); warm < 20*time.Second; {
		warm += 20 * theirRound(20)
	}
	ourFHIRRound(t, profiles, message, 100)
	var ours, theirs []time.Duration
	for range 9 {
		theirs = append(theirs, theirRound(20))
		ours = append(ours, ourFHIRRound(t, profiles, message, 500))
	}
	j.stop(t)
	slices.Sort(ours)
	slices.Sort(theirs)
	middle := len(ours) / 2
	perSecond := func(d time.Duration) float64 { return 1 / d.Seconds() }
	t.Logf("a message Bundle of %d bytes, %d folders of profiles, one core, median of %d rounds (and the best):", len(message), len(profileFolders()), len(ours))
	t.Logf("  silta, read and validate       %7.0f messages/s (%.0f)", perSecond(ours[middle]), perSecond(ours[0]))
	t.Logf("  HAPI, read and validate        %7.1f messages/s (%.1f)", perSecond(theirs[middle]), perSecond(theirs[0]))
	t.Logf("  silta does as many times more  %7.0f            (%.0f)", theirs[middle].Seconds()/ours[middle].Seconds(), theirs[0].Seconds()/ours[0].Seconds())
	t.Logf("  HAPI's first verdict           %7.1f s after its start, of which %.1f s of processor time", waking.Seconds(), first.Total.Seconds())
}

// largeMessage is the example of a referral with reasons copied until it has 20 KB.
func largeMessage(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "contracts", "profiles", "examples", "request.json"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := fhir.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	entries := tree.Root().Get("entry")
	var condition fhir.Node
	for e := range entries.Each() {
		if e.Get("resource").Type() == "Condition" {
			condition = e
		}
	}
	for i := 1; len(tree.Append(nil)) < 20_000; i++ {
		entries.Push(fhir.Null()).Copy(condition)
		entries.At(entries.Len()-1).Set("fullUrl", fhir.String(fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012d", i)))
	}
	return tree.Append(nil)
}

func validateOurselves(t *testing.T, profiles *fhir.Profiles, message []byte) {
	t.Helper()
	tree, err := fhir.Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	if err := profiles.Validate(tree).Err(); err != nil {
		t.Fatal(err)
	}
}

// ourFHIRRound gives the processor time that one message takes us.
func ourFHIRRound(t *testing.T, profiles *fhir.Profiles, message []byte, times int) time.Duration {
	t.Helper()
	from := processorTime(t)
	for range times {
		validateOurselves(t, profiles, message)
	}
	return (processorTime(t) - from) / time.Duration(times)
}

//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// HAPI still says of each message of the corpus what the codec's own test has written down for it. SILTA_GOLDEN=1 writes
// HAPI's column anew; the reasons are for people to write.
func TestHAPIsVerdictsAreThoseWrittenDown(t *testing.T) {
	messages := corpus(t)
	if len(messages) == 0 {
		return
	}
	said := map[string]string{}
	for i, r := range askHAPI(t, messages) {
		if r.refused == "" {
			r.refused = "parses"
		}
		said[strings.TrimPrefix(messages[i].name, "corpus/")] = r.refused
	}
	file := filepath.Join("..", "..", "contracts", "hl7v2", "testdata", "corpus-verdicts.tsv")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	for i, line := range lines[1:] {
		c := strings.Split(line, "\t")
		name := c[0] + " " + c[1]
		got, ok := said[name]
		delete(said, name)
		if c[1] == "0" { // an envelope: it has no message that HAPI could be asked about
			got, ok = "not asked", true
		}
		switch {
		case ok && c[2] == got:
		case ok && os.Getenv("SILTA_GOLDEN") != "":
			c[2] = got
			lines[i+1] = strings.Join(c, "\t")
		default:
			t.Errorf("corpus-verdicts.tsv:%d: %s: HAPI says %q, want %q", i+2, name, got, c[2])
		}
	}
	for name := range said {
		t.Errorf("corpus-verdicts.tsv has no line for %s", name)
	}
	if os.Getenv("SILTA_GOLDEN") != "" && !t.Failed() {
		slices.Sort(lines[1:])
		if err := os.WriteFile(file, []byte(fmt.Sprintln(strings.Join(lines, "\n"))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

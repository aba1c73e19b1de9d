//go:build interop

package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mapSchema = "../../contracts/schema/map-v1.schema.json"

// edited is what an editor shows: what is wrong, and what it would complete at the places asked for.
type edited struct {
	Says        []string            `json:"says"`
	Completions map[string][]string `json:"completions"`
}

func inEditor(t *testing.T, file string, places ...string) edited {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "node", append([]string{"editor/ask.js", mapSchema, file}, places...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var e edited
	if err := json.Unmarshal(out, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEditorTakesTheCatalog: the language server finds nothing wrong in any map or block that we have.
func TestEditorTakesTheCatalog(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../mappings/catalog/*/*/*.yaml", "../../mappings/testdata/catalog/*/*/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal("no maps under", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		for _, line := range inEditor(t, file).Says {
			t.Errorf("%s:%s", file, line)
		}
	}
}

// TestEditorHelps: mistakes are shown at their place, and keys are completed where they belong.
func TestEditorHelps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "map.yaml")
	err := os.WriteFile(file, []byte(`silta: map/v1
id: mine.ref-i12
version: 1.0.0
extends: ref-i12@0.1.0
resources:
  payer: ~
  copy: {type: PractitionerRole, frm: "PRD[1.1=CC]", each: maybe}
override:
  - {id: sr.priority, cod: own}
  - {id: event, rows: {add: [], before: 0}}
rules:
  - {id: a, v2: PID-5(*), fhir: pat.name(*), dir: "<>"}
  - id: b
    
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	e := inEditor(t, file, "14:5")
	for _, want := range []string{"7:34 Property frm", "7:60 Incorrect type", "9:23 Property cod", "10:41 Value is below", "12:51 Value is not accepted"} {
		if !slices.ContainsFunc(e.Says, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("%q isn't said: %q", want, e.Says)
		}
	}
	if len(e.Says) != 5 {
		t.Errorf("it says %q", e.Says)
	}
	for _, key := range []string{"v2", "fhir", "as", "when", "first", "after"} {
		if !slices.Contains(e.Completions["14:5"], key) {
			t.Errorf("a rule's %s isn't completed: %q", key, e.Completions["14:5"])
		}
	}
}

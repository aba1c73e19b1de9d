package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var noLetters = regexp.MustCompile(`[^a-zA-Z]+`)

// gap is where the example stands in the map around it.
var gap = []byte("{{example}}\n")

// TestTheReferenceOfTheMapLanguage runs every example of the reference: a file of testdata/reference has, by the name of
// its section (and -2 for the second there), the rest of the map, with {{example}} in its place, and a case that the whole
// passes.
func TestTheReferenceOfTheMapLanguage(t *testing.T) {
	g, p := readGround(t), readPage(t, "docs/mapping-language.md")
	examples, inSection := 0, map[string]int{}
	for _, b := range p.blocks {
		if b.kind != "yaml" {
			continue
		}
		examples++
		name := strings.ToLower(noLetters.ReplaceAllString(b.section, "-"))
		if inSection[name]++; inSection[name] > 1 {
			name += "-" + strconv.Itoa(inSection[name])
		}
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "reference", name+".txtar")
			around, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if around.Files[0].Name != "map.yaml" || bytes.Count(around.Files[0].Data, gap) != 1 {
				t.Fatalf("%s begins with map.yaml, which has {{example}} once", file)
			}
			m, faults := g.compile(file, string(bytes.Replace(around.Files[0].Data, gap, []byte(b.text), 1)))
			for _, f := range faults {
				t.Error(f.Text(""))
			}
			if m == nil {
				t.FailNow()
			}
			around.Files = around.Files[1:]
			for _, f := range m.TestCase(file, txtar.Format(around)).Faults {
				t.Error(f.Text(""))
			}
		})
	}
	files, err := filepath.Glob("testdata/reference/*.txtar")
	if err != nil || examples == 0 || len(files) != examples {
		t.Errorf("%d examples are in the reference, and %d files for them: %v", examples, len(files), err)
	}
}

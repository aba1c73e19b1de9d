package fhir

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hoitosilta/silta/contracts"
)

// The files of testdata/invalid are resources with one fault each: a base without faults, and edits of it.
//
//	# What is wrong, in words.
//	CODE PLACE [LINE:COL | RULE]
//	-text of the base
//	+text that stands there instead
//
// The text is found in the base once. In both, \n is a line break, <e4> a byte, and <3×[> the text [ three times.
// People in them are invented.

type invalid struct {
	what     string
	want     string
	old, new string
}

func TestInvalidList(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no list was found: %v", err)
	}
	count := 0
	for _, file := range files {
		base, list := invalidList(t, file)
		if got := faultLines(base, false); len(got) > 0 {
			t.Errorf("%s: the base has faults: %s", file, got)
		}
		for _, c := range list {
			count++
			t.Run(filepath.Base(file)+"/"+c.what, func(t *testing.T) {
				if n := strings.Count(base, c.old); n != 1 || c.old == c.new {
					t.Fatalf("what is edited stands in the base %d times", n)
				}
				got := faultLines(strings.Replace(base, c.old, c.new, 1), len(strings.Fields(c.want)) > 2)
				if len(got) != 1 || got[0] != c.want {
					t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), c.want)
				}
			})
		}
	}
	if count < 150 {
		t.Errorf("%d resources, want 150 at least", count)
	}
}

var repeated, raw = regexp.MustCompile(`<(\d+)×([^>]+)>`), regexp.MustCompile(`<([0-9a-f]{2,8})>`)

func invalidList(t *testing.T, file string) (base string, list []invalid) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(data)
	if len(archive.Files) != 2 || archive.Files[0].Name != "base.json" || archive.Files[1].Name != "faults" {
		t.Fatalf("%s holds base.json and faults", file)
	}
	expand := func(s string) string {
		s = repeated.ReplaceAllStringFunc(s, func(m string) string {
			part := repeated.FindStringSubmatch(m)
			n, _ := strconv.Atoi(part[1])
			return strings.Repeat(part[2], n)
		})
		s = raw.ReplaceAllStringFunc(s, func(m string) string {
			b, _ := hex.DecodeString(m[1 : len(m)-1])
			return string(b)
		})
		return strings.ReplaceAll(s, `\n`, "\n")
	}
	for record := range strings.SplitSeq(strings.TrimSpace(string(archive.Files[1].Data)), "\n\n") {
		lines := strings.Split(record, "\n")
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "# ") || lines[2][0] != '-' || lines[3][0] != '+' {
			t.Fatalf("%s: a record isn't words, fault, - and +:\n%s", file, record)
		}
		list = append(list, invalid{lines[0][2:], expand(lines[1]), expand(lines[2][1:]), expand(lines[3][1:])})
	}
	return strings.TrimSuffix(string(archive.Files[0].Data), "\n"), list
}

var placed = regexp.MustCompile(`\(line (\d+), column (\d+)\)$`)

// faultLines gives the faults of grade error that reading or else validating finds, in the form of the list.
func faultLines(resource string, detailed bool) (lines []string) {
	tree, err := Parse([]byte(resource))
	faults := contracts.FaultsOf(err)
	if err == nil {
		faults = Validate(tree)
	}
	for _, f := range faults {
		if f.Grade != contracts.GradeError {
			continue
		}
		line := f.Code + " " + f.At
		if at := placed.FindStringSubmatch(f.Public); at != nil {
			line += fmt.Sprintf(" %s:%s", at[1], at[2])
		}
		lines = append(lines, line)
	}
	return lines
}

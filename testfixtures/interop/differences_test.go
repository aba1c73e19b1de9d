package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// table is a file of differences, and the document that tells them to people.
type table struct{ file, doc string }

var (
	v2Differences   = table{"differences.tsv", filepath.Join("..", "..", "docs", "hl7v2-interop.md")}
	fhirDifferences = table{"fhir-differences.tsv", filepath.Join("..", "..", "docs", "fhir-interop.md")}
)

// difference is a row of a table: one way in which a judge reads or judges messages otherwise than we do.
type difference struct {
	line       int
	judge      string // of FHIR: who finds a fault that the other doesn't find, hapi or silta
	class      string // what the judge does; of FHIR: the rule that it finds broken, in which * stands for anything
	messages   string // the messages that it may concern; * stands for anything
	paths      string // the places, likewise; verdict is the message as a whole
	right      string // we, it, or both where the standard leaves it open
	sentence   string // the standard's chapter and section, and what it says in our words
	corpusOnly bool   // our own messages don't show it
}

// verdict stands for a path where a judge reads a message that we refuse, or the other way round.
const verdict = "verdict"

const columns = "judge\tclass\tmessages\tpaths\tright\tsentence"

func readDifferences(t *testing.T, from table) []difference {
	t.Helper()
	var all []difference
	for i, c := range readColumns(t, from.file, columns) {
		if !slices.Contains([]string{"we", "it", "both"}, c[4]) {
			t.Errorf("%s:%d says neither we, it nor both", from.file, i+2)
		}
		all = append(all, difference{line: i + 2, judge: c[0], class: c[1], messages: c[2], paths: c[3], right: c[4], sentence: c[5],
			corpusOnly: strings.Contains(c[2], "corpus/")})
	}
	return all
}

// readColumns reads the rows of a file whose columns are parted by tabs, under their names. No cell is empty.
func readColumns(t *testing.T, file, names string) [][]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != names || len(lines) < 2 {
		t.Fatalf("%s doesn't start with %q and a row", file, names)
	}
	var rows [][]string
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != strings.Count(names, "\t")+1 || slices.Contains(cells, "") {
			t.Fatalf("%s:%d hasn't these columns, each with something: %q", file, i+2, names)
		}
		rows = append(rows, cells)
	}
	return rows
}

func (d difference) covers(message, path string) bool {
	return matches(d.messages, message) && matches(d.paths, path)
}

// matches says whether text is pattern, in which * stands for anything.
func matches(pattern, text string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	text, ok := strings.CutPrefix(text, first)
	if !found || !ok {
		return ok && text == ""
	}
	for i := 0; i <= len(text); i++ {
		if matches(rest, text[i:]) {
			return true
		}
	}
	return false
}

// The tables for people say what the tests' own lists say. SILTA_GOLDEN=1 writes them.
func TestTheDocsListTheDifferences(t *testing.T) {
	var text strings.Builder
	for _, d := range readDifferences(t, v2Differences) {
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", d.judge, d.class, d.where(), d.right, strings.ReplaceAll(d.sentence, "|", "\\|"))
	}
	holdTable(t, v2Differences.doc, "| judge | what it does | where | who is right | by which sentence |\n|---|---|---|---|---|\n", text.String())
	text.Reset()
	for _, d := range readDifferences(t, fhirDifferences) {
		fmt.Fprintf(&text, "| %s | `%s` | %s | %s | %s |\n", d.judge, d.class, d.files(), d.right, strings.ReplaceAll(d.sentence, "|", "\\|"))
	}
	holdTable(t, fhirDifferences.doc, "| who finds it | by which rule | in files of | who is right | by which sentence |\n|---|---|---|---|---|\n", text.String())
}

// holdTable fails unless the table of the document that begins with head has these rows. SILTA_GOLDEN=1 writes them.
func holdTable(t *testing.T, file, head, rows string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), head)
	if !found {
		t.Fatalf("%s has no table that starts with %q", file, head)
	}
	_, after, _ := strings.Cut("\n"+rest, "\n\n")
	want := before + head + rows + "\n" + after
	if want == string(b) {
		return
	}
	if os.Getenv("SILTA_GOLDEN") == "" {
		t.Fatalf("the table of %s that starts with %q isn't what it should be: SILTA_GOLDEN=1 writes it", file, head)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// where says in words what the patterns of a row cover.
func (d difference) where() string {
	field := strings.NewReplacer("(1)", "", "*", "").Replace(d.paths)
	switch {
	case d.paths == "*":
		return "any text"
	case d.paths == verdict:
		return "the message"
	}
	return field
}

// files says in words which files a row of FHIR covers.
func (d difference) files() string {
	folder, _, _ := strings.Cut(d.messages, "/")
	if d.messages == "*" {
		return "any folder"
	}
	return folder
}

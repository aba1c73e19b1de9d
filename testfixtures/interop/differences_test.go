package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// difference is a row of differences.tsv: one way in which a judge reads messages otherwise than we do.
type difference struct {
	line       int
	judge      string
	class      string // what the judge does
	messages   string // the messages that it may concern; * stands for anything
	paths      string // the places, likewise; verdict is the message as a whole
	right      string // we, it, or both where the standard leaves it open
	sentence   string // the standard's chapter and section, and what it says in our words
	corpusOnly bool   // our own messages don't show it
}

// verdict stands for a path where a judge reads a message that we refuse, or the other way round.
const verdict = "verdict"

const columns = "judge\tclass\tmessages\tpaths\tright\tsentence"

func readDifferences(t *testing.T) []difference {
	t.Helper()
	b, err := os.ReadFile("differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != columns || len(lines) < 2 {
		t.Fatalf("differences.tsv doesn't start with %q and a row", columns)
	}
	var all []difference
	for i, line := range lines[1:] {
		c := strings.Split(line, "\t")
		if len(c) != 6 {
			t.Fatalf("differences.tsv:%d has %d columns", i+2, len(c))
		}
		if slices.Contains(c, "") || !slices.Contains([]string{"we", "it", "both"}, c[4]) {
			t.Errorf("differences.tsv:%d: a column is empty, or says neither we, it nor both", i+2)
		}
		all = append(all, difference{line: i + 2, judge: c[0], class: c[1], messages: c[2], paths: c[3], right: c[4], sentence: c[5],
			corpusOnly: strings.Contains(c[2], "corpus/")})
	}
	return all
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

// The table for people says what the test's own list says. SILTA_GOLDEN=1 writes it.
func TestTheDocsListTheDifferences(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "hl7v2-interop.md")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| judge | what it does | where | who is right | by which sentence |\n|---|---|---|---|---|\n"
	before, rest, found := strings.Cut(string(b), head)
	if !found {
		t.Fatalf("%s has no table that starts with %q", file, head)
	}
	_, after, _ := strings.Cut(rest, "\n\n")
	var table strings.Builder
	for _, d := range readDifferences(t) {
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s |\n", d.judge, d.class, d.where(), d.right, strings.ReplaceAll(d.sentence, "|", "\\|"))
	}
	want := before + head + table.String() + "\n" + after
	if want == string(b) {
		return
	}
	if os.Getenv("SILTA_GOLDEN") == "" {
		t.Fatalf("the table of %s isn't that of differences.tsv: SILTA_GOLDEN=1 writes it", file)
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

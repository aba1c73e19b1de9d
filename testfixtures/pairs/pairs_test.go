package pairs_test

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/pairs"
)

// What the comparison needs: messages from elsewhere, beside the repository; the rows that say why we differ; and the
// page that tells it to people.
var (
	corpusDir = filepath.Join("..", "..", "..", "shared", "corpus")
	page      = filepath.Join("..", "..", "docs", "mapping-corpus.md")
)

const reasons = "reasons.tsv"

// reason is a row: why differences of a kind at some places are there. In source, kind and place * stands for anything.
type reason struct{ source, kind, place, why, sentence string }

// The classes of reasons.
var classes = []string{"their bug", "our choice", "our gap"}

func (r reason) explains(source string, d pairs.Difference) bool {
	return matches(r.source, source) && matches(r.kind, d.Kind) && matches(r.place, d.Place)
}

func matches(pattern, text string) bool {
	ok, _ := path.Match(pattern, text)
	return ok
}

func readReasons(t *testing.T) []reason {
	t.Helper()
	f, err := os.Open(reasons)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, 5
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s has no rows: %v", reasons, err)
	}
	var all []reason
	for i, c := range rows[1:] {
		if slices.Contains(c, "") || !slices.Contains(classes, c[3]) {
			t.Errorf("%s:%d: a column is empty, or the class is none of %v", reasons, i+2, classes)
		}
		all = append(all, reason{c[0], c[1], c[2], c[3], c[4]})
	}
	return all
}

// count is a row of the page's first table.
type count struct {
	pairs, withoutMap, parked, compared, equal int
	differ                                     map[string]int // by class
}

// report is what became of all pairs.
type report struct {
	reasons []reason
	times   []int // how many differences each reason explains
	sources map[string]*count
	parked  map[string]int // by source, code and place
	without map[string]int // by type
	missing map[string]int // what no reason explains
}

func (r *report) add(p pairs.Pair, o pairs.Outcome) {
	c := r.sources[p.Source]
	if c == nil {
		c = &count{differ: map[string]int{}}
		r.sources[p.Source] = c
	}
	c.pairs++
	switch {
	case o.NoMap != "":
		c.withoutMap++
		r.without[o.NoMap]++
	case len(o.Faults) > 0:
		c.parked++
		for _, f := range o.Faults {
			r.parked[fmt.Sprintf("| %s | `%s` | `%s` |", p.Source, f.Code, f.Place())]++
		}
	default:
		c.compared++
		c.equal += o.Equal
		for _, d := range o.Differences {
			r.classify(p.Source, d, c)
		}
	}
}

func (r *report) classify(source string, d pairs.Difference, c *count) {
	i := slices.IndexFunc(r.reasons, func(x reason) bool { return x.explains(source, d) })
	if i < 0 {
		r.missing[source+"\t"+d.Kind+"\t"+d.Place]++
		return
	}
	r.times[i]++
	c.differ[r.reasons[i].why]++
}

// Where the catalog's outputs differ from what others expect of the same messages, a row of reasons.tsv says why, and
// each row explains something; docs/mapping-corpus.md says the same with counts. SILTA_GOLDEN=1 writes it.
func TestDifferencesFromTheCorpusHaveTheirReasons(t *testing.T) {
	rows := readReasons(t)
	if _, err := os.Stat(corpusDir); err != nil {
		t.Skipf("%s isn't there: nothing to compare with", corpusDir)
	}
	catalog, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pairs.Read(os.DirFS(corpusDir))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d pairs were found: %v", len(all), err)
	}
	r := &report{reasons: rows, times: make([]int, len(rows)), sources: map[string]*count{}, parked: map[string]int{},
		without: map[string]int{}, missing: map[string]int{}}
	for _, p := range all {
		o, err := pairs.Judge(catalog, p)
		if err != nil {
			t.Fatal(err)
		}
		r.add(p, o)
	}
	for i, n := range r.times {
		if n == 0 {
			t.Errorf("%s:%d explains nothing any more", reasons, i+2)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(r.missing)) {
		t.Errorf("no row of %s explains, %d times: %s", reasons, r.missing[what], what)
	}
	holdPage(t, r.page())
}

func (r *report) page() string {
	var b strings.Builder
	b.WriteString(head)
	var sum count
	sum.differ = map[string]int{}
	for _, source := range slices.Sorted(maps.Keys(r.sources)) {
		c := r.sources[source]
		c.row(&b, source)
		sum.pairs, sum.withoutMap, sum.parked = sum.pairs+c.pairs, sum.withoutMap+c.withoutMap, sum.parked+c.parked
		sum.compared, sum.equal = sum.compared+c.compared, sum.equal+c.equal
		for class, n := range c.differ {
			sum.differ[class] += n
		}
	}
	sum.row(&b, "all")
	b.WriteString("\n## Why\n\n| in | who has it | where | times | class | why |\n|---|---|---|---|---|---|\n")
	for i, x := range r.reasons {
		fmt.Fprintf(&b, "| %s | %s | `%s` | %d | %s | %s |\n", x.source, x.kind, x.place, r.times[i], x.why, x.sentence)
	}
	b.WriteString("\n## What isn't compared\n\nThese types of message have no map yet:\n\n| type | pairs |\n|---|---|\n")
	for _, typ := range slices.Sorted(maps.Keys(r.without)) {
		fmt.Fprintf(&b, "| %s | %d |\n", typ, r.without[typ])
	}
	if len(r.parked) > 0 {
		b.WriteString("\nThese faults park messages, or they can't be read ([the codes](faults.md)):\n\n| in | fault | at | times |\n|---|---|---|---|\n")
		for _, what := range slices.Sorted(maps.Keys(r.parked)) {
			fmt.Fprintf(&b, "%s %d |\n", what, r.parked[what])
		}
	}
	return b.String()
}

func (c *count) row(b *strings.Builder, name string) {
	fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d |", name, c.pairs, c.withoutMap, c.parked, c.compared, c.equal)
	for _, class := range classes {
		fmt.Fprintf(b, " %d |", c.differ[class])
	}
	b.WriteString("\n")
}

const head = `# Maps: where we differ from what others expect

Three projects publish HL7 v2 messages with the FHIR that they expect of them: CDC's ReportStream (its HL7_to_FHIR samples and the pairs of its mapping inventory), HL7's guide v2-to-FHIR (two samples, made by Microsoft's converter and another), and Google's Whistle (R4). Where they stand beside the repository (` + "`../shared/corpus`" + `), a test translates each message by the catalog and compares, leaf by leaf. This page is written by that test (` + "`SILTA_GOLDEN=1 go test ./testfixtures/pairs`" + `), and holds places and counts, never values.

A resource is compared with the one of the same type that says the same: one with one, of several those first that share the most names, numbers and texts. In a resource the order of lists counts for nothing. References say the same if they lead to resources that are compared with each other. A resource that has no other is one difference, whatever it holds.

Each difference must have a row below, from ` + "`testfixtures/pairs/reasons.tsv`" + `: the first that fits. The test fails on one without a row, and on a row that explains nothing. ` + "`their bug`" + `: FHIR or HL7 v2 says otherwise, or they leave out what the message says. ` + "`our choice`" + `: both can stand, and we mean it so. ` + "`our gap`" + `: they carry something that our map doesn't yet.

| source | pairs | without a map | parked or unreadable | compared | leaves alike | their bug | our choice | our gap |
|---|---|---|---|---|---|---|---|---|
`

func holdPage(t *testing.T, want string) {
	t.Helper()
	got, err := os.ReadFile(page)
	if err == nil && string(got) == want {
		return
	}
	if os.Getenv("SILTA_GOLDEN") == "" {
		t.Fatalf("%s isn't what it should be: SILTA_GOLDEN=1 writes it", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

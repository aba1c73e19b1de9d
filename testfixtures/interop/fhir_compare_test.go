//go:build interop

package interop

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Every FHIR file of R4 comes back as it was, and HAPI's validator finds the same wrong with it as we do: each error of
// either is one of the other's at the same place (fhir-rules.tsv says which rules are the same), or a row of
// fhir-differences.tsv says who is right. No row excuses an official example that HAPI accepts and we refuse.
func TestFHIRVerdictsAgreeWithHAPI(t *testing.T) {
	files, left := fhirFiles(t)
	verdicts := askFHIRJudge(t, files)
	c := &comparison{rules: readRules(t), rows: readDifferences(t, fhirDifferences), counts: map[string]*count{},
		usedRules: map[sameRule]int{}, usedRows: map[int]int{}, unexplained: map[string][]string{}}
	for _, f := range files {
		c.add(t, f, verdicts[f.path])
	}
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		t.Logf("%5d files aren't compared: %s", left[reason], reason)
	}
	c.report(t)
}

// askFHIRJudge gives HAPI's answer for each file that isn't too large, by its path. What HAPI said is kept in target, by
// the digest of the file and of the profiles that it may claim, until the judge is built anew: it takes minutes.
func askFHIRJudge(t *testing.T, files []fhirFile) map[string]answer {
	t.Helper()
	name := filepath.Join("hapifhir", "target", "answers.jsonl")
	kept, err := readAnswers(name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]answer{}
	profiles := digestProfiles(t)
	digests := map[string]string{}
	var ask []string
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > largest {
			continue
		}
		digests[f.path] = digest(nil, b)
		if f.profiled {
			digests[f.path] = digest(profiles, b)
		}
		if a, ok := kept[digests[f.path]]; ok {
			all[f.path] = a
		} else {
			ask = append(ask, f.path)
		}
	}
	if len(ask) == 0 {
		return all
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	j := startFHIRJudge(t, runtime.NumCPU(), profileFolders()...)
	j.ask(t, ask, func(a answer) {
		all[a.File] = a
		a.File = digests[a.File]
		if err := json.NewEncoder(out).Encode(a); err != nil {
			t.Fatal(err)
		}
	})
	j.stop(t)
	return all
}

func digestProfiles(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, folder := range profileFolders() {
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s holds no profile: %v", folder, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, digest(nil, b)...)
		}
	}
	return all
}

func digest(profiles, b []byte) string {
	sum := sha256.Sum256(slices.Concat(profiles, b))
	return hex.EncodeToString(sum[:])
}

func readAnswers(name string) (map[string]answer, error) {
	all := map[string]answer{}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	for lines.More() {
		var a answer
		if err := lines.Decode(&a); err != nil {
			return nil, fmt.Errorf("%s: %w: delete it", name, err)
		}
		all[a.File] = a
	}
	return all, nil
}

// comparison is what becomes of all files.
type comparison struct {
	rules       map[sameRule]bool
	rows        []difference
	counts      map[string]*count // by folder
	usedRules   map[sameRule]int
	usedRows    map[int]int         // by line
	unexplained map[string][]string // file and place, by who finds what
}

// count is a row of the table in docs/fhir-interop.md.
type count struct {
	files, large                        int
	accepted, refused, hapiOnly, weOnly int // files
	same, hapiFinds, weFind             int // errors
}

func (c *comparison) add(t *testing.T, f fhirFile, a answer) {
	t.Helper()
	folder, _, _ := strings.Cut(f.name, "/")
	n := c.counts[folder]
	if n == nil {
		n = &count{}
		c.counts[folder] = n
	}
	n.files++
	if f.parsed && !f.whole {
		t.Errorf("%s doesn't come back as it was", f.name)
	}
	if a.File == "" {
		n.large++
		return
	}
	theirs := a.findings(ourPlace)
	n.verdict(len(f.findings) > 0, len(theirs) > 0)
	if folder == "official" && len(f.findings) > 0 && len(theirs) == 0 {
		t.Errorf("%s: HAPI accepts it, and we refuse it: %v", f.name, f.findings)
	}
	if folder == "invalid" && len(f.findings) > 0 && len(theirs) > 0 {
		return // one fault was made there, which each tells in its way and with its consequences
	}
	told := map[finding]bool{} // of ours, that HAPI finds too
	for _, x := range theirs {
		if c.pair(x, f.findings, told) {
			n.same++
			continue
		}
		if !f.full {
			n.hapiFinds++
			c.explain(hapi, f.name, x)
		}
	}
	for _, x := range f.findings {
		if !told[x] {
			n.weFind++
			c.explain("silta", f.name, x)
		}
	}
}

func (n *count) verdict(weRefuse, hapiRefuses bool) {
	switch {
	case weRefuse && hapiRefuses:
		n.refused++
	case weRefuse:
		n.weOnly++
	case hapiRefuses:
		n.hapiOnly++
	default:
		n.accepted++
	}
}

// pair finds HAPI's error among ours and marks those that say the same: by fhir-rules.tsv, or by the name of an invariant.
func (c *comparison) pair(theirs finding, ours []finding, told map[finding]bool) bool {
	found := false
	for _, x := range ours {
		code, rule, _ := strings.Cut(x.rule, " ")
		same := sameRule{theirs.rule, code}
		if (c.rules[same] || rule == theirs.rule) && near(theirs.at, x.at) {
			c.usedRules[same]++
			told[x], found = true, true
		}
	}
	return found
}

// near says whether two places are the same: HAPI puts some errors at the element around, or at the list instead of its
// item, and where it can't read the file it has no place.
func near(a, b string) bool {
	inside := func(a, b string) bool {
		rest, ok := strings.CutPrefix(a, b)
		return ok && (rest == "" || rest[0] == '[' && !strings.Contains(rest, ".") || rest[0] == '.' && !strings.Contains(rest[1:], "."))
	}
	return a == "" || a == "$" || inside(a, b) || inside(b, a)
}

func (c *comparison) explain(who, file string, f finding) {
	explained := false
	for _, row := range c.rows {
		if row.judge == who && matches(row.class, f.rule) && row.covers(file, f.at) {
			c.usedRows[row.line]++
			explained = true
		}
	}
	if !explained {
		what := who + " alone finds " + f.rule
		c.unexplained[what] = append(c.unexplained[what], file+": "+f.at)
	}
}

func (c *comparison) report(t *testing.T) {
	t.Helper()
	whole := c.counts["corpus"] != nil && c.counts["finland"] != nil // else what only they show isn't missed
	for same := range c.rules {
		if c.usedRules[same] == 0 && whole {
			t.Errorf("fhir-rules.tsv: %s and %s never meet", same.hapi, same.silta)
		}
	}
	for _, row := range c.rows {
		t.Logf("%-5s %5d × %s (%s, %s): %s", row.judge, c.usedRows[row.line], row.class, row.messages, row.paths, row.right)
		elsewhere := row.messages == "*" || row.corpusOnly || strings.HasPrefix(row.messages, "finland/")
		if c.usedRows[row.line] == 0 && (whole || !elsewhere) {
			t.Errorf("%s:%d explains nothing any more", fhirDifferences.file, row.line)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(c.unexplained)) {
		where := c.unexplained[what]
		t.Errorf("no row of %s explains that %s, %d times:\n%s", fhirDifferences.file, what, len(where), strings.Join(where[:min(len(where), 5)], "\n"))
	}
	c.holdCounts(t, whole)
}

// holdCounts holds the table of counts in the docs true where all folders are there. SILTA_GOLDEN=1 writes it.
func (c *comparison) holdCounts(t *testing.T, whole bool) {
	t.Helper()
	var table strings.Builder
	for _, folder := range fhirFolders {
		if n := c.counts[folder.name]; n != nil {
			fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", folder.name, n.files, n.large,
				n.accepted, n.refused, n.hapiOnly, n.weOnly, n.same, n.hapiFinds, n.weFind)
		}
	}
	t.Logf("counts:\n%s", table.String())
	if !whole {
		return
	}
	const head = "| files of | read | too large for HAPI | accepted by both | refused by both | refused by HAPI alone | refused by us alone | " +
		"errors found by both | by HAPI alone | by us alone |\n|---|---|---|---|---|---|---|---|---|---|\n"
	holdTable(t, fhirDifferences.doc, head, table.String())
}

// sameRule is a line of fhir-rules.tsv: HAPI's message and our code for one rule.
type sameRule struct{ hapi, silta string }

func readRules(t *testing.T) map[sameRule]bool {
	t.Helper()
	all := map[sameRule]bool{}
	for i, c := range readColumns(t, "fhir-rules.tsv", "hapi\tsilta") {
		same := sameRule{c[0], c[1]}
		if all[same] {
			t.Errorf("fhir-rules.tsv:%d stands there twice", i+2)
		}
		all[same] = true
	}
	return all
}

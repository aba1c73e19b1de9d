package custody

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each row of the pages on what can fail names tests that there are.
func TestThePagesNameTestsThatThereAre(t *testing.T) {
	declared, source := testsOfTheModule(t)
	word := regexp.MustCompile(`Test\w+`)
	for _, page := range []string{"delivery.md", "faultcases.md"} {
		named := 0
		for _, cells := range tableRows(t, page) {
			line := strings.Join(cells, " | ")
			tests := word.FindAllString(line, -1)
			if cells[0] == "case" || cells[0] == "test" || cells[0] == "state" || page == "delivery.md" && !strings.HasPrefix(cells[0], "Test") {
				continue
			}
			if len(tests) == 0 {
				t.Errorf("%s: the row %q names no test", page, cells[0])
			}
			for _, name := range tests {
				if named++; !slices.Contains(declared, name) {
					t.Errorf("%s: the row %q names %s, which isn't there", page, cells[0], name)
				}
			}
		}
		if named == 0 {
			t.Errorf("%s names no test", page)
		}
	}
	// A row may name a subtest. Those that are cases of a table are compared with the tables where those run; here only
	// that delivery.md has them. The others must stand in the source.
	cases := map[string]bool{}
	for _, cells := range tableRows(t, "delivery.md") {
		cases[cells[0]] = true
	}
	named := regexp.MustCompile(`(Test\w+)/(\S*[^\s,])`)
	for _, cells := range tableRows(t, "faultcases.md") {
		for _, name := range named.FindAllStringSubmatch(strings.Join(cells, " "), -1) {
			if known := cases[name[1]+"/"+name[2]]; !known && (strings.HasSuffix(name[1], "Edges") || !written(source, name[2])) {
				t.Errorf("faultcases.md names %s/%s, which isn't there", name[1], name[2])
			}
		}
	}
}

// written says whether the source names a subtest, as a string for each of its levels.
func written(source, subtest string) bool {
	for name := range strings.SplitSeq(subtest, "/") {
		if !strings.Contains(source, strconv.Quote(strings.ReplaceAll(name, "_", " "))) {
			return false
		}
	}
	return true
}

// testsOfTheModule are the names of all tests in the module, and the text of all that can name a subtest.
func testsOfTheModule(t *testing.T) (names []string, source string) {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		suite := strings.Contains(path, "conformance")
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") && !suite {
			return err
		}
		b, err := os.ReadFile(path)
		source += string(b)
		for _, found := range declaration.FindAllSubmatch(b, -1) {
			names = append(names, string(found[1]))
		}
		return err
	})
	if err != nil || len(names) < 100 {
		t.Fatalf("%d tests were found, %v", len(names), err)
	}
	return names, source
}

package custody

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each row of the pages on what can fail names tests that there are.
func TestThePagesNameTestsThatThereAre(t *testing.T) {
	declared := testsOfTheModule(t)
	word := regexp.MustCompile(`Test\w+`)
	for _, page := range []string{"delivery.md", "faultcases.md"} {
		named := 0
		for _, cells := range tableRows(t, page) {
			line := strings.Join(cells, " | ")
			tests := word.FindAllString(line, -1)
			if cells[0] == "case" || cells[0] == "test" || cells[0] == "state" || page == "delivery.md" && !strings.HasPrefix(cells[0], "Test") {
				continue
			}
			if len(tests) == 0 && !strings.Contains(line, "TODO-") {
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
	// The rows that name a case of a table are compared with the tables where those run; here only that there is one.
	cases := map[string]bool{}
	for _, cells := range tableRows(t, "delivery.md") {
		cases[cells[0]] = true
	}
	named := regexp.MustCompile(`Test\w+Edges/[\w-]+`)
	for _, cells := range tableRows(t, "faultcases.md") {
		for _, name := range named.FindAllString(strings.Join(cells, " "), -1) {
			if !cases[name] {
				t.Errorf("faultcases.md names %s, which delivery.md hasn't", name)
			}
		}
	}
}

// testsOfTheModule are the names of all tests in the module.
func testsOfTheModule(t *testing.T) (names []string) {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, found := range declaration.FindAllSubmatch(b, -1) {
			names = append(names, string(found[1]))
		}
		return err
	})
	if err != nil || len(names) < 100 {
		t.Fatalf("%d tests were found, %v", len(names), err)
	}
	return names
}

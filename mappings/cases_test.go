package mappings

import (
	"io/fs"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// catalog loads the built-in catalog and fails the test on any fault.
func catalog(t testing.TB) *Catalog {
	t.Helper()
	c, err := Load(Embedded)
	if err != nil {
		for _, f := range contracts.FaultsOf(err) {
			t.Error(f.Text(""))
		}
		t.FailNow()
	}
	return c
}

// TestCases runs every case of the catalog, with the laws.
func TestCases(t *testing.T) {
	ran := 0
	for _, m := range catalog(t).Maps() {
		reports, err := m.Test()
		if err != nil {
			t.Error(err)
			continue
		}
		for _, r := range reports {
			ran++
			t.Run(r.File, func(t *testing.T) {
				for _, f := range r.Faults {
					t.Error(f.Text(r.File))
				}
			})
		}
	}
	if ran == 0 {
		t.Fatal("no case was found")
	}
}

// parsedCases reads the cases beside a map.
func parsedCases(t testing.TB, m *Map) []*testCase {
	t.Helper()
	files, err := fs.Glob(m.layer, m.dir+"/cases/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no cases", m.Name())
	}
	var list []*testCase
	for _, file := range files {
		data, err := fs.ReadFile(m.layer, file)
		if err != nil {
			t.Fatal(err)
		}
		c, fault := readCase(file, data)
		if fault != nil {
			t.Fatal(fault)
		}
		list = append(list, c)
	}
	return list
}

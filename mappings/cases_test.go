package mappings

import (
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// checked is the built-in catalog with all of its faults, loaded once: a catalog never changes.
var checked = sync.OnceValues(func() (*Catalog, error) {
	c, err := Load(Embedded)
	if err != nil {
		return nil, err
	}
	return c, c.Check().Err()
})

// catalog gives the built-in catalog and fails the test on any fault.
func catalog(t testing.TB) *Catalog {
	t.Helper()
	c, err := checked()
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

// What doesn't hold, can't be read or can't be evaluated is told at its own line of the case.
func TestAssertionsAreToldAtTheirLines(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	report := m.TestCase("wrong.txtar", []byte(`# Line 1: some of these are wrong.
-- in.hl7 --
MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000||REF^I12^REF_I12|APO-1|P|2.5.1|||AL|NE|FIN|UNICODE UTF-8
RF1|P|S||||LAH-1^APOTTI
PRD|RP|Mäkelä^Öykkö
PID|1||010594Y9021^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa
-- out.fhirpath --
// Line 8: this holds.
Bundle.type = 'message'
Bundle.entry.resource.ofType(Patient).name.family = 'Toinen'
Bundle.entry.resource.ofType(Location)

Bundle.entry.where(
  Bundle.entry.resource.ofType(Patient).exists() // as this does
Bundle.entry.frist()
`))
	var got []int
	for _, f := range report.Faults {
		if f.File != "wrong.txtar" || f.Code != CodeCaseFailed || f.At != "out.fhirpath" || strings.Contains(f.Text(""), "Toinen") {
			t.Errorf("%+v", f)
		}
		got = append(got, f.Line)
	}
	if !slices.Equal(got, []int{10, 11, 13, 15}) {
		t.Errorf("faults at lines %v:\n%v", got, report.Faults)
	}
}

// What no case passes through is named; what a case passes through isn't.
func TestUntestedNamesAlternativesAndRows(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	all := m.Untested(nil)
	reports, err := m.Test()
	if err != nil {
		t.Fatal(err)
	}
	left := m.Untested(reports)
	for _, way := range []string{"event row 1", "obs.value.nm"} {
		if !slices.Contains(all, way) || slices.Contains(left, way) {
			t.Errorf("%s: untested without cases %v, with them %v", way, slices.Contains(all, way), slices.Contains(left, way))
		}
	}
	for _, way := range left {
		if !slices.Contains(all, way) {
			t.Errorf("%s is untested with cases alone", way)
		}
	}
	if leaves := reports[0].Leaves; leaves.Rules == 0 || leaves.All < leaves.Rules+leaves.Engine+leaves.Ignored {
		t.Errorf("the leaves of a case: %+v", leaves)
	}
}

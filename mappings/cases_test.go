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
	all, _ := m.Untested(nil, nil)
	reports, err := m.Test()
	if err != nil {
		t.Fatal(err)
	}
	left, inherited := m.Untested(reports, nil)
	if inherited != 0 {
		t.Errorf("%d are inherited, of a map that stands alone", inherited)
	}
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

// referralCase is the beginning of a case that ref-i12 takes.
const referralCase = `# What it shows.
-- in.hl7 --
MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000||REF^I12^REF_I12|APO-1|P|2.5.1|||AL|NE|FIN|UNICODE UTF-8
RF1|P|S||||LAH-1^APOTTI
PRD|RP|Mäkelä^Öykkö
PID|1||010594Y9021^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa
`

// A fault of a case names the place at which the result differs, and never a value; the values stand beside it.
func TestCasesTellWhatDiffers(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	const back = `-- back.hl7 --
MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000+0200||REF^I12^REF_I12|APO-1|P|2.5.1||||||UNICODE UTF-8
RF1|P^Pending^HL70283|S^STAT^HL70280||||LAH-1^APOTTI
`
	for _, c := range []struct{ part, text, compared string }{
		{`-- out.json --
{"entry": [{"resource": {"resourceType": "Task", "priority": "urgent"}}]}
`, "out.json: entry[0].resource has no equal; the nearest, Bundle.entry[1].resource, differs at priority.", `Bundle.entry[1].resource.priority: want "urgent", got nothing`},
		{`-- out.json --
{"entry": [{"resource": {"resourceType": "Patient", "name": [{"family": "Toinen"}]}}]}
`, "out.json: entry[0].resource has no equal; the nearest, Bundle.entry[3].resource, differs at name.", ""},
		{`-- out.json --
{"entry": [{"resource": {"resourceType": "Task"}}, {"resource": {"resourceType": "MessageHeader"}}]}
`, "out.json: entry[1] is Bundle.entry[0], which stands before what is listed before it.", ""},
		{`-- out.json --
{"entry": [{"resource": {"resourceType": "Device"}}]}
`, "out.json: entry[0] has no equal, and nothing in Bundle.entry comes near.", ""},
		{`-- out.json --
{"type": "batch"}
`, "The result differs from out.json at Bundle.type.", `Bundle.type: want "batch", got "message"`},
		{`-- out.json --
{"signature": {"who": {}}}
`, "The result has no Bundle.signature, which is in out.json.", ""},
		{back + `PRD|RP|Mäkelä^Öykkö
PID|1||010594Y9021^^^&1.2.246.21&ISO^NNFIN||Mäkinen^Åsa
`, "The way back differs from back.hl7 at PID(1)-5.1.", `PID(1)-5.1: want "Mäkinen", got "Mäki"`},
		{back + `PRD|RP|Mäkelä^Öykkö
PID|1||010594Y9021^^^&1.2.246.22&ISO^NNFIN||Mäki^Åsa
`, "The way back differs from back.hl7 at PID(1)-3.4.2.", ""},
		{back + `PRD|RP|Mäkelä^Öykkö
PV1|1
`, "The way back writes PID(1) where back.hl7 has PV1(1).", ""},
		{back + `PRD|RP|Mäkelä^Öykkö
`, "The way back also writes PID(1).", ""},
		{`-- out.fhirpath --
Bundle.entry.resource.ofType(Patient).name.family = 'Toinen'
`, "This doesn't hold of the Bundle: it gives false.", ""},
		{`-- out.fhirpath --
Bundle.entry.resource.ofType(Location)
`, "This doesn't hold of the Bundle: it gives nothing.", ""},
	} {
		report := m.TestCase("wrong.txtar", []byte(referralCase+c.part))
		if len(report.Faults) != 1 || report.Faults[0].Public != c.text {
			t.Errorf("want %q, got %v", c.text, report.Faults)
		}
		if c.compared != "" && !slices.Equal(report.Compared, []string{c.compared}) {
			t.Errorf("compared: %q, want %q", report.Compared, c.compared)
		}
	}
}

// Of an overlay only what its own file adds is named; the rest is counted.
func TestUntestedOfAnOverlay(t *testing.T) {
	base, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := base.Untested(nil, nil)
	m, faults := catalog(t).CompileFile("map.yaml", []byte(`silta: map/v1
id: mine.ref
version: 0.1.0
extends: ref-i12@0.1.0
rules:
  - {id: sr.more, dir: "->", first: [{id: a, v2: RF1-7, fhir: "sr.note(1).text", as: text}, {id: b, v2: RF1-8, fhir: "sr.note(1).text", as: text}]}
`))
	if m == nil {
		t.Fatal(faults)
	}
	own, inherited := m.Untested(nil, base)
	if !slices.Equal(own, []string{"sr.more.a", "sr.more.b"}) || inherited != len(all) {
		t.Errorf("own %v, inherited %d of %d", own, inherited, len(all))
	}
}

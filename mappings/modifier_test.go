package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// A modifier that no rule carries parks wherever it stands in its element: an allergy that was refuted must not leave as one
// that counts. The words of a code that is carried don't.
func TestAModifierThatNothingCarriesParks(t *testing.T) {
	m, err := catalog(t).Map("adt-a01")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte(strings.Join([]string{
		`MSH|^~\&|A|HUS|B|HUS|20260306120000+0200||ADT^A08^ADT_A01|R1|P|2.5.1||||||UNICODE UTF-8`, `EVN||20260302`,
		`PID|1||11^^^C^MR||Laine^Liisa||1962|F`, `PV1|1|I|W1^2^3`, `AL1|1|DA|1^peni^L|SV`, `DG1|1||J18^Pneumonia^I10||20260101|W`}, "\r")))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	concept := func(code string) string { return `{"coding":[{"code":"` + code + `"}]}` }
	for _, row := range []struct{ typ, element, value, at string }{
		{"AllergyIntolerance", "verificationStatus", concept("refuted"), "verificationStatus.coding[0].code"},
		{"AllergyIntolerance", "verificationStatus", `{"text":"refuted"}`, "verificationStatus.text"},
		{"AllergyIntolerance", "clinicalStatus", concept("resolved"), "clinicalStatus.coding[0].code"},
		{"Condition", "verificationStatus", concept("refuted"), "verificationStatus.coding[0].code"},
		{"Patient", "link", `[{"other":{"reference":"Patient/77"},"type":"replaced-by"}]`, "link[0].type"},
		{"AllergyIntolerance", "clinicalStatus", `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active","display":"Active"}],"text":"active"}`, ""},
	} {
		bundle, err := fhir.Parse(res.Bundle.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		resource := fhir.NewBundle(bundle.Root()).Find(row.typ)
		resource.Get(row.element).Remove()
		text := string(resource.Append(nil))
		changed := text[:len(text)-1] + `,"` + row.element + `":` + row.value + "}"
		if bundle, err = fhir.Parse([]byte(strings.Replace(string(bundle.Append(nil)), text, changed, 1))); err != nil {
			t.Fatal(err)
		}
		_, err = m.Reverse(bundle, Context{})
		parks := slices.ContainsFunc(contracts.FaultsOf(err), func(f *contracts.Fault) bool { return f.Code == CodeLeafLost && strings.HasSuffix(f.At, row.at) })
		if want := row.at != ""; parks != want || !want && err != nil {
			t.Errorf("%s.%s %s: %v", row.typ, row.element, row.at, err)
		}
	}
}

// An old name, number or address must not leave as one that counts, also where a map withholds what it doesn't carry, either
// way. A use that says no more than that it is one goes by, and so does one of which nothing leaves.
func TestAnOldNameThatWouldPassForAPresentOneParks(t *testing.T) {
	m, err := catalog(t).Map("third-sector-request")
	if err != nil {
		t.Fatal(err)
	}
	var request *fhir.Tree
	for _, c := range parsedCases(t, m) {
		if strings.HasSuffix(c.file, "/request.txtar") {
			if request, err = fhir.Parse(c.parts["canonical.json"]); err != nil {
				t.Fatal(err)
			}
		}
	}
	there := func(in *fhir.Tree) error { _, err := m.ForwardFHIR(in, Context{}); return err }
	back := func(in *fhir.Tree) error { _, err := m.Reverse(in, Context{}); return err }
	for _, row := range []struct {
		in            *fhir.Tree
		run           func(*fhir.Tree) error
		list, use, at string
	}{
		{caseInput(t, m, "accepted"), there, "name", "official", ""},
		{caseInput(t, m, "accepted"), there, "name", "old", "name[0].use"},
		{request, back, "name", "maiden", "name[0].use"},
		{request, back, "name", "usual", ""},
		{request, back, "telecom", "old", "telecom[0].use"},
		{request, back, "telecom", "mobile", ""},
		{request, back, "identifier", "old", ""},
	} {
		patient := fhir.NewBundle(row.in.Root()).Find("Patient")
		patient.Get(row.list).At(0).Set("use", fhir.String(row.use))
		err := row.run(row.in)
		parks := slices.ContainsFunc(contracts.FaultsOf(err), func(f *contracts.Fault) bool { return f.Code == CodeLeafLost && strings.HasSuffix(f.At, row.at) })
		if want := row.at != ""; parks != want || !want && err != nil {
			t.Errorf("%s.use %s: %v", row.list, row.use, err)
		}
	}
}

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

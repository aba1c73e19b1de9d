package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// TestComponentsGoBackTogetherOrNotAtAll: only components that ask what the observation asks are repetitions of one OBX-5, in
// the one type and unit that an OBX has. Whatever one of them says otherwise, all are told as lost and OBX-3 stays the question.
func TestComponentsGoBackTogetherOrNotAtAll(t *testing.T) {
	for _, c := range []struct{ name, value, old, new, back string }{
		{"as they came", "120~80", "", "", "120~80"},
		{"members in another order", "120~80", `"component":[{"code":{"coding":[{"system":"` + local + `","code":"BP"`, `"component":[{"code":{"coding":[{"code":"BP","system":"` + local + `"`, "120~80"},
		{"the first asks something else", "120~80", `"component":[{"code":{"coding":[{"system":"` + local + `","code":"BP"`, `"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"OTHER"`, ""},
		{"the second asks something else", "120~80", `},{"code":{"coding":[{"system":"` + local + `","code":"BP"`, `},{"code":{"coding":[{"system":"http://loinc.org","code":"OTHER"`, ""},
		{"the second in another unit", "120~80", `"value":80,"unit":"mmHg"`, `"value":80,"unit":"kPa"`, ""},
		{"the second without a unit", "120~80", `"value":80,"unit":"mmHg"`, `"value":80`, ""},
		{"the second a code", "120~80", `"valueQuantity":{"value":80,"unit":"mmHg"}`, `"valueCodeableConcept":{"text":"high"}`, ""},
		{"the second in words", "120~high", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := catalog(t).Map("oru-r01")
			if err != nil {
				t.Fatal(err)
			}
			msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||ORU^R01^ORU_R01|7|P|2.5.1\rPID|1||1^^^X^MR\rOBR|1|P1|F1|CBC^Count^L\rOBX|1|NM|BP^B^L||" + c.value + "|mmHg|||||F"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := m.Forward(msg, Context{})
			if err != nil {
				t.Fatal("a result parks: ", err)
			}
			before := string(res.Bundle.Append(nil))
			text := strings.Replace(before, c.old, c.new, 1)
			if c.old != "" && text == before {
				t.Fatalf("nothing to change in %s", before)
			}
			bundle, err := fhir.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			back, err := m.Reverse(bundle, Context{})
			if err != nil {
				t.Fatal(err)
			}
			if got := back.Message.Get(hl7v2.MustPath("OBX-3")).Text(); got != "BP" {
				t.Errorf("the question is %q", got)
			}
			if got := string(back.Message.Bytes()); strings.Contains(got, "|"+c.back+"|mmHg|") != (c.back != "") {
				t.Errorf("not %q: %s", c.back, lines(back.Message.Bytes()))
			}
			told := slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool {
				return f.Grade == contracts.GradeWarning && strings.Contains(f.At, ".component[1].value")
			})
			if told != (c.back == "") {
				t.Errorf("told: %v, %v", told, back.Findings)
			}
		})
	}
}

const local = "https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/L"

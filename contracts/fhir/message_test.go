package fhir

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

func example(t testing.TB, name string) []byte {
	t.Helper()
	b, err := profiles.Read("examples/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScanMessage(t *testing.T) {
	h, err := ScanMessage(example(t, "request"))
	if err != nil {
		t.Fatal(err)
	}
	if h.Control.Value != "MSG-2026-0000417" || h.Event != profiles.Request || h.Trigger != "I12" ||
		h.EventSystem != profiles.URL(profiles.EventSystem) || h.SourceName != "APOTTI" || len(h.To) != 1 {
		t.Errorf("header of the request: %+v", h)
	}
	if !slices.Equal(h.Focus, []string{"Task"}) || len(h.Placers) != 1 || h.Placers[0].Value != "LAH-2026-000417" || len(h.Fillers) != 0 {
		t.Errorf("referral of the request: %+v", h)
	}
	if len(h.Patients) != 1 || h.Patients[0].System != "urn:oid:1.2.246.21" || len(h.Resources) != 0 {
		t.Errorf("patients of the request: %+v", h)
	}
	h, err = ScanMessage(example(t, "response-accepted"))
	if err != nil || h.ResponseTo != "MSG-2026-0000417" || h.ResponseCode != "ok" || len(h.Fillers) != 1 {
		t.Errorf("answer: %+v %v", h, err)
	}
	for _, name := range []string{"appointment", "feedback"} {
		if h, err = ScanMessage(example(t, name)); err != nil || len(h.Placers) != 1 || h.Placers[0].Value != "LAH-2026-000417" {
			t.Errorf("%s names the referral by identifier: %+v %v", name, h, err)
		}
	}
}

func TestScanMessageTakesLiteralReferences(t *testing.T) {
	h, err := ScanMessage([]byte(`{"resourceType":"Bundle","id":"b1","type":"message","entry":[
		{"fullUrl":"urn:uuid:1","resource":{"resourceType":"MessageHeader","eventUri":"urn:e","focus":[{"reference":"https://x.example/fhir/Task/12/_history/3"}]}},
		{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Appointment","basedOn":[{"reference":"ServiceRequest/77"},{"identifier":{"value":"R1"}}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Task/12", "ServiceRequest/77"}, h.Resources); diff != "" {
		t.Error(diff)
	}
	if h.Control.Value != "b1" || h.Event != "urn:e" || !slices.Equal(h.Referrals, []Identifier{{Value: "R1"}}) {
		t.Errorf("%+v", h)
	}
}

func TestScanMessageRefuses(t *testing.T) {
	head := `{"resource":{"resourceType":"MessageHeader","eventUri":"urn:e"}}`
	for name, row := range map[string]struct {
		in    string
		codes string
	}{
		"text that is no JSON":            {`MSH|^~\&|`, "FHIR-001"},
		"nothing":                         {``, "FHIR-001"},
		"a number":                        {`12`, "FHIR-030"},
		"another resource":                {`{"resourceType":"Patient"}`, "FHIR-030"},
		"a collection":                    {`{"resourceType":"Bundle","id":"1","type":"collection","entry":[` + head + `]}`, "FHIR-031"},
		"an empty message":                {`{"resourceType":"Bundle","id":"1","type":"message"}`, "FHIR-032"},
		"a header in second place":        {`{"resourceType":"Bundle","id":"1","type":"message","entry":[{"resource":{"resourceType":"Task"}},` + head + `]}`, "FHIR-032"},
		"a message without id":            {`{"resourceType":"Bundle","type":"message","entry":[` + head + `]}`, "FHIR-033"},
		"an identifier without value":     {`{"resourceType":"Bundle","identifier":{"system":"urn:x"},"type":"message","entry":[` + head + `]}`, "FHIR-033"},
		"a header without event":          {`{"resourceType":"Bundle","id":"1","type":"message","entry":[{"resource":{"resourceType":"MessageHeader"}}]}`, "FHIR-036"},
		"everything at once, all of them": {`{"resourceType":"Bundle","type":"batch"}`, "FHIR-031 FHIR-032 FHIR-033"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := ScanMessage([]byte(row.in))
			if h != nil || err == nil {
				t.Fatalf("got %+v, %v", h, err)
			}
			var codes []string
			for _, f := range contracts.FaultsOf(err) {
				if f.Kind != contracts.Malformed || f.Public == "" || f.At == "" {
					t.Errorf("fault %v lacks kind, place or text", f)
				}
				codes = append(codes, f.Code)
			}
			if got := strings.Join(codes, " "); got != row.codes {
				t.Errorf("got %s, want %s", got, row.codes)
			}
		})
	}
}

func TestResponseIdentifier(t *testing.T) {
	for control, whole := range map[string]bool{"MSG-1.2": true, "ÅÄÖ": false, "a b": false, "A_1": false, strings.Repeat("x", 65): false} {
		id, ok := ResponseIdentifier(control)
		again, _ := ResponseIdentifier(control)
		if ok != whole || !isID(id) || id != again || whole != (id == control) {
			t.Errorf("%q: %q %v", control, id, ok)
		}
	}
}

func TestOutcomeAndBack(t *testing.T) {
	faults := contracts.Faults{
		contracts.Faultf(contracts.Malformed, CodeMissing, "Bundle.entry[0].resource.source", "Missing."),
		contracts.Faultf(contracts.Conflict, "", "", "Other bytes under a known id."),
		{Kind: contracts.Unmapped, Code: "MAP-120", At: "Bundle.entry[1].resource.priority", Grade: contracts.GradeWarning},
		{Kind: contracts.Invalid, Code: CodeInvariant, Rule: "sdf-15a", At: "StructureDefinition"},
		{Kind: contracts.Invalid, Rule: "per-1", At: "Patient.name[0].period"},
	}
	v, err := ReadOutcome(Outcome(faults))
	if err != nil {
		t.Fatal(err)
	}
	if !v.Failed || v.Fatal || v.Duplicate || !v.Conflict || len(v.Faults) != len(faults) {
		t.Errorf("%+v", v)
	}
	for i, f := range v.Faults {
		if f.Kind != faults[i].Kind || f.Code != faults[i].Code || f.Rule != faults[i].Rule || f.At != faults[i].At || f.Grade != faults[i].Grade {
			t.Errorf("issue %d: got %+v, want %+v", i, f, faults[i])
		}
	}
	for kind := range issueTypes {
		v, err := ReadOutcome(Outcome(contracts.Faults{{Kind: kind}}))
		if err != nil || v.Faults[0].Kind != kind {
			t.Errorf("kind %s comes back as %v %v", kind, v, err)
		}
	}
	if v, err := ReadOutcome(Duplicate()); err != nil || v.Failed || !v.Duplicate || v.Conflict {
		t.Errorf("duplicate: %+v %v", v, err)
	}
	if v, err := ReadOutcome(AllOK()); err != nil || v.Failed || v.Duplicate {
		t.Errorf("all OK: %+v %v", v, err)
	}
	for name, b := range map[string][]byte{"outcome": Outcome(faults), "all ok": AllOK(), "duplicate": Duplicate()} {
		if tree, err := Parse(b); err != nil || Validate(tree).Err() != nil {
			t.Errorf("%s doesn't validate: %v %v", name, err, Validate(tree))
		}
	}
	_, err = ReadOutcome([]byte(`{"resourceType":"Patient"}`))
	var f *contracts.Fault
	if !errors.As(err, &f) || f.Code != CodeOutcome {
		t.Errorf("another resource: %v", err)
	}
}

func TestReadOutcomeKeepsTextsOut(t *testing.T) {
	v, err := ReadOutcome([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"Nimi Sukunimi",
		"diagnostics":"Nimi Sukunimi","details":{"text":"Nimi","coding":[{"system":"x","code":"Nimi"},{"system":"` + profiles.URL(profiles.RuleSystem) + `","code":"Nimi-1"}]},
		"expression":["Patient.where(name='Nimi')"]}]}`))
	if v.Faults[0].Rule != "" {
		t.Error("a partner's word came through as a rule")
	}
	if err != nil || strings.Contains(v.Faults.Error(), "Nimi") || v.Faults[0].Kind != contracts.Refused {
		t.Errorf("%v %v", v.Faults, err)
	}
}

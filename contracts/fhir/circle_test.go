package fhir

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// A sender may chain as many resources as fit into a message; the stack has an end.
func TestALongChainOfProfiledReferences(t *testing.T) {
	p := withProfiles(t, profiled("part", "Encounter", `{"path":"Encounter.partOf","type":[{"code":"Reference","targetProfile":["http://test/part"]}]}`))
	var b strings.Builder
	b.WriteString(`{"resourceType":"Bundle","type":"collection","entry":[`)
	const links = 20_000
	for i := range links {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"fullUrl":"http://x/Encounter/%d","resource":{"resourceType":"Encounter","id":"%d","meta":{"profile":["http://test/part"]},"status":"finished","class":{"code":"AMB"},"partOf":{"reference":"Encounter/%d"}}}`, i, i, (i+1)%links)
	}
	b.WriteString("]}")
	faults := p.Validate(parse(t, b.String()).Tree())
	if faults.Err() != nil {
		t.Error(faults[0])
	}
	if !slices.ContainsFunc(faults, func(f *contracts.Fault) bool { return f.Code == CodeConform && f.Grade == contracts.GradeWarning }) {
		t.Error("nothing tells that the chain wasn't followed to its end")
	}
}

// A verdict that rests on a circle must not outlive it.
func TestVerdictsDoNotDependOnTheOrderOfEntries(t *testing.T) {
	p := withProfiles(t,
		profiled("o", "Organization", `{"path":"Organization.partOf","type":[{"code":"Reference","targetProfile":["http://test/q"]}]}`),
		profiled("q", "Organization", `{"path":"Organization.partOf","type":[{"code":"Reference","targetProfile":["http://test/o"]}]},{"path":"Organization.telecom","min":1}`),
		profiled("asks", "Observation", `{"path":"Observation.performer","type":[{"code":"Reference","targetProfile":["http://test/o"]}]}`),
		profiled("takes", "Observation", `{"path":"Observation.performer","type":[{"code":"Reference","targetProfile":["http://test/q","http://hl7.org/fhir/StructureDefinition/Organization"]}]}`))
	observation := func(profile string) string {
		return `{"resource":{"resourceType":"Observation","meta":{"profile":["http://test/` + profile + `"]},"status":"final","code":{"text":"x"},"performer":[{"reference":"http://x/Organization/1"}]}}`
	}
	const organizations = `{"fullUrl":"http://x/Organization/1","resource":{"resourceType":"Organization","id":"1","name":"a","partOf":{"reference":"http://x/Organization/2"}}},
		{"fullUrl":"http://x/Organization/2","resource":{"resourceType":"Organization","id":"2","name":"b","partOf":{"reference":"http://x/Organization/1"}}}`
	for _, order := range [][2]string{{"asks", "takes"}, {"takes", "asks"}} {
		in := `{"resourceType":"Bundle","type":"collection","entry":[` + observation(order[0]) + "," + observation(order[1]) + "," + organizations + "]}"
		faults := p.Validate(parse(t, in).Tree())
		if got := said(faults, contracts.GradeError); !strings.Contains(got, "FHIR-027") || strings.Count(got, "\n") > 0 {
			t.Errorf("%v: %s", order, got)
		}
	}
}

// What was looked at for another's sake is still told of for its own.
func TestWarningsOfWhatWasReferredToFirst(t *testing.T) {
	p := withProfiles(t,
		profiled("named", "Patient", `{"path":"Patient","constraint":[{"key":"w-1","severity":"warning","human":"A date of birth.","expression":"birthDate.exists()"}]},{"path":"Patient.name","mustSupport":true}`),
		profiled("of", "Observation", `{"path":"Observation.subject","type":[{"code":"Reference","targetProfile":["http://test/named"]}]}`))
	patient := `{"fullUrl":"http://x/Patient/1","resource":{"resourceType":"Patient","id":"1","meta":{"profile":["http://test/named"]},"active":true}}`
	observation := `{"resource":{"resourceType":"Observation","meta":{"profile":["http://test/of"]},"status":"final","code":{"text":"x"},"subject":{"reference":"http://x/Patient/1"}}}`
	for _, entries := range []string{patient + "," + observation, observation + "," + patient} {
		faults := p.Validate(parse(t, `{"resourceType":"Bundle","type":"collection","entry":[`+entries+`]}`).Tree())
		if got := said(faults, contracts.GradeWarning) + said(faults, contracts.GradeNote); !strings.Contains(got, "w-1") || !strings.Contains(got, "FHIR-029") {
			t.Errorf("got %s", got)
		}
	}
}

// A slicing that can't be judged whole refuses nothing; Check tells of it.
func TestSlicesThatCanNotBeTold(t *testing.T) {
	for name, c := range map[string]struct{ profile, resource string }{
		"no mark in a closed slicing": {profiled("p", "Patient", `{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"system"}],"rules":"closed"}},
			{"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a"},{"id":"Patient.identifier:a.system","path":"Patient.identifier.system","fixedUri":"urn:a"},
			{"id":"Patient.identifier:b","path":"Patient.identifier","sliceName":"b"}`), `{"resourceType":"Patient","identifier":[{"system":"urn:a"},{"system":"urn:c"}]}`},
		"a discriminator that can't be read": {profiled("p", "Patient", `{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"system"},{"type":"value","path":"type.coding.first().code"}],"rules":"open"}},
			{"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a","max":"1"},{"id":"Patient.identifier:a.system","path":"Patient.identifier.system","fixedUri":"urn:a"}`),
			`{"resourceType":"Patient","identifier":[{"system":"urn:a"},{"system":"urn:a"}]}`},
		"a profile that isn't loaded": {profiled("p", "Bundle", `{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"profile","path":"resource"}],"rules":"open"}},
			{"id":"Bundle.entry:p","path":"Bundle.entry","sliceName":"p","max":"1"},{"id":"Bundle.entry:p.resource","path":"Bundle.entry.resource","type":[{"code":"Patient","profile":["http://test/none"]}]}`),
			`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","code":{"text":"x"}}},{"resource":{"resourceType":"Basic","code":{"text":"y"}}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewProfiles()
			if err := p.Add("p.json", []byte(c.profile)); err != nil {
				t.Fatal(err)
			}
			if len(p.Check()) == 0 {
				t.Error("nobody tells that the slice can't be told")
			}
			tree := parse(t, c.resource)
			tree.Object("meta").Array("profile").Push(String("http://test/p"))
			if faults := p.Validate(tree.Tree()); faults.Err() != nil {
				t.Error(faults)
			}
		})
	}
}

func TestAProfileThatCanNotBeReliedOn(t *testing.T) {
	p := NewProfiles()
	if err := p.Add("p.json", []byte(profiledOn("p", "Patient", "http://test/none", `{"path":"Patient.name","min":1}`))); err != nil {
		t.Fatal(err)
	}
	if got := said(p.Validate(parse(t, `{"resourceType":"Patient","active":true}`).Tree(), "http://test/p"), contracts.GradeError); got != "FHIR-061 Patient p" {
		t.Error(got)
	}
	if p.CheckProfile("http://test/p").Err() == nil || p.CheckProfile("http://test/q").Err() == nil || p.CheckProfile(baseURL+"Bundle").Err() != nil {
		t.Error("what can be relied on isn't told from what can't")
	}
}

func TestAClaimOfAnotherType(t *testing.T) {
	got := said(Validate(parse(t, `{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Observation"]},"active":true}`).Tree()), contracts.GradeError)
	if got != "FHIR-011 Patient.meta.profile[0] " {
		t.Error(got)
	}
}

func TestValueSetsOfValueSetsCostOnce(t *testing.T) {
	p := NewProfiles()
	const sets = 40
	for i := range sets {
		include := `{"system":"urn:cs","concept":[{"code":"a"}]}`
		if i > 0 {
			before := fmt.Sprintf(`{"valueSet":["http://test/vs%d"]}`, i-1)
			include = strings.Join([]string{before, before, before, before}, ",")
		}
		if err := p.Add("vs.json", fmt.Appendf(nil, `{"resourceType":"ValueSet","url":"http://test/vs%d","compose":{"include":[%s]}}`, i, include)); err != nil {
			t.Fatal(err)
		}
	}
	if v := p.valueSet(fmt.Sprintf("http://test/vs%d", sets-1)); v == nil || len(v.list) != 1 {
		t.Error("the codes aren't known")
	}
}

func TestNumbersInOrder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"1.10", "1.1", 0}, {"0.1", "0.10000000000000000001", -1}, {"1e999999999", "5", 1}, {"-1e999999999", "5", -1}, {"1e2", "100", 0}, {"2", "1", 1}} {
		if got := orderNumbers(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %d", c.a, c.b, got)
		}
	}
}

func TestContextsOfElementsAndSlices(t *testing.T) {
	for _, context := range []string{"http://hl7.org/fhir/StructureDefinition/Patient#Patient.contact", "http://test/p#Patient.contact:next", "Patient.contact:next"} {
		p := withProfiles(t, extensionOf("e", context, `{"path":"Extension.value[x]","type":[{"code":"boolean"}]}`))
		in := `{"resourceType":"Patient","contact":[{"extension":[{"url":"http://test/e","valueBoolean":true}],"name":{"text":"x"}}]}`
		if faults := p.Validate(parse(t, in).Tree()); faults.Err() != nil {
			t.Errorf("%s: %v", context, faults)
		}
	}
}

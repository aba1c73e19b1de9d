package fhir

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
)

// withProfiles gives R4's own profiles and these definitions, which must compile without a fault.
func withProfiles(t testing.TB, definitions ...string) *Profiles {
	t.Helper()
	p := NewProfiles()
	for i, d := range definitions {
		if err := p.Add(fmt.Sprintf("%d.json", i), []byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	if faults := p.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

// profiled is a profile of a type by its differential.
func profiled(name, typ, elements string) string { return profiledOn(name, typ, baseURL+typ, elements) }

func profiledOn(name, typ, base, elements string) string {
	return `{"resourceType":"StructureDefinition","url":"http://test/` + name + `","type":"` + typ + `","derivation":"constraint","baseDefinition":"` + base +
		`","differential":{"element":[` + elements + `]}}`
}

// said are the errors of a check, a line each: code, place, rule.
func said(faults contracts.Faults, grade contracts.Grade) string {
	var lines []string
	for _, f := range faults {
		if f.Grade == grade {
			lines = append(lines, f.Code+" "+f.At+" "+f.Rule)
		}
	}
	return strings.Join(lines, "\n")
}

func TestProfiles(t *testing.T) {
	const hetu = "urn:oid:1.2.246.21"
	byUse := `{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"use"}],"rules":"open"}},
		{"id":"Patient.identifier:PIC","path":"Patient.identifier","sliceName":"PIC","min":1,"max":"1"},
		{"id":"Patient.identifier:PIC.use","path":"Patient.identifier.use","min":1,"fixedCode":"official"},
		{"id":"Patient.identifier:PIC.system","path":"Patient.identifier.system","min":1,"fixedUri":"` + hetu + `"}`
	for _, c := range []struct {
		name       string
		profile    string
		good, bad  string
		said       string // of bad
		alsoLoaded []string
	}{
		{name: "an element is required",
			profile: profiled("p", "Patient", `{"path":"Patient.birthDate","min":1}`),
			good:    `{"resourceType":"Patient","birthDate":"2001-01-01"}`,
			bad:     `{"resourceType":"Patient","active":true}`,
			said:    "FHIR-013 Patient.birthDate p#Patient.birthDate"},
		{name: "an element is forbidden",
			profile: profiled("p", "Patient", `{"path":"Patient.photo","max":"0"}`),
			good:    `{"resourceType":"Patient","active":true}`,
			bad:     `{"resourceType":"Patient","photo":[{"title":"x"}]}`,
			said:    "FHIR-014 Patient.photo[0] p#Patient.photo"},
		{name: "an element stands once",
			profile: profiled("p", "Patient", `{"path":"Patient.name","max":"1"}`),
			good:    `{"resourceType":"Patient","name":[{"family":"Testinen"}]}`,
			bad:     `{"resourceType":"Patient","name":[{"family":"Testinen"},{"family":"Toinen"}]}`,
			said:    "FHIR-014 Patient.name[1] p#Patient.name"},
		{name: "within an element that may be absent",
			profile: profiled("p", "Patient", `{"path":"Patient.contact.name","min":1}`),
			good:    `{"resourceType":"Patient","active":true}`,
			bad:     `{"resourceType":"Patient","contact":[{"name":{"text":"a"}},{"telecom":[{"system":"phone","value":"1"}]}]}`,
			said:    "FHIR-013 Patient.contact[1].name p#Patient.contact.name"},
		{name: "a fixed value",
			profile: profiled("p", "ServiceRequest", `{"path":"ServiceRequest.intent","fixedCode":"order"}`),
			good:    `{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"display":"x"}}`,
			bad:     `{"resourceType":"ServiceRequest","status":"active","intent":"plan","subject":{"display":"x"}}`,
			said:    "FHIR-024 ServiceRequest.intent p#ServiceRequest.intent"},
		{name: "a fixed complex value is equal in all members",
			profile: profiled("p", "Observation", `{"path":"Observation.code","fixedCodeableConcept":{"coding":[{"system":"urn:s","code":"1"}]}}`),
			good:    `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"1","system":"urn:s"}]}}`,
			bad:     `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"1","system":"urn:s"}],"text":"more"}}`,
			said:    "FHIR-024 Observation.code p#Observation.code"},
		{name: "a pattern is held by what has more",
			profile: profiled("p", "Observation", `{"path":"Observation.code","patternCodeableConcept":{"coding":[{"system":"urn:s","code":"1"}]}}`),
			good:    `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"0"},{"code":"1","system":"urn:s","display":"x"}],"text":"more"}}`,
			bad:     `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"1","system":"urn:other"}]}}`,
			said:    "FHIR-024 Observation.code p#Observation.code"},
		{name: "a choice has fewer types",
			profile: profiled("p", "Observation", `{"path":"Observation.value[x]","type":[{"code":"Quantity"},{"code":"string"}]}`),
			good:    `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"y"}`,
			bad:     `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueBoolean":true}`,
			said:    "FHIR-017 Observation.valueBoolean p#Observation.value[x]"},
		{name: "a choice's type by its name in the path",
			profile: profiled("p", "Observation", `{"path":"Observation.valueQuantity.unit","min":1}`),
			good:    `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1,"unit":"kg"}}`,
			bad:     `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1}}`,
			said:    "FHIR-013 Observation.valueQuantity.unit p#Observation.value[x]:valueQuantity.unit"},
		{name: "a slice by value is required",
			profile: profiled("p", "Patient", byUse),
			good:    `{"resourceType":"Patient","identifier":[{"use":"usual","value":"1"},{"use":"official","system":"` + hetu + `","value":"010190-900P"}]}`,
			bad:     `{"resourceType":"Patient","identifier":[{"use":"usual","value":"1"}]}`,
			said:    "FHIR-013 Patient.identifier p#Patient.identifier:PIC"},
		{name: "a slice's inside",
			profile: profiled("p", "Patient", byUse),
			bad:     `{"resourceType":"Patient","identifier":[{"use":"official","system":"urn:other","value":"1"}]}`,
			said:    "FHIR-024 Patient.identifier[0].system p#Patient.identifier:PIC.system"},
		{name: "a slice stands twice",
			profile: profiled("p", "Patient", byUse),
			bad:     `{"resourceType":"Patient","identifier":[{"use":"official","system":"` + hetu + `"},{"use":"official","system":"` + hetu + `"}]}`,
			said:    "FHIR-014 Patient.identifier[1] p#Patient.identifier:PIC"},
		{name: "elements without ids, sliced",
			profile: profiled("p", "Patient", `{"path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"system"}],"rules":"open"}},
				{"path":"Patient.identifier","sliceName":"a","max":"1"},{"path":"Patient.identifier.system","fixedUri":"urn:a"},
				{"path":"Patient.identifier","sliceName":"b","min":1},{"path":"Patient.identifier.system","fixedUri":"urn:b"},
				{"path":"Patient.name","min":1}`),
			good: `{"resourceType":"Patient","identifier":[{"system":"urn:b"}],"name":[{"text":"x"}]}`,
			bad:  `{"resourceType":"Patient","identifier":[{"system":"urn:a"},{"system":"urn:a"}],"name":[{"text":"x"}]}`,
			said: "FHIR-014 Patient.identifier[1] p#Patient.identifier:a\nFHIR-013 Patient.identifier p#Patient.identifier:b"},
		{name: "a slice by a pattern that stands further up",
			profile: profiled("p", "Patient", `{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"pattern","path":"type.coding.code"}],"rules":"open"}},
				{"id":"Patient.identifier:mr","path":"Patient.identifier","sliceName":"mr","min":1},
				{"id":"Patient.identifier:mr.type","path":"Patient.identifier.type","patternCodeableConcept":{"coding":[{"code":"MR"}]}}`),
			good: `{"resourceType":"Patient","identifier":[{"type":{"coding":[{"code":"XX"},{"code":"MR"}]},"value":"1"}]}`,
			bad:  `{"resourceType":"Patient","identifier":[{"type":{"coding":[{"code":"XX"}]},"value":"1"}]}`,
			said: "FHIR-013 Patient.identifier p#Patient.identifier:mr"},
		{name: "a slice by whether something exists",
			profile: profiled("p", "Patient", `{"id":"Patient.name","path":"Patient.name","slicing":{"discriminator":[{"type":"exists","path":"period"}],"rules":"open"}},
				{"id":"Patient.name:old","path":"Patient.name","sliceName":"old","max":"1"},{"id":"Patient.name:old.period","path":"Patient.name.period","min":1},
				{"id":"Patient.name:now","path":"Patient.name","sliceName":"now","min":1},{"id":"Patient.name:now.period","path":"Patient.name.period","max":"0"}`),
			good: `{"resourceType":"Patient","name":[{"text":"a"},{"text":"b","period":{"end":"2001"}}]}`,
			bad:  `{"resourceType":"Patient","name":[{"text":"a","period":{"end":"2000"}},{"text":"b","period":{"end":"2001"}}]}`,
			said: "FHIR-014 Patient.name[1] p#Patient.name:old\nFHIR-013 Patient.name p#Patient.name:now"},
		{name: "a slice by type of a choice",
			profile: profiled("p", "Observation", `{"id":"Observation.value[x]","path":"Observation.value[x]","slicing":{"discriminator":[{"type":"type","path":"$this"}],"rules":"closed"}},
				{"id":"Observation.value[x]:valueQuantity","path":"Observation.value[x]","sliceName":"valueQuantity","type":[{"code":"Quantity"}]},
				{"id":"Observation.value[x]:valueQuantity.unit","path":"Observation.value[x].unit","min":1}`),
			good: `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1,"unit":"kg"}}`,
			bad:  `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"kg"}`,
			said: "FHIR-025 Observation.valueString p#Observation.value[x]"},
		{name: "a slice by the type of a resource",
			profile: profiled("p", "Bundle", `{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"type","path":"resource"}],"rules":"closed"}},
				{"id":"Bundle.entry:patient","path":"Bundle.entry","sliceName":"patient","min":1,"max":"1"},
				{"id":"Bundle.entry:patient.resource","path":"Bundle.entry.resource","type":[{"code":"Patient"}],"min":1},
				{"id":"Bundle.entry:patient.resource.birthDate","path":"Bundle.entry.resource.birthDate","min":1}`),
			good: `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","birthDate":"2001"}}]}`,
			bad:  `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","active":true}},{"resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`,
			said: "FHIR-013 Bundle.entry[0].resource.birthDate p#Bundle.entry:patient.resource.birthDate\nFHIR-025 Bundle.entry[1] p#Bundle.entry"},
		{name: "a slice by profile of the resource",
			alsoLoaded: []string{profiled("named", "Patient", `{"path":"Patient.name","min":1}`)},
			profile: profiled("p", "Bundle", `{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"profile","path":"resource"}],"rules":"open"}},
				{"id":"Bundle.entry:named","path":"Bundle.entry","sliceName":"named","min":1},
				{"id":"Bundle.entry:named.resource","path":"Bundle.entry.resource","type":[{"code":"Patient","profile":["http://test/named"]}]}`),
			good: `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","name":[{"text":"x"}]}}]}`,
			bad:  `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","active":true}}]}`,
			said: "FHIR-013 Bundle.entry p#Bundle.entry:named"},
		{name: "a slice by what a reference leads to",
			profile: profiled("p", "Bundle", `{"id":"Bundle.entry.resource","path":"Bundle.entry.resource"}`) + ` `,
			alsoLoaded: []string{profiled("q", "ServiceRequest", `{"id":"ServiceRequest.performer","path":"ServiceRequest.performer","slicing":{"discriminator":[{"type":"type","path":"resolve()"}],"rules":"closed"}},
				{"id":"ServiceRequest.performer:role","path":"ServiceRequest.performer","sliceName":"role","max":"1","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/PractitionerRole"]}]}`)},
			good: `{"resourceType":"Bundle","type":"collection","entry":[` + requestTo("PractitionerRole", `"active":true`) + `]}`,
			bad:  `{"resourceType":"Bundle","type":"collection","entry":[` + requestTo("Patient", `"active":true`) + `]}`,
			said: "FHIR-025 Bundle.entry[0].resource.performer[0] q#ServiceRequest.performer"},
		{name: "an ordered, closed slicing",
			profile: profiled("p", "Patient", `{"id":"Patient.name","path":"Patient.name","slicing":{"discriminator":[{"type":"value","path":"use"}],"rules":"openAtEnd","ordered":true}},
				{"id":"Patient.name:o","path":"Patient.name","sliceName":"o"},{"id":"Patient.name:o.use","path":"Patient.name.use","fixedCode":"official"},
				{"id":"Patient.name:m","path":"Patient.name","sliceName":"m"},{"id":"Patient.name:m.use","path":"Patient.name.use","fixedCode":"maiden"}`),
			good: `{"resourceType":"Patient","name":[{"use":"official","text":"a"},{"use":"maiden","text":"b"},{"use":"old","text":"c"}]}`,
			bad:  `{"resourceType":"Patient","name":[{"use":"maiden","text":"b"},{"use":"official","text":"a"},{"use":"old","text":"c"},{"use":"maiden","text":"d"}]}`,
			said: "FHIR-025 Patient.name[1] p#Patient.name\nFHIR-025 Patient.name[3] p#Patient.name"},
		{name: "a slice within a slice",
			profile: profiled("p", "Provenance", `{"id":"Provenance.agent","path":"Provenance.agent","slicing":{"discriminator":[{"type":"value","path":"type"}],"rules":"open"}},
				{"id":"Provenance.agent:c","path":"Provenance.agent","sliceName":"c","min":1},
				{"id":"Provenance.agent:c.type","path":"Provenance.agent.type","min":1,"patternCodeableConcept":{"coding":[{"code":"CST"}]}},
				{"id":"Provenance.agent:c.role","path":"Provenance.agent.role","slicing":{"discriminator":[{"type":"value","path":"coding.system"}],"rules":"open"}},
				{"id":"Provenance.agent:c.role:k","path":"Provenance.agent.role","sliceName":"k","min":1},
				{"id":"Provenance.agent:c.role:k.coding","path":"Provenance.agent.role.coding","min":1,"max":"1"},
				{"id":"Provenance.agent:c.role:k.coding.system","path":"Provenance.agent.role.coding.system","min":1,"fixedUri":"urn:oid:1.2.246.537.5.40172"}`),
			good: `{"resourceType":"Provenance","target":[{"display":"x"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"type":{"coding":[{"code":"CST"}]},"role":[{"coding":[{"system":"urn:oid:1.2.246.537.5.40172","code":"1"}]}],"who":{"display":"x"}}]}`,
			bad:  `{"resourceType":"Provenance","target":[{"display":"x"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"type":{"coding":[{"code":"CST"}]},"role":[{"coding":[{"system":"urn:other","code":"1"}]}],"who":{"display":"x"}}]}`,
			said: "FHIR-013 Provenance.agent[0].role p#Provenance.agent:c.role:k"},
		{name: "a value set of the package",
			alsoLoaded: []string{`{"resourceType":"CodeSystem","url":"urn:cs","content":"complete","concept":[{"code":"a","concept":[{"code":"b"}]}]}`,
				`{"resourceType":"ValueSet","url":"urn:vs","compose":{"include":[{"system":"urn:cs"}],"exclude":[{"system":"urn:cs","concept":[{"code":"a"}]}]}}`},
			profile: profiled("p", "Patient", `{"path":"Patient.maritalStatus","binding":{"strength":"required","valueSet":"urn:vs"}}`),
			good:    `{"resourceType":"Patient","maritalStatus":{"coding":[{"system":"urn:cs","code":"b"}]}}`,
			bad:     `{"resourceType":"Patient","maritalStatus":{"coding":[{"system":"urn:cs","code":"a"}]}}`,
			said:    "FHIR-018 Patient.maritalStatus p#Patient.maritalStatus"},
		{name: "an invariant of the profile",
			profile: profiled("p", "Patient", `{"path":"Patient","constraint":[{"key":"own-1","severity":"error","human":"Either a name or an identifier.","expression":"name.exists() or identifier.exists()"}]},
				{"path":"Patient.birthDate","constraint":[{"key":"own-2","severity":"error","human":"A whole date.","expression":"$this.toString().length() = 10"}]}`),
			good: `{"resourceType":"Patient","name":[{"text":"x"}],"birthDate":"2001-01-01"}`,
			bad:  `{"resourceType":"Patient","birthDate":"2001"}`,
			said: "FHIR-023 Patient p#Patient#own-1\nFHIR-023 Patient.birthDate p#Patient.birthDate#own-2"},
		{name: "an invariant that can't be evaluated doesn't hold",
			profile: profiled("p", "Patient", `{"path":"Patient","constraint":[{"key":"own-1","severity":"error","human":"x","expression":"name.nosuch()"}]}`),
			bad:     `{"resourceType":"Patient","active":true}`,
			said:    "FHIR-051 Patient p#Patient#own-1"},
		{name: "limits",
			profile: profiled("p", "Observation", `{"path":"Observation.valueInteger","minValueInteger":1,"maxValueInteger":9},{"path":"Observation.note.text","maxLength":3}`),
			good:    `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueInteger":9,"note":[{"text":"åäö"}]}`,
			bad:     `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueInteger":10,"note":[{"text":"åäöå"}]}`,
			said:    "FHIR-028 Observation.valueInteger p#Observation.value[x]:valueInteger\nFHIR-028 Observation.note[0].text p#Observation.note.text"},
		{name: "a profile on a profile",
			alsoLoaded: []string{profiled("base", "Patient", byUse)},
			profile: profiledOn("p", "Patient", "http://test/base", `{"id":"Patient.identifier:PIC.value","path":"Patient.identifier.value","min":1},
				{"id":"Patient.name","path":"Patient.name","min":1}`),
			good: `{"resourceType":"Patient","identifier":[{"use":"official","system":"` + hetu + `","value":"1"}],"name":[{"text":"x"}]}`,
			bad:  `{"resourceType":"Patient","identifier":[{"use":"official","system":"urn:other"}]}`,
			said: "FHIR-024 Patient.identifier[0].system p#Patient.identifier:PIC.system\nFHIR-013 Patient.identifier[0].value p#Patient.identifier:PIC.value\nFHIR-013 Patient.name p#Patient.name"},
		{name: "an extension that is required, on a primitive",
			alsoLoaded: []string{extensionOf("e", "Patient.birthDate", `{"path":"Extension.value[x]","min":1,"type":[{"code":"boolean"}]}`)},
			profile: profiled("p", "Patient", `{"id":"Patient.birthDate.extension","path":"Patient.birthDate.extension","slicing":{"discriminator":[{"type":"value","path":"url"}],"rules":"open"}},
				{"id":"Patient.birthDate.extension:e","path":"Patient.birthDate.extension","sliceName":"e","min":1,"type":[{"code":"Extension","profile":["http://test/e"]}]}`),
			good: `{"resourceType":"Patient","birthDate":"2001","_birthDate":{"extension":[{"url":"http://test/e","valueBoolean":true}]}}`,
			bad:  `{"resourceType":"Patient","birthDate":"2001"}`,
			said: "FHIR-013 Patient.birthDate.extension p#Patient.birthDate.extension:e"},
		{name: "an extension's value",
			alsoLoaded: []string{extensionOf("e", "Patient", `{"path":"Extension.value[x]","min":1,"type":[{"code":"boolean"}]}`)},
			profile:    profiled("p", "Patient", `{"path":"Patient.extension","max":"3"}`),
			good:       `{"resourceType":"Patient","extension":[{"url":"http://test/e","valueBoolean":true}]}`,
			bad:        `{"resourceType":"Patient","extension":[{"url":"http://test/e","valueString":"x"}]}`,
			said:       "FHIR-017 Patient.extension[0].valueString e#Extension.value[x]"},
		{name: "an extension where it may not stand",
			alsoLoaded: []string{extensionOf("e", "Patient.contact", `{"path":"Extension.value[x]","min":1,"type":[{"code":"boolean"}]}`)},
			profile:    profiled("p", "Patient", `{"path":"Patient.extension","max":"3"}`),
			good:       `{"resourceType":"Patient","contact":[{"extension":[{"url":"http://test/e","valueBoolean":true}],"name":{"text":"x"}}]}`,
			bad:        `{"resourceType":"Patient","name":[{"extension":[{"url":"http://test/e","valueBoolean":true}],"text":"x"}]}`,
			said:       "FHIR-026 Patient.name[0].extension[0] e#Extension"},
		{name: "a reference to a type that the profile leaves out",
			profile: profiled("p", "ServiceRequest", `{"path":"ServiceRequest.subject","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Patient"]}]}`),
			good:    `{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}}`,
			bad:     `{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Group/1"}}`,
			said:    "FHIR-021 ServiceRequest.subject p#ServiceRequest.subject"},
		{name: "a reference to what lacks the profile",
			alsoLoaded: []string{profiled("named", "Patient", `{"path":"Patient.name","min":1}`)},
			profile:    profiled("p", "ServiceRequest", `{"path":"ServiceRequest.subject","type":[{"code":"Reference","targetProfile":["http://test/named"]}]}`),
			good:       `{"resourceType":"ServiceRequest","contained":[{"resourceType":"Patient","id":"p","name":[{"text":"x"}]}],"status":"active","intent":"order","subject":{"reference":"#p"}}`,
			bad:        `{"resourceType":"ServiceRequest","contained":[{"resourceType":"Patient","id":"p","active":true}],"status":"active","intent":"order","subject":{"reference":"#p"}}`,
			said:       "FHIR-027 ServiceRequest.subject p#ServiceRequest.subject"},
		{name: "another type of resource",
			profile: profiled("p", "Patient", `{"path":"Patient.name","min":1}`),
			bad:     `{"resourceType":"Basic","code":{"text":"x"}}`,
			said:    "FHIR-011 Basic p#Patient"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := withProfiles(t, append(c.alsoLoaded, c.profile)...)
			if c.good != "" {
				if faults := p.Validate(parse(t, c.good).Tree(), "http://test/p"); faults.Err() != nil {
					t.Errorf("the good one: %v", faults)
				}
			}
			if got := said(p.Validate(parse(t, c.bad).Tree(), "http://test/p"), contracts.GradeError); got != c.said {
				t.Errorf("got\n%s\nwant\n%s", got, c.said)
			}
		})
	}
}

// requestTo is two entries: a ServiceRequest that claims the profile q, and its performer.
func requestTo(typ, content string) string {
	return `{"fullUrl":"http://x/ServiceRequest/1","resource":{"resourceType":"ServiceRequest","id":"1","meta":{"profile":["http://test/q"]},"status":"active","intent":"order",
		"subject":{"display":"x"},"performer":[{"reference":"` + typ + `/2"}]}},{"fullUrl":"http://x/` + typ + `/2","resource":{"resourceType":"` + typ + `","id":"2",` + content + `}}`
}

func extensionOf(name, context, elements string) string {
	return strings.Replace(profiled(name, "Extension", `{"path":"Extension.url","fixedUri":"http://test/`+name+`"},`+elements),
		`"derivation"`, `"context":[{"type":"element","expression":"`+context+`"}],"derivation"`, 1)
}

func TestASnapshotServesWhereTheBaseIsNotLoaded(t *testing.T) {
	p := withProfiles(t, `{"resourceType":"StructureDefinition","url":"http://test/p","type":"Patient","derivation":"constraint","baseDefinition":"http://test/elsewhere",
		"snapshot":{"element":[{"id":"Patient","path":"Patient","min":0,"max":"*","constraint":[{"key":"dom-6","severity":"warning","expression":"text.exists()","source":"http://hl7.org/fhir/StructureDefinition/DomainResource"}]},
		{"id":"Patient.id","path":"Patient.id","min":0,"max":"1","type":[{"code":"http://hl7.org/fhirpath/System.String"}]},
		{"id":"Patient.name","path":"Patient.name","min":1,"max":"*","type":[{"code":"HumanName"}]},
		{"id":"Patient.deceased[x]","path":"Patient.deceased[x]","min":0,"max":"1","type":[{"code":"boolean"}]}]},
		"differential":{"element":[{"path":"Patient.name","min":1}]}}`)
	faults := p.Validate(parse(t, `{"resourceType":"Patient","id":"a","deceasedDateTime":"2001"}`).Tree(), "http://test/p")
	if got := said(faults, contracts.GradeError); got != "FHIR-013 Patient.name p#Patient.name\nFHIR-017 Patient.deceasedDateTime p#Patient.deceased[x]" {
		t.Error(got)
	}
}

func TestClaimedProfilesAreChecked(t *testing.T) {
	p := withProfiles(t, profiled("p", "Patient", `{"path":"Patient.name","min":1,"mustSupport":true},{"path":"Patient.telecom","mustSupport":true}`))
	bundle := parse(t, `{"resourceType":"Bundle","type":"collection","entry":[
		{"resource":{"resourceType":"Patient","meta":{"profile":["http://test/p","http://test/unknown"]},"active":true}},
		{"resource":{"resourceType":"Patient","active":true}}]}`).Tree()
	faults := p.Validate(bundle)
	if got := said(faults, contracts.GradeError); got != "FHIR-013 Bundle.entry[0].resource.name p#Patient.name" {
		t.Error(got)
	}
	notes := said(faults, contracts.GradeNote)
	for _, want := range []string{"FHIR-037 Bundle.entry[0].resource.meta.profile[1] ", "FHIR-029 Bundle.entry[0].resource p#Patient.telecom"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%s isn't among %s", want, notes)
		}
	}
	if got := said(p.Validate(bundle, "http://test/unknown"), contracts.GradeError); !strings.Contains(got, "FHIR-037 Bundle ") {
		t.Error(got)
	}
}

func TestAFaultIsToldOnce(t *testing.T) {
	p := withProfiles(t, profiled("q", "Patient", `{"path":"Patient.name","min":1}`),
		profiled("p", "Bundle", `{"id":"Bundle.entry.resource","path":"Bundle.entry.resource","type":[{"code":"Patient","profile":["http://test/q"]}]}`))
	faults := p.Validate(parse(t, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","meta":{"profile":["http://test/q"]},"active":true}}]}`).Tree(), "http://test/p")
	if got := said(faults, contracts.GradeError); got != "FHIR-013 Bundle.entry[0].resource.name q#Patient.name" {
		t.Error(got)
	}
}

func TestResourcesThatReferToEachOther(t *testing.T) {
	p := withProfiles(t, profiled("p", "Patient", `{"path":"Patient.link.other","type":[{"code":"Reference","targetProfile":["http://test/p"]}]},{"path":"Patient.name","min":1}`))
	pair := func(second string) *Tree {
		return parse(t, `{"resourceType":"Bundle","type":"collection","entry":[
			{"fullUrl":"http://x/Patient/1","resource":{"resourceType":"Patient","id":"1","meta":{"profile":["http://test/p"]},"name":[{"text":"a"}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}},
			{"fullUrl":"http://x/Patient/2","resource":{"resourceType":"Patient","id":"2",`+second+`"link":[{"other":{"reference":"Patient/1"},"type":"seealso"}]}}]}`).Tree()
	}
	if faults := p.Validate(pair(`"name":[{"text":"b"}],`)); faults.Err() != nil {
		t.Error(faults)
	}
	if got := said(p.Validate(pair("")), contracts.GradeError); got != "FHIR-027 Bundle.entry[0].resource.link[0].other p#Patient.link.other" {
		t.Error(got)
	}
}

func TestADefinitionThatCanNotBeUsed(t *testing.T) {
	for definition, want := range map[string]string{
		profiled("p", "Patient", `{"path":"Patient.nmae","min":1}`):                                                                                                            "FHIR-061 StructureDefinition.differential.element[0]",
		profiled("p", "Person2", `{"path":"Person2.name","min":1}`):                                                                                                            "FHIR-061 StructureDefinition.type",
		profiledOn("p", "Patient", "http://test/none", `{"path":"Patient.name","min":1}`):                                                                                      "FHIR-062 StructureDefinition.baseDefinition",
		profiledOn("p", "Patient", "http://test/p", `{"path":"Patient.name","min":1}`):                                                                                         "FHIR-062 StructureDefinition.baseDefinition",
		profiled("p", "Patient", `{"path":"Patient.name","constraint":[{"key":"k","severity":"error","expression":"(("}]}`):                                                    "FHIR-061 StructureDefinition.differential.element[0].constraint[0]",
		profiled("p", "Patient", `{"path":"Patient.name","slicing":{"rules":"open","discriminator":[{"type":"value","path":"a or b"}]}}`):                                      "FHIR-061 StructureDefinition.differential.element[0].slicing.discriminator[0]",
		profiled("p", "Patient", `{"path":"Patient.name","slicing":{"rules":"open","discriminator":[{"type":"value","path":"use"}]}},{"path":"Patient.name","sliceName":"s"}`): "FHIR-061  p#Patient.name:s",
	} {
		p := NewProfiles()
		if err := p.Add("p.json", []byte(definition)); err != nil {
			t.Fatal(err)
		}
		faults := p.Check()
		if len(faults) != 1 || faults[0].File != "p.json" || !strings.HasPrefix(faults[0].Code+" "+faults[0].At+" "+faults[0].Rule, want) {
			t.Errorf("%v, not %s", faults, want)
		}
	}
}

func TestPackagesAsFolderAndArchive(t *testing.T) {
	files := map[string]string{
		"package/package.json":                  `{"name":"test","version":"1.0.0"}`,
		"package/.index.json":                   `{"files":[]}`,
		"package/StructureDefinition-p.json":    profiled("p", "Patient", `{"path":"Patient.name","min":1}`),
		"package/example/Patient-example.json":  `{"resourceType":"Patient"`,
		"package/other/README.md":               "no JSON",
		"package/SearchParameter-whatever.json": `{"resourceType":"SearchParameter"}`,
	}
	folder := fstest.MapFS{}
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	for name, text := range files {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, add := range map[string]func(*Profiles) error{
		"folder":  func(p *Profiles) error { return p.AddFolder(folder) },
		"archive": func(p *Profiles) error { return p.AddArchive(bytes.NewReader(archive.Bytes())) },
	} {
		p := NewProfiles()
		if err := add(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !p.Has("http://test/p") || p.Validate(parse(t, `{"resourceType":"Patient","active":true}`).Tree(), "http://test/p").Err() == nil {
			t.Errorf("%s: the profile isn't there", name)
		}
	}
	p := NewProfiles()
	for name, err := range map[string]error{
		"an empty folder":   p.AddFolder(fstest.MapFS{}),
		"no gzip":           p.AddArchive(strings.NewReader("PK")),
		"a broken archive":  p.AddArchive(bytes.NewReader(archive.Bytes()[:archive.Len()/2])),
		"a broken resource": p.AddFolder(fstest.MapFS{"a.json": {Data: []byte(`{"resourceType":`)}}),
		"a profile, no url": p.AddFolder(fstest.MapFS{"a.json": {Data: []byte(`{"resourceType":"StructureDefinition"}`)}}),
	} {
		if contracts.KindOf(err) != contracts.Invalid && contracts.KindOf(err) != contracts.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProfilesServeManyAtOnce(t *testing.T) {
	p := withProfiles(t, profiled("named", "Patient", `{"path":"Patient.name","min":1}`),
		profiled("p", "Bundle", `{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"profile","path":"resource"}],"rules":"open"}},
			{"id":"Bundle.entry:named","path":"Bundle.entry","sliceName":"named","min":1},
			{"id":"Bundle.entry:named.resource","path":"Bundle.entry.resource","type":[{"code":"Patient","profile":["http://test/named"]}]}`))
	fresh := NewProfiles()
	fresh.sources = p.sources // nothing compiled yet
	tree := parse(t, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","meta":{"profile":["http://test/named"]},"active":true}}]}`).Tree()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got := said(fresh.Validate(tree, "http://test/p"), contracts.GradeError); got != "FHIR-013 Bundle.entry[0].resource.name named#Patient.name\nFHIR-013 Bundle.entry p#Bundle.entry:named" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
}

// FiBase 2.0.0-rc2 is the package that Finnish partners have.
func fiBase(t testing.TB) *Profiles {
	t.Helper()
	dir := "../../../shared/data/fi/fibase-sd"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the Finnish base profiles aren't beside the project: ", dir)
	}
	p := NewProfiles()
	if err := p.AddFolder(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if faults := p.Check(); faults.Err() != nil {
		t.Fatal(faults)
	}
	return p
}

func TestFinnishBaseProfiles(t *testing.T) {
	p := fiBase(t)
	const fi = "https://hl7.fi/fhir/finnish-base-profiles/StructureDefinition/"
	for _, c := range []struct{ profile, resource, said string }{
		{"fi-base-patient", `{"resourceType":"Patient","identifier":[{"use":"official","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NNFIN"}]},"system":"urn:oid:1.2.246.21","value":"010190-900P"}],
			"extension":[{"url":"` + fi + `municipality-code","valueCoding":{"system":"urn:oid:1.2.246.537.6.21","code":"091"}}]}`, ""},
		{"fi-base-patient", `{"resourceType":"Patient","identifier":[{"use":"official","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NNFIN"}]},"system":"urn:oid:1.2.3","value":"010190-900P"}]}`,
			"FHIR-024 Patient.identifier[0].system fi-base-patient#Patient.identifier:PIC.system"},
		{"fi-base-patient", `{"resourceType":"Patient","extension":[{"url":"` + fi + `municipality-code","valueCoding":{"system":"urn:oid:1.2.3","code":"091"}}]}`,
			"FHIR-024 Patient.extension[0].valueCoding.system municipality-code#Extension.value[x].system"},
		{"fi-base-patient", `{"resourceType":"Patient","extension":[{"url":"` + fi + `municipality-code","valueString":"091"}]}`,
			"FHIR-017 Patient.extension[0].valueString municipality-code#Extension.value[x]"},
		{"fi-base-practitioner", `{"resourceType":"Practitioner","extension":[{"url":"` + fi + `municipality-code","valueCoding":{"system":"urn:oid:1.2.246.537.6.21","code":"091"}}]}`,
			"FHIR-026 Practitioner.extension[0] municipality-code#Extension"},
		{"fi-base-practitioner", `{"resourceType":"Practitioner","identifier":[{"system":"urn:oid:1.2.246.537.26","value":"1"},{"system":"urn:oid:1.2.246.537.26","value":"2"}]}`,
			"FHIR-014 Practitioner.identifier[1] fi-base-practitioner#Practitioner.identifier:Terhikki"},
	} {
		if got := said(p.Validate(parse(t, c.resource).Tree(), fi+c.profile), contracts.GradeError); got != c.said {
			t.Errorf("%s: got\n%s\nwant\n%s", c.profile, got, c.said)
		}
	}
}

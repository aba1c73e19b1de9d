package pairs

import (
	"slices"
	"testing"
)

// Two Bundles of one message, ours in JSON and theirs in XML: entries and lists in another order, references by another
// form of address, one visit of two that they lack.
const (
	oursJSON = `{"resourceType":"Bundle","type":"message","entry":[
		{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Encounter","identifier":[{"value":"V1"}],"subject":{"reference":"urn:uuid:3"}}},
		{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Encounter","identifier":[{"value":"V2"}],"subject":{"reference":"urn:uuid:3"}}},
		{"fullUrl":"urn:uuid:3","resource":{"resourceType":"Patient","name":[{"given":["Åsa","Aino"]}],"gender":"female","active":true}}]}`
	theirsXML = `<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/>
		<entry><resource><Patient><id value="P"/><text><div xmlns="http://www.w3.org/1999/xhtml"><p>Aino</p></div></text>
			<extension url="urn:x"><valueCode value="a"/></extension>
			<name><given value="Aino"/><given value="Åsa"/></name><gender value="male"/></Patient></resource></entry>
		<entry><resource><Encounter><identifier><value value="V2"/></identifier><subject><reference value="Patient/P"/></subject></Encounter></resource></entry></Bundle>`
)

func TestWhatDiffersIsTold(t *testing.T) {
	ours, err := readBundle([]byte(oursJSON))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := readBundle([]byte(theirsXML))
	if err != nil {
		t.Fatal(err)
	}
	equal, got := compare(ours, theirs)
	want := []Difference{{Value, "Bundle.type"}, {Ours, "Encounter"}, {Ours, "Patient.active"}, {Theirs, "Patient.extension.url"},
		{Theirs, "Patient.extension.valueCode"}, {Value, "Patient.gender"}, {Theirs, "Patient.id"}}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if equal != 4 { // two names, the visit's number and its patient
		t.Errorf("%d leaves are equal, want 4", equal)
	}
}

func TestABundleWithoutResourcesIsNoPair(t *testing.T) {
	for _, b := range []string{`{"resourceType":"Bundle"}`, `<Bundle/>`, `<`, `{`, ``} {
		if _, err := readBundle([]byte(b)); err == nil {
			t.Errorf("%q is read", b)
		}
	}
}

package fhir

import (
	"slices"
	"testing"
)

func TestDefinitions(t *testing.T) {
	d := Definitions()
	if got := len(d.Resources()); got != 146 {
		t.Errorf("R4 has 146 resource types that can be made, got %d", got)
	}
	e := d.Type("Patient").Element("birthDate")
	if e == nil || e.Types[0] != "date" || e.Min != 0 || e.Max != 1 {
		t.Errorf("Patient.birthDate: %+v", e)
	}
	e, typ := d.Type("Observation").Member("valueQuantity")
	if e == nil || !e.Choice || typ.Name != "Quantity" || e.Name != "value[x]" {
		t.Errorf("Observation.valueQuantity: %+v %v", e, typ)
	}
	if e := d.Type("Observation").Element("value[x]"); e == nil || len(e.Types) != 11 {
		t.Errorf("Observation.value[x]: %+v", e)
	}
	if e, typ := d.Element("Patient.contact.name.family"); e == nil || typ.Name != "string" || typ.Kind != Primitive {
		t.Errorf("Patient.contact.name.family: %+v %v", e, typ)
	}
	if e, typ := d.Element("Bundle.entry.link"); e == nil || typ.Name != "Bundle.link" || !e.List() {
		t.Errorf("Bundle.entry.link: %+v %v", e, typ)
	}
	if e, _ := d.Element("Patient.generalPractitioner"); !slices.Contains(e.Targets, "PractitionerRole") {
		t.Errorf("Patient.generalPractitioner: %v", e.Targets)
	}
	if e, _ := d.Element("Patient.gender"); !e.HasCode("", "female") || e.HasCode("", "F") || len(e.Codes()) != 4 {
		t.Errorf("Patient.gender: %v", e.Codes())
	}
	if e, _ := d.Element("Patient.active"); !e.Modifier {
		t.Error("Patient.active is a modifier")
	}
	if e, typ := d.Element("Patient.id"); typ.Name != "id" || e.Order != 0 {
		t.Errorf("Patient.id: %+v %v", e, typ)
	}
	if d.Type("Practicioner") != nil || d.SuggestResource("Practicioner") != "Practitioner" {
		t.Errorf("suggestion for Practicioner: %q", d.SuggestResource("Practicioner"))
	}
	if got := d.Type("Patient").Suggest("birthdate"); got != "birthDate" {
		t.Errorf("suggestion for birthdate: %q", got)
	}
	if e, typ := d.Element("Patient.nothing.at.all"); e != nil || typ != nil {
		t.Errorf("no such path, got %+v %v", e, typ)
	}
}

// Every type that an element names is there, and a set of elements holds the largest type.
func TestDefinitionsAreWhole(t *testing.T) {
	d, open := Definitions(), map[string]int{}
	for _, name := range d.Types() {
		typ := d.Type(name)
		if typ.Base != "" && d.Type(typ.Base) == nil {
			t.Errorf("%s has the unknown base %s", name, typ.Base)
		}
		if len(typ.Elements) > 128 || len(typ.Elements) == 0 && name != "Element" {
			t.Errorf("%s has %d elements", name, len(typ.Elements))
		}
		for _, m := range typ.members.list {
			if m.typ == nil || m.element.Min < 0 || m.element.Max < Unbounded || m.element.Max > 1 {
				t.Errorf("%s.%s: %+v", name, m.name, m.element)
			}
		}
		for _, e := range typ.Elements {
			for _, target := range e.Targets {
				if r := d.Type(target); r == nil || r.Kind != Resource {
					t.Errorf("%s.%s refers to %s", name, e.Name, target)
				}
			}
			if e.Strength == "required" && e.Codes() == nil {
				open[e.Binding]++
			}
		}
	}
	if len(open) != 4 { // currencies, media types, units, and one LOINC list
		t.Errorf("required value sets without codes: %v", open)
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		load(r4)
	}
}

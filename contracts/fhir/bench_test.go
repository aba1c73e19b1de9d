package fhir

import (
	"encoding/json"
	"testing"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// large is a message Bundle of some 20 KB, compact.
func large(b *testing.B) []byte {
	tree, err := Parse(example(b, "request"))
	if err != nil {
		b.Fatal(err)
	}
	entries := tree.Root().Get("entry")
	for entries.Len() < 50 {
		entries.Push(Null()).Copy(entries.At(3 + entries.Len()%9))
		entries.At(entries.Len()-1).Set("fullUrl", String("urn:uuid:00000000-0000-4000-8000-0000000000"+itoa(10+entries.Len())))
	}
	return tree.Append(nil)
}

func BenchmarkParseWrite(b *testing.B) {
	in := large(b)
	var tree Tree
	var out []byte
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if err := tree.Parse(in); err != nil {
			b.Fatal(err)
		}
		out = tree.Append(out[:0])
	}
}

func BenchmarkParse(b *testing.B) {
	in := large(b)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSamplyParseWrite(b *testing.B) {
	in := large(b)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		bundle, err := models.UnmarshalBundle(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(bundle); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	in := large(b)
	tree, err := Parse(in)
	if err != nil {
		b.Fatal(err)
	}
	if err := Validate(tree).Err(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		Validate(tree)
	}
}

func BenchmarkScanMessage(b *testing.B) {
	in := example(b, "request")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ScanMessage(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBuild writes a Bundle of ten resources as a map's program does, into memory that is used again.
func BenchmarkBuild(b *testing.B) {
	var tree Tree
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		root := tree.Reset("Bundle")
		root.Add("type", String("message"))
		entries := root.Add("entry", Array())
		for range 10 {
			e := entries.Push(Object())
			e.Add("fullUrl", String("urn:uuid:00000000-0000-4000-8000-000000000001"))
			r := e.Add("resource", Object())
			r.Add("resourceType", String("Patient"))
			id := r.Add("identifier", Array()).Push(Object())
			id.Add("system", String("urn:oid:1.2.246.21"))
			id.Add("value", String("140262-9410"))
			name := r.Add("name", Array()).Push(Object())
			name.Add("family", String("Koivuniemi-Ström"))
			name.Add("given", Array()).Push(String("Åsa"))
			r.Add("gender", String("female"))
			r.Add("birthDate", String("1962-02-14"))
		}
		out = tree.Append(out[:0])
	}
	b.SetBytes(int64(len(out)))
}

// BenchmarkValidateFiBase is full validation: R4, its invariants, Silta's profiles and the Finnish base profiles, which
// every actor of the message claims.
func BenchmarkValidateFiBase(b *testing.B) {
	p := fiBase(b)
	in := claiming(b, large(b))
	tree, err := Parse(in)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range p.Validate(tree) {
		if f.Grade == "" || f.Code == CodeNoProfile {
			b.Fatal(f)
		}
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		p.Validate(tree)
	}
}

// claiming gives each resource of a Bundle that has one the claim of its Finnish base profile.
func claiming(b *testing.B, in []byte) []byte {
	tree, err := Parse(in)
	if err != nil {
		b.Fatal(err)
	}
	names := map[string]string{"Patient": "patient", "Practitioner": "practitioner", "PractitionerRole": "practitioner-role", "Organization": "organization",
		"Condition": "condition", "Encounter": "encounter", "Observation": "observation", "Location": "location", "Provenance": "provenance"}
	claimed := 0
	for e := range tree.Root().Get("entry").Each() {
		r := e.Get("resource")
		if name := names[r.Type()]; name != "" {
			r.Object("meta").Array("profile").Push(String("https://hl7.fi/fhir/finnish-base-profiles/StructureDefinition/fi-base-" + name))
			claimed++
		}
	}
	if claimed < 10 {
		b.Fatalf("only %d resources claim a profile", claimed)
	}
	return tree.Append(nil)
}

// BenchmarkValidateMessage asks for Silta's profile of the event as well.
func BenchmarkValidateMessage(b *testing.B) {
	p := fiBase(b)
	tree, err := Parse(claiming(b, large(b)))
	if err != nil {
		b.Fatal(err)
	}
	const event = "https://github.com/hoitosilta/silta/fhir/StructureDefinition/silta-message-request"
	for b.Loop() {
		p.Validate(tree, event)
	}
}

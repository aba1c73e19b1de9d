package fhir

import (
	"strings"
	"testing"

	"github.com/gofhir/fhirpath/funcs"

	"github.com/hoitosilta/silta/contracts"
)

func TestExpressions(t *testing.T) {
	root := parse(t, `{"resourceType":"Bundle","type":"collection","entry":[
		{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"Testi"}],
			"managingOrganization":{"reference":"#o"},"name":[{"family":"Testinen","given":["Eka","Toka"]}],"birthDate":"1976-03-25","_gender":{"id":"g"}}},
		{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000002","resource":{"resourceType":"Observation","status":"final","code":{"text":"paino"},
			"subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"},"valueQuantity":{"value":1.10,"unit":"kg"}}}]}`)
	patient := root.Get("entry").At(0).Get("resource")
	for _, c := range []struct {
		at   Node
		expr string
		want string
	}{
		{root, "Bundle.entry.resource.ofType(Patient).name.given", `"Eka" "Toka"`},
		{root, "entry.resource.where(resourceType = 'Observation').value.unit", `"kg"`},
		{root, "Bundle.entry.resource.value.ofType(Quantity)", `{"value":1.10,"unit":"kg"}`},
		{root, "entry.resource.subject.resolve().birthDate", `"1976-03-25"`},
		{root, "entry.count() + 1", `3`},
		{patient, "name.family.exists() and birthDate < @1980-01-01", `true`},
		{patient, "managingOrganization.resolve().name", `"Testi"`},
		{patient.Get("contained").At(0), "%resource.id & '/' & %rootResource.birthDate.toString()", `"o/1976-03-25"`},
		{patient.Get("name").At(0), "given.count()", `2`},
		{patient.Get("name").At(0), "%context.family", `"Testinen"`},
		{patient.Get("birthDate"), "$this.toString().length()", `10`},
	} {
		e, err := CompileExpression(c.expr)
		if err != nil {
			t.Fatalf("%s: %v", c.expr, err)
		}
		values, err := e.Values(c.at)
		if err != nil {
			t.Fatalf("%s: %v", c.expr, err)
		}
		var got []string
		for _, v := range values {
			got = append(got, string(v.Append(nil)))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s gives %s, not %s", c.expr, got, c.want)
		}
	}
}

func TestAnExpressionHolds(t *testing.T) {
	root := parse(t, `{"resourceType":"Patient","active":false,"name":[{"family":"Testinen"}]}`)
	for expr, want := range map[string]bool{
		"name.exists()": true, "active": false, "name": true, "contact": false, "name.family = 'Toinen'": false, "contact.name.exists() implies false": true,
	} {
		e, err := CompileExpression(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.True(root); got != want || err != nil {
			t.Errorf("%s: %v, %v", expr, got, err)
		}
	}
}

func TestAnExpressionThatIsNone(t *testing.T) {
	if _, err := CompileExpression("name.where("); contracts.KindOf(err) != contracts.Invalid {
		t.Errorf("%v", err)
	}
	e, err := CompileExpression("name.family.noSuchFunction()")
	if err == nil {
		_, err = e.True(parse(t, `{"resourceType":"Patient","name":[{"family":"Salainen"}]}`))
	}
	if contracts.KindOf(err) != contracts.Invalid || strings.Contains(err.Error(), "Salainen") {
		t.Errorf("%v", err)
	}
}

// What a resource holds doesn't reach stderr, though many published invariants ask for a trace.
func TestExpressionsLeaveNoTrace(t *testing.T) {
	if _, err := CompileExpression("name.trace('names').exists()"); err != nil {
		t.Fatal(err)
	}
	if _, silent := funcs.GetTraceLogger().(funcs.NullTraceLogger); !silent {
		t.Error("the library writes traces")
	}
}

// What plain knows by itself must be what the library says.
func TestPlainExpressions(t *testing.T) {
	texts := []string{"urn:oid:1.2.3", "URN:OID:1", "", "E85.9", "E85.9+I68.0", "a b", "å", "x\ny", "#", "*&+"}
	known := 0
	for _, text := range []string{"$this.startsWith('urn:oid:')", "$this.matches('^[^+&#*]+$')", "$this.matches('^[A-Z][0-9.]*$')", "$this.matches('^.*$')",
		"$this.matches('[A-Z]')", "startsWith('a')", "$this.startsWith('a') or true", "$this.matches('^(a')"} {
		holds := plain(text)
		if holds == nil {
			continue
		}
		known++
		e, err := CompileExpression(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range texts {
			if value == "" {
				continue // no FHIR value is empty
			}
			n := (&Tree{}).Reset("Basic").Set("id", String(value))
			if want, err := e.True(n); want != holds(value) || err != nil {
				t.Errorf("%s of %q: %v, the library says %v, %v", text, value, holds(value), want, err)
			}
		}
	}
	if known != 4 {
		t.Errorf("%d of the expressions are known", known)
	}
}

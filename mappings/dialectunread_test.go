package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// What no rule carries of a FHIR message is told by its own element, once each, and not without bound.
func TestUnreadElementsOfFHIR(t *testing.T) {
	m, err := catalog(t).Map("omaolo-contact")
	if err != nil {
		t.Fatal(err)
	}
	in := caseInput(t, m, "knee")
	before := unreadPlaces(t, m, in)
	typ := in.Root().Type()
	in.Root().Set("total", fhir.Number("3"))
	links := in.Root().Array("link")
	for range 2 {
		x := links.Push(fhir.Object())
		x.Add("relation", fhir.String("self"))
		x.Add("url", fhir.String("urn:x"))
	}
	after := unreadPlaces(t, m, in)
	for _, at := range []string{typ + ".total", typ + ".link[0]", typ + ".link[1]"} {
		if slices.Contains(before, at) || len(slices.DeleteFunc(slices.Clone(after), func(s string) bool { return s != at })) != 1 {
			t.Errorf("%s isn't told just once: %v", at, after)
		}
	}
	for range 2 * mostUnread {
		links.Push(fhir.Object()).Add("url", fhir.String("urn:x"))
	}
	if many := unreadPlaces(t, m, in); len(many) != mostUnread {
		t.Errorf("%d findings", len(many))
	}
}

func unreadPlaces(t *testing.T, m *Map, in *fhir.Tree) []string {
	t.Helper()
	res, err := m.ForwardFHIR(in, Context{})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range res.Findings {
		if f.Code == CodeUnread && f.Kind == contracts.Loss {
			list = append(list, f.At)
		}
	}
	return list
}

// A FHIR message of more items than anybody means parks at their list, either way, and so does one of many in lists of lists.
func TestTooManyElementsOfFHIRPark(t *testing.T) {
	m, faults := catalog(t).CompileFile("small.map.yaml", []byte(smallFHIR))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	nested, faults := catalog(t).CompileFile("small.map.yaml", []byte(strings.NewReplacer(`from: "Task.note"`, `from: "Task.note.extension"`, "it.text", "it.valueString").Replace(smallFHIR)))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	notes := func(outer, inner int) *fhir.Tree {
		in := &fhir.Tree{}
		task := in.Reset("Task")
		task.Set("status", fhir.String("requested"))
		task.Set("intent", fhir.String("order"))
		for range outer {
			note := task.Array("note").Push(fhir.Object())
			note.Add("text", fhir.String("x"))
			for range inner {
				x := note.Array("extension").Push(fhir.Object())
				x.Add("url", fhir.String("urn:x"))
				x.Add("valueString", fhir.String("x"))
			}
		}
		return in
	}
	parks := func(err error, at string) bool {
		list := contracts.FaultsOf(err)
		return len(list) == 1 && list[0].Code == CodeTooMany && list[0].At == at
	}
	if _, err := m.ForwardFHIR(notes(mostNumbered+1, 0), Context{}); !parks(err, "Task.note") {
		t.Errorf("forward: %v", err)
	}
	if _, err := nested.ForwardFHIR(notes(40, 40), Context{}); !parks(err, "Task.note[25].extension") {
		t.Errorf("lists of lists: %v", err)
	}
	res, err := m.ForwardFHIR(notes(mostNumbered-10, 0), Context{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reverse(res.Bundle, Context{}); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
	for res.Bundle.Root().Get("entry").Len() <= mostNumbered {
		res.Bundle.Root().Get("entry").Push(fhir.Object())
	}
	if _, err := m.Reverse(res.Bundle, Context{}); !parks(err, "Bundle.entry") {
		t.Errorf("back: %v", err)
	}
}

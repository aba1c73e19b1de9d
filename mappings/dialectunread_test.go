package mappings

import (
	"slices"
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

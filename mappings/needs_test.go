package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// A merge that doesn't say of whom parks on the way back, as it does forward.
func TestAMergeOfNobodyParksBack(t *testing.T) {
	m, err := catalog(t).Map("adt-a40")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|HUS|B|HUS|20260306120000+0200||ADT^A40^ADT_A39|R1|P|2.5.1||||||UNICODE UTF-8\rEVN||20260302\rPID|1||10^^^C^MR||Laine^Liisa||1962|F\rMRG|12^^^C^MR\r"))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(survivor, prior fhir.Node){
		"no link":              func(survivor, _ fhir.Node) { survivor.Get("link").Remove() },
		"a prior of no number": func(_, prior fhir.Node) { prior.Get("identifier").Remove() },
	} {
		res, err := m.Forward(msg, Context{})
		if err != nil {
			t.Fatal(err)
		}
		var survivor, prior fhir.Node
		for e := range res.Bundle.Root().Get("entry").Each() {
			switch x := e.Get("resource"); {
			case x.Type() != "Patient":
			case x.Get("name").Exists():
				survivor = x
			default:
				prior = x
			}
		}
		damage(survivor, prior)
		_, err = m.Reverse(res.Bundle, Context{})
		if !slices.ContainsFunc(contracts.FaultsOf(err), func(f *contracts.Fault) bool {
			return f.Code == CodeMissing && strings.HasPrefix(f.At, "Bundle.entry[")
		}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

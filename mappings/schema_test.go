package mappings

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

type schemaNode struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Defs       map[string]*schemaNode     `json:"$defs"`
}

// TestTheSchemaIsTheLanguage: what editors complete is what the compiler reads, key by key.
func TestTheSchemaIsTheLanguage(t *testing.T) {
	data, err := os.ReadFile("../contracts/schema/map-v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schemaNode
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	objects := map[string][]string{
		"": headKeys, "v2": v2Keys, "dialect": dialectKeys, "zsegment": zsegmentKeys, "zone": zoneKeys, "fhir": fhirKeys, "slice": bothKeys, "side": sideKeys,
		"frame": frameKeys, "link": linkKeys, "const": constKeys, "table": tableKeys, "row": rowKeys, "use": useKeys,
		"both": bothKeys, "rule": ruleKeys, "ignore": bothKeys, "codes": codesKeys, "when": bothKeys,
		"override": overrideKeys, "rows": rowsKeys,
	}
	for name, want := range objects {
		n := &root
		if name != "" {
			n = root.Defs[name]
		}
		if n == nil {
			t.Errorf("the schema doesn't describe %s", name)
			continue
		}
		got := keys(n.Properties)
		want = slices.Clone(want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the compiler reads %v", name, got, want)
		}
	}
}

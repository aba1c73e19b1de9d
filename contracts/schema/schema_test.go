package schema_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/schema"
)

type node struct {
	Properties map[string]*node `json:"properties"`
	Items      *node            `json:"items"`
}

// TestThePartnerSchemaIsTheContract compares the schema that editors use with the type that decides.
func TestThePartnerSchemaIsTheContract(t *testing.T) {
	var root node
	if err := json.Unmarshal(schema.Partner, &root); err != nil {
		t.Fatal(err)
	}
	if compared := compare(t, "partner", &root, reflect.TypeFor[contracts.Partner]()); compared < 40 {
		t.Errorf("only %d keys were compared", compared)
	}
}

func compare(t *testing.T, at string, n *node, typ reflect.Type) int {
	t.Helper()
	switch typ.Kind() {
	case reflect.Pointer:
		return compare(t, at, n, typ.Elem())
	case reflect.Slice:
		if n.Items == nil {
			t.Errorf("%s: the schema has no list", at)
			return 0
		}
		return compare(t, at, n.Items, typ.Elem())
	case reflect.Struct:
	default:
		return 0
	}
	var want, got []string
	compared := 0
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		want = append(want, name)
		if under := n.Properties[name]; under != nil {
			compared += 1 + compare(t, at+"."+name, under, f.Type)
		}
	}
	for name := range n.Properties {
		got = append(got, name)
	}
	sort.Strings(want)
	sort.Strings(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the schema has %v, the type %v", at, got, want)
	}
	return compared
}

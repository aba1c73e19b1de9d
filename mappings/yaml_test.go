package mappings

import (
	"strings"
	"testing"
)

func TestNestingHasALimit(t *testing.T) {
	for name, text := range map[string]string{
		"lists":       strings.Repeat("[", 200_000),
		"mappings":    strings.Repeat("{a: ", 50_000),
		"over lines":  strings.Repeat("[\n", 50_000),
		"block lists": strings.Repeat("- ", 50_000) + "x",
		"size":        "a: " + strings.Repeat("x", maxBytes),
	} {
		r := &reporter{file: "map.yaml"}
		if v := readYAML(r, []byte(text)); v != nil || len(r.faults) != 1 || r.faults[0].Code != CodeYAML {
			t.Errorf("%s: got %v, want one fault %s", name, r.faults, CodeYAML)
		}
	}
	r := &reporter{file: "map.yaml"}
	if v := readYAML(r, []byte("a: x"+strings.Repeat(" -", 200))); v == nil {
		t.Errorf("dashes in a text count: %v", r.faults)
	}
	if v := readYAML(r, []byte(strings.Repeat("# [ {\n", 500)+"a: \"[[\"\n")); v == nil {
		t.Errorf("brackets in comments and quotes count: %v", r.faults)
	}
}

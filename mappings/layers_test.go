package mappings

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// A layer that repeats the catalog is fine; one that says something else under the same version is a fault, and so is
// a range of versions that begins behind its end.
func TestALayerAddsVersionsAndShadowsNone(t *testing.T) {
	const name = "catalog/ref-i12/0.1.0/map.yaml"
	built, err := fs.ReadFile(Embedded, name)
	if err != nil {
		t.Fatal(err)
	}
	load := func(change func(string) string) error {
		_, err := Load(Embedded, fstest.MapFS{name: {Data: []byte(change(string(built)))}})
		return err
	}
	if err := load(func(s string) string { return s }); err != nil {
		t.Errorf("the same map again: %v", err)
	}
	if err := load(func(s string) string { return s + "# edited\n" }); err == nil || !strings.Contains(err.Error(), "MAP-003") || !strings.Contains(err.Error(), "ref-i12@0.1.0") {
		t.Errorf("an edited map under the same version: %v", err)
	}
	if err := load(func(s string) string {
		return strings.NewReplacer("version: 0.1.0", "version: 0.2.0", `["2.3..2.8"]`, `["2.8..2.3"]`).Replace(s)
	}); err == nil || !strings.Contains(err.Error(), "This range of versions is empty") {
		t.Errorf("an inverted range: %v", err)
	}
}

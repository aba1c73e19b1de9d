package mappings

import (
	"bytes"
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

// A code map of the catalog's name and version that says something else is a fault, as a map is.
func TestALayerShadowsNoCodeMap(t *testing.T) {
	const name = "codes/observation-status@0.1.0.json"
	built, err := fs.ReadFile(Embedded, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Embedded, fstest.MapFS{name: {Data: built}}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	other := append(bytes.Clone(built), '\n')
	if _, err := Load(Embedded, fstest.MapFS{name: {Data: other}}); err == nil || !strings.Contains(err.Error(), "MAP-003") || !strings.Contains(err.Error(), "observation-status@0.1.0") {
		t.Errorf("another of that name: %v", err)
	}
}

// locked is a layer whose lock file is there and can't be read.
type locked struct{ fs.FS }

func (l locked) Open(name string) (fs.File, error) {
	if name == LockFile {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.FS.Open(name)
}

// Nothing starts on a lock file that can't be read: nobody knows what was published.
func TestALockFileThatCannotBeRead(t *testing.T) {
	if _, err := Load(Embedded, locked{fstest.MapFS{}}); err == nil || !strings.Contains(err.Error(), "MAP-305") {
		t.Errorf("it is taken: %v", err)
	}
}

// What is built in is compiled when it is needed, so a mistake in it shows late: Check tells it, and the map doesn't run.
func TestABuiltInMapWithAFaultDoesNotRun(t *testing.T) {
	c := newCatalog()
	for _, m := range c.read([]fs.FS{fstest.MapFS{"catalog/small/0.1.0/map.yaml": {Data: []byte(strings.Replace(small, "PID-8", "PID-888", 1))}}}) {
		m.builtIn = true
		defer func() {
			if recover() == nil {
				t.Error("it runs")
			}
			if faults := c.Check(); len(faults) == 0 || faults[0].Code != CodeFieldRange {
				t.Errorf("Check tells %v", faults)
			}
		}()
		m.defaultVersion()
	}
}

package mappings

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
)

// TestAPublishedMapKeepsItsLensLibrary: when the library's number rises, what was published before keeps its digest as long
// as its lenses are there, and is refused in plain words when they aren't.
func TestAPublishedMapKeepsItsLensLibrary(t *testing.T) {
	text, err := fs.ReadFile(Embedded, "catalog/ref-i12/0.1.0/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	layer := fstest.MapFS{"catalog/ref-i12/1.0.0/map.yaml": {Data: bytes.Replace(text, []byte("version: 0.1.0"), []byte("version: 1.0.0"), 1)}}
	load := func() (*Map, error) {
		t.Helper()
		c, err := Load(Embedded, layer)
		if err != nil {
			return nil, err
		}
		m, err := c.Map("ref-i12@1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		return m, nil
	}
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	m.name(&source{data: layer["catalog/ref-i12/1.0.0/map.yaml"].Data}, "1") // as it was published long ago
	old, lock := m.Digest(), m.Publish(nil)
	layer[LockFile] = &fstest.MapFile{Data: lock}
	if !bytes.Contains(lock, []byte("map ref-i12@1.0.0 "+old+" lenses:1\n")) {
		t.Fatalf("the lock file is\n%s", lock)
	}
	faults := contracts.Faults(nil)
	if _, err := load(); err != nil {
		faults = slices.DeleteFunc(contracts.FaultsOf(err), func(f *contracts.Fault) bool { return f.Grade != contracts.GradeError })
	}
	if len(faults) != 1 || faults[0].Code != CodeLocked || !strings.Contains(faults[0].Public, "lens library 1") {
		t.Errorf("without its lenses it gives %v", faults)
	}
	kept := lensSets
	defer func() { lensSets = kept }()
	lensSets = append([]string{"1"}, kept...)
	m, err = load()
	if err != nil {
		t.Fatal(err)
	}
	if m.Digest() != old || !m.Published() || !strings.HasSuffix(m.stamp, old) || !bytes.Equal(m.Publish(lock), lock) {
		t.Errorf("with its lenses it is %s, published %v; it was %s", m.Digest(), m.Published(), old)
	}
}

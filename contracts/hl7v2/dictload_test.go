package hl7v2

import (
	"runtime"
	"testing"
)

func TestAVersionIsReadWhenItIsAskedFor(t *testing.T) {
	var set dictionarySet
	d, err := set.get(4)
	if err != nil || d.Version() != "2.5.1" {
		t.Fatalf("got %v, %v", d, err)
	}
	if again, _ := set.get(4); again != d {
		t.Error("2.5.1 was read twice")
	}
	for i := range set {
		if i != 4 && set[i].dict != nil {
			t.Errorf("%s was read as well", dictionaryVersions[i])
		}
	}
	if s := d.structures["REF_I12"]; s.tree != nil || d.Structure("REF_I12") == nil || s.tree == nil {
		t.Error("a structure isn't taken apart when it is asked for")
	}
}

// All versions together, with every structure taken apart, stay below 10 MB.
func TestDictionariesAreSmall(t *testing.T) {
	var set dictionarySet
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range set {
		d, err := set.get(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range d.Structures() {
			d.Structure(name)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	runtime.KeepAlive(&set)
	t.Logf("%d KB of heap, %d KB of text", grown>>10, len(dictionaryText)>>10)
	if grown < 1<<20 || grown > 10<<20 {
		t.Errorf("%d bytes of heap", grown)
	}
	if len(dictionaryText) > 500<<10 {
		t.Errorf("%d bytes of text", len(dictionaryText))
	}
}

func BenchmarkDictionaryFirstUse(b *testing.B) {
	for i, version := range dictionaryVersions {
		b.Run(version, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var set dictionarySet
				if _, err := set.get(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

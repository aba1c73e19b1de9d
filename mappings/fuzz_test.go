package mappings

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// FuzzForward: whatever a v2 message holds, no map panics on it, each fault has a place, and each leaf of a result is
// from the message, a constant, a link or a code map, by its lineage.
func FuzzForward(f *testing.F) {
	maps := v2Maps(f)
	for i, m := range maps {
		for _, b := range inputs(f, m) {
			f.Add(uint8(i), b)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		msg, err := hl7v2.Parse(data, hl7v2.WithDefaultCharset(hl7v2.UTF8))
		if err != nil {
			return
		}
		m := maps[int(which)%len(maps)]
		res, err := m.Forward(msg, Context{Residue: true})
		if err != nil {
			placed(t, err)
			return
		}
		lines := map[string]Line{}
		for _, l := range res.Lines() {
			lines[l.To] = l
		}
		eachLeaf(res.Bundle.Root(), func(n fhir.Node) {
			l, ok := lines[n.Place()]
			if !ok {
				t.Fatalf("%s: %s comes from nowhere", m.Name(), n.Place())
			}
			if l.From == "const" || l.From == "link" {
				return
			}
			path, err := hl7v2.CompilePath(l.From)
			if err != nil {
				t.Fatalf("%s: %s comes from %q, which is no place", m.Name(), n.Place(), l.From)
			}
			source := msg.Get(path).Text()
			if msg.Get(path).ER7() == "" {
				t.Fatalf("%s: %s comes from %s, where nothing stands", m.Name(), n.Place(), l.From)
			}
			if text := n.Text(); l.Lens == "string" && !strings.Contains(source, text) && !strings.HasSuffix(text, source) {
				t.Fatalf("%s: %s isn't what stands in %s", m.Name(), n.Place(), l.From)
			}
		})
	})
}

// eachLeaf gives the leaves of a Bundle that a map answers for: not what makes it a Bundle, and not the residue.
func eachLeaf(n fhir.Node, leaf func(fhir.Node)) {
	switch {
	case n.Get("url").Is(residueURL):
	case n.Kind() == fhir.KindObject || n.Kind() == fhir.KindArray:
		for k := range n.Children() {
			eachLeaf(k, leaf)
		}
	case n.Name() == "resourceType" || n.Name() == "fullUrl" || n.Place() == "Bundle.type":
	default:
		leaf(n)
	}
}

// placed says that every fault has a kind and a place.
func placed(t *testing.T, err error) {
	t.Helper()
	for _, f := range contracts.FaultsOf(err) {
		if f.Kind == contracts.Internal || f.At == "" {
			t.Fatalf("a fault without a kind or place: %v", f)
		}
	}
}

// enginesOwn says whether the engine itself writes a field of MSH: delimiters, version and character set.
func enginesOwn(field int) bool { return field <= 2 || field == 12 || field == 18 }

// FuzzReverse: whatever a Bundle holds, no map panics on it, each fault has a place, nothing is dropped without a word,
// and each leaf of a result is from the Bundle or a constant, by its lineage.
func FuzzReverse(f *testing.F) {
	maps := v2Maps(f)
	for i, m := range maps {
		for _, b := range inputs(f, m) {
			msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
			if err != nil {
				f.Fatal(err)
			}
			if res, err := m.Forward(msg, Context{}); err == nil {
				f.Add(uint8(i), res.Bundle.Append(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		tree, err := fhir.Parse(data)
		if err != nil || bytes.Contains(data, []byte("/residue")) {
			return
		}
		m := maps[int(which)%len(maps)]
		res, err := m.Reverse(tree, Context{Origin: &Origin{Bundle: tree}})
		if err != nil {
			placed(t, err)
			return
		}
		told := map[string]bool{}
		for _, fault := range res.Findings {
			told[fault.At] = true
		}
		for _, path := range res.Unread {
			if !told[path] {
				t.Fatalf("%s: %s is neither carried nor told", m.Name(), path)
			}
		}
		lines := map[string]bool{}
		for _, l := range res.Lines() {
			lines[l.To] = true
		}
		nth := map[string]int{}
		for i, written := range res.Message.Segments() {
			nth[written.ID()]++
			in := segmentLabel{written.ID(), int32(nth[written.ID()])}
			written.EachLeaf(1, func(l hl7v2.Leaf) {
				at := place{&segment{id: in.id, nth: int(in.nth)}, int16(l.Field), int16(l.Repetition), int16(l.Component), int16(l.Subcomponent)}.String()
				if !lines[at] && !(i == 0 && enginesOwn(l.Field)) && !(l.Field == 1 && allDigits(l.Text)) { // a segment's number
					t.Fatalf("%s: %s comes from nowhere\n%s", m.Name(), at, strings.ReplaceAll(string(res.Message.Bytes()), "\r", "\n"))
				}
			})
		}
	})
}

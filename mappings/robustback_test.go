package mappings

import (
	"math/rand/v2"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// bundles are the canonical messages of a map's cases: those that come in, and what its v2 messages become.
func bundles(t *testing.T, m *Map) [][]byte {
	t.Helper()
	var list [][]byte
	for _, c := range parsedCases(t, m) {
		if c.parts["in.json"] != nil {
			list = append(list, c.parts["in.json"])
		}
	}
	return list
}

// TestBrokenBundles damages the cases' Bundles. Whatever comes of it, no translation panics, every fault has a place,
// and nothing is dropped without a word: each leaf is carried, reported, or was named as ignored.
func TestBrokenBundles(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		list := bundles(t, m)
		if len(list) == 0 {
			continue
		}
		t.Run(m.ID(), func(t *testing.T) {
			random, translated := rand.New(rand.NewPCG(3, 4)), 0
			for range 1000 {
				tree, err := fhir.Parse(list[random.IntN(len(list))])
				if err != nil {
					t.Fatal(err)
				}
				origin, err := fhir.Parse(list[random.IntN(len(list))])
				if err != nil {
					t.Fatal(err)
				}
				for range 1 + random.IntN(4) {
					damageTree(random, tree)
				}
				res, err := m.Reverse(tree, Context{Origin: &Origin{Bundle: origin}})
				if err != nil {
					for _, f := range contracts.FaultsOf(err) {
						if f.Kind == contracts.Internal || f.At == "" {
							t.Fatalf("fault without a kind or place: %v\n%s", f, tree.Indent(nil))
						}
					}
					continue
				}
				translated++
				reported, counted := map[string]bool{}, false
				for _, f := range res.Findings {
					reported[f.At] = true
					counted = counted || f.Code == CodeDeclared && m.doc.loss.s == lossWithheld
				}
				for _, path := range res.Unread {
					if !reported[path] && !counted {
						t.Fatalf("%s is neither carried nor reported\n%s", path, tree.Indent(nil))
					}
				}
			}
			if translated < 50 {
				t.Errorf("only %d damaged Bundles were translated: the test says little", translated)
			}
		})
	}
}

// damageTree removes, empties, doubles or replaces one value.
func damageTree(random *rand.Rand, tree *fhir.Tree) {
	var nodes []fhir.Node
	var walk func(fhir.Node)
	walk = func(n fhir.Node) {
		for k := range n.Children() {
			nodes = append(nodes, k)
			walk(k)
		}
	}
	walk(tree.Root())
	if len(nodes) < 2 {
		return
	}
	n, other := nodes[random.IntN(len(nodes))], nodes[random.IntN(len(nodes))]
	switch random.IntN(7) {
	case 0:
		n.Remove()
	case 1:
		n.Put(fhir.Null())
	case 2:
		n.Put(fhir.String(other.Text()))
	case 3:
		n.Put(fhir.Array())
	case 4:
		n.Put(fhir.Object())
	case 5:
		n.Put(fhir.Number("7"))
	case 6:
		if n.Kind() == fhir.KindArray && n.Len() > 0 {
			n.Push(fhir.Object()).Copy(n.First())
		}
	}
}

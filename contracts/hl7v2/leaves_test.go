package hl7v2_test

import (
	"slices"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// TestLeavesAreWhatWalkingFinds: EachLeaf gives what going through the levels one by one gives.
func TestLeavesAreWhatWalkingFinds(t *testing.T) {
	leaves := 0
	eachHostile(t, func(t *testing.T, g *hostile) {
		var opts []hl7v2.Option
		if g.IntN(2) == 0 {
			opts = append(opts, hl7v2.WithLiteral(hl7v2.MustPath("NTE-3"), hl7v2.MustPath("OBX-5")))
		}
		m, err := hl7v2.Parse(g.message("1"), opts...)
		if err != nil {
			return
		}
		for i, s := range m.Segments() {
			from := 1
			if i == 0 {
				from = 3 // MSH-1 and MSH-2 are no content
			}
			var got []hl7v2.Leaf
			s.EachLeaf(from, func(l hl7v2.Leaf) { got = append(got, l) })
			want := walked(s, from)
			if leaves += len(want); !slices.Equal(got, want) {
				t.Fatalf("%q gives %+v, walking it %+v", s.Raw(), got, want)
			}
		}
	})
	if leaves < 1000 {
		t.Errorf("only %d leaves were compared", leaves)
	}
}

// walked finds the leaves level by level.
func walked(s hl7v2.Segment, from int) (list []hl7v2.Leaf) {
	for f := from; f <= s.NumFields(); f++ {
		for r, rep := range s.Field(f).All() {
			if rep.IsNull() {
				list = append(list, hl7v2.Leaf{Field: f, Repetition: r, Component: 1, Subcomponent: 1, Null: true})
				continue
			}
			for c, comp := range rep.All() {
				for n, sub := range comp.All() {
					if sub.IsNull() || sub.IsFilled() {
						list = append(list, hl7v2.Leaf{Field: f, Repetition: r, Component: c, Subcomponent: n, Null: sub.IsNull(), Text: sub.Text()})
					}
				}
			}
		}
	}
	return list
}

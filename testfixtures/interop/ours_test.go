//go:build interop

package interop

import (
	"fmt"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// ourReading is our own reading of a message, in the judges' form.
func ourReading(m message, text func(hl7v2.Value) string) reading {
	if m.err != nil {
		f := contracts.FaultsOf(m.err)[0]
		return reading{refused: f.Code + " at " + f.At}
	}
	r := reading{values: map[string]hl7v2.Value{}}
	counts := map[string]int{}
	for i, s := range m.parsed.Segments() {
		counts[s.ID()]++
		name := fmt.Sprintf("%s(%d)", s.ID(), counts[s.ID()])
		r.leaves = append(r.leaves, leaf{name, fmt.Sprint(i + 1)})
		for f := 1; f <= s.NumFields(); f++ {
			r.addField(fmt.Sprintf("%s-%d", name, f), s.Field(f), text)
		}
	}
	return r
}

func (r *reading) addField(name string, field hl7v2.Value, text func(hl7v2.Value) string) {
	for n, rep := range field.All() {
		for c, comp := range rep.All() {
			for u, sub := range comp.All() {
				path := fmt.Sprintf("%s(%d).%d.%d", name, n, c, u)
				if text := text(sub); text != "" {
					r.leaves = append(r.leaves, leaf{path, text})
					r.values[path] = sub
				}
			}
		}
	}
}

// decoded is a leaf's text with its escapes decoded, for HAPI. The null is two quotes to the judges, as it stands.
func decoded(v hl7v2.Value) string {
	if v.IsNull() {
		return v.ER7()
	}
	return v.Text()
}

// undecoded is a leaf's text as ER7 has it, for hl7apy.
func undecoded(v hl7v2.Value) string { return v.ER7() }

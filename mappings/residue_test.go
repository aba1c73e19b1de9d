package mappings

import (
	"math/rand/v2"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// What no rule carries comes back by the residue: the cases' messages, and damaged ones, are written as they came. A change
// in FHIR wins, and changes nothing but what its own rules write: every element of the cases' messages, some of the damaged
// ones'.
func TestTheLawsHoldOfDamagedMessages(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		t.Run(m.ID(), func(t *testing.T) {
			random, translated := rand.New(rand.NewPCG(5, 6)), 0
			list := inputs(t, m)
			for n := range 300 + len(list) {
				b, nth := list[n%len(list)], 1
				if n >= len(list) {
					b, nth = damage(random, b), 40
				}
				msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
				if err != nil {
					continue
				}
				for _, text := range m.breaches(msg, Context{}, nth) {
					t.Errorf("%s\n%s", text, lines(b))
				}
				if _, err := m.Forward(msg, Context{}); err == nil {
					translated++
				}
				if t.Failed() {
					return
				}
			}
			if translated < 50 {
				t.Errorf("only %d messages were translated: the test says little", translated)
			}
		})
	}
}

// The law that a change wins is seen to be tested: most changes come through.
func TestChangesComeThrough(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		changed := 0
		for _, b := range inputs(t, m) {
			msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
			if err != nil {
				t.Fatal(err)
			}
			res, err := m.Forward(msg, Context{Residue: true})
			if err != nil {
				continue
			}
			c := Context{Version: msg.Version(), Origin: &Origin{Bundle: res.Bundle}}
			plain, err := m.reverse(res.Bundle, c, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range res.lineage {
				if o := &res.lineage[i]; o.segment > 0 && o.rule != nil && o.rule.backward {
					if _, came := m.change(msg, res, plain, o, c); came {
						changed++
					}
				}
			}
		}
		if changed < 20 {
			t.Errorf("%s: only %d changes come through: the law says little", m.Name(), changed)
		}
	}
}

package mappings

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// guarded is the small map with a guarded rule for the urgency.
func guarded(t *testing.T, v2, back string) *Map {
	t.Helper()
	text := strings.Replace(small, "fhir: task.priority, code: urgency}", fmt.Sprintf("fhir: task.priority, code: urgency, when: {v2: %q, fhir: %q}}", v2, back), 1)
	m, faults := catalog(t).CompileFile("small.map.yaml", []byte(text))
	if m == nil {
		for _, f := range faults {
			t.Error(f.Text(""))
		}
		t.FailNow()
	}
	return m
}

// TestWhen: a guard lets a rule run where it holds, in either direction, and reads nothing that it doesn't carry.
func TestWhen(t *testing.T) {
	const message = "MSH|^~\\&|A|B|C|D|20260302||REF^I12|7|P|2.5.1\rRF1||S\rPRD|RP|X^Y||||||Z1\rPID|1||1^^^X^MR~2^^^X^PI||A^B||1994|F"
	msg, err := hl7v2.Parse([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	for expr, want := range map[string]bool{
		"true":                                   true,
		"false":                                  false,
		"has('PID-8')":                           true,
		"has('PID-10')":                          false,
		"!has('PID-10') && v('PID-8') == 'F'":    true,
		"v('PID-5.1.1').startsWith('A')":         true,
		"v('PID-10.1') == ''":                    true,
		"count('PID-3(*)') == 2":                 true,
		"count('PRD(*)-1') > 1":                  false,
		"has('PID-3[5=PI]')":                     true,
		"has('PID-3[5=SS]')":                     false,
		"v('PID-1') + 1 == 2":                    true,
		"int(v('PID-5.1.1')) == 1":               false, // an error doesn't hold
		"v('PID-8') in ['F', 'M']":               true,
		"size(v('PID-7.1')) == 4 ? true : false": true,
	} {
		res, err := guarded(t, expr, "true").Forward(msg, Context{})
		if err != nil {
			t.Fatal(expr, err)
		}
		if got := strings.Contains(string(res.Bundle.Append(nil)), `"priority":"stat"`); got != want {
			t.Errorf("%s: %v, want %v", expr, got, want)
		}
	}
	plain, err := guarded(t, "true", "true").Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	peeking, err := guarded(t, "has('PID-10') || v('PID-11.1') == ''", "true").Forward(msg, Context{})
	if err != nil || peeking.Coverage != plain.Coverage {
		t.Errorf("a guard counts as read: %v and %v, %v", peeking.Coverage, plain.Coverage, err)
	}
	labelled, err := fhir.Parse([]byte(strings.Replace(string(plain.Bundle.Append(nil)), `"resourceType":"Task"`,
		`"resourceType":"Task","meta":{"security":[{"code":"R"}]}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for expr, want := range map[string]bool{
		"true":                            true,
		"has('pat.gender')":               true,
		"!has('pat.deceasedBoolean')":     true,
		"v('pat.gender') == 'male'":       false,
		"v('pat.deceasedBoolean')":        false, // absent: neither true nor false
		"count('pat.identifier(*)') == 2": true,
		"same('pat.identifier(1).value', 'pat.identifier(1).value')": true,
		"same('pat.identifier(1).type', 'pat.identifier(*).type')":   false, // MR and PI
		"same('pat.photo(1)', 'pat.photo(*)')":                       false, // nothing is there
		"labelled('R')":                                              true,
		"labelled('N')":                                              false,
	} {
		res, err := guarded(t, "true", expr).Reverse(labelled, Context{})
		if err != nil {
			t.Fatal(expr, err)
		}
		if got := res.Message.Get(hl7v2.MustPath("RF1-2")).Text() == "S"; got != want {
			t.Errorf("back, %s: %v, want %v", expr, got, want)
		}
		lost := false
		for _, f := range res.Findings {
			lost = lost || strings.HasSuffix(f.At, ".priority")
		}
		if lost == want {
			t.Errorf("back, %s: what the guard keeps back is a loss: %v", expr, lost)
		}
	}
}

package hl7v2_test

import (
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestCompilePath(t *testing.T) {
	rt := hl7v2.Selector{Field: 1, Component: 1, Value: "RT", Set: true}
	for text, want := range map[string]hl7v2.Path{
		"PID-5":                {Segment: "PID", Field: 5},
		"PID-3(2).4.2":         {Segment: "PID", Field: 3, Rep: 2, Component: 4, Sub: 2},
		"OBX(3)-5":             {Segment: "OBX", Index: 3, Field: 5},
		"PID-3[5=NNFIN].1":     {Segment: "PID", Field: 3, RepBy: hl7v2.Selector{Component: 5, Value: "NNFIN", Set: true}, Component: 1},
		"PID-3[4.2=1.2.246].1": {Segment: "PID", Field: 3, RepBy: hl7v2.Selector{Component: 4, Sub: 2, Value: "1.2.246", Set: true}, Component: 1},
		"PRD[1.1=RT]-2.1":      {Segment: "PRD", SegmentBy: rt, Field: 2, Component: 1},
		"ZP1-12":               {Segment: "ZP1", Field: 12},
	} {
		got, err := hl7v2.CompilePath(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
		if got.String() != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

func TestCompilePathRefuses(t *testing.T) {
	for _, text := range []string{
		"", "PID", "PID-", "PI-3", "pid-3", "1ID-3", "PIDX-3", "PID-0", "PID-03", "PID-3.", "PID-3.0", "PID-3.1.1.1", "PID-3(0)",
		"PID-3()", "PID-3(2", "PID-3[5=]", "PID-3[5]", "PID-3[=X]", "PID-3[5=X", "PRD[=RT]-2", "PID-3 ", " PID-3", "PID.3",
		"PID-3-1", "PID-999999", "PID-3(2)(3)", "PID(1)(2)-3", "PID-x", "PID-3.1[1=X]",
	} {
		if _, err := hl7v2.CompilePath(text); contracts.KindOf(err) != contracts.Invalid {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

package mappings

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// What a whole resource breaks is told once, at the segment that it stands for; what an element breaks, at its field.
func TestInvalidResultIsToldAtItsSource(t *testing.T) {
	const visit = "MSH|^~\\&|SCHED||||20260601090000||SIU^S12|1|P|2.4\rSCH|APT-1|||||NEW^new|||||^^^^20260602100000||||||||||||||Booked\rPID|1||||Maki\rRGS|1\rAIS|1||X^Y^L\r"
	siu, err := catalog(t).Map("siu-s12")
	if err != nil {
		t.Fatal(err)
	}
	faults := forwardFaults(t, siu, visit)
	if len(faults) != 1 || faults[0].At != "SCH" || !strings.Contains(faults[0].Public, "app-2, app-3") {
		t.Errorf("of one cause: %v", faults)
	}
	m := compileText(t, strings.Replace(tasked, "rules:\n", "rules:\n  - {id: whose, v2: PID-3(1).4.1, fhir: pat.identifier(1).system}\n", 1))
	for _, f := range forwardFaults(t, m, "MSH|^~\\&|K||||||REF^I12|1|P|2.5.1\rRF1||S\rPID|1||4^^^A B||Laine\r") {
		if f.At != "PID-3(1).4" {
			t.Error(f)
		}
	}
}

func forwardFaults(t *testing.T, m *Map, text string) contracts.Faults {
	t.Helper()
	msg, err := hl7v2.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Forward(msg, Context{})
	faults, _ := err.(contracts.Faults)
	if len(faults) == 0 {
		t.Fatalf("no faults but %v", err)
	}
	return faults
}

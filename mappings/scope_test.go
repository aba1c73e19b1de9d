package mappings

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// results reads the comments of each result, where the versions differ most in their groups.
const results = `silta: map/v1
id: results
version: 0.1.0
title: {en: "Results"}
v2:   {structure: [ORU_R01], events: [R01], versions: ["2.3..2.8"]}
fhir: {release: "4.0.1", bundle: message, event: "$silta/CodeSystem/event|feedback"}
resources:
  msh:    {type: MessageHeader,    from: MSH, always: true}
  report: {type: DiagnosticReport, from: OBR, each: true}
  obs:    {type: Observation,      from: OBX, each: true, in: report, by: report.result}
  doctor: {type: Practitioner,     from: "OBX-16(1)", each: true, in: obs, by: obs.performer}
links:
  - {fhir: msh.focus, to: report}
const:
  - {fhir: report.status, value: final}
  - {fhir: obs.status,    value: final}
use:
  - {block: clinician@0.1.0, for: doctor}
rules:
  - {id: source, v2: MSH-3, fhir: msh.source, as: hd-endpoint}
  - {id: report.code,  v2: OBR-4,    fhir: report.code, as: cwe}
  - {id: report.notes, v2: NTE(*)-3, fhir: report.conclusion, as: text, rep: join, sep: "\n"}
  - {id: obs.code,     v2: OBX-3,    fhir: obs.code, as: cwe}
  - {id: obs.notes,    v2: NTE(*)-3, fhir: obs.note(*).text, as: text}
`

// TestScopeIsTheNearestGroup: a comment belongs to what it follows, also where the version has OBX as optional (2.3, 2.4)
// or another OBX deeper in the message (2.8).
func TestScopeIsTheNearestGroup(t *testing.T) {
	m, faults := catalog(t).CompileFile("results.map.yaml", []byte(results))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for _, version := range hl7v2.Versions() {
		t.Run(version, func(t *testing.T) {
			msg, err := hl7v2.Parse([]byte("MSH|^~\\&|LAB||||||ORU^R01|1|P|" + version + "\rPID|1||7||Aho\r" +
				"OBR|1|||A^A^L\rNTE|1||of A\rOBX|1|ST|1^one^L||x\rNTE|1||of 1\rOBX|2|ST|2^two^L||y\rNTE|1||of 2\rNTE|2||more of 2\r" +
				"OBR|2|||B^B^L\rOBX|1|ST|3^three^L||z|||||||||||7^Aho\rNTE|1||of 3\r"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := m.Forward(msg, Context{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for e := range res.Bundle.Root().Get("entry").Each() {
				r := e.Get("resource")
				got += r.Get("conclusion").Text()
				for n := range r.Get("note").Each() {
					got += "/" + n.Get("text").Text()
				}
				got += ";"
			}
			if want := ";of A;/of 1;/of 2/more of 2;;/of 3;;"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			// What stands in one segment comes back in one, in the group of that segment.
			back, err := m.Reverse(res.Bundle, Context{Version: version})
			if err != nil || regrouped(back.Findings) {
				t.Fatal(err, back.Findings)
			}
			if lines := strings.Split(er7(back.Message), "\r"); !strings.HasPrefix(lines[9], "OBX|1||3^three") || !strings.HasSuffix(lines[9], "|7^Aho") {
				t.Errorf("the doctor isn't in the result's own segment: %q", lines)
			}
		})
	}
}

package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// visits has a visit that nothing points at, with a doctor who hangs on it.
const visits = `silta: map/v1
id: visits
version: 0.1.0
title: {en: "Visits"}
v2:   {structure: [ADT_A01], events: [A01], versions: ["2.3..2.8"]}
fhir: {release: "4.0.1", bundle: message, event: "$silta/CodeSystem/event|patient"}
names:
  act:     http://terminology.hl7.org/CodeSystem/v3-ActCode
  unknown: http://terminology.hl7.org/CodeSystem/v3-NullFlavor
  own:     http://terminology.hl7.org/CodeSystem/v2-0004
resources:
  msh:    {type: MessageHeader, from: MSH, always: true}
  pat:    {type: Patient,       from: PID}
  visit:  {type: Encounter,     from: PV1}
  doctor: {type: Practitioner,  from: "PV1-7(1)", in: visit, by: "visit.participant[type.coding.code=ATND].individual"}
links:
  - {fhir: msh.focus,     to: pat}
  - {fhir: visit.subject, to: pat, find: backward}
const:
  - {fhir: visit.status,       value: unknown}
  - {fhir: visit.class.system, value: $unknown}
use:
  - {block: clinician@0.1.0, for: doctor}
rules:
  - {id: source, v2: MSH-3,    fhir: msh.source, as: hd-endpoint}
  - {id: names,  v2: PID-5(*), fhir: pat.name(*), as: xpn}
  - id: class
    first:
      - {id: act, v2: PV1-2, fhir: visit.class.code, code: class, set: "visit.class.system=$act", absent: {fhir: UNK}}
      - {id: own, v2: PV1-2, fhir: visit.class, as: id-coding, system: $own}
  - {id: number, v2: PV1-19, fhir: visit.identifier(1), as: cx}
codes:
  class: {unmapped: error, map: {I: IMP}}
`

// TestWhatPointsBackIsFound: a resource that nothing points at is found by what it points at, whatever it says where the
// map has constants, and everything that was read comes back without a loss.
func TestWhatPointsBackIsFound(t *testing.T) {
	m, faults := catalog(t).CompileFile("visits.map.yaml", []byte(visits))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for _, visit := range []string{
		"PV1|1|I|||||7^Hägg^Aino||||||||||||V-1",
		"PV1|1|R|||||7^Hägg^Aino||||||||||||V-1",
		"PV1|1||||||7^Hägg^Aino||||||||||||V-1", // no class: the code for unknown stands in, and isn't written back
	} {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|HIS||||20260302||ADT^A01|1|P|2.5.1||||||UNICODE UTF-8\rPID|1||||Aho\r" + visit + "\r"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Forward(msg, Context{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := m.Reverse(res.Bundle, Context{Version: "2.5.1"})
		if err != nil || len(back.Findings) > 0 {
			t.Fatal(visit, err, back.Findings)
		}
		if got := er7(back.Message); !strings.Contains(got, visit) {
			t.Errorf("want %s, got %s", visit, got)
		}
	}
}

// TestAReferenceThatWasFollowedIsNoLoss: who ordered is carried by the role that the reference leads to, so that the
// reference alone says neither number nor name is no loss. One that leads nowhere is.
func TestAReferenceThatWasFollowedIsNoLoss(t *testing.T) {
	m, err := catalog(t).Map("oru-r01")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||ORU^R01^ORU_R01|7|P|2.5.1\rPID|1||1^^^X^MR\rOBR|1|P1|F1|CBC^Count^L||||||||||||12^Sund^Aino\rOBX|1|NM|BP^B^L||120||||||F"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	for _, leads := range []bool{true, false} {
		for e := range res.Bundle.Root().Get("entry").Each() {
			if to := e.Get("resource").Get("requester").Get("reference"); to.Exists() && !leads {
				to.Put(fhir.String("PractitionerRole/elsewhere"))
			}
		}
		back, err := m.Reverse(res.Bundle, Context{})
		if err != nil {
			t.Fatal(err)
		}
		if told := slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return strings.HasSuffix(f.At, ".requester") }); told == leads {
			t.Errorf("leads somewhere: %v, told: %v: %v", leads, told, back.Findings)
		}
	}
}

package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// That two resources share the one segment that there is for them is told at the second.
func TestWhatNoSecondSegmentHoldsIsTold(t *testing.T) {
	m, err := catalog(t).Map("adt-a40")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|HUS|B|HUS|20260306120000+0200||ADT^A40^ADT_A39|R1|P|2.5.1||||||UNICODE UTF-8\rEVN||20260302\rPID|1||10^^^C^MR||Laine^Liisa||1962|F\rMRG|12^^^C^MR||||||Laine^L\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	const second = "urn:uuid:00000000-0000-4000-8000-000000000099"
	text := strings.TrimSuffix(string(res.Bundle.Append(nil)), "]}") + `,{"fullUrl":"` + second + `","resource":{"resourceType":"Patient","identifier":[{"value":"13"}],"active":false,"name":[{"family":"Korhonen"}]}}]}`
	bundle, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for e := range bundle.Root().Get("entry").Each() {
		if links := e.Get("resource").Get("link"); links.At(0).Get("type").Text() == "replaces" {
			link := links.Push(fhir.Object())
			link.Add("other", fhir.Object()).Add("reference", fhir.String(second))
			link.Add("type", fhir.String("replaces"))
		}
	}
	place := ""
	for e := range bundle.Root().Get("entry").Each() {
		if e.Get("fullUrl").Text() == second {
			place = e.Get("resource").Place()
		}
	}
	back, err := m.Reverse(bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool {
		return f.Kind == contracts.Loss && f.Grade == contracts.GradeWarning && f.Code == CodeLeafLost && f.At == place
	}) {
		t.Errorf("it isn't told: %v\n%s", back.Findings, lines(back.Message.Bytes()))
	}
}

// That an element takes the cell of another is told at the one that is lost; the same text again, or a constant, takes nothing.
func TestAnOverwrittenCellIsTold(t *testing.T) {
	s, one, other := &outSegment{}, &node{}, &node{}
	s.write(1, 1, 1, 1, "a", nil, one)
	s.write(1, 1, 1, 1, "a", nil, other)
	s.write(2, 1, 1, 1, "a", nil, one)
	s.write(2, 1, 1, 1, "b", nil, nil)
	if len(s.lost) != 0 {
		t.Error("nothing was lost")
	}
	s.write(1, 1, 1, 1, "b", nil, one)
	if len(s.lost) != 1 || s.lost[0].node != other {
		t.Error("what was overwritten isn't told")
	}
}

// What an element says in a cell that another one takes isn't lost where it says it in another cell too.
func TestAnOverwrittenCellMayStandElsewhere(t *testing.T) {
	kind, title := &node{name: "type"}, &node{name: "title"}
	coding := &node{name: "coding", parent: kind}
	for _, text := range []string{"Consultation", "Epicrisis"} {
		txa, obx := &outSegment{id: "TXA"}, &outSegment{id: "OBX"}
		r := &reverse{out: &outGroup{items: []outItem{{segment: txa}, {segment: obx}}}}
		txa.write(2, 1, 2, 1, text, nil, kind)
		obx.write(3, 1, 2, 1, "Consultation", nil, coding)
		obx.write(3, 1, 2, 1, "Eye", nil, title)
		r.takenCells()
		if told := len(r.findings); (text == "Consultation") != (told == 0) {
			t.Errorf("TXA-2.2 is %s, and %d are told as lost", text, told)
		}
	}
}

// The way back of a document that came as v2 tells of no loss: nothing that the map made of it is without its place.
func TestDocumentsComeBackWithoutALoss(t *testing.T) {
	m, err := catalog(t).Map("mdm-t02")
	if err != nil {
		t.Fatal(err)
	}
	back := 0
	for _, b := range inputs(t, m) {
		msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
		if err != nil {
			t.Fatal(err)
		}
		forth, err := m.Forward(msg, Context{})
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Reverse(forth.Bundle, Context{Version: msg.Version()})
		if err != nil {
			t.Fatal(err)
		}
		back++
		for _, f := range res.Findings {
			if f.Kind == contracts.Loss && f.Grade == contracts.GradeWarning {
				t.Errorf("%v\n%s", f, lines(b))
			}
		}
	}
	if back == 0 {
		t.Error("no case came back")
	}
}

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
	if len(s.lost) != 1 || s.lost[0] != other {
		t.Error("what was overwritten isn't told")
	}
}

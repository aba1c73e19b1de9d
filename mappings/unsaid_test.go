package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// A time or a duration that stands in the message and can't be read isn't taken for one that nobody knows; a day says no hour.
// What another place says instead is taken, and what couldn't be read is told.
func TestAnAppointmentHasNoTimeFromNowhere(t *testing.T) {
	m, err := catalog(t).Map("siu-s12")
	if err != nil {
		t.Fatal(err)
	}
	booking := func(version, sch, tq1, ais string) *hl7v2.Message {
		text := "MSH|^~\\&|A|B|C|D|20260302||SIU^S12^SIU_S12|M1|P|" + version + "||||||UNICODE UTF-8\rSCH|P1|F1" + sch + "\r"
		if tq1 != "" {
			text += "TQ1|1||||||" + tq1 + "\r"
		}
		text += "PID|1||123^^^X^MR||Koivu^Åsa\rRGS|1\r"
		if ais != "" {
			text += "AIS|1||CT^Tomografia^L|" + ais + "\r"
		}
		msg, err := hl7v2.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	for _, row := range []struct {
		name                   string
		msg                    *hl7v2.Message
		parks, start, end, say string
	}{
		{"an end that is no time", booking("2.5.1", "", "20260303110000|20260399", ""), "TQ1-8(1)", "", "", ""},
		{"an end in words", booking("2.7", "", "20260303110000|tbd", ""), "TQ1-8(1)", "", "", ""},
		{"an old end that is no time", booking("2.4", "|||||||||^^^20260303110000^20260303tt", "", ""), "SCH-11(1).5", "", "", ""},
		{"a length in weeks", booking("2.5.1", "", "20260303110000", "|||45|wk"), "AIS-8(1)", "", "", ""},
		{"a year", booking("2.5.1", "", "2026", ""), "TQ1-7(1)", "", "", ""},
		{"days", booking("2.5.1", "", "20260303|20260304", ""), "TQ1-7(1)", "", "", ""},
		{"a start alone", booking("2.5.1", "", "20260303110000", ""), "", "2026-03-03T11:00:00+02:00", "", ""},
		{"a length for an end that is no time", booking("2.5.1", "|||||||30|min", "20260303110000|20260399", ""), "", "2026-03-03T11:00:00+02:00", "2026-03-03T11:30:00+02:00", "TQ1-8(1)"},
	} {
		res, err := m.Forward(row.msg, Context{})
		if row.parks != "" {
			if faults := contracts.FaultsOf(err); err == nil || faults[0].At != row.parks || faults[0].Code != CodeValue {
				t.Errorf("%s: it parks with %v", row.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		booked := fhir.NewBundle(res.Bundle.Root()).Find("Appointment")
		if start, end := booked.Get("start").Text(), booked.Get("end").Text(); start != row.start || end != row.end {
			t.Errorf("%s: it is from %q to %q", row.name, start, end)
		}
		told := slices.ContainsFunc(res.Findings, func(f *contracts.Fault) bool { return f.Code == CodeUnread && f.At == row.say })
		if told != (row.say != "") {
			t.Errorf("%s: it says %v", row.name, res.Findings)
		}
	}
}

// An element that has no value for a reason of its own isn't one that nobody knows.
func TestAnotherReasonForNoValueIsALoss(t *testing.T) {
	m, err := catalog(t).Map("siu-s12")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||SIU^S12^SIU_S12|M1|P|2.5.1||||||UNICODE UTF-8\rSCH|P1|F1\rTQ1|1||||||20260303110000\rPID|1||123^^^X^MR||Koivu^Åsa\r"))
	if err != nil {
		t.Fatal(err)
	}
	for reason, lost := range map[string]bool{"unknown": false, "masked": true} {
		res, err := m.Forward(msg, Context{})
		if err != nil {
			t.Fatal(err)
		}
		booked := fhir.NewBundle(res.Bundle.Root()).Find("Appointment")
		fhir.Extension(booked.Get("_end"), dataAbsent).Set("valueCode", fhir.String(reason))
		back, err := m.Reverse(res.Bundle, Context{})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return strings.Contains(f.At, ".end.extension[0]") })
		if told != lost {
			t.Errorf("%s: %v", reason, back.Findings)
		}
	}
}

// A table is itself by each of its names; what is of another one, and would stand where others look for the table's, is told.
func TestATableHasSeveralNames(t *testing.T) {
	m, err := catalog(t).Map("adt-a01")
	if err != nil {
		t.Fatal(err)
	}
	for name, system := range map[string]string{
		"":                       "http://terminology.hl7.org/CodeSystem/v2-0007",
		"HL70007":                "http://terminology.hl7.org/CodeSystem/v2-0007",
		"2.16.840.1.113883.12.7": "http://terminology.hl7.org/CodeSystem/v2-0007",
		"http://terminology.hl7.org/CodeSystem/v2-0007": "http://terminology.hl7.org/CodeSystem/v2-0007",
		"99WARD": "",
	} {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||ADT^A08^ADT_A01|M1|P|2.5.1||||||UNICODE UTF-8\rEVN||20260302\rPID|1||123^^^X^MR||Koivu^Åsa\rPV1|1|I||R^Kiireetön^" + name + "\r"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Forward(msg, Context{})
		if err != nil {
			t.Fatal(err)
		}
		kind := fhir.NewBundle(res.Bundle.Root()).Find("Encounter").Get("type").At(0).Get("coding").At(0)
		if got := kind.Get("system").Text(); got != system {
			t.Errorf("%q: the kind is of %q", name, got)
		}
		if told := slices.ContainsFunc(res.Findings, func(f *contracts.Fault) bool { return f.Code == CodeUnread && f.At == "PV1-4" }); told != (system == "") {
			t.Errorf("%q: it says %v", name, res.Findings)
		}
	}
}

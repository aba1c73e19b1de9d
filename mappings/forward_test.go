package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// A message of a great many unread repetitions is taken, and its findings stay few: notes, which stop nothing.
func TestUnreadFieldsAreToldWithinBounds(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	text := "MSH|^~\\&|A|B|C|D|20260302||REF^I12^REF_I12|1|P|2.5.1||||||UNICODE UTF-8\rRF1|P|R||||L1\rPRD|RP|Aho\r" +
		"PID|1||1||Virtanen\rZAA|" + strings.Repeat("x~", mostNumbered-1) + "x\r"
	msg, err := hl7v2.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Findings) != mostUnread {
		t.Fatalf("%d findings, want %d", len(res.Findings), mostUnread)
	}
	for _, f := range res.Findings {
		if f.Kind != contracts.Loss || f.Code != CodeUnread || f.Grade != contracts.GradeNote || !strings.HasPrefix(f.At, "ZAA-1") {
			t.Fatalf("not a note about an unread field: %v", f)
		}
	}
	if last := res.Findings[mostUnread-1]; last.Public == res.Findings[0].Public {
		t.Error("the last finding doesn't say that more is unread behind it")
	}
}

// A message that names no application is taken: the contract's name stands in, or else a mark that nobody knows it. The way
// back writes what is known, and no more.
func TestAMessageWithoutASenderIsTaken(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|||||20260302||REF^I12|1|P|2.5.1\rRF1|P|R||||L1\rPRD|RP|Aho\rPID|1||1||Virtanen\r"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ application, endpoint, back string }{
		{"LABRA", profiles.URL("/endpoint/LABRA"), "LABRA"},
		{"", "", ""},
	} {
		res, err := m.Forward(msg, Context{Application: row.application})
		if err != nil {
			t.Fatal(err)
		}
		source := res.Bundle.Root().Get("entry").At(0).Get("resource").Get("source")
		absent := fhir.Extension(source.Get("_endpoint"), dataAbsent).Get("valueCode").Text()
		if source.Get("name").Text() != row.application || source.Get("endpoint").Text() != row.endpoint || (absent == "unknown") != (row.application == "") {
			t.Errorf("%q: the source is %s", row.application, source.Append(nil))
		}
		back, err := m.Reverse(res.Bundle, Context{})
		if err != nil || len(back.Findings) > 0 {
			t.Fatal(err, back.Findings)
		}
		if got := back.Message.Segment(0).Field(3).ER7(); got != row.back {
			t.Errorf("%q: the way back writes MSH-3 %q", row.application, got)
		}
	}
}

// A person of whom only the register and the type of a name are there is nobody: nothing is made, and what stands there is
// told as unread.
func TestAPersonWithoutNameAndNumberIsNobody(t *testing.T) {
	m, err := catalog(t).Map("mdm-t02")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||MDM^T02^MDM_T02|1|P|2.5.1\rPID|1||1||^^^^^^L\rPV1||N\r" +
		"TXA|1|PN||20260302||20260302|||^^^^^^^^&1.2.246.537.26&ISO^L|||D1|||||AU||AV\rOBX|1|TX|A^B^L||x||||||F\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if json := string(res.Bundle.Append(nil)); strings.Contains(json, "Practitioner") || strings.Contains(json, `"name"`) && strings.Contains(json, `"official"`) {
		t.Errorf("somebody was made of nothing: %s", json)
	}
	for _, want := range []string{"PID-5(1).7", "TXA-9(1).9", "TXA-9(1).10"} {
		if !slices.Contains(res.Unread, want) {
			t.Errorf("%s isn't told as unread: %v", want, res.Unread)
		}
	}
}

// A constant address of the sender stands alone: nothing says beside it that the address isn't known.
func TestAConstantEndpointIsKnown(t *testing.T) {
	m := compileText(t, strings.Replace(tasked, "const:\n", "const:\n  - {fhir: msh.source.endpoint, value: \"urn:oid:1.2.246.537.6.1\"}\n", 1))
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|||||||REF^I12|1|P|2.5.1\rRF1||S\rPID|1||||Laine\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	source := res.Bundle.Root().Get("entry").At(0).Get("resource").Get("source")
	if got := string(source.Append(nil)); got != `{"endpoint":"urn:oid:1.2.246.537.6.1"}` {
		t.Errorf("the source is %s", got)
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil || len(back.Findings) > 0 {
		t.Error(err, back.Findings)
	}
}

package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// goodReferral is a REF^I12 that keeps to the standard.
var goodReferral = []string{
	`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20261123081500+0200||REF^I12^REF_I12|A0001|P|2.5.1||||||UNICODE UTF-8`,
	`RF1|P^Pending^HL70283|R^Routine^HL70280||||L-4711^APOTTI`,
	`PRD|RP^Referring provider^HL70286|Mäkelä^Åsa`,
	`PRD|RT^Referred to provider^HL70286|Öhman^Ossi`,
	`PID|1||010190-900P^^^DVV&1.2.246.21&ISO^NNFIN||Testinen^Eino||19900101|M`,
	`NK1|1|Testinen^Aino`,
	`DG1|1||M54.5^^I10|||W`,
	`OBR|1|||LÄH^Lähete`,
	`OBX|1|TX|1||teksti||||||F`,
	`OBX|2|NM|2||36.6||||||F`,
	`NTE|1||huomio`,
	`OBR|2|||LÄH^Lähete`,
	`ZPI|1|oma`,
	`PV1|1|O`,
}

// validate gives the faults as "CODE place", warnings with a w.
func validate(t *testing.T, lines []string) []string {
	t.Helper()
	var out []string
	for _, f := range hl7v2.Validate(parse(t, strings.Join(lines, "\r")+"\r"), nil) {
		line := strings.TrimPrefix(f.Code, "HL7-") + " " + f.At
		if f.Grade == contracts.GradeWarning {
			line += " w"
		}
		out = append(out, line)
	}
	return out
}

func TestValidate(t *testing.T) {
	// edit replaces one line, by its first word; a nil line takes it out.
	edit := func(segment string, lines ...string) []string {
		var out []string
		done := false
		for _, l := range goodReferral {
			if !done && strings.HasPrefix(l, segment) {
				out, done = append(out, lines...), true
				continue
			}
			out = append(out, l)
		}
		if !done {
			t.Fatalf("no segment %s", segment)
		}
		return out
	}
	msh := func(old, new string) []string {
		return edit("MSH", strings.Replace(goodReferral[0], old, new, 1))
	}
	for _, row := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"a good one", goodReferral, nil},
		{"RF1 is optional", edit("RF1"), nil},
		{"without MSH-9.3", msh("^REF_I12", ""), nil},
		{"event for structure", msh("REF^I12^REF_I12", "REF^I14^REF_I14"), []string{"103 MSH-9.3 w"}},
		{"the structure of another event", msh("REF^I12^REF_I12", "REF^I12^ADT_A01"), []string{"103 MSH-9.3"}},
		{"an unknown type", msh("REF^I12^REF_I12", "XYZ^Q99"), []string{"100 MSH-9"}},
		{"an unknown version", msh("2.5.1", "2.9"), []string{"070 MSH-12"}},
		{"no PID", edit("PID"), []string{"100 PID"}},
		{"no PRD", slicesWithout(goodReferral, "PRD"), []string{"100 PRD"}},
		{"a segment of another message", edit("NK1", goodReferral[5], "EVN|A01|20260101"), []string{"100 EVN"}},
		{"PV1 before DG1", edit("DG1", "PV1|1|O", goodReferral[6]), []string{"100 PV1", "100 PV1(2)"}},
		{"an unknown segment", edit("NK1", "XYZ|1"), []string{"105 XYZ"}},
		{"a required field", edit("RF1", "RF1|P"), []string{"101 RF1-6"}},
		{"a required field of the second", edit("OBX|2", "OBX|2|NM|||36.6||||||F"), []string{"101 OBX(2)-3"}},
		{"a required component", edit("PID", "PID|1||^^^A||Testinen^Eino"), []string{"101 PID-3(1).1"}},
		{"too many repetitions", edit("RF1", "RF1|P~P|||||L-4711"), []string{"104 RF1-1"}},
		{"the 13th month", edit("PID", "PID|1||1^^^A||Testinen^Eino||19761325"), []string{"102 PID-7(1)"}},
		{"a date in words", edit("MSH", strings.Replace(goodReferral[0], "20261123081500+0200", "today", 1)), []string{"102 MSH-7(1)"}},
		{"a number in words", edit("OBX|2", "OBX|2|NM|2||high||||||F"), []string{"102 OBX(2)-5(1)"}},
		{"a sequence number", edit("NTE", "NTE|x||huomio"), []string{"102 NTE-1(1)"}},
		{"a fixed table", msh("|P|", "|X|"), []string{"103 MSH-11(1).1"}},
		{"a nested fixed table", edit("PID", "PID|1||1^^^A^NNFIN||Testinen^Eino"+strings.Repeat("|", 25)+"Q"), []string{"103 PID-30(1)"}},
		{"a data type that no version has", edit("OBX|2", "OBX|2|QQQ|2||36.6||||||F"), []string{"103 OBX(2)-2(1)"}},
		{"a result without its data type", edit("OBX|2", "OBX|2||2||36.6||||||F"), []string{"101 OBX(2)-2"}},
		{"no result, no data type", edit("OBX|2", "OBX|2||2||||||||F"), nil},
		{"a component where there is none", edit("PID", "PID|1||1^^^A||Testinen^Eino|||M^x"), []string{"106 PID-8(1).2 w"}},
		{"a subcomponent where there is none", edit("PID", "PID|1||1&2^^^A||Testinen^Eino"), []string{"106 PID-3(1).1.2 w"}},
		{"bare delimiters in a text", edit("OBX|1", "OBX|1|TX|1||a^b&c||||||F"), []string{"106 OBX-5(1).2 w"}},
		{"null is a value", edit("PID", `PID|1||1^^^A||""||""`), nil},
		{"a field too many", edit("RF1", "RF1|P|||||L-4711|||||L|x"), []string{"106 RF1-12 w"}},
		{"a component too many", edit("RF1", "RF1|P|||||1^2^3^4^5"), []string{"106 RF1-6(1).5 w"}},
	} {
		if d := cmp.Diff(row.want, validate(t, row.lines)); d != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, d)
		}
	}
}

func slicesWithout(lines []string, segment string) (out []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, segment) {
			out = append(out, l)
		}
	}
	return out
}

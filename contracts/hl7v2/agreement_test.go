package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// outcomes writes faults as "CODE place".
func outcomes(faults contracts.Faults) string {
	var out []string
	for _, f := range faults {
		out = append(out, strings.TrimPrefix(f.Code, "HL7-")+" "+f.At)
	}
	return strings.Join(out, ", ")
}

func TestAgreement(t *testing.T) {
	const required, forbidden = contracts.UsageRequired, contracts.UsageForbidden
	message := strings.Join([]string{
		`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20261123||REF^I12^REF_I12|A1|P|2.5.1||||||UNICODE UTF-8`,
		`PRD|RP|Mäkelä^Åsa`, `PRD|RT`,
		`PID|1||010190-900P^^^DVV^NNFIN~77^^^HUS^MR||Testinen^Eino|""|19900101|M|||||||||||111`,
		`OBX|1|TX|A||yksi`, `OBX|2|TX|A||`,
		`ZFI|091^Helsinki|K|a~b|liikaa`,
	}, "\r")
	for _, row := range []struct {
		name string
		rule contracts.FieldRule
		want string
	}{
		{"a field that is there", contracts.FieldRule{At: "PID-3", Usage: required}, ""},
		{"a field that isn't", contracts.FieldRule{At: "PID-11", Usage: required}, "110 PID-11"},
		{"the null isn't filled", contracts.FieldRule{At: "PID-6", Usage: required}, "110 PID-6(1)"},
		{"in every segment of the name", contracts.FieldRule{At: "PRD-2", Usage: required}, "110 PRD(2)-2"},
		{"in one that is chosen", contracts.FieldRule{At: "PRD[1=RP]-2", Usage: required}, ""},
		{"in the second", contracts.FieldRule{At: "OBX(2)-5", Usage: required}, "110 OBX(2)-5"},
		{"nothing asked of a segment that isn't there", contracts.FieldRule{At: "PV1-2", Usage: required}, ""},
		{"a segment", contracts.FieldRule{At: "PV1", Usage: required}, "110 PV1"},
		{"a segment that is there", contracts.FieldRule{At: "PID", Usage: required}, ""},
		{"a segment that mustn't be", contracts.FieldRule{At: "OBX", Usage: forbidden}, "111 OBX, 111 OBX(2)"},
		{"a component of every repetition", contracts.FieldRule{At: "PID-3.4", Usage: required}, ""},
		{"a component that lacks in one", contracts.FieldRule{At: "PID-3.6", Usage: required}, "110 PID-3(1).6, 110 PID-3(2).6"},
		{"a repetition by its type", contracts.FieldRule{At: "PID-3[5=NNFIN].1", Usage: required}, ""},
		{"a repetition that isn't there", contracts.FieldRule{At: "PID-3[5=PPN].1", Usage: required}, "110 PID-3"},
		{"what mustn't be said", contracts.FieldRule{At: "PID-19", Usage: forbidden}, "111 PID-19(1)"},
		{"the null says something", contracts.FieldRule{At: "PID-6", Usage: forbidden}, "111 PID-6(1)"},
		{"what isn't said", contracts.FieldRule{At: "PID-20", Usage: forbidden}, ""},
		{"a length", contracts.FieldRule{At: "PID-5.1", MaxLength: 8}, ""},
		{"a letter too many, counted as characters", contracts.FieldRule{At: "PRD-2.1", MaxLength: 5}, "112 PRD-2(1).1"},
		{"codes", contracts.FieldRule{At: "PID-8", Codes: []string{"F", "M"}}, ""},
		{"a code that isn't listed", contracts.FieldRule{At: "OBX-3", Codes: []string{"B"}}, "113 OBX-3(1), 113 OBX(2)-3(1)"},
		{"another type of message", contracts.FieldRule{For: "ADT^*", At: "PID-11", Usage: required}, ""},
		{"this type", contracts.FieldRule{For: "REF^*", At: "PID-11", Usage: required}, "110 PID-11"},
		{"this event", contracts.FieldRule{For: "REF^I12", At: "PID-11", Usage: required}, "110 PID-11"},
	} {
		a, err := hl7v2.NewAgreement(&contracts.Partner{Rules: []contracts.FieldRule{row.rule}})
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		if d := cmp.Diff(row.want, outcomes(a.Check(parse(t, message)))); d != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, d)
		}
	}
	own := map[string][]contracts.SegmentField{"ZFI": {
		{Type: "CE", Usage: required, Codes: []string{"049", "092"}}, {Type: "NM"}, {Type: "ST", Usage: required},
	}, "ZKU": {{Type: "ST", Usage: required}}} // which the message doesn't have: nothing is asked of it
	a, err := hl7v2.NewAgreement(&contracts.Partner{Segments: own})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("113 ZFI-1(1), 102 ZFI-2(1), 104 ZFI-3, 106 ZFI-4", outcomes(a.Check(parse(t, message)))); d != "" {
		t.Errorf("a segment of one's own (-want +got)\n%s", d)
	}
	for _, f := range a.Check(parse(t, message)) {
		if f.ErrorCode == "" || f.Kind != contracts.Invalid {
			t.Errorf("%v has no code of table 0357, or another kind", f)
		}
	}
	if faults := (*hl7v2.Agreement)(nil).Check(parse(t, message)); faults != nil {
		t.Errorf("no agreement at all: %v", faults)
	}
}

func TestAgreementRefusesWhatItCannotRead(t *testing.T) {
	_, err := hl7v2.NewAgreement(&contracts.Partner{
		Dialect: contracts.Dialect{Version: "2.5.1", Truncation: true},
		Rules: []contracts.FieldRule{
			{At: "PID", Usage: "required"}, {At: "PID-", Usage: "required"}, {At: "PID", MaxLength: 3}, {At: "PID-99", Usage: "required"}, {At: "PPP-1", Usage: "required"},
			{For: "REF", At: "PV1-3", Usage: "required"}, {For: "ref^*", At: "PV1-3", Usage: "required"}, {For: "ACK", At: "ZXX-3", Usage: "required"}, {At: "ZFI-3", Usage: "required"},
		},
		Segments: map[string][]contracts.SegmentField{"ZFI": {{Type: "CE"}, {Type: "QQ"}}, "zfi": nil, "PID": {{Type: "SI"}}},
	})
	want := "114 dialect.truncation, 114 rules[1].at, 114 rules[2].at, 114 rules[3].at, 114 rules[4].at, 114 rules[5].for, 114 rules[6].for, 114 rules[8].at, 114 segments.PID, 114 segments.ZFI[1].type, 114 segments.zfi"
	if d := cmp.Diff(want, outcomes(contracts.FaultsOf(err))); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	_, err = hl7v2.ReadingOptions(&contracts.Partner{Dialect: contracts.Dialect{
		Charset: "UTF-16", CharsetFallback: "EBCDIC", Literal: []string{"OBX-5", "NTE-3.1", "MSH-2", "OBX"},
	}})
	want = "004 dialect.charset, 004 dialect.charsetFallback, 114 dialect.literal[1], 114 dialect.literal[2], 114 dialect.literal[3]"
	if d := cmp.Diff(want, outcomes(contracts.FaultsOf(err))); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// The ways in which a contract may have messages read.
func TestReadingOptions(t *testing.T) {
	const latin = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||%\rPID|1||1||M\xe4ki\r"
	for _, row := range []struct {
		name, said, want, warnings string
		dialect                    contracts.Dialect
	}{
		{"its own for what names none", "", "Mäki", "", contracts.Dialect{Charset: "8859/1"}},
		{"always the contract's", "UNICODE UTF-8", "Mäki", "", contracts.Dialect{Charset: "8859/1", CharsetAlways: true}},
		{"a fallback", "UNICODE UTF-8", "Mäki", "017 byte 69", contracts.Dialect{CharsetFallback: "8859/1"}},
		{"no need to fall back", "8859/15", "Mäki", "", contracts.Dialect{CharsetFallback: "8859/1"}},
	} {
		opts, err := hl7v2.ReadingOptions(&contracts.Partner{Dialect: row.dialect})
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, strings.Replace(latin, "%", row.said, 1), opts...)
		if got := m.Get(hl7v2.MustPath("PID-5")).Text(); got != row.want {
			t.Errorf("%s: got %q", row.name, got)
		}
		if got := outcomes(m.Warnings()); got != row.warnings {
			t.Errorf("%s: warnings %q, want %q", row.name, got, row.warnings)
		}
		before := string(m.Bytes())
		if err := m.Set(hl7v2.MustPath("PID-8"), "ö"); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		if got, want := string(m.Bytes()), strings.Replace(before, "M\xe4ki", "M\xe4ki|||\xf6", 1); got != want {
			t.Errorf("%s: set to %q", row.name, got)
		}
	}
	if _, err := hl7v2.Parse([]byte(strings.Replace(latin, "%", "UNICODE UTF-8", 1)), hl7v2.WithFallbackCharset(hl7v2.ASCII)); outcomes(contracts.FaultsOf(err)) != "003 byte 69" {
		t.Errorf("a fallback that doesn't have the byte either: %v", err)
	}
}

func TestLiteralFields(t *testing.T) {
	const message = "MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5||||||UNICODE UTF-8\r" +
		"OBX|1|TX|A||<a href=\"x?a=1&b=2\">x^2</a>~toinen \\T\\ \\S\\\rOBX|2|CE|A||1^yksi&x\rNTE|1||a&b\rNTE|2||c"
	m := parse(t, message, hl7v2.WithLiteral(hl7v2.MustPath("OBX-5"), hl7v2.MustPath("NTE-3")))
	for path, want := range map[string]string{
		"OBX-5": `<a href="x?a=1&b=2">x^2</a>`, "OBX-5.1": `<a href="x?a=1&b=2">x^2</a>`, "OBX-5.1.1": `<a href="x?a=1&b=2">x^2</a>`,
		"OBX-5.2": "", "OBX-5(2)": "toinen & ^", "OBX(2)-5.2": "yksi", "OBX(2)-5.2.2": "x", "NTE-3": "a&b", "NTE(2)-3": "c",
	} {
		if got := m.Get(hl7v2.MustPath(path)).Text(); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if d := cmp.Diff("018 OBX-5, 018 NTE-3", outcomes(m.Warnings())); d != "" {
		t.Error(d)
	}
	if string(m.Bytes()) != message {
		t.Error("reading changed the message")
	}
	for path, old := range map[string]string{"OBX-5.1": `<a href="x?a=1&b=2">x^2</a>`, "OBX-5": `<a href="x?a=1&b=2">x^2</a>`, "NTE-3.1.1": "a&b"} {
		m := parse(t, message, hl7v2.WithLiteral(hl7v2.MustPath("OBX-5"), hl7v2.MustPath("NTE-3")))
		if err := m.Set(hl7v2.MustPath(path), "uusi&"); err != nil {
			t.Fatal(err)
		}
		if got := string(m.Bytes()); got != strings.Replace(message, old, `uusi\T\`, 1) || m.Get(hl7v2.MustPath(path)).Text() != "uusi&" {
			t.Errorf("%s: %q", path, got)
		}
	}
	if err := m.Set(hl7v2.MustPath("OBX-5.2"), "x"); outcomes(contracts.FaultsOf(err)) != "023 OBX-5.2" {
		t.Errorf("a part that a text doesn't have: %v", err)
	}
	if err := m.Set(hl7v2.MustPath("OBX(2)-5.2"), "x"); err != nil {
		t.Errorf("a field that is no text: %v", err)
	}
	// What is written as JSON is what is read.
	if text := string(m.AppendJSON(nil)); !strings.Contains(text, `[[["<a href=\"x?a=1&b=2\">x^2</a>"]],[["toinen & ^"]]]`) {
		t.Error(text)
	}
}

func TestTruncated(t *testing.T) {
	const head, body = "|A|B|C|D|2026||ADT^A01|1|P|2.7.1\r", "PID|1||1||Pitkänim#^Ei\\P\\^#\r"
	m := parse(t, "MSH|^~\\&#"+head+body, hl7v2.WithCharset(hl7v2.UTF8))
	four := parse(t, "MSH|^~\\&"+head+body, hl7v2.WithCharset(hl7v2.UTF8))
	for path, want := range map[string]bool{"PID-5": true, "PID-5.1": true, "PID-5.2": false, "PID-5.3": true, "PID-5.4": false, "PID-3": false, "MSH-2": false} {
		if got := m.Get(hl7v2.MustPath(path)).Truncated(); got != want {
			t.Errorf("%s: %v", path, got)
		}
		if four.Get(hl7v2.MustPath(path)).Truncated() {
			t.Errorf("%s is truncated by a message that names no character for it", path)
		}
	}
	if got := m.Get(hl7v2.MustPath("PID-5")).Text(); got != "Pitkänim#" {
		t.Errorf("got %q", got)
	}
	if got := outcomes(hl7v2.Validate(m, nil)); !strings.Contains(got, "107 PID-5(1).1.1") {
		t.Errorf("validation says %q", got)
	}
}

func TestSetEscapesWhatTheCharsetLacks(t *testing.T) {
	m := parse(t, small, hl7v2.WithEscapeUnknown())
	for range 2 { // what is set twice is read by the same rules twice
		if err := m.Set(hl7v2.MustPath("PID-5"), "5 €"); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(m.Bytes()); !strings.Contains(got, `|5 \XE282AC\`) {
		t.Errorf("got %q", got)
	}
}

// What is large is gone through once: these would take hours if each segment were counted from the first.
func TestManySegmentsAreCheckedInOnePass(t *testing.T) {
	const head = "MSH|^~\\&|A|B|C|D|2026||REF^I12^REF_I12|1|P|2.5.1\rPRD|RP\r"
	a, err := hl7v2.NewAgreement(&contracts.Partner{Rules: []contracts.FieldRule{{At: "OBX(3)-5", Usage: contracts.UsageForbidden}}})
	if err != nil {
		t.Fatal(err)
	}
	many := parse(t, head+strings.Repeat("OBX|1||||x\r", 100_000))
	if got := outcomes(a.Check(many)); got != "111 OBX(3)-5(1)" {
		t.Errorf("got %s", got)
	}
	d, err := hl7v2.Dictionary("2.5.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range []string{"DG1|1\rCTD|1\r", "CTD|1\rRF1|1\r", "IN1|1\rPRD|1\r", "PV2|x\rDRG|x\r"} {
		back := parse(t, head+strings.Repeat(pair, 50_000))
		if n := len(back.Group(d.Structure("REF_I12")).Faults()); n == 0 || n > 201 {
			t.Errorf("%q: %d faults", pair, n)
		}
		hl7v2.Validate(back, d)
	}
}

package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// referral is a REF^I12 with the things that matter here; all people are invented.
var referral = []string{
	`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20261123081500+0200||REF^I12^REF_I12|A0001|P|2.5.1|||AL|NE|FIN|UNICODE UTF-8`,
	`RF1|P^Pending^HL70283|R^Routine^HL70280|Med^Medical^HL70281|SO||L-4711^APOTTI||20261201||||||||`,
	`PRD|RP^Referring provider^HL70286|Mäkelä^Åsa^^^^LL|Testikatu 1&A 2^^Helsinki^^00100^FIN`,
	`PRD|RT^Referred to provider^HL70286|Öhman^Ossi`,
	`PID|1||010190-900P^^^DVV&1.2.246.21&ISO^NNFIN~4711^^^HUS^MR||Testi\T\Nen^Eino Åke^""||19900101|M|||Katu 5^^Espoo||""|`,
	`OBR|1|L-4711^APOTTI||LÄH^Lähete`,
	`OBX|1|TX|1^Teksti||rivi 1\.br\rivi 2 \F\ 4\5 \X41C3A4\||||||F`,
	`OBX|2|ED|2^Liite||^AP^PDF^Base64^JVBERi0xLjQ=||||||F`,
	`NTE|1||a~b~~`,
	`ZPI|1|oma^^^&x`,
}

func parse(t *testing.T, text string, opts ...hl7v2.Option) *hl7v2.Message {
	t.Helper()
	m, err := hl7v2.Parse([]byte(text), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parseReferral(t *testing.T) *hl7v2.Message {
	return parse(t, strings.Join(referral, "\r")+"\r")
}

func TestGetReadsEachFormOfPath(t *testing.T) {
	m := parseReferral(t)
	for _, row := range []struct {
		path, line string
		state      hl7v2.State
	}{
		{"MSH-1", "|", hl7v2.Filled},
		{"MSH-2", `^~\&`, hl7v2.Filled},
		{"MSH-2.1", `^~\&`, hl7v2.Filled},
		{"MSH-9.3", "REF_I12", hl7v2.Filled},
		{"MSH-9", "REF^I12^REF_I12", hl7v2.Filled},
		{"MSH-40", "", hl7v2.Absent},
		{"PID-3", "010190-900P^^^DVV&1.2.246.21&ISO^NNFIN", hl7v2.Filled},
		{"PID-3.1", "010190-900P", hl7v2.Filled},
		{"PID-3.1.1", "010190-900P", hl7v2.Filled},
		{"PID-3.1.2", "", hl7v2.Absent},
		{"PID-3.4.2", "1.2.246.21", hl7v2.Filled},
		{"PID-3(2).4.2", "", hl7v2.Absent},
		{"PID-3(2).1", "4711", hl7v2.Filled},
		{"PID-3(3)", "", hl7v2.Absent},
		{"PID-3.2", "", hl7v2.Empty},
		{"PID-2", "", hl7v2.Empty},
		{"PID-3[5=MR].1", "4711", hl7v2.Filled},
		{"PID-3[4.2=1.2.246.21].1", "010190-900P", hl7v2.Filled},
		{"PID-3[5=XX].1", "", hl7v2.Absent},
		{"PID-5.1", "Testi&Nen", hl7v2.Filled},
		{"PID-5", `Testi\T\Nen^Eino Åke^""`, hl7v2.Filled},
		{"PID-5.3", `""`, hl7v2.Null},
		{"PID-13", `""`, hl7v2.Null},
		{"PID-13.1.1", `""`, hl7v2.Null},
		{"PID-13.2", "", hl7v2.Absent},
		{"PRD[1.1=RT]-2.1", "Öhman", hl7v2.Filled},
		{"PRD[1=RP]-2.1", "Mäkelä", hl7v2.Filled},
		{"PRD[1.1=XX]-2.1", "", hl7v2.Absent},
		{"PRD(2)-2.1", "Öhman", hl7v2.Filled},
		{"PRD(3)-2.1", "", hl7v2.Absent},
		{"OBX(2)-5.5", "JVBERi0xLjQ=", hl7v2.Filled},
		{"OBX-5", `rivi 1\nrivi 2 | 4\5 Aä`, hl7v2.Filled},
		{"NTE-3(2)", "b", hl7v2.Filled},
		{"NTE-3(4)", "", hl7v2.Empty},
		{"ZPI-2.4.2", "x", hl7v2.Filled},
		{"AL1-3", "", hl7v2.Absent},
	} {
		v := m.Get(hl7v2.MustPath(row.path))
		if v.Line() != row.line || v.State() != row.state {
			t.Errorf("%s: got %q, state %d; want %q, state %d", row.path, v.Line(), v.State(), row.line, row.state)
		}
	}
}

func TestParseRefusesAtAPlace(t *testing.T) {
	const head = `MSH|^~\&|A|B|C|D|2026||ADT^A01|1|P|2.5`
	for _, row := range []struct{ name, message, code, at, errorCode string }{
		{"nothing", "", hl7v2.CodeNoMessage, "byte 0", ""},
		{"other text", "PID|1\r", hl7v2.CodeNoMessage, "byte 0", ""},
		{"header without separator", "MSH", hl7v2.CodeDelimiters, "MSH-1", ""},
		{"letters as delimiters", `MSHA^~\&|`, hl7v2.CodeDelimiters, "MSH-1", ""},
		{"a letter among the encoding characters", `MSH|^~\&X|A`, hl7v2.CodeDelimiters, "MSH-2", ""},
		{"high byte in ASCII", head + "\rPID|1||\xe4", hl7v2.CodeBadByte, "byte 46", "102"},
		{"half a UTF-8 character", head + "||||||UTF-8\rPID|1||\xc3", hl7v2.CodeBadByte, "byte 57", "102"},
		{"UTF-16", head + "||||||UNICODE UTF-16\r", hl7v2.CodeCharset, "MSH-18", "103"},
		{"unknown character set", head + "||||||KLINGON\r", hl7v2.CodeCharset, "MSH-18", "103"},
		{"text after a bare CR", head + "\rNTE|1||a\rb c\r", hl7v2.CodeSegmentName, "byte 48", "100"},
		{"lower case segment", head + "\rpid|1\r", hl7v2.CodeSegmentName, "byte 39", "100"},
		{"segment without separator", head + "\rPID1|1\r", hl7v2.CodeSegmentName, "byte 39", "100"},
		{"two messages", head + "\r" + head, hl7v2.CodeSecondMessage, "byte 39", "100"},
	} {
		_, err := hl7v2.Parse([]byte(row.message))
		if err == nil {
			t.Errorf("%s: no fault", row.name)
			continue
		}
		f := contracts.FaultsOf(err)[0]
		if f.Code != row.code || f.At != row.at || f.ErrorCode != row.errorCode || f.Kind != contracts.Malformed {
			t.Errorf("%s: got %s %s at %s (%s); want %s at %s (%s)", row.name, f.Kind, f.Code, f.At, f.ErrorCode,
				row.code, row.at, row.errorCode)
		}
	}
}

func TestParseNamesTheFieldOfABadByte(t *testing.T) {
	_, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rOBX|1\rOBX|1|TX|\xff"))
	if got := contracts.FaultsOf(err)[0].Public; !strings.Contains(got, "in OBX(2)-3") {
		t.Errorf("got %q", got)
	}
}

func TestParseTakesWhatPartnersSend(t *testing.T) {
	const head = `MSH|^~\&|A|B|C|D|2026||ADT^A01|1|P|2.5`
	for _, row := range []struct {
		name, message string
		warnings      []string
		path, line    string
	}{
		{"CR", head + "\rPID|1\rNTE|1||a\r", nil, "NTE-3", "a"},
		{"no final CR", head + "\rPID|1\rNTE|1||a", nil, "NTE-3", "a"},
		{"LF", head + "\nPID|1\nNTE|1||a\n", []string{hl7v2.CodeLineFeeds}, "NTE-3", "a"},
		{"CRLF", head + "\r\nPID|1\r\nNTE|1||a\r\n", []string{hl7v2.CodeLineFeeds}, "NTE-3", "a"},
		{"LF is data beside CR", head + "\rNTE|1||a\nPID|b\r", nil, "NTE-4", "b"},
		{"LF in a text beside CR", head + "\rNTE|1||a\nb\r", nil, "NTE-3", `a\nb`},
		{"empty lines", head + "\r\rPID|1\r\r\r", []string{hl7v2.CodeEmptySegment}, "PID-1", "1"},
		{"byte order mark", "\ufeff" + head + "\rPID|ä\r", []string{hl7v2.CodeByteOrderMark}, "PID-1", "ä"},
		{"blanks before", "\r\n " + head + "\rPID|1\r", []string{hl7v2.CodeLeadingBytes}, "PID-1", "1"},
		{"three encoding characters", "MSH|^~\\|A\rPID|a^b&c\r", []string{hl7v2.CodeOddDelimiters, hl7v2.CodeNoControlID}, "PID-1.2.2", "c"},
		{"two encoding characters", "MSH|^&|A\rPID|a^b&c~d\r", []string{hl7v2.CodeOddDelimiters, hl7v2.CodeNoControlID}, "PID-1(2)", "d"},
		{"a repeated one", "MSH|^~~&|A\rPID|a^b\\T\\c\r", []string{hl7v2.CodeOddDelimiters, hl7v2.CodeNoControlID}, "PID-1.2", "b&c"},
		{"own delimiters", "MSH*:?!%*A*B*C*D*2026**ADT:A01*1*P*2.5\rPID*a:b%c?x|y!F!\r", nil, "PID-1(2)", "x|y*"},
		{"a truncation character", `MSH|^~\&#|A|B|C|D|2026||ADT^A01|1|P|2.7` + "\rPID|long#^\\P\\\r", nil, "PID-1.2", "#"},
		{"a literal #", head + "\rPID|a#\r", nil, "PID-1", "a#"},
		{"8859/1", head + "||||||8859/1\rPID|\xe4\r", nil, "PID-1", "ä"},
		{"8859/15 has the euro", head + "||||||8859/15\rPID|\xa4\xa8\xb4\r", nil, "PID-1", "€šŽ"},
		{"another spelling", head + "||||||ISO-8859-1\rPID|\xe4\r", nil, "PID-1", "ä"},
		{"a blank before", head + "|||||| 8859/1\rPID|\xe4\r", nil, "PID-1", "ä"},
		{"8859", head + "||||||8859\rPID|\xe4\r", nil, "PID-1", "ä"},
		{"UTF8", head + "||||||utf8\rPID|ä\r", nil, "PID-1", "ä"},
		{"first of several", head + "||||||8859/1~UNICODE UTF-8\rPID|\xe4\r", []string{hl7v2.CodeMoreCharsets}, "PID-1", "ä"},
		{"shifted by one", head + "||||||FIN|UTF-8\rPID|ä\r", []string{hl7v2.CodeCharsetShift}, "PID-1", "ä"},
		{"UTF-8 under another name", head + "||||||8859/1\rPID|ä\r", []string{hl7v2.CodeLooksUTF8}, "PID-1", "Ã¤"},
	} {
		m, err := hl7v2.Parse([]byte(row.message))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		var codes []string
		for _, w := range m.Warnings() {
			codes = append(codes, w.Code)
		}
		if d := cmp.Diff(row.warnings, codes); d != "" {
			t.Errorf("%s: warnings (-want +got)\n%s", row.name, d)
		}
		if got := m.Get(hl7v2.MustPath(row.path)).Line(); got != row.line {
			t.Errorf("%s: %s is %q, want %q", row.name, row.path, got, row.line)
		}
		if string(m.Bytes()) != row.message {
			t.Errorf("%s: Bytes differs from what was parsed", row.name)
		}
	}
}

func TestCharsetOptions(t *testing.T) {
	const silent = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID|\xe4\r"
	path := hl7v2.MustPath("PID-1")
	if got := parse(t, silent, hl7v2.WithDefaultCharset(hl7v2.Latin1)).Get(path).Text(); got != "ä" {
		t.Errorf("a default for a message that says nothing: got %q", got)
	}
	const wrong = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||UTF-8\rPID|\xe4\r"
	if _, err := hl7v2.Parse([]byte(wrong), hl7v2.WithDefaultCharset(hl7v2.Latin1)); err == nil {
		t.Error("a default must not override MSH-18")
	}
	if got := parse(t, wrong, hl7v2.WithCharset(hl7v2.Latin1)).Get(path).Text(); got != "ä" {
		t.Errorf("an override: got %q", got)
	}
}

func TestStructuralAccess(t *testing.T) {
	m := parseReferral(t)
	if m.NumSegments() != len(referral) {
		t.Fatalf("got %d segments, want %d", m.NumSegments(), len(referral))
	}
	pid := m.Segment(4)
	if pid.ID() != "PID" || pid.NumFields() != 14 || string(pid.Raw()) != referral[4] {
		t.Errorf("got %s with %d fields", pid.ID(), pid.NumFields())
	}
	var texts []string
	for _, rep := range pid.Field(3).All() {
		for _, comp := range rep.All() {
			for _, sub := range comp.All() {
				texts = append(texts, sub.Text())
			}
		}
	}
	want := []string{"010190-900P", "DVV", "1.2.246.21", "ISO", "NNFIN", "4711", "HUS", "MR"}
	if d := cmp.Diff(want, texts); d != "" {
		t.Errorf("subcomponents of PID-3 (-want +got)\n%s", d)
	}
	if n := m.Segment(0).NumFields(); n != 18 {
		t.Errorf("MSH has %d fields, want 18: MSH-1 counts", n)
	}
	if n := pid.Field(3).Len(); n != 2 {
		t.Errorf("PID-3 has %d repetitions, want 2", n)
	}
	if n := pid.Field(2).Len(); n != 0 {
		t.Errorf("an empty field has %d repetitions, want 0", n)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	m := parseReferral(t)
	paths := []hl7v2.Path{hl7v2.MustPath("PID-3[5=MR].1"), hl7v2.MustPath("PRD[1.1=RT]-2.1"), hl7v2.MustPath("OBX(2)-5.5")}
	var buf [64]byte
	n := testing.AllocsPerRun(100, func() {
		for _, p := range paths {
			if len(m.Get(p).AppendText(buf[:0])) == 0 {
				t.Fatal("nothing read")
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

package hl7v2_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("", 2*3600))

func acknowledge(message string, a hl7v2.Answer) string {
	h, _ := hl7v2.Scan([]byte(message))
	a.Time, a.ControlID = noon, "ACK1"
	return string(hl7v2.Acknowledge(h, a))
}

func TestAcknowledge(t *testing.T) {
	place := func(at, code string) contracts.Faults {
		return contracts.Faults{{Kind: contracts.Invalid, Code: "HL7-102", At: at, ErrorCode: code, Public: "No date."}}
	}
	const head = `MSH|^~\&|APP^1.2^ISO|FAC\T\X|SILTA^x|HUS&y|2026||REF^I12^REF_I12|A\S\1 |P^T|2.5.1||||||UNICODE UTF-8|||PROF^HL7~B` + "\r"
	const back = `MSH|^~\&|SILTA^x|HUS&y|APP^1.2^ISO|FAC\T\X|20261123120000+0200||ACK^I12^ACK|ACK1|P^T|2.5.1||||||UNICODE UTF-8|||PROF^HL7~B` + "\r"
	for _, row := range []struct {
		name, message string
		answer        hl7v2.Answer
		want          string
	}{
		{"raw fields swapped and echoed", head, hl7v2.Answer{Code: "AA"}, back + `MSA|AA|A\S\1 ` + "\r"},
		{"a fault from 2.5 on", head, hl7v2.Answer{Code: "AE", Faults: place("PID-7(1).1", "102")}, back + `MSA|AE|A\S\1 ` + "\r" +
			`ERR||PID^1^7^1^1|102^Data type error^HL70357|E|||HL7-102 PID-7(1).1|No date.` + "\r"},
		{"a fault at a segment", head, hl7v2.Answer{Code: "AE", Faults: place("OBX(3)-5", "103")}, back + `MSA|AE|A\S\1 ` + "\r" +
			`ERR||OBX^3^5|103^Table value not found^HL70357|E|||HL7-102 OBX(3)-5|No date.` + "\r"},
		{"a fault at a byte", head, hl7v2.Answer{Code: "AE", Faults: place("byte 812", "102")}, back + `MSA|AE|A\S\1 ` + "\r" +
			`ERR|||102^Data type error^HL70357|E|||HL7-102 byte 812|No date.` + "\r"},
		{"a text", head, hl7v2.Answer{Code: "AR", Text: "No | today"}, back + `MSA|AR|A\S\1 |No \F\ today` + "\r" +
			`ERR|||207^Application internal error^HL70357|E||||No \F\ today` + "\r"},
		{"a fault before 2.5", "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.4\r", hl7v2.Answer{Code: "AE", Faults: place("PID-7.1", "102")},
			`MSH|^~\&|C|D|A|B|20261123120000+0200||ACK^A01^ACK|ACK1|P|2.4` + "\rMSA|AE|7\r" +
				`ERR|PID^1^7^102&Data type error&HL70357` + "\r"},
		{"no event", "MSH|^~\\&|A|B|C|D|2026||ORU|7|P|2.2\r", hl7v2.Answer{Code: "AA"},
			`MSH|^~\&|C|D|A|B|20261123120000+0200||ACK|ACK1|P|2.2` + "\rMSA|AA|7\r"},
		{"no control id", "MSH|^~\\&|A|B|C|D|2026||ADT^A01||P|2.4\r", hl7v2.Answer{Code: "AR"},
			`MSH|^~\&|C|D|A|B|20261123120000+0200||ACK^A01^ACK|ACK1|P|2.4` + "\rMSA|AR\r"},
		{"own delimiters", "MSH*:?!%*A:1*B*C*D*2026**ADT:A01*7*P*2.5\r", hl7v2.Answer{Code: "CA"},
			"MSH*:?!%*C*D*A:1*B*20261123120000+0200**ACK:A01:ACK*ACK1*P*2.5\rMSA*CA*7\r"},
		{"no truncation character", "MSH|^~\\&#|A|B|C|D|2026||ADT^A01|7|P|2.7\r", hl7v2.Answer{Code: "CA"},
			"MSH|^~\\&|C|D|A|B|20261123120000+0200||ACK^A01^ACK|ACK1|P|2.7\rMSA|CA|7\r"},
		{"a shifted character set", "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.4||||||FIN|UTF-8\r", hl7v2.Answer{Code: "AA"},
			"MSH|^~\\&|C|D|A|B|20261123120000+0200||ACK^A01^ACK|ACK1|P|2.4||||||UNICODE UTF-8\rMSA|AA|7\r"},
		{"Latin letters as they came", "MSH|^~\\&|\xc4|B|C|D|2026||ADT^A01|\xe4|P|2.4||||||8859/1\r", hl7v2.Answer{Code: "AA"},
			"MSH|^~\\&|C|D|\xc4|B|20261123120000+0200||ACK^A01^ACK|ACK1|P|2.4||||||8859/1\rMSA|AA|\xe4\r"},
	} {
		if d := cmp.Diff(row.want, acknowledge(row.message, row.answer)); d != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, d)
		}
	}
}

func TestWhichAcknowledgementIsDue(t *testing.T) {
	for _, row := range []struct {
		fields        string // MSH-15|MSH-16
		outcome       hl7v2.Outcome
		code          string
		due           bool
		accept, apply bool
	}{
		{"|", hl7v2.Accepted, "AA", true, false, true},
		{"|", hl7v2.Failed, "AE", true, false, true},
		{"AL|NE", hl7v2.Accepted, "CA", true, true, false},
		{"AL|NE", hl7v2.Rejected, "CR", true, true, false},
		{"AL|AL", hl7v2.Accepted, "CA", true, true, true},
		{"NE|AL", hl7v2.Accepted, "AA", true, false, true},
		{"|AL", hl7v2.Accepted, "AA", true, false, true},
		{"AL|", hl7v2.Accepted, "CA", true, true, false},
		{"NE|NE", hl7v2.Accepted, "", false, false, false},
		{"NE|NE", hl7v2.Failed, "", false, false, false},
		{"ER|NE", hl7v2.Accepted, "", false, false, false},
		{"ER|NE", hl7v2.Failed, "CE", true, true, false},
		{"SU|NE", hl7v2.Accepted, "CA", true, true, false},
		{"SU|NE", hl7v2.Failed, "", false, false, false},
		{"NE|ER", hl7v2.Failed, "AE", true, false, true},
		{"XX|NE", hl7v2.Accepted, "CA", true, true, false},
	} {
		h, err := hl7v2.Scan([]byte("MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5|||" + row.fields + "\r"))
		if err != nil {
			t.Fatal(err)
		}
		code, due := h.Reply(row.outcome)
		if code != row.code || due != row.due || h.AcceptDue(row.outcome) != row.accept || h.ApplicationDue(row.outcome) != row.apply {
			t.Errorf("%s for %s: got %q %v %v %v", row.fields, row.outcome, code, due, h.AcceptDue(row.outcome),
				h.ApplicationDue(row.outcome))
		}
	}
}

func TestAnAcknowledgementIsNotAnswered(t *testing.T) {
	for kind, want := range map[string]bool{"ACK^I12^ACK": true, "ACK": true, "MCF": true, "RRI^I12^RRI_I12": false, "ORR^O02": false} {
		h, err := hl7v2.Scan([]byte("MSH|^~\\&|A|B|C|D|2026||" + kind + "|7|P|2.5\rMSA|AA|1\r"))
		if err != nil {
			t.Fatal(err)
		}
		if _, due := h.Reply(hl7v2.Accepted); due == want || h.IsAcknowledgement() != want {
			t.Errorf("%s: due %v, acknowledgement %v", kind, due, h.IsAcknowledgement())
		}
	}
}

func TestReadAcknowledgement(t *testing.T) {
	const head = "MSH|^~\\&|A|B|C|D|2026||ACK^I12^ACK|7|P|2.5\r"
	for _, row := range []struct {
		name, message string
		want          hl7v2.Acknowledgement
	}{
		{"accepted", head + "MSA|AA|M1\r", hl7v2.Acknowledgement{Code: "AA", ControlID: "M1"}},
		{"one terminator less", head + "MSA|CA|M1", hl7v2.Acknowledgement{Code: "CA", ControlID: "M1"}},
		{"an error from 2.5 on", head + "MSA|AE|M1|Matti said no\rERR||PID^1^3^2^4|101^x|W|||Matti\r", hl7v2.Acknowledgement{
			Code: "AE", ControlID: "M1", Errors: []hl7v2.AcknowledgedError{{Code: "101", At: "PID-3(2).4", Severity: "W"}}}},
		{"an error before 2.5", head + "MSA|AR|M1\rERR|PID^1^3^205&Duplicate~^^^200\r", hl7v2.Acknowledgement{
			Code: "AR", ControlID: "M1", Errors: []hl7v2.AcknowledgedError{{Code: "205", At: "PID-3", Severity: "E"}, {Code: "200", Severity: "E"}}}},
		{"a code of their own", head + "MSA|AE|M1\rERR||Matti^x|Virtanen|\r", hl7v2.Acknowledgement{
			Code: "AE", ControlID: "M1", Errors: []hl7v2.AcknowledgedError{{Code: "207", Severity: "E"}}}},
	} {
		got, err := hl7v2.ReadAcknowledgement([]byte(row.message))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if d := cmp.Diff(row.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, d)
		}
	}
	for name, message := range map[string]string{
		"an RRI":        strings.Replace(head, "ACK^I12^ACK", "RRI^I12^RRI_I12", 1) + "MSA|AA|M1\r",
		"no MSA":        head,
		"unknown code":  head + "MSA|OK|M1\r",
		"not a message": "hello",
	} {
		if _, err := hl7v2.ReadAcknowledgement([]byte(message)); contracts.KindOf(err) != contracts.Malformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestScanSaysWhatToAnswer(t *testing.T) {
	const head = "MSH|^~\\&|APP^x|FAC|C|D|2026||REF^I12^REF_I12|M1|P|2.5.1"
	for _, row := range []struct {
		name, message, code, errorCode string
		answerable                     bool
		outcome                        hl7v2.Outcome
	}{
		{"good", head + "\rPID|1\rZPI|1\r", "", "", true, hl7v2.Accepted},
		{"a segment without a name", head + "\rlower|1\r", hl7v2.CodeSegmentName, "100", true, hl7v2.Failed},
		{"no MSH", "hello", hl7v2.CodeNoMessage, "", false, hl7v2.Failed},
		{"no control id", "MSH|^~\\&|A|B|C|D|2026||ADT^A01||P|2.5\r", hl7v2.CodeNoControlID, "101", true, hl7v2.Rejected},
		{"a blank control id", "MSH|^~\\&|A|B|C|D|2026||ADT^A01|  |P|2.5\r", hl7v2.CodeNoControlID, "101", true, hl7v2.Rejected},
		{"a wrong byte", head + "\rPID|\xe4\r", hl7v2.CodeBadByte, "102", true, hl7v2.Failed},
		{"an unknown character set", head + "||||||EBCDIC\r", hl7v2.CodeCharset, "103", true, hl7v2.Failed},
		{"two messages", head + "\r" + head + "\r", hl7v2.CodeSecondMessage, "100", true, hl7v2.Rejected},
	} {
		h, err := hl7v2.Scan([]byte(row.message))
		if (h != nil) != row.answerable || (err != nil) != (row.code != "") || hl7v2.OutcomeOf(err) != row.outcome {
			t.Errorf("%s: got %v, %v", row.name, h, err)
			continue
		}
		if err != nil {
			if f := contracts.FaultsOf(err)[0]; f.Code != row.code || f.ErrorCode != row.errorCode {
				t.Errorf("%s: got %v", row.name, f)
			}
		}
	}
}

func TestScanReadsKeyPaths(t *testing.T) {
	h, err := hl7v2.Scan([]byte(strings.Join(referral, "\r")))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"RF1-6": "L-4711", "OBR-2.1": "L-4711", "PID-3[5=NNFIN].1": "010190-900P", "ORC-2": "", "MSH-10": "A0001",
		"PRD[1.1=RT]-2": "Öhman",
	} {
		if got := h.Get(hl7v2.MustPath(path)).Text(); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if h.Type() != "REF^I12^REF_I12" || h.Code() != "REF" || h.Event() != "I12" || h.Structure() != "REF_I12" ||
		h.ControlID() != "A0001" || h.Version() != "2.5.1" || h.ProcessingID() != "P" || h.SendingApplication() != "APOTTI" ||
		h.SendingFacility() != "HELSINKI" || h.ReceivingApplication() != "SILTA" || h.ReceivingFacility() != "HUS" ||
		string(h.Raw(15)) != "AL" || string(h.Raw(16)) != "NE" || h.Raw(14) != nil || h.Segments() != len(referral) || h.Segment(1).ID() != "RF1" ||
		h.Charset() != hl7v2.UTF8 {
		t.Errorf("got %s %s %s", h.Type(), h.ControlID(), h.Version())
	}
}

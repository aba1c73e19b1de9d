package hl7v2_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// one is a small message under a control id.
func one(control string) string {
	return "MSH|^~\\&|A|B|C|D|2026||ADT^A01|" + control + "|P|2.5\rPID|1\r"
}

func answerOf(n int) hl7v2.BatchAnswer {
	return hl7v2.BatchAnswer{Time: noon, ControlID: func(i int) string { return fmt.Sprintf("OWN%d", n+i) }}
}

func TestAMessageAloneIsNoBatch(t *testing.T) {
	for name, b := range map[string]string{
		"a message":                      one("1"),
		"a message with LF":              strings.ReplaceAll(one("1"), "\r", "\n"),
		"a byte order mark":              "\ufeff" + one("1"),
		"MSH behind a bare LF is data":   "MSH|^~\\&|A\rNTE|1||x\nMSH|y\r",
		"segments that look like others": "MSH|^~\\&|A\rBTSX|1\rMSHX|2\r",
		"no message":                     "hello\rthere\r",
		"nothing":                        "",
	} {
		if batch, err := hl7v2.ReadBatch([]byte(b), 10); batch != nil || err != nil {
			t.Errorf("%s was taken for a batch, %v", name, err)
		}
	}
}

// What ReadBatch takes for a batch is what Split takes apart.
func TestABatchIsTakenApart(t *testing.T) {
	const fhs, bhs = "FHS|^~\\&|X\r", "BHS|^~\\&|X\r"
	for name, b := range map[string]string{
		"two in a row":          one("1") + one("2"),
		"two with LF":           strings.ReplaceAll(one("1")+one("2"), "\r", "\n"),
		"two with CRLF":         strings.ReplaceAll(one("1")+one("2"), "\r", "\r\n"),
		"LF, then CR":           strings.ReplaceAll(one("1"), "\r", "\n") + one("2"),
		"one in a batch":        bhs + one("1") + "BTS|1\r",
		"a file of two batches": fhs + bhs + one("1") + "BTS|1\r" + bhs + one("2") + "BTS|1\rFTS|2\r",
		"an empty batch":        bhs + "BTS|0\r",
		"a trailer alone":       one("1") + "BTS|1\r",
		"something before":      "hello\r" + one("1"),
	} {
		batch, err := hl7v2.ReadBatch([]byte(b), 10)
		if err != nil || batch == nil {
			t.Errorf("%s: no batch, %v", name, err)
			continue
		}
		parts, faults := hl7v2.Split([]byte(b))
		if d := cmp.Diff(parts, batch.Parts); d != "" || len(faults) != len(batch.Faults) {
			t.Errorf("%s (-split +batch)\n%s", name, d)
		}
	}
}

// Too many messages or envelopes are noticed before memory is spent on them, and the first message is known.
func TestTooManyMessagesAreNotTakenApart(t *testing.T) {
	const most = 3
	for name, row := range map[string]struct {
		b     string
		many  bool
		first string
	}{
		"as many as there may be":   {strings.Repeat(one("1"), most), false, one("1")},
		"one more":                  {strings.Repeat(one("1"), most+1), true, one("1")},
		"one more in a batch":       {"BHS|^~\\&|X\r" + strings.Repeat(one("1"), most+1) + "BTS\r", true, one("1")},
		"a batch around each":       {"FHS|^~\\&\r" + strings.Repeat("BHS|^~\\&\r"+one("1")+"BTS\r", most) + "FTS\r", false, one("1")},
		"envelopes without end":     {one("1") + strings.Repeat("BTS\r", 100), true, one("1")},
		"envelopes without message": {strings.Repeat("BTS\r", 100), true, ""},
	} {
		batch, err := hl7v2.ReadBatch([]byte(row.b), most)
		if errors.Is(err, hl7v2.ErrTooMany) != row.many || batch == nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		first := ""
		if len(batch.Parts) > 0 {
			first = string(batch.Parts[0].Bytes)
		}
		if first != row.first || row.many && len(batch.Parts) > 1 {
			t.Errorf("%s: the first message isn't what it is, or others were taken apart", name)
		}
	}
	for name, piece := range map[string]string{"messages": "MSH|\r", "trailers": "BTS\r", "headers": "BHS|\r"} {
		hostile := []byte(strings.Repeat(piece, 1<<20/len(piece)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := hl7v2.ReadBatch(hostile, 1000)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; err == nil || spent > uint64(len(hostile)) {
			t.Errorf("a frame of nothing but %s: %v, and %d bytes of memory for %d", name, err, spent, len(hostile))
		}
	}
}

func TestAcknowledgementsOfABatch(t *testing.T) {
	const (
		fhs  = "FHS|^~\\&|FA^1|FB|FC|FD&x|2026||file|comment|F\\T\\7|F0\r"
		bhs  = "BHS|^~\\&|BA|BB|BC|BD|2026||batch|comment|B7\r"
		fhs2 = "FHS|^~\\&|FC|FD&x|FA^1|FB|20261123120000+0200||||OWN0|F\\T\\7\r"
		bhs2 = "BHS|^~\\&|BC|BD|BA|BB|20261123120000+0200||||OWN1|B7\r"
	)
	for _, row := range []struct{ name, in, want string }{
		{"no envelope, none back", one("1") + one("2"), "<1><2>"},
		{"a file with a batch", fhs + bhs + one("1") + one("2") + "BTS|2\rFTS|1\r", fhs2 + bhs2 + "<1><2>BTS|2\rFTS|1\r"},
		{"a batch without a file", bhs + one("1") + "BTS|1\r", strings.Replace(bhs2, "OWN1", "OWN0", 1) + "<1>BTS|1\r"},
		{"two batches", fhs + bhs + one("1") + "BTS|1\r" + bhs + one("2") + one("3") + "BTS|2\rFTS|2\r",
			fhs2 + bhs2 + "<1>BTS|1\r" + strings.Replace(bhs2, "OWN1", "OWN2", 1) + "<2><3>BTS|2\rFTS|2\r"},
		{"a file without batches", fhs + one("1") + one("2") + "FTS|2\r", fhs2 + "<1><2>FTS|0\r"},
		{"no counts say nothing", fhs + bhs + one("1") + "BTS\rFTS|\r", fhs2 + bhs2 + "<1>BTS|1\rFTS|1\r"},
		{"a wrong BTS-1", fhs + bhs + one("1") + "BTS|2\rFTS|1\r", fhs2 + bhs2 + "<1>BTS|1|The count differs from the 1 messages that came\rFTS|1\r"},
		{"a wrong FTS-1", fhs + bhs + one("1") + "BTS|1\rFTS|9\r", fhs2 + bhs2 + "<1>BTS|1\rFTS|1|The count differs from the 1 batches that came\r"},
		{"what was left open is closed", fhs + bhs + one("1"), fhs2 + bhs2 + "<1>BTS|1\rFTS|1\r"},
		{"a batch in a batch ends the first", bhs + one("1") + bhs + one("2") + "BTS|1\r",
			strings.Replace(bhs2, "OWN1", "OWN0", 1) + "<1>BTS|1\r" + bhs2 + "<2>BTS|1\r"},
		{"a trailer alone", one("1") + "BTS|1\r", "<1>"},
		{"an empty batch", bhs + "BTS|0\r", strings.Replace(bhs2, "OWN1", "OWN0", 1) + "BTS|0\r"},
		{"what has no answer isn't counted", bhs + one("1") + one("-") + "BTS|2\r", strings.Replace(bhs2, "OWN1", "OWN0", 1) + "<1>BTS|1\r"},
		{"LF", strings.ReplaceAll(bhs+one("1")+"BTS|1\r", "\r", "\n"), strings.Replace(bhs2, "OWN1", "OWN0", 1) + "<1>BTS|1\r"},
		{"own delimiters", "BHS*:?!%*BA:1*BB*BC*BD*****B7\r" + one("1") + "BTS*2\r",
			"BHS*:?!%*BC*BD*BA:1*BB*20261123120000+0200****OWN0*B7\r<1>BTS*1*The count differs from the 1 messages that came\r"},
		{"unusable delimiters repeat nothing", "BHS|abc\r" + one("1") + "BTS|1\r", "BHS|^~\\&|||||20261123120000+0200||||OWN0\r<1>BTS|1\r"},
		{"no truncation character", "BHS|^~\\&#|BA\r" + one("1") + "BTS|1\r", "BHS|^~\\&|||BA||20261123120000+0200||||OWN0\r<1>BTS|1\r"},
		{"Latin letters as they came", "BHS|^~\\&|\xc4|\r" + one("1") + "BTS|1\r", "BHS|^~\\&|||\xc4||20261123120000+0200||||OWN0\r<1>BTS|1\r"},
	} {
		batch, err := hl7v2.ReadBatch([]byte(row.in), 10)
		if err != nil || batch == nil {
			t.Errorf("%s: no batch, %v", row.name, err)
			continue
		}
		acks := make([][]byte, len(batch.Parts))
		for i, p := range batch.Parts {
			if head := hl7v2.ReadHeader(p.Bytes); head.ControlID() != "-" {
				acks[i] = []byte("<" + head.ControlID() + ">")
			}
		}
		if d := cmp.Diff(row.want, string(batch.Acknowledge(acks, answerOf(0)))); d != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, d)
		}
	}
}

// Whatever stands in a batch, its answer's envelope is well formed, and as many messages come out as acknowledgements
// went in.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		one("1") + one("2"), "FHS|^~\\&|X\rBHS|^~\\&|X\r" + one("1") + "BTS|1\rFTS|1\r", "BHS*:?!%*X\r" + one("1") + "BTS*9\r", "BHS|abc\rBTS|1\r",
		"FTS|1\rFHS|^~\\&\rFHS|^~\\&\rBTS\r", "BHS||\rMSH|^~\\&|A\rBHS|^~\\&#|\r", "hello\nMSH|^~\\&|A\n\x0bMSH|\x1c\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := hl7v2.ReadBatch(b, 20)
		if batch == nil || err != nil {
			return
		}
		acks := make([][]byte, len(batch.Parts))
		for i := range acks {
			acks[i] = []byte(one(fmt.Sprint(i)))
		}
		answer := batch.Acknowledge(acks, answerOf(0))
		parts, faults := hl7v2.Split(answer)
		if len(parts) != len(acks) {
			t.Fatalf("%d messages come out of %d", len(parts), len(acks))
		}
		for i, p := range parts {
			if !bytes.Equal(bytes.Trim(p.Bytes, "\r\n"), bytes.Trim(acks[i], "\r\n")) {
				t.Fatalf("message %d comes out changed", i)
			}
		}
		if form := (contracts.Faults)(faults); form.Err() != nil && strings.Contains(form.Error(), hl7v2.CodeBatchForm) {
			t.Fatalf("the answer's envelope is out of order: %v", form)
		}
	})
}

// A header by itself is the one that the whole message has.
func TestAHeaderAloneGivesTheSameAcknowledgement(t *testing.T) {
	for _, b := range []string{
		one("1"), strings.ReplaceAll(one("1"), "\r", "\n"), strings.ReplaceAll(one("1"), "\r", "\r\n"), "\ufeff \r\n" + one("1"), "\n\rMSH|^~\\&|A\nB|C\rPID|1\r",
		"MSH|^~\\&", "MSH", "", "hello", "MSH*:?!%*A*B*C*D*2026**ADT:A01*7*P*2.5\rZZ1*\xe4\r", "MSH|^~\\&#|A|B|C|D|2026||ADT^A01|7|P|2.7\r",
		"MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.4||||||FIN|UTF-8\rPID|\xff\r", "MSH|^~\\&|\xc4|B|C|D|2026||ADT^A01|\xe4|P|2.4||||||8859/1\rPID\r",
	} {
		whole, _ := hl7v2.Scan([]byte(b))
		alone := hl7v2.ReadHeader([]byte(b))
		if (whole == nil) != (alone == nil) {
			t.Errorf("%q: with a header as a whole %t, alone %t", b, whole != nil, alone != nil)
			continue
		}
		if whole == nil {
			continue
		}
		a := hl7v2.Answer{Code: "AA", ControlID: "K", Time: noon}
		if d := cmp.Diff(string(hl7v2.Acknowledge(whole, a)), string(hl7v2.Acknowledge(alone, a))); d != "" {
			t.Errorf("%q (-whole +alone)\n%s", b, d)
		}
	}
}

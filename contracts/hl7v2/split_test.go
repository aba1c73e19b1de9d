package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestSplit(t *testing.T) {
	const a, b = "MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\rPID|2\r"
	lf := func(s string) string { return strings.ReplaceAll(s, "\r", "\n") }
	crlf := func(s string) string { return strings.ReplaceAll(s, "\r", "\r\n") }
	const fhs, bhs = "FHS|^~\\&|X\r", "BHS|^~\\&|X\r"
	for _, row := range []struct {
		name, file string
		parts      []string
		faults     []string // codes
	}{
		{"nothing", "", nil, nil},
		{"blank lines", "\r\n \n", nil, nil},
		{"one", a, []string{a}, nil},
		{"two", a + b, []string{a, b}, nil},
		{"two with LF", lf(a + b), []string{lf(a), lf(b)}, nil},
		{"two with CRLF", crlf(a + b), []string{crlf(a), crlf(b)}, nil},
		{"blank lines between", a + "\r\n\n" + b, []string{a + "\r\n\n", b}, nil},
		{"different terminators", lf(a) + b, []string{lf(a), b}, nil},
		{"MSH after a bare LF is data", "MSH|^~\\&|A\rNTE|1||x\nMSH|y\r", []string{"MSH|^~\\&|A\rNTE|1||x\nMSH|y\r"}, nil},
		{"byte order mark", "\ufeff" + a + b, []string{"\ufeff" + a, b}, nil},
		{"MLLP frames", "\x0b" + a + "\x1c\r\x0b" + b + "\x1c\r", []string{a, b}, nil},
		{"batch", bhs + a + b + "BTS|2\r", []string{a, b}, nil},
		{"file", fhs + bhs + a + "BTS|1\r" + bhs + b + "BTS|1\r" + "FTS|2\r", []string{a, b}, nil},
		{"no counts", fhs + bhs + a + "BTS\r" + "FTS|\r", []string{a}, nil},
		{"file without batches counts messages", fhs + a + b + "FTS|2\r", []string{a, b}, nil},
		{"own delimiters", "BHS*:?!%*X\r" + a + "BTS*1\r", []string{a}, nil},
		{"wrong BTS-1", bhs + a + "BTS|2\r", []string{a}, []string{hl7v2.CodeBatchCount}},
		{"BTS-1 is no number", bhs + a + "BTS|x\r", []string{a}, []string{hl7v2.CodeBatchCount}},
		{"wrong FTS-1", fhs + bhs + a + "BTS|1\rFTS|3\r", []string{a}, []string{hl7v2.CodeBatchCount}},
		{"not closed", fhs + bhs + a, []string{a}, []string{hl7v2.CodeBatchForm}},
		{"BTS alone", a + "BTS|1\r", []string{a}, []string{hl7v2.CodeBatchForm}},
		{"BHS twice", bhs + a + bhs + b + "BTS|1\r", []string{a, b}, []string{hl7v2.CodeBatchForm}},
		{"something before", "hello\r" + a, []string{"hello\r", a}, nil},
		{"only something", "hello\rthere\r", []string{"hello\rthere\r"}, nil},
	} {
		parts, faults := hl7v2.Split([]byte(row.file))
		var texts, codes []string
		for _, p := range parts {
			texts = append(texts, string(p.Bytes))
			if !strings.HasPrefix(row.file[p.Offset:], string(p.Bytes)) {
				t.Errorf("%s: a part isn't at its offset %d", row.name, p.Offset)
			}
		}
		for _, f := range faults {
			codes = append(codes, f.Code)
		}
		if d := cmp.Diff(row.parts, texts); d != "" {
			t.Errorf("%s: parts (-want +got)\n%s", row.name, d)
		}
		if d := cmp.Diff(row.faults, codes); d != "" {
			t.Errorf("%s: faults (-want +got)\n%s", row.name, d)
		}
	}
}

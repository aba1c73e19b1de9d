package hl7v2_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Reading by index gives what plain splitting gives, on the corpus and on our own messages.
func TestStructureIsThatOfPlainSplitting(t *testing.T) {
	messages := map[string][]byte{
		"referral":      []byte(strings.Join(referral, "\r")),
		"good referral": []byte(strings.Join(goodReferral, "\r")),
		"small":         []byte(strings.Replace(small, "8859/1", "", 1)),
	}
	for name, file := range corpus(t) {
		parts, _ := hl7v2.Split(file)
		for i, p := range parts {
			messages[fmt.Sprintf("%s %d", name, i+1)] = p.Bytes
		}
	}
	for name, b := range messages {
		m, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
		if err != nil {
			continue
		}
		h, _ := hl7v2.Scan(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
		for i, s := range m.Segments() {
			if h.Segment(i).NumFields() != s.NumFields() {
				t.Errorf("%s: Scan counts other fields", name)
			}
			compareWithSplitting(t, name, m.Delimiters(), s, h.Segment(i))
		}
	}
}

func compareWithSplitting(t *testing.T, name string, d hl7v2.Delimiters, s, scanned hl7v2.Segment) {
	t.Helper()
	fields := strings.Split(string(s.Raw()), string(d.Field))
	first := 0
	if s.ID() == "MSH" {
		first = 1 // MSH-1 is the separator itself
	}
	if s.NumFields() != len(fields)-1+first {
		t.Errorf("%s: %s has %d fields, want %d", name, s.ID(), s.NumFields(), len(fields)-1+first)
	}
	for n := 1 + 2*first; n <= s.NumFields(); n++ {
		f, raw := s.Field(n), fields[n-first]
		if string(f.Raw()) != raw || string(scanned.Field(n).Raw()) != raw {
			t.Fatalf("%s: %s-%d is %q, want %q", name, s.ID(), n, f.Raw(), raw)
		}
		for r, rep := range strings.Split(raw, string(d.Repetition)) {
			for c, comp := range strings.Split(rep, string(d.Component)) {
				for u, sub := range strings.Split(comp, string(d.Subcomponent)) {
					if got := f.At(r + 1).At(c + 1).At(u + 1); string(got.Raw()) != sub {
						t.Fatalf("%s: %s-%d(%d).%d.%d is %q, want %q", name, s.ID(), n, r+1, c+1, u+1, got.Raw(), sub)
					}
				}
			}
		}
	}
}

func TestLargeMessages(t *testing.T) {
	const segments = 40000 // more than a 16-bit count holds
	var b strings.Builder
	b.WriteString("MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\r")
	for i := range segments {
		fmt.Fprintf(&b, "OBX|%d|NM|1||%d\r", i+1, i)
	}
	b.WriteString("OBX|0|ED|2||^AP^PDF^Base64^" + strings.Repeat("QUJD", 2<<20) + "\r")
	m := parse(t, b.String())
	if m.NumSegments() != segments+2 {
		t.Fatalf("%d segments", m.NumSegments())
	}
	if got := m.Get(hl7v2.MustPath("OBX(40000)-5")).Text(); got != "39999" {
		t.Errorf("got %q", got)
	}
	if got := len(m.Segment(segments + 1).Field(5).At(1).At(5).Text()); got != 4*2<<20 {
		t.Errorf("%d bytes", got)
	}
}

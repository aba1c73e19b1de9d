package hl7v2_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Whatever comes in: a message that is read comes back, its JSON encodes again, and it can be acknowledged.
func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.Join(referral, "\r")))
	f.Add([]byte(small))
	f.Add([]byte("MSH|^&|\nPID|a&b^\"\"~\n\n"))
	f.Add([]byte("\xef\xbb\xbfMSH|^~\\&#|||||||||||||||FIN|UTF-8\r\nZ12|\\X0D\\\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, _ := hl7v2.Scan(b); h != nil {
			ack := hl7v2.Acknowledge(h, hl7v2.Answer{Code: "AE", ControlID: "1"})
			if _, err := hl7v2.ReadAcknowledgement(ack); err != nil {
				t.Errorf("our own acknowledgement %q: %v", ack, err)
			}
		}
		m, err := hl7v2.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Bytes(), b) {
			t.Error("Bytes differs")
		}
		for _, s := range m.Segments() {
			for n := 1; n <= s.NumFields(); n++ {
				for _, rep := range s.Field(n).All() {
					for _, c := range rep.All() {
						for i, sub := range c.All() {
							if !bytes.Equal(sub.Raw(), c.At(i).Raw()) {
								t.Errorf("All and At differ at %s-%d", s.ID(), n)
							}
						}
					}
				}
			}
		}
		hl7v2.Validate(m, nil)
		text := m.AppendJSON(nil)
		er7, err := hl7v2.EncodeJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := hl7v2.Parse(er7, hl7v2.WithCharset(m.Charset()))
		if err != nil {
			t.Fatalf("%q: %v", er7, err)
		}
		if again.NumSegments() != m.NumSegments() {
			t.Errorf("%d segments became %d", m.NumSegments(), again.NumSegments())
		}
		for i, s := range m.Segments() {
			if !bytes.Equal(s.Raw(), again.Segment(i).Raw()) {
				t.Errorf("segment %d: %q became %q", i, s.Raw(), again.Segment(i).Raw())
			}
		}
	})
}

// A path that compiles is written as it was read, and reading by it is safe.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"PID-5", "PID-3(2).4.2", "OBX(3)-5", "PID-3[5=NNFIN].1", "PRD[1.1=RT]-2.1"} {
		f.Add(p)
	}
	m, err := hl7v2.Parse([]byte(strings.Join(referral, "\r")))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := hl7v2.CompilePath(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("%q is written as %q", text, p)
		}
		m.Get(p).Line()
	})
}

// What is set at a leaf is read there, and nothing else changes.
func FuzzSet(f *testing.F) {
	f.Add("PID-3(2).4.2", "x")
	f.Add("NTE-3", `\E\|^&~"`)
	f.Fuzz(func(t *testing.T, path, value string) {
		p, err := hl7v2.CompilePath(path)
		if err != nil || p.Field > 300 || p.Rep > 300 || p.Component > 300 || p.Sub > 300 {
			return
		}
		m, err := hl7v2.Parse([]byte(strings.Join(referral, "\r")))
		if err != nil {
			t.Fatal(err)
		}
		if p.Segment == "MSH" || p.RepBy.Set || p.SegmentBy.Set || m.SetText(p, value) != nil {
			return
		}
		if got := m.Get(p).Text(); got != value {
			t.Errorf("set %q at %s, read %q", value, path, got)
		}
		if m.NumSegments() != len(referral) {
			t.Errorf("%d segments", m.NumSegments())
		}
	})
}

// Split finds parts that lie in the file in order, and never panics.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("FHS|^~\\&\rBHS|^~\\&\rMSH|^~\\&|A\rPID|1\rBTS|1\rFTS|1\r"))
	f.Add([]byte("MSH|^~\\&|A\nMSH|^~\\&|B\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		parts, _ := hl7v2.Split(file)
		end := 0
		for _, p := range parts {
			if p.Offset < end || !bytes.HasPrefix(file[p.Offset:], p.Bytes) {
				t.Fatalf("a part of %d bytes at %d after %d", len(p.Bytes), p.Offset, end)
			}
			end = p.Offset + len(p.Bytes)
		}
	})
}

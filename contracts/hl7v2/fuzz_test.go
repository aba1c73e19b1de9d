package hl7v2_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// seedMessages are inputs worth starting from: the vectors' messages and those of testdata/seeds.
func seedMessages(f *testing.F) (seeds [][]byte) {
	f.Helper()
	files, err := filepath.Glob("testdata/seeds/*.hl7")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds were found: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	return append(seeds, []byte(strings.Join(referral, "\r")), []byte(small))
}

// Whatever comes in: a message that is read comes back, Scan sees what Parse sees, and its JSON encodes to it again.
func FuzzParse(f *testing.F) {
	for _, seed := range seedMessages(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, scanErr := hl7v2.Scan(b)
		m, err := hl7v2.Parse(b)
		checkFaults(t, err)
		checkFaults(t, scanErr)
		if err != nil {
			if scanErr == nil {
				t.Errorf("Scan takes what Parse refuses: %v", err)
			}
			return
		}
		if !bytes.Equal(m.Bytes(), b) {
			t.Error("the bytes don't come back")
		}
		checkScanAgrees(t, m, h)
		checkParts(t, m)
		for _, fault := range hl7v2.Validate(m, nil) {
			if fault.Code == "" || !utf8.ValidString(fault.At) {
				t.Errorf("a finding without code or place: %v", fault)
			}
		}
		if !json.Valid(m.AppendJSON(nil)) {
			t.Error("AppendJSON doesn't write JSON")
		}
		checkJSONRoundTrip(t, "the message", m)
	})
}

// checkFaults shows that faults are listed, not too many, and of known codes.
func checkFaults(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	faults := contracts.FaultsOf(err)
	if len(faults) > 210 {
		t.Errorf("%d faults", len(faults))
	}
	for _, f := range faults {
		if f.Kind != contracts.Malformed && f.Kind != contracts.Invalid && f.Kind != contracts.NotFound || !strings.HasPrefix(f.Code, "HL7-") {
			t.Errorf("a fault of another kind: %v", f)
		}
	}
}

func checkScanAgrees(t *testing.T, m *hl7v2.Message, h *hl7v2.Header) {
	t.Helper()
	if h.Segments() != m.NumSegments() || h.Charset() != m.Charset() || h.Delimiters() != m.Delimiters() ||
		h.ControlID() != m.ControlID() || h.Type() != m.Type() || h.Version() != m.Version() {
		t.Fatal("Scan and Parse differ")
	}
	for n := range 25 {
		if raw := m.Segment(0).Field(n).Raw(); !bytes.Equal(h.Raw(n), raw) || (h.Raw(n) == nil) != (len(raw) == 0) {
			t.Fatalf("Raw and Field differ in MSH-%d", n)
		}
	}
	for i, s := range m.Segments() {
		scanned := h.Segment(i)
		if !bytes.Equal(scanned.Raw(), s.Raw()) || scanned.NumFields() != s.NumFields() || scanned.Offset() != s.Offset() {
			t.Fatalf("Scan and Parse differ in segment %d", i)
		}
		for _, n := range []int{1, 2, 3, s.NumFields(), s.NumFields() + 1} {
			if !bytes.Equal(scanned.Field(n).Raw(), s.Field(n).Raw()) || scanned.Field(n).State() != s.Field(n).State() {
				t.Fatalf("Scan and Parse differ in field %d of segment %d", n, i)
			}
		}
	}
}

// checkParts shows that walking over the parts and asking for one give the same, and texts are texts.
func checkParts(t *testing.T, m *hl7v2.Message) {
	t.Helper()
	for _, s := range m.Segments() {
		for n := 1; n <= s.NumFields(); n++ {
			for _, rep := range s.Field(n).All() {
				for _, c := range rep.All() {
					for i, sub := range c.All() {
						if i < 50 && !bytes.Equal(sub.Raw(), c.At(i).Raw()) {
							t.Errorf("All and At differ at %s-%d", s.ID(), n)
						}
						if text := sub.Text(); !utf8.ValidString(text) || !sub.Equals(text) && text != "" {
							t.Errorf("the text at %s-%d isn't one, or isn't itself", s.ID(), n)
						}
					}
				}
			}
		}
	}
}

// Whatever heads it, a message is answered with the same control id and swapped addresses, and the answer is read back.
func FuzzAcknowledge(f *testing.F) {
	for i, seed := range seedMessages(f) {
		f.Add(seed, "No | today €", i)
	}
	codes := []string{"AA", "AE", "AR", "CA", "CE", "CR"}
	f.Fuzz(func(t *testing.T, b []byte, text string, n int) {
		if a, err := hl7v2.ReadAcknowledgement(b); err == nil {
			checkAcknowledgement(t, a)
		}
		h, err := hl7v2.Scan(b)
		if h == nil {
			return
		}
		code := codes[(n%len(codes)+len(codes))%len(codes)]
		faults := contracts.FaultsOf(err)
		ack := hl7v2.Acknowledge(h, hl7v2.Answer{Code: code, ControlID: "1", Time: noon, Text: text, Faults: faults})
		a, err := hl7v2.ReadAcknowledgement(ack)
		if err != nil || a.Code != code {
			t.Fatalf("our own acknowledgement %q: %v", ack, err)
		}
		checkAcknowledgement(t, a)
		back, _ := hl7v2.Scan(ack)
		if got := back.Get(hl7v2.Path{Segment: "MSA", Field: 2}); !bytes.Equal(field(ack, 1, 2), h.Raw(10)) && got.State() != hl7v2.Absent {
			t.Errorf("MSA-2 is %q, MSH-10 was %q", field(ack, 1, 2), h.Raw(10))
		}
		for _, pair := range [][2]int{{3, 5}, {4, 6}, {5, 3}, {6, 4}, {11, 11}, {12, 12}, {21, 21}} {
			if !bytes.Equal(back.Raw(pair[0]), h.Raw(pair[1])) {
				t.Errorf("MSH-%d is %q, want %q", pair[0], back.Raw(pair[0]), h.Raw(pair[1]))
			}
		}
		if due := back.IsAcknowledgement(); !due {
			t.Error("the acknowledgement isn't one")
		}
		if len(faults) > 0 && len(a.Errors) == 0 {
			t.Error("the acknowledgement reports no error")
		}
	})
}

// field cuts a message as plainly as can be: the n-th field of the i-th segment.
func field(message []byte, i, n int) []byte {
	segments := bytes.Split(message, []byte("\r"))
	if i >= len(segments) {
		return nil
	}
	if fields := bytes.Split(segments[i], message[3:4]); n < len(fields) {
		return fields[n]
	}
	return nil
}

func checkAcknowledgement(t *testing.T, a hl7v2.Acknowledgement) {
	t.Helper()
	if len(a.Code) != 2 || len(a.Errors) > 200 {
		t.Errorf("code %q, %d errors", a.Code, len(a.Errors))
	}
	for _, e := range a.Errors {
		_, err := hl7v2.CompilePath(e.At)
		if _, err2 := hl7v2.CompilePath(e.At + "-1"); e.At != "" && err != nil && err2 != nil || len(e.Code) > 3 || len(e.Severity) != 1 {
			t.Errorf("an error that isn't made of codes and places: %d bytes", len(e.Code+e.At+e.Severity))
		}
	}
}

// A text that is written reads as itself, splits nothing, and what any leaf reads as can be written again.
func FuzzEscape(f *testing.F) {
	for _, seed := range []string{`\E\T\E\`, `a\X0D\\X0A\b`, `4\5 \T\`, `\.br\\H\x\N\`, "\"\"", "\x00\v\x1c\r\n", `\C2842\\M245442\\Zab\`, "Mäkelä € #"} {
		f.Add(seed, byte(0))
		f.Add(seed, byte(3))
	}
	heads := []string{"MSH|^~\\&", "MSH|^~\\&#", "MSH*:?!%", "MSH^|~\\&", "MSH$%@/:+"}
	f.Fuzz(func(t *testing.T, text string, n byte) {
		head := heads[int(n)%len(heads)]
		sep := head[3:4]
		message := head + sep + strings.Join([]string{"A", "B", "C", "D", "2026", "", "ADT", "1", "P", "2.7", "", "", "", "", "", "UTF-8"}, sep)
		path := hl7v2.MustPath("NTE-3")
		m := parse(t, message+"\rNTE"+sep+"1\r")
		if err := m.SetText(path, text); err != nil {
			if utf8.ValidString(text) {
				t.Fatalf("a text is refused: %v", err)
			}
			return
		}
		if got := m.Get(path); got.Text() != text || got.IsNull() || m.NumSegments() != 2 || m.Segment(1).NumFields() > 3 || !got.IsLeaf() {
			t.Errorf("%q was written as %q and reads as %q", text, got.Raw(), got.Text())
		}
		// The same text as raw bytes: what it reads as is written and read again.
		raw := strings.Map(func(r rune) rune {
			if strings.ContainsRune(head[3:]+"\r\n", r) && r != rune(head[6]) {
				return '.'
			}
			return r
		}, text)
		m = parse(t, message+"\rNTE"+sep+"1"+sep+sep+raw+"\r")
		decoded := m.Get(path).Text()
		if err := m.SetText(path, decoded); err != nil || m.Get(path).Text() != decoded {
			t.Errorf("%q reads as %q, then %q, %v", raw, decoded, m.Get(path).Text(), err)
		}
	})
}

// A name that is known names one set; what is read in it is written in the same bytes; what isn't is refused where it is.
func FuzzCharset(f *testing.F) {
	for _, name := range []string{"UNICODE UTF-8", "8859/1", "8859/15", "8859/6", "ASCII", " iso-8859-1", "cp1252", "~8859/1", "UNICODE UTF-16"} {
		f.Add(name, []byte("M\xe4kel\xe4 \xa4"))
		f.Add(name, []byte("Mäkelä €\ufffd"))
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		c, ok := hl7v2.LookupCharset(name)
		if !ok {
			return
		}
		if again, ok := hl7v2.LookupCharset(c.Name()); !ok || again != c {
			t.Fatalf("%s isn't found by its own name", c.Name())
		}
		var clean []byte
		for _, b := range text {
			if !bytes.ContainsRune([]byte("|^~\\&\r\n"), rune(b)) {
				clean = append(clean, b)
			}
		}
		const head = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rNTE|1||"
		message := head + string(clean) + "\r"
		m, err := hl7v2.Parse([]byte(message), hl7v2.WithCharset(c))
		if err != nil {
			fault := contracts.FaultsOf(err)[0]
			if fault.Code != hl7v2.CodeBadByte || len(contracts.FaultsOf(err)) != 1 {
				t.Fatalf("another fault: %v", err)
			}
			return
		}
		path := hl7v2.MustPath("NTE-3")
		v := m.Get(path)
		if v.State() != hl7v2.Filled {
			return
		}
		got := v.Text()
		if !utf8.ValidString(got) || c != hl7v2.UTF8 && strings.ContainsRune(got, utf8.RuneError) {
			t.Fatalf("%q in %s reads as %q", clean, c.Name(), got)
		}
		plain := bytes.IndexAny(clean, "\x00\v\x1c") < 0
		if err := m.SetText(path, got); err != nil || plain && string(m.Bytes()) != message {
			t.Errorf("%q in %s is written as %q, %v", clean, c.Name(), m.Get(path).Raw(), err)
		}
	})
}

// A path that compiles is written as it was read, reading by it is safe, and its place holds no value.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"PID-5", "PID-3(2).4.2", "OBX(3)-5", "PID-3[5=NNFIN].1", "PRD[1.1=RT]-2.1", "PRD[1.1.2=x]-2.1.2"} {
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
		other := p
		other.RepBy.Value, other.SegmentBy.Value = "another", "value"
		if p.Place() != other.Place() {
			t.Error("the place tells what the selector compares with")
		}
		v := m.Get(p)
		if line := v.Line(); strings.ContainsAny(line, "\r\n") {
			t.Errorf("%q is more than a line", line)
		}
		if seg, ok := m.Find(p); ok && !bytes.Equal(seg.Get(p).Raw(), v.Raw()) {
			t.Error("Find and Get differ")
		}
	})
}

// What is set at a leaf is read there, the second of two settings holds, and no other segment changes.
func FuzzSet(f *testing.F) {
	f.Add("PID-3(2).4.2", "x", "")
	f.Add("NTE-3", `\E\|^&~"`, `""`)
	f.Add("PID-3[5=MR].1", "Mäkelä", "\r\n")
	f.Add("OBX(2)-5.5", "x", "y")
	f.Fuzz(func(t *testing.T, path, value, second string) {
		p, err := hl7v2.CompilePath(path)
		if err != nil || p.Field > 300 || p.Rep > 300 || p.Component > 300 || p.Sub > 300 {
			return
		}
		before := parse(t, strings.Join(referral, "\r"))
		m := parse(t, strings.Join(referral, "\r"))
		target, ok := m.Find(p)
		if err := m.SetText(p, value); err != nil {
			checkFaults(t, err)
			if !bytes.Equal(m.Bytes(), before.Bytes()) {
				t.Error("the message changed in spite of a fault")
			}
			return
		}
		if !ok || m.NumSegments() != len(referral) {
			t.Fatalf("%d segments", m.NumSegments())
		}
		for i, s := range before.Segments() {
			if i != target.Index() && !bytes.Equal(s.Raw(), m.Segment(i).Raw()) {
				t.Errorf("segment %d changed", i)
			}
		}
		if p.RepBy.Set || p.SegmentBy.Set {
			return // what was set may no longer be selected
		}
		if got := m.Get(p).Text(); got != value && p.Segment != "MSH" {
			t.Errorf("set %q at %s, read %q", value, path, got)
		}
		if err := m.Set(p, second); err != nil || p.Segment == "MSH" {
			return
		}
		v := m.Get(p)
		switch {
		case second == `""` && !v.IsNull(), second == "" && v.IsFilled(), second != `""` && v.Text() != second:
			t.Errorf("then set %q, read %q", second, v.Text())
		}
	})
}

// Split finds parts that lie in the file in order, and the good ones put together are found again.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("FHS|^~\\&\rBHS|^~\\&\rMSH|^~\\&|A\rPID|1\rBTS|1\rFTS|1\r"))
	f.Add([]byte("MSH|^~\\&|A\nMSH|^~\\&|B\n"))
	f.Add([]byte("\vMSH|^~\\&|A\r\x1c\r\vMSH|^~\\&|B\r\x1c\r\xef\xbb\xbfMSH*:?!%*C\r\nBTS*x"))
	for _, seed := range seedMessages(f) {
		f.Add(bytes.Repeat(append(seed, '\r'), 2))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		parts, faults := hl7v2.Split(file)
		checkFaults(t, faults.Err())
		end := 0
		var good [][]byte
		for _, p := range parts {
			if p.Offset < end || !bytes.HasPrefix(file[p.Offset:], p.Bytes) {
				t.Fatalf("a part of %d bytes at %d after %d", len(p.Bytes), p.Offset, end)
			}
			end = p.Offset + len(p.Bytes)
			if _, err := hl7v2.Parse(p.Bytes); err == nil && bytes.HasSuffix(p.Bytes, []byte("\r")) && !bytes.ContainsAny(p.Bytes, "\n\v\x1c") {
				good = append(good, p.Bytes)
			}
		}
		again, faults := hl7v2.Split(bytes.Join(good, nil))
		if len(again) != len(good) || len(faults) > 0 {
			t.Fatalf("%d parts put together are %d, %v", len(good), len(again), faults)
		}
		for i := range good {
			if !bytes.Equal(again[i].Bytes, good[i]) {
				t.Errorf("part %d differs", i)
			}
		}
	})
}

// A date and time that is read is written as it was, and is on the clock of its zone.
func FuzzDateTime(f *testing.F) {
	for _, s := range []string{"1976", "19761213081530.0001+0200", "20260329033000", "20261025033000", "19761325", "2026+0000", "00010101", "99991231235959-1400"} {
		f.Add(s)
	}
	helsinki, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := hl7v2.ParseDateTime(text)
		if _, err := hl7v2.ParseTime(text); err != nil {
			checkFaults(t, err)
		}
		if err != nil {
			checkFaults(t, err)
			return
		}
		if d.String() != text {
			t.Errorf("%s is written as %s", text, d)
		}
		at, clock := d.Time(helsinki)
		if onClock := at.Format("20060102150405") == text; d.Precision == hl7v2.ToSecond && !d.HasZone && onClock == (clock == hl7v2.Gap) {
			t.Errorf("%s is %s, clock %d", text, at, clock)
		}
		if clock != hl7v2.Clear && d.HasZone {
			t.Errorf("%s has a zone and isn't clear", text)
		}
		if d.Precision == hl7v2.ToSecond && d.HasZone && d.Year > 1 && d.Year < 9999 {
			if again := hl7v2.DateTimeOf(at, hl7v2.ToSecond, true); again.String() != text && !strings.HasSuffix(text, "-0000") {
				t.Errorf("%s comes back as %s", text, again)
			}
		}
	})
}

// JSON that encodes gives a message that parses, and whose own JSON encodes to the same.
func FuzzEncodeJSON(f *testing.F) {
	for _, seed := range seedMessages(f) {
		if m, err := hl7v2.Parse(seed); err == nil {
			f.Add(m.AppendJSON(nil))
		}
	}
	f.Add([]byte(`{"charset":"8859/1","segments":[{"id":"MSH","fields":["*","^~\\&",null,[],[[["\ud83d\ude00",null],[]],[]]]},{"id":"NTE","raw":"NTE*x","fields":["x"]}]}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		er7, err := hl7v2.EncodeJSON(object)
		if err != nil {
			checkFaults(t, err)
			return
		}
		if !json.Valid(object) {
			t.Fatal("it isn't JSON")
		}
		var top map[string]any
		if err := json.Unmarshal(object, &top); err != nil {
			t.Fatalf("it isn't an object: %v", err)
		}
		name, _ := top["charset"].(string)
		c, ok := hl7v2.LookupCharset(name)
		if !ok {
			t.Fatal("the character set is unknown")
		}
		m, err := hl7v2.Parse(er7, hl7v2.WithCharset(c))
		if err != nil {
			t.Fatalf("%q: %v", er7, err)
		}
		again, err := hl7v2.EncodeJSON(m.AppendJSON(nil))
		if err != nil || !bytes.Equal(again, er7) {
			t.Errorf("%q became %q, %v", er7, again, err)
		}
	})
}

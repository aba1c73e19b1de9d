package hl7v2_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// memoryConstant holds the faults of a message, of which there are two hundred of each grade.
const memoryConstant = 160 << 10

// groupFactor is how many bytes of a message a segment counts for where groups are made, beside its own.
const groupFactor = 60

// adversarial are inputs made of what costs most, by name.
func adversarial() map[string]string {
	const head = "MSH|^~\\&|APP|FAC|SILTA|HUS|20261123081500+0200||REF^I12^REF_I12|M1|P|2.5.1"
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (adversarialSize-len(before)-len(after))/len(unit)) + after
	}
	names := func(form func(i int) string) string {
		var b strings.Builder
		b.WriteString(head + "\r")
		for i := 0; b.Len() < adversarialSize; i++ {
			b.WriteString(form(i))
		}
		return b.String()
	}
	const latin, utf8, latin9 = head + "||||||8859/1\r", head + "||||||UNICODE UTF-8\r", head + "||||||8859/15\r"
	inputs := map[string]string{
		"field separators":           fill(head+"\rPID|", "|", "x\r"),
		"repetitions":                fill(head+"\rPID|1||", "~", "x\r"),
		"components":                 fill(head+"\rPID|1||", "^", "x\r"),
		"subcomponents":              fill(head+"\rPID|1||", "&", "x\r"),
		"delimiters of parts":        fill(head+"\rPID|1||", "~^&", "x\r"),
		"one letter each":            fill(head+"\rPID|1||", "a~b^c&", "x\r"),
		"one letter fields":          fill(head+"\rPID", "|a", "\r"),
		"one letter fields of Latin": fill(latin+"PID", "|\xe4", "\r"),
		"nulls":                      fill(head+"\rPID|1||", "\"\"~", "x\r"),
		"separators alone":           fill(head+"\rPID", "|", "\r"),
		"separators in MSH":          fill(head, "|", "\r"),
		"parts in MSH-3":             fill("MSH|^~\\&|", "a~", "|F\r"),
		"carriage returns":           fill(head, "\r", ""),
		"line feeds":                 fill(head, "\n", ""),
		"CRLF":                       fill(head, "\r\n", ""),
		"CR twice":                   fill(head+"\r", "PID\r\r", ""),
		"one-letter segments":        fill(head+"\r", "A\r", ""),
		"one-letter segments by LF":  fill(head+"\n", "A\n", ""),
		"bad names":                  fill(head+"\r", "abc\r", ""),
		"bad names with fields":      fill(head+"\r", "x|y|\r", ""),
		"names alone":                fill(head+"\r", "PID\r", ""),
		"names with CRLF":            fill(head+"\r\n", "NTE\r\n", ""),
		"unknown names":              fill(head+"\r", "QQQ|x\r", ""),
		"Z-segments":                 fill(head+"\r", "ZZZ|x\r", ""),
		"groups without their first": fill(head+"\r", "IN3|xxxxxxxxxxxxxxxxxxxx\r", ""),
		"segments without room":      fill(head+"\r", "RF1|xxxxxxxxxxxxxxxxxxxx\r", ""),
		"segments without a place":   fill(head+"\r", "FT1|xxxxxxxxxxxxxxxxxxxx\r", ""),
		"groups back and forth":      fill(head+"\rPRD|x\r", "DG1|x\rCTD|x\r", ""),
		"many names": names(func(i int) string {
			return fmt.Sprintf("%c%c%c\r", 'A'+i/936%26, 'A'+i/36%26, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[i%36])
		}),
		"numbered segments":             names(func(i int) string { return fmt.Sprintf("OBX|%d|NM|1||%d\r", i, i) }),
		"second messages":               fill(head+"\r", "MSH|^~\\&|\r", ""),
		"short second messages":         fill("MSH|^~\\&|A\r", "MSH|\r", ""),
		"escapes":                       fill(head+"\rNTE|1||", `\F\`, "\r"),
		"escapes of Latin":              fill(latin+"NTE|1||", `\E\`+"\xe4", "\r"),
		"hexadecimal escapes":           fill(head+"\rNTE|1||", `\X41\`, "\r"),
		"one hexadecimal escape":        fill(head+"\rNTE|1||\\X", "41", "\\\r"),
		"a wrong hexadecimal escape":    fill(utf8+"NTE|1||\\X", "C3", "\\\r"),
		"escape characters":             fill(head+"\rNTE|1||", `\`, "\r"),
		"formatting escapes":            fill(head+"\rNTE|1||", `\.br\`, "\r"),
		"bytes that aren't ASCII":       fill(head+"\rNTE|1||", "\xff", "\r"),
		"bytes that aren't UTF-8":       fill(utf8+"NTE|1||", "\xff", "\r"),
		"bad bytes behind many":         fill(head+"\r", "PID\r", "PID|\xff\r"),
		"one huge field":                fill(head+"\rOBX|1|TX|1||", "x", "\r"),
		"one huge field of Latin":       fill(latin+"OBX|1|TX|1||", "\xe4", "\r"),
		"one huge field of euros":       fill(latin9+"OBX|1|TX|1||", "\xa4", "\r"),
		"one huge field of UTF-8":       fill(utf8+"OBX|1|TX|1||", "漢", "\r"),
		"a huge date":                   fill(head+"\rPID|1||||||", "1", "\r"),
		"a huge date of Latin":          fill(latin+"PID|1||||||", "\xe4", "\r"),
		"a huge number of euros":        fill(latin9+"OBX|1|NM|1||", "\xa4", "\r"),
		"many bad dates":                fill(head+"\rPID|1||||||", "1~", "\r"),
		"many bad codes":                fill(head+"\rPID|1|", "^^^^QQ~", "\r"),
		"many bad segments":             fill(head+"\r", "PID|x||||||y|q\r", ""),
		"many undefined fields":         fill(head+"\rPID|1||a||b"+strings.Repeat("|", 40), "|xx", "\r"),
		"many undefined parts":          fill(head+"\rPID|1||a||b^^^^^^^^^^^^^^^^", "^x", "\r"),
		"a huge control id":             fill("MSH|^~\\&|A|F|S|H|2026||ADT^A01|", "x", "|P|2.5\r"),
		"a huge control id of Latin":    fill("MSH|^~\\&|A|F|S|H|2026||ADT^A01|", "\xe4", "|P|2.5||||||8859/1\r"),
		"a huge type":                   fill("MSH|^~\\&|A|F|S|H|2026||", "x", "|1|P|2.5\r"),
		"a huge version":                fill("MSH|^~\\&|A|F|S|H|2026||ADT^A01|1|P|", "2.", "\r"),
		"a huge character set":          fill(head+"||||||", "u", "\r"),
		"many character sets":           fill(head+"||||||8859/1", "~X", "\r"),
		"batches":                       fill("FHS|^~\\&\r", "BHS|\rBTS|9\r", "FTS|1\r"),
		"trailers":                      fill("", "BTS|x\r", ""),
		"short trailers":                fill("", "BTS\r", ""),
		"frames":                        fill("", "\vMSH|\x1c\r", ""),
		"acknowledged errors":           fill("MSH|^~\\&|A|F|S|H|2026||ACK|1|P|2.5\rMSA|AE|1\r", "ERR|||1\r", ""),
		"acknowledged errors of old":    fill("MSH|^~\\&|A|F|S|H|2026||ACK|1|P|2.3\rMSA|AE|1\rERR|", "^^^1~", "\r"),
		"a huge place":                  fill("MSH|^~\\&|A|F|S|H|2026||ACK|1|P|2.5\rMSA|AE|1\rERR||PID^", "1", "|101\r"),
		"a huge acknowledged id":        fill("MSH|^~\\&|A|F|S|H|2026||ACK|1|P|2.5\rMSA|AE|", "x", "\r"),
		"a huge acknowledgement's code": fill("MSH|^~\\&|A|F|S|H|2026||ACK|1|P|2.5\rMSA|", "x", "|1\r"),
		"letters":                       fill("", "x", ""),
		"the start over and over":       fill("", "MSH", ""),
		"a huge MSH-2":                  fill("MSH|", "^~\\&", "|A\r"),
		"blanks before":                 fill("", " ", head+"\r"),
	}
	return inputs
}

// adversarialJSON are JSON inputs of the same kind.
func adversarialJSON() map[string]string {
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (adversarialSize-len(before)-len(after))/len(unit)) + after
	}
	const msh = `{"charset":"8859/1","segments":[{"id":"MSH","fields":["|","^~\\&"],"raw":"MSH|^~\\&"}`
	const nte = msh + `,{"id":"NTE","fields":[`
	return map[string]string{
		"empty fields":          fill(nte, "[],", "[]]}]}"),
		"empty repetitions":     fill(nte+"[", "[[]],", "[]]]}]}"),
		"empty texts":           fill(nte+"[[[", `"",`, `"x"]]]]}]}`),
		"one-letter texts":      fill(nte+"[[[", `"x",`, `"x"]]]]}]}`),
		"one-letter components": fill(nte+"[[", `["x"],`, `["x"]]]]}]}`),
		"one-letter fields":     fill(nte, `[[["x"]]],`, `[]]}]}`),
		"nulls":                 fill(nte+"[[[", `null,`, `null]]]]}]}`),
		"plain texts":           fill(nte, `"x",`, `"x"]}]}`),
		"wrong shapes":          fill(nte, "1,", "1]}]}"),
		"wrong objects":         fill(nte, "{},", "{}]}]}"),
		"delimiters":            fill(nte+`[[["`, "|", `"]]]]}]}`),
		"control characters":    fill(nte+`[[["`, `\n`, `"]]]]}]}`),
		"unicode escapes":       fill(nte+`[[["`, `\u000b`, `"]]]]}]}`),
		"letters of Latin":      fill(nte+`[[["`, `ä`, `"]]]]}]}`),
		"characters it lacks":   fill(nte, `[[["€"]]],`, `[]]}]}`),
		"one huge raw":          fill(nte+`[]],"raw":"NTE|`, "x", `"}]}`),
		"raw separators":        fill(nte+`]],"raw":"NTE`, "|", `"}]}`),
		"raw parts":             fill(nte+`[[["x"]]]],"raw":"NTE|`, "~", `x"}]}`),
		"raw of Latin":          fill(nte+`[[["x"]]]],"raw":"NTE|`, "ä", `"}]}`),
		"raw escapes":           fill(nte+`[[["x"]]]],"raw":"NTE|`, `\\F\\`, `"}]}`),
		"empty segments":        fill(msh, `,{}`, `]}`),
		"segments of a name":    fill(msh, `,{"id":"NTE"}`, `]}`),
		"segments of two":       fill(msh, `,{"id":"NTE","raw":"NTE|x","fields":[[[["x"]]]]}`, `]}`),
		"second MSH":            fill(msh, `,{"id":"MSH"}`, `]}`),
		"other keys":            fill(msh+`],"x":[`, `{"a":1},`, `1]}`),
		"many keys":             fill(msh+`],`, `"x":1,`, `"y":1}`),
		"one key":               fill(msh+`],`, `"id":1,`, `"y":1}`),
		"nested lists":          fill(msh+`],"x":`, `[`, ``),
		"nested objects":        fill(msh+`],"x":`, `{"a":`, ``),
		"a huge character set":  fill(`{"segments":[],"charset":"`, "u", `"}`),
		"a huge number":         fill(msh+`],"x":`, "1", `}`),
		"a huge MSH-2":          fill(`{"segments":[{"id":"MSH","fields":["|","`, "^", `"]}]}`),
		"blanks":                fill("", " ", msh+"]}"),
		"not closed":            fill(msh+`,{"id":"NTE","raw":"`, "x", ""),
	}
}

// allocated gives the bytes that f allocates, garbage and all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestMemoryIsBounded(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		if _, err := hl7v2.Dictionary(version); err != nil { // read once and kept: no cost of a message
			t.Fatal(err)
		}
	}
	worst := map[string]float64{}
	check := func(name, what string, size int, f func()) {
		got := allocated(f)
		if limit := uint64(memoryFactor*size + memoryConstant); got > limit {
			t.Errorf("%s allocates %d bytes for %d bytes of %s", what, got, size, name)
		}
		worst[what] = max(worst[what], (float64(got)-memoryConstant)/float64(size))
	}
	for name, text := range adversarial() {
		b := []byte(text)
		var m *hl7v2.Message
		check(name, "Parse", len(b), func() { m, _ = hl7v2.Parse(b) })
		check(name, "Scan", len(b), func() { hl7v2.Scan(b) })
		check(name, "Split", len(b), func() { hl7v2.Split(b) })
		check(name, "ReadAcknowledgement", len(b), func() { hl7v2.ReadAcknowledgement(b) })
		if m == nil {
			continue
		}
		m.Structure() // a message is parsed before it is validated
		if d, err := hl7v2.Dictionary(hl7v2.NearestVersion(m.Version())); err == nil {
			d.Structure(d.StructureOfMessage(m))
		}
		// The tree of groups takes its memory by the segment, however short that is.
		check(name, "Validate", len(b)+groupFactor*m.NumSegments(), func() { hl7v2.Validate(m, nil) })
		object := m.AppendJSON(nil)
		check(name, "EncodeJSON", len(object), func() {
			if er7, err := hl7v2.EncodeJSON(object); err != nil || len(er7) == 0 {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	for name, text := range adversarialJSON() {
		b := []byte(text)
		check("JSON: "+name, "EncodeJSON", len(b), func() { hl7v2.EncodeJSON(b) })
	}
	t.Logf("the worst factors beside the constant: %.2v", worst)
}

// More faults than anybody reads are cut off, and the last one says so.
func TestFaultsAreBounded(t *testing.T) {
	const head = "MSH|^~\\&|APP|FAC|SILTA|HUS|2026||ADT^A01^ADT_A01|M1|P|2.5.1\r"
	_, broken := hl7v2.Parse([]byte(head + strings.Repeat("x|y\r", 1000)))
	_, short := hl7v2.Parse([]byte(head + strings.Repeat("PID\r", 10) + strings.Repeat("x\r", 100)))
	_, batch := hl7v2.Split(bytes.Repeat([]byte("BTS|x\r"), 1000))
	_, lacking := hl7v2.EncodeJSON([]byte(`{"segments":[{"id":"MSH","fields":["|","^~\\&"` + strings.Repeat(`,[[["ä"]]]`, 1000) + `]}]}`))
	wrong := hl7v2.Validate(parse(t, head+strings.Repeat("PID|1||a||b||x\r", 1000)), nil)
	warned := hl7v2.Validate(parse(t, head+"EVN||2026\rPID|1||a||b\rPV1|1|I"+strings.Repeat("|x", 1000)+"\r"), nil)
	for name, row := range map[string]struct {
		faults error
		n      int
		last   string
	}{
		"segments without names":   {broken, 201, "HL7-019 byte 860"},
		"more segments than names": {short, 0, ""},
		"a batch":                  {batch, 201, "HL7-019 byte 600"},
		"a character set":          {lacking, 201, "HL7-019 MSH-203(1).1.1"},
		"a dictionary":             {wrong, 201, ""},
	} {
		list := strings.Split(listFaults(contracts.FaultsOf(row.faults)), "; ")
		if row.n > 0 && len(list) != row.n || !strings.HasPrefix(list[len(list)-1], "HL7-019 ") || row.last != "" && list[len(list)-1] != row.last {
			t.Errorf("%s: %d faults, the last is %s", name, len(list), list[len(list)-1])
		}
	}
	if err := warned.Err(); err == nil || !strings.Contains(listFaults(warned), "HL7-019") {
		t.Errorf("%d warnings are cut off, %v", len(warned), err)
	}
}

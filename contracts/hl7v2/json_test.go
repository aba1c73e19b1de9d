package hl7v2_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestJSONForm(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A^B&C||||||ADT^A01|7|P|2.5\nPID|||a~~b~^c^|x^^\"\"^|\"\"||\\T\\ \\.br\\ \"q\"|||\n")
	const want = `{"type":"ADT^A01","version":"2.5","controlId":"7","charset":"ASCII","segments":[` +
		`{"id":"MSH","fields":["|","^~\\&",[[["A"],["B","C"]]],[],[],[],[],[],[[["ADT"],["A01"]]],[[["7"]]],[[["P"]]],[[["2.5"]]]],"raw":"MSH|^~\\&|A^B&C||||||ADT^A01|7|P|2.5"},` +
		`{"id":"PID","fields":[[],[],[[["a"]],[[""]],[["b"]],[[""],["c"]]],[[["x"],[""],[null]]],[[[null]]],[],[[["& \\.br\\ \"q\""]]]],"raw":"PID|||a~~b~^c^|x^^\"\"^|\"\"||\\T\\ \\.br\\ \"q\"|||"}` +
		`],"warnings":[{"kind":"malformed","code":"HL7-008","text":"Segments end in LF instead of CR; they were read so.","grade":"warning"}]}`
	got := string(m.AppendJSON(nil))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
}

func TestEncodeJSONWritesChangedFieldsAfresh(t *testing.T) {
	const message = "MSH|^~\\&|A||||||ADT^A01|7|P|2.5||||||8859/1\rPID|||a\\X41\\^^|\\Q\\|x|||\rNTE|1||\xe4\\.br\\\r"
	object := string(parse(t, message).AppendJSON(nil))
	for _, row := range []struct{ name, from, to, want string }{
		{"nothing", "", "", message},
		{"one leaf", `[["x"]]`, `[["y|"]]`, strings.Replace(message, "|x|||", `|y\F\`, 1)},
		{"a null", `[["x"]]`, `[[null]]`, strings.Replace(message, "|x|||", `|""`, 1)},
		{"more parts", `[["x"]]`, `[["y","z"],["q"]],[["r"]]`, strings.Replace(message, "|x|||", `|y&z^q~r`, 1)},
		{"an emptied field", `[[["x"]]]`, `[]`, strings.Replace(message, "|x|||", "", 1)},
		{"two quotes as text", `[["x"]]`, `[["\"\""]]`, strings.Replace(message, "|x|||", `|\X2222\`, 1)},
		{"a character set", `"charset":"8859/1"`, `"charset":"UNICODE UTF-8"`, strings.Replace(message, "\xe4", "ä", 1)},
		{"trailing empties", `[["x"]]`, `[["x"],[""],["",""]],[[""]]`, message},
	} {
		changed := strings.Replace(object, row.from, row.to, 1)
		got, err := hl7v2.EncodeJSON([]byte(changed))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if d := cmp.Diff(row.want, string(got)); d != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, d)
		}
	}
}

func TestEncodeJSONWithoutRaw(t *testing.T) {
	const object = `{"charset":"utf8","segments":[{"id":"MSH","fields":["*","^~\\&",[],[],[],[],[],[],[[["ADT"],["A01"]]]]},{"id":"NTE","fields":[[],[],[[["ä*\n"]]]]}]}`
	got, err := hl7v2.EncodeJSON([]byte(object))
	if want := "MSH*^~\\&*******ADT^A01\rNTE***ä\\F\\\\X0A\\\r"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

// Where MSH names other delimiters than the raw texts were written with, raw isn't used.
func TestEncodeJSONWithOtherDelimiters(t *testing.T) {
	object := string(parse(t, "MSH|^~\\&|A^B\rPID|||a*b^c\r").AppendJSON(nil))
	got, err := hl7v2.EncodeJSON([]byte(strings.Replace(object, `["|",`, `["*",`, 1)))
	if want := "MSH*^~\\&*A^B\rPID***a\\F\\b^c\r"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEncodeJSONRefuses(t *testing.T) {
	msh := func(fields string) string {
		return `{"charset":"8859/1","segments":[{"id":"MSH","fields":[` + fields + `]}]}`
	}
	for name, row := range map[string]struct{ object, code, at string }{
		"not JSON":               {`{"segments":`, hl7v2.CodeJSON, "byte 12"},
		"no segments":            {`{}`, hl7v2.CodeJSONShape, "segments[0].id"},
		"a field as text":        {msh(`"|","^~\\&",["x"]`), hl7v2.CodeJSONShape, ""},
		"no MSH-1":               {msh(``), hl7v2.CodeJSONShape, "segments[0].fields"},
		"a letter as delimiter":  {msh(`"A","^~\\&"`), hl7v2.CodeDelimiters, "MSH-1"},
		"unknown character set":  {strings.Replace(msh(`"|","^~\\&"`), "8859/1", "EBCDIC", 1), hl7v2.CodeCharset, "charset"},
		"a character it lacks":   {msh(`"|","^~\\&",[[["€"]]]`), hl7v2.CodeNotInCharset, "MSH-3(1).1.1"},
		"a second MSH":           {strings.Replace(msh(`"|","^~\\&"`), `]}]}`, `]},{"id":"MSH"}]}`, 1), hl7v2.CodeJSONShape, "segments[1].id"},
		"a segment without name": {strings.Replace(msh(`"|","^~\\&"`), `]}]}`, `]},{"id":"x"}]}`, 1), hl7v2.CodeJSONShape, "segments[1].id"},
	} {
		_, err := hl7v2.EncodeJSON([]byte(row.object))
		if err == nil {
			t.Errorf("%s: no fault", name)
			continue
		}
		if f := contracts.FaultsOf(err)[0]; f.Code != row.code || row.at != "" && f.At != row.at {
			t.Errorf("%s: got %v", name, f)
		}
	}
}

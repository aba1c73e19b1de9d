//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// corpusDir holds messages from elsewhere, beside the repository. Without it the judges get our own messages only.
const corpusDir = "../../../shared/corpus"

var versions = []string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"}

// message is what the judges get.
type message struct {
	name   string // corpus/FILE PART, generated/…, built/…, written/…, acknowledgement/…; encoded/ before it if EncodeJSON wrote it
	bytes  []byte
	parsed *hl7v2.Message // nil if we refuse it
	err    error
}

func newMessage(name string, b []byte) message {
	m := message{name: name, bytes: b}
	m.parsed, m.err = hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
	return m
}

// own gives a message that we made and so must be able to read.
func own(t *testing.T, name string, b []byte) message {
	t.Helper()
	m := newMessage(name, b)
	if m.err != nil {
		t.Fatalf("%s: %v", name, m.err)
	}
	return m
}

// corpus gives each message of the corpus; none if it isn't there.
func corpus(t *testing.T) []message {
	t.Helper()
	if _, err := os.Stat(corpusDir); err != nil {
		t.Logf("%s isn't there: the judges get our own messages only", corpusDir)
		return nil
	}
	var all []message
	err := filepath.WalkDir(corpusDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.EqualFold(filepath.Ext(path), ".hl7") {
			return err
		}
		file, err := os.ReadFile(path)
		parts, _ := hl7v2.Split(file)
		for i, p := range parts {
			all = append(all, newMessage(fmt.Sprintf("corpus/%s %d", strings.TrimPrefix(path, corpusDir+"/"), i+1), p.Bytes))
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%s is there, but %d messages were found: %v", corpusDir, len(all), err)
	}
	return all
}

// ownMessages gives all that we make ourselves, in all ways that we have.
func ownMessages(t *testing.T) []message {
	t.Helper()
	referrals := generated(t)
	return slices.Concat(referrals, encodedAfresh(t, referrals), built(t), []message{oddEscapes(t)}, acknowledgements(t))
}

// generated gives invented referrals in every version and character set.
func generated(t *testing.T) []message {
	t.Helper()
	var all []message
	for i, version := range versions {
		for _, charset := range []string{"UNICODE UTF-8", "8859/1", "8859/15"} {
			for _, event := range []string{"I12", "I13", "I14"} {
				maker, err := generate.New(generate.Options{Seed: uint64(i), Version: version, Charset: charset, Event: event})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, own(t, fmt.Sprintf("generated/%s %s %s", version, charset, event), maker.Next().Bytes))
			}
		}
	}
	return all
}

// encodedAfresh gives what EncodeJSON makes of messages' JSON without their raw text: every field is written anew.
func encodedAfresh(t *testing.T, messages []message) []message {
	t.Helper()
	var all []message
	for _, m := range messages {
		if m.parsed == nil {
			continue
		}
		all = append(all, own(t, "encoded/"+m.name, encodeAfresh(t, m)))
	}
	return all
}

func encodeAfresh(t *testing.T, m message) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(m.parsed.AppendJSON(nil), &object); err != nil {
		t.Fatal(err)
	}
	for _, s := range object["segments"].([]any) {
		delete(s.(map[string]any), "raw")
	}
	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	er7, err := hl7v2.EncodeJSON(b)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	return er7
}

// texts are what a Builder must bring to a reader unharmed, by what is hard about them.
var texts = map[string]string{
	"delimiters":        `a|b^c~d&e\f`,
	"escapes in text":   `\F\ \T\ \E\ \X41\ \E\T\E\`,
	"escape at the end": `C:\`,
	"lone escape":       `4\5 mg`,
	"two escapes":       `\\server\share`,
	"lines":             "yksi\rkaksi\r\nkolme\nneljä",
	"frame bytes":       "\x0balku\x1cloppu",
	"letters":           "Åke Öhman, né Šimůnek, €",
	"highlights":        `\H\tärkeä\N\ loppu`,
	"breaks":            `eka\.br\toka\.sp2\kolmas`,
	"two quotes":        `""`,
	"hash":              "avain #1",
	"hash at the end":   "avain #",
	"blanks":            " edessä ja takana ",
	"ampersand in URL":  "https://example.org/?a=1&b=2",
}

// built gives messages of a Builder with every text of texts, at every level, in every version.
func built(t *testing.T) []message {
	t.Helper()
	other := hl7v2.Delimiters{Field: '*', Component: ':', Repetition: '%', Escape: '!', Subcomponent: '@'}
	truncation := hl7v2.Standard
	truncation.Truncation = '#'
	var all []message
	for _, version := range versions {
		all = append(all, own(t, "built/"+version, build(t, hl7v2.Standard, hl7v2.UTF8, version)))
		all = append(all, own(t, "built/"+version+" 8859/15", build(t, hl7v2.Standard, hl7v2.Latin9, version)))
		all = append(all, own(t, "built/"+version+" other delimiters", build(t, other, hl7v2.UTF8, version)))
		if hl7v2.VersionAtLeast(version, "2.7") {
			all = append(all, own(t, "built/"+version+" truncation", build(t, truncation, hl7v2.UTF8, version)))
			all = append(all, own(t, "built/"+version+" truncation 8859/15", build(t, truncation, hl7v2.Latin9, version)))
		}
	}
	for _, m := range all {
		checkBuilt(t, m)
	}
	return all
}

// checkBuilt shows that we ourselves read what the Builder was given. One letter of "letters" isn't in 8859/15, and
// stands there as an escape that only a receiver who was told can read.
func checkBuilt(t *testing.T, m message) {
	t.Helper()
	for i, kind := range slices.Sorted(maps.Keys(texts)) {
		got := m.parsed.Get(hl7v2.MustPath(fmt.Sprintf("OBX(%d)-5(2)", i+1))).Text()
		if got != texts[kind] && !(kind == "letters" && m.parsed.Charset() == hl7v2.Latin9) {
			t.Errorf("%s: %s came back otherwise", m.name, kind)
		}
	}
}

func build(t *testing.T, d hl7v2.Delimiters, c *hl7v2.Charset, version string) []byte {
	t.Helper()
	b := hl7v2.NewBuilder(d, c)
	b.EscapeUnknown()
	msh := b.Append("MSH")
	for field, text := range map[int]string{3: "SILTA", 4: "HELSINKI", 5: "APOTTI", 6: "HUS", 7: "20260302091500+0200", 10: "B0000001", 11: "P", 12: version} {
		msh.SetText(field, 1, 1, 1, text)
	}
	for component, text := range []string{"ORU", "R01", "ORU_R01"} {
		msh.SetText(9, 1, component+1, 1, text)
	}
	pid := b.Append("PID")
	pid.SetText(1, 1, 1, 1, "1")
	pid.SetText(3, 1, 1, 1, "010594-902P")
	pid.SetText(3, 1, 4, 2, "1.2.246.21")
	pid.SetText(3, 1, 4, 3, "ISO")
	pid.SetText(3, 3, 1, 1, "third, the second being empty")
	pid.SetText(5, 1, 1, 1, "Mäki")
	pid.SetNull(5, 1, 2, 1)
	pid.SetNull(8, 1, 1, 1)
	pid.SetText(11, 1, 1, 1, "Katu 1")
	pid.SetText(11, 1, 1, 3, "A & B")
	// One subcomponent too many for a text.
	note := b.Append("NTE")
	note.SetText(3, 1, 1, 1, "eka")
	note.SetText(3, 1, 1, 2, "toka")
	obr := b.Append("OBR")
	obr.SetText(1, 1, 1, 1, "1")
	obr.SetText(4, 1, 2, 1, "Lähete")
	coded := "CE"
	if hl7v2.VersionAtLeast(version, "2.5") {
		coded = "CWE" // CE is withdrawn from 2.7
	}
	for i, kind := range slices.Sorted(maps.Keys(texts)) {
		obx := b.Append("OBX")
		obx.SetText(1, 1, 1, 1, fmt.Sprint(i+1))
		obx.SetText(2, 1, 1, 1, []string{"ST", "TX", "FT", coded}[i%4])
		obx.SetText(3, 1, 2, 1, kind)
		obx.SetText(5, 1, 1, 1, texts[kind])
		obx.SetText(5, 2, 1, 1, texts[kind])
		obx.SetText(11, 1, 1, 1, "F")
		if i%4 == 3 {
			obx.SetText(5, 1, 3, 1, texts[kind])
			obx.SetText(5, 1, 3, 2, texts[kind])
		}
		// A segment that no version defines, and fields, components and subcomponents that none has.
		z := b.Append("ZKO")
		z.SetText(3, 2, 4, 3, texts[kind])
		obr.SetText(120+i, 1, 1, 1, texts[kind])
	}
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// oddEscapes is a message as partners write them and we don't: escapes that are misused, unusual or none at all.
func oddEscapes(t *testing.T) message {
	t.Helper()
	lines := []string{`MSH|^~\&|SILTA|HELSINKI|APOTTI|HUS|20260302091500||ORU^R01^ORU_R01|E0000001|P|2.5.1||||||UNICODE UTF-8`, `OBR|1`}
	for i, raw := range []string{
		`eka\X000d\toka`, `eka\X0D0A\toka`, `\XC3A4\iti`, `\XE4\iti`, `\X414\`, `\XGG\`, `\X\`, `4\5 mg`, `C:\temp\F\x`, `a\\b`, `lopussa\`,
		`\Q\`, `\Zoma\`, `\C2842\x\M245442\`, `\E\T\E\`, `\E\F\E\ \F\`, `\.br\F\.br\`, `\.in+4\x\.sp\y`, `\T`, `\t\`, `\F\S\T\`, `\H\\F\\N\`,
	} {
		lines = append(lines, fmt.Sprintf("OBX|%d|FT|1||%s||||||F", i+1, raw))
	}
	return own(t, "written/odd escapes", []byte(strings.Join(lines, "\r")+"\r"))
}

// acknowledgements gives our answers in both modes, with and without faults, in every version.
func acknowledgements(t *testing.T) []message {
	t.Helper()
	faults := contracts.Faults{
		{Kind: contracts.Malformed, Code: hl7v2.CodeRequired, ErrorCode: "101", At: "PID-3(2).4.2", Public: "A field is empty & needed."},
		{Kind: contracts.Malformed, Code: hl7v2.CodeTableValue, ErrorCode: "103", At: "OBX(3)-5", Public: "Arvo ei ole taulussa | ^~\\&."},
		{Kind: contracts.Malformed, Code: hl7v2.CodeBadByte, ErrorCode: "102", At: "byte 812", Public: "A byte isn't a character."},
		{Kind: contracts.Malformed, Code: hl7v2.CodeStructure, ErrorCode: "100", At: "RF1", Public: "A segment is missing.", Grade: contracts.GradeWarning},
	}
	var all []message
	for _, version := range versions {
		maker, err := generate.New(generate.Options{Version: version})
		if err != nil {
			t.Fatal(err)
		}
		original := maker.Next().Bytes
		// MSH-15 and MSH-16 ask for both acknowledgements, and MSH-3 has components.
		enhanced := []byte(strings.Replace(strings.Replace(string(original), "||||||UNICODE", "|||AL|AL||UNICODE", 1),
			"|APOTTI|", "|APOTTI^1.2.246.10^ISO|", 1))
		for mode, asked := range map[string][]byte{"original": original, "enhanced": enhanced} {
			head, err := hl7v2.Scan(asked)
			if err != nil || head.Enhanced() != (mode == "enhanced") {
				t.Fatalf("%s: the request isn't in %s mode: %v", version, mode, err)
			}
			for _, code := range []string{"AA", "AE", "AR", "CA", "CE", "CR"} {
				if mode == "original" && code[0] == 'C' {
					continue
				}
				a := hl7v2.Answer{Code: code, ControlID: "K" + code + "1", Time: time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)}
				if code[1] != 'A' {
					a.Faults, a.Text = faults, "Sanoma ei kelpaa; korjaa ja lähetä uudelleen."
				}
				all = append(all, own(t, fmt.Sprintf("acknowledgement/%s %s %s", version, mode, code), hl7v2.Acknowledge(head, a)))
			}
		}
	}
	slices.SortFunc(all, func(a, b message) int { return strings.Compare(a.name, b.name) })
	return all
}

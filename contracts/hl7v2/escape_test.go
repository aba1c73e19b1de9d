package hl7v2_test

import (
	"strings"
	"testing"
	"testing/quick"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// leafText reads raw ER7 as the only leaf of a field.
func leafText(t *testing.T, charset, raw string) string {
	t.Helper()
	m := parse(t, "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||"+charset+"\rNTE|1||"+raw+"\r")
	return m.Get(hl7v2.MustPath("NTE-3")).Text()
}

func TestEscapes(t *testing.T) {
	for _, row := range []struct{ name, charset, raw, text string }{
		{"the delimiters", "UTF-8", `\F\\S\\T\\R\\E\`, `|^&~\`},
		{"truncation", "UTF-8", `\P\`, `#`},
		{"one pass", "UTF-8", `\E\T\E\`, `\T\`},
		{"one pass with delimiters", "UTF-8", `\E\F\E\ \F\`, `\F\ |`},
		{"a lone backslash", "UTF-8", `4\5`, `4\5`},
		{"a lone backslash before an escape", "UTF-8", `4\5 \T\ 6`, `4\5 & 6`},
		{"a backslash at the end", "UTF-8", `abc\`, `abc\`},
		{"two backslashes", "UTF-8", `a\\b`, `a\\b`},
		{"a path", "UTF-8", `C:\temp\F\x`, `C:\temp|x`},
		{"one byte in hex", "UTF-8", `\X41\`, `A`},
		{"small digits", "UTF-8", `\X4a\`, `J`},
		{"line end in hex", "UTF-8", `a\X0D0A\b`, "a\r\nb"},
		{"zero bytes in hex", "UTF-8", `\X000d\`, "\x00\r"},
		{"two in a row", "UTF-8", `\X0D\\X0A\`, "\r\n"},
		{"a UTF-8 letter in hex", "UTF-8", `\XC3A4\`, "ä"},
		{"a Latin letter in hex", "8859/1", `\XE4\`, "ä"},
		{"the euro in hex", "8859/15", `\XA4\`, "€"},
		{"half a letter in hex", "UTF-8", `\XC3\`, `\XC3\`},
		{"hex with an odd digit", "UTF-8", `\X414\`, `\X414\`},
		{"hex without digits", "UTF-8", `\X\`, `\X\`},
		{"hex with letters", "UTF-8", `\XGG\`, `\XGG\`},
		{"formatting", "UTF-8", `a\.br\b\.sp2\c\.in+4\d`, `a\.br\b\.sp2\c\.in+4\d`},
		{"highlighting", "UTF-8", `\H\bold\N\`, `\H\bold\N\`},
		{"character set switches", "UTF-8", `\C2842\x\M245442\`, `\C2842\x\M245442\`},
		{"local", "UTF-8", `\Zfoo\`, `\Zfoo\`},
		{"unknown", "UTF-8", `\Q\`, `\Q\`},
		{"formatting before an escape", "UTF-8", `\.br\\T\`, `\.br\&`},
		{"formatting keeps its own backslashes", "UTF-8", `\.br\F\.br\`, `\.br\F\.br\`},
	} {
		if got := leafText(t, row.charset, row.raw); got != row.text {
			t.Errorf("%s: %q reads as %q, want %q", row.name, row.raw, got, row.text)
		}
	}
}

// A leaf with subcomponents reads as one without.
func TestEscapesInSubcomponents(t *testing.T) {
	m := parse(t, `MSH|^~\&|A|B|C|D|2026||ADT^A01|1|P|2.5`+"\r"+`NTE|1||a\T\b&c\S\d`+"\r")
	for path, want := range map[string]string{"NTE-3.1.1": "a&b", "NTE-3.1.2": "c^d"} {
		if got := m.Get(hl7v2.MustPath(path)).Text(); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// What is set is what is read, whatever the text and the delimiters are.
func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	for _, head := range []string{`MSH|^~\&`, `MSH*:?!%`, `MSH|^~\&#`, `MSH^~|\&`} {
		sep := head[3:4]
		message := head + sep + strings.Join([]string{"A", "B", "C", "D", "2026", "", "ADT", "1", "P", "2.5", "", "", "", "", "", "UTF-8"}, sep) +
			"\rNTE" + sep + "1\r"
		path := hl7v2.MustPath("NTE-3")
		check := func(text string) bool {
			m := parse(t, message)
			if err := m.SetText(path, text); err != nil {
				return !strings.Contains(text, "\ufffd") // only text that isn't UTF-8 is refused
			}
			return m.Get(path).Text() == text && m.NumSegments() == 2 && m.Segment(1).NumFields() <= 3
		}
		// Texts made of what is special, so that every neighbourhood comes up.
		letters := []string{`\`, "|", "^", "~", "&", "#", "X0D", "F", "T", "E", ".br", "H", "ä", "\r", "\n", `"`, "*", "!", ":", "%", "?", "\x0b", "\x1c", " "}
		special := func(picks []byte) bool {
			var b strings.Builder
			for _, p := range picks {
				b.WriteString(letters[int(p)%len(letters)])
			}
			return check(b.String())
		}
		if err := quick.Check(special, &quick.Config{MaxCount: 2000}); err != nil {
			t.Errorf("%s: %v", head, err)
		}
		if err := quick.Check(check, nil); err != nil {
			t.Errorf("%s: %v", head, err)
		}
	}
}

// A truncation character means something only at the end, so only there it is escaped.
func TestTruncationCharacterIsEscapedAtTheEnd(t *testing.T) {
	d := hl7v2.Standard
	d.Truncation = '#'
	if got, want := d.EncodeText("avain #1 on #"), `avain #1 on \P\`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// DecodeText is the inverse of EncodeText, and Encode writes what a character set has.
func TestTextsOfTheirOwn(t *testing.T) {
	for _, text := range []string{"", "a", "S^T&K|~", `C:\temp`, `\.br\`, "rivi\rtoinen", "Åäö €"} {
		if got := hl7v2.Standard.DecodeText(hl7v2.Standard.EncodeText(text)); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if b, ok := hl7v2.Latin1.Encode(`Å\S\`); !ok || string(b) != "\xc5\\S\\" {
		t.Errorf("Latin-1: %q %v", b, ok)
	}
	if _, ok := hl7v2.Latin1.Encode("€"); ok {
		t.Error("Latin-1 has no euro sign")
	}
}

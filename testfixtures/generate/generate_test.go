package generate_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

func maker(t *testing.T, o generate.Options) *generate.Maker {
	t.Helper()
	m, err := generate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The codes are published fictitious ones; their signs differ by century, which the check character doesn't see.
func TestHetuHasTheCheckCharacterOfPublishedTestCodes(t *testing.T) {
	for code, want := range map[string]string{"020516903": "K", "010594902": "1", "030694902": "4", "020503903": "7", "030875999": "Y", "010181900": "C"} {
		born, err := time.Parse("020106", code[:6])
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(code[7:])
		got := generate.Hetu(born, n)
		if !strings.HasSuffix(got, want) {
			t.Errorf("the check character of %s is %s, want %s", code, got[10:], want)
		}
		if len(got) != 11 || got[7] != '9' {
			t.Errorf("%s isn't of the 900 series", got)
		}
	}
}

func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	a, b := maker(t, generate.Options{Seed: 7}).Take(5), maker(t, generate.Options{Seed: 7}).Take(5)
	other := maker(t, generate.Options{Seed: 8}).Take(5)
	for i := range a {
		if !bytes.Equal(a[i].Bytes, b[i].Bytes) {
			t.Errorf("message %d differs between two runs of one seed", i+1)
		}
		if bytes.Equal(a[i].Bytes, other[i].Bytes) {
			t.Errorf("message %d is the same under another seed", i+1)
		}
	}
}

func TestAMessageSaysWhatAReferralHasTo(t *testing.T) {
	hetu := regexp.MustCompile(`^\d{6}[-A]9\d\d[0-9A-Y]\^\^\^&1\.2\.246\.21&ISO\^NNFIN$`)
	for _, m := range maker(t, generate.Options{Seed: 1}).Take(50) {
		for at, want := range map[string]string{"MSH-3": "APOTTI", "MSH-4": "HELSINKI", "MSH-5": "SILTA", "MSH-6": "HUS", "MSH-9": "REF^I12^REF_I12",
			"MSH-10": m.Control, "MSH-12": "2.5.1", "MSH-18": "UNICODE UTF-8", "RF1-1": "P", "OBR-25": "F", "OBX-2": "ED", "OBX-11": "F", "DG1-6": "W"} {
			segment, n, _ := strings.Cut(at, "-")
			field, _ := strconv.Atoi(n)
			if got := apotti.Field(m.Bytes, segment, field); got != want {
				t.Errorf("%s of message %d is %q, want %q", at, m.Number, got, want)
			}
		}
		if !hetu.MatchString(apotti.Field(m.Bytes, "PID", 3)) {
			t.Errorf("PID-3 of message %d isn't a henkilötunnus of the 900 series with its authority", m.Number)
		}
		if got := apotti.Field(m.Bytes, "RF1", 6); !strings.HasPrefix(got, m.Placer+"^^") {
			t.Errorf("RF1-6 of message %d doesn't begin with the placer id", m.Number)
		}
		if !strings.Contains("RAS", apotti.Field(m.Bytes, "RF1", 2)) {
			t.Errorf("RF1-2 of message %d is no priority of table 0280", m.Number)
		}
		if bytes.Count(m.Bytes, []byte(m.Mark)) != 1 {
			t.Errorf("message %d doesn't hold its mark once", m.Number)
		}
		if len(m.Control) > 20 {
			t.Errorf("MSH-10 of message %d is longer than ST(20)", m.Number)
		}
	}
}

func TestMessagesTakeTurnsOverReferrals(t *testing.T) {
	last := map[string]int{}
	for _, m := range maker(t, generate.Options{Referrals: 3}).Take(9) {
		want := "REF^I13^REF_I12"
		if last[m.Placer] == 0 {
			want = "REF^I12^REF_I12"
		}
		if got := apotti.Field(m.Bytes, "MSH", 9); got != want {
			t.Errorf("message %d is %s, want %s", m.Number, got, want)
		}
		last[m.Placer] = m.Number
	}
	if len(last) != 3 {
		t.Errorf("there are %d referrals, want 3", len(last))
	}
}

func TestAMessageHasTheSizeAskedFor(t *testing.T) {
	for _, size := range []int{1000, 3000, 20_000, 200_000} {
		m := maker(t, generate.Options{Size: size}).Next()
		if got := len(m.Bytes); size > 1500 && (got < size*9/10 || got > size*11/10+200) || got > size+600 {
			t.Errorf("asked for %d bytes, got %d", size, got)
		}
	}
}

func TestTheAttachmentIsAPDF(t *testing.T) {
	m := maker(t, generate.Options{Size: 20_000}).Next()
	parts := strings.Split(apotti.Field(m.Bytes, "OBX", 5), "^")
	pdf, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || parts[3] != "Base64" {
		t.Fatalf("OBX-5 isn't base64: %v", err)
	}
	if !bytes.HasPrefix(pdf, []byte("%PDF-1.4\n")) || !bytes.HasSuffix(pdf, []byte("%%EOF\n")) {
		t.Error("it doesn't begin and end as a PDF does")
	}
	at := regexp.MustCompile(`startxref\n(\d+)\n`).FindSubmatch(pdf)
	table, _ := strconv.Atoi(string(at[1]))
	if !bytes.HasPrefix(pdf[table:], []byte("xref\n0 ")) {
		t.Error("startxref doesn't lead to the table")
	}
	entries := regexp.MustCompile(`(\d{10}) 00000 n `).FindAllSubmatch(pdf[table:], -1)
	for i, e := range entries {
		begin, _ := strconv.Atoi(string(e[1]))
		if !bytes.HasPrefix(pdf[begin:], fmt.Appendf(nil, "%d 0 obj\n", i+1)) {
			t.Errorf("the table's entry for object %d leads elsewhere", i+1)
		}
	}
	if len(entries) < 6 {
		t.Errorf("the table has %d entries, want at least 6", len(entries))
	}
}

func TestCharacterSetsAreWrittenAsMSH18Says(t *testing.T) {
	for name, decode := range map[string]func([]byte) string{
		"UNICODE UTF-8": func(b []byte) string { return string(b) },
		"8859/1":        func(b []byte) string { s, _ := charmap.ISO8859_1.NewDecoder().Bytes(b); return string(s) },
		"8859/15":       func(b []byte) string { s, _ := charmap.ISO8859_15.NewDecoder().Bytes(b); return string(s) },
	} {
		m := maker(t, generate.Options{Charset: name}).Next()
		if got := apotti.Field(m.Bytes, "MSH", 18); got != name {
			t.Errorf("MSH-18 is %q, want %q", got, name)
		}
		if name != "UNICODE UTF-8" && utf8.Valid(m.Bytes) {
			t.Errorf("%s: the bytes are UTF-8", name)
		}
		if !strings.Contains(decode(m.Bytes), "Lisätietoja") {
			t.Errorf("%s: the text doesn't come back", name)
		}
	}
	if _, err := generate.New(generate.Options{Charset: "KOI8"}); err == nil {
		t.Error("an unknown character set was taken")
	}
}

func TestEachFlawIsThere(t *testing.T) {
	for _, flaw := range generate.Flaws() {
		m := maker(t, generate.Options{Seed: 3}).Broken(flaw)
		whole := maker(t, generate.Options{Seed: 3}).Next()
		if bytes.Equal(m.Bytes, whole.Bytes) {
			t.Errorf("%s: the message is whole", flaw)
		}
		if m.Control != apotti.Field(m.Bytes, "MSH", 10) {
			t.Errorf("%s: the message says another control id", flaw)
		}
	}
	if got := apotti.Field(maker(t, generate.Options{}).Broken(generate.UnmappedPriority).Bytes, "RF1", 2); got != "QQ" {
		t.Errorf("RF1-2 is %q, want QQ", got)
	}
	if utf8.Valid(maker(t, generate.Options{}).Broken(generate.WrongByte).Bytes) {
		t.Error("the wrong byte is valid UTF-8")
	}
}

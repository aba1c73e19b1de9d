package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

const small = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||8859/1\rPID|1||a^b&c~d||x\rOBX|1\rOBX|2|y|\r"

func TestSetChangesOneLeaf(t *testing.T) {
	for _, row := range []struct{ path, value, old, new string }{
		{"PID-5", "z", "||x\r", "||z\r"},
		{"PID-5.1", "z", "||x\r", "||z\r"},
		{"PID-5.2", "z", "||x\r", "||x^z\r"},
		{"PID-5(3).2.2", "z", "||x\r", "||x~~^&z\r"},
		{"PID-8", "z", "||x\r", "||x|||z\r"},
		{"PID-8.3", "z", "||x\r", "||x|||^^z\r"},
		{"PID-3", "z", "a^b&c~d", "z~d"},
		{"PID-3.2", "z", "a^b&c~d", "a^z~d"},
		{"PID-3.2.2", "z", "a^b&c~d", "a^b&z~d"},
		{"PID-3.2.3", "z", "a^b&c~d", "a^b&c&z~d"},
		{"PID-3.4.2", "z", "a^b&c~d", "a^b&c^^&z~d"},
		{"PID-3(2)", "z", "a^b&c~d", "a^b&c~z"},
		{"PID-3[1=d].2", "z", "a^b&c~d", "a^b&c~d^z"},
		{"PID-3[2.2=c].1", "z", "a^b&c~d", "z^b&c~d"},
		{"OBX(2)-2", "z", "OBX|2|y|", "OBX|2|z|"},
		{"OBX[1=2]-3", "z", "OBX|2|y|", "OBX|2|y|z"},
		{"OBX-3", "z", "OBX|1\r", "OBX|1||z\r"},
		{"PID-5", `""`, "||x\r", "||\"\"\r"},
		{"PID-5", "", "||x\r", "||\r"},
		{"PID-3.2", "", "a^b&c~d", "a^~d"},
		{"PID-30.2", "", "", ""},
		{"PID-5", `p|q^r~s\t&u`, "||x\r", `||p\F\q\S\r\R\s\E\t\T\u` + "\r"},
		{"PID-5", "rivi\nrivi", "||x\r", `||rivi\X0A\rivi` + "\r"},
		{"PID-5", `a\.br\b\H\c\Q\`, "||x\r", `||a\.br\b\H\c\E\Q\E\` + "\r"},
		{"PID-5", "Mäkelä", "||x\r", "||M\xe4kel\xe4\r"},
		{"MSH-10", "2", "|1|P", "|2|P"},
		{"MSH-3.2", "z", "|A|", "|A^z|"},
		{"MSH-18", "8859/15", "8859/1\r", "8859/15\r"},
	} {
		m := parse(t, small)
		path := hl7v2.MustPath(row.path)
		if err := m.Set(path, row.value); err != nil {
			t.Errorf("%s: %v", row.path, err)
			continue
		}
		want := strings.Replace(small, row.old, row.new, 1)
		if got := string(m.Bytes()); got != want {
			t.Errorf("%s\n got %q\nwant %q", row.path, got, want)
		}
		if v := m.Get(path); row.value != `""` && v.Text() != row.value {
			t.Errorf("%s: set %q, read %q", row.path, row.value, v.Text())
		}
	}
}

func TestSetTwoQuotesAsText(t *testing.T) {
	m := parse(t, small)
	path := hl7v2.MustPath("PID-5")
	if err := m.SetText(path, `""`); err != nil {
		t.Fatal(err)
	}
	if v := m.Get(path); v.IsNull() || v.Text() != `""` {
		t.Errorf("read %q, null %v", v.Text(), v.IsNull())
	}
}

func TestSetRefuses(t *testing.T) {
	for _, row := range []struct {
		path, value, code string
		kind              contracts.Kind
	}{
		{"PV1-3", "z", hl7v2.CodeNoSegment, contracts.NotFound},
		{"OBX(3)-3", "z", hl7v2.CodeNoSegment, contracts.NotFound},
		{"OBX[1=9]-3", "z", hl7v2.CodeNoMatch, contracts.NotFound},
		{"PID-3[1=9].1", "z", hl7v2.CodeNoMatch, contracts.NotFound},
		{"MSH-1", "z", hl7v2.CodeFixed, contracts.Invalid},
		{"MSH-2", "z", hl7v2.CodeFixed, contracts.Invalid},
		{"PID-5", "12 €", hl7v2.CodeNotInCharset, contracts.Invalid},
		{"MSH-18", "UTF-16", hl7v2.CodeCharset, contracts.Malformed},
	} {
		m := parse(t, small)
		err := m.Set(hl7v2.MustPath(row.path), row.value)
		if err == nil {
			t.Errorf("%s: no fault", row.path)
			continue
		}
		if f := contracts.FaultsOf(err)[0]; f.Code != row.code || f.Kind != row.kind {
			t.Errorf("%s: got %v, want %s %s", row.path, f, row.kind, row.code)
		}
		if string(m.Bytes()) != small {
			t.Errorf("%s: the message changed", row.path)
		}
	}
}

func TestSetKeepsABytesOrderMark(t *testing.T) {
	m := parse(t, "\ufeff"+strings.Replace(small, "8859/1", "UTF-8", 1))
	if err := m.Set(hl7v2.MustPath("PID-5"), "ä"); err != nil {
		t.Fatal(err)
	}
	if got := string(m.Bytes()); !strings.HasPrefix(got, "\ufeffMSH") || !strings.Contains(got, "||ä\r") {
		t.Errorf("got %q", got)
	}
}

// A message that doesn't name its character set stays readable in the one it was read in.
func TestSetKeepsTheCharsetThatWasGiven(t *testing.T) {
	silent := "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID|\xe4\r"
	m := parse(t, silent, hl7v2.WithDefaultCharset(hl7v2.Latin1))
	if err := m.Set(hl7v2.MustPath("PID-2"), "ö"); err != nil {
		t.Fatal(err)
	}
	if got := string(m.Bytes()); got != strings.Replace(silent, "\xe4", "\xe4|\xf6", 1) {
		t.Errorf("got %q", got)
	}
}

package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestBuilder(t *testing.T) {
	b := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.Latin9)
	pid := b.Append("PID")
	pid.SetText(5, 1, 2, 1, "Åsa & Co")
	pid.SetText(5, 1, 1, 1, "Mäkelä")
	pid.SetText(3, 2, 4, 2, "1.2.246.21")
	pid.SetNull(3, 1, 1, 1)
	pid.SetRaw(11, 0, 0, 0, []byte("a^b~c\xe4"))
	pid.SetRaw(13, 2, 0, 0, []byte("1&2^3"))
	pid.SetText(14, 1, 1, 1, "")
	msh := b.Insert(0, "MSH")
	msh.SetText(3, 0, 0, 0, "SILTA")
	msh.SetText(9, 1, 1, 1, "REF")
	msh.SetText(9, 1, 2, 1, "I12")
	msh.SetText(12, 1, 1, 1, "2.5.1")
	b.Append("ZZZ")
	b.Append("NTE").SetText(3, 1, 1, 1, "€ | \r\n")
	b.Remove(2)
	got, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := "MSH|^~\\&|SILTA||||||REF^I12|||2.5.1||||||8859/15\r" +
		"PID|||\"\"~^^^&1.2.246.21||M\xe4kel\xe4^\xc5sa \\T\\ Co||||||a^b~c\xe4||~1&2^3\r" +
		"NTE|||\xa4 \\F\\ \\X0D\\\\X0A\\\r"
	if string(got) != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	m := parse(t, string(got))
	if m.Charset() != hl7v2.Latin9 || m.Get(hl7v2.MustPath("NTE-3")).Text() != "€ | \r\n" {
		t.Errorf("read back %q in %s", m.Get(hl7v2.MustPath("NTE-3")).Text(), m.Charset().Name())
	}
}

func TestBuilderReadsBackWhatWasSet(t *testing.T) {
	s := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.UTF8).Append("PID")
	s.SetText(3, 1, 1, 1, "x")
	s.SetText(3, 3, 1, 1, "y")
	s.SetText(3, 1, 1, 2, "z") // the leaf x becomes its component's first subcomponent
	s.SetNull(4, 1, 1, 1)
	s.SetRaw(5, 0, 0, 0, []byte("a^b"))
	for _, row := range []struct {
		field, rep, comp, sub int
		text                  string
		state                 hl7v2.State
	}{
		{3, 1, 1, 1, "x", hl7v2.Filled}, {3, 1, 1, 2, "z", hl7v2.Filled}, {3, 0, 0, 0, "x", hl7v2.Filled},
		{3, 2, 1, 1, "", hl7v2.Absent}, {3, 4, 1, 1, "", hl7v2.Absent}, {4, 1, 1, 1, "", hl7v2.Null}, {5, 1, 2, 1, "", hl7v2.Filled},
		{9, 1, 1, 1, "", hl7v2.Absent},
	} {
		if text, state := s.Get(row.field, row.rep, row.comp, row.sub); text != row.text || state != row.state {
			t.Errorf("%+v: got %q, %d", row, text, state)
		}
	}
	if s.Reps(3) != 3 || s.Reps(4) != 1 || s.Reps(9) != 0 || s.IsEmpty() {
		t.Errorf("%d %d %d repetitions", s.Reps(3), s.Reps(4), s.Reps(9))
	}
}

func TestBuilderNamesWhatTheCharsetLacks(t *testing.T) {
	b := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.Latin1)
	b.Append("MSH")
	b.Append("PID").SetText(5, 2, 1, 1, "Šimun")
	b.Append("NTE")
	b.Append("NTE").SetText(3, 1, 1, 1, "5 €")
	_, err := b.Bytes()
	faults := contracts.FaultsOf(err)
	if len(faults) != 2 || faults[0].At != "PID-5(2).1.1" || faults[1].At != "NTE(2)-3(1).1.1" {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "€") {
		t.Error("the fault holds the value")
	}
	b.EscapeUnknown()
	got, err := b.Bytes()
	if err != nil || !strings.Contains(string(got), `5 \XE282AC\`) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestBuilderLeavesOutTrailingEmpties(t *testing.T) {
	b := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.ASCII)
	b.Append("MSH")
	s := b.Append("PID")
	s.SetText(3, 1, 1, 1, "x")
	s.SetText(3, 1, 1, 3, "")
	s.SetText(3, 1, 4, 1, "")
	s.SetText(3, 2, 1, 1, "")
	s.SetText(9, 1, 1, 1, "")
	got, err := b.Bytes()
	if err != nil || string(got) != "MSH|^~\\&\rPID|||x\r" {
		t.Errorf("got %q, %v", got, err)
	}
}

// What the character set lacks is a fault, or an escape whose place is told.
func TestWhatTheCharsetLacks(t *testing.T) {
	make := func(escape bool) *hl7v2.Builder {
		b := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.Latin1)
		if escape {
			b.EscapeUnknown()
		}
		b.Append("MSH").SetText(9, 1, 1, 1, "ADT")
		b.Append("NTE").SetText(3, 1, 1, 1, "Å")
		b.Append("NTE").SetText(3, 2, 1, 1, "5 €")
		return b
	}
	if _, err := make(false).Bytes(); outcomes(contracts.FaultsOf(err)) != "024 NTE(2)-3(2).1.1" {
		t.Errorf("got %v", err)
	}
	b := make(true)
	out, err := b.Bytes()
	if err != nil || !strings.Contains(string(out), `NTE|||~5 \XE282AC\`) || len(b.Escaped()) != 1 || b.Escaped()[0].String() != "NTE(2)-3(2).1.1" {
		t.Errorf("got %q, %v, at %v", out, err, b.Escaped())
	}
}

// A Builder that begins anew holds nothing of the message before.
func TestBuilderBeginsAnew(t *testing.T) {
	b := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.Latin1)
	b.Append("MSH").SetText(9, 1, 1, 1, "ADT")
	b.Append("PID").SetRaw(5, 0, 0, 0, []byte("a^b"))
	b.Reset(hl7v2.Standard, hl7v2.ASCII)
	b.Append("MSH")
	b.Append("PID").SetText(5, 1, 2, 1, "c")
	got, err := b.Bytes()
	if want := "MSH|^~\\&\rPID|||||^c\r"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

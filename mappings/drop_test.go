package mappings

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// dropping is the base map of referrals with a few lines more.
func dropping(t *testing.T, lines string) *Map {
	t.Helper()
	c, err := Load(Embedded, fstest.MapFS{"catalog/own/0.1.0/map.yaml": {Data: []byte("silta: map/v1\nid: own\nversion: 0.1.0\nextends: ref-i12@0.1.0\n" + lines)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Map("own")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWhatIsIgnoredAndReadIsTold: no built-in map ignores what a rule of its own reads; a map that stands on one is told of the
// base's rule and a block's, and not where its own rule reads what the base ignores.
func TestWhatIsIgnoredAndReadIsTold(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		if told := ignoredRead(m); len(told) > 0 {
			t.Errorf("%s: %v", m.Name(), told)
		}
	}
	for _, row := range []struct{ name, lines, rule string }{
		{"notes", "ignore:\n  v2: {NTE: \"not for them\"}\n", "it is read by sr.notes.text, "},
		{"telephones, of a block", "ignore:\n  v2: {PID-13: \"not for them\"}\n", "pat.phones"},
		{"a component of one", "ignore:\n  v2: {PID-13.1: \"not for them\"}\n", "pat.phones"},
		{"a name beside its code", "ignore:\n  v2: {PRD-1.2: \"the code says it\"}\n", ""},
		{"a rule of its own", "rules:\n  - {id: land, v2: MSH-17, fhir: sr.patientInstruction, dir: \"->\"}\n", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			told := ignoredRead(dropping(t, row.lines))
			if row.rule == "" && len(told) > 0 || row.rule != "" && (len(told) == 0 || !strings.Contains(told[0], row.rule)) {
				t.Errorf("told: %v", told)
			}
		})
	}
}

// ignoredRead are the texts of a map's warnings that a rule reads what is ignored.
func ignoredRead(m *Map) (texts []string) {
	for _, v := range m.versions {
		for file := range m.editions[v]().told {
			for _, f := range file.with([]*Map{m}).faults {
				if f.Code == CodeIgnoredRead && !slices.Contains(texts, f.Public) {
					texts = append(texts, f.Public)
				}
			}
		}
	}
	return texts
}

// TestWhatIsDroppedIsGone sends fields through a map that drops some of them: what is dropped is told, isn't in the Bundle,
// and doesn't come back; its neighbours do.
func TestWhatIsDroppedIsGone(t *testing.T) {
	m := dropping(t, "v2: {zsegments: {ZAP: {after: RF1, fields: [CWE]}, ZAB: {after: ZAP, fields: [CWE]}}}\n"+
		"drop:\n  v2: {PID-9: \"old name\", ZAP: \"their own\", ZAB-1.2: \"a wording\"}\n")
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|KAARNA||||20260302100000+0200||REF^I12|KAA-1|P|2.5.1||||||UNICODE UTF-8\rRF1|P\rZAP|dropped^one\rZAB|kept^dropped~also kept\r" +
		"PRD|RP|Hägg^Aino\rPID|1||4711^^^KAARNA^MR||Mäki^Åsa||||dropped^name|2106-3\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(res.Bundle.Append(nil)), "dropped") {
		t.Error("what is dropped stands in the Bundle")
	}
	var told []string
	for _, f := range res.Findings {
		if f.Code == CodeDeclared {
			told = append(told, f.At)
		}
	}
	if got := strings.Join(told, " "); got != "ZAP-1 ZAB-1 PID-9" {
		t.Errorf("told as dropped: %s", got)
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(back.Message.Bytes())
	if strings.Contains(text, "dropped") || strings.Contains(text, "ZAP") || !strings.Contains(text, "ZAB|kept~also kept\r") || !strings.Contains(text, "|2106-3\r") {
		t.Error("the way back brings what is dropped, or not what isn't")
	}
}

// TestAMapThatWithholdsCounts: one note instead of a finding a place, and what changes the meaning still parks.
func TestAMapThatWithholdsCounts(t *testing.T) {
	base, msg := referral(t)
	res, err := base.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	header := res.Bundle.Root().Get("entry").At(0).Get("resource")
	header.Add("reason", fhir.Object()).Add("text", fhir.String("nobody carries this"))
	plain, err := base.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	lost := func(findings contracts.Faults, code string) (n int) {
		for _, f := range findings {
			if f.Code == code {
				n++
			}
		}
		return n
	}
	m := dropping(t, "loss: {fhir: withheld}\n")
	quiet, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if n := lost(plain.Findings, CodeLeafLost); n == 0 || lost(quiet.Findings, CodeLeafLost) > 0 || lost(quiet.Findings, CodeDeclared) != 1 {
		t.Errorf("without it %d leaves are reported; with it %d, and %d notes", n, lost(quiet.Findings, CodeLeafLost), lost(quiet.Findings, CodeDeclared))
	}
	header.Add("implicitRules", fhir.String("urn:example:rules"))
	if _, err := m.Reverse(res.Bundle, Context{}); err == nil {
		t.Error("an unknown rule set of the message doesn't park")
	}
}

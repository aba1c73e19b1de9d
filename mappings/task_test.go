package mappings

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// tasked is a map whose code maps let unknown codes go on: into a code of a closed value set, an open one, a concept of a
// coded field, and one of a field without components.
const tasked = `silta: map/v1
id: tasked
version: 0.1.0
title: {en: "Tasks"}
v2:   {structure: REF_I12, events: [I12], versions: ["2.5.1"]}
fhir: {release: "4.0.1", bundle: message}
names: {own: "urn:oid:1.2.246.537.6.999"}
resources:
  msh: {type: MessageHeader, from: MSH, always: true}
  sr:  {type: ServiceRequest, from: message, always: true}
  pat: {type: Patient, from: PID}
links:
  - {fhir: msh.focus, to: sr}
  - {fhir: sr.subject, to: pat}
const:
  - {fhir: msh.eventCoding.code, value: request}
  - {fhir: sr.status, value: active}
  - {fhir: sr.intent, value: order}
  - {v2: MSH-9.1, value: REF}
  - {v2: MSH-9.2, value: I12}
rules:
  - {id: source,  v2: MSH-3,     fhir: msh.source,  as: hd-endpoint}
  - {id: names,   v2: PID-5(*),  fhir: pat.name(*), as: xpn}
  - {id: sex,     v2: PID-8,     fhir: pat.gender,  code: sex}
  - {id: tongue,  v2: PID-15.1,  fhir: "pat.communication(1).language", code: tongue}
  - {id: reasons, v2: RF1-10(*), fhir: sr.reasonCode(*), code: reason}
  - id: sort
    first:
      - {id: coded, v2: RF1-2, fhir: sr.priority, code: urgency}
      - {id: plain, v2: RF1-2.1, fhir: sr.patientInstruction, dir: "->"}
codes:
  sex:     {unmapped: task, map: {F: female, M: male, O: other, U: unknown}}
  tongue:  {unmapped: task, system: "urn:ietf:bcp:47", map: {SU: fi}, table: "0296"}
  reason:  {unmapped: task, system: $own, map: {ERI: specialist}, table: 99K}
  urgency: {unmapped: task, map: {R: routine, S: stat, A: asap}, reverseOnly: {urgent: A}}
`

func compileText(t *testing.T, text string) *Map {
	t.Helper()
	m, faults := catalog(t).CompileFile("map.yaml", []byte(text))
	if m == nil {
		t.Fatal(faults)
	}
	return m
}

// A code that nobody knows goes on as the sender's own, or not at all, and is told once; never does it get the system of
// the map's codes.
func TestAnUnknownCodeGoesOnAndIsTold(t *testing.T) {
	m := compileText(t, tasked)
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|K||||||REF^I12|1|P|2.5.1||||||UNICODE UTF-8\rRF1||Q||||||||ERI~OMA^Own words\rPID|1||||Laine|||X|||||||XX\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tasks(res), []string{"PID-15(1).1", "PID-8(1).1", "RF1-10(2).1"}; !slices.Equal(got, want) {
		t.Errorf("tasks at %v, want %v", got, want)
	}
	made := string(res.Bundle.Append(nil))
	for _, want := range []string{
		`"reasonCode":[{"coding":[{"system":"urn:oid:1.2.246.537.6.999","code":"specialist"}]},{"coding":[{"system":"https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/99K","code":"OMA","display":"Own words"}]}]`,
		`"language":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0296","code":"XX"}]}`,
		`"patientInstruction":"Q"`,
	} {
		if !strings.Contains(made, want) {
			t.Errorf("the result lacks %s\n%s", want, made)
		}
	}
	if strings.Contains(made, "gender") || strings.Contains(made, "priority") {
		t.Errorf("a code that has no place was written: %s", made)
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lines(back.Message.Bytes()), lines(msg.Bytes()); got != want {
		t.Errorf("back:\n%s\nwant\n%s", got, want)
	}
}

// On the way back a coding of another system stands where the field has room for its system, and nowhere else.
func TestAnUnknownCodeOnTheWayBack(t *testing.T) {
	m := compileText(t, tasked)
	for _, row := range []struct{ name, reason, language, want, at string }{
		{"another system in a coded field", `{"coding":[{"system":"http://snomed.info/sct","code":"22","display":"Pain"}]}`, "", "RF1||||||||||22^Pain^SCT", "reasonCode[0].coding[0].code"},
		{"an unknown code of the map's system", `{"coding":[{"system":"urn:oid:1.2.246.537.6.999","code":"new"}]}`, "", "RF1||||||||||new^^1.2.246.537.6.999", "reasonCode[0].coding[0].code"},
		{"no system beside a table", `{"coding":[{"code":"new"}]}`, "", "", "reasonCode[0].coding[0]"},
		{"the table of a field without components", "", `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0296","code":"XX"}]}`, "PID|1||||Laine||||||||||XX", "language.coding[0].code"},
		{"another system in a field without components", "", `{"coding":[{"system":"http://snomed.info/sct","code":"22"}]}`, "", "language.coding[0]"},
		{"no code at all", `{"text":"Pain"}`, "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			reason, language := "", ""
			if row.reason != "" {
				reason = `,"reasonCode":[` + row.reason + `]`
			}
			if row.language != "" {
				language = `,"communication":[{"language":` + row.language + `}]`
			}
			bundle, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Bundle","type":"message","identifier":{"value":"1"},"entry":[
{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"MessageHeader","eventCoding":{"code":"request"},"source":{"name":"K","endpoint":"urn:k"},"focus":[{"reference":"urn:uuid:00000000-0000-4000-8000-000000000002"}]}},
{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000002","resource":{"resourceType":"ServiceRequest","status":"active","intent":"order"%s,"subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000003"}}},
{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000003","resource":{"resourceType":"Patient","name":[{"family":"Laine"}]%s}}]}`, reason, language))
			if err != nil {
				t.Fatal(err)
			}
			back, err := m.Reverse(bundle, Context{})
			if err != nil {
				t.Fatal(err)
			}
			text := lines(back.Message.Bytes())
			if row.want == "" && (strings.Contains(text, "RF1") || strings.Contains(text, "Laine|")) || !strings.Contains(text, row.want) {
				t.Errorf("want %q in\n%s", row.want, text)
			}
			told := tasks(back)
			if row.at == "" && len(told) > 0 || row.at != "" && (len(told) != 1 || !strings.HasSuffix(told[0], row.at)) {
				t.Errorf("tasks at %v, want %s", told, row.at)
			}
		})
	}
}

// tasks are the places of codes that go on without a translation, each of which must stop nothing.
func tasks(r *Result) []string {
	var at []string
	for _, f := range r.Findings {
		if f.Code == CodeTask && f.Kind == contracts.Unmapped && f.Grade == contracts.GradeWarning {
			at = append(at, f.At)
		}
	}
	slices.Sort(at)
	return at
}

// TestWhatALensRefusesIsLeftOut: the message goes on without a value that a rule may leave out, somebody is told, what stands
// beside it is carried, and the residue brings the value back.
func TestWhatALensRefusesIsLeftOut(t *testing.T) {
	m := compileText(t, strings.NewReplacer("codes:\n", "  - {id: born, v2: PID-7, fhir: pat.birthDate, as: date, invalid: task}\n"+
		"  - {id: written, v2: RF1-9, fhir: sr.authoredOn, as: datetime}\n"+
		"  - id: homes\n    v2: PID-11(*)\n    fhir: pat.address(*)\n    rules:\n      - {id: city, v2: it.3, fhir: it.city}\n      - {id: since, v2: it.13, fhir: it.period.start, as: datetime, invalid: task}\n"+
		"codes:\n").Replace(tasked))
	send := func(born, written string) (*Result, error) {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|KAARNA||||20260302100000+0200||REF^I12|KAA-1|P|2.5.1||||||UNICODE UTF-8\rRF1|||||||||" + written +
			"\rPID|1||||Mäki^Åsa||" + born + "||||^^Espoo^^^^^^^^^^joskus~^^Vantaa^^^^^^^^^^20200101\r"))
		if err != nil {
			t.Fatal(err)
		}
		return m.Forward(msg, Context{Residue: true})
	}
	res, err := send("19801399", "20260301")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, f := range res.Findings {
		if f.Code == CodeLeftOut && f.Kind == contracts.Invalid && f.Grade == contracts.GradeWarning {
			told = append(told, f.At)
		}
	}
	if want := []string{"PID-7(1)", "PID-11(1).13"}; !slices.Equal(told, want) {
		t.Errorf("told as left out: %v, want %v", told, want)
	}
	text := string(res.Bundle.Append(nil))
	for _, want := range []string{`"city":"Espoo"`, `"city":"Vantaa"`, `"start":"2020-01-01"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the Bundle lacks %s", want)
		}
	}
	if strings.Contains(text, "birthDate") {
		t.Error("a date that isn't one stands in the Bundle")
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(back.Message.Bytes()); !strings.Contains(got, "|19801399|") || !strings.Contains(got, "^^Espoo^^^^^^^^^^joskus~^^Vantaa") {
		t.Error("the way back doesn't bring what was left out")
	}
	if _, err := send("19801301", "keväällä"); err == nil {
		t.Error("a rule that doesn't say so leaves its value out")
	}
}

// A code is whose its third component says, both ways: what a code map doesn't know goes to the next alternative, or nowhere.
func TestACodeIsNeverNamedAnotherSystems(t *testing.T) {
	first := strings.NewReplacer("  - {id: reasons, v2: RF1-10(*), fhir: sr.reasonCode(*), code: reason}\n", `  - id: reasons
    first:
      - {id: own, if: "RF1-10(1).3=99KUU", v2: RF1-10(1), fhir: sr.reasonCode(1), code: kuudx}
      - {id: other, v2: RF1-10(1), fhir: sr.reasonCode(1), as: cwe}
`, "  reason:  {", "  kuudx:   {unmapped: task, system: $own, map: {KS12: specialist}, table: 99KUU}\n  reason:  {").Replace(tasked)
	inside := strings.NewReplacer("    first:\n      - {id: own, if: \"RF1-10(1).3=99KUU\", v2: RF1-10(1), fhir: sr.reasonCode(1),", "    v2: ZDX(*)\n    fhir: sr.reasonCode(*)\n    rules:\n      - id: code\n        first:\n          - {id: own, if: \"it-1.3=99KUU\", v2: it-1, fhir: it.coding(1),",
		"      - {id: other, v2: RF1-10(1), fhir: sr.reasonCode(1), as: cwe}", "          - {id: other, v2: it-1, fhir: it.coding(1), as: cwe-coding}",
		`versions: ["2.5.1"]`, `versions: ["2.5.1"], zsegments: {ZDX: {after: RF1, fields: [CWE]}}`).Replace(first)
	alone := strings.Replace(first, "      - {id: other, v2: RF1-10(1), fhir: sr.reasonCode(1), as: cwe}\n", "", 1)
	lens := strings.Replace(alone, "code: kuudx}", "as: cwe}", 1)
	open := strings.Replace(tasked, "table: 99K}", "table: 99KUU}", 1)
	keep := strings.Replace(open, "reason:  {unmapped: task", "reason:  {unmapped: keep", 1)
	for _, row := range []struct{ name, text, sent, back string }{
		{"another system, first", first, "H40.1^Glaukooma^ICD-10", "H40.1^Glaukooma^I10"},
		{"the map's code, first", first, "KS12^^99KUU", "KS12^^99KUU"},
		{"the table's unknown code, first", first, "KS9^Words^99KUU", "KS9^Words^99KUU"},
		{"another system's code that reads as the map's", open, "ERI^X^I10", "ERI^X^I10"},
		{"another system's code that reads as the map's, kept", keep, "ERI^X^I10", "ERI^X^I10"},
		{"a house's own beside one of HL7's tables", strings.Replace(tasked, "table: 99K}", `table: "0282"}`, 1), "ERI^X^99OMA", "ERI^X^99OMA"},
		{"a wrong number of HL7's", strings.Replace(tasked, "table: 99K}", `table: "0282"}`, 1), "ERI^X^HL72802", "ERI^^HL70282"},
		{"no system", open, "ERI", "ERI^^99KUU"},
		{"another system, in a nested rule", inside, "|\rZDX|H40.1^Glaukooma^ICD-10", "H40.1^Glaukooma^I10"},
		{"the map's code, in a nested rule", inside, "|\rZDX|KS12^^99KUU", "KS12^^99KUU"},
		{"no way out", alone, "", ""},
		{"a lens beside another system", lens, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := compileText(t, row.text)
			sent := row.sent
			if sent == "" {
				sent = "H40.1^Glaukooma^ICD-10"
			}
			msg, err := hl7v2.Parse([]byte("MSH|^~\\&|K||||||REF^I12|1|P|2.5.1||||||UNICODE UTF-8\rRF1||||||||||" + sent + "\rPID|1||||Laine\r"))
			if err != nil {
				t.Fatal(err)
			}
			writer := m
			if row.sent == "" {
				writer = compileText(t, first) // the rule of this one doesn't read the code
			}
			res, err := writer.Forward(msg, Context{})
			if err != nil {
				t.Fatal(err)
			}
			back, err := m.Reverse(res.Bundle, Context{})
			if err != nil {
				t.Fatal(err)
			}
			text := lines(back.Message.Bytes())
			if row.back != "" && !strings.Contains(text, "|"+row.back+"\n") || row.back == "" && (strings.Contains(text, "H40.1") || len(back.Findings) == 0) {
				t.Errorf("back: want %q in\n%s\n%v", row.back, text, back.Findings)
			}
		})
	}
	strict := compileText(t, strings.Replace(open, "reason:  {unmapped: task", "reason:  {unmapped: error", 1))
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|K||||||REF^I12|1|P|2.5.1||||||UNICODE UTF-8\rRF1||||||||||ERI^X^I10\rPID|1||||Laine\r"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Forward(msg, Context{}); err == nil || contracts.FaultsOf(err)[0].Code != CodeUnmapped {
		t.Errorf("another system's code is read as one of the map's: %v", err)
	}
}

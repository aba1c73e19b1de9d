package mappings

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// cellsOf lays out ER7 texts as cells, one a field.
func cellsOf(t testing.TB, typ []string, fields ...string) (*dialect, []cell) {
	t.Helper()
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|||2026||REF^I12|1|P|2.5.1||||||UNICODE UTF-8\rZZZ|" + strings.Join(fields, "|")))
	if err != nil {
		t.Fatal(err)
	}
	d := &dialect{}
	d.layout(msg)
	var cells []cell
	for i := range fields {
		cells = append(cells, cell{d: d, seg: &d.segments[1], field: int16(i + 1), rep: 1, typ: typ[min(i, len(typ)-1)]})
	}
	return d, cells
}

// through runs get on the fields and put on what it made: the JSON of the elements, and the fields written back.
func through(t testing.TB, l *lens, system string, types []string, fields []string) (json string, back []string, why string) {
	t.Helper()
	d, cells := cellsOf(t, types, fields...)
	zone, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		t.Fatal(err)
	}
	f := &forward{p: &program{version: "2.5.1"}, d: d, zone: zone, arena: &arena{}, op: &op{}}
	root := f.arena.new("", nil)
	g := &getter{run: f, in: cells, system: system}
	names := []string{"one", "two"}[:l.elements]
	for _, name := range names {
		g.out = append(g.out, f.child(root, name))
	}
	if why = l.get(g); why != "" {
		for _, n := range g.out {
			if n.holds() {
				t.Errorf("%s refuses %q, and has written something", l.name, fields)
			}
		}
		return "", nil, "get: " + why
	}
	tree := &fhir.Tree{}
	root.emit(tree.Reset(""), nil, func(*node, fhir.Node) {})
	p := &putter{types: types, version: "2.5.1", system: system}
	for len(p.types) < l.cells {
		p.types = append(p.types, types[len(types)-1])
	}
	p.fields = slices.Repeat([]bool{true}, len(p.types))
	for i, n := range g.out {
		if !n.holds() {
			g.out[i] = nil
		}
	}
	p.in = g.out
	if why = l.put(p); why != "" {
		return "", nil, "put: " + why
	}
	return string(tree.Append(nil)), encode(t, l.cells, p.writes), ""
}

// encode writes a lens's components as ER7 fields.
func encode(t testing.TB, cells int, writes []written) []string {
	t.Helper()
	b := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.UTF8)
	s := b.Append("ZZZ")
	for _, w := range writes {
		s.SetText(int(w.cell)+1, 1, int(w.comp), int(w.sub), w.text)
	}
	data, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(strings.TrimSuffix(string(data), "\r"), "|")[1:]
	for len(fields) < cells {
		fields = append(fields, "")
	}
	return fields
}

var lensValues = []struct {
	lens, system string
	types        []string
	fields       []string
	json         string   // what get makes; empty: get refuses
	back         []string // what put writes; nil: the same fields
}{
	{"string", "", []string{"ST"}, []string{"Öinen"}, `{"one":"Öinen"}`, nil},
	{"string", "", []string{"ST"}, []string{" "}, "", nil},
	{"line", "", []string{"ST"}, []string{"yksi rivi"}, `{"one":"yksi rivi"}`, nil},
	{"line", "", []string{"ST"}, []string{`kaksi\.br\riviä`}, "", nil},
	{"text", "", []string{"FT"}, []string{`kaksi\.br\riviä \T\ yksi`}, `{"one":"kaksi\nriviä & yksi"}`, nil},
	{"text", "", []string{"TX"}, []string{`a^b&c`}, `{"one":"a^b&c"}`, []string{`a\S\b\T\c`}},
	{"text-base64", "", []string{"TX"}, []string{"Löydös"}, `{"one":"TMO2eWTDtnM="}`, nil},
	{"yes-no", "", []string{"ID"}, []string{"Y"}, `{"one":true}`, nil},
	{"yes-no", "", []string{"ID"}, []string{"K"}, "", nil},
	{"death-time", "", []string{"TS", "ID"}, []string{"20260115", "Y"}, `{"one":"2026-01-15"}`, nil},
	{"death-time", "", []string{"TS", "ID"}, []string{"20260115", "N"}, "", nil},
	{"death-time", "", []string{"TS", "ID"}, []string{"", "Y"}, "", nil},
	{"whole", "", []string{"NM"}, []string{"2"}, `{"one":2}`, nil},
	{"whole", "", []string{"NM"}, []string{"02"}, "", nil},
	{"date", "", []string{"TS"}, []string{"199405"}, `{"one":"1994-05"}`, nil},
	{"date", "", []string{"TS"}, []string{"19940501103000"}, `{"one":"1994-05-01"}`, []string{"19940501"}},
	{"date", "", []string{"TS"}, []string{" 19940501"}, `{"one":"1994-05-01"}`, []string{"19940501"}},
	{"date", "", []string{"TS"}, []string{"19761325"}, "", nil},
	{"datetime", "", []string{"TS"}, []string{"2026"}, `{"one":"2026"}`, nil},
	{"datetime", "", []string{"TS"}, []string{"202607011530"}, `{"one":"2026-07-01T15:30:00+03:00"}`, []string{"20260701153000+0300"}},
	{"datetime", "", []string{"TS"}, []string{"20260701153000.1234-0500"}, `{"one":"2026-07-01T15:30:00.1234-05:00"}`, nil},
	{"datetime", "", []string{"TS"}, []string{"202603290330"}, "", nil}, // the hour that summer time leaves out
	{"datetime", "", []string{"TS"}, []string{"202610250330"}, `{"one":"2026-10-25T03:30:00+03:00"}`, []string{"20261025033000+0300"}},
	{"instant", "", []string{"TS"}, []string{"20260302"}, `{"one":"2026-03-02T00:00:00+02:00"}`, []string{"20260302000000+0200"}},
	{"instants", "", []string{"TS"}, []string{"20260302100000+0200", ""}, `{"one":"2026-03-02T10:00:00+02:00"}`, nil},
	{"period", "", []string{"TS"}, []string{"20260302", "202606"}, `{"one":{"start":"2026-03-02","end":"2026-06"}}`, nil},
	{"period", "", []string{"TS"}, []string{"", "2026"}, `{"one":{"end":"2026"}}`, nil},
	{"start-duration", "", []string{"TS", "NM", "CE"}, []string{"20260302100000+0200", "2", "HR"}, `{"one":"2026-03-02T10:00:00+02:00","two":"2026-03-02T12:00:00+02:00"}`, []string{"20260302100000+0200", "120", "min"}},
	{"start-open", "", []string{"TS"}, []string{"20260302100000+0200"}, `{"one":"2026-03-02T10:00:00+02:00","_end":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}`, nil},
	{"minutes", "", []string{"NM", "CE"}, []string{"30", "min"}, `{"one":30}`, nil},
	{"minutes", "", []string{"NM", "CE"}, []string{"puoli", "min"}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"140.0", "g/L^^UCUM"}, `{"one":{"value":140.0,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"}}`, nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"+007.50", "kpl"}, `{"one":{"value":7.50,"unit":"kpl"}}`, []string{"7.50", "kpl"}},
	{"quantity", "", []string{"NM", "CE"}, []string{"1e2", ""}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"7,2", "mmol/l"}, `{"one":{"value":7.2,"unit":"mmol/l"}}`, []string{"7.2", "mmol/l"}},
	{"quantity", "", []string{"NM", "CE"}, []string{"<0,125", "mg/l"}, `{"one":{"comparator":"<","value":0.125,"unit":"mg/l"}}`, []string{"<0.125", "mg/l"}},
	{"quantity", "", []string{"NM", "CE"}, []string{"-1250,125", ""}, `{"one":{"value":-1250.125}}`, []string{"-1250.125", ""}},
	{"quantity", "", []string{"NM", "CE"}, []string{"1,234", "E9/l"}, "", nil}, // or is it a thousand?
	{"quantity", "", []string{"NM", "CE"}, []string{"1,2,3", ""}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"7,", ""}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"1.2,3", ""}, "", nil},
	{"sn-quantity", "", []string{"SN", "CE"}, []string{">=^12.50", "mg/l"}, `{"one":{"comparator":">=","value":12.50,"unit":"mg/l"}}`, nil},
	{"sn-quantity", "", []string{"SN", "CE"}, []string{"=^5", ""}, `{"one":{"value":5}}`, []string{"^5", ""}},
	{"sn-quantity", "", []string{"SN", "CE"}, []string{"^1^:^128", ""}, "", nil},
	{"sn-quantity", "", []string{"SN", "CE"}, []string{"<>^1", ""}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"<5", "mg/l^^UCUM"}, `{"one":{"comparator":"<","value":5,"unit":"mg/l","system":"http://unitsofmeasure.org","code":"mg/l"}}`, nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"<=0.50", "ng/l"}, `{"one":{"comparator":"<=","value":0.50,"unit":"ng/l"}}`, nil},
	{"quantity", "", []string{"NM", "CE"}, []string{">=90", ""}, `{"one":{"comparator":">=","value":90}}`, nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"> 100", "U/l"}, `{"one":{"comparator":">","value":100,"unit":"U/l"}}`, []string{">100", "U/l"}},
	{"quantity", "", []string{"NM", "CE"}, []string{"<>1", ""}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"=5", ""}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"<", "mg/l"}, "", nil},
	{"quantity", "", []string{"NM", "CE"}, []string{"", "mg/l"}, "", nil},
	{"sn-quantity", "", []string{"SN", "CE"}, []string{"", "mg/l"}, "", nil},
	{"sn-range", "", []string{"SN", "CE"}, []string{"^10^-^20.50", "mg/l^^UCUM"},
		`{"one":{"low":{"value":10,"unit":"mg/l","system":"http://unitsofmeasure.org","code":"mg/l"},"high":{"value":20.50,"unit":"mg/l","system":"http://unitsofmeasure.org","code":"mg/l"}}}`, nil},
	{"sn-range", "", []string{"SN", "CE"}, []string{">^10^-^20", "mg/l"}, "", nil},
	{"sn-range", "", []string{"SN", "CE"}, []string{"^1^:^128", ""}, "", nil},
	{"sn-range", "", []string{"SN", "CE"}, []string{"", "mg/l"}, "", nil},
	{"sn-ratio", "", []string{"SN"}, []string{"^1^:^128"}, `{"one":{"numerator":{"value":1},"denominator":{"value":128}}}`, nil},
	{"sn-ratio", "", []string{"SN"}, []string{"^1^/^40"}, `{"one":{"numerator":{"value":1},"denominator":{"value":40}}}`, []string{"^1^:^40"}},
	{"sn-ratio", "", []string{"SN"}, []string{"^1"}, "", nil},
	{"range-text", "", []string{"ST", "CE"}, []string{"134-167", "g/l"}, `{"one":{"low":{"value":134,"unit":"g/l"},"high":{"value":167,"unit":"g/l"}}}`, nil},
	{"range-text", "", []string{"ST", "CE"}, []string{"-2.5 - -1.0", ""}, `{"one":{"low":{"value":-2.5},"high":{"value":-1.0}}}`, []string{"-2.5--1.0", ""}},
	{"range-text", "", []string{"ST", "CE"}, []string{"<5", "mg/l"}, "", nil},
	{"range-text", "", []string{"ST", "CE"}, []string{"neg", ""}, "", nil},
	{"cwe", "", []string{"CWE"}, []string{"H40.1^Glaukooma^1.2.246.537.6.1^F93^Glaukooma^IC2^1999^2007^silmät"},
		`{"one":{"coding":[{"system":"urn:oid:1.2.246.537.6.1","version":"1999","code":"H40.1","display":"Glaukooma"},{"system":"http://hl7.org/fhir/sid/icpc-2","version":"2007","code":"F93","display":"Glaukooma"}],"text":"silmät"}}`, nil},
	{"cwe", "", []string{"CWE"}, []string{"1^a^L^2^b^L^v1^v2^sanoin^3^c^99X^v3"},
		`{"one":{"coding":[{"system":"https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/L","version":"v1","code":"1","display":"a"},{"system":"https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/L","version":"v2","code":"2","display":"b"},{"system":"https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/99X","version":"v3","code":"3","display":"c"}],"text":"sanoin"}}`, nil},
	{"cwe", "", []string{"CE"}, []string{"718-7^Hb^LN^4712^B-Hb^L^2.74^1^Hemoglobiini"}, // CE with what CWE has, as senders of 2.5 do
		`{"one":{"coding":[{"system":"http://loinc.org","version":"2.74","code":"718-7","display":"Hb"},{"system":"https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/L","version":"1","code":"4712","display":"B-Hb"}],"text":"Hemoglobiini"}}`, nil},
	{"cwe", "", []string{"CE"}, []string{"^Näkökentän puutos"}, `{"one":{"text":"Näkökentän puutos"}}`, nil},
	{"cwe", "", []string{"CE"}, []string{"L^Leveä^OMA TAULU"}, `{"one":{"coding":[{"system":"https://github.com/hoitosilta/silta/fhir/CodeSystem/v2/OMA%20TAULU","code":"L","display":"Leveä"}]}}`, nil},
	{"cwe", "", []string{"IS"}, []string{"K"}, `{"one":{"coding":[{"code":"K"}]}}`, nil},
	{"cwe", "", []string{"CE"}, []string{"^^LN"}, "", nil},
	{"cwe-coding", "", []string{"CE"}, []string{"11488-4^Lausunto^LN"}, `{"one":{"system":"http://loinc.org","code":"11488-4","display":"Lausunto"}}`, nil},
	{"id-concept", "urn:x", []string{"ID"}, []string{"N"}, `{"one":{"coding":[{"system":"urn:x","code":"N"}]}}`, nil},
	{"id-coding", "urn:x", []string{"IS"}, []string{"R"}, `{"one":{"system":"urn:x","code":"R"}}`, nil},
	{"st-concept", "", []string{"ST"}, []string{"Urtikaria"}, `{"one":{"text":"Urtikaria"}}`, nil},
	{"cx", "", []string{"CX"}, []string{"4711^^^APOTTI&1.2.246.10.99999991.18&ISO^MR"},
		`{"one":{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:oid:1.2.246.10.99999991.18","assigner":{"display":"APOTTI"},"value":"4711"}}`, nil},
	{"cx", "", []string{"CX"}, []string{"^^^APOTTI"}, "", nil},
	{"cx", "", []string{"CX"}, []string{"77^4^M11^HUS"},
		`{"one":{"assigner":{"display":"HUS"},"value":"77","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/identifier-checkDigit","valueString":"4"},{"url":"http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit","valueString":"M11"}]}}`, nil},
	{"cx", "", []string{"CX"}, []string{"77^^^HUS^MR^^20200101^20251231"},
		`{"one":{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"assigner":{"display":"HUS"},"value":"77","period":{"start":"2020-01-01","end":"2025-12-31"}}}`, nil},
	{"cx", "", []string{"CX"}, []string{"77^^^^^^20260101^20251231"}, `{"one":{"value":"77"}}`, []string{"77"}}, // ends before it begins: beside the point
	{"cx-parts", "", []string{"ST", "HD", "ID"}, []string{"77", "EYE", "LN"},
		`{"one":{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"LN"}]},"assigner":{"display":"EYE"},"value":"77"}}`, nil},
	{"ei", "", []string{"EI"}, []string{"LAH-1^APOTTI^1.2.246.10.99999991.17^ISO"}, `{"one":{"system":"urn:oid:1.2.246.10.99999991.17","assigner":{"display":"APOTTI"},"value":"LAH-1"}}`, nil},
	{"ei", "", []string{"EI"}, []string{"1^^apotti.example.invalid^DNS"}, `{"one":{"system":"https://github.com/hoitosilta/silta/fhir/authority/DNS/apotti.example.invalid","value":"1"}}`, nil},
	{"ei", "", []string{"EI"}, []string{"1^^1.2.246.10.0002^ISO"}, `{"one":{"system":"https://github.com/hoitosilta/silta/fhir/authority/ISO/1.2.246.10.0002","value":"1"}}`, nil},
	{"ei", "", []string{"EI"}, []string{"1^^8E5F^UUID"}, `{"one":{"system":"https://github.com/hoitosilta/silta/fhir/authority/UUID/8E5F","value":"1"}}`, nil},
	{"ei-reference", "", []string{"EI"}, []string{"LAH-1^^5f2c1f6e-0000-4000-8000-000000000001^UUID"}, `{"one":{"identifier":{"system":"urn:uuid:5f2c1f6e-0000-4000-8000-000000000001","value":"LAH-1"}}}`, nil},
	{"pln", "", []string{"PLN"}, []string{"00199999901^1.2.246.537.26"}, `{"one":{"system":"urn:oid:1.2.246.537.26","value":"00199999901"}}`, nil},
	{"pln", "", []string{"PLN"}, []string{"7^HUSID"}, `{"one":{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0338","code":"HUSID"}]},"value":"7"}}`, nil},
	{"pl", "", []string{"PL"}, []string{"SILM-2"}, `{"one":{"value":"SILM-2"}}`, nil},
	{"xon", "", []string{"XON"}, []string{"Silmäklinikka^^^^^&1.2.246.10&ISO^^^^9-1"}, `{"one":{"identifier":{"system":"urn:oid:1.2.246.10","value":"9-1"},"display":"Silmäklinikka"}}`, nil},
	{"hd-endpoint", "", []string{"HD"}, []string{"APOTTI^1.2.246.10.99999991.18.1^ISO"}, `{"one":{"name":"APOTTI","endpoint":"urn:oid:1.2.246.10.99999991.18.1"}}`, nil},
	{"hd-endpoint", "", []string{"HD"}, []string{"OMA Å"}, `{"one":{"name":"OMA Å","endpoint":"https://github.com/hoitosilta/silta/fhir/endpoint/OMA%20%C3%85"}}`, nil},
	{"hd-reference", "", []string{"HD"}, []string{"Helsinki^1.2.246.10.99999991.10.0^ISO"}, `{"one":{"identifier":{"system":"urn:ietf:rfc:3986","value":"urn:oid:1.2.246.10.99999991.10.0"},"display":"Helsinki"}}`, nil},
	{"hd-destination", "", []string{"HD"}, []string{"SILTA", "HUS"}, `{"one":{"name":"SILTA","endpoint":"https://github.com/hoitosilta/silta/fhir/endpoint/SILTA","receiver":{"display":"HUS"}}}`, nil},
	{"hd-destination", "", []string{"HD"}, []string{"", "HUS"}, `{"one":{"endpoint":"https://github.com/hoitosilta/silta/fhir/endpoint/HUS","receiver":{"display":"HUS"}}}`, nil},
	{"control-id", "", []string{"ST"}, []string{"APO-000417"}, `{"one":{"identifier":"APO-000417"}}`, nil},
	{"xpn", "", []string{"XPN"}, []string{"von Strömberg^Åsa^Päivi Helena^nuorempi^tri^LL^L"},
		`{"one":{"use":"official","text":"von Strömberg, Åsa Päivi Helena","family":"von Strömberg","given":["Åsa","Päivi","Helena"],"prefix":["tri"],"suffix":["nuorempi","LL"]}}`, nil},
	{"xpn", "", []string{"XPN"}, []string{"Strömberg&von&&&^Åsa"}, `{"one":{"text":"Strömberg, Åsa","family":"Strömberg","given":["Åsa"]}}`, []string{"Strömberg^Åsa"}},
	{"xpn", "", []string{"XPN"}, []string{"^^^^tri"}, "", nil},
	{"xpn", "", []string{"XPN"}, []string{"Ström^Åsa^^^^^M^^^^^19940501^20190608"},
		`{"one":{"use":"maiden","text":"Ström, Åsa","family":"Ström","given":["Åsa"],"period":{"start":"1994-05-01","end":"2019-06-08"}}}`, nil},
	{"xpn", "", []string{"XPN"}, []string{"Ström^Åsa^^nuorempi^^LL^BAD^^^^^^^dosentti"},
		`{"one":{"use":"old","text":"Ström, Åsa","family":"Ström","given":["Åsa"],"suffix":["nuorempi","LL","dosentti"]}}`, nil},
	{"cx-parts", "", []string{"ST", "HD", "ID"}, []string{"", "EYE", "LN"}, "", nil},
	{"xpn-parts", "", []string{"ST"}, []string{"", "", "", "", "", "L"}, "", nil},
	{"xpn-parts", "", []string{"ST"}, []string{"Hägg", "Aino", "", "", "", "L"}, `{"one":{"use":"official","text":"Hägg, Aino","family":"Hägg","given":["Aino"]}}`, nil},
	{"xcn", "", []string{"XCN"}, []string{"77^Hägg^Aino^^^^^^EYE"}, `{"one":{"identifier":{"assigner":{"display":"EYE"},"value":"77"},"display":"Hägg, Aino"}}`, nil},
	{"xad", "", []string{"XAD"}, []string{"Mäntypolku 3^B 7^Helsinki^^00100^FIN^H^^Töölö"},
		`{"one":{"use":"home","line":["Mäntypolku 3","B 7"],"city":"Helsinki","postalCode":"00100","country":"FIN","district":"Töölö"}}`, nil},
	{"xad", "", []string{"XAD"}, []string{"PL 1^^Espoo^^^^M"}, `{"one":{"type":"postal","line":["PL 1"],"city":"Espoo"}}`, nil},
	{"xad", "", []string{"XAD"}, []string{"Mäntypolku 3&Mäntypolku&3^^Helsinki^^^^BI^^^^^^20200101^20210630"},
		`{"one":{"use":"billing","line":["Mäntypolku 3"],"city":"Helsinki","period":{"start":"2020-01-01","end":"2021-06-30"}}}`, []string{"Mäntypolku 3^^Helsinki^^^^BI^^^^^^20200101^20210630"}},
	{"xad", "", []string{"XAD"}, []string{"^^^^^^H"}, "", nil},
	{"xtn", "", []string{"XTN"}, []string{"040 123 4567^PRN^CP"}, `{"one":{"system":"phone","value":"040 123 4567","use":"mobile"}}`, nil},
	{"xtn", "", []string{"XTN"}, []string{"^NET^Internet^asa@example.invalid"}, `{"one":{"system":"email","value":"asa@example.invalid"}}`, nil},
	{"xtn", "", []string{"XTN"}, []string{"^WPN^PH^^358^9^3101234^12"}, `{"one":{"system":"phone","value":"+358 9 3101234 ext. 12","use":"work"}}`, []string{"+358 9 3101234 ext. 12^WPN^PH"}},
	{"xtn", "", []string{"XTN"}, []string{"^WPN^PH"}, "", nil},
	{"xtn", "", []string{"XTN"}, []string{"^PRN^PH^^^^^030-2345678"}, `{"one":{"system":"phone","value":"030-2345678","use":"home"}}`, []string{"030-2345678^PRN^PH"}},
	{"xtn", "", []string{"XTN"}, []string{"^^PH^+4646818283"}, `{"one":{"system":"phone","value":"+4646818283"}}`, []string{"+4646818283^^PH"}},
	{"xtn", "", []string{"XTN"}, []string{"^^CP^+4524348467"}, `{"one":{"system":"phone","value":"+4524348467","use":"mobile"}}`, []string{"+4524348467^PRN^CP"}},
	{"xtn", "", []string{"XTN"}, []string{"^WPN^^asa@example.invalid"}, `{"one":{"system":"email","value":"asa@example.invalid","use":"work"}}`, []string{"^WPN^Internet^asa@example.invalid"}},
	{"xtn", "", []string{"XTN"}, []string{"asa@example.invalid^^^EMAIL"}, `{"one":{"system":"email","value":"asa@example.invalid"}}`, []string{"^NET^Internet^asa@example.invalid"}},
	{"ed", "", []string{"ED"}, []string{"^AP^PDF^Base64^JVBERi0xLjQK"}, `{"one":{"contentType":"application/pdf","data":"JVBERi0xLjQK"}}`, nil},
	{"ed", "", []string{"ED"}, []string{"^IM^JPEG^Hex^FFD8"}, `{"one":{"contentType":"image/jpeg","data":"/9g="}}`, []string{"^IM^JPEG^Base64^/9g="}},
	{"ed", "", []string{"ED"}, []string{"^TEXT^PLAIN^A^Löydös"}, `{"one":{"contentType":"text/plain","data":"TMO2eWTDtnM="}}`, []string{"^TEXT^PLAIN^Base64^TMO2eWTDtnM="}},
	{"ed", "", []string{"ED"}, []string{"^application/pdf^Base64^JVBERi0xLjQK"}, `{"one":{"contentType":"application/pdf","data":"JVBERi0xLjQK"}}`, []string{"^AP^PDF^Base64^JVBERi0xLjQK"}},
	{"ed", "", []string{"ED"}, []string{"^AP^PDF^Base64^ei*base64"}, "", nil},
	{"rp", "", []string{"RP"}, []string{"https://kuvat.example.invalid/1^^IM^JPEG"}, `{"one":{"contentType":"image/jpeg","url":"https://kuvat.example.invalid/1"}}`, nil},
}

// TestLenses checks each lens both ways on values, refusals among them. Every lens of the library has rows.
func TestLenses(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range lensValues {
		l := lensNamed(row.lens)
		if l == nil {
			t.Fatalf("no lens %s", row.lens)
		}
		seen[row.lens] = true
		json, back, why := through(t, l, row.system, row.types, row.fields)
		if row.json == "" {
			if !strings.HasPrefix(why, "get: ") {
				t.Errorf("%s %q: want a refusal, got %s", row.lens, row.fields, json)
			}
			continue
		}
		if want := row.back; json != row.json || why != "" {
			t.Errorf("%s %q:\n got %s %s\nwant %s", row.lens, row.fields, json, why, row.json)
		} else if want == nil && !same(back, row.fields) || want != nil && !same(back, want) {
			t.Errorf("%s %q: written back as %q", row.lens, row.fields, back)
		}
	}
	for _, l := range library {
		if !seen[l.name] {
			t.Errorf("the lens %s has no row", l.name)
		}
	}
}

// A lens of several cells names the one that it refuses.
func TestLensNamesTheRefusedCell(t *testing.T) {
	for _, row := range []struct{ lens, fields, at string }{
		{"period", "20240101|20249999", "ZZZ-2(1)"},
		{"period", "20249999|20240101", "ZZZ-1(1)"},
		{"instants", "2024010110|20249999", "ZZZ-2(1)"},
		{"start-duration", "20249999|30|min", "ZZZ-1(1)"},
		{"start-duration", "2024010110|half|min", "ZZZ-2(1)"},
		{"start-duration", "2024010110|30|moons", "ZZZ-3(1)"},
		{"minutes", "30|moons", "ZZZ-2(1)"},
		{"quantity", "much|mg", "ZZZ-1(1)"},
		{"death-time", "20249999|Y", "ZZZ-1(1)"},
	} {
		l := lensNamed(row.lens)
		d, cells := cellsOf(t, []string{""}, strings.Split(row.fields, "|")...)
		f := &forward{p: &program{version: "2.5.1"}, d: d, zone: time.UTC, arena: &arena{}, op: &op{}}
		g := &getter{run: f, in: cells}
		for range l.elements {
			g.out = append(g.out, f.arena.new("one", nil))
		}
		if why := l.get(g); why == "" || g.refusedPlace().String() != row.at {
			t.Errorf("%s %s: %q at %s, want %s", row.lens, row.fields, why, g.refusedPlace(), row.at)
		}
	}
}

func same(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }

// TestLensLaws: whatever get makes of a random value, put writes something that get makes the same of.
func TestLensLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	taken := 0
	for _, row := range lensValues {
		l := lensNamed(row.lens)
		for range 200 {
			fields := make([]string, len(row.fields))
			for i := range fields {
				fields[i] = scramble(random, row.fields[i])
			}
			json, back, why := through(t, l, row.system, row.types, fields)
			if why != "" {
				if strings.HasPrefix(why, "put: ") && !strings.Contains(why, "four digits") {
					t.Errorf("%s %q: get takes it, put doesn't: %s", row.lens, fields, why)
				}
				continue
			}
			taken++
			again, _, why := through(t, l, row.system, row.types, back)
			if why != "" || again != json {
				t.Errorf("%s %q:\n got %s %s\nwant %s\n via %q", row.lens, fields, again, why, json, back)
			}
		}
	}
	if taken < 1000 {
		t.Errorf("only %d values were taken: the test says little", taken)
	}
}

// scramble moves, drops and doubles parts of a field.
func scramble(random *rand.Rand, field string) string {
	parts := strings.Split(field, "^")
	for range random.IntN(3) {
		i, j := random.IntN(len(parts)), random.IntN(len(parts))
		switch random.IntN(5) {
		case 0:
			parts[i] = ""
		case 1:
			parts[i] = parts[j]
		case 2:
			parts = append(parts, parts[i])
		case 3:
			parts[i] += "&" + strings.ReplaceAll(parts[j], "&", "")
		case 4:
			if letters := []rune(parts[i]); len(letters) > 0 {
				parts[i] = string(letters[:random.IntN(len(letters))])
			}
		}
	}
	text := strings.Join(parts, "^")
	if strings.Count(text, `\`)%2 == 1 { // half an escape is a text of its own, read and written otherwise
		return strings.ReplaceAll(text, `\`, "")
	}
	return text
}

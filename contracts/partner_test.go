package contracts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

const apotti = `silta: partner/v1
id: apotti
dialect:
  format: hl7v2
  version: 2.5.1
  names: {application: APOTTI, facility: HELSINKI, ourApplication: SILTA, ourFacility: HUS}
door:
  mllp: {listen: "127.0.0.1:2575"}
courier:
  mllp: {to: "127.0.0.1:2576", answer: 5s}
accepts: {types: ["REF^*"]}
in:
  - {type: "REF^*", map: ref-i12}
out:
  - {event: "response-*", map: rri-i12}
  - {event: appointment, map: siu-s12@0.1.0}
keys:
  REF: [RF1-6, ORC-2]
routes:
  - {events: [request, cancel], to: [hus]}
retry: {first: 100ms}
`

const hus = `silta: partner/v1
id: hus
dialect: {format: fhir, version: 4.0.1}
door: {fhir: {tokenFile: hus.token}}
courier: {fhir: {url: "http://127.0.0.1:9999/fhir"}}
`

func TestAContractWithItsDefaults(t *testing.T) {
	partners, err := contracts.LoadPartners(fstest.MapFS{"p/apotti.yaml": {Data: []byte(apotti)}, "p/hus.yaml": {Data: []byte(hus)}}, "p")
	if err != nil {
		t.Fatal(err)
	}
	a := partners[0]
	if a.Retry.First != 100*time.Millisecond || a.Retry.Max != time.Minute || a.Retry.Pause != 5 || a.Courier.MLLP.Answer != 5*time.Second || a.Courier.MLLP.Write != 30*time.Second || a.Courier.MLLP.Idle != 0 || a.Door.MLLP.MaxBytes != 32<<20 {
		t.Errorf("defaults: %+v %+v", a.Retry, a.Door.MLLP)
	}
	if a.Location().String() != "Europe/Helsinki" {
		t.Errorf("zone: %v", a.Location())
	}
	for _, row := range []struct{ what, got, want string }{
		{"map in", a.MapIn("REF^I13"), "ref-i12"}, {"map in for another type", a.MapIn("ADT^A01"), ""},
		{"map out by family", a.MapOut("response-accepted"), "rri-i12"}, {"map out with version", a.MapOut("appointment"), "siu-s12@0.1.0"}, {"map out for nothing", a.MapOut("feedback"), ""},
		{"route", strings.Join(a.Receivers("cancel"), " "), "hus"}, {"no route", strings.Join(a.Receivers("contact"), " "), ""},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %q, want %q", row.what, row.got, row.want)
		}
	}
}

func TestFaultsOfContractsHaveTheirPlaces(t *testing.T) {
	swap := func(from, to string) string {
		if !strings.Contains(apotti, from) {
			t.Fatalf("no %q to change", from)
		}
		return strings.Replace(apotti, from, to, 1)
	}
	for _, row := range []struct {
		what, file string
		want       []string // each fault as LINE:COL and a word of its text
	}{
		{"unknown key with a suggestion", swap("  format:", "  fromat:"), []string{`4:3: invalid CFG-002: Unknown key "fromat" (did you mean "format"?).`}},
		{"two unknown keys, both told", swap("accepts: {types", "acepts: {typs") + "roots: []\n", []string{`11:1: invalid CFG-002: Unknown key "acepts" (did you mean "accepts"?).`, `22:1: invalid CFG-002: Unknown key "roots" (did you mean "routes"?).`}},
		{"unknown key in a list", swap("{type: \"REF^*\", map", "{type: \"REF^*\", mapp"), []string{`13:21: invalid CFG-002: Unknown key "mapp" (did you mean "map"?).`}},
		{"repeated key", swap("id: apotti", "id: apotti\nid: apotti"), []string{"3:1: invalid CFG-00"}},
		{"wrong type", swap("answer: 5s", "answer: [5]"), []string{"10:40: invalid CFG-001"}},
		{"wrong format", swap("format: hl7v2", "format: hl7"), []string{"4:3: invalid CFG-003: The format is"}},
		{"unknown zone", swap("  version: 2.5.1", "  version: 2.5.1\n  zone: Europe/Helsingfors"), []string{"6:3: invalid CFG-003: No time zone"}},
		{"a door that others reach", swap("127.0.0.1:2575", "0.0.0.0:2575"), []string{"8:10: invalid CFG-003: Others than this machine"}},
		{"a door without a port", swap("127.0.0.1:2575", "127.0.0.1"), []string{"8:10: invalid CFG-003: An address is host:port"}},
		{"a courier to no port", swap("127.0.0.1:2576", "127.0.0.1:99999"), []string{"10:10: invalid CFG-003: An address is host:port"}},
		{"a flag that isn't one", swap("  version: 2.5.1", "  version: 2.5.1\n  truncation: maybe"), []string{"6:15: invalid CFG-001: This is a text and must be true or false."}},
		{"a size with a unit", swap(`{listen: "127.0.0.1:2575"}`, `{listen: "127.0.0.1:2575", maxBytes: 10MB}`), []string{"8:46: invalid CFG-001: This is a text and must be a number."}},
		{"a door on every address", swap("127.0.0.1:2575", ":2575"), []string{"8:10: invalid CFG-003: Others than this machine"}},
		{"a courier that leaves this machine", swap("127.0.0.1:2576", "apotti.example:2576"), []string{"10:10: invalid CFG-003: This address isn't"}},
		{"half of TLS", swap(`{listen: "127.0.0.1:2575"}`, `{listen: "0.0.0.0:2575", tls: {certFile: a.pem}}`), []string{"8:34: invalid CFG-003: TLS needs"}},
		{"names of clients that nobody vouches for", swap(`{listen: "127.0.0.1:2575"}`, `{listen: "0.0.0.0:2575", tls: {certFile: a, keyFile: b, clientNames: [c]}}`), []string{"8:65: invalid CFG-003: Client names"}},
		{"a release that isn't", swap("answer: 5s", "answer: 5s, release: 3"), []string{"10:44: invalid CFG-003: MLLP has"}},
		{"an answer to several that isn't", swap(`{listen: "127.0.0.1:2575"}`, `{listen: "127.0.0.1:2575", several: none}`), []string{"8:36: invalid CFG-003: Several"}},
		{"a door's times that are negative", swap(`{listen: "127.0.0.1:2575"}`, `{listen: "127.0.0.1:2575", idle: -1s, read: -1m}`), []string{"8:36: invalid CFG-003: A time", "8:47: invalid CFG-003: A time"}},
		{"a courier's times that are negative", swap("answer: 5s", "connect: -1s, write: -1s, answer: -1s, idle: -1s"), []string{
			"10:32: invalid CFG-003: A time", "10:46: invalid CFG-003: A time", "10:58: invalid CFG-003: A time", "10:71: invalid CFG-003: A time"}},
		{"a rule without a demand", apotti + "rules:\n  - {at: PID-3}\n", []string{"23:6: invalid CFG-003: A rule demands"}},
		{"a field without a type", apotti + "segments:\n  ZFI:\n    - {name: unit}\n", []string{"24:8: invalid CFG-003: A field has"}},
		{"a usage that isn't", apotti + "rules:\n  - {at: PID-3, usage: needed}\n", []string{"23:17: invalid CFG-003: A rule makes"}},
		{"not YAML", "silta: [", []string{"CFG-001"}},
		{"empty", "", []string{"1:1: invalid CFG-001: The file is empty."}},
	} {
		_, err := contracts.ReadPartner("a.yaml", []byte(row.file))
		var faults contracts.Faults
		if !errors.As(err, &faults) || len(faults) != len(row.want) {
			t.Errorf("%s: got %v, want %d faults", row.what, err, len(row.want))
			continue
		}
		for i, want := range row.want {
			if got := faults[i].Text("a.yaml"); !strings.HasPrefix(got, "a.yaml:") || !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q in it", row.what, got, want)
			}
		}
	}
}

func TestWhatAContractMaySay(t *testing.T) {
	for what, change := range map[string][2]string{
		"plain over a VPN": {`{listen: "127.0.0.1:2575"}`, `{listen: "10.0.0.4:2575", plain: true}`},
		"TLS":              {`{listen: "127.0.0.1:2575"}`, `{listen: ":2575", tls: {certFile: a, keyFile: b, clientCAFile: c, clientNames: [apotti.example]}}`},
		"a courier's TLS":  {`to: "127.0.0.1:2576"`, `to: "apotti.example:2576", tls: {caFile: a, serverName: b}`},
		"this machine":     {"127.0.0.1:2575", "localhost:2575"},
		"IPv6":             {"127.0.0.1:2575", "[::1]:2575"},
		"rules":            {"retry:", "rules: [{at: PID-3, usage: required}, {for: \"REF^*\", at: PV1-2, codes: [I, O]}]\nsegments: {ZFI: [{type: CE, max: -1}]}\nretry:"},
	} {
		if _, err := contracts.ReadPartner("a.yaml", []byte(strings.Replace(apotti, change[0], change[1], 1))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestContractsMustFitTogether(t *testing.T) {
	second := strings.Replace(strings.Replace(apotti, "to: [hus]", "to: [huss]", 1), "id: apotti", "id: other", 1)
	_, err := contracts.LoadPartners(fstest.MapFS{"a.yaml": {Data: []byte(apotti)}, "b.yaml": {Data: []byte(second)}, "h.yaml": {Data: []byte(hus)}, "i.yaml": {Data: []byte(hus)}}, ".")
	for _, want := range []string{"i.yaml:2:1: invalid CFG-004", "CFG-005", `CFG-006: A route leads to a partner without a contract: huss (did you mean "hus"?).`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
	if _, err := contracts.LoadPartners(fstest.MapFS{}, "."); contracts.KindOf(err) != contracts.Invalid {
		t.Errorf("no contract at all: got %v", err)
	}
}

func TestFaultsAsTextAndJSON(t *testing.T) {
	f := &contracts.Fault{Kind: contracts.Malformed, Code: "HL7-003", At: "PID-7(1).1", Public: "This is no date."}
	if got, want := f.Text("a.hl7"), "a.hl7: PID-7(1).1: malformed HL7-003: This is no date."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b, err := json.Marshal(f)
	if want := `{"kind":"malformed","code":"HL7-003","at":"PID-7(1).1","text":"This is no date."}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	var back contracts.Fault
	if err := json.Unmarshal(b, &back); err != nil || back.Kind != f.Kind || back.Code != f.Code || back.At != f.At || back.Public != f.Public {
		t.Errorf("got %+v, %v back", back, err)
	}
	f.Rule = "per-1"
	if got, want := f.Text("a.json"), "a.json: PID-7(1).1: malformed HL7-003 per-1: This is no date."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b, err = json.Marshal(f)
	if want := `{"kind":"malformed","code":"HL7-003","rule":"per-1","at":"PID-7(1).1","text":"This is no date."}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	if err := json.Unmarshal(b, &back); err != nil || back.Rule != f.Rule {
		t.Errorf("got %+v, %v back", back, err)
	}
	if got := contracts.KindOf(errors.New("a driver's words, with a value in them")); got != contracts.Internal {
		t.Errorf("a foreign error is of kind %s, want internal", got)
	}
	if text := contracts.FaultsOf(errors.New("a value")).Error(); strings.Contains(text, "a value") {
		t.Error("a foreign error's text came through")
	}
	wrapped := &contracts.Fault{Kind: contracts.Unavailable, Err: contracts.Faults{{Kind: contracts.Malformed}}}
	if got := contracts.KindOf(fmt.Errorf("deliver: %w", errors.Join(wrapped))); got != contracts.Unavailable {
		t.Errorf("a fault that wraps others is of kind %s, want its own", got)
	}
	if (contracts.Faults{{Kind: contracts.Loss}, {Kind: contracts.Invalid, Grade: contracts.GradeWarning}}).Err() != nil {
		t.Error("findings stop a message")
	}
}

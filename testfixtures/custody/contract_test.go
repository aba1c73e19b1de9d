package custody

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/hub"
)

// What can't work of a contract is told when it is checked, with its place in the file and what would be right.
func TestAContractThatCantWorkIsRefused(t *testing.T) {
	maps, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	const v2, rest = "dialect: {format: hl7v2, version: 2.5.1}\n", "dialect: {format: fhir, version: 4.0.1}\n"
	for _, row := range []struct{ name, contract, want string }{
		{"a map of another message", v2 + `in: [{type: "REF^I12", map: rri-i12}]`,
			"CFG-037 4:24 The map rri-i12 takes RRI^I12, RRI^I13, RRI^I14, RRI^I15, never REF^I12. Maps for it: ref-i12."},
		{"a map of another family", v2 + `in: [{type: "ORU^*", map: ref-i12}]`, "CFG-037 4:22 The map ref-i12 takes REF^I12, REF^I13, REF^I14, REF^I15, never ORU^*. Maps for it: oru-r01."},
		{"an event that the map lacks", v2 + `in: [{type: "REF^I20", map: ref-i12}]`, "CFG-037 4:24 The map ref-i12 takes REF^I12, REF^I13, REF^I14, REF^I15, never REF^I20."},
		{"no such form of a type", v2 + `in: [{type: REF-I12, map: ref-i12}]`, `CFG-039 4:7 No message has the type "REF-I12" (did you mean "REF^I12"?). A message type is written REF^I12, REF^* for all of a kind, or *.`},
		{"a message code alone", v2 + `in: [{type: REF, map: ref-i12}]`, `CFG-039 4:7 No message has the type "REF" (did you mean "REF^*"?).`},
		{"a door's type", v2 + `accepts: {types: ["REF^I12", ref-i12]}`, `CFG-039 4:30 No message has the type "ref-i12" (did you mean "REF^I12"?).`},
		{"a type to pass on", v2 + `routes: [{types: ["ORU_R01"], to: [x]}]`, `CFG-039 4:19 No message has the type "ORU_R01" (did you mean "ORU^R01"?).`},
		{"no such map", v2 + `in: [{type: "REF^I12", map: ref-i13}]`, `CFG-031 4:24 No map "ref-i13" for incoming REF^I12. There is no map of this name and version (did you mean "ref-i12"?).`},
		{"no such event to route", v2 + `routes: [{events: [request, requests], to: [x]}]`, `CFG-039 4:29 No canonical message has the event "requests" (did you mean "request"?).`},
		{"no such event to write", v2 + `out: [{event: "responses-*", map: rri-i12}]`, `CFG-039 4:8 No canonical message has the event "responses-*".`},
		{"a map of another event", v2 + `out: [{event: request, map: siu-s12}]`, "CFG-037 4:24 The map siu-s12 is for the event appointment, never for request."},
		{"no such field", v2 + `keys: {REF: [RF1-6, RF1-66]}`, "CFG-032 4:21 No version of HL7 has the field RF1-66, nor does the contract describe it (the last one of RF1 is RF1-25)."},
		{"no such segment", v2 + `keys: {REF: [RFI-6]}`, "CFG-032 4:14 No version of HL7 has the field RFI-6"},
		{"a field that the contract's segment lacks", v2 + "segments: {ZKU: [{type: ST}]}\nkeys: {REF: [ZKU-2]}", "CFG-032 5:14 No version of HL7 has the field ZKU-2"},
		{"a key that is no path", v2 + `keys: {REF: [RF1.6]}`, "CFG-032 4:14 A key path can't be read:"},
		{"keys of a message type", v2 + `keys: {"REF^I12": [RF1-6]}`, "CFG-032 4:8 Keys are by message code, such as REF."},
		{"keys of a FHIR partner", rest + `keys: {request: [Task.identifier.value]}`, "CFG-032 4:1 Only an HL7 v2 partner's keys are set in its contract."},
		{"an event of one's own at the door", rest + `accepts: {types: [request, tukipyynto]}`, `CFG-039 4:28 No event of Silta's is called "tukipyynto". One of the partner's own is written SYSTEM|CODE`},
		{"an event of one's own without its system", rest + `in: [{type: tukipyynto, map: third-sector-request}]`, `CFG-039 4:7 No event of Silta's is called "tukipyynto".`},
		{"an event of one's own without a map", rest + `accepts: {types: ["https://tuki.example/tapahtumat|tukipyynto"]}`, "CFG-039 4:19 The event https://tuki.example/tapahtumat|tukipyynto isn't one of Silta's, and no map under `in` is for it: the door would refuse it."},
		{"an event of Silta's, misspelt", rest + `accepts: {types: [requst]}`, `CFG-039 4:19 No event of Silta's is called "requst" (did you mean "request"?).`},
		{"an event of Silta's with its system", rest + `accepts: {types: ["https://github.com/hoitosilta/silta/fhir/CodeSystem/event|request"]}`, "CFG-039 4:19 An event of Silta's is named without its system: request."},
		{"an event that a FHIR map lacks", rest + `in: [{type: "https://tuki.example/tapahtumat|tukipyynto", map: omaolo-contact}]`, "CFG-037 4:59 The map omaolo-contact takes contact, never https://tuki.example/tapahtumat|tukipyynto."},

		{"v2 that works", v2 + `accepts: {types: ["REF^I12", "REF^*", "*"]}
in: [{type: "REF^I1*", map: ref-i12}, {type: "*", map: ref-i12}]
out: [{event: "response-*", map: rri-i12}, {event: appointment, map: siu-s12}, {event: "*", map: ref-i12}]
segments: {ZKU: [{type: ST}]}
keys: {REF: [RF1-6, "PID-3[5=NNFIN].1", ZKU-1, ZKX-7], ZAB: [ZKU-1.1]}
routes: [{events: [request, "response-*", "*"], to: [x]}, {types: ["MDM^*", "ZAB^Z01"], to: [x]}]`, ""},
		{"FHIR that works", rest + `accepts: {types: [request, "response-*", "https://tuki.example/tapahtumat|tukipyynto", "https://tuki.example/*", "*"]}
in: [{type: "https://tuki.example/tapahtumat|tukipyynto", map: third-sector-request}, {type: contact, map: omaolo-contact}]
out: [{event: "response-*", map: omaolo-answer}]
routes: [{events: [request], to: [x]}]`, ""},
	} {
		p, err := contracts.ReadPartner("a.yaml", []byte("silta: partner/v1\nid: a\n"+row.contract+"\n"))
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		var got []string
		for _, f := range hub.CheckContracts([]*contracts.Partner{p}, maps, fhir.NewProfiles()) {
			got = append(got, f.Code+" "+strings.TrimPrefix(f.Place(), "a.yaml:")+" "+f.Public)
		}
		if row.want == "" && len(got) > 0 || row.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], row.want)) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

package mappings

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// TestSkeleton: what is written for a message compiles, runs on it where it can, lists what it doesn't carry, and holds no
// value of it.
func TestSkeleton(t *testing.T) {
	const ward = `|20260302093000||ADT^A03^ADT_A03|WARD-5|P|2.5.1||||||UNICODE UTF-8
PID|1||77^^^CLINIC^MR||Korhonen^Kaisa||19620301|F
NK1|1|Korhonen^Kalle|SPO
PV1|1|O|POLI
AL1|1||PEN^Penisilliini^L||Ihottuma
DG1|1||I10^Verenpainetauti^ICD10
OBX|1|NM|8867-4^Syke^LN||70|/min|||||F
ZAP|a^b|c`
	for _, row := range []struct{ name, text, event, extends, has, lists string }{
		{"on a base", `|20260302093000||REF^I12^REF_I12|A-1|P|2.5.1||||||UNICODE UTF-8
RF1|P|R||||LAH-1
ZAP|EYE^Silmät^L|x
PRD|RP|Mäkelä^Öykkö
PID|1||77^^^CLINIC^MR||Korhonen^Kaisa||1962|F`, "request", "ref-i12@0.1.0", "ZAP: {after: RF1, fields: [CWE, ST]}", "ZAP-1"},
		{"a code that the base doesn't know", `|20260302093000||REF^I12^REF_I12|A-1|P|2.4||||||UNICODE UTF-8
RF1|P|K||||LAH-1
PRD|RP|Mäkelä^Öykkö
PID|1||77^^^CLINIC^MR||Korhonen^Kaisa||1962|F`, "request", "ref-i12@0.1.0", `versions: ["2.4"]`, "unmapped MAP-200 at RF1-2(1).1"},
		{"alone", ward, "contact", "", "patient@", "ZAP-2"},
		{"alone, without what an old version lacks", strings.NewReplacer("2.5.1", "2.3", "^ADT_A03", "").Replace(ward), "patient", "", "dx.subject", "NK1-3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			msg, err := hl7v2.Parse([]byte("MSH|^~\\&|WARDS|CLINIC|SILTA|HUS" + strings.ReplaceAll(row.text, "\n", "\r")))
			if err != nil {
				t.Fatal(err)
			}
			text, err := catalog(t).Skeleton("mine.map", msg, row.event)
			if err != nil {
				t.Fatal(err)
			}
			m, faults := catalog(t).CompileFile("map.yaml", text)
			if m == nil {
				t.Fatalf("%v\n%s", faults, text)
			}
			if m.Extends() != row.extends || !strings.Contains(string(text), row.has) {
				t.Errorf("it extends %q, or lacks %q:\n%s", m.Extends(), row.has, text)
			}
			if !slices.Contains(strings.Split(string(text), "\n"), "#   "+row.lists) {
				t.Errorf("%q isn't listed:\n%s", row.lists, text)
			}
			if res, err := m.Forward(msg, Context{}); err == nil {
				for _, place := range res.Unread {
					if !strings.Contains(string(text), "\n#   "+itemNumber.ReplaceAllString(place, "")+"\n") {
						t.Errorf("%s isn't carried and isn't listed", place)
					}
				}
				if res.Coverage < 0.5 {
					t.Errorf("coverage is %.2f", res.Coverage)
				}
			}
			for _, value := range []string{"Korhonen", "Kaisa", "Mäkelä", "LAH-1", "WARD-5", "1962", "Verenpaine", "Silmät"} {
				if strings.Contains(string(text), value) {
					t.Errorf("it holds a value of the message: %s", value)
				}
			}
		})
	}
}

// TestSkeletonOfFHIR: likewise, of messages in FHIR.
func TestSkeletonOfFHIR(t *testing.T) {
	const answers = `{"resourceType": "QuestionnaireResponse", "id": "q1", "status": "completed", "subject": {"reference": "Patient/p1"}, "item": [{"linkId": "1", "answer": [{"valueString": "Polvi kipeä"}]}]}`
	const person = `{"resourceType": "Patient", "id": "p1", "name": [{"family": "Korhonen", "given": ["Kaisa"]}]}`
	header := func(event, focus string) string {
		return `{"resourceType": "MessageHeader", "eventCoding": {"system": "https://desk.example/events", "code": "` + event + `"}, "source": {"name": "DESK", "endpoint": "https://desk.example"},
			"sender": {"reference": "Organization/desk"}, "responsible": {"reference": "Organization/town"}, "focus": [{"reference": "` + focus + `"}]}`
	}
	message := func(resources ...string) string {
		var entries []string
		for _, r := range resources {
			tree, err := fhir.Parse([]byte(r))
			if err != nil {
				t.Fatal(err)
			}
			url := "https://desk.example/fhir/" + tree.Root().Type() + "/" + tree.Root().Get("id").Text()
			entries = append(entries, `{"fullUrl": "`+url+`", "resource": `+r+`}`)
		}
		return `{"resourceType": "Bundle", "identifier": {"value": "DESK-5"}, "type": "message", "timestamp": "2026-03-02T09:30:00+02:00", "entry": [` + strings.Join(entries, ",") + `]}`
	}
	const desk, town = `{"resourceType": "Organization", "id": "desk", "name": "Tiski"}`, `{"resourceType": "Organization", "id": "town", "name": "Kunta"}`
	for _, row := range []struct{ name, text, event, extends, has, lists string }{
		{"on a base", message(header("contact", "QuestionnaireResponse/q1"), answers, person), "contact", "omaolo-contact@0.1.0", "extends", "Bundle.entry[0].resource.responsible.reference"},
		{"alone", message(header("asked", "QuestionnaireResponse/q1"), answers, person, desk, town), "contact", "", `{fhir: msh.responsible, to: responsible}`, ""},
		{"with a Task of its own", message(header("asked", "Task/t1"), `{"resourceType": "Task", "id": "t1", "status": "requested", "intent": "order", "for": {"reference": "Patient/p1"}}`, person), "request", "", `from: "MessageHeader.focus -> Task"`, ""},
		{"a chain that the Task begins", message(header("asked", "Task/t1"), `{"resourceType": "Task", "id": "t1", "status": "requested", "intent": "order", "focus": {"reference": "ServiceRequest/s1"}}`,
			`{"resourceType": "ServiceRequest", "id": "s1", "status": "active", "intent": "order", "subject": {"reference": "Patient/p1"}}`, person), "request", "", "{fhir: servicerequest.subject, to: patient}", ""},
		{"what nothing leads to", message(header("asked", "Patient/p1"), person, desk, strings.Replace(answers, "Patient/p1", "Patient/p2", 1)), "contact", "", "task.for, to: patient", ""},
		{"one resource", strings.Replace(answers, `"status"`, `"contained": [`+person+`], "status"`, 1), "contact", "", "contained: true", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			in, err := fhir.Parse([]byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			text, err := catalog(t).SkeletonFHIR("mine.map", in, row.event)
			if err != nil {
				t.Fatal(err)
			}
			m, faults := catalog(t).CompileFile("map.yaml", text)
			if m == nil {
				t.Fatalf("%v\n%s", faults, text)
			}
			if m.Extends() != row.extends || !strings.Contains(string(text), row.has) {
				t.Errorf("it extends %q, or lacks %q:\n%s", m.Extends(), row.has, text)
			}
			res, err := m.ForwardFHIR(in, Context{})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, place := range res.Unread {
				if !strings.Contains(string(text), "\n#   "+itemNumber.ReplaceAllString(place, "")+"\n") {
					t.Errorf("%s isn't carried and isn't listed", place)
				}
			}
			if row.lists != "" && !slices.Contains(res.Unread, row.lists) {
				t.Errorf("%s is carried", row.lists)
			}
			if res.Coverage < 0.6 {
				t.Errorf("coverage is %.2f\n%s", res.Coverage, text)
			}
			for _, value := range []string{"Korhonen", "Kaisa", "DESK-5", "Polvi", "Tiski", "q1", "p1"} {
				if strings.Contains(string(text), value) {
					t.Errorf("it holds a value of the message: %s", value)
				}
			}
		})
	}
}

func TestSkeletonOfWhatCannotBe(t *testing.T) {
	for _, row := range []struct{ typ, event, says string }{
		{"REF^I12^REF_I12", "requst", `did you mean "request"`},
		{"REF^I12^REF_I12", "cancel", "makes this message a request"},
		{"XYZ^Q99", "request", "no message of this type"},
	} {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||" + row.typ + "|7|P|2.5.1\rRF1|P|S\rPRD|RP|X^Y\rPID|1||1^^^X^MR||A^B"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = catalog(t).Skeleton("mine.map", msg, row.event)
		faults := contracts.FaultsOf(err)
		if len(faults) != 1 || faults[0].Code != CodeSkeleton || !strings.Contains(faults[0].Public, row.says) {
			t.Errorf("%s to %s: %v", row.typ, row.event, err)
		}
	}
}

// TestSkeletonListsWhatTheEventNeeds: what compiles may still make no message of its event; it says which rules of the
// event's profile don't hold, at which places.
func TestSkeletonListsWhatTheEventNeeds(t *testing.T) {
	in, err := fhir.Parse([]byte(`{"resourceType": "Bundle", "identifier": {"system": "https://help.example", "value": "HELP-1"}, "type": "message", "timestamp": "2026-03-02T09:30:00+02:00", "entry": [
  {"fullUrl": "https://help.example/MessageHeader/1", "resource": {"resourceType": "MessageHeader", "eventCoding": {"system": "https://help.example/events", "code": "help"}, "source": {"endpoint": "https://help.example"}, "focus": [{"reference": "Task/1"}]}},
  {"fullUrl": "https://help.example/Task/1", "resource": {"resourceType": "Task", "status": "requested", "intent": "order", "description": "Polvi"}}
]}`))
	if err != nil {
		t.Fatal(err)
	}
	ofFHIR, err := catalog(t).SkeletonFHIR("mine.map", in, "request")
	if err != nil {
		t.Fatal(err)
	}
	ofV2, err := catalog(t).Skeleton("mine.map", unversioned(t, "ADT^A03"), "request")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(ofFHIR), string(ofV2)} {
		for _, line := range []string{
			"# The event request needs what nothing writes yet, by its profile:",
			"#   Bundle.entry: invalid FHIR-013 silta-message-request#Bundle.entry:serviceRequest: The profile requires entry (slice serviceRequest).",
			"#   Bundle.entry[1].resource.focus: invalid FHIR-013 silta-task#Task.focus: The profile requires focus.",
		} {
			if !slices.Contains(strings.Split(text, "\n"), line) {
				t.Errorf("%q isn't told:\n%s", line, text)
			}
		}
		if strings.Contains(text, "Polvi") || strings.Contains(text, "Korhonen") {
			t.Errorf("it holds a value of the message:\n%s", text)
		}
	}
	if !strings.Contains(string(ofV2), "# MSH-12 of the message names no version that HL7 has, so 2.3 is a guess") {
		t.Errorf("the guessed version isn't told:\n%s", ofV2)
	}
	enough, err := catalog(t).Skeleton("mine.map", unversioned(t, "ADT^A03"), "contact")
	if err != nil || strings.Contains(string(enough), "needs what nothing writes") {
		t.Errorf("%v\n%s", err, enough)
	}
}

// unversioned is a message without MSH-12.
func unversioned(t *testing.T, typ string) *hl7v2.Message {
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||" + typ + "|7|P\rPID|1||1^^^X^MR||Korhonen^B\rPV1|1|O"))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// What is written into the map of the message's own is checked first: no type that FHIR doesn't have, no query of a URI.
func TestSkeletonTakesNoTextOfTheMessage(t *testing.T) {
	const head = `{"resourceType": "Bundle", "type": "message", "entry": [{"fullUrl": "https://help.example/MessageHeader/1", "resource": {"resourceType": "MessageHeader", "eventUri": "https://help.example/ask?patient=010594Y9021", "source": {"endpoint": "https://help.example"}, "focus": [{"reference": "Task/1"}]}},
  {"fullUrl": "https://help.example/Task/1", "resource": {"resourceType": "Task", "status": "requested", "intent": "order"}}`
	in, err := fhir.Parse([]byte(head + "]}"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := catalog(t).SkeletonFHIR("mine.map", in, "contact")
	if err != nil || strings.Contains(string(text), "010594Y9021") {
		t.Errorf("%v\n%s", err, text)
	}
	if in, err = fhir.Parse([]byte(head + `, {"resource": {"resourceType": "Korhonen]"}}]}`)); err != nil {
		t.Fatal(err)
	}
	_, err = catalog(t).SkeletonFHIR("mine.map", in, "contact")
	if faults := contracts.FaultsOf(err); len(faults) != 1 || faults[0].Code != CodeSkeleton || strings.Contains(err.Error(), "Korhonen") {
		t.Errorf("%v", err)
	}
}

func TestSkeletonOfABundleWithoutHeader(t *testing.T) {
	in, err := fhir.Parse([]byte(`{"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = catalog(t).SkeletonFHIR("mine.map", in, "request")
	faults := contracts.FaultsOf(err)
	if len(faults) != 1 || faults[0].Code != CodeSkeleton || faults[0].At != "Bundle.entry" || !strings.Contains(faults[0].Public, "no MessageHeader") {
		t.Errorf("%v", err)
	}
}

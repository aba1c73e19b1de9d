package custody

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
)

// contact is a message in the form of a partner who speaks FHIR of its own: answers, and no Task.
func contact(control string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Bundle","identifier":{"value":%q},"type":"message","timestamp":"2026-03-04T07:12:09+02:00","entry":[
{"fullUrl":"https://omaolo.example/fhir/MessageHeader/m","resource":{"resourceType":"MessageHeader","eventCoding":{"system":%q,"code":"contact"},"source":{"endpoint":"https://omaolo.example"},"focus":[{"reference":"QuestionnaireResponse/q"}]}},
{"fullUrl":"https://omaolo.example/fhir/QuestionnaireResponse/q","resource":{"resourceType":"QuestionnaireResponse","id":"q","identifier":{"system":"https://omaolo.example/yhteydenotto","value":"YO-7"},"status":"completed","subject":{"reference":"Patient/p"},"authored":"2026-03-04T07:11:40+02:00","item":[{"linkId":"1","text":"Onko polvi turvonnut?","answer":[{"valueBoolean":true}]}]}},
{"fullUrl":"https://omaolo.example/fhir/Patient/p","resource":{"resourceType":"Patient","id":"p","name":[{"family":"Saarelainen","given":["Ilmo"]}]}}]}`,
		control, profiles.URL(profiles.EventSystem))
}

// asOmaolo lets the clinic speak a form of its own, both ways.
func asOmaolo(in, out string) func(*hub.Config) {
	return func(c *hub.Config) {
		for _, p := range c.Partners {
			if p.ID == "clinic" {
				p.In = []contracts.InMap{{Type: "contact", Map: in}}
				p.Out = []contracts.OutMap{{Event: "response-*", Map: out}}
				p.Routes = []contracts.Route{{Events: []string{"contact"}, To: []string{"hus"}}}
			}
		}
	}
}

// A partner that speaks FHIR in a form of its own has it translated, both ways, and is answered in it.
func TestAFormOfFHIRIsTranslatedBothWays(t *testing.T) {
	h := open(t, asOmaolo("omaolo-contact", "omaolo-answer"))
	h.send("clinic", contact("OMA-1"))
	step := h.await(contracts.StepTranslated, "OMA-1")
	if step.Map != "omaolo-contact@0.1.0" {
		t.Errorf("it was translated by %q", step.Map)
	}
	h.hus.await(t, 1)
	sent := parsed(t, h.hus.parcels()[0])
	task, answers := sent.Find("Task"), sent.Find("QuestionnaireResponse")
	if !task.Get("status").Is("requested") || !task.Get("identifier").At(0).Get("value").Is("YO-7") || sent.Resolve(task.Get("focus")) != answers {
		t.Errorf("HUS was given another task: %s", task.Append(nil))
	}
	if text := answers.Get("item").At(0).Get("text"); !text.Is("Onko polvi turvonnut?") {
		t.Error("HUS wasn't given the answers")
	}

	given := h.hus.parcels()[0].Control
	h.send("hus", answer("HUS-1", "response-accepted", given))
	h.clinic.await(t, 1)
	back := h.clinic.parcels()[0]
	reply := parsed(t, back)
	if got := reply.Header().Get("response").Get("identifier"); !got.Is("OMA-1") {
		t.Errorf("the answer is to %q, not to the contact", got.Text())
	}
	if got := reply.Find("Task").Get("status"); !got.Is("accepted") {
		t.Errorf("the answer says %q", got.Text())
	}
	if id, _ := fhir.ControlID(reply.Find("Task").Tree().Root()); id.Value != back.Control {
		t.Errorf("the answer leaves under %q, and the courier says %q", id.Value, back.Control)
	}

	// What is done anew is translated by the same maps, whatever the contract says by now.
	h.stop()
	h.change = append(h.change, func(c *hub.Config) {
		for _, p := range c.Partners {
			p.In, p.Out = nil, nil
		}
	})
	h.start()
	err := h.hub.Reprocess(t.Context(), contracts.ReprocessRequest{IDs: []string{"OMA-1"}, Operator: "operator", Reason: "a test"}, func(r contracts.Reprocessed) error {
		if r.Outcome != contracts.OutcomeSent {
			t.Errorf("it is %s: %v", r.Outcome, r.Faults)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
	again := parsed(t, h.hus.parcels()[1])
	if got := again.Find("QuestionnaireResponse").Append(nil); !bytes.Equal(got, answers.Append(nil)) {
		t.Errorf("the second copy says something else: %s", got)
	}
}

func parsed(t *testing.T, p contracts.Parcel) *fhir.Bundle {
	t.Helper()
	tree, err := fhir.Parse(p.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return fhir.NewBundle(tree.Root())
}

// A message that the map can't take parks, with its place in what the partner sent.
func TestAFormOfFHIRThatTheMapCantTakeParks(t *testing.T) {
	h := open(t, asOmaolo("omaolo-contact", "omaolo-answer"))
	h.send("clinic", bytes.Replace(contact("OMA-2"), []byte(`"completed"`), []byte(`"stopped"`), 1))
	f := h.await(contracts.StepParked, "OMA-2").Fault
	if f.Kind != contracts.Unmapped || f.At != "Bundle.entry[1].resource.status" {
		t.Errorf("it parks with %s at %s", f.Kind, f.At)
	}
}

// A contract that names a map for another form of message is refused.
func TestAMapForAnotherFormIsRefused(t *testing.T) {
	maps, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*contracts.Partner){
		"an HL7 v2 map in":  func(p *contracts.Partner) { p.In = []contracts.InMap{{Type: "*", Map: "ref-i12"}} },
		"an HL7 v2 map out": func(p *contracts.Partner) { p.Out = []contracts.OutMap{{Event: "*", Map: "rri-i12"}} },
		"": func(p *contracts.Partner) {
			p.In = []contracts.InMap{{Type: "contact", Map: "omaolo-contact"}}
		},
	} {
		p := partner(t, "clinic", "")
		change(p)
		faults := hub.CheckContracts([]*contracts.Partner{p}, maps, fhir.NewProfiles())
		if name == "" && len(faults) > 0 || name != "" && (len(faults) != 1 || faults[0].Code != "CFG-037") {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

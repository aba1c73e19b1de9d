package custody

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/hub"
)

// What a FHIR partner may send is what the contract lists of our own events; a list with a star, and none at all, stand
// for those and for nothing else.
func TestAFHIRDoorTakesEventsOfTheContractAlone(t *testing.T) {
	ours := profiles.URL(profiles.EventSystem)
	h := open(t, func(c *hub.Config) {
		for id, types := range map[string][]string{"lists": {"request"}, "family": {"response-*"}, "anything": nil} {
			p := partner(t, id, "{events: [request], to: [hus]}")
			p.Accepts.Types, p.Courier = types, contracts.Courier{}
			c.Partners = append(c.Partners, p)
		}
	})
	for _, row := range []struct{ name, sender, system, event, code string }{
		{"an event of the list", "lists", ours, "request", ""},
		{"one of the family", "family", ours, "response-returned", ""},
		{"any event, without a list", "anything", ours, "patient", ""},
		{"an event without a system", "lists", "", "request", ""},
		{"another event", "lists", ours, "cancel", "HUB-013"},
		{"none of the family", "family", ours, "response-lost", "HUB-018"},
		{"none of ours, without a list", "anything", ours, "lost", "HUB-018"},
		{"another system's", "lists", "http://example.org/events", "request", "HUB-018"},
	} {
		body := strings.Replace(string(message(row.name, row.event, "R-1", "one")), ours, row.system, 1)
		got := ""
		if fault := h.send(row.sender, []byte(body)).Fault; fault != nil {
			got = fault.Code
		}
		if got != row.code {
			t.Errorf("%s: the fault is %q, want %q", row.name, got, row.code)
		}
	}
}

// A FHIR partner's own event comes through its door where its contract names it with its system, and only then.
func TestADoorTakesAPartnersOwnEvent(t *testing.T) {
	const system = "https://tuki.example/tapahtumat"
	h := open(t, func(c *hub.Config) {
		for id, types := range map[string][]string{"tuki": {system + "|tukipyynto"}, "any": nil} {
			p := partner(t, id, "{events: [request], to: [hus]}")
			p.Accepts.Types, p.Courier = types, contracts.Courier{}
			p.In = []contracts.InMap{{Type: system + "|tukipyynto", Map: "third-sector-request"}, {Type: "|apupyynto", Map: "third-sector-request"}}
			c.Partners = append(c.Partners, p)
		}
	})
	ours := "https://github.com/hoitosilta/silta/fhir/CodeSystem/event"
	for _, row := range []struct{ name, sender, system, event, code string }{
		{"the event", "tuki", system, "tukipyynto", ""},
		{"the event, without a list", "any", system, "tukipyynto", ""},
		{"one without a system", "any", "", "apupyynto", ""},
		{"the same code without a system", "any", "", "tukipyynto", "HUB-018"},
		{"the same code of another system", "tuki", "https://else.example", "tukipyynto", "HUB-018"},
		{"one of Silta's", "tuki", ours, "request", "HUB-013"},
	} {
		body := strings.Replace(string(message(row.name, row.event, "R-1", "one")), ours, row.system, 1)
		got := ""
		if fault := h.send(row.sender, []byte(body)).Fault; fault != nil {
			if got = fault.Code; got == "HUB-018" && !strings.Contains(fault.Public, "under `in` as SYSTEM|CODE") {
				t.Errorf("%s: the fault doesn't say what the contract needs: %s", row.name, fault.Public)
			}
		}
		if got != row.code {
			t.Errorf("%s: the fault is %q, want %q", row.name, got, row.code)
		}
	}
}

package custody

import (
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/hub"
)

const placedMessage = `{"resourceType":"StructureDefinition","url":"https://example.org/fhir/StructureDefinition/placed","type":"Bundle","derivation":"constraint",
"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Bundle","differential":{"element":[
{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"type","path":"resource"}],"rules":"open"}},
{"id":"Bundle.entry:task","path":"Bundle.entry","sliceName":"task","min":1},
{"id":"Bundle.entry:task.resource","path":"Bundle.entry.resource","type":[{"code":"Task"}]},
{"id":"Bundle.entry:task.resource.note","path":"Bundle.entry.resource.note","max":"1"}]}}`

// A contract's profile holds both ways, by event, and comes from a package.
func TestAMessageThatLacksItsProfileParks(t *testing.T) {
	packages := fhir.NewProfiles()
	if err := packages.AddFolder(fstest.MapFS{"package/placed.json": {Data: []byte(placedMessage)}}); err != nil {
		t.Fatal(err)
	}
	asks := func(id, event, profile string) func(*hub.Config) {
		return func(c *hub.Config) {
			c.Profiles = packages
			for _, p := range c.Partners {
				if p.ID == id {
					p.Profiles = []contracts.ProfileRule{{For: event, Profile: profile}}
				}
			}
		}
	}
	twoNotes := `one"},{"text":"two`
	for name, c := range map[string]struct {
		change func(*hub.Config)
		note   string
		faults string // code, place, rule of what parks it; empty: it is delivered
	}{
		"a good one":          {asks("clinic", "request", "https://example.org/fhir/StructureDefinition/placed"), "one", ""},
		"a broken one":        {asks("clinic", "*", "https://example.org/fhir/StructureDefinition/placed"), twoNotes, "FHIR-014 Bundle.entry[1].resource.note[1] placed#Bundle.entry:task.resource.note"},
		"for its receiver":    {asks("hus", "request", "https://example.org/fhir/StructureDefinition/placed"), twoNotes, "FHIR-014 Bundle.entry[1].resource.note[1] placed#Bundle.entry:task.resource.note"},
		"of another event":    {asks("clinic", "update", "https://example.org/fhir/StructureDefinition/placed"), twoNotes, ""},
		"not even valid R4":   {asks("clinic", "request", "http://hl7.org/fhir/StructureDefinition/Bundle"), `one","time":"2026-02-30`, "FHIR-016 Bundle.entry[1].resource.note[0].time "},
		"nobody asks for it":  {func(*hub.Config) {}, `one","time":"2026-02-30`, ""},
		"Silta's own profile": {asks("clinic", "", ""), "one", "FHIR-013 Bundle.entry silta-message-request#Bundle.entry:patient"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, c.change)
			h.send("clinic", rawMessage("C-1", "request", "R-1", c.note))
			if c.faults == "" {
				h.hus.await(t, 1)
				return
			}
			f := h.await(contracts.StepParked, "C-1").Fault
			if got := f.Code + " " + f.At + " " + f.Rule; got != c.faults || f.Kind != contracts.Invalid {
				t.Errorf("it parks with %s %s, not %s", f.Kind, got, c.faults)
			}
			if sent := h.hus.parcels(); len(sent) > 0 {
				t.Error("it was sent all the same")
			}
		})
	}
}

func TestProfilesOfAContractAreChecked(t *testing.T) {
	maps, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	own := func(name string) string {
		return "https://github.com/hoitosilta/silta/fhir/StructureDefinition/" + name
	}
	for name, rules := range map[string][]contracts.ProfileRule{
		"not loaded":          {{For: "*", Profile: "https://example.org/none"}},
		"no event":            {{For: "response-acepted"}},
		"never reached":       {{For: "*"}, {For: "request", Profile: own("silta-message-request")}},
		"no Bundle":           {{For: "request", Profile: own("silta-task")}},
		"":                    {{For: "request", Profile: own("silta-message-request")}, {For: "response-*"}, {}},
		"a type of R4 at all": {{For: "request", Profile: "http://hl7.org/fhir/StructureDefinition/Patient"}},
	} {
		p := partner(t, "hus", "")
		p.Profiles = rules
		faults := hub.CheckContracts([]*contracts.Partner{p}, maps, fhir.NewProfiles())
		if name == "" && len(faults) > 0 || name != "" && (len(faults) != 1 || faults[0].Code != "CFG-034" || faults[0].File != "hus.yaml") {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

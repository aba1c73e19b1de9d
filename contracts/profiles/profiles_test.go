package profiles_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := fs.Glob(profiles.Files, dir+"/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	return names
}

func TestFilesValidate(t *testing.T) {
	for _, name := range append(files(t, "definitions"), files(t, "examples")...) {
		b, err := profiles.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := fhir.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range fhir.Validate(tree) {
			if f.Rule == "dom-6" {
				continue // what programs exchange goes without narrative
			}
			t.Errorf("%s", f.Text(name))
		}
	}
}

func TestExamplesAreTheirEvent(t *testing.T) {
	for _, name := range files(t, "examples") {
		b, _ := profiles.Read(name)
		h, err := fhir.ScanMessage(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := strings.TrimSuffix(name[len("examples/"):], ".json"); h.Event != want || h.EventSystem != profiles.URL(profiles.EventSystem) {
			t.Errorf("%s has event %s|%s", name, h.EventSystem, h.Event)
		}
		placers := 1
		if h.Event == profiles.Contact || h.Event == profiles.PatientChange || h.Event == profiles.Merge {
			placers = 0 // not about a referral
		}
		if len(h.Placers) != placers || len(h.Patients) != 1 || len(h.Focus) != 1 {
			t.Errorf("%s: %d placer ids, %d patient ids, %d focus", name, len(h.Placers), len(h.Patients), len(h.Focus))
		}
	}
}

// Every example conforms to its event's profile, without a word in meta.profile.
func TestExamplesConform(t *testing.T) {
	p := fhir.NewProfiles()
	for _, event := range profiles.Events() {
		tree, err := fhir.Parse(example(t, event))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Validate(tree, profiles.ForEvent(event)) {
			if f.Grade == "" {
				t.Errorf("%s", f.Text(event))
			}
		}
	}
}

// The actors of the examples meet FiBase's profiles too, where that package lies beside the project: ours contradict
// nothing in it.
func TestActorsConformToFiBase(t *testing.T) {
	dir := "../../../shared/data/fi/fibase-sd"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("FiBase isn't beside the project: ", dir)
	}
	p := fhir.NewProfiles()
	if err := p.AddFolder(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, event := range profiles.Events() {
		tree, err := fhir.Parse(example(t, event))
		if err != nil {
			t.Fatal(err)
		}
		for e := range tree.Root().Get("entry").Each() {
			actor := e.Get("resource")
			profile, ok := map[string]string{"Patient": "patient", "Practitioner": "practitioner", "PractitionerRole": "practitioner-role",
				"Organization": "organization", "Location": "location", "Condition": "reason-for-care", "Encounter": "encounter",
				"Appointment": "appointment", "Provenance": "information-custodian-public"}[actor.Type()]
			if !ok {
				continue
			}
			alone, err := fhir.Parse(actor.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Validate(alone, "https://hl7.fi/fhir/finnish-base-profiles/StructureDefinition/fi-base-"+profile).Err(); err != nil {
				t.Errorf("%s: %s: %v", event, profile, err)
			}
		}
	}
}

// What the definitions say of other canonicals of ours leads somewhere, and no element of them is passed over.
func TestDefinitionsHoldTogether(t *testing.T) {
	for _, f := range fhir.NewProfiles().Check() {
		t.Errorf("%s", f.Text(""))
	}
	own := regexp.MustCompile(regexp.QuoteMeta(profiles.Base) + `/(StructureDefinition|ValueSet|CodeSystem)/([a-z0-9-]+)`)
	for _, name := range files(t, "definitions") {
		b, err := profiles.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range own.FindAllSubmatch(b, -1) {
			if _, err := profiles.Read(fmt.Sprintf("definitions/%s-%s.json", m[1], m[2])); err != nil {
				t.Errorf("%s names %s, which isn't there", name, m[0])
			}
		}
	}
}

func TestForEvent(t *testing.T) {
	all := definitions(t)
	for _, event := range profiles.Events() {
		if d, ok := all[profiles.ForEvent(event)]; !ok || d.Type != "Bundle" {
			t.Errorf("%s has no profile", event)
		}
	}
	if url := profiles.ForEvent("referral"); url != "" {
		t.Errorf("an unknown event has the profile %s", url)
	}
}

// The constants and the code systems say the same.
func TestCodeSystemsHoldTheConstants(t *testing.T) {
	for name, want := range map[string][]string{
		"event": profiles.Events(),
		"business-status": {profiles.Pending, profiles.Accepted, profiles.Declined, profiles.Expired, profiles.Arrived,
			profiles.AwaitingInformation, profiles.Transferred, profiles.VisitScheduled, profiles.NoShow, profiles.VisitCancelled,
			profiles.VisitComplete, profiles.ConsultationAnswered, profiles.CancellationRequested, profiles.Cancelled, profiles.Complete},
		"status-reason": {profiles.Incomplete, profiles.NotIndicated, profiles.ReasonTransferred, profiles.ReasonAwaitingInformation},
	} {
		b, err := profiles.Read("definitions/CodeSystem-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var cs struct {
			URL     string
			Count   int
			Concept []struct{ Code string }
		}
		if err := json.Unmarshal(b, &cs); err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, c := range cs.Concept {
			codes = append(codes, c.Code)
		}
		if !slices.Equal(codes, want) || cs.Count != len(want) || cs.URL != profiles.URL("/CodeSystem/"+name) {
			t.Errorf("%s (%s, %d): got %v, want %v", name, cs.URL, cs.Count, codes, want)
		}
	}
}

func TestReadPutsTheBaseIn(t *testing.T) {
	defer func() { profiles.Base = profiles.DefaultBase }()
	profiles.Base = "https://other.example/fhir"
	b, err := profiles.Read("definitions/CodeSystem-event.json")
	if err != nil || strings.Contains(string(b), profiles.DefaultBase) || !strings.Contains(string(b), profiles.URL(profiles.EventSystem)) {
		t.Errorf("the file keeps the default base: %v", err)
	}
}

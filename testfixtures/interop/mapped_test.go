//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
)

// The causes that explain what doesn't come through, and the page that tells them to people.
var (
	mappedCauses = "mapped-causes.tsv"
	mappedPage   = filepath.Join("..", "..", "docs", "mapping-interop.md")
)

// parks stands for HAPI where a map itself refuses a message.
const parks = "parks"

// cause is a row of mapped-causes.tsv: what in the input makes a rule find fault with a place. * stands for anything.
type cause struct {
	line                         int
	who                          string // hapi, or parks
	rule, messages, places, text string
	found                        int
}

// What the catalog makes of a message is valid for HAPI's validator, with R4, with the profile of its event and with the
// Finnish profiles of its actors; or a row of mapped-causes.tsv names what in the input is to blame. Likewise for what
// a map refuses.
func TestFHIRMappedMessagesAreValid(t *testing.T) {
	catalog, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	r := &mappedReport{t: t, causes: readCauses(t), counts: map[string]*mappedCount{}, without: map[string]int{}}
	bundles := r.translate(catalog, slices.Concat(corpus(t), caseMessages(t), generated(t)))
	verdicts := askFHIRJudge(t, bundles)
	for _, b := range bundles {
		r.judged(b, verdicts[b.path])
	}
	r.finish()
}

// caseMessages are the v2 messages of the catalog's cases.
func caseMessages(t *testing.T) []message {
	t.Helper()
	files, err := fs.Glob(mappings.Embedded, "catalog/*/*/cases/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("the catalog has no cases: %v", err)
	}
	var all []message
	for _, file := range files {
		b, err := fs.ReadFile(mappings.Embedded, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range txtar.Parse(b).Files {
			if part.Name == "in.hl7" {
				er7 := bytes.ReplaceAll(bytes.TrimRight(part.Data, "\n"), []byte("\n"), []byte("\r"))
				all = append(all, newMessage("cases/"+strings.Split(file, "/")[1]+"/"+path.Base(file), er7))
			}
		}
	}
	return all
}

// mappedCount is a row of the page's first table.
type mappedCount struct{ messages, unread, without, parked, valid, explained int }

type mappedReport struct {
	t       *testing.T
	causes  []cause
	counts  map[string]*mappedCount // by source
	without map[string]int          // messages of the corpus without a map, by type
	missing []string                // what no cause explains
}

// translate writes the Bundle of each message that a map takes to a file.
func (r *mappedReport) translate(catalog *mappings.Catalog, messages []message) []fhirFile {
	folder := r.t.TempDir()
	finnish := finnishProfiles(r.t)
	var all []fhirFile
	for i, m := range messages {
		n := r.count(m.name)
		n.messages++
		if m.parsed == nil {
			n.unread++
			continue
		}
		translation := catalog.For(m.parsed)
		if translation == nil {
			n.without++
			r.without[m.parsed.MessageType()]++
			continue
		}
		result, err := translation.Forward(m.parsed, mappings.Context{})
		if err != nil {
			n.parked++
			for _, f := range contracts.FaultsOf(err) {
				r.explain(parks, m.name, finding{f.Code, f.Place()}, f.Public)
			}
			continue
		}
		claim(result.Bundle, finnish)
		file := filepath.Join(folder, fmt.Sprintf("%05d.json", i))
		if err := os.WriteFile(file, result.Bundle.Append(nil), 0o600); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, fhirFile{name: m.name, path: file, profiled: true})
	}
	return all
}

// finnishProfiles are FiBase's profiles of resources, by type; none if they aren't there.
func finnishProfiles(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, folder := range profileFolders()[1:] {
		for _, typ := range []string{"Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Encounter",
			"Condition", "Observation", "Procedure", "Appointment"} {
			name := "fi-base-" + strings.ReplaceAll(strings.ToLower(typ), "practitionerrole", "practitioner-role")
			b, err := os.ReadFile(filepath.Join(folder, "StructureDefinition-"+name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			definition, err := fhir.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			found[typ] = definition.Root().Get("url").Text()
		}
	}
	return found
}

// claim writes to a Bundle which profiles it must meet: the one of its event, and FiBase's of its resources. Messages
// don't say so themselves.
func claim(bundle *fhir.Tree, finnish map[string]string) {
	head, err := fhir.ScanTree(bundle)
	if err == nil {
		bundle.Root().Object("meta").Array("profile").Push(fhir.String(profiles.ForEvent(head.Event)))
	}
	for entry := bundle.Root().Get("entry").First(); entry.Exists(); entry = entry.Next() {
		resource := entry.Get("resource")
		if profile := finnish[resource.Get("resourceType").Text()]; profile != "" {
			resource.Object("meta").Array("profile").Push(fhir.String(profile))
		}
	}
}

func (r *mappedReport) count(name string) *mappedCount {
	source, rest, _ := strings.Cut(name, "/")
	if source == "corpus" {
		folder, _, _ := strings.Cut(rest, "/")
		source += "/" + folder
	}
	if r.counts[source] == nil {
		r.counts[source] = &mappedCount{}
	}
	return r.counts[source]
}

func (r *mappedReport) judged(b fhirFile, a answer) {
	if a.File == "" {
		r.t.Errorf("%s: HAPI has said nothing", b.name)
	}
	errors := a.findings(resourcePlace)
	if len(errors) == 0 {
		r.count(b.name).valid++
		return
	}
	r.count(b.name).explained++
	for _, f := range errors {
		r.explain(hapi, b.name, f, a.words(f, resourcePlace))
	}
}

var entryResource = regexp.MustCompile(`^Bundle\.entry\[\d+\]\.resource/\*(\w+)/[^*]*\*/`)

// resourcePlace begins with the type of the entry's resource: Patient.identifier[0].type.
func resourcePlace(at string) string { return ourPlace(entryResource.ReplaceAllString(at, "$1")) }

// explain finds the cause of a finding; words are how it was told.
func (r *mappedReport) explain(who, message string, f finding, words string) {
	for i := range r.causes {
		c := &r.causes[i]
		if c.who == who && matches(c.rule, f.rule) && matches(c.messages, message) && matches(c.places, f.at) {
			c.found++
			return
		}
	}
	r.missing = append(r.missing, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", who, f.rule, message, f.at, words))
}

// finish tells what has no cause and which cause has nothing, and holds the page true. Without the corpus, the rows and
// the table of it are left alone.
func (r *mappedReport) finish() {
	whole := len(r.without) > 0
	for _, c := range r.causes {
		if c.found == 0 && (whole || !strings.HasPrefix(c.messages, "corpus/")) {
			r.t.Errorf("%s:%d explains nothing any more", mappedCauses, c.line)
		}
	}
	if len(r.missing) > 0 {
		r.t.Errorf("no row of %s explains %d findings:\n%s", mappedCauses, len(r.missing), strings.Join(r.missing[:min(len(r.missing), 80)], "\n"))
	}
	if !whole {
		r.t.Logf("%s isn't there: the page's tables aren't compared", corpusDir)
		return
	}
	var table strings.Builder
	for _, source := range slices.Sorted(maps.Keys(r.counts)) {
		n := r.counts[source]
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d | %d |\n", source, n.messages, n.unread, n.without, n.parked, n.valid, n.explained)
	}
	holdTable(r.t, mappedPage, "| messages of | there are | can't be read | have no map | park | valid for HAPI | errors with a cause |\n|---|---|---|---|---|---|---|\n", table.String())
	table.Reset()
	for _, typ := range slices.Sorted(maps.Keys(r.without)) {
		fmt.Fprintf(&table, "| %s | %d |\n", typ, r.without[typ])
	}
	holdTable(r.t, mappedPage, "| type | messages without a map |\n|---|---|\n", table.String())
	table.Reset()
	for _, c := range r.causes {
		fmt.Fprintf(&table, "| %s | `%s` | %s | `%s` | %d | %s |\n", c.who, c.rule, c.messages, c.places, c.found, strings.ReplaceAll(c.text, "|", "\\|"))
	}
	holdTable(r.t, mappedPage, "| who | by which rule | in | where | times | what in the input is to blame |\n|---|---|---|---|---|---|\n", table.String())
}

func readCauses(t *testing.T) []cause {
	t.Helper()
	var all []cause
	for i, c := range readColumns(t, mappedCauses, "who\trule\tmessages\tplaces\tcause") {
		if c[0] != hapi && c[0] != parks {
			t.Errorf("%s:%d is neither of %s nor of a map that %s", mappedCauses, i+2, hapi, parks)
		}
		all = append(all, cause{line: i + 2, who: c[0], rule: c[1], messages: c[2], places: c[3], text: c[4]})
	}
	return all
}

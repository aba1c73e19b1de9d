package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"
	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// resources is what one core does with a message Bundle.
type resources struct {
	Machine               string  `json:"machine"`
	Bytes                 int     `json:"bytes"`
	Entries               int     `json:"entries"`
	ParseWriteMBPerSecond float64 `json:"parseWriteMbPerSecond"` // a million bytes
	ParseMBPerSecond      float64 `json:"parseMbPerSecond"`
	JSONMBPerSecond       float64 `json:"jsonMbPerSecond"`
	OfJSONTime            float64 `json:"ofJsonTime"` // the time of parse and write over encoding/json's
	ValidatedPerSecond    float64 `json:"validatedPerSecond"`
	ProfiledPerSecond     float64 `json:"profiledPerSecond"`
	FirstAnswerMs         float64 `json:"firstAnswerMs"`
	HelpMs                float64 `json:"helpMs"`
}

func newBenchFHIR(t *terminal) *cobra.Command {
	var packages []string
	var span time.Duration
	c := &cobra.Command{
		Use:   "fhir",
		Short: "Measure reading, writing and checking a FHIR Bundle on one core",
		Long: "Parses and writes a referral's message Bundle of 20 KB, again and again for a few seconds on one core, in turn with\n" +
			"encoding/json into the structs of samply/golang-fhir-models and back. Then validates it: against R4, and against\n" +
			"Silta's profiles and those of --package, which the Bundle's resources then claim. Last, the first answer of a fresh\n" +
			"process: `silta fhir validate` of that Bundle, the median of eleven, beside `silta --help`.",
		Example: "  silta bench fhir --package fibase/",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := loadPackages(packages)
			if err != nil {
				return configuration{err}
			}
			r, err := measureFHIR(loaded, span)
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(r)
			}
			return writeFigures(t, r.Machine, []figure{
				{"a message Bundle", fmt.Sprintf("%d bytes, %d entries", r.Bytes, r.Entries)},
				{"parse and write, MB/s", fmt.Sprintf("%.0f", r.ParseWriteMBPerSecond)},
				{"parse, MB/s", fmt.Sprintf("%.0f", r.ParseMBPerSecond)},
				{"baseline: encoding/json into structs and back, MB/s", fmt.Sprintf("%.1f (parse and write take %.2f of its time)", r.JSONMBPerSecond, r.OfJSONTime)},
				{"validate against R4, Bundles/s", fmt.Sprintf("%.0f", r.ValidatedPerSecond)},
				{"with Silta's profiles and those of --package, Bundles/s", fmt.Sprintf("%.0f", r.ProfiledPerSecond)},
				{"first answer of a fresh process, ms", fmt.Sprintf("%.1f (silta --help %.1f)", r.FirstAnswerMs, r.HelpMs)},
			})
		},
	}
	c.Flags().StringSliceVar(&packages, "package", nil, "a FHIR package, a folder or a .tgz, whose profiles are checked; may be repeated")
	c.Flags().DurationVar(&span, "time", 2*time.Second, "how long each side works")
	return c
}

func measureFHIR(loaded *fhir.Profiles, span time.Duration) (resources, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := resources{Machine: machine()}
	plain, err := messageBundle(20_000)
	if err != nil {
		return r, err
	}
	claiming, err := fhir.Parse(plain.Append(nil))
	if err != nil {
		return r, err
	}
	claimProfiles(claiming, loaded)
	message := profiles.URL("/StructureDefinition/silta-message-request")
	if err := loaded.Validate(claiming, message).Err(); err != nil {
		return r, fmt.Errorf("the bench's Bundle isn't valid: %w", err)
	}
	in := plain.Append(nil)
	r.Bytes, r.Entries = len(in), plain.Root().Get("entry").Len()

	var tree fhir.Tree
	var out []byte
	perSecond := inTurn(span,
		func() {
			if tree.Parse(in) == nil {
				out = tree.Append(out[:0])
			}
		},
		func() { throughStructs(in) },
		func() { _ = tree.Parse(in) })
	r.ParseWriteMBPerSecond, r.JSONMBPerSecond, r.ParseMBPerSecond = perSecond[0]*float64(r.Bytes)/1e6, perSecond[1]*float64(r.Bytes)/1e6, perSecond[2]*float64(r.Bytes)/1e6
	r.OfJSONTime = perSecond[1] / perSecond[0]
	perSecond = inTurn(span, func() { fhir.Validate(plain) }, func() { loaded.Validate(claiming, message) })
	r.ValidatedPerSecond, r.ProfiledPerSecond = perSecond[0], perSecond[1]
	return r, r.measureStart(in)
}

// messageBundle is a referral's request with more and more Conditions, until it has that many bytes.
func messageBundle(size int) (*fhir.Tree, error) {
	b, err := profiles.Read("examples/request.json")
	if err != nil {
		return nil, err
	}
	tree, err := fhir.Parse(b)
	if err != nil {
		return nil, err
	}
	entries := tree.Root().Get("entry")
	condition := fhir.NewBundle(tree.Root()).Find("Condition").Parent()
	for i := 1; len(tree.Append(nil)) < size; i++ {
		e := entries.Push(fhir.Null())
		e.Copy(condition)
		e.Set("fullUrl", fhir.String("urn:uuid:"+string(contracts.DerivedID("bench", fmt.Sprint(i)))))
	}
	return tree, nil
}

// claimProfiles has each resource claim the profile of FiBase for its type, where that is loaded.
func claimProfiles(tree *fhir.Tree, loaded *fhir.Profiles) {
	for r := range fhir.NewBundle(tree.Root()).Resources("") {
		name := strings.ToLower(strings.Join(words(r.Type()), "-"))
		if url := "https://hl7.fi/fhir/finnish-base-profiles/StructureDefinition/fi-base-" + name; loaded.Has(url) {
			r.Object("meta").Array("profile").Push(fhir.String(url))
		}
	}
}

// words are the parts of a type's name: Practitioner and Role.
func words(name string) (parts []string) {
	from := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || name[i] < 'a' {
			parts = append(parts, name[from:i])
			from = i
		}
	}
	return parts
}

// throughStructs reads a Bundle and all its resources into structs and writes them, as a program without a tree does.
func throughStructs(b []byte) []byte {
	bundle, err := models.UnmarshalBundle(b)
	if err != nil {
		return nil
	}
	for i := range bundle.Entry {
		var head struct{ ResourceType string }
		entry := &bundle.Entry[i]
		if json.Unmarshal(entry.Resource, &head) != nil || structs[head.ResourceType] == nil {
			return nil
		}
		resource := structs[head.ResourceType]()
		if json.Unmarshal(entry.Resource, resource) != nil {
			return nil
		}
		if entry.Resource, err = json.Marshal(resource); err != nil {
			return nil
		}
	}
	b, _ = json.Marshal(bundle)
	return b
}

// structs are those of the resources in the bench's Bundle.
var structs = map[string]func() any{
	"MessageHeader":     func() any { return new(models.MessageHeader) },
	"Task":              func() any { return new(models.Task) },
	"ServiceRequest":    func() any { return new(models.ServiceRequest) },
	"Patient":           func() any { return new(models.Patient) },
	"PractitionerRole":  func() any { return new(models.PractitionerRole) },
	"Practitioner":      func() any { return new(models.Practitioner) },
	"Organization":      func() any { return new(models.Organization) },
	"Condition":         func() any { return new(models.Condition) },
	"DocumentReference": func() any { return new(models.DocumentReference) },
	"Encounter":         func() any { return new(models.Encounter) },
	"Provenance":        func() any { return new(models.Provenance) },
}

// inTurn does each work again and again for span in all, in turns, so that all meet the same disturbances, and gives
// how often each was done in a second of the processor.
func inTurn(span time.Duration, works ...func()) []float64 {
	times, used := make([]float64, len(works)), make([]time.Duration, len(works))
	once := [][]byte{nil}
	for _, work := range works {
		work() // the first time fills caches that every later one finds full
	}
	for range rounds {
		for i, work := range works {
			d, n := repeat(once, span/rounds, func([]byte) { work() })
			used[i], times[i] = used[i]+d, times[i]+float64(n)
		}
	}
	for i := range times {
		times[i] /= used[i].Seconds()
	}
	return times
}

// measureStart runs this binary afresh.
func (r *resources) measureStart(bundle []byte) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bundle.json")
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		return err
	}
	if r.HelpMs, err = medianStart(binary, "--help"); err != nil {
		return err
	}
	r.FirstAnswerMs, err = medianStart(binary, "fhir", "validate", file)
	return err
}

// medianStart is how many milliseconds a command takes, from its start to its end, in the middle of eleven.
func medianStart(binary string, args ...string) (float64, error) {
	var took []float64
	for range 11 {
		began := time.Now()
		if err := exec.Command(binary, args...).Run(); err != nil {
			return 0, fmt.Errorf("run silta %s: %w", args[0], err)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

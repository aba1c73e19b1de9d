//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/testfixtures/invalid"
)

type fhirFolder struct {
	name, path string
	profiled   bool // its files claim profiles of profileFolders
}

// Where FHIR files lie. The examples of R4 come from the npm package hl7.fhir.r4.examples; `make interop-fhir` fetches
// it. The others that stand beside the repository may be absent.
var fhirFolders = []fhirFolder{
	{"official", filepath.Join("hapifhir", "target", "examples", "package"), false},
	{"silta", filepath.Join("..", "..", "contracts", "profiles", "examples"), true},
	{"invalid", "", false}, // written by invalidFiles
	{"corpus", corpusDir, false},
	{"finland", filepath.Join(filepath.Dir(corpusDir), "data", "fi"), true},
}

// profileFolders are what both judges know beside R4's own profiles: Silta's, and the Finnish ones where they are there.
func profileFolders() []string {
	folders := []string{filepath.Join("..", "..", "contracts", "profiles", "definitions")}
	finnish := filepath.Join(filepath.Dir(corpusDir), "data", "fi", "fibase-sd")
	if _, err := os.Stat(finnish); err == nil {
		folders = append(folders, finnish)
	}
	return folders
}

// largest is the size up to which HAPI gets a file. What is larger are the Bundles of all definitions of R4, which stand
// beside them one by one, and three lists; they'd take HAPI as long as all else.
const largest = 2 << 20

func loadProfiles(t *testing.T) *fhir.Profiles {
	t.Helper()
	profiles := fhir.NewProfiles()
	for _, folder := range profileFolders() {
		if err := profiles.AddFolder(os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
	}
	return profiles
}

// fhirFile is a file with what we make of it.
type fhirFile struct {
	name     string // of the folder and below it: official/Patient-example.json
	path     string
	profiled bool
	parsed   bool
	whole    bool      // it comes back as it was
	findings []finding // what makes it invalid
	full     bool      // we have stopped counting faults
}

// skipped counts the files that are none of FHIR R4, by the reason.
type skipped map[string]int

// notR4 says why a file isn't FHIR R4, empty if it may be: then our verdict counts, and HAPI's. A file that isn't JSON
// may be, since a FHIR file was meant.
func notR4(name string, b []byte) string {
	var r struct{ ResourceType any }
	err := json.Unmarshal(bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF")), &r)
	var syntax *json.SyntaxError
	switch {
	case strings.HasPrefix(name, "invalid/"):
		return ""
	case strings.HasSuffix(name, "/package.json"):
		return "the package's own description"
	case strings.Contains(name, "_stu3/"):
		return "STU3, by the name of its folder"
	case errors.As(err, &syntax):
		return ""
	case err != nil || r.ResourceType == nil:
		return "JSON without a resourceType"
	}
	return ""
}

// fhirFiles reads all files, and gives those of R4.
func fhirFiles(t *testing.T) ([]fhirFile, skipped) {
	t.Helper()
	profiles := loadProfiles(t)
	var all []fhirFile
	left := skipped{}
	folders := slices.Clone(fhirFolders)
	folders[slices.IndexFunc(folders, func(f fhirFolder) bool { return f.name == "invalid" })].path = invalidFiles(t)
	for _, folder := range folders {
		before := len(all)
		err := filepath.WalkDir(folder.path, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !slices.Contains([]string{".json", ".fhir"}, filepath.Ext(path)) {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name := folder.name + filepath.ToSlash(strings.TrimPrefix(path, folder.path))
			if why := notR4(name, b); why != "" {
				left[why]++
				return nil
			}
			f := judgeOurselves(profiles, name, path, b)
			f.profiled = folder.profiled
			all = append(all, f)
			return nil
		})
		switch {
		case errors.Is(err, fs.ErrNotExist) && folder.name != "official":
			t.Logf("%s isn't there", folder.path)
		case err != nil:
			t.Fatalf("%v\n`make interop-fhir` fetches the examples.", err)
		case len(all) == before:
			t.Fatalf("%s is there and holds no FHIR file", folder.path)
		}
	}
	return all, left
}

// invalidFiles writes the resources with one fault each that the validator's own test knows, and their bases.
func invalidFiles(t *testing.T) string {
	t.Helper()
	lists, err := invalid.Read(filepath.Join("..", "..", "contracts", "fhir", "testdata", "invalid"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(list string, i int, resource string) {
		name := fmt.Sprintf("%s-%03d.json", strings.TrimSuffix(list, ".txt"), i)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(resource), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range lists {
		write(l.Name, 0, l.Base)
		for i, e := range l.Edits {
			write(l.Name, i+1, l.Resource(e))
		}
	}
	return folder
}

func judgeOurselves(profiles *fhir.Profiles, name, path string, b []byte) fhirFile {
	f := fhirFile{name: name, path: path}
	var compact bytes.Buffer
	tree, err := fhir.Parse(b, fhir.Limits{Bytes: 64 << 20})
	var faults contracts.Faults
	if !errors.As(err, &faults) {
		f.parsed = true
		f.whole = json.Compact(&compact, bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))) == nil && bytes.Equal(tree.Append(nil), compact.Bytes())
		faults = profiles.Validate(tree)
	}
	f.full = len(faults) >= 200
	for _, x := range faults {
		if x.Grade == contracts.GradeError {
			f.findings = append(f.findings, finding{strings.TrimSpace(x.Code + " " + x.Rule), x.Place()})
		}
	}
	return f
}

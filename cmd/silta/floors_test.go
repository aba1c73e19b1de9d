package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The house has floors: contracts are the ground, mappings and hub stand on it, adapters are walls that don't touch
// one another, cmd/silta is the roof. This test reads every import of the module and fails on a breach; it fails as
// well when it sees nothing, so it can't go blind.

const module = "github.com/hoitosilta/silta"

// source is one Go file: where it stands in the module, and what it imports.
type source struct {
	file    string
	imports []string
}

func (s source) dir() string  { return path.Dir(s.file) }
func (s source) test() bool   { return strings.HasSuffix(s.file, "_test.go") }
func (s source) room() string { return roomOf(s.dir()) }

// roomOf names the room that a folder of the module belongs to.
func roomOf(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	switch {
	case parts[0] == "adapters" && len(parts) > 1:
		return "adapters/" + parts[1]
	case parts[0] == "contracts" && len(parts) > 1:
		return "contracts/" + parts[1]
	}
	return parts[0]
}

// technologies may be imported only where they are at home.
var technologies = []struct {
	prefix string
	homes  []string
}{
	{"github.com/twmb/franz-go", []string{"adapters/kafka", "testfixtures/bare"}},
	{"github.com/segmentio/kafka-go", nil},
	{"github.com/jackc/pgx", []string{"adapters/ledger"}},
	{"modernc.org/sqlite", []string{"adapters/embedded", "adapters/ledger", "testfixtures/bare"}},
	{"github.com/pressly/goose", []string{"adapters/embedded", "adapters/ledger"}},
	{"github.com/hashicorp/go-retryablehttp", []string{"adapters/fhirrest"}},
	{"github.com/prometheus", []string{"adapters/console"}},
	{"go.opentelemetry.io", []string{"adapters/telemetry"}},
	{"github.com/spf13/cobra", []string{"cmd"}},
	{"github.com/google/cel-go", []string{"mappings"}},
	{"github.com/gofhir/fhirpath", []string{"contracts/fhir"}},
}

// formats are the libraries on which the ground may stand.
var formats = []string{
	"github.com/goccy/go-yaml", "github.com/google/uuid", "github.com/klauspost/compress", "golang.org/x/text", "github.com/samply/golang-fhir-models",
	"github.com/gofhir/fhirpath",
}

// worldly packages of the standard library have no place where nothing is done but read and write bytes.
var worldly = []string{"net", "net/http", "os", "os/exec", "database/sql", "syscall"}

// strangers are the synthetic partners: they speak the protocols by themselves, as any partner would.
var strangers = []string{"testfixtures/apotti", "testfixtures/hus"}

var topLevel = []string{
	"adapters", "mappings", "hub", "contracts", "testfixtures", "cmd", "docs",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
	"bin", // what make build makes; not kept
}

func TestTheFloorsHold(t *testing.T) {
	root := filepath.Join("..", "..")
	sources, err := readSources(root)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]bool{}
	for _, s := range sources {
		packages[s.dir()] = true
	}
	for _, must := range []string{"contracts", "contracts/hl7v2", "contracts/fhir", "mappings", "hub", "adapters/mllp", "cmd/silta"} {
		if !packages[must] {
			t.Errorf("%s isn't seen: the test reads %d files in %d folders", must, len(sources), len(packages))
		}
	}
	for _, s := range sources {
		for _, breach := range breaches(s) {
			t.Error(breach)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s has no place at the top level of the house", e.Name())
		}
	}
}

func readSources(root string) ([]source, error) {
	var sources []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		s := source{file: filepath.ToSlash(rel)}
		for _, i := range parsed.Imports {
			s.imports = append(s.imports, strings.Trim(i.Path.Value, `"`))
		}
		sources = append(sources, s)
		return err
	})
	if err == nil && len(sources) == 0 {
		err = fmt.Errorf("no Go file is under %s", root)
	}
	return sources, err
}

// breaches names every import of a file that it may not have.
func breaches(s source) []string {
	var found []string
	for _, imported := range s.imports {
		reason := ""
		if own, ok := strings.CutPrefix(imported, module+"/"); ok {
			reason = insideBreach(s, own)
		} else {
			reason = outsideBreach(s, imported)
		}
		if reason != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", s.file, imported, reason))
		}
	}
	return found
}

// insideBreach says why a file may not import a package of ours, or nothing.
func insideBreach(s source, imported string) string {
	from, to := s.room(), roomOf(imported)
	ground := to == "contracts" || strings.HasPrefix(to, "contracts/")
	switch {
	case to == "cmd":
		return "nothing stands on the roof"
	case to == "testfixtures":
		name := path.Base(s.file)
		scaffold := from == "cmd" && (strings.HasPrefix(name, "demo") || strings.HasPrefix(name, "bench"))
		if s.test() || from == "testfixtures" || scaffold {
			return ""
		}
		return "the scaffold is for tests, the demo and the benchmark"
	case from == "cmd" || from == to:
		return ""
	case from == "testfixtures":
		if ground || s.test() || !slices.Contains(strangers, s.dir()) {
			return ""
		}
		return "synthetic partners know nothing of the hub's insides"
	case from == "contracts":
		if s.test() && ground {
			return ""
		}
		return "the ground stands on nothing"
	case strings.HasPrefix(from, "contracts/"):
		if to == "contracts" || to == "contracts/profiles" || s.test() && ground {
			return ""
		}
		return "formats know contracts only"
	case from == "mappings":
		if ground {
			return ""
		}
		return "mappings stand on contracts only"
	case from == "hub":
		if ground || to == "mappings" || s.test() {
			return ""
		}
		return "the hub stands on contracts and mappings; it owns the interfaces that it calls"
	case strings.HasPrefix(from, "adapters/"):
		if ground || to == "hub" && s.test() { // the conformance suites take the hub's own interfaces
			return ""
		}
		return "walls stand on contracts only and don't touch one another, the hub or the mappings"
	}
	return "this room isn't in the plan of the house"
}

// outsideBreach says why a file may not import a package of others, or nothing.
func outsideBreach(s source, imported string) string {
	for _, tech := range technologies {
		if under(imported, tech.prefix) && !slices.Contains(tech.homes, s.room()) && !(s.room() == "testfixtures" || s.test()) {
			return fmt.Sprintf("it is at home in %v", tech.homes)
		}
	}
	if s.test() {
		return ""
	}
	pure := s.room() == "mappings" || s.dir() == "contracts/hl7v2" || s.dir() == "contracts/fhir" || s.dir() == "contracts"
	if pure && slices.Contains(worldly, imported) {
		return "there is no I/O here"
	}
	if strings.HasPrefix(s.room(), "contracts") && strings.Contains(strings.Split(imported, "/")[0], ".") &&
		!slices.ContainsFunc(formats, func(f string) bool { return under(imported, f) }) {
		return "the ground stands on the standard library and format libraries"
	}
	return ""
}

func under(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

func TestTheFloorsWouldGiveWay(t *testing.T) {
	breaking := []source{
		{"hub/receive.go", []string{module + "/adapters/embedded"}},
		{"hub/receive.go", []string{module + "/cmd/silta"}},
		{"hub/receive.go", []string{module + "/testfixtures/hus"}},
		{"hub/receive.go", []string{"modernc.org/sqlite"}},
		{"mappings/catalog.go", []string{module + "/hub"}},
		{"mappings/catalog.go", []string{"os"}},
		{"adapters/mllp/door.go", []string{module + "/adapters/embedded"}},
		{"adapters/mllp/door.go", []string{module + "/hub"}},
		{"adapters/mllp/door_test.go", []string{module + "/mappings"}},
		{"adapters/mllp/door.go", []string{module + "/mappings"}},
		{"adapters/console/api.go", []string{"github.com/twmb/franz-go/pkg/kgo"}},
		{"adapters/console/api.go", []string{"github.com/jackc/pgx/v5"}},
		{"contracts/fault.go", []string{module + "/contracts/hl7v2"}},
		{"contracts/fault.go", []string{"github.com/sirupsen/logrus"}},
		{"contracts/hl7v2/parse.go", []string{module + "/mappings"}},
		{"contracts/hl7v2/parse.go", []string{"net"}},
		{"contracts/fhir/parse.go", []string{module + "/contracts/hl7v2"}},
		{"testfixtures/hus/hus.go", []string{module + "/adapters/fhirrest"}},
		{"cmd/silta/serve.go", []string{module + "/testfixtures/hus"}},
		{"util/strings.go", []string{module + "/contracts"}},
	}
	for _, s := range breaking {
		if len(breaches(s)) != 1 {
			t.Errorf("%s may import %s", s.file, s.imports[0])
		}
	}
	holding := []source{
		{"hub/receive.go", []string{"context", module + "/contracts", module + "/mappings", module + "/contracts/hl7v2"}},
		{"adapters/embedded/embedded.go", []string{"modernc.org/sqlite", module + "/contracts"}},
		{"adapters/embedded/embedded_test.go", []string{module + "/testfixtures/busconformance"}},
		{"testfixtures/custody/house.go", []string{module + "/adapters/embedded", module + "/hub", module + "/mappings"}},
		{"cmd/silta/demo_send.go", []string{module + "/testfixtures/apotti", module + "/hub"}},
		{"contracts/yaml.go", []string{"github.com/goccy/go-yaml/ast", "io/fs"}},
	}
	for _, s := range holding {
		if found := breaches(s); len(found) > 0 {
			t.Errorf("the checker is too strict: %v", found)
		}
	}
	if _, err := readSources(t.TempDir()); err == nil {
		t.Error("an empty folder passes")
	}
}

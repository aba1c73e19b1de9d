package fhir

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// Profiles are what resources are checked against beside R4: StructureDefinitions (profiles and extensions),
// ValueSets and CodeSystems, by their canonical URLs. R4's own extensions and profiles and Silta's are always there;
// FHIR packages join them. A definition is compiled when it is first asked for.
//
// Add everything first; afterwards it is safe for many goroutines.
//
// Source: HL7 FHIR R4, profiling.html, structuredefinition.html, elementdefinition.html.
type Profiles struct {
	sources map[string]source // StructureDefinitions by url, the others by type, blank and url; each also with |version
	urls    []string          // of StructureDefinitions that were added, in their order

	mu       sync.RWMutex
	compiled map[string]*profile
	sets     map[string]*valueSet
}

// source is a definition as it came.
type source struct {
	typ  string // StructureDefinition, ValueSet, CodeSystem
	file string
	json []byte
}

// core holds R4's own extensions and profiles, a StructureDefinition a line, as far as it says more than its base.
//
//go:embed core.jsonl
var core []byte

var coreSources = sync.OnceValue(func() map[string]source {
	all := make(map[string]source, 512)
	for line := range bytes.Lines(core) {
		const before = `{"resourceType":"StructureDefinition","url":"`
		url, _, ok := strings.Cut(view(line[len(before):]), `"`)
		if ok {
			all[url] = source{"StructureDefinition", "", line}
		}
	}
	return all
})

// ownSources are Silta's own definitions.
var ownSources = sync.OnceValue(func() *Profiles {
	p := &Profiles{sources: map[string]source{}}
	names, err := fs.Glob(profiles.Files, "definitions/*.json")
	for _, name := range names {
		b, e := profiles.Read(name)
		err = errors.Join(err, e, p.Add(path.Base(name), b))
	}
	if err != nil {
		panic("fhir: our own definitions can't be read: " + err.Error())
	}
	return p
})

// NewProfiles gives R4's own profiles and Silta's.
func NewProfiles() *Profiles {
	own := ownSources()
	p := &Profiles{sources: make(map[string]source, len(own.sources)), urls: slices.Clone(own.urls),
		compiled: map[string]*profile{}, sets: map[string]*valueSet{}}
	for url, s := range own.sources {
		p.sources[url] = s
	}
	return p
}

// Add takes one definition; other resources than StructureDefinition, ValueSet and CodeSystem are passed over. A
// later definition of one url takes the earlier one's place. file names it in faults; b is kept.
func (p *Profiles) Add(file string, b []byte) error {
	t, err := Parse(b)
	if err != nil {
		return inFile(file, contracts.FaultsOf(err))
	}
	root := t.Root()
	s := source{root.Type(), file, b}
	url := clone(root.Get("url"))
	switch s.typ {
	case "StructureDefinition":
		if url != "" && !slices.Contains(p.urls, url) {
			p.urls = append(p.urls, url)
		}
	case "ValueSet", "CodeSystem":
	default:
		return nil
	}
	if url == "" {
		return inFile(file, contracts.Faults{contracts.Faultf(contracts.Invalid, CodeDefinition, s.typ+".url", "A definition needs its url: by it others refer to it.")})
	}
	key := url
	if s.typ != "StructureDefinition" {
		key = s.typ + " " + url
	}
	p.sources[key] = s
	if v := clone(root.Get("version")); v != "" {
		p.sources[key+"|"+v] = s
	}
	return nil
}

// AddFolder takes the definitions of a package that lies unpacked in a folder: every .json file in it and below, but
// for examples. Faults come all at once.
func (p *Profiles) AddFolder(folder fs.FS) error {
	var faults contracts.Faults
	found := 0
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !isDefinition(name) || d.IsDir() {
			return nil
		}
		b, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		found++
		if err := p.Add(name, b); err != nil {
			faults = append(faults, contracts.FaultsOf(err)...)
		}
		return nil
	})
	if err == nil && found == 0 {
		err = contracts.Faultf(contracts.Invalid, CodePackage, "", "The folder holds no .json file: a FHIR package has its definitions there or in package/.")
	}
	if err != nil {
		return unreadable(err)
	}
	return faults.Err()
}

// AddArchive takes the definitions of a package as it is published: a gzipped tar whose files lie in package/.
func (p *Profiles) AddArchive(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return unreadable(err)
	}
	var faults contracts.Faults
	for files, found := tar.NewReader(z), 0; ; {
		h, err := files.Next()
		if err == io.EOF && found > 0 {
			return faults.Err()
		}
		if err != nil {
			return unreadable(err)
		}
		if h.Typeflag != tar.TypeReg || !isDefinition(h.Name) {
			continue
		}
		found++
		b, err := io.ReadAll(io.LimitReader(files, defaultBytes+1))
		if err != nil {
			return unreadable(err)
		}
		if err := p.Add(h.Name, b); err != nil {
			faults = append(faults, contracts.FaultsOf(err)...)
		}
	}
}

// isDefinition leaves out what a package holds beside its definitions.
func isDefinition(name string) bool {
	dir, file := path.Split(name)
	return path.Ext(file) == ".json" && !strings.HasPrefix(file, ".") && file != "package.json" && !strings.Contains(dir, "example")
}

func unreadable(err error) error {
	if f := (*contracts.Fault)(nil); errors.As(err, &f) {
		return err
	}
	f := contracts.Faultf(contracts.Invalid, CodePackage, "", "This isn't a FHIR package: a folder, or a .tgz with its definitions in package/.")
	f.Err = err
	return f
}

func inFile(file string, faults contracts.Faults) error {
	for _, f := range faults {
		f.File = file
	}
	return faults.Err()
}

// Has says whether there is a profile or an extension of that canonical URL, with |version or without, or a type of R4.
func (p *Profiles) Has(url string) bool {
	s, ok := p.find(url)
	return ok && s.typ == "StructureDefinition" || baseType(url) != nil
}

func (p *Profiles) find(url string) (source, bool) {
	if s, ok := p.sources[url]; ok {
		return s, true
	}
	plain, version, _ := strings.Cut(url, "|")
	if s, ok := coreSources()[plain]; ok && (version == "" || version == "4.0.1") {
		return s, true
	}
	return source{}, false
}

// Check compiles all definitions that were added and gives what in them can't be used, each in its file: an error where
// the profile can't be relied on, a warning where a part of it isn't checked.
func (p *Profiles) Check() contracts.Faults {
	var faults contracts.Faults
	for _, url := range p.urls {
		faults = append(faults, p.CheckProfile(url)...)
	}
	return faults
}

// CheckProfile is Check of one profile, with what it takes from its base. One that isn't loaded is a fault.
func (p *Profiles) CheckProfile(url string) contracts.Faults {
	c := p.profile(url)
	if c == nil {
		if baseType(url) != nil {
			return nil
		}
		return contracts.Faults{contracts.Faultf(contracts.Invalid, CodeNoProfile, "", "No profile %s is loaded: add the package that has it.", url)}
	}
	faults := slices.Clone(c.faults)
	c.root.blind(p, func(slice *rule) {
		f := contracts.Faultf(contracts.Invalid, CodeDefinition, "", "Nothing tells this slice from the others: the discriminators find no fixed value, pattern, required codes, type or profile in it. It isn't checked.")
		f.File, f.Rule, f.Grade = p.sources[url].file, slice.id, contracts.GradeWarning
		faults = append(faults, f)
	})
	return faults
}

// TypeOf is the type that a profile is for: Bundle; empty for one that isn't loaded.
func (p *Profiles) TypeOf(url string) string {
	if t := baseType(url); t != nil {
		return t.Name
	}
	if c := p.profile(url); c != nil && c.typ != nil {
		return c.typ.Name
	}
	return ""
}

// blind gives the slices that can't be told from the others.
func (r *rule) blind(p *Profiles, yield func(*rule)) {
	for _, list := range [][]*rule{r.children, r.slices} {
		for _, c := range list {
			c.blind(p, yield)
		}
	}
	if len(r.slices) == 0 {
		return
	}
	for i, m := range r.marks(p) {
		if m == nil {
			yield(r.slices[i])
		}
	}
}

// profile gives a compiled profile, nil where there is none.
func (p *Profiles) profile(url string) *profile {
	p.mu.RLock()
	c, ok := p.compiled[url]
	p.mu.RUnlock()
	if ok {
		return c
	}
	if c = p.compile(url, nil); c == nil {
		return nil // not kept: a message may name any
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, ok := p.compiled[url]; ok { // another was faster; one profile is one pointer
		return first
	}
	p.compiled[url] = c
	return c
}

// valueSet gives the codes of a value set, nil where they aren't all known.
func (p *Profiles) valueSet(url string) *valueSet {
	p.mu.RLock()
	v, ok := p.sets[url]
	p.mu.RUnlock()
	if ok {
		return v
	}
	v = p.expand(url, map[string]*valueSet{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sets[url] = v
	return v
}

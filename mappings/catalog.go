package mappings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // Europe/Helsinki must be known on every machine

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// lensSet is the number of the lens library. It rises with every change of a lens that changes any output. It is part of
// the digest of what is published under it.
const lensSet = "2"

// lensSets are the numbers whose output this library gives, too. Who raises the number and keeps the old lenses for the
// maps that were published under it adds the old one here; else those maps don't load any more, and say so.
var lensSets = []string{lensSet}

// Catalog is a set of compiled maps. It is immutable.
type Catalog struct {
	shelf
	maps     []*Map
	layers   []fs.FS
	warnings contracts.Faults
}

// Map is one version of a map, compiled for every HL7 version that it is for. It is immutable; many goroutines may use it.
type Map struct {
	doc       *document
	extends   string // the map that it is an overlay of, ID@VERSION
	root      string // the id of the map at the bottom of its overlays; its own without
	digest    string
	lenses    string // the number of the lens library that the digest covers
	stamp     string // what its results name: id, version and digest
	pins      []pin  // what the digest covers beside the file
	published bool
	versions  []string
	programs  map[string]*program
	fhir      *fhirProgram // of a map whose dialect is FHIR, which has no others
	layer     fs.FS
	dir       string
	local     *time.Location
}

// Load reads and compiles a catalog from layers, each laid out as Embedded is. A later layer adds maps, blocks and code
// maps; what an earlier one has under the same name and version must be the same. The error is contracts.Faults: every fault of
// every file, with line and column. A layer without the folders is empty; a catalog without any map is a fault.
func Load(layers ...fs.FS) (*Catalog, error) {
	set := &reporterSet{}
	c := &Catalog{shelf: shelf{bases: map[string]*source{}, blocks: map[string]*source{}, concepts: map[string]*codeMap{}, guards: &expressions{}}, layers: layers}
	var sources []*source
	layerOf := map[*source]fs.FS{}
	for _, layer := range layers {
		readConceptMaps(set, layer, c.concepts)
		for _, src := range readSources(set, layer) {
			name := src.doc.id.s + "@" + src.doc.version.s
			if src.doc.block {
				if other, known := c.blocks[name]; known {
					mustEqual(src.r, src.doc.version.at, bytes.Equal(src.data, other.data), name)
				} else {
					c.blocks[name] = src
				}
				continue
			}
			if other, known := c.bases[name]; known {
				mustEqual(src.r, src.doc.version.at, bytes.Equal(src.data, other.data), name)
				continue
			}
			sources, c.bases[name] = append(sources, src), src
			layerOf[src] = layer
		}
	}
	for _, src := range sources {
		src.extend(c.bases, c.blocks)
		if src.broken || src.usesBroken(c.blocks) {
			continue
		}
		if m := compile(src, c.shelf); m != nil {
			m.layer = layerOf[src]
			c.maps = append(c.maps, m)
		}
	}
	for _, layer := range layers {
		c.checkLock(set, layer)
	}
	faults := set.faults()
	if len(sources) == 0 {
		faults = append(faults, contracts.Faultf(contracts.Invalid, CodeCatalogLayout, "catalog", "There is no map under catalog/ID/VERSION/map.yaml."))
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	c.warnings = faults
	slices.SortFunc(c.maps, func(a, b *Map) int {
		if a.doc.id.s != b.doc.id.s {
			return strings.Compare(a.doc.id.s, b.doc.id.s)
		}
		if newer(a.semver(), b.semver()) {
			return -1
		}
		return 1
	})
	return c, nil
}

// readSources reads catalog/ID/VERSION/{map,block}.yaml of a layer, in the order of their names.
func readSources(set *reporterSet, layer fs.FS) []*source {
	var list []*source
	for _, name := range []string{"block.yaml", "map.yaml"} {
		files, err := fs.Glob(layer, "catalog/*/*/"+name)
		if err != nil {
			continue
		}
		for _, file := range files {
			data, err := fs.ReadFile(layer, file)
			if err != nil {
				set.file(file).add(CodeCatalogLayout, pos{line: 1, col: 1}, "The file can't be read.")
				continue
			}
			src := parse(set.file(file), data)
			src.dir = path.Dir(file)
			if src.broken {
				src.doc = named(src.dir, name == "block.yaml") // what stands on it or uses it has no fault by that
				list = append(list, src)
				continue
			}
			if want := "catalog/" + src.doc.id.s + "/" + src.doc.version.s; want != src.dir {
				src.r.add(CodeCatalogLayout, src.doc.id.at, "The file says another id or version than its folder.")
			}
			if src.doc.block != (name == "block.yaml") {
				src.r.add(CodeCatalogLayout, pos{line: 1, col: 1}, "A map stands in map.yaml, a block in block.yaml.")
			}
			list = append(list, src)
		}
	}
	return list
}

// named is an empty document of the id and version that a folder says.
func named(dir string, block bool) *document {
	id, version := path.Split(dir)
	return &document{id: text{s: path.Base(id)}, version: text{s: version}, block: block}
}

func parse(r *reporter, data []byte) *source {
	sum := sha256.Sum256(data)
	src := &source{root: readYAML(r, data), r: r, data: data, digest: hex.EncodeToString(sum[:])}
	if src.broken = src.root == nil; src.broken {
		src.doc = &document{}
	} else if src.wanted = src.root.get("extends") != nil; src.wanted {
		src.doc = decodeHead(r, src.root) // the rest means something on its base alone
	} else {
		src.doc = decode(r, src.root)
	}
	return src
}

// CompileFile compiles one map file against the catalog's blocks and code maps, for checking it. name is how faults
// call it. The Faults are all of the file's, warnings too; the Map is nil if one of them is an error. A block is only
// read, since its paths mean something in a map alone; the Map is nil then too.
func (c *Catalog) CompileFile(name string, data []byte) (*Map, contracts.Faults) {
	r := &reporter{file: name}
	src := parse(r, data)
	src.extend(c.bases, c.blocks)
	if src.broken {
		return nil, r.once()
	}
	if src.doc.block || len(r.faults) > 0 && contracts.Faults(r.faults).Err() != nil {
		if !src.doc.block && src.doc.id.set() {
			compile(src, c.shelf)
		}
		return nil, r.once()
	}
	m := compile(src, c.shelf)
	faults := r.once()
	if faults.Err() != nil {
		return nil, faults
	}
	return m, faults
}

// compile makes a map's programs. Faults go to the reporters; a map with faults has no use.
func compile(src *source, from shelf) *Map {
	m := &Map{doc: src.doc, root: src.rootID(), dir: src.dir, programs: map[string]*program{}}
	if m.FHIR() {
		m.fhir = compileDialect(src, from)
	} else {
		m.versions = versionRange(src)
	}
	for _, v := range m.versions {
		if p := compileVersion(src, from, m.versions, v); p != nil {
			m.programs[v] = p
		}
	}
	m.local, _ = time.LoadLocation("Europe/Helsinki")
	if z := src.doc.v2.zone; z.set() {
		zone, err := time.LoadLocation(z.s)
		if err != nil {
			src.r.add(CodeType, z.at, "There is no time zone of that name.")
		} else {
			m.local = zone
		}
	}
	m.pins = pins(src, from)
	m.name(src, lensSet)
	if src.base != nil {
		m.extends = src.base.doc.id.s + "@" + src.base.doc.version.s
	}
	return m
}

// usesBroken says whether the file uses a block that can't be read: what it says about the rest may be wrong.
func (src *source) usesBroken(blocks map[string]*source) bool {
	return slices.ContainsFunc(src.doc.uses, func(u useDef) bool {
		b := blocks[u.block.s]
		return b != nil && b.broken
	})
}

// mustEqual refuses a file that says something else than one of an earlier layer under the same name and version:
// which of the two is meant can't be guessed, and ignoring an edit would be the worst guess.
func mustEqual(r *reporter, at pos, equal bool, name string) {
	if !equal {
		r.add(CodeDuplicate, at, "%s is in the catalog already, with other content. Give this one a new version; if you changed what is built in, build again.", name)
	}
}

// versionRange lists the dictionary versions that the map is for: exact ones and a..b.
func versionRange(src *source) []string {
	all := hl7v2.Versions()
	if len(src.doc.v2.versions) == 0 {
		src.r.add(CodeType, at(src.doc.v2.at, pos{line: 1, col: 1}), "The map doesn't say its versions, such as [\"2.3..2.8\"].")
		return nil
	}
	in := map[string]bool{}
	for _, t := range src.doc.v2.versions {
		from, to, isRange := strings.Cut(t.s, "..")
		if !isRange {
			to = from
		}
		if !has(all, from) || !has(all, to) {
			src.r.add(CodeVersion, t.at, "The HL7 versions are %s, and ranges of them such as %s..%s.", strings.Join(all, ", "), all[0], all[len(all)-1])
			continue
		}
		if !hl7v2.VersionAtLeast(to, from) {
			src.r.add(CodeVersion, t.at, "This range of versions is empty: it begins behind its end.")
			continue
		}
		for _, v := range all {
			if hl7v2.VersionAtLeast(v, from) && hl7v2.VersionAtLeast(to, v) {
				in[v] = true
			}
		}
	}
	var list []string
	for _, v := range all {
		if in[v] {
			list = append(list, v)
		}
	}
	return list
}

// name gives the map its digest under a lens library, and the URL that its results name.
func (m *Map) name(src *source, lenses string) {
	m.lenses, m.digest = lenses, digest(src, m.pins, lenses)
	m.stamp = profiles.URL("/map/" + m.Name() + "#" + m.digest)
}

// digest covers the file, all that it stands on, and the number of the lens library.
func digest(src *source, pins []pin, lenses string) string {
	h := sha256.New()
	h.Write([]byte("lenses " + lenses + "\n"))
	h.Write(src.data)
	for _, p := range pins {
		h.Write([]byte("\n" + p.String()))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Warnings are what Load found and could live with.
func (c *Catalog) Warnings() contracts.Faults { return c.warnings }

// Maps are all maps, by id, the newest version of each first.
func (c *Catalog) Maps() []*Map { return c.maps }

// Map finds a map by ID, which means its newest version, or by ID@VERSION. The fault is notfound MAP-303.
func (c *Catalog) Map(ref string) (*Map, error) {
	id, version, _ := strings.Cut(ref, "@")
	var ids, versions []string
	for _, m := range c.maps {
		if m.ID() == id && (version == "" || version == m.Version()) {
			return m, nil
		}
		if ids = append(ids, m.ID()); m.ID() == id {
			versions = append(versions, m.Version())
		}
	}
	if versions != nil {
		return nil, contracts.Faultf(contracts.NotFound, CodeUnknownMap, ref, "The map has no such version; its versions are %s.", strings.Join(versions, ", "))
	}
	return nil, contracts.Faultf(contracts.NotFound, CodeUnknownMap, ref, "There is no map of this name and version%s.", meant(id, ids))
}

// For finds a map for a message by its type and event, in its newest version; nil if the catalog has none. A contract
// names its map itself: this is for messages without one.
func (c *Catalog) For(msg *hl7v2.Message) *Map {
	for _, m := range c.maps {
		if _, fault := m.programFor(msg); fault == nil {
			return m
		}
	}
	return nil
}

// ID is the map's id: ref-i12.
func (m *Map) ID() string { return m.doc.id.s }

// Version is the map's version: 0.1.0.
func (m *Map) Version() string { return m.doc.version.s }

// Name is ID@VERSION.
func (m *Map) Name() string { return m.ID() + "@" + m.Version() }

func (m *Map) semver() [3]int {
	v, _ := parseSemver(m.doc.version.s)
	return v
}

// Digest covers the map's bytes, its blocks, its code maps and the lens library: sha256:….
func (m *Map) Digest() string { return m.digest }

// Extends is the map that this one is an overlay of, ID@VERSION; empty where it stands alone.
func (m *Map) Extends() string { return m.extends }

// Title is the map's title in a language (en, fi, sv), or in English, or its id.
func (m *Map) Title(language string) string {
	for _, l := range []string{language, "en"} {
		if t := m.doc.title[l]; t != "" {
			return t
		}
	}
	return m.ID()
}

// Structures are the v2 structures that the map reads; the first one that a version has is written. A map whose dialect is
// FHIR has none.
func (m *Map) Structures() []string { return texts(m.doc.v2.structures) }

// Events are the events of the dialect that the map is for: the v2 trigger I12, or the code of a FHIR message.
func (m *Map) Events() []string {
	if m.FHIR() {
		return texts(m.doc.dialect.events)
	}
	return texts(m.doc.v2.events)
}

// Versions are the HL7 versions that the map is compiled for.
func (m *Map) Versions() []string { return slices.Clone(m.versions) }

// Root is what a message of a dialect that is FHIR is: Bundle, or another resource such as Task. Of HL7 v2 it is empty.
func (m *Map) Root() string { return m.doc.dialect.root.s }

// Types are the v2 message types that the map takes: REF^I12. One that takes every event of a message code has none of
// them; then it is REF^*. Of a map whose dialect is FHIR they are the codes of its events, or *.
func (m *Map) Types() []string {
	if m.FHIR() {
		if events := m.Events(); len(events) > 0 {
			return events
		}
		return []string{"*"}
	}
	code, _, _ := strings.Cut(m.Structures()[0], "_")
	var list []string
	for _, event := range m.Events() {
		list = append(list, code+"^"+event)
	}
	if list == nil {
		list = []string{code + "^*"}
	}
	return list
}

// CanonicalEvents are the events of the canonical messages that the map can write to v2; all, where a rule decides.
func (m *Map) CanonicalEvents() []string {
	event := m.doc.fhir.event.s
	if code := event[strings.LastIndexByte(event, '|')+1:]; code != "" && code != "*" {
		return []string{code}
	}
	return profiles.Events()
}

func texts(list []text) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.s)
	}
	return out
}

func (m *Map) zone(c Context) *time.Location {
	if c.Zone != nil {
		return c.Zone
	}
	return m.local
}

// programFor chooses the program of a message's version, and checks that the message is one for this map.
func (m *Map) programFor(msg *hl7v2.Message) (*program, *contracts.Fault) {
	if m.FHIR() {
		return nil, contracts.Faultf(contracts.Invalid, CodeStructure, "MSH-9.1", "The map %s takes FHIR messages.", m.Name())
	}
	code, _, _ := strings.Cut(m.doc.v2.structures[0].s, "_")
	if msg.Code() != code {
		return nil, contracts.Faultf(contracts.Invalid, CodeStructure, "MSH-9.1", "The map %s takes %s messages.", m.Name(), code)
	}
	event, events := msg.Event(), m.doc.v2.events
	if len(events) > 0 && !slices.ContainsFunc(events, func(e text) bool { return e.s == event }) {
		return nil, contracts.Faultf(contracts.Invalid, CodeStructure, "MSH-9.2", "The map %s takes the events %s.", m.Name(), strings.Join(m.Events(), ", "))
	}
	return m.program(msg.Version()), nil
}

// program gives the program of a version, or of the nearest that the map has.
func (m *Map) program(version string) *program {
	if p := m.programs[hl7v2.NearestVersion(version)]; p != nil {
		return p
	}
	best := m.versions[0]
	for _, v := range m.versions {
		if hl7v2.VersionAtLeast(version, v) {
			best = v
		}
	}
	return m.programs[best]
}

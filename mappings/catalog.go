package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
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

// Catalog is a set of maps. It is immutable.
type Catalog struct {
	shelf
	maps    []*Map
	inOrder []*Map // the maps in the order of their files, which is that of their faults
	layers  []fs.FS
	files   *reporterSet
}

// Map is one version of a map, with a program for every HL7 version that it is for. It is immutable; many goroutines may
// use it.
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
	editions  map[string]func() *edition // by version
	told      told                       // what is said of the map beside its editions
	builtIn   bool
	fhir      *fhirProgram // of a map whose dialect is FHIR, which has no others
	layer     fs.FS
	dir       string
	local     *time.Location
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

// Check compiles what Load left for later, and gives all faults of the files of all layers: warnings, and errors where
// what is built in has any.
func (c *Catalog) Check() contracts.Faults {
	compileAll(c.inOrder)
	return c.files.faults(c.inOrder)
}

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
		return nil, contracts.Faultf(contracts.Invalid, CodeStructure, "MSH-9.1", "The map %s takes %s messages.", m.Name(), m.takes(code))
	}
	event, events := msg.Event(), m.doc.v2.events
	if len(events) > 0 && !slices.ContainsFunc(events, func(e text) bool { return e.s == event }) {
		return nil, contracts.Faultf(contracts.Invalid, CodeStructure, "MSH-9.2", "The map %s takes %s messages.", m.Name(), m.takes(code))
	}
	return m.program(msg.Version()), nil
}

// takes are the message types that the map takes, such as REF^I12.
func (m *Map) takes(code string) string {
	var types []string
	for _, event := range m.Events() {
		types = append(types, code+"^"+event)
	}
	if len(types) == 0 {
		return code
	}
	return strings.Join(types, ", ")
}

// program gives the program of a version, or of the nearest that the map has.
func (m *Map) program(version string) *program {
	if p := m.edition(hl7v2.NearestVersion(version)); p != nil {
		return p
	}
	best := m.versions[0]
	for _, v := range m.versions {
		if hl7v2.VersionAtLeast(version, v) {
			best = v
		}
	}
	return m.edition(best)
}

// edition gives the program of a version that the map is for, or nil.
func (m *Map) edition(version string) *program {
	compiled := m.editions[version]
	if compiled == nil {
		return nil
	}
	e := compiled()
	if m.builtIn && e.faulty {
		panic("mappings: the built-in map " + m.Name() + " has faults, which Catalog.Check tells")
	}
	return e.program
}

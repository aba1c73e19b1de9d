package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
)

// codeMap pairs codes both ways. forward and back are sorted by from.
type codeMap struct {
	name     string // NAME@VERSION, or the inline map's own
	unmapped unmapped
	forward  []codePair
	back     []codePair
	display  []codePair
	table    string // the name of the v2 codes' system, written to component 3 on the way back
	system   string // of the target codes, where the target is a Coding or CodeableConcept
	digest   string
	at       pos
	places   map[string]pos // of the target codes that the map's file writes
}

// unmapped says what happens to a code that a code map doesn't know. There is no default.
type unmapped string

const (
	unmappedError unmapped = "error" // it parks
	unmappedKeep  unmapped = "keep"  // it passes as it is
	unmappedTask  unmapped = "task"  // it goes on as the sender's own, or without it, and somebody has to look at it
)

type codePair struct{ from, to string }

func lookup(pairs []codePair, from string) (string, bool) {
	i := sort.Search(len(pairs), func(i int) bool { return pairs[i].from >= from })
	if i < len(pairs) && pairs[i].from == from {
		return pairs[i].to, true
	}
	return "", false
}

func sortPairs(pairs []codePair) {
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].from < pairs[j].from })
}

// conceptMap is the part of a FHIR ConceptMap that code maps use. A target with equivalence `wider` is only written
// forward; `narrower` marks a source that only the way back writes.
type conceptMap struct {
	ResourceType string `json:"resourceType"`
	Name         string `json:"name"`
	Version      string `json:"version"`
	Group        []struct {
		Source   string `json:"source"`
		Target   string `json:"target"`
		Unmapped struct {
			Mode string `json:"mode"`
		} `json:"unmapped"`
		Element []struct {
			Code    string `json:"code"`
			Display string `json:"display"`
			Target  []struct {
				Code        string `json:"code"`
				Equivalence string `json:"equivalence"`
			} `json:"target"`
		} `json:"element"`
	} `json:"group"`
}

// readConceptMaps reads every codes/NAME@VERSION.json of the layers.
func readConceptMaps(r *reporterSet, layer fs.FS, into map[string]*codeMap) {
	files, err := fs.Glob(layer, "codes/*.json")
	if err != nil {
		return
	}
	for _, name := range files {
		data, err := fs.ReadFile(layer, name)
		if err != nil {
			continue
		}
		rep := r.file(name)
		key := strings.TrimSuffix(path.Base(name), ".json")
		m, err := parseConceptMap(data, key)
		if err != nil {
			rep.add(CodeCatalogLayout, pos{line: 1, col: 1}, "This is no code map: %v.", err)
			continue
		}
		if other, known := into[key]; known {
			mustEqual(rep, m.at, m.digest == other.digest, key)
			continue
		}
		into[key] = m
	}
}

func parseConceptMap(data []byte, key string) (*codeMap, error) {
	var c conceptMap
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("it isn't JSON of a ConceptMap")
	}
	if c.ResourceType != "ConceptMap" || c.Name+"@"+c.Version != key {
		return nil, fmt.Errorf("it isn't a ConceptMap whose name and version are those of the file")
	}
	if len(c.Group) != 1 || len(c.Group[0].Element) == 0 {
		return nil, fmt.Errorf("it needs one group with elements")
	}
	g := c.Group[0]
	sum := sha256.Sum256(data)
	m := &codeMap{name: key, unmapped: unmappedError, at: pos{line: 1, col: 1}, digest: hex.EncodeToString(sum[:])}
	if strings.HasPrefix(g.Source, v2Tables) {
		m.table = systemName(g.Source)
	}
	switch g.Unmapped.Mode {
	case "":
	case "provided":
		m.unmapped = unmappedKeep
	default:
		return nil, fmt.Errorf("group.unmapped gives unknown codes another meaning; provided is the only mode that a code map may have")
	}
	for _, e := range g.Element {
		for _, t := range e.Target {
			if t.Equivalence != "narrower" {
				m.forward = append(m.forward, codePair{e.Code, t.Code})
			}
			if t.Equivalence != "wider" {
				m.back = append(m.back, codePair{t.Code, e.Code})
			}
		}
		if e.Display != "" {
			m.display = append(m.display, codePair{e.Code, e.Display})
		}
	}
	sortPairs(m.forward)
	sortPairs(m.back)
	sortPairs(m.display)
	for _, list := range [][]codePair{m.forward, m.back} {
		for i := 1; i < len(list); i++ {
			if list[i].from == list[i-1].from {
				return nil, fmt.Errorf("two entries share a code; mark all but one as wider or narrower")
			}
		}
	}
	return m, nil
}

// inlineCodes compiles a code map of a map file.
func inlineCodes(r *reporter, def codesDef, names func(text) string) *codeMap {
	m := &codeMap{name: def.name.s, unmapped: unmapped(def.unmapped.s), table: tableName(def.table.s), at: def.name.at}
	if strings.ContainsAny(m.table, "|^&~\\ \t\r\n") {
		r.add(CodeType, def.table.at, "A table is an HL7 table's four digits or the name of a code system, without blanks and delimiters.")
	}
	if def.system.set() {
		m.system = names(def.system)
	}
	prefer := map[string]string{}
	for _, p := range def.prefer {
		prefer[p.from.s] = p.to.s
	}
	m.places = map[string]pos{}
	for _, p := range slices.Concat(def.forwardOnly, def.pairs) {
		m.places[p.to.s] = p.to.at
	}
	back := map[string]bool{}
	for _, p := range def.pairs {
		m.forward = append(m.forward, codePair{p.from.s, p.to.s})
		if want, ok := prefer[p.to.s]; ok && want != p.from.s {
			continue
		}
		if back[p.to.s] {
			r.add(CodeInjective, p.from.at, "Two codes become %q; name the one that is written back in prefer, or move this one to forwardOnly.", p.to.s)
			continue
		}
		back[p.to.s] = true
		m.back = append(m.back, codePair{p.to.s, p.from.s})
	}
	for _, p := range def.forwardOnly {
		m.forward = append(m.forward, codePair{p.from.s, p.to.s})
	}
	for _, p := range def.reverseOnly {
		if back[p.from.s] {
			r.add(CodeInjective, p.from.at, "%q has a code of its own in map already.", p.from.s)
			continue
		}
		m.back = append(m.back, codePair{p.from.s, p.to.s})
	}
	for _, p := range def.display {
		m.display = append(m.display, codePair{p.from.s, p.to.s})
	}
	sortPairs(m.forward)
	sortPairs(m.back)
	sortPairs(m.display)
	for i := 1; i < len(m.forward); i++ {
		if m.forward[i].from == m.forward[i-1].from {
			r.add(CodeInjective, def.name.at, "The code %q stands twice.", m.forward[i].from)
		}
	}
	return m
}

// tableName is a table as component 3 has it: HL7 stands before the four digits of a table of the standard, and before no
// other name.
func tableName(table string) string {
	if len(table) == 4 && allDigits(table) {
		return "HL7" + table
	}
	return table
}

// with is a code map of the catalog with what a file says beside it: a system, further codes, others for the same. What the
// file says counts; a code that it sends elsewhere isn't written back for the old one any more.
func (m *codeMap) with(r *reporter, def codesDef, names func(text) string) *codeMap {
	own := inlineCodes(r, def, names)
	all := *m
	all.places = own.places
	if own.system != "" {
		all.system = own.system
	}
	if own.table != "" {
		all.table = own.table
	}
	if def.unmapped.set() {
		all.unmapped = own.unmapped
	}
	all.display = over(m.display, own.display)
	if len(own.forward) == 0 && len(own.back) == 0 {
		return &all
	}
	all.name = own.name
	all.forward = over(m.forward, own.forward)
	var kept []codePair
	for _, p := range m.back {
		if to, ok := lookup(own.forward, p.to); !ok || to == p.from {
			kept = append(kept, p)
		}
	}
	for _, p := range own.back {
		if was, ok := lookup(kept, p.from); ok && was != p.to && !preferred(def, p) {
			r.add(CodeInjective, def.name.at, "Two codes become %q; name the one that is written back in prefer, or move this one to forwardOnly.", p.from)
		}
	}
	all.back = over(kept, own.back)
	return &all
}

// displays warns of a display whose code the whole code map doesn't have on the v2 side.
func (m *codeMap) displays(r *reporter, def codesDef) {
	var codes []string
	for _, p := range m.forward {
		codes = append(codes, p.from)
	}
	for _, p := range m.back {
		codes = append(codes, p.to)
	}
	for _, p := range def.display {
		if !has(codes, p.from.s) && m.unmapped == unmappedError {
			r.add(CodeDisplay, p.from.at, "The code map has no code %q on the v2 side, so nothing shows this%s.", p.from.s, meant(p.from.s, codes))
		}
	}
}

// preferred says whether a file names the code that is written back for another.
func preferred(def codesDef, p codePair) bool {
	for _, w := range slices.Concat(def.prefer, def.reverseOnly) {
		if w.from.s == p.from && w.to.s == p.to {
			return true
		}
	}
	return false
}

// over are the pairs of both lists, sorted; those of more count where both have one.
func over(pairs, more []codePair) []codePair {
	var all []codePair
	for _, p := range pairs {
		if _, known := lookup(more, p.from); !known {
			all = append(all, p)
		}
	}
	all = append(all, more...)
	sortPairs(all)
	return all
}

// targets are the codes that the map writes forward.
func (m *codeMap) hasTarget(code string) bool {
	for _, p := range m.forward {
		if p.to == code {
			return true
		}
	}
	_, ok := lookup(m.back, code)
	return ok
}

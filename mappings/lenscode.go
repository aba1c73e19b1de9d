package mappings

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts/profiles"
)

// codeSystems pair the names of HL7 table 0396, in the form that is written, with their URLs; the further names are
// only read. OIDs become urn:oid:, HL7nnnn a table of terminology.hl7.org, all others a URL under Silta's own base.
var codeSystems = []struct {
	name, url string
	also      []string
}{
	{"LN", "http://loinc.org", []string{"2.16.840.1.113883.6.1", "LOINC"}},
	{"SCT", "http://snomed.info/sct", []string{"2.16.840.1.113883.6.96", "SNM", "SNOMED", "SNOMEDCT"}},
	{"UCUM", "http://unitsofmeasure.org", []string{"2.16.840.1.113883.6.8"}},
	{"I10", "http://hl7.org/fhir/sid/icd-10", []string{"2.16.840.1.113883.6.3", "ICD10", "ICD-10"}},
	{"I9C", "http://hl7.org/fhir/sid/icd-9-cm", []string{"I9"}},
	{"I10C", "http://hl7.org/fhir/sid/icd-10-cm", []string{"2.16.840.1.113883.6.90"}},
	{"WC", "http://www.whocc.no/atc", []string{"2.16.840.1.113883.6.73", "ATC"}},
	{"IC2", "http://hl7.org/fhir/sid/icpc-2", []string{"ICPC2", "ICPC-2"}},
	{"CVX", "http://hl7.org/fhir/sid/cvx", nil},
	{"NDC", "http://hl7.org/fhir/sid/ndc", nil},
	{"ISO639", "urn:ietf:bcp:47", []string{"ISO639-1", "ISO639-2", "ISO639_1"}},
}

const v2Tables = "http://terminology.hl7.org/CodeSystem/v2-"

func systemURL(name string) string {
	if name == "" {
		return ""
	}
	for i := range codeSystems {
		if s := &codeSystems[i]; s.name == name || has(s.also, name) {
			return s.url
		}
	}
	if len(name) == 7 && strings.HasPrefix(name, "HL7") && allDigits(name[3:]) {
		return v2Tables + name[3:]
	}
	if table, ok := strings.CutPrefix(name, "2.16.840.1.113883.12."); ok && allDigits(table) && len(table) < 5 {
		return v2Tables + "0000"[len(table):] + table // HL7's own tables, by their OID
	}
	if isOID(name) {
		return "urn:oid:" + name
	}
	if strings.Contains(name, "://") || strings.HasPrefix(name, "urn:") {
		return name
	}
	return profiles.URL("/CodeSystem/v2/" + url.PathEscape(name))
}

// systemName is the inverse of systemURL.
func systemName(system string) string {
	for i := range codeSystems {
		if codeSystems[i].url == system {
			return codeSystems[i].name
		}
	}
	if table, ok := strings.CutPrefix(system, v2Tables); ok && len(table) == 4 && allDigits(table) {
		return "HL7" + table
	}
	if oid, ok := strings.CutPrefix(system, "urn:oid:"); ok {
		return oid
	}
	if name, ok := strings.CutPrefix(system, profiles.URL("/CodeSystem/v2/")); ok {
		if plain, err := url.PathUnescape(name); err == nil {
			return plain
		}
	}
	return system
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isOID says whether s is an object identifier of at least three arcs.
func isOID(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) < 3 || len(parts[0]) != 1 || parts[0][0] > '2' {
		return false
	}
	for _, p := range parts {
		if !allDigits(p) || len(p) > 1 && p[0] == '0' {
			return false
		}
	}
	return true
}

var conceptTypes = []string{"CWE", "CE", "CNE", "CF", "IS", "ID", "ST", "CE_0048", "varies"}

// singleSpaced is a text without white space around it or twice in a row.
func singleSpaced(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= utf8.RuneSelf {
			return strings.Join(strings.Fields(s), " ")
		}
	}
	return s
}

// coding writes three components, from the given one on, as a Coding; it says whether there was anything.
func (g *getter) coding(n *node, c cell, from, version int16) bool {
	code, display := strings.TrimSpace(c.part(from)), c.part(from+1)
	if code == "" && display == "" {
		return false
	}
	g.put(n, "system", systemURL(c.part(from+2)))
	g.put(n, "version", c.part(version))
	c.part(from)
	g.put(n, "code", singleSpaced(code))
	c.part(from + 1)
	g.put(n, "display", strings.TrimSpace(display))
	return true
}

// plain writes the code of a type without components as a Coding. Senders put its name and its system behind it all the
// same, and from 2.7 on such fields are CWE.
func (g *getter) plain(n *node, c cell) {
	if c.comp == 0 {
		g.coding(n, c, 1, 0)
		return
	}
	g.put(n, "code", singleSpaced(c.part(1)))
}

func (p *putter) coding(n *node, i int, from, version int16, wide bool) {
	p.set(i, from, n.read("code"))
	if !wide {
		return
	}
	p.set(i, from+1, n.read("display"))
	p.set(i, from+2, systemName(n.read("system")))
	if version > 0 {
		p.set(i, version, n.read("version"))
	}
}

// cweLens pairs CWE, CE and their like with a CodeableConcept: three codings and the original text. A text without a code
// beside it counts as original text; alone it is written to component 2, which every version has.
var cweLens = &lens{name: "cwe", cells: 1, elements: 1, v2: conceptTypes, fhir: []string{"CodeableConcept"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		if !isWide(c.typ) {
			if strings.TrimSpace(c.part(1)) == "" {
				return noCode
			}
			g.plain(g.run.item(n, "coding"), c)
			return ""
		}
		versioned := hasVersions(c.typ, g.run.p.version)
		primary, alternate := strings.TrimSpace(c.part(1)) != "", strings.TrimSpace(c.part(4)) != ""
		if primary {
			g.coding(g.run.item(n, "coding"), c, 1, versioned*7)
			if oid := peek(c.down(14)); versioned == 1 && oid != "" && systemURL(oid) == systemURL(peek(c.down(3))) {
				c.part(14) // it says again which code system this is
			}
		}
		if alternate {
			g.coding(g.run.item(n, "coding"), c, 4, versioned*8)
		}
		if versioned == 1 && (primary || alternate) && strings.TrimSpace(peek(c.down(10))) != "" {
			g.coding(g.run.item(n, "coding"), c, 10, 13)
		}
		text := c.part(versioned * 9)
		if text == "" && !primary {
			text = c.part(2)
		}
		if text == "" && !alternate {
			text = c.part(5)
		}
		text = strings.TrimSpace(unbreak(text))
		if !primary && !alternate && text == "" {
			return "Neither a code nor a text stands here."
		}
		g.put(n, "text", text)
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		wide := p.wide(0)
		first := n.get("coding")
		if first == nil {
			at := int16(2)
			if !wide {
				at = 1
			}
			p.set(0, at, rebreak(n.read("text")))
			return ""
		}
		p.coding(first, 0, 1, p.versionPlace(0, 7), p.named(0))
		if !wide {
			return ""
		}
		if second := first.follow(); second != nil {
			p.coding(second, 0, 4, p.versionPlace(0, 8), true)
			if third := second.follow(); third != nil && p.versionPlace(0, 10) > 0 {
				p.coding(third, 0, 10, 13, true)
			}
		}
		switch {
		case first.follow() == nil && p.types[0] == "CE":
			p.set(0, 5, rebreak(n.read("text"))) // CE has no original text; an alternate text without a code is free for it
		case p.versionPlace(0, 9) > 0:
			p.set(0, 9, rebreak(n.read("text")))
		case first.follow() == nil:
			p.set(0, 5, rebreak(n.read("text")))
		}
		return ""
	}}

// wide says whether the v2 type of cell i has components beside the code.
func (p *putter) wide(i int) bool { return isWide(p.types[i]) }

// named says whether cell i has room for a name and a system behind the code: see plain.
func (p *putter) named(i int) bool { return p.wide(i) || p.fields[i] }

func isWide(typ string) bool { return typ != "IS" && typ != "ID" && typ != "ST" }

// versionPlace is n where the type of cell i has that component, else 0.
func (p *putter) versionPlace(i int, n int16) int16 { return n * hasVersions(p.types[i], p.version) }

// hasVersions is 1 for the types that have versions and an original text behind the two codes, else 0. What stands
// there in another type has no place on the way back, so it isn't read. CE ends at six components; but from 2.5 on, where CWE
// took its place step by step, senders put them there all the same, and receivers skip what they don't expect.
func hasVersions(typ, version string) int16 {
	if typ == "CWE" || typ == "CNE" || typ == "CE" && version >= "2.5" {
		return 1
	}
	return 0
}

var cweCodingLens = &lens{name: "cwe-coding", cells: 1, elements: 1, v2: conceptTypes, fhir: []string{"Coding"},
	get: func(g *getter) string {
		if strings.TrimSpace(g.in[0].part(1)) == "" {
			return noCode
		}
		g.coding(g.out[0], g.in[0], 1, 7*hasVersions(g.in[0].typ, g.run.p.version))
		return ""
	},
	put: func(p *putter) string {
		p.coding(p.in[0], 0, 1, p.versionPlace(0, 7), p.named(0))
		return ""
	}}

const noCode = "No code stands here."

// table writes a code as a Coding of the table that the field is of, unless its third component names another system.
func (g *getter) table(n *node, c cell) {
	code := strings.TrimSpace(c.text())
	if g.foreign(c) {
		g.coding(n, c, 1, 7*hasVersions(c.typ, g.run.p.version))
		return
	}
	g.put(n, "system", g.system)
	g.put(n, "code", code)
	if c.comp == 0 {
		g.put(n, "display", strings.TrimSpace(c.part(2)))
		c.part(3) // it says again which table this is
	}
}

// foreign says whether a field's third component names another system than the field's table.
func (g *getter) foreign(c cell) bool {
	name := strings.TrimSpace(peek(c.down(3)))
	return c.comp == 0 && name != "" && systemURL(name) != g.system
}

// table writes a code of the field's table, with that table where it has a name, and one of another system with its own.
func (p *putter) table(n *node) string {
	switch system := n.peek("system"); {
	case n.peek("code") == "":
		return noCode
	case system == p.system:
		n.read("system")
		p.set(0, 1, n.read("code"))
		if p.named(0) && n.peek("display") != "" {
			p.set(0, 2, n.read("display"))
			p.set(0, 3, systemName(system))
		}
	case system == "":
		return "The code has no system, and in this field it would be one of the field's table."
	case !p.named(0):
		return "The code isn't of the system that this field takes."
	default:
		p.coding(n, 0, 1, p.versionPlace(0, 7), true)
	}
	return ""
}

// idConceptLens pairs a code of the field's own table with a concept. Words without a code are its text.
var idConceptLens = &lens{name: "id-concept", cells: 1, elements: 1, v2: conceptTypes, fhir: []string{"CodeableConcept"}, leaves: true, system: true,
	get: func(g *getter) string {
		c := g.in[0]
		switch {
		case g.run.op.alone && g.foreign(c):
			return nothing // it would stand where others look for the table's
		case strings.TrimSpace(c.text()) != "":
			g.table(g.run.item(g.out[0], "coding"), c)
		case c.comp > 0:
			return noCode
		case strings.TrimSpace(peek(c.down(4))) != "" && systemURL(peek(c.down(6))) != "":
			g.coding(g.run.item(g.out[0], "coding"), c, 4, 0)
		case strings.TrimSpace(peek(c.down(2))) != "":
			g.put(g.out[0], "text", strings.TrimSpace(unbreak(c.part(2))))
		default:
			return nothing
		}
		return ""
	},
	put: func(p *putter) string {
		first := p.in[0].get("coding")
		if own := coded(first, p.system); own != nil && own.peek("code") != "" {
			first = own
		}
		// A selector may have written the system where the field has but a text.
		if (first == nil || first.peek("code") == "" && first.peek("display") == "") && p.named(0) && p.in[0].peek("text") != "" {
			p.set(0, 2, rebreak(p.in[0].read("text")))
			return ""
		}
		return p.table(orNone(first))
	}}

var idCodingLens = &lens{name: "id-coding", cells: 1, elements: 1, v2: conceptTypes, fhir: []string{"Coding"}, leaves: true, system: true,
	get: func(g *getter) string {
		if strings.TrimSpace(g.in[0].text()) == "" {
			return noCode
		}
		g.table(g.out[0], g.in[0])
		return ""
	},
	put: func(p *putter) string { return p.table(p.in[0]) }}

// stConceptLens pairs a plain text with a concept's text.
var stConceptLens = &lens{name: "st-concept", cells: 1, elements: 1, fhir: []string{"CodeableConcept"}, leaves: true,
	get: func(g *getter) string {
		text := strings.TrimSpace(unbreak(g.in[0].text()))
		if text == "" {
			return "The text is empty or blank."
		}
		g.put(g.out[0], "text", text)
		return ""
	},
	put: func(p *putter) string {
		if p.in[0].peek("text") == "" {
			return "The concept has no text."
		}
		p.set(0, 1, rebreak(p.in[0].read("text")))
		return ""
	}}

package mappings

import (
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// lens is a pair of functions over one pair of types. Both give "" or, where the value isn't in the lens's domain, the
// reason; then nothing was written. Reasons hold no values.
type lens struct {
	name     string
	cells    int      // v2 paths it takes
	elements int      // FHIR paths it takes
	v2       []string // data types of the first v2 path that it reads; nil means any
	fhir     []string // types of the first FHIR path
	leaves   bool     // reads single leaves only, so a v2 path to a whole field means its first component
	system   bool     // needs `system:`
	get      func(g *getter) string
	put      func(p *putter) string
}

// nothing is the reason of a lens whose cells hold only what says nothing without the rest, such as the type of a name that
// isn't there: it writes nothing, and the cells stay unread.
const nothing = "-"

// getter is what a lens reads from and writes to going forward.
type getter struct {
	run    *forward
	in     []cell
	out    []*node
	system string
	faulty place // what was refused, where it isn't the first cell
}

// release forgets the cells and nodes of the last rule.
func (g *getter) release() {
	clear(g.in)
	clear(g.out)
	g.in, g.out, g.system, g.faulty = g.in[:0], g.out[:0], "", place{}
}

func (g *getter) put(n *node, name, text string) {
	if text != "" {
		g.run.set(g.run.child(n, name), fhir.KindString, text)
	}
}

func (g *getter) number(n *node, name, text string) {
	if text != "" {
		g.run.set(g.run.child(n, name), fhir.KindNumber, text)
	}
}

func (g *getter) add(n *node, name, text string) {
	if text != "" {
		g.run.set(g.run.item(n, name), fhir.KindString, text)
	}
}

func (g *getter) leaf(n *node, text string) { g.run.set(n, fhir.KindString, text) }

// refuse gives the reason back, and notes which cell it is about.
func (g *getter) refuse(c cell, why string) string {
	g.faulty = c.place()
	return why
}

func (g *getter) zone() *time.Location { return g.run.zone }

// putter is what a lens reads from and writes to going back. Writes are kept until the lens has taken the value.
type putter struct {
	in      []*node
	types   []string // v2 data types of the cells
	fields  []bool   // which cells are whole fields
	version string   // of v2, that is written
	system  string
	writes  []written
	clock   string         // what `zone.write` says of times; empty: with their offset
	zone    *time.Location // of local times
}

// release forgets the nodes and texts of the last rule.
func (p *putter) release() {
	clear(p.writes[:cap(p.writes)])
	p.in, p.types, p.fields, p.writes, p.clock, p.zone = nil, p.types[:0], p.fields[:0], p.writes[:0], "", nil
}

type written struct {
	cell      int8
	comp, sub int16
	text      string
}

// set writes component n (or subcomponent, where the cell is a component) of cell i; an empty text writes nothing.
func (p *putter) set(i int, n int16, text string) { p.deep(i, n, 1, text) }

func (p *putter) deep(i int, n, m int16, text string) {
	if text != "" {
		p.writes = append(p.writes, written{int8(i), n, m, text})
	}
}

// library lists the lenses; its order is that in which one is chosen for a pair of types.
var library = []*lens{
	stringLens, lineLens, textLens, textBase64Lens,
	dateLens, datetimeLens, instantLens, deathTimeLens, periodLens, instantsLens, startDurationLens, startOpenLens, minutesLens,
	cweLens, cweCodingLens, idConceptLens, idCodingLens, stConceptLens, yesNoLens, wholeLens,
	cxLens, cxPartsLens, eiLens, eiReferenceLens, plnLens, plLens, xonLens, controlIDLens,
	hdEndpointLens, hdReferenceLens, hdDestinationLens,
	xpnLens, xpnPartsLens, xcnLens, xadLens, xtnLens,
	quantityLens, snQuantityLens, snRangeLens, snRatioLens, rangeTextLens, edLens, rpLens,
}

func lensNamed(name string) *lens {
	for _, l := range library {
		if l.name == name {
			return l
		}
	}
	return nil
}

func lensNames() []string {
	var names []string
	for _, l := range library {
		names = append(names, l.name)
	}
	return names
}

var primitiveTexts = []string{"string", "code", "id", "uri", "url", "canonical", "oid", "markdown", "uuid", "base64Binary"}

// stringLens pairs a leaf's text with a FHIR text.
var stringLens = &lens{name: "string", cells: 1, elements: 1, fhir: primitiveTexts, leaves: true,
	get: func(g *getter) string {
		text := strings.TrimSpace(g.in[0].text())
		if text == "" {
			return "The text is empty or blank."
		}
		g.leaf(g.out[0], text)
		return ""
	},
	put: func(p *putter) string {
		p.set(0, 1, p.in[0].value())
		return ""
	}}

// lineLens is stringLens for texts of one line.
var lineLens = &lens{name: "line", cells: 1, elements: 1, fhir: primitiveTexts, leaves: true,
	get: func(g *getter) string {
		text := unbreak(g.in[0].paragraphs())
		if strings.ContainsAny(text, "\r\n") {
			return "The text has line breaks."
		}
		if text = strings.TrimSpace(text); text == "" {
			return "The text is empty or blank."
		}
		g.leaf(g.out[0], text)
		return ""
	},
	put: func(p *putter) string {
		if strings.ContainsAny(p.in[0].text, "\r\n") {
			return "The text has line breaks, which a one-line field can't hold."
		}
		return stringLens.put(p)
	}}

var lineBreaks = strings.NewReplacer(`\.br\`, "\n", `\.sp\`, "\n", `\X0D0A\`, "\n", "\r\n", "\n", "\r", "\n")

// unbreak turns v2's line breaks into line feeds.
func unbreak(s string) string {
	if strings.ContainsAny(s, "\\\r") {
		return lineBreaks.Replace(s)
	}
	return s
}

// rebreak writes line feeds as v2 does in formatted text.
func rebreak(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", `\.br\`)
}

// textLens pairs formatted text with a FHIR text of lines.
var textLens = &lens{name: "text", cells: 1, elements: 1, fhir: primitiveTexts, leaves: true,
	get: func(g *getter) string {
		text := unbreak(g.in[0].paragraphs())
		if strings.TrimSpace(text) == "" {
			return "The text is empty or blank."
		}
		g.leaf(g.out[0], strings.TrimRight(text, " \n"))
		return ""
	},
	put: func(p *putter) string {
		p.set(0, 1, rebreak(p.in[0].value()))
		return ""
	}}

// wholeLens pairs a whole number, such as which of several twins somebody is.
var wholeLens = &lens{name: "whole", cells: 1, elements: 1, v2: []string{"NM", "SI", "ST"}, fhir: []string{"integer", "positiveInt", "unsignedInt"}, leaves: true,
	get: func(g *getter) string {
		text := strings.TrimSpace(g.in[0].text())
		if !wholeNumber(text) {
			return notWhole
		}
		g.run.set(g.out[0], fhir.KindNumber, text)
		return ""
	},
	put: func(p *putter) string {
		if !wholeNumber(p.in[0].text) {
			return notWhole
		}
		p.set(0, 1, p.in[0].value())
		return ""
	}}

const notWhole = "This isn't a whole number from 1 on."

func wholeNumber(s string) bool { return allDigits(s) && s[0] != '0' && len(s) < 10 }

var yesNoLens = &lens{name: "yes-no", cells: 1, elements: 1, fhir: []string{"boolean"}, leaves: true,
	get: func(g *getter) string {
		switch g.in[0].text() {
		case "Y":
			g.run.set(g.out[0], fhir.KindBool, "true")
		case "N":
			g.run.set(g.out[0], fhir.KindBool, "false")
		default:
			return "Neither Y nor N stands here."
		}
		return ""
	},
	put: func(p *putter) string {
		switch p.in[0].value() {
		case "true":
			p.set(0, 1, "Y")
		case "false":
			p.set(0, 1, "N")
		default:
			return "This is no boolean."
		}
		return ""
	}}

package mappings

import (
	"cmp"
	"strings"
)

const (
	notARange = "This isn't a range of two numbers."
	notARatio = "This isn't a ratio of two numbers."
)

// snRangeLens pairs a structured numeric of two numbers with a dash between them, and their unit, with a Range: ^10^-^20.
var snRangeLens = &lens{name: "sn-range", cells: 2, elements: 1, v2: []string{"SN", "varies"}, fhir: []string{"Range"},
	get: func(g *getter) string {
		low, high, why := g.two("-")
		if why != "" || low == "" {
			return cmp.Or(why, notARange)
		}
		g.ends(low, high)
		return ""
	},
	put: func(p *putter) string {
		low, high, why := p.ends(p.in[0])
		if why != "" {
			return why
		}
		p.set(0, 2, low)
		p.set(0, 3, "-")
		p.set(0, 4, high)
		return ""
	}}

// snRatioLens pairs a structured numeric of two numbers with a colon or slash between them with a Ratio: ^1^:^128.
var snRatioLens = &lens{name: "sn-ratio", cells: 1, elements: 1, v2: []string{"SN", "varies"}, fhir: []string{"Ratio"},
	get: func(g *getter) string {
		first, second, why := g.two(":/")
		if why != "" || first == "" {
			return cmp.Or(why, notARatio)
		}
		g.number(g.run.child(g.out[0], "numerator"), "value", first)
		g.number(g.run.child(g.out[0], "denominator"), "value", second)
		return ""
	},
	put: func(p *putter) string {
		above, below := p.in[0].get("numerator"), p.in[0].get("denominator")
		if !plainNumber(above) || !plainNumber(below) {
			return notARatio
		}
		p.set(0, 2, above.read("value"))
		p.set(0, 3, ":")
		p.set(0, 4, below.read("value"))
		return ""
	}}

// two reads both numbers of a structured numeric, with one of the separators between them and no comparator.
func (g *getter) two(separators string) (first, second, why string) {
	c := g.in[0]
	if !c.filled() {
		return "", "", nothing
	}
	first, ok1 := decimal(strings.TrimSpace(peek(c.down(2))))
	second, ok2 := decimal(strings.TrimSpace(peek(c.down(4))))
	separator := strings.TrimSpace(peek(c.down(3)))
	if !ok1 || !ok2 || len(separator) != 1 || !strings.Contains(separators, separator) || peek(c.down(1)) != "" {
		return "", "", ""
	}
	c.part(2)
	c.part(3)
	c.part(4)
	return first, second, ""
}

// rangeTextLens pairs a text of two numbers with a dash between them, and their unit, with the low and high of a range: the
// form that OBX-7 recommends (v2.5.1, chapter 7.4.2.7). What stands there in words, or with a comparator, isn't one: FHIR's
// limits are part of their range.
var rangeTextLens = &lens{name: "range-text", cells: 2, elements: 1, v2: []string{"ST", "varies"}, fhir: []string{"Range", "Observation.referenceRange"},
	get: func(g *getter) string {
		text := strings.TrimSpace(peek(g.in[0].down(1)))
		if text == "" {
			return nothing // a unit alone says no range
		}
		// The dash isn't the sign of the first number.
		at := strings.IndexByte(strings.TrimPrefix(text, "-"), '-')
		if at < 0 {
			return notARange
		}
		at += len(text) - len(strings.TrimPrefix(text, "-"))
		low, ok1 := decimal(strings.TrimSpace(text[:at]))
		high, ok2 := decimal(strings.TrimSpace(text[at+1:]))
		if !ok1 || !ok2 {
			return notARange
		}
		g.in[0].part(1)
		g.ends(low, high)
		return ""
	},
	put: func(p *putter) string {
		low, high, why := p.ends(p.in[0])
		if why != "" {
			return why
		}
		p.set(0, 1, low+"-"+high)
		return ""
	}}

// ends writes low and high of a range, both in the unit of the second cell.
func (g *getter) ends(low, high string) {
	n := g.out[0]
	g.amount(g.run.child(n, "low"), low, g.in[1])
	g.amount(g.run.child(n, "high"), high, g.in[1])
}

// ends reads both ends of a range, which have one unit, and writes that into the second cell.
func (p *putter) ends(n *node) (low, high, why string) {
	from, to := n.get("low"), n.get("high")
	if !plainNumber(from) || !plainNumber(to) {
		return "", "", notARange
	}
	for _, name := range [...]string{"unit", "system", "code"} {
		if from.peek(name) != to.peek(name) {
			return "", "", "The ends of the range have different units."
		}
	}
	low, high = from.read("value"), to.read("value")
	for _, name := range [...]string{"unit", "system", "code"} {
		to.read(name)
	}
	p.unit(1, from)
	return low, high, ""
}

// plainNumber says whether a Quantity has a number that v2 can write, and no comparator.
func plainNumber(n *node) bool {
	value := n.peek("value")
	plain, ok := decimal(value)
	return ok && plain == value && n.peek("comparator") == ""
}

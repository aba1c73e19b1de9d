package fhir

import (
	"slices"
	"strings"
)

// safeNarrative is txt-1: the div is well-formed XHTML, in its namespace, of the elements and attributes that a
// narrative may have. It reads the markup itself, since a parser that builds or copies would cost more than all other
// checks together.
// Source: HL7 FHIR R4, narrative.html; HTML 4.0, chapters 7 to 11 and 15.
func safeNarrative(_ *Bundle, n Node) bool {
	var begins [16]uint32
	m := markup{rest: strings.TrimSpace(n.Text()), open: begins[:0]}
	m.all = m.rest
	for first := true; m.rest != "" && (first || len(m.open) > 0); first = false {
		if !m.next() {
			return false
		}
	}
	return m.rest == "" && len(m.open) == 0
}

// speakingNarrative is txt-2: there is a text that isn't white space, or an image.
func speakingNarrative(_ *Bundle, n Node) bool {
	rest := n.Text()
	for rest != "" {
		text, markup, _ := strings.Cut(rest, "<")
		if strings.TrimLeft(text, " \t\r\n") != "" || strings.HasPrefix(markup, "img") || strings.HasPrefix(markup, "![CDATA[") {
			return true
		}
		end := ">"
		if strings.HasPrefix(markup, "!--") {
			end = "-->"
		}
		_, rest, _ = strings.Cut(markup, end)
	}
	return false
}

// markup is what is left of a narrative, and where the names of the elements begin that are open.
type markup struct {
	all, rest string
	open      []uint32
}

// next reads one tag, comment or text; false for what isn't well formed or isn't allowed.
func (m *markup) next() bool {
	switch {
	case m.rest[0] != '<':
		text, _, _ := strings.Cut(m.rest, "<")
		m.rest = m.rest[len(text):]
		return wellEscaped(text)
	case strings.HasPrefix(m.rest, "<!--"):
		text, rest, ok := strings.Cut(m.rest[len("<!--"):], "-->")
		m.rest = rest
		return ok && !strings.Contains(text, "--")
	case strings.HasPrefix(m.rest, "<![CDATA["):
		_, rest, ok := strings.Cut(m.rest, "]]>")
		m.rest = rest
		return ok
	case strings.HasPrefix(m.rest, "</"):
		name, rest, ok := strings.Cut(m.rest[len("</"):], ">")
		m.rest = rest
		last := len(m.open) - 1
		if !ok || last < 0 || (&markup{rest: m.all[m.open[last]:]}).name() != strings.TrimRight(name, " \t\r\n") {
			return false
		}
		m.open = m.open[:last]
		return true
	}
	m.rest = m.rest[1:]
	return m.tag()
}

// deepestNarrative is how many elements may be open. Nobody writes so many, and what shows them follows each.
const deepestNarrative = 1000

func (m *markup) tag() bool {
	begin := len(m.all) - len(m.rest)
	name := m.name()
	if !slices.Contains(narrativeElements, name) {
		return false
	}
	var names [8]string
	seen := names[:0]
	for {
		m.space()
		switch {
		case strings.HasPrefix(m.rest, "/>"):
			m.rest = m.rest[2:]
			return len(m.open) > 0 || slices.Contains(seen, "xmlns")
		case strings.HasPrefix(m.rest, ">"):
			m.rest = m.rest[1:]
			if len(m.open) == 0 && !slices.Contains(seen, "xmlns") {
				return false
			}
			m.open = append(m.open, uint32(begin))
			return len(m.open) <= deepestNarrative
		}
		attribute := m.name()
		value, ok := m.value()
		if !ok || slices.Contains(seen, attribute) || !allowedAttribute(name, attribute, value) {
			return false
		}
		seen = append(seen, attribute)
	}
}

func (m *markup) space() { m.rest = strings.TrimLeft(m.rest, " \t\r\n") }

// name reads a name of letters, digits and the marks that XML has in names; empty for none.
func (m *markup) name() string {
	i := 0
	for i < len(m.rest) && (isLetter(m.rest[i]) || i > 0 && (isDigit(m.rest[i]) || strings.IndexByte(":-_.", m.rest[i]) >= 0)) {
		i++
	}
	name := m.rest[:i]
	m.rest = m.rest[i:]
	return name
}

// value reads = and a value in quotes.
func (m *markup) value() (string, bool) {
	m.space()
	after, ok := strings.CutPrefix(m.rest, "=")
	m.rest = after
	m.space()
	if !ok || m.rest == "" || m.rest[0] != '"' && m.rest[0] != '\'' {
		return "", false
	}
	value, rest, ok := strings.Cut(m.rest[1:], m.rest[:1])
	m.rest = rest
	return value, ok && !strings.Contains(value, "<") && wellEscaped(value)
}

// wellEscaped wants that each & begins a character's number or one of XML's own five names: HTML's others have no
// meaning in XML.
func wellEscaped(text string) bool {
	for {
		_, after, found := strings.Cut(text, "&")
		if !found {
			return true
		}
		entity, rest, ok := strings.Cut(after, ";")
		if !ok || !isEntity(entity) {
			return false
		}
		text = rest
	}
}

func isEntity(s string) bool {
	switch s {
	case "amp", "lt", "gt", "quot", "apos":
		return true
	}
	number, ok := strings.CutPrefix(s, "#")
	if hex, isHex := strings.CutPrefix(number, "x"); isHex {
		return ok && hex != "" && strings.Trim(hex, "0123456789abcdefABCDEF") == ""
	}
	return ok && isDigits(number)
}

// narrativeElements have the frequent ones in front.
var narrativeElements = strings.Fields(`td tr p b div br span li ul a table i tbody th thead h1 h2 h3 h4 h5 h6 strong em ol
	hr pre code img small big tt dfn q var abbr acronym cite blockquote address bdo kbd sub sup dl dt dd caption colgroup col
	tfoot samp map area del ins`)

// everywhere are the attributes that each element may have; elsewhere stands which element has which others.
var everywhere = strings.Fields(`class style id title lang xml:lang dir accesskey tabindex colspan rowspan align valign width
	span char charoff abbr axis headers scope`)

var elsewhere = map[string][]string{
	"div":        {"xmlns"},
	"a":          {"href", "name", "charset", "type", "hreflang", "rel", "rev", "shape", "coords"},
	"img":        {"src", "alt", "border", "longdesc", "height", "usemap", "ismap"},
	"table":      {"border", "cellpadding", "cellspacing", "summary", "frame", "rules"},
	"td":         {"nowrap"},
	"map":        {"name"},
	"area":       {"shape", "coords", "href", "nohref", "alt"},
	"blockquote": {"cite"},
	"q":          {"cite"},
	"pre":        {"xml:space", "space"},
}

func allowedAttribute(element, name, value string) bool {
	switch name {
	case "xmlns":
		return value == "http://www.w3.org/1999/xhtml"
	case "href", "src":
		return slices.Contains(elsewhere[element], name) && !runs(value)
	}
	return slices.Contains(everywhere, name) || slices.Contains(elsewhere[element], name)
}

// runs says whether an address is a script. Browsers skip white space and controls in front of and within its scheme;
// one that is written with numbers for letters isn't read here, and no honest sender writes it.
func runs(address string) bool {
	scheme, _, ok := strings.Cut(address, ":")
	if !ok {
		return false
	}
	letters := strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, scheme)
	return strings.Contains(letters, "&#") || strings.EqualFold(letters, "javascript") || strings.EqualFold(letters, "vbscript")
}

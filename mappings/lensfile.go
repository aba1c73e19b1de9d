package mappings

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// textBase64Lens pairs lines of text with the base64 data of a text/plain attachment.
var textBase64Lens = &lens{name: "text-base64", cells: 1, elements: 1, fhir: []string{"base64Binary"}, leaves: true,
	get: func(g *getter) string {
		text := unbreak(g.in[0].paragraphs())
		if text == "" {
			return "The text is empty."
		}
		g.leaf(g.out[0], base64.StdEncoding.EncodeToString([]byte(text)))
		return ""
	},
	put: func(p *putter) string {
		b, err := decodeBase64(p.in[0].value())
		if err != nil {
			return "The data isn't base64."
		}
		p.set(0, 1, strings.ReplaceAll(string(b), "\r\n", "\n"))
		return ""
	}}

func decodeBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}

// mimeTypes pair ED-2 and ED-3 with the content types that referrals carry; others are taken as type and subtype.
var mimeTypes = []struct{ kind, sub, mime string }{
	{"AP", "PDF", "application/pdf"},
	{"TEXT", "HTML", "text/html"},
	{"TEXT", "PLAIN", "text/plain"},
	{"TEXT", "XML", "text/xml"},
	{"AP", "RTF", "application/rtf"},
	{"AP", "XML", "application/xml"},
	{"AP", "x-hl7-cda-level-one", "application/hl7-cda+xml"},
	{"IM", "JPEG", "image/jpeg"},
	{"IM", "PNG", "image/png"},
	{"IM", "GIF", "image/gif"},
	{"IM", "TIFF", "image/tiff"},
	{"AP", "Octet-stream", "application/octet-stream"},
}

var mimeMajor = map[string]string{"AP": "application", "AU": "audio", "IM": "image", "TEXT": "text", "FT": "text", "TX": "text", "SI": "image"}

func mimeType(kind, sub string) string {
	for _, whole := range []string{sub, kind} { // some senders write the content type into one of the two
		if major, minor, ok := strings.Cut(whole, "/"); ok && isToken(major) && isToken(minor) {
			return strings.ToLower(whole)
		}
	}
	for _, m := range mimeTypes {
		if strings.EqualFold(m.sub, sub) && (strings.EqualFold(m.kind, kind) || kind == "" || strings.EqualFold(mimeMajor[m.kind], kind)) {
			return m.mime
		}
	}
	major := strings.ToLower(kind)
	if known := mimeMajor[strings.ToUpper(kind)]; known != "" {
		major = known
	}
	switch {
	case strings.EqualFold(sub, "PDF"):
		return "application/pdf"
	case sub == "" && major == "text":
		return "text/plain"
	case !isToken(sub) || !isToken(major):
		return ""
	}
	return major + "/" + strings.ToLower(sub)
}

// isToken says whether s may be a part of a content type. Source: RFC 6838, section 4.2.
func isToken(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$&-^_.+", c)) {
			return false
		}
	}
	return s != ""
}

func mimeParts(mime string) (kind, sub string) {
	mime, _, _ = strings.Cut(mime, ";")
	for _, m := range mimeTypes {
		if m.mime == mime {
			return m.kind, m.sub
		}
	}
	kind, sub, _ = strings.Cut(mime, "/")
	return kind, sub
}

// encodings are those of ED-4 (table 0299), in lower case.
var encodings = []string{"base64", "hex", "a"}

// edLens pairs encapsulated data with an Attachment. The data is written back as Base64, whatever it came as.
var edLens = &lens{name: "ed", cells: 1, elements: 1, v2: []string{"ED", "varies"}, fhir: []string{"Attachment"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		last := int16(5)
		if peek(c.down(5)) == "" && has(encodings, strings.ToLower(peek(c.down(3)))) {
			last = 4 // some senders write the content type into one component, which moves the rest
		}
		data := c.part(last)
		var encoded string
		switch strings.ToLower(c.part(last - 1)) {
		case "base64", "":
			encoded = strings.Join(strings.Fields(unbreak(data)), "")
			if _, err := base64.StdEncoding.DecodeString(encoded); err != nil {
				return "The data isn't base64."
			}
		case "hex":
			b, err := hex.DecodeString(strings.Join(strings.Fields(data), ""))
			if err != nil {
				return "The data isn't hexadecimal."
			}
			encoded = base64.StdEncoding.EncodeToString(b)
		case "a":
			encoded = base64.StdEncoding.EncodeToString([]byte(unbreak(data)))
		default:
			return "The encoding is none of Base64, Hex and A."
		}
		if encoded == "" {
			return "There is no data."
		}
		kind, sub := c.part(2), ""
		if last == 5 {
			sub = c.part(3)
		}
		g.put(n, "contentType", mimeType(kind, sub))
		c.part(last)
		g.put(n, "data", encoded)
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		data := n.peek("data")
		if data == "" {
			return "The attachment has no data."
		}
		data = strings.Join(strings.Fields(data), "")
		if _, err := base64.StdEncoding.DecodeString(data); err != nil {
			return "The data isn't base64."
		}
		n.read("data")
		kind, sub := mimeParts(n.read("contentType"))
		p.set(0, 2, kind)
		p.set(0, 3, sub)
		p.set(0, 4, "Base64")
		p.set(0, 5, data)
		return ""
	}}

// rpLens pairs a reference pointer with an Attachment whose url leads out.
var rpLens = &lens{name: "rp", cells: 1, elements: 1, v2: []string{"RP", "varies"}, fhir: []string{"Attachment"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		if c.part(1) == "" {
			return "The pointer is empty."
		}
		g.put(n, "contentType", mimeType(c.part(3), c.part(4)))
		c.part(1)
		g.put(n, "url", c.part(1))
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if n.peek("url") == "" {
			return "The attachment has no url."
		}
		p.set(0, 1, n.read("url"))
		if mime := n.read("contentType"); mime != "" {
			kind, sub := mimeParts(mime)
			p.set(0, 3, kind)
			p.set(0, 4, sub)
		}
		return ""
	}}

// comparators are those of table SN-1 that a Quantity has too, the longer first; = is what it says without one.
var comparators = []string{"<=", ">=", "<", ">"}

// quantityLens pairs a number and its unit with a Quantity. The number stays text: 140.0 is 140.0. A comparator before it
// isn't of NM, but laboratories write "<5" there every day, and without it the 5 would say something else.
var quantityLens = &lens{name: "quantity", cells: 2, elements: 1, v2: []string{"NM", "varies", "ST"}, fhir: []string{"Quantity", "SimpleQuantity"},
	get: func(g *getter) string {
		text := strings.TrimSpace(g.in[0].text())
		if text == "" {
			return nothing // a cancelled result keeps its unit
		}
		comparator, number := cutComparator(text)
		value, ok := decimal(number)
		if !ok {
			return "This isn't a number."
		}
		g.put(g.out[0], "comparator", comparator)
		g.quantity(value)
		return ""
	},
	put: func(p *putter) string {
		comparator := p.in[0].peek("comparator")
		if comparator != "" && !has(comparators, comparator) {
			return "HL7 v2 doesn't have this comparator."
		}
		if why := p.quantity(1, comparator); why != "" {
			return why
		}
		p.in[0].read("comparator")
		return ""
	}}

// cutComparator takes a comparator off the front of a number; blanks may stand between the two.
func cutComparator(s string) (comparator, number string) {
	for _, c := range comparators {
		if rest, ok := strings.CutPrefix(s, c); ok {
			return c, strings.TrimLeft(rest, " ")
		}
	}
	return "", s
}

// snQuantityLens pairs a structured numeric of one number, with or without a comparator, and its unit with a Quantity.
// Ranges, ratios and categories aren't quantities.
var snQuantityLens = &lens{name: "sn-quantity", cells: 2, elements: 1, v2: []string{"SN", "varies"}, fhir: []string{"Quantity", "SimpleQuantity"},
	get: func(g *getter) string {
		c := g.in[0]
		if !c.filled() {
			return nothing
		}
		comparator := strings.TrimSpace(peek(c.down(1)))
		value, ok := decimal(strings.TrimSpace(peek(c.down(2))))
		if !ok || peek(c.down(3)) != "" || peek(c.down(4)) != "" {
			return "This isn't one number."
		}
		switch {
		case has(comparators, comparator):
			c.part(1)
			g.put(g.out[0], "comparator", comparator)
		case comparator == "=":
			c.part(1)
		case comparator != "":
			return "A quantity doesn't have this comparator."
		}
		c.part(2)
		g.quantity(value)
		return ""
	},
	put: func(p *putter) string {
		if why := p.quantity(2, ""); why != "" {
			return why
		}
		p.set(0, 1, p.in[0].read("comparator"))
		return ""
	}}

// quantity writes the number and the unit, the second cell.
func (g *getter) quantity(value string) { g.amount(g.out[0], value, g.in[1]) }

func (g *getter) amount(n *node, value string, unit cell) {
	g.number(n, "value", value)
	code, text, system := unit.part(1), unit.part(2), unit.part(3)
	if text == "" {
		text = code
	}
	g.put(n, "unit", text)
	if system != "" && code != "" {
		g.put(n, "system", systemURL(system))
		unit.part(1)
		g.put(n, "code", code)
	}
}

// quantity writes the number, with what stands before it, into a component of the first cell and the unit into the second.
func (p *putter) quantity(at int16, before string) string {
	n := p.in[0]
	value := n.peek("value")
	if plain, ok := decimal(value); !ok || plain != value {
		return "This isn't a number in the form that HL7 v2 takes."
	}
	p.set(0, at, before+n.read("value"))
	p.unit(1, n)
	return ""
}

// unit writes the unit of a Quantity into cell i.
func (p *putter) unit(i int, n *node) {
	unit, code := n.read("unit"), n.read("code")
	if code == "" {
		p.set(i, 1, unit)
		return
	}
	p.set(i, 1, code)
	if unit != code {
		p.set(i, 2, unit)
	}
	p.set(i, 3, systemName(n.read("system")))
}

// decimal gives an NM as a JSON number: a sign + and leading zeros go, a bare point gets its zero. A comma between digits is
// the decimal point of senders who write it so, unless it may part thousands: 1,234 isn't guessed at, 0,125 is clear.
func decimal(s string) (string, bool) {
	if fhir.NumberText(s) && !strings.ContainsAny(s, "eE") {
		return s, true
	}
	sign := ""
	switch {
	case strings.HasPrefix(s, "-"):
		sign, s = "-", s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	whole, fraction, point := strings.Cut(s, ".")
	if before, after, comma := strings.Cut(s, ","); comma {
		if !allDigits(before) || !allDigits(after) || len(after) == 3 && len(before) <= 3 && before[0] != '0' {
			return "", false
		}
		whole, fraction, point = before, after, true
	}
	if whole == "" && fraction == "" || !allDigitsOrNone(whole) || !allDigitsOrNone(fraction) {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if point && fraction != "" {
		whole += "." + fraction
	}
	return sign + whole, true
}

func allDigitsOrNone(s string) bool { return s == "" || allDigits(s) }

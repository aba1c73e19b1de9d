package mappings

import (
	"strings"
)

// nameUses pair table 0200 with name-use; of two for one use the first is written. Other name types stay unread.
var nameUses = [][2]string{{"L", "official"}, {"D", "usual"}, {"M", "maiden"}, {"N", "nickname"}, {"S", "anonymous"}, {"BAD", "old"}, {"TEMP", "temp"},
	{"R", "official"}, {"MSK", "anonymous"}, {"NAV", "temp"}}

func pairTo(pairs [][2]string, from string) string {
	for _, p := range pairs {
		if p[0] == from {
			return p[1]
		}
	}
	return ""
}

func pairFrom(pairs [][2]string, to string) string {
	for _, p := range pairs {
		if p[1] == to {
			return p[0]
		}
	}
	return ""
}

// name writes a HumanName from its cells. A title or a type without any name is nothing.
func (g *getter) name(n *node, family, given, further, suffix, prefix, degree, use, professional cell) string {
	if strings.TrimSpace(peek(family)+peek(given)+peek(further)) == "" {
		return nothing
	}
	if code := pairTo(nameUses, peek(use)); code != "" {
		use.text()
		g.put(n, "use", code)
	}
	first := strings.TrimSpace(given.text())
	more := strings.Fields(further.text())
	last := strings.TrimSpace(family.text())
	g.put(n, "text", nameText(last, first, more))
	if last != "" {
		family.text()
		g.put(n, "family", last)
	}
	if first != "" {
		given.text()
		g.add(n, "given", first)
	}
	for _, m := range more {
		further.text()
		g.add(n, "given", m)
	}
	g.add(n, "prefix", strings.TrimSpace(prefix.text()))
	g.add(n, "suffix", strings.TrimSpace(suffix.text()))
	g.add(n, "suffix", strings.TrimSpace(degree.text()))
	g.add(n, "suffix", strings.TrimSpace(professional.text()))
	return ""
}

// peek is a cell's text without counting it as read.
func peek(c cell) string {
	if c.seg == nil {
		return ""
	}
	comp, sub := max(c.comp, 1), max(c.sub, 1)
	if l := c.seg.find(c.field, c.rep, comp, sub); l != nil {
		return l.text
	}
	return ""
}

// nameText is the name as FiBase wants it in name.text: "Family, Given Given".
func nameText(family, given string, more []string) string {
	text := strings.Join(append([]string{given}, more...), " ")
	text = strings.TrimSpace(text)
	switch {
	case family == "":
		return text
	case text == "":
		return family
	}
	return family + ", " + text
}

// personName is a HumanName read back.
type personName struct {
	family, given, further, suffix, degree, professional, prefix, use string
}

func readName(n *node, degree, professional bool) (name personName) {
	name.family = n.read("family")
	var more []string
	for i, k := 0, n.get("given"); k != nil; i, k = i+1, k.follow() {
		if i == 0 {
			name.given = k.value()
		} else {
			more = append(more, k.value())
		}
	}
	name.further = strings.Join(more, " ")
	if k := n.get("prefix"); k != nil {
		name.prefix = k.value()
	}
	if k := n.get("suffix"); k != nil {
		name.suffix = k.value()
		if k = k.follow(); k != nil && degree {
			name.degree = k.value()
			if k = k.follow(); k != nil && professional {
				name.professional = k.value()
			}
		}
	}
	if code := pairFrom(nameUses, n.peek("use")); code != "" {
		n.read("use")
		name.use = code
	}
	switch text := n.peek("text"); {
	case text == "":
	case name.family == "" && name.given == "":
		name.family = n.read("text") // better a whole name in one place than none
	case text == nameText(name.family, name.given, more) || sameWords(text, name.family, name.given, more):
		n.read("text")
	}
	return name
}

// sameWords says whether text holds exactly the words of the parts, in any order: then it says nothing of its own.
func sameWords(text, family, given string, more []string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(strings.ReplaceAll(text, ",", " ")) {
		count[w]++
	}
	for _, part := range append([]string{family, given}, more...) {
		for _, w := range strings.Fields(part) {
			if count[w] == 0 {
				return false
			}
			count[w]--
		}
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

const noName = "Neither a family nor a given name stands here."

var xpnLens = &lens{name: "xpn", cells: 1, elements: 1, v2: []string{"XPN", "PN", "ST"}, fhir: []string{"HumanName"},
	get: func(g *getter) string {
		c := g.in[0]
		family := c.down(1)
		if c.comp == 0 {
			family.sub = 1
		}
		spanned := c.typ == "XPN" && g.run.p.version >= "2.5"
		professional := cell{d: c.d}
		if spanned {
			professional = c.down(14)
		}
		why := g.name(g.out[0], family, c.down(2), c.down(3), c.down(4), c.down(5), c.down(6), c.down(7), professional)
		if why == "" && spanned {
			g.span(g.out[0], c.down(12), c.down(13), false)
		}
		return why
	},
	put: func(p *putter) string {
		spanned := p.types[0] == "XPN" && p.version >= "2.5"
		name := readName(p.in[0], true, spanned)
		if name.family == "" && name.given == "" {
			return noName
		}
		for i, text := range []string{name.family, name.given, name.further, name.suffix, name.prefix, name.degree, name.use} {
			p.set(0, int16(i+1), text)
		}
		p.set(0, 14, name.professional)
		if spanned {
			p.span(p.in[0], 0, 12, 13, false)
		}
		return ""
	}}

// xpnPartsLens is xpn over six cells of a person field: family, given, further, suffix, prefix, type.
var xpnPartsLens = &lens{name: "xpn-parts", cells: 6, elements: 1, fhir: []string{"HumanName"},
	get: func(g *getter) string {
		return g.name(g.out[0], g.in[0], g.in[1], g.in[2], g.in[3], g.in[4], cell{d: g.in[0].d}, g.in[5], cell{d: g.in[0].d})
	},
	put: func(p *putter) string {
		name := readName(p.in[0], false, false)
		if name.family == "" && name.given == "" {
			return noName
		}
		for i, text := range []string{name.family, name.given, name.further, name.suffix, name.prefix, name.use} {
			p.set(i, 1, text)
		}
		return ""
	}}

// xcnLens pairs a person's number and name with a Reference that has an identifier and a display.
var xcnLens = &lens{name: "xcn", cells: 1, elements: 1, v2: []string{"XCN", "CN", "CNN", "ST"}, fhir: []string{"Reference"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		text := nameText(strings.TrimSpace(c.deep(2, 1)), strings.TrimSpace(c.part(3)), strings.Fields(c.part(4)))
		id := strings.TrimSpace(c.part(1))
		if text == "" && id == "" {
			return nothing // the register of a person who isn't there
		}
		if id != "" {
			to := g.run.child(n, "identifier")
			if kind := singleSpaced(strings.TrimSpace(peek(c.down(13)))); kind != "" && c.typ == "XCN" {
				c.part(13)
				coding := g.run.item(g.run.child(to, "type"), "coding")
				g.put(coding, "system", v2Identifiers)
				g.put(coding, "code", kind)
			}
			g.authority(to, c.deep(9, 1), c.deep(9, 2), c.deep(9, 3))
			c.part(1)
			g.put(to, "value", id)
		}
		if text != "" {
			c.deep(2, 1)
			g.put(n, "display", text)
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if id := n.get("identifier"); id != nil && id.peek("value") != "" {
			p.set(0, 1, id.read("value"))
			ns, uid, typ := readAuthority(id)
			p.deep(0, 9, 1, ns)
			p.deep(0, 9, 2, uid)
			p.deep(0, 9, 3, typ)
			if p.types[0] == "XCN" {
				p.set(0, 13, identifierType(id))
			}
		}
		family, given, _ := strings.Cut(n.read("display"), ", ")
		first, further, _ := strings.Cut(given, " ")
		p.set(0, 2, family)
		p.set(0, 3, first)
		p.set(0, 4, further)
		if len(p.writes) == 0 && !orNone(n.get("reference")).seen { // a frame that was found carries what it leads to
			return "The reference has neither identifier nor display."
		}
		return ""
	}}

// addressUses pair table 0190 with address-use; M (mailing) and SH (shipping) are types of their own.
var addressUses = [][2]string{{"H", "home"}, {"B", "work"}, {"O", "work"}, {"C", "temp"}, {"BA", "old"}, {"BI", "billing"}}

var xadLens = &lens{name: "xad", cells: 1, elements: 1, v2: []string{"XAD", "AD", "ST"}, fhir: []string{"Address"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		if !c.saysPlace() {
			return nothing // the kind of an address that isn't there
		}
		switch kind := peek(c.down(7)); {
		case kind == "M" || kind == "SH":
			c.part(7)
			g.put(n, "type", "postal")
		case pairTo(addressUses, kind) != "":
			c.part(7)
			g.put(n, "use", pairTo(addressUses, kind))
		}
		whole := strings.TrimSpace(c.deep(1, 1))
		for _, part := range c.streetParts() {
			if whole != "" && strings.Contains(whole, peek(part)) {
				part.text() // it says again what stands in the whole line
			}
		}
		c.deep(1, 1)
		g.add(n, "line", whole)
		g.add(n, "line", strings.TrimSpace(c.part(2)))
		for i, name := range [...]string{"city", "state", "postalCode", "country"} {
			g.put(n, name, strings.TrimSpace(c.part(int16(3+i))))
		}
		g.put(n, "district", strings.TrimSpace(c.part(9)))
		if c.typ == "XAD" && g.run.p.version >= "2.5" {
			g.span(n, c.down(13), c.down(14), false)
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if line := n.get("line"); line != nil {
			p.set(0, 1, line.value())
			if line = line.follow(); line != nil {
				p.set(0, 2, line.value())
			}
		} else if n.peek("city") == "" && n.peek("text") != "" {
			p.set(0, 1, rebreak(n.read("text")))
		}
		for i, name := range [...]string{"city", "state", "postalCode", "country"} {
			p.set(0, int16(3+i), n.read(name))
		}
		switch {
		case n.peek("use") != "" && pairFrom(addressUses, n.peek("use")) != "":
			p.set(0, 7, pairFrom(addressUses, n.read("use")))
		case n.peek("type") == "postal":
			n.read("type")
			p.set(0, 7, "M")
		}
		p.set(0, 9, n.read("district"))
		if p.types[0] == "XAD" && p.version >= "2.5" {
			p.span(n, 0, 13, 14, false)
		}
		if len(p.writes) == 0 {
			return "The address has neither street nor place."
		}
		return ""
	}}

// saysPlace says whether one of an address's components that say where it is holds something.
func (c cell) saysPlace() bool {
	for _, n := range [...]int16{1, 2, 3, 4, 5, 6, 9} {
		if strings.TrimSpace(peek(c.down(n))) != "" {
			return true
		}
	}
	return false
}

// streetParts are the name of the street and the number in it, which a whole line says again.
func (c cell) streetParts() []cell {
	if c.comp != 0 {
		return nil
	}
	name, number := c.down(1), c.down(1)
	name.sub, number.sub = 2, 3
	return []cell{name, number}
}

// phoneUses pair table 0201 with contact-point-use.
var phoneUses = [][2]string{{"PRN", "home"}, {"WPN", "work"}}

// phoneKinds pair table 0202 with contact-point-system; CP is a phone of use mobile.
var phoneKinds = [][2]string{{"PH", "phone"}, {"FX", "fax"}, {"BP", "pager"}, {"Internet", "email"}, {"X.400", "email"}}

var xtnLens = &lens{name: "xtn", cells: 1, elements: 1, v2: []string{"XTN", "TN", "ST"}, fhir: []string{"ContactPoint"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		kind, use := peek(c.down(3)), peek(c.down(2))
		system := pairTo(phoneKinds, kind)
		first, fourth := peek(c.down(1)), peek(c.down(4))
		switch {
		case system == "" && (use == "NET" || isMail(first) || isMail(fourth) && first == ""):
			system = "email"
		case system == "":
			system = "phone" // these fields are for telephone numbers unless they say otherwise
		}
		value := phoneNumber(c, system)
		if value == "" {
			return nothing // its use and kind
		}
		from := c.d.last
		if system != "phone" || kind == "PH" || kind == "CP" {
			c.part(3)
		}
		g.put(n, "system", system)
		c.d.last = from
		g.put(n, "value", value)
		switch {
		case kind == "CP" && system == "phone":
			if use == "PRN" {
				c.part(2) // what the way back writes for every mobile phone
			}
			c.part(3)
			g.put(n, "use", "mobile")
		case pairTo(phoneUses, use) != "":
			c.part(2)
			g.put(n, "use", pairTo(phoneUses, use))
		case use == "NET":
			c.part(2)
		}
		if c.typ == "XTN" && g.run.p.version >= "2.6" {
			g.span(n, c.down(13), c.down(14), false)
			if rank := peek(c.down(18)); wholeNumber(rank) {
				c.part(18)
				g.number(n, "rank", rank)
			}
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		value, system := n.peek("value"), n.peek("system")
		kind := pairFrom(phoneKinds, system)
		if value == "" || kind == "" && system != "" {
			return "The contact has no number, or is of a kind that HL7 v2 doesn't have."
		}
		n.read("value")
		n.read("system")
		if p.types[0] == "XTN" && p.version >= "2.6" {
			p.span(n, 0, 13, 14, false)
			p.set(0, 18, n.read("rank"))
		}
		use := pairFrom(phoneUses, n.peek("use"))
		if use != "" {
			n.read("use")
		}
		if system == "email" {
			if use == "" {
				use = "NET"
			}
			p.set(0, 2, use)
			p.set(0, 3, kind)
			p.set(0, 4, value)
			return ""
		}
		if n.peek("use") == "mobile" && (system == "phone" || system == "") {
			n.read("use")
			use, kind = "PRN", "CP"
		}
		place := int16(1)
		if p.types[0] == "XTN" && p.version >= "2.7" {
			place = 12 // XTN-1 is withdrawn there
		}
		p.set(0, place, value)
		p.set(0, 2, use)
		p.set(0, 3, kind)
		return ""
	}}

// isMail says whether a text is an address of mail rather than a number.
func isMail(s string) bool { return strings.Contains(s, "@") }

// phoneNumber is the number as one text: as it was written, else put together from its parts.
func phoneNumber(c cell, system string) string {
	if system == "email" {
		first, fourth := peek(c.down(1)), strings.TrimSpace(peek(c.down(4)))
		if fourth != "" && (isMail(fourth) || !isMail(first)) {
			return strings.TrimSpace(c.part(4))
		}
		return strings.TrimSpace(c.part(1))
	}
	if whole := strings.TrimSpace(c.part(1)); whole != "" {
		from := c.d.last
		for n := int16(5); n <= 8; n++ {
			if digits := digitsOf(peek(c.down(n))); digits != "" && strings.Contains(digitsOf(whole), digits) {
				c.part(n) // it says again what stands in the whole number
			}
		}
		c.d.last = from
		return whole
	}
	if whole := strings.TrimSpace(c.part(12)); whole != "" {
		return whole
	}
	var parts []string
	if country := strings.TrimSpace(c.part(5)); country != "" {
		parts = append(parts, "+"+strings.TrimPrefix(country, "+"))
	}
	for n := int16(6); n <= 7; n++ {
		if part := strings.TrimSpace(c.part(n)); part != "" {
			parts = append(parts, part)
		}
	}
	extension := strings.TrimSpace(c.part(8))
	switch {
	case extension != "" && len(parts) > 0:
		parts = append(parts, "ext. "+extension)
	case extension != "":
		parts = append(parts, extension) // the number itself, one component too far
	case len(parts) == 0 && digitsOf(peek(c.down(4))) != "":
		return strings.TrimSpace(c.part(4)) // some senders write a number where the address of mail belongs
	}
	return strings.Join(parts, " ")
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

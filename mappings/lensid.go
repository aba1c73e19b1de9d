package mappings

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

const (
	v2Identifiers = profiles.V2Identifiers
	uriSystem     = "urn:ietf:rfc:3986"
)

// authoritySystem makes a URI of a universal id and its type, as HD and EI have them. An OID without a type is taken
// for one. A type that has no URI form of its own, and what isn't of the type that it says (an OID with an arc 0002), is
// kept under Silta's base, so that the way back finds it.
func authoritySystem(uid, typ string) string {
	switch {
	case uid == "":
		return ""
	case (typ == "ISO" || typ == "") && isOID(uid):
		return "urn:oid:" + uid
	case typ == "UUID" && len(uid) == 36 && uuid.Validate(uid) == nil:
		return "urn:uuid:" + uid
	case typ == "URI" || typ == "URL":
		return uid
	}
	return profiles.URL("/authority/" + url.PathEscape(typ) + "/" + url.PathEscape(uid))
}

// authorityParts is the inverse of authoritySystem.
func authorityParts(system string) (uid, typ string) {
	if system == "" {
		return "", ""
	}
	if oid, ok := strings.CutPrefix(system, "urn:oid:"); ok {
		return oid, "ISO"
	}
	if uuid, ok := strings.CutPrefix(system, "urn:uuid:"); ok {
		return uuid, "UUID"
	}
	if rest, ok := strings.CutPrefix(system, profiles.URL("/authority/")); ok {
		typ, uid, _ = strings.Cut(rest, "/")
		typ, err1 := url.PathUnescape(typ)
		uid, err2 := url.PathUnescape(uid)
		if err1 == nil && err2 == nil {
			return uid, typ
		}
	}
	return system, "URI"
}

// authority reads an assigning authority (namespace, universal id, type) into an Identifier: the ids to system, the
// namespace to assigner.display.
func (g *getter) authority(n *node, ns, uid, typ string) {
	g.put(n, "system", authoritySystem(uid, typ))
	if ns != "" {
		g.put(g.run.child(n, "assigner"), "display", ns)
	}
}

func readAuthority(n *node) (ns, uid, typ string) {
	uid, typ = authorityParts(n.read("system"))
	return n.get("assigner").read("display"), uid, typ
}

var eiLens = &lens{name: "ei", cells: 1, elements: 1, v2: []string{"EI", "EIP", "ST", "CX", "CM", "CM_PLACER", "CM_FILLER"}, fhir: []string{"Identifier"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		if strings.TrimSpace(c.part(1)) == "" {
			return nothing // a register without a number
		}
		g.authority(n, c.part(2), c.part(3), c.part(4))
		g.put(n, "value", strings.TrimSpace(c.part(1)))
		return ""
	},
	put: func(p *putter) string {
		if p.in[0].peek("value") == "" {
			return "The identifier has no value."
		}
		p.entity(p.in[0], 0)
		return ""
	}}

func (p *putter) entity(n *node, i int) {
	p.set(i, 1, n.read("value"))
	ns, uid, typ := readAuthority(n)
	if p.types[i] == "ST" {
		return
	}
	p.set(i, 2, ns)
	p.set(i, 3, uid)
	p.set(i, 4, typ)
}

var eiReferenceLens = &lens{name: "ei-reference", cells: 1, elements: 1, v2: []string{"EI", "ST", "CM"}, fhir: []string{"Reference"},
	get: func(g *getter) string {
		c := g.in[0]
		if strings.TrimSpace(c.part(1)) == "" {
			return "The identifier has no value."
		}
		id := g.run.child(g.out[0], "identifier")
		g.authority(id, c.part(2), c.part(3), c.part(4))
		g.put(id, "value", strings.TrimSpace(c.part(1)))
		return ""
	},
	put: func(p *putter) string {
		id := p.in[0].get("identifier")
		if id == nil || id.peek("value") == "" {
			return "The reference has no identifier."
		}
		p.entity(id, 0)
		return ""
	}}

// checkDigits are R4's extensions for an identifier's check digit and the scheme that it follows, CX.2 and CX.3.
var checkDigits = [...]string{"http://hl7.org/fhir/StructureDefinition/identifier-checkDigit", "http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit"}

// cxLens pairs CX with an Identifier: value, assigning authority, type (table 0203) and period.
var cxLens = &lens{name: "cx", cells: 1, elements: 1, v2: []string{"CX", "CK", "ST", "CM_PAT_ID"}, fhir: []string{"Identifier"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		if strings.TrimSpace(c.part(1)) == "" {
			return nothing // a register without a number
		}
		if kind := singleSpaced(strings.TrimSpace(c.part(5))); kind != "" {
			coding := g.run.item(g.run.child(n, "type"), "coding")
			g.put(coding, "system", v2Identifiers)
			c.part(5)
			g.put(coding, "code", kind)
		}
		g.authority(n, c.deep(4, 1), c.deep(4, 2), c.deep(4, 3))
		g.put(n, "value", strings.TrimSpace(c.part(1)))
		for i, url := range checkDigits {
			if text := strings.TrimSpace(peek(c.down(int16(2 + i)))); text != "" && c.typ == "CX" {
				c.part(int16(2 + i))
				x := g.run.item(n, "extension")
				g.put(x, "url", url)
				g.put(x, "valueString", text)
			}
		}
		if c.typ == "CX" && g.run.p.version >= "2.4" {
			g.span(n, c.down(7), c.down(8), true)
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if n.peek("value") == "" {
			return "The identifier has no value."
		}
		p.set(0, 1, n.read("value"))
		if p.types[0] == "ST" {
			return ""
		}
		ns, uid, typ := readAuthority(n)
		p.deep(0, 4, 1, ns)
		p.deep(0, 4, 2, uid)
		p.deep(0, 4, 3, typ)
		p.set(0, 5, identifierType(n))
		for x := n.get("extension"); x != nil && p.types[0] == "CX"; x = x.follow() {
			if i := slices.Index(checkDigits[:], x.peek("url")); i >= 0 {
				x.read("url")
				p.set(0, int16(2+i), x.read("valueString"))
			}
		}
		if p.types[0] == "CX" && p.version >= "2.4" {
			p.span(n, 0, 7, 8, true)
		}
		return ""
	}}

// identifierType is the table 0203 code of an Identifier's type.
func identifierType(n *node) string {
	for c := n.get("type").get("coding"); c != nil; c = c.follow() {
		if c.peek("system") == v2Identifiers {
			c.read("system")
			return c.read("code")
		}
	}
	return ""
}

// cxPartsLens is cx over three cells of a person field: number, assigning authority, identifier type.
var cxPartsLens = &lens{name: "cx-parts", cells: 3, elements: 1, fhir: []string{"Identifier"},
	get: func(g *getter) string {
		n := g.out[0]
		value := strings.TrimSpace(peek(g.in[0]))
		if value == "" {
			return nothing
		}
		if kind := singleSpaced(strings.TrimSpace(g.in[2].text())); kind != "" {
			coding := g.run.item(g.run.child(n, "type"), "coding")
			g.put(coding, "system", v2Identifiers)
			g.in[2].text()
			g.put(coding, "code", kind)
		}
		g.authority(n, g.in[1].part(1), g.in[1].part(2), g.in[1].part(3))
		g.in[0].text()
		g.put(n, "value", value)
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if n.peek("value") == "" {
			return "The identifier has no value."
		}
		p.set(0, 1, n.read("value"))
		ns, uid, typ := readAuthority(n)
		p.set(1, 1, ns)
		p.set(1, 2, uid)
		p.set(1, 3, typ)
		p.set(2, 1, identifierType(n))
		return ""
	}}

// plnLens pairs a provider's number with an Identifier. Component 2 names the kind of number; an OID there becomes
// the system, since the type has no assigning authority of its own.
var plnLens = &lens{name: "pln", cells: 1, elements: 1, v2: []string{"PLN", "CM", "CM_PRD", "CM_INTERNAL_LOCATION", "ST"}, fhir: []string{"Identifier"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		if strings.TrimSpace(c.part(1)) == "" {
			return "The identifier has no value."
		}
		switch kind := c.part(2); {
		case kind == "":
		case isOID(kind):
			g.put(n, "system", "urn:oid:"+kind)
		default:
			coding := g.run.item(g.run.child(n, "type"), "coding")
			g.put(coding, "system", v2Tables+"0338")
			g.put(coding, "code", kind)
		}
		g.put(n, "value", strings.TrimSpace(c.part(1)))
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if n.peek("value") == "" {
			return "The identifier has no value."
		}
		p.set(0, 1, n.read("value"))
		if oid, ok := strings.CutPrefix(n.peek("system"), "urn:oid:"); ok {
			n.read("system")
			p.set(0, 2, oid)
			return ""
		}
		for c := n.get("type").get("coding"); c != nil; c = c.follow() {
			if c.peek("system") == v2Tables+"0338" {
				c.read("system")
				p.set(0, 2, c.read("code"))
				break
			}
		}
		return ""
	}}

// plLens pairs a place's point of care, or its room and bed where that is all, with an Identifier.
var plLens = &lens{name: "pl", cells: 1, elements: 1, v2: []string{"PL", "CM", "ST"}, fhir: []string{"Identifier"},
	get: func(g *getter) string {
		text := strings.TrimSpace(g.in[0].part(1))
		if text == "" {
			return "The place has no point of care."
		}
		g.put(g.out[0], "value", text)
		return ""
	},
	put: func(p *putter) string {
		if p.in[0].peek("value") == "" {
			return "The identifier has no value."
		}
		p.set(0, 1, p.in[0].read("value"))
		return ""
	}}

// xonLens pairs an organisation's name and number with a Reference that has a display and an identifier.
var xonLens = &lens{name: "xon", cells: 1, elements: 1, v2: []string{"XON", "ST"}, fhir: []string{"Reference"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		value := c.part(10)
		if value == "" {
			value = c.part(3)
		}
		if value == "" && c.part(1) == "" {
			return nothing // the register of an organisation that isn't there
		}
		if value != "" {
			id := g.run.child(n, "identifier")
			g.authority(id, c.deep(6, 1), c.deep(6, 2), c.deep(6, 3))
			g.put(id, "value", value)
		}
		if name := c.part(1); name != "" {
			g.put(n, "display", name)
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		id := n.get("identifier")
		if n.peek("display") == "" && id.peek("value") == "" {
			return "The reference has neither identifier nor display."
		}
		p.set(0, 1, n.read("display"))
		if p.types[0] != "XON" || id == nil {
			return ""
		}
		ns, uid, typ := readAuthority(id)
		p.deep(0, 6, 1, ns)
		p.deep(0, 6, 2, uid)
		p.deep(0, 6, 3, typ)
		p.set(0, 10, id.read("value"))
		return ""
	}}

// controlIDLens pairs a control id with MessageHeader.response: as identifier where it is a legal FHIR id, else as
// its UUIDv5 there and itself in an extension.
var controlIDLens = &lens{name: "control-id", cells: 1, elements: 1, fhir: []string{"MessageHeader.response"}, leaves: true,
	get: func(g *getter) string {
		id := g.in[0].text()
		if id == "" {
			return "The control id is empty."
		}
		legal, whole := fhir.ResponseIdentifier(id)
		g.put(g.out[0], "identifier", legal)
		if !whole {
			ext := g.run.item(g.out[0], "extension")
			g.put(ext, "url", profiles.URL(profiles.ControlID))
			g.put(ext, "valueString", id)
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		for e := n.get("extension"); e != nil; e = e.follow() {
			if e.peek("url") == profiles.URL(profiles.ControlID) {
				e.read("url")
				n.read("identifier")
				p.set(0, 1, e.read("valueString"))
				return ""
			}
		}
		if n.peek("identifier") == "" {
			return "The response doesn't say what it answers."
		}
		p.set(0, 1, n.read("identifier"))
		return ""
	}}

// endpoint is the address of an application: its OID or other universal id, else its name under Silta's base.
func endpoint(name, uid, typ string) string {
	if system := authoritySystem(uid, typ); system != "" {
		return system
	}
	return profiles.URL("/endpoint/" + url.PathEscape(name))
}

package mappings

import (
	"net/url"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// dataAbsent is FHIR's extension that says why an element has no value.
const dataAbsent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

// unknown says of a leaf that nobody knows it.
func (f *forward) unknown(n *node, name string, rule *op) {
	absent := f.item(f.child(n, "_"+name), "extension")
	f.fix(f.child(absent, "url"), fhir.KindString, dataAbsent, rule)
	f.fix(f.child(absent, "valueCode"), fhir.KindString, "unknown", rule)
}

// seeUnknown marks what unknown writes as read.
func seeUnknown(n *node, name string) {
	for x := n.get("_" + name).get("extension"); x != nil; x = x.follow() {
		if x.peek("url") == dataAbsent && x.peek("valueCode") == "unknown" {
			x.seeAll()
		}
	}
}

// readEndpoint gives the name (where the address holds one) and the universal id.
func readEndpoint(s string) (name, uid, typ string) {
	if escaped, ok := strings.CutPrefix(s, profiles.URL("/endpoint/")); ok {
		if plain, err := url.PathUnescape(escaped); err == nil {
			return plain, "", ""
		}
	}
	uid, typ = authorityParts(s)
	return "", uid, typ
}

var hdTypes = []string{"HD", "ST"}

var hdEndpointLens = &lens{name: "hd-endpoint", cells: 1, elements: 1, v2: hdTypes, fhir: []string{"MessageHeader.source"},
	get: func(g *getter) string {
		c, n := g.in[0], g.out[0]
		name, uid, typ := c.part(1), c.part(2), c.part(3)
		if name == "" && uid == "" {
			return "The application has neither name nor id."
		}
		c.part(1)
		g.put(n, "name", name)
		if uid != "" {
			c.part(2)
		}
		g.put(n, "endpoint", endpoint(name, uid, typ))
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		name, uid, typ := readEndpoint(n.read("endpoint"))
		if own := n.read("name"); own != "" {
			name = own
		}
		seeUnknown(n, "endpoint")
		p.set(0, 1, name)
		p.set(0, 2, uid)
		p.set(0, 3, typ)
		return ""
	}}

// party writes an HD as a Reference: the namespace as display, the universal id as identifier.
func (g *getter) party(n *node, c cell) bool {
	name, uid, typ := c.part(1), c.part(2), c.part(3)
	if uid != "" {
		id := g.run.child(n, "identifier")
		g.put(id, "system", uriSystem)
		c.part(2)
		g.put(id, "value", authoritySystem(uid, typ))
	}
	c.part(1)
	g.put(n, "display", name)
	return name != "" || uid != ""
}

func (p *putter) party(n *node, i int) {
	p.set(i, 1, n.read("display"))
	if id := n.get("identifier"); id != nil && id.peek("value") != "" {
		if id.peek("system") == uriSystem || id.peek("system") == "" {
			id.read("system")
			uid, typ := authorityParts(id.read("value"))
			p.set(i, 2, uid)
			p.set(i, 3, typ)
		}
	}
}

var hdReferenceLens = &lens{name: "hd-reference", cells: 1, elements: 1, v2: hdTypes, fhir: []string{"Reference"},
	get: func(g *getter) string {
		if !g.party(g.out[0], g.in[0]) {
			return "The organisation has neither name nor id."
		}
		return ""
	},
	put: func(p *putter) string {
		p.party(p.in[0], 0)
		return ""
	}}

// hdDestinationLens pairs receiving application and facility with one destination. FHIR requires its endpoint: where
// the application is missing, the facility's name or id stands there too.
var hdDestinationLens = &lens{name: "hd-destination", cells: 2, elements: 1, v2: hdTypes, fhir: []string{"MessageHeader.destination"},
	get: func(g *getter) string {
		n, app, place := g.out[0], g.in[0], g.in[1]
		g.put(n, "name", app.part(1))
		name, uid, typ := app.part(1), app.part(2), app.part(3)
		if name == "" && uid == "" {
			name, uid, typ = place.part(1), place.part(2), place.part(3)
		}
		if name == "" && uid == "" {
			return "The destination has neither name nor id."
		}
		g.put(n, "endpoint", endpoint(name, uid, typ))
		if place.filled() {
			g.party(g.run.child(n, "receiver"), place)
		}
		return ""
	},
	put: func(p *putter) string {
		n := p.in[0]
		if receiver := n.get("receiver"); receiver != nil {
			p.party(receiver, 1)
		}
		name, uid, typ := readEndpoint(n.read("endpoint"))
		if own := n.read("name"); own != "" {
			name = own
		} else if p.wrote(1, 1) == name && p.wrote(1, 2) == uid {
			return "" // the facility's, standing in for an application that isn't named
		}
		p.set(0, 1, name)
		p.set(0, 2, uid)
		p.set(0, 3, typ)
		return ""
	}}

// wrote is what was set at component n of cell i.
func (p *putter) wrote(i int, n int16) string {
	for _, w := range p.writes {
		if int(w.cell) == i && w.comp == n {
			return w.text
		}
	}
	return ""
}

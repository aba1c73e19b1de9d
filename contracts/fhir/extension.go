package fhir

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// extensionContext is where an extension may stand.
type extensionContext struct{ kind, expression string }

func (c *compiler) contexts(root Node) {
	if elsewhere := usedIn[strings.TrimPrefix(c.profile.url, baseURL)]; elsewhere != "" {
		c.profile.contexts = []extensionContext{{"element", elsewhere}}
	}
	for n := range root.Get("context").Each() {
		c.profile.contexts = append(c.profile.contexts, extensionContext{clone(n.Get("type")), clone(n.Get("expression"))})
	}
}

// usedIn is where R4's own files put extensions of R4 that by their definitions may not stand there.
var usedIn = map[string]string{
	"regex":                                 "ElementDefinition.type",
	"structuredefinition-fhir-type":         "ElementDefinition.type",
	"structuredefinition-normative-version": "Element",
}

// extension checks an extension against its definition, where one is loaded.
// Source: HL7 FHIR R4, extensibility.html, defining-extensions.html#context.
func (v *validator) extension(n Node) {
	url := n.Get("url").Text()
	if !isAbsolute(url) {
		// A part of another extension, which its definition knows.
		if around := typeOf(holder(n)); url != "" && (around == nil || around.Name != "Extension") {
			v.fault(CodeAddress, n.Get("url"), "The url of an extension is absolute, but for a part of another extension.")
		}
		return
	}
	modifying := n.Parent().Name() == "modifierExtension"
	c := v.profiles.profile(url)
	switch {
	case c == nil && modifying:
		v.remark(contracts.GradeWarning, CodeExtension, n, "", "This modifier extension isn't known here: what it changes about its element can't be heeded.")
	case c == nil && strings.HasPrefix(url, baseURL):
		v.remark(contracts.GradeWarning, CodeExtension, n, "", "R4 defines no extension of this url.")
	case c == nil:
	case c.typ == nil || c.typ.Name != "Extension":
		v.broken(CodeExtension, n, c.root, "This url names a profile of another type, no extension.")
	default:
		v.inContext(n, c)
		if c.modifier != modifying {
			if modifying {
				v.broken(CodeExtension, n, c.root, "This extension modifies nothing; it belongs in extension.")
			} else {
				v.broken(CodeExtension, n, c.root, "This extension modifies its element; it belongs in modifierExtension.")
			}
		}
		v.conforms(n, c.typ, c)
	}
}

// holder is the object that an extension, or another item of a list, belongs to.
func holder(n Node) Node {
	if list := n.Parent(); list.Kind() == KindArray {
		return list.Parent()
	}
	return n.Parent()
}

// inContext checks that the extension stands where its definition lets it.
func (v *validator) inContext(n Node, c *profile) {
	if len(c.contexts) == 0 {
		return
	}
	of := holder(n)
	for _, x := range c.contexts {
		if v.allows(of, x) {
			return
		}
	}
	where := make([]string, len(c.contexts))
	for i, x := range c.contexts {
		where[i] = x.expression
	}
	v.broken(CodeExtension, n, c.root, "This extension may stand in %s only.", strings.Join(where, ", "))
}

func (v *validator) allows(of Node, x extensionContext) bool {
	switch x.kind {
	case "element":
		path := x.expression
		if url, id, ok := strings.Cut(path, "#"); ok {
			if baseType(url) == nil {
				return true // an element of a profile, which the element alone doesn't show
			}
			path = id
		}
		return strings.Contains(path, ":") || v.isElement(of, path) // a slice isn't looked into
	case "extension":
		url, _, _ := strings.Cut(x.expression, "#")
		return of.Get("url").Is(url)
	}
	return true // a FHIRPath context is judged by nobody here
}

// isElement says whether an object is the element of that path: Patient.contact, HumanName.family, Element, Observation.value[x].
func (v *validator) isElement(of Node, path string) bool {
	if path == "Element" {
		return true // R4's own extensions for any element stand on resources too
	}
	var below []string // the names between the node and where it is looked from
	for n := of; n.Exists(); {
		if t := typeOf(n); t != nil {
			for ; t != nil; t = v.defs.types[t.Base] {
				if matchesPath(path, t.Name, below) {
					return true
				}
			}
		}
		if n.Get("resourceType").Exists() {
			return false
		}
		name := elementName(n.Name())
		up := n.Parent()
		if up.Kind() == KindArray {
			name, up = elementName(up.Name()), up.Parent()
		}
		if t := typeOf(up); t != nil {
			if e, _ := t.Member(name); e != nil && e.Choice {
				name = e.Name
			}
		}
		below = slices.Insert(below, 0, name)
		n = up
	}
	return false
}

func matchesPath(path, typ string, below []string) bool {
	rest, ok := strings.CutPrefix(path, typ)
	if !ok {
		return false
	}
	for _, name := range below {
		if rest, ok = strings.CutPrefix(rest, "."); !ok {
			return false
		}
		next, after, more := strings.Cut(rest, ".")
		if next != name && next != strings.TrimSuffix(name, "[x]") {
			return false
		}
		if rest = ""; more {
			rest = "." + after
		}
	}
	return rest == ""
}

// partsOfExtension checks that a complex extension has no parts that its definition doesn't know.
func (v *validator) partsOfExtension(n Node, c *profile) {
	r := c.root.child("extension")
	if r == nil || len(r.slices) == 0 {
		return
	}
	marks := r.marks(v.profiles)
	if slices.ContainsFunc(marks, func(m []mark) bool { return m == nil }) {
		return
	}
	for part := range n.Get("extension").Each() {
		if strings.Contains(part.Get("url").Text(), ":") {
			continue
		}
		it := item{value: part, typ: v.defs.types["Extension"]}
		if !slices.ContainsFunc(marks, func(m []mark) bool { return v.inSlice(it, r.slicing, m) }) {
			v.broken(CodeExtension, part, r, "The extension has no such part, only %s.", r.sliceNames())
		}
	}
}

package fhir

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// reference checks where a Reference leads: a contained resource must be there, a urn must be in the Bundle, and what
// is found, or named by type, must be of a type that the element allows. What Type/id names on another server isn't
// here to be looked at, so a wrong type there is a warning only: some of R4's own examples have one.
func (v *validator) reference(n Node, e *Element) {
	url := n.Get("reference").Text()
	target := v.bundle.Resolve(n)
	typ := target.Type()
	switch {
	case target.Exists():
		if t := v.defs.Type(typ); t == nil || t.Kind != Resource || t.Abstract {
			return // told where the resource stands
		}
	case strings.HasPrefix(url, "#"):
		v.fault(CodeReference, n, "The resource contains nothing with this id.")
		return
	case v.inBundle && strings.HasPrefix(url, "urn:"):
		v.fault(CodeReference, n, "No entry of the Bundle has this fullUrl.")
		return
	default:
		typ = v.namedType(n, url)
	}
	if typ == "" || len(e.Targets) == 0 || slices.Contains(e.Targets, "Resource") || slices.Contains(e.Targets, typ) {
		return
	}
	f := v.fault(CodeTarget, n, "%s may refer to %s only.", e.Name, strings.Join(e.Targets, ", "))
	if !target.Exists() && !n.Get("type").Is(typ) {
		f.Grade = contracts.GradeWarning
	}
}

// namedType is the type that a reference says it leads to: Type/id or …/Type/id, else Reference.type; "" for none.
func (v *validator) namedType(n Node, url string) string {
	url, _, _ = strings.Cut(url, "/_history/")
	if parts := strings.Split(url, "/"); len(parts) >= 2 {
		typ := parts[len(parts)-2]
		if t := v.defs.Type(typ); t != nil && t.Kind == Resource {
			return typ
		}
		if len(parts) == 2 {
			v.fault(CodeReference, n, "A relative reference is Type/id; R4 has no resource of this type.")
			return ""
		}
	}
	if t := v.defs.Type(n.Get("type").Text()); t != nil {
		return t.Name
	}
	return ""
}

// bundleRules are those of messages and documents: what comes first, and what names each entry.
// Source: HL7 FHIR R4, bundle.html and messaging.html.
func (v *validator) bundleRules(root Node) {
	switch root.Get("type").Text() {
	case "message":
		v.firstEntry(root, "MessageHeader")
		v.fullURLs(root)
		v.focus()
	case "document":
		v.firstEntry(root, "Composition")
		v.fullURLs(root)
	}
}

func (v *validator) firstEntry(root Node, typ string) {
	first := root.Get("entry").At(0)
	switch {
	case !first.Exists():
		v.fault(CodeNoHeader, root, "The first entry must be a %s, and there is none.", typ)
	case !first.Get("resource").Get("resourceType").Is(typ):
		v.fault(CodeNoHeader, first, "The first entry must be a %s.", typ)
	}
}

func (v *validator) fullURLs(root Node) {
	for e := range root.Get("entry").Each() {
		n := e.Get("fullUrl")
		url := n.Text()
		switch {
		case url == "":
			f := v.fault(CodeFullURL, e, "Each entry has a fullUrl, so that others can refer to it: urn:uuid: and a new UUID will do.")
			f.At += ".fullUrl"
		case !strings.Contains(url, ":"):
			// Some servers write Type/id here, and it can be followed all the same.
			v.fault(CodeFullURL, n, "A fullUrl is absolute: http://…, https://…, urn:uuid: or urn:oid:.").Grade = contracts.GradeWarning
		case strings.HasPrefix(url, "urn:uuid:") && !isUUID(strings.ToLower(url)):
			v.fault(CodeFullURL, n, "After urn:uuid: stands a UUID of 36 characters.")
		}
	}
	v.fullURLsOnce()
}

// fullURLsOnce finds entries with one fullUrl, which only different versions of one resource may share.
func (v *validator) fullURLsOnce() {
	type version struct{ url, version string }
	seen := make(map[version]bool, len(v.bundle.entries))
	for _, e := range v.bundle.entries {
		key := version{e.fullURL, e.resource.Get("meta").Get("versionId").Text()}
		if seen[key] && e.fullURL != "" {
			v.fault(CodeFullURL, e.node.Get("fullUrl"), "Another entry has the same fullUrl.")
		}
		seen[key] = true
	}
}

func (v *validator) focus() {
	for f := range v.bundle.Header().Get("focus").Each() {
		url := f.Get("reference").Text()
		if v.bundle.Resolve(f).Exists() || strings.HasPrefix(url, "urn:") || strings.HasPrefix(url, "#") {
			continue // a urn or contained reference that leads nowhere was told by reference
		}
		v.fault(CodeFocus, f, "The resource that the message is about isn't in the Bundle.").Grade = contracts.GradeWarning
	}
}

package fhir

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// reference checks where a Reference leads: a contained resource must be there, a urn must be in the Bundle, and what
// is found, or stated by type, must be of a type that the element allows. What Type/id names on another server isn't
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
		v.fault(CodeReference, n, "The resource contains nothing with this id.").Rule = ruleContained
		return
	case v.inBundle && strings.HasPrefix(url, "urn:"):
		v.fault(CodeReference, n, "No entry of the Bundle has this fullUrl.")
		return
	case url != "" && !isAbsolute(url) && !v.isRelative(url):
		v.fault(CodeReference, n, "A relative reference is Type/id, with a resource type of R4.")
		return
	default:
		typ = v.namedType(url)
	}
	stated := n.Get("type").Text()
	if mayLeadTo(e, typ) && mayLeadTo(e, stated) {
		return
	}
	f := v.fault(CodeTarget, n, "%s may refer to %s only.", e.Name, strings.Join(e.Targets, ", "))
	if !target.Exists() && mayLeadTo(e, stated) {
		f.Grade = contracts.GradeWarning
	}
}

// mayLeadTo says whether a Reference may lead to that type; an empty type says nothing.
func mayLeadTo(e *Element, typ string) bool {
	return typ == "" || len(e.Targets) == 0 || slices.Contains(e.Targets, "Resource") || slices.Contains(e.Targets, typ)
}

// namedType is the type in Type/id or …/Type/id; "" for none.
func (v *validator) namedType(url string) string {
	url, _, _ = strings.Cut(url, "/_history/")
	if parts := strings.Split(url, "/"); len(parts) >= 2 && v.isResource(parts[len(parts)-2]) {
		return parts[len(parts)-2]
	}
	return ""
}

func (v *validator) isResource(typ string) bool {
	t := v.defs.Type(typ)
	return t != nil && t.Kind == Resource
}

// isRelative says whether a reference is Type/id, perhaps with a version, or a search: Type?parameters.
func (v *validator) isRelative(url string) bool {
	if typ, _, search := strings.Cut(url, "?"); search {
		return v.isResource(typ)
	}
	url, version, versioned := strings.Cut(url, "/_history/")
	typ, id, ok := strings.Cut(url, "/")
	return ok && v.isResource(typ) && isID(id) && (!versioned || isID(version))
}

// isAbsolute says whether an address begins with a scheme: https:, urn:.
func isAbsolute(url string) bool {
	for i := range len(url) {
		switch c := url[i]; {
		case c == ':':
			return i > 0 && isLetter(url[0])
		case !isLetter(c) && !isDigit(c) && c != '+' && c != '-' && c != '.':
			return false
		}
	}
	return false
}

// urn looks at urn:oid: and urn:uuid: addresses, behind which a version or a fragment may stand. A UUID should be
// written in small letters; capitals mean the same (RFC 4122) and do no harm here.
// Source: HL7 FHIR R4, datatypes.html#uri.
func (v *validator) urn(n Node, text string) {
	if isUUID(text) {
		return
	}
	if end := strings.IndexAny(text, "|#"); end >= 0 {
		text = text[:end]
	}
	switch {
	case strings.HasPrefix(text, "urn:oid:") && !isOID(text):
		v.fault(CodeAddress, n, "After urn:oid: stand numbers with dots between them, the first of which is 0, 1 or 2.")
	case strings.HasPrefix(text, "urn:uuid:") && !isUUID(strings.ToLower(text)):
		v.fault(CodeAddress, n, "After urn:uuid: stands a UUID of 36 characters.")
	}
}

// system checks the namespace of an Identifier, or the code system of a Coding or Quantity: a relative address would mean
// another one to each reader. Source: HL7 FHIR R4, datatypes.html#Identifier and #Coding, identifier-registry.html.
func (v *validator) system(n Node) {
	system := n.Get("system")
	if system.Exists() && system.Text() != "" && !isAbsolute(system.Text()) {
		v.fault(CodeAddress, system, "A system is an absolute address: https://…, urn:oid:….")
	}
}

// identifier checks besides that a value whose system says that it is a URI is one.
func (v *validator) identifier(n Node) {
	v.system(n)
	value := n.Get("value").Text()
	if n.Get("system").Is("urn:ietf:rfc:3986") && value != "" && !isAbsolute(value) {
		v.fault(CodeAddress, n.Get("value"), "By its system the value is a whole URI: an OID begins with urn:oid:, a UUID with urn:uuid:.")
	}
}

// bundleRules are those of Bundles beside their invariants: what names each entry, and of messages and documents what
// comes first.
// Source: HL7 FHIR R4, bundle.html and messaging.html.
func (v *validator) bundleRules(root Node) {
	for e, r := range v.bundle.each() {
		v.fullURLNames(e.Get("fullUrl"), r)
	}
	switch root.Get("type").Text() {
	case "message":
		v.firstEntry(root, "MessageHeader", ruleHeader)
		v.fullURLs(root)
		v.focus()
	case "document":
		v.firstEntry(root, "Composition", ruleComposition)
		v.fullURLs(root)
	case "history": // the versions of one resource share their fullUrl
		return
	}
	v.fullURLsOnce()
}

func (v *validator) firstEntry(root Node, typ, rule string) {
	first := root.Get("entry").At(0)
	switch {
	case !first.Exists():
		v.fault(CodeNoHeader, root, "The first entry must be a %s, and there is none.", typ).Rule = rule
	case !first.Get("resource").Get("resourceType").Is(typ):
		v.fault(CodeNoHeader, first, "The first entry must be a %s.", typ).Rule = rule
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
		}
	}
}

// fullURLNames finds a fullUrl of the form of a server's, http://…/Type/id, that names another resource than the entry's.
func (v *validator) fullURLNames(n, resource Node) {
	id := resource.Get("id").Text()
	if id == "" {
		return
	}
	url, _, _ := strings.Cut(n.Text(), "/_history/")
	named := v.namedType(url)
	if named == "" || !strings.HasPrefix(url, "http") || !isID(lastSegment(url)) {
		return
	}
	if named != resource.Type() || lastSegment(url) != id {
		v.fault(CodeFullURL, n, "A fullUrl ends with the type and id of its resource.")
	}
}

// fullURLsOnce finds entries with one fullUrl, which only different versions of one resource may share.
func (v *validator) fullURLsOnce() {
	if v.bundle.distinctURLs() {
		return
	}
	urls := sorted(func(yield func(name) bool) {
		for e, r := range v.bundle.each() {
			url := e.Get("fullUrl").Text()
			if url != "" && !yield(name{url, r.Get("meta").Get("versionId").Text(), e.i}) {
				return
			}
		}
	})
	var again []uint32
	for i := 1; i < len(urls) && len(again) < maxFaults; i++ {
		if urls[i].text == urls[i-1].text && urls[i].more == urls[i-1].more {
			again = append(again, urls[i].node)
		}
	}
	slices.Sort(again)
	for _, e := range again {
		v.fault(CodeFullURL, Node{v.bundle.root.t, e}.Get("fullUrl"), "Another entry has the same fullUrl.").Rule = ruleDistinctURL
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

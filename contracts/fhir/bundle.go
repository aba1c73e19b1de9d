package fhir

import (
	"iter"
	"strings"
)

// Bundle finds the resources of a Bundle by fullUrl, type and id, and identifier. Around any other resource it
// resolves contained references only. It reads the tree as it was when the Bundle was made.
// Source: HL7 FHIR R4, bundle.html (resolving references in Bundles), references.html.
type Bundle struct {
	root    Node
	entries []entry
	byURL   map[string]int // entries by fullUrl; made for large Bundles only
}

type entry struct {
	fullURL  string
	typ, id  string
	resource Node
}

// manyEntries is from where a map beats looking at each entry.
const manyEntries = 24

// NewBundle reads the entries of root, a Bundle.
func NewBundle(root Node) *Bundle {
	b := &Bundle{root: root}
	for e := range root.Get("entry").Each() {
		r := e.Get("resource")
		b.entries = append(b.entries, entry{e.Get("fullUrl").Text(), r.Type(), r.Get("id").Text(), r})
	}
	if len(b.entries) > manyEntries {
		b.byURL = make(map[string]int, len(b.entries))
		for i, e := range b.entries {
			if _, twice := b.byURL[e.fullURL]; !twice {
				b.byURL[e.fullURL] = i
			}
		}
	}
	return b
}

// IsMessage says whether it is a Bundle of type message.
func (b *Bundle) IsMessage() bool {
	return b.root.Get("resourceType").Is("Bundle") && b.root.Get("type").Is("message")
}

// Header is the MessageHeader of a message Bundle: the first entry's resource, absent where that is another one.
func (b *Bundle) Header() Node {
	if len(b.entries) > 0 && b.entries[0].typ == "MessageHeader" {
		return b.entries[0].resource
	}
	return Node{}
}

// Resources gives the entries' resources of that type, or all where typ is empty, in order.
func (b *Bundle) Resources(typ string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, e := range b.entries {
			if e.resource.Exists() && (typ == "" || e.typ == typ) && !yield(e.resource) {
				return
			}
		}
	}
}

// Find is the first resource of that type.
func (b *Bundle) Find(typ string) Node {
	for r := range b.Resources(typ) {
		return r
	}
	return Node{}
}

// Resolve gives the resource that a Reference leads to within the Bundle: by urn:uuid or absolute URL the entry with
// that fullUrl; by a relative Type/id the entry under the same base, else the one entry of that type and id; by #id
// what the same resource contains; by Type?identifier=… or a bare identifier the resource that has it. A version
// (/_history/n) is not looked at. It is absent where nothing fits, and where a bare identifier fits several.
func (b *Bundle) Resolve(reference Node) Node {
	url := reference.Get("reference").Text()
	switch {
	case url == "":
		id := reference.Get("identifier")
		return b.byIdentifier(lastSegment(reference.Get("type").Text()), id.Get("system").Text(), id.Get("value").Text())
	case url[0] == '#':
		return contained(reference, url[1:])
	}
	if typ, query, ok := strings.Cut(url, "?identifier="); ok {
		system, value, both := strings.Cut(query, "|")
		if !both {
			system, value = "", query
		}
		return b.byIdentifier(lastSegment(typ), system, value)
	}
	url, _, _ = strings.Cut(url, "/_history/")
	if r := b.byFullURL(url); r.Exists() || strings.Contains(url, ":") {
		return r
	}
	return b.relative(reference, url)
}

func (b *Bundle) byFullURL(url string) Node {
	if b.byURL != nil {
		if i, ok := b.byURL[url]; ok {
			return b.entries[i].resource
		}
		return Node{}
	}
	for _, e := range b.entries {
		if e.fullURL == url {
			return e.resource
		}
	}
	return Node{}
}

// relative finds Type/id. The specification resolves it under the base of the entry's own fullUrl only; senders put
// Type/id beside urn:uuid fullUrls all the same, so an entry of that type and id is taken where the base gives none.
func (b *Bundle) relative(reference Node, url string) Node {
	if own := b.owner(reference); own != nil {
		if i := strings.LastIndex(own.fullURL, "/"+own.typ+"/"); i > 0 {
			if r := b.byFullURL(own.fullURL[:i+1] + url); r.Exists() {
				return r
			}
		}
	}
	typ, id, ok := strings.Cut(url, "/")
	if !ok {
		return Node{}
	}
	for _, e := range b.entries {
		if e.typ == typ && e.id == id {
			return e.resource
		}
	}
	return Node{}
}

// owner is the entry that a node stands in.
func (b *Bundle) owner(n Node) *entry {
	r := resourceOf(n)
	for i := range b.entries {
		if b.entries[i].resource == r {
			return &b.entries[i]
		}
	}
	return nil
}

// resourceOf is the resource that a node stands in; for one in a contained resource the resource that contains it.
func resourceOf(n Node) Node {
	for ; n.Exists(); n = n.Parent() {
		if n.Get("resourceType").Exists() && !n.Parent().isContained() {
			return n
		}
	}
	return Node{}
}

func (n Node) isContained() bool { return n.Name() == "contained" || n.Parent().Name() == "contained" }

func contained(reference Node, id string) Node {
	r := resourceOf(reference)
	if id == "" {
		return r
	}
	for c := range r.Get("contained").Each() {
		if c.Get("id").Is(id) {
			return c
		}
	}
	return Node{}
}

func (b *Bundle) byIdentifier(typ, system, value string) Node {
	if value == "" {
		return Node{}
	}
	var found Node
	for _, e := range b.entries {
		if typ != "" && e.typ != typ || !hasIdentifier(e.resource, system, value) {
			continue
		}
		if found.Exists() {
			return Node{}
		}
		found = e.resource
	}
	return found
}

func hasIdentifier(r Node, system, value string) bool {
	for id := range r.Get("identifier").Each() {
		if id.Get("value").Is(value) && (system == "" || id.Get("system").Is(system)) {
			return true
		}
	}
	return false
}

func lastSegment(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

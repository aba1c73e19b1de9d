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
	index   *index                     // of large Bundles only
	inside  map[uint32]map[string]Node // by node and id: what resources contain that contain much
}

// index finds entries where looking at each would cost the square of their number.
type index struct {
	byURL   map[string]int
	byID    map[[2]string]int // by type and id; ambiguous where several have them
	byValue map[string][]int  // by the value of an identifier
	byNode  map[uint32]int
}

type entry struct {
	node     Node // of Bundle.entry
	fullURL  string
	typ, id  string
	resource Node
}

// manyEntries is from where a map beats looking at each entry.
const manyEntries = 40

// NewBundle reads the entries of root, a Bundle; of another resource, what it contains.
func NewBundle(root Node) *Bundle {
	b := &Bundle{root: root}
	b.look(root)
	for e := range root.Get("entry").Each() {
		r := e.Get("resource")
		b.look(r)
		b.entries = append(b.entries, entry{e, e.Get("fullUrl").Text(), r.Type(), r.Get("id").Text(), r})
	}
	if len(b.entries) > manyEntries {
		b.index = newIndex(b.entries)
	}
	return b
}

const ambiguous = -1

func newIndex(entries []entry) *index {
	n := len(entries)
	x := &index{make(map[string]int, n), make(map[[2]string]int, n), make(map[string][]int, n), make(map[uint32]int, n)}
	for i := len(entries) - 1; i >= 0; i-- { // backwards, so that the first of equals stays
		e := entries[i]
		x.byURL[e.fullURL] = i
		key := [2]string{e.typ, e.id}
		if _, twice := x.byID[key]; twice {
			x.byID[key] = ambiguous
		} else {
			x.byID[key] = i
		}
		x.byNode[e.resource.i] = i
	}
	for i, e := range entries {
		for id := range e.resource.Get("identifier").Each() {
			v := id.Get("value").Text()
			if same := x.byValue[v]; len(same) == 0 || same[len(same)-1] != i {
				x.byValue[v] = append(same, i)
			}
		}
	}
	return x
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
// (/_history/n) is not looked at. It is absent where nothing fits, and where an identifier, or a type and id without
// a base, fit several: two servers' Patient/1 are two people.
func (b *Bundle) Resolve(reference Node) Node {
	url := reference.Get("reference").Text()
	if url == "" {
		id := reference.Get("identifier")
		return b.byIdentifier(lastSegment(reference.Get("type").Text()), id.Get("system").Text(), id.Get("value").Text())
	}
	return b.resolve(reference, url)
}

// resolve gives what a URL leads to that stands at or below from.
func (b *Bundle) resolve(from Node, url string) Node {
	if strings.HasPrefix(url, "#") {
		return b.contained(from, url[1:])
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
	return b.relative(from, url)
}

func (b *Bundle) byFullURL(url string) Node {
	if b.index != nil {
		if i, ok := b.index.byURL[url]; ok {
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
	if b.index != nil {
		if i, ok := b.index.byID[[2]string{typ, id}]; ok && i != ambiguous {
			return b.entries[i].resource
		}
		return Node{}
	}
	var found Node
	for _, e := range b.entries {
		if e.typ != typ || e.id != id {
			continue
		}
		if found.Exists() {
			return Node{}
		}
		found = e.resource
	}
	return found
}

// owner is the entry that a node stands in.
func (b *Bundle) owner(n Node) *entry {
	r := resourceOf(n)
	if b.index != nil {
		if i, ok := b.index.byNode[r.i]; ok && r.Exists() {
			return &b.entries[i]
		}
		return nil
	}
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

// contained is what the resource that a reference stands in contains under that id; the resource itself for none.
func (b *Bundle) contained(reference Node, id string) Node {
	r := resourceOf(reference)
	if id == "" {
		return r
	}
	if byID := b.inside[r.i]; byID != nil {
		return byID[id]
	}
	looked := 0
	for c := range r.Get("contained").Each() {
		if c.Get("id").Is(id) {
			return c
		}
		if looked++; looked == mostContained {
			break
		}
	}
	return Node{}
}

// mostContained bounds what a Bundle within the Bundle can cost, whose resources aren't indexed.
const mostContained = 100

// look indexes what a resource contains, where that is much.
func (b *Bundle) look(r Node) {
	if !r.Get("contained").At(manyEntries).Exists() {
		return
	}
	byID := map[string]Node{}
	for c := range r.Get("contained").Each() {
		if id := c.Get("id").Text(); id != "" && !byID[id].Exists() {
			byID[id] = c
		}
	}
	if b.inside == nil {
		b.inside = map[uint32]map[string]Node{}
	}
	b.inside[r.i] = byID
}

func (b *Bundle) byIdentifier(typ, system, value string) Node {
	if value == "" {
		return Node{}
	}
	var found Node
	for e := range b.candidates(value) {
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

// candidates are the entries that may have an identifier of that value.
func (b *Bundle) candidates(value string) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		if b.index != nil {
			for _, i := range b.index.byValue[value] {
				if !yield(&b.entries[i]) {
					return
				}
			}
			return
		}
		for i := range b.entries {
			if !yield(&b.entries[i]) {
				return
			}
		}
	}
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

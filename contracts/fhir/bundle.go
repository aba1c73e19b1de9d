package fhir

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Bundle finds the resources of a Bundle by fullUrl, type and id, and identifier. Around any other resource it
// resolves contained references only. It reads the tree as it was when the Bundle was made.
//
// Its indexes are sorted lists, since a hostile Bundle has an entry in every few bytes, and a map takes a hundred for it.
// Source: HL7 FHIR R4, bundle.html (resolving references in Bundles), references.html.
type Bundle struct {
	root    Node
	entries []bundled
	byURL   []name            // resources by fullUrl
	byID    []name            // resources by id and type
	byValue []name            // resources by the value and system of an identifier
	inside  map[uint32][]name // what resources contain that contain much, by id
}

// bundled is an entry and its resource, which may be absent.
type bundled struct{ entry, resource uint32 }

// name is a text, and another that belongs to it, by which a resource is found.
type name struct {
	text, more string
	node       uint32
}

func compareNames(a, b name) int {
	return cmp.Or(strings.Compare(a.text, b.text), strings.Compare(a.more, b.more), cmp.Compare(a.node, b.node))
}

// sorted gives names in order, of one allocation: each is walked through twice.
func sorted(names iter.Seq[name]) []name {
	count := 0
	for range names {
		count++
	}
	if count == 0 {
		return nil
	}
	list := make([]name, 0, count)
	for n := range names {
		list = append(list, n)
	}
	slices.SortFunc(list, compareNames)
	return list
}

// mostAlike bounds how many resources of one name are looked at.
const mostAlike = 100

// alike are the names with that text and, if it is given, that other: at most one more than mostAlike.
func alike(list []name, text string, more ...string) []name {
	compare := func(n name, _ struct{}) int {
		c := strings.Compare(n.text, text)
		if c == 0 && len(more) > 0 {
			c = strings.Compare(n.more, more[0])
		}
		return c
	}
	from, _ := slices.BinarySearchFunc(list, struct{}{}, compare)
	to := from
	for to < len(list) && to-from <= mostAlike && compare(list[to], struct{}{}) == 0 {
		to++
	}
	return list[from:to]
}

// manyContained is from where an index beats looking at each contained resource.
const manyContained = 40

// NewBundle reads the entries of root, a Bundle; of another resource, what it contains.
func NewBundle(root Node) *Bundle {
	b := &Bundle{root: root}
	b.look(root)
	list := root.Get("entry")
	if n := list.Len(); list.Kind() == KindArray && n > 0 {
		b.entries = make([]bundled, 0, n)
	}
	for e := range list.Each() {
		r := e.Get("resource")
		b.entries = append(b.entries, bundled{e.i, r.i})
		b.look(r)
	}
	b.byURL = sorted(b.urls())
	b.byID = sorted(b.ids())
	b.byValue = sorted(b.values())
	return b
}

// each gives the entries with their resources.
func (b *Bundle) each() iter.Seq2[Node, Node] {
	return func(yield func(entry, resource Node) bool) {
		for _, x := range b.entries {
			if !yield(b.root.t.Node(x.entry), b.root.t.Node(x.resource)) {
				return
			}
		}
	}
}

// IsMessage says whether it is a Bundle of type message.
func (b *Bundle) IsMessage() bool {
	return b.root.Get("resourceType").Is("Bundle") && b.root.Get("type").Is("message")
}

// Header is the MessageHeader of a message Bundle: the first entry's resource, absent where that is another one.
func (b *Bundle) Header() Node {
	if r := b.root.Get("entry").At(0).Get("resource"); r.Get("resourceType").Is("MessageHeader") {
		return r
	}
	return Node{}
}

// Resources gives the entries' resources of that type, or all where typ is empty, in order.
func (b *Bundle) Resources(typ string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, r := range b.each() {
			if r.Exists() && (typ == "" || r.Get("resourceType").Is(typ)) && !yield(r) {
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
	if isUUID(url) {
		return b.byFullURL(url)
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
	if found := alike(b.byURL, url); len(found) > 0 {
		return Node{b.root.t, found[0].node}
	}
	return Node{}
}

// relative finds Type/id. The specification resolves it under the base of the entry's own fullUrl only; senders put
// Type/id beside urn:uuid fullUrls all the same, so an entry of that type and id is taken where the base gives none.
func (b *Bundle) relative(reference Node, url string) Node {
	if own := resourceOf(reference); own.Name() == "resource" {
		base := own.Parent().Get("fullUrl").Text()
		if i := strings.LastIndex(base, "/"+own.Type()+"/"); i > 0 {
			if r := b.byFullURL(base[:i+1] + url); r.Exists() {
				return r
			}
		}
	}
	typ, id, ok := strings.Cut(url, "/")
	if !ok {
		return Node{}
	}
	return b.only(alike(b.byID, id, typ), func(name) bool { return true })
}

// only is the one resource among those of one name that fits; absent for none and for several.
func (b *Bundle) only(names []name, fits func(name) bool) Node {
	var found uint32
	for _, n := range names {
		if n.node == found || !fits(n) {
			continue
		}
		if found != 0 {
			return Node{}
		}
		found = n.node
	}
	if found == 0 || len(names) > mostAlike {
		return Node{}
	}
	return Node{b.root.t, found}
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
	if list := b.inside[r.i]; list != nil {
		if found := alike(list, id); len(found) > 0 {
			return Node{r.t, found[0].node}
		}
		return Node{}
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
	contained := r.Get("contained")
	if !contained.At(manyContained).Exists() {
		return
	}
	if b.inside == nil {
		b.inside = map[uint32][]name{}
	}
	b.inside[r.i] = sorted(func(yield func(name) bool) {
		for c := range contained.Each() {
			if id := c.Get("id").Text(); id != "" && !yield(name{id, "", c.i}) {
				return
			}
		}
	})
}

func (b *Bundle) urls() iter.Seq[name] {
	return func(yield func(name) bool) {
		for e, r := range b.each() {
			if url := e.Get("fullUrl").Text(); url != "" && r.Exists() && !yield(name{url, "", r.i}) {
				return
			}
		}
	}
}

// distinctURLs says that all entries have resources and fullUrls, and no two the same.
func (b *Bundle) distinctURLs() bool {
	for i := 1; i < len(b.byURL); i++ {
		if b.byURL[i].text == b.byURL[i-1].text {
			return false
		}
	}
	return len(b.byURL) == len(b.entries)
}

func (b *Bundle) ids() iter.Seq[name] {
	return func(yield func(name) bool) {
		for _, r := range b.each() {
			if id := r.Get("id").Text(); id != "" && !yield(name{id, r.Type(), r.i}) {
				return
			}
		}
	}
}

func (b *Bundle) values() iter.Seq[name] {
	return func(yield func(name) bool) {
		for _, r := range b.each() {
			ids := r.Get("identifier")
			for id := ids.At(0); id.Exists(); id = id.Next() {
				if value := id.Get("value").Text(); value != "" && !yield(name{value, id.Get("system").Text(), r.i}) {
					return
				}
				if ids.Kind() != KindArray {
					break // some resources have one only
				}
			}
		}
	}
}

func (b *Bundle) byIdentifier(typ, system, value string) Node {
	return b.only(alike(b.byValue, value), func(n name) bool {
		return (system == "" || n.more == system) && (typ == "" || Node{b.root.t, n.node}.Get("resourceType").Is(typ))
	})
}

func lastSegment(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

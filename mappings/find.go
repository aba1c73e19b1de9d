package mappings

import (
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// finder reads a Bundle into nodes and finds the instances of every frame by the map's links.
type finder struct {
	p         *program
	tree      *fhir.Tree
	arena     *arena
	root      *node
	entries   []entry
	byURL     map[string]*entry // made when it is first needed, of Bundles with many entries
	byNode    map[uint32]*entry
	relative  *fhir.Bundle // resolves references that aren't a fullUrl; made when it is first needed
	bundle    *instance
	memory    instances
	instances [][]*instance // by frame
	origin    *finder       // the request, where there is one
	missing   *way          // a way into the request that would have been needed
}

type entry struct {
	url, typ, id string
	node         *node
}

// read reads a Bundle. The fault says that it is no message.
func (f *finder) read(p *program, a *arena, tree *fhir.Tree, origin *finder) *contracts.Fault {
	f.p, f.tree, f.arena, f.origin, f.root = p, tree, a, origin, a.new("", nil)
	f.instances = append(f.instances, make([][]*instance, max(0, len(p.frames)-len(f.instances)))...)
	a.absorb(f.root, tree.Root())
	f.root.read("resourceType")
	f.root.read("type")
	for e := f.root.get("entry"); e != nil; e = e.follow() {
		res := e.get("resource")
		if res == nil {
			continue
		}
		f.entries = append(f.entries, entry{e.read("fullUrl"), res.read("resourceType"), res.read("id"), res})
	}
	if len(f.entries) == 0 || f.entries[0].typ != "MessageHeader" {
		return contracts.Faultf(contracts.Invalid, CodeNoRoot, "Bundle.entry[0].resource", "The Bundle's first entry must be its MessageHeader.")
	}
	f.bundle = f.memory.new()
	*f.bundle = instance{frame: p.bundle, index: 1, res: f.root, made: true, home: f}
	for i := range f.entries {
		f.inline(f.entries[i].node)
	}
	for _, fr := range p.plan {
		f.find(fr)
	}
	f.agree()
	return nil
}

// release forgets the Bundle.
func (f *finder) release() {
	clear(f.entries)
	for i := range f.instances {
		f.instances[i] = f.instances[i][:0]
	}
	f.memory.release()
	*f = finder{entries: f.entries[:0], memory: f.memory, instances: f.instances}
}

// inline makes attachments ready for lenses: data that a url leads to stands in the attachment, text in UTF-8.
func (f *finder) inline(n *node) {
	for k := n.first; k != nil; k = k.next {
		if k.kind == fhir.KindObject {
			f.inline(k)
		}
	}
	f.embed(n)
	plainUTF8(n)
}

// embed puts the data of the Binary that an attachment's url leads to into the attachment.
func (f *finder) embed(n *node) {
	url := n.get("url")
	if url == nil || n.get("contentType") == nil && n.get("data") != nil {
		return
	}
	for i := range f.entries {
		e := &f.entries[i]
		if e.typ != "Binary" || e.url != url.text && e.typ+"/"+e.id != url.text || e.node.peek("data") == "" {
			continue
		}
		for _, name := range []string{"contentType", "data"} {
			if from := e.node.get(name); from != nil && n.get(name) == nil {
				leaf := f.arena.new(name, n)
				leaf.kind, leaf.text, leaf.source = from.kind, from.text, from.source
				n.append(leaf)
			}
		}
		url.seen = true
		e.node.seeAll()
		e.node.resource = f.memory.new()
		*e.node.resource = instance{frame: f.p.bundle, res: e.node} // it is carried, as part of the attachment
	}
}

// find finds a frame's instances: by all ways that lead inside the Bundle, else by those that stand in for them, else
// in the request.
func (f *finder) find(fr *frame) {
	if fr.typ == "MessageHeader" {
		f.add(fr, f.entries[0].node, nil)
		return
	}
	for i := range fr.ways {
		if w := &fr.ways[i]; !w.or && !w.origin {
			f.follow(fr, w, f)
		}
	}
	for i := range fr.ways {
		if w := &fr.ways[i]; w.or && !w.origin && len(f.instances[fr.index]) == 0 {
			f.follow(fr, w, f)
		}
	}
	for i := range fr.ways {
		w := &fr.ways[i]
		if !w.origin || len(f.instances[fr.index]) > 0 {
			continue
		}
		if f.origin == nil {
			if f.missing == nil {
				f.missing = w
			}
			continue
		}
		f.follow(fr, w, f.origin)
	}
}

// follow adds what a way leads to. start is the Bundle that the way begins in: this one or the request's. It goes on in
// the Bundle where it has got to.
func (f *finder) follow(fr *frame, w *way, start *finder) {
	for _, from := range start.of(w.from) {
		in := from.home
		if w.backward {
			for i := range in.entries {
				e := &in.entries[i]
				taken := e.node.resource != nil && w.ref != fr.by
				if e.typ == fr.typ && !taken && in.pointsAt(e.node, w.ref, from.res) && f.isMarked(fr, e.node) {
					f.addFound(fr, e.node, from, w, in)
				}
			}
			continue
		}
		var buf [4]*node
		for _, n := range nodesAt(from.res, w.ref.steps, buf[:0], in) {
			if e := in.resolve(n); e != nil && e.typ == fr.typ {
				f.addFound(fr, e.node, from, w, in)
			} else if e == nil && w.stub && n.peek("reference") == "" {
				f.stub(fr, n)
			}
		}
	}
}

// isMarked says whether a resource has the frame's constants: they tell apart what points back alike. A frame without a
// rival of its type takes it whatever it says; what it says otherwise is told as a loss.
func (f *finder) isMarked(fr *frame, n *node) bool {
	if !fr.contested {
		return true
	}
	for _, k := range f.p.consts {
		if k.fhir == nil || k.fhir.frame != fr {
			continue
		}
		var buf [4]*node
		at := nodesAt(n, k.fhir.steps, buf[:0], f)
		if len(at) == 0 || at[0].text != k.value {
			return false
		}
	}
	return true
}

// addFound adds an instance unless it is there; a nested one belongs to the parent that its `by` names.
func (f *finder) addFound(fr *frame, n *node, from *instance, w *way, in *finder) {
	for _, known := range f.instances[fr.index] {
		if known.res == n {
			return
		}
	}
	if !fr.each && len(f.instances[fr.index]) > 0 {
		return
	}
	var parent *instance
	if fr.parent != nil {
		if w.from == fr.parent && w.ref == fr.by {
			parent = from
		} else if parent = f.parentByReference(fr, n); parent == nil && fr.orphans == nil && !fr.byChild {
			parent = f.emptyParent(fr.parent)
		}
	}
	f.add(fr, n, parent).home = in
}

func (f *finder) add(fr *frame, n *node, parent *instance) *instance {
	in := f.memory.new()
	*in = instance{frame: fr, index: len(f.instances[fr.index]) + 1, res: n, parent: parent, made: true, home: f}
	if n.resource == nil {
		n.resource = in
	}
	f.instances[fr.index] = append(f.instances[fr.index], in)
	return in
}

// parentByReference finds the parent of a child that was found by another way.
func (f *finder) parentByReference(fr *frame, n *node) *instance {
	for _, p := range f.of(fr.parent) {
		if fr.byChild && p.home.pointsAt(n, fr.by, p.res) || !fr.byChild && p.home.pointsAt(p.res, fr.by, n) {
			return p
		}
	}
	return nil
}

// emptyParent stands in for the parent of a child that is found without one.
func (f *finder) emptyParent(fr *frame) *instance {
	if !fr.each && len(f.instances[fr.index]) > 0 {
		return f.instances[fr.index][0]
	}
	return f.add(fr, f.arena.new("", nil), nil)
}

// stub makes an instance of a reference that has only an identifier or a display. The identifier becomes the
// instance's own; a display becomes its name where the type has one.
func (f *finder) stub(fr *frame, n *node) {
	id, display := n.get("identifier"), n.peek("display")
	if id == nil && display == "" || !fr.each && len(f.instances[fr.index]) > 0 {
		return
	}
	res := f.arena.new("", nil)
	res.source = n.source
	if elem := fr.defs.Element("identifier"); id != nil && elem != nil {
		copied := *id
		copied.many, copied.parent, copied.next = true, res, nil
		res.append(&copied)
		id.seeAll()
	}
	if elem := fr.defs.Element("name"); display != "" && elem != nil && elem.Types[0] == "string" {
		name := f.arena.new("name", res)
		name.kind, name.text, name.source = fhir.KindString, display, n.source
		res.append(name)
		n.read("display")
	}
	if res.first != nil {
		f.add(fr, res, nil)
	}
}

// of gives a frame's instances.
func (f *finder) of(fr *frame) []*instance {
	if fr == f.p.bundle {
		return f.memory.slab[:1] // the Bundle's is the first that is handed out
	}
	return f.instances[fr.index]
}

// pointsAt says whether a reference at the path leads to a resource.
func (f *finder) pointsAt(from *node, ref *fhirRef, to *node) bool {
	var buf [4]*node
	for _, n := range nodesAt(from, ref.steps, buf[:0], f) {
		if e := f.resolve(n); e != nil && e.node == to {
			return true
		}
	}
	return false
}

// resolve gives the entry, or contained resource, that a reference leads to; nil where it leads nowhere in the Bundle.
func (f *finder) resolve(n *node) *entry {
	url := n.peek("reference")
	if url == "" {
		return nil
	}
	if id, ok := strings.CutPrefix(url, "#"); ok {
		for c := n.holder().get("contained"); c != nil; c = c.follow() {
			if c.peek("id") == id {
				return &entry{typ: c.peek("resourceType"), node: c}
			}
		}
		return nil
	}
	if e := f.byFullURL(url); e != nil || strings.HasPrefix(url, "urn:") {
		return e
	}
	if f.relative == nil {
		f.relative = fhir.NewBundle(f.tree.Root())
	}
	return f.byResource(f.relative.Resolve(n.source).ID())
}

// fewEntries is up to where looking at each entry beats an index.
const fewEntries = 24

func (f *finder) byFullURL(url string) *entry {
	if len(f.entries) <= fewEntries {
		for i := range f.entries {
			if f.entries[i].url == url {
				return &f.entries[i]
			}
		}
		return nil
	}
	if f.byURL == nil {
		f.byURL = make(map[string]*entry, len(f.entries))
		for i := len(f.entries) - 1; i >= 0; i-- { // the first of equal ones
			f.byURL[f.entries[i].url] = &f.entries[i]
		}
	}
	return f.byURL[url]
}

// byResource gives the entry of a resource by its node's id; none for 0.
func (f *finder) byResource(id uint32) *entry {
	if id == 0 {
		return nil
	}
	if f.byNode == nil {
		f.byNode = make(map[uint32]*entry, len(f.entries))
		for i := range f.entries {
			f.byNode[f.entries[i].node.source.ID()] = &f.entries[i]
		}
	}
	return f.byNode[id]
}

// holder is the resource that n stands in: an entry's, also for what stands in a contained one.
func (n *node) holder() *node {
	for n.parent != nil && n.name != "resource" {
		n = n.parent
	}
	return n
}

// agree marks every reference that leads to what the map's links say, also where another link found the frame.
func (f *finder) agree() {
	for _, l := range f.p.links {
		if l.ref.origin {
			continue
		}
		for _, in := range f.of(l.frame) {
			var buf [4]*node
			for _, n := range nodesAt(in.res, l.ref.steps, buf[:0], f) {
				f.seeReference(l.ref, n, l.to)
			}
		}
	}
	for _, fr := range f.p.frames {
		for _, ref := range [...]*fhirRef{fr.by, fr.orphans} {
			if ref == nil {
				continue
			}
			for _, in := range f.of(ref.frame) {
				var buf [4]*node
				for _, n := range nodesAt(in.res, ref.steps, buf[:0], f) {
					f.seeReference(ref, n, []*frame{fr, fr.parent})
				}
			}
		}
	}
}

// seeReference counts a reference, and what its path selects by, as carried where it leads to an instance of one of the
// frames.
func (f *finder) seeReference(ref *fhirRef, n *node, to []*frame) {
	e := f.resolve(n)
	if e == nil || e.node.resource == nil {
		return
	}
	for _, fr := range to {
		for _, in := range f.of(fr) {
			if in.res == e.node {
				n.read("reference")
				n.read("type")
				n.read("display")
				seeSelectors(ref, n)
				return
			}
		}
	}
}

// nodesAt appends the elements that a path leads to, in order. It reads no values.
func nodesAt(n *node, steps []fhirPlace, list []*node, f *finder) []*node {
	if len(steps) == 0 {
		return append(list, n)
	}
	step := &steps[0]
	index := 0
	for k := n.get(step.name); k != nil; k = k.follow() {
		index++
		if step.takes(k, index, f) {
			list = nodesAt(k, steps[1:], list, f)
		}
	}
	return list
}

// takes says whether a step's pick takes a list's element, the index-th from 1. A step without any pick takes all, so
// that references in lists need no star; a rule takes the first of them.
func (s *fhirPlace) takes(k *node, index int, f *finder) bool {
	if s.sel != nil {
		if s.sel.isType != "" {
			if e := f.resolve(orNone(k.get(s.sel.isPath))); e == nil || e.typ != s.sel.isType {
				return false
			}
		} else if !matchesNode(k, s.sel) {
			return false
		}
	}
	switch s.pick.kind {
	case pickIndex:
		if s.sel != nil && s.sel.isType == "" {
			return ordinal(k, s.sel) == s.pick.index
		}
		return s.sel != nil || index == s.pick.index
	case pickRest:
		for _, c := range s.claims {
			if c.takes(k) {
				return false
			}
		}
		return !hasInt(s.claimed, index)
	}
	return true
}

// takes says whether the rule of the claim takes a list's element.
func (c claim) takes(k *node) bool {
	if c.sel.isType != "" || !matchesNode(k, c.sel) {
		return false
	}
	return c.index == 0 || ordinal(k, c.sel) == c.index
}

// ordinal counts a list's elements up to k, from 1, that the selector matches.
func ordinal(k *node, sel *fhirSelector) int {
	nth := 1
	for other := k.parent.get(k.name); other != nil && other != k; other = other.follow() {
		if matchesNode(other, sel) {
			nth++
		}
	}
	return nth
}

// orNone stands in for an element that isn't there, so that reads need no check.
func orNone(n *node) *node {
	if n == nil {
		return &node{}
	}
	return n
}

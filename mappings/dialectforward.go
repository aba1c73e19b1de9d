package mappings

import (
	"crypto/sha1" // what a version 5 UUID is made of; it protects nothing
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// FHIR says whether the map's dialect is FHIR: then ForwardFHIR takes its messages, and Reverse gives them in Result.Dialect.
func (m *Map) FHIR() bool { return m.doc.dialect.at.line > 0 }

// ForwardFHIR is Forward for a map whose dialect is FHIR. in isn't changed, but must not be written to meanwhile. Of c the
// time, the sender and Residue count.
func (m *Map) ForwardFHIR(in *fhir.Tree, c Context) (*Result, error) {
	return m.forwardFHIR(in, c, m.keeps(c))
}

// forwardFHIR is ForwardFHIR, which keeps what no rule carries or doesn't.
func (m *Map) forwardFHIR(in *fhir.Tree, c Context, keeps bool) (*Result, error) {
	if fault := m.takesFHIR(in); fault != nil {
		return nil, contracts.Faults{fault}
	}
	if fault := crowded(in.Root()); fault != nil {
		return nil, contracts.Faults{fault}
	}
	f := forwards.Get().(*forward)
	defer f.release()
	f.p, f.zone, f.untraced = m.fhir.program, m.zone(c), c.Untraced
	x := &carrier{p: m.fhir, to: ofCanonical, w: f, read: readDialect(m.fhir, f.arena, in), sites: make([][]*site, len(m.fhir.anchors))}
	f.bundle = f.memory.new()
	*f.bundle = instance{frame: f.p.bundle, index: 1, res: f.arena.new("", nil), made: true}
	f.instances = append(f.instances, make([][]*instance, max(0, len(f.p.frames)-len(f.instances)))...)
	x.find()
	x.tables()
	x.run(m.fhir.copies)
	x.run(m.fhir.rules)
	if len(x.refused) > 0 {
		return nil, x.refused
	}
	f.decide()
	x.identify(m, in, c)
	f.stamp(m, c)
	f.constants()
	x.overwritten()
	x.seeConstants()
	f.connect(x.link)
	x.settle(func(n *node) (string, bool) { return x.canonicalURL(n) })
	f.check()
	if len(f.faults) > 0 {
		return nil, f.faults
	}
	r, parks := x.canonical()
	if len(parks) > 0 {
		return nil, parks
	}
	if keeps {
		m.keepFHIR(in, r, c)
	}
	if faults := invalidFHIR(r.Bundle); len(faults) > 0 {
		return nil, faults
	}
	return r, nil
}

// takesFHIR checks that a message is one for this map.
func (m *Map) takesFHIR(in *fhir.Tree) *contracts.Fault {
	root := in.Root()
	if m.fhir == nil {
		return contracts.Faultf(contracts.Invalid, CodeStructure, root.Type(), "The map %s takes HL7 v2 messages.", m.Name())
	}
	if want := m.fhir.root.typ(); root.Type() != want {
		return contracts.Faultf(contracts.Invalid, CodeStructure, "resourceType", "The map %s takes a %s.", m.Name(), want)
	}
	if len(m.fhir.events) == 0 {
		return nil
	}
	header := fhir.NewBundle(root).Header()
	event := header.Get("eventCoding").Get("code").Text()
	if event == "" {
		event = header.Get("eventUri").Text()
	}
	if !has(m.fhir.events, event) {
		return contracts.Faultf(contracts.Invalid, CodeStructure, "Bundle.entry[0].resource.eventCoding", "The map %s takes the events %s.", m.Name(), strings.Join(m.fhir.events, ", "))
	}
	return nil
}

// crowded gives the fault of the first list with more than mostNumbered items.
func crowded(n fhir.Node) *contracts.Fault {
	if n.Kind() == fhir.KindArray && n.Len() > mostNumbered {
		return tooMany(n.Place())
	}
	for k := range n.Children() {
		if k.Kind() >= fhir.KindArray {
			if fault := crowded(k); fault != nil {
				return fault
			}
		}
	}
	return nil
}

// readDialect reads a message of the dialect into nodes.
func readDialect(p *fhirProgram, a *arena, tree *fhir.Tree) *finder {
	f := &finder{p: p.program, tree: tree, arena: a, root: a.new("", nil)}
	a.absorb(f.root, tree.Root())
	for e := f.root.get("entry"); e != nil; e = e.follow() {
		if res := e.get("resource"); res != nil {
			f.entries = append(f.entries, entry{e.peek("fullUrl"), res.peek("resourceType"), res.peek("id"), res})
		}
	}
	return f
}

// find finds the places of every anchor, and makes the instances that stand there.
func (x *carrier) find() {
	for _, a := range x.p.anchors {
		switch list := &x.sites[a.frame.index]; a.kind {
		case anchorRoot:
			*list = append(*list, &site{of: a, node: x.read.root})
		case anchorType:
			for _, n := range x.resources() {
				if n.peek("resourceType") == a.typ() && (a.sel == nil || matchesNode(n, a.sel)) {
					*list = append(*list, &site{of: a, node: n})
				}
			}
		default:
			for _, base := range x.sites[a.base.frame.index] {
				x.follow(a, base)
			}
		}
	}
	x.w.bundle.site = x.sites[0][0]
	for _, fr := range x.p.frames {
		a := x.p.of[fr.index]
		for _, s := range x.sites[a.frame.index] {
			if !fr.each && len(x.w.instances[fr.index]) > 0 {
				break
			}
			in := x.w.memory.new()
			*in = instance{frame: fr, index: len(x.w.instances[fr.index]) + 1, res: x.w.arena.new("", nil), site: s}
			in.res.resource = in
			if fr.parent != nil {
				in.parent = x.instanceFor(fr.parent, in)
			}
			x.w.instances[fr.index] = append(x.w.instances[fr.index], in)
		}
	}
}

// resources are those that stand by themselves: in entries, and where the dialect says so inside the root.
func (x *carrier) resources() []*node {
	var list []*node
	for i := range x.read.entries {
		list = append(list, x.read.entries[i].node)
	}
	if x.p.contained {
		for n := x.read.root.get("contained"); n != nil; n = n.follow() {
			list = append(list, n)
		}
	}
	return list
}

// follow adds what a path leads to from one place.
func (x *carrier) follow(a *anchor, base *site) {
	list := &x.sites[a.frame.index]
	for _, n := range x.few(nodesAt(base.node, a.path.steps, nil, x.read), len(*list)) {
		if a.kind == anchorReference {
			e := x.read.resolve(n)
			if e == nil || e.typ != a.typ() {
				continue
			}
			n.read("reference")
			n.read("type")
			n.read("display")
			seeSelectors(a.path, n)
			n = e.node
		}
		if !slices.ContainsFunc(*list, func(s *site) bool { return s.node == n }) {
			*list = append(*list, &site{of: a, base: base, node: n})
		}
	}
}

// identify gives the entries their fullUrls, and the message an id where no rule does.
func (x *carrier) identify(m *Map, in *fhir.Tree, c Context) {
	control := ""
	if id, fault := fhir.ControlID(in.Root()); fault == nil {
		control = id.Value
	} else {
		digest := in.Digest()
		control = hex.EncodeToString(digest[:16])
	}
	sender := c.Sender
	if sender == "" {
		sender = fhir.NewBundle(in.Root()).Header().Get("source").Get("endpoint").Text()
	}
	name := append([]byte(nil), namespace[:]...)
	for _, part := range [...]string{m.root, sender, control} {
		name = append(append(name, part...), 0)
	}
	for _, list := range x.w.instances[:len(x.p.frames)] {
		for _, in := range list {
			if in.made {
				in.url = urn(sha1.Sum(in.appendPath(slices.Clip(name))))
			}
		}
	}
	if n := x.w.child(x.w.child(x.w.bundle.res, "identifier"), "value"); !n.holds() {
		x.w.fix(n, fhir.KindString, control, received)
	}
}

// seeConstants counts the dialect's constants as read where the message says just that.
func (x *carrier) seeConstants() {
	for _, k := range x.p.consts {
		for _, s := range x.sites[k.fhir.frame.index] {
			for _, n := range nodesAt(s.node, k.fhir.steps, nil, x.read) {
				if n.text == k.value {
					n.seen = true
					seeSelectors(k.fhir, n)
				}
			}
		}
	}
}

// link writes references to the instances that stand nearest in the dialect: at the same place or on one another, else all.
func (x *carrier) link(l *link, from *instance, to *frame) {
	all := x.w.of(to)
	near := slices.ContainsFunc(all, func(in *instance) bool { return in.made && related(in.site, from.site) })
	x.w.linkThose(l, from, all, func(in *instance) bool { return !near || related(in.site, from.site) })
}

// settle writes the copied references. One that leads to nothing on the other side isn't written; it stays unread.
func (x *carrier) settle(url func(*node) (string, bool)) {
	for _, p := range x.pending {
		e := x.read.resolve(p.from.parent)
		if to, ok := url(e.node); ok {
			p.leaf.kind, p.leaf.text, p.from.seen = fhir.KindString, to, true
		}
	}
}

// canonicalURL is the fullUrl of the resource that one of the dialect has become.
func (x *carrier) canonicalURL(n *node) (string, bool) {
	for _, list := range x.w.instances[:len(x.p.frames)] {
		for _, in := range list {
			if in.made && in.site.of.isResource() && in.site.node == n && in.frame.typ == in.site.of.typ() {
				return in.url, true
			}
		}
	}
	return "", false
}

// canonical builds the Bundle. What changes the meaning of the rest and isn't in it is given back as faults.
func (x *carrier) canonical() (*Result, contracts.Faults) {
	f, tree := x.w, &fhir.Tree{}
	r := &Result{Bundle: tree, Findings: f.findings, read: [2]*fhir.Tree{x.read.tree}}
	trace := x.trace(r)
	root, typ := tree.Reset("Bundle"), f.p.bundle.defs
	f.bundle.res.emit(root, typ, trace)
	root.Set("type", fhir.String("message"))
	entries := root.Add("entry", fhir.Array())
	for _, fr := range f.p.frames {
		for _, in := range f.instances[fr.index] {
			if in.parent == nil {
				f.entry(in, entries, trace)
			}
		}
	}
	root.OrderMembers(typ)
	return r, x.coverage(r)
}

// exchange is the lineage of one leaf between two FHIR trees.
type exchange struct {
	rule     *op
	from, to fhir.Node // from is absent where a constant or a link was written
}

// trace notes who wrote each leaf.
func (x *carrier) trace(r *Result) func(*node, fhir.Node) {
	return func(n *node, at fhir.Node) {
		if !x.w.untraced {
			from := n.source
			if n.fixed {
				from = fhir.Node{}
			}
			r.exchanged = append(r.exchanged, exchange{n.rule, from, at})
		}
	}
}

// coverage counts what was read of the dialect, is the engine's own, or is ignored for a reason, and names the rest. What
// of that parks the message is given back.
func (x *carrier) coverage(r *Result) contracts.Faults {
	ignored := map[*node]bool{}
	for _, ref := range x.p.ignored {
		for _, s := range x.sites[ref.frame.index] {
			for _, n := range nodesAt(s.node, ref.steps, nil, x.read) {
				ignored[n] = true
			}
		}
	}
	count := counting{r: r, engine: x.derived(), ignored: ignored}
	count.lost, count.focus = x.lost(ignored), x.focus()
	count.walk(x.read.root, nil)
	r.Coverage = 1
	if r.Leaves.All > 0 {
		r.Coverage = float64(r.Leaves.Rules+r.Leaves.Engine+r.Leaves.Ignored) / float64(r.Leaves.All)
	}
	return count.parks
}

// lost are the resources that no frame stands for, and of which no rule reads anything.
func (x *carrier) lost(ignored map[*node]bool) map[*node]bool {
	lost, framed := map[*node]bool{}, map[*anchor]bool{}
	for _, n := range x.resources() {
		lost[n] = !ignored[n]
	}
	for _, fr := range x.p.frames {
		framed[x.p.of[fr.index]] = true
		for _, in := range x.w.instances[fr.index] {
			s := in.site
			for !s.of.isResource() {
				s = s.base
			}
			delete(lost, s.node)
		}
	}
	for _, a := range x.p.anchors {
		for _, s := range x.sites[a.frame.index] {
			if !framed[a] && s.node.anySeen() {
				delete(lost, s.node)
			}
		}
	}
	return lost
}

// focus are the resources that the message is about, as its header says.
func (x *carrier) focus() map[*node]bool {
	focus := map[*node]bool{}
	for i := range x.read.entries {
		if x.read.entries[i].typ != "MessageHeader" {
			continue
		}
		for n := x.read.entries[i].node.get("focus"); n != nil; n = n.follow() {
			if e := x.read.resolve(n); e != nil {
				focus[e.node] = true
			}
		}
	}
	return focus
}

// counting counts the leaves of a message.
type counting struct {
	r               *Result
	engine, ignored map[*node]bool // with all that is in them
	lost, focus     map[*node]bool
	whole           bool // what is counted stands in a lost resource, which has been told
	told            *node
	found           int
	parks           contracts.Faults
}

// walk counts below n; as is what n stands in, if that isn't read by rules.
func (c *counting) walk(n *node, as *int) {
	switch {
	case c.engine[n]:
		as = &c.r.Leaves.Engine
	case c.ignored[n]:
		as = &c.r.Leaves.Ignored
	case c.lost[n]:
		c.lose(n)
		c.whole = true
		defer func() { c.whole = false }()
	}
	if n.kind == fhir.KindObject {
		for k := n.first; k != nil; k = k.next {
			c.walk(k, as)
		}
		return
	}
	if n.kind == fhir.KindAbsent || n.kind == fhir.KindNull {
		return
	}
	c.r.Leaves.All++
	switch {
	case n.seen:
		c.r.Leaves.Rules++
	case as != nil:
		*as++
	default:
		c.unread(n)
	}
}

// lose tells of a resource of which nothing is carried: it parks the message that is about it.
func (c *counting) lose(n *node) {
	at, text := n.source.Place(), "No path of the map leads to this "+n.peek("resourceType")+"."
	if c.focus[n] {
		c.parks = append(c.parks, contracts.Faultf(contracts.Invalid, CodeResourceLost, at, "%s The message is about it.", text))
		return
	}
	c.r.Findings = append(c.r.Findings, warning(contracts.Loss, CodeResourceLost, at, text))
}

// unread names a leaf that nothing carries, and tells of its element once: a member of a resource, or an item of a list. What
// changes the meaning of the rest parks.
func (c *counting) unread(n *node) {
	c.r.Unread = append(c.r.Unread, n.source.Place())
	if c.whole {
		return
	}
	if n.modifies() {
		c.parks = append(c.parks, contracts.Faultf(contracts.Invalid, CodeLeafLost, n.source.Place(), "Nothing carries this into the canonical message, and it changes what the rest means."))
		return
	}
	for n.parent.parent != nil && n.parent.get("resourceType") == nil {
		n = n.parent
	}
	if n == c.told {
		return
	}
	c.told = n
	if c.found++; c.found <= mostUnread {
		c.r.Findings = append(c.r.Findings, uncarried(n.source.Place(), n.anySeen()))
	} else {
		c.r.Findings[len(c.r.Findings)-1].Public = unreadRest
	}
}

// derived is what is made where a message or resource is stored or sent, and says nothing of the matter.
func (x *carrier) derived() map[*node]bool {
	marked := map[*node]bool{}
	mark := func(n *node, names ...string) {
		for _, name := range names {
			for k := n.get(name); k != nil; k = k.follow() {
				marked[k] = true
			}
		}
	}
	mark(x.read.root, derived...)
	for _, n := range x.resources() {
		mark(n, derived...)
		if meta := n.get("meta"); meta != nil {
			mark(meta, derivedMeta...)
		}
	}
	for e := x.read.root.get("entry"); e != nil; e = e.follow() {
		mark(e, "fullUrl", "request", "response", "search")
	}
	return marked
}

// invalidFHIR parks what wouldn't be valid FHIR: such a message must not leave.
func invalidFHIR(tree *fhir.Tree) contracts.Faults {
	var parks contracts.Faults
	for _, v := range fhir.Validate(tree) {
		if v.Grade == contracts.GradeError {
			parks = append(parks, contracts.Faultf(contracts.Invalid, CodeInvalidResult, v.At, "This makes %s, which isn't valid FHIR (%s).", v.At, v.Code))
		}
	}
	return parks
}

package mappings

import (
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// derived are elements of any resource that are made where a resource is stored or shown, and say nothing of the matter.
var derived = []string{"resourceType", "id", "text", "language"}

var derivedMeta = []string{"versionId", "lastUpdated", "source", "profile"}

// loss reports every FHIR leaf that nothing carried. What changes the meaning of the rest parks the message: those
// faults are given back.
func (r *reverse) loss() contracts.Faults {
	for i := range r.f.entries {
		e := &r.f.entries[i]
		for _, name := range derived {
			if n := e.node.get(name); n != nil {
				n.seeAll()
			}
		}
		for _, name := range derivedMeta {
			for n := e.node.get("meta").get(name); n != nil; n = n.follow() {
				n.seeAll()
			}
		}
		for x := e.node.get("extension"); x != nil; x = x.follow() {
			if x.peek("url") == residueURL {
				x.seeAll()
			}
		}
		if e.node.resource == nil {
			r.leave(CodeResourceLost, e.node.source.Place(), "No path of the map leads to this "+e.typ+".")
			e.node.seeAll()
		}
	}
	for _, x := range r.p.ignored {
		if x.fhir == nil {
			continue
		}
		for _, in := range r.f.of(x.fhir.frame) {
			var buf [4]*node
			for _, n := range nodesAt(in.res, x.fhir.steps, buf[:0], r.f) {
				n.seeAll()
			}
		}
	}
	var parks contracts.Faults
	r.unseen(r.f.root, &parks)
	if r.withheld > 0 {
		r.findings = append(r.findings, notKept("Bundle", "What no rule of the map carries stays behind on purpose: "+itoa(r.withheld)+" elements and resources."))
	}
	return parks
}

// leave reports what nothing carries; a map that withholds counts it.
func (r *reverse) leave(code, at, text string) {
	if r.p.withholds {
		r.withheld++
		return
	}
	r.lose(code, at, "%s", text)
}

func (r *reverse) unseen(n *node, parks *contracts.Faults) {
	if n.kind == fhir.KindObject {
		for k := n.first; k != nil; k = k.next {
			r.unseen(k, parks)
		}
		return
	}
	if n.seen || n.kind == fhir.KindAbsent {
		return
	}
	switch {
	case n.modifies():
		*parks = append(*parks, contracts.Faultf(contracts.Invalid, CodeLeafLost, n.source.Place(), "Nothing carries this to v2, and it changes what the rest means."))
	case r.quiet:
	case n.name == "reference":
		r.leave(CodeUnresolved, n.source.Place(), "This reference leads to nothing that the map carries.")
	default:
		r.leave(CodeLeafLost, n.source.Place(), "Nothing carries this to v2.")
	}
}

// modifies says whether a leaf changes what the rest of its resource means.
func (n *node) modifies() bool {
	for k := n; k != nil; k = k.parent {
		if k.name == "modifierExtension" || k.name == "implicitRules" {
			return true
		}
	}
	return isStatus(n) && !isGloss(n) && !(n.name == "active" && n.text == "true") || n.alters()
}

// presentUses are the values of `use` that a name, number or address without it may have as well. R4 makes `use` a
// modifier so that nobody takes an old or temporary one for the one that counts.
var presentUses = []string{"usual", "official", "home", "work", "mobile", "secondary", "billing"}

// alters says whether a leaf is, or stands in, a modifier of a data type or part of which something else is carried: the
// comparator of a quantity, the `use` of a name that is no longer borne. Where nothing else is, nothing can be misread.
func (n *node) alters() bool {
	if n.name == "use" && has(presentUses, n.text) {
		return false
	}
	for k := n; k.parent != nil && k.parent.get("resourceType") == nil; k = k.parent {
		if e := k.parent.definition().Element(k.name); e != nil && e.Modifier && k.parent.anySeen() {
			return true
		}
	}
	return false
}

// definition is the type that R4 gives an element.
func (n *node) definition() *fhir.Type {
	if name := n.peek("resourceType"); name != "" || n.parent == nil {
		return fhir.Definitions().Type(name)
	}
	_, t := n.parent.definition().Member(n.name)
	return t
}

// coverage counts the leaves of the Bundle that were carried, and names the rest.
func (r *reverse) coverage(res *Result) {
	total, seen := 0, 0
	var walk func(n *node)
	walk = func(n *node) {
		if n.kind == fhir.KindObject {
			for k := n.first; k != nil; k = k.next {
				walk(k)
			}
			return
		}
		total++
		if n.seen {
			seen++
		} else {
			res.Unread = append(res.Unread, n.source.Place())
		}
	}
	walk(r.f.root)
	res.Coverage = 1
	if total > 0 {
		res.Coverage = float64(seen) / float64(total)
	}
}

// lineage collects who wrote each leaf, in the order in which the rules write the segments. where says which segment of
// the message each of them is, nil that they are all of them.
func (r *reverse) lineage(res *Result, where []int) {
	next, nth, numbers := 0, map[string]int32{}, make([]int32, res.Message.NumSegments())
	for i, s := range res.Message.Segments() {
		nth[segmentName(s)]++
		numbers[i] = nth[segmentName(s)]
	}
	res.lineage = make([]origin, 0, r.memory.leaves())
	res.read[0] = r.f.tree
	if r.f.origin != nil {
		res.read[1] = r.f.origin.tree
	}
	r.out.visit(func(_ *outGroup, s *outSegment) {
		i := next
		if next++; where != nil {
			i = where[i]
		}
		if i < 0 {
			return
		}
		for i := range s.leaves {
			l := &s.leaves[i]
			o := origin{rule: s.by[i].rule, segment: uint32(len(res.segments) + 1), field: l.field, rep: l.rep, comp: l.comp, sub: l.sub}
			if n := s.by[i].node; n != nil {
				o.node, o.request = n.source.ID(), n.source.Tree() != res.read[0]
			}
			res.lineage = append(res.lineage, o)
		}
		res.segments = append(res.segments, segmentLabel{s.id, numbers[i]})
	})
}

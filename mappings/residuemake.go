package mappings

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// residueMaker finds what the rules wouldn't bring back of one message.
type residueMaker struct {
	d       *dialect
	dict    *hl7v2.Dict
	read    []line // the message that was read
	written []line // what the rules write of its translation
	kin     map[repetition][]repetition
	carried map[repetition]bool // the written repetitions that have kin in the field of the same number
	toRead  []int               // of each written segment: the one of the message that it is, or -1
	of      []int               // and the other way round
	left    int                 // bytes that may still be kept
	residue residue
	lost    []place // what is beyond the bounds
}

// repetition is a repetition of a field, by the number of its segment in its message, from 0.
type repetition struct{ seg, field, rep int }

// keep adds the residue to the result, if there is one. What is too large for it is a finding.
func (m *Map) keep(f *forward, r *Result, msg *hl7v2.Message, c Context) {
	back, err := m.reverse(r.Bundle, Context{Zone: c.Zone, Version: msg.Version(), Origin: &Origin{Bundle: r.Bundle}}, nil)
	if err != nil {
		r.Findings = append(r.Findings, notKept("MSH", "The way back of this message parks, so nothing is kept of what the rules don't carry."))
		return
	}
	k := &residueMaker{d: f.d, dict: f.p.dict, read: f.p.without(linesOf(msg)), written: linesOf(back.Message), left: mostResidue}
	k.relate(r, back)
	k.pairSegments()
	k.residue = residue{Form: residueForm, Map: m.root, Version: msg.Version()}
	k.collect()
	for _, at := range k.lost {
		r.Findings = append(r.Findings, notKept(at.String(), "This is too large to be kept beside the canonical message; the way back doesn't bring it."))
	}
	r.Leaves.Residue = r.Leaves.All - r.Leaves.Rules - r.Leaves.Engine - r.Leaves.Ignored - k.lostLeaves(f)
	if k.residue.says(m.defaultVersion()) {
		k.residue.attach(r.Bundle)
	}
}

// lostLeaves counts the leaves that nobody read and that aren't kept.
func (k *residueMaker) lostLeaves(f *forward) int {
	lost := 0
	for i := range k.d.segments {
		s := &k.d.segments[i]
		for j := range s.leaves {
			if l := &s.leaves[j]; !l.read && (names(f.p.dropped, s, l) || transport(s.id, int(l.field)) && !f.engines(s, l) && !names(f.p.ignored, s, l)) {
				lost++
			}
		}
	}
	for _, at := range k.lost {
		for _, l := range at.seg.leaves {
			if !l.read && (at.field == 0 || l.field == at.field && l.rep == at.rep) {
				lost++
			}
		}
	}
	return lost
}

func notKept(at, text string) *contracts.Fault {
	f := contracts.Faultf(contracts.Loss, CodeDeclared, at, "%s", text)
	f.Grade = contracts.GradeNote
	return f
}

// says whether the residue tells anything that the way back wouldn't do without it.
func (k *residue) says(version string) bool {
	if k.Version != version || len(k.Kept) != len(k.Wrote) {
		return true
	}
	for i := range k.Kept {
		if s := &k.Kept[i]; s.Of != i+1 || len(s.Fields) > 0 {
			return true
		}
	}
	return false
}

// attach writes the residue into the Bundle's MessageHeader.
func (k *residue) attach(bundle *fhir.Tree) {
	text, err := json.Marshal(k)
	if err != nil {
		panic(err) // texts and numbers alone
	}
	header := bundle.Root().Get("entry").At(0).Get("resource")
	x := header.Array("extension").Push(fhir.Object())
	x.Add("url", fhir.String(residueURL))
	x.Add("valueString", fhir.String(string(text)))
	header.Order(fhir.Definitions().Type(header.Type()))
}

// relate joins the lineage of both ways: what was read of a repetition became an element, and that becomes a repetition
// of what is written.
func (k *residueMaker) relate(forth, back *Result) {
	number := map[segmentLabel]int{}
	nth := map[string]int32{}
	for i, l := range k.written {
		nth[l.id()]++
		number[segmentLabel{l.id(), nth[l.id()]}] = i
	}
	segments := make([]int, len(back.segments)) // of what is written, or -1
	for i, label := range back.segments {
		segments[i] = -1
		if at, ok := number[label]; ok {
			segments[i] = at
		}
	}
	elements := make([][]repetition, forth.Bundle.Slots()) // by node
	room := make([]repetition, len(back.lineage))
	for i := range back.lineage {
		o := &back.lineage[i]
		if o.segment == 0 || o.node == 0 || o.request || segments[o.segment-1] < 0 {
			continue
		}
		w := repetition{segments[o.segment-1], int(o.field), int(o.rep)}
		if list := elements[o.node]; list == nil {
			room[i] = w
			elements[o.node] = room[i : i+1 : i+1]
		} else if list[len(list)-1] != w {
			elements[o.node] = append(list, w)
		}
	}
	k.kin, k.carried = map[repetition][]repetition{}, map[repetition]bool{}
	for i := range forth.lineage {
		o := &forth.lineage[i]
		if o.segment == 0 {
			continue
		}
		from := repetition{int(o.segment) - 1, int(o.field), int(o.rep)}
		for n := forth.node(o); n.Exists(); n = n.Parent() {
			for _, to := range elements[n.ID()] {
				if !slices.Contains(k.kin[from], to) {
					k.kin[from] = append(k.kin[from], to)
					k.carried[to] = k.carried[to] || from.field == to.field
				}
			}
		}
	}
}

// pairSegments says which written segment is which of the message: the one that most of its elements come from, else
// the next of that name that is left.
func (k *residueMaker) pairSegments() {
	k.of, k.toRead = make([]int, len(k.read)), make([]int, len(k.written))
	for i := range k.toRead {
		k.toRead[i] = -1
	}
	votes := make([]map[int]int, len(k.read))
	for from, list := range k.kin {
		for _, to := range list {
			if k.read[from.seg].id() != k.written[to.seg].id() {
				continue
			}
			if votes[from.seg] == nil {
				votes[from.seg] = map[int]int{}
			}
			votes[from.seg][to.seg]++
		}
	}
	for i := range k.read {
		k.of[i] = -1
		best := -1
		for j, n := range votes[i] {
			if k.toRead[j] < 0 && (best < 0 || n > votes[i][best] || n == votes[i][best] && j < best) {
				best = j
			}
		}
		if best >= 0 {
			k.of[i], k.toRead[best] = best, i
		}
	}
	free := map[string][]int{}
	for j, l := range k.written {
		if k.toRead[j] < 0 {
			free[l.id()] = append(free[l.id()], j)
		}
	}
	for i, l := range k.read {
		if list := free[l.id()]; k.of[i] < 0 && len(list) > 0 {
			k.of[i], k.toRead[list[0]], free[l.id()] = list[0], i, list[1:]
		}
	}
}

// collect compares the two messages segment by segment.
func (k *residueMaker) collect() {
	for _, l := range k.written {
		k.residue.Wrote = append(k.residue.Wrote, l.mark(k.dict))
	}
	for i, l := range k.read {
		s := keptSegment{Of: k.of[i] + 1}
		if s.Of > 0 {
			other := k.written[k.of[i]]
			for n := 1; n < max(len(l), len(other)); n++ {
				if l.field(n) != other.field(n) && !transport(l.id(), n) {
					s.Fields = append(s.Fields, k.field(i, n, l.field(n), other.field(n)))
				}
			}
		} else if len(l) == 1 && len(k.d.segments[i].leaves) > 0 {
			continue // all of it is dropped
		} else if s.Raw = l.raw(); !k.fits(place{seg: &k.d.segments[i]}, s.Raw) {
			continue
		} else {
			s.With, s.If = k.opener(i), k.conditions(i, l)
		}
		k.residue.Kept = append(k.residue.Kept, s)
	}
}

// fits takes the room that a text needs, or notes that it is lost.
func (k *residueMaker) fits(at place, raw string) bool {
	if len(raw) > mostRaw || len(raw) > k.left {
		k.lost = append(k.lost, at)
		return false
	}
	k.left -= len(raw)
	return true
}

// opener is the written segment, from 1, that opens the innermost group in which a segment isn't the first.
func (k *residueMaker) opener(i int) int {
	s := &k.d.segments[i]
	for g := s.group; g != nil && g.parent != nil; g = g.parent {
		first := g.segments
		if len(first) > 0 && first[0] != s {
			for j := range i {
				if &k.d.segments[j] == first[0] {
					return k.of[j] + 1
				}
			}
			return 0
		}
	}
	return 0
}

// conditions are what the fields of a segment that the rules don't write depend on.
func (k *residueMaker) conditions(i int, l line) []keptIf {
	var list []keptIf
	for n := 1; n < len(l); n++ {
		var on []string
		for rep := range repetitions(l[n]) {
			on = append(on, k.dependence(k.source(repetition{i, n, rep + 1}))...)
		}
		if len(on) > 0 {
			slices.Sort(on)
			list = append(list, keptIf{n, slices.Compact(on)})
		}
	}
	return list
}

// source is the repetition whose lineage tells what became of this one. Where several of a field, or of a segment, become
// one element, only one of them has lineage; what was read and has none shares that of the nearest before it, else behind.
func (k *residueMaker) source(at repetition) repetition {
	if k.kin[at] != nil || !k.wasRead(at) {
		return at
	}
	for rep := at.rep - 1; rep > 0; rep-- {
		if other := (repetition{at.seg, at.field, rep}); k.kin[other] != nil {
			return other
		}
	}
	for i := at.seg - 1; i >= 0; i-- {
		if other := (repetition{i, at.field, 1}); k.read[i].id() == k.read[at.seg].id() && k.kin[other] != nil {
			return other
		}
	}
	for i := at.seg + 1; i < len(k.read); i++ {
		if other := (repetition{i, at.field, 1}); k.read[i].id() == k.read[at.seg].id() && k.kin[other] != nil {
			return other
		}
	}
	return at
}

// wasRead says whether a rule read anything of a repetition.
func (k *residueMaker) wasRead(at repetition) bool {
	for _, l := range k.d.segments[at.seg].leaves {
		if l.read && int(l.field) == at.field && int(l.rep) == at.rep {
			return true
		}
	}
	return false
}

// dependence are the written fields that the elements of a repetition are written to.
func (k *residueMaker) dependence(from repetition) []string {
	var on []string
	for _, to := range k.kin[from] {
		name := strconv.Itoa(to.seg+1) + "-" + strconv.Itoa(to.field)
		if k.residue.Digests == nil {
			k.residue.Digests = map[string]string{}
		}
		k.residue.Digests[name] = shortDigest(k.written[to.seg].field(to.field))
		on = append(on, name)
	}
	slices.Sort(on)
	return slices.Compact(on)
}

// field keeps a field that the rules write otherwise.
func (k *residueMaker) field(i, n int, read, wrote string) keptField {
	f := keptField{N: n}
	reads, writes := repetitions(read), repetitions(wrote)
	for _, w := range writes {
		f.Wrote = append(f.Wrote, shortDigest(w))
	}
	pairs := k.pairRepetitions(i, n, reads, writes)
	for rep, text := range reads {
		r := keptRep{Of: pairs[rep] + 1}
		switch {
		case r.Of == 0:
			r.Raw = text
		case text == "":
			r.Of = 0 // an empty one is no written one
		case text != writes[r.Of-1]:
			r.Raw, r.By = difference(text, writes[r.Of-1])
		}
		if r.Raw != "" {
			if !k.fits(place{seg: &k.d.segments[i], field: int16(n), rep: int16(rep + 1)}, r.Raw) {
				if r.Raw, r.By = "", nil; r.Of == 0 {
					continue
				}
			}
			if r.Of == 0 {
				r.If = k.dependence(k.source(repetition{i, n, rep + 1}))
			}
		}
		f.Reps = append(f.Reps, r)
	}
	return f
}

// pairRepetitions says which written repetition of a field is which of the message: those that carry the same element,
// then equal ones, then those that carry none, in order.
func (k *residueMaker) pairRepetitions(i, n int, reads, writes []string) []int {
	pairs, taken := make([]int, len(reads)), make([]bool, len(writes))
	pair := func(fits func(rep, w int) bool) {
		for rep := range reads {
			for w := 0; w < len(writes) && pairs[rep] < 0; w++ {
				if !taken[w] && fits(rep, w) {
					pairs[rep], taken[w] = w, true
				}
			}
		}
	}
	for rep := range pairs {
		pairs[rep] = -1
	}
	pair(func(rep, w int) bool {
		return slices.Contains(k.kin[repetition{i, n, rep + 1}], repetition{k.of[i], n, w + 1})
	})
	pair(func(rep, w int) bool { return reads[rep] == writes[w] })
	pair(func(rep, w int) bool {
		return !k.carried[repetition{k.of[i], n, w + 1}] && len(k.kin[repetition{i, n, rep + 1}]) == 0
	})
	return pairs
}

// difference is a repetition as it stood, without the long components that are written just so, and the digests of what
// is written.
func difference(text, wrote string) (string, []string) {
	parts, writes := strings.Split(text, "^"), strings.Split(wrote, "^")
	if len(writes) == 1 {
		if len(wrote) > 64 && parts[0] == wrote {
			parts[0] = asWritten
		}
		return strings.Join(parts, "^"), nil
	}
	by := make([]string, len(writes))
	for i, w := range writes {
		by[i] = shortDigest(w)
		if i < len(parts) && len(w) > 64 && parts[i] == w {
			parts[i] = asWritten
		}
	}
	return strings.Join(parts, "^"), by
}

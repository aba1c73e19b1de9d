package mappings

import (
	"cmp"
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// residueMaker finds what the rules wouldn't bring back of one message. Its memory serves many, one after another.
type residueMaker struct {
	d       *dialect
	dict    *hl7v2.Dict
	read    er7Lines // the message that was read
	written er7Lines // what the rules write of its translation
	leaves  []wrote  // of what is written
	kin     []kinship
	carried []repetition // the written repetitions that have kin in the field of the same number, sorted
	toRead  []int        // of each written segment: the one of the message that it is, or -1
	of      []int        // and the other way round
	left    int          // bytes that may still be kept
	residue residue
	lost    []place // what is beyond the bounds
	last    []int32 // see relate
	before  []int32
	votes   []int
}

var residueMakers = sync.Pool{New: func() any { return &residueMaker{} }}

// release forgets the message and gives the memory back.
func (k *residueMaker) release() {
	k.read.clear()
	k.written.clear()
	clear(k.residue.Wrote)
	clear(k.residue.Kept)
	*k = residueMaker{read: k.read, written: k.written, leaves: k.leaves[:0], kin: k.kin[:0], carried: k.carried[:0], toRead: k.toRead, of: k.of,
		residue: residue{Wrote: k.residue.Wrote[:0], Kept: k.residue.Kept[:0]}, last: k.last, before: k.before, votes: k.votes}
	residueMakers.Put(k)
}

// resized gives a slice of that length, all zero, in the memory of the old one where it is large enough.
func resized[T any](old []T, n int) []T {
	list := slices.Grow(old[:0], n)[:n]
	clear(list)
	return list
}

// kinship is of a repetition that was read and one that is written of what became of it.
type kinship struct{ from, to repetition }

// repetition is a repetition of a field, by the number of its segment in its message, from 0. They sort by their numbers.
type repetition uint64

// repetitionAt numbers fields and repetitions up to a million, the last of which stands for all that lie beyond: nothing has
// kin there.
func repetitionAt(seg, field, rep int) repetition {
	const most = 1<<20 - 1
	return repetition(seg)<<40 | repetition(min(field, most))<<20 | repetition(min(rep, most))
}

func (r repetition) seg() int   { return int(r >> 40) }
func (r repetition) field() int { return int(r >> 20 & (1<<20 - 1)) }

// wrote is a leaf that the way back writes: where, and the element that it is of.
type wrote struct {
	at   repetition
	node uint32 // ID in the Bundle
}

// keep adds the residue to the result, if there is one. What is too large for it is a finding.
func (m *Map) keep(f *forward, r *Result, msg *hl7v2.Message, c Context, way wayBack) {
	k := residueMakers.Get().(*residueMaker)
	defer k.release()
	if err := way(k, m, r.Bundle, Context{Zone: c.Zone, Version: msg.Version(), Origin: &Origin{Bundle: r.Bundle}}); err != nil {
		r.Findings = append(r.Findings, notKept("MSH", "The way back of this message parks, so nothing is kept of what the rules don't carry."))
		return
	}
	k.d, k.dict, k.left = f.d, f.p.dict, mostResidue
	k.read.of(msg)
	k.read.list = f.p.without(k.read.list)
	k.relate(r)
	k.pairSegments()
	k.residue.Form, k.residue.Map, k.residue.Version = residueForm, m.root, msg.Version()
	k.collect()
	for _, at := range k.lost {
		r.Findings = append(r.Findings, notKept(at.String(), "This is too large to be kept beside the canonical message; the way back doesn't bring it."))
	}
	r.Leaves.Residue = r.Leaves.All - r.Leaves.Rules - r.Leaves.Engine - r.Leaves.Ignored - k.lostLeaves(f)
	if k.residue.says(m.defaultVersion()) {
		k.residue.attach(r.Bundle)
	}
}

// wayBack tells what the rules alone write of a Bundle: the segments, and their leaves that come of an element.
type wayBack func(k *residueMaker, m *Map, bundle *fhir.Tree, c Context) error

// plainly goes the way back without a residue, for what it writes alone: no message is made of it, and no finding told.
func plainly(k *residueMaker, m *Map, bundle *fhir.Tree, c Context) error {
	r := reverses.Get().(*reverse)
	defer r.release()
	r.quiet = true
	if faults := r.carry(m, bundle, c); len(faults) > 0 {
		return faults
	}
	if err := r.lines(&k.written); err != nil {
		return err
	}
	seg := 0
	r.out.visit(func(_ *outGroup, s *outSegment) {
		for i := range s.leaves {
			if n := s.by[i].node; n != nil && n.source.Tree() == bundle {
				k.leaves = append(k.leaves, wrote{repetitionAt(seg, int(s.leaves[i].field), int(s.leaves[i].rep)), n.source.ID()})
			}
		}
		seg++
	})
	return nil
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
	x.Add("valueString", fhir.Bytes(text))
	header.OrderMembers(fhir.Definitions().Type(header.Type()))
}

// relate joins the lineage of both ways: what was read of a repetition became an element, and that becomes a repetition
// of what is written.
func (k *residueMaker) relate(forth *Result) {
	// The leaves of each node are a chain: its last one in last, the one before each in before, by number from 1.
	last, before := resized(k.last, forth.Bundle.Slots()), resized(k.before, len(k.leaves))
	k.last, k.before = last, before
	for i, w := range k.leaves {
		if at := last[w.node]; w.node > 0 && (at == 0 || k.leaves[at-1].at != w.at) {
			last[w.node], before[i] = int32(i+1), at
		}
	}
	for i := range forth.lineage {
		o := &forth.lineage[i]
		if o.segment == 0 {
			continue
		}
		from := repetitionAt(int(o.segment)-1, int(o.field), int(o.rep))
		for n := forth.node(o); n.Exists(); n = n.Parent() {
			for at := last[n.ID()]; at > 0; at = before[at-1] {
				pair := kinship{from, k.leaves[at-1].at}
				if n := len(k.kin); n == 0 || k.kin[n-1] != pair {
					k.kin = append(k.kin, pair)
				}
			}
		}
	}
	slices.SortFunc(k.kin, func(a, b kinship) int {
		if a.from != b.from {
			return cmp.Compare(a.from, b.from)
		}
		return cmp.Compare(a.to, b.to)
	})
	k.kin = slices.Compact(k.kin)
	for _, pair := range k.kin {
		if pair.from.field() == pair.to.field() {
			k.carried = append(k.carried, pair.to)
		}
	}
	slices.Sort(k.carried)
}

// kinOf gives the kin of a repetition.
func (k *residueMaker) kinOf(from repetition) []kinship {
	first := sort.Search(len(k.kin), func(i int) bool { return k.kin[i].from >= from })
	end := first
	for end < len(k.kin) && k.kin[end].from == from {
		end++
	}
	return k.kin[first:end]
}

func (k *residueMaker) areKin(from, to repetition) bool {
	return slices.Contains(k.kinOf(from), kinship{from, to})
}

// pairSegments says which written segment is which of the message: the one that most of its elements come from, else
// the next of that name that is left.
func (k *residueMaker) pairSegments() {
	k.of, k.toRead, k.votes = resized(k.of, len(k.read.list)), resized(k.toRead, len(k.written.list)), resized(k.votes, len(k.written.list))
	for i := range k.toRead {
		k.toRead[i] = -1
	}
	rest, votes := k.kin, k.votes
	for i := range k.read.list {
		best := -1
		end := 0
		for end < len(rest) && rest[end].from.seg() == i {
			if j := rest[end].to.seg(); k.written.list[j].id() == k.read.list[i].id() {
				votes[j]++
			}
			end++
		}
		for _, pair := range rest[:end] {
			j := pair.to.seg()
			if n := votes[j]; n > 0 && k.toRead[j] < 0 && (best < 0 || n > votes[best] || n == votes[best] && j < best) {
				best = j
			}
		}
		for _, pair := range rest[:end] {
			votes[pair.to.seg()] = 0
		}
		rest = rest[end:]
		if k.of[i] = best; best >= 0 {
			k.toRead[best] = i
		}
	}
	free := map[string][]int{}
	for j, l := range k.written.list {
		if k.toRead[j] < 0 {
			free[l.id()] = append(free[l.id()], j)
		}
	}
	for i, l := range k.read.list {
		if list := free[l.id()]; k.of[i] < 0 && len(list) > 0 {
			k.of[i], k.toRead[list[0]], free[l.id()] = list[0], i, list[1:]
		}
	}
}

// collect compares the two messages segment by segment.
func (k *residueMaker) collect() {
	for _, l := range k.written.list {
		k.residue.Wrote = append(k.residue.Wrote, l.mark(k.dict))
	}
	for i, l := range k.read.list {
		s := keptSegment{Of: k.of[i] + 1}
		if s.Of > 0 {
			other := k.written.list[k.of[i]]
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
			on = append(on, k.dependence(k.source(i, n, rep+1))...)
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
func (k *residueMaker) source(i, field, rep int) repetition {
	at := repetitionAt(i, field, rep)
	if len(k.kinOf(at)) > 0 || !k.wasRead(i, field, rep) {
		return at
	}
	for rep--; rep > 0; rep-- {
		if other := repetitionAt(i, field, rep); len(k.kinOf(other)) > 0 {
			return other
		}
	}
	for j := i - 1; j >= 0; j-- {
		if other := repetitionAt(j, field, 1); k.read.list[j].id() == k.read.list[i].id() && len(k.kinOf(other)) > 0 {
			return other
		}
	}
	for j := i + 1; j < len(k.read.list); j++ {
		if other := repetitionAt(j, field, 1); k.read.list[j].id() == k.read.list[i].id() && len(k.kinOf(other)) > 0 {
			return other
		}
	}
	return at
}

// wasRead says whether a rule read anything of a repetition.
func (k *residueMaker) wasRead(i, field, rep int) bool {
	for _, l := range k.d.segments[i].leaves {
		if l.read && int(l.field) == field && int(l.rep) == rep {
			return true
		}
	}
	return false
}

// dependence are the written fields that the elements of a repetition are written to.
func (k *residueMaker) dependence(from repetition) []string {
	var on []string
	for _, pair := range k.kinOf(from) {
		seg, field := pair.to.seg(), pair.to.field()
		name := strconv.Itoa(seg+1) + "-" + strconv.Itoa(field)
		if k.residue.Digests == nil {
			k.residue.Digests = map[string]string{}
		}
		k.residue.Digests[name] = shortDigest(k.written.list[seg].field(field))
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
				r.If = k.dependence(k.source(i, n, rep+1))
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
		return k.areKin(repetitionAt(i, n, rep+1), repetitionAt(k.of[i], n, w+1))
	})
	pair(func(rep, w int) bool { return reads[rep] == writes[w] })
	pair(func(rep, w int) bool {
		_, carried := slices.BinarySearch(k.carried, repetitionAt(k.of[i], n, w+1))
		return !carried && len(k.kinOf(repetitionAt(i, n, rep+1))) == 0
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

package pairs

import (
	"cmp"
	"slices"
	"strings"
)

// The kinds of a difference.
const (
	Theirs = "theirs" // only they have it
	Ours   = "ours"   // only we have it
	Value  = "value"  // both have it, with another value
)

// Difference is a leaf, or a resource as a whole, that isn't alike: Patient.name.use, Location.
type Difference struct{ Kind, Place string }

// compare gives the number of equal leaves and all that differs, by place.
func compare(ours, theirs []*resource) (equal int, differences []Difference) {
	align(ours, theirs)
	for _, r := range theirs {
		if r.twin == nil {
			differences = append(differences, Difference{Theirs, r.typ})
		}
	}
	for _, r := range ours {
		if r.twin == nil {
			differences = append(differences, Difference{Ours, r.typ})
			continue
		}
		same, different := r.against(r.twin)
		equal += same
		differences = append(differences, different...)
	}
	slices.SortFunc(differences, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Place, b.Place), strings.Compare(a.Kind, b.Kind))
	})
	return equal, differences
}

// align pairs the resources of a type: one with one as they are, of several those first that share the most.
func align(ours, theirs []*resource) {
	count := map[*[]*resource]map[string]int{&ours: {}, &theirs: {}}
	for side, n := range count {
		for _, r := range *side {
			n[r.typ]++
		}
	}
	type match struct {
		a, b  *resource
		score int
	}
	var matches []match
	for _, a := range ours {
		for _, b := range theirs {
			if a.typ != b.typ {
				continue
			}
			single := count[&ours][a.typ] == 1 && count[&theirs][a.typ] == 1
			if s := a.shared(b); s > 0 || single {
				matches = append(matches, match{a, b, s})
			}
		}
	}
	slices.SortStableFunc(matches, func(x, y match) int { return y.score - x.score })
	for _, m := range matches {
		if m.a.twin == nil && m.b.twin == nil {
			m.a.twin, m.b.twin = m.b, m.a
		}
	}
}

// shared counts the texts of a that b has too, wherever: those that say something of this one resource, so no URIs, and
// no codes, which many share.
func (r *resource) shared(b *resource) int {
	have := map[string]bool{}
	for _, l := range b.leaves {
		have[l.text] = true
	}
	n := 0
	for _, l := range r.leaves {
		name := l.place[strings.LastIndexByte(l.place, '.')+1:]
		if have[l.text] && slices.Contains([]string{"value", "family", "given", "name", "text", "display", "start", "line", "code", "valueString", "data"}, name) &&
			!strings.HasPrefix(l.place, r.typ+".identifier.type") {
			n++
		}
	}
	return n
}

// against compares two resources as bags of leaves: at each place equal ones go first, then one is another value of one
// that is left, and the rest stands alone.
func (r *resource) against(b *resource) (equal int, differences []Difference) {
	theirs := map[string][]leaf{}
	for _, l := range b.leaves {
		theirs[l.place] = append(theirs[l.place], l)
	}
	var left []leaf
	for _, l := range r.leaves {
		at := slices.IndexFunc(theirs[l.place], func(t leaf) bool { return t.says(l) })
		if at < 0 {
			left = append(left, l)
			continue
		}
		equal++
		theirs[l.place] = slices.Delete(theirs[l.place], at, at+1)
	}
	for _, l := range left {
		kind := Ours
		if n := len(theirs[l.place]); n > 0 {
			kind = Value
			theirs[l.place] = theirs[l.place][:n-1]
		}
		differences = append(differences, Difference{kind, l.place})
	}
	for place, rest := range theirs {
		for range rest {
			differences = append(differences, Difference{Theirs, place})
		}
	}
	return equal, differences
}

// says tells whether two leaves say the same: two references do if they lead to twins.
func (l leaf) says(o leaf) bool {
	if l.to != nil && o.to != nil {
		return l.to.twin == o.to
	}
	return l.text == o.text
}

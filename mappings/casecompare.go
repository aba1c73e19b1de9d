package mappings

import (
	"bytes"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// unlike is where a result isn't what is expected of it.
type unlike struct {
	at            string    // the place in the result, of what differs there or is missing
	want, got     fhir.Node // what is expected there, and what is there; one of them may not exist
	item, nearest fhir.Node // the expected item of a list that fits nowhere, and the item of the result that comes nearest
	early         bool      // the item is there, but before those that are expected before it
}

// differs gives the first place at which got isn't what want says, or nil. Partly: further members are fine, and a
// list holds the wanted items in this order, others between them.
func differs(want, got fhir.Node, exact bool) *unlike {
	return differsAt(want, got, got.Place(), exact)
}

func differsAt(want, got fhir.Node, at string, exact bool) *unlike {
	switch {
	case want.Kind() != got.Kind() || want.Exists() != got.Exists():
		return &unlike{at: at, want: want, got: got}
	case want.Kind() == fhir.KindArray && exact:
		return differsItem(want, got)
	case want.Kind() == fhir.KindArray:
		return fitsNowhere(want, got)
	case want.Kind() != fhir.KindObject:
		if !sameText(want, got) {
			return &unlike{at: at, want: want, got: got}
		}
		return nil
	}
	for w := range want.Children() {
		// The step as its place has it: a name that is no element's may hold anything.
		step := strings.TrimPrefix(w.Place(), want.Place())
		if u := differsAt(w, got.Get(w.Name()), at+step, exact); u != nil {
			return u
		}
	}
	if exact {
		for g := range got.Children() {
			if !want.Get(g.Name()).Exists() {
				return &unlike{at: g.Place(), got: g}
			}
		}
	}
	return nil
}

func sameText(want, got fhir.Node) bool {
	return want.Text() == got.Text() || strings.HasSuffix(want.Text(), "urn:uuid:*") && strings.HasPrefix(got.Text(), "urn:uuid:")
}

// differsItem compares two lists item by item.
func differsItem(want, got fhir.Node) *unlike {
	for i := range max(want.Len(), got.Len()) {
		if u := differsAt(want.At(i), got.At(i), got.Place()+"["+itoa(i)+"]", true); u != nil {
			return u
		}
	}
	return nil
}

// fitsNowhere gives the first item that a list lacks behind those before it.
func fitsNowhere(want, got fhir.Node) *unlike {
	g := got.First()
	for w := range want.Each() {
		found := false
		for ; g.Exists() && !found; g = g.Next() {
			found = differs(w, g, false) == nil
		}
		if !found {
			return nearestItem(w, got)
		}
	}
	return nil
}

// nearestItem finds the item of a list that has most of what the wanted one has.
func nearestItem(want, list fhir.Node) *unlike {
	best, most := &unlike{at: list.Place(), want: want}, 0
	for g := range list.Each() {
		u := differs(want, g, false)
		if u == nil {
			return &unlike{at: g.Place(), want: want, got: g, item: want, nearest: g, early: true}
		}
		if n := agreeing(want, g); n > most {
			best, most = u, n
			best.nearest = g
		}
	}
	best.item = want
	return best
}

// agreeing counts the leaves of want that got has too.
func agreeing(want, got fhir.Node) int {
	n := 0
	switch {
	case want.Kind() != got.Kind():
	case want.Kind() == fhir.KindObject:
		for w := range want.Children() {
			n += agreeing(w, got.Get(w.Name()))
		}
	case want.Kind() == fhir.KindArray:
		for w := range want.Each() {
			most := 0
			for g := range got.Each() {
				most = max(most, agreeing(w, g))
			}
			n += most
		}
	case sameText(want, got):
		n = 1
	}
	return n
}

// says tells what differs from a part of a case, without values.
func (u *unlike) says(part string) string {
	switch {
	case u.item.Exists() && !u.nearest.Exists():
		return part + ": " + inPart(u.item) + " has no equal, and nothing in " + u.at + " comes near."
	case u.early && u.item == u.want:
		return part + ": " + inPart(u.item) + " is " + u.at + ", which stands before what is listed before it."
	case u.item.Exists():
		item, near := u.item, u.nearest
		for item.Len() == 1 && item.First().Kind() == fhir.KindObject && near.Get(item.First().Name()).Exists() { // an entry with nothing but its resource
			item, near = item.First(), near.Get(item.First().Name())
		}
		at := strings.TrimPrefix(strings.TrimPrefix(u.at, near.Place()), ".")
		return part + ": " + inPart(item) + " has no equal; the nearest, " + near.Place() + ", differs at " + at + "."
	case !u.want.Exists():
		return "The result has " + u.at + ", which isn't in " + part + "."
	case !u.got.Exists():
		return "The result has no " + u.at + ", which is in " + part + "."
	}
	return "The result differs from " + part + " at " + u.at + "."
}

// inPart is the place of an item in its part, which needn't say of what type it is.
func inPart(n fhir.Node) string {
	_, place, _ := strings.Cut(n.Place(), ".")
	return place
}

// values tells what is expected and what is there.
func (u *unlike) values() string {
	return u.at + ": want " + valueOf(u.want) + ", got " + valueOf(u.got)
}

func valueOf(n fhir.Node) string {
	if !n.Exists() {
		return "nothing"
	}
	return string(n.Append(nil))
}

// firstDifference names the first element in which two resources in JSON differ; "" where they don't.
func firstDifference(a, b []byte) string {
	if bytes.Equal(a, b) {
		return ""
	}
	x, errX := fhir.Parse(a)
	y, errY := fhir.Parse(b)
	if errX == nil && errY == nil {
		if u := differs(x.Root(), y.Root(), true); u != nil {
			return u.at
		}
	}
	return "the order of members"
}

// unlikeSegment names the part in which a message differs from what is expected of it, and both texts of that part. The
// lists are of segments, with the index of the first that differs.
func unlikeSegment(want, got []string, i int, d hl7v2.Delimiters) (place, wanted, found string) {
	if i >= len(got) || i >= len(want) || idOfSegment(want[i], d) != idOfSegment(got[i], d) {
		if i < len(want) {
			place, wanted = segmentPlace(want, i, d), want[i]
		}
		if i < len(got) {
			place, found = segmentPlace(got, i, d), got[i]
		}
		return place, wanted, found
	}
	place, wanted, found = segmentPlace(want, i, d), want[i], got[i]
	n, w, g := unlikePiece(wanted, found, d.Field)
	if idOfSegment(wanted, d) == "MSH" {
		n++ // MSH-1 is the separator itself
		if n == 2 {
			return place + "-2", w, g
		}
	}
	place += "-" + itoa(n)
	if strings.IndexByte(w+g, d.Repetition) >= 0 {
		n, w, g = unlikePiece(w, g, d.Repetition)
		place += "(" + itoa(n+1) + ")"
	}
	for _, separator := range []byte{d.Component, d.Subcomponent} {
		if strings.IndexByte(w+g, separator) < 0 {
			break
		}
		n, w, g = unlikePiece(w, g, separator)
		place += "." + itoa(n+1)
	}
	return place, w, g
}

// unlikePiece gives the number, from 0, of the first piece that differs, and both pieces.
func unlikePiece(want, got string, separator byte) (n int, w, g string) {
	ws, gs := strings.Split(want, string(separator)), strings.Split(got, string(separator))
	for i := range max(len(ws), len(gs)) {
		w, g = "", ""
		if i < len(ws) {
			w = ws[i]
		}
		if i < len(gs) {
			g = gs[i]
		}
		if w != g || i >= len(ws) || i >= len(gs) {
			return i, w, g
		}
	}
	return 0, want, got
}

func idOfSegment(segment string, d hl7v2.Delimiters) string {
	name, _, _ := strings.Cut(segment, string(d.Field))
	return name
}

// segmentPlace is a segment with its number among those of its name.
func segmentPlace(segments []string, i int, d hl7v2.Delimiters) string {
	name, n := idOfSegment(segments[i], d), 0
	for _, s := range segments[:i+1] {
		if idOfSegment(s, d) == name {
			n++
		}
	}
	return name + "(" + itoa(n) + ")"
}

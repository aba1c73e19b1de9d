package hub

import (
	"cmp"
	"strconv"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// mostDifferences is how many places a comparison names.
const mostDifferences = 200

// differences names the places where two messages of a partner differ: leaf paths of HL7 v2, FHIRPaths. Never values.
// What can't be parsed differs as a whole.
func (h *Hub) differences(format string, p *partner, was, is contracts.Body) []string {
	var d differences
	if format == contracts.FormatFHIR {
		a, errA := fhir.Parse(was.Bytes())
		b, errB := fhir.Parse(is.Bytes())
		if errA != nil || errB != nil {
			return []string{"Bundle"}
		}
		d.nodes(a.Root(), b.Root())
		return d.places
	}
	var reading []hl7v2.Option
	if p != nil {
		reading = p.reading
	}
	a, errA := hl7v2.Parse(was.Bytes(), reading...)
	b, errB := hl7v2.Parse(is.Bytes(), reading...)
	if errA != nil || errB != nil {
		return []string{"MSH"}
	}
	d.messages(a, b)
	return d.places
}

type differences struct{ places []string }

func (d *differences) add(place string) {
	if len(d.places) < mostDifferences {
		d.places = append(d.places, place)
	}
}

// nodes compares two values of one place; at least one of them is there.
func (d *differences) nodes(a, b fhir.Node) {
	switch {
	case b.Name() == "source" && b.Parent().Name() == "meta" && a.Exists(): // which map made it is no content
	case a.Kind() != b.Kind():
		d.add(cmp.Or(b.Place(), a.Place()))
	case a.Kind() == fhir.KindObject:
		for child := range a.Children() {
			d.nodes(child, b.Get(child.Name()))
		}
		for child := range b.Children() {
			if !a.Get(child.Name()).Exists() {
				d.add(child.Place())
			}
		}
	case a.Kind() == fhir.KindArray:
		for i := range max(a.Len(), b.Len()) {
			d.nodes(a.At(i), b.At(i))
		}
	case a.Literal() != b.Literal():
		d.add(b.Place())
	}
}

// messages compares segments of one name by their order.
func (d *differences) messages(a, b *hl7v2.Message) {
	left, names := numbered(a)
	right, more := numbered(b)
	for _, name := range more {
		if _, there := left[name]; !there {
			names = append(names, name)
		}
	}
	for _, name := range names {
		x, inA := left[name]
		y, inB := right[name]
		if !inA || !inB {
			d.add(name)
			continue
		}
		for n := 1; n <= max(x.NumFields(), y.NumFields()); n++ {
			d.values(name+"-"+strconv.Itoa(n), x.Field(n), y.Field(n))
		}
	}
}

// numbered gives a message's segments by name: PID, OBX, OBX(2); and the names in order.
func numbered(m *hl7v2.Message) (map[string]hl7v2.Segment, []string) {
	segments, seen := map[string]hl7v2.Segment{}, map[string]int{}
	var names []string
	for _, s := range m.Segments() {
		name := s.ID()
		if seen[name]++; seen[name] > 1 {
			name += "(" + strconv.Itoa(seen[name]) + ")"
		}
		segments[name] = s
		names = append(names, name)
	}
	return segments, names
}

func (d *differences) values(at string, a, b hl7v2.Value) {
	if string(a.Raw()) == string(b.Raw()) {
		return
	}
	level := max(a.Level(), b.Level()) // an absent value has none
	if level >= hl7v2.ComponentLevel && a.IsLeaf() && b.IsLeaf() {
		d.add(at)
		return
	}
	for i := 1; i <= max(a.Len(), b.Len()); i++ {
		part := at + "." + strconv.Itoa(i)
		if level == hl7v2.FieldLevel {
			part = at + "(" + strconv.Itoa(i) + ")"
		}
		d.values(part, a.At(i), b.At(i))
	}
}

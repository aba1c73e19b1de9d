package hl7v2

import (
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// Path is a compiled place in a message. Its parts may be read, and a Path may be put together from parts: zero means
// "not given" everywhere, and what isn't given is the first.
type Path struct {
	Segment   string   // three characters: PID
	Index     int      // OBX(3): 3
	SegmentBy Selector // PRD[1.1=RT]
	Field     int      // 1-based; 0 is the whole segment, which CompilePath doesn't give but faults name
	Rep       int      // PID-3(2): 2
	RepBy     Selector // PID-3[5=NNFIN]; its Field is 0
	Component int      // 0: the whole repetition
	Sub       int      // 0: the whole component
}

// Selector is an equality in brackets. It compares decoded text, exactly, with the first subcomponent if none is named.
type Selector struct {
	Field     int // in a selector on segments; else 0
	Component int // 0 means 1
	Sub       int // 0 means 1
	Value     string
	Set       bool // false: there is no selector
}

// CompilePath reads a path such as PID-3[5=NNFIN].1. The fault is invalid HL7-020.
func CompilePath(text string) (Path, error) {
	r := pathReader{rest: text}
	p := r.path()
	if r.bad || r.rest != "" {
		return Path{}, contracts.Faultf(contracts.Invalid, CodePath, "",
			"This isn't a path at character %d; one looks like PID-5, PID-3(2).4.2, OBX(3)-5 or PID-3[5=NNFIN].1.",
			len(text)-len(r.rest)+1)
	}
	return p, nil
}

// MustPath is CompilePath for paths written in code; it panics on a bad one.
func MustPath(text string) Path {
	p, err := CompilePath(text)
	if err != nil {
		panic("hl7v2: bad path " + text)
	}
	return p
}

// String gives the path in the form that CompilePath reads.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString(p.Segment)
	if p.SegmentBy.Set {
		b.WriteString("[" + strconv.Itoa(p.SegmentBy.Field))
		p.SegmentBy.write(&b, ".")
	} else if p.Index > 0 {
		b.WriteString("(" + strconv.Itoa(p.Index) + ")")
	}
	if p.Field == 0 {
		return b.String()
	}
	b.WriteString("-" + strconv.Itoa(p.Field))
	if p.RepBy.Set {
		b.WriteString("[")
		p.RepBy.write(&b, "")
	} else if p.Rep > 0 {
		b.WriteString("(" + strconv.Itoa(p.Rep) + ")")
	}
	if p.Component > 0 {
		b.WriteString("." + strconv.Itoa(p.Component))
	}
	if p.Component > 0 && p.Sub > 0 {
		b.WriteString("." + strconv.Itoa(p.Sub))
	}
	return b.String()
}

// Place is String for faults: what a selector compares with is left out, since it may be a person's id.
func (p Path) Place() string {
	p.SegmentBy.Value, p.RepBy.Value = "…", "…"
	return p.String()
}

func (s Selector) write(b *strings.Builder, dot string) {
	if s.Component > 0 {
		b.WriteString(dot + strconv.Itoa(s.Component))
	}
	if s.Component > 0 && s.Sub > 0 {
		b.WriteString("." + strconv.Itoa(s.Sub))
	}
	b.WriteString("=" + s.Value + "]")
}

// pathReader takes a path apart from the left. After a mistake bad is true and rest starts at it.
type pathReader struct {
	rest string
	bad  bool
}

func (r *pathReader) path() (p Path) {
	p.Segment = r.segment()
	p.Index, p.SegmentBy = r.choice(true)
	r.expect('-')
	p.Field = r.number()
	p.Rep, p.RepBy = r.choice(false)
	if r.take('.') {
		p.Component = r.number()
		if r.take('.') {
			p.Sub = r.number()
		}
	}
	return p
}

func (r *pathReader) segment() string {
	if len(r.rest) < 3 || !IsSegmentID(r.rest[:3]) {
		r.bad = true
		return ""
	}
	id := r.rest[:3]
	r.rest = r.rest[3:]
	return id
}

// choice reads (2) or [5=NNFIN]; with field also the field number that a selector on segments starts with.
func (r *pathReader) choice(field bool) (n int, by Selector) {
	switch {
	case r.take('('):
		n = r.number()
		r.expect(')')
	case r.take('['):
		by.Set = true
		if field {
			by.Field = r.number()
			if r.take('.') {
				by.Component = r.number()
			}
		} else {
			by.Component = r.number()
		}
		if r.take('.') {
			if by.Component == 0 {
				r.bad = true
			}
			by.Sub = r.number()
		}
		r.expect('=')
		by.Value = r.value()
	}
	return n, by
}

// value reads up to the closing bracket; an empty value would select what isn't there and is refused.
func (r *pathReader) value() string {
	end := strings.IndexByte(r.rest, ']')
	if r.bad || end < 1 {
		r.bad = true
		return ""
	}
	v := r.rest[:end]
	r.rest = r.rest[end+1:]
	return v
}

func (r *pathReader) take(c byte) bool {
	if r.bad || r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *pathReader) expect(c byte) {
	if !r.take(c) {
		r.bad = true
	}
}

// number reads a positive number without leading zeros, of five digits at most.
func (r *pathReader) number() int {
	n, i := 0, 0
	for !r.bad && i < len(r.rest) && i < 6 && r.rest[i] >= '0' && r.rest[i] <= '9' {
		n = n*10 + int(r.rest[i]-'0')
		i++
	}
	if i == 0 || i == 6 || r.rest[0] == '0' {
		r.bad = true
		return 0
	}
	r.rest = r.rest[i:]
	return n
}

// segmentPath is the path of the number-th segment of its name; the first goes without a number.
func segmentPath(id string, number int) Path {
	p := Path{Segment: id}
	if number > 1 {
		p.Index = number
	}
	return p
}

// IsSegmentID says whether id is a segment's name: a capital letter and two capitals or digits.
func IsSegmentID[T string | []byte](id T) bool {
	if len(id) != 3 || id[0] < 'A' || id[0] > 'Z' {
		return false
	}
	for i := 1; i < 3; i++ {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

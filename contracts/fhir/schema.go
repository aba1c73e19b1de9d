package fhir

import (
	_ "embed"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:generate go run ./gen

//go:embed r4.txt
var r4 string

// TypeKind is what a type is.
type TypeKind uint8

// The kinds of type.
const (
	Complex   TypeKind = iota // a data type with elements: HumanName
	Primitive                 // a data type with a value: date
	Backbone                  // the insides of an element, named by its path: Patient.contact
	Resource                  // Patient
)

// Unbounded is the Max of an element that may repeat without end.
const Unbounded = -1

// Defs are the definitions of FHIR R4: types, elements, required value sets. They are safe for many goroutines.
type Defs struct {
	types      map[string]*Type
	names      []string
	resources  []string
	common     part                    // the data types and the abstract resources, which all others are made of
	invariants map[[2]string]invariant // by where and key
	setLines   map[string]string       // the lines of a value set, by its URL

	mu   sync.Mutex
	sets map[string]*valueSet // those that were asked for
}

// part is what is read of the schema at one go: a resource with its insides, when it is first asked for.
type part struct {
	once  sync.Once
	types []*Type
}

// Type is a resource, a data type, or the inside of an element.
type Type struct {
	Name     string
	Base     string // "" for Element and Resource
	Kind     TypeKind
	Abstract bool
	Elements []Element // inherited ones first, in the order in which R4 writes them

	members  members    // by the name in JSON; a choice element once for each type
	required []*Element // those with a Min

	invariants []invariant              // inherited ones first
	json       Kind                     // what a primitive is in JSON
	rule       func(text string) string // what is wrong with a primitive's text; nil: nothing can be
	also       also

	part  *part
	lines string // its elements and rules in the form of gen; read with its part
}

// also says what is checked of a type beside its elements.
type also uint8

const (
	nothing also = iota
	isReference
	isIdentifier
	isQuantity
	isCoding
	isConcept
	isExtension
	isAddress
)

var alsoOf = map[string]also{
	"Reference": isReference, "Identifier": isIdentifier, "Coding": isCoding, "CodeableConcept": isConcept, "Extension": isExtension,
	"Quantity": isQuantity, "Age": isQuantity, "Count": isQuantity, "Distance": isQuantity, "Duration": isQuantity,
	"uri": isAddress, "url": isAddress, "canonical": isAddress,
}

type member struct {
	name    string // in JSON
	element *Element
	typ     *Type
}

// members are a type's members by name. Every member of every message is looked up here, which a hash made for such
// names does in a third of a map's time.
type members struct {
	list  []member
	slots []uint16 // numbers in the list, from 1; a power of two, at most half full
}

func (m *members) hash(name string) int {
	n := len(name)
	return (int(name[0])*7 + int(name[n-1])*31 + int(name[n/2])*113 + n*17) & (len(m.slots) - 1)
}

// find gives the member of that name, nil for none.
func (m *members) find(name string) *member {
	if name == "" || len(m.slots) == 0 {
		return nil
	}
	for at := m.hash(name); m.slots[at] != 0; at = (at + 1) & (len(m.slots) - 1) {
		if found := &m.list[m.slots[at]-1]; found.name == name {
			return found
		}
	}
	return nil
}

// index makes the slots. Of two members of one name the later counts.
func (m *members) index() {
	m.slots = make([]uint16, 2<<bits.Len(uint(len(m.list))))
	for i := range m.list {
		at := m.hash(m.list[i].name)
		for m.slots[at] != 0 && m.list[m.slots[at]-1].name != m.list[i].name {
			at = (at + 1) & (len(m.slots) - 1)
		}
		m.slots[at] = uint16(i + 1)
	}
}

// Element is one element of a type.
type Element struct {
	Name     string   // a choice element as value[x]
	Types    []string // one, unless it is a choice; the inside of an element by its path: Patient.contact, Bundle.link
	Min      int
	Max      int // 1, or Unbounded; 0 for an element that a type forbids
	Choice   bool
	Modifier bool
	Targets  []string // resource types that a Reference may lead to; empty or Resource: any
	Binding  string   // the value set's URL
	Strength string   // required, extensible, preferred, example; empty without a binding
	Order    int      // its place among the type's elements

	codes      *valueSet
	invariants []invariant
}

// Code is a code of a value set with its system.
type Code struct{ System, Code string }

type valueSet struct {
	list []Code
	has  map[Code]bool
	any  map[string]bool
}

// Definitions gives the R4 schema. On first use the data types are read, in a millisecond or two; a resource when it is
// first asked for.
func Definitions() *Defs {
	definitions.once.Do(func() { definitions.r4 = load(r4) })
	return definitions.r4
}

// definitions isn't a sync.OnceValue, because the schema holds functions that read the schema.
var definitions struct {
	once sync.Once
	r4   *Defs
}

// Type gives a type by name: Patient, HumanName, date, Patient.contact; nil where R4 has none.
func (d *Defs) Type(name string) *Type {
	t := d.types[name]
	if t != nil {
		t.part.once.Do(func() { d.read(t.part) })
	}
	return t
}

// Types are the names of all types, resources and insides too, in no order that means anything.
func (d *Defs) Types() []string { return d.names }

// Resources are the names of the resource types that can be made, sorted.
func (d *Defs) Resources() []string { return d.resources }

// Element gives an element by its path from a type: Patient.contact.name.family. A choice stands as valueQuantity,
// value[x] or value. The type is the one that the path picks, nil where a choice is left open.
func (d *Defs) Element(path string) (*Element, *Type) {
	name, rest, more := strings.Cut(path, ".")
	t := d.Type(name)
	var e *Element
	for more && t != nil {
		name, rest, more = strings.Cut(rest, ".")
		e, t = t.Member(name)
	}
	if more {
		return nil, nil
	}
	return e, t
}

// SuggestResource gives the resource type most like name, or "".
func (d *Defs) SuggestResource(name string) string { return nearest(name, d.resources) }

// Element gives an element by its name in JSON or in the specification: birthDate, valueQuantity, value[x], value;
// nil for none.
func (t *Type) Element(name string) *Element {
	e, _ := t.Member(name)
	return e
}

// Member is Element with the type that the name stands for: valueQuantity gives Quantity. The type is nil where the
// name leaves a choice open (value[x], value), and the abstract Resource for contained resources.
func (t *Type) Member(name string) (*Element, *Type) {
	if t == nil {
		return nil, nil
	}
	if m := t.members.find(name); m != nil {
		return m.element, m.typ
	}
	name = strings.TrimSuffix(name, "[x]")
	for i := range t.Elements {
		if e := &t.Elements[i]; e.Choice && strings.TrimSuffix(e.Name, "[x]") == name {
			return e, nil
		}
	}
	return nil, nil
}

// Names are the element names in JSON, a choice once for each of its types, sorted.
func (t *Type) Names() []string {
	names := make([]string, 0, len(t.members.list))
	for i := range t.members.list {
		names = append(names, t.members.list[i].name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Suggest gives the element name most like name, or "".
func (t *Type) Suggest(name string) string { return nearest(name, t.Names()) }

// List says whether the element is an array in JSON.
func (e *Element) List() bool { return e.Max != 1 && e.Max != 0 }

// JSON is the element's name in JSON when it has that type: valueQuantity for value[x] with Quantity.
func (e *Element) JSON(typ string) string {
	if !e.Choice {
		return e.Name
	}
	return choiceName(strings.TrimSuffix(e.Name, "[x]"), typ)
}

func choiceName(base, typ string) string { return base + strings.ToUpper(typ[:1]) + typ[1:] }

// Codes are the codes of a required binding, in the value set's order; nil where there is none or where the value
// set is open (languages, media types, currencies, units).
func (e *Element) Codes() []Code {
	if e.codes == nil {
		return nil
	}
	return e.codes.list
}

// HasCode says whether a required binding allows the code. An empty system stands for any, as for elements of type
// code. Without a closed required binding it is true.
func (e *Element) HasCode(system, code string) bool {
	if e.codes == nil {
		return true
	}
	if system == "" {
		return e.codes.any[code]
	}
	return e.codes.has[Code{system, code}]
}

var strengths = map[string]string{"r": "required", "e": "extensible", "p": "preferred", "x": "example"}

// load finds the types and value sets in the form that gen writes, and reads the common ones.
func load(text string) *Defs {
	d := &Defs{types: make(map[string]*Type, 1024), invariants: make(map[[2]string]invariant, 256),
		setLines: make(map[string]string, 256), sets: map[string]*valueSet{}}
	for i := range allInvariants() {
		d.invariants[[2]string{i.where, i.key}] = i
	}
	for text != "" {
		head, rest, _ := strings.Cut(text, "\n")
		var lines string
		lines, text = untilNext(rest)
		if url, ok := strings.CutPrefix(head, "V\t"); ok {
			d.setLines[url] = lines
			continue
		}
		t := newType(head[len("T\t"):])
		t.lines, t.part = lines, d.partOf(t)
		t.part.types = append(t.part.types, t)
		d.types[t.Name] = t
		d.names = append(d.names, t.Name)
		if t.Kind == Resource && !t.Abstract {
			d.resources = append(d.resources, t.Name)
		}
	}
	slices.Sort(d.resources)
	d.common.once.Do(func() { d.read(&d.common) })
	return d
}

// untilNext cuts before the next line that begins a type or a value set.
func untilNext(text string) (lines, rest string) {
	end := 0
	for end < len(text) && text[end] != 'T' && text[end] != 'V' {
		end += strings.IndexByte(text[end:], '\n') + 1
	}
	return text[:end], text[end:]
}

func (d *Defs) partOf(t *Type) *part {
	top, _, inside := strings.Cut(t.Name, ".")
	switch {
	case inside:
		return d.types[top].part
	case t.Kind == Resource && !t.Abstract:
		return &part{}
	}
	return &d.common
}

// read reads a part's types. Their bases stand before them or are common.
func (d *Defs) read(p *part) {
	for _, t := range p.types {
		own := d.own(t)
		if base := d.types[t.Base]; base != nil {
			t.Elements = slices.Clone(base.Elements)
			t.invariants = slices.Concat(base.invariants, t.invariants)
		}
		t.extend(own)
	}
	for _, t := range p.types {
		d.resolve(t)
	}
}

// own reads a type's own elements and, into the type and them, the rules that they keep.
func (d *Defs) own(t *Type) []Element {
	own := make([]Element, 0, strings.Count(t.lines, "\n"))
	for line := range strings.Lines(t.lines) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if kind == "E" {
			own = append(own, newElement(rest))
			continue
		}
		where, rules := t.Name, &t.invariants
		if n := len(own); n > 0 {
			where, rules = where+"."+own[n-1].Name, &own[n-1].invariants
		}
		if i := standing(d.invariants, where, rest); i.holds != nil {
			*rules = append(*rules, i)
		}
	}
	return own
}

// extend puts a type's own elements behind the inherited ones; one of the same name takes the inherited one's place.
func (t *Type) extend(own []Element) {
	for _, e := range own {
		if i := slices.IndexFunc(t.Elements, func(x Element) bool { return x.Name == e.Name }); i >= 0 {
			t.Elements[i] = e
		} else {
			t.Elements = append(t.Elements, e)
		}
	}
}

// set gives a required value set, nil for one whose codes aren't all known.
func (d *Defs) set(url string) *valueSet {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines, known := d.setLines[url]
	if !known || d.sets[url] != nil {
		return d.sets[url]
	}
	v := &valueSet{has: map[Code]bool{}, any: map[string]bool{}}
	for line := range strings.Lines(lines) {
		v.add(strings.TrimSuffix(line, "\n")[len("S\t"):])
	}
	d.sets[url] = v
	return v
}

func newType(cells string) *Type {
	name, rest, _ := strings.Cut(cells, "\t")
	base, kind, _ := strings.Cut(rest, "\t")
	t := &Type{Name: name, Base: base, Abstract: strings.HasSuffix(kind, "a"), also: alsoOf[name]}
	switch kind[0] {
	case 'r':
		t.Kind = Resource
	case 'p':
		t.Kind, t.json, t.rule = Primitive, jsonKind(name), lexicalRules[name]
	case 'b':
		t.Kind = Backbone
	}
	return t
}

func jsonKind(primitive string) Kind {
	switch primitive {
	case "boolean":
		return KindBool
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return KindNumber
	}
	return KindString
}

func newElement(cells string) Element {
	var c [8]string
	n := 0
	for cell := range strings.SplitSeq(cells, "\t") {
		c[n] = cell
		n++
	}
	e := Element{Name: c[0], Max: Unbounded, Modifier: strings.Contains(c[3], "m"), Choice: strings.Contains(c[3], "x"),
		Types: strings.Split(c[4], ","), Strength: strengths[c[6]], Binding: c[7]}
	e.Min, _ = strconv.Atoi(c[1])
	if c[2] != "*" {
		e.Max, _ = strconv.Atoi(c[2])
	}
	if c[5] != "" {
		e.Targets = strings.Split(c[5], ",")
	}
	return e
}

func (v *valueSet) add(cells string) {
	system, codes, _ := strings.Cut(cells, "\t")
	for code := range strings.SplitSeq(codes, "\t") {
		c := Code{system, code}
		v.list = append(v.list, c)
		v.has[c] = true
		v.any[code] = true
	}
}

func (d *Defs) resolve(t *Type) {
	t.members.list = make([]member, 0, len(t.Elements))
	for i := range t.Elements {
		e := &t.Elements[i]
		e.Order = i
		if e.Min > 0 {
			t.required = append(t.required, e)
		}
		if e.Strength == "required" {
			e.codes = d.set(e.Binding)
		}
		for _, typ := range e.Types {
			t.members.list = append(t.members.list, member{e.JSON(typ), e, d.types[typ]})
		}
	}
	t.members.index()
}

// nearest gives the name with the fewest edits from name, at most a third of its letters, or "".
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	if len(name) > 64 {
		return ""
	}
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return n
		}
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d < least || d == least && best == "" {
			best, least = n, d
		}
	}
	return best
}

func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, diag+1)
		}
	}
	return row[len(b)]
}

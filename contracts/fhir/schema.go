package fhir

import (
	_ "embed"
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

// Defs are the definitions of FHIR R4: types, elements, required value sets. They are immutable.
type Defs struct {
	types     map[string]*Type
	names     []string
	resources []string
	sets      map[string]*valueSet
}

// Type is a resource, a data type, or the inside of an element.
type Type struct {
	Name     string
	Base     string // "" for Element and Resource
	Kind     TypeKind
	Abstract bool
	Elements []Element // inherited ones first, in the order in which R4 writes them

	members  map[string]member // by the name in JSON; a choice element once for each type
	required []*Element        // those with a Min

	invariants []invariant // inherited ones first
	json       Kind        // what a primitive is in JSON
}

type member struct {
	element *Element
	typ     *Type
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

// Definitions gives the R4 schema. It is read on first use, in some milliseconds, and shared.
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
func (d *Defs) Type(name string) *Type { return d.types[name] }

// Types are the names of all types, resources and insides too, in no order that means anything.
func (d *Defs) Types() []string { return d.names }

// Resources are the names of the resource types that can be made, sorted.
func (d *Defs) Resources() []string { return d.resources }

// Element gives an element by its path from a type: Patient.contact.name.family. A choice stands as valueQuantity,
// value[x] or value. The type is the one that the path picks, nil where a choice is left open.
func (d *Defs) Element(path string) (*Element, *Type) {
	name, rest, more := strings.Cut(path, ".")
	t := d.types[name]
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
	if m, ok := t.members[name]; ok {
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
	names := make([]string, 0, len(t.members))
	for name := range t.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
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

// load reads the form that gen writes.
func load(text string) *Defs {
	d := &Defs{types: make(map[string]*Type, 1024), sets: make(map[string]*valueSet, 256)}
	own := make(map[*Type][]Element, 1024)
	invariants := make(map[[2]string]invariant, 256)
	for i := range allInvariants() {
		invariants[[2]string{i.where, i.key}] = i
	}
	var t *Type
	var set *valueSet
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch kind {
		case "T":
			t = newType(rest)
			d.types[t.Name] = t
			d.names = append(d.names, t.Name)
			if t.Kind == Resource && !t.Abstract {
				d.resources = append(d.resources, t.Name)
			}
		case "E":
			own[t] = append(own[t], newElement(rest))
		case "C":
			where, rules := t.Name, &t.invariants
			if n := len(own[t]); n > 0 {
				e := &own[t][n-1]
				where, rules = where+"."+e.Name, &e.invariants
			}
			if i := standing(invariants, where, rest); i.holds != nil {
				*rules = append(*rules, i)
			}
		case "V":
			set = &valueSet{has: map[Code]bool{}, any: map[string]bool{}}
			d.sets[rest] = set
		case "S":
			set.add(rest)
		}
	}
	slices.Sort(d.resources)
	for _, name := range d.names {
		d.inherit(d.types[name], own)
	}
	for _, name := range d.names {
		d.resolve(d.types[name])
	}
	return d
}

func newType(cells string) *Type {
	name, rest, _ := strings.Cut(cells, "\t")
	base, kind, _ := strings.Cut(rest, "\t")
	t := &Type{Name: name, Base: base, Abstract: strings.HasSuffix(kind, "a")}
	switch kind[0] {
	case 'r':
		t.Kind = Resource
	case 'p':
		t.Kind, t.json = Primitive, jsonKind(name)
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

// inherit puts the base's elements before a type's own; an own one of the same name takes the inherited one's place.
func (d *Defs) inherit(t *Type, own map[*Type][]Element) {
	if t.Elements != nil {
		return
	}
	if base := d.types[t.Base]; base != nil {
		d.inherit(base, own)
		t.Elements = slices.Clone(base.Elements)
		t.invariants = slices.Concat(base.invariants, t.invariants)
	}
	for _, e := range own[t] {
		if i := slices.IndexFunc(t.Elements, func(x Element) bool { return x.Name == e.Name }); i >= 0 {
			t.Elements[i] = e
		} else {
			t.Elements = append(t.Elements, e)
		}
	}
}

func (d *Defs) resolve(t *Type) {
	t.members = make(map[string]member, len(t.Elements))
	for i := range t.Elements {
		e := &t.Elements[i]
		e.Order = i
		if e.Min > 0 {
			t.required = append(t.required, e)
		}
		if e.Strength == "required" {
			e.codes = d.sets[e.Binding]
		}
		for _, typ := range e.Types {
			t.members[e.JSON(typ)] = member{e, d.types[typ]}
		}
	}
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

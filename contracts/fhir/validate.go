package fhir

import (
	"strings"
	"sync"

	"github.com/hoitosilta/silta/contracts"
)

// Validate checks a resource as Profiles.Validate does, with R4's own profiles and extensions and Silta's.
func Validate(t *Tree) contracts.Faults { return builtIn().Validate(t) }

var builtIn = sync.OnceValue(NewProfiles)

// Validate checks a resource against R4: elements and their cardinality, kinds of JSON value, the lexical rules of
// primitives (dates that exist), choices, required bindings whose codes are known, references inside a Bundle and
// inside the resource, the rules for message and document Bundles, the specification's invariants; against the
// profiles of these URLs; and, inside the resource, against each profile that a resource claims in meta.profile and
// the definition of each extension, as far as they are loaded.
//
// All faults come at once (at most 200), of kind invalid, each with the FHIRPath of its element, the name of the rule
// where one has a name (pat-1, fi-base-patient#Patient.identifier:PIC.system) and what to do. One of grade warning or
// note doesn't make the resource invalid. Faults of no grade are errors: see contracts.Faults.Err.
func (p *Profiles) Validate(t *Tree, urls ...string) contracts.Faults {
	root := t.Root()
	v := validator{defs: Definitions(), profiles: p, bundle: NewBundle(root), inBundle: root.Get("resourceType").Is("Bundle")}
	v.resource(root)
	if v.inBundle {
		v.bundleRules(root)
	}
	for _, url := range urls {
		v.asked(root, url)
	}
	if v.cut.Exists() {
		v.remark(contracts.GradeWarning, CodeConform, v.cut, "", "More than %d resources lead to one another; from here on what is referred to isn't checked against the profiles of those that refer to it.", mostJudged)
	}
	v.tellOnce()
	v.dropEchoes()
	return v.faults
}

type validator struct {
	defs     *Defs
	profiles *Profiles
	bundle   *Bundle
	inBundle bool // the resource is a Bundle
	faults   contracts.Faults
	echoes   []echo
	untold   contracts.Fault // beyond the list
	judged   map[judged]verdict
	open     int      // judgements that have begun
	lowest   int      // the outermost of them on which what was found since rests
	trials   int      // judgements in all
	cut      Node     // what was referred to too deep to be judged
	errors   int      // what profiles found, told or not
	quiet    int      // not zero: a trial, which tells nothing
	once     struct { // the first place of a rule that is told once
		at   Node
		rule *invariant
	}
}

// asked checks the resource against a profile that the caller named.
func (v *validator) asked(root Node, url string) {
	c := v.profiles.profile(url)
	if t := baseType(url); t != nil && c == nil {
		c = &profile{name: t.Name, typ: t, root: &rule{id: t.Name}}
	}
	if c == nil {
		v.fault(CodeNoProfile, root, "No profile %s is loaded: add the package that has it.", url)
		return
	}
	if c.faults.Err() != nil {
		v.fault(CodeDefinition, root, "The profile %s can't be relied on: its definition has faults, which `silta check` tells, and `silta fhir validate` of a package.", c.name).Rule = c.name
	}
	v.conforms(root, v.defs.Type(root.Type()), c)
}

// claims checks a resource against the profiles that it says it has.
func (v *validator) claims(n Node, typ *Type) {
	meta := n.Get("meta")
	if !meta.Exists() {
		return
	}
	for claim := range meta.Get("profile").Each() {
		url := claim.Text()
		switch c := v.profiles.profile(url); {
		case c != nil:
			v.conforms(n, typ, c)
		case baseType(url) != nil:
			if !v.defs.isA(typ.Name, baseType(url).Name) {
				v.brokenRule(CodeResourceType, claim, "", "What is claimed is of another type than this %s.", typ.Name)
			}
		default:
			v.remark(contracts.GradeNote, CodeNoProfile, claim, "", "The profile that is claimed isn't loaded, so it wasn't checked.")
		}
	}
}

func (v *validator) fault(code string, at Node, format string, args ...any) *contracts.Fault {
	if v.full() {
		v.untold = contracts.Fault{} // or what callers add to it would grow with every fault
		return &v.untold
	}
	f := contracts.Faultf(contracts.Invalid, code, at.Place(), format, args...)
	v.faults = append(v.faults, f)
	return f
}

// full says that the list is long enough: nobody reads on, and a hostile resource could ask for a million places.
func (v *validator) full() bool { return len(v.faults) >= maxFaults }

func (v *validator) resource(n Node) {
	rt := n.Get("resourceType")
	if n.Kind() != KindObject || rt.Kind() != KindString {
		v.fault(CodeNotResource, n, "A resource belongs here: an object with its resourceType.")
		return
	}
	typ := v.defs.Type(rt.Text())
	if typ == nil || typ.Kind != Resource || typ.Abstract {
		if v.full() {
			return
		}
		v.fault(CodeResourceType, n, "R4 has no resource of this type%s.", hint(v.defs.SuggestResource(rt.Text())))
		return
	}
	if v.object(n, typ) {
		v.baseInvariants(n, typ.invariants)
	}
	v.claims(n, typ)
}

// hint is " (did you mean X?)", or nothing. X comes from the schema, never from the resource.
func hint(name string) string {
	if name == "" {
		return ""
	}
	return " (did you mean " + name + "?)"
}

// elements is a set of a type's elements by their order.
type elements [2]uint64

func (s *elements) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

func (s *elements) add(i int) (before bool) {
	before = s.has(i)
	s[i>>6] |= 1 << (i & 63)
	return before
}

// object checks the members and says whether they are elements of the type, all that it requires among them. Where they
// aren't, its invariants would tell of the same mistake again.
func (v *validator) object(n Node, typ *Type) (sound bool) {
	sound = true
	if !n.First().Exists() {
		v.fault(CodeEmpty, n, "An empty object says nothing; leave the element out.").Rule = ruleContent
	}
	siblings := n.hasSiblings()
	var seen elements
	for c := n.First(); c.Exists() && !v.full(); c = c.Next() {
		name := c.Name()
		if name == "resourceType" && typ.Kind == Resource {
			continue
		}
		plain := elementName(name)
		m := typ.members.find(plain)
		if m == nil || m.typ == nil {
			sound = false
			v.unknown(c, typ, plain)
			continue
		}
		if len(plain) != len(name) {
			if m.typ.Kind != Primitive {
				v.fault(CodeSibling, c, "Only primitive elements have a sibling that begins with an underscore; %s is none.", m.element.Name)
				continue
			}
			if n.Get(plain).Exists() {
				continue // looked at with its value
			}
		}
		if seen.add(m.element.Order) {
			v.fault(CodeChoice, c, "%s has a value of another type already; only one is allowed.", m.element.Name)
		}
		switch {
		case len(plain) != len(name):
			v.member(Node{}, c, m)
		case siblings && m.typ.Kind == Primitive:
			v.member(c, n.Get("_"+name), m)
		default:
			v.member(c, Node{}, m)
		}
	}
	for _, e := range typ.required {
		if !seen.has(e.Order) {
			sound = false
			v.missing(n, e)
		}
	}
	return sound
}

func (n Node) hasSiblings() bool {
	nodes := n.t.nodes
	for i := nodes[n.i].a; i != 0; i = nodes[i].next {
		c := &nodes[i]
		if name := n.t.name(c); name != "" && (name[0] == '_' || c.flags&nameEscaped != 0) {
			return true
		}
	}
	return false
}

func (v *validator) unknown(c Node, typ *Type, plain string) {
	if v.full() {
		return
	}
	if e := typ.Element(plain); e != nil && e.Choice {
		v.fault(CodeUnknown, c, "%s needs its type in its name, such as %s.", e.Name, e.JSON(e.Types[0]))
		return
	}
	v.fault(CodeUnknown, c, "%s has no such element%s.", typ.Name, hint(typ.Suggest(plain)))
}

func (v *validator) missing(n Node, e *Element) {
	f := v.fault(CodeMissing, n, "%s is required.", e.Name)
	f.At += "." + strings.TrimSuffix(e.Name, "[x]")
}

// member checks one element: value, sibling or both are there.
func (v *validator) member(value, sibling Node, m *member) {
	e, there := m.element, value
	if !there.Exists() {
		there = sibling
	}
	switch {
	case e.Max == 0:
		v.fault(CodeTooMany, there, "%s isn't allowed here.", e.Name)
	case !e.List() && there.Kind() == KindArray:
		v.fault(CodeTooMany, there, "%s has one value, not a list.", e.Name)
	case !e.List():
		v.value(value, sibling, m)
	case there.Kind() != KindArray:
		v.fault(CodeJSONType, there, "%s is a list: put it in brackets.", e.Name)
		if there.Kind() != KindNull {
			v.value(value, sibling, m)
		}
	default:
		v.list(value, sibling, m)
	}
}

func (v *validator) list(values, siblings Node, m *member) {
	a, b := values.First(), siblings.First()
	if values.Exists() && !a.Exists() || siblings.Exists() && !b.Exists() {
		v.fault(CodeEmpty, values, "An empty list says nothing; leave the element out.").Rule = ruleContent
	}
	if siblings.Exists() && siblings.Kind() != KindArray {
		v.fault(CodeSibling, siblings, "Beside a list of values stands a list of siblings.")
		b = Node{}
	}
	if values.Exists() && b.Exists() && values.Len() != siblings.Len() {
		v.fault(CodeSibling, values, "The values and their siblings are lists of one length: fill the shorter with null.")
	}
	for (a.Exists() || b.Exists()) && !v.full() {
		x, y := a, b
		if x.Kind() == KindNull && y.Kind() == KindObject {
			x = Node{}
		}
		if y.Kind() == KindNull && values.Exists() {
			y = Node{}
		}
		v.value(x, y, m)
		a, b = a.Next(), b.Next()
	}
	if m.element.Max != Unbounded && values.Len() > m.element.Max {
		v.fault(CodeTooMany, values, "%s has at most %d values.", m.element.Name, m.element.Max)
	}
}

func (v *validator) value(n, sibling Node, m *member) {
	switch {
	case m.typ.Kind == Primitive:
		if sibling.Exists() {
			v.sibling(sibling)
		}
		if !n.Exists() {
			v.idAlone(sibling)
		}
		if n.Exists() {
			v.primitive(n, m)
		}
	case m.typ.Kind == Resource:
		v.resource(n)
		if rt := n.Get("resourceType"); !m.typ.Abstract && rt.Exists() && !rt.Is(m.typ.Name) {
			v.fault(CodeResourceType, n, "The resource here must be of type %s.", m.typ.Name)
		}
	case n.Kind() != KindObject:
		v.fault(CodeJSONType, n, "%s belongs here as an object, not %s.", m.typ.Name, n.Kind())
	default:
		sound := v.object(n, m.typ)
		v.idAlone(n)
		v.coded(n, m)
		// An element with another's inside has the same rules under keys of its own: TestScript.test.action.operation.
		if sound && (m.typ.Kind != Backbone || len(m.element.invariants) == 0) {
			v.baseInvariants(n, m.typ.invariants)
		}
		if sound {
			v.baseInvariants(n, m.element.invariants)
		}
		if m.typ.also == isExtension {
			v.extension(n)
		}
	}
}

// idAlone wants more of an element than the id by which others find it.
func (v *validator) idAlone(n Node) {
	if first := n.First(); first.Name() == "id" && !first.Next().Exists() {
		v.fault(CodeEmpty, n, "An id alone says nothing; leave the element out.").Rule = ruleContent
	}
}

func (v *validator) sibling(n Node) {
	if n.Kind() != KindObject {
		v.fault(CodeSibling, n, "The sibling that begins with an underscore is an object with id or extension.")
		return
	}
	v.object(n, v.defs.Type("Element"))
}

func (v *validator) primitive(n Node, m *member) {
	if got := n.Kind(); got != m.typ.json {
		v.fault(CodeJSONType, n, "%s is %s in JSON, not %s.", m.typ.Name, m.typ.json, got)
		return
	}
	text := n.Text()
	if text == "" {
		v.fault(CodeEmpty, n, "An empty text says nothing; leave the element out.").Rule = ruleContent
		return
	}
	switch wrong := m.typ.lexical(text); {
	case wrong != "":
		v.fault(CodePrimitive, n, "%s", wrong)
		return
	case isBlank(text):
		v.fault(CodePrimitive, n, "The text has nothing but white space; leave the element out.").Grade = contracts.GradeWarning
	case !m.element.HasCode("", text):
		v.fault(CodeBinding, n, "The code isn't in the required value set %s.", m.element.Binding)
	case m.typ.also == isAddress && strings.HasPrefix(text, "urn:"):
		v.urn(n, text)
	}
	v.baseInvariants(n, m.element.invariants)
}

// coded checks what a complex value must be besides its own elements.
func (v *validator) coded(n Node, m *member) {
	switch m.typ.also {
	case isReference:
		v.reference(n, m.element)
	case isIdentifier:
		v.identifier(n)
	case isQuantity:
		v.system(n)
	case isCoding:
		v.system(n)
		if !hasCoding(m.element, n) {
			v.fault(CodeBinding, n, "The coding isn't in the required value set %s.", m.element.Binding)
		}
	case isConcept:
		if m.element.codes == nil {
			return
		}
		for c := range n.Get("coding").Each() {
			if hasCoding(m.element, c) {
				return
			}
		}
		v.fault(CodeBinding, n, "No coding is in the required value set %s.", m.element.Binding)
	}
}

func hasCoding(e *Element, coding Node) bool {
	if e.codes == nil {
		return true
	}
	system := coding.Get("system").Text()
	return system != "" && e.HasCode(system, coding.Get("code").Text())
}

package fhir

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/hoitosilta/silta/contracts"
)

// profile is a compiled StructureDefinition of a profile or an extension: a tree of rules over the elements that it
// says more of than R4 does. Its base's rules are in it.
type profile struct {
	url      string
	name     string // the last part of the url, for the names of rules
	typ      *Type
	root     *rule
	contexts []extensionContext
	modifier bool             // of an extension: it belongs in modifierExtension
	faults   contracts.Faults // what in the definition can't be used
}

// rule is what a profile says of one element, or of one slice of it.
type rule struct {
	id      string // profile#Patient.identifier:PIC.system
	name    string // in the specification: identifier, value[x]; empty for the whole
	sibling string // _name
	owner   *Type  // the type that has the element
	typ     *Type  // the element's own; nil for a choice
	element *Element
	slice   string // the slice's name; empty for the element itself

	min, max   int
	types      []*typeRule // empty: as R4 has it
	fixed      Node
	pattern    Node
	set        *valueSet // the codes of a required binding, where all are known
	setURL     string
	maxLength  int
	least      Node
	most       Node
	must       bool
	invariants []profileInvariant

	children []*rule
	slicing  *slicing
	slices   []*rule
}

// typeRule allows a type, with profiles that the value, or what a reference leads to, must have one of.
type typeRule struct {
	code     string
	profiles []*profileRef
	targets  []*profileRef
}

// profileRef is another profile by its canonical URL, found when it is first needed.
type profileRef struct {
	url   string
	found atomic.Pointer[profile]
}

func (r *profileRef) profile(p *Profiles) *profile {
	if c := r.found.Load(); c != nil {
		return c
	}
	c := p.profile(r.url)
	if c != nil {
		r.found.Store(c)
	}
	return c
}

// baseType is the R4 type that the URL names itself: …/StructureDefinition/Patient; nil for a profile.
func (r *profileRef) baseType() *Type { return baseType(r.url) }

const baseURL = "http://hl7.org/fhir/StructureDefinition/"

func baseType(url string) *Type {
	url, _, _ = strings.Cut(url, "|")
	if name, ok := strings.CutPrefix(url, baseURL); ok {
		return Definitions().Type(name)
	}
	return nil
}

type profileInvariant struct {
	key        string
	grade      contracts.Grade
	human      string
	expression *Expression
	plain      func(text string) bool // the same of a string, where the expression is so simple; else nil
}

// ofText are the expressions of which plain knows the meaning: the commonest of all, and a thousand times dearer by the library.
var ofText = regexp.MustCompile(`^\$this\.(startsWith|matches)\('(\^?[^'\\]*)'\)$`)

// plain gives the meaning of an expression that looks at nothing but the text of its element.
func plain(expression string) func(text string) bool {
	found := ofText.FindStringSubmatch(expression)
	if found == nil {
		return nil
	}
	argument := found[2]
	if found[1] == "startsWith" {
		return func(text string) bool { return strings.HasPrefix(text, argument) }
	}
	if !strings.HasPrefix(argument, "^") || !strings.HasSuffix(argument, "$") {
		return nil // engines differ in what a part of the text may match
	}
	pattern, err := regexp.Compile(argument)
	if err != nil {
		return nil
	}
	return pattern.MatchString
}

// compiler reads one StructureDefinition into a profile.
type compiler struct {
	profiles *Profiles
	file     string
	profile  *profile
	snapshot bool              // the elements are a snapshot's: what R4 says stands among them
	current  map[string]string // where elements have no id: the slice that a path stands in now
}

// compile gives the profile of a canonical URL, nil where there is none. within are the URLs that are being compiled.
func (p *Profiles) compile(url string, within []string) *profile {
	s, ok := p.find(url)
	if !ok || s.typ != "StructureDefinition" {
		return nil
	}
	t, err := Parse(s.json)
	if err != nil {
		return nil // Add has read it before
	}
	root := t.Root()
	url = clone(root.Get("url"))
	c := &compiler{profiles: p, file: s.file, current: map[string]string{},
		profile: &profile{url: url, name: lastSegment(url), typ: Definitions().Type(root.Get("type").Text())}}
	if c.profile.typ == nil {
		c.warn(root.Get("type"), "R4 has no such type; a profile of a logical model or of another FHIR version can't be checked.")
		c.profile.root = &rule{id: c.profile.name}
		return c.profile
	}
	elements := c.base(root, append(within, url))
	for el := range elements.Each() {
		c.element(el)
	}
	c.contexts(root)
	c.profile.root.finish()
	return c.profile
}

func (c *compiler) fault(at Node, code, format string, args ...any) {
	f := contracts.Faultf(contracts.Invalid, code, at.Place(), format, args...)
	f.File, f.Rule = c.file, c.profile.name
	c.profile.faults = append(c.profile.faults, f)
}

// warn tells what in the definition isn't checked; the rest of it is.
func (c *compiler) warn(at Node, text string) {
	c.fault(at, CodeDefinition, "%s", text)
	c.profile.faults[len(c.profile.faults)-1].Grade = contracts.GradeWarning
}

// base sets the rules to begin with and gives the elements that are laid over them: the differential over the base's
// rules; where the base isn't there, the snapshot over R4.
func (c *compiler) base(root Node, within []string) (elements Node) {
	p := c.profile
	url := clone(root.Get("baseDefinition"))
	differential, snapshot := root.Get("differential").Get("element"), root.Get("snapshot").Get("element")
	if t := baseType(url); t == nil && url != "" && differential.Exists() {
		if !slices.Contains(within, url) {
			if base := c.profiles.compile(url, within); base != nil && base.typ == p.typ {
				p.root = base.root
				p.root.rename(base.name, p.name)
				p.modifier = base.modifier
				p.faults = append(p.faults, base.faults...)
				return differential
			}
		}
		if !snapshot.Exists() {
			c.fault(root.Get("baseDefinition"), CodeNoBase, "The base isn't loaded, and the definition has no snapshot; add the package that has it.")
		}
		differential = Node{}
	}
	p.root = &rule{id: p.name + "#" + p.typ.Name, max: Unbounded}
	if differential.Exists() {
		return differential
	}
	c.snapshot = true
	return snapshot
}

// rename makes a base's rules, which were compiled for this profile alone, the profile's own.
func (r *rule) rename(from, to string) {
	if rest, ok := strings.CutPrefix(r.id, from+"#"); ok {
		r.id = to + "#" + rest
	}
	for _, list := range [][]*rule{r.children, r.slices} {
		for _, child := range list {
			child.rename(from, to)
		}
	}
}

// element lays one ElementDefinition over the rules.
func (c *compiler) element(el Node) {
	r := c.profile.root
	for i, step := range c.steps(el) {
		if i == 0 {
			continue
		}
		name, slice, _ := strings.Cut(step, ":")
		child := c.child(r, name)
		if child == nil {
			c.fault(el, CodeDefinition, "%s has no element of this name.", r.typeName())
			return
		}
		if slice != "" && child.slice == "" {
			for part := range strings.SplitSeq(slice, "/") {
				child = child.ofSlice(part)
			}
		}
		r = child
	}
	if _, named := r.owner.Member(r.slice); r.slice != "" && r.element != nil && r.element.Choice && len(r.types) == 0 && named != nil {
		r.types = []*typeRule{{code: named.Name}} // value[x]:valueQuantity
	}
	c.facts(r, el)
}

// steps are the parts of the element's id, name or name:slice; where there is no id they are made from the paths and
// slice names so far.
func (c *compiler) steps(el Node) []string {
	if id := clone(el.Get("id")); id != "" {
		return strings.Split(id, ".")
	}
	path := clone(el.Get("path"))
	if slice := clone(el.Get("sliceName")); slice != "" || c.current[path] != "" {
		c.current[path] = slice
	}
	steps := strings.Split(path, ".")
	for i := range steps {
		if slice := c.current[strings.Join(strings.Split(path, ".")[:i+1], ".")]; slice != "" {
			steps[i] += ":" + slice
		}
	}
	return steps
}

// child finds or makes the rule of an element's part. A name such as valueCoding is the slice of value[x] of that type.
func (c *compiler) child(r *rule, name string) *rule {
	for _, child := range r.children {
		if child.name == name {
			return child
		}
	}
	t := c.typeOf(r, name)
	e, picked := t.Member(name)
	if e == nil {
		return nil
	}
	if e.Choice && name != e.Name {
		all := c.child(r, e.Name)
		if picked == nil { // value for value[x]
			return all
		}
		slice := all.ofSlice(name)
		if len(slice.types) == 0 {
			slice.types = []*typeRule{{code: picked.Name}}
		}
		return slice
	}
	child := &rule{id: r.id + "." + name, name: e.Name, sibling: "_" + e.Name, owner: t, typ: picked, element: e, min: e.Min, max: e.Max}
	r.children = append(r.children, child)
	return child
}

func (r *rule) ofSlice(name string) *rule {
	for _, s := range r.slices {
		if s.slice == name {
			return s
		}
	}
	s := &rule{id: r.id + ":" + name, name: r.name, sibling: r.sibling, owner: r.owner, typ: r.typ, element: r.element, slice: name, max: r.max}
	r.slices = append(r.slices, s)
	return s
}

// typeOf is the type whose element name is: the one that the rule allows or, where a choice is left open, the first
// that has it.
func (c *compiler) typeOf(r *rule, name string) *Type {
	if r.name == "" {
		return c.profile.typ
	}
	if len(r.types) == 1 {
		if t := Definitions().Type(r.types[0].code); t != nil {
			_, inside := r.owner.Member(r.name) // a BackboneElement is named by its path
			if inside != nil && inside.Kind == Backbone {
				return inside
			}
			return t
		}
	}
	if _, t := r.owner.Member(r.name); t != nil && !(t.Kind == Resource && t.Abstract) {
		return t
	}
	if r.slice != "" { // value[x]:valueString, entry:patient without a type of its own
		if _, t := r.owner.Member(r.slice); t != nil {
			return t
		}
	}
	for _, typ := range r.element.Types {
		if t := Definitions().Type(typ); t.Element(name) != nil {
			return t
		}
	}
	return nil
}

func (r *rule) typeName() string {
	_, name, ok := strings.Cut(r.id, "#")
	if !ok {
		return r.id
	}
	return name
}

// facts takes what an ElementDefinition says into the rule.
func (c *compiler) facts(r *rule, el Node) {
	if n := el.Get("min"); n.Exists() {
		r.min, _ = strconv.Atoi(n.Text())
	}
	switch most := el.Get("max").Text(); most {
	case "":
	case "*":
		r.max = Unbounded
	default:
		r.max, _ = strconv.Atoi(most)
	}
	if el.Get("type").Exists() {
		c.types(r, el.Get("type"))
	}
	for m := range el.Children() {
		switch name := m.Name(); {
		case strings.HasPrefix(name, "fixed"):
			r.fixed = m
		case strings.HasPrefix(name, "pattern"):
			r.pattern = m
		case strings.HasPrefix(name, "minValue"):
			r.least = m
		case strings.HasPrefix(name, "maxValue"):
			r.most = m
		}
	}
	if r.max != Unbounded && r.min > r.max {
		c.fault(el, CodeDefinition, "The element must stand at least %d times and may stand %d times.", r.min, r.max)
	}
	if b := el.Get("binding"); b.Get("strength").Is("required") && b.Get("valueSet").Exists() {
		r.setURL = clone(b.Get("valueSet"))
		if r.set = c.profiles.valueSet(r.setURL); r.set == nil && !strings.HasPrefix(r.setURL, "http://hl7.org/fhir/ValueSet/") {
			c.warn(b, "The codes of this value set aren't all known, so they aren't checked: add the package that has it.")
		}
	}
	if n := el.Get("maxLength"); n.Exists() {
		r.maxLength, _ = strconv.Atoi(n.Text())
	}
	if must, ok := el.Get("mustSupport").Bool(); ok {
		r.must = must
	}
	if modifier, ok := el.Get("isModifier").Bool(); ok && r.name == "" {
		c.profile.modifier = modifier
	}
	c.constraints(r, el)
	if s := el.Get("slicing"); s.Exists() {
		r.slicing = c.slicing(r, s)
	}
}

func (c *compiler) types(r *rule, list Node) {
	r.types = nil
	for t := range list.Each() {
		code := clone(t.Get("code"))
		if strings.HasPrefix(code, "http://hl7.org/fhirpath/") {
			continue
		}
		if Definitions().Type(code) == nil {
			c.fault(t, CodeDefinition, "R4 has no such type%s.", hint(nearest(code, Definitions().Types())))
			continue
		}
		rule := &typeRule{code: code}
		for u := range t.Get("profile").Each() {
			rule.profiles = append(rule.profiles, &profileRef{url: clone(u)})
		}
		for u := range t.Get("targetProfile").Each() {
			rule.targets = append(rule.targets, &profileRef{url: clone(u)})
		}
		r.types = append(r.types, rule)
	}
}

func (c *compiler) constraints(r *rule, el Node) {
	for n := range el.Get("constraint").Each() {
		key := clone(n.Get("key"))
		source := n.Get("source").Text()
		if c.snapshot && (strings.HasPrefix(source, baseURL) || source == "") {
			continue // R4's own are checked with the type
		}
		if slices.ContainsFunc(r.invariants, func(i profileInvariant) bool { return i.key == key }) || !n.Get("expression").Exists() {
			continue
		}
		e, err := CompileExpression(clone(n.Get("expression")))
		if err != nil {
			c.fault(n, CodeDefinition, "The invariant's expression can't be read.")
			continue
		}
		i := profileInvariant{key: key, human: clone(n.Get("human")), expression: e, plain: plain(e.text)}
		if n.Get("severity").Is("warning") {
			i.grade = contracts.GradeWarning
		}
		r.invariants = append(r.invariants, i)
	}
}

// finish gives the discriminators that a definition may leave unsaid: a choice is sliced by type, extensions by url.
func (r *rule) finish() {
	for _, list := range [][]*rule{r.children, r.slices} {
		for _, c := range list {
			c.finish()
		}
	}
	if len(r.slices) == 0 {
		return
	}
	if r.slicing == nil {
		r.slicing = &slicing{}
	}
	if len(r.slicing.discriminators) > 0 || r.element == nil {
		return
	}
	switch {
	case r.element.Choice:
		r.slicing.discriminators = []discriminator{{kind: "type"}}
	case r.name == "extension" || r.name == "modifierExtension":
		r.slicing.discriminators = []discriminator{{"value", []pathStep{{name: "url"}}}}
	}
}

// child is the rule of that name within a rule, nil for none.
func (r *rule) child(name string) *rule {
	for _, c := range r.children {
		if c.name == name || c.element.Choice && strings.TrimSuffix(c.name, "[x]") == name {
			return c
		}
	}
	return nil
}

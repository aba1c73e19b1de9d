package fhir

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts"
)

// item is one value of an element: the value, its `_name` sibling, or both.
type item struct {
	value, sibling Node
	typ            *Type
}

// node is where the item stands.
func (it item) node() Node {
	if it.value.Exists() && it.value.Kind() != KindNull || !it.sibling.Exists() {
		return it.value
	}
	return it.sibling
}

// parts is the object that holds the item's parts: a primitive's are in its sibling.
func (it item) parts() Node {
	if it.typ != nil && it.typ.Kind == Primitive {
		return it.sibling
	}
	return it.value
}

// profile checks a value against a profile.
func (v *validator) profile(n Node, typ *Type, c *profile) {
	if c.typ == nil {
		return
	}
	if typ == nil || !v.defs.isA(typ.Name, c.typ.Name) {
		v.broken(CodeResourceType, n, c.root, "The profile %s is for %s.", c.name, c.typ.Name)
		return
	}
	v.content(item{value: n, typ: typ}, c.root)
	if c.typ.Name == "Extension" {
		v.partsOfExtension(n, c)
	}
}

// broken tells a fault that a rule of a profile finds, and gives it: nil where nobody is told.
func (v *validator) broken(code string, at Node, r *rule, format string, args ...any) *contracts.Fault {
	return v.brokenRule(code, at, r.id, format, args...)
}

func (v *validator) brokenRule(code string, at Node, rule, format string, args ...any) *contracts.Fault {
	v.errors++
	if v.quiet > 0 || v.full() {
		return nil
	}
	f := contracts.Faultf(contracts.Invalid, code, at.Place(), format, args...)
	f.Rule = rule
	v.faults = append(v.faults, f)
	return f
}

// remark tells what is no error.
func (v *validator) remark(grade contracts.Grade, code string, at Node, rule, format string, args ...any) {
	if !v.remarks() {
		return
	}
	f := contracts.Faultf(contracts.Invalid, code, at.Place(), format, args...)
	f.Rule, f.Grade = rule, grade
	v.faults = append(v.faults, f)
}

// remarks says whether what is no error is told: a quarter of the list; the rest is for errors.
func (v *validator) remarks() bool { return v.quiet == 0 && len(v.faults) < maxFaults/4 }

// content checks one item against what a rule says of it and of its parts.
func (v *validator) content(it item, r *rule) {
	v.limits(it, r)
	if !v.typed(it, r) {
		return
	}
	if len(r.invariants) > 0 {
		v.invariants(it, r)
	}
	parts := it.parts()
	if primitive := it.typ != nil && it.typ.Kind == Primitive; primitive || parts.Kind() == KindObject {
		for _, c := range r.children {
			v.part(it.node(), parts, c)
		}
	}
}

// part checks an element of the object parts, which stands at n: how often it stands, its slices, and each item.
func (v *validator) part(n, parts Node, r *rule) {
	var space [8]item
	items := r.items(parts, space[:0])
	v.count(n, items, r)
	if len(r.slices) > 0 {
		v.sliced(n, items, r)
	}
	for _, it := range items {
		v.content(it, r)
	}
}

// count checks how many items there are, where the profile is narrower than R4.
func (v *validator) count(n Node, items []item, r *rule) {
	e := r.element
	switch {
	case len(items) < r.min && (r.slice != "" || r.min > e.Min || len(items) > 0):
		v.absent(n, r)
	case r.max != Unbounded && len(items) > r.max && (r.slice != "" || e.Max == Unbounded || r.max < e.Max):
		at := items[r.max].node()
		if r.max == 0 {
			v.broken(CodeTooMany, at, r, "The profile doesn't allow %s here; leave it out.", r.title())
		} else {
			v.broken(CodeTooMany, at, r, "The profile allows %s at most %d times.", r.title(), r.max)
		}
	case r.must && len(items) == 0 && r.min == 0 && r.max != 0 && v.remarks():
		v.remark(contracts.GradeNote, CodeMustSupport, n, r.id, "%s is absent. It is must-support: who has it sends it.", r.title())
	}
}

func (v *validator) absent(n Node, r *rule) {
	v.errors++
	if v.quiet > 0 || v.full() {
		return
	}
	name := strings.TrimSuffix(r.name, "[x]")
	f := contracts.Faultf(contracts.Invalid, CodeMissing, n.Place()+"."+name, "The profile requires %s.", r.title())
	if r.min > 1 {
		f.Public = strings.TrimSuffix(f.Public, ".") + ", at least " + itoa(r.min) + " times."
	}
	f.Rule = r.id
	v.faults = append(v.faults, f)
}

// title names the element for people: identifier, identifier (slice PIC).
func (r *rule) title() string {
	if r.slice != "" {
		return r.name + " (slice " + r.slice + ")"
	}
	return r.name
}

// items appends the values of the rule's element that an object has.
func (r *rule) items(n Node, items []item) []item {
	if !r.element.Choice {
		var sibling Node
		if r.typ == nil || r.typ.Kind == Primitive {
			sibling = n.Get(r.sibling)
		}
		return appendItems(items, n.Get(r.name), sibling, r.typ)
	}
	for c := n.First(); c.Exists(); c = c.Next() {
		name := c.Name()
		plain := elementName(name)
		m := r.owner.members.find(plain)
		if m == nil || m.element != r.element {
			continue
		}
		switch {
		case len(plain) == len(name):
			items = appendItems(items, c, n.Get("_"+name), m.typ)
		case !n.Get(plain).Exists():
			items = appendItems(items, Node{}, c, m.typ)
		}
	}
	return items
}

func appendItems(items []item, value, sibling Node, t *Type) []item {
	if value.Kind() != KindArray && sibling.Kind() != KindArray {
		if value.Exists() || sibling.Exists() {
			items = append(items, item{value, sibling, resourceType(value, t)})
		}
		return items
	}
	items = slices.Grow(items, max(value.Len(), sibling.Len()))
	a, b := value.First(), sibling.First()
	for a.Exists() || b.Exists() {
		items = append(items, item{a, b, resourceType(a, t)})
		a, b = a.Next(), b.Next()
	}
	return items
}

// resourceType is a resource's own type where the element takes any.
func resourceType(n Node, t *Type) *Type {
	if t != nil && t.Kind == Resource && t.Abstract {
		return Definitions().Type(n.Type())
	}
	return t
}

// sliced puts each item into its slice and checks the slices.
func (v *validator) sliced(n Node, items []item, r *rule) {
	marks := r.marks(v.profiles)
	var space [8]item
	placed := make([]int, len(items)) // the slice of each item, -1 for none
	sizes := make([]int, len(marks))
	for i, it := range items {
		placed[i] = slices.IndexFunc(marks, func(m []mark) bool { return v.inSlice(it, r.slicing, m) })
		if k := placed[i]; k >= 0 {
			sizes[k]++
		}
	}
	for k, s := range r.slices {
		if marks[k] == nil {
			continue // Check tells that it can't be told from the others
		}
		of := slices.Grow(space[:0], sizes[k])
		for i, it := range items {
			if placed[i] == k {
				of = append(of, it)
			}
		}
		v.count(n, of, s)
		if len(s.slices) > 0 {
			v.sliced(n, of, s)
		}
		for _, it := range of {
			v.content(it, s)
		}
	}
	v.places(items, placed, r, slices.ContainsFunc(marks, func(m []mark) bool { return m == nil }))
}

// places checks what the slicing says of items in no slice and of the slices' order.
func (v *validator) places(items []item, placed []int, r *rule, blind bool) {
	last := -1
	for i, k := range placed {
		switch {
		case k < 0 && blind: // it may be of a slice that can't be told
		case k < 0 && r.slicing.closed:
			v.broken(CodeSlice, items[i].node(), r, "This item is in none of the slices that the profile allows: %s.", r.sliceNames())
		case k < 0:
			if r.slicing.openAtEnd {
				last = len(r.slices)
			}
		case k < last && (r.slicing.ordered || last == len(r.slices)):
			v.broken(CodeSlice, items[i].node(), r, "The profile wants this item, of slice %s, further in front.", r.slices[k].slice)
		case r.slicing.ordered:
			last = k
		}
	}
}

func (r *rule) sliceNames() string {
	names := make([]string, len(r.slices))
	for i, s := range r.slices {
		names[i] = s.slice
	}
	return strings.Join(names, ", ")
}

// limits checks fixed values, patterns, codes and limits.
func (v *validator) limits(it item, r *rule) {
	n := it.node()
	if r.fixed.Exists() && !equal(n, r.fixed) {
		v.broken(CodeFixed, n, r, "The profile wants exactly %s here.", r.fixed.shown())
	}
	if r.pattern.Exists() && !holds(n, r.pattern) {
		v.broken(CodeFixed, n, r, "The profile wants at least %s here.", r.pattern.shown())
	}
	if r.set != nil && it.value.Exists() && !inSet(n, r.set) {
		v.broken(CodeBinding, n, r, "The code isn't in the value set %s, which the profile requires.", r.setURL)
	}
	if r.maxLength > 0 && n.Kind() == KindString && utf8.RuneCountInString(n.Text()) > r.maxLength {
		v.broken(CodeLimit, n, r, "The profile allows %d characters here.", r.maxLength)
	}
	if r.least.Exists() && order(n, r.least) < 0 {
		v.broken(CodeLimit, n, r, "The profile allows nothing below %s here.", r.least.shown())
	}
	if r.most.Exists() && order(n, r.most) > 0 {
		v.broken(CodeLimit, n, r, "The profile allows nothing above %s here.", r.most.shown())
	}
}

// shown is a value that a profile fixes, for texts; it comes from the definition, never from a resource.
func (n Node) shown() string { return string(n.Append(nil)) }

// order compares numbers, and dates as far as both say; 0 for what has no order.
func order(a, b Node) int {
	if a.Kind() == KindNumber && b.Kind() == KindNumber {
		return orderNumbers(a.Text(), b.Text())
	}
	if a.Kind() != KindString || b.Kind() != KindString {
		return 0
	}
	x, y := a.Text(), b.Text()
	most := min(len(x), len(y), len("2026-01-01")) // times have zones; the day decides
	return strings.Compare(x[:most], y[:most])
}

// orderNumbers compares exactly; numbers with an exponent, whose digits nobody could write down, as nearly as a float64.
func orderNumbers(a, b string) int {
	if strings.ContainsAny(a+b, "eE") {
		x, _ := strconv.ParseFloat(a, 64) // beyond its range it is infinite, and ordered all the same
		y, _ := strconv.ParseFloat(b, 64)
		return cmp.Compare(x, y)
	}
	x, okA := new(big.Rat).SetString(a)
	y, okB := new(big.Rat).SetString(b)
	if !okA || !okB {
		return 0
	}
	return x.Cmp(y)
}

// typed checks the types that the profile leaves open, and the profiles that they must have. Where the type itself is
// another it says so: the rules for the parts are then for something else.
func (v *validator) typed(it item, r *rule) bool {
	if len(r.types) == 0 || it.typ == nil {
		return true
	}
	allowed := func(t *typeRule) bool { return t.code == it.typ.Name || v.defs.isA(it.typ.Name, t.code) }
	i := slices.IndexFunc(r.types, allowed)
	if it.typ.Kind == Backbone {
		i = 0
	}
	if i < 0 {
		v.broken(CodeChoice, it.node(), r, "The profile doesn't allow the type %s here, only %s.", it.typ.Name, r.typeNames())
		return false
	}
	t := r.types[i]
	switch {
	case len(t.profiles) == 1:
		if c := t.profiles[0].profile(v.profiles); c != nil && it.value.Exists() {
			v.conforms(it.value, it.typ, c)
		}
	case len(t.profiles) > 1 && it.value.Exists() && !v.conformsToOne(it.value, t.profiles):
		v.broken(CodeConform, it.value, r, "This has none of the profiles that are allowed here: %s.", refNames(t.profiles))
	}
	if len(t.targets) > 0 && it.value.Kind() == KindObject {
		v.target(it.value, t, r)
	}
	return true
}

func (r *rule) typeNames() string {
	names := make([]string, len(r.types))
	for i, t := range r.types {
		names[i] = t.code
	}
	return strings.Join(names, ", ")
}

func refNames(refs []*profileRef) string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = lastSegment(r.url)
	}
	return strings.Join(names, ", ")
}

// target checks what a reference leads to.
func (v *validator) target(n Node, t *typeRule, r *rule) {
	if t.code != "Reference" {
		return
	}
	found := v.bundle.Resolve(n)
	typ := found.Type()
	if !found.Exists() {
		typ = referredType(n)
	}
	if typ == "" {
		return
	}
	named := func(ref *profileRef) bool {
		if b := ref.baseType(); b != nil {
			return v.defs.isA(typ, b.Name)
		}
		c := ref.profile(v.profiles)
		return c == nil || c.typ == nil || v.defs.isA(typ, c.typ.Name)
	}
	switch {
	case !slices.ContainsFunc(t.targets, named):
		v.broken(CodeTarget, n, r, "The profile lets %s refer to %s only.", r.name, refNames(t.targets))
	case found.Exists() && !v.conformsToOne(found, t.targets):
		f := v.broken(CodeConform, n, r, "What is referred to has none of the profiles that are allowed here: %s. Check it against one of them to see why.", refNames(t.targets))
		if f != nil {
			v.echoes = append(v.echoes, echo{f, found, t.targets})
		}
	}
}

// referredType is the resource type that a reference names without leading there; "" for none.
func referredType(n Node) string {
	url, _, _ := strings.Cut(n.Get("reference").Text(), "/_history/")
	if parts := strings.Split(url, "/"); len(parts) >= 2 {
		if t := Definitions().Type(parts[len(parts)-2]); t != nil && t.Kind == Resource {
			return t.Name
		}
	}
	if t := Definitions().Type(n.Get("type").Text()); t != nil {
		return t.Name
	}
	return ""
}

func (v *validator) invariants(it item, r *rule) {
	n := it.node()
	for i := range r.invariants {
		c := &r.invariants[i]
		if c.plain != nil && it.value.Kind() == KindString && c.plain(n.Text()) {
			continue
		}
		ok, err := c.expression.holds(n, it.typ, v.bundle)
		rule := r.id + "#" + c.key
		switch {
		case err != nil && c.grade == contracts.GradeError: // nobody knows that it holds
			v.brokenRule(CodeExpression, n, rule, "The profile's invariant %s can't be evaluated here.", c.key)
		case err != nil:
			v.remark(contracts.GradeWarning, CodeExpression, n, rule, "The profile's invariant %s can't be evaluated here.", c.key)
		case ok:
		case c.grade == contracts.GradeWarning:
			v.remark(c.grade, CodeInvariant, n, rule, "%s", c.says())
		default:
			v.brokenRule(CodeInvariant, n, rule, "%s", c.says())
		}
	}
}

func (c *profileInvariant) says() string {
	if c.human == "" {
		return "The profile's invariant " + c.key + " doesn't hold."
	}
	return c.human
}

// isA says whether a type is another or has it as a base.
func (d *Defs) isA(name, base string) bool {
	for t := d.types[name]; t != nil; t = d.types[t.Base] {
		if t.Name == base {
			return true
		}
	}
	return false
}

// equal says whether two values are equal: members in any order, items in theirs.
func equal(a, b Node) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case KindObject:
		if a.Len() != b.Len() {
			return false
		}
		for m := b.First(); m.Exists(); m = m.Next() {
			if !equal(a.Get(m.Name()), m) {
				return false
			}
		}
		return true
	case KindArray:
		x, y := a.First(), b.First()
		for ; x.Exists() && y.Exists(); x, y = x.Next(), y.Next() {
			if !equal(x, y) {
				return false
			}
		}
		return x.Exists() == y.Exists()
	}
	return a.Text() == b.Text()
}

// holds says whether a value has all that a pattern has; items of the pattern stand anywhere in a list.
func holds(n, pattern Node) bool {
	switch pattern.Kind() {
	case KindObject:
		for m := pattern.First(); m.Exists(); m = m.Next() {
			if !holds(n.Get(m.Name()), m) {
				return false
			}
		}
		return n.Kind() == KindObject
	case KindArray:
		for want := pattern.First(); want.Exists(); want = want.Next() {
			found := false
			for have := n.First(); have.Exists() && !found; have = have.Next() {
				found = holds(have, want)
			}
			if !found {
				return false
			}
		}
		return n.Kind() == KindArray
	}
	return n.Kind() == pattern.Kind() && n.Text() == pattern.Text()
}

// inSet says whether a code, Coding, Quantity or CodeableConcept has a code of the set.
func inSet(n Node, set *valueSet) bool {
	if n.Kind() != KindObject {
		return set.any[n.Text()]
	}
	coded := func(c Node) bool {
		return set.has[Code{c.Get("system").Text(), c.Get("code").Text()}]
	}
	if n.Get("code").Exists() || n.Get("system").Exists() {
		return coded(n)
	}
	for c := range n.Get("coding").Each() {
		if coded(c) {
			return true
		}
	}
	return false
}

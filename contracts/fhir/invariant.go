package fhir

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// invariant is a rule of the specification that ties elements together. Where it stands and how much it weighs the
// schema says (r4.txt); what it means is a function here, and a test compares each with the FHIRPath expression that
// the specification has for it.
type invariant struct {
	where string // a type, or Type.element
	key   string
	holds check  // nil where a structural check tells it, with the key as the fault's rule
	text  string // what to do, in our words
	grade contracts.Grade
	once  bool // told once for all resources, as a note
}

// check says whether a rule is kept at a node. Elements that the type requires may be taken for granted, since their
// absence is another fault.
type check func(b *Bundle, n Node) bool

// allInvariants are the functions of all areas.
func allInvariants() iter.Seq[invariant] {
	return func(yield func(invariant) bool) {
		for _, area := range [][]invariant{structuralInvariants, dataTypeInvariants(), resourceInvariants(), careInvariants(),
			conformanceInvariants(), structureDefinitionInvariants(), testInvariants()} {
			for _, i := range area {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// structuralInvariants are those that the checks of structure and references tell.
var structuralInvariants = []invariant{
	{where: "Element", key: ruleContent},
	{where: "Reference", key: ruleContained},
	{where: "Bundle", key: ruleDistinctURL},
	{where: "Bundle", key: ruleComposition},
	{where: "Bundle", key: ruleHeader},
}

const (
	ruleContent     = "ele-1"
	ruleContained   = "ref-1"
	ruleDistinctURL = "bdl-7"
	ruleComposition = "bdl-11"
	ruleHeader      = "bdl-12"
)

// standing gives the invariant of a line of the schema.
func standing(all map[[2]string]invariant, where, cells string) invariant {
	key, grade, _ := strings.Cut(cells, "\t")
	i := all[[2]string{where, key}]
	switch {
	case i.once:
		i.grade = contracts.GradeNote
	case grade == "w":
		i.grade = contracts.GradeWarning
	}
	return i
}

func (v *validator) baseInvariants(n Node, rules []invariant) {
	for i := range rules {
		rule := &rules[i]
		if rule.holds(v.bundle, n) {
			continue
		}
		if rule.once {
			v.told(n, rule)
			continue
		}
		f := v.fault(CodeInvariant, n, "%s", rule.text)
		f.Rule, f.Grade = rule.key, rule.grade
	}
}

// told keeps the first place of a rule that nearly every resource breaks; told for each, it would hide all else.
func (v *validator) told(n Node, rule *invariant) {
	if !n.isContained() && !v.once.at.Exists() {
		v.once.at, v.once.rule = n, rule
	}
}

func (v *validator) tellOnce() {
	if v.once.at.Exists() {
		f := v.fault(CodeInvariant, v.once.at, "%s", v.once.rule.text)
		f.Rule, f.Grade = v.once.rule.key, v.once.rule.grade
	}
}

// What follows are the words in which the rules are written. A name is an element's; value[x] stands for whichever
// type it has. A primitive element exists too where only its `_name` does.

// has says whether an object has the element.
func has(n Node, name string) bool {
	choice, isChoice := strings.CutSuffix(name, "[x]")
	for c := n.First(); c.Exists(); c = c.Next() {
		got := elementName(c.Name())
		if got == name || isChoice && len(got) > len(choice) && got[:len(choice)] == choice && got[len(choice)] <= 'Z' {
			return true
		}
	}
	return false
}

// count is how many values the elements have together.
func count(n Node, names ...string) int {
	total := 0
	for _, name := range names {
		switch c := n.Get(name); {
		case c.Kind() == KindArray:
			total += c.Len()
		case has(n, name):
			total++
		}
	}
	return total
}

// each gives all nodes at a path, lists opened.
func each(n Node, path ...string) iter.Seq[Node] {
	return func(yield func(Node) bool) { walk(n, path, yield) }
}

func walk(n Node, path []string, yield func(Node) bool) bool {
	if len(path) == 0 {
		return yield(n)
	}
	for c := range n.Get(path[0]).Each() {
		if !walk(c, path[1:], yield) {
			return false
		}
	}
	return true
}

func anyOf(names ...string) check {
	return func(_ *Bundle, n Node) bool {
		return slices.ContainsFunc(names, func(name string) bool { return has(n, name) })
	}
}

func allOf(names ...string) check {
	return func(_ *Bundle, n Node) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !has(n, name) })
	}
}

func noneOf(names ...string) check {
	return func(_ *Bundle, n Node) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return has(n, name) })
	}
}

// oneOf allows exactly one of the elements, notBoth at most one of two.
func oneOf(a, b string) check {
	return func(_ *Bundle, n Node) bool { return has(n, a) != has(n, b) }
}

func notBoth(a, b string) check {
	return func(_ *Bundle, n Node) bool { return !has(n, a) || !has(n, b) }
}

// together allows both elements or neither.
func together(a, b string) check {
	return func(_ *Bundle, n Node) bool { return has(n, a) == has(n, b) }
}

// needs allows a only beside b.
func needs(a, b string) check {
	return func(_ *Bundle, n Node) bool { return !has(n, a) || has(n, b) }
}

// is asks for one of the codes, isnt for another value than these; both want a value.
func is(name string, codes ...string) check {
	return func(_ *Bundle, n Node) bool { return slices.Contains(codes, textOf(n, name)) }
}

func isnt(name string, codes ...string) check {
	return func(_ *Bundle, n Node) bool {
		got := textOf(n, name)
		return got != "" && !slices.Contains(codes, got)
	}
}

func textOf(n Node, name string) string { return n.Get(name).Text() }

func both(rules ...check) check {
	return func(b *Bundle, n Node) bool {
		return !slices.ContainsFunc(rules, func(r check) bool { return !r(b, n) })
	}
}

func either(rules ...check) check {
	return func(b *Bundle, n Node) bool {
		return slices.ContainsFunc(rules, func(r check) bool { return r(b, n) })
	}
}

// all wants the rule of each node at the path; dots between its names.
func all(path string, rule check) check {
	for _, name := range slices.Backward(strings.Split(path, ".")) {
		rule = allItems(name, rule)
	}
	return rule
}

// allItems doesn't go through each, which would allocate for every resource that is checked.
func allItems(name string, rule check) check {
	return func(b *Bundle, n Node) bool {
		c := n.Get(name)
		if c.Kind() != KindArray {
			return !c.Exists() || rule(b, c)
		}
		for i := c.First(); i.Exists(); i = i.Next() {
			if !rule(b, i) {
				return false
			}
		}
		return true
	}
}

// some wants it of one of them.
func some(path string, rule check) check { return not(all(path, not(rule))) }

// inside asks the rule of one element, absent or not.
func inside(name string, rule check) check {
	return func(b *Bundle, n Node) bool { return rule(b, n.Get(name)) }
}

// coded says whether a concept has a coding of the system with one of the codes.
func coded(name, system string, codes ...string) check {
	return some(name+".coding", both(is("system", system), is("code", codes...)))
}

func not(rule check) check {
	return func(b *Bundle, n Node) bool { return !rule(b, n) }
}

// starts says whether the text of an element begins with one of these.
func starts(name string, prefixes ...string) check {
	return func(_ *Bundle, n Node) bool {
		got := textOf(n, name)
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(got, p) })
	}
}

// distinct allows no text twice among those that names hold, joined, in the nodes at the path. A node without any of
// them isn't counted.
func distinct(path string, names ...string) check {
	steps := strings.Split(path, ".")
	return func(_ *Bundle, n Node) bool {
		var seen texts
		return walk(n, steps, func(c Node) bool {
			text := textOf(c, names[0])
			for _, name := range names[1:] {
				text += textOf(c, name)
			}
			return text == "" || seen.add(text)
		})
	}
}

// texts is a set of texts: a few stand in a list, many in a map, so that no resource makes it slow.
type texts struct {
	few  []string
	many map[string]bool
}

const manyTexts = 16

func (t *texts) has(s string) bool { return t.many[s] || slices.Contains(t.few, s) }

// add puts s into the set and says whether it is new there.
func (t *texts) add(s string) bool {
	if t.has(s) {
		return false
	}
	if len(t.few) < manyTexts {
		t.few = append(t.few, s)
		return true
	}
	if t.many == nil {
		t.many = map[string]bool{}
	}
	t.many[s] = true
	return true
}

// named is the name that programs can use.
func named(where, key string) invariant {
	return invariant{where: where, key: key, holds: computable, text: "Write name with a capital letter first, then only letters, digits and _ (255 at most); put words for people into title."}
}

func computable(_ *Bundle, n Node) bool {
	name := n.Get("name")
	if !name.Exists() {
		return true
	}
	s := name.Text()
	if s == "" || len(s) > 255 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// integer is the text of an element as FHIRPath's toInteger reads it.
func integer(n Node) (i int64, ok bool) {
	i, err := strconv.ParseInt(n.Text(), 10, 32)
	return i, err == nil
}

// number is the value of a decimal; ok is false for anything else.
func number(n Node) (f float64, ok bool) {
	if n.Kind() != KindNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Text(), 64)
	return f, err == nil
}

// inOrder wants that the first date isn't after the second. Dates of unlike precision of which neither is surely later
// keep the rule: a period that ends 2026-03 holds all of March (R4, datatypes.html, Period).
func inOrder(first, second string) check {
	return func(_ *Bundle, n Node) bool {
		a, b := textOf(n, first), textOf(n, second)
		return a == "" || b == "" || !after(a, b)
	}
}

// after says whether a is surely later than b, both of them dates or times as FHIR writes them.
func after(a, b string) bool {
	const day = len("2026-03-02")
	if len(a) > day && len(b) > day {
		timeA, errA := time.Parse(time.RFC3339, a)
		timeB, errB := time.Parse(time.RFC3339, b)
		if errA == nil && errB == nil {
			return timeA.After(timeB)
		}
	}
	a, b = a[:min(len(a), day)], b[:min(len(b), day)]
	same := min(len(a), len(b))
	return a[:same] > b[:same]
}

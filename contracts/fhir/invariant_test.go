package fhir

import (
	"bufio"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// published is an invariant as the specification has it.
type published struct{ where, key, grade, expression string }

func publishedInvariants(t testing.TB) (all []published) {
	f, err := os.Open("testdata/invariants.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		all = append(all, published{c[0], c[1], c[2], c[3]})
	}
	if len(all) < 200 {
		t.Fatalf("only %d invariants", len(all))
	}
	return all
}

// corrected are expressions that don't say what the specification means, or that the library reads otherwise, each
// with the reason, and one that does. A key without an expression is judged by cases of its own instead.
var corrected = map[string]struct{ expression, why string }{
	"ElementDefinition eld-11": {"binding.empty() or type.code.empty() or type.where((code = 'code') or (code = 'Coding') or (code='CodeableConcept') or (code = 'Quantity') or (code = 'string') or (code = 'uri')).exists()",
		"select gives a boolean for each type, so the published one never breaks"},
	"Period per-1":             {"iif(start > end, false, true)", "dates that can't be compared would be refused, against datatypes.html, Period"},
	"MedicationDispense mdd-1": {"iif(whenHandedOver < whenPrepared, false, true)", "likewise"},
	"Task inv-1":               {"iif(lastModified < authoredOn, false, true)", "likewise"},
	"Reference ref-1": {"reference.empty() or reference = '#' or reference.startsWith('#').not() or reference.substring(1) in %rootResource.contained.id",
		"a Reference without reference would be refused, and # is the container (references.html, contained)"},
	"Bundle.entry bdl-8":              {"fullUrl.empty() or fullUrl.contains('/_history/').not()", "an entry without fullUrl would be refused"},
	"MessageDefinition.focus md-1":    {"max.empty() or max = '*' or max.toInteger() > 0", "a focus without max would be refused"},
	"RiskAssessment.prediction ras-2": {"", "the library takes no JSON number for a decimal, and a prediction without probability would be refused"},
	"ChargeItemDefinition cid-0":      {"", "R4 gives the type no name"},
	"CodeSystem csd-1":                {"concept.code.combine(%resource.descendants().concept.code).isDistinct()", "the library takes $this in an argument for what stands before the dot"},
	"Condition con-3": {"clinicalStatus.exists() or verificationStatus.coding.where(system='http://terminology.hl7.org/CodeSystem/condition-ver-status' and code = 'entered-in-error').exists() or category.coding.where(system='http://terminology.hl7.org/CodeSystem/condition-category' and code='problem-list-item').empty()",
		"a concept is no text; later releases compare its coding"},
	"DomainResource dom-3": {"contained.where((('#'+id in %resource.descendants().reference) or descendants().where(reference = '#').exists()).not()).empty()",
		"the library takes any text for an address; addresses have cases of their own"},
	"TestScript.metadata tst-4": {"", "required and validated must be there anyway, so it breaks beside FHIR-013 only"},
	"Range rng-2":               {"", "the library compares no quantities"},
	"Narrative.div txt-1":       {"", "htmlChecks() says nothing of its own"},
	"Narrative.div txt-2":       {"", "htmlChecks() says nothing of its own"},
	"ElementDefinition eld-19":  {"", "the library refuses the pattern"},
	"ElementDefinition eld-20":  {"", "the library refuses the pattern"},
}

// nameRule is what stands on 29 types. Its pattern means the whole name (later releases anchor it), and a name that
// isn't there is no bad name (they say so too).
const nameRule = "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')"

func TestInvariantsHaveFunctions(t *testing.T) {
	have := map[[2]string]invariant{}
	for i := range allInvariants() {
		key := [2]string{i.where, i.key}
		if _, twice := have[key]; twice {
			t.Errorf("%s %s stands twice", i.where, i.key)
		}
		if i.holds != nil && (i.text == "" || !strings.HasSuffix(i.text, ".")) {
			t.Errorf("%s %s doesn't say what to do", i.where, i.key)
		}
		have[key] = i
	}
	for _, p := range publishedInvariants(t) {
		key := [2]string{p.where, p.key}
		if _, ok := have[key]; !ok {
			t.Errorf("no function for %s %s", p.where, p.key)
		}
		delete(have, key)
	}
	for key := range have {
		t.Errorf("the specification has no %s", key)
	}
}

// Each function agrees with the library's reading of the specification's expression, on resources made at random.
func TestInvariantsAgreeWithTheLibrary(t *testing.T) {
	rules := map[[2]string]invariant{}
	for i := range allInvariants() {
		rules[[2]string{i.where, i.key}] = i
	}
	ways := waysThere()
	for _, p := range publishedInvariants(t) {
		rule := rules[[2]string{p.where, p.key}]
		if p.expression == nameRule {
			p.expression = "name.empty() or name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')"
		}
		if c, ok := corrected[p.where+" "+p.key]; ok {
			p.expression = c.expression
		}
		if p.expression == "" {
			continue
		}
		t.Run(p.where+" "+p.key, func(t *testing.T) { agree(t, rule, p.expression, ways) })
	}
}

const enough, most = 12, 600

func agree(t *testing.T, rule invariant, text string, ways map[string]way) {
	e, err := CompileExpression(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	m := newMaker(rule.where+"."+text, ways)
	verdicts := map[bool]int{}
	for trial := 0; trial < most && (verdicts[true] < enough || verdicts[false] < enough); trial++ {
		root := m.resource(rule.where)
		b := NewBundle(root)
		for _, n := range placesOf(root, rule.where) {
			want, err := e.holds(n, typeOf(n), b)
			if err != nil && strings.Contains(contracts.FaultsOf(err)[0].Err.Error(), "ambiguous comparison") {
				want, err = true, nil // dates of which none is surely the later one
			}
			if err != nil {
				t.Fatalf("%v: %v\n%s", err, contracts.FaultsOf(err)[0].Err, root.Append(nil))
			}
			verdicts[want]++
			if got := kept(rule, b, n); got != want {
				t.Fatalf("at %s\ngot  %v\nwant %v by %s\n%s", n.Place(), got, want, text, root.Append(nil))
			}
		}
	}
	for _, verdict := range []bool{true, false} {
		if verdicts[verdict] == 0 {
			t.Errorf("never seen %v by %s", verdict, text)
		}
	}
}

// kept is our verdict: the function's, or that of the check that tells the rule.
func kept(rule invariant, b *Bundle, n Node) bool {
	if rule.holds != nil {
		return rule.holds(b, n)
	}
	return !slices.ContainsFunc(Validate(n.Tree()), func(f *contracts.Fault) bool {
		return f.Rule == rule.key && (f.At == n.Place() || rule.where == "Bundle")
	})
}

// way is how one comes to a type: the element of another type that holds it.
type way struct {
	from    string
	element *Element
}

// waysThere finds the shortest way to each type from a resource.
func waysThere() map[string]way {
	defs := Definitions()
	ways := map[string]way{"DomainResource": {}, "Element": {}}
	queue := slices.Clone(defs.Resources())
	for _, r := range queue {
		ways[r] = way{}
	}
	for len(queue) > 0 {
		t := defs.Type(queue[0])
		queue = queue[1:]
		for i := range t.Elements {
			e := &t.Elements[i]
			for _, name := range e.Types {
				if _, ok := ways[name]; !ok && name != "Resource" {
					ways[name] = way{t.Name, e}
					queue = append(queue, name)
				}
			}
		}
	}
	return ways
}

// placesOf gives all nodes where an invariant of that type or element stands.
func placesOf(root Node, where string) (found []Node) {
	typ, element := where, ""
	if Definitions().Type(where) == nil {
		typ, element, _ = cutLast(where)
	}
	var visit func(n Node)
	visit = func(n Node) {
		for c := range n.Each() {
			t := typeOf(c)
			if isA(t, typ) {
				if element == "" {
					found = append(found, c)
				} else {
					for i := range t.Elements {
						if e := &t.Elements[i]; e.Name == element {
							for _, name := range e.Types {
								found = slices.AppendSeq(found, c.Get(e.JSON(name)).Each())
							}
						}
					}
				}
			}
			for m := range c.Children() {
				visit(m)
			}
		}
	}
	visit(root)
	return found
}

func isA(t *Type, name string) bool {
	for ; t != nil; t = Definitions().Type(t.Base) {
		if t.Name == name {
			return t.Kind != Primitive || name != "Element"
		}
	}
	return false
}

// maker makes resources at random: the elements that an expression names now there and now not, with values that it
// names, and hardly anything else.
type maker struct {
	rng    *rand.Rand
	ways   map[string]way
	named  map[string]bool
	values []string
	tree   Tree
}

var (
	literals = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'`)
	words    = regexp.MustCompile(`[A-Za-z]+`)
)

func newMaker(expression string, ways map[string]way) *maker {
	m := &maker{rng: rand.New(rand.NewPCG(1, 2)), ways: ways, named: map[string]bool{}, values: []string{"a", "b"}}
	for _, l := range literals.FindAllStringSubmatch(expression, -1) {
		if l[1] != "#" {
			m.values = append(m.values, l[1])
		}
	}
	for _, w := range words.FindAllString(literals.ReplaceAllString(expression, ""), -1) {
		m.named[w] = true
	}
	if m.named["resolve"] {
		m.named["reference"], m.named["id"] = true, true
	}
	if m.named["matches"] {
		m.values = append(m.values, "A", "Aa1_")
	}
	if m.named["ucum"] {
		m.values = append(m.values, ucum, ucum, ucum)
	}
	return m
}

func (m *maker) chance(percent int) bool { return m.rng.IntN(100) < percent }

func pick[T any](m *maker, list []T) T { return list[m.rng.IntN(len(list))] }

// resource makes one that has the place.
func (m *maker) resource(where string) Node {
	if Definitions().Type(where) == nil {
		where, _, _ = cutLast(where)
	}
	need := map[string]*Element{}
	top := where
	for w := m.ways[top]; w.element != nil; w = m.ways[top] {
		need[w.from] = w.element
		top = w.from
	}
	switch top {
	case "DomainResource", "Element":
		top = "Patient"
	}
	root := m.tree.Reset(top)
	m.fill(root, Definitions().Type(top), need, 4)
	return root
}

func (m *maker) fill(n Node, typ *Type, need map[string]*Element, depth int) {
	for i := range typ.Elements {
		e := &typ.Elements[i]
		base := strings.TrimSuffix(e.Name, "[x]")
		likely := 0
		switch {
		case e.Min > 0 || need[typ.Name] == e:
			likely = 100
		case depth <= 0 || e.Name == "modifierExtension" || e.Name == "language" || e.Name == "implicitRules":
		case m.named[base]:
			likely = 55
		case e.Name == "id":
			likely = 20
		case m.named["resolve"] && e.Name == "contained", (m.named["resolve"] || m.named["descendants"]) && e.Types[0] == "Reference":
			likely = 40
		case depth > 2 && e.Name != "extension" && e.Name != "contained":
			likely = 3
		}
		if !m.chance(likely) {
			continue
		}
		name := pick(m, e.Types)
		if w, ok := m.wanted(e, need); ok {
			name = w
		}
		if e.List() {
			list := n.Array(e.JSON(name))
			for range 1 + m.rng.IntN(3) {
				m.put(list.Push(Null()), typ, e, name, need, depth)
			}
		} else {
			m.put(n.Add(e.JSON(name), Null()), typ, e, name, need, depth)
		}
	}
	if !n.First().Exists() {
		n.Add("id", String("x"))
		if e := typ.Element("text"); e != nil && len(e.Types) == 1 && e.Types[0] == "string" {
			n.Add("text", String("x"))
		} else if !m.named["id"] {
			n.Array("extension").Push(Object()).Add("url", String("urn:x"))
		}
	}
}

// wanted is the type of a choice on the way to the place.
func (m *maker) wanted(e *Element, need map[string]*Element) (string, bool) {
	for _, name := range e.Types {
		if need[name] != nil && m.ways[name].element == e {
			return name, true
		}
	}
	return "", false
}

func (m *maker) put(n Node, owner *Type, e *Element, name string, need map[string]*Element, depth int) {
	t := Definitions().Type(name)
	switch {
	case t.Kind == Primitive:
		n.Put(m.primitive(e, name))
	case t.Kind == Resource:
		n.Put(Object())
		rt := pick(m, []string{"Patient", "Practitioner", "Composition", "MessageHeader", "Basic"})
		n.Add("resourceType", String(rt))
		m.fill(n, Definitions().Type(rt), nil, min(depth-1, 2))
	default:
		n.Put(Object())
		if m.ways[name].element != e {
			need = nil
		}
		m.fill(n, t, need, depth-1)
	}
}

func (m *maker) primitive(e *Element, typ string) Value {
	if codes := e.Codes(); codes != nil {
		for range 3 {
			if v := pick(m, m.values); e.HasCode("", v) && m.chance(60) {
				return String(v)
			}
		}
		return String(pick(m, codes).Code)
	}
	if e.Name == "reference" && typ == "string" {
		return String(pick(m, []string{"#a", "#a", "#b", "#", "Patient/a"}))
	}
	switch typ {
	case "boolean":
		return Bool(m.chance(50))
	case "decimal":
		return Number(pick(m, []string{"-1", "0", "1", "1.5", "2.0", "100", "101"}))
	case "integer":
		return Number(pick(m, []string{"-1", "0", "1", "2"}))
	case "unsignedInt", "positiveInt":
		return Number(pick(m, []string{"1", "2", "3"}))
	case "date":
		return String(pick(m, []string{"2026", "2026-03", "2026-03-02", "2026-03-03", "2025-12-31"}))
	case "dateTime":
		return String(pick(m, []string{"2026", "2025-12", "2026-03", "2026-03-02", "2026-03-03", "2026-03-02T10:00:00Z", "2026-03-02T11:00:00+02:00"}))
	case "instant":
		return String("2026-03-02T10:00:00Z")
	case "time":
		return String("10:00:00")
	case "id":
		return String(pick(m, []string{"a", "b", "c"}))
	case "base64Binary":
		return String("YWJj")
	case "xhtml":
		return String(`<div xmlns="http://www.w3.org/1999/xhtml">a</div>`)
	}
	if m.named["startsWith"] || m.named["contains"] || m.named["matches"] {
		return String(pick(m, m.values) + pick(m, []string{"", "", "a", ".a", "A", "/1", "-a"}))
	}
	return String(pick(m, m.values))
}

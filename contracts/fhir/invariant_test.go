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

// rulesOf gives rule and place of each fault that names a rule, warnings with a ? behind, without the note on
// narratives.
func rulesOf(t *testing.T, in string) string {
	t.Helper()
	tree, err := Parse([]byte(in))
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	var got []string
	for _, f := range Validate(tree) {
		switch {
		case f.Rule == "" || f.Grade == contracts.GradeNote:
		case f.Grade == contracts.GradeWarning:
			got = append(got, f.Rule+" "+f.At+"?")
		default:
			got = append(got, f.Rule+" "+f.At)
		}
	}
	return strings.Join(got, "; ")
}

// What the library can't judge, and what resources made at random don't hold.
func TestInvariantsByHand(t *testing.T) {
	period := func(start, end string) string {
		return `{"resourceType":"Patient","name":[{"family":"A","period":{"start":"` + start + `","end":"` + end + `"}}]}`
	}
	ranged := func(low, high string) string {
		return `{` + obs + `,"valueRange":{"low":{` + low + `},"high":{` + high + `}}}`
	}
	path := func(p string) string {
		return `{"resourceType":"StructureDefinition","url":"urn:x","name":"A","status":"draft","kind":"logical","abstract":true,"type":"T",
			"differential":{"element":[{"id":"1","path":"T"},{"id":"2","path":"T.` + p + `"}]}}`
	}
	contained := func(id, uses string) string {
		return `{` + task + `,"contained":[{"resourceType":"ActivityDefinition","id":"` + id + `","status":"draft"` + uses + `}]`
	}
	risk := func(p string) string {
		return `{"resourceType":"RiskAssessment","status":"final","subject":{"display":"x"},"prediction":[{` + p + `}]}`
	}
	for name, row := range map[string]struct{ in, want string }{
		"a period within one month":           {period("2026-03-02", "2026-03"), ""},
		"a period of one day":                 {period("2026-03-02T10:00:00Z", "2026-03-02"), ""},
		"a period that ends the month before": {period("2026-03-02", "2026-02"), "per-1 Patient.name[0].period"},
		"a period over zones":                 {period("2026-03-02T10:00:00+02:00", "2026-03-02T08:00:01Z"), ""},
		"a period that its zones turn":        {period("2026-03-02T10:00:00Z", "2026-03-02T11:00:00+02:00"), "per-1 Patient.name[0].period"},
		"a fraction of a second":              {period("2026-03-02T10:00:00.5Z", "2026-03-02T10:00:00.25Z"), "per-1 Patient.name[0].period"},

		"a range in order":        {ranged(`"value":9,"unit":"kg"`, `"value":10,"unit":"kg"`), ""},
		"a range out of order":    {ranged(`"value":10,"unit":"kg"`, `"value":9,"unit":"kg"`), "rng-2 Observation.valueRange"},
		"a range of other units":  {ranged(`"value":900,"unit":"g"`, `"value":1,"unit":"kg"`), ""},
		"a range by code":         {ranged(`"value":2,"system":"`+ucum+`","code":"g","unit":"x"`, `"value":1,"system":"`+ucum+`","code":"g","unit":"y"`), "rng-2 Observation.valueRange"},
		"a range without a value": {ranged(`"unit":"kg"`, `"value":1,"unit":"kg"`), ""},

		"a path":                        {path("a.b:slice"), "eld-20 StructureDefinition.differential.element[1]?"},
		"a choice in a path":            {path("value[x]"), ""},
		"a path with a blank":           {path("a b"), "eld-19 StructureDefinition.differential.element[1]; eld-20 StructureDefinition.differential.element[1]?"},
		"a path with a capital":         {path("Abc"), "eld-20 StructureDefinition.differential.element[1]?"},
		"a name of 65":                  {path(strings.Repeat("a", 65)), "eld-19 StructureDefinition.differential.element[1]"},
		"a probability above a hundred": {risk(`"probabilityDecimal":100.5`), "ras-2 RiskAssessment.prediction[0]"},
		"a probability of a hundred":    {risk(`"probabilityDecimal":100`), ""},
		"no probability":                {risk(`"rationale":"x"`), ""},
		"a capability of no use": {`{"resourceType":"TestScript","url":"urn:x","name":"A","status":"draft","metadata":{"capability":[{"capabilities":"urn:x"}]}}`,
			"tst-4 TestScript.metadata"},

		"contained and used by an address":    {contained("a", "") + `,"instantiatesCanonical":"#a"}`, ""},
		"contained and named in a text":       {contained("a", "") + `,"description":"#a"}`, "dom-3 Task"},
		"contained and using its container":   {contained("a", `,"library":["#"]`) + `}`, ""},
		"contained and using itself":          {contained("a", `,"subjectReference":{"reference":"#a"}`) + `}`, ""},
		"contained and used by another":       {contained("a", `},{"resourceType":"Basic","id":"b","code":{"text":"x"},"subject":{"reference":"#a"}`) + `,"focus":{"reference":"#b"}}`, ""},
		"one of two used":                     {contained("a", `},{"resourceType":"Basic","id":"b","code":{"text":"x"}`) + `,"focus":{"reference":"#a"}}`, "dom-3 Task"},
		"a reference to what isn't contained": {contained("a", "") + `,"focus":{"reference":"#a"},"for":{"reference":"#b"}}`, "ref-1 Task.for"},

		"an element by its sibling alone": {`{"resourceType":"Patient","contact":[{"name":{"_text":{"extension":[{"url":"urn:x","valueCode":"a"}]}}}]}`, ""},
		"a value by its sibling alone":    {`{` + obs + `,"dataAbsentReason":{"text":"x"},"_valueString":{"extension":[{"url":"urn:x","valueCode":"a"}]}}`, "obs-6 Observation"},
		"a sibling with an id only":       {`{"resourceType":"Patient","_birthDate":{"id":"a"}}`, "ele-1 Patient.birthDate"},
		"a sibling beside its value":      {`{"resourceType":"Patient","birthDate":"2026","_birthDate":{"id":"a"}}`, ""},
		"an object with an id only":       {`{"resourceType":"Patient","name":[{"id":"a"}]}`, "ele-1 Patient.name[0]"},

		"a rule under its own key": {`{"resourceType":"TestScript","url":"urn:x","name":"A","status":"draft","test":[{"action":[{"operation":{"encodeRequestUrl":true}}]}]}`,
			"tst-8 TestScript.test[0].action[0].operation"},
		"two entries of one fullUrl": {`{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:x:1","resource":{"resourceType":"Patient"}},{"fullUrl":"urn:x:1","resource":{"resourceType":"Patient"}}]}`,
			"bdl-7 Bundle.entry[1].fullUrl"},
		"two versions of one resource": {`{"resourceType":"Bundle","type":"history","entry":[` +
			strings.Repeat(`{"fullUrl":"urn:x:1","request":{"method":"GET","url":"x"},"response":{"status":"200"}},`, 2) +
			`{"fullUrl":"urn:x:2","request":{"method":"GET","url":"x"},"response":{"status":"200"}}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rulesOf(t, row.in); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestNarratives(t *testing.T) {
	const head = `<div xmlns="http://www.w3.org/1999/xhtml">`
	for div, want := range map[string]string{
		head + `<p>a &amp; b &#160; &#xA0;</p><br/><hr /></div>`:                                    "",
		head + `<table border="1"><tr><td colspan='2' style="color: red">a</td></tr></table></div>`: "",
		head + `<a href="https://x.example/a?b=c&amp;d=e" name="n">a</a></div>`:                     "",
		head + `<img src="#pic" alt="x"/></div>`:                                                    "",
		head + `<!-- a > b --><b>a</b></div >`:                                                      "",
		"\n" + head + "a</div>\n":                                                                   "",
		`<div lang="fi" xml:lang="fi" xmlns='http://www.w3.org/1999/xhtml'>a<div>b</div></div>`:     "",
		`<div>a</div>`: "txt-1",
		`<div xmlns="http://www.w3.org/2000/svg">a</div>`:         "txt-1",
		head + `<script>a</script></div>`:                         "txt-1",
		head + `<form><input name="a"/></form>a</div>`:            "txt-1",
		head + `<iframe src="https://x.example"></iframe>a</div>`: "txt-1",
		head + `<p onclick="a()">a</p></div>`:                     "txt-1",
		head + `<link rel="stylesheet" href="a.css"/>a</div>`:     "txt-1",
		head + `<a href="javascript:a()">a</a></div>`:             "txt-1",
		head + "<a href=\" java\tscript:a()\">a</a></div>":        "txt-1",
		head + `<a href="&#106;avascript:a()">a</a></div>`:        "txt-1",
		head + `<p href="a">a</p></div>`:                          "txt-1",
		head + `<P>a</P></div>`:                                   "txt-1",
		head + `<p>a</div>`:                                       "txt-1",
		head + `<b><i>a</b></i></div>`:                            "txt-1",
		head + `a`:                                                "txt-1",
		head + `a</div><div>b</div>`:                              "txt-1",
		head + `a</div>b`:                                         "txt-1",
		head + `<p class=a>a</p></div>`:                           "txt-1",
		head + `<p class="a" class="b">a</p></div>`:               "txt-1",
		head + `<td nowrap>a</td></div>`:                          "txt-1",
		head + `a &nbsp; b</div>`:                                 "txt-1",
		head + `a & b</div>`:                                      "txt-1",
		head + `a < b</div>`:                                      "txt-1",
		head + `<!-- a -- b -->a</div>`:                           "txt-1",
		head + `<?php a ?>a</div>`:                                "txt-1",
		head + `</div>`:                                           "txt-2",
		head + " <p>\n</p><!-- a --><br/></div>":                  "txt-2",
		`<div xmlns="http://www.w3.org/1999/xhtml"/>`:             "txt-2",
		`<div/>`:                     "txt-1 txt-2",
		`<div`:                       "txt-1 txt-2",
		head + `<![CDATA[a]]></div>`: "",
	} {
		tree := New("Patient")
		text := tree.Root().Object("text")
		text.Set("status", String("generated"))
		text.Set("div", String(div))
		var got []string
		for _, f := range Validate(tree) {
			got = append(got, f.Rule)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: got %q, want %q", div, got, want)
		}
	}
}

// In large resources too, whose texts stand in a map, what breaks a rule is found at the end.
func TestInvariantsOfLargeResources(t *testing.T) {
	many := func(item string) string {
		var b strings.Builder
		for i := range 1000 {
			b.WriteString(strings.ReplaceAll(item, "$", itoa(i)) + ",")
		}
		return b.String()
	}
	guide := func(last string) string {
		return `{"resourceType":"ImplementationGuide","url":"urn:x","name":"A","status":"draft","packageId":"a","fhirVersion":["4.0.1"],"definition":{"grouping":[` +
			many(`{"id":"g$","name":"x"}`) + `{"id":"g","name":"x"}],"resource":[` + many(`{"reference":{"display":"x"},"groupingId":"g$"}`) +
			`{"reference":{"display":"x"},"groupingId":"` + last + `"}]}}`
	}
	for name, row := range map[string]struct{ in, last, want string }{
		"codes":      {`{"resourceType":"CodeSystem","status":"draft","content":"complete","concept":[` + many(`{"code":"c$"}`) + `{"code":"LAST"}]}`, "c999", "csd-1 CodeSystem"},
		"links":      {`{"resourceType":"Questionnaire","status":"draft","item":[` + many(`{"linkId":"l$","type":"string"}`) + `{"linkId":"LAST","type":"string"}]}`, "l999", "que-2 Questionnaire"},
		"contained":  {`{` + task + `,"contained":[` + many(`{"resourceType":"Patient","id":"p$"}`) + `{"resourceType":"Patient","id":"LAST"}],"note":[` + many(`{"authorReference":{"reference":"#p$"},"text":"x"}`) + `{"authorReference":{"reference":"#new"},"text":"x"}]}`, "p", "ref-1 Task.note[1000].authorReference; dom-3 Task"},
		"components": {`{` + obs[:len(obs)-len(`{"text":"x"}`)] + `{"coding":[` + many(`{"code":"o$"}`) + `{"code":"o"}]},"valueString":"x","component":[` + many(`{"code":{"coding":[{"code":"c$"}]},"valueString":"x"}`) + `{"code":{"coding":[{"code":"LAST"}]},"valueString":"x"}]}`, "o999", "obs-7 Observation"},
		"groupings":  {guide("LAST"), "h", "ig-1 ImplementationGuide.definition"},
	} {
		t.Run(name, func(t *testing.T) {
			good := strings.ReplaceAll(row.in, "LAST", map[bool]string{true: "g", false: "new"}[name == "groupings"])
			if got := rulesOf(t, good); got != "" {
				t.Errorf("got %s", got)
			}
			if got := rulesOf(t, strings.ReplaceAll(row.in, "LAST", row.last)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

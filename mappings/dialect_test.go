package mappings

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// smallFHIR is a map without a mistake whose dialect is FHIR. Each row below puts one in.
const smallFHIR = `silta: map/v1
id: small
version: 0.1.0
title: {en: "Small"}
dialect: {kind: fhir, release: "4.0.1", root: Task, types: [ServiceRequest, Patient, Practitioner], contained: true}
fhir:    {release: "4.0.1", bundle: message, event: "$silta/CodeSystem/event|request"}
names:
  hetu: urn:oid:1.2.246.21
slices:
  HETU: {dialect: {match: "system=$hetu"}, fhir: {match: "system=$hetu", set: "use=official"}}
resources:
  msh:  {type: MessageHeader, from: message, always: true}
  task: {type: Task, from: Task}
  sr:   {type: ServiceRequest, from: "Task.focus -> ServiceRequest"}
  pat:  {type: Patient, from: "Task.for -> Patient"}
  note: {type: Communication, from: "Task.note", each: true, in: task, by: note.about}
links:
  - {fhir: msh.focus, to: task}
  - {fhir: task.focus, to: sr}
  - {fhir: task.for, to: pat}
  - {fhir: sr.subject, to: pat}
const:
  - {dialect: Task.intent, value: order}
  - {dialect: ServiceRequest.intent, value: order}
  - {fhir: task.intent, value: order}
  - {fhir: sr.intent, value: order}
  - {fhir: note.status, value: completed}
  - {fhir: msh.source.endpoint, value: "urn:example:small"}
tables:
  - id: state
    dialect: [Task.status]
    fhir:    [task.status]
    rows:
      - {dialect: [requested], fhir: [requested]}
      - {dialect: [cancelled], fhir: [cancelled]}
rules:
  - {id: ids,     dialect: Task.identifier(*), fhir: task.identifier(*)}
  - {id: status,  dialect: ServiceRequest.status, fhir: sr.status}
  - {id: urgency, dialect: ServiceRequest.priority, fhir: sr.priority, code: urgency}
  - {id: hetu,    dialect: "Patient.identifier[HETU].value", fhir: "pat.identifier[HETU].value"}
  - {id: names,   dialect: Patient.name(*), fhir: pat.name(*)}
  - {id: said,    dialect: it.text, fhir: note.payload(1).contentString}
  - {id: subject, dialect: ServiceRequest.subject, fhir: sr.subject, dir: "<-"}
  - id: reason
    first:
      - {id: coded, dialect: ServiceRequest.reasonCode(1).coding(1), fhir: sr.reasonCode(1).coding(1)}
      - {id: text,  dialect: ServiceRequest.reasonCode(1).text, fhir: sr.reasonCode(1).text}
ignore:
  dialect: {Task.lastModified: "of the server"}
codes:
  urgency: {unmapped: error, map: {routine: routine, urgent: urgent, asap: asap, stat: stat}}
`

func TestMistakesOfFHIRDialects(t *testing.T) {
	if _, faults := catalog(t).CompileFile("small.map.yaml", []byte(smallFHIR)); len(faults) > 0 {
		t.Fatalf("the map without mistakes has some: %v", faults)
	}
	coded := strings.NewReplacer("fhir: sr.priority, code: urgency}", "fhir: sr.priority, code: urgency}\n  - {id: kind, dialect: \"ServiceRequest.code.text\", fhir: \"sr.code.coding(1)\", code: kind}",
		"codes:\n", "codes:\n  kind: {unmapped: error, system: \"urn:example:kinds\", map: {a: b}}\n").Replace(smallFHIR)
	if _, faults := catalog(t).CompileFile("small.map.yaml", []byte(coded)); len(faults) > 0 {
		t.Fatalf("a code map can't say its system: %v", faults)
	}
	eachMistake(t, smallFHIR, []mistake{
		{"a v2 path's key", CodeDialect, "{id: ids,     dialect: Task.identifier(*)", "{id: ids, §v2: PID-3(*)", "FHIR"},
		{"a system of a v2 table", CodeDialect, "fhir: sr.status}", "fhir: sr.status, §system: \"urn:example:s\"}", "FHIR"},
		{"a version", CodeDialect, "fhir: sr.status}", "fhir: sr.status, §since: \"2.5\"}", "FHIR"},
		{"a block", CodeDialect, "const:\n", "§use: [{block: patient@0.1.0, for: pat}]\nconst:\n", "FHIR"},
		{"a nested link", CodeDialect, "dialect: it.text, fhir: note.payload(1).contentString", "dialect: it.text, fhir: note.payload(1), link: §pat", "HL7 v2"},
		{"a kind that isn't there", CodeType, "kind: fhir,", "kind: §json,", "fhir"},
		{"no root", CodeType, `dialect: {kind: fhir, release: "4.0.1", root: Task,`, `dialect: §{kind: fhir, release: "4.0.1",`, "root"},
		{"a root that FHIR lacks", CodeElement, "root: Task,", "root: §Tusk,", `did you mean "Task"`},
		{"a type that FHIR lacks", CodeElement, "types: [ServiceRequest, Patient,", "types: [ServiceRequest, §Patent,", `did you mean "Patient"`},
		{"a type that isn't declared", CodeFrame, "from: \"Task.for -> Patient\"", "from: §\"Task.for -> RelatedPerson\"", "types"},
		{"a frame from nothing", CodePath, "from: \"Task.note\"", "from: §\"Task.note(*)..\"", ""},
		{"a reference that isn't one", CodeTypeClash, "from: \"Task.for -> Patient\"", "from: §\"Task.note -> Patient\"", "reference"},
		{"a reference that may not lead there", CodeTarget, "from: \"Task.focus -> ServiceRequest\"", "from: §\"Task.encounter -> ServiceRequest\"", "may not point"},
		{"an element that isn't there", CodeElement, "dialect: ServiceRequest.status,", "dialect: §ServiceRequest.state,", `did you mean "status"`},
		{"a resource that no frame has", CodeFrame, "dialect: ServiceRequest.status,", "dialect: §Practitoner.active,", `did you mean "Practitioner"`},
		{"a path that is none", CodePath, "dialect: ServiceRequest.status,", "dialect: §ServiceRequest..status,", ""},
		{"a slice without its side", CodeName, "dialect: \"Patient.identifier[HETU].value\"", "dialect: §\"Patient.identifier[HETO].value\"", `did you mean "HETU"`},
		{"types that don't pair", CodeTypeClash, "{id: names,   dialect: Patient.name(*)", "§{id: names,   dialect: Patient.address(*)", "only like types"},
		{"stars on one side", CodeStars, "{id: names,   dialect: Patient.name(*)", "§{id: names,   dialect: Patient.name(1)", "repeats"},
		{"a lens of v2", CodeLens, "dialect: ServiceRequest.status, fhir: sr.status}", "dialect: ServiceRequest.status, fhir: sr.status, as: §cwe}", "no lens"},
		{"a lens that only runs back", CodeLens, "dialect: ServiceRequest.status, fhir: sr.status}", "dialect: ServiceRequest.status, fhir: sr.status}\n  - {id: born, dialect: Patient.birthDate, fhir: pat.birthDate, as: §year-only}", "dir"},
		{"a whole resource without saying so", CodeLens, "  - {id: names,   dialect: Patient.name(*), fhir: pat.name(*)}", "  - §{id: names, dialect: Patient, fhir: pat}", "as: copy"},
		{"an exception that isn't there", CodeElement, "  - {id: names,   dialect: Patient.name(*), fhir: pat.name(*)}", "  - {id: names, dialect: Patient, fhir: pat, as: copy, except: [§foto]}", `did you mean "photo"`},
		{"an exception without a copy", CodeLens, "{id: ids,     dialect: Task.identifier(*), fhir: task.identifier(*)}", "{id: ids,     dialect: Task.identifier(*), fhir: task.identifier(*), except: [§use]}", "as: copy"},
		{"a list that a copy has too", CodeTwoWriters, "  - {id: names,   dialect: Patient.name(*), fhir: pat.name(*)}", "  - §{id: names,   dialect: Patient.name(*), fhir: pat.name(*)}\n  - {id: whole, dialect: Patient, fhir: pat, as: copy}", "except"},
		{"two rules for one place", CodeTwoWriters, "dialect: ServiceRequest.status, fhir: sr.status}", "dialect: ServiceRequest.status, fhir: sr.status}\n  - §{id: again, dialect: ServiceRequest.status, fhir: sr.status}", "ServiceRequest.status"},
		{"the first of a list", CodeFirstOfMany, "ServiceRequest.reasonCode(1).text,", "§ServiceRequest.reasonCode.text,", "(*)"},
		{"a code outside its value set", CodeBinding, "{dialect: [cancelled], fhir: [cancelled]}", "{dialect: [§canceled], fhir: [cancelled]}", `did you mean "cancelled"`},
		{"a dialect's code outside its value set", CodeBinding, "fhir: sr.priority, code: urgency}¦stat: stat}", "fhir: sr.priority, code: §urgency}¦now: stat}", "now"},
		{"rows with equal targets", CodeTableInverse, "{dialect: [cancelled], fhir: [cancelled]}", "§{dialect: [draft], fhir: [requested]}", "dir"},
		{"a guard of one side", CodeWhen, "dialect: ServiceRequest.status, fhir: sr.status}", "dialect: ServiceRequest.status, fhir: sr.status}\n  - §{id: s2, dialect: ServiceRequest.authoredOn, fhir: sr.authoredOn, when: {dialect: \"has('Task.note')\"}}", "fhir side"},
		{"a constant for an element that isn't there", CodeElement, "{dialect: Task.intent, value: order}", "{dialect: §Task.intend, value: order}", `did you mean "intent"`},
		{"a required element that nothing writes", CodeRequired, "  - {dialect: ServiceRequest.intent, value: order}\n¦  sr:   {type", "¦  §sr:   {type", "intent"},
		{"an ignored path of nothing", CodeElement, "{Task.lastModified: \"of", "{§Task.changed: \"of", ""},
		{"an alternative that is never reached", CodeFirst, "{id: text,  dialect: ServiceRequest.reasonCode(1).text, fhir: sr.reasonCode(1).text}", "§{id: text,  dialect: ServiceRequest.reasonCode(2).coding(1), fhir: sr.reasonCode(1).coding(1)}", "dir"},
	})
}

// fhirMaps are the catalog's maps whose dialect is FHIR.
func fhirMaps(t testing.TB) []*Map {
	t.Helper()
	list := slices.DeleteFunc(slices.Clone(catalog(t).Maps()), func(m *Map) bool { return !m.FHIR() })
	if len(list) == 0 {
		t.Fatal("the catalog has no map whose dialect is FHIR")
	}
	return list
}

// caseInput is the message of one case.
func caseInput(t testing.TB, m *Map, name string) *fhir.Tree {
	t.Helper()
	for _, c := range parsedCases(t, m) {
		if strings.HasSuffix(c.file, "/"+name+".txtar") {
			in, err := fhir.Parse(c.parts["in.json"])
			if err != nil {
				t.Fatal(err)
			}
			return in
		}
	}
	t.Fatalf("%s has no case %s", m.Name(), name)
	return nil
}

// fhirInputs are the messages of a map's cases.
func fhirInputs(t testing.TB, m *Map) []*fhir.Tree {
	t.Helper()
	var list []*fhir.Tree
	for _, c := range parsedCases(t, m) {
		if c.parts["in.json"] == nil {
			continue
		}
		in, err := fhir.Parse(c.parts["in.json"])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, in)
	}
	return list
}

// The laws hold of damaged messages of a dialect that is FHIR, too, and no translation panics.
func TestTheLawsHoldOfDamagedFHIR(t *testing.T) {
	for _, m := range fhirMaps(t) {
		random, translated, list := rand.New(rand.NewPCG(5, 6)), 0, fhirInputs(t, m)
		if len(list) == 0 {
			continue // one that only writes
		}
		for n := range 600 + len(list) {
			in, nth := list[n%len(list)], 1
			if n >= len(list) {
				in, nth = damageFHIR(random, in), 15
			}
			for _, text := range m.breachesFHIR(in, Context{}, nth) {
				t.Errorf("%s: %s\n%s", m.Name(), text, in.Indent(nil))
			}
			res, err := m.ForwardFHIR(in, Context{})
			for _, f := range contracts.FaultsOf(err) {
				if f.Kind == contracts.Internal || f.At == "" {
					t.Errorf("fault without a kind or place: %v", f)
				}
			}
			if err == nil {
				translated++
				if faults := fhir.Validate(res.Bundle).Err(); faults != nil {
					t.Errorf("%v", faults)
				}
			}
			if t.Failed() {
				return
			}
		}
		if translated < 100 {
			t.Errorf("%s: only %d messages were translated: the test says little", m.Name(), translated)
		}
	}
}

// What rules carry of the cases' messages, apart from what is made where resources are stored, such as their ids.
func TestRulesCarryWhatIsSentInFHIR(t *testing.T) {
	for _, m := range fhirMaps(t) {
		var sum Leaves
		for _, in := range fhirInputs(t, m) {
			if res, err := m.ForwardFHIR(in, Context{}); err == nil {
				sum.Add(res.Leaves)
			}
		}
		said := float64(sum.All - sum.Engine)
		if sum.All > 0 && (float64(sum.Rules) < leastByRules*said || float64(sum.Ignored) > mostByIgnored*said) {
			t.Errorf("%s: of %.0f leaves rules read %d, and %d are ignored", m.Name(), said, sum.Rules, sum.Ignored)
		}
	}
}

// The law that a change wins is seen to be tested.
func TestChangesOfFHIRComeThrough(t *testing.T) {
	for _, m := range fhirMaps(t) {
		changed, list := 0, fhirInputs(t, m)
		for _, in := range list {
			res, err := m.ForwardFHIR(in, Context{Residue: true})
			if err != nil {
				continue
			}
			plain, err := m.reverseFHIR(res.Bundle, Context{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range res.exchanged {
				if e := &res.exchanged[i]; e.from.Exists() && e.to.Kind() == fhir.KindString {
					if _, came := m.changeFHIR(in, res, plain, e.to, Context{}); came {
						changed++
					}
				}
			}
		}
		if changed < 20 && len(list) > 0 && m.doc.preserve.s != preserveNone {
			t.Errorf("%s: only %d changes come through: the law says little", m.Name(), changed)
		}
	}
}

// damageFHIR changes a message as bad senders do: elements missing, doubled, with another text, or unknown.
func damageFHIR(random *rand.Rand, in *fhir.Tree) *fhir.Tree {
	out := in.Clone()
	for range 1 + random.IntN(4) {
		var nodes []fhir.Node
		var walk func(n fhir.Node)
		walk = func(n fhir.Node) {
			for c := range n.Children() {
				nodes = append(nodes, c)
				walk(c)
			}
		}
		walk(out.Root())
		n := nodes[random.IntN(len(nodes))]
		switch random.IntN(5) {
		case 0:
			n.Remove()
		case 1:
			if n.Parent().Kind() == fhir.KindArray {
				n.Parent().Push(fhir.Null()).Copy(n)
			}
		case 2:
			if n.Kind() == fhir.KindString {
				n.Put(fhir.String(n.Text() + "x"))
			}
		case 3:
			if n.Kind() == fhir.KindObject {
				n.Array("extension").Push(fhir.Object()).Add("url", fhir.String("https://example.invalid/extension"))
				n.Array("extension").At(0).Set("valueString", fhir.String("x"))
			}
		case 4:
			if n.Kind() == fhir.KindObject && n.Parent().Kind() == fhir.KindArray {
				n.Add("id", fhir.String("e1"))
			}
		}
	}
	b := out.Append(nil)
	tree, err := fhir.Parse(b)
	if err != nil {
		return in
	}
	return tree
}

// A change of the canonical Bundle wins over what was kept, and takes along only what depended on it.
func TestWhatIsKeptOfFHIRAfterAChange(t *testing.T) {
	m, err := catalog(t).Map("omaolo-contact")
	if err != nil {
		t.Fatal(err)
	}
	in := caseInput(t, m, "knee")
	res, err := m.ForwardFHIR(in, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, change, to, place, want string }{
		{"a birth date", "entry[3].resource.birthDate", "1994-05-03", "entry[2].resource.birthDate", "1994-05-03"},
		{"the patient's id stays", "entry[3].resource.birthDate", "1994-05-03", "entry[2].resource.id", "p1"},
		{"where the answers lead stays", "entry[3].resource.birthDate", "1994-05-03", "entry[1].resource.subject.reference", "Patient/p1"},
		{"the task's number", "entry[1].resource.identifier[0].value", "YO-2", "entry[1].resource.identifier.value", "YO-2"},
	} {
		bundle := res.Bundle.Clone()
		at, err := fhir.CompilePath(row.change)
		if err != nil {
			t.Fatal(err)
		}
		if !at.Get(bundle.Root()).Exists() {
			t.Fatalf("%s: there is no %s", row.name, row.change)
		}
		at.Get(bundle.Root()).Put(fhir.String(row.to))
		back, err := m.Reverse(bundle, Context{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := fhir.CompilePath(row.place)
		if err != nil {
			t.Fatal(err)
		}
		if text := got.Get(back.Dialect.Root()).Text(); text != row.want {
			t.Errorf("%s: %s is %q, want %q", row.name, row.place, text, row.want)
		}
	}
}

// What changes the meaning of the rest never stays behind with a note.
func TestWhatParksOnTheWayFromFHIR(t *testing.T) {
	const second = `{"fullUrl": "https://omaolo.example/fhir/QuestionnaireResponse/q2", "resource": {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [{"linkId": "1"}]}},`
	for _, row := range []struct{ name, id, message, old, new, want, found string }{
		{"a modifier extension of the task", "third-sector-request", "accepted", `"resourceType": "Task",`,
			`"resourceType": "Task", "modifierExtension": [{"url": "urn:example:not", "valueBoolean": true}],`, "MAP-210", ""},
		{"what isn't to be done", "third-sector-request", "accepted", `"resourceType": "ServiceRequest",`, `"resourceType": "ServiceRequest", "doNotPerform": true,`, "MAP-210", ""},
		{"a death", "third-sector-request", "accepted", `"resourceType": "Patient",`, `"resourceType": "Patient", "deceasedBoolean": true,`, "MAP-210", ""},
		{"a second focus", "omaolo-contact", "knee", `"focus": [`, `"focus": [{"reference": "QuestionnaireResponse/q2"}, `, "MAP-211", second},
		{"answers that nobody asked for", "omaolo-contact", "knee", "", "", "", second},
		{"a person in use", "omaolo-contact", "knee", `"resourceType": "Patient",`, `"resourceType": "Patient", "photo": [{"title": "x"}],`, "", ""},
	} {
		m, err := catalog(t).Map(row.id)
		if err != nil {
			t.Fatal(err)
		}
		text := string(caseInput(t, m, row.message).Append(nil))
		compact := func(s string) string { return strings.NewReplacer(": ", ":", ", ", ",").Replace(s) }
		if !strings.Contains(text, compact(row.old)) {
			t.Fatalf("%s: the message has no %s", row.name, row.old)
		}
		text = strings.Replace(text, compact(row.old), compact(row.new), 1)
		if row.found != "" {
			head, tail, _ := strings.Cut(text, `{"fullUrl":"https://omaolo.example/fhir/Patient`)
			text = head + row.found + `{"fullUrl":"https://omaolo.example/fhir/Patient` + tail
		}
		in, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.ForwardFHIR(in, Context{})
		switch {
		case row.want != "":
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: got %v, want %s", row.name, err, row.want)
			}
		case err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.found != "" && !slices.ContainsFunc(res.Findings, func(f *contracts.Fault) bool {
			return f.Code == CodeResourceLost && f.Grade == contracts.GradeWarning
		}):
			t.Errorf("%s: no warning MAP-211", row.name)
		}
	}
}

// An extension of the second of two given names stays the second's.
func TestNullKeepsItsPlaceInAList(t *testing.T) {
	m, err := catalog(t).Map("omaolo-contact")
	if err != nil {
		t.Fatal(err)
	}
	const given = `"given":["Ilmo","Onni"],"_given":[null,{"extension":[{"url":"urn:example:x","valueString":"x"}]}]`
	in, err := fhir.Parse([]byte(strings.Replace(string(caseInput(t, m, "knee").Append(nil)), `"given":["Ilmo"]`, given, 1)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.ForwardFHIR(in, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(res.Bundle.Append(nil)), given) {
		t.Error("the canonical names aren't those that were sent")
	}
	for _, text := range m.breachesFHIR(in, Context{}, 1) {
		t.Error(text)
	}
}

// A header of which only links and constants are carried is put back once.
func TestAHeaderWithoutItsSourceComesBack(t *testing.T) {
	m, err := catalog(t).Map("omaolo-contact")
	if err != nil {
		t.Fatal(err)
	}
	in := caseInput(t, m, "knee")
	header := fhir.NewBundle(in.Root()).Header()
	for _, name := range []string{"source", "destination", "reason"} {
		header.Get(name).Remove()
	}
	header.Add("uosrce", fhir.Object()).Add("endpoint", fhir.String("https://omaolo.example"))
	if _, err := m.ForwardFHIR(in, Context{}); err != nil {
		t.Fatal(err)
	}
	for _, text := range m.breachesFHIR(in, Context{}, 0) {
		t.Error(text)
	}
}

// A residue that says what can't be is nobody's: the way back goes without it.
func TestAResidueOfFHIRThatCantBe(t *testing.T) {
	m, err := catalog(t).Map("omaolo-contact")
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.ForwardFHIR(caseInput(t, m, "knee"), Context{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", `{"of":null}`, `{"of":[],"kept":[{"of":1}]}`, `{"of":[""],"kept":[{"of":-1}]}`, `{"of":[""],"kept":[{"of":2}]}`, `{"of":[""],"kept":[{}]}`,
		`{"of":[""],"elements":{"1/id":null}}`, `{"of":[""],"elements":{"1/id":{"items":[{"of":1}]}}}`, `{"of":[""],"elements":{"1/id":{"wrote":["x"],"items":[{"of":-1}]}}}`,
		`{"of":["","x"],"kept":[{"of":2},{"of":2}]}`,
		`{"of":[""],"elements":{"1/entry":{"wrote":["x"],"items":[{"of":1,"raw":1},{"of":1,"raw":1}]}}}`} {
		bundle := res.Bundle.Clone()
		x := bundle.Root().Get("entry").At(0).Get("resource").Array("extension").Push(fhir.Object())
		x.Add("url", fhir.String(residueURL))
		x.Add("valueString", fhir.String(strings.Replace(text, "{", `{"silta":"residue/v1","map":"omaolo-contact","fhir":true,`, 1)))
		back, err := m.Reverse(bundle, Context{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if string(back.Bytes()) != string(plain.Bytes()) {
			t.Errorf("%s changes what the rules write", text)
		}
	}
}

// FuzzFHIR: whatever a message of a dialect that is FHIR holds, no map panics on it, either way, each fault has a place,
// each leaf of a result is from the message, a constant or a link, and the residue brings the message back.
func FuzzFHIR(f *testing.F) {
	maps := fhirMaps(f)
	for i, m := range maps {
		for _, in := range fhirInputs(f, m) {
			f.Add(uint8(i), in.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		tree, err := fhir.Parse(data)
		if err != nil || strings.Contains(string(data), "/residue") {
			return
		}
		m := maps[int(which)%len(maps)]
		if _, err := m.Reverse(tree, Context{Origin: &Origin{Bundle: tree}}); err != nil {
			placed(t, err)
		}
		res, err := m.ForwardFHIR(tree, Context{})
		if err != nil {
			placed(t, err)
			return
		}
		lines := map[string]Line{}
		for _, l := range res.Lines() {
			lines[l.To] = l
		}
		eachLeaf(res.Bundle.Root(), func(n fhir.Node) {
			l, ok := lines[n.Place()]
			if !ok {
				t.Fatalf("%s: %s comes from nowhere", m.Name(), n.Place())
			}
			if l.From == "const" || l.From == "link" || l.Lens != "copy" || n.Name() == "reference" {
				return
			}
			path, err := fhir.CompilePath(strings.TrimPrefix(l.From, tree.Root().Type()+"."))
			if err != nil {
				t.Fatalf("%s: %s comes from %q, which is no place", m.Name(), n.Place(), l.From)
			}
			if from := path.Get(tree.Root()); from.Exists() && from.Text() != n.Text() { // a path doesn't lead into _birthDate
				t.Fatalf("%s: %s isn't what stands in %s", m.Name(), n.Place(), l.From)
			}
		})
		for _, text := range m.breachesFHIR(tree, Context{}, 0) {
			t.Errorf("%s: %s", m.Name(), text)
		}
	})
}

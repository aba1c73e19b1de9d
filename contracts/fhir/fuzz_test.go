package fhir

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// seedResources are inputs worth starting from: all kinds of JSON, our own messages, and the bases of the invalid list.
func seedResources(f *testing.F) (seeds [][]byte) {
	f.Helper()
	for _, in := range whole {
		seeds = append(seeds, []byte(in))
	}
	for _, name := range []string{"request", "response-accepted", "appointment", "feedback"} {
		seeds = append(seeds, example(f, name))
	}
	files, err := filepath.Glob("testdata/invalid/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no list was found: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, base, _ := bytes.Cut(b, []byte("-- base.json --\n"))
		base, _, _ = bytes.Cut(base, []byte("-- faults --"))
		seeds = append(seeds, base)
	}
	return append(seeds, []byte(refers))
}

// stricter are the faults of what encoding/json takes.
var stricter = map[string]bool{CodeUTF8: true, CodeDuplicateKey: true, CodeDepth: true, CodeCount: true, CodeSurrogate: true, CodeSize: true}

// Whatever comes in: what is read comes back but for white space, and what encoding/json calls JSON is read or refused
// for a reason of ours.
func FuzzParse(f *testing.F) {
	for _, in := range seedResources(f) {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		plain := bytes.TrimPrefix(in, []byte("\xEF\xBB\xBF"))
		tree, err := Parse(in)
		if err != nil {
			if json.Valid(plain) && !stricter[contracts.FaultsOf(err)[0].Code] {
				t.Errorf("JSON is refused: %v", err)
			}
			checkFuzzed(t, contracts.FaultsOf(err), contracts.Malformed)
			return
		}
		var want bytes.Buffer
		if json.Compact(&want, plain) != nil {
			t.Fatal("read what is no JSON")
		}
		out := tree.Append(nil)
		if !bytes.Equal(out, want.Bytes()) {
			t.Errorf("what was read comes back as %q", out)
		}
		again, err := Parse(tree.Indent(nil))
		if err != nil || !bytes.Equal(again.Append(nil), out) || again.Digest() != tree.Digest() {
			t.Errorf("what was written reads otherwise: %v", err)
		}
		same(t, tree.Root(), plain)
		_, _ = ScanTree(tree)
	})
}

func checkFuzzed(t *testing.T, faults contracts.Faults, kind contracts.Kind) {
	t.Helper()
	if len(faults) > 2*maxFaults {
		t.Errorf("%d faults", len(faults))
	}
	for _, f := range faults {
		if f.Kind != kind || !strings.HasPrefix(f.Code, "FHIR-") || f.Public == "" {
			t.Errorf("a fault of another kind: %v", f)
		}
	}
}

// Whatever a path is, reading by it fails nowhere, and what is written by it is read there.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"identifier[0].value", "Bundle.entry[1].resource.name.given[0]", "_birthDate.extension[0].url", "a", "a[3].b", "entry[", "value"} {
		for _, in := range seedResources(f)[:3] {
			f.Add(path, in)
		}
		f.Add(path, []byte(refers))
	}
	f.Fuzz(func(t *testing.T, text string, in []byte) {
		path, err := CompilePath(text)
		if err != nil {
			checkFuzzed(t, contracts.FaultsOf(err), contracts.Invalid)
			return
		}
		for _, tree := range []*Tree{New("Patient"), {}} {
			if tree.Root().Exists() || tree.Parse(in) == nil {
				root := tree.Root()
				path.Get(root)
				path.All(root)
				if n := path.Set(root, String("ä")); n.Exists() && path.Get(root) != n {
					t.Errorf("%q isn't where it was set", text)
				}
				if _, err := Parse(tree.Append(nil), Limits{Depth: 10_000}); err != nil && len(text) < 1000 {
					t.Errorf("after %q was set, the tree is %q: %v", text, tree.Append(nil), err)
				}
			}
		}
	})
}

// Whatever is validated, each fault names a place that is there; its last step may be what is missing.
func FuzzValidate(f *testing.F) {
	for _, in := range seedResources(f) {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		tree, err := Parse(in)
		if err != nil {
			return
		}
		faults := Validate(tree)
		checkFuzzed(t, faults, contracts.Invalid)
		for _, fault := range faults {
			if !resolvable(tree.Root(), fault.At) {
				t.Errorf("%s isn't there: %v", fault.At, fault)
			}
		}
	})
}

// resolvable follows a place. Where it has a ?, a name that is no element's, it is followed no further.
func resolvable(n Node, place string) bool {
	path, _, unnamed := strings.Cut(place, ".?")
	_, path, below := strings.Cut(path, ".")
	if !below {
		return n.Exists()
	}
	steps, err := CompilePath(path)
	if err != nil {
		return false
	}
	for i, step := range steps {
		pick := func(name string) Node {
			member := n.Get(name)
			if step.Index >= 0 {
				return member.At(step.Index)
			}
			return member
		}
		next := pick(step.Name)
		if inside := i < len(steps)-1 && next.Kind() < KindArray; inside || !next.Exists() { // a primitive's insides are in its sibling
			if beside := pick("_" + step.Name); beside.Exists() {
				next = beside
			}
		}
		if !next.Exists() {
			return i == len(steps)-1 && n.Exists() && !unnamed
		}
		n = next
	}
	return true
}

// Whatever a Bundle holds, a reference leads to a resource in it, and a URL to the first entry that has it.
func FuzzResolve(f *testing.F) {
	for _, in := range seedResources(f) {
		f.Add(in, "urn:uuid:5")
	}
	for _, reference := range []string{"Patient/1", "#p", "#", "Patient?identifier=urn:h|X", "https://b.example/fhir/Patient/1/_history/2", ""} {
		f.Add([]byte(refers), reference)
	}
	f.Fuzz(func(t *testing.T, in []byte, reference string) {
		tree, err := Parse(in)
		if err != nil {
			return
		}
		b := NewBundle(tree.Root())
		references := []Node{New("").Root()}
		references[0].Set("reference", String(strings.ToValidUTF8(reference, "?")))
		for id := uint32(1); int(id) < tree.Slots(); id++ {
			if n := tree.Node(id); n.Get("reference").Kind() == KindString {
				references = append(references, n)
			}
		}
		for _, r := range references {
			url := r.Get("reference").Text()
			found := b.Resolve(r)
			if found.Exists() && found.Tree() != tree && url != "#" {
				t.Errorf("%q leads out of the Bundle", url)
			}
			if strings.HasPrefix(url, "urn:") && !strings.Contains(url, "?identifier=") && !strings.Contains(url, "/_history/") {
				if want := firstWith(tree.Root(), url); found != want {
					t.Errorf("%q leads to %q, not to %q", url, found.Place(), want.Place())
				}
			}
		}
	})
}

func firstWith(root Node, url string) Node {
	for e := range root.Get("entry").Each() {
		if e.Get("fullUrl").Is(url) {
			return e.Get("resource")
		}
	}
	return Node{}
}

// Whatever a package holds, it is taken or refused, compiled or told, and checks resources without harm.
func FuzzProfiles(f *testing.F) {
	files, err := fs.Glob(profiles.Files, "definitions/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no definition was found: %v", err)
	}
	request := example(f, "request")
	for _, file := range files {
		b, err := profiles.Read(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, request)
	}
	const patient = `{"resourceType":"Patient","meta":{"profile":["urn:p"]},"extension":[{"url":"urn:p","valueString":"a"}],"name":[{"family":"A"},{"family":"B"}],"contact":[{"gender":"male"}]}`
	for _, differential := range []string{
		`{"id":"Patient","path":"Patient"},{"id":"Patient.name","path":"Patient.name","slicing":{"discriminator":[{"type":"value","path":"use"}],"rules":"open"}},{"id":"Patient.name:a","path":"Patient.name","sliceName":"a","min":1},{"id":"Patient.name:a.use","path":"Patient.name.use","fixedCode":"usual"}`,
		`{"id":"Patient.contact","path":"Patient.contact","max":"1","constraint":[{"key":"a","severity":"error","human":"a","expression":"gender.exists() and name.exists()"}]}`,
		`{"id":"Patient.link.other","path":"Patient.link.other","type":[{"code":"Reference","profile":["urn:p"]}]}`,
		`{"id":"Patient.extension","path":"Patient.extension","type":[{"code":"Extension","profile":["urn:p"]}],"patternIdentifier":{"system":"a"}}`,
	} {
		f.Add([]byte(`{"resourceType":"StructureDefinition","url":"urn:p","name":"P","status":"draft","kind":"resource","abstract":false,"type":"Patient","baseDefinition":"urn:p","derivation":"constraint","differential":{"element":[`+differential+`]}}`), []byte(patient))
		f.Add([]byte(`{"resourceType":"StructureDefinition","url":"urn:p","name":"P","status":"draft","kind":"resource","abstract":false,"type":"Patient","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","derivation":"constraint","differential":{"element":[`+differential+`]}}`), []byte(patient))
	}
	f.Fuzz(func(t *testing.T, definition, resource []byte) {
		p := NewProfiles()
		if err := p.Add("a.json", definition); err != nil {
			return
		}
		p.Check()
		tree, err := Parse(resource)
		if err != nil {
			return
		}
		added, _ := Parse(definition)
		faults := p.Validate(tree, added.Root().Get("url").Text())
		checkFuzzed(t, faults, contracts.Invalid)
	})
}

// Whatever a partner answers, it becomes faults without its words, and those are written and read as the same.
func FuzzOutcome(f *testing.F) {
	for _, in := range seedResources(f) {
		f.Add(in)
	}
	f.Add(Outcome(contracts.Faults{malformed(CodeUnknown, "Patient.x", "text"), {Kind: contracts.Conflict, Grade: contracts.GradeNote}}))
	f.Add([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"transient","expression":["Bundle.entry[0]"],"diagnostics":"Mäki"},{"severity":"x"},1,null]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		verdict, err := ReadOutcome(in)
		if err != nil {
			checkFuzzed(t, contracts.FaultsOf(err), contracts.Malformed)
			return
		}
		if len(verdict.Faults) == 0 {
			return
		}
		again, err := ReadOutcome(Outcome(verdict.Faults))
		if err != nil || len(again.Faults) != len(verdict.Faults) || again.Duplicate != verdict.Duplicate {
			t.Fatalf("read, written and read again: %v, %v", again, err)
		}
		for i, f := range verdict.Faults {
			g := again.Faults[i]
			if f.Kind != g.Kind || f.Grade != g.Grade || f.At != g.At || f.Code != g.Code {
				t.Errorf("%+v comes back as %+v", f, g)
			}
			if !strings.HasPrefix(f.Public, "The receiver says: ") || len(f.Public) > 60 {
				t.Errorf("the partner's words: %q", f.Public)
			}
		}
	})
}

// Whatever an expression is, it is read or refused, and fails nowhere when it is evaluated.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{"Bundle.entry.resource.ofType(Patient).name.given", "entry.resource.subject.resolve().birthDate < @1980-01-01", "a.where(b = 'c' and d.exists()).count() + 1.10",
		"name.select($this.given | family)", "%resource.id & '/' & %context.x", "iif(true, 1, 2) div 0", "entry[0].resource.value as Quantity", "'a'.substring(1, -1)", "{} = {}", "@2026-02-30T10:00", "1 'kg' ~ 1000 'g'"} {
		f.Add(text)
	}
	tree, err := Parse([]byte(refers))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 120 {
			return // what takes long isn't what is looked for
		}
		e, err := CompileExpression(text)
		if err != nil {
			checkFuzzed(t, contracts.FaultsOf(err), contracts.Invalid)
			return
		}
		values, err := e.Values(tree.Root())
		if err != nil {
			checkFuzzed(t, contracts.FaultsOf(err), contracts.Invalid)
		}
		for _, v := range values {
			if !json.Valid(v.Append(nil)) {
				t.Errorf("%q gives %q", text, v.Append(nil))
			}
		}
		_, _ = e.True(tree.Root())
	})
}

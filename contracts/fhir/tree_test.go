package fhir

import (
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, in string) Node {
	t.Helper()
	tree, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

func TestWriting(t *testing.T) {
	tree := New("Patient")
	p := tree.Root()
	name := p.Array("name").Push(Object())
	name.Set("family", String("Mäkelä \"Öö\"\n"))
	given := name.Array("given")
	given.Push(String("A"))
	given.Push(Bytes([]byte("B")))
	p.Set("active", Bool(true))
	p.Set("multipleBirthInteger", Number("2"))
	p.Add("deceasedBoolean", Bool(false))
	p.Set("active", Bool(false)) // keeps its place
	want := `{"resourceType":"Patient","name":[{"family":"Mäkelä \"Öö\"\n","given":["A","B"]}],"active":false,"multipleBirthInteger":2,"deceasedBoolean":false}`
	if got := string(tree.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := name.Get("family").Text(); got != "Mäkelä \"Öö\"\n" {
		t.Errorf("text with escapes: %q", got)
	}
	given.At(1).Remove()
	given.Push(Null())
	given.At(0).Remove()
	p.Get("deceasedBoolean").Remove()
	p.Get("name").At(0).Get("family").Put(String("X"))
	p.Remove() // the root stays
	want = `{"resourceType":"Patient","name":[{"family":"X","given":[null]}],"active":false,"multipleBirthInteger":2}`
	if got := string(tree.Append(nil)); got != want {
		t.Errorf("after changes\ngot  %s\nwant %s", got, want)
	}
	given.At(0).Remove()
	given.Push(String("C"))
	if got := string(given.Append(nil)); got != `["C"]` {
		t.Errorf("an emptied list: %s", got)
	}
}

func TestChangingAParsedTreeKeepsTheRest(t *testing.T) {
	in := `{"resourceType":"Observation","valueQuantity":{"value":1.10,"x":"\u00e4"},"_status":{"id":"a"},"status":"final"}`
	root := parse(t, in)
	root.Get("status").Put(String("amended"))
	root.Get("valueQuantity").Set("unit", String("mm"))
	want := `{"resourceType":"Observation","valueQuantity":{"value":1.10,"x":"\u00e4","unit":"mm"},"_status":{"id":"a"},"status":"amended"}`
	if got := string(root.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCopy(t *testing.T) {
	src := parse(t, `{"a":[1.10,"\u00e4",{"b":null,"c":[true,{}]}]}`)
	tree := New("")
	tree.Root().Set("x", Null()).Copy(src.Get("a"))
	tree.Root().Set("y", Null()).Copy(tree.Root().Get("x").At(2)) // out of the same tree
	tree.Root().Set("z", String("stays")).Copy(Node{})
	want := `{"x":[1.10,"\u00e4",{"b":null,"c":[true,{}]}],"y":{"b":null,"c":[true,{}]},"z":"stays"}`
	if got := string(tree.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAbsentNodes(t *testing.T) {
	var n Node
	n.Put(String("x"))
	n.Remove()
	n.Copy(parse(t, `{"a":1}`))
	n = n.Get("a").At(3).Next().Parent().First()
	if n.Exists() || n.Kind() != KindAbsent || n.Text() != "" || n.Name() != "" || n.Len() != 0 || n.Place() != "" || n.Type() != "" ||
		n.Is("") || n.Literal() != "" || len(n.Append(nil)) != 0 || n.Add("a", Null()).Exists() || n.Push(Null()).Exists() {
		t.Error("an absent node gave something")
	}
	for range n.Each() {
		t.Error("an absent node has items")
	}
	var tree Tree
	if tree.Root().Exists() || tree.Append(nil) != nil {
		t.Error("an empty tree has a root")
	}
}

func TestReading(t *testing.T) {
	n := parse(t, `{"resourceType":"Patient","name":[{"given":["A","B"]}],"active":true,"n":1.10,"z":null}`)
	if got := n.Get("name").At(0).Get("given").At(1); got.Text() != "B" || got.Index() != 1 || got.Place() != "Patient.name[0].given[1]" {
		t.Errorf("%q %d %s", got.Text(), got.Index(), got.Place())
	}
	if v, ok := n.Get("active").Bool(); !v || !ok {
		t.Error("active")
	}
	if _, ok := n.Get("n").Bool(); ok || n.Get("n").Literal() != "1.10" || n.Get("z").Literal() != "null" || n.Get("name").At(0).Get("given").At(0).Literal() != `"A"` {
		t.Error("literals")
	}
	if n.Get("active").At(0) != n.Get("active") || n.Get("active").At(1).Exists() {
		t.Error("a single value reads as a list of one")
	}
	var names []string
	for c := range n.Children() {
		names = append(names, c.Name())
	}
	if !slices.Equal(names, []string{"resourceType", "name", "active", "n", "z"}) {
		t.Error(names)
	}
}

func TestReadsDontAllocate(t *testing.T) {
	n := parse(t, string(example(t, "request")))
	path, err := CompilePath("entry[3].resource.name[0].given[1]")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 64)
	if path.Get(n).Text() != "Päivi" {
		t.Fatalf("got %q", path.Get(n).Text())
	}
	if allocs := testing.AllocsPerRun(100, func() {
		v := path.Get(n)
		if !v.Is("Päivi") || len(v.AppendText(buf)) == 0 || v.Text() == "" || n.Get("type").Text() != "message" {
			panic("lost")
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestPaths(t *testing.T) {
	tree := New("Patient")
	for _, step := range []struct{ path, value string }{
		{"identifier[0].value", "1"}, {"identifier[1].value", "2"}, {"identifier[0].system", "urn:x"},
		{"contact[0].name.family", "A"}, {"gender", "female"}, {"gender", "male"}, {"identifier.use", "usual"},
	} {
		p, err := CompilePath(step.path)
		if err != nil {
			t.Fatal(err)
		}
		if n := p.Set(tree.Root(), String(step.value)); !p.Get(tree.Root()).Is(step.value) || n != p.Get(tree.Root()) {
			t.Errorf("%s isn't what was set", step.path)
		}
	}
	want := `{"resourceType":"Patient","identifier":[{"value":"1","system":"urn:x","use":"usual"},{"value":"2"}],"contact":[{"name":{"family":"A"}}],"gender":"male"}`
	if got := string(tree.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	empty := parse(t, `{"name":[],"active":[]}`)
	name, _ := CompilePath("name.family")
	active, _ := CompilePath("active")
	name.Set(empty, String("A"))
	active.Set(empty, Bool(true))
	if got := string(empty.Append(nil)); got != `{"name":[{"family":"A"}],"active":true}` {
		t.Errorf("into empty lists: %s", got)
	}
	gap, _ := CompilePath("identifier[7].value")
	if gap.Set(tree.Root(), String("x")).Exists() || gap.Get(tree.Root()).Exists() {
		t.Error("an index with a gap before it was written")
	}
	for _, bad := range []string{"", ".a", "a.", "a[", "a[x]", "a[-1]", "a b", "a[0]b", "ä", "a..b"} {
		if _, err := CompilePath(bad); err == nil {
			t.Errorf("%q is a path", bad)
		}
	}
}

func TestOrder(t *testing.T) {
	n := parse(t, `{"x":1,"status":"requested","_intent":{"id":"i"},"intent":"order","identifier":[{"value":"1","system":"s","use":"usual"}],"resourceType":"Task","id":"1",
		"input":[{"valueReference":{"display":"d","reference":"r"},"type":{"text":"t"}}],"contained":[{"birthDate":"1970","resourceType":"Patient","id":"p"}]}`)
	n.Order(nil)
	want := `{"resourceType":"Task","id":"1","contained":[{"resourceType":"Patient","id":"p","birthDate":"1970"}],` +
		`"identifier":[{"use":"usual","system":"s","value":"1"}],"status":"requested","intent":"order","_intent":{"id":"i"},` +
		`"input":[{"type":{"text":"t"},"valueReference":{"reference":"r","display":"d"}}],"x":1}`
	if got := string(n.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	n.Set("last", Bool(true))
	if !strings.HasSuffix(string(n.Append(nil)), `"x":1,"last":true}`) {
		t.Error("an ordered object can't be written on")
	}
}

func TestCanonical(t *testing.T) {
	a := parse(t, `{"b":[1.0, 2],"a":{"y":"\u00e4\/","x":null},"n":1e3}`)
	b := parse(t, `{"n":1e3,"a":{"x":null,"y":"ä/"},  "b":[1.0,2]}`)
	if a.Tree().Digest() != b.Tree().Digest() {
		t.Errorf("two spellings of one resource differ:\n%s\n%s", a.Tree().Canonical(nil), b.Tree().Canonical(nil))
	}
	for _, other := range []string{`{"n":1e3,"a":{"x":null,"y":"ä/"},"b":[2,1.0]}`, `{"n":1e3,"a":{"x":null,"y":"ä/"},"b":[1.00,2]}`, `{"n":1000,"a":{"x":null,"y":"ä/"},"b":[1.0,2]}`} {
		if parse(t, other).Tree().Digest() == a.Tree().Digest() {
			t.Errorf("%s has the same digest", other)
		}
	}
}

func TestReuse(t *testing.T) {
	tree := New("Patient")
	tree.Root().Set("id", String("1"))
	tree.Reset("Task").Set("status", String("draft"))
	if got := string(tree.Append(nil)); got != `{"resourceType":"Task","status":"draft"}` {
		t.Error(got)
	}
	if err := tree.Parse([]byte(`{"a":1}`)); err != nil || string(tree.Append(nil)) != `{"a":1}` {
		t.Errorf("%v %s", err, tree.Append(nil))
	}
	if err := tree.Parse([]byte(`{`)); err == nil || tree.Root().Exists() {
		t.Error("after a fault the tree isn't empty")
	}
}

// A path reads all that FHIRPath would: every item, one type of a choice, an index among what was reached.
func TestPathsThatReadAll(t *testing.T) {
	n := parse(t, `{"resourceType":"Bundle","entry":[
		{"resource":{"resourceType":"Patient","name":[{"given":["A","B"]},{"given":["C"]}],"contact":[{"name":{"family":"D"}}]}},
		{"resource":{"resourceType":"Observation","valueQuantity":{"value":1.10},"component":[{"valueString":"x"}]}}]}`)
	for path, want := range map[string]string{
		"entry.resource.name.given":             `"A" "B" "C"`,
		"Bundle.entry.resource.name.given[2]":   `"C"`,
		"entry[1].resource.value.value":         `1.10`,
		"entry.resource.component.value":        `"x"`,
		"entry.resource.valueQuantity":          `{"value":1.10}`,
		"entry[7].resource":                     ``,
		"entry.resource.birth":                  ``,
		"Bundle[1].entry":                       ``,
		"Patient.name":                          ``,
		"entry.resource.contact[0].name.family": `"D"`,
	} {
		p, err := CompilePath(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range p.All(n) {
			got = append(got, string(v.Append(nil)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s reads %s, want %s", path, got, want)
		}
	}
}

// A clone is written to without changing what it was made of, which may hold parsed and written parts.
func TestCloneIsAlone(t *testing.T) {
	tree, err := Parse([]byte(`{"resourceType":"Patient","gender":"female"}`))
	if err != nil {
		t.Fatal(err)
	}
	tree.Root().Set("id", String("a"))
	before := string(tree.Append(nil))
	clone := tree.Clone()
	clone.Root().Set("id", String("b"))
	clone.Root().Get("gender").Put(String("male"))
	clone.Root().Set("birthDate", String("1980"))
	if got := string(tree.Append(nil)); got != before {
		t.Errorf("the tree became %s", got)
	}
	if got, want := string(clone.Append(nil)), `{"resourceType":"Patient","gender":"male","id":"b","birthDate":"1980"}`; got != want {
		t.Errorf("the clone is %s, want %s", got, want)
	}
}

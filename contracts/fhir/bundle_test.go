package fhir

import "testing"

func TestResolve(t *testing.T) {
	n := parse(t, refers)
	testResolve(t, n)
}

// A large Bundle resolves alike.
func TestResolveInLargeBundles(t *testing.T) {
	n := parse(t, refers)
	for range 60 {
		n.Get("entry").Push(Object()).Add("resource", Object()).Add("resourceType", String("Basic"))
	}
	testResolve(t, n)
}

const refers = `{"resourceType":"Bundle","type":"collection","entry":[
		{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Task","id":"t","contained":[{"resourceType":"Patient","id":"p","link":[{"other":{"reference":"#"}},{"other":{"reference":"#q"}}]},{"resourceType":"Patient","id":"q"}],
			"note":[{"authorReference":{"reference":"#p"}}]}},
		{"fullUrl":"https://a.example/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1","identifier":[{"system":"urn:h","value":"X"}]}},
		{"fullUrl":"https://b.example/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1","identifier":[{"system":"urn:h","value":"Y"},{"value":"Z"}]}},
		{"fullUrl":"https://b.example/fhir/Task/9","resource":{"resourceType":"Task","id":"9","for":{"reference":"Patient/1"}}},
		{"fullUrl":"urn:uuid:5","resource":{"resourceType":"Organization","identifier":[{"system":"urn:h","value":"X"},{"value":"Z"}]}}]}`

func TestResolveInWhatContainsMuch(t *testing.T) {
	n := parse(t, `{"resourceType":"Task","for":{"reference":"#30"},"owner":{"reference":"#x"},"contained":[]}`)
	for i := range 60 {
		n.Get("contained").Push(Object()).Add("id", String(itoa(i)))
	}
	b := NewBundle(n)
	if got := b.Resolve(n.Get("for")); got != n.Get("contained").At(30) || b.Resolve(n.Get("owner")).Exists() {
		t.Errorf("got %q", got.Place())
	}
}

func testResolve(t *testing.T, n Node) {
	b := NewBundle(n)
	entry := func(i int) Node { return n.Get("entry").At(i).Get("resource") }
	contained := func(i int) Node { return entry(0).Get("contained").At(i) }
	in := func(reference string) Node {
		ref := New("")
		ref.Root().Copy(parse(t, reference))
		return ref.Root()
	}
	for name, row := range map[string]struct{ ref, want Node }{
		"a urn":                              {in(`{"reference":"urn:uuid:5"}`), entry(4)},
		"an absolute URL":                    {in(`{"reference":"https://b.example/fhir/Patient/1"}`), entry(2)},
		"a version of it":                    {in(`{"reference":"https://b.example/fhir/Patient/1/_history/3"}`), entry(2)},
		"a relative one under its own base":  {entry(3).Get("for"), entry(2)},
		"a relative one without a base":      {in(`{"reference":"Task/t"}`), entry(0)},
		"a type and id of two servers":       {in(`{"reference":"Patient/1"}`), Node{}},
		"a contained one":                    {entry(0).Get("note").At(0).Get("authorReference"), contained(0)},
		"contained from contained":           {contained(0).Get("link").At(1).Get("other"), contained(1)},
		"the container":                      {contained(0).Get("link").At(0).Get("other"), entry(0)},
		"an identifier with type":            {in(`{"type":"Patient","identifier":{"system":"urn:h","value":"X"}}`), entry(1)},
		"an identifier with type by URL":     {in(`{"type":"http://hl7.org/fhir/StructureDefinition/Organization","identifier":{"value":"X"}}`), entry(4)},
		"an identifier that several have":    {in(`{"identifier":{"system":"urn:h","value":"X"}}`), Node{}},
		"a conditional reference":            {in(`{"reference":"Patient?identifier=urn:h|Y"}`), entry(2)},
		"a conditional one without a system": {in(`{"reference":"Organization?identifier=Z"}`), entry(4)},
		"an unknown urn":                     {in(`{"reference":"urn:uuid:7"}`), Node{}},
		"an unknown type and id":             {in(`{"reference":"Patient/2"}`), Node{}},
		"an unknown contained id":            {in(`{"reference":"#x"}`), Node{}},
		"no reference at all":                {in(`{"display":"x"}`), Node{}},
		"an absent node":                     {Node{}, Node{}},
	} {
		if got := b.Resolve(row.ref); got != row.want {
			t.Errorf("%s: got %q, want %q", name, got.Place(), row.want.Place())
		}
	}
	if b.IsMessage() || b.Header().Exists() || b.Find("Organization") != entry(4) || b.Find("Location").Exists() {
		t.Error("what the Bundle is")
	}
}

package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// Each row comes back as it stands.
var whole = map[string]string{
	"members keep their order":             `{"b":1,"a":2,"resourceType":"X"}`,
	"decimals keep their digits":           `{"value":1.10,"big":12345678901234567890.000,"exp":-1.0E+05}`,
	"siblings of primitives":               `{"birthDate":"1970","_birthDate":{"extension":[]},"given":["a",null],"_given":[null,{"id":"x"}]}`,
	"escapes keep their spelling":          `{"s":"\u00e5 å \/ / \n \" \\ \ud83d\ude00 😀"}`,
	"member names with escapes":            `{"\u0061b":1,"a\"c":2}`,
	"every kind of value":                  `[null,true,false,0,-0,"",[],{}]`,
	"a name that only looks like another":  `{"a":1,"A":2,"_a":{}}`,
	"an unknown element with nested lists": `{"x":[[1,[2]],[{"y":[{}]}]]}`,
	"a bare string":                        `"Åsa"`,
	"numbers in every spelling":            `[1.10,1e2,1E+2,1.0e-10,-0.0,0,-0,0.000,100000000000000000000000000000.10]`,
	"characters beyond 16 bits":            `{"x𐍈":"𐍈 👩‍⚕️ \ud800\udf48 \uD83D\uDC69","\ud83d\ude00":1}`,
	"escapes that needn't be":              `{"\u0069d":"\u0000\b\f\/\u002F\u00E4"}`,
	"separators of lines":                  "[\"\u2028\u2029\u0085\ufeff\"]",
	"62 lists within one another":          strings.Repeat("[", 62) + "1.10" + strings.Repeat("]", 62),
	"what is contained, unknown and empty": `{"resourceType":"Patient","contained":[{"resourceType":"Uusi","id":"a","x":{},"y":[null,""],"_z":[[]]}],"zz":[{"_a":null}]}`,
}

func TestRoundTrip(t *testing.T) {
	for name, in := range whole {
		tree, err := Parse([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(tree.Append(nil)); got != in {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, in)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, []byte(in), "", "  "); err != nil {
			t.Fatal(err)
		}
		if got := string(tree.Indent(nil)); got != spaced.String() {
			t.Errorf("%s, indented:\ngot  %s\nwant %s", name, got, spaced.String())
		}
	}
}

func TestParseFaults(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"nothing":                  {"", "FHIR-001 byte 0 line 1, column 1"},
		"white space":              {" \n ", "FHIR-001 byte 3 line 2, column 2"},
		"an open object":           {`{"a":1`, "FHIR-001 $this line 1, column 7"},
		"an open string":           {"{\n \"a\": \"b", "FHIR-001 $this.a line 2, column 7"},
		"no colon":                 {`{"a" 1}`, "FHIR-001 $this line 1, column 6"},
		"no comma":                 {`{"resourceType":"Patient","name":[{"family":"A" "given":["B"]}]}`, "FHIR-001 Patient.name[0] line 1, column 49"},
		"a comma too many":         {`[1,]`, "FHIR-001 $this[1] line 1, column 4"},
		"a trailing member comma":  {`{"a":1,}`, "FHIR-001 $this line 1, column 8"},
		"more behind":              {`{} {}`, "FHIR-001 byte 3 line 1, column 4"},
		"a comment":                {`{/**/}`, "FHIR-001 $this line 1, column 2"},
		"a leading zero":           {`{"a":01}`, "FHIR-001 $this line 1, column 7"},
		"a plus sign":              {`{"a":+1}`, "FHIR-001 $this.a line 1, column 6"},
		"half a fraction":          {`{"a":1.}`, "FHIR-001 $this.a line 1, column 6"},
		"NaN":                      {`{"a":NaN}`, "FHIR-001 $this.a line 1, column 6"},
		"single quotes":            {`{'a':1}`, "FHIR-001 $this line 1, column 2"},
		"a wrong word":             {`[nul]`, "FHIR-001 $this[0] line 1, column 2"},
		"an unknown escape":        {`["\x41"]`, "FHIR-001 $this[0] line 1, column 3"},
		"a short \\u escape":       {`["\u12"]`, "FHIR-001 $this[0] line 1, column 3"},
		"a bare line break":        {"[\"a\nb\"]", "FHIR-001 $this[0] line 1, column 4"},
		"a byte of Latin-1":        {"{\"resourceType\":\"Patient\",\n\"x\":\"\xe5\"}", "FHIR-002 byte 32 line 2, column 6"},
		"an overlong byte":         {"\"\xc0\x80\"", "FHIR-002 byte 1 line 1, column 2"},
		"a name twice":             {"{\"resourceType\":\"Patient\",\n\"active\":true,\n\"active\":false}", "FHIR-003 Patient line 3, column 1"},
		"a name twice, by escape":  {`{"ab":1,"\u0061b":2}`, "FHIR-003 $this line 1, column 9"},
		"names twice, all told":    {`{"a":1,"a":2,"b":[{"c":1,"c":2}]}`, "FHIR-003 $this line 1, column 8; FHIR-003 $this.b[0] line 1, column 26"},
		"half a surrogate pair":    {`["a\ud83d"]`, "FHIR-007 $this[0] line 1, column 4"},
		"surrogates in wrong turn": {`["\ude00\ud83d"]`, "FHIR-007 $this[0] line 1, column 3; FHIR-007 $this[0] line 1, column 9"},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := Parse([]byte(row.in))
			if err == nil || tree != nil {
				t.Fatalf("read as %s", tree.Append(nil))
			}
			var got []string
			for _, f := range contracts.FaultsOf(err) {
				_, where, _ := strings.Cut(f.Public, "(")
				got = append(got, f.Code+" "+f.At+" "+strings.TrimSuffix(where, ")"))
				if f.Kind != contracts.Malformed {
					t.Errorf("kind %s", f.Kind)
				}
			}
			if s := strings.Join(got, "; "); s != row.want {
				t.Errorf("got  %s\nwant %s", s, row.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	many := "[1" + strings.Repeat(",1", 5000) + "]"
	for name, row := range map[string]struct {
		in   string
		l    Limits
		code string
	}{
		"as deep as allowed":  {deep(64), Limits{}, ""},
		"one deeper":          {deep(65), Limits{}, CodeDepth},
		"own depth":           {deep(4), Limits{Depth: 3}, CodeDepth},
		"as large as allowed": {`{"a":12}`, Limits{Bytes: 8}, ""},
		"one byte more":       {`{"a":123}`, Limits{Bytes: 8}, CodeSize},
		"too many values":     {many, Limits{}, CodeCount},
	} {
		_, err := Parse([]byte(row.in), row.l)
		if code := ""; err != nil {
			code = contracts.FaultsOf(err)[0].Code
			if code != row.code {
				t.Errorf("%s: %v", name, err)
			}
		} else if row.code != "" {
			t.Errorf("%s: taken", name)
		}
	}
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf(`"n%d":1`, i))
	}
	if _, err := Parse([]byte("{" + strings.Join(names, ",") + `,"n39":2,"n3":3}`)); len(contracts.FaultsOf(err)) != 2 {
		t.Errorf("two names twice in a large object: %v", err)
	}
}

func TestByteOrderMark(t *testing.T) {
	tree, err := Parse([]byte("\xEF\xBB\xBF{\"a\":1}"))
	if err != nil || string(tree.Append(nil)) != `{"a":1}` {
		t.Errorf("%v %v", tree, err)
	}
}

// value writes random JSON: any that this makes is JSON.
func value(r *rand.Rand, b []byte, depth int) []byte {
	switch k := r.IntN(8); {
	case k == 0:
		return append(b, []string{"null", "true", "false"}[r.IntN(3)]...)
	case k == 1:
		return append(b, []string{"0", "-0.0", "1.10", "12e3", "-7E-2", "120000000000000000000"}[r.IntN(6)]...)
	case k < 5 || depth == 0:
		return text(r, b)
	case k == 5:
		b = append(b, '[')
		for i := range r.IntN(4) {
			if i > 0 {
				b = append(b, ',')
			}
			b = value(r, b, depth-1)
		}
		return append(b, ']')
	default:
		b = append(b, '{')
		for i := range r.IntN(5) {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `"%d`, i)
			b = append(b, text(r, nil)[1:]...)
			b = value(r, append(b, ':'), depth-1)
		}
		return append(b, '}')
	}
}

func text(r *rand.Rand, b []byte) []byte {
	b = append(b, '"')
	for range r.IntN(12) {
		b = append(b, []string{"a", "Ö", "€", "😀", `\n`, `\u00e4`, `\\`, `\"`, `\/`, `\ud83d\ude00`, " ", "0"}[r.IntN(12)]...)
	}
	return append(b, '"')
}

func TestRandomRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		in := value(r, nil, 5)
		if !json.Valid(in) {
			t.Fatalf("the generator made no JSON: %s", in)
		}
		tree, err := Parse(in)
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if got := tree.Append(nil); !bytes.Equal(got, in) {
			t.Fatalf("got  %s\nwant %s", got, in)
		}
		same(t, tree.Root(), in)
	}
}

// same compares the tree's reading with encoding/json's.
func same(t *testing.T, n Node, b []byte) {
	t.Helper()
	var want any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	compare(t, n, want)
}

func compare(t *testing.T, n Node, want any) {
	t.Helper()
	switch w := want.(type) {
	case nil:
		if n.Kind() != KindNull {
			t.Errorf("%s: got %s, want null", n.Place(), n.Kind())
		}
	case bool:
		if v, ok := n.Bool(); !ok || v != w {
			t.Errorf("%s: got %s", n.Place(), n.Kind())
		}
	case json.Number:
		if n.Kind() != KindNumber || n.Text() != w.String() {
			t.Errorf("%s: got %q, want %s", n.Place(), n.Text(), w)
		}
	case string:
		if n.Kind() != KindString || n.Text() != w || !n.Is(w) || string(n.AppendText(nil)) != w {
			t.Errorf("%s: got %q, want %q", n.Place(), n.Text(), w)
		}
	case []any:
		if n.Len() != len(w) || n.Kind() != KindArray {
			t.Fatalf("%s: %d items, want %d", n.Place(), n.Len(), len(w))
		}
		for i := range w {
			compare(t, n.At(i), w[i])
		}
	case map[string]any:
		if n.Len() != len(w) || n.Kind() != KindObject {
			t.Fatalf("%s: %d members, want %d", n.Place(), n.Len(), len(w))
		}
		for name, v := range w {
			compare(t, n.Get(name), v)
		}
	}
}

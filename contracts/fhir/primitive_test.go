package fhir

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The expressions of R4 (4.0.1, datatypes.html), by type, and texts of each to begin with. xhtml has none.
var primitives = map[string]struct {
	expression string
	texts      []string
}{
	"base64Binary": {`(\s*([0-9a-zA-Z\+/=]){4}\s*)+`, []string{"YWJj", "YWI=", "YQ==", "YWJj\nZGVm", " YWJj", "+/09"}},
	"canonical":    {`\S*`, []string{"http://x.example/StructureDefinition/a|1.0", "#a", "urn:uuid:x"}},
	"code":         {`[^\s]+(\s[^\s]+)*`, []string{"a", "a b", "en-GB", "mm[Hg]", "Å"}},
	"date":         {`([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))?)?`, []string{"1976", "2000-10", "2024-02-29", "1900-12-31"}},
	"dateTime": {`([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?`,
		[]string{"1976", "2000-10", "2024-02-29", "2026-03-02T09:15:00+02:00", "2026-12-31T23:59:60.123Z", "2026-03-02T00:00:00-14:00"}},
	"decimal": {`-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`, []string{"0", "-1.10", "1e2", "0.000E-12"}},
	"id":      {`[A-Za-z0-9\-\.]{1,64}`, []string{"a", "A-1.b", strings.Repeat("x", 64)}},
	"instant": {`([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))`,
		[]string{"2026-03-02T09:15:00+02:00", "2026-12-31T23:59:60.123Z", "0001-01-01T00:00:00-13:59"}},
	"integer":     {`[0]|[-+]?[1-9][0-9]*`, []string{"0", "-12", "2147483647", "-2147483648"}},
	"markdown":    {`[ \r\n\t\S]+`, []string{"# a\n\n* b", "ä"}},
	"oid":         {`urn:oid:[0-2](\.(0|[1-9][0-9]*))+`, []string{"urn:oid:1.2.246.10", "urn:oid:0.0", "urn:oid:2.16.840.1"}},
	"positiveInt": {`[1-9][0-9]*`, []string{"1", "30", "2147483647"}},
	"string":      {`[ \r\n\t\S]+`, []string{"a b", "\tx\r\n", "ä€😀"}},
	"time":        {`([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?`, []string{"00:00:00", "23:59:60", "10:20:30.5"}},
	"unsignedInt": {`[0]|([1-9][0-9]*)`, []string{"0", "7", "2147483647"}},
	"uri":         {`\S*`, []string{"urn:x", "http://x.example/ä?a=b#c"}},
	"url":         {`\S*`, []string{"mailto:x@example.invalid", "https://x.example/"}},
	"uuid":        {`urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, []string{"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}},
}

// differ gives the reason why we take what the expression refuses, or the other way round; "" for none.
func differ(typ, s string, taken bool) string {
	number, err := strconv.ParseInt(s, 10, 64)
	switch {
	case !taken && strings.ContainsAny(s, "\x01\v\f"):
		return "characters below 32 are not allowed but tab, CR and LF (the definition of string)"
	case typ == "base64Binary" && taken:
		return "white space within a group of four is ignored, as RFC 4648 asks of readers"
	case typ == "base64Binary" && strings.Contains(s, "="):
		return "= fills the last group only (RFC 4648)"
	case strings.Contains("date dateTime instant", typ) && len(s) >= 10 && !dayExists(s[:10]):
		return "the day doesn't exist"
	case typ == "code" && strings.ContainsAny(s, "\t\r\n"):
		return "a code holds no white space but single spaces (its definition)"
	case strings.HasSuffix(strings.ToLower(typ), "int") || typ == "integer":
		if s[0] == '+' {
			return "a JSON number has no plus sign"
		}
		if err != nil || number != int64(int32(number)) {
			return "integers have 32 bits"
		}
	}
	return ""
}

func dayExists(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// Each primitive takes what its expression in the specification takes, but for the reasons in differ.
func TestPrimitivesAgreeWithTheSpecification(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for typ, p := range primitives {
		expression := regexp.MustCompile(`\A(?:` + p.expression + `)\z`)
		taken, refused := 0, 0
		for range 20_000 {
			s := mutate(r, p.texts[r.IntN(len(p.texts))])
			if s == "" || typ == "decimal" && !NumberText(s) {
				continue // told before: an empty text, and what isn't a JSON number
			}
			want, got := expression.MatchString(s), Definitions().Type(typ).lexical(s) == ""
			if got != want && differ(typ, s, got) == "" {
				t.Errorf("%s %q: taken %v, the specification says %v", typ, s, got, want)
			}
			if got {
				taken++
			} else {
				refused++
			}
		}
		open := typ == "decimal" // every JSON number is one
		if taken < 100 || refused < 100 && !open {
			t.Errorf("%s: %d texts taken, %d refused: the test tells little", typ, taken, refused)
		}
	}
	for name, typ := range Definitions().types {
		if _, there := primitives[name]; typ.Kind == Primitive && !there && name != "boolean" && name != "xhtml" {
			t.Errorf("%s isn't compared", name)
		}
	}
}

// mutate changes up to three places of a text.
func mutate(r *rand.Rand, s string) string {
	const letters = "0123456789019-.:+TZtz/=aFé \t\n\v\f\x01_|#"
	runes := []rune(s)
	for range r.IntN(4) {
		c, i := []rune(letters)[r.IntN(len([]rune(letters)))], r.IntN(len(runes)+1)
		switch {
		case r.IntN(3) == 0 || i == len(runes):
			runes = append(runes[:i], append([]rune{c}, runes[i:]...)...)
		case r.IntN(2) == 0:
			runes = append(runes[:i], runes[i+1:]...)
		default:
			runes[i] = c
		}
	}
	return string(runes)
}

package mappings

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// sameMessage gives the first field in which two messages differ, but for delimiters and the character set. Empty parts
// at the end say nothing.
func sameMessage(a, b *hl7v2.Message) string {
	x, y := linesOf(a), linesOf(b)
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) || x[i].id() != y[i].id() {
			return "segment " + itoa(i+1)
		}
		for n := 1; n < max(len(x[i]), len(y[i])); n++ {
			if x[i].field(n) != y[i].field(n) {
				return x[i].id() + "-" + itoa(n) + " of segment " + itoa(i+1)
			}
		}
	}
	return ""
}

// holdsL1 says where R(F(m)) isn't m: "" where it holds or the message parks forward.
func holdsL1(t testing.TB, m *Map, msg *hl7v2.Message) (translated bool) {
	t.Helper()
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		return false
	}
	bundle, err := fhir.Parse(res.Bundle.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Reverse(bundle, Context{Origin: &Origin{Bundle: bundle}})
	if err != nil {
		t.Errorf("L1: the way back parks: %v\n%s", err, lines(msg.Bytes()))
		return true
	}
	if at := sameMessage(msg, back.Message); at != "" {
		t.Errorf("L1: %s differs\n%s\n---\n%s", at, lines(msg.Bytes()), lines(back.Message.Bytes()))
	}
	for _, f := range back.Findings {
		if f.Code == CodeResidue {
			t.Errorf("nothing was changed, and the residue isn't put back: %v\n%s", f, lines(msg.Bytes()))
		}
	}
	return true
}

// What no rule carries comes back by the residue: the cases' messages, and damaged ones, are written as they came.
func TestTheWayBackIsExact(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		t.Run(m.ID(), func(t *testing.T) {
			random, translated := rand.New(rand.NewPCG(5, 6)), 0
			list := inputs(t, m)
			for n := range 1000 + len(list) {
				b := list[n%len(list)]
				if n >= len(list) {
					b = damage(random, b)
				}
				msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
				if err == nil && holdsL1(t, m, msg) {
					translated++
				}
				if t.Failed() {
					return
				}
			}
			if translated < 100 {
				t.Errorf("only %d messages were translated: the test says little", translated)
			}
		})
	}
}

// A change in FHIR wins, and changes nothing but what its own rule writes: of every leaf that a rule carries both ways, in
// every case's message. The fields in which the way back differs from the message are those in which the plain way back of
// the changed Bundle differs from that of the unchanged one.
func TestAChangeInFHIRChangesItsOwnFields(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		t.Run(m.ID(), func(t *testing.T) {
			changed := 0
			for _, b := range inputs(t, m) {
				msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
				if err != nil {
					t.Fatal(err)
				}
				res, err := m.Forward(msg, Context{Residue: true})
				if err != nil {
					continue
				}
				for i := range res.lineage {
					if o := &res.lineage[i]; o.segment > 0 && o.rule != nil && o.rule.backward && changeWins(t, m, msg, res, o) {
						changed++
					}
				}
			}
			if changed < 20 {
				t.Errorf("only %d changes came through: the test says little", changed)
			}
		})
	}
}

// changeWins changes the leaf behind one line of the lineage. It says whether the changed Bundle has a way back.
func changeWins(t *testing.T, m *Map, msg *hl7v2.Message, res *Result, o *origin) bool {
	t.Helper()
	bundle, err := fhir.Parse(res.Bundle.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx := Context{Version: msg.Version(), Origin: &Origin{Bundle: res.Bundle}}
	before, err := m.reverse(bundle, ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	path, err := fhir.CompilePath(strings.TrimPrefix(res.node(o).Place(), "Bundle."))
	if err != nil {
		t.Fatal(err)
	}
	leaf := path.Get(bundle.Root())
	if leaf.Kind() != fhir.KindString {
		return false
	}
	leaf.Put(fhir.String(otherText(leaf.Text())))
	after, err := m.reverse(bundle, ctx, nil)
	if err != nil {
		return false
	}
	back, err := m.Reverse(bundle, ctx)
	if err != nil {
		t.Fatalf("%s: the change parks with the residue alone: %v", res.node(o).Place(), err)
	}
	rules, own := differences(before.Message, after.Message), differences(msg, back.Message)
	for at := range own {
		if !rules[at] && !tookAlong(res, back, o, at) {
			t.Errorf("%s: changing %s also changes %s\n%s\n---\n%s", m.ID(), res.node(o).Place(), at, lines(msg.Bytes()), lines(back.Message.Bytes()))
		}
	}
	if len(own) == 0 && len(rules) > 0 {
		t.Errorf("%s: changing %s changes nothing, where the rules write %v\n%s\n---\n%s", m.ID(), res.node(o).Place(), rules, lines(msg.Bytes()), lines(back.Message.Bytes()))
	}
	return len(rules) > 0
}

// tookAlong says whether a field that isn't put back was read into the element that was changed, and that it was told: an id
// that a sender also gives in ORC-2, the text of a diagnosis in DG1-4. It would contradict the change.
func tookAlong(res, back *Result, o *origin, at string) bool {
	told := slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return f.Code == CodeResidue && f.At == at })
	return told && slices.ContainsFunc(res.lineage, func(other origin) bool {
		return other.segment > 0 && res.segments[other.segment-1].id+"-"+itoa(int(other.field)) == at && element(res.node(&other)) == element(res.node(o))
	})
}

// element is the member of a resource that a leaf stands in: Bundle.entry[3].resource.code.
func element(n fhir.Node) string {
	for n.Parent().Exists() && n.Parent().Name() != "resource" {
		n = n.Parent()
	}
	return n.Place()
}

// otherText is another text of the same kind.
func otherText(text string) string {
	if len(text) > 4 && text[4] == '-' && strings.HasPrefix(text, "20") {
		return "19" + text[2:]
	}
	return text + "x"
}

// differences are the fields, by segment name and number, that differ between two messages; a segment that only one of
// them has counts by its name alone.
func differences(a, b *hl7v2.Message) map[string]bool {
	at := map[string]bool{}
	x, y := byName(a), byName(b)
	for id := range x {
		if len(x[id]) != len(y[id]) {
			at[id] = true
			continue
		}
		for i := range x[id] {
			for n := 1; n < max(len(x[id][i]), len(y[id][i])); n++ {
				if x[id][i].field(n) != y[id][i].field(n) {
					at[id+"-"+itoa(n)] = true
				}
			}
		}
	}
	return at
}

func byName(m *hl7v2.Message) map[string][]line {
	list := map[string][]line{}
	for _, l := range linesOf(m) {
		list[l.id()] = append(list[l.id()], l)
	}
	return list
}

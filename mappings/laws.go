package mappings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// breaches tells which laws don't hold of a message that the map takes, a text each without values: the way back with the
// residue gives the message as it was (L1), without it the same Bundle again (L3), and a change of one FHIR element changes
// what its own rules write and nothing else (L4). Of the elements every nth is changed; 0: none.
func (m *Map) breaches(msg *hl7v2.Message, c Context, nth int) []string {
	c.Residue, c.Version = true, ""
	res, err := m.Forward(msg, c)
	if err != nil {
		return nil // it parks
	}
	c.Origin = &Origin{Bundle: res.Bundle} // an answer that names nobody gets nobody from itself
	var told []string
	if text := m.exact(msg, res, c); text != "" {
		told = append(told, "L1: "+text)
	}
	c.Version = msg.Version()
	plain, err := m.reverse(res.Bundle, c, nil)
	if err != nil {
		return append(told, fmt.Sprintf("L3: the way back parks: %v", err))
	}
	if text := m.again(msg, plain, c); text != "" {
		told = append(told, "L3: "+text)
	}
	for i := 0; nth > 0 && i < len(res.lineage); i += nth {
		if o := &res.lineage[i]; o.segment > 0 && o.rule != nil && o.rule.backward {
			if text, _ := m.change(msg, res, plain, o, c); text != "" {
				told = append(told, "L4: "+text)
			}
		}
	}
	return told
}

// exact is L1.
func (m *Map) exact(msg *hl7v2.Message, res *Result, c Context) string {
	back, err := m.Reverse(res.Bundle, c)
	if err != nil {
		return fmt.Sprintf("the way back parks: %v", err)
	}
	if at := sameMessage(msg, back.Message); at != "" && !declared(res.Findings) {
		return "with the residue the way back gives another message, first at " + at + "."
	}
	for _, f := range back.Findings {
		if f.Code == CodeResidue {
			return "nothing was changed, and what was kept isn't put back at " + f.Place() + "."
		}
	}
	return ""
}

// declared says whether the way forward told that it doesn't keep something.
func declared(findings contracts.Faults) bool {
	return slices.ContainsFunc(findings, func(f *contracts.Fault) bool { return f.Code == CodeDeclared })
}

// again is L3. What the way back told as lost may be missing the second time, and nothing else.
func (m *Map) again(msg *hl7v2.Message, plain *Result, c Context) string {
	if regrouped(plain.Findings) {
		return "" // it was told that what follows is read as another group's
	}
	c.Origin, c.Version = nil, ""
	first, err := m.forward(msg, c, nil)
	if err != nil {
		return fmt.Sprintf("without the residue the message parks: %v", err)
	}
	second, err := m.forward(plain.Message, c, nil)
	if err != nil {
		return fmt.Sprintf("what the way back wrote parks: %v", err)
	}
	var same func([]byte) []byte
	if m.doc.v2.write.set() && m.doc.v2.write.s != writeOffset {
		same = inUTC
	}
	return unequal(places(plain.Findings), first.Bundle, second.Bundle, same)
}

// unequal says in what two Bundles differ but for what was told as lost.
func unequal(lost []string, first, second *fhir.Tree, same func([]byte) []byte) string {
	if len(lost) > 0 {
		if at := beyond(lost, first, second, same); at != "" {
			return "back and forth again gives another Bundle, and not only where a loss was told, first at " + at + "."
		}
	} else if line := otherBundle(first, second, same); line != "" {
		return "back and forth again gives another Bundle, first at " + line + "."
	}
	return ""
}

// beyond gives the first place at which the second Bundle lacks something of the first that wasn't told as lost, or has
// something that the first doesn't have.
func beyond(lost []string, first, second *fhir.Tree, same func([]byte) []byte) string {
	whole, rest, again := nameless(first, same), nameless(first, same), nameless(second, same)
	if whole == nil || rest == nil || again == nil {
		return "Bundle"
	}
	without(rest, lost)
	u := differs(rest.Root(), again.Root(), false)
	if u == nil {
		u = differs(again.Root(), whole.Root(), false)
	}
	if u == nil {
		return ""
	}
	return u.at
}

// places are those where something was told as lost.
func places(findings contracts.Faults) (list []string) {
	for _, f := range findings {
		if f.Kind == contracts.Loss && f.Grade == contracts.GradeWarning {
			list = append(list, f.At)
		}
	}
	return list
}

// nameless is a copy of a Bundle in which all ids made for it are one, as they hang on what else is there.
func nameless(b *fhir.Tree, same func([]byte) []byte) *fhir.Tree {
	text := uuids.ReplaceAll(b.Append(nil), []byte("urn:uuid:#"))
	if same != nil {
		text = same(text)
	}
	tree, err := fhir.Parse(text)
	if err != nil {
		return nil
	}
	return tree
}

// without takes elements out of a Bundle, and what is empty then.
func without(b *fhir.Tree, places []string) {
	var gone []fhir.Node
	for _, place := range places {
		if path, err := fhir.CompilePath(strings.TrimPrefix(place, "Bundle.")); err == nil {
			gone = append(gone, path.Get(b.Root()))
		}
	}
	for _, n := range gone {
		for n.Exists() {
			parent := n.Parent()
			n.Remove()
			if n = parent; n.Len() > 0 {
				break
			}
		}
	}
}

var times = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)"`)

// inUTC gives a Bundle with all times in UTC, for maps that write them without the offset that they came with.
func inUTC(b []byte) []byte {
	return times.ReplaceAllFunc(b, func(text []byte) []byte {
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(text))
		if err != nil {
			return text
		}
		return at.UTC().AppendFormat(nil, `"`+time.RFC3339Nano+`"`)
	})
}

// change is L4 for one leaf: the fields in which the way back differs from the message are those in which the plain way
// back of the changed Bundle differs from that of the unchanged one. came says that the rules write something else now.
func (m *Map) change(msg *hl7v2.Message, res, plain *Result, o *origin, c Context) (breach string, came bool) {
	bundle, err := fhir.Parse(res.Bundle.Append(nil))
	if err != nil {
		return fmt.Sprintf("the Bundle can't be read: %v", err), false
	}
	place := res.node(o).Place()
	path, err := fhir.CompilePath(strings.TrimPrefix(place, "Bundle."))
	if err != nil {
		return "", false
	}
	leaf := path.Get(bundle.Root())
	if leaf.Kind() != fhir.KindString {
		return "", false
	}
	leaf.Put(fhir.String(otherText(leaf.Text())))
	after, err := m.reverse(bundle, c, nil)
	if err != nil {
		return "", false // a change that means nothing
	}
	back, err := m.Reverse(bundle, c)
	if err != nil {
		return fmt.Sprintf("a changed %s parks with the residue alone: %v", place, err), false
	}
	if declared(res.Findings) { // what isn't kept doesn't come back, changed or not
		unchanged, err := m.Reverse(res.Bundle, c)
		if err != nil {
			return fmt.Sprintf("the way back parks: %v", err), false
		}
		msg = unchanged.Message
	}
	rules, own := differences(plain.Message, after.Message), differences(msg, back.Message)
	for _, at := range keys(own) {
		if !rules[at] && !tookAlong(res, back, o, at, rules) && !wholeSegments(rules, back, at) {
			return fmt.Sprintf("changing %s also changes %s.", place, at), true
		}
	}
	if len(own) == 0 && slices.ContainsFunc(keys(rules), isField) {
		return fmt.Sprintf("changing %s changes nothing, where the rules write %s.", place, strings.Join(keys(rules), ", ")), true
	}
	return "", len(rules) > 0
}

// sameMessage gives the first field in which two messages differ, but for delimiters, the character set and what
// is transport. Empty parts at the end say nothing.
func sameMessage(a, b *hl7v2.Message) string {
	x, y := linesOf(a), linesOf(b)
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) || x[i].id() != y[i].id() {
			return "segment " + itoa(i+1)
		}
		for n := 1; n < max(len(x[i]), len(y[i])); n++ {
			if x[i].field(n) != y[i].field(n) && !transport(x[i].id(), n) {
				return x[i].id() + "-" + itoa(n) + " of segment " + itoa(i+1)
			}
		}
	}
	return ""
}

// wholeSegments says whether a difference comes of segments that the change brings or takes: what the message said in one
// segment and the rules write in several becomes one more when it is changed, and what belongs to a segment that goes, goes
// with it.
func wholeSegments(rules map[string]bool, back *Result, at string) bool {
	id, _, field := strings.Cut(at, "-")
	return slices.ContainsFunc(keys(rules), func(other string) bool {
		if !field && strings.HasPrefix(other, id+"-") {
			return true
		}
		return !isField(other) && slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return f.Code == CodeResidue && strings.HasPrefix(f.At, id) })
	})
}

func isField(place string) bool { return strings.Contains(place, "-") }

// tookAlong says whether a field that isn't put back was read into the element that was changed, and that it was told: an id
// that a sender also gives in ORC-2, the text of a diagnosis in DG1-4. It would contradict the change. So would the type of a value that is written in another.
func tookAlong(res, back *Result, o *origin, at string, rules map[string]bool) bool {
	told := slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return f.Code == CodeResidue && f.At == at })
	if told && at == "OBX-2" && rules["OBX-5"] {
		return true
	}
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
	for id := range y {
		if x[id] == nil {
			at[id] = true
		}
	}
	for id := range x {
		if len(x[id]) != len(y[id]) {
			at[id] = true
			continue
		}
		for i := range x[id] {
			for n := 1; n < max(len(x[id][i]), len(y[id][i])); n++ {
				if x[id][i].field(n) != y[id][i].field(n) && !transport(id, n) {
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

package mappings

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// dialect checks a case of a map whose dialect is FHIR.
func (t *caseRun) dialect() {
	switch {
	case t.c.parts["in.json"] != nil:
		if in := t.parsed("in.json"); in != nil {
			t.forwardFHIR(in)
		}
	case t.c.parts["canonical.json"] != nil:
		if bundle := t.parsed("canonical.json"); bundle != nil {
			t.reverseFHIR(bundle)
		}
	default:
		t.fail("in.json", CodeCaseFailed, "The case has no input: in.json of the dialect, or canonical.json.")
	}
}

// parsed reads a part; nil means that it has been told.
func (t *caseRun) parsed(part string) *fhir.Tree {
	tree, err := fhir.Parse(t.c.parts[part])
	if err != nil {
		t.fail(part, CodeCaseFailed, "The part can't be parsed: %v", err)
		return nil
	}
	return tree
}

func (t *caseRun) forwardFHIR(in *fhir.Tree) {
	res, err := t.m.ForwardFHIR(in, t.c.ctx)
	if !t.faults(res, err) || err != nil {
		return
	}
	t.bundle(res.Bundle)
	t.rules(res)
	if again, err := t.m.ForwardFHIR(in, t.c.ctx); err != nil || !bytes.Equal(again.Bundle.Append(nil), res.Bundle.Append(nil)) {
		t.fail("in.json", CodeLawFailed, "L5: the same input gives other bytes the second time.")
	}
	ctx := t.c.ctx
	ctx.Origin = &Origin{Bundle: res.Bundle}
	back, err := t.m.Reverse(res.Bundle, ctx)
	if err != nil {
		t.fail("in.json", CodeLawFailed, "L3: the way back of the result parks: %v", err)
		return
	}
	t.rules(back)
	t.backFHIR(back.Dialect)
	for _, text := range t.m.breachesFHIR(in, t.c.ctx, 1) {
		t.fail("in.json", CodeLawFailed, "%s", text)
	}
}

func (t *caseRun) reverseFHIR(bundle *fhir.Tree) {
	ctx := t.c.ctx
	if t.c.parts["origin.json"] != nil {
		if origin := t.parsed("origin.json"); origin != nil {
			ctx.Origin = &Origin{Bundle: origin}
		}
	}
	res, err := t.m.Reverse(bundle, ctx)
	if !t.faults(res, err) || err != nil {
		return
	}
	t.rules(res)
	t.backFHIR(res.Dialect)
	if again, err := t.m.Reverse(bundle, ctx); err != nil || !bytes.Equal(again.Bytes(), res.Bytes()) {
		t.fail("canonical.json", CodeLawFailed, "L5: the same input gives other bytes the second time.")
	}
	forth, err := t.m.ForwardFHIR(res.Dialect, t.c.ctx)
	if err != nil {
		if t.m.reads() {
			t.fail("canonical.json", CodeLawFailed, "L2: what the way back wrote parks: %v", err)
		}
		return
	}
	t.bundle(forth.Bundle)
	if text := t.m.secondBack(res.Dialect, t.c.ctx); text != "" {
		t.fail("canonical.json", CodeLawFailed, "L3: %s", text)
	}
}

// reads says whether the map has a rule that runs to the canonical form: some only write what a partner is given.
func (m *Map) reads() bool {
	return slices.ContainsFunc(m.fhir.ops, func(o *op) bool { return o.forward })
}

// backFHIR compares what the way back made with back.json.
func (t *caseRun) backFHIR(got *fhir.Tree) {
	if t.c.parts["back.json"] == nil {
		return
	}
	if want := t.parsed("back.json"); want != nil {
		if u := differs(want.Root(), got.Root(), true); u != nil {
			t.fail("back.json", CodeCaseFailed, "%s", u.says("back.json"))
			t.report.Compared = append(t.report.Compared, u.values())
		}
	}
	for _, f := range fhir.Validate(got) {
		if f.Grade == contracts.GradeError {
			t.fail("back.json", CodeLawFailed, "L6: what the way back made isn't valid at %s: %s", f.At, f.Public)
		}
	}
}

// breachesFHIR is breaches for a map whose dialect is FHIR.
func (m *Map) breachesFHIR(in *fhir.Tree, c Context, nth int) []string {
	c.Residue = true
	res, err := m.ForwardFHIR(in, c)
	if err != nil {
		return nil // it parks
	}
	var told []string
	if text := m.exactFHIR(in, res, c); text != "" {
		told = append(told, "L1: "+text)
	}
	plain, err := m.reverseFHIR(res.Bundle, c, nil)
	if err != nil {
		return append(told, fmt.Sprintf("L3: the way back parks: %v", err))
	}
	if text := m.secondBack(in, c); text != "" {
		told = append(told, "L3: "+text)
	}
	if m.doc.preserve.s == preserveNone {
		nth = 0 // nothing is kept that a change could meet
	}
	for i := 0; nth > 0 && i < len(res.exchanged); i += nth {
		if e := &res.exchanged[i]; e.from.Exists() && e.rule != nil && e.rule.backward && e.to.Kind() == fhir.KindString && e.to.Name() != "reference" {
			if text, _ := m.changeFHIR(in, res, plain, e.to, c); text != "" {
				told = append(told, "L4: "+text)
			}
		}
	}
	return told
}

// exactFHIR is L1: the members of an object may stand in another order, which says nothing in JSON.
func (m *Map) exactFHIR(in *fhir.Tree, res *Result, c Context) string {
	if m.doc.preserve.s == preserveNone {
		return ""
	}
	back, err := m.Reverse(res.Bundle, c)
	if err != nil {
		return fmt.Sprintf("the way back parks: %v", err)
	}
	if !bytes.Equal(in.Canonical(nil), back.Dialect.Canonical(nil)) && !declared(res.Findings) {
		return "with the residue the way back gives another message, first at " + firstUnlike(in, back.Dialect) + "."
	}
	for _, f := range back.Findings {
		if f.Code == CodeResidue {
			return "nothing was changed, and what was kept isn't put back at " + f.Place() + "."
		}
	}
	return ""
}

// firstUnlike is the place of the first leaf that only one of two messages has there.
func firstUnlike(a, b *fhir.Tree) string {
	return firstDifference(a.Canonical(nil), b.Canonical(nil))
}

// secondBack is L3: back and forth again, the canonical Bundle is the same, but for the ids of its entries.
func (m *Map) secondBack(in *fhir.Tree, c Context) string {
	if m.fhir.withholds {
		return "" // what it keeps back isn't there the second time
	}
	first, err := m.forwardFHIR(in, c, false)
	if err != nil {
		return fmt.Sprintf("without the residue the message parks: %v", err)
	}
	plain, err := m.reverseFHIR(first.Bundle, c, nil)
	if err != nil {
		return fmt.Sprintf("the way back parks: %v", err)
	}
	for _, f := range plain.Findings {
		if f.Kind == contracts.Loss && f.Grade == contracts.GradeWarning {
			return "" // it was told that something is lost
		}
	}
	second, err := m.forwardFHIR(plain.Dialect, c, false)
	if err != nil {
		return fmt.Sprintf("what the way back wrote parks: %v", err)
	}
	if line := otherBundle(first.Bundle, second.Bundle, nil); line != "" {
		return "back and forth again gives another Bundle, first at " + line + "."
	}
	return ""
}

// changeFHIR is L4 for one leaf. came says that the rules write something else now.
func (m *Map) changeFHIR(in *fhir.Tree, res, plain *Result, leaf fhir.Node, c Context) (breach string, came bool) {
	bundle := res.Bundle.Clone()
	changed := bundle.Node(leaf.ID())
	changed.Put(fhir.String(otherText(changed.Text())))
	after, err := m.reverseFHIR(bundle, c, nil)
	if err != nil {
		return "", false // a change that means nothing
	}
	back, err := m.Reverse(bundle, c)
	if err != nil {
		return fmt.Sprintf("a changed %s parks with the residue alone: %v", leaf.Place(), err), false
	}
	rules, own := unlikeLeaves(plain.Dialect, after.Dialect), unlikeLeaves(in, back.Dialect)
	for _, at := range keys(own) {
		told := slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return f.Code == CodeResidue })
		if !rules[at] && !told && !slices.ContainsFunc(keys(rules), func(near string) bool { return strings.HasPrefix(at, near+".") }) {
			return fmt.Sprintf("changing %s also changes %s.", leaf.Place(), at), true
		}
	}
	if len(own) == 0 && len(rules) > 0 {
		return fmt.Sprintf("changing %s changes nothing, where the rules write %s.", leaf.Place(), strings.Join(keys(rules), ", ")), true
	}
	return "", len(rules) > 0
}

// unlikeLeaves are the elements, by type and names without numbers, whose texts differ between two messages.
func unlikeLeaves(a, b *fhir.Tree) map[string]bool {
	count := map[string]map[string]int{}
	for step, tree := range map[int]*fhir.Tree{1: a, -1: b} {
		for n := range tree.Root().Leaves() {
			at, text := leafName(n), n.Text()
			if count[at] == nil {
				count[at] = map[string]int{}
			}
			count[at][text] += step
		}
	}
	unlike := map[string]bool{}
	for at, texts := range count {
		for _, n := range texts {
			unlike[at] = unlike[at] || n != 0
		}
		if !unlike[at] {
			delete(unlike, at)
		}
	}
	return unlike
}

func leafName(n fhir.Node) string {
	var names []string
	for ; n.Parent().Exists() && n.Name() != "resource"; n = n.Parent() {
		if n.Name() != "" {
			names = append(names, n.Name())
		}
	}
	slices.Reverse(names)
	return n.Type() + "." + strings.Join(names, ".")
}

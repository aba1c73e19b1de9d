package mappings

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// CaseReport is what one case of a map came to.
type CaseReport struct {
	Map    string           // ID@VERSION
	File   string           // its path in the catalog
	Title  string           // its first line: what it shows
	Faults contracts.Faults // what differs, and which laws don't hold; empty means that it passed
	Rules  []string         // the rules that wrote something
	Leaves Leaves           // of its v2 message
	// What differs with its values, PLACE: want …, got …, for who wrote the case: cases hold invented people only.
	Compared []string
	ways     []string // the rules and rows that wrote something, see Untested
}

// Passed says whether the case and the laws hold.
func (r *CaseReport) Passed() bool { return len(r.Faults) == 0 }

// testCase is one file of cases/*.txtar:
//
//	in.hl7 or in.json       the message; lines end the segments
//	out.json                part of the Bundle: what is named must be so, lists hold at least these items in this order
//	out.exact.json          the whole Bundle
//	out.fhirpath            what must hold of the Bundle: a FHIRPath expression a line, // begins a comment
//	back.hl7                the message that the way back makes: of in.json, or of in.hl7's own Bundle
//	origin.json             the request that in.json answers
//	canonical.json          of a map whose dialect is FHIR, whose in.json is of the dialect: the Bundle, for the way back alone
//	back.json               what the way back makes of it, as back.hl7
//	faults.txt              the faults and findings, a line each: kind and place
//	options                 lines such as `version 2.4` (to write), `now 2026-03-02T08:00:00Z`, `charset 8859/1`
//
// A string urn:uuid:* in the expected JSON stands for any UUID. Without faults.txt there must be no fault; findings
// don't matter then.
type testCase struct {
	file  string
	title string
	parts map[string][]byte
	at    map[string]int // the line in the file at which each part begins
	ctx   Context
}

// Test runs the cases beside the map, and the laws of the language on each of their inputs: the way back gives the message
// that came in (L1), back and forth again gives the same (L3), a change of one FHIR element changes what its rules write and
// nothing else (L4), the same input gives the same bytes (L5), and results validate with every reference resolved (L6). A map without cases is a fault, MAP-302.
func (m *Map) Test() ([]CaseReport, error) {
	files, err := fs.Glob(m.layer, path.Join(m.dir, "cases", "*.txtar"))
	if err != nil || len(files) == 0 {
		return nil, contracts.Faultf(contracts.Invalid, CodeNoCases, m.dir, "The map %s has no cases beside it.", m.Name())
	}
	var reports []CaseReport
	for _, file := range files {
		data, err := fs.ReadFile(m.layer, file)
		if err != nil {
			return nil, contracts.Faultf(contracts.Invalid, CodeCatalogLayout, file, "The case can't be read.")
		}
		reports = append(reports, m.TestCase(file, data))
	}
	return reports, nil
}

// TestCase runs one case.
func (m *Map) TestCase(file string, data []byte) CaseReport {
	report := CaseReport{Map: m.Name(), File: file}
	c, fault := readCase(file, data)
	if fault != nil {
		report.Faults = contracts.Faults{fault}
		return report
	}
	report.Title = c.title
	t := &caseRun{m: m, c: c, report: &report}
	switch {
	case m.FHIR():
		t.dialect()
	case c.parts["in.hl7"] != nil:
		t.forward(c.message("in.hl7"))
	case c.parts["in.json"] != nil:
		t.reverse()
	default:
		t.fail("in.hl7", CodeCaseFailed, "The case has no input: in.hl7 or in.json.")
	}
	return report
}

var caseParts = []string{"in.hl7", "in.json", "out.json", "out.exact.json", "out.fhirpath", "back.hl7", "origin.json", "canonical.json", "back.json", "faults.txt", "options"}

func readCase(file string, data []byte) (*testCase, *contracts.Fault) {
	archive := txtar.Parse(data)
	c := &testCase{file: file, parts: map[string][]byte{}, at: map[string]int{}}
	c.title, _, _ = strings.Cut(strings.TrimSpace(string(archive.Comment)), "\n")
	c.title = strings.TrimSpace(strings.TrimPrefix(c.title, "#"))
	for _, f := range archive.Files {
		if !has(caseParts, f.Name) {
			return nil, contracts.Faultf(contracts.Invalid, CodeCaseFailed, f.Name, "A case has no part of this name%s.", meant(f.Name, caseParts))
		}
		c.parts[f.Name] = f.Data
		c.at[f.Name] = 2 + bytes.Count(data[:bytes.Index(data, []byte("-- "+f.Name+" --"))], []byte("\n"))
	}
	if c.title == "" {
		return nil, contracts.Faultf(contracts.Invalid, CodeCaseFailed, file, "The first line of a case says what it shows.")
	}
	for line := range strings.Lines(string(c.parts["options"])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch value = strings.TrimSpace(value); name {
		case "version":
			c.ctx.Version = value
		case "charset":
			c.ctx.Charset = value
		case "now":
			now, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return nil, contracts.Faultf(contracts.Invalid, CodeCaseFailed, "options", "now is a time such as 2026-03-02T08:00:00Z.")
			}
			c.ctx.Now = now
		case "":
		default:
			return nil, contracts.Faultf(contracts.Invalid, CodeCaseFailed, "options", "There is no option of this name%s.", meant(name, []string{"version", "charset", "now"}))
		}
	}
	return c, nil
}

// message is a part as ER7: each line is a segment. It is UTF-8, whatever MSH-18 says.
func (c *testCase) message(part string) []byte {
	return bytes.ReplaceAll(bytes.TrimRight(c.parts[part], "\n"), []byte("\n"), []byte("\r"))
}

type caseRun struct {
	m      *Map
	c      *testCase
	report *CaseReport
}

func (t *caseRun) fail(part, code, format string, args ...any) *contracts.Fault {
	f := contracts.Faultf(contracts.Invalid, code, part, format, args...)
	f.File, f.Line, f.Col = t.c.file, max(t.c.at[part], 1), 1
	t.report.Faults = append(t.report.Faults, f)
	return f
}

// forward checks a case with a v2 message.
func (t *caseRun) forward(data []byte) {
	msg, err := hl7v2.Parse(data, hl7v2.WithDefaultCharset(hl7v2.UTF8))
	if err != nil {
		t.fail("in.hl7", CodeCaseFailed, "The message can't be parsed: %v", err)
		return
	}
	res, err := t.m.Forward(msg, t.c.ctx)
	if !t.faults(res, err) || err != nil {
		return
	}
	t.bundle(res.Bundle)
	t.rules(res)
	if again, err := t.m.Forward(msg, t.c.ctx); err != nil || !bytes.Equal(again.Bundle.Append(nil), res.Bundle.Append(nil)) {
		t.fail("in.hl7", CodeLawFailed, "L5: the same input gives other bytes the second time.")
	}
	ctx := t.c.ctx
	if ctx.Version == "" {
		ctx.Version = msg.Version()
	}
	ctx.Origin = &Origin{Bundle: res.Bundle} // an answer that names nobody gets nobody from itself
	back, err := t.m.Reverse(res.Bundle, ctx)
	if err != nil {
		t.fail("in.hl7", CodeLawFailed, "L3: the way back of the result parks: %v", err)
		return
	}
	t.rules(back)
	if t.c.parts["back.hl7"] != nil {
		t.back(back.Message)
	}
	if !regrouped(back.Findings) {
		t.thereAndBack(res, back)
	}
	for _, text := range t.m.breaches(msg, t.c.ctx, 1) {
		if !t.told(text) {
			t.fail("in.hl7", CodeLawFailed, "%s", text)
		}
	}
}

// told says whether a law is broken at a place that was told already.
func (t *caseRun) told(text string) bool {
	return slices.ContainsFunc(t.report.Faults, func(f *contracts.Fault) bool { return f.Public == text })
}

// regrouped says whether the way back told that a reader will take a segment for another group's.
func regrouped(findings contracts.Faults) bool {
	for _, f := range findings {
		if f.Code == CodeRegrouped {
			return true
		}
	}
	return false
}

// thereAndBack is L3: translated back and forth again, the Bundle is the same, but for the ids of its entries.
func (t *caseRun) thereAndBack(res, back *Result) {
	again, err := t.m.Forward(back.Message, t.c.ctx)
	if err != nil {
		t.fail("in.hl7", CodeLawFailed, "L3: what the way back wrote parks: %v", err)
		return
	}
	if line := otherBundle(res.Bundle, again.Bundle, nil); line != "" {
		t.fail("in.hl7", CodeLawFailed, "L3: back and forth again gives another Bundle, first at %s.", line)
	}
}

// reverse checks a case with a Bundle.
func (t *caseRun) reverse() {
	tree, err := fhir.Parse(t.c.parts["in.json"])
	if err != nil {
		t.fail("in.json", CodeCaseFailed, "The Bundle can't be parsed: %v", err)
		return
	}
	ctx := t.c.ctx
	if request := t.c.parts["origin.json"]; request != nil {
		origin, err := fhir.Parse(request)
		if err != nil {
			t.fail("origin.json", CodeCaseFailed, "The request can't be parsed: %v", err)
			return
		}
		ctx.Origin = &Origin{Bundle: origin}
	}
	res, err := t.m.Reverse(tree, ctx)
	if !t.faults(res, err) || err != nil {
		return
	}
	t.rules(res)
	if t.c.parts["back.hl7"] != nil {
		t.back(res.Message)
	}
	if again, err := t.m.Reverse(tree, ctx); err != nil || !bytes.Equal(again.Message.Bytes(), res.Message.Bytes()) {
		t.fail("in.json", CodeLawFailed, "L5: the same input gives other bytes the second time.")
	}
	forth, err := t.m.Forward(res.Message, t.c.ctx)
	if err != nil {
		t.fail("in.json", CodeLawFailed, "L3: what the way back wrote parks: %v", err)
		return
	}
	t.bundle(forth.Bundle)
	ctx.Origin, ctx.Version = &Origin{Bundle: forth.Bundle}, res.Message.Version()
	if back, err := t.m.Reverse(forth.Bundle, ctx); err == nil {
		t.thereAndBack(forth, back)
	}
}

// faults compares what was reported with faults.txt. It says whether the case may go on.
func (t *caseRun) faults(res *Result, err error) bool {
	found := contracts.FaultsOf(err)
	expected, listed := t.c.parts["faults.txt"]
	if !listed {
		if err != nil {
			t.fail("in.hl7", CodeCaseFailed, "The message parks: %v", err)
		}
		return err == nil
	}
	if res != nil {
		found = res.Findings
	}
	var got []string
	for _, f := range found {
		got = append(got, string(f.Kind)+" "+f.Place())
	}
	want := strings.FieldsFunc(string(expected), func(r rune) bool { return r == '\n' })
	same := len(want) == len(got)
	for i := 0; same && i < len(want); i++ {
		same = samePlace(want[i], got[i])
	}
	if !same {
		t.fail("faults.txt", CodeCaseFailed, "Faults: want [%s], got [%s].", strings.Join(want, "; "), strings.Join(got, "; "))
	}
	return same
}

// samePlace lets a case name a field where the fault names the leaf: RF1-2 for RF1-2(1).1.
func samePlace(want, got string) bool {
	rest, ok := strings.CutPrefix(got, strings.TrimSpace(want))
	return ok && (rest == "" || rest[0] == '(' || rest[0] == '.')
}

// bundle compares with the expected JSON and checks L6.
func (t *caseRun) bundle(tree *fhir.Tree) {
	for _, part := range []string{"out.json", "out.exact.json"} {
		data := t.c.parts[part]
		if data == nil {
			continue
		}
		want, err := fhir.Parse(data)
		if err != nil {
			t.fail(part, CodeCaseFailed, "The expected JSON can't be parsed: %v", err)
			continue
		}
		got := tree
		if part == "out.exact.json" {
			got = unstamped(tree)
		}
		if u := differs(want.Root(), got.Root(), part == "out.exact.json"); u != nil {
			t.fail(part, CodeCaseFailed, "%s", u.says(part))
			t.report.Compared = append(t.report.Compared, u.values())
		}
	}
	t.assertions(tree.Root())
	for _, f := range fhir.Validate(tree) {
		if f.Grade == contracts.GradeError {
			t.fail("in.hl7", CodeLawFailed, "L6: the result isn't valid: %v", f)
		}
	}
}

// unstamped is a copy of a result without the stamp of its map, which changes with every edit of that.
func unstamped(tree *fhir.Tree) *fhir.Tree {
	got := tree.Clone()
	meta := got.Root().Get("entry").At(0).Get("resource").Get("meta")
	if meta.Get("source").Remove(); meta.Exists() && meta.Len() == 0 {
		meta.Remove()
	}
	return got
}

// assertions checks out.fhirpath. A fault names the line of the expression.
func (t *caseRun) assertions(root fhir.Node) {
	for i, line := range strings.Split(string(t.c.parts["out.fhirpath"]), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		expression, err := fhir.CompileExpression(line)
		holds := false
		var values []fhir.Node
		if err == nil {
			holds, err = expression.True(root)
		}
		if err == nil && !holds {
			values, err = expression.Values(root)
		}
		switch {
		case err != nil:
			t.fail("out.fhirpath", CodeCaseFailed, "%s", contracts.FaultsOf(err)[0].Public).Line += i
		case !holds && len(values) == 0:
			t.fail("out.fhirpath", CodeCaseFailed, "This doesn't hold of the Bundle: it gives nothing.").Line += i
		case !holds:
			t.fail("out.fhirpath", CodeCaseFailed, "This doesn't hold of the Bundle: it gives false.").Line += i
		}
	}
}

// back compares the message that the way back made, segment by segment.
func (t *caseRun) back(msg *hl7v2.Message) {
	want := strings.Split(strings.TrimRight(string(t.c.message("back.hl7")), "\r"), "\r")
	got := strings.Split(strings.TrimRight(er7(msg), "\r"), "\r")
	for i := range want {
		want[i] = strings.TrimRight(want[i], "|")
	}
	for i := range max(len(want), len(got)) {
		if i < len(want) && i < len(got) && want[i] == got[i] {
			continue
		}
		place, w, g := unlikeSegment(want, got, i, msg.Delimiters())
		switch {
		case i >= len(got):
			t.fail("back.hl7", CodeCaseFailed, "The way back doesn't write %s.", place)
		case i >= len(want):
			t.fail("back.hl7", CodeCaseFailed, "The way back also writes %s.", place)
		case !strings.Contains(place, "-"):
			t.fail("back.hl7", CodeCaseFailed, "The way back writes %s where back.hl7 has %s.", place, segmentPlace(want, i, msg.Delimiters()))
		default:
			t.fail("back.hl7", CodeCaseFailed, "The way back differs from back.hl7 at %s.", place)
		}
		t.report.Compared = append(t.report.Compared, fmt.Sprintf("%s: want %q, got %q", place, w, g))
		return
	}
}

func er7(msg *hl7v2.Message) string {
	var b strings.Builder
	for _, s := range msg.Segments() {
		b.WriteString(s.ER7() + "\r")
	}
	return b.String()
}

// rules notes what wrote something on one of the case's ways.
func (t *caseRun) rules(res *Result) {
	for _, l := range res.Lines() {
		if !slices.Contains(t.report.Rules, l.Rule) {
			t.report.Rules = append(t.report.Rules, l.Rule)
		}
	}
	for i := range res.lineage {
		if o := res.lineage[i].rule; o != nil && !slices.Contains(t.report.ways, o.way()) {
			t.report.ways = append(t.report.ways, o.way())
		}
	}
	for i := range res.exchanged {
		if o := res.exchanged[i].rule; o != nil && !slices.Contains(t.report.ways, o.way()) {
			t.report.ways = append(t.report.ways, o.way())
		}
	}
	t.report.Leaves.Add(res.Leaves)
}

// otherBundle names the first element in which two Bundles differ, but for the ids of their entries; "" where they don't.
// With same they are compared as it writes them.
func otherBundle(a, b *fhir.Tree, same func([]byte) []byte) string {
	x, y := a.Indent(nil), b.Indent(nil)
	if bytes.Equal(x, y) {
		return ""
	}
	x, y = withoutIDs(x), withoutIDs(y)
	if same != nil {
		x, y = same(x), same(y)
	}
	return firstDifference(x, y)
}

var uuids = regexp.MustCompile(`urn:uuid:[0-9a-f-]{36}`)

// withoutIDs numbers the UUIDs in the order in which they come.
func withoutIDs(b []byte) []byte {
	numbers := map[string]string{}
	return uuids.ReplaceAllFunc(b, func(id []byte) []byte {
		n, ok := numbers[string(id)]
		if !ok {
			n = "urn:uuid:#" + itoa(len(numbers)+1)
			numbers[string(id)] = n
		}
		return []byte(n)
	})
}

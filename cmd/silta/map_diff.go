package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
)

// mapDiff is one call of `silta map diff`.
type mapDiff struct {
	t        *terminal
	old, new *mappings.Map
	context  mappings.Context
	options  []hl7v2.Option
	all      bool
	summary  diffSummary
}

// difference is one place at which two maps give something else. What a map doesn't give is null; where it refuses the
// message, the fault's kind and code stand for it, at the fault's place.
type difference struct {
	Message string  `json:"message"`
	Path    string  `json:"path"`
	Before  *string `json:"before"`
	After   *string `json:"after"`
	Rule    string  `json:"rule"`
	Back    bool    `json:"back,omitempty"` // it is of the way back of what each map made; Path is a place of the dialect
}

// diffSummary is the last line.
type diffSummary struct {
	Messages int            `json:"messages"` // that at least one of the maps takes
	Differ   int            `json:"differ"`
	Refused  int            `json:"refused"` // by both, for the same fault; one that can't be read is refused too
	Rules    map[string]int `json:"rules"`   // differences by rule
}

func newMapDiff(t *terminal, flag *catalogFlag) *cobra.Command {
	d := &mapDiff{t: t, summary: diffSummary{Rules: map[string]int{}}}
	var dir, now string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what another map changes, on messages",
		Long: "Translates the HL7 v2 messages of a folder, and of those in it, by two maps to the canonical form, and prints a JSON\n" +
			"line for each value that differs: the file, the place, what was before and what is after, and the rule that wrote it.\n" +
			"With maps whose dialect is FHIR the messages are JSON, a resource a file.\n" +
			"The last line counts them by rule. The lines hold the messages' values. A message that only one of the maps takes\n" +
			"shows the other's fault, and what the one writes from there; what both refuse is told on stderr. Lines with \"back\" are\n" +
			"of the way back of what each map made, by fields of the message. Version stamps (meta.versionId, meta.lastUpdated, meta.source), Provenance and the residue are left out\n" +
			"without --all.",
		Example: "  silta map diff apotti.ref-i12@0.1.0 apotti.ref-i12@0.2.0 --messages samples",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if d.context.Now, err = moment(now); err != nil {
				return err
			}
			if d.options, err = t.hl7Options(); err != nil {
				return err
			}
			if d.old, err = flag.find(t, cmd, args[0]); err != nil {
				return err
			}
			if d.new, err = flag.find(t, cmd, args[1]); err != nil {
				return err
			}
			if d.old.FHIR() != d.new.FHIR() {
				return usagef("%s and %s are for different forms of message: one reads HL7 v2, the other FHIR", d.old.Name(), d.new.Name())
			}
			return d.run(dir)
		},
	}
	c.Flags().StringVar(&dir, "messages", "", "the folder with the messages, or a file of them")
	c.Flags().StringVar(&now, "now", "", "the time of the run (RFC 3339), instead of the clock's")
	c.Flags().BoolVar(&d.all, "all", false, "compare version stamps, Provenance and the residue too")
	_ = c.MarkFlagRequired("messages") // fails only for a flag that isn't there
	return c
}

func (d *mapDiff) run(dir string) error {
	// Two maps and a message are little memory, and thousands of messages make much to collect: an eighth of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	if _, err := os.Stat(dir); err != nil {
		return usagef("--messages %s can't be read: there is no such folder or file", dir)
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if path != dir && !d.isMessage(path, b) {
			return nil // a folder of samples holds other files too
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if path == dir {
			name = filepath.Base(dir)
		}
		return d.file(name, b)
	})
	if err != nil {
		return err
	}
	if d.summary.Messages == 0 {
		return usagef("--messages %s: no message there is one that the maps take", dir)
	}
	return d.t.print(d.summary)
}

// isMessage says whether a file is called, or begins, like a message that the maps read.
func (d *mapDiff) isMessage(path string, b []byte) bool {
	if d.old.FHIR() {
		return filepath.Ext(path) == ".json"
	}
	start := bytes.TrimLeft(b, "\v\r\n ")
	return filepath.Ext(path) == ".hl7" || bytes.HasPrefix(start, []byte("MSH")) || bytes.HasPrefix(start, []byte("FHS")) || bytes.HasPrefix(start, []byte("BHS"))
}

func (d *mapDiff) file(name string, b []byte) error {
	if d.old.FHIR() {
		tree, err := fhir.Parse(b)
		if err != nil {
			d.t.faults(name, contracts.FaultsOf(err))
			d.summary.Refused++
			return nil
		}
		return d.message(name, "", func(m *mappings.Map) (*mappings.Result, error) { return m.ForwardFHIR(tree, d.context) })
	}
	parts, faults := hl7v2.Split(b)
	d.t.faults(name, faults)
	for i, part := range parts {
		of := name
		if i > 0 {
			of += "#" + strconv.Itoa(i+1)
		}
		m, err := hl7v2.Parse(part.Bytes, d.options...)
		if err != nil {
			d.t.faults(of, contracts.FaultsOf(err))
			d.summary.Refused++
			continue
		}
		if err := d.message(of, m.Version(), func(by *mappings.Map) (*mappings.Result, error) { return by.Forward(m, d.context) }); err != nil {
			return err
		}
	}
	return nil
}

// message compares what the two maps make of one message. They do so at the same time.
func (d *mapDiff) message(name, version string, translate func(*mappings.Map) (*mappings.Result, error)) error {
	var was, is bothWays
	var old sync.WaitGroup
	old.Go(func() { was = d.bothWays(d.old, version, translate) })
	is = d.bothWays(d.new, version, translate)
	old.Wait()
	before, errBefore, after, errAfter := was.there, was.err, is.there, is.err
	var found []difference
	switch {
	case errBefore != nil && errAfter != nil:
		was, is := contracts.FaultsOf(errBefore)[0], contracts.FaultsOf(errAfter)[0]
		if was.Code == is.Code && was.At == is.At {
			d.summary.Refused++
			note := *is // of both maps, so no difference, and no reason to fail
			note.Grade = contracts.GradeNote
			d.t.faults(name, contracts.Faults{&note})
			return nil
		}
		found = []difference{refusal(was, true), refusal(is, false)}
	case errBefore != nil:
		found = refused(contracts.FaultsOf(errBefore)[0], after, true)
	case errAfter != nil:
		found = refused(contracts.FaultsOf(errAfter)[0], before, false)
	default:
		found = append(d.bundles(before, after), d.waysBack(was, is)...)
	}
	d.summary.Messages++
	if len(found) > 0 {
		d.summary.Differ++
	}
	for _, f := range found {
		f.Message = name
		d.summary.Rules[f.Rule]++
		if err := d.t.print(f); err != nil {
			return err
		}
	}
	return nil
}

// refusal is a difference by a fault of the old map or of the new one.
func refusal(f *contracts.Fault, old bool) difference {
	text := string(f.Kind) + " " + f.Code
	if old {
		return difference{Path: f.At, Before: &text, Rule: f.Rule}
	}
	return difference{Path: f.At, After: &text, Rule: f.Rule}
}

// refused is a difference by a fault of one map, and what the other, which takes the message, writes from the fault's place.
func refused(f *contracts.Fault, taken *mappings.Result, old bool) []difference {
	found := []difference{refusal(f, old)}
	for _, line := range taken.Lines() {
		if rest, within := strings.CutPrefix(line.From, f.At); f.At == "" || !within || rest != "" && rest[0] != '.' && rest[0] != '(' {
			continue
		}
		at, err := fhir.CompilePath(strings.TrimPrefix(line.To, "Bundle."))
		if err != nil {
			continue // what no path names, such as an extension
		}
		text := literal(at.Get(taken.Bundle.Root()))
		if old {
			found = append(found, difference{Path: line.To, After: text, Rule: line.Rule})
		} else {
			found = append(found, difference{Path: line.To, Before: text, Rule: line.Rule})
		}
	}
	return found
}

// bothWays is what a map makes of a message, and of what it made on the way back.
type bothWays struct {
	there, back *mappings.Result
	err         error
	fault       *contracts.Fault // of the way back
}

func (d *mapDiff) bothWays(m *mappings.Map, version string, translate func(*mappings.Map) (*mappings.Result, error)) (w bothWays) {
	if w.there, w.err = translate(m); w.err != nil {
		return w
	}
	c := d.context
	c.Version, c.Origin = version, &mappings.Origin{Bundle: w.there.Bundle}
	back, err := m.Reverse(w.there.Bundle, c)
	if err != nil {
		w.fault = contracts.FaultsOf(err)[0]
		return w
	}
	w.back = back
	return w
}

// waysBack compares what each map makes of its own Bundle on the way back.
func (d *mapDiff) waysBack(before, after bothWays) []difference {
	old, was, now, is := before.back, before.fault, after.back, after.fault
	var found []difference
	switch {
	case was != nil && is != nil && was.Code == is.Code && was.At == is.At:
	case was != nil || is != nil:
		if was != nil {
			found = append(found, refusal(was, true))
		}
		if is != nil {
			found = append(found, refusal(is, false))
		}
	case d.old.FHIR():
		c := comparison{all: d.all, old: ruleOf(old), new: ruleOf(now)}
		c.nodes(old.Dialect.Root(), now.Dialect.Root())
		found = c.found
	case !bytes.Equal(old.Message.Bytes(), now.Message.Bytes()):
		found = unlikeFields(old, now)
	}
	for i := range found {
		found[i].Back = true
	}
	return found
}

// unlikeFields compares two messages, field by field: the n-th segment of a name in one with the n-th of that name in the other.
func unlikeFields(before, after *mappings.Result) []difference {
	was, is := fieldsOf(before.Message), fieldsOf(after.Message)
	var found []difference
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, place := range slices.SortedFunc(maps.Keys(all), func(a, b fieldPlace) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.nth, b.nth), a.field-b.field)
	}) {
		old, now := was[place], is[place]
		if old == now {
			continue
		}
		d, by := difference{Path: place.String()}, before
		if old != "" {
			d.Before = &old
		}
		if now != "" {
			d.After, by = &now, after
		}
		d.Rule = ruleOfField(by, place)
		found = append(found, d)
	}
	return found
}

// fieldPlace is a field of the nth segment of its name, from 1.
type fieldPlace struct {
	segment    string
	nth, field int
}

func (p fieldPlace) String() string {
	if p.nth == 1 {
		return fmt.Sprintf("%s-%d", p.segment, p.field)
	}
	return fmt.Sprintf("%s(%d)-%d", p.segment, p.nth, p.field)
}

// fieldsOf gives the populated fields of a message, as they stand in it.
func fieldsOf(m *hl7v2.Message) map[fieldPlace]string {
	fields, count := map[fieldPlace]string{}, map[string]int{}
	for _, s := range m.Segments() {
		count[s.ID()]++
		for n := 1; n <= s.NumFields(); n++ {
			if text := s.Field(n).ER7(); text != "" {
				fields[fieldPlace{s.ID(), count[s.ID()], n}] = text
			}
		}
	}
	return fields
}

// ruleOfField is the first rule that wrote into a field on the way back.
func ruleOfField(r *mappings.Result, p fieldPlace) string {
	for _, line := range r.Lines() {
		if rest, within := strings.CutPrefix(line.To, p.String()); within && (rest == "" || rest[0] == '(' || rest[0] == '.') {
			return line.Rule
		}
	}
	return ""
}

// bundles compares two Bundles, entry by entry: those of one fullUrl belong together wherever they stand.
func (d *mapDiff) bundles(before, after *mappings.Result) []difference {
	if bytes.Equal(before.Bundle.Append(nil), after.Bundle.Append(nil)) {
		return nil
	}
	c := comparison{all: d.all, old: ruleOf(before), new: ruleOf(after)}
	a, b := before.Bundle.Root(), after.Bundle.Root()
	for child := range a.Children() {
		if child.Name() != "entry" {
			c.nodes(child, b.Get(child.Name()))
		}
	}
	for child := range b.Children() {
		if child.Name() != "entry" && !a.Get(child.Name()).Exists() {
			c.nodes(fhir.Node{}, child)
		}
	}
	is := map[string]fhir.Node{}
	for entry := range b.Get("entry").Each() {
		is[entry.Get("fullUrl").Text()] = entry
	}
	for entry := range a.Get("entry").Each() {
		url := entry.Get("fullUrl").Text()
		c.entries(entry, is[url])
		delete(is, url)
	}
	for entry := range b.Get("entry").Each() {
		if _, left := is[entry.Get("fullUrl").Text()]; left {
			c.entries(fhir.Node{}, entry)
		}
	}
	return c.found
}

// ruleOf gives the rule that wrote each place, once it is asked.
func ruleOf(r *mappings.Result) func() map[string]string {
	return sync.OnceValue(func() map[string]string {
		rules := map[string]string{}
		for _, line := range r.Lines() {
			rules[line.To] = line.Rule
		}
		return rules
	})
}

// comparison collects the leaves that differ.
type comparison struct {
	all      bool
	old, new func() map[string]string // rules by place; asked for where something differs
	found    []difference
}

func (c *comparison) entries(a, b fhir.Node) {
	if !c.all && (a.Get("resource").Type() == "Provenance" || b.Get("resource").Type() == "Provenance") {
		return
	}
	c.nodes(a, b)
}

// nodes compares two values of one place, of which one may not be there.
func (c *comparison) nodes(a, b fhir.Node) {
	if c.leftOut(a) || c.leftOut(b) {
		return
	}
	if a.Kind() == fhir.KindObject || b.Kind() == fhir.KindObject {
		c.leaf(a, b)
		for child := range a.Children() {
			c.nodes(child, b.Get(child.Name()))
		}
		for child := range b.Children() {
			if !a.Get(child.Name()).Exists() {
				c.nodes(fhir.Node{}, child)
			}
		}
		return
	}
	if a.Kind() == fhir.KindArray || b.Kind() == fhir.KindArray {
		for i := range max(a.Len(), b.Len()) {
			c.nodes(a.At(i), b.At(i))
		}
		return
	}
	c.leaf(a, b)
}

// leftOut says whether a value is none of the message's own: a version stamp, or the residue.
func (c *comparison) leftOut(n fhir.Node) bool {
	if c.all || !n.Exists() {
		return false
	}
	return n.Name() == "versionId" || n.Name() == "lastUpdated" || n.Name() == "source" && n.Parent().Name() == "meta" || n.Get("url").Text() == profiles.URL(profiles.Residue)
}

// leaf adds a difference if the literals of the two values differ; objects and arrays have none.
func (c *comparison) leaf(a, b fhir.Node) {
	was, is := literal(a), literal(b)
	if was == nil && is == nil || was != nil && is != nil && *was == *is {
		return
	}
	d := difference{Before: was, After: is}
	if is != nil {
		d.Path = b.Place()
		d.Rule = c.new()[d.Path]
	} else {
		d.Path = a.Place()
		d.Rule = c.old()[d.Path]
	}
	c.found = append(c.found, d)
}

func literal(n fhir.Node) *string {
	if !n.Exists() || n.Kind() == fhir.KindObject || n.Kind() == fhir.KindArray {
		return nil
	}
	text := n.Text()
	return &text
}

package mappings

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// SkeletonFHIR is Skeleton for a message in FHIR of a partner's own: a Bundle, or one resource. Where no map of the catalog
// takes its event, each type of resource in it is copied whole, as far as a reference of the message leads to it.
func (c *Catalog) SkeletonFHIR(id string, in *fhir.Tree, event string) ([]byte, error) {
	if fault := knownEvent(event); fault != nil {
		return nil, fault
	}
	s := fhirSkeleton{c: c, id: id, in: in, event: event, bundle: fhir.NewBundle(in.Root())}
	for _, m := range c.maps {
		if m.FHIR() && m.extends == "" && len(m.fhir.events) > 0 && m.takesFHIR(in) == nil {
			return s.finish(skeletonHead(id) + fmt.Sprintf("extends: %s\ntitle: {en: %q}\n", m.Name(), s.root()+" <-> canonical, on "+m.Name()))
		}
	}
	if s.root() == "Bundle" && !s.bundle.Header().Exists() {
		return nil, contracts.Faultf(contracts.Invalid, CodeSkeleton, "Bundle.entry", "The message has no MessageHeader, which says what it is and what it is about. A message in FHIR begins with one.")
	}
	return s.alone()
}

type fhirSkeleton struct {
	c         *Catalog
	id        string
	in        *fhir.Tree
	event     string
	bundle    *fhir.Bundle
	resources []fhir.Node // the root of what is no Bundle with what it contains, or what stands in its entries
	leads     []lead
	pending   bool // a reference to a resource without a frame yet is no fault
}

// lead is a path of references in the message, such as Task.for, that lead to resources of a type.
type lead struct {
	at, to string
	count  int // of resources that one resource's references lead to there, at the most
}

func (s *fhirSkeleton) root() string { return s.in.Root().Type() }

// find lists the resources and follows the references between them.
func (s *fhirSkeleton) find() {
	root := s.in.Root()
	if s.root() != "Bundle" {
		s.resources = append(s.resources, root)
		s.resources = slices.AppendSeq(s.resources, root.Get("contained").Each())
	}
	for e := range root.Get("entry").Each() {
		if r := e.Get("resource"); r.Exists() {
			s.resources = append(s.resources, r)
		}
	}
	for _, r := range s.resources {
		found := map[lead]int{}
		s.follow(r, r.Type(), found)
		for l, n := range found {
			i := slices.IndexFunc(s.leads, func(o lead) bool { return o.at == l.at && o.to == l.to })
			if i < 0 {
				i, s.leads = len(s.leads), append(s.leads, l)
			}
			s.leads[i].count = max(s.leads[i].count, n)
		}
	}
	slices.SortFunc(s.leads, func(a, b lead) int { // the shallow ones first
		return cmp.Or(strings.Count(a.at, ".")-strings.Count(b.at, "."), strings.Compare(a.at, b.at))
	})
}

// follow counts the references below n that lead somewhere.
func (s *fhirSkeleton) follow(n fhir.Node, at string, found map[lead]int) {
	for k := range n.Children() {
		switch {
		case k.Name() == "contained" || k.Kind() < fhir.KindArray:
		case k.Kind() == fhir.KindArray:
			for item := range k.Each() {
				s.follow(item, at+"."+k.Name(), found)
			}
		default:
			s.follow(k, at+"."+k.Name(), found)
		}
	}
	if to := s.bundle.Resolve(n); n.Get("reference").Exists() && to.Exists() {
		found[lead{at: at, to: to.Type()}]++
	}
}

// types are the types of the resources in the order in which they come, the root of what is no Bundle first.
func (s *fhirSkeleton) types() []string {
	var list []string
	for _, r := range s.resources {
		if !has(list, r.Type()) {
			list = append(list, r.Type())
		}
	}
	return list
}

// alone is a map of its own: the header, the Task, and a frame for each type, or, of a type that comes more than once, for
// each reference that leads to it, as far as they compile.
func (s *fhirSkeleton) alone() ([]byte, error) {
	s.find()
	for _, r := range s.resources { // the map names them
		if t := fhir.Definitions().Type(r.Type()); t == nil {
			return nil, contracts.Faultf(contracts.Invalid, CodeSkeleton, r.Place(), "FHIR R4 has no resource of this type.")
		}
	}
	parts := []segmentPart{s.header(), s.task()}
	names := map[string]string{"MessageHeader": "msh", "Task": "task"} // the frames of types
	left := slices.DeleteFunc(s.types(), func(t string) bool { return names[t] != "" })
	parts, left = s.grow(parts, left, names)
	if len(left) > 0 {
		// What is led to may need what it leads to: a ServiceRequest the Patient that it alone names.
		s.pending = true
		more, _ := s.grow(slices.Clone(parts), left, names)
		s.pending = false
		if s.faults(more) <= s.faults(parts) {
			parts = more
		}
	}
	return s.finish(s.together(parts))
}

// grow adds the frames of types, as far as they can be reached, and gives the types that are left.
func (s *fhirSkeleton) grow(parts []segmentPart, left []string, names map[string]string) ([]segmentPart, []string) {
	for again := true; again; { // what leads to a type may come behind it
		again = false
		for i, typ := range left {
			if found := s.frames(parts, typ, names); len(found) > 0 {
				parts, left, again = append(parts, found...), slices.Delete(left, i, i+1), true
				break
			}
		}
	}
	return parts, left
}

// frames are the parts of one type. Where it has one frame of its own, names has it then.
func (s *fhirSkeleton) frames(parts []segmentPart, typ string, names map[string]string) []segmentPart {
	if s.count(typ) == 1 {
		name := strings.ToLower(typ)
		if p, ok := s.frame(parts, name, typ, typ, "", s.ways(typ, names)); ok {
			names[typ] = name
			return []segmentPart{p}
		}
		return nil
	}
	var found []segmentPart
	for _, l := range s.leads {
		of, rest, _ := strings.Cut(l.at, ".")
		if l.to != typ || names[of] == "" {
			continue
		}
		each := ""
		if l.count > 1 {
			each = ", each: true"
		}
		name := strings.ToLower(l.at[strings.LastIndexByte(l.at, '.')+1:])
		if strings.Contains(s.together(slices.Concat(parts, found)), "\n  "+name+": {type") {
			name = names[of] + name
		}
		from := fmt.Sprintf("%q", l.at+" -> "+typ)
		if p, ok := s.frame(slices.Concat(parts, found), name, typ, from, each, []string{names[of] + "." + rest}); ok {
			found = append(found, p)
		}
	}
	return found
}

// ways are the canonical paths by which a frame of a type may be reached. What the message itself is about, its Task is.
func (s *fhirSkeleton) ways(typ string, names map[string]string) []string {
	var list []string
	if s.count("Task") == 0 && typ == "Patient" {
		list = append(list, "task.for")
	}
	for _, l := range s.leads {
		of, rest, _ := strings.Cut(l.at, ".")
		switch {
		case l.to != typ || names[of] == "":
		case l.at == "MessageHeader.focus" && s.count("Task") == 0:
			list = append(list, "task.focus")
		default:
			list = append(list, names[of]+"."+rest)
		}
	}
	if s.count("Task") == 0 {
		list = append(list, "task.focus")
	}
	return list
}

func (s *fhirSkeleton) count(typ string) int {
	n := 0
	for _, r := range s.resources {
		if r.Type() == typ {
			n++
		}
	}
	return n
}

// frame copies a resource, where the map compiles with it and with one of the ways as a link, and takes the message no worse.
func (s *fhirSkeleton) frame(parts []segmentPart, name, typ, from, each string, ways []string) (segmentPart, bool) {
	p := segmentPart{
		frame: fmt.Sprintf("  %s: {type: %s, from: %s%s}\n", name, typ, from, each),
		rules: fmt.Sprintf("  - {id: %s.whole, dialect: %s, fhir: %s, as: copy}\n", name, typ, name),
	}
	for _, way := range ways {
		p.links = fmt.Sprintf("  - {fhir: %s, to: %s}\n", way, name)
		if s.faults(append(slices.Clone(parts), p)) <= s.faults(parts) {
			return p, true
		}
	}
	return p, false
}

// faults counts what would park the message by a map of these parts; of one that doesn't compile that is beyond all.
func (s *fhirSkeleton) faults(parts []segmentPart) int {
	m, _ := s.c.CompileFile("map.yaml", []byte(s.together(parts)))
	if m == nil {
		return math.MaxInt
	}
	_, err := m.ForwardFHIR(s.in, Context{})
	n := 0
	for _, f := range contracts.FaultsOf(err) {
		if f.Code != CodeMissing || !s.pending {
			n++
		}
	}
	return n
}

// header carries what is the message's own.
func (s *fhirSkeleton) header() segmentPart {
	if s.root() != "Bundle" {
		return segmentPart{
			frame:  "  msh:  {type: MessageHeader, from: message, always: true}\n",
			consts: "  - {fhir: msh.source.endpoint, value: $silta/endpoint/" + s.id + "}      # decide: which system sends it\n",
		}
	}
	p := segmentPart{
		frame:  "  msh:  {type: MessageHeader, from: MessageHeader, always: true}\n",
		consts: "  - {dialect: bundle.type, value: message}\n",
		rules: `  - {id: msg.id,     dialect: bundle.identifier,             fhir: bundle.identifier}
  - {id: msg.time,   dialect: bundle.timestamp,              fhir: bundle.timestamp}
  - {id: msh.source, dialect: MessageHeader.source,          fhir: msh.source}
  - {id: msh.dest,   dialect: MessageHeader.destination(*),  fhir: msh.destination(*)}
`,
	}
	header := s.bundle.Header()
	for _, at := range [][]string{{"eventCoding", "system"}, {"eventCoding", "code"}, {"eventUri"}} {
		n := header
		for _, name := range at {
			n = n.Get(name)
		}
		text, _, _ := strings.Cut(n.Text(), "?") // what is asked may name a patient
		if legalCode.MatchString(text) {
			p.consts += fmt.Sprintf("  - {dialect: MessageHeader.%s, value: %q}\n", strings.Join(at, "."), text)
		}
	}
	return p
}

// legalCode is a code or an address as messages name their event.
var legalCode = regexp.MustCompile(`^[^\s"\\$]+$`)

// task is the Task, the message's own or one for what it is about.
func (s *fhirSkeleton) task() segmentPart {
	about := s.bundle.Resolve(s.bundle.Header().Get("focus").At(0)).Type()
	from := s.root()
	switch {
	case from == "Bundle" && about != "":
		from = fmt.Sprintf("%q", "MessageHeader.focus -> "+about)
	case from == "Bundle":
		from = "message"
	}
	if s.count("Task") > 0 {
		if about != "Task" {
			from = "Task"
		}
		return segmentPart{
			frame: "  task: {type: Task, from: " + from + "}\n",
			links: "  - {fhir: msh.focus, to: task}\n",
			rules: "  - {id: task.whole, dialect: Task, fhir: task, as: copy}\n",
		}
	}
	return segmentPart{
		frame:  "  task: {type: Task, from: " + from + ", always: true}\n",
		links:  "  - {fhir: msh.focus, to: task}\n",
		consts: "  - {fhir: task.status, value: requested}      # decide: what the event means for the Task\n  - {fhir: task.intent, value: order}\n",
	}
}

func (s *fhirSkeleton) together(parts []segmentPart) string {
	types := slices.DeleteFunc(s.types(), func(t string) bool { return t == s.root() })
	dialect := fmt.Sprintf("dialect: {kind: fhir, release: \"4.0.1\", root: %s", s.root())
	if len(types) > 0 {
		dialect += ", types: [" + strings.Join(types, ", ") + "]"
	}
	if s.root() != "Bundle" && len(types) > 0 {
		dialect += ", contained: true"
	}
	if code := s.bundle.Header().Get("eventCoding").Get("code").Text(); s.root() == "Bundle" && legalCode.MatchString(code) {
		dialect += fmt.Sprintf(", events: [%q]", code)
	}
	return skeletonHead(s.id) + fmt.Sprintf("title: {en: %q}\n", s.root()+" <-> canonical") + dialect + "}\n" +
		fmt.Sprintf("fhir: {release: \"4.0.1\", bundle: message, event: \"$silta/CodeSystem/event|%s\"}\n", s.event) +
		sections(parts)
}

// finish runs the map on the message and lists what it can't carry.
func (s *fhirSkeleton) finish(text string) ([]byte, error) {
	m, faults := s.c.CompileFile("map.yaml", []byte(text))
	if m == nil {
		return nil, faults.Err()
	}
	res, err := m.ForwardFHIR(s.in, Context{})
	return finishSkeleton(m, text, s.event, res, err)
}

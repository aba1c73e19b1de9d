package mappings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// Skeleton writes a map for messages like one that lies on the desk, towards a canonical event. Where the catalog has a map
// for its type it is an overlay on that; else it has rules for the segments that mean the same everywhere. What it writes
// compiles. In comments it lists the places, never the values, of what it doesn't carry.
func (c *Catalog) Skeleton(id string, msg *hl7v2.Message, event string) ([]byte, error) {
	if fault := knownEvent(event); fault != nil {
		return nil, fault
	}
	s := skeleton{c: c, id: id, msg: msg, event: event, version: hl7v2.NearestVersion(msg.Version())}
	dict, err := hl7v2.Dictionary(s.version)
	if err != nil {
		return nil, err
	}
	if s.structure = dict.Structure(dict.StructureOfMessage(msg)); s.structure == nil {
		return nil, contracts.Faultf(contracts.Invalid, CodeSkeleton, "MSH-9", "HL7 v%s has no message of this type, so no map can be written for it.", s.version)
	}
	s.findZSegments()
	if base := c.mapFor(msg); base != nil {
		return s.overlay(base)
	}
	return s.alone()
}

func knownEvent(event string) error {
	if slices.Contains(profiles.Events(), event) {
		return nil
	}
	return contracts.Faultf(contracts.Invalid, CodeSkeleton, "event", "The canonical form has no event of this name%s. The events are %s.", meant(event, profiles.Events()), strings.Join(profiles.Events(), ", "))
}

// mapFor is the map that stands alone and takes messages of this type and version, nil where there is none.
func (c *Catalog) mapFor(msg *hl7v2.Message) *Map {
	for _, m := range c.maps {
		if m.FHIR() {
			continue
		}
		code, _, _ := strings.Cut(m.Structures()[0], "_")
		if m.extends == "" && code == msg.Code() && has(m.Events(), msg.Event()) {
			return m
		}
	}
	return nil
}

type skeleton struct {
	c         *Catalog
	id        string
	msg       *hl7v2.Message
	event     string
	version   string
	structure *hl7v2.Structure
	zsegments string // as the map declares them
}

// findZSegments declares the message's Z-segments, each behind the segment that it follows there. A field is CWE where it
// has components, else ST.
func (s *skeleton) findZSegments() {
	var list []string
	known := map[string]bool{}
	before := "MSH"
	for _, seg := range s.msg.Segments() {
		id := seg.ID()
		if !strings.HasPrefix(id, "Z") {
			if len(s.structure.Find(id)) > 0 {
				before = id
			}
			continue
		}
		if known[id] {
			continue
		}
		known[id] = true
		types := make([]string, max(seg.NumFields(), 1))
		for i := range types {
			if types[i] = "ST"; strings.IndexByte(seg.Field(i+1).ER7(), s.msg.Delimiters().Component) >= 0 {
				types[i] = "CWE"
			}
		}
		list = append(list, fmt.Sprintf("%s: {after: %s, fields: [%s]}", id, before, strings.Join(types, ", ")))
		before = id
	}
	if len(list) > 0 {
		s.zsegments = ", zsegments: {" + strings.Join(list, ", ") + "}"
	}
}

// overlay is a map on a base, with nothing but what is this partner's.
func (s *skeleton) overlay(base *Map) ([]byte, error) {
	text := skeletonHead(s.id) + fmt.Sprintf("extends: %s\ntitle: {en: %q}\nv2:   {versions: [%q]%s}\n", base.Name(), s.msg.MessageType()+" <-> canonical, on "+base.Name(), s.version, s.zsegments)
	return s.finish(text)
}

func skeletonHead(id string) string {
	return "# What this map is for, in a sentence. `silta map check` says what is wrong with it, `silta map run` tries it, and\n" +
		"# `silta map test` runs the cases beside it, of invented people only: cases/NAME.txtar.\n" +
		"silta: map/v1\nid: " + id + "\nversion: 0.1.0\n"
}

// alone is a map of its own: the header, the Task, and each part that compiles here.
func (s *skeleton) alone() ([]byte, error) {
	var parts []segmentPart
	for _, p := range skeletonParts {
		if p.segment != "" && !s.inMessage(p.segment) || p.block != "" && s.c.newestBlock(p.block) == "" {
			continue
		}
		p.use = strings.Replace(p.use, "BLOCK", s.c.newestBlock(p.block), 1)
		if m, _ := s.compile(s.together(append(slices.Clone(parts), p))); m != nil {
			parts = append(parts, p)
		}
	}
	return s.finish(s.together(parts))
}

func (s *skeleton) inMessage(segment string) bool {
	for _, seg := range s.msg.Segments() {
		if seg.Is(segment) {
			return true
		}
	}
	return false
}

// newestBlock names the newest version of a block; empty where there is none.
func (c *Catalog) newestBlock(id string) string {
	best, name := [3]int{}, ""
	for _, src := range c.blocks {
		if v, ok := parseSemver(src.doc.version.s); ok && src.doc.id.s == id && (name == "" || newer(v, best)) {
			best, name = v, id+"@"+src.doc.version.s
		}
	}
	return name
}

func (s *skeleton) together(parts []segmentPart) string {
	own := segmentPart{consts: fmt.Sprintf("  - {v2: MSH-9.1, value: %q}\n  - {v2: MSH-9.2, value: %q}\n", s.msg.Code(), s.msg.Event()) + s.structureConstant()}
	v2 := fmt.Sprintf("v2:   {structure: [%s], events: [%q], versions: [%q]%s}\n", s.structure.Name, s.msg.Event(), s.version, s.zsegments)
	return skeletonHead(s.id) + fmt.Sprintf("title: {en: %q}\n", s.msg.MessageType()+" <-> canonical") + v2 +
		fmt.Sprintf("fhir: {release: \"4.0.1\", bundle: message, event: \"$event|%s\"}\n", s.event) +
		"\nnames:                       # $silta is the base of our own definitions\n  event:   $silta/CodeSystem/event\n" +
		sections(append(slices.Clone(parts), own))
}

// sections are what parts of a map say, section by section.
func sections(parts []segmentPart) string {
	section := func(title string, of func(segmentPart) string) string {
		var text string
		for _, p := range parts {
			text += of(p)
		}
		if text == "" {
			return ""
		}
		return "\n" + title + "\n" + text
	}
	return section("resources:                   # a frame pairs a stretch of the message with a resource", func(p segmentPart) string { return p.frame }) +
		section("links:                       # forward: written; back: the way to each frame", func(p segmentPart) string { return p.links }) +
		section("const:", func(p segmentPart) string { return p.consts }) +
		section("use:", func(p segmentPart) string { return p.use }) +
		section("rules:                       # a pair of paths and a lens, so each runs both ways", func(p segmentPart) string { return p.rules })
}

// structureConstant writes MSH-9.3 where the message has it.
func (s *skeleton) structureConstant() string {
	if s.msg.Structure() == "" {
		return ""
	}
	return fmt.Sprintf("  - {v2: MSH-9.3, value: %q}\n", s.structure.Name)
}

func (s *skeleton) compile(text string) (*Map, contracts.Faults) {
	return s.c.CompileFile("map.yaml", []byte(text))
}

// finish runs the map on the message and lists what it can't carry.
func (s *skeleton) finish(text string) ([]byte, error) {
	m, faults := s.compile(text)
	if m == nil {
		return nil, faults.Err()
	}
	if !slices.Contains(hl7v2.Versions(), s.msg.Version()) {
		text += "\n# MSH-12 of the message names no version that HL7 has, so " + s.version + " is a guess: ask, and correct `versions`.\n"
	}
	res, err := m.Forward(s.msg, Context{})
	return finishSkeleton(m, text, s.event, res, err)
}

// finishSkeleton lists below a map what it can't carry of the message that it was run on, and what its event needs beside.
func finishSkeleton(m *Map, text, event string, res *Result, err error) ([]byte, error) {
	if err != nil {
		text += "\n# It can't take the message yet:\n"
		for _, f := range contracts.FaultsOf(err) {
			text += fmt.Sprintf("#   %s %s at %s\n", f.Kind, f.Code, f.At)
		}
		return []byte(text), nil
	}
	if code := res.Bundle.Root().Get("entry").At(0).Get("resource").Get("eventCoding").Get("code").Text(); code != event {
		return nil, contracts.Faultf(contracts.Invalid, CodeSkeleton, "event", "The map %s makes this message a %s. Name that event, or change the table under override.", m.extends, code)
	}
	if len(res.Unread) > 0 {
		text += "\n# Nothing carries these places of the message yet: write a rule for each, or an ignore with its reason.\n"
		var told []string
		for _, place := range res.Unread {
			if place = itemNumber.ReplaceAllString(place, ""); !has(told, place) {
				told = append(told, place)
				text += "#   " + place + "\n"
			}
		}
	}
	if lacks := lacking(res.Bundle, event); len(lacks) > 0 {
		text += "\n# The event " + event + " needs what nothing writes yet, by its profile:\n"
		for _, lack := range lacks {
			text += "#   " + lack + "\n"
		}
	}
	return []byte(text), nil
}

// itemNumber is the number of an item of a list in a place; a rule is for all of them.
var itemNumber = regexp.MustCompile(`\[\d+\]`)

// lacking tells what a Bundle lacks of the profile of its event: place, rule and what it asks for.
func lacking(bundle *fhir.Tree, event string) []string {
	var list []string
	for _, f := range fhir.NewProfiles().Validate(bundle, profiles.ForEvent(event)) {
		if f.Grade == contracts.GradeError {
			list = append(list, f.Text(""))
		}
	}
	return list
}

// segmentPart is what a skeleton says about one segment, or one type of resource.
type segmentPart struct{ segment, block, frame, links, consts, use, rules string }

// skeletonParts are written where their segment stands in the message and they compile for its structure, in this order.
var skeletonParts = []segmentPart{
	{
		frame:  "  msh:     {type: MessageHeader, from: MSH,     always: true}\n  task:    {type: Task,          from: message, always: true}\n",
		links:  "  - {fhir: msh.focus, to: task}\n",
		consts: "  - {fhir: task.status, value: requested}      # decide: what the event means for the Task\n  - {fhir: task.intent, value: order}\n",
		rules: `  - {id: msh.id,        v2: MSH-10,         fhir: bundle.identifier.value}
  - {id: msh.time,      v2: MSH-7,          fhir: bundle.timestamp,      as: instant}
  - {id: msh.source,    v2: MSH-3,          fhir: msh.source,            as: hd-endpoint, or: {v2: [MSH-4]}}
  - {id: msh.sender,    v2: MSH-4,          fhir: msh.sender,            as: hd-reference}
  - {id: msh.dest,      v2: [MSH-5, MSH-6], fhir: msh.destination(1),    as: hd-destination}
`,
	},
	{
		segment: "PID", block: "patient",
		frame: "  pat:     {type: Patient,       from: PID}\n",
		links: "  - {fhir: task.for, to: pat}\n",
		use:   "  - {block: BLOCK, for: pat}\n",
	},
	{
		segment: "NK1", block: "kin",
		frame: "  kin:     {type: RelatedPerson, from: NK1, each: true}\n",
		links: "  - {fhir: kin.patient, to: pat, find: backward}\n",
		use:   "  - {block: BLOCK, for: kin}\n",
	},
	{
		segment: "PV1", block: "visit",
		frame:  "  visit:   {type: Encounter,     from: PV1}\n",
		links:  "  - {fhir: task.encounter, to: visit}\n  - {fhir: visit.subject, to: pat}\n",
		consts: "  - {fhir: visit.status, value: unknown}\n  - {fhir: visit.class.system, value: \"http://terminology.hl7.org/CodeSystem/v3-NullFlavor\"}\n",
		use:    "  - {block: BLOCK, for: visit}\n",
	},
	{
		segment: "PV2", block: "visit-additional",
		use: "  - {block: BLOCK, for: visit}\n",
	},
	{
		segment: "DG1", block: "diagnosis",
		frame: "  dx:      {type: Condition,     from: DG1, each: true}\n",
		links: "  - {fhir: dx.subject, to: pat, find: backward}\n",
		use:   "  - {block: BLOCK, for: dx}\n",
	},
	{
		segment: "AL1", block: "allergy",
		frame: "  allergy: {type: AllergyIntolerance, from: AL1, each: true}\n",
		links: "  - {fhir: allergy.patient, to: pat, find: backward}\n",
		consts: "  - {fhir: allergy.clinicalStatus.coding(1).system, value: \"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical\"}\n" +
			"  - {fhir: allergy.clinicalStatus.coding(1).code,   value: active}\n",
		use: "  - {block: BLOCK, for: allergy}\n",
	},
	{
		segment: "OBX", block: "observation",
		frame: "  obs:     {type: Observation,   from: OBX, each: true}\n",
		links: "  - {fhir: obs.subject, to: pat, find: backward}\n",
		use:   "  - {block: BLOCK, for: obs}\n",
	},
	{
		segment: "NTE",
		rules:   "  - {id: task.notes,    v2: NTE(*)-3,       fhir: task.note(*).text,     as: text}\n",
	},
}

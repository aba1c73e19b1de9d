package main

import (
	"maps"
	"slices"
	"strings"
)

// definition is a version as it is written.
type definition struct {
	segments, types map[string][]part
	structures      map[string][]*listNode
}

// definitions merges the sources, oldest version first.
//
// Up to 2.7.1, fields and components are npm's, which knows usage and length. What the schemas lack was withdrawn or
// never was there: npm writes such a field as ST, or invents numbers at the end. What npm lacks is the schemas'. 2.8 is
// the schemas'; parts that 2.7.1 has alike keep its usage, length and table.
//
// Structures are the schemas' wherever npm differs in more than the names of groups, which are better in npm.
func (s *source) definitions() (all []*definition) {
	var before *definition
	for _, v := range versions {
		ref := s.schema(v)
		d := &definition{segments: map[string][]part{}, types: map[string][]part{}}
		for name, c := range ref.Segments {
			d.segments[name] = mergeParts(s.npm(v).Segments[name].parts(), c.parts(), false)
		}
		for name, c := range ref.Types {
			if v == "2.6" && name == "XTN" { // its components are out of step in that schema
				c = s.schema("2.7").Types[name]
			}
			d.types[name] = mergeParts(s.npm(v).Types[name].parts(), c.parts(), openArrays[name])
		}
		switch v {
		case "2.6":
			bound(d.segments, all[slices.Index(versions, "2.4")].segments)
		case "2.8":
			inherit(d.segments, before.segments, s.schema("2.7").Segments)
			inherit(d.types, before.types, s.schema("2.7").Types)
		}
		d.correct(v)
		s.addTypes(d, v)
		d.structures = s.structures(v)
		all, before = append(all, d), d
	}
	return all
}

// mergeParts corrects npm's parts by the schema's; if open, it keeps those after the schema's last.
func mergeParts(own, ref []part, open bool) []part {
	merged := make([]part, max(len(own), len(ref)))
	for i := range merged {
		switch {
		case i >= len(own):
			merged[i] = ref[i]
		case i >= len(ref) && open:
			merged[i] = own[i]
		case i < len(ref) && ref[i].Type != "":
			merged[i] = own[i]
			// From 2.7 on npm has ST for these.
			if ref[i].Type == "varies" || ref[i].Type == "SNM" {
				merged[i].Type = ref[i].Type
			}
		}
		if merged[i].Type == "varies" {
			merged[i].Type = "VARIES"
		}
	}
	return trimParts(merged)
}

// bound restores how often a field of 2.6 may repeat, which npm has as unbounded throughout. 2.5 and 2.5.1 lack the
// numbers in all sources.
func bound(own, before map[string][]part) {
	for name, parts := range own {
		for i := range parts[:min(len(parts), len(before[name]))] {
			if parts[i].Repeat == 0 && before[name][i].Repeat > 1 {
				parts[i].Repeat = before[name][i].Repeat
			}
		}
	}
}

// inherit gives 2.8's parts what the schemas don't know and 2.7.1 does.
func inherit(own, before map[string][]part, ref map[string]composite) {
	for name, parts := range own {
		was := ref[name].parts()
		for i := range parts[:min(len(parts), len(before[name]))] {
			p, old := &parts[i], before[name][i]
			if p.Type != old.Type {
				continue
			}
			p.Length = old.Length
			if p.Table == 0 {
				p.Table = old.Table
			}
			if p.Usage != "R" && old.Usage != "R" {
				p.Usage = old.Usage
			}
			// Unbounded in 2.7's schema too means that the schema can't count, not that 2.8 changed it.
			if p.Repeat == 0 && (old.Repeat > 1 || i < len(was) && was[i].Repeat == 0) {
				p.Repeat = old.Repeat
			}
		}
	}
}

// addTypes adds npm's types that the schemas lack but the version has: primitive ones, those listed, and what they and
// the version's fields are made of.
func (s *source) addTypes(d *definition, version string) {
	npm := s.npm(version).Types
	var add func(parts []part)
	use := func(name string) {
		if _, ok := d.types[name]; name == "" || ok {
			return
		}
		d.types[name] = npm[name].parts()
		add(d.types[name])
	}
	add = func(parts []part) {
		for _, p := range parts {
			use(p.Type)
		}
	}
	for name, c := range npm {
		if len(c.Fields) == 0 && name != "CM" || slices.Contains(strings.Fields(alsoTypes[version]), name) {
			use(name)
		}
	}
	for _, parts := range d.segments {
		add(parts)
	}
	for _, name := range slices.Collect(maps.Keys(d.types)) {
		add(d.types[name])
	}
}

// structures gives the message structures of a version. Those of an event that has another's structure are left out:
// StructureOf finds that one.
func (s *source) structures(version string) map[string][]*listNode {
	npm, ref := s.lists(version), s.schema(version).Structures
	listed := func(lists map[string]string, name string) bool {
		return slices.Contains(strings.Fields(lists[version]), name)
	}
	out := map[string][]*listNode{}
	for name, nodes := range npm {
		if version == "2.6" && listed(onlyNpm, name) { // npm's lack what 2.6 put after SFT in every message
			at := slices.IndexFunc(nodes, func(n *listNode) bool { return n.Name == "SFT" }) + 1
			nodes = slices.Insert(slices.Clone(nodes), at, &listNode{Name: "UAC", Max: 1})
		}
		if ref[name] != nil || version == "2.3" || listed(onlyNpm, name) {
			out[name] = clean(name, version, nodes)
		}
	}
	for name, nodes := range ref {
		nodes = clean(name, version, nodes)
		if out[name] == nil || shape(nodes) != shape(out[name]) && !listed(npmIsRight, name) {
			out[name] = nodes
		}
	}
	for name := range out {
		if listed(notStructures, name) || strings.ToUpper(name) != name || s.isAlias(version, name) {
			delete(out, name)
		}
	}
	return out
}

// isAlias says whether table 0354 gives an event another structure than its own. 2.3 is older than that table.
func (s *source) isAlias(version, name string) bool {
	if version == "2.3" {
		return false
	}
	structure := name
	for _, e := range s.events() {
		if event, ok := strings.CutPrefix(name, e.code+"_"); ok && e.holds(version) && slices.Contains(e.events, event) {
			structure = e.structure
		}
	}
	return structure != name
}

// clean copies nodes without those that stand for any segment, and with proper names.
func clean(structure, version string, nodes []*listNode) []*listNode {
	var out []*listNode
	for _, n := range nodes {
		c := *n
		if name, ok := groupNames[c.Name]; ok {
			c.Name = name
		}
		if c.Children != nil {
			if c.Children = clean(structure, version, c.Children); len(c.Children) == 0 {
				continue
			}
		} else {
			names := choice(c.Name)
			if isPathway(structure) && names != nil && names[0] == "OBR" && version >= "2.5" {
				c.Min, c.Max, names = 1, 1, orderDetails
			}
			if len(names) == 0 {
				continue
			}
			c.Name = strings.Join(names, ",")
		}
		out = append(out, &c)
	}
	return out
}

// choice gives the segments that a name with commas lets one choose from. It is empty for those that aren't segments,
// such as ANYHL7SEGMENT and GenericSegment.
func choice(name string) []string {
	return slices.DeleteFunc(strings.Split(name, ","), func(s string) bool { return len(s) != 3 })
}

// shape writes nodes without the names of groups.
func shape(nodes []*listNode) string {
	var b strings.Builder
	for _, n := range nodes {
		if len(n.Children) > 0 {
			b.WriteString("(" + shape(n.Children) + ")")
		} else {
			b.WriteString(n.Name)
		}
		b.WriteString(suffix(n.Min, n.Max) + " ")
	}
	return b.String()
}

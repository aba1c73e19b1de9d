package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What the packages get wrong, and what is done about it:
//
//   - In 2.6 some names are misspelled: a zero for the O of the event (OMG_019, OML_021, ORB_028), T12 for I12
//     (REF_T12, RRI_T12). Those hold 2.6's own structure, with UAC, and replace the ones under the right name, which
//     are 2.5's or lost the brackets of their repeating groups.
//   - In 2.6 some structures lost their first segments, MSH among them. The neighbour version's head is put before.
//   - Single versions say 1..1 for a group or segment that the version before and the one after agree to be optional or
//     repeating. The neighbours' cardinality is taken.
//   - ADT_A39, the structure of A40 since 2.3.1, is missing from 2.7 on, where it stands under ADT_A40. It is copied.
//   - The group of MDM_T02 and its like that holds OBX is called GROUP from 2.7 on. It is OBSERVATION.
//   - Segments to choose from are one name with commas in it. They become a choice; an empty one is dropped.
//   - 2.8 is missing from the package with lists, and in the other equals 2.7.1. Structures are those of 2.7.1, so
//     what 2.8 itself changed isn't known here.
//   - PRT is missing in the REF_I12 of 2.7 and later. That is left: neither package has a version to compare with.

// structuresByVersion gives all structures, corrected, and a line for each correction.
func (s *source) structuresByVersion() (map[string]map[string]*listNode, []string) {
	all := map[string]map[string]*listNode{}
	for _, v := range versions {
		all[v] = s.structures(v)
	}
	var notes []string
	note := func(version, format string, args ...any) {
		notes = append(notes, version+" "+fmt.Sprintf(format, args...))
	}
	for _, v := range versions {
		for _, wrong := range slices.Sorted(maps.Keys(all[v])) {
			name := zeroForO.ReplaceAllString(wrong, "_O$1")
			if wrong == "REF_T12" || wrong == "RRI_T12" {
				name = wrong[:4] + "I12"
			}
			if name != wrong {
				all[v][name] = all[v][wrong]
				delete(all[v], wrong)
				note(v, "%s is %s", wrong, name)
			}
		}
	}
	for _, v := range versions {
		for name, root := range all[v] {
			neighbour := all[previous(v)][name]
			if neighbour == nil {
				neighbour = all[next(v)][name]
			}
			if head := lostHead(root, neighbour); len(head) > 0 {
				root.Children = append(copyNodes(head), root.Children...)
				note(v, "%s: its first %d segments were missing", name, len(head))
			}
		}
	}
	fixed := map[*listNode][2]int{}
	for _, v := range versions {
		before, after := all[previous(v)], all[next(v)]
		for name, root := range all[v] {
			compare(name, root, before[name], after[name], func(place string, n *listNode, min, max int) {
				fixed[n] = [2]int{min, max}
				note(v, "%s: %s is %s, not 1..1", name, place, cardinality(min, max))
			})
		}
	}
	for n, c := range fixed {
		n.Min, n.Max = c[0], c[1]
	}
	for _, v := range versions {
		if all[v]["ADT_A39"] == nil && all[v]["ADT_A40"] != nil {
			all[v]["ADT_A39"] = all[v]["ADT_A40"]
			note(v, "ADT_A39 is taken from ADT_A40")
		}
		for name, root := range all[v] {
			if renameGroups(root) {
				note(v, "%s: the group GROUP is OBSERVATION", name)
			}
		}
	}
	slices.Sort(notes)
	return all, notes
}

// zeroForO finds names such as OMG_019. No event starts with a digit.
var zeroForO = regexp.MustCompile(`_0([0-9][0-9])$`)

// lostHead gives the nodes of a neighbour that stand before the first one that both have, if root lacks its MSH.
func lostHead(root, neighbour *listNode) []*listNode {
	if neighbour == nil || len(root.Children) == 0 || root.Children[0].Name == "MSH" {
		return nil
	}
	for _, n := range root.Children {
		for i, other := range neighbour.Children {
			if n.Name == other.Name {
				return neighbour.Children[:i]
			}
		}
	}
	return nil
}

func cardinality(min, max int) string {
	if max == 0 {
		return fmt.Sprintf("%d..*", min)
	}
	return fmt.Sprintf("%d..%d", min, max)
}

// compare calls report for each node of root that is 1..1 while the same place is otherwise, and alike, in the
// versions before and after.
func compare(name string, root, before, after *listNode, report func(place string, n *listNode, min, max int)) {
	if before == nil || after == nil {
		return
	}
	b, a := places(before), places(after)
	own := places(root)
	for _, place := range slices.Sorted(maps.Keys(own)) {
		n, x, y := own[place], b[place], a[place]
		if x == nil || y == nil || n.Min != 1 || n.Max != 1 || x.Min != y.Min || x.Max != y.Max {
			continue
		}
		if x.Min != 1 || x.Max != 1 {
			report(place, n, x.Min, x.Max)
		}
	}
}

// places names every node by the names on the way to it; a second one of a name has #2.
func places(root *listNode) map[string]*listNode {
	out := map[string]*listNode{}
	var walk func(prefix string, nodes []*listNode)
	walk = func(prefix string, nodes []*listNode) {
		seen := map[string]int{}
		for _, n := range nodes {
			seen[n.Name]++
			place := prefix + n.Name
			if seen[n.Name] > 1 {
				place += fmt.Sprintf("#%d", seen[n.Name])
			}
			out[place] = n
			walk(place+"/", n.Children)
		}
	}
	walk("", root.Children)
	return out
}

func renameGroups(n *listNode) (changed bool) {
	for _, c := range n.Children {
		if c.Name == "GROUP" && len(c.Children) > 0 && c.Children[0].Name == "OBX" {
			c.Name, changed = "OBSERVATION", true
		}
		changed = renameGroups(c) || changed
	}
	return changed
}

// choice gives the segments that a node with commas in its name lets one choose from.
func choice(name string) []string {
	return slices.DeleteFunc(strings.Split(name, ","), func(s string) bool { return s == "" })
}

// openTables are used with type ID but aren't closed lists, or the source's list is of one version only. They aren't
// written, so that no legal value is refused.
var openTables = map[int]string{
	3:   "events grow with each version",
	4:   "patient class is each site's in all later versions",
	62:  "event reasons are each site's",
	69:  "hospital services are each site's",
	74:  "diagnostic sections grow",
	76:  "message codes grow with each version",
	78:  "abnormal flags grow, and nations add to them",
	104: "versions grow",
	112: "discharge dispositions are each site's",
	119: "order control codes grow",
	123: "result states grow",
	125: "value types grow with each version",
	127: "allergen types are each site's",
	190: "address types grow",
	191: "referenced data types grow",
	200: "name types grow",
	201: "telecommunication uses grow",
	202: "telecommunication equipment grows",
	203: "identifier types grow and have a pattern for each nation (NNFIN)",
	211: "spellings of character sets are told apart elsewhere",
	291: "MIME subtypes are another body's",
	301: "universal id types grow",
	354: "structures grow with each version",
	396: "coding systems grow",
	440: "data types grow with each version",
	834: "MIME types are another body's",
}

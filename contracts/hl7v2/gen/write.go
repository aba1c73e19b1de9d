package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// dictionary writes everything as lines of tab-separated columns: kind, name, versions, body.
//
//	S  a segment: its fields        T  a data type: its components
//	M  a message structure          V  a table: its codes, of all versions
//	E  a message code, its events and their structure
//
// A field is type,usage,max,length,table with empty columns left out at the end: usage O and max 1 aren't written, max
// 0 is unbounded. A structure is segment names and GROUP(…), CHOICE as (A|B), each followed by ? * + or {min,max}.
// Equal bodies of several versions are one line. A line without versions holds for all; of two E lines the later counts.
func (s *source) dictionary() ([]byte, error) {
	w := &writer{bodies: map[string]map[string]*versionSet{}}
	tables := tableUse{}
	for i, d := range s.definitions() {
		if len(d.segments) == 0 || len(d.structures) == 0 {
			return nil, fmt.Errorf("the packages have no version %s", versions[i])
		}
		for name, parts := range d.segments {
			w.add("S\t"+name, fields(parts, tables), i)
		}
		for name, parts := range d.types {
			w.add("T\t"+name, fields(parts, tables), i)
		}
		for name, nodes := range d.structures {
			w.add("M\t"+name, structure(nodes), i)
		}
	}
	var out bytes.Buffer
	out.WriteString("# Made by go generate from " + listPackage + ", " + namedPackage + " and " + pythonPackage + ". Don't edit.\n")
	w.write(&out)
	s.writeTables(&out, tables.fixed())
	for _, e := range s.events() {
		fmt.Fprintf(&out, "E\t%s\t%s\t%s=%s\n", e.code, e.versions, strings.Join(e.events, " "), e.structure)
	}
	return out.Bytes(), nil
}

// tableUse gathers which types a table is used with. One that is used with ID and never with IS is the standard's own;
// with IS it is each site's.
type tableUse map[int]map[string]bool

func (u tableUse) add(table int, dataType string) {
	if u[table] == nil {
		u[table] = map[string]bool{}
	}
	u[table][dataType] = true
}

// fixed gives the tables that the standard fixes and that the source has whole, sorted.
func (u tableUse) fixed() (tables []int) {
	for n, types := range u {
		if types["ID"] && !types["IS"] && openTables[n] == "" {
			tables = append(tables, n)
		}
	}
	slices.Sort(tables)
	return tables
}

// fields writes parts and notes the tables that they use.
func fields(parts []part, tables tableUse) string {
	words := make([]string, len(parts))
	for i, p := range parts {
		if p.Table > 0 {
			tables.add(p.Table, p.Type)
		}
		columns := []string{p.Type, p.Usage, strconv.Itoa(int(p.Repeat)), strconv.Itoa(p.Length), fmt.Sprintf("%04d", p.Table)}
		for j, usual := range [...]string{"", "O", "1", "0", "0000"} {
			if columns[j] == usual {
				columns[j] = ""
			}
		}
		if p.Type == "" {
			columns = columns[:1]
		}
		words[i] = strings.TrimRight(strings.Join(columns, ","), ",")
	}
	return strings.Join(words, " ")
}

func structure(nodes []*listNode) string {
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = n.Name
		switch {
		case len(n.Children) > 0:
			words[i] += "(" + structure(n.Children) + ")"
		case strings.Contains(n.Name, ","):
			words[i] = "(" + strings.ReplaceAll(n.Name, ",", "|") + ")"
		}
		words[i] += suffix(n.Min, n.Max)
	}
	return strings.Join(words, " ")
}

func suffix(min, max int) string {
	switch [2]int{min, max} {
	case [2]int{1, 1}:
		return ""
	case [2]int{0, 1}:
		return "?"
	case [2]int{0, 0}:
		return "*"
	case [2]int{1, 0}:
		return "+"
	}
	return fmt.Sprintf("{%d,%d}", min, max)
}

// versionSet has bit i for versions[i].
type versionSet uint16

// String writes runs of versions as first..last.
func (s versionSet) String() string {
	var runs []string
	for i := 0; i < len(versions); i++ {
		if s&(1<<i) == 0 {
			continue
		}
		first := i
		for i+1 < len(versions) && s&(1<<(i+1)) != 0 {
			i++
		}
		run := versions[first]
		if i > first {
			run += ".." + versions[i]
		}
		runs = append(runs, run)
	}
	return strings.Join(runs, ",")
}

// writer gathers, for each name, its bodies and the versions of each.
type writer struct {
	bodies map[string]map[string]*versionSet
}

func (w *writer) add(name, body string, version int) {
	if w.bodies[name] == nil {
		w.bodies[name] = map[string]*versionSet{}
	}
	if w.bodies[name][body] == nil {
		w.bodies[name][body] = new(versionSet)
	}
	*w.bodies[name][body] |= 1 << version
}

func (w *writer) write(out *bytes.Buffer) {
	for _, name := range slices.Sorted(maps.Keys(w.bodies)) {
		bodies := w.bodies[name]
		order := slices.SortedFunc(maps.Keys(bodies), func(a, b string) int {
			return int(*bodies[a]&-*bodies[a]) - int(*bodies[b]&-*bodies[b])
		})
		for _, body := range order {
			fmt.Fprintf(out, "%s\t%s\t%s\n", name, *bodies[body], body)
		}
	}
}

func (s *source) writeTables(out *bytes.Buffer, used []int) {
	for _, n := range used {
		codes := strings.Fields(laterCodes[n])
		for code := range s.List.Tables[strconv.Itoa(n)].Values {
			// Placeholders such as "..." or "Varies" say that the list is open.
			if code == "" || strings.Contains(code, "...") || strings.Contains(code, "\t") {
				codes = nil
				break
			}
			codes = append(codes, code)
		}
		if len(codes) == 0 {
			continue
		}
		slices.Sort(codes)
		fmt.Fprintf(out, "V\t%04d\t\t%s\n", n, strings.Join(slices.Compact(codes), "\t"))
	}
}

// event says which structure a message code's events have, in some versions.
type event struct {
	versions, code string
	events         []string
	structure      string
}

func (e event) holds(version string) bool { return holds(e.versions, version) }

// events gives table 0354, corrected.
func (s *source) events() (list []event) {
	values := s.List.Tables["354"].Values
	for _, name := range slices.Sorted(maps.Keys(values)) {
		code, _, ok := strings.Cut(name, "_")
		events := strings.FieldsFunc(values[name], func(r rune) bool { return r == ',' || r == '.' || r == ' ' })
		if ok && len(events) > 0 {
			list = append(list, event{code: code, events: events, structure: name})
		}
	}
	return append(list, moreEvents...)
}

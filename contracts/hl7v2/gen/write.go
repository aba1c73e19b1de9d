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
//	M  a message structure          V  a table: its codes (for all versions)
//	E  a message code, its events and their structure (for all versions)
//
// A field is type,usage,max,length,table with empty columns left out at the end: usage O and max 1 aren't written, max
// 0 is unbounded. A structure is segment names and GROUP(…), CHOICE as (A|B), each followed by ? * + or {min,max}.
// Equal bodies of several versions are one line.
func (s *source) dictionary() ([]byte, error) {
	structures, notes := s.structuresByVersion()
	w := &writer{bodies: map[string]map[string]*versionSet{}}
	tables := tableUse{}
	for i, v := range versions {
		def, ok := s.Named[v]
		if !ok || len(def.Segments) == 0 {
			return nil, fmt.Errorf("version %s is missing from %s", v, namedPackage)
		}
		for name, seg := range def.Segments {
			w.add("S\t"+name, fields(seg.parts(), tables), i)
		}
		for name, t := range def.Types {
			w.add("T\t"+name, fields(t.parts(), tables), i)
		}
		for name, root := range structures[v] {
			if body := structure(root.Children); body != "" {
				w.add("M\t"+name, body, i)
			}
		}
	}
	var out bytes.Buffer
	out.WriteString("# Made by go generate from " + listPackage + " and " + namedPackage + ". Don't edit.\n")
	for _, n := range notes {
		out.WriteString("# corrected: " + n + "\n")
	}
	w.write(&out)
	s.writeTables(&out, tables.fixed())
	s.writeEvents(&out)
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
		columns := []string{p.Type, p.Usage, strconv.Itoa(int(p.Repeat)), strconv.Itoa(p.Length), strconv.Itoa(p.Table)}
		for j, usual := range [...]string{"", "O", "1", "0", "0"} {
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
	var words []string
	for _, n := range nodes {
		body := n.Name
		switch {
		case len(n.Children) > 0:
			body += "(" + structure(n.Children) + ")"
		case strings.Contains(n.Name, ","):
			names := choice(n.Name)
			if len(names) == 0 {
				continue
			}
			body = "(" + strings.Join(names, "|") + ")"
		case len(n.Name) != 3:
			continue // "GenericSegment"
		}
		words = append(words, body+suffix(n.Min, n.Max))
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
		var codes []string
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
		fmt.Fprintf(out, "V\t%04d\t\t%s\n", n, strings.Join(codes, "\t"))
	}
}

// writeEvents writes table 0354: REF<tab><tab>I12 I13 I14 I15=REF_I12.
func (s *source) writeEvents(out *bytes.Buffer) {
	values := s.List.Tables["354"].Values
	for _, name := range slices.Sorted(maps.Keys(values)) {
		code, _, ok := strings.Cut(name, "_")
		events := strings.FieldsFunc(values[name], func(r rune) bool { return r == ',' || r == '.' || r == ' ' })
		if ok && len(events) > 0 {
			fmt.Fprintf(out, "E\t%s\t\t%s=%s\n", code, strings.Join(events, " "), name)
		}
	}
}

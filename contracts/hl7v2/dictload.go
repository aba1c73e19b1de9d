package hl7v2

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// dictionaryText is made by gen, whose writer describes the form.
//
//go:embed data/dictionary.txt
var dictionaryText string

// loadDictionary reads the lines that hold for one version.
func loadDictionary(version int) (*Dict, error) {
	d := &Dict{
		version:    dictionaryVersions[version],
		segments:   map[string]*SegmentDef{},
		types:      map[string]*TypeDef{},
		structures: map[string]*lazyStructure{},
		tables:     map[string][]string{},
		events:     map[string]string{},
	}
	for line := range strings.Lines(dictionaryText) {
		if line[0] == '#' {
			continue
		}
		columns := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 4)
		if len(columns) != 4 {
			return nil, fmt.Errorf("hl7v2: a line of the dictionary has %d columns", len(columns))
		}
		kind, name, body := columns[0], columns[1], columns[3]
		if columns[2] != "" && !holds(columns[2], version) {
			continue
		}
		if err := d.add(kind, name, body); err != nil {
			return nil, fmt.Errorf("hl7v2: dictionary of %s, %s: %w", d.version, name, err)
		}
	}
	return d, nil
}

func (d *Dict) add(kind, name, body string) (err error) {
	switch kind {
	case "S":
		seg := &SegmentDef{ID: name}
		seg.Fields, err = readFieldDefs(body)
		d.segments[name] = seg
	case "T":
		t := &TypeDef{Name: name}
		t.Components, err = readFieldDefs(body)
		d.types[name] = t
	case "M":
		d.structures[name] = &lazyStructure{text: body}
	case "V":
		d.tables[name] = strings.Split(body, "\t")
	case "E":
		events, structure, _ := strings.Cut(body, "=")
		for _, e := range strings.Fields(events) {
			d.events[name+"_"+e] = structure
		}
	default:
		err = fmt.Errorf("unknown kind of line")
	}
	return err
}

// holds says whether versions such as 2.3..2.5,2.7 include the one with this index.
func holds(versions string, index int) bool {
	for run := range strings.SplitSeq(versions, ",") {
		first, last, ranged := strings.Cut(run, "..")
		if !ranged {
			last = first
		}
		if slices.Index(dictionaryVersions, first) <= index && index <= slices.Index(dictionaryVersions, last) {
			return true
		}
	}
	return false
}

// readFieldDefs reads type,usage,max,length,table words.
func readFieldDefs(body string) ([]FieldDef, error) {
	if body == "" {
		return nil, nil
	}
	words := strings.Split(body, " ")
	defs := make([]FieldDef, len(words))
	for i, w := range words {
		def := FieldDef{Usage: Optional, Max: 1}
		for j := 0; ; j++ {
			column, rest, more := strings.Cut(w, ",")
			if err := def.set(j, column); err != nil {
				return nil, err
			}
			if !more {
				break
			}
			w = rest
		}
		defs[i] = def
	}
	return defs, nil
}

func (f *FieldDef) set(column int, text string) (err error) {
	if text == "" {
		return nil
	}
	switch column {
	case 0:
		f.Type = text
	case 1:
		f.Usage = Usage(text[0])
	case 2:
		f.Max, err = strconv.Atoi(text)
	case 3:
		f.Length, err = strconv.Atoi(text)
	case 4:
		f.Table = text
	}
	return err
}

// lazyStructure is a structure that is taken apart when it is first asked for.
type lazyStructure struct {
	once sync.Once
	text string
	tree *Structure
}

func (l *lazyStructure) get(name string) *Structure {
	l.once.Do(func() {
		root := &Node{Kind: GroupNode, Min: 1, Max: 1}
		r := structureReader{rest: l.text}
		r.children(root)
		l.tree = &Structure{Name: name, Root: root}
	})
	return l.tree
}

// structureReader reads `MSH RF1? PROVIDER_CONTACT(PRD CTD*)+ (OBR|RXO)`.
type structureReader struct{ rest string }

func (r *structureReader) children(parent *Node) {
	for r.rest != "" && r.rest[0] != ')' {
		n := r.node()
		n.Parent = parent
		parent.Children = append(parent.Children, n)
		r.rest = strings.TrimPrefix(r.rest, " ")
	}
}

func (r *structureReader) node() *Node {
	n := &Node{Name: r.word(), Min: 1, Max: 1}
	if strings.HasPrefix(r.rest, "(") {
		r.rest = r.rest[1:]
		if n.Kind = GroupNode; n.Name == "" {
			n.Kind = ChoiceNode
		}
		if n.Kind == ChoiceNode {
			r.alternatives(n)
		} else {
			r.children(n)
		}
		r.rest = strings.TrimPrefix(r.rest, ")")
	}
	r.cardinality(n)
	return n
}

func (r *structureReader) alternatives(n *Node) {
	for r.rest != "" && r.rest[0] != ')' {
		n.Children = append(n.Children, &Node{Name: r.word(), Min: 1, Max: 1, Parent: n})
		r.rest = strings.TrimPrefix(r.rest, "|")
	}
}

func (r *structureReader) word() string {
	end := strings.IndexAny(r.rest, " ()|?*+{")
	if end < 0 {
		end = len(r.rest)
	}
	w := r.rest[:end]
	r.rest = r.rest[end:]
	return w
}

func (r *structureReader) cardinality(n *Node) {
	if r.rest == "" {
		return
	}
	switch r.rest[0] {
	case '?':
		n.Min, n.Max = 0, 1
	case '*':
		n.Min, n.Max = 0, 0
	case '+':
		n.Min, n.Max = 1, 0
	case '{':
		end := strings.IndexByte(r.rest, '}')
		least, most, _ := strings.Cut(r.rest[1:end], ",")
		n.Min, n.Max = versionPart(least), versionPart(most)
		r.rest = r.rest[end:]
	default:
		return
	}
	r.rest = r.rest[1:]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

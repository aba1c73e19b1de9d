package contracts

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// YAML is a parsed document that can tell where a key stands.
type YAML struct{ at map[string][2]int }

// Position gives line and column of a key by its path (rules[0].at), or of the nearest key above it that is there; 1:1
// at the latest. An item of a list stands where its first key does. A document of nobody has no places: 0, 0.
func (y *YAML) Position(path string) (line, col int) {
	if y == nil {
		return 0, 0
	}
	for {
		if p, ok := y.at[path]; ok {
			return p[0], p[1]
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return 1, 1
		}
		path = path[:i]
	}
}

// DecodeYAML reads b into v, a pointer to a struct with yaml tags, strictly: an unknown or repeated key is a fault
// with line, column and a suggestion, as is a value of a wrong type. All faults come at once. v is filled only when
// there are none.
func DecodeYAML(file string, b []byte, v any) (*YAML, Faults) {
	doc := &YAML{at: map[string][2]int{}}
	parsed, err := parser.ParseBytes(b, 0)
	if err != nil {
		return doc, Faults{yamlFault(file, err)}
	}
	if len(parsed.Docs) == 0 || parsed.Docs[0].Body == nil {
		return doc, Faults{{Kind: Invalid, Code: "CFG-001", File: file, Line: 1, Col: 1, Public: "The file is empty."}}
	}
	w := strictWalk{file: file, doc: doc}
	w.walk(parsed.Docs[0].Body, reflect.TypeOf(v).Elem(), "")
	if len(w.faults) > 0 {
		return doc, w.faults
	}
	if err := yaml.UnmarshalWithOptions(b, v, yaml.Strict()); err != nil {
		return doc, Faults{yamlFault(file, err)}
	}
	return doc, nil
}

// yamlFault turns the library's error into a fault. The library's text quotes the file, so only its first line,
// which holds the reason, is used.
func yamlFault(file string, err error) *Fault {
	f := &Fault{Kind: Invalid, Code: "CFG-001", File: file, Line: 1, Col: 1, Public: "The file is not valid YAML.", Err: err}
	if e, ok := err.(yaml.Error); ok {
		if t := e.GetToken(); t != nil {
			f.Line, f.Col = t.Position.Line, t.Position.Column
		}
		f.Public = "This can't be read: " + strings.SplitN(e.GetMessage(), "\n", 2)[0] + "."
		if m := wrongType.FindStringSubmatch(e.GetMessage()); m != nil {
			f.Public = "This is " + orItself(typeWords, m[1]) + " and must be " + orItself(typeWords, m[2]) + "."
		}
	}
	return f
}

// wrongType is how the library says that a value doesn't have the type of its key.
var wrongType = regexp.MustCompile(`cannot unmarshal (\S+) into Go .*of type (\S+)`)

// typeWords are what the types are called by who writes the file.
var typeWords = map[string]string{
	"string": "a text", "bool": "true or false", "int": "a number", "int64": "a number", "uint64": "a number", "float64": "a number",
	"time.Duration": "a duration such as 30s or 10m", "[]string": "a list of texts", "[]interface": "a list", "map[string]interface": "a mapping",
}

func orItself(words map[string]string, name string) string {
	if word, ok := words[strings.TrimSuffix(name, " {}")]; ok {
		return word
	}
	return "something else (" + name + ")"
}

type strictWalk struct {
	file   string
	doc    *YAML
	faults Faults
}

func (w *strictWalk) walk(n ast.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch node := n.(type) {
	case *ast.AnchorNode:
		w.walk(node.Value, t, path)
	case *ast.MappingNode:
		w.mapping(node.Values, t, path)
	case *ast.MappingValueNode:
		w.mapping([]*ast.MappingValueNode{node}, t, path)
	case *ast.SequenceNode:
		if t.Kind() != reflect.Slice {
			return // the decoder says that the type is wrong
		}
		for i, item := range node.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			if scalar, ok := item.(ast.ScalarNode); ok {
				pos := scalar.GetToken().Position
				w.doc.at[at] = [2]int{pos.Line, pos.Column}
			}
			w.walk(item, t.Elem(), at)
		}
	}
}

func (w *strictWalk) mapping(values []*ast.MappingValueNode, t reflect.Type, path string) {
	seen := map[string]bool{}
	for _, kv := range values {
		key := kv.Key.GetToken().Value
		pos := kv.Key.GetToken().Position
		at := strings.TrimPrefix(path+"."+key, ".")
		w.doc.at[at] = [2]int{pos.Line, pos.Column}
		if _, placed := w.doc.at[path]; !placed {
			w.doc.at[path] = w.doc.at[at]
		}
		if seen[key] {
			w.fault("CFG-002", pos.Line, pos.Column, "The key %q stands here twice.", key)
		}
		seen[key] = true
		switch t.Kind() {
		case reflect.Map:
			w.walk(kv.Value, t.Elem(), at)
		case reflect.Struct:
			field, known := fieldOf(t, key)
			if !known {
				w.fault("CFG-002", pos.Line, pos.Column, "Unknown key %q%s.", key, DidYouMean(key, fieldsOf(t)))
				continue
			}
			w.walk(kv.Value, field, at)
		}
	}
}

func (w *strictWalk) fault(code string, line, col int, format string, args ...any) {
	w.faults = append(w.faults, &Fault{Kind: Invalid, Code: code, File: w.file, Line: line, Col: col, Public: fmt.Sprintf(format, args...)})
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for f := range fieldsSeq(t) {
		if f.name == key {
			return f.typ, true
		}
	}
	return nil, false
}

func fieldsOf(t reflect.Type) []string {
	var names []string
	for f := range fieldsSeq(t) {
		names = append(names, f.name)
	}
	return names
}

type yamlField struct {
	name string
	typ  reflect.Type
}

func fieldsSeq(t reflect.Type) func(func(yamlField) bool) {
	return func(yield func(yamlField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" || name == "-" {
				continue
			}
			if !yield(yamlField{name, f.Type}) {
				return
			}
		}
	}
}

// DidYouMean gives ` (did you mean "x"?)` for the nearest of names, or nothing when none is near.
func DidYouMean(word string, names []string) string {
	if name := Nearest(word, names); name != "" {
		return fmt.Sprintf(" (did you mean %q?)", name)
	}
	return ""
}

// Nearest gives the name most like word, or "" when none is alike: at most a third of its letters may differ.
func Nearest(word string, names []string) string {
	best, bestAt := "", len(word)/3+2
	for _, name := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < bestAt {
			best, bestAt = name, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or change to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

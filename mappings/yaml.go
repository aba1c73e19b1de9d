package mappings

import (
	"errors"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/hoitosilta/silta/contracts"
)

// pos is a place in a map file, 1-based. file is set where it isn't the reporter's own: in what an overlay has from its base.
type pos struct {
	line, col int
	file      string
}

// reporter collects the faults of one file; all are reported, not the first.
type reporter struct {
	file   string
	faults contracts.Faults
}

func (r *reporter) add(code string, at pos, format string, args ...any) {
	if at.file != "" && strings.HasPrefix(code, "MAP-1") {
		return // a warning about a base is told where the base is checked
	}
	f := contracts.Faultf(contracts.Invalid, code, "", format, args...)
	f.File, f.Line, f.Col = r.file, max(at.line, 1), max(at.col, 1)
	if at.file != "" {
		f.File = at.file
	}
	if strings.HasPrefix(code, "MAP-1") {
		f.Grade = contracts.GradeWarning
	}
	r.faults = append(r.faults, f)
}

func (r *reporter) warn(code string, at pos, format string, args ...any) {
	if at.file != "" {
		return
	}
	r.add(code, at, format, args...)
	r.faults[len(r.faults)-1].Grade = contracts.GradeWarning
}

// value is one YAML value as source text. Scalars are never resolved: 010 stays 010, NO stays NO, 2.10 stays 2.10.
type value struct {
	at     pos
	kind   valueKind
	text   string // of a scalar
	quoted bool
	yaml11 bool // an unquoted scalar that YAML 1.1 takes for a boolean or null
	keys   []member
	items  []*value
	block  []*value // of a use in an overlay: the block's rules as the overlay changed them; nil where it didn't
}

type valueKind uint8

const (
	nullValue valueKind = iota
	scalarValue
	mapValue
	listValue
)

var kindWords = [...]string{"nothing", "a text", "a mapping {…}", "a list […]"}

type member struct {
	name   string
	at     pos
	yaml11 bool
	value  *value
}

func (v *value) get(name string) *value {
	if v == nil {
		return nil
	}
	for i := range v.keys {
		if v.keys[i].name == name {
			return v.keys[i].value
		}
	}
	return nil
}

// unquotedPath is the mistake that costs most when writing maps: brackets or braces in an unquoted scalar.
var unquotedPath = regexp.MustCompile(`(?:v2|dialect|fhir|from|if|set|link|by|to):\s*([A-Za-z][\w.*()-]*\[[^\]]*\][\w.()*-]*)`)

// swallowed is a key inside an unquoted text, where a comma was meant to end the text: {KII: UR; EI: R}.
var swallowed = regexp.MustCompile(`:(\s|$)|;\s*[\w-]+:`)

// readYAML reads one document. A syntax fault ends the reading; repeated keys are reported and the first one counts.
func readYAML(r *reporter, data []byte) *value {
	for i, line := range strings.Split(string(data), "\n") {
		if !strings.Contains(line, "[") {
			continue
		}
		if m := unquotedPath.FindStringSubmatchIndex(line); m != nil && !insideQuotes(line[:m[2]]) {
			r.add(CodeQuote, pos{line: i + 1, col: m[2] + 1}, "Quote this: brackets in an unquoted text are YAML's, not the path's.")
		}
	}
	if at, deep := tooDeep(data); deep {
		r.add(CodeYAML, at, "A map file has at most %d bytes, and nests at most %d deep.", maxBytes, maxDepth)
		return nil
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		if len(r.faults) == 0 {
			if at, tab := tabbed(data); tab {
				r.add(CodeYAML, at, "YAML is indented with spaces; here stands a tab.")
			} else {
				r.add(CodeYAML, syntaxPos(err), "This isn't YAML: %s.", syntaxText(err))
			}
		}
		return nil
	}
	var v *value
	if len(file.Docs) == 1 && file.Docs[0].Body != nil {
		v = r.convert(file.Docs[0].Body)
	}
	if v == nil || v.kind == scalarValue {
		r.add(CodeYAML, pos{line: 1, col: 1}, "A map file holds one YAML document, and begins with `silta: map/v1`.")
		return nil
	}
	return v
}

// tabbed is the first tab that a line is indented with.
func tabbed(data []byte) (pos, bool) {
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		content := strings.TrimLeft(text, " \t")
		if i := strings.IndexByte(text[:len(text)-len(content)], '\t'); i >= 0 && strings.TrimSpace(content) != "" {
			return pos{line: line, col: i + 1}, true
		}
	}
	return pos{}, false
}

// The parser's time grows steeply with nesting. Maps nest about ten deep, and the largest has some ten thousand bytes.
const (
	maxBytes = 1 << 20
	maxDepth = 100
)

// tooDeep says where a file passes the limits: by brackets that stay open, by indicators of lists and keys on one line,
// or by its size. Quotes and comments end with their line here, so brackets in them can't add up.
func tooDeep(data []byte) (pos, bool) {
	if len(data) > maxBytes {
		return pos{line: 1, col: 1}, true
	}
	open, line := 0, 0
	for text := range strings.Lines(string(data)) {
		line++
		quote, entries, start := byte(0), 0, true
		for i := range len(text) {
			switch c := text[i]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'' && (i == 0 || strings.IndexByte(" [{,", text[i-1]) >= 0):
				quote = c
			case c == '#' && (i == 0 || text[i-1] == ' '):
				quote = '\n'
			case c == '[' || c == '{':
				open++
			case c == ']' || c == '}':
				open = max(open-1, 0)
			case (c == '-' || c == '?') && i+1 < len(text) && text[i+1] == ' ' && start:
				entries++
			case c != ' ':
				start = false
			}
			if open+entries > maxDepth {
				return pos{line: line, col: i + 1}, true
			}
		}
	}
	return pos{}, false
}

func insideQuotes(before string) bool {
	hash := strings.Index(before, " #")
	return strings.Count(before, `"`)%2 == 1 || hash >= 0 || strings.HasPrefix(strings.TrimSpace(before), "#")
}

func syntaxPos(err error) pos {
	var tokened interface{ GetToken() *token.Token }
	if errors.As(err, &tokened) {
		if t := tokened.GetToken(); t != nil && t.Position != nil {
			return pos{line: t.Position.Line, col: t.Position.Column}
		}
	}
	return pos{line: 1, col: 1}
}

func syntaxText(err error) string {
	var worded interface{ GetMessage() string }
	if errors.As(err, &worded) {
		return strings.TrimSuffix(worded.GetMessage(), ".")
	}
	return "it can't be parsed"
}

func nodePos(n ast.Node) pos {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return pos{line: t.Position.Line, col: t.Position.Column}
	}
	return pos{line: 1, col: 1}
}

func (r *reporter) convert(n ast.Node) *value {
	switch n := n.(type) {
	case nil:
		return &value{}
	case *ast.MappingNode:
		v := &value{at: nodePos(n), kind: mapValue}
		for _, m := range n.Values {
			r.member(v, m)
		}
		if n.Start != nil {
			v.at = pos{line: n.Start.Position.Line, col: n.Start.Position.Column}
		} else if len(v.keys) > 0 {
			v.at = v.keys[0].at
		}
		return v
	case *ast.MappingValueNode:
		v := &value{at: nodePos(n.Key), kind: mapValue}
		r.member(v, n)
		return v
	case *ast.SequenceNode:
		v := &value{at: nodePos(n), kind: listValue}
		for _, item := range n.Values {
			v.items = append(v.items, r.convert(item))
		}
		return v
	case *ast.NullNode:
		return &value{at: nodePos(n), kind: nullValue, yaml11: true}
	case *ast.LiteralNode:
		return &value{at: nodePos(n), kind: scalarValue, text: n.Value.Value}
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		r.add(CodeYAML, nodePos(n), "Anchors, aliases and tags have no place in a map; use names, slices or a block.")
		return &value{at: nodePos(n)}
	}
	v := r.scalar(n)
	if v.text == "-" && !v.quoted {
		r.warn(CodeQuote, v.at, "Quote this: other YAML readers take a dash of its own for a list.")
	}
	return v
}

func (r *reporter) scalar(n ast.Node) *value {
	t := n.GetToken()
	v := &value{at: nodePos(n), kind: scalarValue, text: t.Value}
	v.quoted = t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType
	if !v.quoted {
		if strings.Contains(v.text, ":") && swallowed.MatchString(v.text) {
			r.add(CodeQuote, v.at, "A key stands inside this text. A comma parts the keys of a mapping {…}; quote the text if all of it is meant.")
		}
		switch strings.ToLower(t.Value) {
		case "yes", "no", "on", "off", "y", "n", "true", "false", "null", "~":
			v.yaml11 = true
		}
	}
	return v
}

func (r *reporter) member(v *value, m *ast.MappingValueNode) {
	key := r.scalar(m.Key)
	for i := range v.keys {
		if v.keys[i].name == key.text {
			r.add(CodeDuplicate, key.at, "The key %q stands here twice.", key.text)
			return
		}
	}
	v.keys = append(v.keys, member{name: key.text, at: key.at, yaml11: key.yaml11, value: r.convert(m.Value)})
}

package hl7v2_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// vectorRules are the parts of the protocol that vectors belong to. Each must have some.
var vectorRules = []string{
	"Delimiters", "Truncation", "Escapes", "Unescaped delimiters", "Character sets", "Null and empty", "Repetitions",
	"Segments", "Acknowledgements", "Sequence numbers", "Batches", "Dates", "Size", "Version", "Paths", "Setting", "JSON",
}

// vector is one case of testdata/vectors; README.md there says how they are written.
type vector struct {
	at    string // file:line of its title
	title string
	rule  string
	input []byte
	steps []vectorStep
}

type vectorStep struct {
	at             string
	verb, arg      string
	want           string
	hasWant, fault bool // " = " or " ! " stood there
	out            []byte
}

func TestVectors(t *testing.T) {
	vectors := readVectors(t)
	rules := map[string]int{}
	for _, v := range vectors {
		rules[v.rule]++
		t.Run(filepath.Base(v.at), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("%s: %s", v.at, v.title)
				}
			}()
			v.run(t)
		})
	}
	for _, rule := range vectorRules {
		if rules[rule] == 0 {
			t.Errorf("no vector is about %s", rule)
		}
	}
	t.Logf("%d vectors", len(vectors))
}

func readVectors(t *testing.T) (all []vector) {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors were found: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before := len(all)
		fresh := true
		for i, line := range strings.Split(string(text), "\n") {
			at := fmt.Sprintf("%s:%d", file, i+1)
			switch {
			case line == "":
				fresh = true
			case fresh:
				all = append(all, newVector(t, at, line))
				fresh = false
			default:
				all[len(all)-1].add(t, at, line)
			}
		}
		if len(all) == before {
			t.Fatalf("%s holds no vectors", file)
		}
	}
	for _, v := range all {
		if len(v.steps) == 0 {
			t.Fatalf("%s: the vector expects nothing", v.at)
		}
	}
	return all
}

var vectorTitle = regexp.MustCompile(`^# ([^ ].*\S) \(([^;()]+)(?:; ([^()]+))?\)$`)

func newVector(t *testing.T, at, line string) vector {
	t.Helper()
	parts := vectorTitle.FindStringSubmatch(line)
	if parts == nil || !slices.Contains(vectorRules, parts[2]) {
		t.Fatalf("%s: a vector starts with `# What it shows. (Rule)`, and the rule is one of %q", at, vectorRules)
	}
	return vector{at: at, title: line[2:], rule: parts[2]}
}

func (v *vector) add(t *testing.T, at, line string) {
	t.Helper()
	prefix, rest, _ := strings.Cut(line, " ")
	switch {
	case prefix == ">" || prefix == ">>":
		if len(v.steps) > 0 {
			t.Fatalf("%s: the message stands above what is asked of it", at)
		}
		v.input = append(v.input, unmask(t, at, rest)...)
		if prefix == ">" {
			v.input = append(v.input, '\r')
		}
	case line[0] == '{':
		v.input = append(v.input, unmask(t, at, line)...)
	case prefix == "=" || prefix == "==":
		if len(v.steps) == 0 {
			t.Fatalf("%s: this belongs to no line", at)
		}
		last := &v.steps[len(v.steps)-1]
		last.out = append(last.out, unmask(t, at, rest)...)
		if prefix == "=" {
			last.out = append(last.out, '\r')
		}
	default:
		v.steps = append(v.steps, newVectorStep(t, at, prefix, rest))
	}
}

func newVectorStep(t *testing.T, at, verb, rest string) vectorStep {
	t.Helper()
	s := vectorStep{at: at, verb: verb}
	rest = " " + rest + " "
	if i := strings.LastIndex(rest, " ! "); i >= 0 {
		s.want, s.fault, rest = strings.TrimSpace(rest[i+2:]), true, rest[:i]
	}
	before, after, found := strings.Cut(rest, " = ")
	s.arg = string(unmask(t, at, strings.TrimSpace(before)))
	if found && s.fault {
		s.arg += "\x00" + string(unmask(t, at, strings.TrimSpace(after)))
	} else if found {
		s.want, s.hasWant = string(unmask(t, at, strings.TrimSpace(after))), true
	}
	return s
}

var masked = regexp.MustCompile(`<[A-Z0-9]{2,3}>`)

var masks = map[string]string{
	"<CR>": "\r", "<LF>": "\n", "<VT>": "\v", "<FS>": "\x1c", "<NUL>": "\x00", "<TAB>": "\t", "<SP>": " ", "<BOM>": "\ufeff",
	"<MSH>": `MSH|^~\&|APP|FAC|SILTA|HUS|20261123081500+0200||ADT^A01^ADT_A01|M1|P|2.5.1`,
}

// unmask puts bytes in the place of what stands in angle brackets.
func unmask(t *testing.T, at, s string) []byte {
	t.Helper()
	return masked.ReplaceAllFunc([]byte(s), func(m []byte) []byte {
		if text, ok := masks[string(m)]; ok {
			return []byte(text)
		}
		b, err := hex.DecodeString(string(m[1 : len(m)-1]))
		if err != nil {
			t.Fatalf("%s: %s means nothing", at, m)
		}
		return b
	})
}

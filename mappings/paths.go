package mappings

import (
	"errors"
	"strconv"
	"strings"
)

// pickKind says which of several segments, repetitions or elements a path takes.
type pickKind uint8

const (
	pickFirst pickKind = iota // nothing said
	pickIndex                 // (2)
	pickAll                   // (*)
	pickRest                  // (rest)
)

// pick is what stands in parentheses and brackets behind a name. A selector narrows, the kind chooses among what is left.
type pick struct {
	kind   pickKind
	index  int // 1-based
	slice  string
	text   string // the selector's source
	isType string // [actor is Location]: the reference's path is in isPath
	isPath string
}

func (p pick) many() bool      { return p.kind == pickAll || p.kind == pickRest }
func (p pick) selecting() bool { return p.slice != "" || p.text != "" || p.isType != "" }

// v2Path is a place in the dialect. Zero numbers mean "not given".
type v2Path struct {
	source  string
	it      bool // relative: it, it-5, it.4
	segment string
	segPick pick
	field   int
	pick    pick // of repetitions
	comp    int
	sub     int
}

// fhirPath is a place in the canonical message: a frame (or it, bundle, origin's frame) and steps.
type fhirPath struct {
	source string
	origin bool // origin.sr…: in the request
	frame  string
	steps  []fhirStep
}

type fhirStep struct {
	name   string
	pick   pick
	choice bool // effective[x]
}

var errPath = errors.New("path")

// scan reads a path from the left.
type scan struct {
	s string
	i int
}

func (c *scan) done() bool { return c.i >= len(c.s) }

func (c *scan) take(b byte) bool {
	if !c.done() && c.s[c.i] == b {
		c.i++
		return true
	}
	return false
}

func (c *scan) number() (int, error) {
	from := c.i
	for !c.done() && c.s[c.i] >= '0' && c.s[c.i] <= '9' {
		c.i++
	}
	n, err := strconv.Atoi(c.s[from:c.i])
	if err != nil || n < 1 || n > 9999 {
		return 0, errPath
	}
	return n, nil
}

// until gives the text before b and steps over b.
func (c *scan) until(b byte) (string, error) {
	n := strings.IndexByte(c.s[c.i:], b)
	if n < 0 {
		return "", errPath
	}
	part := c.s[c.i : c.i+n]
	c.i += n + 1
	return strings.TrimSpace(part), nil
}

// pick reads what stands behind a name: [selector], (2), (*), (rest), or a selector and one of these.
func (c *scan) pick() (p pick, err error) {
	if c.take('[') {
		body, err := c.until(']')
		if err != nil || body == "" {
			return p, errPath
		}
		switch left, right, is := strings.Cut(body, " is "); {
		case body == "rest":
			p.kind = pickRest
		case is:
			p.isPath, p.isType = strings.TrimSpace(left), strings.TrimSpace(right)
		case strings.Contains(body, "="):
			p.text = body
		default:
			p.slice = body
		}
	}
	if c.take('(') {
		body, err := c.until(')')
		if err != nil || p.kind == pickRest {
			return p, errPath
		}
		switch body {
		case "*":
			p.kind = pickAll
		case "rest":
			p.kind = pickRest
		default:
			n, err := strconv.Atoi(body)
			if err != nil || n < 1 {
				return p, errPath
			}
			p.kind, p.index = pickIndex, n
		}
	}
	return p, nil
}

// parseV2Path reads PID-3[HETU].1, OBX(*)-5, it-5(2).1, it[SV].1, PRD[1.1=RT] or PID.
func parseV2Path(s string) (p v2Path, err error) {
	p.source = s
	c := &scan{s: s}
	switch {
	case strings.HasPrefix(s, "it") && (len(s) == 2 || strings.ContainsRune("-.[(", rune(s[2]))):
		p.it, c.i = true, 2
	case len(s) >= 3 && isSegment(s[:3]):
		p.segment, c.i = s[:3], 3
	default:
		return p, errPath
	}
	if p.segPick, err = c.pick(); err != nil {
		return p, err
	}
	if c.take('-') {
		if p.field, err = c.number(); err != nil {
			return p, err
		}
		if p.pick, err = c.pick(); err != nil {
			return p, err
		}
	} else if p.it {
		p.pick, p.segPick = p.segPick, pick{}
	}
	for _, n := range []*int{&p.comp, &p.sub} {
		if c.take('.') {
			if *n, err = c.number(); err != nil {
				return p, err
			}
		}
	}
	if !c.done() || p.comp > 0 && p.field == 0 && !p.it {
		return p, errPath
	}
	return p, nil
}

func isSegment(s string) bool {
	for i := 0; i < 3; i++ {
		if c := s[i]; (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// parseFHIRPath reads pat.identifier[HETU].value, it.value, sr.note(*).text, report.effective[x] or bundle.timestamp.
func parseFHIRPath(s string) (p fhirPath, err error) {
	p.source = s
	rest, origin := strings.CutPrefix(s, "origin.")
	p.origin = origin
	c := &scan{s: rest}
	if p.frame = c.name(); p.frame == "" {
		return p, errPath
	}
	if !c.done() && rest[c.i] == '[' { // it[…] selects among the current elements; the language has it on the v2 side only
		return p, errPath
	}
	for c.take('.') {
		step := fhirStep{name: c.name()}
		if step.name == "" {
			return p, errPath
		}
		if strings.HasPrefix(c.s[c.i:], "[x]") {
			step.choice = true
			c.i += 3
		}
		if step.pick, err = c.pick(); err != nil {
			return p, err
		}
		p.steps = append(p.steps, step)
	}
	if !c.done() {
		return p, errPath
	}
	return p, nil
}

func (c *scan) name() string {
	from := c.i
	for !c.done() {
		b := c.s[c.i]
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || c.i > from && b >= '0' && b <= '9' || b == '_' {
			c.i++
			continue
		}
		break
	}
	return c.s[from:c.i]
}

// condition is one equality of a selector, an `if` or a `set`: place=value.
type condition struct {
	place string
	value string
}

// alternatives are conditions in disjunctive form: any list of which all hold.
type alternatives [][]condition

// parseSelector reads "5=NNFIN | 4.2=1.2.246.21, 4.3=ISO" after names have been put in for $name.
func parseSelector(s string, names func(string) (string, error)) (alternatives, error) {
	var alts alternatives
	for _, part := range strings.Split(s, "|") {
		conds, err := parseConditions(part, names)
		if err != nil {
			return nil, err
		}
		alts = append(alts, conds)
	}
	return alts, nil
}

func parseConditions(s string, names func(string) (string, error)) ([]condition, error) {
	var list []condition
	for _, part := range strings.Split(s, ",") {
		place, val, ok := strings.Cut(part, "=")
		place, val = strings.TrimSpace(place), strings.TrimSpace(val)
		if !ok || place == "" || val == "" {
			return nil, errPath
		}
		val, err := names(val)
		if err != nil {
			return nil, err
		}
		list = append(list, condition{place, val})
	}
	return list, nil
}

// place numbers of a v2 selector: 5, 4.2, or for segments 1.1, 1.1.2.
func parseNumbers(s string) (n [3]int, count int, err error) {
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return n, 0, errPath
	}
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 1 {
			return n, 0, errPath
		}
		n[i] = v
	}
	return n, len(parts), nil
}

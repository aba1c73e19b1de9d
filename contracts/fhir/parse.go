package fhir

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts"
)

// Limits bound what Parse takes. A zero field has the default. Beside them, an input may hold 1,024 values and one
// more for every four bytes; no resource comes near that.
type Limits struct {
	Bytes int // size of the input; default 32 MB
	Depth int // objects and arrays inside each other; default 64
}

const (
	defaultBytes = 32 << 20
	defaultDepth = 64
)

// Parse reads one resource in FHIR JSON.
//
// b is kept, not copied, and must not change while the tree is used. A byte order mark is skipped. The error is
// contracts.Faults of kind malformed: all repeated names and broken surrogates, each with place, line and column; a
// fault of syntax, size or depth ends the reading. Whether the value is a valid resource is Validate's question.
func Parse(b []byte, limits ...Limits) (*Tree, error) {
	t := &Tree{}
	if err := t.Parse(b, limits...); err != nil {
		return nil, err
	}
	return t, nil
}

// Parse reads b into the tree, reusing its memory; what it held before is void. After a fault the tree is empty.
func (t *Tree) Parse(b []byte, limits ...Limits) error {
	var l Limits
	if len(limits) > 0 {
		l = limits[0]
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	l.Bytes = min(l.Bytes, 1<<31-1) // offsets are 32 bits
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	t.src, t.own, t.nodes = nil, t.own[:0], t.nodes[:0]
	if len(b) > l.Bytes {
		p := parser{b: b}
		line, col := p.position(l.Bytes)
		return contracts.Faults{malformed(CodeSize, "byte "+itoa(l.Bytes), "The message has more than %d bytes; send it in parts or raise the limit. (line %d, column %d)", l.Bytes, line, col)}
	}
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		b = b[3:]
	}
	p := parser{t: t, b: b, depth: l.Depth, most: 1024 + len(b)/4}
	if err := p.document(); err != nil {
		t.src, t.nodes = nil, t.nodes[:0]
		return err
	}
	return nil
}

// parser walks b once. Its methods give false after a fault that ends the reading.
type parser struct {
	t      *Tree
	b      []byte
	pos    int
	depth  int
	most   int // values: a quarter of the bytes, which bounds memory and refuses nothing that is a resource
	faults contracts.Faults
	told   struct{ at, line, col int } // of the last fault, from 0: the next is counted from there
}

func (p *parser) document() error {
	t := p.t
	t.src = p.b
	if cap(t.nodes) == 0 {
		t.nodes = make([]node, 0, p.count())
	}
	t.nodes = append(t.nodes, node{})
	if at := invalidUTF8(p.b); at >= 0 {
		p.fail(CodeUTF8, Node{}, at, "These bytes are no UTF-8. FHIR JSON is always UTF-8.")
		return p.faults
	}
	p.space()
	if p.value(0, 0, 0, 0) {
		if p.space(); p.pos < len(p.b) {
			p.fail(CodeSyntax, Node{}, p.pos, "There is more after the end of the JSON value.")
		}
	}
	if len(p.faults) > 0 {
		return p.faults
	}
	return nil
}

// count is how many nodes the input can need: a value stands at the begin, behind a comma, or first in an array or object.
// It makes one allocation of the right size, since growing step by step would cost twice as much.
func (p *parser) count() int {
	values := 1 + bytes.Count(p.b, []byte{','}) + bytes.Count(p.b, []byte{'['}) + bytes.Count(p.b, []byte{'{'})
	return min(values, p.most) + 2
}

func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
}

// fail notes a fault at byte pos inside the value in.
func (p *parser) fail(code string, in Node, pos int, text string) bool {
	if len(p.faults) >= maxFaults {
		return false
	}
	line, col := p.position(pos)
	f := malformed(code, in.Place(), "%s (line %d, column %d)", text, line, col)
	if f.At == "" {
		f.At = "byte " + itoa(pos)
	}
	p.faults = append(p.faults, f)
	return false
}

// position is the line and column, in characters, of a byte of the input.
func (p *parser) position(at int) (line, col int) {
	if at < p.told.at {
		p.told.at, p.told.line, p.told.col = 0, 0, 0
	}
	for _, c := range p.b[p.told.at:at] {
		switch {
		case c == '\n':
			p.told.line, p.told.col = p.told.line+1, 0
		case c&0xC0 != 0x80: // else it goes on with a character
			p.told.col++
		}
	}
	p.told.at = at
	return p.told.line + 1, p.told.col + 1
}

func (p *parser) space() {
	for p.pos < len(p.b) {
		switch p.b[p.pos] {
		case ' ', '\n', '\r', '\t':
			p.pos++
		default:
			return
		}
	}
}

// value reads a value into a new last child of parent, under the name at nameOff, nameLen of the input.
func (p *parser) value(parent, nameOff uint32, nameLen uint16, flags uint8) bool {
	t := p.t
	in := Node{t, parent}
	if p.pos >= len(p.b) {
		return p.fail(CodeSyntax, in, p.pos, "The JSON ends in the middle.")
	}
	if len(t.nodes) > p.most {
		return p.fail(CodeCount, in, p.pos, "More values than a resource of this size can hold.")
	}
	if len(t.nodes) == cap(t.nodes) { // of an earlier input
		t.nodes = append(make([]node, 0, p.count()), t.nodes...)
	}
	i := uint32(len(t.nodes))
	t.nodes = append(t.nodes, node{nameOff: nameOff, nameLen: nameLen, flags: flags, parent: parent})
	if parent != 0 {
		up := &t.nodes[parent]
		if up.b != 0 {
			t.nodes[up.b].next = i
		} else {
			up.a = i
		}
		up.b = i
	}
	switch c := p.b[p.pos]; c {
	case '{', '[':
		if p.depth--; p.depth < 0 {
			return p.fail(CodeDepth, in, p.pos, "Nested deeper than the limit.")
		}
		var ok bool
		if c == '{' {
			ok = p.object(i)
		} else {
			ok = p.array(i)
		}
		p.depth++
		return ok
	case '"':
		start, escaped, ok := p.str(Node{t, i})
		if !ok {
			return false
		}
		r := &t.nodes[i]
		r.kind, r.a, r.b = KindString, uint32(start), uint32(p.pos-1-start)
		if escaped {
			r.flags |= textEscaped
			p.surrogates(Node{t, i})
		}
		return true
	case 't':
		return p.word(i, KindBool, "true")
	case 'f':
		return p.word(i, KindBool, "false")
	case 'n':
		return p.word(i, KindNull, "null")
	default:
		return p.number(i)
	}
}

func (p *parser) object(i uint32) bool {
	t := p.t
	in := Node{t, i}
	t.nodes[i].kind = KindObject
	p.pos++
	if p.space(); p.pos < len(p.b) && p.b[p.pos] == '}' {
		p.pos++
		return true
	}
	for count := 0; ; count++ {
		if p.pos >= len(p.b) || p.b[p.pos] != '"' {
			return p.fail(CodeSyntax, in, p.pos, "A member name in double quotes belongs here.")
		}
		at := p.pos
		start, escaped, ok := p.str(in)
		if !ok {
			return false
		}
		name := p.b[start : p.pos-1]
		if len(name) > 1<<16-1 {
			return p.fail(CodeSize, in, at, "A member name of more than 65,535 bytes.")
		}
		var flags uint8
		text := view(name)
		if escaped {
			flags = nameEscaped
			text = view(unescape(nil, text))
		}
		if count < fewMembers && in.Get(text).Exists() {
			p.fail(CodeDuplicateKey, in, at, twice)
		}
		if p.space(); p.pos >= len(p.b) || p.b[p.pos] != ':' {
			return p.fail(CodeSyntax, in, p.pos, "A colon belongs here.")
		}
		p.pos++
		p.space()
		if !p.value(i, uint32(start), uint16(len(name)), flags) {
			return false
		}
		if p.space(); p.pos >= len(p.b) {
			return p.fail(CodeSyntax, in, p.pos, "The JSON ends in the middle.")
		}
		switch p.b[p.pos] {
		case '}':
			if count >= fewMembers {
				p.unique(in)
			}
			p.pos++
			return true
		case ',':
			p.pos++
			p.space()
		default:
			return p.fail(CodeSyntax, in, p.pos, "A comma or } belongs here.")
		}
	}
}

// fewMembers is how many members of an object are compared one by one with those before.
const fewMembers = 24

const twice = "A member name stands twice in one object."

// unique finds names that stand twice in an object of many members, behind the first few.
func (p *parser) unique(in Node) {
	type member struct {
		name string
		id   uint32
	}
	members := make([]member, 0, in.Len())
	for c := in.First(); c.Exists(); c = c.Next() {
		members = append(members, member{c.Name(), c.i})
	}
	few := members[fewMembers-1].id
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	var again []uint32
	for i := 1; i < len(members) && len(again) < maxFaults; i++ {
		if members[i].name == members[i-1].name && members[i].id > few {
			again = append(again, members[i].id)
		}
	}
	slices.Sort(again)
	for _, id := range again {
		p.fail(CodeDuplicateKey, in, int(p.t.nodes[id].nameOff)-1, twice)
	}
}

func (p *parser) array(i uint32) bool {
	in := Node{p.t, i}
	p.t.nodes[i].kind = KindArray
	p.pos++
	if p.space(); p.pos < len(p.b) && p.b[p.pos] == ']' {
		p.pos++
		return true
	}
	for {
		if !p.value(i, 0, 0, 0) {
			return false
		}
		if p.space(); p.pos >= len(p.b) {
			return p.fail(CodeSyntax, in, p.pos, "The JSON ends in the middle.")
		}
		switch p.b[p.pos] {
		case ']':
			p.pos++
			return true
		case ',':
			p.pos++
			p.space()
		default:
			return p.fail(CodeSyntax, in, p.pos, "A comma or ] belongs here.")
		}
	}
}

func (p *parser) word(i uint32, kind Kind, word string) bool {
	if len(p.b)-p.pos < len(word) || view(p.b[p.pos:p.pos+len(word)]) != word {
		return p.fail(CodeSyntax, Node{p.t, i}, p.pos, "No JSON value begins like this.")
	}
	r := &p.t.nodes[i]
	r.kind, r.a, r.b = kind, uint32(p.pos), uint32(len(word))
	p.pos += len(word)
	return true
}

func (p *parser) number(i uint32) bool {
	size := numberPrefix(view(p.b[p.pos:]))
	if size == 0 {
		return p.fail(CodeSyntax, Node{p.t, i}, p.pos, "No JSON value begins like this.")
	}
	r := &p.t.nodes[i]
	r.kind, r.a, r.b = KindNumber, uint32(p.pos), uint32(size)
	p.pos += size
	return true
}

// NumberText says whether s is a whole JSON number: 1.10 and -3e5, but not 01, +1 or .5.
func NumberText(s string) bool { return s != "" && numberPrefix(s) == len(s) }

// numberPrefix is the length of the JSON number that s begins with, 0 for none.
func numberPrefix(s string) int {
	digits := func(i int) int {
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i
	}
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if j := digits(i); j > i {
		i = j
	} else {
		return 0
	}
	if i < len(s) && s[i] == '.' {
		j := digits(i + 1)
		if j == i+1 {
			return 0
		}
		i = j
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		k := i + 1
		if k < len(s) && (s[k] == '+' || s[k] == '-') {
			k++
		}
		j := digits(k)
		if j == k {
			return 0
		}
		i = j
	}
	return i
}

// str reads a string whose opening quote is next and gives where its content starts; it ends at p.pos-1.
func (p *parser) str(in Node) (start int, escaped, ok bool) {
	b := p.b
	start = p.pos + 1
	for i := start; ; {
		for i+8 <= len(b) {
			if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return start, escaped, p.fail(CodeSyntax, in, start-1, "A string that begins here doesn't end.")
		}
		switch c := b[i]; {
		case c == '"':
			p.pos = i + 1
			return start, escaped, true
		case c == '\\':
			escaped = true
			size := escapeSize(b[i:])
			if size == 0 {
				return start, escaped, p.fail(CodeSyntax, in, i, "No escape of JSON begins like this.")
			}
			i += size
		case c < 0x20:
			return start, escaped, p.fail(CodeSyntax, in, i, "A control character stands bare in a string; JSON wants an escape.")
		default:
			i++
		}
	}
}

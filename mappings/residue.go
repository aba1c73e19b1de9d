package mappings

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// residueForm is the form of the residue that this version writes and reads.
const residueForm = "residue/v1"

// The bounds of a residue, in bytes of ER7. What lies beyond isn't kept, and is told.
const (
	mostRaw     = 32 << 10  // of one repetition, without what the rules carry of it
	mostResidue = 256 << 10 // of all
)

// residue is what the rules of a map wouldn't bring back of one message: the difference between the message and the plain
// way back of its translation. It stands as JSON in an extension of the MessageHeader.
//
// It speaks of two messages: the one that was read, and the one that the rules alone write of its translation (of which it
// holds digests, never a text). On the way back those digests tell what has been changed in FHIR since, and a change wins.
// Texts are ER7 in Unicode, with the standard delimiters. MSH-1, MSH-2 and MSH-18 are never in it, nor what is transport.
type residue struct {
	Form    string `json:"silta"`
	Map     string `json:"map"`     // the id at the bottom of the map's overlays: those of one base read each other's
	Version string `json:"version"` // MSH-12.1 of the message that was read
	// Wrote are the segments that the rules write: the name and a digest each.
	Wrote []string `json:"wrote,omitempty"`
	// Kept are the segments of the message that was read, in its order. A segment of Wrote that none of them names is
	// written by the rules, and the message didn't have it.
	Kept []keptSegment `json:"kept,omitempty"`
	// Digests are those of the written fields that something kept depends on, by "segment-field": 3-5.
	Digests map[string]string `json:"digests,omitempty"`
}

// keptSegment is a segment of the message that was read: one that the rules write, with the fields that they write
// otherwise, or one that they don't.
type keptSegment struct {
	Of     int         `json:"of,omitempty"` // its number in Wrote, from 1; 0: the rules don't write it
	Fields []keptField `json:"fields,omitempty"`
	Raw    string      `json:"raw,omitempty"`  // of a segment that the rules don't write
	With   int         `json:"with,omitempty"` // the written segment that opens its group, from 1: it goes with that
	If     []keptIf    `json:"if,omitempty"`
}

// keptIf says what a field of a raw segment depends on, because a rule read it and writes it elsewhere.
type keptIf struct {
	Field int      `json:"n"`
	On    []string `json:"on"` // fields of Digests; all must be written as they were
}

// keptField is a field that the rules write otherwise than it stood.
type keptField struct {
	N     int       `json:"n"`
	Wrote []string  `json:"wrote,omitempty"` // digests of the repetitions that the rules write
	Reps  []keptRep `json:"reps,omitempty"`  // as they stood
}

// keptRep is a repetition as it stood.
type keptRep struct {
	Of  int      `json:"of,omitempty"`  // the written repetition that it is, from 1; 0: the rules don't write it
	Raw string   `json:"raw,omitempty"` // empty with Of: just as written. A component that is asWritten is taken from there
	By  []string `json:"by,omitempty"`  // digests of the written components
	If  []string `json:"if,omitempty"`  // as in keptIf.On
}

// residueURL is that of the extension which holds it.
var residueURL = profiles.URL(profiles.Residue)

// keeps says whether Forward keeps what the rules don't carry: the map says so, or the caller asks and the map allows it.
func (m *Map) keeps(c Context) bool {
	return m.doc.preserve.s == preserveRest || c.Residue && m.doc.preserve.s != preserveNone
}

// asWritten stands in a kept repetition for a component that is long and that the rules write just so, such as an
// attachment's data. No text of a segment can hold it.
const asWritten = "\r"

// line is a segment as text: fields by their number, the name as number 0, without empty ones at the end. MSH-1, MSH-2 and
// MSH-18 are empty, since they are the writer's business.
type line []string

func (l line) id() string { return l[0] }

// transport says whether a field is between the sender and whom it sent to: MSH-8 (security), MSH-13 and 14 (sequence and
// continuation), MSH-15 and 16 (which acknowledgements it asks for), MSH-17 (country). On another connection they would be
// untrue: a courier whose message asks for no acknowledgement gets none.
func transport(id string, field int) bool {
	return id == "MSH" && (field == 8 || field >= 13 && field <= 17)
}

func (l line) field(n int) string {
	if n < len(l) {
		return l[n]
	}
	return ""
}

// er7Lines are the segments of a message. Their memory serves many messages, one after another.
type er7Lines struct {
	list   []line
	fields []string // of all, in which the lines share
	er7    []byte
}

// clear forgets the message.
func (t *er7Lines) clear() {
	clear(t.list)
	clear(t.fields)
	t.list, t.fields, t.er7 = t.list[:0], t.fields[:0], t.er7[:0]
}

// of reads the segments of a message in Unicode with the standard delimiters. Of fields with those already the escapes stay
// as they are written.
func (t *er7Lines) of(m *hl7v2.Message) {
	standard := m.Delimiters() == hl7v2.Standard
	if standard && (m.Charset() == hl7v2.UTF8 || m.Charset() == hl7v2.ASCII && !bytes.Contains(m.Bytes(), []byte(`\X`))) {
		t.er7 = t.er7[:0]
		for _, s := range m.Segments() {
			t.er7 = append(append(t.er7, s.Raw()...), '\r')
		}
		t.in(string(t.er7))
		return
	}
	t.clear()
	for _, s := range m.Segments() {
		l := make(line, 1, s.NumFields()+1)
		l[0] = segmentName(s)
		for n := 1; n <= s.NumFields(); n++ {
			text := s.Field(n).ER7()
			if !standard || m.Charset() != hl7v2.UTF8 && strings.Contains(text, `\X`) { // such escapes hold bytes of its own set
				text = rewritten(s.Field(n))
			}
			l = append(l, text)
		}
		t.add(l)
	}
}

// in reads those of a message in Unicode with the standard delimiters, each ended by CR. Their texts share its bytes.
func (t *er7Lines) in(er7 string) {
	t.clear()
	t.fields = slices.Grow(t.fields, strings.Count(er7, "|")+strings.Count(er7, "\r")+1) // so that no line is left behind
	for er7 != "" {
		var segment string
		segment, er7, _ = strings.Cut(er7, "\r")
		first := len(t.fields)
		for more := true; more; {
			var field string
			field, segment, more = strings.Cut(segment, "|")
			if t.fields = append(t.fields, field); len(t.list) == 0 && len(t.fields) == 1 {
				t.fields = append(t.fields, "|") // MSH-1 is the delimiter behind the name
			}
		}
		t.add(t.fields[first:len(t.fields):len(t.fields)])
	}
}

// add takes the next line, without what is the writer's business.
func (t *er7Lines) add(l line) {
	if len(t.list) == 0 {
		for _, n := range [...]int{1, 2, 18} {
			if n < len(l) {
				l[n] = ""
			}
		}
	}
	t.list = append(t.list, l.trimmed())
}

// linesOf are those of a message, to keep.
func linesOf(m *hl7v2.Message) []line {
	var t er7Lines
	t.of(m)
	return t.list
}

func (l line) trimmed() line {
	for len(l) > 1 && l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

// without gives the lines without what the map drops. They are changed in place.
func (p *program) without(lines []line) []line {
	for i := range p.dropped {
		x := &p.dropped[i]
		for j, l := range lines {
			if l.id() != x.segment {
				continue
			}
			for n := max(int(x.from), 1); n < len(l) && (x.from == 0 || n <= int(x.to)); n++ {
				l[n] = withoutComponent(l[n], int(x.comp))
			}
			lines[j] = l.trimmed()
		}
	}
	return lines
}

// withoutComponent empties a component in each repetition of a field, or the field where it is 0.
func withoutComponent(field string, comp int) string {
	if comp == 0 || field == "" {
		return ""
	}
	reps := strings.Split(field, "~")
	for i, rep := range reps {
		parts := strings.Split(rep, "^")
		if comp <= len(parts) {
			parts[comp-1] = ""
		}
		reps[i] = strings.TrimRight(strings.Join(parts, "^"), "^")
	}
	return strings.TrimRight(strings.Join(reps, "~"), "~")
}

// rewritten is a field in the standard delimiters.
func rewritten(v hl7v2.Value) string {
	if v.IsNull() {
		return v.ER7()
	}
	if v.Level() == hl7v2.SubcomponentLevel {
		return hl7v2.Standard.EncodeText(v.Text())
	}
	separator := [...]string{hl7v2.FieldLevel: "~", hl7v2.RepetitionLevel: "^", hl7v2.ComponentLevel: "&"}[v.Level()]
	var b strings.Builder
	for i, part := range v.All() {
		if i > 1 {
			b.WriteString(separator)
		}
		b.WriteString(rewritten(part))
	}
	return b.String()
}

// raw is a line as one text, and parsed its inverse.
func (l line) raw() string { return strings.Join(l, "|") }

func parsedLine(raw string) line { return strings.Split(raw, "|") }

// repetitions are the repetitions of a field's text; none where it is empty.
func repetitions(field string) []string {
	if field == "" {
		return nil
	}
	return strings.Split(field, "~")
}

// numbered says whether field 1 of a segment is its number, which the writer gives.
func numbered(dict *hl7v2.Dict, id string) bool {
	def := dict.Segment(id)
	return def != nil && def.Field(1) != nil && def.Field(1).Type == "SI"
}

// mark is a written segment's entry in Wrote: its name, and a digest of all but its number.
func (l line) mark(dict *hl7v2.Dict) string {
	first := 1
	if numbered(dict, l.id()) {
		first = 2
	}
	h := newDigest()
	for n := first; n < len(l); n++ {
		h = h.add(strconv.Itoa(n)).add(l[n])
	}
	return l.id() + h.text()
}

// shortDigest is 24 bits of a text's hash: enough to see that the text was changed. It is no secret: a sex, a status or a
// HETU is found from it by trying, which is one more reason that a residue leaves only where the contract keeps it.
func shortDigest(text string) string {
	if text == "" {
		return ""
	}
	return newDigest().add(text).text()
}

// digester is FNV-1a with a last mix, so that the bits that are taken depend on all that was added.
type digester uint64

func newDigest() digester { return 14695981039346656037 }

func (h digester) add(text string) digester {
	for i := range len(text) {
		h = (h ^ digester(text[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211
}

func (h digester) text() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return string([]byte{letters[h&63], letters[h>>6&63], letters[h>>12&63], letters[h>>18&63]})
}

// residueIn gives the residue of a Bundle that this map may merge: of its own, in a form that it knows. Another's is nil.
func (m *Map) residueIn(bundle *fhir.Tree) *residue {
	header := bundle.Root().Get("entry").At(0).Get("resource")
	text := fhir.Extension(header, residueURL).Get("valueString").Text()
	if text == "" {
		return nil
	}
	k := readResidue(text)
	if k == nil || k.Form != residueForm || k.Map != m.root || !k.sound() {
		return nil
	}
	return k
}

// sound says whether all that a residue refers to is there and within bounds, and no text in it could end a segment or be
// another header.
func (k *residue) sound() bool {
	for _, w := range k.Wrote {
		if len(w) < 3 {
			return false
		}
	}
	taken := make([]bool, len(k.Wrote)+1)
	for i := range k.Kept {
		s := &k.Kept[i]
		if !inRange(s.Of, 0, len(k.Wrote)) || !inRange(s.With, 0, len(k.Wrote)) || s.Of > 0 && taken[s.Of] || s.Of == 0 && !soundSegment(s.Raw) {
			return false
		}
		taken[s.Of] = true
		for _, on := range s.If {
			if !inRange(on.Field, 1, mostNumbered) || !k.names(on.On) {
				return false
			}
		}
		if !slices.IsSortedFunc(s.Fields, func(a, b keptField) int { return a.N - b.N }) {
			return false
		}
		for j := range s.Fields {
			if !k.soundField(&s.Fields[j]) {
				return false
			}
		}
	}
	return true
}

func inRange(n, least, most int) bool { return n >= least && n <= most }

// soundSegment says whether a text is one segment, and not the header.
func soundSegment(raw string) bool {
	id := raw[:min(3, len(raw))]
	return hl7v2.IsSegmentID(id) && id != "MSH" && !strings.ContainsAny(raw, "\r\n") && (len(raw) == 3 || raw[3] == '|') && strings.Count(raw, "|") <= mostNumbered
}

func (k *residue) soundField(f *keptField) bool {
	if !inRange(f.N, 1, mostNumbered) {
		return false
	}
	for _, r := range f.Reps {
		if !inRange(r.Of, 0, len(f.Wrote)) || strings.ContainsAny(r.Raw, "\n|") || !k.names(r.If) {
			return false
		}
		for _, text := range strings.Split(r.Raw, "^") {
			if strings.Contains(text, asWritten) && (text != asWritten || r.Of == 0) {
				return false
			}
		}
	}
	return true
}

// names says whether texts name fields of written segments.
func (k *residue) names(fields []string) bool {
	return !slices.ContainsFunc(fields, func(name string) bool {
		seg, field, _ := strings.Cut(name, "-")
		return !numeral(seg) || !numeral(field) || !inRange(atoi(seg), 1, len(k.Wrote)) || !inRange(atoi(field), 1, mostNumbered)
	})
}

// numeral says whether a text is a number of a few digits.
func numeral(text string) bool {
	return text != "" && len(text) < 8 && strings.Trim(text, "0123456789") == ""
}

// align pairs the items of two lists that are equal, in order, as many as possible: for each of a its number in b, or -1.
func align(a, b []string) []int {
	pairs := make([]int, len(a))
	for i := range pairs {
		pairs[i] = -1
	}
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		pairs[from] = from
		from++
	}
	endA, endB := len(a), len(b)
	for endA > from && endB > from && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
		pairs[endA] = endB
	}
	rows, columns := endA-from, endB-from
	if rows == 0 || columns == 0 || rows > mostAligned/columns {
		return pairs
	}
	best := make([]int32, (rows+1)*(columns+1))
	at := func(i, j int) *int32 { return &best[i*(columns+1)+j] }
	for i := rows - 1; i >= 0; i-- {
		for j := columns - 1; j >= 0; j-- {
			if a[from+i] == b[from+j] {
				*at(i, j) = *at(i+1, j+1) + 1
			} else {
				*at(i, j) = max(*at(i+1, j), *at(i, j+1))
			}
		}
	}
	for i, j := 0, 0; i < rows && j < columns; {
		switch {
		case a[from+i] == b[from+j]:
			pairs[from+i] = from + j
			i, j = i+1, j+1
		case *at(i+1, j) >= *at(i, j+1):
			i++
		default:
			j++
		}
	}
	return pairs
}

// mostAligned bounds the work of align: beyond it the middle of both lists isn't paired.
const mostAligned = 4 << 20

// pairing is what the written things of one run became in another.
type pairing struct {
	to   []int  // their number there, or -1
	same []bool // and just as they were
}

// paired aligns what was written with what is written now: equal ones in order, then equal ones that have moved, then,
// between those, as many changed ones of a kind as stand on both sides.
func paired(was, now []string, kind func(string) string) pairing {
	p := pairing{to: align(was, now), same: make([]bool, len(was))}
	used := make([]bool, len(now))
	for i, j := range p.to {
		if p.same[i] = j >= 0; j >= 0 {
			used[j] = true
		}
	}
	moved := map[string][]int{}
	for n, mark := range now {
		if !used[n] {
			moved[mark] = append(moved[mark], n)
		}
	}
	for i, j := range p.to {
		if list := moved[was[i]]; j < 0 && len(list) > 0 {
			p.to[i], p.same[i], used[list[0]], moved[was[i]] = list[0], true, true, list[1:]
		}
	}
	for start := 0; start < len(was); {
		if p.to[start] >= 0 {
			start++
			continue
		}
		end := start
		for end < len(was) && p.to[end] < 0 {
			end++
		}
		low, high := 0, len(now)
		if start > 0 {
			low = p.to[start-1] + 1
		}
		if end < len(was) {
			high = p.to[end]
		}
		p.changed(was, now, used, kind, start, end, low, high)
		start = end
	}
	return p
}

// changed pairs what was changed in was[start:end] and now[low:high].
func (p *pairing) changed(was, now []string, used []bool, kind func(string) string, start, end, low, high int) {
	before, after := map[string][]int{}, map[string][]int{}
	for i := start; i < end; i++ {
		before[kind(was[i])] = append(before[kind(was[i])], i)
	}
	for n := low; n < high; n++ {
		if !used[n] {
			after[kind(now[n])] = append(after[kind(now[n])], n)
		}
	}
	for name, list := range before {
		if others := after[name]; len(others) == len(list) {
			for i := range list {
				p.to[list[i]], used[others[i]] = others[i], true
			}
		}
	}
}

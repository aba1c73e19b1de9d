package mappings

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// merger puts what a residue kept back between what the rules write now. What the rules write otherwise than they did when
// it was kept has been changed in FHIR, and wins.
type merger struct {
	r     *reverse
	kept  *residue
	now   []line
	pairs pairing
	out   []mergedLine
}

// mergedLine is a segment of the message that is written.
type mergedLine struct {
	line line
	now  int // which of those that the rules write, or -1
	with int // see keptSegment
}

// merge appends the segments to the builder, whose delimiters are the standard ones, with # for truncation if marks. now
// are those that the rules write. It gives for each of these its number among all, or -1.
func (r *reverse) merge(now []line, b *hl7v2.Builder, charset *hl7v2.Charset, marks bool) []int {
	m := &merger{r: r, kept: r.kept, now: now}
	m.pair()
	m.segments()
	where := make([]int, len(m.now))
	for i := range where {
		where[i] = -1
	}
	for i, l := range m.out {
		if l.now >= 0 {
			where[l.now] = i
		}
		if marks {
			l.line.escapeMarks()
		}
		l.line.write(b.Append(l.line.id()), charset)
	}
	return where
}

// escapeMarks escapes # at the end of a part, where a reader with a truncation character takes it for that.
func (l line) escapeMarks() {
	for n := 1; n < len(l); n++ {
		l[n] = finalMark.ReplaceAllString(l[n], `\P\$1`)
	}
}

var finalMark = regexp.MustCompile(`#([~^&]|$)`)

// write sets the fields of a segment. What the character set lacks is the builder's business.
func (l line) write(s *hl7v2.NewSegment, charset *hl7v2.Charset) {
	for n := 1; n < len(l); n++ {
		if l[n] == "" {
			continue
		}
		if raw, ok := charset.Encode(l[n]); ok {
			s.SetRaw(n, 0, 0, 0, raw)
			continue
		}
		for rep, text := range strings.Split(l[n], "~") {
			for comp, text := range strings.Split(text, "^") {
				for sub, text := range strings.Split(text, "&") {
					if text == `""` {
						s.SetNull(n, rep+1, comp+1, sub+1)
					} else if text != "" {
						s.SetText(n, rep+1, comp+1, sub+1, hl7v2.Standard.DecodeText(text))
					}
				}
			}
		}
	}
}

// pair says what became of the segments that the rules wrote when the residue was kept.
func (m *merger) pair() {
	marks := make([]string, len(m.now))
	for i, l := range m.now {
		marks[i] = l.mark(m.r.p.dict)
	}
	m.pairs = paired(m.kept.Wrote, marks, func(mark string) string { return mark[:3] })
}

// drop tells that something kept wasn't put back.
func (m *merger) drop(id string, field int) {
	at := id
	if field > 0 {
		at += "-" + strconv.Itoa(field)
	}
	f := contracts.Faultf(contracts.Loss, CodeResidue, at, "What was kept here of the message that came in isn't put back.")
	f.Grade = contracts.GradeNote
	m.r.findings = append(m.r.findings, f)
}

// holds says whether the fields that something depends on are written as they were.
func (m *merger) holds(on []string) bool {
	for _, name := range on {
		seg, field, _ := strings.Cut(name, "-")
		n := atoi(seg) - 1
		if n < 0 || n >= len(m.pairs.to) || m.pairs.to[n] < 0 {
			return false
		}
		if shortDigest(m.now[m.pairs.to[n]].field(atoi(field))) != m.kept.Digests[name] {
			return false
		}
	}
	return true
}

// segments puts the segments in the order of the message that came in, new ones behind those that they are written behind.
func (m *merger) segments() {
	done := make([]bool, len(m.now))
	named := make([]bool, len(m.kept.Wrote))
	for i := range m.kept.Kept {
		k := &m.kept.Kept[i]
		if k.Of == 0 {
			m.raw(k)
			continue
		}
		named[k.Of-1] = true
		if j := m.pairs.to[k.Of-1]; j < 0 {
			m.dropFields(m.kept.Wrote[k.Of-1][:3], k)
		} else {
			m.out, done[j] = append(m.out, mergedLine{line: m.fields(k, m.now[j]), now: j}), true
		}
	}
	for i, j := range m.pairs.to {
		if j >= 0 && !named[i] && m.pairs.same[i] {
			done[j] = true // the message didn't have it
		}
	}
	for j := range m.now {
		if !done[j] {
			m.insert(j)
		}
	}
}

func (m *merger) dropFields(id string, k *keptSegment) {
	for i := range k.Fields {
		m.drop(id, k.Fields[i].N)
	}
}

// insert puts a segment that is new behind the one that it is written behind, and behind what was kept of the group of that.
func (m *merger) insert(j int) {
	at, before := 0, -1
	for i, l := range m.out {
		if l.now < j && l.now > before {
			at, before = i+1, l.now
		}
	}
	for at < len(m.out) && m.out[at].with > 0 {
		at++
	}
	m.out = slices.Insert(m.out, at, mergedLine{line: m.now[j], now: j})
}

// raw puts a segment back that the rules don't write, without the fields of which something has been changed.
func (m *merger) raw(k *keptSegment) {
	l := parsedLine(k.Raw)
	if k.With > 0 && m.pairs.to[k.With-1] < 0 || !m.known(l.id(), 0) {
		m.drop(l.id(), 0)
		return
	}
	for _, on := range k.If {
		if on.Field < len(l) && !m.holds(on.On) {
			l[on.Field] = ""
			m.drop(l.id(), on.Field)
		}
	}
	if len(k.If) > 0 {
		if l = l.trimmed(); len(l) == 1 {
			return
		}
	}
	m.out = append(m.out, mergedLine{line: l, now: -1, with: k.With})
}

// known says whether the version that is written has the segment, or its field. Where it is the version that came in,
// everything is as it came.
func (m *merger) known(id string, field int) bool {
	if m.kept.Version == m.r.version || id[0] == 'Z' {
		return true
	}
	def := m.r.p.dict.Segment(id)
	return def != nil && (field == 0 || def.Field(field) != nil)
}

// fields puts the fields back that the rules write otherwise than they came.
func (m *merger) fields(k *keptSegment, now line) line {
	if len(k.Fields) == 0 {
		return now
	}
	out := slices.Clone(now)
	for i := range k.Fields {
		f := &k.Fields[i]
		if !m.known(now.id(), f.N) || transport(now.id(), f.N) {
			m.drop(now.id(), f.N)
			continue
		}
		text, dropped := f.merge(repetitions(now.field(f.N)), m.holds, m.r.p.fieldType(now.id(), f.N))
		if dropped {
			m.drop(now.id(), f.N)
		}
		for len(out) <= f.N {
			out = append(out, "")
		}
		out[f.N] = text
		if now.id() == "OBX" && f.N == 5 && dropped && text == now.field(5) && out.field(2) != now.field(2) {
			out[2] = now.field(2) // what was kept is the type of the old value
			m.drop(now.id(), 2)
		}
	}
	return out.trimmed()
}

// fieldType is the data type of a field, empty where the version has none.
func (p *program) fieldType(id string, field int) string {
	if def := p.dict.Segment(id); def != nil && def.Field(field) != nil {
		return def.Field(field).Type
	}
	return ""
}

// merge gives the field's text, and whether something kept was dropped. now are the repetitions that the rules write.
func (f *keptField) merge(now []string, holds func([]string) bool, typ string) (text string, dropped bool) {
	if len(f.Wrote) == 0 && len(now) > 0 {
		return strings.Join(now, "~"), true // a rule writes now where none did
	}
	marks := make([]string, len(now))
	for i := range now {
		marks[i] = shortDigest(now[i])
	}
	pairs := paired(f.Wrote, marks, func(string) string { return "" })
	type merged struct {
		text string
		now  int
	}
	var out []merged
	done, named := make([]bool, len(now)), make([]bool, len(f.Wrote))
	for i := range f.Reps {
		r := &f.Reps[i]
		if r.Of == 0 {
			if holds(r.If) {
				out = append(out, merged{r.Raw, -1})
			} else {
				dropped = true
			}
			continue
		}
		named[r.Of-1] = true
		j := pairs.to[r.Of-1]
		if j < 0 {
			dropped = dropped || r.Raw != ""
			continue
		}
		text, whole := now[j], true
		if r.Raw != "" {
			by := r.By
			if by == nil {
				by = f.Wrote[r.Of-1 : r.Of]
			}
			text, whole = r.merge(now[j], typ, by)
		}
		dropped = dropped || !whole
		out, done[j] = append(out, merged{text, j}), true
	}
	for i, j := range pairs.to {
		if j >= 0 && !named[i] && pairs.same[i] {
			done[j] = true
		}
	}
	for j := range now {
		if done[j] {
			continue
		}
		at, before := 0, -1
		for i, o := range out {
			if o.now < j && o.now > before {
				at, before = i+1, o.now
			}
		}
		out = slices.Insert(out, at, merged{now[j], j})
	}
	texts := make([]string, len(out))
	for i := range out {
		texts[i] = out[i].text
	}
	return strings.Join(texts, "~"), dropped
}

// merge gives a repetition as it stood; what has been changed of it as it is written now. by are the digests of the
// components that were written; whole says that it stands as it did.
func (r *keptRep) merge(now, typ string, by []string) (text string, whole bool) {
	parts, writes := strings.Split(r.Raw, "^"), strings.Split(now, "^")
	whole = true
	for i := range max(len(writes), len(by)) {
		if shortDigest(part(writes, i)) != part(by, i) {
			if whole = false; !alone(typ, i+1) {
				return now, false
			}
			for len(parts) <= i {
				parts = append(parts, "")
			}
			parts[i] = part(writes, i)
		}
	}
	for i := range parts {
		if parts[i] == asWritten {
			parts[i] = part(writes, i)
		}
	}
	if text = strings.Join(parts, "^"); !whole {
		text = strings.TrimRight(text, "^")
	}
	return text, whole
}

func part(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// alone says whether a component can change while the others stay true: any of a name or an address. Of other types those
// can't that say what the thing is: a code, an id, a number. What was kept beside them belonged to the old one.
func alone(typ string, comp int) bool {
	switch typ {
	case "XPN", "PN", "XAD", "AD":
		return true
	case "XTN", "TN":
		return comp == 2 || comp == 3 || comp == 4 || comp == 9
	case "CE", "CWE", "CNE", "CF":
		return comp != 1 && comp != 3 && comp != 4 && comp != 6
	case "ED", "RP":
		return false
	}
	return comp > 1
}

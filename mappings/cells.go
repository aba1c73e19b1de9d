package mappings

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// leaf is one populated subcomponent. Only populated ones are kept, in the order in which they stand.
type leaf struct {
	field, rep, comp, sub int16
	null, read            bool
	text                  string
}

// segment is one segment of the message that is read.
type segment struct {
	id     string
	index  int32 // in the message, from 0
	nth    int   // its number among the segments of that id, from 1
	count  int   // of leaves
	leaves []leaf
	group  *group
	known  bool // the structure has it; Z-segments and foreign ones aren't
}

// dialect is a v2 message laid out for reading: all populated leaves in one slice. Its memory serves many messages, one
// after another.
type dialect struct {
	segments   []segment
	leaves     []leaf
	groups     []*group
	usedGroups int
	root       *group
	last       place // the leaf that was read last, for lineage
	delims     hl7v2.Delimiters
}

// place is where a leaf stands. The zero place is none.
type place struct {
	seg                   *segment
	field, rep, comp, sub int16
}

// String gives the place as PID-3(1).4.2 or OBX(3)-5(1); parts that are 0 are left out.
func (p place) String() string {
	if p.seg == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(p.seg.id)
	if p.seg.nth > 1 {
		b.WriteString("(" + strconv.Itoa(p.seg.nth) + ")")
	}
	if p.field > 0 {
		b.WriteString("-" + strconv.Itoa(int(p.field)))
	}
	if p.rep > 0 {
		b.WriteString("(" + strconv.Itoa(int(p.rep)) + ")")
	}
	if p.comp > 0 {
		b.WriteString("." + strconv.Itoa(int(p.comp)))
	}
	if p.comp > 0 && p.sub > 1 {
		b.WriteString("." + strconv.Itoa(int(p.sub)))
	}
	return b.String()
}

// dialects are for reading back what was written.
var dialects = sync.Pool{New: func() any { return &dialect{} }}

// mostNumbered bounds the fields of a segment, the repetitions of a field and the parts of those. No partner means more, and
// looking for one of them passes the others.
const mostNumbered = 1000

// layout reads every populated leaf of m once. The texts share the message's bytes. What d held before is void. What is
// numbered beyond mostNumbered isn't read; the fault tells the first.
func (d *dialect) layout(m *hl7v2.Message) (beyond *contracts.Fault) {
	d.delims, d.leaves, d.last = m.Delimiters(), d.leaves[:0], place{}
	id := ""
	add := func(l hl7v2.Leaf) {
		if max(l.Field, l.Repetition, l.Component, l.Subcomponent) > mostNumbered {
			if beyond == nil {
				beyond = tooMany(id + "-" + strconv.Itoa(l.Field))
			}
			return
		}
		d.leaves = append(d.leaves, leaf{field: int16(l.Field), rep: int16(l.Repetition), comp: int16(l.Component), sub: int16(l.Subcomponent), null: l.Null, text: l.Text})
	}
	d.name(m)
	for i, s := range m.Segments() {
		first, start := 1, len(d.leaves)
		if i == 0 {
			first = 3 // MSH-1 and MSH-2 are delimiters, not content
		}
		id = d.segments[i].id
		s.EachLeaf(first, add)
		d.segments[i].count = len(d.leaves) - start
	}
	at := 0
	for i := range d.segments {
		s := &d.segments[i]
		s.leaves = d.leaves[at : at+s.count : at+s.count]
		at += s.count
	}
	return beyond
}

// name notes the segments of m, without what is in them.
func (d *dialect) name(m *hl7v2.Message) {
	d.segments = d.segments[:0]
	for i, s := range m.Segments() {
		d.segments = append(d.segments, segment{id: segmentName(s), index: int32(i), nth: 1})
		for j := i - 1; j >= 0; j-- {
			if d.segments[j].id == d.segments[i].id {
				d.segments[i].nth = d.segments[j].nth + 1
				break
			}
		}
	}
}

func tooMany(at string) *contracts.Fault {
	return contracts.Faultf(contracts.Invalid, CodeTooMany, at, "More than %d of one kind stand here.", mostNumbered)
}

// release forgets the message, whose bytes the texts share.
func (d *dialect) release() {
	clear(d.leaves)
	clear(d.segments)
	for _, g := range d.groups[:d.usedGroups] {
		clear(g.segments)
		g.segments, g.groups = g.segments[:0], g.groups[:0]
	}
	d.usedGroups, d.root, d.last = 0, nil, place{}
}

var segmentNames = func() map[string]string {
	names := map[string]string{}
	for _, id := range strings.Fields("MSH EVN PID PD1 PV1 PV2 NK1 GT1 IN1 IN2 IN3 ACC DG1 DRG AL1 PR1 OBR OBX NTE ORC RF1 AUT CTD PRD MSA ERR SCH TQ1 RGS AIS AIG AIL AIP TXA SFT MRG ROL") {
		names[id] = id
	}
	return names
}()

func segmentName(s hl7v2.Segment) string {
	raw := s.Raw()
	if name, ok := segmentNames[string(raw[:min(3, len(raw))])]; ok {
		return name
	}
	return s.ID()
}

// find gives the leaf at a place, nil where nothing stands.
func (s *segment) find(field, rep, comp, sub int16) *leaf {
	for i := range s.leaves {
		l := &s.leaves[i]
		if l.field == field && l.rep == rep && l.comp == comp && l.sub == sub {
			return l
		}
		if l.field > field {
			return nil
		}
	}
	return nil
}

// cell is a place of the message that is read: a segment, a repetition, a component or a subcomponent.
type cell struct {
	d                     *dialect
	seg                   *segment
	field, rep, comp, sub int16
	typ                   string // the v2 data type in this version
	lines                 bool   // the path names no repetition: in a text the further ones are lines
}

func (c cell) place() place { return place{c.seg, c.field, c.rep, c.comp, c.sub} }

// filled says whether something stands here that isn't the explicit null.
func (c cell) filled() bool {
	if c.seg == nil {
		return false
	}
	for i := range c.seg.leaves {
		l := &c.seg.leaves[i]
		if l.field == c.field && l.rep == c.rep && !l.null && (c.comp == 0 || l.comp == c.comp) && (c.sub == 0 || l.sub == c.sub) {
			return true
		}
	}
	return false
}

// part is the text of part n: component n of a repetition, subcomponent n of a component. What is absent or null is "".
func (c cell) part(n int16) string {
	switch {
	case c.comp == 0:
		return c.at(n, 1)
	case c.sub == 0:
		return c.at(c.comp, n)
	case n == 1:
		return c.at(c.comp, c.sub)
	}
	return ""
}

// text is the first leaf's text.
func (c cell) text() string { return c.part(1) }

// whole is the text of a repetition that has no components by its type: a delimiter in it is one that the sender forgot
// to escape, so it belongs to the text.
func (c cell) whole() string {
	if c.seg == nil || c.comp > 0 {
		return c.text()
	}
	var b strings.Builder
	comp, sub := int16(1), int16(1)
	var first place
	for i := range c.seg.leaves {
		l := &c.seg.leaves[i]
		if l.field != c.field || l.rep != c.rep || l.null {
			continue
		}
		for ; comp < l.comp; comp, sub = comp+1, 1 {
			b.WriteByte(c.d.delims.Component)
		}
		for ; sub < l.sub; sub++ {
			b.WriteByte(c.d.delims.Subcomponent)
		}
		if first.seg == nil {
			first = place{c.seg, l.field, l.rep, l.comp, l.sub}
		}
		l.read = true
		b.WriteString(l.text)
	}
	c.d.last = first
	return b.String()
}

// paragraphs is whole for formatted text: further repetitions are lines, unless the path names one of them.
func (c cell) paragraphs() string {
	text := c.whole()
	if !c.lines || c.seg == nil {
		return text
	}
	from := c.d.last
	var buf [8]int16
	for _, r := range c.seg.reps(c.field, buf[:0]) {
		for c.rep < r { // an empty one is a blank line
			c.rep++
			text += "\n" + c.whole()
		}
	}
	c.d.last = from
	return text
}

// deep is subcomponent m of component n of a repetition; for a component only its own first level is left.
func (c cell) deep(n, m int16) string {
	if c.comp == 0 {
		return c.at(n, m)
	}
	if m == 1 {
		return c.part(n)
	}
	return ""
}

func (c cell) at(comp, sub int16) string {
	if c.seg == nil {
		return ""
	}
	l := c.seg.find(c.field, c.rep, comp, sub)
	if l == nil {
		return ""
	}
	l.read = true
	c.d.last = place{c.seg, c.field, c.rep, comp, sub}
	return l.text
}

// down is component n of a repetition as a cell of its own.
func (c cell) down(n int16) cell {
	if c.comp == 0 {
		c.comp = n
	} else {
		c.sub = n
	}
	c.typ = ""
	return c
}

// under gives the leaves of the repetition, component or subcomponent.
func (c cell) under() []*leaf {
	var list []*leaf
	for i := range c.seg.leaves {
		l := &c.seg.leaves[i]
		if l.field == c.field && l.rep == c.rep && (c.comp == 0 || l.comp == c.comp) && (c.sub == 0 || l.sub == c.sub) {
			list = append(list, l)
		}
	}
	return list
}

// repeats says whether what stands here stands in the other cell just so.
func (c cell) repeats(other cell) bool {
	return slices.EqualFunc(c.under(), other.under(), func(a, b *leaf) bool {
		return a.text == b.text && (c.comp > 0 || other.comp > 0 || a.comp == b.comp && a.sub == b.sub)
	})
}

// markAll counts everything under the cell as read, for lenses that take it whole.
func (c cell) markAll() {
	for i := range c.seg.leaves {
		l := &c.seg.leaves[i]
		if (c.field == 0 || l.field == c.field && l.rep == c.rep) && (c.comp == 0 || l.comp == c.comp) && (c.sub == 0 || l.sub == c.sub) {
			l.read = true
		}
	}
}

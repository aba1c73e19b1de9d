package mappings

import (
	"cmp"
	"math"
	"slices"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// outGroup is one occurrence of a group in the message that is written. What is written is sorted into the order of
// the structure at the end.
type outGroup struct {
	def    *groupDef
	parent *outGroup
	ord    int64  // among its siblings: the frame and the instance that it was made for
	key    string // the selector of the path that opened it
	items  []outItem
	counts []counted
	memory *outMemory
}

// counted is how many segments of a name have a number by now.
type counted struct {
	id string
	n  int
}

// outMemory hands out groups and segments. It serves the next message again, so nothing that outlives a translation may
// point to them.
type outMemory struct {
	groups                   []*outGroup
	segments                 []*outSegment
	usedGroups, usedSegments int
}

func (m *outMemory) group(def *groupDef, parent *outGroup, ord int64) *outGroup {
	if m.usedGroups == len(m.groups) {
		m.groups = append(m.groups, &outGroup{memory: m})
	}
	g := m.groups[m.usedGroups]
	m.usedGroups++
	g.def, g.parent, g.ord = def, parent, ord
	return g
}

func (m *outMemory) segment(id string, ord int64) *outSegment {
	if m.usedSegments == len(m.segments) {
		m.segments = append(m.segments, &outSegment{})
	}
	s := m.segments[m.usedSegments]
	m.usedSegments++
	s.id, s.ord = id, ord
	return s
}

// leaves counts those of all segments.
func (m *outMemory) leaves() int {
	n := 0
	for _, s := range m.segments[:m.usedSegments] {
		n += len(s.leaves)
	}
	return n
}

// release forgets the message.
func (m *outMemory) release() {
	for _, g := range m.groups[:m.usedGroups] {
		clear(g.items)
		*g = outGroup{items: g.items[:0], counts: g.counts[:0], memory: m}
	}
	for _, s := range m.segments[:m.usedSegments] {
		clear(s.leaves)
		clear(s.by)
		clear(s.slots)
		clear(s.wants)
		clear(s.lost)
		*s = outSegment{leaves: s.leaves[:0], by: s.by[:0], slots: s.slots[:0], wants: s.wants[:0], lost: s.lost[:0]}
	}
	m.usedGroups, m.usedSegments = 0, 0
}

type outItem struct {
	member  int
	segment *outSegment
	group   *outGroup
}

// outSegment is one segment that is written. A leaf's rep is the number of a slot until the end.
type outSegment struct {
	id     string
	ord    int64
	leaves []leaf
	by     []writer // of the leaves
	slots  []slot
	lost   []taken       // what stood in cells that another element took
	full   int16         // a field of which more repetitions are wanted than mostNumbered, 0: none
	wants  []*v2Selector // of its anchor and paths: the first alternative is written where none holds
}

// writer is who wrote a leaf, and from which element.
type writer struct {
	rule *op
	node *node
}

// taken is a text of an element whose cell another element took.
type taken struct {
	node *node
	text string
}

// slot is one repetition of a field that is written.
type slot struct {
	field int16
	key   string // the selector or number that it was made for
	order int64
	sel   *v2Selector
}

func (g *outGroup) segment(id string, ord int64) *outSegment {
	s := g.memory.segment(id, ord)
	g.items = append(g.items, outItem{member: g.def.direct(id), segment: s})
	return s
}

// segments appends those of a name directly in the group, in the order in which they were made.
func (g *outGroup) segments(id string, list []*outSegment) []*outSegment {
	for _, it := range g.items {
		if it.segment != nil && it.segment.id == id {
			list = append(list, it.segment)
		}
	}
	return list
}

// child opens an occurrence of a group below, or gives the one that is there where the group doesn't repeat or reuse
// says so.
func (g *outGroup) child(def *groupDef, ord int64, reuse bool) *outGroup {
	if reuse || !def.repeats {
		for _, it := range g.items {
			if it.group != nil && it.group.def == def {
				return it.group
			}
		}
	}
	child := g.memory.group(def, g, ord)
	g.items = append(g.items, outItem{member: def.index, group: child})
	return child
}

// reach opens the groups from g down to holder; the innermost one anew, unless reuse says otherwise.
func (g *outGroup) reach(holder *groupDef, ord int64, reuse bool) *outGroup {
	if g.def == holder {
		return g
	}
	if holder.parent != g.def {
		g = g.reach(holder.parent, ord, true)
	}
	return g.child(holder, ord, reuse)
}

// slotFor gives the repetition that a path writes: that of its selector, its number, or a new one for (*).
func (s *outSegment) slotFor(field int16, p pick, sel *v2Selector, order int64) int16 {
	key, fresh := "#1", p.many()
	switch {
	case fresh:
		key = each
	case sel != nil:
		key = sel.source
	case p.kind == pickIndex:
		key = indexKey(p.index)
	}
	first, count := int16(0), 0
	for i := range s.slots {
		if s.slots[i].field != field {
			continue
		}
		count++
		if first == 0 {
			first = int16(i + 1)
		}
		if !fresh && (s.slots[i].key == key || s.slots[i].key == each && key == firstKeys[1]) {
			return int16(i + 1)
		}
	}
	if first > 0 && !fresh && p.kind == pickFirst {
		// A path without an index means the first repetition, whoever made it; a selector takes one that nobody claimed.
		if sel == nil {
			return first
		}
		if old := &s.slots[first-1]; old.sel == nil && old.key == "#1" {
			old.key, old.sel = key, sel
			return first
		}
	}
	if count >= mostNumbered || len(s.slots) == math.MaxInt16 {
		s.full = field
		return max(first, 1) // the message parks
	}
	s.slots = append(s.slots, slot{field: field, key: key, order: order, sel: sel})
	return int16(len(s.slots))
}

func (s *outSegment) write(field, slot, comp, sub int16, text string, rule *op, from *node) {
	for i := range s.leaves {
		l := &s.leaves[i]
		if l.field == field && l.rep == slot && l.comp == comp && l.sub == sub {
			if old := s.by[i].node; old != nil && from != nil && old != from && l.text != text {
				s.lost = append(s.lost, taken{old, l.text})
			}
			l.text, s.by[i] = text, writer{rule, from}
			return
		}
	}
	s.leaves = append(s.leaves, leaf{field: field, rep: slot, comp: comp, sub: sub, text: text})
	s.by = append(s.by, writer{rule, from})
}

// set writes a constant.
func (s *outSegment) set(field, slot, comp, sub int16, text string) {
	s.write(field, slot, comp, sub, text, nil, nil)
}

func (s *outSegment) get(field, slot, comp, sub int16) string {
	for i := range s.leaves {
		l := &s.leaves[i]
		if l.field == field && (slot == 0 || l.rep == slot) && l.comp == comp && l.sub == sub {
			return l.text
		}
	}
	return ""
}

// holds says whether any alternative of the selector holds for the segment, or for one repetition.
func (s *outSegment) holds(sel *v2Selector, field, slot int16) bool {
	for _, alt := range sel.alts {
		all := true
		for _, c := range alt {
			f := c.field
			if field > 0 {
				f = field
			}
			if s.get(f, slot, c.comp, c.sub) != c.value {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// settle writes what the selectors say, then numbers the repetitions.
func (s *outSegment) settle() {
	for _, sel := range s.wants {
		if len(sel.alts) == 0 || s.holds(sel, 0, 0) {
			continue
		}
		for _, c := range sel.alts[0] {
			s.set(c.field, s.slotFor(c.field, pick{}, nil, 0), c.comp, c.sub, c.value)
		}
	}
	for i := range s.slots {
		sl := &s.slots[i]
		if sel := sl.sel; sel != nil {
			if len(sel.alts) > 0 && !s.holds(sel, sl.field, int16(i+1)) {
				for _, c := range sel.alts[0] {
					s.set(sl.field, int16(i+1), c.comp, c.sub, c.value)
				}
			}
			for _, c := range sel.set {
				s.set(sl.field, int16(i+1), c.comp, c.sub, c.value)
			}
		}
	}
	s.number()
}

// number turns slots into repetitions, in their order.
func (s *outSegment) number() {
	var orderBuf [64]int
	order := orderBuf[:0]
	for i := range s.slots {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &s.slots[a], &s.slots[b]
		return cmp.Or(cmp.Compare(x.field, y.field), cmp.Compare(x.order, y.order))
	})
	var repBuf [64]int16
	rep := append(repBuf[:0], make([]int16, len(s.slots))...)
	for i, at := range order {
		rep[at] = 1
		if i > 0 && s.slots[order[i-1]].field == s.slots[at].field {
			rep[at] = rep[order[i-1]] + 1
		}
		if key := s.slots[at].key; len(key) > 1 && key[0] == '#' && s.slots[at].sel == nil {
			rep[at] = max(rep[at], int16(atoi(key[1:])))
		}
	}
	for i := range s.leaves {
		s.leaves[i].rep = rep[s.leaves[i].rep-1]
	}
}

// each is the key of what (*) and (rest) make: a path for the first may mean it, a selector doesn't.
const each = "*"

// indexKey is the key of what is made for a number.
func indexKey(n int) string {
	if n < len(firstKeys) {
		return firstKeys[n]
	}
	return "#" + itoa(n)
}

var firstKeys = [...]string{"#0", "#1", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9"}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func atoi(s string) int {
	n := 0
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

// sorted orders a group's contents as the structure has them.
func (g *outGroup) sorted() {
	slices.SortStableFunc(g.items, func(x, y outItem) int {
		return cmp.Or(cmp.Compare(x.member, y.member), cmp.Compare(x.ord(), y.ord()))
	})
	for _, it := range g.items {
		if it.group != nil {
			it.group.sorted()
		}
	}
}

func (it *outItem) ord() int64 {
	if it.group != nil {
		return it.group.ord
	}
	return it.segment.ord
}

func (g *outGroup) empty() bool {
	for _, it := range g.items {
		if it.segment != nil || !it.group.empty() {
			return false
		}
	}
	return true
}

// complete adds the segments that a group can't be without and that say nothing but their number, such as RGS.
func (g *outGroup) complete(dict *hl7v2.Dict) {
	for _, it := range g.items {
		if it.group != nil {
			it.group.complete(dict)
		}
	}
	if g.empty() || g.parent == nil || g.ord < 0 { // a group of orphans lacks its first segment on purpose
		return
	}
	for i, m := range g.def.members {
		var buf [4]*outSegment
		if m.segment == "" || !m.required || len(g.segments(m.segment, buf[:0])) > 0 {
			continue
		}
		if def := dict.Segment(m.segment); def != nil && def.Field(1) != nil && def.Field(1).Type == "SI" {
			g.items = append(g.items, outItem{member: i, segment: g.memory.segment(m.segment, 0)})
		}
	}
}

// write appends the group's segments to the builder, numbering the counters: 1, 2, … among the segments of that name in
// the group that repeats them.
func (g *outGroup) write(b *hl7v2.Builder, dict *hl7v2.Dict) {
	g.counts = g.counts[:0]
	for _, it := range g.items {
		if it.group != nil {
			it.group.write(b, dict)
			continue
		}
		s := b.Append(it.segment.id)
		s.Grow(len(it.segment.leaves) + 1)
		if def := dict.Segment(it.segment.id); def != nil && def.Field(1) != nil && def.Field(1).Type == "SI" {
			home := g
			if m := it.member; m >= 0 && !g.def.members[m].repeats && g.def.repeats && g.parent != nil {
				home = g.parent
			}
			s.SetText(1, 1, 1, 1, itoa(home.number(it.segment.id)))
		}
		for i := range it.segment.leaves {
			l := &it.segment.leaves[i]
			s.SetText(int(l.field), int(l.rep), int(l.comp), int(l.sub), l.text)
		}
	}
}

// number gives the next number of a segment of that name.
func (g *outGroup) number(id string) int {
	for i := range g.counts {
		if c := &g.counts[i]; c.id == id {
			c.n++
			return c.n
		}
	}
	g.counts = append(g.counts, counted{id, 1})
	return 1
}

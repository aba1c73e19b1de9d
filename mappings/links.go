package mappings

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func (c *compiler) constant(u *unit, def constDef) {
	if !c.active(u, def.since, def.until) {
		return
	}
	k := &constant{value: u.constant(def.value), rule: &op{id: "const", at: def.at}}
	if def.fhir.set() {
		if k.fhir = c.fhirPath(u, def.fhir, nil); k.fhir == nil || k.fhir.frame == nil {
			return
		}
		c.code(u, k.fhir, k.value, def.value.at)
		c.contradicts(u, k, def)
		c.fill(k.fhir)
	} else {
		if k.v2 = c.v2Path(u, def.v2, c.constFrame(def.v2), nil, false, false); k.v2 == nil {
			return
		}
	}
	c.p.consts = append(c.p.consts, k)
}

// constFrame is the frame in whose scope a v2 constant stands: the message.
func (c *compiler) constFrame(text) *frame {
	return &frame{name: "message", message: true, scope: c.p.root, holder: c.p.root, from: "message"}
}

// contradicts reports a constant beside a selector that wants another value in the same place.
func (c *compiler) contradicts(u *unit, k *constant, def constDef) {
	for i := range k.fhir.steps {
		sel := k.fhir.steps[i].sel
		if sel == nil || i+1 >= len(k.fhir.steps) || len(sel.alts) == 0 {
			continue
		}
		for _, cond := range sel.alts[0] {
			if i+2 == len(k.fhir.steps) && len(cond.path) == 1 && cond.path[0] == k.fhir.steps[i+1].name && cond.value != k.value {
				u.r.add(CodeContradiction, def.at, "The selector of this path wants another value here.")
			}
		}
	}
}

// table compiles a table and checks its rows.
func (c *compiler) table(u *unit, def tableDef) {
	t := &table{id: def.id.s, at: def.at}
	context := map[string]bool{}
	for _, x := range def.context {
		context[x.s] = true
	}
	for _, x := range def.fhir {
		ref := c.fhirPath(u, x, nil)
		if ref == nil || ref.frame == nil {
			return
		}
		t.fhir, t.fhirCtx = append(t.fhir, ref), append(t.fhirCtx, context[x.s])
		if !context[x.s] {
			c.fill(ref)
		}
	}
	f := c.constFrame(text{})
	for _, ref := range t.fhir {
		if !ref.frame.message {
			f = ref.frame
		}
	}
	for _, x := range def.v2 {
		ref := c.v2Path(u, x, f, nil, false, false)
		if ref == nil {
			return
		}
		t.v2, t.v2Ctx = append(t.v2, ref), append(t.v2Ctx, context[x.s])
	}
	for _, row := range def.rows {
		t.rows = append(t.rows, c.row(u, t, row))
	}
	c.checkRows(u, t, def)
	c.p.tables = append(c.p.tables, t)
}

func (c *compiler) row(u *unit, t *table, def rowDef) tableRow {
	r := tableRow{forward: def.dir.s != "<-", backward: def.dir.s != "->", rule: &op{id: t.id, at: def.at, lensName: "table", row: len(t.rows) + 1}}
	for _, x := range def.v2 {
		r.v2 = append(r.v2, u.constant(x))
	}
	for i, x := range def.fhir {
		value := u.constant(x)
		r.fhir = append(r.fhir, value)
		if value != "*" && value != "-" {
			c.code(u, t.fhir[i], value, x.at)
		}
	}
	return r
}

// checkRows finds rows that are never reached, and rows that the way back can't tell apart.
func (c *compiler) checkRows(u *unit, t *table, def tableDef) {
	for i, row := range t.rows {
		for j, earlier := range t.rows[:i] {
			if row.forward && earlier.forward && covers(earlier.v2, row.v2) && !row.backward {
				u.r.add(CodeTableCovered, def.rows[i].at, "Row %d covers this one, so it is never reached.", j+1)
				break
			}
			if row.backward && earlier.backward && covers(earlier.fhir, row.fhir) {
				if covers(row.fhir, earlier.fhir) {
					u.r.add(CodeTableInverse, def.rows[i].at, "This row has the same targets as row %d; mark one of them with dir: \"->\".", j+1)
				} else {
					u.r.add(CodeTableCovered, def.rows[i].at, "On the way back row %d covers this one, so it is never reached.", j+1)
				}
				break
			}
		}
	}
}

// covers says whether everything that b fits, a fits too.
func covers(a, b []string) bool {
	for i := range a {
		if a[i] != "*" && a[i] != b[i] {
			return false
		}
	}
	return true
}

// linkDef compiles a link in both directions: what is written forward, and the ways by which the way back finds frames.
func (c *compiler) linkDef(u *unit, def linkDef) {
	var to []*frame
	for _, t := range def.to {
		f := c.frames[t.s]
		if f == nil {
			if !c.inactive(t.s) {
				u.r.add(CodeLink, t.at, "There is no frame %q%s.", t.s, meant(t.s, keys(c.frames)))
			}
			continue
		}
		to = append(to, f)
	}
	for i, t := range append(append([]text(nil), def.paths...), def.or...) {
		ref := c.fhirPath(u, t, nil)
		if ref == nil || ref.frame == nil || len(to) == 0 {
			continue
		}
		for _, f := range to {
			c.mayPoint(u, ref, f)
		}
		or := i >= len(def.paths)
		l := &link{ref: ref, frame: ref.frame, to: to, forward: def.dir.s != "<-" && !or && !ref.origin, rule: &op{id: "link", at: def.at}}
		c.p.links = append(c.p.links, l)
		if l.forward {
			c.fill(ref)
			for _, f := range to {
				if !anyList(ref) && severalFor(ref.frame, f) {
					u.r.warn(CodeLinkToMany, t.at, "%s holds one reference, and a message may have several %s for it: the first is linked.", t.s, f.name)
				}
			}
		}
		if def.dir.s == "->" {
			continue
		}
		for _, f := range to {
			w := way{from: ref.frame, ref: ref, origin: ref.origin, or: or, stub: def.stub}
			if def.find.s == "backward" {
				ref.frame.ways = append(ref.frame.ways, way{from: f, ref: ref, backward: true, or: or})
				continue
			}
			f.ways = append(f.ways, w)
		}
	}
}

// severalFor says whether an instance of a frame may have several of another in the nearest scope.
func severalFor(from, to *frame) bool {
	if !to.each || to.anchor == from.anchor && to.field == 0 || from.parent == to {
		return false
	}
	for g := from.holder; g != nil; g = g.parent {
		if g == to.scope {
			return false // it stands in one of them
		}
	}
	return true
}

// ignores compiles what counts as covered without a rule.
func (c *compiler) ignores() { c.ignore(c.main) }

func (c *compiler) ignore(u *unit) {
	for _, def := range u.doc.ignored {
		c.reason(u, def)
		if def.fhir {
			ref := c.fhirPath(u, def.path, nil)
			if ref == nil {
				continue
			}
			if ref.elem != nil && ref.elem.Modifier && len(ref.steps) == 1 {
				u.r.add(CodeModifier, def.path.at, "%s changes what the rest means, so it may not be ignored.", def.path.s)
			}
			c.p.ignored = append(c.p.ignored, ignored{fhir: ref})
			continue
		}
		if c.dict == nil {
			continue // a path of a dialect that is FHIR
		}
		if x, ok := c.fields(u, def); ok {
			c.p.ignored = append(c.p.ignored, x)
			if ids := c.readers(x); u == c.main && len(ids) > 0 {
				u.r.add(CodeIgnoredRead, def.path.at, "What stands here goes to the receiver all the same: it is read by %s. Take that out first, or name here only what no rule reads.", strings.Join(ids, ", "))
			}
		}
	}
}

// readers are the rules that carry what stands in an ignored place, whenever something does. There are none where the rules
// of another frame read the segment without that place: ignoring is then about those.
func (c *compiler) readers(x ignored) (ids []string) {
	whole := map[string]bool{} // by what a frame comes from: whether its rules read the place
	var read func(ops []*op, from string)
	read = func(ops []*op, from string) {
		for _, o := range ops {
			if o.frame != nil {
				from = o.frame.from
			}
			read(o.kids, from)
			if o.kind != opLens || !o.forward || o.whenV2 != nil {
				continue
			}
			for _, ref := range o.v2 {
				if ref.segment != x.segment {
					continue
				}
				met := x.meets(ref) && (x.comp < 2 || ref.comp > 0 || !o.leavesOnly())
				if whole[from] = whole[from] || met; met && !slices.Contains(ids, o.id) {
					ids = append(ids, o.id)
				}
			}
		}
	}
	read(c.p.ops, "")
	for _, reads := range whole {
		if !reads {
			return nil
		}
	}
	return ids
}

// leavesOnly says whether a rule takes the first component alone of a field that it names as a whole.
func (o *op) leavesOnly() bool {
	return o.code != nil || o.prefix != "" || o.lens.leaves || len(o.v2) > 1
}

// meets says whether a path leads to an ignored or dropped place, or to what it stands in.
func (x *ignored) meets(ref *v2Ref) bool {
	return ref.segment == x.segment && (x.from == 0 || ref.field == 0 || ref.field >= x.from && ref.field <= x.to) && (x.comp == 0 || ref.comp == 0 || ref.comp == x.comp)
}

// drops compiles what of a message is given up: no rule may read it, and the residue doesn't keep it.
func (c *compiler) drops() {
	for _, def := range c.main.doc.dropped {
		c.reason(c.main, def)
		x, ok := c.fields(c.main, def)
		if !ok {
			continue
		}
		for _, ref := range c.v2refs {
			if x.meets(ref) {
				c.main.r.add(CodeDropped, def.path.at, "A rule reads %s here, so it isn't dropped. Take the rule out first.", ref.path.source)
				break
			}
		}
		c.p.dropped = append(c.p.dropped, x)
	}
}

func (c *compiler) reason(u *unit, def ignoreDef) {
	if !def.why.set() || strings.TrimSpace(def.why.s) == "" {
		u.r.add(CodeType, def.path.at, "An ignored or dropped path needs its reason.")
	}
}

// fields reads EVN, PID-2, it-2, MSH-15..16 or OBX-3.2.
func (c *compiler) fields(u *unit, def ignoreDef) (x ignored, ok bool) {
	s, last := def.path.s, 0
	if from, to, ok := strings.Cut(s, ".."); ok {
		n, err := strconv.Atoi(to)
		if err != nil {
			u.r.add(CodePath, def.path.at, "A range of fields is written MSH-15..16.")
			return x, false
		}
		s, last = from, n
	}
	p, err := parseV2Path(s)
	if err != nil || p.it && u.it == nil {
		u.r.add(CodePath, def.path.at, "This isn't a v2 path; one looks like PID-2, EVN or MSH-15..16.")
		return x, false
	}
	if p.it {
		p.segment = u.it.anchor
	}
	if c.dict.Segment(p.segment) == nil && !c.elsewhereSegment(p.segment) {
		u.r.add(CodeSegment, def.path.at, "HL7 v%s has no segment %s%s.", c.dict.Version(), p.segment, meant(p.segment, c.dict.Segments()))
		return x, false
	}
	return ignored{segment: p.segment, from: int16(p.field), to: int16(max(last, p.field)), comp: int16(p.comp)}, true
}

func (c *compiler) elsewhereSegment(id string) bool {
	if c.zsegment(id) >= 0 {
		return true
	}
	for _, v := range c.versions {
		if d, err := hl7v2.Dictionary(v); err == nil && d.Segment(id) != nil {
			return true
		}
	}
	return false
}

// plan orders the frames so that each is found from one that was found before.
func (c *compiler) plan() {
	for _, f := range c.p.frames {
		if f.by != nil {
			if f.byChild {
				f.ways = append([]way{{from: f.parent, ref: f.by, backward: true}}, f.ways...)
			} else {
				f.ways = append([]way{{from: f.parent, ref: f.by}}, f.ways...)
			}
		}
		if f.orphans != nil {
			f.ways = append(f.ways, way{from: f.orphans.frame, ref: f.orphans})
		}
	}
	for _, f := range c.p.frames {
		f.contested = f.pointsBack() && slices.ContainsFunc(c.p.frames, func(other *frame) bool {
			return other != f && other.typ == f.typ && other.pointsBack()
		})
	}
	// What points back is looked for last: it takes only resources that no other frame has.
	found := map[*frame]bool{c.p.bundle: true}
	for more, backward := true, false; more || !backward; {
		if !more {
			backward = true
		}
		more = false
		for _, f := range c.p.frames {
			if backward && !c.marked(f) && c.anyMarked(found, backward) {
				continue // those with constants first: they say which resources are theirs
			}
			if !found[f] && c.reached(f, found, backward) {
				found[f], more = true, true
				c.p.plan = append(c.p.plan, f)
			}
		}
	}
	for _, f := range c.p.frames {
		if !found[f] {
			c.main.r.add(CodeUnreachable, f.at, "The way back can't find %s: no link and no `by` leads to it.", f.name)
		}
	}
	c.distinct()
}

// pointsBack says whether the way back finds the frame's resources by what they point at.
func (f *frame) pointsBack() bool {
	return slices.ContainsFunc(f.ways, func(w way) bool { return w.backward })
}

// marked says whether the map writes constants into the frame's resources.
func (c *compiler) marked(f *frame) bool {
	for _, k := range c.p.consts {
		if k.fhir != nil && k.fhir.frame == f {
			return true
		}
	}
	return false
}

// anyMarked says whether a frame with constants can still be reached.
func (c *compiler) anyMarked(found map[*frame]bool, backward bool) bool {
	for _, f := range c.p.frames {
		if !found[f] && c.marked(f) && c.reached(f, found, backward) {
			return true
		}
	}
	return false
}

func (c *compiler) reached(f *frame, found map[*frame]bool, backward bool) bool {
	if f.typ == "MessageHeader" {
		return true
	}
	for _, w := range f.ways {
		if found[w.from] && !w.origin && (backward || !w.backward || w.ref == f.by) {
			return true
		}
	}
	return false
}

// distinct reports two frames of one type that one path finds.
func (c *compiler) distinct() {
	type key struct {
		typ, path string
		backward  bool
	}
	seen := map[key]*frame{}
	for _, f := range c.p.frames {
		for _, w := range f.ways {
			k := key{f.typ, w.ref.path.source, w.backward}
			if other := seen[k]; other != nil && other != f {
				c.main.r.add(CodeIndistinct, f.at, "The way back finds both %s and %s at %s; give one a selector.", other.name, f.name, w.ref.path.source)
				continue
			}
			seen[k] = f
		}
	}
}

// required reports required elements of the frames that nothing writes.
func (c *compiler) required() {
	for _, f := range c.p.frames {
		if f.by != nil {
			c.filled[f.by.frame.name+"."+f.by.steps[0].name] = true
		}
	}
	for _, f := range c.p.frames {
		for i := range f.defs.Elements {
			e := &f.defs.Elements[i]
			if e.Min == 0 || c.filled[f.name+"."+e.Name] {
				continue
			}
			written := false
			for _, typ := range e.Types {
				written = written || c.filled[f.name+"."+e.JSON(typ)]
			}
			if !written {
				c.main.r.add(CodeRequired, f.at, "%s needs %s, and nothing writes it.", f.typ, e.Name)
			}
		}
	}
}

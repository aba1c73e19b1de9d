package fhir

import (
	"slices"
	"strings"
	"sync"
)

// slicing says how the items of an element are told apart.
// Source: HL7 FHIR R4, profiling.html#slicing and #discriminator.
type slicing struct {
	discriminators []discriminator
	closed         bool // rules closed: every item is in a slice
	openAtEnd      bool // items in no slice come last
	ordered        bool // slices come in their order
	unread         bool // a discriminator can't be followed, so no slice can be told

	once  sync.Once
	found [][]mark
}

// discriminator is how one part of an item tells its slice.
type discriminator struct {
	kind string // value, pattern, exists, type, profile
	path []pathStep
}

// pathStep is one step of the FHIRPath that discriminators may use.
type pathStep struct {
	name string // element name; empty for resolve()
	url  string // extension('url')
	typ  string // ofType(Type)
}

// mark is what one discriminator must find in the items of one slice.
type mark struct {
	rule   *rule         // of kind value and pattern: what stands at the path
	exists bool          // of kind exists: whether anything does
	types  []string      // of kind type: which types it may have
	refs   []*profileRef // of kind profile: of which it has one
}

func (c *compiler) slicing(r *rule, n Node) *slicing {
	s := &slicing{closed: n.Get("rules").Is("closed"), openAtEnd: n.Get("rules").Is("openAtEnd")}
	s.ordered, _ = n.Get("ordered").Bool()
	for d := range n.Get("discriminator").Each() {
		path, ok := discriminatorPath(d.Get("path").Text())
		if !ok {
			c.fault(d, CodeDefinition, "This discriminator's path can't be followed: element names, $this, extension('url'), ofType(Type) and resolve() can.")
			s.unread = true
			continue
		}
		if name := missingStep(c.valueType(r), path); name != "" {
			c.fault(d, CodeDefinition, "The discriminator's path names no element of what is sliced: %s.", name)
			s.unread = true
			continue
		}
		s.discriminators = append(s.discriminators, discriminator{clone(d.Get("type")), path})
	}
	return s
}

// valueType is the type of an element's values, nil where that is left open.
func (c *compiler) valueType(r *rule) *Type {
	if r.name == "" || r.element.Choice {
		return nil
	}
	return c.typeOf(r, "")
}

// missingStep is the first name of a path that its type doesn't have; what a type leaves open isn't looked into.
func missingStep(t *Type, path []pathStep) string {
	for _, step := range path {
		if t == nil || step.name == "" || t.Kind == Resource && t.Abstract {
			return ""
		}
		e, next := t.Member(step.name)
		if e == nil {
			return step.name
		}
		t = next
	}
	return ""
}

func discriminatorPath(text string) (path []pathStep, ok bool) {
	for text != "" {
		var step string
		step, text = cutStep(text)
		argument, call := "", false
		if open := strings.IndexByte(step, '('); open > 0 && strings.HasSuffix(step, ")") {
			argument, call = strings.Trim(step[open+1:len(step)-1], "'"), true
			step = step[:open]
		}
		switch {
		case step == "$this" && !call:
		case step == "extension" && call:
			path = append(path, pathStep{name: "extension", url: strings.Clone(argument)})
		case step == "ofType" && call:
			path = append(path, pathStep{typ: strings.Clone(argument)})
		case step == "resolve" && call:
			path = append(path, pathStep{})
		case isName(step) && !call:
			path = append(path, pathStep{name: strings.Clone(step)})
		default:
			return nil, false
		}
	}
	return path, true
}

// cutStep cuts at the first dot that stands outside quotes.
func cutStep(s string) (step, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == '.' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// marks are what each slice of the rule shows, by discriminator; nil for a slice that can't be told from the others.
// They are worked out when they are first needed, since they may stand in other profiles.
func (r *rule) marks(p *Profiles) [][]mark {
	s := r.slicing
	s.once.Do(func() {
		s.found = make([][]mark, len(r.slices))
		for i, slice := range r.slices {
			marks := make([]mark, 0, len(s.discriminators))
			for _, d := range s.discriminators {
				if m, ok := slice.mark(p, d); ok {
					marks = append(marks, m)
				}
			}
			if len(marks) == len(s.discriminators) && len(marks) > 0 && !s.unread {
				s.found[i] = marks
			}
		}
	})
	return s.found
}

// mark is what the items of a slice show to a discriminator.
func (r *rule) mark(p *Profiles, d discriminator) (m mark, ok bool) {
	if d.kind == "value" || d.kind == "pattern" {
		at := r.telling(p, d.path)
		return mark{rule: at}, at != nil
	}
	at, refs := r.follow(p, d.path)
	switch d.kind {
	case "exists":
		return mark{exists: at != nil && at.min > 0}, at != nil && (at.min > 0 || at.max == 0)
	case "type":
		if refs != nil {
			return mark{types: targetTypes(p, refs)}, true
		}
		if at == nil {
			return mark{}, false
		}
		for _, t := range at.types {
			m.types = append(m.types, t.code)
		}
		return m, len(m.types) > 0
	case "profile":
		if refs == nil && at != nil {
			for _, t := range at.types {
				refs = append(refs, t.profiles...)
			}
		}
		known := func(ref *profileRef) bool { return ref.baseType() != nil || ref.profile(p) != nil }
		return mark{refs: refs}, len(refs) > 0 && !slices.ContainsFunc(refs, func(ref *profileRef) bool { return !known(ref) })
	}
	return mark{}, false
}

// tells says whether the rule fixes something by which a value can be known.
func (r *rule) tells() bool {
	if r.fixed.Exists() || r.pattern.Exists() || r.set != nil {
		return true
	}
	for _, c := range r.children {
		if c.tells() {
			return true
		}
	}
	return false
}

// telling is the rule at a path that fixes something. Where a part on the way is itself sliced, what a slice fixes that
// must be there will do: one of the part's items has it.
func (r *rule) telling(p *Profiles, path []pathStep) *rule {
	if at, _ := r.follow(p, path); at != nil && at.tells() {
		return at
	}
	for i := range path {
		part, _ := r.follow(p, path[:i+1])
		if part == nil {
			return nil
		}
		for _, s := range part.slices {
			if s.min == 0 {
				continue
			}
			if at := s.telling(p, path[i+1:]); at != nil {
				return at
			}
		}
	}
	return nil
}

// follow gives the rule at a path below r; behind resolve() the profiles of what is referred to. Where a fixed value or
// a pattern stands on the way, the rule is what it says at the end.
func (r *rule) follow(p *Profiles, path []pathStep) (*rule, []*profileRef) {
	for i, step := range path {
		if whole := r.constant(); whole.Exists() {
			return constantAt(whole, path[i:]), nil
		}
		switch {
		case step.typ != "":
			r = r.ofType(step.typ)
		case step.name == "":
			var refs []*profileRef
			for _, t := range r.types {
				refs = append(refs, t.targets...)
			}
			return nil, refs
		default:
			r = r.step(p, step)
		}
		if r == nil {
			return nil, nil
		}
	}
	return r, nil
}

func (r *rule) constant() Node {
	if r.fixed.Exists() {
		return r.fixed
	}
	return r.pattern
}

func constantAt(n Node, path []pathStep) *rule {
	for _, step := range path {
		n = n.Get(step.name).At(0)
	}
	if !n.Exists() {
		return nil
	}
	return &rule{pattern: n}
}

func (r *rule) ofType(typ string) *rule {
	for _, s := range r.slices {
		if len(s.types) == 1 && s.types[0].code == typ {
			return s
		}
	}
	if len(r.types) == 1 && r.types[0].code == typ {
		return r
	}
	return nil
}

// step gives the rule of a part: the element's own, else that of the one profile which it must have.
func (r *rule) step(p *Profiles, step pathStep) *rule {
	child := r.child(step.name)
	if child == nil && len(r.types) == 1 && len(r.types[0].profiles) == 1 {
		ref := r.types[0].profiles[0]
		if c := ref.profile(p); c != nil {
			child = c.root.child(step.name)
		} else if r.types[0].code == "Extension" && step.name == "url" {
			t := &Tree{}
			t.Reset("").Put(String(ref.url))
			child = &rule{fixed: t.Root()}
		}
	}
	if child == nil || step.url == "" {
		return child
	}
	for _, s := range child.slices {
		if url := s.step(p, pathStep{name: "url"}); url != nil && url.fixed.Is(step.url) {
			return s
		}
	}
	return nil
}

// targetTypes are the types of resources that have one of the profiles.
func targetTypes(p *Profiles, refs []*profileRef) (types []string) {
	for _, ref := range refs {
		if t := ref.baseType(); t != nil {
			types = append(types, t.Name)
		} else if c := ref.profile(p); c != nil && c.typ != nil {
			types = append(types, c.typ.Name)
		}
	}
	return types
}

// showsAt says whether something at a path below a value of the instance shows the mark.
func (v *validator) showsAt(n Node, path []pathStep, kind string, m *mark) bool {
	if !n.Exists() {
		return false
	}
	if len(path) == 0 {
		switch kind {
		case "value", "pattern":
			return v.fits(n, m.rule)
		case "type":
			return slices.Contains(m.types, v.nodeType(n))
		case "profile":
			return v.conformsToOne(n, m.refs)
		}
		return true
	}
	step, rest := path[0], path[1:]
	switch {
	case step.typ != "": // the choice before has picked by name
		return v.nodeType(n) == step.typ && v.showsAt(n, rest, kind, m)
	case step.name == "":
		return v.showsAt(v.bundle.Resolve(n), rest, kind, m)
	}
	part := memberOrChoice(n, step.name)
	for item := part.At(0); item.Exists(); item = item.nextOf(part) {
		if (step.url == "" || item.Get("url").Is(step.url)) && v.showsAt(item, rest, kind, m) {
			return true
		}
	}
	return false
}

// nextOf is the item of a list after n; absent where the list is one value.
func (n Node) nextOf(list Node) Node {
	if list.Kind() != KindArray {
		return Node{}
	}
	return n.Next()
}

func memberOrChoice(n Node, name string) Node {
	if m := n.Get(name); m.Exists() {
		return m
	}
	return choiceMember(n, name)
}

// choiceMember is the member of a choice element by its name without a type: valueCoding for value.
func choiceMember(n Node, name string) Node {
	for c := n.First(); c.Exists(); c = c.Next() {
		if rest, ok := strings.CutPrefix(c.Name(), name); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
			return c
		}
	}
	return Node{}
}

// nodeType is the name of a value's type.
func (v *validator) nodeType(n Node) string {
	if rt := n.Type(); rt != "" {
		return rt
	}
	if t := typeOf(n); t != nil {
		return t.Name
	}
	return ""
}

// inSlice says whether an item shows all marks of a slice.
func (v *validator) inSlice(it item, s *slicing, marks []mark) bool {
	for i := range marks {
		if !v.shows(it, s.discriminators[i], &marks[i]) {
			return false
		}
	}
	return marks != nil
}

func (v *validator) shows(it item, d discriminator, m *mark) bool {
	if d.kind == "type" && len(d.path) == 0 && it.typ != nil && it.typ.Kind != Resource {
		return slices.Contains(m.types, it.typ.Name)
	}
	return v.showsAt(it.node(), d.path, d.kind, m) == (d.kind != "exists" || m.exists)
}

// fits says whether a value has what a rule fixes, in it and in its parts.
func (v *validator) fits(n Node, r *rule) bool {
	switch {
	case r.fixed.Exists():
		return equal(n, r.fixed)
	case r.pattern.Exists():
		return holds(n, r.pattern)
	case r.set != nil && !inSet(n, r.set):
		return false
	}
	for _, c := range r.children {
		if !c.tells() {
			continue
		}
		part, found := memberOrChoice(n, strings.TrimSuffix(c.name, "[x]")), false
		for item := part.At(0); item.Exists() && !found; item = item.nextOf(part) {
			found = v.fits(item, c)
		}
		if !found {
			return false
		}
	}
	return true
}

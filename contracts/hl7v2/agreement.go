package hl7v2

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoitosilta/silta/contracts"
)

// Agreement is what a partner's contract says of its messages beyond the standard, compiled: the fields of its own
// segments, and rules for places. The zero Agreement and a nil one demand nothing.
type Agreement struct {
	dict     *Dict // of the version that the contract names: the data types of its segments
	segments map[string][]contracts.SegmentField
	rules    []rule
}

// rule is a contract's rule with its place. A rule for a whole segment has a Path without a field.
type rule struct {
	contracts.FieldRule
	at Path
}

// NewAgreement compiles a contract's segments and rules. The faults are of kind invalid, HL7-114, each with the name of
// its key in the contract as its place: rules[2].at.
func NewAgreement(p *contracts.Partner) (*Agreement, error) {
	d, err := Dictionary(NearestVersion(p.Dialect.Version))
	if err != nil {
		return nil, err
	}
	a := &Agreement{dict: d, segments: p.Segments}
	var faults contracts.Faults
	fault := func(at, text string) {
		faults = append(faults, contracts.Faultf(contracts.Invalid, CodeRule, at, "%s", text))
	}
	if v := p.Dialect.Version; v != "" && !strings.HasPrefix(v, "2.") {
		fault("dialect.version", "HL7 v2 has the versions 2.3 to 2.8.")
	}
	if v := p.Dialect.Version; p.Dialect.Truncation && v != "" && !VersionAtLeast(v, "2.7") {
		fault("dialect.truncation", "There is no truncation character before version 2.7.")
	}
	for i, r := range p.Rules {
		at, ok := rulePath(r.At)
		switch key := fmt.Sprintf("rules[%d].at", i); {
		case !ok:
			fault(key, "This isn't a place; one looks like PID-3, PV1-3.4, OBX-5, PID-3[5=NNFIN].1 or RF1.")
		case at.Field == 0 && (r.MaxLength > 0 || len(r.Codes) > 0):
			fault(key, "A whole segment has no length and no codes.")
		case !Exists(p, at):
			fault(key, "No version of HL7 has this place, and the contract describes no such segment.")
		}
		if r.For != strings.ToUpper(r.For) || r.For != "" && !strings.ContainsAny(r.For, "^*") && r.For != "ACK" {
			fault(fmt.Sprintf("rules[%d].for", i), "A message type is written REF^I12, or REF^* for all of a kind.")
		}
		a.rules = append(a.rules, rule{r, at})
	}
	for _, id := range slices.Sorted(maps.Keys(p.Segments)) {
		if !IsSegmentID(id) {
			fault("segments."+id, "A segment's name is a capital letter and two capitals or digits.")
		} else if inSomeVersion(func(d *Dict) bool { return d.Segment(id) != nil }) {
			fault("segments."+id, "HL7 itself defines this segment; rules say what a contract demands of it.")
		}
		for i, f := range p.Segments[id] {
			if d.Type(f.Type) == nil {
				fault(fmt.Sprintf("segments.%s[%d].type", id, i), "Version "+d.version+" has no such data type.")
			}
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return a, nil
}

// Exists says whether some version has the segment and field of a place, or a contract describes them. Segments of one's
// own that no contract describes have all fields.
func Exists(p *contracts.Partner, at Path) bool {
	if own, described := p.Segments[at.Segment]; described {
		return at.Field <= len(own)
	}
	return at.Segment[0] == 'Z' || inSomeVersion(func(d *Dict) bool {
		s := d.Segment(at.Segment)
		return s != nil && at.Field <= len(s.Fields)
	})
}

func inSomeVersion(has func(*Dict) bool) bool {
	return slices.ContainsFunc(dictionaryVersions, func(v string) bool {
		d, err := Dictionary(v)
		return err == nil && has(d)
	})
}

// ReadingOptions gives how a contract has its partner's messages read: the character set of what names none, of
// everything, or of what doesn't keep to its own, and the fields of text. The faults are of kind invalid, each with its
// key in the contract as its place.
func ReadingOptions(p *contracts.Partner) (opts []Option, err error) {
	var faults contracts.Faults
	charset := func(key, name string) *Charset {
		c, known := LookupCharset(name)
		if !known {
			faults = append(faults, contracts.Faultf(contracts.Invalid, CodeCharset, key, "No such character set is known, or it can't be carried in ER7; table 0211 has UNICODE UTF-8, 8859/1, 8859/15 …"))
		}
		return c
	}
	if name := p.Dialect.Charset; name != "" {
		c := charset("dialect.charset", name)
		opts = append(opts, WithDefaultCharset(c))
		if p.Dialect.CharsetAlways {
			opts = append(opts, WithCharset(c))
		}
	}
	if name := p.Dialect.CharsetFallback; name != "" {
		opts = append(opts, WithFallbackCharset(charset("dialect.charsetFallback", name)))
	}
	var texts []Path
	for i, text := range p.Dialect.Literal {
		at, err := CompilePath(text)
		if err != nil || at != (Path{Segment: at.Segment, Field: at.Field}) || at.Segment == "MSH" {
			faults = append(faults, contracts.Faultf(contracts.Invalid, CodeRule, fmt.Sprintf("dialect.literal[%d]", i), "A field of text is named by segment and field: OBX-5, NTE-3."))
		}
		texts = append(texts, at)
	}
	if len(texts) > 0 {
		opts = append(opts, WithLiteral(texts...))
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return opts, nil
}

// rulePath reads a place, which may be a whole segment.
func rulePath(text string) (Path, bool) {
	if IsSegmentID(text) {
		return Path{Segment: text}, true
	}
	p, err := CompilePath(text)
	return p, err == nil
}

// Check compares a message with the agreement. The faults are of kind invalid with a place and a code of table 0357
// each, in the order of the segments.
//
// A rule for a field holds in every segment of that name; one for a component in every repetition of the field that
// says something. So `PID-3 required` asks nothing of a message without PID, which `PID required` does. What is
// required must be filled: HL7's null isn't. What is forbidden must be empty, and the null isn't that either.
func (a *Agreement) Check(m *Message) contracts.Faults {
	if a == nil || a.dict == nil {
		return nil
	}
	c := checker{validator{m: m, d: a.dict, current: -1}}
	for _, r := range a.rules {
		if _, there := m.Find(Path{Segment: r.at.Segment}); r.applies(m) && r.at.Field == 0 && r.Usage == contracts.UsageRequired && !there {
			c.fault(CodeAgreement, "101", Path{Segment: r.at.Segment}, "The contract requires this segment.")
		}
	}
	for i, s := range m.Segments() {
		c.current = i
		for _, r := range a.rules {
			if s.Is(r.at.Segment) && r.applies(m) {
				c.rule(r, s)
			}
		}
		if fields, described := a.segments[string(s.rawID())]; described {
			c.segment(fields, s)
		}
		if c.full() {
			break
		}
	}
	if c.more != nil {
		c.faults = append(c.faults, c.more)
	}
	return c.faults
}

// applies says whether a rule is for this type of message.
func (r *rule) applies(m *Message) bool {
	switch stem, star := strings.CutSuffix(r.For, "*"); {
	case r.For == "" || r.For == "*":
		return true
	case star:
		return strings.HasPrefix(m.MessageType(), stem)
	}
	return r.For == m.MessageType()
}

// checker gathers what breaks an agreement.
type checker struct{ validator }

func (c *checker) rule(r rule, s Segment) {
	at := Path{Segment: r.at.Segment}
	if r.at.Field == 0 {
		if r.Usage == contracts.UsageForbidden {
			c.fault(CodeForbidden, "100", at, "The contract lets no such segment stand.")
		}
		return
	}
	if r.at.Index > 0 && r.at.Index != c.number() || r.at.SegmentBy.Set && !s.Field(r.at.SegmentBy.Field).where(&r.at.SegmentBy).there {
		return
	}
	at.Field = r.at.Field
	field := s.Field(at.Field)
	said := 0
	for n, rep := range field.All() {
		if r.at.Rep > 0 && n != r.at.Rep || r.at.RepBy.Set && !rep.matches(&r.at.RepBy) {
			continue
		}
		if !rep.saysSomething() {
			continue
		}
		said++
		at.Rep, at.Component, at.Sub = n, r.at.Component, r.at.Sub
		c.demand(r.FieldRule, rep.at(r.at.Component, r.at.Sub), at)
	}
	if said == 0 && r.Usage == contracts.UsageRequired {
		at.Rep, at.Component, at.Sub = 0, 0, 0
		c.fault(CodeAgreement, "101", at, "The contract requires this field%s.", r.which())
	}
}

// which tells that a rule means one repetition of the field.
func (r *rule) which() string {
	if r.at.RepBy.Set || r.at.Rep > 0 {
		return ", with the repetition that the rule names"
	}
	return ""
}

// demand compares one value with a rule.
func (c *checker) demand(r contracts.FieldRule, v Value, at Path) {
	switch state := v.State(); {
	case r.Usage == contracts.UsageRequired && !v.isFilledSomewhere():
		c.fault(CodeAgreement, "101", at, "The contract requires this.")
		return
	case r.Usage == contracts.UsageForbidden && v.saysSomething():
		c.fault(CodeForbidden, "207", at, "The contract lets nothing stand here.")
		return
	case state != Filled:
		return
	}
	if n := v.length(); r.MaxLength > 0 && n > r.MaxLength {
		c.fault(CodeTooLong, "102", at, "The contract lets this have %d characters, and it has %d.", r.MaxLength, n)
	}
	if len(r.Codes) > 0 && !slices.Contains(r.Codes, v.Text()) {
		c.fault(CodeAgreedCode, "103", at, "This isn't one of the values that the contract lists.")
	}
}

// segment compares a segment of the partner's own with its description.
func (c *checker) segment(fields []contracts.SegmentField, s Segment) {
	at := Path{Segment: s.ID()}
	for i, f := range fields {
		at.Field, at.Rep, at.Component, at.Sub = i+1, 0, 0, 0
		v := s.Field(at.Field)
		switch {
		case f.Usage == contracts.UsageRequired && !v.isFilledSomewhere():
			c.fault(CodeAgreement, "101", at, "The contract requires this field.")
		case f.Usage == contracts.UsageForbidden && v.saysSomething():
			c.fault(CodeForbidden, "207", at, "The contract lets nothing stand here.")
			continue
		}
		if most := max(f.Max, 1); f.Max >= 0 && v.Len() > most {
			c.fault(CodeRepeats, "102", at, "This field may have %d repetitions and has %d.", most, v.Len())
		}
		for n, rep := range v.All() {
			at.Rep = n
			c.value(rep, f.Type, "", at)
			c.demand(contracts.FieldRule{MaxLength: f.MaxLength, Codes: f.Codes}, rep, at)
		}
	}
	for n := len(fields) + 1; n <= s.NumFields(); n++ {
		at.Field, at.Rep = n, 0
		if s.Field(n).saysSomething() {
			c.warn(CodeUndefinedField, "102", at, "The contract doesn't describe this field of %s.", at.Segment)
		}
	}
}

// at gives a component, or a subcomponent of it; the value itself for component 0.
func (v Value) at(component, sub int) Value {
	if component > 0 {
		v = v.At(component)
	}
	if component > 0 && sub > 0 {
		v = v.At(sub)
	}
	return v
}

// saysSomething says whether more than delimiters stands in the value, be it the null.
func (v Value) saysSomething() bool { return v.trimmedLen() > 0 }

// isFilledSomewhere says whether a leaf of the value holds text.
func (v Value) isFilledSomewhere() bool {
	if v.isAtom() {
		return v.IsFilled()
	}
	for _, part := range v.All() {
		if part.isFilledSomewhere() {
			return true
		}
	}
	return false
}

// length counts the characters of a leaf's text, or of the whole as it stands.
func (v Value) length() int {
	if v.IsLeaf() {
		return utf8.RuneCountInString(v.Text())
	}
	return utf8.RuneCountInString(v.ER7())
}

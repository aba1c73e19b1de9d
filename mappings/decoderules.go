package mappings

import (
	"strconv"
	"strings"
)

var ruleKeys = []string{"id", "v2", "dialect", "fhir", "as", "code", "system", "link", "rules", "first", "if", "set", "or", "also", "rep",
	"sep", "prefix", "absent", "value", "dir", "since", "until", "after", "when", "invalid", "except"}

// rules reads a list of rules, alternatives or nested rules.
func (d decoder) rules(v *value) []ruleDef {
	return d.ruleList(d.list(v, "rules"))
}

func (d decoder) ruleList(values []*value) []ruleDef {
	var list []ruleDef
	for _, rv := range values {
		if d.object(rv, "A rule", ruleKeys...) {
			list = append(list, d.rule(rv))
		}
	}
	return list
}

func (d decoder) rule(v *value) ruleDef {
	r := ruleDef{at: v.at, id: d.text(v.get("id"))}
	if !r.id.set() {
		d.add(CodeType, v.at, "A rule needs an id; lineage and faults name it.")
	}
	if id := v.get("id"); id != nil && id.yaml11 {
		d.warn(CodeQuote, id.at, "Quote this id: other YAML readers take it for a boolean or null.")
	}
	r.v2, r.fhir = d.texts(v.get(d.side)), d.texts(v.get("fhir"))
	r.as, r.code, r.system = d.text(v.get("as")), d.text(v.get("code")), d.text(v.get("system"))
	if system := v.member("system"); system != nil && d.side != "v2" {
		d.add(CodeDialect, system.at, "\"system\" has no part in a rule of a map whose dialect is FHIR; its code map says it.")
	}
	r.link, r.value, r.prefix, r.dir = d.text(v.get("link")), d.text(v.get("value")), d.text(v.get("prefix")), d.text(v.get("dir"))
	d.oneWay(v)
	r.rules, r.first = d.rules(v.get("rules")), d.rules(v.get("first"))
	r.since, r.until, r.rep, r.sep = d.text(v.get("since")), d.text(v.get("until")), d.text(v.get("rep")), d.text(v.get("sep"))
	if after := v.member("after"); after != nil {
		d.add(CodeOverlay, after.at, "`after` places a rule among those of the map that is extended; here the order of the file counts.")
	}
	r.hasSep = v.get("sep") != nil
	d.choice(r.dir, "->", "<-")
	d.choice(r.rep, "first", "last", "join", "same", "error")
	d.condition(&r, v.get("if"))
	if when := v.get("when"); d.object(when, "when", bothKeys...) {
		r.whenV2, r.whenFHIR = d.expression(when.get(d.side)), d.expression(when.get("fhir"))
	}
	d.set(&r, v.get("set"))
	r.except = d.texts(v.get("except"))
	if or := v.get("or"); d.object(or, "or", bothKeys...) {
		r.orV2, r.orFHIR = d.texts(or.get(d.side)), d.texts(or.get("fhir"))
	}
	if also := v.get("also"); d.object(also, "also", bothKeys...) {
		r.alsoV2, r.alsoFHIR = d.texts(also.get(d.side)), d.texts(also.get("fhir"))
	}
	if absent := v.get("absent"); d.object(absent, "absent", "fhir") {
		r.absent = d.text(absent.get("fhir"))
	}
	r.invalid = d.text(v.get("invalid"))
	d.choice(r.invalid, invalidError, invalidTask)
	return r
}

// set reads what is written beside a rule. Where both sides are FHIR a place doesn't say which it is of.
func (d decoder) set(r *ruleDef, v *value) {
	conds := func(t text) []text {
		var list []text
		for _, part := range strings.Split(t.s, ",") {
			list = append(list, text{strings.TrimSpace(part), t.at})
		}
		return list
	}
	switch {
	case v == nil:
	case d.side == "v2":
		if t := d.text(v); t.set() {
			r.set = conds(t)
		}
	case d.object(v, "set", bothKeys...):
		if t := d.text(v.get(d.side)); t.set() {
			r.set = conds(t)
		}
		if t := d.text(v.get("fhir")); t.set() {
			r.setFHIR = conds(t)
		}
	}
}

// oneWay refuses a lens beside what pairs the two sides without one.
func (d decoder) oneWay(v *value) {
	as := v.member("as")
	for _, name := range []string{"code", "value"} {
		other := v.member(name)
		if as == nil || other == nil {
			continue
		}
		place := as.at
		if place.file != "" { // an overlay put the other one to its base's lens
			place = other.at
		}
		d.add(CodeLens, place, "`as` has no part in a rule with `%s`: leave out one of them.", name)
	}
}

// expression is a text whose place is that of its first character, not of the quote.
func (d decoder) expression(v *value) text {
	t := d.text(v)
	if v != nil && v.quoted {
		t.at.col++
	}
	return t
}

func (d decoder) condition(r *ruleDef, v *value) {
	if v == nil {
		return
	}
	if v.kind == scalarValue {
		r.ifV2 = d.text(v)
		return
	}
	if d.object(v, "if", bothKeys...) {
		r.ifV2, r.ifFHIR = d.text(v.get(d.side)), d.text(v.get("fhir"))
	}
}

// parseSemver reads major.minor.patch; ok is false for anything else.
func parseSemver(s string) (v [3]int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || strconv.Itoa(n) != p {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func newer(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return false
}

// meant gives ` (did you mean "x"?)` for the nearest of the candidates, or nothing where none is near.
func meant(s string, candidates []string) string {
	best, near := "", 1+len(s)/3
	for _, c := range candidates {
		if n := distance(s, c, near); n <= near && n < len(s) && (best == "" || n < distance(s, best, near)) {
			best = c
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + strconv.Quote(best) + "?)"
}

// distance is the number of letters to insert, remove, change or swap between a and b; limit+1 where it is over limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

package fhir

import (
	"slices"
	"strings"
)

// expand gives a value set's codes from its definition, nil where they can't all be known here: a filter, a code
// system that isn't there or isn't complete. Source: HL7 FHIR R4, valueset.html#compositions.
//
// within are the value sets that are being expanded, and those that were: each costs once.
func (p *Profiles) expand(url string, within map[string]*valueSet) *valueSet {
	if v, ok := within[url]; ok {
		return v // nil while it is begun: a set that includes itself can't be known
	}
	within[url] = nil
	v := p.composed(url, within)
	within[url] = v
	return v
}

func (p *Profiles) composed(url string, within map[string]*valueSet) *valueSet {
	s, ok := p.sources["ValueSet "+url]
	if !ok {
		plain, _, _ := strings.Cut(url, "|")
		return Definitions().set(plain)
	}
	t, err := Parse(s.json)
	if err != nil {
		return nil
	}
	compose := t.Root().Get("compose")
	var codes []Code
	for in := range compose.Get("include").Each() {
		list, ok := p.include(in, within)
		if !ok {
			return nil
		}
		codes = append(codes, list...)
	}
	for ex := range compose.Get("exclude").Each() {
		list, ok := p.include(ex, within)
		if !ok {
			return nil
		}
		out := newValueSet(list)
		codes = slices.DeleteFunc(codes, func(c Code) bool { return out.has[c] })
	}
	if len(codes) == 0 {
		return nil
	}
	return newValueSet(codes)
}

func newValueSet(codes []Code) *valueSet {
	v := &valueSet{has: map[Code]bool{}, any: map[string]bool{}}
	for _, c := range codes {
		if !v.has[c] {
			v.list = append(v.list, c)
		}
		v.has[c], v.any[c.Code] = true, true
	}
	return v
}

// include gives the codes that all of an include's parts have in common.
func (p *Profiles) include(in Node, within map[string]*valueSet) (codes []Code, ok bool) {
	if in.Get("filter").Exists() {
		return nil, false
	}
	if system := clone(in.Get("system")); system != "" {
		if codes, ok = p.systemCodes(system, in.Get("concept")); !ok {
			return nil, false
		}
	}
	for i, set := 0, in.Get("valueSet").At(0); set.Exists(); i, set = i+1, set.Next() {
		other := p.expand(set.Text(), within)
		if other == nil {
			return nil, false
		}
		if i == 0 && !in.Get("system").Exists() {
			codes = slices.Clone(other.list)
			continue
		}
		codes = slices.DeleteFunc(codes, func(c Code) bool { return !other.has[c] })
	}
	return codes, true
}

func (p *Profiles) systemCodes(system string, listed Node) (codes []Code, ok bool) {
	for c := range listed.Each() {
		codes = append(codes, Code{system, clone(c.Get("code"))})
	}
	if len(codes) > 0 {
		return codes, true
	}
	s, ok := p.sources["CodeSystem "+system]
	if !ok || s.typ != "CodeSystem" {
		return nil, false
	}
	t, err := Parse(s.json)
	if err != nil || !t.Root().Get("content").Is("complete") {
		return nil, false
	}
	concepts(t.Root(), func(code string) { codes = append(codes, Code{system, code}) })
	return codes, true
}

// concepts gives the codes of a code system and of the concepts inside its concepts.
func concepts(n Node, put func(code string)) {
	for c := range n.Get("concept").Each() {
		put(clone(c.Get("code")))
		concepts(c, put)
	}
}

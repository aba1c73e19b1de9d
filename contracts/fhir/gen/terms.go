package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
)

type concept struct {
	Code     string
	Concept  []concept
	Property []struct{ Code, ValueCode string }
}

type codeSystem struct {
	URL     string
	Concept []concept
}

type include struct {
	System   string
	Concept  []concept
	Filter   []struct{ Property, Op, Value string }
	ValueSet []string
}

type valueSet struct {
	URL     string
	Compose struct{ Include, Exclude []include }
}

// terms knows the code systems and expands value sets.
type terms struct {
	systems map[string]codeSystem
	sets    map[string]valueSet
}

func newTerms() *terms { return &terms{map[string]codeSystem{}, map[string]valueSet{}} }

func (t *terms) add(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var all bundle
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for _, e := range all.Entry {
		kind, err := resourceType(e.Resource)
		if err != nil {
			return err
		}
		switch kind {
		case "CodeSystem":
			var c codeSystem
			if err := json.Unmarshal(e.Resource, &c); err != nil {
				return err
			}
			t.systems[c.URL] = c
		case "ValueSet":
			var v valueSet
			if err := json.Unmarshal(e.Resource, &v); err != nil {
				return err
			}
			t.sets[v.URL] = v
		}
	}
	return nil
}

// write gives the value sets whose codes are all known; the others (languages, media types, currencies) are open
// systems that a list can't hold.
func (t *terms) write(w io.Writer, wanted map[string]bool) {
	for _, url := range slices.Sorted(maps.Keys(wanted)) {
		codes := map[string][]string{}
		if err := t.expand(codes, url); err != nil {
			log.Printf("open: %s: %v", url, err)
			continue
		}
		fmt.Fprintf(w, "V\t%s\n", url)
		for _, system := range slices.Sorted(maps.Keys(codes)) {
			fmt.Fprintf(w, "S\t%s\t%s\n", system, strings.Join(codes[system], "\t"))
		}
	}
}

func (t *terms) expand(into map[string][]string, url string) error {
	url, _, _ = strings.Cut(url, "|")
	set, ok := t.sets[url]
	if !ok {
		return fmt.Errorf("no such value set")
	}
	for _, in := range set.Compose.Include {
		if err := t.include(into, in); err != nil {
			return err
		}
	}
	for _, ex := range set.Compose.Exclude {
		out := map[string][]string{}
		if err := t.include(out, ex); err != nil {
			return err
		}
		for system, codes := range out {
			into[system] = slices.DeleteFunc(into[system], func(c string) bool { return slices.Contains(codes, c) })
		}
	}
	return nil
}

func (t *terms) include(into map[string][]string, in include) error {
	for _, url := range in.ValueSet {
		if err := t.expand(into, url); err != nil {
			return err
		}
	}
	if in.System == "" {
		return nil
	}
	put := func(code string) {
		if !slices.Contains(into[in.System], code) {
			into[in.System] = append(into[in.System], code)
		}
	}
	if len(in.Concept) > 0 {
		for _, c := range in.Concept {
			put(c.Code)
		}
		return nil
	}
	system, ok := t.systems[in.System]
	if !ok || len(system.Concept) == 0 {
		return fmt.Errorf("no codes of %s", in.System)
	}
	for _, f := range in.Filter {
		if f.Property != "concept" || f.Op != "is-a" && f.Op != "descendent-of" {
			return fmt.Errorf("filter %s %s", f.Property, f.Op)
		}
		root := find(system.Concept, f.Value)
		if root == nil {
			return fmt.Errorf("no code %s in %s", f.Value, in.System)
		}
		if f.Op == "is-a" {
			put(root.Code)
		}
		below(system.Concept, root, put)
	}
	if len(in.Filter) == 0 {
		each(system.Concept, put)
	}
	return nil
}

func each(cs []concept, put func(string)) {
	for _, c := range cs {
		put(c.Code)
		each(c.Concept, put)
	}
}

func find(cs []concept, code string) *concept {
	for i := range cs {
		if cs[i].Code == code {
			return &cs[i]
		}
		if c := find(cs[i].Concept, code); c != nil {
			return c
		}
	}
	return nil
}

// below gives the descendants of root: nested ones, and those that name their parent in the property subsumedBy.
func below(all []concept, root *concept, put func(string)) {
	each(root.Concept, put)
	parents := map[string]bool{root.Code: true}
	each(root.Concept, func(c string) { parents[c] = true })
	for grown := true; grown; {
		grown = false
		walk(all, func(c concept) {
			for _, p := range c.Property {
				if p.Code == "subsumedBy" && parents[p.ValueCode] && !parents[c.Code] {
					parents[c.Code] = true
					grown = true
					put(c.Code)
				}
			}
		})
	}
}

func walk(cs []concept, f func(concept)) {
	for _, c := range cs {
		f(c)
		walk(c.Concept, f)
	}
}

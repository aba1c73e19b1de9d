package mappings

import (
	"slices"
	"strings"
)

// Untested are the alternatives of `first` and the rows of tables that none of the reports' cases passes through, in the
// order of the file: obs.value.nm, state row 3.
func (m *Map) Untested(reports []CaseReport) []string {
	passed := map[string]bool{}
	for i := range reports {
		for _, way := range reports[i].ways {
			passed[way] = true
			for at := strings.LastIndexByte(way, '.'); at > 0; at = strings.LastIndexByte(way, '.') { // what holds a nested rule
				way = way[:at]
				passed[way] = true
			}
		}
	}
	var list []string
	add := func(way string) {
		if !passed[way] && !slices.Contains(list, way) {
			list = append(list, way)
		}
	}
	for _, p := range m.compiled() {
		for _, t := range p.tables {
			for i := range t.rows {
				if t.rows[i].says() {
					add(t.rows[i].rule.way())
				}
			}
		}
		for _, o := range p.ops {
			o.alternatives(add)
		}
	}
	return list
}

// compiled are the programs of a map, the oldest version first.
func (m *Map) compiled() []*program {
	if m.FHIR() {
		return []*program{m.fhir.program}
	}
	var list []*program
	for _, version := range m.versions {
		list = append(list, m.edition(version))
	}
	return list
}

// way names a rule, or a table's row.
func (o *op) way() string {
	if o.row > 0 {
		return o.id + " row " + itoa(o.row)
	}
	return o.id
}

// says whether a row writes anything: one that doesn't leaves no trace in the lineage.
func (r *tableRow) says() bool {
	writes := func(cells []string) bool {
		return slices.ContainsFunc(cells, func(c string) bool { return c != "*" && c != "-" })
	}
	return r.forward && writes(r.fhir) || r.backward && writes(r.v2)
}

func (o *op) alternatives(add func(string)) {
	for _, kid := range o.kids {
		if o.kind == opFirst {
			add(kid.way())
		}
		kid.alternatives(add)
	}
}

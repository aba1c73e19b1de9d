package mappings

import (
	"slices"
	"strings"
)

// Untested are the alternatives of `first` and the rows of tables that none of the reports' cases passes through, in the
// order of the file: obs.value.nm, state row 3. Of an overlay they are what it adds to its base, nil for other maps; inherited
// counts the base's, which has cases of its own.
func (m *Map) Untested(reports []CaseReport, base *Map) (list []string, inherited int) {
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
	ofBase := map[string]bool{}
	if base != nil {
		base.eachWay(func(o *op) { ofBase[o.way()] = true })
	}
	told := map[string]bool{}
	m.eachWay(func(o *op) {
		switch way := o.way(); {
		case passed[way] || told[way]:
			return
		case base != nil && (o.at.file != "" || ofBase[way]): // a block's rules don't name their file
			told[way] = true
			inherited++
		default:
			told[way] = true
			list = append(list, way)
		}
	})
	return list, inherited
}

// eachWay visits the alternatives and the rows that write something, some more than once.
func (m *Map) eachWay(add func(*op)) {
	for _, p := range m.compiled() {
		for _, t := range p.tables {
			for i := range t.rows {
				if t.rows[i].says() {
					add(t.rows[i].rule)
				}
			}
		}
		for _, o := range p.ops {
			o.alternatives(add)
		}
	}
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

func (o *op) alternatives(add func(*op)) {
	for _, kid := range o.kids {
		if o.kind == opFirst {
			add(kid)
		}
		kid.alternatives(add)
	}
}

package mappings

import (
	"github.com/hoitosilta/silta/contracts"
)

// table decides its v2 cells from its FHIR cells.
func (r *reverse) table(t *table) {
	fr := r.p.bundle
	for _, ref := range t.fhir {
		if !ref.frame.message {
			fr = ref.frame
		}
	}
	for _, in := range r.f.of(fr) {
		r.row(t, back{inst: in})
	}
}

func (r *reverse) row(t *table, at back) {
	nodes := make([]*node, len(t.fhir))
	for i, ref := range t.fhir {
		if list := r.at(ref, at); len(list) > 0 {
			nodes[i] = list[0]
		}
	}
	for i := range t.rows {
		row := &t.rows[i]
		if !row.backward || !fitsNodes(row.fhir, nodes) {
			continue
		}
		for j, n := range nodes {
			if row.fhir[j] == "*" {
				nodes[j] = nil // it doesn't decide what is written
			} else if n != nil {
				n.seen = true
				seeSelectors(t.fhir[j], n)
			}
		}
		for j, ref := range t.v2 {
			if value := row.v2[j]; value != "*" && value != "-" && !t.v2Ctx[j] {
				s, slot := r.dest(ref, at, 0, nil)
				s.write(ref.field, slot, max(ref.comp, 1), max(ref.sub, 1), value, row.rule, firstNode(nodes))
			}
		}
		return
	}
	where := "Bundle"
	if n := firstNode(nodes); n != nil {
		where = n.source.Place()
	}
	r.faults = append(r.faults, contracts.Faultf(contracts.Unmapped, CodeNoRowBack, where, "No row of the table %s fits these elements on the way back.", t.id))
}

func firstNode(nodes []*node) *node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

func fitsNodes(row []string, nodes []*node) bool {
	for i, want := range row {
		text := orNone(nodes[i]).text
		switch want {
		case "*":
		case "-":
			if text != "" {
				return false
			}
		default:
			if text != want {
				return false
			}
		}
	}
	return true
}

package mappings

import (
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// table decides its FHIR cells from its v2 cells.
func (f *forward) table(t *table) {
	if !slices.ContainsFunc(t.rows, func(r tableRow) bool { return r.forward }) {
		return // it is for the way back only
	}
	fr := f.p.bundle
	for _, ref := range t.fhir {
		if !ref.frame.message {
			fr = ref.frame
		}
	}
	if fr == f.p.bundle {
		f.row(t, spot{inst: f.bundle})
		return
	}
	for _, in := range f.instances[fr.index] {
		f.row(t, spot{inst: in, seg: in.seg, rep: in.rep})
	}
}

func (f *forward) row(t *table, at spot) {
	var buf [6]cell
	cells := buf[:0]
	for _, ref := range t.v2 {
		c, _ := f.one(ref, at)
		cells = append(cells, c)
	}
	for i := range t.rows {
		r := &t.rows[i]
		if !r.forward || !fitsRow(r.v2, cells) {
			continue
		}
		for j := len(cells) - 1; j >= 0; j-- {
			if r.v2[j] != "*" && cells[j].seg != nil {
				cells[j].text()
			}
		}
		from := f.d.last
		for j, ref := range t.fhir {
			if value := r.fhir[j]; value != "*" && value != "-" && !t.fhirCtx[j] {
				if n := f.target(ref, at, 0); n != nil {
					f.op, f.d.last = r.rule, from
					f.set(n, jsonKind(ref.typ), value)
					f.constantsOf(ref, n, r.rule)
				}
			}
		}
		return
	}
	where := firstPlace(cells)
	if where.seg == nil {
		f.keep(false, contracts.Faultf(contracts.Unmapped, CodeNoRow, t.v2[0].path.source, "No row of the table %s fits this message.", t.id))
		return
	}
	f.keep(false, contracts.Faultf(contracts.Unmapped, CodeNoRow, where.String(), "No row of the table %s fits the values here.", t.id))
}

func fitsRow(row []string, cells []cell) bool {
	for i, want := range row {
		switch text := peek(cells[i]); want {
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

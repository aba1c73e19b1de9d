package mappings

import (
	"slices"
	"strings"

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
	f.keep(false, t.noRow(cells))
}

// noRow names the cell at which the rows that come nearest stop to fit.
func (t *table) noRow(cells []cell) *contracts.Fault {
	odd := 0
	for i := range t.rows {
		if t.rows[i].forward {
			odd = max(odd, misfit(t.rows[i].v2, cells))
		}
	}
	var others []string
	for i, ref := range t.v2 {
		if i != odd {
			others = append(others, ref.path.source)
		}
	}
	at, text := t.v2[odd].path.source, "No row of the table "+t.id+" is for a message without this"
	if cells[odd].filled() {
		at, text = cells[odd].place().String(), "No row of the table "+t.id+" has the value that stands here"
	}
	if len(others) > 0 {
		text += ", with what stands in " + strings.Join(others, ", ")
	}
	return contracts.Faultf(contracts.Unmapped, CodeNoRow, at, "%s.", text)
}

func fitsRow(row []string, cells []cell) bool { return misfit(row, cells) == len(row) }

// misfit is the first cell that a row doesn't fit; the number of cells where it fits them all.
func misfit(row []string, cells []cell) int {
	for i, want := range row {
		if want == "*" {
			continue
		}
		if want == "-" {
			want = ""
		}
		if peek(cells[i]) != want {
			return i
		}
	}
	return len(row)
}

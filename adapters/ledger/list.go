package ledger

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// listed is how many rows a list gives when nobody says.
const listed = 200

// List gives the rows that f chooses, newest first. A partner is looked for as sender and as receiver; a state is the
// one that the row shows.
func (l *Ledger) List(ctx context.Context, f contracts.Filter) ([]contracts.Row, error) {
	if f.Limit <= 0 {
		f.Limit = listed
	}
	// Only the conditions that are asked for stand in the text, so that each finds its index.
	var where strings.Builder
	var args []any
	and := func(condition string, arg any) {
		args = append(args, arg)
		where.WriteString(" AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	if f.State != "" {
		and("e.shown = ?", string(f.State))
		if f.State != contracts.StateDelivered {
			where.WriteString(" AND e.shown <> 'delivered'") // only those stand in the index by state
		}
	}
	if f.Type != "" {
		and("e.type = ?", f.Type)
	}
	if f.Issue != "" {
		and("e.id IN (SELECT message FROM raised WHERE issue = ?)", f.Issue)
	}
	if !f.Since.IsZero() {
		and("e.received >= ?", micros(f.Since))
	}
	if f.Partner != "" && !l.shared {
		and("(e.partner = ? OR EXISTS (SELECT 1 FROM deliveries d WHERE d.message = e.id AND d.partner = ?))", f.Partner)
	}
	chosen := where.String()
	args = append(args, int64(f.Limit))
	limit := "$" + strconv.Itoa(len(args))
	if f.Partner != "" && l.shared {
		args = append(args, f.Partner)
		chosen = ofPartner(chosen, "$"+strconv.Itoa(len(args)), limit)
	}
	return l.rows(ctx, "list", `SELECT e.shown, `+entryColumns+` FROM entries e WHERE e.id <> ''`+chosen+
		` ORDER BY e.received DESC, e.id DESC LIMIT `+limit, args...)
}

// ofPartner chooses the newest that a partner sent and the newest that it received, of those that the condition where
// chooses: each half by an index that has them in this order. An OR would have one index read until enough are found.
func ofPartner(where, partner, limit string) string {
	return ` AND e.id IN (
	(SELECT e.id FROM entries e WHERE e.partner = ` + partner + where + ` ORDER BY e.received DESC, e.id DESC LIMIT ` + limit + `)
	UNION ALL (SELECT message FROM (SELECT DISTINCT d.received, d.message FROM deliveries d JOIN entries e ON e.id = d.message
		WHERE d.partner = ` + partner + where + ` ORDER BY d.received DESC, d.message DESC LIMIT ` + limit + `) got))`
}

// Find gives the rows that id names, newest first: a message by its own id, its control id, the id of one of its
// deliveries, or a value that a partner knows it by, such as the control id under which it left; and all messages of a
// journey, by the journey's id or a value that names the journey alone. Values are compared as they stand.
func (l *Ledger) Find(ctx context.Context, id string) ([]contracts.Row, error) {
	if id == "" {
		return nil, nil
	}
	return l.rows(ctx, "find", `SELECT e.shown, `+entryColumns+` FROM entries e JOIN (
	SELECT id FROM entries WHERE id = $1
	UNION SELECT id FROM entries WHERE control = $1 AND control <> ''
	UNION SELECT id FROM entries WHERE journey = $1 AND journey <> ''
	UNION SELECT message FROM deliveries WHERE id = $1
	UNION SELECT message FROM ids WHERE value = $1 AND message <> ''
	UNION SELECT m.id FROM ids i JOIN entries m ON m.journey = i.journey WHERE i.value = $1 AND i.message = '' AND m.journey <> '') named ON e.id = named.id
ORDER BY e.received DESC, CASE WHEN e.cause <> '' THEN 1 ELSE 0 END DESC, e.id DESC`, id)
}

// found is an entry with the state that its row shows.
type found struct {
	contracts.Entry
	shown contracts.State
}

func scanFound(r rowScanner) (found, error) {
	var f found
	var err error
	f.Entry, err = scanEntry(behind{r, &f.shown})
	return f, err
}

// behind scans a first column of its own, and then what it is asked for.
type behind struct {
	rowScanner
	first any
}

func (b behind) Scan(into ...any) error {
	return b.rowScanner.Scan(append([]any{b.first}, into...)...)
}

// rows runs a query for entries and adds what their deliveries tell, all as of one moment.
func (l *Ledger) rows(ctx context.Context, op, text string, args ...any) ([]contracts.Row, error) {
	var out []contracts.Row
	err := l.moment(ctx, op, func(q asker) error {
		founds, err := all(ctx, q, scanFound, text, args...)
		if err != nil {
			return err
		}
		of, err := deliveriesOfAll(ctx, q, founds)
		if err != nil {
			return err
		}
		for _, f := range founds {
			out = append(out, row(f, of[f.ID]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// together is how many messages' deliveries are read at once.
const together = 50

var deliveriesOfAllSQL = func() string {
	signs := make([]string, together)
	for i := range signs {
		signs[i] = "$" + strconv.Itoa(i+1)
	}
	return `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.message IN (` + strings.Join(signs, ", ") + `) ORDER BY d.seq`
}()

// deliveriesOfAll gives the deliveries of several messages, each one's in the order of receivers.
func deliveriesOfAll(ctx context.Context, q asker, founds []found) (map[contracts.ID][]contracts.Delivery, error) {
	of := map[contracts.ID][]contracts.Delivery{}
	for chunk := range slices.Chunk(founds, together) {
		args := make([]any, together)
		for i := range args {
			args[i] = string(chunk[min(i, len(chunk)-1)].ID)
		}
		ds, err := all(ctx, q, scanDelivery, deliveriesOfAllSQL, args...)
		if err != nil {
			return nil, err
		}
		for _, d := range ds {
			of[d.Message] = append(of[d.Message], d)
		}
	}
	return of, nil
}

// row shows an entry. Its fault is that of the delivery whose state it shows, else its own; its map likewise is its
// own, else the first that a delivery has.
func row(f found, ds []contracts.Delivery) contracts.Row {
	r := contracts.Row{ID: f.ID, Control: f.Control, From: f.Partner, To: []string{}, Type: f.Type, Journey: f.Journey,
		State: f.shown, At: f.Received, Map: f.Map, Cause: f.Cause}
	seen := map[string]bool{}
	for _, d := range ds {
		if !seen[d.Partner] {
			seen[d.Partner] = true
			r.To = append(r.To, d.Partner)
		}
		if d.State == f.shown && r.Fault == nil {
			r.Fault = d.Fault
		}
		if r.Map == "" {
			r.Map = d.Map
		}
	}
	if r.Fault == nil {
		r.Fault = f.Fault
	}
	return r
}

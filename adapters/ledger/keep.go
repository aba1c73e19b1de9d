package ledger

import (
	"context"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Parked gives the places in a park topic at which the bytes of waiting messages lie, oldest first by partition.
func (l *Ledger) Parked(ctx context.Context, topic string) ([]contracts.Place, error) {
	scan := func(r rowScanner) (p contracts.Place, err error) {
		return p, r.Scan(&p.Topic, &p.Partition, &p.Offset)
	}
	places, err := all(ctx, l.reads, scan, `SELECT park_topic, park_partition, park_offset FROM waiting WHERE park_topic = $1
ORDER BY park_partition, park_offset`, topic)
	return places, fault("parked", err)
}

// Pauses gives the partners that an operator paused, by name.
func (l *Ledger) Pauses(ctx context.Context) ([]contracts.Pause, error) {
	scan := func(r rowScanner) (p contracts.Pause, err error) {
		var since int64
		err = r.Scan(&p.Partner, &since, &p.Operator, &p.Reason)
		p.Since = instant(since)
		return p, err
	}
	ps, err := all(ctx, l.reads, scan, `SELECT partner, since, operator, reason FROM pauses ORDER BY partner`)
	return ps, fault("pauses", err)
}

// portion is how many messages are forgotten in one transaction.
const portion = 200

// Expire forgets messages that were received before a time, with their deliveries, steps, identifiers and bodies, and
// counts them. One stays while it, or another message of its journey, isn't settled. A journey stays while one of its
// messages does.
func (l *Ledger) Expire(ctx context.Context, before time.Time) (int64, error) {
	var forgotten int64
	for from := (mark{}); ; {
		var old []mark
		err := l.w.within(ctx, "expire", func(open tx) (err error) {
			if old, err = settled(open, from, before); err != nil {
				return err
			}
			return forget(open, old)
		})
		if err != nil {
			return forgotten, err
		}
		forgotten += int64(len(old))
		if len(old) < portion {
			return forgotten, l.forgetBodies(ctx, before)
		}
		from = old[len(old)-1]
	}
}

// forgetBodies deletes, in portions, the bodies that only forgotten messages had.
func (l *Ledger) forgetBodies(ctx context.Context, before time.Time) error {
	for gone := int64(portion); gone == portion; {
		err := l.w.within(ctx, "expire", func(open tx) error {
			var err error
			gone, err = open.exec(forgetBodiesSQL, micros(before), int64(portion))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mark is where an old message stands in the order in which they are forgotten.
type mark struct {
	received int64
	id       string
	journey  string
}

// settled gives the next messages behind a mark that may be forgotten.
func settled(open tx, from mark, before time.Time) ([]mark, error) {
	rows, err := open.query(settledSQL, micros(before), from.received, from.id, int64(portion))
	if err != nil {
		return nil, err
	}
	var old []mark
	for _, row := range rows {
		old = append(old, mark{row[0].(int64), row[1].(string), row[2].(string)})
	}
	return old, nil
}

// forget deletes messages with what belongs to them, and their journeys if nothing is left of those.
func forget(open tx, old []mark) error {
	for _, m := range old {
		for _, text := range forgetMessageSQL {
			if _, err := open.exec(text, m.id); err != nil {
				return err
			}
		}
		if m.journey == "" {
			continue
		}
		for _, text := range forgetJourneySQL {
			if _, err := open.exec(text, m.journey); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	settledSQL = `SELECT e.received, e.id, e.journey FROM entries e
WHERE e.received < $1 AND (e.received, e.id) > ($2, $3) AND NOT ` + unsettled("e") + ` AND NOT EXISTS (
	SELECT 1 FROM entries o WHERE o.journey = e.journey AND o.journey <> '' AND ` + unsettled("o") + `)
ORDER BY e.received, e.id LIMIT $4`

	forgetMessageSQL = []string{
		`DELETE FROM steps WHERE message IN (SELECT CAST($1 AS TEXT) UNION ALL SELECT d.id FROM deliveries d WHERE d.message = $1)`,
		`DELETE FROM ids WHERE message = $1 AND journey = ''`,
		`DELETE FROM ids WHERE message = $1 AND journey <> '' AND journey IN (SELECT e.journey FROM entries e WHERE e.id = $1)`,
		`DELETE FROM deliveries WHERE message = $1`,
		`DELETE FROM entries WHERE id = $1`,
	}

	forgetJourneySQL = []string{
		`DELETE FROM ids WHERE journey = $1 AND journey <> '' AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.journey = $1 AND e.journey <> '')`,
		`DELETE FROM journeys WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.journey = $1 AND e.journey <> '')`,
	}

	// A body is written again, and so becomes younger, with each message that has it: an old one may belong only to old
	// messages that stay.
	forgetBodiesSQL = `DELETE FROM bodies WHERE digest IN (SELECT b.digest FROM bodies b WHERE b.received < $1
	AND b.digest NOT IN (SELECT e.canonical FROM entries e WHERE e.received < $1) LIMIT $2)`
)

// unsettled is the condition that an entry, or one of its deliveries, isn't settled yet.
func unsettled(entry string) string {
	const settled = `('delivered', 'refused', 'stopped')`
	return `(` + entry + `.shown NOT IN ` + settled + ` OR EXISTS (
		SELECT 1 FROM deliveries d WHERE d.message = ` + entry + `.id AND d.state NOT IN ` + settled + `))`
}

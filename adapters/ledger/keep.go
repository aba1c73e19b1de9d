package ledger

import (
	"context"
	"slices"
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

// Unsettled says whether a message of a key that was received before a time isn't settled yet, for each of its receivers.
func (l *Ledger) Unsettled(ctx context.Context, key contracts.Key, before time.Time) (bool, error) {
	if err := l.toTables(ctx, "unsettled"); err != nil {
		return false, err
	}
	scan := func(r rowScanner) (n int64, err error) { return n, r.Scan(&n) }
	found, err := all(ctx, l.reads, scan, unsettledSQL, string(key), micros(before))
	return len(found) > 0, fault("unsettled", err)
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

// Activations gives all activations of maps, in the order in which they were made.
func (l *Ledger) Activations(ctx context.Context) ([]contracts.Activation, error) {
	scan := func(r rowScanner) (a contracts.Activation, err error) {
		var at, made int64
		err = r.Scan(&a.ID, &a.Map, &a.Version, &a.Before, &a.Partner, &a.Type, &at, &made, &a.Operator, &a.Reason)
		a.At, a.Made = instant(at), instant(made)
		return a, err
	}
	list, err := all(ctx, l.reads, scan, `SELECT id, map, version, before, partner, type, at, made, operator, reason FROM activations ORDER BY made, id`)
	return list, fault("activations", err)
}

// Issues gives the issues that somebody has to look at, the one with the newest message first. Its fault, map and partner
// are those of that message.
func (l *Ledger) Issues(ctx context.Context) ([]contracts.Issue, error) {
	scan := func(r rowScanner) (i contracts.Issue, err error) {
		var first, last int64
		var text string
		if err = r.Scan(&i.ID, &i.Messages, &first, &last, &i.Message, &i.Partner, &i.Map, &text); err != nil {
			return i, err
		}
		i.First, i.Last = instant(first), instant(last)
		i.Fault, err = faultFrom(text)
		return i, err
	}
	list, err := all(ctx, l.reads, scan, `SELECT g.issue, g.messages, g.first, g.last, r.message, r.partner, r.map, r.fault
FROM (SELECT issue, COUNT(*) AS messages, MIN(at) AS first, MAX(at) AS last FROM raised GROUP BY issue) g
JOIN raised r ON r.issue = g.issue AND r.message = (SELECT n.message FROM raised n WHERE n.issue = g.issue ORDER BY n.at DESC, n.message DESC LIMIT 1)
ORDER BY g.last DESC, g.issue`)
	return list, fault("issues", err)
}

// portion is how many messages are forgotten in one transaction.
const portion = 200

// inMonths is a kind of database in which history lies in months.
type inMonths interface {
	// leaving gives the months that ended by then of which no message seems to stay: their history goes as a whole.
	leaving(ctx context.Context, before time.Time) ([]month, error)
	// drop forgets the history of the months that ended by then, if no message of theirs is left. What somebody works with
	// just then stays until the next time.
	drop(ctx context.Context, before time.Time) error
}

// Expire forgets messages that were received before a time, with their deliveries, steps, identifiers and bodies, and
// counts them. One stays while it, or another message of its journey, isn't settled. A journey stays while one of its
// messages does.
func (l *Ledger) Expire(ctx context.Context, before time.Time) (int64, error) {
	months, some := l.w.(inMonths)
	var leaving []month
	if some {
		var err error
		if leaving, err = months.leaving(ctx, before); err != nil {
			return 0, fault("expire", err)
		}
	}
	forgotten, err := l.forgetMessages(ctx, before, leaving)
	if err == nil && some {
		err = fault("expire", months.drop(ctx, before))
	}
	if err == nil {
		err = l.forgetBodies(ctx, before)
	}
	return forgotten, err
}

// forgetMessages deletes, in portions, the messages that may go. The history of leaving months isn't touched.
func (l *Ledger) forgetMessages(ctx context.Context, before time.Time, leaving []month) (forgotten int64, err error) {
	for from := (mark{}); ; {
		var old []mark
		err := l.w.within(ctx, "expire", func(open tx) (err error) {
			if old, err = settled(open, from, before); err != nil {
				return err
			}
			for _, m := range old {
				if err := m.forget(open, slices.Contains(leaving, monthOf(instant(m.received))), l.shared); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return forgotten, err
		}
		forgotten += int64(len(old))
		if len(old) < portion {
			return forgotten, nil
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

// forget deletes a message with what belongs to it, but for history that leaves as a whole, and its journey if nothing is
// left of that.
func (m mark) forget(open tx, leaves, shared bool) error {
	texts := forgetMessageSQL
	if !leaves {
		texts = slices.Concat(forgetHistorySQL, forgetMessageSQL)
	}
	for _, text := range texts {
		if _, err := open.exec(text, m.id); err != nil {
			return err
		}
	}
	if m.journey == "" {
		return nil
	}
	names := forgetNamesSQL
	if shared {
		names += ` AND month = 0` // where those of journeys lie
	}
	for _, text := range []string{names, forgetJourneySQL} {
		if _, err := open.exec(text, m.journey); err != nil {
			return err
		}
	}
	return nil
}

var (
	settledSQL = `SELECT e.received, e.id, e.journey FROM entries e
WHERE e.received < $1 AND (e.received, e.id) > ($2, $3) AND NOT ` + unsettled("e") + ` AND NOT EXISTS (
	SELECT 1 FROM entries o WHERE o.journey = e.journey AND o.journey <> '' AND ` + unsettled("o") + `)
ORDER BY e.received, e.id LIMIT $4`

	// What isn't delivered stands in an index of its own, which is small.
	unsettledSQL = `SELECT e.received FROM entries e WHERE e.key = $1 AND e.received < $2 AND e.shown <> 'delivered' AND ` + unsettled("e") + ` LIMIT 1`

	forgetHistorySQL = []string{
		`DELETE FROM steps WHERE message IN (SELECT CAST($1 AS TEXT) UNION ALL SELECT d.id FROM deliveries d WHERE d.message = $1)`,
		`DELETE FROM ids WHERE message = $1 AND journey = ''`,
		`DELETE FROM ids WHERE message = $1 AND journey <> '' AND journey IN (SELECT e.journey FROM entries e WHERE e.id = $1)`,
	}
	forgetMessageSQL = []string{`DELETE FROM raised WHERE message = $1`, `DELETE FROM deliveries WHERE message = $1`, `DELETE FROM entries WHERE id = $1`}

	forgetNamesSQL   = `DELETE FROM ids WHERE journey = $1 AND journey <> '' AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.journey = $1 AND e.journey <> '')`
	forgetJourneySQL = `DELETE FROM journeys WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.journey = $1 AND e.journey <> '')`

	// A body is written again, and so becomes younger, with each message that has it: an old one may belong only to old
	// messages that stay.
	forgetBodiesSQL = `DELETE FROM bodies WHERE received < $1 AND digest IN (SELECT b.digest FROM bodies b WHERE b.received < $1
	AND b.digest NOT IN (SELECT e.canonical FROM entries e WHERE e.received < $1) LIMIT $2)`
)

// unsettled is the condition that an entry, or one of its deliveries, isn't settled yet.
func unsettled(entry string) string {
	const settled = `('delivered', 'refused', 'stopped')`
	return `(` + entry + `.shown NOT IN ` + settled + ` OR EXISTS (
		SELECT 1 FROM deliveries d WHERE d.message = ` + entry + `.id AND d.state NOT IN ` + settled + `))`
}

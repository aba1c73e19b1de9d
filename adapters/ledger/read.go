package ledger

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// rowScanner is what a row is read from.
type rowScanner interface{ Scan(...any) error }

// asker runs a query: the pool, or a transaction where several queries must see the same moment.
type asker interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// pool is a connection pool whose queries are prepared once: by itself, or by its driver. The texts are few: those of
// this package.
type pool struct {
	*sql.DB
	prepares bool
	prepared sync.Map // text to *sql.Stmt; closed with the database
}

// QueryContext runs a query by its prepared statement.
func (p *pool) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if !p.prepares {
		return p.DB.QueryContext(ctx, text, clean(args)...)
	}
	held, ok := p.prepared.Load(text)
	if !ok {
		s, err := p.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
		var other bool
		if held, other = p.prepared.LoadOrStore(text, s); other {
			_ = s.Close() // somebody prepared it meanwhile
		}
	}
	return held.(*sql.Stmt).QueryContext(ctx, args...)
}

// all reads every row of a query.
func all[T any](ctx context.Context, q asker, scan func(rowScanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

var (
	entryColumns = columns("e", `id, partner, format, control, type, version, application, facility, key, received, journey, origin,
		event, cause, state, map, canonical, digest, fault, place_topic, place_partition, place_offset`)
	deliveryColumns = columns("d", `id, message, journey, partner, route, generation, control, type, format, map, key, digest, state,
		attempts, unknown, answer, fault, place_topic, place_partition, place_offset`)
	stepColumns    = columns("s", `id, at, journey, message, control, type, step, sender, receiver, map, attempt, answer, digest, fault, findings, reason, other`)
	waitingColumns = columns("w", `topic, key, seq, message, park_topic, park_partition, park_offset, since, due, attempts`)
)

// identifierColumns reads names; one that lies in two months is one name by the grouping that goes with it.
const identifierColumns = `SELECT partner, kind, value, MAX(message), MAX(journey) FROM ids`

func scanEntry(r rowScanner) (contracts.Entry, error) {
	var e contracts.Entry
	var received int64
	var text string
	err := r.Scan(&e.ID, &e.Partner, &e.Format, &e.Control, &e.Type, &e.Version, &e.Application, &e.Facility, &e.Key, &received,
		&e.Journey, &e.Origin, &e.Event, &e.Cause, &e.State, &e.Map, &e.Canonical, &e.Digest, &text,
		&e.Place.Topic, &e.Place.Partition, &e.Place.Offset)
	if err != nil {
		return e, err
	}
	e.Received = instant(received)
	e.Fault, err = faultFrom(text)
	return e, err
}

func scanDelivery(r rowScanner) (contracts.Delivery, error) {
	var d contracts.Delivery
	var text string
	err := r.Scan(&d.ID, &d.Message, &d.Journey, &d.Partner, &d.Route, &d.Generation, &d.Control, &d.Type, &d.Format, &d.Map, &d.Key,
		&d.Digest, &d.State, &d.Attempts, &d.Unknown, &d.Answer, &text, &d.Place.Topic, &d.Place.Partition, &d.Place.Offset)
	if err != nil {
		return d, err
	}
	d.Fault, err = faultFrom(text)
	return d, err
}

func scanStep(r rowScanner) (contracts.Step, error) {
	var s contracts.Step
	var at int64
	var text, findings string
	err := r.Scan(&s.ID, &at, &s.Journey, &s.Message, &s.Control, &s.Type, &s.Step, &s.From, &s.To, &s.Map, &s.Attempt, &s.Answer,
		&s.Digest, &text, &findings, &s.Reason, &s.Other)
	if err != nil {
		return s, err
	}
	s.At = instant(at)
	if s.Fault, err = faultFrom(text); err != nil {
		return s, err
	}
	s.Losses, err = findingsFrom(findings)
	return s, err
}

func scanIdentifier(r rowScanner) (contracts.Identifier, error) {
	var i contracts.Identifier
	return i, r.Scan(&i.Partner, &i.Kind, &i.Value, &i.Message, &i.Journey)
}

func scanWaiting(r rowScanner) (contracts.Waiting, error) {
	var m contracts.Waiting
	var since, due int64
	err := r.Scan(&m.Topic, &m.Key, &m.Seq, &m.Message, &m.Park.Topic, &m.Park.Partition, &m.Park.Offset, &since, &due, &m.Attempts)
	m.Since, m.Due = instant(since), instant(due)
	return m, err
}

// Entry gives a message's row.
func (l *Ledger) Entry(ctx context.Context, id contracts.ID) (contracts.Entry, error) {
	if e, ok := l.journal.entry(id); ok {
		return e, nil
	}
	rows, err := all(ctx, l.reads, scanEntry, `SELECT `+entryColumns+` FROM entries e WHERE e.id = $1`, string(id))
	return one("entry", "message", rows, err)
}

// Delivery gives an outgoing message's row.
func (l *Ledger) Delivery(ctx context.Context, id contracts.ID) (contracts.Delivery, error) {
	if d, ok := l.journal.delivery(id); ok {
		return d, nil
	}
	rows, err := all(ctx, l.reads, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d WHERE d.id = $1`, string(id))
	return one("delivery", "delivery", rows, err)
}

// Journey gives a journey's row.
func (l *Ledger) Journey(ctx context.Context, id contracts.ID) (contracts.Journey, error) {
	if err := l.toTables(ctx, "journey"); err != nil {
		return contracts.Journey{}, err
	}
	scan := func(r rowScanner) (j contracts.Journey, err error) {
		var started, updated int64
		err = r.Scan(&j.ID, &j.State, &started, &updated)
		j.Started, j.Updated = instant(started), instant(updated)
		return j, err
	}
	rows, err := all(ctx, l.reads, scan, `SELECT id, state, started, updated FROM journeys WHERE id = $1`, string(id))
	return one("journey", "journey", rows, err)
}

// Body gives the bytes that a digest names.
func (l *Ledger) Body(ctx context.Context, d contracts.Digest) (contracts.Body, error) {
	if packed, ok := l.journal.body(d); ok {
		return contracts.Unpack(packed)
	}
	scan := func(r rowScanner) (b []byte, err error) { return b, r.Scan(&b) }
	rows, err := all(ctx, l.reads, scan, `SELECT body FROM bodies WHERE digest = $1`, string(d))
	stored, err := one("body", "body", rows, err)
	if err != nil {
		return contracts.Body{}, err
	}
	return contracts.Unpack(stored)
}

// Deliveries gives what left because of an incoming message, in the order in which the receivers were first written:
// the order of the contract's routes.
func (l *Ledger) Deliveries(ctx context.Context, message contracts.ID) ([]contracts.Delivery, error) {
	if err := l.toTables(ctx, "deliveries"); err != nil {
		return nil, err
	}
	ds, err := deliveriesOf(ctx, l.reads, message)
	return ds, fault("deliveries", err)
}

func deliveriesOf(ctx context.Context, q asker, message contracts.ID) ([]contracts.Delivery, error) {
	return all(ctx, q, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d WHERE d.message = $1 ORDER BY d.seq`, string(message))
}

// Lookup gives the identifiers of a value, of one partner and of one kind where these aren't empty. One value can name
// several messages and journeys.
func (l *Ledger) Lookup(ctx context.Context, partner, kind, value string) ([]contracts.Identifier, error) {
	// Only the conditions that are asked for stand in the text, so that each finds the index.
	text, args := identifierColumns+` WHERE value = $1`, []any{value}
	if partner != "" {
		args = append(args, partner)
		text += ` AND partner = $` + strconv.Itoa(len(args))
	}
	if kind != "" {
		args = append(args, kind)
		text += ` AND kind = $` + strconv.Itoa(len(args))
	}
	more := l.journal.named(partner, kind, value) // before the tables, to which it may be written meanwhile
	is, err := all(ctx, l.reads, scanIdentifier, text+` GROUP BY partner, kind, value, owner ORDER BY partner, kind, owner`, args...)
	return withNames(is, more), fault("lookup", err)
}

// Identifiers gives a journey's names, by partner, kind and value.
func (l *Ledger) Identifiers(ctx context.Context, journey contracts.ID) ([]contracts.Identifier, error) {
	if journey == "" {
		return nil, nil
	}
	if err := l.toTables(ctx, "identifiers"); err != nil {
		return nil, err
	}
	is, err := all(ctx, l.reads, scanIdentifier, identifierColumns+`
WHERE journey = $1 AND journey <> '' GROUP BY partner, kind, value, owner ORDER BY partner, kind, value, owner`, string(journey))
	return is, fault("identifiers", err)
}

// Key gives a key's state: KeyLive for one that the ledger doesn't know.
func (l *Ledger) Key(ctx context.Context, ref contracts.KeyRef) (contracts.KeyState, error) {
	if l.held.live(ref) {
		return contracts.KeyState{KeyRef: ref, Condition: contracts.KeyLive}, nil
	}
	scan := func(r rowScanner) (contracts.KeyState, error) {
		k := contracts.KeyState{KeyRef: ref}
		var since int64
		var text string
		err := r.Scan(&k.Condition, &since, &k.Message, &text)
		if err != nil {
			return k, err
		}
		k.Since = instant(since)
		k.Fault, err = faultFrom(text)
		return k, err
	}
	rows, err := all(ctx, l.reads, scan, `SELECT condition, since, message, fault FROM keys WHERE topic = $1 AND key = $2`, ref.Topic, string(ref.Key))
	k, err := one("key", "key", rows, err)
	if contracts.KindOf(err) == contracts.NotFound {
		return contracts.KeyState{KeyRef: ref, Condition: contracts.KeyLive}, nil
	}
	return k, err
}

// Waiting gives the first message behind each spilled key of topic, if its time has come: the longest due first. A
// message behind the first one never comes, however long it is due. (The join is a CROSS JOIN so that SQLite goes from
// keys to their first messages, and doesn't read everything that waits.)
func (l *Ledger) Waiting(ctx context.Context, topic string, now time.Time, limit int) ([]contracts.Waiting, error) {
	ms, err := all(ctx, l.reads, scanWaiting, `SELECT `+waitingColumns+` FROM keys k CROSS JOIN waiting w
WHERE k.topic = $1 AND k.condition = 'spilled' AND w.topic = k.topic AND w.key = k.key AND w.due <= $2
	AND w.seq = (SELECT MIN(f.seq) FROM waiting f WHERE f.topic = k.topic AND f.key = k.key)
ORDER BY w.due, w.key LIMIT $3`, topic, micros(now), limit)
	return ms, fault("waiting", err)
}

// Behind gives all that waits behind a key, in the order in which it came.
func (l *Ledger) Behind(ctx context.Context, ref contracts.KeyRef) ([]contracts.Waiting, error) {
	ms, err := all(ctx, l.reads, scanWaiting, `SELECT `+waitingColumns+` FROM waiting w WHERE w.topic = $1 AND w.key = $2 ORDER BY w.seq`,
		ref.Topic, string(ref.Key))
	return ms, fault("behind", err)
}

// JourneySteps gives the steps of a journey's messages and of their deliveries, oldest first.
func (l *Ledger) JourneySteps(ctx context.Context, journey contracts.ID) ([]contracts.Step, error) {
	if journey == "" {
		return nil, nil
	}
	if err := l.toTables(ctx, "steps"); err != nil {
		return nil, err
	}
	ss, err := all(ctx, l.reads, scanStep, `SELECT `+stepColumns+` FROM steps s WHERE s.message IN (
	SELECT e.id FROM entries e WHERE e.journey = $1 AND e.journey <> ''
	UNION SELECT d.id FROM entries e JOIN deliveries d ON d.message = e.id WHERE e.journey = $1 AND e.journey <> '')
ORDER BY s.at, s.seq`, string(journey))
	return distinct(ss), fault("steps", err)
}

// MessageSteps gives the steps of a message and of its deliveries, oldest first.
func (l *Ledger) MessageSteps(ctx context.Context, message contracts.ID) ([]contracts.Step, error) {
	if err := l.toTables(ctx, "steps"); err != nil {
		return nil, err
	}
	ss, err := all(ctx, l.reads, scanStep, `SELECT `+stepColumns+` FROM steps s
WHERE s.message IN (SELECT CAST($1 AS TEXT) UNION ALL SELECT d.id FROM deliveries d WHERE d.message = $1) ORDER BY s.at, s.seq`, string(message))
	return distinct(ss), fault("steps", err)
}

// distinct leaves out a step that lies in a second month, too.
func distinct(steps []contracts.Step) []contracts.Step {
	type name struct{ message, id contracts.ID }
	seen := map[name]bool{}
	return slices.DeleteFunc(steps, func(s contracts.Step) bool {
		n := name{s.Message, s.ID}
		again := seen[n]
		seen[n] = true
		return again
	})
}

// JourneyEntries gives a journey's messages, oldest first.
func (l *Ledger) JourneyEntries(ctx context.Context, journey contracts.ID) ([]contracts.Entry, error) {
	if journey == "" {
		return nil, nil
	}
	if err := l.toTables(ctx, "entries"); err != nil {
		return nil, err
	}
	es, err := all(ctx, l.reads, scanEntry, `SELECT `+entryColumns+` FROM entries e WHERE e.journey = $1 AND e.journey <> '' ORDER BY e.received, e.id`, string(journey))
	return es, fault("entries", err)
}

// moment runs ask in a transaction that sees one moment of the ledger.
func (l *Ledger) moment(ctx context.Context, op string, ask func(asker) error) error {
	if err := l.toTables(ctx, op); err != nil {
		return err
	}
	var options *sql.TxOptions // a transaction of SQLite sees one moment anyway
	if l.shared {
		options = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	open, err := l.reads.BeginTx(ctx, options)
	if err != nil {
		return fault(op, err)
	}
	err = ask(open)
	if end := open.Rollback(); err == nil && !errors.Is(end, sql.ErrTxDone) {
		err = end
	}
	return fault(op, err)
}

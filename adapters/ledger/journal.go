package ledger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// journal is what was applied to a file and doesn't stand in its tables yet. A message makes three changes in short
// order (translated, sending, delivered), and the rows of each lie on pages all over the indices. So a change of the usual
// kind is written to the table journal alone, together with others in one row; and to the tables later, many messages in
// one transaction and each row once, in the state that it has by then. A change of another kind that touches a message
// of the journal, and a read that the journal can't answer, has it written there first. After a crash the next open does.
//
// The writer alone changes it, and shows it to readers after the commit.
type journal struct {
	mu         sync.RWMutex
	changes    []*journaled
	entries    map[contracts.ID]contracts.Entry
	deliveries map[contracts.ID]place
	names      map[string][]contracts.Identifier // by value
	bodies     map[contracts.Digest][]byte       // packed
	touched    map[contracts.ID]bool             // messages, deliveries and journeys
	size       int                               // of the changes as they are encoded, in bytes
	most       int                               // changes that it takes
}

// place is where a delivery's row stands.
type place struct {
	in *journaled
	n  int
}

const (
	// journalChanges and journalBytes bound what the journal holds in memory, and how long writing it to the tables takes.
	journalChanges = 4096
	journalBytes   = 16 << 20
	largeChange    = 1 << 20 // bytes from which a change goes to the tables at once

	// journalAge is how long a change stands in the journal alone.
	journalAge = 5 * time.Second
)

// journaled is a change as the journal has it in memory: its bodies stand beside it.
type journaled struct {
	change  contracts.Change
	bodies  []packedBody
	encoded []byte             // until it is written
	moved   contracts.Delivery // its one delivery's row, where it tells of progress

	// Of what a process that was killed left behind: an older version, which knows no journal, may have worked meanwhile.
	left      bool
	surpassed bool   // the tables know more already
	aside     []byte // what can be neither read nor written; then there is nothing else
}

// line is a change as the table has it, JSON. Steps stand beside it, because their own JSON is what people see of them.
type line struct {
	Change contracts.Change
	Steps  []fullStep
	Bodies []packedBody
}

type fullStep struct {
	ID, Journey contracts.ID
	contracts.Step
}

func encode(c contracts.Change, bodies []packedBody) ([]byte, error) {
	l := line{Change: c, Bodies: bodies}
	for _, s := range c.Steps {
		l.Steps = append(l.Steps, fullStep{s.ID, s.Journey, s})
	}
	l.Change.Steps, l.Change.Bodies = nil, nil
	return json.Marshal(l)
}

func decode(text []byte) (*journaled, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	for _, s := range l.Steps {
		s.Step.ID, s.Step.Journey = s.ID, s.Journey
		l.Change.Steps = append(l.Change.Steps, s.Step)
	}
	return &journaled{change: l.Change, bodies: l.Bodies}, nil
}

// forJournal encodes a change for the journal if it is of the usual kind: a message that was translated, or the progress of
// one delivery's attempt without a fault. Nil: it isn't.
func forJournal(c contracts.Change, bodies []packedBody) (*journaled, error) {
	if len(c.Keys)+len(c.Wait)+len(c.Done)+len(c.Replace)+len(c.Revive)+len(c.Pauses)+len(c.Resumes)+len(c.Activations)+len(c.Raise)+len(c.Close) > 0 || !translates(c) && !progresses(c) {
		return nil, nil
	}
	text, err := encode(c, bodies)
	if err != nil || len(text) > largeChange || bytes.Contains(text, notUTF8) {
		return nil, err
	}
	return &journaled{change: owned(c), bodies: bodies, encoded: text}, nil
}

// notUTF8 is what JSON has in the place of bytes that aren't UTF-8. The tables keep these as they came.
var notUTF8 = []byte(`\ufffd`)

// owned copies what a change of the usual kind points to, but for its bodies: it is the caller's again after Apply.
func owned(c contracts.Change) contracts.Change {
	c.Entries, c.Deliveries, c.Identifiers, c.Journeys = slices.Clone(c.Entries), slices.Clone(c.Deliveries), slices.Clone(c.Identifiers), slices.Clone(c.Journeys)
	c.Steps, c.Bodies = slices.Clone(c.Steps), nil
	for i, s := range c.Steps {
		c.Steps[i].Losses = slices.Clone(s.Losses)
		for n := range s.Losses {
			c.Steps[i].Losses[n] = copied(s.Losses[n])
		}
		c.Steps[i].Fault = copied(s.Fault)
	}
	return c
}

func copied(f *contracts.Fault) *contracts.Fault {
	if f == nil {
		return nil
	}
	own := *f
	return &own
}

// translates says that a change tells of one message that was translated, and of nothing else. A delivery that comes twice
// is for the tables: they know whether it may.
func translates(c contracts.Change) bool {
	seen := map[contracts.ID]bool{}
	return len(c.Entries) == 1 && c.Entries[0].State == contracts.StateTranslated && c.Entries[0].Fault == nil &&
		!slices.ContainsFunc(c.Deliveries, func(d contracts.Delivery) bool {
			again := seen[d.ID]
			seen[d.ID] = true
			return again || d.State != contracts.StateTranslated || d.Fault != nil || d.Message != c.Entries[0].ID
		})
}

// progresses says that a change tells of the progress of one delivery, and of nothing else.
func progresses(c contracts.Change) bool {
	return len(c.Deliveries) == 1 && len(c.Entries)+len(c.Identifiers)+len(c.Journeys)+len(c.Bodies) == 0 && c.Deliveries[0].Fault == nil &&
		(c.Deliveries[0].State == contracts.StateSending || c.Deliveries[0].State == contracts.StateDelivered)
}

// ids are what a change touches of messages, deliveries and journeys.
func ids(c contracts.Change) []contracts.ID {
	var all []contracts.ID
	for _, e := range c.Entries {
		all = append(all, e.ID)
	}
	for _, d := range c.Deliveries {
		all = append(all, d.ID, d.Message)
	}
	for _, j := range c.Journeys {
		all = append(all, j.ID)
	}
	return all
}

func newJournal() *journal {
	j := &journal{most: journalChanges}
	j.clear()
	return j
}

// clear forgets all: it stands in the tables.
func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changes, j.size = nil, 0
	j.entries, j.deliveries = map[contracts.ID]contracts.Entry{}, map[contracts.ID]place{}
	j.names, j.bodies, j.touched = map[string][]contracts.Identifier{}, map[contracts.Digest][]byte{}, map[contracts.ID]bool{}
}

// take adds changes that were committed to the table journal.
func (j *journal) take(changes []*journaled) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range changes {
		j.size += len(c.encoded)
		c.encoded = nil
		j.add(c)
	}
}

func (j *journal) add(c *journaled) {
	if c.surpassed || c.aside != nil {
		j.changes = append(j.changes, c)
		j.index(c)
		return
	}
	if c.moved.ID != "" {
		c.change.Deliveries = []contracts.Delivery{c.moved}
		if at, ok := j.deliveries[c.moved.ID]; ok {
			at.in.change.Deliveries[at.n] = c.moved
			at.in.change.Steps = append(at.in.change.Steps, c.change.Steps...)
			return
		}
	}
	j.changes = append(j.changes, c)
	for _, e := range c.change.Entries {
		e.Received = instant(micros(e.Received))
		j.entries[e.ID] = e
	}
	for n, d := range c.change.Deliveries {
		j.deliveries[d.ID] = place{c, n}
	}
	j.index(c)
}

// index shows what a change has of names and bodies, and remembers what it touches.
func (j *journal) index(c *journaled) {
	for _, i := range c.change.Identifiers {
		j.names[i.Value] = append(j.names[i.Value], i)
	}
	for _, b := range c.bodies {
		j.bodies[b.Digest] = b.Stored
	}
	for _, id := range ids(c.change) {
		j.touched[id] = true
	}
}

// empty says that all stands in the tables. A ledger without a journal has an empty one.
func (j *journal) empty() bool {
	if j == nil {
		return true
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	return len(j.changes) == 0
}

func (j *journal) entry(id contracts.ID) (e contracts.Entry, ok bool) {
	if j != nil {
		j.mu.RLock()
		defer j.mu.RUnlock()
		e, ok = j.entries[id]
	}
	return e, ok
}

func (j *journal) delivery(id contracts.ID) (d contracts.Delivery, ok bool) {
	if j != nil {
		j.mu.RLock()
		defer j.mu.RUnlock()
		if at, held := j.deliveries[id]; held {
			return at.in.change.Deliveries[at.n], true
		}
	}
	return d, false
}

func (j *journal) body(d contracts.Digest) (packed []byte, ok bool) {
	if j != nil {
		j.mu.RLock()
		defer j.mu.RUnlock()
		packed, ok = j.bodies[d]
	}
	return packed, ok
}

// named gives the identifiers of a value, as Lookup does.
func (j *journal) named(partner, kind, value string) []contracts.Identifier {
	if j == nil {
		return nil
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	var named []contracts.Identifier
	for _, i := range j.names[value] {
		if (partner == "" || i.Partner == partner) && (kind == "" || i.Kind == kind) {
			named = append(named, i)
		}
	}
	return named
}

// withNames adds names to those of the tables, in the order of Lookup. A name that stands in both is one, and has a
// journey if one of them has.
func withNames(names, more []contracts.Identifier) []contracts.Identifier {
	if len(more) == 0 {
		return names
	}
	all := once(append(names, more...))
	owner := func(i contracts.Identifier) contracts.ID { return cmp.Or(i.Message, i.Journey) }
	slices.SortStableFunc(all, func(a, b contracts.Identifier) int {
		return cmp.Or(cmp.Compare(a.Partner, b.Partner), cmp.Compare(a.Kind, b.Kind), cmp.Compare(owner(a), owner(b)))
	})
	return all
}

// nothing is the work of a task that only has the journal written to the tables.
func nothing(tx) error { return nil }

// toTables has what the journal holds written to the tables, for a read that only they can answer.
func (l *Ledger) toTables(ctx context.Context, op string) error {
	if l.journal.empty() {
		return nil
	}
	return l.w.within(ctx, op, nothing)
}

// admit says whether a change of the usual kind can be written to the journal alone: because its message is new, or its
// delivery's row is known and learns nothing but the progress of its latest attempt, as progressSQL has it. taken are
// the ids that others of the same transaction touch.
func (w *writer) admit(c *journaled, taken map[contracts.ID]bool) (bool, error) {
	for _, d := range c.change.Deliveries {
		if taken[d.ID] {
			return false, nil
		}
	}
	if len(c.change.Entries) > 0 {
		return w.admitNew(c.change, taken)
	}
	d := c.change.Deliveries[0]
	row, ok := w.journal.delivery(d.ID)
	if !ok {
		rows, err := w.query(knownDeliverySQL, string(d.ID))
		if err != nil || len(rows) == 0 {
			return false, err
		}
		if row, err = scanDelivery(values(rows[0])); err != nil {
			return false, err
		}
	}
	facts := row
	facts.State, facts.Attempts, facts.Unknown, facts.Answer, facts.Fault, facts.Place = d.State, d.Attempts, d.Unknown, d.Answer, d.Fault, d.Place
	if facts != d || row.State == contracts.StateDelivered || row.State == contracts.StateStopped ||
		d.Attempts < row.Attempts || d.Attempts == row.Attempts && d.State == contracts.StateSending {
		return false, nil
	}
	d.Answer = cmp.Or(d.Answer, row.Answer)
	if row.Place.Topic != "" {
		d.Place = row.Place
	}
	c.moved = d
	return true, nil
}

const (
	// knownSQL says whether a message or one of its deliveries is there.
	knownSQL        = `SELECT EXISTS (SELECT 1 FROM entries WHERE id = $1) OR EXISTS (SELECT 1 FROM deliveries WHERE message = $1)`
	knownOutSQL     = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE id = $1)`
	addToJournalSQL = `INSERT INTO journal (changes) VALUES ($1)`
	clearJournalSQL = `DELETE FROM journal`
	setAsideSQL     = `INSERT INTO aside (changes) VALUES ($1)`
	readJournalSQL  = `SELECT changes FROM journal ORDER BY seq`
)

var knownDeliverySQL = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.id = $1`

func (w *writer) admitNew(c contracts.Change, taken map[contracts.ID]bool) (bool, error) {
	e := c.Entries[0]
	if taken[e.ID] || w.journal.touched[e.ID] {
		return false, nil
	}
	there := func(text string, id contracts.ID) (bool, error) {
		rows, err := w.query(text, string(id))
		return err != nil || rows[0][0] != int64(0), err
	}
	if known, err := there(knownSQL, e.ID); known {
		return false, err
	}
	for _, d := range c.Deliveries {
		if w.journal.touched[d.ID] {
			return false, nil
		}
		if known, err := there(knownOutSQL, d.ID); known {
			return false, err
		}
	}
	return true, nil
}

// record writes changes to the table journal, as one row.
func (w *writer) record(changes []*journaled) error {
	if len(changes) == 0 {
		return nil
	}
	var lines bytes.Buffer
	for _, c := range changes {
		lines.Write(c.encoded)
		lines.WriteByte('\n')
	}
	_, err := w.exec(addToJournalSQL, contracts.PackSmall(contracts.NewBody(lines.Bytes())))
	return err
}

// carry writes what the journal holds, and then more, to the tables.
func (w *writer) carry(more []*journaled) error {
	for _, c := range slices.Concat(w.journal.changes, more) {
		if err := w.carryOne(c); err != nil {
			return err
		}
	}
	_, err := w.exec(clearJournalSQL)
	return err
}

// carryOne writes one change of the journal to the tables. They can't refuse it: whoever took it into the journal looked. But
// for one that was left behind: what they refuse of it they know better.
func (w *writer) carryOne(c *journaled) error {
	if c.aside != nil {
		_, err := w.exec(setAsideSQL, c.aside)
		return err
	}
	rows, err := prepare(c.change, c.bodies, false)
	if err != nil {
		return err
	}
	for i := range rows {
		if len(c.change.Entries) > 0 {
			rows[i].cheaper = "" // there is no row yet that could move on
		}
		if err := w.put(&rows[i]); err != nil {
			var refusal *contracts.Fault
			if errors.As(err, &refusal) {
				if c.left {
					continue
				}
				return fmt.Errorf("the tables refuse a change of the journal: %s %s", refusal.Code, refusal.At)
			}
			return err
		}
	}
	return nil
}

// reload takes into memory what a process that was killed left in the table journal, and has it written to the tables. Where
// they can't be written now, the disk being full, it stands in the journal as it did before.
func (w *writer) reload() error {
	rows, err := w.query(readJournalSQL)
	if err != nil {
		return err
	}
	for _, row := range rows {
		packed := row[0].([]byte)
		lines, err := contracts.Unpack(packed)
		if err != nil {
			w.journal.take([]*journaled{{aside: packed}})
			continue
		}
		for text := range bytes.Lines(lines.Bytes()) {
			c := leftBehind(text)
			if c.aside == nil {
				fits, err := w.admit(c, nil)
				if err != nil {
					return err
				}
				c.surpassed = !fits
			}
			w.journal.take([]*journaled{c})
		}
	}
	if w.journal.empty() {
		return nil
	}
	if _, err = w.attempt([]*task{{work: nothing}}); err != nil && unavailable(err) {
		return nil
	}
	return err
}

// leftBehind reads a line that another process wrote. One that can't be read or written is set aside, so that it stands
// in the way of nothing else.
func leftBehind(text []byte) *journaled {
	c, err := decode(text)
	if err == nil {
		_, err = prepare(c.change, c.bodies, false)
	}
	if err != nil || len(c.change.Entries)+len(c.change.Deliveries) == 0 {
		return &journaled{aside: contracts.PackSmall(contracts.NewBody(text))}
	}
	c.left, c.encoded = true, text
	return c
}

// Aside counts the changes that were left in the journal by a process that was killed and that nobody could read or write.
// They are kept in the table aside. A ledger without a journal has none.
func (l *Ledger) Aside(ctx context.Context) (int64, error) {
	if l.shared {
		return 0, nil
	}
	if err := l.toTables(ctx, "aside"); err != nil {
		return 0, err
	}
	scan := func(r rowScanner) (n int64, err error) { return n, r.Scan(&n) }
	n, err := all(ctx, l.reads, scan, `SELECT count(*) FROM aside`)
	return one("aside", "count", n, err)
}

// values are a row's columns, to be scanned into strings, numbers and bools.
type values []any

// Scan copies the columns.
func (v values) Scan(into ...any) error {
	for i, to := range into {
		to := reflect.ValueOf(to).Elem()
		switch value := v[i].(type) {
		case string:
			to.SetString(value)
		case int64:
			if to.Kind() == reflect.Bool {
				to.SetBool(value != 0)
			} else {
				to.SetInt(value)
			}
		}
	}
	return nil
}

package ledger

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Apply writes c whole or not at all, and returns when it is on disk. Of c's parts Keys come first, then Wait, Done,
// Replace and Revive, so a change that spills a key may let a message wait behind it, and one that takes the last
// message away may revive it. A refusal is a fault of kind conflict; contracts.Change says when, and at which place.
func (l *Ledger) Apply(ctx context.Context, c contracts.Change) error {
	return l.w.apply(ctx, c)
}

// statement writes one row or several of a table. If it touches no row and has a refuse, that tells why the change is
// refused.
type statement struct {
	text    string
	args    []any
	cheaper string // does the same by the same arguments more cheaply, unless it touches no row: then nothing is done yet
	refuse  func(tx) error
	turn    turn   // of its table
	row     string // what it locks there
	month   month  // in which its history lies
}

// turn is the order in which transactions lock rows: by table, then by row.
type turn int

const (
	bodyTurn turn = iota
	deliveryTurn
	entryTurn
	stepTurn
	identifierTurn
	journeyTurn
	keyTurn
	waitTurn
	doneTurn
	replaceTurn
	reviveTurn
	pauseTurn
	activationTurn
	raiseTurn
)

func refusal(code, at, public string) func(tx) error {
	return func(tx) error { return contracts.Faultf(contracts.Conflict, code, at, "%s", public) }
}

var (
	otherBytes = refusal("LED-005", "digest", "A delivery of this id has other bytes; the same id never leaves with two contents.")
	keyIsLive  = refusal("LED-006", "key", "Nothing may wait behind a key that is live.")
	attempted  = refusal("LED-007", "attempt", "A later attempt was made already, or the delivery is finished: another process works it.")
	stopped    = refusal("LED-012", "stopped", "A person stopped this message; it goes no further unless a person says so.")
	notWaiting = refusal("LED-008", "message", "The message whose place is to be taken doesn't wait behind this key.")
)

// refuseDelivery tells the two reasons for which a delivery isn't written apart.
func refuseDelivery(d contracts.Delivery) func(tx) error {
	return func(open tx) error {
		rows, err := open.query(heldDigestSQL, string(d.ID))
		if err != nil {
			return err
		}
		if held := rows[0][0].(string); held != "" && d.Digest != "" && held != string(d.Digest) {
			return otherBytes(open)
		}
		return attempted(open)
	}
}

// packedBody is a body as it is stored.
type packedBody struct {
	Digest contracts.Digest
	Stored []byte
}

func pack(c contracts.Change) []packedBody {
	packed := make([]packedBody, len(c.Bodies))
	for i, b := range c.Bodies {
		packed[i] = packedBody{b.Digest, contracts.PackSmall(b.Body)}
	}
	return packed
}

// prepare turns a change with its bodies into statements, for a database that is shared or for a file.
func prepare(c contracts.Change, bodies []packedBody, shared bool) ([]statement, error) {
	p := preparation{texts: fileTexts, stored: bodies}
	if shared {
		at := received(c)
		p.texts, p.month, p.received = sharedTexts, monthOf(at), []any{micros(at)}
	}
	parts := []func(contracts.Change) error{p.bodies, p.deliveries, p.entries, p.shown, p.steps, p.identifiers, p.journeys, p.keys}
	if shared {
		parts = append(parts, p.locks)
	}
	for _, part := range append(parts, p.waits, p.replacements, p.revivals, p.pauses, p.activations, p.raised) {
		if err := part(c); err != nil {
			return nil, err
		}
	}
	return p.rows, nil
}

type preparation struct {
	rows     []statement
	texts    texts
	month    month // in which history lies; 0 in a file, which has no months
	received []any // a column of deliveries that a file doesn't have
	stored   []packedBody
}

func (p *preparation) add(turn turn, row, text string, args ...any) {
	p.rows = append(p.rows, statement{text: text, args: args, turn: turn, row: row, month: p.month})
}

// in gives a row of history its month, where history lies in months.
func (p *preparation) in(m month, args ...any) []any {
	if p.month == 0 {
		return args
	}
	return append(args, int64(m))
}

// addMany adds rows by as few statements as there are texts for; the column row says which rows they are.
func (p *preparation) addMany(turn turn, row int, m many, args []any) {
	for len(args) > 0 {
		rows := min(len(args)/m.columns, len(m.texts))
		p.add(turn, args[row].(string), m.texts[rows-1], args[:rows*m.columns]...)
		args = args[rows*m.columns:]
	}
}

// many is a statement for one row and more: texts[n-1] is the one for n rows.
type many struct {
	columns int
	texts   []string
}

// forRows writes the statements for up to most rows.
func forRows(most int, insert string, columns int, conflict string) many {
	m := many{columns: columns}
	var values strings.Builder
	for n := range most {
		for c := range columns {
			sign := ", "
			if c == 0 && n == 0 {
				sign = "("
			} else if c == 0 {
				sign = "), ("
			}
			values.WriteString(sign + "$" + strconv.Itoa(n*columns+c+1))
		}
		m.texts = append(m.texts, insert+" VALUES "+values.String()+") "+conflict)
	}
	return m
}

func (p *preparation) bodies(c contracts.Change) error {
	for _, b := range p.stored {
		if b.Digest == "" {
			return incomplete("body")
		}
		p.add(bodyTurn, string(b.Digest), p.texts.body, p.in(p.month, string(b.Digest), micros(received(c)), b.Stored)...)
	}
	return nil
}

// received is when the message of a change was received, as far as the change tells; else it is now.
func received(c contracts.Change) time.Time {
	if !c.Received.IsZero() {
		return c.Received
	}
	for _, e := range c.Entries {
		if !e.Received.IsZero() {
			return e.Received
		}
	}
	return time.Now()
}

func (p *preparation) entries(c contracts.Change) error {
	for _, e := range c.Entries {
		if e.ID == "" {
			return incomplete("entry")
		}
		text, err := faultText(e.Fault)
		if err != nil {
			return err
		}
		p.rows = append(p.rows, statement{text: entrySQL, args: []any{string(e.ID), e.Partner, e.Format, e.Control, e.Type, e.Version, e.Application, e.Facility, string(e.Key),
			micros(e.Received), string(e.Journey), string(e.Origin), e.Event, string(e.Cause), string(e.State), e.Map,
			string(e.Canonical), string(e.Digest), text, e.Place.Topic, int64(e.Place.Partition), e.Place.Offset}, refuse: stopped, turn: entryTurn, row: string(e.ID)})
	}
	return nil
}

func (p *preparation) deliveries(c contracts.Change) error {
	for _, d := range c.Deliveries {
		if d.ID == "" || d.Message == "" {
			return incomplete("delivery")
		}
		text, err := faultText(d.Fault)
		if err != nil {
			return err
		}
		args := append([]any{string(d.ID), string(d.Message), string(d.Journey), d.Partner, d.Route, int64(d.Generation),
			d.Control, d.Type, d.Format, d.Map, string(d.Key), string(d.Digest), string(d.State), rank(d.State), int64(d.Attempts), d.Unknown,
			d.Answer, text, d.Place.Topic, int64(d.Place.Partition), d.Place.Offset}, p.received...)
		row := statement{text: p.texts.delivery, args: args, month: p.month, refuse: refuseDelivery(d), turn: deliveryTurn, row: string(d.Message)} // a message's stay in the order of receivers
		if d.State != "" && d.State != contracts.StateTranslated {
			row.cheaper = progressSQL
		}
		p.rows = append(p.rows, row)
	}
	return nil
}

// shown brings the state that lists show up to date for messages whose deliveries alone are written; an entry's own
// write sees to its own.
func (p *preparation) shown(c contracts.Change) error {
	done := map[contracts.ID]bool{}
	for _, e := range c.Entries {
		done[e.ID] = true
	}
	for _, d := range c.Deliveries {
		if !done[d.Message] {
			done[d.Message] = true
			p.add(entryTurn, string(d.Message), shownSQL, string(d.Message))
		}
	}
	return nil
}

func (p *preparation) steps(c contracts.Change) error {
	var args []any
	for _, s := range c.Steps {
		if s.ID == "" {
			return incomplete("step")
		}
		text, err := faultText(s.Fault)
		if err != nil {
			return err
		}
		findings, err := findingsText(s.Losses)
		if err != nil {
			return err
		}
		args = append(args, p.in(p.month, string(s.ID), micros(s.At), string(s.Journey), string(s.Message), s.Control, s.Type, s.Step, s.From, s.To, s.Map,
			int64(s.Attempt), s.Answer, string(s.Digest), text, findings, s.Reason, string(s.Other))...)
	}
	p.addMany(stepTurn, 3, p.texts.steps, args)
	return nil
}

func (p *preparation) identifiers(c contracts.Change) error {
	var args []any
	for _, i := range once(c.Identifiers) {
		owner, in := i.Message, p.month
		if owner == "" {
			owner, in = i.Journey, ofJourneys
		}
		if i.Value == "" || owner == "" {
			return incomplete("identifier")
		}
		args = append(args, p.in(in, i.Value, i.Partner, i.Kind, string(owner), string(i.Message), string(i.Journey))...)
	}
	p.addMany(identifierTurn, 3, p.texts.identifiers, args)
	return nil
}

// once leaves out what comes twice: one statement can't write a row twice.
func once(is []contracts.Identifier) []contracts.Identifier {
	at := map[contracts.Identifier]int{}
	var out []contracts.Identifier
	for _, i := range is {
		name := i
		if i.Message != "" {
			name.Journey = ""
		}
		n, known := at[name]
		if !known {
			at[name] = len(out)
			out = append(out, i)
		} else if out[n].Journey == "" {
			out[n].Journey = i.Journey
		}
	}
	return out
}

func (p *preparation) journeys(c contracts.Change) error {
	for _, j := range c.Journeys {
		if j.ID == "" {
			return incomplete("journey")
		}
		p.add(journeyTurn, string(j.ID), journeySQL, string(j.ID), j.State, micros(j.Started), micros(j.Updated))
	}
	return nil
}

func (p *preparation) keys(c contracts.Change) error {
	for _, k := range c.Keys {
		if k.Topic == "" || k.Key == "" || (k.Condition != contracts.KeySpilled && k.Condition != contracts.KeyParked) {
			return incomplete("key")
		}
		text, err := faultText(k.Fault)
		if err != nil {
			return err
		}
		p.add(keyTurn, of(k.KeyRef), keySQL, k.Topic, string(k.Key), string(k.Condition), micros(k.Since), string(k.Message), text)
	}
	return nil
}

// locks takes the rows of the keys that a change lets messages wait behind or revives, so that nobody else does so at
// the same time.
func (p *preparation) locks(c contracts.Change) error {
	refs := slices.Clone(c.Revive)
	for _, m := range slices.Concat(c.Wait, c.Done) {
		refs = append(refs, m.KeyRef)
	}
	for _, r := range c.Replace {
		refs = append(refs, r.By.KeyRef)
	}
	for _, r := range refs {
		p.add(keyTurn, of(r), lockSQL, r.Topic, string(r.Key))
	}
	return nil
}

func of(r contracts.KeyRef) string { return r.Topic + " " + string(r.Key) }

func (p *preparation) waits(c contracts.Change) error {
	for _, m := range c.Wait {
		if m.Topic == "" || m.Key == "" || m.Message == "" {
			return incomplete("waiting message")
		}
		p.rows = append(p.rows, statement{text: waitSQL, args: []any{m.Topic, string(m.Key), string(m.Message), m.Park.Topic, int64(m.Park.Partition),
			m.Park.Offset, micros(m.Since), micros(m.Due), int64(m.Attempts)}, refuse: keyIsLive, turn: waitTurn, row: of(m.KeyRef)})
	}
	for _, m := range c.Done {
		p.add(doneTurn, of(m.KeyRef), `DELETE FROM waiting WHERE topic = $1 AND key = $2 AND message = $3`, m.Topic, string(m.Key), string(m.Message))
	}
	return nil
}

func (p *preparation) replacements(c contracts.Change) error {
	for _, r := range c.Replace {
		m := r.By
		if m.Topic == "" || m.Key == "" || m.Message == "" || r.Old == "" {
			return incomplete("replacement")
		}
		p.rows = append(p.rows, statement{text: replaceSQL, args: []any{m.Topic, string(m.Key), string(r.Old), string(m.Message), m.Park.Topic, int64(m.Park.Partition),
			m.Park.Offset, micros(m.Since), micros(m.Due), int64(m.Attempts)}, refuse: notWaiting, turn: replaceTurn, row: of(m.KeyRef)})
	}
	return nil
}

func (p *preparation) revivals(c contracts.Change) error {
	for _, r := range c.Revive {
		p.add(reviveTurn, of(r), reviveSQL, r.Topic, string(r.Key))
	}
	return nil
}

func (p *preparation) pauses(c contracts.Change) error {
	for _, pause := range c.Pauses {
		if pause.Partner == "" {
			return incomplete("pause")
		}
		p.add(pauseTurn, pause.Partner, `INSERT INTO pauses (partner, since, operator, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (partner) DO NOTHING`,
			pause.Partner, micros(pause.Since), pause.Operator, pause.Reason)
	}
	for _, partner := range c.Resumes {
		p.add(pauseTurn, partner, `DELETE FROM pauses WHERE partner = $1`, partner)
	}
	return nil
}

func (p *preparation) activations(c contracts.Change) error {
	for _, a := range c.Activations {
		if a.ID == "" {
			return incomplete("activation")
		}
		p.add(activationTurn, string(a.ID), `INSERT INTO activations (id, map, version, before, partner, type, at, made, operator, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
			string(a.ID), a.Map, a.Version, a.Before, a.Partner, a.Type, micros(a.At), micros(a.Made), a.Operator, a.Reason)
	}
	return nil
}

func (p *preparation) raised(c contracts.Change) error {
	for _, r := range c.Raise {
		if r.Issue == "" || r.Message == "" {
			return incomplete("part in an issue")
		}
		text, err := faultText(r.Fault)
		if err != nil {
			return err
		}
		p.add(raiseTurn, string(r.Issue), `INSERT INTO raised (issue, message, at, partner, map, fault) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (issue, message) DO NOTHING`,
			string(r.Issue), string(r.Message), micros(r.At), r.Partner, r.Map, text)
	}
	for _, issue := range c.Close {
		p.add(raiseTurn, string(issue), `DELETE FROM raised WHERE issue = $1`, string(issue))
	}
	return nil
}

// In what follows the older value stands first where it wins, and the newer one where that wins.
const (
	entrySQL = `INSERT INTO entries (id, partner, format, control, type, version, application, facility, key, received,
	journey, origin, event, cause, state, shown, map, canonical, digest, fault, place_topic, place_partition, place_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, COALESCE(` + leastSQL + `, $15), $16, $17, $18, $19, $20, $21, $22)
ON CONFLICT (id) DO UPDATE SET
	partner         = COALESCE(NULLIF(entries.partner, ''), excluded.partner),
	format          = COALESCE(NULLIF(entries.format, ''), excluded.format),
	control         = COALESCE(NULLIF(entries.control, ''), excluded.control),
	type            = COALESCE(NULLIF(entries.type, ''), excluded.type),
	version         = COALESCE(NULLIF(entries.version, ''), excluded.version),
	application     = COALESCE(NULLIF(entries.application, ''), excluded.application),
	facility        = COALESCE(NULLIF(entries.facility, ''), excluded.facility),
	key             = COALESCE(NULLIF(entries.key, ''), excluded.key),
	received        = COALESCE(NULLIF(entries.received, 0), excluded.received),
	journey         = COALESCE(NULLIF(entries.journey, ''), excluded.journey),
	origin          = COALESCE(NULLIF(entries.origin, ''), excluded.origin),
	cause           = COALESCE(NULLIF(entries.cause, ''), excluded.cause),
	digest          = COALESCE(NULLIF(entries.digest, ''), excluded.digest),
	place_partition = CASE WHEN entries.place_topic <> '' THEN entries.place_partition ELSE excluded.place_partition END,
	place_offset    = CASE WHEN entries.place_topic <> '' THEN entries.place_offset ELSE excluded.place_offset END,
	place_topic     = COALESCE(NULLIF(entries.place_topic, ''), excluded.place_topic),
	event           = COALESCE(NULLIF(excluded.event, ''), entries.event),
	shown           = COALESCE(` + leastSQL + `, NULLIF(excluded.state, ''), entries.state),
	state           = COALESCE(NULLIF(excluded.state, ''), entries.state),
	map             = COALESCE(NULLIF(excluded.map, ''), entries.map),
	canonical       = COALESCE(NULLIF(excluded.canonical, ''), entries.canonical),
	fault           = CASE WHEN excluded.fault <> '' OR excluded.state IN ('translated', 'delivered') THEN excluded.fault ELSE entries.fault END
WHERE entries.state <> 'stopped' OR excluded.state NOT IN ('translated', 'waiting', 'parked')`

	deliveryColumnsSQL = `id, message, journey, partner, route, generation, control, type, format, map, key,
	digest, state, rank, attempts, unknown, answer, fault, place_topic, place_partition, place_offset`

	deliveryConflictSQL = `ON CONFLICT (id) DO UPDATE SET
	journey         = COALESCE(NULLIF(deliveries.journey, ''), excluded.journey),
	partner         = COALESCE(NULLIF(deliveries.partner, ''), excluded.partner),
	route           = COALESCE(NULLIF(deliveries.route, ''), excluded.route),
	generation      = COALESCE(NULLIF(deliveries.generation, 0), excluded.generation),
	control         = COALESCE(NULLIF(deliveries.control, ''), excluded.control),
	type            = COALESCE(NULLIF(deliveries.type, ''), excluded.type),
	format          = COALESCE(NULLIF(deliveries.format, ''), excluded.format),
	map             = COALESCE(NULLIF(deliveries.map, ''), excluded.map),
	key             = COALESCE(NULLIF(deliveries.key, ''), excluded.key),
	digest          = COALESCE(NULLIF(deliveries.digest, ''), excluded.digest),
	place_partition = CASE WHEN deliveries.place_topic <> '' THEN deliveries.place_partition ELSE excluded.place_partition END,
	place_offset    = CASE WHEN deliveries.place_topic <> '' THEN deliveries.place_offset ELSE excluded.place_offset END,
	place_topic     = COALESCE(NULLIF(deliveries.place_topic, ''), excluded.place_topic),
	rank            = CASE WHEN ` + movesSQL + ` THEN excluded.rank ELSE deliveries.rank END,
	unknown         = CASE WHEN ` + movesSQL + ` THEN excluded.unknown ELSE deliveries.unknown END,
	state           = CASE WHEN ` + movesSQL + ` THEN excluded.state ELSE deliveries.state END,
	attempts        = CASE WHEN excluded.attempts <> 0 AND excluded.state <> 'translated' THEN excluded.attempts ELSE deliveries.attempts END,
	answer          = CASE WHEN excluded.answer <> '' AND excluded.state <> 'translated' THEN excluded.answer ELSE deliveries.answer END,
	fault           = CASE WHEN excluded.state IN ('delivered', 'sending') OR excluded.fault <> '' AND excluded.state <> 'translated' THEN excluded.fault
		ELSE deliveries.fault END
WHERE (deliveries.digest = excluded.digest OR deliveries.digest = '' OR excluded.digest = '')
	AND (excluded.state <> 'sending' OR deliveries.state NOT IN ('delivered', 'stopped') AND deliveries.attempts < excluded.attempts)
	AND (excluded.state <> 'stopped' OR deliveries.attempts <= excluded.attempts)
	AND (excluded.state NOT IN ('waiting', 'parked') OR deliveries.state <> 'delivered' AND deliveries.attempts <= excluded.attempts)`

	// progressSQL is deliverySQL, by the same arguments, for a row that is there, isn't at its end, and learns nothing but
	// the progress of its latest attempt.
	progressSQL = `UPDATE deliveries SET state = $13, rank = $14, unknown = $16,
	attempts        = CASE WHEN $15 <> 0 THEN $15 ELSE attempts END,
	answer          = CASE WHEN $17 <> '' THEN $17 ELSE answer END,
	fault           = CASE WHEN $18 <> '' OR $13 IN ('delivered', 'sending') THEN $18 ELSE fault END,
	place_partition = CASE WHEN place_topic <> '' THEN place_partition ELSE $20 END,
	place_offset    = CASE WHEN place_topic <> '' THEN place_offset ELSE $21 END,
	place_topic     = CASE WHEN place_topic <> '' THEN place_topic ELSE $19 END
WHERE id = $1 AND message = $2 AND journey = $3 AND partner = $4 AND route = $5 AND generation = $6 AND control = $7 AND type = $8
	AND format = $9 AND map = $10 AND key = $11 AND digest = $12
	AND state NOT IN ('delivered', 'stopped') AND (attempts < $15 OR attempts = $15 AND $13 <> 'sending')`

	heldDigestSQL = `SELECT digest FROM deliveries WHERE id = $1`

	// movesSQL says whether a write moves a delivery on that is there already. One of state translated never does, since
	// the translator may do a message again while its delivery is under way; what a person stopped moves only to delivered.
	movesSQL = `(excluded.state NOT IN ('', 'translated') AND (deliveries.state <> 'stopped' OR excluded.state = 'delivered'))`

	shownSQL = `UPDATE entries SET shown = COALESCE(` + leastSQL + `, state) WHERE id = $1`

	// leastSQL is the state of message $1's least advanced delivery.
	leastSQL = `(SELECT d.state FROM deliveries d WHERE d.message = $1 AND d.state <> '' ORDER BY d.rank, d.seq LIMIT 1)`

	journeySQL = `INSERT INTO journeys (id, state, started, updated) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET
	state   = CASE WHEN excluded.state <> '' AND excluded.updated >= journeys.updated THEN excluded.state ELSE journeys.state END,
	started = COALESCE(NULLIF(journeys.started, 0), excluded.started),
	updated = CASE WHEN excluded.updated > journeys.updated THEN excluded.updated ELSE journeys.updated END`

	lockSQL = `SELECT 1 FROM keys WHERE topic = $1 AND key = $2 FOR UPDATE`

	keySQL = `INSERT INTO keys (topic, key, condition, since, message, fault) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (topic, key) DO UPDATE SET condition = excluded.condition, since = excluded.since, message = excluded.message, fault = excluded.fault`

	// The SELECT finds no row for a live key, so nothing is written.
	waitSQL = `INSERT INTO waiting (topic, key, seq, message, park_topic, park_partition, park_offset, since, due, attempts)
SELECT k.topic, k.key, (SELECT COALESCE(MAX(w.seq), 0) + 1 FROM waiting w WHERE w.topic = k.topic AND w.key = k.key), $3, $4,
	CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BIGINT), CAST($8 AS BIGINT), CAST($9 AS BIGINT)
FROM keys k WHERE k.topic = $1 AND k.key = $2
ON CONFLICT (topic, key, message) DO UPDATE SET due = excluded.due, attempts = excluded.attempts`

	// A message waits behind a key once.
	replaceSQL = `UPDATE waiting SET message = $4, park_topic = $5, park_partition = $6, park_offset = $7, since = $8, due = $9, attempts = $10
WHERE topic = $1 AND key = $2 AND message = $3
	AND ($3 = $4 OR NOT EXISTS (SELECT 1 FROM waiting w WHERE w.topic = $1 AND w.key = $2 AND w.message = $4))`

	reviveSQL = `DELETE FROM keys WHERE topic = $1 AND key = $2
	AND NOT EXISTS (SELECT 1 FROM waiting w WHERE w.topic = $1 AND w.key = $2)`
)

// rank orders states from the least to the most advanced: first those that need a person (parked, then refused), then
// those on their way, then delivered; stopped comes last, because a message that was stopped for one receiver is as far
// as the others have got.
func rank(s contracts.State) int64 {
	switch s {
	case contracts.StateParked:
		return 1
	case contracts.StateRefused:
		return 2
	case contracts.StateWaiting:
		return 3
	case contracts.StateReceived:
		return 4
	case contracts.StateTranslated:
		return 5
	case contracts.StateSending:
		return 6
	case contracts.StateDelivered:
		return 7
	case contracts.StateStopped:
		return 8
	}
	return 9
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// texts are the statements that differ between a file and a server: there history lies in months, which are part of its
// keys, and a delivery tells when its message was received.
type texts struct {
	body        string
	delivery    string
	steps       many
	identifiers many
}

var fileTexts, sharedTexts = newTexts(0, "", ""), newTexts(1, ", month", ", received")

func newTexts(more int, month, received string) texts {
	return texts{
		// A body that comes again becomes younger, so that it isn't forgotten with the first message that had it.
		body: forRows(1, `INSERT INTO bodies (digest, received, body`+month+`)`, 3+more,
			`ON CONFLICT (digest`+month+`) DO UPDATE SET received = excluded.received WHERE excluded.received > bodies.received`).texts[0],
		delivery: forRows(1, `INSERT INTO deliveries (`+deliveryColumnsSQL+received+`)`, 21+more, deliveryConflictSQL).texts[0],
		steps: forRows(8, `INSERT INTO steps (id, at, journey, message, control, type, step, sender, receiver, map, attempt, answer, digest, fault, findings,
	reason, other`+month+`)`, 17+more, `ON CONFLICT (message, id`+month+`) DO NOTHING`),
		identifiers: forRows(16, `INSERT INTO ids (value, partner, kind, owner, message, journey`+month+`)`, 6+more,
			`ON CONFLICT (value, partner, kind, owner`+month+`) DO UPDATE SET journey = excluded.journey WHERE ids.journey = '' AND excluded.journey <> ''`),
	}
}

package embedded

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// A group commit takes what waits, up to these bounds.
const (
	batchRecords = 1024
	batchBytes   = 16 << 20
)

// markDelay is how late a low watermark may be written when no record is published that would take it along.
const markDelay = 50 * time.Millisecond

// placeBits is the room for offsets in a place's row id; topics count above it.
const placeBits = 40

// request asks the writer for one thing, in the next transaction.
type request struct {
	record *contracts.Record // to append, if set
	header []byte
	stored []byte // the body in envelope form, or nil when it lies in the file large
	large  string
	once   *contracts.Once
	beat   bool // write something, whatever it is
	trim   *trim

	answer chan answer // holds one
	result answer      // until the transaction is committed
}

type answer struct {
	published contracts.Published
	unused    bool // the record was surely not appended
	err       error
}

// writer is the only one who writes. Its goroutine puts all requests that wait into one transaction, and answers them
// after the commit.
type writer struct {
	bus      *Bus
	db       *sql.DB
	conn     *sql.Conn
	requests chan *request
	marked   chan struct{} // holds one: a low watermark rose
	ended    chan struct{}

	begin, commit, rollback, beat           *sql.Stmt
	addTopic, addRecord, addClaim, addGroup *sql.Stmt
	findClaim, trimRecords, setFloor        *sql.Stmt

	dirty  map[subscription]int64 // watermarks to write; guarded by bus.mu
	staged map[string]topic       // what the open transaction makes of topics

	doubtful []string // files of bodies that no committed record names
}

func (w *writer) prepare(ctx context.Context) (err error) {
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	w.dirty = map[subscription]int64{}
	for _, s := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.beat, "UPDATE beat SET n = n + 1"},
		{&w.addTopic, "INSERT INTO topics (name) VALUES (?)"},
		{&w.addRecord, "INSERT INTO records (place, topic, key, id, at, header, body, large) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
		{&w.addClaim, "INSERT INTO claims (key, digest, id, at, place) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"},
		{&w.addGroup, "INSERT INTO groups (topic, name, next) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = excluded.next"},
		{&w.trimRecords, "DELETE FROM records WHERE place >= ? AND place < ?"},
		{&w.setFloor, "UPDATE topics SET floor = ? WHERE id = ?"},
		{&w.findClaim, "SELECT digest, id, at, place FROM claims WHERE key = ?"},
	} {
		if *s.into, err = w.conn.PrepareContext(ctx, s.query); err != nil {
			return err
		}
	}
	return nil
}

// do hands a request to the writer and waits for its answer.
func (w *writer) do(ctx context.Context, r *request) answer {
	r.answer = make(chan answer, 1)
	if err := ctx.Err(); err != nil {
		return answer{unused: true, err: leftFault(err)}
	}
	select {
	case w.requests <- r:
	case <-ctx.Done():
		return answer{unused: true, err: leftFault(ctx.Err())}
	}
	select {
	case a := <-r.answer:
		return a
	case <-ctx.Done():
		return answer{err: leftFault(ctx.Err())}
	}
}

// run works until requests is closed; then it writes the last watermarks.
func (w *writer) run() {
	defer close(w.ended)
	var due <-chan time.Time
	for {
		select {
		case r, open := <-w.requests:
			if !open {
				w.write(nil)
				return
			}
			w.write(w.gather(r))
			due = nil
		case <-w.marked:
			if due == nil {
				due = time.After(markDelay)
			}
		case <-due:
			w.write(nil)
			due = nil
		}
	}
}

// gather gives first and what waits behind it. It waits for nobody: while one group is written the next one gathers.
func (w *writer) gather(first *request) []*request {
	batch, size := []*request{first}, len(first.stored)
	for len(batch) < batchRecords && size < batchBytes {
		select {
		case r, open := <-w.requests:
			if !open {
				return batch
			}
			batch, size = append(batch, r), size+len(r.stored)
		default:
			return batch
		}
	}
	return batch
}

// write does a batch in one transaction and answers it.
func (w *writer) write(batch []*request) {
	marks := w.takeMarks()
	if len(batch) == 0 && len(marks) == 0 {
		return
	}
	err := w.transact(batch, marks)
	if err != nil {
		w.returnMarks(marks)
	} else {
		w.bus.appended(w.staged)
	}
	w.settleFiles(batch, err == nil)
	for _, r := range batch {
		if err != nil {
			r.result = answer{err: writeFault(err)}
		}
		r.answer <- r.result
	}
}

// settleFiles removes the bodies that no record came to name. After a commit that failed it isn't known whether a
// crash would bring it back; the next commit that succeeds buries it, and only then its files go.
func (w *writer) settleFiles(batch []*request, committed bool) {
	for _, r := range batch {
		if r.large != "" && (!committed || r.result.unused) {
			w.doubtful = append(w.doubtful, r.large)
		}
	}
	if !committed {
		return
	}
	for _, name := range w.doubtful {
		// A file that can't be removed now is removed by the next open.
		_ = w.bus.bodies.remove(name)
	}
	w.doubtful = nil
}

func (w *writer) transact(batch []*request, marks map[subscription]int64) error {
	ctx := context.Background()
	w.staged = map[string]topic{}
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	err := w.statements(ctx, batch, marks)
	if err == nil {
		_, err = w.commit.ExecContext(ctx)
	}
	if err != nil {
		// SQLite may have rolled back by itself, then this fails and means nothing.
		_, _ = w.rollback.ExecContext(ctx)
	}
	return err
}

func (w *writer) statements(ctx context.Context, batch []*request, marks map[subscription]int64) error {
	for _, r := range batch {
		if err := w.one(ctx, r); err != nil {
			return err
		}
	}
	for sub, next := range marks {
		t, err := w.topic(ctx, sub.topic)
		if err != nil {
			return err
		}
		if _, err := w.addGroup.ExecContext(ctx, t.id, sub.group, next); err != nil {
			return err
		}
	}
	return nil
}

// one does one request and leaves the answer in its result.
func (w *writer) one(ctx context.Context, r *request) error {
	if r.beat {
		_, err := w.beat.ExecContext(ctx)
		return err
	}
	if r.trim != nil {
		return w.forget(ctx, *r.trim)
	}
	if r.record == nil {
		return nil
	}
	t, err := w.topic(ctx, r.record.Topic)
	if err != nil {
		return err
	}
	place := t.id<<placeBits | t.next
	r.result.published = contracts.Published{First: r.record.Time, ID: r.record.ID, Place: placeOf(r.record.Topic, place)}
	if r.once != nil {
		if err := w.claim(ctx, r, place); err != nil || r.result.unused {
			return err
		}
	}
	rec := r.record
	var large any
	if r.large != "" {
		large = r.large
	}
	if _, err := w.addRecord.ExecContext(ctx, place, t.id, string(rec.Key), string(rec.ID), rec.Time.UnixMicro(), string(r.header), r.stored, large); err != nil {
		return err
	}
	t.next++
	w.staged[rec.Topic] = t
	return nil
}

// forget removes a topic's records below an offset.
func (w *writer) forget(ctx context.Context, below trim) error {
	t, err := w.topic(ctx, below.topic)
	if err != nil || below.below <= t.floor {
		return err
	}
	if _, err := w.trimRecords.ExecContext(ctx, t.id<<placeBits|t.floor, t.id<<placeBits|below.below); err != nil {
		return err
	}
	if _, err := w.setFloor.ExecContext(ctx, below.below, t.id); err != nil {
		return err
	}
	t.floor = below.below
	w.staged[below.topic] = t
	return nil
}

// claim settles r's claim. If the key is taken, the answer is the first claim's, and r is not to be appended.
func (w *writer) claim(ctx context.Context, r *request, place int64) error {
	p := &r.result.published
	done, err := w.addClaim.ExecContext(ctx, string(r.once.Key), string(r.once.Digest), string(p.ID), p.First.UnixMicro(), place)
	if err != nil {
		return err
	}
	added, err := done.RowsAffected()
	if err != nil || added == 1 {
		p.Claim = contracts.ClaimNew
		return err
	}
	var digest contracts.Digest
	var at, first int64
	if err := w.findClaim.QueryRowContext(ctx, string(r.once.Key)).Scan(&digest, &p.ID, &at, &first); err != nil {
		return err
	}
	r.result.unused = true
	p.First = time.UnixMicro(at).UTC()
	p.Claim, p.Place = contracts.ClaimOther, contracts.Place{}
	if digest == r.once.Digest {
		p.Claim, p.Place = contracts.ClaimSame, placeOf(r.record.Topic, first)
	}
	return nil
}

// topic gives a topic as the open transaction sees it, made if need be.
func (w *writer) topic(ctx context.Context, name string) (topic, error) {
	t, ok := w.staged[name]
	if !ok {
		t = w.bus.known(name)
	}
	if t.id == 0 {
		added, err := w.addTopic.ExecContext(ctx, name)
		if err != nil {
			return t, err
		}
		if t.id, err = added.LastInsertId(); err != nil {
			return t, err
		}
		w.staged[name] = t
	}
	return t, nil
}

// appended makes a committed transaction's records known and wakes who waits for them.
func (b *Bus) appended(staged map[string]topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.Copy(b.topics, staged)
	for sub, c := range b.consumers {
		if _, ok := staged[sub.topic]; ok {
			c.poke()
		}
	}
}

// mark notes a low watermark, to be written soon.
func (b *Bus) mark(sub subscription, next int64) {
	b.mu.Lock()
	b.marks[sub] = next
	b.writer.dirty[sub] = next
	b.mu.Unlock()
	select {
	case b.writer.marked <- struct{}{}:
	default:
	}
}

func (w *writer) takeMarks() map[subscription]int64 {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	marks := w.dirty
	w.dirty = map[subscription]int64{}
	return marks
}

// returnMarks puts back what couldn't be written, unless it rose meanwhile.
func (w *writer) returnMarks(marks map[subscription]int64) {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	for sub, next := range marks {
		w.dirty[sub] = max(next, w.dirty[sub])
	}
}

func (w *writer) close() error {
	var err error
	if w.conn != nil {
		err = w.conn.Close()
	}
	return errors.Join(err, w.db.Close())
}

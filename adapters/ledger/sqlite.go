package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/hoitosilta/silta/contracts"
)

// readers is the number of connections that read at once.
const readers = 6

// Open opens the ledger in the SQLite file at path, which is made (for its owner alone) if it isn't there, and brings
// its tables to this version's form. One process at a time may have it open; who holds the folder's lock sees to that.
func Open(path string) (*Ledger, error) {
	l, err := openFile(path)
	if err != nil {
		return nil, fault("open", err)
	}
	return l, nil
}

func openFile(path string, pragmas ...string) (*Ledger, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	writing := source(path, append(pragmas, "journal_mode(WAL)", "journal_size_limit(67108864)", "wal_autocheckpoint(8000)")...)
	if err := migrateFile(writing); err != nil {
		return nil, err
	}
	w, err := newWriter(writing)
	if err != nil {
		return nil, err
	}
	reads, err := sql.Open("sqlite", source(path, "query_only(1)", "cache_size(-8192)")) // each commit empties their caches
	if err != nil {
		w.close()
		return nil, fmt.Errorf("open for reading: %w", err)
	}
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	if err := reads.Ping(); err != nil {
		reads.Close()
		w.close()
		return nil, err
	}
	return &Ledger{reads: &pool{DB: reads, prepares: true}, w: w, journal: w.journal, held: w.held}, nil
}

// create makes an empty file that only its owner can read, and its folder's entry durable; SQLite gives its log the
// same permissions.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer dir.Close()
	return dir.Sync()
}

// source is the data source name of path. Busy time is long because only a checkpoint by hand or a backup could hold
// the file.
func source(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-65536)", "temp_store(MEMORY)"}, pragmas...)}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

func migrateFile(source string) error {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return fmt.Errorf("open to migrate: %w", err)
	}
	defer db.Close()
	return migrate(db, goose.DialectSQLite3, "migrations/sqlite")
}

// writer owns the one connection that writes to a file, and speaks to the driver itself: database/sql costs more than
// many of the rows.
type writer struct {
	*queue
	conn  driver.Conn
	stmts map[string]*prepared
	args  []driver.NamedValue // of the statement that runs

	journal *journal
	held    *heldKeys
	due     *time.Timer // for what the journal holds to be written to the tables
}

// prepared is a statement whose parameters have no names, since SQLite would look each name up in a list.
type prepared struct {
	driver.Stmt
	order []int // which argument each place takes
}

func newWriter(source string) (*writer, error) {
	conn, err := (&sqlite.Driver{}).Open(source)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	w := &writer{conn: conn, stmts: map[string]*prepared{}, journal: newJournal()}
	if err := w.loadKeys(); err != nil {
		w.closeConn()
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	if err := w.reload(); err != nil {
		w.closeConn()
		return nil, fmt.Errorf("write what the journal holds: %w", err)
	}
	w.queue = newQueue(w.attempt)
	w.due = time.AfterFunc(journalAge, w.age)
	return w, nil
}

// apply prepares the change in the caller's goroutine, so packing bodies and writing JSON hold up nobody else.
func (w *writer) apply(ctx context.Context, c contracts.Change) error {
	t := &task{ctx: ctx, op: "apply", change: c}
	bodies := pack(c)
	var err error
	if t.rows, err = prepare(c, bodies, false); err == nil { // for the journal, too: what is incomplete never gets there
		t.journaled, err = forJournal(c, bodies)
	}
	if err != nil {
		return fault("apply", err)
	}
	return w.do(t)
}

// age has what the journal holds written to the tables, but not while the writer has its hands full; and again after a
// while, as long as it holds something: it may have failed.
func (w *writer) age() {
	if w.journal.empty() || w.closing.Load() {
		return
	}
	select {
	case w.tasks <- &task{ctx: context.Background(), op: "age", work: nothing, done: make(chan struct{})}:
	default:
	}
	w.due.Reset(journalAge)
}

func (w *writer) within(ctx context.Context, op string, work func(tx) error) error {
	return w.do(&task{ctx: ctx, op: op, work: work})
}

// close says, too, if what the journal holds couldn't be written to the tables: then the next open does it.
func (w *writer) close() (err error) {
	w.due.Stop()
	w.queue.close()
	if !w.journal.empty() {
		_, err = w.attempt([]*task{{work: nothing}})
	}
	w.closeConn()
	return err
}

func (w *writer) closeConn() {
	for _, s := range w.stmts {
		s.Close()
	}
	w.conn.Close()
}

func (w *writer) attempt(tasks []*task) (refused *task, err error) {
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if refused != nil || err != nil {
			w.exec("ROLLBACK") // what it says doesn't matter: the transaction may be gone already
		}
	}()
	admitted, others, err := w.sort(tasks)
	if err != nil {
		return nil, err
	}
	carries := w.mustCarry(admitted, others)
	if carries {
		err = w.carry(admitted)
	} else {
		err = w.record(admitted)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range others {
		if err := w.write(t); t.refuse(err) {
			return t, nil
		} else if err != nil {
			return nil, err
		}
	}
	keys, err := w.keysAfter(others)
	if err != nil {
		return nil, err
	}
	if _, err := w.exec("COMMIT"); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	w.held.set(keys)
	if carries {
		w.journal.clear()
	} else if len(admitted) > 0 {
		if len(w.journal.changes) == 0 {
			w.due.Reset(journalAge)
		}
		w.journal.take(admitted)
	}
	return nil, nil
}

// sort tells the changes that the journal takes from the tasks that are for the tables.
func (w *writer) sort(tasks []*task) (admitted []*journaled, others []*task, err error) {
	taken := map[contracts.ID]bool{}
	for _, t := range tasks {
		if t.err != nil {
			continue
		}
		admits := false
		if t.journaled != nil {
			if admits, err = w.admit(t.journaled, taken); err != nil {
				return nil, nil, err
			}
		}
		if !admits {
			others = append(others, t)
			continue
		}
		admitted = append(admitted, t.journaled)
		for _, id := range ids(t.change) {
			taken[id] = true
		}
	}
	return admitted, others, nil
}

// mustCarry says whether a transaction writes all to the tables: because the journal is full, or because one of its tasks
// may meet there what the journal holds.
func (w *writer) mustCarry(admitted []*journaled, others []*task) bool {
	size, taken := w.journal.size, map[contracts.ID]bool{}
	for _, c := range admitted {
		size += len(c.encoded)
		for _, id := range ids(c.change) {
			taken[id] = true
		}
	}
	return len(w.journal.changes)+len(admitted) > w.journal.most || size > journalBytes || slices.ContainsFunc(others, func(t *task) bool {
		return t.work != nil || slices.ContainsFunc(ids(t.change), func(id contracts.ID) bool { return taken[id] || w.journal.touched[id] })
	})
}

func (w *writer) write(t *task) error {
	if t.work != nil {
		return t.work(w)
	}
	for i := range t.rows {
		if err := w.put(&t.rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// put writes one statement's rows, or refuses.
func (w *writer) put(s *statement) error {
	if s.cheaper != "" {
		if n, err := w.exec(s.cheaper, s.args...); n > 0 || err != nil {
			return err
		}
	}
	n, err := w.exec(s.text, s.args...)
	if err == nil && n == 0 && s.refuse != nil {
		return s.refuse(w)
	}
	return err
}

// exec runs a statement, prepared once, outside of any caller's context: a change is written whole, whoever waits.
func (w *writer) exec(text string, args ...any) (int64, error) {
	s, err := w.prepared(text)
	if err != nil {
		return 0, err
	}
	result, err := s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), w.placed(s.order, args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (w *writer) query(text string, args ...any) (out [][]any, err error) {
	s, err := w.prepared(text)
	if err != nil {
		return nil, err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), w.placed(s.order, args))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		row := make([]any, len(values))
		for i, v := range values {
			row[i] = v
		}
		out = append(out, row)
	}
}

// placed gives arguments as the driver takes them, until the next call.
func (w *writer) placed(order []int, args []any) []driver.NamedValue {
	w.args = w.args[:0]
	for i, n := range order {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: args[n]})
	}
	return w.args
}

func (w *writer) prepared(text string) (*prepared, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	nameless, order := positional(text)
	s, err := w.conn.Prepare(nameless)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[text] = &prepared{s, order}
	return w.stmts[text], nil
}

// parameter is one of PostgreSQL's, which the texts have.
var parameter = regexp.MustCompile(`\$[0-9]+`)

// positional gives a text with parameters that have no names, and which argument each takes.
func positional(text string) (nameless string, order []int) {
	nameless = parameter.ReplaceAllStringFunc(text, func(name string) string {
		n, _ := strconv.Atoi(name[1:]) // digits are all that there is
		order = append(order, n-1)
		return "?"
	})
	return nameless, order
}

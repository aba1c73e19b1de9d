package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"modernc.org/sqlite"

	"github.com/hoitosilta/silta/contracts"
)

// most is how many changes share one transaction at most. More would gain nothing and make each wait longer.
const most = 512

// writer owns the one connection that writes, and speaks to the driver itself: database/sql costs more than many of the
// rows. Its goroutine takes the tasks that have gathered while the last group
// was on its way to disk, and commits them together.
type writer struct {
	conn    driver.Conn
	stmts   map[string]driver.Stmt
	args    []driver.NamedValue // of the statement that runs
	tasks   chan *task
	closing atomic.Bool
	stop    chan struct{}
	stopped chan struct{}
}

type task struct {
	ctx  context.Context
	op   string
	work func(*writer) error
	err  error
	done chan struct{}
}

func newWriter(source string) (*writer, error) {
	conn, err := (&sqlite.Driver{}).Open(source)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	w := &writer{conn: conn, stmts: map[string]driver.Stmt{}, tasks: make(chan *task, most), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w, nil
}

// do hands work to the writer and returns when it is durable. work runs inside a transaction, alone; a fault that it
// returns undoes what it wrote and nothing else. It can run several times, when a neighbour undid the transaction.
func (w *writer) do(ctx context.Context, op string, work func(*writer) error) error {
	t := &task{ctx: ctx, op: op, work: work, done: make(chan struct{})}
	if w.closing.Load() {
		return fault(op, errClosed)
	}
	select {
	case w.tasks <- t:
	case <-ctx.Done():
		return fault(op, ctx.Err())
	case <-w.stopped:
		return fault(op, errClosed)
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return fault(op, ctx.Err())
	case <-w.stopped:
	}
	select {
	case <-t.done:
		return t.err
	default:
		return fault(op, errClosed)
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case t := <-w.tasks:
			w.group(t)
		case <-w.stop:
			for len(w.tasks) > 0 {
				w.group(<-w.tasks)
			}
			return
		}
	}
}

// close commits what was handed in and ends the writer.
func (w *writer) close() {
	if w.closing.CompareAndSwap(false, true) {
		close(w.stop)
	}
	<-w.stopped
	for _, s := range w.stmts {
		s.Close()
	}
	w.conn.Close()
}

// group commits first and all that stand behind it.
func (w *writer) group(first *task) {
	tasks := []*task{first}
	runtime.Gosched() // the callers that the last commit freed are about to come back: let them into this group
gather:
	for len(tasks) < most {
		select {
		case t := <-w.tasks:
			tasks = append(tasks, t)
		default:
			break gather
		}
	}
	if broken := w.commit(tasks); broken && len(tasks) > 1 {
		for _, t := range tasks {
			w.commit([]*task{t})
		}
	}
	for _, t := range tasks {
		close(t.done)
	}
}

// commit writes all tasks but the refused ones in one transaction, and sets each one's error. It reports whether an
// error that is no refusal broke the transaction: then nothing is written, and each task deserves a try of its own.
//
// A refusal rolls back and begins again without the refused task. Savepoints would do as well, but they journal every
// page a second time, and refusals are rare.
func (w *writer) commit(tasks []*task) (broken bool) {
	for _, t := range tasks {
		t.err = fault(t.op, t.ctx.Err())
	}
	for {
		refused, err := w.attempt(tasks)
		if err == nil && refused != nil {
			continue
		}
		if err != nil {
			for _, t := range tasks { // the refused too: what they were refused for isn't written either
				t.err = fault(t.op, err)
			}
		}
		return err != nil
	}
}

// attempt runs one transaction over the tasks that have no error yet. It ends at the first refusal, which it sets.
func (w *writer) attempt(tasks []*task) (refused *task, err error) {
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if refused != nil || err != nil {
			w.exec("ROLLBACK") // what it says doesn't matter: the transaction may be gone already
		}
	}()
	for _, t := range tasks {
		if t.err != nil {
			continue
		}
		err := t.work(w)
		var refusal *contracts.Fault
		if errors.As(err, &refusal) {
			t.err = refusal
			return t, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := w.exec("COMMIT"); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return nil, nil
}

// apply writes one statement's rows, or refuses.
func (w *writer) apply(s *statement) error {
	if s.usual != nil {
		if n, err := w.exec(s.usual.text, s.usual.args...); n > 0 || err != nil {
			return err
		}
	}
	n, err := w.exec(s.text, s.args...)
	if err == nil && n == 0 && s.refuse != nil {
		return s.refuse(w)
	}
	return err
}

// exec runs a statement, prepared once, outside of any caller's context: a change is written whole, whoever waits. It
// counts the rows that were touched.
func (w *writer) exec(text string, args ...any) (int64, error) {
	s, err := w.prepared(text)
	if err != nil {
		return 0, err
	}
	result, err := s.(driver.StmtExecContext).ExecContext(context.Background(), w.named(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row reads the one column of one row inside the transaction.
func (w *writer) row(text string, arg any, into *string) error {
	rows, err := w.query(text, arg)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return sql.ErrNoRows
	}
	*into = rows[0][0].(string)
	return nil
}

// query reads all rows inside the transaction.
func (w *writer) query(text string, args ...any) (out [][]driver.Value, err error) {
	s, err := w.prepared(text)
	if err != nil {
		return nil, err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), w.named(args))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for {
		row := make([]driver.Value, len(rows.Columns()))
		if err := rows.Next(row); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
}

// named gives arguments as the driver takes them, until the next call.
func (w *writer) named(args []any) []driver.NamedValue {
	w.args = w.args[:0]
	for i, arg := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return w.args
}

func (w *writer) prepared(text string) (driver.Stmt, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	s, err := w.conn.Prepare(text)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[text] = s
	return s, nil
}

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/hoitosilta/silta/contracts"
)

// most is how many changes share one transaction at most. More would gain nothing and make each wait longer.
const most = 512

// writer owns the one connection that writes. Its goroutine takes the tasks that have gathered while the last group
// was on its way to disk, and commits them together.
type writer struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
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

func newWriter(db *sql.DB) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	w := &writer{conn: conn, stmts: map[string]*sql.Stmt{}, tasks: make(chan *task, most), stop: make(chan struct{}), stopped: make(chan struct{})}
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

// exec runs a statement, prepared once, outside of any caller's context: a change is written whole, whoever waits.
func (w *writer) exec(text string, args ...any) (sql.Result, error) {
	s, err := w.prepared(text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), args...)
}

// row reads one row inside the transaction; sql.ErrNoRows if there is none.
func (w *writer) row(text string, args []any, into ...any) error {
	s, err := w.prepared(text)
	if err != nil {
		return err
	}
	return s.QueryRowContext(context.Background(), args...).Scan(into...)
}

// QueryContext runs a query inside the transaction. Its rows must be closed before the next statement.
func (w *writer) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := w.prepared(text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (w *writer) prepared(text string) (*sql.Stmt, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[text] = s
	return s, nil
}

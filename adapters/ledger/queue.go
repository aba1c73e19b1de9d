package ledger

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hoitosilta/silta/contracts"
)

// most is how many changes share one transaction at most. More would gain nothing and make each wait longer.
const most = 512

// queue brings the tasks of many callers to a few writers. A writer takes what has gathered while its last group was on
// its way to disk, and writes it in one transaction.
type queue struct {
	tasks   chan *task
	closing atomic.Bool
	stop    chan struct{}
	stopped chan struct{}
}

// task is what one caller wants to be written: rows, or what work does, whole or not at all.
type task struct {
	ctx  context.Context
	op   string
	rows []statement
	work func(tx) error
	err  error
	done chan struct{}

	change    contracts.Change
	journaled *journaled // the change for the journal, if it is of the usual kind
}

// tx is an open transaction.
type tx interface {
	// exec runs a statement and counts the rows that it touched.
	exec(text string, args ...any) (int64, error)
	// query reads all rows: int64, string, bool or []byte a column.
	query(text string, args ...any) ([][]any, error)
}

// attempt runs one transaction over the tasks that have no error yet. It ends at the first refusal, which it sets: then
// nothing is written.
type attempt func(tasks []*task) (refused *task, err error)

// errLost tells that the database itself can't be reached: no task would fare better alone.
var errLost = errors.New("the database is lost")

// newQueue starts one writer for each attempt.
func newQueue(writers ...attempt) *queue {
	q := &queue{tasks: make(chan *task, most), stop: make(chan struct{}), stopped: make(chan struct{})}
	var running sync.WaitGroup
	for _, write := range writers {
		running.Go(func() { q.run(write) })
	}
	go func() {
		running.Wait()
		close(q.stopped)
	}()
	return q
}

// do hands a task in and returns when it is durable. Its work runs inside a transaction, alone; a fault that it returns
// undoes what it wrote and nothing else. It can run several times, when a neighbour undid the transaction.
func (q *queue) do(t *task) error {
	t.done = make(chan struct{})
	if q.closing.Load() {
		return fault(t.op, errClosed)
	}
	select {
	case q.tasks <- t:
	case <-t.ctx.Done():
		return fault(t.op, t.ctx.Err())
	case <-q.stopped:
		return fault(t.op, errClosed)
	}
	select {
	case <-t.done:
		return t.err
	case <-t.ctx.Done():
		return fault(t.op, t.ctx.Err())
	case <-q.stopped:
	}
	select {
	case <-t.done:
		return t.err
	default:
		return fault(t.op, errClosed)
	}
}

func (q *queue) run(write attempt) {
	for {
		select {
		case t := <-q.tasks:
			q.group(t, write)
		case <-q.stop:
			for {
				select {
				case t := <-q.tasks:
					q.group(t, write)
				default:
					return
				}
			}
		}
	}
}

// close writes what was handed in and ends the writers.
func (q *queue) close() {
	if q.closing.CompareAndSwap(false, true) {
		close(q.stop)
	}
	<-q.stopped
}

// group writes first and all that stand behind it.
func (q *queue) group(first *task, write attempt) {
	tasks := []*task{first}
	runtime.Gosched() // the callers that the last commit freed are about to come back: let them into this group
gather:
	for len(tasks) < most {
		select {
		case t := <-q.tasks:
			tasks = append(tasks, t)
		default:
			break gather
		}
	}
	if broken := write.commit(tasks); broken && len(tasks) > 1 {
		for _, t := range tasks {
			write.commit([]*task{t})
		}
	}
	for _, t := range tasks {
		close(t.done)
	}
}

// commit writes all tasks but the refused ones in one transaction, and sets each one's error. It reports whether an
// error that is no refusal broke the transaction: then nothing is written, and each task deserves a try of its own.
//
// A refusal rolls back and begins again without the refused task. Savepoints would do as well, but they cost every
// change something, and refusals are rare.
func (write attempt) commit(tasks []*task) (broken bool) {
	for _, t := range tasks {
		t.err = fault(t.op, t.ctx.Err())
	}
	for {
		refused, err := write(tasks)
		if err == nil && refused != nil {
			continue
		}
		if err != nil {
			for _, t := range tasks { // the refused too: what they were refused for isn't written either
				t.err = fault(t.op, err)
			}
		}
		return err != nil && !errors.Is(err, errLost)
	}
}

// refuse sets a task's error if it is a refusal, and says whether it is.
func (t *task) refuse(err error) bool {
	var refusal *contracts.Fault
	if errors.As(err, &refusal) {
		t.err = refusal
	}
	return refusal != nil
}

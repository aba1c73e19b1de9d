package mllp

import (
	"os"
	"time"
)

// phase is where a Reader stands; each has its deadline.
type phase int

const (
	waiting  phase = iota // for a start block
	reading               // content
	trailing              // behind an end block
	resumed               // content again: the end block was none
)

// timekeeper bounds how long a Reader waits.
type timekeeper interface {
	enter(phase) error // a phase begins; an error if there is no time left for it
	await()            // what comes next is a read that may block
}

type readDeadliner interface{ SetReadDeadline(time.Time) error }

type noTime struct{}

func (noTime) enter(phase) error { return nil }
func (noTime) await()            {}

// connectionTime sets a connection's read deadline.
type connectionTime struct {
	conn readDeadliner
	deadlines
}

func (t *connectionTime) await() {
	if due, fresh := t.due(); fresh {
		_ = t.conn.SetReadDeadline(due) // a dead connection shows itself by the read
	}
}

// deadlines turns a Reader's phase into the time when its next byte must have come. It asks for the time only when a
// read may block: a frame that lies in the buffer costs none.
type deadlines struct {
	idle, read time.Duration
	phase      phase
	stale      bool      // next isn't that of the phase yet
	next       time.Time // when the next byte must have come
	frame      time.Time // when the frame that is being read must have ended; zero until a read for it may block
}

// enter begins a phase. It says whether a frame that goes on has had its time: its next byte may lie there already, so
// that no read would find out.
func (d *deadlines) enter(p phase) error {
	d.phase, d.stale = p, true
	switch p {
	case waiting, reading:
		d.frame = time.Time{}
	case resumed:
		if !d.frame.IsZero() && time.Now().After(d.frame) {
			return os.ErrDeadlineExceeded
		}
	}
	return nil
}

// due gives the time when the next byte must have come, and whether it is another than before.
func (d *deadlines) due() (t time.Time, fresh bool) {
	if !d.stale {
		return d.next, false
	}
	d.stale = false
	switch d.phase {
	case waiting:
		d.next = after(d.idle)
	case trailing:
		d.next = after(trailingGrace) // a frame's deadline is no silence: it must not end what goes on
	default:
		if d.frame.IsZero() {
			d.frame = after(d.read)
		}
		d.next = d.frame
	}
	return d.next, true
}

// after gives the time in d from now; the zero time, which is no deadline, for zero. Deadlines of connections are
// the runtime's, so they are counted by its clock.
func after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// earliest gives the earlier of two deadlines, of which the zero time is the latest.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

package mllp

import (
	"net"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// line is one connection to a partner. Its reader runs all the time, so that a connection which the partner closed
// while nothing was in flight is noticed before a message is written to it, not after.
type line struct {
	conn   net.Conn
	frames chan Frame    // what came; closed when no more will
	err    error         // why no more will; valid once frames is closed
	done   chan struct{} // closed by close
	past   []string      // control ids that an accept acknowledgement answered, latest last
}

// remembered is how many of them a line keeps. Their application acknowledgements come soon, or by another way.
const remembered = 64

func newLine(conn net.Conn) *line {
	l := &line{conn: conn, frames: make(chan Frame), done: make(chan struct{})}
	go l.listen()
	return l
}

func (l *line) listen() {
	defer close(l.frames)
	r := NewReader(l.conn, Limits{Bytes: maxAnswer, Junk: maxAnswer})
	for {
		f, err := r.Next()
		if err != nil {
			l.err = err
			return
		}
		select {
		case l.frames <- f:
		case <-l.done:
			return
		}
	}
}

// sound says whether the line can carry a message: it is open, and nothing lies there that nobody asked for.
func (l *line) sound() bool {
	for {
		select {
		case f, open := <-l.frames:
			if !open {
				return false
			}
			if ack, err := hl7v2.ReadAcknowledgement(f.Body); err != nil || !l.accepted(ack) {
				return false
			}
		default:
			return true
		}
	}
}

// remember keeps the control id of an accepted message, whose application acknowledgement may follow.
func (l *line) remember(ack hl7v2.Acknowledgement) {
	if ack.Code != "CA" {
		return
	}
	l.past = append(l.past, ack.ControlID)
	if len(l.past) > remembered {
		l.past = slices.Delete(l.past, 0, 1)
	}
}

// accepted says whether ack is the application acknowledgement of a message that was accepted on this line.
func (l *line) accepted(ack hl7v2.Acknowledgement) bool {
	return ack.Code[0] == 'A' && slices.Contains(l.past, ack.ControlID)
}

// interrupt ends a write that is under way.
func (l *line) interrupt() { _ = l.conn.SetWriteDeadline(time.Unix(1, 0)) } // the write reports it

// close ends the connection and waits for its reader.
func (l *line) close() {
	close(l.done)
	_ = l.conn.Close() // nothing is in flight that anybody still counts on
	for range l.frames {
	}
}

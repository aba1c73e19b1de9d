package apotti

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Answer is the acknowledgement that the hub gave.
type Answer struct {
	Code    string // MSA-1
	Control string // MSA-2: the MSH-10 that it is about
	Error   string // ERR-3, where there is one
	Raw     []byte
}

// Accepted says whether the hub has taken the message.
func (a Answer) Accepted() bool { return a.Code == "AA" || a.Code == "CA" }

// Line is one connection to the hub's door: a message goes out, its acknowledgement is waited for, then the next.
type Line struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial opens a line to the hub's door at addr (host:port).
func Dial(ctx context.Context, addr string) (*Line, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the hub's door: %w", err)
	}
	return &Line{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// Close hangs up.
func (l *Line) Close() error { return l.conn.Close() }

// Send sends message and gives the acknowledgement that names its MSH-10. After an error the line is of no more use,
// and whether the hub has the message is unknown.
func (l *Line) Send(ctx context.Context, message []byte) (Answer, error) {
	stop := context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := writeFrame(l.conn, message); err != nil {
		return Answer{}, fmt.Errorf("send: %w", err)
	}
	for {
		raw, err := readFrame(l.in)
		if err != nil {
			return Answer{}, fmt.Errorf("wait for the acknowledgement: %w", err)
		}
		a := Answer{Code: Field(raw, "MSA", 1), Control: Field(raw, "MSA", 2), Error: component(raw, "ERR", 3), Raw: raw}
		if a.Control == Field(message, "MSH", 10) {
			return a, nil
		}
	}
}

// Write sends bytes as they are, without framing and without waiting: for tests of what isn't a message.
func (l *Line) Write(b []byte) error {
	_, err := l.conn.Write(b)
	return err
}

// Deliver sends message until the hub acknowledges it, as an interface engine does: after a lost connection or an
// answer that doesn't come, the same bytes again, at first soon, then every second. It gives up when ctx ends.
func Deliver(ctx context.Context, addr string, message []byte) (Answer, error) {
	var last error
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		answer, err := once(ctx, addr, message)
		if err == nil {
			return answer, nil
		}
		if last == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Answer{}, fmt.Errorf("no acknowledgement: %w", last)
		case <-timer.C:
		}
	}
}

func once(ctx context.Context, addr string, message []byte) (Answer, error) {
	line, err := Dial(ctx, addr)
	if err != nil {
		return Answer{}, err
	}
	defer line.Close()
	return line.Send(ctx, message)
}

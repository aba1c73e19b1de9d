package mllp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

var firstSeen = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// message gives a small message under a control id; more replaces MSH from field 11 on.
func message(control string, more ...string) string {
	tail := "P|2.5.1|||||FIN|UNICODE UTF-8"
	if len(more) > 0 {
		tail = more[0]
	}
	return "MSH|^~\\&|LAB^X|SENDER|SILTA|HUB|20260304050607||REF^I12^REF_I12|" + control + "|" + tail + "\rZZ1|Äiti\r"
}

func framed(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("\x0b" + m + "\x1c\r")
	}
	return b.String()
}

// desk is a Receiver that keeps what arrives, and answers by respond, or accepts.
type desk struct {
	respond func(n int, a contracts.Arrival) (contracts.Receipt, error)
	mu      sync.Mutex
	kept    []contracts.Arrival
}

func (d *desk) Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	d.mu.Lock()
	d.kept = append(d.kept, a)
	n := len(d.kept)
	d.mu.Unlock()
	if d.respond != nil {
		return d.respond(n, a)
	}
	return accepted(a), nil
}

// accepted is the receipt of a message, as of its first time.
func accepted(a contracts.Arrival) contracts.Receipt {
	return contracts.Receipt{ID: contracts.DerivedID("test", string(a.Body.Bytes())), Claim: contracts.ClaimNew, At: firstSeen, Fault: a.Fault}
}

func (d *desk) arrivals() []contracts.Arrival {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept
}

func quiet() logrus.FieldLogger {
	l := logrus.New()
	l.Out = io.Discard
	l.Level = logrus.DebugLevel
	return l
}

// open serves a door on a free port until the test ends, which waits until it is drained.
func open(t *testing.T, r Receiver, settings contracts.MLLPDoor, opts ...Option) *Door {
	t.Helper()
	d, err := Listen("127.0.0.1:0", "lab", settings, r, time.Now, quiet(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, d)
	return d
}

// serve gives the function that ends the door and waits for it.
func serve(t testing.TB, d *Door) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return stop
}

func call(t *testing.T, d *Door) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// talk writes a stream, closes that side, and gives all that comes back.
func talk(t *testing.T, d *Door, stream string) string {
	t.Helper()
	conn := call(t, d)
	if _, err := io.WriteString(conn, stream); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	back, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(back), err)
	}
	return string(back)
}

// answers gives MSA-1, MSA-2 and the error codes of each acknowledgement in a stream.
func answers(t *testing.T, stream string) []string {
	t.Helper()
	var list []string
	r := NewReader(strings.NewReader(stream), Limits{})
	for {
		f, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil || f.NoCR || f.Junk > 0 {
			t.Fatalf("what came back isn't well framed: %v", err)
		}
		list = append(list, said(f.Body))
	}
}

func said(b []byte) string {
	ack, err := hl7v2.ReadAcknowledgement(b)
	if err != nil {
		return fmt.Sprintf("%q", b)
	}
	text := ack.Code + " " + ack.ControlID
	for _, e := range ack.Errors {
		text += " " + e.Code
	}
	return text
}

func refusal(kind contracts.Kind, code, at, errorCode string) func(int, contracts.Arrival) (contracts.Receipt, error) {
	return func(_ int, a contracts.Arrival) (contracts.Receipt, error) {
		r := accepted(a)
		r.Fault = &contracts.Fault{Kind: kind, Code: code, At: at, ErrorCode: errorCode, Public: "That is why."}
		return r, nil
	}
}

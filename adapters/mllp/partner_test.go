package mllp

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// partner is a listener that answers each frame by a script, one line of it a frame, over all connections.
type partner struct {
	listener net.Listener
	mu       sync.Mutex
	script   []func(c net.Conn, body string) (goOn bool)
	calls    int      // connections that were made
	got      []string // frames that came
	running  sync.WaitGroup
}

func newPartner(t *testing.T, script ...func(net.Conn, string) bool) *partner {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &partner{listener: listener, script: script}
	p.running.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// close takes no more connections, and waits until those that there are have ended.
func (p *partner) close() {
	p.listener.Close()
	p.running.Wait()
}

func (p *partner) accept() {
	defer p.running.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.calls++
		p.mu.Unlock()
		p.running.Add(1)
		go p.converse(c)
	}
}

func (p *partner) converse(c net.Conn) {
	defer p.running.Done()
	defer c.Close()
	r := NewReader(c, Limits{})
	for {
		f, err := r.Next()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.got = append(p.got, string(f.Body))
		act := say("AA")
		if len(p.script) > 0 {
			act, p.script = p.script[0], p.script[1:]
		}
		p.mu.Unlock()
		if !act(c, string(f.Body)) {
			return
		}
	}
}

func (p *partner) seen() (calls int, got []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls, p.got
}

// control is MSH-10 of a message.
func control(body string) string { return strings.Split(body, "|")[9] }

// ack is an acknowledgement of id; each of errs is an ERR-3.
func ack(code, id string, errs ...string) string {
	b := "MSH|^~\\&|HIS|X|SILTA|HUB|20260304050607||ACK^I12^ACK|K" + id + "|P|2.5.1\rMSA|" + code + "|" + id + "\r"
	for _, e := range errs {
		b += "ERR||PID^1^3|" + e + "|E||||a text that may hold anything: canary\r"
	}
	return b
}

// say answers a message with a code.
func say(code string, errs ...string) func(net.Conn, string) bool {
	return func(c net.Conn, body string) bool {
		_, _ = io.WriteString(c, framed(ack(code, control(body), errs...)))
		return true
	}
}

// send answers with a fixed stream.
func send(stream string) func(net.Conn, string) bool {
	return func(c net.Conn, _ string) bool {
		_, _ = io.WriteString(c, stream)
		return true
	}
}

func hangUp(net.Conn, string) bool { return false }

func silence(net.Conn, string) bool { return true }

func reset(c net.Conn, _ string) bool {
	_ = c.(*net.TCPConn).SetLinger(0)
	return false
}

func courier(t *testing.T, to string, change ...func(*contracts.MLLPCourier)) *Courier {
	t.Helper()
	settings := contracts.MLLPCourier{To: to, Connect: 5 * time.Second, Answer: 5 * time.Second}
	for _, c := range change {
		c(&settings)
	}
	c, err := NewCourier(settings, time.Now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func parcel(id string) contracts.Parcel {
	return contracts.Parcel{ID: contracts.DerivedID("test", id), Control: id, Type: "REF^I12", Format: contracts.FormatV2,
		Body: contracts.NewBody([]byte(message(id))), Attempt: 1}
}

// became is what a delivery came to, in short.
func became(a contracts.Answer, err error) string {
	var list []string
	if a.Code != "" {
		list = append(list, a.Code)
	}
	if err == nil {
		list = append(list, "delivered")
	} else {
		f := contracts.FaultsOf(err)[0]
		list = append(list, string(f.Kind), f.Code)
	}
	if a.Unknown {
		list = append(list, "unknown")
	}
	return strings.Join(list, " ")
}

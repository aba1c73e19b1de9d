package custody

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// peer is a partner at the other end of a real socket. It does with each message that comes what its script says, and
// behind the script it takes everything.
type peer struct {
	t       *testing.T
	speaks  protocol
	address string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	secured  *tls.Config // nil: without TLS
	script   []act
	got      []told
	ended    chan struct{}
	came     chan told
	begins   func() // see onFirstByte
	serving  sync.WaitGroup
}

// protocol is how a peer reads one whole message, and how it takes one.
type protocol struct {
	read func(*bufio.Reader) (told, error)
	take act
}

// told is a message as it came: under which id, and its bytes.
type told struct {
	id   string // MSH-10, or the Idempotency-Key
	body []byte
}

// act is what a peer does with a message; goOn keeps the connection.
type act struct {
	early bool // it is done when the first byte has come: the message isn't read by the peer
	do    func(x exchange) (goOn bool)
}

// exchange is a message on a connection.
type exchange struct {
	net.Conn
	told
	ended <-chan struct{} // closed when the peer closes
}

func newPeer(t *testing.T, speaks protocol, script ...act) *peer {
	t.Helper()
	p := &peer{t: t, speaks: speaks, script: script, came: make(chan told, 100_000), open: map[net.Conn]bool{}, begins: func() {}}
	p.listen("127.0.0.1:0")
	t.Cleanup(p.close)
	return p
}

// listen takes connections at an address; at the one that the peer had if address is empty.
func (p *peer) listen(address string) {
	p.t.Helper()
	if address == "" {
		address = p.address
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.address, p.ended = l, l.Addr().String(), make(chan struct{})
	ended := p.ended
	p.mu.Unlock()
	p.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.converse(c, ended) })
		}
	})
}

// close ends the listener and all connections, and waits until nothing runs any more.
func (p *peer) close() {
	p.mu.Lock()
	if p.listener.Close() == nil {
		close(p.ended)
	}
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// secure lets the peer speak TLS on the connections to come.
func (p *peer) secure(config *tls.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secured = config
}

func (p *peer) converse(raw net.Conn, ended <-chan struct{}) {
	c := raw
	p.mu.Lock()
	if p.open[raw] = true; p.secured != nil {
		c = tls.Server(raw, p.secured)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.open, raw)
		p.mu.Unlock()
		_ = raw.Close()
	}()
	r := bufio.NewReader(c)
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		begins, a := p.next()
		begins()
		x := exchange{Conn: c, ended: ended}
		if !a.early {
			var err error
			if x.told, err = p.speaks.read(r); err != nil {
				return
			}
			p.mu.Lock()
			p.got = append(p.got, x.told)
			p.mu.Unlock()
			p.came <- x.told
		}
		if !a.do(x) {
			return
		}
	}
}

// onFirstByte sets what is called when the first byte of a message has come, before the peer does anything with it.
func (p *peer) onFirstByte(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begins = do
}

func (p *peer) next() (begins func(), a act) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.script) == 0 {
		return p.begins, p.speaks.take
	}
	a = p.script[0]
	p.script = p.script[1:]
	return p.begins, a
}

// seen gives what came whole.
func (p *peer) seen() []told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// What a peer of either protocol may do.
var (
	hangUp = act{do: func(exchange) bool { return false }}
	silent = act{do: func(x exchange) bool { untilClosed(x); return false }}
	reset  = act{do: func(x exchange) bool { return cut(x) }}
	midway = act{early: true, do: func(x exchange) bool { return cut(x) }}
	// mute reads what comes and says nothing; deaf doesn't even read.
	mute = act{early: true, do: func(x exchange) bool { untilClosed(x); return false }}
	deaf = act{early: true, do: func(x exchange) bool { <-x.ended; return false }}
)

// cut resets a connection.
func cut(x exchange) bool {
	if c, ok := x.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	return false
}

// untilClosed waits until the courier has closed the connection.
func untilClosed(x exchange) { _, _ = io.Copy(io.Discard, x.Conn) }

// says answers with a text of the peer's choice.
func says(text func(told) string) act {
	return act{do: func(x exchange) bool { _, _ = io.WriteString(x, text(x.told)); return true }}
}

// drips answers with each byte in a packet of its own.
func drips(text func(told) string) act {
	return act{do: func(x exchange) bool {
		for _, b := range []byte(text(x.told)) {
			_, _ = x.Write([]byte{b})
		}
		return true
	}}
}

// halfOf answers with the first half, and then goes on as then says.
func halfOf(text func(told) string, then act) act {
	return act{do: func(x exchange) bool {
		whole := text(x.told)
		_, _ = io.WriteString(x, whole[:len(whole)/2])
		return then.do(x)
	}}
}

// late answers when the courier has given up.
func late(text func(told) string) act {
	return act{do: func(x exchange) bool { untilClosed(x); _, _ = io.WriteString(x, text(x.told)); return false }}
}

// speaksMLLP is a peer that reads frames.
var speaksMLLP = protocol{
	read: func(r *bufio.Reader) (told, error) {
		frame, err := r.ReadBytes(0x1c)
		if err == nil {
			_, err = r.Discard(1)
		}
		body := bytes.TrimSuffix(bytes.TrimPrefix(frame, []byte{0x0b}), []byte{0x1c})
		fields := strings.SplitN(string(body), "|", 11)
		if err != nil || len(fields) < 11 {
			return told{}, fmt.Errorf("no message: %w", err)
		}
		return told{fields[9], body}, nil
	},
	take: says(acks("AA")),
}

// acks gives a framed acknowledgement; each of errs is an ERR-3.
func acks(code string, errs ...string) func(told) string {
	return func(m told) string {
		b := "MSH|^~\\&|LAB|X|SILTA|HUB|20260304050607||ACK^I12^ACK|K" + m.id + "|P|2.5.1\rMSA|" + code + "|" + m.id + "\r"
		for _, e := range errs {
			b += "ERR||RF1^1^6|" + e + "|E\r"
		}
		return framed(b)
	}
}

func framed(s string) string { return "\x0b" + s + "\x1c\r" }

// speaksFHIR is a peer that reads requests.
var speaksFHIR = protocol{
	read: func(r *bufio.Reader) (told, error) {
		request, err := http.ReadRequest(r)
		if err != nil {
			return told{}, err
		}
		body, err := io.ReadAll(request.Body)
		return told{request.Header.Get("Idempotency-Key"), body}, err
	},
	take: says(status(200, "", allOK)),
}

// status gives a response; header is a whole line or nothing.
func status(code int, header, body string) func(told) string {
	if header != "" {
		header += "\r\n"
	}
	return func(told) string {
		return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%s", code, http.StatusText(code), header, len(body), body)
	}
}

var allOK = outcomeOf("information", "informational")

func outcomeOf(severity, code string) string {
	return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":%q,"code":%q}]}`, severity, code)
}

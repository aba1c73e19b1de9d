package chaos

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// arrival is a message's first arrival at the partner, and what came of it later.
type arrival struct {
	id     string // MSH-10
	first  time.Time
	digest [32]byte
	lost   bool // the partner kept its acknowledgement to itself
}

// Partner counts what arrives over MLLP. Now and then it doesn't acknowledge what it has taken, or is slow.
type Partner struct {
	listener net.Listener
	log      *Log
	working  sync.WaitGroup

	mu       sync.Mutex
	by       map[string]*arrival // by mark: referral and number
	highest  map[string]int      // by referral
	ids      map[string]string   // mark by id
	changed  chan struct{}       // closed and renewed with each new mark
	repeats  int                 // same id and bytes again after an acknowledgement that was lost
	doubles  int                 // same id and bytes again near a disturbance
	wrong    []string            // what the promise doesn't allow
	arrivals int
}

// ListenPartner opens the partner's door on a port of its own.
func ListenPartner(log *Log) (*Partner, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Partner{listener: l, log: log, by: map[string]*arrival{}, highest: map[string]int{}, ids: map[string]string{}, changed: make(chan struct{})}
	p.working.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.working.Go(func() { p.talk(conn) })
		}
	})
	return p, nil
}

// Addr is HOST:PORT.
func (p *Partner) Addr() string { return p.listener.Addr().String() }

// Close ends the listener. Connections end with their other side.
func (p *Partner) Close() { p.listener.Close() }

func (p *Partner) talk(conn net.Conn) {
	defer conn.Close()
	frames := bufio.NewReaderSize(conn, 1<<20)
	for {
		frame, err := frames.ReadSlice(0x1c)
		if err != nil {
			return
		}
		message := bytes.TrimPrefix(frame[:len(frame)-1], []byte{0x0b})
		lost := rand.IntN(100) == 0
		id, ok := p.take(message, lost)
		if !ok {
			return
		}
		if lost { // what was acknowledged before must get through, so the connection isn't reset
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, frames)
			return
		}
		if rand.IntN(200) == 0 { // it has a slow moment
			timer := time.NewTimer(time.Duration(rand.IntN(1500)) * time.Millisecond)
			<-timer.C
		}
		if _, err := frames.Discard(1); err != nil {
			return
		}
		answer := "\x0bMSH|^~\\&|WARD|CHAOS|SILTA|CHAOS|20260302091500+0000||ACK^I12^ACK|A" + id + "|P|2.5.1\rMSA|AA|" + id + "\r\x1c\r"
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// settling is how long after a disturbance a message may still come a second time: a session must run out, a key's
// next attempt come due.
const settling = 45 * time.Second

func (p *Partner) take(message []byte, lost bool) (id string, ok bool) {
	fields := bytes.SplitN(message, []byte("|"), 11)
	referral, number, read := markOf(message)
	if len(fields) < 11 || !read {
		p.complain("something arrived that no sender sent")
		return "", false
	}
	id = string(fields[9])
	now, mark := time.Now(), referral+"/"+strconv.Itoa(number)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrivals++
	if other, known := p.ids[id]; known && other != mark {
		p.wrong = append(p.wrong, "two messages came under one id")
	}
	p.ids[id] = mark
	before := p.by[mark]
	if before == nil {
		p.by[mark] = &arrival{id: id, first: now, digest: sha256.Sum256(message), lost: lost}
		if number != p.highest[referral]+1 {
			p.wrong = append(p.wrong, "a referral's messages came out of order or with a gap: "+mark+" after "+strconv.Itoa(p.highest[referral]))
		}
		p.highest[referral] = max(number, p.highest[referral])
		close(p.changed)
		p.changed = make(chan struct{})
		return id, true
	}
	switch {
	case before.id != id:
		p.wrong = append(p.wrong, "a message came under two ids")
	case before.digest != sha256.Sum256(message):
		p.wrong = append(p.wrong, "a message came with other bytes under its id")
	case before.lost:
		p.repeats++
	case p.log.near(before.first.Add(-settling), now, settling):
		p.doubles++
	default:
		p.wrong = append(p.wrong, "a message came twice without a cause")
	}
	before.lost = lost
	return id, true
}

func (p *Partner) complain(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, what)
}

// markOf reads what Sender wrote into a message: its referral and its number there.
func markOf(message []byte) (referral string, number int, ok bool) {
	_, rest, ok := strings.Cut(string(message), "\rNTE|1||")
	referral, rest, cut := strings.Cut(rest, " number ")
	digits, _, ended := strings.Cut(rest, ".")
	number, err := strconv.Atoi(digits)
	return referral, number, ok && cut && ended && err == nil
}

// Await returns when the partner has every one of so many messages, or ctx ends.
func (p *Partner) Await(ctx context.Context, n int) {
	for {
		p.mu.Lock()
		have, changed := len(p.by), p.changed
		p.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Verdict is what came of the acknowledged messages at the partner.
type Verdict struct {
	Delivered, Lost int
	Repeats         int // second arrivals after an acknowledgement that the partner kept to itself
	Doubles         int // other second arrivals, each near a disturbance
	Wrong           []string
}

// Verdict compares what was acknowledged (marks) with what came.
func (p *Partner) Verdict(acked map[string]bool) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := Verdict{Delivered: len(p.by), Repeats: p.repeats, Doubles: p.doubles, Wrong: p.wrong}
	for mark := range acked {
		if p.by[mark] == nil {
			v.Lost++
		}
	}
	return v
}

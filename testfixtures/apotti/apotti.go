// Package apotti is a synthetic Apotti: the patient record system that refers. It speaks real MLLP and HL7 v2 in its
// own words, sharing no code with the hub, so that what the hub does is seen from outside.
//
// It sends over a Line, and its listener takes the answers (RRI, SIU, MDM), acknowledges them and remembers each in
// order. It can be told to be down, slow, unwilling, or to lose its acknowledgements.
package apotti

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Received is a message that Apotti's listener took.
type Received struct {
	Control  string // MSH-10
	Type     string // MSH-9 as two components: RRI^I12
	Answers  string // MSA-2, on an RRI
	Referral string // the referral that it names: RF1-6.1, SCH-26.1 or TXA-14.1
	Bytes    []byte
	At       time.Time
	Times    int  // how often the same bytes came
	Changed  bool // other bytes came under the same MSH-10: the hub must never do that
}

// Seen tells a watcher of one arrival.
type Seen struct {
	Received
	Answer string // MSA-1 that went back; empty if none did
}

// Behaviour is how Apotti treats its senders. The zero Behaviour takes everything.
type Behaviour struct {
	Down  bool          // nobody listens
	Delay time.Duration // before each acknowledgement
	Code  string        // AE or AR to refuse with; the message isn't kept
	Drop  int           // so many acknowledgements get lost: the message is kept, the connection closes
}

// System is a running Apotti.
type System struct {
	addr  string
	now   func() time.Time
	watch func(Seen)
	done  context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu        sync.Mutex
	behaviour Behaviour
	listener  net.Listener
	conns     map[net.Conn]bool
	received  []Received
	byControl map[string]int // place in received
	answers   int
	changed   chan struct{} // closed and renewed when received changes
}

// Start lets Apotti listen on addr (host:port; port 0 takes a free one). watch, if set, is told of each arrival.
func Start(addr string, now func() time.Time, watch func(Seen)) (*System, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("apotti: listen: %w", err)
	}
	if watch == nil {
		watch = func(Seen) {}
	}
	s := &System{addr: listener.Addr().String(), now: now, watch: watch, listener: listener,
		conns: map[net.Conn]bool{}, byControl: map[string]int{}, changed: make(chan struct{})}
	s.done, s.stop = context.WithCancel(context.Background())
	s.serve(listener)
	return s, nil
}

// Addr is the host:port of the listener; it stays the same while Apotti is down.
func (s *System) Addr() string { return s.addr }

// Close ends the listener and its connections and waits for them.
func (s *System) Close() {
	s.stop()
	s.hangUp()
	s.work.Wait()
}

// Behave changes how Apotti treats its senders from now on.
func (s *System) Behave(b Behaviour) error {
	s.mu.Lock()
	was := s.behaviour
	s.behaviour = b
	s.mu.Unlock()
	switch {
	case b.Down && !was.Down:
		s.hangUp()
	case was.Down && !b.Down:
		listener, err := net.Listen("tcp", s.addr)
		if err != nil {
			return fmt.Errorf("apotti: listen again: %w", err)
		}
		s.mu.Lock()
		s.listener = listener
		s.mu.Unlock()
		s.serve(listener)
	}
	return nil
}

// Received gives what has come, in the order of first arrival.
func (s *System) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Wait returns when enough says so of what has come, or with ctx's error. enough must not keep what it is shown.
func (s *System) Wait(ctx context.Context, enough func([]Received) bool) error {
	for {
		s.mu.Lock()
		done, changed := enough(s.received), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hangUp closes the listener and every connection.
func (s *System) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
}

func (s *System) serve(listener net.Listener) {
	s.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			if s.conns[conn] = true; s.behaviour.Down || s.done.Err() != nil {
				conn.Close()
			}
			s.mu.Unlock()
			s.work.Go(func() { s.talk(conn) })
		}
	})
}

// talk takes the messages of one connection, one after another.
func (s *System) talk(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		message, err := readFrame(in)
		if err != nil || len(message) < 9 || !bytes.HasPrefix(message, []byte("MSH")) {
			return // no message: there is nothing to answer
		}
		answer, stay := s.take(message)
		if !stay {
			return
		}
		if answer != nil && writeFrame(conn, answer) != nil {
			return
		}
	}
}

// take keeps one message and makes its acknowledgement; without stay, the connection ends and no answer goes back.
func (s *System) take(message []byte) (answer []byte, stay bool) {
	s.mu.Lock()
	b := s.behaviour
	if b.Drop > 0 && b.Code == "" {
		s.behaviour.Drop--
	}
	s.answers++
	control := fmt.Sprintf("APO%09d", s.answers)
	s.mu.Unlock()
	if b.Down || !s.wait(b.Delay) {
		return nil, false
	}
	if b.Code != "" {
		s.watch(Seen{Received: read(message, s.now()), Answer: b.Code})
		return acknowledge(message, b.Code, "Apotti was told to refuse.", control, s.now()), true
	}
	kept := s.keep(message)
	if b.Drop > 0 {
		s.watch(Seen{Received: kept})
		return nil, false
	}
	answer = acknowledge(message, "AA", "", control, s.now())
	s.watch(Seen{Received: kept, Answer: Field(answer, "MSA", 1)})
	return answer, true
}

// wait passes the time of a slow partner; false when Apotti is closed meanwhile.
func (s *System) wait(d time.Duration) bool {
	if d == 0 {
		return s.done.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done.Done():
		return false
	}
}

// keep remembers message, or counts it if its MSH-10 is known.
func (s *System) keep(message []byte) Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := read(message, s.now())
	i, known := s.byControl[r.Control]
	if !known {
		i = len(s.received)
		s.byControl[r.Control] = i
		s.received = append(s.received, r)
	} else if !bytes.Equal(s.received[i].Bytes, message) {
		s.received[i].Changed = true
	}
	s.received[i].Times++
	close(s.changed)
	s.changed = make(chan struct{})
	return s.received[i]
}

func read(message []byte, at time.Time) Received {
	r := Received{Control: Field(message, "MSH", 10), Answers: Field(message, "MSA", 2), Bytes: slices.Clone(message), At: at}
	r.Type = component(message, "MSH", 9)
	if kind := bytes.Split([]byte(Field(message, "MSH", 9)), message[4:5]); len(kind) > 1 {
		r.Type += "^" + string(kind[1])
	}
	for _, place := range []struct {
		segment string
		field   int
	}{{"RF1", 6}, {"SCH", 26}, {"TXA", 14}} {
		if r.Referral = component(message, place.segment, place.field); r.Referral != "" {
			break
		}
	}
	return r
}

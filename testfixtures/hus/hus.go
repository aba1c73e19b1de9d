// Package hus is a synthetic HUS: specialist care that takes referrals as FHIR messages over HTTP and answers them.
// It knows the canonical message as its outside shows it and shares no code with the hub.
//
// It keeps what it receives in order and tells repeats by their Idempotency-Key. Told to answer, it posts back for
// each referral: accepted, an appointment, and the feedback (hoitopalaute) with a document. It can be told to be
// down, slow, failing, or to lose its answers.
package hus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Received is a message that HUS took.
type Received struct {
	Key     string // Idempotency-Key
	Control string // Bundle.identifier
	Event   string
	Placer  string // the referral, if it is named
	Body    []byte
	At      time.Time
	Times   int  // how often the same bytes came under this key
	Changed bool // other bytes came under this key: the hub must never do that

	stem string // of its files, if it is stored
}

func received(key string, m *message, body []byte, at time.Time) Received {
	return Received{Key: key, Control: m.control, Event: m.event, Placer: text(m.identifier("PLAC"), "value"), Body: body, At: at}
}

// Behaviour is how HUS treats its senders. The zero Behaviour takes everything.
type Behaviour struct {
	Down       bool          // nobody listens
	Delay      time.Duration // before each answer
	Status     int           // 500, 503, 429, 400, 422: answered instead, and the message isn't kept
	RetryAfter time.Duration // sent with Status
	Drop       int           // so many answers get lost: the message is kept, the connection closes
	Reset      int           // so many requests are cut off in the middle of their body; nothing is kept
}

// Config is what a HUS needs.
type Config struct {
	Listen string        // host:port; port 0 takes a free one
	Dir    string        // where received messages are kept over a restart; empty: in memory only
	Answer bool          // answer each referral, once Connect has told where to
	Pause  time.Duration // before each answer but a referral's first; in life it is weeks
	Now    func() time.Time
	Took   func(r Received, status int) // told of each arrival, if set; status 0: no answer went back
	Posted func(Sent)                   // told of each answer that HUS has posted, if set
}

// System is a running HUS.
type System struct {
	Config
	addr string
	done context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu        sync.Mutex
	behaviour Behaviour
	server    *http.Server
	received  []Received
	byKey     map[string]int // place in received
	stored    int            // the highest number among the files
	changed   chan struct{}  // closed and renewed when received changes
	queue     []Received     // referrals that are to be answered
	wake      chan struct{}  // holds one token while the queue may have something
}

// Start lets HUS listen. What its directory holds from before is taken up.
func Start(c Config) (*System, error) {
	if c.Took == nil {
		c.Took = func(Received, int) {}
	}
	if c.Posted == nil {
		c.Posted = func(Sent) {}
	}
	s := &System{Config: c, byKey: map[string]int{}, changed: make(chan struct{}), wake: make(chan struct{}, 1)}
	s.done, s.stop = context.WithCancel(context.Background())
	if err := s.restore(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("hus: listen: %w", err)
	}
	s.addr = listener.Addr().String()
	s.serve(listener)
	return s, nil
}

func (s *System) serve(listener net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fhir/$process-message", s.processMessage)
	mux.HandleFunc("GET /fhir/Bundle", s.showReceived)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	s.work.Go(func() { server.Serve(listener) })
}

// URL is the FHIR base; it stays the same while HUS is down.
func (s *System) URL() string { return "http://" + s.addr + "/fhir" }

// Close ends the server and the answering and waits for both.
func (s *System) Close() {
	s.stop()
	s.server.Close()
	s.work.Wait()
}

// Behave changes how HUS treats its senders from now on.
func (s *System) Behave(b Behaviour) error {
	s.mu.Lock()
	was := s.behaviour
	s.behaviour = b
	s.mu.Unlock()
	switch {
	case b.Down && !was.Down:
		s.server.Close()
	case was.Down && !b.Down:
		listener, err := net.Listen("tcp", s.addr)
		if err != nil {
			return fmt.Errorf("hus: listen again: %w", err)
		}
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

// maxBody is the largest message that HUS reads, in bytes.
const maxBody = 64 << 20

// processMessage takes one message: FHIR's operation $process-message.
func (s *System) processMessage(w http.ResponseWriter, r *http.Request) {
	b := s.mood()
	if b.Down || b.Reset > 0 {
		io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil || !s.wait(b.Delay) {
		panic(http.ErrAbortHandler)
	}
	key := r.Header.Get("Idempotency-Key")
	if b.Status != 0 {
		if b.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(b.RetryAfter.Seconds())))
		}
		s.answer(w, b.Status, outcome("error", "transient", "", "HUS was told to fail."), Received{Key: key, At: s.Now()})
		return
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/fhir+json" {
		s.answer(w, http.StatusUnsupportedMediaType, outcome("fatal", "not-supported", "", "FHIR JSON is expected."), Received{Key: key, At: s.Now()})
		return
	}
	if key == "" {
		s.answer(w, http.StatusBadRequest, outcome("fatal", "required", "", "The header Idempotency-Key is missing."), Received{At: s.Now()})
		return
	}
	m, err := readMessage(body)
	if err != nil {
		s.answer(w, http.StatusUnprocessableEntity, refusal(err), Received{Key: key, At: s.Now()})
		return
	}
	kept, err := s.keep(key, m, body)
	switch {
	case err != nil:
		s.answer(w, http.StatusInternalServerError, outcome("fatal", "exception", "", "HUS can't keep the message."), kept)
	case b.Drop > 0:
		s.Took(kept, 0)
		panic(http.ErrAbortHandler)
	case kept.Changed:
		s.answer(w, http.StatusConflict, outcome("fatal", "conflict", "", "Another message came under this key."), kept)
	case kept.Times > 1:
		s.answer(w, http.StatusConflict, outcome("error", "duplicate", "", "This message is here already."), kept)
	default:
		s.answer(w, http.StatusOK, outcome("information", "informational", "", "Received."), kept)
	}
}

func (s *System) answer(w http.ResponseWriter, status int, body []byte, r Received) {
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	w.Write(body)
	s.Took(r, status)
}

// showReceived lists what has come as a searchset, for whoever wants to read it with a parser of their own.
func (s *System) showReceived(w http.ResponseWriter, r *http.Request) {
	entries := []any{}
	for _, m := range s.Received() {
		if want := r.URL.Query().Get("identifier"); want == "" || want == m.Control {
			entries = append(entries, object{"resource": json.RawMessage(m.Body)})
		}
	}
	w.Header().Set("Content-Type", "application/fhir+json")
	json.NewEncoder(w).Encode(object{"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries})
}

// mood gives the present behaviour and counts down what is limited.
func (s *System) mood() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.behaviour
	switch {
	case b.Reset > 0:
		s.behaviour.Reset--
	case b.Drop > 0 && b.Status == 0:
		s.behaviour.Drop--
	}
	return b
}

// wait passes the time of a slow partner; false when HUS is closed meanwhile.
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

// keep remembers a message, or counts it if its key is known.
func (s *System) keep(key string, m *message, body []byte) (Received, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.byKey[key]
	if !known {
		r := received(key, m, body, s.Now())
		if err := s.store(&r); err != nil {
			return r, err
		}
		i = s.remember(r)
		s.ask(r)
	} else if !bytes.Equal(s.received[i].Body, body) {
		s.received[i].Changed = true
	}
	s.received[i].Times++
	close(s.changed)
	s.changed = make(chan struct{})
	return s.received[i], nil
}

// remember appends r; the caller holds the lock.
func (s *System) remember(r Received) int {
	s.byKey[r.Key] = len(s.received)
	s.received = append(s.received, r)
	return s.byKey[r.Key]
}

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// receiver counts what arrives over HTTP: it reads a message's number and referral from its text, and answers at once.
type receiver struct {
	listener net.Listener
	server   *http.Server

	mu         sync.Mutex
	seen       map[int]bool
	last       map[string]int // by referral, the highest number that came
	duplicated int
	reordered  int
	changed    chan struct{} // closed and renewed when something new came
}

func newReceiver() (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: listener, seen: map[int]bool{}, last: map[string]int{}, changed: make(chan struct{})}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go r.server.Serve(listener)
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/fhir" }

func (r *receiver) close() { r.server.Close() }

// What the receiver reads of a message: the mark and the placer id of generate's messages.
var (
	markNumber = regexp.MustCompile(`viite [A-Z0-9]+/(\d+)\.`)
	markPlacer = regexp.MustCompile(`"LAH-[A-Z0-9]+-\d+"`)
)

const allWell = `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	number := markNumber.FindSubmatch(body)
	if err != nil || number == nil {
		http.Error(w, "no message of the bench", http.StatusBadRequest)
		return
	}
	n, _ := strconv.Atoi(string(number[1]))
	r.count(n, string(markPlacer.Find(body)))
	w.Header().Set("Content-Type", "application/fhir+json")
	io.WriteString(w, allWell)
}

func (r *receiver) count(n int, referral string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[n] {
		r.duplicated++
		return
	}
	r.seen[n] = true
	if n < r.last[referral] {
		r.reordered++
	}
	r.last[referral] = max(n, r.last[referral])
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait returns when n different messages have come, or ctx ends.
func (r *receiver) wait(ctx context.Context, n int) {
	for {
		r.mu.Lock()
		have, changed := len(r.seen), r.changed
		r.mu.Unlock()
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

func (r *receiver) counts() (delivered, duplicated, reordered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen), r.duplicated, r.reordered
}

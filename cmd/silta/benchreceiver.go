package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// receiver counts what arrives: it reads a message's number and referral from its text, and answers at once. It speaks
// HTTP, or MLLP.
type receiver struct {
	listener net.Listener
	server   *http.Server // nil where it speaks MLLP

	mu         sync.Mutex
	seen       []uint64 // a bit a number, so that a million of them take little
	different  int
	last       map[string]int // by referral, the highest number that came
	duplicated int
	reordered  int
	awaited    int
	reached    chan struct{} // closed when awaited have come
}

func newReceiver(mllp bool) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: listener, last: map[string]int{}}
	if mllp {
		go r.accept()
		return r, nil
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go r.server.Serve(listener)
	return r, nil
}

func (r *receiver) url() string {
	if r.server == nil {
		return "mllp://" + r.listener.Addr().String()
	}
	return "http://" + r.listener.Addr().String() + "/fhir"
}

func (r *receiver) close() {
	r.listener.Close()
	if r.server != nil {
		r.server.Close()
	}
}

// What the receiver looks for in a message: the mark and the placer id of generate's messages.
var (
	numberMark = []byte("viite BENCH/")
	placerMark = []byte("LAH-BENCH-")
)

// markOf reads a message's number and referral; false if it is none of the bench.
func markOf(message []byte) (number int, referral string, ok bool) {
	_, rest, ok := bytes.Cut(message, numberMark)
	digits, _, ended := bytes.Cut(rest, []byte("."))
	number, err := strconv.Atoi(string(digits))
	if !ok || !ended || err != nil {
		return 0, "", false
	}
	_, rest, ok = bytes.Cut(message, placerMark)
	end := bytes.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
	if !ok || end < 1 {
		return 0, "", false
	}
	return number, string(rest[:end]), true
}

const allWell = `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	asPart(request.Context(), partReceiver, func(context.Context) {
		body, err := io.ReadAll(request.Body)
		number, referral, ok := markOf(body)
		if err != nil || !ok {
			http.Error(w, "no message of the bench", http.StatusBadRequest)
			return
		}
		r.count(number, referral)
		w.Header().Set("Content-Type", "application/fhir+json")
		io.WriteString(w, allWell)
	})
}

func (r *receiver) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		go asPart(context.Background(), partReceiver, func(context.Context) { r.answer(conn) })
	}
}

// answer acknowledges each frame of a connection.
func (r *receiver) answer(conn net.Conn) {
	defer conn.Close()
	frames := bufio.NewReaderSize(conn, 256<<10)
	var out []byte
	for {
		frame, err := frames.ReadSlice(0x1c)
		if err != nil {
			return
		}
		number, referral, ok := markOf(frame)
		fields := bytes.SplitN(frame, []byte("|"), 11)
		if !ok || len(fields) < 11 {
			return
		}
		r.count(number, referral)
		out = append(out[:0], "\x0bMSH|^~\\&|COUNTER|BENCH|SILTA|BENCH|20260302091500+0000||ACK^I12^ACK|A|P|2.5.1\rMSA|AA|"...)
		out = append(append(out, fields[9]...), "\r\x1c\r"...)
		if _, err := frames.Discard(1); err != nil {
			return
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func (r *receiver) count(n int, referral string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n/64 >= len(r.seen) {
		r.seen = append(r.seen, 0)
	}
	if r.seen[n/64]&(1<<(n%64)) != 0 {
		r.duplicated++
		return
	}
	r.seen[n/64] |= 1 << (n % 64)
	r.different++
	if n < r.last[referral] {
		r.reordered++
	}
	r.last[referral] = max(n, r.last[referral])
	if r.reached != nil && r.different >= r.awaited {
		close(r.reached)
		r.reached = nil
	}
}

// wait returns when n different messages have come, or ctx ends.
func (r *receiver) wait(ctx context.Context, n int) {
	r.mu.Lock()
	if r.different >= n {
		r.mu.Unlock()
		return
	}
	reached := make(chan struct{})
	r.awaited, r.reached = n, reached
	r.mu.Unlock()
	select {
	case <-reached:
	case <-ctx.Done():
	}
}

func (r *receiver) counts() (delivered, duplicated, reordered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.different, r.duplicated, r.reordered
}

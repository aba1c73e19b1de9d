package fhirrest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// Receiver takes what a door read. It returns a receipt when the bytes are durable, accepted or refused; an error is
// trouble of its own, which the door answers with 503. It must return when ctx ends.
type Receiver interface {
	Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error)
}

// Config is what a door works with. Base, Receiver, Now and Log must be set.
type Config struct {
	Base     string // the path of all that the door has: /fhir
	URL      string // by which partners reach Base, where a proxy stands before it; empty: as they ask for it
	Hub      string // the hub's version, told to partners
	Senders  []Sender
	Receiver Receiver
	Now      func() time.Time
	Log      logrus.FieldLogger
	Timeouts Timeouts
}

// Door is an http.Handler for all under its base: `$process-message`, and what it tells of itself. All FHIR partners share
// it; the token says who comes, and each is shown its own contract.
type Door struct {
	base     string
	path     string // of the operation
	url      string
	hub      string
	shelf    shelf
	opened   time.Time
	senders  atomic.Pointer[[]knownSender]
	receiver Receiver
	now      func() time.Time
	log      logrus.FieldLogger
	timeouts Timeouts
}

// Timeouts bound what a request may take. Zero ones get the defaults.
type Timeouts struct {
	Read    time.Duration // a request's body, from its header on; 1 min
	Receive time.Duration // the Receiver's word; 30 s
	Drain   time.Duration // requests under way when Serve's context ends; 10 s
}

// NewDoor makes a door for senders whose tokens differ and aren't empty.
func NewDoor(c Config) (*Door, error) {
	base := strings.TrimRight(c.Base, "/")
	d := &Door{
		base: base, path: base + "/" + operation, url: strings.TrimRight(c.URL, "/"), hub: c.Hub, opened: c.Now(),
		receiver: c.Receiver, now: c.Now, log: c.Log.WithField("door", "fhir"), timeouts: c.Timeouts.withDefaults(),
	}
	d.senders.Store(&[]knownSender{})
	var err error
	if d.shelf, err = newShelf(); err != nil {
		return nil, err
	}
	return d, d.Admit(c.Senders)
}

// Admit lets these senders in from now on, and nobody else. Requests that have begun go on. A fault changes nothing.
func (d *Door) Admit(senders []Sender) error {
	check, err := known(senders, *d.senders.Load(), d.now())
	if err != nil {
		return err
	}
	d.senders.Store(&check)
	return nil
}

func (t Timeouts) withDefaults() Timeouts {
	for _, one := range []struct {
		d     *time.Duration
		value time.Duration
	}{{&t.Read, time.Minute}, {&t.Receive, 30 * time.Second}, {&t.Drain, 10 * time.Second}} {
		if *one.d == 0 {
			*one.d = one.value
		}
	}
	return t
}

// Serve answers requests on listener until ctx ends, then lets those under way finish within the drain bound, and
// returns nil. Another end of the listener is an error. main may give the door to a server of its own instead.
func (d *Door) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: d, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // handshakes that strangers break off; what matters is logged by the door
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeouts.Drain)
		defer cancel()
		if server.Shutdown(bound) != nil {
			d.log.Warn("Requests were cut off because the door stops; their senders keep the messages.")
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	if !stop() {
		<-drained
		return nil
	}
	return err
}

// ServeHTTP answers one request. Who comes is asked first; a stranger's body isn't read, and a stranger learns no more
// than how to come in.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.recover(w)
	path, inside := strings.CutPrefix(r.URL.Path, d.base)
	authorization := r.Header.Get("Authorization")
	sender := d.sender(authorization)
	switch {
	case sender == nil && (authorization != "" || !inside || path != metadata):
		w.Header().Set("WWW-Authenticate", `Bearer realm="silta"`)
		d.refuse(w, r, nil, refusing(http.StatusUnauthorized, contracts.Denied, CodeNoToken, "A bearer token of a known partner is needed."))
	case !inside || !strings.HasPrefix(path, "/"):
		d.refuse(w, r, sender, d.nothing())
	case r.URL.Path == d.path:
		d.process(w, r, sender)
	default:
		d.tell(w, r, sender, path)
	}
}

// process answers a request of the operation.
func (d *Door) process(w http.ResponseWriter, r *http.Request, sender *knownSender) {
	if no := check(r); no != nil {
		d.refuse(w, r, sender, no)
		return
	}
	body, fault, err := d.read(w, r, sender.MaxBytes)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			status = http.StatusRequestTimeout
		}
		w.Header().Set("Connection", "close")
		d.refuse(w, r, sender, refusing(status, contracts.Malformed, CodeIncomplete, "The body didn't arrive whole. Nothing was kept; send it again."))
		return
	}
	a := contracts.Arrival{
		Partner: sender.Partner, Format: contracts.FormatFHIR, Body: contracts.NewBody(body), Fault: fault,
		Trace: traceparent(r.Header.Get("traceparent")),
	}
	if fault == nil {
		d.take(w, r, a)
		return
	}
	w.Header().Set("Connection", "close")
	d.unread(w, r, math.MaxInt64, func() { d.take(w, r, a) })
}

// sender finds whose token it is, in a time that doesn't tell how much of it was right.
func (d *Door) sender(authorization string) *knownSender {
	scheme, token, _ := strings.Cut(authorization, " ")
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	var found *knownSender
	senders := *d.senders.Load()
	for i := range senders {
		if subtle.ConstantTimeCompare(digest[:], senders[i].digest[:]) == 1 {
			found = &senders[i]
		}
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return found
}

// check looks at all of a request of the operation but its body.
func check(r *http.Request) *refusal {
	switch {
	case r.Method != http.MethodPost:
		return notAllowed("Messages come by POST.", http.MethodPost)
	case !isFHIRJSON(r.Header):
		return refusing(http.StatusUnsupportedMediaType, contracts.Refused, CodeMediaType,
			"Only FHIR R4 in JSON is taken: send it as `Content-Type: application/fhir+json`, in UTF-8 and unpacked. XML isn't taken.")
	case !takesJSON(r.URL.Query().Get("_format"), r.Header):
		return noJSON()
	}
	return nil
}

// read gives the body, or its first 64 KB and a fault if it is larger than limit.
func (d *Door) read(w http.ResponseWriter, r *http.Request, limit int) ([]byte, *contracts.Fault, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d.timeouts.Read)) // a recorder in a test has none
	most := limit
	if r.ContentLength > int64(limit) {
		most = min(kept, limit)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(body) <= most:
		return body, nil, nil
	}
	return bytes.Clone(body[:min(kept, limit)]), &contracts.Fault{
		Kind: contracts.Refused, Code: CodeTooLarge,
		Public: "The request is larger than the limit of this door (" + byteCount(limit) + "); its beginning was kept. Send less at once, or agree on a higher limit.",
	}, nil
}

// take hands a body to the receiver and answers with its receipt. The request's own context isn't passed on: a sender
// that hangs up must not break the writing off halfway.
func (d *Door) take(w http.ResponseWriter, r *http.Request, a contracts.Arrival) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), d.timeouts.Receive)
	defer cancel()
	begun := d.now()
	receipt, err := d.receiver.Receive(ctx, a)
	d.log.WithFields(logrus.Fields{"partner": a.Partner, "message": receipt.ID, "trace": contracts.TraceID(receipt.Trace), "bytes": a.Body.Len(), "ms": d.now().Sub(begun).Milliseconds()}).Debug("A message came.")
	if err == nil && receipt.Fault != nil && (receipt.Fault.Kind == contracts.Internal || receipt.Fault.Kind == contracts.Unavailable) {
		err = receipt.Fault // trouble of our own never becomes a refusal
	}
	if err != nil {
		d.log.WithError(err).WithFields(logrus.Fields{"partner": a.Partner, "bytes": a.Body.Len()}).Error("A message can't be kept; its sender is told to send it again.")
		d.trouble(w)
		return
	}
	if receipt.ID != "" {
		w.Header().Set("X-Silta-Message", string(receipt.ID))
	}
	if receipt.Fault != nil {
		answer(w, statusOf(receipt.Fault), fhir.Outcome(contracts.Faults{receipt.Fault}))
		return
	}
	answer(w, http.StatusOK, fhir.AllOK())
}

// statusOf is the HTTP status of a refusal.
func statusOf(f *contracts.Fault) int {
	switch {
	case f.Code == CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case f.Kind == contracts.Conflict:
		return http.StatusConflict
	case f.Kind == contracts.Denied:
		return http.StatusForbidden
	case f.Kind == contracts.Malformed, f.Kind == contracts.Invalid:
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity // understood, but not for this door, or for no map
}

// refusal is why a request isn't looked into: the status that answers it, and the methods of its address with 405.
type refusal struct {
	status int
	fault  *contracts.Fault
	allow  []string
}

func refusing(status int, kind contracts.Kind, code, text string) *refusal {
	return &refusal{status: status, fault: &contracts.Fault{Kind: kind, Code: code, Public: text}}
}

// nothing is the refusal of an address where there is nothing, or nothing for the sender.
func (d *Door) nothing() *refusal {
	return refusing(http.StatusNotFound, contracts.NotFound, CodePath, "Nothing is here. Messages go to "+d.path+"; "+d.base+metadata+" lists what can be read.")
}

func notAllowed(text string, methods ...string) *refusal {
	no := refusing(http.StatusMethodNotAllowed, contracts.Refused, CodeMethod, text)
	no.allow = methods
	return no
}

func noJSON() *refusal {
	return refusing(http.StatusNotAcceptable, contracts.Refused, CodeAccept,
		"The answer is JSON, which the request doesn't accept: ask with `Accept: application/fhir+json` or `_format=json`. There is no XML.")
}

// refuse answers a request with why it isn't looked into. The sender is nil where it isn't known.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, sender *knownSender, no *refusal) {
	partner := ""
	if sender != nil {
		partner = sender.Partner
	}
	if no.allow != nil {
		w.Header().Set("Allow", strings.Join(no.allow, ", "))
	}
	d.log.WithFields(logrus.Fields{"partner": partner, "remote": r.RemoteAddr, "status": no.status, "code": no.fault.Code}).Info("A request was refused.")
	d.unread(w, r, strangersBytes, func() { answer(w, no.status, fhir.Outcome(contracts.Faults{no.fault})) })
}

// unread answers a request whose body wasn't read, and then reads at most so many bytes of it and drops them. A
// connection that is closed with unread bytes is reset, and a client that writes all before it reads would see that
// instead of the answer.
func (d *Door) unread(w http.ResponseWriter, r *http.Request, most int64, answer func()) {
	connection := http.NewResponseController(w)
	waits := r.Header.Get("Expect") != "" // then it sends nothing after a refusal
	if waits || connection.EnableFullDuplex() != nil {
		answer()
		return
	}
	answer()
	_ = connection.SetReadDeadline(time.Now().Add(d.timeouts.Read)) // a dead connection shows itself by the read
	if connection.Flush() == nil {
		_, _ = io.CopyN(io.Discard, r.Body, most)
	}
}

// trouble tells the sender to keep its message.
func (d *Door) trouble(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	answer(w, http.StatusServiceUnavailable, fhir.Outcome(contracts.Faults{
		contracts.Faultf(contracts.Unavailable, CodeTrouble, "", "The message can't be kept now. Nothing was accepted; send it again.")}))
}

// recover guards against a panic, which costs one request and no message.
func (d *Door) recover(w http.ResponseWriter) {
	if p := recover(); p != nil {
		d.log.WithField("stack", string(debug.Stack())).Error("Receiving a message panicked.")
		d.trouble(w)
	}
}

func answer(w http.ResponseWriter, status int, outcome []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(outcome) // the sender is gone, or reads it
}

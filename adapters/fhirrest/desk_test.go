package fhirrest

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/fhir/$process-message"

// desk is a Receiver that keeps what arrives, and answers by respond, or accepts.
type desk struct {
	respond func(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error)
	mu      sync.Mutex
	kept    []contracts.Arrival
}

func (d *desk) Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	d.mu.Lock()
	d.kept = append(d.kept, a)
	d.mu.Unlock()
	if d.respond != nil {
		return d.respond(ctx, a)
	}
	return receipt(a), nil
}

func receipt(a contracts.Arrival) contracts.Receipt {
	return contracts.Receipt{ID: contracts.DerivedID("test", string(a.Body.Bytes())), Claim: contracts.ClaimNew, Fault: a.Fault}
}

func (d *desk) arrivals() []contracts.Arrival {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept
}

func quiet() logrus.FieldLogger {
	l := logrus.New()
	l.Out, l.Level = io.Discard, logrus.DebugLevel
	return l
}

// open serves a door for two partners until the test ends, and gives its address.
func open(t *testing.T, r Receiver, timeouts Timeouts) string {
	t.Helper()
	d := door(t, Config{Receiver: r, Timeouts: timeouts, Senders: []Sender{
		{Partner: "lab", Token: "lab-token", MaxBytes: 1000}, {Partner: "ward", Token: "ward-token", MaxBytes: 200 << 10}}})
	address, _ := serve(t, d)
	return address
}

// door makes a door of what a test says; the rest is as usual.
func door(t *testing.T, c Config) *Door {
	t.Helper()
	if c.Base == "" {
		c.Base = "/fhir"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = quiet()
	}
	d, err := NewDoor(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// serve gives the door's address, and what ends it and waits for it.
func serve(t *testing.T, d *Door) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, listener) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return listener.Addr().String(), stop
}

// ask makes one request as the lab, with changes to it, and gives status, header and body.
func ask(t *testing.T, address, body string, changes ...func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer lab-token")
	r.Header.Set("Content-Type", "application/fhir+json")
	for _, change := range changes {
		change(r)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	back, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(back)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

// issue is the first issue code of an OperationOutcome.
func issue(t *testing.T, body string) string {
	t.Helper()
	tree, err := fhir.Parse([]byte(body))
	if err != nil || tree.Root().Type() != "OperationOutcome" {
		t.Fatalf("the answer is no OperationOutcome (%d bytes): %v", len(body), err)
	}
	return tree.Root().Get("issue").At(0).Get("code").Text()
}

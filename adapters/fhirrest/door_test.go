package fhirrest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

func TestAReceiptIsAnswered(t *testing.T) {
	refusal := func(kind contracts.Kind) func(context.Context, contracts.Arrival) (contracts.Receipt, error) {
		return func(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
			r := receipt(a)
			r.Fault = contracts.Faultf(kind, "HUB-012", "Bundle.identifier", "That is why.")
			return r, nil
		}
	}
	for _, row := range []struct {
		name    string
		respond func(context.Context, contracts.Arrival) (contracts.Receipt, error)
		status  int
		issue   string
	}{
		{"accepted", nil, 200, "informational"},
		{"malformed", refusal(contracts.Malformed), 400, "structure"},
		{"invalid", refusal(contracts.Invalid), 400, "invalid"},
		{"another message under a known id", refusal(contracts.Conflict), 409, "conflict"},
		{"denied", refusal(contracts.Denied), 403, "security"},
		{"unroutable", refusal(contracts.Unroutable), 422, "not-supported"},
		{"outside the contract", refusal(contracts.Refused), 422, "processing"},
		{"trouble of our own", func(context.Context, contracts.Arrival) (contracts.Receipt, error) {
			return contracts.Receipt{}, errors.New("disk full: canary")
		}, 503, "transient"},
		{"trouble of our own as a fault", refusal(contracts.Internal), 503, "transient"},
		{"a bug", func(context.Context, contracts.Arrival) (contracts.Receipt, error) { panic("canary") }, 503, "transient"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &desk{respond: row.respond}
			status, h, body := ask(t, open(t, r, Timeouts{}), `{"resourceType":"Bundle"}`, header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
			if got := issue(t, body); status != row.status || got != row.issue {
				t.Errorf("got %d %s, want %d %s", status, got, row.status, row.issue)
			}
			if h.Get("Content-Type") != "application/fhir+json; charset=utf-8" || strings.Contains(body, "canary") {
				t.Errorf("the answer is %s; our own words in it: %t", h.Get("Content-Type"), strings.Contains(body, "canary"))
			}
			if (h.Get("Retry-After") != "") != (row.status == 503) {
				t.Errorf("Retry-After is %q", h.Get("Retry-After"))
			}
			a := r.arrivals()
			if len(a) != 1 || a[0].Partner != "lab" || a[0].Format != contracts.FormatFHIR || string(a[0].Body.Bytes()) != `{"resourceType":"Bundle"}` ||
				a[0].Trace != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
				t.Errorf("%d arrived, or not as it was sent", len(a))
			}
		})
	}
}

func TestARepeatGetsTheSameAnswer(t *testing.T) {
	address := open(t, &desk{}, Timeouts{})
	status, h, first := ask(t, address, "{}")
	again, hAgain, second := ask(t, address, "{}")
	if status != 200 || again != 200 || first != second || h.Get("X-Silta-Message") == "" || h.Get("X-Silta-Message") != hAgain.Get("X-Silta-Message") {
		t.Error("a repeat got another answer")
	}
}

func TestStrangersAndOddRequestsAreTurnedAway(t *testing.T) {
	r := &desk{}
	address := open(t, r, Timeouts{})
	at := func(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }
	query := func(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }
	for _, row := range []struct {
		name   string
		change func(*http.Request)
		status int
		issue  string
	}{
		{"no token", header("Authorization", ""), 401, "security"},
		{"an unknown token", header("Authorization", "Bearer lab-toke"), 401, "security"},
		{"an empty token", header("Authorization", "Bearer "), 401, "security"},
		{"another scheme", header("Authorization", "Basic lab-token"), 401, "security"},
		{"a token without a scheme", header("Authorization", "lab-token"), 401, "security"},
		{"a stranger elsewhere", func(r *http.Request) { header("Authorization", "")(r); at("/fhir/CodeSystem/event")(r) }, 401, "security"},
		{"elsewhere", at("/fhir/Patient"), 404, "not-found"},
		{"beside the base", at("/fhirCodeSystem/event"), 404, "not-found"},
		{"below", at(path + "/x"), 404, "not-found"},
		{"another method", func(r *http.Request) { r.Method = http.MethodPut }, 405, "processing"},
		{"XML", header("Content-Type", "application/fhir+xml"), 415, "processing"},
		{"no media type", header("Content-Type", ""), 415, "processing"},
		{"another character set", header("Content-Type", "application/fhir+json; charset=iso-8859-1"), 415, "processing"},
		{"another FHIR", header("Content-Type", "application/fhir+json; fhirVersion=5.0"), 415, "processing"},
		{"packed", header("Content-Encoding", "gzip"), 415, "processing"},
		{"XML wanted", header("Accept", "application/fhir+xml"), 406, "processing"},
		{"XML wanted by _format", query("_format=application/fhir%2Bxml"), 406, "processing"},
		{"JSON unwanted", header("Accept", "text/html, application/*;q=0"), 406, "processing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, h, body := ask(t, address, "{}", row.change)
			if got := issue(t, body); status != row.status || got != row.issue {
				t.Errorf("got %d %s, want %d %s", status, got, row.status, row.issue)
			}
			if status == 401 && h.Get("WWW-Authenticate") == "" || status == 405 && h.Get("Allow") != "POST" {
				t.Errorf("the answer doesn't say what is needed")
			}
		})
	}
	if n := len(r.arrivals()); n != 0 {
		t.Errorf("%d of them arrived", n)
	}
}

func TestWhatSuitsIsTaken(t *testing.T) {
	address := open(t, &desk{}, Timeouts{})
	for name, change := range map[string]func(*http.Request){
		"plain JSON":           header("Content-Type", "application/json"),
		"with its charset":     header("Content-Type", `application/fhir+json; charset="UTF-8"; fhirVersion=4.0`),
		"anything accepted":    header("Accept", "text/html, */*;q=0.1"),
		"FHIR accepted":        header("Accept", "application/fhir+xml;q=0.5, application/fhir+json"),
		"JSON by _format":      func(r *http.Request) { r.URL.RawQuery = "_format=json"; header("Accept", "application/fhir+xml")(r) },
		"a type by _format":    func(r *http.Request) { r.URL.RawQuery = "_format=application/fhir+json" },
		"a scheme in any case": header("Authorization", "bearer lab-token"),
		"an escaped operation": func(r *http.Request) { r.URL.RawPath = "/fhir/%24process-message" },
	} {
		if status, _, _ := ask(t, address, "{}", change); status != 200 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestATokenSaysWhoComes(t *testing.T) {
	r := &desk{}
	address := open(t, r, Timeouts{})
	ask(t, address, "{}", header("Authorization", "Bearer ward-token"))
	ask(t, address, "{}")
	if a := r.arrivals(); len(a) != 2 || a[0].Partner != "ward" || a[1].Partner != "lab" {
		t.Error("the messages aren't their senders'")
	}
}

func TestATraceContextThatIsNoneIsDropped(t *testing.T) {
	r := &desk{}
	ask(t, open(t, r, Timeouts{}), "{}", header("traceparent", "00-canary"))
	if got := r.arrivals()[0].Trace; got != "" {
		t.Errorf("%q was passed on", got)
	}
}

// unsized hides a body's length, so that it is sent in chunks.
func unsized(r *http.Request) {
	r.Body, r.ContentLength = io.NopCloser(struct{ io.Reader }{r.Body}), -1
}

func TestATooLargeRequestIsKeptInPart(t *testing.T) {
	for _, row := range []struct {
		name, token string
		size, kept  int
		change      func(*http.Request)
		status      int
	}{
		{"as large as the limit", "lab-token", 1000, 1000, nil, 200},
		{"one byte more", "lab-token", 1001, 1000, nil, 413},
		{"one byte more, in chunks", "lab-token", 1001, 1000, unsized, 413},
		{"much more", "ward-token", 300 << 10, 64 << 10, nil, 413},
		{"much more, in chunks", "ward-token", 300 << 10, 64 << 10, unsized, 413},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &desk{}
			body := strings.Repeat("x", row.size)
			changes := []func(*http.Request){header("Authorization", "Bearer "+row.token)}
			if row.change != nil {
				changes = append(changes, row.change)
			}
			status, _, back := ask(t, open(t, r, Timeouts{}), body, changes...)
			issue(t, back)
			a := r.arrivals()
			if status != row.status || len(a) != 1 || a[0].Body.Len() != row.kept {
				t.Fatalf("got %d, and %d kept, want %d and one of %d bytes", status, len(a), row.status, row.kept)
			}
			if (a[0].Fault != nil) != (status == 413) {
				t.Errorf("it arrived with %v", a[0].Fault)
			}
		})
	}
}

// A client that writes its whole request before it reads gets the answer, not a reset.
func TestAClientThatReadsLateGetsItsAnswer(t *testing.T) {
	for token, row := range map[string]struct {
		size int
		want string
	}{"lab-token": {64 << 20, "HTTP/1.1 413"}, "unknown": {strangersBytes, "HTTP/1.1 401"}} {
		conn, err := net.Dial("tcp", open(t, &desk{}, Timeouts{}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n", path, token, row.size)
		if _, err := conn.Write(make([]byte, row.size)); err != nil {
			t.Fatalf("%s: the request couldn't be written: %v", row.want, err)
		}
		if back, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(back, []byte(row.want)) {
			t.Errorf("got %.20q, %v; want %s", back, err, row.want)
		}
	}
}

// A body that doesn't come in time, or not whole, reaches nobody.
func TestABodyThatDoesNotArrive(t *testing.T) {
	head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer lab-token\r\nContent-Type: application/fhir+json\r\nContent-Length: 10\r\n\r\n{"
	for _, row := range []struct {
		name  string
		close bool
		want  string
	}{{"half of it, and silence", false, "HTTP/1.1 408"}, {"half of it, and the end", true, "HTTP/1.1 400"}} {
		t.Run(row.name, func(t *testing.T) {
			r := &desk{}
			conn, err := net.Dial("tcp", open(t, r, Timeouts{Read: 50 * time.Millisecond}))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(conn, head)
			if row.close {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			back, err := io.ReadAll(conn)
			if err != nil || !bytes.HasPrefix(back, []byte(row.want)) {
				t.Errorf("got %.20q, %v; want %s and the end", back, err, row.want)
			}
			if n := len(r.arrivals()); n != 0 {
				t.Errorf("%d arrived", n)
			}
		})
	}
}

// A search whose body doesn't come in time is answered all the same.
func TestASearchThatDoesNotArrive(t *testing.T) {
	conn, err := net.Dial("tcp", open(t, &desk{}, Timeouts{Read: 50 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "POST /fhir/CodeSystem/_search HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer lab-token\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\n_")
	if back, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(back, []byte("HTTP/1.1 400")) {
		t.Errorf("got %.20q, %v; want 400 and the end", back, err)
	}
}

// A sender that hangs up while its message is being kept doesn't break that off.
func TestASenderThatHangsUpBreaksNothing(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	broke := make(chan error, 1)
	r := &desk{respond: func(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
		close(arrived)
		<-gone
		broke <- ctx.Err()
		return receipt(a), nil
	}}
	d := door(t, Config{Senders: []Sender{{Partner: "lab", Token: "lab-token"}}, Receiver: r})
	ctx, hangUp := context.WithCancel(context.Background())
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader("{}"))
	request.Header.Set("Authorization", "Bearer lab-token")
	request.Header.Set("Content-Type", mediaType)
	go func() { <-arrived; hangUp(); close(gone) }()
	d.ServeHTTP(httptest.NewRecorder(), request)
	if err := <-broke; err != nil {
		t.Errorf("keeping the message was broken off: %v", err)
	}
}

// A receiver that gives no word is waited for no longer than the bound; the sender keeps its message.
func TestAReceiverThatGivesNoWord(t *testing.T) {
	r := &desk{respond: func(ctx context.Context, _ contracts.Arrival) (contracts.Receipt, error) {
		<-ctx.Done()
		return contracts.Receipt{}, ctx.Err()
	}}
	if status, _, _ := ask(t, open(t, r, Timeouts{Receive: time.Millisecond}), "{}"); status != 503 {
		t.Errorf("got %d, want 503", status)
	}
}

// A request under way when the door stops is answered; later ones find no door.
func TestARequestUnderWayIsAnsweredWhenTheDoorStops(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	r := &desk{respond: func(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
		close(arrived)
		<-release
		return receipt(a), nil
	}}
	d := door(t, Config{Base: "/fhir/", Senders: []Sender{{Partner: "lab", Token: "lab-token"}}, Receiver: r})
	address, stop := serve(t, d)
	status := make(chan int, 1)
	go func() { s, _, _ := ask(t, address, "{}"); status <- s }()
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until the door is shut
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if s := <-status; s != 200 {
		t.Errorf("got %d, want 200", s)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestDoorsWithoutProperTokensAreRefused(t *testing.T) {
	for name, senders := range map[string][]Sender{
		"an empty token":    {{Partner: "lab"}},
		"one token for two": {{Partner: "lab", Token: "tok-1"}, {Partner: "ward", Token: "tok-1"}},
	} {
		_, err := NewDoor(Config{Base: "/fhir", Senders: senders, Receiver: &desk{}, Now: time.Now, Log: quiet()})
		if contracts.KindOf(err) != contracts.Invalid || strings.Contains(err.Error(), "tok-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContentAndTokensAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	l := logrus.New()
	l.Out, l.Level = &out, logrus.DebugLevel
	d := door(t, Config{Senders: []Sender{{Partner: "lab", Token: "canary-token", MaxBytes: 100}}, Receiver: &desk{}, Log: l})
	address, stop := serve(t, d)
	for _, change := range []func(*http.Request){
		header("Authorization", "Bearer canary-token"), header("Authorization", "Bearer canary-other"),
		func(r *http.Request) { header("Authorization", "Bearer canary-token")(r); r.URL.Path = "/fhir/canary" },
	} {
		ask(t, address, `{"canary":1}`, change)
		ask(t, address, strings.Repeat("canary", 100), change)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 || strings.Contains(out.String(), "canary") {
		t.Errorf("the log has %d bytes; content or token in it: %t", out.Len(), strings.Contains(out.String(), "canary"))
	}
}

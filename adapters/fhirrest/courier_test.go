package fhirrest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
)

var today = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func courier(t *testing.T, url string) *Courier {
	t.Helper()
	c, err := NewCourier(contracts.FHIRCourier{URL: url, Answer: 5 * time.Second}, "our-token", func() time.Time { return today }, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func parcel() contracts.Parcel {
	return contracts.Parcel{ID: contracts.DerivedID("test", "P1"), Control: "P1", Type: "referral-request", Format: contracts.FormatFHIR,
		Body: contracts.NewBody([]byte(`{"resourceType":"Bundle","type":"message"}`)), Attempt: 1}
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
	if a.RetryAfter > 0 {
		list = append(list, "after "+a.RetryAfter.String())
	}
	return strings.Join(list, " ")
}

func outcome(severity, code string) string {
	return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":%q,"code":%q,"diagnostics":"canary","details":{"text":"canary"},"expression":["Bundle.entry[1].resource"]}]}`, severity, code)
}

func TestAnAnswerDecides(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		header string // Retry-After or Location
		body   string
		repeat bool
		want   string
		says   string // in the fault's text
	}{
		{"200 with all well", 200, "", outcome("information", "informational"), false, "200 delivered", ""},
		{"200 with an error that isn't fatal", 200, "", outcome("error", "invalid"), false, "200 delivered", ""},
		{"200 with nothing", 200, "", "", false, "200 delivered", ""},
		{"200 with another resource", 200, "", `{"resourceType":"Bundle","type":"message"}`, false, "200 delivered", ""},
		{"200 with no JSON", 200, "", "<html>", false, "200 delivered", ""},
		{"200 with more than is read", 200, "", `{"resourceType":"Bundle","x":"` + strings.Repeat("x", maxAnswer) + `"}`, false, "200 delivered", ""},
		{"202", 202, "", "", false, "202 delivered", ""},
		{"204", 204, "", "", false, "204 delivered", ""},
		{"200 with a fatal outcome", 200, "", outcome("fatal", "exception"), false, "200 refused REST-020", "fatal"},
		{"409 that says duplicate", 409, "", outcome("information", "duplicate"), false, "409 delivered", ""},
		{"409 that says duplicate, as an error", 409, "", outcome("error", "duplicate"), false, "409 delivered", ""},
		{"409 that says conflict", 409, "", outcome("error", "conflict"), false, "409 conflict REST-021", "conflict"},
		{"409 that says nothing", 409, "", "", false, "409 conflict REST-021", "409"},
		{"409 to a repeat", 409, "", "", true, "409 delivered", ""},
		{"409 that says conflict, to a repeat", 409, "", outcome("error", "conflict"), true, "409 delivered", ""},
		{"400", 400, "", outcome("error", "structure"), false, "400 refused REST-020", "400). The receiver says: structure at Bundle.entry[1].resource."},
		{"422", 422, "", outcome("error", "required"), false, "422 refused REST-020", "required"},
		{"422 with a code that isn't one", 422, "", outcome("error", "canary"), false, "422 refused REST-020", "unknown"},
		{"422 to a repeat", 422, "", "", true, "422 refused REST-020", ""},
		{"413", 413, "", "", false, "413 refused REST-020", ""},
		{"415", 415, "", "", false, "415 refused REST-020", ""},
		{"401", 401, "", outcome("error", "login"), false, "401 unavailable REST-014", "token"},
		{"403", 403, "", outcome("error", "forbidden"), false, "403 refused REST-020", "forbidden"},
		{"404", 404, "", "", false, "404 refused REST-022", "url"},
		{"405", 405, "", "", false, "405 refused REST-022", "url"},
		{"301", 301, "http://127.0.0.1:1/elsewhere", "", false, "301 refused REST-023", "redirects"},
		{"307", 307, "http://127.0.0.1:1/elsewhere", "", false, "307 refused REST-023", "redirects"},
		{"429", 429, "", "", false, "429 unavailable REST-012", "429"},
		{"429 with seconds", 429, "120", "", false, "429 unavailable REST-012 after 2m0s", ""},
		{"429 with a date", 429, "Wed, 04 Mar 2026 05:07:07 GMT", "", false, "429 unavailable REST-012 after 1m0s", ""},
		{"429 with a date that is past", 429, "Wed, 04 Mar 2026 05:05:07 GMT", "", false, "429 unavailable REST-012", ""},
		{"429 with rubbish", 429, "soon", "", false, "429 unavailable REST-012", ""},
		{"429 with a year", 429, "31536000", "", false, "429 unavailable REST-012 after 24h0m0s", ""},
		{"408", 408, "", "", false, "408 unavailable REST-013 unknown", ""},
		{"425", 425, "", "", false, "425 unavailable REST-013", ""},
		{"500", 500, "", outcome("error", "exception"), false, "500 unavailable REST-013 unknown", "exception"},
		{"500 with a fatal outcome", 500, "", outcome("fatal", "exception"), false, "500 unavailable REST-013 unknown", ""},
		{"501", 501, "", "", false, "501 unavailable REST-013 unknown", ""},
		{"502", 502, "", "<html>", false, "502 unavailable REST-013 unknown", ""},
		{"503 with seconds", 503, "5", "", false, "503 unavailable REST-013 unknown after 5s", ""},
		{"504", 504, "", "", false, "504 unavailable REST-013 unknown", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var seen []*http.Request
			var bodies []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				seen, bodies = append(seen, r), append(bodies, string(b))
				switch {
				case row.status >= 300 && row.status < 400:
					w.Header().Set("Location", row.header)
				case row.header != "":
					w.Header().Set("Retry-After", row.header)
				}
				w.WriteHeader(row.status)
				_, _ = io.WriteString(w, row.body)
			}))
			defer server.Close()
			p := parcel()
			p.Repeat = row.repeat
			answer, err := courier(t, server.URL+"/fhir").Deliver(t.Context(), p)
			if got := became(answer, err); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if err != nil && (!strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("the fault's text lacks %q, or has the partner's own words", row.says)
			}
			if len(seen) != 1 || bodies[0] != string(p.Body.Bytes()) {
				t.Errorf("%d requests came, or not with the parcel's bytes", len(seen))
			}
		})
	}
}

func TestARequestSaysWhatItIs(t *testing.T) {
	type request struct{ Method, Path, Query, Type, Accept, Key, Correlation, Token, Trace string }
	var got []request
	ids := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		got = append(got, request{r.Method, r.URL.Path, r.URL.RawQuery, h.Get("Content-Type"), h.Get("Accept"), h.Get("Idempotency-Key"),
			h.Get("X-Correlation-Id"), h.Get("Authorization"), h.Get("traceparent")})
		ids[h.Get("X-Request-Id")] = true
	}))
	defer server.Close()
	p := parcel()
	p.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c := courier(t, server.URL+"/fhir/")
	for p.Attempt = 1; p.Attempt <= 2; p.Attempt++ {
		if got := became(c.Deliver(t.Context(), p)); got != "200 delivered" {
			t.Fatal(got)
		}
	}
	one := request{"POST", "/fhir/$process-message", "", "application/fhir+json; charset=utf-8", "application/fhir+json",
		string(p.ID), string(p.ID), "Bearer our-token", p.Trace}
	if diff := cmp.Diff([]request{one, one}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if len(ids) != 2 || ids[""] {
		t.Errorf("two attempts have %d request ids", len(ids))
	}
}

// partner is a server below HTTP: it reads a whole request, then does what act does. It counts requests.
func partner(t *testing.T, act func(net.Conn)) (url string, requests func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var running sync.WaitGroup
	n := 0
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				var got strings.Builder
				piece := make([]byte, 4096)
				for !strings.HasSuffix(got.String(), `"message"}`) {
					m, err := c.Read(piece)
					got.Write(piece[:m])
					if err != nil {
						return
					}
				}
				mu.Lock()
				n++
				mu.Unlock()
				act(c)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return "http://" + listener.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// What net/http would repeat by itself because of the Idempotency-Key must not be repeated: each call is one attempt.
func TestALostAnswerIsUnknownAndNotRepeated(t *testing.T) {
	for name, act := range map[string]func(net.Conn){
		"closed":         func(net.Conn) {},
		"reset":          func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"half a status":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 20") },
		"no HTTP":        func(c net.Conn) { _, _ = io.WriteString(c, "MSH|^~\\&|\r\n\r\n") },
		"half an answer": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{") },
		"chunks that stop": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, requests := partner(t, act)
			c := courier(t, url)
			got := became(c.Deliver(t.Context(), parcel()))
			if want := "unavailable REST-011 unknown"; strings.TrimPrefix(got, "200 ") != want || requests() != 1 {
				t.Errorf("got %s with %d requests, want %s with one", got, requests(), want)
			}
		})
	}
}

// An answer that broke off decides only where its OperationOutcome isn't needed.
func TestARefusalThatBreaksOff(t *testing.T) {
	for status, want := range map[string]string{
		"409 Conflict": "409 unavailable REST-011", "422 Unprocessable": "422 refused REST-020", "503 Busy": "503 unavailable REST-013 unknown",
	} {
		url, _ := partner(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 100\r\n\r\n{")
		})
		if got := became(courier(t, url).Deliver(t.Context(), parcel())); got != want {
			t.Errorf("%s: got %s, want %s", status, got, want)
		}
	}
}

// The same on a connection that was good before.
func TestALostAnswerOnAKeptConnectionIsNotRepeated(t *testing.T) {
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	c := courier(t, server.URL)
	first, second := became(c.Deliver(t.Context(), parcel())), became(c.Deliver(t.Context(), parcel()))
	if first != "200 delivered" || second != "unavailable REST-011 unknown" || n.Load() != 2 {
		t.Errorf("%s, then %s, in %d requests", first, second, n.Load())
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if got := became(courier(t, server.URL).Deliver(t.Context(), parcel())); got != "unavailable REST-010" {
		t.Errorf("got %s, want that nothing was sent", got)
	}
}

func TestAPartnerThatIsNotTrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(t.Output(), "", 0)
	server.StartTLS()
	defer server.Close()
	answer, err := courier(t, server.URL).Deliver(t.Context(), parcel())
	if got := became(answer, err); got != "unavailable REST-015" || !strings.Contains(err.Error(), "isn't signed by an authority") {
		t.Errorf("got %s (%v), want that nothing was sent, and why", got, err)
	}
}

// What was sent before the hub gave up, by its own bound or because it stops, may have arrived.
func TestAnAnswerThatDoesNotCome(t *testing.T) {
	for name, row := range map[string]struct {
		answer time.Duration
		stop   bool
	}{"in time": {50 * time.Millisecond, false}, "before the hub stops": {time.Minute, true}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan struct{})
			url, _ := partner(t, func(net.Conn) {
				if row.stop {
					cancel()
				}
				<-done
			})
			defer close(done)
			c, err := NewCourier(contracts.FHIRCourier{URL: url, Answer: row.answer}, "", time.Now, quiet())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := became(c.Deliver(ctx, parcel())); got != "unavailable REST-011 unknown" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	for _, url := range []string{"", "fhir", "http://", "http://a b/"} {
		if _, err := NewCourier(contracts.FHIRCourier{URL: url}, "", time.Now, quiet()); contracts.KindOf(err) != contracts.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// The courier and the door understand each other.
func TestACourierMeetsADoor(t *testing.T) {
	r := &desk{respond: func(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
		rc := receipt(a)
		if a.Body.Len() == 2 {
			rc.Fault = contracts.Faultf(contracts.Conflict, "HUB-012", "Bundle.identifier", "Another message came under this id before.")
		}
		return rc, nil
	}}
	address := open(t, r, Timeouts{})
	c, err := NewCourier(contracts.FHIRCourier{URL: "http://" + address + "/fhir"}, "lab-token", time.Now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other := parcel()
	other.Body = contracts.NewBody([]byte("{}"))
	for i, row := range []struct {
		parcel contracts.Parcel
		want   string
	}{{parcel(), "200 delivered"}, {parcel(), "200 delivered"}, {other, "409 conflict REST-021"}} {
		if got := became(c.Deliver(t.Context(), row.parcel)); got != row.want {
			t.Errorf("%d: got %s, want %s", i, got, row.want)
		}
	}
	stranger := courier(t, "http://"+address+"/fhir")
	if got := became(stranger.Deliver(t.Context(), parcel())); got != "401 unavailable REST-014" {
		t.Errorf("a stranger: %s", got)
	}
}

package main

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// otlp is a collector: it keeps the spans that come by OTLP over HTTP.
type otlp struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
}

func newOTLP(t *testing.T) *otlp {
	c := &otlp{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		request := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(b, request)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range request.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// named gives the spans of a trace by name, whatever topic a name goes on with.
func (c *otlp) named(trace string) map[string][]*spans.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := map[string][]*spans.Span{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			by[s.Name] = append(by[s.Name], s)
		}
	}
	return by
}

// ward is a FHIR partner that answers as it is told, and hands on the requests that it got.
type ward struct {
	*httptest.Server
	came   chan *http.Request
	status chan int // one for each request; closed: 200
}

func newWard(t *testing.T) *ward {
	w := &ward{came: make(chan *http.Request, 1000), status: make(chan int)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.came <- r
		select {
		case status, told := <-w.status:
			if told {
				out.WriteHeader(status)
			}
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *ward) await(t *testing.T) *http.Request {
	t.Helper()
	select {
	case r := <-w.came:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came to the partner")
		return nil
	}
}

// configured writes an installation whose HUS is at an address, with more lines of configuration.
func configured(t *testing.T, hus string, lines ...string) (config string) {
	t.Helper()
	config = installation(t)
	edit(t, config, "", "\n"+strings.Join(lines, "\n")+"\n")
	edit(t, filepath.Join(filepath.Dir(config), "contracts/partners/hus.yaml"), "http://127.0.0.1:8090/fhir", hus+"/fhir")
	return config
}

// edit puts text in the place of another in a file; without another one, at its end.
func edit(t *testing.T, file, old, text string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil && old != "" && !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err == nil && old == "" {
		b = append(b, text...)
	} else if err == nil {
		b = []byte(strings.ReplaceAll(string(b), old, text))
	}
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// live is a house that runs.
type live struct {
	*house
	t       *testing.T
	control []string // --url and --token
	stop    func() error
	log     *strings.Builder // to be read when it has stopped
	steps   chan contracts.Step
}

// start opens and runs the house of a configuration until stop, or the end of the test.
func start(t *testing.T, config string) *live {
	t.Helper()
	s, agreed, err := rereading(config)()
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, log: &strings.Builder{}, steps: make(chan contracts.Step, 10000)}
	s.Log.Level = "debug"
	if l.house, err = openHouse(t.Context(), s, agreed, newLog(s, &terminal{err: l.log}), func(s contracts.Step) { l.steps <- s }); err != nil {
		t.Fatal(err)
	}
	l.reread = func() (settings, agreements, error) {
		s, agreed, err := rereading(config)()
		s.Log.Level = "debug"
		return s, agreed, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.runWithin(ctx, s.Stop) }()
	l.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Errorf("the house ends with %v", err)
		}
	})
	token, err := s.secret(s.Console.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	l.control = []string{"--url", l.addresses().API, "--token", string(token)}
	l.begun()
	return l
}

// begun waits until the house runs: its console answers only then.
func (l *live) begun() {
	l.t.Helper()
	response, err := http.Get(l.addresses().API + "/healthz")
	if err != nil {
		l.t.Fatal(err)
	}
	response.Body.Close()
}

// step waits for a step of that kind that says to whom.
func (l *live) step(kind, to string) contracts.Step {
	l.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case s := <-l.steps:
			if s.Step == kind && s.To == to {
				return s
			}
		case <-late:
			l.t.Fatalf("no step %s for %q came", kind, to)
		}
	}
}

func (l *live) apotti() string { return strings.TrimPrefix(l.addresses().Doors["apotti"], "mllp://") }

// referrals makes made-up messages of so many referrals, in turns.
func referrals(t *testing.T, prefix string, referrals int) *generate.Maker {
	t.Helper()
	m, err := generate.New(generate.Options{Prefix: prefix, Referrals: referrals, Size: 1200})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// send sends a message by MLLP and fails the test if it isn't accepted.
func (l *live) send(m generate.Message) {
	l.t.Helper()
	line, err := apotti.Dial(l.t.Context(), l.apotti())
	if err != nil {
		l.t.Fatal(err)
	}
	defer line.Close()
	if answer, err := line.Send(l.t.Context(), m.Bytes); err != nil || !answer.Accepted() {
		l.t.Fatalf("%s is answered by %q: %v", m.Control, answer.Code, err)
	}
}

const (
	givenTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	givenSpan  = "00f067aa0ba902b7"
)

func TestATraceGoesFromTheSenderToThePartnerThroughARestart(t *testing.T) {
	collected, hus := newOTLP(t), newWard(t)
	config := configured(t, hus.URL, "telemetry: {otlp: "+collected.URL+"}", "stop: 2s")

	first := start(t, config)
	m := referrals(t, "TRACE", 1).Next()
	first.send(m)
	defer func() {
		t.Log(first.log.String())
		_, o, _ := silta(t, "", append([]string{"list"}, first.control...)...)
		t.Log(o)
	}()
	asked := hus.await(t)
	before := asked.Header.Get("traceparent")
	trace := contracts.TraceID(before)
	if len(trace) != 32 {
		t.Fatalf("the partner got the traceparent %q", before)
	}
	if err := first.stop(); err != nil { // the partner doesn't answer: the hub ends within its bound
		t.Fatal(err)
	}
	if !strings.Contains(first.log.String(), "trace="+trace) {
		t.Errorf("no line of the log names the trace %s", trace)
	}

	close(hus.status)
	second := start(t, config)
	again := hus.await(t)
	if contracts.TraceID(again.Header.Get("traceparent")) != trace || again.Header.Get("Idempotency-Key") != asked.Header.Get("Idempotency-Key") {
		t.Errorf("after the restart the partner got the trace %s and the key %s, want %s and %s", again.Header.Get("traceparent"),
			again.Header.Get("Idempotency-Key"), trace, asked.Header.Get("Idempotency-Key"))
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	by := collected.named(trace)
	for name, least := range map[string]int{"door": 1, "publish silta.in": 1, "translate": 1, "publish silta.out.hus": 1, "deliver": 2} {
		if len(by[name]) < least {
			t.Errorf("the trace has %d spans %q, want %d", len(by[name]), name, least)
		}
	}
	parents := map[string]string{} // each span but the door's hangs on another of the trace
	for _, all := range by {
		for _, s := range all {
			parents[hex.EncodeToString(s.SpanId)] = hex.EncodeToString(s.ParentSpanId)
		}
	}
	for id, parent := range parents {
		if _, known := parents[parent]; !known && parent != "" {
			t.Errorf("the span %s hangs on %s, which nobody sent", id, parent)
		}
	}
	last := by["deliver"][len(by["deliver"])-1]
	said := map[string]string{}
	for _, a := range last.Attributes {
		said[a.Key] = a.Value.GetStringValue()
	}
	if said["silta.partner"] != "hus" || said["silta.answer"] != "200" || said["silta.state"] != "delivered" {
		t.Errorf("the delivery says %v", said)
	}
	for _, private := range []string{m.Control, m.Placer, m.Mark} {
		for _, all := range by {
			if slices.ContainsFunc(all, func(s *spans.Span) bool { return strings.Contains(s.String(), private) }) {
				t.Errorf("a span holds what only the message may: %q", private)
			}
		}
	}
}

func TestATraceThatAFHIRSenderBeganGoesOn(t *testing.T) {
	collected, hus := newOTLP(t), newWard(t)
	config := configured(t, hus.URL, "telemetry: {otlp: "+collected.URL+"}")
	l := start(t, config)
	token, err := l.settings.secret("secrets/hus.token")
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest("POST", l.addresses().Doors["hus"]+"/$process-message", strings.NewReader(`{"resourceType":"Bundle"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/fhir+json")
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("traceparent", "00-"+givenTrace+"-"+givenSpan+"-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("an empty Bundle is answered by %d", response.StatusCode)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	doors := collected.named(givenTrace)["door"]
	if len(doors) != 1 || hex.EncodeToString(doors[0].ParentSpanId) != givenSpan || doors[0].Status.GetCode() != spans.Status_STATUS_CODE_ERROR {
		t.Errorf("the sender's trace has the doors %v", doors)
	}
}

// A hub without a collector passes on the trace that came, and begins none.
func TestWithoutACollectorATraceIsPassedOn(t *testing.T) {
	seen := make(chan contracts.Arrival, 1)
	door, err := fhirrest.NewDoor(fhirrest.Config{Base: "/fhir", Senders: []fhirrest.Sender{{Partner: "hus", Token: "t"}},
		Receiver: receiving(func(a contracts.Arrival) { seen <- a }), Now: time.Now, Log: newLog(settings{}, &terminal{err: io.Discard})})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/fhir/$process-message", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/fhir+json")
	r.Header.Set("Authorization", "Bearer t")
	r.Header.Set("traceparent", "00-"+givenTrace+"-"+givenSpan+"-01")
	door.ServeHTTP(httptest.NewRecorder(), r)
	if a := <-seen; contracts.TraceID(a.Trace) != givenTrace {
		t.Errorf("the door hands on the trace %q", a.Trace)
	}
	if h := start(t, configured(t, "http://127.0.0.1:1")); h.trace != nil {
		t.Error("the house traces without being told to")
	}
}

// receiving is a Receiver that hands on what came.
type receiving func(contracts.Arrival)

func (r receiving) Receive(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	r(a)
	return contracts.Receipt{ID: "m"}, nil
}

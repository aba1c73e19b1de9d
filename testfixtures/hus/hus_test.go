package hus_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/testfixtures/hus"
)

// arrived is the time by every clock in these tests.
func arrived() time.Time { return time.Date(2026, 3, 2, 7, 15, 2, 0, time.UTC) }

func start(t *testing.T, c hus.Config) *hus.System {
	t.Helper()
	c.Listen, c.Now = "127.0.0.1:0", arrived
	s, err := hus.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func referral(t *testing.T) string {
	t.Helper()
	b, err := profiles.Files.ReadFile("examples/request.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// send posts body and gives status and issue code; status 0 means that no answer came.
func send(t *testing.T, s *hus.System, key, body string) (status int, issue string, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/$process-message", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/fhir+json")
	request.Header.Set("Idempotency-Key", key)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", nil
	}
	defer response.Body.Close()
	var o struct{ Issue []struct{ Code string } }
	b, err := io.ReadAll(response.Body)
	if err != nil || json.Unmarshal(b, &o) != nil || len(o.Issue) == 0 {
		t.Fatalf("the answer is no OperationOutcome (%v)", err)
	}
	return response.StatusCode, o.Issue[0].Code, response.Header
}

func TestHUSTakesAMessageOnceAndKnowsItAgain(t *testing.T) {
	s := start(t, hus.Config{})
	body := referral(t)
	for i, want := range []struct {
		key, body string
		status    int
		issue     string
	}{
		{"k1", body, 200, "informational"},
		{"k1", body, 409, "duplicate"},
		{"k1", body + " ", 409, "conflict"},
		{"", body, 400, "required"},
		{"k2", "{}", 422, "invalid"},
		{"k2", strings.Replace(body, `"message"`, `"collection"`, 1), 422, "invalid"},
		{"k2", strings.Replace(body, `"reference": "urn:uuid:9d`, `"reference": "urn:uuid:0d`, 1), 422, "invalid"},
	} {
		if status, issue, _ := send(t, s, want.key, want.body); status != want.status || issue != want.issue {
			t.Errorf("request %d got %d %s, want %d %s", i+1, status, issue, want.status, want.issue)
		}
	}
	got := s.Received()
	if len(got) != 1 {
		t.Fatalf("%d messages are kept, want 1", len(got))
	}
	if r := got[0]; r.Control != "MSG-2026-0000417" || r.Event != "request" || r.Placer != "LAH-2026-000417" || r.Times != 3 || !r.Changed {
		t.Errorf("HUS read control %s, event %s, placer %s, times %d, changed %v", r.Control, r.Event, r.Placer, r.Times, r.Changed)
	}
}

func TestHUSFailsAsToldAndTakesTheMessageLater(t *testing.T) {
	s := start(t, hus.Config{})
	behave := func(b hus.Behaviour) {
		if err := s.Behave(b); err != nil {
			t.Fatal(err)
		}
	}
	behave(hus.Behaviour{Status: 429, RetryAfter: 2 * time.Second})
	if status, _, header := send(t, s, "k", referral(t)); status != 429 || header.Get("Retry-After") != "2" {
		t.Errorf("got %d with Retry-After %q, want 429 with 2", status, header.Get("Retry-After"))
	}
	behave(hus.Behaviour{Reset: 1})
	if status, _, _ := send(t, s, "k", referral(t)); status != 0 {
		t.Errorf("a request that was cut off got %d", status)
	}
	behave(hus.Behaviour{Down: true})
	if status, _, _ := send(t, s, "k", referral(t)); status != 0 {
		t.Errorf("while down HUS answered %d", status)
	}
	if got := len(s.Received()); got != 0 {
		t.Fatalf("%d messages are kept of those that failed, want none", got)
	}
	behave(hus.Behaviour{Drop: 1})
	if status, _, _ := send(t, s, "k", referral(t)); status != 0 {
		t.Errorf("a lost answer came: %d", status)
	}
	if status, issue, _ := send(t, s, "k", referral(t)); status != 409 || issue != "duplicate" {
		t.Errorf("the repeat after a lost answer got %d %s, want 409 duplicate", status, issue)
	}
}

// door stands for the hub's FHIR door: it keeps what HUS posts, after failing a few times.
type door struct {
	mu    sync.Mutex
	fail  int
	token string
	got   []string
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := io.ReadAll(r.Body)
	if d.fail > 0 || err != nil {
		d.fail--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	d.token = r.Header.Get("Authorization")
	d.got = append(d.got, string(b))
	io.WriteString(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`)
}

// answers sends one referral to a HUS that keeps its state in dir, and gives what it posts back.
func answers(t *testing.T, dir string, fail int) (*door, []hus.Sent) {
	t.Helper()
	posted := make(chan hus.Sent, 10)
	s := start(t, hus.Config{Answer: true, Dir: dir, Posted: func(sent hus.Sent) { posted <- sent }})
	d := &door{fail: fail}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	if status, _, _ := send(t, s, "k1", referral(t)); status != 200 {
		t.Fatalf("the referral got %d", status)
	}
	s.Connect(server.URL+"/fhir", "secret")
	var sent []hus.Sent
	for range 3 {
		select {
		case one := <-posted:
			sent = append(sent, one)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d answers were posted, want 3", len(sent))
		}
	}
	s.Close()
	return d, sent
}

func TestHUSAnswersAReferralInOrder(t *testing.T) {
	d, sent := answers(t, t.TempDir(), 2)
	if d.token != "Bearer secret" {
		t.Errorf("HUS didn't show its token")
	}
	for i, event := range []string{"response-accepted", "appointment", "feedback"} {
		if s := sent[i]; s.Event != event || s.Answers != "MSG-2026-0000417" || s.Placer != "LAH-2026-000417" || !s.Accepted() {
			t.Errorf("answer %d is %s about %s, accepted %v; want %s", i+1, s.Event, s.Answers, s.Accepted(), event)
		}
		tree, err := fhir.Parse([]byte(d.got[i]))
		if err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		if err := fhir.NewProfiles().Validate(tree, profiles.ForEvent(event)).Err(); err != nil {
			t.Errorf("%s doesn't conform to its profile: %v", event, err)
		}
	}
	if !strings.Contains(d.got[0], `"response":{"code":"ok","identifier":"MSG-2026-0000417"}`) {
		t.Error("the response doesn't name the message that it answers")
	}
	if !strings.Contains(d.got[2], `"data":"`+base64.StdEncoding.EncodeToString([]byte("%PDF-1."))[:8]) {
		t.Error("the feedback holds no PDF")
	}
}

func TestWritingAnAnswerAgainGivesTheSameBytes(t *testing.T) {
	r := hus.Received{Body: []byte(referral(t)), At: arrived(), Placer: "LAH-2026-000417"}
	for _, write := range []func(hus.Received) (hus.Answer, error){hus.Accepted, hus.Booked, hus.Feedback} {
		a, err := write(r)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := write(r); string(a.Body) != string(b.Body) || a.Control != b.Control {
			t.Errorf("%s differs when it is written again", a.Event)
		}
	}
}

func TestHUSTakesUpWhereItWas(t *testing.T) {
	dir := t.TempDir()
	first := start(t, hus.Config{Answer: true, Dir: dir}) // never connected, so nothing is answered
	send(t, first, "k1", referral(t))
	first.Close()
	posted := make(chan hus.Sent, 10)
	again := start(t, hus.Config{Answer: true, Dir: dir, Posted: func(s hus.Sent) { posted <- s }})
	if status, issue, _ := send(t, again, "k1", referral(t)); status != 409 || issue != "duplicate" {
		t.Errorf("after a restart the same message got %d %s, want 409 duplicate", status, issue)
	}
	server := httptest.NewServer(&door{})
	t.Cleanup(server.Close)
	again.Connect(server.URL+"/fhir", "secret")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for i := range 3 {
		select {
		case <-posted:
		case <-ctx.Done():
			t.Fatalf("%d of 3 answers that were due came after the restart", i)
		}
	}
	again.Close()
	third := start(t, hus.Config{Answer: true, Dir: dir, Posted: func(hus.Sent) { t.Error("an answer was posted again") }})
	third.Connect(server.URL+"/fhir", "secret")
	if got := third.Received(); len(got) != 1 || got[0].Placer != "LAH-2026-000417" {
		t.Errorf("%d messages are there after two restarts, want 1", len(got))
	}
}

package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/console"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/schema"
)

const token = "0123456789abcdef0123456789abcdef"

var at = time.Date(2026, 3, 1, 7, 30, 0, 0, time.UTC)

// desk is an Operator that holds one message and remembers what it was asked.
type desk struct {
	asked   []string
	filter  contracts.Filter
	shown   contracts.ShowRequest
	missing []string
	again   contracts.ReprocessRequest
	err     error
}

func (d *desk) note(what string) error {
	d.asked = append(d.asked, what)
	return d.err
}

func (d *desk) row() contracts.Row {
	return contracts.Row{ID: "m1", Control: "MSG/1", From: "apotti", Type: "REF^I12", State: contracts.StateReceived, At: at}
}

func (d *desk) Find(_ context.Context, id string) ([]contracts.Row, error) {
	if err := d.note("find " + id); err != nil || id == "nothing" {
		return nil, err
	}
	return []contracts.Row{d.row()}, nil
}

func (d *desk) FindImpersonal(_ context.Context, id string) ([]contracts.Row, error) {
	if err := d.note("find impersonal " + id); err != nil || id == "nothing" {
		return nil, err
	}
	return []contracts.Row{d.row()}, nil
}

func (d *desk) List(_ context.Context, f contracts.Filter) ([]contracts.Row, error) {
	d.filter = f
	return []contracts.Row{d.row()}, d.note("list")
}

func (d *desk) Trace(_ context.Context, id string) (contracts.Trace, error) {
	return contracts.Trace{Journey: "j1", State: "requested"}, d.note("trace " + id)
}

func (d *desk) TraceImpersonal(_ context.Context, id string) (contracts.Trace, error) {
	return contracts.Trace{Journey: "j1", State: "requested"}, d.note("trace impersonal " + id)
}

func (d *desk) Show(_ context.Context, r contracts.ShowRequest) (contracts.Shown, error) {
	d.shown = r
	return contracts.Shown{Format: contracts.FormatV2, Body: contracts.NewBody([]byte("MSH|…\r"))}, d.note("show " + r.Message)
}

func (d *desk) Stop(_ context.Context, id, reason, operator string) (contracts.Stopped, error) {
	return contracts.Stopped{ID: "m1", Control: "MSG/1", Partner: "hus", Unknown: true}, d.note("stop " + id + " " + reason + " " + operator)
}

func (d *desk) Reprocess(_ context.Context, r contracts.ReprocessRequest, each func(contracts.Reprocessed) error) error {
	d.again = r
	if err := d.note("reprocess"); err != nil {
		return err
	}
	for _, id := range r.IDs {
		if err := each(contracts.Reprocessed{ID: contracts.ID(id), Control: "MSG/1", Outcome: contracts.OutcomeSent, To: []contracts.Resent{}}); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) Activate(_ context.Context, r contracts.ActivationRequest) (contracts.Activation, error) {
	return contracts.Activation{ID: "a1", Map: r.Map, Version: r.Version, Before: "1.0.0", Partner: r.Partner, At: at, Made: at, Operator: r.Operator},
		d.note("activate " + r.Map + " " + r.Version + " " + r.Partner)
}

func (d *desk) Activations(context.Context) ([]contracts.Activation, error) {
	return nil, d.note("activations")
}

func (d *desk) Issues(context.Context) ([]contracts.Issue, error) {
	return []contracts.Issue{{ID: "K3J5QX2A", Partner: "apotti", Fault: contracts.Faultf(contracts.Unmapped, "MAP-222", "RF1-2(1).1", "An invented code."), Messages: 2, First: at, Last: at, Message: "m1"}}, d.note("issues")
}

func (d *desk) CloseIssue(_ context.Context, id, reason, operator string) error {
	return d.note("close " + id + " " + reason + " " + operator)
}

func (d *desk) Pause(_ context.Context, partner, reason, operator string) error {
	return d.note("pause " + partner + " " + reason + " " + operator)
}

func (d *desk) Resume(_ context.Context, partner, reason, operator string) error {
	return d.note("resume " + partner + " " + reason + " " + operator)
}

func (d *desk) Partners(context.Context) ([]contracts.PartnerRow, error) {
	pause := &contracts.Pause{Partner: "hus", Since: at, Operator: "operator", Reason: "a new version"}
	return []contracts.PartnerRow{{ID: "hus", Title: contracts.Title{EN: "HUS"}, State: contracts.CourierPaused, Pause: pause, Waiting: 2, Parked: 1, Lag: 3}}, d.note("partners")
}

func (d *desk) Release(_ context.Context, id, reason, operator string) error {
	return d.note("release " + id + " " + reason + " " + operator)
}

func (d *desk) Reload(context.Context) (contracts.Reloaded, error) {
	return contracts.Reloaded{Partners: 2, Changed: []string{"hus"}}, d.note("reload")
}

func (d *desk) Backup(_ context.Context, name string) (contracts.Backup, error) {
	return contracts.Backup{Dir: "/backup/" + name, At: at, Files: 2, Bytes: 7}, d.note("backup " + name)
}

func (d *desk) Ready(context.Context) contracts.Readiness {
	return contracts.Readiness{Missing: d.missing}
}

func open(t *testing.T, d *desk) (base string, m *console.Metrics) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	m = console.NewMetrics("test")
	s := httptest.NewServer(console.Handler(console.Config{Operator: d, Keeper: d, Token: token, Metrics: m, Log: log}))
	t.Cleanup(s.Close)
	return s.URL, m
}

type answer struct {
	status int
	header http.Header
	body   string
}

func call(t *testing.T, method, address, body string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(b)}
}

func TestTheAPIAsksTheOperator(t *testing.T) {
	for _, row := range []struct {
		name, method, path, body string
		asked                    string
		status                   int
		answer                   string
	}{
		{"find", "GET", "/api/v1/find?id=MSG%2F1", "", "find impersonal MSG/1", 200,
			`{"messages":[{"id":"m1","controlId":"MSG/1","from":"apotti","to":[],"type":"REF^I12","journey":"","state":"received","at":"2026-03-01T07:30:00Z","map":"","cause":"","fault":null}]}`},
		{"find nothing is an empty list", "GET", "/api/v1/find?id=nothing", "", "find impersonal nothing", 200, `{"messages":[]}`},
		{"find without an address that tells", "POST", "/api/v1/find", `{"id":"nothing"}`, "find nothing", 200, `{"messages":[]}`},
		{"trace without an address that tells", "POST", "/api/v1/trace", `{"id":"m1"}`, "trace m1", 200, `{"journey":"j1","state":"requested","ids":[],"steps":[]}`},
		{"list", "GET", "/api/v1/messages", "", "list", 200, ""},
		{"trace has lists, never null", "GET", "/api/v1/trace?id=m1", "", "trace impersonal m1", 200, `{"journey":"j1","state":"requested","ids":[],"steps":[]}`},
		{"a journey by its address", "GET", "/api/v1/journeys/j1", "", "trace impersonal j1", 200, `{"journey":"j1","state":"requested","ids":[],"steps":[]}`},
		{"a body", "GET", "/api/v1/messages/MSG%2F1/body", "", "show MSG/1", 200, "MSH|…\r"},
		{"stop", "POST", "/api/v1/messages/m1/stop", `{"reason":"twice"}`, "stop m1 twice operator", 200,
			`{"id":"m1","controlId":"MSG/1","partner":"hus","unknown":true}`},
		{"release", "POST", "/api/v1/release", `{"key":"m1","reason":"mended"}`, "release m1 mended operator", 204, ""},
		{"reprocess answers a line a message", "POST", "/api/v1/reprocess", `{"ids":["m1","m2"]}`, "reprocess", 200,
			`{"id":"m1","controlId":"MSG/1","outcome":"sent","to":[]}` + "\n" + `{"id":"m2","controlId":"MSG/1","outcome":"sent","to":[]}`},
		{"reprocess nothing", "POST", "/api/v1/reprocess", `{"state":"parked"}`, "reprocess", 200, ""},
		{"activate a map", "POST", "/api/v1/activations", `{"map":"ref-i12","version":"1.1.0","partner":"hus"}`, "activate ref-i12 1.1.0 hus", 200,
			`{"id":"a1","map":"ref-i12","version":"1.1.0","before":"1.0.0","partner":"hus","at":"2026-03-01T07:30:00Z","made":"2026-03-01T07:30:00Z","operator":"operator"}`},
		{"activations are a list, never null", "GET", "/api/v1/activations", "", "activations", 200, `{"activations":[]}`},
		{"issues", "GET", "/api/v1/issues", "", "issues", 200,
			`{"issues":[{"id":"K3J5QX2A","parked":false,"partner":"apotti","fault":{"kind":"unmapped","code":"MAP-222","at":"RF1-2(1).1","text":"An invented code."},"messages":2,"first":"2026-03-01T07:30:00Z","last":"2026-03-01T07:30:00Z","message":"m1"}]}`},
		{"close an issue", "POST", "/api/v1/issues/K3J5QX2A/close", `{"reason":"mended"}`, "close K3J5QX2A mended operator", 204, ""},
		{"pause", "POST", "/api/v1/partners/hus/pause", `{"reason":"a new version"}`, "pause hus a new version operator", 204, ""},
		{"resume needs no body", "POST", "/api/v1/partners/hus/resume", "", "resume hus  operator", 204, ""},
		{"partners", "GET", "/api/v1/partners", "", "partners", 200,
			`{"partners":[{"id":"hus","title":{"en":"HUS","fi":"","sv":""},"state":"paused","pause":{"partner":"hus","since":"2026-03-01T07:30:00Z","operator":"operator","reason":"a new version"},"waiting":2,"parked":1,"lag":3}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := &desk{}
			base, _ := open(t, d)
			got := call(t, row.method, base+row.path, row.body)
			if got.status != row.status || row.answer != "" && strings.TrimSuffix(got.body, "\n") != row.answer {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, row.status, row.answer)
			}
			if diff := cmp.Diff([]string{row.asked}, d.asked); diff != "" {
				t.Error("the operator was asked something else:", diff)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("the answer may be kept or guessed at: %v", got.header)
			}
		})
	}
}

func TestWhatIsAskedWronglyIsAProblem(t *testing.T) {
	for _, row := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no id to find", "GET", "/api/v1/find", "", 422},
		{"an unknown state", "GET", "/api/v1/messages?state=lost", "", 422},
		{"a since that is no time", "GET", "/api/v1/messages?since=yesterday", "", 422},
		{"a limit that is no number", "GET", "/api/v1/messages?limit=all", "", 422},
		{"an unknown view", "GET", "/api/v1/messages/m1/body?view=whole", "", 422},
		{"what was sent, without a partner", "GET", "/api/v1/messages/m1/body?view=sent", "", 422},
		{"stop without a reason", "POST", "/api/v1/messages/m1/stop", `{"reason":" "}`, 422},
		{"stop with an unknown member", "POST", "/api/v1/messages/m1/stop", `{"raeson":"x"}`, 400},
		{"reprocess an unknown state", "POST", "/api/v1/reprocess", `{"state":"lost"}`, 422},
		{"reprocess with an edit that isn't base64", "POST", "/api/v1/reprocess", `{"ids":["m1"],"edit":"MSH|"}`, 400},
		{"activate nothing", "POST", "/api/v1/activations", `{"version":"1.1.0"}`, 422},
		{"pause with an unknown member", "POST", "/api/v1/partners/hus/pause", `{"until":"noon"}`, 400},
		{"stop without JSON", "POST", "/api/v1/messages/m1/stop", "reason=x", 400},
		{"a body without end", "POST", "/api/v1/release", `{"key":"` + strings.Repeat("x", 1<<20) + `"}`, 400},
		{"nothing at this address", "GET", "/api/v2/find", "", 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := &desk{}
			base, _ := open(t, d)
			got := call(t, row.method, base+row.path, row.body)
			isProblem(t, got, row.status)
			if len(d.asked) > 0 {
				t.Errorf("the operator was asked %v", d.asked)
			}
		})
	}
}

func isProblem(t *testing.T, got answer, status int) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Kind string
		Status                    int
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatalf("no problem but %s", got.body)
	}
	if got.status != status || p.Status != status || got.header.Get("Content-Type") != "application/problem+json" || p.Detail == "" || p.Kind == "" || p.Type == "" {
		t.Errorf("got %d %s %s, want a problem with %d", got.status, got.header.Get("Content-Type"), got.body, status)
	}
}

func TestAFaultOfTheOperatorIsAProblemOfItsKind(t *testing.T) {
	for kind, status := range map[contracts.Kind]int{
		contracts.NotFound: 404, contracts.Denied: 403, contracts.Conflict: 409, contracts.Unavailable: 503, contracts.Internal: 500,
	} {
		base, _ := open(t, &desk{err: contracts.Faultf(kind, "X-001", "PID-3(1).1", "It went wrong.")})
		got := call(t, "GET", base+"/api/v1/trace?id=m1", "")
		isProblem(t, got, status)
		if !strings.Contains(got.body, `"code":"X-001","at":"PID-3(1).1"`) {
			t.Errorf("%s: code and place are missing in %s", kind, got.body)
		}
	}
	base, _ := open(t, &desk{err: errors.New("a foreign text that may hold a value")})
	if got := call(t, "GET", base+"/api/v1/trace?id=m1", ""); got.status != 500 || strings.Contains(got.body, "foreign") {
		t.Errorf("a foreign error shows: %d %s", got.status, got.body)
	}
}

func TestOnlyTheTokenOpensTheAPI(t *testing.T) {
	d := &desk{}
	base, _ := open(t, d)
	for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer " + token[1:], "Bearer " + token + "0", "Basic " + token, token} {
		got := call(t, "GET", base+"/api/v1/messages", "", "Authorization", wrong)
		isProblem(t, got, http.StatusUnauthorized)
	}
	if len(d.asked) > 0 {
		t.Error("the operator was asked without the token")
	}
	none := httptest.NewServer(console.Handler(console.Config{Operator: d, Metrics: console.NewMetrics("test")}))
	defer none.Close()
	isProblem(t, call(t, "GET", none.URL+"/api/v1/messages", "", "Authorization", "Bearer "), http.StatusUnauthorized)
}

func TestABodyIsAskedForWithItsViewAndReason(t *testing.T) {
	d := &desk{}
	base, _ := open(t, d)
	reason := "Osasto kysyy: täsmennys"
	got := call(t, "GET", base+"/api/v1/messages/m1/body?view=sent&partner=hus", "", "Silta-Reason", url.PathEscape(reason))
	want := contracts.ShowRequest{Message: "m1", View: contracts.ViewSent, Partner: "hus", Reason: reason, Operator: "operator"}
	if diff := cmp.Diff(want, d.shown); diff != "" || got.header.Get("Content-Type") != "x-application/hl7-v2+er7" {
		t.Error(got.header.Get("Content-Type"), diff)
	}
}

func TestAListIsChosen(t *testing.T) {
	d := &desk{}
	base, _ := open(t, d)
	call(t, "GET", base+"/api/v1/messages?state=parked&partner=hus&type=REF%5EI12&issue=K3J5QX2A&since=2026-03-01T09:30:00%2B02:00&limit=7", "")
	d.filter.Since = d.filter.Since.UTC()
	want := contracts.Filter{State: contracts.StateParked, Partner: "hus", Type: "REF^I12", Issue: "K3J5QX2A", Since: at, Limit: 7}
	if diff := cmp.Diff(want, d.filter); diff != "" {
		t.Error(diff)
	}
}

func TestAnEditTravelsInTheBody(t *testing.T) {
	d := &desk{}
	base, _ := open(t, d)
	large := strings.Repeat("MSH|", 8<<20)
	ask, err := json.Marshal(map[string]any{"ids": []string{"m1"}, "map": "ref-i12@0.1.0", "edit": []byte(large), "dryRun": true, "reason": "mended"})
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, "POST", base+"/api/v1/reprocess", string(ask)); got.status != 200 || got.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if r := d.again; r.Edit == nil || string(r.Edit.Bytes()) != large || r.Map != "ref-i12@0.1.0" || !r.DryRun || r.Reason != "mended" || r.Operator != "operator" {
		t.Errorf("the operator was asked %+v", d.again)
	}
	call(t, "POST", base+"/api/v1/reprocess", `{"state":"parked","partner":"hus","type":"REF^I12","since":"2026-03-01T07:30:00Z"}`)
	want := contracts.Filter{State: contracts.StateParked, Partner: "hus", Type: "REF^I12", Since: at}
	if diff := cmp.Diff(want, d.again.Filter); diff != "" || d.again.Edit != nil {
		t.Error(diff)
	}
}

func TestReadinessSaysWhatIsMissing(t *testing.T) {
	d := &desk{}
	base, _ := open(t, d)
	if got := call(t, "GET", base+"/readyz", "", "Authorization", ""); got.status != 200 || got.body != `{"missing":[],"degraded":[],"paused":[],"warnings":[]}`+"\n" {
		t.Errorf("ready: %d %s", got.status, got.body)
	}
	d.missing = []string{"the ledger"}
	if got := call(t, "GET", base+"/readyz", "", "Authorization", ""); got.status != 503 || got.body != `{"missing":["the ledger"],"degraded":[],"paused":[],"warnings":[]}`+"\n" {
		t.Errorf("not ready: %d %s", got.status, got.body)
	}
	if got := call(t, "GET", base+"/healthz", "", "Authorization", ""); got.status != 200 {
		t.Errorf("not alive: %d", got.status)
	}
}

func TestMetricsCountSteps(t *testing.T) {
	base, m := open(t, &desk{})
	m.Observe(contracts.Step{At: at, Message: "m1", Step: contracts.StepReceived, From: "apotti"})
	m.Observe(contracts.Step{At: at, Message: "m1", Step: contracts.StepSending, From: "apotti", To: "hus", Attempt: 1})
	m.Observe(contracts.Step{At: at.Add(3 * time.Millisecond), Message: "m1", Step: contracts.StepDelivered, From: "apotti", To: "hus"})
	m.Observe(contracts.Step{At: at, Message: "m2", Step: contracts.StepParked, Fault: contracts.Faultf(contracts.Unmapped, "MAP-200", "RF1-2", "A code.")})
	got := call(t, "GET", base+"/metrics", "", "Authorization", "").body
	for _, line := range []string{
		`silta_steps_total{from="apotti",step="received",to=""} 1`,
		`silta_steps_total{from="apotti",step="delivered",to="hus"} 1`,
		`silta_faults_total{code="MAP-200",kind="unmapped"} 1`,
		`silta_delivery_seconds_bucket{outcome="delivered",to="hus",le="0.005"} 1`,
		`silta_delivery_seconds_bucket{outcome="delivered",to="hus",le="0.0025"} 0`,
		`go_goroutines `,
	} {
		if !strings.Contains(got, "\n"+line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if strings.Contains(got, "m1") || strings.Contains(got, "m2") {
		t.Error("a message's id is in a metric")
	}
}

// described gives the operations of openapi.yaml, as "GET /path".
func described(t *testing.T) map[string]map[string]any {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]map[string]any
	}
	if err := yaml.Unmarshal(schema.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	operations := map[string]map[string]any{}
	for path, item := range doc.Paths {
		for method, operation := range item {
			operations[strings.ToUpper(method)+" "+path] = operation
		}
	}
	return operations
}

func TestTheDescriptionIsTrueToTheHandlers(t *testing.T) {
	operations := described(t)
	for _, route := range console.Routes() {
		operation, ok := operations[strings.Replace(route, "{$}", "", 1)]
		if !ok {
			t.Errorf("openapi.yaml doesn't describe %s", route)
			continue
		}
		delete(operations, strings.Replace(route, "{$}", "", 1))
		public := operation["security"] != nil
		base, _ := open(t, &desk{})
		method, path, _ := strings.Cut(strings.Replace(strings.Replace(route, "{$}", "", 1), "{id}", "m1", 1), " ")
		got := call(t, method, base+path, "", "Authorization", "")
		if needs := got.status == http.StatusUnauthorized; needs == public {
			t.Errorf("%s: openapi.yaml says that it is open: %v; it answered %d", route, public, got.status)
		}
	}
	for operation := range operations {
		t.Errorf("openapi.yaml describes %s, which isn't there", operation)
	}
	base, _ := open(t, &desk{})
	if got := call(t, "GET", base+"/api/openapi.yaml", "", "Authorization", ""); got.body != string(schema.OpenAPI) {
		t.Error("/api/openapi.yaml isn't the description")
	}
}

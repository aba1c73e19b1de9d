// Package console is the hub's face for operators and machines: the HTTP API under /api/v1, health, readiness and
// metrics. It keeps nothing: what it shows comes from the Operator that it is given, and a restart loses no more
// than the counters of /metrics.
//
// Every response of the API is `no-store`, because it may hold identifiers; a body is given only to who holds the
// operators' token, and the Operator audits it. Errors are application/problem+json (RFC 9457) and carry a fault's
// kind, code and place, never a value.
package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/schema"
)

// Operator is what the console calls; the hub implements it. ids are any that name a message: ours, the partner's
// control id, a referral's placer or filler id, a journey's.
type Operator interface {
	// Find takes a patient's id, too; FindImpersonal doesn't.
	Find(ctx context.Context, id string) ([]contracts.Row, error)
	FindImpersonal(ctx context.Context, id string) ([]contracts.Row, error)
	List(ctx context.Context, f contracts.Filter) ([]contracts.Row, error)
	Trace(ctx context.Context, id string) (contracts.Trace, error) // likewise
	TraceImpersonal(ctx context.Context, id string) (contracts.Trace, error)
	// Show gives a body and audits it, with who asked and why.
	Show(ctx context.Context, r contracts.ShowRequest) (contracts.Shown, error)
	// Stop ends a message that waits, is parked or is on its way, and says whether the partner may have it.
	Stop(ctx context.Context, id, reason, operator string) (contracts.Stopped, error)
	// Release lets a parked key try again at once; id is the key, or any id of a message behind it. The reason may be empty.
	Release(ctx context.Context, id, reason, operator string) error
	// Reprocess lets messages go their way again and tells each of what became of every one. The error is of the request,
	// and comes before anything was done, or it is what each gave.
	Reprocess(ctx context.Context, r contracts.ReprocessRequest, each func(contracts.Reprocessed) error) error
	// Pause lets a partner get nothing until Resume. The reasons may be empty.
	Pause(ctx context.Context, partner, reason, operator string) error
	Resume(ctx context.Context, partner, reason, operator string) error
	// Activate lets a version of a map translate what is received from a time on; without a version it goes back to the one before.
	Activate(ctx context.Context, r contracts.ActivationRequest) (contracts.Activation, error)
	Activations(ctx context.Context) ([]contracts.Activation, error)
	// Issues gives what somebody has to look at, like faults in one; CloseIssue says that somebody has.
	Issues(ctx context.Context) ([]contracts.Issue, error)
	CloseIssue(ctx context.Context, id, reason, operator string) error
	// Partners tells of the way to each partner.
	Partners(ctx context.Context) ([]contracts.PartnerRow, error)
	Ready(ctx context.Context) contracts.Readiness
}

// Config is what a console works with; all but Log must be set.
type Config struct {
	Operator Operator
	Keeper   Keeper
	Token    string // the operators' bearer token
	Metrics  *Metrics
	Log      logrus.FieldLogger
}

// Handler gives the console as an HTTP handler.
func Handler(c Config) http.Handler {
	if c.Log == nil {
		c.Log = logrus.StandardLogger()
	}
	a := &api{operator: c.Operator, keeper: c.Keeper, log: c.Log, token: sha256.Sum256([]byte(c.Token)), open: c.Token != ""}
	mux := http.NewServeMux()
	for _, r := range a.routes(c.Metrics) {
		mux.Handle(r.method+" "+r.path, r.handler)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.problem(w, contracts.Faultf(contracts.NotFound, "API-001", "", "Nothing is at this address. / lists what is here."))
	})
	return plain(mux)
}

// route is one address; the API's description is tested against this list.
type route struct {
	method, path string
	handler      http.Handler
}

func (a *api) routes(m *Metrics) []route {
	return []route{
		{"GET", "/{$}", http.HandlerFunc(index)},
		{"GET", "/healthz", http.HandlerFunc(alive)},
		{"GET", "/readyz", http.HandlerFunc(a.ready)},
		{"GET", "/metrics", m.handler()},
		{"GET", "/api/openapi.yaml", http.HandlerFunc(description)},
		{"GET", "/api/v1/find", a.operators(a.find)},
		{"POST", "/api/v1/find", a.operators(a.findUnseen)},
		{"POST", "/api/v1/trace", a.operators(a.traceUnseen)},
		{"GET", "/api/v1/messages", a.operators(a.list)},
		{"GET", "/api/v1/messages/{id}/body", a.operators(a.body)},
		{"POST", "/api/v1/messages/{id}/stop", a.operators(a.stop)},
		{"POST", "/api/v1/release", a.operators(a.release)},
		{"POST", "/api/v1/reprocess", a.operators(a.reprocess)},
		{"GET", "/api/v1/issues", a.operators(a.issues)},
		{"POST", "/api/v1/issues/{id}/close", a.operators(a.closeIssue)},
		{"GET", "/api/v1/partners", a.operators(a.partners)},
		{"POST", "/api/v1/partners/{id}/pause", a.operators(a.pause)},
		{"POST", "/api/v1/partners/{id}/resume", a.operators(a.resume)},
		{"GET", "/api/v1/activations", a.operators(a.activations)},
		{"POST", "/api/v1/activations", a.operators(a.activate)},
		{"GET", "/api/v1/trace", a.operators(a.trace)},
		{"GET", "/api/v1/journeys/{id}", a.operators(a.journey)},
		{"POST", "/api/v1/reload", a.operators(a.reload)},
		{"POST", "/api/v1/backup", a.operators(a.backup)},
	}
}

// plain sets what every response needs: no sniffing of types, no framing, nothing stored on the way.
func plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// operators lets only the operators' token through. Digests are compared, so that neither the token's length nor
// its beginning shows in the time it takes.
func (a *api) operators(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		given := sha256.Sum256([]byte(strings.TrimSpace(token)))
		if !a.open || !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare(given[:], a.token[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="silta"`)
			a.problemAs(w, http.StatusUnauthorized, contracts.Faultf(contracts.Denied, "API-002", "", "This needs the operators' token as a bearer token."))
			return
		}
		if err := next(w, r); err != nil {
			a.problem(w, err)
		}
	})
}

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(`Silta, a bridge for referrals.

/healthz            alive
/readyz             takes messages, or says what is missing
/metrics            figures for Prometheus
/api/openapi.yaml   what the API offers
/api/v1/…           messages, journeys and bodies, with the operators' token
`))
}

func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("alive\n"))
}

func (a *api) ready(w http.ResponseWriter, r *http.Request) {
	readiness := a.operator.Ready(r.Context())
	status := http.StatusOK
	if len(readiness.Missing) > 0 {
		status = http.StatusServiceUnavailable
	}
	readiness.Missing = append([]string{}, readiness.Missing...) // a list, also when it is empty
	readiness.Paused = append([]string{}, readiness.Paused...)
	readiness.Degraded = append([]string{}, readiness.Degraded...)
	readiness.Warnings = append([]string{}, readiness.Warnings...)
	a.write(w, status, readiness)
}

func description(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(schema.OpenAPI)
}

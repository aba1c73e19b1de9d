package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// operatorName is who the audit names. There is one token, so there is one name.
const operatorName = "operator"

// reasonHeader carries why a body is asked for, percent-encoded UTF-8. It isn't in the URL, which lands in the logs
// of whatever stands between.
const reasonHeader = "Silta-Reason"

// maxRequest is how many bytes of a request's body are read.
const maxRequest = 64 << 10

type api struct {
	operator Operator
	keeper   Keeper
	log      logrus.FieldLogger
	token    [32]byte
	open     bool // a token is set
}

type rows struct {
	Messages []contracts.Row `json:"messages"`
}

func (a *api) find(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	found, err := a.operator.FindImpersonal(r.Context(), id)
	if err != nil {
		return err
	}
	return a.rows(w, found)
}

// findUnseen and traceUnseen take the id in the body: it may be a patient's, and addresses land in logs.
func (a *api) findUnseen(w http.ResponseWriter, r *http.Request) error {
	id, err := idInside(w, r)
	if err != nil {
		return err
	}
	found, err := a.operator.Find(r.Context(), id)
	if err != nil {
		return err
	}
	return a.rows(w, found)
}

func (a *api) traceUnseen(w http.ResponseWriter, r *http.Request) error {
	id, err := idInside(w, r)
	if err != nil {
		return err
	}
	trace, err := a.operator.Trace(r.Context(), id)
	if err != nil {
		return err
	}
	return a.traced(w, trace)
}

func (a *api) list(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := contracts.Filter{State: contracts.State(q.Get("state")), Partner: q.Get("partner"), Type: q.Get("type"), Issue: q.Get("issue")}
	if s := q.Get("since"); s != "" {
		since, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return contracts.Faultf(contracts.Invalid, "API-003", "since", "A time is written as RFC 3339 has it: 2026-03-01T00:00:00Z.")
		}
		f.Since = since
	}
	if s := q.Get("limit"); s != "" {
		limit, err := strconv.Atoi(s)
		if err != nil || limit < 1 || limit > 10000 {
			return contracts.Faultf(contracts.Invalid, "API-003", "limit", "The limit is a number from 1 to 10000.")
		}
		f.Limit = limit
	}
	if f.State != "" && !known(f.State) {
		return contracts.Faultf(contracts.Invalid, "API-003", "state", "No such state. The states are %s.", stateList())
	}
	found, err := a.operator.List(r.Context(), f)
	if err != nil {
		return err
	}
	return a.rows(w, found)
}

var states = []contracts.State{
	contracts.StateReceived, contracts.StateTranslated, contracts.StateSending, contracts.StateDelivered,
	contracts.StateWaiting, contracts.StateParked, contracts.StateRefused, contracts.StateStopped,
}

func known(s contracts.State) bool {
	for _, state := range states {
		if s == state {
			return true
		}
	}
	return false
}

func stateList() string {
	words := make([]string, len(states))
	for i, s := range states {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func (a *api) rows(w http.ResponseWriter, found []contracts.Row) error {
	if found == nil {
		found = []contracts.Row{}
	}
	for i := range found {
		if found[i].To == nil {
			found[i].To = []string{}
		}
	}
	a.write(w, http.StatusOK, rows{found})
	return nil
}

func (a *api) trace(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	return a.traceAddressed(w, r, id)
}

func (a *api) journey(w http.ResponseWriter, r *http.Request) error {
	return a.traceAddressed(w, r, r.PathValue("id"))
}

func (a *api) traceAddressed(w http.ResponseWriter, r *http.Request, id string) error {
	trace, err := a.operator.TraceImpersonal(r.Context(), id)
	if err != nil {
		return err
	}
	return a.traced(w, trace)
}

func (a *api) traced(w http.ResponseWriter, trace contracts.Trace) error {
	if trace.IDs == nil {
		trace.IDs = []contracts.TraceIdentifier{}
	}
	if trace.Steps == nil {
		trace.Steps = []contracts.Step{}
	}
	a.write(w, http.StatusOK, trace)
	return nil
}

func (a *api) body(w http.ResponseWriter, r *http.Request) error {
	reason, err := url.PathUnescape(r.Header.Get(reasonHeader))
	if err != nil {
		return contracts.Faultf(contracts.Invalid, "API-003", reasonHeader, "The reason is percent-encoded UTF-8.")
	}
	q := r.URL.Query()
	ask := contracts.ShowRequest{
		Message: r.PathValue("id"), View: contracts.View(q.Get("view")), Partner: q.Get("partner"),
		Reason: strings.TrimSpace(reason), Operator: operatorName,
	}
	switch ask.View {
	case "":
		ask.View = contracts.ViewRaw
	case contracts.ViewRaw, contracts.ViewCanonical:
	case contracts.ViewSent:
		if ask.Partner == "" {
			return contracts.Faultf(contracts.Invalid, "API-003", "partner", "What was sent has a partner.")
		}
	default:
		return contracts.Faultf(contracts.Invalid, "API-003", "view", "The views are raw, canonical and sent.")
	}
	shown, err := a.operator.Show(r.Context(), ask)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType(shown.Format))
	w.Header().Set("Content-Length", strconv.Itoa(shown.Body.Len()))
	_, _ = w.Write(shown.Body.Bytes())
	return nil
}

// contentType keeps a browser from guessing: a body isn't a page.
func contentType(format string) string {
	switch format {
	case contracts.FormatFHIR:
		return "application/fhir+json"
	case contracts.FormatV2:
		return "x-application/hl7-v2+er7"
	}
	return "application/octet-stream"
}

func (a *api) stop(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Reason string `json:"reason"`
	}
	if err := decode(w, r, &ask); err != nil {
		return err
	}
	if strings.TrimSpace(ask.Reason) == "" {
		return contracts.Faultf(contracts.Invalid, "API-003", "reason", "Stopping a message needs a reason.")
	}
	stopped, err := a.operator.Stop(r.Context(), r.PathValue("id"), ask.Reason, operatorName)
	if err != nil {
		return err
	}
	a.write(w, http.StatusOK, stopped)
	return nil
}

func (a *api) release(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Key    string `json:"key"`
		Reason string `json:"reason"`
	}
	if err := decode(w, r, &ask); err != nil {
		return err
	}
	if ask.Key == "" {
		return contracts.Faultf(contracts.Invalid, "API-003", "key", "Say what to release: a key, or the id of a message that it holds up.")
	}
	if err := a.operator.Release(r.Context(), ask.Key, ask.Reason, operatorName); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) partners(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.operator.Partners(r.Context())
	if err != nil {
		return err
	}
	a.write(w, http.StatusOK, map[string][]contracts.PartnerRow{"partners": append([]contracts.PartnerRow{}, rows...)})
	return nil
}

func (a *api) pause(w http.ResponseWriter, r *http.Request) error {
	return onPartner(w, r, a.operator.Pause)
}

func (a *api) resume(w http.ResponseWriter, r *http.Request) error {
	return onPartner(w, r, a.operator.Resume)
}

// activate makes an activation of a map; without a version it is a rollback.
func (a *api) activate(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Map     string    `json:"map"`
		Version string    `json:"version"`
		Partner string    `json:"partner"`
		Type    string    `json:"type"`
		At      time.Time `json:"at"`
		Reason  string    `json:"reason"`
	}
	if err := decode(w, r, &ask); err != nil {
		return err
	}
	if ask.Map == "" {
		return contracts.Faultf(contracts.Invalid, "API-003", "map", "Say which map.")
	}
	made, err := a.operator.Activate(r.Context(), contracts.ActivationRequest{Map: ask.Map, Version: ask.Version, Partner: ask.Partner, Type: ask.Type,
		At: ask.At, Reason: ask.Reason, Operator: operatorName})
	if err != nil {
		return err
	}
	a.write(w, http.StatusOK, made)
	return nil
}

func (a *api) activations(w http.ResponseWriter, r *http.Request) error {
	all, err := a.operator.Activations(r.Context())
	if err != nil {
		return err
	}
	a.write(w, http.StatusOK, map[string][]contracts.Activation{"activations": append([]contracts.Activation{}, all...)})
	return nil
}

func (a *api) issues(w http.ResponseWriter, r *http.Request) error {
	all, err := a.operator.Issues(r.Context())
	if err != nil {
		return err
	}
	a.write(w, http.StatusOK, map[string][]contracts.Issue{"issues": append([]contracts.Issue{}, all...)})
	return nil
}

func (a *api) closeIssue(w http.ResponseWriter, r *http.Request) error {
	return onPartner(w, r, a.operator.CloseIssue)
}

// onPartner does what an operator asks about a partner, or an issue. The request's body may be left out.
func onPartner(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, partner, reason, operator string) error) error {
	var ask struct {
		Reason string `json:"reason"`
	}
	if r.ContentLength != 0 {
		if err := decode(w, r, &ask); err != nil {
			return err
		}
	}
	if err := do(r.Context(), r.PathValue("id"), ask.Reason, operatorName); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func idOf(r *http.Request) (string, error) {
	if id := r.URL.Query().Get("id"); id != "" {
		return id, nil
	}
	return "", contracts.Faultf(contracts.Invalid, "API-003", "id", "Say which id.")
}

func idInside(w http.ResponseWriter, r *http.Request) (string, error) {
	var ask struct {
		ID string `json:"id"`
	}
	if err := decode(w, r, &ask); err != nil {
		return "", err
	}
	if ask.ID == "" {
		return "", contracts.Faultf(contracts.Invalid, "API-003", "id", "Say which id.")
	}
	return ask.ID, nil
}

func decode(w http.ResponseWriter, r *http.Request, into any) error {
	return decodeUpTo(w, r, into, maxRequest)
}

func decodeUpTo(w http.ResponseWriter, r *http.Request, into any, most int64) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &contracts.Fault{Kind: contracts.Malformed, Code: "API-004", Public: "The request's body isn't the JSON that this takes; /api/openapi.yaml describes it.", Err: err}
	}
	return nil
}

func (a *api) write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		a.log.WithField("type", "json").Error("an answer can't be written")
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

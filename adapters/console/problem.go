package console

import (
	"encoding/json"
	"net/http"

	"github.com/hoitosilta/silta/contracts"
)

// problem is application/problem+json (RFC 9457) with a fault's members beside its own.
type problem struct {
	Type   string         `json:"type"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Kind   contracts.Kind `json:"kind"`
	Code   string         `json:"code,omitempty"`
	At     string         `json:"at,omitempty"`
	// Faults are all, where there is more than the one that kind, code and detail tell of.
	Faults contracts.Faults `json:"faults,omitempty"`
}

// statuses says which HTTP status a fault's kind is.
var statuses = map[contracts.Kind]int{
	contracts.Malformed:   http.StatusBadRequest,
	contracts.Invalid:     http.StatusUnprocessableEntity,
	contracts.Denied:      http.StatusForbidden,
	contracts.NotFound:    http.StatusNotFound,
	contracts.Unroutable:  http.StatusNotFound,
	contracts.Conflict:    http.StatusConflict,
	contracts.Refused:     http.StatusConflict,
	contracts.Unmapped:    http.StatusUnprocessableEntity,
	contracts.Unavailable: http.StatusServiceUnavailable,
}

func (a *api) problem(w http.ResponseWriter, err error) {
	faults := contracts.FaultsOf(err)
	fault := faults[0]
	status, known := statuses[fault.Kind]
	if !known {
		status = http.StatusInternalServerError
		a.log.WithField("kind", fault.Kind).WithField("code", fault.Code).Error("the console met trouble of our own")
	}
	if len(faults) == 1 {
		faults = nil
	}
	a.tell(w, status, fault, faults)
}

func (a *api) problemAs(w http.ResponseWriter, status int, f *contracts.Fault) {
	a.tell(w, status, f, nil)
}

func (a *api) tell(w http.ResponseWriter, status int, f *contracts.Fault, all contracts.Faults) {
	b, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: f.Public, Kind: f.Kind, Code: f.Code, At: f.Place(), Faults: all,
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

package console

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// maxEdit is how many bytes of a request that may hold an edited copy are read: 32 MB in base64, and room.
const maxEdit = 44 << 20

// reprocess answers with a line of JSON a message, each as soon as it is done. What is wrong with the request as a
// whole is a problem, and nothing was done then.
func (a *api) reprocess(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		IDs     []string        `json:"ids"`
		State   contracts.State `json:"state"`
		Partner string          `json:"partner"`
		Type    string          `json:"type"`
		Issue   string          `json:"issue"`
		Since   time.Time       `json:"since"`
		Map     string          `json:"map"`
		Edit    []byte          `json:"edit"`
		DryRun  bool            `json:"dryRun"`
		Reason  string          `json:"reason"`
	}
	if err := decodeUpTo(w, r, &ask, maxEdit); err != nil {
		return err
	}
	if ask.State != "" && !known(ask.State) {
		return contracts.Faultf(contracts.Invalid, "API-003", "state", "No such state. The states are %s.", stateList())
	}
	request := contracts.ReprocessRequest{
		IDs: ask.IDs, Filter: contracts.Filter{State: ask.State, Partner: ask.Partner, Type: ask.Type, Issue: ask.Issue, Since: ask.Since},
		Map: ask.Map, DryRun: ask.DryRun, Reason: ask.Reason, Operator: operatorName,
	}
	if ask.Edit != nil {
		body := contracts.NewBody(ask.Edit)
		request.Edit = &body
	}
	out := lines{w: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // all is read; the deadline of that would end long work
	out.more()
	if err := a.operator.Reprocess(r.Context(), request, out.write); err != nil {
		if !out.begun {
			return err
		}
		panic(http.ErrAbortHandler) // the answer has begun: its reader sees that it broke off
	}
	out.begin()
	return nil
}

// lineTime is how long a line may take to be done and read; the server's own limit is for whole answers.
const lineTime = 2 * time.Minute

// lines writes JSON values, one a line.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// more gives the next line its time. A writer that knows no deadlines needs none.
func (l *lines) more() { _ = l.control.SetWriteDeadline(time.Now().Add(lineTime)) }

func (l *lines) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.WriteHeader(http.StatusOK)
	}
}

func (l *lines) write(x contracts.Reprocessed) error {
	l.begin()
	l.more()
	if err := json.NewEncoder(l.w).Encode(x); err != nil {
		return err
	}
	return l.control.Flush()
}

package fhirrest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// judge turns a partner's answer into what became of the parcel. body may be cut off behind maxAnswer, or missing
// where the status alone decides.
func (c *Courier) judge(response *http.Response, body []byte, p contracts.Parcel) (contracts.Answer, error) {
	status := response.StatusCode
	answer := contracts.Answer{Code: strconv.Itoa(status)}
	verdict, err := fhir.ReadOutcome(body)
	if err != nil {
		verdict = &fhir.Verdict{} // no OperationOutcome; then the status decides
	}
	switch {
	case status < 300 && verdict.Fatal:
		return answer, refused(CodeRefused, "The partner answered %s with a fatal OperationOutcome", status, verdict)
	case status < 300:
		return answer, nil
	case status < 400:
		return answer, refused(CodeRedirect, "The partner redirects (%s), which isn't followed. Correct the courier's url", status, verdict)
	case status == http.StatusConflict && (verdict.Duplicate || p.Repeat):
		return answer, nil // it is there, by this or an earlier attempt
	case status == http.StatusConflict:
		fault := refused(CodeConflict, "The partner knows another message under this id (%s)", status, verdict)
		fault.Kind = contracts.Conflict
		return answer, fault
	case isTemporary(status):
		answer.RetryAfter = retryAfter(response.Header.Get("Retry-After"), c.now())
		answer.Unknown = mayHaveProcessed(status)
		return answer, wait(status, verdict)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusGone:
		return answer, refused(CodeNoService, "The partner has no $process-message there (%s). Correct the courier's url", status, verdict)
	}
	return answer, refused(CodeRefused, "The partner refused the message (%s)", status, verdict)
}

// needsBody says whether the OperationOutcome decides with this status, so that an answer without its end decides
// nothing.
func needsBody(status int, p contracts.Parcel) bool {
	return status < 300 || status == http.StatusConflict && !p.Repeat
}

// isTemporary says whether the same bytes may be taken later. 401 and 407 are: they concern our token and so every
// message, and when it is corrected all of them flow, without anybody releasing them one by one. 403 isn't: the
// partner knows us and refuses this.
func isTemporary(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// mayHaveProcessed says whether a server may answer so after it did what was asked: a gateway in front of it, or
// itself when it failed afterwards.
func mayHaveProcessed(status int) bool { return status >= 500 || status == http.StatusRequestTimeout }

func wait(status int, v *fhir.Verdict) *contracts.Fault {
	f := refused(CodeServer, "The partner's server has trouble (%s)", status, v)
	switch status {
	case http.StatusTooManyRequests:
		f = refused(CodeBusy, "The partner asks to be spared for a while (%s)", status, v)
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		f = refused(CodeCredentials, "The partner doesn't know our token (%s). Correct the token file of its courier", status, v)
	}
	f.Kind, f.At = contracts.Unavailable, ""
	return f
}

// refused says what the partner objects to: the status, and the codes and places of its issues. Its own words stay
// out, since they may hold a person's data.
func refused(code, format string, status int, v *fhir.Verdict) *contracts.Fault {
	const most = 5
	f := &contracts.Fault{Kind: contracts.Refused, Code: code}
	var list []string
	for _, issue := range v.Faults {
		if issue.Grade != contracts.GradeError {
			continue
		}
		if len(list) == most {
			list = append(list, "And more.")
			break
		}
		said := issue.Public
		if issue.At != "" {
			said = strings.TrimSuffix(said, ".") + " at " + issue.At + "."
		}
		if f.At == "" {
			f.At = issue.At
		}
		list = append(list, said)
	}
	text := strings.Replace(format, "%s", strconv.Itoa(status), 1) + "."
	f.Public = strings.Join(append([]string{text}, list...), " ")
	return f
}

package fhirrest

import (
	"errors"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// isFHIRJSON says whether a request's body is what the door reads. Plain application/json is taken too: its content
// tells whether it is FHIR.
func isFHIRJSON(h http.Header) bool {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return false
	}
	name, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !isJSONType(name) {
		return false
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	version := params["fhirversion"]
	return version == "" || version == "4.0" || strings.HasPrefix(version, "4.0.")
}

// isJSONType knows the JSON types of FHIR R4, and the one of DSTU2 that some clients still send.
func isJSONType(name string) bool {
	return name == mediaType || name == "application/json" || name == "application/json+fhir"
}

// takesJSON says whether a JSON answer suits the sender: by _format, which overrides Accept (FHIR R4, 3.1.0.1.11).
func takesJSON(r *http.Request) bool {
	if format := r.URL.Query().Get("_format"); format != "" {
		name, _, _ := strings.Cut(strings.ReplaceAll(format, " ", "+"), ";") // a bare + in a query means a space
		return name == "json" || isJSONType(name)
	}
	ranges := r.Header.Values("Accept")
	if len(ranges) == 0 {
		return true
	}
	for _, one := range strings.Split(strings.Join(ranges, ","), ",") {
		name, params, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		if name == "*/*" || name == "application/*" || isJSONType(name) {
			return true
		}
	}
	return false
}

var traceparentForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceparent gives a W3C trace context, or nothing for what isn't one.
func traceparent(header string) string {
	if !traceparentForm.MatchString(header) {
		return ""
	}
	return header
}

// retryAfter reads Retry-After: seconds, or an HTTP date (RFC 9110, 10.2.3). What can't be read asks for nothing.
func retryAfter(header string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(strings.TrimSpace(header), 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func byteCount(n int) string { return strconv.Itoa(n) + " bytes" }

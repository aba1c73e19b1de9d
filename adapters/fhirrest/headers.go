package fhirrest

import (
	"errors"
	"mime"
	"net"
	"net/http"
	"regexp"
	"slices"
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
	return isR4(params)
}

// isR4 says whether a media type's parameters suit FHIR R4.
func isR4(params map[string]string) bool {
	version := params["fhirversion"]
	return version == "" || version == "4.0" || strings.HasPrefix(version, "4.0.")
}

// jsonTypes are the JSON types of FHIR R4, and the one of DSTU2 that some clients still send.
var jsonTypes = []string{mediaType, "application/json", "application/json+fhir"}

func isJSONType(name string) bool { return slices.Contains(jsonTypes, name) }

// takesJSON says whether a JSON answer suits the sender: by _format, which overrides Accept (FHIR R4, 3.1.0.1.11).
func takesJSON(format string, h http.Header) bool {
	if format != "" {
		name, _, _ := strings.Cut(strings.ReplaceAll(format, " ", "+"), ";") // a bare + in a query means a space
		return name == "json" || isJSONType(name)
	}
	ranges := strings.Join(h.Values("Accept"), ",")
	if strings.TrimSpace(ranges) == "" {
		return true
	}
	return quality(ranges) > 0
}

// quality is the weight that an Accept header gives to FHIR's JSON under any of its names: for each name that of the range
// which fits it closest (RFC 9110, 12.5.1). A range that can't be read, or that wants another FHIR, fits nothing.
func quality(accept string) float64 {
	best := 0.0
	for _, name := range jsonTypes {
		closest, weight := -1, 0.0
		for one := range strings.SplitSeq(accept, ",") {
			pattern, params, err := mime.ParseMediaType(one)
			if err != nil || !isR4(params) {
				continue
			}
			if fits := slices.Index([]string{"*/*", "application/*", name}, pattern); fits > closest {
				closest, weight = fits, 1
				if q, given := params["q"]; given {
					weight, _ = strconv.ParseFloat(q, 64)
				}
			}
		}
		best = max(best, weight)
	}
	return best
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

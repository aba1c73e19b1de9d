package contracts

import "strings"

// Span names one thing that is done to a message, for who follows it by traces. It says places and kinds: never an id of
// a person, a control id or a value.
type Span struct {
	Name    string // door, publish, translate or deliver
	Partner string // the sender, or for deliver and its publish the receiver
	Type    string // REF^I12, or the event of a FHIR message
	Topic   string // for publish
	Attempt int    // for deliver; 1 for the first
}

// SpanEnd is how a Span ended.
type SpanEnd struct {
	State    State
	Map      string // id@version, for translate
	Answer   string // MSA-1 or the HTTP status, for deliver
	Findings Faults // what a translation could not carry, and warnings
	Err      error
}

// Tracing opens a span. parent is the W3C traceparent under which the message came; with an empty one a trace begins. It
// gives the traceparent for what follows, which is parent's own trace, and a function to be called once at the end.
type Tracing func(parent string, s Span) (traceparent string, end func(SpanEnd))

// TraceID is the part of a W3C traceparent that names the trace, or nothing.
func TraceID(traceparent string) string {
	_, rest, _ := strings.Cut(traceparent, "-")
	id, _, _ := strings.Cut(rest, "-")
	return id
}

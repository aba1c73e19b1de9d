package contracts

import "time"

// Formats of a message on the wire.
const (
	FormatV2   = "hl7v2"
	FormatFHIR = "fhir"
)

// Arrival is what a door hands to the hub: one frame or one request body.
type Arrival struct {
	Partner string // who sent it, by port, certificate or token
	Format  string // FormatV2 or FormatFHIR
	Body    Body   // as it came, without framing
	Fault   *Fault // set when the door itself refuses (oversize): the hub keeps Body and refuses with it
	Trace   string // W3C traceparent, if the sender gave one
}

// Receipt is the hub's word on an arrival. It is given only when the bytes are durable.
type Receipt struct {
	ID      ID        // the message's id; empty if its bytes made no message
	Claim   Claim     // ClaimSame: seen before, acknowledge as then
	At      time.Time // when it was received first: what the acknowledgement is computed from
	Control string    // the sender's control id, if it could be read
	Fault   *Fault    // why it is refused; nil means accepted
	Trace   string    // W3C traceparent of what was done with it; empty if nobody traces
}

// Message is one that was received, with what was read of it before it was parsed.
type Message struct {
	ID          ID
	Partner     string // the sender
	Format      string
	Type        string // REF^I12, or the event code of a FHIR message
	Version     string // MSH-12, or 4.0.1
	Processing  string // MSH-11.1: P, T or D
	Control     string // MSH-10 or the Bundle's id
	Application string // MSH-3 as it stood
	Facility    string // MSH-4 as it stood
	Key         Key
	KeyedBy     string // KeyedByReferral, KeyedByPatient or KeyedBySender
	Behind      []Key  // further keys that it comes behind: those of the identities that it merges
	Cause       ID     // the message from which an operator made this one
	Received    time.Time
	Digest      Digest
	Body        Body
	Place       Place
}

// What a key was made of. A key of the sender alone keeps no referral's order, so nothing waits behind it.
const (
	KeyedByReferral = "referral"
	KeyedByPatient  = "patient"
	KeyedBySender   = "sender"
)

// Parcel is what a courier takes to a partner: final bytes under an id that never changes.
type Parcel struct {
	ID      ID     // the outgoing id: the Idempotency-Key
	Control string // MSH-10 or Bundle.identifier inside Body
	Type    string
	Format  string
	Body    Body
	Attempt int    // 1 for the first
	Repeat  bool   // an earlier attempt with these bytes has an unknown outcome
	Trace   string // W3C traceparent for the partner; empty if nobody traces
}

// Answer is what came back from a partner.
type Answer struct {
	Code       string        // MSA-1 or the HTTP status
	Unknown    bool          // bytes may have arrived, and no answer was understood
	RetryAfter time.Duration // what the partner asked for, if it did
}

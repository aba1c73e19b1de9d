package contracts

import "time"

// Topics of the bus. A partner's own are OutTopic and ParkTopic.
const (
	TopicIn   = "silta.in"   // every message that was acknowledged, as its raw bytes
	TopicDead = "silta.dead" // bytes of no known message: refused at a door, kept for a person
	TopicBody = "silta.body" // pieces of large bodies, where the bus keeps them in a topic
)

// OutTopic is where messages for a partner's courier wait, as their final bytes.
func OutTopic(partner string) string { return "silta.out." + partner }

// ParkTopic keeps the bytes of messages that wait or are parked: for a partner's courier, or, where they aren't
// translated yet, from that partner.
func ParkTopic(partner string) string { return "silta.park." + partner }

// Record is one entry of a topic.
type Record struct {
	Topic  string
	Key    Key
	ID     ID                // the message's id, ours
	Time   time.Time         // the hub's time, UTC, microseconds; never the clock of whoever reads it
	Header map[string]string // see the Header constants; no patient data
	Body   Body              // whole, also where the bus keeps large ones apart
	Place  Place             // where it stands; set by the bus
}

// Headers of a record. The Kafka binding writes them as CloudEvents attributes and extensions.
const (
	HeaderPartner     = "partner"     // who sent it (silta.in, silta.dead) or who gets it (silta.out.*)
	HeaderFormat      = "format"      // FormatV2 or FormatFHIR
	HeaderType        = "type"        // REF^I12, or the event of a FHIR message
	HeaderControl     = "control"     // the control id
	HeaderApplication = "application" // MSH-3 as it stood
	HeaderFacility    = "facility"    // MSH-4 as it stood
	HeaderDigest      = "digest"      // of the bytes
	HeaderKeyedBy     = "keyedby"     // referral, patient or sender
	HeaderVersion     = "version"     // MSH-12, or 4.0.1
	HeaderCause       = "cause"       // the message that this one was made from
	HeaderRoute       = "route"
	HeaderCanonical   = "canonical" // digest of the canonical body
	HeaderJourney     = "journey"
	HeaderMap         = "map"        // that wrote it (silta.out.*), or that an operator chose for it (silta.in)
	HeaderGeneration  = "generation" // how often an operator sent it anew; absent for the first time
	HeaderOperator    = "operator"   // who had it worked again
	HeaderFault       = "fault"      // JSON of the fault that refused it
	HeaderBehind      = "behind"     // further keys that the message comes behind, with blanks between: those of the identities that it merges
	HeaderMerge       = "merge"      // this is no message: what came under its key before the merge of that id is known by now
	HeaderTrace       = "traceparent"
)

// Place is where a record stands.
type Place struct {
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Once is a claim on a control id: the first bytes that are published under Key own it.
type Once struct {
	Key    Key
	Digest Digest
}

// ClaimsLast is how long every bus remembers a claim at least.
const ClaimsLast = 14 * 24 * time.Hour

// Claim is what became of a claim.
type Claim int

// The outcomes of a claim. ClaimNone: there was nothing to claim.
const (
	ClaimNone  Claim = iota
	ClaimNew         // first seen: the record was published
	ClaimSame        // the same bytes again: published or not, its id is known
	ClaimOther       // other bytes under a claimed key: not published
)

// Published is the bus's answer once a record is durable.
type Published struct {
	Claim Claim
	First time.Time // when the key was claimed first: the record's time for ClaimNew
	ID    ID        // the id that the claim belongs to
	Place Place     // where the record stands; zero if it wasn't published
}

// Replay chooses records of a topic to be read again, oldest first.
type Replay struct {
	Topic string
	Key   Key       // only this key, if set
	Since time.Time // only from this record time on, if set
}

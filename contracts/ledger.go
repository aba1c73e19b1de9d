package contracts

import "time"

// Entry is a message's row in the ledger. The first write of ID, Partner, Control, Type, Received, Journey, Origin
// and Place wins; State, Map, Canonical, Event and Fault follow the latest.
type Entry struct {
	ID          ID
	Partner     string
	Format      string
	Control     string
	Type        string
	Version     string
	Application string
	Facility    string
	Key         Key
	Received    time.Time
	Journey     ID     // empty until it is known
	Origin      ID     // the message that this one answers, if it is an answer
	Event       string // canonical event code, once translated
	Cause       ID
	State       State
	Map         string
	Canonical   Digest
	Digest      Digest
	Fault       *Fault
	Place       Place // of the raw bytes
}

// Delivery is one outgoing message: final bytes for one receiver.
type Delivery struct {
	ID         ID
	Message    ID // the incoming message behind it
	Journey    ID
	Partner    string // the receiver
	Route      string
	Generation int
	Control    string
	Type       string
	Format     string
	Map        string
	Key        Key
	Digest     Digest // of the final bytes: the same id with another digest is refused
	State      State
	Attempts   int
	Unknown    bool // the last attempt's outcome is unknown
	Answer     string
	Fault      *Fault
	Place      Place // of the record in the receiver's topic
}

// Kinds of Identifier.
const (
	IDControl  = "control"  // MSH-10, Bundle.identifier, Bundle.id, MessageHeader.id: how a message is named
	IDPlacer   = "placer"   // the referral's id at the requester
	IDFiller   = "filler"   // the referral's id at the performer
	IDPatient  = "patient"  // whom it is about: a keyed hash of a patient's identifier
	IDResource = "resource" // Type/id or urn:uuid of a resource that a partner was given
)

// Identifier says that a partner knows a message or journey under a value. Translating writes the outgoing ones
// before it publishes, so no answer can arrive before its row.
type Identifier struct {
	Partner string
	Kind    string
	Value   string
	Message ID // the incoming message of ours that it belongs to
	Journey ID
}

// Journey is all that happened to one referral.
type Journey struct {
	ID      ID
	State   string // the canonical event that it reached: requested, accepted, booked …
	Started time.Time
	Updated time.Time
}

// Condition is the state of a key.
type Condition string

// The conditions of a key: live, messages flow through its lane; spilled, they wait as rows and are worked from
// there in order; parked, they wait for a person.
const (
	KeyLive    Condition = "live"
	KeySpilled Condition = "spilled"
	KeyParked  Condition = "parked"
)

// KeyRef names a key of a topic.
type KeyRef struct {
	Topic string
	Key   Key
}

// KeyState is what the ledger holds about a key that isn't live.
type KeyState struct {
	KeyRef
	Condition Condition
	Since     time.Time
	Message   ID // the message that holds the key up
	Fault     *Fault
}

// Waiting is a message that waits behind a spilled or parked key, its bytes in the park topic.
type Waiting struct {
	KeyRef
	Message  ID        // the record's id
	Seq      int64     // order within the key, given by the ledger
	Park     Place     // where the bytes are
	Since    time.Time // when it began to wait
	Due      time.Time // when the next attempt may be made
	Attempts int
}

// StoredBody is a canonical or other content-addressed body.
type StoredBody struct {
	Digest Digest
	Body   Body
}

// Pause is an operator's word that a partner gets nothing until it is resumed.
type Pause struct {
	Partner  string    `json:"partner"`
	Since    time.Time `json:"since"`
	Operator string    `json:"operator"`
	Reason   string    `json:"reason,omitempty"`
}

// Replacement puts another message in the place of one that waits behind a key, so that the key's order stays. By.Seq
// isn't read: By gets the place of the message Old. One that doesn't wait there (any more) makes the change a conflict.
type Replacement struct {
	Old ID
	By  Waiting
}

// Change is what one moment writes to the ledger: all of it or nothing. Rows are keyed by derived ids, so applying
// a change twice leaves what applying it once does.
//
// A Delivery of state translated is only added: it never changes a row that is there, because the translator may do
// a message again while its delivery is under way. One that is stopped moves on only to delivered: an attempt that was
// under way when a person stopped it may still succeed, and a failed one brings nothing back. A Journey keeps the state of its latest Updated.
//
// Apply checks, and gives a fault of kind conflict and writes nothing, when: a Delivery has another digest than the
// row of that id (At is "digest"); a Delivery of state sending finds its row delivered or stopped, or with as many
// attempts already, or one of state waiting or parked finds it delivered, or one of these or stopped finds more attempts
// than the one that it tells of (At is "attempt": another process works it); an Entry of state translated, waiting or
// parked finds its row stopped (At is "stopped"; state received revives it); a Wait is for a key that is live and Keys of
// the same change doesn't spill or park it (At is "key"); a Replacement's Old doesn't wait behind the key (At is "message").
type Change struct {
	// Received is when the message that the change is about was received: the same for all changes about it, also when
	// one is made again. A ledger may keep what is of one time together, to forget it together.
	Received time.Time

	Entries     []Entry
	Deliveries  []Delivery
	Steps       []Step
	Identifiers []Identifier
	Journeys    []Journey
	Bodies      []StoredBody
	Keys        []KeyState // set the condition (spilled, parked)
	Wait        []Waiting  // append behind a key; a message that already waits there is moved to the new Due and Attempts
	Done        []Waiting  // taken from behind a key, by topic, key and message
	Replace     []Replacement
	Revive      []KeyRef // live again, if nothing waits behind the key any more
	Pauses      []Pause  // of partners; the first one of a partner holds
	Resumes     []string // partners that are paused no more
	Activations []Activation
	Raise       []Raised // parts in issues; one message has one part in an issue, the first that is written
	Close       []ID     // issues whose parts are forgotten
}

// Filter chooses entries; empty fields choose all.
type Filter struct {
	State   State
	Partner string // as sender or receiver
	Type    string
	Issue   string // of this issue
	Since   time.Time
	Limit   int // at most so many, newest first; 0 = 200
}

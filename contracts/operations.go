package contracts

import "time"

// Row is a message as `silta list` and `silta find` show it.
type Row struct {
	ID      ID        `json:"id"`
	Control string    `json:"controlId"`
	From    string    `json:"from"`
	To      []string  `json:"to"`
	Type    string    `json:"type"`
	Journey ID        `json:"journey"`
	State   State     `json:"state"`
	At      time.Time `json:"at"`
	Map     string    `json:"map"`
	Cause   ID        `json:"cause"`
	Fault   *Fault    `json:"fault"`
}

// Trace is all that the ledger knows about one journey, or about one message that has none.
type Trace struct {
	Journey ID                `json:"journey"`
	State   string            `json:"state"`
	IDs     []TraceIdentifier `json:"ids"`
	Steps   []Step            `json:"steps"`
}

// TraceIdentifier is one name of a journey.
type TraceIdentifier struct {
	Partner string `json:"partner"`
	Kind    string `json:"kind"`
	Value   string `json:"value"`
}

// View chooses which form of a message `silta show` gives.
type View string

// The views of a message.
const (
	ViewRaw       View = "raw"       // the bytes that came in
	ViewCanonical View = "canonical" // the canonical Bundle
	ViewSent      View = "sent"      // the bytes that went to a partner
)

// ShowRequest asks for a body. Every one is audited.
type ShowRequest struct {
	Message  string // any id
	View     View
	Partner  string // for ViewSent
	Reason   string
	Operator string
}

// Shown is a body with what a browser or a terminal needs to know about it.
type Shown struct {
	Format string // FormatV2 or FormatFHIR
	Body   Body
}

// Stopped says what an operator's stop ended.
type Stopped struct {
	ID      ID     `json:"id"`
	Control string `json:"controlId"`
	Partner string `json:"partner,omitempty"` // the receiver; empty for a message that isn't translated
	// Unknown: an attempt was made or is under way whose outcome isn't known, so the partner may have the message.
	Unknown bool `json:"unknown"`
}

// ReprocessRequest asks that stored messages go their way again.
type ReprocessRequest struct {
	IDs      []string // any ids, each of one message
	Filter   Filter   // chooses the messages where there are no IDs; its Limit isn't read
	Map      string   // the map to use, as id@version or id; empty: as before
	Edit     *Body    // an edited copy, of the one message in IDs
	DryRun   bool     // only say what would happen
	Reason   string
	Operator string
}

// Outcome is what became of a message that was reprocessed, or, in a dry run, what would.
type Outcome string

// The outcomes. A message that fails stays as it is.
const (
	OutcomeReleased Outcome = "released" // it was held; its key goes on, under the same ids
	OutcomeQueued   Outcome = "queued"   // it is held behind an earlier message of its key, and stays there
	OutcomeReplaced Outcome = "replaced" // it was held; another stands in its place
	OutcomeSent     Outcome = "sent"     // it goes the whole way again
	OutcomeKnown    Outcome = "known"    // the same edited copy was made before: nothing is done
	OutcomeFailed   Outcome = "failed"   // see the faults
)

// Reprocessed is what became of one message.
type Reprocessed struct {
	ID      ID       `json:"id"`
	Control string   `json:"controlId"`
	Copy    ID       `json:"copy,omitempty"` // the edited copy, a message of its own
	Outcome Outcome  `json:"outcome"`
	Map     string   `json:"map,omitempty"` // id@version that reads it
	DryRun  bool     `json:"dryRun,omitempty"`
	Edited  []string `json:"edited,omitempty"` // where an edited copy differs from the message: paths
	To      []Resent `json:"to"`
	// Findings are what reading it couldn't carry, and warnings; Faults are why it failed.
	Findings Faults `json:"findings,omitempty"`
	Faults   Faults `json:"faults,omitempty"`
}

// Resent is what a receiver gets of a message that is reprocessed.
type Resent struct {
	Partner    string   `json:"partner"`
	Type       string   `json:"type"`
	Map        string   `json:"map,omitempty"` // id@version that writes it
	Control    string   `json:"controlId"`
	Generation int      `json:"generation"`
	Before     ID       `json:"before,omitempty"`  // the delivery that was made before it
	Changed    []string `json:"changed,omitempty"` // where its content differs from that of the one before: paths, without the ids that are the hub's
	Findings   Faults   `json:"findings,omitempty"`
}

// CourierState is how the way to a partner stands.
type CourierState string

// The states of a way. One that an operator paused gets no attempt at all; one that is down is probed.
const (
	CourierLive   CourierState = "live"
	CourierPaused CourierState = "paused"
	CourierDown   CourierState = "down"
	CourierNone   CourierState = "none" // the contract has no courier
)

// PartnerRow is a partner as the operator sees it.
type PartnerRow struct {
	ID      string       `json:"id"`
	Title   Title        `json:"title"`
	State   CourierState `json:"state"`
	Pause   *Pause       `json:"pause,omitempty"`
	Waiting int          `json:"waiting"` // messages that it gets, or sent, and that wait; counted up to PartnerRowMost
	Parked  int          `json:"parked"`  // the same of those that are parked
	Lag     int64        `json:"lag"`     // records for its courier that nobody has finished
}

// PartnerRowMost is how far a PartnerRow counts.
const PartnerRowMost = 10000

// Readiness says what the hub lacks to take messages; nothing missing means ready. What is degraded or paused doesn't
// hinder that: messages wait for it. Each line says what to do.
type Readiness struct {
	Missing  []string `json:"missing"`
	Degraded []string `json:"degraded"` // what doesn't work, while messages are taken all the same
	Paused   []string `json:"paused"`   // partners that get nothing now: they don't answer, or an operator said so
	Warnings []string `json:"warnings"` // what will be missing if nobody acts: a full disk, a certificate that expires
}

// Reloaded is what a reload of the configuration did.
type Reloaded struct {
	Partners int      `json:"partners"` // contracts there are now
	Changed  []string `json:"changed"`  // partners that are new, gone, or have another contract or token
}

// Backup is a copy of the embedded files.
type Backup struct {
	Dir   string    `json:"dir"` // the folder, on the hub's machine
	At    time.Time `json:"at"`  // everything that was acknowledged before is in it
	Files int       `json:"files"`
	Bytes int64     `json:"bytes"`
}

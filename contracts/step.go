package contracts

import "time"

// State is where a message stands.
type State string

// The states. A message for several receivers shows the least advanced.
const (
	StateReceived   State = "received"
	StateTranslated State = "translated"
	StateSending    State = "sending"
	StateDelivered  State = "delivered"
	StateWaiting    State = "waiting"
	StateParked     State = "parked"
	StateRefused    State = "refused"
	StateStopped    State = "stopped"
)

// Kinds of step.
const (
	StepReceived    = "received"
	StepRefused     = "refused"
	StepRepeated    = "repeated" // the sender sent the same bytes again
	StepCorrelated  = "correlated"
	StepBehind      = "behind" // of a merge: what came before it under the merged identity is known by now
	StepTranslated  = "translated"
	StepReaddress   = "readdress"
	StepSending     = "sending"
	StepDelivered   = "delivered"
	StepRetried     = "retried"
	StepWaiting     = "waiting"
	StepParked      = "parked"
	StepStopped     = "stopped"
	StepReleased    = "released"
	StepReprocessed = "reprocessed"
	StepShown       = "shown"     // an operator looked at a body
	StepPaused      = "paused"    // an operator's word about a partner, not about a message
	StepResumed     = "resumed"   // likewise
	StepActivated   = "activated" // an operator's word about a map
	StepClosed      = "closed"    // an operator's word about an issue, whose fault it shows
)

// Step records one thing that was done to a message. Its id is derived, so writing it twice leaves one.
type Step struct {
	ID      ID        `json:"-"`
	At      time.Time `json:"at"`
	Journey ID        `json:"-"`
	Message ID        `json:"message"`
	Control string    `json:"controlId,omitempty"`
	Type    string    `json:"type,omitempty"`
	Step    string    `json:"step"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Map     string    `json:"map,omitempty"`     // id@version
	Attempt int       `json:"attempt,omitempty"` // of a delivery
	Answer  string    `json:"answer,omitempty"`  // MSA-1 or HTTP status
	Digest  Digest    `json:"digest,omitempty"`  // of the body that this step is about
	Fault   *Fault    `json:"fault,omitempty"`
	Other   ID        `json:"other,omitempty"`    // of a reprocessing: the message or delivery that this one was made from, or that was made of it
	Reason  string    `json:"reason,omitempty"`   // an operator's own words
	Losses  Faults    `json:"findings,omitempty"` // what a translation could not carry, and warnings
}

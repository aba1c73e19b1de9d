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

// Readiness says what the hub lacks to take messages; no line means ready. A paused partner doesn't hinder that: what
// is for it waits.
type Readiness struct {
	Missing []string `json:"missing"`
	Paused  []string `json:"paused"` // partners that don't answer
}

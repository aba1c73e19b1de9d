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

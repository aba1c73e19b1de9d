// Package mllp carries HL7 v2 messages over TCP in the Minimal Lower Layer Protocol: a Door takes a partner's
// messages in, a Courier takes ours to a partner, and a Reader and WriteFrame are the framing under both.
//
// What a sender can rely on: a frame is answered only when the Receiver has given its receipt, which it does when the
// bytes are durable. If it can't, there is no answer and the connection closes, so the sender keeps its message. A
// frame that was cut off is dropped; nobody was told that it came.
//
// What the hub can rely on: a Courier never takes an acknowledgement for another message than the one whose control
// id it carries, and after a time-out it closes the connection, so that a late answer can't meet the next message.
// It tries once; trying again is the hub's.
//
// Sources: HL7 "Transport Specification: MLLP", release 1 and release 2; HL7 v2.5.1, chapter 2, sections 2.9.2 and
// 2.9.3 (acknowledgement modes).
package mllp

import (
	"time"
)

// The bytes of a frame: startBlock, content, endBlock, carriageReturn.
const (
	startBlock     = 0x0b
	endBlock       = 0x1c
	carriageReturn = 0x0d
)

// The content of a commit acknowledgement (release 2): one byte.
const (
	commitAck  = 0x06
	commitNack = 0x15
)

// Release is a release of the protocol. Release 1 has frames only; in release 2 a receiver answers each frame with a
// commit acknowledgement once it is stored, before any acknowledgement that HL7 asks for.
type Release int

// The releases.
const (
	Release1 Release = 1
	Release2 Release = 2
)

// The codes of this package's faults. They are stable; docs list them.
const (
	CodeTooLarge     = "MLLP-001"
	CodeNoConnection = "MLLP-010"
	CodeNotWritten   = "MLLP-011"
	CodeNoAnswer     = "MLLP-012"
	CodeForeign      = "MLLP-013"
	CodeUnreadable   = "MLLP-014"
	CodeNack         = "MLLP-015"
	CodeClosed       = "MLLP-016"
	CodeRefused      = "MLLP-020"
	CodeConflict     = "MLLP-021"
	CodeFraming      = "MLLP-022"
	CodeNotAsked     = "MLLP-023"
)

// Codes lists every fault code of this package with its meaning and what to do, in order.
var Codes = []struct{ Code, Meaning string }{
	{CodeTooLarge, "A frame is larger than the door takes. Its beginning is kept. Raise maxBytes in the partner's contract, or have the sender split or shrink its attachments."},
	{CodeNoConnection, "The partner's listener can't be reached. Nothing was sent. Check its address, and whether it runs."},
	{CodeNotWritten, "The connection broke while the message was being written. What the partner got of it is no whole message, or unknown."},
	{CodeNoAnswer, "The message was written, and no acknowledgement came in time or the connection closed before it. Whether the partner has the message is unknown; it is sent again with the same control id."},
	{CodeForeign, "The acknowledgement that came names another message (MSA-2) and was not taken. The connection was closed; the message is sent again with the same control id."},
	{CodeUnreadable, "What came back is no acknowledgement. The connection was closed; the message is sent again with the same control id."},
	{CodeNack, "The partner answered that it could not store the message (MLLP release 2). It is sent again."},
	{CodeClosed, "The hub is stopping. The message is sent again when it runs."},
	{CodeRefused, "The partner refused the message (MSA-1 AE, AR, CE or CR). ERR-3 in the text says what it objects to. Correct the cause and send it again."},
	{CodeConflict, "The partner says that it knows another message under this control id (ERR-3 205), though no attempt of ours was left unanswered. Compare both at the partner."},
	{CodeFraming, "The message holds the byte 0B or 1C, which MLLP uses for framing. It must be escaped (\\X0B\\, \\X1C\\)."},
	{CodeNotAsked, "The message asks for no acknowledgement at all (MSH-15 and MSH-16), so its delivery could never be known. Correct the map."},
}

// Limits that no contract changes.
const (
	kept           = 64 << 10               // how much of a too large frame is kept
	trailingGrace  = 250 * time.Millisecond // how long an end block waits for its carriage return
	maxAnswer      = 1 << 20                // bytes of one acknowledgement
	lingerStopping = 500 * time.Millisecond // a stopping door's wait for a sender to close
	receiveWithin  = 30 * time.Second       // the receiver's word; few senders wait longer
)

// Option changes how a Door or a Courier works.
type Option func(*options)

type options struct {
	release     Release
	connections int
	junk        int
	drain       time.Duration
	write       time.Duration
}

func newOptions(connections int, opts []Option) options {
	o := options{release: Release1, connections: connections, junk: 1 << 20, drain: 10 * time.Second, write: 30 * time.Second}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithRelease chooses the protocol's release; the default is Release1.
func WithRelease(r Release) Option { return func(o *options) { o.release = r } }

// WithConnections limits how many connections there are at once: 200 at a door, 1 for a courier.
func WithConnections(n int) Option { return func(o *options) { o.connections = n } }

// WithJunk limits the bytes before a start block (1 MB). A connection that sends more is closed.
func WithJunk(bytes int) Option { return func(o *options) { o.junk = bytes } }

// WithDrain limits how long a door that stops waits for the frames in flight (10 s).
func WithDrain(d time.Duration) Option { return func(o *options) { o.drain = d } }

// Package mllp carries HL7 v2 messages over TCP in the Minimal Lower Layer Protocol: a Door takes a partner's
// messages in, a Courier takes ours to a partner, and a Reader and WriteFrame are the framing under both.
//
// What a sender can rely on: a frame is answered only when the Receiver has given its receipt, which it does when the
// bytes are durable. If it can't, there is no answer and the connection closes, so the sender keeps its message. A
// frame that was cut off is dropped; nobody was told that it came. Of a frame with several messages, each is answered
// by itself, unless the contract says otherwise.
//
// What the hub can rely on: a Courier never takes an acknowledgement for another message than the one whose control
// id it carries, and after a time-out it closes the connection, so that a late answer can't meet the next message.
// It tries once; trying again is the hub's. Several connections, or several messages in flight on one, put no lane out
// of order, since the hub calls Deliver for a lane's next message when the last call has returned.
//
// Both speak TLS where the contract says so, and read its files again when they change; open connections stay.
//
// Sources: HL7 "Transport Specification: MLLP", release 1 and release 2; HL7 v2.5.1, chapter 2, sections 2.9.2 and
// 2.9.3 (acknowledgement modes).
package mllp

import (
	"time"

	"github.com/hoitosilta/silta/contracts/hl7v2"
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

// release2 is the release of the protocol in which a receiver answers each frame with a commit acknowledgement once it
// is stored, before any acknowledgement that HL7 asks for. Release 1 has frames only.
const release2 = 2

// The codes of this package's faults. They are stable; docs list them.
const (
	CodeTooLarge     = "MLLP-001"
	CodeTooMany      = "MLLP-002"
	CodeSeveral      = "MLLP-003"
	CodeNoConnection = "MLLP-010"
	CodeNotWritten   = "MLLP-011"
	CodeNoAnswer     = "MLLP-012"
	CodeForeign      = "MLLP-013"
	CodeUnreadable   = "MLLP-014"
	CodeNack         = "MLLP-015"
	CodeClosed       = "MLLP-016"
	CodeNoTrust      = "MLLP-017"
	CodeNotApplied   = "MLLP-018"
	CodeRefused      = "MLLP-020"
	CodeConflict     = "MLLP-021"
	CodeFraming      = "MLLP-022"
	CodeNotAsked     = "MLLP-023"
	CodeNoFile       = "MLLP-030"
	CodeOpenKey      = "MLLP-031"
	CodeBrokenFile   = "MLLP-032"
)

// Codes lists every fault code of this package with its meaning and what to do, in order.
var Codes = []struct{ Code, Meaning string }{
	{CodeTooLarge, "A frame is larger than the door takes. Its beginning is kept. Raise maxBytes in the partner's contract, or have the sender split or shrink its attachments."},
	{CodeTooMany, "A frame holds more messages than the door takes, so none of it was received. The frame is kept. Raise maxMessages in the partner's contract, or have the sender make smaller batches."},
	{CodeSeveral, "A frame holds several messages or a batch, and the partner's contract refuses those (several: refuse). The frame is kept. Have the sender send one message a frame, or change the contract."},
	{CodeNoConnection, "The partner's listener can't be reached. Nothing was sent. Check its address, and whether it runs."},
	{CodeNotWritten, "The connection broke while the message was being written. What the partner got of it is no whole message, or unknown."},
	{CodeNoAnswer, "The message was written, and no acknowledgement came in time or the connection closed before it. Whether the partner has the message is unknown; it is sent again with the same control id."},
	{CodeForeign, "The acknowledgement that came names another message (MSA-2) and was not taken. The connection was closed; the message is sent again with the same control id."},
	{CodeUnreadable, "What came back is no acknowledgement. The connection was closed; the message is sent again with the same control id."},
	{CodeNack, "The partner answered that it could not store the message (MLLP release 2). It is sent again."},
	{CodeClosed, "The hub is stopping. The message is sent again when it runs."},
	{CodeNoTrust, "TLS with the partner failed: its certificate isn't signed by caFile, doesn't hold the server's name or has expired, or it refused ours. The text says which. Nothing was sent, unless the text says otherwise."},
	{CodeNotApplied, "The partner has the message (CA), but its application's acknowledgement didn't come in time. It is sent again with the same control id. Raise answer, or take the accept acknowledgement for delivered."},
	{CodeRefused, "The partner refused the message (MSA-1 AE, AR, CE or CR). ERR-3 in the text says what it objects to. Correct the cause and send it again."},
	{CodeConflict, "The partner says that it knows another message under this control id (ERR-3 205), though no attempt of ours was left unanswered. Compare both at the partner."},
	{CodeFraming, "The message holds the byte 0B or 1C, which MLLP uses for framing. It must be escaped (\\X0B\\, \\X1C\\)."},
	{CodeNotAsked, "The message asks for no acknowledgement at all (MSH-15 and MSH-16), so its delivery could never be known. Correct the map."},
	{CodeNoFile, "A file that TLS needs can't be read. Check its path in the partner's contract, and who may read it."},
	{CodeOpenKey, "A private key may be read by others than its owner. Set its mode to 0600."},
	{CodeBrokenFile, "A file that TLS needs holds no certificate or key in PEM, or the key isn't the certificate's."},
}

// Limits that no contract changes.
const (
	kept            = 64 << 10               // how much of a too large frame is kept
	trailingGrace   = 250 * time.Millisecond // how long an end block waits for its carriage return
	maxAnswer       = 1 << 20                // bytes of one acknowledgement
	lingerStopping  = 500 * time.Millisecond // a stopping door's wait for a sender to close
	receiveWithin   = 30 * time.Second       // the receiver's word; few senders wait longer
	writeWithin     = 30 * time.Second       // for a sender to take its acknowledgement
	handshakeWithin = 10 * time.Second       // TLS, at a door
	silentEnough    = 5 * time.Second        // between frames: a full door may close such a connection for another
)

// Option changes how a Door works beside its contract.
type Option func(*options)

type options struct {
	junk  int
	drain time.Duration
	offer func(hl7v2.Acknowledgement) bool
}

func newOptions(opts []Option) options {
	o := options{junk: 1 << 20, drain: 10 * time.Second}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithJunk limits the bytes before a start block (1 MB). A connection that sends more is closed.
func WithJunk(bytes int) Option { return func(o *options) { o.junk = bytes } }

// WithDrain limits how long a door that stops waits for the frames in flight (10 s).
func WithDrain(d time.Duration) Option { return func(o *options) { o.drain = d } }

// WithAcknowledgements offers each message of type ACK or MCF to taken, such as Courier.Offer, when the Receiver has it.
// One that is taken is accepted, if it asks for that, whatever the receipt says.
func WithAcknowledgements(taken func(hl7v2.Acknowledgement) bool) Option {
	return func(o *options) { o.offer = taken }
}

// Package fhirrest carries FHIR R4 messages over HTTP: a Door takes partners' `POST …/$process-message` in and tells each
// of them what it may send and gets (`GET …/metadata` and the definitions behind it), a Courier posts ours to a partner.
//
// What a sender can rely on: 200 is answered only when the Receiver has given its receipt, which it does when the
// bytes are durable, and a repeat gets the same answer. If they can't be kept, the answer is 503 with Retry-After, so
// the sender keeps its message. Every answer to a message, and every refusal, carries an OperationOutcome.
//
// What the hub can rely on: a Courier sends each parcel once a call, always with the same bytes and Idempotency-Key,
// and says when the partner may have processed a request whose answer was lost. Trying again is the hub's: its
// attempts are rows in the ledger that survive a crash. That is why net/http stands here and no client that retries
// by itself, such as go-retryablehttp: a hidden second attempt could meet the first one's 409 and be taken for a
// conflict.
//
// Sources: FHIR R4 (4.0.1), "RESTful API", "Messaging using FHIR Resources", "MessageHeader $process-message"; RFC 9110;
// W3C Trace Context.
package fhirrest

import "time"

// operation is the last part of the path of what Door and Courier speak.
const (
	operationName = "process-message"
	operation     = "$" + operationName
)

// mediaType is FHIR's JSON.
const mediaType = "application/fhir+json"

// The codes of this package's faults. They are stable; docs list them.
const (
	CodeTooLarge     = "REST-001"
	CodeNoToken      = "REST-002"
	CodeMediaType    = "REST-003"
	CodeAccept       = "REST-004"
	CodeMethod       = "REST-005"
	CodePath         = "REST-006"
	CodeIncomplete   = "REST-007"
	CodeTrouble      = "REST-008"
	CodeQuery        = "REST-009"
	CodeNoConnection = "REST-010"
	CodeNoAnswer     = "REST-011"
	CodeBusy         = "REST-012"
	CodeServer       = "REST-013"
	CodeCredentials  = "REST-014"
	CodeNoTrust      = "REST-015"
	CodeRefused      = "REST-020"
	CodeConflict     = "REST-021"
	CodeNoService    = "REST-022"
	CodeRedirect     = "REST-023"
	CodeDefinitions  = "REST-030"
)

// Codes lists every fault code of this package with its meaning and what to do, in order.
var Codes = []struct{ Code, Meaning string }{
	{CodeTooLarge, "A request is larger than the door takes. Its beginning is kept. Raise maxBytes in the partner's contract, or have the sender send less at once."},
	{CodeNoToken, "The request carries no bearer token, or one that no contract knows. Compare the sender's token with the file that its contract names."},
	{CodeMediaType, "The request isn't FHIR R4 in JSON (application/fhir+json) in UTF-8 and unpacked. XML isn't taken."},
	{CodeAccept, "The sender takes no JSON as an answer."},
	{CodeMethod, "The address isn't for this method: messages come by POST, all else is read by GET. Allow says which."},
	{CodePath, "Nothing is at this address, or nothing that the sender's contract shows. Messages go to $process-message; metadata lists what can be read."},
	{CodeIncomplete, "The request's body didn't arrive whole, or not in time. Nothing was kept; send it again."},
	{CodeTrouble, "The hub can't keep the message now. Nothing was accepted; send it again later."},
	{CodeQuery, "What is asked of the door's definitions can't be read: an unknown mode, a modifier, or with `Prefer: handling=strict` an unknown parameter. The capability statement lists the parameters."},
	{CodeNoConnection, "The partner's server can't be reached; nothing was sent. Check its address, and whether it runs."},
	{CodeNoAnswer, "The request was sent, and no whole answer came. Whether the partner has the message is unknown; it is sent again with the same Idempotency-Key."},
	{CodeBusy, "The partner asks to be spared for a while (429). The message is sent again when it said, or by the contract's retry."},
	{CodeServer, "The partner's server has trouble (5xx, 408 or 425). The message is sent again with the same Idempotency-Key."},
	{CodeCredentials, "The partner doesn't know our token (401, or 407 from a proxy). That concerns every message to it, so they wait; correct the token file, and they flow."},
	{CodeNoTrust, "TLS with the partner failed: its certificate isn't signed by an authority that this machine trusts, doesn't hold the server's name or has expired. The text says which. Nothing was sent."},
	{CodeRefused, "The partner refused the message (4xx, or a fatal OperationOutcome). The text says with which issue codes. Correct the cause and send it again."},
	{CodeConflict, "The partner says that it knows another message under this id (409), though no attempt of ours was left unanswered. Compare both at the partner."},
	{CodeNoService, "The partner has no $process-message at this address (404, 405 or 410). Correct the courier's url in its contract."},
	{CodeRedirect, "The partner redirects to another address. That isn't followed, because the message would go where no contract says. Correct the courier's url."},
	{CodeDefinitions, "The build lacks the definitions that the FHIR door shows. Take another build."},
}

// Limits that no contract changes.
const (
	kept           = 64 << 10         // how much of a too large request is kept
	maxBytes       = 32 << 20         // of one request, where the contract has no limit
	strangersBytes = 4 << 20          // of a refused request that are read and dropped
	maxAnswer      = 1 << 20          // bytes of a partner's answer that are read
	maxRetryAfter  = 24 * time.Hour   // the longest pause that a partner can ask for
	connectWithin  = 10 * time.Second // a connection to a partner, TLS included
)

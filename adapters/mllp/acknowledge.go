package mllp

import (
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// acknowledge appends the answer to a message that was kept, or nothing where none is due: no MSH to answer to, a
// sender who asks for none, or a message that is an acknowledgement itself.
//
// It depends on nothing but MSH and the receipt, so a repeat, whose receipt has the first one's id and time, gets the
// same bytes. Whether the message is at fault, the receipt says.
func acknowledge(dst []byte, partner string, header *hl7v2.Header, receipt contracts.Receipt) []byte {
	if header == nil {
		return dst
	}
	code, due := header.Reply(outcome(receipt.Fault))
	if !due {
		return dst
	}
	answer := hl7v2.Answer{Code: code, ControlID: ownControl(partner, receipt), Time: receipt.At.UTC()}
	if receipt.Fault != nil {
		answer.Faults = contracts.Faults{receipt.Fault}
	}
	return hl7v2.AppendAcknowledge(dst, header, answer)
}

// acceptAcknowledgement appends the answer to an application acknowledgement that reached whom it is for: an accept
// acknowledgement, if it asks for one, and nothing in original mode.
func acceptAcknowledgement(dst []byte, partner string, header *hl7v2.Header, at time.Time) []byte {
	if !header.AcceptDue(hl7v2.Accepted) {
		return dst
	}
	own := contracts.DerivedID("acknowledgement/accept", partner, string(header.Raw(10)), at.UTC().Format(time.RFC3339Nano)).Control()
	return hl7v2.AppendAcknowledge(dst, header, hl7v2.Answer{Code: "CA", ControlID: own, Time: at.UTC()})
}

// outcome says whether a refusal is one of the message as such, or of its content. Beside what MSH alone shows, all
// that has to do with who sends, under which id, and how much, is of the message as such.
func outcome(f *contracts.Fault) hl7v2.Outcome {
	if f == nil {
		return hl7v2.Accepted
	}
	switch f.Kind {
	case contracts.Denied, contracts.Unroutable, contracts.Conflict, contracts.Refused:
		return hl7v2.Rejected
	}
	return hl7v2.OutcomeOf(f)
}

// ownControl is the acknowledgement's own MSH-10. Bytes that made no message have no id to derive it from, but a time.
func ownControl(partner string, r contracts.Receipt) string {
	if r.ID == "" {
		return contracts.DerivedID("acknowledgement", partner, r.Control, r.At.UTC().Format(time.RFC3339Nano)).Control()
	}
	return contracts.DerivedID("acknowledgement", string(r.ID)).Control()
}

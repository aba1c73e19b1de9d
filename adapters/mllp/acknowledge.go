package mllp

import (
	"bytes"
	"fmt"
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
	return writable(hl7v2.AppendAcknowledge(dst, header, answer), len(dst))
}

// acceptAcknowledgement appends the answer to an application acknowledgement that reached whom it is for: an accept
// acknowledgement, if it asks for one, and nothing in original mode.
func acceptAcknowledgement(dst []byte, partner string, header *hl7v2.Header, at time.Time) []byte {
	if !header.AcceptDue(hl7v2.Accepted) {
		return dst
	}
	own := contracts.DerivedID("acknowledgement/accept", partner, string(header.Raw(10)), at.UTC().Format(time.RFC3339Nano)).Control()
	return writable(hl7v2.AppendAcknowledge(dst, header, hl7v2.Answer{Code: "CA", ControlID: own, Time: at.UTC()}), len(dst))
}

// echoed are the fields of MSH that an acknowledgement repeats as they came.
var echoed = [...]int{10, 3, 4, 5, 6, 9, 11, 12, 18, 21}

// unwritable finds a byte that framing uses in a field which the acknowledgement would repeat: MSA-2 is MSH-10 byte for
// byte, so such a message can't be answered truly. It is refused, so that its sender hears of it and of the others in
// its frame; the field stays empty in the refusal.
func unwritable(body []byte, header *hl7v2.Header) *contracts.Fault {
	if header == nil || bytes.IndexByte(body, endBlock) < 0 && bytes.IndexByte(body, startBlock) < 0 {
		return nil
	}
	for _, n := range echoed {
		if bytes.ContainsAny(header.Raw(n), framing) {
			return &contracts.Fault{Kind: contracts.Malformed, Code: CodeFraming, At: fmt.Sprintf("MSH-%d", n), ErrorCode: "102",
				Public: "The field holds a byte that MLLP uses for framing; it must be escaped. What the acknowledgement would repeat of it stays empty."}
		}
	}
	return nil
}

const framing = "\x0b\x1c"

// writable takes the fields that can't be in a frame out of what answers, which begins at from. A field goes whole: what
// is left of an id could be another's.
func writable(out []byte, from int) []byte {
	if !bytes.ContainsAny(out[from:], framing) {
		return out
	}
	answer := bytes.Clone(out[from:])
	out = out[:from]
	for segment := range bytes.SplitAfterSeq(answer, []byte{'\r'}) {
		if !bytes.ContainsAny(segment, framing) {
			out = append(out, segment...)
			continue
		}
		separator := segment[3:4]
		fields := bytes.Split(bytes.TrimSuffix(segment, []byte{'\r'}), separator)
		for i, field := range fields {
			if !bytes.ContainsAny(field, framing) {
				continue
			}
			fields[i] = nil
			if i == 8 && bytes.HasPrefix(segment, []byte("MSH")) {
				fields[i] = []byte("ACK") // MSH-9: the event was the message's, the type is ours
			}
		}
		out = append(append(out, bytes.TrimRight(bytes.Join(fields, separator), string(separator))...), '\r')
	}
	return out
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

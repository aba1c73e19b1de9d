package mllp

import (
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// duplicate is "duplicate key identifier" of table 0357.
const duplicate = "205"

// judge turns the parcel's own acknowledgement into what became of it.
func judge(ack hl7v2.Acknowledgement, p contracts.Parcel) (contracts.Answer, error) {
	answer := contracts.Answer{Code: ack.Code}
	rejected := ack.Code == "AR" || ack.Code == "CR"
	switch {
	case ack.Accepted():
		return answer, nil
	case rejected && ack.HasError(duplicate) && p.Repeat:
		return answer, nil // the attempt before had arrived
	case rejected && ack.HasError(duplicate):
		return answer, &contracts.Fault{Kind: contracts.Conflict, Code: CodeConflict, At: "MSH-10", ErrorCode: duplicate,
			Public: "The partner knows another message under this control id (" + ack.Code + ", ERR-3 205). Compare both at the partner."}
	}
	fault := &contracts.Fault{Kind: contracts.Refused, Code: CodeRefused, Public: "The partner refused the message with " + ack.Code + objections(ack) + "."}
	if len(ack.Errors) > 0 {
		fault.At, fault.ErrorCode = ack.Errors[0].At, ack.Errors[0].Code
	}
	return answer, fault
}

// objections lists the codes and places of ERR. Its texts stay out: a partner's text may hold a person's data.
func objections(ack hl7v2.Acknowledgement) string {
	const most = 5
	var list []string
	for i, e := range ack.Errors {
		if i == most {
			list = append(list, "and more")
			break
		}
		said := "ERR-3 " + e.Code
		if e.At != "" {
			said += " at " + e.At
		}
		list = append(list, said)
	}
	if list == nil {
		return ", without an error code"
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// hint names a likely reason for silence. Servers built on HAPI take every message with an MSA for an acknowledgement
// and drop it, unless they were told to accept all.
func hint(p contracts.Parcel) string {
	header, _ := hl7v2.Scan(p.Body.Bytes())
	if header == nil || !header.Get(hl7v2.Path{Segment: "MSA", Field: 1}).IsFilled() {
		return ""
	}
	return " The message carries an MSA: servers that take it for an acknowledgement drop it without an answer (HAPI does, unless set to accept all messages)."
}

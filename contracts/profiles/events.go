package profiles

import (
	"slices"
	"strings"
)

// Answers says whether an event answers what somebody else sent, and so belongs to a journey that is there already.
func Answers(event string) bool {
	return IsResponse(event) || event == Appointment || event == Feedback
}

// IsResponse says whether an event is a decision on a referral.
func IsResponse(event string) bool { return strings.HasPrefix(event, "response-") }

// IsEvent says whether a coding is one of Events. Without a system it is taken for one of ours: the sender speaks to us.
func IsEvent(system, code string) bool {
	return (system == "" || system == URL(EventSystem)) && slices.Contains(Events(), code)
}

// Focus is the type of the resource that a message of an event is about: what MessageHeader.focus leads to.
func Focus(event string) string {
	switch event {
	case Appointment:
		return "Appointment"
	case Feedback:
		return "DocumentReference"
	case PatientChange, Merge:
		return "Patient"
	case Result:
		return "DiagnosticReport"
	}
	return "Task"
}

// V2Types are the HL7 v2 message types that can carry an event; none where v2 has none.
func V2Types(event string) []string {
	switch {
	case event == Request:
		return []string{"REF^I12", "OMG^O19"}
	case event == Update:
		return []string{"REF^I13", "OMG^O19"}
	case event == Cancel:
		return []string{"REF^I14", "OMG^O19"}
	case event == StatusQuery:
		return []string{"REF^I15"}
	case IsResponse(event):
		return []string{"RRI^I12", "RRI^I13", "RRI^I14", "RRI^I15"}
	case event == Appointment:
		return []string{"SIU^S12", "SIU^S13", "SIU^S14", "SIU^S15", "SIU^S16", "SIU^S17", "SIU^S26"}
	case event == Feedback:
		return []string{"MDM^T02"}
	case event == PatientChange:
		return []string{"ADT^A01", "ADT^A04", "ADT^A08", "ADT^A28", "ADT^A31"}
	case event == Merge:
		return []string{"ADT^A40"}
	case event == Result:
		return []string{"ORU^R01"}
	}
	return nil
}

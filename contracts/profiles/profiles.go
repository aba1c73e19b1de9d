// Package profiles names what Silta adds to FHIR R4: its code systems, its extensions, and the canonical referral
// message (README.md), with the definitions themselves as FHIR JSON and an example of each event.
package profiles

import (
	"bytes"
	"embed"
	"slices"
)

// Base is the base URL of our own code systems and extensions. A build sets another one with
//
//	-ldflags "-X github.com/hoitosilta/silta/contracts/profiles.Base=https://example.org/fhir"
//
// The definitions in Files are written with the default.
var Base = DefaultBase

// DefaultBase is Base unless the build says otherwise.
const DefaultBase = "https://github.com/hoitosilta/silta/fhir"

// The names under Base of our code systems.
const (
	EventSystem          = "/CodeSystem/event"
	BusinessStatusSystem = "/CodeSystem/business-status"
	StatusReasonSystem   = "/CodeSystem/status-reason"
	FaultSystem          = "/CodeSystem/fault" // the codes of faults, listed in docs: FHIR-012
	RuleSystem           = "/CodeSystem/rule"  // the rules that faults name: pat-1 of the specification, or a profile's
)

// The names under Base of our extensions.
const (
	TriggerEvent = "/StructureDefinition/trigger-event" // on MessageHeader: valueCoding, the v2 trigger beside the event
	ControlID    = "/StructureDefinition/control-id"    // on MessageHeader.response: valueString, a control id that is no FHIR id
	ExplicitNull = "/StructureDefinition/explicit-null" // on an element: valueBoolean true, the sender deletes the value
	Residue      = "/StructureDefinition/residue"       // on MessageHeader: valueString, what no rule of a map read
)

// URL is one of the names above as a whole URL.
func URL(name string) string { return Base + name }

// Code systems of HL7 that the canonical message uses.
const (
	V2Events      = "http://terminology.hl7.org/CodeSystem/v2-0003"
	V2Identifiers = "http://terminology.hl7.org/CodeSystem/v2-0203"
)

// The types of a referral's identifiers, codes of V2Identifiers.
const (
	Placer = "PLAC" // given by who refers
	Filler = "FILL" // given by who receives
)

// The codes of EventSystem: what a message means.
const (
	Request                      = "request"
	Update                       = "update"
	Cancel                       = "cancel"
	StatusQuery                  = "status-query"
	ResponseAccepted             = "response-accepted"
	ResponseReturned             = "response-returned"
	ResponseRejected             = "response-rejected"
	ResponseTransferred          = "response-transferred"
	ResponseInformationRequested = "response-information-requested"
	Appointment                  = "appointment"
	Feedback                     = "feedback"
	Contact                      = "contact"
	PatientChange                = "patient"
	Merge                        = "merge"
	Result                       = "result"
)

// Events are all codes of EventSystem.
func Events() []string {
	return []string{Request, Update, Cancel, StatusQuery, ResponseAccepted, ResponseReturned, ResponseRejected,
		ResponseTransferred, ResponseInformationRequested, Appointment, Feedback, Contact, PatientChange, Merge, Result}
}

// ForEvent is the canonical URL of the profile that a message of this event must meet; empty for a code that is no event.
// Messages don't carry it in meta.profile: the event alone says which it is.
func ForEvent(event string) string {
	if !slices.Contains(Events(), event) {
		return ""
	}
	return URL("/StructureDefinition/silta-message-" + event)
}

// The codes of BusinessStatusSystem: where a referral stands. The first four are those of HL7 table 0283 (RF1-1 P, A,
// R, E); the others refine them for partners that speak FHIR.
const (
	Pending               = "pending"
	Accepted              = "accepted"
	Declined              = "declined"
	Expired               = "expired"
	Arrived               = "arrived"
	AwaitingInformation   = "awaiting-information"
	Transferred           = "transferred"
	VisitScheduled        = "visit-scheduled"
	NoShow                = "no-show"
	VisitCancelled        = "visit-cancelled"
	VisitComplete         = "visit-complete"
	ConsultationAnswered  = "consultation-answered"
	CancellationRequested = "cancellation-requested"
	Cancelled             = "cancelled"
	Complete              = "complete"
)

// The codes of StatusReasonSystem: why a Task has its status.
const (
	Incomplete                = "incomplete"
	NotIndicated              = "not-indicated"
	ReasonTransferred         = "transferred"
	ReasonAwaitingInformation = "awaiting-information"
)

// Files holds the definitions (definitions/*.json: StructureDefinition without a snapshot, ValueSet, CodeSystem) and
// one message Bundle for each event (examples/*.json, named for the event).
//
//go:embed definitions/*.json examples/*.json
var Files embed.FS

// Read gives one of Files with Base where the file has DefaultBase.
func Read(name string) ([]byte, error) {
	b, err := Files.ReadFile(name)
	return bytes.ReplaceAll(b, []byte(DefaultBase), []byte(Base)), err
}

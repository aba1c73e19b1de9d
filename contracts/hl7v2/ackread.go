package hl7v2

import (
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// Acknowledgement is what an answer says, without any text, since a partner's text may hold a person's data.
type Acknowledgement struct {
	Code      string              // MSA-1: AA, AE, AR, CA, CE or CR
	ControlID string              // MSA-2, as one text: the MSH-10 of the message that it answers
	Errors    []AcknowledgedError // two hundred at most
}

// AcknowledgedError is one error that an acknowledgement reports.
type AcknowledgedError struct {
	Code     string // ERR-3.1, or ERR-1.4.1 in older versions: table 0357
	At       string // ERR-2 or ERR-1 as a place: PID-3(1).1; empty if it names none
	Severity string // ERR-4: E, W, I or F
}

// Accepted says whether the code is AA or CA.
func (a Acknowledgement) Accepted() bool { return a.Code == "AA" || a.Code == "CA" }

// HasError says whether the acknowledgement reports this code of table 0357.
func (a Acknowledgement) HasError(code string) bool {
	return slices.ContainsFunc(a.Errors, func(e AcknowledgedError) bool { return e.Code == code })
}

// ReadAcknowledgement reads an answer. It is a fault of kind malformed, HL7-060, if its type is neither ACK nor MCF,
// or MSA is missing or has an unknown code. The caller compares ControlID with what it sent: an answer to an earlier
// message may come late.
func ReadAcknowledgement(b []byte, opts ...Option) (Acknowledgement, error) {
	h, err := Scan(b, opts...)
	if h == nil {
		return Acknowledgement{}, err
	}
	if !h.IsAcknowledgement() {
		return Acknowledgement{}, contracts.Faultf(contracts.Malformed, CodeNotAnAck, "MSH-9",
			"The answer's type isn't ACK. Some receivers drop or answer wrongly what carries an MSA, such as an RRI.")
	}
	return h.acknowledgement()
}

func (h *Header) acknowledgement() (Acknowledgement, error) {
	var a Acknowledgement
	for i, s := range h.m.Segments() {
		if i > 0 && s.Is("MSH") {
			break // another message: what it says isn't about this one
		}
		switch {
		case s.Is("MSA") && a.Code == "":
			a.Code, a.ControlID = s.Field(1).Text(), h.m.wholeText(s.Field(2).Raw())
		case s.Is("ERR") && len(a.Errors) < maxFaults:
			a.Errors = append(a.Errors, s.acknowledgedErrors()...)
		}
	}
	a.Errors = a.Errors[:min(len(a.Errors), maxFaults)]
	switch a.Code {
	case "AA", "AE", "AR", "CA", "CE", "CR":
	default:
		return Acknowledgement{}, contracts.Faultf(contracts.Malformed, CodeNotAnAck, "MSA-1",
			"The acknowledgement has no MSA, or MSA-1 isn't in table 0008.")
	}
	return a, nil
}

// acknowledgedErrors reads ERR in the form of version 2.5, else ERR-1 of the older ones.
func (s Segment) acknowledgedErrors() (list []AcknowledgedError) {
	if code := s.Field(3).Text(); code != "" {
		return []AcknowledgedError{{
			Code: knownCode(code), At: readLocation(s.Field(2).At(1), 6), Severity: knownSeverity(s.Field(4).Text()),
		}}
	}
	for _, rep := range s.Field(1).All() {
		e := AcknowledgedError{Code: knownCode(rep.At(4).Text()), Severity: "E"}
		if e.Code != "" && len(list) < maxFaults {
			e.At = readLocation(rep, 3)
			list = append(list, e)
		}
	}
	return list
}

// knownCode lets codes of table 0357 through; anything else could be a text.
func knownCode(code string) string {
	if _, ok := errorTexts[code]; ok {
		return code
	}
	return "207"
}

func knownSeverity(s string) string {
	switch s {
	case "W", "I", "F":
		return s
	}
	return "E"
}

// readLocation reads the first parts of ERL (six) or ELD (three) as far as they have the form of a place.
func readLocation(v Value, parts int) string {
	p := Path{Segment: v.At(1).Text()}
	if !IsSegmentID(p.Segment) {
		return ""
	}
	for i, to := range []*int{&p.Index, &p.Field, &p.Rep, &p.Component, &p.Sub}[:parts-1] {
		text := v.At(i + 2).Text()
		r := pathReader{rest: text}
		n := r.number()
		if text != "" && (r.bad || r.rest != "") {
			break
		}
		*to = n
	}
	if p.Index == 1 {
		p.Index = 0
	}
	return p.String()
}

package hl7v2

import "github.com/hoitosilta/silta/contracts"

// Header is what a door knows of a message after one pass over its bytes: MSH, the character set, and where the
// segments start. Everything else is read from the bytes when it is asked for.
type Header struct{ m *Message }

// Scan reads what must be known before a message is acknowledged, and no more: delimiters and character set, whether
// every byte is a character, and where the segments are and what they are called. It doesn't look into them.
//
// With a fault the Header is given too if MSH could be read, because the fault must be answered: error code 102 at
// the offset of a byte that is no character, 101 for a missing MSH-10, 103 for an unknown character set, 100 for a
// second MSH or a segment without a proper name. It is nil with CodeNoMessage and CodeDelimiters: there is nothing to
// answer. b is kept and must not change.
func Scan(b []byte, opts ...Option) (*Header, error) {
	m, err := open(b, opts)
	if m == nil {
		return nil, err
	}
	h := &Header{m}
	faults := contracts.FaultsOf(err)
	faults = append(faults, m.checkSegments()...)
	if m.said(10) == nil {
		f := contracts.Faultf(contracts.Malformed, CodeNoControlID, "MSH-10", "The message has no control id.")
		f.ErrorCode = "101"
		faults = append(faults, f)
	}
	return h, faults.Err()
}

// Header gives the message's header, for Acknowledge.
func (m *Message) Header() *Header { return &Header{m} }

// Raw gives the bytes of MSH field n as they stand; nil if the field is absent or empty.
func (h *Header) Raw(n int) []byte { return h.m.headerField(n) }

// Get reads the value at p, as Message.Get does.
func (h *Header) Get(p Path) Value { return h.m.Get(p) }

// Segments counts the segments.
func (h *Header) Segments() int { return len(h.m.segs) }

// Segment gives the i-th segment, from 0.
func (h *Header) Segment(i int) Segment { return h.m.Segment(i) }

// Delimiters are those of MSH-1 and MSH-2.
func (h *Header) Delimiters() Delimiters { return h.m.delims }

// Charset is the character set that the message is read in.
func (h *Header) Charset() *Charset { return h.m.charset }

// Warnings are what could be read although it isn't as it should be.
func (h *Header) Warnings() contracts.Faults { return h.m.warnings }

// SendingApplication is MSH-3 as it stands, with its components.
func (h *Header) SendingApplication() string { return h.m.text(h.Raw(3)) }

// SendingFacility is MSH-4 as it stands.
func (h *Header) SendingFacility() string { return h.m.text(h.Raw(4)) }

// ReceivingApplication is MSH-5 as it stands.
func (h *Header) ReceivingApplication() string { return h.m.text(h.Raw(5)) }

// ReceivingFacility is MSH-6 as it stands.
func (h *Header) ReceivingFacility() string { return h.m.text(h.Raw(6)) }

// Type is MSH-9 with ^ between its components: REF^I12^REF_I12.
func (h *Header) Type() string { return h.m.Type() }

// MessageType is MSH-9.1 and MSH-9.2 as contracts and people write them: REF^I12, and ACK where there is no event.
func (h *Header) MessageType() string { return h.m.MessageType() }

// Code is MSH-9.1: REF.
func (h *Header) Code() string { return h.m.Code() }

// Event is MSH-9.2: I12.
func (h *Header) Event() string { return h.m.Event() }

// Structure is MSH-9.3 as the sender wrote it, or empty.
func (h *Header) Structure() string { return h.m.Structure() }

// ControlID is MSH-10, decoded, as one text.
func (h *Header) ControlID() string { return h.m.ControlID() }

// ProcessingID is MSH-11.1: P, T or D.
func (h *Header) ProcessingID() string { return h.m.ProcessingID() }

// Version is MSH-12.1: 2.5.1.
func (h *Header) Version() string { return h.m.Version() }

// IsAcknowledgement says whether the message answers another one for the transport's sake: MSH-9.1 is ACK or MCF. Any
// other type with an MSA, such as RRI, is a message of its own.
func (h *Header) IsAcknowledgement() bool {
	code := h.Code()
	return code == "ACK" || code == "MCF"
}

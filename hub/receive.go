package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// Receive takes what a door read. It returns a receipt when the bytes are durable, accepted or refused; an error
// means trouble of our own, and the door then gives no answer (or 503), so that the sender keeps the message.
//
// One pass is made over the bytes before: the header, the character set, the segment names, the contract's key
// paths. Whether a map can take the content shows later, behind the acknowledgement.
func (h *Hub) Receive(ctx context.Context, a contracts.Arrival) (receipt contracts.Receipt, err error) {
	m := contracts.Message{Partner: a.Partner, Format: a.Format, Body: a.Body, Received: h.now()}
	trace, end := h.span(a.Trace, contracts.Span{Name: "door", Partner: a.Partner})
	defer func() {
		receipt.Trace = trace
		o := contracts.SpanEnd{State: contracts.StateReceived, Err: err}
		if receipt.Fault != nil {
			o.State, o.Err = contracts.StateRefused, receipt.Fault
		}
		end(o)
	}()
	a.Trace = trace
	return h.receive(ctx, a, m)
}

func (h *Hub) receive(ctx context.Context, a contracts.Arrival, m contracts.Message) (contracts.Receipt, error) {
	p := h.partners[a.Partner]
	if p == nil {
		return h.refuse(ctx, m, a.Trace, contracts.Faultf(contracts.Unroutable, "HUB-010", "", "The sender has no contract."))
	}
	fault := h.read(p, &m)
	if a.Fault != nil {
		fault = a.Fault
	}
	if fault == nil {
		if refusals := Refusals(p.Partner, m); len(refusals) > 0 {
			fault = refusals[0]
		}
	}
	switch {
	case fault == nil:
	case fault.Kind == contracts.Internal:
		return contracts.Receipt{}, fault // a bug of ours is no reason to refuse
	default:
		return h.refuse(ctx, m, a.Trace, fault)
	}
	once := contracts.Once{Key: h.secret.OnceKey(p.ID, m.Application, m.Facility, m.Control), Digest: m.Digest}
	r := inRecord(m, a.Trace)
	published, err := h.publish(ctx, r, &once)
	if err != nil {
		return contracts.Receipt{}, fmt.Errorf("publish an arrival: %w", err)
	}
	if published.Claim != contracts.ClaimOther {
		if err := h.publishMerge(ctx, r, m.Behind); err != nil {
			return contracts.Receipt{}, fmt.Errorf("publish a merge: %w", err)
		}
	}
	switch published.Claim {
	case contracts.ClaimOther:
		return h.refuse(ctx, m, a.Trace, &contracts.Fault{Kind: contracts.Conflict, Code: "HUB-012", At: controlPlace(m.Format), ErrorCode: "205",
			Public: "Another message came under this control id before. Both are kept; send this one under a new id."})
	case contracts.ClaimSame:
		h.note(contracts.Change{Received: published.First, Steps: []contracts.Step{{
			ID: contracts.StepID(published.ID, contracts.StepRepeated, "", int(m.Received.UnixMicro())), At: m.Received,
			Message: published.ID, Control: m.Control, Type: m.Type, Step: contracts.StepRepeated, From: p.ID,
		}}})
	}
	return contracts.Receipt{ID: published.ID, Claim: published.Claim, At: published.First, Control: m.Control}, nil
}

// controlPlace names where a format has its control id.
func controlPlace(format string) string {
	if format == contracts.FormatFHIR {
		return "Bundle.identifier"
	}
	return "MSH-10"
}

// read fills m from its bytes: control id, type, sender, digest, key, id. What could be read stays in m even when a
// fault is returned.
func (h *Hub) read(p *partner, m *contracts.Message) *contracts.Fault {
	var fault *contracts.Fault
	if m.Format == contracts.FormatFHIR {
		fault = h.readFHIR(p, m)
	} else {
		fault = h.readV2(p, m)
	}
	if m.Digest == "" {
		m.Digest = h.secret.Digest(m.Body.Bytes())
	}
	m.ID = contracts.IncomingID(m.Partner, m.Application, m.Facility, m.Control, m.Digest)
	if m.Key == "" {
		m.Key, m.KeyedBy = h.secret.Key(p.ID), contracts.KeyedBySender
	}
	return fault
}

func (h *Hub) readV2(p *partner, m *contracts.Message) *contracts.Fault {
	head, err := hl7v2.Scan(m.Body.Bytes(), p.reading...)
	if head != nil {
		m.Processing = head.ProcessingID()
		m.Control, m.Version, m.Type = head.ControlID(), head.Version(), head.MessageType()
		m.Application, m.Facility = head.SendingApplication(), head.SendingFacility()
	}
	if err != nil {
		return contracts.FaultsOf(err)[0]
	}
	value, by := readKey(p.keys[head.Code()], head)
	if value != "" {
		m.Key, m.KeyedBy = h.secret.Key(p.ID, by, value), by
	}
	if by == contracts.KeyedByPatient {
		ids, fault := merged(head)
		if fault != nil {
			return fault
		}
		for _, prior := range ids {
			if key := h.secret.Key(p.ID, by, prior); key != m.Key && !slices.Contains(m.Behind, key) {
				m.Behind = append(m.Behind, key)
			}
		}
	}
	return nil
}

func (h *Hub) readFHIR(p *partner, m *contracts.Message) *contracts.Fault {
	m.Version = "4.0.1"
	head, err := fhir.ScanMessage(m.Body.Bytes())
	if err != nil {
		return contracts.FaultsOf(err)[0]
	}
	// Clients serialise again when they repeat, so the digest is of what the tree says, not of its spelling.
	m.Control, m.Type, m.Digest = head.Control.Value, head.Event, h.secret.Digest(head.Canonical)
	if !profiles.IsEvent(head.EventSystem, head.Event) {
		m.Type = head.EventSystem + "|" + head.Event // another system's code must not pass for one of ours
	}
	for _, ids := range [][]fhir.Identifier{head.Placers, head.Fillers, head.Referrals, {{Value: answered(head)}}} {
		if len(ids) > 0 && ids[0].Value != "" {
			m.Key, m.KeyedBy = h.secret.Key(p.ID, contracts.KeyedByReferral, ids[0].Value), contracts.KeyedByReferral
			return nil
		}
	}
	if len(head.Patients) > 0 && head.Patients[0].Value != "" {
		m.Key, m.KeyedBy = h.secret.Key(p.ID, contracts.KeyedByPatient, head.Patients[0].Value), contracts.KeyedByPatient
	}
	return nil
}

// Refusals compares a message's header with what the sender's contract takes: nothing, or all that a door refuses it
// for (HL7 table 0357, 200 to 203). Only Format, Type, Version, Processing and Application of m are read.
func Refusals(p *contracts.Partner, m contracts.Message) contracts.Faults {
	var faults contracts.Faults
	refuse := func(kind contracts.Kind, code, errorCode, at, text string) {
		faults = append(faults, &contracts.Fault{Kind: kind, Code: code, At: at, ErrorCode: errorCode, Public: text})
	}
	if m.Format == contracts.FormatFHIR {
		switch at := "Bundle.entry[0].resource.eventCoding"; {
		case !profiles.IsEvent("", m.Type) && p.MapIn(m.Type) == "": // what has a map needn't be of ours
			refuse(contracts.Refused, "HUB-018", "", at, "The event isn't one of "+profiles.URL(profiles.EventSystem)+". One of the partner's own is taken where the contract names it under `in` as SYSTEM|CODE, with a map.")
		case !contracts.Takes(p.Accepts.Types, m.Type):
			refuse(contracts.Refused, "HUB-013", "", at, "The contract doesn't take this event.")
		}
		return faults
	}
	application, _, _ := strings.Cut(m.Application, "^")
	if !contracts.Takes(p.Accepts.Senders, application) {
		refuse(contracts.Unroutable, "HUB-017", "207", "MSH-3.1", "The contract knows no such sending application at this door.")
	}
	switch code, _, _ := strings.Cut(m.Type, "^"); {
	case contracts.Takes(p.Accepts.Types, m.Type), isAcknowledgement(p, m.Type):
	case slices.ContainsFunc(p.Accepts.Types, func(t string) bool { return strings.HasPrefix(t, code+"^") }):
		refuse(contracts.Refused, "HUB-014", "201", "MSH-9.2", "The contract doesn't take this event of the message type.")
	default:
		refuse(contracts.Refused, "HUB-013", "200", "MSH-9.1", "The contract doesn't take this message type.")
	}
	if !contracts.Takes(p.Accepts.Processing, m.Processing) {
		refuse(contracts.Refused, "HUB-015", "202", "MSH-11.1", "The contract doesn't take this processing id.")
	}
	if !contracts.Takes(p.Accepts.Versions, m.Version) {
		refuse(contracts.Refused, "HUB-016", "203", "MSH-12.1", "The contract doesn't take this version of HL7.")
	}
	return faults
}

// keyPath is one of the contract's key paths, compiled.
type keyPath struct {
	path hl7v2.Path
	text string
}

// patientKey keeps the order of messages that name no referral.
var patientKey = hl7v2.MustPath("PID-3.1")

// compileKeys compiles a contract's key paths. A path to a field means its first component: an EI's identifier.
func compileKeys(p *contracts.Partner) (map[string][]keyPath, error) {
	keys := map[string][]keyPath{}
	for code, paths := range p.Keys {
		for _, text := range paths {
			path, err := hl7v2.CompilePath(text)
			if err != nil {
				return nil, err
			}
			if !strings.Contains(text, ".") {
				if path, err = hl7v2.CompilePath(text + ".1"); err != nil {
					return nil, err
				}
			}
			keys[code] = append(keys[code], keyPath{path, text})
		}
	}
	return keys, nil
}

// readKey gives what keeps the order of a message: the first key path that has a value, else the patient's id.
func readKey(keys []keyPath, head *hl7v2.Header) (value, by string) {
	for _, k := range keys {
		if v := head.Get(k.path).Text(); v != "" {
			return v, contracts.KeyedByReferral
		}
	}
	if v := head.Get(patientKey).Text(); v != "" {
		return v, contracts.KeyedByPatient
	}
	return "", ""
}

// inRecord is a message as silta.in has it.
func inRecord(m contracts.Message, trace string) contracts.Record {
	r := contracts.Record{Topic: contracts.TopicIn, Key: m.Key, ID: m.ID, Time: m.Received, Body: m.Body, Header: map[string]string{
		contracts.HeaderPartner: m.Partner, contracts.HeaderFormat: m.Format, contracts.HeaderType: m.Type,
		contracts.HeaderControl: m.Control, contracts.HeaderApplication: m.Application, contracts.HeaderFacility: m.Facility,
		contracts.HeaderDigest: string(m.Digest), contracts.HeaderKeyedBy: m.KeyedBy, contracts.HeaderVersion: m.Version,
	}}
	if trace != "" {
		r.Header[contracts.HeaderTrace] = trace
	}
	if len(m.Behind) > 0 {
		r.Header[contracts.HeaderBehind] = keyWords(m.Behind)
	}
	return r
}

// entry is what the ledger keeps of an incoming record.
func entry(r contracts.Record) contracts.Entry {
	return contracts.Entry{
		ID: r.ID, Partner: r.Header[contracts.HeaderPartner], Format: r.Header[contracts.HeaderFormat], Control: r.Header[contracts.HeaderControl],
		Type: r.Header[contracts.HeaderType], Version: r.Header[contracts.HeaderVersion], Application: r.Header[contracts.HeaderApplication],
		Facility: r.Header[contracts.HeaderFacility], Key: r.Key, Received: r.Time, Digest: contracts.Digest(r.Header[contracts.HeaderDigest]),
		Cause: contracts.ID(r.Header[contracts.HeaderCause]), State: contracts.StateReceived, Place: r.Place,
	}
}

// refuse keeps the bytes and gives a receipt with the fault. A refusal claims nothing: the sender may mend the
// message and send it under the same control id.
func (h *Hub) refuse(ctx context.Context, m contracts.Message, trace string, fault *contracts.Fault) (contracts.Receipt, error) {
	if m.Digest == "" {
		m.Digest = h.secret.Digest(m.Body.Bytes())
	}
	if m.ID == "" {
		m.ID = contracts.IncomingID(m.Partner, m.Application, m.Facility, m.Control, m.Digest)
	}
	r := inRecord(m, trace)
	r.Topic, r.Key = contracts.TopicDead, h.secret.Key(string(m.ID))
	written, err := json.Marshal(fault)
	if err != nil {
		return contracts.Receipt{}, fmt.Errorf("write a fault: %w", err)
	}
	r.Header[contracts.HeaderFault] = string(written)
	if _, err := h.publish(ctx, r, nil); err != nil {
		return contracts.Receipt{}, fmt.Errorf("keep a refused arrival: %w", err)
	}
	return contracts.Receipt{ID: m.ID, At: m.Received, Control: m.Control, Fault: fault}, nil
}

// recordRefusal shows refused bytes in the ledger.
func (h *Hub) recordRefusal(ctx context.Context, r contracts.Record) error {
	fault := &contracts.Fault{}
	if err := json.Unmarshal([]byte(r.Header[contracts.HeaderFault]), fault); err != nil {
		fault = contracts.Faultf(contracts.Internal, "HUB-011", "", "The reason of this refusal can't be read.")
	}
	e := entry(r)
	if known, err := h.ledger.Entry(ctx, e.ID); err == nil && known.State != contracts.StateRefused {
		return nil // the same bytes were accepted under another contract, before or since
	} else if err != nil && contracts.KindOf(err) != contracts.NotFound {
		return err
	}
	e.State, e.Fault = contracts.StateRefused, fault
	return h.apply(ctx, contracts.Change{Received: e.Received, Entries: []contracts.Entry{e}, Steps: []contracts.Step{{
		ID: contracts.StepID(e.ID, contracts.StepRefused, "", 0), At: r.Time, Message: e.ID, Control: e.Control, Type: e.Type,
		Step: contracts.StepRefused, From: e.Partner, Fault: fault,
	}}})
}

package fhir

import (
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// Identifier is a business identifier. System is empty where the resource has none.
type Identifier struct{ System, Value string }

// Header is what a hub needs to know of a message before it is translated: who it is, what it answers, and the
// identifiers that keep order and find the referral. Its texts are copies and outlive the input. They may be patient
// data: they belong in keyed hashes, never in logs. Each list holds the first 100, without repeats.
type Header struct {
	Control     Identifier // Bundle.identifier, else Bundle.id without a system
	Event       string     // the code of eventCoding, or eventUri
	EventSystem string     // its system; empty for eventUri
	Trigger     string     // the v2 trigger beside it: I12; empty where there is none
	Source      string     // source.endpoint
	SourceName  string     // source.name
	To          []string   // destination.endpoint of each

	Focus           []string // resource types that focus leads to
	ResponseTo      string   // response.identifier
	ResponseControl string   // the control id that ResponseTo stands for, where that isn't a legal FHIR id
	ResponseCode    string   // ok, transient-error, fatal-error

	Placers   []Identifier // identifiers of type PLAC on Task and ServiceRequest, and in references to them
	Fillers   []Identifier // likewise FILL
	Referrals []Identifier // identifiers by which basedOn, focus or context name the referral, of no such type
	Patients  []Identifier // identifiers of the first Patient
	Resources []string     // Task/12: literal references behind focus, basedOn and context that leave the Bundle

	Canonical []byte // Tree.Canonical of the message: what its digest is taken over
}

// ScanMessage reads a message at the door. Any fault means that it can't be taken: not JSON (FHIR-001 to 007), no
// Bundle (030), no message (031), no MessageHeader in front (032), no id (033), no event (036); all that apply.
// It doesn't validate.
func ScanMessage(b []byte, limits ...Limits) (*Header, error) {
	t, err := Parse(b, limits...)
	if err != nil {
		return nil, err
	}
	return ScanTree(t)
}

// ScanTree is ScanMessage for a message that was parsed already.
func ScanTree(t *Tree) (*Header, error) {
	root := t.Root()
	if fs := doorFaults(root); len(fs) > 0 {
		return nil, fs
	}
	b := NewBundle(root)
	head := b.Header()
	h := &Header{Canonical: t.Canonical(make([]byte, 0, len(t.src)))}
	h.Control, _ = ControlID(root)
	h.event(head)
	source := head.Get("source")
	h.Source, h.SourceName = clone(source.Get("endpoint")), clone(source.Get("name"))
	for d := range head.Get("destination").Each() {
		h.To = add(h.To, clone(d.Get("endpoint")))
	}
	response := head.Get("response")
	h.ResponseTo, h.ResponseCode = clone(response.Get("identifier")), clone(response.Get("code"))
	h.ResponseControl = clone(Extension(response, profiles.URL(profiles.ControlID)).Get("valueString"))
	for f := range head.Get("focus").Each() {
		if r := b.Resolve(f); r.Exists() {
			h.Focus = add(h.Focus, strings.Clone(r.Type()))
		}
		h.reference(b, f)
	}
	for r := range b.Resources("") {
		h.resource(b, r)
	}
	for id := range b.Find("Patient").Get("identifier").Each() {
		h.Patients = add(h.Patients, identifier(id))
	}
	return h, nil
}

func doorFaults(root Node) contracts.Faults {
	if !root.Get("resourceType").Is("Bundle") {
		return contracts.Faults{malformed(CodeNotBundle, root.Place(), "A message is a resource of type Bundle; this is another one, or none.")}
	}
	var fs contracts.Faults
	fault := func(code, at, text string) { fs = append(fs, malformed(code, at, "%s", text)) }
	if !root.Get("type").Is("message") {
		fault(CodeNotMessage, "Bundle.type", "The Bundle isn't of type message.")
	}
	head := root.Get("entry").At(0).Get("resource")
	if !head.Get("resourceType").Is("MessageHeader") {
		fault(CodeNoHeader, "Bundle.entry[0].resource", "The first entry must be the MessageHeader.")
	} else if head.Get("eventCoding").Get("code").Text() == "" && head.Get("eventUri").Text() == "" {
		fault(CodeNoEvent, "Bundle.entry[0].resource", "The MessageHeader names no event: eventCoding with system and code.")
	}
	if _, err := ControlID(root); err != nil {
		fs = append(fs, err)
	}
	return fs
}

// ControlID is the id under which a sender knows its message: Bundle.identifier.value, else Bundle.id.
func ControlID(root Node) (Identifier, *contracts.Fault) {
	if id := identifier(root.Get("identifier")); id.Value != "" {
		return id, nil
	}
	if id := clone(root.Get("id")); id != "" {
		return Identifier{Value: id}, nil
	}
	return Identifier{}, malformed(CodeNoControl, "Bundle.identifier.value", "The message has no id of its own: neither Bundle.identifier.value nor Bundle.id.")
}

// ResponseIdentifier gives what MessageHeader.response.identifier holds for a control id: the control id itself where
// it is a legal FHIR id, else a UUID derived from it; whole is then false and the control id belongs in the extension
// profiles.ControlID beside it.
func ResponseIdentifier(control string) (id string, whole bool) {
	if isID(control) {
		return control, true
	}
	return string(contracts.DerivedID("control", control)), false
}

// Extension is the first extension of that URL on an element.
func Extension(n Node, url string) Node {
	for x := range n.Get("extension").Each() {
		if x.Get("url").Is(url) {
			return x
		}
	}
	return Node{}
}

func (h *Header) event(head Node) {
	coding := head.Get("eventCoding")
	h.Event, h.EventSystem = clone(coding.Get("code")), clone(coding.Get("system"))
	if h.Event == "" {
		h.Event = clone(head.Get("eventUri"))
	}
	h.Trigger = clone(Extension(head, profiles.URL(profiles.TriggerEvent)).Get("valueCoding").Get("code"))
}

// resource takes what one entry tells of the referral.
func (h *Header) resource(b *Bundle, r Node) {
	switch r.Type() {
	case "Task", "ServiceRequest":
		for id := range r.Get("identifier").Each() {
			h.referral(id, false)
		}
		h.reference(b, r.Get("focus"))
	case "DocumentReference":
		for ref := range r.Get("context").Get("related").Each() {
			h.reference(b, ref)
		}
	}
	for ref := range r.Get("basedOn").Each() {
		h.reference(b, ref)
	}
}

func (h *Header) reference(b *Bundle, ref Node) {
	if id := ref.Get("identifier"); id.Exists() {
		h.referral(id, true)
	}
	url := ref.Get("reference").Text()
	if url == "" || url[0] == '#' || strings.HasPrefix(url, "urn:") || b.Resolve(ref).Exists() {
		return
	}
	url, _, _ = strings.Cut(url, "/_history/")
	if parts := strings.Split(url, "/"); len(parts) >= 2 {
		h.Resources = add(h.Resources, strings.Join(parts[len(parts)-2:], "/"))
	}
}

func (h *Header) referral(id Node, untyped bool) {
	switch v := identifier(id); typeCode(id) {
	case profiles.Placer:
		h.Placers = add(h.Placers, v)
	case profiles.Filler:
		h.Fillers = add(h.Fillers, v)
	default:
		if untyped && v.Value != "" {
			h.Referrals = add(h.Referrals, v)
		}
	}
}

// typeCode is the PLAC or FILL of an identifier, whatever other codings its type has.
func typeCode(id Node) string {
	for c := range id.Get("type").Get("coding").Each() {
		if code := c.Get("code").Text(); code == profiles.Placer || code == profiles.Filler {
			return code
		}
	}
	return ""
}

func identifier(n Node) Identifier {
	return Identifier{clone(n.Get("system")), clone(n.Get("value"))}
}

func clone(n Node) string { return strings.Clone(n.Text()) }

// mostNames bounds each list of a Header; a message names one referral and one patient, seldom a few.
const mostNames = 100

// add appends v where the list lacks it and has room.
func add[T comparable](list []T, v T) []T {
	if len(list) == mostNames {
		return list
	}
	for _, have := range list {
		if have == v {
			return list
		}
	}
	return append(list, v)
}

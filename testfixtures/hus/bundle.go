package hus

import (
	"encoding/json"
	"errors"
	"strings"
)

// object is a JSON object as encoding/json reads it.
type object = map[string]any

// message is a FHIR message as HUS reads it: no more than it needs to answer.
type message struct {
	control string
	event   string // eventCoding.code
	system  string // eventCoding.system: HUS answers in the words that it is asked in
	header  object
	bundle  object
	first   map[string]object // the first resource of each type
}

// errNotAMessage says what a Bundle lacks to be a message; its texts name elements, never values.
type errNotAMessage struct{ at, text string }

func (e *errNotAMessage) Error() string { return e.at + ": " + e.text }

// readMessage checks that body is a message Bundle: a header first, a control id, and every reference by urn:uuid
// leading to an entry (FHIR R4, 2.36.4 and 3.4).
func readMessage(body []byte) (*message, error) {
	m := &message{first: map[string]object{}}
	if err := json.Unmarshal(body, &m.bundle); err != nil {
		return nil, &errNotAMessage{"Bundle", "The body isn't JSON."}
	}
	if text(m.bundle, "resourceType") != "Bundle" || text(m.bundle, "type") != "message" {
		return nil, &errNotAMessage{"Bundle.type", "A Bundle of type message is expected."}
	}
	names := map[string]bool{}
	for i, entry := range list(m.bundle, "entry") {
		resource := child(entry, "resource")
		kind := text(resource, "resourceType")
		if i == 0 && kind != "MessageHeader" {
			return nil, &errNotAMessage{"Bundle.entry[0]", "The first entry must be the MessageHeader."}
		}
		if m.first[kind] == nil {
			m.first[kind] = resource
		}
		names[text(entry, "fullUrl")] = true
	}
	if m.header = m.first["MessageHeader"]; m.header == nil {
		return nil, &errNotAMessage{"Bundle.entry", "There is no MessageHeader."}
	}
	coding := child(m.header, "eventCoding")
	m.event, m.system = text(coding, "code"), text(coding, "system")
	if m.event == "" {
		return nil, &errNotAMessage{"MessageHeader.eventCoding", "The event is missing."}
	}
	m.control = text(child(m.bundle, "identifier"), "value")
	if m.control == "" {
		m.control = text(m.bundle, "id")
	}
	if m.control == "" {
		return nil, &errNotAMessage{"Bundle.identifier", "The message has no id."}
	}
	if dangling(m.bundle, names) {
		return nil, &errNotAMessage{"Bundle.entry", "A reference leads to no entry."}
	}
	return m, nil
}

// dangling says whether a urn:uuid reference somewhere in v is none of names.
func dangling(v any, names map[string]bool) bool {
	switch v := v.(type) {
	case object:
		if to := text(v, "reference"); strings.HasPrefix(to, "urn:uuid:") && !names[to] {
			return true
		}
		for _, member := range v {
			if dangling(member, names) {
				return true
			}
		}
	case []any:
		for _, member := range v {
			if dangling(member, names) {
				return true
			}
		}
	}
	return false
}

// identifier gives the referral's identifier of a type (PLAC, FILL) from the Task or the ServiceRequest.
func (m *message) identifier(kind string) object {
	for _, resource := range []string{"Task", "ServiceRequest"} {
		for _, id := range list(m.first[resource], "identifier") {
			for _, coding := range list(child(id, "type"), "coding") {
				if text(coding, "code") == kind {
					return id
				}
			}
		}
	}
	return nil
}

// text gives a member that is a string.
func text(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

// child gives a member that is an object; nil if it isn't there.
func child(o object, name string) object {
	c, _ := o[name].(object)
	return c
}

// list gives the objects of a member that is an array.
func list(o object, name string) []object {
	members, _ := o[name].([]any)
	var all []object
	for _, m := range members {
		if c, ok := m.(object); ok {
			all = append(all, c)
		}
	}
	return all
}

// outcome is an OperationOutcome with one issue.
func outcome(severity, code, at, diagnostics string) []byte {
	issue := object{"severity": severity, "code": code, "diagnostics": diagnostics}
	if at != "" {
		issue["expression"] = []any{at}
	}
	b, err := json.Marshal(object{"resourceType": "OperationOutcome", "issue": []any{issue}})
	if err != nil {
		panic(err) // strings only
	}
	return b
}

// refusal is the OperationOutcome for what readMessage found.
func refusal(err error) []byte {
	var e *errNotAMessage
	if errors.As(err, &e) {
		return outcome("fatal", "invalid", e.at, e.text)
	}
	return outcome("fatal", "exception", "", "HUS can't read this.")
}

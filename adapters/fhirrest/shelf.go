package fhirrest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// The names under profiles.Base of what the door defines.
const (
	processMessage    = "/OperationDefinition/process-message"
	messageDefinition = "/MessageDefinition/" // and an event
)

// page is a definition that senders may read: one of profiles.Files, the operation's, or a message's.
type page struct {
	typ, id, url, version string
	event                 string // of a MessageDefinition: only whose contract has it sees it
	profiled              string // of a profile of a resource: the resource's type
	body                  []byte // JSON
}

// shelf holds all pages, sorted by type and id.
type shelf []page

// newShelf makes the pages. They depend on the build alone.
func newShelf() (shelf, error) {
	names, err := fs.Glob(profiles.Files, "definitions/*.json")
	if err != nil || len(names) == 0 {
		return nil, contracts.Faultf(contracts.Internal, CodeDefinitions, "", "The build holds no definitions.")
	}
	var s shelf
	for _, name := range names {
		b, err := profiles.Read(name)
		if err != nil {
			return nil, err
		}
		if s, err = s.add(b, ""); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	if s, err = s.add(operationDefinition(), ""); err != nil {
		return nil, err
	}
	messages, err := s.messageDefinitions()
	if err != nil {
		return nil, err
	}
	for event, b := range messages {
		if s, err = s.add(b, event); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s, func(a, b page) int { return strings.Compare(a.typ+"/"+a.id, b.typ+"/"+b.id) })
	return s, nil
}

func (s shelf) add(body []byte, event string) (shelf, error) {
	t, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	text := func(name string) string { return strings.Clone(t.Root().Get(name).Text()) }
	p := page{typ: strings.Clone(t.Root().Type()), id: text("id"), url: text("url"), version: text("version"), event: event, body: body}
	if text("kind") == "resource" {
		p.profiled = text("type")
	}
	return append(s, p), nil
}

// types are those of the pages, each once.
func (s shelf) types() []string {
	var all []string
	for _, p := range s {
		all = append(all, p.typ)
	}
	return slices.Compact(all)
}

// of gives the pages of a type that a sender may see.
func (s shelf) of(typ string, sender *knownSender) []page {
	var all []page
	for _, p := range s {
		if p.typ == typ && (p.event == "" || slices.Contains(sender.Sends, p.event) || slices.Contains(sender.Gets, p.event)) {
			all = append(all, p)
		}
	}
	return all
}

// profileOf is the URL of our profile of a resource type; empty without one, or where the type alone doesn't tell which.
func (s shelf) profileOf(typ string) *string {
	var found []string
	for _, p := range s {
		if p.profiled == typ {
			found = append(found, p.url)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return &found[0]
}

// eventSystem is what our code system says of the events.
type eventSystem struct {
	URL, Version, Date string
	Status             models.PublicationStatus
	Concept            []struct{ Code, Display, Definition string }
}

// messageDefinitions are the MessageDefinitions by event, made from the code system of events. A contract has no say in
// them: one canonical URL must not mean two things. What of them a partner may use is in its CapabilityStatement.
func (s shelf) messageDefinitions() (map[string][]byte, error) {
	i := slices.IndexFunc(s, func(p page) bool { return p.url == profiles.URL(profiles.EventSystem) })
	if i < 0 {
		return nil, contracts.Faultf(contracts.Internal, CodeDefinitions, profiles.EventSystem, "The build lacks the code system of events.")
	}
	var system eventSystem
	if err := json.Unmarshal(s[i].body, &system); err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, c := range system.Concept {
		focus := models.MessageDefinitionFocus{Profile: s.profileOf(profiles.Focus(c.Code)), Min: 1, Max: new("1")}
		if err := json.Unmarshal([]byte(`"`+profiles.Focus(c.Code)+`"`), &focus.Code); err != nil {
			return nil, err
		}
		required, allowed := responses(c.Code)
		all[c.Code] = written(definedMessage{ResourceType: "MessageDefinition", OtherMessageDefinition: models.OtherMessageDefinition{
			Id: new(c.Code), Url: new(profiles.URL(messageDefinition + c.Code)), Version: new(system.Version),
			Name: new("Silta" + camel(c.Code)), Title: new(c.Display), Status: system.Status, Date: system.Date, Description: new(s.described(c.Code, c.Definition)),
			EventCoding: models.Coding{System: new(system.URL), Version: new(system.Version), Code: new(c.Code), Display: new(c.Display)},
			Category:    new(category(c.Code)), Focus: []models.MessageDefinitionFocus{focus}, ResponseRequired: required, AllowedResponse: allowed,
		}})
	}
	return all, nil
}

// described is what an event means, and which profile its Bundle has unless a contract says otherwise; R4 has no element
// for that one.
func (s shelf) described(event, meaning string) string {
	whole := profiles.URL("/StructureDefinition/silta-message-" + event)
	if !slices.ContainsFunc(s, func(p page) bool { return p.url == whole }) {
		return meaning
	}
	return meaning + " Silta's own profile of the whole message is " + whole + "; a contract may ask for another."
}

// definedMessage keeps samply's model from writing both kinds of event: its eventUri can't be left out.
type definedMessage struct {
	ResourceType string `json:"resourceType"`
	models.OtherMessageDefinition
	EventUri *string `json:"eventUri,omitempty"`
}

// category says what happens if a message is processed late or twice.
func category(event string) models.MessageSignificanceCategory {
	switch event {
	case profiles.StatusQuery:
		return models.MessageSignificanceCategoryCurrency
	case profiles.Feedback, profiles.PatientChange, profiles.Result:
		return models.MessageSignificanceCategoryNotification
	}
	return models.MessageSignificanceCategoryConsequence
}

// responses says whether an event must be answered, and by which messages it may be. Where the canonical message
// doesn't say, neither do we.
func responses(event string) (required *string, allowed []models.MessageDefinitionAllowedResponse) {
	switch event {
	case profiles.Request, profiles.StatusQuery:
		required = new("always")
	case profiles.Update:
	default:
		if profiles.Answers(event) {
			required = new("never")
		}
		return required, nil
	}
	for _, response := range profiles.Events() {
		if profiles.IsResponse(response) {
			allowed = append(allowed, models.MessageDefinitionAllowedResponse{Message: profiles.URL(messageDefinition + response)})
		}
	}
	return required, allowed
}

// camel makes a name of a code: response-accepted, ResponseAccepted.
func camel(code string) string {
	words := strings.Split(code, "-")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// operationDefinition is the operation as the door does it. R4's own gives back a message, and has the parameters async
// and response-url; this one gives back an OperationOutcome, and answers come as messages to the partner's own server.
func operationDefinition() []byte {
	return written(models.OperationDefinition{
		Id: new(operationName), Url: new(profiles.URL(processMessage)), Name: "SiltaProcessMessage", Title: new("Take a message"),
		Status: models.PublicationStatusActive, Kind: models.OperationKindOperation, AffectsState: new(true), Code: operationName, System: true,
		Description: new("Takes a message into the hub's custody. It is translated and delivered afterwards; what answers it comes as a message of its own to the partner's server."),
		Comment: new("The body is the Bundle itself, without a Parameters resource. The parameters async and response-url of http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message aren't read.\n\n" +
			"- 200: durable, or durable since an earlier request with the same message\n" +
			"- 400: no JSON, no Bundle of type message, no id or no event; the place is told\n" +
			"- 401: no token of a partner\n" +
			"- 406, 415: neither the answer nor the request can be XML\n" +
			"- 408: the body didn't arrive in time\n" +
			"- 409, issue code conflict: another message came under this Bundle.identifier\n" +
			"- 413: more bytes than agreed\n" +
			"- 422: an event that the contract doesn't list\n" +
			"- 503: not kept; send it again"),
		Parameter: []models.OperationDefinitionParameter{
			{Name: "content", Use: models.OperationParameterUseIn, Min: 1, Max: "1", Type: new("Bundle"), Documentation: new("The message: a Bundle of type message.")},
			{Name: "return", Use: models.OperationParameterUseOut, Min: 1, Max: "1", Type: new("OperationOutcome"), Documentation: new("That the message was taken, or why not and where.")},
		},
	})
}

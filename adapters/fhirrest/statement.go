package fhirrest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// The portions of a capability statement that a client may ask for (FHIR R4, 3.1.0.15).
const (
	modeFull        = "full"
	modeNormative   = "normative"
	modeTerminology = "terminology"
)

// statement is the CapabilityStatement of the door at base for one sender, or for a stranger (nil): that one learns how
// to come in, and nothing of any contract. Normative leaves out what R4 has on trial: messaging and security.
func (d *Door) statement(s *knownSender, base, mode string) []byte {
	c := models.CapabilityStatement{
		Name: new("SiltaFHIRDoor"), Title: new("Silta's FHIR door"), Status: models.PublicationStatusActive, Date: d.since(s),
		Kind:           models.CapabilityStatementKindInstance,
		Software:       &models.CapabilityStatementSoftware{Name: "Silta", Version: d.version(s)},
		Implementation: &models.CapabilityStatementImplementation{Description: doorOf(s), Url: &base},
		FhirVersion:    models.FHIRVersion4_0_1, Format: []string{"json"},
		Rest: []models.CapabilityStatementRest{{
			Mode: models.RestfulCapabilityModeServer, Documentation: new(d.manners(s)), Security: security(), Resource: d.resources(s),
			Operation: []models.CapabilityStatementRestResourceOperation{{Name: operationName, Definition: profiles.URL(processMessage)}},
		}},
		Messaging: []models.CapabilityStatementMessaging{messaging(s, base)},
	}
	if mode == modeNormative {
		c.Rest[0].Security, c.Messaging = nil, nil
	}
	return written(c)
}

// since is when what the door tells began to hold.
func (d *Door) since(s *knownSender) string {
	at := d.opened
	if s != nil {
		at = s.since
	}
	return at.UTC().Format(time.RFC3339)
}

// version of the hub, which a stranger has no need to know.
func (d *Door) version(s *knownSender) *string {
	if s == nil || d.hub == "" {
		return nil
	}
	return &d.hub
}

func doorOf(s *knownSender) string {
	if s == nil {
		return "Silta's FHIR door"
	}
	if s.Title == "" {
		return "Silta's FHIR door for " + s.Partner
	}
	return "Silta's FHIR door for " + s.Title
}

func (d *Door) manners(s *knownSender) string {
	text := "Messages come by POST to " + operation + ", as application/fhir+json in UTF-8, unpacked; no XML."
	if s != nil {
		text += fmt.Sprintf(" A request holds at most %d bytes and arrives within %v.", s.MaxBytes, d.timeouts.Read)
	}
	return text
}

// security says what ServeHTTP asks for. There is no code for a bearer token without OAuth.
func security() *models.CapabilityStatementRestSecurity {
	return &models.CapabilityStatementRestSecurity{
		Cors:        new(false),
		Service:     []models.CodeableConcept{{Text: new("Bearer token")}},
		Description: new("Every request carries `Authorization: Bearer` and the token agreed with the partner. Only this statement is given without one, and then tells of no contract."),
	}
}

// resources are the types of what the sender may read and search.
func (d *Door) resources(s *knownSender) []models.CapabilityStatementRestResource {
	var all []models.CapabilityStatementRestResource
	if s == nil {
		return nil
	}
	for _, typ := range d.shelf.types() {
		r := models.CapabilityStatementRestResource{Interaction: []models.CapabilityStatementRestResourceInteraction{
			{Code: models.TypeRestfulInteractionRead}, {Code: models.TypeRestfulInteractionSearchType}}}
		if json.Unmarshal([]byte(`"`+typ+`"`), &r.Type) != nil {
			continue // not a type of R4, so that it can't be told
		}
		for _, p := range searchParameters(typ) {
			r.SearchParam = append(r.SearchParam, models.CapabilityStatementRestResourceSearchParam{Name: p.name, Type: p.kind, Definition: new(p.definition)})
		}
		all = append(all, r)
	}
	return all
}

func messaging(s *knownSender, base string) models.CapabilityStatementMessaging {
	m := models.CapabilityStatementMessaging{
		Endpoint: []models.CapabilityStatementMessagingEndpoint{{
			Protocol: models.Coding{System: new("http://terminology.hl7.org/CodeSystem/message-transport"), Code: new("http")},
			Address:  base + "/" + operation,
		}},
		ReliableCache: new(int(contracts.ClaimsLast / time.Minute)),
		Documentation: new("200 says that the message is durable; the same message again gets the same answer, and another one under its Bundle.identifier 409. 503 asks to send it again. An event that isn't listed with mode receiver gets 422."),
	}
	if s == nil {
		return m
	}
	m.SupportedMessage = slices.Concat(supported(models.EventCapabilityModeReceiver, s.Sends), supported(models.EventCapabilityModeSender, s.Gets))
	return m
}

func supported(mode models.EventCapabilityMode, events []string) []models.CapabilityStatementMessagingSupportedMessage {
	var all []models.CapabilityStatementMessagingSupportedMessage
	for _, event := range events {
		all = append(all, models.CapabilityStatementMessagingSupportedMessage{Mode: mode, Definition: profiles.URL(messageDefinition + event)})
	}
	return all
}

// terminology is the TerminologyCapabilities of the door: it shows code systems and answers no question about them.
func (d *Door) terminology(s *knownSender, base string) []byte {
	c := models.TerminologyCapabilities{
		Name: new("SiltaFHIRDoorTerminology"), Title: new("Code systems at Silta's FHIR door"), Status: models.PublicationStatusActive, Date: d.since(s),
		Kind:           models.CapabilityStatementKindInstance,
		Software:       &models.TerminologyCapabilitiesSoftware{Name: "Silta", Version: d.version(s)},
		Implementation: &models.TerminologyCapabilitiesImplementation{Description: doorOf(s), Url: &base},
	}
	for _, page := range d.shelf {
		if s != nil && page.typ == "CodeSystem" {
			c.CodeSystem = append(c.CodeSystem, models.TerminologyCapabilitiesCodeSystem{Uri: new(page.url),
				Version: []models.TerminologyCapabilitiesCodeSystemVersion{{Code: new(page.version)}}, Subsumption: new(false)})
		}
	}
	return written(c)
}

// written gives one of samply's resources as JSON for people as well: indented, its elements in R4's order, resourceType
// first.
func written(resource any) []byte {
	b, err := json.Marshal(resource)
	if err != nil {
		panic("fhirrest: a resource of strings can't be written: " + err.Error())
	}
	t, err := fhir.Parse(b)
	if err != nil {
		panic("fhirrest: what was written can't be read: " + err.Error())
	}
	t.Root().Order(nil)
	var indented bytes.Buffer
	if err := json.Indent(&indented, t.Root().Append(nil), "", "  "); err != nil {
		panic("fhirrest: what was written isn't JSON: " + err.Error())
	}
	return indented.Bytes()
}

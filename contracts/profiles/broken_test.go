package profiles_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// broken is one mistake in an example: what stands at a path is set, taken out, or set there again, and the one rule of
// our profiles that must find it. A path begins with a resource, Task.status or PractitionerRole[1].practitioner, or with
// Bundle.
type broken struct {
	example string
	path    string
	value   string // JSON; takeOut, again
	rule    string // profile#element; after a space, another that the mistake can't but break too
	at      string // where the fault stands; empty for the path itself
}

const (
	takeOut = ""
	again   = "again" // a copy at the end of its list
)

func mistakes() []broken {
	const req, acc, appt, feed = profiles.Request, profiles.ResponseAccepted, profiles.Appointment, profiles.Feedback
	eventOf := func(event string) string { return "silta-message-" + event + "#Bundle.entry:header.resource.event[x]" }
	plac := `{"type":{"coding":[{"system":"` + profiles.V2Identifiers + `","code":"PLAC"}]},"value":"X-1"}`
	fill := `{"type":{"coding":[{"system":"` + profiles.V2Identifiers + `","code":"FILL"}]},"system":"urn:oid:1.2.3"}`
	uriEvent := `{"resourceType":"MessageHeader","eventUri":"urn:oid:1.2.3","source":{"endpoint":"urn:oid:1.2.4"},"focus":[{"reference":"@Task"}]}`
	// No slice of the message looks at what a resource contains: the reference to it finds the mistake there.
	within := func(typ, element, rest, contained string) string {
		return `{"resourceType":"` + typ + `","contained":[` + contained + `],` + rest + `,"` + element + `":{"reference":"#c"}}`
	}
	organization := `{"resourceType":"Organization","id":"c","identifier":[{"system":"urn:oid:1.2.246.537.6.202"}]}`
	practitioner := `{"resourceType":"Practitioner","id":"c","identifier":[{"system":"urn:oid:1.2.246.537.26"}]}`
	encounter := `{"resourceType":"Encounter","id":"c","status":"planned","class":{"code":"AMB"},"identifier":[{"use":"official"}]}`
	reason := func(code string) string {
		return `{"system":"` + profiles.URL(profiles.StatusReasonSystem) + `"` + code + `}`
	}
	list := []broken{
		{req, "Bundle.identifier", `{"system":"urn:oid:1.2.3"}`, "silta-message-request#Bundle.identifier.value", "Bundle.identifier.value"},
		{req, "Bundle.timestamp", takeOut, "silta-message-request#Bundle.timestamp", ""},
		{req, "Bundle.type", `"collection"`, "silta-message-request#Bundle.type", ""},
		{req, "Bundle.entry[12].fullUrl", takeOut, "silta-message-request#Bundle.entry.fullUrl", ""},
		{req, "Bundle.entry[12].resource", takeOut, "silta-message-request#Bundle.entry.resource", ""},
		{req, "Bundle.entry[0]", again, "silta-message-request#Bundle.entry:header", "Bundle.entry[13]"},
		{req, "Bundle.entry[0]", takeOut, "silta-message-request#Bundle.entry:header", "Bundle.entry"},
		{req, "Bundle.entry[3]", again, "silta-message-request#Bundle.entry:patient", "Bundle.entry[13]"},
		{req, "Bundle.entry[3]", takeOut, "silta-message-request#Bundle.entry:patient", "Bundle.entry"},
		{req, "Bundle.entry[1]", again, "silta-message-request#Bundle.entry:task", "Bundle.entry[13]"},
		{req, "Bundle.entry[1]", takeOut, "silta-message-request#Bundle.entry:task", "Bundle.entry"},
		{req, "Bundle.entry[2]", again, "silta-message-request#Bundle.entry:serviceRequest", "Bundle.entry[13]"},
		{req, "Bundle.entry[2]", takeOut, "silta-message-request#Bundle.entry:serviceRequest", "Bundle.entry"},
		{req, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-request#Bundle.entry:header.resource.response", ""},
		{req, "MessageHeader.focus[0].reference", `"@Patient"`, "silta-message-request#Bundle.entry:header.resource.focus", "MessageHeader.focus[0]"},
		{req, "Task.owner.reference", `"@Organization"`, "silta-message-request#Bundle.entry:task.resource.owner", "Task.owner"},

		{req, "MessageHeader.focus", takeOut, "silta-message-header#MessageHeader.focus", ""},
		{req, "Bundle.entry[0].resource", uriEvent, "silta-message-header#MessageHeader.event[x] " + eventOf(req), "MessageHeader.eventUri"},
		{req, "MessageHeader.eventCoding.code", `"referral"`, "silta-message-header#MessageHeader.event[x] " + eventOf(req), "MessageHeader.eventCoding"},
		{req, "MessageHeader.eventCoding.system", `"urn:oid:1.2.3"`, "silta-message-header#MessageHeader.event[x] " + eventOf(req), "MessageHeader.eventCoding"},
		{req, "MessageHeader.extension[0]", again, "silta-message-header#MessageHeader.extension:triggerEvent", "MessageHeader.extension[1]"},
		{req, "MessageHeader.extension[0].valueCoding", takeOut, "trigger-event#Extension.value[x]", "MessageHeader.extension[0].value"},
		{req, "MessageHeader.extension", `[{"url":"` + profiles.URL(profiles.Residue) + `","valueString":"{}"},{"url":"` + profiles.URL(profiles.Residue) + `","valueString":"{}"}]`,
			"silta-message-header#MessageHeader.extension:residue", "MessageHeader.extension[1]"},
		{acc, "MessageHeader.response.extension", `[{"url":"` + profiles.URL(profiles.ControlID) + `","valueString":"A/1"},{"url":"` + profiles.URL(profiles.ControlID) + `","valueString":"A/1"}]`,
			"silta-message-header#MessageHeader.response.extension:controlId", "MessageHeader.response.extension[1]"},

		{req, "Task.identifier[0]", again, "silta-task#Task.identifier:PLAC", "Task.identifier[1]"},
		{req, "Task.identifier[0].value", takeOut, "silta-task#Task.identifier:PLAC.value", ""},
		{req, "Task.identifier[0]", fill, "silta-task#Task.identifier:FILL.value", "Task.identifier[0].value"},
		{req, "Task.statusReason", `{"coding":[` + reason(`,"code":"bored"`) + `]}`, "silta-task#Task.statusReason.coding:silta", "Task.statusReason.coding[0]"},
		{req, "Task.statusReason", `{"coding":[` + reason(`,"code":"incomplete"`) + "," + reason(`,"code":"transferred"`) + `]}`, "silta-task#Task.statusReason.coding:silta", "Task.statusReason.coding[1]"},
		{req, "Task.statusReason", `{"coding":[` + reason(``) + `]}`, "silta-task#Task.statusReason.coding:silta", "Task.statusReason.coding[0]"},
		{req, "Task.businessStatus.coding[0].code", `"lost"`, "silta-task#Task.businessStatus", "Task.businessStatus"},
		{req, "Task.businessStatus.coding[0].system", takeOut, "silta-task#Task.businessStatus", "Task.businessStatus"},
		{req, "Task.intent", `"proposal"`, "silta-task#Task.intent", ""},
		{req, "Task.focus", takeOut, "silta-task#Task.focus", ""},
		{req, "Task.focus.reference", `"@Patient"`, "silta-task#Task.focus", "Task.focus"},
		{req, "Task.for", takeOut, "silta-task#Task.for", ""},
		{req, "Task.for.reference", `"@Practitioner"`, "silta-task#Task.for", "Task.for"},
		{req, "Task.requester.reference", `"@Practitioner"`, "silta-task#Task.requester", "Task.requester"},
		{acc, "Task.owner.reference", `"@Patient"`, "silta-task#Task.owner", "Task.owner"},

		{req, "ServiceRequest.identifier[0]", again, "silta-service-request#ServiceRequest.identifier:PLAC", "ServiceRequest.identifier[1]"},
		{req, "ServiceRequest.identifier[0].value", takeOut, "silta-service-request#ServiceRequest.identifier:PLAC.value", ""},
		{req, "ServiceRequest.identifier[0]", fill, "silta-service-request#ServiceRequest.identifier:FILL.value", "ServiceRequest.identifier[0].value"},
		{req, "ServiceRequest.intent", `"plan"`, "silta-service-request#ServiceRequest.intent", ""},
		{req, "ServiceRequest.subject.reference", `"@Organization"`, "silta-service-request#ServiceRequest.subject", "ServiceRequest.subject"},
		{req, "ServiceRequest.occurrenceDateTime", `"2026-04-01"`, "silta-service-request#ServiceRequest.occurrence[x]", ""},
		{req, "ServiceRequest.requester.reference", `"@Practitioner"`, "silta-service-request#ServiceRequest.requester", "ServiceRequest.requester"},
		{req, "ServiceRequest.performer[0].reference", `"@Organization"`, "silta-service-request#ServiceRequest.performer", "ServiceRequest.performer[0]"},
		{req, "ServiceRequest.reasonReference[0].reference", `"@DocumentReference"`, "silta-service-request#ServiceRequest.reasonReference", "ServiceRequest.reasonReference[0]"},

		{req, "Patient.identifier[0].use", takeOut, "silta-patient#Patient.identifier:hetu.use", ""},
		{req, "Patient.identifier[0].use", `"usual"`, "silta-patient#Patient.identifier:hetu.use", ""},
		{req, "Patient.identifier[0].type", takeOut, "silta-patient#Patient.identifier:hetu.type", ""},
		{req, "Patient.identifier[0].type.coding[0].code", `"MR"`, "silta-patient#Patient.identifier:hetu.type", "Patient.identifier[0].type"},
		{req, "Patient.identifier[0].value", takeOut, "silta-patient#Patient.identifier:hetu.value", ""},
		{req, "Patient.identifier[0]", again, "silta-patient#Patient.identifier:hetu", "Patient.identifier[1]"},
		{req, "Patient.extension[0]", again, "silta-patient#Patient.extension:municipality", "Patient.extension[1]"},
		{req, "Patient.extension[0].valueCoding", takeOut, "silta-patient#Patient.extension:municipality.value[x]", "Patient.extension[0].value"},
		{req, "Patient.extension[0]", `{"url":"https://hl7.fi/fhir/finnish-base-profiles/StructureDefinition/municipality-code","valueString":"564"}`,
			"silta-patient#Patient.extension:municipality.value[x]", "Patient.extension[0].valueString"},
		{req, "Patient.extension[0].valueCoding.system", `"urn:oid:1.2.246.537.6.21.2003"`, "silta-patient#Patient.extension:municipality.value[x].system", ""},
		{req, "Patient.extension[0].valueCoding.system", takeOut, "silta-patient#Patient.extension:municipality.value[x].system", ""},
		{req, "Patient.extension[0].valueCoding.code", takeOut, "silta-patient#Patient.extension:municipality.value[x].code", ""},
		{profiles.PatientChange, "Patient.meta.security[0].code", takeOut, "silta-patient#Patient.meta.security:turvakielto.code", ""},
		{profiles.PatientChange, "Patient.meta.security[0]", again, "silta-patient#Patient.meta.security:turvakielto", "Patient.meta.security[1]"},

		{req, "Practitioner.identifier[0]", again, "silta-practitioner#Practitioner.identifier:terhikki", "Practitioner.identifier[1]"},
		{req, "Practitioner.identifier[0].value", takeOut, "silta-practitioner#Practitioner.identifier:terhikki.value", ""},
		{req, "Practitioner.identifier", `[{"system":"urn:oid:1.2.246.537.25","value":"032680"},{"system":"urn:oid:1.2.246.537.25","value":"032681"}]`,
			"silta-practitioner#Practitioner.identifier:sv", "Practitioner.identifier[1]"},
		{req, "Practitioner.identifier", `[{"system":"urn:oid:1.2.246.537.25"}]`, "silta-practitioner#Practitioner.identifier:sv.value", "Practitioner.identifier[0].value"},
		{req, "Practitioner.identifier", `[{"system":"urn:oid:1.2.246.21","value":"020594X902N"},{"system":"urn:oid:1.2.246.21","value":"020594X902N"}]`,
			"silta-practitioner#Practitioner.identifier:hetu", "Practitioner.identifier[1]"},
		{req, "Practitioner.identifier", `[{"system":"urn:oid:1.2.246.21"}]`, "silta-practitioner#Practitioner.identifier:hetu.value", "Practitioner.identifier[0].value"},

		{req, "Organization.identifier[0]", again, "silta-organization#Organization.identifier:uri", "Organization.identifier[1]"},
		{req, "Organization.identifier[0].value", takeOut, "silta-organization#Organization.identifier:uri.value", ""},

		{req, "Condition.code.coding[0]", again, "silta-condition#Condition.code.coding:icd10", "Condition.code.coding[1]"},
		{req, "Condition.code.coding[0].code", takeOut, "silta-condition#Condition.code.coding:icd10.code", ""},
		{req, "Condition.code.coding[0].code", `"E85.9+I68.0"`, "silta-condition#Condition.code.coding:icd10.code#silta-icd10", ""},
		{req, "Condition.subject.reference", `"@Organization"`, "silta-condition#Condition.subject", "Condition.subject"},

		{req, "Encounter.identifier[0]", again, "silta-encounter#Encounter.identifier:palvelutapahtuma", "Encounter.identifier[1]"},
		{req, "Encounter.identifier[0].value", takeOut, "silta-encounter#Encounter.identifier:palvelutapahtuma.value", ""},
		{req, "Encounter.subject.reference", `"@Organization"`, "silta-encounter#Encounter.subject", "Encounter.subject"},
		{req, "Encounter", within("Encounter", "serviceProvider", `"status":"planned","class":{"code":"AMB"}`, organization), "silta-encounter#Encounter.serviceProvider", "Encounter.serviceProvider"},
		{req, "Encounter", within("Encounter", "partOf", `"status":"planned","class":{"code":"AMB"}`, encounter), "silta-encounter#Encounter.partOf", "Encounter.partOf"},
		{req, "PractitionerRole", within("PractitionerRole", "organization", `"active":true`, organization), "silta-practitioner-role#PractitionerRole.organization", "PractitionerRole.organization"},
		{req, "PractitionerRole", within("PractitionerRole", "practitioner", `"active":true`, practitioner), "silta-practitioner-role#PractitionerRole.practitioner", "PractitionerRole.practitioner"},
		{req, "ServiceRequest", within("ServiceRequest", "encounter", `"status":"active","intent":"order","subject":{"reference":"@Patient"}`, encounter), "silta-service-request#ServiceRequest.encounter", "ServiceRequest.encounter"},

		{req, "Bundle.meta.profile", `["` + profiles.URL("/StructureDefinition/silta-message-update") + `"]`, "silta-message-update#Bundle.entry:header.resource.event[x]", "MessageHeader.eventCoding"},

		{feed, "DocumentReference.masterIdentifier.value", takeOut, "silta-document-reference#DocumentReference.masterIdentifier.value", ""},
		{feed, "DocumentReference.subject.reference", `"@Practitioner"`, "silta-document-reference#DocumentReference.subject", "DocumentReference.subject"},
		{feed, "DocumentReference.context.related[0]", again, "silta-document-reference#DocumentReference.context.related:referral", "DocumentReference.context.related[1]"},
		{feed, "DocumentReference.context.related[0].type", takeOut, "silta-document-reference#DocumentReference.context.related:referral.type", ""},
		{feed, "DocumentReference.context.related[0].type", `"Task"`, "silta-document-reference#DocumentReference.context.related:referral.type", ""},
		{feed, "DocumentReference.context.related[0].identifier.value", takeOut, "silta-document-reference#DocumentReference.context.related:referral.identifier.value", ""},
		{feed, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-feedback#Bundle.entry:header.resource.response", ""},
		{feed, "MessageHeader.focus[0].reference", `"@Patient"`, "silta-message-feedback#Bundle.entry:header.resource.focus", "MessageHeader.focus[0]"},
		{feed, "Bundle.entry[4]", `{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Task","status":"completed","intent":"order"}}`,
			"silta-message-feedback#Bundle.entry:task", ""},

		{appt, "Appointment.identifier[1]", fill, "silta-appointment#Appointment.identifier:FILL.value", "Appointment.identifier[1].value"},
		{appt, "Appointment.identifier", `[` + plac + `,` + plac + `]`, "silta-appointment#Appointment.identifier:PLAC", "Appointment.identifier[1]"},
		{appt, "Appointment.identifier", `[` + strings.Replace(plac, `"value":"X-1"`, `"system":"urn:oid:1.2.3"`, 1) + `]`, "silta-appointment#Appointment.identifier:PLAC.value", "Appointment.identifier[0].value"},
		{appt, "Appointment.extension[0].valueString", takeOut, "silta-appointment#Appointment.extension:referralId.value[x]", "Appointment.extension[0].value"},
		{appt, "Appointment.extension[0]", `{"url":"https://hl7.fi/fhir/finnish-scheduling/StructureDefinition/referral-id","valueInteger":7}`,
			"silta-appointment#Appointment.extension:referralId.value[x]", "Appointment.extension[0].valueInteger"},
		{appt, "Appointment.basedOn[0].type", `"Task"`, "silta-appointment#Appointment.basedOn.type", ""},
		{appt, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-appointment#Bundle.entry:header.resource.response", ""},
		{appt, "MessageHeader.focus[0].reference", `"@Patient"`, "silta-message-appointment#Bundle.entry:header.resource.focus", "MessageHeader.focus[0]"},
		{appt, "Bundle.entry[1]", again, "silta-message-appointment#Bundle.entry:appointment", "Bundle.entry[5]"},
		{appt, "Bundle.entry[1]", takeOut, "silta-message-appointment#Bundle.entry:appointment", "Bundle.entry"},
		{appt, "Bundle.entry[5]", `{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Task","status":"completed","intent":"order"}}`,
			"silta-message-appointment#Bundle.entry:task", ""},

		{profiles.Contact, "Task.status", `"accepted"`, "silta-message-contact#Bundle.entry:task.resource.status", ""},
		{profiles.Contact, "Task.for.reference", `"@Task"`, "silta-message-contact#Bundle.entry:task.resource.for", "Task.for"},
		{profiles.Contact, "Bundle.entry[1]", again, "silta-message-contact#Bundle.entry:task", "Bundle.entry[4]"},
		{profiles.Contact, "Bundle.entry[1]", takeOut, "silta-message-contact#Bundle.entry:task", "Bundle.entry"},
		{profiles.Contact, "Bundle.entry[3]", again, "silta-message-contact#Bundle.entry:patient", "Bundle.entry[4]"},
		{profiles.Contact, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-contact#Bundle.entry:header.resource.response", ""},
		{profiles.Contact, "MessageHeader.focus[0].reference", `"@Patient"`, "silta-message-contact#Bundle.entry:header.resource.focus", "MessageHeader.focus[0]"},

		{profiles.PatientChange, "Bundle.entry[1]", takeOut, "silta-message-patient#Bundle.entry:patient", "Bundle.entry"},
		{profiles.PatientChange, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-patient#Bundle.entry:header.resource.response", ""},
		{profiles.PatientChange, "MessageHeader.focus[0]", `{"reference":"Task/1"}`, "silta-message-patient#Bundle.entry:header.resource.focus", ""},

		{profiles.Merge, "Bundle.entry[2]", takeOut, "silta-message-merge#Bundle.entry:patient", "Bundle.entry"},
		{profiles.Merge, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-merge#Bundle.entry:header.resource.response", ""},
		{profiles.Merge, "MessageHeader.focus[0]", `{"reference":"Task/1"}`, "silta-message-merge#Bundle.entry:header.resource.focus", ""},

		{profiles.Result, "DiagnosticReport.subject.reference", `"@Observation"`, "silta-diagnostic-report#DiagnosticReport.subject", "DiagnosticReport.subject"},
		{profiles.Result, "Bundle.entry[1]", takeOut, "silta-message-result#Bundle.entry:report", "Bundle.entry"},
		{profiles.Result, "MessageHeader.response", `{"identifier":"M-1","code":"ok"}`, "silta-message-result#Bundle.entry:header.resource.response", ""},
		{profiles.Result, "MessageHeader.focus[0].reference", `"@Patient"`, "silta-message-result#Bundle.entry:header.resource.focus", "MessageHeader.focus[0]"},
		{profiles.Result, "Bundle.entry[4]", `{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Task","status":"completed","intent":"order"}}`,
			"silta-message-result#Bundle.entry:task", ""},

		{acc, "MessageHeader.response", takeOut, "silta-message-response-accepted#Bundle.entry:header.resource.response", ""},
		{acc, "MessageHeader.focus[0].reference", `"@Patient"`, "silta-message-response-accepted#Bundle.entry:header.resource.focus", "MessageHeader.focus[0]"},
		{acc, "Bundle.entry[1]", takeOut, "silta-message-response-accepted#Bundle.entry:task", "Bundle.entry"},
		{acc, "Bundle.entry[2]", takeOut, "silta-message-response-accepted#Bundle.entry:serviceRequest", "Bundle.entry"},
		{acc, "Bundle.entry[3]", takeOut, "silta-message-response-accepted#Bundle.entry:patient", "Bundle.entry"},
		{acc, "ServiceRequest.status", `"revoked"`, "silta-message-response-accepted#Bundle.entry:serviceRequest.resource.status", ""},
	}
	for _, system := range []struct{ slice, oid string }{{"sote", "urn:oid:1.2.246.537.6.202"}, {"soteVersioned", "urn:oid:1.2.246.537.6.202.2008"}} {
		id := func(more string) string { return `{"system":"` + system.oid + `"` + more + `}` }
		rule, bare := "silta-organization#Organization.identifier:"+system.slice, `,"value":"1.2.246.10.99999991.10.1"`
		whole := id(strings.Replace(bare, "1.2.246", "urn:oid:1.2.246", 1))
		list = append(list,
			broken{req, "Organization.identifier", "[" + whole + "," + whole + "]", rule, "Organization.identifier[1]"},
			broken{req, "Organization.identifier", "[" + id("") + "]", rule + ".value", "Organization.identifier[0].value"},
			broken{req, "Organization.identifier", "[" + id(bare) + "]", rule + ".value#silta-oid", "Organization.identifier[0].value"})
	}
	for _, custodian := range []struct{ slice, register, kind, other string }{
		{"publicCustodian", "urn:oid:1.2.246.537.6.40174", "1", "2"},
		{"privateCustodian", "urn:oid:1.2.246.537.6.202", "2", "1"},
		{"individualCustodian", "urn:oid:1.2.246.537.6.203", "2", "1"},
	} {
		agent := func(without string) string {
			whole := strings.NewReplacer("REGISTER", custodian.register, "KIND", custodian.kind).Replace(
				`{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"CST"}]},` +
					`"role":[{"coding":[{"system":"urn:oid:1.2.246.537.5.40172","code":"KIND"}]}],` +
					`"who":{"identifier":{"type":{"coding":[{"system":"` + profiles.V2Identifiers + `","code":"PRN"}]},"system":"REGISTER","value":"urn:oid:1.2.246.10.99999991.19.0"}}}`)
			return strings.Replace(whole, without, "", 1)
		}
		rule := "silta-provenance#Provenance.agent:" + custodian.slice
		role := `"role":[{"coding":[{"system":"urn:oid:1.2.246.537.5.40172","code":"` + custodian.kind + `"}]}],`
		list = append(list,
			broken{req, "Provenance.agent[0]", strings.Replace(agent(""), "CST", "AUT", 1), rule + ".type", "Provenance.agent[0].type"},
			broken{req, "Provenance.agent[0]", agent(role), rule + ".role", "Provenance.agent[0].role"},
			broken{req, "Provenance.agent[0]", strings.Replace(agent(""), role, strings.Replace(role, `"code":"`+custodian.kind, `"code":"`+custodian.other, 1), 1), rule + ".role", "Provenance.agent[0].role[0]"},
			broken{req, "Provenance.agent[0]", strings.Replace(agent(""), "PRN", "XX", 1), rule + ".who.identifier.type", "Provenance.agent[0].who.identifier.type"},
			broken{req, "Provenance.agent[0]", agent(`,"value":"urn:oid:1.2.246.10.99999991.19.0"`), rule + ".who.identifier.value", "Provenance.agent[0].who.identifier.value"})
	}
	for _, event := range profiles.Events() {
		wrong := profiles.Request
		if event == wrong {
			wrong = profiles.Update
		}
		list = append(list, broken{event, "MessageHeader.eventCoding.code", strconv.Quote(wrong), eventOf(event), "MessageHeader.eventCoding"})
	}
	for _, event := range profiles.Events()[:9] { // those about a referral's state
		list = append(list, broken{event, "Task.status", `"on-hold"`, "silta-message-" + event + "#Bundle.entry:task.resource.status", ""})
	}
	for _, event := range profiles.Events()[:4] { // those of the referrer
		list = append(list, broken{event, "ServiceRequest.status", `"completed"`, "silta-message-" + event + "#Bundle.entry:serviceRequest.resource.status", ""})
	}
	for _, event := range profiles.Events()[4:9] { // the answers
		list = append(list, broken{event, "MessageHeader.response.code", `"transient-error"`, "silta-message-" + event + "#Bundle.entry:header.resource.response.code", ""})
	}
	for _, event := range profiles.Events()[5:9] { // all but the first say why
		rule := "silta-message-" + event + "#Bundle.entry:task.resource.statusReason"
		list = append(list, broken{event, "Task.statusReason", takeOut, rule, ""}, broken{event, "Task.statusReason", `{"text":"?"}`, rule, ""})
	}
	for _, event := range profiles.Events()[7:9] { // a partner's map says these
		rule := "silta-message-" + event + "#Bundle.entry:task.resource.businessStatus"
		pending := `{"coding":[{"system":"` + profiles.URL(profiles.BusinessStatusSystem) + `","code":"pending"}]}`
		list = append(list, broken{event, "Task.businessStatus", takeOut, rule, ""}, broken{event, "Task.businessStatus", pending, rule, ""})
	}
	return list
}

func TestProfilesFindEachMistake(t *testing.T) {
	p := fhir.NewProfiles()
	for i, m := range mistakes() {
		t.Run(fmt.Sprintf("%03d_%s", i, m.path), func(t *testing.T) {
			var bundle any
			if err := json.Unmarshal(example(t, m.example), &bundle); err != nil {
				t.Fatal(err)
			}
			bundle = edit(t, bundle, steps(t, bundle, m.path), m.value)
			b, err := json.Marshal(bundle)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := fhir.Parse(references(b))
			if err != nil {
				t.Fatal(err)
			}
			at := m.at
			if at == "" {
				at = m.path
			}
			at = "Bundle." + strings.Join(steps(t, bundle, at), ".")
			rule, also, _ := strings.Cut(m.rule, " ")
			found := false
			for _, f := range p.Validate(tree, profiles.ForEvent(m.example)) {
				if f.Grade != "" {
					continue
				}
				switch {
				case f.Rule == rule && f.At == at:
					found = true
				case strings.Contains(f.Rule, "#") && f.Rule != also:
					t.Errorf("another fault: %s", f.Text(""))
				}
			}
			if !found {
				t.Errorf("no fault of %s at %s", rule, at)
			}
		})
	}
}

func example(t *testing.T, event string) []byte {
	t.Helper()
	b, err := profiles.Read("examples/" + event + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var indexed = regexp.MustCompile(`^(\w+)(?:\[(\d+)\])?$`)

// steps are a path's steps below the Bundle: Task.status is entry[1], resource, status.
func steps(t *testing.T, bundle any, path string) []string {
	t.Helper()
	parts := strings.Split(path, ".")
	if parts[0] == "Bundle" {
		return parts[1:]
	}
	m := indexed.FindStringSubmatch(parts[0])
	nth, _ := strconv.Atoi(m[2])
	for i, e := range bundle.(map[string]any)["entry"].([]any) {
		if e.(map[string]any)["resource"].(map[string]any)["resourceType"] != m[1] {
			continue
		}
		if nth--; nth < 0 {
			return append([]string{fmt.Sprintf("entry[%d]", i), "resource"}, parts[1:]...)
		}
	}
	t.Fatalf("the example has no %s", parts[0])
	return nil
}

// edit makes the change at the steps below v and gives v.
func edit(t *testing.T, v any, steps []string, value string) any {
	t.Helper()
	m := indexed.FindStringSubmatch(steps[0])
	object, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s stands in no object", steps[0])
	}
	name := m[1]
	last := len(steps) == 1
	switch index, err := strconv.Atoi(m[2]); {
	case err != nil && last && value == takeOut:
		delete(object, name)
	case err != nil && last:
		object[name] = parsed(t, value)
	case err != nil:
		if object[name] == nil {
			object[name] = map[string]any{}
		}
		object[name] = edit(t, object[name], steps[1:], value)
	default:
		list := object[name].([]any)
		switch {
		case !last:
			list[index] = edit(t, list[index], steps[1:], value)
		case value == takeOut:
			list = slices.Delete(list, index, index+1)
		case value == again:
			list = append(list, list[index])
		case index >= len(list):
			list = append(list, parsed(t, value))
		default:
			list[index] = parsed(t, value)
		}
		object[name] = list
	}
	return v
}

func parsed(t *testing.T, value string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var named = regexp.MustCompile(`"@(\w+)"`)

// references puts the fullUrl of the first resource of its type where "@Type" stands.
func references(b []byte) []byte {
	var bundle struct {
		Entry []struct {
			FullURL  string
			Resource struct{ ResourceType string }
		}
	}
	_ = json.Unmarshal(b, &bundle)
	return named.ReplaceAllFunc(b, func(ref []byte) []byte {
		typ := string(named.FindSubmatch(ref)[1])
		for _, e := range bundle.Entry {
			if e.Resource.ResourceType == typ {
				return strconv.AppendQuote(nil, e.FullURL)
			}
		}
		return ref
	})
}

type definition struct {
	ID, URL, BaseDefinition, Type string
	Differential                  struct{ Element []map[string]any }
}

func definitions(t *testing.T) map[string]definition {
	t.Helper()
	all := map[string]definition{}
	names, err := fs.Glob(profiles.Files, "definitions/StructureDefinition-silta-*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no profiles")
	}
	for _, name := range names {
		b, err := profiles.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		var d definition
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		all[d.URL] = d
	}
	return all
}

// Every constraint that a profile makes is broken by one of the mistakes, but for what tells slices apart: an item that
// lacks it is in no slice.
func TestEachConstraintHasItsMistake(t *testing.T) {
	all := definitions(t)
	tried := map[string]bool{} // profile#element, for the profile and those it derives from
	for _, m := range mistakes() {
		rule, _, _ := strings.Cut(m.rule, " ")
		name, element, _ := strings.Cut(rule, "#")
		for d, ok := all[profiles.URL("/StructureDefinition/"+name)]; ok; d, ok = all[d.BaseDefinition] {
			tried[d.ID+"#"+element] = true
		}
	}
	for _, d := range all {
		for _, e := range d.Differential.Element {
			id := e["id"].(string)
			for _, c := range constraints(d, e) {
				rule := d.ID + "#" + id + c
				if !tried[rule] && !discriminates(d, id) {
					t.Errorf("no mistake breaks %s", rule)
				}
			}
		}
	}
}

// constraints says what an element constrains: "" for its cardinality, value, codes or types, #key for an invariant.
func constraints(d definition, e map[string]any) (found []string) {
	for name := range e {
		switch {
		case name == "min" && e["min"] != 0.0, name == "max" && e["max"] != "*", name == "binding",
			strings.HasPrefix(name, "fixed"), strings.HasPrefix(name, "pattern"):
			found = append(found, "")
		case name == "type":
			if !strings.Contains(fmt.Sprint(e["type"]), " profile:") { // the profile's own mistakes show it
				found = append(found, "")
			}
		case name == "constraint":
			for _, c := range e["constraint"].([]any) {
				found = append(found, "#"+c.(map[string]any)["key"].(string))
			}
		}
	}
	return found
}

// discriminates says whether the element, or one above it, is what tells its slice from others.
func discriminates(d definition, id string) bool {
	for _, e := range d.Differential.Element {
		s, ok := e["slicing"].(map[string]any)
		if !ok {
			continue
		}
		path := s["discriminator"].([]any)[0].(map[string]any)["path"].(string)
		slice, rest, ok := strings.Cut(strings.TrimPrefix(id, e["id"].(string)+":"), ".")
		if ok && slice != id && (rest == path || strings.HasPrefix(path, rest+".")) {
			return true
		}
	}
	return false
}

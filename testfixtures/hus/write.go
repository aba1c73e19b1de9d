package hus

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/google/uuid"

	"github.com/hoitosilta/silta/testfixtures/generate"
)

// Answer is a message that HUS has written about a referral.
type Answer struct {
	Event   string
	Control string
	Answers string // the id by which HUS knows the referral's message
	Placer  string
	Body    []byte
}

// The texts that HUS writes. All people are invented.
const (
	advice   = "Kutsu lähetetään kahden viikon kuluessa."
	advice2  = "Älä aja itse, silmät laajennetaan tipoilla."
	feedback = "Löydös hyvänlaatuinen. Kontrolli vuoden kuluttua perusterveydenhuollossa."
)

// letter is an answer being written. What it says depends on the referral and its time of arrival alone, so writing
// it again gives the same bytes.
type letter struct {
	to      *message
	about   Received
	event   string
	control string
	entries []any
}

func begin(r Received, event, trigger string) (*letter, error) {
	m, err := readMessage(r.Body)
	if err != nil {
		return nil, fmt.Errorf("hus: read the referral again: %w", err)
	}
	l := &letter{to: m, about: r, event: event, control: fmt.Sprintf("HUS-%012X", number(event, m.control))}
	header := object{
		"resourceType": "MessageHeader",
		"eventCoding":  object{"system": m.system, "code": event},
		"source":       object{"name": "HUS", "endpoint": "urn:oid:" + generate.ReceiverOID + ".18.1"},
		"sender":       object{"identifier": object{"system": "urn:ietf:rfc:3986", "value": "urn:oid:" + generate.ReceiverOID + ".10.0"}, "display": "HUS"},
	}
	if source := child(m.header, "source"); source != nil {
		to := object{"name": text(source, "name"), "endpoint": text(source, "endpoint")}
		if sender := child(m.header, "sender"); sender != nil {
			to["receiver"] = sender
		}
		header["destination"] = []any{to}
	}
	if trigger != "" {
		header["extension"] = []any{object{"url": extensionBase(m.system) + "/StructureDefinition/trigger-event",
			"valueCoding": object{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": trigger}}}
	}
	l.add("header", header)
	return l, nil
}

// extensionBase is the base URL of the words that the referral came in: its event's code system without its name.
func extensionBase(system string) string {
	const name = "/CodeSystem/event"
	if len(system) > len(name) && system[len(system)-len(name):] == name {
		return system[:len(system)-len(name)]
	}
	return system
}

// number gives a number of 48 bits that stays the same for the same words.
func number(words ...string) uint64 {
	h := fnv.New64a()
	for _, w := range words {
		h.Write([]byte(w))
		h.Write([]byte{0})
	}
	return h.Sum64() >> 16
}

// at gives the moment d after the referral came, in Finnish time.
func (l *letter) at(d time.Duration) time.Time {
	zone, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		zone = time.FixedZone("", 2*60*60)
	}
	return l.about.At.Add(d).In(zone).Truncate(time.Second)
}

// url gives the fullUrl of an entry by its name within this letter.
func (l *letter) url(name string) string {
	return "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(generate.ReceiverOID+"/"+l.control+"/"+name)).String()
}

func (l *letter) link(name string) object { return object{"reference": l.url(name)} }

func (l *letter) add(name string, resource object) {
	l.entries = append(l.entries, object{"fullUrl": l.url(name), "resource": resource})
}

func (l *letter) header() object { return l.entries[0].(object)["resource"].(object) }

// patient repeats whom the referral is about: identifiers and name, nothing else.
func (l *letter) patient() {
	patient := object{"resourceType": "Patient"}
	for _, member := range []string{"identifier", "name"} {
		if v, there := l.to.first["Patient"][member]; there {
			patient[member] = v
		}
	}
	l.add("patient", patient)
}

func (l *letter) doctor() {
	l.add("doctor", object{"resourceType": "Practitioner",
		"identifier": []any{object{"system": "urn:oid:1.2.246.537.26", "value": "00199999902"}},
		"name":       []any{object{"family": "Hägg", "given": []any{"Aino"}}}})
}

// filler is HUS's own id of the referral.
func (l *letter) filler() object {
	return object{"type": typed("FILL"), "system": "urn:oid:" + generate.ReceiverOID + ".17", "value": fmt.Sprintf("HUS-R-%012X", number(l.to.control))}
}

func typed(code string) object {
	return object{"coding": []any{object{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}}}
}

// referralIDs are the referral's identifiers as both sides know it.
func (l *letter) referralIDs() []any {
	if placer := l.to.identifier("PLAC"); placer != nil {
		return []any{placer, l.filler()}
	}
	return []any{l.filler()}
}

// referral names the referral without carrying it.
func (l *letter) referral() object {
	return object{"type": "ServiceRequest", "identifier": l.referralIDs()[0]}
}

func (l *letter) finish(focus string, made time.Time) (Answer, error) {
	l.header()["focus"] = []any{l.link(focus)}
	body, err := json.Marshal(object{"resourceType": "Bundle", "type": "message", "identifier": object{"value": l.control},
		"timestamp": made.Format(time.RFC3339), "entry": l.entries})
	if err != nil {
		return Answer{}, fmt.Errorf("hus: write an answer: %w", err)
	}
	return Answer{Event: l.event, Control: l.control, Answers: l.to.control, Placer: l.about.Placer, Body: body}, nil
}

// Accepted writes that HUS takes the referral.
func Accepted(r Received) (Answer, error) {
	l, err := begin(r, "response-accepted", "")
	if err != nil {
		return Answer{}, err
	}
	l.header()["response"] = object{"identifier": l.to.control, "code": "ok"}
	l.add("task", object{
		"resourceType": "Task", "identifier": l.referralIDs(), "status": "accepted", "intent": "order",
		"businessStatus": object{"coding": []any{object{"system": extensionBase(l.to.system) + "/CodeSystem/business-status", "code": "accepted"}}},
		"focus":          l.link("referral"), "for": l.link("patient"), "owner": l.link("role"),
		"note": []any{object{"text": advice}},
	})
	l.add("referral", object{"resourceType": "ServiceRequest", "identifier": l.referralIDs(), "status": "active", "intent": "order", "subject": l.link("patient")})
	l.patient()
	l.add("role", object{"resourceType": "PractitionerRole", "practitioner": l.link("doctor")})
	l.doctor()
	return l.finish("task", l.at(0))
}

// Booked writes when and where the visit is: two weeks after the referral came, at ten.
func Booked(r Received) (Answer, error) {
	l, err := begin(r, "appointment", "S12")
	if err != nil {
		return Answer{}, err
	}
	day := l.at(14 * 24 * time.Hour)
	from := time.Date(day.Year(), day.Month(), day.Day(), 10, 0, 0, 0, day.Location())
	appointment := object{
		"resourceType": "Appointment", "status": "booked", "minutesDuration": 30,
		"identifier":  []any{object{"type": typed("FILL"), "system": "urn:oid:" + generate.ReceiverOID + ".19", "value": fmt.Sprintf("HUS-A-%012X", number("visit", l.to.control))}},
		"serviceType": []any{object{"text": "Erikoislääkärin vastaanotto"}},
		"start":       from.Format(time.RFC3339), "end": from.Add(30 * time.Minute).Format(time.RFC3339),
		"comment": advice2, "basedOn": []any{l.referral()},
	}
	if l.about.Placer != "" {
		appointment["extension"] = []any{object{"url": "https://hl7.fi/fhir/finnish-scheduling/StructureDefinition/referral-id", "valueString": l.about.Placer}}
	}
	var participants []any
	for _, who := range []string{"patient", "doctor", "place"} {
		participants = append(participants, object{"actor": l.link(who), "status": "accepted"})
	}
	appointment["participant"] = participants
	l.add("appointment", appointment)
	l.patient()
	l.doctor()
	l.add("place", object{"resourceType": "Location", "identifier": []any{object{"value": "POLI-2"}}, "name": "Poliklinikka, huone 2"})
	return l.finish("appointment", l.at(time.Second))
}

// Feedback writes what came of the visit (hoitopalaute), as a PDF.
func Feedback(r Received) (Answer, error) {
	l, err := begin(r, "feedback", "T02")
	if err != nil {
		return Answer{}, err
	}
	pdf := generate.PDF([]string{"Hoitopalaute", "", feedback}, 0)
	id := object{"system": "urn:oid:" + generate.ReceiverOID + ".93", "value": fmt.Sprintf("PAL-%012X", number("feedback", l.to.control))}
	l.add("document", object{
		"resourceType": "DocumentReference", "masterIdentifier": id, "status": "current", "docStatus": "final",
		"type": object{"text": "Hoitopalaute"}, "subject": l.link("patient"), "date": l.at(2 * time.Second).Format(time.RFC3339),
		"author":  []any{l.link("doctor")},
		"content": []any{object{"attachment": object{"contentType": "application/pdf", "data": base64.StdEncoding.EncodeToString(pdf), "title": "Hoitopalaute"}}},
		"context": object{"related": []any{l.referral()}},
	})
	l.patient()
	l.doctor()
	return l.finish("document", l.at(2*time.Second))
}

// Package generate invents referral messages. The same seed and options give the same bytes, so a run that failed
// can be repeated; nobody in them exists, and every henkilötunnus is of the 900 series.
package generate

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// Options say what messages are made. The zero Options make REF^I12 of version 2.5.1 in UTF-8, about 3 KB each.
type Options struct {
	Seed      uint64
	Prefix    string    // of control ids and referral ids, at most 8 characters; tells runs apart. G
	Event     string    // I12, I13, I14. Empty: I12 for a referral's first message, I13 for the later ones
	Version   string    // MSH-12; 2.5.1
	Charset   string    // MSH-18: UNICODE UTF-8, 8859/1 or 8859/15
	Referrals int       // messages take turns over so many referrals; 0: each message is a referral of its own
	Size      int       // of a message in bytes, about; smaller than about 1,500 leaves the attachment out; 3,000
	Start     time.Time // MSH-7 of the first message, each later one a second more; 2 March 2026
	Priority  string    // RF1-2; empty: R, S and A take turns
}

// Message is one that was made.
type Message struct {
	Control string // MSH-10
	Placer  string // RF1-6.1: the referral
	Mark    string // a text in its note that no other message has: what arrives can be told by it
	Number  int    // counts from 1 in the order of making, which is the order of each referral
	Bytes   []byte
}

// Maker makes messages, one after another.
type Maker struct {
	o      Options
	random *rand.Rand
	made   int
	people map[string]person // by referral
}

// New gives a maker. A character set that it doesn't know is an error.
func New(o Options) (*Maker, error) {
	o.Prefix = or(o.Prefix, "G")
	o.Version = or(o.Version, "2.5.1")
	o.Charset = or(o.Charset, "UNICODE UTF-8")
	if o.Size == 0 {
		o.Size = 3000
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 2, 9, 15, 0, 0, time.FixedZone("", 2*60*60))
	}
	if _, err := encode("", o.Charset); err != nil {
		return nil, err
	}
	return &Maker{o: o, random: rand.New(rand.NewPCG(o.Seed, 0x5117a)), people: map[string]person{}}, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// Next makes a message.
func (m *Maker) Next() Message {
	m.made++
	referral := m.made
	if m.o.Referrals > 0 {
		referral = (m.made-1)%m.o.Referrals + 1
	}
	message := Message{
		Control: fmt.Sprintf("%s%07d", m.o.Prefix, m.made),
		Placer:  fmt.Sprintf("LAH-%s-%06d", m.o.Prefix, referral),
		Mark:    fmt.Sprintf("viite %s/%07d.", m.o.Prefix, m.made),
		Number:  m.made,
	}
	event := m.o.Event
	if event == "" {
		event = "I12"
		if referral != m.made {
			event = "I13"
		}
	}
	message.Bytes = m.write(message, event)
	return message
}

// Take makes n messages.
func (m *Maker) Take(n int) []Message {
	all := make([]Message, n)
	for i := range all {
		all[i] = m.Next()
	}
	return all
}

func (m *Maker) write(message Message, event string) []byte {
	patient, known := m.people[message.Placer]
	if !known {
		patient = invent(m.random)
		m.people[message.Placer] = patient
	}
	at := m.o.Start.Add(time.Duration(message.Number) * time.Second)
	segments := []string{
		m.header(message, event, at),
		m.referral(message, at),
		m.referrer(),
		m.receiver(),
		m.patient(patient),
		m.kin(patient),
		fmt.Sprintf("DG1|1||%s^^%s||%s|W", pick(m.random, diagnoses), icd10, at.Format("20060102")),
	}
	// PV1 ends the results' group, so that the note behind it is one of the message itself.
	visit := "PV1|1|O"
	note := fmt.Sprintf("NTE|1||%s Lisätietoja: sisarukset S\\T\\K. %s", pick(m.random, notes), message.Mark)
	length := len(visit) + 1 + len(note)
	for _, s := range segments {
		length += len(s) + 1
	}
	if m.o.Size-length > 300 {
		segments = append(segments, m.attachment(at, m.o.Size-length)...)
	}
	text := strings.Join(append(segments, visit, note), "\r") + "\r"
	b, err := encode(text, m.o.Charset)
	if err != nil {
		panic(err) // the texts above are ours, and New has tried the character set
	}
	return b
}

func (m *Maker) header(message Message, event string, at time.Time) string {
	kind := "REF^" + event
	if m.o.Version >= "2.3.1" {
		kind += "^REF_I12"
	}
	return fmt.Sprintf(`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|%s||%s|%s|P|%s||||||%s`,
		at.Format("20060102150405-0700"), kind, message.Control, m.o.Version, m.o.Charset)
}

func (m *Maker) referral(message Message, at time.Time) string {
	priority := or(m.o.Priority, []string{"R", "A", "S"}[m.random.IntN(3)])
	return fmt.Sprintf("RF1|P|%s|Med^Medical^HL70281|||%s^^%s.17^ISO|%s||%s|^%s",
		priority, message.Placer, ReferrerOID, at.Format("20060102"), at.Format("20060102150405-0700"), pick(m.random, reasons))
}

func (m *Maker) referrer() string {
	return fmt.Sprintf("PRD|RP^Referring Provider^HL70286|%s^%s|||^WPN^PH^^^^^^^^^+358 9 000 0000||001999999%02d^1.2.246.537.26",
		pick(m.random, familyNames), pick(m.random, women), m.random.IntN(100))
}

// receiver is a unit, not a person: before version 2.6 its name stands where a person's would, its OID in PRD-7.
func (m *Maker) receiver() string {
	unit := m.random.IntN(len(units))
	return fmt.Sprintf("PRD|RT^Referred to Provider^HL70286|%s|||||%s.10.%d^OID", units[unit], ReceiverOID, unit+7)
}

func (m *Maker) patient(p person) string {
	return fmt.Sprintf("PID|1||%s^^^&%s&ISO^NNFIN||%s^%s^%s^^^^L||%s|%s|||%s^^%s^^00100^FI^H||^PRN^CP^^^^^^^^^%s",
		p.hetu, hetuRoot, p.family, p.given, p.second, p.born.Format("20060102"), p.sex(), p.street, p.place, p.phone)
}

func (m *Maker) kin(p person) string {
	return fmt.Sprintf("NK1|1|%s^%s|SPO^Spouse^HL70063||^PRN^CP^^^^^^^^^+358 40 000 %04d", p.family, pick(m.random, men), m.random.IntN(10000))
}

// attachment is a report with a PDF of about size bytes in all, as base64 in an ED.
func (m *Maker) attachment(at time.Time, size int) []string {
	pdf := PDF([]string{"Lähetteen liite", "Keksitty asiakirja, keksitty potilas"}, (size-200)*3/4)
	return []string{
		fmt.Sprintf("OBR|1|||LIITE^Lähetteen liite^L|||%s||||||||||||||||||F", at.Format("20060102150405-0700")),
		"OBX|1|ED|LIITE^Lähetteen liite^L||^application^pdf^Base64^" + base64.StdEncoding.EncodeToString(pdf) + "||||||F",
	}
}

// encode writes text in the character set that MSH-18 names.
func encode(text, charset string) ([]byte, error) {
	switch charset {
	case "UNICODE UTF-8":
		return []byte(text), nil
	case "8859/1":
		return charmap.ISO8859_1.NewEncoder().Bytes([]byte(text))
	case "8859/15":
		return charmap.ISO8859_15.NewEncoder().Bytes([]byte(text))
	}
	return nil, fmt.Errorf("generate: the character set %q isn't known", charset)
}

package contracts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/google/uuid"
)

// ID is a UUID in its text form. Every id of ours is derived (version 5) from what it names, so doing a thing twice
// gives the same id and nothing new.
type ID string

// space is the namespace of all derived ids. It was drawn once; another one would give every message a new id.
var space = uuid.MustParse("6f2c1a0e-9b1d-5c37-8f43-5a1d0c9e7b21")

func derive(kind string, parts ...string) ID {
	return ID(uuid.NewSHA1(space, join(kind, parts)).String())
}

// join writes each part behind its length, so that no two lists of parts give the same bytes.
func join(kind string, parts []string) []byte {
	b := append([]byte(kind), 0)
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// IncomingID names a message by who sent it, under which control id, with which bytes. application and facility
// are MSH-3 and MSH-4 as raw fields (empty for FHIR), control is MSH-10 or the Bundle's id. Same bytes, same id.
func IncomingID(partner, application, facility, control string, d Digest) ID {
	return derive("incoming", partner, application, facility, control, string(d))
}

// EditedID names an operator's edited copy of a message: cause is the original, d the copy's bytes.
func EditedID(cause ID, d Digest) ID { return derive("edited", string(cause), string(d)) }

// OutgoingID names what leaves for a receiver because of an incoming message. route is the receiving partner, step
// tells apart several messages to one receiver, and generation rises only when an operator sends other bytes.
func OutgoingID(in ID, route, step string, generation int) ID {
	return derive("outgoing", string(in), route, step, strconv.Itoa(generation))
}

// JourneyID names the journey that a message opens.
func JourneyID(first ID) ID { return derive("journey", string(first)) }

// StepID names a step. n tells apart repeats of one kind of step for one message: the attempt, mostly.
func StepID(message ID, step, to string, n int) ID {
	return derive("step", string(message), step, to, strconv.Itoa(n))
}

// DerivedID names anything else that has to be the same each time: kind and parts say what.
func DerivedID(kind string, parts ...string) ID { return derive("other/"+kind, parts...) }

// Control is the MSH-10 (or Bundle.identifier) under which a message of ours leaves: the first 20 characters of the
// id in base32, 100 bits of it, because MSH-10 is ST(20) in most versions (HL7 v2.5.1, 2.14.9.10).
func (id ID) Control() string {
	u, err := uuid.Parse(string(id))
	if err != nil {
		return ""
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(u[:])[:20]
}

// Digest names bytes: a keyed SHA-256 in hexadecimal, so that it can't be compared with a guess.
type Digest string

// Key keeps order: messages with equal keys are worked one after another. It is a keyed hash in hexadecimal, so
// that no identifier of a person or a referral stands in a topic.
type Key string

// Secret is the installation's HMAC secret. All processes of one installation share it.
type Secret struct{ b *holder }

// NewSecret holds b, which must be at least 32 random bytes.
func NewSecret(b []byte) (Secret, error) {
	if len(b) < 32 {
		return Secret{}, &Fault{Kind: Invalid, Code: "CFG-020", Public: "The secret must be at least 32 bytes."}
	}
	return Secret{&holder{func() []byte { return b }}}, nil
}

// String says nothing.
func (s Secret) String() string { return "secret" }

func (s Secret) sum(kind string, parts ...string) []byte {
	h := hmac.New(sha256.New, s.b.bytes())
	h.Write(join(kind, parts))
	return h.Sum(nil)
}

// Digest of b.
func (s Secret) Digest(b []byte) Digest {
	h := hmac.New(sha256.New, s.b.bytes())
	h.Write([]byte("digest\x00"))
	h.Write(b)
	return Digest(hex.EncodeToString(h.Sum(nil)))
}

// Key over parts: the sender and a referral's identifier, or a journey's id.
func (s Secret) Key(parts ...string) Key { return Key(hex.EncodeToString(s.sum("key", parts...)[:16])) }

// Person hides a patient's identifier, so that who knows it finds what it names and nobody else reads it.
func (s Secret) Person(identifier string) string {
	return "patient:" + hex.EncodeToString(s.sum("person", identifier)[:16])
}

// Identity hides a patient's identifier together with who gave it: equal where both are, so that equal numbers of two
// registers aren't taken for one person. authority is the identifier's system, else its assigner's name, else empty.
func (s Secret) Identity(authority, identifier string) string {
	return "identity:" + hex.EncodeToString(s.sum("identity", authority, identifier)[:16])
}

// OnceKey is the key under which a sender's control id is claimed.
func (s Secret) OnceKey(partner, application, facility, control string) Key {
	return Key(hex.EncodeToString(s.sum("once", partner, application, facility, control)[:16]))
}

// Fingerprint tells two secrets apart without telling either. It is kept in the ledger and compared at start.
func (s Secret) Fingerprint() string { return hex.EncodeToString(s.sum("fingerprint")[:8]) }

package fhirrest

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// Sender is a partner who may come in: the bearer token that it shows, and what the door tells it of its contract.
type Sender struct {
	Partner  string
	Title    string // what people call it
	Token    string
	MaxBytes int      // of one request; 0 = 32 MB
	Sends    []string // the events that it may send, of profiles.Events
	Gets     []string // the events that are sent to it
}

// NewSender reads a sender from its contract. The others' contracts say what is sent to it: what their routes lead to it,
// and their answers to what it sends them. Who they are isn't told.
func NewSender(p *contracts.Partner, all []*contracts.Partner, token string) Sender {
	s := Sender{Partner: p.ID, Title: p.Title.EN, Token: token}
	if p.Door.FHIR != nil {
		s.MaxBytes = p.Door.FHIR.MaxBytes
	}
	for _, event := range profiles.Events() {
		if maySend(p, event) {
			s.Sends = append(s.Sends, event)
		}
		if p.Courier.FHIR != nil && slices.ContainsFunc(all, func(other *contracts.Partner) bool { return reaches(other, event, p) }) {
			s.Gets = append(s.Gets, event)
		}
	}
	return s
}

// maySend says whether a contract lets its partner say an event, in whatever format.
func maySend(p *contracts.Partner, event string) bool {
	if p.Dialect.Format == contracts.FormatFHIR {
		return p.Door.FHIR != nil && contracts.Takes(p.Accepts.Types, event)
	}
	return p.Door.MLLP != nil && slices.ContainsFunc(profiles.V2Types(event), func(typ string) bool {
		return contracts.Takes(p.Accepts.Types, typ) && p.MapIn(typ) != ""
	})
}

// reaches says whether an event of a partner comes to another one: by a route, or as an answer, which needs none.
func reaches(from *contracts.Partner, event string, to *contracts.Partner) bool {
	if from.ID == to.ID || !maySend(from, event) {
		return false
	}
	return slices.Contains(from.Receivers(event), to.ID) || profiles.Answers(event) && asks(to, from)
}

// asks says whether a partner sends another one what can be answered.
func asks(p, other *contracts.Partner) bool {
	return slices.ContainsFunc(profiles.Events(), func(event string) bool {
		return !profiles.Answers(event) && maySend(p, event) && slices.Contains(p.Receivers(event), other.ID)
	})
}

// knownSender is a sender as the door keeps it.
type knownSender struct {
	Sender
	digest [sha256.Size]byte
	since  time.Time // when the door took its contract up
}

// known checks senders: their tokens must differ and not be empty. Those of before that haven't changed stay as they are.
func known(senders []Sender, before []knownSender, now time.Time) ([]knownSender, error) {
	var all []knownSender
	byToken := map[string]string{}
	for _, s := range senders {
		if s.Token == "" {
			return nil, contracts.Faultf(contracts.Invalid, CodeNoToken, "", "The FHIR door of %s has an empty token.", s.Partner)
		}
		if other, taken := byToken[s.Token]; taken {
			return nil, contracts.Faultf(contracts.Invalid, CodeNoToken, "", "The FHIR doors of %s and %s have the same token.", other, s.Partner)
		}
		byToken[s.Token] = s.Partner
		if s.MaxBytes == 0 {
			s.MaxBytes = maxBytes
		}
		k := knownSender{s, sha256.Sum256([]byte(s.Token)), now}
		if i := slices.IndexFunc(before, k.isAgain); i >= 0 {
			k.since = before[i].since
		}
		all = append(all, k)
	}
	return all, nil
}

// isAgain says whether nothing is told of k that wasn't told before.
func (k knownSender) isAgain(before knownSender) bool {
	return k.Partner == before.Partner && k.Title == before.Title && k.MaxBytes == before.MaxBytes &&
		slices.Equal(k.Sends, before.Sends) && slices.Equal(k.Gets, before.Gets)
}

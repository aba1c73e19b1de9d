package hub

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// A merge (HL7 v2 MRG) joins two orders: what a patient is sent for under the surviving id goes behind what was sent under
// the prior one. The two have different keys, so different lanes, and one lane can't wait for another. The merge itself
// goes in the lane of the surviving id. Behind each prior id the door publishes a record that only says "what came before
// here is known": when the prior's lane gets there, all that came before stands in the ledger, done or held. Then the
// merge waits until that is settled, and what comes after it waits behind it like behind any message.

// merged gives the ids that a message merges into its patient's: all of them, or a fault if there are more than the hub
// keeps in order.
func merged(head *hl7v2.Header) ([]string, *contracts.Fault) {
	var ids []string
	for i := range head.Segments() {
		segment := head.Segment(i)
		if !segment.Is("MRG") {
			continue
		}
		for _, repetition := range segment.Field(1).All() {
			id := repetition.At(1).Text()
			if id == "" {
				continue
			}
			if len(ids) == mergeMost {
				return nil, tooMany("MRG-1")
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func keyWords(keys []contracts.Key) string {
	words := make([]string, len(keys))
	for i, k := range keys {
		words[i] = string(k)
	}
	return strings.Join(words, " ")
}

// publishMerge puts a word of a merge behind all that came before under each prior key. Done again it does no harm.
func (h *Hub) publishMerge(ctx context.Context, merge contracts.Record, prior []contracts.Key) error {
	for _, key := range prior {
		word := contracts.Record{Topic: contracts.TopicIn, Key: key, ID: contracts.DerivedID("merge", string(merge.ID), string(key)), Time: merge.Time,
			Body: contracts.NewBody([]byte("{}")), Header: map[string]string{contracts.HeaderMerge: string(merge.ID), contracts.HeaderFormat: contracts.FormatFHIR}}
		for _, same := range []string{contracts.HeaderPartner, contracts.HeaderType, contracts.HeaderControl} {
			word.Header[same] = merge.Header[same]
		}
		if _, err := h.publish(ctx, word, nil); err != nil {
			return err
		}
	}
	return nil
}

// noteMerge records that what came before a merge under one prior key is known.
func (h *Hub) noteMerge(ctx context.Context, word contracts.Record) error {
	merge := contracts.ID(word.Header[contracts.HeaderMerge])
	return h.apply(ctx, contracts.Change{Received: word.Time, Steps: []contracts.Step{{ID: contracts.StepID(merge, contracts.StepBehind, string(word.Key), 0),
		At: h.now(), Message: merge, Control: word.Header[contracts.HeaderControl], Type: word.Header[contracts.HeaderType], Step: contracts.StepBehind,
		From: word.Header[contracts.HeaderPartner]}}})
}

// comesBehind lets a merge wait until what came before it under its prior keys is settled.
func (h *Hub) comesBehind(ctx context.Context, merge contracts.Record, received time.Time) error {
	prior := strings.Fields(merge.Header[contracts.HeaderBehind])
	if len(prior) == 0 {
		return nil
	}
	steps, err := h.ledger.MessageSteps(ctx, merge.ID)
	if err != nil {
		return err
	}
	known := merge.Header[contracts.HeaderOperator] != "" // whoever had it done again came long behind
	for _, key := range prior {
		word := contracts.StepID(merge.ID, contracts.StepBehind, key, 0)
		held := !known && !slices.ContainsFunc(steps, func(s contracts.Step) bool { return s.ID == word })
		if !held {
			if held, err = h.ledger.Unsettled(ctx, contracts.Key(key), received); err != nil {
				return err
			}
		}
		if held {
			return contracts.Faultf(contracts.NotFound, "HUB-024", "MRG-1", "It merges an identity of which earlier messages aren't delivered yet, and waits for them.")
		}
	}
	return nil
}

// patients adds the patients' ids to a message's names, hidden, so that its journey is found by them. Those of a patient
// who replaces another name the journeys of both, whichever they came under.
func (h *Hub) patients(ctx context.Context, e contracts.Entry, bundle *fhir.Tree, names []contracts.Identifier) ([]contracts.Identifier, error) {
	all, err := h.persons(bundle)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		journeys, known := []contracts.ID{e.Journey}, map[contracts.Identifier]bool{}
		asked := p.ids
		if !p.merged {
			asked = nil
		}
		for _, id := range asked {
			hits, err := h.lookup(ctx, e.Partner, contracts.IDPatient, []string{id.identity})
			if err != nil {
				return nil, err
			}
			for _, hit := range hits {
				known[identifier(e.Partner, contracts.IDPatient, id.identity, e.ID, hit.Journey)] = true
			}
			journeys = append(journeys, journeysOf(hits)...)
		}
		slices.Sort(journeys)
		for _, journey := range slices.Compact(journeys) {
			for _, id := range p.ids {
				name := identifier(e.Partner, contracts.IDPatient, id.identity, e.ID, journey)
				if !known[name] {
					names = append(names, name, identifier(e.Partner, contracts.IDPatient, id.value, e.ID, journey))
				}
			}
		}
	}
	return names, nil
}

// person is whom a message is about: all ids, hidden, of the patients who are one by what it says.
type person struct {
	ids    []personID
	merged bool
}

// personID is an id, hidden twice: with who gave it, which ties journeys together, and alone, which people search by. A
// search may show several persons whose numbers are equal; a merge must not make them one.
type personID struct{ identity, value string }

// persons gives those of a message. Each patient is read once, and those who replace each other are one.
func (h *Hub) persons(bundle *fhir.Tree) ([]*person, error) {
	b := fhir.NewBundle(bundle.Root())
	var patients []fhir.Node
	one, of := map[fhir.Node]fhir.Node{}, map[personID]fhir.Node{} // a patient's other self, or itself; whose an id is
	self := func(n fhir.Node) fhir.Node {
		for one[n] != n {
			one[n] = one[one[n]]
			n = one[n]
		}
		return n
	}
	var ids []personID
	read := func(patient fhir.Node) {
		if _, seen := one[patient]; seen {
			return
		}
		one[patient] = patient
		patients = append(patients, patient)
		for id := range patient.Get("identifier").Each() {
			value := id.Get("value").Text()
			if value == "" {
				continue
			}
			hidden := personID{h.secret.Identity(authority(id), value), h.secret.Person(value)}
			if other, taken := of[hidden]; taken {
				one[self(patient)] = self(other)
				continue
			}
			of[hidden] = patient
			ids = append(ids, hidden)
		}
	}
	var replacing []fhir.Node
	for patient := range b.Resources("Patient") {
		read(patient)
		for link := range patient.Get("link").Each() {
			if other := b.Resolve(link.Get("other")); link.Get("type").Is("replaces") && other.Exists() {
				read(other)
				one[self(other)] = self(patient)
				replacing = append(replacing, patient)
			}
		}
	}
	if len(ids) > mergeMost {
		return nil, tooMany("Patient.identifier")
	}
	var all []*person
	at := map[fhir.Node]*person{}
	for _, id := range ids {
		who := self(of[id])
		if at[who] == nil {
			at[who] = &person{}
			all = append(all, at[who])
		}
		at[who].ids = append(at[who].ids, id)
	}
	for _, patient := range replacing {
		if p := at[self(patient)]; p != nil {
			p.merged = true
		}
	}
	return all, nil
}

// authority is who gave an identifier, as a map writes it: by its system or, where it has none, by its name.
func authority(id fhir.Node) string {
	return cmp.Or(id.Get("system").Text(), id.Get("assigner").Get("display").Text())
}

// mergeMost is how many ids of patients one message names. Each costs a question to the ledger, or a record on the bus.
const mergeMost = 1000

func tooMany(at string) *contracts.Fault {
	return contracts.Faultf(contracts.Invalid, "HUB-025", at, "The message names more than %d ids of patients.", mergeMost)
}

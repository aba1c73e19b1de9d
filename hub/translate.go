package hub

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
)

// translate works one record of silta.in. Nil finishes it: translated, parked, or waiting behind its key. An error
// is trouble of our own (ledger, bus): the record comes again.
func (h *Hub) translate(ctx context.Context, r contracts.Record) error {
	if r.Header[contracts.HeaderMerge] != "" {
		return h.noteMerge(ctx, r)
	}
	q := h.queues[contracts.TopicIn]
	r.Key = h.orderKey(r)
	if waits, err := q.join(ctx, r); waits || err != nil {
		return err
	}
	o, err := h.translateOnce(ctx, r)
	if err != nil {
		return err
	}
	return q.settle(ctx, r, o, 1, false)
}

// orderKey is the key behind which a record's successors wait when it can't go on. A key of the sender alone keeps no
// referral's order, so such a message gets one of its own: nothing waits behind it.
func (h *Hub) orderKey(r contracts.Record) contracts.Key {
	if r.Header[contracts.HeaderKeyedBy] == contracts.KeyedBySender {
		return h.aloneKey(r.ID)
	}
	return r.Key
}

func (h *Hub) aloneKey(id contracts.ID) contracts.Key { return h.secret.Key("alone", string(id)) }

// translateOnce translates a record, or says why it can't be.
func (h *Hub) translateOnce(ctx context.Context, r contracts.Record) (outcome, error) {
	e := entry(r)
	r, end := h.translating(r, e)
	var findings contracts.Faults
	err := h.guard("translate", r, func() error { return h.translateNow(ctx, r, &e, &findings) })
	end(contracts.SpanEnd{State: e.State, Map: e.Map, Findings: findings, Err: err})
	if err == nil {
		return outcome{}, nil
	}
	var faults contracts.Faults
	var fault *contracts.Fault
	if !errors.As(err, &faults) && !errors.As(err, &fault) {
		return outcome{}, err
	}
	fault = gravest(contracts.FaultsOf(err))
	if fault.Kind == contracts.Unavailable {
		return outcome{}, err
	}
	state, step := contracts.StateParked, contracts.StepParked
	if fault.Kind == contracts.NotFound {
		state, step = contracts.StateWaiting, contracts.StepWaiting
	}
	e.Map = "" // whoever mends it may choose another
	change := h.stepChange(e, state, step, fault)
	change.Identifiers = h.namesOf(r, e)
	if e.Journey == contracts.JourneyID(e.ID) { // it opened a journey, if only to park in it
		change.Journeys = []contracts.Journey{{ID: e.Journey, State: string(contracts.StateReceived), Started: e.Received, Updated: e.Received}}
	}
	return outcome{fault: fault, counts: true, change: change}, nil
}

// stepChange shows a message's new state in the ledger, with the step that led there.
func (h *Hub) stepChange(e contracts.Entry, state contracts.State, step string, fault *contracts.Fault) contracts.Change {
	e.State, e.Fault = state, fault
	at := h.now()
	return contracts.Change{Received: e.Received, Entries: []contracts.Entry{e}, Steps: append(arrival(e), contracts.Step{
		ID: contracts.StepID(e.ID, step, "", int(at.UnixMicro())), At: at, Journey: e.Journey, Message: e.ID, Control: e.Control, Type: e.Type,
		Step: step, From: e.Partner, Fault: fault,
	})}
}

// namesOf gives the referral's ids in a message that can't be translated, so that it is found by them all the same.
func (h *Hub) namesOf(r contracts.Record, e contracts.Entry) []contracts.Identifier {
	if p := h.partners[e.Partner]; p != nil && e.Format == contracts.FormatV2 {
		head, err := hl7v2.Scan(r.Body.Bytes(), p.reading...)
		if err != nil {
			return nil
		}
		if value, by := readKey(p.keys[head.Code()], head); by == contracts.KeyedByReferral {
			return []contracts.Identifier{identifier(p.ID, contracts.IDPlacer, value, e.ID, e.Journey)}
		}
		return nil
	}
	head, err := fhir.ScanMessage(r.Body.Bytes())
	if err != nil {
		return nil
	}
	return identifiers(e.Partner, e.ID, e.Journey, head, nil, nil)
}

// arrival is the step with which a message came in; a copy that an operator made never came.
func arrival(e contracts.Entry) []contracts.Step {
	if e.Cause != "" {
		return nil
	}
	return []contracts.Step{{ID: contracts.StepID(e.ID, contracts.StepReceived, "", 0), At: e.Received, Journey: e.Journey, Message: e.ID,
		Control: e.Control, Type: e.Type, Step: contracts.StepReceived, From: e.Partner, Digest: e.Digest}}
}

// gravest picks the fault that decides: trouble of our own first, then what only waiting mends, then the first.
func gravest(faults contracts.Faults) *contracts.Fault {
	for _, kind := range []contracts.Kind{contracts.Unavailable, contracts.Internal, contracts.Conflict, contracts.NotFound} {
		for _, f := range faults {
			if f.Kind == kind && f.Grade == contracts.GradeError {
				return f
			}
		}
	}
	for _, f := range faults {
		if f.Grade == contracts.GradeError && f.Kind != contracts.Loss {
			return f
		}
	}
	return faults[0]
}

// translateNow turns a record into its outgoing messages: parse, map to canonical, correlate, route, map to each
// receiver's dialect, write the ledger, publish. It depends on the record and the ledger's first writes alone, so
// doing it again gives the same ids and bytes; what was published twice is delivered once. What it learns of the
// message stands in e, and what its maps could not carry in findings, also when a fault is returned.
func (h *Hub) translateNow(ctx context.Context, r contracts.Record, e *contracts.Entry, findings *contracts.Faults) error {
	before, err := h.before(ctx, r)
	if before.done || err != nil {
		return err
	}
	if !before.entry.Received.IsZero() {
		e.Received = before.entry.Received // a copy on the bus may be of another time; the bytes must not be
	}
	if sender := h.partners[e.Partner]; sender != nil && isAcknowledgement(sender.Partner, e.Type) {
		return h.acknowledge(ctx, sender, r, e)
	}
	if err := h.comesBehind(ctx, r, e.Received); err != nil {
		return err
	}
	w, err := h.translation(ctx, r, e, before)
	*findings = w.findings
	if err != nil {
		return err
	}
	err = h.apply(ctx, w.change) // before it is published: no answer can come before its row
	if wasStopped(err) {
		return nil // by a person, while it was being translated
	}
	if err != nil {
		return err
	}
	for _, o := range w.out {
		if _, err := h.publish(ctx, o.record, nil); err != nil {
			return err
		}
	}
	return nil
}

// wasStopped says that the ledger refused a change because a person stopped the message.
func wasStopped(err error) bool {
	return contracts.KindOf(err) == contracts.Conflict && contracts.FaultsOf(err)[0].At == "stopped"
}

// translation is what a message becomes, before anything of it is written.
type translation struct {
	change   contracts.Change
	out      []outgoing
	findings contracts.Faults // of the map that read it
}

// add takes what leaves for one receiver.
func (w *translation) add(o outgoing) {
	w.change.Deliveries = append(w.change.Deliveries, o.delivery)
	w.change.Identifiers = append(w.change.Identifiers, o.identifiers...)
	w.change.Steps = append(w.change.Steps, o.steps...)
	w.out = append(w.out, o)
}

// translation translates in memory. With a fault it gives the findings that there are until then.
func (h *Hub) translation(ctx context.Context, r contracts.Record, e *contracts.Entry, before past) (translation, error) {
	sender := h.partners[e.Partner]
	if sender == nil {
		return translation{}, contracts.Faultf(contracts.Unroutable, "HUB-010", "", "The sender's contract is gone. Put it back and release the message.")
	}
	if receivers := h.passTo(sender, *e, before); len(receivers) > 0 {
		return h.passOn(ctx, sender, receivers, r, e, before)
	}
	c, err := h.toCanonical(ctx, sender, *e, r, before.reading(r))
	if err != nil {
		return translation{}, err
	}
	w := translation{findings: c.findings}
	t, err := h.correlate(ctx, *e, before, c.head)
	if err != nil {
		return w, err
	}
	if e.Journey = t.journey; t.origin != nil {
		e.Origin = t.origin.ID
	}
	receivers, err := h.route(sender, c.head.Event, t, before)
	if err != nil {
		return w, err
	}
	e.Event, e.Map, e.State = c.head.Event, c.by, contracts.StateTranslated
	w.change = h.translated(*e, c, t, receivers, before.generation)
	if w.change.Identifiers, err = h.patients(ctx, *e, c.bundle, w.change.Identifiers); err != nil {
		return w, err
	}
	var origin *mappings.Origin
	if t.origin != nil {
		if origin, err = h.origin(ctx, t.origin); err != nil {
			return w, err
		}
	}
	for _, p := range receivers {
		o, err := h.toDialect(ctx, p, *e, r, c, t, origin, before.leaving(r, p, e.Event))
		if err != nil {
			return w, err
		}
		w.add(o)
	}
	w.change.Raise = raised(*e, w.change.Steps)
	return w, nil
}

// canonical is a message in the canonical form.
type canonical struct {
	bundle   *fhir.Tree
	head     *fhir.Header
	body     contracts.Body
	digest   contracts.Digest
	by       string // map id@version; empty where the partner speaks the canonical form
	findings contracts.Faults
}

// toCanonical translates a message to the canonical form, by the map of that name or, where there is none yet, by the
// one that the contract chooses.
func (h *Hub) toCanonical(ctx context.Context, sender *partner, e contracts.Entry, r contracts.Record, name string) (canonical, error) {
	if name == "" {
		var err error
		if name, err = h.version(ctx, sender.MapIn(e.Type), sender.ID, e.Type, e.Received); err != nil {
			return canonical{}, err
		}
	}
	if e.Format == contracts.FormatFHIR {
		return h.fromFHIR(sender, e, r, name)
	}
	m, err := hl7v2.Parse(r.Body.Bytes(), sender.reading...)
	if err != nil {
		return canonical{}, err
	}
	agreed := sender.agreed.Check(m)
	if err := agreed.Err(); err != nil {
		return canonical{}, err
	}
	if name == "" {
		return canonical{}, contracts.Faultf(contracts.Unmapped, "HUB-032", "MSH-9", "The contract names no map for this message type.")
	}
	mapping, err := h.mapping(name)
	if err != nil {
		return canonical{}, err
	}
	result, err := mapping.Forward(m, h.reads(sender, e))
	if err != nil {
		return canonical{}, err
	}
	return h.canonical(result.Bundle, result.Bundle.Append(nil), mapping.Name(), slices.Concat(m.Warnings(), agreed, result.Findings))
}

// reads is what a map may know of a message that it reads.
func (h *Hub) reads(sender *partner, e contracts.Entry) mappings.Context {
	return mappings.Context{Now: e.Received, Zone: sender.zone, Sender: sender.ID, Application: sender.Dialect.Names.Application, Residue: h.keepsResidue()}
}

// fromFHIR gives the canonical form of a FHIR message: itself, or what the map makes of a partner's own form. The profile
// that the contract asks for is of the canonical form.
func (h *Hub) fromFHIR(sender *partner, e contracts.Entry, r contracts.Record, name string) (canonical, error) {
	tree, err := fhir.Parse(r.Body.Bytes())
	if err != nil {
		return canonical{}, err
	}
	body, by := r.Body.Bytes(), ""
	var findings contracts.Faults
	if name != "" && name != asItIs {
		mapping, err := h.mapping(name)
		if err != nil {
			return canonical{}, err
		}
		c := h.reads(sender, e)
		c.Residue = false // a partner who speaks FHIR is never given any
		result, err := mapping.ForwardFHIR(tree, c)
		if err != nil {
			return canonical{}, err
		}
		tree, body, by, findings = result.Bundle, result.Bundle.Append(nil), mapping.Name(), result.Findings
	}
	c, err := h.canonical(tree, body, by, nil)
	if err != nil {
		return canonical{}, err
	}
	told, err := h.conforms(sender, c.head.Event, c.bundle)
	c.findings = append(findings, told...)
	return c, err
}

// keepsResidue says whether any partner gets what no rule of a map carries.
func (h *Hub) keepsResidue() bool {
	for _, p := range h.partners {
		if p.Dialect.Residue == contracts.ResidueKeep {
			return true
		}
	}
	return false
}

// conforms checks a FHIR message against the profile that the partner's contract asks of its event. Warnings come as
// findings.
func (h *Hub) conforms(p *partner, event string, bundle *fhir.Tree) (contracts.Faults, error) {
	url := p.ProfileOf(event, profiles.ForEvent)
	if url == "" {
		return nil, nil
	}
	faults := slices.DeleteFunc(h.profiles.Validate(bundle, url), func(f *contracts.Fault) bool { return f.Grade == contracts.GradeNote })
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return faults, nil
}

// mapping gives a map by its name. One that is gone parks: waiting doesn't bring it back, and another version would give
// the message other bytes.
func (h *Hub) mapping(name string) (*mappings.Map, error) {
	m, err := h.maps.Map(name)
	if err != nil {
		return nil, &contracts.Fault{Kind: contracts.Unmapped, Code: "HUB-034", At: name, Public: "The map by which this message is translated isn't in the catalog any more. Put it back and release the message.", Err: err}
	}
	return m, nil
}

// canonical is what is routed, the tree, and what is stored, its bytes.
func (h *Hub) canonical(tree *fhir.Tree, b []byte, by string, findings contracts.Faults) (canonical, error) {
	head, err := fhir.ScanTree(tree)
	if err != nil {
		return canonical{}, err
	}
	return canonical{bundle: tree, head: head, body: contracts.NewBody(b), digest: h.secret.Digest(b), by: by, findings: findings}, nil
}

// translated is the ledger's view of a translated message, without its deliveries.
func (h *Hub) translated(e contracts.Entry, c canonical, t thread, receivers []*partner, generation int) contracts.Change {
	e.Canonical = c.digest
	at := h.now()
	steps := arrival(e)
	if t.origin != nil {
		steps = append(steps, contracts.Step{ID: contracts.StepID(e.ID, contracts.StepCorrelated, "", 0), At: at, Journey: e.Journey, Message: e.ID,
			Control: e.Control, Type: e.Type, Step: contracts.StepCorrelated, From: e.Partner, To: t.origin.Partner})
	}
	names := make([]string, len(receivers))
	for i, p := range receivers {
		names[i] = p.ID
	}
	steps = append(steps, contracts.Step{ID: contracts.StepID(e.ID, contracts.StepTranslated, "", generation), At: at, Journey: e.Journey, Message: e.ID,
		Control: e.Control, Type: e.Type, Step: contracts.StepTranslated, From: e.Partner, To: strings.Join(names, " "), Map: c.by, Digest: c.digest, Losses: c.findings})
	return contracts.Change{
		Received:    e.Received,
		Entries:     []contracts.Entry{e},
		Steps:       steps,
		Journeys:    []contracts.Journey{{ID: e.Journey, State: journeyState(e.Event), Started: e.Received, Updated: e.Received}},
		Bodies:      []contracts.StoredBody{{Digest: c.digest, Body: c.body}},
		Identifiers: identifiers(e.Partner, e.ID, e.Journey, c.head, []string{e.Control}, nil),
	}
}

// origin is what a map may read of the message that is answered.
func (h *Hub) origin(ctx context.Context, e *contracts.Entry) (*mappings.Origin, error) {
	body, err := h.ledger.Body(ctx, e.Canonical)
	if err != nil {
		return nil, err
	}
	tree, err := fhir.Parse(body.Bytes())
	if err != nil {
		return nil, err
	}
	return &mappings.Origin{Bundle: tree, Application: e.Application, Facility: e.Facility, ControlID: e.Control}, nil
}

// outgoing is one message for one receiver.
type outgoing struct {
	delivery    contracts.Delivery
	record      contracts.Record
	identifiers []contracts.Identifier
	steps       []contracts.Step
}

// toDialect writes the canonical message for one receiver. The control ids are the hub's business (readdress): the
// message leaves under an id of its own, and an answer names the id that its receiver once gave.
func (h *Hub) toDialect(ctx context.Context, p *partner, e contracts.Entry, r contracts.Record, c canonical, t thread, origin *mappings.Origin, l leaving) (outgoing, error) {
	id := l.id
	d := contracts.Delivery{ID: id, Message: e.ID, Journey: e.Journey, Partner: p.ID, Route: e.Partner + ">" + p.ID, Control: id.Control(),
		Generation: l.generation, Format: p.Dialect.Format, State: contracts.StateTranslated, Key: h.outKey(e, r), Type: e.Event, Map: l.by}
	kept := e.Format == contracts.FormatV2 && p.Dialect.Residue == contracts.ResidueKeep // another's would be anybody's bytes
	bundle := readdress(c, id, t, kept)
	var body []byte
	var resources []string
	var findings contracts.Faults
	var err error
	if p.Dialect.Format == contracts.FormatFHIR {
		if findings, err = h.conforms(p, e.Event, bundle); err != nil {
			return outgoing{}, err
		}
		told, err := h.toFHIR(ctx, p, e, &bundle, origin, &d)
		if err != nil {
			return outgoing{}, err
		}
		findings = append(findings, told...)
		body, resources = bundle.Append(nil), resourceNames(bundle)
	} else if body, findings, err = h.toV2(ctx, p, e, bundle, origin, &d); err != nil {
		return outgoing{}, err
	}
	o := h.outgoing(d, e, body, r.Header[contracts.HeaderTrace])
	o.record.Header[contracts.HeaderCanonical], o.record.Header[contracts.HeaderMap] = string(c.digest), d.Map
	o.identifiers = identifiers(p.ID, e.ID, e.Journey, c.head, []string{d.Control, string(id)}, resources)
	o.steps[0].Losses = findings
	return o, nil
}

// outKey is what keeps the order of a message that leaves: its journey. One that was keyed by its patient, and opens a
// journey of its own, keeps the order of that patient's messages, as it did when it came in.
func (h *Hub) outKey(e contracts.Entry, r contracts.Record) contracts.Key {
	if r.Header[contracts.HeaderKeyedBy] == contracts.KeyedByPatient && e.Journey == contracts.JourneyID(e.ID) {
		return h.secret.Key("patient", string(e.Key))
	}
	return h.secret.Key("journey", string(e.Journey))
}

// outgoing completes a delivery by its bytes, with the record that carries them.
func (h *Hub) outgoing(d contracts.Delivery, e contracts.Entry, body []byte, trace string) outgoing {
	d.Digest = h.secret.Digest(body)
	o := outgoing{
		delivery: d,
		record: contracts.Record{Topic: contracts.OutTopic(d.Partner), Key: d.Key, ID: d.ID, Time: e.Received, Body: contracts.NewBody(body), Header: map[string]string{
			contracts.HeaderPartner: d.Partner, contracts.HeaderFormat: d.Format, contracts.HeaderType: d.Type, contracts.HeaderControl: d.Control,
			contracts.HeaderDigest: string(d.Digest), contracts.HeaderCause: string(e.ID), contracts.HeaderRoute: d.Route,
			contracts.HeaderJourney: string(e.Journey), contracts.HeaderKeyedBy: contracts.KeyedByReferral, contracts.HeaderTrace: trace,
		}},
		steps: []contracts.Step{{ID: contracts.StepID(d.ID, contracts.StepReaddress, d.Partner, 0), At: h.now(), Journey: e.Journey, Message: e.ID,
			Control: d.Control, Type: d.Type, Step: contracts.StepReaddress, From: e.Partner, To: d.Partner, Map: d.Map, Digest: d.Digest}},
	}
	if d.Generation > 0 {
		o.record.Header[contracts.HeaderGeneration] = strconv.Itoa(d.Generation)
	}
	return o
}

// readdress gives a copy of a canonical Bundle under our own ids: Bundle.id and Bundle.identifier name the message
// that leaves, and an answer names what its receiver sent. It is the last gate before every courier, so the residue stays
// here, whoever wrote it, unless the receiver's contract keeps ours: it holds what no rule lets out.
func readdress(c canonical, id contracts.ID, t thread, kept bool) *fhir.Tree {
	out := c.bundle.Clone()
	root := out.Root()
	under(root, id)
	header := fhir.NewBundle(root).Header()
	if !kept {
		withoutExtensions(header, profiles.URL(profiles.Residue))
	}
	response := header.Get("response")
	if t.origin == nil || !response.Exists() {
		return out
	}
	short, whole := fhir.ResponseIdentifier(t.origin.Control)
	response.Set("identifier", fhir.String(short))
	if x := fhir.Extension(response, profiles.URL(profiles.ControlID)); x.Exists() {
		x.Remove()
	}
	if !whole {
		x := response.Array("extension").Push(fhir.Object())
		x.Add("url", fhir.String(profiles.URL(profiles.ControlID)))
		x.Add("valueString", fhir.String(t.origin.Control))
	}
	return out
}

// under puts a Bundle under an id of ours.
func under(root fhir.Node, id contracts.ID) {
	root.Set("id", fhir.String(string(id)))
	identifier := root.Object("identifier")
	identifier.Get("system").Remove()
	identifier.Set("value", fhir.String(id.Control()))
}

// withoutExtensions takes every extension of that URL off an element.
func withoutExtensions(n fhir.Node, url string) {
	for x := fhir.Extension(n, url); x.Exists(); x = fhir.Extension(n, url) {
		x.Remove()
	}
	if list := n.Get("extension"); list.Exists() && list.Len() == 0 {
		list.Remove()
	}
}

// resourceNames are the names under which a receiver may point at what it was given: fullUrls and Type/id.
func resourceNames(bundle *fhir.Tree) []string {
	var names []string
	for entry := range bundle.Root().Get("entry").Each() {
		r := entry.Get("resource")
		names = append(names, nonEmpty(strings.Clone(entry.Get("fullUrl").Text()))...)
		if id := r.Get("id").Text(); id != "" {
			names = append(names, r.Type()+"/"+id)
		}
	}
	return names
}

// toFHIR writes a Bundle in the form of a partner who speaks FHIR: its own, where the contract names a map for the event.
func (h *Hub) toFHIR(ctx context.Context, p *partner, e contracts.Entry, bundle **fhir.Tree, origin *mappings.Origin, d *contracts.Delivery) (contracts.Faults, error) {
	name := d.Map
	if d.Map = ""; name == asItIs {
		return nil, nil
	}
	if name == "" {
		var err error
		if name, err = h.version(ctx, p.MapOut(e.Event), p.ID, e.Event, e.Received); name == "" || err != nil {
			return nil, err
		}
	}
	mapping, err := h.mapping(name)
	if err != nil {
		return nil, err
	}
	d.Map = mapping.Name()
	result, err := mapping.Reverse(*bundle, mappings.Context{Now: e.Received, Zone: p.zone, Origin: origin, Sender: e.Partner})
	if err != nil {
		return nil, err
	}
	under(result.Dialect.Root(), d.ID)
	result.Dialect.Root().OrderMembers(fhir.Definitions().Type("Bundle"))
	*bundle = result.Dialect
	return result.Findings, nil
}

// toV2 writes a Bundle in a v2 partner's dialect and puts our addresses on it (MSH-3 to MSH-7, MSH-10).
func (h *Hub) toV2(ctx context.Context, p *partner, e contracts.Entry, bundle *fhir.Tree, origin *mappings.Origin, d *contracts.Delivery) ([]byte, contracts.Faults, error) {
	name := d.Map
	if name == "" {
		var err error
		if name, err = h.version(ctx, p.MapOut(e.Event), p.ID, e.Event, e.Received); err != nil {
			return nil, nil, err
		}
	}
	if name == "" {
		return nil, nil, contracts.Faultf(contracts.Unmapped, "HUB-033", "MessageHeader.eventCoding", "The receiver's contract names no map for this event.")
	}
	mapping, err := h.mapping(name)
	if err != nil {
		return nil, nil, err
	}
	d.Map = mapping.Name()
	result, err := mapping.Reverse(bundle, mappings.Context{Now: e.Received, Zone: p.zone, Origin: origin, Version: p.Dialect.Version, Charset: p.Dialect.Charset, Sender: e.Partner,
		Escape: p.Dialect.Lacking == contracts.LackingEscape, Mark: p.Dialect.Truncation})
	if err != nil {
		return nil, nil, err
	}
	if err := h.readdressV2(result.Message, p, mapping.Time(e.Received, p.zone), d.Control); err != nil {
		return nil, nil, err
	}
	d.Type = result.Message.MessageType()
	return result.Message.Bytes(), result.Findings, nil
}

// readdressV2 puts our addresses, the partner's, the time of receipt and our control id on a message (MSH-3 to MSH-7, MSH-10).
func (h *Hub) readdressV2(m *hl7v2.Message, p *partner, received, control string) error {
	names := p.Dialect.Names
	for _, field := range []struct {
		path  hl7v2.Path
		value string
	}{
		{msh3, names.OurApplication}, {msh4, names.OurFacility}, {msh5, names.Application}, {msh6, names.Facility},
		{msh7, received}, {msh10, control},
	} {
		if err := m.SetText(field.path, field.value); err != nil {
			return err
		}
	}
	return nil
}

// The fields of MSH that are the hub's.
var (
	msh3, msh4, msh5, msh6 = hl7v2.MustPath("MSH-3"), hl7v2.MustPath("MSH-4"), hl7v2.MustPath("MSH-5"), hl7v2.MustPath("MSH-6")
	msh7, msh10            = hl7v2.MustPath("MSH-7"), hl7v2.MustPath("MSH-10")
	msa2                   = hl7v2.MustPath("MSA-2")
)

// hl7Time writes a time as HL7 v2.5.1 DTM to the second with its zone (chapter 2A.22).
func hl7Time(t time.Time) string { return t.Format("20060102150405-0700") }

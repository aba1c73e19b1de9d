package hub

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/profiles"
	"github.com/hoitosilta/silta/mappings"
)

// CheckContracts says what is wrong with contracts as the hub would use them: maps that don't exist or can't serve what
// they are named for, types and events that never come, key paths, profiles and rules that can't be used. Warnings are
// among the faults. Where a contract was read from a file, a fault has its place there.
func CheckContracts(partners []*contracts.Partner, maps *mappings.Catalog, known *fhir.Profiles) contracts.Faults {
	var faults contracts.Faults
	for _, p := range partners {
		c := contractCheck{Partner: p, maps: maps, drafts: map[string]bool{}}
		c.types()
		c.chosen()
		c.routes()
		c.profiles(known)
		c.keys()
		c.agreed()
		passes := slices.ContainsFunc(p.Routes, func(r contracts.Route) bool { return len(r.Types) > 0 })
		if p.Dialect.Format == contracts.FormatV2 && p.Door.MLLP != nil && len(p.In) == 0 && !passes {
			c.fault("CFG-033", "door.mllp", "The partner has an MLLP door and no map for what comes in.")
		}
		faults = append(faults, c.faults...)
	}
	return faults
}

// contractCheck collects what is wrong with one contract.
type contractCheck struct {
	*contracts.Partner
	maps   *mappings.Catalog
	drafts map[string]bool // maps of which was told that their newest version is one
	faults contracts.Faults
}

// fault tells of the key at the path at (in[0].type), by its place in the file or, where there is none, by its path.
func (c *contractCheck) fault(code, at, format string, args ...any) *contracts.Fault {
	line, col := c.Position(at)
	f := &contracts.Fault{Kind: contracts.Invalid, Code: code, File: c.File, Line: line, Col: col, At: at, Public: fmt.Sprintf(format, args...)}
	c.faults = append(c.faults, f)
	return f
}

// types checks the words by which the door and the routes name incoming messages.
func (c *contractCheck) types() {
	for i, t := range c.Accepts.Types {
		at := fmt.Sprintf("accepts.types[%d]", i)
		if c.typ(at, t) && c.foreign(t) && !slices.ContainsFunc(c.In, func(in contracts.InMap) bool { return contracts.Meet(in.Type, t) }) {
			c.fault("CFG-039", at, "The event %s isn't one of Silta's, and no map under `in` is for it: the door would refuse it.", t)
		}
	}
	for i, r := range c.Routes {
		for j, t := range r.Types {
			c.typ(fmt.Sprintf("routes[%d].types[%d]", i, j), t)
		}
	}
}

// foreign says whether a FHIR partner's word names an event that isn't one of Silta's.
func (c *contractCheck) foreign(typ string) bool {
	return c.Dialect.Format == contracts.FormatFHIR && strings.Contains(typ, "|")
}

// typ says whether a message of this type, or of this pattern, can come.
func (c *contractCheck) typ(at, typ string) bool {
	if c.Dialect.Format == contracts.FormatFHIR {
		return c.eventIn(at, typ)
	}
	if v2Type.MatchString(typ) {
		return true
	}
	meant := ""
	if m := nearlyV2Type.FindStringSubmatch(strings.ToUpper(typ)); m != nil && m[2] != "" {
		meant = fmt.Sprintf(" (did you mean %q?)", m[1]+"^"+m[2])
	} else if m != nil {
		meant = fmt.Sprintf(" (did you mean %q?)", m[1]+"^*")
	}
	c.fault("CFG-039", at, "No message has the type %q%s. A message type is written REF^I12, REF^* for all of a kind, or *.", typ, meant)
	return false
}

var (
	// v2Type is a message type as the door reads it, code^event, or a pattern of one.
	v2Type = regexp.MustCompile(`^(ACK|MCF|[A-Z][A-Z0-9]{2}\^[A-Z0-9]+|([A-Z][A-Z0-9]{0,2}|[A-Z][A-Z0-9]{2}\^[A-Z0-9]*)?\*)$`)
	// nearlyV2Type is what may have been meant by one: REF-I12, REF_I12, REF^I12^REF_I12, REF.
	nearlyV2Type = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})(?:[-_ /.^]([A-Z][A-Z0-9]{2})(?:\^.*)?)?$`)
)

// eventIn says whether a message of this event, or of this pattern, can come from a FHIR partner: Silta's own events are
// named by their code alone, others by SYSTEM|CODE, as the door has them.
func (c *contractCheck) eventIn(at, event string) bool {
	const own = "One of the partner's own is written SYSTEM|CODE, as its MessageHeader.eventCoding has them, and needs a map under `in`."
	i := strings.LastIndexByte(event, '|')
	switch {
	case i >= 0 && profiles.IsEvent(event[:i], event[i+1:]):
		c.fault("CFG-039", at, "An event of Silta's is named without its system: %s.", event[i+1:])
	case i >= 0, strings.HasSuffix(event, "*") && strings.Contains(event, ":"), meetsAny(event, profiles.Events()):
		return true
	default:
		c.fault("CFG-039", at, "No event of Silta's is called %q%s. %s", event, contracts.DidYouMean(event, profiles.Events()), own)
	}
	return false
}

// event says whether a canonical message can have this event, or one of this pattern: one of Silta's, or one that some map
// writes.
func (c *contractCheck) event(at, event string) bool {
	ours := profiles.Events()
	if meetsAny(event, ours) || slices.ContainsFunc(c.maps.Maps(), func(m *mappings.Map) bool { return meetsAny(event, m.CanonicalEvents()) }) {
		return true
	}
	c.fault("CFG-039", at, "No canonical message has the event %q%s.", event, contracts.DidYouMean(event, ours))
	return false
}

func meetsAny(pattern string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(other string) bool { return contracts.Meet(pattern, other) })
}

// chosen checks the maps that the contract names and what for: that they are there, for the partner's form of message,
// and for the type or event.
func (c *contractCheck) chosen() {
	for i, in := range c.In {
		m := c.mapping(fmt.Sprintf("in[%d].map", i), in.Map, "incoming "+in.Type)
		if !c.typ(fmt.Sprintf("in[%d].type", i), in.Type) || m == nil || takes(m, in.Type) {
			continue
		}
		better := ""
		if ids := c.takers(in.Type); len(ids) > 0 {
			better = " Maps for it: " + strings.Join(ids, ", ") + "."
		}
		c.fault("CFG-037", fmt.Sprintf("in[%d].map", i), "The map %s takes %s, never %s.%s", in.Map, strings.Join(m.Types(), ", "), in.Type, better)
	}
	for i, out := range c.Out {
		m := c.mapping(fmt.Sprintf("out[%d].map", i), out.Map, "outgoing "+out.Event)
		if !c.event(fmt.Sprintf("out[%d].event", i), out.Event) || m == nil {
			continue
		}
		if events := m.CanonicalEvents(); !meetsAny(out.Event, events) {
			c.fault("CFG-037", fmt.Sprintf("out[%d].map", i), "The map %s is for the event %s, never for %s.", out.Map, strings.Join(events, ", "), out.Event)
		}
	}
}

// mapping gives a map that the contract names, or nil where it is gone or for another form of message.
func (c *contractCheck) mapping(at, name, of string) *mappings.Map {
	m, err := c.maps.Map(name)
	if err != nil {
		c.fault("CFG-031", at, "No map %q for %s. %s", name, of, contracts.FaultsOf(err)[0].Public)
		return nil
	}
	if newest := draftOf(c.maps, name); newest != "" && !c.drafts[name] {
		c.drafts[name] = true
		c.fault("CFG-038", at, "The map %s is named without its version, and its newest one, %s, isn't published, while an older one is. It translates wherever no version is active. If it isn't meant yet, name the version.", name, newest).Grade = contracts.GradeWarning
	}
	if !speaks(m, c.Partner) {
		c.fault("CFG-037", at, "The map %s for %s isn't for messages as the partner has them: %s.", name, of, formOf(c.Partner))
		return nil
	}
	return m
}

// takes says whether some message of this type, or of this pattern, is one that the map takes. A map knows events of FHIR
// by their code alone.
func takes(m *mappings.Map, typ string) bool {
	if m.FHIR() {
		if i := strings.LastIndexByte(typ, '|'); i >= 0 {
			typ = typ[i+1:]
		} else if strings.HasSuffix(typ, "*") && strings.Contains(typ, ":") {
			return true // a family of systems
		}
	}
	return meetsAny(typ, m.Types())
}

// takers are the ids of maps that name events and take messages of a type from this partner, three at most.
func (c *contractCheck) takers(typ string) []string {
	var ids []string
	for _, m := range c.maps.Maps() {
		if len(ids) < 3 && !slices.Contains(ids, m.ID()) && len(m.Events()) > 0 && speaks(m, c.Partner) && takes(m, typ) {
			ids = append(ids, m.ID())
		}
	}
	return ids
}

func (c *contractCheck) routes() {
	for i, r := range c.Routes {
		for j, event := range r.Events {
			c.event(fmt.Sprintf("routes[%d].events[%d]", i, j), event)
		}
	}
}

// profiles checks which profiles a contract asks for: that each is of a Bundle and can be relied on, and that some event
// comes to each.
func (c *contractCheck) profiles(known *fhir.Profiles) {
	for i, r := range c.Profiles {
		fault := func(format string, args ...any) {
			c.fault("CFG-034", fmt.Sprintf("profiles[%d]", i), fmt.Sprintf("profiles[%d]: ", i)+format, args...)
		}
		own := func(event string) bool { return r.For == "" || contracts.Takes([]string{r.For}, event) }
		before := func(event string) bool {
			return slices.ContainsFunc(c.Profiles[:i], func(o contracts.ProfileRule) bool { return o.For == "" || contracts.Takes([]string{o.For}, event) })
		}
		switch events := profiles.Events(); {
		case !slices.ContainsFunc(events, own):
			fault("no event of Silta's is called %q%s.", r.For, contracts.DidYouMean(r.For, events))
		case !slices.ContainsFunc(events, func(e string) bool { return own(e) && !before(e) }):
			fault("no event comes to this one, since those before take them all. Put the particular ones first.")
		}
		if r.Profile == "" {
			continue
		}
		if faults := known.CheckProfile(r.Profile); faults.Err() != nil {
			fault("the profile can't be used: %s", faults[0].Public)
		} else if typ := known.TypeOf(r.Profile); typ != "Bundle" {
			fault("the profile is of %s; a message is a Bundle.", typ)
		}
	}
}

// keys checks the paths that keep the order: a path that no message has would leave it to the patient's id.
func (c *contractCheck) keys() {
	if c.Dialect.Format != contracts.FormatV2 {
		if len(c.Keys) > 0 {
			c.fault("CFG-032", "keys", "Only an HL7 v2 partner's keys are set in its contract. What a FHIR partner sends is kept in order by the referral's identifier of type PLAC, else FILL, else another one that names it, else by what the message answers, else by the patient.")
		}
		return
	}
	for _, code := range slices.Sorted(maps.Keys(c.Keys)) {
		if !hl7v2.IsSegmentID(code) {
			c.fault("CFG-032", "keys."+code, "Keys are by message code, such as REF.")
		}
		for i, text := range c.Keys[code] {
			at := fmt.Sprintf("keys.%s[%d]", code, i)
			if path, err := hl7v2.CompilePath(text); err != nil {
				c.fault("CFG-032", at, "A key path can't be read: %s", contracts.FaultsOf(err)[0].Public)
			} else if !hl7v2.Exists(c.Partner, path) {
				c.fault("CFG-032", at, "No version of HL7 has the field %s-%d, nor does the contract describe it%s.", path.Segment, path.Field, lastField(path.Segment))
			}
		}
	}
}

// lastField says where a segment of HL7 ends in the newest version; nothing where that has no such segment.
func lastField(segment string) string {
	versions := hl7v2.Versions()
	d, err := hl7v2.Dictionary(versions[len(versions)-1])
	if err != nil || d.Segment(segment) == nil {
		return ""
	}
	return fmt.Sprintf(" (the last one of %s is %s-%d)", segment, segment, len(d.Segment(segment).Fields))
}

// agreed checks how messages are read and what the contract demands of them.
func (c *contractCheck) agreed() {
	if c.Dialect.Format != contracts.FormatV2 {
		return
	}
	_, reading := hl7v2.ReadingOptions(c.Partner)
	_, agreed := hl7v2.NewAgreement(c.Partner)
	for _, f := range append(contracts.FaultsOf(reading), contracts.FaultsOf(agreed)...) {
		c.fault(f.Code, f.At, "%s: %s", f.At, f.Public)
	}
}

// draftOf is the newest version of a map that is named without one, where it isn't published and an older one is.
func draftOf(maps *mappings.Catalog, name string) string {
	newest, err := maps.Map(name)
	if err != nil || name != newest.ID() || newest.Published() {
		return ""
	}
	for _, m := range maps.Maps() {
		if m.ID() == name && m.Published() {
			return newest.Name()
		}
	}
	return ""
}

// speaks says whether a map is for the form in which a partner's messages travel. In FHIR that is a message Bundle: other
// resources have neither a control id nor an event, so a door can't keep them apart.
func speaks(m *mappings.Map, p *contracts.Partner) bool {
	if p.Dialect.Format == contracts.FormatFHIR {
		return m.FHIR() && m.Root() == "Bundle"
	}
	return !m.FHIR()
}

func formOf(p *contracts.Partner) string {
	if p.Dialect.Format == contracts.FormatFHIR {
		return "FHIR message Bundles"
	}
	return "HL7 v2"
}

package contracts

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"sort"
	"strings"
	"time"
)

// Partner is an organisation with a contract: one YAML file in contracts/partners. Nothing about a partner is in Go.
type Partner struct {
	Silta   string  `yaml:"silta"` // partner/v1
	ID      string  `yaml:"id"`
	Title   Title   `yaml:"title"`
	Dialect Dialect `yaml:"dialect"`
	Door    Door    `yaml:"door"`
	Courier Courier `yaml:"courier"`
	Accepts Accepts `yaml:"accepts"`
	// In chooses the map from this partner's dialect to canonical, by message type: "REF^I12", "REF^*" or "*".
	// A FHIR partner that speaks the canonical form needs none.
	In []InMap `yaml:"in"`
	// Out chooses the map from canonical to this partner's dialect, by event.
	Out []OutMap `yaml:"out"`
	// Keys gives, for a message code (REF, SIU), the paths whose value keeps the referral's order, first found first.
	Keys map[string][]string `yaml:"keys"`
	// Routes say who gets a message of this partner. An answer goes to the journey's other side without a route.
	Routes []Route `yaml:"routes"`
	Retry  Retry   `yaml:"retry"`

	// File is where the contract was read from, for faults.
	File string `yaml:"-"`
}

// Title names something for people, by language.
type Title struct {
	EN string `yaml:"en"`
	FI string `yaml:"fi"`
	SV string `yaml:"sv"`
}

// Dialect is how the partner speaks.
type Dialect struct {
	Format  string   `yaml:"format"`  // hl7v2 or fhir
	Version string   `yaml:"version"` // what is written to it: 2.5.1, or 4.0.1
	Charset string   `yaml:"charset"` // MSH-18 of what is written, and how a message without MSH-18 is read
	Zone    string   `yaml:"zone"`    // of times without one; Europe/Helsinki
	Names   HL7Names `yaml:"names"`
}

// HL7Names are the partner's application and facility (it sends them as MSH-3 and MSH-4) and ours toward it.
type HL7Names struct {
	Application    string `yaml:"application"`
	Facility       string `yaml:"facility"`
	OurApplication string `yaml:"ourApplication"`
	OurFacility    string `yaml:"ourFacility"`
}

// Door is where the partner's messages come in: one of MLLP and FHIR.
type Door struct {
	MLLP *MLLPDoor `yaml:"mllp"`
	FHIR *FHIRDoor `yaml:"fhir"`
}

// MLLPDoor is a listener of its own.
type MLLPDoor struct {
	Listen   string        `yaml:"listen"`   // 127.0.0.1:2575
	MaxBytes int           `yaml:"maxBytes"` // of one frame; 32 MB
	Idle     time.Duration `yaml:"idle"`     // a silent connection is closed after; 10m
	Read     time.Duration `yaml:"read"`     // a frame that has begun must end within; 1m
}

// FHIRDoor shares the hub's FHIR listener; the bearer token says who comes.
type FHIRDoor struct {
	TokenFile string `yaml:"tokenFile"` // relative to the configuration's directory
	MaxBytes  int    `yaml:"maxBytes"`  // of one request; 32 MB
}

// Courier is how messages reach the partner: one of MLLP and FHIR.
type Courier struct {
	MLLP *MLLPCourier `yaml:"mllp"`
	FHIR *FHIRCourier `yaml:"fhir"`
}

// MLLPCourier connects to the partner's listener.
type MLLPCourier struct {
	To      string        `yaml:"to"`      // host:port
	Connect time.Duration `yaml:"connect"` // 10s
	Answer  time.Duration `yaml:"answer"`  // 30s
}

// FHIRCourier posts to <url>/$process-message.
type FHIRCourier struct {
	URL       string        `yaml:"url"`
	TokenFile string        `yaml:"tokenFile"` // sent as a bearer token, if set
	Answer    time.Duration `yaml:"answer"`    // 30s
}

// Accepts is what the door takes; an empty list takes all that a map is chosen for.
type Accepts struct {
	Types      []string `yaml:"types"`      // REF^I12, REF^*; events for FHIR
	Versions   []string `yaml:"versions"`   // MSH-12.1
	Processing []string `yaml:"processing"` // MSH-11.1
	Senders    []string `yaml:"senders"`    // MSH-3.1; the door alone says who comes where this is empty
}

// InMap chooses a map by message type.
type InMap struct {
	Type string `yaml:"type"`
	Map  string `yaml:"map"` // id, or id@version
}

// OutMap chooses a map by canonical event.
type OutMap struct {
	Event string `yaml:"event"` // "response-*" takes a family
	Map   string `yaml:"map"`
}

// Route sends events to partners.
type Route struct {
	Events []string `yaml:"events"`
	To     []string `yaml:"to"`
}

// Retry is the patience of the partner's courier.
type Retry struct {
	First time.Duration `yaml:"first"` // the wait after the first failure; 1s
	Max   time.Duration `yaml:"max"`   // the wait doubles up to; 1m
	Limit time.Duration `yaml:"limit"` // a key parks after trying so long; 24h
	Spill time.Duration `yaml:"spill"` // a key leaves its lane after; 30s
	Pause int           `yaml:"pause"` // so many failures in a row over all keys pause the partner; 5
	Probe time.Duration `yaml:"probe"` // a paused partner is tried every; 3s
}

// LoadPartners reads every *.yaml of dir in fsys. All faults of all files come at once; no file at all is a fault.
func LoadPartners(fsys fs.FS, dir string) ([]*Partner, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.yaml"))
	if err != nil || len(names) == 0 {
		return nil, &Fault{Kind: Invalid, Code: "CFG-010", File: dir, Public: "No partner contract (*.yaml) is there.", Err: err}
	}
	sort.Strings(names)
	var partners []*Partner
	var faults Faults
	for _, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			faults = append(faults, &Fault{Kind: Internal, Code: "CFG-011", File: name, Public: "The file can't be read.", Err: err})
			continue
		}
		p, err := ReadPartner(name, b)
		if err != nil {
			faults = append(faults, FaultsOf(err)...)
			continue
		}
		partners = append(partners, p)
	}
	faults = append(faults, CheckPartners(partners)...)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return partners, nil
}

// ReadPartner reads one contract, fills the defaults in and checks it by itself.
func ReadPartner(file string, b []byte) (*Partner, error) {
	p := &Partner{File: file}
	doc, faults := DecodeYAML(file, b, p)
	if len(faults) > 0 {
		return nil, faults
	}
	p.defaults()
	if err := p.check(doc).Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Partner) defaults() {
	orDuration(&p.Retry.First, time.Second)
	orDuration(&p.Retry.Max, time.Minute)
	orDuration(&p.Retry.Limit, 24*time.Hour)
	orDuration(&p.Retry.Spill, 30*time.Second)
	orDuration(&p.Retry.Probe, 3*time.Second)
	if p.Retry.Pause == 0 {
		p.Retry.Pause = 5
	}
	if p.Dialect.Zone == "" {
		p.Dialect.Zone = "Europe/Helsinki"
	}
	if d := p.Door.MLLP; d != nil {
		orSize(&d.MaxBytes)
		orDuration(&d.Idle, 10*time.Minute)
		orDuration(&d.Read, time.Minute)
	}
	if d := p.Door.FHIR; d != nil {
		orSize(&d.MaxBytes)
	}
	if c := p.Courier.MLLP; c != nil {
		orDuration(&c.Connect, 10*time.Second)
		orDuration(&c.Answer, 30*time.Second)
	}
	if c := p.Courier.FHIR; c != nil {
		orDuration(&c.Answer, 30*time.Second)
	}
}

func orDuration(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// orSize sets the limit of a frame or request where the contract has none: 32 MB.
func orSize(n *int) {
	if *n == 0 {
		*n = 32 << 20
	}
}

func (p *Partner) check(doc *YAML) Faults {
	var faults Faults
	fault := func(at, format string, args ...any) {
		line, col := doc.Position(at)
		faults = append(faults, &Fault{Kind: Invalid, Code: "CFG-003", File: p.File, Line: line, Col: col, Public: fmt.Sprintf(format, args...)})
	}
	if p.Silta != "partner/v1" {
		fault("silta", "A partner contract begins with `silta: partner/v1`.")
	}
	if p.ID == "" || strings.ToLower(p.ID) != p.ID || strings.ContainsAny(p.ID, " ./\\*") {
		fault("id", "A partner's id is lower case without spaces, dots and slashes.")
	}
	switch {
	case p.Dialect.Format != FormatV2 && p.Dialect.Format != FormatFHIR:
		fault("dialect.format", "The format is hl7v2 or fhir.")
	case p.Door.MLLP != nil && p.Dialect.Format != FormatV2, p.Door.FHIR != nil && p.Dialect.Format != FormatFHIR:
		fault("door", "An mllp door takes hl7v2, a fhir door takes fhir.")
	}
	if _, err := time.LoadLocation(p.Dialect.Zone); err != nil {
		fault("dialect.zone", "No time zone of that name is known.")
	}
	if p.Door.MLLP != nil && p.Door.FHIR != nil {
		fault("door", "A partner has one door: mllp or fhir.")
	}
	if p.Door.MLLP != nil && p.Door.MLLP.Listen == "" {
		fault("door.mllp", "The door needs an address to listen on.")
	}
	if p.Door.FHIR != nil && p.Door.FHIR.TokenFile == "" {
		fault("door.fhir", "A FHIR door needs the partner's tokenFile.")
	}
	if p.Courier.MLLP != nil && p.Courier.FHIR != nil {
		fault("courier", "A partner has one courier: mllp or fhir.")
	}
	if c := p.Courier.FHIR; c != nil {
		if u, err := url.Parse(c.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			fault("courier.fhir.url", "The courier needs an http or https address.")
		}
	}
	if c := p.Courier.MLLP; c != nil && c.To == "" {
		fault("courier.mllp", "The courier needs the partner's host:port.")
	}
	if c := p.Courier.MLLP; c != nil && p.Dialect.Version == "" {
		fault("dialect", "A partner that gets HL7 v2 needs the version to write.")
	}
	if n := p.Dialect.Names; p.Courier.MLLP != nil && (n.Application == "" || n.OurApplication == "") {
		fault("dialect", "A partner that gets HL7 v2 needs names.application and names.ourApplication (MSH-5 and MSH-3).")
	}
	return faults
}

// CheckPartners checks contracts against each other: ids, addresses and routes.
func CheckPartners(partners []*Partner) Faults {
	var faults Faults
	byID := map[string]*Partner{}
	doors := map[string]string{}
	for _, p := range partners {
		if other := byID[p.ID]; other != nil {
			faults = append(faults, &Fault{Kind: Invalid, Code: "CFG-004", File: p.File, Public: "Another contract has the same id: " + other.File})
		}
		byID[p.ID] = p
		if d := p.Door.MLLP; d != nil {
			if other, taken := doors[d.Listen]; taken && !strings.HasSuffix(d.Listen, ":0") {
				faults = append(faults, &Fault{Kind: Invalid, Code: "CFG-005", File: p.File, Public: "The door's address is also that of " + other + "."})
			}
			doors[d.Listen] = p.ID
		}
	}
	for _, p := range partners {
		for _, r := range p.Routes {
			for _, to := range r.To {
				if q := byID[to]; q == nil {
					faults = append(faults, &Fault{Kind: Invalid, Code: "CFG-006", File: p.File, Public: "A route leads to a partner without a contract: " + to + didYouMean(to, keysOf(byID)) + "."})
				} else if q.Courier.MLLP == nil && q.Courier.FHIR == nil {
					faults = append(faults, &Fault{Kind: Invalid, Code: "CFG-007", File: p.File, Public: "A route leads to a partner without a courier: " + to + "."})
				}
			}
		}
	}
	return faults
}

func keysOf[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Location is the partner's time zone; check made sure that it exists.
func (p *Partner) Location() *time.Location {
	zone, err := time.LoadLocation(p.Dialect.Zone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// MapIn names the map for an incoming message type, or "" where none is chosen.
func (p *Partner) MapIn(typ string) string {
	for _, m := range p.In {
		if matches(m.Type, typ) {
			return m.Map
		}
	}
	return ""
}

// MapOut names the map for an event, or "" where none is chosen.
func (p *Partner) MapOut(event string) string {
	for _, m := range p.Out {
		if matches(m.Event, event) {
			return m.Map
		}
	}
	return ""
}

// Receivers are the partners that get an event of p by its routes.
func (p *Partner) Receivers(event string) []string {
	var to []string
	for _, r := range p.Routes {
		if slices.ContainsFunc(r.Events, func(pattern string) bool { return matches(pattern, event) }) {
			to = append(to, r.To...)
		}
	}
	return to
}

// Takes says whether value is in a list of the contract; an empty list takes all.
func Takes(list []string, value string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(pattern string) bool { return matches(pattern, value) })
}

// matches compares a word with a pattern, which may end in a star.
func matches(pattern, word string) bool {
	if stem, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(word, stem)
	}
	return pattern == word
}

package contracts

import (
	"io/fs"
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
	// Segments describes the segments that the standard doesn't have, by name (ZFI): their fields in order.
	Segments map[string][]SegmentField `yaml:"segments"`
	// Rules are what the partner's messages must hold beyond the standard. A message that breaks one parks.
	Rules []FieldRule `yaml:"rules"`
	// Profiles are the FHIR profiles that messages from and to a partner who speaks FHIR must have. One that breaks its
	// profile parks. Without any, what it sends need only be a message.
	Profiles []ProfileRule `yaml:"profiles"`
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
	doc  *YAML
}

// Position gives line and column of a key of the contract's file, or of the nearest key above it that is there, by its
// path (routes[0].to); 0, 0 where the contract wasn't read from a file.
func (p *Partner) Position(path string) (line, col int) { return p.doc.Position(path) }

// Title names something for people, by language.
type Title struct {
	EN string `yaml:"en" json:"en"`
	FI string `yaml:"fi" json:"fi"`
	SV string `yaml:"sv" json:"sv"`
}

// Dialect is how the partner speaks.
type Dialect struct {
	Format  string   `yaml:"format"`  // hl7v2 or fhir
	Version string   `yaml:"version"` // what is written to it: 2.5.1, or 4.0.1
	Charset string   `yaml:"charset"` // MSH-18 of what is written, and how a message without MSH-18 is read
	Zone    string   `yaml:"zone"`    // of times without one; Europe/Helsinki
	Names   HL7Names `yaml:"names"`
	// How HL7 v2 is read and written where a partner has habits of its own.
	CharsetAlways   bool     `yaml:"charsetAlways"`   // every message is read in Charset, whatever its MSH-18 says
	CharsetFallback string   `yaml:"charsetFallback"` // reads a message whose bytes aren't in its own set, with a warning; else it is refused
	Lacking         string   `yaml:"lacking"`         // a character that Charset lacks: fault or escape; fault
	Literal         []string `yaml:"literal"`         // text fields in which ^ and & are text, not delimiters: OBX-5, NTE-3
	Truncation      bool     `yaml:"truncation"`      // MSH-2 is written with the truncation character of 2.7: ^~\&#
	Residue         string   `yaml:"residue"`         // what no rule carries of an HL7 v2 message for this partner: drop, or keep where one base map reads and writes it; drop
}

// What becomes of that which no rule of a map carries.
const (
	ResidueDrop = "drop" // it stays in the hub
	ResidueKeep = "keep" // the way back puts it between what the rules write
)

// What becomes of a character that the character set of what is written lacks.
const (
	LackingFault  = "fault"  // the message parks, with the place
	LackingEscape = "escape" // it is written as \X..\ with its bytes in UTF-8
)

// SegmentField is a field of a segment that the standard doesn't have.
type SegmentField struct {
	Name      string   `yaml:"name"`      // for people
	Type      string   `yaml:"type"`      // data type: CE
	Usage     string   `yaml:"usage"`     // required, optional or forbidden; optional
	Max       int      `yaml:"max"`       // repetitions; 1, and -1 for any number
	MaxLength int      `yaml:"maxLength"` // characters of a value; not limited
	Codes     []string `yaml:"codes"`     // what its first component may be; anything
}

// FieldRule is what a contract demands of one place of a message.
type FieldRule struct {
	For       string   `yaml:"for"`       // message type: REF^I12, REF^* or *; *
	At        string   `yaml:"at"`        // PID-3, PV1-3.4, OBX-5, or a whole segment: RF1
	Usage     string   `yaml:"usage"`     // required or forbidden
	MaxLength int      `yaml:"maxLength"` // characters of the value at the place
	Codes     []string `yaml:"codes"`     // the values that it may have
}

// ProfileRule is the profile of a message's Bundle, by event.
type ProfileRule struct {
	For     string `yaml:"for"`     // canonical event: request, response-*; *
	Profile string `yaml:"profile"` // its canonical URL; Silta's own of the event
}

// The usages of fields in contracts.
const (
	UsageRequired  = "required"
	UsageOptional  = "optional"
	UsageForbidden = "forbidden"
)

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
	Listen      string        `yaml:"listen"`      // 127.0.0.1:2575
	MaxBytes    int           `yaml:"maxBytes"`    // of one frame; 32 MB
	MaxMessages int           `yaml:"maxMessages"` // in one frame, a batch; 1000
	Idle        time.Duration `yaml:"idle"`        // a silent connection is closed after; 10m
	Read        time.Duration `yaml:"read"`        // a frame that has begun must end within; 1m
	Connections int           `yaml:"connections"` // at once; 200
	Rate        int           `yaml:"rate"`        // messages a second, of all connections together: faster senders wait; not limited
	Release     int           `yaml:"release"`     // of MLLP: 1 or 2; 1
	Several     string        `yaml:"several"`     // several messages in one frame: each, batch or refuse; each
	TLS         *TLSDoor      `yaml:"tls"`
	Plain       bool          `yaml:"plain"` // without TLS on an address that isn't this machine's own: a VPN carries it
}

// How a door answers several messages that come in one frame.
const (
	SeveralEach   = "each"   // a frame for each message's acknowledgement
	SeveralBatch  = "batch"  // one frame with all of them, as a batch
	SeveralRefuse = "refuse" // the frame is refused
)

// TLSDoor is a door's side of TLS. The files are read again when they change; open connections stay.
type TLSDoor struct {
	CertFile     string   `yaml:"certFile"`     // the door's certificate and its chain, PEM; relative to the configuration's directory
	KeyFile      string   `yaml:"keyFile"`      // its key, PEM
	ClientCAFile string   `yaml:"clientCAFile"` // whose certificates a client must show, PEM; without it none is asked for
	ClientNames  []string `yaml:"clientNames"`  // DNS names or common names of which the client's certificate must have one
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
	To              string        `yaml:"to"`              // host:port
	Connect         time.Duration `yaml:"connect"`         // 10s
	Write           time.Duration `yaml:"write"`           // a message must have been taken within; 30s
	Answer          time.Duration `yaml:"answer"`          // for each acknowledgement; 30s
	Idle            time.Duration `yaml:"idle"`            // a silent connection is closed after, and made anew before the next message; kept open
	Connections     int           `yaml:"connections"`     // at once; 1
	Pipeline        int           `yaml:"pipeline"`        // messages in flight on one connection; 1: the next leaves when the last is answered
	Release         int           `yaml:"release"`         // of MLLP: 1 or 2; 1
	Acknowledgement string        `yaml:"acknowledgement"` // which one means delivered, in enhanced mode: accept or application; accept
	TLS             *TLSCourier   `yaml:"tls"`
	Plain           bool          `yaml:"plain"` // without TLS to an address that isn't this machine's own: a VPN carries it
}

// Which acknowledgement means delivered where a message asks for both (enhanced mode).
const (
	AckAccept      = "accept"      // CA: the partner has the message
	AckApplication = "application" // AA: the partner's application has taken it; it may come on the courier's connection or through the partner's door
)

// TLSCourier is a courier's side of TLS. The files are read again when they change.
type TLSCourier struct {
	CAFile     string `yaml:"caFile"`     // who may have signed the partner's certificate, PEM; the system's roots without it
	CertFile   string `yaml:"certFile"`   // our certificate, where the partner asks for one, PEM
	KeyFile    string `yaml:"keyFile"`    // its key, PEM
	ServerName string `yaml:"serverName"` // the name in the partner's certificate; the host of `to` without it
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

// Route sends messages to partners: by event, translated, or by message type, passed on without a map to partners of
// the same format. One of both.
type Route struct {
	Events []string `yaml:"events"` // canonical events: "response-*" takes a family
	Types  []string `yaml:"types"`  // HL7 v2 message types, of which nothing but the addresses is written anew: "ORU^R01", "MDM^*"
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
	p.doc = doc
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
	if p.Dialect.Lacking == "" {
		p.Dialect.Lacking = LackingFault
	}
	if p.Dialect.Residue == "" {
		p.Dialect.Residue = ResidueDrop
	}
	if d := p.Door.MLLP; d != nil {
		d.Defaults()
	}
	if d := p.Door.FHIR; d != nil {
		orSize(&d.MaxBytes)
	}
	if c := p.Courier.MLLP; c != nil {
		c.Defaults()
	}
	if c := p.Courier.FHIR; c != nil {
		orDuration(&c.Answer, 30*time.Second)
	}
}

// Defaults fills in what the contract leaves out.
func (d *MLLPDoor) Defaults() {
	orSize(&d.MaxBytes)
	orNumber(&d.MaxMessages, 1000)
	orDuration(&d.Idle, 10*time.Minute)
	orDuration(&d.Read, time.Minute)
	orNumber(&d.Connections, 200)
	orNumber(&d.Release, 1)
	if d.Several == "" {
		d.Several = SeveralEach
	}
}

// Defaults fills in what the contract leaves out.
func (c *MLLPCourier) Defaults() {
	orDuration(&c.Connect, 10*time.Second)
	orDuration(&c.Write, 30*time.Second)
	orDuration(&c.Answer, 30*time.Second)
	orNumber(&c.Connections, 1)
	orNumber(&c.Pipeline, 1)
	orNumber(&c.Release, 1)
	if c.Acknowledgement == "" {
		c.Acknowledgement = AckAccept
	}
}

func orNumber(n *int, value int) {
	if *n == 0 {
		*n = value
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

// Passes are the partners that get a message of a type as it came, by the routes of p; none where it is translated.
func (p *Partner) Passes(typ string) []string {
	var to []string
	for _, r := range p.Routes {
		if slices.ContainsFunc(r.Types, func(pattern string) bool { return matches(pattern, typ) }) {
			to = append(to, r.To...)
		}
	}
	return to
}

// ProfileOf is the canonical URL of the profile that a message of that event must have, where profiles.ForEvent gives
// Silta's own; empty where the contract asks for none.
func (p *Partner) ProfileOf(event string, own func(event string) string) string {
	for _, r := range p.Profiles {
		if r.For != "" && !matches(r.For, event) {
			continue
		}
		if r.Profile != "" {
			return r.Profile
		}
		return own(event)
	}
	return ""
}

// Takes says whether value is in a list of the contract; an empty list takes all.
func Takes(list []string, value string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(pattern string) bool { return matches(pattern, value) })
}

// Meet says whether some word fits both patterns, each of which may be a word itself.
func Meet(a, b string) bool {
	if stem, ok := strings.CutSuffix(b, "*"); ok && strings.HasPrefix(strings.TrimSuffix(a, "*"), stem) {
		return true
	}
	return matches(a, strings.TrimSuffix(b, "*"))
}

// matches compares a word with a pattern, which may end in a star.
func matches(pattern, word string) bool {
	if stem, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(word, stem)
	}
	return pattern == word
}

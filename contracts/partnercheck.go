package contracts

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// check says what is wrong with a contract by itself, each with its place in the file.
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
	if l := p.Dialect.Lacking; l != LackingFault && l != LackingEscape {
		fault("dialect.lacking", "What becomes of a character that the set lacks is fault or escape.")
	}
	if r := p.Dialect.Residue; r != ResidueDrop && r != ResidueKeep {
		fault("dialect.residue", "What no rule carries is for drop or keep.")
	} else if r == ResidueKeep && p.Dialect.Format != FormatV2 {
		fault("dialect.residue", "Only a partner that speaks hl7v2 can be given what no rule carries.")
	}
	if p.Dialect.CharsetAlways && p.Dialect.Charset == "" {
		fault("dialect.charsetAlways", "The character set in which every message is read must be named: dialect.charset.")
	}
	if p.Door.MLLP != nil && p.Door.FHIR != nil {
		fault("door", "A partner has one door: mllp or fhir.")
	}
	if d := p.Door.MLLP; d != nil {
		d.check(fault)
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
		checkTime(fault, "courier.fhir.answer", c.Answer)
	}
	if c := p.Courier.MLLP; c != nil {
		c.check(fault)
	}
	if c := p.Courier.MLLP; c != nil && p.Dialect.Version == "" {
		fault("dialect", "A partner that gets HL7 v2 needs the version to write.")
	}
	p.checkFields(fault)
	if n := p.Dialect.Names; p.Courier.MLLP != nil && (n.Application == "" || n.OurApplication == "") {
		fault("dialect", "A partner that gets HL7 v2 needs names.application and names.ourApplication (MSH-5 and MSH-3).")
	}
	return faults
}

// checkFields checks what the contract says of fields, as far as that needs no knowledge of HL7.
func (p *Partner) checkFields(fault func(at, format string, args ...any)) {
	if p.Dialect.Format != FormatV2 && (len(p.Segments) > 0 || len(p.Rules) > 0) {
		fault("rules", "Segments and rules are of HL7 v2.")
	}
	if p.Dialect.Format != FormatFHIR && len(p.Profiles) > 0 {
		fault("profiles", "Profiles are of FHIR.")
	}
	for _, name := range keysOf(p.Segments) {
		for i, f := range p.Segments[name] {
			at := fmt.Sprintf("segments.%s[%d]", name, i)
			if f.Type == "" {
				fault(at, "A field has a data type: ST, CE, CX …")
			}
			if u := f.Usage; u != "" && u != UsageRequired && u != UsageOptional && u != UsageForbidden {
				fault(at+".usage", "A field is required, optional or forbidden.")
			}
			if f.Max < -1 || f.MaxLength < 0 {
				fault(at, "Repetitions and lengths are positive numbers, and max -1 any number.")
			}
		}
	}
	for i, r := range p.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		switch {
		case r.At == "":
			fault(at, "A rule names a place: PID-3, PV1-3.4, or a segment.")
		case r.Usage != "" && r.Usage != UsageRequired && r.Usage != UsageForbidden:
			fault(at+".usage", "A rule makes a place required or forbidden.")
		case r.Usage == "" && r.MaxLength == 0 && len(r.Codes) == 0:
			fault(at, "A rule demands something: usage, maxLength or codes.")
		case r.MaxLength < 0:
			fault(at+".maxLength", "A length is a positive number.")
		}
	}
}

func (d *MLLPDoor) check(fault func(at, format string, args ...any)) {
	if d.Listen == "" {
		fault("door.mllp", "The door needs an address to listen on.")
	} else if !hasPort(d.Listen) {
		fault("door.mllp.listen", "An address is host:port, or :port for every address of this machine.")
	} else if d.TLS == nil && !d.Plain && !onThisMachine(d.Listen) {
		fault("door.mllp.listen", "Others than this machine reach this address: give the door tls, or say `plain: true` where a VPN carries it.")
	}
	if d.Several != SeveralEach && d.Several != SeveralBatch && d.Several != SeveralRefuse {
		fault("door.mllp.several", "Several messages in a frame are answered each, batch or refuse.")
	}
	checkRelease(fault, "door.mllp.release", d.Release)
	if d.MaxBytes < 0 || d.MaxMessages < 0 || d.Connections < 0 || d.Rate < 0 {
		fault("door.mllp", "A limit can't be negative.")
	}
	checkTime(fault, "door.mllp.idle", d.Idle)
	checkTime(fault, "door.mllp.read", d.Read)
	if t := d.TLS; t != nil {
		if t.CertFile == "" || t.KeyFile == "" {
			fault("door.mllp.tls", "TLS needs the door's certFile and keyFile.")
		}
		if len(t.ClientNames) > 0 && t.ClientCAFile == "" {
			fault("door.mllp.tls.clientNames", "Client names can't be trusted without a clientCAFile.")
		}
	}
}

func (c *MLLPCourier) check(fault func(at, format string, args ...any)) {
	if c.To == "" {
		fault("courier.mllp", "The courier needs the partner's host:port.")
	} else if !hasPort(c.To) {
		fault("courier.mllp.to", "An address is host:port.")
	} else if c.TLS == nil && !c.Plain && !onThisMachine(c.To) {
		fault("courier.mllp.to", "This address isn't this machine's own: give the courier tls, or say `plain: true` where a VPN carries it.")
	}
	if c.Acknowledgement != AckAccept && c.Acknowledgement != AckApplication {
		fault("courier.mllp.acknowledgement", "The acknowledgement that means delivered is accept or application.")
	}
	checkRelease(fault, "courier.mllp.release", c.Release)
	if c.Connections < 0 || c.Pipeline < 0 {
		fault("courier.mllp", "A number of connections or messages can't be negative.")
	}
	checkTime(fault, "courier.mllp.connect", c.Connect)
	checkTime(fault, "courier.mllp.write", c.Write)
	checkTime(fault, "courier.mllp.answer", c.Answer)
	checkTime(fault, "courier.mllp.idle", c.Idle)
	if t := c.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		fault("courier.mllp.tls", "A certificate needs its key: certFile and keyFile.")
	}
}

func checkTime(fault func(at, format string, args ...any), at string, d time.Duration) {
	if d < 0 {
		fault(at, "A time to wait can't be negative.")
	}
}

func checkRelease(fault func(at, format string, args ...any), at string, release int) {
	if release != 1 && release != 2 {
		fault(at, "MLLP has the releases 1 and 2.")
	}
}

// hasPort says whether an address is host:port, with a port that there is.
func hasPort(address string) bool {
	u, err := url.Parse("//" + address)
	if err != nil {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port <= 65535
}

// onThisMachine says whether an address is reached from this machine alone.
func onThisMachine(address string) bool {
	u, err := url.Parse("//" + address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// CheckPartners checks contracts against each other: ids, addresses and routes.
func CheckPartners(partners []*Partner) Faults {
	var faults Faults
	byID := map[string]*Partner{}
	doors := map[string]string{}
	fault := func(p *Partner, code, at, text string) {
		line, col := p.Position(at)
		faults = append(faults, &Fault{Kind: Invalid, Code: code, File: p.File, Line: line, Col: col, At: at, Public: text})
	}
	for _, p := range partners {
		if other := byID[p.ID]; other != nil {
			fault(p, "CFG-004", "id", "Another contract has the same id: "+other.File)
		}
		byID[p.ID] = p
		if d := p.Door.MLLP; d != nil {
			if other, taken := doors[d.Listen]; taken && !strings.HasSuffix(d.Listen, ":0") {
				fault(p, "CFG-005", "door.mllp.listen", "The door's address is also that of "+other+".")
			}
			doors[d.Listen] = p.ID
		}
	}
	for _, p := range partners {
		for i, r := range p.Routes {
			at := fmt.Sprintf("routes[%d]", i)
			if (len(r.Events) > 0) == (len(r.Types) > 0) {
				fault(p, "CFG-008", at, "A route has either events, which are translated, or types, which are passed on as they are.")
			}
			for j, to := range r.To {
				at := fmt.Sprintf("%s.to[%d]", at, j)
				if q := byID[to]; q == nil {
					fault(p, "CFG-006", at, "A route leads to a partner without a contract: "+to+DidYouMean(to, keysOf(byID))+".")
				} else if q.Courier.MLLP == nil && q.Courier.FHIR == nil {
					fault(p, "CFG-007", at, "A route leads to a partner without a courier: "+to+".")
				} else if len(r.Types) > 0 && (p.Dialect.Format != FormatV2 || q.Dialect.Format != FormatV2) {
					fault(p, "CFG-009", at, "Only HL7 v2 messages can be passed on as they are, to a partner that speaks it: "+to+".")
				}
			}
		}
	}
	return faults
}

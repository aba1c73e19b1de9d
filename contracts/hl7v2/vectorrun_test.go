package hl7v2_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// vectorRun is a vector while it runs: the message, once it is parsed, and the options to parse it with.
type vectorRun struct {
	*testing.T
	v    *vector
	opts []hl7v2.Option
	m    *hl7v2.Message
	err  error
}

// notOfMessage are the lines for which the input isn't parsed as one message.
var notOfMessage = []string{"ids", "offsets", "batch", "encode", "date", "time", "path", "name", "escape", "atleast"}

func (v *vector) run(t *testing.T) {
	r := &vectorRun{T: t, v: v}
	for _, s := range v.steps {
		if s.verb == "default" || s.verb == "force" {
			r.option(s)
		}
	}
	asked := func(verbs ...string) bool {
		return slices.ContainsFunc(v.steps, func(s vectorStep) bool { return slices.Contains(verbs, s.verb) })
	}
	whole := slices.ContainsFunc(v.steps, func(s vectorStep) bool { return !slices.Contains(notOfMessage, s.verb) })
	if whole {
		r.m, r.err = hl7v2.Parse(v.input, r.opts...)
	}
	if whole && !asked("faults") && r.err != nil {
		t.Errorf("it doesn't parse: %v", r.err)
	}
	if r.m != nil {
		r.laws(!asked("scan"))
		if got := listFaults(r.m.Warnings()); !asked("warnings") && got != "" {
			t.Errorf("warnings %s", got)
		}
	}
	for _, s := range v.steps {
		r.step(s)
	}
}

// laws hold for every message that parses.
func (r *vectorRun) laws(scan bool) {
	r.Helper()
	if !bytes.Equal(r.m.Bytes(), r.v.input) {
		r.Errorf("the bytes don't come back: %q", r.m.Bytes())
	}
	checkJSONRoundTrip(r.T, r.v.at, r.m)
	h, err := hl7v2.Scan(r.v.input, r.opts...)
	if scan && err != nil {
		r.Errorf("Scan: %v", err)
	}
	if h.Segments() != r.m.NumSegments() || h.Charset() != r.m.Charset() || h.ControlID() != r.m.ControlID() {
		r.Error("Scan and Parse differ")
	}
}

func (r *vectorRun) option(s vectorStep) {
	c, ok := hl7v2.LookupCharset(s.arg)
	switch {
	case !ok:
		r.Fatalf("%s: unknown character set", s.at)
	case s.verb == "force":
		r.opts = append(r.opts, hl7v2.WithCharset(c))
	default:
		r.opts = append(r.opts, hl7v2.WithDefaultCharset(c))
	}
}

func (r *vectorRun) step(s vectorStep) {
	switch s.verb {
	case "default", "force":
	case "get", "text", "er7", "state", "len", "seg", "segments", "json", "charset", "delimiters", "type", "control", "version",
		"structure", "warnings", "set", "write", "null", "raw", "finds", "passes":
		if r.m == nil {
			r.Fatalf("%s: there is no message: %v", s.at, r.err)
		}
		r.ofMessage(s)
	case "faults", "scan", "says", "due", "ack", "reads":
		r.ofBytes(s)
	case "ids", "offsets", "batch":
		r.ofFile(s)
	case "encode":
		out, err := hl7v2.EncodeJSON(r.v.input)
		r.expectOut(s, out, err)
	case "date", "time", "path", "name", "escape", "atleast":
		r.alone(s)
	default:
		r.Fatalf("%s: there is no line %q", s.at, s.verb)
	}
}

func (r *vectorRun) ofMessage(s vectorStep) {
	get := func() hl7v2.Value { return r.m.Get(r.path(s)) }
	switch s.verb {
	case "get":
		r.expect(s, get().Line())
	case "text":
		r.expect(s, get().Text())
	case "er7":
		r.expect(s, get().ER7())
	case "state":
		r.expect(s, [...]string{"absent", "empty", "null", "filled"}[get().State()])
	case "len":
		p := r.path(s)
		v := get()
		if p.Rep == 0 && p.Component == 0 {
			seg, _ := r.m.Find(p)
			v = seg.Field(p.Field)
		}
		r.expect(s, fmt.Sprint(v.Len()))
	case "seg":
		seg, ok := r.m.Find(hl7v2.MustPath(s.arg + "-1"))
		if !ok {
			r.Fatalf("%s: there is no such segment", s.at)
		}
		r.expect(s, string(seg.Raw()))
	case "segments":
		var ids []string
		for _, seg := range r.m.Segments() {
			ids = append(ids, seg.ID())
		}
		r.expect(s, strings.Join(ids, " "))
	case "json":
		r.expect(s, r.fieldJSON(r.path(s)))
	case "charset":
		r.expect(s, r.m.Charset().Name())
	case "delimiters":
		r.expect(s, string(r.m.Delimiters().Field)+r.m.Delimiters().EncodingCharacters())
	case "type":
		r.expect(s, r.m.Type())
	case "control":
		r.expect(s, r.m.ControlID())
	case "version":
		r.expect(s, r.m.Version())
	case "structure":
		d, err := hl7v2.Dictionary(hl7v2.NearestVersion(r.m.Version()))
		if err != nil {
			r.Fatal(err)
		}
		r.expect(s, d.StructureOfMessage(r.m))
	case "warnings":
		r.expect(s, listFaults(r.m.Warnings()))
	case "set", "write", "null", "raw":
		r.change(s)
	case "finds":
		if faults := listFaults(hl7v2.Validate(r.m, nil)); !slices.Contains(strings.Split(faults, "; "), s.arg) {
			r.Errorf("%s: Validate finds %s", s.at, faults)
		}
	case "passes":
		if faults := listFaults(hl7v2.Validate(r.m, nil)); strings.Contains(faults, s.arg) {
			r.Errorf("%s: Validate finds %s", s.at, faults)
		}
	}
}

// fieldJSON takes a field's JSON out of the message's.
func (r *vectorRun) fieldJSON(p hl7v2.Path) string {
	var j struct {
		Segments []struct{ Fields []json.RawMessage }
	}
	if err := json.Unmarshal(r.m.AppendJSON(nil), &j); err != nil {
		r.Fatal(err)
	}
	seg, _ := r.m.Find(p)
	if fields := j.Segments[seg.Index()].Fields; p.Field <= len(fields) {
		return string(fields[p.Field-1])
	}
	return ""
}

func (r *vectorRun) change(s vectorStep) {
	p, value, before := r.path(s), s.want, string(r.m.Bytes())
	if s.fault {
		_, value, _ = strings.Cut(s.arg, "\x00")
	}
	var err error
	switch s.verb {
	case "set":
		err = r.m.Set(p, value)
	case "write":
		err = r.m.SetText(p, value)
	case "null":
		err = r.m.SetNull(p)
	case "raw":
		err = r.m.SetRaw(p, []byte(value))
	}
	if got := listFaults(contracts.FaultsOf(err)); s.fault && got != s.want {
		r.Errorf("%s: got %q, want %q", s.at, got, s.want)
	} else if !s.fault && err != nil {
		r.Errorf("%s: %v", s.at, err)
	}
	if err != nil && string(r.m.Bytes()) != before {
		r.Errorf("%s: the message changed in spite of the fault", s.at)
	}
}

func (r *vectorRun) ofBytes(s vectorStep) {
	h, scanErr := hl7v2.Scan(r.v.input, r.opts...)
	switch s.verb {
	case "faults":
		r.expect(s, listFaults(contracts.FaultsOf(r.err)))
	case "scan":
		r.expect(s, listFaults(contracts.FaultsOf(scanErr)))
	case "says":
		if faults := contracts.FaultsOf(r.err); len(faults) == 0 || !strings.Contains(faults[0].Public, s.want) {
			r.Errorf("%s: got %v", s.at, faults)
		}
	case "due":
		code, due := h.Reply(hl7v2.Outcome(s.arg))
		if !due {
			code = "none"
		}
		r.expect(s, code)
	case "ack":
		r.acknowledge(s, h, scanErr)
	case "reads":
		a, err := hl7v2.ReadAcknowledgement(r.v.input)
		if s.fault {
			r.expectFault(s, err)
			return
		}
		got := a.Code + " " + a.ControlID
		for _, e := range a.Errors {
			got += "; " + strings.Join(strings.Fields(e.Code+" "+e.At+" "+e.Severity), " ")
		}
		r.expect(s, got)
	}
}

// acknowledge answers with what the line says, or with what is due.
func (r *vectorRun) acknowledge(s vectorStep, h *hl7v2.Header, scanErr error) {
	if h == nil {
		r.Fatalf("%s: there is nothing to answer", s.at)
	}
	a := hl7v2.Answer{ControlID: "ACK1", Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("", 2*3600))}
	code, rest, _ := strings.Cut(s.arg, " ")
	text, isText := strings.CutPrefix(rest, "text ")
	switch {
	case code == "":
		due := false
		if a.Code, due = h.Reply(hl7v2.OutcomeOf(scanErr)); !due {
			r.expect(s, "none")
			return
		}
		a.Faults = contracts.FaultsOf(scanErr)
		for _, f := range a.Faults {
			f.Public = "" // the texts are for people and may change
		}
	case isText:
		a.Code, a.Text = code, text
	default:
		a.Code = code
		for _, item := range strings.Split(rest, "; ") {
			if item != "" {
				a.Faults = append(a.Faults, makeFault(item))
			}
		}
	}
	r.expectOut(s, hl7v2.Acknowledge(h, a), nil)
}

var faultForm = regexp.MustCompile(`^(\S+)(?: (.*?))?(?: \[(\d+)\])?$`)

func makeFault(item string) *contracts.Fault {
	parts := faultForm.FindStringSubmatch(item)
	return &contracts.Fault{Kind: contracts.Invalid, Code: parts[1], At: parts[2], ErrorCode: parts[3]}
}

func (r *vectorRun) ofFile(s vectorStep) {
	parts, faults := hl7v2.Split(r.v.input)
	var got []string
	switch s.verb {
	case "batch":
		got = append(got, listFaults(faults))
	case "offsets":
		for _, p := range parts {
			got = append(got, fmt.Sprint(p.Offset))
		}
	case "ids":
		for _, p := range parts {
			id := "?"
			if m, err := hl7v2.Parse(p.Bytes, hl7v2.WithDefaultCharset(hl7v2.UTF8)); err == nil {
				id = m.ControlID()
			}
			got = append(got, id)
		}
	}
	r.expect(s, strings.Join(got, " "))
}

func (r *vectorRun) alone(s vectorStep) {
	var got string
	var err error
	switch s.verb {
	case "date":
		var d hl7v2.DateTime
		if d, err = hl7v2.ParseDateTime(s.arg); err == nil {
			got = [...]string{"", "year", "month", "day", "hour", "minute", "second", "fraction"}[d.Precision]
			if d.String() != s.arg {
				r.Errorf("%s: it is written as %s", s.at, d)
			}
		}
	case "time":
		text, zone, _ := strings.Cut(s.arg, " ")
		var d hl7v2.DateTime
		loc, lerr := time.LoadLocation(zone)
		if d, err = hl7v2.ParseDateTime(text); err != nil || lerr != nil {
			r.Fatalf("%s: %v %v", s.at, err, lerr)
		}
		at, clock := d.Time(loc)
		got = at.Format(time.RFC3339Nano) + [...]string{" clear", " gap", " overlap"}[clock]
	case "path":
		var p hl7v2.Path
		if p, err = hl7v2.CompilePath(s.arg); err == nil {
			got = p.String()
		}
	case "name":
		c, ok := hl7v2.LookupCharset(s.arg)
		if ok == s.fault {
			r.Errorf("%s: known %v", s.at, ok)
		} else if ok {
			r.expect(s, c.Name())
		}
		return
	case "escape":
		got = hl7v2.Standard.EncodeText(s.arg)
	case "atleast":
		version, least, _ := strings.Cut(s.arg, " ")
		got = fmt.Sprint(hl7v2.VersionAtLeast(version, least))
	}
	if s.fault {
		r.expectFault(s, err)
		return
	}
	if err != nil {
		r.Errorf("%s: %v", s.at, err)
	}
	r.expect(s, got)
}

// path compiles the path that a line names.
func (r *vectorRun) path(s vectorStep) hl7v2.Path {
	text, _, _ := strings.Cut(s.arg, "\x00")
	p, err := hl7v2.CompilePath(text)
	if err != nil {
		r.Fatalf("%s: %v", s.at, err)
	}
	return p
}

func (r *vectorRun) expect(s vectorStep, got string) {
	if s.fault || got != s.want {
		r.Errorf("%s: %s %s\n got %q\nwant %q", s.at, s.verb, s.arg, got, s.want)
	}
}

func (r *vectorRun) expectFault(s vectorStep, err error) {
	if got := listFaults(contracts.FaultsOf(err)); got != s.want {
		r.Errorf("%s: %s %s\n got %q\nwant %q", s.at, s.verb, s.arg, got, s.want)
	}
}

func (r *vectorRun) expectOut(s vectorStep, got []byte, err error) {
	switch {
	case s.fault:
		r.expectFault(s, err)
	case err != nil:
		r.Errorf("%s: %v", s.at, err)
	case !bytes.Equal(got, s.out):
		r.Errorf("%s: %s %s\n got %q\nwant %q", s.at, s.verb, s.arg, got, s.out)
	}
}

// listFaults writes faults as vectors do.
func listFaults(faults contracts.Faults) string {
	list := make([]string, len(faults))
	for i, f := range faults {
		list[i] = strings.TrimSpace(f.Code + " " + f.At)
		if f.ErrorCode != "" {
			list[i] += " [" + f.ErrorCode + "]"
		}
	}
	return strings.Join(list, "; ")
}

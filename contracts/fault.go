package contracts

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind says what happens next to a message that met a fault. The list is closed; nothing else decides.
type Kind string

// The kinds of fault. At a door malformed, denied, unroutable and conflict refuse; unavailable is tried again;
// unmapped, invalid and refused park for a person; notfound waits and then parks; internal is trouble of our own:
// no acknowledgement at the door, park behind it. Loss is a finding: it stops nothing unless a contract says so.
const (
	Malformed   Kind = "malformed"
	Denied      Kind = "denied"
	Unroutable  Kind = "unroutable"
	Unavailable Kind = "unavailable"
	Unmapped    Kind = "unmapped"
	Invalid     Kind = "invalid"
	Refused     Kind = "refused"
	Conflict    Kind = "conflict"
	NotFound    Kind = "notfound"
	Internal    Kind = "internal"
	Loss        Kind = "loss"
)

// Grade says how much a fault weighs. The zero Grade is an error.
type Grade string

// The grades, heaviest first.
const (
	GradeError   Grade = ""
	GradeWarning Grade = "warning"
	GradeNote    Grade = "note"
)

// Fault stops a message, or, as a finding, is only reported. It carries places and never values: no identity code,
// name or field content may stand in Public, At or Code. Err may hold a cause for errors.Is; it isn't printed.
type Fault struct {
	Kind      Kind
	Code      string // stable, listed in docs: HL7-003, MAP-020
	Rule      string // the rule of a standard or a profile that was broken, by its name there: pat-1; else empty
	Op        string // what was being done: "translate"
	File      string // the file, where there is one
	Line      int    // 1-based line in File for files that we define (YAML), else 0
	Col       int    // 1-based column, with Line
	At        string // the place in a message or resource: PID-3(1).1, Bundle.entry[2].resource, byte 812
	Public    string // what happened and what to do, for a support person
	ErrorCode string // HL7 table 0357 code where one fits (ERR-3), else empty
	Grade     Grade
	Err       error // the cause, for errors.Is and As
}

// Error gives kind, code, place and public text, in the form of String without the file.
func (f *Fault) Error() string {
	var b strings.Builder
	if f.Op != "" {
		b.WriteString(f.Op + ": ")
	}
	if p := f.Place(); p != "" {
		b.WriteString(p + ": ")
	}
	b.WriteString(string(f.Kind))
	if code := f.codes(); code != "" {
		b.WriteString(" " + code)
	}
	if f.Public != "" {
		b.WriteString(": " + f.Public)
	}
	return b.String()
}

// codes are the code and the rule, with a blank between them where both are set.
func (f *Fault) codes() string {
	if f.Code == "" || f.Rule == "" {
		return f.Code + f.Rule
	}
	return f.Code + " " + f.Rule
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Place is the fault's place as `at` in JSON has it: FILE:LINE:COL for files that we define, else At.
func (f *Fault) Place() string {
	if f.Line > 0 {
		return f.File + ":" + strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Col)
	}
	return f.At
}

// Text is the fault as the command line prints it: `FILE:LINE:COL: kind CODE: text` for files that we define,
// `FILE: AT: kind CODE: text` for messages, with the rule behind the code where there is one. file stands in for an
// empty File.
func (f *Fault) Text(file string) string {
	g := *f
	if g.File == "" {
		g.File = file
	}
	g.Op = ""
	kind := string(g.Kind)
	if code := g.codes(); code != "" {
		kind += " " + code
	}
	if g.Grade != GradeError {
		kind = string(g.Grade) + ": " + kind
	}
	at := g.Place()
	if g.Line == 0 && g.File != "" {
		at = g.File + ": " + g.At
		if g.At == "" {
			at = g.File
		}
	}
	return at + ": " + kind + ": " + g.Public
}

type faultJSON struct {
	Kind  Kind   `json:"kind"`
	Code  string `json:"code,omitempty"`
	Rule  string `json:"rule,omitempty"`
	At    string `json:"at,omitempty"`
	Text  string `json:"text"`
	File  string `json:"file,omitempty"`
	Grade Grade  `json:"grade,omitempty"`
}

// MarshalJSON writes {"kind","code","at","text"}, with "rule", "file" and "grade" where they are set.
func (f *Fault) MarshalJSON() ([]byte, error) {
	j := faultJSON{Kind: f.Kind, Code: f.Code, Rule: f.Rule, At: f.Place(), Text: f.Public, Grade: f.Grade}
	if f.Line == 0 {
		j.File = f.File
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var j faultJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*f = Fault{Kind: j.Kind, Code: j.Code, Rule: j.Rule, At: j.At, Public: j.Text, File: j.File, Grade: j.Grade}
	return nil
}

// Faults are several faults found in one go. It is an error when it isn't empty; use Err to get one or nil.
type Faults []*Fault

// Error gives the faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each fault to errors.Is and As.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

// Err is fs as an error if one of them is of grade error, else nil.
func (fs Faults) Err() error {
	for _, f := range fs {
		if f.Grade == GradeError && f.Kind != Loss {
			return fs
		}
	}
	return nil
}

// FaultsOf gives the outermost fault or faults of err. An error that is no fault becomes one of kind internal, without its text,
// because the text of a foreign error may hold a value.
func FaultsOf(err error) Faults {
	if err == nil {
		return nil
	}
	for e := err; e != nil; e = errors.Unwrap(e) { // the outermost says what it means for this room
		switch e := e.(type) {
		case Faults:
			if len(e) > 0 {
				return e
			}
		case *Fault:
			return Faults{e}
		}
	}
	var f *Fault
	if errors.As(err, &f) {
		return Faults{f}
	}
	return Faults{{Kind: Internal, Public: "Trouble inside the hub; its log names the operation.", Err: err}}
}

// KindOf gives the kind of err's first fault; internal for a foreign error, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	return FaultsOf(err)[0].Kind
}

// Faultf makes a fault. Its text must hold places and never values.
func Faultf(kind Kind, code, at, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Code: code, At: at, Public: fmt.Sprintf(format, args...)}
}

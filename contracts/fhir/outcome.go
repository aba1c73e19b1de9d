package fhir

import (
	"encoding/json"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
	models "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Outcome writes faults as an OperationOutcome: an issue a fault, with its kind as issue code, its code, rule and public
// text in details, its place as expression. A conflict of grade note says `duplicate`: the message was here before.
// Without faults it says that all is well.
func Outcome(faults contracts.Faults) []byte {
	if len(faults) == 0 {
		return AllOK()
	}
	issues := make([]models.OperationOutcomeIssue, len(faults))
	for i, f := range faults {
		issues[i] = issue(f)
	}
	return marshal(issues)
}

// AllOK is the OperationOutcome of a message that was taken.
func AllOK() []byte {
	return marshal([]models.OperationOutcomeIssue{{Severity: models.IssueSeverityInformation, Code: models.IssueTypeInformational,
		Details: &models.CodeableConcept{Text: new("All OK")}}})
}

// Duplicate is the OperationOutcome of a message that was taken before, with the same content.
func Duplicate() []byte {
	return Outcome(contracts.Faults{{Kind: contracts.Conflict, Grade: contracts.GradeNote, Public: "This message was processed already; nothing was done again."}})
}

func marshal(issues []models.OperationOutcomeIssue) []byte {
	b, err := json.Marshal(models.OperationOutcome{Issue: issues})
	if err != nil {
		panic("fhir: an OperationOutcome of strings can't be written: " + err.Error())
	}
	return b
}

func issue(f *contracts.Fault) models.OperationOutcomeIssue {
	i := models.OperationOutcomeIssue{Severity: models.IssueSeverityError, Code: issueTypes[f.Kind], Details: &models.CodeableConcept{}}
	switch {
	case f.Grade == contracts.GradeWarning:
		i.Severity = models.IssueSeverityWarning
	case f.Grade == contracts.GradeNote:
		i.Severity = models.IssueSeverityInformation
		if f.Kind == contracts.Conflict {
			i.Code = models.IssueTypeDuplicate
		}
	case f.Kind == contracts.Internal:
		i.Severity = models.IssueSeverityFatal
	}
	if f.Code != "" {
		i.Details.Coding = []models.Coding{{System: new(profiles.URL(profiles.FaultSystem)), Code: new(f.Code)}}
	}
	if f.Rule != "" {
		i.Details.Coding = append(i.Details.Coding, models.Coding{System: new(profiles.URL(profiles.RuleSystem)), Code: new(f.Rule)})
	}
	if f.Public != "" {
		i.Details.Text = new(f.Public)
	}
	if at := f.Place(); at != "" {
		i.Expression = []string{at}
	}
	return i
}

var issueTypes = map[contracts.Kind]models.IssueType{
	contracts.Malformed:   models.IssueTypeStructure,
	contracts.Invalid:     models.IssueTypeInvalid,
	contracts.Denied:      models.IssueTypeSecurity,
	contracts.Unroutable:  models.IssueTypeNotSupported,
	contracts.Unavailable: models.IssueTypeTransient,
	contracts.Unmapped:    models.IssueTypeCodeInvalid,
	contracts.Refused:     models.IssueTypeProcessing,
	contracts.Conflict:    models.IssueTypeConflict,
	contracts.NotFound:    models.IssueTypeNotFound,
	contracts.Internal:    models.IssueTypeException,
	contracts.Loss:        models.IssueTypeIncomplete,
}

// Verdict is what an OperationOutcome that came back says.
type Verdict struct {
	Failed    bool // an issue of severity fatal or error: the receiver didn't do what was asked
	Fatal     bool // an issue of severity fatal
	Duplicate bool // an issue says duplicate: the receiver has the message already
	Conflict  bool // an issue says conflict, and none duplicate
	Faults    contracts.Faults
}

// ReadOutcome reads an OperationOutcome that a partner answered. Its faults have the kind that the issue code stands
// for, and places; the partner's own words stay out of them, since they may hold anything. The error is
// contracts.Faults: FHIR-001 and on for what isn't JSON, FHIR-040 for another resource.
func ReadOutcome(b []byte, limits ...Limits) (*Verdict, error) {
	t, err := Parse(b, limits...)
	if err != nil {
		return nil, err
	}
	root := t.Root()
	if !root.Get("resourceType").Is("OperationOutcome") {
		return nil, contracts.Faults{malformed(CodeOutcome, root.Place(), "The answer isn't an OperationOutcome.")}
	}
	v := &Verdict{}
	for i := range root.Get("issue").Each() {
		v.issue(i)
	}
	v.Conflict = v.Conflict && !v.Duplicate
	return v, nil
}

func (v *Verdict) issue(i Node) {
	code := i.Get("code").Text()
	kind, known := kindsOf[code]
	if !known {
		code, kind = "unknown", contracts.Refused
	}
	f := &contracts.Fault{Kind: kind, Public: "The receiver says: " + code + "."}
	switch i.Get("severity").Text() {
	case "fatal":
		v.Failed, v.Fatal = true, true
	case "error":
		v.Failed = true
	case "warning":
		f.Grade = contracts.GradeWarning
	default:
		f.Grade = contracts.GradeNote
	}
	switch code {
	case "duplicate":
		v.Duplicate = true
	case "conflict":
		v.Conflict = true
	}
	for c := range i.Get("details").Get("coding").Each() {
		switch code := c.Get("code"); {
		case c.Get("system").Is(profiles.URL(profiles.FaultSystem)) && isFaultCode(code.Text()):
			f.Code = clone(code)
		case c.Get("system").Is(profiles.URL(profiles.RuleSystem)) && isInvariantKey(code.Text()):
			f.Rule = clone(code)
		}
	}
	if at := i.Get("expression").At(0).Text(); isPlace(at) {
		f.At = strings.Clone(at)
	}
	v.Faults = append(v.Faults, f)
}

// kindsOf reads issue codes; where one kind has several, issueTypes says which is written.
var kindsOf = map[string]contracts.Kind{
	"structure": contracts.Malformed, "invalid": contracts.Invalid, "required": contracts.Invalid, "value": contracts.Invalid,
	"invariant": contracts.Invalid, "extension": contracts.Invalid, "too-long": contracts.Invalid,
	"security": contracts.Denied, "login": contracts.Denied, "unknown": contracts.Denied, "expired": contracts.Denied,
	"forbidden": contracts.Denied, "suppressed": contracts.Denied, "not-supported": contracts.Unroutable,
	"transient": contracts.Unavailable, "lock-error": contracts.Unavailable, "no-store": contracts.Unavailable,
	"timeout": contracts.Unavailable, "throttled": contracts.Unavailable, "code-invalid": contracts.Unmapped,
	"processing": contracts.Refused, "business-rule": contracts.Refused, "too-costly": contracts.Refused,
	"informational": contracts.Refused, "conflict": contracts.Conflict, "duplicate": contracts.Conflict,
	"multiple-matches": contracts.Conflict, "not-found": contracts.NotFound, "deleted": contracts.NotFound,
	"exception": contracts.Internal, "incomplete": contracts.Loss,
}

// isFaultCode says whether s has the form of our codes: FHIR-012.
func isFaultCode(s string) bool {
	area, number, ok := strings.Cut(s, "-")
	return ok && len(area) >= 2 && len(area) <= 8 && strings.ToUpper(area) == area && isName(area) && len(number) == 3 && isDigits(number)
}

// isInvariantKey says whether s has the form of the specification's own keys: pat-1, sdf-15a. The name of a profile's
// rule may hold anything, so it isn't read back.
func isInvariantKey(s string) bool {
	area, number, ok := strings.Cut(s, "-")
	return ok && len(area) <= 3 && strings.ToLower(area) == area && isName(area) && len(number) <= 3 && isDigits(strings.TrimRight(number, "ab"))
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isPlace says whether s is a plain path, Bundle.entry[2].resource.birthDate, in which no value can hide.
func isPlace(s string) bool {
	if _, err := CompilePath(s); err != nil || len(s) > 300 {
		return false
	}
	return true
}

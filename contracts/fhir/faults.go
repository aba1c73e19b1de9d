package fhir

import "github.com/hoitosilta/silta/contracts"

// The codes of this package's faults. They are stable; docs explain each.
const (
	CodeSyntax       = "FHIR-001" // not JSON
	CodeUTF8         = "FHIR-002" // not UTF-8
	CodeDuplicateKey = "FHIR-003" // a member name twice in one object
	CodeDepth        = "FHIR-004" // nested too deep
	CodeSize         = "FHIR-005" // too many bytes
	CodeCount        = "FHIR-006" // too many values
	CodeSurrogate    = "FHIR-007" // \ud800 to \udfff without its pair

	CodeNotResource  = "FHIR-010" // no object with a resourceType
	CodeResourceType = "FHIR-011" // a resourceType that R4 doesn't have, or an abstract one
	CodeUnknown      = "FHIR-012" // an element that the type doesn't have
	CodeMissing      = "FHIR-013" // a required element is absent
	CodeTooMany      = "FHIR-014" // more than allowed, or a list where one value belongs
	CodeJSONType     = "FHIR-015" // another kind of JSON value than the type has
	CodePrimitive    = "FHIR-016" // a text that its primitive type doesn't allow
	CodeChoice       = "FHIR-017" // two types of one choice element
	CodeBinding      = "FHIR-018" // a code outside the required value set
	CodeEmpty        = "FHIR-019" // an empty string, array or object
	CodeReference    = "FHIR-020" // a reference that leads nowhere in the Bundle or the resource
	CodeTarget       = "FHIR-021" // a reference to a type that the element doesn't allow
	CodeSibling      = "FHIR-022" // a `_name` that doesn't fit its `name`
	CodeInvariant    = "FHIR-023" // a rule of the specification between elements; the fault's Rule names it

	CodeNotBundle  = "FHIR-030" // another resource than a Bundle
	CodeNotMessage = "FHIR-031" // a Bundle of another type than message
	CodeNoHeader   = "FHIR-032" // the first entry isn't a MessageHeader
	CodeNoControl  = "FHIR-033" // neither Bundle.identifier nor Bundle.id
	CodeFocus      = "FHIR-034" // MessageHeader.focus leads to nothing in the Bundle
	CodeFullURL    = "FHIR-035" // a fullUrl that is missing, relative, or there twice
	CodeNoEvent    = "FHIR-036" // a MessageHeader without an event
	CodeOutcome    = "FHIR-040" // what came back isn't an OperationOutcome
	CodePath       = "FHIR-050" // a text that is no path
	CodeExpression = "FHIR-051" // a FHIRPath expression that can't be read or evaluated
)

// maxFaults is how many faults one call tells.
const maxFaults = 200

func malformed(code, at, format string, args ...any) *contracts.Fault {
	return contracts.Faultf(contracts.Malformed, code, at, format, args...)
}

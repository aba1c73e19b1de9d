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
	CodeInvariant    = "FHIR-023" // a rule of the specification or of a profile between elements; the fault's Rule names it
	CodeFixed        = "FHIR-024" // another value than the one that a profile fixes
	CodeSlice        = "FHIR-025" // an item in none of a closed slicing's slices, or out of their order
	CodeExtension    = "FHIR-026" // an extension where it may not stand, or with parts that it doesn't have
	CodeConform      = "FHIR-027" // none of the profiles that are allowed
	CodeLimit        = "FHIR-028" // longer, smaller or larger than a profile allows
	CodeMustSupport  = "FHIR-029" // an element that a profile wants supported is absent: a note

	CodeNotBundle  = "FHIR-030" // another resource than a Bundle
	CodeNotMessage = "FHIR-031" // a Bundle of another type than message
	CodeNoHeader   = "FHIR-032" // the first entry isn't a MessageHeader
	CodeNoControl  = "FHIR-033" // neither Bundle.identifier nor Bundle.id
	CodeFocus      = "FHIR-034" // MessageHeader.focus leads to nothing in the Bundle
	CodeFullURL    = "FHIR-035" // a fullUrl that is missing, relative, or there twice
	CodeNoEvent    = "FHIR-036" // a MessageHeader without an event
	CodeNoProfile  = "FHIR-037" // a profile that isn't loaded
	CodeAddress    = "FHIR-038" // an address that isn't absolute where it must be, or a urn: with no OID or UUID behind it
	CodeOutcome    = "FHIR-040" // what came back isn't an OperationOutcome
	CodePath       = "FHIR-050" // a text that is no path
	CodeExpression = "FHIR-051" // a FHIRPath expression that can't be read or evaluated
	CodePackage    = "FHIR-060" // no FHIR package
	CodeDefinition = "FHIR-061" // a definition in a package that can't be used
	CodeNoBase     = "FHIR-062" // a profile whose base isn't loaded
)

// maxFaults is how many faults one call tells.
const maxFaults = 200

func malformed(code, at, format string, args ...any) *contracts.Fault {
	return contracts.Faultf(contracts.Malformed, code, at, format, args...)
}

package mappings

// The codes of this package's faults. They are stable: a code keeps its meaning for good. Those below 100 are errors
// of a map file, 100 to 199 warnings about one, from 200 on they are about a message.
const (
	CodeYAML          = "MAP-001"
	CodeUnknownKey    = "MAP-002"
	CodeDuplicate     = "MAP-003"
	CodeQuote         = "MAP-004"
	CodeType          = "MAP-005"
	CodeLater         = "MAP-006"
	CodeSegment       = "MAP-010"
	CodeNotInMessage  = "MAP-011"
	CodeFieldRange    = "MAP-012"
	CodeVersion       = "MAP-013"
	CodePath          = "MAP-014"
	CodeZSegment      = "MAP-015"
	CodeDialect       = "MAP-016"
	CodeElement       = "MAP-020"
	CodeFrame         = "MAP-021"
	CodeTypeClash     = "MAP-022"
	CodeLens          = "MAP-023"
	CodeStars         = "MAP-024"
	CodeName          = "MAP-025"
	CodeTarget        = "MAP-026"
	CodeLink          = "MAP-030"
	CodeUnreachable   = "MAP-031"
	CodeIndistinct    = "MAP-032"
	CodeScope         = "MAP-033"
	CodeNesting       = "MAP-034"
	CodeNoCodeMap     = "MAP-040"
	CodeFirst         = "MAP-041"
	CodeInjective     = "MAP-042"
	CodeBinding       = "MAP-043"
	CodeOverlap       = "MAP-044"
	CodeTwoWriters    = "MAP-045"
	CodeTableInverse  = "MAP-046"
	CodeTableCovered  = "MAP-047"
	CodeContradiction = "MAP-048"
	CodeAbsent        = "MAP-049"
	CodeRequired      = "MAP-050"
	CodeWhen          = "MAP-052"
	CodeModifier      = "MAP-053"
	CodeTaskPlace     = "MAP-054"
	CodeDropped       = "MAP-055"
	CodeOverlay       = "MAP-060"
	CodePin           = "MAP-061"
	CodeFirstOfMany   = "MAP-110"
	CodeLinkToMany    = "MAP-111"
	CodeCoverage      = "MAP-112"
	CodeDisplay       = "MAP-113"
	CodeIgnoredRead   = "MAP-114"

	CodeUnmapped      = "MAP-200"
	CodeNoRow         = "MAP-201"
	CodeValue         = "MAP-202"
	CodeOrphan        = "MAP-203"
	CodeStructure     = "MAP-204"
	CodeNoOrigin      = "MAP-205"
	CodeNoRoot        = "MAP-206"
	CodeMissing       = "MAP-207"
	CodeInvalidResult = "MAP-208"
	CodeTooMany       = "MAP-209"
	CodeLeafLost      = "MAP-210"
	CodeResourceLost  = "MAP-211"
	CodeUnresolved    = "MAP-212"
	CodeNoRowBack     = "MAP-213"
	CodeValueBack     = "MAP-214"
	CodeRegrouped     = "MAP-217"
	CodeUnmappedBack  = "MAP-218"
	CodeUnread        = "MAP-219"
	CodeDeclared      = "MAP-220"
	CodeResidue       = "MAP-221"
	CodeTask          = "MAP-222"
	CodeLeftOut       = "MAP-223"
	CodeOverlapHour   = "MAP-230"
	CodeCaseFailed    = "MAP-300"
	CodeLawFailed     = "MAP-301"
	CodeNoCases       = "MAP-302"
	CodeUnknownMap    = "MAP-303"
	CodeCatalogLayout = "MAP-304"
	CodeLocked        = "MAP-305"
	CodeSkeleton      = "MAP-306"
)

// Codes lists every fault code of this package with its meaning and what to do, in order.
var Codes = []struct{ Code, Meaning string }{
	{CodeYAML, "The file isn't one YAML document, or uses anchors, aliases or tags."},
	{CodeUnknownKey, "A key that the language doesn't have. Compare with the suggestion and with the JSON Schema."},
	{CodeDuplicate, "A key, a rule id, a frame or a table id stands twice."},
	{CodeQuote, "A text needs quotes: brackets, braces, a hash, a key or a YAML word stand in it unquoted."},
	{CodeType, "A value has another form than its key takes, or a version isn't major.minor.patch."},
	{CodeLater, "A construct of the language that this version of the engine doesn't run. Express it otherwise."},
	{CodeSegment, "A segment that HL7 v2 doesn't have in the versions of the map."},
	{CodeNotInMessage, "A segment that the message structure doesn't have. Only `or` may read foreign segments."},
	{CodeFieldRange, "A field, component or subcomponent number that the segment or data type doesn't have."},
	{CodeVersion, "A place that not every version of the map has. Say since or until."},
	{CodePath, "A path that isn't written as the language has it."},
	{CodeZSegment, "A Z-segment that the map doesn't declare under v2.zsegments, or a field of one with a data type that HL7 doesn't have."},
	{CodeDialect, "A word that has no part in a map of this dialect: versions and segments are of HL7 v2, `dialect` and `except` of FHIR."},
	{CodeElement, "A resource type or element that FHIR R4 doesn't have."},
	{CodeFrame, "A path starts with a frame that the map doesn't declare under resources."},
	{CodeTypeClash, "No lens fits the v2 type and the FHIR type of a rule, or the named one doesn't."},
	{CodeLens, "An unknown lens, another number of paths than the lens takes, or a lens beside a code map or a value."},
	{CodeStars, "The two sides of a rule repeat differently. Pair (*) with (*), or say rep."},
	{CodeName, "A name, slice or block that isn't declared."},
	{CodeTarget, "A reference element that may not point to that type."},
	{CodeLink, "A link to or from a frame that isn't declared."},
	{CodeUnreachable, "No link and no `by` leads to the frame: the way back can't find it. Add a link."},
	{CodeIndistinct, "Two frames of one type are found by the same path. Give one a selector."},
	{CodeScope, "A path leads out of its frame's scope on a rule that also writes v2."},
	{CodeNesting, "`in` and `by` don't name a reference between the two frames, or go in a circle."},
	{CodeNoCodeMap, "A code map that isn't declared, or a file of codes that isn't there."},
	{CodeFirst, "An alternative of `first` that the way back can never take; say dir: \"->\"."},
	{CodeInjective, "Two codes share a target. Say which one is written back: prefer, forwardOnly or reverseOnly."},
	{CodeBinding, "A code outside the element's required value set."},
	{CodeOverlap, "Two slices of one list both match one element."},
	{CodeTwoWriters, "Two two-way rules write one place."},
	{CodeTableInverse, "Two rows of a table have equal targets; mark all but one with dir."},
	{CodeTableCovered, "A row that earlier rows cover, so it is never reached."},
	{CodeContradiction, "A constant that contradicts a selector."},
	{CodeAbsent, "The value for `absent` is also a target of the code map, so the way back can't tell them apart."},
	{CodeRequired, "A required FHIR element that nothing writes."},
	{CodeWhen, "A `when` that isn't a CEL expression giving true or false, that asks for what isn't there, or that lacks a side of a two-way rule."},
	{CodeModifier, "A modifier element may not be ignored: it changes what the rest means."},
	{CodeTaskPlace, "An element that can't go on as a task (`unmapped: task`, `invalid: task`): what isn't understood could neither stand there nor be left out."},
	{CodeDropped, "A place that is dropped, and that a rule reads all the same."},
	{CodeOverlay, "An overlay changes what its base doesn't have, adds what it has already, or stands on itself; or a word of overlays stands in a map without extends."},
	{CodePin, "A reference to a base, block or code map without its version, or with one that isn't there."},
	{CodeFirstOfMany, "The path takes the first of a field's repetitions without saying so; further ones aren't carried."},
	{CodeLinkToMany, "A reference that may stand once, linked to a frame of which a message may have several: the first is linked."},
	{CodeCoverage, "The code map doesn't cover the whole value set on the way back; what it lacks is reported as a loss."},
	{CodeDisplay, "A display for a code that its code map doesn't have on the v2 side."},
	{CodeIgnoredRead, "A place is ignored, and a rule reads it all the same: what stands there goes to the receiver."},
	{CodeUnmapped, "A code that the code map doesn't know. Add it to the code map, or have the sender correct it."},
	{CodeNoRow, "No row of the table fits these values. Add a row, or have the sender correct them."},
	{CodeValue, "A value that its lens refuses: no date, no number, a text with line breaks in a one-line field."},
	{CodeOrphan, "A segment stands without the segment that it belongs to."},
	{CodeStructure, "The message is of another type than the map takes."},
	{CodeNoOrigin, "The answer needs something of the request, and the request isn't known."},
	{CodeNoRoot, "The Bundle has no MessageHeader as its first entry, or no entry at all."},
	{CodeMissing, "The message lacks something that the canonical message can't be without, such as the patient. The sender must add it."},
	{CodeInvalidResult, "The message would become a Bundle that isn't valid FHIR; the text names the element and the reason. The sender must correct the value, or the map must take it otherwise."},
	{CodeTooMany, "More than 1,000 repetitions of a field, fields of a segment or parts of one; of a map between FHIR and FHIR, items of a list. Have the sender split the message."},
	{CodeLeafLost, "An element that no rule carries to v2."},
	{CodeResourceLost, "A resource that no path of the map leads to."},
	{CodeUnresolved, "A reference that leads to nothing in the Bundle."},
	{CodeNoRowBack, "No row of the table fits these elements on the way back."},
	{CodeValueBack, "A value that can't be written in the v2 field's type."},
	{CodeRegrouped, "A written segment would be read into another group."},
	{CodeUnmappedBack, "A code that the code map doesn't know on the way back."},
	{CodeUnread, "A field of the v2 message that no rule of the map reads, or of which it reads a part. The canonical message goes on without it; add a rule, or ignore it for a reason."},
	{CodeDeclared, "What the way back won't bring, as its map says (`drop`) or because it is too large to be kept beside the canonical message."},
	{CodeResidue, "Something that no rule carries, kept from the message that came in, wasn't put back: what it belongs to has been changed or taken away in FHIR since, or the version that is written has no place for it. The change wins."},
	{CodeTask, "A code that the code map doesn't know, which says `unmapped: task`: the message goes on with the code as it came, or without it, and an issue is open. Add the code to the code map."},
	{CodeLeftOut, "A value that its lens refuses, of a rule which says `invalid: task`: the message goes on without it, and an issue is open. Have the sender correct it."},
	{CodeOverlapHour, "A local time in the hour that comes twice in autumn; the first one was taken."},
	{CodeCaseFailed, "A case's result differs from what it says."},
	{CodeLawFailed, "A law of the language doesn't hold for this input."},
	{CodeNoCases, "The map has no cases beside it."},
	{CodeUnknownMap, "No map of that name and version."},
	{CodeCatalogLayout, "A catalog folder isn't laid out as catalog/ID/VERSION/map.yaml, or says another id or version than its file."},
	{CodeLocked, "A published version, or something that it stands on, was changed or is gone. Put the file back, and give the change a new version."},
	{CodeSkeleton, "`silta map new --from` can't write a map: the event isn't one of the canonical form's, the message is of no type that HL7 has in its version, or in FHIR and without a MessageHeader."},
}

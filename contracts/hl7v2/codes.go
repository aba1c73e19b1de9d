package hl7v2

// The codes of the faults of this package. They are stable: a code keeps its meaning for good.
const (
	CodeNoMessage      = "HL7-001"
	CodeDelimiters     = "HL7-002"
	CodeBadByte        = "HL7-003"
	CodeCharset        = "HL7-004"
	CodeNoControlID    = "HL7-005"
	CodeSegmentName    = "HL7-006"
	CodeSecondMessage  = "HL7-007"
	CodeLineFeeds      = "HL7-008"
	CodeOddDelimiters  = "HL7-009"
	CodeByteOrderMark  = "HL7-010"
	CodeLooksUTF8      = "HL7-011"
	CodeCharsetShift   = "HL7-012"
	CodeEmptySegment   = "HL7-013"
	CodeLeadingBytes   = "HL7-014"
	CodeMoreCharsets   = "HL7-015"
	CodeSequence       = "HL7-016"
	CodeFallback       = "HL7-017"
	CodeLiteral        = "HL7-018"
	CodeMoreFaults     = "HL7-019"
	CodePath           = "HL7-020"
	CodeNoSegment      = "HL7-021"
	CodeNoMatch        = "HL7-022"
	CodeFixed          = "HL7-023"
	CodeNotInCharset   = "HL7-024"
	CodeBatchCount     = "HL7-030"
	CodeBatchForm      = "HL7-031"
	CodeJSON           = "HL7-040"
	CodeJSONShape      = "HL7-041"
	CodeDateTime       = "HL7-050"
	CodeNotAnAck       = "HL7-060"
	CodeUnknownVersion = "HL7-070"
	CodeStructure      = "HL7-100"
	CodeRequired       = "HL7-101"
	CodeDataType       = "HL7-102"
	CodeTableValue     = "HL7-103"
	CodeRepeats        = "HL7-104"
	CodeUnknownSegment = "HL7-105"
	CodeUndefinedField = "HL7-106"
	CodeTruncated      = "HL7-107"
	CodeAgreement      = "HL7-110"
	CodeForbidden      = "HL7-111"
	CodeTooLong        = "HL7-112"
	CodeAgreedCode     = "HL7-113"
	CodeRule           = "HL7-114"
)

// Codes lists every fault code of this package with its meaning and what to do, in order.
var Codes = []struct{ Code, Meaning string }{
	{CodeNoMessage, "There is no MSH at the start: these bytes are no HL7 v2 message."},
	{CodeDelimiters, "MSH-1 and MSH-2 don't name usable delimiters. The usual are |^~\\&."},
	{CodeBadByte, "A byte can't be read in the message's character set. The sender writes another character set than MSH-18 says; correct MSH-18 or set the partner's character set."},
	{CodeCharset, "The character set named in MSH-18 is unknown or can't be carried in ER7. Use a code of table 0211, best UNICODE UTF-8."},
	{CodeNoControlID, "MSH-10, the message control id, is missing: the message can't be acknowledged."},
	{CodeSegmentName, "A segment doesn't start with a segment name, often because of a carriage return inside a text. The sender must write it as \\X0D\\ or \\.br\\."},
	{CodeSecondMessage, "A second MSH stands inside one message. Send one message a frame."},
	{CodeLineFeeds, "Segments end in LF or CRLF instead of CR. It was read so; the sender should use CR."},
	{CodeOddDelimiters, "MSH-2 has fewer than four or more than five characters, or one twice. The missing ones were taken as usual."},
	{CodeByteOrderMark, "A byte order mark stands before MSH. It was skipped."},
	{CodeLooksUTF8, "MSH-18 names an 8859 character set, but the bytes are valid UTF-8. Letters such as ä may be wrong; check the sender's character set."},
	{CodeCharsetShift, "MSH-18 holds no character set, but MSH-19 does: the fields are shifted by one. MSH-19 was used."},
	{CodeEmptySegment, "There is an empty line between segments. It was skipped."},
	{CodeLeadingBytes, "There are blanks or line ends before MSH. They were skipped."},
	{CodeMoreCharsets, "MSH-18 names more than one character set, or MSH-20 a scheme to switch between them. Only the first is used; escapes that switch stay as they stand."},
	{CodeSequence, "MSH-13 carries a sequence number. The protocol for it isn't followed, and no acknowledgement names the expected one."},
	{CodeFallback, "A byte isn't in the message's own character set. It was read in the one that the sender's contract names for that; letters such as ä may be wrong."},
	{CodeLiteral, "Delimiters stand unescaped in a text. They were read as text, as the sender's contract says; the sender should escape them."},
	{CodeMoreFaults, "There are further faults that aren't listed. Mend those that are, and look again."},
	{CodePath, "A path is not written as in PID-5, PID-3(2).4.2, OBX(3)-5 or PID-3[5=NNFIN].1."},
	{CodeNoSegment, "The segment that a value should be set in doesn't exist."},
	{CodeNoMatch, "No segment or repetition matches the selector of a path that a value should be set at."},
	{CodeFixed, "MSH-1 and MSH-2 can't be set: the whole message would have to change."},
	{CodeNotInCharset, "A character doesn't exist in the message's character set. Use UNICODE UTF-8, or allow \\X..\\ escapes."},
	{CodeBatchCount, "The count in BTS-1 or FTS-1 differs from the number of messages or batches that came."},
	{CodeBatchForm, "The batch envelope (FHS, BHS, BTS, FTS) is out of order, or something stands between messages that is no message."},
	{CodeJSON, "The JSON can't be read."},
	{CodeJSONShape, "The JSON isn't a message as `silta hl7 parse` prints it."},
	{CodeDateTime, "A date or time isn't one: it must be YYYY[MM[DD[HH[MM[SS[.S]]]]]] with an optional zone, and exist in the calendar."},
	{CodeNotAnAck, "The answer is no acknowledgement: its type isn't ACK, or it has no MSA with a known code."},
	{CodeUnknownVersion, "There is no dictionary for this HL7 version."},
	{CodeStructure, "A required segment or group is missing, or one stands more often than its structure allows."},
	{CodeRequired, "A required field or component is empty."},
	{CodeDataType, "A value doesn't have its data type's form."},
	{CodeTableValue, "A value isn't in the table that the standard fixes for it."},
	{CodeRepeats, "A field repeats more often than it may."},
	{CodeUnknownSegment, "A segment isn't defined in this version, and isn't a Z-segment."},
	{CodeUndefinedField, "A field or component has a number that its segment or data type doesn't have in this version."},
	{CodeTruncated, "A value ends in the truncation character of MSH-2: its sender cut it short."},
	{CodeAgreement, "Something that the partner's contract requires is missing."},
	{CodeForbidden, "Something stands where the partner's contract lets nothing stand."},
	{CodeTooLong, "A value is longer than the partner's contract lets it be."},
	{CodeAgreedCode, "A value isn't one of those that the partner's contract lists."},
	{CodeRule, "A contract's rule or description of a segment can't be read: a place that is none, or a data type that HL7 doesn't have."},
}

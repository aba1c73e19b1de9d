package fhir

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// isID is the lexical rule of the type id: 1 to 64 letters, digits, - and . of ASCII.
func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && !isDigit(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// lexicalRules say what is wrong with a primitive's text, "" for nothing. The text is decoded, of the JSON kind that the
// type has. A type that isn't here takes what its JSON kind takes.
// Source: HL7 FHIR R4, datatypes.html, the regular expression of each type.
var lexicalRules = map[string]func(text string) string{
	"date":         checkDate,
	"dateTime":     checkDateTime,
	"instant":      checkInstant,
	"time":         unless(isTime, "A time is hh:mm:ss, with a fraction if need be, and no zone."),
	"id":           unless(isID, "An id is 1 to 64 of A-Z, a-z, 0-9, - and . only."),
	"code":         unless(isCode, "A code has no white space in front, behind, or twice in a row."),
	"uri":          checkAddress,
	"url":          checkAddress,
	"canonical":    checkAddress,
	"oid":          unless(isOID, "An OID is urn:oid: and numbers with dots between them, the first of which is 0, 1 or 2."),
	"uuid":         unless(isUUID, "A UUID is urn:uuid: and 36 characters in small letters."),
	"integer":      func(text string) string { return checkInteger(text, -1<<31) },
	"unsignedInt":  func(text string) string { return checkInteger(text, 0) },
	"positiveInt":  func(text string) string { return checkInteger(text, 1) },
	"base64Binary": unless(isBase64, "This isn't base64: groups of four from A-Z, a-z, 0-9, + and /, the last filled with =."),
	"string":       checkString,
	"markdown":     checkString,
	"xhtml":        unless(isDiv, "A narrative is one XHTML div."),
}

// unless gives a rule that is broken where the text isn't as it should be.
func unless(is func(string) bool, wrong string) func(string) string {
	return func(text string) string {
		if is(text) {
			return ""
		}
		return wrong
	}
}

// lexical is what the type's rule says.
func (t *Type) lexical(text string) string {
	if t.rule == nil {
		return ""
	}
	return t.rule(text)
}

func checkAddress(s string) string {
	if hasSpace(s) {
		return "An address holds no white space."
	}
	return ""
}

func isDiv(s string) bool { return strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "<div") }

// checkDate takes YYYY, YYYY-MM and YYYY-MM-DD of days that exist.
func checkDate(s string) string {
	if dateLen(s) != len(s) {
		return "A date is YYYY, YYYY-MM or YYYY-MM-DD of a day that exists."
	}
	return ""
}

func checkDateTime(s string) string {
	const text = "A dateTime is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone, of a moment that exists."
	n := dateLen(s)
	if n == len(s) && n > 0 {
		return ""
	}
	if n != 10 || s[10] != 'T' || !isZoned(s[11:]) {
		return text
	}
	return ""
}

func checkInstant(s string) string {
	if dateLen(s) != 10 || len(s) < 11 || s[10] != 'T' || !isZoned(s[11:]) {
		return "An instant is YYYY-MM-DDThh:mm:ss with a zone, Z or +hh:mm."
	}
	return ""
}

// dateLen is the length of the date that s begins with, 0 for none or one that doesn't exist.
func dateLen(s string) int {
	year, ok := digits(s, 0, 4)
	if !ok || year == 0 {
		return 0
	}
	if len(s) < 7 || s[4] != '-' {
		return 4
	}
	month, ok := digits(s, 5, 2)
	if !ok || month < 1 || month > 12 {
		return 0
	}
	if len(s) < 10 || s[7] != '-' {
		return 7
	}
	day, ok := digits(s, 8, 2)
	if !ok || day < 1 || day > daysIn(year, month) {
		return 0
	}
	return 10
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func digits(s string, from, n int) (value int, ok bool) {
	if len(s) < from+n {
		return 0, false
	}
	for _, c := range []byte(s[from : from+n]) {
		if !isDigit(c) {
			return 0, false
		}
		value = value*10 + int(c-'0')
	}
	return value, true
}

// timeLen is the length of the hh:mm:ss[.fff] that s begins with. A second of 60 is a leap second.
func timeLen(s string) int {
	hour, ok1 := digits(s, 0, 2)
	minute, ok2 := digits(s, 3, 2)
	second, ok3 := digits(s, 6, 2)
	if !ok1 || !ok2 || !ok3 || s[2] != ':' || s[5] != ':' || hour > 23 || minute > 59 || second > 60 {
		return 0
	}
	n := 8
	if len(s) > 9 && s[8] == '.' && isDigit(s[9]) {
		for n = 9; n < len(s) && isDigit(s[n]); n++ {
		}
	}
	return n
}

func isTime(s string) bool { return s != "" && timeLen(s) == len(s) }

func isZoned(s string) bool {
	n := timeLen(s)
	if n == 0 {
		return false
	}
	zone := s[n:]
	if zone == "Z" {
		return true
	}
	hour, ok1 := digits(zone, 1, 2)
	minute, ok2 := digits(zone, 4, 2)
	return len(zone) == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && ok1 && ok2 &&
		(hour < 14 && minute <= 59 || hour == 14 && minute == 0)
}

func isCode(s string) bool {
	space := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' && !space:
			space = true
		case c <= ' ':
			return false
		default:
			space = false
		}
	}
	return !space
}

func isOID(s string) bool {
	rest, ok := strings.CutPrefix(s, "urn:oid:")
	if !ok || len(rest) < 3 || rest[0] < '0' || rest[0] > '2' || rest[1] != '.' {
		return false
	}
	for arc := range strings.SplitSeq(rest[2:], ".") {
		if !isDigits(arc) || len(arc) > 1 && arc[0] == '0' {
			return false
		}
	}
	return true
}

func isUUID(s string) bool {
	rest, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(rest) != 36 {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func checkInteger(s string, least int64) string {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil || !NumberText(s) || s == "-0" {
		return "A whole number of at most 32 bits belongs here, without fraction or exponent."
	}
	if v < least {
		return "The number is below " + strconv.FormatInt(least, 10) + "."
	}
	return ""
}

// isBase64 takes white space anywhere, since readers should ignore it (RFC 4648), and = at the end only.
func isBase64(s string) bool {
	n, pad := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case isSpace(c):
		case c == '=':
			pad++
			n++
		case pad > 0 || !isLetter(c) && !isDigit(c) && c != '+' && c != '/':
			return false
		default:
			n++
		}
	}
	return n > 0 && n%4 == 0 && pad <= 2
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// checkString takes any text without control characters but tab, CR and LF.
func checkString(s string) string {
	if len(s) > 1<<20 && utf8.RuneCountInString(s) > 1<<20 {
		return "A string has at most 1,048,576 characters."
	}
	for i := range len(s) {
		if s[i] < ' ' && !isSpace(s[i]) {
			return "The text holds a control character."
		}
	}
	return ""
}

// hasSpace says whether a text holds white space of ASCII anywhere.
func hasSpace(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == ' ' || c >= '\t' && c <= '\r' {
			return true
		}
	}
	return false
}

// isBlank says whether a text is white space only, which the specification says it should not be: trimmed, it is empty.
func isBlank(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

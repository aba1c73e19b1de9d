package hl7v2

import (
	"fmt"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Precision says how far a DateTime is given.
type Precision uint8

// The precisions, coarsest first.
const (
	ToYear Precision = iota + 1
	ToMonth
	ToDay
	ToHour
	ToMinute
	ToSecond
	ToFraction
)

// DateTime is a TS, DTM or DT as it was written: its precision and its zone, if it has one. What lies below the
// precision is zero (month and day: 1), so that the fields always make a calendar date.
type DateTime struct {
	Year, Month, Day     int
	Hour, Minute, Second int
	Fraction             string // digits after the point, one to four
	Precision            Precision
	HasZone              bool
	Offset               int    // minutes east of UTC
	zone                 string // as written: -0000 is not +0000
}

// ParseDateTime reads YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]. Another form, or a date that isn't in the
// calendar, is a fault of kind invalid, HL7-050, with error code 102; its place is the caller's to add.
// Source: HL7 version 2.5.1, chapter 2A, section 2.A.22.
func ParseDateTime(s string) (DateTime, error) {
	t := DateTime{Month: 1, Day: 1}
	rest, ok := t.cutZone(s)
	body, fraction, point := strings.Cut(rest, ".")
	steps := [...]struct {
		to     *int
		digits int
	}{{&t.Year, 4}, {&t.Month, 2}, {&t.Day, 2}, {&t.Hour, 2}, {&t.Minute, 2}, {&t.Second, 2}}
	for i, step := range steps {
		if body == "" && i > 0 {
			break
		}
		var more bool
		*step.to, body, more = cutDigits(body, step.digits)
		ok = ok && more
		t.Precision++
	}
	if point {
		t.Fraction, t.Precision = fraction, ToFraction
		ok = ok && len(body) == 0 && isFraction(fraction) && len(rest) == 14+1+len(fraction)
	}
	if !ok || body != "" || !t.exists() {
		return DateTime{}, dateTimeFault("This isn't a date or time of the calendar: YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ].")
	}
	return t, nil
}

// ParseDate reads a DT: YYYY[MM[DD]], without time or zone.
func ParseDate(s string) (DateTime, error) {
	t, err := ParseDateTime(s)
	if err == nil && (t.Precision > ToDay || t.HasZone) {
		return DateTime{}, dateTimeFault("This is a date and must have no time: YYYY[MM[DD]].")
	}
	return t, err
}

// ParseTime reads a TM: HH[MM[SS[.S[S[S[S]]]]]][+/-ZZZZ]. The date of the result is 0001-01-01.
func ParseTime(s string) (DateTime, error) {
	t, err := ParseDateTime("00010101" + s)
	if err != nil || t.Precision < ToHour {
		return DateTime{}, dateTimeFault("This isn't a time: HH[MM[SS[.S]]][+/-ZZZZ].")
	}
	return t, nil
}

func dateTimeFault(text string) *contracts.Fault {
	f := contracts.Faultf(contracts.Invalid, CodeDateTime, "", "%s", text)
	f.ErrorCode = "102"
	return f
}

// cutZone takes +/-ZZZZ off the end.
func (t *DateTime) cutZone(s string) (rest string, ok bool) {
	i := strings.IndexAny(s, "+-")
	if i < 0 {
		return s, true
	}
	zone := s[i:]
	hours, minutesText, ok1 := cutDigits(zone[1:], 2)
	minutes, tail, ok2 := cutDigits(minutesText, 2)
	t.HasZone, t.zone, t.Offset = true, zone, hours*60+minutes
	if zone[0] == '-' {
		t.Offset = -t.Offset
	}
	return s[:i], ok1 && ok2 && tail == "" && minutes < 60 && hours <= 14
}

// cutDigits reads n digits.
func cutDigits(s string, n int) (value int, rest string, ok bool) {
	if len(s) < n {
		return 0, s, false
	}
	for i := range n {
		if s[i] < '0' || s[i] > '9' {
			return 0, s, false
		}
		value = value*10 + int(s[i]-'0')
	}
	return value, s[n:], true
}

func isFraction(s string) bool {
	_, rest, ok := cutDigits(s, len(s))
	return ok && rest == "" && len(s) >= 1 && len(s) <= 4
}

// exists says whether the fields are in the calendar and on the clock.
func (t *DateTime) exists() bool {
	if t.Year < 1 || t.Month < 1 || t.Month > 12 || t.Day < 1 || t.Hour > 23 || t.Minute > 59 || t.Second > 59 {
		return false
	}
	return t.Day <= time.Date(t.Year, time.Month(t.Month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// String writes the DateTime as ParseDateTime read it, at its precision and with its zone.
func (t DateTime) String() string {
	s := fmt.Sprintf("%04d%02d%02d%02d%02d%02d", t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second)
	s = s[:[...]int{0, 4, 6, 8, 10, 12, 14, 14}[t.Precision]]
	if t.Precision == ToFraction {
		s += "." + t.Fraction
	}
	switch {
	case !t.HasZone:
		return s
	case t.zone != "":
		return s + t.zone
	}
	sign, minutes := byte('+'), t.Offset
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	return s + fmt.Sprintf("%c%02d%02d", sign, minutes/60, minutes%60)
}

// Clock says how a local time without a zone meets the changes of summer time.
type Clock uint8

// In the gap the clocks were put forward over this time, which never was; in the overlap it was twice.
const (
	Clear Clock = iota
	Gap
	Overlap
)

// Time is the instant in loc, or in the DateTime's own zone if it has one. In an overlap it is the first of the two
// instants; in a gap the one that lies as long after the change as the clock says, by the offset before it.
func (t DateTime) Time(loc *time.Location) (time.Time, Clock) {
	nanos := 0
	for i := range 9 {
		nanos *= 10
		if i < len(t.Fraction) {
			nanos += int(t.Fraction[i] - '0')
		}
	}
	if t.HasZone {
		loc = time.FixedZone("", t.Offset*60)
	}
	// time.Date doesn't say which side of a change it chooses, so the offsets on both sides are tried.
	wall := time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, nanos, time.UTC)
	before, after := offsetAt(wall.Add(-36*time.Hour), loc), offsetAt(wall.Add(36*time.Hour), loc)
	first, second := wall.Add(-before).In(loc), wall.Add(-after).In(loc)
	switch isFirst, isSecond := offsetAt(first, loc) == before, offsetAt(second, loc) == after; {
	case before == after:
		return first, Clear
	case isFirst && isSecond:
		return first, Overlap
	case isSecond:
		return second, Clear
	case isFirst:
		return first, Clear
	}
	return first, Gap
}

// offsetAt is how far east of UTC the clocks in loc are set at an instant.
func offsetAt(at time.Time, loc *time.Location) time.Duration {
	_, seconds := at.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

// DateTimeOf writes an instant at a precision; its own zone is written if zone is true.
func DateTimeOf(at time.Time, p Precision, zone bool) DateTime {
	_, seconds := at.Zone()
	t := DateTime{Year: at.Year(), Month: int(at.Month()), Day: at.Day(), Hour: at.Hour(), Minute: at.Minute(),
		Second: at.Second(), Precision: p, HasZone: zone, Offset: seconds / 60}
	if p == ToFraction {
		t.Fraction = fmt.Sprintf("%03d", at.Nanosecond()/1e6)
	}
	return t
}

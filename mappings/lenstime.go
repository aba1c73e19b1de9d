package mappings

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

const notATime = "This isn't a date or time of the calendar."

// dateLens keeps the precision of a day, month or year. A time behind the day is left out: FHIR's date has none.
var dateLens = &lens{name: "date", cells: 1, elements: 1, v2: []string{"DT", "TS", "DTM", "ST"}, fhir: []string{"date"}, leaves: true,
	get: func(g *getter) string {
		t, err := hl7v2.ParseDateTime(strings.TrimSpace(g.in[0].text()))
		if err != nil {
			return notATime
		}
		g.leaf(g.out[0], isoDate(t))
		return ""
	},
	put: func(p *putter) string {
		text, ok := compactDate(p.in[0].value())
		if !ok {
			return notATime
		}
		p.set(0, 1, text)
		return ""
	}}

// datetimeLens keeps precision; a time without a zone gets that of the map, seconds are filled up, as FHIR wants both.
var datetimeLens = &lens{name: "datetime", cells: 1, elements: 1, v2: []string{"TS", "DTM", "DT", "ST"}, fhir: []string{"dateTime"}, leaves: true,
	get: func(g *getter) string {
		text, why := g.moment(g.in[0], false)
		if why == "" {
			g.leaf(g.out[0], text)
		}
		return why
	},
	put: func(p *putter) string { return p.moment(0, p.in[0]) }}

// instantLens is for moments: what v2 leaves out of the time is zero.
var instantLens = &lens{name: "instant", cells: 1, elements: 1, v2: []string{"TS", "DTM", "ST"}, fhir: []string{"instant"}, leaves: true,
	get: func(g *getter) string {
		text, why := g.moment(g.in[0], true)
		if why == "" {
			g.leaf(g.out[0], text)
		}
		return why
	},
	put: func(p *putter) string { return p.moment(0, p.in[0]) }}

// deathTimeLens pairs the time of death and whether the patient is dead with the time alone. A time beside N is refused: a
// person must say which of the two is so.
var deathTimeLens = &lens{name: "death-time", cells: 2, elements: 1, v2: []string{"TS", "DTM"}, fhir: []string{"dateTime"}, leaves: true,
	get: func(g *getter) string {
		if peek(g.in[1]) == "N" {
			return "There is a time of death, and beside it that the patient isn't dead."
		}
		if peek(g.in[0]) == "" {
			return nothing
		}
		text, why := g.moment(g.in[0], false)
		if why != "" {
			return why
		}
		if peek(g.in[1]) == "Y" {
			g.in[1].text()
			g.in[0].text()
		}
		g.leaf(g.out[0], text)
		return ""
	},
	put: func(p *putter) string {
		why := p.moment(0, p.in[0])
		if why == "" {
			p.set(1, 1, "Y")
		}
		return why
	}}

var instantsLens = &lens{name: "instants", cells: 2, elements: 2, v2: []string{"TS", "DTM"}, fhir: []string{"instant"}, leaves: true,
	get: func(g *getter) string {
		var texts [2]string
		for i := range texts {
			if g.in[i].filled() {
				var why string
				if texts[i], why = g.hour(g.in[i]); why != "" {
					return why
				}
			}
		}
		for i, text := range texts {
			if text != "" {
				g.in[i].text()
				g.leaf(g.out[i], text)
			}
		}
		return ""
	},
	put: func(p *putter) string {
		for i := range p.in {
			if p.in[i] != nil {
				if why := p.moment(i, p.in[i]); why != "" {
					return why
				}
			}
		}
		return ""
	}}

var periodLens = &lens{name: "period", cells: 2, elements: 1, v2: []string{"TS", "DTM", "DT"}, fhir: []string{"Period"}, leaves: true,
	get: func(g *getter) string {
		var texts [2]string
		for i := range texts {
			if g.in[i].filled() {
				var why string
				if texts[i], why = g.moment(g.in[i], false); why != "" {
					return why
				}
			}
		}
		for i, name := range [...]string{"start", "end"} {
			if texts[i] != "" {
				g.in[i].text()
				g.put(g.out[0], name, texts[i])
			}
		}
		return ""
	},
	put: func(p *putter) string {
		for i, name := range [...]string{"start", "end"} {
			if n := p.in[0].get(name); n != nil {
				if why := p.moment(i, n); why != "" {
					return why
				}
			}
		}
		return ""
	}}

// startDurationLens makes start and end of a start, a duration and its unit.
var startDurationLens = &lens{name: "start-duration", cells: 3, elements: 2, v2: []string{"TS", "DTM"}, fhir: []string{"instant", "dateTime"}, leaves: true,
	get: func(g *getter) string {
		start, why := g.hour(g.in[0])
		if why != "" {
			return why
		}
		if !g.in[1].filled() {
			g.leaf(g.out[0], start)
			return ""
		}
		n, why := g.minutes(g.in[1], g.in[2])
		if why != "" {
			return why
		}
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return notATime
		}
		g.in[0].text() // the lineage of the start
		g.leaf(g.out[0], start)
		g.leaf(g.out[1], at.Add(time.Duration(n)*time.Minute).In(g.zone()).Format(time.RFC3339Nano))
		return ""
	},
	put: func(p *putter) string {
		if p.in[0] == nil {
			return notATime
		}
		if why := p.moment(0, p.in[0]); why != "" || p.in[1] == nil {
			return why
		}
		from, err1 := time.Parse(time.RFC3339, p.in[0].text)
		to, err2 := time.Parse(time.RFC3339, p.in[1].value())
		length := to.Sub(from)
		if err1 != nil || err2 != nil || length <= 0 || length%time.Minute != 0 {
			return "Start and end are no whole minutes apart."
		}
		p.set(1, 1, strconv.Itoa(int(length/time.Minute)))
		p.set(2, 1, "min")
		return ""
	}}

// startOpenLens makes a start, and beside it an `end` that nobody knows, where FHIR wants one.
var startOpenLens = &lens{name: "start-open", cells: 1, elements: 2, v2: []string{"TS", "DTM"}, fhir: []string{"instant", "dateTime"}, leaves: true,
	get: func(g *getter) string {
		start, why := g.hour(g.in[0])
		if why != "" {
			return why
		}
		g.in[0].text()
		g.leaf(g.out[0], start)
		g.run.unknown(g.out[0].parent, "end", g.run.op)
		return ""
	},
	put: func(p *putter) string {
		if p.in[0] == nil || p.in[1] != nil {
			return "There is an end, or no start."
		}
		why := p.moment(0, p.in[0])
		if why == "" {
			seeUnknown(p.in[0].parent, "end")
		}
		return why
	}}

// minutesLens pairs a duration and its unit with a number of minutes.
var minutesLens = &lens{name: "minutes", cells: 2, elements: 1, v2: []string{"NM", "ST"}, fhir: []string{"positiveInt", "unsignedInt", "integer"}, leaves: true,
	get: func(g *getter) string {
		n, why := g.minutes(g.in[0], g.in[1])
		if why != "" {
			return why
		}
		g.run.set(g.out[0], fhir.KindNumber, strconv.Itoa(n))
		return ""
	},
	put: func(p *putter) string {
		n, err := strconv.Atoi(p.in[0].value())
		if err != nil || n < 1 {
			return "This isn't a number of minutes."
		}
		p.set(0, 1, strconv.Itoa(n))
		p.set(1, 1, "min")
		return ""
	}}

// minutes reads a duration and its unit.
func (g *getter) minutes(number, unit cell) (int, string) {
	const notMinutes = "The duration isn't a number of minutes or hours."
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(number.text()), ".0"))
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, g.refuse(number, notMinutes)
	}
	switch strings.ToLower(unit.text()) {
	case "", "min", "mins", "m", "minutes", "minute":
		return n, ""
	case "h", "hr", "hrs", "hour", "hours":
		return 60 * n, ""
	case "s", "sec", "seconds":
		if n%60 != 0 {
			return 0, g.refuse(number, notMinutes)
		}
		return n / 60, ""
	}
	return 0, g.refuse(unit, notMinutes)
}

func isoDate(t hl7v2.DateTime) string {
	var buf [10]byte
	out := appendDigits(buf[:0], t.Year, 4)
	if t.Precision >= hl7v2.ToMonth {
		out = appendDigits(append(out, '-'), t.Month, 2)
	}
	if t.Precision >= hl7v2.ToDay {
		out = appendDigits(append(out, '-'), t.Day, 2)
	}
	return string(out)
}

func appendDigits(dst []byte, n, width int) []byte {
	for div := [...]int{1, 10, 100, 1000}[width-1]; div > 0; div /= 10 {
		dst = append(dst, byte('0'+n/div%10))
	}
	return dst
}

// moment reads a v2 time as a FHIR dateTime, or with whole as an instant.
func (g *getter) moment(c cell, whole bool) (string, string) {
	t, err := hl7v2.ParseDateTime(strings.TrimSpace(c.text()))
	if err != nil {
		return "", g.refuse(c, notATime)
	}
	if t.Precision <= hl7v2.ToDay && !whole {
		return isoDate(t), ""
	}
	offset := t.Offset
	if !t.HasZone {
		var why string
		if offset, why = g.offset(t, c); why != "" {
			return "", g.refuse(c, why)
		}
	}
	var buf [40]byte
	out := appendDigits(buf[:0], t.Year, 4)
	out = appendDigits(append(out, '-'), t.Month, 2)
	out = appendDigits(append(out, '-'), t.Day, 2)
	out = appendDigits(append(out, 'T'), t.Hour, 2)
	out = appendDigits(append(out, ':'), t.Minute, 2)
	out = appendDigits(append(out, ':'), t.Second, 2)
	if t.Precision == hl7v2.ToFraction {
		out = append(append(out, '.'), t.Fraction...)
	}
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	out = appendDigits(append(out, sign), offset/60, 2)
	return string(appendDigits(append(out, ':'), offset%60, 2)), ""
}

// hour is moment for what begins or ends at a time of the day: of a day alone nobody knows when that is, and midnight would
// be a time from nowhere.
func (g *getter) hour(c cell) (string, string) {
	if t, err := hl7v2.ParseDateTime(strings.TrimSpace(peek(c))); err == nil && t.Precision <= hl7v2.ToDay {
		return "", g.refuse(c, "This says no time of the day.")
	}
	return g.moment(c, true)
}

// offset is the zone's for a local time, in minutes. In the hour that comes twice the first is taken, with a warning;
// a time in the hour that doesn't come is refused.
func (g *getter) offset(t hl7v2.DateTime, c cell) (int, string) {
	at, clock := t.Time(g.zone())
	switch clock {
	case hl7v2.Gap:
		return 0, "This local time doesn't exist: it lies in the hour that is left out when summer time begins."
	case hl7v2.Overlap:
		g.run.warn(CodeOverlapHour, c.place(), "This local time comes twice in the night when summer time ends; the first was taken.")
	}
	_, offset := at.Zone()
	return offset / 60, ""
}

// compactDate turns 1980-01-31 into 19800131, also for a year or month.
func compactDate(s string) (string, bool) {
	text := strings.ReplaceAll(s, "-", "")
	if _, err := hl7v2.ParseDate(text); err != nil || len(s) != len(text)+[...]int{4: 0, 6: 1, 8: 2}[len(text)] {
		return "", false
	}
	return text, true
}

// span writes a Period of the given cells; with days, to the day. What is no time of the calendar, or ends before it begins,
// stays unread: it is beside the point of a name or number, which needn't park for it.
func (g *getter) span(n *node, from, to cell, days bool) {
	var texts [2]string
	for i, c := range [...]cell{from, to} {
		t, err := hl7v2.ParseDateTime(peek(c))
		if err != nil {
			continue
		}
		if days || t.Precision <= hl7v2.ToDay {
			t.Precision = min(t.Precision, hl7v2.ToDay)
			texts[i] = isoDate(t)
		} else if _, clock := t.Time(g.zone()); clock != hl7v2.Gap || t.HasZone {
			texts[i], _ = g.moment(c, false)
		}
	}
	if short := min(len(texts[0]), len(texts[1]), 10); texts[0][:short] > texts[1][:short] {
		return
	}
	for i, c := range [...]cell{from, to} {
		if texts[i] != "" {
			c.text()
			g.put(g.run.child(n, "period"), [...]string{"start", "end"}[i], texts[i])
		}
	}
}

// span writes a Period's ends to components of cell i, if they are times that v2 can say there.
func (p *putter) span(n *node, i int, from, to int16, days bool) {
	for j, name := range [...]string{"start", "end"} {
		end := n.get("period").get(name)
		if end == nil {
			continue
		}
		if text, why := p.compactMoment(end.text); why == "" && !(days && len(text) > 8) {
			end.value()
			p.set(i, [...]int16{from, to}[j], text)
		}
	}
}

// moment writes a FHIR date, dateTime or instant to cell i.
func (p *putter) moment(i int, n *node) string {
	text, why := p.compactMoment(n.value())
	p.set(i, 1, text)
	return why
}

// compactMoment turns 2026-03-02T08:00:00+02:00 into 20260302080000+0200, and a date likewise, in the zone that the map
// writes; or says why it can't.
func (p *putter) compactMoment(s string) (text, why string) {
	if len(s) <= 10 {
		text, ok := compactDate(s)
		if !ok {
			return "", notATime
		}
		return text, ""
	}
	day, clock, _ := strings.Cut(s, "T")
	date, ok := compactDate(day)
	zone := ""
	if rest, utc := strings.CutSuffix(clock, "Z"); utc {
		clock, zone = rest, "+0000"
	} else if at := strings.IndexAny(clock, "+-"); at >= 0 {
		clock, zone = clock[:at], strings.Replace(clock[at:], ":", "", 1)
	}
	whole, fraction, hasFraction := strings.Cut(clock, ".")
	text = date + strings.ReplaceAll(whole, ":", "")
	if hasFraction {
		text += "." + fraction[:min(4, len(fraction))]
	}
	if _, err := hl7v2.ParseDateTime(text + zone); !ok || err != nil || len(whole) != 8 {
		return "", notATime
	}
	if len(fraction) > 4 && strings.Trim(fraction[4:], "0") != "" {
		return "", fmt.Sprintf("HL7 v2 holds four digits of a second, this time has %d.", len(fraction))
	}
	if p.clock == writeLocal || p.clock == writeUTC {
		text, zone = p.shifted(s, text, zone)
	}
	return text + zone, ""
}

// shifted gives a time in UTC, or in the zone of local times without an offset. A local time that comes twice, in the night
// when summer time ends, is read as the first: the second keeps its offset.
func (p *putter) shifted(s, text, offset string) (string, string) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return text, offset // it was read as HL7's time all the same: 24:00 or a leap second
	}
	_, fraction, found := strings.Cut(text, ".")
	if found {
		fraction = "." + fraction
	}
	if p.clock == writeUTC {
		return at.UTC().Format(hl7Seconds) + fraction, "+0000"
	}
	local := at.In(p.zone)
	read, err := hl7v2.ParseDateTime(local.Format(hl7Seconds))
	if err != nil {
		return text, offset
	}
	if first, _ := read.Time(p.zone); !first.Truncate(time.Second).Equal(at.Truncate(time.Second)) {
		return local.Format(hl7Seconds) + fraction, local.Format("-0700")
	}
	return local.Format(hl7Seconds) + fraction, ""
}

// hl7Seconds is HL7's form of a time to the second.
const hl7Seconds = "20060102150405"

// Time writes a time as the map writes those of its messages: to the second, with the zone's offset unless `zone.write`
// says otherwise. HL7 v2.5.1 DTM, chapter 2A.22.
func (m *Map) Time(t time.Time, zone *time.Location) string {
	p := &putter{clock: m.doc.v2.write.s, zone: zone}
	t = t.In(zone)
	text, offset := t.Format(hl7Seconds), t.Format("-0700")
	if p.clock == writeLocal || p.clock == writeUTC {
		text, offset = p.shifted(t.Format(time.RFC3339), text, offset)
	}
	return text + offset
}

package hl7v2

import (
	"slices"
	"strings"

	"github.com/hoitosilta/silta/contracts"
)

// segment checks a segment's fields; number counts it among its like.
func (v *validator) segment(s Segment, number int) {
	at := segmentPath(s.ID(), number)
	def := v.d.Segment(at.Segment)
	if def == nil {
		if at.Segment[0] != 'Z' {
			v.fault(CodeUnknownSegment, "100", at.String(), "Version %s doesn't have this segment.", v.d.version)
		}
		return
	}
	for n := 1; n <= max(len(def.Fields), s.NumFields()); n++ {
		at.Field = n
		v.field(s.Field(n), def.Field(n), s, at)
	}
}

func (v *validator) field(f Value, def *FieldDef, s Segment, at Path) {
	switch {
	case f.fixed:
		return
	case def == nil:
		if f.State() == Filled {
			v.undefined(at)
		}
		return
	case len(f.Raw()) == 0:
		if def.IsRequired() {
			v.fault(CodeRequired, "101", at.String(), "This field is required and empty.")
		}
		return
	case def.Max > 0 && f.Len() > def.Max:
		v.fault(CodeRepeats, "102", at.String(), "This field may have %d repetitions and has %d.", def.Max, f.Len())
	}
	dataType := def.Type
	if at.Segment == "OBX" && at.Field == 5 || dataType == "VARIES" || dataType == "var" {
		dataType = s.Field(2).Text()
		if at.Segment != "OBX" {
			return
		}
	}
	for n, rep := range f.All() {
		at.Rep = n
		v.value(rep, dataType, def.Table, at)
	}
}

func (v *validator) undefined(at Path) {
	f := v.fault(CodeUndefinedField, "102", at.String(), "Version %s doesn't define this place.", v.d.version)
	f.Grade = contracts.GradeWarning
}

// value checks a repetition, or a component of one, against its data type.
func (v *validator) value(value Value, dataType, table string, at Path) {
	def := v.d.Type(dataType)
	if def == nil || value.State() != Filled {
		return
	}
	if def.IsPrimitive() {
		v.primitive(value, dataType, table, at)
		return
	}
	// TS is a composite whose second component is hardly ever there; its first is a time.
	if dataType == "TS" {
		v.primitive(value.At(1), "DTM", "", at)
		return
	}
	level := &at.Component
	if at.Component > 0 {
		level = &at.Sub
	}
	for n := 1; n <= max(len(def.Components), value.Len()); n++ {
		*level = n
		part, partDef := value.At(n), def.Component(n)
		switch {
		case partDef == nil:
			if part.State() == Filled {
				v.undefined(at)
			}
		case len(part.Raw()) == 0:
			if partDef.IsRequired() {
				v.fault(CodeRequired, "101", at.String(), "This component is required and empty.")
			}
		default:
			v.value(part, partDef.Type, partDef.Table, at)
		}
	}
}

// primitive checks a leaf's form, and its value where the standard fixes the table.
func (v *validator) primitive(leaf Value, dataType, table string, at Path) {
	text := leaf.Text()
	if text == "" {
		return
	}
	if leaf.Truncated() {
		v.fault(CodeTruncated, "102", at.String(), "The sender cut this value short.").Grade = contracts.GradeWarning
		return
	}
	ok := true
	switch dataType {
	case "DT":
		_, err := ParseDate(text)
		ok = err == nil
	case "DTM":
		_, err := ParseDateTime(text)
		ok = err == nil
	case "TM":
		_, err := ParseTime(text)
		ok = err == nil
	case "NM":
		ok = isNumber(text)
	case "SI":
		_, rest, digits := cutDigits(text, len(text))
		ok = digits && rest == "" && len(text) <= 9
	case "ID":
		codes := v.d.Table(table)
		if codes != nil && !slices.Contains(codes, text) {
			v.fault(CodeTableValue, "103", at.String(), "This value isn't in table %s.", table)
		}
	}
	if !ok {
		v.fault(CodeDataType, "102", at.String(), "This doesn't have the form of data type %s.", dataType)
	}
}

// isNumber says whether s is an NM: an optional sign, digits, and an optional point with digits.
func isNumber(s string) bool {
	s = strings.TrimLeft(s[:1], "+-") + s[1:]
	whole, part, point := strings.Cut(s, ".")
	_, _, ok1 := cutDigits(whole, len(whole))
	_, _, ok2 := cutDigits(part, len(part))
	return ok1 && ok2 && len(whole)+len(part) > 0 && (!point || len(part) > 0)
}

package hl7v2

import (
	"slices"
	"strings"
)

// segment checks a segment's fields.
func (v *validator) segment(s Segment) {
	v.current = s.Index()
	def := v.d.segments[string(s.rawID())]
	if def == nil {
		if s.rawID()[0] != 'Z' {
			v.fault(CodeUnknownSegment, "100", Path{Segment: s.ID()}, "Version %s doesn't have this segment.", v.d.version)
		}
		return
	}
	at := Path{Segment: def.ID}
	for n := 1; n <= max(len(def.Fields), s.NumFields()) && !v.full(); n++ {
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
			v.fault(CodeRequired, "101", at, "This field is required and empty.")
		}
		return
	case def.Max > 0 && f.Len() > def.Max:
		v.fault(CodeRepeats, "102", at, "This field may have %d repetitions and has %d.", def.Max, f.Len())
	}
	dataType := def.Type
	if at.Segment == "OBX" && at.Field == 5 || dataType == "VARIES" || dataType == "var" {
		if at.Segment != "OBX" {
			return
		}
		if dataType = s.Field(2).Text(); dataType == "" && f.isFilledSomewhere() {
			at.Field = 2
			v.fault(CodeRequired, "101", at, "This field is required where OBX-5 is filled: it says of which data type that is.")
			return
		}
	}
	for n, rep := range f.All() {
		if v.full() {
			break
		}
		at.Rep = n
		v.value(rep, dataType, def.Table, at)
	}
}

func (v *validator) undefined(at Path) {
	v.warn(CodeUndefinedField, "102", at, "Version %s doesn't define this place.", v.d.version)
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
	last := 0
	for n, part := range value.All() {
		last, *level = n, n
		v.part(part, def.Component(n), at)
	}
	for n := last + 1; n <= len(def.Components); n++ {
		*level = n
		v.part(Value{}, def.Component(n), at)
	}
}

// part checks a component or subcomponent, which may be absent.
func (v *validator) part(part Value, def *FieldDef, at Path) {
	switch {
	case v.full():
	case def == nil:
		if part.State() == Filled {
			v.undefined(at)
		}
	case len(part.Raw()) == 0:
		if def.IsRequired() {
			v.fault(CodeRequired, "101", at, "This component is required and empty.")
		}
	default:
		v.value(part, def.Type, def.Table, at)
	}
}

// longestForm is more than any date, number or code has; a longer value isn't read to see that it is none.
const longestForm = 1000

// primitive checks a leaf's form, and its value where the standard fixes the table. It has no parts.
func (v *validator) primitive(leaf Value, dataType, table string, at Path) {
	if level, n := leaf.secondPart(); n > 0 {
		parts := at
		if parts.Component == 0 {
			parts.Component = 1
		}
		if level == RepetitionLevel {
			parts.Component = n
		} else {
			parts.Sub = n
		}
		v.undefined(parts)
	}
	leaf = leaf.leaf()
	if leaf.Truncated() {
		v.warn(CodeTruncated, "102", at, "The sender cut this value short by %s.", "the truncation character")
		return
	}
	long := len(leaf.Raw()) > longestForm
	switch dataType {
	case "ID":
		codes := v.d.Table(table)
		if codes != nil && leaf.IsFilled() && (long || !slices.ContainsFunc(codes, leaf.Equals)) {
			v.fault(CodeTableValue, "103", at, "This value isn't in table %s.", table)
		}
		if table == valueTypes && leaf.IsFilled() && v.d.Type(leaf.Text()) == nil && !isNewType(leaf.Text()) {
			v.fault(CodeTableValue, "103", at, "No version has a data type of this name (table %s).", table)
		}
	case "DT", "DTM", "TM", "NM", "SI":
		if leaf.IsFilled() && (long || !hasForm(leaf.Text(), dataType)) {
			v.fault(CodeDataType, "102", at, "This doesn't have the form of data type %s.", dataType)
		}
	}
}

// valueTypes is the table of OBX-2's data types. It isn't fixed, since each version adds some.
const valueTypes = "0125"

// isNewType says whether the newest version has a data type of that name: others use it before their own version does.
func isNewType(name string) bool {
	d, err := Dictionary(dictionaryVersions[len(dictionaryVersions)-1])
	return err == nil && d.Type(name) != nil
}

// secondPart gives the level at which a value that should be one leaf is cut, and the number of the first part behind
// the first one that holds something; 0 if none does.
func (v Value) secondPart() (Level, int) {
	for ; v.there && !v.isAtom(); v = v.At(1) {
		for n, part := range v.All() {
			if n > 1 && part.saysSomething() {
				return v.level, n
			}
		}
	}
	return 0, 0
}

func hasForm(text, dataType string) bool {
	var err error
	switch dataType {
	case "DT":
		_, err = ParseDate(text)
	case "DTM":
		_, err = ParseDateTime(text)
	case "TM":
		_, err = ParseTime(text)
	case "NM":
		return isNumber(text)
	case "SI":
		_, rest, digits := cutDigits(text, len(text))
		return digits && rest == "" && len(text) <= 9
	}
	return err == nil
}

// isNumber says whether s is an NM: an optional sign, digits, and an optional point with digits.
func isNumber(s string) bool {
	s = strings.TrimLeft(s[:1], "+-") + s[1:]
	whole, part, point := strings.Cut(s, ".")
	_, _, ok1 := cutDigits(whole, len(whole))
	_, _, ok2 := cutDigits(part, len(part))
	return ok1 && ok2 && len(whole)+len(part) > 0 && (!point || len(part) > 0)
}

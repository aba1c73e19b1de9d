package hl7v2

import (
	"github.com/hoitosilta/silta/contracts"
)

// Validate compares a message with the standard's definitions: which segments stand where and how often, required
// fields and components, repetitions, the form of dates, times, numbers and sequence numbers, and values of the tables
// that the standard itself fixes. Lengths aren't enforced: real images and texts are longer. d may be nil; then it is
// the dictionary that NearestVersion finds for MSH-12, and another version than asked for is a fault of its own.
//
// The faults are of kind invalid, with a place and a code of table 0357 each, in the order of the segments. Z-segments
// may stand anywhere. Fields and components that the version doesn't have, and values after the standard's last
// component, are warnings. Two hundred faults and as many warnings are listed; HL7-019 says that there are others, and is
// a fault itself where one of those would be.
func Validate(m *Message, d *Dict) contracts.Faults {
	v := &validator{m: m, d: d, current: -1}
	if d == nil {
		var err error
		if v.d, err = Dictionary(m.Version()); err != nil {
			v.faults = append(v.faults, contracts.FaultsOf(err)...)
			if v.d, err = Dictionary(NearestVersion(m.Version())); err != nil {
				return contracts.FaultsOf(err)
			}
		}
	}
	v.structure()
	for _, s := range m.Segments() {
		if v.full() {
			break
		}
		v.segment(s)
	}
	if v.more != nil {
		v.faults = append(v.faults, v.more)
	}
	return v.faults
}

type validator struct {
	m      *Message
	d      *Dict
	faults contracts.Faults

	errors, warnings int // found so far; those behind maxFaults aren't listed
	more             *contracts.Fault
	current          int     // the segment that is checked, from 0; -1 for none
	numbers          []int32 // see number
}

// full says whether faults were found that aren't listed. Then looking further changes nothing.
func (v *validator) full() bool { return v.errors > maxFaults }

// fault reports a fault at a place in the current segment.
func (v *validator) fault(code, errorCode string, at Path, format string, args ...any) {
	switch v.errors++; {
	case !v.full():
		v.add(code, errorCode, at, format, args...)
	case v.errors == maxFaults+1:
		v.more = moreFaults(contracts.Invalid, v.place(at))
	}
}

func (v *validator) add(code, errorCode string, at Path, format string, args ...any) *contracts.Fault {
	f := contracts.Faultf(contracts.Invalid, code, v.place(at), format, args...)
	f.ErrorCode = errorCode
	v.faults = append(v.faults, f)
	return f
}

// warn reports a warning. Its argument is no list, so that a warning that isn't listed costs nothing.
func (v *validator) warn(code, errorCode string, at Path, format, arg string) {
	switch v.warnings++; {
	case v.warnings <= maxFaults:
		v.add(code, errorCode, at, format, arg).Grade = contracts.GradeWarning
	case v.more == nil:
		v.more = moreFaults(contracts.Invalid, v.place(at))
		v.more.Grade = contracts.GradeWarning
	}
}

// number counts the current segment among those of its name.
func (v *validator) number() int {
	if v.numbers == nil {
		v.numbers = v.m.numbers()
	}
	return int(v.numbers[v.current])
}

// place gives at with the current segment's number among its like.
func (v *validator) place(at Path) string {
	if v.current >= 0 {
		at.Index = segmentPath(at.Segment, v.number()).Index
	}
	return at.String()
}

// structure puts the segments into the message's structure.
func (v *validator) structure() {
	s := v.d.Structure(v.structureName())
	if s == nil {
		v.fault(CodeStructure, "200", Path{Segment: "MSH", Field: 9}, "Version %s has no structure for this message type.", v.d.version)
		return
	}
	// A segment that the version doesn't have at all is told as such, with its fields.
	for _, f := range v.m.Group(s).report(func(id string) bool { return v.d.Segment(id) == nil }) {
		switch v.errors++; {
		case !v.full():
			v.faults = append(v.faults, f)
		case v.more == nil:
			v.more = moreFaults(contracts.Invalid, f.At)
		}
	}
}

// structureName gives the structure by which the message is judged: that of its event, else the one in MSH-9.3. Partners
// write the event there (ADT_A08 for ADT_A01), which does no harm.
func (v *validator) structureName() string {
	own, name := v.m.Structure(), v.d.StructureOf(v.m.Code(), v.m.Event())
	at := Path{Segment: "MSH", Field: 9, Component: 3}
	switch {
	case name == "":
		return v.d.StructureOfMessage(v.m)
	case own == "" || own == name:
	case own == v.m.Code()+"_"+v.m.Event():
		v.warn(CodeTableValue, "103", at, "This is the event; its structure is %s.", name)
	default:
		v.fault(CodeTableValue, "103", at, "This isn't the structure of the event, which is %s.", name)
	}
	return name
}

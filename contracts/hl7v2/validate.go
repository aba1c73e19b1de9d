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
// component, are warnings.
func Validate(m *Message, d *Dict) contracts.Faults {
	v := &validator{m: m, d: d}
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
	counts := map[string]int{}
	for _, s := range m.Segments() {
		counts[s.ID()]++
		v.segment(s, counts[s.ID()])
	}
	return v.faults
}

type validator struct {
	m      *Message
	d      *Dict
	faults contracts.Faults
}

func (v *validator) fault(code, errorCode, at, format string, args ...any) *contracts.Fault {
	f := contracts.Faultf(contracts.Invalid, code, at, format, args...)
	f.ErrorCode = errorCode
	v.faults = append(v.faults, f)
	return f
}

// structure puts the segments into the message's structure.
func (v *validator) structure() {
	s := v.d.Structure(v.d.StructureOfMessage(v.m))
	if s == nil {
		v.fault(CodeStructure, "200", "MSH-9", "Version %s has no structure for this message type.", v.d.version)
		return
	}
	// A segment that the version doesn't have at all is told as such, with its fields.
	_, faults := v.m.group(s, func(id string) bool { return v.d.Segment(id) == nil })
	v.faults = append(v.faults, faults...)
}

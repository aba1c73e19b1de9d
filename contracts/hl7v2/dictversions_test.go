package hl7v2_test

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// The numbers of fields that segments have from version to version, as in their attribute tables.
func TestSegmentsThroughTheVersions(t *testing.T) {
	for id, want := range map[string][]int{
		//     2.3 .3.1 2.4 2.5 .5.1 2.6 2.7 .7.1 2.8
		"MSH": {19, 20, 21, 21, 21, 25, 25, 25, 25},
		"PID": {30, 30, 38, 39, 39, 39, 40, 40, 40},
		"OBR": {43, 45, 47, 49, 50, 50, 53, 54, 54},
		"OBX": {17, 17, 19, 19, 25, 25, 26, 26, 28},
		"ORC": {19, 24, 25, 30, 31, 31, 33, 33, 34},
		"PRD": {9, 9, 9, 9, 9, 14, 14, 14, 14},
		"RF1": {11, 11, 11, 11, 11, 12, 12, 12, 25},
		"SCH": {25, 25, 27, 27, 27, 27, 27, 27, 27},
		"TXA": {23, 23, 23, 23, 23, 23, 26, 26, 26},
	} {
		for i, version := range hl7v2.Versions() {
			if got := len(dictionary(t, version).Segment(id).Fields); got != want[i] {
				t.Errorf("%s: %s has %d fields, want %d", version, id, got, want[i])
			}
		}
	}
}

func TestSegmentsComeAndGo(t *testing.T) {
	for id, want := range map[string]string{
		"ARV": "2.6 2.7 2.7.1 2.8",
		"CON": "2.5 2.5.1 2.6 2.7 2.7.1 2.8",
		"DON": "2.8",
		"IAM": "2.4 2.5 2.5.1 2.6 2.7 2.7.1 2.8",
		"PRT": "2.7 2.7.1 2.8",
		"UAC": "2.6 2.7 2.7.1 2.8",
		"QRX": "",
	} {
		var have []string
		for _, version := range hl7v2.Versions() {
			if dictionary(t, version).Segment(id) != nil {
				have = append(have, version)
			}
		}
		if got := strings.Join(have, " "); got != want {
			t.Errorf("%s is in %q, want %q", id, got, want)
		}
	}
}

func TestFieldDefinitions(t *testing.T) {
	for _, row := range []struct {
		version, segment string
		field            int
		want             *hl7v2.FieldDef
	}{
		{"2.5.1", "RF1", 6, &hl7v2.FieldDef{Type: "EI", Usage: hl7v2.Required, Max: 1, Length: 30}},
		{"2.5.1", "RF1", 1, &hl7v2.FieldDef{Type: "CE", Usage: hl7v2.Optional, Max: 1, Length: 250, Table: "0283"}},
		{"2.6", "RF1", 10, &hl7v2.FieldDef{Type: "CWE", Usage: hl7v2.Optional, Max: 0, Length: 705, Table: "0336"}},
		{"2.8", "RF1", 13, &hl7v2.FieldDef{Type: "DTM", Usage: hl7v2.Optional, Max: 1}},
		{"2.5.1", "PRD", 10, nil},
		{"2.6", "PRD", 10, &hl7v2.FieldDef{Type: "XON", Usage: hl7v2.Optional, Max: 1, Length: 250}},
		{"2.5.1", "PID", 3, &hl7v2.FieldDef{Type: "CX", Usage: hl7v2.Required, Max: 0, Length: 250}},
		{"2.5.1", "PID", 40, nil},
		{"2.5.1", "PID", 0, nil},
		{"2.6", "DG1", 3, &hl7v2.FieldDef{Type: "CWE", Usage: hl7v2.Required, Max: 1, Length: 250, Table: "0051"}},
		{"2.5.1", "OBX", 2, &hl7v2.FieldDef{Type: "ID", Usage: hl7v2.Optional, Max: 1, Length: 2, Table: "0125"}},
		{"2.5.1", "OBX", 20, nil}, // kept for 2.6
		{"2.8", "OBX", 4, &hl7v2.FieldDef{Type: "ST", Usage: hl7v2.Conditional, Max: 1, Length: 20}},
		{"2.7", "OBR", 13, &hl7v2.FieldDef{Type: "ST", Usage: hl7v2.Optional, Max: 1, Length: 300}},
		{"2.7.1", "OBR", 13, &hl7v2.FieldDef{Type: "CWE", Usage: hl7v2.Optional, Max: 0, Length: 300, Table: "0916"}},
		{"2.6", "ORC", 14, &hl7v2.FieldDef{Type: "XTN", Usage: hl7v2.Optional, Max: 2, Length: 250}},
	} {
		got := dictionary(t, row.version).Segment(row.segment).Field(row.field)
		if (got == nil) != (row.want == nil) || got != nil && *got != *row.want {
			t.Errorf("%s %s-%d: got %+v, want %+v", row.version, row.segment, row.field, got, row.want)
		}
	}
}

func TestWithdrawnFieldsAreNone(t *testing.T) {
	for _, row := range []struct {
		segment string
		field   int
		last    string // version that has it
	}{
		{"PID", 2, "2.6"}, {"PID", 9, "2.6"}, {"PID", 28, "2.6"}, {"DG1", 4, "2.5.1"}, {"OBR", 27, "2.6"}, {"ORC", 7, "2.6"},
		{"SCH", 9, "2.6"}, {"EVN", 1, "2.6"}, {"AL1", 6, "2.6"}, {"PV1", 52, "2.6"}, {"QRD", 8, "2.6"}, {"MSA", 6, "2.6"},
	} {
		for _, version := range hl7v2.Versions() {
			got := dictionary(t, version).Segment(row.segment).Field(row.field)
			if want := hl7v2.VersionAtLeast(row.last, version); (got != nil) != want {
				t.Errorf("%s: %s-%d is %+v, want one: %v", version, row.segment, row.field, got, want)
			}
		}
	}
}

// Fields whose type another field tells, in every version that has them.
func TestFieldsOfVaryingType(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		d := dictionary(t, version)
		for segment, field := range map[string]int{"OBX": 5, "RDT": 1, "QPD": 3, "MFE": 4} {
			if version == "2.3" && segment == "MFE" || version < "2.4" && segment == "QPD" {
				continue
			}
			if f := d.Segment(segment).Field(field); f == nil || f.Type != "VARIES" {
				t.Errorf("%s: %s-%d is %+v", version, segment, field, f)
			}
		}
	}
}

func TestDataTypesThroughTheVersions(t *testing.T) {
	for name, want := range map[string][]int{
		"CX":  {6, 6, 8, 10, 10, 10, 12, 12, 12},
		"HD":  {3, 3, 3, 3, 3, 3, 3, 3, 3},
		"XPN": {8, 8, 11, 14, 14, 14, 15, 15, 15},
		"XCN": {14, 15, 18, 23, 23, 23, 25, 25, 25},
		"XTN": {9, 9, 9, 12, 12, 18, 18, 18, 18},
		"CWE": {0, 9, 9, 9, 9, 9, 22, 22, 22},
		"CE":  {6, 6, 6, 6, 6, 6, 0, 0, 0},
		"TS":  {2, 2, 2, 2, 2, 2, 0, 0, 0},
	} {
		for i, version := range hl7v2.Versions() {
			got := 0
			if def := dictionary(t, version).Type(name); def != nil {
				got = len(def.Components)
			}
			if got != want[i] {
				t.Errorf("%s: %s has %d components, want %d", version, name, got, want[i])
			}
		}
	}
	cx := dictionary(t, "2.5.1").Type("CX")
	if c := cx.Component(4); c == nil || c.Type != "HD" || cx.IsPrimitive() || cx.Component(11) != nil {
		t.Errorf("CX.4 is %+v", c)
	}
	if xpn := dictionary(t, "2.7").Type("XPN"); xpn.Component(6) != nil || xpn.Component(7) == nil {
		t.Error("XPN.6 was withdrawn")
	}
	if !dictionary(t, "2.5.1").Type("ST").IsPrimitive() {
		t.Error("ST has components")
	}
}

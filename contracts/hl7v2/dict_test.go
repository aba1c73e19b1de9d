package hl7v2_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func dictionary(t *testing.T, version string) *hl7v2.Dict {
	t.Helper()
	d, err := hl7v2.Dictionary(version)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// outline writes a structure's nodes as in `MSH RF1? PROVIDER(PRD CTD*)+`.
func outline(n *hl7v2.Node) string {
	names := make([]string, len(n.Children))
	for i, c := range n.Children {
		names[i] = c.Name
		if len(c.Children) > 0 {
			names[i] += "(" + outline(c) + ")"
		}
		switch {
		case c.Min == 0 && c.Max == 1:
			names[i] += "?"
		case c.Min == 0 && c.Max == 0:
			names[i] += "*"
		case c.Min == 1 && c.Max == 0:
			names[i] += "+"
		}
	}
	return strings.Join(names, " ")
}

func TestEveryVersionIsSound(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		d := dictionary(t, version)
		if len(d.Segments()) < 100 || len(d.Types()) < 80 || len(d.Structures()) < 150 {
			t.Errorf("%s: only %d segments, %d types, %d structures", version, len(d.Segments()), len(d.Types()),
				len(d.Structures()))
		}
		for _, id := range d.Segments() {
			for n, f := range d.Segment(id).Fields {
				if f.Type != "" && d.Type(f.Type) == nil {
					t.Errorf("%s: %s-%d has the unknown type %s", version, id, n+1, f.Type)
				}
			}
		}
		for _, name := range d.Types() {
			for n, f := range d.Type(name).Components {
				if f.Type != "" && d.Type(f.Type) == nil {
					t.Errorf("%s: %s.%d has the unknown type %s", version, name, n+1, f.Type)
				}
			}
		}
		for _, name := range d.Structures() {
			root := d.Structure(name).Root
			if len(root.Children) == 0 || root.Children[0].Name != "MSH" {
				t.Errorf("%s: %s doesn't start with MSH", version, name)
			}
		}
	}
}

// The structures that referrals need, as chapter 11 (and 3, 7, 9, 10) has them: RF1 optional, at least one PRD, before
// PID, and PV1 near the end.
func TestReferralStructures(t *testing.T) {
	const after = " NK1* GT1* INSURANCE(IN1 IN2? IN3?)* ACC? DG1* DRG* AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)*" +
		" OBSERVATION(OBR NTE* RESULTS_NOTES(OBX NTE*)*)* PATIENT_VISIT(PV1 PV2?)? NTE*"
	const contacts = " AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID"
	for version, want := range map[string]string{
		"2.4":   "MSH RF1?" + contacts + after,
		"2.5":   "MSH SFT* RF1?" + contacts + after,
		"2.5.1": "MSH SFT* RF1?" + contacts + after,
		"2.6":   "MSH SFT* UAC? RF1?" + contacts + after,
		"2.7":   "MSH SFT* UAC? RF1?" + contacts + after,
		"2.8":   "MSH SFT* UAC? RF1?" + contacts + after,
	} {
		if got := outline(dictionary(t, version).Structure("REF_I12").Root); got != want {
			t.Errorf("REF_I12 %s\n got %s\nwant %s", version, got, want)
		}
	}
	for _, version := range hl7v2.Versions() {
		d := dictionary(t, version)
		for name, required := range map[string][]string{
			"REF_I12": {"PRD", "PID"}, "RRI_I12": {"PRD", "PID"}, "SIU_S12": {"SCH", "RGS"}, "MDM_T02": {"TXA", "OBX"},
			"ORU_R01": {"OBR"}, "ADT_A01": {"PID", "PV1"}, "ADT_A39": {"PID", "MRG"}, "OMG_O19": {"ORC", "OBR"},
			"ACK": {"MSA"},
		} {
			s := d.Structure(name)
			if s == nil {
				if name != "OMG_O19" || version >= "2.4" {
					t.Errorf("%s has no %s", version, name)
				}
				continue
			}
			for _, id := range required {
				if nodes := s.Find(id); len(nodes) == 0 || !nodes[0].IsRequired() {
					t.Errorf("%s: %s isn't required in %s", version, id, name)
				}
			}
		}
	}
}

// In its source 2.6 has OMG_O19 with all groups as 1..1, and as it should be under OMG_019, without its head.
func TestMisspelledStructuresAreCorrected(t *testing.T) {
	for _, version := range []string{"2.5.1", "2.6", "2.7"} {
		for _, n := range dictionary(t, version).Structure("OMG_O19").Find("SPM") {
			if group := n.Parent; group.IsRequired() || !group.Repeats() || group.Path() != "ORDER/SPECIMEN" {
				t.Errorf("%s: %s is %d..%d, want 0..*", version, group.Path(), group.Min, group.Max)
			}
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
		{"2.5.1", "PRD", 10, nil},
		{"2.6", "PRD", 10, &hl7v2.FieldDef{Type: "XON", Usage: hl7v2.Optional, Max: 1, Length: 250}},
		{"2.5.1", "PID", 3, &hl7v2.FieldDef{Type: "CX", Usage: hl7v2.Required, Max: 0, Length: 250}},
		{"2.5.1", "PID", 40, nil},
		{"2.5.1", "PID", 0, nil},
	} {
		got := dictionary(t, row.version).Segment(row.segment).Field(row.field)
		if (got == nil) != (row.want == nil) || got != nil && *got != *row.want {
			t.Errorf("%s %s-%d: got %+v, want %+v", row.version, row.segment, row.field, got, row.want)
		}
	}
	cx := dictionary(t, "2.5.1").Type("CX")
	if c := cx.Component(4); c == nil || c.Type != "HD" || cx.IsPrimitive() || cx.Component(11) != nil {
		t.Errorf("CX.4 is %+v", c)
	}
	if !dictionary(t, "2.5.1").Type("ST").IsPrimitive() {
		t.Error("ST has components")
	}
}

func TestStructureOfEvents(t *testing.T) {
	for _, row := range [][4]string{
		{"2.5.1", "REF", "I12", "REF_I12"}, {"2.5.1", "REF", "I14", "REF_I12"}, {"2.3", "REF", "I14", "REF_I14"},
		{"2.5.1", "ADT", "A04", "ADT_A01"}, {"2.5.1", "ADT", "A31", "ADT_A05"}, {"2.7", "ADT", "A40", "ADT_A39"},
		{"2.5.1", "SIU", "S26", "SIU_S12"}, {"2.5.1", "MDM", "T08", "MDM_T02"}, {"2.4", "ORU", "R01", "ORU_R01"},
		{"2.5.1", "ACK", "I12", "ACK"}, {"2.5.1", "XXX", "Z99", ""}, {"2.5.1", "", "", ""},
	} {
		if got := dictionary(t, row[0]).StructureOf(row[1], row[2]); got != row[3] {
			t.Errorf("%s %s^%s: got %q, want %q", row[0], row[1], row[2], got, row[3])
		}
	}
}

func TestTablesThatTheStandardFixes(t *testing.T) {
	d := dictionary(t, "2.5.1")
	if codes := d.Table("0155"); !slices.Equal(codes, []string{"AL", "ER", "NE", "SU"}) {
		t.Errorf("table 0155 is %v", codes)
	}
	if !slices.Equal(d.Table("0136"), []string{"N", "Y"}) {
		t.Error("the table of yes and no is missing")
	}
	for _, open := range []string{"0203", "0283", "0001", "9999"} {
		if d.Table(open) != nil {
			t.Errorf("table %s isn't fixed by the standard", open)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	_, err := hl7v2.Dictionary("2.9")
	if f := contracts.FaultsOf(err); len(f) != 1 || f[0].Code != hl7v2.CodeUnknownVersion || f[0].ErrorCode != "203" {
		t.Errorf("got %v", err)
	}
	for version, want := range map[string]string{"2.2": "2.3", "2.5.2": "2.5.1", "2.9": "2.8", "": "2.3", "2.10": "2.8"} {
		if got := hl7v2.NearestVersion(version); got != want {
			t.Errorf("nearest to %q is %s, want %s", version, got, want)
		}
	}
}

// All versions together, with every structure taken apart, stay below 10 MB.
func TestDictionariesAreSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, version := range hl7v2.Versions() {
		d := dictionary(t, version)
		for _, name := range d.Structures() {
			d.Structure(name)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 10<<20 {
		t.Errorf("%d bytes", grown)
	}
}

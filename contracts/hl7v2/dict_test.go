package hl7v2_test

import (
	"regexp"
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

func TestEveryVersionIsSound(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		d := dictionary(t, version)
		if len(d.Segments()) < 100 || len(d.Types()) < 80 || len(d.Structures()) < 110 {
			t.Errorf("%s: only %d segments, %d types, %d structures", version, len(d.Segments()), len(d.Types()),
				len(d.Structures()))
		}
		for _, id := range d.Segments() {
			checkTypes(t, d, id, d.Segment(id).Fields)
		}
		for _, name := range d.Types() {
			checkTypes(t, d, name, d.Type(name).Components)
		}
		for _, name := range d.Structures() {
			checkNodes(t, d, d.Structure(name))
		}
	}
}

// checkTypes looks for types that aren't there, and for an end that says nothing.
func checkTypes(t *testing.T, d *hl7v2.Dict, name string, defs []hl7v2.FieldDef) {
	for n, f := range defs {
		if f.Type != "" && d.Type(f.Type) == nil {
			t.Errorf("%s: part %d of %s has the unknown type %s", d.Version(), n+1, name, f.Type)
		}
		if f.Table != "" && len(f.Table) != 4 {
			t.Errorf("%s: part %d of %s has table %s", d.Version(), n+1, name, f.Table)
		}
	}
	if len(defs) > 0 && defs[len(defs)-1].Type == "" {
		t.Errorf("%s: %s ends with a part that isn't there", d.Version(), name)
	}
}

var groupName = regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)

func checkNodes(t *testing.T, d *hl7v2.Dict, s *hl7v2.Structure) {
	if s.Root.Children[0].Name != "MSH" {
		t.Errorf("%s: %s doesn't start with MSH", d.Version(), s.Name)
	}
	s.Root.Walk(func(n *hl7v2.Node) bool {
		switch {
		case n.Kind == hl7v2.SegmentNode && d.Segment(n.Name) == nil:
			t.Errorf("%s: %s has the unknown segment %s", d.Version(), s.Name, n.Path())
		case n.Kind != hl7v2.SegmentNode && len(n.Children) == 0:
			t.Errorf("%s: %s has an empty group %s", d.Version(), s.Name, n.Path())
		case n.Kind == hl7v2.GroupNode && n.Parent != nil && !groupName.MatchString(n.Name):
			t.Errorf("%s: %s has a group called %s", d.Version(), s.Name, n.Path())
		}
		return true
	})
}

func TestStructureOfEvents(t *testing.T) {
	for _, row := range [][4]string{
		{"2.5.1", "REF", "I12", "REF_I12"}, {"2.5.1", "REF", "I14", "REF_I12"}, {"2.3", "REF", "I14", "REF_I14"},
		{"2.5.1", "ADT", "A04", "ADT_A01"}, {"2.5.1", "ADT", "A31", "ADT_A05"}, {"2.7", "ADT", "A40", "ADT_A39"},
		{"2.5.1", "SIU", "S26", "SIU_S12"}, {"2.5.1", "MDM", "T08", "MDM_T02"}, {"2.4", "ORU", "R01", "ORU_R01"},
		{"2.6", "ADT", "A44", "ADT_A43"}, {"2.7", "ADT", "A44", "ADT_A44"}, {"2.5.1", "ORU", "R32", "ORU_R30"},
		{"2.5.1", "MFQ", "M14", "MFQ_M01"}, {"2.8", "DRG", "O43", "DRG_O43"}, {"2.7.1", "DRG", "O43", ""},
		{"2.7", "ORM", "O01", ""}, {"2.6", "ORM", "O01", "ORM_O01"}, {"2.5.1", "QBP", "Q22", "QBP_Q21"},
		{"2.5.1", "ACK", "I12", "ACK"}, {"2.5.1", "XXX", "Z99", ""}, {"2.5.1", "", "", ""},
	} {
		if got := dictionary(t, row[0]).StructureOf(row[1], row[2]); got != row[3] {
			t.Errorf("%s %s^%s: got %q, want %q", row[0], row[1], row[2], got, row[3])
		}
	}
}

func TestTablesThatTheStandardFixes(t *testing.T) {
	d := dictionary(t, "2.5.1")
	for number, want := range map[string]string{
		"0008": "AA AE AR CA CE CR", "0091": "D I", "0136": "N Y", "0155": "AL ER NE SU", "0206": "A D S U X",
		"0085": "A B C D F I N O P R S U V W X", // A, B and V came with 2.8
	} {
		if got := strings.Join(d.Table(number), " "); got != want {
			t.Errorf("table %s is %s, want %s", number, got, want)
		}
	}
}

// Lists that later versions, nations, sites or other bodies add to refuse nothing.
func TestOpenTablesAreNotListed(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		for _, open := range []string{"0001", "0003", "0062", "0063", "0076", "0078", "0104", "0119", "0125", "0190",
			"0200", "0201", "0203", "0211", "0283", "0301", "0354", "0357", "0359", "0396", "0399", "0834", "9999"} {
			if codes := dictionary(t, version).Table(open); codes != nil {
				t.Errorf("%s: table %s isn't fixed by the standard, and has %v", version, open, codes)
			}
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

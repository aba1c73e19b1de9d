package hl7v2_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// grouping writes a group as words: PID ORDER(OBR RESULT(OBX NTE)), ?ZPI for what has no place.
func grouping(g *hl7v2.Group) string {
	var words []string
	for _, m := range g.Members {
		switch {
		case m.Group != nil:
			words = append(words, m.Group.Name()+"("+grouping(m.Group)+")")
		case m.Node == nil:
			words = append(words, "?"+m.Segment.ID())
		default:
			words = append(words, m.Segment.ID())
		}
	}
	return strings.Join(words, " ")
}

func TestGroup(t *testing.T) {
	for _, row := range []struct{ name, version, structure, segments, want, faults string }{
		{"a referral in order", "2.5.1", "REF_I12", "RF1 PRD CTD PRD PID NK1 DG1 OBR NTE OBX NTE OBX OBR PV1 NTE",
			"MSH RF1 PROVIDER_CONTACT(PRD CTD) PROVIDER_CONTACT(PRD) PID NK1 DG1 OBSERVATION(OBR NTE RESULTS_NOTES(OBX NTE) RESULTS_NOTES(OBX)) OBSERVATION(OBR) PATIENT_VISIT(PV1) NTE", ""},
		{"RF1 behind PV1", "2.5.1", "REF_I12", "PRD PID PV1 RF1",
			"MSH PROVIDER_CONTACT(PRD) PID PATIENT_VISIT(PV1) RF1", "RF1: This stands out of order: the structure has RF1 right behind MSH."},
		{"PRD before RF1", "2.5.1", "REF_I12", "PRD PRD RF1 PID",
			"MSH PROVIDER_CONTACT(PRD) PROVIDER_CONTACT(PRD) RF1 PID", "RF1: This stands out of order: the structure has RF1 right behind MSH."},
		{"one early segment, not all that follow it", "2.5.1", "REF_I12", "PRD PID PV1 DG1 OBR OBX OBR",
			"MSH PROVIDER_CONTACT(PRD) PID PATIENT_VISIT(PV1) DG1 OBSERVATION(OBR RESULTS_NOTES(OBX)) OBSERVATION(OBR)",
			"PV1: This stands out of order: the structure has PATIENT_VISIT right behind OBSERVATION."},
		{"a group comes back to what was left", "2.5.1", "REF_I12", "PRD PID PV1 RF1 PV2",
			"MSH PROVIDER_CONTACT(PRD) PID PATIENT_VISIT(PV1 PV2) RF1", "RF1: This stands out of order: the structure has RF1 right behind MSH."},
		{"a contact behind the patient is the provider's", "2.5.1", "REF_I12", "PRD PID CTD",
			"MSH PROVIDER_CONTACT(PRD CTD) PID", ""},
		{"an ORC inside", "2.5.1", "REF_I12", "PRD PID ORC OBR OBX",
			"MSH PROVIDER_CONTACT(PRD) PID ?ORC OBSERVATION(OBR RESULTS_NOTES(OBX))", "ORC: The structure has no place for this segment."},
		{"Z-segments stay where they came", "2.5.1", "REF_I12", "PRD ZPR PID OBR OBX ZOB NTE",
			"MSH PROVIDER_CONTACT(PRD ?ZPR) PID OBSERVATION(OBR RESULTS_NOTES(OBX ?ZOB NTE))", ""},
		{"no PRD, no PID", "2.5.1", "REF_I12", "RF1", "MSH RF1", "PRD: The required group PROVIDER_CONTACT is missing.; PID: The required segment PID is missing."},
		{"a result without its order", "2.5.1", "REF_I12", "PRD PID OBX",
			"MSH PROVIDER_CONTACT(PRD) PID OBSERVATION(RESULTS_NOTES(OBX))", "OBX: The group OBSERVATION that begins here lacks the required segment OBSERVATION/OBR."},
		{"a segment too many", "2.5.1", "REF_I12", "RF1 RF1 PRD PID",
			"MSH RF1 RF1 PROVIDER_CONTACT(PRD) PID", "RF1(2): The structure has this segment once here, and it stands once more."},
		{"results of two patients", "2.5.1", "ORU_R01", "PID PV1 ORC OBR OBX NTE SPM OBX ORC OBR PID PD1 OBR OBX DSC",
			"MSH PATIENT_RESULT(PATIENT(PID VISIT(PV1)) ORDER_OBSERVATION(ORC OBR OBSERVATION(OBX NTE) SPECIMEN(SPM OBX)) ORDER_OBSERVATION(ORC OBR)) " +
				"PATIENT_RESULT(PATIENT(PID PD1) ORDER_OBSERVATION(OBR OBSERVATION(OBX))) DSC", ""},
		{"orders without ORC", "2.5.1", "ORU_R01", "OBR OBX OBR OBX",
			"MSH PATIENT_RESULT(ORDER_OBSERVATION(OBR OBSERVATION(OBX)) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))", ""},
		{"an appointment", "2.5.1", "SIU_S12", "SCH NTE PID PV1 RGS AIS NTE AIL AIP NTE RGS AIP",
			"MSH SCH NTE PATIENT(PID PV1) RESOURCES(RGS SERVICE(AIS NTE) LOCATION_RESOURCE(AIL) PERSONNEL_RESOURCE(AIP NTE)) RESOURCES(RGS PERSONNEL_RESOURCE(AIP))", ""},
		{"the same segment twice in a structure", "2.5.1", "ADT_A01", "EVN PID PD1 ROL NK1 PV1 PV2 ROL DB1",
			"MSH EVN PID PD1 ROL NK1 PV1 PV2 ROL DB1", ""},
	} {
		d, err := hl7v2.Dictionary(row.version)
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{"MSH|^~\\&|A|B|C|D|2026||X|1|P|" + row.version}
		for _, id := range strings.Fields(row.segments) {
			lines = append(lines, id+"|1")
		}
		root := parse(t, strings.Join(lines, "\r")+"\r").Group(d.Structure(row.structure))
		if diff := cmp.Diff(row.want, grouping(root)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, diff)
		}
		var said []string
		for _, f := range root.Faults() {
			said = append(said, f.At+": "+f.Public)
		}
		if diff := cmp.Diff(row.faults, strings.Join(said, "; ")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", row.name, diff)
		}
	}
}

func TestGroupGivesItsParts(t *testing.T) {
	d, err := hl7v2.Dictionary("2.5.1")
	if err != nil {
		t.Fatal(err)
	}
	root := parse(t, strings.Join(goodReferral, "\r")).Group(d.Structure("REF_I12"))
	roles := []string{}
	for g := range root.Groups("PROVIDER_CONTACT") {
		prd, ok := g.Segment("PRD")
		if !ok || g.Parent != root {
			t.Fatal("a provider's group without its PRD or parent")
		}
		roles = append(roles, prd.Field(1).Text())
	}
	if diff := cmp.Diff([]string{"RP", "RT"}, roles); diff != "" {
		t.Error(diff)
	}
	if _, ok := root.Segment("PRD"); ok {
		t.Error("PRD stands in the message itself")
	}
}

// Every segment is in the tree once, in order, whatever comes in whatever order.
func TestGroupLosesNoSegment(t *testing.T) {
	check := func(name string, m *hl7v2.Message, d *hl7v2.Dict) {
		s := d.Structure(d.StructureOfMessage(m))
		if s == nil {
			return
		}
		root := m.Group(s)
		seen := map[int]bool{}
		var walk func(*hl7v2.Group)
		walk = func(g *hl7v2.Group) {
			last := -1
			for _, member := range g.Members {
				if member.Group != nil {
					if len(member.Group.Members) == 0 {
						t.Errorf("%s: an empty group %s", name, member.Group.Name())
					}
					walk(member.Group)
					continue
				}
				i := member.Segment.Index()
				if seen[i] || i < last {
					t.Errorf("%s: segment %d stands twice or out of order", name, i)
				}
				seen[i], last = true, i
			}
		}
		walk(root)
		if len(seen) != m.NumSegments() {
			t.Errorf("%s: %d of %d segments", name, len(seen), m.NumSegments())
		}
	}
	for name, file := range corpus(t) {
		parts, _ := hl7v2.Split(file)
		for _, p := range parts {
			if m, err := hl7v2.Parse(p.Bytes, hl7v2.WithDefaultCharset(hl7v2.UTF8)); err == nil {
				d, err := hl7v2.Dictionary(hl7v2.NearestVersion(m.Version()))
				if err != nil {
					t.Fatal(err)
				}
				check(name, m, d)
			}
		}
	}
	for _, version := range hl7v2.Versions() {
		d, err := hl7v2.Dictionary(version)
		if err != nil {
			t.Fatal(err)
		}
		for seed, structure := range d.Structures() {
			code, event, _ := strings.Cut(structure, "_")
			lines := []string{"MSH|^~\\&|A|B|C|D|2026||" + code + "^" + event + "^" + structure + "|1|P|" + version}
			ids := []string{"ZZZ"}
			d.Structure(structure).Root.Walk(func(n *hl7v2.Node) bool {
				if n.Kind == hl7v2.SegmentNode && n.Name != "MSH" {
					ids = append(ids, n.Name)
				}
				return true
			})
			for i := range 30 { // any order, with repeats
				lines = append(lines, ids[(seed*7+i*i*13+i)%len(ids)]+"|1")
			}
			check(version+" "+structure, parse(t, strings.Join(lines, "\r")), d)
		}
	}
}

func BenchmarkGroup(b *testing.B) {
	d, err := hl7v2.Dictionary("2.5.1")
	if err != nil {
		b.Fatal(err)
	}
	s := d.Structure("ORU_R01")
	var text strings.Builder
	text.WriteString("MSH|^~\\&|A|B|C|D|2026||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1\rOBR|1\r")
	for i := range 33000 {
		fmt.Fprintf(&text, "OBX|%d|NM|1||1\r", i+1)
	}
	m, err := hl7v2.Parse([]byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if faults := m.Group(s).Faults(); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

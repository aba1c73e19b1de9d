package hl7v2_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// outline writes a structure's nodes as in `MSH RF1? PROVIDER(PRD CTD*)+ (OBR|RXO)`.
func outline(n *hl7v2.Node) string {
	names := make([]string, len(n.Children))
	for i, c := range n.Children {
		names[i] = c.Name
		switch c.Kind {
		case hl7v2.GroupNode:
			names[i] += "(" + outline(c) + ")"
		case hl7v2.ChoiceNode:
			names[i] = "(" + strings.ReplaceAll(outline(c), " ", "|") + ")"
		}
		switch [2]int{c.Min, c.Max} {
		case [2]int{1, 1}:
		case [2]int{0, 1}:
			names[i] += "?"
		case [2]int{0, 0}:
			names[i] += "*"
		case [2]int{1, 0}:
			names[i] += "+"
		default:
			names[i] += fmt.Sprintf("{%d,%d}", c.Min, c.Max)
		}
	}
	return strings.Join(names, " ")
}

// The structures that the catalog's maps are of, as the abstract message syntax of chapters 2, 3, 4, 7, 9, 10 and 11 has
// them.
func TestStructuresThroughTheVersions(t *testing.T) {
	seen := map[string]int{}
	for _, row := range [][3]string{
		{"2.3..2.4", "ACK", "MSH MSA ERR?"},
		{"2.5..2.5.1", "ACK", "MSH SFT* MSA ERR*"},
		{"2.6..2.8", "ACK", "MSH SFT* UAC? MSA ERR*"},
		{"2.3", "ADT_A01", "" +
			"MSH EVN PID PD1? NK1* PV1 PV2? DB1* OBX* AL1* DG1* DRG? PROCEDURE(PR1 ROL*)* GT1* INSURANCE(IN1 IN2? " +
			"IN3?)* ACC? UB1? UB2?"},
		{"2.3.1", "ADT_A01", "" +
			"MSH EVN PID PD1? NK1* PV1 PV2? DB1* OBX* AL1* DG1* DRG? PROCEDURE(PR1 ROL*)* GT1* INSURANCE(IN1 IN2? " +
			"IN3*)* ACC? UB1? UB2?"},
		{"2.4", "ADT_A01", "" +
			"MSH EVN PID PD1? ROL* NK1* PV1 PV2? ROL* DB1* OBX* AL1* DG1* DRG? PROCEDURE(PR1 ROL*)* GT1* INSURANCE(IN1 " +
			"IN2? IN3* ROL*)* ACC? UB1? UB2? PDA?"},
		{"2.5..2.5.1", "ADT_A01", "" +
			"MSH SFT* EVN PID PD1? ROL* NK1* PV1 PV2? ROL* DB1* OBX* AL1* DG1* DRG? PROCEDURE(PR1 ROL*)* GT1* " +
			"INSURANCE(IN1 IN2? IN3* ROL*)* ACC? UB1? UB2? PDA?"},
		{"2.6..2.7.1", "ADT_A01", "" +
			"MSH SFT* UAC? EVN PID PD1? ARV* ROL* NK1* PV1 PV2? ARV* ROL* DB1* OBX* AL1* DG1* DRG? PROCEDURE(PR1 ROL*)* " +
			"GT1* INSURANCE(IN1 IN2? IN3* ROL*)* ACC? UB1? UB2? PDA?"},
		{"2.8", "ADT_A01", "" +
			"MSH SFT* UAC? EVN PID PD1? ARV* ROL* NK1* PV1 PV2? ARV* ROL* DB1* OBX* AL1* DG1* DRG? PROCEDURE(PR1 ROL*)* " +
			"GT1* INSURANCE(IN1 IN2? IN3* ROL* AUT* RF1*)* ACC? UB1? UB2? PDA?"},
		{"2.3..2.4", "ADT_A39", "MSH EVN PATIENT(PID PD1? MRG PV1?)+"},
		{"2.5..2.5.1", "ADT_A39", "MSH SFT* EVN PATIENT(PID PD1? MRG PV1?)+"},
		{"2.6..2.8", "ADT_A39", "MSH SFT* UAC? EVN PATIENT(PID PD1? MRG PV1?)+"},
		{"2.3..2.4", "MDM_T02", "MSH EVN PID PV1 TXA OBX+"},
		{"2.5..2.5.1", "MDM_T02", "MSH SFT* EVN PID PV1 COMMON_ORDER(ORC TIMING(TQ1 TQ2*)* OBR NTE*)* TXA OBXNTE(OBX NTE*)+"},
		{"2.6", "MDM_T02", "MSH SFT* UAC? EVN PID PV1 COMMON_ORDER(ORC TIMING(TQ1 TQ2*)* OBR NTE*)* TXA OBXNTE(OBX NTE*)+"},
		{"2.7..2.8", "MDM_T02", "" +
			"MSH SFT* UAC? EVN PID PV1 COMMON_ORDER(ORC TIMING(TQ1 TQ2*)* OBR NTE*)* TXA CON* OBSERVATION(OBX NTE*)+"},
		{"2.4", "OMG_O19", "" +
			"MSH NTE* PATIENT(PID PD1? NTE* PATIENT_VISIT(PV1 PV2?)? INSURANCE(IN1 IN2? IN3?)* GT1? AL1*)? ORDER(ORC " +
			"OBR NTE* CTD? DG1* OBSERVATION(OBX NTE*)* PRIOR_RESULT(PATIENT_PRIOR(PID PD1?)? PATIENT_VISIT_PRIOR(PV1 " +
			"PV2?)? AL1* ORDER_PRIOR(ORC? OBR NTE* CTD? OBSERVATION_PRIOR(OBX NTE*)+)+)* FT1* CTI* BLG?)+"},
		{"2.5..2.5.1", "OMG_O19", "" +
			"MSH SFT* NTE* PATIENT(PID PD1? NTE* NK1* PATIENT_VISIT(PV1 PV2?)? INSURANCE(IN1 IN2? IN3?)* GT1? AL1*)? " +
			"ORDER(ORC TIMING(TQ1 TQ2*)* OBR NTE* CTD? DG1* OBSERVATION(OBX NTE*)* SPECIMEN(SPM OBX* CONTAINER(SAC " +
			"OBX*)*)* PRIOR_RESULT(PATIENT_PRIOR(PID PD1?)? PATIENT_VISIT_PRIOR(PV1 PV2?)? AL1* ORDER_PRIOR(ORC? OBR " +
			"TIMING_PRIOR(TQ1 TQ2*)* NTE* CTD? OBSERVATION_PRIOR(OBX NTE*)+)+)* FT1* CTI* BLG?)+"},
		{"2.6", "OMG_O19", "" +
			"MSH SFT* UAC? NTE* PATIENT(PID PD1? NTE* NK1* PATIENT_VISIT(PV1 PV2?)? INSURANCE(IN1 IN2? IN3?)* GT1? " +
			"AL1*)? ORDER(ORC TIMING(TQ1 TQ2*)* OBR NTE* ROL* CTD? DG1* OBSERVATION(OBX NTE*)* SPECIMEN(SPM OBX* " +
			"CONTAINER(SAC OBX*)*)* PRIOR_RESULT(PATIENT_PRIOR(PID PD1?)? PATIENT_VISIT_PRIOR(PV1 PV2?)? AL1* " +
			"ORDER_PRIOR(ORC? OBR TIMING_PRIOR(TQ1 TQ2*)* NTE* ROL* CTD? OBSERVATION_PRIOR(OBX NTE*)+)+)* FT1* CTI* " +
			"BLG?)+"},
		{"2.7..2.7.1", "OMG_O19", "" +
			"MSH SFT* UAC? NTE* PATIENT(PID PD1? PRT* NTE* NK1* PATIENT_VISIT(PV1 PV2? PRT*)? INSURANCE(IN1 IN2? IN3?)* " +
			"GT1? AL1*)? ORDER(ORC PRT* TIMING(TQ1 TQ2*)* OBR NTE* PRT* CTD? DG1* OBSERVATION(OBX PRT* NTE*)* " +
			"SPECIMEN(SPM SPECIMEN_OBSERVATION(OBX PRT*)* CONTAINER(SAC CONTAINER_OBSERVATION(OBX PRT*)*)*)* " +
			"PRIOR_RESULT(PATIENT_PRIOR(PID PD1? PRT*)? PATIENT_VISIT_PRIOR(PV1 PV2? PRT*)? AL1* ORDER_PRIOR(ORC OBR " +
			"TIMING_PRIOR(TQ1 TQ2*)* NTE* PRT* CTD? OBSERVATION_PRIOR(OBX PRT* NTE*)+)+)* FT1* CTI* BLG?)+"},
		{"2.8", "OMG_O19", "" +
			"MSH SFT* UAC? NTE* PATIENT(PID PD1? PRT* NTE* NK1* ARV* PATIENT_VISIT(PV1 PV2? PRT*)? INSURANCE(IN1 IN2? " +
			"IN3?)* GT1? AL1*)? ORDER(ORC PRT* TIMING(TQ1 TQ2*)* OBR NTE* PRT* CTD? DG1* OBSERVATION(OBX PRT* NTE*)* " +
			"SPECIMEN(SPM SPECIMEN_OBSERVATION(OBX PRT*)* CONTAINER(SAC CONTAINER_OBSERVATION(OBX PRT*)*)*)* " +
			"PRIOR_RESULT(PATIENT_PRIOR(PID PD1? ARV* PRT*)? PATIENT_VISIT_PRIOR(PV1 PV2? PRT*)? AL1* ORDER_PRIOR(ORC " +
			"PRT* OBR TIMING_PRIOR(TQ1 TQ2*)* NTE* PRT* CTD? OBSERVATION_PRIOR(OBX PRT* NTE*)+)+)* FT1* CTI* BLG?)+"},
		{"2.3", "ORU_R01", "" +
			"MSH RESPONSE(PATIENT(PID PD1? NTE* VISIT(PV1 PV2?)?)? ORDER_OBSERVATION(ORC? OBR NTE* OBSERVATION(OBX? " +
			"NTE*)+ CTI*)+)+ DSC?"},
		{"2.3.1", "ORU_R01", "" +
			"MSH PATIENT_RESULT(PATIENT(PID PD1? NK1* NTE* VISIT(PV1 PV2?)?)? ORDER_OBSERVATION(ORC? OBR NTE* " +
			"OBSERVATION(OBX? NTE*)+ CTI*)+)+ DSC?"},
		{"2.4", "ORU_R01", "" +
			"MSH PATIENT_RESULT(PATIENT(PID PD1? NK1* NTE* VISIT(PV1 PV2?)?)? ORDER_OBSERVATION(ORC? OBR NTE* CTD? " +
			"OBSERVATION(OBX? NTE*)+ FT1* CTI*)+)+ DSC?"},
		{"2.5..2.5.1", "ORU_R01", "" +
			"MSH SFT* PATIENT_RESULT(PATIENT(PID PD1? NTE* NK1* VISIT(PV1 PV2?)?)? ORDER_OBSERVATION(ORC? OBR NTE* " +
			"TIMING_QTY(TQ1 TQ2*)* CTD? OBSERVATION(OBX NTE*)* FT1* CTI* SPECIMEN(SPM OBX*)*)+)+ DSC?"},
		{"2.6", "ORU_R01", "" +
			"MSH SFT* UAC? PATIENT_RESULT(PATIENT(PID PD1? NTE* NK1* OBX* VISIT(PV1 PV2?)?)? ORDER_OBSERVATION(ORC? OBR " +
			"NTE* ROL* TIMING_QTY(TQ1 TQ2*)* CTD? OBSERVATION(OBX NTE*)* FT1* CTI* SPECIMEN(SPM OBX*)*)+)+ DSC?"},
		{"2.7..2.7.1", "ORU_R01", "" +
			"MSH SFT* UAC? PATIENT_RESULT(PATIENT(PID PD1? PRT* NTE* NK1* PATIENT_OBSERVATION(OBX PRT*)* VISIT(PV1 PV2? " +
			"PRT*)?)? ORDER_OBSERVATION(ORC? OBR NTE* PRT* TIMING_QTY(TQ1 TQ2*)* CTD? OBSERVATION(OBX PRT* NTE*)* FT1* " +
			"CTI* SPECIMEN(SPM SPECIMEN_OBSERVATION(OBX PRT*)*)*)+)+ DSC?"},
		{"2.8", "ORU_R01", "" +
			"MSH SFT* UAC? PATIENT_RESULT(PATIENT(PID PD1? PRT* NTE* NK1* ARV* PATIENT_OBSERVATION(OBX PRT*)* VISIT(PV1 " +
			"PV2? PRT*)?)? ORDER_OBSERVATION(COMMON_ORDER(ORC PRT* ORDER_DOCUMENT(OBX PRT* TXA)?)? OBR NTE* PRT* " +
			"TIMING_QTY(TQ1 TQ2*)* CTD? OBSERVATION(OBX PRT* NTE*)* FT1* CTI* SPECIMEN(SPM SPECIMEN_OBSERVATION(OBX " +
			"PRT*)*)*)+)+ DSC?"},
		{"2.3", "REF_I12", "" +
			"MSH RF1? AUTHORIZATION(AUT CTD?)? PROVIDER(PRD CTD*)+ PID NK1* GT1* INSURANCE(IN1 IN2? IN3?)* ACC? DG1* " +
			"DRG* AL1* PROCEDURE(PR1 AUTHORIZATION(AUT CTD?)?)* RESULTS(OBR NTE* OBSERVATION(OBX NTE*)*)* VISIT(PV1 " +
			"PV2?)? NTE*"},
		{"2.3.1", "REF_I12", "" +
			"MSH RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER(PRD CTD*)+ PID NK1* GT1* INSURANCE(IN1 IN2? IN3?)* ACC? " +
			"DG1* DRG* AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* RESULTS_NOTES(OBX " +
			"NTE*)*)* PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.4", "REF_I12", "" +
			"MSH RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID NK1* GT1* INSURANCE(IN1 IN2? " +
			"IN3?)* ACC? DG1* DRG* AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* " +
			"RESULTS_NOTES(OBX NTE*)*)* PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.5..2.5.1", "REF_I12", "" +
			"MSH SFT* RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID NK1* GT1* INSURANCE(IN1 " +
			"IN2? IN3?)* ACC? DG1* DRG* AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* " +
			"RESULTS_NOTES(OBX NTE*)*)* PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.6..2.7.1", "REF_I12", "" +
			"MSH SFT* UAC? RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID NK1* GT1* " +
			"INSURANCE(IN1 IN2? IN3?)* ACC? DG1* DRG* AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* " +
			"OBSERVATION(OBR NTE* RESULTS_NOTES(OBX NTE*)*)* PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.8", "REF_I12", "" +
			"MSH SFT* UAC? RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID NK1* GT1* " +
			"INSURANCE(IN1 IN2? IN3?)* ACC? DG1* DRG* AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* " +
			"OBSERVATION(OBR NTE* RESULTS_NOTES(OBX PRT* NTE*)*)* PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.3", "RRI_I12", "" +
			"MSH MSA? RF1? AUTHORIZATION(AUT CTD?)? PROVIDER(PRD CTD*)+ PID ACC? DG1* DRG* AL1* PROCEDURE(PR1 " +
			"AUTHORIZATION(AUT CTD?)?)* RESULTS(OBR NTE* OBSERVATION(OBX NTE*)*)* VISIT(PV1 PV2?)? NTE*"},
		{"2.3.1..2.4", "RRI_I12", "" +
			"MSH MSA? RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID ACC? DG1* DRG* AL1* " +
			"PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* RESULTS_NOTES(OBX NTE*)*)* " +
			"PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.5..2.5.1", "RRI_I12", "" +
			"MSH SFT* MSA? RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID ACC? DG1* DRG* AL1* " +
			"PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* RESULTS_NOTES(OBX NTE*)*)* " +
			"PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.6..2.7.1", "RRI_I12", "" +
			"MSH SFT* UAC? MSA? RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID ACC? DG1* DRG* " +
			"AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* RESULTS_NOTES(OBX NTE*)*)* " +
			"PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.8", "RRI_I12", "" +
			"MSH SFT* UAC? MSA? RF1? AUTHORIZATION_CONTACT(AUT CTD?)? PROVIDER_CONTACT(PRD CTD*)+ PID ACC? DG1* DRG* " +
			"AL1* PROCEDURE(PR1 AUTHORIZATION_CONTACT(AUT CTD?)?)* OBSERVATION(OBR NTE* RESULTS_NOTES(OBX PRT* NTE*)*)* " +
			"PATIENT_VISIT(PV1 PV2?)? NTE*"},
		{"2.3", "SIU_S12", "" +
			"MSH SCH NTE* PATIENT(PID PV1? PV2? OBX* DG1*)* RESOURCES(RGS SERVICE(AIS NTE*)* GENERAL_RESOURCE(AIG " +
			"NTE*)* LOCATION_RESOURCE(AIL NTE*)* PERSONNEL_RESOURCE(AIP NTE*)*)+"},
		{"2.3.1..2.4", "SIU_S12", "" +
			"MSH SCH NTE* PATIENT(PID PD1? PV1? PV2? OBX* DG1*)* RESOURCES(RGS SERVICE(AIS NTE*)* GENERAL_RESOURCE(AIG " +
			"NTE*)* LOCATION_RESOURCE(AIL NTE*)* PERSONNEL_RESOURCE(AIP NTE*)*)+"},
		{"2.5..2.8", "SIU_S12", "" +
			"MSH SCH TQ1* NTE* PATIENT(PID PD1? PV1? PV2? OBX* DG1*)* RESOURCES(RGS SERVICE(AIS NTE*)* " +
			"GENERAL_RESOURCE(AIG NTE*)* LOCATION_RESOURCE(AIL NTE*)* PERSONNEL_RESOURCE(AIP NTE*)*)+"},
	} {
		first, last, _ := strings.Cut(row[0], "..")
		versions := hl7v2.Versions()
		from, to := slices.Index(versions, first), slices.Index(versions, max(first, last))
		for _, version := range versions[from : to+1] {
			seen[row[1]]++
			if got := outline(dictionary(t, version).Structure(row[1]).Root); got != row[2] {
				t.Errorf("%s %s\n got %s\nwant %s", version, row[1], got, row[2])
			}
		}
	}
	for name, n := range seen {
		if want := len(hl7v2.Versions()); n != want && (name != "OMG_O19" || n != want-2) {
			t.Errorf("%s was looked at in %d versions", name, n)
		}
	}
	for _, version := range []string{"2.3", "2.3.1"} {
		if dictionary(t, version).Structure("OMG_O19") != nil {
			t.Errorf("%s has OMG_O19, which 2.4 brought", version)
		}
	}
}

// A merge has a structure of its own in 2.3, and that of A39 since.
func TestMergesShareAStructure(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		want := "ADT_A39"
		if version == "2.3" {
			want = "ADT_A40"
		}
		d := dictionary(t, version)
		if got := d.StructureOf("ADT", "A40"); got != want || d.Structure(got).Find("MRG")[0].Path() != "PATIENT/MRG" {
			t.Errorf("%s: A40 is %s", version, got)
		}
	}
}

// Of segments to choose from one is there, once; several sources let them repeat, or want them all.
func TestChoicesAreOfOne(t *testing.T) {
	for _, version := range hl7v2.Versions() {
		d := dictionary(t, version)
		choices := 0
		for _, name := range d.Structures() {
			d.Structure(name).Root.Walk(func(n *hl7v2.Node) bool {
				if n.Kind == hl7v2.ChoiceNode {
					choices++
					if n.Min != 1 || n.Max != 1 || len(n.Children) < 2 {
						t.Errorf("%s: %s has %s, %d..%d", version, name, n.Path(), n.Min, n.Max)
					}
				}
				return true
			})
		}
		if choices < 2 {
			t.Errorf("%s has %d choices", version, choices)
		}
	}
	for name, want := range map[string]string{
		"ORM_O01": "ORDER/ORDER_DETAIL/OBR|RQD|RQ1|RXO|ODS|ODT", "PGL_PC6": "GOAL/ORDER/ORDER_DETAIL/OBR|RQD|RQ1|RXO|RXE|ODS|ODT",
	} {
		found := false
		dictionary(t, "2.5.1").Structure(name).Root.Walk(func(n *hl7v2.Node) bool {
			found = found || n.Path() == want
			return true
		})
		if !found {
			t.Errorf("%s has no %s", name, want)
		}
	}
}

// What 2.8 brought, and what it no longer has.
func TestVersion28IsItsOwn(t *testing.T) {
	old, d := dictionary(t, "2.7.1"), dictionary(t, "2.8")
	for _, name := range []string{"DBC_O41", "DRG_O43", "OMQ_O42", "OSU_O41", "RSP_O33"} {
		if old.Structure(name) != nil || d.Structure(name) == nil {
			t.Errorf("%s came with 2.8", name)
		}
	}
	for _, name := range []string{"QRY_PC4", "RQC_I05", "PPV_PCA"} {
		if old.Structure(name) == nil || d.Structure(name) != nil {
			t.Errorf("%s went with 2.8", name)
		}
	}
	if d.Type("XON").Component(4) != nil || old.Type("XON").Component(4) == nil {
		t.Error("XON.4 went with 2.8")
	}
}

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What the rules of merge.go get wrong. The judges are the Python package, made from HL7's schemas, and HAPI's structure
// classes, made from HL7's database. Where both contradict npm, npm is wrong; where HAPI and npm agree, the schemas are.

// fix sets one column of a field or component, PID-38 or VID.2, in some versions.
type fix struct {
	versions, places, column, value string
}

// fixes, oldest version first. Places may name ranges, AUT-13..29.
var fixes = []fix{
	// Both judges.
	{"2.3", "ACC-2", "type", "CE"},
	{"2.3", "AL1-4 CDM-5", "type", "ID"},
	{"2.3", "ARQ-15 CM1-2 CSP-1", "usage", "O"},
	{"2.3", "ARQ-16 CTD-1", "max", "1"},
	{"2.3", "CDM-7", "max", "0"},
	{"2.3", "DG1-9", "table", "136"},
	{"2.4", "PID-38", "max", "1"},
	{"2.5.1", "OBX-2", "max", "1"}, // npm has the number of its table
	{"2.6", "CDM-7 MSA-6", "type", "CNE"},
	{"2.6", "EQP-3 EQP-4", "type", "DTM"},
	{"2.6", "DG1-3 PMT-11 MSG.2 MSG.3", "usage", "R"},
	{"2.6", "ERR-6", "max", "10"},
	{"2.6", "IN2-58 OBR-28 OBX-20", "max", "0"},
	{"2.6", "TQ1-12", "table", "472"},
	{"2.7..2.7.1", "PSH-13 PSH-14", "max", "8"},

	// HAPI and the field's title, prior patient name. As CX, the parts of a name would be refused.
	{"2.3", "MRG-7", "type", "XPN"},
	// Both judges say R. Chapter 7 (7.3.2.2 and 7.3.2.4; later 7.4.2.2 and 7.4.2.4) makes both
	// conditional: OBX-2 on OBX-11 not being X, OBX-4 on several OBX with one OBX-3. Most results have no OBX-4.
	{"2.3.1,2.8", "OBX-2 OBX-4", "usage", "C"},
	// Withdrawn, by HAPI; the schema kept it.
	{"2.6", "UB1-2", "type", ""},
	{"2.7..2.7.1", "XPN.6 XPN.10", "type", ""},
	// They became SNM with 2.7, whose schema is taken here.
	{"2.6", "XTN.5..8", "type", "NM"},
	// Disability: later versions have 0334. The judges say 0033, which is the route of a medicine.
	{"2.3", "DB1-2", "table", "334"},
	// 2.7.1 brought these; npm has them in 2.7.
	{"2.7", "OBR-13", "type", "ST"},
	{"2.7", "OBR-13", "max", "1"},
	{"2.7", "OBR-13", "table", "0"},
	{"2.7", "OBR-54", "type", ""},
	{"2.7.1", "OBR-13", "table", "916"},
	// The neighbour versions' table; npm's digits are swapped.
	{"2.6", "VID.2", "table", "399"},
	// New in 2.8 and single, by HAPI; the schema has them unbounded.
	{"2.8", "AUT-13..29 BUI-1..12 DON-1..6 DON-9 DON-11..13 DON-15..30 DON-32 OBX-4 OBX-13 RF1-13..25", "max", "1"},
}

// openArrays are types whose values go on: chapter 2A numbers four and ends in dots.
var openArrays = map[string]bool{"NA": true, "MA": true}

// alsoTypes are types that a version has (table 0125 lets OBX-5 be one), though no field of it is one.
var alsoTypes = map[string]string{"2.3": "PN", "2.6": "CE TS"}

// onlyNpm are structures that the schemas lack and HAPI has. Of 2.3 the schemas have each structure once, while that
// version has one for each event, so all of npm's are taken.
var onlyNpm = map[string]string{
	"2.3.1": "ADT_A05 ADT_A15 ADT_A21 ADT_A37 BAR_P05 MFN_M04 MFN_M05 MFN_M06 RPI_I04 RPR_I03",
	"2.5.1": "QRY_Q02",
	"2.6":   "DSR_Q01 DSR_Q03 QCK_Q02 QRY_Q02 UDM_Q05",
}

// npmIsRight are structures in which HAPI agrees with npm.
var npmIsRight = map[string]string{
	"2.3":   "DSR_Q03 MFK_M01 MFN_M06 MFN_M10 RGV_O01",
	"2.4":   "RSP_Z82 RSP_Z86 RSP_Z88",
	"2.6":   "RTB_K13",
	"2.7":   "ADT_A60 DFT_P03 DFT_P11 OSM_R26",
	"2.7.1": "ADT_A60 DFT_P03 DFT_P11 OSM_R26",
}

// notStructures are names that no other source has: later events, and ARD for ADR. Those with lower-case letters,
// QBP_Qnn, are patterns for structures and are left out as well.
var notStructures = map[string]string{"2.3": "ADT_A53 ADT_A54 ADT_A55 ADT_A60 ADT_A61 ADT_A62 ARD_A19 ORU"}

// groupNames replaces names that a source made up or misspelled by those of other versions.
var groupNames = map[string]string{
	"AUTHORIZATION_CONTACT1":                     "AUTHORIZATION_CONTACT",
	"AUTHORIZATION_CONTACT2":                     "AUTHORIZATION_CONTACT",
	"AUTCTD_SUPPGRP2":                            "AUTHORIZATION_CONTACT",
	"FACPDCNTE_SUPPGRP":                          "FACILITY_DETAIL",
	"FACPSHPDCPSHFACPDCNTEED_SUPPGRP":            "FACILITY",
	"GROUP":                                      "OBSERVATION",
	"Observation/Result_Group":                   "OBSERVATION_RESULT",
	"OBXTCDSIDNTE_SUPPGRP":                       "RESULT",
	"PSHPDC_SUPPGRP":                             "PRODUCT",
	"SPMSAC_SUPPGRP2":                            "SPECIMEN_CONTAINER",
	"SUBJECT_PERSON/ANIMAL_IDENTIFICATION":       "SUBJECT_PERSON_OR_ANIMAL_IDENTIFICATION",
	"SUBJECT_POPULATION/LOCATION_IDENTIFICATION": "SUBJECT_POPULATION_OR_LOCATION_IDENTIFICATION",
	"TIIMING":                                    "TIMING",
	"XX":                                         "MF_NUMERIC_OBSERVATION",
}

// isPathway finds the messages of chapter 12 (PC1 to PCL). From 2.5 on their order detail is "OBR, etc.": any of
// orderDetails.
var isPathway = regexp.MustCompile(`^P.._PC.$`).MatchString

var orderDetails = []string{"OBR", "RQD", "RQ1", "RXO", "RXE", "ODS", "ODT"}

// moreEvents complete table 0354 by what HAPI's event maps and HL7's schemas of 2.8 say of events that it lacks or that
// moved.
var moreEvents = []event{
	{"2.4", "ADT", []string{"A12"}, "ADT_A09"},
	{"2.7..2.8", "ADT", []string{"A43", "A49"}, "ADT_A43"},
	{"2.7..2.8", "ADT", []string{"A44", "A47"}, "ADT_A44"},
	{"", "CCR", []string{"I17", "I18"}, "CCR_I16"},
	{"", "LSR", []string{"U13"}, "LSU_U12"},
	{"", "MFQ", []string{"M07", "M08", "M09", "M10", "M11", "M12", "M13", "M14"}, "MFQ_M01"},
	{"2.8", "OMQ", []string{"O57"}, "OMQ_O42"},
	{"2.8", "ORX", []string{"O58"}, "ORX_O43"},
	{"", "ORU", []string{"R31", "R32"}, "ORU_R30"},
	{"2.8", "ORU", []string{"R40"}, "ORU_R01"},
	{"2.8", "OSU", []string{"O51"}, "OSU_O41"},
	{"", "PIN", []string{"I07"}, "RQI_I01"},
	{"", "PPP", []string{"PCC"}, "PPP_PCB"},
	{"", "QBP", []string{"Q31"}, "QBP_Q11"},
	{"2.7..2.8", "QBP", []string{"Q32"}, "QBP_Q21"},
	{"2.8", "QBP", []string{"Q33"}, "QBP_O33"},
	{"2.8", "QBP", []string{"Q34"}, "QBP_O34"},
	{"2.5..2.5.1", "QRY", []string{"T12"}, "QRY"},
	{"", "QSX", []string{"J02"}, "QCN_J01"},
	{"2.5..2.6", "RSP", []string{"K22"}, "RSP_K21"},
	{"2.8", "RSP", []string{"K33"}, "RSP_O33"},
	{"2.8", "RSP", []string{"K34"}, "RSP_O34"},
	{"", "SCN", []string{"S37"}, "SDR_S32"},
	{"", "SDN", []string{"S36"}, "SDR_S31"},
	{"", "SIU", []string{"S27"}, "SIU_S12"},
	{"", "SLN", []string{"S34", "S35"}, "SLR_S28"},
	{"", "SMD", []string{"S32"}, "SDR_S32"},
	{"", "STI", []string{"S30"}, "SLR_S28"},
	{"", "TCR", []string{"U11"}, "TCU_U10"},
}

// laterCodes are codes that npm's tables lack: those of 2.8, and what HL7 International added after.
var laterCodes = map[int]string{
	65:  "C",
	85:  "A B V",
	103: "N V",
	156: "CAN",
	206: "S",
	208: "PD TM",
	272: "1 2 3 RE UC VR",
	287: "SP",
	505: "F L",
}

// openTables are used with type ID but aren't closed lists, or the source's list is of one version only. They aren't
// written, so that no legal value is refused.
var openTables = map[int]string{
	3:   "events grow with each version",
	4:   "patient class is each site's in all later versions",
	62:  "event reasons are each site's",
	69:  "hospital services are each site's",
	74:  "diagnostic sections grow",
	76:  "message codes grow with each version",
	78:  "abnormal flags grow, and nations add to them",
	104: "versions grow",
	112: "discharge dispositions are each site's",
	119: "order control codes grow",
	123: "result states grow",
	125: "value types grow with each version",
	127: "allergen types are each site's",
	190: "address types grow",
	191: "referenced data types grow",
	200: "name types grow",
	201: "telecommunication uses grow",
	202: "telecommunication equipment grows",
	203: "identifier types grow and have a pattern for each nation (NNFIN)",
	211: "spellings of character sets are told apart elsewhere",
	291: "MIME subtypes are another body's",
	301: "universal id types grow",
	354: "structures grow with each version",
	355: "key types grow",
	359: "priorities go on: 3, 4",
	396: "coding systems grow",
	418: "priorities go on: 3, 4",
	440: "data types grow with each version",
	834: "MIME types are another body's",
}

// correct applies the fixes of a version.
func (d *definition) correct(version string) {
	for _, f := range fixes {
		if !holds(f.versions, version) {
			continue
		}
		for _, place := range strings.Fields(f.places) {
			parts := d.segments
			name, numbers, ok := strings.Cut(place, "-")
			if !ok {
				parts = d.types
				name, numbers, _ = strings.Cut(place, ".")
			}
			first, last, ranged := strings.Cut(numbers, "..")
			if !ranged {
				last = first
			}
			for n := number(first); n <= number(last); n++ {
				parts[name][n-1].set(f.column, f.value)
			}
			parts[name] = trimParts(parts[name])
		}
	}
}

func (p *part) set(column, value string) {
	switch column {
	case "type":
		p.Type = value
	case "usage":
		p.Usage = value
	case "max":
		p.Repeat = repeat(number(value))
	case "table":
		p.Table = number(value)
	default:
		panic("unknown column " + column)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("not a number in the corrections: %q", s))
	}
	return n
}

// holds says whether versions such as 2.3..2.5,2.7 include one; empty, they include all.
func holds(runs, version string) bool {
	at := slices.Index(versions, version)
	return runs == "" || slices.ContainsFunc(strings.Split(runs, ","), func(run string) bool {
		first, last, ranged := strings.Cut(run, "..")
		if !ranged {
			last = first
		}
		return slices.Index(versions, first) <= at && at <= slices.Index(versions, last)
	})
}

// Package hl7v2 reads and writes HL7 version 2 messages in their pipe-and-hat form (ER7), versions 2.3 to 2.8.
//
// It does no I/O. A Message is the bytes as they came and an index over them: reading decodes one leaf at a time, and
// whatever nobody changes goes out as it came in. Parse reads a message, Scan only what a door must know before it
// acknowledges, Split takes a file with several messages or a batch apart, Builder makes a new message, Acknowledge
// answers one. Dictionary gives the standard's own definitions of a version, Message.Group puts segments into the groups
// of its structures, Validate compares a message with it, and an Agreement with what a partner's contract demands.
//
// Places are written as in faults and on the command line:
//
//	PID-5                 field 5 of the first PID, its first repetition
//	PID-3(2).4.2          second repetition, component 4, subcomponent 2
//	OBX(3)-5              field 5 of the third OBX
//	PID-3[5=NNFIN].1      component 1 of the repetition whose component 5 is NNFIN
//	PRD[1.1=RT]-2.1       in the PRD whose field 1, component 1 is RT
//
// All counting starts at 1, as in the standard. A selector that matches nothing is absent, never the first.
//
// Faults are of package contracts, carry places and never values, and have the codes listed in Codes. Offsets count
// bytes from 0 at the M of MSH.
//
// What a sender writes doesn't decide how much memory is taken: reading, splitting and encoding allocate less than
// eight times their input; groups, and validating by them, some hundred bytes a segment beside that. Two hundred faults
// are listed at most. testdata/vectors shows each rule by example.
//
// Source: HL7 version 2.3 to 2.8, chapter 2 (control), and chapter 2A (data types).
package hl7v2

package mappings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
)

// small is a map without a mistake. Each row below puts one in.
const small = `silta: map/v1
id: small
version: 0.1.0
title: {en: "Small"}
v2:   {structure: [REF_I12], events: [I12], versions: ["2.4..2.8"]}
fhir: {release: "4.0.1", bundle: message}
names:
  hetu: urn:oid:1.2.246.21
slices:
  HETU: {v2: {match: "5=NNFIN"}, fhir: {match: "system=$hetu"}}
resources:
  msh:  {type: MessageHeader, from: MSH, always: true}
  task: {type: Task, from: message, always: true}
  pat:  {type: Patient, from: PID}
  who:  {type: PractitionerRole, from: "PRD[1.1=RP]"}
  doc:  {type: Practitioner, from: "PRD[1.1=RP]", in: who, by: who.practitioner}
links:
  - {fhir: msh.focus, to: task}
  - {fhir: task.for, to: pat}
  - {fhir: task.requester, to: who}
const:
  - {fhir: task.intent, value: order}
  - {fhir: msh.eventCoding.code, value: request}
  - {v2: MSH-9.1, value: REF}
tables:
  - id: state
    v2:   [MSH-9.2]
    fhir: [task.status]
    rows:
      - {v2: [I12], fhir: [requested]}
      - {v2: [I14], fhir: [cancelled]}
rules:
  - {id: source, v2: MSH-3, fhir: msh.source, as: hd-endpoint}
  - {id: hetu, v2: "PID-3[HETU].1", fhir: "pat.identifier[HETU].value"}
  - {id: ids, v2: PID-3(rest), fhir: pat.identifier(rest), as: cx}
  - {id: names, v2: PID-5(*), fhir: pat.name(*), as: xpn}
  - {id: sex, v2: PID-8.1, fhir: pat.gender, code: sex}
  - {id: urgency, v2: RF1-2, fhir: task.priority, code: urgency}
  - {id: numbers, v2: PRD-7(*), fhir: doc.identifier(*), as: pln}
ignore:
  v2: {PID-2: "withdrawn"}
codes:
  sex:     {unmapped: error, map: {F: female, M: male, O: other, U: unknown}}
  urgency: {unmapped: error, map: {R: routine, S: stat, A: asap}, reverseOnly: {urgent: A}}
`

// TestMistakes puts one mistake at a time into a map; ¦ parts the places that it needs. § marks the line and column that the fault must have.
func TestMistakes(t *testing.T) {
	c := catalog(t)
	if _, faults := c.CompileFile("small.map.yaml", []byte(small)); len(faults) > 0 {
		t.Fatalf("the map without mistakes has some: %v", faults)
	}
	seen := eachMistake(t, small, mistakes)
	for _, code := range Codes {
		if code.Code < "MAP-200" && !seen[code.Code] {
			t.Errorf("no row shows %s", code.Code)
		}
	}
}

// eachMistake puts one mistake of each row into a map. It gives the codes that were seen.
func eachMistake(t *testing.T, sound string, rows []mistake) map[string]bool {
	c, seen := catalog(t), map[string]bool{}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			marked, replaced := sound, strings.Split(row.new, "¦")
			for i, old := range strings.Split(row.old, "¦") {
				if strings.Count(marked, old) != 1 {
					t.Fatalf("%q must stand once in the map", old)
				}
				marked = strings.Replace(marked, old, replaced[i], 1)
			}
			before, _, found := strings.Cut(marked, "§")
			if !found {
				t.Fatal("the row has no mark")
			}
			line := strings.Count(before, "\n") + 1
			col := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
			_, faults := c.CompileFile("small.map.yaml", []byte(strings.Replace(marked, "§", "", 1)))
			want := fmt.Sprintf("small.map.yaml:%d:%d %s", line, col, row.code)
			var got []string
			for _, f := range faults {
				got = append(got, f.Place()+" "+f.Code)
				if f.Place()+" "+f.Code == want && !strings.Contains(f.Public, row.says) {
					t.Errorf("text %q lacks %q", f.Public, row.says)
				}
			}
			if !slices.Contains(got, want) {
				t.Errorf("want %s\n got %s", want, strings.Join(got, "\n     "))
			}
		})
		seen[row.code] = true
	}
	return seen
}

type mistake struct{ name, code, old, new, says string }

var mistakes = []mistake{
	{"a word of FHIR dialects", CodeDialect, "fhir: pat.name(*), as: xpn", "fhir: pat.name(*), §except: [given], as: xpn", "HL7 v2"},
	{"no YAML", CodeYAML, "title: {en: \"Small\"}", "title: {en: \"Small\"\n§x: [1", ""},
	{"an anchor", CodeYAML, "version: 0.1.0", "version: §&v 0.1.0", "Anchors"},
	{"an unknown key", CodeUnknownKey, "resources:\n", "§resource:\n", `did you mean "resources"`},
	{"an unknown key of a rule", CodeUnknownKey, "fhir: pat.name(*), as: xpn", "fhir: pat.name(*), §has: xpn", `did you mean "as"`},
	{"a key twice", CodeDuplicate, "id: names, v2: PID-5(*)", "id: names, v2: PID-5(*), §v2: PID-5", "twice"},
	{"an id twice", CodeDuplicate, "{id: names,", "{id: §ids,", "twice"},
	{"a frame twice", CodeDuplicate, "  doc:  {type: Practitioner,", "  §who:  {type: Practitioner,", "twice"},
	{"brackets without quotes", CodeQuote, `v2: "PID-3[HETU].1"`, "v2: §PID-3[HETU].1", "Quote"},
	{"a code that YAML takes for a boolean", CodeQuote, "{F: female,", "{§NO: female,", "Quote"},
	{"a dash that other readers take for a list", CodeQuote, "{v2: [I14], fhir: [cancelled]}", "{v2: [§-], fhir: [cancelled]}", "Quote"},
	{"a semicolon for a comma", CodeQuote, "S: stat, A: asap}", "S: §stat; A: asap}", "comma"},
	{"a semicolon close to its key", CodeQuote, "S: stat, A: asap}", "S: §stat;A:asap}", "comma"},
	{"a lens beside a code map", CodeLens, "code: sex}", "code: sex, §as: fourletters}", "`code`"},
	{"a lens beside a value", CodeLens, "code: sex}", "code: sex}\n  - {id: kind, fhir: pat.active, value: true, dir: \"->\", §as: boolean-yn}", "`value`"},
	{"a Z-field of no type", CodeZSegment, `versions: ["2.4..2.8"]`, `versions: ["2.4..2.8"], zsegments: {ZRF: {after: RF1, fields: [ST, §STT]}}`, `did you mean`},
	{"a Z-field with a number for a type", CodeZSegment, `versions: ["2.4..2.8"]`, `versions: ["2.4..2.8"], zsegments: {ZRF: {after: RF1, fields: [§7]}}`, "data type"},
	{"a Z-field with nothing for a type", CodeZSegment, `versions: ["2.4..2.8"]`, `versions: ["2.4..2.8"], zsegments: {ZRF: {after: RF1, fields: [§""]}}`, "data type"},
	{"a Z-field that isn't declared", CodeFieldRange, `versions: ["2.4..2.8"]¦v2: RF1-2,`, `versions: ["2.4..2.8"], zsegments: {ZRF: {after: RF1, fields: [ST, CWE]}}¦v2: §ZRF-3,`, "declares 2 fields of ZRF"},
	{"a part of a part that has none", CodeFieldRange, `versions: ["2.4..2.8"]¦v2: RF1-2,`, `versions: ["2.6..2.8"], zsegments: {ZRF: {after: RF1, fields: [ST, CWE]}}¦v2: §ZRF-2.9.9,`, "ZRF-2.9 is ST"},
	{"a display for no code", CodeDisplay, "urgency: {unmapped: error,", "urgency: {unmapped: error, display: {§UR: Urgent},", "UR"},
	{"another word for unmapped", CodeType, "urgency: {unmapped: error,", "urgency: {unmapped: §eror,", "Here belongs error or keep or task."},
	{"a version that there isn't", CodeVersion, `["2.4..2.8"]`, `[§"2.5.2"]`, "2.5, 2.5.1, 2.6"},
	{"a list for a text", CodeType, "as: hd-endpoint", "as: §[hd-endpoint]", "text"},
	{"no semver", CodeType, "version: 0.1.0", "version: §1.0", "major.minor.patch"},
	{"a construct of later", CodeLater, "code: sex}", "code: sex, §nulls: mark}", "doesn't run"},
	{"an unknown segment", CodeSegment, "v2: PID-5(*)", "v2: §PIE-5(*)", `did you mean`},
	{"a segment of another message", CodeNotInMessage, "v2: PID-5(*)", "v2: §SCH-5(*)", "isn't in REF_I12"},
	{"a field too many", CodeFieldRange, "v2: RF1-2,", "v2: §RF1-32,", "no RF1-32"},
	{"a component too many", CodeFieldRange, "v2: PID-8.1", "v2: §PID-8.1.4", "no part 4"},
	{"a field of some versions", CodeVersion, "v2: RF1-2,", "v2: §RF1-12,", "since or until"},
	{"an unknown version", CodeVersion, `"2.4..2.8"`, `§"2.4..2.10"`, "2.3..2.8"},
	{"no v2 path", CodePath, "v2: RF1-2,", "v2: §RF1.2,", "PID-5"},
	{"no FHIR path", CodePath, "fhir: task.priority", "fhir: §task-priority", "pat.birthDate"},
	{"a Z-segment that isn't declared", CodeZSegment, "v2: RF1-2,", "v2: §ZRF-2,", "zsegments"},
	{"an unknown element", CodeElement, "fhir: task.priority", "fhir: §task.priorty", `did you mean "priority"`},
	{"an unknown resource", CodeElement, "{type: Patient,", "{type: §Patent,", `did you mean "Patient"`},
	{"a type for a frame", CodeFrame, "fhir: pat.gender", "fhir: §Patient.gender", "that of Patient is pat"},
	{"a number in brackets", CodeName, "fhir: pat.name(*), as: xpn}", "fhir: pat.name(*), as: xpn}\n  - {id: kin, v2: PID-6.1, fhir: §\"pat.contact[0].name.family\", dir: \"->\"}", "contact(1)"},
	{"a pair of types with several lenses", CodeTypeClash, "fhir: pat.name(*), as: xpn}", "fhir: pat.name(*), as: xpn}\n  - §{id: what, v2: OBR-4, fhir: task.description, dir: \"->\"}", ": string, line, text"},
	{"a Z-segment behind an unknown one", CodeNotInMessage, `versions: ["2.4..2.8"]`, `versions: ["2.4..2.8"], zsegments: {ZKU: {after: §RFX, fields: [ST]}}`, `did you mean "RF1"`},
	{"an indent with a tab", CodeYAML, "version: 0.1.0", "x:\n§\ty: 1\nversion: 0.1.0", "spaces"},
	{"an unknown frame", CodeFrame, "fhir: pat.gender", "fhir: §pet.gender", `did you mean "pat"`},
	{"types that don't fit", CodeTypeClash, "as: hd-endpoint", "as: §xpn", "xpn"},
	{"an unknown lens", CodeLens, "as: hd-endpoint", "as: §hd-endpiont", `did you mean "hd-endpoint"`},
	{"too few paths for a lens", CodeLens, "as: hd-endpoint", "as: §hd-destination", "takes 2"},
	{"an open start beside what is no end", CodeLens, "fhir: pat.gender, code: sex}", "fhir: pat.gender, code: sex}\n  - {id: x, v2: PID-7, fhir: [task.authoredOn, task.lastModified], as: §start-open}", "the end"},
	{"one star", CodeStars, "  - {id: names, v2: PID-5(*), fhir: pat.name(*)", "  - §{id: names, v2: PID-5(*), fhir: pat.name(1)", "repeats"},
	{"an unknown slice", CodeName, `"PID-3[HETU].1"`, `§"PID-3[HETO].1"`, `did you mean "HETU"`},
	{"an unknown name", CodeName, "const:\n  - {fhir: task.intent, value: order}", "const:\n  - {fhir: task.intent, value: order}\n  - {fhir: msh.eventCoding.system, value: §$hetuu}", `did you mean "hetu"`},
	{"a reference that may not point there", CodeTarget, "{fhir: task.for, to: pat}", "{fhir: §task.encounter, to: pat}", "may not point"},
	{"a link to nothing", CodeLink, "{fhir: task.for, to: pat}", "{fhir: task.for, to: §pot}", "There is no frame"},
	{"a frame that the way back can't find", CodeUnreachable, "  pat:  {type¦  - {fhir: task.for, to: pat}\n", "  §pat:  {type¦", "way back"},
	{"two frames at one place", CodeIndistinct, "links:¦to: who}", "  §cc:   {type: PractitionerRole, from: \"PRD[1.1=CC]\"}\nlinks:¦to: [who, cc]}", "selector"},
	{"a path out of scope", CodeScope, "fhir: doc.identifier(*), as: pln", "fhir: doc.identifier(*), as: pln}\n  - {id: far, v2: §PV1-19, fhir: doc.identifier(1), as: cx", "outside"},
	{"a parent that isn't there", CodeFrame, "in: who, by: who.practitioner", "in: §whom, by: who.practitioner", "There is no frame"},
	{"a `by` that leads elsewhere", CodeNesting, "by: who.practitioner", "by: §task.for", "reference"},
	{"an unknown code map", CodeNoCodeMap, "code: sex}", "code: §sexes}", "There is no code map"},
	{"an alternative that is never reached", CodeFirst, "  - {id: names, v2: PID-5(*), fhir: pat.name(*), as: xpn}",
		"  - id: names\n    first:\n      - {id: a, v2: PID-5(*), fhir: pat.name(*), as: xpn}\n      - §{id: b, v2: PID-9(*), fhir: pat.name(*), as: xpn}", "->"},
	{"two codes to one", CodeInjective, "O: other, U: unknown", "O: other, §A: other", "prefer"},
	{"a code outside the value set", CodeBinding, "code: sex}¦U: unknown}}", "code: sex}¦U: §unknwon}}", `did you mean "unknown"`},
	{"a constant outside the value set", CodeBinding, "task.intent, value: order", "task.intent, value: §ordre", `did you mean "order"`},
	{"two slices for one element", CodeOverlap, "  - {id: ids,", "  - {id: same, v2: PID-18.1, fhir: §\"pat.identifier[system=$hetu, use=old].value\"}\n  - {id: ids,", "both"},
	{"two writers", CodeTwoWriters, "  - {id: sex, v2: PID-8.1, fhir: pat.gender, code: sex}", "  - {id: sex, v2: PID-8.1, fhir: pat.gender, code: sex}\n  - §{id: sax, v2: PID-22.1, fhir: pat.gender, code: sex}", "Another"},
	{"rows that can't be told apart", CodeTableInverse, "- {v2: [I14], fhir: [cancelled]}", "- §{v2: [I14], fhir: [requested]}", "dir"},
	{"a row that is never reached", CodeTableCovered, "- {v2: [I14], fhir: [cancelled]}", "- {v2: [\"*\"], fhir: [cancelled], dir: \"->\"}\n      - §{v2: [I14], fhir: [failed], dir: \"->\"}", "covers"},
	{"a constant against its selector", CodeContradiction, "const:\n", "const:\n  - §{fhir: \"pat.telecom[system=phone].system\", value: fax}\n", "selector"},
	{"an absent value that is a code", CodeAbsent, "code: sex}", "code: sex, absent: {fhir: §other}}", "absent"},
	{"a required element that nothing writes", CodeRequired, "  task: {type¦  - {fhir: task.intent, value: order}\n", "  §task: {type¦", "intent"},
	{"a guard on one side", CodeWhen, "  - {id: sex, v2: PID-8.1, fhir: pat.gender, code: sex}", "  - §{id: sex, v2: PID-8.1, fhir: pat.gender, code: sex, when: {v2: \"has('PID-8')\"}}", "fhir side"},
	{"a guard on a side that isn't read", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8')\", fhir: \"§true\"}}", "never reads"},
	{"a guard with an unknown call", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"§hass('PID-8')\"}}", `did you mean "has"`},
	{"a guard that is no expression", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8') &&§\"}}", "expression"},
	{"a guard that is a text", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"§v('PID-8')\"}}", "gives string"},
	{"a guard that compares number and text", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8') && v('PID-1') §== 'x'\"}}", "a number and a text"},
	{"a guard about a field too many", CodeFieldRange, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8') && has('§PID-99')\"}}", "no PID-99"},
	{"a guard about an unknown element", CodeElement, "code: sex}", "code: sex, dir: \"<-\", when: {fhir: \"has('§pat.gendre')\"}}", `did you mean "gender"`},
	{"a guard with an and in words", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8') §and has('PID-7')\"}}", "and is written &&"},
	{"a guard with a not in words", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"not §has('PID-8')\"}}", "not is written !"},
	{"a guard with one equals sign", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"v('PID-8') §= 'F'\"}}", "two: =="},
	{"a guard with a sign of other languages", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"v('PID-8') <§> 'F'\"}}", "<> is written !="},
	{"a guard with a quote that doesn't close", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"v('PID-8') == §'F\"}}", "doesn't close"},
	{"a guard with a parenthesis that doesn't close", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8'§\"}}", "doesn't close"},
	{"a guard with a parenthesis too many", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8')§)\"}}", "closes nothing"},
	{"a guard with a bracket that doesn't close", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"v('PID-8') in ['F', 'M'§\"}}", "bracket"},
	{"a guard with a choice without its other side", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8') ? true§\"}}", "colon"},
	{"a guard with a text where true or false belongs", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has('PID-8') && §v('PID-8')\"}}", "compare it"},
	{"a guard with a text turned around", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"§!v('PID-8')\"}}", "compare it"},
	{"a guard with a call that takes one path", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"§has('PID-8', 'x')\"}}", "expressions"},
	{"a guard that reads a whole element", CodeWhen, "code: sex}", "code: sex, dir: \"<-\", when: {fhir: \"v('§pat.name') == ''\"}}", "HumanName"},
	{"a guard whose path isn't quoted", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"has(§8)\"}}", "quotes"},
	{"a label in v2", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"labelled('§R')\"}}", "FHIR"},
	{"elements alike in v2", CodeWhen, "code: sex}", "code: sex, dir: \"->\", when: {v2: \"same('§PID-8', 'PID-8')\"}}", "FHIR"},
	{"a guard over alternatives", CodeWhen, "  - {id: names, v2: PID-5(*), fhir: pat.name(*), as: xpn}", "  - §{id: names, when: {v2: \"true\", fhir: \"true\"}, first: [{id: a, v2: PID-5(*), fhir: pat.name(*), as: xpn}]}", "alternatives"},
	{"a guard beside absent", CodeWhen, "code: sex}", "code: sex, dir: \"->\", absent: {fhir: §unknown}, when: {v2: \"true\"}}", "exclude"},
	{"a modifier ignored", CodeModifier, "ignore:\n  v2: {PID-2: \"withdrawn\"}", "ignore:\n  fhir: {§task.status: \"why not\"}", "changes"},
	{"a task for a required element", CodeTaskPlace, "  - {fhir: task.intent, value: order}\n¦fhir: task.priority, code: urgency}¦urgency: {unmapped: error, map: {R: routine, S: stat, A: asap}", "¦fhir: task.intent, code: §urgency}¦urgency: {unmapped: task, map: {R: order, S: plan, A: option}", "required"},
	{"a task for a modifier", CodeTaskPlace, "sex:     {unmapped: error, map: {F: female, M: male, O: other, U: unknown}}¦{id: names, v2: PID-5(*), fhir: pat.name(*), as: xpn}", "sex:     {unmapped: error, map: {F: female, M: male, O: other, U: unknown}}\n  use:     {unmapped: task, map: {L: official}}¦{id: names, v2: PID-5(*), fhir: pat.name(*), rules: [{id: of, v2: it.1, fhir: it.family}, {id: use, v2: it.7, fhir: it.use, code: §use}]}", "what the rest means"},
	{"a task for a code without its system", CodeTaskPlace, "fhir: task.priority, code: urgency}¦urgency: {unmapped: error,", "fhir: task.performerType(1).coding(1).code, code: §urgency}¦urgency: {unmapped: task,", "whole Coding"},
	{"a task beside absent", CodeTaskPlace, "code: sex}¦sex:     {unmapped: error, map: {F: female, M: male, O: other, U: unknown}}", "code: §sex, absent: {fhir: unknown}}¦sex:     {unmapped: task, map: {F: female, M: male, O: other}}", "absent"},
	{"a required element that may be left out", CodeTaskPlace, "fhir: msh.source, as: hd-endpoint", "fhir: msh.source, as: hd-endpoint, invalid: §task", "required"},
	{"invalid beside a code map", CodeTaskPlace, "code: sex}", "code: sex, invalid: §task}", "unmapped"},
	{"overriding without a base", CodeOverlay, "rules:\n", "§override: []\nrules:\n", "extends"},
	{"a rule behind another without a base", CodeOverlay, "code: sex}", "code: sex, §after: ids}", "extended"},
	{"codes that extend nothing", CodeNoCodeMap, "sex:     {unmapped: error,", "sex:     {extends: §sexes, unmapped: error,", "There is no code map"},
	{"a block without its version", CodePin, "rules:\n", "use:\n  - {block: §patient, for: pat}\nrules:\n", "version"},
	{"ignored and read", CodeIgnoredRead, "ignore:\n  v2: {PID-2: \"withdrawn\"}", "ignore:\n  v2: {§PID-8: \"not for them\"}", "read by sex."},
	{"a segment ignored and read", CodeIgnoredRead, "ignore:\n  v2: {PID-2: \"withdrawn\"}", "ignore:\n  v2: {§RF1: \"not for them\"}", "read by urgency."},
	{"dropped and read", CodeDropped, "ignore:\n  v2: {PID-2: \"withdrawn\"}", "drop:\n  v2: {§PID-8: \"not for them\"}", "PID-8.1"},
	{"the first of many", CodeFirstOfMany, "v2: PID-8.1,", "v2: §PID-11.1,", "(1)"},
	{"a link to one of several", CodeLinkToMany, "  who:  {type: PractitionerRole, from: \"PRD[1.1=RP]\"}¦  - {fhir: task.requester, to: who}", "  who:  {type: PractitionerRole, from: \"PRD[1.1=RP]\", each: true}¦  - {fhir: §task.requester, to: who}", "several who"},
	{"a table with a delimiter", CodeType, "sex:     {unmapped: error,", "sex:     {table: §99A^B, unmapped: error,", "delimiters"},
	{"a table with a blank", CodeType, "sex:     {unmapped: error,", "sex:     {table: §OMA TAULU, unmapped: error,", "blanks"},
	{"codes without a way back", CodeCoverage, "code: urgency}¦, reverseOnly: {urgent: A}", "code: §urgency}¦", "urgent"},
}

// TestWhatIsNoYAMLHasOneFault: nothing is said about what couldn't be read, nor about what stands on it.
func TestWhatIsNoYAMLHasOneFault(t *testing.T) {
	for name, slip := range map[string]string{
		"an open brace": "title: {en: \"Small\"",
		"a tab":         "title:\n\ten: Small",
		"an open quote": "title: {en: \"Small}",
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(small, "title: {en: \"Small\"}", slip, 1)
			block := "silta: block/v1\nid: part\nversion: 1.0.0\nfhir: {type: Patient}\n" + slip + "\n"
			_, err := Load(fstest.MapFS{
				"catalog/small/0.1.0/map.yaml":  {Data: []byte(broken)},
				"catalog/above/0.1.0/map.yaml":  {Data: []byte("silta: map/v1\nid: above\nversion: 0.1.0\nextends: small@0.1.0\n")},
				"catalog/part/1.0.0/block.yaml": {Data: []byte(block)},
				"catalog/user/0.1.0/map.yaml": {Data: []byte(strings.NewReplacer("id: small", "id: user", "rules:\n", "use:\n  - {block: part@1.0.0, for: pat}\nrules:\n",
					"  - {fhir: task.intent, value: order}\n", "").Replace(small))},
			})
			var got []string
			for _, f := range contracts.FaultsOf(err) {
				got = append(got, f.File+" "+f.Code)
			}
			slices.Sort(got)
			if want := []string{"catalog/part/1.0.0/block.yaml MAP-001", "catalog/small/0.1.0/map.yaml MAP-001"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if _, faults := catalog(t).CompileFile("small.map.yaml", []byte(broken)); len(faults) != 1 || faults[0].Code != CodeYAML {
				t.Errorf("the file alone has %v", faults)
			}
		})
	}
}

// TestNoMapAtAll: a file without a map is told how one begins.
func TestNoMapAtAll(t *testing.T) {
	for _, text := range []string{"", "# later\n", "a few words\n"} {
		_, faults := catalog(t).CompileFile("small.map.yaml", []byte(text))
		if len(faults) != 1 || faults[0].Code != CodeYAML || !strings.Contains(faults[0].Public, "silta: map/v1") {
			t.Errorf("%q: %v", text, faults)
		}
	}
}

// TestADeclaredZSegmentIsKnown: one that has no place is told where it is declared, not where a rule reads it.
func TestADeclaredZSegmentIsKnown(t *testing.T) {
	text := strings.NewReplacer(`versions: ["2.4..2.8"]`, `versions: ["2.4..2.8"], zsegments: {ZKU: {after: RFX, fields: [ST]}}`, "v2: RF1-2,", "v2: ZKU-1,").Replace(small)
	_, faults := catalog(t).CompileFile("small.map.yaml", []byte(text))
	for _, f := range faults {
		if f.Code == CodeZSegment {
			t.Error(f)
		}
	}
	if len(faults) == 0 {
		t.Error("no fault")
	}
}

// TestAllMistakesAtOnce: every fault of a file is reported, in the order of the file.
func TestAllMistakesAtOnce(t *testing.T) {
	broken := strings.NewReplacer("task.priority", "task.priorty", "RF1-2,", "RF1-32,", "code: sex}", "code: sexes}", "to: pat}", "to: pot}").Replace(small)
	_, faults := catalog(t).CompileFile("small.map.yaml", []byte(broken))
	if faults.Err() == nil {
		t.Fatal("no faults")
	}
	var codes []string
	for i, f := range faults {
		codes = append(codes, f.Code)
		if i > 0 && f.Line < faults[i-1].Line {
			t.Errorf("line %d is reported after line %d", f.Line, faults[i-1].Line)
		}
		if f.Kind != contracts.Invalid || f.File != "small.map.yaml" {
			t.Errorf("%+v", f)
		}
	}
	for _, want := range []string{CodeElement, CodeFieldRange, CodeNoCodeMap, CodeLink} {
		if !slices.Contains(codes, want) {
			t.Errorf("%s is missing in %v", want, codes)
		}
	}
}

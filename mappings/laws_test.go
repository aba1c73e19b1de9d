package mappings

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// manyLaws is how many messages of each structure and version the laws are tried on. The catalog's promise is of 1,000:
//
//	go test ./mappings -run TestTheLawsHoldOfTheDictionary -laws 1000 -timeout 60m
var manyLaws = flag.Int("laws", 3, "messages of each structure and version that the laws are tried on")

// known are the codes of places where the maps take few: of the dictionary's tables most are the user's own.
var known = map[string][]string{
	"RF1-1.1": {"P", "A", "R", "E"}, "RF1-2.1": {"R", "S", "A"}, "PRD-1.1": {"RP", "RT", "PP", "CP"}, "PID-8.1": {"F", "M", "O", "U"},
	"MSA-1.1": {"AA", "AE", "AR"}, "ORC-1.1": {"NW", "XO", "CA"}, "OBR-5.1": {"R", "S", "A"}, "TQ1-9.1": {"R", "S", "A"}, "OBR-25.1": {"F", "P", "C"}, "OBX-11.1": {"F", "P", "C"}, "PV1-2.1": {"I", "O", "E", "P"},
	"AL1-2.1": {"DA", "FA"}, "AL1-4.1": {"SV", "MI", "MO"}, "SCH-25.1": {"Booked", "Pending", "Cancelled"}, "TXA-17.1": {"AU", "DO"}, "TXA-19.1": {"AV"},
	"AIS-10.1": {"Booked"}, "AIG-14.1": {"Booked"}, "AIL-12.1": {"Booked"}, "AIP-12.1": {"Booked"}, "DG1-6.1": {"A", "W", "F"},
	"RF1-6.1": {"LAH-1", "LAH-2"}, "PID-3.1": {"77", "4711"}, "SCH-11.4": {"20260305"}, "TXA-12.1": {"DOC-9"}, "RF1-7.1": {"20260305"},
	"AIS-4.1": {"20260305091500"}, "AIS-7.1": {"30"}, "AIS-8.1": {"MIN", "HR"}, "AIP-3.2": {"Hägg"}, "AIP-6.1": {"20260305091500"}, "AIP-9.1": {"30"}, "AIP-10.1": {"MIN"},
}

// TestTheLawsHoldOfTheDictionary tries the laws on messages of every structure and version that are legal and mean nothing.
func TestTheLawsHoldOfTheDictionary(t *testing.T) {
	for _, m := range catalog(t).Maps() {
		for _, version := range m.Versions() {
			t.Run(m.ID()+"/"+version, func(t *testing.T) { legal(t, m, version, *manyLaws) })
		}
	}
}

// legal tries the laws on so many messages that the map takes.
func legal(t *testing.T, m *Map, version string, many int) {
	p := m.edition(version)
	code, _, _ := strings.Cut(p.structure.Name, "_")
	for i, event := range m.Events() {
		s, err := generate.NewStructured(uint64(i), version, generate.Structured{Structure: p.structure.Name,
			Type: code + "^" + event + "^" + p.structure.Name, Codes: known})
		if err != nil {
			t.Fatal(err)
		}
		translated, parked := 0, map[string]int{}
		for want := (many + len(m.Events()) - 1) / len(m.Events()); translated < want; {
			b := s.Next()
			msg, err := hl7v2.Parse(b)
			if err != nil {
				t.Fatalf("%v\n%s", err, lines(b))
			}
			if _, err := m.Forward(msg, Context{}); err != nil {
				parked[firstOfFaults(err)]++
				if total(parked) > 300*want {
					t.Fatalf("of %s only %d of %d messages were taken: %v", event, translated, translated+total(parked), parked)
				}
				continue
			}
			translated++
			checkResidue(t, m, msg)
			for _, text := range m.breaches(msg, Context{}, 25) {
				t.Errorf("%s\n%s", text, lines(b))
			}
			if t.Failed() {
				return
			}
		}
	}
}

func firstOfFaults(err error) string { text, _, _ := strings.Cut(err.Error(), "\n"); return text }

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// TestTheLawsHoldOfTheCorpus tries them on every message of ../shared/corpus that a map takes, where it lies there.
func TestTheLawsHoldOfTheCorpus(t *testing.T) {
	maps, taken := catalog(t).Maps(), map[string]int{}
	corpus(t, func(file string, msg *hl7v2.Message) {
		for _, m := range maps {
			if _, err := m.Forward(msg, Context{}); err != nil {
				continue
			}
			taken[m.ID()]++
			checkResidue(t, m, msg)
			for _, text := range m.breaches(msg, Context{}, 25) {
				t.Errorf("%s: %s", file, text)
			}
		}
	})
	if len(taken) == 0 {
		t.Error("no map takes a message of the corpus, so the laws were tried on none")
	}
}

// corpus gives every HL7 v2 message of ../shared/corpus, and skips the test where it doesn't lie there.
func corpus(t *testing.T, take func(file string, msg *hl7v2.Message)) {
	root := filepath.Join("..", "..", "shared", "corpus")
	if _, err := os.Stat(root); err != nil {
		t.Skip("the corpus isn't here")
	}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil || len(data) > 4<<20 || !strings.Contains(string(data), "MSH|") {
			return err
		}
		parts, _ := hl7v2.Split(data)
		for _, part := range parts {
			if msg, err := hl7v2.Parse(part.Bytes, hl7v2.WithDefaultCharset(hl7v2.UTF8)); err == nil {
				take(file, msg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOnlyWhatWasToldMayBeMissing: a told loss excuses its own place and no other.
func TestOnlyWhatWasToldMayBeMissing(t *testing.T) {
	const first = `{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:11111111-1111-4111-8111-111111111111","resource":{"resourceType":"Patient","gender":"male","name":[{"family":"A"},{"family":"B"}]}}]}`
	const lost = "Bundle.entry[0].resource.name[0].family"
	for _, c := range []struct{ name, old, new, at string }{
		{"all is there", "", "", ""},
		{"another id", "1111-4111", "2222-4222", ""},
		{"what was told is missing", `{"family":"A"},`, "", ""},
		{"something else is missing", `,{"family":"B"}`, "", "Bundle.entry[0].resource.name[1].family"},
		{"something else is otherwise", "male", "other", "Bundle.entry[0].resource.gender"},
		{"something came", `{"family":"B"}`, `{"family":"B","use":"old"}`, "Bundle.entry[0].resource.name[1].use"},
		{"what was told is otherwise", `"A"`, `"C"`, "Bundle.entry[0].resource.name[0].family"},
	} {
		one, err := fhir.Parse([]byte(first))
		if err != nil {
			t.Fatal(err)
		}
		two, err := fhir.Parse([]byte(strings.Replace(first, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if at := beyond([]string{lost}, one, two, nil); (at == "") != (c.at == "") {
			t.Errorf("%s: %q, want %q", c.name, at, c.at)
		}
	}
}

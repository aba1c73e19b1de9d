package hl7v2_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// verdict is a line of testdata/corpus-verdicts.tsv: what HAPI and what we make of a message of the corpus.
//
// HAPI's column is parses, or the exception with which it refuses the message; `make interop` asks it. Ours is reads, or
// the faults and their places. Part is the message's number in its file, from 1; 0 is the envelope around the messages,
// which has a line if it is faulty, and about which HAPI's parser isn't asked. Where one of us reads what the other
// refuses, the reason says by which sentence of the standard; its sections are those of the version before them.
type verdict struct {
	hapi, ours, reason string
}

// place is a file of the corpus and a part of it.
type place struct {
	file string
	part int
}

const verdictColumns = "file\tpart\thapi\tours\treason"

var verdictFile = filepath.Join("testdata", "corpus-verdicts.tsv")

// What is read and what is refused of the corpus is what was written down, line by line. SILTA_GOLDEN=1 writes our
// verdicts down anew.
func TestCorpusVerdictsAreThoseWrittenDown(t *testing.T) {
	written := readVerdicts(t)
	files := corpus(t)
	if len(files) == 0 {
		t.Logf("%s isn't there: only the form of %s was checked", corpusDir, verdictFile)
		return
	}
	ours := ourVerdicts(files)
	if os.Getenv("SILTA_GOLDEN") != "" {
		writeVerdicts(t, written, ours)
		return
	}
	for at, got := range ours {
		if want, ok := written[at]; !ok {
			t.Errorf("%s has no line for %s, part %d: we say %s", verdictFile, at.file, at.part, got)
		} else if got != want.ours {
			t.Errorf("%s, part %d: we say %s, want %s", at.file, at.part, got, want.ours)
		}
	}
	for at := range written {
		if _, ok := ours[at]; !ok {
			t.Errorf("%s has a line for %s, part %d, which is gone", verdictFile, at.file, at.part)
		}
	}
}

// ourVerdicts gives what we say of every message of the files, and of envelopes that are faulty.
func ourVerdicts(files map[string][]byte) map[place]string {
	all := map[place]string{}
	for file, b := range files {
		parts, faults := hl7v2.Split(b)
		if len(faults) > 0 || len(parts) == 0 {
			all[place{file, 0}] = say(faults)
		}
		for i, part := range parts {
			_, err := hl7v2.Parse(part.Bytes, hl7v2.WithDefaultCharset(hl7v2.UTF8))
			all[place{file, i + 1}] = say(contracts.FaultsOf(err))
		}
	}
	return all
}

func say(faults contracts.Faults) string {
	if len(faults) == 0 {
		return "reads"
	}
	var words []string
	for _, f := range faults {
		words = append(words, f.Code+" at "+f.At)
	}
	return strings.Join(words, ", ")
}

// readVerdicts reads the file and checks that it is in order and that every difference has its reason.
func readVerdicts(t *testing.T) map[place]verdict {
	t.Helper()
	b, err := os.ReadFile(verdictFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != verdictColumns || len(lines) < 2 {
		t.Fatalf("%s doesn't start with %q and a line", verdictFile, verdictColumns)
	}
	all := map[place]verdict{}
	for i, line := range lines[1:] {
		c := strings.Split(line, "\t")
		if len(c) != 5 {
			t.Fatalf("%s:%d has %d columns", verdictFile, i+2, len(c))
		}
		part, err := strconv.Atoi(c[1])
		v, at := verdict{hapi: c[2], ours: c[3], reason: c[4]}, place{c[0], part}
		if _, twice := all[at]; err != nil || twice {
			t.Errorf("%s:%d: the part is no number, or stands there twice", verdictFile, i+2)
		}
		if differ := at.part == 0 || (v.hapi == "parses") != (v.ours == "reads"); differ != (v.reason != "") {
			t.Errorf("%s:%d: a reason stands where HAPI and we differ, and only there", verdictFile, i+2)
		}
		if v.hapi == "" || v.hapi == "?" || v.ours != "reads" && !strings.Contains(v.ours, " at ") {
			t.Errorf("%s:%d: HAPI's verdict or a fault's place is missing", verdictFile, i+2)
		}
		all[at] = v
	}
	if !slices.IsSorted(lines[1:]) {
		t.Errorf("%s isn't sorted", verdictFile)
	}
	return all
}

// writeVerdicts writes our verdicts; HAPI's stay as they are, and a new line waits for `make interop` to fill it in.
func writeVerdicts(t *testing.T, written map[place]verdict, ours map[place]string) {
	t.Helper()
	var lines []string
	for at := range maps.Keys(ours) {
		v, ok := written[at]
		if !ok {
			v.hapi = "?"
		}
		lines = append(lines, fmt.Sprintf("%s\t%d\t%s\t%s\t%s", at.file, at.part, v.hapi, ours[at], v.reason))
	}
	slices.Sort(lines)
	var b bytes.Buffer
	fmt.Fprintln(&b, verdictColumns)
	for _, line := range lines {
		fmt.Fprintln(&b, line)
	}
	if err := os.WriteFile(verdictFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fhirJudge is HAPI's FHIR validator as a process. FhirJudge.java says what goes in and what comes out.
type fhirJudge struct {
	process *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// answer is what the judge says of a file.
type answer struct {
	File   string
	Nanos  time.Duration // processor time of the whole process for this file
	Total  time.Duration // processor time of the whole process since its start
	Issues []struct{ Severity, ID, At, Text string }
}

// startFHIRJudge starts the validator with that many threads and the profiles in the folders.
func startFHIRJudge(t *testing.T, threads int, folders ...string) *fhirJudge {
	t.Helper()
	target := filepath.Join("hapifhir", "target")
	classes := filepath.Join(target, "classes") + string(filepath.ListSeparator) + filepath.Join(target, "jars", "*")
	arguments := []string{"-cp", classes, "-Xmx4g", "-XX:+UseSerialGC", "-XX:ActiveProcessorCount=" + strconv.Itoa(threads),
		"fi.silta.interop.FhirJudge", strconv.Itoa(threads)}
	j := &fhirJudge{process: exec.CommandContext(t.Context(), "java", append(arguments, folders...)...)}
	in, err := j.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := j.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.process.Start(); err != nil {
		t.Fatalf("%v\n`make interop-fhir` installs and builds the judge.", err)
	}
	j.in, j.answers = in, json.NewDecoder(bufio.NewReader(out))
	return j
}

// ask gives the judge the files, and takes its answers in the order in which they come.
func (j *fhirJudge) ask(t *testing.T, files []string, take func(answer)) {
	t.Helper()
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(j.in, strings.Join(files, "\n")+"\n")
		wrote <- err
	}()
	for i := range files {
		var a answer
		if err := j.answers.Decode(&a); err != nil {
			t.Fatalf("the judge has answered %d of %d files: %v", i, len(files), err)
		}
		take(a)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

func (j *fhirJudge) stop(t *testing.T) {
	t.Helper()
	j.in.Close()
	if err := j.process.Wait(); err != nil {
		t.Error(err)
	}
}

// finding is a fault that makes a resource invalid: by which rule, and where.
type finding struct{ rule, at string }

// findings are the errors among the issues, each once; place writes HAPI's places as they are wanted.
func (a answer) findings(place func(string) string) []finding {
	var all []finding
	seen := map[finding]bool{}
	for _, i := range a.Issues {
		f := finding{ruleName(i.ID), place(i.At)}
		if i.Severity != "ERROR" && i.Severity != "FATAL" || seen[f] {
			continue
		}
		seen[f] = true
		all = append(all, f)
	}
	return all
}

// words are what HAPI says of a finding.
func (a answer) words(f finding, place func(string) string) string {
	for _, i := range a.Issues {
		if f == (finding{ruleName(i.ID), place(i.At)}) && (i.Severity == "ERROR" || i.Severity == "FATAL") {
			return i.Text
		}
	}
	return ""
}

// ruleName is the id of HAPI's message; of an invariant its key.
func ruleName(id string) string {
	if _, key, ok := strings.Cut(id, "#"); ok {
		return key
	}
	if id == "" {
		return "parser" // HAPI's JSON parser gives its messages no id
	}
	return id
}

var (
	comment = regexp.MustCompile(`/\*[^*]*\*/`)
	ofType  = regexp.MustCompile(`\.ofType\((\w)(\w*)\)`)
)

// ourPlace turns Bundle.entry[0].resource/*Patient/1*/.deceased.ofType(boolean) into
// Bundle.entry[0].resource.deceasedBoolean.
func ourPlace(at string) string {
	at = comment.ReplaceAllString(at, "")
	return ofType.ReplaceAllStringFunc(at, func(s string) string {
		typ := strings.TrimSuffix(strings.TrimPrefix(s, ".ofType("), ")")
		return strings.ToUpper(typ[:1]) + typ[1:]
	})
}

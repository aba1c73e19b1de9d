package contracts_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// canary is what must never be seen; a part of it, in hexadecimal or decimal, would also give it away.
const canary = "canary-in-the-body"

var traces = []string{canary, "canary", fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), "99 97 110 97 114 121", "99,97,110,97", "0x63, 0x61", "Y2FuYXJ5"}

// The canary sings: bytes that aren't in a Body are seen by the same searches.
func TestACanaryOutsideABodyIsSeen(t *testing.T) {
	type bare struct{ b []byte }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		printed := fmt.Sprintf(verb, bare{[]byte(canary)})
		seen := false
		for _, s := range traces {
			seen = seen || strings.Contains(printed, s)
		}
		if !seen {
			t.Errorf("%s of bare bytes goes unseen", verb)
		}
	}
}

type open struct{ B contracts.Body }
type shut struct{ b contracts.Body } // fmt calls no method of an unexported field
type deep struct {
	m map[string]contracts.Body
	s []*contracts.Body
	r contracts.Record
}

func holders() map[string]any {
	b := contracts.NewBody([]byte(canary))
	r := contracts.Record{Topic: "t", Body: b}
	return map[string]any{
		"body": b, "pointer": &b, "field": open{b}, "unexported field": shut{b}, "pointer to struct": &shut{b},
		"deep":   deep{map[string]contracts.Body{"k": b}, []*contracts.Body{&b}, r},
		"record": r, "message": contracts.Message{Body: b}, "arrival": contracts.Arrival{Body: b}, "parcel": &contracts.Parcel{Body: b},
		"stored": contracts.StoredBody{Body: b}, "slice": []contracts.Body{b}, "shown": contracts.Shown{Body: b},
		"function": b.Bytes,
	}
}

func quiet(t *testing.T, what, printed string) {
	t.Helper()
	for _, s := range traces {
		if strings.Contains(printed, s) {
			t.Errorf("%s shows the body", what)
			return
		}
	}
}

func TestABodyIsNeverPrinted(t *testing.T) {
	for name, v := range holders() {
		for verb := rune('a'); verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "+#", "-30", "030", " ", "x", ".3"} {
				quiet(t, name+" with %"+flags+string(verb), fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		for _, verb := range "TUXEGFO" {
			quiet(t, name+" with %"+string(verb), fmt.Sprintf("%"+string(verb), v))
		}
		quiet(t, name+" by Sprintln", fmt.Sprintln(v))
		quiet(t, name+" in an error", fmt.Errorf("%v: %w", v, io.EOF).Error())
	}
	if got := fmt.Sprint(contracts.NewBody([]byte(canary))); got != "18 bytes" {
		t.Errorf("a body prints as %q, want its length", got)
	}
}

func TestABodyIsNeverMarshalled(t *testing.T) {
	for name, v := range holders() {
		if name == "function" {
			continue
		}
		for encoder, encode := range map[string]func(any) ([]byte, error){
			"json": json.Marshal,
			"xml":  xml.Marshal,
			"yaml": func(v any) ([]byte, error) { return yaml.Marshal(v) },
			"gob": func(v any) ([]byte, error) {
				var b bytes.Buffer
				err := gob.NewEncoder(&b).Encode(v)
				return b.Bytes(), err
			},
		} {
			out, err := encode(v)
			quiet(t, name+" as "+encoder, string(out))
			if err != nil {
				quiet(t, name+"'s fault from "+encoder, err.Error())
			}
		}
	}
	var b contracts.Body
	if err := json.Unmarshal([]byte(`"18 bytes"`), &b); err == nil {
		t.Error("a body was read back from its own print")
	}
}

func TestABodyIsNeverLogged(t *testing.T) {
	for name, v := range holders() {
		if name == "function" {
			continue
		}
		for _, format := range []logrus.Formatter{&logrus.JSONFormatter{}, &logrus.TextFormatter{}} {
			var out bytes.Buffer
			log := logrus.New()
			log.Out, log.Formatter = &out, format
			log.WithField("v", v).WithError(fmt.Errorf("with %v", v)).Warn(v)
			if out.Len() == 0 {
				t.Fatal("nothing was logged")
			}
			quiet(t, name+" in a log", out.String())
		}
	}
}

// A panic prints its value outside every formatter, so a child process panics and its last words are read.
func TestABodyIsNotInAPanic(t *testing.T) {
	if which := os.Getenv("SILTA_PANIC"); which != "" {
		panic(holders()[which])
	}
	for name := range holders() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestABodyIsNotInAPanic$")
		cmd.Env = append(os.Environ(), "SILTA_PANIC="+name, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(out), "panic: ") {
			t.Fatalf("%s: the child didn't panic: %v", name, err)
		}
		quiet(t, name+" in a panic", string(out))
	}
}

// What a failing test prints: go-cmp's diff, and a walk by reflection as spew and testify do it.
func TestABodyIsNotInADiff(t *testing.T) {
	a, b := contracts.NewBody([]byte(canary)), contracts.NewBody([]byte("something else"))
	quiet(t, "a diff", cmp.Diff(a, b))
	quiet(t, "a diff of structs", cmp.Diff(open{a}, open{b}))
	quiet(t, "a diff of records", cmp.Diff(contracts.Record{Body: a}, contracts.Record{Body: b}))
	if cmp.Diff(open{a}, open{b}) == "" || cmp.Diff(a, contracts.NewBody([]byte(canary))) != "" {
		t.Error("bodies aren't compared by their bytes")
	}
	for name, v := range holders() {
		var seen bytes.Buffer
		walk(&seen, reflect.ValueOf(v), 0)
		quiet(t, name+" by reflection", seen.String())
	}
}

func walk(w io.Writer, v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(w, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(w, v.Field(i), depth+1)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walk(w, v.MapIndex(k), depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(w, v.Index(i), depth+1)
		}
	case reflect.String:
		fmt.Fprintln(w, v.String())
	default:
		fmt.Fprintln(w, v)
	}
}

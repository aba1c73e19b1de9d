package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/schema"
)

// installation writes what init writes, with free ports, and gives the configuration's path.
func installation(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := initialise(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"silta.yaml", "contracts/partners/apotti.yaml"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:8081", "localhost:0", "127.0.0.1:2575", "127.0.0.1:0").Replace(string(b))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "silta.yaml")
}

// silta runs a command line in this process.
func silta(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestServeRunsWhatInitWrote(t *testing.T) {
	config := installation(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "-c", config}, strings.NewReader(""), in, &log)
		in.Close()
	}()
	var ready readiness
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatalf("no ready line: %v; the log: %s", err, log.String())
	}
	if !ready.Ready || ready.Tokens != nil || !strings.HasPrefix(ready.Doors["apotti"], "mllp://127.0.0.1:") || !strings.HasSuffix(ready.Doors["hus"], fhirBase) ||
		ready.Partners["hus"] != "http://127.0.0.1:8090/fhir" || ready.Partners["apotti"] != "mllp://127.0.0.1:2576" {
		t.Errorf("the ready line is %+v", ready)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/api/openapi.yaml"} {
		response, err := http.Get(ready.API + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", path, response.StatusCode)
		}
	}
	if code, _, stderr := silta(t, "", "serve", "-c", config); code != exitUnreachable || !strings.Contains(stderr, "in use by process") {
		t.Errorf("a second process on the directory exits %d: %s", code, stderr)
	}
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("serve exits %d after an interrupt: %s", code, log.String())
	}
	if code, _, stderr := silta(t, "", "find", "x", "--url", ready.API); code != exitUnreachable {
		t.Errorf("the API is still there: %d %s", code, stderr)
	}
}

// madeUp is a REF^I12; control is its MSH-10, priority its RF1-2.
func madeUp(control, typ, priority string) string {
	return strings.Join([]string{
		`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260301093000+0200||` + typ + `|` + control + `|P|2.5.1||||||UNICODE UTF-8`,
		`RF1|P^Pending^HL70283|` + priority + `|||||` + `L-` + control,
		`PRD|RP^^HL70286|Esimerkki^Essi`,
		`PRD|RT^^HL70286|Malli^Matti`,
		`PID|1||010101-900A^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa`,
	}, "\r") + "\r"
}

// running opens a house on a fresh installation, whose contract with Apotti says also what is given; wait returns when
// a step of that kind was recorded.
func running(t *testing.T, contract ...string) (hub []string, door string, wait func(step string) contracts.Step) {
	t.Helper()
	config := installation(t)
	apotti, err := os.OpenFile(filepath.Join(filepath.Dir(config), "contracts/partners/apotti.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apotti.WriteString("\n" + strings.Join(contract, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
	apotti.Close()
	s, err := readSettings(config)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := s.readAgreements()
	if err != nil {
		t.Fatal(err)
	}
	steps := make(chan contracts.Step, 100)
	log := newLog(s, &terminal{err: io.Discard})
	h, err := openHouse(t.Context(), s, agreed, log, func(step contracts.Step) { steps <- step })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the house ends with %v", err)
		}
		if err := h.close(); err != nil {
			t.Errorf("the house closes with %v", err)
		}
	})
	token, err := s.secret(s.Console.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	wait = func(kind string) contracts.Step {
		t.Helper()
		for {
			select {
			case step := <-steps:
				if step.Step == kind {
					return step
				}
			case <-t.Context().Done():
				t.Fatalf("no step %s came", kind)
			}
		}
	}
	return []string{"--url", h.addresses().API, "--token", string(token)}, strings.TrimPrefix(h.addresses().Doors["apotti"], "mllp://"), wait
}

func TestAMessageThatNoMapTakesIsAcknowledgedParkedAndStopped(t *testing.T) {
	hub, door, wait := running(t)
	body := madeUp("PARK-1", "REF^I12^REF_I12", "NOSUCHCODE")
	if code, stdout, stderr := silta(t, body, "hl7", "send", "--to", door, "-"); code != exitDone || !strings.HasPrefix(stdout, "PARK-1\tAA\t") {
		t.Fatalf("send exits %d: %s%s", code, stdout, stderr)
	}
	parked := wait(contracts.StepParked)

	code, stdout, stderr := silta(t, "", append(hub, "list", "--state", "parked", "--format", "json")...)
	var row contracts.Row
	if err := json.Unmarshal([]byte(stdout), &row); code != exitDone || err != nil || row.Control != "PARK-1" || row.From != "apotti" || row.Fault == nil {
		t.Fatalf("list exits %d: %s%s", code, stdout, stderr)
	}
	for _, id := range []string{"PARK-1", string(row.ID), string(parked.Message)} {
		code, stdout, stderr = silta(t, "", append(hub, "trace", id, "--format", "json")...)
		var trace contracts.Trace
		if err := json.Unmarshal([]byte(stdout), &trace); code != exitDone || err != nil {
			t.Fatalf("trace %s exits %d: %s%s", id, code, stdout, stderr)
		}
		var kinds []string
		for _, step := range trace.Steps {
			kinds = append(kinds, step.Step)
		}
		if !slices.Contains(kinds, contracts.StepReceived) || !slices.Contains(kinds, contracts.StepParked) {
			t.Errorf("the trace by %s has the steps %v", id, kinds)
		}
	}

	if code, _, stderr := silta(t, "", append(hub, "show", "PARK-1")...); code != exitUsage || !strings.Contains(stderr, "--reason") {
		t.Errorf("show without a reason exits %d: %s", code, stderr)
	}
	if code, stdout, stderr := silta(t, "", append(hub, "show", "PARK-1", "--reason", "Miksi ei mene läpi?")...); code != exitDone || stdout != body {
		t.Errorf("show exits %d with %d bytes, want the %d that came in: %s", code, len(stdout), len(body), stderr)
	}

	if code, _, stderr := silta(t, "", append(hub, "release", "PARK-1")...); code != exitDone {
		t.Errorf("release exits %d: %s", code, stderr)
	}
	if again := wait(contracts.StepParked); again.Message != parked.Message {
		t.Errorf("after the release %s parks, want %s", again.Message, parked.Message)
	}
	if code, _, stderr := silta(t, "", append(hub, "release", "NOTHING")...); code != exitFaulty || !strings.Contains(stderr, "notfound") {
		t.Errorf("release of nothing exits %d: %s", code, stderr)
	}

	if code, _, _ := silta(t, "", append(hub, "stop", "PARK-1")...); code != exitUsage {
		t.Errorf("stop without a reason exits %d", code)
	}
	if code, _, stderr := silta(t, "", append(hub, "stop", "PARK-1", "--reason", "A code that nobody has")...); code != exitDone {
		t.Errorf("stop exits %d: %s", code, stderr)
	}
	if code, stdout, _ := silta(t, "", append(hub, "find", "PARK-1", "--format", "json")...); code != exitDone || !strings.Contains(stdout, `"state":"stopped"`) {
		t.Errorf("find exits %d: %s", code, stdout)
	}
	if code, _, stderr := silta(t, "", append(hub, "stop", "PARK-1", "--reason", "Again")...); code != exitFaulty || !strings.Contains(stderr, "notfound") {
		t.Errorf("a second stop exits %d: %s", code, stderr)
	}
}

// A message that breaks a rule of the contract is acknowledged, since it was kept, and parks with the place.
func TestAMessageThatBreaksTheContractParksWithItsPlace(t *testing.T) {
	hub, door, wait := running(t,
		"rules:", "  - {for: \"REF^*\", at: PID-11, usage: required}", "  - {at: RF1-2.1, codes: [R, S]}",
		"segments:", "  ZFI:", "    - {name: home municipality, type: CE, usage: required}")
	for _, row := range []struct{ control, body, place, code string }{
		{"RULE-1", madeUp("RULE-1", "REF^I12^REF_I12", "R"), "PID-11", "HL7-110"},
		{"RULE-2", strings.TrimSuffix(madeUp("RULE-2", "REF^I12^REF_I12", "A"), "\r") + "||||||^^Helsinki\r", "RF1-2(1).1", "HL7-113"},
		{"RULE-3", strings.TrimSuffix(madeUp("RULE-3", "REF^I12^REF_I12", "R"), "\r") + "||||||^^Helsinki\rZFI|\r", "ZFI-1", "HL7-110"},
	} {
		body := strings.Replace(row.body, "010101-900A", "L-"+row.control, 1) // a key of its own, or it would wait behind the first
		if code, stdout, stderr := silta(t, body, "hl7", "send", "--to", door, "-"); code != exitDone || !strings.HasPrefix(stdout, row.control+"\tAA\t") {
			t.Fatalf("send exits %d: %s%s", code, stdout, stderr)
		}
		if step := wait(contracts.StepParked); step.Fault == nil || step.Fault.At != row.place || step.Fault.Code != row.code {
			t.Errorf("%s parks with %v", row.control, step.Fault)
		}
	}
	if code, stdout, _ := silta(t, "", append(hub, "list", "--state", "parked")...); code != exitDone || !strings.Contains(stdout, "RULE-3") {
		t.Errorf("list exits %d: %s", code, stdout)
	}
}

func TestWhatTheContractDoesNotTakeIsRefusedAndShown(t *testing.T) {
	hub, door, wait := running(t)
	code, stdout, _ := silta(t, madeUp("NO-1", "ADT^A01^ADT_A01", "R"), "hl7", "send", "--to", door, "-")
	if code != exitFaulty || !strings.HasPrefix(stdout, "NO-1\tAR\t") {
		t.Fatalf("send exits %d: %s", code, stdout)
	}
	wait(contracts.StepRefused)
	if code, stdout, _ := silta(t, "", append(hub, "list", "--state", "refused", "--since", "1h")...); code != exitDone || !strings.Contains(stdout, "NO-1") {
		t.Errorf("list exits %d: %s", code, stdout)
	}
	if code, _, _ := silta(t, "", append(hub, "list", "--state", "lost")...); code != exitUsage {
		t.Errorf("list of an unknown state exits %d", code)
	}
	if code, _, _ := silta(t, "", append(hub, "find", "NOTHING")...); code != exitFaulty {
		t.Errorf("find of nothing exits %d", code)
	}
	if code, _, stderr := silta(t, "", "list", "--url", hub[1], "--token", "wrong"); code != exitUsage || !strings.Contains(stderr, "SILTA_TOKEN") {
		t.Errorf("a wrong token exits %d: %s", code, stderr)
	}
}

// TestTheConfigurationIsItsSchema compares the schema that editors use with the type that decides.
func TestTheConfigurationIsItsSchema(t *testing.T) {
	type node struct {
		Properties map[string]*node `json:"properties"`
	}
	var root node
	if err := json.Unmarshal(schema.Config, &root); err != nil {
		t.Fatal(err)
	}
	compared := 0
	var compare func(at string, n *node, typ reflect.Type)
	compare = func(at string, n *node, typ reflect.Type) {
		keys := 0
		for field := range typ.Fields() {
			name := field.Tag.Get("yaml")
			if name == "" {
				continue
			}
			keys++
			under := n.Properties[name]
			if under == nil {
				t.Errorf("the schema lacks %s%s", at, name)
				continue
			}
			compared++
			if field.Type.Kind() == reflect.Struct {
				compare(at+name+".", under, field.Type)
			}
		}
		if keys != len(n.Properties) {
			t.Errorf("the schema has %d keys under %q, the type %d", len(n.Properties), at, keys)
		}
	}
	compare("", &root, reflect.TypeFor[settings]())
	if compared < 10 {
		t.Errorf("only %d keys were compared", compared)
	}
}

func TestWhatEndsWithTheHouseMayStillAskWhatHolds(t *testing.T) {
	l := start(t, configured(t, "http://127.0.0.1:1", "stop: 4s"))
	l.mu.Lock()
	l.others = append(l.others, l.begin(func(ctx context.Context) error {
		<-ctx.Done()
		l.present()
		return nil
	}))
	l.mu.Unlock()
	if err := l.stop(); err != nil {
		t.Errorf("the house ends with %v", err)
	}
}

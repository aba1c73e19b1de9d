package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
	"github.com/hoitosilta/silta/testfixtures/hus"
)

// demoResult is the last line of a demo in JSON.
type demoResult struct {
	Journey  string     `json:"journey"`
	State    string     `json:"state"`
	Messages []crossing `json:"messages"`
}

// lastLine reads the result of a demo that ran with --format json.
func lastLine(t *testing.T, stdout string) demoResult {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var r demoResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line isn't the result (%v); there are %d lines", err, len(lines))
	}
	return r
}

// receivedByHUS gives the Bundles that the demo's HUS keeps in dir.
func receivedByHUS(t *testing.T, dir string) []*fhir.Tree {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "hus", "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("HUS keeps nothing (%v)", err)
	}
	var all []*fhir.Tree
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := fhir.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tree)
	}
	return all
}

func TestTheDemoEndsWithEverythingDelivered(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := silta(t, "", "demo", "--dir", dir)
	if code != exitDone {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	at := 0
	if !strings.Contains(stdout, "map ref-i12@") { // the acknowledgement and the translation overtake each other
		t.Errorf("the telling doesn't name the map:\n%s", stdout)
	}
	for _, told := range []string{"Apotti may let go of it", "A referral is on the desk", "HUS has it and says so",
		"The referrer reads: the referral is accepted", "The referrer sees when the visit is", "The referrer has the feedback",
		"from → to", "REF^I12", "RRI^I12", "SIU^S12", "MDM^T02", "Every message was delivered and acknowledged"} {
		next := strings.Index(stdout[at:], told)
		if next < 0 {
			t.Fatalf("the telling doesn't say %q where it should:\n%s", told, stdout)
		}
		at += next
	}
	for _, secret := range []string{"Koivuniemi", "140262", "Esimerkkitie", "Näkökentän", "Hägg"} {
		if strings.Contains(stdout+stderr, secret) {
			t.Error("the telling holds something of the patient's")
		}
	}
	for _, bundle := range receivedByHUS(t, dir) {
		if faults := fhir.Validate(bundle); faults.Err() != nil {
			t.Errorf("what HUS received isn't valid FHIR R4: %v", faults)
		}
		if bytes.Contains(bundle.Append(nil), []byte("StructureDefinition/residue")) {
			t.Error("what HUS received holds the residue")
		}
	}
}

func TestTheDemoRunsAgainInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]bool{}
	for range 2 {
		code, stdout, stderr := silta(t, "", "demo", "--dir", dir, "--format", "json")
		if code != exitDone {
			t.Fatalf("exit %d\n%s", code, stderr)
		}
		r := lastLine(t, stdout)
		if len(r.Messages) != 4 || r.State != "completed" {
			t.Fatalf("the journey is %s with %d messages, want completed with 4", r.State, len(r.Messages))
		}
		for _, m := range r.Messages {
			if seen[m.Control] || m.State != "delivered" || m.Milliseconds <= 0 || len(m.Maps) != 1 {
				t.Errorf("%s %s: seen before %v, state %s, %v ms, maps %v", m.Type, m.Control, seen[m.Control], m.State, m.Milliseconds, m.Maps)
			}
			seen[m.Control] = true
		}
	}
	if got := len(receivedByHUS(t, dir)); got != 2 {
		t.Errorf("HUS has %d referrals, want 2", got)
	}
}

func writeMessage(t *testing.T, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "own.hl7")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func made(t *testing.T, o generate.Options) *generate.Maker {
	t.Helper()
	m, err := generate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheDemoTakesAMessageOfOnesOwnAndTellsItAgain(t *testing.T) {
	dir := t.TempDir()
	own := made(t, generate.Options{Prefix: "OWN"}).Next()
	file := writeMessage(t, bytes.ReplaceAll(own.Bytes, []byte("\r"), []byte("\n"))) // as an editor would save it
	for run, told := range []string{"A referral is on the desk", "earlier"} {
		code, stdout, stderr := silta(t, "", "demo", "--dir", dir, "--message", file)
		if code != exitDone {
			t.Fatalf("run %d: exit %d\n%s%s", run+1, code, stdout, stderr)
		}
		if !strings.Contains(stdout, told) || !strings.Contains(stdout, own.Control) || strings.Count(stdout, "  delivered  ") != 4 {
			t.Errorf("run %d doesn't tell the journey:\n%s", run+1, stdout)
		}
	}
	if got := len(receivedByHUS(t, dir)); got != 1 {
		t.Errorf("HUS has %d referrals, want 1", got)
	}
	other := made(t, generate.Options{Prefix: "OWN", Seed: 1}).Next() // another message under the same id
	code, _, stderr := silta(t, "", "demo", "--dir", dir, "--message", writeMessage(t, other.Bytes))
	if code != exitFaulty || !strings.Contains(stderr, "205") {
		t.Errorf("other bytes under a known id: exit %d, %s", code, stderr)
	}
}

func TestTheDemoFailsClearly(t *testing.T) {
	parked := made(t, generate.Options{Prefix: "BAD"}).Broken(generate.UnmappedPriority)
	refused := made(t, generate.Options{Prefix: "BAD"}).Broken(generate.UnknownVersion)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a code that no map has parks":     {[]string{"--message", writeMessage(t, parked.Bytes)}, exitFaulty, "is parked"},
		"a version out of the contract":    {[]string{"--message", writeMessage(t, refused.Bytes)}, exitFaulty, "AR, ERR-3 203"},
		"a file that is no message":        {[]string{"--message", writeMessage(t, []byte("Dear colleague"))}, exitFaulty, "MSH-10"},
		"no such file":                     {[]string{"--message", filepath.Join(t.TempDir(), "none.hl7")}, exitUsage, "none.hl7"},
		"a HUS that isn't there":           {[]string{"--partner", "hus=http://127.0.0.1:1/fhir", "--wait", "3s"}, exitUnreachable, "is still waiting"},
		"a bus that there isn't":           {[]string{"--bus", "rabbit://127.0.0.1:9092"}, exitUsage, "--bus"},
		"a ledger that there isn't":        {[]string{"--ledger", "oracle://127.0.0.1/silta"}, exitUsage, "--ledger"},
		"a cluster that isn't there":       {[]string{"--bus", "kafka://127.0.0.1:1"}, exitUnreachable, "BUS-020"},
		"a partner without a contract":     {[]string{"--partner", "huss=http://127.0.0.1:1"}, exitUsage, `did you mean "hus"`},
		"a partner without an address":     {[]string{"--partner", "hus"}, exitUsage, "NAME=URL"},
		"an address of the wrong protocol": {[]string{"--partner", "apotti=http://127.0.0.1:1"}, exitUsage, "apotti"},
		"ports out of range":               {[]string{"--port-base", "65530"}, exitUsage, "--port-base"},
	} {
		code, _, stderr := silta(t, "", append([]string{"demo", "--dir", t.TempDir()}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d, want %d and %q in: %s", name, code, c.code, c.says, stderr)
		}
	}
}

// slowLedger takes two seconds to find a message, which waits.
type slowLedger struct{ hub.Ledger }

func (slowLedger) Find(ctx context.Context, control string) ([]contracts.Row, error) {
	select {
	case <-time.After(2 * time.Second):
		return []contracts.Row{{Control: control, From: "apotti", To: []string{"hus"}, State: contracts.StateWaiting}}, nil
	case <-ctx.Done():
		return nil, &contracts.Fault{Kind: contracts.Unavailable, Code: "LED-001", Err: ctx.Err()}
	}
}

func (slowLedger) Fix(_ context.Context, _, value string) (string, error) { return value, nil }

// When the time is up in the middle of a look, the demo tells what the look before found, not that the ledger failed.
func TestTheDemoTellsWhatWaitsAlsoWhenItsTimeIsUpInALook(t *testing.T) {
	for name, end := range map[string]struct {
		after func(context.Context) (context.Context, context.CancelFunc)
		says  string
	}{
		"too late": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		}, "is still waiting"},
		"interrupted": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(3*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled.Error()},
	} {
		synctest.Test(t, func(t *testing.T) {
			secret, err := contracts.NewSecret(bytes.Repeat([]byte("s"), 32))
			if err != nil {
				t.Fatal(err)
			}
			h, err := hub.New(t.Context(), hub.Config{Ledger: slowLedger{}, Secret: secret, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			d := &demo{house: &house{hub: h}, moved: make(chan struct{}, 1)}
			d.wake()
			ctx, cancel := end.after(t.Context())
			defer cancel()
			rows, err := d.arrive(ctx, referral{control: "C-1"}, nil, false)
			if err == nil || !strings.Contains(err.Error(), end.says) || len(rows) != 1 {
				t.Errorf("%s: %d rows, %v, want one and %q", name, len(rows), err, end.says)
			}
		})
	}
}

func TestTheDemoWithAHUSOfOnesOwnEndsWhenItHasTheReferral(t *testing.T) {
	s, err := hus.Start(hus.Config{Listen: "127.0.0.1:0", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	code, stdout, stderr := silta(t, "", "demo", "--dir", t.TempDir(), "--format", "json", "--partner", "hus="+s.URL())
	if code != exitDone {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	if r := lastLine(t, stdout); len(r.Messages) != 1 || len(s.Received()) != 1 {
		t.Errorf("%d messages in the journey and %d at HUS, want one", len(r.Messages), len(s.Received()))
	}
}

// freePorts finds a base from which the demo's ports are free.
func freePorts(t *testing.T) int {
	t.Helper()
	for base := 20000 + os.Getpid()%1000*40; base < 65000; base += demoPorts {
		free := true
		for n := range portDoors + 2 {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+n)))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func TestTheDemoServesUntilItIsInterrupted(t *testing.T) {
	dir, base := t.TempDir(), freePorts(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	var told bytes.Buffer // read only after the demo has ended
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"demo", "--dir", dir, "--serve", "--port-base", strconv.Itoa(base)}, strings.NewReader(""), writer, &told)
		writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	if !lines.Scan() {
		t.Fatal("no ready line")
	}
	var ready readiness
	if err := json.Unmarshal(lines.Bytes(), &ready); err != nil || !ready.Ready {
		t.Fatalf("the ready line is %s (%v)", lines.Bytes(), err)
	}
	if ready.Dir != dir || ready.Tokens["operator"] == "" || ready.Tokens["hus"] == "" {
		t.Errorf("the ready line names directory %s and %d tokens", ready.Dir, len(ready.Tokens))
	}
	for _, address := range []string{ready.API, ready.Doors["apotti"], ready.Doors["hus"], ready.Partners["apotti"], ready.Partners["hus"]} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if port, _ := strconv.Atoi(u.Port()); port < base || port >= base+demoPorts {
			t.Errorf("%s lies outside the ports that were given", address)
		}
	}
	own := made(t, generate.Options{Prefix: "SERVE"}).Next()
	sending, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if a, err := apotti.Deliver(sending, strings.TrimPrefix(ready.Doors["apotti"], "mllp://"), own.Bytes); err != nil || a.Code != "AA" {
		t.Fatalf("a message from outside got %q (%v), want AA", a.Code, err)
	}
	awaitDelivered(sending, t, ready, own.Control)
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d after an interrupt\n%s", code, told.String())
	}
	if lines.Scan() {
		t.Errorf("stdout holds more than the ready line: %s", lines.Text())
	}
	if !strings.Contains(told.String(), "Every message was delivered") {
		t.Errorf("the demo's own journey isn't told:\n%s", told.String())
	}
}

// awaitDelivered asks the API until all four messages of a referral are delivered.
func awaitDelivered(ctx context.Context, t *testing.T, ready readiness, control string) {
	t.Helper()
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, ready.API+"/api/v1/trace?id="+control, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+ready.Tokens["operator"])
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b, []byte(`"step":"delivered"`)) == 4 {
			return
		}
	}
	t.Fatal(fmt.Errorf("the journey isn't delivered: %w", ctx.Err()))
}

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hoitosilta/silta/contracts"
)

// TestTheGuideNamesTheMetricsThatThereAre compares docs/operation.md with what a house that has carried a message gives,
// both ways; and no label holds anything of the message.
func TestTheGuideNamesTheMetricsThatThereAre(t *testing.T) {
	theirs := hospital(t)
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"), "backup: copies")
	l := start(t, config)
	m := referrals(t, "GUIDE", 1).Next()
	l.send(m)
	l.step(contracts.StepDelivered, "hus")
	for _, command := range [][]string{{"reload"}, {"backup", "one"}} {
		if code, _, stderr := silta(t, "", append(command, l.control...)...); code != exitDone {
			t.Fatalf("%s exits %d: %s", command[0], code, stderr)
		}
	}
	unmapped := strings.Replace(madeUp("GUIDE-X", "REF^I12^REF_I12", "NOSUCHCODE"), "010101-900A", "GUIDE-X", 1)
	if code, _, stderr := silta(t, unmapped, "hl7", "send", "--to", l.apotti(), "-"); code != exitDone {
		t.Fatalf("send exits %d: %s", code, stderr)
	}
	l.step(contracts.StepParked, "")
	response, err := http.Get(l.addresses().API + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "operation.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile(`silta_[a-z_]+`).FindAllString(string(guide), -1) {
		named[strings.TrimSuffix(name, "_count")] = true
	}
	ours := 0
	for name, family := range families {
		if !strings.HasPrefix(name, "silta_") {
			continue
		}
		if ours++; !named[name] {
			t.Errorf("the guide doesn't name %s", name)
		}
		delete(named, name)
		for _, private := range []string{m.Control, m.Placer, m.Mark, "GUIDE-X", "010101"} {
			if strings.Contains(family.String(), private) {
				t.Errorf("%s holds something of a message", name)
			}
		}
	}
	for name := range named {
		t.Errorf("the guide names %s, which isn't there", name)
	}
	if ours < 15 {
		t.Errorf("only %d metrics were seen", ours)
	}
}

// readyz asks the house whether it is ready.
func (l *live) readyz() (r contracts.Readiness, status int) {
	l.t.Helper()
	response, err := http.Get(l.addresses().API + "/readyz")
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		l.t.Fatal(err)
	}
	return r, response.StatusCode
}

func TestReadinessMissesLanesThatDontRun(t *testing.T) {
	l := start(t, configured(t, "http://127.0.0.1:1"))
	l.mu.Lock()
	err := l.lanes.end()
	l.mu.Unlock()
	if r, status := l.readyz(); err != nil || status != http.StatusServiceUnavailable || len(r.Missing) != 1 || !strings.HasPrefix(r.Missing[0], "lanes") {
		t.Errorf("without lanes (%v) it answers %d and misses %v", err, status, r.Missing)
	}
}

func TestReadinessWarnsOfACertificateThatEnds(t *testing.T) {
	l := start(t, configured(t, "http://127.0.0.1:1"))
	if r, status := l.readyz(); status != http.StatusOK || len(r.Missing)+len(r.Degraded)+len(r.Paused) > 0 {
		t.Errorf("a house that is well answers %d and lacks %+v", status, r)
	}
	l.mu.Lock()
	contract := *l.posts["apotti"].contract
	door := *contract.Door.MLLP
	cert, _ := selfSigned(t, t.TempDir())
	door.TLS = &contracts.TLSDoor{CertFile: cert}
	contract.Door.MLLP = &door
	l.posts["apotti"].contract = &contract
	l.mu.Unlock()
	r, status := l.readyz()
	if status != http.StatusOK || len(r.Warnings) == 0 || !strings.HasPrefix(r.Warnings[0], "certificate of apotti") {
		t.Errorf("with a certificate that ends within an hour it answers %d and warns of %v", status, r.Warnings)
	}
}

// What is parked can still be released when everything that is settled was forgotten, bytes and rows.
func TestForgettingLeavesWhatIsParked(t *testing.T) {
	theirs := hospital(t)
	l := start(t, configured(t, strings.TrimSuffix(theirs.URL(), "/fhir")))
	m := referrals(t, "OLD", 1).Next()
	l.send(m)
	l.step(contracts.StepDelivered, "hus")
	body := strings.Replace(madeUp("OLD-X", "REF^I12^REF_I12", "NOSUCHCODE"), "010101-900A", "OLD-X", 1)
	if code, _, stderr := silta(t, body, "hl7", "send", "--to", l.apotti(), "-"); code != exitDone {
		t.Fatalf("send exits %d: %s", code, stderr)
	}
	l.step(contracts.StepParked, "")
	if err := l.hub.Expire(t.Context(), time.Nanosecond, time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := silta(t, "", append([]string{"release", "OLD-X"}, l.control...)...); code != exitDone {
		t.Errorf("release exits %d: %s", code, stderr)
	}
	if again := l.step(contracts.StepParked, ""); again.Fault == nil || again.Fault.Code == "BUS-006" {
		t.Errorf("after the release it parks with %v", again.Fault)
	}
	if code, _, stderr := silta(t, "", append([]string{"find", "OLD-X"}, l.control...)...); code != exitDone {
		t.Errorf("find exits %d: %s", code, stderr)
	}
}

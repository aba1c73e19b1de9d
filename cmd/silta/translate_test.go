package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// TestTranslateGivesWhatTheHubDelivers sends a referral and its answer through a hub, and compares what was written for each
// receiver with what silta translate says of the same bytes at the same time.
func TestTranslateGivesWhatTheHubDelivers(t *testing.T) {
	theirs := hospital(t)
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"))
	l := start(t, config)
	dir := t.TempDir()

	referral := referrals(t, "TR", 1).Next()
	l.send(referral)
	received := l.step(contracts.StepReceived, "").At
	l.step(contracts.StepDelivered, "hus")
	request := written(t, dir, "request.hl7", referral.Bytes)
	line := []string{"translate", "-c", config, "--from", "apotti", "--to", "hus", "--now", received.Format(time.RFC3339Nano), request}
	delivered := l.show(referral.Control, "--sent", "hus")
	identical(t, strings.TrimSuffix(translated(t, line), "\n"), delivered)
	identical(t, strings.TrimSuffix(translated(t, append(line, "--canonical")), "\n"), l.show(referral.Control, "--canonical"))

	head, err := fhir.ScanMessage([]byte(delivered))
	if err != nil {
		t.Fatal(err)
	}
	token, err := l.settings.secret("secrets/hus.token")
	if err != nil {
		t.Fatal(err)
	}
	answer := messageOf(t, "response-accepted", "TR-ANSWER")
	given, err := fhir.Parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	fhir.NewBundle(given.Root()).Header().Get("response").Set("identifier", fhir.String(head.Control.Value))
	answer = given.Append(nil)
	if status := (partnerAt{t, l.addresses().Doors["hus"], string(token)}).post(answer); status != 200 {
		t.Fatalf("the answer is answered by %d", status)
	}
	received = l.step(contracts.StepReceived, "").At
	l.step(contracts.StepReaddress, "apotti")
	line = []string{"translate", "-c", config, "--from", "hus", "--to", "apotti", "--now", received.Format(time.RFC3339Nano),
		written(t, dir, "answer.json", answer)}
	got := translated(t, append(line, "--origin", request))
	identical(t, got, l.show("TR-ANSWER", "--sent", "apotti"))
	if m, err := hl7v2.Parse([]byte(got)); err != nil || m.Get(hl7v2.MustPath("MSA-2")).Text() != referral.Control {
		t.Errorf("the answer doesn't name the referral (%v)", err)
	}
	if code, stdout, stderr := silta(t, "", line...); code != exitFaulty || stdout != "" || !strings.Contains(stderr, "HUB-020") {
		t.Errorf("without its request the answer exits %d: %s", code, stderr)
	}
}

// show gives a message's body as the hub has it.
func (l *live) show(id string, view ...string) string {
	l.t.Helper()
	code, stdout, stderr := silta(l.t, "", append(append([]string{"show", id, "--reason", "a test"}, view...), l.control...)...)
	if code != exitDone {
		l.t.Fatalf("show %s exits %d: %s", id, code, stderr)
	}
	return stdout
}

func translated(t *testing.T, line []string) string {
	t.Helper()
	code, stdout, stderr := silta(t, "", line...)
	if code != exitDone || stdout == "" {
		t.Fatalf("%v exits %d: %s", line, code, stderr)
	}
	return stdout
}

func written(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func identical(t *testing.T, got, want string) {
	t.Helper()
	if !bytes.Equal([]byte(got), []byte(want)) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What no rule carries reaches a v2 partner whose contract keeps it, and no other; its own addresses stand on it all the same.
func TestTheResidueGoesWhereTheContractKeepsIt(t *testing.T) {
	dir := t.TempDir()
	contract := func(id, more string) string {
		return written(t, dir, id+".yaml", []byte("silta: partner/v1\nid: "+id+"\ntitle: {en: Other}\ndialect:\n  format: hl7v2\n  version: 2.5.1\n  names: {application: OTHER, facility: HUS, ourApplication: SILTA, ourFacility: HUS}\n"+
			more+"courier:\n  mllp: {to: \"127.0.0.1:2577\"}\nout:\n  - {event: request, map: ref-i12}\n"))
	}
	request := written(t, dir, "request.hl7", []byte("MSH|^~\\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000||REF^I12^REF_I12|APO-1|P|2.5.1|||AL|NE|FIN|UNICODE UTF-8\r"+
		"RF1|P|S||||LAH-1^APOTTI\rZRF|1|oma kenttä\rPRD|RP|Mäkelä^Öykkö\rPID|1||010594Y9021^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa||||||||||||||4711^^^X\r"))
	for _, row := range []struct {
		id, more string
		kept     bool
	}{{"plain", "", false}, {"drops", "  residue: drop\n", false}, {"keeps", "  residue: keep\n", true}} {
		got := translated(t, []string{"translate", "--from", "apotti", "--to", contract(row.id, row.more), "--now", "2026-03-02T08:00:00Z", request})
		for _, kept := range []string{"\rZRF|1|oma kenttä\r", "|4711^^^X\r"} {
			if strings.Contains(got, kept) != row.kept {
				t.Errorf("%s: %q is in it: %v\n%s", row.id, kept, !row.kept, strings.ReplaceAll(got, "\r", "\n"))
			}
		}
		if strings.Contains(got, "|AL|NE|") || strings.Contains(got, "|FIN|") {
			t.Errorf("%s: it says which acknowledgements the sender asked for, or its country: %.120s", row.id, got)
		}
		if !strings.HasPrefix(got, `MSH|^~\&|SILTA|HUS|OTHER|HUS|`) {
			t.Errorf("%s: the addresses: %.60s", row.id, got)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// reprocessed gives the lines that `silta reprocess --format json` prints.
func reprocessed(t *testing.T, stdout string) (lines []contracts.Reprocessed) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var x contracts.Reprocessed
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, x)
	}
	return lines
}

func TestAnOperatorMendsAMessageByAnEditedCopy(t *testing.T) {
	hub, door, wait := running(t)
	ask := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := silta(t, "", slices.Concat(args, hub)...)
		if code != want {
			t.Fatalf("%s exits %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
		return stdout
	}
	ask(exitDone, "pause", "hus", "--reason", "Uusi versio")
	for _, control := range []string{"EDIT-1", "EDIT-2"} {
		body := strings.Replace(madeUp(control, "REF^I12^REF_I12", "NOSUCHCODE"), "|||||L-", "||||L-", 1) // RF1-6: a referral of its own
		if code, stdout, stderr := silta(t, body, "hl7", "send", "--to", door, "-"); code != exitDone {
			t.Fatalf("send exits %d: %s%s", code, stdout, stderr)
		}
		wait(contracts.StepParked)
	}
	file := filepath.Join(t.TempDir(), "mended.hl7")
	mended := strings.Replace(ask(exitDone, "show", "EDIT-1", "--reason", "tapaus 4711"), "NOSUCHCODE", "R", 1)
	if err := os.WriteFile(file, []byte(mended), 0o600); err != nil {
		t.Fatal(err)
	}

	dry := reprocessed(t, ask(exitDone, "reprocess", "EDIT-1", "--edit", file, "--dry-run", "--format", "json"))
	if len(dry) != 1 || dry[0].Outcome != contracts.OutcomeReplaced || !slices.Equal(dry[0].Edited, []string{"RF1-2(1).1"}) || len(dry[0].To) != 1 || dry[0].To[0].Partner != "hus" {
		t.Errorf("the dry run tells %+v", dry)
	}
	if text := ask(exitDone, "reprocess", "EDIT-1", "--dry-run"); !strings.Contains(text, "dry run: failed") || !strings.Contains(text, "RF1-2") {
		t.Errorf("what would fail: %s", text)
	}
	if list := ask(exitDone, "list", "--state", "parked"); strings.Count(list, "EDIT-") != 2 {
		t.Errorf("after dry runs: %s", list)
	}
	var issue contracts.Issue
	if text := ask(exitDone, "issues", "--format", "json"); json.Unmarshal([]byte(text), &issue) != nil || !issue.Parked || issue.Messages != 2 || issue.Fault.At != "RF1-2(1).1" {
		t.Fatalf("both are one issue, not %s", text)
	}
	if text := ask(exitDone, "issues"); !strings.Contains(text, string(issue.ID)) || strings.Contains(text, "NOSUCHCODE") {
		t.Errorf("the table of issues: %s", text)
	}
	if list := ask(exitDone, "list", "--issue", string(issue.ID)); strings.Count(list, "EDIT-") != 2 {
		t.Errorf("the messages of the issue: %s", list)
	}
	ask(exitFaulty, "issues", "close", string(issue.ID))
	done := reprocessed(t, ask(exitDone, "reprocess", "EDIT-1", "--edit", file, "--reason", "tapaus 4711", "--format", "json"))
	if len(done) != 1 || done[0].Outcome != contracts.OutcomeReplaced || done[0].Copy == "" {
		t.Fatalf("the edit: %+v", done)
	}
	wait(contracts.StepTranslated)
	again := reprocessed(t, ask(exitDone, "reprocess", string(done[0].ID), "--edit", file, "--format", "json"))
	if len(again) != 1 || again[0].Outcome != contracts.OutcomeKnown || again[0].Copy != done[0].Copy {
		t.Errorf("the same edit again: %+v", again)
	}
	ofIssue := reprocessed(t, ask(exitFaulty, "reprocess", "--issue", string(issue.ID), "--format", "json"))
	if len(ofIssue) != 1 || ofIssue[0].Control != "EDIT-2" {
		t.Errorf("of the issue: %+v", ofIssue)
	}
	ask(exitDone, "release", "--issue", string(issue.ID))
	wait(contracts.StepParked) // released, it parks again
	many := reprocessed(t, ask(exitFaulty, "reprocess", "--state", "parked", "--partner", "apotti", "--since", "1h", "--format", "json"))
	if len(many) != 1 || many[0].Control != "EDIT-2" || many[0].Outcome != contracts.OutcomeFailed || many[0].Faults[0].Place() == "" {
		t.Errorf("of many: %+v", many)
	}

	ask(exitDone, "map", "activate", "ref-i12@0.1.0", "--reason", "koe")
	if text := ask(exitDone, "map", "active", "ref-i12"); !strings.Contains(text, "ref-i12@0.1.0") || !strings.Contains(text, "later") || !strings.Contains(text, "koe") {
		t.Errorf("what is active: %s", text)
	}
	if text := ask(exitDone, "map", "active", "siu-s12", "--format", "json"); text != "" {
		t.Errorf("of a map that isn't activated: %s", text)
	}
	var hus contracts.PartnerRow
	for line := range strings.Lines(ask(exitDone, "partners", "--format", "json")) {
		var row contracts.PartnerRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.ID == "hus" {
			hus = row
		}
	}
	if hus.State != contracts.CourierPaused || hus.Pause.Reason != "Uusi versio" || hus.Lag < 1 { // asking for the copy again may have published it twice
		t.Errorf("HUS is shown as %+v", hus)
	}
	var stopped contracts.Stopped
	if err := json.Unmarshal([]byte(ask(exitDone, "stop", string(done[0].Copy), "--reason", "sent by phone", "--format", "json")), &stopped); err != nil || stopped.Unknown || stopped.Partner != "hus" {
		t.Errorf("stopped: %+v, %v", stopped, err)
	}
	ask(exitDone, "resume", "hus")
	ask(exitFaulty, "resume", "nobody")
}

func TestWrongUseOfOperatorCommands(t *testing.T) {
	hub, _, _ := running(t)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args string
		code int
	}{
		{"reprocess", exitUsage},
		{"reprocess --issue NOSUCH", exitDone},
		{"release", exitUsage},
		{"release A-1 --issue NOSUCH", exitUsage},
		{"release --issue NOSUCH", exitFaulty},
		{"issues close NOSUCH", exitFaulty},
		{"issues", exitDone},
		{"reprocess A-1 --state parked", exitUsage},
		{"reprocess --state lost", exitUsage},
		{"reprocess --since noon", exitUsage},
		{"reprocess A-1 A-2 --edit x.hl7", exitUsage},
		{"reprocess A-1 --edit nosuchfile.hl7", exitUsage},
		{"reprocess A-1 --edit " + empty, exitUsage},
		{"reprocess A-1 --map nobodys@1.0.0", exitFaulty},
		{"reprocess NOTHING", exitFaulty},
		{"reprocess NOTHING --dry-run", exitFaulty},
		{"reprocess --state parked", exitDone},
		{"pause", exitUsage},
		{"pause nobody", exitFaulty},
		{"stop A-1", exitUsage},
		{"release NOTHING", exitFaulty},
	} {
		if code, stdout, stderr := silta(t, "", append(strings.Fields(row.args), hub...)...); code != row.code || code != exitDone && stderr == "" {
			t.Errorf("%s exits %d, want %d: %s%s", row.args, code, row.code, stdout, stderr)
		}
	}
}

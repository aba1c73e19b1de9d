package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

func TestACopyTakenUnderLoadHoldsAllThatWasAcknowledgedBefore(t *testing.T) {
	theirs := hospital(t)
	kept := filepath.Join(t.TempDir(), "copies")
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"), "backup: "+kept)
	l := start(t, config)
	door := l.apotti()
	const before, all = 60, 150
	messages := referrals(t, "COPY", 5).Take(all)
	reached := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- insist(t.Context(), func() string { return door }, messages, func(n int) {
			if n == before {
				close(reached)
			}
		})
	}()
	<-reached
	if code, stdout, stderr := silta(t, "", append([]string{"backup", "first"}, l.control...)...); code != exitDone || !strings.Contains(stdout, filepath.Join(kept, "first")) {
		t.Fatalf("backup exits %d: %s%s", code, stdout, stderr)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	checkOrder(t, messages, awaitCount(t, theirs, all))
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	restored := restoreInto(t, config, filepath.Join(kept, "first"))
	again := start(t, restored)
	// What the copy knows to be delivered isn't sent again, and what it doesn't know comes under the id of the first time.
	for _, m := range messages[:before] {
		rows, err := again.hub.Find(t.Context(), m.Control)
		for err == nil && (len(rows) != 1 || rows[0].State != contracts.StateDelivered) {
			<-again.steps // a row changes with a step
			rows, err = again.hub.Find(t.Context(), m.Control)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	checkOrder(t, messages, theirs.Received())
}

// restoreInto restores a copy beside an installation, and gives a configuration that runs on it.
func restoreInto(t *testing.T, config, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if code, _, stderr := silta(t, "", "restore", from, dir); code != exitDone {
		t.Fatalf("restore exits %d: %s", code, stderr)
	}
	edit(t, config, "dir: data", "dir: "+dir)
	return config
}

func TestACopyThatIsDamagedOrInTheWayIsRefused(t *testing.T) {
	kept := t.TempDir()
	config := configured(t, "http://127.0.0.1:1", "backup: "+kept)
	l := start(t, config)
	if code, _, stderr := silta(t, "", append([]string{"backup", "one"}, l.control...)...); code != exitDone {
		t.Fatalf("backup exits %d: %s", code, stderr)
	}
	for name, row := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a name that is a path":    {append([]string{"backup", "../one"}, l.control...), exitUsage, "CFG-067"},
		"a name that is taken":     {append([]string{"backup", "one"}, l.control...), exitFaulty, "CFG-069"},
		"a directory with a hub's": {[]string{"restore", filepath.Join(kept, "one"), l.dir}, exitUnreachable, "in use"},
		"a folder that is no copy": {[]string{"restore", t.TempDir(), t.TempDir()}, exitFaulty, "CFG-071"},
		"a directory with files":   {[]string{"restore", filepath.Join(kept, "one"), kept}, exitFaulty, "CFG-072"},
	} {
		if code, _, stderr := silta(t, "", row.args...); code != row.code || !strings.Contains(stderr, row.says) {
			t.Errorf("%s: exit %d, want %d and %s: %s", name, code, row.code, row.says, stderr)
		}
	}
	info, err := os.Stat(filepath.Join(kept, "one", "bus.db"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others than the owner may read a copy: %v %v", info.Mode(), err)
	}
	f, err := os.OpenFile(filepath.Join(kept, "one", "ledger.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 200); err != nil {
		t.Fatal(err)
	}
	f.Close()
	to := filepath.Join(t.TempDir(), "data")
	if code, _, stderr := silta(t, "", "restore", filepath.Join(kept, "one"), to); code != exitFaulty || !strings.Contains(stderr, "CFG-073") {
		t.Errorf("a damaged copy: exit %d: %s", code, stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(to, "*.db")); len(left) > 0 {
		t.Errorf("a damaged copy leaves %v", left)
	}
	secret, err := os.ReadFile(filepath.Join(filepath.Dir(config), "secrets/hub.secret"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(kept, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), strings.TrimSpace(string(secret))) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAHubDoesntBeginWithHalfOfACopy(t *testing.T) {
	config := installation(t)
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	b, err := json.Marshal(manifest{Silta: "backup/v1", Files: []manifestFile{{Name: "ledger.db", Bytes: 1}}})
	if err == nil {
		err = os.WriteFile(filepath.Join(from, manifestName), b, 0o600)
	}
	pipe := filepath.Join(from, "ledger.db") // a file that doesn't end before we say so
	if err := errors.Join(err, syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := restore(from, to)
		ended <- err
	}()
	in, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until the restore reads
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(filepath.Dir(config), "data"), os.DirFS(to)); err != nil { // as a kill leaves it
		t.Fatal(err)
	}
	if code, _, stderr := silta(t, "", "serve", "-c", config); code != exitFaulty || !strings.Contains(stderr, "CFG-074") {
		t.Errorf("on half a copy serve exits %d: %s", code, stderr)
	}
	in.Close()
	if err := <-ended; contracts.FaultsOf(err)[0].Code != "CFG-073" {
		t.Errorf("a copy that is too short: %v", err)
	}
	if err := checkRestored(to); err != nil {
		t.Errorf("a restore that has told its fault leaves a mark: %v", err)
	}
}

//go:build unix

package custody

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// A process whose files may grow no further, as on a full disk, acknowledges nothing that it can't keep; when there is
// room again it goes on, and what it acknowledged comes to the partner once, in order. It runs in a process of its own,
// since the limit is the whole process's.
func TestAFullDiskLosesNothing(t *testing.T) {
	const child = "SILTA_FULL_DISK"
	if os.Getenv(child) == "" {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	p := newPeer(t, speaksFHIR)
	courier, _ := overFHIR.couriers(t, edge{}, p)
	h := wired(t, []lab{{"lab", labFHIR, patient, courier}})
	room := strings.Repeat("x", 20<<10)
	send := func(n int) error {
		_, err := h.hub.Receive(t.Context(), contracts.Arrival{Partner: "to-lab", Format: contracts.FormatFHIR,
			Body: contracts.NewBody(message(fmt.Sprint("M-", n), "request", "R-1", fmt.Sprintf("n-0/%d %s", n, room)))})
		return err
	}
	if err := send(0); err != nil {
		t.Fatal(err)
	}
	h.await(contracts.StepDelivered, "")
	enough := limitFiles(t, largest(t, h.dir)+256<<10)
	acknowledged := 1
	for ; acknowledged < 1000; acknowledged++ {
		if err := send(acknowledged); err != nil {
			if contracts.KindOf(err) != contracts.Unavailable {
				t.Errorf("the disk is full: %v", err)
			}
			break
		}
	}
	if acknowledged == 1000 || acknowledged == 1 {
		t.Fatalf("the disk filled after %d messages", acknowledged)
	}
	enough()
	if err := send(acknowledged); err != nil { // the sender kept it
		t.Fatalf("there is room again: %v", err)
	}
	awaitInOrder(t, p, 1, acknowledged+1)
}

// largest is the size of the largest file in a directory.
func largest(t *testing.T, dir string) (most int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			most = max(most, info.Size())
		}
	}
	return most
}

// limitFiles lets no file of this process grow beyond a size, until enough is called.
func limitFiles(t *testing.T, size int64) (enough func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	now := before
	now.Cur = uint64(size)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

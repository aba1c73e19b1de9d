package chaos_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hoitosilta/silta/testfixtures/chaos"
)

// One process has its files on a small disk of its own that others fill: it stops acknowledging, and goes on when there
// is room again.
func TestOneProcessOnASmallDisk(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("mounting a small disk takes root and its rights: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := begin(t, 1, chaos.Stores{Bus: "embedded", Ledger: "embedded", Dir: disk}, 5) // few, so that the messages fit
	filled := 0
	r.under(t, min(*lasting, 15*time.Second), func(ctx context.Context) {
		wait(ctx, some(500*time.Millisecond, 2*time.Second))
		if ctx.Err() != nil {
			return
		}
		defer r.log.Begin("disk full")()
		others := filepath.Join(disk, "others")
		if err := fill(others); err != nil {
			t.Fatal(err)
		}
		refused, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := r.hubs[0].Refusing(refused); err != nil {
			t.Error("a hub on a full disk says that it takes messages")
		}
		filled++
		wait(ctx, some(time.Second, 3*time.Second))
		if err := os.Remove(others); err != nil {
			t.Fatal(err)
		}
		if err := r.hubs[0].Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if filled == 0 {
		t.Error("the disk was never full")
	}
}

// fill takes all the room that is left on a file's disk.
func fill(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, unix.ENOSPC) && n == 0:
			size /= 2
		case err != nil && !errors.Is(err, unix.ENOSPC):
			return err
		}
	}
	return nil
}

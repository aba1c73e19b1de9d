package embedded_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/contracts"
)

// finish lets a group finish records until the one of that id is among them.
func finish(t *testing.T, bus *embedded.Bus, until string) (ids []string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err := bus.Consume(ctx, "t", "g", 1, func(_ context.Context, r contracts.Record) error {
		if ctx.Err() != nil { // one that came behind the last
			return ctx.Err()
		}
		ids = append(ids, string(r.ID))
		if string(r.ID) == until {
			stop()
		}
		return nil
	})
	if err != nil || len(ids) == 0 || ids[len(ids)-1] != until {
		t.Fatalf("the group finished %v: %v", ids, err)
	}
	return ids
}

// A ledger that is copied in between knows what was finished before; what is finished later, it may not know.
func TestACopyHandsOutAgainWhatWasFinishedSinceItBegan(t *testing.T) {
	bus, err := embedded.Open(t.TempDir(), embedded.LargeFrom(1000))
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	publish := func(n, size int) {
		t.Helper()
		r := contracts.Record{Topic: "t", Key: "k", ID: contracts.ID(strconv.Itoa(n)), Time: time.Now(), Body: contracts.NewBody(bytes.Repeat([]byte{byte(n)}, size))}
		if _, err := bus.Publish(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 6 {
		publish(n, 10)
	}
	finish(t, bus, "2")
	dir := t.TempDir()
	err = bus.Backup(t.Context(), dir, func() error {
		finish(t, bus, "4")
		publish(6, 5000) // a body in a file of its own
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := finish(t, bus, "6"); left[0] != "5" {
		t.Errorf("the bus itself goes on with %v", left)
	}

	copied, err := embedded.Open(dir, embedded.LargeFrom(1000))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if files, _ := filepath.Glob(filepath.Join(dir, "bus-bodies", "*")); len(files) != 1 {
		t.Errorf("the copy has the bodies %v", files)
	}
	var large contracts.Body
	err = copied.Replay(t.Context(), contracts.Replay{Topic: "t"}, func(r contracts.Record) error { large = r.Body; return nil })
	if err != nil || large.Len() != 5000 {
		t.Errorf("the last record of the copy has %d bytes: %v", large.Len(), err)
	}
	if again := finish(t, copied, "6"); again[0] != "3" {
		t.Errorf("the copy goes on with %v, want 3 and what follows", again)
	}
}

package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// At the moment Publish returns, and at each sync in between, a power cut leaves every acknowledged record: whether
// all writes since the last syncs are lost or only some of them. A kill can't show this, because the system keeps
// what a killed process wrote.
func TestAPowerCutLosesNothingAcknowledged(t *testing.T) {
	acknowledged, cuts, lost := powerCuts(t, settings{synchronous: "FULL"})
	if len(lost) > 0 {
		t.Errorf("of %d acknowledged records %d were lost in one of %d power cuts", acknowledged, len(lost), cuts)
	}
	if acknowledged != 8*8 || cuts < 2*acknowledged {
		t.Errorf("%d records and %d power cuts were tried", acknowledged, cuts)
	}
}

// The proof sees what it is to see: a bus that doesn't sync loses acknowledged records.
func TestAPowerCutShowsAMissingSync(t *testing.T) {
	for name, set := range map[string]settings{
		"no sync at all":               {synchronous: "OFF"},
		"sync at checkpoints only":     {synchronous: "NORMAL"},
		"bodies of their own unsynced": {synchronous: "FULL", sync: func(*os.File) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, lost := powerCuts(t, set); len(lost) == 0 {
				t.Error("nothing was lost, so the proof proves nothing")
			}
		})
	}
}

// powerCuts has eight callers publish, one record in four a large one, cuts the power again and again, and gives the
// records that were acknowledged before a cut and aren't there after it, of the first cut that lost any.
func powerCuts(t *testing.T, set settings) (acknowledged, cuts int, lost map[contracts.ID]bool) {
	registerRecorder()
	d := newDisk()
	record(d)
	dir := filepath.Join(t.TempDir(), "bus")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	bus, err := Open(dir, func(s *settings) {
		s.vfs, s.synchronous, s.large, s.checkpoint, s.sync = "recorder", set.synchronous, 20<<10, 16, d.sync
		if set.sync != nil {
			s.sync = set.sync
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if set.sync != nil { // the mutant is about bodies, so the name of the file is durable
		folder, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.sync(folder); err != nil {
			t.Fatal(err)
		}
		folder.Close()
	}

	type cut struct {
		want int // of the acknowledged ones, the first so many
		left map[string][]byte
	}
	var mu sync.Mutex
	var ids []contracts.ID
	var taken []cut
	some := rand.New(rand.NewPCG(1, 2))
	take := func() {
		taken = append(taken, cut{len(ids), d.cut(nil)}, cut{len(ids), d.cut(some)})
	}
	d.synced = func() {
		mu.Lock()
		defer mu.Unlock()
		if len(taken)%5 == 0 {
			take()
		}
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for n := range 8 {
				r := contracts.Record{Topic: contracts.TopicIn, Key: contracts.Key(fmt.Sprint(caller)), ID: contracts.DerivedID("power", fmt.Sprint(caller), fmt.Sprint(n)),
					Time: time.Unix(0, 0), Body: contracts.NewBody(make([]byte, 1500+n%4/3*30<<10))}
				if _, err := bus.Publish(context.Background(), r, &contracts.Once{Key: contracts.Key(r.ID), Digest: "d"}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids = append(ids, r.ID)
				take()
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	d.synced = func() {}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	lost = map[contracts.ID]bool{}
	for _, c := range taken {
		there := after(t, dir, c.left)
		for _, id := range ids[:c.want] {
			if !there[id] {
				lost[id] = true
			}
		}
		if len(lost) > 0 {
			break
		}
	}
	return len(ids), len(taken), lost
}

// after opens what a power cut left, in a folder of its own, and gives the records that can be read whole.
func after(t *testing.T, dir string, left map[string][]byte) map[contracts.ID]bool {
	t.Helper()
	fresh := t.TempDir()
	for path, b := range left {
		to, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(fresh, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := map[contracts.ID]bool{}
	bus, err := Open(fresh, func(s *settings) { s.synchronous, s.sync = "OFF", func(*os.File) error { return nil } })
	if err != nil {
		return there
	}
	defer bus.Close()
	// A record whose body is gone ends the replay; those behind it count as gone too.
	_ = bus.Replay(t.Context(), contracts.Replay{Topic: contracts.TopicIn}, func(r contracts.Record) error {
		there[r.ID] = true
		return nil
	})
	return there
}

package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/contracts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openIn(t *testing.T, dir string, options ...Option) *Bus {
	t.Helper()
	b, err := Open(dir, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func numbered(n int, key contracts.Key) contracts.Record {
	return contracts.Record{Topic: "t", Key: key, ID: contracts.DerivedID("test", fmt.Sprint(n)), Time: time.UnixMicro(int64(n)).UTC(),
		Body: contracts.NewBody(fmt.Append(nil, n))}
}

func publish(t *testing.T, b *Bus, records ...contracts.Record) {
	t.Helper()
	for _, r := range records {
		if _, err := b.Publish(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func wantFault(t *testing.T, err error, kind contracts.Kind, code string) {
	t.Helper()
	var f *contracts.Fault
	if !errors.As(err, &f) || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, want a fault %s %s", err, kind, code)
	}
}

func lag(t *testing.T, b *Bus) int64 {
	t.Helper()
	n, err := b.Lag(t.Context(), "t", "g")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// In virtual time nothing else can be running when Wait returns, so "nothing was handed out" is exact.
func TestPausesAndBackOffInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, t.TempDir(), Backoff(time.Second, 4*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		var handed []time.Duration
		began := time.Now()
		ended := make(chan error)
		b.Pause("t", "g")
		go func() {
			ended <- b.Consume(ctx, "t", "g", 4, func(context.Context, contracts.Record) error {
				handed = append(handed, time.Since(began))
				if len(handed) < 6 {
					return errors.New("again")
				}
				return nil
			})
		}()
		publish(t, b, numbered(1, "a"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(handed) > 0 {
			t.Error("a paused group was handed a record")
		}
		b.Resume("t", "g")
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []time.Duration{0, 1, 3, 7, 11, 15}
		for i := range want {
			want[i] = time.Hour + want[i]*time.Second
		}
		if !slices.Equal(handed, want) {
			t.Errorf("the record came at %v, want %v", handed, want)
		}
		if n := lag(t, b); n != 0 {
			t.Errorf("lag is %d, want 0", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseDrainsAndRefusesWhatComesAfter(t *testing.T) {
	b := openIn(t, t.TempDir())
	publish(t, b, numbered(1, "a"))
	begun, release, ended, closed := make(chan bool), make(chan bool), make(chan error, 1), make(chan error, 1)
	go func() {
		ended <- b.Consume(t.Context(), "t", "g", 1, func(context.Context, contracts.Record) error {
			begun <- true
			<-release
			return nil
		})
	}()
	<-begun
	wantFault(t, b.Consume(t.Context(), "t", "g", 1, nil), contracts.Internal, codeTwice)
	go func() { closed <- b.Close() }()
	<-b.closing
	select {
	case <-closed:
		t.Error("the bus closed while a handle ran")
	case release <- true:
	}
	if err := errors.Join(<-ended, <-closed); err != nil {
		t.Error(err)
	}
	_, err := b.Publish(t.Context(), numbered(2, "a"), nil)
	wantFault(t, err, contracts.Unavailable, codeClosed)
	wantFault(t, b.Consume(t.Context(), "t", "g", 1, nil), contracts.Unavailable, codeClosed)
	wantFault(t, b.Health(t.Context()), contracts.Unavailable, codeClosed)
}

func TestACallerThatLeftIsToldUnknown(t *testing.T) {
	b := openIn(t, t.TempDir(), LargeFrom(10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Publish(ctx, numbered(1234567, "a"), nil)
	wantFault(t, err, contracts.Unavailable, codeUnknown)
	if files, err := os.ReadDir(b.bodies.folder); err != nil || len(files) > 0 {
		t.Errorf("%d files of bodies stayed behind (%v)", len(files), err)
	}
	_, err = b.Publish(t.Context(), contracts.Record{}, nil)
	wantFault(t, err, contracts.Internal, codeRecord)
}

// A full disk refuses and harms nothing, and the bus goes on by itself once there is room.
func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir, LargeFrom(30<<10))
	limit := func(pages int) {
		t.Helper()
		if _, err := b.writer.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	r := numbered(0, "a")
	r.Body = contracts.NewBody(make([]byte, 20<<10))
	publish(t, b, r)
	limit(1) // SQLite takes the file's present size instead
	kept, refused := 1, 0
	for refused < 3 {
		_, err := b.Publish(t.Context(), r, &contracts.Once{Key: "once", Digest: "d"})
		if err == nil {
			kept++
			continue
		}
		wantFault(t, err, contracts.Unavailable, codeFull)
		refused++
	}
	large := r
	large.Body = contracts.NewBody(make([]byte, 40<<10))
	large.Header = map[string]string{contracts.HeaderControl: strings.Repeat("C", 20<<10)}
	_, err := b.Publish(t.Context(), large, nil)
	wantFault(t, err, contracts.Unavailable, codeFull)

	limit(1 << 20)
	if p, err := b.Publish(t.Context(), r, &contracts.Once{Key: "once", Digest: "d"}); err != nil || p.Claim != contracts.ClaimNew {
		t.Errorf("with room again: claim %d, %v", p.Claim, err)
	}
	if err := b.Health(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if n := lag(t, b); n != int64(kept)+1 {
		t.Errorf("%d records are there, want the %d acknowledged", n, kept+1)
	}
	if files, err := os.ReadDir(b.bodies.folder); err != nil || len(files) > 0 {
		t.Errorf("%d bodies of refused records stayed behind (%v)", len(files), err)
	}
}

func TestOpenRemovesBodiesWithoutARecord(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir, LargeFrom(1))
	publish(t, b, numbered(1, "a"))
	for _, name := range []string{"1.body", "2.part"} {
		if err := os.WriteFile(filepath.Join(b.bodies.folder, name), []byte{1}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	b = openIn(t, dir)
	files, err := os.ReadDir(b.bodies.folder)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder has %d files (%v), want the record's one", len(files), err)
	}
	r, err := b.Read(t.Context(), contracts.Place{Topic: "t"})
	if err != nil || string(r.Body.Bytes()) != "1" {
		t.Errorf("the record's body is %v (%v)", r.Body, err)
	}
}

func TestOpenRefusesANewerFile(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	if _, err := b.writer.conn.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	b.Close()
	_, err := Open(dir)
	wantFault(t, err, contracts.Unavailable, codeNewer)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bus.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	wantFault(t, err, contracts.Unavailable, codeOpen)
	_, err = Open(filepath.Join(dir, "bus.db"))
	wantFault(t, err, contracts.Unavailable, codeOpen)
}

// When Consume has returned, what it finished is in the file: a kill right afterwards brings nothing back.
func TestConsumeLeavesNothingUnwritten(t *testing.T) {
	b := openIn(t, t.TempDir())
	publish(t, b, numbered(1, "a"), numbered(2, "b"))
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := b.Consume(ctx, "t", "g", 1, func(context.Context, contracts.Record) error {
		if n++; n == 2 {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var next int64
	if err := b.reads.QueryRowContext(t.Context(), "SELECT next FROM groups WHERE name = 'g'").Scan(&next); err != nil || next != 2 {
		t.Errorf("the file says %d (%v), want 2", next, err)
	}
}

// A record that can't be read is not skipped: it comes again, and only its key waits.
func TestADamagedRecordStopsOnlyItsKey(t *testing.T) {
	b := openIn(t, t.TempDir(), Backoff(time.Millisecond, time.Millisecond))
	publish(t, b, numbered(1, "a"), numbered(2, "a"), numbered(3, "b"))
	repair := func(body []byte) {
		t.Helper()
		if _, err := b.writer.conn.ExecContext(t.Context(), "UPDATE records SET body = ? WHERE key = 'a' AND at = 1", body); err != nil {
			t.Fatal(err)
		}
	}
	repair([]byte{9, 0, 0, 0, 0})
	ctx, cancel := context.WithCancel(t.Context())
	got, ended := make(chan string), make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, "t", "g", 2, func(_ context.Context, r contracts.Record) error {
			got <- string(r.Body.Bytes())
			return nil
		})
	}()
	order := []string{<-got}
	_, err := b.Read(t.Context(), contracts.Place{Topic: "t"})
	wantFault(t, err, contracts.Internal, "BODY-004")
	repair(contracts.Pack(contracts.NewBody([]byte("1"))))
	order = append(order, <-got, <-got)
	if want := []string{"3", "1", "2"}; !slices.Equal(order, want) {
		t.Errorf("records came as %v, want %v", order, want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Records that are gone by age leave a gap that counts as finished, and their offsets are never given again.
func TestRemovedRecordsLeaveAGap(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	for n := range 600 {
		publish(t, b, numbered(n, "a"))
	}
	for _, query := range []string{"DELETE FROM records WHERE at < 100 OR at BETWEEN 200 AND 499 OR at > 550", "UPDATE topics SET floor = 100"} {
		if _, err := b.writer.conn.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	n, ended := 0, make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, "t", "g", 1, func(context.Context, contracts.Record) error {
			if n++; n == 100+51 {
				cancel()
			}
			return nil
		})
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left := lag(t, b); left != 0 {
		t.Errorf("lag is %d, want 0", left)
	}
	if _, err := b.writer.conn.ExecContext(t.Context(), "DELETE FROM records"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.writer.conn.ExecContext(t.Context(), "UPDATE topics SET floor = 600"); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b = openIn(t, dir)
	if left := lag(t, b); left != 0 {
		t.Errorf("lag is %d after reopening, want 0", left)
	}
	p, err := b.Publish(t.Context(), numbered(600, "a"), nil)
	if err != nil || p.Place.Offset != 600 {
		t.Errorf("the next record stands at %d (%v), want 600", p.Place.Offset, err)
	}
}

// A stuck key lets the others go ahead as far as the window, and no further.
func TestAStuckKeyStopsItsGroupAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, t.TempDir(), Window(128))
		publish(t, b, numbered(0, "stuck"))
		for n := range 400 {
			publish(t, b, numbered(1+n, contracts.Key(fmt.Sprint(n%7))))
		}
		ctx, cancel := context.WithCancel(t.Context())
		handed, release, ended := make(chan bool, 500), make(chan bool), make(chan error, 1)
		go func() {
			ended <- b.Consume(ctx, "t", "g", 4, func(_ context.Context, r contracts.Record) error {
				if r.Key == "stuck" {
					<-release
				}
				handed <- true
				return nil
			})
		}()
		synctest.Wait()
		if len(handed) != 127 {
			t.Errorf("beside a stuck key %d records were handed out, want the window's other 127", len(handed))
		}
		if n := lag(t, b); n != 401-127 {
			t.Errorf("lag is %d, want %d", n, 401-127)
		}
		close(release)
		synctest.Wait()
		if len(handed) != 401 {
			t.Errorf("then %d records were handed out, want all 401", len(handed))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		b.Close()
	})
}

// The index of keys goes by buckets of places, and a page of a replay ends within one or at its end.
func TestReplayOfAKeyCrossesBuckets(t *testing.T) {
	b := openIn(t, t.TempDir())
	var want []contracts.ID
	var group errgroup.Group
	publish(t, b, numbered(0, "one"))
	group.SetLimit(256)
	for n := range 9000 {
		group.Go(func() error {
			_, err := b.Publish(t.Context(), numbered(n+1, contracts.Key(fmt.Sprint(n%10))), nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	publish(t, b, numbered(9001, "one"))
	for n := range 900 {
		want = append(want, numbered(10*n+4, "3").ID)
	}
	slices.Sort(want)
	for _, c := range []struct {
		key  contracts.Key
		want []contracts.ID
	}{
		{"3", want},
		{"one", []contracts.ID{numbered(0, "").ID, numbered(9001, "").ID}},
		{"none", nil},
	} {
		var got []contracts.ID
		last := int64(-1)
		err := b.Replay(t.Context(), contracts.Replay{Topic: "t", Key: c.key}, func(r contracts.Record) error {
			if r.Place.Offset <= last {
				t.Errorf("key %s: offset %d comes after %d", c.key, r.Place.Offset, last)
			}
			last = r.Place.Offset
			got = append(got, r.ID)
			return nil
		})
		if c.key == "3" { // many callers at once published it
			slices.Sort(got)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("key %s: replay gives %d records (%v), want %d", c.key, len(got), err, len(c.want))
		}
	}
}

func TestTheWatermarkIsTheFirstUnfinished(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for begin := range int64(200) {
		w := newWatermark(begin, 128)
		finished := map[int64]bool{}
		for range 1000 {
			offset := w.low + random.Int64N(w.window)
			finished[offset] = true
			low := begin
			for finished[low] {
				low++
			}
			if got := w.finish(offset); got != low {
				t.Fatalf("from %d: the watermark is %d, want %d", begin, got, low)
			}
		}
		if w.finish(begin-1) != w.low {
			t.Fatal("an offset below moved the watermark")
		}
	}
}

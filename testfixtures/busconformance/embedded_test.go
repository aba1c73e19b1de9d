package busconformance_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/busconformance"
)

var _ hub.Bus = (*embedded.Bus)(nil)

// The processes that publish or consume until they are killed, and the one that wants a directory, are this test
// binary again.
const (
	childPublishes = "SILTA_TEST_PUBLISH_IN"
	childConsumes  = "SILTA_TEST_CONSUME_IN"
	childLocks     = "SILTA_TEST_LOCK"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childPublishes); dir != "" {
		publishForever(dir)
	}
	if dir := os.Getenv(childConsumes); dir != "" {
		consumeForever(dir)
	}
	if dir := os.Getenv(childLocks); dir != "" {
		lockAndTell(dir)
	}
	goleak.VerifyTestMain(m)
}

func openEmbedded(t testing.TB, dir string) *embedded.Bus {
	t.Helper()
	// A short back-off: the tests wait for what comes again.
	bus, err := embedded.Open(dir, embedded.Backoff(time.Millisecond, 20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return bus
}

func TestEmbeddedConforms(t *testing.T) {
	busconformance.Run(t, func(t *testing.T) busconformance.Harness {
		dir := t.TempDir()
		bus := openEmbedded(t, dir)
		shut := func() {
			if err := bus.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		t.Cleanup(func() { shut() })
		return busconformance.Harness{Bus: bus, Reopen: func() hub.Bus {
			shut()
			bus = openEmbedded(t, dir)
			return bus
		}}
	})
}

// A process that is killed while many callers publish leaves every record there that it had acknowledged, and the
// directory free for the next one.
func TestEmbeddedOutlivesAKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[contracts.ID]bool{}
	for round := range 3 {
		for _, id := range killAfter(t, 500, childPublishes+"="+dir, fmt.Sprintf("SILTA_TEST_ROUND=%d", round)) {
			acknowledged[id] = true
		}
		lock, err := embedded.Lock(dir)
		if err != nil {
			t.Fatalf("after the kill: %v", err)
		}
		bus := openEmbedded(t, dir)
		there := map[contracts.ID]bool{}
		err = bus.Replay(t.Context(), contracts.Replay{Topic: contracts.TopicIn}, func(r contracts.Record) error {
			if there[r.ID] {
				t.Errorf("%s is there twice", r.ID)
			}
			there[r.ID] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for id := range acknowledged {
			if !there[id] {
				t.Errorf("%s was acknowledged and is gone", id)
			}
		}
		if err := errors.Join(bus.Close(), lock.Unlock()); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 3*500 {
		t.Fatalf("only %d records were acknowledged", len(acknowledged))
	}
}

// killAfter runs this binary with an environment, kills it with -9 once it has printed so many ids, and gives all that
// it printed.
func killAfter(t *testing.T, n int, environment ...string) []contracts.ID {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), environment...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []contracts.ID
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if ids = append(ids, contracts.ID(lines.Text())); len(ids) == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return ids
}

// What a killed process hadn't finished comes again; what it had finished may.
func TestEmbeddedGivesAgainWhatAKilledProcessHadBegun(t *testing.T) {
	dir := t.TempDir()
	bus := openEmbedded(t, dir)
	missing := map[contracts.ID]bool{}
	for n := range 400 {
		key := contracts.Key(fmt.Sprint(n % 10))
		if n%100 == 50 {
			key = stuckKey
		}
		r := contracts.Record{Topic: contracts.TopicIn, Key: key, ID: contracts.DerivedID("crash", fmt.Sprint(n)), Time: time.Unix(0, 0)}
		if _, err := bus.Publish(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		missing[r.ID] = true
	}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range killAfter(t, 200, childConsumes+"="+dir) {
		delete(missing, id)
	}
	if len(missing) < 4 {
		t.Fatalf("%d records are unfinished, want the 4 of the stuck key at least", len(missing))
	}
	bus = openEmbedded(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := bus.Consume(ctx, contracts.TopicIn, "hub", 1, func(_ context.Context, r contracts.Record) error {
		if delete(missing, r.ID); len(missing) == 0 {
			cancel()
		}
		return nil
	})
	if err := errors.Join(err, bus.Close()); err != nil {
		t.Fatal(err)
	}
	if len(missing) > 0 {
		t.Errorf("%d unfinished records didn't come again", len(missing))
	}
}

const stuckKey = "stuck"

// consumeForever prints the id of each record as it finishes it, and never finishes those of the stuck key.
func consumeForever(dir string) {
	bus, err := embedded.Open(dir)
	if err == nil {
		var out sync.Mutex
		err = bus.Consume(context.Background(), contracts.TopicIn, "hub", 4, func(_ context.Context, r contracts.Record) error {
			if r.Key == stuckKey {
				select {}
			}
			out.Lock()
			defer out.Unlock()
			fmt.Println(r.ID)
			return nil
		})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// publishForever has many callers publish, large records among them, and prints each id once it is acknowledged.
func publishForever(dir string) {
	lock, err := embedded.Lock(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	defer lock.Unlock()
	bus, err := embedded.Open(dir, embedded.LargeFrom(64<<10))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	var out sync.Mutex
	for caller := range 16 {
		go func() {
			for n := 0; ; n++ {
				size := 1500
				if n%20 == 19 {
					size = 100 << 10
				}
				id := contracts.DerivedID("kill", os.Getenv("SILTA_TEST_ROUND"), fmt.Sprint(caller), fmt.Sprint(n))
				_, err := bus.Publish(context.Background(), contracts.Record{
					Topic: contracts.TopicIn, Key: contracts.Key(fmt.Sprint(caller)), ID: id, Time: time.Unix(0, 0),
					Body: contracts.NewBody(make([]byte, size)),
				}, &contracts.Once{Key: contracts.Key(id), Digest: "d"})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(id)
				out.Unlock()
			}
		}()
	}
	select {}
}

func TestEmbeddedRefusesASecondProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	lock, err := embedded.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		told := askForLock(t, dir)
		if want := fmt.Sprintf("unavailable BUS-001 process %d", os.Getpid()); !strings.Contains(told, want) {
			t.Errorf("a second process was told %q, want %q in it", told, want)
		}
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if told := askForLock(t, dir); told != "mine\n" {
		t.Errorf("when the directory was free, another process was told %q", told)
	}
}

func askForLock(t *testing.T, dir string) string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childLocks+"="+dir)
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func lockAndTell(dir string) {
	_, err := embedded.Lock(dir)
	if err == nil {
		fmt.Println("mine")
		os.Exit(0)
	}
	f := contracts.FaultsOf(err)[0]
	_, held, _ := strings.Cut(f.Public, "in use by ")
	fmt.Println(f.Kind, f.Code, held)
	os.Exit(0)
}

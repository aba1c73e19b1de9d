package ledgerconformance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// Closer is a ledger that can be closed and opened again.
type Closer interface {
	hub.Ledger
	Close() error
}

// place is the environment variable that makes the test binary a process that writes to the ledger there until it is
// killed; from is the number of the first message that it writes.
const (
	place = "SILTA_LEDGER_TO_KILL"
	from  = "SILTA_LEDGER_FROM"
)

// RunDurable tests that what a ledger took is there after it was closed, and after its process was killed. open opens
// the ledger at a path, anew or again. It must be called by a test function of its own, because the process that is
// killed is the test binary with that function alone.
func RunDurable(t *testing.T, open func(path string) (Closer, error)) {
	if path := os.Getenv(place); path != "" {
		writeUntilKilled(t, path, open)
		return
	}
	t.Run("what was applied is there after closing and opening", func(t *testing.T) { reopened(t, open) })
	t.Run("a closed ledger takes nothing and says so", func(t *testing.T) { closed(t, open) })
	t.Run("what was applied is there after kill -9", func(t *testing.T) { killed(t, strings.Split(t.Name(), "/")[0], open) })
}

func reopened(t *testing.T, open func(string) (Closer, error)) {
	path := t.TempDir() + "/ledger.db"
	for n := 1; n <= 5; n++ {
		l := must(open(path))(t)
		apply(t, l, everything(n))
		equal(t, "rows", len(must(l.List(t.Context(), contracts.Filter{}))(t)), n)
		equal(t, "fixed value", must(l.Fix(t.Context(), "name", fmt.Sprint(n)))(t), "1")
		for m := 1; m <= n; m++ {
			whole(t, l, m)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func closed(t *testing.T, open func(string) (Closer, error)) {
	l := must(open(t.TempDir() + "/ledger.db"))(t)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, find := l.Find(t.Context(), "any")
	_, fix := l.Fix(t.Context(), "name", "value")
	for what, err := range map[string]error{"apply": l.Apply(t.Context(), everything(1)), "find": find, "fix": fix, "health": l.Health(t.Context())} {
		if contracts.KindOf(err) != contracts.Unavailable {
			t.Errorf("%s gives %v, want a fault of kind unavailable", what, err)
		}
	}
}

// whole checks that all rows of message n are there.
func whole(t *testing.T, l hub.Ledger, n int) {
	t.Helper()
	want := everything(n)
	e, err := l.Entry(t.Context(), incoming(n))
	if err != nil {
		t.Errorf("message %d was applied and isn't there: %v", n, err)
		return
	}
	equal(t, "entry", e, want.Entries[0])
	equal(t, "deliveries", must(l.Deliveries(t.Context(), incoming(n)))(t), want.Deliveries)
	equal(t, "steps", kinds(must(l.MessageSteps(t.Context(), incoming(n)))(t)), []string{contracts.StepReceived})
	equal(t, "identifiers", must(l.Identifiers(t.Context(), e.Journey))(t), want.Identifiers)
	equal(t, "journey", must(l.Journey(t.Context(), e.Journey))(t), want.Journeys[0])
	equal(t, "body", must(l.Body(t.Context(), want.Bodies[0].Digest))(t), want.Bodies[0].Body)
	equal(t, "behind", behind(t, l, control(n)), []contracts.ID{incoming(n)})
}

const (
	writers  = 8         // goroutines that write in the process that is killed
	perRound = 1_000_000 // numbers kept for the messages of one round
)

// killed lets a process write, kills it in the middle, and looks for everything that it had been told is there; on the
// same file again and again, and with a change of each kind of row, so that one that is half there shows.
func killed(t *testing.T, name string, open func(string) (Closer, error)) {
	path := t.TempDir() + "/ledger.db"
	told := map[int]bool{}
	for round := range 3 {
		before := len(told)
		tell(t, name, path, round*perRound, 40+round*35, told)
		if len(told) == before {
			t.Fatal("the process was told of nothing; there is nothing to look for")
		}
		l := must(open(path))(t)
		for _, row := range must(l.List(t.Context(), contracts.Filter{Since: entry(round * perRound).Received, Limit: perRound}))(t) {
			var n int
			fmt.Sscanf(row.Control, "C%d", &n)
			whole(t, l, n)
		}
		for n := range told {
			if _, err := l.Entry(t.Context(), incoming(n)); err != nil {
				t.Errorf("message %d was applied and isn't there: %v", n, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// tell starts a process that writes messages from number first on and kills it after it has told of at least enough. It
// adds all numbers that the process was told, also those that were on their way when it was killed.
func tell(t *testing.T, name, path string, first, enough int, told map[int]bool) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), place+"="+path, fmt.Sprintf("%s=%d", from, first))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "applied %d", &n); err != nil {
			t.Errorf("the process says %q", lines.Text())
			break
		}
		told[n] = true
		if i == enough {
			cmd.Process.Kill()
		}
	}
	cmd.Process.Kill()
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended by itself, want it killed")
	}
}

// writeUntilKilled tells of each message on standard output, in one write a line, as soon as Apply has returned.
func writeUntilKilled(t *testing.T, path string, open func(string) (Closer, error)) {
	l := must(open(path))(t)
	var first int
	fmt.Sscan(os.Getenv(from), &first)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				n := first + i*writers + w
				if err := l.Apply(t.Context(), everything(n)); err != nil {
					fmt.Printf("can't apply: %v\n", err)
					return
				}
				fmt.Printf("applied %d\n", n)
			}
		})
	}
	wg.Wait()
}

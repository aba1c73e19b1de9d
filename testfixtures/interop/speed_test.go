//go:build interop

package interop

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// tenPaths are what a door, a route and a map's key rules ask of a message.
var tenPaths = []hl7v2.Path{
	hl7v2.MustPath("MSH-3.1"), hl7v2.MustPath("MSH-9.2"), hl7v2.MustPath("MSH-10"), hl7v2.MustPath("RF1-1.1"), hl7v2.MustPath("RF1-6.1"),
	hl7v2.MustPath("PRD[1.1=RP]-2.1"), hl7v2.MustPath("PID-3[5=NNFIN].1"), hl7v2.MustPath("PID-5.1"), hl7v2.MustPath("OBX-5"), hl7v2.MustPath("NTE-3"),
}

// How fast we parse and read ten fields, and how fast HAPI parses, taking turns with the same messages. HAPI is warm: it
// has had many rounds before. It gets text where we get bytes. What counts is processor time, so other work on the
// machine does little harm. Figures are printed, never judged: they depend on the machine.
func TestSpeedBesideHAPI(t *testing.T) {
	// One core, for us and for HAPI: no collector works beside the parser.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	compareSpeed(t, "invented referrals", inventedReferrals(t))
	if all := corpus(t); len(all) > 0 {
		compareSpeed(t, "messages of the corpus", readByBoth(t, all))
	}
}

func compareSpeed(t *testing.T, what string, messages [][]byte) {
	t.Helper()
	h := startHAPI(t, messages)
	for warm := time.Duration(0); warm < 6*time.Second; {
		warm += h.round(t)
	}
	ourRound(t, messages, 1)
	var ours, theirs []time.Duration
	for range 9 {
		theirs = append(theirs, h.round(t))
		ours = append(ours, ourRound(t, messages, 50))
	}
	h.stop(t)
	slices.Sort(ours)
	slices.Sort(theirs)
	middle, size := len(ours)/2, 0
	for _, m := range messages {
		size += len(m)
	}
	perSecond := func(d time.Duration) float64 { return float64(len(messages)) / d.Seconds() }
	t.Logf("%d %s, %d bytes on average, one core, median of %d rounds (and the best):", len(messages), what, size/len(messages), len(ours))
	t.Logf("  silta, parse and ten reads     %7.0f messages/s (%.0f)", perSecond(ours[middle]), perSecond(ours[0]))
	t.Logf("  HAPI, parse, no validation     %7.0f messages/s (%.0f)", perSecond(theirs[middle]), perSecond(theirs[0]))
	t.Logf("  silta does as many times more  %7.0f            (%.0f)", theirs[middle].Seconds()/ours[middle].Seconds(), theirs[0].Seconds()/ours[0].Seconds())
}

// inventedReferrals are in UTF-8, which HAPI reads as text.
func inventedReferrals(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for i, version := range versions {
		maker, err := generate.New(generate.Options{Seed: uint64(i), Version: version})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range maker.Take(25) {
			all = append(all, m.Bytes)
		}
	}
	return all
}

// readByBoth gives the messages that HAPI and we read, in UTF-8 and with CR, so that neither has line ends to mend.
func readByBoth(t *testing.T, messages []message) [][]byte {
	t.Helper()
	var all [][]byte
	for i, r := range askHAPI(t, messages) {
		if r.refused == "" && messages[i].parsed != nil {
			all = append(all, text(messages[i].parsed))
		}
	}
	return all
}

// ourRound gives the processor time that all messages take once, measured over so many times.
func ourRound(t *testing.T, messages [][]byte, times int) time.Duration {
	t.Helper()
	var text []byte
	from := processorTime(t)
	for range times {
		for _, b := range messages {
			m, err := hl7v2.Parse(b, hl7v2.WithCharset(hl7v2.UTF8))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tenPaths {
				text = m.Get(p).AppendText(text[:0])
			}
		}
	}
	return (processorTime(t) - from) / time.Duration(times)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// warmHAPI is HAPI, which parses its messages once each time it is told to.
type warmHAPI struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startHAPI(t *testing.T, messages [][]byte) *warmHAPI {
	t.Helper()
	folder := t.TempDir()
	for i, m := range messages {
		if err := os.WriteFile(filepath.Join(folder, fileName(i)), m, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := &warmHAPI{process: java(t.Context(), "speed", folder)}
	h.process.Args = slices.Insert(h.process.Args, 1, "-XX:ActiveProcessorCount=1")
	in, err := h.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in, h.out = in, bufio.NewReader(out)
	if err := h.process.Start(); err != nil {
		t.Fatalf("%v\n`make interop` installs and builds the judges.", err)
	}
	if n := h.number(t); n != len(messages) {
		t.Fatalf("HAPI has %d messages, want %d", n, len(messages))
	}
	return h
}

// round gives the processor time that HAPI takes for all messages.
func (h *warmHAPI) round(t *testing.T) time.Duration {
	t.Helper()
	if _, err := io.WriteString(h.in, "\n"); err != nil {
		t.Fatal(err)
	}
	return time.Duration(h.number(t))
}

func (h *warmHAPI) number(t *testing.T) int {
	t.Helper()
	line, err := h.out.ReadString('\n')
	if err != nil {
		t.Fatalf("HAPI doesn't answer: %v", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *warmHAPI) stop(t *testing.T) {
	t.Helper()
	h.in.Close()
	if err := h.process.Wait(); err != nil {
		t.Error(err)
	}
}

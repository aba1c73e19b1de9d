package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func newBench(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure parsing, translating, FHIR, the door, the ledger and the whole way on this machine",
		Long: "Each bench measures its own baseline in the same run, so that figures of two machines can be compared. The text names\n" +
			"the machine. Figures that can't be had here are left out.",
		Example: "  silta bench flow --messages 5000 --senders 8",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newBenchParse(t), newBenchMap(t), newBenchFHIR(t), newBenchFlow(t), newBenchDoor(t), newBenchLedger(t))
	return c
}

// machine says what a figure was measured on.
func machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimLeft(line, "\t :")
		}
	}
	return fmt.Sprintf("%s, %d cores, GOMAXPROCS %d, %s %s", model, runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.Version())
}

// figure is one line of a bench's text.
type figure struct{ name, value string }

func writeFigures(t *terminal, on string, figures []figure) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "on\t%s\n", on)
	for _, f := range figures {
		fmt.Fprintf(w, "%s\t%s\n", f.name, f.value)
	}
	return w.Flush()
}

// pace is what one core does.
type pace struct {
	Machine              string  `json:"machine"`
	Messages             int     `json:"messages"` // in the set; each was worked on many times
	Bytes                int     `json:"bytes"`
	MBPerSecond          float64 `json:"mbPerSecond"` // a million bytes
	MessagesPerSecond    float64 `json:"messagesPerSecond"`
	AllocationsPerRecord float64 `json:"allocsPerMessage"`
	ScanMBPerSecond      float64 `json:"scanMbPerSecond"`
}

func (p pace) figures() []figure {
	return []figure{
		{"messages", fmt.Sprintf("%d, %d bytes", p.Messages, p.Bytes)},
		{"messages/s", fmt.Sprintf("%.0f", p.MessagesPerSecond)},
		{"MB/s", fmt.Sprintf("%.1f", p.MBPerSecond)},
		{"allocations a message", fmt.Sprintf("%.1f", p.AllocationsPerRecord)},
		{"baseline: scan for delimiters, MB/s", fmt.Sprintf("%.0f", p.ScanMBPerSecond)},
	}
}

// rounds is how often a bench and its baseline take turns, so that both meet the same disturbances.
const rounds = 4

// measure works on the set on one core for span in all, in turn with the scan of the same bytes for as long.
func measure(set [][]byte, span time.Duration, work func([]byte)) pace {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := pace{Machine: machine(), Messages: len(set)}
	for _, b := range set {
		p.Bytes += len(b)
	}
	for _, b := range set {
		work(b) // the first time fills caches that every later one finds full
	}
	var worked, scanned time.Duration
	var sets, scans int
	var before, after runtime.MemStats
	var allocations uint64
	for range rounds {
		runtime.ReadMemStats(&before)
		d, n := repeat(set, span/rounds, work)
		runtime.ReadMemStats(&after)
		allocations += after.Mallocs - before.Mallocs
		worked, sets = worked+d, sets+n
		d, n = repeat(set, span/rounds, func(b []byte) { scanSum += scan(b) })
		scanned, scans = scanned+d, scans+n
	}
	p.MessagesPerSecond = float64(sets*len(set)) / worked.Seconds()
	p.MBPerSecond = float64(sets*p.Bytes) / 1e6 / worked.Seconds()
	p.AllocationsPerRecord = float64(allocations) / float64(sets*len(set))
	p.ScanMBPerSecond = float64(scans*p.Bytes) / 1e6 / scanned.Seconds()
	return p
}

// repeat works on whole sets for span, and gives the processor's time and how many sets there were. The clock's time
// would count what others did on the machine.
func repeat[T any](set []T, span time.Duration, work func(T)) (time.Duration, int) {
	began, before := time.Now(), processorTime()
	for n := 1; ; n++ {
		for _, item := range set {
			work(item)
		}
		if time.Since(began) > span {
			return processorTime() - before, n
		}
	}
}

// processorTime is what this process has used of the processors, garbage collection included.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// scanSum keeps the scan from being optimised away.
var scanSum int

// delimiters are the bytes that the scan looks for.
var delimiters = func() (is [256]byte) {
	for _, b := range []byte("\r|^~\\&") {
		is[b] = 1
	}
	return is
}()

// scan counts the delimiters: the least that anybody who reads a message must do.
func scan(b []byte) int {
	n := 0
	for _, c := range b {
		n += int(delimiters[c])
	}
	return n
}

// benchMessages gives the messages of a folder, or made-up ones.
func benchMessages(t *terminal, dir string) ([][]byte, error) {
	if dir == "" {
		return denseReferrals(120)
	}
	var set [][]byte
	err := eachFile(dir, ".hl7", func(name string, b []byte) {
		parts, faults := hl7v2.Split(b)
		for _, p := range parts {
			set = append(set, p.Bytes)
		}
		if len(faults) > 0 {
			fmt.Fprintf(t.err, "%s: some of it is no message and is left out\n", name)
		}
	})
	if err == nil && len(set) == 0 {
		err = usagef("%s holds no .hl7 file with a message", dir)
	}
	return set, err
}

// eachFile reads the files of a kind below dir, in the order of their names.
func eachFile(dir, kind string, each func(name string, b []byte)) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(strings.ToLower(name), kind) {
			return err
		}
		b, err := os.ReadFile(name)
		if err == nil && len(bytes.TrimSpace(b)) > 0 {
			each(name, b)
		}
		return err
	})
}

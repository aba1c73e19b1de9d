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

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/generate"
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

// translating is a pace with what belongs to a map.
type translating struct {
	pace
	Map             string  `json:"map"`
	Taken           int     `json:"taken"` // messages that the map took; the others are counted with them
	ParsesPerSecond float64 `json:"parseMessagesPerSecond"`
	Reverse         bool    `json:"reverse,omitempty"`
}

func newBenchMap(t *terminal) *cobra.Command {
	var id, dir string
	var reverse bool
	var span time.Duration
	c := &cobra.Command{
		Use:   "map",
		Short: "Measure translating on one core",
		Long: "Parses and translates every message of a folder by a map, again and again for a few seconds on one core, in turn with\n" +
			"its baselines: parsing alone, and reading the bytes for delimiters. --reverse goes from the canonical Bundles (.json)\n" +
			"to HL7 v2. Without --dir the messages are made up.",
		Example: "  silta bench map --map ref-i12 --dir messages/",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			catalog, err := openCatalog("mappings")
			if err != nil {
				return configuration{err}
			}
			m, err := catalog.Map(id)
			if err != nil {
				return configuration{err}
			}
			set, err := mapMessages(t, m, dir, reverse)
			if err != nil {
				return err
			}
			r := translate(m, set, span, reverse)
			if r.Taken == 0 {
				return contracts.Faultf(contracts.Invalid, "BENCH-002", "", "The map %s takes none of the %d messages, so there is nothing to measure.", r.Map, r.Messages)
			}
			if t.json() {
				return t.print(r)
			}
			return writeFigures(t, r.Machine, append(r.figures(),
				figure{"baseline: parse, messages/s", fmt.Sprintf("%.0f", r.ParsesPerSecond)},
				figure{"map", fmt.Sprintf("%s, takes %d of %d messages", r.Map, r.Taken, r.Messages)}))
		},
	}
	c.Flags().StringVar(&id, "map", "ref-i12", "the map: ID or ID@VERSION")
	c.Flags().StringVar(&dir, "dir", "", "a folder with .hl7 files (.json with --reverse), folders in it included; made-up messages if empty")
	c.Flags().DurationVar(&span, "time", 2*time.Second, "how long each side works")
	c.Flags().BoolVar(&reverse, "reverse", false, "from canonical to HL7 v2")
	return c
}

// benchTime is the moment that translations take for now: the figures don't depend on it.
var benchTime = time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)

func translate(m *mappings.Map, set [][]byte, span time.Duration, reverse bool) translating {
	parse := func(b []byte) bool {
		if reverse {
			_, err := fhir.Parse(b)
			return err == nil
		}
		_, err := hl7v2.Parse(b)
		return err == nil
	}
	run := func(b []byte) bool { return forward(m, b) != nil }
	if reverse {
		run = func(b []byte) bool { return backward(m, b) != nil }
	}
	taken := 0
	for _, b := range set {
		if run(b) {
			taken++
		}
	}
	r := translating{pace: measure(set, span, func(b []byte) { run(b) }), Map: m.Name(), Taken: taken, Reverse: reverse}
	r.ParsesPerSecond = measure(set, span, func(b []byte) { parse(b) }).MessagesPerSecond
	return r
}

// forward gives the canonical Bundle's bytes, or nil if the map doesn't take the message.
func forward(m *mappings.Map, b []byte) []byte {
	message, err := hl7v2.Parse(b)
	if err != nil {
		return nil
	}
	result, err := m.Forward(message, mappings.Context{Now: benchTime, Residue: true})
	if err != nil {
		return nil
	}
	return result.Bundle.Append(nil)
}

func backward(m *mappings.Map, b []byte) []byte {
	tree, err := fhir.Parse(b)
	if err != nil {
		return nil
	}
	result, err := m.Reverse(tree, mappings.Context{Now: benchTime})
	if err != nil {
		return nil
	}
	return result.Message.Bytes()
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
func repeat(set [][]byte, span time.Duration, work func([]byte)) (time.Duration, int) {
	began, before := time.Now(), processorTime()
	for n := 1; ; n++ {
		for _, b := range set {
			work(b)
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
		return inventedSet()
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

// inventedSet gives referrals of 1 to 20 KB.
func inventedSet() ([][]byte, error) {
	var set [][]byte
	for i, size := range []int{1000, 2000, 3000, 5000, 20_000} {
		m, err := generate.New(generate.Options{Seed: uint64(i), Size: size})
		if err != nil {
			return nil, err
		}
		for _, message := range m.Take(40) {
			set = append(set, message.Bytes)
		}
	}
	return set, nil
}

// mapMessages gives what a map's bench works on: messages, or Bundles for the reverse.
func mapMessages(t *terminal, m *mappings.Map, dir string, reverse bool) ([][]byte, error) {
	if !reverse {
		return benchMessages(t, dir)
	}
	var set [][]byte
	if dir != "" {
		err := eachFile(dir, ".json", func(_ string, b []byte) { set = append(set, b) })
		if err == nil && len(set) == 0 {
			err = usagef("%s holds no .json file", dir)
		}
		return set, err
	}
	messages, err := inventedSet()
	if err != nil {
		return nil, err
	}
	for _, b := range messages {
		if bundle := forward(m, b); bundle != nil {
			set = append(set, bundle)
		}
	}
	if len(set) == 0 {
		return nil, usagef("the map %s takes no made-up referral; give Bundles with --dir", m.Name())
	}
	return set, nil
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

package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// parsing is a pace of parsing and reading, beside what others would do with the same bytes.
type parsing struct {
	pace
	ParseOnlyMBPerSecond float64 `json:"parseOnlyMbPerSecond"`
	SplitMBPerSecond     float64 `json:"splitMbPerSecond"`
	TimesSplit           float64 `json:"timesSplit"`
	TimesScan            float64 `json:"timesScan"`
	PDFMBPerSecond       float64 `json:"pdfMbPerSecond"`
	PDFScanMBPerSecond   float64 `json:"pdfScanMbPerSecond"`
}

func newBenchParse(t *terminal) *cobra.Command {
	var dir string
	var span time.Duration
	c := &cobra.Command{
		Use:   "parse",
		Short: "Measure parsing on one core",
		Long: "Parses every message of a folder and reads ten fields of each, again and again for a few seconds on one core, in turn\n" +
			"with its baselines: reading the same bytes for delimiters, and taking them apart with strings.Split down to the\n" +
			"subcomponents. Parsing checks MSH, that every byte is a character of the message's set, and every segment's name; one of\n" +
			"the ten fields has escapes, and one is in the last segment. Without --dir the messages are made-up REF^I12 of 1 to 3 KB,\n" +
			"dense with results. A referral with a PDF of 5 MB is measured beside them.",
		Example: "  silta bench parse --dir messages/",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := benchMessages(t, dir)
			if err != nil {
				return err
			}
			p := measureParsing(set, span)
			if t.json() {
				return t.print(p)
			}
			return writeFigures(t, p.Machine, append(p.figures(),
				figure{"the same without reading a field, MB/s", fmt.Sprintf("%.0f", p.ParseOnlyMBPerSecond)},
				figure{"baseline: strings.Split, MB/s", fmt.Sprintf("%.1f", p.SplitMBPerSecond)},
				figure{"parse and ten fields over the split, over the scan", fmt.Sprintf("%.1f x, %.2f x", p.TimesSplit, p.TimesScan)},
				figure{"a referral with a PDF of 5 MB, MB/s", fmt.Sprintf("%.0f (its scan %.0f)", p.PDFMBPerSecond, p.PDFScanMBPerSecond)}))
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "a folder with .hl7 files, folders in it included; made-up messages if empty")
	c.Flags().DurationVar(&span, "time", 2*time.Second, "how long each side works")
	return c
}

// denseReferrals gives referrals of 1 to 3 KB whose bulk is results and notes, not an attachment.
func denseReferrals(n int) ([][]byte, error) {
	m, err := generate.New(generate.Options{Size: 1})
	if err != nil {
		return nil, err
	}
	set := make([][]byte, n)
	for i, message := range m.Take(n) {
		size := 1000 + 2000*i/n
		head, note, _ := bytes.Cut(message.Bytes, []byte("\rPV1|"))
		b := append([]byte(nil), head...)
		for j := 1; len(b)+len(note) < size; j++ {
			b = fmt.Appendf(b, "\rOBR|%d|||24323-8^Verikoe^LN|||202603020%d15+0200\rOBX|1|NM|718-7^Hb^LN||1%d|g/l^^UCUM|117-155|N|||F|||20260302\rNTE|1||Näyte %d: hieman hemolyysiä \\T\\ lipemiaa", j, j%10, 10+j%80, j)
		}
		set[i] = append(append(b, "\rPV1|"...), note...)
	}
	return set, nil
}

// pdfReferral gives a referral with an embedded PDF of 5 MB.
func pdfReferral() ([][]byte, error) {
	m, err := generate.New(generate.Options{Size: 5 << 20})
	if err != nil {
		return nil, err
	}
	return [][]byte{m.Next().Bytes}, nil
}

// nineFields are read of every message, and as the tenth field 3 of its last segment: NTE-3, which has an escape in it.
var nineFields = [...]hl7v2.Path{
	hl7v2.MustPath("MSH-10"), hl7v2.MustPath("RF1-6.1"), hl7v2.MustPath("PRD[1.1=RT]-2.1"), hl7v2.MustPath("PID-3[5=NNFIN].1"),
	hl7v2.MustPath("PID-5.1"), hl7v2.MustPath("PID-7"), hl7v2.MustPath("PID-11.3"), hl7v2.MustPath("DG1-3.1"), hl7v2.MustPath("PV1-2"),
}

// readTen parses a message and reads ten fields and the last segment's text into buf.
func readTen(b, buf []byte) []byte {
	m, err := hl7v2.Parse(b)
	if err != nil {
		return buf
	}
	for i := range nineFields {
		buf = m.Get(nineFields[i]).AppendText(buf)
	}
	return m.Segment(m.NumSegments() - 1).Field(3).AppendText(buf)
}

func measureParsing(set [][]byte, span time.Duration) parsing {
	buf := make([]byte, 0, 64<<10)
	p := parsing{pace: measure(set, span, func(b []byte) { buf = readTen(b, buf[:0]) })}
	p.ParseOnlyMBPerSecond = measure(set, span, func(b []byte) { _, _ = hl7v2.Parse(b) }).MBPerSecond
	p.SplitMBPerSecond = measure(set, span, func(b []byte) { splitParts += splitAll(string(b)) }).MBPerSecond
	p.TimesSplit, p.TimesScan = p.MBPerSecond/p.SplitMBPerSecond, p.MBPerSecond/p.ScanMBPerSecond
	if pdf, err := pdfReferral(); err == nil {
		large := measure(pdf, span, func(b []byte) { buf = readTen(b, buf[:0]) })
		p.PDFMBPerSecond, p.PDFScanMBPerSecond = large.MBPerSecond, large.ScanMBPerSecond
	}
	return p
}

// splitParts keeps the splitting from being optimised away.
var splitParts int

// splitAll takes a message apart as a first attempt at a parser does: everything, into strings.
func splitAll(message string) (parts int) {
	for _, segment := range strings.Split(message, "\r") {
		for _, field := range strings.Split(segment, "|") {
			for _, repetition := range strings.Split(field, "~") {
				for _, component := range strings.Split(repetition, "^") {
					parts += len(strings.Split(component, "&"))
				}
			}
		}
	}
	return parts
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// The exit codes.
const (
	exitDone        = 0
	exitFaulty      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// terminal is where a command reads and writes. stdout holds data only.
type terminal struct {
	in       io.Reader
	out      io.Writer
	err      io.Writer
	format   string
	charset  string
	reading  []hl7v2.Option                          // how a contract has messages read
	failed   int                                     // the exit code that faults printed so far ask for
	numbered func(contracts.Faults) contracts.Faults // tells of which message of a file faults are; nil for none
}

// configuration wraps faults of the configuration: exit 2.
type configuration struct{ error }

func (c configuration) Unwrap() error { return c.error }

// usagef is a wrong command line: exit 2.
func usagef(format string, args ...any) error { return fmt.Errorf(format, args...) }

func (t *terminal) check() error {
	if t.format != "text" && t.format != "json" {
		return usagef("--format is text or json")
	}
	return nil
}

func (t *terminal) json() bool { return t.format == "json" }

// exit prints what err says and gives the exit code. Faults examined are 1, unavailable ones 3; what isn't a fault is
// wrong usage, 2.
func (t *terminal) exit(err error) int {
	if err == nil {
		return t.failed
	}
	var config configuration
	var fault *contracts.Fault
	var faults contracts.Faults
	switch {
	case errors.As(err, &config):
		t.faults("", contracts.FaultsOf(err))
		return exitUsage
	case errors.As(err, &faults), errors.As(err, &fault):
		t.faults("", contracts.FaultsOf(err))
		if contracts.KindOf(err) == contracts.Unavailable {
			return exitUnreachable
		}
		return exitFaulty
	}
	fmt.Fprintf(t.err, "silta: %v\n", err)
	return exitUsage
}

// fail remembers an exit code; the highest one counts.
func (t *terminal) fail(code int) { t.failed = max(t.failed, code) }

// faults prints faults and findings on stderr, one a line. One of grade error makes the exit code 1.
func (t *terminal) faults(file string, faults contracts.Faults) {
	if t.numbered != nil {
		faults = t.numbered(faults)
	}
	for _, f := range faults {
		g := *f
		if g.File == "" {
			g.File = file
		}
		if g.File == "" && g.Place() == "" && !t.json() {
			g.File = "silta"
		}
		if t.json() {
			b, err := json.Marshal(&g)
			if err == nil {
				fmt.Fprintf(t.err, "%s\n", b)
			}
		} else {
			fmt.Fprintln(t.err, g.Text(file))
		}
	}
	if faults.Err() != nil {
		t.fail(exitFaulty)
	}
}

// print writes one JSON object on a line.
func (t *terminal) print(v any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// maxInput is how much a file or stdin may hold, in bytes.
const maxInput = 1 << 30

// read gives a file's bytes; "-" is stdin.
func (t *terminal) read(file string) ([]byte, error) {
	in := t.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(b) > maxInput {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxInput)
	}
	return b, nil
}

// each reads files one after another. One that can't be read doesn't keep the others from being worked on.
func (t *terminal) each(files []string, work func(file string, b []byte) error) error {
	for _, file := range files {
		b, err := t.read(file)
		if err != nil {
			fmt.Fprintf(t.err, "silta: %v\n", err)
			t.fail(exitUsage)
			continue
		}
		if err := work(file, b); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"silta": main})
}

// TestScripts runs the worked examples of the surface in testdata/script. SILTA_GOLDEN=1 writes what they print into
// them anew.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("SILTA_GOLDEN") != "",
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"er7": er7},
	})
}

// er7 FROM TO writes a file with its line ends turned into CR, as HL7 has them.
func er7(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: er7 FROM TO")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

func TestEveryHelpEndsWithAWorkedExample(t *testing.T) {
	seen := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		seen++
		var out bytes.Buffer
		line := append(strings.Fields(c.CommandPath())[1:], "--help")
		if code := run(context.Background(), line, strings.NewReader(""), &out, &out); code != exitDone {
			t.Errorf("%s --help: exit code %d", c.CommandPath(), code)
		}
		_, example, found := strings.Cut(out.String(), "\nExample:\n")
		if !found || !strings.Contains(example, "silta ") || strings.Contains(example, "\n\n") {
			t.Errorf("%s --help doesn't end with a worked example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
				visit(sub)
			}
		}
	}
	visit(newRoot(&terminal{}))
	if seen < 15 {
		t.Errorf("only %d commands were seen", seen)
	}
}

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
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

func TestEveryFaultCodeOfTheCommandLineIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range codes {
		listed[c.code] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	pattern := regexp.MustCompile(`"((?:BENCH|CFG|CLI|DEMO)-\d{3})"`)
	for _, file := range files {
		if file == "codes.go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range pattern.FindAllStringSubmatch(string(b), -1) {
			used[found[1]] = true
		}
	}
	for code := range used {
		if !listed[code] {
			t.Errorf("%s isn't listed", code)
		}
	}
	for code := range listed {
		if !used[code] {
			t.Errorf("%s is listed and used nowhere", code)
		}
	}
}

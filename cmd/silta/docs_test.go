package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryFaultCodeIsInTheDocs compares the codes in the Go sources with the tables of docs/faults.md, both ways.
func TestEveryFaultCodeIsInTheDocs(t *testing.T) {
	root := filepath.Join("..", "..")
	listed := codesIn(t, filepath.Join(root, "docs", "faults.md"), regexp.MustCompile(`(?m)^\| ([A-Z][A-Z0-9]+-\d{3}) \| \S`))
	used := map[string]int{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for code := range codesIn(t, path, codeInGo) {
			used[code]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for code := range used {
		if listed[code] == 0 {
			t.Errorf("docs/faults.md lacks %s", code)
		}
	}
	for code, times := range listed {
		if used[code] == 0 {
			t.Errorf("docs/faults.md lists %s, which nothing uses", code)
		}
		if times > 1 {
			t.Errorf("docs/faults.md lists %s %d times", code, times)
		}
	}
	if len(used) < 100 || len(listed) < 100 {
		t.Errorf("only %d codes were found in the sources and %d in the docs", len(used), len(listed))
	}
}

// codeInGo finds a fault's code as the sources write it: a text of its own. The prefixes are those of faults; others,
// such as decision records and table names, look alike.
var codeInGo = regexp.MustCompile(`"((?:HL7|FHIR|MAP|MLLP|REST|HUB|BUS|LED|BODY|CFG|API|CLI|DEMO|BENCH)-\d{3})"`)

func codesIn(t *testing.T, file string, pattern *regexp.Regexp) map[string]int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, match := range pattern.FindAllStringSubmatch(string(b), -1) {
		found[match[1]]++
	}
	return found
}

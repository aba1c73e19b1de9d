package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheTutorial does what the tutorial says, from its first block to its last: a block with a file's name is written to
// that file, and a block of commands is run. The hub of `silta serve` runs until the end.
func TestTheTutorial(t *testing.T) {
	p, dir := readPage(t, "docs/mapping/tutorial.md"), t.TempDir()
	ran := 0
	for _, b := range p.blocks {
		kind, file, named := strings.Cut(b.kind, " ")
		switch {
		case named:
			if !strings.Contains(strings.Join(p.lines, ""), "`"+file+"`") {
				t.Errorf("%s:%d: the page doesn't tell to write %s", p.name, b.line, file)
			}
			written(t, dir, file, []byte(strings.Replace(b.text, "127.0.0.1:27575", "127.0.0.1:0", 1)))
		case kind == "console" && b.text == "$ silta serve\n":
			p.standing = folderServed(t, dir)
		case kind == "console":
			p.matches(t, b, p.settled(t, b, dir))
			ran++
		default:
			t.Errorf("%s:%d: a block is a file or a console's", p.name, b.line)
		}
	}
	if ran < 12 || p.standing == nil {
		t.Errorf("only %d blocks of commands were run", ran)
	}
}

// settled runs a block of commands. One that asks the hub is run until the hub has come as far as the page says, or for a
// minute.
func (p *page) settled(t *testing.T, b *block, dir string) string {
	t.Helper()
	got := p.run(t, b, dir)
	for end := time.Now().Add(time.Minute); strings.Contains(b.text, "silta list") && got != b.text && time.Now().Before(end); {
		got = p.run(t, b, dir)
	}
	return got
}

// folderServed starts the hub of a folder at free ports, and gives the replacement of the page's addresses by the real ones.
func folderServed(t *testing.T, dir string) *strings.Replacer {
	t.Helper()
	for _, file := range []string{"silta.yaml", "contracts/partners/apotti.yaml", "contracts/partners/hus.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		free := strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:8081", "localhost:0", "127.0.0.1:2575", "127.0.0.1:0", "127.0.0.1:8090", "127.0.0.1:1")
		written(t, dir, file, []byte(free.Replace(string(text))))
	}
	hub := exec.CommandContext(t.Context(), "silta", "serve")
	hub.Dir, hub.Cancel = dir, func() error { return hub.Process.Signal(os.Interrupt) }
	out, err := hub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Wait() })
	var ready readiness
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SILTA_URL", ready.API)
	return strings.NewReplacer("127.0.0.1:27575", strings.TrimPrefix(ready.Doors["saarijoki"], "mllp://"))
}

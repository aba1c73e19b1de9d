//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// The judges. `make interop` installs both.
const (
	hapi   = "hapi"
	hl7apy = "hl7apy"
)

// reading is what one engine makes of a message.
type reading struct {
	refused string // why, in the engine's own word; then there are no leaves
	leaves  []leaf
	values  map[string]hl7v2.Value // ours only, by path
}

// leaf is a text that isn't empty and its place, or a segment and its number.
type leaf struct{ path, text string }

// askHAPI gives HAPI's reading of each message, in their order. The mode is one of Judge.java, or none.
func askHAPI(t *testing.T, messages []message, mode ...string) []reading {
	t.Helper()
	inputs := make([][]byte, len(messages))
	for i, m := range messages {
		inputs[i] = m.bytes
	}
	return ask(t, inputs, func(ctx context.Context, folder string) *exec.Cmd { return java(ctx, append(mode, folder)...) })
}

// java runs the program in hapi, which Maven has built there.
func java(ctx context.Context, arguments ...string) *exec.Cmd {
	classes := filepath.Join("hapi", "target", "classes") + string(filepath.ListSeparator) + filepath.Join("hapi", "target", "jars", "*")
	return exec.CommandContext(ctx, "java", append([]string{"-cp", classes, "-XX:+UseSerialGC", "fi.silta.interop.Judge"}, arguments...)...)
}

// askHL7apy gives hl7apy's reading. It takes texts, and knows CR only; so what we can read comes to it in UTF-8 and
// with CR, and what we can't as it is.
func askHL7apy(t *testing.T, messages []message) []reading {
	t.Helper()
	inputs := make([][]byte, len(messages))
	for i, m := range messages {
		inputs[i] = m.bytes
		if m.parsed != nil {
			inputs[i] = text(m.parsed)
		}
	}
	return ask(t, inputs, func(ctx context.Context, folder string) *exec.Cmd {
		return exec.CommandContext(ctx, filepath.Join(".venv", "bin", "python"), filepath.Join("hl7apy", "judge.py"), folder)
	})
}

func text(m *hl7v2.Message) []byte {
	var b []byte
	for _, s := range m.Segments() {
		b = append(append(b, s.ER7()...), '\r')
	}
	return b
}

// ask writes the messages to a folder and reads what a judge prints about them.
func ask(t *testing.T, messages [][]byte, judge func(ctx context.Context, folder string) *exec.Cmd) []reading {
	t.Helper()
	folder := t.TempDir()
	for i, b := range messages {
		if err := os.WriteFile(filepath.Join(folder, fileName(i)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := judge(ctx, folder)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n`make interop` installs and builds the judges.", command.Path, err, complaints.Bytes())
	}
	readings, err := parseReadings(out)
	if err != nil {
		t.Fatalf("%s: %v", command.Path, err)
	}
	if len(readings) != len(messages) {
		t.Fatalf("%s judged %d messages of %d", command.Path, len(readings), len(messages))
	}
	return readings
}

func fileName(i int) string { return fmt.Sprintf("%05d", i) }

// parseReadings reads the lines that a judge prints; hapi's Judge.java says what they mean.
func parseReadings(out []byte) ([]reading, error) {
	var readings []reading
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "= "); ok {
			if name != fileName(len(readings)) {
				return nil, fmt.Errorf("%s came instead of %s", name, fileName(len(readings)))
			}
			readings = append(readings, reading{})
			continue
		}
		now := &readings[len(readings)-1]
		if why, ok := strings.CutPrefix(line, "! "); ok {
			now.refused = why
			continue
		}
		path, quoted, _ := strings.Cut(line, "\t")
		var text string
		if err := json.Unmarshal([]byte(quoted), &text); err != nil {
			return nil, fmt.Errorf("%s of message %d: %w", path, len(readings), err)
		}
		now.leaves = append(now.leaves, leaf{path, text})
	}
	return readings, lines.Err()
}

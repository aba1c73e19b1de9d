package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// benched runs a bench with --format json and gives its figures.
func benched(t *testing.T, args ...string) map[string]any {
	t.Helper()
	code, stdout, stderr := silta(t, "", append([]string{"bench", "--format", "json"}, args...)...)
	if code != exitDone {
		t.Fatalf("bench %v exits %d: %s", args, code, stderr)
	}
	var figures map[string]any
	if err := json.Unmarshal([]byte(stdout), &figures); err != nil {
		t.Fatalf("bench %v prints %s (%v)", args, stdout, err)
	}
	return figures
}

func positive(t *testing.T, figures map[string]any, names ...string) {
	t.Helper()
	for _, name := range names {
		if n, ok := figures[name].(float64); !ok || n <= 0 {
			t.Errorf("%s is %v, want a positive number", name, figures[name])
		}
	}
}

func TestBenchParseMeasuresAFolder(t *testing.T) {
	dir := t.TempDir()
	two := madeUp("B1", "REF^I12^REF_I12", "R") + madeUp("B2", "REF^I12^REF_I12", "S")
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "below", "two.hl7"), []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	figures := benched(t, "parse", "--dir", dir, "--time", "20ms")
	positive(t, figures, "mbPerSecond", "messagesPerSecond", "allocsPerMessage", "scanMbPerSecond")
	if figures["messages"] != 2.0 || figures["bytes"] != float64(len(two)) {
		t.Errorf("%v messages of %v bytes, want 2 of %d", figures["messages"], figures["bytes"], len(two))
	}
	if code, _, stderr := silta(t, "", "bench", "parse", "--dir", t.TempDir()); code != exitUsage || !strings.Contains(stderr, "no .hl7 file") {
		t.Errorf("an empty folder exits %d: %s", code, stderr)
	}
}

func TestBenchMapMeasuresBothWays(t *testing.T) {
	for _, way := range [][]string{{"map", "--time", "20ms"}, {"map", "--time", "20ms", "--reverse"}} {
		figures := benched(t, way...)
		positive(t, figures, "messages", "bytes", "mbPerSecond", "messagesPerSecond", "allocsPerMessage", "scanMbPerSecond", "parseMessagesPerSecond", "outBytes")
		parts, _ := figures["microseconds"].(map[string]any)
		positive(t, parts, "parse", "translate", "write", "readBack")
		if figures["taken"] != figures["messages"] {
			t.Errorf("%v: the map takes %v of %v made-up referrals", way, figures["taken"], figures["messages"])
		}
	}
	if code, _, _ := silta(t, "", "bench", "map", "--map", "no-such-map"); code != exitUsage {
		t.Errorf("an unknown map exits %d, want %d", code, exitUsage)
	}
}

func TestBenchFlowCountsWhatArrives(t *testing.T) {
	for _, way := range [][]string{nil, {"--pass"}} {
		figures := benched(t, append([]string{"flow", "--messages", "60", "--senders", "4", "--keys", "7"}, way...)...)
		for name, want := range map[string]float64{"sent": 60, "acked": 60, "delivered": 60, "lost": 0, "duplicated": 0, "reordered": 0} {
			if figures[name] != want {
				t.Errorf("%v: %s is %v, want %v", way, name, figures[name], want)
			}
		}
		positive(t, figures, "ackMsP50", "ackMsP99", "acceptedPerSecond", "endToEndPerSecond", "busPerSecond", "busAckMsP99", "busPipePerSecond")
	}
	if code, _, stderr := silta(t, "", "bench", "flow", "--bus", "rabbit://127.0.0.1:9092"); code != exitUsage || !strings.Contains(stderr, "--bus") {
		t.Errorf("a bus that there isn't exits %d: %s", code, stderr)
	}
}

func TestBenchDoorMeasuresBothWaysAndWhatIsHeld(t *testing.T) {
	figures := benched(t, "door", "--messages", "200", "--connections", "3", "--pipeline", "4", "--hold", "20")
	positive(t, figures, "messagesPerSecond", "ackMsP50", "ackMsP99", "pipelinedPerSecond", "socketsPerSecond", "messageBytes")
	if figures["messages"] != 200.0 || figures["held"] != 20.0 || figures["pipeline"] != 4.0 {
		t.Errorf("%v messages, %v held, %v in flight", figures["messages"], figures["held"], figures["pipeline"])
	}
	if code, _, _ := silta(t, "", "bench", "door", "--connections", "0"); code != exitUsage {
		t.Errorf("no connections exit %d, want %d", code, exitUsage)
	}
}

func TestTheReceiverSeesLossDoublesAndDisorder(t *testing.T) {
	r, err := newReceiver(false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	for _, arrival := range []struct {
		number   int
		referral string
	}{{1, "a"}, {3, "a"}, {2, "a"}, {4, "b"}, {3, "a"}} {
		r.count(arrival.number, arrival.referral)
	}
	if delivered, duplicated, reordered := r.counts(); delivered != 4 || duplicated != 1 || reordered != 1 {
		t.Errorf("delivered %d, duplicated %d, reordered %d; want 4, 1, 1", delivered, duplicated, reordered)
	}
}

func TestABenchKeepsToItsRate(t *testing.T) {
	began := time.Now()
	benched(t, "flow", "--messages", "40", "--senders", "2", "--rate", "100")
	if took := time.Since(began); took < 350*time.Millisecond {
		t.Errorf("40 messages at 100 a second took %s", took)
	}
}

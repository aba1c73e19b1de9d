//go:build kafka && postgres

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/testfixtures/kafka"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

// onServers is an installation whose stores are servers, with more said in its configuration.
func onServers(t *testing.T, secret []byte, lines ...string) (config string) {
	t.Helper()
	config = installation(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), "secrets", "hub.secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
	return config
}

// served starts serve and gives what ends it and says its exit code, once it takes messages.
func served(t *testing.T, config string) (end func() int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, []string{"serve", "-c", config}, strings.NewReader(""), in, io.Discard)
		in.Close()
		ended <- code
	}()
	var ready readiness
	if err := json.NewDecoder(out).Decode(&ready); err != nil || !ready.Ready {
		stop()
		t.Fatalf("serve isn't ready: %v, exit %d", err, <-ended)
	}
	return func() int { stop(); return <-ended }
}

// Several processes share a cluster and a database, if they are told the same; the demo runs there too.
func TestProcessesShareServers(t *testing.T) {
	cluster, server := kafka.Start(t, kafka.Options{Brokers: 1}), postgres.ForTest(t)
	database := func(name string) string {
		url, err := postgres.Create(t.Context(), server.URL(), name)
		if err != nil {
			t.Fatal(err)
		}
		return url
	}
	weak := "kafka://" + cluster.Addresses()[0]
	bus, ledger := fmt.Sprintf("bus: %q", weak+"?development=true"), fmt.Sprintf("ledger: %q", database("serve"))
	secret := []byte(strings.Repeat("one secret for all ", 3))
	config := onServers(t, secret, bus, ledger)

	if code, stdout, stderr := silta(t, "", "check", "-c", config); code != exitDone || !strings.Contains(stdout, "Several processes may share") {
		t.Errorf("check: exit %d, %s%s", code, stdout, stderr)
	}
	endOne := served(t, config)
	endTwo := served(t, config) // its ports are free ones
	for _, c := range []struct {
		what, config string
		code         int
		says         string
	}{
		{"another secret", onServers(t, []byte(strings.Repeat("another secret ", 4)), bus, ledger), exitUsage, "CFG-021"},
		{"another number of partitions", onServers(t, secret, bus, ledger, "kafka: {partitions: 6}"), exitUsage, "BUS-027"},
		{"topics that are too weak", onServers(t, secret, fmt.Sprintf("bus: %q", weak), ledger), exitUnreachable, "BUS-021"},
		{"a database that isn't there", onServers(t, secret, bus, fmt.Sprintf("ledger: %q", strings.Replace(server.URL(), "/postgres?", "/nowhere?", 1))), exitUnreachable, "LED-001"},
	} {
		if code, _, stderr := silta(t, "", "serve", "-c", c.config); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d, want %d and %s: %s", c.what, code, c.code, c.says, stderr)
		}
	}
	if one, two := endOne(), endTwo(); one != exitDone || two != exitDone {
		t.Errorf("the processes exit %d and %d", one, two)
	}

	dir, demo := t.TempDir(), database("demo")
	for _, dir := range []string{dir, dir, t.TempDir()} {
		code, stdout, stderr := silta(t, "", "demo", "--dir", dir, "--bus", weak+"?development=true", "--ledger", demo, "--format", "json")
		if code != exitDone {
			t.Fatalf("demo: exit %d\n%s", code, stderr)
		}
		if r := lastLine(t, stdout); len(r.Messages) != 4 {
			t.Errorf("the journey has %d messages", len(r.Messages))
		}
	}
}

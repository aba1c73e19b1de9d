// Package kafka starts real Apache Kafka brokers for tests: from Maven's jars, without containers, on 127.0.0.1.
//
// It needs Java 17 or later, and Maven the first time. A broker ends with the test, and also when the test's process
// dies, because it hangs on a pipe that only that process holds.
package kafka

import (
	"bufio"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

//go:embed log4j2.properties
var log4j []byte

// patience is how long a broker may take to start.
const patience = 2 * time.Minute

// Start starts n brokers as one KRaft cluster with empty data and gives their addresses once they take requests. With
// three or more, replication is 3 and two replicas must be in sync. Topics aren't created by themselves.
func Start(t testing.TB, n int) []string {
	t.Helper()
	jars, err := jars()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := cluster{t: t, jars: jars, dir: dir, id: clusterID()}
	for range 2 * n {
		c.ports = append(c.ports, freePort(t))
	}
	if err := os.WriteFile(filepath.Join(dir, "log4j2.properties"), log4j, 0o600); err != nil {
		t.Fatal(err)
	}
	var brokers []*broker
	for i := range n {
		brokers = append(brokers, c.start(i))
	}
	for _, b := range brokers {
		b.ready(t)
	}
	return c.addresses(0, n)
}

type cluster struct {
	t     testing.TB
	jars  string
	dir   string
	id    string
	ports []int // the brokers', then their controllers'
}

// addresses gives n ports from the first one on, on this machine.
func (c *cluster) addresses(first, n int) []string {
	var all []string
	for _, port := range c.ports[first : first+n] {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return all
}

// settings is server.properties of one broker, which is a controller too.
func (c *cluster) settings(i int, dir string) string {
	n := len(c.ports) / 2
	replicas, inSync := min(n, 3), 1
	if n >= 3 {
		inSync = 2
	}
	var voters []string
	for k, address := range c.addresses(n, n) {
		voters = append(voters, fmt.Sprintf("%d@%s", k+1, address))
	}
	broker, controller := c.addresses(i, 1)[0], c.addresses(n+i, 1)[0]
	lines := []string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", i+1),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + broker + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + broker,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		"unclean.leader.election.enable=false",
		fmt.Sprintf("default.replication.factor=%d", replicas),
		fmt.Sprintf("min.insync.replicas=%d", inSync),
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas),
		"offsets.topic.num.partitions=3",
		fmt.Sprintf("transaction.state.log.replication.factor=%d", replicas),
		fmt.Sprintf("transaction.state.log.min.isr=%d", inSync),
		"group.initial.rebalance.delay.ms=0", // tests don't wait for members that won't come
	}
	return strings.Join(lines, "\n") + "\n"
}

// broker is one running process.
type broker struct {
	name string
	out  io.Reader
}

// start formats one broker's folder and starts it.
func (c *cluster) start(i int) *broker {
	c.t.Helper()
	dir := filepath.Join(c.dir, fmt.Sprint("broker-", i+1))
	settings := filepath.Join(dir, "server.properties")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(settings, []byte(c.settings(i, dir)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	format := exec.Command("java", c.java("kafka.tools.StorageTool", "format", "-t", c.id, "-c", settings)...)
	if out, err := format.CombinedOutput(); err != nil {
		c.t.Fatalf("format: %v\n%s", err, out)
	}
	// The shell ends the broker when its own input ends: by cleanup, or because this process died.
	run := exec.Command("sh", append([]string{"-c", `"$@" & p=$!; read -r _; kill -9 $p; wait $p`, "sh", "java", "-Xmx384m"}, c.java("kafka.Kafka", settings)...)...)
	input, err := run.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	out, in := io.Pipe()
	run.Stdout, run.Stderr = in, in
	if err := run.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		input.Close()
		_ = run.Wait() // the shell ends as its child does: killed
		in.Close()
	})
	return &broker{filepath.Base(dir), out}
}

func (c *cluster) java(class string, args ...string) []string {
	return append([]string{"-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + filepath.Join(c.dir, "log4j2.properties"),
		"-cp", filepath.Join(c.jars, "*"), class}, args...)
}

// ready waits until the broker says that it started: then it is registered and takes requests.
func (b *broker) ready(t testing.TB) {
	t.Helper()
	started, ended, said := make(chan bool), make(chan bool), make(chan string, 1000)
	go func() {
		lines := bufio.NewScanner(b.out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Kafka Server started") {
				close(started)
			}
			select {
			case said <- lines.Text():
			default:
			}
		}
		_, _ = io.Copy(io.Discard, b.out) // nobody reads a line that long, but the broker mustn't block on it
		close(ended)
	}()
	select {
	case <-started:
		return
	case <-ended:
	case <-time.After(patience):
	}
	for len(said) > 0 {
		t.Log(<-said)
	}
	t.Fatalf("%s didn't start", b.name)
}

func clusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = 'k'             // an id mustn't begin with a dash
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// freePort gives a port that nobody listens on now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

package kafka

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// broker is one of a cluster: a folder, and the process that works on it now, if one does.
type broker struct {
	cluster *Cluster
	dir     string

	mu      sync.Mutex
	process *process
}

// process is a broker that was started, with a shell between that ends it when its own input ends: by kill, or because
// the program died that started it.
type process struct {
	input   io.Closer
	pid     int           // of the broker itself
	started chan struct{} // closed when it takes requests
	ended   chan struct{} // closed when it is gone
}

// format writes the broker's settings and prepares its folder for data.
func (b *broker) format(ctx context.Context, id, settings string) error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(b.settings(), []byte(settings), 0o600); err != nil {
		return err
	}
	args := []string{"format", "-t", id, "-c", b.settings()}
	if b.cluster.security != nil {
		args = append(args, b.cluster.security.users()...)
	}
	format := exec.CommandContext(ctx, "java", b.java("kafka.tools.StorageTool", args...)...)
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w\n%s", err, out)
	}
	return nil
}

// formatAs prepares the broker's folder like another's, which hasn't run yet: a few bytes instead of a run of Java.
func (b *broker) formatAs(other *broker, id int, settings string) error {
	if err := os.CopyFS(filepath.Join(b.dir, "data"), os.DirFS(filepath.Join(other.dir, "data"))); err != nil {
		return err
	}
	file := filepath.Join(b.dir, "data", "meta.properties")
	meta, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.Split(string(meta), "\n")
	for i, line := range lines {
		switch name, _, _ := strings.Cut(line, "="); name {
		case "node.id":
			lines[i] = fmt.Sprintf("node.id=%d", id)
		case "directory.id":
			lines[i] = "directory.id=" + clusterID() // ids of both kinds have one form
		}
	}
	return errors.Join(os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600), os.WriteFile(b.settings(), []byte(settings), 0o600))
}

func (b *broker) settings() string { return filepath.Join(b.dir, "server.properties") }

func (b *broker) java(class string, args ...string) []string {
	java := []string{"-Xmx384m", "-XX:TieredStopAtLevel=1", "-Xlog:cds=off", "-Xlog:cds+dynamic=off",
		"-Dlog4j2.configurationFile=" + filepath.Join(b.cluster.dir, "log4j2.properties"), "-cp", filepath.Join(b.cluster.jars, "*")}
	return append(append(java, class), args...)
}

// pidMark stands before the broker's process id in the first line of output.
const pidMark = "pid of the broker: "

// keeper runs its arguments and tells their process id. It kills them when its input ends, and ends with them.
const keeper = `exec 3<&0
"$@" 3<&- & pid=$!
echo "` + pidMark + `$pid"
{ read -r _ <&3; kill -9 $pid; } >/dev/null 2>&1 & reader=$!
wait $pid
kill $reader 2>/dev/null`

// start runs the broker and waits until it takes requests.
func (b *broker) start(ctx context.Context) error {
	run := exec.Command("sh", append([]string{"-c", keeper, "sh", "java"}, append(b.cluster.java, b.java("kafka.Kafka", b.settings())...)...)...)
	input, err := run.StdinPipe()
	if err != nil {
		return err
	}
	output, err := run.StdoutPipe()
	if err != nil {
		return err
	}
	run.Stderr = run.Stdout
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := run.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	p := &process{input: input, started: make(chan struct{}), ended: make(chan struct{})}
	b.mu.Lock()
	b.process = p
	b.mu.Unlock()
	go func() {
		defer close(p.ended)
		defer log.Close()
		p.watch(io.TeeReader(output, log))
		_ = run.Wait() // the shell ends as its child does: killed
	}()
	select {
	case <-p.started:
		return nil
	case <-p.ended:
		err = errors.New("it ended")
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), b.kill())
	}
	return fmt.Errorf("%s didn't start: %w\n%s", filepath.Base(b.dir), err, tail(filepath.Join(b.dir, "log")))
}

// watch reads what the broker says until it has ended.
func (p *process) watch(output io.Reader) {
	lines, started := bufio.NewScanner(output), false
	for lines.Scan() {
		if pid, ok := strings.CutPrefix(lines.Text(), pidMark); ok {
			p.pid, _ = strconv.Atoi(pid)
		}
		if !started && strings.Contains(lines.Text(), "Kafka Server started") {
			started = true
			close(p.started)
		}
	}
	_, _ = io.Copy(io.Discard, output) // a line was too long to look at, but the broker mustn't block on it
}

// kill ends the broker by SIGKILL, if it runs, and waits until it is gone.
func (b *broker) kill() error {
	b.mu.Lock()
	p := b.process
	b.process = nil
	b.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.input.Close()
	<-p.ended
	return err
}

// end ends the broker in order.
func (b *broker) end() error {
	p := b.process
	err := b.signal(syscall.SIGTERM)
	<-p.ended
	return err
}

func (b *broker) stop() error   { return b.signal(syscall.SIGSTOP) }
func (b *broker) resume() error { return b.signal(syscall.SIGCONT) }

func (b *broker) signal(s syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return errors.New("the broker doesn't run")
	}
	return syscall.Kill(b.process.pid, s)
}

// tail gives the last lines of a log.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

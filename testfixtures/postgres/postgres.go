// Package postgres starts a real PostgreSQL server for tests and for programs that kill one: with empty data, on
// 127.0.0.1 alone, without a socket file, as the system's user postgres if we are root (the server refuses root).
//
// The server ends with Close, and also when the process that started it dies, because it hangs on a pipe that only that
// process holds. Kill and Restart, Stop and Continue are for what happens to servers.
package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to start, recovery included.
const patience = time.Minute

// Server is one PostgreSQL server and its data.
type Server struct {
	dir      string
	port     int
	settings []string
	as       *syscall.Credential // nil: as we are

	run   *exec.Cmd
	input io.Closer // the server ends when this does
}

// Start makes data in dir, which must be empty and can be reached by the user postgres, and starts a server on it.
// settings are lines of postgresql.conf.
func Start(ctx context.Context, dir string, settings ...string) (*Server, error) {
	as, err := owner(dir)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, port: port, as: as, settings: append([]string{"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port),
		"unix_socket_directories=", "max_connections=60", "log_min_messages=log"}, settings...)}
	if out, err := s.command(ctx, "initdb", "-D", s.data(), "-U", "silta", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s, s.Restart(ctx)
}

// ForTest starts a server that ends with the test.
func ForTest(t testing.TB, settings ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "silta-postgres-") // t.TempDir stands in a folder that only we can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s, err := Start(context.Background(), dir, settings...)
	if s != nil {
		t.Cleanup(s.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// URL is how the server's first database is reached.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://silta@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Create makes an empty database on the server of a URL, and gives its URL.
func Create(ctx context.Context, server, database string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), Run(ctx, server, `CREATE DATABASE "`+database+`"`)
}

// Run runs SQL in the database of a URL.
func Run(ctx context.Context, database, text string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(programs(), "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text).CombinedOutput()
	if err != nil {
		return fmt.Errorf("psql: %w\n%s", err, out)
	}
	return nil
}

// Restart starts the server on the data that is there, after Kill, and returns when it takes connections.
func (s *Server) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		said, err := s.start(ctx)
		if err == nil || ctx.Err() != nil || !strings.Contains(said, "shared memory") {
			if err != nil {
				return fmt.Errorf("%w\n%s", err, said)
			}
			return nil
		}
		// processes of the killed server are on their way out
	}
}

// hanging runs a server until it ends by itself or our end of the shell's input is closed; then all of it is killed.
const hanging = `exec 3<&0; "$@" 3<&- & p=$!
( read -r _ <&3; kill -9 $(cat /proc/$p/task/$p/children) $p ) >/dev/null 2>&1 & w=$!
exec 3<&-; wait $p; kill $w 2>/dev/null`

// start starts the server once and waits until it is ready or has ended; said is what it printed meanwhile.
func (s *Server) start(ctx context.Context) (said string, err error) {
	args := []string{"-c", hanging, "sh",
		filepath.Join(programs(), "postgres"), "-D", s.data()}
	for _, setting := range append(s.settings, "log_destination=stderr") {
		args = append(args, "-c", setting)
	}
	s.run = exec.Command("sh", args...)
	s.run.Dir, s.run.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	if s.input, err = s.run.StdinPipe(); err != nil {
		return "", err
	}
	out, err := s.run.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := s.run.Start(); err != nil {
		return "", err
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			select {
			case lines <- scan.Text():
			default: // nobody reads once it is ready
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	for {
		select {
		case line, more := <-lines:
			said += line + "\n"
			if strings.Contains(line, "ready to accept connections") {
				return said, nil
			}
			if !more {
				s.Close()
				return said, errors.New("the server didn't start")
			}
		case <-ctx.Done():
			s.Close()
			return said, ctx.Err()
		}
	}
}

// Kill ends the server with kill -9: all of its processes, in whatever they do.
func (s *Server) Kill() error {
	err := s.signal(syscall.SIGKILL)
	s.Close()
	return err
}

// Stop stops all processes of the server where they are, and Continue lets them go on.
func (s *Server) Stop() error { return s.signal(syscall.SIGSTOP) }

// Continue lets a stopped server go on.
func (s *Server) Continue() error { return s.signal(syscall.SIGCONT) }

// Close ends the server. Its data stays.
func (s *Server) Close() {
	if s.input != nil {
		s.input.Close()
		_ = s.run.Wait() // the shell ends as its child does: killed
		s.input = nil
	}
}

// signal reaches the first process and then its children, so that it starts no new ones in between.
func (s *Server) signal(signal syscall.Signal) error {
	pids, err := s.pids()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pids[0], signal); err != nil {
		return err
	}
	for _, pid := range pids[1:] {
		_ = syscall.Kill(pid, signal) // it may have ended
	}
	return nil
}

// pids gives the server's first process and its children.
func (s *Server) pids() ([]int, error) {
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]s/task/%[1]s/children", first))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, text := range append([]string{first}, strings.Fields(string(children))...) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(programs(), name), args...)
	c.Dir, c.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	return c
}

// programs is the folder of the newest server that is installed; Debian keeps it off the PATH.
func programs() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return "" // starting then says which program is missing
}

// owner gives dir to the user that the server runs as, if that isn't us.
func owner(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("no PostgreSQL server is installed: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// freePort gives a port that nobody listens on now. It lies below those that the system hands out by itself, so that no
// connection takes it while the server is down.
func freePort() (int, error) {
	for tries := 0; ; tries++ {
		port := 15000 + rand.IntN(15000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
		if tries > 1000 {
			return 0, err
		}
	}
}

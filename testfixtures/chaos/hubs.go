package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Hub is one process of `silta serve`, started again whenever it ends.
type Hub struct {
	Door, API string // HOST:PORT

	binary, dir, token string

	mu      sync.Mutex
	process *os.Process
	exits   map[int]int // how often it ended with which code, without a signal
	log     *os.File
}

// Stores names the bus and the ledger of a hub, and the folder of what is embedded, as silta.yaml does.
type Stores struct{ Bus, Ledger, Dir string }

// The courier's connections to the partner, and how many messages may be on their way on each.
const connections, pipeline = 4, 4

// InFlight is how many messages one hub can have on their way to the partner at once.
const InFlight = connections * pipeline

// NewHub writes a configuration into dir. Hubs that share a bus must have one secret: it is drawn from name.
func NewHub(binary, dir, partner string, s Stores, secret string) (*Hub, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	h := &Hub{Door: ports[0], API: ports[1], binary: binary, dir: dir, token: strings.Repeat("operator", 8), exits: map[int]int{}}
	files := map[string]string{
		"silta.yaml": fmt.Sprintf("silta: config/v1\nbus: %q\nledger: %q\ndir: %q\nconsole: {listen: %q}\nfhir: {listen: %q}\nlog: {level: warn, format: json}\n", s.Bus, s.Ledger, s.Dir, h.API, ports[2]),
		"contracts/partners/clinic.yaml": fmt.Sprintf(`silta: partner/v1
id: clinic
title: {en: Clinic, fi: Klinikka, sv: Klinik}
dialect: {format: hl7v2, version: 2.5.1}
door: {mllp: {listen: %q, connections: 1000}}
keys: {REF: [RF1-6]}
routes:
  - {types: ["REF^*"], to: [ward]}
`, h.Door),
		"contracts/partners/ward.yaml": fmt.Sprintf(`silta: partner/v1
id: ward
title: {en: Ward, fi: Osasto, sv: Avdelning}
dialect: {format: hl7v2, version: 2.5.1, names: {application: WARD, facility: CHAOS, ourApplication: SILTA, ourFacility: CHAOS}}
courier: {mllp: {to: %q, connections: %d, pipeline: %d, answer: 5s}}
retry: {first: 200ms, max: 2s, spill: 5s, probe: 500ms}
`, partner, connections, pipeline),
		"secrets/hub.secret":     secret,
		"secrets/operator.token": h.token,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	h.log, err = os.Create(filepath.Join(dir, "hub.log"))
	return h, err
}

// Run keeps the process running until ctx ends; then it is asked to end, and killed if it doesn't.
func (h *Hub) Run(ctx context.Context) {
	defer h.log.Close()
	for ctx.Err() == nil {
		run := exec.Command(h.binary, "serve", "-c", filepath.Join(h.dir, "silta.yaml"))
		run.Stdout, run.Stderr = io.Discard, h.log
		if err := run.Start(); err != nil {
			fmt.Fprintln(h.log, "start:", err)
			return
		}
		h.mu.Lock()
		h.process = run.Process
		h.mu.Unlock()
		ended := make(chan error, 1)
		go func() { ended <- run.Wait() }()
		select {
		case <-ended:
		case <-ctx.Done():
			_ = run.Process.Signal(syscall.SIGTERM)
			late := time.AfterFunc(time.Minute, func() { _ = run.Process.Kill() })
			<-ended
			late.Stop()
		}
		h.mu.Lock()
		h.process = nil
		if code := run.ProcessState.ExitCode(); code >= 0 && ctx.Err() == nil {
			h.exits[code]++
		}
		h.mu.Unlock()
		rest(ctx, 300*time.Millisecond)
	}
}

// Signal sends a signal to the process that runs now, if one does.
func (h *Hub) Signal(s syscall.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != nil {
		_ = h.process.Signal(s)
	}
}

// PID is that of the process that runs now, or 0.
func (h *Hub) PID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == nil {
		return 0
	}
	return h.process.Pid
}

// Exits tells how often the process ended by itself, by exit code.
func (h *Hub) Exits() map[int]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.exits
}

// Ready waits until the hub takes messages, or ctx ends.
func (h *Hub) Ready(ctx context.Context) error { return h.await(ctx, http.StatusOK) }

// Refusing waits until the hub says that it takes no messages, or ctx ends.
func (h *Hub) Refusing(ctx context.Context) error { return h.await(ctx, http.StatusServiceUnavailable) }

func (h *Hub) await(ctx context.Context, readiness int) error {
	for ctx.Err() == nil {
		if status, err := h.get(ctx, "/readyz", nil); err == nil && status == readiness {
			return nil
		}
		rest(ctx, 100*time.Millisecond)
	}
	return ctx.Err()
}

// Unfinished counts the messages that the hub shows in a state that isn't the end.
func (h *Hub) Unfinished(ctx context.Context) (int, error) {
	n := 0
	for _, state := range []string{"received", "translated", "sending", "waiting", "parked", "refused"} {
		var list struct {
			Messages []struct{} `json:"messages"`
		}
		status, err := h.get(ctx, "/api/v1/messages?limit=10000&state="+state, &list)
		if err != nil || status != http.StatusOK {
			return 0, fmt.Errorf("list: %d %w", status, err)
		}
		n += len(list.Messages)
	}
	return n, nil
}

func (h *Hub) get(ctx context.Context, path string, into any) (int, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.API+path, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if into == nil {
		return response.StatusCode, nil
	}
	return response.StatusCode, json.NewDecoder(response.Body).Decode(into)
}

// freePorts gives addresses on which nobody listens now. They lie below those that the system hands out by itself, so that
// no connection takes one while its hub is down.
func freePorts(n int) ([]string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	var all []string
	for tries := 0; len(all) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000)))
		if err != nil && tries > 1000 {
			return nil, err
		}
		if err == nil {
			held, all = append(held, l), append(all, l.Addr().String())
		}
	}
	return all, nil
}

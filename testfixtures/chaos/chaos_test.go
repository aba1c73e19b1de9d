package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hoitosilta/silta/testfixtures/chaos"
)

var lasting = flag.Duration("chaos", 30*time.Second, "how long processes are killed under load")

// binary is the real silta.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "silta")
	build := exec.Command("go", "build", "-o", path, "github.com/hoitosilta/silta/cmd/silta")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// trial is a load on hubs, with a partner that counts.
type trial struct {
	log     *chaos.Log
	partner *chaos.Partner
	hubs    []*chaos.Hub
	senders *chaos.Senders
	start   func(i int) // starts one of the hubs
}

// begin starts hubs on stores that they share, or one on its own files. Of several the last one is left for later.
func begin(t *testing.T, n int, stores chaos.Stores, referrals int) *trial {
	t.Helper()
	r := &trial{log: &chaos.Log{}}
	var err error
	if r.partner, err = chaos.ListenPartner(r.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.partner.Close)
	silta := binary(t)
	running, end := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	t.Cleanup(func() { end(); ended.Wait() })
	r.start = func(i int) { ended.Go(func() { r.hubs[i].Run(running) }) }
	var doors []string
	for i := range n {
		dir := filepath.Join(t.TempDir(), fmt.Sprint("hub-", i))
		h, err := chaos.NewHub(silta, dir, r.partner.Addr(), stores, strings.Repeat("secret", 8))
		if err != nil {
			t.Fatal(err)
		}
		r.hubs = append(r.hubs, h)
		doors = append(doors, h.Door)
		t.Cleanup(func() {
			if t.Failed() {
				b, _ := os.ReadFile(filepath.Join(dir, "hub.log"))
				t.Logf("hub %d's log ends with\n%s", i, b[max(0, len(b)-4000):])
			}
		})
	}
	ready, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	for i := range max(1, n-1) {
		r.start(i)
	}
	for i := range max(1, n-1) {
		if err := r.hubs[i].Ready(ready); err != nil {
			t.Fatal("a hub doesn't become ready")
		}
	}
	r.senders = &chaos.Senders{Doors: doors, Referrals: referrals, Pause: 200 * time.Millisecond}
	return r
}

// under runs the load for so long while disturb is called again and again, and then compares.
func (r *trial) under(t *testing.T, lasting time.Duration, disturb func(context.Context)) {
	t.Helper()
	sending, enough := context.WithTimeout(t.Context(), lasting)
	defer enough()
	finally, stop := context.WithTimeout(t.Context(), lasting+5*time.Minute)
	defer stop()
	var sent sync.WaitGroup
	sent.Go(func() { r.senders.Run(sending, finally) })
	for sending.Err() == nil {
		disturb(sending)
	}
	sent.Wait()
	calm := time.Now()
	acked, n, slowest, refused := r.senders.Acked()
	r.partner.Await(finally, len(acked))
	delivered := time.Since(calm)
	v := r.partner.Verdict(acked)
	t.Logf("%d sent, %d acknowledged, %d delivered; %d lost; %d came twice near a disturbance, %d after a lost acknowledgement; slowest acknowledgement %s; %s",
		n, len(acked), v.Delivered, v.Lost, v.Doubles, v.Repeats, slowest.Round(time.Millisecond), r.log.Counts())
	if len(acked) == 0 || n != len(acked) {
		t.Errorf("%d of %d messages were acknowledged", len(acked), n)
	}
	if v.Lost > 0 {
		t.Errorf("%d acknowledged messages were lost", v.Lost)
	}
	if most := r.log.Count() * len(r.hubs) * chaos.InFlight; v.Doubles > most {
		t.Errorf("%d messages came twice near a disturbance: more than the %d that can have been in flight", v.Doubles, most)
	}
	for _, what := range append(refused, v.Wrong...) {
		t.Error(what)
	}
	unfinished := -1
	for unfinished != 0 && finally.Err() == nil {
		if n, err := r.hubs[0].Unfinished(finally); err == nil {
			unfinished = n
		}
		wait(finally, time.Second)
	}
	if unfinished != 0 {
		t.Errorf("in the end %d messages are shown as unfinished", unfinished)
	}
	t.Logf("when all was acknowledged it took %s until all was delivered, and %s until all was shown as such",
		delivered.Round(time.Millisecond), time.Since(calm).Round(time.Millisecond))
	for i, h := range r.hubs {
		for code, times := range h.Exits() {
			if code != 3 && code != 0 { // 3: its stores were away when it started; 0: it was asked to end
				t.Errorf("hub %d ended %d times with exit code %d", i, times, code)
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func some(least, most time.Duration) time.Duration {
	return least + time.Duration(rand.Int64N(int64(most-least)))
}

// One process on its own files is killed, stopped, and meets a file size limit that makes every write fail, as a full
// disk does.
func TestOneProcessOnItsFiles(t *testing.T) {
	r := begin(t, 1, chaos.Stores{Bus: "embedded", Ledger: "embedded", Dir: "data"}, 20)
	h := r.hubs[0]
	r.under(t, *lasting, func(ctx context.Context) {
		wait(ctx, some(500*time.Millisecond, 3*time.Second))
		switch rand.IntN(3) {
		case 0:
			end := r.log.Begin("hub killed")
			h.Signal(syscall.SIGKILL)
			wait(ctx, 300*time.Millisecond)
			_ = h.Ready(t.Context())
			end()
		case 1:
			end := r.log.Begin("hub stopped")
			h.Signal(syscall.SIGSTOP)
			wait(ctx, some(time.Second, 8*time.Second))
			h.Signal(syscall.SIGCONT)
			end()
		case 2:
			if pid := h.PID(); pid != 0 {
				end := r.log.Begin("disk full")
				full := unix.Rlimit{Cur: 1 << 10, Max: unix.RLIM_INFINITY}
				if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &full, nil); err == nil {
					wait(ctx, some(500*time.Millisecond, 3*time.Second))
					_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil)
				}
				end()
			}
		}
	})
}

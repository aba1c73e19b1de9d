package journeys_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
	"github.com/hoitosilta/silta/testfixtures/hus"
)

// kills says how often the hub is killed: 20 times, 3 in a short run, or as SILTA_KILLS says.
func kills(t *testing.T) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("SILTA_KILLS")); err == nil && n > 0 {
		return n
	}
	if testing.Short() {
		return 3
	}
	return 20
}

// build makes the binary that is killed. Its sources are listed first: the go command then knows that they matter to
// this test, and doesn't give an old result for new ones.
func build(t *testing.T) string {
	t.Helper()
	for _, room := range []string{"cmd", "hub", "mappings", "adapters", "contracts"} {
		if err := filepath.WalkDir(filepath.Join("..", "..", room), func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(t.TempDir(), "silta")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/hoitosilta/silta/cmd/silta").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// process is a hub that runs in a process of its own.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	told  string // the file of its stderr
	ready ready
}

type ready struct {
	API    string            `json:"api"`
	Doors  map[string]string `json:"doors"`
	Tokens map[string]string `json:"tokens"`
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// stacks ends a hub that does nothing, and gives what its goroutines wait for.
func (p *process) stacks() string {
	p.cmd.Process.Signal(syscall.SIGQUIT)
	<-p.ended
	b, err := os.ReadFile(p.told)
	if err != nil {
		return err.Error()
	}
	_, stacks, _ := strings.Cut(string(b), "SIGQUIT")
	return stacks
}

// begin starts a hub on dir whose partners are ours. It doesn't wait for it to be ready.
func begin(t *testing.T, binary, dir string, partners ...string) (*process, io.Reader) {
	t.Helper()
	args := []string{"demo", "--serve", "--dir", dir}
	for _, p := range partners {
		args = append(args, "--partner", p)
	}
	p := &process{cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := os.CreateTemp(t.TempDir(), "told")
	if err != nil {
		t.Fatal(err)
	}
	p.told, p.cmd.Stderr = told.Name(), told
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	go func() {
		io.Copy(write, out)
		write.Close()
		p.cmd.Wait()
		told.Close()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p, read
}

// awaitReady reads the ready line.
func (p *process) awaitReady(t *testing.T, out io.Reader) {
	t.Helper()
	line := bufio.NewScanner(out)
	if !line.Scan() {
		t.Fatal("the hub ended before it was ready")
	}
	if err := json.Unmarshal(line.Bytes(), &p.ready); err != nil {
		t.Fatalf("the ready line can't be read: %v", err)
	}
	go io.Copy(io.Discard, out)
}

func (p *process) door() string { return strings.TrimPrefix(p.ready.Doors["apotti"], "mllp://") }

// sender sends the messages of some referrals in order. What isn't acknowledged when the hub dies goes again, the
// same bytes, to the next one.
type sender struct {
	maker *generate.Maker
	due   *generate.Message // made, and not acknowledged yet
	ended error             // why the last line was given up
	acked []generate.Message
}

// send sends until the hub is gone, and tells of each acknowledgement. Why it ended stands in s.ended.
func (s *sender) send(ctx context.Context, door string, acked func()) error {
	s.ended = nil
	line, err := apotti.Dial(ctx, door)
	if err != nil {
		s.ended = err
		return nil // the hub is gone already
	}
	defer line.Close()
	for ctx.Err() == nil {
		if s.due == nil {
			m := s.maker.Next()
			s.due = &m
		}
		answer, err := line.Send(ctx, s.due.Bytes)
		if err != nil {
			s.ended = fmt.Errorf("message %s: %w", s.due.Control, err)
			return nil
		}
		if !answer.Accepted() {
			return fmt.Errorf("message %s got %s %s", s.due.Control, answer.Code, answer.Error)
		}
		s.acked = append(s.acked, *s.due)
		s.due = nil
		acked()
	}
	return nil
}

// The promise, kept through kill -9 at any moment: what was acknowledged arrives, under one id, in the order of its
// referral. HUS is slow, so that the kill falls between acknowledgement and delivery, and sometimes loses its answer.
func TestNothingAcknowledgedIsLostWhenTheHubIsKilled(t *testing.T) {
	binary, dir, rounds := build(t), t.TempDir(), kills(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	theirs, err := hus.Start(hus.Config{Listen: "127.0.0.1:0", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(theirs.Close)
	var senders []*sender
	for i := range 4 {
		maker, err := generate.New(generate.Options{Seed: seed, Prefix: fmt.Sprintf("KILL%d", i), Referrals: 5, Size: 2000})
		if err != nil {
			t.Fatal(err)
		}
		senders = append(senders, &sender{maker: maker})
	}
	partner := "hus=" + theirs.URL()
	for round := range rounds {
		if err := theirs.Behave(hus.Behaviour{Delay: time.Duration(random.IntN(15)) * time.Millisecond, Drop: random.IntN(3)}); err != nil {
			t.Fatal(err)
		}
		if round%5 == 4 { // at any moment of a start, before anything is asked of it
			p, out := begin(t, binary, dir, partner)
			go io.Copy(io.Discard, out)
			killAfter(p, time.Duration(random.IntN(200))*time.Millisecond)
		}
		p, out := begin(t, binary, dir, partner)
		p.awaitReady(t, out)
		sendAndKill(t, p, senders, 1+random.IntN(40), time.Duration(random.IntN(20_000))*time.Microsecond)
	}
	if err := theirs.Behave(hus.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	p, out := begin(t, binary, dir, partner)
	p.awaitReady(t, out)
	var acked []generate.Message
	for _, s := range senders {
		acked = append(acked, s.acked...)
		if s.due != nil { // what was sent and not acknowledged is sent again, as its sender would
			answer, err := apotti.Deliver(t.Context(), p.door(), s.due.Bytes)
			if err != nil || !answer.Accepted() {
				t.Fatalf("the last message of a sender got %s (%v)", answer.Code, err)
			}
			acked = append(acked, *s.due)
		}
	}
	t.Logf("%d kills, %d messages acknowledged", rounds+rounds/5, len(acked))
	awaitAll(t, theirs, acked)
	checkArrivals(t, theirs.Received(), acked)
	checkNoneIsHeld(t, p)
}

// sendAndKill lets the senders send, and kills the hub a moment after so many acknowledgements.
func sendAndKill(t *testing.T, p *process, senders []*sender, after int, moment time.Duration) {
	t.Helper()
	acks := make(chan struct{}, 1024)
	faults := make(chan error, len(senders))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sending sync.WaitGroup
	for _, s := range senders {
		sending.Go(func() {
			if err := s.send(ctx, p.door(), func() { acks <- struct{}{} }); err != nil {
				faults <- err
			}
		})
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for range after {
			select {
			case <-acks:
			case <-time.After(30 * time.Second):
				stop()
				faults <- fmt.Errorf("no acknowledgement for 30 s; the hub waits for: %s", p.stacks())
				return
			}
		}
		killAfter(p, moment)
	}()
	drained := make(chan struct{})
	go func() {
		<-killed
		for {
			select {
			case <-acks:
			case <-drained:
				return
			}
		}
	}()
	<-killed
	sending.Wait()
	close(drained)
	select {
	case err := <-faults:
		for i, s := range senders {
			t.Logf("sender %d ended with %v", i, s.ended)
		}
		t.Fatal(err)
	default:
	}
}

func killAfter(p *process, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ended:
	}
	p.kill()
}

// awaitAll waits until HUS holds every acknowledged message.
func awaitAll(t *testing.T, theirs *hus.System, acked []generate.Message) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	missing, looked := map[string]bool{}, 0
	for _, m := range acked {
		missing[m.Mark] = true
	}
	err := theirs.Wait(ctx, func(all []hus.Received) bool {
		for ; looked < len(all); looked++ {
			delete(missing, markOf(all[looked].Body))
		}
		return len(missing) == 0
	})
	if err != nil {
		t.Fatalf("%d of %d acknowledged messages aren't at HUS after a minute", len(missing), len(acked))
	}
}

// markOf gives the mark of a message that generate made, or what names a message of the demo's own.
func markOf(body []byte) string {
	text := string(body)
	at := strings.Index(text, "viite ")
	if at < 0 {
		return ""
	}
	mark, _, _ := strings.Cut(text[at:], ".")
	return mark + "."
}

// checkArrivals holds what HUS received against what was acknowledged.
func checkArrivals(t *testing.T, received []hus.Received, acked []generate.Message) {
	t.Helper()
	number, sent := map[string]int{}, map[string]bool{}
	for _, m := range acked {
		number[m.Mark], sent[m.Mark] = m.Number, true
	}
	key, last := map[string]string{}, map[string]int{}
	repeats := 0
	for _, r := range received {
		repeats += r.Times - 1
		if r.Changed {
			t.Errorf("%s left with two different bodies", r.Control)
		}
		mark := markOf(r.Body)
		if mark == "" {
			mark = "the demo's own " + r.Placer
		} else if !sent[mark] {
			t.Errorf("%s was never sent", mark)
		}
		if other := key[mark]; other != "" {
			t.Errorf("%s came under two ids, %s and %s", mark, other, r.Key)
		}
		key[mark] = r.Key
		if n := number[mark]; n > 0 {
			if n < last[r.Placer] {
				t.Errorf("%s came after message %d of its referral", mark, last[r.Placer])
			}
			last[r.Placer] = max(n, last[r.Placer])
		}
	}
	t.Logf("HUS saw %d messages, %d repeats under the same id", len(received), repeats)
}

// checkNoneIsHeld asks the hub whether anything is parked or refused.
func checkNoneIsHeld(t *testing.T, p *process) {
	t.Helper()
	for _, state := range []string{"parked", "refused", "stopped"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.ready.API+"/api/v1/messages?state="+url.QueryEscape(state), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+p.ready.Tokens["operator"])
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var held struct {
			Messages []struct {
				Control string `json:"controlId"`
			} `json:"messages"`
		}
		if err := json.NewDecoder(response.Body).Decode(&held); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("the API answers %d (%v)", response.StatusCode, err)
		}
		for _, r := range held.Messages {
			t.Errorf("%s is %s", r.Control, state)
		}
	}
}

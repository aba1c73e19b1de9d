//go:build kafka

package busconformance_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bus "github.com/hoitosilta/silta/adapters/kafka"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

// childShares makes this test binary a member of a group: its value is the brokers.
const childShares = "SILTA_TEST_SHARE"

const shared = "silta.test.shared"

// session is long enough that a member on a busy machine is not taken for dead when a broker dies: what comes again of
// one that always runs is a fault.
const session = 10 * time.Second

// TestMain can't name a member, because this file is there only with its build tag.
func init() {
	if brokers := os.Getenv(childShares); brokers != "" {
		share(strings.Split(brokers, ","))
	}
}

// share works records until its input ends, and writes a line for each: when, which key, which number, and at which
// place it stands. As a courier does, it looks whether the key is its own right before it writes.
func share(brokers []string) {
	c := bus.Config{Brokers: brokers, Partitions: 12, Names: "silta.shared.", Session: session}
	b, err := bus.Open(context.Background(), c)
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err = b.Consume(ctx, shared, "hub", 4, func(_ context.Context, r contracts.Record) error {
			if !b.Owns(shared, "hub", r.Key) {
				return fmt.Errorf("not ours any more")
			}
			_, err := fmt.Printf("%d %s %d %d %d\n", time.Now().UnixNano(), r.Key, r.Time.UnixMicro(), r.Place.Partition, r.Place.Offset)
			return err
		})
	}
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// handling is one line of a member.
type handling struct {
	at     int64 // nanoseconds, on one clock
	member string
	key    string
	n      int

	partition int32
	offset    int64
}

// members are the processes of a group, and what they have done.
type members struct {
	t       *testing.T
	brokers string

	mu      sync.Mutex
	done    []handling
	records map[string]bool
	grown   chan struct{}
}

// member is one process.
type member struct {
	run   *exec.Cmd
	input io.Closer
	read  chan struct{} // closed when all its lines were read
}

func (m *members) start(name string) *member {
	m.t.Helper()
	run := exec.Command(os.Args[0])
	run.Env = append(os.Environ(), childShares+"="+m.brokers)
	run.Stderr = os.Stderr
	input, err := run.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	output, err := run.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		m.t.Fatal(err)
	}
	p := &member{run, input, make(chan struct{})}
	go func() {
		defer close(p.read)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			h := handling{member: name}
			if n, _ := fmt.Sscanf(lines.Text(), "%d %s %d %d %d", &h.at, &h.key, &h.n, &h.partition, &h.offset); n == 5 {
				m.add(h)
			}
		}
	}()
	m.t.Cleanup(func() {
		_ = run.Process.Kill() // it has ended, unless the test failed
		<-p.read
	})
	return p
}

func (m *members) add(h handling) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done = append(m.done, h)
	m.records[fmt.Sprint(h.key, " ", h.n)] = true
	close(m.grown)
	m.grown = make(chan struct{})
}

// until waits until a condition holds of what was done: how many records, and by whom how many handlings.
func (m *members) until(what string, holds func(records int, by map[string]int) bool) {
	m.t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		m.mu.Lock()
		by := map[string]int{}
		for _, h := range m.done {
			by[h.member]++
		}
		records, grown := len(m.records), m.grown
		m.mu.Unlock()
		if holds(records, by) {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			m.t.Fatalf("%s: %d records, handled by %v", what, records, by)
		}
	}
}

// end ends a process in order and waits for it.
func (p *member) end(t *testing.T) {
	t.Helper()
	p.input.Close()
	<-p.read
	if err := p.run.Wait(); err != nil {
		t.Errorf("a member ended: %v", err)
	}
}

// One process joins, one is killed by -9, one is stopped for longer than its session and goes on, and a broker dies between:
// every record is handled, the first handlings of each key are in order, and only what the killed and the stopped process
// had in work or hadn't committed comes twice. Of what the third one handled comes twice only what stood above the low
// watermark when it handed a partition over: behind a record that it hadn't begun.
func processes(t *testing.T, cluster *kafka.Cluster) {
	const keys, each = 40, 150
	c := config(cluster, "silta.shared.")
	c.Partitions = 12
	b := openKafka(t, c, shared)
	m := &members{t: t, brokers: strings.Join(cluster.Addresses(), ","), records: map[string]bool{}, grown: make(chan struct{})}
	published := 0
	publish := func(rounds int) {
		var publishing sync.WaitGroup
		for k := range keys {
			publishing.Go(func() {
				for n := published; n < published+rounds; n++ {
					r := contracts.Record{Topic: shared, Key: contracts.Key(fmt.Sprint(k)), ID: contracts.DerivedID("shared", fmt.Sprint(k), fmt.Sprint(n)), Time: time.UnixMicro(int64(n))}
					if _, err := b.Publish(t.Context(), r, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		publishing.Wait()
		published += rounds
	}
	all := func(records int, _ map[string]int) bool { return records == keys*published }

	killed := m.start("killed")
	stopped := m.start("stopped")
	publish(each / 6)
	m.until("two members", func(_ int, by map[string]int) bool { return by["killed"] > 0 && by["stopped"] > 0 })
	added := m.start("added")
	publish(each / 6)
	m.until("a third member", func(_ int, by map[string]int) bool { return by["added"] > 0 })

	go func() {
		m.mu.Lock()
		grown := m.grown
		m.mu.Unlock()
		<-grown // in the middle of work
		_ = killed.run.Process.Kill()
	}()
	publish(each / 6)
	<-killed.read
	_ = killed.run.Wait()
	m.until("all after the kill", all)

	if err := cluster.Kill(2); err != nil { // leaders move, and maybe the group's coordinator
		t.Fatal(err)
	}
	publish(each / 6)
	m.until("all without a broker", all)
	restart(t, cluster, 2)

	if err := stopped.run.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	publish(each / 6)
	m.until("all while one is stopped", all) // so its session is over, and its partitions have moved
	if err := stopped.run.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	publish(each / 6)
	m.until("all", all)
	stopped.end(t)
	added.end(t)
	m.check(keys, published)
}

// check looks at all that was done.
func (m *members) check(keys, each int) {
	m.t.Helper()
	slices.SortStableFunc(m.done, func(a, b handling) int { return int(a.at - b.at) })
	next, first := map[string]int{}, map[string]handling{}
	repeats := map[string]int{}
	by := map[string]int{}
	var ran []handling // what came again of the process that always ran
	for _, h := range m.done {
		by[h.member]++
		record := fmt.Sprint(h.key, " ", h.n)
		if before, again := first[record]; again {
			repeats[before.member]++
			if before.member == "added" {
				ran = append(ran, before)
			}
			continue
		}
		first[record] = h
		if h.n != next[h.key] {
			m.t.Errorf("key %s: record %d was handled first after record %d", h.key, h.n, next[h.key]-1)
		}
		next[h.key] = h.n + 1
	}
	if len(first) != keys*each {
		m.t.Errorf("%d records were handled, want %d", len(first), keys*each)
	}
	for _, h := range ran {
		below := func(o handling) bool {
			return o.partition == h.partition && o.offset < h.offset && o.member != h.member && o.at > h.at
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(first)), below) {
			m.t.Errorf("record %d of partition %d came again, though a process handled it that always ran, and all before it", h.offset, h.partition)
		}
	}
	if n := len(first) / 4; repeats["killed"] > n || repeats["stopped"] > n || repeats["added"] > n {
		m.t.Errorf("%v records came again, want only those that weren't committed", repeats)
	}
	m.t.Logf("handled by %v; repeats of what %v had handled, of %d records", by, repeats, len(first))
}

// A member that ends gives back what stands above its low watermark, though it is finished, and nothing below it.
func lowWatermark(t *testing.T, cluster *kafka.Cluster) {
	const topic = "silta.test.watermark"
	c := config(cluster, "silta.watermark.")
	c.Partitions = 1
	b := openKafka(t, c, topic)
	publish := func(keys ...contracts.Key) {
		for _, key := range keys {
			r := contracts.Record{Topic: topic, Key: key, ID: contracts.DerivedID("watermark", rand.Text()), Time: time.UnixMicro(1)}
			if _, err := b.Publish(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish("a", "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	began, finish := make(chan contracts.Key, 10), make(chan bool)
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, topic, "hub", 2, func(_ context.Context, r contracts.Record) error {
			began <- r.Key
			if r.Key == "a" {
				<-finish
			}
			return nil
		})
	}()
	if x, y := await(t, began), await(t, began); x == y {
		t.Fatalf("two records of key %s are worked at once", x)
	}
	cancel() // the second record of a isn't begun any more
	close(finish)
	if err := await(t, ended); err != nil {
		t.Fatal(err)
	}
	publish("end")
	got := make(chan contracts.Record, 10)
	consume(t, openKafka(t, c), topic, func(_ context.Context, r contracts.Record) error {
		got <- r
		return nil
	})
	offsets := map[int64]bool{}
	for len(offsets) < 3 {
		offsets[await(t, got).Place.Offset] = true
	}
	if want := map[int64]bool{1: true, 2: true, 3: true}; !maps.Equal(offsets, want) {
		t.Errorf("the next member got the records at %v, want %v", offsets, want)
	}
}

// A member that holds a key keeps its partition from moving until it lets go; then the other one begins behind it.
func heldPartition(t *testing.T, cluster *kafka.Cluster) {
	const topic = "silta.test.held"
	c := config(cluster, "silta.held.")
	c.Partitions = 1
	first, second := openKafka(t, c, topic), openKafka(t, c)
	publish := func(n int) contracts.ID {
		r := contracts.Record{Topic: topic, Key: "a", ID: contracts.DerivedID("held", fmt.Sprint(n)), Time: time.UnixMicro(int64(n))}
		if _, err := first.Publish(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	lanes := make(chan context.Context, 10)
	stopFirst := consume(t, first, topic, func(ctx context.Context, _ contracts.Record) error {
		lanes <- ctx
		return nil
	})
	publish(1)
	lane := await(t, lanes)
	kept, release, held := first.Hold(topic, "hub", "a")
	if !held || !first.Owns(topic, "hub", "a") || second.Owns(topic, "hub", "a") {
		t.Fatalf("the one member that works the key doesn't own it alone (held: %v)", held)
	}
	got := make(chan contracts.ID, 10)
	consume(t, second, topic, func(_ context.Context, r contracts.Record) error {
		got <- r.ID
		return nil
	})
	ended := make(chan bool)
	go func() {
		stopFirst()
		close(ended)
	}()
	want := publish(2)
	select {
	case <-got:
		t.Error("the partition moved while a key was held")
	case <-ended:
		t.Error("Consume ended while a key was held")
	case <-time.After(c.Session): // time enough for it to move
	}
	if _, _, held := second.Hold(topic, "hub", "a"); held {
		t.Error("two members hold a key")
	}
	if lane.Err() != nil || kept.Err() != nil {
		t.Error("a handle's or a holder's context ended before the partition was handed over")
	}
	release()
	if id := await(t, got); id != want {
		t.Errorf("the next member got %s, want %s", id, want)
	}
	await(t, ended)
	if lane.Err() == nil || kept.Err() == nil {
		t.Error("a handle's or a holder's context goes on after the partition was handed over")
	}
	if !second.Owns(topic, "hub", "a") || first.Owns(topic, "hub", "a") {
		t.Error("the key belongs to another member than works it")
	}
}

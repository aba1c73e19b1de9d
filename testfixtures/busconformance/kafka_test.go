//go:build kafka

package busconformance_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bus "github.com/hoitosilta/silta/adapters/kafka"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/busconformance"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

var _ hub.Bus = (*bus.Bus)(nil)

// The whole suite, against one real broker. What isn't here: kill -9 and a second process on the same data, which
// belong to brokers, not to the bus.
func TestKafka(t *testing.T) {
	brokers := kafka.Start(t, kafka.Options{Brokers: 1}).Addresses()
	t.Run("conforms", func(t *testing.T) { conforms(t, brokers) })
	t.Run("refuses topics that one broker can lose", func(t *testing.T) {
		_, err := bus.Open(t.Context(), bus.Config{Brokers: brokers, Names: "weak."})
		if f := contracts.FaultsOf(err)[0]; f.Kind != contracts.Unavailable || f.Code != "BUS-021" {
			t.Errorf("got %v, want unavailable BUS-021", err)
		}
	})
	t.Run("says that nobody answers", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := bus.Open(ctx, bus.Config{Brokers: []string{"127.0.0.1:1"}})
		if f := contracts.FaultsOf(err)[0]; f.Kind != contracts.Unavailable || f.Code != "BUS-020" {
			t.Errorf("got %v, want unavailable BUS-020", err)
		}
	})
	t.Run("members share a group in order", func(t *testing.T) { members(t, brokers) })
}

// config gives each test topics of its own, those of the bus included.
func config(brokers []string, names string) bus.Config {
	return bus.Config{Brokers: brokers, Development: true, Partitions: 3, Names: names, Backoff: time.Millisecond, BackoffMax: 20 * time.Millisecond}
}

func openKafka(t *testing.T, c bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func conforms(t *testing.T, brokers []string) {
	var harnesses atomic.Int32
	busconformance.Run(t, func(t *testing.T) busconformance.Harness {
		n := harnesses.Add(1)
		c := config(brokers, fmt.Sprintf("silta.%d.", n))
		b := openKafka(t, c)
		t.Cleanup(func() { b.Close() })
		return busconformance.Harness{
			Bus: b,
			Topic: func(name string) string {
				topic := fmt.Sprintf("silta.test.%d.%s", n, name)
				if err := b.Topics(context.Background(), topic); err != nil {
					t.Fatal(err)
				}
				return topic
			},
			Reopen: func() hub.Bus {
				if err := b.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				b = openKafka(t, c)
				return b
			},
			KeepsCopies: true,
		}
	})
}

// While a second member joins and the first one leaves, partitions move: no record is lost, none comes twice, because
// both end in order, and each key's records come in order.
func members(t *testing.T, brokers []string) {
	const topic, keys, each = "silta.test.members", 30, 60
	c := config(brokers, "silta.members.")
	first, second := openKafka(t, c), openKafka(t, c)
	defer first.Close()
	defer second.Close()
	if err := first.Topics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[contracts.Key][]int64{}
	by := map[string]int{}
	half, joined, all := make(chan bool), make(chan bool), make(chan bool)
	total := 0
	handle := func(member string) func(context.Context, contracts.Record) error {
		return func(_ context.Context, r contracts.Record) error {
			mu.Lock()
			defer mu.Unlock()
			got[r.Key] = append(got[r.Key], r.Time.UnixMicro())
			by[member]++
			if member == "second" && by[member] == 1 {
				close(joined)
			}
			if total++; total == keys*each/2 {
				close(half)
			}
			if total == keys*each {
				close(all)
			}
			return nil
		}
	}
	publish := func(from, to int) {
		for n := from; n < to; n++ {
			for k := range keys {
				r := contracts.Record{Topic: topic, Key: contracts.Key(fmt.Sprint(k)), ID: contracts.DerivedID("member", fmt.Sprint(k), fmt.Sprint(n)), Time: time.UnixMicro(int64(n))}
				if _, err := first.Publish(t.Context(), r, nil); err != nil {
					t.Error(err)
				}
			}
		}
	}
	firstCtx, firstEnds := context.WithCancel(t.Context())
	secondCtx, secondEnds := context.WithCancel(t.Context())
	defer firstEnds()
	defer secondEnds()
	ended := make(chan error, 2)
	go func() { ended <- first.Consume(firstCtx, topic, "hub", 4, handle("first")) }()
	publish(0, each/2)
	await(t, half)
	go func() { ended <- second.Consume(secondCtx, topic, "hub", 4, handle("second")) }()
	publish(each/2, each-5)
	firstEnds()
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
	publish(each-5, each)
	await(t, joined)
	await(t, all)
	secondEnds()
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for key, times := range got {
		for n, at := range times {
			if len(times) != each || at != int64(n) {
				t.Fatalf("key %s: %d records came in the order %v, want %d in order", key, len(times), times, each)
			}
		}
	}
	t.Logf("the first member had %d records, the second %d", by["first"], by["second"])
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(3 * time.Minute):
		t.Fatal("no sign for three minutes")
		panic("unreachable")
	}
}

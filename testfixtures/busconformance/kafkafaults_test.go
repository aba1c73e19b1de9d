//go:build kafka

package busconformance_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

// Callers that wait when a broker dies wait for the next leader: none fails, and all that was acknowledged is there.
func leaderKilled(t *testing.T, cluster *kafka.Cluster) {
	const topic, callers = "silta.test.leader", 64
	b := openKafka(t, config(cluster, "silta.leader."), topic)
	var mu sync.Mutex
	acknowledged, longest := map[contracts.ID]bool{}, time.Duration(0)
	killed := make(chan struct{})
	ready, working := sync.WaitGroup{}, errgroup.Group{}
	ready.Add(callers)
	for caller := range callers {
		working.Go(func() error {
			after := 0
			for n := 0; after < 10; n++ {
				if n == 5 {
					ready.Done()
				}
				select {
				case <-killed:
					after++
				default:
				}
				r := contracts.Record{Topic: topic, Key: contracts.Key(fmt.Sprint(caller)), ID: contracts.DerivedID("leader", fmt.Sprint(caller), fmt.Sprint(n)), Time: time.Unix(0, 0).UTC()}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				began := time.Now()
				_, err := b.Publish(ctx, r, &contracts.Once{Key: contracts.Key(r.ID), Digest: "d"})
				cancel()
				if err != nil {
					return err
				}
				mu.Lock()
				acknowledged[r.ID] = true
				longest = max(longest, time.Since(began))
				mu.Unlock()
			}
			return nil
		})
	}
	ready.Wait()
	if err := cluster.Kill(1); err != nil {
		t.Fatal(err)
	}
	close(killed)
	if err := working.Wait(); err != nil {
		t.Error(err)
	}
	restart(t, cluster, 1)
	there := map[contracts.ID]bool{}
	if err := b.Replay(t.Context(), contracts.Replay{Topic: topic}, func(r contracts.Record) error {
		there[r.ID] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for id := range acknowledged {
		if !there[id] {
			t.Errorf("%s was acknowledged and is gone", id)
		}
	}
	t.Logf("%d acknowledged; the longest wait was %v", len(acknowledged), longest.Round(time.Millisecond))
}

// Without enough replicas, or brokers, a caller hears at its own deadline that the bus is unavailable, Consume waits, and
// both go on by themselves when the brokers are back.
func brokersKilled(t *testing.T, cluster *kafka.Cluster) {
	const topic = "silta.test.down"
	b := openKafka(t, config(cluster, "silta.down."), topic)
	n := 0
	publish := func(patience time.Duration) (contracts.ID, error) {
		n++
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		id := contracts.DerivedID("down", fmt.Sprint(n))
		_, err := b.Publish(ctx, contracts.Record{Topic: topic, Key: "a", ID: id, Time: time.Unix(0, 0).UTC()}, nil)
		return id, err
	}
	got := make(chan contracts.ID, 100)
	consume(t, b, topic, func(_ context.Context, r contracts.Record) error {
		got <- r.ID
		return nil
	})
	id, err := publish(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if first := await(t, got); first != id {
		t.Fatalf("got %s, want %s", first, id)
	}
	for _, step := range []struct {
		name  string
		kills []int
	}{{"two brokers down", []int{2, 3}}, {"all brokers down", []int{1}}} {
		for _, i := range step.kills {
			if err := cluster.Kill(i); err != nil {
				t.Fatal(err)
			}
		}
		_, err = publish(2 * time.Second)
		expectFault(t, err, contracts.Unavailable, "BUS-010")
		t.Log(step.name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	expectFault(t, b.Health(ctx), contracts.Unavailable, "BUS-020")
	restart(t, cluster, 1, 2, 3)
	if id, err = publish(time.Minute); err != nil {
		t.Fatal(err)
	}
	for await(t, got) != id { // those whose callers had gone may come first
	}
	if err := b.Health(t.Context()); err != nil {
		t.Errorf("when all is well again, it says: %v", err)
	}
}

// restart starts brokers again and waits until every replica is in sync.
func restart(t *testing.T, cluster *kafka.Cluster, brokers ...int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var starting errgroup.Group
	for _, i := range brokers {
		starting.Go(func() error { return cluster.Restart(ctx, i) })
	}
	if err := starting.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

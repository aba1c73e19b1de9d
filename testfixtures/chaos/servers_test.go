//go:build kafka

package chaos_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoitosilta/silta/testfixtures/chaos"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

// One process on three brokers: each of them is killed or stopped now and then.
func TestOneProcessOnBrokers(t *testing.T) {
	cluster := kafka.Start(t, kafka.Options{})
	r := begin(t, 1, chaos.Stores{Bus: "kafka://" + strings.Join(cluster.Addresses(), ","), Ledger: "embedded"}, 20)
	h := r.hubs[0]
	r.under(t, func(ctx context.Context) {
		wait(ctx, some(500*time.Millisecond, 3*time.Second))
		broker := 1 + rand.IntN(3)
		switch rand.IntN(3) {
		case 0:
			end := r.log.Begin("hub killed")
			h.Signal(syscall.SIGKILL)
			wait(ctx, 300*time.Millisecond)
			_ = h.Ready(t.Context())
			end()
		case 1:
			end := r.log.Begin("broker killed")
			_ = cluster.Kill(broker)
			wait(ctx, some(time.Second, 10*time.Second))
			r.restart(t, cluster, broker)
			end()
		case 2:
			end := r.log.Begin("broker stopped")
			_ = cluster.Stop(broker)
			wait(ctx, some(time.Second, 10*time.Second))
			_ = cluster.Continue(broker)
			_ = cluster.Settle(t.Context())
			end()
		}
	})
}

// restart starts a killed broker and waits until its replicas have caught up, so that the next kill takes one of three.
func (r *trial) restart(t *testing.T, cluster *kafka.Cluster, broker int) {
	t.Helper()
	if err := cluster.Restart(t.Context(), broker); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

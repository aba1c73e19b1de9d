//go:build kafka && postgres

package chaos_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/testfixtures/chaos"
	"github.com/hoitosilta/silta/testfixtures/kafka"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

// recovery is how long a process or server may take to be well again; all share a few cores.
const recovery = 3 * time.Minute

// Three processes on three brokers and one PostgreSQL share the work as one group. Each of all these is killed or stopped
// now and then, mostly one at a time, and sometimes two.
func TestThreeProcessesOnServers(t *testing.T) {
	s := &servers{cluster: kafka.Start(t, kafka.Options{}), database: postgres.ForTest(t)}
	s.trial = begin(t, 3, chaos.Stores{Bus: "kafka://" + strings.Join(s.cluster.Addresses(), ","), Ledger: s.database.URL(), Dir: "data"}, 20)
	s.under(t, *lasting, func(ctx context.Context) {
		wait(ctx, some(500*time.Millisecond, 3*time.Second))
		if ctx.Err() != nil {
			return
		}
		var striking errgroup.Group
		on := s.whom()
		striking.Go(func() error { return s.strike(ctx, on) })
		if other := s.whom(); other != on && rand.IntN(5) == 0 {
			striking.Go(func() error { return s.strike(ctx, other) })
		}
		if err := striking.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// servers is a trial with all that its hubs stand on.
type servers struct {
	*trial
	cluster  *kafka.Cluster
	database *postgres.Server
	late     bool // the last hub has started
}

// victim is who is disturbed: one of the hubs, or the brokers (0 with hub -1), or PostgreSQL.
type victim int

const (
	brokers  victim = -1
	database victim = -2
)

// whom draws a victim: hubs half of the time. The last hub is added the first time that its turn comes.
func (s *servers) whom() victim {
	switch rand.IntN(6) {
	case 0, 1:
		return brokers
	case 2:
		return database
	}
	return victim(rand.IntN(len(s.hubs)))
}

// strike disturbs a victim and returns when it is well again. The wait in between ends with ctx, being well doesn't.
func (s *servers) strike(ctx context.Context, on victim) error {
	well, cancel := context.WithTimeout(context.WithoutCancel(ctx), recovery)
	defer cancel()
	switch on {
	case brokers:
		return s.strikeBroker(ctx, well, 1+rand.IntN(3))
	case database:
		return s.strikeDatabase(ctx, well)
	}
	if int(on) == len(s.hubs)-1 && !s.late {
		s.late = true
		defer s.log.Begin("hub added")()
		s.start(int(on))
		return s.hubs[on].Ready(well)
	}
	return s.strikeHub(ctx, well, s.hubs[on])
}

func (s *servers) strikeHub(ctx, well context.Context, h *chaos.Hub) error {
	switch rand.IntN(3) {
	case 0:
		defer s.log.Begin("hub killed")()
		h.Signal(syscall.SIGKILL)
	case 1:
		defer s.log.Begin("hub ended in order")()
		h.Signal(syscall.SIGTERM)
	default:
		defer s.log.Begin("hub stopped")()
		h.Signal(syscall.SIGSTOP)
		wait(ctx, some(2*time.Second, 25*time.Second)) // a session is 10 s
		h.Signal(syscall.SIGCONT)
	}
	wait(well, 300*time.Millisecond)
	return h.Ready(well)
}

func (s *servers) strikeBroker(ctx, well context.Context, i int) error {
	if rand.IntN(2) == 0 {
		defer s.log.Begin("broker killed")()
		if err := s.cluster.Kill(i); err != nil {
			return err
		}
		wait(ctx, some(time.Second, 10*time.Second))
		return errors.Join(s.cluster.Restart(well, i), s.cluster.Settle(well))
	}
	defer s.log.Begin("broker stopped")()
	if err := s.cluster.Stop(i); err != nil {
		return err
	}
	wait(ctx, some(time.Second, 10*time.Second))
	return errors.Join(s.cluster.Continue(i), s.cluster.Settle(well))
}

func (s *servers) strikeDatabase(ctx, well context.Context) error {
	if rand.IntN(2) == 0 {
		defer s.log.Begin("PostgreSQL killed")()
		if err := s.database.Kill(); err != nil {
			return err
		}
		wait(ctx, some(500*time.Millisecond, 8*time.Second))
		return s.database.Restart(well)
	}
	defer s.log.Begin("PostgreSQL stopped")()
	if err := s.database.Stop(); err != nil {
		return err
	}
	wait(ctx, some(time.Second, 12*time.Second))
	return s.database.Continue()
}

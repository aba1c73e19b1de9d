package simulation

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hoitosilta/silta/testfixtures/model"
)

// trouble lets befall the world what the seed says, in its rough time, and makes everything good again.
func (r *run) trouble(ctx context.Context, working *sync.WaitGroup) {
	draw := rand.New(rand.NewPCG(r.seed, 8))
	some := func() *process { return r.processes[draw.IntN(len(r.processes))] }
	// during lets something be for a while that begins anywhere in the rough time.
	during := func(most time.Duration, begin, end func()) {
		from := time.Duration(draw.Int64N(int64(rough - most)))
		lasts := time.Duration(draw.Int64N(int64(most)))
		working.Go(func() {
			time.Sleep(from)
			begin()
			time.Sleep(lasts)
			end()
		})
	}
	// A message's way takes some 10 calls that can change something; crashes fall anywhere among them.
	for range crashes {
		some().CrashAt(10 + draw.IntN(200))
	}
	last := some()
	working.Go(func() {
		time.Sleep(rough)
		for r.crashed() < crashes && ctx.Err() == nil {
			last.Crash()
			time.Sleep(5 * time.Second)
		}
	})
	for range draw.IntN(3) {
		p := some()
		during(30*time.Second, p.Freeze, p.Thaw)
	}
	services := []model.Service{model.ServiceBus, model.ServiceLedger, "hus"}
	for range draw.IntN(4) {
		p, s := some(), services[draw.IntN(len(services))]
		during(40*time.Second, func() { p.Cut(s) }, func() { p.Heal(s) })
	}
	for range draw.IntN(3) {
		p := some()
		during(time.Second, func() { p.end() }, func() {})
	}
	for range draw.IntN(3) { // a bus without a leader, a ledger's failover, a full disk
		s := []model.Service{model.ServiceBus, model.ServiceLedger, model.ServiceDisk}[draw.IntN(3)]
		during(20*time.Second, func() { r.world.Down(s) }, func() { r.world.Up(s) })
	}
	for range draw.IntN(3) {
		s, d := services[draw.IntN(2)], time.Duration(draw.Int64N(int64(15*time.Second)))
		during(time.Second, func() { r.world.Stall(s, d) }, func() {})
	}
	if draw.IntN(2) == 0 {
		during(time.Minute, r.hus.Down, r.hus.Up)
	}
	if draw.IntN(3) == 0 {
		p, ahead := some(), []time.Duration{-time.Hour, 24 * time.Hour}[draw.IntN(2)]
		during(time.Minute, func() { p.SetClock(ahead) }, func() { p.SetClock(0) })
	}
}

// end stops a process in order, as an operator does.
func (p *process) end() {
	if stop := p.stop.Load(); stop != nil {
		p.stops.Add(1)
		(*stop)()
	}
}

func (r *run) crashed() (n int64) {
	for _, p := range r.processes {
		n += p.crashed.Load()
	}
	return n
}

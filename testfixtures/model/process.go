package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Process is one process of a hub. Crash is its kill -9: calls that were on their way end at once, with or without
// having taken effect; calls that come later have no effect; what was durable stays. After Restart a new hub uses the
// same handles. A nil Process is an observer, to whom nothing happens.
type Process struct {
	w    *World
	name string

	// Guarded by the world's lock.
	life     *life
	calls    int
	crashAt  map[int]bool
	thawed   chan struct{} // closed by Thaw; nil while it runs
	cut      map[Service]bool
	wrong    time.Duration // how far its clock is ahead
	silent   time.Time     // since when the bus doesn't hear of it; zero: it does
	troubles int
}

// life is the time between a start and a crash.
type life struct{ ended chan struct{} }

// Join adds a process to the world.
func (w *World) Join() *Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes++
	return &Process{w: w, name: fmt.Sprint("p", w.processes), life: &life{ended: make(chan struct{})}, crashAt: map[int]bool{}, cut: map[Service]bool{}}
}

func (w *World) alone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.processes == 1
}

// Name is p1 for the first process of a world.
func (p *Process) Name() string { return p.name }

// Now is what the process's clock says. It doesn't return while the process is frozen.
func (p *Process) Now() time.Time {
	p.awake(context.Background(), p.now())
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return time.Now().Add(p.wrong)
}

// SetClock lets the process's clock be so far ahead of the time, or behind it.
func (p *Process) SetClock(ahead time.Duration) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.wrong = ahead
	p.w.event("%s: its clock is %v ahead", p.name, ahead)
}

// Crash ends the process's life. Whoever called then waits for the hub's goroutines, whose calls all fail, and
// restarts.
func (p *Process) Crash() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.crash()
}

func (p *Process) crash() {
	if ended(p.life) == nil {
		close(p.life.ended)
		p.w.event("%s: crashes", p.name)
		p.troubles++
		p.listen()
	}
}

// CrashAt makes the process crash by itself in its nth calls (1 is the first), for each either just before the call takes
// effect or just after, as the seed says. Calls are counted over all lives; see Calls.
func (p *Process) CrashAt(n ...int) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, i := range n {
		p.crashAt[i] = true
	}
}

// Calls is how many calls that can change something the process made until now.
func (p *Process) Calls() int {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.calls
}

// Crashed is closed when the present life ends.
func (p *Process) Crashed() <-chan struct{} { return p.now().ended }

// Restart begins a new life on what was durable. Every goroutine of the old hub must have ended.
func (p *Process) Restart() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.crash()
	p.life = &life{ended: make(chan struct{})}
	p.w.event("%s: starts", p.name)
	p.listen()
}

// Freeze stops the process as SIGSTOP does, until Thaw: it begins no call, and learns of no answer. What it had asked for
// takes effect all the same.
func (p *Process) Freeze() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.thawed == nil {
		p.thawed = make(chan struct{})
		p.w.event("%s: is stopped", p.name)
		p.listen()
	}
}

// Thaw lets it go on, as SIGCONT does.
func (p *Process) Thaw() {
	p.w.mu.Lock()
	if p.thawed != nil {
		close(p.thawed)
		p.thawed = nil
		p.w.event("%s: goes on", p.name)
		p.listen()
	}
	p.w.mu.Unlock()
	p.w.broker.hear(p)
}

// Cut cuts the network between the process and a service until Heal. Calls fail after a while; one whose answer was on its
// way has taken effect.
func (p *Process) Cut(s Service) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.cut[s] = true
	p.w.event("%s: is cut off from %s", p.name, s)
	p.listen()
}

// Heal mends what Cut cut.
func (p *Process) Heal(s Service) {
	p.w.mu.Lock()
	delete(p.cut, s)
	p.w.event("%s: reaches %s again", p.name, s)
	p.listen()
	p.w.mu.Unlock()
	p.w.broker.hear(p)
}

// listen notes whether the bus hears of the process, and lets its session end if it doesn't for too long.
func (p *Process) listen() {
	silent := ended(p.life) != nil || p.thawed != nil || p.cut[ServiceBus]
	if silent == !p.silent.IsZero() {
		return
	}
	p.troubles++
	if !silent {
		p.silent = time.Time{}
		return
	}
	p.silent = time.Now()
	if b := p.w.broker; b != nil {
		since := p.silent
		time.AfterFunc(session, func() { b.expire(p, since) })
	}
}

// heard says whether the bus hears of the process, and silence for how long it hasn't.
func (p *Process) heard() bool { return p.silence() == 0 }

func (p *Process) silence() time.Duration {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.silent.IsZero() {
		return 0
	}
	return max(1, time.Since(p.silent))
}

// Troubles counts what a message can come twice for: that the process crashed, that the bus lost sight of it or saw it
// again, or took a partition from it.
func (p *Process) Troubles() int {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.troubles
}

// bereave notes that the bus took a partition from the process.
func (p *Process) bereave() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.troubles++
}

func (p *Process) now() *life {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.life
}

// call is what a process asks of a service.
type call struct {
	service Service
	weather Weather
	op, id  string
	lock    sync.Locker // of what the service holds
}

// change makes a call that changes something. effect runs at most once, under the call's lock, so that a crash comes
// before it or after it; an error of its own is the call's.
func (p *Process) change(ctx context.Context, c call, effect func(draw *rand.Rand) error) (err error) {
	life, err := p.alive(ctx)
	if err != nil {
		return unavailable(c.op, err)
	}
	if p.w.tell != nil {
		defer func() { p.w.event("%s: %s %s: %v", p.name, c.op, c.id, told(err)) }()
	}
	draw := p.w.chance(p.name, c.op, c.id)
	fails, first, second := draw.Float64(), c.weather.duration(draw), c.weather.duration(draw)
	if err := p.reach(ctx, life, c.service, first/2); err != nil {
		return unavailable(c.op, err)
	}
	if fails < c.weather.Before {
		return unavailable(c.op, errWeather)
	}
	crashes := p.count()
	if crashes && draw.IntN(2) == 0 {
		p.Crash()
	}
	c.lock.Lock()
	if err = ended(life); err != nil {
		err = unavailable(c.op, err)
	} else {
		err = effect(draw)
	}
	c.lock.Unlock()
	if crashes {
		p.Crash()
	}
	if err != nil {
		return err
	}
	if err := p.hearBack(ctx, life, c.service, second/2); err != nil {
		return unavailable(c.op, fmt.Errorf("after it took effect: %w", err))
	}
	if fails > 1-c.weather.After {
		return unavailable(c.op, fmt.Errorf("after it took effect: %w", errWeather))
	}
	return nil
}

// look makes a call that only reads.
func (p *Process) look(ctx context.Context, c call) error {
	if p == nil {
		return nil
	}
	life, err := p.alive(ctx)
	if err != nil {
		return unavailable(c.op, err)
	}
	draw := p.w.chance(p.name, c.op, c.id)
	fails := draw.Float64()
	if err := p.reach(ctx, life, c.service, c.weather.duration(draw)); err != nil {
		return unavailable(c.op, err)
	}
	if fails < c.weather.Before {
		return unavailable(c.op, errWeather)
	}
	return p.awake(ctx, life)
}

// told is how an event tells of a call's end.
func told(err error) string {
	var f *contracts.Fault
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &f) && f.Err != nil:
		return f.Err.Error()
	case errors.As(err, &f):
		return string(f.Kind) + " " + f.At
	}
	return err.Error()
}

// rest is how long a call to a crashed process takes to fail, so that whoever calls in a loop lets the time go by.
const rest = 10 * time.Millisecond

// alive gives the present life, or fails when it has ended. Nothing is drawn for such a call: how many there are doesn't
// follow from the seed.
func (p *Process) alive(ctx context.Context) (*life, error) {
	life := p.now()
	if err := p.awake(ctx, life); err == nil || ended(life) == nil {
		return life, err
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, errCrashed
}

// awake waits while the process is frozen.
func (p *Process) awake(ctx context.Context, life *life) error {
	for {
		p.w.mu.Lock()
		thawed := p.thawed
		p.w.mu.Unlock()
		if thawed == nil {
			return ended(life)
		}
		select {
		case <-thawed:
		case <-ctx.Done():
			return ctx.Err()
		case <-life.ended:
			return errCrashed
		}
	}
}

// silenceOfNetwork is how long a call over a network that is cut waits before it fails.
const silenceOfNetwork = 2 * time.Second

// reach lets a call come to its service: after d, or where the disk there stands still, d after it moves again, so that
// calls that waited have an order of their own.
func (p *Process) reach(ctx context.Context, life *life, s Service, d time.Duration) error {
	if err := pass(ctx, life, d); err != nil {
		return err
	}
	if err := p.connected(ctx, life, s); err != nil {
		return err
	}
	p.w.mu.Lock()
	until := p.w.still[s]
	p.w.mu.Unlock()
	if wait := time.Until(until); wait > 0 {
		return pass(ctx, life, wait+d)
	}
	return nil
}

// hearBack lets a call's answer come.
func (p *Process) hearBack(ctx context.Context, life *life, s Service, d time.Duration) error {
	if err := pass(ctx, life, d); err != nil {
		return err
	}
	if err := p.connected(ctx, life, s); err != nil {
		return err
	}
	return p.awake(ctx, life)
}

// connected fails where the network is cut, after a while, and where the service is down.
func (p *Process) connected(ctx context.Context, life *life, s Service) error {
	p.w.mu.Lock()
	cut, down := p.cut[s], p.w.down[s]
	p.w.mu.Unlock()
	switch {
	case cut:
		return errors.Join(errCut, pass(ctx, life, silenceOfNetwork))
	case down:
		return errDown
	}
	return nil
}

// count counts a call and says whether the process crashes in it.
func (p *Process) count() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.calls++
	return p.crashAt[p.calls]
}

func ended(l *life) error {
	select {
	case <-l.ended:
		return errCrashed
	default:
		return nil
	}
}

// pass lets d go by, unless the life or the caller's patience ends before.
func pass(ctx context.Context, l *life, d time.Duration) error {
	if err := errors.Join(ctx.Err(), ended(l)); err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ended(l)
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ended:
		return errCrashed
	}
}

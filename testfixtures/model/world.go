// Package model is what stands around a hub in the seeded simulation: a bus, a ledger and partners in memory, on
// virtual time (testing/synctest), with things going wrong as a seed says.
//
// All that one process holds belongs to one World. Crash is that process's kill -9: calls that were on their way end
// at once, with or without having taken effect; calls that come later have no effect; what was durable stays. After
// Restart a new hub uses the same Bus and Ledger.
//
// What goes wrong with a call is drawn from the seed, the call, and how often the same call was made before, never from
// a common stream: so it doesn't depend on the order in which goroutines happen to run. In a Weather that gives times,
// each call takes a time of its own, to the nanosecond, so that the order of calls follows from the seed as well.
package model

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Weather says how often calls go wrong, as chances from 0 to 1, and how long they take. The zero Weather is calm:
// nothing goes wrong, and no time passes.
type Weather struct {
	Before float64       // a call fails and has no effect
	After  float64       // a call takes effect, and its caller is told that it failed
	Slow   float64       // a call takes Long instead of Usual
	Usual  time.Duration // around it: half of it to one and a half
	Long   time.Duration // likewise
}

// World is what one process of a hub stands on.
type World struct {
	seed uint64

	mu      sync.Mutex
	made    map[string]int // how often each call was made
	calls   int
	crashAt map[int]bool
	life    *life
}

// life is the time between a start and a crash.
type life struct{ ended chan struct{} }

// NewWorld gives a world in which all that goes wrong follows from seed.
func NewWorld(seed uint64) *World {
	return &World{seed: seed, made: map[string]int{}, crashAt: map[int]bool{}, life: &life{ended: make(chan struct{})}}
}

// Crash ends the process's life. Whoever called then waits for the hub's goroutines, whose calls all fail, and
// restarts.
func (w *World) Crash() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crash()
}

func (w *World) crash() {
	select {
	case <-w.life.ended:
	default:
		close(w.life.ended)
	}
}

// CrashAt makes the world crash by itself in its nth calls (1 is the first), for each either just before the call takes
// effect or just after, as the seed says. Calls are counted over all lives; see Calls.
func (w *World) CrashAt(n ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range n {
		w.crashAt[i] = true
	}
}

// Calls is how many calls that can change something were made until now.
func (w *World) Calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// Crashed is closed when the present life ends.
func (w *World) Crashed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life.ended
}

// Restart begins a new life on what was durable. Every goroutine of the old hub must have ended.
func (w *World) Restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crash()
	w.life = &life{ended: make(chan struct{})}
}

func (w *World) now() *life {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life
}

// chance gives the source of all that is drawn for one call: op on id, for the nth time.
func (w *World) chance(op, id string) *rand.Rand {
	w.mu.Lock()
	call := op + " " + id
	w.made[call]++
	n := w.made[call]
	w.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", w.seed, call, n)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

var (
	errCrashed = errors.New("the process crashed")
	errWeather = errors.New("bad weather")
)

// unavailable is the fault of a call that failed, with effect or without.
func unavailable(op string, err error) error {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: "SIM-001", Op: op, Public: "The simulation let this call fail.", Err: err}
}

// rest is how long a call to a crashed process takes to fail, so that whoever calls in a loop lets the time go by.
const rest = 10 * time.Millisecond

// alive gives the present life, or fails when it has ended. Nothing is drawn for such a call: how many there are doesn't
// follow from the seed.
func (w *World) alive(ctx context.Context) (*life, error) {
	life := w.now()
	if ended(life) == nil {
		return life, nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, errCrashed
}

// change makes a call that changes something. effect runs at most once, under lock, so that a crash comes before it or
// after it; an error of its own is the call's.
func (w *World) change(ctx context.Context, weather Weather, lock sync.Locker, op, id string, effect func(draw *rand.Rand) error) error {
	life, err := w.alive(ctx)
	if err != nil {
		return unavailable(op, err)
	}
	draw := w.chance(op, id)
	fails, first, second := draw.Float64(), weather.duration(draw), weather.duration(draw)
	if err := pass(ctx, life, first/2); err != nil {
		return unavailable(op, err)
	}
	if fails < weather.Before {
		return unavailable(op, errWeather)
	}
	crashes := w.count()
	if crashes && draw.IntN(2) == 0 {
		w.Crash()
	}
	lock.Lock()
	if err = ended(life); err != nil {
		err = unavailable(op, err)
	} else {
		err = effect(draw)
	}
	lock.Unlock()
	if crashes {
		w.Crash()
	}
	if err != nil {
		return err
	}
	if err := pass(ctx, life, second/2); err != nil {
		return unavailable(op, err)
	}
	if fails > 1-weather.After {
		return unavailable(op, errWeather)
	}
	return nil
}

// look makes a call that only reads.
func (w *World) look(ctx context.Context, weather Weather, op, id string) error {
	life, err := w.alive(ctx)
	if err != nil {
		return unavailable(op, err)
	}
	draw := w.chance(op, id)
	fails := draw.Float64()
	if err := pass(ctx, life, weather.duration(draw)); err != nil {
		return unavailable(op, err)
	}
	if fails < weather.Before {
		return unavailable(op, errWeather)
	}
	return nil
}

// count counts a call and says whether the world crashes in it.
func (w *World) count() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	return w.crashAt[w.calls]
}

func (weather Weather) duration(draw *rand.Rand) time.Duration {
	d := weather.Usual
	if draw.Float64() < weather.Slow {
		d = weather.Long
	}
	return time.Duration(float64(d) * (0.5 + draw.Float64()))
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

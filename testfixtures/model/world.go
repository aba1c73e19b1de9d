// Package model is what stands around hubs in the seeded simulation: a bus, a ledger and partners in memory, on virtual
// time (testing/synctest), with things going wrong as a seed says.
//
// Everything belongs to one World. Its processes share a Bus, a Ledger and Partners; each works them through a handle of
// its own, which In gives. What can befall a process is in process.go: kill -9, SIGSTOP, a network that is cut, a clock
// that is wrong. What can befall a service is here: it is down, its disk stands still or is full.
//
// What goes wrong with a call is drawn from the seed, the process, the call and the instant, never from a common stream:
// so it doesn't depend on the order in which goroutines happen to run. In a Weather that
// gives times, each call takes a time of its own, to the nanosecond, so that the order of calls follows from the seed as
// well.
package model

import (
	"errors"
	"fmt"
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
	Late   float64       // what is published or delivered arrives only after its caller was told that it failed
	Slow   float64       // a call takes Long instead of Usual
	Usual  time.Duration // around it: half of it to one and a half
	Long   time.Duration // likewise
}

// Service is what a process calls. A partner's is its name.
type Service string

// The services that every world has. Disk is the bus's: while it is down (full), publishing fails and all else works.
const (
	ServiceBus    Service = "bus"
	ServiceDisk   Service = "disk"
	ServiceLedger Service = "ledger"
)

// World is what processes stand on. It has one process from the beginning, as which it can be used itself.
type World struct {
	*Process
	seed   uint64
	broker *broker      // of NewBus
	tell   func(string) // nil: nobody listens

	mu        sync.Mutex
	processes int
	made      map[callOf]made
	down      map[Service]bool
	still     map[Service]time.Time // until when a service's disk stands still
}

type callOf struct{ process, op, id string }

// made is when a call was made last, and how often at that instant.
type made struct {
	at    int64
	times int
}

// NewWorld gives a world in which all that goes wrong follows from seed.
func NewWorld(seed uint64) *World {
	w := &World{seed: seed, made: map[callOf]made{}, down: map[Service]bool{}, still: map[Service]time.Time{}}
	w.Process = w.Join()
	return w
}

// Tell has events told to whoever looks for a reason: who called what, and what became of it. It is called before
// anything happens. No event holds a value of a message.
func (w *World) Tell(tell func(event string)) { w.tell = tell }

func (w *World) event(format string, args ...any) {
	if w.tell != nil {
		w.tell(fmt.Sprintf(format, args...))
	}
}

// Down lets calls to a service fail until Up. Calls that took effect and aren't answered yet fail as well; what was
// answered is kept.
func (w *World) Down(s Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[s] = true
	w.event("%s goes down", s)
}

// Up ends what Down began.
func (w *World) Up(s Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.down, s)
	w.event("%s is up again", s)
}

func (w *World) isDown(s Service) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down[s]
}

// Stall lets a service's disk stand still for d: calls that come to it go on afterwards.
func (w *World) Stall(s Service, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still[s] = time.Now().Add(d)
	w.event("%s stands still for %v", s, d)
}

// chance gives the source of all that is drawn for one call: op on id by a process, at this instant.
func (w *World) chance(process, op, id string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	call, now := callOf{process, op, id}, time.Now().UnixNano()
	m := w.made[call]
	if m.at != now {
		m = made{at: now}
	}
	m.times++
	w.made[call] = m
	return rand.New(rand.NewPCG(w.seed<<20+uint64(m.times), sum(process, op, id)^uint64(now)*0x9e3779b97f4a7c15))
}

// sum is FNV-1a over words: the same in every run.
func sum(words ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, word := range words {
		for i := range len(word) {
			h = (h ^ uint64(word[i])) * 1099511628211
		}
		h = (h ^ ' ') * 1099511628211
	}
	return h
}

var (
	errCrashed = errors.New("the process crashed")
	errWeather = errors.New("bad weather")
	errCut     = errors.New("the network is cut")
	errDown    = errors.New("the service is down")
)

// unavailable is the fault of a call that failed, with effect or without.
func unavailable(op string, err error) error {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: "SIM-001", Op: op, Public: "The simulation let this call fail.", Err: err}
}

func (weather Weather) duration(draw *rand.Rand) time.Duration {
	d := weather.Usual
	if draw.Float64() < weather.Slow {
		d = weather.Long
	}
	return time.Duration(float64(d) * (0.5 + draw.Float64()))
}

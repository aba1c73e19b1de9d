package model

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Habits are how a partner behaves, as chances from 0 to 1 for each parcel. The zero Habits are those of a partner that
// takes everything and answers.
type Habits struct {
	Weather           // Before: it can't be reached. After: it took the message, and its answer was lost on the way.
	Refuse    float64 // it answers that it doesn't take the message (AE, AR, 422); decided for each attempt anew
	Busy      float64 // it answers 429, with the time after which it wants to be asked again
	Fail      float64 // it answers 503
	Clash     float64 // it answers 409 without "duplicate" to the first attempt of a message that it never had
	Stray     float64 // it answers for another id; half of the time it took the message
	Duplicate bool    // it answers a message that it has already with 409 and "duplicate", else as it did first
	Terse     bool    // its 409 to such a message doesn't say "duplicate"

	// Order reads from a parcel to which referral it belongs, and which of that referral's messages it is: higher ones
	// come later. nil: order isn't looked at.
	Order func(contracts.Parcel) (referral string, n int)
}

// Partner is one process's courier (hub.Courier) to a simulated organisation, which outlives all crashes and remembers
// what it got.
type Partner struct {
	p *Process
	*organisation
}

// organisation is what all handles share.
type organisation struct {
	name   string
	habits Habits

	mu      sync.Mutex
	taken   map[contracts.ID]*Taken
	order   []contracts.ID
	last    map[string]int
	trips   map[string][]*trip // those under way, by referral
	wrong   []string
	refused int
}

// trip is an attempt that is under way.
type trip struct {
	p        *Process
	life     *life
	troubles int
}

// Taken is a message that a partner took.
type Taken struct {
	ID       contracts.ID
	Control  string
	Body     contracts.Body
	Referral string
	N        int
	At       time.Time // when it came first
	Times    int       // how often it came
	sum      [sha256.Size]byte
}

// NewPartner gives a partner that has seen nothing yet, as the world's first process reaches it.
func NewPartner(w *World, name string, habits Habits) *Partner {
	return &Partner{w.Process, &organisation{name: name, habits: habits, taken: map[contracts.ID]*Taken{},
		last: map[string]int{}, trips: map[string][]*trip{}}}
}

// In gives another process's courier.
func (p *Partner) In(process *Process) *Partner { return &Partner{process, p.organisation} }

// Name is the partner's id.
func (o *organisation) Name() string { return o.name }

// Down lets the partner be away until Up.
func (p *Partner) Down() { p.p.w.Down(Service(p.name)) }

// Up brings it back.
func (p *Partner) Up() { p.p.w.Up(Service(p.name)) }

// Taken gives what the partner took, in the order in which it came first.
func (o *organisation) Taken() []Taken {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Taken
	for _, id := range o.order {
		out = append(out, *o.taken[id])
	}
	return out
}

// Has says whether the partner took a message.
func (o *organisation) Has(id contracts.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken[id] != nil
}

// Wrong gives what the partner saw that must never happen, in words: one id with two contents, one control id for two
// messages, a referral's messages out of order, two of a referral's messages at once though nobody lost sight of whoever
// sent them. None of it holds a value of a message.
func (o *organisation) Wrong() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.wrong)
}

// Refusals counts the attempts that the partner refused.
func (o *organisation) Refusals() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

// verdict is what a partner answers, and how a courier understands it.
type verdict struct {
	answer contracts.Answer
	err    error
}

// Deliver takes a parcel as the partner's habits and the seed say. Answer.Unknown is set whenever the bytes may have
// arrived without an answer.
func (p *Partner) Deliver(ctx context.Context, parcel contracts.Parcel) (contracts.Answer, error) {
	referral, n := "", 0
	if p.habits.Order != nil {
		referral, n = p.habits.Order(parcel)
		t := p.enter(referral)
		defer p.leave(referral, t)
	}
	left := false
	var v verdict
	c := call{service: Service(p.name), weather: p.habits.Weather, op: "deliver", id: p.name + " " + string(parcel.ID), lock: &p.mu}
	err := p.p.change(ctx, c, func(draw *rand.Rand) error {
		left = true
		if draw.Float64() < p.habits.Late {
			time.AfterFunc(time.Duration(draw.Int64N(int64(20*time.Second))), func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.last[referral] <= n { // a later one comes before it only when an operator has stopped it meanwhile
					p.take(parcel, referral, n)
				}
			})
			return unavailable("deliver", errWeather)
		}
		v = p.answer(parcel, referral, n, draw)
		return nil
	})
	if err != nil {
		v = verdict{contracts.Answer{Unknown: left}, err}
	}
	return v.answer, v.err
}

// enter begins a trip. It is wrong that another one of the same referral is under way, unless its process was lost sight
// of since, or is still: then nobody can know what it does.
func (p *Partner) enter(referral string) *trip {
	t := &trip{p.p, p.p.now(), p.p.Troubles()}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.trips[referral] {
		switch {
		case other.p == t.p && other.life == t.life:
			p.wrong = append(p.wrong, "two messages of one referral are on their way at once")
		case ended(other.life) == nil && other.p.heard() && other.p.Troubles() == other.troubles:
			p.wrong = append(p.wrong, "two processes have a message of one referral on its way at once")
		}
	}
	p.trips[referral] = append(p.trips[referral], t)
	return t
}

func (p *Partner) leave(referral string, t *trip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trips[referral] = slices.DeleteFunc(p.trips[referral], func(other *trip) bool { return other == t })
}

// answer decides what the partner makes of a parcel, and how a courier understands its answer.
func (o *organisation) answer(parcel contracts.Parcel, referral string, n int, draw *rand.Rand) verdict {
	known := o.taken[parcel.ID] != nil
	luck := draw.Float64()
	happens := func(chance float64) bool {
		luck -= chance
		return luck < 0
	}
	switch h := o.habits; {
	case happens(h.Busy):
		return verdict{contracts.Answer{Code: "429", RetryAfter: time.Duration(1+draw.IntN(20)) * time.Second},
			contracts.Faultf(contracts.Unavailable, "SIM-005", "answer", "The partner is busy.")}
	case happens(h.Fail):
		return verdict{contracts.Answer{Code: "503"}, contracts.Faultf(contracts.Unavailable, "SIM-005", "answer", "The partner has trouble of its own.")}
	case happens(h.Stray):
		if draw.IntN(2) == 0 {
			o.take(parcel, referral, n)
		}
		return verdict{contracts.Answer{Unknown: true}, contracts.Faultf(contracts.Unavailable, "SIM-005", "answer", "The answer is for another message.")}
	case !known && happens(h.Refuse):
		o.refused++
		kind, code := contracts.Refused, []string{"AE", "AR", "422"}[draw.IntN(3)]
		if code == "422" {
			kind = contracts.Invalid
		}
		return verdict{contracts.Answer{Code: code}, contracts.Faultf(kind, "SIM-005", "Bundle", "The partner doesn't take this message.")}
	case !known && parcel.Attempt == 1 && happens(h.Clash):
		return o.conflict(parcel)
	}
	if !o.take(parcel, referral, n) {
		return verdict{contracts.Answer{Code: "409"}, contracts.Faultf(contracts.Conflict, "SIM-004", "Bundle", "The partner has another message under this id.")}
	}
	switch {
	case known && o.habits.Terse:
		return o.conflict(parcel)
	case known && o.habits.Duplicate:
		return verdict{answer: contracts.Answer{Code: "409"}}
	}
	return verdict{answer: contracts.Answer{Code: "200"}}
}

// conflict is a 409 that doesn't say "duplicate": to a repeat it means that the partner has the message.
func (o *organisation) conflict(parcel contracts.Parcel) verdict {
	if parcel.Repeat {
		return verdict{answer: contracts.Answer{Code: "409"}}
	}
	return verdict{contracts.Answer{Code: "409"}, contracts.Faultf(contracts.Conflict, "SIM-004", "Bundle", "The partner says that it has something else under this id.")}
}

// take keeps a message, unless another content came under its id before.
func (o *organisation) take(parcel contracts.Parcel, referral string, n int) bool {
	sum := sha256.Sum256(parcel.Body.Bytes())
	if held := o.taken[parcel.ID]; held != nil {
		held.Times++
		if held.sum != sum || held.Control != parcel.Control {
			o.wrong = append(o.wrong, fmt.Sprintf("message %s came with another content or control id", parcel.ID))
			return false
		}
		return true
	}
	o.judge(parcel, referral, n)
	o.taken[parcel.ID] = &Taken{ID: parcel.ID, Control: parcel.Control, Body: parcel.Body, Referral: referral, N: n, At: time.Now().UTC(), Times: 1, sum: sum}
	o.order = append(o.order, parcel.ID)
	return true
}

// judge looks at a message that comes for the first time.
func (o *organisation) judge(parcel contracts.Parcel, referral string, n int) {
	for _, held := range o.taken {
		if held.Control == parcel.Control {
			o.wrong = append(o.wrong, fmt.Sprintf("messages %s and %s have one control id", held.ID, parcel.ID))
		}
	}
	if o.habits.Order == nil {
		return
	}
	if last, known := o.last[referral]; known && n <= last {
		o.wrong = append(o.wrong, fmt.Sprintf("message %s came behind a later one of its referral", parcel.ID))
	}
	o.last[referral] = n
}

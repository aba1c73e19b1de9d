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
	Refuse    float64 // it answers that it doesn't take the message (AE, 422); decided for each attempt anew
	Duplicate bool    // it answers a message that it has already with 409 and "duplicate", else as it did first

	// Order reads from a parcel to which referral it belongs, and which of that referral's messages it is: higher ones
	// come later. nil: order isn't looked at.
	Order func(contracts.Parcel) (referral string, n int)
}

// Partner is a simulated organisation, and the courier that goes there (hub.Courier). It outlives the hub's crashes and
// remembers what it got.
type Partner struct {
	w      *World
	name   string
	habits Habits

	mu      sync.Mutex
	down    bool
	taken   map[contracts.ID]*Taken
	order   []contracts.ID
	last    map[string]int
	calls   map[string]int
	wrong   []string
	refused int
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

// NewPartner gives a partner that has seen nothing yet.
func NewPartner(w *World, name string, habits Habits) *Partner {
	return &Partner{w: w, name: name, habits: habits, taken: map[contracts.ID]*Taken{}, last: map[string]int{}, calls: map[string]int{}}
}

// Down lets the partner be away until Up.
func (p *Partner) Down() { p.set(true) }

// Up brings it back.
func (p *Partner) Up() { p.set(false) }

func (p *Partner) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Taken gives what the partner took, in the order in which it came first.
func (p *Partner) Taken() []Taken {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Taken
	for _, id := range p.order {
		out = append(out, *p.taken[id])
	}
	return out
}

// Wrong gives what the partner saw that must never happen, in words: one id with two contents, one control id for two
// messages, a referral's messages out of order, two of a referral's messages at once. None of it holds a value of a
// message.
func (p *Partner) Wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.wrong)
}

// Refusals counts the attempts that the partner refused.
func (p *Partner) Refusals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Deliver takes a parcel as the partner's habits and the seed say. Answer.Unknown is set whenever the bytes may have
// arrived without an answer.
func (p *Partner) Deliver(ctx context.Context, parcel contracts.Parcel) (contracts.Answer, error) {
	referral, n := "", 0
	if p.habits.Order != nil {
		referral, n = p.habits.Order(parcel)
		p.enter(referral)
		defer p.leave(referral)
	}
	reached := false
	var answer contracts.Answer
	err := p.w.change(ctx, p.habits.Weather, &p.mu, "deliver", p.name+" "+string(parcel.ID), func(draw *rand.Rand) error {
		if p.down {
			return unavailable("deliver", errWeather)
		}
		reached = true
		var err error
		answer, err = p.take(parcel, referral, n, draw)
		return err
	})
	if contracts.KindOf(err) == contracts.Unavailable {
		return contracts.Answer{Unknown: reached}, err
	}
	return answer, err
}

func (p *Partner) enter(referral string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[referral]++; p.calls[referral] > 1 {
		p.wrong = append(p.wrong, "two messages of one referral are on their way at once")
	}
}

func (p *Partner) leave(referral string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[referral]--
}

func (p *Partner) take(parcel contracts.Parcel, referral string, n int, draw *rand.Rand) (contracts.Answer, error) {
	sum := sha256.Sum256(parcel.Body.Bytes())
	if held := p.taken[parcel.ID]; held != nil {
		held.Times++
		if held.sum != sum || held.Control != parcel.Control {
			p.wrong = append(p.wrong, fmt.Sprintf("message %s came with another content or control id", parcel.ID))
			return contracts.Answer{Code: "409"}, contracts.Faultf(contracts.Conflict, "SIM-004", "Bundle", "The partner has another message under this id.")
		}
		if p.habits.Duplicate {
			return contracts.Answer{Code: "409"}, nil
		}
		return contracts.Answer{Code: "200"}, nil
	}
	if draw.Float64() < p.habits.Refuse {
		p.refused++
		return contracts.Answer{Code: "422"}, contracts.Faultf(contracts.Refused, "SIM-005", "Bundle", "The partner doesn't take this message.")
	}
	p.judge(parcel, referral, n)
	p.taken[parcel.ID] = &Taken{ID: parcel.ID, Control: parcel.Control, Body: parcel.Body, Referral: referral, N: n, At: time.Now().UTC(), Times: 1, sum: sum}
	p.order = append(p.order, parcel.ID)
	return contracts.Answer{Code: "200"}, nil
}

// judge looks at a message that comes for the first time.
func (p *Partner) judge(parcel contracts.Parcel, referral string, n int) {
	for _, held := range p.taken {
		if held.Control == parcel.Control {
			p.wrong = append(p.wrong, fmt.Sprintf("messages %s and %s have one control id", held.ID, parcel.ID))
		}
	}
	if p.habits.Order == nil {
		return
	}
	if last, known := p.last[referral]; known && n <= last {
		p.wrong = append(p.wrong, fmt.Sprintf("message %s came behind a later one of its referral", parcel.ID))
	}
	p.last[referral] = n
}

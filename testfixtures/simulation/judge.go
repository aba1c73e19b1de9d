package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/model"
)

// judge compares what happens with the promise. What partners see wrong (order, other bytes, two at once) they tell
// themselves.
type judge struct {
	r *run

	mu     sync.Mutex
	faults []string
	acks   []contracts.Receipt
	ways   map[contracts.ID]*way
}

// way is what became known of a delivery's attempts.
type way struct {
	attempts  []*attempt
	noted     int               // how many the ledger was told of
	delivered bool              // the ledger has it as delivered
	late      map[*process]bool // whose latest was noted after that
	since     map[*process]int  // the troubles that each process had had before its latest
	unsure    bool              // the ledger may know more than it said
	unknown   bool              // an attempt may have arrived, and the hub was told so
}

// attempt is one trip to a partner. Troubles and stops are those that its process had had before.
type attempt struct {
	by       *process
	troubles int
	stops    int64
	taken    bool // the hub was told that the partner took it
}

func (j *judge) wrong(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.blame(what)
}

func (j *judge) blame(what string) {
	j.faults = append(j.faults, what)
	if j.r.tells {
		j.r.tell("WRONG: " + what)
	}
}

func (j *judge) guilty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.faults) > 0
}

// acknowledged notes what a sender was told.
func (j *judge) acknowledged(receipt contracts.Receipt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acks = append(j.acks, receipt)
}

func (j *judge) receipts() []contracts.Receipt {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.acks)
}

func (j *judge) way(id contracts.ID) *way {
	if j.ways[id] == nil {
		j.ways[id] = &way{late: map[*process]bool{}, since: map[*process]int{}}
	}
	return j.ways[id]
}

// The consumer groups of a hub.
const (
	groupTranslate = "translate"
	groupDeliver   = "deliver"
	groupRefuse    = "refuse"
)

// custody looks whether every acknowledged message is where it will be worked on, or is shown as what it is: it stands in
// a topic behind what its group has finished, waits behind its key with its bytes in the park topic, or is delivered,
// refused or stopped. What is shown as delivered was taken by its partner.
func (j *judge) custody() {
	ctx, r := context.Background(), j.r
	in, dead := r.bus.Unfinished(contracts.TopicIn, groupTranslate), r.bus.Unfinished(contracts.TopicDead, groupRefuse)
	out := map[string]map[contracts.ID]bool{}
	for _, p := range []*model.Partner{r.hus, r.clinic} {
		out[p.Name()] = r.bus.Unfinished(contracts.OutTopic(p.Name()), groupDeliver)
	}
	for _, receipt := range j.receipts() {
		e, err := r.ledger.Entry(ctx, receipt.ID)
		deliveries, _ := r.ledger.Deliveries(ctx, receipt.ID)
		translates := func() bool {
			return in[receipt.ID] || j.waits(ctx, contracts.KeyRef{Topic: contracts.TopicIn, Key: e.Key}, e.ID) ||
				j.waits(ctx, contracts.KeyRef{Topic: contracts.TopicIn, Key: secret.Key("alone", string(e.ID))}, e.ID)
		}
		switch {
		case receipt.Fault != nil:
			if !dead[receipt.ID] && (err != nil || e.State == contracts.StateReceived) {
				j.wrong("a refused message is shown nowhere" + ": " + string(receipt.ID))
			}
			continue
		case len(deliveries) > 0 || e.State == contracts.StateStopped:
		case translates():
		case err != nil:
			j.wrong("an acknowledged message is neither on the bus nor in the ledger: " + string(receipt.ID))
		default:
			j.wrong(fmt.Sprintf("message %s isn't translated and waits nowhere: it is %s", e.ID, e.State))
		}
		for _, d := range deliveries {
			switch {
			case d.State == contracts.StateDelivered:
				if !r.partner(d.Partner).Has(d.ID) {
					j.wrong(fmt.Sprintf("delivery %s is shown as delivered, and its partner never took it", d.ID))
				}
			case d.State == contracts.StateStopped, out[d.Partner][d.ID], translates():
			case !j.waits(ctx, contracts.KeyRef{Topic: contracts.OutTopic(d.Partner), Key: d.Key}, d.ID):
				j.wrong(fmt.Sprintf("delivery %s isn't delivered and waits nowhere: it is %s", d.ID, d.State))
			}
		}
	}
}

// waits says whether a message waits behind a key that isn't live, and its bytes can be read.
func (j *judge) waits(ctx context.Context, ref contracts.KeyRef, id contracts.ID) bool {
	behind, _ := j.r.ledger.Behind(ctx, ref)
	i := slices.IndexFunc(behind, func(w contracts.Waiting) bool { return w.Message == id })
	if i < 0 {
		return false
	}
	key, _ := j.r.ledger.Key(ctx, ref)
	kept, err := j.r.bus.Read(ctx, behind[i].Park)
	return err == nil && kept.ID == id && key.Condition != contracts.KeyLive
}

// open names what isn't at its end yet: somebody still sends, or a message isn't delivered, refused or stopped, as the
// ledger shows it. Empty: all is.
func (j *judge) open() string {
	if j.r.sending.Load() > 0 {
		return "a sender"
	}
	for _, receipt := range j.receipts() {
		e, _ := j.r.ledger.Entry(context.Background(), receipt.ID)
		deliveries, _ := j.r.ledger.Deliveries(context.Background(), receipt.ID)
		if len(deliveries) == 0 && e.State != contracts.StateStopped && e.State != contracts.StateRefused {
			return fmt.Sprintf("message %s, which is %s", receipt.ID, e.State)
		}
		for _, d := range deliveries {
			if d.State != contracts.StateDelivered && d.State != contracts.StateStopped {
				return fmt.Sprintf("delivery %s, which is %s", d.ID, d.State)
			}
		}
	}
	return ""
}

// end gives all that was wrong, when all have ended.
func (j *judge) end() []string {
	wrong := slices.Concat(j.faults, j.r.hus.Wrong(), j.r.clinic.Wrong())
	came := map[string]int{}
	for _, t := range j.r.hus.Taken() {
		came[fmt.Sprint(t.Referral, " ", t.N)]++
	}
	for _, n := range came {
		if n > 1 {
			wrong = append(wrong, "a message came under two ids")
		}
	}
	return wrong
}

// witness is a process's ledger, and notes what the hub may know from it.
type witness struct {
	hub.Ledger
	p *process
}

func (w witness) Apply(ctx context.Context, c contracts.Change) error {
	j := w.p.r.judge
	j.mu.Lock()
	for _, d := range c.Deliveries {
		if d.State == contracts.StateSending {
			way := j.way(d.ID)
			way.noted++
			way.late[w.p], way.since[w.p] = way.delivered, w.p.Troubles()
		}
	}
	j.mu.Unlock()
	err := w.Ledger.Apply(ctx, c)
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range c.Deliveries {
		switch way := j.way(d.ID); {
		case err != nil:
			way.unsure = true
		case d.State == contracts.StateDelivered:
			way.delivered = true
		}
	}
	return err
}

// escort is a process's courier to a partner, and sees what is sent without cause.
type escort struct {
	hub.Courier
	p *process
}

func (e escort) Deliver(ctx context.Context, parcel contracts.Parcel) (contracts.Answer, error) {
	j := e.p.r.judge
	a := &attempt{by: e.p, troubles: e.p.Troubles(), stops: e.p.stops.Load()}
	j.mu.Lock()
	j.inspect(e.p, parcel)
	way := j.way(parcel.ID)
	way.attempts = append(way.attempts, a)
	j.mu.Unlock()
	answer, err := e.Courier.Deliver(ctx, parcel)
	j.mu.Lock()
	defer j.mu.Unlock()
	a.taken = err == nil
	way.unknown = way.unknown || answer.Unknown
	return answer, err
}

// inspect looks at an attempt that begins. A message goes out again only if nobody knows that it was taken: the process
// that knew was lost sight of, crashed, or ended while the ledger didn't take its word. It is called a repeat if, and
// where nothing else went wrong only if, an earlier attempt may have arrived. A process that was lost sight of after the
// ledger took note of its attempt may send it all the same, if the bus gave it the key anew: it knows nothing of what
// others did meanwhile.
func (j *judge) inspect(p *process, parcel contracts.Parcel) {
	way := j.way(parcel.ID)
	if way.since[p] != p.Troubles() {
		return
	}
	if way.late[p] {
		j.blame(fmt.Sprintf("delivery %s is sent again, and the ledger has it as delivered", parcel.ID))
	}
	calm := !way.unsure && way.noted == len(way.attempts)+1
	for _, a := range way.attempts {
		lost := a.by.Troubles() != a.troubles
		if a.taken && !lost && !(way.unsure && a.by.stops.Load() != a.stops) {
			j.blame(fmt.Sprintf("delivery %s is sent again without a cause", parcel.ID))
		}
		calm = calm && !lost && a.by.stops.Load() == a.stops
	}
	if way.unknown && !parcel.Repeat {
		j.blame(fmt.Sprintf("an attempt of delivery %s that may have arrived was forgotten", parcel.ID))
	}
	if parcel.Repeat && !way.unknown && calm {
		j.blame(fmt.Sprintf("delivery %s is called a repeat, and none may have arrived", parcel.ID))
	}
}

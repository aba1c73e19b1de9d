package console

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hoitosilta/silta/contracts"
)

// scraped is how long a scrape waits for the figures of the moment. After that it gets the last ones that are known, and
// silta_figures_age_seconds says how old those are.
const scraped = 2 * time.Second

// gauges are the figures of the moment. A bus or ledger that is down doesn't hold up a scrape: one measurement runs at a
// time, in the background.
type gauges struct {
	mu       sync.Mutex
	measure  func(context.Context) contracts.Figures
	running  chan struct{} // closed when the measurement under way is done; nil if there is none
	known    contracts.Figures
	measured time.Time // zero: nothing is known yet
	held     []contracts.Held
}

func newGauges() *gauges { return &gauges{} }

func (g *gauges) set(measure func(context.Context) contracts.Figures) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.measure = measure
}

var (
	descUp      = described("up", "Whether a part works now: bus (taking messages) or ledger (translating and delivering).", "part")
	descAge     = described("figures_age_seconds", "How old the figures are that the bus and the ledger gave.")
	descLag     = described("lag_records", "Records that a group hasn't finished.", "topic", "group")
	descBusy    = described("lanes_busy", "Lanes that work a record now.", "topic")
	descKeys    = described("keys", "Keys that aren't live: spilled ones are tried again, parked ones wait for a person. partner is who should get the messages; for those that aren't translated it is empty.", "partner", "condition")
	descWaiting = described("waiting_messages", "Messages that wait behind keys that aren't live.", "partner")
	descOldest  = described("oldest_undelivered_seconds", "The age of the oldest message that a lane works or that waits behind a key that isn't live; 0 if there is none. partner as above.", "partner")
	descPaused  = described("partner_paused", "1 while a partner gets nothing: it doesn't answer, or an operator said so.", "partner")
	descDropped = prometheus.NewDesc("silta_dropped_steps_total", "Steps that were not recorded because the ledger was behind. No message is lost by it.", nil, nil)
)

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("silta_"+name, help, labels, nil)
}

// Describe names the gauges.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descAge, descLag, descBusy, descKeys, descWaiting, descOldest, descPaused, descDropped} {
		to <- d
	}
}

// Collect gives the figures of the moment, or the last that are known.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	f, held, age, known := g.figures()
	if !known {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(descUp, one(f.Bus), "bus")
	gauge(descUp, one(f.Ledger), "ledger")
	gauge(descAge, age.Seconds())
	for _, t := range f.Topics {
		if t.Lag >= 0 {
			gauge(descLag, float64(t.Lag), t.Topic, t.Group)
		}
		gauge(descBusy, float64(t.Busy), t.Topic)
	}
	for _, h := range held {
		partner := partnerOf(h.Topic)
		gauge(descKeys, float64(h.Spilled), partner, string(contracts.KeySpilled))
		gauge(descKeys, float64(h.Parked), partner, string(contracts.KeyParked))
		gauge(descWaiting, float64(h.Messages), partner)
	}
	for topic, at := range oldest(f.Topics, held) {
		age := 0.0
		if !at.IsZero() {
			age = time.Since(at).Seconds()
		}
		gauge(descOldest, age, partnerOf(topic))
	}
	for partner, paused := range f.Paused {
		gauge(descPaused, one(paused), partner)
	}
	to <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(f.Dropped))
}

// partnerOf is who gets the messages of a topic; empty for those that aren't translated.
func partnerOf(topic string) string {
	if partner, ok := strings.CutPrefix(topic, contracts.OutTopic("")); ok {
		return partner
	}
	return ""
}

// oldest gives, for each topic of messages on their way, when the oldest one came; zero if there is none.
func oldest(topics []contracts.TopicFigures, held []contracts.Held) map[string]time.Time {
	of := map[string]time.Time{}
	for _, t := range topics {
		if t.Topic != contracts.TopicDead {
			of[t.Topic] = t.Oldest
		}
	}
	for _, h := range held {
		if at := of[h.Topic]; !h.Oldest.IsZero() && (at.IsZero() || h.Oldest.Before(at)) {
			of[h.Topic] = h.Oldest
		}
	}
	return of
}

// figures waits for a measurement, begun by this scrape or an earlier one, but not longer than scraped.
func (g *gauges) figures() (f contracts.Figures, held []contracts.Held, age time.Duration, known bool) {
	g.mu.Lock()
	if g.running == nil && g.measure != nil {
		g.running = make(chan struct{})
		go g.run(g.measure, g.running)
	}
	running := g.running
	g.mu.Unlock()
	if running != nil {
		late := time.NewTimer(scraped)
		defer late.Stop()
		select {
		case <-running:
		case <-late.C:
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known, g.held, time.Since(g.measured), !g.measured.IsZero()
}

func (g *gauges) run(measure func(context.Context) contracts.Figures, done chan struct{}) {
	f := measure(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known, g.measured, g.running = f, time.Now(), nil
	if f.Held != nil { // a ledger that is down doesn't say: what it said last stands
		g.held = f.Held
	}
	close(done)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

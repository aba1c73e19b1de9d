package console

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hoitosilta/silta/contracts"
)

// Metrics counts steps, so that the figures, the ledger and the console agree. Labels are partners' ids, kinds and
// codes: never an id of a message, never a value.
type Metrics struct {
	registry  *prometheus.Registry
	steps     *prometheus.CounterVec
	faults    *prometheus.CounterVec
	answered  *prometheus.HistogramVec
	arrived   *prometheus.HistogramVec
	published *prometheus.HistogramVec
	reloads   *prometheus.CounterVec
	copies    *prometheus.CounterVec
	gauges    *gauges

	mu      sync.Mutex
	sending map[attempt]time.Time
}

// attempt names one delivery that is under way.
type attempt struct {
	message contracts.ID
	to      string
}

// maxAttempts bounds what is remembered of deliveries under way; one that is forgotten isn't timed.
const maxAttempts = 10000

// quick are the buckets of what takes a few milliseconds on a good day.
var quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// NewMetrics makes the figures and those of the Go runtime and the process. version is Silta's own.
func NewMetrics(version string) *Metrics {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "silta_build_info", Help: "1; the labels say what runs.", ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "silta_steps_total", Help: "Steps that were recorded, by kind, sender and receiver.",
		}, []string{"step", "from", "to"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "silta_faults_total", Help: "Faults that steps carry, by kind and code.",
		}, []string{"kind", "code"}),
		answered: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "silta_delivery_seconds", Help: "From the beginning of an attempt to its outcome, by receiver and outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"to", "outcome"}),
		arrived: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "silta_acknowledgement_seconds", Help: "From a message that was read to the hub's word on it, by sender, format and outcome: accepted, repeated, refused, or failed (no answer, or 503).",
			Buckets: quick,
		}, []string{"from", "format", "outcome"}),
		published: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "silta_publish_seconds", Help: "From handing a record to the bus until it is durable, by topic and outcome: durable or unknown.", Buckets: quick,
		}, []string{"topic", "outcome"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "silta_reloads_total", Help: "Reloads of the configuration, by outcome: done or refused."}, []string{"outcome"}),
		copies:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "silta_backups_total", Help: "Copies of the embedded files, by outcome: done or failed."}, []string{"outcome"}),
		gauges:  newGauges(),
		sending: map[attempt]time.Time{},
	}
	m.registry.MustRegister(build, m.steps, m.faults, m.answered, m.arrived, m.published, m.reloads, m.copies, m.gauges, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts a step. It may be called from many goroutines and doesn't block.
func (m *Metrics) Observe(s contracts.Step) {
	m.steps.WithLabelValues(s.Step, s.From, s.To).Inc()
	if s.Fault != nil {
		m.faults.WithLabelValues(string(s.Fault.Kind), s.Fault.Code).Inc()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := attempt{s.Message, s.To}
	switch s.Step {
	case contracts.StepSending:
		if len(m.sending) < maxAttempts {
			m.sending[at] = s.At
		}
	case contracts.StepDelivered, contracts.StepRetried, contracts.StepParked, contracts.StepWaiting:
		if began, ok := m.sending[at]; ok {
			delete(m.sending, at)
			m.answered.WithLabelValues(s.To, s.Step).Observe(s.At.Sub(began).Seconds())
		}
	}
}

// Arrived counts a message that a door read, with what became of it and how long the hub took to say so.
func (m *Metrics) Arrived(a contracts.Arrival, r contracts.Receipt, err error, took time.Duration) {
	outcome := "accepted"
	switch {
	case err != nil:
		outcome = "failed"
	case r.Fault != nil:
		outcome = "refused"
	case r.Claim == contracts.ClaimSame:
		outcome = "repeated"
	}
	m.arrived.WithLabelValues(a.Partner, a.Format, outcome).Observe(took.Seconds())
}

// Published counts a record that was handed to the bus.
func (m *Metrics) Published(topic string, err error, took time.Duration) {
	m.published.WithLabelValues(topic, outcomeOf(err, "durable", "unknown")).Observe(took.Seconds())
}

// Reloaded counts a reload of the configuration.
func (m *Metrics) Reloaded(err error) {
	m.reloads.WithLabelValues(outcomeOf(err, "done", "refused")).Inc()
}

// BackedUp counts a copy of the embedded files.
func (m *Metrics) BackedUp(err error) {
	m.copies.WithLabelValues(outcomeOf(err, "done", "failed")).Inc()
}

func outcomeOf(err error, good, bad string) string {
	if err != nil {
		return bad
	}
	return good
}

// Measure says where the figures of the moment come from. They are asked for at every scrape.
func (m *Metrics) Measure(figures func(context.Context) contracts.Figures) { m.gauges.set(figures) }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

package console

import (
	"net/http"
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
	registry *prometheus.Registry
	steps    *prometheus.CounterVec
	faults   *prometheus.CounterVec
	answered *prometheus.HistogramVec

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

// NewMetrics makes the figures and those of the Go runtime and the process.
func NewMetrics() *Metrics {
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
		sending: map[attempt]time.Time{},
	}
	m.registry.MustRegister(m.steps, m.faults, m.answered, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
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

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

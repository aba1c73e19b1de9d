package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hoitosilta/silta/contracts"
)

// scrape reads the figures by Prometheus' own parser.
func scrape(t *testing.T, base string) map[string]*dto.MetricFamily {
	t.Helper()
	got := call(t, "GET", base+"/metrics", "", "Authorization", "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(got.body))
	if got.status != 200 || err != nil {
		t.Fatalf("a scrape gives %d, and the parser says %v", got.status, err)
	}
	return families
}

// value is the one metric of a family that has these labels, written name=value.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		var have []string
		for _, l := range m.Label {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if strings.Join(have, " ") != strings.Join(labels, " ") {
			continue
		}
		switch {
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		case m.Counter != nil:
			return m.Counter.GetValue()
		}
		return m.Gauge.GetValue()
	}
	t.Errorf("no %s has the labels %v", name, labels)
	return -1
}

func TestTheFiguresSayWhatAnOperatorAsks(t *testing.T) {
	base, m := open(t, &desk{})
	m.Arrived(contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2}, contracts.Receipt{ID: "m1"}, nil, time.Millisecond)
	m.Arrived(contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2}, contracts.Receipt{Fault: &contracts.Fault{}}, nil, time.Millisecond)
	m.Arrived(contracts.Arrival{Partner: "apotti", Format: contracts.FormatV2}, contracts.Receipt{ID: "m1", Claim: contracts.ClaimSame}, nil, time.Millisecond)
	m.Published(contracts.TopicIn, context.DeadlineExceeded, time.Second)
	m.Observe(contracts.Step{Step: contracts.StepParked, To: "hus", Fault: &contracts.Fault{Kind: contracts.Unmapped, Code: "MAP-200"}})
	m.Measure(func(context.Context) contracts.Figures {
		return contracts.Figures{Bus: true, Paused: map[string]bool{"hus": true}, Dropped: 3,
			Topics: []contracts.TopicFigures{
				{Topic: "silta.in", Group: "translate", Lag: 7, Busy: 2, Oldest: time.Now().Add(-time.Hour)},
				{Topic: "silta.out.hus", Group: "deliver", Lag: -1}},
			Held: []contracts.Held{{Topic: "silta.out.hus", Spilled: 4, Parked: 1, Messages: 9, Oldest: time.Now().Add(-2 * time.Hour)}},
		}
	})
	f := scrape(t, base)
	for _, row := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "silta_acknowledgement_seconds", []string{"format=hl7v2", "from=apotti", "outcome=accepted"}},
		{1, "silta_acknowledgement_seconds", []string{"format=hl7v2", "from=apotti", "outcome=refused"}},
		{1, "silta_acknowledgement_seconds", []string{"format=hl7v2", "from=apotti", "outcome=repeated"}},
		{1, "silta_publish_seconds", []string{"outcome=unknown", "topic=silta.in"}},
		{1, "silta_steps_total", []string{"from=", "step=parked", "to=hus"}},
		{1, "silta_faults_total", []string{"code=MAP-200", "kind=unmapped"}},
		{1, "silta_up", []string{"part=bus"}},
		{0, "silta_up", []string{"part=ledger"}},
		{7, "silta_lag_records", []string{"group=translate", "topic=silta.in"}},
		{2, "silta_lanes_busy", []string{"topic=silta.in"}},
		{4, "silta_keys", []string{"condition=spilled", "partner=hus"}},
		{1, "silta_keys", []string{"condition=parked", "partner=hus"}},
		{9, "silta_waiting_messages", []string{"partner=hus"}},
		{1, "silta_partner_paused", []string{"partner=hus"}},
		{3, "silta_dropped_steps_total", nil},
	} {
		if got := value(t, f, row.name, row.labels...); got != row.want {
			t.Errorf("%s%v is %v, want %v", row.name, row.labels, got, row.want)
		}
	}
	if in, out := value(t, f, "silta_oldest_undelivered_seconds", "partner="), value(t, f, "silta_oldest_undelivered_seconds", "partner=hus"); in < 3600 || out < 7200 {
		t.Errorf("the oldest messages are %v and %v seconds old, want an hour and two", in, out)
	}
	if n := len(f["silta_lag_records"].GetMetric()); n != 1 {
		t.Errorf("%d topics have a lag; the one that the bus didn't give must be left out", n)
	}
	if f["silta_build_info"] == nil || f["go_goroutines"] == nil {
		t.Error("the build or the runtime is missing")
	}
}

// A bus that hangs doesn't hold up a scrape: the counters are there, and the last figures with their age.
func TestAScrapeDoesNotWaitForWhatIsDown(t *testing.T) {
	base, m := open(t, &desk{})
	first := true
	m.Measure(func(ctx context.Context) contracts.Figures {
		if first {
			first = false
			return contracts.Figures{Bus: true, Held: []contracts.Held{{Topic: "silta.out.hus", Parked: 1}}}
		}
		<-t.Context().Done()
		return contracts.Figures{}
	})
	scrape(t, base)
	f := scrape(t, base)
	if value(t, f, "silta_up", "part=bus") != 1 || value(t, f, "silta_keys", "condition=parked", "partner=hus") != 1 || value(t, f, "silta_figures_age_seconds") <= 0 {
		t.Error("the last figures aren't those that were known")
	}
}

//go:build kafka

package busconformance_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	bus "github.com/hoitosilta/silta/adapters/kafka"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/busconformance"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

var _ hub.Bus = (*bus.Bus)(nil)

// All of this runs against one cluster of three brokers, because starting one takes longer than most tests. Those that
// harm it come last, and leave it whole.
func TestKafka(t *testing.T) {
	cluster := kafka.Start(t, kafka.Options{Secure: true, Settings: []string{"group.min.session.timeout.ms=1000"}})
	for _, c := range []struct {
		name string
		test func(*testing.T, *kafka.Cluster)
	}{
		{"conforms", conforms},
		{"says that nobody answers", nobodyAnswers},
		{"refuses topics that can lose records", weakTopics},
		{"lets in by certificate and by password", letsIn},
		{"refuses a header that is too large", largeHeader},
		{"moves aside what no Silta wrote", movesAside},
		{"another client reads and writes it", anotherClient},
		{"a record whose claim lost isn't handed out", lostClaim},
		{"a record without its claim makes it", missingClaim},
		{"a partition isn't handed over while it is held", heldPartition},
		{"what stands above the low watermark comes again", lowWatermark},
		{"three processes share a group through kills", processes},
		{"waits for a new leader and loses nothing", leaderKilled},
		{"recovers from losing replicas, and all brokers", brokersKilled},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, cluster) })
	}
}

// config gives each test topics of its own, those of the bus included.
func config(c *kafka.Cluster, names string) bus.Config {
	return bus.Config{Brokers: c.Addresses(), Partitions: 3, Names: names, Session: 3 * time.Second, Backoff: time.Millisecond, BackoffMax: 20 * time.Millisecond}
}

// openKafka opens a bus that ends with the test, and makes topics.
func openKafka(t *testing.T, c bus.Config, topics ...string) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := bus.Open(ctx, c)
	if err == nil && len(topics) > 0 {
		err = b.Topics(ctx, topics...)
	}
	if err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func conforms(t *testing.T, cluster *kafka.Cluster) {
	var harnesses atomic.Int32
	busconformance.Run(t, func(t *testing.T) busconformance.Harness {
		n := harnesses.Add(1)
		c := config(cluster, fmt.Sprintf("silta.%d.", n))
		b := openKafka(t, c)
		return busconformance.Harness{
			Bus: b,
			Topic: func(name string) string {
				topic := fmt.Sprintf("silta.test.%d.%s", n, name)
				if err := b.Topics(context.Background(), topic); err != nil {
					t.Fatal(err, errors.Unwrap(err))
				}
				return topic
			},
			Reopen: func() hub.Bus {
				if err := b.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				b = openKafka(t, c)
				return b
			},
			KeepsCopies: true,
			Bodies:      c.Names + "body",
		}
	})
}

func expectFault(t *testing.T, err error, kind contracts.Kind, code string) *contracts.Fault {
	t.Helper()
	if err == nil {
		t.Fatalf("got no fault, want %s %s", kind, code)
	}
	f := contracts.FaultsOf(err)[0]
	if f.Kind != kind || f.Code != code {
		t.Fatalf("got %v (%v), want %s %s", f, f.Err, kind, code)
	}
	return f
}

func nobodyAnswers(t *testing.T, _ *kafka.Cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := bus.Open(ctx, bus.Config{Brokers: []string{"127.0.0.1:1"}})
	expectFault(t, err, contracts.Unavailable, "BUS-020")
}

// admin gives a client that is none of ours.
func admin(t *testing.T, cluster *kafka.Cluster) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func weakTopics(t *testing.T, cluster *kafka.Cluster) {
	b := openKafka(t, config(cluster, "silta.strict."))
	lax := config(cluster, "silta.strict.")
	lax.Development = true
	trial := openKafka(t, lax)
	safe := map[string]string{"min.insync.replicas": "2", "retention.ms": "-1", "message.timestamp.after.max.ms": "9223372036854775807"}
	for i, c := range []struct {
		partitions   int32
		replicas     int16
		name, value  string
		code, says   string
		inProduction bool // refused there only
	}{
		{3, 1, "min.insync.replicas", "1", "BUS-021", "1 replicas", true},
		{3, 3, "min.insync.replicas", "1", "BUS-021", "min.insync.replicas is 1", true},
		{3, 3, "unclean.leader.election.enable", "true", "BUS-021", "unclean.leader.election.enable is true", true},
		{3, 3, "cleanup.policy", "compact", "BUS-021", "cleanup.policy is compact", false},
		{3, 3, "retention.ms", "604800000", "BUS-021", "retention.ms is 604800000", false},
		{3, 3, "retention.bytes", "1000000", "BUS-021", "retention.bytes is 1000000", false},
		{5, 3, "min.insync.replicas", "2", "BUS-027", "5 partitions", false},
	} {
		topic, settings := fmt.Sprintf("silta.strict.%d", i), map[string]*string{}
		for name, value := range safe {
			settings[name] = &value
		}
		settings[c.name] = &c.value
		if _, err := kadm.NewClient(admin(t, cluster)).CreateTopic(t.Context(), c.partitions, c.replicas, settings, topic); err != nil {
			t.Fatal(err)
		}
		kind := contracts.Unavailable
		if c.code == "BUS-027" {
			kind = contracts.Invalid
		}
		f := expectFault(t, b.Topics(t.Context(), topic), kind, c.code)
		if !strings.Contains(f.Public, topic) || !strings.Contains(f.Public, c.says) {
			t.Errorf("the fault says %q, want the topic and %q in it", f.Public, c.says)
		}
		if err := trial.Topics(t.Context(), topic); (err == nil) != c.inProduction {
			t.Errorf("in development a topic with %s %s gives %v", c.name, c.value, err)
		}
	}
}

func letsIn(t *testing.T, cluster *kafka.Cluster) {
	s := cluster.Security()
	trust := &tls.Config{RootCAs: s.Authority}
	withClient := func(c tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: s.Authority, Certificates: []tls.Certificate{c}}
	}
	login := func(mechanism string) bus.SASL {
		return bus.SASL{Mechanism: mechanism, User: s.User, Password: s.Password}
	}
	wrong := login("SCRAM-SHA-512")
	wrong.Password += "!"
	for name, c := range map[string]struct {
		brokers []string
		tls     *tls.Config
		sasl    bus.SASL
		kind    contracts.Kind
		code    string
	}{
		"SCRAM-SHA-512":                       {s.SASL, trust, login("SCRAM-SHA-512"), "", ""},
		"SCRAM-SHA-256":                       {s.SASL, trust, login("SCRAM-SHA-256"), "", ""},
		"PLAIN over TLS":                      {s.SASL, trust, login("PLAIN"), "", ""},
		"a client's certificate":              {s.Mutual, withClient(s.Client), bus.SASL{}, "", ""},
		"a wrong password":                    {s.SASL, trust, wrong, contracts.Denied, "BUS-025"},
		"no certificate":                      {s.Mutual, trust, bus.SASL{}, contracts.Denied, "BUS-025"},
		"a client's certificate that ran out": {s.Mutual, withClient(s.ExpiredClient), bus.SASL{}, contracts.Denied, "BUS-025"},
		"a broker's certificate that ran out": {s.Expired, trust, bus.SASL{}, contracts.Denied, "BUS-025"},
		"a broker that isn't trusted":         {s.SASL, &tls.Config{}, login("SCRAM-SHA-512"), contracts.Denied, "BUS-025"},
		"PLAIN without TLS":                   {s.SASL, nil, login("PLAIN"), contracts.Invalid, "BUS-024"},
		"a mechanism that isn't there":        {s.SASL, trust, login("NONE"), contracts.Invalid, "BUS-024"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if c.code != "" {
				ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
			}
			conf := config(cluster, "silta.secured.")
			conf.Brokers, conf.TLS, conf.SASL = c.brokers, c.tls, c.sasl
			b, err := bus.Open(ctx, conf)
			if c.code != "" {
				expectFault(t, err, c.kind, c.code)
				return
			}
			if err != nil {
				t.Fatal(err, errors.Unwrap(err))
			}
			if err := errors.Join(b.Health(ctx), b.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

func largeHeader(t *testing.T, cluster *kafka.Cluster) {
	const topic = "silta.test.header"
	b := openKafka(t, config(cluster, "silta.header."), topic)
	r := contracts.Record{Topic: topic, Key: "a", ID: contracts.DerivedID("header", "1"), Time: time.Unix(0, 0).UTC(),
		Header: map[string]string{contracts.HeaderControl: strings.Repeat("x", 2<<20)}}
	_, err := b.Publish(t.Context(), r, nil)
	expectFault(t, err, contracts.Internal, "BUS-008")
	delete(r.Header, contracts.HeaderControl)
	if _, err := b.Publish(t.Context(), r, nil); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

func movesAside(t *testing.T, cluster *kafka.Cluster) {
	const topic = "silta.test.foreign"
	b := openKafka(t, config(cluster, "silta.foreign."), topic, "silta.foreign.dead")
	stranger := &kgo.Record{Topic: topic, Key: []byte("somebody's name, say"), Value: []byte("no CloudEvent")}
	if err := admin(t, cluster).ProduceSync(t.Context(), stranger).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ours := contracts.Record{Topic: topic, Key: "a", ID: contracts.DerivedID("foreign", "1"), Time: time.Unix(0, 0).UTC()}
	if _, err := b.Publish(t.Context(), ours, nil); err != nil {
		t.Fatal(err)
	}
	got := make(chan contracts.Record, 10)
	handle := func(_ context.Context, r contracts.Record) error {
		got <- r
		return nil
	}
	stop, stopDead := consume(t, b, topic, handle), consume(t, b, "silta.foreign.dead", handle)
	for range 2 {
		r := await(t, got)
		if r.ID == ours.ID {
			continue
		}
		var f contracts.Fault
		at := fmt.Sprintf("%s/%d/%d", topic, stranger.Partition, stranger.Offset)
		if err := json.Unmarshal([]byte(r.Header[contracts.HeaderFault]), &f); err != nil || f.Code != "BUS-026" || f.At != at {
			t.Errorf("its fault is %v at %s (%v), want BUS-026 at %s", &f, f.At, err, at)
		}
		if r.Topic != "silta.foreign.dead" || string(r.Body.Bytes()) != "no CloudEvent" || strings.Contains(string(r.Key), "name") {
			t.Errorf("it came on %s with another body, or with its own key", r.Topic)
		}
	}
	stop()
	stopDead()
	if lag, err := b.Lag(t.Context(), topic, "hub"); lag != 0 || err != nil {
		t.Errorf("the lag is %d (%v), want 0", lag, err)
	}
}

// consume runs Consume in the group hub until stop, which waits for its end.
func consume(t *testing.T, b *bus.Bus, topic string, handle func(context.Context, contracts.Record) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Consume(ctx, topic, "hub", 4, handle) }()
	stop = func() {
		if cancel(); ended != nil {
			if err := await(t, ended); err != nil {
				t.Error(err)
			}
			ended = nil
		}
	}
	t.Cleanup(stop)
	return stop
}

// Two publish other bytes under one control id at the same time: both records lie in the topic, one is handed out.
func lostClaim(t *testing.T, cluster *kafka.Cluster) {
	const topic, rounds = "silta.test.lost", 20
	first, second := openKafka(t, config(cluster, "silta.lost."), topic), openKafka(t, config(cluster, "silta.lost."))
	type answer struct {
		published contracts.Published
		err       error
	}
	won := map[contracts.ID]time.Time{}
	for round := range rounds {
		answers := make(chan answer, 2)
		for i, b := range []*bus.Bus{first, second} {
			r := contracts.Record{Topic: topic, Key: "a", ID: contracts.DerivedID("lost", fmt.Sprint(round), fmt.Sprint(i)), Time: time.Unix(int64(round), int64(i)*1000).UTC()}
			go func() {
				p, err := b.Publish(t.Context(), r, &contracts.Once{Key: contracts.Key(fmt.Sprint(round)), Digest: contracts.Digest(fmt.Sprint(i))})
				answers <- answer{p, err}
			}()
		}
		claims := []contracts.Claim{}
		for range 2 {
			a := await(t, answers)
			if a.err != nil {
				t.Fatal(a.err)
			}
			claims = append(claims, a.published.Claim)
			won[a.published.ID] = a.published.First
		}
		slices.Sort(claims)
		if !slices.Equal(claims, []contracts.Claim{contracts.ClaimNew, contracts.ClaimOther}) {
			t.Fatalf("the claims are %v, want one new and one another's", claims)
		}
	}
	if len(won) != rounds {
		t.Fatalf("%d records won, want %d", len(won), rounds)
	}
	last := contracts.Record{Topic: topic, Key: "a", ID: contracts.DerivedID("lost", "last"), Time: time.Unix(9999, 0).UTC()}
	if _, err := first.Publish(t.Context(), last, nil); err != nil {
		t.Fatal(err)
	}
	all := make(chan bool)
	handed := 0
	stop := consume(t, second, topic, func(_ context.Context, r contracts.Record) error {
		if r.ID == last.ID {
			close(all)
			return nil
		}
		handed++
		if first, ok := won[r.ID]; !ok || !r.Time.Equal(first) {
			t.Errorf("a record was handed out whose claim lost, or with another time than its claim's")
		}
		return nil
	})
	await(t, all)
	stop()
	if handed != rounds {
		t.Errorf("%d records were handed out, want the %d that won", handed, rounds)
	}
}

// A process died when its record was there and its claim wasn't. The record is handed out, and the claim is made, so that
// other bytes under its control id are refused from then on.
func missingClaim(t *testing.T, cluster *kafka.Cluster) {
	const topic, key = "silta.test.missing", contracts.Key("control")
	b := openKafka(t, config(cluster, "silta.missing."), topic)
	id := contracts.DerivedID("missing", "1")
	record := &kgo.Record{Topic: topic, Key: []byte("a"), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_claim", Value: fmt.Appendf(nil, `{"key":%q,"digest":"d","id":%q,"first":5000000,"made":%d,"nonce":7}`, key, id, time.Now().Unix())},
	}}
	if err := admin(t, cluster).ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := make(chan contracts.Record, 1)
	stop := consume(t, b, topic, func(_ context.Context, r contracts.Record) error {
		got <- r
		return nil
	})
	if r := await(t, got); r.ID != id || !r.Time.Equal(time.Unix(5, 0)) {
		t.Errorf("got %s of %v, want %s of the claim's time", r.ID, r.Time, id)
	}
	stop()
	repeat := contracts.Record{Topic: topic, Key: "a", ID: id, Time: time.Unix(6, 0).UTC()}
	for digest, want := range map[contracts.Digest]contracts.Claim{"d": contracts.ClaimSame, "e": contracts.ClaimOther} {
		p, err := b.Publish(t.Context(), repeat, &contracts.Once{Key: key, Digest: digest})
		if err != nil || p.Claim != want || p.ID != id || !p.First.Equal(time.Unix(5, 0)) {
			t.Errorf("a repeat gives claim %d of %s, %v (%v), want %d of %s", p.Claim, p.ID, p.First, err, want, id)
		}
	}
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(3 * time.Minute):
		t.Fatal("no sign for three minutes")
		panic("unreachable")
	}
}

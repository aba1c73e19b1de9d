package kafka

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/hoitosilta/silta/contracts"
)

// Config says how to reach the cluster, and what its topics are like.
type Config struct {
	Brokers     []string    // HOST:PORT, some of them
	TLS         *tls.Config // nil: without. Certificates in it are what the brokers see in mutual TLS
	SASL        SASL        // the zero value: without
	Development bool        // topics may have fewer replicas than a production needs
	Partitions  int32       // of every topic; fixed once topics are made, because it decides which key lies where. Default: 12
	Names       string      // stands before "once" and "body", the topics that the bus has for itself. Default: "silta."

	Backoff, BackoffMax time.Duration // pause after a record's first error, doubling up to the longest. Default: 100 ms, 10 s

	// A process that says nothing for Session is taken for dead, and its partitions move. One that is asked to hand
	// over has Handover to finish what runs. Default: 10 s, 30 s.
	Session, Handover time.Duration
}

// SASL is how a process names itself to the brokers. It prints as its mechanism.
type SASL struct {
	Mechanism string // SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN, which needs TLS
	User      string
	Password  string `json:"-"`
}

// Format prints the mechanism for every verb.
func (s SASL) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.Mechanism) }

func (c Config) withDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = 12
	}
	if c.Names == "" {
		c.Names = "silta."
	}
	if c.Backoff == 0 {
		c.Backoff, c.BackoffMax = 100*time.Millisecond, 10*time.Second
	}
	if c.Session == 0 {
		c.Session = 10 * time.Second
	}
	if c.Handover == 0 {
		c.Handover = 30 * time.Second
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.SASL.Mechanism != "" && c.mechanism() == nil:
		return fault(contracts.Invalid, codeConfig, "The SASL mechanism isn't SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN.", nil)
	case c.SASL.Mechanism == "PLAIN" && c.TLS == nil:
		return fault(contracts.Invalid, codeConfig, "SASL PLAIN sends the password as it is: it needs TLS.", nil)
	}
	return nil
}

func (c Config) mechanism() sasl.Mechanism {
	switch c.SASL.Mechanism {
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsSha512Mechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsSha256Mechanism()
	case "PLAIN":
		return plain.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsMechanism()
	}
	return nil
}

// options are what every client of the cluster needs, and more.
func (c Config) options(more ...kgo.Opt) []kgo.Opt {
	// Leaders that moved are looked for again after a quarter of a second, not 5 s.
	options := append(more, kgo.SeedBrokers(c.Brokers...), kgo.ClientID("silta"), kgo.MetadataMinAge(250*time.Millisecond))
	if c.TLS != nil {
		options = append(options, kgo.DialTLSConfig(c.TLS.Clone()))
	}
	if m := c.mechanism(); m != nil {
		options = append(options, kgo.SASL(m))
	}
	return options
}

func (c Config) bodyTopic() string  { return c.Names + "body" }
func (c Config) claimTopic() string { return c.Names + "once" }
func (c Config) deadTopic() string  { return c.Names + "dead" } // the hub's own contracts.TopicDead

// hashed places keys as Kafka's own clients do.
var hashed = kgo.StickyKeyPartitioner(nil).ForTopic("")

// place gives a record's partition. It counts with the partitions that a topic must have, so that keys stay where they
// are when somebody adds partitions to a running topic.
func (c Config) place(r *kgo.Record, n int) int {
	return hashed.Partition(r, min(n, int(c.Partitions)))
}

// partition gives the partition of a key.
func (c Config) partition(key contracts.Key) int32 {
	return int32(c.place(&kgo.Record{Key: []byte(key)}, int(c.Partitions)))
}

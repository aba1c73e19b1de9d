package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/adapters/kafka"
	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
)

// embeddedStore is the bus or ledger that needs no server.
const embeddedStore = "embedded"

// The schemes of stores that are servers.
const (
	kafkaScheme    = "kafka://"
	postgresScheme = "postgres://"
)

// kafkaSettings is what a cluster needs to be told beside its address.
type kafkaSettings struct {
	Names      string        `yaml:"names"`      // what topics' names begin with, for several installations on one cluster; silta.
	Partitions int           `yaml:"partitions"` // of topics that are made; never changed afterwards; 12
	TLS        *kafkaTLS     `yaml:"tls"`
	SASL       *saslSettings `yaml:"sasl"`
}

// kafkaTLS is how the brokers' certificates are checked, and what we show them.
type kafkaTLS struct {
	CAFile     string `yaml:"caFile"`     // who signed the brokers' certificates, PEM; the system's roots without it
	CertFile   string `yaml:"certFile"`   // our certificate, where the brokers ask for one, PEM
	KeyFile    string `yaml:"keyFile"`    // its key, PEM
	ServerName string `yaml:"serverName"` // the name in the brokers' certificates; each one's host without it
}

// saslSettings is who we are to the brokers.
type saslSettings struct {
	Mechanism    string `yaml:"mechanism"` // SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN over TLS
	User         string `yaml:"user"`
	PasswordFile string `yaml:"passwordFile"`
}

// postgresSettings is what a database needs to be told beside its address.
type postgresSettings struct {
	PasswordFile string `yaml:"passwordFile"`
}

// checkStores says what is wrong with the names of bus and ledger.
func (s *settings) checkStores(fault func(key, format string, args ...any)) {
	if _, err := brokersOf(s.Bus); s.Bus != embeddedStore && err != nil {
		fault("bus", "The bus is `embedded` or kafka://HOST:PORT,HOST:PORT,….")
	}
	if s.Ledger != embeddedStore && !strings.HasPrefix(s.Ledger, postgresScheme) && !strings.HasPrefix(s.Ledger, "postgresql://") {
		fault("ledger", "The ledger is `embedded` or postgres://USER@HOST:PORT/DATABASE.")
	}
	if u, err := url.Parse(s.Ledger); err == nil && u.User != nil {
		if _, written := u.User.Password(); written && !s.Development {
			fault("ledger", "A password stands in the configuration. Put it into a file and name that as postgres.passwordFile.")
		}
	}
	if s.Kafka.Partitions < 1 || s.Kafka.Partitions > 1000 {
		fault("kafka.partitions", "Between 1 and 1000 partitions.")
	}
	if !topicNames.MatchString(s.Kafka.Names) {
		fault("kafka.names", "Topics' names begin with up to 100 letters, digits, dots, hyphens and underscores.")
	}
	if sasl := s.Kafka.SASL; sasl != nil && (sasl.User == "" || sasl.PasswordFile == "" || sasl.Mechanism == "") {
		fault("kafka.sasl", "SASL needs a mechanism, a user and a passwordFile.")
	} else if sasl != nil && sasl.Mechanism == "PLAIN" && s.Kafka.TLS == nil {
		fault("kafka.sasl", "PLAIN sends the password as it is: it needs tls.")
	}
}

// checkServers is checkStores for a bus and a ledger that flags name.
func (s *settings) checkServers() error {
	var wrong error
	s.checkStores(func(key, format string, args ...any) {
		if wrong == nil && (key == "bus" || key == "ledger") {
			wrong = usagef("--%s: %s", key, fmt.Sprintf(format, args...))
		}
	})
	return wrong
}

// topicNames is what a topic's name may begin with.
var topicNames = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// kafkaAddress is what kafka://H:P,H:P?development=true says.
type kafkaAddress struct {
	brokers     []string
	development bool
}

func brokersOf(address string) (kafkaAddress, error) {
	rest, ok := strings.CutPrefix(address, kafkaScheme)
	if !ok {
		return kafkaAddress{}, usagef("%s is no address of a cluster: kafka://HOST:PORT,HOST:PORT,…", address)
	}
	hosts, query, _ := strings.Cut(rest, "?")
	asked, err := url.ParseQuery(query)
	if err != nil {
		return kafkaAddress{}, usagef("%s can't be read: %v", address, err)
	}
	a := kafkaAddress{brokers: strings.Split(strings.TrimSuffix(hosts, "/"), ","), development: asked.Get("development") == "true"}
	for _, broker := range a.brokers {
		if _, _, err := net.SplitHostPort(broker); err != nil {
			return kafkaAddress{}, usagef("%s: a broker is written HOST:PORT", address)
		}
	}
	return a, nil
}

// alone says that only one process may run on these stores.
func (s *settings) alone() bool { return s.Bus == embeddedStore || s.Ledger == embeddedStore }

// openStores opens bus and ledger. What is opened first is closed last: the bus goes before the ledger, the directory's
// lock is given back at the end. A directory is taken only if something lies in it.
func (h *house) openStores(ctx context.Context, s settings) error {
	if s.alone() {
		lock, err := embedded.Lock(h.dir)
		if err != nil {
			return err
		}
		h.opened = append(h.opened, lock.Unlock)
		if err := checkRestored(h.dir); err != nil {
			return err
		}
	}
	err := h.openLedger(ctx, s)
	if err == nil {
		err = h.openBus(ctx, s)
	}
	if contracts.KindOf(err) == contracts.Invalid { // a server that is there, but isn't what the configuration says
		return configuration{err}
	}
	return err
}

func (h *house) openLedger(ctx context.Context, s settings) error {
	var l *ledger.Ledger
	var err error
	if s.Ledger == embeddedStore {
		l, err = ledger.Open(filepath.Join(h.dir, "ledger.db"))
	} else {
		var password []byte
		if s.Postgres.PasswordFile != "" {
			if password, err = s.secret(s.Postgres.PasswordFile); err != nil {
				return err
			}
		}
		l, err = ledger.OpenPostgres(ctx, ledger.PostgresConfig{URL: s.Ledger, Password: string(password)})
	}
	if err != nil {
		return err
	}
	h.ledger = l
	h.opened = append(h.opened, l.Close)
	if n, err := l.Aside(ctx); err == nil && n > 0 {
		h.log.WithField("changes", n).Warn("The ledger keeps changes that a process left when it was killed and that can't be written; they are in its table aside. Report it.")
	}
	return nil
}

func (h *house) openBus(ctx context.Context, s settings) error {
	if s.Bus == embeddedStore {
		b, err := embedded.Open(h.dir)
		if err != nil {
			return err
		}
		h.bus = b
		h.opened = append(h.opened, b.Close)
		return nil
	}
	c, err := s.kafkaConfig()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, reachable)
	defer stop()
	b, err := kafka.Open(ctx, c)
	if err != nil {
		return err
	}
	h.opened = append(h.opened, b.Close)
	r := renamed{b, s.Kafka.Names}
	h.bus = r
	topics := topicsOf(h.agreed.partners)
	for i, topic := range topics {
		topics[i] = r.there(topic)
	}
	return b.Topics(ctx, topics...)
}

// reachable is how long a cluster gets to answer when the house is opened.
const reachable = 20 * time.Second

// topicsOf are the topics of the hub and of each partner.
func topicsOf(partners []*contracts.Partner) []string {
	topics := []string{contracts.TopicIn, contracts.TopicDead}
	for _, p := range partners {
		topics = append(topics, contracts.ParkTopic(p.ID))
		if p.Courier != (contracts.Courier{}) {
			topics = append(topics, contracts.OutTopic(p.ID))
		}
	}
	return topics
}

func (s *settings) kafkaConfig() (kafka.Config, error) {
	address, err := brokersOf(s.Bus)
	if err != nil {
		return kafka.Config{}, err
	}
	c := kafka.Config{Brokers: address.brokers, Development: address.development || s.weak, Partitions: int32(s.Kafka.Partitions), Names: s.Kafka.Names}
	if s.Kafka.TLS != nil {
		if c.TLS, err = s.kafkaTLS(*s.Kafka.TLS); err != nil {
			return c, err
		}
	}
	if sasl := s.Kafka.SASL; sasl != nil {
		password, err := s.secret(sasl.PasswordFile)
		if err != nil {
			return c, err
		}
		c.SASL = kafka.SASL{Mechanism: sasl.Mechanism, User: sasl.User, Password: string(password)}
	}
	return c, nil
}

func (s *settings) kafkaTLS(t kafkaTLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(s.path(t.CAFile))
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, configuration{&contracts.Fault{Kind: contracts.Invalid, Code: "CFG-044", File: t.CAFile, Public: "This file holds no certificate (PEM) that can be read.", Err: err}}
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(s.path(t.CertFile), s.path(t.KeyFile))
		if err != nil {
			return nil, configuration{&contracts.Fault{Kind: contracts.Invalid, Code: "CFG-045", File: t.CertFile, Public: "This certificate and its key (PEM) can't be read, or don't belong together.", Err: err}}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

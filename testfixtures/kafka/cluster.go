// Package kafka runs real Apache Kafka clusters: from Maven's jars, without containers, on 127.0.0.1.
//
// It needs Java 17 or later, and Maven the first time. Start is for tests; Open is for programs that kill brokers on
// purpose or measure. The brokers end with Close, and also when the process dies that opened them, because each hangs
// on a pipe that only that process holds.
package kafka

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

//go:embed log4j2.properties
var log4j []byte

// patience is how long a cluster may take to start in a test.
const patience = 2 * time.Minute

// Options say what a cluster is like.
type Options struct {
	Brokers  int      // 1 to 9. Default: 3
	Secure   bool     // listeners with TLS beside the plain one; see Security
	Settings []string // further lines of each broker's server.properties
}

// Cluster is a running KRaft cluster; each broker is a controller too. With three or more brokers, topics have three
// replicas by default and two must be in sync. Topics aren't created by themselves. Brokers count from 1.
type Cluster struct {
	dir      string
	jars     string
	java     []string // arguments for every broker
	options  Options
	ports    map[string][]int // by listener, one a broker
	brokers  []*broker
	security *Security
}

// Start gives a test a cluster that ends with it.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := Open(ctx, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Open starts a cluster with empty data in dir, and gives it when all brokers take requests. ctx bounds the start only.
func Open(ctx context.Context, dir string, o Options) (*Cluster, error) {
	if o.Brokers == 0 {
		o.Brokers = 3
	}
	jars, err := jars(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, jars: jars, java: []string{"-XX:SharedArchiveFile=" + archive(jars)}, options: o}
	if o.Secure {
		if c.security, err = newSecurity(dir); err != nil {
			return nil, err
		}
	}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) open(ctx context.Context) (err error) {
	if err := os.WriteFile(filepath.Join(c.dir, "log4j2.properties"), log4j, 0o600); err != nil {
		return err
	}
	if c.ports, err = freePorts(c.options.Brokers, c.listeners()); err != nil {
		return err
	}
	for i := range c.options.Brokers {
		b := &broker{cluster: c, dir: filepath.Join(c.dir, fmt.Sprint("broker-", i+1))}
		if c.brokers = append(c.brokers, b); i == 0 {
			err = b.format(ctx, clusterID(), c.settings(0))
		} else {
			err = b.formatAs(c.brokers[0], i+1, c.settings(i))
		}
		if err != nil {
			return err
		}
	}
	var starting errgroup.Group
	for _, b := range c.brokers {
		starting.Go(func() error { return b.start(ctx) })
	}
	return starting.Wait()
}

// Close kills all brokers. Their data stays in the cluster's folder.
func (c *Cluster) Close() error {
	var errs []error
	for _, b := range c.brokers {
		errs = append(errs, b.kill())
	}
	return errors.Join(errs...)
}

// Addresses gives HOST:PORT of every broker, without TLS.
func (c *Cluster) Addresses() []string { return c.addresses(plain) }

// Security tells how to reach the listeners with TLS; nil without Options.Secure.
func (c *Cluster) Security() *Security {
	if c.security == nil {
		return nil
	}
	s := *c.security
	s.SASL, s.Mutual, s.Expired = c.addresses(sasl), c.addresses(mutual), c.addresses(expired)
	return &s
}

// Kill ends broker i by SIGKILL.
func (c *Cluster) Kill(i int) error { return c.brokers[i-1].kill() }

// Stop makes broker i hang, by SIGSTOP, until Continue.
func (c *Cluster) Stop(i int) error { return c.brokers[i-1].stop() }

// Continue lets broker i go on after Stop.
func (c *Cluster) Continue(i int) error { return c.brokers[i-1].resume() }

// Restart starts broker i on the data that it had, killing it first if it runs. Its replicas still catch up when
// Restart returns; Settle waits for that.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	b := c.brokers[i-1]
	if err := b.kill(); err != nil {
		return err
	}
	return b.start(ctx)
}

// Settle waits until all brokers are there and every partition has a leader and all its replicas in sync.
func (c *Cluster) Settle(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.settled(ctx, admin) },
		backoff.WithBackOff(backoff.NewConstantBackOff(100*time.Millisecond)), backoff.WithMaxElapsedTime(0))
	return err
}

func (c *Cluster) settled(ctx context.Context, admin *kadm.Client) error {
	found, err := admin.Metadata(ctx)
	if err != nil {
		return err
	}
	if len(found.Brokers) < len(c.brokers) {
		return fmt.Errorf("%d of %d brokers are there", len(found.Brokers), len(c.brokers))
	}
	for _, t := range found.Topics {
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("partition %d of %s lacks a replica or its leader", p.Partition, t.Topic)
			}
		}
	}
	return nil
}

// The listeners of a broker.
const (
	plain      = "PLAIN"
	controller = "CONTROLLER"
	sasl       = "SASL"
	mutual     = "MUTUAL"
	expired    = "EXPIRED"
)

func (c *Cluster) listeners() []string {
	if c.security == nil {
		return []string{plain, controller}
	}
	return []string{plain, controller, sasl, mutual, expired}
}

func (c *Cluster) addresses(listener string) []string {
	var all []string
	for _, port := range c.ports[listener] {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return all
}

// settings is server.properties of the broker with index i.
func (c *Cluster) settings(i int) string {
	replicas, inSync := min(c.options.Brokers, 3), 1
	if c.options.Brokers >= 3 {
		inSync = 2
	}
	var voters, listeners, advertised []string
	for k, address := range c.addresses(controller) {
		voters = append(voters, fmt.Sprintf("%d@%s", k+1, address))
	}
	for _, name := range c.listeners() {
		at := name + "://" + c.addresses(name)[i]
		listeners = append(listeners, at)
		if name != controller {
			advertised = append(advertised, at)
		}
	}
	lines := []string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", i+1),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"controller.listener.names=" + controller,
		"inter.broker.listener.name=" + plain,
		"listeners=" + strings.Join(listeners, ","),
		"advertised.listeners=" + strings.Join(advertised, ","),
		"listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,EXPIRED:SSL",
		"log.dirs=" + filepath.Join(c.dir, fmt.Sprint("broker-", i+1), "data"),
		"auto.create.topics.enable=false",
		"unclean.leader.election.enable=false",
		fmt.Sprintf("default.replication.factor=%d", replicas),
		fmt.Sprintf("min.insync.replicas=%d", inSync),
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas),
		"offsets.topic.num.partitions=3",
		fmt.Sprintf("transaction.state.log.replication.factor=%d", replicas),
		fmt.Sprintf("transaction.state.log.min.isr=%d", inSync),
		"group.initial.rebalance.delay.ms=0", // tests don't wait for members that won't come
		// A dead broker's partitions move after 3 s, not 9: tests wait for it often.
		"broker.heartbeat.interval.ms=500",
		"broker.session.timeout.ms=3000",
	}
	if c.security != nil {
		lines = append(lines, c.security.settings()...)
	}
	return strings.Join(append(lines, c.options.Settings...), "\n") + "\n"
}

// clusterID draws an id as Kafka has them: 128 bits in base64.
func clusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = 'k'             // an id mustn't begin with a dash
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// freePorts gives n ports for each listener. They lie below those that the system hands out by itself, so that no
// connection takes one while its broker is down.
func freePorts(n int, listeners []string) (map[string][]int, error) {
	ports, held := map[string][]int{}, []net.Listener{}
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, name := range listeners {
		for tries := 0; len(ports[name]) < n; tries++ {
			port := 15000 + mathrand.IntN(15000)
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				if tries > 1000 {
					return nil, err
				}
				continue
			}
			held, ports[name] = append(held, l), append(ports[name], port)
		}
	}
	return ports, nil
}

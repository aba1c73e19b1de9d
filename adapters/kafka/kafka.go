// Package kafka is the bus on Apache Kafka, for installations of several processes.
//
// Publish returns when all in-sync replicas have the record (acks=all, idempotent producer). Kafka answers before it
// fsyncs: durable means held by several brokers, which is why topics with less than three replicas, two of them in
// sync, are refused outside development.
//
// What a failure leaves behind: a record whose Publish met an error may be there or not, and the caller publishes it
// again under the same id. A process that dies leaves its groups at their last committed low watermark, at most a
// second old, so finished records can come again, to whoever gets its partitions.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// Config says how to reach the cluster.
type Config struct {
	Brokers     []string // HOST:PORT, some of them
	Development bool     // topics may have fewer replicas than a production needs
	Partitions  int32    // of topics that are made; fixed afterwards. Default: 12
	Names       string   // stands before "once" and "body", the topics that the bus has for itself. Default: "silta."

	TLS  *tls.Config
	SASL *SASL

	Backoff, BackoffMax time.Duration // pause after a record's first error, doubling up to the longest. Default: 100 ms, 10 s
}

type SASL struct{ Mechanism, User, Password string }

// Bus is a connection to the cluster. Its methods may be called from many goroutines. It satisfies hub.Bus, which
// documents them.
type Bus struct {
	c      Config
	client *kgo.Client // produces
	admin  *kadm.Client
	claims *claims
	uses   sync.WaitGroup // Consume calls
	end    context.CancelFunc
	life   context.Context // ends with Close

	mu        sync.Mutex
	closed    bool
	paused    map[subscription]bool
	consumers map[subscription]*consumer
}

type subscription struct{ topic, group string }

// Open connects, makes the bus's own topics if need be, and checks them. Faults are of kind unavailable.
func Open(ctx context.Context, c Config) (*Bus, error) {
	if c.Partitions == 0 {
		c.Partitions = 12
	}
	if c.Names == "" {
		c.Names = "silta."
	}
	if c.Backoff == 0 {
		c.Backoff, c.BackoffMax = 100*time.Millisecond, 10*time.Second
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0))
	if err != nil {
		return nil, unreachable(err)
	}
	b := &Bus{c: c, client: client, admin: kadm.NewClient(client), paused: map[subscription]bool{}, consumers: map[subscription]*consumer{}}
	b.life, b.end = context.WithCancel(context.Background())
	err = b.Topics(ctx, c.Names+"body")
	if err == nil {
		err = b.topics(ctx, map[string]string{"retention.ms": claimRetention}, c.Names+"once")
	}
	if err == nil {
		b.claims, err = tailClaims(c)
	}
	if err != nil {
		b.end()
		client.Close()
		return nil, err
	}
	return b, nil
}

// Close ends Consume calls as if their contexts had ended, waits for them, and disconnects.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	b.uses.Wait()
	b.claims.close()
	b.client.Close()
	return nil
}

// Publish hands r to the cluster and returns when its replicas have it. A claim is published first, to a topic of its
// own, where the first one of a key wins; ClaimOther then publishes nothing more, while ClaimSame publishes r again,
// because the process that claimed may have died before its record was there. Bodies of 900 KB and more go ahead of
// their record, in pieces.
func (b *Bus) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	p := contracts.Published{First: r.Time, ID: r.ID}
	if once != nil {
		owner, isNew, err := b.claim(ctx, r, once)
		if err != nil {
			return contracts.Published{}, err
		}
		p.First, p.ID, p.Claim = owner.first(), owner.ID, contracts.ClaimNew
		if owner.Digest != once.Digest {
			p.Claim = contracts.ClaimOther
			return p, nil
		}
		if !isNew {
			p.Claim = contracts.ClaimSame
		}
	}
	wire, err := b.write(ctx, r)
	if err != nil {
		return contracts.Published{}, err
	}
	kept, err := b.produce(ctx, wire)
	if err != nil {
		return contracts.Published{}, err
	}
	p.Place = contracts.Place{Topic: kept.Topic, Partition: kept.Partition, Offset: kept.Offset}
	return p, nil
}

// produce waits for a record's replicas, or for ctx. The record itself doesn't get ctx: a producer that drops a record
// in the middle of a sequence has to begin a new one for all others.
func (b *Bus) produce(ctx context.Context, r *kgo.Record) (*kgo.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, leftFault(err)
	}
	done := make(chan error, 1)
	b.client.TryProduce(context.Background(), r, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		return r, publishFault(err)
	case <-ctx.Done():
		return nil, leftFault(ctx.Err())
	}
}

// Pause stops handing out records of a topic to group, in this process, until Resume; what runs, runs on.
func (b *Bus) Pause(topic, group string) { b.pause(subscription{topic, group}, true) }

// Resume hands out again what Pause stopped.
func (b *Bus) Resume(topic, group string) { b.pause(subscription{topic, group}, false) }

func (b *Bus) pause(sub subscription, paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if paused {
		b.paused[sub] = true
	} else {
		delete(b.paused, sub)
	}
	if c := b.consumers[sub]; c != nil {
		c.pause(paused)
	}
}

// Health is nil when every partition of the bus's own topics has a leader and enough replicas in sync.
func (b *Bus) Health(ctx context.Context) error {
	topics, err := b.admin.Metadata(ctx, b.c.Names+"once", b.c.Names+"body")
	if err != nil {
		return unreachable(err)
	}
	for _, t := range topics.Topics {
		if t.Err != nil {
			return unreachable(t.Err)
		}
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 || !b.c.Development && len(p.ISR) < wantInSync {
				return unreachable(errors.Join(errors.New("a partition lacks a leader or replicas"), p.Err))
			}
		}
	}
	return nil
}

// The faults of this bus.
const (
	codeClosed  = "BUS-005"
	codeNoPlace = "BUS-006"
	codeTwice   = "BUS-007"
	codeRecord  = "BUS-008"
	codeUnknown = "BUS-010"
	codeReach   = "BUS-020" // the cluster doesn't answer
	codeWeak    = "BUS-021" // a topic with too few replicas
	codePublish = "BUS-022" // the cluster didn't take a record
	codeFetch   = "BUS-023" // the cluster didn't give records
)

func fault(kind contracts.Kind, code, text string, cause error) error {
	return &contracts.Fault{Kind: kind, Code: code, Op: "bus", Public: text, Err: cause}
}

func unreachable(err error) error {
	return fault(contracts.Unavailable, codeReach, "The Kafka cluster doesn't answer as it should. Check the brokers' addresses, and that enough of them run.", err)
}

func fetchFault(err error) error {
	return fault(contracts.Unavailable, codeFetch, "The Kafka cluster doesn't give records. Check that the topic exists and that its partitions have leaders.", err)
}

func publishFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge):
		return fault(contracts.Internal, codeRecord, "A record's header is larger than the cluster allows.", err)
	}
	return fault(contracts.Unavailable, codePublish, "The Kafka cluster didn't confirm a record. Publish it again under the same id.", err)
}

func leftFault(err error) error {
	return fault(contracts.Unavailable, codeUnknown, "The caller stopped waiting before the bus answered, so the record may be kept or not. Publish it again under the same id.", err)
}

// Package kafka is the bus on Apache Kafka, for installations of several processes.
//
// Publish returns when all in-sync replicas have the record (acks=all, idempotent producer). Kafka answers before it
// fsyncs: durable means held by several brokers, which is why topics with less than three replicas, two of them in
// sync, are refused outside development.
//
// What a failure leaves behind: a record whose Publish met an error may be there or not, and the caller publishes it
// again under the same id. While a leader moves, Publish waits for as long as its context lets it. A process that dies
// leaves its groups at their last committed low watermark, a tenth of a second old mostly, so records that it had just
// finished can come again, to whoever gets its partitions.
package kafka

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hoitosilta/silta/contracts"
)

// Bus is a connection to the cluster. Its methods may be called from many goroutines. It satisfies hub.Bus, which
// documents them.
type Bus struct {
	c      Config
	client *kgo.Client // produces, and asks
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

// Open connects, makes the bus's own topics if need be, and checks them. It tries for as long as ctx lets it, and
// gives a fault of kind unavailable if the cluster doesn't answer or its topics are weak, denied if it doesn't let us
// in, invalid if the configuration can't be.
func Open(ctx context.Context, c Config) (*Bus, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	last := &lastConnect{}
	client, err := kgo.NewClient(c.options(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.MaxBufferedBytes(maxBuffered),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int { return c.place })), kgo.WithHooks(last))...)
	if err != nil {
		return nil, unreachable(err)
	}
	b := &Bus{c: c, client: client, admin: kadm.NewClient(client), paused: map[subscription]bool{}, consumers: map[subscription]*consumer{}}
	b.life, b.end = context.WithCancel(context.Background())
	err = b.topics(ctx, forever, c.bodyTopic())
	if err == nil {
		err = b.topics(ctx, claimsKept, c.claimTopic())
	}
	if err == nil {
		b.claims, err = b.tailClaims(ctx)
	}
	if err != nil {
		b.end()
		client.Close()
		return nil, last.explain(err)
	}
	return b, nil
}

// maxBuffered is how many bytes of records may wait for the cluster. Beyond it Publish refuses at once.
const maxBuffered = 64 << 20

// Close ends Consume calls as if their contexts had ended, waits for them, and disconnects.
func (b *Bus) Close() error {
	b.mu.Lock()
	closed := b.closed
	b.closed = true
	b.mu.Unlock()
	if closed {
		return nil
	}
	b.end()
	b.uses.Wait()
	b.claims.close()
	b.client.Close()
	return nil
}

// Publish hands r to the cluster and returns when its replicas have it. r.Body is only read, but for as long as the
// cluster takes, also when ctx has ended. Bodies of 900 KB and more go ahead of their record, in pieces.
//
// A claim and its record go out together, and the answer waits for both: what was read of the claims up to this one
// tells whose the key is. So the record of a claim that lost may lie in its topic; Consume and Replay pass over it. A
// crash between the two leaves one without the other and nothing acknowledged: the sender repeats, and a reader that
// meets a record without its claim makes the claim itself.
//
// A claim that is known already needs none of its own, as nothing can come before it any more. ClaimOther then
// publishes nothing, while ClaimSame publishes r again, with the time of the first, because the process that claimed
// may have died before its record was there.
func (b *Bus) Publish(ctx context.Context, r contracts.Record, once *contracts.Once) (contracts.Published, error) {
	if once == nil {
		kept, err := b.append(ctx, r, nil)
		if err != nil {
			return contracts.Published{}, err
		}
		return contracts.Published{First: r.Time, ID: r.ID, Place: kept}, nil
	}
	if owner, known := b.claims.owner(once.Key); known {
		p := contracts.Published{First: owner.time(), ID: owner.name(), Claim: contracts.ClaimOther}
		if owner.digest != short(once.Digest) {
			return p, nil
		}
		r.Time = p.First
		kept, err := b.append(ctx, r, nil)
		if err != nil {
			return contracts.Published{}, err
		}
		p.Claim, p.Place = contracts.ClaimSame, kept
		return p, nil
	}
	c, err := newClaim(r, once)
	if err != nil {
		return contracts.Published{}, err
	}
	kept, err := b.append(ctx, r, c)
	if err != nil {
		return contracts.Published{}, err
	}
	owner, _ := b.claims.owner(once.Key)
	p := contracts.Published{First: owner.time(), ID: owner.name(), Claim: contracts.ClaimNew, Place: kept}
	switch {
	case owner.digest != short(once.Digest):
		p.Claim, p.Place = contracts.ClaimOther, contracts.Place{}
	case owner.nonce != c.Nonce:
		p.Claim = contracts.ClaimSame
	}
	return p, nil
}

// append writes a record and, if it comes under a claim, the claim beside it. When it returns the claims were read up
// to this one.
func (b *Bus) append(ctx context.Context, r contracts.Record, c *claim) (contracts.Place, error) {
	wire, err := b.write(ctx, r, c)
	if err != nil {
		return contracts.Place{}, err
	}
	if c == nil {
		err = b.produce(ctx, wire)
	} else {
		claimed := b.claimRecord(c)
		if err = b.produce(ctx, claimed, wire); err == nil {
			err = b.claims.reach(ctx, claimed.Partition, claimed.Offset)
		}
	}
	if err != nil {
		return contracts.Place{}, err
	}
	return contracts.Place{Topic: wire.Topic, Partition: wire.Partition, Offset: wire.Offset}, nil
}

// produce waits for the replicas of all records, or for ctx. The records themselves don't get ctx: a producer that drops
// a record in the middle of a sequence has to begin a new one for all others.
func (b *Bus) produce(ctx context.Context, records ...*kgo.Record) error {
	if err := ctx.Err(); err != nil {
		return leftFault(err)
	}
	done := make(chan error, len(records))
	for _, r := range records {
		b.client.TryProduce(context.Background(), r, func(_ *kgo.Record, err error) { done <- err })
	}
	for range records {
		select {
		case err := <-done:
			if err != nil {
				return publishFault(err)
			}
		case <-ctx.Done():
			return leftFault(ctx.Err())
		}
	}
	return nil
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
	found, err := b.metadata(ctx, b.c.claimTopic(), b.c.bodyTopic())
	if err != nil {
		return unreachable(err)
	}
	for _, t := range found {
		if err := led(t); err != nil {
			return unreachable(err)
		}
		for _, p := range t.Partitions {
			if !b.c.Development && len(p.ISR) < wantInSync {
				return unreachable(errors.New("a partition lacks replicas"))
			}
		}
	}
	return nil
}

// metadata asks the cluster, not what the client remembers.
func (b *Bus) metadata(ctx context.Context, topics ...string) ([]kmsg.MetadataResponseTopic, error) {
	ask := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		ask.Topics = append(ask.Topics, t)
	}
	found, err := ask.RequestWith(ctx, b.client)
	if err != nil {
		return nil, err
	}
	return found.Topics, nil
}

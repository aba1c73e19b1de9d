package kafka

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// claimRetention is 14 days, in milliseconds: how long a control id is remembered.
const claimRetention = "1209600000"

// claim is what the topic of claims holds for a key. The first one in its partition's order wins.
type claim struct {
	Digest contracts.Digest `json:"digest"`
	ID     contracts.ID     `json:"id"`
	Micros int64            `json:"first"` // the record's time, microseconds since 1970

	partition int32
	offset    int64
}

func (c claim) first() time.Time { return time.UnixMicro(c.Micros).UTC() }

// claims is what this process has read of the topic of claims. It reads all the time; Kafka can build it again.
type claims struct {
	client *kgo.Client
	end    context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	byKey map[contracts.Key]claim
	next  map[int32]int64 // the first offset of a partition that isn't read yet
	grown chan struct{}   // closed and replaced when something was read
}

func tailClaims(c Config) (*claims, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.ConsumeTopics(c.Names+"once"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(250*time.Millisecond))
	if err != nil {
		return nil, unreachable(err)
	}
	ctx, end := context.WithCancel(context.Background())
	s := &claims{client: client, end: end, ended: make(chan struct{}), byKey: map[contracts.Key]claim{}, next: map[int32]int64{}, grown: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for ctx.Err() == nil {
			s.add(client.PollFetches(ctx).Records())
		}
	}()
	return s, nil
}

func (s *claims) close() {
	s.end()
	<-s.ended
	s.client.Close()
}

func (s *claims) add(records []*kgo.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		c := claim{partition: r.Partition, offset: r.Offset}
		key := contracts.Key(r.Key)
		// A record that isn't a claim was written by somebody else, and claims nothing.
		if _, taken := s.byKey[key]; !taken && json.Unmarshal(r.Value, &c) == nil {
			s.byKey[key] = c
		}
		s.next[r.Partition] = r.Offset + 1
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

// owner gives the claim that won a key, if one is known.
func (s *claims) owner(key contracts.Key) (claim, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.byKey[key]
	return c, ok
}

// reach waits until an offset was read.
func (s *claims) reach(ctx context.Context, partition int32, offset int64) error {
	for {
		s.mu.Lock()
		next, grown := s.next[partition], s.grown
		s.mu.Unlock()
		if next > offset {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return leftFault(ctx.Err())
		case <-s.ended:
			return fault(contracts.Unavailable, codeClosed, "The bus is closed.", nil)
		}
	}
}

// claim gives the claim that holds for a key, and whether it is the one made now. What is known already needs no
// claim of its own: nothing can come before it any more. Else a claim is published, and what was read of the topic up
// to it tells who was first, whichever process that was.
func (b *Bus) claim(ctx context.Context, r contracts.Record, once *contracts.Once) (owner claim, isNew bool, err error) {
	if c, known := b.claims.owner(once.Key); known {
		return c, false, nil
	}
	value, err := json.Marshal(claim{Digest: once.Digest, ID: r.ID, Micros: r.Time.UnixMicro()})
	if err != nil {
		return claim{}, false, publishFault(err)
	}
	kept, err := b.produce(ctx, &kgo.Record{Topic: b.c.Names + "once", Key: []byte(once.Key), Value: value})
	if err != nil {
		return claim{}, false, err
	}
	if err := b.claims.reach(ctx, kept.Partition, kept.Offset); err != nil {
		return claim{}, false, err
	}
	owner, _ = b.claims.owner(once.Key)
	return owner, owner.partition == kept.Partition && owner.offset == kept.Offset, nil
}

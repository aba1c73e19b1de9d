package bare

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type kafka struct {
	client, consumer *kgo.Client
	in, out          string
}

// Kafka makes two topics of so many partitions, replicated as the cluster allows, and produces with acks=all.
func Kafka(ctx context.Context, brokers []string, name string, partitions int32) (Bus, error) {
	b := &kafka{in: name + ".in", out: name + ".out"}
	var err error
	if b.client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0)); err != nil {
		return nil, err
	}
	if _, err := kadm.NewClient(b.client).CreateTopics(ctx, partitions, -1, nil, b.in, b.out); err != nil {
		return nil, err
	}
	b.consumer, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(b.in), kgo.ConsumerGroup(name), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	return b, err
}

func (b *kafka) Publish(ctx context.Context, key string, body []byte) error {
	return b.client.ProduceSync(ctx, &kgo.Record{Topic: b.in, Key: []byte(key), Value: body}).FirstErr()
}

func (b *kafka) Pipe(ctx context.Context, n int) error {
	for n > 0 {
		fetches := b.consumer.PollRecords(ctx, n)
		if err := fetches.Err(); err != nil {
			return err
		}
		var again []*kgo.Record
		for _, r := range fetches.Records() {
			again = append(again, &kgo.Record{Topic: b.out, Key: r.Key, Value: r.Value})
		}
		if err := b.client.ProduceSync(ctx, again...).FirstErr(); err != nil {
			return err
		}
		if err := b.consumer.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		n -= len(again)
	}
	return nil
}

func (b *kafka) Close() error { b.client.Close(); b.consumer.Close(); return nil }

//go:build kafka

package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

// BenchmarkPublish has callers wait for one record each, 1.5 KB large, in turns: by kgo alone, by the bus, and by the bus
// under a claim. One operation is one record. Then it reads one record by its place.
func BenchmarkBus(b *testing.B) {
	for _, brokers := range []int{1, 3} {
		cluster := kafka.Start(b, kafka.Options{Brokers: brokers})
		bus, err := Open(b.Context(), Config{Brokers: cluster.Addresses(), Development: true})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { bus.Close() })
		if err := bus.Topics(b.Context(), contracts.TopicIn); err != nil {
			b.Fatal(err)
		}
		bare, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addresses()...), kgo.ProducerLinger(0))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(bare.Close)
		body := make([]byte, 1500)
		for i := range body {
			body[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ|^~&abcdefghijklmnopqrstuvwxyz0123456789"[i*i*7%66]
		}
		record := func(n int) contracts.Record {
			id := contracts.DerivedID("bench", fmt.Sprint(time.Now().UnixNano(), n))
			return contracts.Record{Topic: contracts.TopicIn, Key: contracts.Key(fmt.Sprint(n % 1000)), ID: id, Time: time.Now(),
				Header: map[string]string{contracts.HeaderPartner: "apotti", contracts.HeaderFormat: contracts.FormatV2}, Body: contracts.NewBody(body)}
		}
		for _, callers := range []int{64, 512} {
			for _, c := range []struct {
				name string
				one  func(context.Context, int) error
			}{
				{"kgo", func(ctx context.Context, n int) error {
					return bare.ProduceSync(ctx, &kgo.Record{Topic: contracts.TopicIn, Key: fmt.Append(nil, n%1000), Value: body}).FirstErr()
				}},
				{"bus", func(ctx context.Context, n int) error { _, err := bus.Publish(ctx, record(n), nil); return err }},
				{"claim", func(ctx context.Context, n int) error {
					r := record(n)
					_, err := bus.Publish(ctx, r, &contracts.Once{Key: contracts.Key(r.ID), Digest: "d"})
					return err
				}},
			} {
				b.Run(fmt.Sprintf("brokers=%d/callers=%d/%s", brokers, callers, c.name), func(b *testing.B) {
					var calling sync.WaitGroup
					for caller := range callers {
						calling.Go(func() {
							for n := caller; n < b.N; n += callers {
								if err := c.one(context.Background(), n); err != nil {
									b.Error(err)
								}
							}
						})
					}
					calling.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				})
			}
		}
		kept, err := bus.Publish(b.Context(), record(0), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("brokers=%d/read", brokers), func(b *testing.B) {
			for range b.N {
				if _, err := bus.Read(b.Context(), kept.Place); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := cluster.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

package embedded_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/contracts"
)

var body = contracts.NewBody(bytes.Repeat([]byte("MSH|^~\\&|"), 1500/9))

func record(n int) contracts.Record {
	return contracts.Record{
		Topic: contracts.TopicIn, Key: contracts.Key(fmt.Sprintf("%032x", n*2654435761%100003)),
		ID:   contracts.DerivedID("bench", fmt.Sprint(n)),
		Time: time.UnixMicro(1_700_000_000_000_000 + int64(n)).UTC(),
		Header: map[string]string{contracts.HeaderPartner: "apotti", contracts.HeaderFormat: contracts.FormatV2,
			contracts.HeaderType: "REF^I12", contracts.HeaderControl: fmt.Sprint(n)},
		Body: body,
	}
}

func open(tb testing.TB, options ...embedded.Option) *embedded.Bus {
	tb.Helper()
	b, err := embedded.Open(tb.TempDir(), options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// BenchmarkPublish has callers that each wait for their record's fsync, claim included.
func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			bus := open(b)
			next := make(chan int, callers)
			go func() {
				defer close(next)
				for n := range b.N {
					next <- n
				}
			}()
			b.ResetTimer()
			ended := make(chan error, callers)
			for range callers {
				go func() {
					for n := range next {
						once := &contracts.Once{Key: contracts.Key(fmt.Sprintf("%032x", n*40503)), Digest: "d"}
						if _, err := bus.Publish(context.Background(), record(n), once); err != nil {
							ended <- err
							return
						}
					}
					ended <- nil
				}()
			}
			for range callers {
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkConsume drains a backlog in 32 lanes.
func BenchmarkConsume(b *testing.B) {
	bus := open(b)
	publishAll(b, bus, b.N)
	ctx, cancel := context.WithCancel(context.Background())
	var n atomic.Int64
	b.ResetTimer()
	err := bus.Consume(ctx, contracts.TopicIn, "bench", 32, func(context.Context, contracts.Record) error {
		if n.Add(1) == int64(b.N) {
			cancel()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// publishAll publishes n records from many callers, without claims.
func publishAll(b *testing.B, bus *embedded.Bus, n int) {
	b.Helper()
	var callers errgroup.Group
	callers.SetLimit(256)
	for i := range n {
		callers.Go(func() error {
			_, err := bus.Publish(context.Background(), record(i), nil)
			return err
		})
	}
	if err := callers.Wait(); err != nil {
		b.Fatal(err)
	}
}

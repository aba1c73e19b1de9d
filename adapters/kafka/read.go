package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// Read gives the record at a place; a fault of kind notfound if there is none.
func (b *Bus) Read(ctx context.Context, place contracts.Place) (contracts.Record, error) {
	w, err := b.fetch(ctx, place)
	if err != nil {
		return contracts.Record{}, err
	}
	return b.read(ctx, w)
}

// fetch reads one record as it lies there.
func (b *Bus) fetch(ctx context.Context, place contracts.Place) (*kgo.Record, error) {
	from, to, err := b.bounds(ctx, place.Topic, time.Time{})
	if err != nil {
		return nil, err
	}
	missing := fault(contracts.NotFound, codeNoPlace, "There is no record at this place, or not any more.", nil)
	if place.Offset < from[place.Partition] || place.Offset >= to[place.Partition] {
		return nil, missing
	}
	var found *kgo.Record
	err = b.scan(ctx, place.Topic, map[int32]int64{place.Partition: place.Offset}, map[int32]int64{place.Partition: place.Offset + 1}, func(w *kgo.Record) error {
		found = w
		return nil
	})
	if err == nil && (found == nil || found.Offset != place.Offset) {
		err = missing
	}
	return found, err
}

// Replay gives the chosen records that are there when it begins: those of one key oldest first, those of different
// partitions in no order between each other. An error of each ends it and comes back.
func (b *Bus) Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error {
	from, to, err := b.bounds(ctx, choice.Topic, choice.Since)
	if err != nil {
		return err
	}
	return b.scan(ctx, choice.Topic, from, to, func(w *kgo.Record) error {
		if choice.Key != "" && contracts.Key(w.Key) != choice.Key {
			return nil
		}
		r, err := b.read(ctx, w)
		if err != nil || r.Time.Before(choice.Since) {
			return err
		}
		return each(r)
	})
}

// bounds gives the first offset of each partition, from a time on if one is given, and the first one that isn't
// written yet.
func (b *Bus) bounds(ctx context.Context, topic string, since time.Time) (from, to map[int32]int64, err error) {
	var first, last kadm.ListedOffsets
	if err := settled(ctx, func() (err error) {
		if first, err = b.admin.ListStartOffsets(ctx, topic); err == nil && !since.IsZero() {
			first, err = b.admin.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic)
		}
		return errors.Join(err, first.Error())
	}); err != nil {
		return nil, nil, fetchFault(err)
	}
	if err := settled(ctx, func() (err error) {
		last, err = b.admin.ListEndOffsets(ctx, topic)
		return errors.Join(err, last.Error())
	}); err != nil {
		return nil, nil, fetchFault(err)
	}
	from, to = map[int32]int64{}, map[int32]int64{}
	first.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	last.Each(func(o kadm.ListedOffset) { to[o.Partition] = o.Offset })
	return from, to, nil
}

// settling is how long a topic or group may take to find its leader or coordinator.
const settling = 10 * time.Second

// settled asks again while the cluster answers that it is still settling: a topic that was just made has no leader yet,
// and a group's coordinator loads what it knows.
func settled(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for {
		err := ask()
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// scan reads the partitions of a topic between bounds, with a client of its own.
func (b *Bus) scan(ctx context.Context, topic string, from, to map[int32]int64, each func(*kgo.Record) error) error {
	begin, open := map[int32]kgo.Offset{}, map[int32]bool{}
	for p, offset := range from {
		if offset < to[p] {
			begin[p], open[p] = kgo.NewOffset().At(offset), true
		}
	}
	if len(open) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.c.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: begin}))
	if err != nil {
		return unreachable(err)
	}
	defer client.Close()
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fetchFault(err)
		}
		for _, w := range fetches.Records() {
			if w.Offset < to[w.Partition] {
				if err := each(w); err != nil {
					return err
				}
			}
			if w.Offset+1 >= to[w.Partition] {
				delete(open, w.Partition)
			}
		}
	}
	return nil
}

// Lag counts the records that group hasn't finished. What this process finished and hasn't committed yet counts as
// finished; of other processes only what is committed is known.
func (b *Bus) Lag(ctx context.Context, topic, group string) (int64, error) {
	from, to, err := b.bounds(ctx, topic, time.Time{})
	if err != nil {
		return 0, err
	}
	var committed kadm.OffsetResponses
	if err := settled(ctx, func() (err error) {
		committed, err = b.admin.FetchOffsets(ctx, groupName(topic, group))
		return errors.Join(err, committed.Error())
	}); err != nil {
		return 0, fetchFault(err)
	}
	b.mu.Lock()
	c := b.consumers[subscription{topic, group}]
	b.mu.Unlock()
	var lag int64
	for p, end := range to {
		low := from[p]
		if o, ok := committed.Lookup(topic, p); ok {
			low = max(low, o.At)
		}
		lag += end - c.finished(p, low)
	}
	return lag, nil
}

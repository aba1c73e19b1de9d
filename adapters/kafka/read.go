package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hoitosilta/silta/contracts"
)

// Read gives the record at a place; a fault of kind notfound if there is none.
func (b *Bus) Read(ctx context.Context, place contracts.Place) (contracts.Record, error) {
	w, err := b.one(ctx, place)
	if err != nil {
		return contracts.Record{}, err
	}
	e, err := b.read(ctx, w)
	b.date(&e)
	return e.Record, err
}

// Replay gives the chosen records that are there when it begins: those of one key oldest first, those of different
// partitions in no order between each other. An error of each ends it and comes back. Records whose claim another one
// won are left out.
func (b *Bus) Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error {
	from, to, err := b.bounds(ctx, choice.Topic, choice.Since)
	if err != nil {
		return err
	}
	for p, end := range to {
		if choice.Key != "" && p != b.c.partition(choice.Key) {
			continue
		}
		if err := b.replay(ctx, choice, p, from[p], end, each); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) replay(ctx context.Context, choice contracts.Replay, partition int32, from, end int64, each func(contracts.Record) error) error {
	for from < end {
		page, err := b.fetch(ctx, contracts.Place{Topic: choice.Topic, Partition: partition, Offset: from}, replayBytes)
		if err != nil {
			return err
		}
		if len(page) == 0 { // nothing but what Kafka keeps for itself
			return nil
		}
		for _, w := range page {
			if w.Offset >= end {
				return nil
			}
			from = w.Offset + 1
			if choice.Key != "" && contracts.Key(w.Key) != choice.Key {
				continue
			}
			e, err := b.read(ctx, w)
			if err != nil {
				return err
			}
			if b.date(&e) && !e.Time.Before(choice.Since) {
				if err := each(e.Record); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// date gives a record the time of the first claim on its key. False: that claim is another's, as far as is known.
func (b *Bus) date(e *entered) bool {
	if e.claim == nil {
		return true
	}
	o, known := b.claims.owner(e.claim.Key)
	if !known {
		return true
	}
	if o.digest != short(e.claim.Digest) {
		return false
	}
	e.Time = o.time()
	return true
}

// How many bytes are asked for: of one record, and of a page of a replay. Kafka gives one record at least.
const (
	recordBytes = 1
	replayBytes = 8 << 20
)

// one reads the record at a place, as it lies there.
func (b *Bus) one(ctx context.Context, place contracts.Place) (*kgo.Record, error) {
	if place.Offset < 0 || place.Partition < 0 {
		return nil, noPlaceFault()
	}
	var page []*kgo.Record
	err := settled(ctx, func() (err error) {
		// A leader that is new doesn't give records until it knows that its followers have them.
		if page, err = b.ask(ctx, place, recordBytes); err == nil && len(page) == 0 {
			err = kerr.OffsetNotAvailable
		}
		return err
	})
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.OffsetNotAvailable) && ctx.Err() == nil, err == nil && page[0].Offset != place.Offset:
		return nil, noPlaceFault()
	case err != nil:
		return nil, fetchFault(err)
	}
	return page[0], nil
}

// fetch asks a partition's leader for the records from a place on, in one request.
func (b *Bus) fetch(ctx context.Context, from contracts.Place, bytes int32) ([]*kgo.Record, error) {
	var records []*kgo.Record
	err := settled(ctx, func() (err error) {
		records, err = b.ask(ctx, from, bytes)
		return err
	})
	if err != nil {
		return nil, fetchFault(err)
	}
	return records, nil
}

func (b *Bus) ask(ctx context.Context, from contracts.Place, bytes int32) ([]*kgo.Record, error) {
	found, err := b.admin.Metadata(ctx, from.Topic)
	if err != nil {
		return nil, err
	}
	topic := found.Topics[from.Topic]
	if topic.Err != nil {
		return nil, topic.Err
	}
	leader, known := topic.Partitions[from.Partition]
	if !known {
		return nil, kerr.OffsetOutOfRange
	}
	if leader.Leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = from.Partition, from.Offset, bytes
	t.Topic, t.TopicID, t.Partitions = from.Topic, topic.ID, append(t.Partitions, p)
	request := kmsg.NewPtrFetchRequest()
	request.MaxBytes, request.MinBytes, request.Topics = bytes, 0, append(request.Topics, t)
	answer, err := b.client.Broker(int(leader.Leader)).RetriableRequest(ctx, request)
	if err != nil {
		return nil, err
	}
	got := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return nil, err
	}
	if len(got.Topics) == 0 || len(got.Topics[0].Partitions) == 0 {
		return nil, nil
	}
	whole, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: from.Topic, Partition: from.Partition, Offset: from.Offset},
		&got.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return whole.Records, whole.Err
}

// bounds gives the first offset of each partition, from a time on if one is given, and the first one that isn't
// written yet.
func (b *Bus) bounds(ctx context.Context, topic string, since time.Time) (from, to map[int32]int64, err error) {
	first := func() (kadm.ListedOffsets, error) { return b.admin.ListStartOffsets(ctx, topic) }
	if !since.IsZero() {
		first = func() (kadm.ListedOffsets, error) {
			return b.admin.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic)
		}
	}
	if from, err = offsets(ctx, first); err == nil {
		to, err = offsets(ctx, func() (kadm.ListedOffsets, error) { return b.admin.ListEndOffsets(ctx, topic) })
	}
	return from, to, err
}

// offsets gives an offset of each partition.
func offsets(ctx context.Context, ask func() (kadm.ListedOffsets, error)) (map[int32]int64, error) {
	var listed kadm.ListedOffsets
	err := settled(ctx, func() (err error) {
		listed, err = ask()
		return errors.Join(err, listed.Error())
	})
	if err != nil {
		return nil, fetchFault(err)
	}
	byPartition := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { byPartition[o.Partition] = o.Offset })
	return byPartition, nil
}

// settling is how long a topic or group may take to find its leader or coordinator.
const settling = 10 * time.Second

// settled asks again while the cluster answers that it is still settling: a topic that was just made has no leader yet,
// a leader moves, and a group's coordinator loads what it knows.
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

// Lag counts the records that group hasn't finished. What this process finished and hasn't committed yet counts as
// finished; of other processes only what is committed is known.
func (b *Bus) Lag(ctx context.Context, topic, group string) (int64, error) {
	from, to, err := b.bounds(ctx, topic, time.Time{})
	if err != nil {
		return 0, err
	}
	committed, err := b.committed(ctx, topic, groupName(topic, group))
	if err != nil {
		return 0, err
	}
	c := b.consumer(topic, group)
	var lag int64
	for p, end := range to {
		lag += end - c.finished(p, max(from[p], committed[p]))
	}
	return lag, nil
}

// committed gives what a Kafka group has finished of each partition; none of those where it has finished nothing.
func (b *Bus) committed(ctx context.Context, topic, name string) (map[int32]int64, error) {
	var found kadm.OffsetResponses
	err := settled(ctx, func() (err error) {
		found, err = b.admin.FetchOffsets(ctx, name)
		return errors.Join(err, found.Error())
	})
	if err != nil {
		return nil, fetchFault(err)
	}
	byPartition := map[int32]int64{}
	for p, o := range found[topic] {
		byPartition[p] = o.At
	}
	return byPartition, nil
}

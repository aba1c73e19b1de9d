package kafka

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/hoitosilta/silta/contracts"
)

// Trim has the brokers delete what hub.Bus says, of each partition by itself. A topic that no group reads is bounded by
// before and keep alone. Of the topic of bodies it deletes pieces by when they were written; places of other topics in
// keep stand for the pieces of the records there, so give it all that are kept.
func (b *Bus) Trim(ctx context.Context, topic string, before time.Time, keep []contracts.Place) error {
	until, err := offsets(ctx, func() (kadm.ListedOffsets, error) {
		return b.admin.ListOffsetsAfterMilli(ctx, before.UnixMilli(), topic)
	})
	if err != nil {
		return err
	}
	groups, err := b.groups(ctx, topic)
	if err != nil {
		return err
	}
	for _, name := range groups {
		finished, err := b.committed(ctx, topic, name)
		if err != nil {
			return err
		}
		for p := range until {
			until[p] = min(until[p], finished[p])
		}
	}
	for _, place := range keep {
		kept := []contracts.Place{place}
		if topic == b.c.bodyTopic() && place.Topic != topic {
			if kept, err = b.piecesAt(ctx, place); err != nil {
				return err
			}
		}
		for _, k := range kept {
			if end, ok := until[k.Partition]; ok && k.Topic == topic {
				until[k.Partition] = min(end, k.Offset)
			}
		}
	}
	return b.deleteBelow(ctx, topic, until)
}

func (b *Bus) deleteBelow(ctx context.Context, topic string, until map[int32]int64) error {
	var ends kadm.Offsets
	for p, end := range until {
		if end > 0 {
			ends.Add(kadm.Offset{Topic: topic, Partition: p, At: end, LeaderEpoch: -1})
		}
	}
	deleted, err := b.admin.DeleteRecords(ctx, ends)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// groups names the Kafka groups of ours that read a topic: those that the cluster knows, and those of this process,
// which the cluster may have forgotten.
func (b *Bus) groups(ctx context.Context, topic string) ([]string, error) {
	listed, err := b.admin.ListGroups(ctx)
	if err != nil {
		return nil, unreachable(err)
	}
	var names []string
	for name := range listed {
		if strings.HasSuffix(name, groupName(topic, "")) {
			names = append(names, name)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for sub := range b.consumers {
		if sub.topic == topic {
			names = append(names, groupName(topic, sub.group))
		}
	}
	return names, nil
}

// piecesAt gives the places of the pieces that the record at a place names; none if it has its body itself or is gone.
func (b *Bus) piecesAt(ctx context.Context, place contracts.Place) ([]contracts.Place, error) {
	w, err := b.one(ctx, place)
	if contracts.KindOf(err) == contracts.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, h := range w.Headers {
		if h.Key == attribute+datarefName {
			return b.pieces(string(h.Value)), nil
		}
	}
	return nil, nil
}

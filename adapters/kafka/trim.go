package kafka

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/hoitosilta/silta/contracts"
)

// Trim has the brokers delete what hub.Bus says, of each partition by itself. A topic that no group reads is bounded by
// before and keep alone. Of the topic of bodies it deletes pieces by when they were written, none that a record of
// another topic may need: so it comes after those. Places of other topics in keep stand for the pieces of the records
// there, so give it all that are kept.
func (b *Bus) Trim(ctx context.Context, topic string, before time.Time, keep []contracts.Place) error {
	if topic == b.c.bodyTopic() {
		eldest, err := b.eldest(ctx)
		if err != nil {
			return err
		}
		if eldest.Before(before) {
			before = eldest
		}
	}
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

// eldest gives a time before which no piece of a body was written that a record still needs; the present if there is no
// record. The first record of each partition bounds it: pieces are written before their record, records in order, and a
// record's time isn't later than when it was written.
func (b *Bus) eldest(ctx context.Context) (time.Time, error) {
	eldest := time.Now()
	all, err := b.admin.ListTopics(ctx)
	if err != nil {
		return eldest, unreachable(err)
	}
	for _, name := range all.Names() {
		// Park topics keep a record for every message that once waited; which of them matter, keep says.
		if !strings.HasPrefix(name, b.c.Names) || name == b.c.bodyTopic() || name == b.c.claimTopic() || strings.HasPrefix(name, b.c.Names+"park.") {
			continue
		}
		from, to, err := b.bounds(ctx, name, time.Time{})
		if err != nil {
			return eldest, err
		}
		for p, first := range from {
			if first >= to[p] {
				continue
			}
			page, err := b.fetch(ctx, contracts.Place{Topic: name, Partition: p, Offset: first}, recordBytes)
			if err != nil {
				return eldest, err
			}
			if len(page) > 0 && page[0].Timestamp.Before(eldest) {
				eldest = page[0].Timestamp
			}
		}
	}
	return eldest, nil
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

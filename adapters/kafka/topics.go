package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/hoitosilta/silta/contracts"
)

// What a topic needs so that losing one broker loses nothing.
const (
	wantReplicas = 3
	wantInSync   = 2
)

// Topics makes the topics that aren't there and checks all of them: outside development each needs three replicas,
// two of them in sync, else the fault is of kind unavailable and names the topic. The number of partitions is fixed
// when a topic is made, because it decides which key lies where.
func (b *Bus) Topics(ctx context.Context, names ...string) error { return b.topics(ctx, nil, names...) }

func (b *Bus) topics(ctx context.Context, config map[string]string, names ...string) error {
	replicas, inSync := int16(wantReplicas), wantInSync
	if b.c.Development {
		replicas, inSync = -1, 1 // as the cluster does it
	}
	// Kafka ages records by their own time, and a record's time is the hub's: the cluster's default would delete what
	// was received long ago and is sent now. Nothing goes by age here unless config says so.
	settings := map[string]*string{"min.insync.replicas": kadm.StringPtr(strconv.Itoa(inSync)), "retention.ms": kadm.StringPtr("-1")}
	for name, value := range config {
		settings[name] = &value
	}
	made, err := b.admin.CreateTopics(ctx, b.c.Partitions, replicas, settings, names...)
	if err != nil {
		return unreachable(err)
	}
	for _, t := range made {
		switch {
		case errors.Is(t.Err, kerr.InvalidReplicationFactor):
			return weak(t.Topic)
		case t.Err != nil && !errors.Is(t.Err, kerr.TopicAlreadyExists):
			return unreachable(t.Err)
		}
	}
	if err := settled(ctx, func() error { return b.led(ctx, names) }); err != nil {
		return unreachable(err)
	}
	if b.c.Development {
		return nil
	}
	return b.strong(ctx, names)
}

// led says whether every partition has a leader. A topic that was just made lacks some for a moment, and a group that
// begins to read it then shares out only those partitions that it sees, for minutes.
func (b *Bus) led(ctx context.Context, names []string) error {
	found, err := b.admin.Metadata(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		t := found.Topics[name]
		if t.Err != nil {
			return t.Err
		}
		if len(t.Partitions) == 0 {
			return kerr.UnknownTopicOrPartition
		}
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return errors.Join(kerr.LeaderNotAvailable, p.Err)
			}
		}
	}
	return nil
}

// strong checks topics that may have been made by somebody else.
func (b *Bus) strong(ctx context.Context, names []string) error {
	topics, err := b.admin.ListTopics(ctx, names...)
	if err != nil {
		return unreachable(err)
	}
	for _, t := range topics {
		if t.Err != nil {
			return unreachable(t.Err)
		}
		if t.Partitions.NumReplicas() < wantReplicas {
			return weak(t.Topic)
		}
	}
	configs, err := b.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return unreachable(err)
	}
	for _, topic := range configs {
		for _, c := range topic.Configs {
			if n, err := strconv.Atoi(c.MaybeValue()); c.Key == "min.insync.replicas" && (err != nil || n < wantInSync) {
				return weak(topic.Name)
			}
		}
	}
	return nil
}

func weak(topic string) error {
	return fault(contracts.Unavailable, codeWeak, fmt.Sprintf("Topic %s isn't safe: it needs %d replicas and min.insync.replicas %d. For a trial on fewer brokers say development: true.", topic, wantReplicas, wantInSync), nil)
}

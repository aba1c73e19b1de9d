package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hoitosilta/silta/contracts"
)

// What a topic needs so that losing one broker loses nothing.
const (
	wantReplicas = 3
	wantInSync   = 2
)

// Retention of a topic. Kafka ages records by their own time, and a record's time is the hub's: the cluster's default
// would delete what was received long ago and is sent now. So nothing goes by age, but claims; Trim forgets the rest.
const (
	forever    time.Duration = -time.Millisecond
	claimsKept               = claimAge
)

// setting is what a topic is made with, and what it must hold then.
type setting struct {
	name, made string
	holds      func(value string) bool
	weak       bool // allowed in development
}

func equals(want string) func(string) bool { return func(value string) bool { return value == want } }

func atLeast(want int) func(string) bool {
	return func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && n >= want
	}
}

func settings(retention time.Duration) []setting {
	kept := strconv.FormatInt(retention.Milliseconds(), 10)
	return []setting{
		{"min.insync.replicas", strconv.Itoa(wantInSync), atLeast(wantInSync), true},
		{"unclean.leader.election.enable", "false", equals("false"), true},
		{"cleanup.policy", "delete", equals("delete"), false},
		{"retention.ms", kept, equals(kept), false},
		{"retention.bytes", "-1", equals("-1"), false},
		{"message.timestamp.type", "CreateTime", equals("CreateTime"), false},
		// A hub's clock may be ahead of a broker's, and a message is kept all the same.
		{"message.timestamp.after.max.ms", "9223372036854775807", atLeast(int((48 * time.Hour).Milliseconds())), false},
		{"max.message.bytes", "1048588", atLeast(1048588), false},
	}
}

// Topics makes the topics that aren't there and checks all of them. A fault names the topic and what is wrong: of kind
// unavailable where the topic could lose records (fewer than three replicas or two in sync, which development allows;
// deleting by itself), invalid where it has another number of partitions than the configuration says.
func (b *Bus) Topics(ctx context.Context, names ...string) error {
	return b.topics(ctx, forever, names...)
}

func (b *Bus) topics(ctx context.Context, retention time.Duration, names ...string) error {
	replicas, made := int16(wantReplicas), map[string]*string{}
	for _, s := range settings(retention) {
		made[s.name] = kmsg.StringPtr(s.made)
	}
	if b.c.Development { // as the cluster does it
		replicas, made["min.insync.replicas"] = -1, kmsg.StringPtr("1")
	}
	created, err := b.admin.CreateTopics(ctx, b.c.Partitions, replicas, made, names...)
	if err != nil {
		return unreachable(err)
	}
	for _, t := range created {
		switch {
		case errors.Is(t.Err, kerr.InvalidReplicationFactor):
			return weak(t.Topic, fmt.Sprintf("there are no %d brokers for its replicas", wantReplicas))
		case t.Err != nil && !errors.Is(t.Err, kerr.TopicAlreadyExists):
			return unreachable(t.Err)
		}
	}
	// A topic that was just made lacks leaders for a moment, and a group that begins to read it then shares out only
	// those partitions that it sees, for minutes.
	var found []kmsg.MetadataResponseTopic
	if err := settled(ctx, func() (err error) {
		found, err = b.metadata(ctx, names...)
		for _, t := range found {
			err = errors.Join(err, led(t))
		}
		return err
	}); err != nil {
		return unreachable(err)
	}
	for _, t := range found {
		if err := b.shape(t); err != nil {
			return err
		}
	}
	return b.safe(ctx, retention, names)
}

// led says whether every partition has a leader.
func led(t kmsg.MetadataResponseTopic) error {
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return err
	}
	for _, p := range t.Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); p.Leader < 0 {
			return errors.Join(kerr.LeaderNotAvailable, err)
		}
	}
	return nil
}

// shape checks a topic's partitions and replicas.
func (b *Bus) shape(t kmsg.MetadataResponseTopic) error {
	if n := len(t.Partitions); n != int(b.c.Partitions) {
		return fault(contracts.Invalid, codeCount, fmt.Sprintf("Topic %s has %d partitions, the configuration says %d. Which key lies where depends on it: configure what the topics were made with.", *t.Topic, n, b.c.Partitions), nil)
	}
	for _, p := range t.Partitions {
		if n := len(p.Replicas); n < wantReplicas && !b.c.Development {
			return weak(*t.Topic, fmt.Sprintf("it has %d replicas, not %d", n, wantReplicas))
		}
	}
	return nil
}

// safe checks the settings of topics, which somebody else may have made. A broker may not have heard yet of one that was
// just made.
func (b *Bus) safe(ctx context.Context, retention time.Duration, names []string) error {
	var described kadm.ResourceConfigs
	if err := settled(ctx, func() (err error) {
		described, err = b.admin.DescribeTopicConfigs(ctx, names...)
		for _, topic := range described {
			err = errors.Join(err, topic.Err)
		}
		return err
	}); err != nil {
		return unreachable(err)
	}
	for _, topic := range described {
		values := map[string]string{}
		for _, c := range topic.Configs {
			values[c.Key] = c.MaybeValue()
		}
		for _, s := range settings(retention) {
			if !s.holds(values[s.name]) && !(s.weak && b.c.Development) {
				return weak(topic.Name, fmt.Sprintf("%s is %s, it must be %s", s.name, values[s.name], s.made))
			}
		}
	}
	return nil
}

func weak(topic, what string) error {
	return fault(contracts.Unavailable, codeWeak, fmt.Sprintf("Topic %s isn't safe: %s. For a trial on fewer brokers say development: true.", topic, what), nil)
}

package embedded

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Owns is always true: one process has the directory, so every key is its own.
func (b *Bus) Owns(_, _ string, _ contracts.Key) bool { return true }

// Hold always holds: nobody else could take the key.
func (b *Bus) Hold(_, _ string, _ contracts.Key) (lane context.Context, release func(), held bool) {
	return context.Background(), func() {}, true
}

// trimPortion is how many records go in one transaction, so that publishing isn't held up for long.
const trimPortion = 1024

// trim asks the writer to forget a topic's records below an offset.
type trim struct {
	topic string
	below int64
}

// Trim forgets records as hub.Bus says, in portions: after a crash or a fault some of them are gone and the rest is
// there. The files of large bodies go with their records; one that a crash leaves is removed by the next open.
func (b *Bus) Trim(ctx context.Context, topic string, before time.Time, keep []contracts.Place) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	end, err := b.since(ctx, b.known(topic), before)
	if err != nil {
		return readFault(err)
	}
	end = min(end, b.unfinished(topic, end))
	for _, place := range keep {
		if place.Topic == topic {
			end = min(end, place.Offset)
		}
	}
	for t := b.known(topic); t.floor < end; t = b.known(topic) {
		if err := b.trim(ctx, t, trim{topic, min(end, t.floor+trimPortion)}); err != nil {
			return err
		}
	}
	return nil
}

// unfinished gives the lowest offset that a group of the topic hasn't finished; end if there is no group.
func (b *Bus) unfinished(topic string, end int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for sub, mark := range b.marks {
		if sub.topic == topic {
			end = min(end, mark)
		}
	}
	for sub := range b.consumers {
		if sub.topic == topic {
			end = min(end, b.marks[sub]) // it may have finished nothing yet
		}
	}
	return end
}

func (b *Bus) trim(ctx context.Context, t topic, portion trim) error {
	var files []string
	err := each(ctx, b.reads, "SELECT large FROM records WHERE place >= ? AND place < ? AND large IS NOT NULL", func(rows *sql.Rows) error {
		var file string
		err := rows.Scan(&file)
		files = append(files, file)
		return err
	}, t.id<<placeBits|t.floor, t.id<<placeBits|portion.below)
	if err != nil {
		return readFault(err)
	}
	if done := b.writer.do(ctx, &request{trim: &portion}); done.err != nil {
		return done.err
	}
	for _, file := range files {
		_ = b.bodies.remove(file) // else the next open does
	}
	return nil
}

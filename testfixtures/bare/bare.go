// Package bare is the least that a bus on SQLite or on Kafka can be: a group commit, and a producer. Nothing of Silta is
// in between. The benches measure Silta's buses beside it, with the same bytes from as many waiting callers.
package bare

import "context"

// Bus keeps bytes. Publish returns when they are durable; Pipe takes n of those that were published, one after another,
// publishes them again, acknowledged each, and commits that it has taken them.
type Bus interface {
	Publish(ctx context.Context, key string, body []byte) error
	Pipe(ctx context.Context, n int) error
	Close() error
}

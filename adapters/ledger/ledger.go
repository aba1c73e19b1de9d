// Package ledger keeps what happened: messages, deliveries, steps, ids, journeys, bodies, and the keys behind which
// messages wait. It makes translating and delivering idempotent, and it is what people look at. It stands in one SQLite
// file, for one process, or in a PostgreSQL database that several processes share.
//
// A change that Apply has returned for is durable: the write-ahead log was fsynced. Changes that arrive together share
// one transaction and one fsync; a refused one is left out, and its neighbours are written all the same.
// An error of kind unavailable means "unknown": the change may be there or not, and applying it again is right either
// way. Nothing is tried again in here; a database that was away is used again as soon as it is back. Reads have
// connections of their own and see every change that Apply has returned for. They don't wait for a writer, but for what
// stands in a file's journal to be written to the tables, where they need those. Nothing is deleted but keys and what
// waits behind them, pauses, and what Expire forgets.
//
// How a second write of a row falls out, where contracts leaves it open: facts (who, what, when, whence) keep the first
// value that isn't empty; progress (state, map, event, answer, attempts) takes the latest that isn't. A fault stays
// until another takes its place or the state says that it was overcome: translated for an entry, delivered for both; a
// delivery's goes when the next attempt begins.
// Unknown follows the state.
package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"

	"github.com/hoitosilta/silta/contracts"
)

//go:embed migrations
var migrations embed.FS

// Ledger is an open ledger. Its methods may be called at once from many goroutines.
type Ledger struct {
	reads   *pool
	w       writing
	journal *journal  // nil where the database is shared
	held    *heldKeys // likewise
	shared  bool      // by several processes
	closed  sync.Once
}

// writing is how a kind of database is written to.
type writing interface {
	// apply writes a change whole or not at all, together with what other callers write.
	apply(ctx context.Context, c contracts.Change) error
	// within runs work in a transaction. It can run several times; what it does counts only if within returns nil.
	within(ctx context.Context, op string, work func(tx) error) error
	close() error
}

func migrate(db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, files, append(options, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(context.Background()); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Close ends writing after the changes that were begun, and closes the file. Calls that come later get a fault of
// kind unavailable. So does Close itself where a full disk keeps changes in a file's journal: nothing is lost, the next
// Open has them.
func (l *Ledger) Close() error {
	var err error
	l.closed.Do(func() {
		err = errors.Join(l.w.close(), l.reads.Close())
	})
	return fault("close", err)
}

// Health is nil when Apply would work now: it writes, and waits until that is durable.
func (l *Ledger) Health(ctx context.Context) error {
	return l.w.within(ctx, "health", func(open tx) error {
		_, err := open.exec(pulseSQL)
		return err
	})
}

// Fix keeps value under name for good. The first write wins, and the value that holds is returned.
func (l *Ledger) Fix(ctx context.Context, name, value string) (string, error) {
	var held string
	err := l.w.within(ctx, "fix", func(open tx) error {
		if _, err := open.exec(fixSQL, name, value); err != nil {
			return err
		}
		rows, err := open.query(fixedSQL, name)
		if err == nil {
			held = rows[0][0].(string)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return held, nil
}

const (
	pulseSQL = `UPDATE pulse SET beat = beat + 1 WHERE one = 1`
	fixSQL   = `INSERT INTO fixed (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
	fixedSQL = `SELECT value FROM fixed WHERE name = $1`
)

// columns joins column names for a SELECT, each behind the table's short name.
func columns(table, list string) string {
	names := strings.Split(list, ",")
	for i, name := range names {
		names[i] = table + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}

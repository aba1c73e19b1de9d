// Package ledger keeps what happened, in one SQLite file: messages, deliveries, steps, ids, journeys, bodies, and the
// keys behind which messages wait. It makes translating and delivering idempotent, and it is what people look at.
//
// A change that Apply has returned for is on disk: the write-ahead log was fsynced. Changes that arrive together share
// one transaction and one fsync; a refused one is left out, and its neighbours are written all the same.
// An error of kind unavailable means "unknown": the change may be there or not, and applying it again is right either
// way. Reads have connections of their own and never wait for the writer; they see every change that Apply has
// returned for. Nothing is tried again in here, and nothing is ever deleted but keys and what waits behind them.
//
// How a second write of a row falls out, where contracts leaves it open: facts (who, what, when, whence) keep the first
// value that isn't empty; progress (state, map, event, answer, attempts) takes the latest that isn't. A fault stays
// until another takes its place or the state says that it was overcome: translated for an entry, delivered for both.
// Unknown follows the state.
package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations
var migrations embed.FS

// readers is the number of connections that read at once.
const readers = 6

// Ledger is an open ledger. Its methods may be called at once from many goroutines.
type Ledger struct {
	reads  *pool
	w      *writer
	closed sync.Once
}

// Open opens the ledger in the file at path, which is made (for its owner alone) if it isn't there, and brings its
// tables to this version's form. One process at a time may have it open; who holds the folder's lock sees to that.
func Open(path string) (*Ledger, error) {
	l := &Ledger{}
	if err := l.open(path); err != nil {
		if l.w != nil {
			l.w.close()
		}
		if l.reads != nil {
			l.reads.Close()
		}
		return nil, fault("open", err)
	}
	return l, nil
}

func (l *Ledger) open(path string) error {
	if err := create(path); err != nil {
		return err
	}
	writing := source(path, "journal_mode(WAL)", "journal_size_limit(67108864)", "wal_autocheckpoint(8000)")
	if err := migrate(writing); err != nil {
		return err
	}
	var err error
	if l.w, err = newWriter(writing); err != nil {
		return err
	}
	reads, err := sql.Open("sqlite", source(path, "query_only(1)"))
	if err != nil {
		return fmt.Errorf("open for reading: %w", err)
	}
	l.reads = &pool{DB: reads}
	l.reads.SetMaxOpenConns(readers)
	l.reads.SetMaxIdleConns(readers)
	return l.reads.Ping()
}

// create makes an empty file that only its owner can read, and its folder's entry durable; SQLite gives its log the
// same permissions.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer dir.Close()
	return dir.Sync()
}

// source is the data source name of path. Busy time is long because only a checkpoint by hand or a backup could hold
// the file.
func source(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-65536)", "temp_store(MEMORY)"}, pragmas...)}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

func migrate(source string) error {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return fmt.Errorf("open to migrate: %w", err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(context.Background()); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Close ends writing after the changes that were begun, and closes the file. Calls that come later get a fault of
// kind unavailable.
func (l *Ledger) Close() error {
	var err error
	l.closed.Do(func() {
		l.w.close()
		err = l.reads.Close()
	})
	return fault("close", err)
}

// Health is nil when Apply would work now: it writes, and waits for the fsync.
func (l *Ledger) Health(ctx context.Context) error {
	return l.w.do(ctx, "health", func(w *writer) error {
		_, err := w.exec(pulseSQL)
		return err
	})
}

// Fix keeps value under name for good. The first write wins, and the value that holds is returned.
func (l *Ledger) Fix(ctx context.Context, name, value string) (string, error) {
	var held string
	err := l.w.do(ctx, "fix", func(w *writer) error {
		if _, err := w.exec(fixSQL, name, value); err != nil {
			return err
		}
		return w.row(fixedSQL, name, &held)
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

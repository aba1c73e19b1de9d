package embedded

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// pageSize is in bytes. A group commit writes whole pages to the WAL, and claims lie all over theirs.
const pageSize = 4096

// checkpointPages is how long the WAL grows before it is copied into the file, by the commit that finds it so long.
const checkpointPages = 4000

// private makes the file before SQLite does, for its owner alone; what SQLite puts beside it has the same mode.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func openWriting(ctx context.Context, file string, set settings) (*sql.DB, error) {
	if err := private(file); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", source(file, set,
		fmt.Sprintf("page_size(%d)", pageSize), "journal_mode(WAL)", "synchronous("+set.synchronous+")",
		fmt.Sprintf("wal_autocheckpoint(%d)", set.checkpoint), "cache_size(-32768)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		return nil, errors.Join(fmt.Errorf("journal mode %q", mode), err, db.Close())
	}
	return db, nil
}

func openReading(file string, set settings) (*sql.DB, error) {
	db, err := sql.Open("sqlite", source(file, set, "query_only(1)", "cache_size(-8192)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db, nil
}

func source(file string, set settings, pragmas ...string) string {
	query := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	if set.vfs != "" {
		query.Set("vfs", set.vfs)
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: query.Encode()}
	return u.String()
}

// migrate brings the schema up to date. A file that a newer version wrote is refused, not guessed at.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	have, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return unavailable(codeNewer, fmt.Sprintf("bus.db has schema %d, this version of silta knows up to %d. Use the newer silta.", have, newest), nil)
	}
	_, err = provider.Up(ctx)
	return err
}

// loadTopics reads what is known about topics and groups.
func (b *Bus) loadTopics(ctx context.Context) error {
	const topics = `SELECT t.name, t.id, t.floor, max(t.floor, coalesce((SELECT max(place) FROM records
		WHERE place >= t.id << 40 AND place < (t.id + 1) << 40) - (t.id << 40) + 1, 0)) FROM topics t`
	err := each(ctx, b.reads, topics, func(rows *sql.Rows) error {
		var name string
		var t topic
		err := rows.Scan(&name, &t.id, &t.floor, &t.next)
		b.topics[name] = t
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, b.reads, "SELECT t.name, g.name, g.next FROM groups g JOIN topics t ON t.id = g.topic", func(rows *sql.Rows) error {
		var sub subscription
		var next int64
		err := rows.Scan(&sub.topic, &sub.group, &next)
		b.marks[sub] = next
		return err
	})
}

// each calls row for every row that a query gives.
func each(ctx context.Context, db *sql.DB, query string, row func(*sql.Rows) error, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

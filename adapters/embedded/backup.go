package embedded

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
)

// Backup copies the bus into dir, an empty folder, while the bus works. The copy is one that Open takes.
//
// What is in it is consistent with a ledger that between copies: first it is noted how far each group is, then between is
// called, then the records are copied, and in the copy each group stands where it was noted. So the copied bus has every
// record that the copied ledger knows of, and hands out again whatever that ledger may not know to be finished: a group
// does some records twice, which all that stands behind a bus can take, and skips none.
//
// Trim must not run meanwhile. A disk that is full is a fault of kind unavailable; what was written stays behind then.
func (b *Bus) Backup(ctx context.Context, dir string, between func() error) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	b.mu.Lock()
	noted := maps.Clone(b.marks)
	b.mu.Unlock()
	if err := between(); err != nil {
		return err
	}
	if err := b.copyTo(ctx, dir, noted); err != nil {
		return writeFault(err)
	}
	return nil
}

func (b *Bus) copyTo(ctx context.Context, dir string, noted map[subscription]int64) error {
	file := filepath.Join(dir, "bus.db")
	// A connection of its own: the reading ones may not write anywhere.
	from, err := sql.Open("sqlite", source(filepath.Join(filepath.Dir(b.bodies.folder), "bus.db"), b.set))
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		return err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return err
	}
	large, err := setMarks(ctx, file, b.set, noted)
	if err != nil {
		return err
	}
	if err := syncFolder(file, b.set.sync); err != nil { // a file is made durable as a folder is
		return err
	}
	folder := filepath.Join(dir, "bus-bodies")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	for _, name := range large {
		if err := copyFile(filepath.Join(b.bodies.folder, name), filepath.Join(folder, name), b.set.sync); err != nil {
			return err
		}
	}
	if err := syncFolder(folder, b.set.sync); err != nil {
		return err
	}
	return syncFolder(dir, b.set.sync)
}

// setMarks lets the groups of a copy stand where they were noted, and names the bodies that lie in files of their own.
func setMarks(ctx context.Context, file string, set settings, noted map[subscription]int64) (large []string, err error) {
	db, err := sql.Open("sqlite", source(file, set))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it says so
	if _, err := tx.ExecContext(ctx, "DELETE FROM groups"); err != nil {
		return nil, err
	}
	for sub, next := range noted {
		if _, err := tx.ExecContext(ctx, "INSERT INTO groups (topic, name, next) SELECT id, ?, ? FROM topics WHERE name = ?", sub.group, next, sub.topic); err != nil {
			return nil, err
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	err = each(ctx, db, "SELECT large FROM records WHERE large IS NOT NULL", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		large = append(large, name)
		return err
	})
	return large, err
}

func copyFile(from, to string, sync func(*os.File) error) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = sync(out)
	}
	return errors.Join(err, out.Close())
}

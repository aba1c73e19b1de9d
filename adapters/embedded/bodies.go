package embedded

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// bodies is the folder of bodies that are too large for the file. A body is written under a temporary name, made
// durable, renamed, and the folder made durable, all before the record that names it is committed. So a record never
// names a body that a crash can take away; a body whose record was never committed is removed by the next open.
type bodies struct {
	folder string
	sync   func(*os.File) error
}

const (
	partSuffix = ".part" // still being written
	bodySuffix = ".body"
)

func (b *bodies) open(ctx context.Context, db *sql.DB) error {
	if err := makeFolder(b.folder, b.sync); err != nil {
		return err
	}
	return b.collect(ctx, db)
}

// collect removes the files that no record names. Nothing may be published meanwhile.
func (b *bodies) collect(ctx context.Context, db *sql.DB) error {
	files, err := os.ReadDir(b.folder)
	if err != nil {
		return err
	}
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, bodySuffix) && !strings.HasSuffix(name, partSuffix) {
			continue
		}
		var named bool
		if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM records WHERE large = ?)", name).Scan(&named); err != nil {
			return err
		}
		if !named {
			if err := b.remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// write keeps stored bytes durably and gives the file's name within the folder.
func (b *bodies) write(stored []byte) (string, error) {
	file, err := os.CreateTemp(b.folder, "*"+partSuffix)
	if err != nil {
		return "", err
	}
	_, err = file.Write(stored)
	if err == nil {
		err = b.sync(file)
	}
	if e := file.Close(); err == nil {
		err = e
	}
	whole := strings.TrimSuffix(file.Name(), partSuffix) + bodySuffix
	if err == nil {
		err = os.Rename(file.Name(), whole)
	}
	if err == nil {
		err = syncFolder(b.folder, b.sync)
	}
	if err != nil {
		return "", errors.Join(err, b.remove(filepath.Base(file.Name())), b.remove(filepath.Base(whole)))
	}
	return filepath.Base(whole), nil
}

func (b *bodies) read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(b.folder, name)) }

// remove removes a file if it is there.
func (b *bodies) remove(name string) error {
	err := os.Remove(filepath.Join(b.folder, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// makeFolder makes a folder durably, with those above it. It has nothing to do where the folder is there.
func makeFolder(path string, sync func(*os.File) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := makeFolder(filepath.Dir(path), sync); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path), sync)
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string, sync func(*os.File) error) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(sync(folder), folder.Close())
}

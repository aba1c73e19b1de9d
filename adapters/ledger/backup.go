package ledger

import (
	"context"
	"database/sql"
	"os"

	"github.com/hoitosilta/silta/contracts"
)

// Backup copies the ledger into the file at path, which must not exist, while the ledger works. The copy holds every
// change that Apply had returned for when Backup was called, each one whole, and Open takes it. It is on disk when Backup
// returns. A ledger that isn't a file is a fault of kind refused.
func (l *Ledger) Backup(ctx context.Context, path string) error {
	return fault("backup", l.copyTo(ctx, path))
}

func (l *Ledger) copyTo(ctx context.Context, path string) error {
	var file string
	if err := l.reads.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		return &contracts.Fault{Kind: contracts.Refused, Code: "LED-011", Public: "Only a ledger in a file is copied by Silta. A database server has tools of its own.", Err: err}
	}
	db, err := sql.Open("sqlite", source(file)) // a connection of its own: the reading ones may not write anywhere
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/hoitosilta/silta/contracts"
)

var errClosed = errors.New("the ledger is closed")

// fault turns trouble with the database into a fault. The driver's text stays in Err, where nothing prints it. A fault
// goes through as it is.
func fault(op string, err error) error {
	var f *contracts.Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	if unavailable(err) {
		return &contracts.Fault{Kind: contracts.Unavailable, Code: "LED-001", Op: "ledger " + op, Err: err,
			Public: "The ledger can't be written or read now: its disk is full or slow, its file is locked, its server can't be reached, or it is closing. The work is tried again."}
	}
	return &contracts.Fault{Kind: contracts.Internal, Code: "LED-002", Op: "ledger " + op, Err: err,
		Public: "The ledger's file or database holds something else than this version expects, or is damaged; keep a copy and look at it."}
}

// unavailable tells trouble that passes (a full disk, a lock, a caller that gave up) from damage and mistakes.
func unavailable(err error) bool {
	var pathErr *fs.PathError
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errClosed) ||
		errors.Is(err, sql.ErrConnDone) || errors.As(err, &pathErr) || passes(err) || err.Error() == "sql: database is closed" {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY,
		lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT, lib.SQLITE_PERM, lib.SQLITE_PROTOCOL, lib.SQLITE_ABORT:
		return true
	}
	return false
}

// none is the fault of a row that isn't there; what says which kind of row.
func none(what string) error {
	return contracts.Faultf(contracts.NotFound, "LED-003", what, "The ledger knows no such %s.", what)
}

// one gives the row of a query for a single row, or the fault that there is none.
func one[T any](op, what string, rows []T, err error) (T, error) {
	var zero T
	if err != nil {
		return zero, fault(op, err)
	}
	if len(rows) == 0 {
		return zero, none(what)
	}
	return rows[0], nil
}

// incomplete is the fault of a row without its id: a mistake of the caller's.
func incomplete(what string) error {
	return contracts.Faultf(contracts.Internal, "LED-004", what, "A change holds a row without what it is known by; nothing was written.")
}

func faultText(f *contracts.Fault) (string, error) {
	if f == nil {
		return "", nil
	}
	b, err := json.Marshal(f)
	return string(b), err
}

func faultFrom(text string) (*contracts.Fault, error) {
	if text == "" {
		return nil, nil
	}
	f := &contracts.Fault{}
	return f, json.Unmarshal([]byte(text), f)
}

func findingsText(fs contracts.Faults) (string, error) {
	if len(fs) == 0 {
		return "", nil
	}
	b, err := json.Marshal(fs)
	return string(b), err
}

func findingsFrom(text string) (contracts.Faults, error) {
	if text == "" {
		return nil, nil
	}
	var fs contracts.Faults
	return fs, json.Unmarshal([]byte(text), &fs)
}

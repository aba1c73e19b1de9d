package embedded

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hoitosilta/silta/contracts"
)

// The faults of this bus. Their texts name files and places, never a record's content.
const (
	codeHeld    = "BUS-001" // another process has the directory
	codeOpen    = "BUS-002" // the files can't be opened
	codeWrite   = "BUS-003" // the disk refused a write
	codeFull    = "BUS-004" // the disk is full
	codeClosed  = "BUS-005"
	codeNoPlace = "BUS-006" // no record at a place
	codeTwice   = "BUS-007" // a group reads a topic twice
	codeRecord  = "BUS-008" // a record that can't be kept
	codeNewer   = "BUS-009" // a file of a newer version
	codeUnknown = "BUS-010" // the caller left before the answer
	codeRead    = "BUS-011" // the disk refused a read
)

func unavailable(code, text string, cause error) error {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: code, Op: "bus", Public: text, Err: cause}
}

func openFault(dir string, err error) error {
	var f *contracts.Fault
	if errors.As(err, &f) {
		return f
	}
	return unavailable(codeOpen, "The bus in "+dir+" can't be opened. Check that the folder can be written, that the disk has room, and that bus.db is whole.", err)
}

func writeFault(err error) error {
	var f *contracts.Fault
	if errors.As(err, &f) {
		return f
	}
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL || isDiskFull(err) {
		return unavailable(codeFull, "The disk of the bus is full. Free some room; nothing that was acknowledged is lost, and the bus goes on by itself.", err)
	}
	return unavailable(codeWrite, "The bus couldn't write to its disk. Look at the disk and at the system's log; nothing that was acknowledged is lost.", err)
}

func readFault(err error) error {
	var f *contracts.Fault
	if errors.As(err, &f) {
		return f
	}
	return unavailable(codeRead, "The bus couldn't read from its disk. Look at the disk and at the system's log.", err)
}

func closedFault() error { return unavailable(codeClosed, "The bus is closed.", nil) }

func leftFault(err error) error {
	return unavailable(codeUnknown, "The caller stopped waiting before the bus answered, so the record may be kept or not. Publish it again under the same id.", err)
}

func noPlaceFault() error {
	return &contracts.Fault{Kind: contracts.NotFound, Code: codeNoPlace, Op: "bus", Public: "There is no record at this place, or not any more."}
}

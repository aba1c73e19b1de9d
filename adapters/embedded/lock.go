package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/hoitosilta/silta/contracts"
)

// DirLock is a process's hold on a directory with bus.db and ledger.db.
type DirLock struct{ lock *flock.Flock }

// Lock takes dir, which it creates if need be, for this process, until Unlock or the process's end, a kill included.
// If another one has it, the fault is of kind unavailable, with the holder's process id in its text.
func Lock(dir string) (*DirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, openFault(dir, err)
	}
	file := filepath.Join(dir, "silta.lock")
	lock := flock.New(file, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, openFault(dir, err)
	}
	if !held {
		return nil, contracts.Faultf(contracts.Unavailable, codeHeld, "", "%s is in use by %s. Two processes can't share a directory; talk to the running one, or give this one a directory of its own.", dir, holder(file))
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = lock.Unlock()
		return nil, openFault(dir, err)
	}
	return &DirLock{lock}, nil
}

// Unlock gives the directory back. The lock file stays, empty of meaning.
func (l *DirLock) Unlock() error { return l.lock.Unlock() }

// holder words who wrote the lock file.
func holder(file string) string {
	b, err := os.ReadFile(file)
	pid, atoi := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || atoi != nil {
		return "another process"
	}
	return fmt.Sprintf("process %d", pid)
}

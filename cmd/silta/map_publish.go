package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/mappings"
)

func newMapPublish(t *terminal, flag *catalogFlag) *cobra.Command {
	return &cobra.Command{
		Use:   "publish ID@VERSION",
		Short: "Freeze a version of a map",
		Long: "Writes the digests of a version and of all that it stands on (bases, blocks, code maps) to catalog.lock in the mappings\n" +
			"folder. From then on a change of any of these bytes is a fault, for `silta map check` and for `silta serve`: a change is\n" +
			"a new version. The map's cases must pass. Publishing the same bytes again changes nothing.",
		Example: "  silta map publish apotti.ref-i12@1.0.0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "@") {
				return flag.whichVersion(cmd, args[0])
			}
			catalog, err := flag.open(cmd)
			if err != nil {
				return err
			}
			m, err := catalog.Map(args[0])
			if err != nil {
				return configuration{err}
			}
			if m.Published() {
				return t.published(m, false)
			}
			if passed, err := flag.casesPass(t, m); err != nil || !passed {
				return err
			}
			if err := writeLock(filepath.Join(flag.dir, mappings.LockFile), m); err != nil {
				return err
			}
			return t.published(m, true)
		},
	}
}

// casesPass tells what fails, if anything does.
func (f *catalogFlag) casesPass(t *terminal, m *mappings.Map) (bool, error) {
	reports, err := f.test(m)
	if err != nil {
		return false, err
	}
	passed := true
	for i := range reports {
		t.faults(reports[i].File, reports[i].Faults)
		passed = passed && reports[i].Passed()
	}
	if !passed {
		t.fail(exitFaulty)
	}
	return passed, nil
}

func (t *terminal) published(m *mappings.Map, now bool) error {
	if t.json() {
		return t.print(map[string]any{"map": m.Name(), "digest": m.Digest(), "published": now})
	}
	says := "is published already, with the same bytes"
	if now {
		says = "is published"
	}
	_, err := fmt.Fprintf(t.out, "%s %s: %s\n", m.Name(), says, m.Digest())
	return err
}

// writeLock puts a version into a lock file, whole or not at all. Of several processes that publish at once each waits for
// the one before, so that none writes over another's rows.
func writeLock(path string, m *mappings.Map) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// The folder itself is locked: the system lets go of it when the process ends, and nothing is left lying there.
	turn := flock.New(filepath.Dir(path), flock.SetFlag(os.O_RDONLY))
	if err := turn.Lock(); err != nil {
		return fmt.Errorf("wait for others that publish: %w", err)
	}
	defer turn.Close()
	lock, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeApart(path, bytes.Clone(m.Publish(lock)), 0o644, os.Rename)
}

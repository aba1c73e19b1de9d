package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/contracts"
)

// manifest says what a copy holds. It is written last, so that a folder without one is no copy.
type manifest struct {
	Silta string         `json:"silta"` // backup/v1
	At    time.Time      `json:"at"`    // everything that was acknowledged before is in it
	Files []manifestFile `json:"files"`
}

type manifestFile struct {
	Name   string `json:"name"` // with slashes, below the copy's folder
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

const manifestName = "manifest.json"

// A copy's name is a folder's name and nothing else, so that no request can write outside of the configured directory.
var backupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// The bus and the ledger that can be copied while they work: the embedded ones.
type (
	copiedBus interface {
		Backup(ctx context.Context, dir string, between func() error) error
	}
	copiedLedger interface {
		Backup(ctx context.Context, path string) error
	}
)

// Backup copies the bus and the ledger, while they work, into a new folder of that name under the configured directory.
// Everything that was acknowledged before is in the copy, and what the copied ledger doesn't know to be finished is done
// again by whoever runs it: with the same ids. The secret is not in it.
func (h *house) Backup(ctx context.Context, name string) (contracts.Backup, error) {
	h.files.Lock()
	defer h.files.Unlock()
	s, _ := h.present()
	begun := time.Now()
	done, err := h.backup(ctx, s, name, begun)
	h.metrics.BackedUp(err)
	if err != nil {
		f := contracts.FaultsOf(err)[0]
		h.log.WithError(err).WithField("kind", f.Kind).WithField("code", f.Code).Error("No copy was made.")
		return done, err
	}
	h.log.WithField("dir", done.Dir).WithField("bytes", done.Bytes).WithField("ms", time.Since(begun).Milliseconds()).Info("A copy was made.")
	return done, nil
}

func (h *house) backup(ctx context.Context, s settings, name string, at time.Time) (contracts.Backup, error) {
	bus, busFits := h.bus.(copiedBus)
	ledger, ledgerFits := h.ledger.(copiedLedger)
	switch {
	case s.Backup == "":
		return contracts.Backup{}, contracts.Faultf(contracts.Refused, "CFG-066", "backup", "silta.yaml names no directory for copies. Set `backup`, reload, and ask again.")
	case !backupName.MatchString(name):
		return contracts.Backup{}, contracts.Faultf(contracts.Invalid, "CFG-067", "name", "A copy's name is up to 100 letters, digits, dots, hyphens and underscores, and no path: it becomes a folder under `backup`.")
	case !busFits || !ledgerFits:
		return contracts.Backup{}, contracts.Faultf(contracts.Refused, "CFG-068", "", "Only the embedded bus and ledger are copied by Silta. Kafka keeps copies by replication, PostgreSQL has tools of its own.")
	}
	dir := filepath.Join(s.path(s.Backup), name)
	if _, err := os.Lstat(dir); err == nil {
		return contracts.Backup{}, contracts.Faultf(contracts.Conflict, "CFG-069", "name", "There is a copy of this name already. It stays as it is; choose another name.")
	}
	part := dir + ".part"
	err := h.copyInto(ctx, part, bus, ledger, at)
	if err == nil {
		err = os.Rename(part, dir)
	}
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	}
	if err != nil {
		_ = os.RemoveAll(part) // what matters is err
		var fault *contracts.Fault
		if errors.As(err, &fault) {
			return contracts.Backup{}, err
		}
		return contracts.Backup{}, &contracts.Fault{Kind: contracts.Unavailable, Code: "CFG-070", Public: "The copy can't be written: the directory is missing or full, or the hub may not write there.", Err: err}
	}
	return copyAt(dir)
}

func (h *house) copyInto(ctx context.Context, dir string, bus copiedBus, ledger copiedLedger, at time.Time) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // of a copy that a crash broke off
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := bus.Backup(ctx, dir, func() error { return ledger.Backup(ctx, filepath.Join(dir, "ledger.db")) }); err != nil {
		return err
	}
	return writeManifest(dir, at)
}

// writeManifest lists what lies in dir, and makes the list durable.
func writeManifest(dir string, at time.Time) error {
	m := manifest{Silta: "backup/v1", At: at.UTC()}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f := manifestFile{Name: filepath.ToSlash(name)}
		f.Bytes, f.SHA256, err = digestOf(path)
		m.Files = append(m.Files, f)
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, manifestName), append(b, '\n'), 0o600)
}

func digestOf(path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return n, hex.EncodeToString(sum.Sum(nil)), err
}

// readManifest reads a copy's manifest. A folder without one, or with names that lead out of it, is no copy.
func readManifest(dir string) (manifest, error) {
	var m manifest
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil || m.Silta != "backup/v1" || len(m.Files) == 0 {
		return m, &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-071", File: dir, Public: "This is no whole copy: it has no manifest.json that can be read.", Err: err}
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return m, &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-071", File: dir, Public: "The manifest names files outside of the copy."}
		}
	}
	return m, nil
}

// copyAt is a copy as the API tells of it.
func copyAt(dir string) (contracts.Backup, error) {
	m, err := readManifest(dir)
	done := contracts.Backup{Dir: dir, At: m.At, Files: len(m.Files)}
	for _, f := range m.Files {
		done.Bytes += f.Bytes
	}
	return done, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newBackup(t *terminal) *cobra.Command {
	var hub client
	c := &cobra.Command{
		Use:   "backup NAME",
		Short: "Copy the embedded bus and ledger while the hub runs",
		Long: "Has the running hub copy its bus and ledger into a new folder NAME on its own machine, under the directory that\n" +
			"`backup` in silta.yaml names. Everything that was acknowledged before is in the copy. The secret and the\n" +
			"configuration are not: keep those apart.",
		Example: "  silta backup monday",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub.http.Timeout = time.Hour
			var done contracts.Backup
			if err := hub.call(cmd.Context(), "POST", "/api/v1/backup", nil, map[string]string{"name": args[0]}, &done); err != nil {
				return asUsage(err)
			}
			if t.json() {
				return t.print(done)
			}
			_, err := fmt.Fprintf(t.out, "%s: %d files, %d bytes\n", done.Dir, done.Files, done.Bytes)
			return err
		},
	}
	hub.flags(c)
	return c
}

func newRestore(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FROM DIR",
		Short: "Put a copy into an empty directory, for a hub to begin with",
		Long: "Checks a copy that `silta backup` wrote, every file by its digest, and puts it into DIR, which must be empty or not\n" +
			"there. A hub whose `dir` is DIR, with the same secret, then goes on from there: what the copy doesn't know to be\n" +
			"delivered is delivered again, with the same ids.",
		Example: "  silta restore /backup/silta/monday /srv/silta/data && silta serve -c /srv/silta/silta.yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := restore(args[0], args[1])
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(map[string]any{"dir": args[1], "at": m.At, "files": len(m.Files)})
			}
			_, err = fmt.Fprintf(t.out, "%s: %d files, as they were at %s\n", args[1], len(m.Files), m.At.Local().Format(time.DateTime))
			return err
		},
	}
}

// unfinishedName is a file that lies in a directory while a copy is put into it.
const unfinishedName = "restore.unfinished"

// checkRestored refuses a directory in which a restore was broken off: a hub would begin with half of its files.
func checkRestored(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, unfinishedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &contracts.Fault{Kind: contracts.Refused, Code: "CFG-074", File: dir, Public: "A copy was being put into this directory, and that broke off. Empty the directory and restore again.", Err: err}
}

// restore puts the copy at from into dir. A fault leaves no file of it there.
func restore(from, dir string) (manifest, error) {
	m, err := readManifest(from)
	if err != nil {
		return m, err
	}
	lock, err := embedded.Lock(dir)
	if err != nil {
		return m, err
	}
	defer func() { _ = lock.Unlock() }()
	there, err := os.ReadDir(dir)
	if err != nil {
		return m, err
	}
	for _, f := range there {
		if !strings.HasSuffix(f.Name(), ".lock") {
			return m, contracts.Faultf(contracts.Refused, "CFG-072", "", "%s isn't empty; nothing was written. A copy is put into a directory of its own.", dir)
		}
	}
	unfinished := filepath.Join(dir, unfinishedName)
	if err := errors.Join(os.WriteFile(unfinished, nil, 0o600), syncDir(dir)); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if err = f.put(from, dir); err != nil {
			break
		}
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		for _, f := range m.Files {
			_ = os.Remove(filepath.Join(dir, filepath.FromSlash(f.Name))) // what matters is err
		}
	}
	return m, errors.Join(err, os.Remove(unfinished), syncDir(dir))
}

// put copies one file, durably, and compares what it wrote with the manifest.
func (f manifestFile) put(from, dir string) error {
	name := filepath.FromSlash(f.Name)
	in, err := os.Open(filepath.Join(from, name))
	if err != nil {
		return f.broken(from, err)
	}
	defer in.Close()
	to := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if n != f.Bytes || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return f.broken(from, nil)
	}
	return syncDir(filepath.Dir(to))
}

func (f manifestFile) broken(from string, err error) error {
	return &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-073", File: filepath.Join(from, f.Name), Err: err,
		Public: "This file isn't the one that was copied: it is damaged, changed or gone. Nothing was restored; take another copy."}
}

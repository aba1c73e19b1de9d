package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/partners"
)

// starting is the configuration that init writes. It says what holds anyway, so that a reader sees what there is.
const starting = `# Silta's configuration. Paths are relative to this file; an unknown key is an error.
silta: config/v1

dir: data                        # the bus and the ledger; keep it on a disk that honours fsync
secretFile: secrets/hub.secret   # keep it: another one would make old keys and digests meaningless
partners: contracts/partners     # one contract a partner, with its addresses
mappings: mappings               # your own maps; they lie over the built-in ones
development: false               # true: showing a body needs no reason

console:
  listen: 127.0.0.1:8080
  tokenFile: secrets/operator.token

fhir:
  listen: 127.0.0.1:8081         # the FHIR doors; a partner is known by its token
  # url: https://H/fhir          # by which partners reach them, where a proxy stands before them

log:
  level: info
  format: text                   # or json

# bus: kafka://H:9092,H:9092     # Apache Kafka in the place of the bus in dir
# ledger: postgres://silta@H/DB  # PostgreSQL in the place of the ledger in dir; with both, several processes may run
# stop: 30s                      # within which the process ends when it is told to
# backup: copies                 # a directory under which silta backup may write; none unless set
# keep: {messages: 2160h, ledger: 17520h}       # what is older is forgotten; nothing is unless this is set
# telemetry: {otlp: "http://127.0.0.1:4318"}    # an OpenTelemetry collector
`

func newInit(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a starting configuration",
		Long: "Writes silta.yaml, the contracts of the partners with their addresses, and fresh secrets. `silta serve` runs it as it\n" +
			"is. Nothing that is there is overwritten.",
		Example: "  silta init /srv/silta && silta serve -c /srv/silta/silta.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			written, err := initialise(args[0])
			if err != nil {
				return err
			}
			for _, file := range written {
				if err := t.wrote(file); err != nil {
					return err
				}
			}
			fmt.Fprintf(t.err, "Start it: silta serve -c %s\n", filepath.Join(args[0], "silta.yaml"))
			return nil
		},
	}
}

// wrote names a file that a command has written.
func (t *terminal) wrote(file string) error {
	if t.json() {
		return t.print(map[string]string{"wrote": file})
	}
	_, err := fmt.Fprintln(t.out, file)
	return err
}

// file is one that init writes.
type file struct {
	path string
	data []byte
	mode fs.FileMode
}

// initialise writes a starting configuration into dir and names the files. If one of them is there already, nothing
// is written.
func initialise(dir string) ([]string, error) {
	files, err := startingFiles()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.path)); err == nil {
			return nil, fmt.Errorf("%s is there already; nothing was written", filepath.Join(dir, f.path))
		}
	}
	var written []string
	for _, f := range files {
		path := filepath.Join(dir, f.path)
		if err := writeNew(path, f.data, f.mode); err != nil {
			return nil, err
		}
		written = append(written, path)
	}
	return written, nil
}

func startingFiles() ([]file, error) {
	s := defaultSettings("")
	files := []file{{"silta.yaml", []byte(starting), 0o644}}
	contracted, err := contracts.LoadPartners(partners.Files, ".")
	if err != nil {
		return nil, err
	}
	secrets := []string{s.SecretFile, s.Console.TokenFile}
	for _, p := range contracted {
		b, err := fs.ReadFile(partners.Files, p.File)
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Join(s.Partners, p.File), b, 0o644})
		secrets = append(secrets, tokenFiles(p)...)
	}
	for _, path := range secrets {
		files = append(files, file{path, newSecret(), 0o600})
	}
	return files, nil
}

// tokenFiles are the secrets that a contract names.
func tokenFiles(p *contracts.Partner) []string {
	var paths []string
	if d := p.Door.FHIR; d != nil {
		paths = append(paths, d.TokenFile)
	}
	if c := p.Courier.FHIR; c != nil && c.TokenFile != "" {
		paths = append(paths, c.TokenFile)
	}
	return paths
}

// newSecret draws 32 random bytes and writes them in hexadecimal, a line.
func newSecret() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails; without randomness the process ends
	return append(hex.AppendEncode(nil, b), '\n')
}

// writeNew writes a file that must not be there yet, and its folders. Folders of secrets are for their owner alone.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	folder := fs.FileMode(0o755)
	if mode&0o077 == 0 {
		folder = 0o700
	}
	if err := os.MkdirAll(filepath.Dir(path), folder); err != nil {
		return err
	}
	return writeApart(path, data, mode, os.Link) // which refuses a file that is there
}

// writeApart writes a file apart, and puts it where it belongs by link or rename, so that a crash leaves the whole file or what
// was there before.
func writeApart(path string, data []byte, mode fs.FileMode, put func(apart, path string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err = f.Chmod(mode); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := put(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

package mllp

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// credentials are what a door or a courier shows and trusts in TLS. They lie in files, which are looked at before each
// handshake and read again when one of them has changed. Files that can't be used then leave the old ones in force,
// which is logged once a change, since certificate and key are seldom replaced in one instant. Those that were read and
// are broken are tried when they change again; those that couldn't be read, at each handshake.
type credentials struct {
	files []string
	read  func() (*tls.Config, error)
	log   *logrus.Entry

	mu     sync.Mutex
	seen   []fs.FileInfo // of the files when they were read, nil for one that wasn't there
	told   []fs.FileInfo // of those of which the log says that they can't be used
	config *tls.Config
}

// newCredentials reads the files for the first time. The error is contracts.Faults of kind invalid.
func newCredentials(files []string, read func() (*tls.Config, error), log *logrus.Entry) (*credentials, error) {
	c := &credentials{files: files, read: read, log: log, seen: look(files)}
	var err error
	if c.config, err = read(); err != nil {
		return nil, err
	}
	return c, nil
}

// current gives what holds for the next handshake.
func (c *credentials) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := look(c.files)
	if same(seen, c.seen) {
		return c.config
	}
	config, err := c.read()
	if err != nil {
		if !unread(err) {
			c.seen = seen
		}
		if c.told == nil || !same(seen, c.told) {
			c.log.WithError(err).Error("The changed files of TLS can't be used; the ones before stay in force.")
		}
		c.told = seen
		return c.config
	}
	c.seen, c.told = seen, nil
	c.config = config
	c.log.Info("The files of TLS have changed; new connections use them.")
	return c.config
}

// unread says whether files couldn't be read, which may pass without a change that can be seen: a shortage of
// descriptors, a mode.
func unread(err error) bool {
	return slices.ContainsFunc(contracts.FaultsOf(err), func(f *contracts.Fault) bool { return f.Code != CodeBrokenFile })
}

func look(files []string) []fs.FileInfo {
	seen := make([]fs.FileInfo, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			seen[i] = info
		}
	}
	return seen
}

func same(a, b []fs.FileInfo) bool {
	for i := range a {
		switch {
		case (a[i] == nil) != (b[i] == nil):
			return false
		case a[i] != nil && !(os.SameFile(a[i], b[i]) && a[i].Size() == b[i].Size() && a[i].ModTime().Equal(b[i].ModTime())):
			return false
		}
	}
	return true
}

// CheckTLS reads the files that a door's and a courier's side of TLS name, each of which may be nil, and gives what is
// wrong with them.
func CheckTLS(d *contracts.TLSDoor, c *contracts.TLSCourier) contracts.Faults {
	var faults contracts.Faults
	if d != nil {
		_, err := readDoorTLS(*d)
		faults = append(faults, contracts.FaultsOf(err)...)
	}
	if c != nil {
		_, err := readCourierTLS(*c, "")
		faults = append(faults, contracts.FaultsOf(err)...)
	}
	return faults
}

func fileFault(code, file, text string, err error) *contracts.Fault {
	return &contracts.Fault{Kind: contracts.Invalid, Code: code, File: file, Public: text, Err: err}
}

// readPair reads a certificate with its chain, and its key.
func readPair(certFile, keyFile string) (tls.Certificate, error) {
	certificate, err := readFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fileFault(CodeBrokenFile, certFile,
			"It holds no certificate in PEM, or "+keyFile+" holds no key that belongs to it.", err)
	}
	return pair, nil
}

func readFile(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fileFault(CodeNoFile, file, "This file of TLS can't be read.", err)
	}
	return b, nil
}

// readKey reads a file that only its owner may read.
func readKey(file string) ([]byte, error) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fileFault(CodeOpenKey, file, "Others than its owner may read this key. Set its mode to 0600.", nil)
	}
	return readFile(file)
}

func readPool(file string) (*x509.CertPool, error) {
	b, err := readFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fileFault(CodeBrokenFile, file, "It holds no certificate in PEM.", nil)
	}
	return pool, nil
}

package mllp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// longAgo lies before the time in which synctest begins.
var longAgo = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: longAgo, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair signs a certificate for names, whose common name is cn, and gives it and its key in PEM.
func (a *authority) pair(cn string, names []string, change ...func(*x509.Certificate)) (cert, key []byte) {
	a.t.Helper()
	own := newKey(a.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn}, DNSNames: names,
		NotBefore: longAgo, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", pkcs8)
}

func (a *authority) pem() []byte { return inPEM("CERTIFICATE", a.cert.Raw) }

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// client gives the side of a client that shows a certificate for names, or none.
func (a *authority) client(cn string, names ...string) *tls.Config {
	a.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "silta.test"}
	config.RootCAs.AddCert(a.cert)
	if cn != "" || len(names) > 0 {
		pair, err := tls.X509KeyPair(a.pair(cn, names))
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// pki is a folder with the files of one side.
type pki struct {
	t   *testing.T
	dir string
}

func newPKI(t *testing.T) pki { return pki{t, t.TempDir()} }

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

// write puts a file into place as a whole, as tools that renew certificates do, and with a time of its own.
func (p pki) write(name string, b []byte) string {
	p.t.Helper()
	part := p.path(name + ".new")
	if err := os.WriteFile(part, b, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(part, p.path(name)); err != nil {
		p.t.Fatal(err)
	}
	return p.path(name)
}

// pair writes cert.pem and key.pem.
func (p pki) pair(cert, key []byte) (certFile, keyFile string) {
	return p.write("cert.pem", cert), p.write("key.pem", key)
}

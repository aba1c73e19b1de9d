package kafka

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Security tells how to reach a cluster's listeners with TLS. Their certificates come from an authority of its own.
type Security struct {
	SASL    []string // addresses that take User with SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN
	Mutual  []string // addresses that ask for a client's certificate
	Expired []string // addresses whose own certificates have run out

	Authority      *x509.CertPool
	User, Password string
	Client         tls.Certificate // for Mutual
	ExpiredClient  tls.Certificate // no longer good for Mutual

	dir string // of the PEM files
}

// newSecurity makes the certificates and writes what brokers need of them to dir.
func newSecurity(dir string) (*Security, error) {
	root, err := certificate(nil, 1, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	s := &Security{Authority: x509.NewCertPool(), User: "silta", Password: "not-a-secret", dir: dir}
	s.Authority.AddCert(root.Leaf)
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	for i, c := range []struct {
		until time.Time
		file  string
		into  *tls.Certificate
	}{
		{future, "server.pem", nil},
		{past, "expired.pem", nil},
		{future, "client.pem", &s.Client},
		{past, "expired-client.pem", &s.ExpiredClient},
	} {
		made, err := certificate(root, int64(i+2), c.until)
		if err != nil {
			return nil, err
		}
		if err := writePEM(filepath.Join(dir, c.file), made); err != nil {
			return nil, err
		}
		if c.into != nil {
			*c.into = *made
		}
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate[0]})
	return s, os.WriteFile(filepath.Join(dir, "authority.pem"), authority, 0o600)
}

// settings are the lines of server.properties for the listeners with TLS.
func (s *Security) settings() []string {
	const modules = "org.apache.kafka.common.security."
	return []string{
		"ssl.keystore.type=PEM",
		"ssl.keystore.location=" + filepath.Join(s.dir, "server.pem"),
		"ssl.truststore.type=PEM",
		"ssl.truststore.location=" + filepath.Join(s.dir, "authority.pem"),
		"listener.name.expired.ssl.keystore.type=PEM",
		"listener.name.expired.ssl.keystore.location=" + filepath.Join(s.dir, "expired.pem"),
		"listener.name.mutual.ssl.client.auth=required",
		"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		fmt.Sprintf(`listener.name.sasl.plain.sasl.jaas.config=%splain.PlainLoginModule required user_%s="%s";`, modules, s.User, s.Password),
		"listener.name.sasl.scram-sha-256.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
		"listener.name.sasl.scram-sha-512.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
	}
}

// users are the arguments of Kafka's format command that make the SCRAM user.
func (s *Security) users() []string {
	var args []string
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, s.User, s.Password))
	}
	return args
}

// certificate makes one for 127.0.0.1 that root signs, or a root itself when root is nil.
func certificate(root *tls.Certificate, serial int64, until time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "silta test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
	}
	made := &tls.Certificate{PrivateKey: key}
	parent := template
	signer := any(key)
	if root == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		parent, signer = root.Leaf, root.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	made.Certificate = [][]byte{der}
	made.Leaf, err = x509.ParseCertificate(der)
	return made, err
}

// writePEM writes a key and its certificate as Kafka reads them: in one file, the key as PKCS #8.
func writePEM(file string, c *tls.Certificate) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: key}, {Type: "CERTIFICATE", Bytes: c.Certificate[0]}} {
		if err := pem.Encode(&b, block); err != nil {
			return err
		}
	}
	return os.WriteFile(file, b.Bytes(), 0o600)
}

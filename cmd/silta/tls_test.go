package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned writes a certificate that is its own authority, for silta.test and as a client, and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "silta.test"}, DNSNames: []string{"silta.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// withTLS gives a fresh installation whose Apotti speaks TLS both ways, by files beside silta.yaml.
func withTLS(t *testing.T) (config string) {
	t.Helper()
	config = installation(t)
	home := filepath.Dir(config)
	selfSigned(t, filepath.Join(home, "secrets"))
	contract := filepath.Join(home, "contracts/partners/apotti.yaml")
	b, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		`{listen: "127.0.0.1:0"}`, `{listen: "127.0.0.1:0", tls: {certFile: secrets/cert.pem, keyFile: secrets/key.pem, clientCAFile: secrets/cert.pem, clientNames: [silta.test]}}`,
		`{to: "127.0.0.1:2576"}`, `{to: "127.0.0.1:2576", tls: {caFile: secrets/cert.pem, certFile: secrets/cert.pem, keyFile: secrets/key.pem}}`).Replace(string(b))
	if err := os.WriteFile(contract, []byte(text), 0o644); err != nil || strings.Count(text, "tls:") != 2 {
		t.Fatalf("the contract can't be given TLS: %v", err)
	}
	return config
}

// A hub whose contract has TLS takes messages over it from who shows the agreed certificate, and from nobody else.
func TestAHubSpeaksTLSAsItsContractSays(t *testing.T) {
	config := withTLS(t)
	door := serving(t, config)
	cert, key := filepath.Join(filepath.Dir(config), "secrets/cert.pem"), filepath.Join(filepath.Dir(config), "secrets/key.pem")
	body := madeUp("TLS-1", "REF^I12^REF_I12", "R")
	trusting := []string{"hl7", "send", "--to", door, "--tls", "--ca", cert, "--server-name", "silta.test"}
	code, stdout, stderr := silta(t, body, append(trusting, "--cert", cert, "--key", key, "-")...)
	if code != exitDone || !strings.HasPrefix(stdout, "TLS-1\tAA\t") {
		t.Errorf("with a certificate send exits %d: %s%s", code, stdout, stderr)
	}
	for name, args := range map[string][]string{"without a certificate": append(trusting, "-"), "without TLS": {"hl7", "send", "--to", door, "--answer", "5s", "-"}} {
		if code, stdout, _ := silta(t, body, args...); code != exitUnreachable || !strings.HasPrefix(stdout, "TLS-1\t-\t") {
			t.Errorf("%s send exits %d: %s", name, code, stdout)
		}
	}
}

// serving runs a hub by its configuration until the test ends, and gives the address of Apotti's door.
func serving(t *testing.T, config string) (door string) {
	t.Helper()
	s, err := readSettings(config)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := s.readAgreements()
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHouse(t.Context(), s, agreed, newLog(s, &terminal{err: io.Discard}), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the house ends with %v", err)
		}
		if err := h.close(); err != nil {
			t.Errorf("the house closes with %v", err)
		}
	})
	return strings.TrimPrefix(h.addresses().Doors["apotti"], "mllp://")
}

// Files of TLS that can't be used are a fault of the configuration, for check as for serve.
func TestFilesOfTLSAreAFaultOfTheConfiguration(t *testing.T) {
	config := withTLS(t)
	if code, stdout, stderr := silta(t, "", "check", "-c", config); code != exitDone {
		t.Errorf("with good files check exits %d: %s%s", code, stdout, stderr)
	}
	key := filepath.Join(filepath.Dir(config), "secrets/key.pem")
	for _, row := range []struct {
		code  string
		spoil func() error
	}{
		{"MLLP-031", func() error { return os.Chmod(key, 0o644) }},
		{"MLLP-032", func() error { return os.WriteFile(key, []byte("no key"), 0o600) }},
		{"MLLP-030", func() error { return os.Remove(key) }},
	} {
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := row.spoil(); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"check", "serve"} {
			code, _, stderr := silta(t, "", command, "-c", config)
			if code != exitUsage || !strings.Contains(stderr, row.code) || !strings.Contains(stderr, ".pem") {
				t.Errorf("%s, %s exits %d: %s", row.code, command, code, stderr)
			}
		}
	}
}

// listening runs the test receiver until the test ends, and gives its address.
func listening(t *testing.T, args ...string) (address string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stderr, says := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"hl7", "listen", "--port", "0"}, args...), strings.NewReader(""), io.Discard, says)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitDone {
			t.Errorf("listen exits %d", code)
		}
	})
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, stderr)
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

func TestSendAndListenSpeakTLSAndBothReleases(t *testing.T) {
	cert, key := selfSigned(t, t.TempDir())
	secure := []string{"--tls", "--ca", cert, "--server-name", "silta.test", "--cert", cert, "--key", key}
	for name, row := range map[string]struct{ listen, send []string }{
		"plain":              {nil, nil},
		"release 2":          {[]string{"--release", "2"}, []string{"--release", "2"}},
		"TLS":                {[]string{"--tls-cert", cert, "--tls-key", key}, secure[:5]},
		"TLS both ways":      {[]string{"--tls-cert", cert, "--tls-key", key, "--client-ca", cert}, secure},
		"pipelined":          {nil, []string{"--pipeline", "8"}},
		"TLS, and pipelined": {[]string{"--tls-cert", cert, "--tls-key", key, "--client-ca", cert}, append(secure, "--pipeline", "4", "--connections", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			address := listening(t, row.listen...)
			args := append([]string{"hl7", "send", "--to", address, "--count", "30"}, row.send...)
			code, stdout, stderr := silta(t, madeUp("S1", "REF^I12^REF_I12", "R"), append(args, "-")...)
			if code != exitDone || !strings.Contains(stdout, "\nsent 30, AA 30, AE 0, AR 0, no answer 0, p50 ") {
				t.Errorf("send exits %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

func TestSendAndListenRefuseFlagsThatDontFit(t *testing.T) {
	cert, _ := selfSigned(t, t.TempDir())
	for _, line := range [][]string{
		{"send", "--to", "127.0.0.1:1", "--ca", cert, "-"},
		{"send", "--to", "127.0.0.1:1", "--tls", "--cert", cert, "-"},
		{"send", "--to", "127.0.0.1:1", "--tls", "--ca", cert + ".none", "-"},
		{"send", "--to", "127.0.0.1:1", "--pipeline", "0", "-"},
		{"listen", "--tls-cert", cert},
		{"listen", "--client-ca", cert},
		{"listen", "--release", "3"},
		{"listen", "--tls-cert", cert, "--tls-key", cert + ".none"},
	} {
		if code, stdout, stderr := silta(t, madeUp("S1", "REF^I12^REF_I12", "R"), append([]string{"hl7"}, line...)...); code != exitUsage || stderr == "" {
			t.Errorf("%v exits %d: %s%s", line, code, stdout, stderr)
		}
	}
}

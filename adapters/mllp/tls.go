package mllp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// readDoorTLS gives a door's side of TLS as its files have it now.
func readDoorTLS(s contracts.TLSDoor) (*tls.Config, error) {
	pair, err := readPair(s.CertFile, s.KeyFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		DynamicRecordSizingDisabled: true, // an acknowledgement is one record
		SessionTicketsDisabled:      true, // a resumed session would outlive a change of the files
	}
	if s.ClientCAFile == "" {
		return config, nil
	}
	if config.ClientCAs, err = readPool(s.ClientCAFile); err != nil {
		return nil, err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error { return checkClient(state, s.ClientNames) }
	return config, nil
}

var errOtherName = errors.New("mllp: the client's certificate has none of the contract's names")

// checkClient looks for one of names in the client's certificate, which was verified before.
func checkClient(state tls.ConnectionState, names []string) error {
	if len(names) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	for _, name := range append(slices.Clone(leaf.DNSNames), leaf.Subject.CommonName) {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return nil
		}
	}
	return errOtherName
}

// doorTLS gives what a door makes TLS connections with, or nil where its contract has none.
func doorTLS(s *contracts.TLSDoor, log *logrus.Entry) (*tls.Config, error) {
	if s == nil {
		return nil, nil
	}
	files := slices.DeleteFunc([]string{s.CertFile, s.KeyFile, s.ClientCAFile}, isEmpty)
	held, err := newCredentials(files, func() (*tls.Config, error) { return readDoorTLS(*s) }, log)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return held.current(), nil },
	}, nil
}

// readCourierTLS gives a courier's side of TLS as its files have it now.
func readCourierTLS(s contracts.TLSCourier, host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, DynamicRecordSizingDisabled: true}
	if s.ServerName != "" {
		config.ServerName = s.ServerName
	}
	var err error
	if s.CAFile != "" {
		if config.RootCAs, err = readPool(s.CAFile); err != nil {
			return nil, err
		}
	}
	if s.CertFile != "" {
		pair, err := readPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// courierTLS gives the credentials of a courier to an address, or nil where its contract has none.
func courierTLS(s *contracts.TLSCourier, to string, log *logrus.Entry) (*credentials, error) {
	if s == nil {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(to)
	if err != nil {
		host = to
	}
	files := slices.DeleteFunc([]string{s.CAFile, s.CertFile, s.KeyFile}, isEmpty)
	return newCredentials(files, func() (*tls.Config, error) { return readCourierTLS(*s, host) }, log)
}

func isEmpty(s string) bool { return s == "" }

// untrusted is a failed handshake's error without what it holds of certificates.
func untrusted(err error) error { return errors.New("mllp: handshake: " + reason(err)) }

// reason says in general why a handshake failed. The error's own text may hold a certificate's subject, so only texts
// of ours leave.
func reason(err error) string {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
		operation *net.OpError
	)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "the other side was silent"
	case errors.Is(err, errOtherName):
		return "the certificate has none of the names in the contract"
	case errors.As(err, &authority):
		return "the certificate isn't signed by an authority of the contract"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate isn't valid now"
	case errors.As(err, &invalid):
		return "the certificate may not be used so"
	case errors.As(err, &host):
		return "the certificate doesn't hold the server's name"
	case errors.As(err, &record):
		return "the other side doesn't speak TLS"
	case errors.As(err, &operation) && operation.Op == "remote error":
		return "the other side refused it: " + strings.TrimPrefix(operation.Err.Error(), "tls: ") // a text of the protocol's, such as bad certificate
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return "the other side showed no certificate"
	case strings.Contains(err.Error(), "unsupported versions"), strings.Contains(err.Error(), "protocol version"):
		return "the other side doesn't speak TLS 1.2 or later"
	}
	return "the connection broke, or the two sides have no common ground"
}

package kafka

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hoitosilta/silta/contracts"
)

// The faults of this bus.
const (
	codeClosed  = "BUS-005"
	codeNoPlace = "BUS-006"
	codeTwice   = "BUS-007"
	codeRecord  = "BUS-008"
	codeUnknown = "BUS-010"
	codeReach   = "BUS-020" // the cluster doesn't answer
	codeWeak    = "BUS-021" // a topic that one broker could lose, or that forgets by itself
	codePublish = "BUS-022" // the cluster didn't take a record
	codeFetch   = "BUS-023" // the cluster didn't give records
	codeConfig  = "BUS-024" // a configuration that can't be
	codeDenied  = "BUS-025" // the cluster doesn't let us in
	codeForeign = "BUS-026" // a record that no Silta wrote
	codeCount   = "BUS-027" // a topic with another number of partitions
)

func fault(kind contracts.Kind, code, text string, cause error) error {
	return &contracts.Fault{Kind: kind, Code: code, Op: "bus", Public: text, Err: cause}
}

func unreachable(err error) error {
	if denied(err) {
		return fault(contracts.Denied, codeDenied, "The Kafka cluster doesn't let Silta in. Check certificates and their dates, user and password, and the ACLs.", err)
	}
	return fault(contracts.Unavailable, codeReach, "The Kafka cluster doesn't answer as it should. Check the brokers' addresses, and that enough of them run.", err)
}

func fetchFault(err error) error {
	if denied(err) {
		return unreachable(err)
	}
	return fault(contracts.Unavailable, codeFetch, "The Kafka cluster doesn't give records. Check that the topic exists and that its partitions have leaders.", err)
}

func publishFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge):
		return fault(contracts.Internal, codeRecord, "A record's header is larger than the cluster allows.", err)
	}
	return fault(contracts.Unavailable, codePublish, "The Kafka cluster didn't confirm a record. Publish it again under the same id.", err)
}

func leftFault(err error) error {
	return fault(contracts.Unavailable, codeUnknown, "The caller stopped waiting before the bus answered, so the record may be kept or not. Publish it again under the same id.", err)
}

func closedFault() error { return fault(contracts.Unavailable, codeClosed, "The bus is closed.", nil) }

func noPlaceFault() error {
	return fault(contracts.NotFound, codeNoPlace, "There is no record at this place, or not any more.", nil)
}

// denied says that trying again mends nothing: a certificate, a password or a right is wrong.
func denied(err error) bool {
	var untrusted *tls.CertificateVerificationError
	var alert *net.OpError // the broker's word on our certificate
	if errors.As(err, &untrusted) || errors.As(err, &alert) && alert.Op == "remote error" {
		return true
	}
	for _, refusal := range []error{kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// lastConnect remembers why the last connection failed. A client tries again and again, and what it says at the end is
// that time ran out.
type lastConnect struct {
	mu  sync.Mutex
	err error
}

// OnBrokerConnect is called by the client.
func (l *lastConnect) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.err = err
	}
}

// OnBrokerRead is called by the client: TLS 1.3 tells of a refused certificate only in the first read.
func (l *lastConnect) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	l.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, err)
}

// explain gives err, or a fault that names what hindered the connection.
func (l *lastConnect) explain(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if denied(l.err) {
		return unreachable(errors.Join(err, l.err))
	}
	return err
}

package fhirrest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// Courier posts messages to one partner's $process-message. Several goroutines may call Deliver at once.
type Courier struct {
	url    string
	token  string
	answer time.Duration
	client *http.Client
	now    func() time.Time
	log    logrus.FieldLogger
}

// NewCourier makes a courier. token is sent as a bearer token if it isn't empty. A zero settings.Answer means 30 s; it
// bounds one delivery as a whole. A URL that can't be read is a fault of kind invalid.
func NewCourier(settings contracts.FHIRCourier, token string, now func() time.Time, log logrus.FieldLogger) (*Courier, error) {
	base, err := url.Parse(settings.URL)
	if err != nil || base.Host == "" {
		return nil, &contracts.Fault{Kind: contracts.Invalid, Code: CodeNoService, Public: "The courier's url isn't an http or https address.", Err: err}
	}
	if settings.Answer == 0 {
		settings.Answer = 30 * time.Second
	}
	target := base.JoinPath(operation)
	return &Courier{
		url: target.String(), token: token, answer: settings.Answer, now: now,
		log: log.WithFields(logrus.Fields{"courier": "fhir", "to": base.Host}),
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: connectWithin}).DialContext,
				TLSHandshakeTimeout:    connectWithin,
				ForceAttemptHTTP2:      true,
				MaxIdleConnsPerHost:    32, // as many as the hub has lanes
				IdleConnTimeout:        time.Minute,
				ExpectContinueTimeout:  time.Second,
				MaxResponseHeaderBytes: 64 << 10,
				DisableCompression:     true, // an unpacked answer can be larger than any limit on the packed one
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Deliver posts the parcel once and says what became of it.
//
// A 2xx without a fatal OperationOutcome means delivered; so does 409 if its OperationOutcome says `duplicate`, or the
// parcel is a repeat, else it is a fault of kind conflict. 429, 408, 425, every 5xx, and 401 (which concerns the
// connection, not the message) are unavailable; so is no answer, with Answer.Unknown if the partner may have processed
// the request. All else, 403 and a fatal OperationOutcome among it, is refused; redirects aren't followed.
func (c *Courier) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	begun := c.now()
	answer, err := c.post(ctx, p)
	c.log.WithFields(logrus.Fields{"message": p.ID, "trace": contracts.TraceID(p.Trace), "attempt": p.Attempt, "answer": answer.Code, "kind": contracts.KindOf(err),
		"bytes": p.Body.Len(), "ms": c.now().Sub(begun).Milliseconds()}).Debug("A message was offered.")
	return answer, err
}

func (c *Courier) post(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.answer)
	defer cancel()
	var left, greeting atomic.Bool // whether a byte of the request may have reached the partner; whether TLS has begun
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart: func() { greeting.Store(true) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { greeting.Store(err != nil) },
		WroteHeaders:      func() { left.Store(true) },
	})
	request, err := c.request(ctx, p)
	if err != nil {
		return contracts.Answer{}, &contracts.Fault{Kind: contracts.Internal, Public: "The request can't be made.", Err: err}
	}
	response, err := c.client.Do(request)
	if err != nil && !left.Load() && greeting.Load() {
		return contracts.Answer{}, unavailable(CodeNoTrust, "TLS with the partner failed: "+untrusted(err)+"; nothing was sent.", err)
	}
	if err != nil && !left.Load() {
		return contracts.Answer{}, unavailable(CodeNoConnection, "The partner's server can't be reached; nothing was sent. Check its address, and whether it runs.", err)
	}
	if err != nil {
		return contracts.Answer{Unknown: true}, unavailable(CodeNoAnswer, "The request was sent, and no answer came.", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil && needsBody(response.StatusCode, p) {
		processed := response.StatusCode < 300
		return contracts.Answer{Code: strconv.Itoa(response.StatusCode), Unknown: processed}, unavailable(CodeNoAnswer, "The answer broke off.", err)
	}
	return c.judge(response, body, p)
}

// request makes a request that net/http can't send a second time by itself: its body is no kind that can be read
// again. With an Idempotency-Key it would do so otherwise, and the second one's 409 would hide the first one's 200.
func (c *Courier) request(ctx context.Context, p contracts.Parcel) (*http.Request, error) {
	body := struct{ io.Reader }{bytes.NewReader(p.Body.Bytes())}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, body)
	if err != nil {
		return nil, err
	}
	r.ContentLength = int64(p.Body.Len())
	h := r.Header
	h.Set("Content-Type", mediaType+"; charset=utf-8")
	h.Set("Accept", mediaType)
	h.Set("User-Agent", "silta")
	h.Set("Idempotency-Key", string(p.ID))
	h.Set("X-Request-Id", string(contracts.DerivedID("request", string(p.ID), strconv.Itoa(p.Attempt))))
	h.Set("X-Correlation-Id", string(p.ID))
	if p.Trace != "" {
		h.Set("traceparent", p.Trace)
	}
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// untrusted says in general why a handshake failed. The error's own text may hold a certificate's subject.
func untrusted(err error) string {
	var (
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
	)
	switch {
	case isTimeout(err):
		return "the other side was silent"
	case errors.As(err, &authority):
		return "the certificate isn't signed by an authority that this machine trusts"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate isn't valid now"
	case errors.As(err, &invalid):
		return "the certificate may not be used so"
	case errors.As(err, &host):
		return "the certificate doesn't hold the server's name"
	}
	return "the connection broke, or the two sides have no common ground"
}

// Close closes the connections that aren't in use.
func (c *Courier) Close() error {
	c.client.CloseIdleConnections()
	return nil
}

func unavailable(code, text string, cause error) *contracts.Fault {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: code, Public: text, Err: cause}
}

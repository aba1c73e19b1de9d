package custody

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/fhirrest"
	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// The contracts of a lab.
const (
	labMLLP = `silta: partner/v1
id: ID
dialect: {format: hl7v2, version: 2.5.1, charset: UNICODE UTF-8, names: {application: LAB, facility: X, ourApplication: SILTA, ourFacility: HUB}}
door: {mllp: {listen: "127.0.0.1:1"}}
courier: {mllp: {to: "127.0.0.1:1"}}
accepts: {types: ["RRI^*"]}
in: [{type: "*", map: wire}]
out: [{event: "*", map: wire}]
retry: {RETRY}
`
	labFHIR = `silta: partner/v1
id: ID
dialect: {format: fhir, version: 4.0.1}
door: {fhir: {tokenFile: x}}
courier: {fhir: {url: "http://127.0.0.1:1/fhir"}}
retry: {RETRY}
`
)

// Kinds of patience.
const (
	patient = "first: 1ms, max: 2ms, limit: 1h, spill: 10ms, pause: 1000, probe: 5ms"
	slow    = "first: 1h, max: 1h, limit: 24h, spill: 1ms, pause: 1000, probe: 5ms" // after a failure nothing happens any more
)

// lab is a partner behind a real courier. What the partner "to-<id>" sends goes there.
type lab struct {
	id       string
	contract string // labMLLP or labFHIR
	retry    string
	courier  hub.Courier
}

// wired opens a hub with labs.
func wired(t *testing.T, labs []lab, change ...func(*hub.Config)) *house {
	t.Helper()
	maps, err := wireMaps()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, append([]func(*hub.Config){func(c *hub.Config) {
		c.Partners, c.Couriers, c.Maps = nil, map[string]hub.Courier{}, maps
		for _, l := range labs {
			p, err := contracts.ReadPartner(l.id+".yaml", []byte(strings.NewReplacer("ID", l.id, "RETRY", l.retry).Replace(l.contract)))
			if err != nil {
				t.Fatal(err)
			}
			sender := partner(t, "to-"+l.id, "{events: [request, update], to: ["+l.id+"]}")
			c.Partners = append(c.Partners, sender, p)
			c.Couriers[l.id], c.Couriers[sender.ID] = l.courier, newReceiver()
		}
	}}, change...)...)
}

// wireMaps is a catalog with a map that carries a small canonical message, in three versions: one asks for an
// acknowledgement in original mode, one in enhanced mode for both kinds, one for the accept acknowledgement only.
var wireMaps = sync.OnceValues(func() (*mappings.Catalog, error) {
	layer := fstest.MapFS{}
	for id, asks := range map[string]string{
		"wire": "", "wire-both": "  - {v2: MSH-15, value: AL}\n  - {v2: MSH-16, value: AL}\n", "wire-accept": "  - {v2: MSH-15, value: AL}\n  - {v2: MSH-16, value: NE}\n",
	} {
		layer["catalog/"+id+"/0.1.0/map.yaml"] = &fstest.MapFile{Data: []byte(strings.NewReplacer("ID", id, "ASKS\n", asks).Replace(wireMap))}
	}
	return mappings.Load(mappings.Embedded, layer)
})

const wireMap = `silta: map/v1
id: ID
version: 0.1.0
title: {en: "Small"}
v2:   {structure: [REF_I12], events: [I12], versions: ["2.5.1"]}
fhir: {release: "4.0.1", bundle: message}
slices:
  PLAC: {fhir: {match: "type.coding.code=PLAC"}}
resources:
  msh:  {type: MessageHeader, from: MSH, always: true}
  task: {type: Task, from: message, always: true}
links:
  - {fhir: msh.focus, to: task}
const:
  - {fhir: task.intent, value: order}
  - {fhir: task.status, value: requested}
  - {fhir: msh.eventCoding.code, value: request}
  - {v2: MSH-9.1, value: REF}
  - {v2: MSH-9.2, value: I12}
  - {v2: MSH-11.1, value: P}
ASKS
rules:
  - {id: id,     v2: MSH-10, fhir: bundle.identifier.value}
  - {id: source, v2: MSH-3, fhir: msh.source, as: hd-endpoint}
  - {id: placer, v2: RF1-6, fhir: "task.identifier[PLAC]", as: ei}
  - {id: notes,  v2: NTE(*)-3, fhir: task.note(*).text, as: text}
`

func mllpCourier(t *testing.T, to string, change func(*contracts.MLLPCourier)) *mllp.Courier {
	t.Helper()
	settings := contracts.MLLPCourier{To: to, Connections: 4}
	if change != nil {
		change(&settings)
	}
	c, err := mllp.NewCourier(settings, time.Now, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func fhirCourier(t *testing.T, url string, answer time.Duration) *fhirrest.Courier {
	t.Helper()
	c, err := fhirrest.NewCourier(contracts.FHIRCourier{URL: url, Answer: answer}, "", time.Now, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func quiet(t *testing.T) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(t.Output())
	return log
}

// watched keeps what a courier was given. The first attempt can be another courier's, one with less patience.
type watched struct {
	hub.Courier
	hasty hub.Courier

	mu      sync.Mutex
	parcels []contracts.Parcel
}

func (w *watched) Deliver(ctx context.Context, p contracts.Parcel) (contracts.Answer, error) {
	w.mu.Lock()
	w.parcels = append(w.parcels, p)
	w.mu.Unlock()
	if w.hasty != nil && p.Attempt == 1 {
		return w.hasty.Deliver(ctx, p)
	}
	return w.Courier.Deliver(ctx, p)
}

// given are the parcels of one message, an attempt each.
func (w *watched) given(id contracts.ID) []contracts.Parcel {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []contracts.Parcel
	for _, p := range w.parcels {
		if p.ID == id {
			list = append(list, p)
		}
	}
	return list
}

// authority signs the certificates of peers. The FHIR courier trusts the system's authorities, which are this one here.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

var theAuthority authority

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "silta-custody")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		theAuthority = newAuthority(filepath.Join(dir, "authority.pem"))
		_ = os.Setenv("SSL_CERT_FILE", theAuthority.file)
		_ = os.Setenv("SSL_CERT_DIR", dir)
		return m.Run()
	}())
}

func newAuthority(file string) authority {
	a := authority{key: newKey(), file: file}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		panic(err)
	}
	return a
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// mended is a partner's side of TLS as it should be; expired and misnamed are as they shouldn't.
func mended() *tls.Config   { return theAuthority.server("127.0.0.1", time.Now().Add(time.Hour)) }
func expired() *tls.Config  { return theAuthority.server("127.0.0.1", time.Now().Add(-time.Minute)) }
func misnamed() *tls.Config { return theAuthority.server("127.0.0.2", time.Now().Add(time.Hour)) }

// server is a server's side of TLS, with a certificate for an address that ends at a time.
func (a authority) server(address string, end time.Time) *tls.Config {
	key := newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "peer"}, IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore: end.Add(-2 * time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

package mllp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
)

// spoken is a log that a test reads while others write it.
type spoken struct {
	mu   sync.Mutex
	out  bytes.Buffer
	more chan struct{} // closed at the next line; nil while nobody waits for one
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return s.out.Write(p)
}

// next gives what was said so far, and a signal that there is more.
func (s *spoken) next() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		s.more = make(chan struct{})
	}
	return s.out.String(), s.more
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (s *spoken) log() *logrus.Logger {
	l := logrus.New()
	l.Out, l.Level = s, logrus.DebugLevel
	return l
}

// secured opens a door with TLS, whose certificate is for silta.test. With a client authority it asks for certificates.
func secured(t *testing.T, a *authority, r Receiver, log logrus.FieldLogger, change func(*contracts.TLSDoor, pki)) (*Door, pki) {
	t.Helper()
	files := newPKI(t)
	settings := &contracts.TLSDoor{}
	settings.CertFile, settings.KeyFile = files.pair(a.pair("silta.test", []string{"silta.test"}))
	if change != nil {
		change(settings, files)
	}
	d, err := Listen("127.0.0.1:0", "lab", contracts.MLLPDoor{TLS: settings}, r, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, d)
	return d, files
}

// asking makes a door ask for certificates of an authority, for names.
func asking(a *authority, names ...string) func(*contracts.TLSDoor, pki) {
	return func(s *contracts.TLSDoor, files pki) {
		s.ClientCAFile, s.ClientNames = files.write("clients.pem", a.pem()), names
	}
}

// over sends one message over TLS, and says what it got or that it got nothing.
func over(t *testing.T, d *Door, config *tls.Config) string {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", d.Addr().String(), config)
	if err != nil {
		return "refused"
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, framed(message("A1"))); err != nil {
		return "refused"
	}
	f, err := NewReader(conn, Limits{}).Next()
	if err != nil {
		return "refused"
	}
	return said(f.Body)
}

func TestADoorSpeaksTLS(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "canary others")
	old := func(c *tls.Config) *tls.Config {
		c.MaxVersion = tls.VersionTLS11
		c.MinVersion = tls.VersionTLS10
		return c
	}
	older := func(c *tls.Config) *tls.Config { c.MaxVersion = tls.VersionTLS12; return c }
	expired := func(a *authority) *tls.Config {
		config := a.client("")
		pair, err := tls.X509KeyPair(a.pair("canary", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
		return config
	}
	foreign := func() *tls.Config {
		config := ours.client("")
		config.Certificates = others.client("canary", "his.test").Certificates
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &config.Certificates[0], nil }
		return config
	}
	for _, row := range []struct {
		name   string
		door   func(*contracts.TLSDoor, pki)
		client *tls.Config
		want   string
		says   string // in the log
	}{
		{"1.3, no certificate asked for", nil, ours.client(""), "AA A1", ""},
		{"1.2", nil, older(ours.client("")), "AA A1", ""},
		{"1.1 is too old", nil, old(ours.client("")), "refused", "TLS 1.2 or later"},
		{"a certificate asked for and shown", asking(ours), ours.client("his", "his.test"), "AA A1", ""},
		{"a certificate asked for and shown, 1.2", asking(ours), older(ours.client("his", "his.test")), "AA A1", ""},
		{"none shown", asking(ours), ours.client(""), "refused", "showed no certificate"},
		{"none shown, 1.2", asking(ours), older(ours.client("")), "refused", "showed no certificate"},
		{"one of another authority", asking(ours), foreign(), "refused", "authority"},
		{"one that has expired", asking(ours), expired(ours), "refused", "isn't valid now"},
		{"the right DNS name", asking(ours, "her.test", "HIS.test"), ours.client("canary", "canary.test", "his.test"), "AA A1", ""},
		{"the right common name", asking(ours, "his"), ours.client("his", "canary.test"), "AA A1", ""},
		{"another name", asking(ours, "his.test"), ours.client("canary", "canary.test"), "refused", "none of the names"},
		{"a name within another", asking(ours, "his.test"), ours.client("canary.his.test", "nothis.test"), "refused", "none of the names"},
		{"a client that doesn't trust the door", nil, others.client(""), "refused", "the other side refused it: bad certificate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log spoken
			d, _ := secured(t, ours, &desk{}, log.log(), row.door)
			if got := over(t, d, row.client); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			awaitLog(t, &log, row.says)
			if strings.Contains(log.String(), "canary") {
				t.Errorf("a certificate's subject is in the log")
			}
		})
	}
}

// awaitLog returns when the log holds a text.
func awaitLog(t *testing.T, log *spoken, text string) {
	t.Helper()
	enough := time.After(10 * time.Second)
	for {
		said, more := log.next()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-more:
		case <-enough:
			t.Fatalf("the log never says %q", text)
		}
	}
}

// Somebody who speaks plain MLLP at a door with TLS is told apart, and nothing of what he sent is read or logged.
func TestPlainMLLPAtADoorWithTLS(t *testing.T) {
	var log spoken
	r := &desk{}
	d, _ := secured(t, newAuthority(t, "ours"), r, log.log(), nil)
	exchange(t, d, framed(message("canary")))
	awaitLog(t, &log, "doesn't speak TLS")
	if strings.Contains(log.String(), "canary") || len(r.arrivals()) != 0 {
		t.Error("plain bytes got through, or into the log")
	}
}

// A client that never shakes hands holds up nobody, counts as a connection, and is closed in time.
func TestASilentHandshakeHoldsUpNobody(t *testing.T) {
	ours := newAuthority(t, "ours")
	files := newPKI(t)
	settings := &contracts.TLSDoor{}
	settings.CertFile, settings.KeyFile = files.pair(ours.pair("silta.test", []string{"silta.test"}))
	client := ours.client("")
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		serve(t, newDoor(t, p, &desk{}, contracts.MLLPDoor{TLS: settings, Connections: 2}))
		silent := p.call()
		conn := tls.Client(p.call(), client)
		if _, err := io.WriteString(conn, framed(message("A1"))); err != nil {
			t.Fatal(err)
		}
		if f, err := NewReader(conn, Limits{}).Next(); err != nil || said(f.Body) != "AA A1" {
			t.Errorf("beside a silent one: %s, %v", said(f.Body), err)
		}
		third := p.call()
		if after, _ := closedAfter(third); after != 0 {
			t.Errorf("a third was closed after %v, want at once: the silent one counts", after)
		}
		if after, _ := closedAfter(silent); after != handshakeWithin {
			t.Errorf("the silent one was closed after %v, want %v", after, handshakeWithin)
		}
		conn.Close()
	})
}

// A door that stops waits for no handshake.
func TestAHandshakeEndsWhenTheDoorStops(t *testing.T) {
	ours := newAuthority(t, "ours")
	files := newPKI(t)
	settings := &contracts.TLSDoor{}
	settings.CertFile, settings.KeyFile = files.pair(ours.pair("silta.test", nil))
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		stop := serve(t, newDoor(t, p, &desk{}, contracts.MLLPDoor{TLS: settings}))
		c := p.call()
		synctest.Wait()
		begun := time.Now()
		if err := stop(); err != nil || time.Since(begun) != 0 {
			t.Errorf("stopped with %v after %v", err, time.Since(begun))
		}
		c.Close()
	})
}

// Half-close over TLS is its farewell (close_notify): who says it after a frame still gets the acknowledgement.
func TestASenderThatSaysFarewellStillGetsItsAnswer(t *testing.T) {
	ours := newAuthority(t, "ours")
	d, _ := secured(t, ours, &desk{}, quiet(), nil)
	conn, err := tls.Dial("tcp", d.Addr().String(), ours.client(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, framed(message("A1"))); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	back, err := io.ReadAll(conn)
	if got := answers(t, string(back)); err != nil || len(got) != 1 || got[0] != "AA A1" {
		t.Errorf("got %v, %v", got, err)
	}
}

// New files hold for new connections; those that are open stay, and files that can't be used change nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	var log spoken
	d, files := secured(t, ours, &desk{}, log.log(), asking(ours))
	first, err := tls.Dial("tcp", d.Addr().String(), ours.client("his"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	speak := func(id string) {
		t.Helper()
		if _, err := io.WriteString(first, framed(message(id))); err != nil {
			t.Fatal(err)
		}
		if f, err := NewReader(first, Limits{}).Next(); err != nil || said(f.Body) != "AA "+id {
			t.Fatalf("the open connection got %s, %v", said(f.Body), err)
		}
	}
	speak("A1")

	files.write("cert.pem", []byte("canary"))
	for range 3 {
		if got := over(t, d, ours.client("his")); got != "AA A1" {
			t.Errorf("with a broken certificate: %s, want that the old one holds", got)
		}
	}
	if n := strings.Count(log.String(), "can't be used"); n != 1 || strings.Contains(log.String(), "canary") {
		t.Errorf("the log tells of the broken file %d times, want once and without its content", n)
	}
	if err := os.Remove(files.path("key.pem")); err != nil {
		t.Fatal(err)
	}
	if got := over(t, d, ours.client("his")); got != "AA A1" {
		t.Errorf("without a key: %s, want that the old one holds", got)
	}

	files.pair(others.pair("silta.test", []string{"silta.test"}))
	files.write("clients.pem", others.pem())
	if got := over(t, d, ours.client("his")); got != "refused" {
		t.Errorf("who trusts and shows the old authority: %s", got)
	}
	if got := over(t, d, others.client("his")); got != "AA A1" {
		t.Errorf("who trusts and shows the new authority: %s", got)
	}
	speak("A2")
}

// Files that couldn't be read are tried at the next handshake, though nothing that can be seen of them has changed.
func TestFilesThatCouldNotBeReadAreTriedAgain(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	var log spoken
	d, files := secured(t, ours, &desk{}, log.log(), nil)
	files.pair(others.pair("silta.test", []string{"silta.test"}))
	if err := os.Chmod(files.path("key.pem"), 0o640); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := over(t, d, ours.client("")); got != "AA A1" {
			t.Errorf("with a key that others may read: %s, want that the old one holds", got)
		}
	}
	if n := strings.Count(log.String(), "can't be used"); n != 1 {
		t.Errorf("the log tells of it %d times, want once a change", n)
	}
	if err := os.Chmod(files.path("key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := over(t, d, others.client("")); got != "AA A1" {
		t.Errorf("when it can be used: %s, want the new certificate", got)
	}
}

func TestFilesOfTLSAreChecked(t *testing.T) {
	a := newAuthority(t, "ours")
	for name, row := range map[string]struct {
		spoil func(pki)
		code  string
		file  string
	}{
		"all is well":                {func(pki) {}, "", ""},
		"no certificate":             {func(p pki) { os.Remove(p.path("cert.pem")) }, CodeNoFile, "cert.pem"},
		"no key":                     {func(p pki) { os.Remove(p.path("key.pem")) }, CodeNoFile, "key.pem"},
		"a key that others may read": {func(p pki) { os.Chmod(p.path("key.pem"), 0o640) }, CodeOpenKey, "key.pem"},
		"another key":                {func(p pki) { _, k := a.pair("x", nil); p.write("key.pem", k) }, CodeBrokenFile, "cert.pem"},
		"no PEM":                     {func(p pki) { p.write("cert.pem", []byte("canary")) }, CodeBrokenFile, "cert.pem"},
		"an authority that is none":  {func(p pki) { p.write("ca.pem", []byte("canary")) }, CodeBrokenFile, "ca.pem"},
		"no authority":               {func(p pki) { os.Remove(p.path("ca.pem")) }, CodeNoFile, "ca.pem"},
	} {
		files := newPKI(t)
		door, courier := &contracts.TLSDoor{ClientCAFile: files.write("ca.pem", a.pem())}, &contracts.TLSCourier{CAFile: files.path("ca.pem")}
		door.CertFile, door.KeyFile = files.pair(a.pair("silta.test", nil))
		courier.CertFile, courier.KeyFile = door.CertFile, door.KeyFile
		row.spoil(files)
		_, doorErr := Listen("127.0.0.1:0", "lab", contracts.MLLPDoor{TLS: door}, &desk{}, time.Now, quiet())
		_, courierErr := NewCourier(contracts.MLLPCourier{To: "127.0.0.1:1", TLS: courier}, time.Now, quiet())
		faults := CheckTLS(door, courier)
		if row.code == "" {
			if len(faults) > 0 || doorErr != nil || courierErr != nil {
				t.Errorf("%s: %v, %v, %v", name, faults, doorErr, courierErr)
			}
			continue
		}
		if len(faults) != 2 {
			t.Errorf("%s: %d faults, want one for each side", name, len(faults))
		}
		for _, f := range append(append(faults, contracts.FaultsOf(doorErr)...), contracts.FaultsOf(courierErr)...) {
			if f.Code != row.code || f.File != files.path(row.file) || f.Kind != contracts.Invalid || strings.Contains(f.Public, "canary") {
				t.Errorf("%s: %s at %s", name, f.Code, f.File)
			}
		}
	}
	if faults := CheckTLS(nil, nil); faults != nil {
		t.Errorf("no TLS at all: %v", faults)
	}
}

func TestACourierSpeaksTLS(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	certified := func(a *authority) func(*contracts.TLSCourier, pki) {
		return func(s *contracts.TLSCourier, files pki) {
			s.CertFile, s.KeyFile = files.pair(a.pair("hub", []string{"hub.test"}))
		}
	}
	for _, row := range []struct {
		name  string
		names []string // that the door asks for; none: no certificate
		set   func(*contracts.TLSCourier, pki)
		want  string
		says  string
	}{
		{"by the server's name", nil, nil, "AA delivered", ""},
		{"another name", nil, func(s *contracts.TLSCourier, _ pki) { s.ServerName = "other.test" }, "unavailable MLLP-017", "doesn't hold the server's name"},
		{"the address without a name", nil, func(s *contracts.TLSCourier, _ pki) { s.ServerName = "" }, "unavailable MLLP-017", "doesn't hold the server's name"},
		{"another authority", nil, func(s *contracts.TLSCourier, p pki) { s.CAFile = p.write("ca.pem", others.pem()) }, "unavailable MLLP-017", "authority"},
		{"a certificate of ours", []string{"hub.test"}, certified(ours), "AA delivered", ""},
		{"a certificate that the partner doesn't take", []string{"hub.test"}, certified(others), "", "unavailable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var ask func(*contracts.TLSDoor, pki)
			if row.names != nil {
				ask = asking(ours, row.names...)
			}
			d, _ := secured(t, ours, &desk{}, quiet(), ask)
			files := newPKI(t)
			settings := &contracts.TLSCourier{CAFile: files.write("ca.pem", ours.pem()), ServerName: "silta.test"}
			if row.set != nil {
				row.set(settings, files)
			}
			c := courier(t, d.Addr().String(), func(s *contracts.MLLPCourier) { s.TLS = settings })
			answer, err := c.Deliver(t.Context(), parcel("P1"))
			// In TLS 1.3 the courier learns of it at any moment of the first message: what it tells depends on that moment.
			if got := became(answer, err); got != row.want && row.want != "" {
				t.Errorf("got %s, want %s", got, row.want)
			}
			var certificates *tls.CertificateVerificationError
			if errors.As(err, &certificates) {
				t.Error("the partner's certificates, with their names, are in the error")
			}
			if row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says)) {
				t.Errorf("the fault's text lacks %q: %v", row.says, err)
			}
		})
	}
}

// A partner that listens but never shakes hands is given up within the connect time, and nothing was sent.
func TestAPartnerThatIsSilentInTheHandshake(t *testing.T) {
	files := newPKI(t)
	ca := files.write("ca.pem", newAuthority(t, "ours").pem())
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		c, done := byPipeWith(contracts.MLLPCourier{To: "partner:1", Connect: 10 * time.Second, TLS: &contracts.TLSCourier{CAFile: ca}}, func(_ int, conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, 1)
			<-enough
		})
		defer done()
		defer close(enough)
		begun := time.Now()
		if got := became(c.Deliver(context.Background(), parcel("P1"))); got != "unavailable MLLP-017" || time.Since(begun) != 10*time.Second {
			t.Errorf("%s after %v", got, time.Since(begun))
		}
	})
}

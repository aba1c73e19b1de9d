package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
	"github.com/hoitosilta/silta/testfixtures/hus"
)

// partnerFile is where a configuration has a partner's contract.
func partnerFile(config, partner string) string {
	return filepath.Join(filepath.Dir(config), "contracts/partners", partner+".yaml")
}

// hospital is a HUS that takes everything.
func hospital(t *testing.T) *hus.System {
	t.Helper()
	s, err := hus.Start(hus.Config{Listen: "127.0.0.1:0", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// awaitCount waits until so many messages came.
func awaitCount(t *testing.T, s *hus.System, n int) []hus.Received {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	if err := s.Wait(ctx, func(r []hus.Received) bool { return len(r) >= n }); err != nil {
		t.Fatalf("%d of %d messages came", len(s.Received()), n)
	}
	return s.Received()
}

// insist sends messages one after another, as a partner's system does: what isn't acknowledged is sent again.
func insist(ctx context.Context, door func() string, messages []generate.Message, sent func(int)) error {
	var line *apotti.Line
	for i := 0; i < len(messages); {
		if line == nil {
			var err error
			if line, err = apotti.Dial(ctx, door()); err != nil {
				if ctx.Err() != nil {
					return err
				}
				continue
			}
		}
		answer, err := line.Send(ctx, messages[i].Bytes)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || !answer.Accepted() {
			line.Close()
			line = nil
			continue
		}
		i++
		sent(i)
	}
	return line.Close()
}

// checkOrder compares what came with what was sent: each message, once under one id, in the order of its referral.
func checkOrder(t *testing.T, sent []generate.Message, came []hus.Received) {
	t.Helper()
	last := map[string]int{}
	seen := map[string]int{}
	for _, r := range came {
		for _, m := range sent {
			if !bytes.Contains(r.Body, []byte(m.Mark)) {
				continue
			}
			if seen[m.Control]++; seen[m.Control] > 1 {
				t.Errorf("message %d came under two ids", m.Number)
			}
			if m.Number < last[m.Placer] {
				t.Errorf("message %d of its referral came behind message %d", m.Number, last[m.Placer])
			}
			last[m.Placer] = m.Number
		}
		if r.Changed {
			t.Error("other bytes came under a known id")
		}
	}
	if len(seen) != len(sent) {
		t.Errorf("%d of %d messages came", len(seen), len(sent))
	}
}

func TestReloadsUnderLoadLoseAndReorderNothing(t *testing.T) {
	theirs := hospital(t)
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"))
	edit(t, partnerFile(config, "apotti"), "127.0.0.1:0", freeAddress(t)) // the door's own, over all reloads
	l := start(t, config)
	door := l.apotti()
	const each, times = 20, 10
	messages := referrals(t, "LOAD", 7).Take(each * (times + 1))
	halfway := make(chan struct{}, len(messages))
	ended := make(chan error, 1)
	go func() {
		ended <- insist(t.Context(), func() string { return door }, messages, func(n int) {
			if n%each == 0 {
				halfway <- struct{}{}
			}
		})
	}()
	idle := "2m"
	for i := range times {
		<-halfway
		switch next := (time.Duration(i) + 3) * time.Minute; i % 3 {
		case 0: // the door is another one, at the same address
			if i == 0 {
				edit(t, partnerFile(config, "apotti"), `mllp: {listen: "`+door+`"}`, `mllp: {listen: "`+door+`", idle: `+idle+`}`)
			} else {
				edit(t, partnerFile(config, "apotti"), "idle: "+idle, "idle: "+next.String())
				idle = next.String()
			}
		case 1: // how HUS is tried again
			edit(t, partnerFile(config, "hus"), "", map[bool]string{true: "\nretry: {first: 2s}\n", false: "\n"}[i == 1])
		}
		if code, stdout, stderr := silta(t, "", append([]string{"reload"}, l.control...)...); code != exitDone {
			t.Fatalf("reload %d exits %d: %s%s", i, code, stdout, stderr)
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	checkOrder(t, messages, awaitCount(t, theirs, len(messages)))
}

// freeAddress is a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAReloadWithFaultsChangesNothingAndTellsThemAll(t *testing.T) {
	theirs := hospital(t)
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"))
	l := start(t, config)
	before := l.hub
	edit(t, partnerFile(config, "apotti"), "map: ref-i12", "map: no-such-map")
	edit(t, partnerFile(config, "apotti"), "map: rri-i12", "map: none-either")
	code, _, stderr := silta(t, "", append([]string{"reload", "--format", "json"}, l.control...)...)
	if code != exitUsage || !strings.Contains(stderr, "no-such-map") || !strings.Contains(stderr, "none-either") || strings.Count(stderr, "CFG-031") != 2 {
		t.Errorf("a reload with two faults exits %d and says: %s", code, stderr)
	}
	if l.hub != before {
		t.Error("the hub is another one")
	}
	m := referrals(t, "SAME", 1).Next()
	l.send(m)
	awaitCount(t, theirs, 1)
}

// A map's next version comes while messages wait for their receiver: what was translated goes as it is, what comes
// after goes by the new version, and the order stays.
func TestAMapChangesDuringADrain(t *testing.T) {
	theirs := hospital(t)
	if err := theirs.Behave(hus.Behaviour{Down: true}); err != nil {
		t.Fatal(err)
	}
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"))
	edit(t, partnerFile(config, "hus"), "", "\nretry: {first: 10ms, max: 20ms, pause: 5, probe: 20ms}\n")
	l := start(t, config)
	const each = 20
	messages := referrals(t, "DRAIN", 5).Take(2 * each)
	for _, m := range messages[:each] {
		l.send(m)
	}
	for range each {
		l.step(contracts.StepTranslated, "hus")
	}
	text, err := fs.ReadFile(mappings.Embedded, "catalog/ref-i12/0.1.0/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(filepath.Dir(config), "mappings/catalog/ref-i12/0.9.0/map.yaml")
	if err := os.MkdirAll(filepath.Dir(next), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(next, bytes.Replace(text, []byte("version: 0.1.0"), []byte("version: 0.9.0"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Behave(hus.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := silta(t, "", append([]string{"reload"}, l.control...)...); code != exitDone {
		t.Fatalf("the reload exits %d: %s%s", code, stdout, stderr)
	}
	for _, m := range messages[each:] {
		l.send(m)
	}
	checkOrder(t, messages, awaitCount(t, theirs, len(messages)))
	rows, err := l.hub.List(t.Context(), contracts.Filter{Partner: "apotti"})
	if err != nil || len(rows) != len(messages) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows { // newest first
		want := "ref-i12@0.9.0"
		if i >= each {
			want = "ref-i12@0.1.0"
		}
		if row.Map != want {
			t.Errorf("row %d was translated by %s, want %s", i, row.Map, want)
		}
	}
}

func TestWhatOnlyARestartChangesIsToldAtAReload(t *testing.T) {
	config := configured(t, "http://127.0.0.1:1")
	l := start(t, config)
	edit(t, config, "dir: data", "dir: elsewhere")
	edit(t, config, "localhost:0", "localhost:1")
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), "secrets/hub.secret"), newSecret(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := l.Reload(t.Context())
	var places []string
	for _, f := range contracts.FaultsOf(err) {
		if f.Code != "CFG-062" {
			t.Errorf("another fault: %v", f)
		}
		places = append(places, f.At)
	}
	if got := strings.Join(places, " "); got != "dir secretFile fhir.listen" {
		t.Errorf("what can't change is said to be %q", got)
	}
}

// addPartner writes a contract that is HUS's under another name and address, with a token, and routes requests to it.
func addPartner(t *testing.T, config, id, url string) {
	t.Helper()
	b, err := os.ReadFile(partnerFile(config, "hus"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "courier:")
	contract := "silta: partner/v1\nid: " + id + "\ntitle: {en: " + id + ", fi: " + id + ", sv: " + id + "}\n" +
		"dialect: {format: fhir, version: 4.0.1, zone: Europe/Helsinki}\ncourier:\n  fhir: {url: \"" + url + "/fhir\"}\n" + rest[strings.Index(rest, "\naccepts"):]
	if err := os.WriteFile(partnerFile(config, id), []byte(contract), 0o644); err != nil {
		t.Fatal(err)
	}
	edit(t, partnerFile(config, "apotti"), "to: [hus]", "to: [hus, "+id+"]")
}

func TestAPartnerComesByASignalAndGoesWhenItsMessagesAreDelivered(t *testing.T) {
	theirs, third := hospital(t), newWard(t)
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"), "stop: 4s")
	l := start(t, config)
	read := make(chan struct{}, 1)
	l.mu.Lock()
	reread := l.reread
	l.reread = func() (settings, agreements, error) { read <- struct{}{}; return reread() }
	l.mu.Unlock()

	addPartner(t, config, "third", third.URL)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-read
	l.mu.Lock() // the reload is done when it lets go
	known := l.posts["third"] != nil
	l.reread = reread
	l.mu.Unlock()
	if !known {
		t.Fatal("the new partner has no place in the house")
	}
	m := referrals(t, "GOES", 1).Next()
	l.send(m)
	awaitCount(t, theirs, 1)
	third.await(t)

	edit(t, partnerFile(config, "apotti"), "to: [hus, third]", "to: [hus]")
	if err := os.Remove(partnerFile(config, "third")); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := silta(t, "", append([]string{"reload"}, l.control...)...)
	if code != exitFaulty || !strings.Contains(stderr, "CFG-064") || !strings.Contains(stderr, "third") {
		t.Errorf("a partner with a message on its way goes: exit %d: %s", code, stderr)
	}
	close(third.status) // it answers now
	l.step(contracts.StepDelivered, "third")
	code, stdout, stderr := silta(t, "", append([]string{"reload", "--format", "json"}, l.control...)...)
	var reloaded contracts.Reloaded
	if err := json.Unmarshal([]byte(stdout), &reloaded); code != exitDone || err != nil || strings.Join(reloaded.Changed, " ") != "apotti third" || reloaded.Partners != 2 {
		t.Errorf("the partner without messages doesn't go: exit %d: %s%s", code, stdout, stderr)
	}
}

// forgetful is a bus that can't write how far its groups are while it is full.
type forgetful struct {
	hub.Bus
	full *atomic.Bool
}

func (b forgetful) Consume(ctx context.Context, topic, group string, lanes int, handle func(context.Context, contracts.Record) error) error {
	err := b.Bus.Consume(ctx, topic, group, lanes, handle)
	if b.full.Load() {
		return contracts.Faultf(contracts.Unavailable, "BUS-004", "", "The disk is full.")
	}
	return err
}

func TestLanesThatStopWithAFaultGoOnAfterAReload(t *testing.T) {
	theirs := hospital(t)
	l := start(t, configured(t, strings.TrimSuffix(theirs.URL(), "/fhir")))
	var full atomic.Bool
	l.mu.Lock()
	l.bus = forgetful{l.bus, &full} // from the next reload on
	l.mu.Unlock()
	for i := range 3 {
		full.Store(i > 0)
		if _, err := l.Reload(t.Context()); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
	}
	full.Store(false)
	l.send(referrals(t, "FULL", 1).Next())
	awaitCount(t, theirs, 1)
}

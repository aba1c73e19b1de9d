package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// partnerAt is a partner's system that asks a FHIR door.
type partnerAt struct {
	t           *testing.T
	door, token string
}

// ask makes a request and gives its status and body.
func (p partnerAt) ask(method, path, contentType string, body []byte) (int, []byte) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.door+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+p.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, answer
}

func (p partnerAt) post(body []byte) int {
	status, _ := p.ask("POST", "/$process-message", "application/fhir+json", body)
	return status
}

// told reads a resource that the door shows.
func (p partnerAt) told(path string) fhir.Node {
	p.t.Helper()
	status, body := p.ask("GET", path, "", nil)
	tree, err := fhir.Parse(body)
	if err != nil || status != http.StatusOK {
		p.t.Fatalf("%s: %d, %v", path, status, err)
	}
	return tree.Root()
}

// messageOf is a message of an event under a control id: our example, or the request's with that event where there is none.
func messageOf(t *testing.T, event, control string) []byte {
	t.Helper()
	b, err := profiles.Read("examples/" + event + ".json")
	if err != nil {
		if b, err = profiles.Read("examples/request.json"); err != nil {
			t.Fatal(err)
		}
		b = bytes.Replace(b, []byte(`"code": "request"`), []byte(`"code": "`+event+`"`), 1)
	}
	head, err := fhir.ScanMessage(b)
	if err != nil || head.Event != event {
		t.Fatalf("the message of %s is of %s: %v", event, head.Event, err)
	}
	return bytes.Replace(b, []byte(`"`+head.Control.Value+`"`), []byte(`"`+control+`"`), 1)
}

// TestWhatTheDoorTellsIsTrue does all that HUS's capability statement says, and what it doesn't say.
func TestWhatTheDoorTellsIsTrue(t *testing.T) {
	theirs := hospital(t)
	config := configured(t, strings.TrimSuffix(theirs.URL(), "/fhir"))
	edit(t, partnerFile(config, "hus"), "hus.token", "hus.token, maxBytes: 30000")
	l := start(t, config)
	token, err := l.settings.secret("secrets/hus.token")
	if err != nil {
		t.Fatal(err)
	}
	hus := partnerAt{t, l.addresses().Doors["hus"], string(token)}
	statement := hus.told("/metadata")

	events := map[string][]string{}
	for m := range statement.Get("messaging").At(0).Get("supportedMessage").Each() {
		found := hus.told("/MessageDefinition?url=" + m.Get("definition").Text()).Get("entry")
		mode, event := m.Get("mode").Text(), found.At(0).Get("resource").Get("eventCoding").Get("code").Text()
		if found.Len() != 1 {
			t.Errorf("%d definitions are %s", found.Len(), m.Get("definition").Text())
		}
		events[mode] = append(events[mode], event)
	}
	for i, event := range profiles.Events() {
		want := http.StatusUnprocessableEntity
		if slices.Contains(events["receiver"], event) {
			want = http.StatusOK
		}
		if got := hus.post(messageOf(t, event, fmt.Sprintf("TOLD-%d", i))); got != want {
			t.Errorf("%s is answered by %d, want %d", event, got, want)
		}
	}

	// What is said to be sent is sent, and nothing else: each of Apotti's events, on its way.
	for i, typ := range []string{"REF^I12^REF_I12", "REF^I13^REF_I12", "REF^I14^REF_I12", "REF^I15^REF_I12"} {
		control := fmt.Sprintf("SENT-%d", i)
		body := strings.Replace(madeUp(control, typ, "R"), "|||||L-", "||||L-", 1) // RF1-6: a referral of its own
		if code, stdout, stderr := silta(t, body, "hl7", "send", "--to", l.apotti(), "-"); code != exitDone {
			t.Fatalf("%s: %d %s%s", typ, code, stdout, stderr)
		}
	}
	var came []string
	for _, r := range awaitCount(t, theirs, 4) {
		came = append(came, r.Event)
	}
	slices.Sort(came)
	slices.Sort(events["sender"])
	if !slices.Equal(came, events["sender"]) {
		t.Errorf("HUS gets %v, and was told of %v", came, events["sender"])
	}

	// The limit, to the byte.
	limit, err := strconv.Atoi(regexp.MustCompile(`(\d+) bytes`).FindStringSubmatch(statement.Get("rest").At(0).Get("documentation").Text())[1])
	if err != nil {
		t.Fatal(err)
	}
	whole := messageOf(t, profiles.Feedback, "LIMIT-1")
	whole = append(whole, bytes.Repeat([]byte(" "), limit-len(whole))...)
	if got := hus.post(whole); got != http.StatusOK {
		t.Errorf("%d bytes are answered by %d", limit, got)
	}
	if got := hus.post(append(messageOf(t, profiles.Feedback, "LIMIT-2"), bytes.Repeat([]byte(" "), limit)...)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("more than %d bytes are answered by %d", limit, got)
	}

	if formats := statement.Get("format"); formats.Len() != 1 || !formats.At(0).Is("json") {
		t.Error("the formats aren't JSON alone")
	}
	if got, body := hus.ask("POST", "/$process-message", "application/fhir+xml", []byte("<Bundle/>")); got != http.StatusUnsupportedMediaType || !bytes.Contains(body, []byte("application/fhir+json")) {
		t.Errorf("XML is answered by %d", got)
	}
	hus.token = ""
	if got := hus.post(messageOf(t, profiles.Feedback, "TOKEN-1")); got != http.StatusUnauthorized {
		t.Errorf("a message without a token is answered by %d", got)
	}
}

func TestTheDoorsAddressIsChecked(t *testing.T) {
	config := installation(t)
	edit(t, config, "fhir:\n", "fhir:\n  url: silta.example.org/fhir\n")
	_, err := readSettings(config)
	if faults := contracts.FaultsOf(err); len(faults) != 1 || faults[0].Code != "CFG-040" || !strings.Contains(faults[0].Public, "https") {
		t.Errorf("an address without a scheme is told as %v", err)
	}
	edit(t, config, "silta.example.org/fhir", "https://silta.example.org/fhir")
	s, err := readSettings(config)
	if err != nil || s.FHIR.URL != "https://silta.example.org/fhir" {
		t.Errorf("the address is %q: %v", s.FHIR.URL, err)
	}
}

package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/embedded"
	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// passing is a hub between a ward and a laboratory that both speak HL7 v2, with routes by message type.
type passing struct {
	*testing.T
	hub       *hub.Hub
	ward, lab *receiver
	parked    chan contracts.Step
}

func openPassing(t *testing.T) *passing {
	t.Helper()
	p := &passing{T: t, ward: newReceiver(), lab: newReceiver(), parked: make(chan contracts.Step, 100)}
	dir := t.TempDir()
	bus, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	records, err := ledger.Open(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := contracts.NewSecret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	contract := func(id, to string) *contracts.Partner {
		c, err := contracts.ReadPartner(id+".yaml", fmt.Appendf(nil, `silta: partner/v1
id: %s
dialect: {format: hl7v2, version: 2.5.1, names: {application: %s, facility: HUS, ourApplication: SILTA, ourFacility: HELSINKI}}
door: {mllp: {listen: "127.0.0.1:0"}}
courier: {mllp: {to: "127.0.0.1:1"}}
keys: {ORM: [ORC-2]}
routes: [{types: ["ORM^O01", "ORR^*"], to: [%s]}]
retry: {first: 2ms, max: 4ms, limit: 10s, spill: 5s, pause: 50, probe: 5ms}
`, id, strings.ToUpper(id), to))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	log := logrus.New()
	log.SetOutput(t.Output())
	p.hub, err = hub.New(t.Context(), hub.Config{Partners: []*contracts.Partner{contract("ward", "lab"), contract("lab", "ward")},
		Maps: maps, Bus: bus, Ledger: records, Couriers: map[string]hub.Courier{"ward": p.ward, "lab": p.lab}, Secret: secret, Now: time.Now, Log: log,
		Watch: func(s contracts.Step) {
			if s.Step == contracts.StepParked {
				p.parked <- s
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.hub.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, bus.Close(), records.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *passing) send(from, message string) contracts.Receipt {
	p.Helper()
	r, err := p.hub.Receive(p.Context(), contracts.Arrival{Partner: from, Format: contracts.FormatV2, Body: contracts.NewBody([]byte(message))})
	if err != nil || r.Fault != nil {
		p.Fatalf("received with %v, %v", r.Fault, err)
	}
	return r
}

func TestAMessageIsPassedOnUnderOurAddresses(t *testing.T) {
	p := openPassing(t)
	rest := "PID|1||010101-900A^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa\rORC|NW|O-1\rZXX|as it ~came^here|\\X0D\\||\r"
	p.send("ward", "MSH|^~\\&|WARD|HUS|SILTA|HELSINKI|20260302091500||ORM^O01|W1|P|2.5.1||||||UNICODE UTF-8\r"+rest)
	p.lab.await(t, 1)
	out := p.lab.parcels()[0]
	head, body, _ := bytes.Cut(out.Body.Bytes(), []byte("\r"))
	if string(body) != rest {
		t.Error("what isn't an address was written anew")
	}
	fields := strings.Split(string(head), "|")
	if got := strings.Join(fields[2:6], "|"); got != "SILTA|HELSINKI|LAB|HUS" {
		t.Errorf("the addresses are %s", got)
	}
	if fields[9] != out.Control || out.Control != out.ID.Control() {
		t.Error("the message doesn't leave under an id of ours")
	}
	// Its answer names that id, and comes home under the one that the ward gave.
	p.send("lab", "MSH|^~\\&|LAB|HUS|SILTA|HELSINKI|20260302091600||ORR^O02|L1|P|2.5.1||||||UNICODE UTF-8\rMSA|AA|"+out.Control+"\rORC|OK|O-1\r")
	p.ward.await(t, 1)
	home := string(p.ward.parcels()[0].Body.Bytes())
	if !strings.Contains(home, "\rMSA|AA|W1\r") {
		t.Error("the answer doesn't name the ward's own message")
	}
	trace, err := p.hub.Trace(t.Context(), "O-1")
	if err != nil || trace.State != "passed" {
		t.Fatalf("the order's journey is %q (%v)", trace.State, err)
	}
	received := 0
	for _, s := range trace.Steps {
		if s.Step == contracts.StepReceived {
			received++
		}
	}
	if received != 2 {
		t.Errorf("%d messages are in the order's journey, want 2", received)
	}
}

func TestWhatNoRouteTakesParks(t *testing.T) {
	p := openPassing(t)
	r := p.send("ward", "MSH|^~\\&|WARD|HUS|SILTA|HELSINKI|20260302091500||ADT^A08|W2|P|2.5.1||||||UNICODE UTF-8\rPID|1||7^^^W^PI\r")
	select {
	case s := <-p.parked:
		if s.Message != r.ID || s.Fault == nil || s.Fault.Code != "HUB-032" {
			t.Errorf("parked with %v", s.Fault)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it doesn't park")
	}
}

// Messages that name no order are kept in order by their patient, also while the first of them is tried again.
func TestAPatientsMessagesLeaveInOrder(t *testing.T) {
	p := openPassing(t)
	failed := 0
	p.lab.answers(func(c contracts.Parcel) (contracts.Answer, error) {
		if bytes.Contains(c.Body.Bytes(), []byte("|number 0")) && failed < 5 {
			failed++
			return contracts.Answer{}, contracts.Faultf(contracts.Unavailable, "TEST-001", "", "Not now.")
		}
		return contracts.Answer{}, nil
	})
	const n = 6
	for i := range n {
		p.send("ward", fmt.Sprintf("MSH|^~\\&|WARD|HUS|SILTA|HELSINKI|20260302091500||ORM^O01|W%d|P|2.5.1||||||UNICODE UTF-8\rPID|1||7^^^W^PI\rNTE|1||number %d\r", 10+i, i))
	}
	p.lab.await(t, n)
	for i, c := range p.lab.parcels() {
		if !bytes.Contains(c.Body.Bytes(), fmt.Appendf(nil, "|number %d\r", i)) {
			t.Fatalf("the patient's messages came in another order than they were sent")
		}
	}
}

package custody

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// What a partner's application says after its accept acknowledgement is kept and shown, by whichever way it comes.
func TestWhatAnApplicationSaysLater(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name    string
		onLine  func(told) string // behind CA, on the courier's connection
		atDoor  func(told) string // through the partner's door
		another bool              // it names another message
		decides bool              // by contract the application's word decides
	}{
		{name: "AE-on-the-connection", onLine: acks("AE", "101")},
		{name: "AR-through-the-door", atDoor: acks("AR", "200")},
		{name: "AA-through-the-door", atDoor: acks("AA")},
		{name: "AE-to-nothing", atDoor: acks("AE", "101"), another: true},
		{name: "AE-that-decides", atDoor: acks("AE", "101"), decides: true},
	} {
		t.Run(way.name, func(t *testing.T) {
			want := laterInDocs(t)[way.name]
			answer := acks("CA")
			if way.onLine != nil {
				answer = func(m told) string { return acks("CA")(m) + way.onLine(m) }
			}
			p := newPeer(t, speaksMLLP, says(answer))
			state := contracts.StateDelivered
			courier := mllpCourier(t, p.address, func(c *contracts.MLLPCourier) {
				if way.decides {
					state, c.Acknowledgement = contracts.StateParked, contracts.AckApplication
				}
			})
			h := wired(t, []lab{{"lab", strings.ReplaceAll(labMLLP, "map: wire}", "map: wire-both}"), patient, courier}})
			courier.Forward("lab", h.hub)
			door := openDoor(t, "lab", h.hub, mllp.WithAcknowledgements(courier.Offer))
			receipt := h.send("to-lab", message("M-1", "request", "R-1", "one"))
			if !way.decides {
				h.await(contracts.StepDelivered, "")
			}
			m := <-p.came
			acknowledgement := "K" + m.id // its own control id
			if way.another {
				m.id = "NOBODYS"
				acknowledgement = "KNOBODYS"
			}
			if way.atDoor != nil {
				say(t, door, way.atDoor(m))
			}
			h.await(want[len(want)-2], acknowledgement)
			rows, err := h.hub.Find(t.Context(), acknowledgement)
			if err != nil || len(rows) != 1 || string(rows[0].State) != want[len(want)-1] {
				t.Fatalf("the acknowledgement's row: %+v, %v", rows, err)
			}
			steps, err := h.ledger.MessageSteps(t.Context(), rows[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range steps {
				if s.Step == contracts.StepWaiting && !slices.Contains(want, s.Step) {
					continue // it came while the delivery wasn't decided
				}
				names = append(names, s.Step)
			}
			if got, want := strings.Join(names, " "), strings.Join(want[:len(want)-1], " "); got != want {
				t.Errorf("its steps are %s, want %s", got, want)
			}
			if s := h.state("M-1"); s != state {
				t.Errorf("the message is %s, want %s", s, state)
			}
			if trace, err := h.hub.Trace(t.Context(), string(receipt.ID)); !way.another && (err != nil || !strings.Contains(stepsOf(trace, acknowledgement), want[len(want)-2])) {
				t.Errorf("the acknowledgement isn't in the message's journey: %v", err)
			}
			if way.another || way.decides {
				return
			}
			h.send("to-lab", message("M-2", "update", "R-1", "two")) // nothing waits behind a refusal
			h.await(contracts.StepDelivered, "")
		})
	}
}

// stepsOf are those of one control id in a trace.
func stepsOf(trace contracts.Trace, control string) string {
	var names []string
	for _, s := range trace.Steps {
		if s.Control == control {
			names = append(names, s.Step)
		}
	}
	return strings.Join(names, " ")
}

// laterInDocs gives, by case, the acknowledgement's steps and at last its state, as docs/delivery.md has them.
func laterInDocs(t *testing.T) map[string][]string {
	rows := map[string][]string{}
	for _, cells := range tableRows(t, "delivery.md") {
		if name, ok := strings.CutPrefix(cells[0], "TestWhatAnApplicationSaysLater/"); ok {
			rows[name] = append(strings.Fields(cells[2]), cells[3])
		}
	}
	if len(rows) != 5 {
		t.Fatalf("docs/delivery.md has %d rows of what an application says later", len(rows))
	}
	return rows
}

// openDoor opens a partner's own door.
func openDoor(t *testing.T, partner string, r *hub.Hub, opts ...mllp.Option) (address string) {
	t.Helper()
	door, err := mllp.Listen("127.0.0.1:0", partner, contracts.MLLPDoor{}, r, time.Now, quiet(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- door.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return door.Addr().String()
}

// say sends a frame that calls for no answer, and waits until the door has closed the connection.
func say(t *testing.T, address, frame string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, frame); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || len(answer) > 0 {
		t.Errorf("the door answered an acknowledgement with %d bytes, %v", len(answer), err)
	}
}

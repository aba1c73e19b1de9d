package custody

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

func unavailable(p contracts.Parcel) (contracts.Answer, error) {
	return contracts.Answer{Unknown: true}, contracts.Faultf(contracts.Unavailable, "T-1", "", "down")
}

func refusing(control string) func(contracts.Parcel) (contracts.Answer, error) {
	return func(p contracts.Parcel) (contracts.Answer, error) {
		if strings.Contains(string(p.Body.Bytes()), control) {
			return contracts.Answer{Code: "422"}, contracts.Faultf(contracts.Refused, "T-2", "", "no")
		}
		return contracts.Answer{}, nil
	}
}

func TestAReferralGoesAndItsAnswerComesHome(t *testing.T) {
	h := open(t)
	if r := h.send("clinic", message("C-1", "request", "R-1", "one")); r.Fault != nil || r.Claim != contracts.ClaimNew {
		t.Fatalf("the receipt: %+v", r)
	}
	h.hus.await(t, 1)
	sent := h.hus.parcels()[0]
	if !strings.Contains(string(sent.Body.Bytes()), `"value":"`+sent.Control+`"`) || sent.Control == "C-1" {
		t.Error("the message didn't leave under an id of the hub's own")
	}
	h.await(contracts.StepDelivered, sent.Control)
	h.send("hus", answer("H-1", "response-accepted", sent.Control))
	h.clinic.await(t, 1)
	if body := string(h.clinic.parcels()[0].Body.Bytes()); !strings.Contains(body, `"response":{"identifier":"C-1"`) {
		t.Error("the answer doesn't name the id that the clinic gave")
	}
	h.await(contracts.StepDelivered, h.clinic.parcels()[0].Control)
	for _, id := range []string{"C-1", "R-1", sent.Control, "H-1"} {
		trace, err := h.hub.Trace(t.Context(), id)
		if err != nil || trace.State != "accepted" {
			t.Fatalf("trace by %s: state %q, %v", id, trace.State, err)
		}
		var steps []string
		for _, s := range trace.Steps {
			steps = append(steps, s.Step)
		}
		want := "received translated readdress sending delivered received correlated translated readdress sending delivered"
		if got := strings.Join(steps, " "); got != want {
			t.Errorf("trace by %s:\n got %s\nwant %s", id, got, want)
		}
	}
}

func TestRepeatsConflictsAndWhatIsNoMessage(t *testing.T) {
	h := open(t)
	body := message("C-1", "request", "R-1", "one")
	first := h.send("clinic", body)
	again := h.send("clinic", body)
	if again.Claim != contracts.ClaimSame || again.ID != first.ID || !again.At.Equal(first.At) {
		t.Errorf("a repeat: %+v after %+v", again, first)
	}
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		t.Fatal(err)
	}
	respelled, _ := json.MarshalIndent(tree, "", "   ")
	if r := h.send("clinic", respelled); r.Claim != contracts.ClaimSame {
		t.Errorf("the same message serialised again: %+v", r)
	}
	other := h.send("clinic", message("C-1", "request", "R-1", "two"))
	if other.Fault == nil || other.Fault.Kind != contracts.Conflict || other.Fault.ErrorCode != "205" {
		t.Errorf("other bytes under the same id: %+v", other.Fault)
	}
	for what, b := range map[string]string{"no JSON": "hello", "no Bundle": `{"resourceType":"Patient"}`, "no message": `{"resourceType":"Bundle","type":"collection","id":"x"}`,
		"no id": `{"resourceType":"Bundle","type":"message","entry":[]}`} {
		r := h.send("clinic", []byte(b))
		if r.Fault == nil || r.Fault.Kind != contracts.Malformed {
			t.Errorf("%s: %+v", what, r.Fault)
		}
	}
	stranger, err := h.hub.Receive(t.Context(), contracts.Arrival{Partner: "nobody", Format: contracts.FormatFHIR, Body: contracts.NewBody(body)})
	if err != nil || stranger.Fault == nil || stranger.Fault.Kind != contracts.Unroutable {
		t.Errorf("an unknown partner: %+v, %v", stranger.Fault, err)
	}
	h.hus.await(t, 1)
	for range 6 {
		h.await(contracts.StepRefused, "")
	}
	h.stop()
	if n := len(h.hus.parcels()); n != 1 {
		t.Errorf("HUS got %d messages, want 1", n)
	}
	h.start()
	rows, err := h.hub.List(t.Context(), contracts.Filter{State: contracts.StateRefused})
	if err != nil || len(rows) != 6 {
		t.Errorf("%d refused messages are kept and shown (%v), want 6", len(rows), err)
	}
	if _, err := h.hub.Show(t.Context(), contracts.ShowRequest{Message: string(rows[0].ID), View: contracts.ViewRaw}); contracts.KindOf(err) != contracts.Denied {
		t.Errorf("a body was shown without a reason: %v", err)
	}
	if shown, err := h.hub.Show(t.Context(), contracts.ShowRequest{Message: string(rows[0].ID), View: contracts.ViewRaw, Reason: "test"}); err != nil || shown.Body.Len() == 0 {
		t.Errorf("the kept bytes: %v, %v", shown.Body, err)
	}
}

func TestOneReferralStandsStillAndAllOthersFlow(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing("R-bad"))
	h.send("clinic", message("B-1", "request", "R-bad", "1"))
	h.send("clinic", message("B-2", "update", "R-bad", "2"))
	for i := range 20 {
		h.send("clinic", message(fmt.Sprint("G-", i), "request", fmt.Sprint("R-", i), "1"))
	}
	h.hus.await(t, 20)
	h.await(contracts.StepParked, "")
	h.await(contracts.StepWaiting, "")
	if a, b := h.state("B-1"), h.state("B-2"); a != contracts.StateParked || b != contracts.StateWaiting {
		t.Fatalf("the referral that HUS refuses: first %s, second %s", a, b)
	}
	if f := h.delivery("B-2").Fault; f == nil || f.Code != "HUB-043" || f.At != "message "+string(h.delivery("B-1").ID) || !strings.Contains(f.Public, "parked") {
		t.Errorf("the second says %v, want that it waits behind the first", f)
	}
	h.stop() // what is parked is parked after a restart as well
	h.start()
	h.hus.answers(nil)
	if err := h.hub.Release(t.Context(), "B-1", "mended at HUS", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 2)
	if got := h.hus.order(t, "R-bad"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("released in the order %v", got)
	}
	h.await(contracts.StepDelivered, "")
	h.await(contracts.StepDelivered, "")
	h.send("clinic", message("B-3", "update", "R-bad", "3"))
	h.hus.await(t, 1)
	if got := h.hus.order(t, "R-bad"); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the key lives again in the order %v", got)
	}
}

func TestAStoppedMessageIsNotSentAndItsKeyFlowsOn(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing(`"first"`))
	h.send("clinic", message("B-1", "request", "R-1", "first"))
	h.send("clinic", message("B-2", "update", "R-1", "second"))
	h.await(contracts.StepWaiting, "")
	if _, err := h.hub.Stop(t.Context(), "B-1", "sent by phone", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"second"}) {
		t.Errorf("HUS got %v", got)
	}
	h.await(contracts.StepDelivered, "")
	if s := h.state("B-1"); s != contracts.StateStopped {
		t.Errorf("the stopped message is %s", s)
	}
	if _, err := h.hub.Stop(t.Context(), "B-2", "", "op"); contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("stopping what is delivered: %v", err)
	}
}

func TestAPartnerThatComesBackGetsEverythingInOrder(t *testing.T) {
	h := open(t)
	h.hus.answers(unavailable)
	const keys, each = 5, 4
	for i := range each {
		for k := range keys {
			event := "update"
			if i == 0 {
				event = "request"
			}
			h.send("clinic", message(fmt.Sprint("C-", k, "-", i), event, fmt.Sprint("R-", k), fmt.Sprint(i)))
		}
	}
	for len(h.hub.Ready(t.Context()).Paused) == 0 {
		h.await(contracts.StepRetried, "")
	}
	h.stop()
	h.start()
	h.hus.answers(nil)
	h.hus.await(t, keys*each)
	for k := range keys {
		if got := h.hus.order(t, fmt.Sprint("R-", k)); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
			t.Errorf("referral %d came as %v", k, got)
		}
	}
	ids := map[contracts.ID]bool{}
	for _, p := range h.hus.parcels() {
		if ids[p.ID] {
			t.Errorf("%s came twice", p.ID)
		}
		ids[p.ID] = true
	}
}

func TestAnAnswerToNothingWaitsForItsRequest(t *testing.T) {
	h := open(t)
	h.send("hus", answer("H-1", "response-accepted", "NOBODYS"))
	h.await(contracts.StepWaiting, "H-1")
	if s := h.state("H-1"); s != contracts.StateWaiting {
		t.Errorf("the answer is %s", s)
	}
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	h.hus.await(t, 1)
	h.send("hus", answer("H-2", "response-accepted", h.hus.parcels()[0].Control))
	h.clinic.await(t, 1) // another answer isn't held up
}

// A 409 is taken for a delivery only after an attempt whose outcome is unknown, so the courier must be told rightly.
func TestACourierIsToldOfARepeatOnlyWhenOneMayHaveArrived(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		h := open(t)
		var repeats []bool
		h.hus.answers(func(p contracts.Parcel) (contracts.Answer, error) {
			repeats = append(repeats, p.Repeat)
			switch len(repeats) {
			case 1:
				return contracts.Answer{}, contracts.Faultf(contracts.Unavailable, "T-1", "", "no connection")
			case 2:
				return contracts.Answer{Unknown: unknown}, contracts.Faultf(contracts.Unavailable, "T-1", "", "reset")
			case 3:
				return contracts.Answer{}, contracts.Faultf(contracts.Unavailable, "T-1", "", "no connection")
			}
			return contracts.Answer{}, nil
		})
		h.send("clinic", message("C-1", "request", "R-1", "one"))
		h.hus.await(t, 1)
		h.stop()
		if want := []bool{false, false, unknown, unknown}; !slices.Equal(repeats, want) {
			t.Errorf("the second outcome unknown %v: repeats %v, want %v", unknown, repeats, want)
		}
	}
}

func TestTheHubEndsAtOnceThoughAPartnerIsAway(t *testing.T) {
	h := open(t)
	h.hus.answers(func(p contracts.Parcel) (contracts.Answer, error) {
		return contracts.Answer{}, contracts.Faultf(contracts.Unavailable, "T-1", "", "away")
	})
	for i := range 10 {
		h.send("clinic", message(fmt.Sprint("C-", i), "request", fmt.Sprint("R-", i), "one"))
	}
	for len(h.hub.Ready(t.Context()).Paused) == 0 {
		h.await(contracts.StepRetried, "")
	}
	ended := make(chan struct{})
	go func() { h.stop(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the hub waits for a partner that is away")
	}
	h.start()
	h.hus.answers(nil)
	h.hus.await(t, 10)
}

func TestAPartnerThatFailsForOneReferralIsNotPaused(t *testing.T) {
	h := open(t)
	h.hus.answers(func(p contracts.Parcel) (contracts.Answer, error) {
		if strings.Contains(string(p.Body.Bytes()), "R-bad") {
			return contracts.Answer{Code: "500"}, contracts.Faultf(contracts.Unavailable, "T-3", "", "it stumbles")
		}
		return contracts.Answer{}, nil
	})
	h.send("clinic", message("B-1", "request", "R-bad", "1"))
	h.await(contracts.StepParked, "") // after the contract's limit
	if paused := h.hub.Ready(t.Context()).Paused; len(paused) > 0 {
		t.Errorf("paused: %v", paused)
	}
	h.send("clinic", message("G-1", "request", "R-good", "1"))
	h.hus.await(t, 1)
	if s := h.state("B-1"); s != contracts.StateParked {
		t.Errorf("what HUS never takes is %s", s)
	}
}

func TestStoppingWhatWaitsLeavesItsKeyParked(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing(`"first"`))
	h.send("clinic", message("B-1", "request", "R-1", "first"))
	h.send("clinic", message("B-2", "update", "R-1", "second"))
	h.await(contracts.StepWaiting, "")
	if _, err := h.hub.Stop(t.Context(), "R-1", "", "op"); contracts.KindOf(err) != contracts.Conflict {
		t.Errorf("an id of two held messages: %v", err)
	}
	if _, err := h.hub.Stop(t.Context(), "B-2", "", "op"); err != nil {
		t.Fatal(err)
	}
	h.await(contracts.StepStopped, "")
	if a, b := h.state("B-1"), h.state("B-2"); a != contracts.StateParked || b != contracts.StateStopped {
		t.Errorf("the first is %s, the second %s", a, b)
	}
	h.hus.answers(nil)
	if err := h.hub.Release(t.Context(), "B-1", "", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"first"}) {
		t.Errorf("HUS got %v", got)
	}
}

// A message without a referral's or a patient's id parks alone, and can be released all the same.
func TestWhatKeepsNoOrderHoldsUpNothing(t *testing.T) {
	h := open(t)
	h.send("clinic", message("C-1", "contact", "", "no route takes it"))
	h.await(contracts.StepParked, "C-1")
	h.send("clinic", message("C-9", "contact", "R-9", "no route takes it either"))
	h.await(contracts.StepParked, "C-9")
	if s := h.state("R-9"); s != contracts.StateParked {
		t.Errorf("by its referral, the parked message is %s", s)
	}
	if trace, err := h.hub.Trace(t.Context(), "R-9"); err != nil || trace.State != "received" || len(trace.Steps) != 2 {
		t.Errorf("the trace of what parked at once: %+v, %v", trace, err)
	}
	h.send("clinic", message("C-2", "request", "", "fine"))
	h.hus.await(t, 1)
	if err := h.hub.Release(t.Context(), "C-1", "the contract was mended", "op"); err != nil {
		t.Fatal(err)
	}
	h.await(contracts.StepParked, "C-1") // it was tried, and the contract wasn't mended
	if _, err := h.hub.Stop(t.Context(), "C-1", "", "op"); err != nil {
		t.Fatal(err)
	}
}

// An answer by the referral's id that comes before its referral waits, and is matched when the referral is there; and
// what parks before it has a journey leaves nothing behind that could be taken for one.
func TestAnEarlyAnswerFindsItsReferral(t *testing.T) {
	h := open(t)
	early := strings.Replace(string(answer("H-1", "response-accepted", "NOBODYS")), `"status":"accepted"`,
		`"identifier":[{"type":{"coding":[{"code":"PLAC"}]},"value":"R-1"}],"status":"accepted"`, 1)
	h.send("hus", []byte(early))
	h.await(contracts.StepWaiting, "H-1")
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	h.hus.await(t, 1)
	if err := h.hub.Release(t.Context(), "H-1", "", "op"); err != nil && contracts.KindOf(err) != contracts.NotFound {
		t.Fatal(err)
	}
	h.clinic.await(t, 1)
	if body := string(h.clinic.parcels()[0].Body.Bytes()); !strings.Contains(body, `"response":{"identifier":"C-1"`) {
		t.Error("the early answer doesn't name the referral's message")
	}
}

func TestAReferralGoesOnAfterItsFirstMessageWasStopped(t *testing.T) {
	h := open(t)
	h.send("clinic", message("C-1", "contact", "R-1", "no route takes it"))
	h.await(contracts.StepParked, "C-1")
	h.send("clinic", message("C-2", "request", "R-1", "waits"))
	h.await(contracts.StepWaiting, "C-2")
	if _, err := h.hub.Stop(t.Context(), "C-1", "", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
	h.send("clinic", message("C-3", "update", "R-1", "new"))
	h.hus.await(t, 1)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"waits", "new"}) {
		t.Errorf("HUS got %v", got)
	}
}

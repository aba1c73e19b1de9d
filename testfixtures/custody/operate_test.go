package custody

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// held lets a receiver's first call stay open until the test ends it with what ends is given.
func held(r *receiver, first func(contracts.Parcel) bool) (begun <-chan contracts.Parcel, ends chan<- error) {
	calls, results := make(chan contracts.Parcel, 1), make(chan error)
	holds := true
	r.answers(func(p contracts.Parcel) (contracts.Answer, error) {
		if !holds || !first(p) {
			return contracts.Answer{}, nil
		}
		holds = false
		calls <- p
		err := <-results
		return contracts.Answer{Unknown: err != nil}, err
	})
	return calls, results
}

func anything(contracts.Parcel) bool { return true }

func lost() error { return contracts.Faultf(contracts.Unavailable, "T-1", "", "the answer was lost") }

func TestWhatIsStoppedWhileItIsSentIsNotSentAgain(t *testing.T) {
	h := open(t)
	begun, ends := held(h.hus, anything)
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	sent := <-begun
	h.send("clinic", message("C-2", "update", "R-1", "two"))
	stopped, err := h.hub.Stop(t.Context(), "C-1", "the wrong patient", "op")
	if err != nil || !stopped.Unknown || stopped.Partner != "hus" || stopped.Control != sent.Control {
		t.Fatalf("stopped: %+v, %v", stopped, err)
	}
	ends <- lost()
	h.hus.await(t, 1)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"two"}) {
		t.Errorf("HUS got %v, want what came after the stopped one", got)
	}
	h.await(contracts.StepDelivered, "")
	if s := h.state("C-1"); s != contracts.StateStopped {
		t.Errorf("what was stopped is %s", s)
	}
	if key, err := h.ledger.Key(t.Context(), contracts.KeyRef{Topic: contracts.OutTopic("hus"), Key: h.delivery("C-1").Key}); err != nil || key.Condition != contracts.KeyLive {
		t.Errorf("its key is %s, %v", key.Condition, err)
	}
}

func TestWhatIsStoppedWhileItIsRefusedHoldsUpNothing(t *testing.T) {
	h := open(t)
	begun, ends := held(h.hus, anything)
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	<-begun
	if _, err := h.hub.Stop(t.Context(), "C-1", "sent by phone", "op"); err != nil {
		t.Fatal(err)
	}
	ends <- contracts.Faultf(contracts.Refused, "T-2", "", "no")
	h.send("clinic", message("C-2", "update", "R-1", "two"))
	h.hus.await(t, 1)
	if s := h.state("C-1"); s != contracts.StateStopped {
		t.Errorf("what was stopped is %s", s)
	}
}

func TestWhatThePartnerTookAfterAStopIsShownAsDelivered(t *testing.T) {
	h := open(t)
	begun, ends := held(h.hus, anything)
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	<-begun
	if _, err := h.hub.Stop(t.Context(), "C-1", "too late", "op"); err != nil {
		t.Fatal(err)
	}
	ends <- nil
	h.hus.await(t, 1)
	h.await(contracts.StepDelivered, "")
	if s := h.state("C-1"); s != contracts.StateDelivered {
		t.Errorf("what HUS took is %s", s)
	}
}

func TestTheFirstOfThreeIsStoppedAndTheOthersKeepTheirOrder(t *testing.T) {
	h := open(t)
	h.hus.answers(refusing(`"1"`))
	for _, n := range []string{"1", "2", "3"} {
		h.send("clinic", message("C-"+n, "update", "R-1", n))
	}
	h.await(contracts.StepWaiting, "")
	h.await(contracts.StepWaiting, "")
	if _, err := h.hub.Stop(t.Context(), "C-1", "sent by phone", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 2)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("HUS got %v", got)
	}
}

func TestAKeyIsReleasedByItselfAndByWhatWaitsBehindIt(t *testing.T) {
	for _, by := range []string{"the key", "the second message", "the referral"} {
		h := open(t)
		h.hus.answers(refusing("R-1"))
		h.send("clinic", message("C-1", "request", "R-1", "1"))
		h.send("clinic", message("C-2", "update", "R-1", "2"))
		h.await(contracts.StepWaiting, "")
		h.hus.answers(nil)
		id := map[string]string{"the key": string(h.delivery("C-1").Key), "the second message": "C-2", "the referral": "R-1"}[by]
		if err := h.hub.Release(t.Context(), id, "mended at HUS", "op"); err != nil {
			t.Fatalf("by %s: %v", by, err)
		}
		h.hus.await(t, 2)
		if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("by %s: HUS got %v", by, got)
		}
		released := h.await(contracts.StepReleased, "")
		if released.Reason != "mended at HUS" || released.From != "op" || released.Message != h.row("C-1").ID {
			t.Errorf("by %s: the step is %+v", by, released)
		}
		h.stop()
	}
}

// Between an operator's look at a message and the release of its key another process tries it. What that one learned,
// that the partner may have the message, isn't forgotten.
func TestAReleaseForgetsNoAttemptOfAnotherProcess(t *testing.T) {
	interrupted, interrupt := context.WithCancel(t.Context())
	var second contracts.Delivery // which another process tries
	h := open(t, func(c *hub.Config) {
		held := c.Ledger
		tries := func(state contracts.State) error {
			d := second
			d.State, d.Attempts, d.Unknown = state, 1, true
			return held.Apply(t.Context(), contracts.Change{Deliveries: []contracts.Delivery{d}})
		}
		c.Ledger = preceded{held, func(change contracts.Change) error {
			switch {
			case len(change.Done) > 0 && interrupted.Err() == nil:
				interrupt()
				return down
			case len(change.Steps) > 0 && change.Steps[0].Step == contracts.StepReleased && second.Attempts == 0:
				err := errors.Join(tries(contracts.StateSending), tries(contracts.StateWaiting))
				second.Attempts = 1
				return err
			}
			return nil
		}}
	})
	h.hus.answers(refusing(`"1"`))
	h.send("clinic", message("C-1", "request", "R-1", "1"))
	h.send("clinic", message("C-2", "update", "R-1", "2"))
	h.await(contracts.StepWaiting, "")
	if _, err := h.hub.Stop(interrupted, "C-1", "sent by phone", "op"); err == nil {
		t.Fatal("the stop wasn't interrupted")
	}
	second = h.delivery("C-2")
	if err := h.hub.Release(t.Context(), "C-2", "go on", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
	if p := h.hus.parcels()[0]; !p.Repeat || p.Attempt != 2 {
		t.Errorf("the attempt after it: number %d, repeat %v", p.Attempt, p.Repeat)
	}
}

func TestAPausedPartnerGetsNothingUntilItIsResumed(t *testing.T) {
	h := open(t)
	if err := h.hub.Pause(t.Context(), "hus", "a new version", "op"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2"} {
		h.send("clinic", message("C-"+n, "update", "R-1", n))
		h.await(contracts.StepTranslated, "C-"+n)
	}
	h.send("hus", answer("H-0", "response-accepted", "NOBODYS"))
	h.await(contracts.StepWaiting, "H-0") // what it sends comes in all the same
	h.stop()
	h.start() // the word outlives the process
	h.send("clinic", message("C-3", "update", "R-1", "3"))
	h.await(contracts.StepTranslated, "C-3")
	rows, err := h.hub.Partners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r contracts.PartnerRow) bool { return r.ID == "hus" })
	if hus := rows[i]; hus.State != contracts.CourierPaused || hus.Pause.Reason != "a new version" || hus.Pause.Operator != "op" || hus.Lag < 2 || hus.Waiting != 1 { // the third may be about to be published
		t.Errorf("the paused partner is shown as %+v", hus)
	}
	if paused := h.hub.Ready(t.Context()).Paused; !slices.Equal(paused, []string{"hus"}) {
		t.Errorf("paused are %v", paused)
	}
	if n := len(h.hus.parcels()); n != 0 {
		t.Fatalf("the paused partner got %d messages", n)
	}
	if err := h.hub.Resume(t.Context(), "hus", "", "op"); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 3)
	if got := h.hus.order(t, "R-1"); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("it drained as %v", got)
	}
	if d := h.delivery("C-1"); d.Attempts != 1 {
		t.Errorf("the pause counted as %d attempts", d.Attempts-1)
	}
	for id, kind := range map[string]contracts.Kind{"nobody": contracts.NotFound, "hus": ""} {
		if err := h.hub.Resume(t.Context(), id, "", "op"); contracts.KindOf(err) != kind {
			t.Errorf("resuming %s once more: %v", id, err)
		}
	}
}

// A word in one process holds in the others on the same ledger; here the ledger is told behind the hub's back.
func TestAPauseOfAnotherProcessIsSeen(t *testing.T) {
	h := open(t)
	if err := h.ledger.Apply(t.Context(), contracts.Change{Pauses: []contracts.Pause{{Partner: "hus", Operator: "op"}}}); err != nil {
		t.Fatal(err)
	}
	h.until("the pause is seen", func() bool { return slices.Contains(h.hub.Ready(t.Context()).Paused, "hus") })
	h.send("clinic", message("C-1", "request", "R-1", "1"))
	h.await(contracts.StepTranslated, "C-1")
	if err := h.ledger.Apply(t.Context(), contracts.Change{Resumes: []string{"hus"}}); err != nil {
		t.Fatal(err)
	}
	h.hus.await(t, 1)
}

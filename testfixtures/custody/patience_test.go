package custody

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/model"
)

// stumbling is a partner that answers each attempt for some referrals with 500, and keeps when it was made.
type stumbling struct {
	mu    sync.Mutex
	fails map[string]int // how often, by a text in the message
	at    map[string][]time.Time
}

func (s *stumbling) Deliver(_ context.Context, p contracts.Parcel) (contracts.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := range s.fails {
		if !strings.Contains(string(p.Body.Bytes()), `"`+text+`"`) {
			continue
		}
		s.at[text] = append(s.at[text], time.Now())
		if s.fails[text]--; s.fails[text] >= 0 {
			return contracts.Answer{Code: "500", Unknown: true}, contracts.Faultf(contracts.Unavailable, "T-1", "", "It stumbles.")
		}
	}
	return contracts.Answer{Code: "200"}, nil
}

// In virtual time: waits double from a second to a minute and are spread, each message by its own; after the contract's
// limit a key parks, and no other.
func TestWaitsDoubleAndAreSpreadUntilTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := model.NewWorld(1)
		hus := &stumbling{fails: map[string]int{"R-never": 1 << 30, "R-soon": 9, "R-good": 0}, at: map[string][]time.Time{}}
		ledger := model.NewLedger(w, model.Weather{})
		maps, err := builtIn()
		if err != nil {
			t.Fatal(err)
		}
		log := logrus.New()
		log.SetOutput(io.Discard)
		to := partner(t, "hus", "")
		to.Retry = contracts.Retry{First: time.Second, Max: time.Minute, Limit: time.Hour, Spill: 30 * time.Second, Pause: 1 << 20, Probe: 3 * time.Second}
		h, err := hub.New(t.Context(), hub.Config{
			Partners: []*contracts.Partner{partner(t, "clinic", "{events: [request], to: [hus]}"), to}, Maps: maps, Bus: model.NewBus(w, model.Weather{}), Ledger: ledger,
			Couriers: map[string]hub.Courier{"clinic": newReceiver(), "hus": hus}, Secret: houseSecret(t), Now: time.Now, Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		send := func(control, referral string) {
			if _, err := h.Receive(t.Context(), contracts.Arrival{Partner: "clinic", Format: contracts.FormatFHIR, Body: contracts.NewBody(message(control, "request", referral, "x"))}); err != nil {
				t.Error(err)
			}
		}
		send("C-1", "R-never")
		send("C-2", "R-soon")
		time.Sleep(30 * time.Minute)
		send("C-3", "R-good")
		time.Sleep(90 * time.Minute)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for control, want := range map[string]contracts.State{"C-1": contracts.StateParked, "C-2": contracts.StateDelivered, "C-3": contracts.StateDelivered} {
			if rows, err := ledger.Find(t.Context(), control); err != nil || len(rows) != 1 || rows[0].State != want {
				t.Errorf("%s: %+v, %v; want %s", control, rows, err, want)
			}
		}
		if n := len(hus.at["R-soon"]); n != 10 {
			t.Errorf("R-soon was tried %d times, want 10", n)
		}
		differ := 0
		for referral, at := range hus.at {
			base := time.Second
			for i := 1; i < len(at); i++ {
				if wait := at[i].Sub(at[i-1]); wait < base || wait > base+base/4+time.Second {
					t.Errorf("%s: the wait before attempt %d was %s, want %s and up to a quarter more", referral, i+1, wait, base)
				} else if i < 10 && referral == "R-soon" && wait != hus.at["R-never"][i].Sub(hus.at["R-never"][i-1]) {
					differ++
				}
				base = min(2*base, time.Minute)
			}
		}
		if differ < 5 {
			t.Errorf("only %d of 9 waits of two messages differ", differ)
		}
		never := hus.at["R-never"]
		if tried := never[len(never)-1].Sub(never[0]); tried < 45*time.Minute || tried > 75*time.Minute {
			t.Errorf("the key parked after %s, want about an hour", tried)
		}
	})
}

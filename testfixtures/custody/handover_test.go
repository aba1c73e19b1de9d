package custody

import (
	"context"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// gated is a ledger that keeps a release waiting.
type gated struct {
	hub.Ledger
	begun, goOn chan struct{}
}

func (g gated) Apply(ctx context.Context, c contracts.Change) error {
	if len(c.Steps) > 0 && c.Steps[0].Step == contracts.StepReleased {
		close(g.begun)
		<-g.goOn
	}
	return g.Ledger.Apply(ctx, c)
}

// An operator's request goes on with the hub with which it has begun, when another one has come in its place.
func TestAKeyThatTheHubBeforeHoldsIsHeldForTheNextOne(t *testing.T) {
	var config hub.Config
	ledger := gated{begun: make(chan struct{}), goOn: make(chan struct{})}
	h := open(t, func(c *hub.Config) {
		ledger.Ledger = c.Ledger
		c.Ledger = ledger
		config = *c
	})
	h.hus.answers(refusing("R-1"))
	h.send("clinic", message("C-1", "request", "R-1", "one"))
	parked := h.await(contracts.StepParked, "")
	released := make(chan error, 1)
	go func() { released <- h.hub.Release(t.Context(), string(parked.Message), "", "anna") }()
	<-ledger.begun

	config.Before = h.hub
	next, err := hub.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	short, done := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer done()
	if _, err := next.Stop(short, string(parked.Message), "", "essi"); err == nil {
		t.Error("a message is stopped while it is being released")
	}
	close(ledger.goOn)
	if err := <-released; err != nil {
		t.Error(err)
	}
	if _, err := next.Stop(t.Context(), string(parked.Message), "", "essi"); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

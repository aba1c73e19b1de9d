package model_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/busconformance"
	"github.com/hoitosilta/silta/testfixtures/ledgerconformance"
	"github.com/hoitosilta/silta/testfixtures/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBusConforms(t *testing.T) {
	busconformance.Run(t, func(t *testing.T) busconformance.Harness {
		w := model.NewWorld(1)
		b := model.NewBus(w, model.Weather{})
		return busconformance.Harness{Bus: b, Reopen: func() hub.Bus {
			w.Restart()
			return b
		}}
	})
}

func TestLedgerConforms(t *testing.T) {
	ledgerconformance.Run(t, func(t *testing.T) hub.Ledger { return model.NewLedger(model.NewWorld(1), model.Weather{}) })
}

var _ hub.Courier = (*model.Partner)(nil)

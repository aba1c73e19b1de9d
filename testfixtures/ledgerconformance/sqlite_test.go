package ledgerconformance_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/ledgerconformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLiteConforms(t *testing.T) {
	ledgerconformance.Run(t, func(t *testing.T) hub.Ledger {
		l, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	})
}

func TestSQLiteOutlivesItsProcess(t *testing.T) {
	ledgerconformance.RunDurable(t, func(path string) (ledgerconformance.Closer, error) { return ledger.Open(path) })
}

//go:build postgres

package ledgerconformance_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"sync/atomic"
	"testing"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/ledgerconformance"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

func TestPostgresConforms(t *testing.T) {
	s := postgres.ForTest(t)
	var n atomic.Int64
	ledgerconformance.Run(t, func(t *testing.T) hub.Ledger {
		url, err := postgres.Create(t.Context(), s.URL(), fmt.Sprint("ledger", n.Add(1)))
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.OpenPostgres(t.Context(), ledger.PostgresConfig{URL: url})
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

// serverURL is the environment variable that tells the process that is killed where the server is.
const serverURL = "SILTA_LEDGER_SERVER"

// A path names a database: one that isn't there is made.
func TestPostgresOutlivesItsProcess(t *testing.T) {
	server := os.Getenv(serverURL)
	if server == "" {
		server = postgres.ForTest(t).URL()
		t.Setenv(serverURL, server)
	}
	ledgerconformance.RunDurable(t, func(path string) (ledgerconformance.Closer, error) {
		name := fnv.New64a()
		name.Write([]byte(path))
		url, err := postgres.Create(t.Context(), server, fmt.Sprintf("ledger%x", name.Sum64()))
		l, opening := ledger.OpenPostgres(t.Context(), ledger.PostgresConfig{URL: url})
		if opening != nil && err != nil {
			return nil, err
		}
		return l, opening
	})
}

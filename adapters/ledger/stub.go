package ledger

import (
	"context"

	"github.com/hoitosilta/silta/contracts"
)

// PostgresConfig says which database holds the ledger.
type PostgresConfig struct {
	URL      string // postgres://USER@HOST:PORT/DATABASE
	Password string // beside the URL, where it isn't in it
}

// OpenPostgres opens the ledger in a PostgreSQL database.
func OpenPostgres(context.Context, PostgresConfig) (*Ledger, error) {
	return nil, contracts.Faultf(contracts.Unavailable, "LED-001", "", "This build has no ledger on PostgreSQL.")
}

package generate

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// What the messages of a made-up ledger are known by, for a number i from 0. Every fifth begins a journey, and the four
// that follow belong to it.
const (
	LedgerControl    = "M%d" // MSH-10 as it came
	LedgerOutgoing   = "O%d" // MSH-10 as it left
	LedgerPlacer     = "L%d" // of the journey of message 5·i
	LedgerPerJourney = 5

	journeySpan = 28 * 24 * time.Hour // from a journey's first message to its last
)

//go:embed ledger.sql
var ledgerSQL string

// Ledger fills an empty ledger in PostgreSQL with made-up messages of whole journeys, spread evenly over months before
// until: for each message an entry, a delivery, five steps and four names, and for each journey four more. All but one of
// a thousand are delivered. The tables get their indexes when they are full, so nobody else may use the ledger meanwhile.
// told is called as work goes on, by one goroutine at a time.
func Ledger(ctx context.Context, db *sql.DB, messages, months int, until time.Time, told func(done string)) error {
	journeys := messages / LedgerPerJourney
	until = until.UTC()
	begun := until.AddDate(0, -months, 0)
	each := (until.Sub(begun) - journeySpan) / time.Duration(journeys)
	made := strings.NewReplacer("{journeys}", fmt.Sprint(journeys), "{begun}", fmt.Sprint(begun.UnixMicro()), "{each}", fmt.Sprint(each.Nanoseconds()),
		"{later}", fmt.Sprint((journeySpan / (LedgerPerJourney - 1)).Microseconds()))
	parts := strings.Split(ledgerSQL, "-- part: ")
	custody, history, names, end := parts[1], parts[2], parts[3], parts[4]
	work, working := errgroup.WithContext(ctx)
	work.SetLimit(2)
	var telling sync.Mutex
	run := func(name, text string) {
		work.Go(func() error {
			if _, err := db.ExecContext(working, made.Replace(text)); err != nil {
				return fmt.Errorf("make %s: %w", name, err)
			}
			telling.Lock()
			defer telling.Unlock()
			told(name)
			return nil
		})
	}
	run("entries, deliveries and journeys", custody)
	run("the names of journeys", names)
	first := time.Date(begun.Year(), begun.Month(), 1, 0, 0, 0, 0, time.UTC)
	for m := first; !m.After(until); m = m.AddDate(0, 1, 0) {
		month := strings.NewReplacer("{month}", m.Format("200601"), "{from}", fmt.Sprint(m.UnixMicro()), "{to}", fmt.Sprint(m.AddDate(0, 1, 0).UnixMicro()))
		run("the history of "+m.Format("2006-01"), month.Replace(history))
	}
	if err := work.Wait(); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, made.Replace(end))
	return err
}

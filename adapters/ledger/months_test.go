//go:build postgres

package ledger_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

// Months of messages that are old by May, and that aren't.
var (
	january  = time.Date(2025, 1, 31, 23, 59, 59, 0, time.UTC)
	february = time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC)
	may      = time.Date(2025, 5, 9, 12, 0, 0, 0, time.UTC)
)

// lay applies the first n changes in a message's life.
func lay(t *testing.T, l *ledger.Ledger, i int64, at time.Time, n int) {
	t.Helper()
	for _, c := range life(i, at)[:n] {
		if err := l.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T, s *postgres.Server) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// months gives the tables of history that are there for 2025.
func months(t *testing.T, db *sql.DB) string {
	t.Helper()
	var names string
	err := db.QueryRowContext(t.Context(), `SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class WHERE relkind = 'r' AND relname ~ '_2025\d\d$'`).Scan(&names)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func rowsIn(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func expire(t *testing.T, l *ledger.Ledger, want int64) {
	t.Helper()
	got, err := l.Expire(t.Context(), may)
	if err != nil || got != want {
		t.Errorf("%d messages were forgotten (%v), want %d", got, err, want)
	}
}

func TestMonthsOfWhichNothingStaysAreDropped(t *testing.T) {
	s := postgres.ForTest(t)
	l, db := openServer(t, s), connect(t, s)
	for i, at := range []time.Time{january, january, february, may} {
		lay(t, l, int64(i), at, 3)
	}
	const all = "bodies_202501 bodies_202502 bodies_202505 ids_202501 ids_202502 ids_202505 steps_202501 steps_202502 steps_202505"
	if got := months(t, db); got != all {
		t.Fatalf("history lies in %q, want %q", got, all)
	}
	expire(t, l, 3)
	if got, want := months(t, db), "bodies_202505 ids_202505 steps_202505"; got != want {
		t.Errorf("history lies in %q, want %q", got, want)
	}
	for table, want := range map[string]int{"entries": 1, "deliveries": 1, "journeys": 1, "steps": 5, "ids": 7, "bodies": 1} {
		if got := rowsIn(t, db, table); got != want {
			t.Errorf("%d rows of %s stay, want %d", got, table, want)
		}
	}
	lay(t, l, 4, january, 3) // a ledger that is caught up from the bus brings the month back
	if names, err := l.Lookup(t.Context(), "apotti", "", life(4, january)[0].Entries[0].Control); err != nil || len(names) != 1 {
		t.Errorf("a message of a month that was dropped has %d names (%v), want 1", len(names), err)
	}
}

func TestAnUnsettledMessageKeepsItsMonth(t *testing.T) {
	s := postgres.ForTest(t)
	l, db := openServer(t, s), connect(t, s)
	lay(t, l, 1, january, 3)
	lay(t, l, 2, january, 2) // it is being sent
	lay(t, l, 3, february, 3)
	mate := life(3, february)[0]
	journey := contracts.Change{Received: may, Entries: []contracts.Entry{{ID: "an answer that waits", Received: may, Journey: mate.Entries[0].Journey, State: contracts.StateWaiting}}}
	if err := l.Apply(t.Context(), journey); err != nil {
		t.Fatal(err)
	}
	expire(t, l, 1)
	for table, want := range map[string]int{"entries": 3, "journeys": 2, "steps_202501": 4, "ids_202501": 7, "bodies_202501": 1, "steps_202502": 5, "ids_202502": 7} {
		if got := rowsIn(t, db, table); got != want {
			t.Errorf("%d rows of %s stay, want %d", got, table, want)
		}
	}
	if err := l.Apply(t.Context(), life(2, january)[2]); err != nil {
		t.Fatal(err)
	}
	journey.Entries[0].State = contracts.StateRefused
	if err := l.Apply(t.Context(), journey); err != nil {
		t.Fatal(err)
	}
	expire(t, l, 2)
	if got := months(t, db); strings.Contains(got, "202501") || strings.Contains(got, "202502") {
		t.Errorf("history lies in %q after the last message of its month was settled", got)
	}
}

func TestAMonthThatSomebodyReadsIsDroppedTheNextTime(t *testing.T) {
	s := postgres.ForTest(t)
	l, db := openServer(t, s), connect(t, s)
	lay(t, l, 1, january, 3)
	reading, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reading.ExecContext(t.Context(), `SELECT 1 FROM steps LIMIT 1`); err != nil {
		t.Fatal(err)
	}
	expire(t, l, 1)
	if got := months(t, db); !strings.Contains(got, "steps_202501") {
		t.Errorf("history lies in %q: a month was dropped under a reader", got)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	expire(t, l, 0)
	if got := months(t, db); got != "" {
		t.Errorf("history lies in %q, want none", got)
	}
}

// Kafka keeps a second copy of a message that its sender repeated, and the copy has a later time.
func TestAMessageThatCameInTwoMonthsIsOne(t *testing.T) {
	l := openServer(t, postgres.ForTest(t))
	lay(t, l, 1, january, 3)
	first, again := life(1, january), life(1, february)
	if err := l.Apply(t.Context(), again[0]); err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(t.Context(), again[1]); contracts.KindOf(err) != contracts.Conflict {
		t.Errorf("the attempt of a copy from another month gives %v, want a fault of kind conflict", err)
	}
	e := first[0].Entries[0]
	if held, err := l.Entry(t.Context(), e.ID); err != nil || !held.Received.Equal(january) {
		t.Errorf("the message was received at %v (%v), want the first time", held.Received, err)
	}
	if steps, err := l.MessageSteps(t.Context(), e.ID); err != nil || len(steps) != 5 {
		t.Errorf("it has %d steps (%v), want 5", len(steps), err)
	}
	if names, err := l.Identifiers(t.Context(), e.Journey); err != nil || len(names) != len(first[0].Identifiers) {
		t.Errorf("it has %d names (%v), want %d", len(names), err, len(first[0].Identifiers))
	}
	rows, err := l.Find(t.Context(), e.Control)
	if err != nil || len(rows) != 1 || !slices.Equal(rows[0].To, []string{"hus"}) {
		t.Errorf("it is found %d times (%v), want once", len(rows), err)
	}
}

func TestProcessesOpenAndBeginMonthsAtOnce(t *testing.T) {
	s := postgres.ForTest(t)
	ledgers := make([]*ledger.Ledger, 3)
	var wg sync.WaitGroup
	for i := range ledgers {
		wg.Go(func() {
			l, err := ledger.OpenPostgres(context.Background(), ledger.PostgresConfig{URL: s.URL()})
			if err != nil {
				t.Error(err)
				return
			}
			ledgers[i] = l
		})
	}
	wg.Wait()
	for i, l := range ledgers {
		if l == nil {
			continue
		}
		t.Cleanup(func() { l.Close() })
		wg.Go(func() {
			for m := range 6 {
				for _, c := range life(int64(10*i+m), january.AddDate(0, 0, 28*m)) {
					if err := l.Apply(context.Background(), c); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	rows, err := ledgers[0].List(t.Context(), contracts.Filter{State: contracts.StateDelivered})
	if err != nil || len(rows) != 6*len(ledgers) {
		t.Errorf("%d messages are delivered (%v), want %d", len(rows), err, 6*len(ledgers))
	}
}

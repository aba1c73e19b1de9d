package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// In PostgreSQL history (bodies, steps, ids) lies in months, by the receipt of the message that it belongs to: so what is
// old is dropped as whole tables. Entries and deliveries don't: that an id has one row in all time is what keeps two
// processes from sending the same attempt, and a unique index of PostgreSQL holds only within a month.
//
// A message whose record came twice, in two months, has its history in both. That does no harm: steps and names are told
// apart by their ids when they are read.

// month is the year times a hundred and the month, UTC: 202409.
type month int64

// ofJourneys is where the names of journeys lie: they stay as long as their journey, whatever month a message brings them in.
const ofJourneys month = 0

func monthOf(t time.Time) month {
	t = t.UTC()
	return month(t.Year()*100 + int(t.Month()))
}

// span is from when on and until when a month is, in microseconds.
func (m month) span() (from, until int64) {
	begin := time.Date(int(m/100), time.Month(m%100), 1, 0, 0, 0, 0, time.UTC)
	return micros(begin), micros(begin.AddDate(0, 1, 0))
}

// part names the table in which a month of a table of history lies.
func (m month) part(table string) string { return fmt.Sprintf("%s_%d", table, m) }

// history are the tables that lie in months, in the order in which transactions lock them.
var history = []string{"bodies", "steps", "ids"}

// lacksMonth says whether a row of history found no table of its month (SQLSTATE check_violation: the tables have no
// other check).
func lacksMonth(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23514"
}

func monthsOf(tasks []*task) []month {
	var months []month
	for _, t := range tasks {
		for _, s := range t.rows {
			if s.month != 0 && !slices.Contains(months, s.month) {
				months = append(months, s.month)
			}
		}
	}
	return months
}

// monthsLock is the advisory lock under which months begin and end, one at a time.
const monthsLock = `SELECT pg_advisory_xact_lock(7310001)`

// begin makes the tables of months where they aren't there. A table is made first and attached then, because only so
// neither reading nor writing of other months has to stop for it.
func (s *server) begin(ctx context.Context, months ...month) error {
	for _, m := range months {
		for _, table := range history {
			err := pgx.BeginFunc(ctx, s.conns, func(open pgx.Tx) error {
				if _, err := open.Exec(ctx, monthsLock); err != nil {
					return err
				}
				part := m.part(table)
				var there bool
				if err := open.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, part).Scan(&there); err != nil || there {
					return err
				}
				_, err := open.Exec(ctx, fmt.Sprintf(`CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING STORAGE);
ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES IN (%[3]d)`, part, table, m), pgx.QueryExecModeSimpleProtocol)
				return err
			})
			if err != nil {
				return fmt.Errorf("begin month %d: %w", m, err)
			}
		}
	}
	return nil
}

// over gives the months that have tables and ended by a time, the oldest first.
func (s *server) over(ctx context.Context, by time.Time) ([]month, error) {
	rows, err := s.conns.Query(ctx, `SELECT substring(c.relname FROM '^steps_(\d+)$')::bigint AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'steps'::regclass ORDER BY month`)
	if err != nil {
		return nil, err
	}
	months, err := pgx.CollectRows(rows, pgx.RowTo[month])
	return slices.DeleteFunc(months, func(m month) bool { return m >= monthOf(by) }), err
}

// leaving gives the months of which no message isn't settled, or shares its journey with one that isn't. It goes by the
// states that entries show, which an index finds: should one be wrong, the month's last message keeps it from being dropped.
func (s *server) leaving(ctx context.Context, before time.Time) ([]month, error) {
	months, err := s.over(ctx, before)
	if err != nil || len(months) == 0 {
		return nil, err
	}
	rows, err := s.conns.Query(ctx, stayingSQL, micros(before))
	if err != nil {
		return nil, err
	}
	staying, err := pgx.CollectRows(rows, pgx.RowTo[month])
	return slices.DeleteFunc(months, func(m month) bool { return slices.Contains(staying, m) }), err
}

var stayingSQL = `WITH unsettled AS MATERIALIZED (SELECT e.journey, e.received FROM entries e WHERE e.shown <> 'delivered' AND ` + unsettled("e") + `)
SELECT DISTINCT to_char(to_timestamp(received / 1000000) AT TIME ZONE 'UTC', 'YYYYMM')::bigint FROM (
	SELECT received FROM unsettled
	UNION ALL SELECT o.received FROM unsettled u JOIN entries o ON o.journey = u.journey WHERE o.journey <> '') staying
WHERE received < $1`

const occupiedSQL = `SELECT EXISTS (SELECT 1 FROM entries WHERE received >= $1 AND received < $2)`

// dropWait is how long dropping waits for who works with history, and so how long it may hold up others.
const dropWait = "500ms"

// drop looks before it locks, and once more under the lock: a change that brings a message of the month then either is
// seen, or finds the month gone and begins it anew.
func (s *server) drop(ctx context.Context, before time.Time) error {
	months, err := s.over(ctx, before)
	if err != nil {
		return err
	}
	for _, m := range months {
		from, until := m.span()
		var occupied bool
		if err := s.conns.QueryRow(ctx, occupiedSQL, from, until).Scan(&occupied); err != nil {
			return err
		}
		if occupied {
			continue
		}
		if err := pgx.BeginFunc(ctx, s.conns, func(open pgx.Tx) error { return m.drop(ctx, open) }); err != nil && !busy(err) {
			return fmt.Errorf("drop month %d: %w", m, err)
		}
	}
	return nil
}

func (m month) drop(ctx context.Context, open pgx.Tx) error {
	for _, text := range []string{monthsLock, `SET LOCAL lock_timeout = '` + dropWait + `'`, `LOCK TABLE ` + strings.Join(history, ", ") + ` IN ACCESS EXCLUSIVE MODE`} {
		if _, err := open.Exec(ctx, text); err != nil {
			return err
		}
	}
	from, until := m.span()
	var occupied bool
	if err := open.QueryRow(ctx, occupiedSQL, from, until).Scan(&occupied); err != nil || occupied {
		return err
	}
	for _, table := range history {
		if _, err := open.Exec(ctx, `DROP TABLE IF EXISTS `+m.part(table)); err != nil {
			return err
		}
	}
	return nil
}

// busy says whether a lock wasn't to be had: not in time, or not without a circle.
func busy(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "55P03" || e.Code == "40P01")
}

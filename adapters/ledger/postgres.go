package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/hoitosilta/silta/contracts"
)

// PostgresConfig says which database holds the ledger.
type PostgresConfig struct {
	URL      string // postgres://user@host:port/database?sslmode=verify-full; several hosts may stand in it
	Password string // instead of one in the URL, which people print
}

const (
	// writers is the number of transactions that one process writes at once.
	writers = 4

	// patience is how long a transaction may take before its connection is given up: a server that was stopped, or a
	// network that lost it, says nothing. The server's own limits are shorter, so that they speak first.
	patience       = 20 * time.Second
	statementLimit = "15s"
	lockLimit      = "10s"
)

// OpenPostgres opens the ledger in a PostgreSQL database (15 or later), which several processes may share, and brings
// its tables to this version's form. Faults: unavailable if the server can't be reached or doesn't let us in, invalid if
// the URL can't be read or the server is set up to lose what it committed.
func OpenPostgres(ctx context.Context, c PostgresConfig) (*Ledger, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil { // its text may hold the URL's password
		return nil, contracts.Faultf(contracts.Invalid, "LED-009", "ledger", "The ledger's URL isn't one of PostgreSQL: postgres://user@host:port/database.")
	}
	if c.Password != "" {
		config.ConnConfig.Password = c.Password
	}
	config.MaxConns = writers + readers + 2 // and one each for expiring and for a health check
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	for name, value := range map[string]string{"application_name": "silta", "statement_timeout": statementLimit, "lock_timeout": lockLimit,
		"idle_in_transaction_session_timeout": "60s", "timezone": "UTC", "plan_cache_mode": "auto"} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	conns, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fault("open", err)
	}
	s := &server{conns: conns}
	reads := stdlib.OpenDBFromPool(conns)
	reads.SetMaxOpenConns(readers)
	if err := s.prepare(ctx, reads); err != nil {
		reads.Close()
		conns.Close()
		return nil, fault("open", err)
	}
	attempts := make([]attempt, writers)
	for i := range attempts {
		attempts[i] = s.attempt
	}
	s.queue = newQueue(attempts...)
	return &Ledger{reads: &pool{DB: reads}, w: s, shared: true}, nil
}

// server writes to a PostgreSQL database.
type server struct {
	*queue
	conns *pgxpool.Pool
}

// prepare refuses a server that would lose what it committed, and migrates: one process at a time, the others wait.
func (s *server) prepare(ctx context.Context, db *sql.DB) error {
	var safe bool
	if err := s.conns.QueryRow(ctx, `SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'
		AND current_setting('full_page_writes') = 'on'`).Scan(&safe); err != nil {
		return err
	}
	if !safe {
		return contracts.Faultf(contracts.Invalid, "LED-010", "ledger", "The database server is set up to lose what it committed: turn fsync, full_page_writes and synchronous_commit on.")
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	if err := migrate(db, goose.DialectPostgres, "migrations/postgres", goose.WithSessionLocker(locker)); err != nil {
		return err
	}
	now := time.Now()
	return s.begin(ctx, monthOf(now), monthOf(now.AddDate(0, 0, 31)))
}

// apply prepares the change in the caller's goroutine, so packing bodies and writing JSON hold up nobody else.
func (s *server) apply(ctx context.Context, c contracts.Change) error {
	rows, err := prepare(c, pack(c), true)
	if err != nil {
		return fault("apply", err)
	}
	return s.do(&task{ctx: ctx, op: "apply", rows: rows})
}

// within runs work in a transaction of its own, in the caller's goroutine.
func (s *server) within(ctx context.Context, op string, work func(tx) error) error {
	if s.closing.Load() {
		return fault(op, errClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return fault(op, pgx.BeginFunc(ctx, s.conns, func(open pgx.Tx) error { return work(session{ctx, open}) }))
}

func (s *server) close() error {
	s.queue.close()
	s.conns.Close()
	return nil
}

// attempt writes tasks, and begins the months that it finds missing.
func (s *server) attempt(tasks []*task) (refused *task, err error) {
	refused, err = s.try(tasks)
	if !lacksMonth(err) {
		return refused, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.begin(ctx, monthsOf(tasks)...); err != nil {
		return nil, err
	}
	return s.try(tasks)
}

// try sends all statements of all tasks at once, looks at what came of them, and commits.
//
// They are sent in the order of tables and rows, so that two transactions that write the same rows never wait for each
// other in a circle. A change sees what another of its group does to the same row, in one order or the other.
func (s *server) try(tasks []*task) (refused *task, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.conns.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	defer conn.Release()
	defer func() {
		if conn.Conn().IsClosed() && err != nil {
			err = fmt.Errorf("%w: %w", errLost, err)
		}
	}()
	open, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer open.Rollback(ctx) // nothing after a commit
	sent := inOrder(tasks)
	if len(sent) == 0 {
		return nil, nil
	}
	short, err := send(ctx, open, sent)
	if err != nil {
		return nil, err
	}
	if short != nil {
		err := short.refuse(session{ctx, open})
		if short.task.refuse(err) {
			return short.task, nil
		}
		return nil, err
	}
	return nil, open.Commit(ctx)
}

// sending is a statement on its way, and whose it is.
type sending struct {
	*statement
	task *task
}

func inOrder(tasks []*task) []sending {
	var sent []sending
	for _, t := range tasks {
		if t.err != nil {
			continue
		}
		for i := range t.rows {
			sent = append(sent, sending{&t.rows[i], t})
		}
	}
	slices.SortStableFunc(sent, func(a, b sending) int { return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.row, b.row)) })
	return sent
}

// send runs statements in one round trip and gives the first that touched no row though it had to.
func send(ctx context.Context, open pgx.Tx, sent []sending) (short *sending, err error) {
	batch := &pgx.Batch{}
	for _, s := range sent {
		batch.Queue(s.text, clean(s.args)...)
	}
	results := open.SendBatch(ctx, batch)
	for i := range sent {
		tag, err := results.Exec()
		if err != nil {
			results.Close()
			return nil, err
		}
		if tag.RowsAffected() == 0 && sent[i].refuse != nil && short == nil {
			short = &sent[i]
		}
	}
	return short, results.Close()
}

// clean replaces what a PostgreSQL text can't hold, in what is written and in what is looked for alike: a partner may
// name a message by any bytes.
func clean(args []any) []any {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return args
}

// session is a transaction of PostgreSQL.
type session struct {
	ctx  context.Context
	open pgx.Tx
}

func (s session) exec(text string, args ...any) (int64, error) {
	tag, err := s.open.Exec(s.ctx, text, clean(args)...)
	return tag.RowsAffected(), err
}

func (s session) query(text string, args ...any) ([][]any, error) {
	rows, err := s.open.Query(s.ctx, text, clean(args)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
}

// passes tells trouble of a PostgreSQL server that passes by itself or by its operator's hand: connections (08), a
// transaction that lost against another (40), a month that was dropped just now (23514), a server that became a standby
// (25006), an idle or stopped transaction, logins (28, 3D), resources such as the disk (53), locks (55P03), an operator or
// a limit of time (57), and files (58).
func passes(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return slices.Contains([]string{"08", "28", "3D", "40", "53", "57", "58"}, e.Code[:2]) ||
			slices.Contains([]string{"23514", "25006", "25P02", "25P03", "55P03"}, e.Code)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.Is(err, errLost) || errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

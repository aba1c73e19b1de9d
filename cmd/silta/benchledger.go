package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// ledgerOptions are the flags of `silta bench ledger`.
type ledgerOptions struct {
	url                    string
	messages, months, runs int
}

// ledgerFigures is what a bench of the ledger found.
type ledgerFigures struct {
	Machine  string          `json:"machine"`
	Messages int             `json:"messages"`
	Months   int             `json:"months"`
	MadeIn   float64         `json:"madeInSeconds,omitempty"` // absent if they were there
	Applied  float64         `json:"changesPerSecond"`        // written meanwhile
	Worst    float64         `json:"worstIdMsP95"`            // the largest of the searches by an id
	Searches []searchFigures `json:"searches"`
}

// searchFigures tell how long one kind of search takes.
type searchFigures struct {
	Search string  `json:"search"`
	ByID   bool    `json:"byId"`
	Rows   float64 `json:"rows"` // found, on average
	P50    float64 `json:"msP50"`
	P95    float64 `json:"msP95"`
	P99    float64 `json:"msP99"`
}

func newBenchLedger(t *terminal) *cobra.Command {
	var o ledgerOptions
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Measure searches in a ledger on PostgreSQL that holds many messages",
		Long: `Fills an empty database with made-up messages of months, five to a journey, and measures each kind of search while changes
are written, about 50 in a second. A database that this bench filled before isn't filled again: the same --messages and
--months are then measured at once.

Filling is faster on a server with wal_level=minimal, max_wal_senders=0 and a large maintenance_work_mem. A message takes
about 5 KB of disk.`,
		Example: "  silta bench ledger --ledger postgres://silta@127.0.0.1/bench --messages 100000 --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.messages < 100 || o.months < 2 || o.runs < 1 {
				return usagef("--messages is at least 100, --months at least 2, --runs at least 1")
			}
			f, err := benchLedger(cmd.Context(), t, o)
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(f)
			}
			return f.write(t)
		},
	}
	c.Flags().StringVar(&o.url, "ledger", "", "the database: postgres://user@host:port/database")
	c.Flags().IntVar(&o.messages, "messages", 10_000_000, "how many messages the ledger holds")
	c.Flags().IntVar(&o.months, "months", 24, "over how many months they are spread, until now")
	c.Flags().IntVar(&o.runs, "runs", 500, "how often each search is run")
	_ = c.MarkFlagRequired("ledger") // fails only for a flag that isn't there
	return c
}

func (f ledgerFigures) write(t *terminal) error {
	figures := []figure{
		{"messages", fmt.Sprintf("%d of %d months", f.Messages, f.Months)},
		{"changes/s meanwhile", fmt.Sprintf("%.0f", f.Applied)},
		{"search", "ms p50 / p95 / p99, rows"},
	}
	for _, s := range f.Searches {
		figures = append(figures, figure{s.Search, fmt.Sprintf("%.1f / %.1f / %.1f, %.1f", s.P50, s.P95, s.P99, s.Rows)})
	}
	return writeFigures(t, f.Machine, append(figures, figure{"largest p95 of a search by id, ms", fmt.Sprintf("%.1f", f.Worst)}))
}

func benchLedger(ctx context.Context, t *terminal, o ledgerOptions) (ledgerFigures, error) {
	f := ledgerFigures{Machine: machine(), Messages: o.messages, Months: o.months}
	l, err := ledger.OpenPostgres(ctx, ledger.PostgresConfig{URL: o.url})
	if err != nil {
		return f, err
	}
	defer l.Close()
	began := time.Now()
	made, err := fillLedger(ctx, t, l, o)
	if err != nil {
		return f, err
	}
	if made {
		f.MadeIn = time.Since(began).Seconds()
	}
	writing, stop := context.WithCancel(ctx)
	w := startWriting(writing, l)
	began = time.Now()
	for _, s := range ledgerSearches() {
		figures, err := s.measure(ctx, l, o)
		if err != nil {
			stop()
			w.wait.Wait()
			return f, err
		}
		fmt.Fprintf(t.err, "%s: p95 %.1f ms\n", figures.Search, figures.P95)
		f.Searches = append(f.Searches, figures)
		if s.byID {
			f.Worst = max(f.Worst, figures.P95)
		}
	}
	f.Applied = float64(w.applied.Load()) / time.Since(began).Seconds()
	stop()
	w.wait.Wait()
	if err, failed := w.err.Load().(error); failed {
		return f, err
	}
	return f, nil
}

// fillLedger makes the messages where the ledger is empty, and says whether it did.
func fillLedger(ctx context.Context, t *terminal, l *ledger.Ledger, o ledgerOptions) (made bool, err error) {
	const name = "bench"
	holds := fmt.Sprintf("%d messages of %d months", o.messages, o.months)
	rows, err := l.List(ctx, contracts.Filter{Limit: 1})
	if err != nil {
		return false, err
	}
	if len(rows) == 0 {
		db, err := sql.Open("pgx", o.url)
		if err != nil {
			return false, err
		}
		defer db.Close()
		err = generate.Ledger(ctx, db, o.messages, o.months, time.Now(), func(done string) { fmt.Fprintf(t.err, "made: %s\n", done) })
		if err != nil {
			return false, &contracts.Fault{Kind: contracts.Unavailable, Code: "BENCH-003", Op: "fill", Public: "The database couldn't be filled: " + err.Error(), Err: err}
		}
		made = true
	}
	held := "messages of its own"
	if made {
		held = holds
	}
	if held, err = l.Fix(ctx, name, held); err == nil && held != holds {
		err = usagef("the ledger holds %s already; give an empty database", held)
	}
	return made, err
}

// ledgerWriting applies changes while searches are measured.
type ledgerWriting struct {
	wait    sync.WaitGroup
	applied atomic.Int64
	err     atomic.Value // the first that wasn't the end's
}

// startWriting applies a message's three changes again and again, 50 changes in a second, until ctx ends.
func startWriting(ctx context.Context, l *ledger.Ledger) *ledgerWriting {
	w := &ledgerWriting{}
	w.wait.Go(func() {
		tick := time.NewTicker(time.Second / 50)
		defer tick.Stop()
		for {
			for _, c := range madeChanges(contracts.ID(uuid.NewString()), time.Now()) {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if err := l.Apply(ctx, c); err != nil && ctx.Err() == nil {
					w.err.CompareAndSwap(nil, err)
					return
				}
				w.applied.Add(1)
			}
		}
	})
	return w
}

// madeChanges is what the hub writes for one message: translated for one receiver, sent, delivered.
func madeChanges(id contracts.ID, at time.Time) []contracts.Change {
	journey, out := contracts.JourneyID(id), contracts.OutgoingID(id, "hus", "message", 0)
	step := func(of contracts.ID, kind string, attempt int) contracts.Step {
		return contracts.Step{ID: contracts.StepID(of, kind, "hus", attempt), At: at, Journey: journey, Message: of, Type: "REF^I12", Step: kind, From: "apotti",
			To: "hus", Attempt: attempt}
	}
	name := func(partner, kind, value string, message contracts.ID) contracts.Identifier {
		return contracts.Identifier{Partner: partner, Kind: kind, Value: value, Message: message, Journey: journey}
	}
	d := contracts.Delivery{ID: out, Message: id, Journey: journey, Partner: "hus", Route: "apotti>hus", Control: out.Control(), Type: "referral-request",
		Format: contracts.FormatFHIR, Digest: contracts.Digest(out), State: contracts.StateTranslated}
	sending, delivered := d, d
	sending.State, sending.Attempts = contracts.StateSending, 1
	delivered.State, delivered.Attempts, delivered.Answer = contracts.StateDelivered, 1, "200"
	return []contracts.Change{
		{
			Received: at,
			Entries: []contracts.Entry{{ID: id, Partner: "apotti", Format: contracts.FormatV2, Control: id.Control(), Type: "REF^I12", Version: "2.5.1",
				Received: at, Journey: journey, Event: "referral-request", State: contracts.StateTranslated, Canonical: contracts.Digest(id)}},
			Deliveries: []contracts.Delivery{d},
			Steps:      []contracts.Step{step(id, contracts.StepReceived, 0), step(id, contracts.StepTranslated, 0)},
			Journeys:   []contracts.Journey{{ID: journey, State: "requested", Started: at, Updated: at}},
			Bodies:     []contracts.StoredBody{{Digest: contracts.Digest(id), Body: contracts.NewBody([]byte(id))}},
			Identifiers: []contracts.Identifier{name("apotti", contracts.IDControl, id.Control(), id), name("hus", contracts.IDControl, out.Control(), id),
				name("apotti", contracts.IDPlacer, "L"+id.Control(), ""), name("hus", contracts.IDPlacer, "L"+id.Control(), "")},
		},
		{Received: at, Deliveries: []contracts.Delivery{sending}, Steps: []contracts.Step{step(out, contracts.StepSending, 1)}},
		{Received: at, Deliveries: []contracts.Delivery{delivered}, Steps: []contracts.Step{step(out, contracts.StepDelivered, 1)}},
	}
}

// ledgerSearch is one kind of search. target finds, before the clock runs, what is searched for in the place of message i.
type ledgerSearch struct {
	name   string
	byID   bool
	target func(ctx context.Context, l *ledger.Ledger, i int) (string, error)
	run    func(ctx context.Context, l *ledger.Ledger, id string) (int, error)
}

func (s ledgerSearch) measure(ctx context.Context, l *ledger.Ledger, o ledgerOptions) (searchFigures, error) {
	took := make([]time.Duration, 0, o.runs)
	rows := 0
	for range o.runs {
		id, err := s.target(ctx, l, rand.IntN(o.messages/generate.LedgerPerJourney*generate.LedgerPerJourney))
		if err != nil {
			return searchFigures{}, err
		}
		at := time.Now()
		n, err := s.run(ctx, l, id)
		if err != nil {
			return searchFigures{}, err
		}
		took, rows = append(took, time.Since(at)), rows+n
	}
	slices.Sort(took)
	of := func(percent int) float64 { return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000 }
	return searchFigures{Search: s.name, ByID: s.byID, Rows: float64(rows) / float64(o.runs), P50: of(50), P95: of(95), P99: of(99)}, nil
}

func ledgerSearches() []ledgerSearch {
	text := func(format string, per int) func(context.Context, *ledger.Ledger, int) (string, error) {
		return func(_ context.Context, _ *ledger.Ledger, i int) (string, error) {
			return fmt.Sprintf(format, i/per), nil
		}
	}
	control, outgoing, placer := text(generate.LedgerControl, 1), text(generate.LedgerOutgoing, 1), text(generate.LedgerPlacer, generate.LedgerPerJourney)
	named := func(pick func(ctx context.Context, l *ledger.Ledger, row contracts.Identifier) (string, error)) func(context.Context, *ledger.Ledger, int) (string, error) {
		return func(ctx context.Context, l *ledger.Ledger, i int) (string, error) {
			names, err := l.Lookup(ctx, "", contracts.IDControl, fmt.Sprintf(generate.LedgerControl, i))
			if err != nil {
				return "", err
			}
			return pick(ctx, l, names[0])
		}
	}
	ours := named(func(_ context.Context, _ *ledger.Ledger, n contracts.Identifier) (string, error) {
		return string(n.Message), nil
	})
	journey := named(func(_ context.Context, _ *ledger.Ledger, n contracts.Identifier) (string, error) {
		return string(n.Journey), nil
	})
	delivery := named(func(ctx context.Context, l *ledger.Ledger, n contracts.Identifier) (string, error) {
		ds, err := l.Deliveries(ctx, n.Message)
		if err != nil {
			return "", err
		}
		return string(ds[0].ID), nil
	})
	find := func(ctx context.Context, l *ledger.Ledger, id string) (int, error) { return count(l.Find(ctx, id)) }
	list := func(name string, f contracts.Filter) ledgerSearch {
		return ledgerSearch{name, false, control, func(ctx context.Context, l *ledger.Ledger, _ string) (int, error) { return count(l.List(ctx, f)) }}
	}
	since := time.Now().AddDate(0, -1, 0)
	return []ledgerSearch{
		{"find by our id", true, ours, find},
		{"find by control id", true, control, find},
		{"find by outgoing control id", true, outgoing, find},
		{"find by placer id", true, placer, find},
		{"find by journey", true, journey, find},
		{"find by delivery", true, delivery, find},
		{"find something unknown", true, text("no such id %d", 1), find},
		{"lookup of a partner's name", true, placer, func(ctx context.Context, l *ledger.Ledger, id string) (int, error) {
			return count(l.Lookup(ctx, "hus", contracts.IDPlacer, id))
		}},
		{"names of a journey", true, journey, func(ctx context.Context, l *ledger.Ledger, id string) (int, error) {
			return count(l.Identifiers(ctx, contracts.ID(id)))
		}},
		{"steps of a journey", true, journey, func(ctx context.Context, l *ledger.Ledger, id string) (int, error) {
			return count(l.JourneySteps(ctx, contracts.ID(id)))
		}},
		{"steps of a message", true, ours, func(ctx context.Context, l *ledger.Ledger, id string) (int, error) {
			return count(l.MessageSteps(ctx, contracts.ID(id)))
		}},
		{"deliveries of a message", true, ours, func(ctx context.Context, l *ledger.Ledger, id string) (int, error) {
			return count(l.Deliveries(ctx, contracts.ID(id)))
		}},
		{"a message", true, ours, func(ctx context.Context, l *ledger.Ledger, id string) (int, error) {
			_, err := l.Entry(ctx, contracts.ID(id))
			return 1, err
		}},
		list("list", contracts.Filter{}),
		list("list parked", contracts.Filter{State: contracts.StateParked}),
		list("list delivered", contracts.Filter{State: contracts.StateDelivered}),
		list("list of a sender", contracts.Filter{Partner: "vantaa"}),
		list("list of a receiver", contracts.Filter{Partner: "hus"}),
		list("list of a small receiver", contracts.Filter{Partner: "sotehub"}),
		list("list of a partner that has none", contracts.Filter{Partner: "nobody"}),
		list("list of a type", contracts.Filter{Type: "SIU^S12"}),
		list("list since a month ago", contracts.Filter{Since: since}),
		list("list parked for a receiver", contracts.Filter{State: contracts.StateParked, Partner: "hus"}),
		list("list of a receiver and a type", contracts.Filter{Partner: "hus", Type: "SIU^S12"}),
		list("list of a small receiver and a type", contracts.Filter{Partner: "sotehub", Type: "ORU^R01"}),
		list("list of all at once", contracts.Filter{State: contracts.StateParked, Partner: "hus", Type: "SIU^S12", Since: since}),
	}
}

func count[T any](found []T, err error) (int, error) { return len(found), err }

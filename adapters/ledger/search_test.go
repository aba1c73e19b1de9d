//go:build postgres

package ledger_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/postgres"
)

var messages = flag.Int("messages", 20_000, "invented messages that BenchmarkSearchPostgres searches among")

// fillSQL writes %d invented messages of 24 months: three to a journey, each for one receiver, all but one of a thousand
// delivered.
const fillSQL = `
CREATE TEMP TABLE made AS SELECT i, md5('in' || i)::uuid::text AS id, md5('out' || i)::uuid::text AS out, md5('j' || i / 3)::uuid::text AS journey,
	(extract(epoch FROM timestamptz '2024-09-01') * 1e6)::bigint + i * (63072000000000 / %[1]d) AS at,
	(ARRAY['apotti', 'espoo', 'vantaa', 'terho'])[i %% 4 + 1] AS sender, (ARRAY['REF^I12', 'RRI^I12', 'SIU^S12'])[i %% 3 + 1] AS type,
	CASE WHEN i %% 1000 = 7 THEN 'parked' ELSE 'delivered' END AS state FROM generate_series(0, %[1]d - 1) i;
INSERT INTO entries (id, partner, format, control, type, version, application, facility, key, received, journey, origin, event, cause, state, shown, map,
	canonical, digest, fault, place_topic, place_partition, place_offset)
SELECT id, sender, 'hl7v2', 'M' || i, type, '2.5.1', 'APOTTI', 'HELSINKI', md5(journey), at, journey, '', 'referral-request', '', 'translated', state,
	'ref-i12@1.0.0', md5(id) || md5(out), md5(out) || md5(id), '', 'silta.in', i %% 12, i FROM made;
INSERT INTO deliveries (id, message, journey, partner, route, generation, control, type, format, map, key, digest, state, rank, attempts, unknown, answer,
	fault, place_topic, place_partition, place_offset)
SELECT out, id, journey, 'hus', sender || '>hus', 0, 'O' || i, 'referral-request', 'fhir', 'hus.ref-i12@1.0.0', md5(journey), md5(out) || md5(id), state,
	CASE state WHEN 'parked' THEN 1 ELSE 7 END, 1, false, '200', '', 'silta.out.hus', i %% 12, i FROM made;
INSERT INTO steps (id, at, journey, message, control, type, step, sender, receiver, map, attempt, answer, digest, fault, findings, reason)
SELECT md5(step || id)::uuid::text, at, journey, id, 'M' || i, type, step, sender, 'hus', 'ref-i12@1.0.0', 0, '', md5(out) || md5(id), '', '', ''
FROM made, unnest(ARRAY['received', 'translated', 'readdress', 'sending', 'delivered']) step;
INSERT INTO ids (value, partner, kind, owner, message, journey) SELECT value, partner, kind, id, id, journey FROM made, LATERAL (VALUES
	('M' || i, sender, 'control'), ('L' || i / 3, sender, 'placer'), ('O' || i, 'hus', 'control'), (out, 'hus', 'control'), ('L' || i / 3, 'hus', 'placer'),
	('Task/' || left(id, 13), 'hus', 'resource')) names (value, partner, kind) ON CONFLICT DO NOTHING;
INSERT INTO journeys (id, state, started, updated) SELECT journey, 'requested', min(at), max(at) FROM made GROUP BY journey;
ANALYZE;`

// BenchmarkSearchPostgres tells how long searches take while changes are applied: -messages says among how many.
func BenchmarkSearchPostgres(b *testing.B) {
	s := postgres.ForTest(b, "max_wal_size=4GB", "shared_buffers=256MB", "checkpoint_timeout=15min")
	l := openServer(b, s)
	begun := time.Now()
	if err := postgres.Run(context.Background(), s.URL(), fmt.Sprintf(fillSQL, *messages)); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d messages were made in %v", *messages, time.Since(begun).Round(time.Second))
	ctx, end := context.WithCancel(context.Background())
	applied := make(chan int64)
	go func() {
		n := int64(0)
		for ; ctx.Err() == nil; n++ {
			for _, c := range life(n, time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)) {
				if err := l.Apply(ctx, c); err != nil && ctx.Err() == nil {
					b.Error(err)
				}
			}
		}
		applied <- n
	}()
	for _, search := range searches() {
		b.Run(search.name, func(b *testing.B) {
			took := make([]time.Duration, 0, b.N)
			rows := 0
			for range b.N {
				at := time.Now()
				n, err := search.run(ctx, l, rand.IntN(*messages))
				if err != nil {
					b.Fatal(err)
				}
				took, rows = append(took, time.Since(at)), rows+n
			}
			slices.Sort(took)
			for _, p := range []int{50, 95, 99} {
				b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1000, fmt.Sprintf("ms-p%d", p))
			}
			b.ReportMetric(float64(rows)/float64(b.N), "rows")
		})
	}
	end()
	b.Logf("%d messages were applied meanwhile", <-applied)
}

type search struct {
	name string
	run  func(ctx context.Context, l *ledger.Ledger, i int) (int, error)
}

func searches() []search {
	find := func(format string) func(context.Context, *ledger.Ledger, int) (int, error) {
		return func(ctx context.Context, l *ledger.Ledger, i int) (int, error) {
			rows, err := l.Find(ctx, fmt.Sprintf(format, i))
			return len(rows), err
		}
	}
	list := func(f contracts.Filter) func(context.Context, *ledger.Ledger, int) (int, error) {
		return func(ctx context.Context, l *ledger.Ledger, _ int) (int, error) {
			rows, err := l.List(ctx, f)
			return len(rows), err
		}
	}
	return []search{
		{"find by control id", find("M%d")},
		{"find by outgoing control id", find("O%d")},
		{"find by placer id", func(ctx context.Context, l *ledger.Ledger, i int) (int, error) {
			rows, err := l.Find(ctx, fmt.Sprint("L", i/3))
			return len(rows), err
		}},
		{"find nothing", find("no such id %d")},
		{"lookup", func(ctx context.Context, l *ledger.Ledger, i int) (int, error) {
			is, err := l.Lookup(ctx, "hus", contracts.IDPlacer, fmt.Sprint("L", i/3))
			return len(is), err
		}},
		{"steps of a journey", func(ctx context.Context, l *ledger.Ledger, i int) (int, error) {
			is, err := l.Lookup(ctx, "hus", contracts.IDControl, fmt.Sprint("O", i))
			if err != nil || len(is) == 0 {
				return 0, err
			}
			steps, err := l.JourneySteps(ctx, is[0].Journey)
			return len(steps), err
		}},
		{"list", list(contracts.Filter{})},
		{"list parked", list(contracts.Filter{State: contracts.StateParked})},
		{"list delivered", list(contracts.Filter{State: contracts.StateDelivered})},
		{"list of a sender", list(contracts.Filter{Partner: "vantaa"})},
		{"list of a receiver", list(contracts.Filter{Partner: "hus"})},
		{"list of a type", list(contracts.Filter{Type: "SIU^S12"})},
		{"list since", list(contracts.Filter{Since: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)})},
		{"list of all at once", list(contracts.Filter{State: contracts.StateParked, Partner: "hus", Type: "SIU^S12", Since: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)})},
	}
}

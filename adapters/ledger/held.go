package ledger

import (
	"context"

	"github.com/hoitosilta/silta/contracts"
)

// Held counts what waits behind the keys of each topic that has some. The slice isn't nil when there is none.
func (l *Ledger) Held(ctx context.Context) ([]contracts.Held, error) {
	scan := func(r rowScanner) (h contracts.Held, err error) {
		var oldest int64
		err = r.Scan(&h.Topic, &h.Spilled, &h.Parked, &h.Messages, &oldest)
		h.Oldest = instant(oldest)
		return h, err
	}
	held, err := all(ctx, l.reads, scan, `SELECT k.topic, sum(CASE WHEN k.condition = 'spilled' THEN 1 ELSE 0 END), sum(CASE WHEN k.condition = 'parked' THEN 1 ELSE 0 END),
	CAST(coalesce(sum(w.messages), 0) AS BIGINT), coalesce(min(w.oldest), 0)
FROM keys k LEFT JOIN (SELECT topic, key, count(*) AS messages, min(since) AS oldest FROM waiting GROUP BY topic, key) w ON w.topic = k.topic AND w.key = k.key
GROUP BY k.topic ORDER BY k.topic`)
	return append([]contracts.Held{}, held...), fault("held", err)
}

package embedded

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// A page of records ends at these bounds, so that a topic of any size is read in little memory.
const (
	pageRecords = 256
	pageBytes   = 4 << 20
)

// bucketBits: the index of keys has 4096 neighbouring records together, so that appending touches few of its pages.
// A replay of one key asks bucket by bucket.
const bucketBits = 12

// row is a record as the file has it: the body is still packed, or lies in a file.
type row struct {
	place  int64
	topic  string
	record contracts.Record // without its body
	header []byte
	stored []byte
	large  string
}

const rowColumns = "place, key, id, at, header, body, large"

func (r *row) scan(rows *sql.Rows) error {
	var at int64
	var large sql.NullString
	if err := rows.Scan(&r.place, &r.record.Key, &r.record.ID, &at, &r.header, &r.stored, &large); err != nil {
		return err
	}
	r.large = large.String
	r.record.Topic, r.record.Time, r.record.Place = r.topic, time.UnixMicro(at).UTC(), placeOf(r.topic, r.place)
	return nil
}

// whole gives the record with header and body.
func (b *Bus) whole(r *row) (contracts.Record, error) {
	if err := json.Unmarshal(r.header, &r.record.Header); err != nil {
		return contracts.Record{}, err
	}
	if r.large != "" {
		var err error
		if r.stored, err = b.bodies.read(r.large); err != nil {
			return contracts.Record{}, err
		}
	}
	body, err := contracts.Unpack(r.stored)
	r.record.Body = body
	return r.record, err
}

// Read gives the record at a place; a fault of kind notfound if there is none.
func (b *Bus) Read(ctx context.Context, place contracts.Place) (contracts.Record, error) {
	t := b.known(place.Topic)
	if t.id == 0 || place.Partition != 0 || place.Offset < t.floor || place.Offset >= t.next {
		return contracts.Record{}, noPlaceFault()
	}
	r := row{topic: place.Topic}
	found := false
	err := each(ctx, b.reads, "SELECT "+rowColumns+" FROM records WHERE place = ?", func(rows *sql.Rows) error {
		found = true
		return r.scan(rows)
	}, t.id<<placeBits|place.Offset)
	if err != nil {
		return contracts.Record{}, readFault(err)
	}
	if !found {
		return contracts.Record{}, noPlaceFault()
	}
	rec, err := b.whole(&r)
	if err != nil {
		return contracts.Record{}, readFault(err)
	}
	return rec, nil
}

// Replay gives the chosen records that are there when it begins, oldest first. An error of each ends it and comes back.
func (b *Bus) Replay(ctx context.Context, choice contracts.Replay, each func(contracts.Record) error) error {
	t := b.known(choice.Topic)
	from, err := b.since(ctx, t, choice.Since)
	if err != nil {
		return readFault(err)
	}
	for from < t.next {
		page, next, err := b.page(ctx, choice, t, from)
		if err != nil {
			return readFault(err)
		}
		for i := range page {
			r, err := b.whole(page[i])
			if err != nil {
				return readFault(err)
			}
			if err := each(r); err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}

// since gives the first offset whose record's time isn't before the given one.
func (b *Bus) since(ctx context.Context, t topic, at time.Time) (int64, error) {
	if at.IsZero() || t.id == 0 {
		return t.floor, nil
	}
	var place sql.NullInt64
	// Times rise nearly with places, but not quite: so the lowest place is asked for, not the earliest time.
	err := b.reads.QueryRowContext(ctx, "SELECT min(place) FROM records INDEXED BY records_at WHERE topic = ? AND at >= ?", t.id, microCeil(at)).Scan(&place)
	if err != nil || !place.Valid {
		return t.next, err
	}
	return place.Int64 & (1<<placeBits - 1), nil
}

// page gives chosen records from an offset on, and the offset to go on from.
func (b *Bus) page(ctx context.Context, choice contracts.Replay, t topic, from int64) (page []*row, next int64, err error) {
	next = t.next
	query, args := "SELECT "+rowColumns+" FROM records", []any(nil)
	if choice.Key == "" {
		query += " WHERE place >= ? AND place < ?"
	} else {
		next = min(next, (from>>bucketBits+1)<<bucketBits)
		query += " INDEXED BY records_key WHERE topic = ? AND place >> 12 = ? AND key = ? AND place >= ? AND place < ?"
		args = append(args, t.id, (t.id<<placeBits|from)>>bucketBits, string(choice.Key))
	}
	args = append(args, t.id<<placeBits|from, t.id<<placeBits|next)
	if !choice.Since.IsZero() {
		query, args = query+" AND at >= ?", append(args, microCeil(choice.Since))
	}
	size := 0
	err = each(ctx, b.reads, query+" ORDER BY place LIMIT ?", func(rows *sql.Rows) error {
		r := &row{topic: choice.Topic}
		if err := r.scan(rows); err != nil {
			return err
		}
		page, size = append(page, r), size+len(r.stored)
		if len(page) == pageRecords || size >= pageBytes {
			next = r.record.Place.Offset + 1
			return errPageFull
		}
		return nil
	}, append(args, pageRecords)...)
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return page, next, err
}

var errPageFull = errors.New("page full")

// microCeil is t in microseconds, rounded up: records have no finer time, and none before t may be chosen.
func microCeil(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}

func placeOf(topic string, place int64) contracts.Place {
	return contracts.Place{Topic: topic, Offset: place & (1<<placeBits - 1)}
}

package bare

import (
	"context"
	"database/sql"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

type request struct {
	topic int
	key   string
	body  []byte
	done  chan error
}

type sqlite struct {
	db       *sql.DB
	requests chan request
	taken    int64
}

// SQLite opens a table in a new file of dir: write-ahead log, an fsync for each group of callers that wait.
func SQLite(dir string) (Bus, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)")
	if err == nil {
		_, err = db.Exec("CREATE TABLE records (seq INTEGER PRIMARY KEY, topic INTEGER, key TEXT, body BLOB)")
	}
	b := &sqlite{db: db, requests: make(chan request, 1024)}
	go b.write()
	return b, err
}

func (b *sqlite) write() {
	insert, _ := b.db.Prepare("INSERT INTO records (topic, key, body) VALUES (?, ?, ?)")
	for r := range b.requests {
		group := []request{r}
		for len(b.requests) > 0 && len(group) < 1024 {
			group = append(group, <-b.requests)
		}
		tx, err := b.db.Begin()
		for _, r := range group {
			if err == nil {
				_, err = tx.Stmt(insert).Exec(r.topic, r.key, r.body)
			}
		}
		if err == nil {
			err = tx.Commit()
		}
		for _, r := range group {
			r.done <- err
		}
	}
}

func (b *sqlite) append(topic int, key string, body []byte) error {
	r := request{topic, key, body, make(chan error, 1)}
	b.requests <- r
	return <-r.done
}

func (b *sqlite) Publish(_ context.Context, key string, body []byte) error {
	return b.append(0, key, body)
}

func (b *sqlite) Pipe(ctx context.Context, n int) error {
	type row struct {
		seq  int64
		key  string
		body []byte
	}
	for n > 0 {
		rows, err := b.db.QueryContext(ctx, "SELECT seq, key, body FROM records WHERE topic = 0 AND seq > ? ORDER BY seq LIMIT ?", b.taken, min(n, 256))
		if err != nil {
			return err
		}
		var page []row
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.seq, &r.key, &r.body); err != nil {
				return err
			}
			page = append(page, r)
		}
		answers := make(chan error, len(page))
		for _, r := range page {
			go func() { answers <- b.append(1, r.key, r.body) }()
			b.taken = r.seq
		}
		for range page {
			if err := <-answers; err != nil {
				return err
			}
		}
		n -= len(page)
	}
	return nil
}

func (b *sqlite) Close() error { close(b.requests); return b.db.Close() }

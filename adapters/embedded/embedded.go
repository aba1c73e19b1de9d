// Package embedded is the bus in one SQLite file: durable records in order, with nothing to install.
//
// A directory holds bus.db and, for bodies of a megabyte and more, the folder bus-bodies. Publish returns after the
// fsync of the transaction that holds its record (WAL, synchronous=FULL). One goroutine writes; it puts all callers
// that wait into one transaction, so they share one fsync.
//
// What a failure leaves behind: a crash at any instant leaves the file at its last commit, with every acknowledged
// record in it. Records that weren't acknowledged may be there too. What groups finished is written up to a twentieth
// of a second late, so records finished just before a crash come again. A disk that is full or broken makes Publish
// fail (kind unavailable) and changes nothing; it works again as soon as the disk does.
//
// One process owns a directory: Lock tells a second one who. The bus itself doesn't look at the lock, because the
// ledger's file lies under the same one.
package embedded

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Bus is an open bus. Its methods may be called from many goroutines. It satisfies hub.Bus, which documents them.
type Bus struct {
	set      settings
	writer   *writer
	reads    *sql.DB
	bodies   *bodies
	closing  chan struct{}
	inside   sync.WaitGroup // calls that use the writer
	shutdown sync.Once

	mu        sync.Mutex
	closed    bool
	topics    map[string]topic
	marks     map[subscription]int64 // low watermarks: the first offset that isn't finished
	paused    map[subscription]bool
	consumers map[subscription]*consumer
}

// topic is what the bus knows of a topic: offsets from floor on, below next, hold records.
type topic struct{ id, floor, next int64 }

// subscription is one group's reading of one topic.
type subscription struct{ topic, group string }

type settings struct {
	large       int           // bytes of a body from which it goes into a file of its own
	window      int64         // offsets from the low watermark to the furthest record that is handed out
	backoff     time.Duration // pause after a record's first error; doubles up to backoffMax
	backoffMax  time.Duration
	synchronous string               // of SQLite
	vfs         string               // of SQLite
	checkpoint  int                  // pages of the WAL from which a commit copies it into the file
	sync        func(*os.File) error // makes a file or a folder durable
}

// Option changes a setting of Open.
type Option func(*settings)

// LargeFrom sets the size in bytes from which a body lies in a file of its own. Default: 1 MiB.
func LargeFrom(bytes int) Option { return func(s *settings) { s.large = bytes } }

// Window sets how far, in records of a topic, a group may work ahead of its oldest unfinished record. Default: 262144.
// A key that is stuck for longer stops its group there, so that memory stays bounded: at most about 250 bytes for
// each record of the window, and 16 MiB of bodies.
func Window(records int) Option {
	return func(s *settings) { s.window = max(64, int64(records)) / 64 * 64 }
}

// Backoff sets the pause before a record that met an error comes again. It doubles with each error, from first to
// longest. Default: 100 ms to 10 s.
func Backoff(first, longest time.Duration) Option {
	return func(s *settings) { s.backoff, s.backoffMax = first, longest }
}

// Open opens the bus in dir, which it creates if need be, and brings the file's schema up to date. Files that no
// record refers to are removed from the folder of bodies. Faults are of kind unavailable.
func Open(dir string, options ...Option) (*Bus, error) {
	set := settings{large: 1 << 20, window: 1 << 18, backoff: 100 * time.Millisecond, backoffMax: 10 * time.Second,
		synchronous: "FULL", checkpoint: checkpointPages, sync: (*os.File).Sync}
	for _, o := range options {
		o(&set)
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = makeFolder(dir, set.sync)
	}
	if err != nil {
		return nil, openFault(dir, err)
	}
	b := &Bus{set: set, closing: make(chan struct{}), topics: map[string]topic{}, marks: map[subscription]int64{},
		paused: map[subscription]bool{}, consumers: map[subscription]*consumer{}}
	if err := b.open(dir); err != nil {
		b.closeFiles()
		return nil, openFault(dir, err)
	}
	go b.writer.run()
	return b, nil
}

func (b *Bus) open(dir string) error {
	ctx := context.Background()
	file := filepath.Join(dir, "bus.db")
	db, err := openWriting(ctx, file, b.set)
	if err != nil {
		return err
	}
	b.writer = &writer{bus: b, db: db, requests: make(chan *request, 1024), marked: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := migrate(ctx, db); err != nil {
		return err
	}
	if err := syncFolder(dir, b.set.sync); err != nil {
		return err
	}
	if err := b.writer.prepare(ctx); err != nil {
		return err
	}
	if b.reads, err = openReading(file, b.set); err != nil {
		return err
	}
	if err := b.loadTopics(ctx); err != nil {
		return err
	}
	b.bodies = &bodies{folder: filepath.Join(dir, "bus-bodies"), sync: b.set.sync}
	return b.bodies.open(ctx, b.reads)
}

// Close ends Consume calls as if their contexts had ended, waits for what is being published, and closes the files.
// Publish and Consume after it meet a fault of kind unavailable.
func (b *Bus) Close() error {
	var err error
	b.shutdown.Do(func() {
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		close(b.closing)
		b.inside.Wait()
		close(b.writer.requests)
		<-b.writer.ended
		err = b.closeFiles()
	})
	return err
}

func (b *Bus) closeFiles() error {
	var err error
	if b.reads != nil {
		err = b.reads.Close()
	}
	if b.writer != nil {
		if e := b.writer.close(); err == nil {
			err = e
		}
	}
	return err
}

// enter keeps the writer alive until leave is called. It fails once the bus is closed.
func (b *Bus) enter() (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, closedFault()
	}
	b.inside.Add(1)
	return b.inside.Done, nil
}

// Health writes one row and waits for its fsync. It is nil when publishing would work now.
func (b *Bus) Health(ctx context.Context) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	return b.writer.do(ctx, &request{beat: true}).err
}

// Lag counts the records that group hasn't finished.
func (b *Bus) Lag(_ context.Context, name, group string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sub, t := subscription{name, group}, b.topics[name]
	if c := b.consumers[sub]; c != nil {
		return t.next - c.finished.Load(), nil
	}
	return t.next - max(b.marks[sub], t.floor), nil
}

// Pause stops handing out records of a topic to group until Resume; what runs, runs on. A pause is not kept when the
// bus is closed.
func (b *Bus) Pause(topic, group string) { b.pause(subscription{topic, group}, true) }

// Resume hands out again what Pause stopped.
func (b *Bus) Resume(topic, group string) { b.pause(subscription{topic, group}, false) }

func (b *Bus) pause(sub subscription, paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if paused {
		b.paused[sub] = true
	} else {
		delete(b.paused, sub)
	}
	if c := b.consumers[sub]; c != nil {
		c.poke()
	}
}

// known gives what the bus knows of a topic; the zero topic if it holds no record.
func (b *Bus) known(name string) topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics[name]
}

package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/contracts"
)

func opened(t *testing.T) *Ledger {
	t.Helper()
	l, err := Open(filepath.Join(t.TempDir(), "a folder?with%20odd#name.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func body(name string, size int) contracts.Change {
	b := make([]byte, size)
	rand.Read(b) // so that it can't be packed
	return contracts.Change{Bodies: []contracts.StoredBody{{Digest: contracts.Digest(name), Body: contracts.NewBody(b)}}}
}

// held stops the writer in a task of its own until release is called; what is handed in meanwhile becomes one group.
func held(t *testing.T, l *Ledger) (release func()) {
	t.Helper()
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if err := l.w.within(t.Context(), "hold", func(tx) error {
			close(begun)
			<-end
			return nil
		}); err != nil {
			t.Error(err)
		}
	}()
	<-begun
	return func() {
		close(end)
		<-ended
	}
}

// gathered runs calls at once as one group, in this order.
func gathered(t *testing.T, l *Ledger, calls ...func() error) []error {
	t.Helper()
	release := held(t, l)
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
		for len(l.w.(*writer).tasks) <= i {
			runtime.Gosched() // the call is on its way into the queue; nothing else tells that it has arrived
		}
	}
	release()
	wg.Wait()
	return errs
}

func (l *Ledger) mustHave(t *testing.T, name string, want bool) {
	t.Helper()
	_, err := l.Body(t.Context(), contracts.Digest(name))
	if got := err == nil; got != want || err != nil && contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("body %s is there: %v (%v), want %v", name, got, err, want)
	}
}

// ask gives the one value that a statement gives on the writing connection.
func ask(t *testing.T, l *Ledger, text string) (value any) {
	t.Helper()
	if err := l.w.within(t.Context(), "ask", func(open tx) error {
		rows, err := open.query(text)
		if err == nil {
			value = rows[0][0]
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestWritesAreSyncedAndReadsAreNot(t *testing.T) {
	l := opened(t)
	if got := ask(t, l, "PRAGMA synchronous"); got != int64(2) {
		t.Errorf("synchronous is %v, want 2: an fsync for each commit", got)
	}
	if got := ask(t, l, "PRAGMA journal_mode"); got != "wal" {
		t.Errorf("the journal is %v, want wal", got)
	}
	if _, err := l.reads.ExecContext(t.Context(), "DELETE FROM entries"); err == nil {
		t.Error("a reading connection writes")
	}
}

func TestReadsDontWaitForTheWriter(t *testing.T) {
	l := opened(t)
	release := held(t, l)
	for range 3 * readers {
		if _, err := l.List(t.Context(), contracts.Filter{}); err != nil {
			t.Errorf("a read while a transaction is open: %v", err)
		}
	}
	release()
}

func TestABrokenTaskHarmsNoNeighbour(t *testing.T) {
	l := opened(t)
	errs := gathered(t, l,
		func() error { return l.Apply(t.Context(), body("before", 10)) },
		func() error {
			return l.w.within(t.Context(), "break", func(open tx) error {
				_, err := open.exec("INSERT INTO no_such_table VALUES (1)")
				return err
			})
		},
		func() error {
			return l.Apply(t.Context(), contracts.Change{Wait: []contracts.Waiting{{KeyRef: contracts.KeyRef{Topic: "t", Key: "k"}, Message: "m"}}})
		},
		func() error { return l.Apply(t.Context(), body("behind", 10)) })
	for i, want := range []contracts.Kind{"", contracts.Internal, contracts.Conflict, ""} {
		if got := contracts.KindOf(errs[i]); got != want {
			t.Errorf("call %d gives %v, want kind %q", i, errs[i], want)
		}
	}
	l.mustHave(t, "before", true)
	l.mustHave(t, "behind", true)
}

// A full disk is tried by a limit on the file's pages, which SQLite reports alike.
func TestAFullDiskIsUnavailableAndPasses(t *testing.T) {
	l := opened(t)
	pages := func(n int) {
		if err := l.w.within(t.Context(), "limit", func(open tx) error {
			_, err := open.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	pages(80)
	errs := gathered(t, l,
		func() error { return l.Apply(t.Context(), body("small", 10)) },
		func() error { return l.Apply(t.Context(), body("large", 1<<20)) },
		func() error { return l.Apply(t.Context(), body("small too", 10)) })
	for i, want := range []contracts.Kind{"", contracts.Unavailable, ""} {
		if got := contracts.KindOf(errs[i]); got != want {
			t.Errorf("call %d gives %v, want kind %q", i, errs[i], want)
		}
	}
	l.mustHave(t, "large", false)
	pages(1 << 30)
	if err := l.Apply(t.Context(), body("large", 1<<20)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	for _, name := range []string{"small", "large", "small too"} {
		l.mustHave(t, name, true)
	}
}

func TestTheFileIsItsOwnersAlone(t *testing.T) {
	l := opened(t)
	if err := l.Apply(t.Context(), body("any", 10)); err != nil {
		t.Fatal(err)
	}
	path := ask(t, l, "SELECT file FROM pragma_database_list WHERE name = 'main'").(string)
	files, err := filepath.Glob(filepath.Dir(path) + "/*")
	if err != nil || len(files) < 2 {
		t.Fatalf("there are %d files (%v), want the ledger and its log", len(files), err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", filepath.Base(file), info.Mode(), err)
		}
	}
}

func TestOpenRefusesWhatIsNoLedger(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/text.db", []byte("this is a text of more than sixteen bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		path string
		kind contracts.Kind
	}{
		"a text":           {dir + "/text.db", contracts.Internal},
		"a missing folder": {dir + "/missing/ledger.db", contracts.Unavailable},
	} {
		l, err := Open(c.path)
		if contracts.KindOf(err) != c.kind || l != nil {
			t.Errorf("%s: got %v, want a fault of kind %s", what, err, c.kind)
		}
		var f *contracts.Fault
		if !errors.As(err, &f) {
			t.Errorf("%s: the error is no fault", what)
		}
	}
}

// Whatever field a change gets, the journal keeps it.
func TestTheJournalKeepsEveryField(t *testing.T) {
	var c contracts.Change
	fill(t, reflect.ValueOf(&c).Elem())
	c.Bodies = nil // they stand beside it
	b, err := encode(c, []packedBody{{"digest", []byte("bytes")}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, got.change); d != "" || len(got.bodies) != 1 {
		t.Errorf("(-written +read):\n%s, %d bodies", d, len(got.bodies))
	}
}

// fill sets every field to something. Of a fault it sets what the tables keep of one.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 1000).UTC()))
		return
	case contracts.Body:
		return
	case *contracts.Fault:
		v.Set(reflect.ValueOf(contracts.Faultf(contracts.Refused, "TST-001", "MSA-1", "An invented fault.")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("a change holds a %s, which nobody fills", v.Kind())
	}
}

// More than the journal takes goes to the tables by itself, and nothing is told twice or not at all meanwhile.
func TestAFullJournalGoesToTheTables(t *testing.T) {
	l := opened(t)
	l.journal.most = 8
	const messages = 100 // in two changes each, of which the journal keeps one
	var g errgroup.Group
	for i := range messages {
		g.Go(func() error {
			in, out := contracts.ID(fmt.Sprintf("in-%d", i)), contracts.ID(fmt.Sprintf("out-%d", i))
			d := contracts.Delivery{ID: out, Message: in, Partner: "hus", State: contracts.StateTranslated}
			translated := contracts.Change{Entries: []contracts.Entry{{ID: in, Partner: "apotti", State: contracts.StateTranslated, Received: time.Unix(int64(i+1), 0)}},
				Deliveries: []contracts.Delivery{d}}
			d.State, d.Attempts = contracts.StateSending, 1
			for _, c := range []contracts.Change{translated, {Deliveries: []contracts.Delivery{d}}} {
				if err := l.Apply(t.Context(), c); err != nil {
					return err
				}
			}
			got, err := l.Delivery(t.Context(), out)
			if err == nil && got != d {
				err = fmt.Errorf("message %d: got %+v, want %+v", i, got, d)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	rows, err := l.List(t.Context(), contracts.Filter{State: contracts.StateSending, Limit: 2 * messages})
	if err != nil || len(rows) != messages {
		t.Fatalf("%d rows (%v), want %d", len(rows), err, messages)
	}
}

// referred is a message that was translated, with one body of a size and the steps and names of which the tests ask.
func referred(name string, size int) (translated, sending, delivered contracts.Change) {
	in, out, at := contracts.ID(name), contracts.ID(name+"-out"), time.Unix(1_800_000_000, 0).UTC()
	d := contracts.Delivery{ID: out, Message: in, Partner: "hus", Digest: "bytes", State: contracts.StateTranslated}
	step := func(kind string) []contracts.Step {
		return []contracts.Step{{ID: contracts.ID(kind), At: at, Message: out, Step: kind}}
	}
	translated = contracts.Change{Received: at, Entries: []contracts.Entry{{ID: in, Partner: "apotti", State: contracts.StateTranslated, Received: at}},
		Deliveries: []contracts.Delivery{d}, Steps: step(contracts.StepReaddress), Bodies: body(name, size).Bodies,
		Identifiers: []contracts.Identifier{{Partner: "hus", Kind: contracts.IDPlacer, Value: name, Message: in}}}
	d.State, d.Attempts = contracts.StateSending, 1
	sending = contracts.Change{Received: at, Deliveries: []contracts.Delivery{d}, Steps: step(contracts.StepSending)}
	d.State, d.Answer = contracts.StateDelivered, "AA"
	delivered = contracts.Change{Received: at, Deliveries: []contracts.Delivery{d}, Steps: step(contracts.StepDelivered)}
	return translated, sending, delivered
}

// killed closes a ledger with changes in its journal, as a process leaves them that was killed, and gives its path.
func killed(t *testing.T, l *Ledger, changes ...contracts.Change) (path string) {
	t.Helper()
	path = ask(t, l, "SELECT file FROM pragma_database_list WHERE name = 'main'").(string)
	if err := l.w.within(t.Context(), "leave", func(tx) error {
		for _, c := range changes {
			text, err := encode(c, pack(c))
			if err == nil {
				err = l.w.(*writer).record([]*journaled{{encoded: text}})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t *testing.T, path string, pragmas ...string) *Ledger {
	t.Helper()
	l, err := openFile(path, pragmas...)
	if err != nil {
		t.Fatalf("it doesn't open again: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (l *Ledger) mustTell(t *testing.T, message contracts.ID, state contracts.State, steps int) {
	t.Helper()
	if d, err := l.Delivery(t.Context(), message+"-out"); err != nil || d.State != state {
		t.Errorf("the delivery of %s is %s (%v), want %s", message, d.State, err, state)
	}
	if is, err := l.Lookup(t.Context(), "hus", "", string(message)); err != nil || len(is) != 1 {
		t.Errorf("%s has %d names (%v), want 1", message, len(is), err)
	}
	if ss, err := l.MessageSteps(t.Context(), message); err != nil || len(ss) != steps {
		t.Errorf("%s has %d steps (%v), want %d", message, len(ss), err, steps)
	}
	if rows, err := l.List(t.Context(), contracts.Filter{State: state}); err != nil || len(rows) != 1 {
		t.Errorf("the list has %d messages that are %s (%v), want 1", len(rows), state, err)
	}
}

// One line that nobody can write, or read, stands in the way of nothing.
func TestABrokenLineOfTheJournalIsSetAside(t *testing.T) {
	l := opened(t)
	translated, sending, _ := referred("good", 10)
	broken, _, _ := referred("broken", 10)
	broken.Steps[0].ID = ""
	path := killed(t, l, translated, broken, contracts.Change{}, sending)
	again := mustOpen(t, path)
	again.mustTell(t, "good", contracts.StateSending, 2)
	for range 2 {
		if n, err := again.Aside(t.Context()); err != nil || n != 2 {
			t.Errorf("%d changes were set aside (%v), want 2", n, err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		again = mustOpen(t, path)
	}
}

// A version without a journal did meanwhile what the journal tells of, and more.
func TestWhatTheTablesKnowBetterIsDone(t *testing.T) {
	l := opened(t)
	translated, sending, delivered := referred("m", 10)
	for _, c := range []contracts.Change{translated, sending, delivered} {
		c.Resumes, c.Steps = []string{"nobody"}, nil // so it isn't for the journal
		if err := l.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	translated.Deliveries = []contracts.Delivery{translated.Deliveries[0]}
	translated.Deliveries[0].Digest = "other bytes"
	again := mustOpen(t, killed(t, l, translated, sending))
	again.mustTell(t, "m", contracts.StateDelivered, 2)
	if n, err := again.Aside(t.Context()); err != nil || n != 0 {
		t.Errorf("%d changes were set aside (%v), want none", n, err)
	}
}

// A hub that crashed since its disk is full starts again, tells what it can, and goes on when there is room.
func TestAFullDiskDoesntHinderOpening(t *testing.T) {
	l := opened(t)
	translated, sending, delivered := referred("m", 100_000)
	again := mustOpen(t, killed(t, l, translated, sending), "max_page_count(1)")
	if d, err := again.Delivery(t.Context(), "m-out"); err != nil || d.State != contracts.StateSending {
		t.Errorf("the delivery is %s (%v), want the attempt that was under way", d.State, err)
	}
	again.mustHave(t, "m", true)
	if err := again.Health(t.Context()); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("its health is %v, want a fault of kind unavailable", err)
	}
	w := again.w.(*writer)
	w.due.Stop() // so that nobody else is at the connection
	if _, err := w.exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := again.Apply(t.Context(), delivered); err != nil {
		t.Error(err)
	}
	again.mustTell(t, "m", contracts.StateDelivered, 3)
}

// Closing says so when something stays for the next open.
func TestClosingTellsWhatStaysInTheJournal(t *testing.T) {
	l := opened(t)
	translated, _, _ := referred("m", 100_000)
	if err := l.Apply(t.Context(), translated); err != nil {
		t.Fatal(err)
	}
	w := l.w.(*writer)
	w.due.Stop() // so that nobody else is at the connection
	if _, err := w.exec("PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); contracts.KindOf(err) != contracts.Unavailable {
		t.Errorf("it gives %v, want a fault of kind unavailable", err)
	}
}

// What the tables couldn't take is tried again by itself.
func TestWhatGotOldInTheJournalIsTriedAgain(t *testing.T) {
	l := opened(t)
	w := l.w.(*writer)
	translated, _, _ := referred("m", 100_000)
	if err := l.Apply(t.Context(), translated); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if _, err := w.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	w.due.Stop() // so that nobody else is at the connection
	limit(1)
	w.age()
	if err := l.Health(t.Context()); contracts.KindOf(err) != contracts.Unavailable { // behind it in the queue
		t.Fatalf("the health is %v, want a fault of kind unavailable", err)
	}
	if !w.due.Stop() {
		t.Error("nobody tries again")
	}
	limit(1 << 30)
	w.age()
	if err := l.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.due.Stop()
	if w.age(); w.due.Stop() {
		t.Error("with an empty journal it goes on")
	}
}

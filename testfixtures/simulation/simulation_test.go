package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/mappings"
	"github.com/hoitosilta/silta/testfixtures/model"
)

var (
	seeds = flag.Int("seeds", 30, "how many seeds the simulation runs; in short mode a third of them")
	first = flag.Uint64("seed", 1, "the first seed; a failing one is named, and runs alone with -seeds=1, with -v its history")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a seed needs little memory, and collecting it took a quarter of the time
	goleak.VerifyTestMain(m)
}

func catalog(t *testing.T) *mappings.Catalog {
	maps, err := mappings.Load(mappings.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	return maps
}

func play(t *testing.T, seed uint64, maps *mappings.Catalog, m mutant, tells bool) (r *run, wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		r = newRun(seed, maps, m, tells)
		wrong = r.play()
	})
	return r, wrong
}

// inParallel plays seeds, one on each processor at a time, until one says enough.
func inParallel(t *testing.T, from uint64, n int, playing func(t *testing.T, seed uint64) (enough bool)) {
	var next atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
				t.Parallel()
				for {
					i := next.Add(1) - 1
					if i >= int64(n) {
						return
					}
					if playing(t, from+uint64(i)) {
						next.Store(int64(n))
					}
				}
			})
		}
	})
}

func TestThePromiseHoldsForEverySeed(t *testing.T) {
	maps, n, began := catalog(t), *seeds, time.Now()
	if testing.Short() {
		n = max(1, n/3)
	}
	tells := testing.Verbose() && n == 1
	var lived total
	inParallel(t, *first, n, func(t *testing.T, seed uint64) bool {
		r, wrong := play(t, seed, maps, mutant{}, tells)
		lived.add(r)
		for _, line := range r.history {
			t.Log(line)
		}
		if len(wrong) > 0 {
			t.Errorf("go test ./testfixtures/simulation -run Promise -seeds=1 -seed=%d -v\n%s", seed, strings.Join(wrong, "\n"))
		}
		return len(wrong) > 0 && n > 1
	})
	spent := time.Since(began)
	t.Logf("%d seeds in %.1f s, %.1f a second: %s", lived.seeds, spent.Seconds(), float64(lived.seeds)/spent.Seconds(), &lived)
}

// total is what seeds lived through.
type total struct {
	seeds                                      int
	mu                                         sync.Mutex
	acknowledged, taken, again, crashed, ended int
	virtual                                    time.Duration
}

func (l *total) add(r *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seeds++
	l.acknowledged += len(r.judge.acks)
	for _, p := range []*model.Partner{r.hus, r.clinic} {
		for _, taken := range p.Taken() {
			l.taken++
			l.again += taken.Times - 1
		}
	}
	for _, p := range r.processes {
		l.crashed += int(p.crashed.Load())
		l.ended += int(p.stops.Load())
	}
	l.virtual += r.lasted
}

func (l *total) String() string {
	return fmt.Sprintf("%d acknowledgements, %d messages delivered and %d of them again, %d crashes, %d orderly ends, %v of virtual time",
		l.acknowledged, l.taken, l.again, l.crashed, l.ended, l.virtual.Round(time.Minute))
}

package embedded

import (
	"container/heap"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// queue holds the unfinished records of one key, in order. Its first one is what a lane works on or tries again.
type queue struct {
	key     contracts.Key
	waiting []entry
	fails   int // errors of the first record in a row
	due     time.Time
}

// entry is a record that waits: as its row, or as its offset alone.
type entry struct {
	offset int64
	row    *row
}

// queues are the keys with unfinished records. A key is ready (its first record may be handed out), in a lane, or
// pausing after an error.
type queues struct {
	byKey   map[contracts.Key]*queue
	line    []*queue // ready, in the order in which they became so; from head on
	head    int
	pausing pausing
}

func newQueues() queues { return queues{byKey: map[contracts.Key]*queue{}} }

// add puts a record behind its key's others.
func (s *queues) add(key contracts.Key, e entry) {
	q := s.byKey[key]
	if q == nil {
		q = &queue{key: key}
		s.byKey[key] = q
		s.line = append(s.line, q)
	}
	q.waiting = append(q.waiting, e)
}

// behind counts the unfinished records of a key.
func (s *queues) behind(key contracts.Key) int {
	if q := s.byKey[key]; q != nil {
		return len(q.waiting)
	}
	return 0
}

// ready counts the keys that a lane could take at once.
func (s *queues) ready() int { return len(s.line) - s.head }

// take gives the key that has been ready longest, or one whose pause is over; nil if there is none. It is in a lane
// until next or pause is called for it.
func (s *queues) take(now time.Time) *queue {
	if len(s.pausing) > 0 && !s.pausing[0].due.After(now) {
		return heap.Pop(&s.pausing).(*queue)
	}
	if s.ready() == 0 {
		return nil
	}
	q := s.line[s.head]
	s.line[s.head] = nil
	s.head++
	if s.head == len(s.line) || s.head > 1024 {
		s.line = append(s.line[:0], s.line[s.head:]...)
		s.head = 0
	}
	return q
}

// next drops the first record of a key that was in a lane; the key goes to the end of the line.
func (s *queues) next(q *queue) {
	q.fails = 0
	q.waiting[0] = entry{}
	q.waiting = q.waiting[1:]
	if len(q.waiting) == 0 {
		delete(s.byKey, q.key)
		return
	}
	s.line = append(s.line, q)
}

// pause keeps a key that was in a lane out of it until pause is over.
func (s *queues) pause(q *queue, now time.Time, pause time.Duration) {
	q.fails++
	q.due = now.Add(pause)
	heap.Push(&s.pausing, q)
}

// due tells when the first pause ends.
func (s *queues) due() (time.Time, bool) {
	if len(s.pausing) == 0 {
		return time.Time{}, false
	}
	return s.pausing[0].due, true
}

// pausing is a heap, the earliest end of a pause first.
type pausing []*queue

func (p pausing) Len() int           { return len(p) }
func (p pausing) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p pausing) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *pausing) Push(q any)        { *p = append(*p, q.(*queue)) }
func (p *pausing) Pop() any {
	last := (*p)[len(*p)-1]
	(*p)[len(*p)-1] = nil
	*p = (*p)[:len(*p)-1]
	return last
}

// watermark knows which offsets of a window are finished. Its low end is the first that isn't.
type watermark struct {
	low, window int64
	bits        []uint64 // a ring: one bit an offset
}

func newWatermark(low, window int64) *watermark {
	return &watermark{low: low, window: window, bits: make([]uint64, window/64)}
}

// end is the first offset beyond the window: it must not be finished before low rises.
func (w *watermark) end() int64 { return w.low + w.window }

// finish notes an offset and gives the low end. Offsets below it are ignored.
func (w *watermark) finish(offset int64) int64 {
	if offset >= w.low {
		w.bits[offset%w.window/64] |= 1 << (offset % 64)
	}
	for w.bits[w.low%w.window/64]&(1<<(w.low%64)) != 0 {
		w.bits[w.low%w.window/64] &^= 1 << (w.low % 64)
		w.low++
	}
	return w.low
}

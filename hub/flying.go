package hub

import (
	"sync"

	"github.com/hoitosilta/silta/contracts"
)

// flying is the keys that a goroutine works now: a queue's own, or one of an operator's request. It is one for all hubs
// that come in each other's place.
type flying struct {
	mu   sync.Mutex
	keys map[string]map[contracts.Key]bool // by topic
}

// begin takes a key; false when another one has it.
func (f *flying) begin(ref contracts.KeyRef) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys[ref.Topic][ref.Key] {
		return false
	}
	if f.keys[ref.Topic] == nil {
		f.keys[ref.Topic] = map[contracts.Key]bool{}
	}
	f.keys[ref.Topic][ref.Key] = true
	return true
}

// end gives a key back.
func (f *flying) end(ref contracts.KeyRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.keys[ref.Topic], ref.Key)
}

// any says that some key of a topic is worked.
func (f *flying) any(topic string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys[topic]) > 0
}

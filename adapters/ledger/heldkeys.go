package ledger

import (
	"slices"
	"sync"

	"github.com/hoitosilta/silta/contracts"
)

// heldKeys are the keys of a file that aren't live: few, and asked for with each message. Only the writer changes them,
// after a commit.
type heldKeys struct {
	mu   sync.RWMutex
	refs map[contracts.KeyRef]bool
}

// live says that a key is live. Where the database is shared nobody knows without asking it.
func (h *heldKeys) live(ref contracts.KeyRef) bool {
	if h == nil {
		return false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return !h.refs[ref]
}

func (h *heldKeys) set(now map[contracts.KeyRef]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ref, held := range now {
		if held {
			h.refs[ref] = true
		} else {
			delete(h.refs, ref)
		}
	}
}

// loadKeys reads which keys aren't live.
func (w *writer) loadKeys() error {
	rows, err := w.query(`SELECT topic, key FROM keys`)
	w.held = &heldKeys{refs: make(map[contracts.KeyRef]bool, len(rows))}
	for _, row := range rows {
		w.held.refs[contracts.KeyRef{Topic: row[0].(string), Key: contracts.Key(row[1].(string))}] = true
	}
	return err
}

// keysAfter tells what became of the keys that changes of the open transaction hold or revive.
func (w *writer) keysAfter(tasks []*task) (map[contracts.KeyRef]bool, error) {
	now := map[contracts.KeyRef]bool{}
	for _, t := range tasks {
		refs := slices.Clone(t.change.Revive)
		for _, k := range t.change.Keys {
			refs = append(refs, k.KeyRef)
		}
		for _, ref := range refs {
			rows, err := w.query(`SELECT 1 FROM keys WHERE topic = $1 AND key = $2`, ref.Topic, string(ref.Key))
			if err != nil {
				return nil, err
			}
			now[ref] = len(rows) > 0
		}
	}
	return now, nil
}

package mappings

import "testing"

// What a large message took isn't held when it is done.
func TestTheArenaLetsGo(t *testing.T) {
	a := &arena{}
	for range 100 * blockSize {
		a.new("x", nil)
	}
	a.release()
	for _, b := range a.blocks[len(a.blocks):cap(a.blocks)] {
		if b != nil {
			t.Fatal("a block is held")
		}
	}
}

package embedded

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// Trim works in portions, takes the files of large bodies with their records, and leaves publishing and other topics
// alone.
func TestTrimForgetsInPortions(t *testing.T) {
	const n = 2*trimPortion + 10
	dir := t.TempDir()
	b := openIn(t, dir, LargeFrom(4096))
	var records []contracts.Record
	for i := range n {
		r := numbered(i, "a")
		if i%500 == 0 {
			r.Body = contracts.NewBody(make([]byte, 8192))
		}
		records = append(records, r)
	}
	publish(t, b, records...)
	other := numbered(0, "a")
	other.Topic = "beside"
	publish(t, b, other)
	if err := b.Trim(t.Context(), "t", time.UnixMicro(n-1), nil); err != nil {
		t.Fatal(err)
	}
	var left []contracts.Place
	for _, topic := range []string{"t", "beside"} {
		if err := b.Replay(t.Context(), contracts.Replay{Topic: topic}, func(r contracts.Record) error {
			left = append(left, r.Place)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(left) != 2 || left[0] != (contracts.Place{Topic: "t", Offset: n - 1}) {
		t.Errorf("what is left lies at %v, want the last record and the other topic's", left)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "bus-bodies", "*")); err != nil || len(files) > 0 {
		t.Errorf("%d bodies without a record are left (%v)", len(files), err)
	}
	publish(t, b, numbered(n, "a"))
	if _, err := b.Read(t.Context(), contracts.Place{Topic: "t", Offset: n}); err != nil {
		t.Errorf("the next record isn't at the next place: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wantFault(t, b.Trim(t.Context(), "t", time.Now(), nil), contracts.Unavailable, codeClosed)
}

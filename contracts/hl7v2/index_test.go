package hl7v2_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// lengthy makes a message with segments of every length, around the 64 bytes that the index looks at at a time.
func lengthy(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString(`MSH|^~\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||UNICODE UTF-8` + strings.Repeat("|", r.IntN(30)))
	for range 1 + r.IntN(6) {
		b.WriteString("\rZ" + string(rune('A'+r.IntN(26))) + "1|")
		for n := r.IntN(200); n > 0; n-- {
			if n == 150 && r.IntN(8) == 0 {
				b.WriteString("|" + strings.Repeat("x", 5000)) // a segment that is long, not only full
			}
			b.WriteString([]string{"|", "|", "a", "^", "~", "ä", "||||||||", "bbbbbbb"}[r.IntN(8)])
		}
	}
	return b.String() + []string{"", "\r"}[r.IntN(2)]
}

// Whatever the order of reading, the fields are those of plain splitting: found near a segment's start, or by the index.
func TestFieldsInEveryOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		text := lengthy(r)
		m, d := parse(t, text), hl7v2.Standard
		segments := make([]int, m.NumSegments())
		for i := range segments {
			segments[i] = i
		}
		r.Shuffle(len(segments), func(i, j int) { segments[i], segments[j] = segments[j], segments[i] })
		h, err := hl7v2.Scan([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range segments {
			compareWithSplitting(t, "made up", d, m.Segment(i), h.Segment(i))
		}
	}
}

func TestSeveralReadersAtOnce(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID"+strings.Repeat("|x", 40)+"\rOBX|"+strings.Repeat("y", 5000)+"|z")
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for path, want := range map[string]string{"PID-3": "x", "PID-40": "x", "PID-41": "", "OBX-2": "z", "MSH-9.2": "A01"} {
				if got := m.Get(hl7v2.MustPath(path)).Text(); got != want {
					t.Errorf("%s is %q", path, got)
				}
			}
		})
	}
	readers.Wait()
}

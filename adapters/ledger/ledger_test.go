package ledger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
)

// What a ledger does is said in testfixtures/ledgerconformance; here stands what only this one can show.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// BenchmarkApply is what translating one message writes, by 64 callers at once, each waiting for the disk.
func BenchmarkApply(b *testing.B) {
	l, err := ledger.Open(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var n atomic.Int64
	start := time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)
	b.SetParallelism(32) // callers a processor: 64 on two
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if err := l.Apply(context.Background(), translated(i, start.Add(time.Duration(i)*time.Millisecond))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

func translated(i int64, at time.Time) contracts.Change {
	control := fmt.Sprintf("M%08d", i)
	in := contracts.IncomingID("apotti", "APOTTI", "HUS", control, contracts.Digest(control))
	out := contracts.OutgoingID(in, "hus", "", 0)
	journey := contracts.JourneyID(in)
	return contracts.Change{
		Entries: []contracts.Entry{{ID: in, Partner: "apotti", Format: contracts.FormatV2, Control: control, Type: "REF^I12", Version: "2.5.1",
			Application: "APOTTI", Facility: "HUS", Key: contracts.Key(control), Received: at, Journey: journey, State: contracts.StateTranslated, Map: "ref-i12@0.1.0",
			Digest: contracts.Digest(control), Place: contracts.Place{Topic: contracts.TopicIn, Offset: i}}},
		Deliveries: []contracts.Delivery{{ID: out, Message: in, Journey: journey, Partner: "hus", Route: "hus", Control: out.Control(), Type: "request",
			Format: contracts.FormatFHIR, Map: "ref-i12@0.1.0", Key: contracts.Key(journey), Digest: contracts.Digest(out), State: contracts.StateTranslated}},
		Steps: []contracts.Step{
			{ID: contracts.StepID(in, contracts.StepCorrelated, "", 0), At: at, Journey: journey, Message: in, Control: control, Step: contracts.StepCorrelated},
			{ID: contracts.StepID(in, contracts.StepTranslated, "hus", 0), At: at, Journey: journey, Message: in, Control: control, Step: contracts.StepTranslated, To: "hus", Map: "ref-i12@0.1.0"}},
		Identifiers: []contracts.Identifier{
			{Partner: "apotti", Kind: contracts.IDPlacer, Value: "L" + control, Message: in, Journey: journey},
			{Partner: "hus", Kind: contracts.IDControl, Value: out.Control(), Message: in, Journey: journey}},
	}
}

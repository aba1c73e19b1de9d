package ledger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/adapters/ledger"
	"github.com/hoitosilta/silta/contracts"
)

// What a ledger does is said in testfixtures/ledgerconformance; here stands what only this one can show.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// BenchmarkApply writes what the hub writes for a message that is translated and delivered, by 64 callers at once, each
// waiting for the disk. cpu-µs/message is the processor time of the whole process.
func BenchmarkApply(b *testing.B) {
	l, err := ledger.Open(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	applying(b, l)
}

func applying(b *testing.B, l *ledger.Ledger) {
	var n atomic.Int64
	start := time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)
	b.SetParallelism(32) // callers a processor: 64 on two
	b.ResetTimer()
	before := processor()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			for _, c := range life(i, start.Add(time.Duration(i)*time.Millisecond)) {
				if err := l.Apply(context.Background(), c); err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((processor()-before).Microseconds())/float64(b.N), "cpu-µs/message")
}

// processor is the processor time that this process has used.
func processor() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// life is what the hub writes for one message: translated for one receiver, sent, delivered.
func life(i int64, at time.Time) []contracts.Change {
	control := fmt.Sprintf("M%08d", i)
	in := contracts.IncomingID("apotti", "APOTTI", "HUS", control, contracts.Digest(control))
	out := contracts.OutgoingID(in, "hus", "message", 0)
	journey := contracts.JourneyID(in)
	digest := contracts.Digest(strings.Repeat(string(in[:8]), 8))
	step := func(id contracts.ID, kind string, attempt int) contracts.Step {
		return contracts.Step{ID: contracts.StepID(id, kind, "hus", attempt), At: at, Journey: journey, Message: in, Control: control, Type: "REF^I12",
			Step: kind, From: "apotti", To: "hus", Map: "apotti.ref-i12@1.0.0", Attempt: attempt, Digest: digest}
	}
	name := func(partner, kind, value string) contracts.Identifier {
		return contracts.Identifier{Partner: partner, Kind: kind, Value: value, Message: in, Journey: journey}
	}
	d := contracts.Delivery{ID: out, Message: in, Journey: journey, Partner: "hus", Route: "apotti>hus", Control: out.Control(), Type: "referral-request",
		Format: contracts.FormatFHIR, Map: "hus.ref-i12@1.0.0", Key: contracts.Key(journey), Digest: digest, State: contracts.StateTranslated}
	sending, delivered := d, d
	sending.State, sending.Attempts, sending.Place = contracts.StateSending, 1, contracts.Place{Topic: contracts.OutTopic("hus"), Offset: i}
	delivered.State, delivered.Attempts, delivered.Answer, delivered.Place = contracts.StateDelivered, 1, "200", sending.Place
	return []contracts.Change{
		{
			Received: at,
			Entries: []contracts.Entry{{ID: in, Partner: "apotti", Format: contracts.FormatV2, Control: control, Type: "REF^I12", Version: "2.5.1",
				Application: "APOTTI", Facility: "HELSINKI", Key: contracts.Key(control), Received: at, Journey: journey, Event: "referral-request",
				State: contracts.StateTranslated, Map: "apotti.ref-i12@1.0.0", Canonical: digest, Digest: digest, Place: contracts.Place{Topic: contracts.TopicIn, Offset: i}}},
			Deliveries: []contracts.Delivery{d},
			Steps:      []contracts.Step{step(in, contracts.StepReceived, 0), step(in, contracts.StepTranslated, 0), step(out, contracts.StepReaddress, 0)},
			Journeys:   []contracts.Journey{{ID: journey, State: "requested", Started: at, Updated: at}},
			Bodies:     []contracts.StoredBody{{Digest: digest, Body: contracts.NewBody(bundle(i))}},
			Identifiers: []contracts.Identifier{name("apotti", contracts.IDControl, control), name("apotti", contracts.IDPlacer, "L"+control),
				name("hus", contracts.IDControl, out.Control()), name("hus", contracts.IDControl, string(out)), name("hus", contracts.IDPlacer, "L"+control),
				name("hus", contracts.IDResource, "ServiceRequest/"+string(in[:13])), name("hus", contracts.IDResource, "Task/"+string(in[:13]))},
		},
		{Received: at, Deliveries: []contracts.Delivery{sending}, Steps: []contracts.Step{step(out, contracts.StepSending, 1)}},
		{Received: at, Deliveries: []contracts.Delivery{delivered}, Steps: []contracts.Step{step(out, contracts.StepDelivered, 1)}},
	}
}

// bundle is a text of the size of a canonical Bundle that packs like one.
func bundle(i int64) []byte {
	var b []byte
	for n := range 40 {
		b = fmt.Appendf(b, `{"fullUrl":"urn:uuid:%08d-0000-4000-8000-%012d","resource":{"resourceType":"Observation","status":"final"}},`, i, n*7919)
	}
	return b
}

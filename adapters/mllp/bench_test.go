package mllp

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// BenchmarkReader reads frames of a usual size, and one with an attachment.
func BenchmarkReader(b *testing.B) {
	for name, size := range map[string]int{"3KB": 3 << 10, "5MB": 5 << 20} {
		b.Run(name, func(b *testing.B) {
			frame := []byte(framed(strings.Repeat("ZZ1|abcdef\r", size/11)))
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			src := bytes.NewReader(frame)
			r := NewReader(src, Limits{Bytes: 32 << 20})
			for b.Loop() {
				src.Reset(frame)
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// acceptAll is a Receiver that keeps nothing.
type acceptAll struct{}

func (acceptAll) Receive(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	return contracts.Receipt{ID: "x", At: firstSeen}, nil
}

// BenchmarkExchange is a message from a courier to a door and its acknowledgement back, over one connection.
func BenchmarkExchange(b *testing.B) {
	d, err := Listen("127.0.0.1:0", "lab", contracts.MLLPDoor{}, acceptAll{}, time.Now, quiet())
	if err != nil {
		b.Fatal(err)
	}
	serve(b, d)
	c, err := NewCourier(contracts.MLLPCourier{To: d.Addr().String()}, time.Now, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p := parcel("P1")
	p.Body = contracts.NewBody([]byte(message("P1") + strings.Repeat("ZZ1|abcdef\r", 250)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Deliver(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

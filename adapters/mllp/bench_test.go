package mllp

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
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

// BenchmarkDoor is a small message at a door with nothing behind it and its acknowledgement, from a sender that does as
// little as it can; 8 in flight.
func BenchmarkDoor(b *testing.B) {
	log := quiet().(*logrus.Logger)
	log.Level = logrus.InfoLevel
	d, err := Listen("127.0.0.1:0", "lab", contracts.MLLPDoor{}, scanAll{}, time.Now, log)
	if err != nil {
		b.Fatal(err)
	}
	serve(b, d)
	conn, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	frames := []byte(strings.Repeat(framed(message("P1")+strings.Repeat("ZZ1|abcdef|ghi|klm|opq\r", 12)), 8))
	back := bufio.NewReader(conn)
	b.ReportAllocs()
	for n := 0; n < b.N; n += 8 {
		if _, err := conn.Write(frames); err != nil {
			b.Fatal(err)
		}
		for range 8 {
			if _, err := back.ReadSlice(endBlock); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// scanAll is a Receiver that reads what the hub reads and keeps nothing.
type scanAll struct{}

func (scanAll) Receive(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	head, err := hl7v2.Scan(a.Body.Bytes())
	if err != nil {
		return contracts.Receipt{}, err
	}
	return contracts.Receipt{ID: "6f2c1a0e-9b1d-5c37-8f43-5a1d0c9e7b21", At: firstSeen, Control: head.ControlID()}, nil
}

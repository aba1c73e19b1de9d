package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// flowOptions are the flags of `silta bench flow`.
type flowOptions struct {
	messages, senders, keys, size int
	rate                          float64
	dir, bus, ledger              string
	pass                          bool
	patience                      time.Duration
}

// flow is what a bench flow found.
type flow struct {
	Machine           string  `json:"machine"`
	Sent              int     `json:"sent"`
	Acked             int     `json:"acked"`
	Delivered         int     `json:"delivered"` // different messages that the receiver saw
	Lost              int     `json:"lost"`      // acknowledged, and not seen by the receiver
	Duplicated        int     `json:"duplicated"`
	Reordered         int     `json:"reordered"` // seen after a later one of the same referral
	AckMsP50          float64 `json:"ackMsP50"`
	AckMsP99          float64 `json:"ackMsP99"`
	AcceptedPerSecond float64 `json:"acceptedPerSecond"`
	EndToEndPerSecond float64 `json:"endToEndPerSecond"`
	BusPerSecond      float64 `json:"busPerSecond"`
	BusAckMsP99       float64 `json:"busAckMsP99"`
	BusPipePerSecond  float64 `json:"busPipePerSecond"`
	ResidentMB        float64 `json:"rssMb,omitempty"` // this process: senders, hub and receiver
	MessageBytes      int     `json:"messageBytes"`

	acks, busAcks                         []time.Duration
	accepting, carried, busTime, pipeTime time.Duration
}

func newBenchFlow(t *terminal) *cobra.Command {
	var o flowOptions
	c := &cobra.Command{
		Use:   "flow",
		Short: "Measure the whole way: MLLP in, durable, translated, FHIR out",
		Long: `Sends made-up referrals over MLLP to a hub in this process, which delivers them over HTTP to a counting receiver. The
sockets and the fsyncs are real. What the receiver saw is compared with what was acknowledged: lost, duplicated,
reordered within a referral. Senders keep one message in flight each.

The baselines run in turn with it, on the same bus: bus… publishes the same bytes from as many waiting callers, pipe
takes them from the bus, publishes them again and commits, nothing else.

--pass sends the same referrals as canonical FHIR to the hub's FHIR door, so that no map is on the way.

The exit code is 1 if anything was lost or reordered.`,
		Example: "  silta bench flow --messages 5000 --senders 16 --keys 100 --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := benchFlow(cmd.Context(), t, o)
			if err != nil {
				return err
			}
			if f.Lost+f.Reordered > 0 {
				t.fail(exitFaulty)
			}
			if t.json() {
				return t.print(f)
			}
			return writeFigures(t, f.Machine, f.figures())
		},
	}
	s := c.Flags()
	s.IntVar(&o.messages, "messages", 2000, "how many messages are sent")
	s.IntVar(&o.senders, "senders", 8, "connections that send at once")
	s.IntVar(&o.keys, "keys", 0, "referrals that the messages are about; 0 gives each message its own")
	s.IntVar(&o.size, "size", 1500, "bytes of a message, about")
	s.Float64Var(&o.rate, "rate", 0, "messages a second, all senders together; 0 is as fast as it goes")
	s.BoolVar(&o.pass, "pass", false, "a route without a map: canonical FHIR in over HTTP, the same out")
	s.StringVar(&o.dir, "dir", "", "where bus and ledger lie, so that a disk can be chosen; a new directory in the system's place for such if empty")
	s.StringVar(&o.bus, "bus", "embedded", "the bus; this build has the embedded one")
	s.StringVar(&o.ledger, "ledger", "embedded", "the ledger; this build has the embedded one")
	s.DurationVar(&o.patience, "wait", time.Minute, "how long to wait for the last deliveries of a round")
	return c
}

func (f *flow) figures() []figure {
	return []figure{
		{"sent, acknowledged, delivered", fmt.Sprintf("%d, %d, %d (of %d bytes each)", f.Sent, f.Acked, f.Delivered, f.MessageBytes)},
		{"lost, duplicated, reordered", fmt.Sprintf("%d, %d, %d", f.Lost, f.Duplicated, f.Reordered)},
		{"acknowledgement, ms p50, p99", fmt.Sprintf("%.2f, %.2f", f.AckMsP50, f.AckMsP99)},
		{"accepted/s", fmt.Sprintf("%.0f", f.AcceptedPerSecond)},
		{"end to end/s", fmt.Sprintf("%.0f", f.EndToEndPerSecond)},
		{"baseline: bus, records/s, ms p99", fmt.Sprintf("%.0f, %.2f", f.BusPerSecond, f.BusAckMsP99)},
		{"baseline: bus pipe, records/s", fmt.Sprintf("%.0f", f.BusPipePerSecond)},
		{"resident, MB", fmt.Sprintf("%.0f", f.ResidentMB)},
	}
}

// benchFlow opens a house in a directory of its own, whose HUS is the counting receiver.
func benchFlow(ctx context.Context, t *terminal, o flowOptions) (f *flow, err error) {
	if err := embeddedOnly(o.bus, o.ledger); err != nil {
		return nil, err
	}
	if o.messages < 1 || o.senders < 1 || o.keys < 0 || o.rate < 0 {
		return nil, usagef("--messages and --senders are at least 1, --keys and --rate at least 0")
	}
	dir, err := os.MkdirTemp(o.dir, "silta-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	receiver, err := newReceiver()
	if err != nil {
		return nil, err
	}
	defer receiver.close()
	h, err := benchHouse(ctx, t, o, dir, receiver.url())
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.run(running) }()
	f, err = measureFlow(running, o, h, receiver)
	stop()
	return f, errors.Join(err, <-ended, h.close())
}

func benchHouse(ctx context.Context, t *terminal, o flowOptions, dir, receiver string) (*house, error) {
	if _, err := initialise(dir); err != nil {
		return nil, err
	}
	if o.pass {
		if err := addFeeder(dir); err != nil {
			return nil, err
		}
	}
	s, err := readSettings(filepath.Join(dir, "silta.yaml"))
	if err != nil {
		return nil, err
	}
	s.Console.Listen, s.FHIR.Listen, s.Log.Level = "127.0.0.1:0", "127.0.0.1:0", "error"
	agreed, err := s.readAgreements()
	if err != nil {
		return nil, err
	}
	for i, p := range agreed.partners {
		p = relocate(p, "127.0.0.1:0")
		if p.Courier.FHIR != nil {
			if p, err = redirect(p, receiver); err != nil {
				return nil, err
			}
		}
		agreed.partners[i] = p
	}
	return openHouse(ctx, s, agreed, newLog(s, t), nil)
}

// measureFlow sends in rounds, each followed by the baselines' share of the same bytes.
func measureFlow(ctx context.Context, o flowOptions, h *house, r *receiver) (*flow, error) {
	made, err := generate.New(generate.Options{Prefix: "BENCH", Referrals: o.keys, Size: o.size, Start: time.Now()})
	if err != nil {
		return nil, err
	}
	messages := made.Take(o.messages)
	dial := dialMLLP(h)
	if o.pass {
		if dial, err = dialFeeder(h); err != nil {
			return nil, err
		}
		if err := canonical(h, messages); err != nil {
			return nil, err
		}
	}
	f := &flow{Machine: machine(), MessageBytes: len(messages[0].Bytes)}
	for share := range slices.Chunk(messages, (len(messages)+rounds-1)/rounds) {
		if err := f.send(ctx, o, dial, r, share); err != nil {
			return nil, err
		}
		if err := f.publish(ctx, o, h, share); err != nil {
			return nil, err
		}
		if err := f.pipe(ctx, h, len(share)); err != nil {
			return nil, err
		}
	}
	f.Delivered, f.Duplicated, f.Reordered = r.counts()
	f.Lost = f.Acked - f.Delivered
	slices.Sort(f.acks)
	slices.Sort(f.busAcks)
	f.AckMsP50, f.AckMsP99 = percentile(f.acks, 50), percentile(f.acks, 99)
	f.BusAckMsP99 = percentile(f.busAcks, 99)
	f.AcceptedPerSecond = perSecond(f.Acked, f.accepting)
	f.EndToEndPerSecond = perSecond(f.Delivered, f.carried)
	f.BusPerSecond, f.BusPipePerSecond = perSecond(len(messages), f.busTime), perSecond(len(messages), f.pipeTime)
	f.ResidentMB = residentMB()
	return f, nil
}

// send sends a share of the messages and waits until the receiver has what was acknowledged, or no more comes.
func (f *flow) send(ctx context.Context, o flowOptions, dial dialler, r *receiver, share []generate.Message) error {
	var mu sync.Mutex
	began := time.Now()
	g, sending := errgroup.WithContext(ctx)
	for s := range o.senders {
		g.Go(func() error {
			line, err := dial(sending)
			if err != nil {
				return err
			}
			defer line.close()
			var acks []time.Duration
			for i, m := range share {
				if o.sender(m) != s {
					continue
				}
				if o.rate > 0 && !until(sending, began.Add(time.Duration(float64(i)/o.rate*float64(time.Second)))) {
					return sending.Err()
				}
				sent := time.Now()
				if err := line.send(sending, m.Bytes); err != nil {
					return err
				}
				acks = append(acks, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			f.acks = append(f.acks, acks...)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	f.accepting += time.Since(began)
	f.Sent += len(share)
	f.Acked = len(f.acks)
	patient, stop := context.WithTimeout(ctx, o.patience)
	defer stop()
	r.wait(patient, f.Acked)
	f.carried += time.Since(began)
	return ctx.Err()
}

// sender says which connection sends a message: all of one referral go over the same one, so that they are in order.
func (o flowOptions) sender(m generate.Message) int {
	n := m.Number - 1
	if o.keys > 0 {
		n %= o.keys
	}
	return n % o.senders
}

// until waits for a moment; false when ctx ended first.
func until(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// The topics of the baselines.
const (
	benchTopic = "bench.in"
	benchOut   = "bench.out"
	benchGroup = "bench"
)

// publish puts the same bytes straight onto the bus, from as many callers, each waiting until its record is durable.
func (f *flow) publish(ctx context.Context, o flowOptions, h *house, share []generate.Message) error {
	var mu sync.Mutex
	began := time.Now()
	g, publishing := errgroup.WithContext(ctx)
	for s := range o.senders {
		g.Go(func() error {
			var acks []time.Duration
			for _, m := range share {
				if o.sender(m) != s {
					continue
				}
				sent := time.Now()
				if _, err := h.bus.Publish(publishing, benchRecord(benchTopic, m), nil); err != nil {
					return err
				}
				acks = append(acks, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			f.busAcks = append(f.busAcks, acks...)
			return nil
		})
	}
	err := g.Wait()
	f.busTime += time.Since(began)
	return err
}

func benchRecord(topic string, m generate.Message) contracts.Record {
	return contracts.Record{Topic: topic, Key: contracts.Key(m.Placer), ID: contracts.DerivedID("bench", topic, m.Control), Time: benchTime, Body: contracts.NewBody(m.Bytes)}
}

// pipe takes n records from the bus, publishes them again, and commits.
func (f *flow) pipe(ctx context.Context, h *house, n int) error {
	piping, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	began := time.Now()
	err := h.bus.Consume(piping, benchTopic, benchGroup, 32, func(ctx context.Context, r contracts.Record) error {
		r.Topic = benchOut
		if _, err := h.bus.Publish(context.WithoutCancel(ctx), r, nil); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			f.pipeTime += time.Since(began)
			stop()
		}
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// residentMB is what the process holds in memory, in millions of bytes; 0 where the system doesn't say.
func residentMB() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return kib * 1024 / 1e6
}

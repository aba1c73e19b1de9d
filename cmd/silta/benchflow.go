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
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/testfixtures/bare"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// flowOptions are the flags of `silta bench flow`.
type flowOptions struct {
	messages, senders, keys, size, lanes int
	rate                                 float64
	dir, bus, ledger                     string
	pass, backlog                        bool
	patience                             time.Duration
}

// flow is what a bench flow found.
type flow struct {
	Machine           string             `json:"machine"`
	Sent              int                `json:"sent"`
	Acked             int                `json:"acked"`
	Delivered         int                `json:"delivered"` // different messages that the receiver saw
	Lost              int                `json:"lost"`      // acknowledged, and not seen by the receiver
	Duplicated        int                `json:"duplicated"`
	Reordered         int                `json:"reordered"` // seen after a later one of the same referral
	AckMsP50          float64            `json:"ackMsP50"`
	AckMsP99          float64            `json:"ackMsP99"`
	AcceptedPerSecond float64            `json:"acceptedPerSecond"` // while nothing is translated or delivered
	EndToEndPerSecond float64            `json:"endToEndPerSecond"`
	DrainedPerSecond  float64            `json:"drainedPerSecond,omitempty"` // of what was accepted meanwhile
	DrainedSeconds    float64            `json:"drainedSeconds,omitempty"`   // of a backlog: from the first to the last delivery
	BusPerSecond      float64            `json:"busPerSecond"`
	BusAckMsP50       float64            `json:"busAckMsP50"`
	BusAckMsP99       float64            `json:"busAckMsP99"`
	BusPipePerSecond  float64            `json:"busPipePerSecond"`
	AcceptedToBus     float64            `json:"acceptedToBus,omitempty"` // the median of the rounds' ratios
	ResidentMB        float64            `json:"rssMb,omitempty"`         // the most, of this process: senders, hub and receiver
	CPUMicros         float64            `json:"cpuUsPerMessage,omitempty"`
	CPUShares         map[string]float64 `json:"cpuShares,omitempty"` // end to end, of this process's processor time
	MessageBytes      int                `json:"messageBytes"`

	acks, busAcks                                []time.Duration
	accepted, carried, drained, published, piped []float64 // a second, by round
	ratios                                       []float64
	cores                                        time.Duration
	flowed                                       int
}

func newBenchFlow(t *terminal) *cobra.Command {
	var o flowOptions
	c := &cobra.Command{
		Use:   "flow",
		Short: "Measure the whole way: MLLP in, durable, translated, out",
		Long: `Sends made-up referrals over MLLP to a hub in this process, which delivers them to a counting receiver: over HTTP, or over
MLLP with --pass. The sockets and the fsyncs are real. What the receiver saw is compared with what was acknowledged: lost,
duplicated, reordered within a referral. Senders keep one message in flight each.

Five rounds, whose median counts, each in four parts: messages are accepted while nothing is translated or delivered
(accepted); those are drained (drained); messages go the whole way while they are sent (end to end; the processor's shares
are of this part); and the baselines with the same bytes: bus… publishes them from as many waiting callers, pipe takes
them, publishes them again and commits. The baselines are the bare library, a producer of franz-go or a group commit of
SQLite, with nothing of Silta in between (testfixtures/bare).

--pass takes a route by message type, HL7 v2 in and out, without a map. --rate leaves out the accepting and draining, and
gives the baseline the same rate. --backlog has all messages accepted first and then drained, in one round.

On Kafka (--bus kafka://HOST:PORT,…) it makes its own topics; on PostgreSQL (--ledger postgres://…) it uses the tables of
the database that is named: name an empty one. The exit code is 1 if anything was lost or reordered.`,
		Example: "  silta bench flow --messages 50000 --senders 64 --keys 1000 --pass --format json",
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
	s.IntVar(&o.messages, "messages", 10_000, "how many messages are sent")
	s.IntVar(&o.senders, "senders", 64, "connections that send at once")
	s.IntVar(&o.keys, "keys", 0, "referrals that the messages are about; 0 gives each message its own")
	s.IntVar(&o.size, "size", 1500, "bytes of a message, about")
	s.IntVar(&o.lanes, "lanes", 64, "keys that the hub works at once, a topic")
	s.Float64Var(&o.rate, "rate", 0, "messages a second, all senders together; 0 is as fast as it goes")
	s.BoolVar(&o.pass, "pass", false, "a route without a map: HL7 v2 in and out over MLLP")
	s.BoolVar(&o.backlog, "backlog", false, "accept all messages first, then drain them")
	s.StringVar(&o.dir, "dir", "", "where bus and ledger lie, so that a disk can be chosen; a new directory in the system's place for such if empty")
	s.StringVar(&o.bus, "bus", embeddedStore, "the bus: embedded, or kafka://HOST:PORT,…?development=true")
	s.StringVar(&o.ledger, "ledger", embeddedStore, "the ledger: embedded, or postgres://…")
	s.DurationVar(&o.patience, "wait", 10*time.Minute, "how long to wait for the last deliveries of a round")
	return c
}

func (f *flow) figures() []figure {
	list := []figure{
		{"sent, acknowledged, delivered", fmt.Sprintf("%d, %d, %d (of %d bytes each)", f.Sent, f.Acked, f.Delivered, f.MessageBytes)},
		{"lost, duplicated, reordered", fmt.Sprintf("%d, %d, %d", f.Lost, f.Duplicated, f.Reordered)},
		{"acknowledgement, ms p50, p99", fmt.Sprintf("%.2f, %.2f", f.AckMsP50, f.AckMsP99)},
		{"accepted/s", fmt.Sprintf("%.0f (%.2f of the bus alone)", f.AcceptedPerSecond, f.AcceptedToBus)},
		{"drained/s", drained(f)},
		{"end to end/s", fmt.Sprintf("%.0f, %.0f µs of processor each", f.EndToEndPerSecond, f.CPUMicros)},
		{"baseline: bus alone, records/s, ms p50, p99", fmt.Sprintf("%.0f, %.2f, %.2f", f.BusPerSecond, f.BusAckMsP50, f.BusAckMsP99)},
		{"baseline: pipe, records/s", fmt.Sprintf("%.0f", f.BusPipePerSecond)},
		{"resident, most, MB", fmt.Sprintf("%.0f", f.ResidentMB)},
	}
	for _, part := range sortedByShare(f.CPUShares) {
		list = append(list, figure{"processor: " + part, fmt.Sprintf("%.0f %%", 100*f.CPUShares[part])})
	}
	return list
}

func drained(f *flow) string {
	if f.DrainedSeconds == 0 {
		return fmt.Sprintf("%.0f", f.DrainedPerSecond)
	}
	return fmt.Sprintf("%.0f, the backlog in %.0f s", f.DrainedPerSecond, f.DrainedSeconds)
}

// benchFlow opens a house in a directory of its own, whose receiver counts.
func benchFlow(ctx context.Context, t *terminal, o flowOptions) (f *flow, err error) {
	if o.messages < 1 || o.senders < 1 || o.keys < 0 || o.rate < 0 || o.lanes < 1 {
		return nil, usagef("--messages, --senders and --lanes are at least 1, --keys and --rate at least 0")
	}
	dir, err := os.MkdirTemp(o.dir, "silta-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	receiver, err := newReceiver(o.pass)
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
	f, err = measureFlow(running, o, h, receiver, dir)
	stop()
	return f, errors.Join(err, <-ended, h.close())
}

// passing are the contracts of a sender and a receiver between which messages are passed on without a map.
var passing = map[string]string{"feeder": `silta: partner/v1
id: feeder
title: {en: Feeder, fi: Syöttäjä, sv: Matare}
dialect: {format: hl7v2, version: 2.5.1}
door: {mllp: {listen: "127.0.0.1:0", connections: 4096}}
keys: {REF: [RF1-6]}
routes:
  - {types: ["REF^*"], to: [counter]}
`, "counter": `silta: partner/v1
id: counter
title: {en: Counter, fi: Laskuri, sv: Räknare}
dialect: {format: hl7v2, version: 2.5.1, names: {application: COUNTER, facility: BENCH, ourApplication: SILTA, ourFacility: BENCH}}
courier: {mllp: {to: "127.0.0.1:1", connections: 4, pipeline: 32}}
`}

func benchHouse(ctx context.Context, t *terminal, o flowOptions, dir, receiver string) (*house, error) {
	if _, err := initialise(dir); err != nil {
		return nil, err
	}
	if o.pass {
		for name, contract := range passing {
			if err := writeNew(filepath.Join(dir, "contracts/partners", name+".yaml"), []byte(contract), 0o644); err != nil {
				return nil, err
			}
		}
	}
	s, err := readSettings(filepath.Join(dir, "silta.yaml"))
	if err != nil {
		return nil, err
	}
	s.Console.Listen, s.FHIR.Listen, s.Log.Level, s.Lanes, s.Bus, s.Ledger = "127.0.0.1:0", "127.0.0.1:0", "error", o.lanes, o.bus, o.ledger
	s.Development, s.weak, s.Kafka.Names = true, true, filepath.Base(dir)+"."
	if err := s.checkServers(); err != nil {
		return nil, err
	}
	agreed, err := s.readAgreements()
	if err != nil {
		return nil, err
	}
	for i, p := range agreed.partners {
		p = relocate(p, "127.0.0.1:0")
		if p.Courier.FHIR != nil && !o.pass || p.ID == "counter" {
			if p, err = redirect(p, receiver); err != nil {
				return nil, err
			}
		}
		agreed.partners[i] = p
	}
	return openHouse(ctx, s, agreed, newLog(s, t), nil)
}

// bareBus is the baseline of a bus.
func bareBus(ctx context.Context, o flowOptions, dir string) (bare.Bus, error) {
	if o.bus == embeddedStore {
		return bare.SQLite(dir)
	}
	address, err := brokersOf(o.bus)
	if err != nil {
		return nil, err
	}
	return bare.Kafka(ctx, address.brokers, filepath.Base(dir), 12)
}

// flowRounds is how often a bench of the flow and its baselines take turns.
const flowRounds = 5

// measureFlow sends in rounds, each followed by the baselines' share of the same bytes.
func measureFlow(ctx context.Context, o flowOptions, h *house, r *receiver, dir string) (*flow, error) {
	made, err := generate.New(generate.Options{Prefix: "BENCH", Referrals: o.keys, Size: o.size, Start: time.Now()})
	if err != nil {
		return nil, err
	}
	baseline, err := bareBus(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer baseline.Close()
	door := h.posts["apotti"].door
	if o.pass {
		door = h.posts["feeder"].door
	}
	m := &measuring{flow: &flow{Machine: machine()}, o: o, bus: h.bus, door: door.Addr().String(), receiver: r, baseline: baseline}
	stop := m.watchMemory()
	defer stop()
	if o.backlog {
		err = m.round(ctx, made, o.messages, 0)
	} else {
		for n := 0; n < flowRounds && err == nil; n++ {
			share := o.messages*(n+1)/flowRounds - o.messages*n/flowRounds
			held := share / 2
			if o.rate > 0 {
				held = 0
			}
			err = m.round(ctx, made, held, share-held)
		}
	}
	stop()
	m.sum()
	return m.flow, err
}

// measuring is a flow that is being measured.
type measuring struct {
	*flow
	o        flowOptions
	bus      hub.Bus
	door     string
	receiver *receiver
	baseline bare.Bus
	part     []generate.Message // what the baselines get
}

// round has so many messages accepted and then drained, and so many carried while they are sent.
func (m *measuring) round(ctx context.Context, made *generate.Maker, held, flowing int) error {
	m.part = nil
	if held > 0 {
		if err := m.accept(ctx, made, held); err != nil {
			return err
		}
	}
	if flowing > 0 {
		if err := m.carry(ctx, made, flowing); err != nil {
			return err
		}
	}
	m.MessageBytes = len(m.part[0].Bytes)
	return m.compare(ctx, m.part)
}

// accept sends messages while nothing is translated, and then has them drained.
func (m *measuring) accept(ctx context.Context, made *generate.Maker, n int) error {
	m.bus.Pause(contracts.TopicIn, hub.GroupTranslate)
	took, err := m.send(ctx, made, n)
	m.bus.Resume(contracts.TopicIn, hub.GroupTranslate)
	if err != nil {
		return err
	}
	m.accepted = append(m.accepted, perSecond(n, took))
	began := time.Now()
	m.arrive(ctx)
	if m.o.backlog {
		m.DrainedSeconds = time.Since(began).Seconds()
	}
	m.drained = append(m.drained, perSecond(n, time.Since(began)))
	return ctx.Err()
}

// carry sends messages and waits until the receiver has them.
func (m *measuring) carry(ctx context.Context, made *generate.Maker, n int) error {
	shares, err := sampleShares()
	if err != nil {
		return err
	}
	began, used := time.Now(), processorTime()
	took, err := m.send(ctx, made, n)
	if err == nil {
		m.arrive(ctx)
	}
	m.cores += processorTime() - used
	m.flowed += n
	m.carried = append(m.carried, perSecond(n, time.Since(began)))
	if m.o.rate > 0 {
		m.accepted = append(m.accepted, perSecond(n, took))
	}
	m.CPUShares, err = shares(m.CPUShares, err)
	return errors.Join(err, ctx.Err())
}

// compare gives the baselines their turn.
func (m *measuring) compare(ctx context.Context, part []generate.Message) error {
	took, err := m.callers(ctx, part, &m.busAcks, func() (caller, error) {
		return caller{send: func(ctx context.Context, g generate.Message) error { return m.baseline.Publish(ctx, g.Placer, g.Bytes) }}, nil
	})
	if err != nil {
		return err
	}
	m.published = append(m.published, perSecond(len(part), took))
	m.ratios = append(m.ratios, m.accepted[len(m.accepted)-1]/m.published[len(m.published)-1])
	began := time.Now()
	if err := m.baseline.Pipe(ctx, len(part)); err != nil {
		return err
	}
	m.piped = append(m.piped, perSecond(len(part), time.Since(began)))
	return ctx.Err()
}

// portion is how many messages are made at a time, so that a million of them don't lie in memory.
const portion = 20_000

// send sends n messages over as many connections as there are senders, and returns when all is acknowledged. The time that
// it takes to make them isn't counted. The baselines get the first portion of a round.
func (m *measuring) send(ctx context.Context, made *generate.Maker, n int) (took time.Duration, err error) {
	for left := n; left > 0 && err == nil; left -= portion {
		var part []generate.Message
		asPart(ctx, partSender, func(context.Context) { part = made.Take(min(left, portion)) })
		var d time.Duration
		d, err = m.callers(ctx, part, &m.acks, func() (caller, error) { return dialDoor(ctx, m.door) })
		took += d
		m.Sent += len(part)
		m.Acked = len(m.acks)
		if m.part == nil {
			m.part = part
		}
	}
	return took, err
}

// caller sends one message after the other; each call returns when the message is acknowledged.
type caller struct {
	send  func(context.Context, generate.Message) error
	close func()
}

// callers lets every sender send its messages, and gives how long all of them took.
func (m *measuring) callers(ctx context.Context, part []generate.Message, acks *[]time.Duration, open func() (caller, error)) (time.Duration, error) {
	shares := make([][]generate.Message, m.o.senders)
	for _, message := range part {
		s := m.o.sender(message)
		shares[s] = append(shares[s], message)
	}
	lines := make([]caller, m.o.senders)
	for s := range lines {
		line, err := open()
		if err != nil {
			return 0, err
		}
		if line.close != nil {
			defer line.close()
		}
		lines[s] = line
	}
	var mu sync.Mutex
	began, first := time.Now(), part[0].Number
	g, ctx := errgroup.WithContext(ctx)
	for s, line := range lines {
		g.Go(func() (err error) {
			took := make([]time.Duration, 0, len(shares[s]))
			asPart(ctx, partSender, func(ctx context.Context) {
				for _, message := range shares[s] {
					if m.o.rate > 0 && !until(ctx, began.Add(time.Duration(float64(message.Number-first)/m.o.rate*float64(time.Second)))) {
						err = ctx.Err()
						return
					}
					sent := time.Now()
					if err = line.send(ctx, message); err != nil {
						return
					}
					took = append(took, time.Since(sent))
				}
			})
			mu.Lock()
			defer mu.Unlock()
			*acks = append(*acks, took...)
			return err
		})
	}
	err := g.Wait()
	return time.Since(began), err
}

// sender says which connection sends a message: all of one referral go over the same one, so that they are in order.
func (o flowOptions) sender(m generate.Message) int {
	n := m.Number - 1
	if o.keys > 0 {
		n %= o.keys
	}
	return n % o.senders
}

// arrive waits until the receiver has all that was acknowledged, or no more comes.
func (m *measuring) arrive(ctx context.Context) {
	patient, stop := context.WithTimeout(ctx, m.o.patience)
	defer stop()
	m.receiver.wait(patient, m.Acked)
}

func (m *measuring) sum() {
	f := m.flow
	f.Delivered, f.Duplicated, f.Reordered = m.receiver.counts()
	f.Lost = f.Acked - f.Delivered
	slices.Sort(f.acks)
	slices.Sort(f.busAcks)
	f.AckMsP50, f.AckMsP99 = percentile(f.acks, 50), percentile(f.acks, 99)
	f.BusAckMsP50, f.BusAckMsP99 = percentile(f.busAcks, 50), percentile(f.busAcks, 99)
	f.AcceptedPerSecond, f.EndToEndPerSecond, f.DrainedPerSecond = median(f.accepted), median(f.carried), median(f.drained)
	f.BusPerSecond, f.BusPipePerSecond = median(f.published), median(f.piped)
	if m.o.rate == 0 {
		f.AcceptedToBus = median(f.ratios)
	}
	if f.flowed > 0 {
		f.CPUMicros = float64(f.cores.Microseconds()) / float64(f.flowed)
	}
}

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(of))[len(of)/2]
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

func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// watchMemory keeps the most that the process holds, until stop.
func (m *measuring) watchMemory() (stop func()) {
	var once sync.Once
	end, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		every := time.NewTicker(200 * time.Millisecond)
		defer every.Stop()
		for {
			m.ResidentMB = max(m.ResidentMB, residentMB())
			select {
			case <-every.C:
			case <-end:
				return
			}
		}
	}()
	return func() { once.Do(func() { close(end) }); <-ended }
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

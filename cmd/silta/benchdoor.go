package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// doorOptions are the flags of `silta bench door`.
type doorOptions struct {
	connections, messages, pipeline, hold int
}

// doorFigures is what a bench of the door found.
type doorFigures struct {
	Machine            string  `json:"machine"`
	Messages           int     `json:"messages"` // sent in each way
	MessageBytes       int     `json:"messageBytes"`
	Connections        int     `json:"connections"`
	Pipeline           int     `json:"pipeline"`
	MessagesPerSecond  float64 `json:"messagesPerSecond"` // one in flight on each connection
	AckMsP50           float64 `json:"ackMsP50"`
	AckMsP99           float64 `json:"ackMsP99"`
	CPUMicros          float64 `json:"cpuUsPerMessage,omitempty"` // of all cores, sender and door; the figure that a busy machine doesn't change much
	PipelinedPerSecond float64 `json:"pipelinedPerSecond"`        // --pipeline in flight on each
	PipelinedCPUMicros float64 `json:"pipelinedCpuUsPerMessage,omitempty"`
	SocketsPerSecond   float64 `json:"socketsPerSecond"` // the baseline
	Held               int     `json:"held,omitempty"`
	HeldMB             float64 `json:"heldMb,omitempty"`    // heap and stacks, both ends
	HeldRSSMB          float64 `json:"heldRssMb,omitempty"` // what the process grew by

	acks                       []time.Duration
	asking, piping, socketTime taken
}

// taken is how long something took, by the clock and of all cores.
type taken struct{ clock, cores time.Duration }

func (t *taken) add(u taken) { t.clock, t.cores = t.clock+u.clock, t.cores+u.cores }

func newBenchDoor(t *terminal) *cobra.Command {
	var o doorOptions
	c := &cobra.Command{
		Use:   "door",
		Short: "Measure an MLLP door with nothing behind it",
		Long: `Sends small messages over MLLP on the loopback to a door in this process. What stands behind it reads of each message what
the hub reads (header, character set, segment names) and keeps nothing. Senders and door share the machine's cores.

The messages go twice: with one in flight on each connection, where ms are from the first byte to the acknowledgement,
and with --pipeline of them in flight. The baseline runs in turn with both, over as many connections and one message in
flight: a listener that answers each frame with fixed bytes and reads nothing in it. It is what the sockets allow.

--hold opens so many connections more, each of which sends one message and is then silent, and tells what they take in
memory: both ends of them, since the senders are in this process too.`,
		Example: "  silta bench door --connections 16 --messages 200000 --hold 1000 --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.connections < 1 || o.messages < o.connections || o.pipeline < 1 || o.hold < 0 {
				return usagef("--connections and --pipeline are at least 1, --messages at least --connections, --hold at least 0")
			}
			f, err := benchDoor(cmd.Context(), o)
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(f)
			}
			return writeFigures(t, f.Machine, f.figures())
		},
	}
	s := c.Flags()
	s.IntVar(&o.connections, "connections", 16, "connections that send at once")
	s.IntVar(&o.messages, "messages", 100_000, "how many messages are sent in each way")
	s.IntVar(&o.pipeline, "pipeline", 16, "messages in flight on a connection, in the second way")
	s.IntVar(&o.hold, "hold", 0, "connections more that are held and silent")
	return c
}

func (f *doorFigures) figures() []figure {
	list := []figure{
		{"messages", fmt.Sprintf("%d of %d bytes, %d connections", f.Messages, f.MessageBytes, f.Connections)},
		{"acknowledged/s, one in flight", fmt.Sprintf("%.0f", f.MessagesPerSecond)},
		{"acknowledgement, ms p50, p99", fmt.Sprintf("%.2f, %.2f", f.AckMsP50, f.AckMsP99)},
		{fmt.Sprintf("acknowledged/s, %d in flight", f.Pipeline), fmt.Sprintf("%.0f", f.PipelinedPerSecond)},
		{"processor time a message, µs, in either way", fmt.Sprintf("%.1f, %.1f (sender and door)", f.CPUMicros, f.PipelinedCPUMicros)},
		{"baseline: sockets alone, frames/s", fmt.Sprintf("%.0f", f.SocketsPerSecond)},
	}
	if f.Held > 0 {
		list = append(list, figure{fmt.Sprintf("%d connections held, MB of heap and stacks, resident", f.Held), fmt.Sprintf("%.1f, %.1f", f.HeldMB, f.HeldRSSMB)})
	}
	return list
}

func benchDoor(ctx context.Context, o doorOptions) (f *doorFigures, err error) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.ErrorLevel)
	door, err := mllp.Listen("127.0.0.1:0", "bench", contracts.MLLPDoor{Connections: 3*o.connections + o.hold}, nullStore{}, time.Now, log)
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- door.Serve(serving) }()
	sockets, err := listenBare()
	if err == nil {
		f, err = measureDoor(ctx, o, door.Addr().String(), sockets.address())
		sockets.close()
	}
	stop()
	return f, errors.Join(err, <-ended)
}

// nullStore reads what the hub reads before it acknowledges, and keeps nothing.
type nullStore struct{}

func (nullStore) Receive(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	head, err := hl7v2.Scan(a.Body.Bytes())
	if err != nil {
		return contracts.Receipt{At: benchTime, Fault: contracts.FaultsOf(err)[0]}, nil
	}
	control := head.ControlID()
	return contracts.Receipt{ID: contracts.DerivedID("bench", control), At: benchTime, Control: control}, nil
}

func measureDoor(ctx context.Context, o doorOptions, door, sockets string) (*doorFigures, error) {
	f := &doorFigures{Machine: machine(), Messages: o.messages, MessageBytes: len(smallMessage), Connections: o.connections, Pipeline: o.pipeline}
	if o.hold > 0 {
		if err := f.hold(ctx, o.hold, door); err != nil {
			return nil, err
		}
	}
	share := o.messages / rounds
	for round := range rounds {
		if round == rounds-1 {
			share += o.messages % rounds
		}
		for _, way := range []struct {
			to       string
			inFlight int
			acks     *[]time.Duration
			took     *taken
		}{{door, 1, &f.acks, &f.asking}, {door, o.pipeline, nil, &f.piping}, {sockets, 1, nil, &f.socketTime}} {
			took, err := sendSmall(ctx, way.to, o.connections, share, way.inFlight, way.acks)
			if err != nil {
				return nil, err
			}
			way.took.add(took)
		}
	}
	slices.Sort(f.acks)
	f.AckMsP50, f.AckMsP99 = percentile(f.acks, 50), percentile(f.acks, 99)
	f.MessagesPerSecond, f.PipelinedPerSecond = perSecond(o.messages, f.asking.clock), perSecond(o.messages, f.piping.clock)
	f.SocketsPerSecond = perSecond(o.messages, f.socketTime.clock)
	each := func(t taken) float64 { return float64(t.cores.Microseconds()) / float64(o.messages) }
	f.CPUMicros, f.PipelinedCPUMicros = each(f.asking), each(f.piping)
	return f, nil
}

// hold opens connections that stay silent behind one message, and measures what the process grew by. They close when
// all is measured.
func (f *doorFigures) hold(ctx context.Context, n int, door string) error {
	before, resident := inUseMB(), residentMB()
	senders := make([]*smallSender, 0, n)
	defer func() {
		for _, s := range senders {
			s.conn.Close()
		}
	}()
	for range n {
		s, err := dialSmall(ctx, door)
		if err != nil {
			return err
		}
		senders = append(senders, s)
		if err := s.exchange(1, nil); err != nil {
			return err
		}
	}
	f.Held, f.HeldMB, f.HeldRSSMB = n, inUseMB()-before, residentMB()-resident
	return nil
}

// inUseMB is what heap and stacks take after a collection, in millions of bytes.
func inUseMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc+m.StackInuse) / 1e6
}

// sendSmall sends so many messages over so many connections, and gives how long that took from the first to the last
// acknowledgement. Connecting isn't counted.
func sendSmall(ctx context.Context, to string, connections, messages, inFlight int, acks *[]time.Duration) (taken, error) {
	senders := make([]*smallSender, connections)
	for i := range senders {
		s, err := dialSmall(ctx, to)
		if err != nil {
			return taken{}, err
		}
		defer s.conn.Close()
		senders[i] = s
	}
	var left atomic.Int64
	left.Store(int64(messages))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	began, used := time.Now(), processorTime()
	for _, s := range senders {
		defer context.AfterFunc(ctx, func() { s.conn.Close() })()
		g.Go(func() error {
			var took []time.Duration
			for {
				n := min(int64(inFlight), left.Add(-int64(inFlight))+int64(inFlight))
				if n <= 0 {
					break
				}
				if err := s.exchange(int(n), &took); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if acks != nil {
				*acks = append(*acks, took...)
			}
			return nil
		})
	}
	err := g.Wait()
	return taken{time.Since(began), processorTime() - used}, err
}

// smallMessage is what is sent, with a place for its number.
var smallMessage = []byte("MSH|^~\\&|APOTTI|HELSINKI|SILTA|HUS|20260302091500+0200||REF^I12^REF_I12|B00000000|P|2.5.1||||||UNICODE UTF-8\r" +
	"RF1|P|R|||||LAH-1-1^APOTTI|||202603020915|^Näkökentän puutos\r" +
	"PRD|RP|Mäkelä^Öykkö|Testikatu 1^^Helsinki^^00100\r" +
	"PID|1||010101-900A^^^&1.2.246.21&ISO^NNFIN||Mäki^Åsa||20010101|F|||Koekuja 2^^Espoo^^02100||+358401234567\r" +
	"PV1|1|O|POLI^^^HUS|||||||||||||||V1\r")

// smallSender sends messages over one connection.
type smallSender struct {
	conn    net.Conn
	answers *bufio.Reader
	number  int
	out     []byte
}

func dialSmall(ctx context.Context, to string) (*smallSender, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	return &smallSender{conn: conn, answers: bufio.NewReaderSize(conn, 4096)}, nil
}

// exchange writes n messages at once and reads their acknowledgements.
func (s *smallSender) exchange(n int, took *[]time.Duration) error {
	s.out = s.out[:0]
	for range n {
		s.number++
		s.out = append(append(append(s.out, 0x0b), smallMessage...), 0x1c, 0x0d)
		control := s.out[len(s.out)-2-len(smallMessage)+controlAt:]
		for digit, rest := 8, s.number; digit > 0; digit, rest = digit-1, rest/10 {
			control[digit] = byte('0' + rest%10)
		}
	}
	began := time.Now()
	if _, err := s.conn.Write(s.out); err != nil {
		return err
	}
	for range n {
		answer, err := s.answers.ReadSlice(0x1c)
		if err != nil {
			return err
		}
		if !bytes.Contains(answer, acceptedMark) {
			return contracts.Faultf(contracts.Refused, "BENCH-001", "", "The door refused a made-up message.")
		}
		if _, err := s.answers.Discard(1); err != nil {
			return err
		}
	}
	if took != nil {
		*took = append(*took, time.Since(began))
	}
	return nil
}

var (
	controlAt    = bytes.Index(smallMessage, []byte("B00000000"))
	acceptedMark = []byte("\rMSA|AA|B")
)

// bareListener answers each frame with the same bytes and reads nothing in it.
type bareListener struct {
	listener net.Listener
	running  sync.WaitGroup
}

func listenBare() (*bareListener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bareListener{listener: l}
	b.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.running.Go(func() { answerBare(conn) })
		}
	})
	return b, nil
}

func (b *bareListener) address() string { return b.listener.Addr().String() }

// close takes no more connections, and waits until those that there are have ended.
func (b *bareListener) close() {
	b.listener.Close()
	b.running.Wait()
}

func answerBare(conn net.Conn) {
	defer conn.Close()
	frames := bufio.NewReaderSize(conn, 4096)
	answer := []byte("\x0bMSH|^~\\&|SILTA|HUS|APOTTI|HELSINKI|20260302091500+0000||ACK^I12^ACK|AAAAAAAAAAAAAAAAAAAA|P|2.5.1||||||UNICODE UTF-8\rMSA|AA|B00000000\r\x1c\r")
	for {
		if _, err := frames.ReadSlice(0x1c); err != nil {
			return
		}
		if _, err := frames.Discard(1); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

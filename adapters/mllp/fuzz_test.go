package mllp

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// expected reads a whole stream byte by byte, as the protocol and the Reader's leniency have it: what seen gives.
func expected(stream []byte, limits Limits) (list []string, end error) {
	at := 0
	for {
		var f Frame
		start := bytes.IndexByte(stream[at:], startBlock)
		if f.Junk = start; start < 0 {
			f.Junk = len(stream) - at
		}
		if f.Junk > limits.Junk {
			return list, ErrJunk
		}
		if start < 0 {
			return list, io.EOF
		}
		at += start + 1
		for done := false; !done; {
			if at == len(stream) {
				return list, io.ErrUnexpectedEOF
			}
			b := stream[at]
			at++
			switch next := slices.Concat(stream[at:], []byte{0})[0]; {
			case b == startBlock && beginsMessage(f.Body) && !beginsMessage(stream[at:]):
				f.Strays++
			case b == startBlock:
				f.Dropped += len(f.Body) + 1
				f.Body = nil
				continue
			case b == endBlock && at == len(stream):
				f.NoCR, done = true, true
				continue
			case b == endBlock && next == carriageReturn:
				at++
				done = true
				continue
			case b == endBlock && next == '\n' && (at+1 == len(stream) || stream[at+1] == startBlock):
				at++
				f.NoCR, done = true, true
				continue
			case b == endBlock && next == startBlock:
				f.NoCR, done = true, true
				continue
			case b == endBlock:
				f.Strays++
			}
			if f.Body = append(f.Body, b); len(f.Body) > limits.Bytes {
				return append(list, fmt.Sprintf("kept %d", limits.Bytes)), ErrTooLarge
			}
		}
		odd := ""
		if f.Junk+f.Dropped+f.Strays > 0 || f.NoCR {
			odd = fmt.Sprintf(" junk=%d dropped=%d strays=%d noCR=%t", f.Junk, f.Dropped, f.Strays, f.NoCR)
		}
		list = append(list, fmt.Sprintf("%q", f.Body)+odd)
	}
}

// pieces gives a stream in pieces of the sizes that cuts has, over and over, now and then with nothing at all, and its
// end with the last or behind it.
type pieces struct {
	stream, cuts []byte
	n            int
}

func (p *pieces) Read(b []byte) (int, error) {
	size := 5
	if len(p.cuts) > 0 {
		size = int(p.cuts[p.n%len(p.cuts)])
		p.n++
		if size > 250 && p.n%3 == 0 {
			return 0, nil
		}
	}
	n := copy(b[:min(len(b), size+1)], p.stream)
	if p.stream = p.stream[n:]; len(p.stream) == 0 && (n == 0 || size%2 == 0) {
		return n, io.EOF
	}
	return n, nil
}

// allocated is how much memory the process has asked for so far, in bytes.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// taken is how much memory f asks for. What else runs in the process is counted too, so the least of three runs is it.
func taken(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		before := allocated()
		f()
		least = min(least, allocated()-before)
	}
	return least
}

// readAll reads a stream's frames without keeping them.
func readAll(src io.Reader, limits Limits) {
	for r := NewReader(src, limits); ; {
		if _, err := r.Next(); err != nil {
			return
		}
	}
}

// aside is what a Reader may take beside eight times its input: its buffers, and what the measurement is off by.
const aside = 512 << 10

// Whatever comes, and in whatever pieces, the Reader reads the frames that the protocol has in it, within its limits
// and within eight times the input in memory; and what WriteFrame writes behind it is read back.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{"", "\x0ba\x1c\r", "x\x0ba\x0bb\x1c\x1c\r\n", "\x0b\x1c\x0b\x1c\n", "\x0babcdefghijklmnop\x1c\r", "\x1c\r\x0b\x06\x1c\r",
		"\x0b0000000000000\x0b", "\x0ba\x1c", "\x0ba\x1c\x0bb", "\x0bMSH|a\x0bb\x0b\x0bMSH|c\x0bMS\x1c\r", "\x0b\x1c\x1cb\x1c\r\x0bc\x1c\nd", "\x0ba\x1c\nb\x1c\n\x1c\n\x0bc\x1c\n"} {
		f.Add([]byte(seed), []byte{0})
		f.Add([]byte(seed), []byte{2, 255, 7, 252, 251})
	}
	limits := Limits{Bytes: 12, Junk: 40}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		want, end := expected(stream, limits)
		got, err := seen(&pieces{stream: stream, cuts: cuts}, limits)
		if diff := cmp.Diff(want, got); diff != "" || err != end {
			t.Fatalf("ended with %v, want %v; frames (-want +got):\n%s", err, end, diff)
		}
		if len(stream) > 0 {
			long := bytes.Repeat(stream, 1+(32<<10)/len(stream))
			spent := taken(func() { readAll(bytes.NewReader(long), Limits{Bytes: 1 << 20}) })
			if spent > uint64(8*len(long)+aside) {
				t.Fatalf("%d bytes of memory for %d of input", spent, len(long))
			}
		}
		var written bytes.Buffer
		if _, err := WriteFrame(&written, stream); err != nil {
			return // the content holds a framing byte
		}
		if f, err := NewReader(&written, Limits{}).Next(); err != nil || !bytes.Equal(f.Body, stream) || f.NoCR {
			t.Fatalf("what was written wasn't read back: %v", err)
		}
	})
}

// What a frame of any make costs in memory is bounded by its size, and by the limit where it is larger.
func TestAFrameCostsMemoryByItsSize(t *testing.T) {
	const size = 2 << 20
	for name, stream := range map[string]string{
		"one large frame":       framed(strings.Repeat("x", size)),
		"begun anew, and again": strings.Repeat("\x0b"+strings.Repeat("x", 1000), size/1001),
		"start blocks":          strings.Repeat("\x0b", size),
		"end blocks":            "\x0b" + strings.Repeat("\x1c", size),
		"small frames":          strings.Repeat("\x0babcd\x1c\r", size/7), // the race detector makes the smallest allocations larger
		"junk":                  strings.Repeat("x", size),
		"growing frames": func() string {
			var b strings.Builder
			for n := 1; b.Len() < size; n *= 2 {
				b.WriteString(framed(strings.Repeat("x", n)))
			}
			return b.String()
		}(),
	} {
		if spent := taken(func() { readAll(strings.NewReader(stream), Limits{}) }); spent > uint64(8*len(stream)+aside) {
			t.Errorf("%s: %d bytes of memory for %d", name, spent, len(stream))
		}
	}
	large := "\x0b" + strings.Repeat("x", size)
	if spent := taken(func() { readAll(strings.NewReader(large), Limits{Bytes: 100 << 10}) }); spent > 8*(100<<10)+aside {
		t.Errorf("a frame above its limit of 100 KB took %d bytes", spent)
	}
}

// scripted is a partner that does as a script says: for each frame that comes the next few bytes choose what it does.
type scripted struct {
	mu     sync.Mutex
	script []byte
	asks   []byte // what each message asks for, over and over
	asked  int
	came   []string // control ids
	said   []byte   // all that it wrote, on all connections
}

// next takes a byte of the script; false at its end.
func (s *scripted) next() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.script) == 0 {
		return 0, false
	}
	b := s.script[0]
	s.script = s.script[1:]
	return int(b), true
}

func (s *scripted) say(c net.Conn, stream string) bool {
	s.mu.Lock()
	s.said = append(s.said, stream...)
	s.mu.Unlock()
	_, err := io.WriteString(c, stream)
	return err == nil
}

// some gives a control id: one that came, or one that never does.
func (s *scripted) some(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.came) == 0 || n%7 == 0 {
		return "NONE"
	}
	return s.came[n%len(s.came)]
}

func (s *scripted) converse(c net.Conn) {
	r := NewReader(c, Limits{})
	for {
		f, err := r.Next()
		if err != nil {
			return
		}
		if head := hl7v2.ReadHeader(f.Body); head == nil || head.IsAcknowledgement() {
			continue // an acknowledgement of an acknowledgement, or a commit
		}
		own := control(string(f.Body))
		s.mu.Lock()
		s.came = append(s.came, own)
		s.mu.Unlock()
		if !s.act(c, own) {
			return
		}
	}
}

// act does a few things for one frame, and says whether to go on.
func (s *scripted) act(c net.Conn, own string) bool {
	for {
		what, more := s.next()
		which, _ := s.next()
		codes := []string{"AA", "CA", "AE", "CE", "AR", "CR", "XX"}
		code := codes[which%len(codes)]
		goOn := true
		switch what % 12 {
		case 0, 1:
			goOn = s.say(c, framed(ack(code, own)))
		case 2:
			goOn = s.say(c, framed(ack(code, s.some(which))))
		case 3:
			goOn = s.say(c, framed(ack("AR", own, "205")))
		case 4:
			goOn = s.say(c, framed(asks(code, own)))
		case 5:
			time.Sleep(time.Duration(which) * 250 * time.Millisecond) // virtual time, up to twice the answer's
		case 6:
			goOn = s.say(c, string([]byte{byte(which), startBlock, byte(which), endBlock, carriageReturn}))
		case 7:
			goOn = s.say(c, framed([]string{"\x06", "\x15", "", "MSH|^~\\&|", message(own)}[which%5]))
		case 8:
			goOn = s.say(c, "\x0b"+ack("AA", own)) // its end may come with the next
		case 9:
			return false
		default:
			return true
		}
		if !goOn || !more {
			return goOn
		}
	}
}

// accepted says whether anything that was said accepts a message, where CA counts if the message asked for it, and
// whether anything names it as known.
func (s *scripted) accepted(p contracts.Parcel) (accepted, known bool) {
	asked := hl7v2.ReadHeader(p.Body.Bytes()).AcceptDue(hl7v2.Accepted)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range bytes.Split(s.said, []byte{startBlock}) {
		ack, err := hl7v2.ReadAcknowledgement(bytes.Trim(part, "\x1c\r"))
		if err != nil || ack.ControlID != p.Control {
			continue
		}
		accepted = accepted || ack.Code == "AA" || ack.Code == "CA" && asked
		known = known || ack.HasError(duplicate)
	}
	return accepted, known
}

// Whatever a partner answers, in whatever order and however late, a message counts as delivered only if an
// acknowledgement that names it said so; nothing panics or hangs.
func FuzzCorrelate(f *testing.F) {
	for _, seed := range [][]byte{
		{}, {0, 0, 0, 10, 0, 0, 0, 10}, {1, 2, 3, 10, 2, 1, 10, 5, 200, 0, 0}, {2, 0, 1, 0, 0, 10, 4, 0, 10}, {3, 7, 0, 0, 0, 10, 7, 1, 10},
		{6, 5, 255, 0, 0, 10, 3, 0, 10, 0, 2, 10}, {5, 8, 0, 0, 0, 10, 6, 9, 10, 9, 0, 2, 5, 2, 6}, {10, 0, 1, 2, 9, 0, 0, 10, 0, 1, 5, 130, 0, 0, 10},
	} {
		for _, asks := range [][]byte{{0, 1}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 6, 4}} {
			f.Add(seed, asks)
		}
	}
	f.Fuzz(func(t *testing.T, script, asks []byte) {
		s := &scripted{asks: asks}
		settings := contracts.MLLPCourier{To: "partner", Answer: 30 * time.Second}
		if len(script) > 0 {
			first := int(script[0])
			s.script = script[1:min(len(script), 200)]
			settings.Pipeline, settings.Connections, settings.Release = 1+first%4, 1+first/4%2, 1+first/8%2
			if first/16%2 == 1 {
				settings.Acknowledgement = contracts.AckApplication
			}
		}
		synctest.Test(t, func(t *testing.T) {
			c, done := byPipeWith(settings, func(_ int, conn net.Conn) { s.converse(conn) })
			defer done()
			var lanes sync.WaitGroup
			for lane := range 3 {
				lanes.Go(func() {
					for n := range 3 {
						deliverOnceMore(t, c, s, fmt.Sprintf("L%dN%d", lane, n))
					}
				})
			}
			lanes.Wait()
		})
	})
}

// requests are what messages may say in MSH-15 and MSH-16.
var requests = []string{"|", "AL|AL", "AL|NE", "NE|AL", "AL|ER", "AL|SU", "ER|AL", "SU|", "|XX", "ER|ER"}

// request chooses what the next message asks for.
func (s *scripted) request() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asks) == 0 {
		return 0
	}
	n := int(s.asks[s.asked%len(s.asks)]) % len(requests)
	s.asked++
	return n
}

// deliverOnceMore delivers a message, and again if the outcome is unknown, as the hub does.
func deliverOnceMore(t *testing.T, c *Courier, s *scripted, id string) {
	p := parcel(id)
	if n := s.request(); n > 0 {
		p = enhanced(id, "P|2.5.1|||"+requests[n])
	}
	for range 2 {
		answer, err := c.Deliver(t.Context(), p)
		accepted, known := s.accepted(p)
		if err == nil && !accepted && !(p.Repeat && known) {
			t.Errorf("%s is delivered with %s, and nothing that was said accepts it", id, answer.Code)
		}
		if err == nil || !answer.Unknown {
			return
		}
		p.Repeat, p.Attempt = true, 2
	}
}

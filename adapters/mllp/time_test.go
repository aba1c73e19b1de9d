package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// pipes is a listener in memory, so that its deadlines run in a test's own time.
type pipes struct {
	ends   chan net.Conn
	closed chan struct{}
	once   sync.Once
	errs   chan error // what Accept fails with first
}

func newPipes() *pipes {
	return &pipes{ends: make(chan net.Conn), closed: make(chan struct{}), errs: make(chan error, 8)}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case err := <-p.errs:
		return nil, err
	default:
	}
	select {
	case c := <-p.ends:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) call() net.Conn {
	near, far := net.Pipe()
	p.ends <- far
	return near
}

func newDoor(t *testing.T, l net.Listener, r Receiver, settings contracts.MLLPDoor, opts ...Option) *Door {
	t.Helper()
	d, err := NewDoor(l, "lab", settings, r, time.Now, quiet(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inTime runs a door on pipes in a test's own time.
func inTime(t *testing.T, r Receiver, settings contracts.MLLPDoor, test func(t *testing.T, call func() net.Conn, stop func() error), opts ...Option) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		d := newDoor(t, p, r, settings, opts...)
		stop := serve(t, d)
		test(t, p.call, stop)
	})
}

// closedAfter gives when the other side closed, with what it said before.
func closedAfter(c net.Conn) (time.Duration, string) {
	begun := time.Now()
	back, _ := io.ReadAll(c)
	return time.Since(begun), string(back)
}

// drip writes first, then piece again and again, until the other side closes; the result waits for that.
func drip(c net.Conn, first, piece string, every time.Duration) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := first; ; b = piece {
			if _, err := io.WriteString(c, b); err != nil {
				return
			}
			time.Sleep(every) // virtual time
		}
	}()
	return func() { <-done }
}

func TestASilentConnectionIsClosed(t *testing.T) {
	inTime(t, &desk{}, contracts.MLLPDoor{Idle: 10 * time.Minute}, func(t *testing.T, call func() net.Conn, _ func() error) {
		if after, said := closedAfter(call()); after != 10*time.Minute || said != "" {
			t.Errorf("closed after %v with %d bytes, want silence and 10m", after, len(said))
		}
	})
}

// Junk is no sign of life: the next frame must begin in time.
func TestJunkDoesNotKeepAConnectionOpen(t *testing.T) {
	inTime(t, &desk{}, contracts.MLLPDoor{Idle: 10 * time.Minute}, func(t *testing.T, call func() net.Conn, _ func() error) {
		c := call()
		defer drip(c, "x", "x", time.Minute)()
		if after, _ := closedAfter(c); after != 10*time.Minute {
			t.Errorf("closed after %v, want 10m", after)
		}
	})
}

// A frame that comes ever so slowly is cut off, and a start block in it doesn't give it more time.
func TestASlowFrameIsCutOff(t *testing.T) {
	for name, piece := range map[string]string{"content": "x", "start blocks": "\x0b", "end blocks": "\x1c"} {
		t.Run(name, func(t *testing.T) {
			r := &desk{}
			inTime(t, r, contracts.MLLPDoor{Read: time.Minute}, func(t *testing.T, call func() net.Conn, _ func() error) {
				c := call()
				defer drip(c, "\x0bMSH", piece, 100*time.Millisecond)()
				if after, said := closedAfter(c); after < time.Minute || after > time.Minute+trailingGrace || said != "" {
					t.Errorf("closed after %v with %d bytes, want silence and 1m", after, len(said))
				}
			})
			if n := len(r.arrivals()); n != 0 {
				t.Errorf("%d frames were kept, want none", n)
			}
		})
	}
}

func TestAnIdleConnectionIsClosedWhenTheDoorStops(t *testing.T) {
	inTime(t, &desk{}, contracts.MLLPDoor{}, func(t *testing.T, call func() net.Conn, stop func() error) {
		c := call()
		synctest.Wait()
		go func() { _ = stop() }()
		if after, _ := closedAfter(c); after != 0 {
			t.Errorf("closed after %v, want at once", after)
		}
	})
}

// A frame that has begun when the door stops is finished and answered; the connection then closes.
func TestAFrameUnderWayIsFinishedWhenTheDoorStops(t *testing.T) {
	r := &desk{}
	inTime(t, r, contracts.MLLPDoor{}, func(t *testing.T, call func() net.Conn, stop func() error) {
		c := call()
		frame := framed(message("A1"))
		_, _ = io.WriteString(c, frame[:40])
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		synctest.Wait()
		go func() { _, _ = io.WriteString(c, frame[40:]) }()
		_, back := closedAfter(c)
		if got := answers(t, back); len(got) != 1 || got[0] != "AA A1" {
			t.Errorf("got %v, want the acknowledgement", got)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// A message that the receiver holds when the door stops is answered when its word comes.
func TestAMessageInHandIsAnsweredWhenTheDoorStops(t *testing.T) {
	release := make(chan struct{})
	r := &desk{}
	r.respond = func(_ int, a contracts.Arrival) (contracts.Receipt, error) {
		<-release
		return accepted(a), nil
	}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		p := newPipes()
		stop := serve(t, newDoor(t, p, r, contracts.MLLPDoor{}))
		c := p.call()
		go func() { _, _ = io.WriteString(c, framed(message("A1"), message("A2"))) }()
		synctest.Wait()
		go func() { _ = stop() }()
		synctest.Wait()
		close(release)
		_, back := closedAfter(c)
		if got := answers(t, back); len(got) != 1 || got[0] != "AA A1" {
			t.Errorf("got %v, want the acknowledgement of the one in hand", got)
		}
	})
}

// What doesn't finish within the bound is cut off without an answer, a receiver that waits for its context too.
func TestWhatDoesNotFinishIsCutOffWhenTheDoorStops(t *testing.T) {
	for name, stream := range map[string]string{"half a frame": "\x0bMSH|", "a message in hand": framed(message("A1"))} {
		t.Run(name, func(t *testing.T) {
			inTime(t, patient{}, contracts.MLLPDoor{}, func(t *testing.T, call func() net.Conn, stop func() error) {
				c := call()
				_, _ = io.WriteString(c, stream)
				synctest.Wait()
				go func() { _ = stop() }()
				if after, back := closedAfter(c); after != 5*time.Second || back != "" {
					t.Errorf("closed after %v with %d bytes, want silence and the bound of 5s", after, len(back))
				}
			}, WithDrain(5*time.Second))
		})
	}
}

// patient gives its word when its context ends.
type patient struct{}

func (patient) Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	<-ctx.Done()
	return contracts.Receipt{}, ctx.Err()
}

func TestAReceiverThatGivesNoWordIsNotWaitedForForever(t *testing.T) {
	inTime(t, patient{}, contracts.MLLPDoor{}, func(t *testing.T, call func() net.Conn, _ func() error) {
		c := call()
		go func() { _, _ = io.WriteString(c, framed(message("A1"))) }()
		if after, back := closedAfter(c); after != receiveWithin || back != "" {
			t.Errorf("closed after %v with %d bytes, want silence and %v", after, len(back), receiveWithin)
		}
	})
}

// A sender that doesn't read its answer is left after the write deadline.
func TestASenderThatDoesNotReadIsLeft(t *testing.T) {
	inTime(t, &desk{}, contracts.MLLPDoor{}, func(t *testing.T, call func() net.Conn, _ func() error) {
		c := call()
		begun := time.Now()
		_, _ = io.WriteString(c, framed(message("A1")))
		if _, err := io.WriteString(c, framed(message("A2"))); err == nil || time.Since(begun) != 30*time.Second {
			t.Errorf("left with %v after %v, want 30s", err, time.Since(begun))
		}
	})
}

// What never becomes a frame is cut off.
func TestEndlessJunkIsCutOff(t *testing.T) {
	inTime(t, &desk{}, contracts.MLLPDoor{}, func(t *testing.T, call func() net.Conn, _ func() error) {
		c := call()
		n := 0
		for {
			m, err := io.WriteString(c, "0123456789")
			if n += m; err != nil {
				break
			}
			if n > 10000 {
				t.Fatal("10,000 bytes of junk were taken")
			}
		}
		if n < 1000 {
			t.Errorf("cut off after %d bytes, want 1000", n)
		}
	}, WithJunk(1000))
}

// A shortage of descriptors passes; the door takes connections again.
func TestAPassingShortageDoesNotEndTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		for range 3 {
			p.errs <- errors.New("too many open files")
		}
		serve(t, newDoor(t, p, &desk{}, contracts.MLLPDoor{}))
		c := p.call()
		go func() { _, _ = io.WriteString(c, framed(message("A1"))) }()
		f, err := NewReader(c, Limits{}).Next()
		if err != nil || said(f.Body) != "AA A1" {
			t.Errorf("got %s, %v", said(f.Body), err)
		}
		c.Close()
	})
}

// A listener that closes by itself is an error, not a quiet end.
func TestALostListenerIsAnError(t *testing.T) {
	p := newPipes()
	d := newDoor(t, p, &desk{}, contracts.MLLPDoor{})
	p.Close()
	if err := d.Serve(context.Background()); err == nil {
		t.Error("serving ended without an error")
	}
}
